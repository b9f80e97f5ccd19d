/* sched_cases.c: what every scheduler must keep, whatever its order: answers that can be, within the rules of sched.h;
 * nothing lost, nothing run twice, nothing held for ever, the same run twice; whatever is unknown, unlike, cancelled or
 * killed.  What one policy promises beyond that is for its own tests. */
#include "plugin/conformance/cases.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/conformance/bench_host.h"

struct ctx {
    const mr_loaded *loaded;
    const char *option;
    char why[1400]; /* of the case that fails */
};

static bool no(struct ctx *c, const char *fmt, ...)
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

static bool judge(struct ctx *c, const mr_bench *b, const char *what)
{
    if (b->open_error[0])
        return no(c, "%s: open failed: %s", what, b->open_error);
    if (b->failure[0])
        return no(c, "%s: %s", what, b->failure);
    if (b->wrong)
        return no(c, "%s: %d wrong answers; the first: %s", what, b->wrong, b->log);
    for (int i = 0; i < b->n_tasks; i++) {
        const mr_bench_task *t = &b->task[i];
        if (t->ends != 1)
            return no(c, "%s: task %d ended %d times (state %d), expected once", what, i + 1, t->ends, t->view.state);
        if (t->outcome == MR_OK && t->starts < 1)
            return no(c, "%s: task %d is done and never started", what, i + 1);
        if (t->starts > t->view.attempt + b->stops)
            return no(c, "%s: task %d started %d times in %d attempts", what, i + 1, t->starts, t->view.attempt);
    }
    for (int n = 0; n < b->n_nodes; n++)
        for (int r = 0; r < BENCH_RES; r++)
            if (b->free[n][r].amount != b->total[n][r].amount)
                return no(c, "%s: node %d does not get its resources back", what, n);
    if (b->live_allocs)
        return no(c, "%s: %zu blocks of alloc() are not freed after close", what, b->live_allocs);
    return true;
}

/* ---- worlds */

enum { W_GRAPH = 1, W_FAULTS = 2, W_UNKNOWN = 4, W_UNLIKE = 8, W_BARE = 16, W_WIDE = 32, W_REOPEN = 64, W_BATCH = 128 };

static void random_task(mr_bench *b, uint64_t *x, unsigned kind)
{
    static const char *const users[] = {"a", "b", "c"}, *const fns[] = {"load", "map", "reduce", "train"};
    mr_bench_spec s = {0};
    s.arrival = kind & W_BATCH ? 0 : (int64_t)draw(x, 40) * BENCH_MS;
    s.duration = (int64_t)(1 + draw(x, 30)) * BENCH_MS;
    s.cpu = kind & W_WIDE && draw(x, 4) == 0 ? 2 : 1;
    s.gpu = kind & W_UNLIKE && draw(x, 5) == 0 ? 1 : 0;
    s.out_bytes = draw(x, 3) * 1000 * 1000 * draw(x, 5);
    if (!(kind & W_BARE)) {
        s.priority = (int32_t)draw(x, 5) - 2;
        s.user = users[draw(x, 3)];
        s.fn = fns[draw(x, 4)];
        s.deadline = draw(x, 2) ? s.arrival + 100 * BENCH_MS : 0;
        s.limit = draw(x, 2) ? s.duration + (int64_t)draw(x, 20) * BENCH_MS : 0;
    }
    s.retries = (int32_t)draw(x, 3);
    mr_bench_add_task(b, &s);
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

static mr_bench *make_world(struct ctx *c, uint64_t seed, unsigned kind, int tasks)
{
    uint64_t x = seed * 977 + kind;
    mr_bench *b = mr_bench_new(c->loaded, c->option, seed);
    if (!b)
        return NULL;
    b->exact = !(kind & W_UNKNOWN);
    int nodes = 1 + (int)draw(&x, 3);
    for (int n = 0; n < nodes; n++)
        mr_bench_add_node(b, kind & W_WIDE ? 2 + (int)draw(&x, 2) : 1 + (int)draw(&x, 3), 0,
                          kind & W_UNLIKE ? (uint32_t)n : 0);
    if (kind & W_UNLIKE)
        mr_bench_add_node(b, 4, 2, 0);
    for (int i = 0; i < tasks; i++)
        random_task(b, &x, kind);
    sort_arrivals(b);
    for (int i = 1; kind & W_GRAPH && i < tasks; i++)
        for (uint64_t k = draw(&x, 3); k > 0; k--)
            mr_bench_add_edge(b, (int)draw(&x, (uint64_t)i), i);
    for (int i = 0; kind & W_FAULTS && i < tasks / 3; i++) {
        mr_bench_what what = draw(&x, 2) ? BENCH_CANCEL : BENCH_CRASH;
        uint64_t n = what == BENCH_CANCEL ? (uint64_t)tasks : (uint64_t)b->n_slots;
        mr_bench_add_event(b, what, (int)draw(&x, n), (int64_t)draw(&x, 120) * BENCH_MS);
    }
    if (kind & W_REOPEN)
        mr_bench_add_event(b, BENCH_REOPEN, 0, (int64_t)(5 + draw(&x, 60)) * BENCH_MS);
    return b;
}

/* Runs one world twice: judged, and equal to the last bit. */
static bool run_world(struct ctx *c, uint64_t seed, unsigned kind, int tasks)
{
    char what[64];
    uint64_t digest[2] = {0, 0};
    bool ok = true;
    snprintf(what, sizeof what, "world %llu", (unsigned long long)seed);
    for (int k = 0; k < 2 && ok; k++) {
        mr_bench *b = make_world(c, seed, kind, tasks);
        if (!b)
            return no(c, "%s: out of memory", what);
        mr_bench_run(b);
        ok = judge(c, b, what);
        digest[k] = b->digest;
        mr_bench_free(b);
    }
    if (ok && digest[0] != digest[1])
        return no(c, "%s: the same world ran differently the second time", what);
    return ok;
}

static bool run_worlds(struct ctx *c, unsigned kind, uint64_t seeds, int tasks)
{
    for (uint64_t seed = 1; seed <= seeds; seed++)
        if (!run_world(c, seed, kind, tasks))
            return false;
    return true;
}

/* ---- the cases */

static bool case_table(struct ctx *c)
{
    const mr_sched_ops *o = &c->loaded->ops.sched;
    if (o->notices && !o->notice)
        return no(c, "asks for notices %#x but has no notice op", (unsigned)o->notices);
    if (o->notices & ~127U)
        return no(c, "asks for notices that do not exist: %#x", (unsigned)o->notices);
    if (o->requires & ~(unsigned)(MR_REQ_PREEMPT | MR_REQ_ESTIMATE))
        return no(c, "requires what does not exist: %#x", (unsigned)o->requires);
    if ((!o->open) != (!o->close))
        return no(c, "has one of open and close without the other");
    return true;
}

static bool case_wants(struct ctx *c)
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    bool ok = b != NULL;
    if (ok && mr_bench_open(b))
        ok = no(c, "open failed: %s", b->open_error);
    if (ok && b->wants.ops & ~(unsigned)MR_OP_ALL)
        ok = no(c, "wants() adds ops: %#x", (unsigned)b->wants.ops);
    if (ok && b->wants.notices & ~127U)
        ok = no(c, "wants() asks for notices that do not exist: %#x", (unsigned)b->wants.notices);
    mr_bench_free(b);
    return ok;
}

static bool case_open_close(struct ctx *c)
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    bool ok = b != NULL;
    for (int i = 0; i < 3 && ok; i++) {
        if (mr_bench_open(b))
            ok = no(c, "open %d failed: %s", i + 1, b->open_error);
        else
            mr_bench_close(b);
        if (ok && b->live_allocs)
            ok = no(c, "%zu blocks of alloc() are not freed after close", b->live_allocs);
    }
    mr_bench_free(b);
    return ok;
}

static bool case_nothing(struct ctx *c)
{
    return run_world(c, 1, 0, 0);
}

static bool case_one(struct ctx *c)
{
    return run_world(c, 1, W_BATCH, 1);
}

static bool case_independent(struct ctx *c)
{
    return run_worlds(c, 0, 20, 40);
}

static bool case_batch(struct ctx *c)
{
    return run_worlds(c, W_BATCH, 10, 40);
}

static bool case_graph(struct ctx *c)
{
    return run_worlds(c, W_GRAPH, 20, 40);
}

static bool case_graph_batch(struct ctx *c)
{
    return run_worlds(c, W_GRAPH | W_BATCH, 20, 30);
}

static bool case_unknown(struct ctx *c)
{
    return run_worlds(c, W_GRAPH | W_UNKNOWN, 20, 40);
}

static bool case_bare(struct ctx *c)
{
    return run_worlds(c, W_BARE | W_UNKNOWN, 10, 30);
}

static bool case_unlike(struct ctx *c)
{
    return run_worlds(c, W_GRAPH | W_UNLIKE, 20, 40);
}

static bool case_wide(struct ctx *c)
{
    return run_worlds(c, W_WIDE, 20, 40);
}

static bool case_faults(struct ctx *c)
{
    return run_worlds(c, W_GRAPH | W_FAULTS, 30, 40);
}

static bool case_faults_unknown(struct ctx *c)
{
    return run_worlds(c, W_GRAPH | W_FAULTS | W_UNKNOWN | W_UNLIKE | W_WIDE | W_BARE, 20, 40);
}

static bool case_reopen(struct ctx *c)
{
    return run_worlds(c, W_GRAPH | W_REOPEN, 20, 40) && run_worlds(c, W_GRAPH | W_REOPEN | W_FAULTS, 10, 40);
}

static bool case_many(struct ctx *c)
{
    return run_worlds(c, W_BATCH | W_WIDE, 1, 300);
}

/* Two instances at once: neither sees the other. */
static bool case_two_instances(struct ctx *c)
{
    mr_bench *alone = make_world(c, 5, W_GRAPH, 30), *with = make_world(c, 5, W_GRAPH, 30),
             *other = make_world(c, 9, 0, 30);
    bool ok = alone && with && other;
    if (ok) {
        mr_bench_run(alone);
        if (mr_bench_open(other))
            ok = no(c, "a second instance can not be opened: %s", other->open_error);
        mr_bench_run(with);
        if (ok)
            ok = judge(c, with, "beside an open instance");
        mr_bench_close(other);
        if (ok) {
            mr_bench_run(other);
            ok = judge(c, other, "after it");
        }
        if (ok && alone->digest != with->digest)
            ok = no(c, "a run is different while another instance is open: state outside self");
    }
    mr_bench_free(alone);
    mr_bench_free(with);
    mr_bench_free(other);
    return ok;
}

/* The true durations are not for policies: with nothing known, two worlds that differ in them alone start alike. */
static bool case_no_leak(struct ctx *c)
{
    mr_bench *a = make_world(c, 3, W_UNKNOWN | W_BATCH, 30), *b = make_world(c, 3, W_UNKNOWN | W_BATCH, 30);
    bool ok = a && b;
    if (ok) {
        for (int i = 0; i < b->n_tasks; i++)
            b->task[i].duration += (1 + i % 7) * BENCH_MS;
        mr_bench_run(a);
        mr_bench_run(b);
        for (int i = 0; i < a->n_slots && i < a->n_order && i < b->n_order && ok; i++)
            if (a->order[i] != b->order[i])
                ok = no(c, "the first tasks depend on durations that no view shows");
    }
    mr_bench_free(a);
    mr_bench_free(b);
    return ok;
}

static bool case_errors_spread(struct ctx *c)
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    if (!b)
        return no(c, "out of memory");
    mr_bench_add_node(b, 1, 0, 0);
    for (int i = 0; i < 4; i++) {
        mr_bench_add_task(b, &(mr_bench_spec){.duration = 10 * BENCH_MS});
        if (i)
            mr_bench_add_edge(b, i - 1, i);
    }
    mr_bench_add_event(b, BENCH_CRASH, 0, 15 * BENCH_MS);
    mr_bench_run(b);
    bool ok = judge(c, b, "a chain of four, the second dies");
    if (ok && (b->task[0].outcome || b->task[1].outcome != MR_E_CRASHED || b->task[2].outcome != MR_E_TASK ||
               b->task[3].outcome != MR_E_TASK))
        ok = no(c, "a chain of four, the second dies: wrong outcomes");
    mr_bench_free(b);
    return ok;
}

static const struct {
    const char *name;
    bool (*run)(struct ctx *c);
} cases[] = {
    {"table", case_table},
    {"wants", case_wants},
    {"open and close", case_open_close},
    {"nothing to do", case_nothing},
    {"one task", case_one},
    {"independent tasks", case_independent},
    {"all at once", case_batch},
    {"graphs", case_graph},
    {"graphs as one batch", case_graph_batch},
    {"nothing known", case_unknown},
    {"bare tasks", case_bare},
    {"unlike nodes", case_unlike},
    {"wide tasks", case_wide},
    {"deaths and cancels", case_faults},
    {"deaths, cancels, unlike nodes, nothing known", case_faults_unknown},
    {"opened again in the middle", case_reopen},
    {"300 tasks", case_many},
    {"two instances", case_two_instances},
    {"no leak of durations", case_no_leak},
    {"errors spread", case_errors_spread},
};

/* A plugin that hosts policy files can only be judged with one. */
static bool needs_policy(const mr_plugin *p)
{
    for (uint32_t i = 0; i < p->n_keys; i++)
        if (strcmp(p->keys[i].name, "policy") == 0 && !p->keys[i].otherwise)
            return true;
    return false;
}

int mr_sched_conformance(const mr_loaded *l, const char *option, FILE *out)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ctx c = {l, option, ""};
        if (!option && cases[i].run != case_table && needs_policy(l->plugin)) {
            fprintf(out, "skipped %s: %s hosts policies: name a policy file\n", cases[i].name, l->plugin->name);
        } else if (cases[i].run(&c)) {
            fprintf(out, "ok %s\n", cases[i].name);
        } else {
            failed++;
            fprintf(out, "FAILED %s: %s\n", cases[i].name, c.why[0] ? c.why : "out of memory");
        }
        fflush(out);
    }
    return failed;
}
