/* leases.h: extents of the carrier that are lent to workers, so that they create results without asking.  Lock: the
 * node list's. */
#ifndef MR_ENGINE_PROCESS_LEASES_H
#define MR_ENGINE_PROCESS_LEASES_H

#include "engine/process/node.h"

void mr_lease_grant(mr_nodes *n, mr_peer *p, const mr_ask *a); /* MR_ASK_LEASE */
void mr_lease_split(mr_nodes *n, mr_peer *p, const mr_ask *a); /* MR_ASK_SPLIT */
void mr_lease_end(mr_nodes *n, mr_peer *p);                    /* what is left goes back to the store */
uint64_t mr_leases_left(const mr_nodes *n); /* bytes that count as used in the carrier and hold no object */

/* carry.c */
mr_id mr_carry_id(mr_nodes *n);        /* a fresh one */
mr_created *mr_carry_make(mr_peer *p); /* room for one more, which is not counted yet; NULL: no memory */

#endif
