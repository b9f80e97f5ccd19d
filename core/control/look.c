/* look.c: looking in from outside: nodes, workers, actors, living and finished tasks, counters.  Changes nothing. */
#include <string.h>

#include "control/room.h"

/* Lookups keep the page they found last, so tables are not const inside. */
static mr_control *open_up(const mr_control *c)
{
    return (mr_control *)(uintptr_t)c;
}

mr_status mr_control_spec(const mr_control *c, mr_id id, mr_spec *out)
{
    const task *t = task_live(open_up(c), id);
    if (!t)
        return MR_E_NOTFOUND;
    *out = (mr_spec){.task = id,
                     .actor = t->actor,
                     .parent = t->parent,
                     .func = t->func,
                     .attempt = t->attempt,
                     .n_returns = t->n_returns,
                     .n_deps = t->n_deps,
                     .n_refs = t->n_refs,
                     .owner = t->owner,
                     .deps = t->ids,
                     .gpus = t->gpus};
    return MR_OK;
}

static void fill_worker(const proc *p, mr_worker_info *out)
{
    *out = (mr_worker_info){.worker = p->number,
                            .node = p->node,
                            .env = p->kind->env,
                            .lang = p->kind->lang,
                            .state = p->state,
                            .pid = p->pid,
                            .task = p->task ? p->task->v.ref : MR_NO_ID,
                            .actor = p->actor};
}

bool mr_control_worker(const mr_control *c, uint32_t worker, mr_worker_info *out)
{
    const proc *p = proc_at(open_up(c), worker);
    if (!p)
        return false;
    fill_worker(p, out);
    return true;
}

uint32_t mr_control_worker_next(const mr_control *c, uint32_t after)
{
    mr_control *own = open_up(c);
    for (uint32_t i = after + 1; i < c->next_proc; i++)
        if (proc_at(own, i))
            return i;
    return 0;
}

bool mr_control_node(const mr_control *c, uint32_t number, mr_node_info *out)
{
    if (number >= c->n_nodes)
        return false;
    node *n = c->nodes[number];
    for (uint32_t i = 0; i < n->v.n_res; i++) {
        n->show[i] = n->own.total[i].amount;
        n->show[MR_RES_MAX + i] = n->own.free[i].amount;
        n->show_names[i] = mr_res_name(c, i);
    }
    for (uint32_t i = 0; i < c->n_rest; i++)
        for (uint32_t k = 0; c->rest[i].s->node == number && k < c->rest[i].of->n_needs; k++)
            n->show[MR_RES_MAX + c->rest[i].of->needs[k].res] += c->rest[i].of->needs[k].amount;
    *out = (mr_node_info){.name = n->name,
                          .alive = n->alive,
                          .n = n->v.n_res,
                          .names = n->show_names,
                          .total = n->show,
                          .free = n->show + MR_RES_MAX,
                          .slots = n->n_slots,
                          .n_labels = n->n_labels,
                          .labels = n->labels};
    return true;
}

uint32_t mr_control_nodes(const mr_control *c)
{
    return c->n_nodes;
}

bool mr_control_actor(const mr_control *c, mr_id id, mr_actor_info *out)
{
    const actor *a = actor_at(open_up(c), id);
    if (!a)
        return false;
    *out = (mr_actor_info){.state = (mr_actor_state)a->state,
                           .func = a->func,
                           .worker = a->worker,
                           .restarts = a->restarts,
                           .pending = a->pending,
                           .detached = a->detached,
                           .owner = a->owner,
                           .fault = a->fault,
                           .name = a->name ? a->name + strlen(a->name) + 1 : "",
                           .ns = a->name ? a->name : ""};
    return true;
}

bool mr_control_slot(const mr_control *c, uint32_t id, uint32_t *on, uint32_t *local)
{
    if (id >= c->n_slots)
        return false;
    *on = c->slots[id]->node;
    *local = c->slots[id]->local;
    return true;
}

mr_id mr_control_actor_next(const mr_control *c, uint64_t *at)
{
    uint64_t id;
    return mr_table_next(&c->actors, at, &id) ? id : 0;
}

static void task_info(const task *t, mr_task_info *i)
{
    *i = (mr_task_info){.task = t->v.ref,
                        .actor = t->actor,
                        .parent = t->parent,
                        .func = t->func,
                        .attempt = t->attempt,
                        .owner = t->owner,
                        .worker = t->worker,
                        .slot = t->last_slot,
                        .bytes = t->v.bytes,
                        .outcome = t->outcome,
                        .state = t->v.state,
                        .blocked = !!(t->flags & T_BLOCKED),
                        .submitted_at = t->v.submitted_at,
                        .ready_at = t->v.ready_at,
                        .started_at = t->v.started_at,
                        .ended_at = MR_UNKNOWN};
}

/* Every task comes here: what can be found out later is left to whoever looks. */
void mr_history_add(mr_control *c, const task *t)
{
    mr_task_info *i = &c->history[c->at_history];
    c->n_history++;
    if (++c->at_history == c->conf.history)
        c->at_history = 0;
    i->task = t->v.ref;
    i->actor = t->actor;
    i->parent = t->parent;
    i->func = t->func;
    i->attempt = t->attempt;
    i->owner = t->owner;
    i->worker = t->last_worker;
    i->slot = t->last_slot;
    i->bytes = t->v.bytes;
    i->outcome = t->outcome;
    i->node = 0;
    i->pid = 0;
    i->submitted_at = t->v.submitted_at;
    i->ready_at = t->v.ready_at;
    i->started_at = t->v.started_at;
    i->ended_at = c->now;
    const actor *a = t->v.kind == MR_ACTOR ? actor_at(c, t->v.ref) : NULL;
    i->how = a ? a->fault.how : 0;
    i->why = a ? a->fault.why : 0;
    i->code = a ? a->fault.code : 0;
}

static void say_process(const proc *p, mr_task_info *i)
{
    i->pid = p->pid;
    i->node = p->node;
}

void mr_history_leaves(mr_control *c, const proc *p)
{
    for (uint64_t k = 0; k < c->conf.history && k < c->n_history; k++)
        if (c->history[k].worker == p->number)
            say_process(p, &c->history[k]);
}

static void finished_info(mr_control *c, const mr_task_info *past, mr_task_info *out)
{
    const proc *p = proc_at(c, past->worker);
    *out = *past;
    out->phase = MR_PHASE_OVER;
    out->state = MR_OVER;
    if (p)
        say_process(p, out);
}

/* `at` counts the finished ones first (from the oldest that is kept), then 2^63 + the table's cursor. */
bool mr_control_task_next(const mr_control *c, uint64_t *at, mr_task_info *out)
{
    const uint64_t living = UINT64_C(1) << 63;
    if (!(*at & living)) {
        uint64_t oldest = c->n_history > c->conf.history ? c->n_history - c->conf.history : 0;
        if (*at < oldest)
            *at = oldest;
        if (*at < c->n_history) {
            finished_info(open_up(c), &c->history[(*at)++ % c->conf.history], out);
            return true;
        }
        *at = living;
    }
    uint64_t cursor = *at & ~living, id;
    for (const task *t; (t = mr_table_next(&c->tasks, &cursor, &id));) {
        *at = living | cursor;
        if (t->where == W_OVER || t->where == W_PAST)
            continue;
        task_info(t, out);
        out->phase = mr_show_phase(open_up(c), t);
        const node *n = task_node(open_up(c), t);
        out->node = n ? n->number : 0;
        return true;
    }
    return false;
}

void mr_control_stats_get(const mr_control *c, mr_control_stats *out)
{
    uint32_t idle = c->n_rest, waiting = c->n_waiting;
    for (uint32_t i = 0; i < c->n_nodes; i++)
        for (const kind *k = c->nodes[i]->kinds; k; k = k->next)
            idle += k->n_idle;
    *out = (mr_control_stats){.steps = c->steps,
                              .submitted = c->submitted,
                              .finished = c->finished,
                              .failed = c->failed,
                              .cancelled = c->cancelled,
                              .retried = c->retried,
                              .stale = c->stale,
                              .refused = c->refused,
                              .tasks = mr_table_count(&c->tasks) - c->over.n - c->past.n,
                              .objects = mr_table_count(&c->objects),
                              .ready = c->n_ready + c->fresh.n,
                              .waiting = waiting,
                              .running = c->n_running + c->n_flight,
                              .actors = c->n_actors,
                              .workers = mr_table_count(&c->procs),
                              .idle_workers = idle,
                              .object_bytes = c->object_bytes,
                              .moved_bytes = c->moved_bytes,
                              .spilled_bytes = c->spilled_bytes,
                              .spilled = c->spilled,
                              .restored = c->restored,
                              .kept = c->past.n,
                              .kept_bytes = c->past_bytes,
                              .stopped = c->n_stopped,
                              .stops = c->stops,
                              .held = c->held};
    if (c->held_now)
        out->held += (int64_t)c->held_slots * (c->now - c->held_at);
    out->memory = sizeof *c + c->heap + mr_table_bytes(&c->tasks) + mr_table_bytes(&c->objects) +
                  mr_table_bytes(&c->procs) + mr_table_bytes(&c->actors) + mr_table_bytes(&c->streams) + c->keys.bytes +
                  c->conf.history * sizeof(mr_task_info);
}
