-- Min-min: of all tasks and slots, map the pair that ends soonest, again and again; maps anew when something becomes ready
-- or is dropped.  Each slot keeps its tasks by cost: the soonest end on a slot is always that of its cheapest task.
-- Good: short makespans on unlike slots.  Bad: short tasks first leaves the long ones for the end; a mapping sorts the queue
-- once per slot; needs costs.
-- Source: Ibarra and Kim (1977); Braun et al., A comparison of eleven static heuristics (2001).
--- test short ones first, the long one beside nothing
---   nodes 1 cpus 2
---   task long duration=4s
---   task short*4 duration=1s
---   together short1 short2
---   makespan 6s
--- test a slot that is busy is free later
---   nodes 1 cpus 2
---   task busy duration=10s
---   task x duration=4s arrival=1s
---   task y duration=5s arrival=1s
---   within 11s
--- test what comes later is mapped with the rest
---   nodes 1 cpus 1
---   task busy duration=1s
---   task long duration=9s
---   task short duration=2s arrival=500ms
---   starts busy short long
local plan, dirty = {}, true
local function map()
  local todo, left, W, free, list, at = {}, {}, workers(), {}, {}, {}
  for t in ready() do todo[#todo + 1] = t; left[t] = true end
  for _, w in ipairs(W) do
    local c, L = {}, {}
    for _, t in ipairs(todo) do
      c[t] = cost(t, w)
      if c[t] < math.huge then L[#L + 1] = t end
    end
    table.sort(L, function(a, b) return c[a] < c[b] end)
    free[w], plan[w], list[w], at[w] = w.busy_until or now(), {}, L, 1
  end
  for _ = 1, #todo do
    local w, soonest = least(W, function(w)
      local L, i = list[w], at[w]
      while L[i] and not left[L[i]] do i = i + 1 end
      at[w] = i
      return L[i] and free[w] + cost(L[i], w)
    end)
    if not w then break end
    local t = list[w][at[w]]
    left[t], free[w] = nil, soonest
    table.insert(plan[w], t)
  end
  dirty = false
end
local function stale() dirty = true end
return {
  ready = stale,
  dropped = stale,
  pick = function(w)
    if dirty then map() end
    local mine = plan[w]
    if mine and mine[1] and can(mine[1], w) then return table.remove(mine, 1) end
  end,
}
