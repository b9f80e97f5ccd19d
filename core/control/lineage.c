/* lineage.c: what makes a lost object again, and who has to wait for it once more.
 *
 * With conf.lineage the record of a task that ended well stays (W_PAST) while a result of it lies in a store, and holds
 * its arguments: when the last copy goes with its node, the task runs again, as another attempt of its own.  What no
 * task can make again (it was put; an actor or a generator made it; no attempt is left) becomes an error that says so.
 * A full store first takes from it what nothing else holds; without a disk all of it is given up then.  At most
 * PAST_MOST records of PAST_BYTES_MOST bytes are kept, the oldest go first.
 */
#include <string.h>

#include "control/room.h"

enum { PAST_MOST = 100000, PAST_BYTES_MOST = 256 << 20 };

static uint64_t weight(const task *t)
{
    return sizeof *t + (t->n_deps + t->n_refs) * sizeof *t->ids + (UINT64_C(1) << t->payload);
}

static void past_push(mr_control *c, task *t)
{
    mr_tlist_push(&c->past, t);
    c->past_bytes += weight(t);
}

static void past_remove(mr_control *c, task *t)
{
    mr_tlist_remove(&c->past, t);
    c->past_bytes -= weight(t);
}

static bool stored(const object *o, const task *t)
{
    return o && object_task(o) == t->v.ref && o->state == MR_OBJ_SEALED && (o->vflags & MR_VALUE_STORED);
}

static void say_why(mr_control *c, const task *t, mr_lost why)
{
    for (uint32_t i = 0; i < t->n_returns; i++) {
        object *o = object_at(c, t->v.ref + i);
        if (stored(o, t))
            o->why = (uint8_t)why;
    }
}

static bool group_removed(const mr_control *c, const task *t)
{
    const group *g = c->shapes[t->shape]->group;
    return g && g->state == MR_GROUP_REMOVED;
}

bool mr_lineage_keep(mr_control *c, task *t, mr_status outcome)
{
    if (!c->conf.lineage || outcome)
        return false;
    t->kept = 0;
    for (uint32_t i = 0; i < t->n_returns; i++)
        t->kept += stored(object_at(c, t->v.ref + i), t);
    if (!t->kept)
        return false;
    mr_lost why = t->actor || t->v.kind != MR_TASK ? MR_LOST_ACTOR
                  : t->flags & T_STREAM            ? MR_LOST_STREAM
                  : !mr_task_try_left(c, t)        ? MR_LOST_TRIES
                                                   : MR_LOST_NONE;
    say_why(c, t, why);
    if (why)
        return false;
    t->flags |= T_PAST;
    return true;
}

static void drop(mr_control *c, task *t)
{
    t->flags &= ~(uint32_t)T_PAST;
    mr_task_release_args(c, t);
    mr_control_act(c, MR_ACT_DROP)->id = t->v.ref;
    if (t->where != W_PAST)
        return; /* the policy was not told of its end yet: it goes then */
    past_remove(c, t);
    mr_task_gone(c, t);
}

/* A stored result of it is gone for good. */
void mr_lineage_unkeep(mr_control *c, const object *o)
{
    task *t = object_task(o) ? task_at(c, object_task(o)) : NULL;
    if (t && (t->flags & T_PAST) && !--t->kept && !(t->flags & T_AGAIN))
        drop(c, t);
}

static void give_up(mr_control *c, task *t)
{
    say_why(c, t, MR_LOST_FULL);
    drop(c, t);
}

static bool holds_alone(mr_control *c, const task *t)
{
    for (uint32_t i = 0; i < t->n_deps + t->n_refs; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (o && o->holders == 1 && (o->vflags & MR_VALUE_STORED))
            return true;
    }
    return false;
}

bool mr_lineage_give_up(mr_control *c, bool all)
{
    bool any = false;
    for (task *t = c->past.head, *next; t; t = next) {
        next = t->qb;
        if (!all && !holds_alone(c, t))
            continue;
        give_up(c, t);
        any = true;
    }
    return any;
}

/* ------------------------------------------------------------------------------------------------------- running -- */

static void run_again(mr_control *c, task *t)
{
    t->flags &= ~(uint32_t)(T_PAST | T_AGAIN | T_QUIET | T_PLANNED | T_CANCEL | T_DEEP);
    t->attempt++;
    t->v.attempt = t->attempt > UINT16_MAX ? UINT16_MAX : (uint16_t)t->attempt;
    t->v.ran = 0;
    t->v.bytes = 0;
    t->v.started_at = MR_UNKNOWN;
    t->v.on = MR_NONE;
    t->v.state = MR_WAITING;
    t->where = W_WAITING;
    t->outcome = 0;
    t->waiting = 0; /* it was `kept` */
    c->n_waiting++;
    c->retried++;
    c->n_limited += t->v.limit >= 0;
    proc *owner = proc_at(c, t->owner);
    if (owner)
        mr_list_push_back(&owner->owned, &t->owned);
    else
        t->owner = 0;
    mr_id wrong = mr_deps_link(c, t);
    mr_policy_note(c, MR_SUBMITTED, t, MR_NOTE_AGAIN, 0);
    mr_fault f = mr_task_fault(c, t, MR_E_GROUP_REMOVED);
    if (group_removed(c, t)) /* in the same instant */
        mr_task_fail(c, t, &f);
    else if (wrong)
        mr_task_fail_by(c, t, wrong);
    else if (!t->waiting)
        mr_task_ready(c, t);
}

/* It was over and everybody has been told: kept, or wanted once more already. */
bool mr_lineage_past(mr_control *c, task *t)
{
    if (!(t->flags & T_PAST))
        return false;
    if (t->flags & T_AGAIN) {
        run_again(c, t);
        return true;
    }
    t->where = W_PAST;
    past_push(c, t);
    while (c->past.n > PAST_MOST || (c->past_bytes > PAST_BYTES_MOST && c->past.n > 1))
        give_up(c, c->past.head);
    return true;
}

/* -------------------------------------------------------------------------------------------------------- losing -- */

/* The task that will seal it (again); NULL: none, and why. */
static task *maker_of(mr_control *c, const object *o, mr_lost *why)
{
    task *t = object_task(o) ? task_at(c, object_task(o)) : NULL;
    *why = o->why ? (mr_lost)o->why : object_task(o) ? MR_LOST_FULL : MR_LOST_PUT;
    if (o->state != MR_OBJ_SEALED || !t)
        return NULL;
    if (t->flags & T_PAST) {
        *why = group_removed(c, t) ? MR_LOST_GROUP : *why;
        return !group_removed(c, t) && (t->v.limit < 0 || mr_limit_room(c)) ? t : NULL;
    }
    bool living = t->where != W_OVER && t->where != W_FAILING && t->where != W_PAST;
    *why = t->actor ? MR_LOST_ACTOR : t->flags & T_STREAM ? MR_LOST_STREAM : *why;
    return living && t->v.kind == MR_TASK && !t->actor && !(t->flags & T_STREAM) ? t : NULL;
}

void mr_lineage_lose(mr_control *c, object *o, uint32_t from, uint32_t cause, tlist *again)
{
    mr_lost why;
    task *t = maker_of(c, o, &why);
    c->object_bytes -= o->size;
    mr_spill_forget(c, o);
    if (!o->holders || !t) {
        mr_lineage_unkeep(c, o);
        o->vflags &= (uint8_t)~MR_VALUE_STORED;
        if (!o->holders)
            return; /* it is being freed */
        mr_fault f = {.status = MR_E_LOST, .cause = o->id, .task = object_task(o), .why = why, .node = from + 1};
        f.func = o->func;
        f.code = (int32_t)cause;
        mr_object_fail(c, o, &f);
        return;
    }
    mr_object_unseal(c, o);
    t->unsealed++;
    if (!(t->flags & T_PAST))
        return; /* it has not ended: it seals it when it does */
    t->kept--;
    if (t->flags & T_AGAIN)
        return;
    t->flags |= T_AGAIN;
    if (t->where == W_PAST) {
        past_remove(c, t);
        mr_tlist_push(again, t);
    }
}

/* Calls that could be sent and need what is being made again: they wait, and those behind them in their caller's order
 * too. */
static bool hold_ready(mr_control *c, actor *a, tlist *ready)
{
    bool ordered = false;
    for (task *t = ready->tail, *before; t; t = before) {
        before = t->qa;
        if (t->flags & T_ORDERED) {
            ordered = true;
            mr_tlist_remove(ready, t);
            t->where = W_HELD;
            t->caller = mr_actor_caller(a, t->owner);
            mr_tlist_push_front(&t->caller->held, t);
        } else if (mr_deps_pending(c, t)) {
            mr_tlist_remove(ready, t);
            t->where = W_HELD;
            t->caller = NULL;
            mr_tlist_push_front(&a->loose, t);
        } else {
            continue;
        }
        mr_deps_link_again(c, t);
    }
    return ordered;
}

static void hold_calls(mr_control *c, actor *a)
{
    bool ordered = false;
    tlist *ready;
    for (uint32_t i = 0; (ready = mr_actor_ready_lists(c, a, i)); i++)
        ordered |= hold_ready(c, a, ready);
    for (caller *k = ordered ? a->callers : NULL; k; k = k->next)
        mr_actor_release(c, a, k);
}

/* A task that was about to start waits again. */
static void hold_task(mr_control *c, task *t)
{
    if (t->where != W_WAITING) {
        mr_task_detach(c, t);
        mr_policy_note(c, MR_DROPPED, t, MR_E_LOST, 0);
        t->flags |= T_QUIET;
        t->where = W_WAITING;
        t->v.state = MR_WAITING;
        c->n_waiting++;
    }
    mr_deps_link_again(c, t);
}

/* It does not run yet: an argument that it has may be gone, or is being made again. */
static void look_again(mr_control *c, task *t)
{
    for (uint32_t i = 0; i < t->n_deps; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (o && bad(o)) {
            mr_task_fail_by(c, t, o->id);
            return;
        }
    }
    if (!mr_deps_pending(c, t))
        return;
    if (t->where == W_CALL)
        hold_calls(c, actor_at(c, t->actor));
    else if (t->where == W_HELD)
        mr_deps_link_again(c, t);
    else
        hold_task(c, t);
}

void mr_lineage_settle(mr_control *c, tlist *again)
{
    uint64_t at = 0, id;
    for (task *t; (t = mr_table_next(&c->tasks, &at, &id));) {
        bool waits = t->where == W_WAITING || t->where == W_FRESH || t->where == W_READY || t->where == W_TRAVEL ||
                     t->where == W_PROCESS || t->where == W_HELD || t->where == W_CALL;
        if (waits && t->n_deps && !(t->flags & T_STOPPED))
            look_again(c, t);
    }
    for (task *t; (t = mr_tlist_pop(again));)
        run_again(c, t);
    c->dirty = true;
}

/* Back to where it was before it was given to a process; it has not begun. */
static void take_back(mr_control *c, task *t)
{
    actor *a = t->actor ? actor_at(c, t->actor) : NULL;
    t->flags &= ~(uint32_t)T_REVOKING;
    if (t->flags & T_CANCEL) {
        mr_fault f = mr_task_fault(c, t, MR_E_CANCELLED);
        f.may_have_run = 0;
        mr_task_fail(c, t, &f);
    } else if (a) {
        a->pending++; /* it is never without this call, or the actor could leave */
        mr_actor_call_out(c, t);
        c->n_waiting++;
        mr_actor_call_back(c, a, t);
        a->pending--;
    } else {
        if (t->where == W_RUN)
            mr_policy_note(c, MR_DROPPED, t, MR_OK, 0);
        mr_task_detach(c, t);
        mr_ready_enter(c, t, true);
        mr_stop_enter(c, t);
    }
}

mr_status mr_lineage_unsent(mr_control *c, const mr_record *r)
{
    const mr_ev_worker *e = (const void *)r;
    const mr_id *ids = mr_record_ids(r, sizeof *e);
    proc *p = proc_at(c, e->worker);
    mr_id of = 0;
    bool ran = false;
    for (uint32_t i = r->n_ids; p && i-- > 0;) {
        task *t = task_live(c, ids[i]);
        if (t && t->flags & T_STOPPED && t->worker == e->worker && !e->how)
            mr_stop_end(c, t, true); /* it was stopped before it began */
        bool task_s =
            !e->how && t && (t->where == W_RUN || t->where == W_AHEAD); /* else its death says what becomes of it */
        if (!t || t->worker != e->worker || (!task_s && t->where != W_FLIGHT))
            continue; /* its process, or itself, was ended meanwhile */
        ran |= t->where == W_RUN;
        of = t->actor;
        take_back(c, t);
    }
    for (uint32_t i = 0; i < r->n_ids; i++) {
        task *t = task_live(c, ids[i]);
        if (t && !t->worker && t->where != W_FAILING)
            look_again(c, t);
    }
    if (ran)
        mr_proc_next(c, p);
    if (of && !e->how && actor_at(c, of)->state == MR_ACTOR_ALIVE)
        mr_actor_pump(c, actor_at(c, of));
    return MR_OK;
}
