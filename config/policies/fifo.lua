-- First in, first out, by entry into the ready queue; steps over what does not fit now.
-- Good: no state, no starving among equals, the cheapest there is.  Bad: short work waits behind long work, and a task
-- that needs a whole node waits while small ones keep coming (see fcfs, easy).
-- Source: none is needed: it is what control does when a policy answers nothing.
return {}
