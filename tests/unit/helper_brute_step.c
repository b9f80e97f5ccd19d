/* helper_brute_step.c: what the model does at each event.  Owns nothing. */
#include "helper_brute_step.h"

#include <check.h>
#include <string.h>

#include "helper_brute_ends.h"
#include "helper_brute_stops.h"

/* -------------------------------------------------------------------------------------------------------- events -- */

void brute_put(brute *b, mr_id id, uint32_t client, const mr_id in[2])
{
    b_begin(b);
    *brute_object(b, id) = (b_object){.state = MR_OBJ_SEALED, .refs = {in[0], in[1]}};
    b->procs[client].holds[id - B_BASE] = true;
    if (b->n_ids < id + 1 - B_BASE)
        b->n_ids = (uint32_t)(id + 1 - B_BASE);
    b_done(b);
}

/* The first task of its demand that may start, and where. */
static b_task *startable(brute *b, const b_task *like, int *node)
{
    b_task *best = NULL;
    B_EACH_TASK(b, t)
    {
        if (t->state != B_READY || t->f->shape != like->f->shape || !t->parent != !like->parent ||
            t->stopped != like->stopped || (t->stopped && t->node != like->node) || (best && best->entry < t->entry))
            continue;
        for (uint32_t n = 0; n < b->n_nodes; n++)
            if (b_fits(b, t, (int)n)) {
                best = t;
                *node = (int)n;
                break;
            }
    }
    return best;
}

/* Demands in the order of their first task; one start, and all is looked at anew. */
static bool start_one(brute *b)
{
    uint64_t after = 0;
    for (b_task *head; (head = NULL, true);) {
        int node = -1;
        B_EACH_TASK(b, t)
        if (t->state == B_READY && t->entry > after && (!head || t->entry < head->entry))
            head = t;
        if (!head)
            return false;
        after = head->entry;
        b_task *t = startable(b, head, &node);
        if (!t)
            continue;
        b_start(b, t, b_idle_slot(b, node));
        return true;
    }
    return false;
}

void brute_time(brute *b, int64_t later)
{
    b_begin(b);
    b->now += later;
    b_expire(b);
    bool ready = false;
    B_EACH_TASK(b, t)
    ready |= t->state == B_READY;
    for (uint32_t i = 0; i < b->n_nodes; i++) {
        b_node *n = &b->nodes[i];
        if (!ready || !b_lenders(b, (int)i) || n->lend_at > b->now)
            continue;
        n->open = true;
        n->lend_delay = n->lend_delay * 2 > 128000000 ? 128000000 : n->lend_delay * 2;
        n->lend_at = b->now + n->lend_delay;
    }
    b_tell_started(b);
    B_EACH_TASK(b, t)
    if (t->state == B_FRESH) {
        t->state = B_READY;
        t->entry = ++b->entry;
        if (!t->stopped)
            b->asks[b->n_asks++] = t->id;
    }
    do {
        b_heirs(b);
        while (start_one(b))
            ;
    } while (b_drain(b));
    b_tell_started(b);
    b_ask_preempt(b);
    b_done(b);
}

void brute_up(brute *b, uint32_t worker)
{
    b_begin(b);
    b_idle(b, worker);
    b_done(b);
}

void brute_sealed(brute *b, mr_id task, uint32_t index, const mr_id in[2])
{
    b_begin(b);
    memcpy(brute_object(b, task + index)->refs, in, 2 * sizeof *in);
    b_settle(b, task + index, MR_OBJ_SEALED);
    b_done(b);
}

static void seal_outcome(brute *b, b_task *t, mr_status outcome)
{
    bool carries = !b_there(b, t->id) && brute_object(b, t->id)->maker == t->id;
    if (carries)
        b_settle(b, t->id, outcome ? MR_OBJ_ERROR : MR_OBJ_SEALED);
    b_seal_rest(b, t, outcome ? outcome : MR_E_TASK, carries && outcome ? t->id : 0);
}

static void born(brute *b, b_task *t)
{
    uint32_t worker = t->worker;
    int node = t->node;
    b_detach(b, t);
    t->state = B_LIVING;
    t->node = node;
    t->released = t->f->tries >= 0 && t->attempt >= (uint32_t)t->f->tries; /* it will not be made again */
    b->procs[worker].state = MR_PROC_ACTOR;
    b->procs[worker].actor = t->id;
    b->actors[t->id - B_BASE].state = MR_ACTOR_ALIVE;
    b->actors[t->id - B_BASE].worker = worker;
    b_pump(b, t->id);
}

static void task_finished(brute *b, b_task *t, mr_status outcome)
{
    uint32_t worker = t->worker;
    b_proc *p = &b->procs[worker];
    seal_outcome(b, t, outcome);
    if (t->f->kind == MR_FUNC_ACTOR && !outcome) {
        born(b, t);
        return;
    }
    b_detach(b, t);
    if (++p->calls >= t->f->max_calls && t->f->max_calls)
        b_retire(b, worker);
    else
        b_idle(b, worker);
    if (t->f->kind == MR_FUNC_ACTOR)
        b_end(b, t, MR_E_ACTOR_DIED, 0);
    else
        b_over(b, t, outcome);
}

void brute_finished(brute *b, mr_id task, mr_status outcome, bool retriable)
{
    b_task *t = brute_task(b, task);
    uint32_t worker = t->worker;
    b_begin(b);
    if (t->stopped) /* it was through before it stood still */
        b_unstop(b, t, true);
    if (outcome == MR_E_TASK && retriable && t->f->kind != MR_FUNC_ACTOR && b_may_try_again(t)) {
        b_detach(b, t);
        if (!t->actor)
            b_idle(b, worker);
        b_again(b, t);
    } else if (t->actor) {
        seal_outcome(b, t, outcome);
        b_detach(b, t);
        b_over(b, t, outcome);
    } else if (t->f->kind == MR_FUNC_ACTOR && !b->actors[task - B_BASE].creation) {
        b_detach(b, t);
        b_end(b, t, b->actors[task - B_BASE].fault, 0);
    } else {
        task_finished(b, t, outcome);
    }
    if (t->actor)
        b_pump(b, t->actor);
    b_done(b);
}

static void cancel_one(brute *b, b_task *t, uint32_t flags)
{
    if (t->state == B_LIVING || t->state == B_FAILING || t->state == B_OVER)
        return;
    if (t->stopped) /* it has to run to hear of it */
        b_unstop(b, t, !(flags & MR_CANCEL_FORCE));
    if (t->state != B_RUN && t->state != B_FLIGHT) {
        b_fail_now(b, t, MR_E_CANCELLED);
        return;
    }
    t->cancel = true;
    if (t->state == B_RUN && (flags & MR_CANCEL_FORCE))
        b_kill_proc(b, t->worker);
    if (t->state == B_RUN || !b_ordered(b, t->actor))
        return;
    t->revoking |= brute_before_in_flight(b, t); /* not the one that runs */
}

static void cancel_children(brute *b, const b_task *t, uint32_t flags)
{
    B_EACH_TASK(b, u)
    if (brute_alive(u) && t->worker && u->owner == t->worker && u->parent == t->id && !u->cancel) {
        cancel_children(b, u, flags);
        u->deep = true;
        cancel_one(b, u, flags);
    }
}

void brute_submit(brute *b, const b_func *f, mr_id id, uint32_t n_returns, const mr_id *ids, uint32_t n_deps,
                  uint32_t n_ids, uint32_t owner, mr_id parent, mr_id actor, bool unheard)
{
    b_task *t = brute_task(b, id);
    mr_id wrong = 0;
    b_begin(b);
    *t = (b_task){.state = B_WAITING, .f = f, .id = id, .parent = parent, .actor = actor, .n_deps = n_deps};
    t->n_ids = n_ids;
    t->n_returns = n_returns;
    t->owner = t->caller = owner;
    t->attempt = 1;
    t->node = t->slot = -1;
    for (uint32_t i = 0; i < n_ids; i++) {
        t->ids[i] = ids[i];
        if (!wrong && i < n_deps && b_bad(b, ids[i]))
            wrong = ids[i];
    }
    for (uint32_t i = 0; i < n_returns; i++) {
        *brute_object(b, id + i) = (b_object){.state = MR_OBJ_PENDING, .maker = id};
        b->procs[owner].holds[id + i - B_BASE] = true;
    }
    if (b->n_ids < id + n_returns - B_BASE)
        b->n_ids = (uint32_t)(id + n_returns - B_BASE);
    if (f->kind == MR_FUNC_ACTOR) {
        b->actors[id - B_BASE].state = MR_ACTOR_PENDING;
        b->actors[id - B_BASE].creation = true;
    }
    if (wrong) {
        b_fail_later(b, t, wrong);
    } else if (actor && b->actors[actor - B_BASE].state == MR_ACTOR_DEAD) {
        b_fail_later(b, t, 0);
    } else if (actor) {
        t->state = B_HELD;
        b_release_calls(b, actor, owner);
        b_pump(b, actor);
    } else if (!b_waits_for_arguments(b, t)) {
        t->state = B_FRESH;
    }
    if (parent && unheard && brute_task(b, parent)->deep && brute_task(b, parent)->cancel)
        cancel_one(b, t, 0); /* it was on its way when its parent was cancelled */
    b_done(b);
}

/* Its waits, its task, its actor, what it owned, what it held. */
static void lose(brute *b, uint32_t worker, mr_status how)
{
    b_proc *p = &b->procs[worker];
    if (p->task && brute_task(b, p->task)->stopped)
        b_unstop(b, brute_task(b, p->task), false);
    for (uint32_t i = 0; i < b->n_waits; i++)
        if (b->waits[i].open && b->waits[i].client == worker)
            b_unblock(b, &b->waits[i]);
    b_task *t = p->task ? brute_task(b, p->task) : NULL;
    if (t && t->cancel) {
        b_fail_now(b, t, t->orphan ? MR_E_OWNER_DIED : MR_E_CANCELLED);
    } else if (t && b_may_try_again(t)) {
        b_detach(b, t);
        b_again(b, t);
    } else if (t) {
        b_fail_now(b, t, how);
    }
    if (p->actor && b->actors[p->actor - B_BASE].worker == worker)
        b_actor_lost(b, p->actor);
    B_EACH_TASK(b, u)
    {
        if (!brute_alive(u) || u->owner != worker)
            continue;
        u->owner = 0;
        if (u->stopped)
            b_unstop(b, u, false);
        if (u->f->kind == MR_FUNC_ACTOR) {
            b_actor_exit(b, u->id, MR_E_OWNER_DIED);
        } else if (u->state == B_RUN) {
            u->cancel = u->orphan = true;
            b_kill_proc(b, u->worker);
        } else if (u->state == B_FLIGHT) {
            u->orphan = true;
            cancel_one(b, u, 0);
        } else if (u->state != B_FAILING) {
            b_fail_now(b, u, MR_E_OWNER_DIED);
        }
    }
    p->state = MR_PROC_GONE;
    memset(p->holds, 0, sizeof p->holds);
    if (!b->nodes[p->node].gone)
        b_births(b, p->node, p->env);
}

void brute_died(brute *b, uint32_t worker, mr_status how)
{
    b_begin(b);
    lose(b, worker, how);
    b_done(b);
}

/* Its processes are lost; who only waited for one is as ready as it was. */
void brute_remove_node(brute *b, int node)
{
    b_begin(b);
    b->nodes[node].gone = true;
    for (uint32_t i = 1; i <= b->n_procs; i++)
        if (b->procs[i].state != MR_PROC_GONE && b->procs[i].node == node)
            lose(b, i, MR_E_NODE_DIED);
    B_EACH_TASK(b, t)
    if (t->state == B_PROCESS && t->node == node) {
        b_detach(b, t);
        t->state = B_READY;
        b->asks[b->n_asks++] = t->id;
    }
    for (uint32_t i = 0; i < b->n_slots; i++)
        if (b->slot_node[i] == node)
            b_void_heir(b, (int)i);
    B_EACH_TASK(b, t) /* all that wait are looked at: what they need may be gone */
    {
        bool waits = !t->stopped && (t->state == B_WAITING || t->state == B_FRESH || t->state == B_READY ||
                                     t->state == B_PROCESS || t->state == B_HELD || t->state == B_CALL);
        b_fail_by_lost(b, waits ? t : NULL);
    }
    b_done(b);
}

void brute_retired(brute *b, uint32_t worker)
{
    b_proc *p = &b->procs[worker];
    b_begin(b);
    if (p->actor && b->actors[p->actor - B_BASE].worker == worker)
        b_actor_die(b, p->actor, MR_E_ACTOR_DIED);
    for (uint32_t i = 0; i < b->n_waits; i++)
        if (b->waits[i].open && b->waits[i].client == worker)
            b_unblock(b, &b->waits[i]);
    B_EACH_TASK(b, t)
    if (t->owner == worker)
        t->owner = 0; /* what it started goes on */
    p->state = MR_PROC_GONE;
    memset(p->holds, 0, sizeof p->holds);
    b_done(b);
}

void brute_cancel(brute *b, mr_id task, uint32_t flags)
{
    b_begin(b);
    if (flags & MR_CANCEL_RECURSIVE) {
        brute_task(b, task)->deep = true;
        cancel_children(b, brute_task(b, task), 0);
    }
    cancel_one(b, brute_task(b, task), flags);
    b_done(b);
}

void brute_kill(brute *b, mr_id actor, bool no_restart)
{
    b_begin(b);
    if (no_restart || b->actors[actor - B_BASE].state != MR_ACTOR_ALIVE)
        b_actor_exit(b, actor, MR_E_ACTOR_DIED);
    else
        b_kill_proc(b, b->actors[actor - B_BASE].worker);
    b_done(b);
}

void brute_revoked(brute *b, mr_id task, bool ok)
{
    b_task *t = brute_task(b, task);
    b_begin(b);
    t->revoking = false;
    if (ok)
        b_fail_now(b, t, MR_E_CANCELLED);
    else if (t->state != B_FLIGHT) /* else it has begun, and is interrupted */
        cancel_one(b, t, 0);
    b_done(b);
}

static void block(brute *b, b_task *t, uint32_t flags)
{
    if (t->blocks++ || t->state != B_RUN)
        return;
    b->procs[t->worker].state = MR_PROC_BLOCKED;
    b_pause(b, t, true);
    if (!(flags & MR_WAIT_LEND) || t->f->kind == MR_FUNC_ACTOR)
        return;
    if (!b_lenders(b, t->node)) {
        b->nodes[t->node].lend_delay = 1000000;
        b->nodes[t->node].lend_at = b->now + 1000000;
    }
    t->lent = true;
    b_leave_slot(b, t);
}

void brute_blocked(brute *b, uint32_t client, uint32_t token, mr_id task, uint32_t need, uint32_t flags,
                   const mr_id *ids, uint32_t n)
{
    b_wait w = {.open = true, .client = client, .token = token, .need = need, .flags = flags, .n = n};
    bool early = false;
    b_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        w.ids[i] = ids[i];
        w.pending[i] = !b_there(b, ids[i]);
        w.done += !w.pending[i];
        early |= b_bad(b, ids[i]) || brute_object(b, ids[i])->state == MR_OBJ_NONE;
    }
    if (w.done >= need || (early && (flags & MR_WAIT_EARLY))) {
        b_deliver(b, client, token);
        return;
    }
    b_task *t = task ? brute_task(b, task) : NULL;
    if (t && t->stopped) /* it did so before it stood still */
        b_unstop(b, t, true);
    if (t && t->worker == client && (t->state == B_RUN || t->state == B_FLIGHT)) {
        w.task = task;
        block(b, t, flags);
    }
    ck_assert(b->n_waits < B_WAITS);
    b->waits[b->n_waits++] = w;
}

void brute_unblocked(brute *b, uint32_t client, uint32_t token)
{
    b_begin(b);
    for (uint32_t i = 0; i < b->n_waits; i++)
        if (b->waits[i].open && b->waits[i].client == client && b->waits[i].token == token)
            b_unblock(b, &b->waits[i]);
}

void brute_refs(brute *b, uint32_t client, mr_id id, bool add)
{
    b_begin(b);
    b->procs[client].holds[id - B_BASE] = add && brute_object(b, id)->state != MR_OBJ_NONE;
    b_done(b);
}

void brute_free(brute *b, mr_id id)
{
    b_object *o = brute_object(b, id);
    b_begin(b);
    if ((o->state == MR_OBJ_SEALED || o->state == MR_OBJ_ERROR) && !b->actors[id - B_BASE].state)
        *o = (b_object){.state = MR_OBJ_FREED, .maker = o->maker};
    b_done(b);
}
