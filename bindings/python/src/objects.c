/* objects.c: get, put, wait and what else is asked of objects.  Waiting is always without the GIL.  In the driver a
 * first look with timeout 0 saves giving it away when everything is there; a worker, for which a look at what it has
 * not is a question to the node, asks at once and gives the GIL away where it waits.
 */
#include "mrpy.h"

typedef struct getting {
    mr_id *ids;
    mr_value *values;
    size_t n;
    uint32_t flags;
    PyObject *keep; /* the references themselves: they hold what is read */
    mr_id one_id;
    mr_value one_value;
} getting;

static int getting_init(getting *g, PyObject *refs, bool list)
{
    *g = (getting){.n = 1, .ids = &g->one_id, .values = &g->one_value, .flags = MR_GET_EARLY | MR_GET_HELD};
    g->keep = list ? PyList_AsTuple(refs) : Py_NewRef(refs);
    if (!g->keep)
        return -1;
    if (list)
        g->n = (size_t)PyTuple_GET_SIZE(g->keep);
    if (g->n > 1) {
        g->ids = PyMem_Malloc(g->n * sizeof(*g->ids));
        g->values = PyMem_Calloc(g->n, sizeof(*g->values));
        if (!g->ids || !g->values) {
            PyMem_Free(g->ids);
            PyMem_Free(g->values);
            Py_DECREF(g->keep);
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

static int getting_ids(getting *g, mrpy_state *st, bool list)
{
    for (size_t i = 0; i < g->n; i++) {
        PyObject *o = list ? PyTuple_GET_ITEM(g->keep, i) : g->keep;
        g->ids[i] = mrpy_ref_id(st, o, list ? "an item of get()'s list" : "get()'s argument");
        if (!g->ids[i])
            return -1;
        if (!((mrpy_ref *)o)->owned)
            g->flags &= ~(uint32_t)MR_GET_HELD; /* it holds nothing itself */
    }
    return 0;
}

/* Gives back what a get filled in. */
static void drop_values(mr_session *s, const getting *g)
{
    for (size_t i = 0; i < g->n && s == mrpy_session; i++)
        if (g->values[i].status == MR_OK && (g->values[i].looked || !(g->flags & MR_GET_HELD)))
            mr_release(s, g->values[i].id);
}

static void getting_fini(getting *g)
{
    if (g->ids != &g->one_id) {
        PyMem_Free(g->ids);
        PyMem_Free(g->values);
    }
    Py_DECREF(g->keep);
}

/* OK, TIMEOUT or another status; -1000: a Python exception.  Values that it filled in are the caller's to drop. */
static int fetch(mr_session *s, getting *g, int64_t left, mr_err *err)
{
    bool asks = mr_is_worker(s);
    int64_t slice = asks ? left : 0, nap = MRPY_NAP; /* first only look: that reads no clock */
    int64_t since = slice > 0 ? mrpy_now() : 0;
    uint32_t more = 0;
    for (;;) {
        mr_status status;
        if (slice == 0 || asks) {
            /* Where a wait follows, it tells of an early error too. */
            uint32_t flags = left && !asks ? g->flags & ~(uint32_t)MR_GET_EARLY : g->flags;
            status = mr_get(s, g->ids, g->n, slice, flags | more, g->values, err);
        } else {
            Py_BEGIN_ALLOW_THREADS;
            status = mr_get(s, g->ids, g->n, slice, g->flags | more, g->values, err);
            Py_END_ALLOW_THREADS;
        }
        bool timeout = status == MR_E_TIMEOUT;
        if (!timeout && status != MR_E_INTERRUPTED)
            return status;
        since = since ? since : mrpy_now();
        more = g->flags & MR_GET_HELD ? MR_GET_MORE : 0;
        if (timeout && left == 0)
            return status;
        if ((slice != 0 || !timeout) && mrpy_interrupted(&left, &since))
            return -1000;
        if (timeout && left == 0)
            return status;
        if (!more)
            drop_values(s, g);
        slice = mrpy_nap(s, left, &nap);
    }
}

static PyObject *value_of(mrpy_state *st, const mr_value *v)
{
    if (v->status != MR_OK)
        return mrpy_raise_status(st, v->status, v->id);
    if (v->error)
        return mrpy_raise_value(st, v);
    return mrpy_decode(st, v);
}

/* The first error in the list, if any, is raised though others may be pending. */
static int raise_early(mrpy_state *st, const getting *g)
{
    for (size_t i = 0; i < g->n; i++) {
        const mr_value *v = &g->values[i];
        if (v->status == MR_E_TIMEOUT || (v->status == MR_OK && !v->error))
            continue;
        (void)value_of(st, v);
        return -1;
    }
    return 0;
}

static PyObject *raise_timeout(mrpy_state *st, size_t n, PyObject *timeout)
{
    mr_err err = {.status = MR_E_TIMEOUT};
    char *text = NULL;
    PyObject *message = PyUnicode_FromFormat("Get timed out: some object(s) not ready. get() of %zu object(s) had %S "
                                             "s; what they wait for: miniray.timeline() or "
                                             "`wait` with a longer timeout.",
                                             n, timeout);
    if (message && (text = (char *)(uintptr_t)PyUnicode_AsUTF8(message)) != NULL)
        PyOS_snprintf(err.text, sizeof(err.text), "%s", text);
    Py_XDECREF(message);
    return PyErr_Occurred() ? NULL : mrpy_raise(st, MR_E_TIMEOUT, &err);
}

static PyObject *get_all(mrpy_state *st, PyObject *refs, PyObject *timeout, bool list)
{
    getting g;
    mr_err err = {.status = MR_OK};
    PyObject *result = NULL;
    mr_session *s = mrpy_need(st);
    int64_t left = mrpy_timeout(timeout, "get");
    if (!s || left == -2 || getting_init(&g, refs, list))
        return NULL;
    size_t n = g.n;
    if (getting_ids(&g, st, list))
        goto done;
    int status = fetch(s, &g, left, &err);
    if (status == MR_E_TIMEOUT)
        raise_timeout(st, n, timeout);
    else if (status != MR_OK && status != -1000)
        mrpy_raise(st, (mr_status)status, &err);
    if (status != MR_OK) {
        /* what it has seen until now */
    } else if (!list) {
        result = value_of(st, &g.values[0]);
    } else if (!raise_early(st, &g)) {
        result = PyList_New((Py_ssize_t)n);
        for (size_t i = 0; result && i < n; i++) {
            PyObject *v = value_of(st, &g.values[i]);
            if (v)
                PyList_SET_ITEM(result, i, v);
            else
                Py_CLEAR(result);
        }
    }
    drop_values(s, &g);
done:
    getting_fini(&g);
    return result;
}

static PyObject *core_get(PyObject *module, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *timeout = Py_None, *refs = n ? args[0] : NULL;
    Py_ssize_t given = n;
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (!PyUnicode_CompareWithASCIIString(name, "timeout")) {
            timeout = args[n + i];
        } else if (!PyUnicode_CompareWithASCIIString(name, "object_refs")) {
            refs = args[n + i];
            given++;
        } else if (PyUnicode_CompareWithASCIIString(name, "_use_object_store") != 0) { /* Ray's; it always is */
            PyErr_Format(PyExc_TypeError, "get() got an unexpected keyword argument %R; it knows timeout (seconds)",
                         name);
            return NULL;
        }
    }
    if (given != 1) {
        PyErr_Format(PyExc_TypeError,
                     "get() takes one ObjectRef or one list of them, %zd were given; timeout= is by keyword", given);
        return NULL;
    }
    if (Py_TYPE(refs) == st->ref_type)
        return get_all(st, refs, timeout, false);
    int stream = PyList_Check(refs) || !st->make_stream ? 0 : PyObject_IsInstance(refs, st->make_stream);
    if (stream)
        return stream < 0 ? NULL : Py_NewRef(refs); /* its items are got one by one */
    if (!PyList_Check(refs)) {
        PyErr_Format(PyExc_ValueError,
                     "Invalid type of object refs, %R, is given. 'object_refs' must either be an ObjectRef or a list "
                     "of ObjectRefs.",
                     (PyObject *)Py_TYPE(refs));
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(refs); i++)
        if (Py_TYPE(PyList_GET_ITEM(refs, i)) != st->ref_type) {
            PyErr_Format(
                PyExc_TypeError,
                "Attempting to call `get` on the value %R, which is not an ray.ObjectRef: item %zd of the list",
                PyList_GET_ITEM(refs, i), i);
            return NULL;
        }
    PyObject *copy = PyList_GetSlice(refs, 0, PyList_GET_SIZE(refs)); /* others may change it while we wait */
    PyObject *result = copy ? (PyList_GET_SIZE(copy) ? get_all(st, copy, timeout, true) : PyList_New(0)) : NULL;
    Py_XDECREF(copy);
    return result;
}

static PyObject *core_put(PyObject *module, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *value = n ? args[0] : NULL;
    Py_ssize_t given = n;
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        bool owner = !PyUnicode_CompareWithASCIIString(name, "_owner");
        if (!PyUnicode_CompareWithASCIIString(name, "value")) {
            value = args[n + i];
            given++;
        } else if (!owner || !Py_IsNone(args[n + i])) {
            PyErr_Format(PyExc_TypeError, "put() got an unexpected keyword argument %R%s", name,
                         owner ? ": objects have no owner here, they live as long as somebody has a reference" : "");
            return NULL;
        }
    }
    if (given != 1) {
        PyErr_Format(PyExc_TypeError, "put() takes one value, %zd were given", given);
        return NULL;
    }
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    if (Py_TYPE(value) == st->ref_type) {
        PyErr_SetString(PyExc_TypeError,
                        "Calling 'put' on an ObjectRef is not allowed. (put([ref]) stores the reference itself)");
        return NULL;
    }
    mr_id id = mrpy_put(st, s, value, false);
    return id ? mrpy_ref_new(st, id) : NULL;
}

/* put_error(tuple) -> ObjectRef whose get raises it */
static PyObject *core_put_error(PyObject *module, PyObject *value)
{
    mrpy_state *st = mrpy_state_of(module);
    mr_session *s = mrpy_need(st);
    mr_id id = s ? mrpy_put(st, s, value, true) : 0;
    return id ? mrpy_ref_new(st, id) : NULL;
}

static int by_id(const void *a, const void *b)
{
    mr_id x = *(const mr_id *)a, y = *(const mr_id *)b;
    return x < y ? -1 : x > y;
}

/* -1 with an exception if one is given twice. */
static int distinct(const mr_id *ids, size_t n)
{
    size_t i = 1;
    while (i < n && ids[i - 1] < ids[i]) /* as they were made */
        i++;
    if (i >= n)
        return 0;
    mr_id *sorted = PyMem_Malloc(n * sizeof(*sorted));
    if (!sorted) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(sorted, ids, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_id);
    for (i = 1; i < n && sorted[i - 1] != sorted[i];)
        i++;
    PyMem_Free(sorted);
    if (i >= n)
        return 0;
    PyErr_SetString(PyExc_ValueError, "Wait requires a list of unique ray_waitables: a reference is given twice.");
    return -1;
}

/* The ids of references and streams. */
static int waited_ids(mrpy_state *st, PyObject *refs, mr_id *ids)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(refs); i++) {
        PyObject *o = PyTuple_GET_ITEM(refs, i), *task = NULL;
        int stream = Py_TYPE(o) == st->ref_type || !st->make_stream ? 0 : PyObject_IsInstance(o, st->make_stream);
        if (stream < 0 || (stream && !(task = PyObject_GetAttrString(o, "_task"))))
            return -1;
        if (!stream && Py_TYPE(o) != st->ref_type) {
            PyErr_Format(PyExc_TypeError,
                         "wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got list containing %R",
                         (PyObject *)Py_TYPE(o));
            return -1;
        }
        ids[i] = mrpy_ref_id(st, task ? task : o, "an item of wait()'s list");
        Py_XDECREF(task);
        if (!ids[i])
            return -1;
    }
    return distinct(ids, (size_t)PyTuple_GET_SIZE(refs));
}

/* ([the first `need` that are ready], [the others]), in order */
static PyObject *waited_pair(PyObject *refs, const bool *ready, Py_ssize_t need)
{
    Py_ssize_t n = PyTuple_GET_SIZE(refs), n_ready = 0, at[2] = {0, 0};
    for (Py_ssize_t i = 0; i < n && n_ready < need; i++)
        n_ready += ready[i];
    PyObject *lists[2] = {PyList_New(n_ready), PyList_New(n - n_ready)};
    for (Py_ssize_t i = 0; lists[0] && lists[1] && i < n; i++) {
        int rest = !ready[i] || at[0] == n_ready;
        PyList_SET_ITEM(lists[rest], at[rest]++, Py_NewRef(PyTuple_GET_ITEM(refs, i)));
    }
    PyObject *pair = lists[0] && lists[1] ? PyTuple_Pack(2, lists[0], lists[1]) : NULL;
    Py_XDECREF(lists[0]);
    Py_XDECREF(lists[1]);
    return pair;
}

/* wait(list, num_returns, timeout) -> (ready, others), in order */
static PyObject *core_wait(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *refs, *timeout, *result = NULL;
    Py_ssize_t need;
    mr_err err = {.status = MR_OK};
    if (!PyArg_ParseTuple(args, "O!nO", &PyList_Type, &refs, &need, &timeout))
        return NULL;
    mr_session *s = mrpy_need(st);
    int64_t left = mrpy_timeout(timeout, "wait"), since = mrpy_now(), nap = MRPY_NAP;
    if (!s || left == -2 || !(refs = PyList_AsTuple(refs))) /* others may change it meanwhile */
        return NULL;
    size_t n = (size_t)PyTuple_GET_SIZE(refs);
    mr_id *ids = PyMem_Malloc((n + 1) * sizeof(*ids));
    bool *ready = PyMem_Malloc((n + 1) * sizeof(*ready));
    if (!ids || !ready) {
        PyErr_NoMemory();
        goto done;
    }
    if (waited_ids(st, refs, ids))
        goto done;
    int64_t slice = mr_is_worker(s) ? left : 0;
    mr_status status = mr_wait(s, ids, n, (size_t)need, slice, ready, &err);
    while (status == MR_E_TIMEOUT || status == MR_E_INTERRUPTED) {
        if ((slice != 0 || status == MR_E_INTERRUPTED) && mrpy_interrupted(&left, &since))
            goto done;
        if (status == MR_E_TIMEOUT && left == 0)
            break;
        slice = mrpy_nap(s, left, &nap);
        Py_BEGIN_ALLOW_THREADS;
        status = mr_wait(s, ids, n, (size_t)need, slice, ready, &err);
        Py_END_ALLOW_THREADS;
    }
    if (status == MR_OK || status == MR_E_TIMEOUT)
        result = waited_pair(refs, ready, need);
    else
        mrpy_raise(st, status, &err);
done:
    PyMem_Free(ids);
    PyMem_Free(ready);
    Py_DECREF(refs);
    return result;
}

static PyObject *core_contains(PyObject *module, PyObject *ref)
{
    mrpy_state *st = mrpy_state_of(module);
    mr_id id = mrpy_ref_id(st, ref, "contains()'s argument");
    return id ? PyBool_FromLong(mr_contains(mrpy_session, id)) : NULL;
}

static PyObject *core_free(PyObject *module, PyObject *refs)
{
    mrpy_state *st = mrpy_state_of(module);
    if (!PyList_Check(refs)) {
        PyErr_SetString(PyExc_TypeError, "free() takes a list of ObjectRefs");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(refs); i++) {
        mr_id id = mrpy_ref_id(st, PyList_GET_ITEM(refs, i), "an item of free()'s list");
        if (!id)
            return NULL;
        mr_status status = mr_free(mrpy_session, &id, 1);
        if (status != MR_OK)
            return mrpy_raise(st, status, NULL);
    }
    Py_RETURN_NONE;
}

static PyObject *core_flush(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    if (mrpy_session)
        mr_flush(mrpy_session);
    Py_RETURN_NONE;
}

/* next_item(task ref, timeout) -> ObjectRef, or None at the end */
static PyObject *core_next_item(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *ref, *timeout;
    if (!PyArg_ParseTuple(args, "OO", &ref, &timeout))
        return NULL;
    mr_id task = mrpy_ref_id(st, ref, "the stream"), item = 0;
    mr_session *s = mrpy_session;
    int64_t left = mrpy_timeout(timeout, "next"), since = mrpy_now(), nap = MRPY_NAP;
    if (!task || left == -2)
        return NULL;
    mr_err err = {.status = MR_OK};
    mr_status status;
    do {
        int64_t slice = mrpy_nap(s, left, &nap);
        Py_BEGIN_ALLOW_THREADS;
        status = mr_stream_next(s, task, slice, &item, &err);
        Py_END_ALLOW_THREADS;
    } while ((status == MR_E_INTERRUPTED || (status == MR_E_TIMEOUT && left != 0)) && !mrpy_interrupted(&left, &since));
    if (PyErr_Occurred())
        return NULL;
    if (status == MR_E_END)
        Py_RETURN_NONE;
    return status == MR_OK ? mrpy_ref_new(st, item) : mrpy_raise(st, status, &err);
}

/* state(what) -> JSON text */
static PyObject *core_state(PyObject *module, PyObject *args)
{
    mrpy_state *st = mrpy_state_of(module);
    const char *what;
    char *json = NULL;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(args, "s", &what))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_state(s, what, &json, &err);
    Py_END_ALLOW_THREADS;
    if (status != MR_OK)
        return mrpy_raise(st, status, &err);
    PyObject *text = PyUnicode_DecodeUTF8(json, (Py_ssize_t)strlen(json), "replace");
    free(json);
    return text;
}

/* decode_plain(format, bytes) -> the value of an encoded one that needs no pickle */
static PyObject *core_decode_plain(PyObject *module, PyObject *args)
{
    unsigned format;
    Py_buffer b;
    PyObject *value = NULL;
    if (!PyArg_ParseTuple(args, "Iy*", &format, &b))
        return NULL;
    const mr_value v = {.format = format, .data = b.buf, .len = (uint64_t)b.len};
    if ((format & 0xff) == MRPY_FORMAT_FAST || (format & 0xff) == MRPY_FORMAT_ERROR)
        value = mrpy_decode(mrpy_state_of(module), &v);
    else
        PyErr_Format(PyExc_ValueError, "a value of format %u is not plain", format);
    PyBuffer_Release(&b);
    return value;
}

PyMethodDef mrpy_object_methods[] = {
    {"get", (PyCFunction)(void (*)(void))core_get, METH_FASTCALL | METH_KEYWORDS,
     "get(object_refs, *, timeout=None)\n--\n\n"
     "The value of a reference, or the list of values of a list of references; waits until they are there.\n\n"
     "timeout: seconds; None waits for ever, 0 only looks.  A list raises at the first error in it, though others are\n"
     "still pending.  Raises the task's own exception (also a RayTaskError), GetTimeoutError, ObjectLostError and\n"
     "others of miniray.exceptions.\n\n"
     "Arrays, memoryviews, Arrow's buffers and whatever else pickles by protocol 5 are read-only views of the object\n"
     "store, and begin at multiples of 64 bytes (at most 8 KB: a copy that does too).  bytes, bytearray and\n"
     "array.array own their memory in Python, and are copies."},
    {"put", (PyCFunction)(void (*)(void))core_put, METH_FASTCALL | METH_KEYWORDS,
     "put(value)\n--\n\nStores a value in the object store and returns a reference to it.\n\n"
     "A value made of all the views that `get` gave of an object (its array, its memoryview, its data frame) is not\n"
     "stored again: what comes back is one more reference to that object.  A part is copied, since it would keep all\n"
     "of the object in memory.\n\n"
     "Raises ObjectStoreFullError, and TypeError for what cannot be pickled or is itself a reference."},
    {"put_error", core_put_error, METH_O, NULL},
    {"wait", core_wait, METH_VARARGS, NULL},
    {"contains", core_contains, METH_O, "Is the object there (now, in this session)?"},
    {"free", core_free, METH_O, NULL},
    {"flush", core_flush, METH_NOARGS, "Tells the node now which references were given up."},
    {"next_item", core_next_item, METH_VARARGS, NULL},
    {"state", core_state, METH_VARARGS, NULL},
    {"decode_plain", core_decode_plain, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
