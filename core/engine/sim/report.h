/* report.h: what a finished simulation says of itself: figures, certificates, a trace and a digest.
 *
 * The bounds are computed from the workload and the platform alone, so a schedule that ends before a bound, starts a
 * task before its parents ended, or uses more than a node has, proves a bug in the simulator or in control.
 */
#ifndef MR_ENGINE_SIM_REPORT_H
#define MR_ENGINE_SIM_REPORT_H

#include <stdio.h>

#include "engine/sim/sim.h"

typedef struct mr_report_bounds {
    int64_t critical_path; /* no schedule ends earlier: the longest chain, each task on its best class */
    int64_t area;          /* nor earlier than: all work spread evenly over all slots of its scarcest resource */
    int64_t classes;       /* nor than all CPU work split over unlike nodes in the best way; like nodes: the begin */
} mr_report_bounds;

/* An upper bound that theory promises (Graham's), when all it asks for was seen to hold in this run. */
typedef struct mr_report_guarantee {
    const char *why_not; /* the first premise that does not hold; NULL: all do, and the rest is filled */
    int64_t end;         /* no schedule of this kind ends later */
    double ratio;        /* nor takes more than this times the shortest */
    bool longest_first;  /* independent tasks, started longest first: the better ratio */
} mr_report_guarantee;

typedef struct mr_sim_report {
    const char *policy, *know, *ejected, *dump; /* ejected NULL: it was not */
    const char *refusal;                        /* the first of stats.refused; NULL: there is none */
    const char *host;                           /* what the plugin says of itself; NULL: nothing.  Set by the caller */
    bool unfold, interrupted;                   /* interrupted: set by the caller; the run did not come to its end */
    uint64_t seed;
    uint64_t tasks, failed;
    int64_t begin, end, makespan;                                             /* first arrival, last end */
    double flow_mean, flow_p50, flow_p99, wait_mean, wait_max, slowdown_mean; /* seconds; ratio */
    double utilisation; /* CPU time used / CPU time there was during the makespan */
    mr_report_bounds bounds;
    mr_report_guarantee guarantee;
    double gap; /* makespan / best bound - 1 */
    uint64_t digest;
    mr_sim_stats stats;
} mr_sim_report;

void mr_report_bounds_get(const mr_workload *w, const mr_platform *p, mr_report_bounds *out);
/* Errors: INVAL when the premises hold and the bound does not. */
mr_status mr_report_guarantee_get(const mr_workload *w, const mr_platform *p, const mr_sim *s, const mr_sim_conf *conf,
                                  mr_report_guarantee *out, mr_err *err) MR_CHECK_RESULT;
/* Errors: INVAL when the schedule breaks a bound, a dependency or a pool (the first one, in words); NOMEM. */
mr_status mr_report_verify(const mr_workload *w, const mr_platform *p, const mr_sim *s, mr_err *err) MR_CHECK_RESULT;
/* Texts are borrowed from `s` and `know`.  Errors: NOMEM; INVAL (mr_report_guarantee_get). */
mr_status mr_report_make(const mr_workload *w, const mr_platform *p, const mr_sim *s, const mr_sim_conf *conf,
                         const char *know, mr_sim_report *out, mr_err *err) MR_CHECK_RESULT;
/* The same, task by task: a stream's are counted when they have ended (mr_sim_conf.ended), before they are forgotten.
 */
typedef struct mr_report_totals mr_report_totals;
/* All borrowed until free; trace: a file that gets a line for each task as it is counted, NULL: none.  Errors: NOMEM,
 * IO. */
mr_status mr_report_totals_new(mr_report_totals **out, const mr_workload *w, const mr_platform *p, const mr_sim *s,
                               const char *trace, mr_err *err) MR_CHECK_RESULT;
void mr_report_totals_free(mr_report_totals *t);
/* Errors: INVAL (it ran for less than it takes). */
mr_status mr_report_totals_add(void *totals, uint32_t task, mr_err *err) MR_CHECK_RESULT;
/* Once.  Errors: INVAL (below a bound), IO. */
mr_status mr_report_finish(mr_report_totals *t, const mr_sim_conf *conf, const char *know, mr_sim_report *out,
                           mr_err *err) MR_CHECK_RESULT;
/* One JSON object; the caller frees the text.  NULL: out of memory. */
char *mr_report_json(const mr_workload *w, const mr_platform *p, const mr_sim_report *r, const mr_sim_conf *conf);
/* One line per task, in the order of the file: {task, fn, node, slot, submitted, ready, started, ended, outcome,
 * bytes}, ns; where there are any also "stretches" and "lost" (miniray.lab.trace tells what they are). Errors: IO. */
mr_status mr_report_trace(const mr_workload *w, const mr_platform *p, const mr_sim *s, const char *path,
                          mr_err *err) MR_CHECK_RESULT;

/* One task's line; `v`: stretches in order, its own first if it has any.  Returns how many of them were its own. */
size_t mr_report_trace_one(FILE *f, const mr_workload *w, const mr_platform *p, const mr_sim *s, uint32_t t,
                           const mr_sim_stretch *v, size_t left);
mr_status mr_report_trace_close(FILE *f, const char *path, mr_err *err) MR_CHECK_RESULT;

/* Tasks that are known of; a stream may have more. */
uint64_t mr_report_known(const mr_workload *w);
/* For people, on the output. */
void mr_report_print(const mr_workload *w, const mr_sim *s, const mr_sim_conf *conf, const mr_sim_report *r);

#endif
