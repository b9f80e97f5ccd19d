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
        return mrpy_raise(c->st, status != MR_OK ? status : v.status, NULL);
    if (v.error)
        return mrpy_raise_value(c->st, &v);
    return mrpy_decode(c->st, v.format, v.data, v.len, v.id, NULL);
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
    const char *p = c->at;
    c->at += head[1];
    return mrpy_decode(c->st, (uint32_t)head[0], p, head[1], 0, NULL);
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

/* Bytes that outlive the call: a view of the object, or a copy when nothing keeps them. Small ones are always copied: a
 * few bytes should not keep a page of the store. */
static PyObject *hold(mrpy_state *st, const char *p, uint64_t len, mr_id id, PyObject *owner)
{
    if ((id && len > MRPY_ARGUMENT_MAX) || owner)
        return mrpy_buffer_new(st, p, len, id, owner);
    PyObject *copy = PyBytes_FromStringAndSize(p, (Py_ssize_t)len);
    PyObject *b = copy ? mrpy_buffer_new(st, PyBytes_AS_STRING(copy), len, 0, copy) : NULL;
    Py_XDECREF(copy);
    return b;
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

static PyObject *array(mrpy_state *st, const char *p, uint64_t len, mr_id id, PyObject *owner)
{
    mrpy_array_head h;
    if (len < sizeof(h))
        return bad("an array without a head");
    memcpy(&h, p, sizeof(h));
    h.dtype[sizeof(h.dtype) - 1] = 0;
    if (h.ndim > 64 || sizeof(h) + 8ull * h.ndim > len || h.offset > len || h.bytes > len - h.offset)
        return bad("an array's head does not fit its bytes");
    PyObject *dtype = array_dtype(st, h.dtype);
    PyObject *shape = dtype ? PyTuple_New(h.ndim) : NULL;
    PyObject *data = shape ? hold(st, p + h.offset, h.bytes, id, owner) : NULL;
    PyObject *result = NULL, *zero = data ? PyLong_FromLong(0) : NULL;
    if (data && id && !owner)
        mrpy_buffer_whole(data, h.offset);
    for (uint32_t i = 0; zero && i < h.ndim; i++) {
        int64_t n;
        memcpy(&n, p + sizeof(h) + 8 * (size_t)i, 8);
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

static PyObject *unpickle(mrpy_state *st, const char *p, uint64_t len, mr_id id, PyObject *owner)
{
    mrpy_pickle_head h;
    PyObject *buffers = NULL, *result = NULL;
    if (len < sizeof(h))
        return bad("a pickle without a head");
    memcpy(&h, p, sizeof(h));
    uint64_t table = sizeof(h) + 16ull * h.n_parts;
    if (table > len || h.pickle_len > len - table)
        return bad("a pickle's head does not fit its bytes");
    PyObject *bytes = hold(st, p + table, h.pickle_len, id, owner);
    if (bytes && (buffers = PyList_New(h.n_parts)) != NULL) {
        for (uint32_t i = 0; i < h.n_parts; i++) {
            uint64_t pair[2];
            memcpy(pair, p + sizeof(h) + 16 * (size_t)i, 16);
            bool fits = pair[0] <= len && pair[1] <= len - pair[0];
            PyObject *part = fits ? hold(st, p + pair[0], pair[1], id, owner) : bad("a buffer lies outside its value");
            if (!part)
                goto done;
            PyList_SET_ITEM(buffers, i, part);
        }
        PyObject *args[] = {bytes, buffers};
        st->n_unpickled++;
        result = PyObject_Vectorcall(st->loads, args, 2, NULL);
    }
done:
    Py_XDECREF(buffers);
    Py_XDECREF(bytes);
    return result;
}

PyObject *mrpy_decode(mrpy_state *st, uint32_t format, const void *data, uint64_t len, mr_id id, PyObject *owner)
{
    cursor c = {.st = st, .at = data, .start = data, .end = (const char *)data + len};
    switch (format & 0xff) {
    case MR_FORMAT_BYTES:
        return PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
    case MRPY_FORMAT_FAST:
    case MRPY_FORMAT_ERROR:
        return one(&c);
    case MRPY_FORMAT_PICKLE:
        return unpickle(st, data, len, id, owner);
    case MRPY_FORMAT_ARRAY:
        return array(st, data, len, id, owner);
    default:
        PyErr_Format(PyExc_ValueError, "a value of format %u was made by another language or version of miniray",
                     format);
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
