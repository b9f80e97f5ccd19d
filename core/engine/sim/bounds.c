/* bounds.c: what every schedule of a workload must obey, computed without looking at how one is made, and the check
 * that a schedule does.  Knows nothing of control.  No state. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/bounds.h"

static int by_kind(const void *a, const void *b)
{
    const mr_platform_node *x = *(const mr_platform_node *const *)a, *y = *(const mr_platform_node *const *)b;
    if (x->cls != y->cls)
        return x->cls < y->cls ? -1 : 1;
    return x->speed < y->speed ? -1 : x->speed > y->speed;
}

mr_status mr_bound_kinds_init(mr_bound_kinds *k, const mr_platform *p)
{
    size_t n = p->n_nodes + 1;
    *k = (mr_bound_kinds){malloc(n * sizeof *k->v), malloc(n * sizeof *k->first), 0, malloc(n * sizeof *k->fastest), 0};
    if (!k->v || !k->first || !k->fastest) {
        mr_bound_kinds_fini(k);
        return MR_E_NOMEM;
    }
    for (uint32_t i = 0; i < p->n_nodes; i++)
        k->v[i] = &p->nodes[i];
    qsort(k->v, p->n_nodes, sizeof *k->v, by_kind);
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (i == 0 || by_kind(&k->v[i], &k->v[i - 1]) != 0)
            k->first[k->n++] = i;
    k->first[k->n] = p->n_nodes;
    for (uint32_t i = 0; i < k->n; i++) /* by class, then by speed: the last of a class is its fastest */
        if (i + 1 == k->n || k->v[k->first[i]]->cls != k->v[k->first[i + 1]]->cls)
            k->fastest[k->n_fastest++] = k->v[k->first[i]];
    return MR_OK;
}

void mr_bound_kinds_fini(mr_bound_kinds *k)
{
    free(k->v);
    free(k->first);
    free(k->fastest);
    *k = (mr_bound_kinds){0};
}

bool mr_bound_fits(const mr_workload *w, uint32_t task, const mr_bound_kinds *k, uint32_t kind)
{
    const char *text = mr_intern_text(w->defs, w->tasks[task].def);
    mr_define def;
    memcpy(&def, text, sizeof def);
    for (uint32_t n = k->first[kind]; n < k->first[kind + 1]; n++) {
        bool all = true;
        for (uint32_t i = 0; all && i < def.n_needs; i++) {
            mr_named need;
            memcpy(&need, text + sizeof def + i * sizeof need, sizeof need);
            all = mr_platform_amount(k->v[n], need.name) >= need.amount;
        }
        if (all)
            return true;
    }
    return false;
}

static int64_t best_duration(const mr_workload *w, uint32_t task, const mr_bound_kinds *k)
{
    int64_t best = INT64_MAX;
    for (uint32_t i = 0; i < k->n_fastest; i++) {
        int64_t d = mr_workload_duration(w, task, k->fastest[i]);
        best = d < best ? d : best;
    }
    return best;
}

int64_t mr_bound_need(const mr_workload *w, uint32_t task, const char *resource)
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

static mr_bound_area *area_named(mr_bound_sums *s, const char *name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].name, name) == 0)
            return &s->v[i];
    if (s->n == MR_RES_MAX)
        return NULL;
    s->v[s->n] = (mr_bound_area){.name = name};
    return &s->v[s->n++];
}

mr_status mr_bound_sums_init(mr_bound_sums *s, const mr_platform *p)
{
    mr_bound_area *one;
    *s = (mr_bound_sums){.begin = INT64_MAX};
    if (mr_bound_kinds_init(&s->kinds, p))
        return MR_E_NOMEM;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        for (uint32_t r = 0; r < p->nodes[i].n_amounts; r++)
            if ((one = area_named(s, p->nodes[i].amounts[r].name))) {
                one->have += (double)p->nodes[i].amounts[r].amount;
                one->fast += (double)p->nodes[i].amounts[r].amount * p->nodes[i].speed;
            }
    return MR_OK;
}

void mr_bound_sums_fini(mr_bound_sums *s)
{
    mr_bound_kinds_fini(&s->kinds);
}

int64_t mr_bound_sums_add(mr_bound_sums *s, const mr_workload *w, uint32_t task, int64_t from)
{
    const mr_wl_task *me = &w->tasks[task];
    const char *text = mr_intern_text(w->defs, me->def);
    int64_t best = best_duration(w, task, &s->kinds);
    mr_define def;
    mr_named need;
    memcpy(&def, text, sizeof def);
    for (uint32_t i = 0; i < def.n_needs; i++) {
        memcpy(&need, text + sizeof def + i * sizeof need, sizeof need);
        for (uint32_t r = 0; r < s->n; r++)
            if (strcmp(s->v[r].name, need.name) == 0) {
                s->v[r].best += (double)need.amount * (double)best;
                s->v[r].work += (double)need.amount * (double)me->duration;
            }
    }
    s->tasks++;
    s->by_class = s->by_class || me->first_class != MR_WL_NONE;
    s->begin = me->arrival < s->begin ? me->arrival : s->begin;
    from = from > me->arrival ? from : me->arrival;
    s->path = from + best > s->path ? from + best : s->path;
    return from + best;
}

/* Two floors for each resource: amounts times best durations over all there is; and, when no duration is given by
 * class, amounts times work over amounts times speed.  The first arrival is when work can begin. */
void mr_bound_sums_get(const mr_bound_sums *s, mr_report_bounds *out)
{
    double most = 0;
    for (uint32_t r = 0; r < s->n; r++) {
        const mr_bound_area *v = &s->v[r];
        if (s->lends && strcmp(v->name, "CPU") == 0)
            continue; /* what waited takes its CPU back at once: there may be more of them in use than there are */
        double span = v->have > 0 ? v->best / v->have : 0;
        if (!s->by_class && v->have > 0 && v->work / v->fast > span)
            span = v->work / v->fast;
        most = span > most ? span : most;
    }
    /* Each duration was rounded to 1 ns, and sums of doubles lose a little. */
    most -= most * 1e-9 + (double)s->tasks;
    int64_t begin = s->tasks ? s->begin : 0;
    *out = (mr_report_bounds){s->path, begin + (most > 0 ? (int64_t)most : 0), begin};
}

void mr_report_bounds_get(const mr_workload *w, const mr_platform *p, mr_report_bounds *out)
{
    int64_t *ends = calloc(w->n_tasks + 1, sizeof *ends);
    mr_bound_sums s = {0};
    *out = (mr_report_bounds){0};
    if (!ends || mr_bound_sums_init(&s, p)) {
        free(ends);
        return; /* no bound at all is a true one */
    }
    for (uint32_t i = 0; i < w->n_tasks; i++) {
        uint32_t t = w->order[i];
        const mr_wl_task *me = &w->tasks[t];
        int64_t end = mr_bound_sums_add(&s, w, t, ends[t]);
        for (uint32_t c = 0; c < me->n_children; c++) {
            uint32_t child = w->children[me->first_child + c];
            ends[child] = end > ends[child] ? end : ends[child];
        }
    }
    s.lends = w->lends;
    mr_bound_sums_get(&s, out);
    double split = w->lends ? 0 : mr_bound_prices(w, &s.kinds);
    split -= split * 1e-9 + (double)w->n_tasks;
    out->classes = split > 0 ? s.begin + (int64_t)split : s.begin;
    mr_bound_sums_fini(&s);
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

/* A stopped task has no CPU, and all else that it needs.  Returns the new n. */
static size_t add_changes(const mr_workload *w, const mr_sim *s, const char *resource, change *v)
{
    const mr_sim_task *tasks = mr_sim_tasks(s);
    size_t n = 0, n_stretches = 0;
    const mr_sim_stretch *x = mr_sim_stretches(s, &n_stretches);
    bool cpu = strcmp(resource, "CPU") == 0;
    char *stopped = cpu && n_stretches ? calloc(w->n_tasks, 1) : NULL;
    if (cpu && n_stretches && !stopped)
        return SIZE_MAX;
    for (size_t i = 0; stopped && i < n_stretches; i++) {
        int64_t need = mr_bound_need(w, x[i].task, resource);
        if (x[i].attempt != tasks[x[i].task].attempt || tasks[x[i].task].outcome != MR_OK) /* lost with its worker */
            continue;
        stopped[x[i].task] = 1;
        if (need == 0 || x[i].from == x[i].to)
            continue;
        v[n++] = (change){x[i].from, need, tasks[x[i].task].node, x[i].task};
        v[n++] = (change){x[i].to, -need, tasks[x[i].task].node, x[i].task};
    }
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        int64_t need = mr_bound_need(w, t, resource);
        if (need == 0 || tasks[t].started == MR_UNKNOWN || tasks[t].started == tasks[t].ended ||
            tasks[t].outcome != MR_OK || (stopped && stopped[t]))
            continue; /* what failed may have waited again after its last start */
        v[n++] = (change){tasks[t].started, need, tasks[t].node, t};
        v[n++] = (change){tasks[t].ended, -need, tasks[t].node, t};
    }
    free(stopped);
    size_t n_earlier;
    const mr_sim_earlier *e = mr_sim_earlier_runs(s, &n_earlier);
    for (size_t i = 0; i < n_earlier; i++) { /* those that were stopped are left out */
        int64_t need = mr_bound_need(w, e[i].task, resource);
        if (need == 0 || e[i].run.started == e[i].run.ended || e[i].run.ran != e[i].run.ended - e[i].run.started)
            continue;
        v[n++] = (change){e[i].run.started, need, e[i].run.node, e[i].task};
        v[n++] = (change){e[i].run.ended, -need, e[i].run.node, e[i].task};
    }
    return n;
}

/* Sweeps what is taken and given back on each node. */
static mr_status verify_pool(const mr_workload *w, const mr_platform *p, const mr_sim *s, const char *resource,
                             mr_err *err)
{
    size_t n = 0, n_earlier = 0;
    (void)mr_sim_stretches(s, &n);
    (void)mr_sim_earlier_runs(s, &n_earlier);
    change *v = malloc((2 * ((size_t)w->n_tasks + n + n_earlier) + 1) * sizeof *v);
    mr_status status = MR_OK;
    if (!v)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    n = add_changes(w, s, resource, v);
    if (n == SIZE_MAX) {
        free(v);
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
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

/* When the results of each task were there for the first time; NULL: out of memory. */
static int64_t *first_ends(const mr_workload *w, const mr_sim *s)
{
    size_t n = 0;
    const mr_sim_earlier *e = mr_sim_earlier_runs(s, &n);
    int64_t *ends = malloc((w->n_tasks + 1) * sizeof *ends);
    for (uint32_t t = 0; ends && t < w->n_tasks; t++)
        ends[t] = mr_sim_tasks(s)[t].ended;
    for (size_t i = n; ends && i-- > 0;)
        ends[e[i].task] = e[i].run.ended;
    return ends;
}

mr_status mr_bound_check(const mr_report_bounds *b, int64_t end, mr_err *err)
{
    if (end >= b->critical_path && end >= b->area && end >= b->classes)
        return MR_OK;
    return mr_err_set(
        err, MR_E_INVAL,
        "the last task ended at %.9f s, below a lower bound (critical path %.9f s, area %.9f s, classes %.9f s)",
        (double)end / 1e9, (double)b->critical_path / 1e9, (double)b->area / 1e9, (double)b->classes / 1e9);
}

mr_status mr_bound_check_task(const mr_workload *w, const mr_platform *p, uint32_t task, const mr_sim_task *ran,
                              mr_err *err)
{
    if (ran->outcome != MR_OK || ran->ran >= mr_workload_duration(w, task, &p->nodes[ran->node]))
        return MR_OK;
    return mr_err_set(err, MR_E_INVAL, "\"%s\" ran for less than it takes", mr_workload_name(w, task));
}

mr_status mr_report_verify(const mr_workload *w, const mr_platform *p, const mr_sim *s, mr_err *err)
{
    const mr_sim_task *tasks = mr_sim_tasks(s);
    mr_report_bounds b;
    int64_t end = 0;
    bool whole = true;
    int64_t *ends = first_ends(w, s);
    mr_status status = ends ? MR_OK : mr_err_set(err, MR_E_NOMEM, "out of memory");
    mr_report_bounds_get(w, p, &b);
    for (uint32_t t = 0; !status && t < w->n_tasks; t++) {
        const mr_wl_task *me = &w->tasks[t];
        end = tasks[t].ended > end ? tasks[t].ended : end;
        whole = whole && tasks[t].outcome == MR_OK;
        status = mr_bound_check_task(w, p, t, &tasks[t], err);
        for (uint32_t i = 0; !status && i < me->n_inputs; i++) {
            const mr_wl_object *o = &w->objects[w->inputs[me->first_input + i]];
            uint32_t parent = o->early ? MR_WL_NONE : o->task;
            if (parent != MR_WL_NONE && tasks[t].started != MR_UNKNOWN && tasks[t].started < ends[parent])
                status = mr_err_set(err, MR_E_INVAL, "\"%s\" started before its parent \"%s\" ended",
                                    mr_workload_name(w, t), mr_workload_name(w, parent));
        }
    }
    free(ends);
    if (!status && whole)
        status = mr_bound_check(&b, end, err);
    static const char *const pools[] = {"CPU", "GPU", "memory"};
    for (size_t i = w->lends; !status && i < sizeof pools / sizeof *pools; i++) /* what waited takes its CPU back */
        status = verify_pool(w, p, s, pools[i], err);
    return status;
}
