/* errors.c: statuses and error values -> exceptions; timeouts and signals.  The classes are in exceptions.py. */
#include "mrpy.h"

#include <math.h>
#include <stdatomic.h>
#include <time.h>

static PyObject *set_exception(PyObject *exc)
{
    if (!exc)
        return NULL;
    if (PyExceptionInstance_Check(exc))
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    else
        PyErr_SetString(PyExc_TypeError, "an error hook must return an exception");
    Py_DECREF(exc);
    return NULL;
}

PyObject *mrpy_raise(mrpy_state *st, mr_status status, const mr_err *err)
{
    const char *text = err && err->text[0] ? err->text : mr_strerror(status);
    if (PyErr_Occurred())
        return NULL;
    if (status == MR_E_CANCELLED) { /* of the call that this thread runs: as the signal would, were it the main one */
        if (!PyErr_CheckSignals())
            PyErr_SetNone(PyExc_KeyboardInterrupt);
        return NULL;
    }
    if (!st->from_status) {
        PyErr_SetString(PyExc_RuntimeError, text);
        return NULL;
    }
    return set_exception(PyObject_CallFunction(st->from_status, "isO", (int)status, text, Py_None));
}

/* The node knows who keeps the store full. */
PyObject *mrpy_raise_status(mrpy_state *st, mr_status status, mr_id id)
{
    char what[32], *json = NULL;
    mr_err err = {.status = MR_OK};
    mr_status asked = MR_E_CLOSED;
    if (status == MR_E_FULL && mrpy_session) {
        PyOS_snprintf(what, sizeof(what), "full %llx", (unsigned long long)id);
        Py_BEGIN_ALLOW_THREADS;
        asked = mr_state(mrpy_session, what, &json, &err);
        Py_END_ALLOW_THREADS;
    }
    if (asked != MR_OK)
        return mrpy_raise(st, status, NULL);
    PyObject *module = PyImport_ImportModule("json");
    PyObject *text = module ? PyObject_CallMethod(module, "loads", "s", json) : NULL;
    Py_XDECREF(module);
    free(json);
    if (text)
        set_exception(PyObject_CallFunction(st->from_status, "iOO", (int)status, text, Py_None));
    Py_XDECREF(text);
    return NULL;
}

static PyObject *raise_fault(mrpy_state *st, const mr_value *v)
{
    mr_fault_value f;
    if (v->len < sizeof(f)) {
        PyErr_SetString(PyExc_ValueError, "malformed miniray fault: it is too short");
        return NULL;
    }
    memcpy(&f, v->data, sizeof(f));
    uint64_t room = v->len - sizeof(f), len = f.text_len < room ? f.text_len : room;
    const char *text = (const char *)v->data + sizeof(f);
    len = strnlen(text, len);
    return set_exception(PyObject_CallFunction(st->from_status, "is#(iiiIIIKKK)", (int)f.status, text, (Py_ssize_t)len,
                                               (int)f.pid, (int)f.how, (int)f.code, f.attempt, f.of, f.may_have_run,
                                               (unsigned long long)f.task, (unsigned long long)f.cause,
                                               (unsigned long long)v->id));
}

PyObject *mrpy_raise_value(mrpy_state *st, const mr_value *v)
{
    switch (v->format & 0xff) {
    case MR_FORMAT_FAULT:
        return raise_fault(st, v);
    case MR_FORMAT_TEXT_ERROR: {
        size_t len = strnlen(v->data, v->len);
        return set_exception(PyObject_CallFunction(st->from_status, "is#O", (int)MR_E_TASK, (const char *)v->data,
                                                   (Py_ssize_t)len, Py_None));
    }
    default: {
        PyObject *state = mrpy_decode(st, v);
        if (!state)
            return NULL;
        PyObject *exc = PyObject_CallOneArg(st->from_error, state);
        Py_DECREF(state);
        return set_exception(exc);
    }
    }
}

int64_t mrpy_timeout(PyObject *o, const char *what)
{
    if (!o || o == Py_None)
        return -1;
    double seconds = PyFloat_AsDouble(o);
    if (seconds == -1.0 && PyErr_Occurred())
        return -2;
    if (isnan(seconds) || seconds < 0) {
        if (seconds == -1.0 && strcmp(what, "get") == 0)
            return -1; /* Ray's old way to say "for ever" */
        PyErr_Format(PyExc_ValueError, "%s: timeout must be None or a number of seconds >= 0, not %R", what, o);
        return -2;
    }
    return seconds > 9e9 ? -1 : (int64_t)(seconds * 1e9);
}

int64_t mrpy_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The store is full.  On any thread, without the GIL: a thread that waits is told by its wait, one that computes by the
 * interpreter. */
static _Atomic bool collect_asked;

void mrpy_on_full(void)
{
    atomic_store(&collect_asked, true);
    (void)Py_AddPendingCall(mrpy_collect, NULL); /* no room in its queue: others do it */
}

int mrpy_collect(void *unused)
{
    (void)unused;
    if (!atomic_exchange(&collect_asked, false))
        return 0;
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *found = gc ? PyObject_CallMethod(gc, "collect", NULL) : NULL;
    Py_XDECREF(gc);
    Py_XDECREF(found);
    if (mrpy_session)
        mr_flush(mrpy_session);
    return found ? 0 : -1;
}

int mrpy_interrupted(int64_t *left, int64_t *since)
{
    if (PyErr_CheckSignals() || mrpy_collect(NULL))
        return -1;
    if (*left >= 0) {
        int64_t now = mrpy_now();
        *left = *left > now - *since ? *left - (now - *since) : 0;
        *since = now;
    }
    return 0;
}

int64_t mrpy_nap(mr_session *s, int64_t left, int64_t *nap)
{
    int64_t now = *nap;
    if (mr_is_worker(s) || (left >= 0 && left <= now))
        return left;
    if (now < INT64_MAX / 4)
        *nap = 4 * now;
    return now;
}

/* The next item, a text; false: it is another. */
static bool next_text(const char **at, const char *end, const char **text, uint32_t *len)
{
    if (end - *at < 5 || **at != MRPY_TAG_STR)
        return false;
    memcpy(len, *at + 1, 4);
    *text = *at + 5;
    if (*len > (size_t)(end - *text))
        return false;
    *at = *text + *len;
    return true;
}

/* The last line of a traceback that says where: File "x.py", line 3, in f. */
static int last_place(const char *trace, uint32_t len, const char **place)
{
    static const char mark[] = "\n  File \"";
    *place = NULL;
    for (const char *p = trace, *end = trace + len; (p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1)); p++)
        *place = p + 3;
    const char *line = *place ? memchr(*place, '\n', (size_t)(trace + len - *place)) : NULL;
    return line ? (int)(line - *place) : 0;
}

/* Of the tuple that _errors.py makes: (kind, function, class, text, traceback, ...). */
uint64_t mrpy_read_error(uint32_t format, const void *data, uint64_t len, char *out, uint64_t cap)
{
    const char *at = data, *end = at + len, *v[5], *place;
    uint32_t n[5];
    if ((format & 0xff) != MRPY_FORMAT_ERROR || len < 5 || *at != MRPY_TAG_TUPLE)
        return 0;
    at += 5;
    for (int i = 0; i < 5; i++)
        if (!next_text(&at, end, &v[i], &n[i]))
            return 0;
    const char *line = memchr(v[3], '\n', n[3]);
    int text = (int)(line ? line - v[3] : n[3]), where = last_place(v[4], n[4], &place);
    int wrote = snprintf(out, cap, "%.*s%s%.*s%s%.*s%s", (int)n[2], v[2], text ? ": " : "", text, v[3],
                         where ? " (" : "", where, where ? place : "", where ? ")" : "");
    return wrote < 0 ? 0 : (uint64_t)wrote < cap ? (uint64_t)wrote : cap - 1;
}
