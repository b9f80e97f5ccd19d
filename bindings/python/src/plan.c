/* plan.c: Python values -> objects.  Decides how a value is laid out (plain, array, pickle with buffers), so that the
 * bytes are written once, straight into the store, without the GIL where they are many.  No lock of its own.
 */
#include "mrpy.h"

/* numpy is never imported here: a program that has arrays has imported it. */
static bool find_numpy(mrpy_state *st, PyObject *o)
{
    if (st->ndarray)
        return true;
    if (strcmp(Py_TYPE(o)->tp_name, "numpy.ndarray") != 0)
        return false;
    PyObject *numpy = PyImport_GetModule(st->s_numpy);
    if (!numpy) {
        PyErr_Clear();
        return false;
    }
    st->ndarray = PyObject_GetAttrString(numpy, "ndarray");
    st->dtype = PyObject_GetAttrString(numpy, "dtype");
    Py_DECREF(numpy);
    if (!st->ndarray || !st->dtype) {
        PyErr_Clear();
        Py_CLEAR(st->ndarray);
        Py_CLEAR(st->dtype);
    }
    return st->ndarray != NULL;
}

/* Text of a dtype that the native path takes (numbers and bools in this machine's byte order), or NULL. Borrowed. */
static PyObject *plain_dtype(mrpy_state *st, PyObject *dtype)
{
    PyObject *text = PyDict_GetItemWithError(st->dtype_texts, dtype);
    if (text || PyErr_Occurred())
        return text == Py_None ? NULL : text;
    PyObject *kind = PyObject_GetAttrString(dtype, "isbuiltin");
    bool plain = kind && PyLong_Check(kind) && PyLong_AsLong(kind) == 1;
    Py_XDECREF(kind);
    text = PyObject_GetAttr(dtype, st->s_str);
    if (text && PyUnicode_Check(text)) {
        const char *t = PyUnicode_AsUTF8(text);
        bool native = t && strlen(t) < 16 && (t[0] == '<' || t[0] == '|');
        plain = native && ((plain && strchr("biufc", t[1])) || t[1] == 'M' || t[1] == 'm');
    }
    PyErr_Clear();
    PyObject *meta = PyObject_GetAttrString(dtype, "metadata");
    bool bare = meta == Py_None;
    Py_XDECREF(meta);
    PyErr_Clear();
    if (!bare) { /* equal dtypes may differ in metadata, so it is not remembered */
        Py_XDECREF(text);
        return NULL;
    }
    if (PyDict_SetItem(st->dtype_texts, dtype, plain && text ? text : Py_None) < 0)
        PyErr_Clear();
    Py_XDECREF(text);
    text = PyDict_GetItemWithError(st->dtype_texts, dtype);
    return text == Py_None ? NULL : text;
}

/* Plans the memory of array `o` under the name of a dtype.  1, 0 or -1 as below. */
static int plan_view(PyObject *o, PyObject *text, mrpy_plan *p)
{
    Py_buffer *view = PyMem_Calloc(1, sizeof(*view));
    if (!view) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(o, view, PyBUF_STRIDED_RO)) {
        PyMem_Free(view);
        PyErr_Clear();
        return 0;
    }
    bool c_order = PyBuffer_IsContiguous(view, 'C'), f_order = !c_order && PyBuffer_IsContiguous(view, 'F');
    if (!c_order && !f_order) { /* pickle would put it in line, and it would come back writable */
        PyBuffer_Release(view);
        PyMem_Free(view);
        PyObject *copy = PyObject_CallMethod(o, "copy", NULL);
        int r = copy ? plan_view(copy, text, p) : -1;
        Py_XDECREF(copy); /* the view of it keeps it */
        return r;
    }
    size_t head_len = sizeof(mrpy_array_head) + sizeof(int64_t) * (size_t)view->ndim;
    mrpy_enc *e = p->enc;
    e->len = 0;
    if (mrpy_enc_grow(e, head_len)) {
        PyBuffer_Release(view);
        PyMem_Free(view);
        return -1;
    }
    mrpy_array_head head = {.ndim = (uint32_t)view->ndim,
                            .fortran = f_order,
                            .bytes = (uint64_t)view->len,
                            .offset = mrpy_plan_next(head_len)};
    strncpy(head.dtype, PyUnicode_AsUTF8(text), sizeof(head.dtype) - 1);
    memcpy(e->data, &head, sizeof(head));
    for (int i = 0; i < view->ndim; i++) {
        int64_t n = view->shape[i];
        memcpy(e->data + sizeof(head) + sizeof(n) * (size_t)i, &n, sizeof(n));
    }
    p->format = MRPY_FORMAT_ARRAY;
    p->head = e->data;
    p->head_len = head_len;
    p->parts = view;
    p->n_parts = 1;
    p->total = head.offset + head.bytes;
    return 1;
}

/* 1: planned, 0: not a plain array, -1: exception. */
static int plan_array(mrpy_state *st, PyObject *o, mrpy_plan *p)
{
    PyObject *dtype = PyObject_GetAttr(o, st->s_dtype);
    PyObject *text = dtype ? plain_dtype(st, dtype) : NULL;
    Py_XDECREF(dtype);
    if (!text)
        return PyErr_Occurred() ? -1 : 0;
    if (strchr("Mm", PyUnicode_AsUTF8(text)[1])) { /* times give no buffers; the numbers in them do */
        PyObject *numbers = PyObject_CallMethod(o, "view", "s", "i8");
        int r = numbers ? plan_view(numbers, text, p) : -1;
        Py_XDECREF(numbers); /* the buffer keeps it */
        return r;
    }
    return plan_view(o, text, p);
}

static int plan_parts(mrpy_plan *p, PyObject *pickle, PyObject *buffers)
{
    Py_ssize_t n = PyList_GET_SIZE(buffers);
    size_t table = sizeof(mrpy_pickle_head) + 16 * (size_t)n;
    uint64_t head_len = table + (uint64_t)PyBytes_GET_SIZE(pickle);
    mrpy_enc *e = p->enc;
    e->len = 0;
    if (mrpy_enc_grow(e, head_len))
        return -1;
    p->parts = n ? PyMem_Calloc((size_t)n, sizeof(*p->parts)) : NULL;
    if (n && !p->parts) {
        PyErr_NoMemory();
        return -1;
    }
    mrpy_pickle_head head = {.n_parts = (uint32_t)n, .pickle_len = (uint64_t)PyBytes_GET_SIZE(pickle)};
    memcpy(e->data, &head, sizeof(head));
    memcpy(e->data + table, PyBytes_AS_STRING(pickle), head.pickle_len);
    p->head = e->data;
    p->head_len = p->total = head_len;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), &p->parts[i], PyBUF_SIMPLE))
            return -1;
        p->n_parts++;
        uint64_t pair[2] = {mrpy_plan_next(p->total), (uint64_t)p->parts[i].len};
        memcpy(e->data + sizeof(head) + 16 * (size_t)i, pair, sizeof(pair));
        p->total = pair[0] + pair[1];
    }
    return 0;
}

static int plan_pickle(mrpy_state *st, PyObject *o, mrpy_plan *p)
{
    PyObject *pair = PyObject_CallOneArg(st->dumps, o);
    if (!pair)
        return -1;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_Check(PyTuple_GET_ITEM(pair, 0)) ||
        !PyList_Check(PyTuple_GET_ITEM(pair, 1))) {
        Py_DECREF(pair);
        PyErr_SetString(PyExc_TypeError, "the dumps hook must return (bytes, list)");
        return -1;
    }
    p->hold = pair;
    p->format = MRPY_FORMAT_PICKLE;
    return plan_parts(p, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
}

/* Fills *p; its encoding stays open (references are noted in it) until mrpy_plan_free. */
int mrpy_plan_make(mrpy_state *st, PyObject *o, mrpy_plan *p)
{
    memset(p, 0, sizeof(*p));
    p->enc = mrpy_enc_begin(st);
    if (!p->enc)
        return -1;
    if (PyBytes_CheckExact(o)) {
        p->format = MR_FORMAT_BYTES;
        p->head = PyBytes_AS_STRING(o);
        p->head_len = p->total = (uint64_t)PyBytes_GET_SIZE(o);
        p->hold = Py_NewRef(o);
        return 0;
    }
    int r = find_numpy(st, o) && (PyObject *)Py_TYPE(o) == st->ndarray ? plan_array(st, o, p) : 0;
    if (r == 0) {
        r = mrpy_enc_fast(p->enc, o);
        if (r > 0) {
            p->format = MRPY_FORMAT_FAST;
            p->head = p->enc->data;
            p->head_len = p->total = p->enc->len;
        }
    }
    if (r == 0)
        r = plan_pickle(st, o, p) ? -1 : 1;
    if (r < 0)
        mrpy_plan_free(p);
    return r < 0 ? -1 : 0;
}

/* May be called without the GIL. */
void mrpy_plan_write(const mrpy_plan *p, void *to)
{
    uint64_t at = p->head_len;
    memcpy(to, p->head, p->head_len);
    for (int i = 0; i < p->n_parts; i++) {
        uint64_t next = mrpy_plan_next(at);
        memset((char *)to + at, 0, next - at);
        mr_copy((char *)to + next, p->parts[i].buf, (uint64_t)p->parts[i].len);
        at = next + (uint64_t)p->parts[i].len;
    }
}

void mrpy_plan_free(mrpy_plan *p)
{
    for (int i = 0; i < p->n_parts; i++)
        PyBuffer_Release(&p->parts[i]);
    PyMem_Free(p->parts);
    Py_XDECREF(p->hold);
    mrpy_enc_end(p->enc);
    memset(p, 0, sizeof(*p));
}

/* The object whose whole value this would be again, since it is made of views of it: its bytes never change, so they
 * are as good as a copy.  One reference more, or 0. */
static mr_id there_already(mr_session *s, const mrpy_plan *p)
{
    mr_id id = mrpy_buffer_find(p);
    if (!id || mr_incref(s, id))
        return 0;
    if (mr_contains(s, id))
        return id;
    mr_decref(s, id); /* freed on request, while it is looked at */
    return 0;
}

mr_id mrpy_put(mrpy_state *st, mr_session *s, PyObject *o, bool error)
{
    mrpy_plan p;
    return mrpy_plan_make(st, o, &p) ? 0 : mrpy_put_plan(st, s, &p, error);
}

mr_id mrpy_put_plan(mrpy_state *st, mr_session *s, mrpy_plan *p, bool error)
{
    mr_err err = {.status = MR_OK};
    mr_status status;
    mr_id id = 0;
    void *data = NULL;
    if (!error && (id = there_already(s, p)) != 0) {
        mrpy_plan_free(p);
        return id;
    }
    if (error)
        p->format = MRPY_FORMAT_ERROR | MR_PUT_ERROR;
    const mr_id *refs = p->enc->refs.v;
    uint32_t n_refs = p->enc->refs.n;
    int64_t left = -1, since = mrpy_now();
again:
    status = p->n_parts ? MR_E_BUSY : mr_put(s, p->format | MR_PUT_NOWAIT, p->head, p->total, refs, n_refs, &id, &err);
    if (status == MR_E_BUSY) {
        /* It may take long: other threads may hold what fills the store, and the node may ask this process to collect
         * its garbage. */
        Py_BEGIN_ALLOW_THREADS;
        status = mr_create(s, p->total, &id, &data, &err);
        if (status == MR_OK) {
            if (p->n_parts)
                mrpy_plan_write(p, data);
            else
                mr_copy(data, p->head, p->head_len);
            status = mr_seal(s, id, p->format, refs, n_refs, &err);
            if (status != MR_OK)
                mr_abort(s, id);
        }
        Py_END_ALLOW_THREADS;
    }
    if (status == MR_E_INTERRUPTED) { /* the node knows for how long already */
        if (!mrpy_interrupted(&left, &since))
            goto again;
        mrpy_plan_free(p);
        return 0;
    }
    mrpy_plan_free(p);
    if (status != MR_OK) {
        mrpy_raise(st, status == MR_E_INTERRUPTED ? MR_E_FULL : status, &err);
        return 0;
    }
    if (__builtin_expect(mrpy_lines, 0))
        mrpy_note_line(id, 1);
    return id;
}
