-- Multi-level feedback queue: three levels; an allotment used up costs a level; every `boost` all start again at the top.
--   [sched.lua] boost = 1s
-- Good: short work first without knowing the sizes.  Bad: three quanta and a boost to choose (a cheat yields early).
-- Source: Arpaci-Dusseau, Operating Systems: Three Easy Pieces, chapter 8.
--- test a long one sinks, and a short one comes on top and never leaves
---   nodes 1 cpus 1
---   know nothing
---   task long duration=300ms
---   task short duration=8ms arrival=100ms
---   ends short 108ms
---   ends long 308ms
--- test on the lowest level they take turns
---   nodes 1 cpus 1
---   know nothing
---   task a*2 duration=110ms
---   ends a1 180ms
---   ends a2 220ms
--- test of two that run the lower one gives way
---   nodes 1 cpus 2
---   know nothing
---   task low duration=200ms
---   task mid duration=40ms arrival=60ms
---   task short duration=8ms arrival=75ms
---   ends short 83ms
---   ends mid 100ms
--- test the highest level goes first
---   nodes 1 cpus 1
---   know nothing
---   task long duration=300ms
---   task short duration=8ms arrival=100ms
---   task second duration=8ms arrival=104ms
---   ends short 108ms
---   ends second 116ms
--- test an allotment is used up in parts
---   nodes 1 cpus 1
---   know nothing
---   task a duration=100ms
---   task b duration=100ms
---   task short duration=8ms arrival=30ms
---   ends b 178ms
---   ends a 208ms
local Q, level, used, armed = { 10 * ms, 20 * ms, 40 * ms }, {}, {}, false
local function lv(t) return level[t] or 1 end
local function boost()
  level, used = {}, {}
  rerank()
  wake(now() + (conf.boost or 1 * s))
end
return {
  rank = lv,
  woken = boost,
  slice = function(t) return Q[lv(t)] - (used[t] or 0) end,
  submitted = function()
    if not armed then armed = true; boost() end
  end,
  preempt = function(t)
    local r, l = most(running(t), lv)
    if r and l > lv(t) then return r end
  end,
  done = function(t) level[t], used[t] = nil, nil end,
  dropped = function(t) level[t], used[t] = nil, nil end,
  stopped = function(t, w, ran) -- in however many parts it was used up
    used[t] = (used[t] or 0) + ran
    if used[t] >= Q[lv(t)] then level[t], used[t] = math.min(lv(t) + 1, #Q), 0 end
  end,
}
