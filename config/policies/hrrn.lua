-- Highest response ratio next: waited / cost.  Walks the whole queue at each pick.
-- Good: short work first, and long work gets its turn by waiting.  Bad: needs estimates; a decision costs the queue's length.
-- Source: Brinch Hansen, RC 4000 (1971).
return {
  pick = function(w)
    return (most(ready(), function(t) return can(t, w) and (now() - t.ready_at) / math.max(cost(t, w), 1) end))
  end,
}
