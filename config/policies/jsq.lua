-- Join the shortest queue.
-- Good: even queues.  Bad: looks at every slot for every task; a task once placed does not move; blind to sizes.
-- Source: Winston, Optimality of the shortest line discipline (1977).
--- test queues stay even
---   nodes 2 cpus 2
---   task t*8 duration=1s
---   together t1 t2 t3 t4
---   makespan 2s
--- test a task once placed does not move: the shorter queue may be the longer wait
---   nodes 1 cpus 2
---   task long duration=10s
---   task short duration=1s
---   task x*2 duration=1s
---   ends x1 11s
---   ends x2 2s
return {
  place = function(t)
    return (least(workers(t), function(w) return w.load end))
  end,
}
