/* mrpy.h: what the files of miniray._core share.
 *
 * The extension knows miniray.h and nothing else of the core.  Two rules hold everywhere:
 *   - no Python code runs and no Python object is made or dropped inside a miniray call;
 *   - a miniray call that can wait is made without the GIL, or gives it away where it waits (in a worker: mr_on_wait).
 * All Python objects of the module live in mrpy_state; the process-wide words below hold no Python object.
 */
#ifndef MRPY_H
#define MRPY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <miniray/miniray.h>

/* Kinds of value of this binding (mr_value.format). */
enum {
    MRPY_FORMAT_FAST = MR_FORMAT_BINDING,       /* tagged plain values, see encode.c */
    MRPY_FORMAT_PICKLE = MR_FORMAT_BINDING + 1, /* pickle protocol 5 with its buffers out of band */
    MRPY_FORMAT_ARRAY = MR_FORMAT_BINDING + 2,  /* one plain numpy array */
    MRPY_FORMAT_ERROR = MR_FORMAT_BINDING + 3   /* FAST tuple that exceptions.py turns into an exception */
};

/* Python functions that C calls; set by _core.set_hooks. */
#define MRPY_HOOK_MAP(X)                                                                                               \
    X(auto_init)   /* () : opens the default session, or raises */                                                     \
    X(dumps)       /* obj -> (bytes, [PickleBuffer.raw()]) */                                                          \
    X(loads)       /* (bytes-like, buffers=) -> obj */                                                                 \
    X(from_status) /* (status, text, fault tuple or None) -> exception */                                              \
    X(from_error)  /* (tuple) -> exception; the value of MRPY_FORMAT_ERROR */                                          \
    X(escaped)     /* (hex) : a reference was pickled outside of a call */                                             \
    X(future)      /* (ref) -> concurrent.futures.Future */                                                            \
    X(await_ref)   /* (ref) -> iterator for await */                                                                   \
    X(of_ref)      /* (ref, "task_id" or another) -> what that method returns */                                       \
    X(make_stream) /* (stream ref, completed ref) -> generator of references */                                        \
    X(task_raised) /* (call, exception) : a task or method raised */                                                   \
    X(spread)      /* (call, value) -> tuple of n_returns values */

typedef struct mrpy_state {
    PyTypeObject *ref_type, *buffer_type, *submitter_type, *call_type;
#define MRPY_HOOK_FIELD(name) PyObject *name;
    MRPY_HOOK_MAP(MRPY_HOOK_FIELD)
#undef MRPY_HOOK_FIELD
    struct mrpy_call *running; /* of work(), while it runs; borrowed */
    uint64_t n_unpickled;      /* values that were decoded by `loads`: whose code may take long */
    PyObject *ndarray, *dtype; /* numpy's, once the program has imported numpy; else NULL */
    PyObject *dtypes;          /* dict: dtype text -> dtype */
    PyObject *last_dtype;      /* the one decoded last, and its text; borrowed from dtypes, which keeps all */
    char last_text[16];
    PyObject *dtype_texts; /* dict: dtype -> text, only those that are plain */
    PyObject *s_prepare, *s_check, *s_dtype, *s_str, *s_numpy, *s_rebuild;
} mrpy_state;

/* The open session of this process and its number; changed with the GIL held.  NULL: none, or a forked child. */
extern mr_session *mrpy_session;
extern uint64_t mrpy_session_no;

mrpy_state *mrpy_state_of(PyObject *module);
/* The state through a type of this module or a subclass of one. */
mrpy_state *mrpy_state_of_type(PyTypeObject *type);
/* The session, opened now if the process has none; NULL with an exception. */
mr_session *mrpy_need(mrpy_state *st);

/* ---- errors.c ---- */
/* Raises the exception for a failed call; err may be NULL.  Returns NULL. */
PyObject *mrpy_raise(mrpy_state *st, mr_status status, const mr_err *err);
PyObject *mrpy_raise_status(mrpy_state *st, mr_status status, mr_id id); /* of the value of object `id` */
/* See mr_on_error.  Without the GIL. */
uint64_t mrpy_read_error(uint32_t format, const void *data, uint64_t len, char *out, uint64_t cap);
/* Raises what an error value (MR_FORMAT_FAULT, TEXT_ERROR, MRPY_FORMAT_ERROR) says.  Returns NULL. */
PyObject *mrpy_raise_value(mrpy_state *st, const mr_value *v);
/* Nanoseconds of a timeout object: None is -1.  -2 with an exception. */
int64_t mrpy_timeout(PyObject *o, const char *what);
int64_t mrpy_now(void);
/* After E_INTERRUPTED: runs signal handlers; -1 with an exception.  Shortens *left by the time since *since. */
int mrpy_interrupted(int64_t *left, int64_t *since);
/* How long to wait next, of `left` ns (-1: for ever), before handlers of signals get a look: a signal that arrives
 * after the last look and before the sleep does not end that sleep.  *nap starts at MRPY_NAP and grows with each call,
 * so such a signal is late by a few times what was waited already, and a long wait has few wake-ups.  Workers, which
 * take no signals from users, wait in one go. */
enum { MRPY_NAP = 20000000 };
int64_t mrpy_nap(mr_session *s, int64_t left, int64_t *nap);
/* Asks this process to collect garbage (see mr_on_full); does it if it was asked, -1 with an exception. */
void mrpy_on_full(void);
int mrpy_collect(void *unused);

/* ---- objectref.c ---- */
typedef struct mrpy_ref {
    PyObject_HEAD PyObject *weak;
    mr_id id;
    uint64_t session;
    bool owned; /* holds one reference of the process; false for ObjectRef(bytes) */
} mrpy_ref;

extern PyType_Spec mrpy_ref_spec;
/* At the start of a session: lines are noted from now on if the session explains. */
void mrpy_lines_start(PyObject *module, mr_session *s);
/* Notes the line of the program that made the call; of `n` objects from `first` on.  Runs no Python code. */
extern bool mrpy_lines;
void mrpy_note_line(mr_id first, uint32_t n);
/* A reference object that takes over the caller's mr reference (given back on failure). */
PyObject *mrpy_ref_new(mrpy_state *st, mr_id id);
/* The same, adding a reference; used when one is decoded.  Of another session: a dead reference that names it. */
PyObject *mrpy_ref_again(mrpy_state *st, uint64_t session, mr_id id);
/* noting(function) -> (what function() returned, the references that it pickled): whoever keeps such a pickle keeps
 * these beside it, where they are counted. */
PyObject *mrpy_noting(PyObject *module, PyObject *function);
/* The id of an ObjectRef of this session; 0 with an exception.  `what` names the argument in the message. */
mr_id mrpy_ref_id(mrpy_state *st, PyObject *o, const char *what);

/* ---- buffer.c ---- */
extern PyType_Spec mrpy_buffer_spec;
/* `len` bytes from `at` on of a value, read-only: a view that keeps v->id, where they are many and lie at a multiple of
 * `align` (a power of two); else, and with no id, a copy that does. */
PyObject *mrpy_buffer_new(mrpy_state *st, const mr_value *v, uint64_t at, uint64_t len, uint64_t align);

/* How many of them hold something of the open session (their memory must outlive it); forget: it has ended. */
Py_ssize_t mrpy_buffer_views(bool forget);

/* ---- encode.c, plan.c ---- */
typedef struct mrpy_ids {
    mr_id *v;
    uint32_t n, cap;
} mrpy_ids;

/* One encoding: bytes and the references met.  While it is open in a thread, pickled references are noted in it. */
typedef struct mrpy_enc {
    char *data;
    size_t len, cap;
    mrpy_ids deps, refs, own; /* own: objects made for large arguments, dropped after the submit */
    mrpy_state *st;
    struct mrpy_enc *outer;
} mrpy_enc;

mrpy_enc *mrpy_enc_begin(mrpy_state *st);
void mrpy_enc_end(mrpy_enc *e);
/* The encoding that is open in this thread, or NULL. */
mrpy_enc *mrpy_enc_active(void);
int mrpy_ids_add(mrpy_ids *ids, mr_id id);
int mrpy_enc_grow(mrpy_enc *e, size_t more);
/* 1: `o` is plain and was appended; 0: it is not (nothing was appended); -1: exception. */
int mrpy_enc_fast(mrpy_enc *e, PyObject *o);
/* None, bools, small numbers: their bytes without an encoding; 0: it is none of those. */
enum { MRPY_TINY = 16 };
size_t mrpy_enc_tiny(PyObject *o, char out[MRPY_TINY]);
/* Appends arguments: positional, then keyword ones.  Top-level references become dependencies. */
int mrpy_enc_args(mrpy_enc *e, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* How a value will be laid out: `head` first, then each part at the next multiple of 64. */
typedef struct mrpy_plan {
    uint32_t format;
    const void *head;
    uint64_t head_len, total;
    Py_buffer *parts;
    int n_parts;
    PyObject *hold;
    mrpy_enc *enc;
} mrpy_plan;
int mrpy_plan_make(mrpy_state *st, PyObject *o, mrpy_plan *p);
void mrpy_plan_write(const mrpy_plan *p, void *to);
void mrpy_plan_free(mrpy_plan *p);
/* A new object of the session that holds `o`; 0 with an exception.  error: `o` is what from_error reads. */
mr_id mrpy_put(mrpy_state *st, mr_session *s, PyObject *o, bool error);
/* The same of what is planned; frees the plan. */
mr_id mrpy_put_plan(mrpy_state *st, mr_session *s, mrpy_plan *p, bool error);

/* An object whose value is what the plan would write, and lies where the plan would read it; or 0. */
mr_id mrpy_buffer_find(const mrpy_plan *p);

/* ---- decode.c ---- */
/* The Python value of v->data; views keep v->id.  With none, all is copied.  Reads no more of *v than format, data, len
 * and id. */
PyObject *mrpy_decode(mrpy_state *st, const mr_value *v);
/* Decodes the arguments of a call into an array that mrpy_free_args gives back: a slot for self, *n_pos values, then
 * those named by *kwnames (may be NULL).  The array is `few` if they fit there. */
enum { MRPY_FEW = 8 };
int mrpy_decode_args(mrpy_state *st, mr_call *call, const mr_call_info *info, PyObject *few[MRPY_FEW], PyObject ***out,
                     Py_ssize_t *n_pos, PyObject **kwnames);
void mrpy_free_args(PyObject *few[MRPY_FEW], PyObject **v, Py_ssize_t n_pos, PyObject *names);

/* ---- worker.c ---- */
typedef struct mrpy_call {
    PyObject_HEAD mrpy_state *st;
    mr_call *call; /* NULL once finished */
    mr_call_info info;
} mrpy_call;
/* The object takes `call`; one that is finished can take another. */
mrpy_call *mrpy_call_new(mrpy_state *st, mr_call *call);
void mrpy_call_take(mrpy_call *self, mr_call *call);
/* Runs function(*arguments), or function(instance, *arguments) if that is not None; the call is finished.  1: it ran to
 * its end, 0: it raised or was cancelled, -1: exception. */
int mrpy_call_run(mrpy_call *self, PyObject *function, PyObject *instance);

/* ---- the rest ---- */
extern PyType_Spec mrpy_submitter_spec, mrpy_call_spec;
extern PyMethodDef mrpy_object_methods[], mrpy_task_methods[], mrpy_actor_methods[], mrpy_worker_methods[];
/* define.c */
PyObject *mrpy_define(PyObject *module, PyObject *dict);
PyObject *mrpy_node_add(PyObject *module, PyObject *a);
PyObject *mrpy_set_policy(PyObject *module, PyObject *a);
PyObject *mrpy_save(PyObject *module, PyObject *a);
PyObject *mrpy_load(PyObject *module, PyObject *a);
PyObject *mrpy_unsave(PyObject *module, PyObject *a);
PyObject *mrpy_node_remove(PyObject *module, PyObject *a);
PyObject *mrpy_group_make(PyObject *module, PyObject *a);
PyObject *mrpy_group_remove(PyObject *module, PyObject *a);
PyObject *mrpy_group_find(PyObject *module, PyObject *a);
PyObject *mrpy_group_current(PyObject *module, PyObject *unused);

/* Tags of MRPY_FORMAT_FAST and of arguments. */
enum {
    MRPY_TAG_NONE = 'N',
    MRPY_TAG_TRUE = 'T',
    MRPY_TAG_FALSE = 'F',
    MRPY_TAG_INT = 'i',
    MRPY_TAG_FLOAT = 'd',
    MRPY_TAG_STR = 's',
    MRPY_TAG_BYTES = 'b',
    MRPY_TAG_TUPLE = '(',
    MRPY_TAG_LIST = '[',
    MRPY_TAG_DICT = '{',
    MRPY_TAG_REF = 'R',   /* session, id */
    MRPY_TAG_DEP = 'D',   /* argument only: number of the dependency */
    MRPY_TAG_OBJECT = 'O' /* argument only: padding to 8, format, length, bytes of a value */
};
/* Header of the value kinds with parts; all numbers in the machine's order (one machine). */
typedef struct mrpy_pickle_head {
    uint32_t n_parts, pad0;
    uint64_t pickle_len; /* {offset, length} pairs of the parts follow, then the pickle, then the parts */
} mrpy_pickle_head;
typedef struct mrpy_array_head {
    char dtype[16];
    uint32_t ndim, fortran;
    uint64_t bytes, offset; /* of the data; int64 shape[ndim] follows the head */
} mrpy_array_head;
enum {
    MRPY_ALIGN = 64,
    MRPY_ARGUMENT_MAX = 8192,
    MRPY_DEPTH_MAX = 12,
    MRPY_ITEMS_MAX = 512,
    MRPY_REFS_MAX = 1 << 24,
    MRPY_LANES_MAX = 15
};

/* Where the next part of a planned value begins, when the last one ends at `at`. */
static inline uint64_t mrpy_plan_next(uint64_t at)
{
    return (at + MRPY_ALIGN - 1) & ~(uint64_t)(MRPY_ALIGN - 1);
}

#endif
