-- Shortest remaining processing time, with preemption; unknown ones last.
-- Good: the lowest mean time in the system on one slot.  Bad: long tasks starve; needs estimates; stops cost something.
-- Source: Schrage, A proof of the optimality of the shortest remaining processing time discipline (1968).
local function key(t) return t.remaining or math.huge end
return {
  rank = key,
  preempt = function(t)
    local r, k = most(running(t), key)
    if r and k > key(t) then return r end
  end,
}
