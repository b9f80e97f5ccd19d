/* control.c: the entry and the life of the whole: which handler takes which event, and what is settled after it.
 *
 * Owns the mr_control.  Makes no system call, starts no thread, reads no clock.  No lock: one step at a time.
 */
#include "control/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

enum { ACTIONS_AT_LEAST = 32 }; /* there is room for so many before a step begins */

/* ------------------------------------------------------------------------------------------------------- actions -- */

static bool actions_grow(mr_actions *a)
{
    size_t cap = a->cap ? a->cap * 2 : 2 * ACTIONS_AT_LEAST;
    mr_action *v = realloc(a->v, cap * sizeof *v);
    if (!v)
        return false;
    memset(v + a->cap, 0, (cap - a->cap) * sizeof *v);
    a->v = v;
    a->cap = cap;
    return true;
}

/* In the middle of a step: what is already changed can not be told without them. */
void mr_control_more(mr_control *c)
{
    mr_actions *a = c->out;
    if (actions_grow(a))
        return;
    a->lost = true;
    a->n = 0;
}

void mr_actions_free(mr_actions *a)
{
    free(a->v);
    memset(a, 0, sizeof *a);
}

void mr_control_reply(mr_control *c, const mr_record *h, mr_status status, int64_t value)
{
    if (!h->token)
        return;
    mr_action *x = mr_control_act(c, MR_ACT_REPLY);
    x->client = h->from;
    x->token = h->token;
    x->status = status;
    x->value = value;
    memset(&x->fault, 0, sizeof x->fault);
    if (status) {
        x->fault = c->fault;
        x->fault.status = status;
    }
}

mr_status mr_control_refuse(mr_control *c, mr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->why, sizeof c->why, fmt, args);
    va_end(args);
    return status;
}

void *mr_control_alloc(mr_control *c, size_t size)
{
    void *p = calloc(1, size);
    if (p)
        c->heap += size;
    return p;
}

void mr_control_unalloc(mr_control *c, void *p, size_t size)
{
    if (!p)
        return;
    c->heap -= size;
    free(p);
}

bool mr_control_grow(mr_control *c, void *array, uint32_t *room, uint64_t want, size_t size)
{
    void *old, *v;
    if (want <= *room)
        return true;
    uint64_t more = want < 2 * (uint64_t)*room ? 2 * (uint64_t)*room : want;
    memcpy(&old, array, sizeof old);
    if (more > UINT32_MAX || !(v = realloc(old, more * size)))
        return false;
    memset((char *)v + *room * size, 0, (more - *room) * size);
    memcpy(array, &v, sizeof v);
    c->heap += (more - *room) * size;
    *room = (uint32_t)more;
    return true;
}

/* ------------------------------------------------------------------------------------------------------ the step -- */

enum { AGAIN_NS = 10000000 };

int64_t mr_control_starved(const mr_control *c)
{
    return c->again_tries * AGAIN_NS;
}

void mr_control_again(mr_control *c)
{
    if (c->again_at >= 0)
        return;
    c->again_at = c->now + AGAIN_NS;
    c->hungry = true; /* the close has a wake to tell */
}

static mr_status on_time(mr_control *c, const mr_record *r)
{
    (void)r;
    mr_ready_close(c);
    return MR_OK;
}

/* Who takes which event, and the least size of its record. */
#define HANDLERS(H)                                                                                                    \
    H(DEFINE, mr_func_define)                                                                                          \
    H(SUBMIT, mr_task_submit)                                                                                          \
    H(PUT, mr_object_put)                                                                                              \
    H(SEALED, mr_task_sealed)                                                                                          \
    H(YIELDED, mr_stream_yielded)                                                                                      \
    H(READ, mr_stream_read)                                                                                            \
    H(STARTED, mr_task_started)                                                                                        \
    H(BLOCKED, mr_wait_blocked)                                                                                        \
    H(UNBLOCKED, mr_wait_unblocked)                                                                                    \
    H(FINISHED, mr_task_finished)                                                                                      \
    H(WORKER_UP, mr_proc_up)                                                                                           \
    H(WORKER_RETIRED, mr_proc_retired)                                                                                 \
    H(WORKER_DIED, mr_proc_died)                                                                                       \
    H(REFS, mr_holder_refs)                                                                                            \
    H(FREE, mr_holder_free)                                                                                            \
    H(CANCEL, mr_task_cancel)                                                                                          \
    H(KILL, mr_actor_kill)                                                                                             \
    H(NAME, mr_actor_name)                                                                                             \
    H(GROUP, mr_group_event)                                                                                           \
    H(ARRIVED, mr_object_arrived)                                                                                      \
    H(LOST, mr_object_lost)                                                                                            \
    H(SPILLED, mr_spill_out)                                                                                           \
    H(RESTORED, mr_spill_back)                                                                                         \
    H(STORE_FULL, mr_spill_full)                                                                                       \
    H(REVOKED, mr_task_revoked)                                                                                        \
    H(STOPPED, mr_stop_confirmed)                                                                                      \
    H(NODE_ADDED, mr_node_added)                                                                                       \
    H(NODE_REMOVED, mr_node_removed)                                                                                   \
    H(POLICY, mr_policy_swapped)                                                                                       \
    H(TIME, on_time)                                                                                                   \
    H(WANTED, mr_spill_wanted)                                                                                         \
    H(UNSENT, mr_lineage_unsent)
static const struct handler {
    mr_status (*take)(mr_control *c, const mr_record *r);
    uint32_t size;
    bool bulk; /* comes in bulk, and never looks at who is idle: seats may stay at rest over it (seats.c) */
} handlers[MR_EV_COUNT] = {
#define MR_EVENT_SIZE(name, type) [MR_EV_##name].size = sizeof(type),
    MR_EVENT_MAP(MR_EVENT_SIZE)
#undef MR_EVENT_SIZE
#define TAKES(name, function) [MR_EV_##name].take = function,
        HANDLERS(TAKES)
#undef TAKES
            [MR_EV_NONE]
                .size = UINT32_MAX, /* so large is no record */
    [MR_EV_SUBMIT].bulk = true,
    [MR_EV_FINISHED].bulk = true,
    [MR_EV_SEALED].bulk = true,
    [MR_EV_REFS].bulk = true,
    [MR_EV_PUT].bulk = true,
    [MR_EV_TIME].bulk = true};

static bool wants_reply(uint32_t k)
{
    return k == MR_EV_DEFINE || k == MR_EV_SUBMIT || k == MR_EV_READ || k == MR_EV_NAME || k == MR_EV_GROUP;
}

void mr_control_drain(mr_control *c)
{
    for (;;) {
        task *t = mr_tlist_pop(&c->failing);
        if (t) {
            mr_task_failing(c, t);
            continue;
        }
        object *o = c->freeing;
        if (!o)
            return;
        c->freeing = o->next_free;
        mr_object_free_now(c, o);
    }
}

static mr_status unknown(mr_control *c, const mr_record *event)
{
    return mr_control_refuse(c, MR_E_INVAL, "event of unknown kind %u or short size %u", event->kind, event->size);
}

/* What a handler left to be settled, and the answer to one that failed. */
static mr_status settle(mr_control *c, const mr_record *event, mr_status status)
{
    mr_control_drain(c);
    if (status && event->token && wants_reply(event->kind))
        mr_control_reply(c, event, status, 0);
    return status;
}

mr_status mr_control_step(mr_control *c, const mr_record *event, int64_t now, mr_actions *out)
{
    const struct handler *h = &handlers[event->kind < MR_EV_COUNT ? event->kind : MR_EV_NONE];
    if (event->size < h->size)
        return unknown(c, event);
    if (__builtin_expect(out->cap - out->n < ACTIONS_AT_LEAST, 0) && (out->lost || !actions_grow(out)))
        return mr_control_refuse(c, MR_E_NOMEM, "no memory for what is to be done");
    c->out = out;
    c->steps++;
    if (now > c->now)
        c->now = now;
    c->why[0] = 0;
    c->fault.status = 0;
    c->cause_slot = 0;
    if (!h->bulk && c->n_rest)
        mr_seats_give_up(c);
    mr_status status = h->take(c, event);
    if (status || c->failing.head || c->freeing)
        status = settle(c, event, status);
    c->out = NULL;
    return __builtin_expect(out->lost, 0) ? MR_E_NOMEM : status;
}

const char *mr_control_why(const mr_control *c)
{
    return c->why;
}

/* ---------------------------------------------------------------------------------------------------------- life -- */

void mr_control_conf_init(mr_control_conf *conf)
{
    *conf = (mr_control_conf){.seed = 1,
                              .max_hold = INT64_C(1000000000),
                              .prefetch = 200000,
                              .prefetch_max = 48,
                              .actor_window = 255,
                              .max_workers = 2000,
                              .history = 1000,
                              .idle_worker = INT64_C(60000000000),
                              .grace = MR_UNKNOWN,
                              .know = MR_KNOW_LEARNED,
                              .latency = 100000,
                              .min_slice = 1000000};
}

mr_status mr_control_new(const mr_control_conf *conf, mr_control **out)
{
    mr_control *c = calloc(1, sizeof *c);
    if (!c)
        return MR_E_NOMEM;
    c->conf = *conf;
    c->conf.quotas = NULL;
    if (c->conf.prefetch_max > 63)
        c->conf.prefetch_max = 63;
    if (c->conf.actor_window > 255)
        c->conf.actor_window = 255;
    if (!c->conf.actor_window)
        c->conf.actor_window = 1;
    mr_table_init(&c->tasks, sizeof(task));
    mr_table_init(&c->objects, sizeof(object));
    mr_table_init(&c->procs, sizeof(proc));
    mr_table_init(&c->actors, sizeof(actor));
    mr_table_init(&c->streams, sizeof(stream));
    mr_table_init(&c->groups, sizeof(group *));
    mr_blocks_init(&c->keys);
    mr_list_init(&c->active);
    mr_list_init(&c->roomy);
    mr_list_init(&c->aheads);
    mr_list_init(&c->named);
    mr_list_init(&c->lenders);
    mr_list_init(&c->pending);
    mr_list_init(&c->named_groups);
    mr_list_init(&c->driver_waits);
    c->next_proc = 1;
    c->hold_since = c->idle_at = c->kill_at = c->stuck_at = c->ahead_at = c->ask_at = c->again_at = c->told_wake =
        MR_UNKNOWN;
    c->pol.wake_at = MR_UNKNOWN;
    c->pol.c = c;
    c->pol.now = &c->pol.own_now;
    mr_rand_seed(&c->pol.rand, conf->seed, 0x706f6c);
    snprintf(c->pol.name, sizeof c->pol.name, "fifo");
    snprintf(c->pol.now->policy, sizeof c->pol.now->policy, "fifo");
    uint32_t n;
    mr_named *quotas = malloc((conf->n_quotas + 1) * sizeof *quotas);
    if (!(c->conf.quotas = quotas))
        goto fail;
    if (conf->n_quotas)
        memcpy(quotas, conf->quotas, conf->n_quotas * sizeof *quotas);
    if (conf->history && !(c->history = calloc(conf->history, sizeof *c->history)))
        goto fail;
    if (mr_intern_new(&c->names) || mr_intern_new(&c->res) || mr_intern_new(&c->defs))
        goto fail;
    /* Resource i has interned number i + 1. */
    if (mr_intern_put(c->res, "CPU", 3, &n) || mr_intern_put(c->res, "GPU", 3, &n) ||
        mr_intern_put(c->res, "memory", 6, &n))
        goto fail;
    mr_policy_host_init(c, NULL);
    if (conf->explain && !mr_explain_new(c))
        goto fail;
    *out = c;
    return MR_OK;
fail:
    mr_control_free(c);
    return MR_E_NOMEM;
}

static void free_waits(mr_link *waits)
{
    for (mr_link *l; (l = mr_list_pop_front(waits));)
        free(MR_LIST_ENTRY(l, waiter, link));
}

void mr_control_free(mr_control *c)
{
    if (!c)
        return;
    mr_policy_fini(c);
    uint64_t at = 0, id;
    for (task *t; (t = mr_table_next(&c->tasks, &at, &id));)
        free(t->ids);
    at = 0;
    for (object *o; (o = mr_table_next(&c->objects, &at, &id));)
        free(o->x);
    at = 0;
    for (actor *a; (a = mr_table_next(&c->actors, &at, &id));)
        mr_actor_free(c, a);
    at = 0;
    for (proc *p; (p = mr_table_next(&c->procs, &at, &id));) {
        free_waits(&p->waits);
        mr_idset_fini(&p->holds);
    }
    free_waits(&c->driver_waits);
    mr_streams_free(c);
    mr_groups_free(c);
    mr_table_fini(&c->tasks);
    mr_table_fini(&c->objects);
    mr_table_fini(&c->procs);
    mr_table_fini(&c->actors);
    mr_table_fini(&c->streams);
    mr_slab_fini(&c->keys);
    for (uint32_t i = 0; i < c->n_nodes; i++)
        mr_node_free(c, c->nodes[i]);
    free(c->nodes);
    free(c->slots);
    mr_funcs_free(c);
    mr_caps_free(c);
    free((void *)(uintptr_t)c->conf.quotas);
    free(c->idle.w);
    free(c->node_idle.w);
    free(c->timers);
    mr_stop_fini(c);
    free(c->history);
    free(c->explain);
    mr_intern_free(c->names);
    mr_intern_free(c->res);
    mr_intern_free(c->defs);
    free(c);
}
