-- prelude.lua: the helpers that are plain Lua.  Being Lua, they are counted by the budget like the policy itself.
local G, next, before, charge_walk, type, error, ipairs = ...

-- Bottom-up merge sort: stable, and safe under any comparison, however inconsistent.
local function sort(a, less)
  local n = #a
  for i = 2, n do -- most lists are short, or sorted already
    if less(a[i], a[i - 1]) then break end
    if i == n then return end
  end
  local from, to, width = a, {}, 1
  while width < n do
    for lo = 1, n, 2 * width do
      local mid, hi = lo + width, lo + 2 * width
      if mid > n + 1 then mid = n + 1 end
      if hi > n + 1 then hi = n + 1 end
      local i, j = lo, mid
      for k = lo, hi - 1 do
        if i < mid and (j >= hi or not less(from[j], from[i])) then
          to[k] = from[i]; i = i + 1
        else
          to[k] = from[j]; j = j + 1
        end
      end
    end
    from, to, width = to, from, 2 * width
  end
  if from ~= a then for i = 1, n do a[i] = from[i] end end
end

local function smaller(x, y) return x < y end

function G.table.sort(a, less)
  if type(a) ~= "table" then error("sort: expected a table, got " .. type(a), 2) end
  sort(a, less or smaller)
end

-- Sorted by key: numbers, then texts, then handles.  The order of a hash table depends on addresses.
function G.pairs(t)
  if type(t) ~= "table" then error("pairs: expected a table, got " .. type(t), 2) end
  charge_walk()
  local keys, n, i = {}, 0, 0
  for k in next, t do n = n + 1; keys[n] = k end
  sort(keys, before)
  return function()
    while i < n do
      i = i + 1
      local v = t[keys[i]]
      if v ~= nil then return keys[i], v end
    end
  end
end

-- xs: an array, or an iterator such as ready().
local function each(xs, name)
  if type(xs) == "function" then
    return xs
  elseif type(xs) == "table" then
    local i = 0
    return function() i = i + 1; return xs[i] end
  end
  error(name .. ": expected an array or an iterator such as ready(), got " .. type(xs), 3)
end

function G.least(xs, f)
  local best, value
  for x in each(xs, "least") do
    local v = x
    if f then v = f(x) end
    if v and (not value or v < value) then best, value = x, v end
  end
  return best, value
end

function G.most(xs, f)
  local best, value
  for x in each(xs, "most") do
    local v = x
    if f then v = f(x) end
    if v and (not value or v > value) then best, value = x, v end
  end
  return best, value
end

function G.sum(xs, f)
  local total = 0
  for x in each(xs, "sum") do
    local v = x
    if f then v = f(x) end
    if v then total = total + v end
  end
  return total
end
