/* worker.c: the type Call: one task or method call given to this process: decode, run, encode, finish.  run() does all
 * of it for the ordinary case; async and threaded actors (Python, _worker.py) use the steps.
 *
 * A Call is used by one thread at a time.  It frees the core's call at finish, or as cancelled when it is dropped.
 */
#include "mrpy.h"

#include <structmember.h>

static int finished(mrpy_call *self)
{
    if (self->call && mrpy_session)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "this call has been finished");
    return -1;
}

/* How a value leaves: result i, item of a stream, or error. */
typedef enum way { WAY_RETURN, WAY_YIELD, WAY_ERROR } way;

static mr_status send_flat(mrpy_call *self, way w, uint32_t i, const mrpy_plan *p, const void *data, bool retriable,
                           mr_err *err)
{
    const mr_id *refs = p->enc->refs.v;
    uint32_t n = p->enc->refs.n;
    switch (w) {
    case WAY_YIELD:
        return mr_call_yield(self->call, p->format, data, p->total, refs, n, err);
    case WAY_ERROR:
        return mr_call_error(self->call, p->format, data, p->total, refs, n, retriable, err);
    default:
        return mr_call_return(self->call, i, p->format, data, p->total, refs, n, err);
    }
}

static mr_status send_large(mrpy_call *self, uint32_t i, const mrpy_plan *p, mr_err *err)
{
    void *data = NULL;
    mr_status status = mr_call_create(self->call, i, p->total, &data, err);
    if (status != MR_OK)
        return status;
    mrpy_plan_write(p, data);
    return mr_call_seal(self->call, i, p->format, p->enc->refs.v, p->enc->refs.n, err);
}

static int send(mrpy_call *self, way w, uint32_t i, PyObject *value, bool retriable)
{
    mrpy_plan p;
    mr_err err = {.status = MR_OK};
    mr_status status;
    char tiny[MRPY_TINY];
    size_t len = w == WAY_RETURN ? mrpy_enc_tiny(value, tiny) : 0;
    if (len && self->call && mrpy_session) {
        status = mr_call_return(self->call, i, MRPY_FORMAT_FAST, tiny, len, NULL, 0, &err);
        return status == MR_OK ? 0 : (mrpy_raise(self->st, status, &err), -1);
    }
    if (finished(self) || mrpy_plan_make(self->st, value, &p))
        return -1;
    if (w == WAY_ERROR && p.format != MRPY_FORMAT_FAST) {
        mrpy_plan_free(&p);
        PyErr_SetString(PyExc_TypeError, "an error value must be made of plain values");
        return -1;
    }
    if (w == WAY_ERROR)
        p.format = MRPY_FORMAT_ERROR;
    if (w == WAY_RETURN && p.total <= 4096 && !p.n_parts) {
        status = send_flat(self, w, i, &p, p.head, retriable, &err);
    } else {
        Py_BEGIN_ALLOW_THREADS;
        bool large = p.n_parts || (w == WAY_RETURN && p.total > 65536);
        status = large ? send_large(self, w == WAY_YIELD ? MR_CALL_ITEM : i, &p, &err)
                       : send_flat(self, w, i, &p, p.head, retriable, &err);
        Py_END_ALLOW_THREADS;
    }
    mrpy_plan_free(&p);
    if (status != MR_OK)
        mrpy_raise(self->st, status, &err);
    return status == MR_OK ? 0 : -1;
}

static int finish(mrpy_call *self, mr_status outcome, bool leave)
{
    mr_call *call = self->call;
    self->call = NULL;
    mr_status status = mr_call_finish(call, outcome, leave);
    if (status == MR_OK || status == MR_E_CLOSED)
        return 0;
    mrpy_raise(self->st, status, NULL);
    return -1;
}

/* The exception that is set, normalised, with its traceback; takes it. */
static PyObject *take_exception(void)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    PyErr_NormalizeException(&type, &value, &tb);
    if (value && tb)
        PyException_SetTraceback(value, tb);
    Py_XDECREF(type);
    Py_XDECREF(tb);
    return value;
}

/* The task raised: Python writes the error value and finishes the call. */
static int raised(mrpy_call *self)
{
    PyObject *exc = take_exception();
    PyObject *r = PyObject_CallFunctionObjArgs(self->st->task_raised, (PyObject *)self, exc, NULL);
    Py_XDECREF(exc);
    Py_XDECREF(r);
    if (r && self->call)
        return finish(self, MR_E_TASK, false);
    return r ? 0 : -1;
}

/* Ends the cancelable part.  1: go on, 0: the cancel struck, -1: exception other than KeyboardInterrupt. */
static int stop(mrpy_call *self)
{
    if (mr_call_stop(self->call) != MR_E_CANCELLED)
        return 1;
    if (PyErr_CheckSignals() == 0)
        return 1; /* user code caught the interrupt and went on to its end: a success */
    if (!PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        return -1;
    PyErr_Clear();
    return 0;
}

static int send_results(mrpy_call *self, PyObject *result)
{
    if (self->info.n_returns == 1)
        return send(self, WAY_RETURN, 0, result, false);
    if (self->info.n_returns == 0)
        return 0;
    PyObject *values = PyObject_CallFunctionObjArgs(self->st->spread, (PyObject *)self, result, NULL);
    if (!values)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(values); i++)
        if (send(self, WAY_RETURN, (uint32_t)i, PyTuple_GET_ITEM(values, i), false)) {
            Py_DECREF(values);
            return -1;
        }
    Py_DECREF(values);
    return 0;
}

/* An import that is interrupted leaves parts of a package behind without the package; Python mends that. */
static void mend_import(PyObject *tb)
{
    bool importing = false;
    for (PyTracebackObject *t = (PyTracebackObject *)tb; t && !importing; t = t->tb_next) {
        PyCodeObject *code = PyFrame_GetCode(t->tb_frame);
        const char *file = PyUnicode_AsUTF8(code->co_filename);
        importing = PyUnicode_CompareWithASCIIString(code->co_name, "<module>") == 0 ||
                    (file && strncmp(file, "<frozen importlib", 17) == 0);
        Py_DECREF(code);
    }
    if (!importing)
        return;
    PyObject *calls = PyImport_ImportModule("miniray._calls");
    PyObject *done = calls ? PyObject_CallMethod(calls, "mend_imports", NULL) : NULL;
    if (!done)
        PyErr_WriteUnraisable(calls);
    Py_XDECREF(done);
    Py_XDECREF(calls);
}

int mrpy_call_run(mrpy_call *self, PyObject *function, PyObject *instance)
{
    PyObject *few[MRPY_FEW], **v = NULL, *names = NULL, *result = NULL;
    Py_ssize_t n_pos = 0;
    if (mr_call_start(self->call, true) == MR_E_CANCELLED)
        return finish(self, MR_E_CANCELLED, false);
    if (!mrpy_decode_args(self->st, self->call, &self->info, few, &v, &n_pos, &names)) {
        bool method = instance != Py_None;
        v[0] = instance;
        result = PyObject_Vectorcall(function, method ? v : v + 1, (size_t)n_pos + method, names);
        mrpy_free_args(few, v, n_pos, names);
    }
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb); /* stop may set its own */
    int go = stop(self);
    bool own = self->info.kind == MR_CALL_ACTOR; /* nobody cancels a constructor: the interrupt is what it raised */
    if (go == 0 || (go > 0 && !result && !own && type && PyErr_GivenExceptionMatches(type, PyExc_KeyboardInterrupt))) {
        mend_import(tb);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(tb);
        Py_XDECREF(result);
        return finish(self, MR_E_CANCELLED, false);
    }
    if (go > 0)
        PyErr_Restore(type, value, tb);
    bool good = go > 0 && result && !send_results(self, result);
    Py_XDECREF(result);
    if (!good)
        return raised(self);
    return finish(self, MR_OK, false) ? -1 : 1;
}

/* run(function, self_or_None) -> True when it ran to its end, False if it raised or was cancelled.  The call is
 * finished. */
static PyObject *call_run(PyObject *o, PyObject *const *args, Py_ssize_t n)
{
    if (n != 2 || finished((mrpy_call *)o)) {
        if (n != 2)
            PyErr_SetString(PyExc_TypeError, "run(function, self)");
        return NULL;
    }
    int ran = mrpy_call_run((mrpy_call *)o, args[0], args[1]);
    return ran < 0 ? NULL : PyBool_FromLong(ran);
}

/* All of a coroutine that has no await, in a context of its own as a task would; takes it. */
static PyObject *one_step(PyObject *coroutine)
{
    PyObject *value = NULL, *context = PyContext_CopyCurrent();
    if (context && PyContext_Enter(context) == 0) {
        PySendResult sent = PyIter_Send(coroutine, Py_None, &value);
        if (sent == PYGEN_NEXT) {
            Py_CLEAR(value);
            PyErr_SetString(PyExc_RuntimeError, "a coroutine without an await was suspended");
        }
        PyObject *type, *what, *tb;
        PyErr_Fetch(&type, &what, &tb);
        if (PyContext_Exit(context))
            PyErr_WriteUnraisable(coroutine);
        PyErr_Restore(type, what, tb);
    }
    Py_XDECREF(context);
    Py_DECREF(coroutine);
    return value;
}

/* begin(function, self, flat) -> what the method returned, where that is to be awaited or streamed; None: it is
 * finished.  Raises what it raised, unfinished.  flat: its coroutines have no await in them, so that one step ends
 * them.
 */
static PyObject *call_begin(PyObject *o, PyObject *const *args, Py_ssize_t n)
{
    mrpy_call *self = (mrpy_call *)o;
    PyObject *few[MRPY_FEW], **v = NULL, *names = NULL, *made = NULL, *value;
    Py_ssize_t n_pos = 0;
    if (n != 3 || finished(self)) {
        if (n != 3)
            PyErr_SetString(PyExc_TypeError, "begin(function, self, flat)");
        return NULL;
    }
    if (mr_call_start(self->call, false) == MR_E_CANCELLED)
        return finish(self, MR_E_CANCELLED, false) ? NULL : Py_NewRef(Py_None);
    uint64_t unpickled = self->st->n_unpickled;
    if (mrpy_decode_args(self->st, self->call, &self->info, few, &v, &n_pos, &names))
        return NULL;
    if (self->st->n_unpickled != unpickled && mr_call_cancelled(self->call)) { /* while their code ran */
        mrpy_free_args(few, v, n_pos, names);
        return finish(self, MR_E_CANCELLED, false) ? NULL : Py_NewRef(Py_None);
    }
    v[0] = args[1];
    made = PyObject_Vectorcall(args[0], v, (size_t)n_pos + 1, names);
    mrpy_free_args(few, v, n_pos, names);
    if (!made)
        return NULL;
    if (PyCoro_CheckExact(made)) {
        if (args[2] != Py_True)
            return made;
        made = one_step(made);
    } else if (PyAsyncGen_CheckExact(made) || (self->info.flags & (MR_DEF_STREAMING | MR_DEF_BINDING)) ||
               (self->info.n_returns > 1 && PyGen_CheckExact(made))) {
        return made;
    }
    if (made && !(self->info.flags & MR_DEF_ASYNC) && mr_call_cancelled(self->call)) { /* a thread that was told so */
        Py_DECREF(made);
        return finish(self, MR_E_CANCELLED, false) ? NULL : Py_NewRef(Py_None);
    }
    bool bad = !made || send_results(self, made);
    Py_XDECREF(made);
    return bad || finish(self, MR_OK, false) ? NULL : Py_NewRef(Py_None);
}

/* arguments() -> (tuple, dict) */
static PyObject *call_arguments(PyObject *o, PyObject *Py_UNUSED(unused))
{
    mrpy_call *self = (mrpy_call *)o;
    PyObject *few[MRPY_FEW], **v, *names, *pos, *kw;
    Py_ssize_t n;
    if (finished(self) || mrpy_decode_args(self->st, self->call, &self->info, few, &v, &n, &names))
        return NULL;
    pos = PyTuple_New(n);
    kw = PyDict_New();
    for (Py_ssize_t i = 0; pos && i < n; i++)
        PyTuple_SET_ITEM(pos, i, Py_NewRef(v[i + 1]));
    for (Py_ssize_t i = 0; kw && names && i < PyTuple_GET_SIZE(names); i++)
        if (PyDict_SetItem(kw, PyTuple_GET_ITEM(names, i), v[n + 1 + i]))
            Py_CLEAR(kw);
    mrpy_free_args(few, v, n, names);
    if (!pos || !kw) {
        Py_XDECREF(pos);
        Py_XDECREF(kw);
        return NULL;
    }
    return Py_BuildValue("(NN)", pos, kw);
}

/* start(main_thread) -> False: it was taken back or cancelled, finish it */
static PyObject *call_start(PyObject *o, PyObject *main_thread)
{
    mrpy_call *self = (mrpy_call *)o;
    if (finished(self))
        return NULL;
    return PyBool_FromLong(mr_call_start(self->call, main_thread == Py_True) != MR_E_CANCELLED);
}

/* stop() -> False: a cancel struck and was not caught */
static PyObject *call_stop(PyObject *o, PyObject *Py_UNUSED(unused))
{
    if (finished((mrpy_call *)o))
        return NULL;
    int go = stop((mrpy_call *)o);
    return go < 0 ? NULL : PyBool_FromLong(go);
}

static PyObject *call_give(PyObject *o, PyObject *args)
{
    unsigned int i;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "IO", &i, &value) || send((mrpy_call *)o, WAY_RETURN, i, value, false))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *call_give_all(PyObject *o, PyObject *value)
{
    if (finished((mrpy_call *)o) || send_results((mrpy_call *)o, value))
        return NULL;
    Py_RETURN_NONE;
}

/* emit(item): the next item of a stream; then it waits until its reader leaves room for another. */
static PyObject *call_emit(PyObject *o, PyObject *value)
{
    mrpy_call *self = (mrpy_call *)o;
    if (send(self, WAY_YIELD, 0, value, false))
        return NULL;
    mr_status status = mr_call_room(self->call, 0);
    while (status == MR_E_TIMEOUT || status == MR_E_INTERRUPTED) {
        if (status == MR_E_INTERRUPTED && PyErr_CheckSignals())
            return NULL;
        Py_BEGIN_ALLOW_THREADS;
        status = mr_call_room(self->call, -1);
        Py_END_ALLOW_THREADS;
    }
    if (status != MR_OK)
        return mrpy_raise(self->st, status, NULL);
    Py_RETURN_NONE;
}

/* fail(tuple, retriable): the error value for all results that are not sealed */
static PyObject *call_fail(PyObject *o, PyObject *args)
{
    PyObject *value;
    int retriable;
    if (!PyArg_ParseTuple(args, "Op", &value, &retriable) || send((mrpy_call *)o, WAY_ERROR, 0, value, retriable))
        return NULL;
    Py_RETURN_NONE;
}

/* finish(outcome, leave=False) */
static PyObject *call_finish(PyObject *o, PyObject *args)
{
    int outcome, leave = 0;
    if (!PyArg_ParseTuple(args, "i|p", &outcome, &leave) || finished((mrpy_call *)o) ||
        finish((mrpy_call *)o, (mr_status)outcome, leave))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *text_or_empty(const char *text)
{
    return PyUnicode_DecodeUTF8(text ? text : "", (Py_ssize_t)strlen(text ? text : ""), "replace");
}
static PyObject *call_name(PyObject *o, void *Py_UNUSED(unused))
{
    return finished((mrpy_call *)o) ? NULL : text_or_empty(((mrpy_call *)o)->info.name);
}
static PyObject *call_entry(PyObject *o, void *Py_UNUSED(unused))
{
    return finished((mrpy_call *)o) ? NULL : text_or_empty(((mrpy_call *)o)->info.entry);
}
static PyObject *call_code(PyObject *o, void *Py_UNUSED(unused))
{
    return mrpy_ref_again(((mrpy_call *)o)->st, mrpy_session_no, ((mrpy_call *)o)->info.code);
}
static PyObject *call_cancelled(PyObject *o, void *Py_UNUSED(unused))
{
    mrpy_call *self = (mrpy_call *)o;
    return PyBool_FromLong(self->call && mr_call_cancelled(self->call));
}
static PyObject *call_done(PyObject *o, void *Py_UNUSED(unused))
{
    return PyBool_FromLong(!((mrpy_call *)o)->call);
}

void mrpy_call_take(mrpy_call *self, mr_call *call)
{
    self->call = call;
    mr_call_describe(call, &self->info);
}

mrpy_call *mrpy_call_new(mrpy_state *st, mr_call *call)
{
    mrpy_call *self = (mrpy_call *)st->call_type->tp_alloc(st->call_type, 0);
    if (self) {
        self->st = st;
        mrpy_call_take(self, call);
    }
    return self;
}

static void call_dealloc(PyObject *o)
{
    mrpy_call *self = (mrpy_call *)o;
    PyTypeObject *type = Py_TYPE(o);
    if (self->call && mrpy_session && mr_call_finish(self->call, MR_E_CANCELLED, false) != MR_OK) {
        /* the node is gone; so will be this process */
    }
    type->tp_free(o);
    Py_DECREF(type);
}

static PyMethodDef call_methods[] = {
    {"run", (PyCFunction)(void (*)(void))call_run, METH_FASTCALL, NULL},
    {"begin", (PyCFunction)(void (*)(void))call_begin, METH_FASTCALL, NULL},
    {"arguments", call_arguments, METH_NOARGS, NULL},
    {"start", call_start, METH_O, NULL},
    {"stop", call_stop, METH_NOARGS, NULL},
    {"give", call_give, METH_VARARGS, NULL},
    {"give_all", call_give_all, METH_O, NULL},
    {"emit", call_emit, METH_O, NULL},
    {"fail", call_fail, METH_VARARGS, NULL},
    {"finish", call_finish, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef call_members[] = {
    {"kind", T_INT, offsetof(mrpy_call, info.kind), READONLY, NULL},
    {"task", T_ULONGLONG, offsetof(mrpy_call, info.task), READONLY, NULL},
    {"actor", T_ULONGLONG, offsetof(mrpy_call, info.actor), READONLY, NULL},
    {"gpus", T_ULONGLONG, offsetof(mrpy_call, info.gpus), READONLY, NULL},
    {"func", T_UINT, offsetof(mrpy_call, info.func), READONLY, NULL},
    {"attempt", T_UINT, offsetof(mrpy_call, info.attempt), READONLY, NULL},
    {"n_returns", T_UINT, offsetof(mrpy_call, info.n_returns), READONLY, NULL},
    {"flags", T_UINT, offsetof(mrpy_call, info.flags), READONLY, NULL},
    {"max_concurrency", T_UINT, offsetof(mrpy_call, info.max_concurrency), READONLY, NULL},
    {"lane", T_UINT, offsetof(mrpy_call, info.lane), READONLY, NULL},
    {"window", T_INT, offsetof(mrpy_call, info.window), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef call_getset[] = {
    {"name", call_name, NULL, NULL, NULL},           {"entry", call_entry, NULL, NULL, NULL},
    {"code", call_code, NULL, NULL, NULL},           {"done", call_done, NULL, NULL, NULL},
    {"cancelled", call_cancelled, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot call_slots[] = {
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_methods, call_methods},
    {Py_tp_members, call_members},
    {Py_tp_getset, call_getset},
    {Py_tp_doc, "A task or method call given to this worker."},
    {0, NULL},
};
PyType_Spec mrpy_call_spec = {
    .name = "miniray._core.Call",
    .basicsize = sizeof(mrpy_call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = call_slots,
};
