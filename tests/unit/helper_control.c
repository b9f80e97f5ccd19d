/* helper_control.c: owns one control and the actions not taken yet; plays the engine.  Knows no process, no clock. */
#include "helper_control.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep(world *w)
{
    for (size_t i = 0; i < w->out.n; i++) {
        if (w->n_seen == w->room_seen) {
            w->room_seen = w->room_seen ? w->room_seen * 2 : 256;
            w->seen = realloc(w->seen, w->room_seen * sizeof *w->seen);
        }
        w->seen[w->n_seen++] = w->out.v[i];
        if (w->out.v[i].kind == MR_ACT_WAKE)
            w->wake = w->out.v[i].value;
    }
    w->out.n = 0;
}

static void check_now(world *w, const char *after)
{
    mr_err err = {0};
    if (!w->unchecked && mr_control_check(w->c, &err))
        ck_abort_msg("after %s at %lld: %s", after, (long long)w->now, err.text);
}

mr_status world_step(world *w, void *record)
{
    mr_record *r = record;
    mr_err err = {0};
    r->version = MR_RECORD_VERSION;
    r->size = (uint32_t)mr_record_total(mr_event_size(r->kind), r->n_ids, r->n_bytes);
    if (mr_record_check(r, r->size, &err))
        ck_abort_msg("%s", err.text);
    size_t from = w->n_seen;
    w->last = (w->step ? w->step : mr_control_step)(w->c, r, w->now, &w->out);
    keep(w);
    check_now(w, mr_event_name(r->kind));
    for (size_t i = from; i < w->n_seen && !w->hold_births; i++)
        if (w->seen[i].kind == MR_ACT_SPAWN) {
            uint32_t worker = w->seen[i].worker;
            mr_status last = w->last;
            memmove(&w->seen[i], &w->seen[i + 1], (--w->n_seen - i) * sizeof *w->seen);
            world_up(w, worker);
            w->last = last;
            i = from - 1;
        }
    return w->last;
}

static void *event(uint32_t kind, uint32_t n_ids, uint32_t n_bytes, const mr_id *ids)
{
    size_t body = mr_event_size(kind);
    mr_record *r = calloc(1, mr_record_total(body, n_ids, n_bytes) + 8);
    r->kind = (uint16_t)kind;
    r->n_ids = n_ids;
    r->n_bytes = n_bytes;
    if (n_ids)
        memcpy((char *)r + body, ids, n_ids * sizeof *ids);
    return r;
}

static mr_status send(world *w, void *record)
{
    mr_status status = world_step(w, record);
    free(record);
    return status;
}

static uint32_t count_ids(const mr_id *ids)
{
    uint32_t n = 0;
    while (ids && ids[n])
        n++;
    return n;
}

void world_time(world *w, int64_t later)
{
    if (!mr_control_eager(w->c) &&
        (w->wake <= 0 ||
         w->wake > w->now)) { /* an engine leaves the instant open then: only what is held ahead may come of it */
        size_t from = w->n_seen;
        send(w, event(MR_EV_TIME, 0, 0, NULL));
        for (size_t i = from; i < w->n_seen; i++)
            ck_assert_msg(w->seen[i].kind == MR_ACT_WAKE ||
                              (w->seen[i].kind == MR_ACT_DISPATCH && w->seen[i].value < 0),
                          "closing a quiet instant made action %d", w->seen[i].kind);
    }
    w->now += later;
    send(w, event(MR_EV_TIME, 0, 0, NULL));
}

/* "CPU=2 memory=100": CPU, GPU and custom ones in whole units. */
static uint32_t read_amounts(const char *text, mr_named *out)
{
    uint32_t n = 0;
    int used;
    double x;
    while (sscanf(text, " %55[^=]=%lf%n", out[n].name, &x, &used) == 2) {
        out[n].amount = strcmp(out[n].name, "memory") ? (int64_t)(x * MR_RES_UNIT) : (int64_t)x;
        text += used;
        n++;
    }
    return n;
}

uint32_t world_node(world *w, const char *amounts)
{
    return world_labelled(w, amounts, "");
}

uint32_t world_labelled(world *w, const char *amounts, const char *labels)
{
    mr_named v[16];
    mr_label l[8] = {0};
    int used;
    uint32_t n = read_amounts(amounts, v), m = 0, number = mr_control_nodes(w->c);
    for (; sscanf(labels, " %31[^=]=%31s%n", l[m].key, l[m].value, &used) == 2; m++)
        labels += used;
    mr_ev_node *e = event(MR_EV_NODE_ADDED, 0, n * sizeof *v + m * sizeof *l, NULL);
    memcpy(e + 1, v, n * sizeof *v);
    memcpy((char *)(e + 1) + n * sizeof *v, l, m * sizeof *l);
    e->n_labels = m;
    e->node = number;
    e->n_amounts = n;
    e->speed = 1;
    snprintf(e->name, sizeof e->name, "node-%u", number);
    ck_assert_int_eq(send(w, e), MR_OK);
    return number;
}

void world_new(world *w, const char *node)
{
    mr_control_conf conf = w->conf;
    bool hold = w->hold_births, unchecked = w->unchecked;
    memset(w, 0, sizeof *w);
    if (!conf.max_workers) {
        mr_control_conf_init(&conf);
        conf.prefetch = 0;
    }
    w->conf = conf;
    w->hold_births = hold;
    w->unchecked = unchecked;
    w->next_id = 1000;
    ck_assert_int_eq(mr_control_new(&conf, &w->c), MR_OK);
    if (node)
        world_node(w, node);
}

void world_free(world *w)
{
    mr_control_free(w->c);
    mr_actions_free(&w->out);
    free(w->seen);
    memset(w, 0, sizeof *w);
}

/* ------------------------------------------------------------------------------------------------------ defining -- */

uint32_t world_define(world *w, spec s)
{
    mr_named needs[16], living[16];
    uint32_t n = read_amounts(s.needs ? s.needs : s.kind == MR_FUNC_TASK ? "CPU=1" : "", needs);
    uint32_t m = read_amounts(s.living ? s.living : "", living), labels = s.label ? 1 : 0;
    mr_define *d =
        event(MR_EV_DEFINE, 0, (n + m) * sizeof *needs + labels * sizeof(mr_label) + s.n_terms * sizeof(mr_term), NULL);
    memcpy(d + 1, needs, n * sizeof *needs);
    memcpy((char *)(d + 1) + n * sizeof *needs, living, m * sizeof *living);
    mr_label *label = (mr_label *)((char *)(d + 1) + (n + m) * sizeof *needs);
    if (s.label)
        sscanf(s.label, "%31[^=]=%31s", label->key, label->value);
    d->kind = (uint8_t)s.kind;
    d->flags = s.flags;
    d->env = s.env;
    d->strategy = (uint8_t)s.strategy;
    d->n_returns = 1;
    d->max_retries = s.retries;
    d->max_restarts = s.restarts;
    d->max_concurrency = s.concurrency ? s.concurrency : 1;
    d->lane = s.lane;
    for (d->n_lanes = 0; d->n_lanes < 2 && s.lanes[d->n_lanes]; d->n_lanes++)
        d->lanes[d->n_lanes] = s.lanes[d->n_lanes];
    d->max_pending = s.max_pending ? s.max_pending : -1;
    d->window = s.window ? s.window : -1;
    d->max_calls = s.max_calls;
    d->estimate = s.estimate ? s.estimate : MR_UNKNOWN;
    d->limit = s.limit ? s.limit : MR_UNKNOWN;
    d->deadline = s.deadline ? s.deadline : MR_UNKNOWN;
    d->node = s.node;
    if (s.n_terms)
        memcpy(label + labels, s.terms, s.n_terms * sizeof(mr_term));
    d->n_terms = s.n_terms;
    d->max_running = s.max_running;
    d->group = s.group;
    d->bundle = s.bundle - 1;
    d->n_needs = n;
    d->n_living = m;
    d->n_labels = labels;
    d->h.token = ++w->next_token;
    snprintf(d->name, sizeof d->name, "%s", s.name ? s.name : "f");
    snprintf(d->user, sizeof d->user, "%s", s.user ? s.user : "");
    if (send(w, d))
        return 0;
    mr_action a;
    ck_assert(world_took(w, MR_ACT_REPLY, 0, &a));
    return (uint32_t)a.value;
}

uint32_t world_func(world *w, const char *name, const char *needs)
{
    return world_define(w, (spec){.name = name, .needs = needs});
}

mr_id world_call(world *w, call k)
{
    uint32_t n = k.n_deps + k.n_refs;
    mr_ev_submit *e = event(MR_EV_SUBMIT, n, k.name_bytes, k.ids);
    if (k.name_bytes)
        memcpy((char *)(e + 1) + n * sizeof(mr_id), k.name, k.name_bytes);
    mr_id id = w->next_id;
    e->id = id;
    e->actor = k.actor;
    e->parent = w->parent;
    e->h.from = w->client;
    e->h.token = k.flags & MR_SUBMIT_GET_IF_EXISTS ? ++w->next_token : 0;
    e->func = k.func;
    e->flags = k.flags | (k.name_bytes ? MR_SUBMIT_NAMED : 0);
    e->n_returns = k.n_returns;
    e->n_deps = k.n_deps;
    e->n_refs = k.n_refs;
    e->name_bytes = k.name_bytes;
    e->priority = k.priority;
    e->estimate = k.estimate ? k.estimate : MR_UNKNOWN;
    w->next_id += k.n_returns ? k.n_returns : 1;
    return send(w, e) ? 0 : id;
}

mr_id world_submit(world *w, uint32_t func, const mr_id *deps)
{
    return world_call(w, (call){.func = func, .n_returns = 1, .n_deps = count_ids(deps), .ids = deps});
}

mr_id world_run(world *w, uint32_t func)
{
    return world_submit(w, func, NULL);
}

/* ------------------------------------------------------------------------------------------------------- groups -- */

static mr_id ask_group(world *w, mr_ev_group *e)
{
    mr_action a;
    e->h.token = ++w->next_token;
    if (send(w, e)) {
        ck_assert(world_took(w, MR_ACT_REPLY, 0, &a) && a.status == w->last);
        return 0;
    }
    ck_assert(world_took(w, MR_ACT_REPLY, 0, &a));
    return (mr_id)a.value;
}

/* "ns\0name\0" */
static uint32_t full_name(const char *name, char *text)
{
    return name ? (uint32_t)snprintf(text, 64, "ns%c%s", 0, name) + 1 : 0;
}

mr_id world_group(world *w, mr_group_strategy strategy, const char *bundles, uint32_t flags, const char *name)
{
    mr_named v[64] = {0};
    char text[64], one[64];
    uint32_t n = 0, n_bundles = 0, name_bytes = full_name(name, text);
    for (const char *at = bundles; *at; at += *at == ';') {
        size_t len = strcspn(at, ";");
        snprintf(one, sizeof one, "%.*s", (int)len, at);
        n += read_amounts(one, v + n);
        memset(&v[n++], 0, sizeof *v);
        n_bundles++;
        at += len;
    }
    mr_ev_group *e = event(MR_EV_GROUP, 0, (uint32_t)(n * sizeof *v) + name_bytes, NULL);
    memcpy(e + 1, v, n * sizeof *v);
    memcpy((char *)(e + 1) + n * sizeof *v, text, name_bytes);
    e->op = MR_GROUP_MAKE;
    e->id = w->next_id++;
    e->strategy = strategy;
    e->flags = flags;
    e->n_bundles = n_bundles;
    e->n_amounts = n;
    e->name_bytes = name_bytes;
    e->h.from = w->client;
    return ask_group(w, e);
}

mr_id world_ask_group(world *w, mr_group_op op, mr_id id, uint32_t client, const char *name)
{
    char text[64];
    uint32_t n = full_name(name, text);
    mr_ev_group *e = event(MR_EV_GROUP, 0, n, NULL);
    memcpy(e + 1, text, n);
    e->op = op;
    e->id = id;
    e->h.from = client;
    return ask_group(w, e);
}

mr_id world_put(world *w, uint64_t size, uint32_t node, const mr_id *refs)
{
    mr_ev_put *e = event(MR_EV_PUT, count_ids(refs), 0, refs);
    e->id = w->next_id++;
    e->size = size ? size : 10;
    e->node = node;
    e->flags = size ? MR_VALUE_STORED : 0;
    e->h.from = w->client;
    mr_id id = e->id;
    ck_assert_int_eq(send(w, e), MR_OK);
    return id;
}

static void refs(world *w, mr_id id, uint32_t n_add)
{
    mr_ev_refs *e = event(MR_EV_REFS, 1, 0, &id);
    e->n_add = n_add;
    e->h.from = w->client;
    ck_assert_int_eq(send(w, e), MR_OK);
}

void world_drop(world *w, mr_id id)
{
    refs(w, id, 0);
}

void world_hold(world *w, mr_id id)
{
    refs(w, id, 1);
}

/* ------------------------------------------------------------------------------------------------------- actions -- */

static size_t find(world *w, mr_action_kind kind, mr_id id)
{
    for (size_t i = 0; i < w->n_seen; i++)
        if (w->seen[i].kind == kind && (!id || w->seen[i].id == id))
            return i;
    return SIZE_MAX;
}

bool world_took(world *w, mr_action_kind kind, mr_id id, mr_action *out)
{
    size_t i = find(w, kind, id);
    if (i == SIZE_MAX)
        return false;
    if (out)
        *out = w->seen[i];
    memmove(&w->seen[i], &w->seen[i + 1], (--w->n_seen - i) * sizeof *w->seen);
    return true;
}

bool world_sees(world *w, mr_action_kind kind, mr_id id)
{
    return find(w, kind, id) != SIZE_MAX;
}

size_t world_count(world *w, mr_action_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_seen; i++)
        n += w->seen[i].kind == kind;
    return n;
}

void world_forget(world *w)
{
    w->n_seen = 0;
}

/* ------------------------------------------------------------------------------------------------------- workers -- */

static bool find_task(world *w, mr_id id, mr_task_info *out)
{
    uint64_t at = 0;
    while (mr_control_task_next(w->c, &at, out))
        if (out->task == id && out->state != MR_OVER)
            return true;
    return false;
}

uint32_t world_worker(world *w, mr_id id)
{
    mr_task_info t;
    return find_task(w, id, &t) ? t.worker : 0;
}

mr_status world_finish_as(world *w, mr_id id, mr_status outcome, uint32_t flags, int64_t ran)
{
    mr_task_info t = {.attempt = 1};
    find_task(w, id, &t);
    mr_ev_finished *e = event(MR_EV_FINISHED, 0, 0, NULL);
    e->task = e->id = id;
    e->attempt = t.attempt;
    e->outcome = outcome;
    e->flags = flags;
    e->size = 8;
    e->ran = ran;
    e->h.from = t.worker;
    return send(w, e);
}

mr_status world_finish(world *w, mr_id id)
{
    return world_finish_as(w, id, MR_OK, MR_FINISHED_RESULT, 1000);
}

static mr_ev_sealed *sealed(world *w, uint32_t kind, mr_id id, uint32_t index, const mr_id *in)
{
    mr_task_info t = {.attempt = 1};
    find_task(w, id, &t);
    mr_ev_sealed *e = event(kind, count_ids(in), 0, in);
    e->task = id;
    e->attempt = t.attempt;
    e->index = index;
    e->size = 8;
    e->h.from = t.worker;
    return e;
}

mr_status world_seal(world *w, mr_id id, uint32_t index, uint64_t size, uint32_t node, const mr_id *in)
{
    mr_ev_sealed *e = sealed(w, MR_EV_SEALED, id, index, in);
    e->id = id + index;
    e->size = size ? size : 8;
    e->node = node;
    e->flags = size ? MR_VALUE_STORED : 0;
    return send(w, e);
}

mr_status world_yield(world *w, mr_id task, uint32_t index, mr_id id)
{
    mr_ev_sealed *e = sealed(w, MR_EV_YIELDED, task, index, NULL);
    e->id = id;
    return send(w, e);
}

static void worker_event(world *w, uint32_t kind, uint32_t worker, mr_death how, int code)
{
    mr_ev_worker *e = event(kind, 0, 0, NULL);
    e->worker = worker;
    e->pid = 4000 + (int32_t)worker;
    e->how = how;
    e->code = code;
    send(w, e);
}

void world_die(world *w, uint32_t worker, mr_death how, int code)
{
    worker_event(w, MR_EV_WORKER_DIED, worker, how, code);
}

void world_retired(world *w, uint32_t worker)
{
    worker_event(w, MR_EV_WORKER_RETIRED, worker, MR_DEATH_NONE, 0);
}

void world_up(world *w, uint32_t worker)
{
    worker_event(w, MR_EV_WORKER_UP, worker, MR_DEATH_NONE, 0);
}

static mr_status cancel(world *w, uint32_t kind, mr_id id, uint32_t flags)
{
    mr_ev_cancel *e = event(kind, 0, 0, NULL);
    e->id = id;
    e->flags = flags;
    e->h.from = w->client;
    return send(w, e);
}

mr_status world_cancel(world *w, mr_id id, uint32_t flags)
{
    return cancel(w, MR_EV_CANCEL, id, flags);
}

mr_status world_kill(world *w, mr_id id, uint32_t flags)
{
    return cancel(w, MR_EV_KILL, id, flags);
}

uint32_t world_block(world *w, uint32_t client, mr_id task, uint32_t need, uint32_t flags, const mr_id *ids)
{
    mr_ev_blocked *e = event(MR_EV_BLOCKED, count_ids(ids), 0, ids);
    uint32_t token = ++w->next_token;
    e->h.from = client;
    e->h.token = token;
    e->task = task;
    e->need = need;
    e->flags = flags;
    send(w, e);
    return token;
}

void world_unblock(world *w, uint32_t client, uint32_t token)
{
    mr_ev_token *e = event(MR_EV_UNBLOCKED, 0, 0, NULL);
    e->h.from = client;
    e->h.token = token;
    send(w, e);
}

mr_status world_revoked(world *w, mr_id id, bool ok)
{
    mr_task_info t = {.attempt = 1};
    find_task(w, id, &t);
    mr_ev_task *e = event(MR_EV_REVOKED, 0, 0, NULL);
    e->task = id;
    e->attempt = t.attempt;
    e->ok = ok;
    e->h.from = t.worker;
    return send(w, e);
}

mr_status world_free_object(world *w, mr_id id)
{
    return send(w, event(MR_EV_FREE, 1, 0, (mr_id[]){id, 0}));
}

mr_status world_unbegun(world *w, const mr_id *tasks, mr_death how)
{
    mr_ev_worker *e = event(MR_EV_UNSENT, count_ids(tasks), 0, tasks);
    e->worker = world_worker(w, tasks[0]);
    e->how = how;
    return send(w, e);
}

mr_status world_unsent(world *w, const mr_id *tasks)
{
    return world_unbegun(w, tasks, MR_DEATH_NONE);
}

static void place(world *w, uint32_t kind, mr_id id, uint32_t node)
{
    mr_ev_place *e = event(kind, 0, 0, NULL);
    e->id = id;
    e->node = node;
    send(w, e);
}

void world_arrived(world *w, mr_id id, uint32_t node)
{
    place(w, MR_EV_ARRIVED, id, node);
}

void world_remove_node(world *w, uint32_t node)
{
    place(w, MR_EV_NODE_REMOVED, 0, node);
}

/* ---------------------------------------------------------------------------------------------------- looking in -- */

mr_object_state world_state(world *w, mr_id id)
{
    return mr_control_object(w->c, id).state;
}

int64_t world_free_cpu(world *w, uint32_t node)
{
    mr_node_info n;
    ck_assert(mr_control_node(w->c, node, &n));
    return n.free[MR_RES_CPU];
}

mr_control_stats world_stats(world *w)
{
    mr_control_stats s;
    mr_control_stats_get(w->c, &s);
    return s;
}

void world_nothing_left(world *w)
{
    mr_control_stats s = world_stats(w);
    ck_assert_uint_eq(s.tasks, 0);
    for (mr_id i = 1; s.objects && i < w->next_id; i++) {
        mr_object_info o = mr_control_object(w->c, i);
        ck_assert_msg(o.state == MR_OBJ_NONE, "object %llu is left: state %d, %u holders, of task %llu",
                      (unsigned long long)i, o.state, o.holders, (unsigned long long)o.task);
    }
    ck_assert_uint_eq(s.objects, 0);
    ck_assert_uint_eq(s.object_bytes, 0);
    for (uint32_t i = 0; i < mr_control_nodes(w->c); i++) {
        mr_node_info n;
        ck_assert(mr_control_node(w->c, i, &n));
        for (uint32_t k = 0; n.alive && k < n.n; k++)
            ck_assert_int_eq(n.free[k], n.total[k]);
    }
}
