-- Critical path first: the task with the most work between its start and the end of the graph, itself included.
-- Good: what everything else waits for does not wait.  Bad: a graph that is still growing is judged by what is there; paths
-- are kept up to date for every task, so a long chain submitted one by one costs its length each time (use a batch).
-- Source: Hu, Parallel sequencing and assembly line problems (1961); without estimates every task counts the same.
--- test the chain does not wait for what nobody waits for
---   nodes 1 cpus 2
---   task x duration=1s
---   task y duration=1s
---   task a duration=1s
---   task b duration=1s after=a
---   makespan 2s
--- test a path that grows later counts
---   nodes 1 cpus 1
---   task busy duration=5s
---   task x duration=2s
---   task a duration=1s
---   task b duration=9s after=a arrival=2s
---   starts busy a b x
--- test the longest of several ways counts
---   nodes 1 cpus 1
---   task b duration=1s
---   task c duration=5s after=b
---   task a duration=1s
---   task short duration=1s after=a
---   task long duration=9s after=a
---   starts a b
--- test with nothing known it is the most tasks
---   know nothing
---   nodes 1 cpus 1
---   task b duration=1s
---   task c duration=50s after=b
---   task a duration=1s
---   task a2 duration=1s after=a
---   task a3 duration=1s after=a2
---   starts a b
local len, new = {}, {}
local function measure(t)
  local _, rest = most(t.succs or {}, function(e) return e.task and len[e.task] end)
  len[t] = (t.estimate or 1 * ms) + (rest or 0)
  return len[t]
end
local function settle()
  local todo = new
  new = {}
  for i = #todo, 1, -1 do measure(todo[i]) end -- what comes later in the graph was submitted later
  while #todo > 0 do -- and what is before them has a longer way now
    for _, e in ipairs(table.remove(todo).preds or {}) do
      local t = e.task
      local was = t and len[t]
      if t and measure(t) ~= was then
        todo[#todo + 1] = t
        if t.state == "ready" then rerank(t) end
      end
    end
  end
end
local function forget(t) len[t] = nil end
return {
  submitted = function(t)
    if t.n_preds > 0 then new[#new + 1] = t; wake(now()) end
  end,
  ready = settle,
  woken = settle, -- nothing need become ready by what was submitted
  done = forget,
  dropped = forget,
  rank = function(t) return -(len[t] or measure(t)) end,
}
