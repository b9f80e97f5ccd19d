/* deps.c: who waits for which object: tasks for their arguments, clients in get and wait, and the CPU a blocked task
 * lends.
 *
 * Owns the rings of dependents and the wait records.  An object is settled once, so each link is taken once.
 */
#include <stdlib.h>

#include "control/room.h"

/* --------------------------------------------------------------------------------------------------- dependents -- */

static void link_dep(object *o, dep *d, task *t)
{
    d->t = t;
    if (o->deps) {
        d->next = o->deps->next;
        d->prev = o->deps;
        d->next->prev = d;
        o->deps->next = d;
    } else {
        d->next = d->prev = d;
    }
    o->deps = d;
    t->waiting++;
}

mr_id mr_deps_link(mr_control *c, task *t)
{
    dep *d = task_deps(t);
    mr_id wrong = 0;
    t->v.n_preds = t->n_deps;
    for (uint32_t i = 0; i < t->n_deps; i++, d++) {
        object *o = object_at(c, t->ids[i]);
        if (settled(o)) {
            if (bad(o) && !wrong)
                wrong = o->id;
            t->v.bytes += o->size;
            continue;
        }
        link_dep(o, d, t);
        task *maker = object_task(o) ? task_at(c, object_task(o)) : NULL;
        if (maker)
            maker->v.n_succs++;
    }
    return wrong;
}

bool mr_deps_pending(mr_control *c, const task *t)
{
    for (uint32_t i = 0; i < t->n_deps; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (o && !settled(o) && !task_deps(t)[i].t)
            return true;
    }
    return false;
}

void mr_deps_link_again(mr_control *c, task *t)
{
    for (uint32_t i = 0; i < t->n_deps; i++) {
        object *o = object_at(c, t->ids[i]);
        if (!o || settled(o) || task_deps(t)[i].t)
            continue;
        t->v.bytes -= o->size <= t->v.bytes ? o->size : t->v.bytes; /* counted when it was sealed, and soon again */
        link_dep(o, &task_deps(t)[i], t);
    }
}

static void unlink_dep(object *o, dep *d)
{
    if (d->next == d) {
        o->deps = NULL;
    } else {
        d->next->prev = d->prev;
        d->prev->next = d->next;
        if (o->deps == d)
            o->deps = d->prev;
    }
    d->t = NULL;
}

void mr_deps_unlink(mr_control *c, task *t)
{
    dep *d = task_deps(t);
    for (uint32_t i = 0; t->waiting && i < t->n_deps; i++, d++)
        if (d->t) {
            unlink_dep(object_at(c, t->ids[i]), d);
            t->waiting--;
        }
}

void mr_deps_settle(mr_control *c, object *o)
{
    while (o->deps) {
        dep *d = o->deps->next;
        task *t = d->t;
        unlink_dep(o, d);
        t->waiting--;
        t->v.bytes += o->size;
        if (bad(o))
            mr_task_fail_by(c, t, o->id);
        else if (!t->waiting)
            mr_task_ready(c, t);
        else if (t->flags & T_PLANNED) /* an input of a planned task travels as soon as there is one */
            mr_ready_send_one(c, o, task_node(c, t));
    }
}

/* -------------------------------------------------------------------------------------------------------- waits -- */

/* What a get waits with; who only waits has not read an error. */
enum { GETS = MR_WAIT_EARLY };

mr_link *mr_wait_list(mr_control *c, uint32_t client)
{
    if (!client)
        return &c->driver_waits;
    proc *p = proc_at(c, client);
    return p ? &p->waits : NULL;
}

static void unlink_node(mr_control *c, waitnode *n)
{
    if (!n->id)
        return;
    object *o = object_at(c, n->id);
    if (n->next)
        n->next->prev = n->prev;
    if (n->prev)
        n->prev->next = n->next;
    else
        o->waits = n->next;
    n->id = 0;
}

static void deliver(mr_control *c, uint32_t client, uint32_t token, mr_status status)
{
    mr_action *x = mr_control_act(c, MR_ACT_DELIVER);
    x->client = client;
    x->token = token;
    x->status = status;
}

static void unblock(mr_control *c, task *t)
{
    if (--t->blocks)
        return;
    t->flags &= ~(uint32_t)T_BLOCKED;
    if (t->where == W_FLIGHT)
        c->n_flight_blocked--;
    else if (t->where == W_RUN)
        c->n_blocked--;
    mr_wait_take_back(c, t);
    proc *p = proc_at(c, t->worker);
    if (p && t->where == W_RUN)
        mr_stop_pause(c, p, false);
    if (p && p->state == MR_PROC_BLOCKED)
        p->state = MR_PROC_BUSY;
}

void mr_wait_end(mr_control *c, waiter *w, mr_status status, bool tell)
{
    for (uint32_t i = 0; i < w->n; i++)
        unlink_node(c, &w->nodes[i]);
    mr_list_remove(&w->link);
    task *t = w->task ? task_live(c, w->task) : NULL;
    if (t && t->blocks)
        unblock(c, t);
    if (tell)
        deliver(c, w->client, w->token, status);
    mr_control_unalloc(c, w, sizeof *w + w->n * sizeof(waitnode));
}

void mr_wait_settle(mr_control *c, object *o)
{
    while (o->waits) {
        waitnode *n = o->waits;
        waiter *w = n->w;
        unlink_node(c, n);
        w->done++;
        if (bad(o) && (w->flags & GETS))
            mr_object_read(c, o);
        if (w->done >= w->need || (bad(o) && (w->flags & MR_WAIT_EARLY)))
            mr_wait_end(c, w, MR_OK, true);
    }
}

void mr_wait_drop_all(mr_control *c, mr_link *waits)
{
    for (mr_link *l; (l = mr_list_first(waits));)
        mr_wait_end(c, MR_LIST_ENTRY(l, waiter, link), MR_E_CLOSED, false);
}

/* Is there something to take: settled, gone for good, or an item of a stream? */
static bool there(mr_control *c, const object *o)
{
    if (!o || settled(o))
        return true;
    if (!(o->flags & O_STREAM))
        return false;
    const stream *s = mr_table_at(&c->streams, o->id);
    return s && s->n;
}

static void block(mr_control *c, task *t, uint32_t flags)
{
    if (t->blocks++)
        return;
    t->flags |= T_BLOCKED;
    if (t->where == W_FLIGHT) {
        c->n_flight_blocked++;
    } else {
        c->n_blocked++;
        proc *p = proc_at(c, t->worker);
        if (p) {
            p->state = MR_PROC_BLOCKED;
            mr_stop_pause(c, p, true);
            mr_ahead_revoke(c, p);
        }
        if (flags & MR_WAIT_LEND)
            mr_wait_lend(c, t);
    }
    c->dirty = true;
    if (c->stuck_at < 0)
        c->stuck_at = c->now + 500000000;
}

/* Counts what is already there; links the rest. */
static void link_nodes(mr_control *c, waiter *w, const mr_id *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        object *o = object_at(c, ids[i]);
        waitnode *k = &w->nodes[i];
        if (there(c, o)) {
            w->done++;
            continue;
        }
        k->w = w;
        k->id = ids[i];
        k->next = o->waits;
        if (k->next)
            k->next->prev = k;
        o->waits = k;
    }
}

mr_status mr_wait_blocked(mr_control *c, const mr_record *r)
{
    const mr_ev_blocked *e = (const void *)r;
    const mr_id *ids = mr_record_ids(r, sizeof *e);
    uint32_t ready = 0;
    bool early = false;
    mr_link *list = mr_wait_list(c, r->from);
    if (!list || e->need > r->n_ids)
        return mr_control_refuse(c, MR_E_INVAL, "client %u, which may be gone, waits for %u of %u", r->from, e->need,
                                 r->n_ids);
    for (uint32_t i = 0; i < r->n_ids; i++) {
        object *o = object_at(c, ids[i]);
        if (!there(c, o))
            continue;
        ready++;
        if (o && bad(o) && (e->flags & GETS))
            mr_object_read(c, o);
        early |= (e->flags & MR_WAIT_EARLY) && (!o || bad(o));
    }
    if (ready >= e->need || early) {
        deliver(c, r->from, r->token, MR_OK);
        return MR_OK;
    }
    waiter *w = mr_control_alloc(c, sizeof *w + r->n_ids * sizeof(waitnode));
    if (!w) {
        deliver(c, r->from, r->token, MR_E_NOMEM);
        return MR_E_NOMEM;
    }
    w->client = r->from;
    w->token = r->token;
    w->task = e->task;
    w->need = e->need;
    w->flags = e->flags;
    w->n = r->n_ids;
    link_nodes(c, w, ids, w->n);
    mr_list_push_back(list, &w->link);
    task *t = e->task ? task_live(c, e->task) : NULL;
    if (t && t->flags & T_STOPPED && t->worker == r->from) /* it did so before it stood still */
        mr_stop_end(c, t, true);
    if (!t || (t->where != W_RUN && t->where != W_FLIGHT) || (r->from && t->worker != r->from)) {
        w->task = 0;
        return MR_OK;
    }
    block(c, t, e->flags);
    if (mr_deadlock_stuck(c, w))
        mr_wait_end(c, w, MR_E_DEADLOCK, true);
    return MR_OK;
}

mr_status mr_wait_unblocked(mr_control *c, const mr_record *r)
{
    mr_link *list = mr_wait_list(c, r->from);
    if (!list)
        return MR_OK;
    MR_LIST_EACH(list, l)
    {
        waiter *w = MR_LIST_ENTRY(l, waiter, link);
        if (w->token == r->token) {
            mr_wait_end(c, w, MR_OK, false);
            return MR_OK;
        }
    }
    return MR_OK; /* it was delivered meanwhile */
}

/* ------------------------------------------------------------------------------------------------------ lending -- */

bool mr_wait_descends(mr_control *c, const task *t)
{
    for (mr_id up = t->parent; up;) {
        const task *p = task_live(c, up);
        if (!p)
            return false;
        if (p->flags & T_LENT)
            return true;
        up = p->parent;
    }
    return false;
}

/* Slot and CPU, and only CPU, go back to the node; descendants of blocked tasks have the first claim on it. */
void mr_wait_lend(mr_control *c, task *t)
{
    node *n = task_node(c, t);
    slot *s = task_slot(c, t);
    if (!n || (t->flags & T_LENT) || t->v.kind == MR_ACTOR)
        return;
    pool *p = t->in;
    int64_t cpu = c->shapes[t->shape]->cpu;
    t->flags |= T_LENT;
    if (s)
        mr_slot_idle(c, s);
    t->v.on = n->v.ref;
    p->free[MR_RES_CPU].amount += cpu;
    if (c->shapes[t->shape]->capped)
        mr_caps_lend(c->shapes[t->shape], -1);
    p->lent += cpu;
    if (!p->blocked++) {
        p->lend_delay = LEND_FIRST;
        p->lend_at = c->now + p->lend_delay;
        mr_list_push_back(&c->lenders, &p->lends);
    }
    c->dirty = true;
}

void mr_wait_unlend(mr_control *c, task *t)
{
    pool *p = t->in;
    int64_t cpu = c->shapes[t->shape]->cpu;
    t->flags &= ~(uint32_t)T_LENT;
    p->free[MR_RES_CPU].amount -= cpu;
    if (c->shapes[t->shape]->capped)
        mr_caps_lend(c->shapes[t->shape], 1);
    p->lent -= cpu;
    if (!--p->blocked) {
        p->open = 0;
        mr_list_remove(&p->lends);
    }
}

void mr_wait_take_back(mr_control *c, task *t)
{
    if (!(t->flags & T_LENT))
        return;
    mr_wait_unlend(c, t);
    slot *s = mr_node_idle_slot(c, task_node(c, t), true);
    if (s)
        mr_slot_busy(c, s, t);
}
