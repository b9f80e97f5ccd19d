-- A list policy: whenever a slot is free, the first task of the list that is ready starts.
-- The list is the order in which the tasks were written down.  Find a better one.
--
-- t.succs[i].task is the i-th task that waits for t, t.n_succs how many there are; most(t.succs, f) gives the
-- largest f(e) over them, as its second result.
return {
  rank = function(t)
    return t.seq
  end,
}
