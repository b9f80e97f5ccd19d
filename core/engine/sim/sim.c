/* sim.c: virtual time around control.  Tells it what happens (a node, a task, an end, a copy that arrived), closes each
 * instant, and lets sim_actions.c take up what it wants.  Knows the true durations and keeps them to itself: only
 * sim_gate.c turns them into estimates.  No lock: one simulation, one thread. */
#include "engine/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/durations.h"
#include "engine/sim/sim_state.h"

enum { ROUNDS_MAX = 100000, WAKES_MAX = 100000 };

/* ---- telling control ---- */

void *mr_sim_begin(mr_sim *s, uint16_t kind, size_t body, uint32_t n_ids, uint32_t n_bytes, uint32_t from)
{
    size_t size = mr_record_total(body, n_ids, n_bytes), words = size / 8;
    if (words > s->record_words) {
        uint64_t *record = realloc(s->record, words * 2 * sizeof *record);
        if (!record)
            return NULL;
        s->record = record;
        s->record_words = words * 2;
    }
    memset(s->record, 0, size);
    *(mr_record *)s->record = (mr_record){.size = (uint32_t)size,
                                          .kind = kind,
                                          .version = MR_RECORD_VERSION,
                                          .from = from,
                                          .n_ids = n_ids,
                                          .n_bytes = n_bytes};
    return s->record;
}

mr_status mr_sim_tell(mr_sim *s, const void *record, mr_err *err)
{
    if (!record)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    const mr_record *r = record;
    s->stats.steps++;
    mr_status status = mr_control_step(s->control, r, s->now, &s->actions);
    if (status) {
        const char *why = mr_control_why(s->control);
        return mr_err_set(err, status, "%s at %.9f s: %s", mr_event_name(r->kind), (double)s->now / 1e9,
                          why && *why ? why : mr_status_text(status));
    }
    return mr_sim_act(s, err);
}

static mr_status tell_worker(mr_sim *s, uint16_t kind, uint32_t worker, uint32_t how, mr_err *err)
{
    mr_ev_worker *e = BEGIN(mr_ev_worker, kind, 0, 0, worker);
    if (e) {
        e->worker = worker;
        e->pid = (int32_t)worker;
        e->how = how;
        e->code = how ? 9 : 0;
    }
    return mr_sim_tell(s, e, err);
}

static mr_status tell_task(mr_sim *s, uint16_t kind, uint32_t task, uint32_t worker, int64_t ran, bool ok, mr_err *err)
{
    mr_ev_task *e = BEGIN(mr_ev_task, kind, 0, 0, worker);
    if (e) {
        e->task = s->lives[task].id;
        e->attempt = s->tasks[task].attempt;
        e->worker = worker;
        e->ran = ran;
        e->ok = ok;
    }
    return mr_sim_tell(s, e, err);
}

mr_status mr_sim_release(mr_sim *s, mr_id id, mr_err *err)
{
    mr_ev_refs *e = BEGIN(mr_ev_refs, MR_EV_REFS, 1, 0, 0);
    if (e)
        memcpy(e + 1, &id, sizeof id);
    return mr_sim_tell(s, e, err);
}

/* ---- submission ---- */

/* `object` is now in the memory of `node`. */
static mr_status came(mr_sim *s, uint32_t object, uint32_t node, mr_err *err)
{
    return mr_sim_store_add(s, object, node) ? mr_err_set(err, MR_E_NOMEM, "out of memory") : MR_OK;
}

mr_status mr_sim_put_outside(mr_sim *s, uint32_t object, mr_err *err)
{
    const mr_wl_object *o = &s->w->objects[object];
    uint32_t node = o->node < s->p->n_nodes ? o->node : 0;
    s->outside[object] = s->next_id;
    uint32_t *own = mr_table_put(&s->owner, s->next_id++);
    if (!own)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    *own = object;
    mr_ev_put *e = BEGIN(mr_ev_put, MR_EV_PUT, 0, 0, 0);
    if (e) {
        e->id = s->outside[object];
        e->size = o->bytes;
        e->node = s->machines[node].number;
        e->flags = o->bytes ? MR_VALUE_STORED : 0;
    }
    mr_status status = mr_sim_tell(s, e, err);
    return status ? status : came(s, object, node, err);
}

mr_id mr_sim_object_id(const mr_sim *s, uint32_t object)
{
    const mr_wl_object *o = &s->w->objects[object];
    return o->task == MR_WL_NONE ? s->outside[object] : s->lives[o->task].id + o->index;
}

/* Objects are held by the driver until their last reader is submitted; those that none reads, until they are made. */
mr_status mr_sim_submit_now(mr_sim *s, uint32_t task, mr_err *err)
{
    const mr_wl_task *t = &s->w->tasks[task];
    const uint32_t *inputs = s->w->inputs + t->first_input;
    mr_status status = MR_OK;
    for (uint32_t i = 0; !status && i < t->n_inputs; i++)
        if (s->w->objects[inputs[i]].task == MR_WL_NONE && !s->outside[inputs[i]])
            status = mr_sim_put_outside(s, inputs[i], err);
    if (status)
        return status;
    int64_t estimate = MR_UNKNOWN;
    if ((status = mr_sim_stated(s, task, &estimate, err)))
        return status;
    mr_sim_life *l = &s->lives[task];
    l->id = s->next_id;
    for (uint32_t o = t->first_object; o != MR_WL_NONE; o = s->w->objects[o].next) {
        uint32_t *own = mr_table_put(&s->owner, s->next_id++);
        if (!own)
            return mr_err_set(err, MR_E_NOMEM, "out of memory");
        *own = o;
    }
    mr_ev_submit *e = BEGIN(mr_ev_submit, MR_EV_SUBMIT, t->n_inputs, 0, 0);
    if (e) {
        e->id = l->id;
        e->func = s->funcs[t->def];
        e->n_returns = t->n_objects;
        e->n_deps = t->n_inputs;
        e->estimate = estimate;
        e->actor = mr_workload_is_call(s->w, task) ? s->lives[t->actor].id : 0;
        e->parent = t->starter == MR_WL_NONE || t->starter == s->w->driver ? 0 : s->lives[t->starter].id;
        mr_id *ids = (mr_id *)(e + 1);
        for (uint32_t i = 0; i < t->n_inputs; i++) {
            ids[i] = mr_sim_object_id(s, inputs[i]);
            s->tasks[task].bytes += s->w->objects[inputs[i]].bytes;
        }
    }
    l->state = MR_LIFE_QUEUED; /* an actor has its call at once */
    status = mr_sim_tell(s, e, err);
    for (uint32_t o = t->first_object; !status && mr_sim_knows_truth(s) && o != MR_WL_NONE; o = s->w->objects[o].next)
        status = mr_control_size_stated(s->control, mr_sim_object_id(s, o), s->w->objects[o].bytes);
    s->tasks[task].submitted = s->now;
    s->tasks[task].ready = l->parents ? MR_UNKNOWN : s->now;
    for (uint32_t i = 0; !status && i < t->n_inputs; i++)
        if (--s->unread[inputs[i]] == 0)
            status = mr_sim_release(s, mr_sim_object_id(s, inputs[i]), err);
    if (!status && mr_workload_is_call(s->w, task) && --s->unread[s->w->tasks[t->actor].first_object] == 0)
        status = mr_sim_release(s, s->lives[t->actor].id, err); /* nobody can call it any more: it leaves */
    return status;
}

/* ---- running and ending ---- */

mr_status mr_sim_end(mr_sim *s, uint32_t task, mr_err *err)
{
    const mr_wl_task *t = &s->w->tasks[task];
    mr_sim_life *l = &s->lives[task];
    mr_status status = MR_OK;
    l->state = MR_LIFE_OVER;
    s->tasks[task].ended = s->now;
    s->over++;
    for (uint32_t i = 0; !status && !l->again && i < t->n_children; i++) {
        uint32_t child = s->w->children[t->first_child + i];
        if (--s->lives[child].parents > 0)
            continue;
        int64_t arrival = s->w->tasks[child].arrival;
        if (!s->conf.unfold)
            s->tasks[child].ready = s->tasks[child].submitted == MR_UNKNOWN ? MR_UNKNOWN : s->now;
        else
            status = mr_clock_push(
                &s->clock, (mr_moment){.at = arrival > s->now ? arrival : s->now, .kind = MR_AT_SUBMIT, .a = child});
    }
    for (uint32_t o = t->first_object; !status && !l->again && o != MR_WL_NONE; o = s->w->objects[o].next)
        if (s->w->objects[o].consumers == 0)
            status = mr_sim_release(s, mr_sim_object_id(s, o), err);
    if (!status && mr_sim_leave(s, task))
        status = mr_err_set(err, MR_E_NOMEM, "out of memory");
    for (uint32_t i = t->first_point; !status && i < t->first_point + t->n_points; i++) { /* it did not come so far */
        const mr_wl_point *p = &s->w->points[i];
        if (p->what == MR_WL_SUBMITS && !s->passed[i] && s->lives[p->of].state == MR_LIFE_NEW) {
            s->passed[i] = true;
            status = mr_sim_end(s, p->of, err);
        }
    }
    return status || !s->n_deferred ? status : mr_sim_submit_deferred(s, err);
}

mr_status mr_sim_seal(mr_sim *s, uint32_t object, mr_err *err)
{
    const mr_wl_object *out = &s->w->objects[object];
    const mr_sim_life *l = &s->lives[out->task];
    const mr_sim_task *me = &s->tasks[out->task];
    mr_status status = came(s, object, me->node, err);
    mr_ev_sealed *e = status ? NULL : BEGIN(mr_ev_sealed, MR_EV_SEALED, 0, 0, l->worker);
    if (e) {
        e->task = l->id;
        e->id = l->id + out->index;
        e->size = out->bytes;
        e->attempt = me->attempt;
        e->index = out->index;
        e->node = s->machines[me->node].number;
        e->flags = out->bytes ? MR_VALUE_STORED : 0;
    }
    return status ? status : mr_sim_tell(s, e, err);
}

/* The end of an attempt, together with the result `last`; MR_WL_NONE: with none. */
static mr_status tell_end(mr_sim *s, uint32_t task, uint32_t last, bool fails, mr_err *err)
{
    const mr_sim_life *l = &s->lives[task];
    const mr_sim_task *me = &s->tasks[task];
    const mr_wl_object *out = last == MR_WL_NONE ? NULL : &s->w->objects[last];
    mr_status status = out ? came(s, last, me->node, err) : MR_OK;
    mr_ev_finished *e = status ? NULL : BEGIN(mr_ev_finished, MR_EV_FINISHED, 0, 0, l->worker);
    if (e) {
        e->task = l->id;
        e->ran = me->ran;
        e->attempt = me->attempt;
        e->outcome = fails ? MR_E_TASK : MR_OK;
        e->flags = fails ? MR_FINISHED_RETRIABLE : 0;
        e->node = s->machines[me->node].number;
    }
    if (e && out) {
        e->id = l->id + out->index;
        e->size = out->bytes;
        e->flags = MR_FINISHED_RESULT;
        e->vflags = out->bytes ? MR_VALUE_STORED : 0;
    }
    return status ? status : mr_sim_tell(s, e, err);
}

/* Each output that is not there yet is sealed by itself, the last one together with the end. */
static mr_status finish(mr_sim *s, uint32_t task, mr_err *err)
{
    const mr_wl_task *t = &s->w->tasks[task];
    mr_sim_life *l = &s->lives[task];
    mr_sim_task *me = &s->tasks[task];
    bool fails = false;
    if (t->n_points)
        (void)mr_sim_whole(s, task, &fails);
    bool told = task != s->w->driver && (l->stretch || (fails && !mr_workload_is_call(s->w, task)));
    mr_status status = told ? mr_sim_stretch_end(s, task, err) : MR_OK;
    me->ran += s->now - l->since;
    l->since = s->now;
    if (task == s->w->driver)
        return MR_OK;
    uint32_t last = MR_WL_NONE;
    for (uint32_t o = t->first_object; !status && !fails && o != MR_WL_NONE; o = s->w->objects[o].next) {
        if (s->w->objects[o].early)
            continue;
        if (last != MR_WL_NONE)
            status = mr_sim_seal(s, last, err);
        last = o;
    }
    if (mr_workload_is_call(s->w, task)) {
        if (!status && mr_sim_call_left(s, task))
            status = mr_err_set(err, MR_E_NOMEM, "out of memory");
    } else {
        s->procs[l->worker].task = 0;
    }
    if (fails) {
        l->state = MR_LIFE_QUEUED; /* it is tried again, or control lets it go */
        l->gen++;
    }
    if (!status)
        status = tell_end(s, task, last, fails, err);
    if (status || fails || l->state == MR_LIFE_OVER)
        return status;
    me->outcome = MR_OK;
    return mr_sim_end(s, task, err);
}

mr_status mr_sim_doom(mr_sim *s, uint32_t task, mr_err *err)
{
    const mr_sim_life *l = &s->lives[task];
    if (s->p->worker_mtbf == 0 || mr_workload_is_call(s->w, task))
        return MR_OK;
    mr_rand r;
    uint64_t which = ((uint64_t)s->w->tasks[task].place << 32) ^ ((uint64_t)s->tasks[task].attempt << 16) ^ l->stretch;
    mr_rand_seed(&r, s->conf.seed ^ mr_rand_mix(&which), 3);
    double after = mr_durations_exponential(&r) * (double)s->p->worker_mtbf;
    if (after >= (double)(l->left + (l->since - s->now)))
        return MR_OK;
    return mr_clock_push(
               &s->clock,
               (mr_moment){
                   .at = s->now + (int64_t)after, .kind = MR_AT_DIED, .a = l->worker, .b = task + 1, .gen = l->gen})
               ? mr_err_set(err, MR_E_NOMEM, "out of memory")
               : MR_OK;
}

static mr_status start(mr_sim *s, uint32_t task, mr_err *err)
{
    mr_sim_life *l = &s->lives[task];
    l->state = MR_LIFE_RUNNING;
    l->since = l->from = s->now;
    s->tasks[task].started = s->now; /* of the last attempt */
    if (!mr_workload_is_call(s->w, task))
        s->procs[l->worker].task = task + 1;
    mr_status status = tell_task(s, MR_EV_STARTED, task, l->worker, 0, true, err);
    if (!status)
        status = mr_sim_run_on(s, task, err);
    return status ? status : mr_sim_doom(s, task, err);
}

static mr_status stop(mr_sim *s, uint32_t task, mr_err *err)
{
    mr_sim_life *l = &s->lives[task];
    bool begun = l->state == MR_LIFE_RUNNING;
    int64_t ran = begun && s->now > l->since ? s->now - l->since : 0; /* none: still being switched to */
    mr_status status = begun ? mr_sim_stretch_end(s, task, err) : MR_OK;
    l->state = MR_LIFE_STOPPED;
    l->gen++;
    l->left -= ran;
    s->tasks[task].ran += ran;
    s->stats.stops++;
    return status ? status : tell_task(s, MR_EV_STOPPED, task, l->worker, ran, true, err);
}

/* b = 1: an interrupt, which a running task answers; else control has already closed the task. */
static mr_status cancel(mr_sim *s, const mr_moment *m, mr_err *err)
{
    mr_sim_life *l = &s->lives[m->a];
    if (l->state == MR_LIFE_OVER || (m->b ? l->gen != m->gen : !l->dropped)) /* or an earlier task of this number */
        return MR_OK;
    if (m->b && (l->state == MR_LIFE_RUNNING || l->state == MR_LIFE_BLOCKED)) {
        bool runs = l->state == MR_LIFE_RUNNING;
        mr_status kept = l->stretch && runs ? mr_sim_stretch_end(s, m->a, err) : MR_OK;
        if (!kept && mr_workload_is_call(s->w, m->a) && mr_sim_call_left(s, m->a))
            kept = mr_err_set(err, MR_E_NOMEM, "out of memory");
        if (kept)
            return kept;
        mr_ev_finished *e = BEGIN(mr_ev_finished, MR_EV_FINISHED, 0, 0, l->worker);
        l->gen++;
        if (e) {
            e->task = l->id;
            e->attempt = s->tasks[m->a].attempt;
            e->outcome = MR_E_CANCELLED;
            e->ran = s->tasks[m->a].ran += runs ? s->now - l->since : 0;
            e->node = s->machines[s->tasks[m->a].node].number;
        }
        return mr_sim_tell(s, e, err);
    }
    return m->b ? MR_OK : mr_sim_end(s, m->a, err);
}

static mr_status gone(mr_sim *s, const mr_moment *m, mr_err *err)
{
    mr_sim_proc *p = &s->procs[m->a];
    if (!p->alive || (m->b && (p->task != m->b || s->lives[m->b - 1].gen != m->gen)))
        return MR_OK;
    p->alive = false;
    mr_status status = mr_sim_proc_lost(s, p, m->b > 0, err);
    if (status)
        return status;
    bool died = m->kind == MR_AT_DIED;
    return tell_worker(s, died ? MR_EV_WORKER_DIED : MR_EV_WORKER_RETIRED, m->a, died ? MR_DEATH_SIGNAL : MR_DEATH_NONE,
                       err);
}

static mr_status arrive(mr_sim *s, uint32_t flight, mr_err *err)
{
    mr_sim_flight *f = &s->flights[flight], was = *f;
    f->id = 0;
    f->next_free = s->free_flight;
    s->free_flight = flight + 1;
    if (was.dead)
        return MR_OK;
    mr_ev_place *e = BEGIN(mr_ev_place, MR_EV_ARRIVED, 0, 0, 0);
    if (e) {
        e->id = was.id;
        e->size = was.bytes;
        e->node = s->machines[was.node].number;
    }
    uint32_t object = 0, node = was.node;
    bool known = mr_sim_object_at(s, was.id, &object);
    mr_status status = mr_sim_tell(s, e, err);
    if (!known || status)
        return status;
    if (was.disk) /* a copy elsewhere, and the one on disk is none any more */
        mr_sim_store_drop(s, object, was.from);
    return came(s, object, node, err);
}

static mr_status happen(mr_sim *s, const mr_moment *m, mr_err *err)
{
    switch (m->kind) {
    case MR_AT_SUBMIT:
        return mr_sim_submit(s, m->a, err);
    case MR_AT_UP:
        return s->procs[m->a].alive ? tell_worker(s, MR_EV_WORKER_UP, m->a, MR_DEATH_NONE, err) : MR_OK;
    case MR_AT_RETIRED:
    case MR_AT_DIED:
        return gone(s, m, err);
    case MR_AT_FLOW:
        return mr_sim_fair_begin(s, m->a) ? mr_err_set(err, MR_E_NOMEM, "out of memory") : MR_OK;
    case MR_AT_RATES:
        return mr_sim_fair_rates(s, m) ? mr_err_set(err, MR_E_NOMEM, "out of memory") : MR_OK;
    case MR_AT_ARRIVED:
        return arrive(s, m->a, err);
    case MR_AT_CANCELLED:
        return cancel(s, m, err);
    case MR_AT_FULL:
        return mr_sim_store_full(s, m->a, err);
    case MR_AT_SPILLED:
        return mr_sim_store_spilled(s, m, err);
    case MR_AT_NODE_DOWN:
        return mr_sim_node_down(s, m, err);
    case MR_AT_NODE_UP:
        return mr_sim_node_up(s, m->a, err);
    default:
        break;
    }
    mr_sim_life *l = &s->lives[m->a];
    bool current = l->gen == m->gen && (m->a == s->w->driver || s->procs[l->worker].alive);
    switch (m->kind) {
    case MR_AT_START:
        return current && l->state == MR_LIFE_SENT ? start(s, m->a, err) : MR_OK;
    case MR_AT_FINISH:
        return current && l->state == MR_LIFE_RUNNING ? finish(s, m->a, err) : MR_OK;
    case MR_AT_POINT:
        return current && l->state == MR_LIFE_RUNNING ? mr_sim_point(s, m->a, err) : MR_OK;
    case MR_AT_GO_ON:
        return current && l->state == MR_LIFE_BLOCKED ? mr_sim_go_on(s, m->a, err) : MR_OK;
    case MR_AT_STOPPED:
        return current && (l->state == MR_LIFE_RUNNING || l->state == MR_LIFE_SENT) ? stop(s, m->a, err) : MR_OK;
    default: { /* MR_AT_REVOKED: taken back only if it has not started */
        if (!s->procs[m->b].alive)
            return MR_OK;
        bool back = current && l->state == MR_LIFE_SENT;
        if (back) {
            l->gen++;
            l->state = MR_LIFE_QUEUED;
        }
        if (back && mr_workload_is_call(s->w, m->a) && mr_sim_call_left(s, m->a))
            return mr_err_set(err, MR_E_NOMEM, "out of memory");
        return tell_task(s, MR_EV_REVOKED, m->a, m->b, 0, back, err);
    }
    }
}

/* ---- the run ---- */

static mr_status stuck(const mr_sim *s, mr_status status, const char *what, mr_err *err)
{
    char names[300] = "";
    size_t used = 0;
    uint32_t shown = 0;
    uint64_t left = (s->w->stream ? mr_feed_count(s->w) : s->w->n_tasks) - s->over;
    for (uint32_t t = 0; t < s->w->n_tasks && shown < 3; t++) {
        if (s->lives[t].state == MR_LIFE_OVER)
            continue;
        static const char *const states[] = {"not submitted", "waiting or ready",   "dispatched", "running",
                                             "stopped",       "waiting for others", "over"};
        used += (size_t)snprintf(names + used, sizeof names - used, "%s\"%.40s\" (%s)", shown ? ", " : "",
                                 mr_workload_name(s->w, t), states[s->lives[t].state]);
        shown++;
    }
    const char *why = mr_control_policy_error(s->control);
    char down[48] = "";
    uint32_t n_down = 0;
    for (uint32_t i = 0; i < s->p->n_nodes; i++)
        n_down += s->machines[i].number == MR_WL_NONE;
    if (n_down)
        snprintf(down, sizeof down, "; %u of %u nodes are dead", n_down, s->p->n_nodes);
    return mr_err_set(err, status,
                      "the run can not go on at %.9f s: %s%s; %llu of %llu tasks are left: %s%s; policy %s%s%s",
                      (double)s->now / 1e9, what, down, (unsigned long long)left, (unsigned long long)(left + s->over),
                      names, left > shown ? ", ..." : "", s->policy, why ? ", ejected: " : "", why ? why : "");
}

/* Everything that happens at s->now, then the question, until nothing more happens at this instant. */
static mr_status instant(mr_sim *s, mr_err *err)
{
    mr_status status = MR_OK;
    s->stats.instants++;
    for (uint32_t round = 0; !status; round++) {
        const mr_moment *top;
        if (round == ROUNDS_MAX)
            return stuck(s, MR_E_DEADLOCK, "the same instant never ends", err);
        uint32_t task = 0;
        while (!status && mr_sim_next_arrival(s) <= s->now)
            if (!(status = mr_sim_feed(s, &task, err)))
                status = mr_sim_submit(s, task, err);
        while (!status && (top = mr_clock_top(&s->clock)) && top->at <= s->now) {
            mr_moment m = mr_clock_pop(&s->clock);
            status = happen(s, &m, err);
        }
        if (s->wake != MR_UNKNOWN && s->wake <= s->now)
            s->wake = MR_UNKNOWN;
        if (!status)
            status = mr_sim_tell(s, BEGIN(mr_ev_none, MR_EV_TIME, 0, 0, 0), err);
        top = mr_clock_top(&s->clock);
        if (!status && !(top && top->at <= s->now) && !(s->wake != MR_UNKNOWN && s->wake <= s->now))
            break;
    }
    if (!status && s->conf.check)
        status = mr_control_check(s->control, err);
    return !status && s->n_leaving ? mr_sim_forget(s, err) : status;
}

static mr_status begin(mr_sim *s, mr_err *err)
{
    mr_status status = mr_sim_points_begin(s, err);
    s->begun = true;
    for (uint32_t o = 0; s->mortal && !status && o < s->w->n_objects; o++) /* they lie there, and die there */
        if (s->w->objects[o].task == MR_WL_NONE && s->w->objects[o].consumers)
            status = mr_sim_put_outside(s, o, err);
    for (uint32_t t = 0; s->conf.unfold && !s->w->stream && !status && t < s->w->n_tasks; t++) {
        uint32_t task = s->w->order[t];
        if (s->lives[task].parents == 0)
            status =
                mr_clock_push(&s->clock, (mr_moment){.at = s->w->tasks[task].arrival, .kind = MR_AT_SUBMIT, .a = task});
    }
    return status;
}

mr_status mr_sim_step(mr_sim *s, mr_err *err)
{
    mr_status status = s->begun ? MR_OK : begin(s, err);
    if (status || mr_sim_done(s))
        return status;
    const mr_moment *top = mr_clock_top(&s->clock);
    int64_t next = mr_sim_next_arrival(s);
    if (top && top->at < next)
        next = top->at;
    bool node = top && top->at == next && (top->kind == MR_AT_NODE_DOWN || top->kind == MR_AT_NODE_UP);
    s->idle = next == INT64_MAX || node ? s->idle + 1 : 0;
    if (s->wake != MR_UNKNOWN && s->wake < next)
        next = s->wake;
    if (next == INT64_MAX)
        return stuck(s, MR_E_DEADLOCK, "nothing will ever happen again", err);
    if (s->idle > WAKES_MAX)
        return stuck(s, MR_E_DEADLOCK, "only timers go on", err);
    if (s->conf.max_time != MR_UNKNOWN && next > s->conf.max_time)
        return stuck(s, MR_E_TIMEOUT, "[sim] max_time is over", err);
    s->now = next > s->now ? next : s->now;
    status = instant(s, err);
    if (!status && s->stats.degraded && s->conf.stop_on_error)
        return mr_err_set(err, MR_E_POLICY, "policy %s failed, and [sched] on_error = stop: %s", s->policy,
                          mr_control_policy_error(s->control));
    return status;
}

mr_status mr_sim_run(mr_sim *s, mr_err *err)
{
    mr_status status = MR_OK;
    do
        status = mr_sim_step(s, err);
    while (!status && !mr_sim_done(s));
    return status;
}

mr_status mr_sim_policy(mr_sim *s, const char *name, const mr_sched_ops *ops, const mr_host *base, mr_err *err)
{
    mr_status status = mr_control_policy(s->control, name, ops, base, err);
    s->work = 0; /* loading a policy decides nothing */
    (void)mr_control_policy_op(s->control, &s->called);
    s->opened = s->called;
    if (!status)
        snprintf(s->policy, sizeof s->policy, "%s", name);
    return status ? status : mr_sim_tell(s, BEGIN(mr_ev_none, MR_EV_POLICY, 0, 0, 0), err);
}
