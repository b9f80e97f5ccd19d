/* state.c: what mr_state shows, as JSON.  Reads control and the values; changes nothing.  Lock: the node list's. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/node.h"

typedef struct text {
    char *s;
    size_t n, cap;
    bool failed;
} text;

static void put(text *t, const char *fmt, ...) MR_PRINTF(2, 3);
static void put(text *t, const char *fmt, ...)
{
    va_list args;
    for (;;) {
        va_start(args, fmt);
        int len = vsnprintf(t->s ? t->s + t->n : NULL, t->s ? t->cap - t->n : 0, fmt, args);
        va_end(args);
        if (len < 0 || t->failed)
            return;
        if (t->s && t->n + (size_t)len < t->cap) {
            t->n += (size_t)len;
            return;
        }
        size_t cap = (t->cap + (size_t)len + 256) * 2;
        char *grown = realloc(t->s, cap);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->s = grown;
        t->cap = cap;
    }
}

static void put_string(text *t, const char *s)
{
    put(t, "\"");
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            put(t, "\\%c", c);
        else if (c < 0x20)
            put(t, "\\u%04x", c);
        else
            put(t, "%c", c);
    }
    put(t, "\"");
}

static void put_id(text *t, const char *key, mr_id id)
{
    put(t, "\"%s\":\"%016llx\"", key, (unsigned long long)id);
}

static const char *state_func(mr_nodes *n, uint32_t func)
{
    const mr_define *def = func ? mr_control_func(n->control, func) : NULL;
    return def ? def->name : "";
}

/* CPU, GPU and custom resources are kept in 1/10000, memory in bytes. */
static void put_amount(text *t, const char *name, int64_t amount)
{
    put_string(t, name);
    if (strcmp(name, "memory") == 0)
        put(t, ":%lld", (long long)amount);
    else
        put(t, ":%.10g", (double)amount / MR_RES_UNIT);
}

static void state_pools(text *t, const mr_node_info *info, const int64_t *v)
{
    put(t, "{");
    for (uint32_t i = 0; i < info->n; i++) {
        put(t, "%s", i ? "," : "");
        put_amount(t, info->names[i], v[i]);
    }
    put(t, "}");
}

static void state_nodes(mr_nodes *n, text *t)
{
    put(t, "[");
    for (uint32_t i = 0; i < mr_control_nodes(n->control); i++) {
        mr_node_info info;
        mr_store_stats st = {0};
        if (!mr_control_node(n->control, i, &info))
            continue;
        mr_place *s = i < n->n_nodes ? &n->node[i].store : NULL;
        if (s && s->self && s->ops->stats)
            s->ops->stats(s->self, &st);
        put(t, "%s{\"node\":%u,\"name\":", i ? "," : "", i);
        put_string(t, info.name);
        put(t, ",\"alive\":%s,\"slots\":%u,\"total\":", info.alive ? "true" : "false", info.slots);
        state_pools(t, &info, info.total);
        put(t, ",\"available\":");
        state_pools(t, &info, info.free);
        put(t, ",\"labels\":{");
        for (uint32_t k = 0; k < info.n_labels; k++) {
            put(t, "%s", k ? "," : "");
            put_string(t, info.labels[k].key);
            put(t, ":");
            put_string(t, info.labels[k].value);
        }
        put(t, "},\"store\":");
        put_string(t, s && s->plugin ? s->plugin->plugin->name : "");
        put(t, ",\"capacity\":%llu,\"used\":%llu,\"objects\":%llu,\"resident\":%llu}", (unsigned long long)st.capacity,
            (unsigned long long)st.used, (unsigned long long)st.n_objects, (unsigned long long)st.resident);
    }
    put(t, "]");
}

static void state_resources(mr_nodes *n, text *t)
{
    mr_named total[MR_RES_MAX], left[MR_RES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < mr_control_nodes(n->control); i++) {
        mr_node_info info;
        if (!mr_control_node(n->control, i, &info) || !info.alive)
            continue;
        for (uint32_t k = 0; k < info.n; k++) {
            uint32_t at = 0;
            while (at < count && strcmp(total[at].name, info.names[k]) != 0)
                at++;
            if (at == MR_RES_MAX)
                continue;
            if (at == count) {
                count++;
                snprintf(total[at].name, sizeof(total[at].name), "%s", info.names[k]);
                left[at] = total[at];
                total[at].amount = left[at].amount = 0;
            }
            total[at].amount += info.total[k];
            left[at].amount += info.free[k];
        }
    }
    put(t, "{\"total\":{");
    for (uint32_t i = 0; i < count; i++) {
        put(t, "%s", i ? "," : "");
        put_amount(t, total[i].name, total[i].amount);
    }
    put(t, "},\"available\":{");
    for (uint32_t i = 0; i < count; i++) {
        put(t, "%s", i ? "," : "");
        put_amount(t, left[i].name, left[i].amount);
    }
    put(t, "}}");
}

static const char *state_task_name(const mr_task_info *i)
{
    static const char *const names[] = {"waiting", "ready", "dispatched", "running", "stopped"};
    if (i->state != MR_OVER)
        return i->blocked ? "blocked" : i->state >= 0 && i->state < 5 ? names[i->state] : "unknown";
    return i->outcome == MR_OK ? "finished" : i->outcome == MR_E_CANCELLED ? "cancelled" : "failed";
}

static void state_tasks(mr_nodes *n, text *t)
{
    uint64_t at = 0;
    mr_task_info i;
    bool first = true;
    put(t, "[");
    while (mr_control_task_next(n->control, &at, &i)) {
        put(t, "%s{", first ? "" : ",");
        first = false;
        put_id(t, "task", i.task);
        put(t, ",\"name\":");
        put_string(t, state_func(n, i.func));
        put(t,
            ",\"state\":\"%s\",\"outcome\":\"%s\",\"attempt\":%u,\"worker\":%u,\"node\":%u,\"slot\":%u,\"bytes\":%llu,"
            "\"owner\":%u,\"job\":%u,",
            state_task_name(&i), i.state == MR_OVER ? mr_status_name(i.outcome) : "", i.attempt, i.worker, i.node,
            i.slot, (unsigned long long)i.bytes, i.owner, i.job);
        put_id(t, "actor", i.actor);
        put(t, ",");
        put_id(t, "parent", i.parent);
        put(t, ",\"submitted_at\":%lld,\"ready_at\":%lld,\"started_at\":%lld,\"ended_at\":%lld}",
            (long long)i.submitted_at, (long long)i.ready_at, (long long)i.started_at, (long long)i.ended_at);
    }
    put(t, "]");
}

static void state_actors(mr_nodes *n, text *t)
{
    static const char *const names[] = {"none", "pending", "alive", "restarting", "dead"};
    bool first = true;
    put(t, "[");
    for (mr_id id = mr_control_actor_next(n->control, 0); id; id = mr_control_actor_next(n->control, id)) {
        mr_actor_info i;
        if (!mr_control_actor(n->control, id, &i))
            continue;
        put(t, "%s{", first ? "" : ",");
        first = false;
        put_id(t, "actor", id);
        put(t, ",\"class\":");
        put_string(t, state_func(n, i.func));
        put(t, ",\"state\":\"%s\",\"worker\":%u,\"restarts\":%u,\"pending\":%u,\"name\":", names[i.state], i.worker,
            i.restarts, i.pending);
        put_string(t, i.name);
        put(t, ",\"namespace\":");
        put_string(t, i.ns);
        put(t, "}");
    }
    put(t, "]");
}

static void state_objects(mr_nodes *n, text *t)
{
    static const char *const places[] = {"", "inline", "inline", "store"};
    uint64_t cursor = 0, id = 0;
    mr_val *v;
    bool first = true;
    put(t, "[");
    while ((v = mr_table_next(&n->values, &cursor, &id)) != NULL) {
        mr_object_info i = mr_control_object(n->control, id);
        put(t, "%s{", first ? "" : ",");
        first = false;
        put_id(t, "object", id);
        put(t, ",\"size\":%llu,\"holders\":%u,\"error\":%s,\"where\":\"%s\",\"nodes\":%llu,\"format\":%u,",
            (unsigned long long)v->len, i.holders, v->flags & MR_VALUE_ERROR ? "true" : "false", places[v->kind],
            (unsigned long long)i.nodes, v->format);
        put_id(t, "task", i.task);
        put(t, "}");
    }
    put(t, "]");
}

static void state_workers(mr_nodes *n, text *t)
{
    static const char *const names[] = {"gone", "starting", "idle", "busy", "blocked", "actor", "retiring"};
    bool first = true;
    put(t, "[");
    for (uint32_t w = mr_control_worker_next(n->control, 0); w; w = mr_control_worker_next(n->control, w)) {
        mr_worker_info i;
        if (!mr_control_worker(n->control, w, &i))
            continue;
        put(t, "%s{\"worker\":%u,\"pid\":%d,\"node\":%u,\"env\":%u,\"lang\":\"%s\",\"state\":\"%s\",", first ? "" : ",",
            w, i.pid, i.node, i.env, i.lang == MR_LANG_PYTHON ? "python" : "c", names[i.state]);
        first = false;
        put_id(t, "task", i.task);
        put(t, ",");
        put_id(t, "actor", i.actor);
        put(t, "}");
    }
    put(t, "]");
}

static void state_stats(mr_nodes *n, text *t)
{
    mr_control_stats s;
    mr_control_stats_get(n->control, &s);
    const char *error = mr_control_policy_error(n->control);
    put(t,
        "{\"steps\":%llu,\"submitted\":%llu,\"finished\":%llu,\"failed\":%llu,\"cancelled\":%llu,\"retried\":%llu,"
        "\"stale\":%llu,\"refused\":%llu,",
        (unsigned long long)s.steps, (unsigned long long)s.submitted, (unsigned long long)s.finished,
        (unsigned long long)s.failed, (unsigned long long)s.cancelled, (unsigned long long)s.retried,
        (unsigned long long)s.stale, (unsigned long long)s.refused);
    put(t,
        "\"tasks\":%llu,\"objects\":%llu,\"ready\":%llu,\"waiting\":%llu,\"running\":%llu,\"actors\":%llu,"
        "\"workers\":%llu,\"idle_workers\":%llu,",
        (unsigned long long)s.tasks, (unsigned long long)s.objects, (unsigned long long)s.ready,
        (unsigned long long)s.waiting, (unsigned long long)s.running, (unsigned long long)s.actors,
        (unsigned long long)s.workers, (unsigned long long)s.idle_workers);
    put(t, "\"object_bytes\":%llu,\"moved_bytes\":%llu,\"held\":%lld,\"memory\":%llu,\"now\":%lld,\"policy\":",
        (unsigned long long)s.object_bytes, (unsigned long long)s.moved_bytes, (long long)s.held,
        (unsigned long long)s.memory, (long long)mr_nodes_clock(n));
    put_string(t, mr_control_policy_name(n->control));
    put(t, ",\"degraded\":");
    if (error)
        put_string(t, error);
    else
        put(t, "null");
    put(t, "}");
}

static void state_config(mr_nodes *n, text *t)
{
    static const char *const from[] = {"default", "file", "environment", "call"};
    const mr_setting *s;
    put(t, "[");
    for (size_t i = 0; (s = mr_config_at(n->config, i)) != NULL; i++) {
        put(t, "%s{\"section\":", i ? "," : "");
        put_string(t, s->section);
        put(t, ",\"key\":");
        put_string(t, s->key);
        put(t, ",\"value\":");
        if (s->value)
            put_string(t, s->value);
        else
            put(t, "null");
        put(t, ",\"source\":\"%s\",\"where\":", from[s->source]);
        put_string(t, s->file ? s->file : "");
        put(t, ",\"line\":%d}", s->line);
    }
    put(t, "]");
}

char *mr_state_json(mr_nodes *n, const char *what, mr_status *status, mr_err *err)
{
    static const struct {
        const char *name;
        void (*make)(mr_nodes *n, text *t);
    } table[] = {{"nodes", state_nodes},   {"resources", state_resources}, {"tasks", state_tasks},
                 {"actors", state_actors}, {"objects", state_objects},     {"workers", state_workers},
                 {"stats", state_stats},   {"config", state_config}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(what, table[i].name) != 0)
            continue;
        text t = {0};
        table[i].make(n, &t);
        *status = t.failed || !t.s ? mr_err_set(err, MR_E_NOMEM, "out of memory") : MR_OK;
        if (!*status)
            return t.s;
        free(t.s);
        return NULL;
    }
    *status = mr_err_set(
        err, MR_E_NOTFOUND,
        "\"%s\" is not known; ask for nodes, resources, tasks, actors, objects, workers, stats or config", what);
    return NULL;
}
