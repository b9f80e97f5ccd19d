-- First come, first served, strictly: the head of the queue blocks all behind it until it fits.
-- Good: nobody is ever overtaken; wide tasks get their turn.  Bad: slots stand idle while the head waits (see easy).
-- Source: the base line of Lifka, The ANL/IBM SP scheduling system (JSSPP 1995).
--- test a wide one lets nobody by
---   nodes 1 cpus 2
---   task runs duration=3s
---   task wide duration=1s cpus=2
---   task small duration=1s
---   starts runs wide small
return {
  pick = function(w)
    for t in ready() do return can(t, w) and t or nil end
  end,
}
