/* sched.h: the questions a scheduling policy answers.  ABI 1.1, append only.
 *
 * Control owns the queues and checks every answer; a policy only answers questions, so it takes no lock, wakes nobody,
 * keeps no list, and can neither lose a task nor run one twice.  All ops are optional: none at all is FIFO by entry
 * into the ready queue (stepping over what does not fit now).
 *
 * One op at a time, never nested, the thread may differ from call to call; an op must not block and has no clock but
 * `now`, which stands still until the last answer of an instant.  Pointers to views are good until the op returns.
 *
 * An instant, in order: all its events are applied; notices and `plan` of what was submitted; notices of what became
 * ready, ended, dropped; `place` and `rank` of each task that became ready, by seq; then the sweep: `pick` for each
 * idle slot, by id, until every idle slot declined after the last acceptance; then `preempt` of what is left, by rank.
 *
 * All times: ns since the run began; MR_UNKNOWN (-1) is any time that is not known.
 */
#ifndef MINIRAY_SCHED_H
#define MINIRAY_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <miniray/host.h>
#include <miniray/status.h>
#include <miniray/types.h>

/* How a handle says what it is: slots and nodes are dense ids, tasks are everything below. */
#define MR_REF_SLOT (UINT64_C(0xF001) << 48) /* | mr_worker.id + 1 */
#define MR_REF_NODE (UINT64_C(0xF002) << 48) /* | mr_node.id + 1 */
#define MR_REF_KIND(ref) ((ref) & (UINT64_C(0xFFFF) << 48))
static inline bool mr_ref_is_slot(mr_ref ref)
{
    return MR_REF_KIND(ref) == MR_REF_SLOT;
}
static inline bool mr_ref_is_node(mr_ref ref)
{
    return MR_REF_KIND(ref) == MR_REF_NODE;
}
static inline bool mr_ref_is_task(mr_ref ref)
{
    return ref != 0 && ref < (UINT64_C(0xF000) << 48);
}

#define MR_NONE ((mr_ref)0)  /* plan, place: no wish; pick: nothing for this slot; preempt: nobody */
#define MR_STOP (~(mr_ref)0) /* pick: nothing for anybody before the next event */

/* A dependency.  task: the other end, none when it is over or was a put; node: where the object is sealed (none: not
 * yet); bytes: its size, a guess (the function's learned mean, 0 if unknown) before it is sealed. */
typedef struct mr_edge {
    mr_ref task, node;
    uint64_t bytes;
} mr_edge;

/* ACTOR: its creation, and while it lives what it keeps.  GROUP: a placed bundle of a placement group: it `needs` what
 * its own tasks leave free of it, is listed among what runs, and never told of or asked about. */
typedef enum mr_task_kind { MR_TASK = 0, MR_ACTOR = 1, MR_GROUP = 2 } mr_task_kind;
typedef enum mr_task_state {
    MR_WAITING = 0,    /* an argument is not sealed yet */
    MR_READY_NOW = 1,  /* in a ready queue */
    MR_TRAVELLING = 2, /* has its slot; its inputs are on the way, or its record is in a worker's ring */
    MR_RUNNING_NOW = 3,
    MR_STOPPED_NOW = 4, /* preempted; also in a ready queue */
    MR_OVER = 5
} mr_task_state;

/* A task.  Control's own record begins with it: nothing is copied. */
typedef struct mr_task {
    mr_ref ref;
    uint64_t seq, entry;            /* order of submission; order of entering the ready queue, new at each entry */
    uint32_t fn, user;              /* interned names: see text() */
    int32_t priority;               /* larger is more urgent; 0 unless given */
    uint16_t attempt;               /* from 1 */
    uint8_t kind, state;            /* mr_task_kind, mr_task_state */
    double rank;                    /* last answer of rank; entry order while there is none */
    int64_t submitted_at, ready_at; /* ready_at: of this attempt, kept by a stop */
    int64_t started_at;             /* of this start */
    int64_t deadline, limit;        /* as the user said: absolute; longest run, enforced by control */
    int64_t estimate;               /* of a whole run, as far as the run's `know` level lets a policy see it */
    int64_t ran;                    /* run so far in this attempt, without what it was stopped or blocked */
    uint64_t bytes;                 /* all arguments; known when ready */
    mr_ref from, on;                /* slot whose event made it ready (none: driver); where placed, running, stopped */
    const mr_amount *needs;         /* ascending res */
    uint32_t n_needs;               /* 0 for a task that needs nothing */
    uint32_t n_preds, n_succs;      /* the graph as submitted so far: see edge() */
    uint32_t n_learned; /* runs of its function that `estimate` is the mean of; 0: it was stated, or is unknown */
} mr_task;

/* A slot of a node: a seat for one task at a time, by whatever process.  One per CPU of the node, more while small
 * tasks need them. */
typedef struct mr_worker {
    mr_ref ref, node, task; /* task none: idle */
    uint32_t id, cls, load; /* dense from 0 over all nodes; speed class; queued for it + travelling to it + running */
    int64_t busy_until;     /* by cost(), never by the truth; MR_UNKNOWN if that knows nothing; now if idle */
} mr_worker;

typedef struct mr_node {
    mr_ref ref;
    uint32_t id, n_workers, n_res;
    /* n_res each, ascending res; free may be below 0 for CPUs taken back.  free + the needs of what MR_RUNNING lists of
     * the node = total, where a task whose `on` is a node is blocked in get and has lent its CPU. */
    const mr_amount *total, *free;
} mr_node;

typedef enum mr_list { MR_READY = 0, MR_RUNNING = 1, MR_WORKERS = 2, MR_NODES = 3 } mr_list;

/* What control answers.  h = this table; good from open to close; never calls an op.  Any handle may be passed at any
 * time: of something that is over it gives NULL, none, false, 0, or INT64_MAX. */
typedef struct mr_sched_host mr_sched_host;
struct mr_sched_host {
    size_t size;
    const mr_host *base; /* log, conf, alloc, fail */
    int64_t (*now)(const mr_sched_host *h);
    const mr_task *(*task)(const mr_sched_host *h, mr_ref t); /* NULL: over */
    const mr_worker *(*worker)(const mr_sched_host *h, mr_ref w);
    const mr_node *(*node)(const mr_sched_host *h, mr_ref n);
    /* The element after `after` (none: the first) of a list.  MR_READY: of a slot's, a node's, or the shared queue (of
     * = none), by (rank, entry).  MR_RUNNING: what holds something on a slot, on a node (with actors that
     * live and bundles of placement groups), anywhere (none), or, of a task, those whose stop
     * alone lets it start: no actor, none with a GPU, without a CPU, blocked, or that ran for less than [sched]
     * min_slice. MR_WORKERS: of a node or all (none), by id, or, of a task, where it may ever run.  MR_NODES: all
     * (none), by id, or, of a task, where it may ever run.  Good while the op makes no change (it can not); O(1)
     * amortised for READY, WORKERS and NODES. */
    mr_ref (*next)(const mr_sched_host *h, mr_list list, mr_ref of, mr_ref after);
    /* The first (or last) task of a queue that can start on w now. */
    mr_ref (*first)(const mr_sched_host *h, mr_ref queue, mr_ref w, bool from_end);
    bool (*can)(const mr_sched_host *h, mr_ref t, mr_ref w);     /* pick(w) may answer t now */
    int64_t (*cost)(const mr_sched_host *h, mr_ref t, mr_ref w); /* ns of t on w; INT64_MAX: never there */
    int64_t (*copy)(const mr_sched_host *h, uint64_t bytes, mr_ref from, mr_ref to); /* ns; none: mean over pairs */
    uint64_t (*missing)(const mr_sched_host *h, mr_ref t, mr_ref n);                 /* argument bytes not on n */
    bool (*edge)(const mr_sched_host *h, mr_ref t, bool succ, uint32_t i, mr_edge *out);
    const char *(*label)(const mr_sched_host *h, mr_ref t, const char *key); /* NULL: no such label; a notice's task has
                                                                                its labels, also when it is over */
    const char *(*text)(const mr_sched_host *h, uint32_t interned);          /* names of fn, user, and of resources:
                                                                                text(MR_TEXT_RES | res) */
    uint64_t (*random)(const mr_sched_host *h);       /* a stream of the policy's own, from the run's seed */
    void (*wake)(const mr_sched_host *h, int64_t at); /* notice WOKEN; the earliest wish counts */
    void (*rerank)(const mr_sched_host *h, mr_ref t); /* none: all; asked after this op returns */
};
#define MR_TEXT_RES UINT32_C(0x80000000)

typedef enum mr_what {
    MR_SUBMITTED = 1, /* anew after DONE: it runs once more, for a result that was lost, or as an actor that died */
    MR_BECAME_READY = 2,
    MR_STARTED = 4,
    MR_STOPPED = 8,
    MR_DONE = 16,
    MR_DROPPED = 32, /* cancelled, a failed argument, its owner died, or this attempt died (a retry begins at READY) */
    MR_WOKEN = 64
} mr_what;

typedef struct mr_notice {
    mr_what what;
    int outcome;             /* mr_status of DONE and DROPPED */
    const mr_task *task;     /* NULL for WOKEN */
    const mr_worker *worker; /* of STARTED, STOPPED, DONE */
    int64_t ran;             /* ns of this start; of STOPPED and DONE */
} mr_notice;

enum { MR_REQ_PREEMPT = 1, MR_REQ_ESTIMATE = 2 }; /* `requires`: refuse to load on an engine without */

/* What one instance means to use: for a plugin whose ops depend on what it loaded (sched-lua hosts any policy file). */
enum {
    MR_OP_RANK = 1,
    MR_OP_PLACE = 2,
    MR_OP_PLAN = 4,
    MR_OP_PICK = 8,
    MR_OP_SLICE = 16,
    MR_OP_PREEMPT = 32,
    MR_OP_ALL = 63
};
typedef struct mr_sched_wants {
    uint32_t ops;      /* MR_OP_ bits: an op whose bit is clear is treated as absent from the table */
    uint32_t notices;  /* mr_what bits, in place of mr_sched_ops.notices */
    uint32_t requires; /* MR_REQ_ bits, in place of mr_sched_ops.requires */
} mr_sched_wants;

typedef struct mr_sched_ops {
    uint32_t notices, requires; /* mr_what bits to be told; MR_REQ_ bits */
    mr_status (*open)(void **self, const mr_sched_host *h, mr_err *err);
    void (*close)(void *self);
    double (*rank)(void *self, const mr_task *t);  /* small first, ties by entry; NaN: error; INFINITY: last, unknown */
    mr_ref (*place)(void *self, const mr_task *t); /* whose queue: slot, node, none = shared; asked when ready */
    mr_ref (*plan)(void *self, const mr_task *t);  /* the same, asked at submission, so that inputs travel early */
    mr_ref (*pick)(void *self, const mr_worker *w); /* any ready task; absent: best of w's, its node's, shared */
    int64_t (*slice)(void *self, const mr_task *t, const mr_worker *w); /* ns until it must stop; negative: never */
    mr_ref (*preempt)(void *self, const mr_task *t);                    /* t found no slot: whose it takes */
    void (*notice)(void *self, const mr_notice *n);
    /* Asked once, right after open, with *out filled from the table (ops present, notices, requires); the instance
     * takes away what it does not need.  Absent: the table as it stands is meant. */
    void (*wants)(void *self, mr_sched_wants *out);

    /* Since 1.1 */

    /* Hot reload: when an instance of the same policy takes over, it is given what this one knows, before anything is
     * told or asked.  save: bytes that stay good until this instance is closed.  restore: after open; an error keeps
     * the old instance at work.  The present is told anyway. */
    mr_status (*save)(void *self, const void **bytes, size_t *n, mr_err *err);
    mr_status (*restore)(void *self, const void *bytes, size_t n, mr_err *err);
    /* The line of the policy's source that gave the last answer, 0: not known.  Asked only with [sched] explain: once
     * after open, from when on it is to be kept, then after each op. */
    uint32_t (*line)(void *self);
} mr_sched_ops;

#endif
