/* sched_worlds.c: see sched_worlds.h. */
#include "plugin/conformance/sched_worlds.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool mr_sched_no(mr_sched_ctx *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->why, sizeof c->why, fmt, args);
    va_end(args);
    return false;
}

static uint64_t draw(uint64_t *x, uint64_t n)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n ? (*x >> 33) % n : 0;
}

/* ---- judging a run */

bool mr_sched_judge(mr_sched_ctx *c, const mr_bench *b, const char *what)
{
    if (b->open_error[0])
        return mr_sched_no(c, "%s: open failed: %s", what, b->open_error);
    if (b->failure[0])
        return mr_sched_no(c, "%s: %s", what, b->failure);
    if (b->wrong)
        return mr_sched_no(c, "%s: %d wrong answers; the first: %s", what, b->wrong, b->log);
    for (int i = 0; i < b->n_tasks; i++) {
        const mr_bench_task *t = &b->task[i];
        if (t->ends != 1)
            return mr_sched_no(c, "%s: task %d ended %d times (state %d), expected once", what, i + 1, t->ends,
                               t->view.state);
        if (t->outcome == MR_OK && t->starts < 1)
            return mr_sched_no(c, "%s: task %d is done and never started", what, i + 1);
        if (t->starts > t->view.attempt + b->stops)
            return mr_sched_no(c, "%s: task %d started %d times in %d attempts", what, i + 1, t->starts,
                               t->view.attempt);
    }
    for (int n = 0; n < b->n_nodes; n++)
        for (int r = 0; r < BENCH_RES; r++)
            if (b->free[n][r].amount != b->total[n][r].amount)
                return mr_sched_no(c, "%s: node %d does not get its resources back", what, n);
    if (b->live_allocs)
        return mr_sched_no(c, "%s: %zu blocks of alloc() are not freed after close", what, b->live_allocs);
    return true;
}

/* ---- worlds */

static double cpus(uint64_t *x, unsigned kind)
{
    if (kind & W_FREE && draw(x, 3) == 0)
        return -1;
    if (kind & W_HALVES && draw(x, 2) == 0)
        return 0.5;
    return kind & W_WIDE && draw(x, 4) == 0 ? 2 : 1;
}

static void extreme(mr_bench_spec *s, uint64_t *x)
{
    static const int32_t priorities[] = {INT32_MIN, INT32_MAX, 0};
    static const int64_t times[] = {1, INT64_MAX / 2, INT64_MAX / 4, 0};
    s->priority = priorities[draw(x, 3)];
    s->deadline = times[draw(x, 4)];
    s->limit = times[draw(x, 4)];
    s->duration = draw(x, 4) ? s->duration : 1000 * BENCH_MS;
}

static void random_task(mr_bench *b, uint64_t *x, unsigned kind)
{
    static const char *const users[] = {"a", "b", "c"}, *const fns[] = {"load", "map", "reduce", "train"};
    mr_bench_spec s = {0};
    s.arrival = kind & W_BATCH ? 0 : (int64_t)draw(x, 40) * BENCH_MS;
    s.duration = kind & W_ZERO && draw(x, 2) ? 0 : (int64_t)(1 + draw(x, 30)) * BENCH_MS;
    s.cpu = cpus(x, kind);
    s.gpu = kind & W_UNLIKE && draw(x, 5) == 0 ? 1 : 0;
    s.out_bytes = draw(x, 3) * 1000 * 1000 * draw(x, 5) * (kind & W_HEAVY ? 30 : 1);
    if (!(kind & W_BARE)) {
        s.priority = (int32_t)draw(x, 5) - 2;
        s.user = users[draw(x, 3)];
        s.fn = fns[draw(x, 4)];
        s.deadline = draw(x, 2) ? s.arrival + 100 * BENCH_MS : 0;
        s.limit = draw(x, 2) ? s.duration + (int64_t)draw(x, 20) * BENCH_MS : 0;
    }
    if (kind & W_EXTREME)
        extreme(&s, x);
    s.retries = kind & W_STORM ? 100 : (int32_t)draw(x, 3);
    if (kind & W_ALIKE)
        s = (mr_bench_spec){
            .arrival = s.arrival / (10 * BENCH_MS) * 10 * BENCH_MS, .duration = 10 * BENCH_MS, .fn = "f"};
    if (kind & W_LIVING && draw(x, 4) == 0)
        s.life = (int64_t)(1 + draw(x, 40)) * BENCH_MS;
    if (kind & W_STREAMS && draw(x, 2) == 0)
        s.early = 1 + (int64_t)draw(x, 20) * BENCH_MS;
    if (kind & W_BLOCKS && draw(x, 3) == 0) {
        s.block_at = 1 + (int64_t)draw(x, 15) * BENCH_MS;
        s.block_for = (int64_t)(1 + draw(x, 15)) * BENCH_MS;
    }
    int i = mr_bench_add_task(b, &s);
    if (kind & W_LABELS && draw(x, 3)) {
        static const char *const values[] = {"", "x", "12", "a rather long value with spaces"};
        b->task[i].label[0][0] = "namespace";
        b->task[i].label[0][1] = values[draw(x, 4)];
    }
}

/* Arrival order is the order of ids, as seq is the order of submission. */
static int by_arrival(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort_arrivals(mr_bench *b)
{
    int64_t at[BENCH_TASKS];
    for (int i = 0; i < b->n_tasks; i++)
        at[i] = b->task[i].arrival;
    qsort(at, (size_t)b->n_tasks, sizeof at[0], by_arrival);
    for (int i = 0; i < b->n_tasks; i++)
        b->task[i].arrival = at[i];
}

static void add_nodes(mr_bench *b, uint64_t *x, unsigned kind)
{
    int nodes = kind & W_ONE ? 1 : kind & W_MANY ? BENCH_NODES : 1 + (int)draw(x, 3);
    for (int n = 0; n < nodes; n++) {
        int slots = kind & W_WIDE ? 2 + (int)draw(x, 2) : 1 + (int)draw(x, 3);
        mr_bench_add_node(b, kind & (W_ONE | W_MANY) ? 1 : slots, 0, kind & W_UNLIKE ? (uint32_t)n : 0);
    }
    if (kind & W_UNLIKE)
        mr_bench_add_node(b, 4, 2, 0);
    for (int n = 0; kind & W_LIVING && n < b->n_nodes && n < BENCH_HOLDS; n++) {
        int64_t from = (int64_t)draw(x, 40) * BENCH_MS;
        mr_bench_add_hold(b, n, 0.5, from, from + (int64_t)(1 + draw(x, 40)) * BENCH_MS);
    }
    for (int n = 0; kind & W_SEATS && n < b->n_nodes; n++)
        for (uint64_t k = draw(x, 3); k > 0; k--)
            mr_bench_add_event(b, BENCH_SEAT, n, (int64_t)draw(x, 60) * BENCH_MS);
}

static void add_faults(mr_bench *b, uint64_t *x, unsigned kind)
{
    int n = kind & W_STORM ? b->n_tasks : kind & (W_FAULTS | W_EARLY) ? b->n_tasks / 3 : 0;
    for (int i = 0; i < n; i++) {
        mr_bench_what what = draw(x, 2) ? BENCH_CANCEL : BENCH_CRASH;
        int which = (int)draw(x, what == BENCH_CANCEL ? (uint64_t)b->n_tasks : (uint64_t)b->n_slots);
        int64_t at = (int64_t)draw(x, 120) * BENCH_MS;
        if (kind & W_EARLY && what == BENCH_CANCEL) /* as soon as it is there, or as soon as it may have begun */
            at = b->task[which].arrival + (draw(x, 2) ? 0 : b->birth);
        mr_bench_add_event(b, what, which, at);
    }
    if (kind & W_REOPEN)
        mr_bench_add_event(b, BENCH_REOPEN, 0, (int64_t)(5 + draw(x, 60)) * BENCH_MS);
    if (kind & W_EJECT)
        mr_bench_add_event(b, BENCH_EJECT, 0, (int64_t)(5 + draw(x, 60)) * BENCH_MS);
}

mr_bench *mr_sched_world(mr_sched_ctx *c, uint64_t seed, unsigned kind, int tasks)
{
    uint64_t x = seed * 977 + kind;
    mr_bench *b = mr_bench_new(c->loaded, c->option, seed);
    if (!b)
        return NULL;
    b->exact = !(kind & W_UNKNOWN);
    b->birth = kind & W_SLOW ? 3 * BENCH_MS : 0;
    b->fn_cap = kind & W_CAPPED ? 1 : 0;
    add_nodes(b, &x, kind);
    for (int i = 0; i < tasks; i++)
        random_task(b, &x, kind);
    sort_arrivals(b);
    for (int i = 1; kind & W_GRAPH && i < tasks; i++)
        for (uint64_t k = draw(&x, 3); k > 0; k--)
            mr_bench_add_edge(b, (int)draw(&x, (uint64_t)i), i);
    add_faults(b, &x, kind);
    b->begin = kind & W_LATE ? INT64_C(1000) * 1000 * 1000 * BENCH_MS : 0; /* eleven days */
    for (int i = 0; i < b->n_tasks; i++) {
        b->task[i].arrival += b->begin;
        b->task[i].view.deadline += b->task[i].view.deadline > 0 && !(kind & W_EXTREME) ? b->begin : 0;
    }
    for (int i = 0; i < b->n_events; i++)
        b->event[i].at += b->begin;
    for (int i = 0; i < b->n_holds; i++) {
        b->hold[i].from += b->begin;
        b->hold[i].to += b->begin;
    }
    return b;
}

/* Runs one world, the first of a kind twice: judged, and equal to the last bit. */
static bool run_world(mr_sched_ctx *c, uint64_t seed, unsigned kind, int tasks)
{
    char what[64];
    uint64_t digest[2] = {0, 0};
    bool ok = true;
    snprintf(what, sizeof what, "world %llu", (unsigned long long)seed);
    for (int k = seed == 1 ? 0 : 1; k < 2 && ok; k++) {
        mr_bench *b = mr_sched_world(c, seed, kind, tasks);
        if (!b)
            return mr_sched_no(c, "%s: out of memory", what);
        mr_bench_run(b);
        ok = mr_sched_judge(c, b, what);
        digest[k] = b->digest;
        mr_bench_free(b);
    }
    if (ok && seed == 1 && digest[0] != digest[1])
        return mr_sched_no(c, "%s: the same world ran differently the second time", what);
    return ok;
}

bool mr_sched_run_worlds(mr_sched_ctx *c, unsigned kind, uint64_t seeds, int tasks)
{
    for (uint64_t seed = 1; seed <= seeds; seed++)
        if (!run_world(c, seed, kind, tasks))
            return false;
    return true;
}
