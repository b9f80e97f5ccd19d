/* helper_brute.h: control once more, as simply as it can be said: plain arrays, every question answered by looking at
 * everything.  It has no queue, no index, no count that is kept: who holds an object, how much of a node is free and
 * which call comes next are worked out anew each time.  Slow, and short enough to be read.
 *
 * Covers tasks, their arguments and references, actors and their calls, pools, processes, lent CPUs, cancels, retries,
 * deaths and a node that leaves, in the order of FIFO, with values inside the records; and stops: slices, and tasks
 * that take the slot of another.  Leaves out: prefetch, transfers, streams, GPUs, limits, deadlocks, policies that
 * rank, place or pick.
 */
#ifndef HELPER_BRUTE_H
#define HELPER_BRUTE_H

#include "control/control.h"

enum {
    B_BASE = 1000,
    B_MOST = 700,
    B_PROCS = 200,
    B_NODES = 2,
    B_SLOTS = 128,
    B_ARGS = 4,
    B_WAITS = 128,
    B_TOLD = 256,
    B_ASKED = 1024
};

typedef struct b_func {
    const char *needs, *name;
    mr_func_kind kind;
    int64_t cpu, memory, living; /* living: memory that an actor keeps */
    int32_t tries;               /* attempts; -1: any number */
    uint32_t env, max_calls, concurrency;
    int shape; /* the same number: the same demand */
} b_func;

typedef enum b_state {
    B_NONE,
    B_WAITING,
    B_FRESH, /* ready since the last close */
    B_READY,
    B_PROCESS, /* has its seat, waits for a process */
    B_RUN,
    B_HELD,   /* calls: waits for arguments or for an earlier one, */
    B_CALL,   /* may be sent, */
    B_FLIGHT, /* was sent */
    B_LIVING, /* creation of a living actor */
    B_FAILING,
    B_OVER
} b_state;

typedef struct b_task {
    b_state state;
    const b_func *f;
    mr_id id, parent, actor, ids[B_ARGS];
    uint32_t n_deps, n_ids, n_returns, owner, caller, worker, attempt;
    int node, slot;  /* -1: none */
    uint64_t entry;  /* into the ready queue, of any place that has an order */
    int64_t order;   /* among those that wait for a process, may be sent, or were sent */
    uint32_t blocks; /* its open waits */
    bool lent, cancel, deep, orphan, revoking, released; /* released: its arguments */
    mr_id cause;                                         /* FAILING: repeats this error; 0: its actor died */
    /* A stopped one is FRESH or READY, with its process and its node. */
    bool stopping, stopped, started;                                             /* started: nobody was told yet */
    int64_t started_at, idle, blocked_at, slice_at, slice_left, ran, stopped_at; /* ns; -1: none */
} b_task;

typedef struct b_object {
    mr_object_state state;
    mr_id maker, refs[2];
} b_object;

typedef struct b_proc {
    int state; /* mr_process_state */
    int node;
    uint32_t env, calls;
    mr_id task, actor;
    bool killing;
    int64_t idle_since; /* order, not time */
    bool holds[B_MOST];
} b_proc;

typedef struct b_wait {
    bool open;
    uint32_t client, token, need, flags, n, done;
    mr_id task, ids[3];
    bool pending[3];
} b_wait;

typedef struct b_node {
    int64_t cpu, memory;
    bool open, gone;
    int64_t lend_at, lend_delay;
} b_node;

/* What control must have said in a step: dispatches (id, worker, attempt, value: slot), answers to waits (client,
 * token), errors made (id, status; an alias has status 0). */
typedef struct b_told {
    mr_action_kind kind;
    mr_id id;
    uint32_t worker, attempt, client, token;
    int64_t value;
    int status;
} b_told;

/* A question to the policy, or what it was told of a stop: 's'lice, 'p'reempt, 'x' stopped. */
typedef struct b_asked {
    char what;
    mr_id id, list; /* list: a digest of those whose stop alone would let it in */
    int64_t answer; /* of x: what it ran */
} b_asked;

typedef struct brute {
    int64_t now;
    uint32_t window; /* of actors with one thread */
    b_task tasks[B_MOST];
    b_object objects[B_MOST];
    b_proc procs[B_PROCS]; /* by number; 0: the driver, for what it holds */
    b_node nodes[B_NODES];
    mr_id slots[B_SLOTS]; /* the task on it; 0: idle */
    int slot_node[B_SLOTS];
    struct {
        mr_actor_state state;
        uint32_t worker;
        bool leaving, creation; /* creation: that task was not ended */
        mr_status fault;        /* of a dead one */
    } actors[B_MOST];
    b_wait waits[B_WAITS];
    uint32_t n_ids, n_procs, n_nodes, n_slots, n_waits, n_told, n_failing;
    mr_id failing[B_MOST];
    int64_t stamp;
    uint64_t entry;
    uint64_t finished, failed, cancelled, retried;
    b_told told[B_TOLD];
    bool slices, preempts; /* what the policy has */
    uint64_t seed;         /* of its answers */
    int64_t min_slice, ask_at;
    bool ask_front;
    uint32_t n_asks, n_heirs, n_asked;
    mr_id asks[B_MOST];
    struct {
        int slot;
        mr_id task;
    } heirs[B_SLOTS]; /* in the order in which they were let in */
    b_asked asked[B_ASKED];
} brute;

#define B_EACH_TASK(b, t) for (b_task *t = (b)->tasks; t < (b)->tasks + (b)->n_ids; t++)

void brute_new(brute *b, uint32_t window);
void brute_node(brute *b, int64_t cpus, int64_t memory);

/* Looking in. */
static inline b_task *brute_task(brute *b, mr_id id)
{
    return &b->tasks[id - B_BASE];
}
static inline bool brute_alive(const b_task *t)
{
    return t->state != B_NONE && t->state != B_OVER;
}
static inline b_object *brute_object(brute *b, mr_id id)
{
    return &b->objects[id - B_BASE];
}
void brute_holders(brute *b, uint32_t n[B_MOST]);
int64_t brute_free_cpu(brute *b, int node, int64_t *memory, int64_t *lent);

/* For helper_brute_step.c. */
bool b_there(brute *b, mr_id id);
bool b_bad(brute *b, mr_id id);
bool b_ordered(brute *b, mr_id actor);
bool b_waits_for_arguments(brute *b, const b_task *t);
b_told *b_tell(brute *b, mr_action_kind kind);
void b_dispatch(brute *b, const b_task *t);
int b_idle_slot(brute *b, int node); /* the lowest, or one more */
void b_sit(brute *b, b_task *t);
void b_leave_slot(brute *b, b_task *t);
void b_leave_seat(brute *b, b_task *t);
uint32_t b_lenders(brute *b, int node);
void b_stop_lending(brute *b, b_task *t);
bool b_fits(brute *b, const b_task *t, int node);
void b_start(brute *b, b_task *t, int slot);
bool b_has_lender_above(brute *b, const b_task *t);
void b_births(brute *b, int node, uint32_t env);
void b_idle(brute *b, uint32_t worker);
void b_kill_proc(brute *b, uint32_t worker);
void b_retire(brute *b, uint32_t worker);

#endif
