/* bench_host.h: a small world for one scheduler plugin: nodes, slots, tasks and a clock in memory, behind the host
 * table of sched.h.  It asks the plugin as sched.h says control does, checks every answer, and keeps what happened, so
 * that cases can judge it.  It is written from the header alone and shares no code with control: what passes here and
 * fails there is a fault of one of the two.
 *
 * Slow on purpose (every question is answered by a scan), deterministic, single-threaded; a world is used for one run.
 */
#ifndef MR_PLUGIN_CONFORMANCE_BENCH_HOST_H
#define MR_PLUGIN_CONFORMANCE_BENCH_HOST_H

#include <stdio.h>

#include "plugin/loader.h"

enum {
    BENCH_TASKS = 512,
    BENCH_SLOTS = 64,
    BENCH_NODES = 8,
    BENCH_EDGES = 2048,
    BENCH_RES = 2, /* CPU and GPU */
    BENCH_CONF = 16,
    BENCH_NAMES = 32,
    BENCH_HOLDS = 8,
    BENCH_EVENTS = 256
};
#define BENCH_US INT64_C(1000)
#define BENCH_MS INT64_C(1000000)
#define BENCH_NEVER INT64_MAX
#define BENCH_MIN_SLICE BENCH_MS
#define BENCH_HOLD_REF (UINT64_C(1) << 40) /* handles of bundles: behind those of all tasks */

typedef struct mr_bench_task {
    mr_task view; /* first: a view is a task */
    int64_t arrival, duration, left, end, offered, stop_at, travel_end;
    mr_amount needs[BENCH_RES];
    int64_t costs[BENCH_SLOTS]; /* true ns on each slot; 0: duration */
    uint64_t out_bytes;
    int out_node, slot, retries, starts, ends;
    mr_ref queue;
    const char *label[2][2];
    bool submitted, planned, queued, over, fresh; /* fresh: started or stopped in this instant */
    bool dropped;     /* its last attempt is told to be over, and the next one is not ready yet */
    bool lives, lent; /* an actor that was made; it waits in `get` and has lent its CPU */
    int64_t life;     /* of an actor, from its making on */
    mr_amount kept;   /* by an actor while it lives */
    int64_t early;    /* its results are items of a stream, there when it ran for so long; 0: at its end */
    int64_t block_at, block_for, back_at, away; /* waits once, when it ran for block_at (0: never); in this start */
    mr_status outcome;
    int64_t first_start, finished;
} mr_bench_task;

typedef struct mr_bench_spec {
    int64_t arrival, duration;
    double cpu, gpu; /* cpu 0: 1; below 0: none */
    int32_t priority, retries;
    uint64_t out_bytes;
    const char *fn, *user;
    int64_t deadline, limit; /* 0: none */
    int64_t life;            /* an actor that lives so long; 0: a task */
    int64_t early, block_at, block_for;
} mr_bench_spec;

/* SEAT: node `which` has one slot more.  EJECT: the plugin is closed and not asked again, as after an error; the world
 * goes on first in, first out. */
typedef enum mr_bench_what { BENCH_CANCEL, BENCH_CRASH, BENCH_REOPEN, BENCH_EJECT, BENCH_SEAT } mr_bench_what;

typedef struct mr_bench {
    mr_sched_host host;
    mr_host base;
    const mr_loaded *loaded;
    void *self;
    mr_sched_wants wants;
    int64_t now, wake_at;
    uint64_t seed, entries, digest;
    bool exact; /* estimates are the true durations; else nothing is known */
    bool rerank_all, in_op;
    int64_t bandwidth; /* bytes per us between nodes */
    int64_t begin;     /* of the first instant */
    int64_t birth;     /* ns from a dispatch to the start, as when a process has to be born */
    int fn_cap;        /* most of one function at a time; 0: no cap */
    int fail_alloc;    /* which call of alloc() finds no memory, from 1; 0: none */
    mr_bench_task task[BENCH_TASKS];
    mr_worker slot[BENCH_SLOTS];
    mr_node node[BENCH_NODES];
    mr_amount total[BENCH_NODES][BENCH_RES], free[BENCH_NODES][BENCH_RES];
    int edge[BENCH_EDGES][2];
    uint64_t bytes[BENCH_EDGES]; /* each edge is an object of its own: the pred's out_bytes unless changed */
    int64_t arrives[BENCH_EDGES][BENCH_NODES]; /* when it is on a node; BENCH_NEVER: not sent */
    int made_on[BENCH_EDGES];                  /* the node where it was sealed; -1: it is not */
    struct {                                   /* bundles of placement groups */
        mr_task view;
        mr_amount needs;
        int64_t from, to;
    } hold[BENCH_HOLDS];
    struct {
        mr_bench_what what;
        int which;
        int64_t at;
        bool done;
    } event[BENCH_EVENTS];
    struct {
        char key[32], value[256];
    } conf[BENCH_CONF];
    const char *names[BENCH_NAMES];
    int n_tasks, n_slots, n_nodes, n_edges, n_events, n_conf, n_names, n_holds;
    /* what happened */
    int order[4 * BENCH_TASKS], n_order; /* tasks in order of their starts */
    int wrong, stops, preempted, stalls, opens, asked[8], n_allocs, instants;
    uint64_t moved;
    bool failed;              /* by the plugin itself: it was ejected */
    int64_t last, flow, held; /* end of the last task; sum of finish - arrival */
    size_t live_allocs, live_bytes, most_bytes;
    char failure[1200], open_error[1100], log[1024];
} mr_bench;

/* Errors: NULL for want of memory.  free closes the instance if it is open. */
mr_bench *mr_bench_new(const mr_loaded *l, const char *policy, uint64_t seed);
void mr_bench_free(mr_bench *b);
void mr_bench_conf(mr_bench *b, const char *key, const char *value);
int mr_bench_add_node(mr_bench *b, int slots, int gpus, uint32_t cls);
int mr_bench_add_task(mr_bench *b, const mr_bench_spec *spec);
int mr_bench_add_edge(mr_bench *b, int pred, int succ);
void mr_bench_add_event(mr_bench *b, mr_bench_what what, int which, int64_t at);
/* A bundle of a placement group holds CPUs of a node for a while. */
void mr_bench_add_hold(mr_bench *b, int node, double cpu, int64_t from, int64_t to);

/* Opens the plugin, runs the world to its end, closes it.  False: it failed, stalled or gave a wrong answer; `failure`
 * or `open_error` says what. */
bool mr_bench_run(mr_bench *b);
mr_status mr_bench_open(mr_bench *b);
void mr_bench_close(mr_bench *b);

/* ---- between bench_host.c, bench_task.c and bench_run.c */
void mr_bench_fill_host(mr_bench *b);
int mr_bench_task_of(const mr_bench *b, mr_ref ref); /* -1: none such, or over */
int mr_bench_slot_of(const mr_bench *b, mr_ref ref);
int mr_bench_node_of(const mr_bench *b, mr_ref ref);
bool mr_bench_fits(const mr_bench *b, const mr_bench_task *t, int node, const mr_bench_task *without);
bool mr_bench_can(const mr_bench *b, const mr_bench_task *t, int slot);
int64_t mr_bench_copy_time(const mr_bench *b, uint64_t bytes);
int64_t mr_bench_true_cost(const mr_bench *b, const mr_bench_task *t, int slot);
mr_ref mr_bench_next(const mr_bench *b, mr_list list, mr_ref of, mr_ref after);
void mr_bench_recount(mr_bench *b); /* load, busy_until */

/* True if the op is to be asked; counts it. */
bool mr_bench_wants(mr_bench *b, uint32_t op);
void mr_bench_tell(mr_bench *b, mr_what what, mr_bench_task *t, int slot, int64_t ran);
void mr_bench_wrong(mr_bench *b, const char *op, const mr_bench_task *t, mr_ref answer);
void mr_bench_ask_rank(mr_bench *b, mr_bench_task *t);
/* The inputs set out for a node; sets `offered`. */
void mr_bench_send_inputs(mr_bench *b, mr_bench_task *t, int node);
/* The node behind a slot or node that may run the task; -1: an answer that can not be. */
int mr_bench_check_place(mr_bench *b, const mr_bench_task *t, mr_ref where);
void mr_bench_put_at(mr_bench *b, mr_bench_task *t, mr_ref where, const char *op);
void mr_bench_enter_ready(mr_bench *b, mr_bench_task *t);
void mr_bench_begin(mr_bench *b, mr_bench_task *t);
void mr_bench_dispatch(mr_bench *b, mr_bench_task *t, int slot);
void mr_bench_halt(mr_bench *b, mr_bench_task *t); /* its slice is over: it becomes ready with the others */
void mr_bench_stop(mr_bench *b, mr_bench_task *t); /* at once, for another */
void mr_bench_finish(mr_bench *b, mr_bench_task *t, mr_status outcome);
void mr_bench_die(mr_bench *b, mr_bench_task *t);  /* an actor that lived */
void mr_bench_seal(mr_bench *b, mr_bench_task *t); /* its results are there, on its node */
void mr_bench_lend(mr_bench *b, mr_bench_task *t);
void mr_bench_take_back(mr_bench *b, mr_bench_task *t);
void mr_bench_add_slot(mr_bench *b, int node);
int64_t mr_bench_ran(const mr_bench *b, const mr_bench_task *t); /* of this start */
void mr_bench_retry_or_fail(mr_bench *b, mr_bench_task *t);

#endif
