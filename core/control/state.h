/* state.h: what control consists of; private to core/control.
 *
 * Everything lives in one mr_control and is reached through it.  Tasks, objects, processes, actors and streams sit in
 * paged tables under their dense ids: entries never move, so plain pointers to them are kept inside control (never in
 * events, actions or records).  Nothing here is locked: the caller of mr_control_step serialises.
 *
 * A task is in exactly one place, told by `where`; its two links (qa, qb) belong to that place. */
#ifndef MR_CONTROL_STATE_H
#define MR_CONTROL_STATE_H

#include "base/intern.h"
#include "base/list.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/table.h"
#include "control/control.h"
#include "control/idset.h"

typedef struct task task;
typedef struct object object;
typedef struct proc proc;
typedef struct actor actor;
typedef struct node node;
typedef struct slot slot;
typedef struct kind kind;
typedef struct shape shape;
typedef struct func func;
typedef struct waiter waiter;
typedef struct stream stream;
typedef struct pool pool;
typedef struct group group;
typedef struct ceiling ceiling;

/* ------------------------------------------------------------------------------------------------------- queues -- */

/* First in, first out through qa (before) and qb (behind). */
typedef struct tlist {
    task *head, *tail;
    uint32_t n;
} tlist;

/* Keys in order: see blocks.c. */
typedef struct blocks {
    struct keyblock *root, *first; /* first: leaf; NULL while it is empty; pieces of c->keys */
    uint32_t n, height;            /* keys; 0: the root is a leaf */
} blocks;

/* Ready tasks of one shape at one place, by (rank, entry): a run that grows at its ends, blocks for what is between. */
typedef struct queue {
    task *head, *tail; /* the run */
    blocks blocks;
    uint32_t n;
    shape *s;
} queue;

/* What a policy can name: a slot, a node.  The shared place is in the shapes themselves. */
typedef struct place {
    queue **q; /* by shape number; NULL where nothing was ever queued */
    uint32_t room, n;
} place;

/* -------------------------------------------------------------------------------------------------------- tasks -- */

typedef enum where {
    W_WAITING, /* an argument is not sealed; in no list */
    W_FRESH,   /* ready since this instant, not yet ranked: c->fresh */
    W_READY,   /* in queue t->q */
    W_TRAVEL,  /* has slot and resources, inputs on the way: node->travel */
    W_PROCESS, /* has slot and resources, no process yet: kind->waiting */
    W_AHEAD,   /* record in a busy worker's ring, holds nothing: proc->ahead */
    W_RUN,     /* proc->task */
    W_HELD,    /* call behind an earlier one of its caller: caller->held; waits for arguments: actor->loose */
    W_CALL,    /* call that may be sent: actor->ready */
    W_FLIGHT,  /* call sent to the actor: actor->flight */
    W_LIVING,  /* creation of a living actor: keeps `living` */
    W_FAILING, /* its results are about to be sealed with an error: c->failing */
    W_PAST,    /* ended well, kept to make its results again: c->past */
    W_OVER     /* told to the policy at the close of the instant, then gone: c->over */
} where;

enum {
    T_CANCEL = 1,   /* asked to stop; its results become CANCELLED */
    T_HEIR = 2,     /* ready, and takes the slot of one that is being stopped for it (slot.heir) */
    T_REVOKING = 4, /* REVOKE was sent, REVOKED not yet back */
    T_LENT = 8,     /* blocked: gave its slot and CPU back */
    T_BLOCKED = 16, /* blocked with or without lending */
    T_SYSTEM = 32,  /* a call beside others */
    T_STREAM = 64,
    T_PLANNED = 128,     /* plan named a place: place is not asked */
    T_KEPT = 256,        /* its arguments were released early (creation that can not restart) */
    T_ORDERED = 512,     /* call of an actor with one thread and no loop */
    T_QUIET = 1024,      /* was told DROPPED, and not READY since */
    T_BLOCK = 2048,      /* in the blocks of its queue */
    T_STOPPING = 4096,   /* runs; STOP was sent, STOPPED not yet back */
    T_STOPPED = 8192,    /* ready (or fresh), and has its process, which stands still, and all but its CPU */
    T_RAN = 16384,       /* call that was sent when its actor died */
    T_ORPHAN = 32768,    /* killed because its owner died */
    T_OVERDUE = 65536,   /* killed because it ran longer than its limit */
    T_PAST = 131072,     /* over, and kept while a result of it lies in a store */
    T_DEEP = 1 << 20,    /* cancelled with all that it started */
    T_EVICTED = 524288,  /* killed because its placement group was removed */
    T_PRESENT = 1 << 24, /* was ready when the policy came: keeps entry and ready_at when it enters for it */
    T_AGAIN = 262144     /* kept, and a result of it was lost: it runs once more */
};

/* One for each argument: in the ring of the object that is not sealed yet. */
typedef struct dep {
    struct dep *next, *prev;
    task *t; /* NULL: unlinked */
} dep;

struct task {
    mr_task v; /* what a policy sees; first */
    task *qa, *qb;
    union {
        queue *q;              /* of W_READY */
        pool *in;              /* of one that was started (or is W_AHEAD): whose resources it has (will take over) */
        struct caller *caller; /* of W_HELD, ordered: whose list it is in, also when its owner is gone */
        mr_id cause;           /* of W_FAILING: the object whose error it repeats; 0: its actor's fault */
    };
    mr_link owned; /* of its owner process */
    mr_link run;   /* node->running: holds something there */
    mr_id *ids;    /* n_deps arguments, n_refs references, then n_deps `dep`s; one block */
    mr_id actor, parent;
    uint32_t func, attempt, owner; /* in the order of mr_task_info, as the two above */
    uint32_t last_worker;
    uint32_t worker; /* process that has the record, 0: none */
    uint32_t shape, n_deps, n_refs;
    uint32_t n_returns, unsealed; /* results */
    union {
        uint32_t waiting; /* arguments not sealed */
        uint32_t missing; /* W_TRAVEL: inputs on the way */
        uint32_t kept;    /* T_PAST: results that lie in a store */
    };
    uint32_t flags;
    int16_t outcome;    /* mr_status */
    uint16_t last_slot; /* number on its node */
    uint8_t where;
    uint8_t blocks;   /* waits of its own that are open */
    uint8_t gpu_part; /* 1 + the GPU of which it has a part, 0: none */
    uint8_t payload;  /* what the engine keeps for it: at most 2^payload bytes */
    uint32_t gpus;    /* those that it has, by index */
};

static inline dep *task_deps(const task *t)
{
    return (dep *)(void *)(t->ids + t->n_deps + t->n_refs);
}

/* ------------------------------------------------------------------------------------------------------ objects -- */

enum {
    O_DRIVER = 1,  /* held by the driver */
    O_READ = 2,    /* its error was seen by somebody */
    O_FREEING = 4, /* on c->freeing */
    O_ACTOR = 8,   /* an actor's handle */
    O_STREAM = 16, /* a stream's handle */
    O_CANCEL = 32, /* its error was asked for (cancel, kill) or is for nobody: nobody is told when unread */
    O_CODE = 64    /* what a function runs; `func` is the first that was defined with it */
};
enum {               /* beside MR_VALUE_ in vflags */
       V_SPILL = 16, /* SPILL was asked for and is not answered */
       V_DISK = 32,  /* on disk, and in no store */
       V_COMING = 64 /* RESTORE was asked for and is not answered */
};

/* What is said of a value when it is sealed. */
typedef struct sealing {
    mr_id id;
    uint64_t size;
    uint32_t node, format, flags; /* MR_VALUE_ */
} sealing;

/* What few objects have: references inside the value, copies on nodes without a bit in `nodes`. */
typedef struct extra {
    uint32_t n_refs, n_more, room_more, pad0;
    uint32_t *more; /* node numbers */
    mr_id refs[];
} extra;

typedef struct waitnode {
    struct waitnode *next, *prev; /* of the object; prev NULL: first */
    waiter *w;
    mr_id id; /* 0: not linked */
} waitnode;

/* 64 bytes, since there is one for each result of a queued task. */
struct object {
    mr_id id;
    uint64_t size;
    extra *x;
    dep *deps; /* last of a ring of dependents, or NULL */
    union {
        waitnode *waits;
        object *next_free; /* on c->freeing; nobody waits then */
    };
    uint32_t nodes; /* bit n: a copy is on node n */
    uint32_t index; /* among the results of the task that makes it; MR_NOBODYS: it was put, or is an item of a stream */
    uint32_t func;  /* number, of that task; 0 with MR_NOBODYS */
    uint32_t holders, format;
    uint8_t state, vflags, flags, why; /* why: mr_lost, what keeps it from being made again */
};
_Static_assert(sizeof(object) == 64, "a result of a queued task has grown");
enum { MR_NODE_BITS = 32 }; /* of object.nodes; the others are in extra.more */
#define MR_NOBODYS UINT32_MAX

/* A client's unanswered BLOCKED.  (A type `wait` would clash with wait(2), which some systems' stdlib.h declares.) */
struct waiter {
    mr_link link; /* of the client */
    uint32_t client, token;
    mr_id task;
    uint32_t need, done, flags, n;
    waitnode nodes[];
};

struct stream {
    mr_id id;
    mr_id *items; /* ring */
    uint32_t head, n, room;
    uint64_t given;
    uint32_t next_index;    /* the lowest index not yet yielded */
    uint32_t attempt;       /* that made the last item, */
    uint64_t made, allowed; /* how many it has made, of how many it may make */
    bool ended, abandoned;
    uint32_t n_readers, room_readers;
    struct reader {
        uint32_t client, token;
    } * readers;
};

/* ---------------------------------------------------------------------------------------------------- functions -- */

struct shape {
    uint32_t number, n_needs;
    mr_amount *needs;
    uint8_t lang, gpu, strategy, nested, actor;
    uint32_t env, soft;
    uint32_t node;  /* STRATEGY_NODE */
    bool bound;     /* node, group, terms: not any node will do */
    bool captures;  /* what it submits runs in its group */
    int32_t bundle; /* of group, -1: any */
    uint32_t n_terms;
    mr_term *terms; /* conditions on the labels of the node */
    bool prefers;   /* there are soft ones */
    bool capped;
    bool plain;       /* no GPU, group, limit, actor: the seat of one of its tasks is as good for the next */
    ceiling *caps[2]; /* limits that it counts for; NULL: none */
    group *group;     /* NULL: none */
    int64_t cpu;
    uint32_t ready; /* tasks in its queues, all places */
    queue shared;
    mr_link active;        /* c->active while shared.n > 0 */
    uint64_t feasible_gen; /* some node may have it: c->node_gen + 1 when this was found; not for groups */
    uint64_t allowed;      /* bit n: node n may have it, of the first 64; not for groups; found at `allowed_gen` */
    uint64_t allowed_gen;
    uint64_t skip; /* sweep in which it did not fit any more */
    /* What a stopped task of shape `of` needs to go on: its CPU, in the pool that it is in.  NULL: of a task that does
     * not run yet. */
    const shape *of;
};

struct func {
    mr_define *def;
    task like; /* what all its tasks have in common as they are submitted */
    uint32_t number, name, user;
    shape *shape[2]; /* of tasks given by the driver, of nested ones */
    shape *captured; /* of those that the last group to do so captured; NULL: none yet */
    mr_amount *living;
    uint32_t n_living;
    int64_t *by_class; /* ns by speed class, MR_UNKNOWN where none was stated; NULL: by speed */
    uint32_t n_classes;
    double mean, usual, mean_bytes; /* usual: about the median, which runs that lost their core do not move; 0: none */
    uint64_t runs, sealed;
    uint32_t users;         /* its tasks, until they are gone: together they hold its code */
    bool code_held, learns; /* learns: its tasks show its mean */
    bool plain;             /* of tasks that have no limit and no deadline, and give no stream */
};

/* -------------------------------------------------------------------------------------------- nodes and workers -- */

struct slot {
    mr_worker v; /* first */
    task *t;
    place at;
    uint32_t node, local;
    mr_id heir; /* for whom `t` is being stopped; 0: nobody */
};

typedef struct bits {
    uint64_t *w;
    uint32_t n, low; /* words; none below `low` has a bit */
} bits;

/* ns until others than descendants may use a lent CPU; it doubles from the first to the second. */
enum { LEND_FIRST = 1000000, LEND_MOST = 128000000 };

/* What tasks take from: a node's own resources, or those of a bundle of a placement group. */
struct pool {
    mr_amount *total, *free; /* dense, n_res each */
    uint32_t n_res, node;
    group *group;                /* NULL: the node's own */
    int64_t lent;                /* CPU that blocked tasks gave */
    int64_t lend_at, lend_delay; /* when others may use it; how long the next time */
    uint32_t blocked, open;
    mr_link lends;  /* of c->lenders, while `blocked` */
    uint32_t n_gpu; /* GPUs of the node that have an index; 0: they are only counted */
    int64_t *gpu;   /* what is free of each */
    uint32_t users; /* tasks that have resources of it; kept for bundles */
};
/* Ids, first in, first out. */
typedef struct ring {
    mr_id *v;
    uint32_t head, n, room;
} ring;

struct node {
    mr_node v; /* first */
    uint32_t number, cls, n_slots, base_slots, room_slots, n_idle;
    double speed;
    bool alive, fixed;
    char name[64];
    pool own;
    int64_t *show; /* 2 * n_res, for mr_control_node */
    const char **show_names;
    mr_label *labels;
    uint32_t n_labels;
    uint32_t *slots; /* ids, by local number */
    bits idle;       /* by local number */
    place at;
    kind *kinds, *kind_hit; /* kind_hit: asked for last, NULL: none yet */
    tlist travel;
    idset coming;    /* objects on their way here */
    mr_link running; /* tasks that hold something here, by start */
    mr_link stopped; /* those that stand still: they hold all but their CPU */
    uint32_t n_stopped;
    uint32_t procs;
    uint32_t spares;        /* idle processes of all kinds */
    ring stay;              /* stored objects here, in the order in which they leave (spill.c) */
    uint64_t want, leaving; /* bytes that are to leave, and that are on their way out */
    uint32_t looks;         /* how many of `stay` may still be tried for this */
};

/* ---------------------------------------------------------------------------------------------------------- caps -- */

/* How much may run at a time: tasks of a function, or CPUs of a user. */
struct ceiling {
    ceiling *next;
    int64_t limit, used;
    uint32_t name; /* interned: the function's, the user's */
    bool cpus;     /* counts CPUs, which blocked tasks lend; else tasks, blocked ones too */
};

/* ---------------------------------------------------------------------------------------------- placement groups -- */

/* Placed: its pool has taken what it asks out of the own pool of pool.node. */
typedef struct bundle {
    pool p;
    mr_amount *asks;              /* ascending res */
    uint32_t n_asks, n_terms, at; /* at: where the search tries it */
    int64_t score;                /* of that node */
    bool placed;
    mr_task v;      /* what policies see of it: it holds what of it is free */
    mr_term *terms; /* conditions on the labels of its node, all hard */
} bundle;

struct group {
    mr_id id, owner;         /* owner: actor that it ends with, 0: the session's */
    uint8_t strategy, state; /* mr_group_strategy, mr_group_state */
    bool detached;
    uint32_t n, unplaced;
    uint32_t tasks;  /* not over, whose shape names it */
    bundle *b;       /* n; without pools when it is removed and nothing uses it any more */
    uint32_t *order; /* in which the search takes them: the largest first */
    char *name;      /* "ns\0name\0", one block, NULL: none */
    mr_link named;
    mr_link pending; /* of c->pending, while `unplaced` */
};

/* Processes that can stand in for each other. */
struct kind {
    kind *next;
    uint32_t node, env;
    uint8_t lang, gpu;
    uint32_t procs, starting, failed; /* failed: spawns in a row */
    uint32_t extra;                   /* of `starting`: beyond max_workers, for actors */
    uint64_t failed_at;               /* the step of the last of them */
    mr_link idle;                     /* last idle first */
    uint32_t n_idle;
    tlist waiting;
};

struct proc {
    uint32_t number, node;
    kind *kind;
    uint8_t state;        /* mr_process_state */
    bool killing, pooled; /* pooled: counts for max_workers; actors do not */
    int32_t pid;
    task *task;  /* running (not of actors) */
    tlist ahead; /* prefetched, in order */
    mr_id actor;
    mr_link idle;        /* of kind->idle */
    mr_link room;        /* of c->roomy: may hold more records */
    mr_link holds_ahead; /* of c->aheads */
    double ahead_ns;     /* learned work of what it holds */
    uint32_t ahead_of;   /* the function of all of them; 0: of several */
    mr_link owned;       /* tasks it submitted */
    mr_link waits;
    idset holds;
    int64_t idle_since;
    int64_t kill_at;  /* its task was cancelled and is killed then; 0: not */
    uint64_t spawned; /* the step that asked for it */
    uint32_t calls;
    /* Of the task in it (stops.c).  ns it ran before this start; ns of this start that it was blocked, and since when;
     * when its slice ends, or what was left of it when it blocked; MR_UNKNOWN: none. */
    int64_t ran, idle_ns, blocked_at, slice_at, slice_left, stopped_at;
    pool *in;          /* of a stopped one */
    uint64_t purge[2]; /* the last purge of timers that saw its limit, its slice */
};

/* ------------------------------------------------------------------------------------------------------- actors -- */

typedef struct caller {
    struct caller *next;
    uint32_t client;
    tlist held;
} caller;

/* A concurrency group beside the default one: calls that wait for nothing of the others. */
typedef struct lane {
    tlist ready;
    uint32_t in_flight;
} lane;

struct actor {
    mr_id id;
    task *creation;
    uint8_t state; /* mr_actor_state */
    bool detached, leaving, ordered;
    uint32_t func, worker, restarts, pending, owner;
    uint32_t system_flight; /* T_SYSTEM calls that were sent: they count in no lane */
    caller *callers;
    lane *lanes;         /* the default one, then n_lanes of its definition */
    tlist loose, flight; /* loose: unordered calls that wait for arguments */
    mr_fault fault;
    char *name; /* "ns\0name\0", one block, NULL: none */
    mr_link named;
};

/* ------------------------------------------------------------------------------------------------------- policy -- */

typedef struct note {
    task *t;
    int64_t ran;
    uint32_t slot; /* id + 1 */
    int16_t outcome;
    uint8_t what;
} note;

enum { MR_SAID = 32 };
typedef struct said { /* one answer of a policy, for the dump of one that fails */
    int64_t at;
    mr_ref of, answer;
    double number;       /* of rank and slice */
    uint32_t op, failed; /* MR_OP_; it failed meanwhile: the answer is not its own */
} said;

typedef struct policy {
    mr_sched_ops ops;
    mr_sched_host host;
    mr_control *c;
    void *self;
    bool open, any;
    char *opening; /* while an instance is made: room (sizeof error) for what it says it failed of; NULL: none is */
    uint32_t notices, requires;
    char name[64], error[512], refusal[200]; /* refusal: the first answer that was refused, in words; "": none was */
    uint32_t n_past;                         /* policies ever installed */
    mr_policy_past past[MR_POLICY_PAST];
    bool failed, ejected;
    uint32_t reported;           /* ops whose refusals were reported */
    int64_t wake_at;             /* earliest wish; MR_UNKNOWN: none */
    int64_t wakes_from;          /* since when they are counted */
    uint32_t n_wakes, n_reranks; /* n_reranks: in this instant */
    mr_rand rand;
    mr_policy_now *now, own_now; /* now: read by others; own_now, unless the engine keeps it */
    said said[MR_SAID];          /* a ring */
    uint64_t n_said;
    char *dump; /* of the one that was ejected; owned */
    uint64_t *rerank;
    uint32_t n_rerank, room_rerank;
    bool rerank_all, swapped, again; /* again: what is told now is no news, but told to a policy that came */
    const task *telling;             /* whom the notice that is told now is about */
    note *notes;
    size_t n_notes, room_notes;
    struct {
        mr_ref of, last;
        task **head;
        uint32_t n, room;
    } walk;
} policy;

/* Left by a task of shape `of`, for the next one (seats.c). */
typedef struct seat {
    slot *s;
    proc *p;
    const shape *of;
} seat;
enum { MR_REST_MOST = 64 };

/* A run that may not last longer, or a slice that ends; stale when the task does something else by then. */
typedef struct timer {
    int64_t at;
    mr_id task;
    bool slice;
} timer;

/* ------------------------------------------------------------------------------------------------------ control -- */

struct mr_control {
    mr_control_conf conf;
    mr_actions *out;
    int64_t now;
    char why[512];
    mr_fault fault; /* of the last failed step, for REPLY */

    mr_table tasks, objects, procs, actors, streams, groups;
    mr_slab keys; /* of ready queues (blocks.c) */
    func **funcs;
    shape **shapes;
    uint32_t n_funcs, room_funcs, n_shapes, room_shapes;
    mr_intern *names, *res, *defs; /* defs: bodies of definitions; the number is the function's */
    node **nodes;
    slot **slots;
    uint32_t n_nodes, room_nodes, n_slots, room_slots;
    uint32_t n_alive; /* nodes */
    bits idle;        /* slots by id */
    bits node_idle;   /* nodes with an idle slot */
    bool small;       /* there are shapes of less than one CPU: they fit where no slot is idle */
    mr_link active, roomy, aheads, named, driver_waits, lenders; /* lenders: pools */
    ceiling *caps;
    mr_link pending, named_groups;          /* groups, by creation */
    uint32_t n_procs, next_proc, next_held; /* next_held: of MR_REF_BUNDLE */

    tlist fresh, failing, over, past;
    uint64_t past_bytes; /* of the records of `past` */
    object *freeing;
    bool fresh_unsorted, dirty, hungry, starved;
    bool held_back; /* something could start, but is not worth waking a process for */
    bool losing;    /* a node goes: what went with it is not all known, so no call is sent */
    uint64_t seq, entry, sweep, node_gen;
    uint32_t placed;     /* ready tasks in a slot's or node's queue */
    uint32_t n_rest;     /* of `rest` */
    uint32_t n_idle;     /* slots */
    uint32_t cause_slot; /* id + 1 of the slot whose event is applied */
    uint32_t spread_next;
    mr_id max_id;

    uint32_t n_ready, n_waiting, n_running, n_blocked, n_travel, n_flight, n_flight_blocked, n_ahead, n_stopped;
    uint32_t n_actors, n_starting, n_retiring;
    bool collected; /* COLLECT was sent, at collect_at */
    int64_t collect_at;
    uint64_t spilled_bytes, spilled, restored; /* on disk now; how often */
    uint64_t object_bytes, moved_bytes, steps, submitted, finished, failed, cancelled, retried, stale, refused;
    uint64_t heap; /* bytes outside the tables */
    double mean;   /* ns, all functions: when nothing is known */
    uint64_t runs;

    bool held_now;
    uint32_t held_slots;
    int64_t held, held_at; /* slot-ns; since when */
    int64_t hold_since;    /* something could start while nothing ran; MR_UNKNOWN: no */
    int64_t idle_at;       /* next look at idle processes */
    int64_t kill_at;       /* next look at processes whose task was cancelled; MR_UNKNOWN: none */
    int64_t stuck_at;      /* next look for deadlocks; MR_UNKNOWN: nobody is blocked */
    int64_t ahead_at;      /* next look at prefetched records */
    /* Preemption (stops.c): slots with an heir; ready tasks to ask for; do those in front have to be asked for, and
     * when again, as what runs was too young; how often a task was stopped. */
    uint32_t *heirs, n_heirs, room_heirs;
    mr_id *asks;
    uint32_t n_asks, room_asks;
    bool ask_front;
    int64_t ask_at, again_at, again_tries; /* a start found no memory: tried again then; in vain */
    uint64_t stops;
    int64_t told_wake;
    timer *timers;
    uint32_t n_timers, room_timers, n_limited; /* n_limited: living tasks with a limit */
    uint64_t n_purges;

    mr_task_info *history;
    uint64_t n_history;  /* ever */
    uint32_t at_history; /* where the next goes */
    seat rest[MR_REST_MOST];
    policy pol;
    struct explain *explain; /* NULL: nobody asks why */
    bool stopped;            /* the policy failed, and [sched] on_error = stop */
};

#endif
