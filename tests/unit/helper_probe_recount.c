/* helper_probe_recount.c: see helper_probe_recount.h. */
#include "helper_probe_recount.h"

#include "helper_probe.h"

bool probe_queued(const mr_task *t)
{
    return t && (t->state == MR_READY_NOW || t->state == MR_STOPPED_NOW);
}

static uint64_t ready_count(mr_ref at, uint64_t *all)
{
    uint64_t n = 0;
    const mr_task *before = NULL;
    for (mr_ref r = MR_NONE; (r = probe.h->next(probe.h, MR_READY, at, r)); n++) {
        const mr_task *t = probe.h->task(probe.h, r);
        OUGHT(P_RECOUNT, t && probe_of(r)->last == 'R' && probe_queued(t) && n < MOST);
        OUGHT(P_RECOUNT, !before || before->rank < t->rank || (before->rank == t->rank && before->entry < t->entry));
        before = t;
    }
    *all += n;
    return n;
}

void probe_recount(void)
{
    uint64_t listed = 0, expected = 0;
    ready_count(MR_NONE, &listed);
    for (mr_ref n = MR_NONE; (n = probe.h->next(probe.h, MR_NODES, MR_NONE, n));)
        ready_count(n, &listed);
    for (mr_ref s = MR_NONE; (s = probe.h->next(probe.h, MR_WORKERS, MR_NONE, s));) {
        const mr_worker *k = probe.h->worker(probe.h, s);
        uint64_t queued = ready_count(s, &listed);
        OUGHT(P_RECOUNT, k->ref == s && k->load == queued + (k->task != MR_NONE));
    }
    for (mr_ref r = BASE; r < BASE + MOST; r++) {
        const mr_task *t = probe_of(r)->last == 'R' ? probe.h->task(probe.h, r) : NULL;
        expected += probe_queued(t);
    }
    OUGHT(P_RECOUNT, listed == expected);
}

mr_ref probe_node_of(mr_ref slot)
{
    if (mr_ref_is_node(slot))
        return slot;
    const mr_worker *k = probe.h->worker(probe.h, slot);
    return k ? k->node : MR_NONE;
}

void probe_pools(void)
{
    for (mr_ref n = MR_NONE; (n = probe.h->next(probe.h, MR_NODES, MR_NONE, n));) {
        const mr_node *k = probe.h->node(probe.h, n);
        for (uint32_t i = 0; i < k->n_res; i++) {
            int64_t sum = k->free[i].amount;
            for (mr_ref r = MR_NONE; (r = probe.h->next(probe.h, MR_RUNNING, n, r));) {
                const mr_task *t = probe.h->task(probe.h, r);
                OUGHT(P_POOLS, t && t->state != MR_OVER && probe_node_of(t->on) == n);
                bool lends = i == MR_RES_CPU && t->kind == MR_TASK && mr_ref_is_node(t->on); /* it is blocked */
                for (uint32_t x = 0; !lends && x < t->n_needs; x++)
                    sum += t->needs[x].res == k->free[i].res ? t->needs[x].amount : 0;
            }
            for (mr_ref r = BASE; r < BASE + MOST; r++) { /* a stopped one keeps all but its CPU */
                const mr_task *t = probe_of(r)->last ? probe.h->task(probe.h, r) : NULL;
                for (uint32_t x = 0; t && t->state == MR_STOPPED_NOW && t->on == n && x < t->n_needs; x++)
                    sum += t->needs[x].res == k->free[i].res && i != MR_RES_CPU ? t->needs[x].amount : 0;
            }
            OUGHT(P_POOLS, sum == k->total[i].amount);
        }
    }
}

/* Its arguments are as many as the view says; whoever waits for it is one of its successors, and the other way round.
 */
void probe_edges(const mr_task *t)
{
    mr_edge e;
    OUGHT(P_RECOUNT, !probe.h->edge(probe.h, t->ref, false, t->n_preds, &e));
    for (uint32_t i = 0; i < t->n_preds; i++)
        OUGHT(P_RECOUNT, probe.h->edge(probe.h, t->ref, false, i, &e) && e.task != t->ref);
    for (uint32_t i = 0; probe.h->edge(probe.h, t->ref, true, i, &e); i++) {
        const mr_task *waiter = e.task ? probe.h->task(probe.h, e.task) : NULL;
        OUGHT(P_RECOUNT, i < t->n_succs && (!waiter || waiter->n_preds > 0));
    }
}
