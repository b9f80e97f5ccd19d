/* actor.c: finding, cancelling and killing; and references that tell when they are ready.
 *
 * Ready notes: mr_on_ready calls back on a thread of the core, where no Python may run.  It pushes the note's number on
 * a stack (one mutex, held for a few instructions) and writes an eventfd; a Python thread reads both.
 */
#include "mrpy.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct note {
    struct note *next;
    unsigned long long number;
} note;

static pthread_mutex_t ready_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static note *ready_notes;
static int ready_fd = -1;

static void drop_notes(void)
{
    while (ready_notes) {
        note *next = ready_notes->next;
        free(ready_notes);
        ready_notes = next;
    }
}

/* The descriptor that tells of notes, -1 when there can be none.  What an earlier session noted while it closed is of
 * no use to anyone, and would keep the first note of this one from waking the reader.  Called with ready_lock. */
static int ready_open(void)
{
    if (ready_fd < 0) {
        drop_notes();
        ready_fd = eventfd(0, EFD_CLOEXEC);
    }
    return ready_fd;
}

static void wake(void)
{
    uint64_t one = 1;
    if (ready_fd >= 0 && write(ready_fd, &one, sizeof(one)) < 0) {
        /* the counter is full, so the reader is awake */
    }
}

static void note_done(void *arg, mr_id Py_UNUSED(id))
{
    note *n = arg;
    pthread_mutex_lock(&ready_lock);
    bool first = !ready_notes;
    n->next = ready_notes;
    ready_notes = n;
    if (first)
        wake();
    pthread_mutex_unlock(&ready_lock);
}

/* on_ready(ref, number): `number` will come out of ready_wait once. */
static PyObject *core_on_ready(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *ref;
    unsigned long long number;
    if (!PyArg_ParseTuple(args, "OK", &ref, &number))
        return NULL;
    mr_id id = mrpy_ref_id(st, ref, "the awaited value");
    if (!id)
        return NULL;
    note *n = malloc(sizeof(*n));
    if (!n)
        return PyErr_NoMemory();
    n->number = number;
    pthread_mutex_lock(&ready_lock);
    bool open = ready_open() >= 0;
    pthread_mutex_unlock(&ready_lock);
    if (!open) {
        free(n);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    mr_status status = mr_on_ready(mrpy_session, id, note_done, n);
    if (status != MR_OK) {
        free(n);
        return mrpy_raise(st, status, NULL);
    }
    Py_RETURN_NONE;
}

/* ready_wait() -> list of numbers, oldest first; empty after ready_wake(). */
static PyObject *core_ready_wait(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    uint64_t count;
    ssize_t got = 0;
    pthread_mutex_lock(&ready_lock);
    int fd = ready_open();
    pthread_mutex_unlock(&ready_lock);
    if (fd < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_BEGIN_ALLOW_THREADS;
    got = read(fd, &count, sizeof(count));
    Py_END_ALLOW_THREADS;
    pthread_mutex_lock(&ready_lock);
    note *n = got > 0 ? ready_notes : NULL;
    if (got > 0)
        ready_notes = NULL;
    pthread_mutex_unlock(&ready_lock);
    PyObject *list = PyList_New(0);
    while (n) {
        note *next = n->next;
        PyObject *number = list ? PyLong_FromUnsignedLongLong(n->number) : NULL;
        if (number && PyList_Append(list, number))
            Py_CLEAR(list);
        Py_XDECREF(number);
        free(n);
        n = next;
    }
    if (list)
        PyList_Reverse(list);
    return list;
}

static PyObject *core_ready_wake(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    pthread_mutex_lock(&ready_lock);
    wake();
    pthread_mutex_unlock(&ready_lock);
    Py_RETURN_NONE;
}

/* Closes the descriptor; the reading thread must have ended. */
static PyObject *core_ready_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    pthread_mutex_lock(&ready_lock);
    int fd = ready_fd;
    ready_fd = -1;
    drop_notes();
    pthread_mutex_unlock(&ready_lock);
    if (fd >= 0)
        close(fd);
    Py_RETURN_NONE;
}

/* cancel(ref, force, recursive) */
static PyObject *core_cancel(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *ref;
    int force, recursive;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(args, "Opp", &ref, &force, &recursive))
        return NULL;
    mr_id id = mrpy_ref_id(st, ref, "cancel()'s argument");
    mr_session *s = mrpy_session;
    if (!id)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_cancel(s, id, (force ? MR_FORCE : 0u) | (recursive ? MR_RECURSIVE : 0u), &err);
    Py_END_ALLOW_THREADS;
    if (status != MR_OK)
        return mrpy_raise(st, status, &err);
    Py_RETURN_NONE;
}

/* kill(actor ref, no_restart) */
static PyObject *core_kill(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *ref;
    int no_restart;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(args, "Op", &ref, &no_restart))
        return NULL;
    mr_id id = mrpy_ref_id(st, ref, "kill()'s actor");
    mr_session *s = mrpy_session;
    if (!id)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_kill(s, id, no_restart ? MR_NO_RESTART : 0u, &err);
    Py_END_ALLOW_THREADS;
    if (status != MR_OK)
        return mrpy_raise(st, status, &err);
    Py_RETURN_NONE;
}

/* find_actor(name, namespace) -> (ref, function number) or None */
static PyObject *core_find_actor(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    const char *name, *ns;
    mr_id actor = 0;
    uint32_t func = 0;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(args, "sz", &name, &ns))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_find_actor(s, name, ns, &actor, &func, &err);
    Py_END_ALLOW_THREADS;
    if (status == MR_E_NOTFOUND)
        Py_RETURN_NONE;
    if (status != MR_OK)
        return mrpy_raise(st, status, &err);
    PyObject *ref = mrpy_ref_new(st, actor);
    return ref ? Py_BuildValue("(NI)", ref, func) : NULL;
}

/* func_code(number) -> (ref, max_retries, max_pending) */
static PyObject *core_func_code(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    unsigned int func;
    mr_id code = 0;
    int32_t max_retries = 0, max_pending = -1;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(args, "I", &func))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_func_code(s, func, &code, &max_retries, &max_pending, &err);
    Py_END_ALLOW_THREADS;
    if (status != MR_OK)
        return mrpy_raise(st, status, &err);
    PyObject *ref = code ? mrpy_ref_new(st, code) : mrpy_ref_again(st, mrpy_session_no, 0);
    return ref ? Py_BuildValue("(Nii)", ref, max_retries, max_pending) : NULL;
}

PyMethodDef mrpy_actor_methods[] = {
    {"on_ready", core_on_ready, METH_VARARGS, NULL},
    {"ready_wait", core_ready_wait, METH_NOARGS, NULL},
    {"ready_wake", core_ready_wake, METH_NOARGS, NULL},
    {"ready_close", core_ready_close, METH_NOARGS, NULL},
    {"cancel", core_cancel, METH_VARARGS, NULL},
    {"kill", core_kill, METH_VARARGS, NULL},
    {"find_actor", core_find_actor, METH_VARARGS, NULL},
    {"func_code", core_func_code, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
