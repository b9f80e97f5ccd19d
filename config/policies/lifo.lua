-- Last in, first out.
-- Good: what was just made is still near, and trees are walked depth first, so that little memory is alive.
-- Bad: under load the oldest task may wait for ever.
--- test the newest goes first
---   nodes 1 cpus 1
---   task busy duration=2s
---   task old duration=1s arrival=1s
---   task young duration=1s arrival=1500ms
---   starts busy young old
return { rank = function(t) return -t.entry end }
