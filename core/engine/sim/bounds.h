/* bounds.h: what the files that compute certificates share.  Private to this folder. */
#ifndef MR_ENGINE_SIM_BOUNDS_H
#define MR_ENGINE_SIM_BOUNDS_H

#include "engine/sim/report.h"

/* The nodes, those of one class and speed side by side: every task takes as long on each of a kind. */
typedef struct mr_bound_kinds {
    const mr_platform_node **v; /* all nodes, kind by kind */
    uint32_t *first;            /* of n + 1 kinds */
    uint32_t n;
    const mr_platform_node **fastest; /* of each class */
    uint32_t n_fastest;
} mr_bound_kinds;

/* Errors: NOMEM (nothing to fini). */
mr_status mr_bound_kinds_init(mr_bound_kinds *k, const mr_platform *p) MR_CHECK_RESULT;
void mr_bound_kinds_fini(mr_bound_kinds *k);
/* One resource: all there is, the same weighted with speeds; and what the tasks need of it, times best durations, and
 * times stated ones. */
typedef struct mr_bound_area {
    const char *name;
    double have, fast, best, work;
} mr_bound_area;

/* Critical path and area, task by task. */
typedef struct mr_bound_sums {
    mr_bound_kinds kinds;
    mr_bound_area v[MR_RES_MAX];
    uint32_t n;
    uint64_t tasks;
    int64_t begin, path; /* first arrival; latest end of a chain */
    bool by_class, lends;
} mr_bound_sums;
/* Errors: NOMEM (nothing to fini). */
mr_status mr_bound_sums_init(mr_bound_sums *s, const mr_platform *p) MR_CHECK_RESULT;
void mr_bound_sums_fini(mr_bound_sums *s);
/* A task whose parents end at `from` at the earliest; returns the same of itself. */
int64_t mr_bound_sums_add(mr_bound_sums *s, const mr_workload *w, uint32_t task, int64_t from);
/* Without the bound by classes: that is the begin. */
void mr_bound_sums_get(const mr_bound_sums *s, mr_report_bounds *out);
/* Errors: INVAL, in words. */
mr_status mr_bound_check(const mr_report_bounds *b, int64_t end, mr_err *err) MR_CHECK_RESULT;
mr_status mr_bound_check_task(const mr_workload *w, const mr_platform *p, uint32_t task, const mr_sim_task *ran,
                              mr_err *err) MR_CHECK_RESULT;
/* How much of a resource a task needs; 0: none. */
int64_t mr_bound_need(const mr_workload *w, uint32_t task, const char *resource);
/* Some node of the kind is large enough for the task, were it empty. */
bool mr_bound_fits(const mr_workload *w, uint32_t task, const mr_bound_kinds *k, uint32_t kind);
/* ns that all CPU work takes at least when it may be split over the kinds at will; 0: nothing is known. */
double mr_bound_prices(const mr_workload *w, const mr_bound_kinds *k);

#endif
