/* durations.c: reads and draws how long tasks take.  Knows distributions, not schedules.  Logarithm and exponential are
 * made of + - * / here, since libraries differ in their last bit and a digest would show it.  No state. */
#include "engine/sim/durations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { SAMPLES_MAX = 1000000 };
static const double LARGEST = 1e9, LONGEST = 3.2e9; /* seconds: of a parameter, of a task */
static const double LN2 = 0.69314718055994530942;

/* ---- variates ---- */

double mr_durations_normal(mr_rand *r)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += mr_rand_unit(r);
    return sum;
}

/* ln x = e ln 2 + 2 artanh((m - 1) / (m + 1)) for x = m 2^e, 1/2 <= m < 1. */
static double natural_log(double x)
{
    int e;
    double m = frexp(x, &e), z = (m - 1) / (m + 1), power = z, sum = 0;
    for (int k = 1; k < 60; k += 2) {
        sum += power / k;
        power *= z * z;
    }
    return e * LN2 + 2 * sum;
}

static double exponential_of(double x)
{
    if (x > 700 || x < -700)
        return x > 0 ? 1e300 : 0;
    int k = (int)(x / LN2);
    double rest = x - k * LN2, term = 1, sum = 1;
    for (int i = 1; i < 25; i++) {
        term *= rest / i;
        sum += term;
    }
    return ldexp(sum, k);
}

double mr_durations_exponential(mr_rand *r)
{
    return -natural_log(1 - mr_rand_unit(r));
}

/* ---- distributions: a and b are what `of_kind` says ---- */

enum { FIXED, SAMPLES, UNIFORM, EXPONENTIAL, NORMAL, LOGNORMAL, PARETO, N_KINDS };

static const struct {
    const char *name, *a, *b;
} of_kind[N_KINDS] = {[UNIFORM] = {"uniform", "min", "max"},
                      [EXPONENTIAL] = {"exponential", "mean", NULL},
                      [NORMAL] = {"normal", "mean", "cv"},
                      [LOGNORMAL] = {"lognormal", "mean", "cv"},
                      [PARETO] = {"pareto", "min", "alpha"}};

static double draw(const mr_workload *w, const mr_wl_dist *d, mr_rand *r)
{
    switch (d->kind) {
    case SAMPLES:
        return w->samples[d->first + mr_rand_below(r, d->n)];
    case UNIFORM:
        return d->a + (d->b - d->a) * mr_rand_unit(r);
    case EXPONENTIAL:
        return d->a * mr_durations_exponential(r);
    case NORMAL:
        return d->a * (1 + d->b * mr_durations_normal(r));
    case LOGNORMAL: {
        double s2 = natural_log(1 + d->b * d->b);
        return d->a * exponential_of(sqrt(s2) * mr_durations_normal(r) - s2 / 2);
    }
    case PARETO:
        return d->a * exponential_of(mr_durations_exponential(r) / d->b);
    default:
        return d->a;
    }
}

/* What somebody who knows the distribution would say beforehand. */
static double mean(const mr_workload *w, const mr_wl_dist *d)
{
    double sum = 0;
    switch (d->kind) {
    case SAMPLES:
        for (uint32_t i = 0; i < d->n; i++)
            sum += w->samples[d->first + i];
        return sum / d->n;
    case UNIFORM:
        return (d->a + d->b) / 2;
    case PARETO:
        return d->b > 1 ? d->a * d->b / (d->b - 1) : LONGEST;
    default:
        return d->a;
    }
}

static int64_t ns_of(double seconds)
{
    if (!(seconds > 0))
        return 0;
    return (int64_t)((seconds < LONGEST ? seconds : LONGEST) * 1e9 + 0.5);
}

void mr_workload_draw_one(mr_workload *w, uint32_t task, uint64_t seed)
{
    mr_wl_task *me = &w->tasks[task];
    if (me->dist == MR_WL_NONE)
        return;
    bool by_class = me->first_class != MR_WL_NONE;
    for (uint32_t c = 0; c < (by_class ? w->platform.n_classes : 1); c++) {
        mr_rand r;
        uint64_t which = me->place;
        mr_rand_seed(&r, seed ^ mr_rand_mix(&which), 2);
        int64_t ns = ns_of(draw(w, &w->dists[me->dist + c], &r));
        if (by_class)
            w->by_class[me->first_class + c] = ns;
        else
            me->duration = ns;
    }
    if (!by_class && me->estimate == MR_UNKNOWN)
        me->estimate = ns_of(mean(w, &w->dists[me->dist]));
}

void mr_workload_draw(mr_workload *w, uint64_t seed)
{
    for (uint32_t t = 0; t < w->n_tasks; t++)
        mr_workload_draw_one(w, t, seed);
}

/* ---- reading ---- */

static mr_status no_memory(const mr_json_at *at)
{
    return mr_err_set(at->err, MR_E_NOMEM, "%s: out of memory", at->path);
}

static mr_status read_samples(const mr_json_at *at, mr_workload *w, const cJSON *v, mr_wl_dist *d)
{
    d->kind = SAMPLES;
    d->first = w->n_samples;
    for (const cJSON *one = v->child; one; one = one->next) {
        double x = 0;
        mr_status status = mr_json_number(at, "duration_s", one, 0, LARGEST, &x);
        if (status)
            return status;
        if (w->n_samples == SAMPLES_MAX)
            return mr_json_fail(at, "duration_s", "more than %d samples in one workload", SAMPLES_MAX);
        if (!mr_workload_grow(&w->samples, w->n_samples, &w->cap_samples, sizeof *w->samples))
            return no_memory(at);
        w->samples[w->n_samples++] = x;
    }
    d->n = w->n_samples - d->first;
    return d->n ? MR_OK : mr_json_fail(at, "duration_s", "a list of samples needs at least one");
}

/* {"dist": ..., and what the kind has}: nothing less, nothing else. */
static mr_status read_dist(const mr_json_at *at, const cJSON *v, mr_wl_dist *d)
{
    const char *name;
    mr_status status = mr_json_text(at, "dist", cJSON_GetObjectItemCaseSensitive(v, "dist"), 20, &name);
    if (status)
        return status;
    for (d->kind = UNIFORM; d->kind < N_KINDS && strcmp(of_kind[d->kind].name, name) != 0;)
        d->kind++;
    if (d->kind == N_KINDS)
        return mr_json_fail(at, "dist", "\"%s\" is none of uniform, exponential, normal, lognormal, pareto", name);
    const char *names[] = {of_kind[d->kind].a, of_kind[d->kind].b};
    double *into[] = {&d->a, &d->b};
    int known = 1;
    for (int i = 0; i < 2 && names[i]; i++, known++) {
        const cJSON *one = cJSON_GetObjectItemCaseSensitive(v, names[i]);
        if (!one)
            return mr_json_fail(at, "duration_s", "%s needs \"%s\"", name, names[i]);
        if ((status = mr_json_number(at, names[i], one, 0, LARGEST, into[i])))
            return status;
    }
    if (cJSON_GetArraySize(v) != known)
        return mr_json_fail(at, "duration_s", "%s has \"%s\"%s%s%s and nothing else", name, names[0],
                            names[1] ? " and \"" : "", names[1] ? names[1] : "", names[1] ? "\"" : "");
    if (d->kind == UNIFORM && d->b < d->a)
        return mr_json_fail(at, "duration_s", "max %g is below min %g", d->b, d->a);
    if (d->kind == PARETO && d->b < 0.01)
        return mr_json_fail(at, "duration_s", "alpha must be at least 0.01");
    return MR_OK;
}

static mr_status read_one(const mr_json_at *at, mr_workload *w, const cJSON *v)
{
    if (!mr_workload_grow(&w->dists, w->n_dists, &w->cap_dists, sizeof *w->dists))
        return no_memory(at);
    mr_wl_dist *d = &w->dists[w->n_dists++];
    *d = (mr_wl_dist){.kind = FIXED};
    if (cJSON_IsArray(v))
        return read_samples(at, w, v, d);
    return cJSON_IsObject(v) ? read_dist(at, v, d) : mr_json_number(at, "duration_s", v, 0, LONGEST, &d->a);
}

static bool by_class(const cJSON *v)
{
    return cJSON_IsObject(v) && !cJSON_HasObjectItem(v, "dist");
}

static mr_status check_classes(const mr_json_at *at, const mr_workload *w, const cJSON *v)
{
    if (w->platform.n_classes == 0)
        return mr_json_fail(at, "duration_s", "durations by class need a platform with classes in the first line");
    for (uint32_t c = 0; c < w->platform.n_classes; c++)
        if (!cJSON_GetObjectItemCaseSensitive(v, w->platform.classes[c]))
            return mr_json_fail(at, "duration_s", "nothing is said for class \"%s\" of the platform",
                                w->platform.classes[c]);
    for (const cJSON *one = v->child; one; one = one->next)
        if (mr_platform_class(&w->platform, one->string) == MR_PLATFORM_CLASSES) {
            mr_json_here(at, one);
            return mr_json_fail(at, "duration_s", "the platform has no class \"%s\"", one->string);
        }
    return MR_OK;
}

/* One distribution, or one for each class of the platform in its order; *first: the first of them. */
static mr_status read_any(const mr_json_at *at, mr_workload *w, const cJSON *v, uint32_t *first)
{
    *first = w->n_dists;
    mr_json_here(at, v);
    if (!by_class(v))
        return read_one(at, w, v);
    mr_status status = check_classes(at, w, v);
    for (uint32_t c = 0; !status && c < w->platform.n_classes; c++)
        status = read_one(at, w, cJSON_GetObjectItemCaseSensitive(v, w->platform.classes[c]));
    return status;
}

mr_status mr_durations_table(const mr_json_at *at, mr_workload *w, const char *name, const cJSON *v)
{
    uint32_t number, first;
    if (mr_intern_put(w->names, name, strlen(name), &number) ||
        !mr_workload_grow(&w->tables, number, &w->cap_tables, sizeof *w->tables))
        return no_memory(at);
    if (w->tables[number].first)
        return mr_json_fail(at, "table", "\"%s\" is already there", name);
    if (!v)
        return mr_json_fail(at, "duration_s", "missing");
    mr_status status = read_any(at, w, v, &first);
    if (!status)
        w->tables[number] = (mr_wl_table){first + 1, by_class(v)};
    return status;
}

mr_status mr_durations_read(const mr_json_at *at, mr_workload *w, const cJSON *v)
{
    mr_wl_task *t = &w->tasks[w->last];
    mr_status status = MR_OK;
    bool classes = by_class(v);
    int64_t *unused;
    mr_json_here(at, v);
    if (cJSON_IsNumber(v))
        return mr_json_seconds(at, "duration_s", v, &t->duration);
    if (cJSON_IsString(v)) {
        uint32_t number;
        if (mr_intern_find(w->names, v->valuestring, strlen(v->valuestring), &number) || number >= w->cap_tables ||
            !w->tables[number].first)
            return mr_json_fail(at, "duration_s", "there is no table \"%.60s\" above this line", v->valuestring);
        t->dist = w->tables[number].first - 1;
        classes = w->tables[number].by_class;
    } else {
        status = read_any(at, w, v, &t->dist);
    }
    if (!status && classes && mr_workload_classes(w, &unused))
        status = no_memory(at);
    return status;
}
