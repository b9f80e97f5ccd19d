/* lease.h: a worker's own part of the carrier, from which it creates without asking the node.  Lock: lease.lock. */
#ifndef MR_CLIENT_LEASE_H
#define MR_CLIENT_LEASE_H

#include "client/port_state.h"

/* `len` writable bytes for object `id`, which no process has begun to make before; the node learns of it.  False: ask
 * the node. */
bool mr_lease_take(mr_ring_port *p, mr_id id, uint64_t len, mr_region *out);
void mr_lease_drop(mr_ring_port *p); /* gives back what is left */

#endif
