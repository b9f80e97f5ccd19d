/* report.c: figures, trace and digest of a finished simulation.  Computes and prints; decides nothing.  No state. */
#include "engine/sim/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/log.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Nearest rank: the smallest value with at least q of all at or below it. */
static double quantile(const double *sorted, size_t n, double q)
{
    size_t rank = (size_t)(q * (double)n);
    if ((double)rank < q * (double)n)
        rank++;
    return n == 0 ? 0 : sorted[rank == 0 ? 0 : rank - 1];
}

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

static mr_status digest_of(const mr_workload *w, const mr_sim *s, const mr_sim_conf *conf, const char *know,
                           uint64_t *out)
{
    XXH64_state_t *h = XXH64_createState();
    const mr_sim_task *tasks = mr_sim_tasks(s);
    if (!h)
        return MR_E_NOMEM;
    XXH64_reset(h, 1);
    hash_text(h, know);
    hash_int(h, conf->unfold);
    hash_int(h, (uint64_t)conf->dispatch);
    hash_int(h, (uint64_t)conf->change);
    hash_int(h, (uint64_t)conf->decision);
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        const mr_sim_task *r = &tasks[t];
        hash_text(h, mr_workload_name(w, t));
        hash_int(h, (uint64_t)r->submitted);
        hash_int(h, (uint64_t)r->ready);
        hash_int(h, (uint64_t)r->started);
        hash_int(h, (uint64_t)r->ended);
        hash_int(h, (uint64_t)r->ran);
        hash_int(h, r->node);
        hash_int(h, r->slot);
        hash_int(h, r->attempt);
        hash_int(h, (uint64_t)(int64_t)r->outcome);
    }
    size_t n = 0;
    const mr_sim_stretch *v = mr_sim_stretches(s, &n);
    for (size_t i = 0; i < n; i++) {
        hash_int(h, v[i].task);
        hash_int(h, v[i].slot);
        hash_int(h, (uint64_t)v[i].from);
        hash_int(h, (uint64_t)v[i].to);
    }
    const mr_sim_earlier *e = mr_sim_earlier_runs(s, &n);
    for (size_t i = 0; i < n; i++) {
        hash_int(h, e[i].task);
        hash_int(h, e[i].run.node);
        hash_int(h, (uint64_t)e[i].run.started);
        hash_int(h, (uint64_t)e[i].run.ended);
    }
    *out = XXH64_digest(h);
    XXH64_freeState(h);
    return MR_OK;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

mr_status mr_report_make(const mr_workload *w, const mr_platform *p, const mr_sim *s, const mr_sim_conf *conf,
                         const char *know, mr_sim_report *out, mr_err *err)
{
    const mr_sim_task *tasks = mr_sim_tasks(s);
    mr_sim_report r = {.policy = mr_sim_policy_name(s),
                       .know = know,
                       .ejected = mr_sim_policy_error(s),
                       .dump = mr_sim_policy_dump(s),
                       .unfold = conf->unfold,
                       .seed = conf->seed,
                       .tasks = w->n_tasks,
                       .begin = INT64_MAX};
    double *flow = malloc((w->n_tasks + 1) * sizeof *flow), used = 0, have = 0;
    size_t n = 0;
    if (!flow || digest_of(w, s, conf, know, &r.digest)) {
        free(flow);
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    }
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        const mr_sim_task *me = &tasks[t];
        r.begin = w->tasks[t].arrival < r.begin ? w->tasks[t].arrival : r.begin;
        r.end = me->ended > r.end ? me->ended : r.end;
        r.failed += me->outcome != MR_OK;
        if (me->started == MR_UNKNOWN)
            continue;
        mr_define def;
        memcpy(&def, mr_intern_text(w->defs, w->tasks[t].def), sizeof def);
        for (uint32_t i = 0; i < def.n_needs; i++) {
            mr_named need;
            memcpy(&need, mr_intern_text(w->defs, w->tasks[t].def) + sizeof def + i * sizeof need, sizeof need);
            if (strcmp(need.name, "CPU") == 0)
                used += (double)need.amount / MR_RES_UNIT * seconds(me->ran);
        }
        double wait = seconds(me->started - me->ready);
        flow[n] = seconds(me->ended - me->submitted);
        r.flow_mean += flow[n++];
        r.wait_mean += wait;
        r.wait_max = wait > r.wait_max ? wait : r.wait_max;
        r.slowdown_mean += me->ran > 0 ? (double)(me->ended - me->ready) / (double)me->ran : 1;
    }
    qsort(flow, n, sizeof *flow, by_value);
    r.flow_p50 = quantile(flow, n, 0.5);
    r.flow_p99 = quantile(flow, n, 0.99);
    if (n) {
        r.flow_mean /= (double)n;
        r.wait_mean /= (double)n;
        r.slowdown_mean /= (double)n;
    }
    free(flow);
    for (uint32_t i = 0; i < p->n_nodes; i++)
        have += (double)mr_platform_amount(&p->nodes[i], "CPU") / MR_RES_UNIT;
    r.makespan = r.end - r.begin;
    r.utilisation = have > 0 && r.makespan > 0 ? used / (have * seconds(r.makespan)) : 0;
    mr_report_bounds_get(w, p, &r.bounds);
    int64_t best = r.bounds.critical_path > r.bounds.area ? r.bounds.critical_path : r.bounds.area;
    best = r.bounds.classes > best ? r.bounds.classes : best;
    r.gap = best > r.begin ? (double)r.makespan / (double)(best - r.begin) - 1 : 0;
    mr_sim_stats_get(s, &r.stats);
    mr_status status = mr_report_guarantee_get(w, p, s, conf, &r.guarantee, err);
    *out = r;
    return status;
}

char *mr_report_json(const mr_workload *w, const mr_platform *p, const mr_sim_report *r, const mr_sim_conf *conf)
{
    char digest[24];
    cJSON *o = cJSON_CreateObject();
    if (!o)
        return NULL;
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)r->digest);
    cJSON_AddStringToObject(o, "workload", w->path);
    cJSON_AddStringToObject(o, "engine", "sim");
    cJSON_AddStringToObject(o, "policy", r->policy);
    cJSON_AddStringToObject(o, "know", r->know);
    cJSON_AddStringToObject(o, "reveal", r->unfold ? "unfold" : "whole");
    cJSON_AddNumberToObject(o, "seed", (double)r->seed);
    cJSON_AddNumberToObject(o, "nodes", p->n_nodes);
    cJSON_AddNumberToObject(o, "tasks", r->tasks);
    cJSON_AddNumberToObject(o, "failed", r->failed);
    cJSON_AddNumberToObject(o, "makespan_s", seconds(r->makespan));
    cJSON_AddNumberToObject(o, "flow_mean_s", r->flow_mean);
    cJSON_AddNumberToObject(o, "flow_p50_s", r->flow_p50);
    cJSON_AddNumberToObject(o, "flow_p99_s", r->flow_p99);
    cJSON_AddNumberToObject(o, "wait_mean_s", r->wait_mean);
    cJSON_AddNumberToObject(o, "wait_max_s", r->wait_max);
    cJSON_AddNumberToObject(o, "slowdown_mean", r->slowdown_mean);
    cJSON_AddNumberToObject(o, "utilisation", r->utilisation);
    cJSON_AddNumberToObject(o, "bytes_moved", (double)r->stats.moved_bytes);
    cJSON_AddNumberToObject(o, "transfers", (double)r->stats.transfers);
    cJSON_AddNumberToObject(o, "stops", (double)r->stats.stops);
    cJSON_AddNumberToObject(o, "spills", (double)r->stats.spills);
    cJSON_AddNumberToObject(o, "bytes_spilled", (double)r->stats.spilled_bytes);
    cJSON_AddNumberToObject(o, "store_peak", (double)r->stats.store_peak);
    cJSON_AddNumberToObject(o, "deaths", (double)r->stats.deaths);
    cJSON_AddNumberToObject(o, "node_deaths", (double)r->stats.node_deaths);
    cJSON_AddNumberToObject(o, "remade", (double)r->stats.remade);
    cJSON_AddNumberToObject(o, "lost_s", seconds(r->stats.lost));
    cJSON_AddNumberToObject(o, "held_slot_s", seconds(r->stats.held));
    cJSON_AddNumberToObject(o, "refused_answers", (double)r->stats.refused);
    cJSON_AddBoolToObject(o, "degraded", r->ejected != NULL);
    if (r->ejected)
        cJSON_AddStringToObject(o, "ejected", r->ejected);
    else
        cJSON_AddNullToObject(o, "ejected");
    if (r->dump)
        cJSON_AddStringToObject(o, "dump", r->dump);
    cJSON *b = cJSON_AddObjectToObject(o, "bounds");
    cJSON_AddNumberToObject(b, "critical_path_s", seconds(r->bounds.critical_path - r->begin));
    cJSON_AddNumberToObject(b, "area_s", seconds(r->bounds.area - r->begin));
    if (r->bounds.classes > r->begin)
        cJSON_AddNumberToObject(b, "classes_s", seconds(r->bounds.classes - r->begin));
    cJSON_AddNumberToObject(b, "gap", r->gap);
    if (r->guarantee.why_not) {
        cJSON_AddStringToObject(b, "no_upper_bound", r->guarantee.why_not);
    } else {
        cJSON_AddNumberToObject(b, "upper_s", seconds(r->guarantee.end - r->begin));
        cJSON_AddNumberToObject(b, "upper_ratio", r->guarantee.ratio);
        cJSON_AddStringToObject(b, "upper_rule", r->guarantee.longest_first ? "longest first" : "list");
    }
    cJSON *costs = cJSON_AddObjectToObject(o, "costs");
    cJSON_AddNumberToObject(costs, "dispatch_us", (double)conf->dispatch / 1e3);
    cJSON_AddNumberToObject(costs, "switch_us", (double)conf->change / 1e3);
    cJSON_AddNumberToObject(costs, "decision_ns", (double)conf->decision);
    cJSON_AddNumberToObject(o, "policy_work", (double)r->stats.work);
    cJSON_AddNumberToObject(o, "dispatches", (double)r->stats.dispatches);
    cJSON_AddNumberToObject(o, "decided_s", seconds(r->stats.decided));
    cJSON_AddNumberToObject(o, "instants", (double)r->stats.instants);
    cJSON_AddNumberToObject(o, "control_steps", (double)r->stats.steps);
    cJSON_AddStringToObject(o, "digest", digest);
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    return text;
}

/* A JSON text with its quotes. */
static void put_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(f, "\\%c", *c);
        else if (*c < ' ')
            fprintf(f, "\\u%04x", *c);
        else
            fputc(*c, f);
    }
    fputc('"', f);
}

static int by_task(const void *a, const void *b)
{
    const mr_sim_stretch *x = a, *y = b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* Of `left` sorted ones those of task t: "stretches": [[from, to, slot], ...].  Returns how many. */
static size_t put_stretches(FILE *f, const mr_sim_stretch *v, size_t left, uint32_t t)
{
    size_t n = 0;
    for (; n < left && v[n].task == t; n++)
        fprintf(f, "%s[%lld,%lld,%u]", n ? "," : ",\"stretches\":[", (long long)v[n].from, (long long)v[n].to,
                v[n].slot);
    if (n)
        fputc(']', f);
    return n;
}

mr_status mr_report_trace(const mr_workload *w, const mr_platform *p, const mr_sim *s, const char *path, mr_err *err)
{
    const mr_sim_task *tasks = mr_sim_tasks(s);
    size_t n_all = 0, at = 0;
    const mr_sim_stretch *all = mr_sim_stretches(s, &n_all);
    mr_sim_stretch *v = malloc((n_all + 1) * sizeof *v);
    if (!v)
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", path);
    FILE *f = fopen(path, "w");
    if (!f) {
        free(v);
        return mr_err_set(err, MR_E_IO, "%s: %s", path, strerror(errno));
    }
    size_t n = 0;
    for (size_t i = 0; i < n_all; i++)
        if (all[i].attempt == tasks[all[i].task].attempt)
            v[n++] = all[i];
    qsort(v, n, sizeof *v, by_task);
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        const mr_sim_task *me = &tasks[t];
        fputs("{\"task\":", f);
        put_text(f, mr_workload_name(w, t));
        fputs(",\"fn\":", f);
        put_text(f, mr_intern_text(w->names, w->tasks[t].fn));
        fputs(",\"node\":", f);
        put_text(f, me->started == MR_UNKNOWN ? "" : p->nodes[me->node].name);
        fprintf(f,
                ",\"slot\":%u,\"submitted\":%lld,\"ready\":%lld,\"started\":%lld,\"ended\":%lld,\"outcome\":\"%s\","
                "\"bytes\":%llu",
                me->slot, (long long)me->submitted, (long long)me->ready, (long long)me->started, (long long)me->ended,
                me->outcome == MR_OK ? "ok" : mr_status_name(me->outcome), (unsigned long long)me->bytes);
        at += put_stretches(f, v + at, n - at, t);
        fputs("}\n", f);
    }
    free(v);
    int failed = ferror(f), why = errno;
    if (fclose(f) != 0)
        failed = 1, why = errno;
    return failed ? mr_err_set(err, MR_E_IO, "%s: %s", path, strerror(why)) : MR_OK;
}
