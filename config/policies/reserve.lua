-- Reservation: `keep` slots stay free for one user.
--   [sched.lua] keep = 1, vip = a
-- Good: that user finds a slot at once.  Bad: the slots stand idle when the user is away.
-- Source: none is needed: a queue with a reserved server, as in any text on queues.
--- test a slot is kept for one user
---   conf keep=1 vip=ann
---   nodes 1 cpus 2
---   task others*2 duration=50s
---   task hers duration=10s user=ann arrival=10s
---   ends hers 20s
---   ends others2 100s
--- test the last slot is not kept
---   conf keep=1 vip=ann
---   nodes 1 cpus 1
---   task other duration=1s
---   makespan 1s
local keep, vip = conf.keep or 1, conf.vip or "a"
return {
  pick = function(w)
    local idle = sum(workers(), function(x) return x.idle and 1 or 0 end)
    local kept = math.min(keep, #workers() - 1) -- all of them would stop everybody else for ever
    for t in ready() do
      if can(t, w) and (t.user == vip or idle > kept) then return t end
    end
  end,
}
