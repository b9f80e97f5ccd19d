/* miniray.h: the C API.  What drivers, workers and bindings use; the core behind it is not visible.
 *
 *     mr_session *s;  mr_err err;
 *     mr_open_args args = MR_OPEN_ARGS_INIT;  args.config = "my.ini";
 *     if (mr_open(&args, &s, &err)) ...
 *     mr_func_def def = MR_FUNC_DEF_INIT;  def.name = def.entry = "square";
 *     uint32_t square;  mr_define_func(s, &def, &square, &err);
 *     mr_id r;  mr_submit(s, square, MR_NO_ID, &(mr_args){.data = &x, .len = sizeof x}, NULL, &r, &err);
 *     mr_value v;  mr_get(s, &r, 1, -1, 0, &v, &err);  ...  mr_decref(s, v.id);  mr_decref(s, r);
 *     mr_close(s);
 *
 * One session per process: a driver opens one, a worker process is attached to its node's.  The same calls work in
 * both.  Thread: every call may be made by any thread at once unless it says otherwise.  No call runs user code.
 *
 * References.  The process counts, per object, how many references it has to it (mr_incref / mr_decref); an object
 * lives while any process, task, or other object holds it.  Every id that a call gives out (submit, put, get's values,
 * ...) carries one reference, the caller's to give back with mr_decref.  Values are views: their bytes are read-only
 * and stay while the process has a reference to the object.
 *
 * Timeouts are in ns: negative waits for ever, 0 only looks.  A blocked call returns MR_E_INTERRUPTED when a signal
 * handler ran in its thread; call it again to go on (a timeout then counts from the start again).
 */
#ifndef MINIRAY_MINIRAY_H
#define MINIRAY_MINIRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <miniray/plugin.h>
#include <miniray/status.h>
#include <miniray/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MR_API MR_EXPORT

typedef struct mr_session mr_session;

/* ------------------------------------------------------------------------------------------------ open and close -- */

/* A setting by name, as in the INI file; overrides environment and file.  `where` names it in messages. */
typedef struct mr_override {
    const char *section, *key, *value, *where;
} mr_override;

typedef struct mr_open_args {
    size_t size;        /* sizeof(mr_open_args) */
    const char *config; /* INI file; NULL: MINIRAY_CONFIG if set, else none */
    const mr_override *overrides;
    size_t n_overrides;
    const char *home; /* folder with bin/ (miniray-worker) and plugins/; NULL: found beside this library */
    /* How Python workers are made: the command (NULL-ended argv) of the zygote, which the supervisor starts when the
     * first Python function is submitted, or at once with `prestart`.  NULL: this session runs C tasks only. */
    const char *const *zygote;
    bool prestart;
    const char *script_dir; /* put first on the workers' sys.path; may be NULL */
} mr_open_args;
#define MR_OPEN_ARGS_INIT                                                                                              \
    {                                                                                                                  \
        .size = sizeof(mr_open_args)                                                                                   \
    }

/* Reads the config, loads both plugins, starts the engine (worker processes come when needed).
 * Errors: CONFIG, NOTFOUND, ABI, PLUGIN, POLICY, IO, NOMEM, EXISTS (a session is open), FORKED; err says all. */
MR_API mr_status mr_open(const mr_open_args *args, mr_session **out, mr_err *err) MR_CHECK_RESULT;
/* Ends everything: pending calls of other threads return MR_E_CLOSED, all processes are gone and all memory is returned
 * when it returns (at most [engine] grace).  Not from a callback; views become invalid.  NULL is fine. */
MR_API void mr_close(mr_session *s);
/* The first half of it, for a driver that shows what workers print: all processes end and other calls return
 * MR_E_CLOSED, but mr_output_next goes on to the last line; mr_close must follow. */
MR_API void mr_finish(mr_session *s);
/* mr_close will leave the memory of values mapped for the rest of this process, because views of some are still in use
 * (a language binding cannot take them back). */
MR_API void mr_keep_views(mr_session *s);
/* The open session of this process (driver or worker), or NULL; FORKED child of a driver: NULL. */
MR_API mr_session *mr_current(void);
MR_API bool mr_is_worker(const mr_session *s);
/* Random 64-bit number of the session; part of every pickled reference, so that an old one is told. */
MR_API uint64_t mr_session_id(const mr_session *s);

/* --------------------------------------------------------------------------------------------------- functions -- */

typedef enum mr_def_kind { MR_DEF_TASK = 0, MR_DEF_ACTOR = 1, MR_DEF_METHOD = 2 } mr_def_kind;
enum { MR_DEF_C = 0, MR_DEF_PYTHON = 1 };
enum { /* flags */
       MR_DEF_ASYNC = 1,
       MR_DEF_STREAMING = 2,
       MR_DEF_DETACHED = 4,
       MR_DEF_RETRY_ERRORS = 8,
       MR_DEF_SOFT_NODE = 16,
       MR_DEF_SYSTEM = 64,
       MR_DEF_CAPTURE = 128,    /* what it submits runs in its placement group, unless that says where it runs */
       MR_DEF_OWN_PLACE = 256,  /* this one says so */
       MR_DEF_BINDING = 1 << 16 /* and up: a language binding's own; the core only carries them to the worker */
};
enum { MR_SCHEDULE_DEFAULT = 0, MR_SCHEDULE_SPREAD = 1, MR_SCHEDULE_NODE = 2 };

/* An amount of a resource by name.  CPU, GPU and custom ones in 1/10000; "memory" in bytes. */
typedef struct mr_need {
    const char *name;
    int64_t amount;
} mr_need;
typedef struct mr_pair {
    const char *key, *value;
} mr_pair;

/* A condition on a label of the node, e.g. {"region", "eu", MR_LABEL_IN}.  Neighbours of equal key, op and soft are
 * alternatives.  soft: nodes where it holds are tried first. */
enum { MR_LABEL_IN = 0, MR_LABEL_NOT_IN = 1, MR_LABEL_EXISTS = 2, MR_LABEL_ABSENT = 3 };
typedef struct mr_condition {
    const char *key, *value; /* value: of IN and NOT_IN */
    int op;
    bool soft;
} mr_condition;

/* A remote function with its options.  Texts and arrays are borrowed for the call. */
typedef struct mr_func_def {
    size_t size;
    mr_def_kind kind;
    int lang;          /* MR_DEF_C, MR_DEF_PYTHON */
    const char *name;  /* for people and policies; at most 119 bytes, cut */
    const char *entry; /* what the worker looks up: name of a C export, of a method; at most 63 bytes */
    const char *user;  /* NULL: the job's */
    mr_id code;        /* object with the encoded function or class; 0 for C */
    int32_t n_returns;
    const mr_need *needs; /* n_needs < 0: the default (task: 1 CPU; actor: 1 CPU to be placed, 0 while living) */
    int32_t n_needs;
    const mr_need *living; /* of an actor, while it lives; NULL with n_needs >= 0: the same as needs */
    int32_t n_living;
    const mr_pair *labels;
    int32_t n_labels;
    uint32_t flags, env;
    int32_t max_retries, max_restarts, max_concurrency, max_pending, max_calls, priority, window;
    int64_t estimate, limit, deadline; /* ns or MR_UNKNOWN */
    int schedule;
    /* Concurrency groups of an actor: `lanes[i]` calls of group i + 1 run at a time, beside max_concurrency of the
     * default one; at most 15.  `lane` of a method: its group, 0: the default.  With groups, calls have no order. */
    const uint16_t *lanes;
    int32_t n_lanes, lane;
    uint64_t node;                  /* of MR_SCHEDULE_NODE: number of the node */
    mr_id group;                    /* placement group, 0: none */
    int32_t bundle;                 /* in it; -1: any */
    int32_t max_running;            /* of this function at a time, over all nodes; 0: any number */
    const mr_condition *conditions; /* on the labels of the node */
    int32_t n_conditions;
} mr_func_def;
#define MR_FUNC_DEF_INIT                                                                                               \
    {                                                                                                                  \
        .size = sizeof(mr_func_def), .n_returns = 1, .n_needs = -1, .max_retries = 3, .max_concurrency = 1,            \
        .max_pending = -1, .window = -1, .estimate = MR_UNKNOWN, .limit = MR_UNKNOWN, .deadline = MR_UNKNOWN,          \
        .bundle = -1                                                                                                   \
    }
/* Its number, good for the whole session in every process.  Equal definitions may get different numbers.
 * Errors: INVAL (what and why in err), UNSUPPORTED, NOMEM. */
MR_API mr_status mr_define_func(mr_session *s, const mr_func_def *def, uint32_t *out, mr_err *err) MR_CHECK_RESULT;

/* --------------------------------------------------------------------------------------------------- submitting -- */

/* Encoded arguments.  `deps`: objects whose *values* the task is given (it starts when all are sealed); `refs`:
 * references inside `data`, kept alive with the task.  All borrowed for the call. */
typedef struct mr_args {
    const void *data;
    size_t len;
    const mr_id *deps;
    uint32_t n_deps;
    const mr_id *refs;
    uint32_t n_refs;
    uint32_t n_returns; /* 0: the function's; else 1 + the number wanted, so that 1 means none */
    int64_t estimate;   /* ns, for this task; 0 or MR_UNKNOWN: the function's */
} mr_args;
typedef struct mr_actor_name {
    const char *name, *ns;
    bool get_if_exists;
} mr_actor_name;

/* Queues a task, an actor creation (`name` may be given) or a call on `actor`; never waits, except for a name or
 * max_pending.  `out`: id of the first result (n_returns consecutive ids, each with one reference for the caller); an
 * actor's own id for a creation.  With n_returns 0, `out` is the task's id and carries no reference.
 * Errors: UNSCHEDULABLE (names the nearest that fits), NAME_TAKEN, PENDING_CALLS, FREED, SESSION, NOMEM, TOOBIG,
 * CLOSED. */
MR_API mr_status mr_submit(mr_session *s, uint32_t func, mr_id actor, const mr_args *args, const mr_actor_name *name,
                           mr_id *out, mr_err *err) MR_CHECK_RESULT;
/* Between begin and end of the same thread, submissions are one event for the policy.  Driver only; nests. */
MR_API void mr_batch_begin(mr_session *s);
MR_API void mr_batch_end(mr_session *s);

/* ------------------------------------------------------------------------------------------------------- values -- */

/* What the bytes are.  The low byte is the kind; the rest is the kind's own. */
enum {
    MR_FORMAT_BYTES = 0,      /* plain bytes */
    MR_FORMAT_FAULT = 1,      /* an error that miniray itself made: mr_fault_value, then its text with a NUL */
    MR_FORMAT_TEXT_ERROR = 2, /* an error raised by a C task: text with a NUL */
    MR_FORMAT_BINDING = 16    /* and up: a language binding's own */
};
typedef struct mr_fault_value { /* bytes of MR_FORMAT_FAULT; numbers as the core knew them, text after it */
    int32_t status;             /* mr_status: CRASHED, OOM, CANCELLED, ACTOR_DIED, ... */
    int32_t pid, how, code;     /* of the worker; how: 1 exit code, 2 signal, 3 out of memory, 4 not started */
    uint32_t attempt, of, may_have_run, text_len;
    mr_id task, cause;
} mr_fault_value;

typedef struct mr_value {
    mr_id id;
    mr_status status; /* OK; PENDING is MR_E_TIMEOUT; LOST, FREED, ... */
    bool error;       /* an error value: get should raise it */
    bool looked;      /* in a store: mr_release ends the look, with MR_GET_HELD too */
    uint32_t format;
    const void *data; /* at least 8-aligned, 64-aligned in a store; never NULL when status is OK */
    uint64_t len;
} mr_value;

/* Beside a format of mr_put and mr_seal: the value is an error, which a get raises. */
#define MR_PUT_ERROR (UINT32_C(1) << 31)
/* The same for mr_put: BUSY where it would have to wait for room, or to ask for it; try again without. */
#define MR_PUT_NOWAIT (UINT32_C(1) << 30)
/* Copies `len` bytes into a new sealed object.  refs: references inside.  Errors: FULL, TOOBIG, NOMEM, CLOSED. */
MR_API mr_status mr_put(mr_session *s, uint32_t format, const void *data, uint64_t len, const mr_id *refs,
                        uint32_t n_refs, mr_id *out, mr_err *err) MR_CHECK_RESULT;
/* The same in two steps, without the copy: create gives writable memory, seal makes it an object, abort drops it. */
MR_API mr_status mr_create(mr_session *s, uint64_t len, mr_id *out, void **data, mr_err *err) MR_CHECK_RESULT;
MR_API mr_status mr_seal(mr_session *s, mr_id id, uint32_t format, const mr_id *refs, uint32_t n_refs,
                         mr_err *err) MR_CHECK_RESULT;
MR_API void mr_abort(mr_session *s, mr_id id);
/* A copy that is fast for large sizes (non-temporal stores where they help).  Any thread. */
MR_API void mr_copy(void *to, const void *from, uint64_t len);

enum {
    MR_GET_EARLY = 1, /* return as soon as one of them is an error, though others are pending */
    /* The process holds a reference to each and keeps it for as long as it looks at the values: none is added but with
     * a value in a store (`looked`), for its look.  After TIMEOUT and INTERRUPTED only those are filled in. */
    MR_GET_HELD = 2,
    /* `out` is what such a call with HELD left, and is gone on with: what was looked at stays where it is. */
    MR_GET_MORE = 4
};
/* Waits until all n objects are sealed (or one is an error, with EARLY) and fills n values, each with a reference for
 * those whose status is OK.  Returns OK, TIMEOUT, INTERRUPTED, CLOSED, DEADLOCK, SESSION; values are filled on OK and
 * TIMEOUT. */
MR_API mr_status mr_get(mr_session *s, const mr_id *ids, size_t n, int64_t timeout, uint32_t flags, mr_value *out,
                        mr_err *err) MR_CHECK_RESULT;
/* Waits until `need` of n are sealed; ready[i] says which were when it returned (may be more than need).
 * Returns OK, TIMEOUT (ready is filled), INTERRUPTED, CLOSED, DEADLOCK. */
MR_API mr_status mr_wait(mr_session *s, const mr_id *ids, size_t n, size_t need, int64_t timeout, bool *ready,
                         mr_err *err) MR_CHECK_RESULT;
/* `done(arg, id)` runs once when the object is sealed, on a thread of the core, with no lock held: it must be quick and
 * must not call miniray (write an eventfd, set a flag).  Already sealed: it runs at once.  Errors: NOMEM, CLOSED. */
MR_API mr_status mr_on_ready(mr_session *s, mr_id id, void (*done)(void *arg, mr_id id), void *arg) MR_CHECK_RESULT;

/* Counts.  mr_decref never takes a lock that a miniray call holds, never blocks, and may run inside an allocator. */
MR_API mr_status mr_incref(mr_session *s, mr_id id);
MR_API void mr_decref(mr_session *s, mr_id id);
/* Looking at bytes.  What mr_get gave is a reference and a look, and mr_release gives back both: a large value can
 * leave memory (for the disk) when the last look ends, and its address is then good no more, though references remain.
 * After mr_decref instead, the bytes stay where they are until the process holds no reference.  mr_view adds a
 * reference and a look to a value that is being looked at (by mr_get, or mr_call_dep before the call ends).  mr_release
 * is as mr_decref. */
MR_API mr_status mr_view(mr_session *s, mr_id id) MR_CHECK_RESULT;
MR_API void mr_release(mr_session *s, mr_id id);
/* Tells the node now which references were given up. */
MR_API void mr_flush(mr_session *s);
/* Driver: `ask()` is called when a store is full: collect garbage, then mr_flush.  It runs on any thread with a lock of
 * the core held: it must only set a flag, and must not call miniray.  mr_get, mr_wait and mr_create that wait then
 * return INTERRUPTED, so that a driver of one thread learns of it; at most twenty times a second.  NULL: nobody. */
MR_API void mr_on_full(mr_session *s, void (*ask)(void));
/* Driver: `read` writes what an error value of a binding's own format says, for the log: at most `cap` bytes, and
 * returns how many; 0: it does not know the format.  It runs on any thread with a lock of the core held: it must not
 * wait, nor call miniray or an interpreter.  NULL: nobody. */
typedef uint64_t (*mr_error_reader)(uint32_t format, const void *data, uint64_t len, char *out, uint64_t cap);
MR_API void mr_on_error(mr_session *s, mr_error_reader read);
/* Is the object sealed and its bytes to be had?  (Not: will it ever be.) */
MR_API bool mr_contains(mr_session *s, mr_id id);
/* Gives objects up now, whoever holds them; later gets raise FREED.  Bytes that some process was shown stay where they
 * are until the last reference goes. */
MR_API mr_status mr_free(mr_session *s, const mr_id *ids, size_t n);

/* Driver, with a store that keeps its objects when the session ends ([store.store-file] persist = true): a copy of a
 * value under a name of 1 to 255 bytes.  A later session with the same store, dir and capacity loads it as an object of
 * its own (a copy again); mr_unsave deletes it.  It counts as used in the store, and is no object of the session.
 * Errors: EXISTS (the name is taken), NOTFOUND, INVAL (an error value; references inside; a bad name), LOST (damaged),
 * FULL, TOOBIG, UNSUPPORTED (another store, or a worker). */
enum { MR_SAVED_NAME_MAX = 255 };
MR_API mr_status mr_save(mr_session *s, const char *name, mr_id id, mr_err *err) MR_CHECK_RESULT;
MR_API mr_status mr_load(mr_session *s, const char *name, mr_id *out, mr_err *err) MR_CHECK_RESULT;
MR_API mr_status mr_unsave(mr_session *s, const char *name, mr_err *err) MR_CHECK_RESULT;

/* --------------------------------------------------------------------------------------------- cancel and actors -- */

enum { MR_FORCE = 1, MR_RECURSIVE = 2, MR_NO_RESTART = 4 };
MR_API mr_status mr_cancel(mr_session *s, mr_id id, uint32_t flags, mr_err *err) MR_CHECK_RESULT;
MR_API mr_status mr_kill(mr_session *s, mr_id actor, uint32_t flags, mr_err *err) MR_CHECK_RESULT;
/* Errors: NOTFOUND.  `func` is the number the actor was created with. */
MR_API mr_status mr_find_actor(mr_session *s, const char *name, const char *ns, mr_id *actor, uint32_t *func,
                               mr_err *err) MR_CHECK_RESULT;
/* For handles made by name: the object with the class that function `func` creates, with a reference for the caller,
 * and what it says of its calls (`max_retries`, `max_pending` of the definition).  Errors: NOTFOUND. */
MR_API mr_status mr_func_code(mr_session *s, uint32_t func, mr_id *code, int32_t *max_retries, int32_t *max_pending,
                              mr_err *err) MR_CHECK_RESULT;

/* --------------------------------------------------------------------------------------------------------- nodes -- */

/* A logical node: pools of resources, workers and a store of its own.  Texts and arrays are borrowed for the call. */
typedef struct mr_node_def {
    size_t size;
    const char *name;       /* NULL: "node" and its number; no other node may have it */
    const mr_need *amounts; /* "CPU", "GPU", "memory" and custom ones; what is not named is 0 */
    int32_t n_amounts;
    const mr_pair *labels;
    int32_t n_labels;
    uint64_t store_capacity; /* bytes; 0: as the other nodes */
} mr_node_def;
#define MR_NODE_DEF_INIT                                                                                               \
    {                                                                                                                  \
        .size = sizeof(mr_node_def)                                                                                    \
    }
/* Adds a node; `out`: its number, never used again.  A node without CPU runs what needs none.  Driver only, in a
 * session of several nodes or with [engine] add_nodes = true.  Errors: INVAL (a negative amount, a bad name), EXISTS
 * (its name), FULL (64 nodes), UNSUPPORTED, NOMEM, CLOSED; err says which. */
MR_API mr_status mr_node_add(mr_session *s, const mr_node_def *def, uint32_t *out, mr_err *err) MR_CHECK_RESULT;
/* Ends a node as a lost machine would: its workers are killed and its bytes are gone.  Its tasks run again elsewhere
 * while they have attempts; a lost object is made again by its task, or becomes an error (LOST) that names it and says
 * why; the driver's views stay good.  Errors: NOTFOUND, INVAL (the last node), UNSUPPORTED (in a worker), CLOSED. */
MR_API mr_status mr_node_remove(mr_session *s, uint32_t node, mr_err *err) MR_CHECK_RESULT;

/* Another scheduling policy from now on: a policy file ("dir/fair.lua"), a scheduler plugin ("fifo", "sched-fifo") or
 * the path of its .so; naming the same file again loads it anew.  Its settings are those of its section when the
 * session was opened.  Nothing that waits or runs is touched: the new policy is told the present as one batch, and gets
 * what the old one saved if it has the same name.  Driver only.  Errors: what is wrong with it (POLICY, with file:line;
 * IO, NOTFOUND, ABI, PLUGIN, CONFIG, UNSUPPORTED); the old policy then stays as it was. */
MR_API mr_status mr_set_policy(mr_session *s, const char *policy, mr_err *err) MR_CHECK_RESULT;

/* ---------------------------------------------------------------------------------------------- placement groups -- */

/* Bundles of resources, each on one node; all of them are reserved at once, or none is.  Tasks and actors of the group
 * (mr_func_def.group) run in its bundles and take from them. */
enum {
    MR_PACK = 0,         /* on few nodes */
    MR_SPREAD = 1,       /* on many */
    MR_STRICT_PACK = 2,  /* all on one */
    MR_STRICT_SPREAD = 3 /* each on another */
};
typedef struct mr_group_def {
    int strategy;
    const mr_need *needs;  /* bundle by bundle; an entry without a name (NULL) ends each */
    int32_t n_needs;       /* entries, the ends too */
    const char *name, *ns; /* may be NULL */
    bool detached;         /* outlives the actor that makes it */
    const mr_condition
        *conditions;      /* on the labels of nodes, all hard, bundle by bundle; an entry without a key ends each */
    int32_t n_conditions; /* entries, the ends too; 0: none at all */
} mr_group_def;
/* Asks for it; it is placed when there is room (mr_state "groups" tells).  Errors: UNSCHEDULABLE (never, on these
 * nodes), NAME_TAKEN, INVAL, NOMEM. */
MR_API mr_status mr_group_make(mr_session *s, const mr_group_def *def, mr_id *out, mr_err *err) MR_CHECK_RESULT;
/* Ends what runs in it (E_GROUP_REMOVED; actors die) and gives its resources back.  Errors: NOTFOUND. */
MR_API mr_status mr_group_remove(mr_session *s, mr_id group, mr_err *err) MR_CHECK_RESULT;
/* By name.  Errors: NOTFOUND. */
MR_API mr_status mr_group_find(mr_session *s, const char *name, const char *ns, mr_id *out,
                               mr_err *err) MR_CHECK_RESULT;
/* Of the task or actor that the calling thread runs; 0: it is in none.  captures: does what it submits run there? */
MR_API mr_status mr_group_current(mr_session *s, mr_id *out, bool *captures, mr_err *err) MR_CHECK_RESULT;

/* ------------------------------------------------------------------------------------------------ looking around -- */

/* One JSON text about: "nodes", "resources" {"total":{},"available":{}}, "tasks" (living and finished), "actors",
 * "objects" (with who holds them), "workers", "placement_groups", "stats", "config", "session", "logs" (what workers
 * printed; "logs 17": the lines numbered above 17), "policies" (the last that were set, and when),
 * "why 1a2b" (of the task with that id, hexadecimal: decisions about it, if [sched] explain is on).  The caller frees
 * it with free(3).  Driver and worker.  Errors: NOTFOUND (what can be asked for), NOMEM. */
MR_API mr_status mr_state(mr_session *s, const char *what, char **json, mr_err *err) MR_CHECK_RESULT;

/* What mr_state shows of the objects `first` to `first + n - 1` besides: that a reference was written down where nobody
 * counts it ("pinned"), or `text`, "file.py:17", the line that asked for them ("line"; up to MR_NOTE_MAX bytes).  It
 * goes with the object; one that is not known (any more) is passed over.  Driver and worker.  Errors: TOOBIG, NOMEM,
 * CLOSED. */
enum { MR_NOTE_MAX = 1024 };
typedef enum mr_note_kind { MR_NOTE_PINNED = 0, MR_NOTE_LINE = 1 } mr_note_kind;
MR_API mr_status mr_note(mr_session *s, mr_id first, uint32_t n, mr_note_kind kind, const char *text) MR_CHECK_RESULT;
/* [sched] explain: a binding then notes lines.  Driver and worker. */
MR_API bool mr_explains(const mr_session *s);

/* The next line that a worker printed (driver only), without its newline; worker < 0 and text NULL after close.
 * Waits; one thread.  `*text` is good until the next call. */
typedef struct mr_output {
    int32_t pid;
    bool is_stderr;
    const char *name; /* "f" of the task, or the actor's class */
    const char *text;
    size_t len;
} mr_output;
MR_API mr_status mr_output_next(mr_session *s, int64_t timeout, mr_output *out) MR_CHECK_RESULT;

/* ------------------------------------------------------------------------------------------ the side of a worker -- */

/* Joins the session whose supervisor started this process (environment and descriptors as docs/design.md says). */
MR_API mr_status mr_attach(mr_session **out, mr_err *err) MR_CHECK_RESULT;

/* A task given to this worker.  Owned by the worker side until mr_call_finish. */
typedef struct mr_call mr_call;
enum {
    MR_CALL_TASK = 0,
    MR_CALL_ACTOR = 1,
    MR_CALL_METHOD = 2,
    MR_CALL_LEAVE = 3 /* no more: finish up and exit */,
    MR_CALL_COLLECT = 4 /* collect garbage now */,
    MR_CALL_CANCEL = 5, /* stop the async or threaded call `task` */
    MR_CALL_FORGET = 6  /* nobody can call functions with the code `task` any more: what was loaded of it may go */
};
typedef struct mr_call_info {
    int kind;
    mr_id task, actor, code;
    uint32_t func, attempt, n_returns, n_deps, n_refs, flags, max_concurrency,
        lane;                 /* flags: MR_DEF_ of the function */
    int32_t window;           /* of a stream; -1: any */
    const char *name, *entry; /* good until finish */
    const void *data;         /* encoded arguments, 8-aligned, good until finish */
    size_t len;
    uint64_t gpus; /* bit i: GPU i of the node is this task's (of a method: its actor's, and 0 here) */
} mr_call_info;
/* The next call, in order; waits.  One thread at a time.  Errors: TIMEOUT, INTERRUPTED, CLOSED (the node is gone). */
MR_API mr_status mr_call_next(mr_session *s, int64_t timeout, mr_call **out) MR_CHECK_RESULT;
/* A descriptor that is readable when mr_call_next(s, 0, ...) would give something: for event loops.  Made at first use.
 */
MR_API int mr_call_fd(mr_session *s);
MR_API void mr_call_describe(const mr_call *call, mr_call_info *out);
/* Is it not known to be short?  Then what the process keeps for others should leave before it is run. */
MR_API bool mr_call_long(const mr_call *call);
/* Value of dependency i: no reference is added; the bytes stay until finish, or while the process has a reference.
 * FULL: there was no room to bring it back from the disk; out->id is set all the same. */
MR_API mr_status mr_call_dep(mr_call *call, uint32_t i, mr_value *out) MR_CHECK_RESULT;
/* Tells that user code begins.  E_CANCELLED: it was taken back or cancelled; finish it and go on. Cancelable by signal
 * only if `main_thread`. */
MR_API mr_status mr_call_start(mr_call *call, bool main_thread) MR_CHECK_RESULT;
/* Between start and finish: has a cancel come for it?  Of calls that no signal strikes this is all that tells, beside
 * waits that end with E_CANCELLED, once. */
MR_API bool mr_call_cancelled(const mr_call *call);
/* After user code has ended (main_thread calls): E_CANCELLED if a cancel struck; no signal comes after it returns. */
MR_API mr_status mr_call_stop(mr_call *call) MR_CHECK_RESULT;
/* Seals result i. */
MR_API mr_status mr_call_return(mr_call *call, uint32_t i, uint32_t format, const void *data, uint64_t len,
                                const mr_id *refs, uint32_t n_refs, mr_err *err) MR_CHECK_RESULT;
/* The same in two steps without the copy; i == MR_CALL_ITEM: the next item of a streaming task (see mr_call_yield). */
#define MR_CALL_ITEM UINT32_MAX
MR_API mr_status mr_call_create(mr_call *call, uint32_t i, uint64_t len, void **data, mr_err *err) MR_CHECK_RESULT;
MR_API mr_status mr_call_seal(mr_call *call, uint32_t i, uint32_t format, const mr_id *refs, uint32_t n_refs,
                              mr_err *err) MR_CHECK_RESULT;
/* The next item of a streaming task.  Where it has a window, mr_call_room must have said OK since the last item. */
MR_API mr_status mr_call_yield(mr_call *call, uint32_t format, const void *data, uint64_t len, const mr_id *refs,
                               uint32_t n_refs, mr_err *err) MR_CHECK_RESULT;
/* After an item: waits (timeout in ns, -1: any time) until fewer than `window` are unread, or nobody will read them.
 * Errors: TIMEOUT; CANCELLED, INTERRUPTED (a signal; ask again); CLOSED. */
MR_API mr_status mr_call_room(mr_call *call, int64_t timeout) MR_CHECK_RESULT;
/* The attempt raised: this error value is for all results not yet sealed.  `retriable`: as the user's options say. */
MR_API mr_status mr_call_error(mr_call *call, uint32_t format, const void *data, uint64_t len, const mr_id *refs,
                               uint32_t n_refs, bool retriable, mr_err *err) MR_CHECK_RESULT;
/* Ends the attempt and frees `call`.  outcome: OK, E_TASK (after mr_call_error), E_CANCELLED.  `leave`: exit_actor. */
MR_API mr_status mr_call_finish(mr_call *call, mr_status outcome, bool leave) MR_CHECK_RESULT;
/* The next item of stream `task` for its reader; waits.  Errors: END, TIMEOUT, INTERRUPTED. */
MR_API mr_status mr_stream_next(mr_session *s, mr_id task, int64_t timeout, mr_id *item, mr_err *err) MR_CHECK_RESULT;
/* Which task does the calling thread run?  Set by mr_call_start, for nested submits; 0: none.  Threads and event loops
 * set it themselves for the calls they juggle. */
MR_API void mr_set_current_task(mr_session *s, mr_id task);
MR_API mr_id mr_current_task(mr_session *s);
/* `hook` runs inside the signal handler when a cancel strikes the main thread's call: it must be async-signal-safe (an
 * interpreter sets its own interrupt flag there).  NULL: none.  Set before mr_attach. */
MR_API void mr_on_cancel_signal(void (*hook)(void));
/* Worker: what its threads give up while a call of this API waits, as an interpreter's lock.  `leave` runs on the
 * thread that is about to wait and returns what `back` gets, on the same thread, when it has waited (NULL: it had
 * nothing to give up, and `back` is not called); no lock of the library is held.  Calls that only look or tell do not
 * come to it. Set before mr_attach. */
MR_API void mr_on_wait(void *(*leave)(void), void (*back)(void *left));

/* ------------------------------------------------------------------------------------------------- tasks in C -- */

/* A C task lives in a shared library named in [engine] libraries, which every C worker loads.  It exports one function,
 * `const mr_exports *mr_exports_entry(void)`. */
typedef struct mr_task_ctx mr_task_ctx;
typedef mr_status (*mr_task_fn)(mr_task_ctx *ctx);
typedef struct mr_export {
    const char *name; /* "square"; of an actor: the class, "Counter"; of a method: "Counter.add" */
    mr_task_fn run;   /* of a class: makes the state (mr_ctx_set_state) */
} mr_export;
typedef struct mr_exports {
    uint32_t size, n; /* sizeof(mr_export), number of them */
    const mr_export *v;
} mr_exports;

MR_API mr_session *mr_ctx_session(mr_task_ctx *ctx);
/* The bytes given at submission, and dependency i. */
MR_API const void *mr_ctx_data(mr_task_ctx *ctx, size_t *len);
MR_API mr_status mr_ctx_dep(mr_task_ctx *ctx, uint32_t i, mr_value *out) MR_CHECK_RESULT;
MR_API uint32_t mr_ctx_deps(mr_task_ctx *ctx);
MR_API mr_status mr_ctx_return(mr_task_ctx *ctx, uint32_t i, const void *data, uint64_t len) MR_CHECK_RESULT;
/* Ends the task with an error: `return mr_ctx_fail(ctx, "...")`. */
MR_API mr_status mr_ctx_fail(mr_task_ctx *ctx, const char *fmt, ...) MR_PRINTF(2, 3);
/* State of the actor that this call is on; `drop` frees it when the actor ends gracefully. */
MR_API void mr_ctx_set_state(mr_task_ctx *ctx, void *state, void (*drop)(void *state));
MR_API void *mr_ctx_state(mr_task_ctx *ctx);
/* The call behind it, for results with references or in two steps: mr_call_return, mr_call_create, ... */
MR_API mr_call *mr_ctx_call(mr_task_ctx *ctx);
/* The next item of a task that is a stream; waits while its window is full.  CANCELLED, CLOSED: return it. */
MR_API mr_status mr_ctx_yield(mr_task_ctx *ctx, const void *data, uint64_t len) MR_CHECK_RESULT;
/* Was it cancelled?  For loops that do not call miniray; `return MR_E_CANCELLED` then. */
MR_API bool mr_ctx_cancelled(mr_task_ctx *ctx);

/* The settings that mr_open would use, without opening: the file (NULL: MINIRAY_CONFIG if set, else none), environment
 * and overrides, checked with the plugins they name.  JSON: {"settings": [{"section", "key", "value", "source":
 * "default" | "file" | "environment" | "call", "file", "line"}], "keys": [{"section", "key", "type", "default",
 * "help"}]}. The caller frees it with free(3).  Errors: as mr_open. */
MR_API mr_status mr_config_json(const char *config, const mr_override *overrides, size_t n_overrides, char **json,
                                mr_err *err) MR_CHECK_RESULT;

MR_API const char *mr_strerror(mr_status status);

#ifdef __cplusplus
}
#endif
#endif
