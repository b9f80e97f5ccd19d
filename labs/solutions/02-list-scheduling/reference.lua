local memo = {}
local path
function path(t)
  if not memo[t] then
    local _, longest = most(t.succs, function(e) return e.task and path(e.task) end)
    memo[t] = t.estimate + (longest or 0)
  end
  return memo[t]
end
return { rank = function(t) return -path(t) end }
