-- HEFT: heterogeneous earliest finish time, for a graph that is submitted as one batch.  Upward ranks by mean cost and mean
-- copy, then each task, most urgent first, to the slot where it ends soonest, gaps used.
--   [sched.lua] cpop = true    CPOP: the critical path stays on one slot
-- Good: short makespans for graphs on unlike slots.  Bad: needs costs and the whole graph; a plan does not follow delays.
-- Source: Topcuoglu, Hariri and Wu (IEEE TPDS 2002): its example of ten tasks takes 80 (CPOP 86).
--- test a copy that takes longer than waiting is not made
---   nodes 2 cpus 1
---   task a duration=1s outputs=4G
---   task b duration=1s inputs=a
---   task c duration=1s inputs=a
---   same a b c
---   makespan 3s
--- test a gap is used: while the second slot waits for a, c fits before b2
---   nodes 2 cpus 1
---   task a duration=10s
---   task b*2 duration=5s after=a
---   task c duration=4s
---   ends c 4s
---   makespan 15s
local new, at, line = {}, {}, {}
local function far(side, own) -- dearest way to the exit (t counts) or from the entry
  local memo, f = {}, nil
  local function mean(t) local W = workers(t) return sum(W, function(w) return cost(t, w) end) / #W end
  function f(t)
    if memo[t] then return memo[t] end
    local _, b = most(t[side], function(e) return e.task and copy(e.bytes) + f(e.task) + (own and 0 or mean(e.task)) end)
    memo[t] = (b or 0) + (own and mean(t) or 0)
    return memo[t]
  end
  return f
end
local function eft(t, w) -- earliest finish on w
  local from, L, i, c = now(), line[w] or {}, 1, cost(t, w)
  line[w] = L
  for _, e in ipairs(t.preds) do
    from = math.max(from, at[e.task] and at[e.task].stop + copy(e.bytes, at[e.task].w.node, w.node) or from)
  end
  while L[i] and from + c > L[i].start do from = math.max(from, L[i].stop); i = i + 1 end
  return { w = w, start = from, stop = from + c, i = i }
end
local function fix(t, cw)
  at[t] = eft(t, (least(cw or workers(t), function(w) return eft(t, w).stop end)))
  table.insert(line[at[t].w], at[t].i, at[t])
end
local function cpop(u)
  local d, left, path = far("preds"), {}, {}
  local function prio(t) left[t] = true; return u(t) + d(t) end
  local _, long = most(new, prio)
  local function critical(t) return t and prio(t) > long - 1 and t.seq end
  local t = least(new, critical)
  while t do
    path[t], path[#path + 1] = true, t
    t = (least(t.succs, function(e) return critical(e.task) end) or {}).task
  end
  local cw = least(workers(), function(w) return sum(path, function(x) return cost(x, w) end) end)
  for _ = 1, #new do -- of those whose inputs are placed, the most urgent
    t = most(new, function(x) return left[x] and not least(x.preds, function(e) return left[e.task] and 1 end) and u(x) + d(x) end)
    left[t] = nil
    fix(t, path[t] and cost(t, cw) < math.huge and { cw })
  end
end
local function forget(t)
  local x = at[t]
  at[t] = nil
  for i, y in ipairs(x and line[x.w] or {}) do if y == x then table.remove(line[x.w], i); break end end
end
return {
  done = forget, dropped = forget,
  submitted = function(t) new[#new + 1] = t.state ~= "over" and t or nil end,
  rank = function(t) return at[t] and at[t].start end,
  plan = function(t) -- asked when the whole batch was told
    local u = far("succs", true)
    if conf.cpop and #new > 0 then cpop(u); new = {} end
    table.sort(new, function(a, b) return u(a) > u(b) end)
    for _, x in ipairs(new) do fix(x) end
    new = {}
    return at[t].w
  end,
}
