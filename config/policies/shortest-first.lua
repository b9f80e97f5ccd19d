-- Shortest job first, by estimate: the user's, or what the function took so far.  Unknown ones come last, by entry.
-- Good: the lowest mean waiting time when all are there at the start.  Bad: long tasks starve while short ones come; only
-- as good as the estimates.
-- Source: Smith, Various optimizers for single-stage production (1956).
--- test the short one goes first
---   nodes 1 cpus 1
---   task long duration=3s
---   task short duration=1s
---   starts short long
return { rank = function(t) return t.estimate end }
