/* sim_actions.c: takes up control's actions: each becomes a moment on the clock.  Decides nothing.
 * No lock: one simulation, one thread. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/sim_state.h"

uint32_t mr_sim_task_of(mr_sim *s, mr_id id)
{
    uint32_t object;
    return mr_sim_object_at(s, id, &object) ? s->w->objects[object].task : MR_WL_NONE;
}

static mr_status at(mr_sim *s, int64_t when, uint32_t kind, uint32_t a, uint32_t b, uint32_t gen)
{
    return mr_clock_push(&s->clock, (mr_moment){.at = when, .kind = kind, .a = a, .b = b, .gen = gen});
}

static mr_sim_proc *proc(mr_sim *s, uint32_t worker)
{
    if (worker >= s->cap_procs) {
        uint32_t cap = s->cap_procs ? s->cap_procs * 2 : 64;
        while (cap <= worker)
            cap *= 2;
        mr_sim_proc *procs = realloc(s->procs, cap * sizeof *procs);
        if (!procs)
            return NULL;
        memset(procs + s->cap_procs, 0, (cap - s->cap_procs) * sizeof *procs);
        s->procs = procs;
        s->cap_procs = cap;
    }
    return &s->procs[worker];
}

/* When what was decided now leaves. */
static int64_t decided(const mr_sim *s)
{
    return s->decider > s->now ? s->decider : s->now;
}

static mr_status dispatch(mr_sim *s, const mr_action *a, uint32_t task)
{
    mr_sim_life *l = &s->lives[task];
    mr_sim_proc *p = proc(s, a->worker);
    if (!p)
        return MR_E_NOMEM;
    if (!p->alive || l->state == MR_LIFE_RUNNING || (l->state == MR_LIFE_OVER && !s->mortal))
        return MR_E_PROTOCOL;
    if (l->state == MR_LIFE_OVER && mr_sim_remake(s, task))
        return MR_E_NOMEM;
    mr_sim_task *t = &s->tasks[task];
    l->state = MR_LIFE_SENT;
    l->worker = a->worker;
    l->gen++;
    t->attempt = a->attempt;
    t->node = p->node;
    bool fails;
    l->left = mr_sim_whole(s, task, &fails);
    l->point = s->w->tasks[task].first_point;
    t->ran = 0; /* an attempt begins from the start */
    l->stretch = 0;
    l->since = MR_UNKNOWN; /* it has not begun */
    t->slot = (uint32_t)a->value;
    s->stats.dispatches++;
    if (mr_workload_is_call(s->w, task)) {
        t->slot = MR_SIM_ACTOR_SLOT + a->worker;
        return mr_sim_call(s, task, p);
    }
    int64_t when = mr_sim_store_read(s, task, p->node);
    when = decided(s) > when ? decided(s) : when;
    return at(s, when + s->conf.dispatch, MR_AT_START, task, 0, l->gen);
}

/* A process ends: what ran on it ends with it. */
static mr_status leave(mr_sim *s, const mr_action *a)
{
    return at(s, s->now, a->kind == MR_ACT_KILL ? MR_AT_DIED : MR_AT_RETIRED, a->worker, 0, 0);
}

uint64_t mr_sim_rate_of(const mr_sim *s, uint32_t node)
{
    return s->p->nodes[node].bandwidth ? s->p->nodes[node].bandwidth : s->p->bandwidth;
}

/* When `bytes` that are ready at `start` have arrived, except for the latency; keeps what carries them busy.  Errors:
 * NOMEM. */
static mr_status carry(mr_sim *s, int64_t start, uint32_t from, uint32_t to, uint64_t bytes, int64_t *end)
{
    uint64_t n = s->p->n_nodes, rate = mr_sim_rate_of(s, from), other = mr_sim_rate_of(s, to);
    rate = rate < other ? rate : other;
    uint64_t keys[2] = {(uint64_t)from * n + to, 0};
    size_t n_keys = s->p->links == MR_LINKS_SERIAL ? 1 : s->p->links == MR_LINKS_PORTS ? 2 : 0;
    int64_t *busy[2] = {NULL, NULL};
    if (s->p->links == MR_LINKS_PORTS) {
        keys[0] = n * n + from; /* the port out of one, the port into the other */
        keys[1] = n * n + n + to;
    }
    for (size_t i = 0; i < n_keys; i++)
        if (!mr_table_put(&s->links, keys[i])) /* may move what an earlier one gave */
            return MR_E_NOMEM;
    for (size_t i = 0; i < n_keys; i++) {
        busy[i] = mr_table_find(&s->links, keys[i]);
        start = *busy[i] > start ? *busy[i] : start;
    }
    *end = start + (int64_t)((double)bytes / (double)rate * 1e9 + 0.5);
    for (size_t i = 0; i < n_keys; i++)
        *busy[i] = *end;
    return MR_OK;
}

static mr_status transfer(mr_sim *s, const mr_action *a)
{
    uint32_t to = mr_sim_machine_of(s, a->node), from = mr_sim_machine_of(s, (uint64_t)a->value);
    uint32_t object;
    if (!mr_sim_object_at(s, a->id, &object) || to == MR_WL_NONE || from == MR_WL_NONE)
        return MR_E_PROTOCOL;
    uint64_t bytes = s->w->objects[object].bytes;
    uint32_t f = s->free_flight;
    if (f) {
        s->free_flight = s->flights[f - 1].next_free;
    } else {
        if (s->n_flights == s->cap_flights) {
            uint32_t cap = s->cap_flights ? s->cap_flights * 2 : 64;
            mr_sim_flight *flights = realloc(s->flights, cap * sizeof *flights);
            if (!flights)
                return MR_E_NOMEM;
            s->flights = flights;
            s->cap_flights = cap;
        }
        f = ++s->n_flights;
    }
    bool disk = mr_sim_store_on_disk(s, object, from);
    s->flights[f - 1] = (mr_sim_flight){.id = a->id, .bytes = bytes, .from = from, .node = to, .disk = disk};
    int64_t begin = disk ? mr_sim_store_disk(s, from, bytes) : s->now, end;
    s->stats.transfers++;
    s->stats.moved_bytes += bytes;
    if (s->fair)
        return begin > s->now ? at(s, begin, MR_AT_FLOW, f - 1, 0, 0) : mr_sim_fair_begin(s, f - 1);
    if (carry(s, begin, from, to, bytes, &end))
        return MR_E_NOMEM;
    return at(s, end + s->p->latency, MR_AT_ARRIVED, f - 1, 0, 0);
}

static mr_status spawn(mr_sim *s, const mr_action *a)
{
    mr_sim_proc *p = proc(s, a->worker);
    uint32_t node = mr_sim_machine_of(s, a->node);
    if (!p)
        return MR_E_NOMEM;
    if (p->alive || node == MR_WL_NONE)
        return MR_E_PROTOCOL;
    *p = (mr_sim_proc){.node = node, .alive = true};
    return at(s, s->now + s->p->spawn, MR_AT_UP, a->worker, 0, 0);
}

/* The end of a task that did not end by running: an error was made of its results, or it was cancelled. */
static mr_status drop(mr_sim *s, uint32_t task)
{
    mr_sim_life *l = &s->lives[task];
    l->dropped = l->dropped ? l->dropped : 1;
    if (l->state == MR_LIFE_OVER)
        return mr_sim_leave(s, task);
    if (!l->wrong)
        s->tasks[task].outcome = MR_E_CANCELLED;
    l->gen++;
    return at(s, s->now, MR_AT_CANCELLED, task, 0, l->gen);
}

mr_status mr_sim_stretch_end(mr_sim *s, uint32_t task, mr_err *err)
{
    if (s->n_stretches == s->cap_stretches) {
        size_t cap = s->cap_stretches ? s->cap_stretches * 2 : 256;
        mr_sim_stretch *v = realloc(s->stretches, cap * sizeof *v);
        if (!v)
            return mr_err_set(err, MR_E_NOMEM, "out of memory for %zu stretches of tasks", cap);
        s->stretches = v;
        s->cap_stretches = cap;
    }
    s->stretches[s->n_stretches++] = (mr_sim_stretch){.task = task,
                                                      .node = s->tasks[task].node,
                                                      .slot = s->tasks[task].slot,
                                                      .attempt = s->tasks[task].attempt,
                                                      .from = s->lives[task].from,
                                                      .to = s->now};
    return MR_OK;
}

static mr_status go_on(mr_sim *s, const mr_action *a, uint32_t task)
{
    mr_sim_life *l = &s->lives[task];
    if (l->state != MR_LIFE_STOPPED) /* its end was faster than its stop */
        return MR_OK;
    l->gen++;
    s->tasks[task].slot = (uint32_t)a->value;
    if (l->since == MR_UNKNOWN) { /* it was stopped before it began */
        l->state = MR_LIFE_SENT;
        return at(s, decided(s) + s->conf.dispatch, MR_AT_START, task, 0, l->gen);
    }
    l->state = MR_LIFE_RUNNING;
    l->from = s->now;
    l->since = decided(s) + s->conf.change;
    l->stretch++;
    mr_err ignored;
    if (mr_sim_doom(s, task, &ignored))
        return MR_E_NOMEM;
    return mr_sim_run_on(s, task, &ignored);
}

static mr_status of_task(mr_sim *s, const mr_action *a)
{
    uint32_t task = mr_sim_task_of(s, a->id);
    if (task == MR_WL_NONE)
        return a->kind == MR_ACT_FAIL || a->kind == MR_ACT_ALIAS ? MR_OK : MR_E_PROTOCOL;
    switch (a->kind) {
    case MR_ACT_DISPATCH:
        return dispatch(s, a, task);
    case MR_ACT_REVOKE:
        return at(s, s->now, MR_AT_REVOKED, task, a->worker, s->lives[task].gen);
    case MR_ACT_INTERRUPT:
        return at(s, s->now, MR_AT_CANCELLED, task, 1, s->lives[task].gen);
    case MR_ACT_STOP:
        return at(s, s->now, MR_AT_STOPPED, task, 0, s->lives[task].gen);
    case MR_ACT_CONTINUE:
        return go_on(s, a, task);
    case MR_ACT_DROP:
        return drop(s, task);
    default: /* FAIL, ALIAS */
        s->lives[task].wrong = 1;
        s->tasks[task].outcome = a->kind == MR_ACT_FAIL ? a->fault.status : MR_E_TASK;
        return MR_OK;
    }
}

static mr_status of_object(mr_sim *s, const mr_action *a)
{
    uint32_t object, node = mr_sim_machine_of(s, a->node);
    if (!mr_sim_object_at(s, a->id, &object))
        return a->kind == MR_ACT_SPILL ? MR_E_PROTOCOL : MR_OK;
    if (a->kind == MR_ACT_SPILL)
        return node != MR_WL_NONE ? mr_sim_store_spill(s, object, node) : MR_E_PROTOCOL;
    if (a->kind == MR_ACT_FREE || node != MR_WL_NONE)
        mr_sim_store_drop(s, object, a->kind == MR_ACT_EVICT ? node : MR_WL_NONE);
    return MR_OK;
}

static mr_status act(mr_sim *s, const mr_action *a)
{
    switch (a->kind) {
    case MR_ACT_DISPATCH:
    case MR_ACT_REVOKE:
    case MR_ACT_INTERRUPT:
    case MR_ACT_STOP:
    case MR_ACT_CONTINUE:
    case MR_ACT_DROP:
    case MR_ACT_FAIL:
    case MR_ACT_ALIAS:
        return of_task(s, a);
    case MR_ACT_SPAWN:
        return spawn(s, a);
    case MR_ACT_RETIRE:
    case MR_ACT_KILL:
        return leave(s, a);
    case MR_ACT_TRANSFER:
        return transfer(s, a);
    case MR_ACT_WAKE:
        s->wake = a->value;
        return MR_OK;
    case MR_ACT_REPLY:
        s->answer = (uint32_t)a->value;
        return MR_OK;
    case MR_ACT_REPORT:
        s->stats.degraded = s->stats.degraded || a->flags == MR_REPORT_EJECTED;
        return MR_OK;
    case MR_ACT_EVICT:
    case MR_ACT_FREE:
    case MR_ACT_SPILL:
        return of_object(s, a);
    case MR_ACT_COLLECT:
        return mr_sim_store_collect(s, mr_sim_machine_of(s, a->node));
    case MR_ACT_DELIVER:
        return mr_sim_delivered(s, a->token);
    default: /* RESTORE, RESUME: nobody here asks for what is on disk, or streams */
        return MR_E_PROTOCOL;
    }
}

/* One policy, one question at a time: what it works now comes after all it worked before. */
static void work_off(mr_sim *s)
{
    uint64_t calls = 0;
    (void)mr_control_policy_op(s->control, &calls);
    int64_t ns = (int64_t)((double)s->work * (double)s->conf.decision / 1000 + 0.5) +
                 (int64_t)(calls - s->called) * s->conf.call;
    s->called = calls;
    s->stats.work += s->work;
    s->stats.decided += ns;
    s->decider = (s->decider > s->now ? s->decider : s->now) + ns;
    s->work = 0;
}

mr_status mr_sim_act(mr_sim *s, mr_err *err)
{
    if (s->work || s->conf.call)
        work_off(s);
    for (size_t i = 0; i < s->actions.n; i++) {
        const mr_action *a = &s->actions.v[i];
        mr_status status = act(s, a);
        if (status)
            return mr_err_set(
                err, status, "simulator: action %u for id %llu, worker %u, node %u makes no sense at %.9f s (%s)",
                a->kind, (unsigned long long)a->id, a->worker, a->node, (double)s->now / 1e9, mr_status_text(status));
    }
    s->actions.n = 0;
    return MR_OK;
}
