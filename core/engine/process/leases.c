/* leases.c: owns the part of the carrier that each worker may fill without asking.
 *
 * A worker that makes stored values of a middling size is lent room for some of them.  It takes pieces from the front
 * and tells of each (SPLIT) in its ring, ahead of the record that seals it; so the store splits the same pieces in the
 * same order, and what a killed worker had not told of goes back with the rest.  At most one lease for each worker,
 * and only where values lie in the carrier itself: else they need room in two stores.  Lock: the node list's.
 */
#include "engine/process/leases.h"
#include "engine/process/room.h"

#include "base/log.h"

enum { PIECES = 16, PIECES_LEAST = 4, LEASE_MOST = 4 << 20, PARTS = 256 };

static uint64_t rounded(uint64_t len)
{
    return (len + MR_STORE_ALIGN - 1) & ~(uint64_t)(MR_STORE_ALIGN - 1);
}

void mr_lease_end(mr_nodes *n, mr_peer *p)
{
    mr_place *c = mr_carrier(n);
    if (p->lease && c->ops->abort(c->self, p->lease))
        mr_log(MR_LOG_ERROR, "engine", "the store keeps the lease of worker %u", p->worker);
    p->lease = MR_NO_ID;
    p->lease_left = 0;
}

uint64_t mr_leases_left(const mr_nodes *n)
{
    uint64_t left = 0;
    for (uint32_t l = 0; l < n->n_links; l++)
        left += n->peer[l] ? n->peer[l]->lease_left : 0;
    return left;
}

/* A full store lends nothing, nor a small one much. */
void mr_lease_grant(mr_nodes *n, mr_peer *p, const mr_ask *a)
{
    mr_place *c = mr_carrier(n);
    uint64_t piece = a->len <= LEASE_MOST ? rounded(a->len) : LEASE_MOST, most = n->capacity / PARTS, want;
    mr_region r = {.at = 0};
    mr_lease_end(n, p);
    if (!a->len)
        return; /* it only gave back what it had */
    most = most < LEASE_MOST ? most & ~(uint64_t)(MR_STORE_ALIGN - 1) : LEASE_MOST;
    want = piece * PIECES < most ? piece * PIECES : most;
    if (n->carried || !c->ops->split || n->hungry || n->spill.writing || want < piece * PIECES_LEAST)
        want = 0;
    mr_id id = want ? mr_carry_id(n) : MR_NO_ID;
    if (want && !mr_room_create(n, c, id, want, &r)) {
        p->lease = id;
        p->lease_left = want;
    }
    mr_peer_reply(n, p, MR_ORD_REPLY, a->h.token, MR_OK, r.at, p->lease_left, NULL, 0);
}

void mr_lease_split(mr_nodes *n, mr_peer *p, const mr_ask *a)
{
    mr_place *c = mr_carrier(n);
    mr_created *made = mr_carry_make(p);
    mr_region r;
    if (!a->id || a->id >> 48 >= MR_NAMED_NODE || !a->len || !p->lease || a->len > p->lease_left) {
        mr_peer_drop(n, p, "made an object in memory that it was not lent");
        return;
    }
    mr_status status = made ? c->ops->split(c->self, p->lease, a->id, a->len, &r) : MR_E_NOMEM;
    if (status || r.at != a->at) {
        mr_peer_drop(n, p, status ? mr_status_text(status) : "made an object at another place than the store");
        return;
    }
    p->lease_left -= rounded(a->len);
    if (!p->lease_left)
        mr_lease_end(n, p); /* the worker has nothing to give back, and it would lie between two gaps */
    *made = (mr_created){.id = a->id, .under = a->id, .region = r};
    p->n_created++;
}
