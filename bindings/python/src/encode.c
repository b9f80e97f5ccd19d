/* encode.c: Python values -> bytes, the fast part.
 *
 * Owns the growing buffers (one kept per thread) and the walk over plain values by exact type.  What the walk refuses
 * goes through plan.c (arrays, pickle).  Lists and dicts that can be reached twice are refused, because only pickle
 * keeps "the same list" the same.  No lock: a buffer belongs to the thread that took it.
 */
#include "mrpy.h"

#include <pthread.h>

static _Thread_local mrpy_enc *active; /* innermost open encoding of this thread */
static _Thread_local mrpy_enc *spare;  /* kept for the next one, till the thread ends */
static _Thread_local bool spare_taken;
static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;

static void enc_free(void *p)
{
    mrpy_enc *e = p;
    if (!e)
        return;
    free(e->data);
    free(e->deps.v);
    free(e->refs.v);
    free(e->own.v);
    free(e);
}

static void make_key(void)
{
    (void)pthread_key_create(&spare_key, enc_free);
}

static mrpy_enc *enc_new(void)
{
    (void)pthread_once(&spare_once, make_key);
    mrpy_enc *e = calloc(1, sizeof(*e));
    if (!e)
        PyErr_NoMemory();
    else if (!spare && pthread_setspecific(spare_key, e) == 0)
        spare = e;
    return e;
}

/* Encoding may run user code (__reduce__) that encodes again: the spare is taken, so the inner one gets its own. */
mrpy_enc *mrpy_enc_begin(mrpy_state *st)
{
    mrpy_enc *e = spare && !spare_taken ? spare : enc_new();
    if (!e)
        return NULL;
    spare_taken |= e == spare;
    e->len = 0;
    e->deps.n = e->refs.n = e->own.n = 0;
    e->st = st;
    e->outer = active;
    active = e;
    return e;
}

void mrpy_enc_end(mrpy_enc *e)
{
    if (!e)
        return;
    active = e->outer;
    if (e != spare) {
        enc_free(e);
        return;
    }
    spare_taken = false;
    if (e->cap > (1u << 20)) {
        free(e->data);
        e->data = NULL;
        e->cap = 0;
    }
}

mrpy_enc *mrpy_enc_active(void)
{
    return active;
}

int mrpy_ids_add(mrpy_ids *ids, mr_id id)
{
    if (ids->n == ids->cap) {
        uint32_t cap = ids->cap ? ids->cap * 2 : 16;
        mr_id *v = realloc(ids->v, cap * sizeof(*v));
        if (!v) {
            PyErr_NoMemory();
            return -1;
        }
        ids->v = v;
        ids->cap = cap;
    }
    ids->v[ids->n++] = id;
    return 0;
}

int mrpy_enc_grow(mrpy_enc *e, size_t more)
{
    size_t cap = e->cap ? e->cap : 1024;
    if (e->cap - e->len >= more)
        return 0;
    while (cap - e->len < more)
        cap *= 2;
    char *data = realloc(e->data, cap);
    if (!data) {
        PyErr_NoMemory();
        return -1;
    }
    e->data = data;
    e->cap = cap;
    return 0;
}

static inline void put_u8(mrpy_enc *e, int tag)
{
    e->data[e->len++] = (char)tag;
}

static inline void put_raw(mrpy_enc *e, const void *p, size_t n)
{
    memcpy(e->data + e->len, p, n);
    e->len += n;
}

static int put_tagged(mrpy_enc *e, int tag, const void *p, size_t n)
{
    if (mrpy_enc_grow(e, n + 1))
        return -1;
    put_u8(e, tag);
    put_raw(e, p, n);
    return 1;
}

static int put_text(mrpy_enc *e, int tag, const char *text, Py_ssize_t len)
{
    uint32_t n = (uint32_t)len;
    if (len > (Py_ssize_t)UINT32_MAX)
        return 0;
    if (mrpy_enc_grow(e, 5 + (size_t)len))
        return -1;
    put_u8(e, tag);
    put_raw(e, &n, 4);
    put_raw(e, text, (size_t)len);
    return 1;
}

static int walk(mrpy_enc *e, PyObject *o, int depth, bool shared);

static int walk_sequence(mrpy_enc *e, PyObject *o, int tag, int depth, bool shared)
{
    uint32_t n = (uint32_t)Py_SIZE(o);
    /* A long one is pickled, which writes what repeats only once; references do not repeat. */
    PyObject *first = !n ? NULL : tag == MRPY_TAG_TUPLE ? PyTuple_GET_ITEM(o, 0) : PyList_GET_ITEM(o, 0);
    if (Py_SIZE(o) > (first && Py_TYPE(first) == e->st->ref_type ? MRPY_REFS_MAX : MRPY_ITEMS_MAX))
        return 0;
    if (put_tagged(e, tag, &n, 4) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        PyObject *item = tag == MRPY_TAG_TUPLE ? PyTuple_GET_ITEM(o, i) : PyList_GET_ITEM(o, i);
        int r = walk(e, item, depth + 1, shared);
        if (r <= 0)
            return r;
    }
    return 1;
}

static int walk_dict(mrpy_enc *e, PyObject *o, int depth, bool shared)
{
    uint32_t n = (uint32_t)PyDict_GET_SIZE(o);
    Py_ssize_t at = 0;
    PyObject *key, *value;
    if (PyDict_GET_SIZE(o) > MRPY_ITEMS_MAX)
        return 0;
    if (put_tagged(e, MRPY_TAG_DICT, &n, 4) < 0)
        return -1;
    while (PyDict_Next(o, &at, &key, &value)) {
        int r = walk(e, key, depth + 1, true);
        if (r > 0)
            r = walk(e, value, depth + 1, shared);
        if (r <= 0)
            return r;
    }
    return 1;
}

static int walk_ref(mrpy_enc *e, PyObject *o)
{
    mrpy_ref *ref = (mrpy_ref *)o;
    uint64_t pair[2] = {ref->session, ref->id};
    if (ref->id && (!mrpy_ref_id(e->st, o, "a reference in the value") || mrpy_ids_add(&e->refs, ref->id)))
        return -1;
    return put_tagged(e, MRPY_TAG_REF, pair, sizeof(pair));
}

static int walk_str(mrpy_enc *e, PyObject *o)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(o, &len);
    if (!text) {
        PyErr_Clear(); /* lone surrogates: pickle can do them */
        return 0;
    }
    return put_text(e, MRPY_TAG_STR, text, len);
}

/* shared: `o` was reached through something that may be reached again, so a list or dict in it may not be copied. */
static int walk(mrpy_enc *e, PyObject *o, int depth, bool shared)
{
    PyTypeObject *type = Py_TYPE(o);
    if (type == &PyLong_Type) {
        int over;
        long long v = PyLong_AsLongLongAndOverflow(o, &over);
        return over ? 0 : put_tagged(e, MRPY_TAG_INT, &v, 8);
    }
    if (type == &PyUnicode_Type)
        return walk_str(e, o);
    if (type == &PyFloat_Type) {
        double v = PyFloat_AS_DOUBLE(o);
        return put_tagged(e, MRPY_TAG_FLOAT, &v, 8);
    }
    if (o == Py_None || o == Py_True || o == Py_False)
        return put_tagged(e, o == Py_None ? MRPY_TAG_NONE : o == Py_True ? MRPY_TAG_TRUE : MRPY_TAG_FALSE, "", 0);
    if (type == &PyBytes_Type)
        return put_text(e, MRPY_TAG_BYTES, PyBytes_AS_STRING(o), PyBytes_GET_SIZE(o));
    if (type == e->st->ref_type)
        return walk_ref(e, o);
    if (depth > MRPY_DEPTH_MAX)
        return 0;
    bool again = shared || (depth > 0 && Py_REFCNT(o) > 1);
    if (type == &PyTuple_Type)
        return walk_sequence(e, o, MRPY_TAG_TUPLE, depth, again);
    if (type != &PyList_Type && type != &PyDict_Type)
        return 0;
    if (again)
        return 0;
    return type == &PyList_Type ? walk_sequence(e, o, MRPY_TAG_LIST, depth, false) : walk_dict(e, o, depth, false);
}

int mrpy_enc_fast(mrpy_enc *e, PyObject *o)
{
    size_t len = e->len;
    uint32_t n_refs = e->refs.n;
    int r = walk(e, o, 0, false);
    if (r <= 0) {
        e->len = len;
        e->refs.n = n_refs;
    }
    return r;
}

size_t mrpy_enc_tiny(PyObject *o, char out[MRPY_TINY])
{
    PyTypeObject *type = Py_TYPE(o);
    int over = 0;
    if (o == Py_None || o == Py_True || o == Py_False) {
        out[0] = o == Py_None ? MRPY_TAG_NONE : o == Py_True ? MRPY_TAG_TRUE : MRPY_TAG_FALSE;
        return 1;
    }
    if (type == &PyLong_Type) {
        long long v = PyLong_AsLongLongAndOverflow(o, &over);
        out[0] = MRPY_TAG_INT;
        memcpy(out + 1, &v, 8);
        return over ? 0 : 9;
    }
    if (type != &PyFloat_Type)
        return 0;
    double v = PyFloat_AS_DOUBLE(o);
    out[0] = MRPY_TAG_FLOAT;
    memcpy(out + 1, &v, 8);
    return 9;
}

static int put_dep(mrpy_enc *e, mr_id id)
{
    uint32_t number = e->deps.n;
    if (mrpy_ids_add(&e->deps, id))
        return -1;
    return put_tagged(e, MRPY_TAG_DEP, &number, 4) < 0 ? -1 : 0;
}

/* A value that the walk refused: small ones inline, large ones as an object that the task depends on. */
static int put_planned(mrpy_enc *e, PyObject *o)
{
    mrpy_plan p;
    int result = -1;
    uint64_t head[2];
    if (mrpy_plan_make(e->st, o, &p))
        return -1;
    if (p.total <= MRPY_ARGUMENT_MAX) {
        size_t pad = -(e->len + 1) & 7;
        if (mrpy_enc_grow(e, 1 + pad + sizeof(head) + p.total))
            goto done;
        put_u8(e, MRPY_TAG_OBJECT);
        memset(e->data + e->len, 0, pad);
        e->len += pad;
        head[0] = p.format;
        head[1] = p.total;
        put_raw(e, head, sizeof(head));
        mrpy_plan_write(&p, e->data + e->len);
        e->len += p.total;
        for (uint32_t i = 0; p.enc && i < p.enc->refs.n; i++)
            if (mrpy_ids_add(&e->refs, p.enc->refs.v[i]))
                goto done;
        result = 0;
    } else {
        mr_session *s = mrpy_need(e->st);
        if (!s)
            goto done;
        mr_id id = mrpy_put_plan(e->st, s, &p, false);
        if (!id)
            return -1;
        if (mrpy_ids_add(&e->own, id)) {
            mr_decref(s, id);
            return -1;
        }
        return put_dep(e, id);
    }
done:
    mrpy_plan_free(&p);
    return result;
}

static int put_argument(mrpy_enc *e, PyObject *o)
{
    size_t len = e->len;
    uint32_t n_refs = e->refs.n;
    if (Py_TYPE(o) == e->st->ref_type) {
        mr_id id = mrpy_ref_id(e->st, o, "an argument");
        return id ? put_dep(e, id) : -1;
    }
    if (PyBytes_CheckExact(o) && PyBytes_GET_SIZE(o) > MRPY_ARGUMENT_MAX)
        return put_planned(e, o);
    int r = mrpy_enc_fast(e, o);
    if (r > 0 && e->len - len <= MRPY_ARGUMENT_MAX)
        return 0;
    if (r < 0)
        return -1;
    e->len = len;
    e->refs.n = n_refs;
    return put_planned(e, o);
}

int mrpy_enc_args(mrpy_enc *e, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    uint32_t counts[2] = {(uint32_t)n, kwnames ? (uint32_t)PyTuple_GET_SIZE(kwnames) : 0};
    if (!n && !counts[1])
        return 0; /* no bytes: no arguments */
    if (mrpy_enc_grow(e, 64))
        return -1;
    put_raw(e, counts, sizeof(counts));
    for (Py_ssize_t i = 0; i < n; i++)
        if (put_argument(e, args[i]))
            return -1;
    for (uint32_t i = 0; i < counts[1]; i++) {
        int r = walk_str(e, PyTuple_GET_ITEM(kwnames, i));
        if (r == 0)
            PyErr_SetString(PyExc_ValueError, "a keyword with lone surrogates cannot be passed to a task");
        if (r <= 0 || put_argument(e, args[n + i]))
            return -1;
    }
    return 0;
}
