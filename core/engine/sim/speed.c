/* speed.c: measures decisions.  64 slots; in each instant all that ran ends and as many are submitted, so that the
 * queue keeps its length; what is timed is the close of the instant, in which control asks, chooses and dispatches.
 *
 * The calls of single ops are timed in a run of their own, through a policy that stands in front. */
#include "engine/sim/speed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/rand.h"
#include "control/control.h"

enum { SLOTS = 64, FUNCS = 8, INSTANTS = 400, ROUNDS = 5, SAMPLES = 1 << 15, STALLS = 20000 };

typedef struct watched { /* stands in front of a policy and times its ops */
    mr_sched_ops ops;
    void *self;
    double cost; /* of looking at the clock twice */
    float *samples[MR_SPEED_OPS];
    uint32_t n[MR_SPEED_OPS];
} watched;

static watched front;
static mr_control *measured;

const char *mr_speed_op_name(mr_speed_op op)
{
    static const char *const names[] = {
#define SPEED_NAME(name) #name,
        MR_SPEED_OP_MAP(SPEED_NAME)
#undef SPEED_NAME
    };
    return names[op];
}

void mr_speed_failed(void *unused, const char *why)
{
    (void)unused;
    if (measured)
        mr_control_policy_fail(measured, why);
}

static double clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static double median(float *v, uint32_t n)
{
    qsort(v, n, sizeof *v, by_size);
    return n ? (double)v[n / 2] : -1;
}

/* -------------------------------------------------------------------------------------------------- in the front -- */

static void sample(mr_speed_op op, double from)
{
    double took = clock_ns() - from - front.cost;
    if (front.samples[op])
        front.samples[op][front.n[op]++ % SAMPLES] = (float)(took > 0 ? took : 0);
}

static mr_status front_open(void **self, const mr_sched_host *h, mr_err *err)
{
    *self = &front;
    front.self = NULL;
    return front.ops.open ? front.ops.open(&front.self, h, err) : MR_OK;
}

static void front_close(void *self)
{
    (void)self;
    if (front.ops.close)
        front.ops.close(front.self);
}

static double front_rank(void *self, const mr_task *t)
{
    (void)self;
    double from = clock_ns(), rank = front.ops.rank(front.self, t);
    sample(MR_SPEED_rank, from);
    return rank;
}

static mr_ref front_place(void *self, const mr_task *t)
{
    (void)self;
    double from = clock_ns();
    mr_ref at = front.ops.place(front.self, t);
    sample(MR_SPEED_place, from);
    return at;
}

static mr_ref front_plan(void *self, const mr_task *t)
{
    (void)self;
    double from = clock_ns();
    mr_ref at = front.ops.plan(front.self, t);
    sample(MR_SPEED_plan, from);
    return at;
}

static mr_ref front_pick(void *self, const mr_worker *w)
{
    (void)self;
    double from = clock_ns();
    mr_ref t = front.ops.pick(front.self, w);
    sample(MR_SPEED_pick, from);
    return t;
}

static void front_notice(void *self, const mr_notice *n)
{
    (void)self;
    double from = clock_ns();
    front.ops.notice(front.self, n);
    sample(MR_SPEED_notice, from);
}

static void front_wants(void *self, mr_sched_wants *out)
{
    (void)self;
    if (front.ops.wants)
        front.ops.wants(front.self, out);
}

static mr_sched_ops in_front(const mr_sched_ops *o)
{
    front.ops = *o;
    mr_sched_ops f = *o;
    f.open = front_open;
    f.close = front_close;
    f.wants = front_wants;
    f.rank = o->rank ? front_rank : NULL;
    f.place = o->place ? front_place : NULL;
    f.plan = o->plan ? front_plan : NULL;
    f.pick = o->pick ? front_pick : NULL;
    f.notice = o->notice ? front_notice : NULL;
    f.slice = NULL;
    f.preempt = NULL;
    f.save = NULL;
    f.restore = NULL;
    f.line = NULL;
    return f;
}

/* ---------------------------------------------------------------------------------------------------- the world -- */

typedef struct world {
    mr_control *c;
    mr_actions out;
    int64_t now;
    mr_id next;
    mr_rand dice;
    struct {
        mr_id id;
        uint32_t worker, attempt;
    } runs[2 * SLOTS];
    uint32_t n_runs;
    mr_status status;
} world;

static void tell(world *w, void *record)
{
    mr_status status = mr_control_step(w->c, record, w->now, &w->out);
    if (status && !w->status)
        w->status = status;
}

static void close_instant(world *w)
{
    mr_ev_none e = {.h = {.size = sizeof e, .kind = MR_EV_TIME, .version = MR_RECORD_VERSION}};
    tell(w, &e);
}

/* What control asked for: processes are born at once, what is dispatched runs. */
static uint32_t take(world *w)
{
    uint32_t started = 0;
    for (size_t i = 0; i < w->out.n; i++) {
        mr_action a = w->out.v[i]; /* a copy: steps add to the array */
        if (a.kind == MR_ACT_SPAWN) {
            mr_ev_worker e = {.h = {.size = sizeof e, .kind = MR_EV_WORKER_UP, .version = MR_RECORD_VERSION},
                              .worker = a.worker,
                              .pid = 1};
            tell(w, &e);
        } else if (a.kind == MR_ACT_DISPATCH && w->n_runs < 2 * SLOTS) {
            w->runs[w->n_runs].id = a.id;
            w->runs[w->n_runs].worker = a.worker;
            w->runs[w->n_runs++].attempt = a.attempt;
            started++;
        }
    }
    w->out.n = 0;
    return started;
}

static void finish_all(world *w)
{
    for (uint32_t i = 0; i < w->n_runs; i++) {
        mr_ev_finished f = {.h = {.size = sizeof f, .kind = MR_EV_FINISHED, .version = MR_RECORD_VERSION},
                            .task = w->runs[i].id,
                            .id = w->runs[i].id,
                            .flags = MR_FINISHED_RESULT,
                            .size = 8,
                            .ran = 500000,
                            .attempt = w->runs[i].attempt};
        struct {
            mr_ev_refs e;
            mr_id id;
        } drop = {.e.h = {.size = sizeof drop, .kind = MR_EV_REFS, .version = MR_RECORD_VERSION, .n_ids = 1},
                  .id = w->runs[i].id};
        f.h.from = w->runs[i].worker;
        tell(w, &f);
        tell(w, &drop);
    }
    w->n_runs = 0;
}

static void submit(world *w, uint64_t n)
{
    mr_ev_submit s = {.h = {.size = sizeof s, .kind = MR_EV_SUBMIT, .version = MR_RECORD_VERSION}, .n_returns = 1};
    for (uint64_t i = 0; i < n; i++) {
        s.id = w->next++;
        s.func = 1 + (uint32_t)mr_rand_below(&w->dice, FUNCS);
        s.estimate = 1000 + (int64_t)mr_rand_below(&w->dice, 100000000);
        tell(w, &s);
    }
}

static mr_status make(world *w, mr_err *err)
{
    mr_control_conf conf;
    mr_control_conf_init(&conf);
    conf.prefetch = 0;
    conf.history = 0;
    conf.max_hold = INT64_MAX / 4;
    *w = (world){.next = 1};
    mr_rand_seed(&w->dice, 1, 1);
    if (mr_control_new(&conf, &w->c))
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    struct {
        mr_ev_node e;
        mr_named cpu;
    } n = {.e = {.h = {.size = sizeof n,
                       .kind = MR_EV_NODE_ADDED,
                       .version = MR_RECORD_VERSION,
                       .n_bytes = sizeof(mr_named)},
                 .n_amounts = 1,
                 .speed = 1,
                 .name = "node0"},
           .cpu = {.name = "CPU", .amount = SLOTS * MR_RES_UNIT}};
    tell(w, &n);
    for (int i = 0; i < FUNCS; i++) {
        struct {
            mr_define d;
            mr_named cpu;
        } f = {.d = {.h = {.size = sizeof f,
                           .kind = MR_EV_DEFINE,
                           .version = MR_RECORD_VERSION,
                           .n_bytes = sizeof(mr_named)},
                     .n_needs = 1,
                     .priority = i % 4,
                     .estimate = MR_UNKNOWN,
                     .limit = MR_UNKNOWN,
                     .deadline = MR_UNKNOWN},
               .cpu = {.name = "CPU", .amount = MR_RES_UNIT}};
        snprintf(f.d.name, sizeof f.d.name, "f%d", i);
        snprintf(f.d.user, sizeof f.d.user, "u%d", i % 3);
        tell(w, &f);
    }
    w->out.n = 0;
    return w->status ? mr_err_set(err, w->status, "%s", mr_control_why(w->c)) : MR_OK;
}

static mr_status fill(world *w, uint64_t queued, mr_speed *out)
{
    mr_control_stats before, after;
    mr_control_stats_get(w->c, &before);
    double from = clock_ns();
    submit(w, queued + SLOTS);
    close_instant(w);
    out->submit = (clock_ns() - from) / (double)(queued + SLOTS);
    mr_control_stats_get(w->c, &after); /* they are in their queues */
    out->bytes = (double)(after.memory - before.memory) / (double)(queued + SLOTS);
    take(w);
    close_instant(w);
    take(w);
    return w->status;
}

/* ns a decision, the median of some instants.  UNKNOWN: the policy starts nothing. */
static double decide(world *w)
{
    float each[INSTANTS];
    uint32_t n = 0, stalls = 0;
    while (n < INSTANTS && stalls < STALLS && !w->status) {
        uint32_t ended = w->n_runs;
        finish_all(w);
        submit(w, ended);
        w->now += 500000;
        double from = clock_ns();
        close_instant(w);
        double took = clock_ns() - from;
        uint32_t started = take(w);
        if (started)
            each[n++] = (float)(took / started);
        else
            stalls++;
    }
    return n < INSTANTS ? MR_UNKNOWN : median(each, n);
}

/* The least of some rounds: others on the machine make a round slower, none faster. */
static mr_status decide_all(world *w, const char *name, mr_speed *out, mr_err *err)
{
    for (int i = 0; i < ROUNDS; i++) {
        double took = decide(w);
        if (w->status)
            return mr_err_set(err, w->status, "%s", mr_control_why(w->c));
        if (took < 0)
            return mr_err_set(err, MR_E_DEADLOCK, "policy %s starts nothing", name);
        if (!i || took < out->decision)
            out->decision = took;
    }
    return MR_OK;
}

static mr_status run(const char *name, const mr_sched_ops *ops, const mr_host *base, mr_speed *out, mr_err *err)
{
    world w;
    mr_status status = make(&w, err);
    measured = w.c;
    if (!status)
        status = mr_control_policy(w.c, name, ops, base, err);
    mr_ev_none e = {.h = {.size = sizeof e, .kind = MR_EV_POLICY, .version = MR_RECORD_VERSION}};
    if (!status)
        tell(&w, &e);
    if (!status && (status = fill(&w, out->queued, out)))
        mr_err_set(err, status, "%s", mr_control_why(w.c));
    if (!status)
        status = decide_all(&w, name, out, err);
    const char *why = w.c ? mr_control_policy_error(w.c) : NULL;
    if (why)
        snprintf(out->ejected, sizeof out->ejected, "%s", why);
    mr_control_free(w.c);
    mr_actions_free(&w.out);
    measured = NULL;
    return status;
}

static double look_cost(void)
{
    static float v[1001];
    for (int i = 0; i < 1001; i++) {
        double from = clock_ns();
        v[i] = (float)(clock_ns() - from);
    }
    return median(v, 1001);
}

mr_status mr_speed_measure(const char *name, const mr_sched_ops *ops, const mr_host *base, uint64_t queued,
                           mr_speed *out, mr_err *err)
{
    *out = (mr_speed){.queued = queued};
    mr_status status = run(name, ops, base, out, err);
    if (status)
        return status;
    mr_speed again = {.queued = queued};
    memset(&front, 0, sizeof front);
    front.cost = look_cost();
    for (int i = 0; i < MR_SPEED_OPS && !status; i++)
        if (!(front.samples[i] = malloc(SAMPLES * sizeof(float))))
            status = mr_err_set(err, MR_E_NOMEM, "out of memory");
    mr_sched_ops watched_ops = in_front(ops);
    if (!status)
        status = run(name, &watched_ops, base, &again, err);
    for (int i = 0; i < MR_SPEED_OPS; i++) {
        out->ops[i] = front.samples[i] ? median(front.samples[i], front.n[i] < SAMPLES ? front.n[i] : SAMPLES) : -1;
        free(front.samples[i]);
    }
    return status;
}

static double increasing_rank(void *self, const mr_task *t)
{
    (void)self;
    return (double)t->seq;
}

static double random_rank(void *self, const mr_task *t)
{
    (void)self;
    return (double)(t->seq * 11400714819323198485u >> 11);
}

const mr_sched_ops mr_speed_increasing = {.rank = increasing_rank}, mr_speed_random = {.rank = random_rank};
