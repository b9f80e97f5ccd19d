/* control.h: all that is known and decided, as a state machine without I/O.
 *
 *     status = mr_control_step(control, event, now, &actions)
 *
 * Deterministic: no system call, thread, clock or random number that was not handed in (conf.seed).  A step is atomic:
 * SUBMIT, DEFINE, PUT and NODE_ADDED may fail (for memory or a reason of their own) and then changed nothing;
 * everything that a task's completion needs is reserved when it is submitted.  Events are applied as they come; the
 * policy is asked only when the instant is closed by TIME.  The caller serialises: one step at a time (the node's
 * lock), any thread.
 *
 * Control knows ids, sizes, places and holders of objects, never their bytes: those are the engine's, under the same
 * ids, until a FREE action.  The payload of a SUBMIT (the encoded arguments) is the engine's too, until DROP.
 */
#ifndef MR_CONTROL_CONTROL_H
#define MR_CONTROL_CONTROL_H

#include <miniray/sched.h>
#include <miniray/status.h>
#include <miniray/types.h>

#include "control/record.h"

typedef struct mr_control mr_control;

/* What killed or refused something, in numbers; the engine puts it into words (mr_fault_text). */
typedef struct mr_fault {
    int32_t status;        /* mr_status, e.g. MR_E_CRASHED */
    uint32_t how;          /* mr_death */
    int32_t code;          /* exit code or signal; of LOST: mr_loss */
    int32_t pid;           /* of the worker, 0: none */
    uint32_t worker;       /* number, 0: none */
    uint32_t attempt, of;  /* attempt 2 of 4; of = 0: unbounded */
    uint32_t func;         /* number of the function, 0: none */
    uint32_t may_have_run; /* of an actor call: 0 no, 1 maybe */
    uint32_t why, node; /* of LOST: mr_lost; of ACTOR_DIED: 1: kill() ended it, 2: its group was removed, 3: its owner
                           died, 4: it left by itself, 5: its last handle went; of LOST and NODE_DIED: 1 + number of
                           the node, 0: none */
    mr_id task, cause;  /* cause: actor or object behind it, 0: none */
} mr_fault;

/* Why a lost object cannot be made again. */
typedef enum mr_lost {
    MR_LOST_NONE,
    MR_LOST_PUT,    /* no task made it */
    MR_LOST_ACTOR,  /* a call of an actor made it */
    MR_LOST_STREAM, /* a generator made it */
    MR_LOST_TRIES,  /* its task has no attempt left */
    MR_LOST_FULL,   /* what its task needs was given up, for want of room */
    MR_LOST_GROUP   /* its task's placement group was removed */
} mr_lost;

/* Node numbers are dense (0 is the first); worker numbers start at 1; function numbers start at 1. */
#define MR_ACTION_MAP(X)                                                                                               \
    X(DISPATCH)  /* task id, attempt -> worker (slot in value); details: mr_control_spec */                            \
    X(REVOKE)    /* take task id, attempt back from worker if unclaimed; answer with REVOKED */                        \
    X(INTERRUPT) /* cancel attempt of task id running on worker (flags: FORCE) */                                      \
    X(DELIVER)   /* client's wait `token` is satisfied, status OK, or it never will be (DEADLOCK, SESSION...) */       \
    X(REPLY)     /* to client's request `token`: status, value */                                                      \
    X(SPAWN)     /* start process `worker` on node: lang in flags, env in value */                                     \
    X(RETIRE)    /* ask worker to leave when its queue is empty; answer with WORKER_RETIRED */                         \
    X(KILL)      /* end worker's process now; WORKER_DIED follows */                                                   \
    X(RESUME)    /* producer of stream task id: its window allows `value` items in all; it stands still by itself */   \
    X(STOP)      /* preempt task id on worker; answer with STOPPED (or FINISHED) */                                    \
    X(CONTINUE)  /* a stopped task goes on */                                                                          \
    X(SPILL)     /* object id of node to disk, `value` bytes; answer with SPILLED or RESTORED and as many bytes */     \
    X(RESTORE)   /* and back; answer with RESTORED, SPILLED (no room) or LOST */                                       \
    X(EVICT)     /* drop the copy of object id on node (others remain) */                                              \
    X(FREE)      /* object id is given up: drop its bytes everywhere (flags: mr_free_flags) */                         \
    X(TRANSFER)  /* copy object id from node (value) to node; answer with ARRIVED or LOST */                           \
    X(COLLECT)   /* all clients: collect garbage, flush drops */                                                       \
    X(FAIL)      /* object id is sealed with `fault` as its error: make the value */                                   \
    X(ALIAS)     /* object id is sealed with the value of object id2 (an error) */                                     \
    X(DROP)      /* task id is over: its payload may go */                                                             \
    X(WAKE)      /* step TIME at `value` (ns) at the latest; replaces the earlier wish; MR_UNKNOWN: none */            \
    X(REPORT)    /* tell the user: flags = mr_report, id */

typedef enum mr_action_kind {
    MR_ACT_NONE = 0,
#define MR_ACTION_ENUM(name) MR_ACT_##name,
    MR_ACTION_MAP(MR_ACTION_ENUM)
#undef MR_ACTION_ENUM
        MR_ACT_COUNT
} mr_action_kind;

typedef enum mr_report {
    MR_REPORT_EJECTED = 1,   /* policy: see mr_control_policy_error */
    MR_REPORT_UNHANDLED = 2, /* error of task id (fault.func) whose references were all dropped unread */
    MR_REPORT_REFUSED = 3,   /* a policy's answer was refused (once per op) */
    MR_REPORT_STALE = 4      /* a message of an old attempt was refused */
} mr_report;

/* FREE with HELD: given up on request while somebody holds it, so bytes that are being looked at must stay; the FREE
 * without it comes with the last holder. */
typedef enum mr_free_flags {
    MR_FREE_HELD = 1,
    MR_FREE_CODE = 2, /* it was the code of functions, with references in it: processes that have loaded it let go */
    MR_FREE_AGAIN = 4 /* lost, to be made again: an error of the same step may have taken its place already */
} mr_free_flags;

typedef struct mr_action {
    uint16_t kind, flags;
    int32_t status;
    uint32_t client; /* DELIVER, REPLY: to whom */
    uint32_t worker; /* number */
    uint32_t node;
    uint32_t attempt;
    uint32_t token, pad0;
    mr_id id, id2;
    int64_t value;
    mr_fault fault; /* FAIL, REPLY with an error */
} mr_action;

/* The caller's array; control appends, the caller reads v[0..n) and sets n = 0.  A step that finds no memory for the
 * first actions is refused; `lost`: for a later one, so that what was decided is not known any more and the control can
 * only be freed. */
typedef struct mr_actions {
    mr_action *v;
    size_t n, cap;
    bool lost;
} mr_actions;
void mr_actions_free(mr_actions *a);

typedef enum mr_know { MR_KNOW_NOTHING, MR_KNOW_LEARNED, MR_KNOW_STATED } mr_know;

typedef struct mr_control_conf {
    uint64_t seed;    /* of the policy's random stream */
    int64_t max_hold; /* ns something may be startable while nothing runs or travels before the policy is ejected */
    int64_t prefetch; /* ns of learned work a busy worker may hold beyond what runs; 0: strict, no prefetch */
    uint32_t prefetch_max; /* records, at most 63 */
    uint32_t actor_window; /* calls sent ahead to an actor with max_concurrency 1, at most 255 */
    uint32_t max_workers;  /* processes but those of actors, all nodes together */
    uint32_t history;      /* finished tasks remembered */
    int64_t idle_worker;   /* ns after which an idle process retires; MR_UNKNOWN: never */
    bool lineage;          /* ended tasks are kept to make again what a lost node had, or a bad disk */
    bool spill;            /* a full store gives objects to a disk */
    int64_t grace;        /* ns a running task may ignore a cancel before its process is killed; MR_UNKNOWN: for ever */
    bool infeasible_wait; /* true: keep what no node can run; false: MR_E_UNSCHEDULABLE at SUBMIT */
    const mr_named *quotas; /* CPUs at a time by user; copied */
    uint32_t n_quotas;
    mr_know know;       /* what estimate shows; exact and noisy are STATED with what the engine states */
    uint64_t bandwidth; /* bytes per second between nodes, for copy(); 0: unknown */
    int64_t latency;    /* ns */
    int64_t min_slice;  /* ns that a task runs before it may be stopped, each time */
    bool explain;       /* decisions are recorded: 4.5 MB */
    bool stop_on_error; /* a failed policy ends all work; false: it goes on as FIFO */
} mr_control_conf;

/* Defaults as in the table of config. */
void mr_control_conf_init(mr_control_conf *conf);
mr_status mr_control_new(const mr_control_conf *conf, mr_control **out) MR_CHECK_RESULT;
void mr_control_free(mr_control *c);

/* The one entry.  `now` never goes back.  Errors: see mr_ev_submit; INVAL for an event that makes no sense (an unknown
 * id, a message of an old attempt): refused, counted, harmless.  For DEFINE, SUBMIT, READ, NAME, GROUP with h.token !=
 * 0 a REPLY action carries the answer, also when the status is an error. */
mr_status mr_control_step(mr_control *c, const mr_record *event, int64_t now, mr_actions *out) MR_CHECK_RESULT;
/* A run of function `func` takes `ns` on nodes of speed class `cls`, whatever their speed: for functions whose times
 * are not one number over a speed.  cost() tells it to a policy when conf.know is STATED.  Errors: INVAL (no such
 * function, a class above 255), NOMEM. */
mr_status mr_control_class_cost(mr_control *c, uint32_t func, uint32_t cls, int64_t ns) MR_CHECK_RESULT;
/* The object `id`, not sealed yet, will have `bytes`: shown to a policy as its edge's bytes when conf.know is STATED.
 * Errors: INVAL (no such object, sealed already). */
mr_status mr_control_size_stated(mr_control *c, mr_id id, uint64_t bytes) MR_CHECK_RESULT;
/* Why the last step failed, in words that name the request and the nearest that fits; "" if it did not. */
const char *mr_control_why(const mr_control *c);

/* Installs a policy, or swaps the one at work for it: `ops` is copied; open is called here, close at the next swap,
 * ejection or free.  ops NULL: FIFO.  What the old instance `save`s is given to the new one if both have the same
 * `name`.  On an error (the policy's own, UNSUPPORTED, NOMEM) the old one goes on as if nothing had been.  Then step a
 * POLICY event: the present is told as one batch. */
mr_status mr_control_policy(mr_control *c, const char *name, const mr_sched_ops *ops, const mr_host *base,
                            mr_err *err) MR_CHECK_RESULT;
/* Those that were installed since the run began, the last MR_POLICY_PAST of them, oldest first; false: no more. */
enum { MR_POLICY_PAST = 16 };
typedef struct mr_policy_past {
    int64_t at; /* ns */
    char name[64];
    /* The present that it was told: tasks in all, and of them those that were ready, ran, and stood stopped. */
    uint32_t submitted, ready, running, stopped;
    bool restored; /* it took over what the one before had saved */
} mr_policy_past;
bool mr_control_policy_past(const mr_control *c, uint32_t i, mr_policy_past *out);
/* Name of the policy, and the error it was ejected for (NULL: it was not; then `degraded` reports stay false).  After
 * an ejection the name is "fifo"; `given` is still the name of the policy that was ejected. */
const char *mr_control_policy_name(const mr_control *c);
const char *mr_control_policy_given(const mr_control *c);
const char *mr_control_policy_error(const mr_control *c);
/* What an ejected policy answered last and how it left the queues: lines of text, good until the next change of policy.
 * NULL: none was ejected, or there was no memory for it. */
const char *mr_control_policy_dump(const mr_control *c);
/* The first answer of the policy at work that was refused, in words; NULL: none was. */
const char *mr_control_policy_refusal(const mr_control *c);
/* Closes the policy's instance, as free does, for an engine that wants to know that it comes to an end: FIFO from here
 * on. */
void mr_control_policy_end(mr_control *c);
/* The op that runs now (NULL: none) and how many were called so far.  Any thread; for a watchdog. */
const char *mr_control_policy_op(const mr_control *c, uint64_t *calls);
/* The same as it is kept: in `kept` from now on, which may be memory that other processes see and outlives control (or
 * NULL: in control's own).  Written by the thread that steps, word by word. */
typedef struct mr_policy_now {
    uint64_t calls;
    uint32_t op;     /* 0: none; see mr_control_op_text */
    char policy[64]; /* whose op it is */
} mr_policy_now;
void mr_control_policy_now(mr_control *c, mr_policy_now *kept);
const char *mr_control_op_text(uint32_t op); /* NULL: none */
/* The engine learned of a failure (host->fail) outside a question: eject at the next TIME. */
void mr_control_policy_fail(mr_control *c, const char *why);

/* -------------------------------------------------------------------------------------- looking in (no change) -- */

/* What a dispatch needs; arrays are control's, good until the next step. */
typedef struct mr_spec {
    mr_id task, actor, parent;
    uint32_t func, attempt, n_returns, n_deps, n_refs, owner;
    const mr_id *deps; /* n_deps */
    uint64_t gpus;     /* that it was given, by index on its node; 0 also where they are only counted */
} mr_spec;
mr_status mr_control_spec(const mr_control *c, mr_id task, mr_spec *out) MR_CHECK_RESULT;

/* The definition as it was given (payload included, h.size bytes); NULL: no such function. */
const mr_define *mr_control_func(const mr_control *c, uint32_t func);

typedef enum mr_object_state {
    MR_OBJ_NONE = 0,
    MR_OBJ_PENDING,
    MR_OBJ_SEALED,
    MR_OBJ_ERROR,
    MR_OBJ_LOST,
    MR_OBJ_FREED
} mr_object_state;
typedef struct mr_object_info {
    mr_object_state state;
    uint64_t size;
    uint64_t nodes;         /* bit n: a copy on node n (the first 64) */
    uint32_t holders;       /* of all kinds */
    uint32_t format, flags; /* MR_VALUE_ */
    mr_id task;             /* that makes it; 0: put */
    uint32_t func;          /* of that task; 0: put, item of a stream */
    uint32_t n_refs;        /* inside */
    bool code;              /* functions run it; func: the first of them */
    bool on_disk;           /* and in no store */
} mr_object_info;
/* NONE for an id never seen or gone. */
mr_object_info mr_control_object(const mr_control *c, mr_id id);
/* The value of `id`, an error, was handed to somebody: no MR_REPORT_UNHANDLED for it or the other results of its task.
 * Not an event, so not in a recording. */
void mr_control_seen(mr_control *c, mr_id id);
/* Is a task of this function known to take less than it costs to wake a process? */
bool mr_control_short(const mr_control *c, uint32_t number);
/* Can closing the instant (TIME) change anything that cannot wait?  False after the submit of a task that stands behind
 * others that need the same and could not start, or that a busy process will get which has plenty to do for the moment:
 * then the next event of a worker (or, at the latest, the WAKE that was asked for) closes it soon enough. */
bool mr_control_eager(const mr_control *c);
/* For so many ns what could start has found no memory: the caller may see no more sense in it. */
int64_t mr_control_starved(const mr_control *c);
/* Fast form for waiting loops: is it sealed, an error, lost or freed? */
bool mr_control_settled(const mr_control *c, mr_id id);
/* Settled, or a stream with an item to read. */
bool mr_control_there(const mr_control *c, mr_id id);

typedef struct mr_worker_info {
    uint32_t worker, node, env, lang, state; /* mr_process_state */
    int32_t pid;
    mr_id task, actor; /* running; living in it */
} mr_worker_info;
typedef enum mr_process_state {
    MR_PROC_GONE = 0,
    MR_PROC_STARTING,
    MR_PROC_IDLE,
    MR_PROC_BUSY,
    MR_PROC_BLOCKED,
    MR_PROC_ACTOR,
    MR_PROC_RETIRING,
    MR_PROC_STOPPED /* stands still in the middle of a task */
} mr_process_state;
bool mr_control_worker(const mr_control *c, uint32_t worker, mr_worker_info *out);
uint32_t mr_control_worker_next(const mr_control *c, uint32_t after); /* 0: the first; 0 back: no more */

typedef struct mr_node_info {
    const char *name;
    bool alive;
    uint32_t n;               /* resources */
    const char *const *names; /* n */
    const int64_t *total, *free;
    uint32_t slots;
    uint32_t n_labels;
    const mr_label *labels;
} mr_node_info;
bool mr_control_node(const mr_control *c, uint32_t node, mr_node_info *out);
uint32_t mr_control_nodes(const mr_control *c); /* numbers given so far */

/* PLACED: all bundles have a node.  RESCHEDULING: some had, and lost it with a node. */
typedef enum mr_group_state {
    MR_GROUP_PENDING = 0,
    MR_GROUP_PLACED = 1,
    MR_GROUP_REMOVED = 2,
    MR_GROUP_RESCHEDULING = 3
} mr_group_state;
typedef struct mr_group_info {
    mr_id id;
    mr_group_state state;
    uint32_t strategy, n_bundles, unplaced;
    const char *name, *ns; /* "" if it has none */
} mr_group_info;
bool mr_control_group(const mr_control *c, mr_id group, mr_group_info *out);
mr_id mr_control_group_next(const mr_control *c, mr_id after); /* removed ones too, by id; 0: no more */
typedef struct mr_bundle_info {
    uint32_t node; /* UINT32_MAX: none yet */
    uint32_t n;
    const mr_amount *asks; /* n */
} mr_bundle_info;
bool mr_control_bundle(const mr_control *c, mr_id group, uint32_t i, mr_bundle_info *out);
const char *mr_group_strategy_name(uint32_t strategy);
const char *mr_control_resource(const mr_control *c, uint32_t res); /* name of resource `res` */

typedef enum mr_actor_state {
    MR_ACTOR_NONE = 0,
    MR_ACTOR_PENDING,
    MR_ACTOR_ALIVE,
    MR_ACTOR_RESTARTING,
    MR_ACTOR_DEAD
} mr_actor_state;
typedef struct mr_actor_info {
    mr_actor_state state;
    uint32_t func, worker, restarts, pending; /* calls queued and in flight */
    bool detached;
    uint32_t owner;        /* client that made it */
    mr_fault fault;        /* of DEAD: why */
    const char *name, *ns; /* "" if it has none */
} mr_actor_info;
bool mr_control_actor(const mr_control *c, mr_id actor, mr_actor_info *out);
/* The dead too, while somebody knows them; any order; `at` starts at 0; 0 back: no more. */
mr_id mr_control_actor_next(const mr_control *c, uint64_t *at);

/* Where a task is in its life, finer than mr_task_state. */
#define MR_PHASE_MAP(X)                                                                                                \
    X(ARGS, "args")       /* an argument is not sealed yet */                                                          \
    X(ORDER, "order")     /* call that may not be sent before others, or whose actor is not there */                   \
    X(QUEUED, "queued")   /* ready, no seat yet */                                                                     \
    X(TRAVEL, "travel")   /* has its seat; inputs are on their way there */                                            \
    X(PROCESS, "process") /* has its seat; a worker process is being started */                                        \
    X(SENT, "sent")       /* in a worker's ring, not begun */                                                          \
    X(RUNNING, "running")                                                                                              \
    X(BLOCKED, "blocked") /* running, and waits for objects */                                                         \
    X(STOPPED, "stopped") /* preempted */                                                                              \
    X(LIVING, "living")   /* creation of an actor that lives */                                                        \
    X(OVER, "over")
typedef enum mr_phase {
#define MR_PHASE_ENUM(name, text) MR_PHASE_##name,
    MR_PHASE_MAP(MR_PHASE_ENUM)
#undef MR_PHASE_ENUM
        MR_PHASE_COUNT
} mr_phase;
const char *mr_control_phase(mr_phase phase); /* its text */

/* Living and the last conf.history finished tasks, oldest first; `at` starts at 0 and is advanced; false: no more. */
typedef struct mr_task_info {
    mr_id task, actor, parent;
    uint32_t func, attempt, owner, worker, node, slot; /* slot: number on its node, where it runs or ran */
    mr_phase phase;
    uint64_t bytes;    /* of its arguments */
    int32_t outcome;   /* when over */
    int32_t pid;       /* of the process that ran it, when over; 0: not known */
    uint32_t how, why; /* of an actor's creation, when over: what ended the actor, as in mr_fault */
    int32_t code;
    int state; /* mr_task_state, MR_OVER for finished ones */
    bool blocked;
    int64_t submitted_at, ready_at, started_at, ended_at;
} mr_task_info;
bool mr_control_task_next(const mr_control *c, uint64_t *at, mr_task_info *out);
/* What a task that does not run (or is blocked) waits for, as a sentence; "" for others. */
void mr_control_task_waits(const mr_control *c, mr_id task, char *out, size_t n);

/* Every object that control knows, any order; `at` starts at 0; 0 back: no more. */
mr_id mr_control_object_next(const mr_control *c, uint64_t *at);
typedef enum mr_holder_kind {
    MR_HOLDS_CLIENT, /* a process: id is its number, 0 the driver */
    MR_HOLDS_TASK,   /* argument, or reference inside an argument, of task id */
    MR_HOLDS_OBJECT, /* object id has a reference to it inside */
    MR_HOLDS_STREAM, /* item of stream id that nobody read */
    MR_HOLDS_CODE,   /* the tasks of function number id: its code */
    MR_HOLDS_ITSELF  /* a detached actor */
} mr_holder_kind;
/* Calls `hold` once for each hold of each object, in any order. */
void mr_control_holds(const mr_control *c, void (*hold)(void *arg, mr_id object, mr_holder_kind kind, uint64_t id),
                      void *arg);

/* With conf.explain: what was decided, by control and by the policy.  The last 32,768 of it, oldest first. */
typedef enum mr_decided {
    MR_DECIDED_READY,   /* answer: the task whose end made it ready, 0: not known; bound: MR_BOUND_ARGS; why, res, had,
                           wanted, slot (one of the node that lacks least): what kept it from starting at once */
    MR_DECIDED_RANK,    /* rank: the answer; line */
    MR_DECIDED_PLACE,   /* answer: a slot, a node, none; line */
    MR_DECIDED_PLAN,    /* the same */
    MR_DECIDED_PICK,    /* answer: a task, none, MR_STOP; slot, line, candidates */
    MR_DECIDED_PREEMPT, /* answer: whose seat it takes, none; line */
    MR_DECIDED_SLICE,   /* rank: ns; slot, line */
    MR_DECIDED_START, /* slot, bound, candidates: who was left; why, res, had, wanted: of the first, if it stands before
                       */
    MR_DECIDED_STOP,  /* slot; had: ns that it ran this time */
    MR_DECIDED_END,   /* the same */
    MR_DECIDED_DROP
} mr_decided;
typedef enum mr_passed {
    MR_PASSED_NONE,
    MR_PASSED_ROOM,   /* it wanted more of `res` than there was */
    MR_PASSED_LIMIT,  /* a limit of its function; of START, a quota too */
    MR_PASSED_NODE,   /* it may not run on that node; of READY: on none that is there */
    MR_PASSED_CHOICE, /* it could: the policy, or its place, said otherwise */
    MR_PASSED_QUOTA,  /* of READY, like those below: of its user; res: see mr_control_wanted */
    MR_PASSED_GROUP,  /* room in its placement group */
    MR_PASSED_TRAVEL, /* it had a seat, but its inputs were on the way */
    MR_PASSED_PROCESS /* it had a seat, but no process yet */
} mr_passed;
enum { MR_BOUND_NODE = 1, MR_BOUND_SPREAD, MR_BOUND_LABELS, MR_BOUND_GROUP, MR_BOUND_ARGS, MR_CANDIDATES = 4 };
typedef struct mr_decision {
    int64_t at; /* ns */
    mr_id task; /* whom it is about; 0: PICK that chose nobody */
    mr_ref answer;
    double rank;
    uint64_t entry; /* rank and entry are the task's, as they were */
    int64_t had, wanted;
    uint32_t func, slot, line, n_ready, res; /* slot: id + 1, 0: none; n_ready: how many waited */
    uint8_t what, why, bound, n_candidates;  /* mr_decided, mr_passed */
    struct {
        mr_id task;
        double rank;
        uint32_t func;
    } candidates[MR_CANDIDATES]; /* of those that waited, the first by rank */
} mr_decision;
/* What a policy may ask, for people who look; no question is open.  Good until the next policy. */
const mr_sched_host *mr_control_host(const mr_control *c);
/* Asks the policy by hand: `op` is MR_OP_RANK, SLICE (number), PLACE, PLAN, PREEMPT (answer; of a task), PICK (of a
 * slot); SLICE for the slot where the task is, else the first where it may run. The answer is not acted upon; what the
 * policy keeps of it stays.  Errors: NOTFOUND (no such op, task, slot), POLICY (it failed, and is ejected). */
mr_status mr_control_ask(mr_control *c, uint32_t op, mr_ref of, double *number, mr_ref *answer,
                         uint32_t *line) MR_CHECK_RESULT;
bool mr_control_explains(const mr_control *c);
/* What a decision's `res` names: a resource, or, of QUOTA and LIMIT at READY, a user or a function. */
const char *mr_control_wanted(const mr_control *c, const mr_decision *d);
/* `at` starts at 0; NULL: no more.  Good until the next step. */
const mr_decision *mr_control_decision_next(const mr_control *c, uint64_t *at);
/* The node of a slot by id (mr_decision.slot - 1), and its number there. */
bool mr_control_slot(const mr_control *c, uint32_t id, uint32_t *on, uint32_t *local);

typedef struct mr_control_stats {
    uint64_t steps, submitted, finished, failed, cancelled, retried, stale, refused; /* refused: policy answers */
    uint64_t tasks, objects, ready, waiting, running, actors, workers, idle_workers;
    uint64_t object_bytes, moved_bytes;        /* sealed now, on disk or not; sum of TRANSFER sizes */
    uint64_t spilled_bytes, spilled, restored; /* on disk now; objects that went there and came back, ever */
    uint64_t kept;                             /* ended tasks kept to make their results again */
    uint64_t kept_bytes;                       /* of their records and arguments */
    uint64_t stopped, stops;                   /* tasks that stand still now; how often one was stopped, ever */
    int64_t held;    /* slot-ns something could start on an idle slot and the policy held it back */
    uint64_t memory; /* bytes of control itself */
} mr_control_stats;
void mr_control_stats_get(const mr_control *c, mr_control_stats *out);

/* Recounts everything (O(n)): pools total = free + held, holders, queues, outcomes exactly once.  Errors: the first
 * broken invariant, in err.  Called by tests after each step and by the simulator on request. */
mr_status mr_control_check(const mr_control *c, mr_err *err) MR_CHECK_RESULT;

/* "worker 4242 was killed by signal 9 (SIGKILL) while running f, attempt 2 of 4".  Returns the length; cut at n. */
size_t mr_fault_text(const mr_control *c, const mr_fault *f, char *text, size_t n);

#endif
