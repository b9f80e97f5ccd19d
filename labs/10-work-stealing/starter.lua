-- First come first served from one shared queue: every child's input travels to whoever is free.
--
-- t.from is the slot that made t ready.  first(q, w) and last(q, w) are the first and the last task of the queue q
-- (a slot, a node, or nil for the shared one) that can start on w.
return {}
