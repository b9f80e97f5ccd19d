/* task.c: what makes `f.remote(x)` quick.  Submitter is the C part of remote functions and actor methods: a function
 * number of the session, the shape of calls that need no look at the signature, and remote().  Everything that happens
 * once per session and options is Python's (_prepare).
 */
#include "mrpy.h"

#include <structmember.h>

typedef struct mrpy_submitter {
    PyObject_HEAD mrpy_state *st;
    PyObject *actor;            /* ObjectRef of a method's actor, or NULL */
    unsigned long long session; /* that `func` is good for; 0: none */
    unsigned int func;
    int n_returns;          /* -1: a stream */
    int min_args, max_args; /* positional calls between these are right without looking; max -1: any number */
    char waits;             /* submitting may wait (max_pending_calls): give the GIL away */
} mrpy_submitter;

typedef struct mrpy_request {
    uint32_t func;
    mr_id actor;
    int n_returns;
    bool waits;
    const mr_actor_name *name;
} mrpy_request;

static PyObject *results(mrpy_state *st, mr_id first, int n)
{
    if (n == 1)
        return mrpy_ref_new(st, first);
    if (n == 0)
        Py_RETURN_NONE;
    if (n < 0) {
        PyObject *ref = mrpy_ref_new(st, first), *done = mrpy_ref_new(st, first + 1);
        PyObject *stream = ref && done ? PyObject_CallFunctionObjArgs(st->make_stream, ref, done, NULL) : NULL;
        Py_XDECREF(ref);
        Py_XDECREF(done);
        return stream;
    }
    PyObject *list = PyList_New(n);
    for (int i = 0; i < n; i++) {
        PyObject *ref = list ? mrpy_ref_new(st, first + (mr_id)i) : NULL;
        if (ref)
            PyList_SET_ITEM(list, i, ref);
        else if (list)
            Py_CLEAR(list);
        if (!list)
            mr_decref(mrpy_session, first + (mr_id)i);
    }
    return list;
}

static PyObject *submit(mrpy_state *st, mr_session *s, const mrpy_request *r, PyObject *const *args, Py_ssize_t n,
                        PyObject *kwnames)
{
    mr_err err = {.status = MR_OK};
    mr_status status = MR_OK;
    mr_id first = 0;
    mrpy_enc *e = mrpy_enc_begin(st);
    if (!e)
        return NULL;
    int bad = mrpy_enc_args(e, args, n, kwnames);
    if (!bad && mrpy_session != s) { /* pickling ran user code, which closed the session */
        bad = -1;
        mrpy_raise(st, MR_E_CLOSED, NULL);
        e->own.n = 0;
    }
    if (!bad) {
        mr_args a = {.data = e->data,
                     .len = e->len,
                     .deps = e->deps.v,
                     .n_deps = e->deps.n,
                     .refs = e->refs.v,
                     .n_refs = e->refs.n};
        if (r->waits || r->name) {
            Py_BEGIN_ALLOW_THREADS;
            status = mr_submit(s, r->func, r->actor, &a, r->name, &first, &err);
            Py_END_ALLOW_THREADS;
        } else {
            status = mr_submit(s, r->func, r->actor, &a, NULL, &first, &err);
        }
    }
    for (uint32_t i = 0; i < e->own.n && mrpy_session == s; i++)
        mr_decref(s, e->own.v[i]);
    mrpy_enc_end(e);
    if (bad)
        return NULL;
    if (status != MR_OK)
        return mrpy_raise(st, status, &err);
    if (__builtin_expect(mrpy_lines, 0))
        mrpy_note_line(first, r->n_returns < 0 ? 2 : (uint32_t)r->n_returns);
    return results(st, first, r->n_returns);
}

/* The signature check in Python: kwargs as a dict. */
static int check(mrpy_submitter *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    PyObject *pos = PyTuple_New(n), *kw = PyDict_New(), *r = NULL;
    for (Py_ssize_t i = 0; pos && i < n; i++)
        PyTuple_SET_ITEM(pos, i, Py_NewRef(args[i]));
    for (Py_ssize_t i = 0; kw && kwnames && i < PyTuple_GET_SIZE(kwnames); i++)
        if (PyDict_SetItem(kw, PyTuple_GET_ITEM(kwnames, i), args[n + i]))
            Py_CLEAR(kw);
    if (pos && kw)
        r = PyObject_CallMethodObjArgs((PyObject *)self, self->st->s_check, pos, kw, NULL);
    Py_XDECREF(pos);
    Py_XDECREF(kw);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static PyObject *submitter_remote(PyObject *o, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    mrpy_submitter *self = (mrpy_submitter *)o;
    mr_session *s = mrpy_need(self->st);
    if (!s)
        return NULL;
    if (kwnames || n < self->min_args || (self->max_args >= 0 && n > self->max_args))
        if (check(self, args, n, kwnames))
            return NULL;
    mrpy_request r = {.actor = 0};
    if (self->actor && !(r.actor = mrpy_ref_id(self->st, self->actor, "the actor")))
        return NULL;
    if (self->session != mrpy_session_no) {
        PyObject *done = PyObject_CallMethodNoArgs(o, self->st->s_prepare);
        if (!done)
            return NULL;
        if (done != Py_None) { /* local mode: it runs here */
            PyObject *r = PyObject_Vectorcall(done, args, (size_t)n, kwnames);
            Py_DECREF(done);
            return r;
        }
        Py_DECREF(done);
        s = mrpy_need(self->st);
        if (!s)
            return NULL;
        if (self->session != mrpy_session_no)
            return mrpy_raise(self->st, MR_E_CLOSED, NULL);
    }
    r.func = self->func;
    r.n_returns = self->n_returns;
    r.waits = self->waits;
    return submit(self->st, s, &r, args, n, kwnames);
}

static PyObject *submitter_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    mrpy_state *st = mrpy_state_of_type(type);
    mrpy_submitter *self = st ? (mrpy_submitter *)type->tp_alloc(type, 0) : NULL;
    if (self) {
        self->st = st;
        self->n_returns = 1;
        self->max_args = -1;
    }
    return (PyObject *)self;
}

/* An ObjectRef has no way back to the submitter, so no cycle can pass through here. */
static void submitter_dealloc(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    Py_XDECREF(((mrpy_submitter *)o)->actor);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyMethodDef submitter_methods[] = {
    {"remote", (PyCFunction)(void (*)(void))submitter_remote, METH_FASTCALL | METH_KEYWORDS,
     "remote(*args, **kwargs)\n--\n\nRun it somewhere else; returns the reference(s) of its result(s) at once."},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef submitter_members[] = {
    {"_actor_ref", T_OBJECT, offsetof(mrpy_submitter, actor), 0, NULL},
    {"_number_session", T_ULONGLONG, offsetof(mrpy_submitter, session), 0, NULL},
    {"_number", T_UINT, offsetof(mrpy_submitter, func), 0, NULL},
    {"_n_returns", T_INT, offsetof(mrpy_submitter, n_returns), 0, NULL},
    {"_min_args", T_INT, offsetof(mrpy_submitter, min_args), 0, NULL},
    {"_max_args", T_INT, offsetof(mrpy_submitter, max_args), 0, NULL},
    {"_waits", T_BOOL, offsetof(mrpy_submitter, waits), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot submitter_slots[] = {
    {Py_tp_new, submitter_new},
    {Py_tp_dealloc, submitter_dealloc},
    {Py_tp_methods, submitter_methods},
    {Py_tp_members, submitter_members},
    {Py_tp_doc, "C part of remote functions and actor methods."},
    {0, NULL},
};
PyType_Spec mrpy_submitter_spec = {
    .name = "miniray._core.Submitter",
    .basicsize = sizeof(mrpy_submitter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = submitter_slots,
};

/* create_actor(number, args, kwargs, name, namespace, get_if_exists, waits) -> ObjectRef of the actor */
static PyObject *create_actor(PyObject *module, PyObject *a)
{
    unsigned int func;
    PyObject *args, *kwargs, *result = NULL;
    const char *name, *ns;
    int if_exists;
    mrpy_state *st = mrpy_state_of(module);
    if (!PyArg_ParseTuple(a, "IO!O!zzp", &func, &PyTuple_Type, &args, &PyDict_Type, &kwargs, &name, &ns, &if_exists))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    mr_actor_name taken = {.name = name, .ns = ns, .get_if_exists = if_exists};
    mrpy_request r = {.func = func, .n_returns = 1, .waits = true, .name = name ? &taken : NULL};
    Py_ssize_t n = PyTuple_GET_SIZE(args), k = PyDict_GET_SIZE(kwargs), at = 0, i = 0;
    PyObject **v = PyMem_Calloc((size_t)(n + k + 1), sizeof(*v));
    PyObject *names = k ? PyTuple_New(k) : NULL, *key, *value;
    if (!v || (k && !names)) {
        PyErr_NoMemory();
        goto done;
    }
    for (; i < n; i++)
        v[i] = PyTuple_GET_ITEM(args, i);
    while (PyDict_Next(kwargs, &at, &key, &value)) {
        PyTuple_SET_ITEM(names, i - n, Py_NewRef(key));
        v[i++] = value;
    }
    result = submit(st, s, &r, v, n, names);
done:
    Py_XDECREF(names);
    PyMem_Free(v);
    return result;
}

PyMethodDef mrpy_task_methods[] = {
    {"create_actor", create_actor, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
