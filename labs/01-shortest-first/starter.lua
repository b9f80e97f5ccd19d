-- Order of the queue: the task with the smallest rank goes first.
-- This one takes the newest first.  Change it.
return {
  rank = function(t)
    return -t.entry
  end,
}
