/* workload_jsonl.c: miniray's own workload form, one JSON object a line.
 *
 *     {"platform": {"nodes": [{"name": "a", "cpus": 4}], "bandwidth": 1e9}}               first line, optional
 *     {"table": "gemm", "duration_s": {"cpu": [0.08, 0.09], "gpu": [0.003]}}              see durations.h
 *     {"file": "block1", "bytes": 1000000, "node": "a"}                                   a file from outside
 *     {"id": "map1", "fn": "map", "duration_s": 0.5, "inputs": ["block1"], "outputs": 2000}
 *     {"id": "reduce", "duration_s": 1, "inputs": ["map1"], "deps": ["setup"]}
 *     {"id": "part", "parent": "reduce", "after_s": 0.1, "duration_s": 2}                 see workload_program.c
 *
 * Times are in seconds.  Empty lines and lines that start with '#' are skipped.  Knows the fields, not what becomes of
 * them.  No state beyond the workload it fills. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/durations.h"
#include "engine/sim/json.h"
#include "engine/sim/workload_program.h"

/* One line being read. */
typedef struct line {
    const char *id, *fn, *file, *node, *table;
    uint64_t bytes;
    int64_t arrival, estimate, deadline, limit;
    int32_t max_retries;
    const cJSON *duration, *inputs, *outputs, *deps, *platform;
    const char *user;
    double priority;
    mr_wl_shape shape;
    mr_wl_program program;
    bool early; /* an output with "after_s" */
} line;

static mr_status need(const mr_json_at *at, const char *field, line *l, const char *name, double amount, double unit)
{
    if (l->shape.n_needs == sizeof l->shape.needs / sizeof *l->shape.needs)
        return mr_json_fail(at, field, "more than %zu resources", sizeof l->shape.needs / sizeof *l->shape.needs);
    if (strlen(name) >= sizeof l->shape.needs[0].name)
        return mr_json_fail(at, field, "the name \"%.60s\" is too long", name);
    mr_named *n = &l->shape.needs[l->shape.n_needs];
    memset(n, 0, sizeof *n);
    snprintf(n->name, sizeof n->name, "%s", name);
    n->amount = (int64_t)(amount * unit + 0.5);
    l->shape.n_needs += n->amount > 0;
    return MR_OK;
}

static mr_status units(const mr_json_at *at, const char *field, const cJSON *v, line *l, const char *name)
{
    double x = 0;
    mr_status status = mr_json_number(at, field, v, 0, 1e9, &x);
    return status ? status : need(at, field, l, name, x, MR_RES_UNIT);
}

#define TEXT_FIELD(name, max)                                                                                          \
    static mr_status read_##name(const mr_json_at *at, const char *field, const cJSON *v, void *into)                  \
    {                                                                                                                  \
        return mr_json_text(at, field, v, max, &((line *)into)->name);                                                 \
    }
#define TIME_FIELD(name)                                                                                               \
    static mr_status read_##name(const mr_json_at *at, const char *field, const cJSON *v, void *into)                  \
    {                                                                                                                  \
        return mr_json_seconds(at, field, v, &((line *)into)->name);                                                   \
    }
#define JSON_FIELD(name)                                                                                               \
    static mr_status read_##name(const mr_json_at *at, const char *field, const cJSON *v, void *into)                  \
    {                                                                                                                  \
        (void)at, (void)field;                                                                                         \
        ((line *)into)->name = v;                                                                                      \
        return MR_OK;                                                                                                  \
    }
TEXT_FIELD(id, 200)
TEXT_FIELD(fn, 119)
TEXT_FIELD(file, 400)
TEXT_FIELD(node, 63)
TEXT_FIELD(user, 39)
TIME_FIELD(arrival)
TIME_FIELD(estimate)
TIME_FIELD(deadline)
TIME_FIELD(limit)
JSON_FIELD(inputs)
JSON_FIELD(outputs)
JSON_FIELD(deps)
JSON_FIELD(platform)
JSON_FIELD(duration)
TEXT_FIELD(table, 200)

static mr_status read_bytes(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_count(at, field, v, &((line *)into)->bytes);
}

static mr_status read_priority(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_number(at, field, v, -1e9, 1e9, &((line *)into)->priority);
}

static mr_status read_cpus(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return units(at, field, v, into, "CPU");
}

static mr_status read_gpus(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return units(at, field, v, into, "GPU");
}

static mr_status read_memory(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    uint64_t bytes = 0;
    mr_status status = mr_json_count(at, field, v, &bytes);
    return status ? status : need(at, field, into, "memory", (double)bytes, 1);
}

static mr_status read_resources(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    if (!cJSON_IsObject(v))
        return mr_json_fail(at, field, "expected an object of names and amounts");
    for (const cJSON *one = v->child; one; one = one->next) {
        mr_status status = units(at, field, one, into, one->string);
        if (status)
            return status;
    }
    return MR_OK;
}

static mr_status read_labels(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    mr_wl_shape *s = &((line *)into)->shape;
    return mr_platform_labels(at, field, v, s->labels, sizeof s->labels / sizeof *s->labels, &s->n_labels);
}

/* ["ssd"]: labels that the node must have. */
static mr_status read_requires(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    mr_wl_shape *s = &((line *)into)->shape;
    if (!cJSON_IsArray(v))
        return mr_json_fail(at, field, "expected a list of labels");
    for (const cJSON *one = v->child; one; one = one->next) {
        const char *key;
        mr_status status = mr_json_text(at, field, one, sizeof s->terms->key - 1, &key);
        if (status)
            return status;
        if (s->n_terms == sizeof s->terms / sizeof *s->terms)
            return mr_json_fail(at, field, "more than %u labels", s->n_terms);
        mr_term *t = &s->terms[s->n_terms++];
        memset(t, 0, sizeof *t);
        memcpy(t->key, key, strlen(key));
        t->op = MR_TERM_EXISTS;
    }
    return MR_OK;
}

#define PROGRAM_FIELD(name, read, ...)                                                                                 \
    static mr_status read_##name(const mr_json_at *at, const char *field, const cJSON *v, void *into)                  \
    {                                                                                                                  \
        return read(at, field, v, __VA_ARGS__ & ((line *)into)->program.name);                                         \
    }
PROGRAM_FIELD(on, mr_json_text, 200, )
PROGRAM_FIELD(parent, mr_json_text, 200, )
PROGRAM_FIELD(group, mr_json_number, 0, MR_LANES_MAX, )

static mr_status read_after(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    ((line *)into)->early = true;
    return mr_json_seconds(at, field, v, &((line *)into)->program.after);
}

static mr_status read_actor(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    ((line *)into)->program.actor = v;
    return cJSON_IsObject(v) ? MR_OK : mr_json_fail(at, field, "expected an object such as {\"concurrency\": 1}");
}

static mr_status read_waits(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    ((line *)into)->program.waits = v;
    return cJSON_IsArray(v) ? MR_OK : mr_json_fail(at, field, "expected a list of {\"after_s\", \"for\"}");
}

static mr_status read_fails(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    ((line *)into)->program.fails = v;
    return cJSON_IsArray(v) ? MR_OK : mr_json_fail(at, field, "expected a list of seconds");
}

static mr_status read_driver(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    ((line *)into)->program.driver = cJSON_IsTrue(v);
    return cJSON_IsTrue(v) ? MR_OK : mr_json_fail(at, field, "expected true");
}

static mr_status read_max_running(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    double most = 0;
    mr_status status = mr_json_number(at, field, v, 0, 1e9, &most);
    ((line *)into)->shape.def.max_running = (int32_t)most;
    return status;
}

static mr_status read_max_retries(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    double most = 0;
    mr_status status = mr_json_number(at, field, v, 0, 1e6, &most);
    ((line *)into)->max_retries = (int32_t)most;
    ((line *)into)->program.retries = true;
    return status;
}

static const mr_json_field task_fields[] = {
    {"id", read_id},
    {"fn", read_fn},
    {"arrival_s", read_arrival},
    {"duration_s", read_duration},
    {"inputs", read_inputs},
    {"outputs", read_outputs},
    {"deps", read_deps},
    {"cpus", read_cpus},
    {"gpus", read_gpus},
    {"memory", read_memory},
    {"resources", read_resources},
    {"user", read_user},
    {"priority", read_priority},
    {"estimate_s", read_estimate},
    {"limit_s", read_limit},
    {"deadline_s", read_deadline},
    {"labels", read_labels},
    {"requires", read_requires},
    {"max_running", read_max_running},
    {"max_retries", read_max_retries},
    {"parent", read_parent},
    {"after_s", read_after},
    {"waits", read_waits},
    {"fails_s", read_fails},
    {"actor", read_actor},
    {"on", read_on},
    {"group", read_group},
    {"driver", read_driver},
};
static const mr_json_field file_fields[] = {{"file", read_file}, {"bytes", read_bytes}, {"node", read_node}};
static const mr_json_field ref_fields[] = {{"id", read_id}, {"file", read_file}, {"bytes", read_bytes}};
static const mr_json_field out_fields[] = {
    {"id", read_id}, {"file", read_file}, {"bytes", read_bytes}, {"after_s", read_after}};
static const mr_json_field table_fields[] = {{"table", read_table}, {"duration_s", read_duration}};
static const mr_json_field header_fields[] = {{"platform", read_platform}};
#define FIELDS(table) (table), sizeof(table) / sizeof *(table)

static mr_status add_inputs(const mr_json_at *at, mr_workload *w, const char *field, const cJSON *list, bool deps)
{
    if (!list)
        return MR_OK;
    mr_json_here(at, list);
    if (!cJSON_IsArray(list))
        return mr_json_fail(at, field, "expected a list");
    for (const cJSON *v = list->child; v; v = v->next) {
        mr_status status;
        const char *name;
        mr_json_here(at, v);
        line ref = {0};
        if (cJSON_IsObject(v) && !deps) {
            status = mr_json_read(at, v, FIELDS(ref_fields), &ref);
            if (!status && !ref.id == !ref.file)
                status = mr_json_fail(at, field, "an input has either an \"id\" (a task) or a \"file\"");
            bool sized = cJSON_HasObjectItem(v, "bytes");
            if (!status)
                status = mr_workload_input(w, ref.id ? MR_WL_TASK : MR_WL_FILE, ref.id ? ref.id : ref.file, sized,
                                           ref.bytes, at->line, at->err);
        } else {
            status = mr_json_text(at, field, v, 400, &name);
            if (!status)
                status = mr_workload_input(w, deps ? MR_WL_DEP : MR_WL_ANY, name, false, 0, at->line, at->err);
        }
        if (status)
            return status;
    }
    return MR_OK;
}

static mr_status add_outputs(const mr_json_at *at, mr_workload *w, const cJSON *v)
{
    uint64_t bytes = 0;
    mr_status status = MR_OK;
    if (v && !cJSON_IsArray(v)) {
        status = mr_json_count(at, "outputs", v, &bytes);
        return status ? status : mr_workload_output(w, NULL, bytes, at->line, at->err);
    }
    for (const cJSON *one = v ? v->child : NULL; !status && one; one = one->next) {
        line out = {0};
        status = mr_json_read(at, one, FIELDS(out_fields), &out);
        if (!status && (!out.file || out.id))
            status = mr_json_fail(at, "outputs", "an output is a number of bytes or a list of {\"file\", \"bytes\"}");
        if (!status && out.early && w->stream)
            status = mr_json_fail(at, "outputs", "in a stream results are there when their task ends");
        if (!status)
            status = mr_workload_output(w, out.file, out.bytes, at->line, at->err);
        if (!status && out.early) {
            w->objects[w->tasks[w->last].last_object].early = 1;
            if (mr_workload_point(w, MR_WL_SEALS, out.program.after, w->tasks[w->last].last_object))
                status = mr_err_set(at->err, MR_E_NOMEM, "%s: out of memory", w->path);
        }
    }
    return status;
}

static mr_status add_task(const mr_json_at *at, mr_workload *w, const cJSON *json)
{
    line l = {.max_retries = MR_SIM_RETRIES, .estimate = MR_UNKNOWN, .deadline = MR_UNKNOWN, .limit = MR_UNKNOWN};
    mr_status status = mr_json_read(at, json, FIELDS(task_fields), &l);
    if (!status && (!l.id || !l.duration))
        status = mr_json_fail(at, l.id ? "duration_s" : "id", "missing");
    bool seat = !l.program.on && !l.program.driver; /* a call has that of its actor */
    if (!status && seat && !cJSON_HasObjectItem(json, "cpus"))
        status = need(at, "cpus", &l, "CPU", 1, MR_RES_UNIT);
    if (!status)
        status = mr_workload_task(w, l.id, l.fn ? l.fn : l.id, at->line, at->err);
    if (status)
        return status;
    mr_wl_task *t = &w->tasks[w->last];
    t->arrival = l.arrival;
    t->estimate = l.estimate;
    if ((status = mr_durations_read(at, w, l.duration)))
        return status;
    mr_define *d = &l.shape.def;
    d->kind = MR_FUNC_TASK;
    d->n_returns = 1;
    d->max_concurrency = 1;
    d->max_retries = l.max_retries;
    d->max_pending = d->window = -1;
    d->bundle = -1;
    d->estimate = MR_UNKNOWN;
    d->limit = l.limit;
    d->deadline = l.deadline;
    d->priority = (int32_t)l.priority;
    snprintf(d->name, sizeof d->name, "%.119s", l.fn ? l.fn : l.id);
    /* Costs by class belong to a function, so a task that has its own is a function of its own (of the same name). */
    if (t->first_class != MR_WL_NONE && !w->stream)
        snprintf(d->entry, sizeof d->entry, "sim:%d", at->line);
    else
        snprintf(d->entry, sizeof d->entry, "sim");
    snprintf(d->user, sizeof d->user, "%s", l.user ? l.user : "");
    if ((status = mr_wl_program_shape(at, &l.program, d)))
        return status;
    l.shape.living = l.program.keeps;
    l.shape.n_living = l.program.n_keeps;
    if (mr_workload_shape(w, &l.shape))
        return mr_err_set(at->err, MR_E_NOMEM, "%s: out of memory", w->path);
    if (!status)
        status = add_outputs(at, w, l.outputs);
    if (!status)
        status = add_inputs(at, w, "inputs", l.inputs, false);
    if (!status)
        status = add_inputs(at, w, "deps", l.deps, true);
    return status ? status : mr_wl_program_add(at, w, &l.program);
}

static mr_status add_file(const mr_json_at *at, mr_workload *w, const cJSON *json)
{
    line l = {0};
    mr_status status = mr_json_read(at, json, FIELDS(file_fields), &l);
    uint32_t node = 0;
    if (status)
        return status;
    while (l.node && node < w->platform.n_nodes && strcmp(w->platform.nodes[node].name, l.node) != 0)
        node++;
    mr_json_here(at, cJSON_GetObjectItemCaseSensitive(json, "node"));
    if (l.node && node == w->platform.n_nodes)
        return mr_json_fail(at, "node", "the platform has no node \"%s\"", l.node);
    return mr_workload_file(w, l.file, l.bytes, node, at->line, at->err);
}

static mr_status add_line(const mr_json_at *at, mr_workload *w, const cJSON *json)
{
    if (cJSON_HasObjectItem(json, "platform")) {
        line l = {0};
        mr_status status = mr_json_read(at, json, FIELDS(header_fields), &l);
        if (status)
            return status;
        if (w->n_tasks || w->n_objects || w->platform.n_nodes)
            return mr_json_fail(at, "platform", "must be on the first line");
        return mr_platform_read(&w->platform, l.platform, at);
    }
    if (cJSON_HasObjectItem(json, "table")) {
        line l = {0};
        mr_status status = mr_json_read(at, json, FIELDS(table_fields), &l);
        return status ? status : mr_durations_table(at, w, l.table, l.duration);
    }
    if (cJSON_HasObjectItem(json, "file") && !cJSON_HasObjectItem(json, "id"))
        return add_file(at, w, json);
    return add_task(at, w, json);
}

mr_status mr_workload_read_line(mr_workload *w, const char *text, size_t size, int number, mr_err *err)
{
    mr_json_doc doc = {0};
    mr_json_at at = {w->path, number, err, &doc};
    size_t blank = strspn(text, " \t\r");
    if (blank >= size || text[blank] == '#')
        return MR_OK;
    cJSON *json = NULL;
    mr_status status = mr_json_parse(&at, text, size, &json);
    doc = (mr_json_doc){.text = text, .size = size, .line = number, .root = json, .here = json};
    if (!status)
        status = add_line(&at, w, json);
    cJSON_Delete(json);
    return status;
}

mr_status mr_workload_read_jsonl(mr_workload *w, char *text, size_t size, mr_err *err)
{
    int number = 0;
    for (char *p = text, *end = text + size; p < end;) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        mr_status status = mr_workload_read_line(w, p, n, ++number, err);
        if (status)
            return status;
        p += n + 1;
    }
    return MR_OK;
}
