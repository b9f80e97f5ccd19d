/* backlog.h: tasks given to this worker and not taken by a thread yet, and the functions that it was told of.
 * All in_lock held, unless said otherwise. */
#ifndef MR_CLIENT_BACKLOG_H
#define MR_CLIENT_BACKLOG_H

#include "client/port_state.h"

/* A DISPATCH; `whole`: the heap copy that r lies in, which it may come to own too; NULL: r is copied. */
mr_status mr_backlog_put(mr_ring_port *p, const mr_record *r, mr_blob *whole) MR_CHECK_RESULT;
mr_status mr_backlog_note(mr_ring_port *p, int kind, mr_id task) MR_CHECK_RESULT;
void mr_backlog_allow(mr_ring_port *p, mr_id task, uint64_t items);
/* The first that was not taken back, which is then the thread's, in p->open; NULL: none. */
mr_call *mr_backlog_take(mr_ring_port *p);
void mr_backlog_free(mr_call *c);      /* out of every list */
void mr_backlog_fini(mr_ring_port *p); /* no lock: nobody else is there any more */
mr_known_func *mr_backlog_func(mr_ring_port *p, uint32_t number);
mr_status mr_backlog_define(mr_ring_port *p, uint32_t number, const mr_define *def, size_t len) MR_CHECK_RESULT;

#endif
