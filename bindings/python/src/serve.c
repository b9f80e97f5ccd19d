/* serve.c: what a worker process does between calls: joining the session, taking calls, and the loop that runs plain
 * ones without a step of Python in between.  No lock.
 */
#include "mrpy.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* next_call(wait) -> Call; False when there is none now (wait False); None when the node is gone */
static PyObject *next_call(PyObject *module, PyObject *wait)
{
    mrpy_state *st = mrpy_state_of(module);
    mr_session *s = mrpy_need(st);
    mr_call *call = NULL;
    if (!s)
        return NULL;
    mr_status status = mr_call_next(s, 0, &call);
    while ((status == MR_E_TIMEOUT && wait == Py_True) || status == MR_E_INTERRUPTED) {
        if (status == MR_E_INTERRUPTED && PyErr_CheckSignals())
            return NULL;
        Py_BEGIN_ALLOW_THREADS;
        status = mr_call_next(s, wait == Py_True ? -1 : 0, &call);
        Py_END_ALLOW_THREADS;
    }
    if (status == MR_E_TIMEOUT)
        Py_RETURN_FALSE;
    if (status == MR_E_CLOSED)
        Py_RETURN_NONE;
    if (status != MR_OK)
        return mrpy_raise(st, status, NULL);
    return (PyObject *)mrpy_call_new(st, call);
}

/* --------------------------------------------------------------------------------------------------------- loop -- */

/* What the loop has at hand: the function of the last call, as the next is mostly of the same. */
typedef struct working {
    mrpy_state *st;
    mr_session *s;
    PyObject *functions, *methods, *instance, *flush; /* borrowed */
    mrpy_call *call;
    uint32_t func;
    PyObject *target; /* of `func` */
} working;

static int flush(const working *w)
{
    PyObject *r = PyObject_CallNoArgs(w->flush);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

/* The next call; what was printed is on its way before this waits.  OK, CLOSED; -1: exception. */
static int take_next(working *w, mr_call **out)
{
    mr_status status = mr_call_next(w->s, 0, out);
    if (status == MR_E_TIMEOUT && flush(w))
        return -1;
    while (status == MR_E_TIMEOUT || status == MR_E_INTERRUPTED) {
        if (status == MR_E_INTERRUPTED && PyErr_CheckSignals())
            return -1;
        Py_BEGIN_ALLOW_THREADS;
        status = mr_call_next(w->s, -1, out);
        Py_END_ALLOW_THREADS;
    }
    if (status == MR_OK || status == MR_E_CLOSED)
        return (int)status;
    mrpy_raise(w->st, status, NULL);
    return -1;
}

/* 1: w->target runs it, 0: it is Python's to see to, -1: exception. */
static int find_target(working *w)
{
    const mr_call_info *i = &w->call->info;
    bool plain = (i->kind == MR_CALL_TASK || i->kind == MR_CALL_METHOD) && !i->gpus && i->n_returns <= 1 &&
                 !(i->flags & (MR_DEF_STREAMING | MR_DEF_BINDING));
    if (!plain || (w->target && w->func == i->func))
        return plain;
    PyObject *key = PyLong_FromUnsignedLong(i->func);
    PyObject *found = key ? PyDict_GetItemWithError(i->kind == MR_CALL_TASK ? w->functions : w->methods, key) : NULL;
    Py_XDECREF(key);
    if (!found)
        return PyErr_Occurred() ? -1 : 0;
    Py_XSETREF(w->target, Py_NewRef(found));
    w->func = i->func;
    return 1;
}

/* 1: done, 0: the call is Python's to see to, -1: exception. */
static int work_one(working *w, mr_call *call)
{
    /* Somebody kept the last one: it is theirs. */
    if (w->call && Py_REFCNT(w->call) == 1)
        mrpy_call_take(w->call, call);
    else
        Py_XSETREF(w->call, mrpy_call_new(w->st, call));
    w->st->running = w->call;
    if (!w->call)
        return -1;
    /* Lines leave when they are whole; the rest of one before another function speaks, or this one for long. */
    bool other = !w->target || w->func != w->call->info.func || mr_call_long(call);
    if (other && flush(w))
        return -1;
    int found = find_target(w);
    if (found <= 0)
        return found;
    return mrpy_call_run(w->call, w->target, w->call->info.kind == MR_CALL_METHOD ? w->instance : Py_None) < 0 ? -1 : 1;
}

/* work(functions, methods, instance, flush) -> a Call that is Python's to see to; None when the node is gone.
 * functions, methods: dict, function number -> callable; plain calls of these are run here, others are returned. */
static PyObject *work(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    working w = {.st = mrpy_state_of(module)};
    PyObject *result = NULL;
    mr_call *call;
    int status;
    if (n != 4 || !PyDict_Check(args[0]) || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "work(functions, methods, instance, flush)");
        return NULL;
    }
    if (!(w.s = mrpy_need(w.st)))
        return NULL;
    w.functions = args[0];
    w.methods = args[1];
    w.instance = args[2];
    w.flush = args[3];
    while ((status = take_next(&w, &call)) == MR_OK)
        if ((status = work_one(&w, call)) <= 0)
            break;
    if (status == 0)
        result = Py_NewRef((PyObject *)w.call);
    else if (status == MR_E_CLOSED)
        result = Py_NewRef(Py_None);
    w.st->running = NULL;
    Py_XDECREF(w.call);
    Py_XDECREF(w.target);
    return result;
}

/* running() -> the Call that work() runs or ran last; None */
static PyObject *running(PyObject *module, PyObject *Py_UNUSED(unused))
{
    mrpy_call *call = mrpy_state_of(module)->running;
    return Py_NewRef(call ? (PyObject *)call : Py_None);
}

static PyObject *call_fd(PyObject *module, PyObject *Py_UNUSED(unused))
{
    mr_session *s = mrpy_need(mrpy_state_of(module));
    return s ? PyLong_FromLong(mr_call_fd(s)) : NULL;
}

static PyObject *current_task(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromUnsignedLongLong(mrpy_session ? mr_current_task(mrpy_session) : 0);
}

static PyObject *set_current_task(PyObject *Py_UNUSED(module), PyObject *task)
{
    unsigned long long id = PyLong_AsUnsignedLongLong(task);
    if (PyErr_Occurred())
        return NULL;
    if (mrpy_session)
        mr_set_current_task(mrpy_session, id);
    Py_RETURN_NONE;
}

/* Runs in a signal handler: only sets Python's own flag. */
static void interrupt(void)
{
    (void)PyErr_SetInterruptEx(SIGINT);
}

/* The GIL, if this thread has it. */
static void *leave_gil(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyThreadState *now = PyThreadState_GetUnchecked();
#else
    PyThreadState *now = _PyThreadState_UncheckedGet();
#endif
    return now && now == PyGILState_GetThisThreadState() ? PyEval_SaveThread() : NULL;
}

static void back_gil(void *left)
{
    PyEval_RestoreThread(left);
}

/* attach() -> False if the session was closed meanwhile: joins the session whose supervisor started this process */
static PyObject *attach(PyObject *module, PyObject *Py_UNUSED(unused))
{
    mr_session *s = NULL;
    mr_err err = {.status = MR_OK};
    mr_status status;
    Py_BEGIN_ALLOW_THREADS;
    mr_on_cancel_signal(interrupt);
    mr_on_wait(leave_gil, back_gil);
    status = mr_attach(&s, &err);
    Py_END_ALLOW_THREADS;
    if (status == MR_E_CLOSED)
        Py_RETURN_FALSE;
    if (status != MR_OK)
        return mrpy_raise(mrpy_state_of(module), status, &err);
    mrpy_session = s;
    mrpy_session_no = mr_session_id(s);
    mrpy_lines_start(module, s);
    Py_RETURN_TRUE;
}

/* die_with_parent(pid): this process is killed when its parent, which must be `pid`, ends */
static PyObject *die_with_parent(PyObject *Py_UNUSED(module), PyObject *parent)
{
    long pid = PyLong_AsLong(parent);
    if (pid == -1 && PyErr_Occurred())
        return NULL;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL))
        return PyErr_SetFromErrno(PyExc_OSError);
    if (getppid() != pid) { /* it ended before the line above */
        PyErr_SetString(PyExc_OSError, "the parent has ended");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *batch_begin(PyObject *module, PyObject *Py_UNUSED(unused))
{
    mr_session *s = mrpy_need(mrpy_state_of(module));
    if (!s)
        return NULL;
    mr_batch_begin(s);
    Py_RETURN_NONE;
}

static PyObject *batch_end(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    if (mrpy_session)
        mr_batch_end(mrpy_session);
    Py_RETURN_NONE;
}

PyMethodDef mrpy_worker_methods[] = {
    {"die_with_parent", die_with_parent, METH_O, NULL},
    {"batch_begin", batch_begin, METH_NOARGS, NULL},
    {"batch_end", batch_end, METH_NOARGS, NULL},
    {"next_call", next_call, METH_O, NULL},
    {"work", (PyCFunction)(void (*)(void))work, METH_FASTCALL, NULL},
    {"running", running, METH_NOARGS, NULL},
    {"call_fd", call_fd, METH_NOARGS, NULL},
    {"current_task", current_task, METH_NOARGS, NULL},
    {"set_current_task", set_current_task, METH_O, NULL},
    {"attach", attach, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
