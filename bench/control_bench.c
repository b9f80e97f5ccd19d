/* control_bench.c: what control costs: ns a task (submit, dispatch, finish, drop) and bytes a queued task.
 *
 * No processes and no clock inside: events are handed in, actions are thrown away.  CPU time, so that a busy machine
 * disturbs little.  Usage: control_bench [tasks [case]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/control.h"

enum { PARTS = 20 };

static mr_control *c;
static mr_actions out, spare;
static int64_t now;

static double clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void failed(mr_status status)
{
    fprintf(stderr, "control_bench: step failed: %d %s\n", status, mr_control_why(c));
    exit(1);
}

static inline void step(void *record)
{
    mr_status status = mr_control_step(c, record, now, &out);
    if (status)
        failed(status);
}

/* A client builds its records in place; here each is built once and told again with another id. */
static struct {
    mr_ev_none time;
    mr_ev_submit submit;
    mr_ev_finished finished;
    struct {
        mr_ev_refs e;
        mr_id id;
    } drop;
} records = {
    .time.h = {.size = sizeof records.time, .kind = MR_EV_TIME, .version = MR_RECORD_VERSION},
    .submit = {.h = {.size = sizeof records.submit, .kind = MR_EV_SUBMIT, .version = MR_RECORD_VERSION},
               .n_returns = 1,
               .estimate = MR_UNKNOWN},
    .finished = {.h = {.size = sizeof records.finished, .kind = MR_EV_FINISHED, .version = MR_RECORD_VERSION},
                 .flags = MR_FINISHED_RESULT,
                 .size = 8,
                 .ran = 500},
    .drop.e.h = {.size = sizeof records.drop, .kind = MR_EV_REFS, .version = MR_RECORD_VERSION, .n_ids = 1},
};

static void pass(void)
{
    step(&records.time);
}

static void submit(mr_id id, uint32_t func)
{
    records.submit.id = id;
    records.submit.func = func;
    step(&records.submit);
}

static void finish(mr_id id, uint32_t worker, uint32_t attempt)
{
    records.finished.h.from = worker;
    records.finished.task = records.finished.id = id;
    records.finished.attempt = attempt;
    step(&records.finished);
}

static void drop(mr_id id)
{
    records.drop.id = id;
    step(&records.drop);
}

static uint32_t start(uint32_t cpus, int64_t prefetch)
{
    mr_control_conf conf;
    mr_control_conf_init(&conf);
    conf.prefetch = prefetch;
    if (mr_control_new(&conf, &c))
        exit(1);
    struct {
        mr_ev_node e;
        mr_named cpu;
    } n = {.e = {.h = {.size = sizeof n,
                       .kind = MR_EV_NODE_ADDED,
                       .version = MR_RECORD_VERSION,
                       .n_bytes = sizeof(mr_named)},
                 .n_amounts = 1,
                 .speed = 1,
                 .name = "node-0"},
           .cpu = {.name = "CPU", .amount = (int64_t)cpus * MR_RES_UNIT}};
    step(&n);
    struct {
        mr_define d;
        mr_named cpu;
    } f = {
        .d = {.h = {.size = sizeof f, .kind = MR_EV_DEFINE, .version = MR_RECORD_VERSION, .n_bytes = sizeof(mr_named)},
              .n_needs = 1,
              .estimate = MR_UNKNOWN,
              .limit = MR_UNKNOWN,
              .deadline = MR_UNKNOWN,
              .name = "noop"},
        .cpu = {.name = "CPU", .amount = MR_RES_UNIT}};
    step(&f);
    out.n = 0;
    return 1;
}

/* Runs what was dispatched until nothing is; drops each result. */
static uint64_t serve(void)
{
    uint64_t done = 0;
    while (out.n) {
        mr_actions todo = out; /* the others lie where the last but one were */
        out = spare;
        out.n = 0;
        for (size_t i = 0; i < todo.n; i++) {
            const mr_action *a = &todo.v[i];
            if (a->kind == MR_ACT_SPAWN) {
                mr_ev_worker e = {.h = {.size = sizeof e, .kind = MR_EV_WORKER_UP, .version = MR_RECORD_VERSION}};
                e.worker = a->worker;
                step(&e);
            } else if (a->kind == MR_ACT_DISPATCH) {
                now += 500;
                finish(a->id, a->worker, a->attempt);
                drop(a->id);
                done++;
            }
        }
        spare = todo;
        pass();
    }
    return done;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Timed in PARTS, where a part has whole batches: others of the machine make some of them slower, none faster. */
static void run(const char *what, uint64_t tasks, uint64_t batch, int64_t prefetch)
{
    double part[PARTS] = {0}, begun;
    uint64_t parts = batch * PARTS <= tasks ? PARTS : 1, n_parts = 0;
    uint32_t f = start(2, prefetch);
    mr_id id = 1;
    uint64_t done = 0;
    mr_control_stats before, full;
    mr_control_stats_get(c, &before);
    full = before;
    begun = clock_ns();
    for (uint64_t i = 0; i < tasks; i += batch) {
        for (uint64_t k = 0; k < batch; k++)
            submit(id++, f);
        if (i == 0)
            mr_control_stats_get(c, &full);
        pass();
        done += serve();
        if (done >= tasks / parts * (n_parts + 1) && n_parts < parts) {
            double at = clock_ns();
            part[n_parts++] = (at - begun) / (double)(tasks / parts);
            begun = at;
        }
    }
    qsort(part, n_parts, sizeof *part, by_size);
    printf("%-32s %7.1f ns a task", what, part[n_parts / 2]);
    if (n_parts > 1)
        printf(" (the fastest of %d parts: %.1f)", (int)n_parts, part[0]);
    if (batch > 10000)
        printf("   %6.1f bytes a queued task", (double)(full.memory - before.memory) / (double)batch);
    printf("%s\n", done == tasks ? "" : "   (NOT ALL DONE)");
    mr_control_free(c);
}

int main(int argc, char **argv)
{
    uint64_t tasks = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    const struct {
        const char *what;
        uint64_t batch;
        int64_t prefetch;
    } cases[] = {{"batches of 1000", 1000, 0},
                 {"batches of 1000, prefetch", 1000, 200000},
                 {"one by one", 1, 0},
                 {"all at once", tasks, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc < 3 || strtoul(argv[2], NULL, 10) == i)
            run(cases[i].what, tasks, cases[i].batch, cases[i].prefetch);
    mr_actions_free(&out);
    mr_actions_free(&spare);
    return 0;
}
