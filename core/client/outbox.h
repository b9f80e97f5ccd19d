/* outbox.h: a worker's outbound side.  Lock: out_lock; returns and callbacks are noted under in_lock. */
#ifndef MR_CLIENT_OUTBOX_H
#define MR_CLIENT_OUTBOX_H

#include "client/port_state.h"

/* Publishes a record, or keeps a copy for when there is room; never waits, so locks may be held.  `urgent`: the node is
 * rung even if it sleeps as a whole (see bell rules in outbox.c).  A record too large for the ring (over MR_RECORD_MAX)
 * asks for room first: that waits, and no lock may be held.  Errors: CLOSED. */
mr_status mr_outbox_send(mr_ring_port *p, const mr_record *r, bool urgent) MR_CHECK_RESULT;
mr_status mr_outbox_ask(mr_ring_port *p, uint32_t kind, mr_id id, uint64_t len, uint64_t at, mr_answer *out,
                        mr_err *err) MR_CHECK_RESULT;
/* Waits until what this thread has sent is in the ring; no lock held.  `interruptible`: of the main thread a cancel
 * ends the wait (and is not taken).  After a wait that ended early, what is left goes with what is sent next.  Errors:
 * CLOSED, TIMEOUT, INTERRUPTED. */
mr_status mr_outbox_push(mr_ring_port *p, int64_t deadline, bool interruptible) MR_CHECK_RESULT;
/* The end of whatever sends: nothing stays behind while this thread goes on, except by a cancel. */
void mr_outbox_settle(mr_ring_port *p);
/* Takes back the BLOCKED record with `token`; false: it was sent. */
bool mr_outbox_unsend(mr_ring_port *p, uint32_t token);
/* Wakes those who wait for room: the port is closing. */
void mr_outbox_stir(mr_ring_port *p);
void mr_outbox_fini(mr_ring_port *p);
/* Rings for what was published without ringing. */
void mr_outbox_nudge(mr_ring_port *p);
/* Notes a place to RETURN, in_lock held; mr_outbox_unlock sends it. */
void mr_outbox_return(mr_ring_port *p, mr_id id, uint64_t at);
/* Leaves in_lock, then does what must not be done under it: RETURN records, callbacks. */
void mr_outbox_unlock(mr_ring_port *p);
/* `len` bytes at a place of the carrier, to read; NULL: outside. */
const void *mr_outbox_view(mr_ring_port *p, uint64_t at, uint64_t len);

#endif
