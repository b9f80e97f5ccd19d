/* explain.c: [sched] explain: what was decided, when, among whom, and by which line of the policy; the last of it.
 *
 * It stands between control and the policy as a policy of its own: control asks it, it asks the real one and writes
 * down the answer.  So without it nothing is on the way of a task, not even a test.  A start is written down when it is
 * told, at the end of its instant: the candidates are those that were left in the queues then.  What kept a task from
 * starting is written to its READY at the close of that instant.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

enum { KEPT = 1 << 15 };

struct explain {
    mr_control *c;
    mr_sched_ops ops; /* of the real one */
    void *self;
    uint32_t notices;
    uint64_t n, judged; /* ever; judged: up to there mr_explain_waits has looked */
    mr_decision v[KEPT];
};

bool mr_explain_new(mr_control *c)
{
    c->explain = mr_control_alloc(c, sizeof *c->explain);
    if (c->explain)
        c->explain->c = c;
    return c->explain != NULL;
}

static mr_decision *add(struct explain *x, mr_decided what, const mr_task *t)
{
    mr_decision *d = &x->v[x->n++ % KEPT];
    *d = (mr_decision){.at = x->c->now, .what = what, .n_ready = x->c->n_ready};
    if (t) {
        const task *own = (const task *)(const void *)t;
        d->task = t->ref;
        d->func = own->func;
        d->rank = t->rank;
        d->entry = t->entry;
    }
    return d;
}

static void add_line(struct explain *x, mr_decision *d)
{
    d->line = x->ops.line ? x->ops.line(x->self) : 0;
}

/* ---------------------------------------------------------------------------------------------------- candidates -- */

/* Up to MR_CANDIDATES of one queue, merged into what is there by (rank, entry). */
static void gather(mr_control *c, mr_decision *d, mr_ref of)
{
    task *t = NULL;
    for (uint32_t k = 0; k < MR_CANDIDATES && (t = mr_ready_next(c, of, t)); k++) {
        uint32_t at = d->n_candidates;
        while (at && t->v.rank < d->candidates[at - 1].rank)
            at--;
        if (at == MR_CANDIDATES)
            return;
        uint32_t last = d->n_candidates < MR_CANDIDATES ? d->n_candidates++ : MR_CANDIDATES - 1;
        memmove(&d->candidates[at + 1], &d->candidates[at], (last - at) * sizeof d->candidates[0]);
        d->candidates[at].task = t->v.ref;
        d->candidates[at].rank = t->v.rank;
        d->candidates[at].func = t->func;
    }
}

static void candidates(mr_control *c, mr_decision *d, const slot *s)
{
    gather(c, d, MR_NONE);
    if (c->placed) {
        gather(c, d, s->v.ref);
        gather(c, d, s->v.node);
    }
    c->pol.walk.last = MR_NONE;
}

/* Why `p`, which stands before the one that took seat and `needs` on `n`, did not start there. */
static void passed(mr_control *c, mr_decision *d, const task *p, const task *took, const node *n)
{
    const shape *s = c->shapes[p->shape];
    d->why = MR_PASSED_CHOICE;
    if (!mr_caps_allow(s))
        d->why = MR_PASSED_LIMIT;
    else if (!mr_node_allows(c, n, s))
        d->why = MR_PASSED_NODE;
    for (uint32_t i = 0; d->why == MR_PASSED_CHOICE && !s->group && i < s->n_needs; i++) {
        uint32_t res = s->needs[i].res;
        int64_t had = res < n->v.n_res ? n->own.free[res].amount : 0;
        for (uint32_t k = 0; took && k < took->v.n_needs; k++)
            if (took->v.needs[k].res == res)
                had += took->v.needs[k].amount;
        if (had >= s->needs[i].amount)
            continue;
        d->why = MR_PASSED_ROOM;
        d->res = res;
        d->had = had;
        d->wanted = s->needs[i].amount;
    }
}

static slot *slot_at(mr_control *c, const mr_worker *w)
{
    return w ? c->slots[w->id] : NULL;
}

static void add_start(struct explain *x, const mr_notice *n)
{
    mr_control *c = x->c;
    mr_decision *d = add(x, MR_DECIDED_START, n->task);
    const task *t = (const task *)(const void *)n->task;
    const shape *sh = c->shapes[t->shape];
    const slot *s = slot_at(c, n->worker);
    d->bound = sh->group                            ? MR_BOUND_GROUP
               : sh->strategy == MR_STRATEGY_NODE   ? MR_BOUND_NODE
               : sh->n_terms                        ? MR_BOUND_LABELS
               : sh->strategy == MR_STRATEGY_SPREAD ? MR_BOUND_SPREAD
                                                    : 0;
    if (!s)
        return;
    d->slot = s->v.id + 1;
    candidates(c, d, s);
    const task *first = d->n_candidates ? task_live(c, d->candidates[0].task) : NULL;
    if (first && ranks_before(first, t))
        passed(c, d, first, t, c->nodes[s->node]);
}

void mr_explain_waits(mr_control *c)
{
    struct explain *x = c->explain;
    if (x->n - x->judged > KEPT)
        x->judged = x->n - KEPT;
    for (; x->judged < x->n; x->judged++) {
        mr_decision *d = &x->v[x->judged % KEPT];
        const task *t = d->what == MR_DECIDED_READY ? task_live(c, d->task) : NULL;
        if (t && t->where == W_READY)
            mr_show_lack(c, t, d);
        else if (t && (t->where == W_TRAVEL || t->where == W_PROCESS))
            d->why = t->where == W_TRAVEL ? MR_PASSED_TRAVEL : MR_PASSED_PROCESS;
    }
}

const char *mr_control_wanted(const mr_control *c, const mr_decision *d)
{
    bool cap = d->what == MR_DECIDED_READY && (d->why == MR_PASSED_QUOTA || d->why == MR_PASSED_LIMIT);
    return cap ? mr_intern_text(c->names, d->res) : mr_control_resource(c, d->res);
}

/* ----------------------------------------------------------------------------------------------------------- ops -- */

/* The task whose end, just now on the slot that `t` is told to come from, made it ready. */
static mr_id ended_on(const struct explain *x, mr_ref from)
{
    for (uint64_t i = x->n; i && x->n - i < KEPT; i--) {
        const mr_decision *d = &x->v[(i - 1) % KEPT];
        if (d->at != x->c->now)
            break;
        if (d->what == MR_DECIDED_END && d->slot == (uint32_t)from)
            return d->task;
    }
    return MR_NO_ID;
}

static void explain_notice(void *self, const mr_notice *n)
{
    struct explain *x = self;
    mr_decision *d;
    switch (x->c->pol.again ? MR_SUBMITTED : n->what) { /* what is told again was written down */
    case MR_BECAME_READY: {
        mr_id by = mr_ref_is_slot(n->task->from) ? ended_on(x, n->task->from) : MR_NO_ID;
        d = add(x, MR_DECIDED_READY, n->task);
        d->answer = by;
        d->bound = n->task->n_preds ? MR_BOUND_ARGS : 0;
        break;
    }
    case MR_STARTED:
        add_start(x, n);
        break;
    case MR_STOPPED:
    case MR_DONE:
    case MR_DROPPED:
        d = add(x,
                n->what == MR_STOPPED ? MR_DECIDED_STOP
                : n->what == MR_DONE  ? MR_DECIDED_END
                                      : MR_DECIDED_DROP,
                n->task);
        d->slot = n->worker ? n->worker->id + 1 : 0;
        d->had = n->ran;
        break;
    case MR_SUBMITTED:
    case MR_WOKEN:
        break;
    }
    if (x->notices & n->what)
        x->ops.notice(x->self, n);
}

static double explain_rank(void *self, const mr_task *t)
{
    struct explain *x = self;
    double rank = x->ops.rank(x->self, t);
    mr_decision *d = add(x, MR_DECIDED_RANK, t);
    d->rank = rank;
    add_line(x, d);
    return rank;
}

static mr_ref ask_where(struct explain *x, mr_decided what, mr_ref (*op)(void *self, const mr_task *t),
                        const mr_task *t)
{
    mr_ref at = op(x->self, t);
    mr_decision *d = add(x, what, t);
    d->answer = at;
    add_line(x, d);
    return at;
}

static mr_ref explain_place(void *self, const mr_task *t)
{
    struct explain *x = self;
    return ask_where(x, MR_DECIDED_PLACE, x->ops.place, t);
}

static mr_ref explain_plan(void *self, const mr_task *t)
{
    struct explain *x = self;
    return ask_where(x, MR_DECIDED_PLAN, x->ops.plan, t);
}

static mr_ref explain_preempt(void *self, const mr_task *t)
{
    struct explain *x = self;
    return ask_where(x, MR_DECIDED_PREEMPT, x->ops.preempt, t);
}

static int64_t explain_slice(void *self, const mr_task *t, const mr_worker *w)
{
    struct explain *x = self;
    int64_t ns = x->ops.slice(x->self, t, w);
    mr_decision *d = add(x, MR_DECIDED_SLICE, t);
    d->rank = (double)ns;
    d->slot = w->id + 1;
    add_line(x, d);
    return ns;
}

/* That nothing was chosen is written down once as long as it goes on. */
static mr_ref explain_pick(void *self, const mr_worker *w)
{
    struct explain *x = self;
    mr_ref ref = x->ops.pick(x->self, w);
    const task *t = mr_ref_is_task(ref) ? task_live(x->c, ref) : NULL;
    mr_decision *last = x->n ? &x->v[(x->n - 1) % KEPT] : NULL;
    if (last && !t && last->what == MR_DECIDED_PICK && !last->task && last->slot == w->id + 1 && last->answer == ref) {
        last->at = x->c->now;
        return ref;
    }
    mr_decision *d = add(x, MR_DECIDED_PICK, t ? &t->v : NULL);
    d->answer = ref;
    d->slot = w->id + 1;
    add_line(x, d);
    candidates(x->c, d, slot_at(x->c, w));
    return ref;
}

static void explain_close(void *self)
{
    struct explain *x = self;
    if (x->ops.close)
        x->ops.close(x->self);
    memset(&x->ops, 0, sizeof x->ops);
    x->notices = 0;
}

static mr_status explain_save(void *self, const void **bytes, size_t *n, mr_err *err)
{
    struct explain *x = self;
    return x->ops.save(x->self, bytes, n, err);
}

void mr_explain_wrap(mr_control *c)
{
    policy *p = &c->pol;
    struct explain *x = c->explain;
    const mr_sched_ops *o = &p->ops;
    x->ops = *o;
    x->self = p->self;
    x->notices = p->notices;
    p->ops = (mr_sched_ops){.rank = o->rank ? explain_rank : NULL,
                            .place = o->place ? explain_place : NULL,
                            .plan = o->plan ? explain_plan : NULL,
                            .pick = o->pick ? explain_pick : NULL,
                            .slice = o->slice ? explain_slice : NULL,
                            .preempt = o->preempt ? explain_preempt : NULL,
                            .save = o->save ? explain_save : NULL,
                            .notice = explain_notice,
                            .close = explain_close};
    p->self = x;
    p->notices |= MR_BECAME_READY | MR_STARTED | MR_STOPPED | MR_DONE | MR_DROPPED;
    p->open = p->any = true;
    if (x->ops.line)
        (void)x->ops.line(x->self); /* from now on it keeps the line */
}

/* -------------------------------------------------------------------------------------------------------- asking -- */

bool mr_control_explains(const mr_control *c)
{
    return c->explain != NULL;
}

const mr_decision *mr_control_decision_next(const mr_control *c, uint64_t *at)
{
    const struct explain *x = c->explain;
    if (!x)
        return NULL;
    if (x->n > KEPT && *at < x->n - KEPT)
        *at = x->n - KEPT;
    return *at < x->n ? &x->v[(*at)++ % KEPT] : NULL;
}
