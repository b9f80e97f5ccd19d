-- Longest processing time first; unknown ones last.
-- Good: makespan at most 4/3 - 1/(3m) of the best for independent tasks on m equal slots.  Bad: the worst mean waiting time.
-- Source: Graham, Bounds on multiprocessing timing anomalies (1969).
return { rank = function(t) return t.estimate and -t.estimate end }
