-- A slow server is worth its while only when the queue is long: a threshold policy.
local function fastest(t)
  local _, least_cost = least(workers(t), function(w) return cost(t, w) end)
  return least_cost
end

return {
  pick = function(w)
    local t = first(nil, w)
    if not t or cost(t, w) <= fastest(t) then return t end
    local waiting = 0
    for _ in ready() do waiting = waiting + 1 end
    if waiting > (conf.threshold or 6) then return t end
  end,
}
