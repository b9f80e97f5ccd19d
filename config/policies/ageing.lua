-- Priority with ageing: one level of priority is worth `level` of waiting.
--   [sched.lua] level = 10s
-- Good: urgent work first, and nobody starves.  Both ages grow alike, so one answer per entry is enough.
-- Bad: the exchange rate is yours to find.
-- Source: Silberschatz, Galvin and Gagne, Operating System Concepts, on aging.
--- test urgent first, but not for ever
---   conf level=10s
---   nodes 1 cpus 1
---   task busy duration=30s
---   task early duration=1s arrival=1s
---   task urgent duration=1s arrival=5s priority=1
---   task late duration=1s arrival=25s priority=1
---   starts busy urgent early late
local level = conf.level or 10 * s
return { rank = function(t) return t.ready_at - t.priority * level end }
