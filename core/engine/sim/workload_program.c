/* workload_program.c: the fields of a line of JSONL that make a task a program: what it submits, seals, waits for and
 * fails while it runs, and actors with their calls.  Knows the fields, not what becomes of them.  No state. */
#include "engine/sim/workload_program.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static mr_status flag(const mr_json_at *at, const char *field, const cJSON *v, bool *out)
{
    if (!cJSON_IsBool(v))
        return mr_json_fail(at, field, "expected true or false");
    *out = cJSON_IsTrue(v);
    return MR_OK;
}

/* ---- "actor": {"concurrency": 4, "groups": [2], "loop": true, "stays": true, "keeps": {"CPU": 1}} ---- */

typedef struct actor {
    mr_define *def;
    mr_wl_program *p;
} actor;

static mr_status read_concurrency(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    double n = 0;
    mr_status status = mr_json_number(at, field, v, 1, 1e6, &n);
    ((actor *)into)->def->max_concurrency = (int32_t)n;
    return status;
}

static mr_status read_groups(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    mr_define *d = ((actor *)into)->def;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > MR_LANES_MAX)
        return mr_json_fail(at, field, "expected a list of up to %d numbers", MR_LANES_MAX);
    for (const cJSON *one = v->child; one; one = one->next) {
        double n = 0;
        mr_status status = mr_json_number(at, field, one, 1, UINT16_MAX, &n);
        if (status)
            return status;
        d->lanes[d->n_lanes++] = (uint16_t)n;
    }
    return MR_OK;
}

static mr_status read_loop(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    bool yes = false;
    mr_status status = flag(at, field, v, &yes);
    ((actor *)into)->def->flags |= yes ? MR_FUNC_ASYNC : 0;
    return status;
}

static mr_status read_stays(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return flag(at, field, v, &((actor *)into)->p->stays);
}

static mr_status read_keeps(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    mr_wl_program *p = ((actor *)into)->p;
    if (!cJSON_IsObject(v))
        return mr_json_fail(at, field, "expected an object of names and amounts");
    for (const cJSON *one = v->child; one; one = one->next) {
        double amount = 0;
        mr_named *n = &p->keeps[p->n_keeps];
        if (p->n_keeps == sizeof p->keeps / sizeof *p->keeps || strlen(one->string) >= sizeof n->name)
            return mr_json_fail(at, field, "too many resources, or a name that is too long");
        mr_status status = mr_json_number(at, field, one, 0, 1e18, &amount);
        if (status)
            return status;
        snprintf(n->name, sizeof n->name, "%s", one->string);
        n->amount = (int64_t)(amount * (strcmp(one->string, "memory") == 0 ? 1 : MR_RES_UNIT) + 0.5);
        p->n_keeps += n->amount > 0;
    }
    return MR_OK;
}

static const mr_json_field actor_fields[] = {{"concurrency", read_concurrency},
                                             {"groups", read_groups},
                                             {"loop", read_loop},
                                             {"stays", read_stays},
                                             {"keeps", read_keeps}};

/* ---- "waits": [{"after_s": 0.2, "for": ["a", "b"], "need": 1}] ---- */

typedef struct wait {
    int64_t after;
    const cJSON *names;
    double need;
} wait;

static mr_status read_after(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_seconds(at, field, v, &((wait *)into)->after);
}

static mr_status read_for(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    ((wait *)into)->names = v;
    return cJSON_IsArray(v) ? MR_OK : mr_json_fail(at, field, "expected a list of tasks and files");
}

static mr_status read_need(const mr_json_at *at, const char *field, const cJSON *v, void *into)
{
    return mr_json_number(at, field, v, 1, 1e9, &((wait *)into)->need);
}

static const mr_json_field wait_fields[] = {{"after_s", read_after}, {"for", read_for}, {"need", read_need}};

static mr_status add_wait(const mr_json_at *at, mr_workload *w, const cJSON *v)
{
    wait one = {0};
    mr_status status = mr_json_read(at, v, wait_fields, sizeof wait_fields / sizeof *wait_fields, &one);
    if (!status && !one.names)
        status = mr_json_fail(at, "waits", "a wait is {\"after_s\", \"for\": [tasks and files]}");
    if (!status && mr_workload_point(w, MR_WL_WAITS, one.after, 0))
        status = mr_err_set(at->err, MR_E_NOMEM, "%s: out of memory", w->path);
    if (status)
        return status;
    uint32_t point = w->n_points - 1;
    w->points[point].need = one.need > 0 ? (uint32_t)one.need : (uint32_t)cJSON_GetArraySize(one.names);
    for (const cJSON *name = one.names->child; !status && name; name = name->next) {
        const char *text;
        mr_json_here(at, name);
        status = mr_json_text(at, "waits", name, 400, &text);
        if (!status)
            status = mr_workload_input(w, MR_WL_WAIT, text, false, point, at->line, at->err);
    }
    return status;
}

static mr_status add_fails(const mr_json_at *at, mr_workload *w, const cJSON *list)
{
    mr_status status = MR_OK;
    uint32_t attempt = 0;
    for (const cJSON *v = list->child; !status && v; v = v->next) {
        int64_t after = 0;
        mr_json_here(at, v);
        status = mr_json_seconds(at, "fails_s", v, &after);
        if (!status && mr_workload_point(w, MR_WL_FAILS, after, ++attempt))
            status = mr_err_set(at->err, MR_E_NOMEM, "%s: out of memory", w->path);
    }
    return status;
}

mr_status mr_wl_program_shape(const mr_json_at *at, mr_wl_program *p, mr_define *d)
{
    if ((p->on || p->actor) && !p->retries)
        d->max_retries = 0; /* as on real nodes */
    if (p->on) {
        d->kind = MR_FUNC_METHOD;
        d->lane = (uint8_t)p->group;
    }
    if (!p->actor)
        return MR_OK;
    actor a = {d, p};
    d->kind = MR_FUNC_ACTOR;
    d->max_restarts = d->max_retries;
    if (p->on)
        return mr_json_fail(at, "actor", "a call makes no actor");
    mr_json_here(at, p->actor);
    return mr_json_read(at, p->actor, actor_fields, sizeof actor_fields / sizeof *actor_fields, &a);
}

mr_status mr_wl_program_add(const mr_json_at *at, mr_workload *w, const mr_wl_program *p)
{
    mr_status status = MR_OK;
    mr_wl_task *t = &w->tasks[w->last];
    bool any = p->actor || p->on || p->parent || p->waits || p->fails || p->driver;
    if (any && w->stream)
        return mr_json_fail(at, NULL, "the tasks of a stream are no programs: this line needs the whole file");
    if (p->actor) {
        t->actor = w->last;
        if (t->n_objects)
            return mr_json_fail(at, "outputs", "the result of this task is the actor");
        status = mr_workload_output(w, NULL, 0, at->line, at->err);
        if (!status && p->stays)
            w->objects[w->tasks[w->last].first_object].consumers++;
    }
    if (!status && p->on)
        status = mr_workload_input(w, MR_WL_ACTOR, p->on, false, 0, at->line, at->err);
    if (!status && p->parent)
        status = mr_workload_input(w, MR_WL_STARTER, p->parent, false, (uint64_t)p->after, at->line, at->err);
    for (const cJSON *v = p->waits ? p->waits->child : NULL; !status && v; v = v->next) {
        mr_json_here(at, v);
        status = add_wait(at, w, v);
    }
    if (!status && p->fails)
        status = add_fails(at, w, p->fails);
    if (!status && p->driver)
        status = mr_workload_driver(w, at->line, at->err);
    return status;
}
