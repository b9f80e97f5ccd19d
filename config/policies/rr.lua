-- Round robin over time: everyone runs for a quantum, then goes to the end of the queue.  (round-robin is over slots.)
--   [sched.lua] quantum = 10ms
-- Good: everyone is served soon, whatever the sizes.  Bad: the worst turnaround time for equal tasks.
-- Source: Arpaci-Dusseau, Operating Systems: Three Easy Pieces, chapter 7.
--- test three jobs of 5: responses 0, 1, 2
---   nodes 1 cpus 1
---   conf quantum=1s
---   task a*3 duration=5s
---   starts a1 a2 a3
---   ends a1 13s
---   ends a2 14s
---   ends a3 15s
local quantum = conf.quantum or 10 * ms
return { slice = function() return quantum end }
