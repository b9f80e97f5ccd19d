/* record.h: the one form in which everything is told: events to control, orders to workers, the recording.
 *
 * A record has no pointers.  It is `mr_record`, a body by kind, `n_ids` object ids, then `n_bytes` bytes of payload
 * that control never looks at (an encoded value, arguments, a name).  A client builds it once: the embedded driver
 * hands it to control under the node's lock, a worker publishes it in its ring and the node hands the same bytes to
 * control. The node trusts nothing in a record out of a ring: it sets `from` itself and checks every length
 * (mr_record_check).
 */
#ifndef MR_CONTROL_RECORD_H
#define MR_CONTROL_RECORD_H

#include <miniray/status.h>
#include <miniray/types.h>

enum { MR_RECORD_VERSION = 1 };

typedef struct mr_record {
    uint32_t size;    /* of the whole record, a multiple of 8 */
    uint16_t kind;    /* mr_event_kind, or mr_order_kind for records to a worker */
    uint16_t version; /* MR_RECORD_VERSION */
    uint32_t from;    /* client (0: the driver; else the worker's number); set by the node */
    uint32_t n_ids;   /* mr_id after the body */
    uint32_t n_bytes; /* payload after the ids, before padding */
    uint32_t token;   /* of a request that wants a REPLY or DELIVER; 0: none.  Chosen by the client */
} mr_record;

/* ------------------------------------------------------------------------------------------------ definitions -- */

/* A resource or label by name: definitions travel with names, control interns them. */
typedef struct mr_named {
    char name[56];
    int64_t amount;
} mr_named;
typedef struct mr_label {
    char key[32], value[32];
} mr_label;

/* A condition on a label of the node: those of the same key, op and soft that follow each other are alternatives. */
typedef enum mr_term_op {
    MR_TERM_IN = 0,     /* the label is there, and is `value` */
    MR_TERM_NOT_IN = 1, /* it is not there, or is none of the values */
    MR_TERM_EXISTS = 2,
    MR_TERM_ABSENT = 3
} mr_term_op;
typedef struct mr_term {
    char key[32], value[32];
    uint32_t op, soft; /* soft: nodes where it holds are tried first */
} mr_term;

typedef enum mr_func_kind { MR_FUNC_TASK = 0, MR_FUNC_ACTOR = 1, MR_FUNC_METHOD = 2 } mr_func_kind;
typedef enum mr_lang { MR_LANG_C = 0, MR_LANG_PYTHON = 1 } mr_lang;
typedef enum mr_strategy { MR_STRATEGY_DEFAULT = 0, MR_STRATEGY_SPREAD = 1, MR_STRATEGY_NODE = 2 } mr_strategy;

enum {                            /* flags of a function */
       MR_FUNC_ASYNC = 1,         /* actor with an event loop */
       MR_FUNC_STREAMING = 2,     /* results come as a stream of items */
       MR_FUNC_DETACHED = 4,      /* actor that outlives its owner */
       MR_FUNC_RETRY_ERRORS = 8,  /* application errors are retried too (the worker says which: FINISHED.retriable) */
       MR_FUNC_SOFT_NODE = 16,    /* node affinity is a wish */
       MR_FUNC_EXPLICIT_CPU = 32, /* actor: `living` was stated */
       MR_FUNC_SYSTEM = 64,       /* method that runs beside others whatever max_concurrency says */
       MR_FUNC_CAPTURE = 128,     /* what it submits runs in its placement group */
       MR_FUNC_OWN_PLACE = 256    /* where it runs was stated: no group of who submits it captures it */
};

enum {
    MR_LANES_MAX = 15,   /* concurrency groups of an actor, beside the default one */
    MR_LOOP_CALLS = 1000 /* calls in flight of an actor with an event loop that does not say how many */
};

/* A remote function with its options, defined once per session and (function, options); its number is the answer. */
typedef struct mr_define {
    mr_record h;
    mr_id code;         /* object with the pickled function or class; 0 for C */
    uint8_t kind, lang; /* mr_func_kind, mr_lang */
    uint8_t strategy;
    uint8_t lane;            /* of a method: its concurrency group among its actor's lanes, 0: the default one */
    uint32_t flags;          /* MR_FUNC_ */
    uint32_t env;            /* number of the runtime environment, 0: none; part of the worker kind */
    int32_t n_returns;       /* usual number of results; 0 allowed */
    int32_t max_retries;     /* of a task, or of each call of a method; -1: for ever */
    int32_t max_restarts;    /* of an actor; -1: for ever */
    int32_t max_concurrency; /* of an actor: calls in flight; 1 unless given */
    int32_t max_pending;     /* of an actor: queued calls per actor; -1: any */
    int32_t max_calls;       /* worker retires after so many; 0: never */
    int32_t priority;
    int32_t window;                       /* unread items of a stream at which its producer stands still; -1: any */
    int64_t estimate, limit, deadline;    /* ns; MR_UNKNOWN; deadline counts from submission */
    mr_ref node;                          /* STRATEGY_NODE */
    mr_id group;                          /* placement group, 0: none */
    int32_t bundle;                       /* in it, -1: any */
    int32_t max_running;                  /* tasks (or living actors) of this function at a time; 0: any number */
    uint32_t n_needs, n_living, n_labels; /* mr_named needs[], mr_named living[], mr_label labels[], ... */
    uint32_t n_terms;                     /* ... mr_term terms[] follow as payload */
    uint16_t lanes[MR_LANES_MAX];         /* of an actor: calls in flight of concurrency group 1, 2, ... */
    uint16_t n_lanes;
    char name[120]; /* for people: "wordcount.count", "Counter.increment" */
    char entry[64]; /* what the worker looks up: a C function, a method */
    char user[40];  /* who is charged; "" = the job's */
} mr_define;

/* ----------------------------------------------------------------------------------------------------- events -- */

#define MR_EVENT_MAP(X)                                                                                                \
    X(DEFINE, mr_define)            /* a remote function; REPLY value: its number */                                   \
    X(SUBMIT, mr_ev_submit)         /* a task, an actor, a call */                                                     \
    X(PUT, mr_ev_put)               /* a client sealed an object of its own */                                         \
    X(SEALED, mr_ev_sealed)         /* a running task sealed one of its results */                                     \
    X(YIELDED, mr_ev_sealed)        /* the same, an item of a stream; `id` is given by the worker */                   \
    X(READ, mr_ev_id)               /* a reader took the next item of stream `id`; REPLY value: the item's id */       \
    X(STARTED, mr_ev_task)          /* a worker claimed a dispatched record */                                         \
    X(BLOCKED, mr_ev_blocked)       /* a client waits for `need` of ids; DELIVER answers */                            \
    X(UNBLOCKED, mr_ev_token)       /* it gave up (timeout, interrupt) */                                              \
    X(FINISHED, mr_ev_finished)     /* an attempt ended; may carry the last result */                                  \
    X(WORKER_UP, mr_ev_worker)      /* a spawned process is ready */                                                   \
    X(WORKER_RETIRED, mr_ev_worker) /* it left as asked */                                                             \
    X(WORKER_DIED, mr_ev_worker)    /* it died, with the proof */                                                      \
    X(REFS, mr_ev_refs)             /* client's holds: the first `n_add` ids 0 -> 1, the others 1 -> 0 */              \
    X(FREE, mr_ev_none)             /* ids are given up now, whoever holds them */                                     \
    X(CANCEL, mr_ev_cancel)         /* task or call that makes object `id` */                                          \
    X(KILL, mr_ev_cancel)           /* actor `id` */                                                                   \
    X(NAME, mr_ev_none)             /* "namespace\0name\0" -> REPLY value: actor id, or NOTFOUND */                    \
    X(GROUP, mr_ev_group)           /* make, remove, find a placement group; REPLY value: its id */                    \
    X(ARRIVED, mr_ev_place)         /* a copy of object `id` is on `node` */                                           \
    X(LOST, mr_ev_place)            /* the copy of object `id` on `node` is gone (all: node = none) */                 \
    X(SPILLED, mr_ev_place)         /* object `id` is on disk, no longer in the store of `node` (or: not restored) */  \
    X(RESTORED, mr_ev_place)        /* and back (or: it was not spilled) */                                            \
    X(STORE_FULL, mr_ev_place)      /* `size` bytes did not fit on `node` for client `from` */                         \
    X(REVOKED, mr_ev_task)          /* answer to a REVOKE order: `ok`, or the worker was faster */                     \
    X(UNSENT, mr_ev_worker)         /* ids: given to `worker` in this order, not begun, taken back (an argument went,  \
                                       or, with `how`, its end, which follows) */                                      \
    X(STOPPED, mr_ev_task)          /* a preempted task stands still */                                                \
    X(NODE_ADDED, mr_ev_node)       /* a node with its pools */                                                        \
    X(NODE_REMOVED, mr_ev_place)    /* node `node` and all on it is gone */                                            \
    X(POLICY, mr_ev_none)           /* the policy was swapped (see mr_control_policy) */                               \
    X(TIME, mr_ev_none)             /* the instant is closed: ask the policy, sweep, fire timers */                    \
    X(WANTED, mr_ev_id)             /* somebody wants the bytes of object `id`, which are on disk */

typedef enum mr_event_kind {
    MR_EV_NONE = 0,
#define MR_EVENT_ENUM(name, type) MR_EV_##name,
    MR_EVENT_MAP(MR_EVENT_ENUM)
#undef MR_EVENT_ENUM
        MR_EV_COUNT
} mr_event_kind;

typedef struct mr_ev_none {
    mr_record h;
} mr_ev_none;
typedef struct mr_ev_id {
    mr_record h;
    mr_id id;
} mr_ev_id;
typedef struct mr_ev_token {
    mr_record h; /* h.token */
} mr_ev_token;

enum {
    MR_SUBMIT_GET_IF_EXISTS = 1,
    MR_SUBMIT_NAMED = 2,  /* payload ends with "namespace\0name\0", name_bytes long */
    MR_SUBMIT_UNHEARD = 4 /* no cancel had reached its parent: one that goes on to what a task starts takes it along */
};
/* ids: n_deps arguments (their values are given to the task), then n_refs references inside the payload.
 * The submitter holds the results (`id` .. `id + n_returns - 1`, at least one id is used) from here on.
 * Fails (nothing changed): NOMEM, UNSCHEDULABLE, NAME_TAKEN, PENDING_CALLS, ACTOR_DIED, FREED / NOTFOUND (an argument).
 */
typedef struct mr_ev_submit {
    mr_record h;
    mr_id id;     /* first result; the task's id */
    mr_id actor;  /* of a call; else 0 */
    mr_id parent; /* task that submits; 0: the driver or an actor outside a call */
    uint32_t func, flags;
    uint32_t n_returns, n_deps, n_refs, name_bytes;
    int64_t estimate; /* as stated for this task, ns; MR_UNKNOWN: the function's */
    int32_t priority; /* added to the function's */
    uint32_t pad0;
} mr_ev_submit;

enum {
    MR_VALUE_ERROR = 1,  /* get raises it */
    MR_VALUE_STORED = 2, /* in a store, not inline */
    MR_VALUE_NOWAIT = 4  /* from a client to its own port, which takes it off: BUSY instead of a wait */
};
/* ids: references inside the value. `from` holds `id`. */
typedef struct mr_ev_put {
    mr_record h;
    mr_id id;
    uint64_t size;
    uint32_t node;   /* dense number */
    uint32_t format; /* the binding's; travels with the bytes */
    uint32_t flags;  /* MR_VALUE_ */
    uint32_t pad0;
} mr_ev_put;
/* ids: references inside the value.  Refused (answered MR_E_INVAL, harmless) when `attempt` is not the running one. */
typedef struct mr_ev_sealed {
    mr_record h;
    mr_id task, id; /* id = task + index for results */
    uint64_t size;
    uint32_t attempt, index, node, format, flags, pad0;
} mr_ev_sealed;

typedef struct mr_ev_task {
    mr_record h;
    mr_id task;
    uint32_t attempt, worker;
    int64_t ran; /* STOPPED: ns of this start */
    uint32_t ok, pad0;
} mr_ev_task;

enum {
    MR_WAIT_EARLY = 1 /* also satisfied by the first error */,
    MR_WAIT_LEND = 2 /* a task's main thread: lends its CPU */,
    MR_WAIT_VALUES = 4 /* the node sends the values along (for the engine; control ignores it) */,
    MR_WAIT_TIMED = 8 /* ends by itself: nobody who waits for its task is stuck */
};
typedef struct mr_ev_blocked {
    mr_record h;
    mr_id task; /* that blocks; 0: none (driver, actor thread) */
    uint32_t need, flags;
} mr_ev_blocked;

enum {
    MR_FINISHED_RESULT =
        1 /* id/size/format/vflags + payload: the last result, or the error of all that are unsealed */,
    MR_FINISHED_EXIT = 2 /* exit_actor */,
    MR_FINISHED_RETRIABLE = 4 /* an error that the user wants retried */
};
typedef struct mr_ev_finished {
    mr_record h;
    mr_id task, id; /* id: of the result it carries */
    uint64_t size;
    int64_t ran; /* ns, measured by the worker */
    uint32_t attempt;
    int32_t outcome; /* MR_OK, MR_E_TASK, MR_E_CANCELLED, ... */
    uint32_t flags;  /* MR_FINISHED_ */
    uint32_t node, format, vflags;
} mr_ev_finished;

typedef enum mr_death {
    MR_DEATH_NONE = 0,
    MR_DEATH_EXIT = 1,
    MR_DEATH_SIGNAL = 2,
    MR_DEATH_OOM = 3,
    MR_DEATH_SPAWN = 4 /* could not be started */
} mr_death;
typedef struct mr_ev_worker {
    mr_record h;
    uint32_t worker; /* number, never reused; also its client number */
    int32_t pid;
    uint32_t how; /* mr_death */
    int32_t code; /* exit code or signal number */
} mr_ev_worker;

typedef struct mr_ev_refs {
    mr_record h;
    uint32_t n_add, pad0;
} mr_ev_refs;

enum { MR_CANCEL_FORCE = 1, MR_CANCEL_RECURSIVE = 2, MR_KILL_NO_RESTART = 4 };
typedef struct mr_ev_cancel {
    mr_record h;
    mr_id id;
    uint32_t flags, pad0;
} mr_ev_cancel;

typedef enum mr_group_strategy {
    MR_GROUP_PACK = 0,         /* on few nodes */
    MR_GROUP_SPREAD = 1,       /* on many */
    MR_GROUP_STRICT_PACK = 2,  /* on one */
    MR_GROUP_STRICT_SPREAD = 3 /* on one each */
} mr_group_strategy;
typedef enum mr_group_op {
    MR_GROUP_MAKE = 1,   /* payload: n_amounts of mr_named, where an empty name ends a bundle; then n_terms of
                            mr_term, where an empty key ends those of a bundle: conditions on the labels of its node;
                            then "ns\0name\0" or nothing.  Fails: INVAL, UNSCHEDULABLE, NAME_TAKEN, NOMEM */
    MR_GROUP_REMOVE = 2, /* what runs in it is ended */
    MR_GROUP_FIND = 3,   /* payload: "ns\0name\0".  NOTFOUND */
    MR_GROUP_CURRENT = 4 /* of task `id`, or of the actor that is the client; 0: none; | MR_GROUP_CAPTURES */
} mr_group_op;
#define MR_GROUP_CAPTURES (UINT64_C(1) << 63)
enum { MR_GROUP_DETACHED = 1 /* outlives the actor that makes it */ };
typedef struct mr_ev_group {
    mr_record h;
    mr_id id;
    uint32_t op, strategy, flags, n_bundles, n_amounts, name_bytes, n_terms, pad0;
} mr_ev_group;

/* Of LOST: what took the copy.  FULL: it never came to be, since the store had no room for it. */
typedef enum mr_loss { MR_LOSS_NODE, MR_LOSS_DAMAGED, MR_LOSS_UNREADABLE, MR_LOSS_FULL } mr_loss;
typedef struct mr_ev_place {
    mr_record h;
    mr_id id;
    uint64_t size;
    uint32_t node, cause;
} mr_ev_place;

/* payload: mr_named[n_amounts], then mr_label[n_labels] */
typedef struct mr_ev_node {
    mr_record h;
    uint32_t node; /* dense number, given by the engine, never reused */
    uint32_t n_amounts, n_labels;
    uint32_t cls;   /* speed class */
    double speed;   /* 1.0: as stated */
    uint32_t fixed; /* slots are fixed: one per CPU, one process each */
    uint32_t pad0;
    char name[64];
} mr_ev_node;

/* ----------------------------------------------------------------------------------------------------- helpers -- */

/* Size of the body (with header) of an event kind; 0 for a kind that does not exist. */
size_t mr_event_size(uint32_t kind);
const char *mr_event_name(uint32_t kind);
static inline const mr_id *mr_record_ids(const void *record, size_t body)
{
    return (const mr_id *)(const void *)((const char *)record + body);
}
static inline const void *mr_record_bytes(const void *record, size_t body)
{
    return (const char *)record + body + sizeof(mr_id) * ((const mr_record *)record)->n_ids;
}
/* Size of a whole record: body + ids + bytes, padded to 8. */
static inline size_t mr_record_total(size_t body, uint32_t n_ids, uint32_t n_bytes)
{
    return (body + sizeof(mr_id) * (size_t)n_ids + n_bytes + 7) & ~(size_t)7;
}
/* Is this a well-formed event of `available` bytes?  Checks version, kind, that size covers body, ids and bytes and
 * that inner counts (n_deps, n_add, needs, ...) fit.  Errors: PROTOCOL, with what is wrong in err. */
mr_status mr_record_check(const mr_record *r, size_t available, mr_err *err) MR_CHECK_RESULT;

#endif
