/* groups.c: placement groups for Python; miniray.h does the work.  Holds the GIL except in the calls. */
#include "mrpy.h"

/* [[(name, amount), ...], ...] -> needs, with an entry without a name after each bundle; texts stay owned by the list.
 */
static mr_need *read_bundles(PyObject *list, int32_t *n)
{
    Py_ssize_t all = 0, at = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        Py_ssize_t size = PyObject_Length(PyList_GET_ITEM(list, i));
        if (size < 0)
            return NULL;
        all += size + 1;
    }
    mr_need *out = PyMem_Calloc((size_t)all + 1, sizeof(*out));
    if (!out)
        return (mr_need *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++, at++) {
        PyObject *one = PyList_GET_ITEM(list, i);
        for (Py_ssize_t k = 0; PyList_Check(one) && k < PyList_GET_SIZE(one); k++, at++) {
            long long amount;
            if (!PyArg_ParseTuple(PyList_GET_ITEM(one, k), "sL", &out[at].name, &amount)) {
                PyMem_Free(out);
                return NULL;
            }
            out[at].amount = amount;
        }
    }
    *n = (int32_t)at;
    return out;
}

/* [(key, value, op) or None: the end of a bundle, ...]; texts stay owned by the list. */
static mr_condition *read_conditions(PyObject *list)
{
    Py_ssize_t n = PyList_GET_SIZE(list);
    mr_condition *out = PyMem_Calloc((size_t)n + 1, sizeof(*out));
    if (!out)
        return (mr_condition *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++)
        if (PyList_GET_ITEM(list, i) != Py_None &&
            !PyArg_ParseTuple(PyList_GET_ITEM(list, i), "ssi", &out[i].key, &out[i].value, &out[i].op)) {
            PyMem_Free(out);
            return NULL;
        }
    return out;
}

/* group_make(bundles, strategy, name, namespace, detached, conditions) -> id */
PyObject *mrpy_group_make(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    mr_group_def def = {0};
    PyObject *bundles, *labels;
    int detached;
    mr_id id = 0;
    mr_err err = {.status = MR_OK};
    if (!PyArg_ParseTuple(a, "O!isspO!", &PyList_Type, &bundles, &def.strategy, &def.name, &def.ns, &detached,
                          &PyList_Type, &labels))
        return NULL;
    mr_session *s = mrpy_need(st);
    mr_need *needs = s ? read_bundles(bundles, &def.n_needs) : NULL;
    mr_condition *conditions = needs ? read_conditions(labels) : NULL;
    if (!conditions) {
        PyMem_Free(needs);
        return NULL;
    }
    def.needs = needs;
    def.conditions = conditions;
    def.n_conditions = (int32_t)PyList_GET_SIZE(labels);
    def.detached = detached;
    mr_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_group_make(s, &def, &id, &err);
    Py_END_ALLOW_THREADS;
    PyMem_Free(needs);
    PyMem_Free(conditions);
    if (status == MR_E_NAME_TAKEN)
        return PyErr_Format(PyExc_ValueError, "%s", err.text);
    return status ? mrpy_raise(st, status, &err) : PyLong_FromUnsignedLongLong(id);
}

/* group_remove(id) */
PyObject *mrpy_group_remove(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    unsigned long long id;
    mr_err err = {.status = MR_OK};
    if (!PyArg_ParseTuple(a, "K", &id))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    mr_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_group_remove(s, id, &err);
    Py_END_ALLOW_THREADS;
    if (status)
        return mrpy_raise(st, status, &err);
    Py_RETURN_NONE;
}

/* group_find(name, namespace) -> id; ValueError: none */
PyObject *mrpy_group_find(PyObject *module, PyObject *a)
{
    mrpy_state *st = mrpy_state_of(module);
    const char *name, *ns;
    mr_id id = 0;
    mr_err err = {.status = MR_OK};
    if (!PyArg_ParseTuple(a, "ss", &name, &ns))
        return NULL;
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    mr_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_group_find(s, name, ns, &id, &err);
    Py_END_ALLOW_THREADS;
    if (status == MR_E_NOTFOUND)
        return PyErr_Format(PyExc_ValueError, "Failed to look up placement group with name: %s", name);
    return status ? mrpy_raise(st, status, &err) : PyLong_FromUnsignedLongLong(id);
}

/* group_current() -> (id of the group of what this thread runs, 0: none; does it capture?) */
PyObject *mrpy_group_current(PyObject *module, PyObject *Py_UNUSED(unused))
{
    mrpy_state *st = mrpy_state_of(module);
    mr_id id = 0;
    bool captures = false;
    mr_err err = {.status = MR_OK};
    mr_session *s = mrpy_need(st);
    if (!s)
        return NULL;
    mr_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = mr_group_current(s, &id, &captures, &err);
    Py_END_ALLOW_THREADS;
    if (status)
        return mrpy_raise(st, status, &err);
    return Py_BuildValue("KO", (unsigned long long)id, captures ? Py_True : Py_False);
}
