/* lease.c: owns the extent of the carrier that this worker was lent (the node's side: engine/process/leases.c).
 *
 * Asking costs a round trip for each result, and the node may be asleep.  A lease is asked for at the second value of a
 * middling size; a node that lends nothing is asked again after many of them.  Lock: lease.lock, taken before out_lock:
 * pieces are told of in the order in which they are taken.
 */
#include "client/lease.h"

#include "base/log.h"
#include "client/outbox.h"

enum { PIECE_MOST = 1 << 20, ASK_AGAIN = 64, POPULATE_FROM = 64 << 10 };

/* lease.lock is left and taken again; others ask the node meanwhile. */
static void renew(mr_ring_port *p, uint64_t len)
{
    const mr_store_ops *ops = &p->loaded->ops.store;
    mr_answer a;
    mr_region all = {.len = 0};
    p->lease.left = 0;
    p->lease.wait = ASK_AGAIN;
    p->lease.asking = true;
    pthread_mutex_unlock(&p->lease.lock);
    if (!mr_outbox_ask(p, MR_ASK_LEASE, MR_NO_ID, len, 0, &a, NULL) && a.value2)
        all = (mr_region){.data = ops->view(p->carrier, a.value, a.value2, true), .len = a.value2, .at = a.value};
    bool good = all.data && !(all.len >= POPULATE_FROM && ops->populate && ops->populate(p->carrier, &all));
    pthread_mutex_lock(&p->lease.lock);
    p->lease.asking = false;
    if (!good)
        return; /* the next one takes its place */
    p->lease.wait = 0;
    p->lease.at = a.value;
    p->lease.left = a.value2;
}

bool mr_lease_take(mr_ring_port *p, mr_id id, uint64_t len, mr_region *out)
{
    uint64_t need = (len + MR_STORE_ALIGN - 1) & ~(uint64_t)(MR_STORE_ALIGN - 1);
    mr_ask ask = {.h = {.size = sizeof(ask), .kind = MR_ASK_SPLIT, .version = MR_RECORD_VERSION}, .id = id, .len = len};
    if (!len || len > PIECE_MOST || !p->carrier)
        return false;
    pthread_mutex_lock(&p->lease.lock);
    if (p->lease.left < need && !p->lease.asking) {
        if (p->lease.wait)
            p->lease.wait--;
        else
            renew(p, len);
    }
    bool taken = p->lease.left >= need;
    ask.at = p->lease.at;
    if (taken) {
        p->lease.at += need;
        p->lease.left -= need;
        taken = !mr_outbox_send(p, &ask.h, false);
    }
    pthread_mutex_unlock(&p->lease.lock);
    if (taken)
        *out = (mr_region){.data = p->loaded->ops.store.view(p->carrier, ask.at, len, true), .len = len, .at = ask.at};
    return taken;
}

void mr_lease_drop(mr_ring_port *p)
{
    mr_ask ask = {.h = {.size = sizeof(ask), .kind = MR_ASK_LEASE, .version = MR_RECORD_VERSION}};
    pthread_mutex_lock(&p->lease.lock);
    if (p->lease.left && mr_outbox_send(p, &ask.h, false))
        mr_log(MR_LOG_DEBUG, "client", "the node is gone: it takes everything back");
    p->lease.left = 0;
    p->lease.wait = ASK_AGAIN;
    pthread_mutex_unlock(&p->lease.lock);
}
