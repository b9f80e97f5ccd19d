/* platform.c: reads and makes the machines of a simulated run.  Knows no task and no time.  No lock: plain data. */
#include "engine/sim/platform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/json.h"

void mr_platform_init(mr_platform *p)
{
    memset(p, 0, sizeof *p);
    p->bandwidth = 1000000000;
    p->latency = 100000;
    p->disk = 500000000;
    p->node_repair = MR_UNKNOWN;
}

bool mr_platform_mortal(const mr_platform *p)
{
    bool any = p->node_mtbf > 0 || p->n_failures > 0;
    for (uint32_t i = 0; !any && i < p->n_nodes; i++)
        any = p->nodes[i].mtbf > 0;
    return any;
}

void mr_platform_fini(mr_platform *p)
{
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        free(p->nodes[i].amounts);
        free(p->nodes[i].labels);
    }
    free(p->nodes);
    free(p->failures);
    mr_platform_init(p);
}

uint32_t mr_platform_class(const mr_platform *p, const char *name)
{
    for (uint32_t i = 0; i < p->n_classes; i++)
        if (strcmp(p->classes[i], name) == 0)
            return i;
    return MR_PLATFORM_CLASSES;
}

int64_t mr_platform_amount(const mr_platform_node *n, const char *resource)
{
    for (uint32_t i = 0; i < n->n_amounts; i++)
        if (strcmp(n->amounts[i].name, resource) == 0)
            return n->amounts[i].amount;
    return 0;
}

/* One node being described: `count` copies of it are added at the end. */
typedef struct draft {
    const char *name, *cls;
    uint64_t count;
    bool counted;
    double speed;
    uint64_t bandwidth, store;
    int64_t mtbf;
    mr_named amounts[MR_RES_MAX];
    uint32_t n, n_labels;
    mr_label labels[16];
} draft;

static mr_status add_amount(const mr_json_at *at, const char *field, draft *d, const char *name, int64_t amount)
{
    if (d->n == MR_RES_MAX)
        return mr_json_fail(at, field, "more than %d resources", MR_RES_MAX);
    if (strlen(name) >= sizeof d->amounts[0].name)
        return mr_json_fail(at, field, "the name \"%.60s\" is too long", name);
    snprintf(d->amounts[d->n].name, sizeof d->amounts[0].name, "%s", name);
    d->amounts[d->n++].amount = amount;
    return MR_OK;
}

static mr_status read_units(const mr_json_at *at, const char *field, const cJSON *v, draft *d, const char *name,
                            double unit)
{
    double x = 0;
    mr_status status = mr_json_number(at, field, v, 0, 1e12, &x);
    if (status)
        return status;
    return add_amount(at, field, d, name, (int64_t)(x * unit + 0.5));
}

static mr_status read_cpus(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_units(at, field, v, into, "CPU", MR_RES_UNIT);
}

static mr_status read_gpus(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_units(at, field, v, into, "GPU", MR_RES_UNIT);
}

static mr_status read_memory(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    uint64_t bytes = 0;
    mr_status status = mr_json_count(at, field, v, &bytes);
    return status ? status : add_amount(at, field, into, "memory", (int64_t)bytes);
}

static mr_status read_resources(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    if (!cJSON_IsObject(v))
        return mr_json_fail(at, field, "expected an object of names and amounts");
    for (const cJSON *one = v->child; one; one = one->next) {
        mr_status status = read_units(at, field, one, into, one->string, MR_RES_UNIT);
        if (status)
            return status;
    }
    return MR_OK;
}

mr_status mr_platform_labels(const mr_json_at *at, const char *field, const cJSON *v, mr_label *out, uint32_t most,
                             uint32_t *n)
{
    if (!cJSON_IsObject(v))
        return mr_json_fail(at, field, "expected an object of keys and values");
    for (const cJSON *one = v->child; one; one = one->next) {
        char number[32];
        snprintf(number, sizeof number, "%.15g", one->valuedouble);
        const char *text = cJSON_IsString(one) ? one->valuestring : cJSON_IsNumber(one) ? number : NULL;
        if (!text)
            return mr_json_fail(at, field, "the value of \"%.40s\" is neither a text nor a number", one->string);
        if (*n == most)
            return mr_json_fail(at, field, "more than %u labels", most);
        mr_label *label = &out[*n];
        if (strlen(one->string) >= sizeof label->key || strlen(text) >= sizeof label->value)
            return mr_json_fail(at, field, "\"%.40s\": a key or value has at most %zu bytes", one->string,
                                sizeof label->key - 1);
        memset(label, 0, sizeof *label);
        memcpy(label->key, one->string, strlen(one->string));
        memcpy(label->value, text, strlen(text));
        ++*n;
    }
    return MR_OK;
}

static mr_status read_node_labels(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    draft *d = into;
    return mr_platform_labels(at, field, v, d->labels, sizeof d->labels / sizeof *d->labels, &d->n_labels);
}

static mr_status read_name(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_text(at, field, v, 50, &((draft *)into)->name);
}

static mr_status read_class(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_text(at, field, v, 31, &((draft *)into)->cls);
}

static mr_status read_speed(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_number(at, field, v, 1e-6, 1e6, &((draft *)into)->speed);
}

static mr_status read_node_count(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    draft *d = into;
    d->counted = true;
    mr_status status = mr_json_count(at, field, v, &d->count);
    if (!status && (d->count < 1 || d->count > MR_PLATFORM_NODES))
        return mr_json_fail(at, field, "must be from 1 to %d", MR_PLATFORM_NODES);
    return status;
}

static mr_status read_rate(const mr_json_at *at, const char *field, const cJSON *v, uint64_t *out)
{
    double x = 0;
    mr_status status = mr_json_number(at, field, v, 1, 1e15, &x);
    if (!status)
        *out = (uint64_t)x;
    return status;
}

static mr_status read_node_bandwidth(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_rate(at, field, v, &((draft *)into)->bandwidth);
}

static mr_status read_node_store(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_count(at, field, v, &((draft *)into)->store);
}

/* More than 0 seconds. */
static mr_status read_mean(const mr_json_at *at, const char *field, const cJSON *v, int64_t *out)
{
    mr_status status = mr_json_seconds(at, field, v, out);
    return !status && *out == 0 ? mr_json_fail(at, field, "must be more than 0") : status;
}

static mr_status read_node_mtbf(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_mean(at, field, v, &((draft *)into)->mtbf);
}

static const mr_json_field node_fields[] = {
    {"name", read_name},          {"count", read_node_count},
    {"cpus", read_cpus},          {"gpus", read_gpus},
    {"memory", read_memory},      {"resources", read_resources},
    {"speed", read_speed},        {"class", read_class},
    {"labels", read_node_labels}, {"bandwidth", read_node_bandwidth},
    {"store", read_node_store},   {"mtbf_s", read_node_mtbf},
};

static mr_status add_node(const mr_json_at *at, mr_platform *p, const draft *d, const char *name, uint32_t cls)
{
    if (p->n_nodes == MR_PLATFORM_NODES)
        return mr_json_fail(at, "nodes", "more than %d nodes", MR_PLATFORM_NODES);
    if (p->n_nodes == p->cap_nodes) {
        uint32_t cap = p->cap_nodes ? p->cap_nodes * 2 : 16;
        mr_platform_node *nodes = realloc(p->nodes, cap * sizeof *nodes);
        if (!nodes)
            return mr_err_set(at->err, MR_E_NOMEM, "out of memory");
        p->nodes = nodes;
        p->cap_nodes = cap;
    }
    mr_platform_node *n = &p->nodes[p->n_nodes];
    *n = (mr_platform_node){.cls = cls,
                            .speed = d->speed,
                            .n_amounts = d->n,
                            .bandwidth = d->bandwidth,
                            .store = d->store,
                            .mtbf = d->mtbf};
    snprintf(n->name, sizeof n->name, "%s", name);
    n->amounts = malloc((d->n ? d->n : 1) * sizeof *n->amounts);
    n->labels = d->n_labels ? malloc(d->n_labels * sizeof *n->labels) : NULL;
    if (!n->amounts || (d->n_labels && !n->labels)) {
        free(n->amounts);
        free(n->labels);
        return mr_err_set(at->err, MR_E_NOMEM, "out of memory");
    }
    memcpy(n->amounts, d->amounts, d->n * sizeof *n->amounts);
    if (d->n_labels)
        memcpy(n->labels, d->labels, d->n_labels * sizeof *n->labels);
    n->n_labels = d->n_labels;
    p->n_nodes++;
    return MR_OK;
}

static mr_status add_draft(const mr_json_at *at, mr_platform *p, const draft *d)
{
    uint32_t cls = mr_platform_class(p, d->cls);
    if (cls == MR_PLATFORM_CLASSES) {
        if (p->n_classes == MR_PLATFORM_CLASSES)
            return mr_json_fail(at, "class", "more than %d classes", MR_PLATFORM_CLASSES);
        cls = p->n_classes++;
        snprintf(p->classes[cls], sizeof p->classes[cls], "%s", d->cls);
    }
    for (uint64_t i = 0; i < d->count; i++) {
        char name[64];
        if (d->counted)
            snprintf(name, sizeof name, "%.50s%u", d->name ? d->name : "node", (unsigned)i);
        else if (d->name)
            snprintf(name, sizeof name, "%.50s", d->name);
        else
            snprintf(name, sizeof name, "node%u", p->n_nodes);
        mr_status status = add_node(at, p, d, name, cls);
        if (status)
            return status;
    }
    return MR_OK;
}

static mr_status read_nodes(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    if (!cJSON_IsArray(v) || !v->child)
        return mr_json_fail(at, field, "expected a list of at least one node");
    for (const cJSON *one = v->child; one; one = one->next) {
        draft d = {.cls = "default", .count = 1, .speed = 1};
        mr_status status = mr_json_read(at, one, node_fields, sizeof node_fields / sizeof *node_fields, &d);
        if (!status && !cJSON_HasObjectItem(one, "cpus"))
            status = add_amount(at, "cpus", &d, "CPU", MR_RES_UNIT);
        if (!status)
            status = add_draft(at, into, &d);
        if (status)
            return status;
    }
    return MR_OK;
}

static mr_status read_bandwidth(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_rate(at, field, v, &((mr_platform *)into)->bandwidth);
}

static mr_status read_disk(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_rate(at, field, v, &((mr_platform *)into)->disk);
}

static mr_status read_latency(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_seconds(at, field, v, &((mr_platform *)into)->latency);
}

static mr_status read_links(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    static const char *const names[MR_LINKS_N] = {"serial", "ports", "parallel", "fair"};
    const char *text;
    mr_status status = mr_json_text(at, field, v, 16, &text);
    for (int i = 0; !status && i < MR_LINKS_N; i++)
        if (strcmp(text, names[i]) == 0) {
            ((mr_platform *)into)->links = (mr_links)i;
            return MR_OK;
        }
    return status
               ? status
               : mr_json_fail(at, field, "must be \"serial\", \"ports\", \"parallel\" or \"fair\", got \"%s\"", text);
}

static mr_status read_worker_mtbf(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_mean(at, field, v, &((mr_platform *)into)->worker_mtbf);
}

static mr_status read_mortality(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return read_mean(at, field, v, &((mr_platform *)into)->node_mtbf);
}

static mr_status read_repair(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_seconds(at, field, v, &((mr_platform *)into)->node_repair);
}

/* One entry of "failures". */
typedef struct failure {
    const char *node;
    mr_platform_failure v;
    bool timed;
} failure;

static mr_status read_failed(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_text(at, field, v, 63, &((failure *)into)->node);
}

static mr_status read_at(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    ((failure *)into)->timed = true;
    return mr_json_seconds(at, field, v, &((failure *)into)->v.at);
}

static mr_status read_back(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_seconds(at, field, v, &((failure *)into)->v.back);
}

static const mr_json_field failure_fields[] = {{"node", read_failed}, {"at_s", read_at}, {"back_s", read_back}};

/* They name nodes, so they are taken when those are there. */
static mr_status read_failures(const mr_json_at *at, const cJSON *v, mr_platform *p)
{
    if (v && !cJSON_IsArray(v))
        return mr_json_fail(at, "failures", "expected a list");
    for (const cJSON *one = v ? v->child : NULL; one; one = one->next) {
        failure f = {.v.back = MR_UNKNOWN};
        mr_status status = mr_json_read(at, one, failure_fields, sizeof failure_fields / sizeof *failure_fields, &f);
        if (status)
            return status;
        if (!f.node || !f.timed)
            return mr_json_fail(at, "failures", "a failure has a \"node\" and \"at_s\"");
        while (f.v.node < p->n_nodes && strcmp(p->nodes[f.v.node].name, f.node) != 0)
            f.v.node++;
        if (f.v.node == p->n_nodes)
            return mr_json_fail(at, "failures", "the platform has no node \"%s\"", f.node);
        if (f.v.back != MR_UNKNOWN && f.v.back <= f.v.at)
            return mr_json_fail(at, "failures", "\"%s\" can not be back before it has died", f.node);
        if (p->n_failures == p->cap_failures) {
            uint32_t cap = p->cap_failures ? p->cap_failures * 2 : 8;
            mr_platform_failure *more = realloc(p->failures, cap * sizeof *more);
            if (!more)
                return mr_err_set(at->err, MR_E_NOMEM, "out of memory");
            p->failures = more;
            p->cap_failures = cap;
        }
        p->failures[p->n_failures++] = f.v;
    }
    return MR_OK;
}

static mr_status later(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    (void)at, (void)field, (void)v, (void)into;
    return MR_OK;
}

static mr_status read_spawn(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_seconds(at, field, v, &((mr_platform *)into)->spawn);
}

static mr_status read_workers(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    const char *text;
    mr_status status = mr_json_text(at, field, v, 16, &text);
    if (!status && strcmp(text, "fixed") != 0 && strcmp(text, "elastic") != 0)
        return mr_json_fail(at, field, "must be \"fixed\" or \"elastic\", got \"%s\"", text);
    if (!status)
        ((mr_platform *)into)->fixed = *text == 'f';
    return status;
}

static const mr_json_field platform_fields[] = {
    {"nodes", read_nodes},
    {"bandwidth", read_bandwidth},
    {"latency", read_latency},
    {"disk", read_disk},
    {"links", read_links},
    {"worker_mtbf_s", read_worker_mtbf},
    {"spawn_s", read_spawn},
    {"workers", read_workers},
    {"node_mtbf_s", read_mortality},
    {"node_repair_s", read_repair},
    {"failures", later},
};

mr_status mr_platform_read(mr_platform *p, const cJSON *json, const mr_json_at *at)
{
    mr_status status = mr_json_read(at, json, platform_fields, sizeof platform_fields / sizeof *platform_fields, p);
    return status ? status : read_failures(at, cJSON_GetObjectItemCaseSensitive(json, "failures"), p);
}

static mr_status keep_classes(mr_platform *own, const mr_platform *old, const mr_json_at *at)
{
    for (uint32_t i = 0; i < own->n_nodes; i++) {
        const char *name = own->classes[own->nodes[i].cls];
        uint32_t cls = mr_platform_class(old, name);
        if (cls == MR_PLATFORM_CLASSES)
            return mr_json_fail(at, "class", "the workload says nothing about nodes of class \"%s\"", name);
        own->nodes[i].cls = cls;
    }
    memcpy(own->classes, old->classes, sizeof own->classes);
    own->n_classes = old->n_classes;
    return MR_OK;
}

mr_status mr_platform_load(mr_platform *p, const char *path, bool keep, mr_err *err)
{
    char *text;
    size_t size;
    cJSON *json = NULL;
    mr_platform own;
    mr_json_doc doc = {0};
    mr_json_at at = {path, 0, err, &doc};
    mr_status status = mr_json_load(path, &text, &size, err);
    if (status)
        return status;
    mr_platform_init(&own);
    status = mr_json_parse(&at, text, size, &json);
    doc = (mr_json_doc){.text = text, .size = size, .root = json, .here = json};
    const cJSON *inner = cJSON_GetObjectItemCaseSensitive(json, "platform");
    if (!status)
        status = mr_platform_read(&own, inner ? inner : json, &at);
    if (!status && own.n_nodes == 0)
        status = mr_json_fail(&at, "nodes", "missing");
    if (!status && keep)
        status = keep_classes(&own, p, &at);
    cJSON_Delete(json);
    free(text);
    if (status) {
        mr_platform_fini(&own);
        return status;
    }
    mr_platform_fini(p);
    *p = own;
    return MR_OK;
}

mr_status mr_platform_uniform(mr_platform *p, uint32_t n, double cpus, mr_err *err)
{
    mr_json_at at = {"--nodes", 0, err, NULL};
    if (!isfinite(cpus) || cpus < 0 || cpus > 1e9)
        return mr_err_set(err, MR_E_INVAL, "--cpus: %g is out of range", cpus);
    draft d = {.cls = "default", .count = n, .counted = true, .speed = 1};
    mr_status status = add_amount(&at, NULL, &d, "CPU", (int64_t)(cpus * MR_RES_UNIT + 0.5));
    return status ? status : add_draft(&at, p, &d);
}
