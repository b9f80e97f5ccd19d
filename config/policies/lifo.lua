-- Last in, first out.
-- Good: what was just made is still near, and trees are walked depth first, so that little memory is alive.
-- Bad: under load the oldest task may wait for ever.
return { rank = function(t) return -t.entry end }
