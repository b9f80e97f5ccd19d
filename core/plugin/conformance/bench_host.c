/* bench_host.c: what a policy asks the small world: views, lists, costs.  Every answer is a scan of the arrays; nothing
 * is cached but the free amounts, so it is plain to check.  Knows nothing of time passing: bench_run.c. */
#include "plugin/conformance/bench_host.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static mr_bench *world(const mr_sched_host *h)
{
    return (mr_bench *)(uintptr_t)h; /* the table is the first member */
}

/* ---- the plugin's base services */

static mr_bench *base_world(const mr_host *h)
{
    return h->ctx;
}

static void base_log(const mr_host *h, mr_log_level level, const char *fmt, ...)
{
    va_list args;
    mr_bench *b = base_world(h);
    (void)level;
    va_start(args, fmt);
    vsnprintf(b->log, sizeof b->log, fmt, args);
    va_end(args);
}

static int64_t base_now(const mr_host *h)
{
    return base_world(h)->now;
}

static const mr_conf_key *declared(const mr_bench *b, const char *key)
{
    const mr_plugin *p = b->loaded->plugin;
    for (uint32_t i = 0; i < p->n_keys; i++)
        if (strcmp(p->keys[i].name, key) == 0)
            return &p->keys[i];
    return NULL;
}

static const char *base_conf(const mr_host *h, const char *key)
{
    const mr_bench *b = base_world(h);
    for (int i = 0; i < b->n_conf; i++)
        if (strcmp(b->conf[i].key, key) == 0)
            return b->conf[i].value;
    const mr_conf_key *k = declared(b, key);
    return k ? k->otherwise : NULL;
}

static int64_t base_conf_int(const mr_host *h, const char *key, int64_t otherwise)
{
    const char *text = base_conf(h, key);
    const mr_conf_key *k = declared(base_world(h), key);
    int64_t value = otherwise;
    double real;
    mr_err err;
    if (!text || !k || mr_config_parse(k->type, text, &value, &real, &err))
        return otherwise;
    return value;
}

static double base_conf_double(const mr_host *h, const char *key, double otherwise)
{
    const char *text = base_conf(h, key);
    return text ? strtod(text, NULL) : otherwise;
}

static const char *base_conf_key(const mr_host *h, size_t i)
{
    const mr_bench *b = base_world(h);
    return i < (size_t)b->n_conf ? b->conf[i].key : NULL;
}

union block { /* before what alloc() gives */
    size_t size;
    max_align_t align;
};

static void *base_alloc(const mr_host *h, size_t size)
{
    mr_bench *b = base_world(h);
    if (++b->n_allocs == b->fail_alloc)
        return NULL;
    union block *p = calloc(1, sizeof *p + size);
    if (!p)
        return NULL;
    p->size = size;
    b->live_allocs++;
    b->live_bytes += size;
    b->most_bytes = b->live_bytes > b->most_bytes ? b->live_bytes : b->most_bytes;
    return p + 1;
}

static void base_free(const mr_host *h, void *p)
{
    union block *block = p;
    if (!p)
        return;
    base_world(h)->live_allocs--;
    base_world(h)->live_bytes -= block[-1].size;
    free(block - 1);
}

static void base_fail(const mr_host *h, const char *fmt, ...)
{
    va_list args;
    mr_bench *b = base_world(h);
    if (b->failure[0])
        return;
    b->failed = true;
    va_start(args, fmt);
    vsnprintf(b->failure, sizeof b->failure, fmt, args);
    va_end(args);
}

/* ---- handles */

int mr_bench_task_of(const mr_bench *b, mr_ref ref)
{
    if (!mr_ref_is_task(ref) || ref > (mr_ref)b->n_tasks)
        return -1;
    const mr_bench_task *t = &b->task[ref - 1];
    return t->submitted && !t->over ? (int)(ref - 1) : -1;
}

int mr_bench_slot_of(const mr_bench *b, mr_ref ref)
{
    uint64_t id = ref & ~MR_REF_KIND(~UINT64_C(0));
    return mr_ref_is_slot(ref) && id >= 1 && id <= (uint64_t)b->n_slots ? (int)id - 1 : -1;
}

int mr_bench_node_of(const mr_bench *b, mr_ref ref)
{
    uint64_t id = ref & ~MR_REF_KIND(~UINT64_C(0));
    return mr_ref_is_node(ref) && id >= 1 && id <= (uint64_t)b->n_nodes ? (int)id - 1 : -1;
}

static const mr_task *get_task(const mr_sched_host *h, mr_ref ref)
{
    int i = mr_bench_task_of(world(h), ref);
    if (ref >= BENCH_HOLD_REF && ref < BENCH_HOLD_REF + (mr_ref)world(h)->n_holds) {
        const mr_task *held = &world(h)->hold[ref - BENCH_HOLD_REF].view;
        return held->state == MR_RUNNING_NOW ? held : NULL;
    }
    return i < 0 ? NULL : &world(h)->task[i].view;
}

static const mr_worker *get_worker(const mr_sched_host *h, mr_ref ref)
{
    int i = mr_bench_slot_of(world(h), ref);
    return i < 0 ? NULL : &world(h)->slot[i];
}

static const mr_node *get_node(const mr_sched_host *h, mr_ref ref)
{
    int i = mr_bench_node_of(world(h), ref);
    return i < 0 ? NULL : &world(h)->node[i];
}

static int64_t get_now(const mr_sched_host *h)
{
    return world(h)->now;
}

/* ---- what fits where */

/* On the node as it is, or as it would be without one running task. */
bool mr_bench_fits(const mr_bench *b, const mr_bench_task *t, int node, const mr_bench_task *without)
{
    for (int r = 0; r < BENCH_RES; r++) {
        int64_t avail = b->free[node][r].amount + (without ? without->needs[r].amount : 0);
        if (t->needs[r].amount > avail)
            return false;
    }
    return true;
}

static bool ever(const mr_bench *b, const mr_bench_task *t, int node)
{
    for (int r = 0; r < BENCH_RES; r++)
        if (t->needs[r].amount > b->total[node][r].amount)
            return false;
    return true;
}

static int node_of_slot(const mr_bench *b, int slot)
{
    return mr_bench_node_of(b, b->slot[slot].node);
}

/* A cap of the function is the host's business: such a task is ready, and nobody can take it.  One that was stopped
 * counts on, one that is blocked or lives does not. */
static bool below_cap(const mr_bench *b, const mr_bench_task *t)
{
    int n = 0;
    for (int i = 0; b->fn_cap && i < b->n_tasks; i++) {
        const mr_bench_task *x = &b->task[i];
        bool counts =
            x->view.state == MR_RUNNING_NOW || x->view.state == MR_TRAVELLING || x->view.state == MR_STOPPED_NOW;
        n += x != t && counts && !x->over && !x->lives && !x->lent && x->view.fn == t->view.fn;
    }
    return !b->fn_cap || n < b->fn_cap || t->view.state == MR_STOPPED_NOW; /* it has its place already */
}

bool mr_bench_can(const mr_bench *b, const mr_bench_task *t, int slot)
{
    int node = node_of_slot(b, slot);
    if (!t->queued || b->slot[slot].task || b->now < t->offered)
        return false;
    if (t->view.state == MR_STOPPED_NOW && t->slot >= 0 && node_of_slot(b, t->slot) != node)
        return false; /* its process and memory are on its node */
    return mr_bench_fits(b, t, node, NULL) && below_cap(b, t);
}

static bool host_can(const mr_sched_host *h, mr_ref t, mr_ref w)
{
    const mr_bench *b = world(h);
    int i = mr_bench_task_of(b, t), slot = mr_bench_slot_of(b, w);
    return i >= 0 && slot >= 0 && mr_bench_can(b, &b->task[i], slot);
}

/* ---- lists */

static bool before(const mr_bench_task *a, const mr_bench_task *b)
{
    if (a->view.rank < b->view.rank || a->view.rank > b->view.rank)
        return a->view.rank < b->view.rank;
    return a->view.entry < b->view.entry;
}

/* The next of a queue after task `after` (-1: the first), or with `back` the one before it. */
static int in_queue(const mr_bench *b, mr_ref queue, int after, bool back)
{
    int best = -1;
    for (int i = 0; i < b->n_tasks; i++) {
        const mr_bench_task *t = &b->task[i];
        if (!t->queued || t->queue != queue || i == after)
            continue;
        if (after >= 0 && before(t, &b->task[after]) != back)
            continue;
        if (best < 0 || before(t, &b->task[best]) != back)
            best = i;
    }
    return best;
}

/* Of a slot, of a node, of all: what holds something there, begun or not; of a task, those whose stop alone lets it
 * start. */
static bool is_running_for(const mr_bench *b, const mr_bench_task *r, mr_ref of)
{
    if (r->over || (r->view.state != MR_RUNNING_NOW && r->view.state != MR_TRAVELLING))
        return false;
    if (of == MR_NONE || r->view.on == of || (mr_ref_is_node(of) && b->slot[r->slot].node == of))
        return true;
    int i = mr_bench_task_of(b, of);
    if (i < 0 || r->fresh || r->view.state != MR_RUNNING_NOW || r->view.kind != MR_TASK || r->lent ||
        r->needs[MR_RES_GPU].amount || !r->needs[MR_RES_CPU].amount || b->now - r->view.started_at < BENCH_MIN_SLICE)
        return false;
    const mr_bench_task *t = &b->task[i];
    int node = node_of_slot(b, r->slot);
    if (!t->queued || b->now < t->offered || (t->view.state == MR_STOPPED_NOW && node_of_slot(b, t->slot) != node))
        return false;
    return mr_bench_fits(b, t, node, r) && below_cap(b, t);
}

static mr_ref next_running(const mr_bench *b, mr_ref of, mr_ref after)
{
    int from = after ? mr_bench_task_of(b, after) + 1 : 0, held = 0;
    if (after >= BENCH_HOLD_REF && after < BENCH_HOLD_REF + BENCH_HOLDS) {
        held = (int)(after - BENCH_HOLD_REF) + 1;
        from = b->n_tasks;
    } else if (after && !from) {
        return MR_NONE;
    }
    for (int i = from; i < b->n_tasks; i++)
        if (is_running_for(b, &b->task[i], of))
            return b->task[i].view.ref;
    for (int i = held; i < b->n_holds; i++)
        if (b->hold[i].view.state == MR_RUNNING_NOW && (of == MR_NONE || b->hold[i].view.on == of))
            return b->hold[i].view.ref;
    return MR_NONE;
}

static mr_ref next_worker(const mr_bench *b, mr_ref of, mr_ref after)
{
    int task = mr_bench_task_of(b, of);
    for (int i = after ? mr_bench_slot_of(b, after) + 1 : 0; i < b->n_slots; i++) {
        if (task >= 0 ? ever(b, &b->task[task], node_of_slot(b, i)) : of == MR_NONE || b->slot[i].node == of)
            return b->slot[i].ref;
    }
    return MR_NONE;
}

static mr_ref next_node(const mr_bench *b, mr_ref of, mr_ref after)
{
    int task = mr_bench_task_of(b, of);
    for (int i = after ? mr_bench_node_of(b, after) + 1 : 0; i < b->n_nodes; i++)
        if (of == MR_NONE || (task >= 0 && ever(b, &b->task[task], i)))
            return b->node[i].ref;
    return MR_NONE;
}

mr_ref mr_bench_next(const mr_bench *b, mr_list list, mr_ref of, mr_ref after)
{
    if (list == MR_RUNNING)
        return next_running(b, of, after);
    if (list == MR_WORKERS)
        return next_worker(b, of, after);
    if (list == MR_NODES)
        return next_node(b, of, after);
    int i = in_queue(b, of, after ? mr_bench_task_of(b, after) : -1, false);
    return i < 0 ? MR_NONE : b->task[i].view.ref;
}

static mr_ref host_next(const mr_sched_host *h, mr_list list, mr_ref of, mr_ref after)
{
    return mr_bench_next(world(h), list, of, after);
}

static mr_ref host_first(const mr_sched_host *h, mr_ref queue, mr_ref w, bool from_end)
{
    const mr_bench *b = world(h);
    int slot = mr_bench_slot_of(b, w);
    if (slot < 0)
        return MR_NONE;
    for (int i = in_queue(b, queue, -1, from_end); i >= 0; i = in_queue(b, queue, i, from_end))
        if (mr_bench_can(b, &b->task[i], slot))
            return b->task[i].view.ref;
    return MR_NONE;
}

/* ---- costs */

int64_t mr_bench_copy_time(const mr_bench *b, uint64_t bytes)
{
    return (int64_t)(bytes / (uint64_t)b->bandwidth) * BENCH_US;
}

int64_t mr_bench_true_cost(const mr_bench *b, const mr_bench_task *t, int slot)
{
    return t->costs[slot] ? t->costs[slot] : t->duration * (int64_t)(1 + b->slot[slot].cls);
}

static int64_t host_cost(const mr_sched_host *h, mr_ref t, mr_ref w)
{
    const mr_bench *b = world(h);
    int i = mr_bench_task_of(b, t), slot = mr_bench_slot_of(b, w);
    if (i < 0 || slot < 0 || !ever(b, &b->task[i], node_of_slot(b, slot)))
        return INT64_MAX;
    return b->exact ? mr_bench_true_cost(b, &b->task[i], slot) : BENCH_MS;
}

static int64_t host_copy(const mr_sched_host *h, uint64_t bytes, mr_ref from, mr_ref to)
{
    return from && from == to ? 0 : mr_bench_copy_time(world(h), bytes);
}

static uint64_t host_missing(const mr_sched_host *h, mr_ref t, mr_ref n)
{
    const mr_bench *b = world(h);
    int i = mr_bench_task_of(b, t), node = mr_bench_node_of(b, n);
    uint64_t bytes = 0;
    for (int e = 0; i >= 0 && node >= 0 && e < b->n_edges; e++) {
        if (b->edge[e][1] == i && b->arrives[e][node] > b->now)
            bytes += b->bytes[e];
    }
    return bytes;
}

static bool host_edge(const mr_sched_host *h, mr_ref t, bool succ, uint32_t k, mr_edge *out)
{
    const mr_bench *b = world(h);
    int i = mr_bench_task_of(b, t), own = succ ? 0 : 1;
    for (int e = 0; i >= 0 && e < b->n_edges; e++) {
        const mr_bench_task *other = &b->task[b->edge[e][!own]];
        if (b->edge[e][own] != i || !other->submitted || k--)
            continue;
        out->task = other->over ? MR_NONE : other->view.ref;
        out->node = b->made_on[e] >= 0 ? b->node[b->made_on[e]].ref : MR_NONE;
        out->bytes = b->exact || b->made_on[e] >= 0 ? b->bytes[e] : 0;
        return true;
    }
    return false;
}

/* ---- the rest */

static const char *host_label(const mr_sched_host *h, mr_ref t, const char *key)
{
    const mr_bench *b = world(h);
    int i = mr_bench_task_of(b, t);
    for (int k = 0; i >= 0 && k < 2; k++)
        if (b->task[i].label[k][0] && strcmp(b->task[i].label[k][0], key) == 0)
            return b->task[i].label[k][1];
    return NULL;
}

static const char *host_text(const mr_sched_host *h, uint32_t interned)
{
    if (interned & MR_TEXT_RES)
        return (interned & ~MR_TEXT_RES) == MR_RES_CPU ? "CPU" : "GPU";
    return interned < (uint32_t)world(h)->n_names ? world(h)->names[interned] : NULL;
}

static uint64_t host_random(const mr_sched_host *h)
{
    uint64_t x = world(h)->seed += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void host_wake(const mr_sched_host *h, int64_t at)
{
    mr_bench *b = world(h);
    if (at < b->wake_at)
        b->wake_at = at;
}

static void host_rerank(const mr_sched_host *h, mr_ref t)
{
    (void)t; /* asking all again is what asking one allows */
    world(h)->rerank_all = true;
}

static int64_t begun(const mr_bench_task *t, int64_t now)
{
    return t->view.state == MR_RUNNING_NOW ? t->view.started_at : now;
}

void mr_bench_recount(mr_bench *b)
{
    for (int i = 0; i < b->n_slots; i++) {
        mr_worker *w = &b->slot[i];
        int task = mr_bench_task_of(b, w->task);
        w->load = w->task != MR_NONE;
        w->busy_until = b->now;
        if (task >= 0 && !b->exact)
            w->busy_until = MR_UNKNOWN;
        else if (task >= 0)
            w->busy_until = begun(&b->task[task], b->now) + b->task[task].left;
        for (int k = 0; k < b->n_tasks; k++)
            w->load += b->task[k].queued && b->task[k].queue == w->ref;
    }
}

void mr_bench_fill_host(mr_bench *b)
{
    const mr_host base = {
        sizeof base,      b->loaded->plugin->name, b,          base_log,  base_now,  base_conf, base_conf_int,
        base_conf_double, base_conf_key,           base_alloc, base_free, base_fail, NULL};
    const mr_sched_host host = {sizeof host, &b->base,   get_now,   get_task,    get_worker, get_node,
                                host_next,   host_first, host_can,  host_cost,   host_copy,  host_missing,
                                host_edge,   host_label, host_text, host_random, host_wake,  host_rerank};
    b->base = base;
    b->host = host;
}
