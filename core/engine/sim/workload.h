/* workload.h: the tasks of a simulated run, what they read and write, and the machines they may bring along.
 *
 * A reader (workload_jsonl.c, workload_wf.c) adds tasks, outputs and inputs in file order, by name; mr_workload_link
 * then turns names into numbers, checks them and fixes the order of submission.  From there on it is read-only.
 *
 * Objects: a task has one or more outputs; output 0 is its own result.  An input names a task (all that it declared),
 * a file (of a task or from outside), or a task with bytes of its own (an edge of a graph with weights).
 */
#ifndef MR_ENGINE_SIM_WORKLOAD_H
#define MR_ENGINE_SIM_WORKLOAD_H

#include "base/intern.h"
#include "control/record.h"
#include "engine/sim/platform.h"

enum { MR_WL_NONE = UINT32_MAX, MR_SIM_RETRIES = 3 /* of a task that does not say */ };

typedef struct mr_wl_task {
    uint32_t name, fn;                   /* interned */
    uint32_t def;                        /* number of its mr_define in mr_workload.defs */
    uint32_t first_class;                /* in mr_workload.by_class, MR_WL_NONE: duration / speed */
    uint32_t class_room;                 /* its room there, though it may not use it */
    uint32_t dist;                       /* first in mr_workload.dists that its durations are drawn from; MR_WL_NONE */
    int64_t arrival, duration, estimate; /* ns; estimate MR_UNKNOWN: none stated */
    int32_t line;
    uint32_t place; /* in the file, among the tasks: what is drawn for it follows from this */
    uint32_t first_object, last_object, n_objects; /* its outputs, linked by mr_wl_object.next; index = position */
    uint32_t marker;                               /* its output of 0 bytes that "deps" wait for, MR_WL_NONE: none */
    uint32_t first_input, n_inputs;                /* in mr_workload.inputs, after link */
    uint32_t first_child, n_children;              /* in mr_workload.children: each once */
    uint32_t n_parents;                            /* each once */
    uint32_t first_point, n_points;                /* in mr_workload.points, after link */
    uint32_t starter; /* the task (or the driver) that submits it while it runs, MR_WL_NONE: it arrives by itself */
    uint32_t actor;   /* of a call: the task that makes its actor, MR_WL_NONE; of such a task: itself */
} mr_wl_task;

/* What happens while a task runs: at `at`, counted in time that it runs, of all that it does on a node of speed 1. */
typedef enum mr_wl_what { MR_WL_SUBMITS, MR_WL_SEALS, MR_WL_WAITS, MR_WL_FAILS } mr_wl_what;
typedef struct mr_wl_point {
    int64_t at;
    uint32_t task; /* whose */
    uint32_t what; /* mr_wl_what */
    uint32_t of; /* SUBMITS: the task.  SEALS: the object.  WAITS: first of n in mr_workload.waited; `need` of them. */
    uint32_t n, need;
    uint32_t place; /* among the points of the file: what is at one time happens in the order of `what`, and this */
} mr_wl_point;

typedef struct mr_wl_object {
    uint32_t task;       /* that makes it; MR_WL_NONE: it comes from outside */
    uint32_t index : 31; /* among the task's outputs */
    uint32_t early : 1;  /* sealed while the task runs */
    uint32_t file;       /* interned name, 0: none */
    uint32_t next;       /* of the same task */
    uint32_t node;       /* of one from outside */
    uint32_t consumers;  /* tasks that read it */
    uint64_t bytes;
} mr_wl_object;

typedef enum mr_wl_kind {
    MR_WL_DEP,
    MR_WL_ANY,
    MR_WL_TASK,
    MR_WL_FILE,
    MR_WL_STARTER, /* the task that submits it, `bytes` ns after it began */
    MR_WL_ACTOR,   /* whose call it is */
    MR_WL_WAIT     /* what point number `bytes` waits for */
} mr_wl_kind;
typedef struct mr_wl_raw { /* an input before link */
    uint32_t task, name;
    int32_t line;
    uint8_t kind, sized; /* mr_wl_kind; `bytes` was given */
    uint64_t bytes;
} mr_wl_raw;

/* What a task asks for; becomes one mr_define per distinct combination. */
typedef struct mr_wl_shape {
    mr_define def; /* name, user, priority, limit, deadline are set by the reader */
    mr_named needs[16];
    uint32_t n_needs;
    const mr_named *living; /* at most 8; the reader's */
    uint32_t n_living;
    mr_label labels[16];
    uint32_t n_labels;
    mr_term terms[8]; /* labels that its node must have */
    uint32_t n_terms;
} mr_wl_shape;

typedef struct mr_wl_dist { /* see durations.c */
    uint32_t kind, first, n;
    double a, b;
} mr_wl_dist;
typedef struct mr_wl_table {
    uint32_t first; /* dist + 1; 0: no such table */
    bool by_class;
} mr_wl_table;

typedef struct mr_workload {
    char *path;
    const char *text; /* of the file, while it is read and linked; for messages */
    size_t text_size;
    const cJSON *root;
    mr_intern *names, *defs;
    mr_wl_task *tasks;
    uint32_t n_tasks, cap_tasks;
    mr_wl_object *objects;
    uint32_t n_objects, cap_objects;
    mr_wl_raw *raws;
    uint32_t n_raws, cap_raws;
    uint32_t *inputs;   /* object numbers, task by task */
    uint32_t *children; /* task numbers */
    uint32_t *order;    /* all tasks in the order of submission when the whole graph is known: parents first */
    int64_t *by_class;  /* platform.n_classes durations for each task that gives them by class */
    uint32_t n_by_class, cap_by_class;
    mr_wl_dist *dists;
    uint32_t n_dists, cap_dists;
    double *samples;
    uint32_t n_samples, cap_samples;
    mr_wl_table *tables; /* by interned name */
    uint32_t cap_tables;
    mr_wl_point *points; /* task by task, by time */
    uint32_t n_points, cap_points;
    uint32_t *waited; /* object numbers */
    uint32_t n_waited, cap_waited;
    uint32_t driver;   /* the main program: n_tasks, and so in no loop over tasks; MR_WL_NONE: there is none */
    bool lends;        /* some task waits while it runs, and lends its CPU */
    uint32_t arriving; /* the first so many of `order` arrive by themselves */
    uint32_t *by_name; /* interned name -> task number + 1 */
    uint32_t *by_file; /* interned name -> object number + 1 */
    uint32_t cap_by_name, cap_by_file;
    mr_platform platform;   /* no nodes: the workload brings none */
    uint32_t last;          /* the task being read */
    uint32_t free_object;   /* + 1, by .next; 0: none */
    struct mr_feed *stream; /* NULL: it was read as a whole */
} mr_workload;

typedef enum mr_wl_format { MR_WL_AUTO, MR_WL_JSONL, MR_WL_WFFORMAT } mr_wl_format;

/* Reads, links and checks `path`.  AUTO looks at the content: one object with "workflow" is WfFormat.
 * Errors: IO, CONFIG (file:line[:column]: field: what), NOMEM. */
mr_status mr_workload_read(mr_workload **out, const char *path, mr_wl_format format, mr_err *err) MR_CHECK_RESULT;
void mr_workload_free(mr_workload *w);

/* Draws every duration that is not one number; link has done so with seed 0.  The same seed, the same durations. */
void mr_workload_draw(mr_workload *w, uint64_t seed);
/* Errors: CONFIG when all of it, one task after the other on the slowest nodes, would not fit into the clock (ns in 62
 * bits: 146 years).  Everything below relies on it having been asked. */
mr_status mr_workload_horizon(const mr_workload *w, const mr_platform *p, mr_err *err) MR_CHECK_RESULT;
/* How long `task` runs on a node. */
int64_t mr_workload_duration(const mr_workload *w, uint32_t task, const mr_platform_node *node);

/* What the slowest machine does, and how long all tasks so far take one after the other. */
typedef struct mr_wl_slowest {
    double speed, rate, down, arrival, sum;
    bool mortal;
} mr_wl_slowest;
void mr_workload_slowest(const mr_platform *p, mr_wl_slowest *out);
/* mr_workload_horizon for one task more.  Errors: CONFIG. */
mr_status mr_workload_fits_clock(const mr_workload *w, const mr_platform *p, uint32_t task, mr_wl_slowest *so_far,
                                 mr_err *err) MR_CHECK_RESULT;
void mr_workload_draw_one(mr_workload *w, uint32_t task, uint64_t seed);

/* ---- streams (workload_feed.c): JSONL that is never held as a whole ---- */
/* Opens `path` ("-": the standard input) and reads up to its first task, which mr_feed_next gives first.  Tasks are
 * in the order of their arrival, and wait for nothing and read nothing; their names are not compared.  Errors: IO,
 * CONFIG, NOMEM. */
mr_status mr_feed_open(mr_workload **out, const char *path, uint64_t seed, mr_err *err) MR_CHECK_RESULT;
/* The next task, its duration drawn; MR_WL_NONE: there are no more.  Errors: as above, with the line. */
mr_status mr_feed_next(mr_workload *w, uint32_t *task, mr_err *err) MR_CHECK_RESULT;
/* The task's number is given to another one. */
void mr_feed_forget(mr_workload *w, uint32_t task);
uint64_t mr_feed_count(const mr_workload *w); /* tasks given so far */
const char *mr_feed_name(const mr_workload *w, uint32_t task);
/* For workload.c. */
mr_status mr_feed_task(mr_workload *w, const char *name, const char *fn, int line, mr_err *err) MR_CHECK_RESULT;
void mr_feed_close(mr_workload *w);

static inline const char *mr_workload_name(const mr_workload *w, uint32_t task)
{
    return w->stream ? mr_feed_name(w, task) : mr_intern_text(w->names, w->tasks[task].name);
}

/* ---- for readers ---- */
mr_wl_task mr_wl_task_of(uint32_t name, uint32_t fn, int line);
mr_status mr_workload_new(mr_workload **out, const char *path) MR_CHECK_RESULT;
/* A new task; its number is n_tasks - 1.  Errors: CONFIG (the name is taken), NOMEM. */
mr_status mr_workload_task(mr_workload *w, const char *name, const char *fn, int line, mr_err *err) MR_CHECK_RESULT;
/* An output of the last task; file NULL: its unnamed result. */
mr_status mr_workload_output(mr_workload *w, const char *file, uint64_t bytes, int line, mr_err *err) MR_CHECK_RESULT;
mr_status mr_workload_input(mr_workload *w, mr_wl_kind kind, const char *name, bool sized, uint64_t bytes, int line,
                            mr_err *err) MR_CHECK_RESULT;
/* A file from outside, on `node`. */
mr_status mr_workload_file(mr_workload *w, const char *file, uint64_t bytes, uint32_t node, int line,
                           mr_err *err) MR_CHECK_RESULT;
/* Room for one more element behind n; *v is replaced.  false: out of memory. */
bool mr_workload_grow(void *v, uint32_t n, uint32_t *cap, size_t size);
/* Something that the last task does while it runs; its number is n_points - 1. */
mr_status mr_workload_point(mr_workload *w, mr_wl_what what, int64_t at, uint32_t of) MR_CHECK_RESULT;
/* The last task is the main program: it needs nothing, and no policy hears of it.  Nothing may follow. */
mr_status mr_workload_driver(mr_workload *w, int line, mr_err *err) MR_CHECK_RESULT;
/* For link (workload_points.c): a raw of kind STARTER, ACTOR, or WAIT for the objects v[0..n). */
mr_status mr_workload_relate(mr_workload *w, const mr_wl_raw *r, uint32_t other, mr_err *err) MR_CHECK_RESULT;
mr_status mr_workload_wait_for(mr_workload *w, const mr_wl_raw *r, uint32_t object) MR_CHECK_RESULT;
/* Sorts the points, and says which are whose. */
mr_status mr_workload_place_points(mr_workload *w, mr_err *err) MR_CHECK_RESULT;
/* When, of the time that the task runs in all on a node, its point comes. */
int64_t mr_workload_point_at(const mr_workload *w, const mr_wl_point *p, const mr_platform_node *node);
/* Of a task that makes an actor, or calls one. */
static inline bool mr_workload_is_call(const mr_workload *w, uint32_t task)
{
    return w->tasks[task].actor != MR_WL_NONE && w->tasks[task].actor != task;
}
/* The shape of the last task. */
mr_status mr_workload_shape(mr_workload *w, mr_wl_shape *shape) MR_CHECK_RESULT;
/* Room for the durations by class of the last task; the pointer is good until the next call. */
mr_status mr_workload_classes(mr_workload *w, int64_t **out) MR_CHECK_RESULT;
mr_status mr_workload_link(mr_workload *w, mr_err *err) MR_CHECK_RESULT;

mr_status mr_workload_read_jsonl(mr_workload *w, char *text, size_t size, mr_err *err) MR_CHECK_RESULT;
/* One line, without its end. */
mr_status mr_workload_read_line(mr_workload *w, const char *text, size_t size, int number, mr_err *err) MR_CHECK_RESULT;
mr_status mr_workload_read_wf(mr_workload *w, const cJSON *root, mr_err *err) MR_CHECK_RESULT;

#endif
