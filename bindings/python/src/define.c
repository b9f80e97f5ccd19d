/* define.c: a remote function with its options, from a dict that Python has checked, to the core. */
#include "mrpy.h"

typedef struct defining {
    mr_func_def def;
    mr_need needs[MR_RES_MAX], living[MR_RES_MAX];
    mr_pair labels[MR_RES_MAX];
    mr_condition conditions[MR_RES_MAX];
    uint16_t lanes[MRPY_LANES_MAX];
} defining;

/* Borrowed value of a key; NULL without an exception when it is absent or None. */
static PyObject *look(PyObject *dict, const char *key)
{
    PyObject *v = PyDict_GetItemString(dict, key);
    return v == Py_None ? NULL : v;
}

static int number(PyObject *dict, const char *key, int64_t *out)
{
    PyObject *v = look(dict, key);
    if (!v)
        return 0;
    long long n = PyLong_AsLongLong(v);
    if (n == -1 && PyErr_Occurred())
        return -1;
    *out = n;
    return 0;
}

static int number32(PyObject *dict, const char *key, int32_t *out)
{
    int64_t n = *out;
    if (number(dict, key, &n))
        return -1;
    if (n < INT32_MIN || n > INT32_MAX) {
        PyErr_Format(PyExc_OverflowError, "%s is out of range", key);
        return -1;
    }
    *out = (int32_t)n;
    return 0;
}

static int text(PyObject *dict, const char *key, const char **out)
{
    PyObject *v = look(dict, key);
    if (!v)
        return 0;
    const char *t = PyUnicode_AsUTF8(v);
    if (!t)
        return -1;
    *out = t;
    return 0;
}

/* list of (name, amount); -1 entries: absent */
static int amounts(PyObject *dict, const char *key, mr_need *out, int32_t *n)
{
    PyObject *list = look(dict, key);
    *n = -1;
    if (!list)
        return 0;
    if (!PyList_Check(list) || PyList_GET_SIZE(list) > MR_RES_MAX) {
        PyErr_Format(PyExc_ValueError, "%s must be a list of at most %d resources", key, MR_RES_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        long long amount;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "sL", &out[i].name, &amount))
            return -1;
        out[i].amount = amount;
    }
    *n = (int32_t)PyList_GET_SIZE(list);
    return 0;
}

static int pairs(PyObject *dict, const char *key, mr_pair *out, int32_t *n)
{
    PyObject *list = look(dict, key);
    *n = 0;
    if (!list)
        return 0;
    if (!PyList_Check(list) || PyList_GET_SIZE(list) > MR_RES_MAX) {
        PyErr_Format(PyExc_ValueError, "%s must be a list of at most %d pairs", key, MR_RES_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "ss", &out[i].key, &out[i].value))
            return -1;
    *n = (int32_t)PyList_GET_SIZE(list);
    return 0;
}

/* list of (key, value, op, soft) */
static int conditions(PyObject *dict, mr_condition *out, int32_t *n)
{
    PyObject *list = look(dict, "conditions");
    *n = 0;
    if (!list)
        return 0;
    if (!PyList_Check(list) || PyList_GET_SIZE(list) > MR_RES_MAX) {
        PyErr_Format(PyExc_ValueError, "at most %d conditions on labels", MR_RES_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        int soft;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "ssip", &out[i].key, &out[i].value, &out[i].op, &soft))
            return -1;
        out[i].soft = soft;
    }
    *n = (int32_t)PyList_GET_SIZE(list);
    return 0;
}

/* list of sizes */
static int lanes(PyObject *dict, defining *d)
{
    PyObject *list = look(dict, "lanes");
    Py_ssize_t n = list ? PyList_Size(list) : 0;
    if (n < 0 || n > MRPY_LANES_MAX) {
        if (n > 0)
            PyErr_Format(PyExc_ValueError, "an actor has at most %d concurrency groups", MRPY_LANES_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        long size = PyLong_AsLong(PyList_GET_ITEM(list, i));
        if (size == -1 && PyErr_Occurred())
            return -1;
        d->lanes[i] = (uint16_t)(size > UINT16_MAX ? UINT16_MAX : size);
    }
    d->def.lanes = d->lanes;
    d->def.n_lanes = (int32_t)n;
    return 0;
}

static int fill(mrpy_state *st, PyObject *dict, defining *d)
{
    mr_func_def *f = &d->def;
    int64_t kind = f->kind, flags = 0, env = 0, schedule = f->schedule, node = 0, group = 0;
    PyObject *code = look(dict, "code");
    if (number(dict, "kind", &kind) || number(dict, "flags", &flags) || number(dict, "env", &env) ||
        number(dict, "schedule", &schedule) || number(dict, "node", &node) || text(dict, "name", &f->name) ||
        text(dict, "entry", &f->entry) || text(dict, "user", &f->user) || number32(dict, "n_returns", &f->n_returns) ||
        number32(dict, "max_retries", &f->max_retries) || number32(dict, "max_restarts", &f->max_restarts) ||
        number32(dict, "max_concurrency", &f->max_concurrency) || number32(dict, "max_pending", &f->max_pending) ||
        number32(dict, "max_calls", &f->max_calls) || number32(dict, "priority", &f->priority) ||
        number32(dict, "window", &f->window) || number(dict, "estimate", &f->estimate) ||
        number(dict, "limit", &f->limit) || number(dict, "deadline", &f->deadline) ||
        amounts(dict, "needs", d->needs, &f->n_needs) || amounts(dict, "living", d->living, &f->n_living) ||
        pairs(dict, "labels", d->labels, &f->n_labels) || number(dict, "group", &group) ||
        number32(dict, "bundle", &f->bundle) || number32(dict, "max_running", &f->max_running) ||
        conditions(dict, d->conditions, &f->n_conditions) || number32(dict, "lane", &f->lane) || lanes(dict, d))
        return -1;
    if (code && !(f->code = mrpy_ref_id(st, code, "the code")))
        return -1;
    f->kind = (mr_def_kind)kind;
    f->lang = MR_DEF_PYTHON;
    f->flags = (uint32_t)flags;
    f->env = (uint32_t)env;
    f->schedule = (int)schedule;
    f->node = (uint64_t)node;
    f->needs = d->needs;
    f->living = f->n_living >= 0 ? d->living : NULL;
    if (f->n_living < 0)
        f->n_living = 0;
    f->labels = d->labels;
    f->group = (mr_id)group;
    f->conditions = d->conditions;
    return 0;
}

/* define(dict) -> function number.  Keys: the fields of mr_func_def; code is an ObjectRef. */
PyObject *mrpy_define(PyObject *module, PyObject *dict)
{
    mrpy_state *st = mrpy_state_of(module);
    defining d = {.def = MR_FUNC_DEF_INIT};
    uint32_t func = 0;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "define() takes a dict");
        return NULL;
    }
    mr_session *s = mrpy_need(st);
    if (!s || fill(st, dict, &d))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_define_func(s, &d.def, &func, &err);
    Py_END_ALLOW_THREADS;
    if (status != MR_OK)
        return mrpy_raise(st, status, &err);
    return PyLong_FromUnsignedLong(func);
}
