-- The longest task first: good for independent tasks.  What is the worst graph for it?
return {
  rank = function(t)
    return t.estimate and -t.estimate or 0
  end,
}
