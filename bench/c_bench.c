/* c_bench.c: what bench/one.py measures from Python, from C with C workers.  Usage: c_bench WORKERS
 * Prints one line of JSON: {case: value}, in the units of bench/run.py.
 */
#include <time.h>

#include "example.h"

enum { BATCH = 1000, MOST_ACTORS = 64 };

typedef struct job {
    mr_session *s;
    uint32_t func;
    mr_id actor; /* 0: a task */
    const mr_args *args;
    int n;
} job;

static double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void submit(const job *j, mr_id *ids)
{
    for (int i = 0; i < j->n; i++)
        ids[i] = example_submit(j->s, j->func, j->actor, j->args);
}

static void take(const job *j, const mr_id *ids)
{
    static mr_value values[BATCH];
    mr_err err;
    must(mr_get(j->s, ids, (size_t)j->n, -1, 0, values, &err), &err, "mr_get");
    for (int i = 0; i < j->n; i++) {
        if (values[i].status || values[i].error) {
            fprintf(stderr, "c_bench: a task failed\n");
            exit(1);
        }
        mr_decref(j->s, ids[i]); /* of the value */
        mr_decref(j->s, ids[i]); /* of the submit */
    }
}

/* Calls per second of rounds of `j`, each of which stands for `calls`. */
static double rate(const job *j, int calls, double at_least_s)
{
    static mr_id ids[BATCH];
    double done = 0, spent = 0;
    for (double start = clock_s(); spent < at_least_s; done += calls) {
        submit(j, ids);
        take(j, ids);
        spent = clock_s() - start;
    }
    return done / spent;
}

static double submit_us(const job *j)
{
    static mr_id ids[BATCH];
    double least = 1e9;
    for (int i = 0; i < 20; i++) {
        double start = clock_s();
        submit(j, ids);
        double us = (clock_s() - start) / j->n * 1e6;
        least = us < least ? us : least;
        take(j, ids);
    }
    return least;
}

static uint32_t define(mr_session *s, mr_def_kind kind, const char *entry)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err;
    uint32_t func;
    def.kind = kind;
    def.name = def.entry = entry;
    def.max_retries = kind == MR_DEF_TASK ? 3 : 0;
    must(mr_define_func(s, &def, &func, &err), &err, entry);
    return func;
}

/* `workers` tasks, each of which calls all actors in turn. */
static double n_to_n(mr_session *s, uint32_t make, uint32_t add, int workers)
{
    uint64_t what[2 + MOST_ACTORS] = {add, BATCH};
    for (int i = 0; i < workers; i++)
        what[2 + i] = example_submit(s, make, MR_NO_ID, NULL);
    mr_args args = {.data = what, .len = sizeof(*what) * (size_t)(2 + workers)};
    args.refs = what + 2;
    args.n_refs = (uint32_t)workers;
    job all = {s, define(s, MR_DEF_TASK, "call_all"), MR_NO_ID, &args, workers};
    double result = rate(&all, workers * BATCH, 1);
    for (int i = 0; i < workers; i++)
        mr_decref(s, what[2 + i]);
    return result;
}

int main(int argc, char **argv)
{
    int workers = argc > 1 ? atoi(argv[1]) : 0;
    if (workers < 1 || workers > MOST_ACTORS || setenv("MINIRAY_NODE_CPUS", argv[1], 1)) {
        fprintf(stderr, "usage: c_bench WORKERS (1 to %d)\n", MOST_ACTORS);
        return 2;
    }
    double start = clock_s();
    mr_session *s = example_open("c_bench", 1, argv);
    job task = {s, define(s, MR_DEF_TASK, "nothing"), MR_NO_ID, NULL, 1}, tasks = task;
    tasks.n = BATCH;
    (void)rate(&task, 1, 0);
    printf("{\"init to first result\": %.6f", clock_s() - start);
    (void)rate(&tasks, BATCH, 0);
    printf(", \"tasks, asynchronous\": %.0f", rate(&tasks, BATCH, 1));
    printf(", \"tasks, synchronous\": %.0f", rate(&task, 1, 0.5));
    printf(", \"remote() alone\": %.4f", submit_us(&tasks));

    uint32_t make = define(s, MR_DEF_ACTOR, "Counter"), add = define(s, MR_DEF_METHOD, "Counter.add");
    mr_id counter = example_submit(s, make, MR_NO_ID, NULL);
    job call = {s, add, counter, NULL, 1}, calls = call;
    calls.n = BATCH;
    (void)rate(&call, 1, 0);
    printf(", \"actor calls, asynchronous\": %.0f", rate(&calls, BATCH, 1));
    printf(", \"actor calls, synchronous\": %.0f", rate(&call, 1, 0.5));
    printf(", \"actor calls, n:n\": %.0f", n_to_n(s, make, add, workers));
    mr_decref(s, counter);
    start = clock_s();
    mr_close(s);
    printf(", \"shutdown\": %.6f}\n", clock_s() - start);
    return 0;
}
