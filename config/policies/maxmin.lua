-- Max-min: of all tasks, the one whose soonest end is the latest goes to where that is, again and again; maps anew when
-- something becomes ready or is dropped, at most `window` tasks at a time.
--   [sched.lua] window = 100
-- Good: the long tasks are spread first and the short ones fill the gaps.  Bad: short tasks wait for long ones; a mapping
-- costs window x window x slots, hence the window; needs costs.
-- Source: Ibarra and Kim (1977); Braun et al., A comparison of eleven static heuristics (2001).
--- test the long one first, the short ones beside it
---   nodes 1 cpus 2
---   task short*4 duration=1s
---   task long duration=4s
---   makespan 4s
--- test a slot that is busy is free later
---   nodes 1 cpus 2
---   task busy duration=10s
---   task x duration=4s arrival=1s
---   task y duration=5s arrival=1s
---   within 11s
--- test what comes later is mapped with the rest
---   nodes 1 cpus 1
---   task busy duration=5s
---   task short duration=1s
---   task long duration=4s arrival=1s
---   starts busy long short
local plan, planned, dirty = {}, 0, true
local function map()
  local W, todo, free, mapped = workers(), {}, {}, {}
  for t in ready() do
    todo[#todo + 1] = t
    if #todo == (conf.window or 100) then break end
  end
  for _, w in ipairs(W) do free[w], plan[w] = w.busy_until or now(), {} end
  local function soonest(t)
    return least(W, function(w) local c = cost(t, w) return c < math.huge and free[w] + c end)
  end
  planned, dirty = 0, false
  for _ = 1, #todo do
    local t, stop = most(todo, function(t) return not mapped[t] and select(2, soonest(t)) end)
    if not t then break end
    local w = soonest(t)
    mapped[t], free[w], planned = true, stop, planned + 1
    table.insert(plan[w], t)
  end
end
local function stale() dirty = true end
return {
  ready = stale,
  dropped = stale,
  pick = function(w)
    if dirty or planned == 0 then map() end
    local mine = plan[w]
    if mine and mine[1] and can(mine[1], w) then
      planned = planned - 1
      return table.remove(mine, 1)
    end
  end,
}
