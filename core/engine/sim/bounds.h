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
/* How much of a resource a task needs; 0: none. */
int64_t mr_bound_need(const mr_workload *w, uint32_t task, const char *resource);
/* Some node of the kind is large enough for the task, were it empty. */
bool mr_bound_fits(const mr_workload *w, uint32_t task, const mr_bound_kinds *k, uint32_t kind);
/* ns that all CPU work takes at least when it may be split over the kinds at will; 0: nothing is known. */
double mr_bound_prices(const mr_workload *w, const mr_bound_kinds *k);

#endif
