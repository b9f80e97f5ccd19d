--- test x
---   nodes 1 cpus 1
---   task a duration=1s
---   starts a
return { rank = function(t) print("ranking", t, t.estimate) return 1 end }
