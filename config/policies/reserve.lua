-- Reservation: `keep` slots stay free for one user.
--   [sched.lua] keep = 1, vip = a
-- Good: that user finds a slot at once.  Bad: the slots stand idle when the user is away.
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
