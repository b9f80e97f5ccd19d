-- Whoever is free takes the first task; a slow server too.
--
-- pick(w) answers the task that slot w shall run, or nil to leave it idle.  cost(t, w) is what t takes on w.
return {
  pick = function(w)
    return first(nil, w)
  end,
}
