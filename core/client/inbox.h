/* inbox.h: reading what the node says; who waits, reads. */
#ifndef MR_CLIENT_INBOX_H
#define MR_CLIENT_INBOX_H

#include "client/port_state.h"

/* For a waiter that has joined (waiters.h).  OK, TIMEOUT, CLOSED; INTERRUPTED and CANCELLED only if `interruptible`. */
mr_status mr_inbox_wait(mr_ring_port *p, mr_waiter *w, int64_t deadline, bool interruptible) MR_CHECK_RESULT;
/* Reads what is there, without waiting; in_lock held. */
void mr_inbox_look(mr_ring_port *p);
void mr_inbox_stop(mr_ring_port *p);
mr_status mr_inbox_watch(mr_ring_port *p) MR_CHECK_RESULT; /* starts the watcher; in_lock not held */

#endif
