/* ahead.c: prefetch: records that a busy worker holds so that it need not wait for the node between short tasks.
 *
 * They hold no slot and no resources: each takes over those of the task before it, so all must be of its shape.  How
 * many is bounded by learned time.  They are taken back when the running task blocks, is cancelled or outlives its
 * estimate, and when another process has nothing to do.
 */
#include "control/room.h"

/* ns.  Work of WORTH_WAKING is about what it costs to wake a process that sleeps. */
enum { LOOK_EVERY = 1000000, WORTH_MOVING = 50000, WORTH_WAKING = 20000, LATE = 200000, PLENTY = 8 };

static bool on(const mr_control *c)
{
    return c->conf.prefetch > 0 && c->conf.prefetch_max && !c->pol.ops.pick && !c->pol.ops.slice && !c->pol.ops.preempt;
}

static inline bool more(const mr_control *c, const proc *p, const func *f)
{
    return p->ahead.n < c->conf.prefetch_max && p->ahead_ns + f->mean <= (double)c->conf.prefetch;
}

static bool may_hold(const mr_control *c, const proc *p)
{
    const task *t = p->task;
    const func *f = t ? c->funcs[t->func - 1] : NULL;
    return f && f->runs && f->def->max_calls <= 0 && more(c, p, f) && p->state == MR_PROC_BUSY && !p->killing &&
           t->v.kind == MR_TASK && !c->shapes[t->shape]->gpu && !(t->flags & (T_CANCEL | T_BLOCKED | T_STOPPING));
}

static void recount(const mr_control *c, proc *p)
{
    p->ahead_ns = 0;
    if (p->ahead_of) {
        p->ahead_ns = p->ahead.n * c->funcs[p->ahead_of - 1]->mean;
        return;
    }
    for (const task *t = p->ahead.head; t; t = t->qb)
        p->ahead_ns += c->funcs[t->func - 1]->mean;
}

/* After any change of what it runs or holds. */
void mr_proc_room(mr_control *c, proc *p)
{
    if (p->ahead.n) {
        recount(c, p);
    } else {
        p->ahead_ns = 0;
        mr_list_remove(&p->holds_ahead);
    }
    bool room = on(c) && may_hold(c, p);
    if (room) {
        c->hungry |= c->held_back || !mr_list_linked(&p->room);
        if (!mr_list_linked(&p->room))
            mr_list_push_back(&c->roomy, &p->room);
    } else if (!room) {
        mr_list_remove(&p->room);
    }
}

static bool inputs_there(mr_control *c, const task *t, uint32_t n)
{
    for (uint32_t i = 0; i < t->n_deps; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (!o || bad(o) || ((o->vflags & MR_VALUE_STORED) && !mr_object_on(o, n)))
            return false;
    }
    return true;
}

static inline bool may_take(mr_control *c, const proc *p, const task *t, double most)
{
    return t->v.kind == MR_TASK && c->funcs[t->func - 1]->runs && inputs_there(c, t, p->node) &&
           p->ahead_ns + c->funcs[t->func - 1]->mean <= most;
}

bool mr_control_short(const mr_control *c, uint32_t number)
{
    const func *f = c->funcs[number - 1];
    return f->usual > 0 && f->usual <= WORTH_WAKING;
}

/* What one holds while another could be woken instead. */
static double worth_waking(const mr_control *c)
{
    return c->conf.prefetch < WORTH_WAKING ? (double)c->conf.prefetch : (double)WORTH_WAKING;
}

static bool soon_done(const mr_control *c, const proc *p)
{
    return c->funcs[p->task->func - 1]->mean <= WORTH_WAKING && c->now - p->task->v.started_at < LATE;
}

/* Head `t` of a queue could start beside one that runs, but all that is ready is not worth waking a process for: one
 * that is at work soon has time for it.  What is held ahead is looked at again (LOOK_EVERY), so nothing waits long. */
bool mr_ahead_rather_so(mr_control *c, const shape *s, const task *t)
{
    const func *f = c->funcs[t->func - 1];
    if (c->pol.any || c->n_blocked || s->strategy || !f->runs || f->mean * s->ready > worth_waking(c) || !on(c))
        return false;
    MR_LIST_EACH(&c->roomy, l)
    {
        const proc *p = MR_LIST_ENTRY(l, proc, room);
        if (p->task->shape == s->number && soon_done(c, p) && (p->ahead.n || may_take(c, p, t, worth_waking(c))))
            return c->held_back = true;
    }
    return false;
}

/* One at work has enough to do for the moment: what it is to get next may come some records at a time.  It tells when
 * it has done what it holds, and is looked at (LOOK_EVERY) if it does not. */
bool mr_ahead_plenty(const mr_control *c, const shape *s, const task *t)
{
    const func *f = c->funcs[t->func - 1];
    if (mr_list_empty(&c->roomy) || s->strategy || !f->runs || f->mean * (c->fresh.n + s->ready) > worth_waking(c) / 2)
        return false;
    const proc *p = MR_LIST_ENTRY(mr_list_first(&c->roomy), proc, room);
    return p->task->shape == s->number && p->ahead.n >= PLENTY && soon_done(c, p);
}

/* One record; false: nothing that it may hold. */
static bool give(mr_control *c, proc *p, double most)
{
    shape *s = c->shapes[p->task->shape];
    task *t = mr_queue_first(&s->shared);
    if (!t || !may_take(c, p, t, most))
        return false;
    mr_ready_leave(c, t);
    t->where = W_AHEAD;
    t->in = p->task->in;
    t->worker = p->number;
    t->v.state = MR_TRAVELLING;
    p->ahead_of = !p->ahead.n || p->ahead_of == t->func ? t->func : 0;
    mr_tlist_push(&p->ahead, t);
    p->ahead_ns += c->funcs[t->func - 1]->mean;
    c->n_ahead++;
    if (!mr_list_linked(&p->holds_ahead))
        mr_list_push_back(&c->aheads, &p->holds_ahead);
    if (c->ahead_at < 0)
        c->ahead_at = c->now + LOOK_EVERY;
    mr_action *x = mr_control_act(c, MR_ACT_DISPATCH);
    x->id = t->v.ref;
    x->attempt = t->attempt;
    x->worker = p->number;
    x->node = p->node;
    x->value = -1;
    if (!more(c, p, c->funcs[p->task->func - 1]))
        mr_list_remove(&p->room);
    return true;
}

static void fill(mr_control *c, double most)
{
    for (bool more = on(c); more && c->n_ready;) {
        more = false;
        MR_LIST_EACH(&c->roomy, l)
        {
            more |= give(c, MR_LIST_ENTRY(l, proc, room), most);
        }
    }
}

/* What does not start now, one record to each in turn; more than is worth waking a process for, only when all have that
 * much and there is none to wake. */
void mr_ahead_fill(mr_control *c)
{
    c->hungry = false;
    fill(c, worth_waking(c));
    if (!c->held_back)
        fill(c, (double)c->conf.prefetch);
}

static void revoke(mr_control *c, task *t)
{
    if (t->flags & T_REVOKING)
        return;
    t->flags |= T_REVOKING;
    mr_action *x = mr_control_act(c, MR_ACT_REVOKE);
    x->id = t->v.ref;
    x->attempt = t->attempt;
    x->worker = t->worker;
}

void mr_ahead_revoke(mr_control *c, proc *p)
{
    mr_list_remove(&p->room);
    for (task *t = p->ahead.tail; t; t = t->qa)
        revoke(c, t);
}

/* Whose task outlived its estimate keeps nobody waiting. */
void mr_ahead_look(mr_control *c)
{
    c->ahead_at = MR_UNKNOWN;
    MR_LIST_EACH(&c->aheads, l)
    {
        proc *p = MR_LIST_ENTRY(l, proc, holds_ahead);
        if (!p->ahead.n)
            continue;
        if (p->task &&
            (double)(c->now - p->task->v.started_at) > 2 * c->funcs[p->task->func - 1]->mean + (double)c->conf.prefetch)
            mr_ahead_revoke(c, p);
        c->ahead_at = c->now + LOOK_EVERY;
    }
    c->dirty |= c->held_back;
}

/* Nothing is ready, a process of the same kind is idle: it gets the last record of one that holds much. */
void mr_ahead_balance(mr_control *c)
{
    MR_LIST_EACH(&c->aheads, l)
    {
        proc *p = MR_LIST_ENTRY(l, proc, holds_ahead);
        task *t = p->ahead.tail;
        if (!t || (t->flags & T_REVOKING) || !p->kind->n_idle || p->ahead_ns < WORTH_MOVING)
            continue;
        if (mr_node_can(c, c->nodes[p->node], c->shapes[t->shape], t))
            revoke(c, t);
    }
}

/* A record comes back from a worker's ring, or the worker was faster. */
mr_status mr_task_revoked(mr_control *c, const mr_record *r)
{
    const mr_ev_task *e = (const void *)r;
    task *t = task_live(c, e->task);
    if (!t || t->attempt != e->attempt || !(t->flags & T_REVOKING) || (r->from && r->from != t->worker))
        return MR_OK; /* it was over before the answer came */
    t->flags &= ~(uint32_t)T_REVOKING;
    proc *p = proc_at(c, t->worker);
    if (!e->ok) {
        if ((t->flags & T_CANCEL) && t->where == W_RUN)
            mr_task_cancel_one(c, t, 0);
        if ((t->flags & T_CANCEL) && (t->where == W_AHEAD || t->where == W_FLIGHT)) {
            /* It runs already: the end of the one before it is still on its way here. */
            mr_action *x = mr_control_act(c, MR_ACT_INTERRUPT);
            x->id = t->v.ref;
            x->attempt = t->attempt;
            x->worker = t->worker;
        }
        return MR_OK;
    }
    bool ran = t->where == W_RUN;
    if (t->where == W_FLIGHT || (t->flags & T_CANCEL)) {
        mr_fault f = mr_task_fault(c, t, MR_E_CANCELLED);
        actor *a = t->actor ? actor_at(c, t->actor) : NULL;
        f.may_have_run = 0;
        mr_task_fail(c, t, &f);
        if (a)
            mr_actor_pump(c, a);
    } else {
        if (ran)
            mr_policy_note(c, MR_DROPPED, t, MR_OK, 0);
        mr_task_detach(c, t);
        if (t->flags & T_PRESENT)
            mr_policy_present(c, t);
        else
            mr_ready_enter(c, t, true);
    }
    if (ran && p)
        mr_proc_next(c, p);
    return MR_OK;
}
