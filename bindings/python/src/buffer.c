/* buffer.c: a read-only stretch of memory as a Python object.  Arrays and memoryviews that were decoded have one as
 * their base.  It is a view of an object, which it keeps in its place, or has a copy of its own, right behind it: then
 * too at a multiple of MRPY_ALIGN, as numerical code likes it.
 */
#include "mrpy.h"

/* Behind it lies a `place`, if it is a view, or its bytes. */
typedef struct mrpy_buffer {
    PyObject_VAR_HEAD const char *data;
    Py_ssize_t len;
    mr_id id; /* of a view; else 0 */
} mrpy_buffer;

typedef struct place {
    uint64_t session;
    uint64_t at, len; /* where in its value the view begins, and how long that is */
    mrpy_buffer *next, **link;
} place;

enum { PY_ALIGN = 8 }; /* of Python's objects, at least */
_Static_assert(sizeof(mrpy_buffer) % PY_ALIGN == 0, "so far a copy may have to be moved: MRPY_ALIGN - PY_ALIGN");

/* With the GIL held. */
static Py_ssize_t views;              /* buffers that hold a reference of the open session */
static mrpy_buffer *by_address[1024]; /* all views, of earlier sessions too; not owned */

Py_ssize_t mrpy_buffer_views(bool forget)
{
    Py_ssize_t n = views;
    if (forget)
        views = 0;
    return n;
}

static uint64_t odd(const void *p, uint64_t align)
{
    return -(uintptr_t)p & (align - 1);
}

static place *place_of(const mrpy_buffer *b)
{
    return (place *)(uintptr_t)(b + 1);
}

static mrpy_buffer **list_of(const void *address)
{
    return &by_address[((uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

static void enter(mrpy_buffer *b)
{
    mrpy_buffer **list = list_of(b->data), *next = *list;
    place_of(b)->next = next;
    place_of(b)->link = list;
    if (next)
        place_of(next)->link = &place_of(b)->next;
    *list = b;
}

static void leave(mrpy_buffer *b)
{
    mrpy_buffer *next = place_of(b)->next;
    *place_of(b)->link = next;
    if (next)
        place_of(next)->link = place_of(b)->link;
}

PyObject *mrpy_buffer_new(mrpy_state *st, const mr_value *v, uint64_t at, uint64_t len, uint64_t align)
{
    const char *data = (const char *)v->data + at;
    /* A few bytes should not keep a page of the store. */
    bool view =
        v->id && len > MRPY_ARGUMENT_MAX && !odd(data, align) && mrpy_session && mr_view(mrpy_session, v->id) == MR_OK;
    uint64_t behind = view ? sizeof(place) : len + (align > PY_ALIGN ? align - PY_ALIGN : 0);
    mrpy_buffer *b = PyObject_NewVar(mrpy_buffer, st->buffer_type, (Py_ssize_t)behind);
    if (!b) {
        if (view)
            mr_release(mrpy_session, v->id);
        return NULL;
    }
    b->id = view ? v->id : 0;
    b->len = (Py_ssize_t)len;
    if (view) {
        b->data = data;
        *place_of(b) = (place){.session = mrpy_session_no, .at = at, .len = v->len};
        enter(b);
        views++;
    } else {
        char *own = (char *)(b + 1);
        b->data = memcpy(own + odd(own, align), data, len);
    }
    return (PyObject *)b;
}

/* Of the session that is open? */
static bool views_now(const mrpy_buffer *b)
{
    return b->id && mrpy_session && place_of(b)->session == mrpy_session_no;
}

/* Is the value that `b` is a view of what the plan would write? */
static bool is_planned(const mrpy_buffer *b, const mrpy_plan *p)
{
    const char *value = b->data - place_of(b)->at;
    uint64_t at = p->head_len;
    if (!views_now(b) || place_of(b)->len != p->total)
        return false;
    for (int i = 0; i < p->n_parts; i++) {
        uint64_t len = (uint64_t)p->parts[i].len;
        const char *there = value + mrpy_plan_next(at);
        if (p->parts[i].buf != there && (len > MRPY_ARGUMENT_MAX || memcmp(p->parts[i].buf, there, len) != 0))
            return false;
        at = mrpy_plan_next(at) + len;
    }
    return memcmp(value, p->head, p->head_len) == 0;
}

mr_id mrpy_buffer_find(const mrpy_plan *p)
{
    for (int i = 0; i < p->n_parts; i++) {
        if (p->parts[i].len <= MRPY_ARGUMENT_MAX) /* no view */
            continue;
        const mrpy_buffer *b = *list_of(p->parts[i].buf);
        while (b && !(b->data == p->parts[i].buf && is_planned(b, p)))
            b = place_of(b)->next;
        return b ? b->id : 0;
    }
    return 0;
}

static void buffer_dealloc(PyObject *o)
{
    mrpy_buffer *b = (mrpy_buffer *)o;
    PyTypeObject *type = Py_TYPE(o);
    if (b->id)
        leave(b);
    if (views_now(b)) {
        views--;
        mr_release(mrpy_session, b->id);
    }
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

/* It travels as a memoryview of it does, which is what comes out. */
static PyObject *buffer_reduce(PyObject *o, PyObject *protocol)
{
    long number = PyLong_AsLong(protocol);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    PyObject *bytes = number < 5 ? PyBytes_FromObject(o) : PyPickleBuffer_FromObject(o);
    return bytes ? Py_BuildValue("O(N)", (PyObject *)&PyMemoryView_Type, bytes) : NULL;
}

static PyMethodDef buffer_methods[] = {
    {"__reduce_ex__", buffer_reduce, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {Py_sq_length, buffer_len},
    {Py_tp_methods, buffer_methods},
    {Py_tp_doc, "Read-only memory of a miniray object; keeps the object alive."},
    {0, NULL},
};
PyType_Spec mrpy_buffer_spec = {
    .name = "miniray._core.Buffer",
    .basicsize = sizeof(mrpy_buffer),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = buffer_slots,
};
