/* helper_sim.h: what the tests of the simulator share: workloads from text or from tests/sim, and short policies. */
#ifndef MR_TESTS_HELPER_SIM_H
#define MR_TESTS_HELPER_SIM_H

#include "engine/sim/report.h"
#include "engine/sim/sim.h"

/* The folder tests/sim. */
const char *helper_sim_folder(void);
/* Writes `text` to a file of this test and reads it as a workload; *err as the reader left it. */
mr_status helper_sim_text(mr_workload **out, const char *text, mr_err *err);
/* Reads tests/sim/NAME. */
mr_workload *helper_sim_file(const char *name);

typedef struct helper_run {
    int64_t end; /* last end, ns */
    uint64_t digest;
    mr_sim_stats stats;
    mr_sim_task *tasks; /* owned */
    mr_status status;
    mr_err err;
    char policy_error[400];
    char dump[16 * 1024]; /* of an ejected policy; helper_policy_run only */
} helper_run;
/* One verified run, control's invariants recounted at each instant.  The caller frees run.tasks. */
helper_run helper_sim_run(mr_workload *w, const mr_sched_ops *ops, const mr_sim_conf *conf);
/* The same two for what must be accepted, and must run with nothing refused and no error of the policy. */
mr_workload *helper_sim_lines(const char *lines);
helper_run helper_sim_sound(mr_workload *w, const mr_sched_ops *ops, const mr_sim_conf *conf);

#endif
