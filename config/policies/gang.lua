-- Gangs: tasks with the labels gang and size start in one instant, all of them or none.
-- Good: work that talks to its own kind does not wait for a partner that has not started.  Bad: slots are kept free while a
-- gang gathers; for one pool of alike nodes.
-- Source: Ousterhout, Scheduling techniques for concurrent systems (1982).
--- test all in one instant, when there is room for all
---   nodes 1 cpus 4
---   task short duration=10s
---   task long duration=25s
---   task g*4 duration=10s arrival=1s label.gang=g label.size=4
---   together g1 g2 g3 g4
---   ends g1 35s
local open
return {
  pick = function(w)
    if open and open[1] and can(open[1], w) then return table.remove(open, 1) end
    local G = {}
    for t in ready() do
      local g = t.labels.gang
      if not g then
        if can(t, w) then return t end
      else
        G[g] = G[g] or {}
        table.insert(G[g], t)
        if #G[g] == t.labels.size then
          if w.node.free.CPU < #G[g] then return false end -- complete but too wide: keep what frees up
          open = G[g]
          return table.remove(open, 1)
        end
      end
    end
  end,
}
