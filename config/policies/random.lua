-- Random order, from the run's seed: the same seed gives the same run.
-- Good: a base line that no workload can be tuned against.  Bad: everything else.
-- Source: none is needed: it is the yardstick of any other order.
return { rank = function() return math.random() end }
