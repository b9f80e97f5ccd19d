/* tasks.c: the life of a task after its submission: ready, lost, failed, cancelled, finished, gone.
 *
 * A task ends once (mr_task_over), and each of its results is settled once, whatever happens: the results that are
 * still unsealed when it ends are sealed here with an error.  Knows nothing of which task is chosen (ready.c) or of
 * processes (workers.c).
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* -------------------------------------------------------------------------------------------------------- places -- */

void mr_task_ready(mr_control *c, task *t)
{
    if (t->actor) {
        mr_actor_call_ready(c, t);
        return;
    }
    c->n_waiting--;
    t->where = W_FRESH;
    t->v.from = c->cause_slot ? MR_REF_SLOT | c->cause_slot : MR_NONE;
    if (c->fresh.tail && c->fresh.tail->v.seq > t->v.seq)
        c->fresh_unsorted = true;
    mr_tlist_push(&c->fresh, t);
    if (c->dirty)
        return;
    /* Behind one that could not start and needs the same, it can not start either: nothing is to be decided. */
    const shape *sh = c->shapes[t->shape];
    bool behind = sh->ready && !c->held_back;
    c->dirty = c->pol.any || c->n_blocked || (!behind && !mr_ahead_plenty(c, sh, t));
}

static void off_process(mr_control *c, task *t)
{
    proc *p = proc_at(c, t->worker);
    if (t->where == W_RUN) {
        c->n_running--;
        if (t->flags & T_BLOCKED)
            c->n_blocked--;
        if (p && t->flags & T_STOPPING)
            mr_stop_cancelled(c, t);
        if (p && p->task == t)
            p->task = NULL;
    } else if (p) {
        mr_tlist_remove(&p->ahead, t);
        c->n_ahead--;
    }
    t->flags &= ~(uint32_t)(T_BLOCKED | T_REVOKING | T_STOPPING);
    t->blocks = 0;
    t->worker = 0;
}

void mr_task_detach(mr_control *c, task *t)
{
    node *n;
    MR_BUG_ON(t->flags & T_STOPPED); /* its process must hear of it: mr_stop_end */
    switch ((where)t->where) {
    case W_WAITING:
        c->n_waiting--;
        mr_deps_unlink(c, t);
        break;
    case W_FRESH:
        mr_tlist_remove(&c->fresh, t);
        break;
    case W_READY:
        mr_ready_leave(c, t);
        break;
    case W_TRAVEL:
        t->waiting = 0; /* it was `missing` */
        mr_tlist_remove(&task_node(c, t)->travel, t);
        c->n_travel--;
        mr_seat_release(c, t);
        break;
    case W_PROCESS:
        n = task_node(c, t);
        mr_tlist_remove(&mr_kind_of(c, n, c->shapes[t->shape])->waiting, t);
        c->n_travel--;
        mr_seat_release(c, t);
        break;
    case W_RUN:
        mr_seat_release(c, t);
        off_process(c, t);
        break;
    case W_AHEAD:
        off_process(c, t);
        break;
    case W_HELD:
    case W_CALL:
    case W_FLIGHT:
        mr_deps_unlink(c, t);
        mr_actor_call_out(c, t);
        break;
    case W_LIVING:
        mr_seat_release(c, t);
        break;
    case W_FAILING:
        mr_tlist_remove(&c->failing, t);
        break;
    case W_PAST:
    case W_OVER:
        break;
    }
}

/* --------------------------------------------------------------------------------------------------------- ends -- */

int32_t mr_task_tries(const mr_control *c, const task *t)
{
    int32_t retries = c->funcs[t->func - 1]->def->max_retries;
    if (t->v.kind == MR_ACTOR)
        retries = c->funcs[t->func - 1]->def->max_restarts;
    return retries < 0 ? -1 : retries + 1;
}

bool mr_task_try_left(const mr_control *c, const task *t)
{
    int32_t tries = mr_task_tries(c, t);
    return tries < 0 || t->attempt < (uint32_t)tries;
}

/* Of one with T_CANCEL: by whom. */
static mr_status why_killed(const task *t)
{
    static const struct {
        uint32_t flag;
        mr_status status;
    } table[] = {{T_EVICTED, MR_E_GROUP_REMOVED}, {T_ORPHAN, MR_E_OWNER_DIED}, {T_OVERDUE, MR_E_TIMEOUT}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (t->flags & table[i].flag)
            return table[i].status;
    return MR_E_CANCELLED;
}

mr_fault mr_task_fault(const mr_control *c, const task *t, mr_status status)
{
    int32_t tries = mr_task_tries(c, t);
    return (mr_fault){.status = status,
                      .attempt = t->attempt,
                      .of = tries < 0 ? 0 : (uint32_t)tries,
                      .func = t->func,
                      .task = t->v.ref,
                      .cause = t->actor,
                      .may_have_run = t->where == W_FLIGHT || t->where == W_RUN};
}

/* Seals what is unsealed: the first with the fault (or as `cause`), the others as the first. */
static void seal_rest(mr_control *c, task *t, const mr_fault *f, mr_id cause)
{
    for (uint32_t i = 0; t->unsealed && i < t->n_returns; i++) {
        object *o = object_at(c, t->v.ref + i);
        if (!o || settled(o) || object_task(o) != t->v.ref)
            continue;
        t->unsealed--;
        if (cause)
            mr_object_alias(c, o, cause);
        else
            mr_object_fail(c, o, f);
        cause = o->id;
    }
}

void mr_task_release_args(mr_control *c, task *t)
{
    if (t->flags & T_KEPT)
        return;
    t->flags |= T_KEPT;
    for (uint32_t i = 0; i < t->n_deps + t->n_refs; i++) {
        object *o = object_at(c, t->ids[i]);
        if (o)
            mr_object_unhold(c, o);
    }
}

static inline void gone(mr_control *c, task *t)
{
    if (t->ids) {
        c->heap -= (t->n_deps + t->n_refs) * sizeof(mr_id) + t->n_deps * sizeof(dep);
        free(t->ids);
    }
    func *f = c->funcs[t->func - 1];
    if (f->def->code)
        mr_func_unuse(c, f);
    mr_table_del(&c->tasks, t->v.ref);
}

void mr_task_gone(mr_control *c, task *t)
{
    if (!(t->flags & T_PAST) || !mr_lineage_past(c, t))
        gone(c, t);
}

void mr_task_over(mr_control *c, task *t, mr_status outcome)
{
    t->outcome = outcome;
    if (t->flags & T_STREAM)
        mr_stream_end(c, t->v.ref);
    if (outcome == MR_OK)
        c->finished++;
    else if (outcome == MR_E_CANCELLED)
        c->cancelled++;
    else
        c->failed++;
    bool kept = c->conf.lineage && mr_lineage_keep(c, t, outcome);
    if (!kept && t->ids)
        mr_task_release_args(c, t);
    if (t->actor)
        mr_object_unhold(c, object_at(c, t->actor));
    mr_list_remove(&t->owned);
    c->n_limited -= t->v.limit >= 0;
    if (c->conf.history)
        mr_history_add(c, t);
    if (!kept)
        mr_control_act(c, MR_ACT_DROP)->id = t->v.ref;
    if (!kept && !c->pol.n_notes) {
        gone(c, t);
        return;
    }
    t->where = W_OVER;
    t->v.state = MR_OVER;
    if (c->pol.n_notes)
        mr_tlist_push(&c->over, t);
    else
        mr_task_gone(c, t);
}

/* Taken out of its place by the caller. */
static void end(mr_control *c, task *t, const mr_fault *f, mr_id cause)
{
    mr_status outcome = f ? (mr_status)f->status : MR_E_TASK;
    seal_rest(c, t, f, cause);
    if (t->v.kind == MR_ACTOR) {
        actor *a = actor_at(c, t->v.ref);
        mr_fault fault = f ? *f : mr_task_fault(c, t, MR_E_ACTOR_DIED);
        fault.cause = cause ? cause : t->v.ref;
        if (a) {
            a->creation = NULL;
            mr_actor_die(c, a, &fault);
        }
    }
    mr_task_over(c, t, outcome);
}

void mr_task_fail(mr_control *c, task *t, const mr_fault *f)
{
    mr_fault own = *f;
    bool told = !t->actor && t->where != W_LIVING && !(t->flags & T_QUIET);
    mr_task_detach(c, t);
    if (told)
        mr_policy_note(c, MR_DROPPED, t, own.status, 0);
    end(c, t, &own, 0);
}

void mr_task_fail_by(mr_control *c, task *t, mr_id cause)
{
    if (t->where == W_FAILING || t->where == W_OVER)
        return;
    mr_task_detach(c, t);
    if (!t->actor && !(t->flags & T_QUIET))
        mr_policy_note(c, MR_DROPPED, t, MR_E_TASK, 0);
    t->flags |= T_QUIET;
    t->cause = cause;
    t->where = W_FAILING;
    mr_tlist_push(&c->failing, t);
}

void mr_task_fail_later(mr_control *c, task *t)
{
    bool sent = t->where == W_FLIGHT;
    if (t->where == W_FAILING || t->where == W_OVER)
        return;
    mr_task_detach(c, t);
    t->flags |= sent ? T_QUIET | T_RAN : T_QUIET;
    t->cause = 0;
    t->where = W_FAILING;
    mr_tlist_push(&c->failing, t);
}

void mr_task_failing(mr_control *c, task *t)
{
    actor *a = t->actor ? actor_at(c, t->actor) : NULL;
    if (t->cause) {
        end(c, t, NULL, t->cause);
        return;
    }
    mr_fault f = a ? a->fault : mr_task_fault(c, t, MR_E_ACTOR_DIED);
    f.status = MR_E_ACTOR_DIED;
    f.may_have_run = !!(t->flags & T_RAN);
    f.task = t->v.ref;
    f.func = t->func;
    f.cause = t->actor;
    if (a) /* the call tells of it from here on */
        object_at(c, a->id)->flags |= O_READ;
    end(c, t, &f, 0);
}

void mr_task_again(mr_control *c, task *t)
{
    t->attempt++;
    t->v.attempt = t->attempt > UINT16_MAX ? UINT16_MAX : (uint16_t)t->attempt;
    t->v.ran = 0;
    t->v.started_at = MR_UNKNOWN;
    t->v.state = MR_WAITING;
    t->flags &= ~(uint32_t)(T_CANCEL | T_DEEP | T_REVOKING | T_PRESENT);
    t->flags |= T_QUIET; /* told to be over; nothing to add if it ends before it is ready again */
    c->retried++;
    c->n_waiting++;
    t->where = W_WAITING;
    if (t->actor)
        mr_actor_call_back(c, actor_at(c, t->actor), t);
    else
        mr_task_ready(c, t);
}

void mr_task_lost(mr_control *c, task *t, const mr_fault *f, bool blame)
{
    int32_t tries = mr_task_tries(c, t);
    mr_fault own = *f;
    if (t->flags & T_CANCEL)
        own = mr_task_fault(c, t, why_killed(t));
    else if (!blame) {
        mr_task_detach(c, t);
        mr_ready_enter(c, t, true);
        mr_stop_enter(c, t);
        return;
    } else if (mr_task_try_left(c, t)) {
        int64_t ran = t->where == W_RUN ? mr_stop_ran(c, t) : 0;
        mr_task_detach(c, t);
        mr_policy_note(c, MR_DROPPED, t, own.status, ran);
        mr_task_again(c, t);
        return;
    }
    own.attempt = t->attempt;
    own.of = tries < 0 ? 0 : (uint32_t)tries;
    own.func = t->func;
    own.task = t->v.ref;
    mr_task_fail(c, t, &own);
}

/* -------------------------------------------------------------------------------------------------------- events -- */

static void refuse_stale(mr_control *c, mr_id id, uint32_t attempt)
{
    c->stale++;
    mr_action *x = mr_control_act(c, MR_ACT_REPORT);
    x->flags = MR_REPORT_STALE;
    x->id = id;
    x->attempt = attempt;
    mr_control_refuse(c, MR_E_INVAL, "task %llx: a message of attempt %u, which is over", (unsigned long long)id,
                      attempt);
}

/* The task, if the message is of its running attempt. */
static inline task *current(mr_control *c, mr_id id, uint32_t attempt, uint32_t from)
{
    const uint32_t at_work = 1u << W_RUN | 1u << W_AHEAD | 1u << W_FLIGHT;
    task *t = task_at(c, id);
    if (t && t->attempt == attempt && (!from || t->worker == from) &&
        ((at_work >> t->where & 1) || (t->flags & T_STOPPED)))
        return t;
    refuse_stale(c, id, attempt);
    return NULL;
}

mr_status mr_task_started(mr_control *c, const mr_record *r)
{
    const mr_ev_task *e = (const void *)r;
    task *t = current(c, e->task, e->attempt, r->from);
    if (!t)
        return MR_E_INVAL;
    if (t->where == W_RUN && t->v.limit < 0)
        t->v.started_at = c->now;
    return MR_OK;
}

static mr_status seal_result(mr_control *c, task *t, const sealing *e, const mr_id *refs, uint32_t n_refs)
{
    object *o = e->id >= t->v.ref && e->id < t->v.ref + t->n_returns ? object_at(c, e->id) : NULL;
    if (!o)
        return mr_control_refuse(c, MR_E_INVAL, "task %llx: %llx is none of its results", (unsigned long long)t->v.ref,
                                 (unsigned long long)e->id);
    if (settled(o))
        return MR_E_EXISTS; /* an earlier attempt was there first */
    if ((e->flags & MR_VALUE_STORED) && e->node >= c->n_nodes)
        return mr_control_refuse(c, MR_E_INVAL, "task %llx: no node %u", (unsigned long long)t->v.ref, e->node);
    mr_func_sealed(c->funcs[t->func - 1], e->size);
    t->unsealed--;
    mr_status status = mr_object_seal(c, o, e, refs, n_refs);
    t->unsealed += status != MR_OK;
    return status;
}

static void cause_of(mr_control *c, const task *t)
{
    c->cause_slot = mr_ref_is_slot(t->v.on) ? (uint32_t)t->v.on : 0;
}

mr_status mr_task_sealed(mr_control *c, const mr_record *r)
{
    const mr_ev_sealed *e = (const void *)r;
    task *t = current(c, e->task, e->attempt, r->from);
    if (!t)
        return MR_E_INVAL;
    cause_of(c, t);
    sealing as = {e->id, e->size, e->node, e->format, e->flags};
    mr_status status = seal_result(c, t, &as, mr_record_ids(r, sizeof *e), r->n_ids);
    return status == MR_E_EXISTS ? MR_OK : status;
}

/* A stream that was cancelled is cut there and then, also when its producer is through before the interrupt. */
static mr_status ended_as(const task *t, const mr_ev_finished *e)
{
    return (t->flags & T_STREAM) && (t->flags & T_CANCEL) ? MR_E_CANCELLED : (mr_status)e->outcome;
}

/* The one result, small and without references inside, of a task that ended well, as most do. */
static inline bool seal_only(mr_control *c, task *t, const mr_ev_finished *e)
{
    if (e->outcome || e->flags != MR_FINISHED_RESULT || e->vflags || e->h.n_ids || t->n_returns != 1 ||
        e->id != t->v.ref || (t->flags & (T_STREAM | T_CANCEL)))
        return false;
    object *o = object_at(c, e->id);
    if (!o || settled(o))
        return false;
    t->unsealed = 0;
    mr_func_sealed(c->funcs[t->func - 1], e->size);
    o->size = e->size;
    o->format = e->format;
    o->vflags = 0;
    if (o->deps || o->waits || !o->holders || (o->flags & (O_ACTOR | O_FREEING)))
        mr_object_settle(c, o, MR_OBJ_SEALED);
    else
        o->state = MR_OBJ_SEALED;
    return true;
}

/* What the message carries, then what is missing.  cause: the object whose error the others repeat. */
static void seal_outcome(mr_control *c, task *t, const mr_ev_finished *e, mr_status outcome)
{
    mr_id cause = 0;
    if ((e->flags & MR_FINISHED_RESULT) && outcome == e->outcome) {
        sealing as = {e->id, e->size, e->node, e->format, e->vflags | (outcome ? MR_VALUE_ERROR : 0)};
        mr_status status = seal_result(c, t, &as, mr_record_ids(e, sizeof *e), e->h.n_ids);
        if (outcome && !status)
            cause = e->id;
        if (status == MR_E_NOMEM)
            outcome = MR_E_NOMEM;
    }
    if (!t->unsealed)
        return;
    if (t->v.kind == MR_ACTOR && !outcome) {
        object *o = object_at(c, t->v.ref);
        t->unsealed = 0;
        (void)!mr_object_seal(c, o, &(sealing){0}, NULL, 0); /* no references inside: can not fail */
        return;
    }
    for (uint32_t i = 0; (t->flags & T_STREAM) && !outcome && t->unsealed; i++) {
        object *o = object_at(c, t->v.ref + i);
        if (!o || settled(o) || object_task(o) != t->v.ref)
            continue;
        t->unsealed--;
        (void)!mr_object_seal(c, o, &(sealing){0}, NULL, 0);
    }
    if (!t->unsealed)
        return;
    mr_fault f = mr_task_fault(c, t, outcome ? outcome : MR_E_TASK);
    seal_rest(c, t, &f, cause);
}

static bool may_retry(const mr_control *c, const task *t, const mr_ev_finished *e)
{
    if (e->outcome != MR_E_TASK || !(e->flags & MR_FINISHED_RETRIABLE) || (t->flags & T_CANCEL) ||
        t->v.kind == MR_ACTOR)
        return false;
    return mr_task_try_left(c, t);
}

static void call_finished(mr_control *c, task *t, const mr_ev_finished *e)
{
    actor *a = actor_at(c, t->actor);
    if (e->outcome == MR_OK)
        mr_func_ran(c->funcs[t->func - 1], e->ran);
    else if (may_retry(c, t, e)) {
        mr_actor_call_out(c, t);
        mr_task_again(c, t);
        mr_actor_pump(c, a);
        return;
    }
    mr_status outcome = ended_as(t, e);
    if (!seal_only(c, t, e))
        seal_outcome(c, t, e, outcome);
    mr_actor_call_out(c, t);
    mr_task_over(c, t, outcome);
    if (e->flags & MR_FINISHED_EXIT)
        mr_actor_left(c, a, e->task);
    else
        mr_actor_pump(c, a);
}

/* The constructor returned: the actor lives, its creation keeps `living`. */
static void actor_finished(mr_control *c, task *t, proc *p)
{
    actor *a = actor_at(c, t->v.ref);
    node *n = task_node(c, t);
    pool *in = t->in;
    func *f = c->funcs[t->func - 1];
    t->worker = p->number;
    a->worker = p->number;
    p->actor = a->id;
    uint32_t gpus = t->gpus;
    uint8_t part = t->gpu_part;
    mr_task_detach(c, t);
    t->v.needs = f->living;
    t->v.n_needs = f->n_living;
    mr_pool_take(c, in, t);
    mr_gpu_swap(in, t, gpus, part); /* its constructor has seen which they are */
    t->v.on = n->v.ref;
    t->v.state = MR_RUNNING_NOW;
    t->where = W_LIVING;
    mr_list_push_back(&n->running, &t->run);
    p->state = MR_PROC_ACTOR;
    mr_proc_room(c, p);
    mr_actor_born(c, a);
}

mr_status mr_task_finished(mr_control *c, const mr_record *r)
{
    const mr_ev_finished *e = (const void *)r;
    task *t = current(c, e->task, e->attempt, r->from);
    if (!t)
        return MR_E_INVAL;
    cause_of(c, t);
    if (t->where == W_FLIGHT) {
        call_finished(c, t, e);
        return MR_OK;
    }
    if (t->flags & T_STOPPED) /* it was through before it stood still */
        mr_stop_end(c, t, true);
    proc *p = proc_at(c, t->worker);
    func *f = c->funcs[t->func - 1];
    int64_t before = t->where == W_RUN ? p->ran : 0;
    int64_t ran = e->ran >= 0 ? e->ran : t->where == W_RUN ? before + mr_stop_ran(c, t) : 0;
    if (e->outcome == MR_OK)
        mr_func_learn(c, f, ran);
    t->v.ran = ran;
    mr_policy_note(c, MR_DONE, t, e->outcome, ran > before ? ran - before : 0);
    /* A record held ahead may be done before the one before it was heard of: the process goes on with that one. */
    bool ahead = t->where == W_AHEAD;
    if (e->outcome && may_retry(c, t, e)) {
        mr_task_detach(c, t);
        if (!ahead)
            mr_proc_next(c, p);
        mr_task_again(c, t);
        return MR_OK;
    }
    const actor *made = t->v.kind == MR_ACTOR ? actor_at(c, t->v.ref) : NULL;
    if (t->v.kind == MR_ACTOR && (!made || made->state == MR_ACTOR_DEAD)) { /* killed while it was made (again) */
        mr_fault fault = made ? made->fault : mr_task_fault(c, t, MR_E_ACTOR_DIED);
        mr_task_detach(c, t);
        end(c, t, &fault, 0);
        return MR_OK;
    }
    mr_status outcome = ended_as(t, e);
    if (!seal_only(c, t, e))
        seal_outcome(c, t, e, outcome);
    if (t->v.kind == MR_ACTOR && !outcome) {
        actor_finished(c, t, p);
        return MR_OK;
    }
    p->calls++;
    bool last = f->def->max_calls > 0 && p->calls >= (uint32_t)f->def->max_calls && !p->ahead.n;
    if (last || !mr_seat_next(c, p, t)) {
        mr_task_detach(c, t);
        if (last)
            mr_proc_retire(c, p);
        else if (ahead)
            mr_proc_room(c, p);
        else
            mr_proc_next(c, p);
    }
    if (t->v.kind == MR_ACTOR) {
        mr_fault fault = mr_task_fault(c, t, MR_E_ACTOR_DIED);
        end(c, t, &fault, t->v.ref);
    } else {
        mr_task_over(c, t, outcome);
    }
    return MR_OK;
}
