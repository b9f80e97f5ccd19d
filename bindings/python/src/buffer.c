/* buffer.c: a read-only stretch of memory as a Python object.  Arrays and memoryviews decoded without a copy have one
 * as their base: it keeps the object that the bytes belong to, and its place in memory.
 */
#include "mrpy.h"

typedef struct mrpy_buffer {
    PyObject_HEAD const void *data;
    Py_ssize_t len;
    mr_id id;
    uint64_t session;
    PyObject *owner;
    uint64_t before; /* bytes of its value that lie before, when all behind them is this; 0: it is another part */
} mrpy_buffer;

static Py_ssize_t views; /* buffers that hold a reference of the open session; with the GIL held */

Py_ssize_t mrpy_buffer_views(bool forget)
{
    Py_ssize_t n = views;
    if (forget)
        views = 0;
    return n;
}

PyObject *mrpy_buffer_new(mrpy_state *st, const void *data, uint64_t len, mr_id id, PyObject *owner)
{
    mrpy_buffer *b = (mrpy_buffer *)st->buffer_type->tp_alloc(st->buffer_type, 0);
    if (!b)
        return NULL;
    b->data = data;
    b->len = (Py_ssize_t)len;
    b->owner = Py_XNewRef(owner);
    if (id && mrpy_session && mr_view(mrpy_session, id) == MR_OK) {
        b->id = id;
        b->session = mrpy_session_no;
        views++;
    }
    return (PyObject *)b;
}

void mrpy_buffer_whole(PyObject *o, uint64_t before)
{
    ((mrpy_buffer *)o)->before = before;
}

mr_id mrpy_buffer_is(mrpy_state *st, PyObject *o, const mrpy_plan *p)
{
    const mrpy_buffer *b = (const mrpy_buffer *)o;
    bool same = Py_TYPE(o) == st->buffer_type && b->id && b->before >= p->head_len && b->session == mrpy_session_no &&
                p->n_parts == 1 && p->parts[0].buf == b->data && p->parts[0].len == b->len &&
                memcmp((const char *)b->data - b->before, p->head, p->head_len) == 0;
    return same ? b->id : 0;
}

static void buffer_dealloc(PyObject *o)
{
    mrpy_buffer *b = (mrpy_buffer *)o;
    PyTypeObject *type = Py_TYPE(o);
    if (b->id && mrpy_session && b->session == mrpy_session_no) {
        views--;
        mr_release(mrpy_session, b->id);
    }
    Py_XDECREF(b->owner);
    type->tp_free(o);
    Py_DECREF(type);
}

static int buffer_get(PyObject *o, Py_buffer *view, int flags)
{
    mrpy_buffer *b = (mrpy_buffer *)o;
    return PyBuffer_FillInfo(view, o, (void *)(uintptr_t)b->data, b->len, 1, flags);
}

static Py_ssize_t buffer_len(PyObject *o)
{
    return ((mrpy_buffer *)o)->len;
}

static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {Py_sq_length, buffer_len},
    {Py_tp_doc, "Read-only memory of a miniray object; keeps the object alive."},
    {0, NULL},
};
PyType_Spec mrpy_buffer_spec = {
    .name = "miniray._core.Buffer",
    .basicsize = sizeof(mrpy_buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = buffer_slots,
};
