-- The shortest task first.  t.deadline is when t should have ended, in ns since the run began.
return {
  rank = function(t)
    return t.estimate
  end,
}
