/* held.h: values that this process can read without asking. */
#ifndef MR_CLIENT_HELD_H
#define MR_CLIENT_HELD_H

#include "client/port_state.h"

mr_blob *mr_blob_new(size_t len);
void mr_blob_drop(mr_blob *b);
/* in_lock held.  `v` is consumed: kept, or given back when there is one already and nobody can be looking at it
 * (!seen). */
void mr_held_put(mr_ring_port *p, mr_id id, const mr_held *v, bool seen);
void mr_held_fini(mr_ring_port *p);
/* What the record or carrier says of a dependency; the blob is not yet owned. */
mr_status mr_held_read(mr_ring_port *p, const mr_record *r, const mr_dep *d, mr_held *out) MR_CHECK_RESULT;
mr_status mr_held_value(mr_ring_port *p, mr_id id, mr_value *out) MR_CHECK_RESULT;
bool mr_held_has(mr_ring_port *p, mr_id id, bool *error); /* in_lock held */
void mr_held_forget(mr_ring_port *p, mr_id id);
void mr_held_unview(mr_ring_port *p, mr_id id, uint32_t n);
void mr_held_idle(mr_ring_port *p); /* in_lock held: gives back what is lent and not looked at */

#endif
