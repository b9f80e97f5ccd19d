-- Weighted fair share: start-time fair queueing over users, functions, or the values of a label.
--   [sched.lua] alice = 3         a weight; 1 unless given
--   [sched.lua] per = fn          who shares: user (unless said), fn, or the name of a label, such as namespace
-- Good: each one's share of the slots follows the weights, whatever the others send.  Bad: fair in work begun; without
-- estimates every task counts the same.
-- Source: Goyal, Vin and Cheng, Start-time fair queueing (SIGCOMM 1996); Jin, Chase and Kaur, SFQ(D) (SIGMETRICS 2004).
--- test two users take turns, whoever asked first
---   nodes 1 cpus 1
---   task a*3 user=ann
---   task b*3 user=bob
---   starts a1 b1 a2 b2 a3 b3
--- test a weight of two is two of three
---   conf ann=2
---   nodes 1 cpus 1
---   task b*3 user=bob
---   task a*4 user=ann
---   starts b1 a1 a2 b2 a3 a4 b3
--- test per function
---   conf per=fn
---   nodes 1 cpus 1
---   task a*3 fn=load
---   task b*3 fn=map
---   starts a1 b1 a2 b2 a3 b3
--- test per label
---   conf per=namespace
---   nodes 1 cpus 1
---   task a*3 label.namespace=x
---   task b*3 label.namespace=y
---   starts a1 b1 a2 b2 a3 b3
local per, v, finish = conf.per or "user", 0, {}
local function whose(t) return per == "user" and t.user or per == "fn" and t.fn or t.labels[per] or "" end
return {
  started = function(t)
    if t.rank < math.huge then v = math.max(v, t.rank) end
  end,
  rank = function(t)
    local who = whose(t)
    local start = math.max(v, finish[who] or 0)
    finish[who] = start + (t.estimate or 1 * ms) / (conf[who] or 1)
    return start
  end,
}
