/* census.c: one row of JSON for each task, actor, object and worker.  Reads control and the values; changes nothing.
 * Lock: the node list's.
 */
#include "engine/process/census.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static const mr_define *census_def(mr_nodes *n, uint32_t func)
{
    return func ? mr_control_func(n->control, func) : NULL;
}

const char *mr_census_name(mr_nodes *n, uint32_t func)
{
    const mr_define *def = census_def(n, func);
    return def ? def->name : "";
}

static int32_t census_pid(mr_nodes *n, uint32_t worker)
{
    mr_worker_info w;
    const mr_peer *p = mr_peer_of(n, worker);
    if (worker && mr_control_worker(n->control, worker, &w) && w.pid)
        return w.pid;
    return p ? p->pid : 0;
}

/* ,"error":{...}: what is still known of the error of task or actor `id`. */
static void census_error(mr_nodes *n, mr_text *t, mr_id id)
{
    const mr_blame *b = mr_blame_find(n, id);
    if (!b)
        return;
    if (b->format == MR_FORMAT_FAULT && b->len > sizeof(mr_fault_value)) {
        mr_fault_value head;
        memcpy(&head, b->bytes, sizeof(head));
        mr_text_put(t, ",\"error\":{\"kind\":\"%s\",\"text\":", mr_status_name(head.status));
        mr_text_string(t, b->bytes + sizeof(head));
    } else if (b->format == MR_FORMAT_TEXT_ERROR) {
        mr_text_put(t, ",\"error\":{\"kind\":\"TASK\",\"text\":");
        mr_text_string(t, b->bytes);
    } else {
        mr_text_put(t, ",\"error\":{\"kind\":\"TASK\",\"format\":%u,\"bytes\":", b->format);
        mr_text_bytes(t, b->bytes, b->len);
    }
    mr_text_put(t, "}");
}

static void census_needs(mr_text *t, const mr_define *def)
{
    const mr_named *v = (const mr_named *)(const void *)(def + 1);
    mr_text_put(t, ",\"needs\":{");
    for (uint32_t i = 0; i < def->n_needs; i++) {
        mr_text_put(t, "%s", i ? "," : "");
        mr_state_amount(t, v[i].name, v[i].amount);
    }
    mr_text_put(t, "}");
}

/* What a definition says of where it may run, in which environment, and the line that asked for it. */
static void census_place(mr_nodes *n, mr_text *t, const mr_define *def, mr_id id)
{
    const mr_named *needs = (const mr_named *)(const void *)(def + 1);
    const mr_label *labels = (const mr_label *)(const void *)(needs + def->n_needs + def->n_living);
    const mr_term *terms = (const mr_term *)(const void *)(labels + def->n_labels);
    const mr_noted *note = mr_table_at(&n->notes.table, id);
    mr_text_put(t, ",\"env\":%u,", def->env);
    mr_text_id(t, "group", def->group);
    mr_text_put(t, ",\"line\":");
    mr_text_string(t, note && note->line ? mr_intern_text(n->notes.lines, note->line) : "");
    mr_text_put(t, ",\"terms\":[");
    for (uint32_t i = 0; i < def->n_terms; i++) {
        mr_text_put(t, "%s[", i ? "," : "");
        mr_text_string(t, terms[i].key);
        mr_text_put(t, ",");
        mr_text_string(t, terms[i].value);
        mr_text_put(t, ",%u,%u]", terms[i].op, terms[i].soft);
    }
    mr_text_put(t, "]");
}

/* --------------------------------------------------------------------------------------------------------- tasks -- */

static const char *census_state(const mr_task_info *i)
{
    static const char *const names[] = {"waiting", "ready", "dispatched", "running", "stopped"};
    if (i->state != MR_OVER)
        return i->blocked ? "blocked" : i->state >= 0 && i->state < 5 ? names[i->state] : "unknown";
    return i->outcome == MR_OK ? "finished" : i->outcome == MR_E_CANCELLED ? "cancelled" : "failed";
}

void mr_census_task(mr_nodes *n, mr_text *t, const mr_task_info *i)
{
    static const char *const kinds[] = {"task", "creation", "call"};
    const mr_define *def = census_def(n, i->func);
    mr_text_id(t, "task", i->task);
    mr_text_put(t, ",\"name\":");
    mr_text_string(t, def ? def->name : "");
    mr_text_put(t,
                ",\"kind\":\"%s\",\"lang\":\"%s\",\"state\":\"%s\",\"phase\":\"%s\",\"outcome\":\"%s\",\"attempt\":%u,"
                "\"worker\":%u,\"pid\":%d,\"node\":%u,\"slot\":%u,\"bytes\":%llu,\"owner\":%u,",
                kinds[def && def->kind < 3 ? def->kind : 0], def && def->lang == MR_LANG_PYTHON ? "python" : "c",
                census_state(i), mr_control_phase(i->phase),
                i->state == MR_OVER ? mr_status_name((mr_status)i->outcome) : "", i->attempt, i->worker,
                i->pid ? i->pid : census_pid(n, i->worker), i->node, i->slot, (unsigned long long)i->bytes, i->owner);
    mr_text_id(t, "actor", i->actor);
    mr_text_put(t, ",");
    mr_text_id(t, "parent", i->parent);
    mr_text_put(t, ",\"submitted_at\":%lld,\"ready_at\":%lld,\"started_at\":%lld,\"ended_at\":%lld",
                (long long)i->submitted_at, (long long)i->ready_at, (long long)i->started_at, (long long)i->ended_at);
    if (def) {
        census_needs(t, def);
        census_place(n, t, def, i->task);
    }
    if (i->phase == MR_PHASE_OVER) {
        if (i->outcome != MR_OK)
            census_error(n, t, i->task);
        return;
    }
    char waits[200];
    mr_control_task_waits(n->control, i->task, waits, sizeof(waits));
    mr_text_put(t, ",\"waits_for\":");
    mr_text_string(t, waits);
}

void mr_census_tasks(mr_nodes *n, mr_text *t)
{
    uint64_t at = 0;
    mr_task_info i;
    bool first = true;
    mr_text_put(t, "[");
    while (mr_control_task_next(n->control, &at, &i)) {
        mr_text_put(t, "%s{", first ? "" : ",");
        first = false;
        mr_census_task(n, t, &i);
        mr_text_put(t, "}");
    }
    mr_text_put(t, "]");
}

/* -------------------------------------------------------------------------------------------------------- actors -- */

static void census_actor(mr_nodes *n, mr_text *t, mr_id id, const mr_actor_info *i)
{
    static const char *const names[] = {"none", "pending", "alive", "restarting", "dead"};
    const mr_define *def = census_def(n, i->func);
    mr_worker_info w = {0};
    if (i->worker)
        (void)mr_control_worker(n->control, i->worker, &w);
    mr_text_id(t, "actor", id);
    mr_text_put(t, ",\"class\":");
    mr_text_string(t, def ? def->name : "");
    mr_text_put(t,
                ",\"state\":\"%s\",\"worker\":%u,\"pid\":%d,\"node\":%u,\"restarts\":%u,\"pending\":%u,\"detached\":%s,"
                "\"owner\":%u,\"name\":",
                names[i->state], i->worker, i->worker ? census_pid(n, i->worker) : 0, w.node, i->restarts, i->pending,
                i->detached ? "true" : "false", i->owner);
    mr_text_string(t, i->name);
    mr_text_put(t, ",\"namespace\":");
    mr_text_string(t, i->ns);
    if (def) {
        census_needs(t, def);
        census_place(n, t, def, id);
    }
    if (i->state == MR_ACTOR_PENDING || i->state == MR_ACTOR_RESTARTING) {
        char waits[200];
        mr_control_task_waits(n->control, id, waits, sizeof(waits));
        mr_text_put(t, ",\"waits_for\":");
        mr_text_string(t, waits);
    }
    if (i->state == MR_ACTOR_DEAD) {
        char why[1024] = "";
        mr_fault_text(n->control, &i->fault, why, sizeof(why));
        mr_text_put(t, ",\"death\":");
        mr_text_string(t, why);
        census_error(n, t, id);
    }
}

/* Those that nobody knows any more are told by what is left of their creation. */
void mr_census_actors(mr_nodes *n, mr_text *t)
{
    bool first = true;
    uint64_t at = 0;
    mr_actor_info a;
    mr_task_info i;
    mr_text_put(t, "[");
    for (mr_id id; (id = mr_control_actor_next(n->control, &at));) {
        if (!mr_control_actor(n->control, id, &a))
            continue;
        mr_text_put(t, "%s{", first ? "" : ",");
        first = false;
        census_actor(n, t, id, &a);
        mr_text_put(t, "}");
    }
    at = 0;
    while (mr_control_task_next(n->control, &at, &i)) {
        const mr_define *def = census_def(n, i.func);
        if (i.phase != MR_PHASE_OVER || !def || def->kind != MR_FUNC_ACTOR || mr_control_actor(n->control, i.task, &a))
            continue;
        mr_actor_info gone = {.state = MR_ACTOR_DEAD, .func = i.func, .worker = i.worker, .owner = i.owner};
        gone.fault = (mr_fault){.status = MR_E_ACTOR_DIED,
                                .cause = i.task,
                                .func = i.func,
                                .worker = i.worker,
                                .pid = i.pid,
                                .how = i.how,
                                .why = i.why,
                                .code = i.code};
        gone.name = gone.ns = "";
        mr_text_put(t, "%s{", first ? "" : ",");
        first = false;
        census_actor(n, t, i.task, &gone);
        mr_text_put(t, "}");
    }
    mr_text_put(t, "]");
}

/* ------------------------------------------------------------------------------------------------------- objects -- */

typedef struct held {
    mr_id object;
    mr_holder_kind kind;
    uint64_t id;
} held;

typedef struct holds {
    held *v;
    size_t n, cap;
} holds;

static void census_hold(void *arg, mr_id object, mr_holder_kind kind, uint64_t id)
{
    holds *h = arg;
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 256;
        held *v = realloc(h->v, cap * sizeof(*v));
        if (!v)
            return; /* the holders that are missing are counted all the same */
        h->v = v;
        h->cap = cap;
    }
    h->v[h->n++] = (held){.object = object, .kind = kind, .id = id};
}

static int census_order(const void *a, const void *b)
{
    const held *x = a, *y = b;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void census_holder(mr_nodes *n, mr_text *t, const held *h)
{
    static const char *const kinds[] = {"process", "task", "object", "stream", "code", "detached"};
    mr_text_put(t, "{\"kind\":\"%s\"", kinds[h->kind]);
    if (h->kind == MR_HOLDS_CLIENT) {
        mr_text_put(t, ",\"worker\":%u,\"pid\":%d", (unsigned)h->id,
                    h->id ? census_pid(n, (uint32_t)h->id) : (int)getpid());
    } else if (h->kind == MR_HOLDS_CODE) {
        mr_text_put(t, ",\"name\":");
        mr_text_string(t, mr_census_name(n, (uint32_t)h->id));
    } else if (h->kind != MR_HOLDS_ITSELF) {
        mr_spec spec;
        mr_text_put(t, ",");
        mr_text_id(t, "id", h->id);
        if (h->kind == MR_HOLDS_TASK && mr_control_spec(n->control, h->id, &spec) == MR_OK) {
            mr_text_put(t, ",\"name\":");
            mr_text_string(t, mr_census_name(n, spec.func));
        }
    }
    mr_text_put(t, "}");
}

static void census_object(mr_nodes *n, mr_text *t, mr_id id, const holds *h)
{
    static const char *const places[] = {"", "inline", "inline", "store"};
    static const char *const states[] = {"none", "pending", "sealed", "error", "lost", "freed"};
    mr_object_info i = mr_control_object(n->control, id);
    const mr_val *v = mr_value_find(n, id);
    mr_actor_info a;
    mr_text_id(t, "object", id);
    mr_text_put(t,
                ",\"size\":%llu,\"holders\":%u,\"state\":\"%s\",\"error\":%s,\"where\":\"%s\",\"nodes\":%llu,"
                "\"format\":%u,\"views\":%u,\"actor\":%s,",
                (unsigned long long)(v ? v->len : i.size), i.holders, states[i.state],
                i.state == MR_OBJ_ERROR || (v && v->flags & MR_VALUE_ERROR) ? "true" : "false",
                i.on_disk ? "disk" : places[v ? v->kind : 0], (unsigned long long)i.nodes, v ? v->format : i.format,
                v ? v->views : 0, mr_control_actor(n->control, id, &a) ? "true" : "false");
    mr_text_id(t, "task", i.task);
    mr_text_put(t, ",\"name\":");
    mr_text_string(t, mr_census_name(n, i.func));
    const mr_noted *note = mr_table_at(&n->notes.table, id);
    mr_text_put(t, ",\"code\":%s", i.code ? "true" : "false");
    mr_text_put(t, ",\"pinned\":%s,\"line\":", note && note->pinned ? "true" : "false");
    mr_text_string(t, note && note->line ? mr_intern_text(n->notes.lines, note->line) : "");
    mr_text_put(t, ",\"held_by\":[");
    size_t low = 0, high = h->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (h->v[mid].object < id)
            low = mid + 1;
        else
            high = mid;
    }
    for (size_t k = low; k < h->n && h->v[k].object == id; k++) {
        mr_text_put(t, "%s", k > low ? "," : "");
        census_holder(n, t, &h->v[k]);
    }
    mr_text_put(t, "]");
}

void mr_census_objects(mr_nodes *n, mr_text *t)
{
    uint64_t at = 0;
    bool first = true;
    holds h = {0};
    mr_control_holds(n->control, census_hold, &h);
    if (h.n)
        qsort(h.v, h.n, sizeof(*h.v), census_order);
    mr_text_put(t, "[");
    for (mr_id id; (id = mr_control_object_next(n->control, &at));) {
        mr_text_put(t, "%s{", first ? "" : ",");
        first = false;
        census_object(n, t, id, &h);
        mr_text_put(t, "}");
    }
    mr_text_put(t, "]");
    free(h.v);
}

/* ------------------------------------------------------------------------------------------------------- workers -- */

void mr_census_workers(mr_nodes *n, mr_text *t)
{
    static const char *const names[] = {"gone", "starting", "idle", "busy", "blocked", "actor", "retiring", "stopped"};
    bool first = true;
    mr_text_put(t, "[");
    for (uint32_t w = mr_control_worker_next(n->control, 0); w; w = mr_control_worker_next(n->control, w)) {
        mr_worker_info i;
        mr_actor_info a;
        mr_spec spec;
        if (!mr_control_worker(n->control, w, &i))
            continue;
        uint32_t func = 0;
        if (i.actor && mr_control_actor(n->control, i.actor, &a))
            func = a.func;
        else if (i.task && mr_control_spec(n->control, i.task, &spec) == MR_OK)
            func = spec.func;
        mr_text_put(t, "%s{\"worker\":%u,\"pid\":%d,\"node\":%u,\"env\":%u,\"lang\":\"%s\",\"state\":\"%s\",\"name\":",
                    first ? "" : ",", w, census_pid(n, w), i.node, i.env, i.lang == MR_LANG_PYTHON ? "python" : "c",
                    names[i.state]);
        first = false;
        mr_text_string(t, mr_census_name(n, func));
        mr_text_put(t, ",");
        mr_text_id(t, "task", i.task);
        mr_text_put(t, ",");
        mr_text_id(t, "actor", i.actor);
        mr_text_put(t, "}");
    }
    mr_text_put(t, "]");
}

static void census_bundle(mr_nodes *n, mr_text *t, mr_id group, uint32_t i)
{
    mr_bundle_info b;
    if (!mr_control_bundle(n->control, group, i, &b))
        return;
    mr_text_put(t, "%s{\"bundle\":%u,\"node\":", i ? "," : "", i);
    if (b.node == UINT32_MAX)
        mr_text_put(t, "null,\"resources\":{");
    else
        mr_text_put(t, "%u,\"resources\":{", b.node);
    for (uint32_t k = 0; k < b.n; k++) {
        mr_text_put(t, "%s", k ? "," : "");
        mr_state_amount(t, mr_control_resource(n->control, b.asks[k].res), b.asks[k].amount);
    }
    mr_text_put(t, "}}");
}

void mr_census_groups(mr_nodes *n, mr_text *t)
{
    static const char *const states[] = {"PENDING", "CREATED", "REMOVED", "RESCHEDULING"};
    bool first = true;
    mr_group_info g;
    mr_text_put(t, "[");
    for (mr_id id = mr_control_group_next(n->control, 0); id; id = mr_control_group_next(n->control, id)) {
        if (!mr_control_group(n->control, id, &g))
            continue;
        mr_text_put(t, "%s{", first ? "" : ",");
        first = false;
        mr_text_id(t, "group", id);
        mr_text_put(t, ",\"state\":\"%s\",\"strategy\":\"%s\",\"unplaced\":%u,\"name\":", states[g.state],
                    mr_group_strategy_name(g.strategy), g.unplaced);
        mr_text_string(t, g.name);
        mr_text_put(t, ",\"namespace\":");
        mr_text_string(t, g.ns);
        mr_text_put(t, ",\"bundles\":[");
        for (uint32_t i = 0; i < g.n_bundles; i++)
            census_bundle(n, t, id, i);
        mr_text_put(t, "]}");
    }
    mr_text_put(t, "]");
}

void mr_census_policies(mr_nodes *n, mr_text *t)
{
    mr_policy_past past;
    mr_text_put(t, "[");
    for (uint32_t i = 0; mr_control_policy_past(n->control, i, &past); i++) {
        mr_text_put(t, "%s{\"at\":%lld,\"policy\":", i ? "," : "", (long long)past.at);
        mr_text_string(t, past.name);
        mr_text_put(t, "}");
    }
    mr_text_put(t, "]");
}
