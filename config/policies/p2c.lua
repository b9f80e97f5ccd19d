-- Power of two choices: of two slots drawn at random, the shorter queue.
-- Good: nearly as even as looking at all of them, at a cost that does not grow.  Bad: blind to sizes and to bytes.
-- Source: Mitzenmacher, The power of two choices in randomized load balancing (1996).
--- test queues of the same length, within one, and a task once placed does not move: some wait behind the long one
---   seed 6
---   nodes 1 cpus 2
---   task long duration=10s
---   task t*6 duration=1s
---   makespan 12s
return {
  place = function(t)
    local W = workers(t)
    local a, b = W[math.random(#W)], W[math.random(#W)]
    return a.load <= b.load and a or b
  end,
}
