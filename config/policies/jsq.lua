-- Join the shortest queue.
-- Good: even queues.  Bad: looks at every slot for every task; a task once placed does not move; blind to sizes.
-- Source: Winston, Optimality of the shortest line discipline (1977).
return {
  place = function(t)
    return (least(workers(t), function(w) return w.load end))
  end,
}
