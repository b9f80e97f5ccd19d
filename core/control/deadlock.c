/* deadlock.c: finds tasks that wait for what can never be made, so that they are told instead of hanging.
 *
 * Two ways to be stuck: a circle of waits, and all running tasks blocked while nothing that is ready can start.  Both
 * searches only call a wait stuck when nothing that could still run is reachable from it, so they err on the side of
 * waiting.  A wait with a timeout ends by itself, and its task goes on then.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/room.h"

typedef struct search {
    mr_control *c;
    mr_id *todo; /* tasks to look at */
    uint32_t n, room;
    idset seen;
    bool lives; /* something that can run was reached, or memory was short */
} search;

static void look_at(search *s, mr_id id)
{
    if (!id || s->lives)
        return;
    if (mr_idset_room(&s->seen, 1) || !mr_control_grow(s->c, &s->todo, &s->room, s->n + 1, sizeof *s->todo))
        s->lives = true;
    else if (mr_idset_add(&s->seen, id))
        s->todo[s->n++] = id;
}

static void look_object(mr_control *c, search *s, mr_id id)
{
    object *o = object_at(c, id);
    if (!o || settled(o))
        return;
    if (object_task(o) && task_live(c, object_task(o)))
        look_at(s, object_task(o));
    else
        s->lives = true;
}

static void look_wait(mr_control *c, search *s, const waiter *w)
{
    if (w->flags & MR_WAIT_TIMED)
        s->lives = true;
    for (uint32_t i = 0; i < w->n && !s->lives; i++)
        if (w->nodes[i].id)
            look_object(c, s, w->nodes[i].id);
}

/* A blocked task goes on when any of its own waits ends. */
static void look_blocked(mr_control *c, search *s, const task *t)
{
    mr_link *list = mr_wait_list(c, t->worker);
    if (!(t->flags & T_BLOCKED) || !list) {
        s->lives = true;
        return;
    }
    MR_LIST_EACH(list, l)
    {
        const waiter *w = MR_LIST_ENTRY(l, waiter, link);
        if (w->task == t->v.ref)
            look_wait(c, s, w);
    }
}

static void look_call(mr_control *c, search *s, const task *t)
{
    const actor *a = actor_at(c, t->actor);
    if (!a || (a->state == MR_ACTOR_ALIVE && !a->flight.head)) {
        s->lives = true;
        return;
    }
    if (a->state != MR_ACTOR_ALIVE) {
        look_at(s, a->id);
        return;
    }
    if (t->where == W_FLIGHT && (t == a->flight.head || !(t->flags & T_ORDERED))) {
        look_blocked(c, s, t);
        return;
    }
    for (const task *f = a->flight.head; f && !s->lives; f = f->flags & T_ORDERED ? NULL : f->qb)
        look_at(s, f->v.ref);
}

static void look_deps(mr_control *c, search *s, const task *t)
{
    for (uint32_t i = 0; i < t->n_deps && !s->lives; i++)
        look_object(c, s, t->ids[i]);
}

static void look_task(mr_control *c, search *s, const task *t)
{
    switch ((where)t->where) {
    case W_WAITING:
        look_deps(c, s, t);
        break;
    case W_HELD:
        look_deps(c, s, t);
        if ((t->flags & T_ORDERED) && t->qa)
            look_at(s, t->qa->v.ref);
        else if (!t->waiting)
            s->lives = true;
        break;
    case W_RUN:
        look_blocked(c, s, t);
        break;
    case W_CALL:
    case W_FLIGHT:
        look_call(c, s, t);
        break;
    default:
        s->lives = true;
    }
}

static void name_tasks(mr_control *c, const search *s)
{
    size_t at = (size_t)snprintf(c->why, sizeof c->why, "deadlock: these wait for each other:");
    mr_id last = 0;
    for (uint32_t i = 0; i < s->seen.room && at < sizeof c->why - 1; i++) {
        const task *t = s->seen.v[i] ? task_at(c, s->seen.v[i]) : NULL;
        if (!t)
            continue;
        at += (size_t)snprintf(c->why + at, sizeof c->why - at, "%s %s (%llx)", last ? "," : "",
                               c->funcs[t->func - 1]->def->name, (unsigned long long)t->v.ref);
        last = t->v.ref;
    }
}

bool mr_deadlock_stuck(mr_control *c, const waiter *w)
{
    search s = {.c = c};
    look_at(&s, w->task);
    look_wait(c, &s, w);
    uint32_t at = 1; /* the waiting task itself was looked at */
    for (; at < s.n && !s.lives; at++) {
        const task *t = task_live(c, s.todo[at]);
        if (t)
            look_task(c, &s, t);
        else
            s.lives = true;
    }
    bool stuck = !s.lives;
    if (stuck)
        name_tasks(c, &s);
    mr_control_unalloc(c, s.todo, s.room * sizeof *s.todo);
    mr_idset_fini(&s.seen);
    return stuck;
}

static bool look_client(mr_control *c, mr_link *waits)
{
    MR_LIST_EACH(waits, l)
    {
        waiter *w = MR_LIST_ENTRY(l, waiter, link);
        if (w->task && mr_deadlock_stuck(c, w)) {
            mr_wait_end(c, w, MR_E_DEADLOCK, true);
            return true;
        }
    }
    return false;
}

/* A circle may close without a new wait: the last thing that lived was done. */
void mr_deadlock_look(mr_control *c)
{
    if (!c->n_blocked && !c->n_flight_blocked) {
        c->stuck_at = MR_UNKNOWN;
        return;
    }
    c->stuck_at = c->now + 500000000;
    uint64_t at = 0, id;
    for (proc *p; (p = mr_table_next(&c->procs, &at, &id));)
        if (look_client(c, &p->waits))
            return;
}

static void name_blocked(mr_control *c, const task *told)
{
    size_t at =
        (size_t)snprintf(c->why, sizeof c->why,
                         "deadlock: all %u running tasks are blocked and none of %u ready ones can start: they hold "
                         "what it needs, or all of max_workers = %u: %s (%llx)",
                         c->n_running, c->n_ready, c->conf.max_workers, c->funcs[told->func - 1]->def->name,
                         (unsigned long long)told->v.ref);
    uint64_t row = 0, id;
    for (const proc *p; at < sizeof c->why - 1 && (p = mr_table_next(&c->procs, &row, &id));)
        if (p->task && p->task != told)
            at += (size_t)snprintf(c->why + at, sizeof c->why - at, ", %s (%llx)",
                                   c->funcs[p->task->func - 1]->def->name, (unsigned long long)p->task->v.ref);
}

/* The newest wait of a task, if every running task is blocked and nothing is on its way. */
void mr_deadlock_capped(mr_control *c)
{
    if (!c->n_blocked || !c->n_ready || c->n_blocked != c->n_running || c->n_travel || c->n_starting || c->n_retiring ||
        c->n_flight != c->n_flight_blocked || c->n_ahead || mr_ready_any(c) || mr_bundles_soon(c))
        return;
    waiter *newest = NULL;
    const task *by = NULL;
    uint64_t at = 0, id;
    for (proc *p; (p = mr_table_next(&c->procs, &at, &id));) {
        MR_LIST_EACH(&p->waits, l)
        {
            waiter *w = MR_LIST_ENTRY(l, waiter, link);
            const task *t = w->task ? task_live(c, w->task) : NULL;
            if (t && (w->flags & MR_WAIT_TIMED))
                return;
            if (t && t->where == W_RUN && (!by || t->v.seq > by->v.seq)) {
                newest = w;
                by = t;
            }
        }
    }
    if (!newest)
        return;
    name_blocked(c, by);
    mr_wait_end(c, newest, MR_E_DEADLOCK, true);
}
