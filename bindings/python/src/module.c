/* module.c: the module itself, the session word, opening and closing.
 *
 * mrpy_session is the one process-wide thing: signals, forks and deallocation have no module at hand.  It is changed
 * with the GIL held.  A forked child has none: dropping references there is silent, everything else says why it cannot
 * work.
 */
#include "mrpy.h"

#include <pthread.h>

mr_session *mrpy_session;
uint64_t mrpy_session_no;
static mr_session *ending; /* between finish and close */
static bool forked;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static struct PyModuleDef module_def;

static void in_child(void)
{
    if (mrpy_session || ending)
        forked = true;
    mrpy_session = ending = NULL;
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

mrpy_state *mrpy_state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

mrpy_state *mrpy_state_of_type(PyTypeObject *type)
{
    for (; type; type = type->tp_base) {
        PyObject *module = PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ? PyType_GetModule(type) : NULL;
        if (module && PyModule_GetDef(module) == &module_def)
            return PyModule_GetState(module);
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_RuntimeError, "miniray._core is gone (interpreter is ending)");
    return NULL;
}

mr_session *mrpy_need(mrpy_state *st)
{
    if (mrpy_session)
        return mrpy_session;
    if (forked)
        return (mr_session *)mrpy_raise(st, MR_E_FORKED, NULL);
    if (!st->auto_init) {
        PyErr_SetString(PyExc_RuntimeError, "no miniray session is open: call miniray.init()");
        return NULL;
    }
    PyObject *r = PyObject_CallNoArgs(st->auto_init);
    Py_XDECREF(r);
    if (r && !mrpy_session)
        PyErr_SetString(PyExc_RuntimeError, "no miniray session is open: call miniray.init()");
    return r ? mrpy_session : NULL;
}

typedef struct opening {
    mr_open_args args;
    mr_override *overrides;
    const char **zygote;
} opening;

static void opening_fini(opening *o)
{
    PyMem_Free(o->overrides);
    PyMem_Free(o->zygote);
}

/* overrides: list of (section, key, value, where); zygote: list of str.  Texts stay owned by the lists. */
static int opening_init(opening *o, PyObject *overrides, PyObject *zygote)
{
    Py_ssize_t n = PyList_GET_SIZE(overrides), z = PyList_GET_SIZE(zygote);
    o->overrides = PyMem_Calloc((size_t)n + 1, sizeof(*o->overrides));
    o->zygote = PyMem_Calloc((size_t)z + 1, sizeof(*o->zygote));
    if (!o->overrides || !o->zygote) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        mr_override *v = &o->overrides[i];
        if (!PyArg_ParseTuple(PyList_GET_ITEM(overrides, i), "ssss", &v->section, &v->key, &v->value, &v->where))
            return -1;
    }
    for (Py_ssize_t i = 0; i < z; i++)
        if (!(o->zygote[i] = PyUnicode_AsUTF8(PyList_GET_ITEM(zygote, i))))
            return -1;
    o->args.overrides = o->overrides;
    o->args.n_overrides = (size_t)n;
    o->args.zygote = z ? o->zygote : NULL;
    return 0;
}

/* open(config, overrides, home, zygote, prestart, script_dir) -> session number */
static PyObject *core_open(PyObject *module, PyObject *a)
{
    opening o = {.args = MR_OPEN_ARGS_INIT};
    PyObject *overrides, *zygote;
    int prestart;
    mr_session *s = NULL;
    mr_err err = {.status = MR_OK};
    mr_status status;
    if (!PyArg_ParseTuple(a, "zO!zO!pz", &o.args.config, &PyList_Type, &overrides, &o.args.home, &PyList_Type, &zygote,
                          &prestart, &o.args.script_dir))
        return NULL;
    if (mrpy_session) {
        PyErr_SetString(PyExc_RuntimeError, "a session is open in this process");
        return NULL;
    }
    if (forked)
        return mrpy_raise(mrpy_state_of(module), MR_E_FORKED, NULL);
    o.args.prestart = prestart;
    if (opening_init(&o, overrides, zygote)) {
        opening_fini(&o);
        return NULL;
    }
    (void)pthread_once(&fork_once, watch_forks);
    Py_BEGIN_ALLOW_THREADS;
    status = mr_open(&o.args, &s, &err);
    Py_END_ALLOW_THREADS;
    opening_fini(&o);
    if (status != MR_OK)
        return mrpy_raise(mrpy_state_of(module), status, &err);
    mrpy_session = s;
    mrpy_session_no = mr_session_id(s);
    mr_on_full(s, mrpy_on_full);
    mr_on_error(s, mrpy_read_error);
    mrpy_lines_start(module, s);
    return PyLong_FromUnsignedLongLong(mrpy_session_no);
}

/* finish(): ends all processes; output_next() goes on to the last line.  The word is taken away first: references that
 * die from here on, in any thread, must not touch the session. */
static PyObject *core_finish(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mr_session *s = mrpy_session;
    if (!s)
        Py_RETURN_NONE;
    if (mrpy_buffer_views(true))
        mr_keep_views(s);
    mrpy_session = NULL;
    mrpy_session_no = 0;
    ending = s;
    Py_BEGIN_ALLOW_THREADS;
    mr_finish(s);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

/* close(): after finish() */
static PyObject *core_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mr_session *s = ending;
    ending = NULL;
    Py_BEGIN_ALLOW_THREADS;
    mr_close(s);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

static PyObject *session_number(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromUnsignedLongLong(mrpy_session ? mrpy_session_no : 0);
}

static PyObject *is_worker(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mrpy_session && mr_is_worker(mrpy_session));
}

static PyObject *is_forked(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(forked);
}

/* output_next(timeout) -> (pid, is_stderr, name, text), None at the end, False when `timeout` seconds went by */
static PyObject *output_next(PyObject *module, PyObject *timeout)
{
    double seconds = timeout == Py_None ? -1 : PyFloat_AsDouble(timeout);
    int64_t ns = seconds < 0 ? -1 : seconds < 1e9 ? (int64_t)(seconds * 1e9) : (int64_t)1e18;
    if (PyErr_Occurred())
        return NULL;
    mr_session *s = mrpy_session ? mrpy_session : ending;
    mr_output out = {.pid = -1};
    mr_status status;
    if (!s)
        Py_RETURN_NONE;
    do {
        Py_BEGIN_ALLOW_THREADS;
        status = mr_output_next(s, ns, &out);
        Py_END_ALLOW_THREADS;
    } while (status == MR_E_INTERRUPTED);
    if (status == MR_E_TIMEOUT)
        Py_RETURN_FALSE;
    if (status == MR_E_CLOSED || (status == MR_OK && !out.text))
        Py_RETURN_NONE;
    if (status != MR_OK)
        return mrpy_raise(mrpy_state_of(module), status, NULL);
    return Py_BuildValue(
        "(iONN)", (int)out.pid, out.is_stderr ? Py_True : Py_False,
        PyUnicode_DecodeUTF8(out.name ? out.name : "", (Py_ssize_t)strlen(out.name ? out.name : ""), "replace"),
        PyUnicode_DecodeUTF8(out.text, (Py_ssize_t)out.len, "backslashreplace"));
}

/* encoding() -> how many references were met in the value that this thread encodes for miniray; None: it encodes none
 */
static PyObject *encoding(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    const mrpy_enc *e = mrpy_enc_active();
    return e ? PyLong_FromUnsignedLong(e->refs.n) : Py_NewRef(Py_None);
}

static PyObject *rebuild(PyObject *module, PyObject *args)
{
    unsigned long long session, id;
    if (!PyArg_ParseTuple(args, "KK", &session, &id))
        return NULL;
    return mrpy_ref_again(mrpy_state_of(module), session, id);
}

static PyObject *set_hooks(PyObject *module, PyObject *args, PyObject *kwargs)
{
    mrpy_state *st = mrpy_state_of(module);
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (PyTuple_GET_SIZE(args)) {
        PyErr_SetString(PyExc_TypeError, "set_hooks takes keywords only");
        return NULL;
    }
    while (kwargs && PyDict_Next(kwargs, &at, &key, &value)) {
        PyObject **field = NULL;
#define MRPY_HOOK_FIND(name)                                                                                           \
    if (PyUnicode_CompareWithASCIIString(key, #name) == 0)                                                             \
        field = &st->name;
        MRPY_HOOK_MAP(MRPY_HOOK_FIND)
#undef MRPY_HOOK_FIND
        if (!field) {
            PyErr_Format(PyExc_TypeError, "there is no hook %R", key);
            return NULL;
        }
        Py_XSETREF(*field, Py_NewRef(value));
    }
    Py_RETURN_NONE;
}

/* config_json(config, overrides) -> JSON text */
static PyObject *config_json(PyObject *module, PyObject *a)
{
    opening o = {.args = MR_OPEN_ARGS_INIT};
    PyObject *overrides, *none = PyList_New(0);
    char *json = NULL;
    mr_err err = {.status = MR_OK};
    if (!none)
        return NULL;
    bool bad =
        !PyArg_ParseTuple(a, "zO!", &o.args.config, &PyList_Type, &overrides) || opening_init(&o, overrides, none);
    mr_status status = bad ? MR_OK : mr_config_json(o.args.config, o.args.overrides, o.args.n_overrides, &json, &err);
    opening_fini(&o);
    Py_DECREF(none);
    if (bad)
        return NULL;
    if (status != MR_OK)
        return mrpy_raise(mrpy_state_of(module), status, &err);
    PyObject *text = PyUnicode_DecodeUTF8(json, (Py_ssize_t)strlen(json), "replace");
    free(json);
    return text;
}

static PyMethodDef module_methods[] = {
    {"open", core_open, METH_VARARGS, NULL},
    {"finish", core_finish, METH_NOARGS, NULL},
    {"close", core_close, METH_NOARGS, NULL},
    {"session_number", session_number, METH_NOARGS, "Number of the open session, 0: none."},
    {"is_worker", is_worker, METH_NOARGS, NULL},
    {"is_forked", is_forked, METH_NOARGS, NULL},
    {"output_next", output_next, METH_O, NULL},
    {"encoding", encoding, METH_NOARGS, NULL},
    {"noting", mrpy_noting, METH_O, NULL},
    {"_rebuild", rebuild, METH_VARARGS, NULL},
    {"set_hooks", (PyCFunction)(void (*)(void))set_hooks, METH_VARARGS | METH_KEYWORDS, NULL},
    {"define", mrpy_define, METH_O, NULL},
    {"node_add", mrpy_node_add, METH_VARARGS, NULL},
    {"set_policy", mrpy_set_policy, METH_VARARGS, NULL},
    {"save", mrpy_save, METH_VARARGS, NULL},
    {"load", mrpy_load, METH_VARARGS, NULL},
    {"unsave", mrpy_unsave, METH_VARARGS, NULL},
    {"group_make", mrpy_group_make, METH_VARARGS, NULL},
    {"group_remove", mrpy_group_remove, METH_VARARGS, NULL},
    {"group_find", mrpy_group_find, METH_VARARGS, NULL},
    {"group_current", mrpy_group_current, METH_NOARGS, NULL},
    {"node_remove", mrpy_node_remove, METH_VARARGS, NULL},
    {"config_json", config_json, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddObjectRef(module, name, (PyObject *)type))
        Py_CLEAR(type);
    return type;
}

static int add_texts(PyObject *module, mrpy_state *st)
{
    st->s_prepare = PyUnicode_InternFromString("_prepare");
    st->s_check = PyUnicode_InternFromString("_check");
    st->s_dtype = PyUnicode_InternFromString("dtype");
    st->s_str = PyUnicode_InternFromString("str");
    st->s_numpy = PyUnicode_InternFromString("numpy");
    st->s_rebuild = PyObject_GetAttrString(module, "_rebuild");
    st->dtypes = PyDict_New();
    st->dtype_texts = PyDict_New();
    bool all = st->s_prepare && st->s_check && st->s_dtype && st->s_str && st->s_numpy && st->s_rebuild && st->dtypes &&
               st->dtype_texts;
    return all ? 0 : -1;
}

static int add_numbers(PyObject *module)
{
    static const struct {
        const char *name;
        int value;
    } numbers[] = {
#define MRPY_STATUS(name, code, text) {#name, code},
        MR_STATUS_MAP(MRPY_STATUS)
#undef MRPY_STATUS
            {"DEF_TASK", MR_DEF_TASK},
        {"DEF_ACTOR", MR_DEF_ACTOR},
        {"DEF_METHOD", MR_DEF_METHOD},
        {"DEF_ASYNC", MR_DEF_ASYNC},
        {"DEF_STREAMING", MR_DEF_STREAMING},
        {"DEF_DETACHED", MR_DEF_DETACHED},
        {"DEF_RETRY_ERRORS", MR_DEF_RETRY_ERRORS},
        {"DEF_SOFT_NODE", MR_DEF_SOFT_NODE},
        {"DEF_SYSTEM", MR_DEF_SYSTEM},
        {"DEF_CAPTURE", MR_DEF_CAPTURE},
        {"DEF_OWN_PLACE", MR_DEF_OWN_PLACE},
        {"DEF_DYNAMIC", MR_DEF_BINDING},
        {"CALL_TASK", MR_CALL_TASK},
        {"CALL_ACTOR", MR_CALL_ACTOR},
        {"CALL_METHOD", MR_CALL_METHOD},
        {"CALL_LEAVE", MR_CALL_LEAVE},
        {"CALL_COLLECT", MR_CALL_COLLECT},
        {"CALL_FORGET", MR_CALL_FORGET},
        {"CALL_CANCEL", MR_CALL_CANCEL},
        {"SCHEDULE_DEFAULT", MR_SCHEDULE_DEFAULT},
        {"SCHEDULE_SPREAD", MR_SCHEDULE_SPREAD},
        {"SCHEDULE_NODE", MR_SCHEDULE_NODE},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (PyModule_AddIntConstant(module, numbers[i].name, numbers[i].value))
            return -1;
    return 0;
}

static int module_exec(PyObject *module)
{
    mrpy_state *st = mrpy_state_of(module);
    PyMethodDef *tables[] = {mrpy_object_methods, mrpy_task_methods, mrpy_actor_methods, mrpy_worker_methods};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (PyModule_AddFunctions(module, tables[i]))
            return -1;
    st->ref_type = add_type(module, &mrpy_ref_spec, "ObjectRef");
    st->buffer_type = add_type(module, &mrpy_buffer_spec, "Buffer");
    st->submitter_type = add_type(module, &mrpy_submitter_spec, "Submitter");
    st->call_type = add_type(module, &mrpy_call_spec, "Call");
    if (!st->ref_type || !st->buffer_type || !st->submitter_type || !st->call_type)
        return -1;
    return add_texts(module, st) || add_numbers(module) ? -1 : 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    mrpy_state *st = mrpy_state_of(module);
#define MRPY_HOOK_VISIT(name) Py_VISIT(st->name);
    MRPY_HOOK_MAP(MRPY_HOOK_VISIT)
#undef MRPY_HOOK_VISIT
    Py_VISIT(st->ref_type);
    Py_VISIT(st->buffer_type);
    Py_VISIT(st->submitter_type);
    Py_VISIT(st->call_type);
    Py_VISIT(st->ndarray);
    Py_VISIT(st->dtype);
    Py_VISIT(st->dtypes);
    Py_VISIT(st->dtype_texts);
    Py_VISIT(st->s_rebuild);
    return 0;
}

static int module_clear(PyObject *module)
{
    mrpy_state *st = mrpy_state_of(module);
#define MRPY_HOOK_CLEAR(name) Py_CLEAR(st->name);
    MRPY_HOOK_MAP(MRPY_HOOK_CLEAR)
#undef MRPY_HOOK_CLEAR
    Py_CLEAR(st->ref_type);
    Py_CLEAR(st->buffer_type);
    Py_CLEAR(st->submitter_type);
    Py_CLEAR(st->call_type);
    Py_CLEAR(st->ndarray);
    Py_CLEAR(st->dtype);
    Py_CLEAR(st->dtypes);
    Py_CLEAR(st->dtype_texts);
    Py_CLEAR(st->s_rebuild);
    Py_CLEAR(st->s_prepare);
    Py_CLEAR(st->s_check);
    Py_CLEAR(st->s_dtype);
    Py_CLEAR(st->s_str);
    Py_CLEAR(st->s_numpy);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};
static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,         .m_name = "miniray._core",   .m_doc = "The C part of miniray.",
    .m_size = sizeof(mrpy_state),  .m_methods = module_methods, .m_slots = module_slots,
    .m_traverse = module_traverse, .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}
