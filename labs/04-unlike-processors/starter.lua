-- Each task goes to the processor that runs it fastest, in order of arrival.  Neither queues nor copies are thought of.
--
-- cost(t, w)            ns that t takes on w
-- copy(bytes, from, to) ns that a copy takes between two nodes; copy(bytes) the mean
-- t.preds[i].task, .bytes, .node; t.succs[i].task, .bytes
-- plan(t) is asked for each task when all are known, place(t) when t is ready; both may answer a slot.
return {
  place = function(t)
    return (least(workers(t), function(w) return cost(t, w) end))
  end,
}
