-- Highest response ratio next: waited / cost.  Walks the whole queue at each pick.
-- Good: short work first, and long work gets its turn by waiting.  Bad: needs estimates; a decision costs the queue's length.
-- Source: Brinch Hansen, RC 4000 (1971).
--- test waiting outweighs length
---   nodes 1 cpus 1
---   task busy duration=10s
---   task long duration=20s arrival=1s
---   task short duration=5s arrival=9s
---   starts busy long short
--- test length outweighs waiting
---   nodes 1 cpus 1
---   task busy duration=10s
---   task long duration=40s arrival=1s
---   task short duration=5s arrival=8s
---   starts busy short long
--- test waiting begins when a task is ready
---   nodes 1 cpus 1
---   task busy duration=10s
---   task late duration=1s after=busy
---   task other duration=5s arrival=5s
---   starts busy other late
return {
  pick = function(w)
    return (most(ready(), function(t) return can(t, w) and (now() - t.ready_at) / math.max(cost(t, w), 1) end))
  end,
}
