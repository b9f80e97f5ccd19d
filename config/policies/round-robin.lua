-- Round robin over the slots: each task goes to the next slot that may run it.  (rr shares one slot over time.)
-- Good: as many tasks for each slot, without looking at any of them.  Bad: blind to sizes, loads and bytes: a slow slot gets
-- as many as a fast one, and a task once placed does not move.
-- Source: the base line of Mitzenmacher, The power of two choices in randomized load balancing (1996).
--- test three slots take turns
---   nodes 3 cpus 1
---   task t*6 duration=1s
---   apart t1 t2 t3
---   same t1 t4
---   same t3 t6
--- test a slot where it can not run is left out
---   nodes 2 cpus 2
---   task wide*2 duration=1s cpus=2
---   task small*2 duration=1s
---   makespan 2s
local turn = 0
return {
  place = function(t)
    local W = workers(t)
    turn = turn + 1
    return W[(turn - 1) % #W + 1]
  end,
}
