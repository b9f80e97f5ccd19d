/* seats.c: a started task's slot, resources and process, from the end of one task to the start of the next.
 *
 * The ordinary way is long: all three go back to where everybody can have them, and the sweep finds them again.  Where
 * it is plain that the next task of the same shape gets them, they are handed on as they are: at once to a record that
 * the process holds ahead, which takes them over in any case; or, when one shape alone has ready tasks and every other
 * slot is taken, they *rest* until the instant is closed.
 *
 * A seat that rests keeps its resources, but who looks in is told that they are free; its slot has no task and its
 * process is IDLE, but neither is in a set of idle ones: c->rest has them, in the order in which they were left.  Only
 * the events that are applied in bulk (see control.c) leave seats at rest; before all others they are given up, so that
 * nobody else has to know of them.
 */
#include "control/room.h"

/* ------------------------------------------------------------------------------------------------------ given up -- */

void mr_seat_release(mr_control *c, task *t)
{
    slot *s = task_slot(c, t);
    if (!task_node(c, t))
        return;
    pool *p = t->in;
    if (t->flags & T_LENT)
        mr_wait_unlend(c, t); /* given back with the rest below */
    if (s)
        mr_slot_idle(c, s);
    if (p->blocked && p->lend_at < c->now + p->lend_delay)
        p->lend_at = c->now + p->lend_delay; /* it moves: the lent CPUs stay with the descendants */
    mr_pool_give(c, t);
    mr_list_remove(&t->run);
    t->v.on = MR_NONE;
    c->dirty = true;
}

static void pool_add(pool *p, const shape *s, int sign)
{
    p->users -= (uint32_t)sign;
    for (uint32_t i = 0; i < s->n_needs; i++)
        p->free[s->needs[i].res].amount += sign * s->needs[i].amount;
}

void mr_seats_give_up(mr_control *c)
{
    uint32_t n = c->n_rest;
    c->n_rest = 0;
    for (uint32_t i = 0; i < n; i++) {
        seat *r = &c->rest[i];
        pool_add(&c->nodes[r->s->node]->own, r->of, 1);
        r->s->v.load++; /* which it loses again */
        mr_slot_idle(c, r->s);
        mr_proc_idle(c, r->p);
    }
    c->dirty |= n > 0;
}

/* ----------------------------------------------------------------------------------------------------- handed on -- */

/* Nothing about it but what every task of its shape has. */
static bool ordinary(const mr_control *c, const proc *p, const task *t)
{
    const shape *s = c->shapes[t->shape];
    return s->plain && p->task == t && p->state == MR_PROC_BUSY && !p->killing &&
           !(t->flags & (T_LENT | T_BLOCKED | T_STOPPING)) && mr_ref_is_slot(t->v.on) && !t->in->blocked;
}

static void leave(mr_control *c, proc *p, task *t)
{
    mr_list_remove(&t->run);
    t->flags &= ~(uint32_t)T_REVOKING;
    t->blocks = 0;
    t->worker = 0;
    t->v.on = MR_NONE;
    p->task = NULL;
    c->n_running--;
}

static void sit(mr_control *c, slot *s, task *t)
{
    s->t = t;
    s->v.task = t->v.ref;
    t->v.on = s->v.ref;
    mr_list_push_back(&c->nodes[s->node]->running, &t->run);
}

/* To the next that the process holds.  The pool is not touched: it is their common one, and so is what they need. */
static bool pass(mr_control *c, proc *p, task *t)
{
    task *next = p->ahead.head;
    slot *s = task_slot(c, t);
    if (next->shape != t->shape || next->in != t->in || (next->flags & (T_CANCEL | T_REVOKING)))
        return false;
    mr_tlist_remove(&p->ahead, next);
    c->n_ahead--;
    leave(c, p, t);
    sit(c, s, next);
    c->hungry |= c->n_ready || p->kind->n_idle; /* it holds one less, or could leave some to another */
    c->dirty |= c->held_back;
    mr_proc_run(c, p, next);
    return true;
}

/* Will the sweep do nothing else than give each seat that was left to the next of this shape? */
static bool one_shape(mr_control *c, const shape *s)
{
    const mr_link *only = c->active.next;
    return only == &s->active && only->next == &c->active && s->strategy == MR_STRATEGY_DEFAULT && !s->prefers &&
           !(c->pol.any | c->small | c->starved) && !(c->placed | c->n_blocked | c->n_idle) &&
           mr_list_empty(&c->pending);
}

static bool rest(mr_control *c, proc *p, task *t)
{
    const shape *s = c->shapes[t->shape];
    slot *at = task_slot(c, t);
    if (c->n_rest >= s->shared.n || c->n_rest == MR_REST_MOST || p->kind->waiting.n)
        return false;
    if (c->n_rest ? c->rest[0].of != s : !one_shape(c, s))
        return false;
    leave(c, p, t);
    at->t = NULL;
    at->v.task = MR_NONE;
    at->v.load--;
    p->state = MR_PROC_IDLE;
    p->idle_since = c->now;
    mr_list_remove(&p->room);
    c->rest[c->n_rest++] = (seat){.s = at, .p = p, .of = s};
    return true;
}

bool mr_seat_next(mr_control *c, proc *p, task *t)
{
    if (!ordinary(c, p, t))
        return false;
    return p->ahead.n ? pass(c, p, t) : rest(c, p, t);
}

/* ------------------------------------------------------------------------------------------- when it is closed -- */

/* All that it needs is on that node. */
static bool complete(mr_control *c, const task *t, const node *n)
{
    for (uint32_t i = 0; i < t->n_deps; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (!o || bad(o) || ((o->vflags & MR_VALUE_STORED) && !mr_object_on(o, n->number)))
            return false;
    }
    return true;
}

/* The sweep's order: the lowest slot of the lowest node, and of its processes the one that was left last. */
static uint32_t lowest(const mr_control *c)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < c->n_rest; i++) {
        const slot *a = c->rest[i].s, *b = c->rest[best].s;
        if (a->node < b->node || (a->node == b->node && a->local < b->local))
            best = i;
    }
    return best;
}

static uint32_t latest(const mr_control *c, uint32_t at)
{
    uint32_t i = c->n_rest - 1;
    while (c->rest[i].p->node != at)
        i--;
    return i;
}

static void take_up(mr_control *c, task *t, uint32_t low, uint32_t late)
{
    slot *s = c->rest[low].s;
    proc *p = c->rest[late].p;
    c->rest[low].s = c->rest[late].s;
    for (uint32_t i = late + 1; i < c->n_rest; i++)
        c->rest[i - 1] = c->rest[i];
    c->n_rest--;
    mr_ready_leave(c, t);
    s->v.load++;
    sit(c, s, t);
    t->in = &c->nodes[s->node]->own;
    mr_proc_run_new(c, p, t);
}

void mr_seats_fill(mr_control *c)
{
    const shape *s = c->rest[0].of;
    task *t;
    bool plain = one_shape(c, s);
    while (plain && c->n_rest && (t = mr_queue_first(&s->shared))) {
        uint32_t low = c->n_rest > 1 ? lowest(c) : 0;
        const node *n = c->nodes[c->rest[low].s->node];
        if (!complete(c, t, n) || mr_ahead_rather(c, s, t))
            break;
        take_up(c, t, low, c->n_rest > 1 ? latest(c, n->number) : 0);
    }
    if (c->n_rest)
        mr_seats_give_up(c);
}
