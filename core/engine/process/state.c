/* state.c: what mr_state shows, as JSON.  Reads control and the values; changes nothing.  Lock: the node list's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/census.h"
#include "engine/process/leases.h"
#include "engine/process/room.h"

/* CPU, GPU and custom resources are kept in 1/10000, memory in bytes. */
void mr_state_amount(mr_text *t, const char *name, int64_t amount)
{
    mr_text_string(t, name);
    if (strcmp(name, "memory") == 0)
        mr_text_put(t, ":%lld", (long long)amount);
    else
        mr_text_put(t, ":%.10g", (double)amount / MR_RES_UNIT);
}

static void state_pools(mr_text *t, const mr_node_info *info, const int64_t *v)
{
    mr_text_put(t, "{");
    for (uint32_t i = 0; i < info->n; i++) {
        mr_text_put(t, "%s", i ? "," : "");
        mr_state_amount(t, info->names[i], v[i]);
    }
    mr_text_put(t, "}");
}

static void state_nodes(mr_nodes *n, mr_text *t)
{
    mr_text_put(t, "[");
    for (uint32_t i = 0; i < mr_control_nodes(n->control); i++) {
        mr_node_info info;
        mr_store_stats st = {0};
        if (!mr_control_node(n->control, i, &info))
            continue;
        const mr_place *s = i < n->n_nodes ? &n->node[i].store : NULL;
        uint64_t outside = i == mr_nodes_first(n) ? n->room.inlined : 0;
        if (s)
            mr_room_stats(n, i, &st);
        if (s && s == mr_carrier(n))
            st.used -= mr_leases_left(n);
        mr_text_put(t, "%s{\"node\":%u,\"name\":", i ? "," : "", i);
        mr_text_string(t, info.name);
        mr_text_put(t, ",\"alive\":%s,\"slots\":%u,\"total\":", info.alive ? "true" : "false", info.slots);
        state_pools(t, &info, info.total);
        mr_text_put(t, ",\"available\":");
        state_pools(t, &info, info.free);
        mr_text_put(t, ",\"labels\":{");
        for (uint32_t k = 0; k < info.n_labels; k++) {
            mr_text_put(t, "%s", k ? "," : "");
            mr_text_string(t, info.labels[k].key);
            mr_text_put(t, ":");
            mr_text_string(t, info.labels[k].value);
        }
        mr_text_put(t, "},\"store\":");
        mr_text_string(t, s && s->plugin ? s->plugin->plugin->name : "");
        mr_text_put(t, ",\"capacity\":%llu,\"used\":%llu,\"inline\":%llu,\"objects\":%llu,\"resident\":%llu}",
                    (unsigned long long)st.capacity, (unsigned long long)st.used, (unsigned long long)outside,
                    (unsigned long long)st.n_objects, (unsigned long long)st.resident);
    }
    mr_text_put(t, "]");
}

static void state_resources(mr_nodes *n, mr_text *t)
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
    mr_text_put(t, "{\"total\":{");
    for (uint32_t i = 0; i < count; i++) {
        mr_text_put(t, "%s", i ? "," : "");
        mr_state_amount(t, total[i].name, total[i].amount);
    }
    mr_text_put(t, "},\"available\":{");
    for (uint32_t i = 0; i < count; i++) {
        mr_text_put(t, "%s", i ? "," : "");
        mr_state_amount(t, left[i].name, left[i].amount);
    }
    mr_text_put(t, "}}");
}

static void state_stats(mr_nodes *n, mr_text *t)
{
    mr_control_stats s;
    mr_control_stats_get(n->control, &s);
    const char *error = mr_control_policy_error(n->control);
    mr_text_put(
        t,
        "{\"steps\":%llu,\"submitted\":%llu,\"finished\":%llu,\"failed\":%llu,\"cancelled\":%llu,\"retried\":%llu,"
        "\"stale\":%llu,\"refused\":%llu,",
        (unsigned long long)s.steps, (unsigned long long)s.submitted, (unsigned long long)s.finished,
        (unsigned long long)s.failed, (unsigned long long)s.cancelled, (unsigned long long)s.retried,
        (unsigned long long)s.stale, (unsigned long long)s.refused);
    mr_text_put(t,
                "\"tasks\":%llu,\"objects\":%llu,\"ready\":%llu,\"waiting\":%llu,\"running\":%llu,\"actors\":%llu,"
                "\"workers\":%llu,\"idle_workers\":%llu,\"stopped\":%llu,\"stops\":%llu,",
                (unsigned long long)s.tasks, (unsigned long long)s.objects, (unsigned long long)s.ready,
                (unsigned long long)s.waiting, (unsigned long long)s.running, (unsigned long long)s.actors,
                (unsigned long long)s.workers, (unsigned long long)s.idle_workers, (unsigned long long)s.stopped,
                (unsigned long long)s.stops);
    mr_store_stats store = {0};
    const mr_place *first = &n->node[mr_nodes_first(n)].store;
    if (first->self && first->ops->stats)
        first->ops->stats(first->self, &store);
    if (first == mr_carrier(n))
        store.used -= mr_leases_left(n);
    mr_text_put(
        t,
        "\"store_capacity\":%llu,\"store_used\":%llu,\"inline_bytes\":%llu,\"disk_bytes\":%llu,\"spilled\":%llu,"
        "\"restored\":%llu,\"kept\":%llu,\"kept_bytes\":%llu,",
        (unsigned long long)store.capacity, (unsigned long long)store.used, (unsigned long long)n->room.inlined,
        (unsigned long long)n->spill.bytes, (unsigned long long)s.spilled, (unsigned long long)s.restored,
        (unsigned long long)s.kept, (unsigned long long)s.kept_bytes);
    mr_text_put(t, "\"object_bytes\":%llu,\"moved_bytes\":%llu,\"held\":%lld,\"memory\":%llu,\"now\":%lld,\"policy\":",
                (unsigned long long)s.object_bytes, (unsigned long long)s.moved_bytes, (long long)s.held,
                (unsigned long long)s.memory, (long long)mr_nodes_clock(n));
    mr_text_string(t, mr_control_policy_name(n->control));
    mr_text_put(t, ",\"degraded\":");
    if (error)
        mr_text_string(t, error);
    else
        mr_text_put(t, "null");
    mr_text_put(t, ",\"dump\":");
    if (mr_control_policy_dump(n->control))
        mr_text_string(t, mr_control_policy_dump(n->control));
    else
        mr_text_put(t, "null");
    mr_text_put(t, ",\"refusal\":");
    if (mr_control_policy_refusal(n->control))
        mr_text_string(t, mr_control_policy_refusal(n->control));
    else
        mr_text_put(t, "null");
    mr_text_put(t, "}");
}

/* The start of the run on the calendar's clock, ns since 1970. */
static int64_t state_origin(const mr_nodes *n)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - mr_nodes_clock(n);
}

static void state_config(mr_nodes *n, mr_text *t)
{
    static const char *const from[] = {"default", "file", "environment", "call"};
    const mr_setting *s;
    mr_text_put(t, "[");
    for (size_t i = 0; (s = mr_config_at(n->config, i)) != NULL; i++) {
        mr_text_put(t, "%s{\"section\":", i ? "," : "");
        mr_text_string(t, s->section);
        mr_text_put(t, ",\"key\":");
        mr_text_string(t, s->key);
        mr_text_put(t, ",\"value\":");
        if (s->value)
            mr_text_string(t, s->value);
        else
            mr_text_put(t, "null");
        mr_text_put(t, ",\"source\":\"%s\",\"where\":", from[s->source]);
        mr_text_string(t, s->file ? s->file : "");
        mr_text_put(t, ",\"line\":%d}", s->line);
    }
    mr_text_put(t, "]");
}

static void state_session(mr_nodes *n, mr_text *t)
{
    mr_text_put(t, "{\"session\":\"%016llx\",\"pid\":%d,\"origin_ns\":%lld,\"now\":%lld,\"folder\":",
                (unsigned long long)n->port.session, (int)getpid(), (long long)state_origin(n),
                (long long)mr_nodes_clock(n));
    mr_text_string(t, mr_desk_folder(n));
    mr_text_put(t, ",\"nodes\":%u}", mr_nodes_alive(n));
}

char *mr_state_json(mr_nodes *n, const char *what, mr_status *status, mr_err *err)
{
    static const struct {
        const char *name;
        void (*make)(mr_nodes *n, mr_text *t);
    } tables[] = {{"nodes", state_nodes},
                  {"resources", state_resources},
                  {"tasks", mr_census_tasks},
                  {"actors", mr_census_actors},
                  {"objects", mr_census_objects},
                  {"workers", mr_census_workers},
                  {"placement_groups", mr_census_groups},
                  {"stats", state_stats},
                  {"room", mr_room_table},
                  {"config", state_config},
                  {"session", state_session},
                  {"policies", mr_census_policies}};
    size_t name = strcspn(what, " ");
    mr_text t = {0};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (strcmp(what, tables[i].name) == 0)
            tables[i].make(n, &t);
    if (name == 4 && strncmp(what, "logs", 4) == 0) /* "logs 17": those numbered above 17 */
        mr_output_table(n, &t, strtoull(what + name, NULL, 10));
    if (name == 4 && strncmp(what, "full", 4) == 0)
        mr_room_fetch(n, &t, what + name);
    if (name == 3 && strncmp(what, "why", 3) == 0 && !mr_census_why(n, &t, what + name)) {
        *status = mr_err_set(err, MR_E_NOTFOUND, "no task %s is known: not living, nor among the last that ended",
                             what + name + strspn(what + name, " "));
        return NULL;
    }
    *status = MR_OK;
    if (t.failed)
        *status = mr_err_set(err, MR_E_NOMEM, "out of memory");
    else if (!t.s)
        *status = mr_err_set(err, MR_E_NOTFOUND,
                             "\"%s\" is not known; ask for nodes, resources, tasks, actors, objects, workers, "
                             "placement_groups, stats, room, config, session, policies, logs or why TASK",
                             what);
    if (!*status)
        return t.s;
    free(t.s);
    return NULL;
}
