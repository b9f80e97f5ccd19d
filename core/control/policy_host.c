/* policy_host.c: what control answers a policy: the sixteen host functions.  They change nothing (wake and rerank only
 * note the wish), never call an op, and take any handle at any time.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* The table is a member of the policy, so the control is found from it without a pointer in the ABI. */
static mr_control *of(const mr_sched_host *h)
{
    return ((const policy *)(const void *)((const char *)h - offsetof(policy, host)))->c;
}

static task *live(mr_control *c, mr_ref ref)
{
    task *t = mr_ref_is_task(ref) ? task_at(c, ref) : NULL;
    return t && !t->actor && t->where != W_PAST ? t : NULL;
}

static slot *slot_of(mr_control *c, mr_ref ref)
{
    uint32_t i = (uint32_t)ref - 1;
    return mr_ref_is_slot(ref) && i < c->n_slots && c->nodes[c->slots[i]->node]->alive ? c->slots[i] : NULL;
}

static node *node_of(mr_control *c, mr_ref ref)
{
    uint32_t i = (uint32_t)ref - 1;
    return mr_ref_is_node(ref) && i < c->n_nodes && c->nodes[i]->alive ? c->nodes[i] : NULL;
}

/* The node of a slot or node handle. */
static node *whose(mr_control *c, mr_ref ref)
{
    slot *s = slot_of(c, ref);
    return s ? c->nodes[s->node] : node_of(c, ref);
}

static int64_t host_now(const mr_sched_host *h)
{
    return of(h)->now;
}

static const mr_task *host_task(const mr_sched_host *h, mr_ref t)
{
    mr_control *c = of(h);
    task *x = live(c, t);
    if (!x || x->where == W_OVER)
        return x ? NULL : mr_bundle_find(c, t);
    if (x->where == W_RUN)
        x->v.ran = proc_at(c, x->worker)->ran + mr_stop_ran(c, x);
    return &x->v;
}

static int64_t cost_on(mr_control *c, const task *t, const slot *s)
{
    const node *n = c->nodes[s->node];
    const func *f = c->funcs[t->func - 1];
    if (!mr_node_allows(c, n, c->shapes[t->shape]))
        return INT64_MAX;
    if (c->conf.know == MR_KNOW_STATED && n->cls < f->n_classes && f->by_class[n->cls] >= 0)
        return f->by_class[n->cls];
    double ns = t->v.estimate >= 0 ? (double)t->v.estimate : 0;
    if (t->v.estimate < 0 && c->conf.know != MR_KNOW_NOTHING)
        ns = f->runs ? f->mean : c->runs ? c->mean : 1e6;
    else if (t->v.estimate < 0)
        ns = 1e6;
    return (int64_t)(ns / n->speed);
}

static const mr_worker *host_worker(const mr_sched_host *h, mr_ref w)
{
    mr_control *c = of(h);
    slot *s = slot_of(c, w);
    if (!s)
        return NULL;
    s->v.busy_until = c->now;
    if (s->t) {
        int64_t from = s->t->v.started_at >= 0 ? s->t->v.started_at : c->now;
        int64_t until = from + cost_on(c, s->t, s);
        s->v.busy_until = c->conf.know == MR_KNOW_NOTHING ? MR_UNKNOWN : until > c->now ? until : c->now;
    }
    return &s->v;
}

static const mr_node *host_node(const mr_sched_host *h, mr_ref n)
{
    node *x = node_of(of(h), n);
    return x ? &x->v : NULL;
}

/* ---------------------------------------------------------------------------------------------------------- next -- */

/* Walks all shapes of one place in order, by a head for each; the walk is kept so that each step costs O(shapes). */
task *mr_ready_next(mr_control *c, mr_ref at, task *after)
{
    policy *p = &c->pol;
    if (!mr_control_grow(c, &p->walk.head, &p->walk.room, c->n_shapes, sizeof(task *)))
        return NULL;
    bool goes_on = after && p->walk.of == at && p->walk.last == after->v.ref;
    task *best = NULL;
    uint32_t from = 0;
    for (uint32_t i = 0; i < c->n_shapes; i++) {
        const queue *q = mr_ready_queue(c, at, c->shapes[i]);
        task **head = &p->walk.head[i];
        if (!goes_on)
            *head = !q || !q->n ? NULL : after ? mr_queue_after(q, after->v.rank, after->v.entry) : mr_queue_first(q);
        if (*head && (!best || ranks_before(*head, best))) {
            best = *head;
            from = i;
        }
    }
    p->walk.of = at;
    p->walk.last = best ? best->v.ref : MR_NONE;
    if (best) {
        const queue *q = best->q;
        bool plain = !q->blocks.n && best->qb;
        p->walk.head[from] = plain ? best->qb : mr_queue_after(q, best->v.rank, best->v.entry);
    }
    return best;
}

static mr_ref next_running(mr_control *c, mr_ref of_what, mr_ref after)
{
    slot *s = slot_of(c, of_what);
    const task *t = live(c, of_what), *last = live(c, after);
    node *only = node_of(c, of_what);
    if (s)
        return !after && s->t && s->t->v.state == MR_RUNNING_NOW ? s->t->v.ref : MR_NONE;
    const mr_task *held = last ? NULL : mr_bundle_find(c, after);
    if (of_what && !t && !only)
        return MR_NONE;
    if (after && !held && (!last || !mr_list_linked(&last->run)))
        return MR_NONE;
    const node *at = last ? task_node(c, last) : held ? whose(c, held->on) : NULL;
    for (uint32_t i = only ? only->number : at ? at->number : 0; i < c->n_nodes; i++) {
        node *n = c->nodes[i];
        bool here = at == n;
        mr_link *l = here && held ? NULL : here ? mr_list_next(&n->running, &last->run) : mr_list_first(&n->running);
        for (; l; l = mr_list_next(&n->running, l)) {
            const task *r = MR_LIST_ENTRY(l, task, run);
            if (!t || mr_stop_frees(c, t, r))
                return r->v.ref;
        }
        const mr_task *next = t ? NULL : mr_bundle_next(c, n, here ? after : MR_NONE);
        if (next || only)
            return next ? next->ref : MR_NONE;
    }
    return MR_NONE;
}

static mr_ref next_node(mr_control *c, mr_ref of_what, mr_ref after)
{
    const task *t = live(c, of_what);
    if (of_what && !t)
        return MR_NONE;
    for (uint32_t i = mr_ref_is_node(after) ? (uint32_t)after : 0; i < c->n_nodes; i++)
        if (c->nodes[i]->alive && (!t || mr_node_allows(c, c->nodes[i], c->shapes[t->shape])))
            return c->nodes[i]->v.ref;
    return MR_NONE;
}

static mr_ref next_worker(mr_control *c, mr_ref of_what, mr_ref after)
{
    const task *t = live(c, of_what);
    node *only = node_of(c, of_what);
    if (of_what && !t && !only)
        return MR_NONE;
    if (only) {
        const slot *s = slot_of(c, after);
        uint32_t local = s ? s->local + 1 : 0;
        return local < only->n_slots ? c->slots[only->slots[local]]->v.ref : MR_NONE;
    }
    for (uint32_t i = mr_ref_is_slot(after) ? (uint32_t)after : 0; i < c->n_slots; i++) {
        const node *n = c->nodes[c->slots[i]->node];
        if (n->alive && (!t || mr_node_allows(c, n, c->shapes[t->shape])))
            return c->slots[i]->v.ref;
    }
    return MR_NONE;
}

static mr_ref host_next(const mr_sched_host *h, mr_list list, mr_ref what, mr_ref after)
{
    mr_control *c = of(h);
    if (list == MR_RUNNING)
        return next_running(c, what, after);
    if (list == MR_WORKERS)
        return next_worker(c, what, after);
    if (list == MR_NODES)
        return next_node(c, what, after);
    task *last = live(c, after);
    if (list != MR_READY || (what && !whose(c, what)) || (after && (!last || last->where != W_READY)))
        return MR_NONE;
    task *t = mr_ready_next(c, what, last);
    return t ? t->v.ref : MR_NONE;
}

static mr_ref host_first(const mr_sched_host *h, mr_ref queue_of, mr_ref w, bool from_end)
{
    mr_control *c = of(h);
    slot *s = slot_of(c, w);
    if (!s || s->t || (queue_of && !whose(c, queue_of)))
        return MR_NONE;
    const task *t = mr_ready_best(c, queue_of, s, from_end);
    return t ? t->v.ref : MR_NONE;
}

static bool host_can(const mr_sched_host *h, mr_ref t, mr_ref w)
{
    mr_control *c = of(h);
    const task *x = live(c, t);
    const slot *s = slot_of(c, w);
    return x && s && mr_ready_can(c, x, s);
}

static int64_t host_cost(const mr_sched_host *h, mr_ref t, mr_ref w)
{
    mr_control *c = of(h);
    const task *x = live(c, t);
    const slot *s = slot_of(c, w);
    return x && x->where != W_OVER && s ? cost_on(c, x, s) : INT64_MAX;
}

static int64_t host_copy(const mr_sched_host *h, uint64_t bytes, mr_ref from, mr_ref to)
{
    mr_control *c = of(h);
    const node *a = whose(c, from), *b = whose(c, to);
    double move = (double)c->conf.latency;
    if ((from && !a) || (to && !b))
        return INT64_MAX;
    if (a && a == b)
        return 0;
    if (c->conf.bandwidth)
        move += (double)bytes * 1e9 / (double)c->conf.bandwidth;
    if (!a || !b) /* over all pairs, a node with itself included */
        move *= c->n_alive ? (double)(c->n_alive - 1) / c->n_alive : 0;
    return (int64_t)move;
}

static uint64_t host_missing(const mr_sched_host *h, mr_ref t, mr_ref w)
{
    mr_control *c = of(h);
    const task *x = live(c, t);
    const node *n = whose(c, w);
    uint64_t bytes = 0;
    for (uint32_t i = 0; x && n && x->where != W_OVER && i < x->n_deps; i++) {
        const object *o = object_at(c, x->ids[i]);
        if (o && o->state == MR_OBJ_SEALED && (o->vflags & MR_VALUE_STORED) && !mr_object_on(o, n->number))
            bytes += o->size;
    }
    return bytes;
}

/* --------------------------------------------------------------------------------------------------------- edges -- */

static void fill_edge(mr_control *c, const object *o, const task *other, mr_edge *out)
{
    *out = (mr_edge){.task = other && other->where != W_OVER && other->where != W_PAST ? other->v.ref : MR_NONE};
    if (settled(o)) {
        uint32_t at = mr_object_source(c, o);
        out->node = at < c->n_nodes ? c->nodes[at]->v.ref : MR_NONE;
        out->bytes = o->size;
    } else if (c->conf.know == MR_KNOW_STATED && o->size) {
        out->bytes = o->size;
    } else if (object_task(o)) {
        const task *maker = task_at(c, object_task(o));
        out->bytes = maker && c->conf.know != MR_KNOW_NOTHING ? (uint64_t)c->funcs[maker->func - 1]->mean_bytes : 0;
    }
}

static bool host_edge(const mr_sched_host *h, mr_ref ref, bool succ, uint32_t i, mr_edge *out)
{
    mr_control *c = of(h);
    const task *t = live(c, ref);
    if (!t || t->where == W_OVER)
        return false;
    if (!succ) {
        const object *o = i < t->n_deps ? object_at(c, t->ids[i]) : NULL;
        if (!o)
            return false;
        fill_edge(c, o, object_task(o) ? task_at(c, object_task(o)) : NULL, out);
        return true;
    }
    for (uint32_t r = 0; r < t->n_returns; r++) {
        const object *o = object_at(c, t->v.ref + r);
        const dep *d = o && o->deps ? o->deps->next : NULL;
        for (; d; d = d == o->deps ? NULL : d->next)
            if (i-- == 0) {
                fill_edge(c, o, d->t, out);
                return true;
            }
    }
    return false;
}

static const char *host_label(const mr_sched_host *h, mr_ref t, const char *key)
{
    mr_control *c = of(h);
    const task *told = c->pol.telling, *x = told && told->v.ref == t ? told : live(c, t);
    if (!x || (x->where == W_OVER && x != told))
        return NULL;
    const mr_define *d = c->funcs[x->func - 1]->def;
    const mr_named *named = mr_record_bytes(d, sizeof *d);
    const mr_label *l = (const void *)(named + d->n_needs + d->n_living);
    for (uint32_t i = 0; i < d->n_labels; i++)
        if (!strcmp(l[i].key, key))
            return l[i].value;
    return NULL;
}

static const char *host_text(const mr_sched_host *h, uint32_t number)
{
    mr_control *c = of(h);
    if (number & MR_TEXT_RES)
        return mr_intern_text(c->res, (number & ~MR_TEXT_RES) + 1);
    return mr_intern_text(c->names, number);
}

static uint64_t host_random(const mr_sched_host *h)
{
    return mr_rand_next(&of(h)->pol.rand);
}

static void host_wake(const mr_sched_host *h, int64_t at)
{
    mr_control *c = of(h);
    policy *p = &c->pol;
    if (at <= c->now)
        at = c->now + 1;
    if (p->wake_at < 0 || at < p->wake_at)
        p->wake_at = at;
}

static void host_rerank(const mr_sched_host *h, mr_ref t)
{
    policy *p = &of(h)->pol;
    if (!t || !mr_control_grow(p->c, &p->rerank, &p->room_rerank, p->n_rerank + 1, sizeof *p->rerank))
        p->rerank_all = true; /* also when there is no memory to say which */
    else
        p->rerank[p->n_rerank++] = t;
}

void mr_policy_host_init(mr_control *c, const mr_host *base)
{
    c->pol.host = (mr_sched_host){.size = sizeof(mr_sched_host),
                                  .base = base,
                                  .now = host_now,
                                  .task = host_task,
                                  .worker = host_worker,
                                  .node = host_node,
                                  .next = host_next,
                                  .first = host_first,
                                  .can = host_can,
                                  .cost = host_cost,
                                  .copy = host_copy,
                                  .missing = host_missing,
                                  .edge = host_edge,
                                  .label = host_label,
                                  .text = host_text,
                                  .random = host_random,
                                  .wake = host_wake,
                                  .rerank = host_rerank};
}
