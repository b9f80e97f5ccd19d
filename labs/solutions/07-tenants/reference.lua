-- Weighted fair share per user: start-time fair queueing.
--   [sched.lua] alice = 3      (a user's weight; 1 unless given)
-- Good: each user's share of the slots follows the weights, whatever the others send.  Bad: fair in work begun; without
-- estimates every task counts the same.
-- Source: Goyal, Vin and Cheng, Start-time fair queueing (SIGCOMM 1996); Jin, Chase and Kaur, SFQ(D) (SIGMETRICS 2004).
local v, finish = 0, {}
return {
  started = function(t) if t.rank < math.huge then v = math.max(v, t.rank) end end,
  rank = function(t)
    local start = math.max(v, finish[t.user] or 0)
    finish[t.user] = start + (t.estimate or 1 * ms) / (conf[t.user] or 1)
    return start
  end,
}
