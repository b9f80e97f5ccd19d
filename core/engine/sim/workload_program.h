/* workload_program.h: the fields of a task in JSONL that say what it does while it runs; see workload_program.c. */
#ifndef MR_ENGINE_SIM_WORKLOAD_PROGRAM_H
#define MR_ENGINE_SIM_WORKLOAD_PROGRAM_H

#include "engine/sim/json.h"
#include "engine/sim/workload.h"

typedef struct mr_wl_program {
    const char *on, *parent; /* whose call it is; who submits it */
    int64_t after;           /* ns that its parent has run by then */
    const cJSON *actor, *waits, *fails;
    double group;
    bool driver, stays, retries; /* retries: "max_retries" is stated; of an actor: how often it is made again */
    mr_named keeps[8];           /* what an actor holds while it lives */
    uint32_t n_keeps;
} mr_wl_program;

/* Before the shape of the task is made: what it says of actors goes into `d` (and into p->keeps). */
mr_status mr_wl_program_shape(const mr_json_at *at, mr_wl_program *p, mr_define *d) MR_CHECK_RESULT;
/* After that: all else, of the last task. */
mr_status mr_wl_program_add(const mr_json_at *at, mr_workload *w, const mr_wl_program *p) MR_CHECK_RESULT;

#endif
