-- The shortest operation first.
--
-- t.fn says on which machine the operation runs, t.succs[i].task is the operation of the same job that follows.
return {
  rank = function(t)
    return t.estimate
  end,
}
