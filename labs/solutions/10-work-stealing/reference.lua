-- Work stealing: a task queues at the slot that made it ready; a slot takes its own newest, else what the driver gave,
-- else the oldest of a random victim.
-- Good: children stay near their parent and idle slots help themselves; at most T1/m + O(longest path) on average.
-- Bad: knows nothing of sizes or bytes; a long task found last ends last.
-- Source: Blumofe and Leiserson, Scheduling multithreaded computations by work stealing (1999).
return {
  place = function(t) return t.from and cost(t, t.from) < math.huge and t.from or nil end,
  pick = function(w)
    local t, W = last(w, w) or first(nil, w), workers()
    local k = math.random(#W)
    for i = 1, #W do t = t or first(W[(k + i) % #W + 1], w) end
    return t
  end,
}
