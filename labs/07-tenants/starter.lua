-- First come first served: no hook at all.
--
-- t.user is who sent the task.  rank(t), small first, is asked once when t is ready; started(t, w), done(t, w, ran)
-- and dropped(t) tell what happens afterwards.
return {}
