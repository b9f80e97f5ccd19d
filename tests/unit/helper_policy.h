/* helper_policy.h: runs a workload through the simulator, that is through the real control, under a policy by name. */
#ifndef MR_TESTS_HELPER_POLICY_H
#define MR_TESTS_HELPER_POLICY_H

#include "unit/helper_sim.h"

/* `policy`: a file of config/policies without ".lua", a path that ends in ".lua", or "sched-X" for a plugin.
 * `settings`: KEY, VALUE, ..., NULL of its section, or NULL for none.  Like helper_sim_run; the caller frees run.tasks.
 */
helper_run helper_policy_run(mr_workload *w, const char *policy, const char *const *settings, const mr_sim_conf *conf);

/* Lines of a workload are printed into it, then read. */
typedef struct helper_lines {
    char text[64 * 1024];
    size_t n;
} helper_lines;
void helper_line(helper_lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
mr_workload *helper_lines_read(const helper_lines *l);

#endif
