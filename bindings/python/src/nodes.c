/* nodes.c: node_add, node_remove, set_policy and named values for Python; miniray.h does the work.  Holds the GIL
 * except in the calls. */
#include "mrpy.h"

/* [(name, amount in 1/10000 or bytes), ...] -> needs; texts stay owned by the list. */
static int read_needs(PyObject *list, mr_need *out)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        long long amount;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "sL", &out[i].name, &amount))
            return -1;
        out[i].amount = amount;
    }
    return 0;
}

static int read_pairs(PyObject *list, mr_pair *out)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "ss", &out[i].key, &out[i].value))
            return -1;
    return 0;
}

/* node_add(name or None, amounts, labels, store capacity or 0) -> number */
PyObject *mrpy_node_add(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    mr_node_def def = MR_NODE_DEF_INIT;
    PyObject *amounts, *labels, *out = NULL;
    unsigned long long capacity;
    uint32_t number = 0;
    mr_err err = {.status = MR_OK};
    if (!PyArg_ParseTuple(a, "zO!O!K", &def.name, &PyList_Type, &amounts, &PyList_Type, &labels, &capacity))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    mr_need *needs = PyMem_Calloc((size_t)PyList_GET_SIZE(amounts) + 1, sizeof(*needs));
    mr_pair *pairs = PyMem_Calloc((size_t)PyList_GET_SIZE(labels) + 1, sizeof(*pairs));
    if (!needs || !pairs) {
        PyErr_NoMemory();
        goto end;
    }
    if (read_needs(amounts, needs) || read_pairs(labels, pairs))
        goto end;
    def.amounts = needs;
    def.n_amounts = (int32_t)PyList_GET_SIZE(amounts);
    def.labels = pairs;
    def.n_labels = (int32_t)PyList_GET_SIZE(labels);
    def.store_capacity = capacity;
    mr_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_node_add(s, &def, &number, &err);
    Py_END_ALLOW_THREADS;
    out = status ? mrpy_raise(st, status, &err) : PyLong_FromUnsignedLong(number);
end:
    PyMem_Free(needs);
    PyMem_Free(pairs);
    return out;
}

/* node_remove(number) */
PyObject *mrpy_node_remove(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    unsigned int number;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(a, "I", &number))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_node_remove(s, number, &err);
    Py_END_ALLOW_THREADS;
    if (status)
        return mrpy_raise(st, status, &err);
    Py_RETURN_NONE;
}

/* set_policy(bytes) */
PyObject *mrpy_set_policy(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    const char *policy;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(a, "y", &policy))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_set_policy(s, policy, &err);
    Py_END_ALLOW_THREADS;
    if (status)
        return mrpy_raise(st, status, &err);
    Py_RETURN_NONE;
}

static PyObject *named_error(mrpy_state *st, mr_status status, const mr_err *err)
{
    if (status != MR_E_NOTFOUND && status != MR_E_EXISTS)
        return mrpy_raise(st, status, err);
    PyErr_SetString(status == MR_E_NOTFOUND ? PyExc_KeyError : PyExc_ValueError, err->text);
    return NULL;
}

/* save(bytes, ref) */
PyObject *mrpy_save(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    const char *name;
    PyObject *ref;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(a, "yO", &name, &ref))
        return NULL;
    mr_session *s = mrpy_need(st);
    mr_id id = s ? mrpy_ref_id(st, ref, "save()'s argument") : 0;
    if (!id)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    while ((status = mr_save(s, name, id, &err)) == MR_E_INTERRUPTED) {
        Py_BLOCK_THREADS;
        if (PyErr_CheckSignals())
            return NULL;
        Py_UNBLOCK_THREADS;
    }
    Py_END_ALLOW_THREADS;
    if (status)
        return named_error(st, status, &err);
    Py_RETURN_NONE;
}

/* load(bytes) -> ObjectRef */
PyObject *mrpy_load(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    const char *name;
    mr_id id = 0;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(a, "y", &name))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_load(s, name, &id, &err);
    Py_END_ALLOW_THREADS;
    return status ? named_error(st, status, &err) : mrpy_ref_new(st, id);
}

/* unsave(bytes) */
PyObject *mrpy_unsave(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    const char *name;
    mr_err err = {.status = MR_OK};
    if (!PyArg_ParseTuple(a, "y", &name))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    mr_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_unsave(s, name, &err);
    Py_END_ALLOW_THREADS;
    if (status)
        return named_error(st, status, &err);
    Py_RETURN_NONE;
}
