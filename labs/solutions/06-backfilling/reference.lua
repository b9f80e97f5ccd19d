-- EASY backfilling: the first that does not fit gets a reservation; others may overtake it if they do not delay it.
-- Good: nearly as full as plain FIFO, and wide tasks get their turn.  Bad: needs `limit` (enforced); walks the queue.
-- Source: Lifka (JSSPP 1995); Mu'alem and Feitelson (2001).
local function limit(t) return t.limit or math.huge end
local function stop(t) return (t.started_at or now()) + limit(t) end
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
