/* objectref.c: ObjectRef, one reference of this process to an object.
 *
 * Dropping one is a single mr_decref: no lock, no message, since the collector may run it anywhere.  Pickling one
 * inside an encoding notes it there (the message that carries the bytes carries the id); outside of one nobody counts
 * the copy, so the object is kept until the session ends.
 */
#include "mrpy.h"

#include <structmember.h>
#include <sys/random.h>

bool mrpy_lines;
static char package[MR_NOTE_MAX]; /* the folder of this package: its own lines are not the program's */

void mrpy_lines_start(PyObject *module, mr_session *s)
{
    PyObject *file = (mrpy_lines = mr_explains(s)) ? PyModule_GetFilenameObject(module) : NULL;
    const char *path = file ? PyUnicode_AsUTF8(file) : NULL;
    const char *end = path ? strrchr(path, '/') : NULL;
    PyOS_snprintf(package, sizeof(package), "%.*s", end ? (int)(end + 1 - path) : 0, path ? path : "");
    Py_XDECREF(file);
    PyErr_Clear(); /* built in: then its lines count as the program's */
}

/* "file.py:17" of a frame outside of the package; false: it is inside. */
static bool line_of(PyFrameObject *frame, char *out, size_t n)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *file = PyObject_GetAttrString((PyObject *)code, "co_filename");
    const char *path = file ? PyUnicode_AsUTF8(file) : NULL;
    bool ours = !path || (package[0] && strncmp(path, package, strlen(package)) == 0);
    size_t len = path ? strlen(path) : 0;
    if (!ours) /* of a long one the end tells more */
        PyOS_snprintf(out, n, "%s:%d", len > n - 16 ? path + (len - (n - 16)) : path, PyFrame_GetLineNumber(frame));
    Py_XDECREF(file);
    Py_DECREF(code);
    PyErr_Clear(); /* a name that is no UTF-8 */
    return !ours;
}

void mrpy_note_line(mr_id first, uint32_t n)
{
    char text[MR_NOTE_MAX] = "";
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    while (frame && !line_of(frame, text, sizeof(text))) {
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    if (text[0] && mr_note(mrpy_session, first, n, MR_NOTE_LINE, text))
        return; /* the session has ended, or there is no memory to tell of it */
}

static PyObject *make(mrpy_state *st, uint64_t session, mr_id id, bool owned)
{
    mrpy_ref *ref = (mrpy_ref *)st->ref_type->tp_alloc(st->ref_type, 0);
    if (!ref)
        return NULL;
    ref->weak = NULL;
    ref->id = id;
    ref->session = session;
    ref->owned = owned;
    return (PyObject *)ref;
}

PyObject *mrpy_ref_new(mrpy_state *st, mr_id id)
{
    PyObject *ref = make(st, mrpy_session_no, id, true);
    if (!ref && mrpy_session)
        mr_decref(mrpy_session, id);
    return ref;
}

PyObject *mrpy_ref_again(mrpy_state *st, uint64_t session, mr_id id)
{
    bool ours = mrpy_session && session == mrpy_session_no && mr_incref(mrpy_session, id) == MR_OK;
    PyObject *ref = make(st, session, id, ours);
    if (!ref && ours)
        mr_decref(mrpy_session, id);
    return ref;
}

mr_id mrpy_ref_id(mrpy_state *st, PyObject *o, const char *what)
{
    if (Py_TYPE(o) != st->ref_type) {
        PyErr_Format(PyExc_TypeError, "%s must be an ObjectRef, not %.100s: %.200R", what, Py_TYPE(o)->tp_name, o);
        return 0;
    }
    mrpy_ref *ref = (mrpy_ref *)o;
    if (!mrpy_need(st))
        return 0;
    if (ref->session != mrpy_session_no) {
        mrpy_raise(st, MR_E_SESSION, NULL);
        return 0;
    }
    return ref->id;
}

static void ref_dealloc(PyObject *o)
{
    mrpy_ref *ref = (mrpy_ref *)o;
    PyTypeObject *type = Py_TYPE(o);
    if (ref->weak)
        PyObject_ClearWeakRefs(o);
    if (ref->owned && mrpy_session && ref->session == mrpy_session_no)
        mr_decref(mrpy_session, ref->id);
    type->tp_free(o);
    Py_DECREF(type);
}

static Py_hash_t ref_hash(PyObject *o)
{
    uint64_t h = (((mrpy_ref *)o)->id ^ ((mrpy_ref *)o)->session) * 0x9e3779b97f4a7c15u;
    Py_hash_t r = (Py_hash_t)(h ^ (h >> 32));
    return r == -1 ? -2 : r;
}

static PyObject *ref_compare(PyObject *a, PyObject *b, int op)
{
    if (Py_TYPE(a) != Py_TYPE(b) || (op != Py_EQ && op != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    mrpy_ref *x = (mrpy_ref *)a, *y = (mrpy_ref *)b;
    bool same = x->id == y->id && x->session == y->session;
    return PyBool_FromLong(same == (op == Py_EQ));
}

/* 28 bytes as in Ray: session (8), id (8), zeros; big-endian, so that the hex reads well. */
static void to_bytes(const mrpy_ref *ref, unsigned char b[28])
{
    memset(b, 0, 28);
    for (int i = 0; i < 8; i++) {
        b[i] = (unsigned char)(ref->session >> (56 - 8 * i));
        b[8 + i] = (unsigned char)(ref->id >> (56 - 8 * i));
    }
}

static PyObject *ref_binary(PyObject *o, PyObject *Py_UNUSED(unused))
{
    unsigned char b[28];
    to_bytes((mrpy_ref *)o, b);
    return PyBytes_FromStringAndSize((char *)b, 28);
}

static PyObject *ref_hex(PyObject *o, PyObject *Py_UNUSED(unused))
{
    unsigned char b[28];
    char hex[57];
    to_bytes((mrpy_ref *)o, b);
    for (int i = 0; i < 28; i++)
        PyOS_snprintf(hex + 2 * i, 3, "%02x", b[i]);
    return PyUnicode_FromStringAndSize(hex, 56);
}

static PyObject *ref_repr(PyObject *o)
{
    PyObject *hex = ref_hex(o, NULL), *r = hex ? PyUnicode_FromFormat("ObjectRef(%U)", hex) : NULL;
    Py_XDECREF(hex);
    return r;
}

static PyObject *ref_make(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"id", NULL};
    const unsigned char *b;
    Py_ssize_t n;
    uint64_t session = 0, id = 0;
    mrpy_state *st = mrpy_state_of_type(type);
    if (!st || !PyArg_ParseTupleAndKeywords(args, kwds, "y#:ObjectRef", names, (const char **)&b, &n))
        return NULL;
    if (n != 28) {
        PyErr_Format(PyExc_ValueError, "an ObjectRef has 28 bytes, not %zd", n);
        return NULL;
    }
    for (int i = 0; i < 8; i++) {
        session = session << 8 | b[i];
        id = id << 8 | b[8 + i];
    }
    return make(st, session, id, false);
}

static PyObject *ref_nil(PyObject *type, PyObject *Py_UNUSED(unused))
{
    mrpy_state *st = mrpy_state_of_type((PyTypeObject *)type);
    return st ? make(st, 0, 0, false) : NULL;
}

static PyObject *ref_from_random(PyObject *type, PyObject *Py_UNUSED(unused))
{
    uint64_t to[2] = {0, 0};
    mrpy_state *st = mrpy_state_of_type((PyTypeObject *)type);
    if (!st)
        return NULL;
    if (getrandom(to, sizeof(to), 0) != sizeof(to))
        return PyErr_SetFromErrno(PyExc_OSError);
    return make(st, to[0], to[1] | 1, false);
}

static PyObject *ref_from_binary(PyObject *type, PyObject *bytes)
{
    return PyObject_CallOneArg(type, bytes);
}

static PyObject *ref_from_hex(PyObject *type, PyObject *text)
{
    PyObject *bytes = PyObject_CallMethod((PyObject *)&PyBytes_Type, "fromhex", "O", text);
    PyObject *ref = bytes ? PyObject_CallOneArg(type, bytes) : NULL;
    Py_XDECREF(bytes);
    return ref;
}

static PyObject *ref_size(PyObject *Py_UNUSED(type), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromLong(28);
}

static PyObject *of_ref(PyObject *o, const char *what)
{
    mrpy_state *st = mrpy_state_of_type(Py_TYPE(o));
    return st ? PyObject_CallFunction(st->of_ref, "Os", o, what) : NULL;
}

static PyObject *ref_task_id(PyObject *o, PyObject *Py_UNUSED(unused))
{
    return of_ref(o, "task_id");
}

static PyObject *ref_job_id(PyObject *o, PyObject *Py_UNUSED(unused))
{
    return of_ref(o, "job_id");
}

static PyObject *ref_as_future(PyObject *o, PyObject *Py_UNUSED(unused))
{
    return of_ref(o, "as_future");
}

static PyObject *ref_is_nil(PyObject *o, PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(((mrpy_ref *)o)->id == 0);
}

static PyObject *ref_reduce(PyObject *o, PyObject *Py_UNUSED(unused))
{
    mrpy_ref *ref = (mrpy_ref *)o;
    mrpy_state *st = mrpy_state_of_type(Py_TYPE(o));
    mrpy_enc *e = mrpy_enc_active();
    if (!st)
        return NULL;
    if (e && ref->id && (!mrpy_ref_id(st, o, "a reference in the value") || mrpy_ids_add(&e->refs, ref->id)))
        return NULL;
    if (mrpy_session && ref->session == mrpy_session_no && !e) {
        PyObject *hex = ref_hex(o, NULL);
        PyObject *r = hex && st->escaped ? PyObject_CallOneArg(st->escaped, hex) : NULL;
        Py_XDECREF(hex);
        if (!r)
            return NULL;
        Py_DECREF(r);
        if (mr_incref(mrpy_session, ref->id) != MR_OK)
            return mrpy_raise(st, MR_E_FREED, NULL);
        mr_status noted = mr_note(mrpy_session, ref->id, 1, MR_NOTE_PINNED, NULL);
        if (noted != MR_OK)
            return mrpy_raise(st, noted, NULL);
    }
    return Py_BuildValue("O(KK)", st->s_rebuild, (unsigned long long)ref->session, (unsigned long long)ref->id);
}

PyObject *mrpy_noting(PyObject *module, PyObject *function)
{
    mrpy_state *st = mrpy_state_of(module);
    mrpy_enc *e = mrpy_enc_begin(st);
    PyObject *refs = NULL, *result = e ? PyObject_CallNoArgs(function) : NULL;
    if (result)
        refs = PyTuple_New(e->refs.n);
    for (uint32_t i = 0; refs && i < e->refs.n; i++) {
        PyObject *ref = mrpy_ref_again(st, mrpy_session_no, e->refs.v[i]);
        if (ref)
            PyTuple_SET_ITEM(refs, i, ref);
        else
            Py_CLEAR(refs);
    }
    mrpy_enc_end(e);
    PyObject *pair = refs ? PyTuple_Pack(2, result, refs) : NULL;
    Py_XDECREF(result);
    Py_XDECREF(refs);
    return pair;
}

static PyObject *ref_copy(PyObject *o, PyObject *Py_UNUSED(unused))
{
    return Py_NewRef(o);
}

static PyObject *ref_future(PyObject *o, PyObject *Py_UNUSED(unused))
{
    mrpy_state *st = mrpy_state_of_type(Py_TYPE(o));
    return st ? PyObject_CallOneArg(st->future, o) : NULL;
}

static PyObject *ref_await(PyObject *o)
{
    mrpy_state *st = mrpy_state_of_type(Py_TYPE(o));
    return st ? PyObject_CallOneArg(st->await_ref, o) : NULL;
}

static PyMethodDef ref_methods[] = {
    {"binary", ref_binary, METH_NOARGS, "The reference as 28 bytes."},
    {"hex", ref_hex, METH_NOARGS, "The reference as 56 hexadecimal digits."},
    {"nil", ref_nil, METH_NOARGS | METH_CLASS, "The reference to no object."},
    {"from_random", ref_from_random, METH_NOARGS | METH_CLASS, "A reference that no other equals; it names no object."},
    {"from_binary", ref_from_binary, METH_O | METH_CLASS, "The reference of 28 bytes; it does not keep the object."},
    {"from_hex", ref_from_hex, METH_O | METH_CLASS,
     "The reference of 56 hexadecimal digits; it does not keep the object."},
    {"size", ref_size, METH_NOARGS | METH_CLASS, "28."},
    {"task_id", ref_task_id, METH_NOARGS, "The TaskID of the task that makes the object; of put(): its own."},
    {"job_id", ref_job_id, METH_NOARGS, "The JobID of its session."},
    {"as_future", ref_as_future, METH_NOARGS, "An asyncio.Future of the value, in the running loop."},
    {"is_nil", ref_is_nil, METH_NOARGS, "Is this a reference to no object?"},
    {"future", ref_future, METH_NOARGS, "A concurrent.futures.Future of the value."},
    {"__reduce__", ref_reduce, METH_NOARGS, NULL},
    {"__copy__", ref_copy, METH_NOARGS, NULL},
    {"__deepcopy__", ref_copy, METH_O, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef ref_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(mrpy_ref, weak), READONLY, NULL},
    {"_id", T_ULONGLONG, offsetof(mrpy_ref, id), READONLY, NULL},
    {"_session", T_ULONGLONG, offsetof(mrpy_ref, session), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot ref_slots[] = {
    {Py_tp_new, ref_make},
    {Py_tp_dealloc, ref_dealloc},
    {Py_tp_hash, ref_hash},
    {Py_tp_richcompare, ref_compare},
    {Py_tp_repr, ref_repr},
    {Py_tp_methods, ref_methods},
    {Py_tp_members, ref_members},
    {Py_am_await, ref_await},
    {Py_tp_doc, "A reference to the value of a task or of put(); get() waits for it.  Can be passed to tasks, awaited, "
                "compared and hashed.  ObjectRef(bytes) names an object without keeping it."},
    {0, NULL},
};
PyType_Spec mrpy_ref_spec = {
    .name = "miniray._core.ObjectRef",
    .basicsize = sizeof(mrpy_ref),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ref_slots,
};
