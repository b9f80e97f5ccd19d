-- EASY backfilling: the first that does not fit gets a reservation; others may overtake it if they do not delay it.
-- Good: nearly as full as plain FIFO, and wide tasks get their turn.  Bad: needs `limit` (enforced); walks the queue.
-- Source: Lifka (JSSPP 1995); Mu'alem and Feitelson (2001).
--- test what fits beside the reservation overtakes, what would delay it does not
---   nodes 1 cpus 4
---   task runs duration=100s cpus=2 limit=100s
---   task head duration=50s cpus=4 limit=50s
---   task small duration=50s cpus=2 limit=50s
---   task large duration=200s cpus=2 limit=200s
---   together runs small
---   ends head 150s
---   starts head large
--- test the reservation is where enough have ended, the soonest first
---   nodes 1 cpus 4
---   task r1 duration=100s limit=100s
---   task r2 duration=30s limit=30s
---   task r3 duration=50s limit=50s
---   task head duration=10s cpus=2 limit=10s
---   task late duration=40s limit=40s
---   task fits duration=30s limit=30s
---   starts fits head late
---   ends fits 30s
---   ends head 40s
--- test what is left beside the reservation may be used for ever; who says no limit may be long
---   nodes 1 cpus 4
---   task runs duration=100s cpus=2 limit=100s
---   task head duration=10s cpus=3 limit=10s
---   task unsaid duration=1s cpus=2
---   task beside duration=500s limit=500s
---   ends beside 500s
---   starts head unsaid
---   ends head 110s
local function limit(t) return t.limit or math.huge end
local function stop(t) return (t.started_at or now()) + limit(t) end -- it may have its slot and not have begun
return {
  pick = function(w)
    local head, shadow, spare
    for t in ready() do
      if can(t, w) and (not head or now() + limit(t) <= shadow or t.needs.CPU <= spare) then return t end
      if not head and cost(t, w) < math.huge then -- reserve for the first that this node could run
        head, shadow, spare = t, now(), w.node.free.CPU - t.needs.CPU
        local run = {}
        for r in running(w.node) do run[#run + 1] = r end
        table.sort(run, function(a, b) return stop(a) < stop(b) end)
        for _, r in ipairs(run) do
          if spare >= 0 then break end
          spare, shadow = spare + r.needs.CPU, stop(r)
        end
      end
    end
  end,
}
