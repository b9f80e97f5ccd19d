/* durations.h: how long tasks take when that is not one number: distributions, measured samples, tables by class.
 *
 *     0.5                                                        a number: seconds
 *     [0.5, 0.6, 0.4]                                            measured samples: one of them
 *     {"dist": "lognormal", "mean": 0.5, "cv": 0.3}              also uniform (min, max), exponential (mean),
 *                                                                normal (mean, cv; never below 0), pareto (min, alpha)
 *     {"cpu": any of these, "gpu": any of these}                 by class of node
 *     "gemm"                                                     the table of that name: {"table": "gemm",
 * "duration_s": ...}
 *
 * One draw decides a task's place in its distribution, the same on every class, and follows from the run's seed and the
 * task's place in the file alone: so it is the same under every policy.
 */
#ifndef MR_ENGINE_SIM_DURATIONS_H
#define MR_ENGINE_SIM_DURATIONS_H

#include "base/rand.h"
#include "engine/sim/workload.h"

/* The "duration_s" of the last task.  Errors: CONFIG, NOMEM. */
mr_status mr_durations_read(const mr_json_at *at, mr_workload *w, const cJSON *v) MR_CHECK_RESULT;
/* A line {"table": name, "duration_s": v}.  Errors: CONFIG, NOMEM. */
mr_status mr_durations_table(const mr_json_at *at, mr_workload *w, const char *name, const cJSON *v) MR_CHECK_RESULT;
/* A normal variate as the sum of twelve uniform ones: only + and *, so the same on every machine. */
double mr_durations_normal(mr_rand *r);
/* An exponential one of mean 1. */
double mr_durations_exponential(mr_rand *r);

#endif
