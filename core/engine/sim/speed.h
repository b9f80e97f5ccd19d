/* speed.h: what a policy's decisions cost, on this machine: a control with a queue of a given length, no processes.
 *
 * Wall time, medians, of decisions the least of some: other work on the machine disturbs them little.  Thread: one. */
#ifndef MR_ENGINE_SIM_SPEED_H
#define MR_ENGINE_SIM_SPEED_H

#include <miniray/sched.h>

#define MR_SPEED_OP_MAP(X) X(rank) X(place) X(plan) X(pick) X(notice)
typedef enum mr_speed_op {
#define MR_SPEED_ENUM(name) MR_SPEED_##name,
    MR_SPEED_OP_MAP(MR_SPEED_ENUM)
#undef MR_SPEED_ENUM
        MR_SPEED_OPS
} mr_speed_op;
const char *mr_speed_op_name(mr_speed_op op);

typedef struct mr_speed {
    uint64_t queued;          /* tasks that waited all the time */
    double submit;            /* ns to queue one: submitted, placed, ranked */
    double bytes;             /* of control, for each that waits */
    double decision;          /* ns from the close of an instant to the dispatch, each */
    double ops[MR_SPEED_OPS]; /* ns of one call; negative: never called */
    char ejected[256];        /* why the policy was; "": it was not */
} mr_speed;

/* `ops` as a plugin has them; `base` must live until it returns.  Errors: those of open; NOMEM; DEADLOCK when the
 * policy starts nothing. */
mr_status mr_speed_measure(const char *name, const mr_sched_ops *ops, const mr_host *base, uint64_t queued,
                           mr_speed *out, mr_err *err) MR_CHECK_RESULT;
/* From inside the host's fail: the policy under measurement can not go on. */
void mr_speed_failed(void *unused, const char *why);

/* Ranks by the order of submission, and at random: what control's queues cost, without a policy's own work. */
extern const mr_sched_ops mr_speed_increasing, mr_speed_random;

#endif
