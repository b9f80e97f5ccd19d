-- Round robin: everyone runs for a quantum, then goes to the end of the queue (needs preemption).
--   [sched.lua] quantum = 10ms
-- Good: everyone is served soon, whatever the sizes.  Bad: the worst turnaround time for equal tasks.
-- Source: Arpaci-Dusseau, Operating Systems: Three Easy Pieces, chapter 7.
local quantum = conf.quantum or 10 * ms
return { slice = function() return quantum end }
