/* helper_brute_ends.c: how things end in the model, and what follows at once: results, calls, waits, actors.  Owns
 * nothing. */
#include "helper_brute_ends.h"

#include <string.h>

#include "helper_brute_stops.h"

/* -------------------------------------------------------------------------------------------------- ends, calls -- */

void b_over(brute *b, b_task *t, mr_status outcome)
{
    t->state = B_OVER;
    if (outcome == MR_OK)
        b->finished++;
    else if (outcome == MR_E_CANCELLED)
        b->cancelled++;
    else
        b->failed++;
}

void b_seal_rest(brute *b, b_task *t, int status, mr_id cause)
{
    if (cause && brute_object(b, cause)->state == MR_OBJ_FREED) { /* no value to repeat */
        status = MR_E_FREED;
        cause = 0;
    }
    for (uint32_t i = 0; i < t->n_returns; i++) {
        mr_id id = t->id + i;
        if (b_there(b, id) || brute_object(b, id)->maker != t->id)
            continue;
        b_told *x = b_tell(b, cause ? MR_ACT_ALIAS : MR_ACT_FAIL);
        x->id = id;
        x->status = cause ? 0 : status;
        mr_id unmade = status == MR_E_ACTOR_DIED ? t->actor : 0;
        if (cause && brute_object(b, cause)->state == MR_OBJ_ERROR && brute_object(b, cause)->refs[0])
            brute_object(b, id)->refs[0] = cause;
        else if (!cause && unmade && brute_object(b, unmade)->state == MR_OBJ_ERROR)
            brute_object(b, id)->refs[0] = unmade;
        cause = id;
        b_settle(b, id, MR_OBJ_ERROR);
    }
}

/* Out of its place, with errors for what it did not seal. */
void b_end(brute *b, b_task *t, mr_status status, mr_id cause)
{
    b_seal_rest(b, t, status, cause);
    if (t->f->kind == MR_FUNC_ACTOR) {
        b->actors[t->id - B_BASE].creation = false;
        b_actor_die(b, t->id, MR_E_ACTOR_DIED);
    }
    b_over(b, t, cause ? MR_E_TASK : status);
}

void b_pump(brute *b, mr_id actor)
{
    uint32_t worker = b->actors[actor - B_BASE].worker, most = brute_task(b, actor)->f->concurrency;
    if (b->actors[actor - B_BASE].state != MR_ACTOR_ALIVE || !worker || b->procs[worker].killing)
        return;
    for (;;) {
        b_task *next = NULL;
        uint32_t sent = 0;
        B_EACH_TASK(b, t)
        {
            sent += t->state == B_FLIGHT && t->actor == actor;
            if (t->state == B_CALL && t->actor == actor && (!next || t->order < next->order))
                next = t;
        }
        if (!next || sent >= (b_ordered(b, actor) ? b->window : most))
            return;
        next->state = B_FLIGHT;
        next->order = ++b->stamp;
        next->worker = worker;
        b_dispatch(b, next);
    }
}

/* Calls of one caller may be sent up to the first that waits for an argument. */
void b_release_calls(brute *b, mr_id actor, uint32_t caller)
{
    B_EACH_TASK(b, t)
    {
        if (t->state != B_HELD || t->actor != actor || t->caller != caller)
            continue;
        bool waits = b_waits_for_arguments(b, t);
        for (uint32_t i = 0; i < t->n_deps; i++) /* it is about to fail */
            waits |= brute_object(b, t->ids[i])->state == MR_OBJ_ERROR;
        if (waits && b_ordered(b, actor))
            return;
        if (waits)
            continue;
        t->state = B_CALL;
        t->order = ++b->stamp;
    }
}

void b_detach(brute *b, b_task *t)
{
    b_state was = t->state;
    b_void_heir_of(b, t->id);
    b_leave_seat(b, t);
    if (was == B_RUN && b->procs[t->worker].task == t->id)
        b->procs[t->worker].task = 0;
    if (t->stopping && !b->procs[t->worker].killing)
        b_signal(b, t, MR_ACT_CONTINUE); /* its process must not stand still */
    t->stopping = t->started = false;
    t->slice_at = t->slice_left = -1;
    t->state = B_FAILING; /* nowhere, for the moment */
    t->worker = 0;
    t->blocks = 0;
    t->revoking = false;
    if (was == B_HELD && b->actors[t->actor - B_BASE].state != MR_ACTOR_DEAD) {
        b_release_calls(b, t->actor, t->caller);
        b_pump(b, t->actor);
    }
}

void b_fail_later(brute *b, b_task *t, mr_id cause)
{
    if (t->state == B_FAILING)
        return;
    b_detach(b, t);
    t->cause = cause;
    b->failing[b->n_failing++] = t->id;
}

bool b_fail_by_lost(brute *b, b_task *t)
{
    for (uint32_t i = 0; t && i < t->n_deps && !t->stopped; i++)
        if (b_bad(b, t->ids[i])) {
            b_fail_later(b, t, t->ids[i]);
            return true;
        }
    return false;
}

void b_fail_now(brute *b, b_task *t, mr_status status)
{
    b_detach(b, t);
    b_end(b, t, status, 0);
    if (t->actor)
        b_pump(b, t->actor);
}

void b_again(brute *b, b_task *t)
{
    t->attempt++;
    t->cancel = t->deep = false;
    b->retried++;
    if (!t->actor) {
        t->state = B_FRESH;
        return;
    }
    t->state = B_CALL;
    t->order = -++b->stamp; /* before all others */
}

bool b_may_try_again(const b_task *t)
{
    return !t->cancel && (t->f->tries < 0 || t->attempt < (uint32_t)t->f->tries);
}

/* -------------------------------------------------------------------------------------------------------- waits -- */

void b_unblock(brute *b, b_wait *w)
{
    b_task *t = w->task ? brute_task(b, w->task) : NULL;
    w->open = false;
    if (!t || !t->blocks || --t->blocks)
        return;
    if (t->lent) {
        b_stop_lending(b, t);
        b_sit(b, t);
    }
    b_pause(b, t, false);
    if (t->state == B_RUN && b->procs[t->worker].state == MR_PROC_BLOCKED)
        b->procs[t->worker].state = MR_PROC_BUSY;
}

void b_deliver(brute *b, uint32_t client, uint32_t token)
{
    b_told *x = b_tell(b, MR_ACT_DELIVER);
    x->client = client;
    x->token = token;
}

void b_settle(brute *b, mr_id id, mr_object_state state)
{
    brute_object(b, id)->state = state;
    B_EACH_TASK(b, t)
    {
        bool mine = false;
        for (uint32_t i = 0; i < t->n_deps; i++)
            mine |= t->ids[i] == id;
        if (!mine || (t->state != B_WAITING && t->state != B_HELD))
            continue;
        if (b_bad(b, id)) {
            b_fail_later(b, t, id);
        } else if (t->state == B_HELD) {
            b_release_calls(b, t->actor, t->caller);
            b_pump(b, t->actor);
        } else if (!b_waits_for_arguments(b, t)) {
            t->state = B_FRESH;
        }
    }
    for (uint32_t i = b->n_waits; i--;) {
        b_wait *w = &b->waits[i];
        bool early = false;
        for (uint32_t k = 0; k < w->n && w->open; k++)
            if (w->pending[k] && w->ids[k] == id) {
                w->pending[k] = false;
                w->done++;
                early |= b_bad(b, id) && (w->flags & MR_WAIT_EARLY);
            }
        if (w->open && (w->done >= w->need || early)) {
            b_unblock(b, w);
            b_deliver(b, w->client, w->token);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------- actors -- */

/* In which order the calls of a dead actor fail: those that were sent, could be sent, are held; of the held ones the
 * callers that came last first. */
static bool fails_before(brute *b, const b_task *t, const b_task *u)
{
    if (t->state != u->state)
        return t->state == B_FLIGHT || (t->state == B_CALL && u->state == B_HELD);
    if (t->state != B_HELD)
        return t->order < u->order;
    if (!b_ordered(b, t->actor) || t->caller == u->caller)
        return t->id < u->id;
    B_EACH_TASK(b, x) /* who of the two called it first? */
    if (x->actor == t->actor && (x->caller == t->caller || x->caller == u->caller))
        return x->caller == u->caller;
    return false;
}

static void fail_calls(brute *b, mr_id actor)
{
    for (b_task *first; (first = NULL, true);) {
        B_EACH_TASK(b, t)
        if (t->actor == actor && (t->state == B_FLIGHT || t->state == B_CALL || t->state == B_HELD) &&
            (!first || fails_before(b, t, first)))
            first = t;
        if (!first)
            return;
        b_fail_later(b, first, 0);
    }
}

void b_actor_die(brute *b, mr_id id, mr_status status)
{
    b_task *make = brute_task(b, id);
    if (b->actors[id - B_BASE].state == MR_ACTOR_NONE || b->actors[id - B_BASE].state == MR_ACTOR_DEAD)
        return;
    b->actors[id - B_BASE].state = MR_ACTOR_DEAD;
    b->actors[id - B_BASE].fault = status;
    fail_calls(b, id);
    if (!b->actors[id - B_BASE].creation)
        return;
    b->actors[id - B_BASE].creation = false;
    if (make->state == B_LIVING) {
        b_detach(b, make);
        b_over(b, make, MR_OK);
    } else if (make->state == B_RUN) {
        make->cancel = true;
        b_kill_proc(b, make->worker);
    } else if (make->state != B_FAILING && make->state != B_OVER) {
        b_fail_now(b, make, status);
    }
}

void b_actor_exit(brute *b, mr_id id, mr_status status)
{
    uint32_t worker = b->actors[id - B_BASE].worker;
    b_actor_die(b, id, status);
    b->actors[id - B_BASE].worker = 0;
    b_kill_proc(b, worker);
}

/* Sent calls are sent again if they may, in their order and before all others; then its constructor runs once more. */
void b_actor_lost(brute *b, mr_id id)
{
    b_task *make = brute_task(b, id);
    b->actors[id - B_BASE].worker = 0;
    bool more = make->f->tries < 0 || make->attempt < (uint32_t)make->f->tries;
    if (b->actors[id - B_BASE].leaving || !more) {
        b_actor_die(b, id, MR_E_ACTOR_DIED);
        return;
    }
    b->actors[id - B_BASE].state = MR_ACTOR_RESTARTING;
    for (b_task *last; (last = NULL, true);) {
        B_EACH_TASK(b, t)
        if (t->actor == id && t->state == B_FLIGHT && (!last || t->order > last->order))
            last = t;
        if (!last)
            break;
        more = b_may_try_again(last);
        mr_status status = last->cancel ? MR_E_CANCELLED : MR_E_ACTOR_UNAVAILABLE;
        b_detach(b, last);
        if (more)
            b_again(b, last);
        else
            b_end(b, last, status, 0);
    }
    b_detach(b, make);
    b_again(b, make);
}

/* ------------------------------------------------------------------------------------------ begin, end of a step -- */

bool b_drain(brute *b)
{
    bool any = b->n_failing > 0;
    for (uint32_t i = 0; i < b->n_failing; i++) {
        b_task *t = brute_task(b, b->failing[i]);
        b_end(b, t, MR_E_ACTOR_DIED, t->cause);
    }
    b->n_failing = 0;
    return any;
}

/* Nobody holds it: a value goes, an actor that has nothing to do leaves. */
static void let_go(brute *b)
{
    uint32_t holders[B_MOST];
    for (bool went = true; went;) {
        went = false;
        brute_holders(b, holders);
        for (uint32_t i = 0; i < b->n_ids; i++) {
            bool lives = b->actors[i].state && b->actors[i].state != MR_ACTOR_DEAD;
            if (holders[i] || lives || b->objects[i].state <= MR_OBJ_PENDING)
                continue;
            b->objects[i] = (b_object){0};
            b->actors[i].state = MR_ACTOR_NONE;
            went = true;
        }
    }
    for (uint32_t i = 0; i < b->n_ids; i++) {
        bool busy = b->actors[i].state != MR_ACTOR_ALIVE || b->actors[i].leaving || holders[i];
        B_EACH_TASK(b, t)
        busy = busy || (brute_alive(t) && t->actor == B_BASE + i);
        if (busy)
            continue;
        b->actors[i].leaving = true;
        b_retire(b, b->actors[i].worker);
    }
}

void b_begin(brute *b)
{
    b->n_told = 0;
}

void b_done(brute *b)
{
    b_drain(b);
    let_go(b);
}

bool brute_before_in_flight(brute *b, const b_task *t)
{
    B_EACH_TASK(b, u)
    if (u->state == B_FLIGHT && u->actor == t->actor && u->order < t->order)
        return true;
    return false;
}
