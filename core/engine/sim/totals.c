/* totals.c: the figures of a run, task by task, so that a task may be forgotten when it has been counted; and the
 * digest, a sum over tasks, which is the same in whatever order they are counted.  Computes; decides nothing.
 *
 * Quantiles are exact for a workload that is there as a whole.  Those of a stream come from a histogram with 1,024
 * steps for each power of two, so they are at most 0.1% too low. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/log.h"
#include "engine/sim/bounds.h"

enum { STEPS = 1024, STEP_BITS = 10, POWERS = 64 - STEP_BITS };

struct mr_report_totals {
    const mr_workload *w;
    const mr_platform *p;
    const mr_sim *s;
    mr_sim_report r; /* sums, so far */
    double used;     /* CPU-seconds */
    double *flow;    /* of a whole workload */
    uint64_t *steps; /* of a stream */
    uint64_t n;
    uint64_t digest;
    XXH64_state_t *hash;
    mr_bound_sums bounds; /* of a stream */
    bool bounded;
    mr_sim_stretch *own; /* of the task being counted */
    uint32_t cap_own;
    FILE *trace;
    const char *path;
};

/* Little-endian, field by field, so that padding and byte order of the machine do not count. */
static void hash_int(XXH64_state_t *h, uint64_t x)
{
    unsigned char b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (unsigned char)(x >> (8 * i));
    XXH64_update(h, b, sizeof b);
}

static void hash_text(XXH64_state_t *h, const char *text)
{
    size_t n = strlen(text);
    hash_int(h, n);
    XXH64_update(h, text, n);
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

mr_status mr_report_totals_new(mr_report_totals **out, const mr_workload *w, const mr_platform *p, const mr_sim *s,
                               const char *trace, mr_err *err)
{
    mr_report_totals *t = calloc(1, sizeof *t);
    if (!t)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    t->w = w;
    t->p = p;
    t->s = s;
    t->r.begin = INT64_MAX;
    t->path = trace;
    t->hash = XXH64_createState();
    if (w->stream) {
        t->steps = calloc((size_t)POWERS * STEPS, sizeof *t->steps);
        t->bounded = mr_bound_sums_init(&t->bounds, p) == MR_OK;
    } else {
        t->flow = malloc((w->n_tasks + 1) * sizeof *t->flow);
    }
    if (!t->hash || !(t->flow || t->steps)) {
        mr_report_totals_free(t);
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    }
    if (trace && !(t->trace = fopen(trace, "w"))) {
        mr_report_totals_free(t);
        return mr_err_set(err, MR_E_IO, "%s: %s", trace, strerror(errno));
    }
    *out = t;
    return MR_OK;
}

void mr_report_totals_free(mr_report_totals *t)
{
    if (!t)
        return;
    if (t->bounded)
        mr_bound_sums_fini(&t->bounds);
    if (t->trace)
        fclose(t->trace);
    XXH64_freeState(t->hash);
    free(t->flow);
    free(t->own);
    free(t->steps);
    free(t);
}

static void add_digest(mr_report_totals *t, uint32_t task)
{
    const mr_sim_task *r = &mr_sim_tasks(t->s)[task];
    XXH64_reset(t->hash, 1);
    hash_text(t->hash, mr_workload_name(t->w, task));
    hash_int(t->hash, (uint64_t)r->submitted);
    hash_int(t->hash, (uint64_t)r->ready);
    hash_int(t->hash, (uint64_t)r->started);
    hash_int(t->hash, (uint64_t)r->ended);
    hash_int(t->hash, (uint64_t)r->ran);
    hash_int(t->hash, r->node);
    hash_int(t->hash, r->slot);
    hash_int(t->hash, r->attempt);
    hash_int(t->hash, (uint64_t)(int64_t)r->outcome);
    t->digest += XXH64_digest(t->hash);
}

static void add_stretch(mr_report_totals *t, const mr_sim_stretch *v)
{
    XXH64_reset(t->hash, 2);
    hash_text(t->hash, mr_workload_name(t->w, v->task));
    hash_int(t->hash, v->slot);
    hash_int(t->hash, (uint64_t)v->from);
    hash_int(t->hash, (uint64_t)v->to);
    t->digest += XXH64_digest(t->hash);
}

static void add_flow(mr_report_totals *t, int64_t ns)
{
    if (t->flow) {
        t->flow[t->n++] = seconds(ns);
        return;
    }
    uint64_t x = ns > 0 ? (uint64_t)ns : 0;
    int shift = x < STEPS ? 0 : 63 - __builtin_clzll(x) - STEP_BITS;
    size_t at = x < STEPS ? x : (size_t)(shift + 1) * STEPS + (x >> shift) - STEPS;
    t->steps[at]++;
    t->n++;
}

/* Of a stream: what is known of a task beside its times, and is gone with it. */
static mr_status add_streamed(mr_report_totals *t, uint32_t task, mr_err *err)
{
    size_t n = 0;
    uint32_t own = 0;
    const mr_sim_stretch *v = mr_sim_stretches(t->s, &n);
    if (t->bounded)
        (void)mr_bound_sums_add(&t->bounds, t->w, task, 0);
    for (size_t i = 0; i < n; i++) {
        if (v[i].task != task)
            continue;
        add_stretch(t, &v[i]);
        if (!mr_workload_grow(&t->own, own, &t->cap_own, sizeof *t->own))
            return mr_err_set(err, MR_E_NOMEM, "out of memory");
        t->own[own++] = v[i];
    }
    if (t->trace)
        (void)mr_report_trace_one(t->trace, t->w, t->p, t->s, task, t->own, own);
    return mr_bound_check_task(t->w, t->p, task, &mr_sim_tasks(t->s)[task], err);
}

mr_status mr_report_totals_add(void *totals, uint32_t task, mr_err *err)
{
    mr_report_totals *t = totals;
    const mr_sim_task *me = &mr_sim_tasks(t->s)[task];
    mr_sim_report *r = &t->r;
    int64_t arrival = t->w->tasks[task].arrival;
    mr_status status = t->w->stream ? add_streamed(t, task, err) : MR_OK;
    add_digest(t, task);
    r->tasks++;
    r->begin = arrival < r->begin ? arrival : r->begin;
    r->end = me->ended > r->end ? me->ended : r->end;
    r->failed += me->ended != MR_UNKNOWN && me->outcome != MR_OK;
    if (status || me->started == MR_UNKNOWN || me->ended == MR_UNKNOWN) /* the run was interrupted */
        return status;
    t->used += (double)mr_bound_need(t->w, task, "CPU") / MR_RES_UNIT * seconds(me->ran);
    double wait = seconds(me->started - me->ready);
    add_flow(t, me->ended - me->submitted);
    r->flow_mean += seconds(me->ended - me->submitted);
    r->wait_mean += wait;
    r->wait_max = wait > r->wait_max ? wait : r->wait_max;
    r->slowdown_mean += me->ran > 0 ? (double)(me->ended - me->ready) / (double)me->ran : 1;
    return MR_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Nearest rank: the smallest value with at least q of all at or below it. */
static double quantile(const mr_report_totals *t, double q)
{
    uint64_t rank = (uint64_t)(q * (double)t->n);
    if ((double)rank < q * (double)t->n)
        rank++;
    rank = rank == 0 ? 1 : rank;
    if (t->n == 0)
        return 0;
    if (t->flow)
        return t->flow[rank - 1];
    size_t at = 0;
    for (uint64_t seen = t->steps[0]; seen < rank; seen += t->steps[at])
        at++;
    size_t shift = at < STEPS ? 0 : at / STEPS - 1;
    return seconds((int64_t)((at < STEPS ? at : at % STEPS + STEPS) << shift));
}

static uint64_t digest_of(mr_report_totals *t, const mr_sim_conf *conf, const char *know)
{
    size_t n = 0, m = 0;
    const mr_sim_stretch *v = mr_sim_stretches(t->s, &n);
    const mr_sim_earlier *e = mr_sim_earlier_runs(t->s, &m);
    for (size_t i = 0; !t->w->stream && i < n; i++)
        add_stretch(t, &v[i]);
    XXH64_reset(t->hash, 1);
    hash_text(t->hash, know);
    hash_int(t->hash, conf->unfold);
    hash_int(t->hash, (uint64_t)conf->dispatch);
    hash_int(t->hash, (uint64_t)conf->change);
    hash_int(t->hash, (uint64_t)conf->decision);
    hash_int(t->hash, (uint64_t)conf->call);
    hash_int(t->hash, t->r.tasks);
    hash_int(t->hash, t->digest);
    for (size_t i = 0; i < m; i++) {
        hash_int(t->hash, e[i].task);
        hash_int(t->hash, e[i].run.node);
        hash_int(t->hash, (uint64_t)e[i].run.started);
        hash_int(t->hash, (uint64_t)e[i].run.ended);
    }
    return XXH64_digest(t->hash);
}

mr_status mr_report_finish(mr_report_totals *t, const mr_sim_conf *conf, const char *know, mr_sim_report *out,
                           mr_err *err)
{
    mr_sim_report r = t->r;
    double have = 0;
    r.policy = mr_sim_policy_name(t->s);
    r.know = know;
    r.ejected = mr_sim_policy_error(t->s);
    r.dump = mr_sim_policy_dump(t->s);
    r.refusal = mr_sim_policy_refusal(t->s);
    r.unfold = conf->unfold;
    r.seed = conf->seed;
    r.begin = r.tasks ? r.begin : 0;
    r.digest = digest_of(t, conf, know);
    if (t->flow)
        qsort(t->flow, t->n, sizeof *t->flow, by_value);
    r.flow_p50 = quantile(t, 0.5);
    r.flow_p99 = quantile(t, 0.99);
    if (t->n) {
        r.flow_mean /= (double)t->n;
        r.wait_mean /= (double)t->n;
        r.slowdown_mean /= (double)t->n;
    }
    for (uint32_t i = 0; i < t->p->n_nodes; i++)
        have += (double)mr_platform_amount(&t->p->nodes[i], "CPU") / MR_RES_UNIT;
    r.makespan = r.end - r.begin;
    r.utilisation = have > 0 && r.makespan > 0 ? t->used / (have * seconds(r.makespan)) : 0;
    mr_sim_stats_get(t->s, &r.stats);
    mr_status status = MR_OK;
    if (!t->w->stream) {
        mr_report_bounds_get(t->w, t->p, &r.bounds);
        status = mr_report_guarantee_get(t->w, t->p, t->s, conf, &r.guarantee, err);
    } else {
        if (t->bounded)
            mr_bound_sums_get(&t->bounds, &r.bounds);
        r.guarantee.why_not = "the workload is a stream";
        if (r.failed == 0 && mr_sim_done(t->s))
            status = mr_bound_check(&r.bounds, r.end, err);
    }
    int64_t best = r.bounds.critical_path > r.bounds.area ? r.bounds.critical_path : r.bounds.area;
    best = r.bounds.classes > best ? r.bounds.classes : best;
    r.gap = best > r.begin ? (double)r.makespan / (double)(best - r.begin) - 1 : 0;
    if (t->trace && !status) {
        status = mr_report_trace_close(t->trace, t->path, err);
        t->trace = NULL;
    }
    *out = r;
    return status;
}
