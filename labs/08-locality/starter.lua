-- First come first served, wherever a slot is free.
--
-- place(t) answers the node or slot whose queue t enters; missing(t, n) is how many bytes of t's inputs are not on n.
return {}
