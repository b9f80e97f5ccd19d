/* guarantee.c: what theory promises of a schedule from above, where its premises were measured, not assumed.  Graham:
 * when no slot idles beside a task that could start, m equal slots are done within work / m + (1 - 1 / m) * critical
 * path, which is at most 2 - 1 / m times the optimum; and 4/3 - 1 / (3 m) when the tasks are independent and started
 * longest first. Knows a finished schedule, not how it was made.  No state. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/bounds.h"

/* One premise after the other; the first that does not hold, in words.  NULL: they all do. */
static const char *of_platform(const mr_workload *w, const mr_platform *p, const mr_bound_kinds *k, uint64_t *slots)
{
    *slots = 0;
    if (w->n_points)
        return "some task does more than run";
    if (k->n != 1)
        return "the nodes are unlike";
    for (uint32_t n = 0; n < p->n_nodes; n++) {
        if (mr_platform_amount(&p->nodes[n], "CPU") % MR_RES_UNIT)
            return "a node has a part of a CPU";
        *slots += (uint64_t)(mr_platform_amount(&p->nodes[n], "CPU") / MR_RES_UNIT);
    }
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        mr_define def;
        memcpy(&def, mr_intern_text(w->defs, w->tasks[t].def), sizeof def);
        if (def.n_needs != 1 || mr_bound_need(w, t, "CPU") != MR_RES_UNIT)
            return "some task needs something else than one CPU";
        if (def.n_terms || def.max_running)
            return "some task may not run anywhere, or not beside its like";
        if (w->tasks[t].arrival != w->tasks[0].arrival)
            return "the tasks arrive at different times";
    }
    return NULL;
}

static const char *of_run(const mr_workload *w, const mr_sim *s, const mr_sim_conf *conf)
{
    const mr_sim_task *tasks = mr_sim_tasks(s);
    mr_sim_stats stats;
    mr_sim_stats_get(s, &stats);
    if (stats.node_deaths)
        return "nodes died";
    if (stats.deaths)
        return "workers died";
    if (stats.transfers)
        return "there were copies";
    if (stats.spills)
        return "there were spills";
    if (stats.stops)
        return "there were stops";
    if (stats.held)
        return "the policy held tasks back";
    if (conf->dispatch || conf->decision || conf->call)
        return "dispatching takes time";
    for (uint32_t t = 0; t < w->n_tasks; t++)
        if (tasks[t].outcome != MR_OK || tasks[t].attempt != 1)
            return "some attempt failed";
    return NULL;
}

typedef struct start {
    int64_t at, duration;
} start;

static int by_start(const void *a, const void *b)
{
    const start *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->duration > y->duration ? -1 : x->duration < y->duration; /* of one instant: longest first */
}

static bool longest_first(const mr_workload *w, const mr_sim_task *tasks)
{
    start *v = malloc((w->n_tasks + 1) * sizeof *v);
    bool yes = v != NULL;
    for (uint32_t t = 0; yes && t < w->n_tasks; t++) {
        v[t] = (start){tasks[t].started, w->tasks[t].duration};
        yes = w->tasks[t].n_parents == 0;
    }
    if (yes)
        qsort(v, w->n_tasks, sizeof *v, by_start);
    for (uint32_t t = 1; yes && t < w->n_tasks; t++)
        yes = v[t].duration <= v[t - 1].duration;
    free(v);
    return yes;
}

mr_status mr_report_guarantee_get(const mr_workload *w, const mr_platform *p, const mr_sim *s, const mr_sim_conf *conf,
                                  mr_report_guarantee *out, mr_err *err)
{
    *out = (mr_report_guarantee){.why_not = "there was no memory for it"};
    mr_bound_kinds k;
    uint64_t m;
    if (mr_bound_kinds_init(&k, p))
        return MR_OK;
    out->why_not = of_platform(w, p, &k, &m);
    if (!out->why_not)
        out->why_not = of_run(w, s, conf);
    if (!out->why_not && m > 0) {
        const mr_sim_task *tasks = mr_sim_tasks(s);
        mr_report_bounds b;
        double work = 0;
        int64_t begin = w->tasks[0].arrival, end = 0;
        mr_report_bounds_get(w, p, &b);
        for (uint32_t t = 0; t < w->n_tasks; t++) {
            work += (double)mr_workload_duration(w, t, &p->nodes[0]);
            end = tasks[t].ended > end ? tasks[t].ended : end;
        }
        double most = work / (double)m + (double)(b.critical_path - begin) * (1 - 1 / (double)m);
        out->end = begin + (int64_t)(most + most * 1e-9 + 1);
        out->longest_first = longest_first(w, tasks);
        out->ratio = out->longest_first ? 4.0 / 3 - 1 / (3 * (double)m) : 2 - 1 / (double)m;
        if (end > out->end) {
            mr_bound_kinds_fini(&k);
            return mr_err_set(
                err, MR_E_INVAL,
                "the last task ended at %.9f s, but nothing was held back, so Graham's bound of %.9f s holds",
                (double)end / 1e9, (double)out->end / 1e9);
        }
    }
    mr_bound_kinds_fini(&k);
    return MR_OK;
}
