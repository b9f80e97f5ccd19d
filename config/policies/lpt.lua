-- Longest processing time first; unknown ones last.
-- Good: makespan at most 4/3 - 1/(3m) of the best for independent tasks on m equal slots.  Bad: the worst mean waiting time.
-- Source: Graham, Bounds on multiprocessing timing anomalies (1969).
--- test the bound is reached: 7 where 6 is possible
---   nodes 1 cpus 2
---   task a*3 duration=2s
---   task b*2 duration=3s
---   together b1 b2
---   makespan 7s
return { rank = function(t) return t.estimate and -t.estimate end }
