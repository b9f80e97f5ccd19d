-- Priority with ageing: one level of priority is worth `level` of waiting.
--   [sched.lua] level = 10s
-- Good: urgent work first, and nobody starves.  Both ages grow alike, so one answer per entry is enough.
-- Bad: the exchange rate is yours to find.
local level = conf.level or 10 * s
return { rank = function(t) return t.ready_at - t.priority * level end }
