/* submit.c: a task from the event to its first place: checks, records, arguments, holds.
 *
 * Everything that can fail is done before anything is changed, or undone; nothing after `commit` fails.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

static uint32_t results_of(const mr_ev_submit *e, const func *f)
{
    if (e->n_returns || f->plain)
        return e->n_returns;
    return f->def->kind == MR_FUNC_ACTOR || (f->def->flags & MR_FUNC_STREAMING) ? 1 : 0;
}

static mr_status check_ids(mr_control *c, const mr_ev_submit *e, const func *f, uint32_t n_results)
{
    const mr_id *ids = mr_record_ids(e, sizeof *e);
    if (!e->id || e->id >= UINT64_C(0xF000) << 48 || n_results > 1u << 20)
        return mr_control_refuse(c, MR_E_INVAL, "%s: id %llx with %u results", f->def->name, (unsigned long long)e->id,
                                 n_results);
    bool seen = e->id <= c->max_id; /* above it there is nothing */
    if (seen && task_at(c, e->id))
        return mr_control_refuse(c, MR_E_INVAL, "%s: task %llx exists", f->def->name, (unsigned long long)e->id);
    for (uint32_t i = 0; seen && i < n_results; i++)
        if (object_at(c, e->id + i))
            return mr_control_refuse(c, MR_E_INVAL, "%s: object %llx exists", f->def->name,
                                     (unsigned long long)e->id + i);
    for (uint32_t i = 0; i < e->h.n_ids; i++) {
        if (object_at(c, ids[i]))
            continue;
        c->fault.cause = ids[i];
        return mr_control_refuse(c, ids[i] <= c->max_id ? MR_E_FREED : MR_E_NOTFOUND, "%s: argument %llx %s",
                                 f->def->name, (unsigned long long)ids[i],
                                 ids[i] <= c->max_id ? "was freed: nobody held it any more"
                                                     : "was never made in this session");
    }
    return MR_OK;
}

static mr_status check_kind(mr_control *c, const mr_ev_submit *e, const func *f, mr_id *existing)
{
    if (!!e->actor != (f->def->kind == MR_FUNC_METHOD))
        return mr_control_refuse(c, MR_E_INVAL, "%s: %s", f->def->name,
                                 e->actor ? "is not a method of an actor" : "is a method: an actor is needed");
    return e->actor || f->def->kind == MR_FUNC_ACTOR ? mr_actor_check(c, e, f, existing) : MR_OK;
}

static mr_status check_shape(mr_control *c, const func *f, shape *s)
{
    if (s->group && s->group->state == MR_GROUP_REMOVED)
        return mr_control_refuse(c, MR_E_GROUP_REMOVED, "%s: its placement group was removed", f->def->name);
    return (c->conf.infeasible_wait && !s->group) || mr_node_feasible(c, s) ? MR_OK : mr_node_unschedulable(c, f, s);
}

static mr_status check(mr_control *c, const mr_ev_submit *e, func **out, shape **as, uint32_t *n_results,
                       mr_id *existing)
{
    func *f = func_at(c, e->func);
    if (!f)
        return mr_control_refuse(c, MR_E_INVAL, "task %llx: no function %u", (unsigned long long)e->id, e->func);
    if ((uint64_t)e->n_deps + e->n_refs != e->h.n_ids || e->name_bytes > e->h.n_bytes)
        return mr_control_refuse(c, MR_E_INVAL, "%s: %u arguments and %u references, but %u ids", f->def->name,
                                 e->n_deps, e->n_refs, e->h.n_ids);
    if (c->stopped)
        return mr_eject_refuses(c, f->def->name);
    if (e->h.from && !proc_at(c, e->h.from))
        return mr_control_refuse(c, MR_E_INVAL, "%s: client %u is gone", f->def->name, e->h.from);
    mr_status status = e->actor || !f->plain ? check_kind(c, e, f, existing) : MR_OK;
    if (status || *existing)
        return status;
    *n_results = results_of(e, f);
    status = check_ids(c, e, f, *n_results);
    if (status)
        return status;
    shape *s = mr_table_count(&c->groups) ? mr_group_shape(c, e, f) : f->shape[e->parent != 0];
    if (!s)
        return mr_control_refuse(c, MR_E_NOMEM, "%s: no memory for the task", f->def->name);
    if (s->feasible_gen != c->node_gen + 1 && !e->actor && (status = check_shape(c, f, s)))
        return status;
    *as = s;
    *out = f;
    return MR_OK;
}

/* ------------------------------------------------------------------------------------------------------- records -- */

static size_t ids_size(const mr_ev_submit *e)
{
    return (size_t)(e->n_deps + e->n_refs) * sizeof(mr_id) + (size_t)e->n_deps * sizeof(dep);
}

static void undo(mr_control *c, const mr_ev_submit *e, task *t, uint32_t n_objects)
{
    for (uint32_t i = 0; i < n_objects; i++) {
        object *o = object_at(c, e->id + i);
        o->holders++; /* it is not to be freed, only forgotten */
        mr_holder_drop(c, e->h.from, o);
        mr_table_del(&c->objects, e->id + i);
    }
    c->heap -= t->ids ? ids_size(e) : 0;
    free(t->ids);
    mr_table_del(&c->tasks, e->id);
}

/* The record, its arguments and its results, which the submitter holds; room for all that can follow. */
static task *make(mr_control *c, const mr_ev_submit *e, const func *f, uint32_t n_results)
{
    if ((e->h.from && mr_holder_room(c, e->h.from, n_results + 1)) || (c->pol.any && !mr_policy_room(c)) ||
        (!f->plain && f->def->limit >= 0 && !mr_limit_room(c)))
        return NULL;
    task *t = mr_table_new(&c->tasks, e->id);
    if (!t)
        return NULL;
    /* In two parts: the compiler moves what is larger than 256 bytes by an instruction that is slow to start. */
    t->v = f->like.v;
    memcpy(&t->qa, &f->like.qa, sizeof *t - offsetof(task, qa));
    if (e->id > c->max_id)
        c->max_id = e->id;
    uint32_t made = 0;
    bool streaming = !f->plain && (f->def->flags & MR_FUNC_STREAMING);
    if (e->h.n_ids) {
        t->ids = calloc(1, ids_size(e));
        if (!t->ids)
            goto fail;
        c->heap += ids_size(e);
        memcpy(t->ids, mr_record_ids(e, sizeof *e), e->h.n_ids * sizeof(mr_id));
    }
    for (; made < n_results; made++) {
        object *o = mr_object_new(c, e->id + made, e->func, made);
        if (!o)
            goto fail;
        if (streaming && !made)
            o->flags = O_STREAM;
        mr_holder_add(c, e->h.from, o);
    }
    if (!streaming || !mr_stream_new(c, e->id))
        return t;
fail:
    undo(c, e, t, made);
    return NULL;
}

static void fill(mr_control *c, task *t, const mr_ev_submit *e, const func *f, const shape *s, uint32_t n_results)
{
    mr_task *v = &t->v;
    v->ref = e->id;
    v->seq = ++c->seq;
    v->priority += e->priority;
    v->submitted_at = c->now;
    if (!f->plain && f->def->deadline >= 0)
        v->deadline = c->now + f->def->deadline;
    if (e->estimate >= 0 && c->conf.know != MR_KNOW_NOTHING) {
        v->estimate = e->estimate;
        v->n_learned = 0;
    }
    if (s != f->shape[0]) {
        v->needs = s->needs;
        v->n_needs = s->n_needs;
        t->shape = s->number;
    }
    t->parent = e->parent;
    t->actor = e->actor;
    t->n_deps = e->n_deps;
    t->n_refs = e->n_refs;
    t->n_returns = t->unsealed = n_results;
    t->owner = e->h.from;
    t->payload = e->h.n_bytes > 1 ? (uint8_t)(32 - __builtin_clz(e->h.n_bytes - 1)) : 0;
}

/* Holds them, and its actor; links those that are not sealed.  Gives the first that is an error, or 0. */
static mr_id take_arguments(mr_control *c, task *t)
{
    if (t->actor)
        object_at(c, t->actor)->holders++;
    for (uint32_t i = 0; t->ids && i < t->n_deps + t->n_refs; i++)
        object_at(c, t->ids[i])->holders++;
    return t->n_deps ? mr_deps_link(c, t) : MR_NO_ID;
}

/* The actor that GET_IF_EXISTS found. */
static mr_status give_existing(mr_control *c, const mr_record *r, mr_id id)
{
    if (mr_holder_room(c, r->from, 1))
        return MR_E_NOMEM;
    mr_holder_add(c, r->from, object_at(c, id));
    mr_control_reply(c, r, MR_OK, (int64_t)id);
    return MR_OK;
}

mr_status mr_task_submit(mr_control *c, const mr_record *r)
{
    const mr_ev_submit *e = (const void *)r;
    mr_id existing = 0;
    func *f = NULL;
    shape *s = NULL;
    uint32_t n_results = 0;
    c->fault.cause = 0;
    mr_status status = check(c, e, &f, &s, &n_results, &existing);
    if (status) {
        mr_id cause = c->fault.cause ? c->fault.cause : e->actor;
        c->fault = (mr_fault){.func = func_at(c, e->func) ? e->func : 0, .task = e->id, .cause = cause};
        return status;
    }
    if (existing)
        return give_existing(c, r, existing);
    actor *a = e->actor ? actor_at(c, e->actor) : NULL;
    if (a && mr_actor_call_room(c, a, r->from))
        return MR_E_NOMEM;
    task *t = make(c, e, f, n_results);
    if (!t)
        return mr_control_refuse(c, MR_E_NOMEM, "%s: no memory for the task", f->def->name);
    fill(c, t, e, f, s, n_results);
    if (t->v.kind == MR_ACTOR && (status = mr_actor_new(c, e, t))) {
        undo(c, e, t, n_results);
        return status;
    }
    c->submitted++;
    if (f->def->code)
        mr_func_use(c, f);
    c->n_limited += !f->plain && t->v.limit >= 0;
    if (r->token)
        mr_control_reply(c, r, MR_OK, (int64_t)e->id);
    t->where = W_WAITING;
    c->n_waiting++;
    mr_id wrong = take_arguments(c, t);
    proc *owner = t->owner ? proc_at(c, t->owner) : NULL;
    if (owner)
        mr_list_push_back(&owner->owned, &t->owned);
    if (!e->actor)
        mr_policy_note(c, MR_SUBMITTED, t, MR_OK, 0);
    task *parent = e->parent ? task_live(c, e->parent) : NULL;
    if (parent && mr_ref_is_slot(parent->v.on))
        c->cause_slot = (uint32_t)parent->v.on;
    if (wrong)
        mr_task_fail_by(c, t, wrong);
    else if (a)
        mr_actor_call(c, a, t);
    else if (!t->waiting)
        mr_task_ready(c, t);
    if (parent && (e->flags & MR_SUBMIT_UNHEARD) && (parent->flags & T_DEEP) && (parent->flags & T_CANCEL))
        mr_task_cancel_one(c, t, 0); /* it was on its way here when its parent was cancelled */
    return MR_OK;
}
