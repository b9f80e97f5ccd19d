/* outbox.h: a worker's outbound side.  Lock: out_lock; returns and callbacks are noted under in_lock. */
#ifndef MR_CLIENT_OUTBOX_H
#define MR_CLIENT_OUTBOX_H

#include "client/port_state.h"

/* Publishes a record.  `urgent`: the node is rung even if it sleeps as a whole (see bell rules in outbox.c). */
mr_status mr_outbox_send(mr_ring_port *p, const mr_record *r, bool urgent) MR_CHECK_RESULT;
mr_status mr_outbox_ask(mr_ring_port *p, uint32_t kind, mr_id id, uint64_t len, uint64_t at, mr_answer *out,
                        mr_err *err) MR_CHECK_RESULT;
/* Rings for what was published without ringing. */
void mr_outbox_nudge(mr_ring_port *p);
/* Notes a place to RETURN, in_lock held; mr_outbox_unlock sends it. */
void mr_outbox_return(mr_ring_port *p, mr_id id, uint64_t at);
/* Leaves in_lock, then does what must not be done under it: RETURN records, callbacks. */
void mr_outbox_unlock(mr_ring_port *p);
/* `len` bytes at a place of the carrier, to read; NULL: outside. */
const void *mr_outbox_view(mr_ring_port *p, uint64_t at, uint64_t len);

#endif
