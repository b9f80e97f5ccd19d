-- Shortest remaining processing time, with preemption; unknown ones last.
-- Good: the lowest mean time in the system on one slot.  Bad: long tasks starve; needs estimates; stops cost something.
-- Source: Schrage, A proof of the optimality of the shortest remaining processing time discipline (1968).
--- test two short ones overtake one that has long to go, which goes on afterwards
---   nodes 1 cpus 1
---   task long duration=100s
---   task b duration=10s arrival=10s
---   task c duration=10s arrival=10s
---   ends b 20s
---   ends c 30s
---   ends long 120s
--- test what has run counts: 5 s of 100 are left when one of 10 s comes
---   nodes 1 cpus 1
---   task long duration=100s
---   task short duration=10s arrival=95s
---   ends long 100s
--- test of two that run it is the longer one that gives way
---   nodes 1 cpus 2
---   task long duration=100s
---   task mid duration=50s
---   task short duration=1s arrival=1s
---   ends mid 50s
---   ends long 101s
--- test what is not known comes last
---   know stated
---   nodes 1 cpus 1
---   task unknown duration=1s
---   task known duration=5s estimate=5s
---   starts known unknown
local function key(t) return t.remaining or math.huge end
return {
  rank = key,
  preempt = function(t)
    local r, k = most(running(t), key)
    if r and k > key(t) then return r end
  end,
}
