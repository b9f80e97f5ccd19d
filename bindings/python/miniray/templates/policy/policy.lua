-- @NAME@: the task whose estimate is smallest goes first; of equals the one that came first.
-- Good: short mean waiting.  Bad: a long task may wait for ever while short ones come.
--
-- All hooks are optional.  Handles (t: a task, w: a slot, n: a node) have fields: t.estimate t.priority t.ready_at t.bytes
-- t.user t.needs.CPU t.labels.x w.node w.load n.free.CPU ...; a field that is not known is nil.  Times are ns; us, ms, s help.

--- test the short one goes first
---   nodes 1 cpus 1
---   task long duration=3s
---   task short duration=1s
---   starts short long
---   makespan 4s

---@type Policy
return {
  -- Asked once when a task becomes ready: small goes first, nil (nothing known) last.
  rank = function(t)
    return t.estimate
  end,

  -- Asked when a task becomes ready: the node or slot whose queue it enters; nil: the shared one.
  -- place = function(t)
  --   return least(nodes(t), function(n) return missing(t, n) end)  -- where most of its input lies
  -- end,

  -- Asked for each idle slot: any ready task that can start there; nil: none for this slot.
  -- pick = function(w)
  --   return first(nil, w)
  -- end,
}
