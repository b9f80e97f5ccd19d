/* waiters.h: the threads of a worker that wait for something that the node will say. */
#ifndef MR_CLIENT_WAITERS_H
#define MR_CLIENT_WAITERS_H

#include "client/port_state.h"

/* join, then send the request, then wait (inbox.h), then part: a reply finds its waiter whenever it comes. */
void mr_waiters_join(mr_ring_port *p, mr_waiter *w, int kind);
void mr_waiters_part(mr_ring_port *p, mr_waiter *w);
/* All that follow: in_lock held. */
void mr_waiters_stir(mr_ring_port *p); /* all look again */
/* Wakes those who wait for `kind` (and `task`, if not 0). */
void mr_waiters_done(mr_ring_port *p, int kind, mr_id task);
void mr_waiters_wake(mr_ring_port *p, mr_waiter *w);
mr_waiter *mr_waiters_find(mr_ring_port *p, uint32_t token); /* NULL: it was given up */

#endif
