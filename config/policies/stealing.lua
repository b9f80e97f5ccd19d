-- Work stealing: a task queues at the slot that made it ready; a slot takes its own newest, else what the driver gave,
-- else the oldest of a random victim.
-- Good: children stay near their parent and idle slots help themselves; at most T1/m + O(longest path) on average.
-- Bad: knows nothing of sizes or bytes; a long task found last ends last.
-- Source: Blumofe and Leiserson, Scheduling multithreaded computations by work stealing (1999).
--- test idle slots help themselves to the children of one
---   nodes 1 cpus 4
---   task root duration=10s
---   task child*8 duration=10s after=root
---   makespan 30s
--- test what a slot made ready queues there: it takes its newest, a thief the oldest
---   nodes 2 cpus 1
---   task root duration=10s
---   task child*4 duration=10s after=root
---   on node0 root child4 child3
---   on node1 child1 child2
---   starts child4 child3
---   starts child1 child2
--- test what the driver gave goes in order
---   nodes 1 cpus 1
---   task a*3 duration=1s
---   starts a1 a2 a3
return {
  place = function(t) return t.from and cost(t, t.from) < math.huge and t.from or nil end,
  pick = function(w)
    local t, W = last(w, w) or first(nil, w), workers()
    local k = math.random(#W)
    for i = 1, #W do t = t or first(W[(k + i) % #W + 1], w) end
    return t
  end,
}
