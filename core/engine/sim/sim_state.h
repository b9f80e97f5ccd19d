/* sim_state.h: what sim.c (events in) and sim_actions.c (actions out) share.  Private to this folder. */
#ifndef MR_ENGINE_SIM_SIM_STATE_H
#define MR_ENGINE_SIM_SIM_STATE_H

#include "base/rand.h"
#include "base/table.h"
#include "engine/sim/clock.h"
#include "engine/sim/sim.h"

/* Kinds of moments.  a, b: see each. */
enum {
    MR_AT_SUBMIT = 1, /* a: task */
    MR_AT_UP,         /* a: worker */
    MR_AT_RETIRED,    /* a: worker */
    MR_AT_DIED,       /* a: worker, if it runs task b - 1 and gen still holds; b = 0: whatever it does */
    MR_AT_START,      /* a: task, if gen still holds */
    MR_AT_FINISH,     /* a: task, if gen still holds */
    MR_AT_POINT,      /* a: task, which comes to its next point, if gen still holds */
    MR_AT_GO_ON,      /* a: task, whose wait is over, if gen still holds */
    MR_AT_STOPPED,    /* a: task */
    MR_AT_REVOKED,    /* a: task, b: worker */
    MR_AT_CANCELLED,  /* a: task */
    MR_AT_ARRIVED,    /* a: index in mr_sim.flights */
    MR_AT_FLOW,       /* a: the same: its bytes begin to go; links = fair */
    MR_AT_RATES,      /* a copy began or ended, if gen still holds; links = fair */
    MR_AT_FULL,       /* a: node */
    MR_AT_SPILLED,    /* a: object, b: node, if that has not died since (gen) */
    MR_AT_NODE_DOWN,  /* a: node, b: number in mr_platform.failures + 1, or 0: by chance, if gen still holds */
    MR_AT_NODE_UP     /* a: node */
};

enum { MR_LIFE_NEW, MR_LIFE_QUEUED, MR_LIFE_SENT, MR_LIFE_RUNNING, MR_LIFE_STOPPED, MR_LIFE_BLOCKED, MR_LIFE_OVER };

typedef struct mr_sim_life { /* what the engine alone knows of a task */
    mr_id id;
    int64_t left, since, from;     /* ns to run; since when it does; when its slot was given to it */
    uint32_t worker, gen, parents; /* parents that have not ended */
    uint32_t point;                /* of the workload's: the next that it comes to */
    uint16_t stretch;              /* of this attempt: one more after each stop */
    uint8_t state, wrong;          /* MR_LIFE_; an error was made of its results */
    uint8_t dropped;               /* control has let it go */
    uint8_t again;                 /* it ended before, and runs once more for what was lost */
} mr_sim_life;

typedef struct mr_sim_machine { /* a node of the platform, numbered as there */
    uint32_t number;            /* by which control knows it now, MR_WL_NONE: it is down */
    uint32_t gen;               /* how often it died */
} mr_sim_machine;

typedef struct mr_sim_proc {
    uint32_t node, task; /* task + 1; 0: none */
    bool alive;
    uint32_t *calls; /* of an actor: those that were sent, in that order */
    uint32_t n_calls, cap_calls;
} mr_sim_proc;

typedef struct mr_sim_flight {
    mr_id id;
    uint64_t bytes;
    uint32_t from, node, next_free;
    bool disk;         /* it was read from the disk of `from` */
    bool dead;         /* one of its ends died */
    double left, rate; /* bytes, bytes per second; links = fair */
} mr_sim_flight;

typedef struct mr_sim_fair mr_sim_fair;

typedef struct mr_sim_copy { /* of one object, on a node */
    struct mr_sim_copy *next;
    uint32_t node;
    bool disk;
} mr_sim_copy;

typedef struct mr_sim_store { /* of one node */
    uint64_t used, leaving;   /* bytes in memory; those of them that are on their way to the disk */
    int64_t disk_busy;
    bool asked; /* MR_AT_FULL is on its way */
} mr_sim_store;

struct mr_sim {
    mr_workload *w; /* written only by what reads a stream */
    const mr_platform *p;
    mr_sim_conf conf;
    mr_control *control;
    char policy[64]; /* as it was called, also after it was ejected */
    mr_actions actions;
    mr_clock clock;
    int64_t now, wake;
    int64_t decider;         /* when the policy's work so far is done */
    uint64_t work;           /* units of it that were not turned into time yet */
    uint64_t opened, called; /* calls that opening it took; calls that were turned into time */
    uint32_t next_arrival;   /* in the order of submission */
    uint32_t ahead;          /* of a stream: read, but not arrived; MR_WL_NONE: all were read */
    uint64_t over;
    uint32_t cap_tasks, cap_outputs, cap_funcs; /* of the arrays by task, object, definition */
    uint32_t *leaving;                          /* of a stream: ended in this instant */
    uint32_t n_leaving, cap_leaving;
    mr_wl_slowest slowest; /* of a stream */
    uint32_t *funcs;       /* by number of definition */
    mr_id *outside;        /* by object; 0: not put yet, or a task's */
    uint32_t *unread;      /* by object: readers that are not submitted yet */
    mr_table owner;        /* by id -> uint32_t: object */
    mr_id next_id;
    mr_sim_life *lives;
    mr_sim_task *tasks;
    mr_sim_stretch *stretches;
    size_t n_stretches, cap_stretches;
    mr_sim_earlier *earlier; /* by the time at which the run after it was decided */
    size_t n_earlier, cap_earlier;
    mr_sim_machine *machines; /* by node of the platform */
    uint32_t *machine_of;     /* by control's number */
    uint32_t n_numbers, cap_numbers;
    bool mortal; /* some node may die */
    mr_sim_proc *procs;
    uint32_t cap_procs;
    mr_sim_flight *flights;
    uint32_t n_flights, cap_flights, free_flight; /* free_flight: index + 1 */
    mr_table links;                               /* from * n_nodes + to (or port_of) -> int64_t: busy until */
    mr_sim_fair *fair;                            /* NULL: links are not */
    mr_sim_store *stores;                         /* by node; NULL: none says how much it holds */
    mr_sim_copy **copies;                         /* by object; with stores only */
    bool *passed;                                 /* by point: some attempt was there */
    uint32_t *deferred; /* tasks that wait until what makes their inputs, or their actor, is submitted */
    uint32_t n_deferred, cap_deferred;
    mr_rand noise;
    mr_sim_stats stats;
    uint64_t *record; /* the event being told */
    size_t record_words;
    uint32_t answer; /* to a DEFINE */
    uint32_t idle;   /* instants in a row that only timers made */
    bool begun;
};

/* A zeroed record of `body` bytes with room for ids and payload, its header filled; good until the next one.  NULL: out
 * of memory, which mr_sim_tell says. */
void *mr_sim_begin(mr_sim *s, uint16_t kind, size_t body, uint32_t n_ids, uint32_t n_bytes, uint32_t from);
#define BEGIN(type, kind, n_ids, n_bytes, from)                                                                        \
    ((type *)mr_sim_begin(s, (kind), sizeof(type), (n_ids), (n_bytes), (from)))
/* A file from outside comes to its node.  Errors: those of mr_sim_tell. */
mr_status mr_sim_put_outside(mr_sim *s, uint32_t object, mr_err *err) MR_CHECK_RESULT;
/* Steps control with the record and takes up what it wants done. */
mr_status mr_sim_tell(mr_sim *s, const void *record, mr_err *err) MR_CHECK_RESULT;
/* Takes up everything control wants done.  Errors: NOMEM, PROTOCOL (an action that makes no sense). */
mr_status mr_sim_act(mr_sim *s, mr_err *err) MR_CHECK_RESULT;
/* Decides whether its worker dies before the task, which goes on from now, is done: by the seed, the task, its attempt
 * and stretch alone, so by the same luck under every policy.  Errors: NOMEM. */
mr_status mr_sim_doom(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT;
/* A stretch of `task` ends now.  Errors: NOMEM. */
mr_status mr_sim_stretch_end(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT;
/* Bytes per second through a node's port. */
uint64_t mr_sim_rate_of(const mr_sim *s, uint32_t node);
/* ---- sim_fair.c: errors of all: NOMEM ---- */
mr_status mr_sim_fair_init(mr_sim *s) MR_CHECK_RESULT;
void mr_sim_fair_fini(mr_sim *s);
mr_status mr_sim_fair_begin(mr_sim *s, uint32_t flight) MR_CHECK_RESULT;
mr_status mr_sim_fair_rates(mr_sim *s, const mr_moment *m) MR_CHECK_RESULT;
/* Some flights are dead now. */
mr_status mr_sim_fair_died(mr_sim *s) MR_CHECK_RESULT;
/* The driver gives up an object.  Errors: those of mr_sim_tell. */
mr_status mr_sim_release(mr_sim *s, mr_id id, mr_err *err) MR_CHECK_RESULT;
/* `object` is now in the memory of `node`; its task tells control that it is sealed.  Errors: those of mr_sim_tell. */
mr_status mr_sim_seal(mr_sim *s, uint32_t object, mr_err *err) MR_CHECK_RESULT;
/* A stretch of a task begins now, or has its next part: what it comes to next.  Errors: NOMEM. */
mr_status mr_sim_run_on(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT;
/* ---- sim_points.c: what tasks do while they run.  Errors of all: NOMEM, and those of mr_sim_tell. ---- */
mr_status mr_sim_points_begin(mr_sim *s, mr_err *err) MR_CHECK_RESULT;
/* Submits the task, or keeps it until that makes sense. */
mr_status mr_sim_submit(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT;
mr_status mr_sim_submit_deferred(mr_sim *s, mr_err *err) MR_CHECK_RESULT; /* those that were kept, if it does now */
mr_status mr_sim_submit_now(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT; /* sim.c */
mr_status mr_sim_end(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT;        /* sim.c: it is over */
/* ns that this attempt of the task runs in all, and whether it fails then. */
int64_t mr_sim_whole(const mr_sim *s, uint32_t task, bool *fails);
mr_status mr_sim_point(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT;
mr_status mr_sim_go_on(mr_sim *s, uint32_t task, mr_err *err) MR_CHECK_RESULT;
/* Control says that the wait of a client is over. */
mr_status mr_sim_delivered(mr_sim *s, uint32_t token) MR_CHECK_RESULT;
/* A call is sent to its actor; its turn there may be later.  Errors: NOMEM. */
mr_status mr_sim_call(mr_sim *s, uint32_t task, mr_sim_proc *p) MR_CHECK_RESULT;
/* It is no longer there: the next has its turn.  Errors: NOMEM. */
mr_status mr_sim_call_left(mr_sim *s, uint32_t task) MR_CHECK_RESULT;
/* ---- sim_nodes.c ---- */
/* Tells control of all nodes, and arranges their deaths.  Errors: NOMEM, and those of control. */
mr_status mr_sim_nodes_begin(mr_sim *s, mr_err *err) MR_CHECK_RESULT;
mr_status mr_sim_node_down(mr_sim *s, const mr_moment *m, mr_err *err) MR_CHECK_RESULT;
mr_status mr_sim_node_up(mr_sim *s, uint32_t machine, mr_err *err) MR_CHECK_RESULT;
/* The node of the platform that control calls `number`; MR_WL_NONE: none, or not any more. */
uint32_t mr_sim_machine_of(const mr_sim *s, uint64_t number);
/* `task` is given to a worker once more, though it has ended.  Errors: NOMEM. */
mr_status mr_sim_remake(mr_sim *s, uint32_t task) MR_CHECK_RESULT;
/* What ran on a process goes back into the queue with its end. */
mr_status mr_sim_proc_lost(mr_sim *s, mr_sim_proc *p, bool died, mr_err *err) MR_CHECK_RESULT;
/* ---- sim_gate.c ---- */
/* The gate lets truths through, with or without an error: durations and the sizes of results. */
bool mr_sim_knows_truth(const mr_sim *s);
/* What control is told that the task takes; MR_UNKNOWN: nothing.  Errors: those of control. */
mr_status mr_sim_stated(mr_sim *s, uint32_t task, int64_t *out, mr_err *err) MR_CHECK_RESULT;

/* The object with this id in *object; false: there is none. */
static inline bool mr_sim_object_at(mr_sim *s, mr_id id, uint32_t *object)
{
    const uint32_t *o = mr_table_at(&s->owner, id);
    if (o)
        *object = *o;
    return o != NULL;
}

/* ---- sim_feed.c: tasks that come, and those of a stream that go ---- */
/* When the next task arrives; INT64_MAX: none will. */
int64_t mr_sim_next_arrival(const mr_sim *s);
/* It, and that it was taken. */
mr_status mr_sim_feed(mr_sim *s, uint32_t *task, mr_err *err) MR_CHECK_RESULT;
/* Room for all that the workload has.  Errors: NOMEM. */
mr_status mr_sim_room(mr_sim *s) MR_CHECK_RESULT;
/* Reads the first task of a stream.  Errors: those of mr_feed_next; UNSCHEDULABLE. */
mr_status mr_sim_read_ahead(mr_sim *s, mr_err *err) MR_CHECK_RESULT;
/* A task is over and dropped.  Errors: NOMEM. */
mr_status mr_sim_leave(mr_sim *s, uint32_t task) MR_CHECK_RESULT;
/* The instant is closed.  Errors: those of conf.ended. */
mr_status mr_sim_forget(mr_sim *s, mr_err *err) MR_CHECK_RESULT;
/* Definitions that came since.  Errors: NOMEM, those of control. */
mr_status mr_sim_define(mr_sim *s, mr_err *err) MR_CHECK_RESULT;
/* Some node is large enough for the task.  Errors: UNSCHEDULABLE, in words. */
mr_status mr_sim_fits(const mr_workload *w, const mr_platform *p, uint32_t task, mr_err *err) MR_CHECK_RESULT;

/* The id under which control knows it. */
mr_id mr_sim_object_id(const mr_sim *s, uint32_t object);

/* ---- sim_store.c: all but init and fini do nothing when there are no stores.  Errors of all: NOMEM, and those of
 * mr_sim_tell. ---- */
mr_status mr_sim_store_init(mr_sim *s) MR_CHECK_RESULT;
void mr_sim_store_fini(mr_sim *s);
/* All that a node had is gone. */
void mr_sim_store_gone(mr_sim *s, uint32_t node);
/* A copy came to be in the memory of a node. */
mr_status mr_sim_store_add(mr_sim *s, uint32_t object, uint32_t node) MR_CHECK_RESULT;
/* It is gone from the node; MR_WL_NONE: from all. */
void mr_sim_store_drop(mr_sim *s, uint32_t object, uint32_t node);
bool mr_sim_store_on_disk(mr_sim *s, uint32_t object, uint32_t node);
/* When the node's disk, which does one thing at a time, is done with so many bytes more. */
int64_t mr_sim_store_disk(mr_sim *s, uint32_t node, uint64_t bytes);
/* When all inputs of a task have been read from the disk of its node; now, if none lies there. */
int64_t mr_sim_store_read(mr_sim *s, uint32_t task, uint32_t node);
mr_status mr_sim_store_collect(mr_sim *s, uint32_t node) MR_CHECK_RESULT;
mr_status mr_sim_store_spill(mr_sim *s, uint32_t object, uint32_t node) MR_CHECK_RESULT;
mr_status mr_sim_store_full(mr_sim *s, uint32_t node, mr_err *err) MR_CHECK_RESULT;
mr_status mr_sim_store_spilled(mr_sim *s, const mr_moment *m, mr_err *err) MR_CHECK_RESULT;
/* The task whose first output is `id`, MR_WL_NONE: none. */
uint32_t mr_sim_task_of(mr_sim *s, mr_id id);

#endif
