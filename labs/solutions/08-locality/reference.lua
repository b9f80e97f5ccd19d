-- Locality with delay scheduling: a task waits a little for a slot of the node that holds its bytes.
--   [sched.lua] delay = 50ms
-- Good: few bytes moved, for a small delay of few tasks.  Bad: a delay longer than a copy takes costs more than it saves.
-- Source: Zaharia et al., Delay scheduling (EuroSys 2010).
--- test a task waits a little for the node that holds its input, then takes what is free
---   nodes 2 cpus 1
---   file block bytes=100M node=node0
---   task busy duration=1s
---   task near duration=1s inputs=block arrival=990ms
---   task far duration=1s inputs=block arrival=991ms
---   on node0 near
---   on node1 far
local delay = conf.delay or 50 * ms
return {
  place = function(t)
    local n, m = least(nodes(t), function(n) return missing(t, n) end)
    if m and m < t.bytes then return n end
  end,
  pick = function(w)
    local t = first(w.node, w) or first(nil, w)
    if t then return t end
    for _, n in ipairs(nodes()) do
      t = first(n, w)
      if t and now() - t.ready_at >= delay then return t end
      if t then wake(t.ready_at + delay) end
    end
  end,
}
