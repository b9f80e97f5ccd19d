/* decode.c: bytes -> Python values.  The bytes come from other processes of the same user, so lengths are checked and a
 * bad one is an exception, never a wild read.  Decoding may run user code (pickle) and re-enter miniray: nothing is
 * held across it but the references that the caller has.
 */
#include "mrpy.h"

typedef struct cursor {
    mrpy_state *st;
    const char *at, *end, *start;
    mr_call *call; /* arguments only */
    uint32_t n_deps;
    int depth;
} cursor;

static PyObject *bad(const char *what)
{
    PyErr_Format(PyExc_ValueError, "malformed miniray value: %s", what);
    return NULL;
}

static bool take(cursor *c, void *to, size_t n)
{
    if ((size_t)(c->end - c->at) < n) {
        bad("it ends too early");
        return false;
    }
    memcpy(to, c->at, n);
    c->at += n;
    return true;
}

static PyObject *one(cursor *c);

static PyObject *sequence(cursor *c, bool tuple, uint32_t n)
{
    if (n > (size_t)(c->end - c->at))
        return bad("more items than bytes");
    PyObject *o = tuple ? PyTuple_New(n) : PyList_New(n);
    for (uint32_t i = 0; o && i < n; i++) {
        PyObject *item = one(c);
        if (!item)
            Py_CLEAR(o);
        else if (tuple)
            PyTuple_SET_ITEM(o, i, item);
        else
            PyList_SET_ITEM(o, i, item);
    }
    return o;
}

static PyObject *mapping(cursor *c, uint32_t n)
{
    PyObject *o = PyDict_New();
    for (uint32_t i = 0; o && i < n; i++) {
        PyObject *key = one(c), *value = key ? one(c) : NULL;
        if (!value || PyDict_SetItem(o, key, value))
            Py_CLEAR(o);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return o;
}

static PyObject *text(cursor *c, bool bytes)
{
    uint32_t n;
    if (!take(c, &n, 4))
        return NULL;
    if (n > (size_t)(c->end - c->at))
        return bad("a text is longer than the value");
    const char *p = c->at;
    c->at += n;
    return bytes ? PyBytes_FromStringAndSize(p, n) : PyUnicode_DecodeUTF8(p, n, NULL);
}

static PyObject *dependency(cursor *c)
{
    uint32_t i;
    mr_value v = {.status = MR_E_INVAL};
    if (!take(c, &i, 4))
        return NULL;
    if (!c->call || i >= c->n_deps)
        return bad("an argument that was not sent");
    mr_status status = mr_call_dep(c->call, i, &v);
    if (status != MR_OK || v.status != MR_OK)
        return mrpy_raise_status(c->st, status != MR_OK ? status : v.status, v.id);
    if (v.error)
        return mrpy_raise_value(c->st, &v);
    return mrpy_decode(c->st, &v);
}

static PyObject *embedded(cursor *c)
{
    uint64_t head[2];
    size_t pad = -(size_t)(c->at - c->start) & 7;
    if ((size_t)(c->end - c->at) < pad)
        return bad("it ends too early");
    c->at += pad;
    if (!take(c, head, sizeof(head)))
        return NULL;
    if (head[1] > (size_t)(c->end - c->at))
        return bad("an argument is longer than all of them");
    const mr_value v = {.format = (uint32_t)head[0], .data = c->at, .len = head[1]};
    c->at += head[1];
    return mrpy_decode(c->st, &v);
}

static PyObject *reference(cursor *c)
{
    uint64_t pair[2];
    return take(c, pair, sizeof(pair)) ? mrpy_ref_again(c->st, pair[0], pair[1]) : NULL;
}

static PyObject *container(cursor *c, char tag)
{
    uint32_t n;
    if (!take(c, &n, 4))
        return NULL;
    if (++c->depth > 4 * MRPY_DEPTH_MAX)
        return bad("it nests too deeply");
    PyObject *o = tag == MRPY_TAG_DICT ? mapping(c, n) : sequence(c, tag == MRPY_TAG_TUPLE, n);
    c->depth--;
    return o;
}

static PyObject *one(cursor *c)
{
    char tag;
    int64_t i;
    double d;
    if (!take(c, &tag, 1))
        return NULL;
    switch (tag) {
    case MRPY_TAG_NONE:
        Py_RETURN_NONE;
    case MRPY_TAG_TRUE:
        Py_RETURN_TRUE;
    case MRPY_TAG_FALSE:
        Py_RETURN_FALSE;
    case MRPY_TAG_INT:
        return take(c, &i, 8) ? PyLong_FromLongLong(i) : NULL;
    case MRPY_TAG_FLOAT:
        return take(c, &d, 8) ? PyFloat_FromDouble(d) : NULL;
    case MRPY_TAG_STR:
    case MRPY_TAG_BYTES:
        return text(c, tag == MRPY_TAG_BYTES);
    case MRPY_TAG_TUPLE:
    case MRPY_TAG_LIST:
    case MRPY_TAG_DICT:
        return container(c, tag);
    case MRPY_TAG_REF:
        return reference(c);
    case MRPY_TAG_DEP:
        return dependency(c);
    case MRPY_TAG_OBJECT:
        return embedded(c);
    default:
        return bad("an unknown tag");
    }
}

/* Its bytes are pointers: no value has such an array, and reading one would follow them anywhere. */
static bool has_pointers(PyObject *dtype)
{
    PyObject *answer = PyObject_GetAttrString(dtype, "hasobject");
    bool yes = answer != Py_False;
    Py_XDECREF(answer);
    if (yes && !PyErr_Occurred())
        bad("an array of Python objects");
    return yes;
}

static PyObject *array_dtype(mrpy_state *st, const char name[16])
{
    if (st->last_dtype && !memcmp(name, st->last_text, sizeof(st->last_text)))
        return Py_NewRef(st->last_dtype);
    if (!st->ndarray) {
        PyObject *numpy = PyImport_ImportModule("numpy");
        if (!numpy)
            return NULL;
        st->ndarray = PyObject_GetAttrString(numpy, "ndarray");
        st->dtype = PyObject_GetAttrString(numpy, "dtype");
        Py_DECREF(numpy);
        if (!st->ndarray || !st->dtype)
            return NULL;
    }
    PyObject *key = PyUnicode_FromString(name);
    PyObject *dtype = key ? Py_XNewRef(PyDict_GetItemWithError(st->dtypes, key)) : NULL;
    if (key && !dtype && !PyErr_Occurred()) {
        dtype = PyObject_CallOneArg(st->dtype, key);
        if (dtype && (has_pointers(dtype) || PyDict_SetItem(st->dtypes, key, dtype)))
            Py_CLEAR(dtype);
    }
    if (dtype) {
        st->last_dtype = dtype;
        memcpy(st->last_text, name, sizeof(st->last_text));
    }
    Py_XDECREF(key);
    return dtype;
}

static PyObject *array(mrpy_state *st, const mr_value *v)
{
    mrpy_array_head h;
    if (v->len < sizeof(h))
        return bad("an array without a head");
    memcpy(&h, v->data, sizeof(h));
    h.dtype[sizeof(h.dtype) - 1] = 0;
    if (h.ndim > 64 || sizeof(h) + 8ull * h.ndim > v->len || h.offset > v->len || h.bytes > v->len - h.offset)
        return bad("an array's head does not fit its bytes");
    PyObject *dtype = array_dtype(st, h.dtype);
    PyObject *shape = dtype ? PyTuple_New(h.ndim) : NULL;
    PyObject *data = shape ? mrpy_buffer_new(st, v, h.offset, h.bytes, MRPY_ALIGN) : NULL;
    PyObject *result = NULL, *zero = data ? PyLong_FromLong(0) : NULL;
    for (uint32_t i = 0; zero && i < h.ndim; i++) {
        int64_t n;
        memcpy(&n, (const char *)v->data + sizeof(h) + 8 * (size_t)i, 8);
        PyObject *item = PyLong_FromLongLong(n);
        if (!item)
            Py_CLEAR(zero);
        else
            PyTuple_SET_ITEM(shape, i, item);
    }
    PyObject *order = zero && h.fortran ? PyUnicode_InternFromString("F") : NULL;
    PyObject *args[] = {shape, dtype, data, zero, Py_None, order};
    if (order || (zero && !h.fortran))
        result = PyObject_Vectorcall(st->ndarray, args, order ? 6 : 3, NULL);
    Py_XDECREF(order);
    Py_XDECREF(zero);
    Py_XDECREF(data);
    Py_XDECREF(shape);
    Py_XDECREF(dtype);
    return result;
}

/* Part i of a pickle, as what a PickleBuffer comes out as. */
static PyObject *part(mrpy_state *st, const mr_value *v, uint32_t i)
{
    uint64_t pair[2];
    memcpy(pair, (const char *)v->data + sizeof(mrpy_pickle_head) + sizeof(pair) * (size_t)i, sizeof(pair));
    if (pair[0] > v->len || pair[1] > v->len - pair[0])
        return bad("a buffer lies outside its value");
    PyObject *bytes = mrpy_buffer_new(st, v, pair[0], pair[1], MRPY_ALIGN);
    PyObject *view = bytes ? PyMemoryView_FromObject(bytes) : NULL;
    Py_XDECREF(bytes);
    return view;
}

/* What is raised says of which value (from Python 3.11 on, which has notes). */
static void note_value(mrpy_state *st, mr_id id)
{
    PyObject *type, *why, *tb;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return;
    PyErr_Fetch(&type, &why, &tb);
    PyErr_NormalizeException(&type, &why, &tb);
    PyObject *ref = id ? mrpy_ref_again(st, mrpy_session_no, id) : NULL;
    PyObject *text = ref ? PyUnicode_FromFormat("(while miniray unpickled the value of %R)", ref)
                         : PyUnicode_FromString("(while miniray unpickled an argument)");
    PyObject *done = text ? PyObject_CallMethod(why, "add_note", "O", text) : NULL;
    PyErr_Clear();
    Py_XDECREF(done);
    Py_XDECREF(text);
    Py_XDECREF(ref);
    PyErr_Restore(type, why, tb);
}

static PyObject *unpickle(mrpy_state *st, const mr_value *v)
{
    mrpy_pickle_head h;
    PyObject *buffers = NULL, *result = NULL;
    if (v->len < sizeof(h))
        return bad("a pickle without a head");
    memcpy(&h, v->data, sizeof(h));
    uint64_t table = sizeof(h) + 16ull * h.n_parts;
    if (table > v->len || h.pickle_len > v->len - table)
        return bad("a pickle's head does not fit its bytes");
    PyObject *bytes = mrpy_buffer_new(st, v, table, h.pickle_len, 1);
    if (bytes && (buffers = PyList_New(h.n_parts)) != NULL) {
        for (uint32_t i = 0; i < h.n_parts; i++) {
            PyObject *view = part(st, v, i);
            if (!view)
                goto done;
            PyList_SET_ITEM(buffers, i, view);
        }
        PyObject *args[] = {bytes, buffers};
        st->n_unpickled++;
        result = PyObject_Vectorcall(st->loads, args, 2, NULL);
        if (!result)
            note_value(st, v->id);
    }
done:
    Py_XDECREF(buffers);
    Py_XDECREF(bytes);
    return result;
}

PyObject *mrpy_decode(mrpy_state *st, const mr_value *v)
{
    cursor c = {.st = st, .at = v->data, .start = v->data, .end = (const char *)v->data + v->len};
    switch (v->format & 0xff) {
    case MR_FORMAT_BYTES:
        return PyBytes_FromStringAndSize(v->data, (Py_ssize_t)v->len);
    case MRPY_FORMAT_FAST:
    case MRPY_FORMAT_ERROR:
        return one(&c);
    case MRPY_FORMAT_PICKLE:
        return unpickle(st, v);
    case MRPY_FORMAT_ARRAY:
        return array(st, v);
    default:
        PyErr_Format(PyExc_ValueError, "a value of format %u was made by another language or version of miniray",
                     v->format);
        return NULL;
    }
}

void mrpy_free_args(PyObject *few[MRPY_FEW], PyObject **v, Py_ssize_t n_pos, PyObject *names)
{
    Py_ssize_t n = n_pos + (names ? PyTuple_GET_SIZE(names) : 0);
    for (Py_ssize_t i = 1; v && i <= n; i++)
        Py_XDECREF(v[i]);
    if (v != few)
        PyMem_Free(v);
    Py_XDECREF(names);
}

int mrpy_decode_args(mrpy_state *st, mr_call *call, const mr_call_info *info, PyObject *few[MRPY_FEW], PyObject ***out,
                     Py_ssize_t *n_pos, PyObject **kwnames)
{
    cursor c = {.st = st,
                .at = info->data,
                .start = info->data,
                .end = (const char *)info->data + info->len,
                .call = call,
                .n_deps = info->n_deps};
    uint32_t n[2] = {0, 0}; /* no bytes: no arguments */
    if (info->len && !take(&c, n, sizeof(n)))
        return -1;
    if ((uint64_t)n[0] + n[1] > info->len) {
        bad("more arguments than bytes");
        return -1;
    }
    size_t all = (size_t)n[0] + n[1], done = 0;
    PyObject **v = all < MRPY_FEW ? few : PyMem_Calloc(all + 1, sizeof(*v)); /* slot 0: room for self */
    PyObject *names = v && n[1] ? PyTuple_New(n[1]) : NULL;
    if (!v || (n[1] && !names)) {
        if (v != few)
            PyMem_Free(v);
        PyErr_NoMemory();
        return -1;
    }
    for (; done < all; done++) {
        v[done + 1] = NULL;
        if (done >= n[0]) {
            PyObject *name = one(&c);
            if (name)
                PyTuple_SET_ITEM(names, done - n[0], name);
            if (!name || (!PyUnicode_Check(name) && (bad("a keyword is no text"), true)))
                goto fail;
            PyUnicode_InternInPlace(&((PyTupleObject *)names)->ob_item[done - n[0]]);
        }
        v[done + 1] = one(&c);
        if (!v[done + 1])
            goto fail;
    }
    *out = v;
    *n_pos = n[0];
    *kwnames = names;
    return 0;
fail:
    for (size_t i = 1; i <= done; i++)
        Py_XDECREF(v[i]);
    if (v != few)
        PyMem_Free(v);
    Py_XDECREF(names);
    return -1;
}
