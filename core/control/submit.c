/* submit.c: a task from the event to its first place: checks, records, arguments, holds.
 *
 * Everything that can fail is done before anything is changed, or undone; nothing after `commit` fails.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

static uint32_t results_of(const mr_ev_submit *e, const func *f)
{
    if (e->n_returns)
        return e->n_returns;
    return f->def->kind == MR_FUNC_ACTOR || (f->def->flags & MR_FUNC_STREAMING) ? 1 : 0;
}

static mr_status check_ids(mr_control *c, const mr_ev_submit *e, const func *f, uint32_t n_results)
{
    const mr_id *ids = mr_record_ids(e, sizeof *e);
    if (!e->id || e->id >= UINT64_C(0xF000) << 48 || n_results > 1u << 20)
        return mr_control_refuse(c, MR_E_INVAL, "%s: id %llx with %u results", f->def->name, (unsigned long long)e->id,
                                 n_results);
    if (task_at(c, e->id))
        return mr_control_refuse(c, MR_E_INVAL, "%s: task %llx exists", f->def->name, (unsigned long long)e->id);
    for (uint32_t i = 0; i < n_results; i++)
        if (object_at(c, e->id + i))
            return mr_control_refuse(c, MR_E_INVAL, "%s: object %llx exists", f->def->name,
                                     (unsigned long long)e->id + i);
    for (uint32_t i = 0; i < e->n_deps + e->n_refs; i++) {
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

static mr_status check(mr_control *c, const mr_ev_submit *e, func **out, shape **as, mr_id *existing)
{
    func *f = func_at(c, e->func);
    if (!f)
        return mr_control_refuse(c, MR_E_INVAL, "task %llx: no function %u", (unsigned long long)e->id, e->func);
    c->fault = (mr_fault){.func = e->func, .task = e->id, .cause = e->actor};
    if ((uint64_t)e->n_deps + e->n_refs != e->h.n_ids || e->name_bytes > e->h.n_bytes)
        return mr_control_refuse(c, MR_E_INVAL, "%s: %u arguments and %u references, but %u ids", f->def->name,
                                 e->n_deps, e->n_refs, e->h.n_ids);
    if (e->h.from && !proc_at(c, e->h.from))
        return mr_control_refuse(c, MR_E_INVAL, "%s: client %u is gone", f->def->name, e->h.from);
    if (!!e->actor != (f->def->kind == MR_FUNC_METHOD))
        return mr_control_refuse(c, MR_E_INVAL, "%s: %s", f->def->name,
                                 e->actor ? "is not a method of an actor" : "is a method: an actor is needed");
    if (e->actor || f->def->kind == MR_FUNC_ACTOR) {
        mr_status status = mr_actor_check(c, e, f, existing);
        if (status || *existing)
            return status;
    }
    mr_status status = check_ids(c, e, f, results_of(e, f));
    if (status)
        return status;
    shape *s = mr_group_shape(c, e, f);
    if (!s)
        return mr_control_refuse(c, MR_E_NOMEM, "%s: no memory for the task", f->def->name);
    if (s->group && s->group->state == MR_GROUP_REMOVED && !e->actor)
        return mr_control_refuse(c, MR_E_GROUP_REMOVED, "%s: its placement group was removed", f->def->name);
    if (!e->actor && (!c->conf.infeasible_wait || s->group) && !mr_node_feasible(c, s))
        return mr_node_unschedulable(c, f, s);
    *as = s;
    *out = f;
    return MR_OK;
}

/* ------------------------------------------------------------------------------------------------------- records -- */

static void undo(mr_control *c, task *t, uint32_t n_objects)
{
    for (uint32_t i = 0; i < n_objects; i++)
        mr_table_del(&c->objects, t->v.ref + i);
    free(t->ids);
    mr_table_del(&c->tasks, t->v.ref);
}

static size_t ids_size(const mr_ev_submit *e)
{
    return (size_t)(e->n_deps + e->n_refs) * sizeof(mr_id) + (size_t)e->n_deps * sizeof(dep);
}

static task *make(mr_control *c, const mr_ev_submit *e, const func *f, uint32_t n_results)
{
    task *t = mr_table_put(&c->tasks, e->id);
    if (!t)
        return NULL;
    t->v.ref = e->id;
    if (e->n_deps + e->n_refs) {
        t->ids = calloc(1, ids_size(e));
        if (!t->ids) {
            undo(c, t, 0);
            return NULL;
        }
        memcpy(t->ids, mr_record_ids(e, sizeof *e), (e->n_deps + e->n_refs) * sizeof(mr_id));
    }
    for (uint32_t i = 0; i < n_results; i++) {
        object *o = mr_object_new(c, e->id + i, e->id);
        if (!o) {
            undo(c, t, i);
            return NULL;
        }
        o->func = e->func;
    }
    bool streaming = f->def->flags & MR_FUNC_STREAMING;
    bool limited = f->def->limit >= 0;
    if (mr_holder_room(c, e->h.from, n_results + 1) || !mr_policy_room(c, 8) || (limited && !mr_limit_room(c)) ||
        (streaming && mr_stream_new(c, e->id))) {
        undo(c, t, n_results);
        return NULL;
    }
    return t;
}

static void fill(mr_control *c, task *t, const mr_ev_submit *e, const func *f, const shape *s, uint32_t n_results)
{
    const mr_define *d = f->def;
    mr_task *v = &t->v;
    v->seq = ++c->seq;
    v->fn = f->name;
    v->user = f->user;
    v->priority = d->priority + e->priority;
    v->attempt = 1;
    v->kind = d->kind == MR_FUNC_ACTOR ? MR_ACTOR : MR_TASK;
    v->submitted_at = c->now;
    v->ready_at = v->started_at = MR_UNKNOWN;
    v->deadline = d->deadline >= 0 ? c->now + d->deadline : MR_UNKNOWN;
    v->limit = d->limit;
    v->estimate = mr_func_estimate(c, f, e->estimate);
    v->needs = s->needs;
    v->n_needs = s->n_needs;
    t->attempt = 1;
    t->parent = e->parent;
    t->actor = e->actor;
    t->func = e->func;
    t->shape = s->number;
    t->n_deps = e->n_deps;
    t->n_refs = e->n_refs;
    t->n_returns = t->unsealed = n_results;
    t->owner = e->h.from;
    t->job = e->job;
    t->flags = d->flags & MR_FUNC_STREAMING ? T_STREAM : 0;
}

static void hold(mr_control *c, task *t)
{
    for (uint32_t i = 0; i < t->n_deps + t->n_refs; i++)
        object_at(c, t->ids[i])->holders++;
    for (uint32_t i = 0; i < t->n_returns; i++) {
        object *o = object_at(c, t->v.ref + i);
        mr_holder_add(c, t->owner, o);
        if ((t->flags & T_STREAM) && !i)
            o->flags |= O_STREAM;
    }
    if (t->actor)
        object_at(c, t->actor)->holders++;
    proc *owner = proc_at(c, t->owner);
    if (owner)
        mr_list_push_back(&owner->owned, &t->owned);
}

mr_status mr_task_submit(mr_control *c, const mr_record *r)
{
    const mr_ev_submit *e = (const void *)r;
    mr_id existing = 0;
    func *f = NULL;
    shape *s = NULL;
    mr_status status = check(c, e, &f, &s, &existing);
    if (status)
        return status;
    if (existing) {
        object *o = object_at(c, existing);
        if (mr_holder_room(c, r->from, 1))
            return MR_E_NOMEM;
        mr_holder_add(c, r->from, o);
        mr_control_reply(c, r, MR_OK, (int64_t)existing);
        return MR_OK;
    }
    uint32_t n_results = results_of(e, f);
    actor *a = e->actor ? actor_at(c, e->actor) : NULL;
    if (a && mr_actor_call_room(c, a, r->from))
        return MR_E_NOMEM;
    task *t = make(c, e, f, n_results);
    if (!t)
        return mr_control_refuse(c, MR_E_NOMEM, "%s: no memory for the task", f->def->name);
    fill(c, t, e, f, s, n_results);
    if (t->v.kind == MR_ACTOR && (status = mr_actor_new(c, e, t))) {
        undo(c, t, n_results);
        return status;
    }
    hold(c, t);
    c->submitted++;
    c->n_limited += t->v.limit >= 0;
    c->heap += ids_size(e);
    mr_control_reply(c, r, MR_OK, (int64_t)e->id);

    mr_id wrong = mr_deps_link(c, t);
    t->where = W_WAITING;
    c->n_waiting++;
    if (!e->actor)
        mr_policy_note(c, MR_SUBMITTED, t, MR_OK, 0);
    task *parent = e->parent ? task_live(c, e->parent) : NULL;
    c->cause_slot = parent && mr_ref_is_slot(parent->v.on) ? (uint32_t)parent->v.on : 0;
    if (wrong)
        mr_task_fail_by(c, t, wrong);
    else if (a)
        mr_actor_call(c, a, t);
    else if (!t->waiting)
        mr_task_ready(c, t);
    return MR_OK;
}
