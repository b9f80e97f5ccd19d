/* sched_locality.c: run a task where most of its argument bytes are; let it wait a little for that place.
 *
 * `place` queues a task at the node that misses the fewest bytes.  A slot serves its own node's queue, then the shared
 * one, and takes another node's task only after that task has been ready for `delay`: delay scheduling (Zaharia et al.,
 * EuroSys 2010).  State: the host table and one number, so nothing to lock and nothing that can go stale.
 */
#include <miniray/plugin.h>
#include <miniray/sched.h>

struct locality {
    const mr_sched_host *host;
    int64_t delay; /* ns a task is kept for the node that holds its bytes */
};

static mr_status locality_open(void **self, const mr_sched_host *h, mr_err *err)
{
    struct locality *l = h->base->alloc(h->base, sizeof *l);
    (void)err;
    if (!l)
        return MR_E_NOMEM;
    l->host = h;
    l->delay = h->base->conf_int(h->base, "delay", 50 * 1000 * 1000);
    *self = l;
    return MR_OK;
}

static void locality_close(void *self)
{
    struct locality *l = self;
    l->host->base->free(l->host->base, l);
}

static mr_ref locality_place(void *self, const mr_task *t)
{
    const mr_sched_host *h = ((struct locality *)self)->host;
    mr_ref best = MR_NONE;
    uint64_t least = t->bytes; /* a node that holds nothing is no better than any other */
    for (mr_ref n = MR_NONE; (n = h->next(h, MR_NODES, t->ref, n));) {
        uint64_t missing = h->missing(h, t->ref, n);
        if (missing < least) {
            best = n;
            least = missing;
        }
    }
    return best;
}

static mr_ref locality_pick(void *self, const mr_worker *w)
{
    const struct locality *l = self;
    const mr_sched_host *h = l->host;
    mr_ref n = MR_NONE, t = h->first(h, w->node, w->ref, false);
    if (!t)
        t = h->first(h, MR_NONE, w->ref, false);
    while (!t && (n = h->next(h, MR_NODES, MR_NONE, n))) {
        mr_ref far = h->first(h, n, w->ref, false);
        int64_t ripe = far ? h->task(h, far)->ready_at + l->delay : 0;
        if (far && h->now(h) >= ripe)
            t = far;
        else if (far)
            h->wake(h, ripe);
    }
    return t;
}

static const mr_conf_key keys[] = {
    {"delay", MR_CONF_DURATION, "50ms", "how long a task waits for a slot of the node that holds its arguments"},
};
static const mr_sched_ops ops = {
    .open = locality_open, .close = locality_close, .place = locality_place, .pick = locality_pick};

MR_PLUGIN(MR_KIND_SCHED, "sched-locality", "tasks go to the node that holds their bytes, with delay scheduling", ops,
          keys, 1)
