/* workload_wf.c: reads WfFormat 1.5, the form of the WfInstances collection of measured workflow runs.
 *
 * Taken: tasks with parents, files and their sizes, run times, cores.  A file that a task makes travels to those that
 * read it; a file that none makes lies on node 0.  A parent without a common file is a dependency without bytes.
 * Machines become nodes unless the command line gives others; their speeds are not used, since run times were measured
 * on them.  Knows the form, not the engine.  No state beyond the workload it fills. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/json.h"
#include "engine/sim/workload.h"

/* Names -> numbers of this reading; 0 stands for "not there". */
typedef struct table {
    mr_intern *names;
    const cJSON **v;
    uint64_t *bytes;
    uint32_t cap;
} table;

/* `v`: what is wrong; NULL: something is missing in the file as a whole. */
static mr_status fail(const mr_workload *w, mr_err *err, const cJSON *v, const char *field, const char *what)
{
    mr_json_doc doc = {.text = w->text, .size = w->text_size, .root = w->root, .here = v};
    mr_json_at at = {w->path, 0, err, &doc};
    return mr_json_fail(&at, field, "%s", what);
}

static const cJSON *get(const cJSON *o, const char *a, const char *b)
{
    o = cJSON_GetObjectItemCaseSensitive(o, a);
    return b ? cJSON_GetObjectItemCaseSensitive(o, b) : o;
}

static const char *text(const cJSON *o, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

/* Indexes a list of objects by "id". */
static mr_status index_list(const mr_workload *w, table *t, const cJSON *list, const char *what, mr_err *err)
{
    if (mr_intern_new(&t->names))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    uint32_t n = (uint32_t)cJSON_GetArraySize(list) + 1;
    t->v = calloc(n, sizeof *t->v);
    if (!t->v)
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    t->cap = n;
    for (const cJSON *v = list ? list->child : NULL; v; v = v->next) {
        const char *id = text(v, "id");
        uint32_t number;
        if (!id || !*id)
            return fail(w, err, v, what, "an entry has no \"id\"");
        if (mr_intern_put(t->names, id, strlen(id), &number))
            return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
        t->v[number] = v;
    }
    return MR_OK;
}

static void table_fini(table *t)
{
    mr_intern_free(t->names);
    free(t->v);
}

static const cJSON *find(const table *t, const char *id)
{
    uint32_t number;
    return id && mr_intern_find(t->names, id, strlen(id), &number) == MR_OK && number < t->cap ? t->v[number] : NULL;
}

/* A short name for what a task runs: its program, if that looks like one, else its name without the number behind. */
static void function_name(char *out, size_t size, const cJSON *task, const cJSON *run)
{
    const char *program = cJSON_GetStringValue(get(run, "command", "program")), *name = text(task, "name");
    if (program && *program && strlen(program) < 60 && !strpbrk(program, " \t\n\r'\"")) {
        const char *slash = strrchr(program, '/');
        snprintf(out, size, "%.100s", slash && slash[1] ? slash + 1 : program);
        return;
    }
    name = name ? name : text(task, "id");
    const char *dot = strrchr(name, '.');
    snprintf(out, size, "%.100s", dot && dot[1] ? dot + 1 : name);
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] >= '0' && out[n - 1] <= '9')
        n--;
    if (n > 1 && n < strlen(out) && out[n - 1] == '_')
        out[n - 1] = '\0';
}

static mr_status add_machines(mr_workload *w, const cJSON *machines, mr_err *err)
{
    for (const cJSON *m = machines ? machines->child : NULL; m; m = m->next) {
        const cJSON *cores = get(m, "cpu", "coreCount");
        mr_platform one;
        mr_platform_init(&one);
        cJSON *json = cJSON_CreateObject(), *nodes = cJSON_AddArrayToObject(json, "nodes"),
              *node = cJSON_CreateObject();
        cJSON_AddItemToArray(nodes, node);
        const char *name = text(m, "nodeName");
        char safe[48];
        snprintf(safe, sizeof safe, "%.47s", name && *name ? name : "machine");
        cJSON_AddStringToObject(node, "name", safe);
        cJSON_AddNumberToObject(node, "cpus", cJSON_IsNumber(cores) ? cores->valuedouble : 1);
        mr_err why = {0};
        mr_json_at at = {safe, 0, &why, NULL};
        mr_status status = node ? mr_platform_read(&w->platform, json, &at) : MR_E_NOMEM;
        cJSON_Delete(json);
        if (status)
            return status == MR_E_NOMEM ? status : fail(w, err, m, "execution.machines", why.text);
    }
    return MR_OK;
}

static mr_status add_files(mr_workload *w, const table *files, const cJSON *list, bool output, mr_err *err)
{
    mr_status status = MR_OK;
    for (const cJSON *v = list ? list->child : NULL; !status && v; v = v->next) {
        const char *name = cJSON_GetStringValue(v);
        if (!name || !*name)
            return fail(w, err, v, output ? "outputFiles" : "inputFiles", "an entry is not a file's id");
        const cJSON *size = get(find(files, name), "sizeInBytes", NULL);
        uint64_t bytes = cJSON_IsNumber(size) && size->valuedouble > 0 ? (uint64_t)size->valuedouble : 0;
        status = output ? mr_workload_output(w, name, bytes, 0, err)
                        : mr_workload_input(w, MR_WL_FILE, name, true, bytes, 0, err);
    }
    return status;
}

static mr_status add_task(mr_workload *w, const table *files, const table *runs, const cJSON *task, mr_err *err)
{
    const char *id = text(task, "id");
    char fn[120];
    if (!id || !*id)
        return fail(w, err, task, "specification.tasks", "an entry has no \"id\"");
    const cJSON *run = find(runs, id), *seconds = get(run, "runtimeInSeconds", NULL),
                *cores = get(run, "coreCount", NULL);
    mr_json_doc doc = {.text = w->text, .size = w->text_size, .root = w->root, .here = run ? run : task};
    mr_json_at at = {w->path, 0, err, &doc};
    if (!run || !cJSON_IsNumber(seconds))
        return mr_json_fail(&at, "execution.tasks", "there is no \"runtimeInSeconds\" for the task \"%s\"", id);
    function_name(fn, sizeof fn, task, run);
    mr_status status = mr_workload_task(w, id, fn, 0, err);
    if (!status)
        status = mr_json_seconds(&at, "runtimeInSeconds", seconds, &w->tasks[w->last].duration);
    if (status)
        return status;
    mr_wl_shape shape = {.n_needs = 1};
    snprintf(shape.needs[0].name, sizeof shape.needs[0].name, "CPU");
    shape.needs[0].amount = MR_RES_UNIT;
    if (cJSON_IsNumber(cores) && cores->valuedouble > 0 && cores->valuedouble < 1e6)
        shape.needs[0].amount = (int64_t)(cores->valuedouble * MR_RES_UNIT + 0.5);
    mr_define *d = &shape.def;
    d->n_returns = d->max_concurrency = 1;
    d->max_retries = MR_SIM_RETRIES;
    d->max_pending = d->window = d->bundle = -1;
    d->estimate = d->limit = d->deadline = MR_UNKNOWN;
    snprintf(d->name, sizeof d->name, "%s", fn);
    snprintf(d->entry, sizeof d->entry, "sim");
    if (mr_workload_shape(w, &shape))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    status = add_files(w, files, get(task, "outputFiles", NULL), true, err);
    if (!status)
        status = add_files(w, files, get(task, "inputFiles", NULL), false, err);
    const cJSON *parents = get(task, "parents", NULL);
    for (const cJSON *v = parents ? parents->child : NULL; !status && v; v = v->next) {
        const char *name = cJSON_GetStringValue(v);
        status = name && *name ? mr_workload_input(w, MR_WL_DEP, name, false, 0, 0, err)
                               : fail(w, err, v, "parents", "an entry is not a task's id");
    }
    return status;
}

mr_status mr_workload_read_wf(mr_workload *w, const cJSON *root, mr_err *err)
{
    const cJSON *flow = get(root, "workflow", NULL), *tasks = get(flow, "specification", "tasks");
    const cJSON *execution = get(flow, "execution", NULL), *version = get(root, "schemaVersion", NULL);
    table files = {0}, runs = {0};
    w->root = root;
    if (!cJSON_IsArray(tasks) || !cJSON_IsArray(get(execution, "tasks", NULL)))
        return fail(w, err, flow, "workflow",
                    "expected WfFormat 1.4 or newer: specification.tasks and execution.tasks");
    if (!cJSON_IsString(version) || strncmp(version->valuestring, "1.", 2) != 0)
        return fail(w, err, version, "schemaVersion", "expected \"1.5\"");
    mr_status status = add_machines(w, get(execution, "machines", NULL), err);
    if (!status)
        status = index_list(w, &files, get(flow, "specification", "files"), "specification.files", err);
    if (!status)
        status = index_list(w, &runs, get(execution, "tasks", NULL), "execution.tasks", err);
    for (const cJSON *v = tasks->child; !status && v; v = v->next)
        status = add_task(w, &files, &runs, v, err);
    table_fini(&files);
    table_fini(&runs);
    return status;
}
