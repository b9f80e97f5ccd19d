-- Earliest deadline first; those without a deadline last.  Takes the slot of a later one.
-- Good: on one slot it meets every deadline that can be met.  Bad: on several slots, or under overload, no such promise.
-- Source: Liu and Layland, Scheduling algorithms for multiprogramming in a hard-real-time environment (1973).
--- test the urgent one takes the slot
---   nodes 1 cpus 1
---   task long duration=5s deadline=20s
---   task urgent duration=1s arrival=1s deadline=3s
---   ends urgent 2s
---   ends long 6s
--- test of two that run the later one gives way, and no deadline is the latest
---   nodes 1 cpus 2
---   task later duration=10s deadline=100s
---   task sooner duration=10s deadline=50s
---   task any duration=1s
---   task urgent duration=1s arrival=1s deadline=3s
---   ends sooner 10s
---   ends later 11s
---   starts sooner any
local function key(t) return t.deadline or math.huge end
return {
  rank = key,
  preempt = function(t)
    local r, k = most(running(t), key)
    if r and k > key(t) then return r end
  end,
}
