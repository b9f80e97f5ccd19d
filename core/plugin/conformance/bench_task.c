/* bench_task.c: building the small world, talking to the plugin, and what one task goes through.  When it happens is
 * bench_run.c's. */
#include "plugin/conformance/bench_host.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const mr_sched_ops *ops(const mr_bench *b)
{
    return &b->loaded->ops.sched;
}

/* ---- building */

static uint32_t intern(mr_bench *b, const char *name)
{
    if (!name)
        return 0;
    for (int i = 1; i < b->n_names; i++)
        if (strcmp(b->names[i], name) == 0)
            return (uint32_t)i;
    if (b->n_names == BENCH_NAMES)
        return 0;
    b->names[b->n_names] = name;
    return (uint32_t)b->n_names++;
}

mr_bench *mr_bench_new(const mr_loaded *l, const char *policy, uint64_t seed)
{
    mr_bench *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->loaded = l;
    b->seed = seed;
    b->exact = true;
    b->bandwidth = 1000;
    b->wake_at = BENCH_NEVER;
    b->names[b->n_names++] = "";
    mr_bench_fill_host(b);
    if (policy)
        mr_bench_conf(b, "policy", policy);
    return b;
}

void mr_bench_free(mr_bench *b)
{
    if (b)
        mr_bench_close(b);
    free(b);
}

void mr_bench_conf(mr_bench *b, const char *key, const char *value)
{
    int i = b->n_conf < BENCH_CONF ? b->n_conf++ : BENCH_CONF - 1;
    snprintf(b->conf[i].key, sizeof b->conf[i].key, "%s", key);
    snprintf(b->conf[i].value, sizeof b->conf[i].value, "%s", value);
}

int mr_bench_add_node(mr_bench *b, int slots, int gpus, uint32_t cls)
{
    int n = b->n_nodes++;
    mr_node *node = &b->node[n];
    node->ref = MR_REF_NODE | (uint64_t)(n + 1);
    node->id = (uint32_t)n;
    node->n_workers = (uint32_t)slots;
    node->n_res = BENCH_RES;
    b->total[n][0] = b->free[n][0] = (mr_amount){MR_RES_CPU, (int64_t)slots * MR_RES_UNIT};
    b->total[n][1] = b->free[n][1] = (mr_amount){MR_RES_GPU, (int64_t)gpus * MR_RES_UNIT};
    node->total = b->total[n];
    node->free = b->free[n];
    for (int i = 0; i < slots; i++) {
        mr_bench_add_slot(b, n);
        b->slot[b->n_slots - 1].cls = cls;
    }
    return n;
}

void mr_bench_add_slot(mr_bench *b, int node)
{
    if (b->n_slots == BENCH_SLOTS)
        return;
    uint32_t cls = 0;
    for (int i = 0; i < b->n_slots; i++)
        cls = b->slot[i].node == b->node[node].ref ? b->slot[i].cls : cls;
    mr_worker *w = &b->slot[b->n_slots];
    w->id = (uint32_t)b->n_slots++;
    w->ref = MR_REF_SLOT | (uint64_t)(w->id + 1);
    w->node = b->node[node].ref;
    w->cls = cls;
    uint32_t n = 0;
    for (int i = 0; i < b->n_slots; i++)
        n += b->slot[i].node == w->node;
    b->node[node].n_workers = n;
}

void mr_bench_add_hold(mr_bench *b, int node, double cpu, int64_t from, int64_t to)
{
    int i = b->n_holds++;
    b->hold[i].needs = (mr_amount){MR_RES_CPU, (int64_t)(cpu * MR_RES_UNIT)};
    b->hold[i].from = from;
    b->hold[i].to = to;
    b->hold[i].view = (mr_task){.ref = BENCH_HOLD_REF + (mr_ref)i,
                                .kind = MR_GROUP,
                                .state = MR_WAITING,
                                .attempt = 1,
                                .submitted_at = MR_UNKNOWN,
                                .ready_at = MR_UNKNOWN,
                                .started_at = MR_UNKNOWN,
                                .deadline = MR_UNKNOWN,
                                .limit = MR_UNKNOWN,
                                .estimate = MR_UNKNOWN,
                                .ran = MR_UNKNOWN,
                                .on = b->node[node].ref,
                                .needs = &b->hold[i].needs,
                                .n_needs = 1};
}

int mr_bench_add_task(mr_bench *b, const mr_bench_spec *spec)
{
    int i = b->n_tasks++;
    mr_bench_task *t = &b->task[i];
    t->view.ref = (mr_ref)i + 1;
    t->view.seq = (uint64_t)i + 1;
    t->view.fn = intern(b, spec->fn);
    t->view.user = intern(b, spec->user);
    t->view.priority = spec->priority;
    t->view.attempt = 1;
    t->view.submitted_at = t->view.ready_at = t->view.started_at = MR_UNKNOWN;
    t->view.deadline = spec->deadline ? spec->deadline : MR_UNKNOWN;
    t->view.limit = spec->limit ? spec->limit : MR_UNKNOWN;
    double cpu = spec->cpu > 0 ? spec->cpu : spec->cpu < 0 ? 0 : 1;
    t->needs[0] = (mr_amount){MR_RES_CPU, (int64_t)(cpu * MR_RES_UNIT)};
    t->needs[1] = (mr_amount){MR_RES_GPU, (int64_t)(spec->gpu * MR_RES_UNIT)};
    t->view.needs = t->needs;
    t->view.n_needs = spec->gpu > 0 ? 2 : cpu > 0 ? 1 : 0;
    t->arrival = spec->arrival;
    t->duration = spec->duration;
    t->retries = spec->retries;
    t->out_bytes = spec->out_bytes;
    t->view.kind = spec->life ? MR_ACTOR : MR_TASK;
    t->life = spec->life;
    t->kept = (mr_amount){MR_RES_CPU, spec->life ? t->needs[0].amount / 2 : 0};
    t->early = spec->early;
    t->block_at = spec->life ? 0 : spec->block_at; /* an actor lends nothing */
    t->block_for = spec->block_for;
    t->out_node = t->slot = -1;
    t->first_start = t->finished = MR_UNKNOWN;
    return i;
}

int mr_bench_add_edge(mr_bench *b, int pred, int succ)
{
    int e = b->n_edges++;
    b->edge[e][0] = pred;
    b->edge[e][1] = succ;
    b->bytes[e] = b->task[pred].out_bytes;
    b->made_on[e] = -1;
    for (int n = 0; n < BENCH_NODES; n++)
        b->arrives[e][n] = BENCH_NEVER;
    return e;
}

void mr_bench_add_event(mr_bench *b, mr_bench_what what, int which, int64_t at)
{
    b->event[b->n_events].what = what;
    b->event[b->n_events].which = which;
    b->event[b->n_events++].at = at;
}

/* ---- the plugin */

mr_status mr_bench_open(mr_bench *b)
{
    mr_err err = {MR_OK, ""};
    const mr_sched_ops *o = ops(b);
    uint32_t present = (o->rank ? MR_OP_RANK : 0U) | (o->place ? MR_OP_PLACE : 0U) | (o->plan ? MR_OP_PLAN : 0U) |
                       (o->pick ? MR_OP_PICK : 0U) | (o->slice ? MR_OP_SLICE : 0U) | (o->preempt ? MR_OP_PREEMPT : 0U);
    b->wants = (mr_sched_wants){present, o->notice ? o->notices : 0, o->requires};
    b->opens++;
    mr_status status = o->open ? o->open(&b->self, &b->host, &err) : MR_OK;
    if (status) {
        snprintf(b->open_error, sizeof b->open_error, "%s", err.text);
        b->opens = 0;
        return status;
    }
    if (o->wants)
        o->wants(b->self, &b->wants);
    b->wants.ops &= present;
    return MR_OK;
}

void mr_bench_close(mr_bench *b)
{
    if (b->opens && ops(b)->close)
        ops(b)->close(b->self);
    b->opens = 0;
    b->self = NULL;
}

bool mr_bench_wants(mr_bench *b, uint32_t op)
{
    if (!(b->wants.ops & op) || b->failure[0])
        return false;
    for (int i = 0; i < 6; i++)
        b->asked[i] += op == 1U << i;
    mr_bench_recount(b);
    return true;
}

void mr_bench_tell(mr_bench *b, mr_what what, mr_bench_task *t, int slot, int64_t ran)
{
    if (!(b->wants.notices & (uint32_t)what) || b->failure[0])
        return;
    mr_bench_recount(b);
    mr_notice n = {what, t ? (int)t->outcome : 0, t ? &t->view : NULL, slot >= 0 ? &b->slot[slot] : NULL, ran};
    ops(b)->notice(b->self, &n);
}

void mr_bench_wrong(mr_bench *b, const char *op, const mr_bench_task *t, mr_ref answer)
{
    if (b->wrong++ == 0 && !b->failure[0])
        snprintf(b->log, sizeof b->log, "%s of task %llu answered %#llx, which can not be", op,
                 t ? (unsigned long long)t->view.ref : 0ULL, (unsigned long long)answer);
}

static void record(mr_bench *b, uint64_t x)
{
    b->digest = (b->digest ^ x) * UINT64_C(0x100000001b3) + 1;
}

/* ---- states of a task */

void mr_bench_ask_rank(mr_bench *b, mr_bench_task *t)
{
    t->view.rank = (double)t->view.entry;
    if (!mr_bench_wants(b, MR_OP_RANK))
        return;
    double rank = ops(b)->rank(b->self, &t->view);
    if (isnan(rank))
        mr_bench_wrong(b, "rank", t, 0);
    else
        t->view.rank = rank;
}

void mr_bench_send_inputs(mr_bench *b, mr_bench_task *t, int node)
{
    int i = (int)(t - b->task);
    t->offered = b->now;
    for (int e = 0; e < b->n_edges; e++) {
        if (b->edge[e][1] != i || b->made_on[e] < 0)
            continue;
        int64_t *at = &b->arrives[e][node];
        if (*at == BENCH_NEVER) {
            *at = b->now + mr_bench_copy_time(b, b->bytes[e]);
            b->moved += b->bytes[e];
        }
        if (*at > t->offered)
            t->offered = *at;
    }
}

/* The node behind a slot or node that may run the task; -1: an answer that can not be. */
int mr_bench_check_place(mr_bench *b, const mr_bench_task *t, mr_ref where)
{
    mr_ref list = mr_ref_is_slot(where) ? MR_WORKERS : MR_NODES, r = MR_NONE;
    while ((r = mr_bench_next(b, (mr_list)list, t->view.ref, r)) && r != where)
        ;
    if (!r)
        return -1;
    return mr_bench_node_of(b, mr_ref_is_slot(r) ? b->slot[mr_bench_slot_of(b, r)].node : r);
}

void mr_bench_put_at(mr_bench *b, mr_bench_task *t, mr_ref where, const char *op)
{
    t->queue = MR_NONE;
    if (where == MR_NONE)
        return;
    if (mr_bench_check_place(b, t, where) < 0) {
        mr_bench_wrong(b, op, t, where);
        return;
    }
    t->queue = t->view.on = where;
}

void mr_bench_enter_ready(mr_bench *b, mr_bench_task *t)
{
    t->queued = true;
    t->dropped = false;
    t->view.entry = ++b->entries;
    t->view.state = t->view.state == MR_STOPPED_NOW ? MR_STOPPED_NOW : MR_READY_NOW;
    if (t->view.state != MR_STOPPED_NOW)
        t->view.ready_at = b->now;
    t->fresh = true;
    t->view.rank = INFINITY;
}

static void free_slot(mr_bench *b, mr_bench_task *t)
{
    int node = mr_bench_node_of(b, b->slot[t->slot].node);
    if (!t->lent)
        b->slot[t->slot].task = MR_NONE;
    for (int r = t->lent ? MR_RES_CPU + 1 : 0; r < BENCH_RES; r++)
        b->free[node][r].amount += t->needs[r].amount;
    t->lent = false;
}

int64_t mr_bench_ran(const mr_bench *b, const mr_bench_task *t)
{
    if (t->view.state != MR_RUNNING_NOW || t->lives)
        return 0;
    return b->now - t->view.started_at - t->away - (t->lent ? b->now - (t->back_at - t->block_for) : 0);
}

/* Its slot and its CPU, and nothing else, are for others until it goes on. */
void mr_bench_lend(mr_bench *b, mr_bench_task *t)
{
    int node = mr_bench_node_of(b, b->slot[t->slot].node);
    t->back_at = b->now + t->block_for;
    t->block_at = 0;
    t->left -= b->now - t->view.started_at - t->away;
    t->end = t->stop_at = BENCH_NEVER;
    t->lent = true;
    t->view.on = b->node[node].ref;
    b->slot[t->slot].task = MR_NONE;
    b->free[node][MR_RES_CPU].amount += t->needs[MR_RES_CPU].amount;
}

/* In an idle slot of its node, a new one if there is none; what is free may be below 0 then. */
void mr_bench_take_back(mr_bench *b, mr_bench_task *t)
{
    int node = mr_bench_node_of(b, b->slot[t->slot].node), slot = -1;
    for (int k = 0; k < 2 && slot < 0; k++) {
        for (int i = b->n_slots - 1; i >= 0; i--)
            slot = b->slot[i].node == b->node[node].ref && !b->slot[i].task ? i : slot;
        if (slot < 0)
            mr_bench_add_slot(b, node);
    }
    t->lent = false;
    t->away += t->block_for;
    t->slot = slot;
    t->end = b->now + t->left;
    t->left += mr_bench_ran(b, t); /* as if it had not been away: what ends it takes that off */
    t->view.on = b->slot[slot].ref;
    b->slot[slot].task = t->view.ref;
    b->free[node][MR_RES_CPU].amount -= t->needs[MR_RES_CPU].amount;
}

void mr_bench_begin(mr_bench *b, mr_bench_task *t)
{
    t->view.state = MR_RUNNING_NOW;
    t->view.started_at = b->now;
    t->end = b->now + t->left;
    t->stop_at = BENCH_NEVER;
    t->away = 0;
    t->fresh = true;
    if (t->first_start == MR_UNKNOWN)
        t->first_start = b->now;
    b->order[b->n_order < 4 * BENCH_TASKS ? b->n_order++ : 0] = (int)(t - b->task);
    record(b, t->view.ref);
    record(b, (uint64_t)t->slot);
    record(b, (uint64_t)b->now);
    mr_bench_tell(b, MR_STARTED, t, t->slot, 0);
    if (t->view.kind == MR_TASK && mr_bench_wants(b, MR_OP_SLICE)) {
        int64_t ns = ops(b)->slice(b->self, &t->view, &b->slot[t->slot]);
        if (ns >= 0 && ns < BENCH_NEVER - b->now)
            t->stop_at = b->now + (ns < BENCH_MIN_SLICE ? BENCH_MIN_SLICE : ns);
    }
}

void mr_bench_dispatch(mr_bench *b, mr_bench_task *t, int slot)
{
    int node = mr_bench_node_of(b, b->slot[slot].node);
    bool resumed = t->view.state == MR_STOPPED_NOW;
    t->queued = false;
    t->slot = slot;
    t->view.on = b->slot[slot].ref;
    b->slot[slot].task = t->view.ref;
    for (int r = 0; r < BENCH_RES; r++)
        b->free[node][r].amount -= t->needs[r].amount;
    t->starts++;
    if (!resumed)
        t->left = mr_bench_true_cost(b, t, slot);
    mr_bench_send_inputs(b, t, node);
    t->travel_end = t->offered > b->now + b->birth ? t->offered : b->now + b->birth;
    t->view.state = MR_TRAVELLING;
    t->view.started_at = MR_UNKNOWN;
    if (t->travel_end <= b->now)
        mr_bench_begin(b, t);
}

void mr_bench_halt(mr_bench *b, mr_bench_task *t)
{
    int64_t ran = mr_bench_ran(b, t);
    int slot = t->slot;
    t->left -= ran;
    t->view.ran += ran;
    free_slot(b, t);
    t->view.state = MR_STOPPED_NOW;
    b->stops++;
    mr_bench_tell(b, MR_STOPPED, t, slot, ran);
}

void mr_bench_stop(mr_bench *b, mr_bench_task *t)
{
    mr_bench_halt(b, t);
    mr_bench_enter_ready(b, t);
    t->offered = b->now;
    mr_bench_tell(b, MR_BECAME_READY, t, -1, 0);
    mr_bench_ask_rank(b, t);
}

/* Its results are errors now, and so is all that waits for them. */
static void fail_successors(mr_bench *b, mr_bench_task *t)
{
    for (int e = 0; e < b->n_edges; e++) {
        mr_bench_task *s = &b->task[b->edge[e][1]];
        if (&b->task[b->edge[e][0]] == t && b->made_on[e] < 0 && s->submitted && !s->over && !s->lives)
            mr_bench_finish(b, s, MR_E_TASK);
    }
}

void mr_bench_finish(mr_bench *b, mr_bench_task *t, mr_status outcome)
{
    bool on_slot = t->view.state == MR_RUNNING_NOW || t->view.state == MR_TRAVELLING;
    int slot = on_slot ? t->slot : -1;
    int64_t ran = mr_bench_ran(b, t);
    t->lives = outcome == MR_OK && t->view.kind == MR_ACTOR;
    if (on_slot)
        free_slot(b, t);
    t->view.ran += ran;
    t->queued = false;
    t->over = !t->lives;
    t->outcome = outcome;
    t->ends++;
    t->finished = b->now;
    if (!t->lives)
        t->view.state = MR_OVER;
    record(b, t->view.ref << 8 | (uint8_t)outcome);
    b->last = b->now;
    b->flow += b->now - t->arrival;
    if (outcome == MR_OK)
        mr_bench_seal(b, t);
    if (t->lives) {
        t->end = b->now + t->life;
        t->stop_at = BENCH_NEVER;
        t->view.needs = &t->kept;
        t->view.n_needs = 1;
        t->view.on = b->node[t->out_node].ref;
        b->free[t->out_node][MR_RES_CPU].amount -= t->kept.amount;
    }
    if (!t->dropped)
        mr_bench_tell(b, outcome == MR_OK ? MR_DONE : MR_DROPPED, t, slot, ran);
    if (outcome != MR_OK)
        fail_successors(b, t);
}

void mr_bench_seal(mr_bench *b, mr_bench_task *t)
{
    t->out_node = mr_bench_node_of(b, b->slot[t->slot].node);
    for (int e = 0; e < b->n_edges; e++)
        if (&b->task[b->edge[e][0]] == t && b->made_on[e] < 0) {
            b->made_on[e] = t->out_node;
            b->arrives[e][t->out_node] = b->now;
        }
}

void mr_bench_die(mr_bench *b, mr_bench_task *t)
{
    b->free[t->out_node][MR_RES_CPU].amount += t->kept.amount;
    t->lives = false;
    t->over = true;
    t->view.state = MR_OVER;
}

void mr_bench_retry_or_fail(mr_bench *b, mr_bench_task *t)
{
    if (t->retries-- <= 0) {
        mr_bench_finish(b, t, MR_E_CRASHED);
        return;
    }
    free_slot(b, t);
    t->view.state = MR_WAITING;
    t->outcome = MR_E_CRASHED;
    mr_bench_tell(b, MR_DROPPED, t, t->slot, 0);
    t->dropped = true;
    t->outcome = MR_OK;
    t->view.attempt++;
    t->away = 0;
    t->view.ran = 0;
    t->view.on = MR_NONE;
    t->view.from = MR_NONE;
    t->planned = false; /* that was for the first attempt */
    t->queue = MR_NONE;
}
