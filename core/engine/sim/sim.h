/* sim.h: runs a workload in virtual time through the real control and a real policy.
 *
 * The engine alone knows how long a task will run; what a policy may see of it is decided at one gate (mr_sim_know).
 * One thread per simulation; several may exist.  Deterministic: the same workload, platform, policy and configuration
 * give the same schedule, bit for bit.
 */
#ifndef MR_ENGINE_SIM_SIM_H
#define MR_ENGINE_SIM_SIM_H

#include "control/control.h"
#include "engine/sim/workload.h"

typedef struct mr_sim mr_sim;

/* What a policy may know of durations. */
typedef enum mr_sim_know {
    MR_SIM_NOTHING, /* no estimate at all */
    MR_SIM_LEARNED, /* means of finished runs, by control's own code, as on real workers */
    MR_SIM_STATED,  /* what the workload states in estimate_s */
    MR_SIM_NOISY,   /* the truth times 1 + a normal error of deviation `sigma`, drawn per task from the run's seed */
    MR_SIM_EXACT    /* the truth */
} mr_sim_know;

typedef struct mr_sim_conf {
    mr_sim_know know;
    double sigma;
    bool unfold;      /* tasks are submitted when their parents have ended, not when they arrive */
    bool check;       /* recount control's invariants at every instant: slow */
    uint64_t seed;    /* of the noise and of the policy's random numbers, in separate streams */
    int64_t dispatch; /* ns from a decision to the start of the task */
    int64_t decision; /* ns that 1,000 units of a policy's work take */
    int64_t call;     /* ns that each call of a policy's function takes */
    int64_t change;   /* ns that going on with a stopped task costs */
    int64_t max_hold, min_slice;
    bool stop_on_error; /* a policy that fails ends the run (POLICY); false: it goes on as FIFO */
    /* Of a stream: told of each task when it has ended and is about to be forgotten.  Errors end the run. */
    mr_status (*ended)(void *user, uint32_t task, mr_err *err);
    void *user;
    int64_t max_time; /* virtual ns at which the run is given up (TIMEOUT); MR_UNKNOWN: never */
} mr_sim_conf;

enum { MR_SIM_ACTOR_SLOT = 1000 }; /* "slot" of a call: this and the number of its actor's worker */

typedef struct mr_sim_task {
    int64_t submitted, ready, started, ended; /* ns; MR_UNKNOWN until then; started: of the last attempt */
    int64_t ran;                              /* ns on its slot, stops left out */
    uint64_t bytes;                           /* of all inputs */
    uint32_t node, slot;
    uint32_t attempt;
    int32_t outcome; /* mr_status */
} mr_sim_task;

/* A stretch of an attempt that was stopped at least once, or was lost: with its worker, its node, or because its
 * results went with a node.  Those of one task are in order of time.  What is not listed is an attempt that was
 * neither: it has a single stretch, started to ended. */
typedef struct mr_sim_stretch {
    uint32_t task, node, slot, attempt;
    int64_t from, to; /* ns on its slot; what a switch costs is at its beginning */
} mr_sim_stretch;

/* A run that ended well, and whose results were lost with a node and made again by another run. */
typedef struct mr_sim_earlier {
    uint32_t task;
    mr_sim_task run;
} mr_sim_earlier;

typedef struct mr_sim_stats {
    uint64_t instants, steps, transfers, moved_bytes, stops, refused;
    uint64_t work, dispatches; /* units that the policy said its answers took; tasks handed to workers */
    uint64_t calls;            /* of the policy's functions */
    int64_t decided;           /* ns that went into `work` */
    uint64_t spills, spilled_bytes, store_peak; /* objects that left full stores; most bytes one store held */
    uint64_t deaths;                            /* workers that died while they ran a task, also with their node */
    int64_t lost;                               /* ns that had run of those tasks */
    uint64_t node_deaths, remade;               /* remade: runs of tasks that had ended, for results that were lost */
    int64_t held;                               /* slot-ns */
    uint64_t memory;                            /* of control, at the end */
    bool degraded;                              /* the policy was ejected */
} mr_sim_stats;

void mr_sim_conf_init(mr_sim_conf *conf);
/* `w` and `p` are borrowed until free; a stream is read on as time goes on, and its tasks' numbers are used again.
 *  Errors: NOMEM; CONFIG (mr_workload_horizon); UNSCHEDULABLE when
 * some task fits on no node (named). */
mr_status mr_sim_new(mr_sim **out, mr_workload *w, const mr_platform *p, const mr_sim_conf *conf,
                     mr_err *err) MR_CHECK_RESULT;
void mr_sim_free(mr_sim *s);

/* Before run; ops NULL: FIFO.  `base` must live until free.  Errors: those of the policy's open. */
mr_status mr_sim_policy(mr_sim *s, const char *name, const mr_sched_ops *ops, const mr_host *base,
                        mr_err *err) MR_CHECK_RESULT;
/* The policy's host was told that it can not go on: it is ejected before the next question. */
void mr_sim_policy_fail(mr_sim *s, const char *why);
/* The policy says what its answer took (mr_host.work).  What is decided in one instant leaves together, when that and
 * all decided before has been worked off. */
void mr_sim_policy_work(mr_sim *s, uint64_t units);
/* Engine time, ns since the run began. */
int64_t mr_sim_now(const mr_sim *s);

/* To the end of the last task.  Errors: DEADLOCK when tasks are left and nothing will ever happen (which and why);
 * TIMEOUT (max_time); POLICY (it failed, and stop_on_error); what control refused is a bug of the simulator and said as
 * such (INVAL, PROTOCOL). */
mr_status mr_sim_run(mr_sim *s, mr_err *err) MR_CHECK_RESULT;

/* The next instant alone; nothing when all is over. */
mr_status mr_sim_step(mr_sim *s, mr_err *err) MR_CHECK_RESULT;
uint64_t mr_sim_over(const mr_sim *s); /* tasks that ended */
bool mr_sim_done(const mr_sim *s);     /* all have */
/* For looking: what is decided so far, and a task's id there (0: not submitted yet). */
mr_control *mr_sim_control(const mr_sim *s);
mr_id mr_sim_id(const mr_sim *s, uint32_t task);

const mr_sim_task *mr_sim_tasks(const mr_sim *s);                   /* one per task of the workload */
const mr_sim_stretch *mr_sim_stretches(const mr_sim *s, size_t *n); /* by end */
const mr_sim_earlier *mr_sim_earlier_runs(const mr_sim *s, size_t *n);
void mr_sim_stats_get(const mr_sim *s, mr_sim_stats *out);
/* Why the policy was ejected; NULL: it was not. */
const char *mr_sim_policy_error(const mr_sim *s);
/* What it answered last and how it left the queues; see mr_control_policy_dump. */
const char *mr_sim_policy_dump(const mr_sim *s);
/* The first of its answers that was refused, in words; see mr_control_policy_refusal. */
const char *mr_sim_policy_refusal(const mr_sim *s);
/* Any thread: which op runs, and how many were called; see mr_control_policy_op. */
const char *mr_sim_policy_op(const mr_sim *s, uint64_t *calls);
const char *mr_sim_policy_name(const mr_sim *s);

#endif
