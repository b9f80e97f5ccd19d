/* bounds.c: what every schedule of a workload must obey, computed without looking at how one is made, and the check
 * that a schedule does.  Knows nothing of control.  No state. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/report.h"

/* The fastest node of each class: no task runs faster on another one of its class. */
typedef struct kinds {
    const mr_platform_node **v;
    uint32_t n;
} kinds;

static int by_kind(const void *a, const void *b)
{
    const mr_platform_node *x = *(const mr_platform_node *const *)a, *y = *(const mr_platform_node *const *)b;
    if (x->cls != y->cls)
        return x->cls < y->cls ? -1 : 1;
    return x->speed < y->speed ? -1 : x->speed > y->speed;
}

static mr_status kinds_of(const mr_platform *p, kinds *out)
{
    kinds k = {malloc((p->n_nodes + 1) * sizeof *k.v), 0};
    if (!k.v)
        return MR_E_NOMEM;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        k.v[i] = &p->nodes[i];
    qsort(k.v, p->n_nodes, sizeof *k.v, by_kind);
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (i + 1 == p->n_nodes || k.v[i + 1]->cls != k.v[i]->cls)
            k.v[k.n++] = k.v[i];
    *out = k;
    return MR_OK;
}

static int64_t best_duration(const mr_workload *w, uint32_t task, const kinds *k)
{
    int64_t best = INT64_MAX;
    for (uint32_t i = 0; i < k->n; i++) {
        int64_t d = mr_workload_duration(w, task, k->v[i]);
        best = d < best ? d : best;
    }
    return best;
}

static int64_t need_of(const mr_workload *w, uint32_t task, const char *resource)
{
    const char *text = mr_intern_text(w->defs, w->tasks[task].def);
    mr_define def;
    mr_named need;
    memcpy(&def, text, sizeof def);
    for (uint32_t i = 0; i < def.n_needs; i++) {
        memcpy(&need, text + sizeof def + i * sizeof need, sizeof need);
        if (strcmp(need.name, resource) == 0)
            return need.amount;
    }
    return 0;
}

/* Two floors for one resource: amounts times best durations over all there is; and, when no duration is given by class,
 * amounts times work over amounts times speed.  The first arrival is when work can begin. */
static int64_t area_of(const mr_workload *w, const mr_platform *p, const kinds *k, const char *resource, int64_t begin)
{
    double have = 0, fast = 0, best = 0, work = 0;
    bool by_class = false;
    for (uint32_t n = 0; n < p->n_nodes; n++) {
        double amount = (double)mr_platform_amount(&p->nodes[n], resource);
        have += amount;
        fast += amount * p->nodes[n].speed;
    }
    for (uint32_t t = 0; have > 0 && t < w->n_tasks; t++) {
        double need = (double)need_of(w, t, resource);
        by_class = by_class || w->tasks[t].first_class != MR_WL_NONE;
        if (need > 0)
            best += need * (double)best_duration(w, t, k);
        work += need * (double)w->tasks[t].duration;
    }
    if (have <= 0)
        return begin;
    double span = best / have;
    if (!by_class && work / fast > span)
        span = work / fast;
    /* Each duration was rounded to 1 ns, and sums of doubles lose a little. */
    span -= span * 1e-9 + (double)w->n_tasks;
    return begin + (span > 0 ? (int64_t)span : 0);
}

void mr_report_bounds_get(const mr_workload *w, const mr_platform *p, mr_report_bounds *out)
{
    int64_t *ends = calloc(w->n_tasks + 1, sizeof *ends), begin = INT64_MAX;
    *out = (mr_report_bounds){0};
    kinds k = {0};
    if (!ends || kinds_of(p, &k)) {
        free(ends);
        return; /* no bound at all is a true one */
    }
    for (uint32_t i = 0; i < w->n_tasks; i++) {
        uint32_t t = w->order[i];
        const mr_wl_task *me = &w->tasks[t];
        int64_t from = ends[t] > me->arrival ? ends[t] : me->arrival, end = from + best_duration(w, t, &k);
        begin = me->arrival < begin ? me->arrival : begin;
        out->critical_path = end > out->critical_path ? end : out->critical_path;
        for (uint32_t c = 0; c < me->n_children; c++) {
            uint32_t child = w->children[me->first_child + c];
            ends[child] = end > ends[child] ? end : ends[child];
        }
    }
    int64_t cpu = area_of(w, p, &k, "CPU", begin), gpu = area_of(w, p, &k, "GPU", begin);
    out->area = cpu > gpu ? cpu : gpu;
    free(k.v);
    free(ends);
}

typedef struct change {
    int64_t at, amount;
    uint32_t node, task;
} change;

/* At one time what is given back comes before what is taken. */
static int by_time(const void *a, const void *b)
{
    const change *x = a, *y = b;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->amount < y->amount ? -1 : x->amount > y->amount;
}

/* Sweeps the starts and ends on each node; only for schedules without stops, whose tasks hold what they need
 * throughout. */
static mr_status verify_pool(const mr_workload *w, const mr_platform *p, const mr_sim_task *tasks, const char *resource,
                             mr_err *err)
{
    change *v = malloc((2 * (size_t)w->n_tasks + 1) * sizeof *v);
    size_t n = 0;
    mr_status status = MR_OK;
    if (!v)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        int64_t need = need_of(w, t, resource);
        if (need == 0 || tasks[t].started == MR_UNKNOWN || tasks[t].started == tasks[t].ended)
            continue;
        v[n++] = (change){tasks[t].started, need, tasks[t].node, t};
        v[n++] = (change){tasks[t].ended, -need, tasks[t].node, t};
    }
    qsort(v, n, sizeof *v, by_time);
    int64_t used = 0;
    for (size_t i = 0; !status && i < n; i++) {
        used = (i > 0 && v[i].node == v[i - 1].node ? used : 0) + v[i].amount;
        if (used > mr_platform_amount(&p->nodes[v[i].node], resource))
            status =
                mr_err_set(err, MR_E_INVAL, "the schedule uses more %s than node %s has when \"%s\" starts at %.9f s",
                           resource, p->nodes[v[i].node].name, mr_workload_name(w, v[i].task), (double)v[i].at / 1e9);
    }
    free(v);
    return status;
}

mr_status mr_report_verify(const mr_workload *w, const mr_platform *p, const mr_sim *s, mr_err *err)
{
    const mr_sim_task *tasks = mr_sim_tasks(s);
    mr_report_bounds b;
    mr_sim_stats stats;
    int64_t end = 0;
    bool whole = true;
    mr_report_bounds_get(w, p, &b);
    mr_sim_stats_get(s, &stats);
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        const mr_wl_task *me = &w->tasks[t];
        end = tasks[t].ended > end ? tasks[t].ended : end;
        whole = whole && tasks[t].outcome == MR_OK;
        if (tasks[t].outcome == MR_OK && tasks[t].ran < mr_workload_duration(w, t, &p->nodes[tasks[t].node]))
            return mr_err_set(err, MR_E_INVAL, "\"%s\" ran for less than it takes", mr_workload_name(w, t));
        for (uint32_t i = 0; i < me->n_inputs; i++) {
            uint32_t parent = w->objects[w->inputs[me->first_input + i]].task;
            if (parent != MR_WL_NONE && tasks[t].started != MR_UNKNOWN && tasks[t].started < tasks[parent].ended)
                return mr_err_set(err, MR_E_INVAL, "\"%s\" started before its parent \"%s\" ended",
                                  mr_workload_name(w, t), mr_workload_name(w, parent));
        }
    }
    if (whole && (end < b.critical_path || end < b.area))
        return mr_err_set(err, MR_E_INVAL,
                          "the last task ended at %.9f s, below a lower bound (critical path %.9f s, area %.9f s)",
                          (double)end / 1e9, (double)b.critical_path / 1e9, (double)b.area / 1e9);
    static const char *const pools[] = {"CPU", "GPU", "memory"};
    mr_status status = MR_OK;
    for (size_t i = 0; !status && stats.stops == 0 && i < sizeof pools / sizeof *pools; i++)
        status = verify_pool(w, p, tasks, pools[i], err);
    return status;
}
