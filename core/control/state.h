/* state.h: what control consists of; private to core/control.
 *
 * Everything lives in one mr_control and is reached through it.  Tasks, objects, processes, actors and streams sit in
 * paged tables under their dense ids: entries never move, so plain pointers to them are kept inside control (never in
 * events, actions or records).  Nothing here is locked: the caller of mr_control_step serialises.
 *
 * A task is in exactly one place, told by `where`; its two links (qa, qb) belong to that place.
 */
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
typedef struct wait wait;
typedef struct stream stream;

/* ------------------------------------------------------------------------------------------------------- queues -- */

/* First in, first out through qa (before) and qb (behind). */
typedef struct tlist {
    task *head, *tail;
    uint32_t n;
} tlist;

/* Ready tasks of one shape at one place, by (rank, entry): a sorted run that grows at either end in O(1), and a treap
 * for what falls between. */
typedef struct queue {
    task *head, *tail; /* the run */
    task *root;        /* the treap: qa left, qb right */
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
    W_WAITING,  /* an argument is not sealed; in no list */
    W_FRESH,    /* ready since this instant, not yet ranked: c->fresh */
    W_READY,    /* in queue t->q */
    W_TRAVEL,   /* has slot and resources, inputs on the way: node->travel */
    W_PROCESS,  /* has slot and resources, no process yet: kind->waiting */
    W_AHEAD,    /* record in a busy worker's ring, holds nothing: proc->ahead */
    W_RUN,      /* proc->task */
    W_HELD,     /* call behind an earlier one of its caller: caller->held; or whose arguments are not sealed: actor->loose */
    W_CALL,     /* call that may be sent: actor->ready */
    W_FLIGHT,   /* call sent to the actor: actor->flight */
    W_LIVING,   /* creation of a living actor: keeps `living` */
    W_FAILING,  /* its results are about to be sealed with an error: c->failing */
    W_OVER      /* told to the policy at the close of the instant, then gone: c->over */
} where;

enum {
    T_CANCEL = 1,    /* asked to stop; its results become CANCELLED */
    T_FORCE = 2,     /* its worker is being killed for it: no retry */
    T_REVOKING = 4,  /* REVOKE was sent, REVOKED not yet back */
    T_LENT = 8,      /* blocked: gave its slot and CPU back */
    T_BLOCKED = 16,  /* blocked with or without lending */
    T_SYSTEM = 32,   /* a call beside others */
    T_STREAM = 64,
    T_PLANNED = 128, /* plan named a place: place is not asked */
    T_KEPT = 256,    /* its arguments were released early (creation that can not restart) */
    T_ORDERED = 512, /* call of an actor with one thread and no loop */
    T_QUIET = 1024,  /* was told DROPPED already */
    T_TREE = 2048,   /* in the treap of its queue */
    T_STOPPING = 4096,
    T_STOPPED = 8192, /* stands still, has its process */
    T_RAN = 16384,    /* call that was sent when its actor died */
    T_ORPHAN = 32768, /* killed because its owner died */
    T_OVERDUE = 65536 /* killed because it ran longer than its limit */
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
        queue *q;    /* of W_READY */
        struct caller *caller; /* of W_HELD, ordered: whose list it is in, also when its owner is gone */
        mr_id cause; /* of W_FAILING: the object whose error it repeats; 0: its actor's fault */
    };
    mr_link owned; /* of its owner process */
    mr_link run;   /* node->running: holds something there */
    mr_id *ids;    /* n_deps arguments, n_refs references, then n_deps `dep`s; one block */
    mr_id parent, actor;
    uint32_t func, shape, n_deps, n_refs;
    uint32_t waiting;              /* arguments not sealed */
    uint32_t n_returns, unsealed;  /* results */
    uint32_t owner, job, attempt;
    uint32_t worker;               /* process that has the record, 0: none */
    uint32_t last_worker, last_node;
    uint32_t missing;              /* inputs on the way (W_TRAVEL) */
    uint32_t flags;
    int32_t outcome;
    uint8_t where;
    uint8_t blocks;                /* waits of its own that are open */
};

static inline dep *task_deps(const task *t)
{
    return (dep *)(void *)(t->ids + t->n_deps + t->n_refs);
}

/* ------------------------------------------------------------------------------------------------------ objects -- */

enum {
    O_DRIVER = 1,   /* held by the driver */
    O_READ = 2,     /* its error was seen by somebody */
    O_FREEING = 4,  /* on c->freeing */
    O_ACTOR = 8,    /* an actor's handle */
    O_STREAM = 16,  /* a stream's handle */
    O_CANCEL = 32,  /* sealed by a cancel: nobody is told when unread */
    O_CODE = 64
};

/* What few objects have: references inside the value, copies on nodes above 63. */
typedef struct extra {
    uint32_t n_refs, n_more, room_more, pad0;
    uint32_t *more; /* node numbers */
    mr_id refs[];
} extra;

typedef struct waitnode {
    struct waitnode *next, *prev; /* of the object; prev NULL: first */
    wait *w;
    mr_id id; /* 0: not linked */
} waitnode;

struct object {
    mr_id task; /* that makes it; 0: put */
    uint64_t size, nodes;
    extra *x;
    dep *deps; /* last of a ring of dependents, or NULL */
    union {
        waitnode *waits;
        object *next_free; /* on c->freeing; nobody waits then */
    };
    mr_id id;
    uint32_t holders, format;
    uint8_t state, vflags, flags, pad0;
};

/* A client's unanswered BLOCKED. */
struct wait {
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
    uint64_t produced, given;
    uint32_t next_index; /* the lowest index not yet yielded */
    bool ended, abandoned, throttled;
    uint32_t n_readers, room_readers;
    struct reader {
        uint32_t client, token;
    } *readers;
};

/* ---------------------------------------------------------------------------------------------------- functions -- */

struct shape {
    uint32_t number, n_needs;
    mr_amount *needs;
    uint8_t lang, gpu, strategy, nested;
    uint32_t env, soft;
    uint32_t node; /* STRATEGY_NODE */
    int64_t cpu;
    uint32_t ready; /* tasks in its queues, all places */
    queue shared;
    mr_link active; /* c->active while shared.n > 0 */
    uint64_t gen;   /* of c->node_gen, when `feasible` was found */
    bool feasible;
    uint64_t skip;  /* sweep in which it did not fit any more */
    double mean;    /* ns a run, learned; for prefetch */
    uint64_t runs;
};

struct func {
    mr_define *def;
    uint32_t number, name, user;
    shape *shape[2]; /* of tasks given by the driver, of nested ones */
    mr_amount *living;
    uint32_t n_living;
    int64_t *by_class; /* ns by speed class, MR_UNKNOWN where none was stated; NULL: by speed */
    uint32_t n_classes;
    double mean, mean_bytes;
    uint64_t runs, sealed;
    bool code_held;
};

/* -------------------------------------------------------------------------------------------- nodes and workers -- */

typedef enum slot_state { SLOT_IDLE, SLOT_BUSY } slot_state;

struct slot {
    mr_worker v; /* first */
    task *t;
    place at;
    uint32_t node, local;
};

typedef struct bits {
    uint64_t *w;
    uint32_t n, low; /* words; none below `low` has a bit */
} bits;

struct node {
    mr_node v; /* first */
    uint32_t number, cls, n_slots, base_slots, room_slots, n_idle;
    double speed;
    bool alive, fixed;
    char name[64];
    mr_amount *total, *free; /* dense, n_res each */
    int64_t *show;           /* 2 * n_res, for mr_control_node */
    const char **show_names;
    mr_label *labels;
    uint32_t n_labels;
    uint32_t *slots; /* ids, by local number */
    bits idle;       /* by local number */
    place at;
    kind *kinds;
    tlist travel;
    tlist stopped;
    idset coming; /* objects on their way here */
    mr_link running; /* tasks that hold something here, by start */
    int64_t lent;   /* CPU that blocked tasks gave */
    int64_t lend_at, lend_delay; /* when others may use it; how long the next time */
    uint32_t blocked, procs, open;
};

/* Processes that can stand in for each other. */
struct kind {
    kind *next;
    uint32_t node, env;
    uint8_t lang, gpu;
    uint32_t procs, starting, failed; /* failed: spawns in a row */
    mr_link idle;                     /* last idle first */
    uint32_t n_idle;
    tlist waiting;
};

struct proc {
    uint32_t number, node;
    kind *kind;
    uint8_t state; /* mr_process_state */
    bool killing, pooled; /* pooled: counts for max_workers; actors do not */
    int32_t pid;
    task *task;    /* running (not of actors) */
    tlist ahead;   /* prefetched, in order */
    mr_id actor;
    mr_link idle;  /* of kind->idle */
    mr_link room;  /* of c->roomy: may hold more records */
    mr_link holds_ahead; /* of c->aheads */
    double ahead_ns; /* learned work of what it holds */
    mr_link owned; /* tasks it submitted */
    mr_link waits;
    idset holds;
    int64_t idle_since;
    uint32_t calls;
};

/* ------------------------------------------------------------------------------------------------------- actors -- */

typedef struct caller {
    struct caller *next;
    uint32_t client;
    tlist held;
} caller;

struct actor {
    mr_id id;
    task *creation;
    uint8_t state; /* mr_actor_state */
    bool detached, leaving, ordered;
    uint32_t func, worker, restarts, pending, owner;
    uint32_t in_flight, system_flight;
    caller *callers;
    tlist loose, ready, flight; /* loose: unordered calls that wait for arguments */
    mr_fault fault;
    char *name; /* "ns\0name\0", one block, NULL: none */
    const char *short_name;
    mr_link named;
};

/* ------------------------------------------------------------------------------------------------------- policy -- */

typedef struct note {
    uint8_t what;
    int32_t outcome;
    task *t;
    uint32_t slot; /* id + 1 */
    int64_t ran;
} note;

typedef struct policy {
    mr_sched_ops ops;
    mr_sched_host host;
    mr_control *c;
    void *self;
    bool open, any, depth, dirty_rank_all;
    uint32_t notices, requires;
    char name[64], error[512];
    bool failed, ejected;
    uint32_t reported; /* ops whose refusals were reported */
    int64_t wake_at;   /* earliest wish; MR_UNKNOWN: none */
    mr_rand rand;
    const char *op;    /* that runs, NULL: none */
    uint64_t *rerank;
    uint32_t n_rerank, room_rerank;
    bool rerank_all;
    bool swapped;
    note *notes;
    size_t n_notes, room_notes;
    struct {
        mr_ref of, last;
        task **head;
        uint32_t n, room;
    } walk;
} policy;

/* A run that may not last longer than this; stale when the task runs something else by then. */
typedef struct timer {
    int64_t at;
    mr_id task;
} timer;

/* ------------------------------------------------------------------------------------------------------ control -- */

struct mr_control {
    mr_control_conf conf;
    mr_actions *out;
    int64_t now;
    char why[512];
    mr_fault fault; /* of the last failed step, for REPLY */

    mr_table tasks, objects, procs, actors, streams;
    func **funcs;
    shape **shapes;
    uint32_t n_funcs, room_funcs, n_shapes, room_shapes;
    mr_intern *names, *res;
    node **nodes;
    slot **slots;
    uint32_t n_nodes, room_nodes, n_slots, room_slots;
    uint32_t n_alive; /* nodes */
    bits idle;        /* slots by id */
    bits node_idle;   /* nodes with an idle slot */
    bool small;       /* there are shapes of less than one CPU: they fit where no slot is idle */
    mr_link active, roomy, aheads, named, driver_waits;
    uint32_t n_procs, next_proc;

    tlist fresh, failing, over;
    object *freeing;
    bool fresh_unsorted, dirty, hungry, starved;
    uint64_t seq, entry, sweep, node_gen;
    uint32_t placed;      /* ready tasks in a slot's or node's queue */
    uint32_t cause_slot;  /* id + 1 of the slot whose event is applied */
    uint32_t spread_next;
    mr_id max_id;

    uint32_t n_ready, n_waiting, n_running, n_blocked, n_travel, n_flight, n_flight_blocked, n_ahead;
    uint32_t n_actors, n_starting, n_retiring;
    uint64_t object_bytes, moved_bytes, steps, submitted, finished, failed, cancelled, retried, stale, refused;
    uint64_t heap; /* bytes outside the tables */
    double mean;   /* ns, all functions: when nothing is known */
    uint64_t runs;

    bool held_now;
    uint32_t held_slots;
    int64_t held, held_at; /* slot-ns; since when */
    int64_t hold_since;    /* something could start while nothing ran; MR_UNKNOWN: no */
    int64_t idle_at;       /* next look at idle processes */
    int64_t stuck_at;      /* next look for deadlocks; MR_UNKNOWN: nobody is blocked */
    int64_t ahead_at;      /* next look at prefetched records */
    int64_t told_wake;
    timer *timers;
    uint32_t n_timers, room_timers, n_limited; /* n_limited: living tasks with a limit */

    mr_task_info *history;
    uint64_t n_history; /* ever */
    uint32_t at_history; /* where the next goes */

    policy pol;
};

/* ---------------------------------------------------------------------------------------------- control.c, util -- */

mr_action *mr_control_act(mr_control *c, uint32_t what);
void mr_control_reply(mr_control *c, const mr_record *h, mr_status status, int64_t value);
/* Writes the reason of a failed step and returns status. */
mr_status mr_control_refuse(mr_control *c, mr_status status, const char *fmt, ...) MR_PRINTF(3, 4);
void *mr_control_alloc(mr_control *c, size_t size); /* zeroed, counted */
void mr_control_unalloc(mr_control *c, void *p, size_t size);
/* Settles what the handler started: failing tasks, freed objects. */
void mr_control_drain(mr_control *c);

/* ---------------------------------------------------------------------------------------------------- limits.c -- */

bool mr_limit_room(mr_control *c); /* for one more task with a limit */
void mr_limit_start(mr_control *c, const task *t);
int64_t mr_limit_next(const mr_control *c); /* MR_UNKNOWN: none */
void mr_limit_fire(mr_control *c);

static inline task *task_at(mr_control *c, mr_id id)
{
    return mr_table_at(&c->tasks, id);
}
static inline object *object_at(mr_control *c, mr_id id)
{
    return mr_table_at(&c->objects, id);
}
static inline proc *proc_at(mr_control *c, uint32_t number)
{
    return number ? mr_table_at(&c->procs, number) : NULL;
}
/* Not one that is over and only waits to be told. */
static inline task *task_live(mr_control *c, mr_id id)
{
    task *t = task_at(c, id);
    return t && t->where != W_OVER ? t : NULL;
}
static inline actor *actor_at(mr_control *c, mr_id id)
{
    return mr_table_at(&c->actors, id);
}
static inline func *func_at(mr_control *c, uint32_t number)
{
    return number >= 1 && number <= c->n_funcs ? c->funcs[number - 1] : NULL;
}
static inline bool settled(const object *o)
{
    return o->state != MR_OBJ_PENDING;
}
static inline bool bad(const object *o)
{
    return o->state > MR_OBJ_SEALED;
}
static inline node *task_node(mr_control *c, const task *t)
{
    if (mr_ref_is_slot(t->v.on))
        return c->nodes[c->slots[(t->v.on & 0xFFFFFFFF) - 1]->node];
    return mr_ref_is_node(t->v.on) ? c->nodes[(t->v.on & 0xFFFFFFFF) - 1] : NULL;
}
static inline slot *task_slot(mr_control *c, const task *t)
{
    return mr_ref_is_slot(t->v.on) ? c->slots[(t->v.on & 0xFFFFFFFF) - 1] : NULL;
}

/* ------------------------------------------------------------------------------------------------------ queue.c -- */

void mr_tlist_push(tlist *l, task *t);
void mr_tlist_push_front(tlist *l, task *t);
void mr_tlist_remove(tlist *l, task *t);
task *mr_tlist_pop(tlist *l);
void mr_tlist_sort(tlist *l); /* by seq */
void mr_queue_push(queue *q, task *t);
void mr_queue_remove(queue *q, task *t);
task *mr_queue_first(const queue *q);
task *mr_queue_last(const queue *q);
/* The first behind (rank, entry), the last before it. */
task *mr_queue_after(const queue *q, double rank, uint64_t entry);
task *mr_queue_before(const queue *q, double rank, uint64_t entry);
static inline bool ranks_before(const task *a, const task *b)
{
    return a->v.rank < b->v.rank || (a->v.rank == b->v.rank && a->v.entry < b->v.entry);
}
mr_status mr_bits_room(mr_control *c, bits *b, uint32_t n);
void mr_bits_set(bits *b, uint32_t i);
void mr_bits_clear(bits *b, uint32_t i);
uint32_t mr_bits_next(bits *b, uint32_t from); /* UINT32_MAX: none */

/* ------------------------------------------------------------------------------------------------------ funcs.c -- */

mr_status mr_func_define(mr_control *c, const mr_record *r);
void mr_func_learn(mr_control *c, func *f, shape *s, int64_t ran);
void mr_funcs_free(mr_control *c);
mr_status mr_res_number(mr_control *c, const char *name, uint32_t *out);
const char *mr_res_name(const mr_control *c, uint32_t res);
int64_t mr_func_estimate(const mr_control *c, const func *f, int64_t stated);
/* Prints "GPU 2" or "memory 8.0 GiB". */
void mr_amount_text(const mr_control *c, uint32_t res, int64_t amount, char *text, size_t n);

/* ------------------------------------------------------------------------------------------------------ tasks.c -- */

mr_status mr_task_submit(mr_control *c, const mr_record *r);
mr_status mr_task_started(mr_control *c, const mr_record *r);
mr_status mr_task_sealed(mr_control *c, const mr_record *r);
mr_status mr_task_finished(mr_control *c, const mr_record *r);
mr_status mr_task_cancel(mr_control *c, const mr_record *r);
mr_status mr_task_revoked(mr_control *c, const mr_record *r);
mr_status mr_task_stopped(mr_control *c, const mr_record *r);
/* All arguments are sealed: to the fresh list, or to its actor. */
void mr_task_ready(mr_control *c, task *t);
/* Out of wherever it is; gives back slot, resources, place in the worker's ring.  `where` is then stale. */
void mr_task_detach(mr_control *c, task *t);
/* Seals what is unsealed with a fault, and ends it. */
void mr_task_fail(mr_control *c, task *t, const mr_fault *f);
/* The same with the error of object `cause`; done by the drain, so chains of any length do not recurse. */
void mr_task_fail_by(mr_control *c, task *t, mr_id cause);
void mr_task_fail_later(mr_control *c, task *t); /* a call whose actor is dead: with the actor's fault, by the drain */
void mr_task_failing(mr_control *c, task *t);
/* Its attempt is lost through no fault of its own making: retry if it may, else fail. */
void mr_task_lost(mr_control *c, task *t, const mr_fault *f, bool blame);
void mr_task_over(mr_control *c, task *t, mr_status outcome);
void mr_task_gone(mr_control *c, task *t);
/* A retry: to the ready queue with a new entry. */
void mr_task_again(mr_control *c, task *t);
int32_t mr_task_tries(const mr_control *c, const task *t); /* -1: for ever */
mr_fault mr_task_fault(const mr_control *c, const task *t, mr_status status);
void mr_task_cancel_children(mr_control *c, mr_id parent, uint32_t flags);
void mr_task_cancel_one(mr_control *c, task *t, uint32_t flags);
void mr_task_release_args(mr_control *c, task *t);

/* ------------------------------------------------------------------------------------------------------- deps.c -- */

/* Links the arguments; counts those that are not sealed; gives the first that is an error, or 0. */
mr_id mr_deps_link(mr_control *c, task *t);
void mr_deps_unlink(mr_control *c, task *t);
/* An object was settled: its dependents get ready, or fail. */
void mr_deps_settle(mr_control *c, object *o);
mr_status mr_wait_blocked(mr_control *c, const mr_record *r);
mr_status mr_wait_unblocked(mr_control *c, const mr_record *r);
void mr_wait_settle(mr_control *c, object *o);
void mr_wait_drop_all(mr_control *c, mr_link *waits);
void mr_wait_end(mr_control *c, wait *w, mr_status status, bool deliver);
void mr_wait_lend(mr_control *c, task *t);
void mr_wait_take_back(mr_control *c, task *t);
bool mr_wait_descends(mr_control *c, const task *t); /* is an ancestor blocked? */
/* deadlock.c */
bool mr_deadlock_stuck(mr_control *c, const wait *w);
void mr_deadlock_look(mr_control *c);
void mr_deadlock_capped(mr_control *c);
mr_link *mr_wait_list(mr_control *c, uint32_t client);

/* ---------------------------------------------------------------------------------------------------- objects.c -- */

object *mr_object_new(mr_control *c, mr_id id, mr_id task);
/* Sealed with a value (or an error value); refs are held by it.  Errors: NOMEM (nothing changed). */
mr_status mr_object_seal(mr_control *c, object *o, const mr_ev_sealed *e, const mr_id *refs, uint32_t n_refs);
void mr_object_fail(mr_control *c, object *o, const mr_fault *f);
void mr_object_alias(mr_control *c, object *o, mr_id cause);
void mr_object_unhold(mr_control *c, object *o);
void mr_object_free_later(mr_control *c, object *o); /* if it is settled and nobody holds it */
void mr_object_free_now(mr_control *c, object *o);
bool mr_object_on(const object *o, uint32_t node);
bool mr_object_copy_add(mr_control *c, object *o, uint32_t node);
void mr_object_copy_del(object *o, uint32_t node);
/* A node that has a copy; UINT32_MAX: none. */
uint32_t mr_object_source(const mr_control *c, const object *o);
mr_status mr_object_put(mr_control *c, const mr_record *r);
mr_status mr_object_arrived(mr_control *c, const mr_record *r);
mr_status mr_object_lost(mr_control *c, const mr_record *r);
mr_status mr_object_spilled(mr_control *c, const mr_record *r);
mr_status mr_object_restored(mr_control *c, const mr_record *r);
mr_status mr_object_full(mr_control *c, const mr_record *r);
void mr_object_delete(mr_control *c, object *o);

/* ---------------------------------------------------------------------------------------------------- holders.c -- */

/* Client holds; add may fail for memory unless room was made. */
mr_status mr_holder_room(mr_control *c, uint32_t client, uint32_t n);
void mr_holder_add(mr_control *c, uint32_t client, object *o);
bool mr_holder_drop(mr_control *c, uint32_t client, object *o);
void mr_holder_gone(mr_control *c, proc *p);
mr_status mr_holder_refs(mr_control *c, const mr_record *r);
mr_status mr_holder_free(mr_control *c, const mr_record *r);

/* ---------------------------------------------------------------------------------------------------- streams.c -- */

mr_status mr_stream_new(mr_control *c, mr_id id);
mr_status mr_stream_yielded(mr_control *c, const mr_record *r);
mr_status mr_stream_read(mr_control *c, const mr_record *r);
void mr_stream_end(mr_control *c, mr_id id);
void mr_stream_abandon(mr_control *c, mr_id id);
void mr_stream_client_gone(mr_control *c, uint32_t client);
void mr_streams_free(mr_control *c);

/* ----------------------------------------------------------------------------------------------------- actors.c -- */

/* Checks of a creation or a call before anything is changed; *existing: the actor that GET_IF_EXISTS found. */
mr_status mr_actor_check(mr_control *c, const mr_ev_submit *e, const func *f, mr_id *existing);
mr_status mr_actor_new(mr_control *c, const mr_ev_submit *e, task *t);
mr_status mr_actor_call_room(mr_control *c, actor *a, uint32_t client);
void mr_actor_call(mr_control *c, actor *a, task *t);
void mr_actor_call_ready(mr_control *c, task *t);
void mr_actor_call_back(mr_control *c, actor *a, task *t); /* a retry: before all others */
void mr_actor_call_out(mr_control *c, task *t); /* out of its actor's lists */
void mr_actor_pump(mr_control *c, actor *a);
void mr_actor_born(mr_control *c, actor *a);
/* Ends it for good: its calls fail with `f`. */
void mr_actor_die(mr_control *c, actor *a, const mr_fault *f);
/* Its process died: restart or die. */
void mr_actor_lost(mr_control *c, actor *a, const mr_fault *f);
void mr_actor_unheld(mr_control *c, mr_id id);
void mr_actor_maybe_leave(mr_control *c, actor *a);
mr_status mr_actor_kill(mr_control *c, const mr_record *r);
mr_status mr_actor_name(mr_control *c, const mr_record *r);
void mr_actor_gone(mr_control *c, mr_id id);
void mr_actor_caller_gone(mr_control *c, uint32_t client);
void mr_actor_free(mr_control *c, actor *a);
/* Dies, and its process goes: by itself (gently) or killed. */
void mr_actor_exit(mr_control *c, actor *a, const mr_fault *f, bool gently);

/* ------------------------------------------------------------------------------------------------------ nodes.c -- */

mr_status mr_node_add(mr_control *c, const mr_record *r);
mr_status mr_node_remove(mr_control *c, const mr_record *r);
void mr_node_free(mr_control *c, node *n);
bool mr_node_allows(const mr_control *c, const node *n, const shape *s); /* constraints and total */
bool mr_node_fits(const node *n, const mr_amount *needs, uint32_t n_needs);
bool mr_node_can(mr_control *c, node *n, const shape *s, const task *t); /* now: pool, lent, process */
bool mr_node_feasible(mr_control *c, shape *s);
mr_status mr_node_unschedulable(mr_control *c, const func *f, const shape *s);
void mr_node_take(mr_control *c, node *n, const mr_amount *needs, uint32_t n_needs);
void mr_node_give(mr_control *c, node *n, const mr_amount *needs, uint32_t n_needs);
slot *mr_node_idle_slot(mr_control *c, node *n, bool grow);
void mr_slot_busy(mr_control *c, slot *s, task *t);
void mr_slot_idle(mr_control *c, slot *s);
mr_status mr_slot_add(mr_control *c, node *n);

/* ---------------------------------------------------------------------------------------------------- workers.c -- */

kind *mr_kind_of(mr_control *c, node *n, const shape *s);
bool mr_kind_possible(mr_control *c, node *n, const shape *s);
/* The task has slot, resources and inputs: gives it to a process, or waits for one. */
void mr_proc_give(mr_control *c, task *t);
void mr_proc_idle(mr_control *c, proc *p);
void mr_proc_next(mr_control *c, proc *p); /* its task ended: the next ahead, or idle */
mr_status mr_proc_up(mr_control *c, const mr_record *r);
mr_status mr_proc_retired(mr_control *c, const mr_record *r);
mr_status mr_proc_died(mr_control *c, const mr_record *r);
void mr_proc_lose(mr_control *c, proc *p, const mr_fault *f);
void mr_proc_kill(mr_control *c, proc *p);
void mr_proc_retire(mr_control *c, proc *p);
void mr_proc_births(mr_control *c);
void mr_proc_reap(mr_control *c);
void mr_proc_free(mr_control *c, proc *p);
void mr_ahead_fill(mr_control *c);
void mr_ahead_look(mr_control *c);
void mr_ahead_revoke(mr_control *c, proc *p);
void mr_ahead_balance(mr_control *c);
void mr_proc_room(mr_control *c, proc *p);

/* ------------------------------------------------------------------------------------------------------ ready.c -- */

void mr_ready_enter(mr_control *c, task *t, bool again); /* again: keeps rank, entry and place */
void mr_ready_leave(mr_control *c, task *t);
void mr_ready_place(mr_control *c, task *t, mr_ref at);
void mr_ready_close(mr_control *c);  /* the instant is closed: rank, place, sweep */
bool mr_ready_start(mr_control *c, task *t, slot *s); /* false: it could not (memory, a lost argument) */
queue *mr_ready_queue(mr_control *c, mr_ref of, const shape *s); /* NULL: nothing there */
task *mr_ready_best(mr_control *c, mr_ref of, slot *s, bool from_end);
bool mr_ready_can(mr_control *c, const task *t, const slot *s);
bool mr_ready_any(mr_control *c); /* could anything start now? */
void mr_ready_arrived(mr_control *c, node *n, mr_id id, bool lost);
uint32_t mr_ready_send(mr_control *c, const task *t, node *n); /* how many arguments are not there yet */
void mr_ready_send_one(mr_control *c, const object *o, node *n);
task *mr_ready_next(mr_control *c, mr_ref of, task *after);
void mr_ready_replace(mr_control *c, mr_ref of);

/* ----------------------------------------------------------------------------------------------------- policy.c -- */

void mr_policy_note_any(mr_control *c, uint32_t what, task *t, int outcome, int64_t ran);
static inline void mr_policy_note(mr_control *c, uint32_t what, task *t, int outcome, int64_t ran)
{
    if (c->pol.any)
        mr_policy_note_any(c, what, t, outcome, ran);
}
void mr_policy_tell(mr_control *c);
void mr_policy_rank(mr_control *c, task *t);
void mr_policy_place(mr_control *c, task *t);
bool mr_policy_reranks(mr_control *c);
void mr_policy_pick(mr_control *c);
void mr_policy_held(mr_control *c);
void mr_policy_woken(mr_control *c);
void mr_policy_eject_if(mr_control *c);
void mr_policy_fini(mr_control *c);
bool mr_policy_room(mr_control *c, uint32_t n);
void mr_policy_host_init(mr_control *c, const mr_host *base);
mr_status mr_policy_swapped(mr_control *c, const mr_record *r);
void mr_policy_refused(mr_control *c, const char *op, uint32_t bit);
int64_t mr_policy_cost(mr_control *c, const task *t, const slot *s);

/* --------------------------------------------------------------------------------------------- history.c, groups -- */

void mr_history_add(mr_control *c, const task *t);
mr_status mr_group_event(mr_control *c, const mr_record *r);

#endif
