/* sched_cases.c: what every scheduler must keep, whatever its order: answers that can be, within the rules of sched.h;
 * nothing lost, nothing run twice, nothing held for ever, the same run twice; whatever is unknown, unlike, cancelled or
 * killed.  What one policy promises beyond that is for its own tests. */
#include "plugin/conformance/cases.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/conformance/sched_worlds.h"

/* ---- the cases */

static bool case_table(mr_sched_ctx *c)
{
    const mr_sched_ops *o = &c->loaded->ops.sched;
    if (o->notices && !o->notice)
        return mr_sched_no(c, "asks for notices %#x but has no notice op", (unsigned)o->notices);
    if (o->notices & ~127U)
        return mr_sched_no(c, "asks for notices that do not exist: %#x", (unsigned)o->notices);
    if (o->requires & ~(unsigned)(MR_REQ_PREEMPT | MR_REQ_ESTIMATE))
        return mr_sched_no(c, "requires what does not exist: %#x", (unsigned)o->requires);
    if (o->close && !o->open)
        return mr_sched_no(c, "has close without open");
    return true;
}

static bool case_wants(mr_sched_ctx *c)
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    bool ok = b != NULL;
    if (ok && mr_bench_open(b))
        ok = mr_sched_no(c, "open failed: %s", b->open_error);
    if (ok && b->wants.ops & ~(unsigned)MR_OP_ALL)
        ok = mr_sched_no(c, "wants() adds ops: %#x", (unsigned)b->wants.ops);
    if (ok && b->wants.notices & ~127U)
        ok = mr_sched_no(c, "wants() asks for notices that do not exist: %#x", (unsigned)b->wants.notices);
    mr_bench_free(b);
    return ok;
}

static bool case_open_close(mr_sched_ctx *c)
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    bool ok = b != NULL;
    for (int i = 0; i < 3 && ok; i++) {
        if (mr_bench_open(b))
            ok = mr_sched_no(c, "open %d failed: %s", i + 1, b->open_error);
        else
            mr_bench_close(b);
        if (ok && b->live_allocs)
            ok = mr_sched_no(c, "%zu blocks of alloc() are not freed after close", b->live_allocs);
    }
    mr_bench_free(b);
    return ok;
}

/* Two instances at once: neither sees the other. */
static bool case_two_instances(mr_sched_ctx *c)
{
    mr_bench *alone = mr_sched_world(c, 5, W_GRAPH, 30), *with = mr_sched_world(c, 5, W_GRAPH, 30),
             *other = mr_sched_world(c, 9, 0, 30);
    bool ok = alone && with && other;
    if (ok) {
        mr_bench_run(alone);
        if (mr_bench_open(other))
            ok = mr_sched_no(c, "a second instance can not be opened: %s", other->open_error);
        mr_bench_run(with);
        if (ok)
            ok = mr_sched_judge(c, with, "beside an open instance");
        mr_bench_close(other);
        if (ok) {
            mr_bench_run(other);
            ok = mr_sched_judge(c, other, "after it");
        }
        if (ok && alone->digest != with->digest)
            ok = mr_sched_no(c, "a run is different while another instance is open: state outside self");
    }
    mr_bench_free(alone);
    mr_bench_free(with);
    mr_bench_free(other);
    return ok;
}

/* The true durations are not for policies: with nothing known, two worlds that differ in them alone start alike. */
static bool case_no_leak(mr_sched_ctx *c)
{
    static const unsigned kinds[] = {0, W_GRAPH, W_UNLIKE | W_WIDE, W_SLOW | W_GRAPH};
    for (int k = 0; k < 4; k++) {
        mr_bench *a = mr_sched_world(c, 3, W_UNKNOWN | W_BATCH | kinds[k], 30),
                 *b = mr_sched_world(c, 3, W_UNKNOWN | W_BATCH | kinds[k], 30);
        bool ok = a && b;
        int64_t end = INT64_MAX;
        if (ok) {
            for (int i = 0; i < b->n_tasks; i++)
                b->task[i].duration += (1 + i % 7) * BENCH_MS;
            mr_bench_run(a);
            mr_bench_run(b);
            for (int i = 0; i < a->n_tasks; i++) {
                end = a->task[i].finished < end ? a->task[i].finished : end;
                end = b->task[i].finished < end ? b->task[i].finished : end;
            }
        }
        for (int i = 0; ok && i < a->n_tasks; i++) {
            const mr_bench_task *p = &a->task[i], *q = &b->task[i];
            if ((p->first_start < end || q->first_start < end) &&
                (p->first_start != q->first_start || (p->slot != q->slot && p->starts == 1 && q->starts == 1)))
                ok = mr_sched_no(c, "what starts before anything ended depends on durations that no view shows");
        }
        mr_bench_free(a);
        mr_bench_free(b);
        if (!ok)
            return false;
    }
    return true;
}

/* No memory at the n-th call of alloc(): an error that says so, or nothing amiss; nothing is kept. */
static bool case_no_memory(mr_sched_ctx *c)
{
    for (int n = 1; n <= 12; n++) {
        mr_bench *b = mr_sched_world(c, 1, W_GRAPH, 20);
        if (!b)
            return false;
        b->fail_alloc = n;
        mr_status status = mr_bench_open(b);
        bool ok = true;
        if (status && status != MR_E_NOMEM)
            ok = mr_sched_no(c, "no memory at call %d of alloc(): open answers %s", n, mr_status_name(status));
        if (!status) {
            mr_bench_close(b);
            b->n_allocs = 0;
            mr_bench_run(b);
        }
        if (ok && b->live_allocs)
            ok = mr_sched_no(c, "no memory at call %d of alloc(): %zu blocks are never freed", n, b->live_allocs);
        mr_bench_free(b);
        if (!ok)
            return false;
    }
    return true;
}

/* What is over is forgotten: four times the tasks, one after the other, take no more memory of alloc(). */
static bool case_forgets(mr_sched_ctx *c)
{
    size_t bytes[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
        if (!b)
            return false;
        mr_bench_add_node(b, 1, 0, 0);
        for (int i = 0; i < (k ? 400 : 100); i++)
            mr_bench_add_task(b, &(mr_bench_spec){.arrival = i * BENCH_MS, .duration = BENCH_MS / 2});
        mr_bench_add_event(b, BENCH_CANCEL, b->n_tasks - 1, (b->n_tasks - 1) * BENCH_MS + BENCH_MS / 4);
        mr_bench_run(b);
        bytes[k] = b->most_bytes;
        bool ok = mr_sched_judge(c, b, "tasks one after the other");
        mr_bench_free(b);
        if (!ok)
            return false;
    }
    if (bytes[1] > 2 * bytes[0] + 4096)
        return mr_sched_no(c, "it holds %zu bytes after 100 tasks and %zu after 400: what is over is not forgotten",
                           bytes[0], bytes[1]);
    return true;
}

/* An instance that asks for slices or preemption says that it needs an engine that can stop tasks. */
static bool case_says_what_it_needs(mr_sched_ctx *c)
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    bool ok = b != NULL;
    if (ok && mr_bench_open(b))
        ok = mr_sched_no(c, "open failed: %s", b->open_error);
    if (ok && b->wants.ops & (MR_OP_SLICE | MR_OP_PREEMPT) && !(b->wants.requires & MR_REQ_PREEMPT))
        ok = mr_sched_no(c, "it has slice or preempt, but does not require MR_REQ_PREEMPT");
    mr_bench_free(b);
    return ok;
}

/* A graph of one shape: a chain, one before all, all before one; every task of 1 ms on four slots. */
static bool shaped(mr_sched_ctx *c, const char *what, int n, int (*pred)(int i, int n))
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    if (!b)
        return false;
    mr_bench_add_node(b, 4, 0, 0);
    for (int i = 0; i < n; i++)
        mr_bench_add_task(b, &(mr_bench_spec){.duration = BENCH_MS});
    for (int i = 0; i < n; i++) {
        if (pred(i, n) >= 0)
            mr_bench_add_edge(b, pred(i, n), i);
        else if (pred(i, n) == -2)
            for (int k = 0; k < i; k++)
                mr_bench_add_edge(b, k, i);
    }
    mr_bench_run(b);
    bool ok = mr_sched_judge(c, b, what);
    mr_bench_free(b);
    return ok;
}

static int in_chain(int i, int n)
{
    (void)n;
    return i - 1;
}

static int after_first(int i, int n)
{
    (void)n;
    return i ? 0 : -1;
}

static int last_after_all(int i, int n)
{
    return i == n - 1 ? -2 : -1;
}

static bool case_chain(mr_sched_ctx *c)
{
    return shaped(c, "a chain of 200", 200, in_chain);
}

static bool case_fan_out(mr_sched_ctx *c)
{
    return shaped(c, "200 after one", 201, after_first);
}

static bool case_fan_in(mr_sched_ctx *c)
{
    return shaped(c, "one after 200", 201, last_after_all);
}

/* Opened again at every instant of a second. */
static bool case_reopened_often(mr_sched_ctx *c)
{
    mr_bench *b = mr_sched_world(c, 2, W_GRAPH, 40);
    if (!b)
        return false;
    for (int i = 0; i < 60; i++)
        mr_bench_add_event(b, BENCH_REOPEN, 0, i * BENCH_MS);
    mr_bench_run(b);
    bool ok = mr_sched_judge(c, b, "opened again each ms");
    mr_bench_free(b);
    return ok;
}

static bool case_errors_spread(mr_sched_ctx *c)
{
    mr_bench *b = mr_bench_new(c->loaded, c->option, 1);
    if (!b)
        return mr_sched_no(c, "out of memory");
    mr_bench_add_node(b, 1, 0, 0);
    for (int i = 0; i < 4; i++) {
        mr_bench_add_task(b, &(mr_bench_spec){.duration = 10 * BENCH_MS});
        if (i)
            mr_bench_add_edge(b, i - 1, i);
    }
    mr_bench_add_event(b, BENCH_CRASH, 0, 15 * BENCH_MS);
    mr_bench_run(b);
    bool ok = mr_sched_judge(c, b, "a chain of four, the second dies");
    if (ok && (b->task[0].outcome || b->task[1].outcome != MR_E_CRASHED || b->task[2].outcome != MR_E_TASK ||
               b->task[3].outcome != MR_E_TASK))
        ok = mr_sched_no(c, "a chain of four, the second dies: wrong outcomes");
    mr_bench_free(b);
    return ok;
}

static const struct {
    const char *name;
    bool (*run)(mr_sched_ctx *c); /* NULL: worlds, */
    unsigned kind;                /* of this kind, */
    int seeds, tasks;
} cases[] = {
    {"table", case_table, 0, 0, 0},
    {"wants", case_wants, 0, 0, 0},
    {"says what it needs", case_says_what_it_needs, 0, 0, 0},
    {"open and close", case_open_close, 0, 0, 0},
    {"no memory", case_no_memory, 0, 0, 0},
    {"forgets what is over", case_forgets, 0, 0, 0},
    {"two instances", case_two_instances, 0, 0, 0},
    {"no leak of durations", case_no_leak, 0, 0, 0},
    {"errors spread", case_errors_spread, 0, 0, 0},
    {"a chain", case_chain, 0, 0, 0},
    {"many after one", case_fan_out, 0, 0, 0},
    {"one after many", case_fan_in, 0, 0, 0},
    {"opened again at every instant", case_reopened_often, 0, 0, 0},
    {"nothing to do", NULL, 0, 1, 0},
    {"one task", NULL, W_BATCH, 1, 1},
    {"independent tasks", NULL, 0, 4, 40},
    {"all at once", NULL, W_BATCH, 3, 40},
    {"all alike", NULL, W_ALIKE, 3, 40},
    {"all alike, all at once", NULL, W_ALIKE | W_BATCH, 3, 40},
    {"one slot", NULL, W_ONE, 3, 30},
    {"one slot, nothing known", NULL, W_ONE | W_UNKNOWN | W_GRAPH, 3, 30},
    {"eight nodes of one slot", NULL, W_MANY | W_GRAPH, 3, 40},
    {"more slots than tasks", NULL, W_MANY | W_BATCH, 3, 4},
    {"graphs", NULL, W_GRAPH, 4, 40},
    {"graphs as one batch", NULL, W_GRAPH | W_BATCH, 4, 30},
    {"graphs, nothing known", NULL, W_GRAPH | W_UNKNOWN, 4, 40},
    {"graphs, unlike nodes", NULL, W_GRAPH | W_UNLIKE, 4, 40},
    {"graphs, unlike nodes, nothing known", NULL, W_GRAPH | W_UNLIKE | W_UNKNOWN, 3, 40},
    {"graphs with heavy edges", NULL, W_GRAPH | W_HEAVY, 3, 40},
    {"bare tasks", NULL, W_BARE, 3, 30},
    {"bare tasks, nothing known", NULL, W_BARE | W_UNKNOWN, 3, 30},
    {"labels", NULL, W_LABELS, 3, 30},
    {"values at the ends of their types", NULL, W_EXTREME, 4, 30},
    {"values at the ends, nothing known", NULL, W_EXTREME | W_UNKNOWN | W_WIDE, 3, 30},
    {"tasks of no time", NULL, W_ZERO | W_GRAPH, 3, 40},
    {"a clock that began eleven days ago", NULL, W_LATE | W_GRAPH, 3, 40},
    {"wide tasks", NULL, W_WIDE, 4, 40},
    {"wide tasks, unlike nodes", NULL, W_WIDE | W_UNLIKE, 3, 40},
    {"tasks of half a CPU", NULL, W_HALVES | W_WIDE, 3, 40},
    {"tasks that need nothing", NULL, W_FREE | W_WIDE, 3, 40},
    {"starts that take a while", NULL, W_SLOW, 3, 40},
    {"starts that take a while, wide tasks", NULL, W_SLOW | W_WIDE | W_UNLIKE, 3, 40},
    {"starts that take a while, graphs, deaths", NULL, W_SLOW | W_GRAPH | W_FAULTS, 3, 40},
    {"one of a function at a time", NULL, W_CAPPED, 3, 40},
    {"one of a function at a time, wide tasks, deaths", NULL, W_CAPPED | W_WIDE | W_FAULTS, 3, 40},
    {"deaths and cancels", NULL, W_FAULTS, 4, 40},
    {"deaths and cancels in graphs", NULL, W_GRAPH | W_FAULTS, 4, 40},
    {"deaths and cancels, all at once", NULL, W_GRAPH | W_FAULTS | W_BATCH, 3, 40},
    {"cancels in the instant of a submission", NULL, W_GRAPH | W_EARLY, 3, 40},
    {"cancels before a start", NULL, W_EARLY | W_SLOW, 3, 40},
    {"a death for every task", NULL, W_STORM | W_GRAPH, 3, 40},
    {"deaths, cancels, unlike nodes, nothing known", NULL, W_GRAPH | W_FAULTS | W_UNKNOWN | W_UNLIKE | W_WIDE | W_BARE,
     10, 40},
    {"opened again in the middle", NULL, W_GRAPH | W_REOPEN, 4, 40},
    {"opened again, deaths and cancels", NULL, W_GRAPH | W_REOPEN | W_FAULTS, 3, 40},
    {"opened again, slow starts, wide tasks", NULL, W_GRAPH | W_REOPEN | W_SLOW | W_WIDE, 3, 40},
    {"opened again, nothing known, unlike nodes", NULL, W_GRAPH | W_REOPEN | W_UNKNOWN | W_UNLIKE, 3, 40},
    {"ejected in the middle", NULL, W_GRAPH | W_EJECT, 3, 40},
    {"ejected among deaths, wide tasks, slow starts", NULL, W_GRAPH | W_EJECT | W_FAULTS | W_WIDE | W_SLOW, 3, 40},
    {"everything at once", NULL,
     W_GRAPH | W_FAULTS | W_UNLIKE | W_WIDE | W_SLOW | W_LABELS | W_ZERO | W_HEAVY | W_REOPEN | W_LATE, 4, 40},
    {"labels, unlike nodes, nothing known", NULL, W_LABELS | W_UNLIKE | W_UNKNOWN | W_GRAPH, 3, 30},
    {"a death for every task, slow starts, wide tasks, nothing known", NULL,
     W_STORM | W_SLOW | W_WIDE | W_UNKNOWN | W_GRAPH, 3, 40},
    {"small tasks on eight nodes, deaths and cancels", NULL, W_MANY | W_HALVES | W_FREE | W_FAULTS, 3, 40},
    {"one of a function at a time, slow starts, opened again", NULL, W_CAPPED | W_SLOW | W_REOPEN | W_GRAPH, 3, 40},
    {"cancels in every instant of bare tasks of no time", NULL, W_EARLY | W_ZERO | W_BARE | W_GRAPH, 3, 40},
    {"ejected before anything started", NULL, W_EJECT | W_SLOW | W_BATCH | W_UNKNOWN, 3, 40},
    {"actors and groups", NULL, W_LIVING | W_GRAPH, 2, 40},
    {"actors, groups, wide tasks, unlike nodes, deaths", NULL, W_LIVING | W_GRAPH | W_WIDE | W_UNLIKE | W_FAULTS, 3,
     40},
    {"slots that come while it runs", NULL, W_SEATS | W_HALVES | W_FREE, 2, 40},
    {"slots that come, slow starts, opened again", NULL, W_SEATS | W_HALVES | W_SLOW | W_REOPEN, 2, 40},
    {"streams", NULL, W_STREAMS | W_GRAPH, 2, 40},
    {"streams, deaths, unlike nodes, nothing known", NULL,
     W_STREAMS | W_GRAPH | W_FAULTS | W_UNLIKE | W_UNKNOWN | W_HEAVY, 2, 40},
    {"tasks that wait for others", NULL, W_BLOCKS | W_GRAPH, 2, 40},
    {"tasks that wait, wide tasks, caps, deaths", NULL, W_BLOCKS | W_WIDE | W_CAPPED | W_FAULTS, 2, 40},
    {"all that there is", NULL,
     W_LIVING | W_SEATS | W_STREAMS | W_BLOCKS | W_GRAPH | W_FAULTS | W_HALVES | W_UNLIKE | W_REOPEN | W_SLOW, 2, 40},
    {"300 tasks", NULL, W_BATCH | W_WIDE, 1, 300},
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
    const char *more = getenv("MRTEST_WORLDS"); /* so many times the worlds of a quick run */
    int failed = 0, times = more && atoi(more) > 0 ? atoi(more) : 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mr_sched_ctx c = {l, option, ""};
        if (!option && cases[i].run != case_table && needs_policy(l->plugin)) {
            fprintf(out, "skipped %s: %s hosts policies: name a policy file\n", cases[i].name, l->plugin->name);
        } else if (cases[i].run
                       ? cases[i].run(&c)
                       : mr_sched_run_worlds(&c, cases[i].kind, (uint64_t)(cases[i].seeds * times), cases[i].tasks)) {
            fprintf(out, "ok %s\n", cases[i].name);
        } else {
            failed++;
            fprintf(out, "FAILED %s: %s\n", cases[i].name, c.why[0] ? c.why : "out of memory");
        }
        fflush(out);
    }
    return failed;
}
