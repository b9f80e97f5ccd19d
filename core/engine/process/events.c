/* events.c: one event into control, with what the engine keeps beside it: bytes of values, arguments, waits.
 *
 * A worker's record is private here and of checked size; its meaning is checked by mr_record_check, and the fields that
 * say who it is from are overwritten.  Order: what is needed before (arguments kept, stored bytes sealed), the step,
 * then the values, then the actions; so an action always finds the value it is about.
 * Lock: the node list's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"
#include "engine/process/recorder.h"
#include "engine/process/room.h"

/* The value that a record carries. */
typedef struct carried {
    mr_id id;
    uint64_t size;
    uint32_t node, format, flags;
    size_t body;
} carried;

static bool event_value(const mr_record *r, carried *out)
{
    if (r->kind == MR_EV_PUT) {
        const mr_ev_put *e = (const mr_ev_put *)(const void *)r;
        *out = (carried){e->id, e->size, e->node, e->format, e->flags, sizeof(*e)};
    } else if (r->kind == MR_EV_SEALED || r->kind == MR_EV_YIELDED) {
        const mr_ev_sealed *e = (const mr_ev_sealed *)(const void *)r;
        *out = (carried){e->id, e->size, e->node, e->format, e->flags, sizeof(*e)};
    } else if (r->kind == MR_EV_FINISHED) {
        const mr_ev_finished *e = (const mr_ev_finished *)(const void *)r;
        if (!(e->flags & MR_FINISHED_RESULT))
            return false;
        *out = (carried){e->id, e->size, e->node, e->format, e->vflags, sizeof(*e)};
    } else {
        return false;
    }
    return true;
}

mr_status mr_event_place(mr_nodes *n, mr_record *r, uint32_t node)
{
    carried v;
    mr_region to;
    if (!r->n_bytes || !event_value(r, &v) || (v.flags & MR_VALUE_STORED) || mr_room_inline(n, r->n_bytes))
        return MR_OK;
    if (!n->node[node].alive)
        return MR_OK;
    mr_status status = mr_room_create(n, &n->node[node].store, v.id, r->n_bytes, &to);
    if (status)
        return status == MR_E_FULL ? status : MR_OK; /* EXISTS: of an earlier attempt */
    memcpy(to.data, mr_record_bytes(r, v.body), r->n_bytes);
    if (r->kind == MR_EV_PUT) {
        mr_ev_put *e = (mr_ev_put *)(void *)r;
        e->flags |= MR_VALUE_STORED;
        e->node = node;
    } else if (r->kind == MR_EV_FINISHED) {
        mr_ev_finished *e = (mr_ev_finished *)(void *)r;
        e->vflags |= MR_VALUE_STORED;
        e->node = node;
    } else {
        mr_ev_sealed *e = (mr_ev_sealed *)(void *)r;
        e->flags |= MR_VALUE_STORED;
        e->node = node;
    }
    return MR_OK;
}

/* Stored bytes become immutable before control hears of them.  Errors: NOTFOUND, INVAL: they were never created. */
static mr_status event_seal(mr_nodes *n, const carried *v)
{
    if (!(v->flags & MR_VALUE_STORED))
        return MR_OK;
    if (v->node >= n->n_nodes)
        return MR_E_INVAL;
    if (!n->node[v->node].alive)
        return MR_E_NODE_DIED;
    mr_place *s = &n->node[v->node].store;
    return s->ops->seal(s->self, v->id);
}

static void event_unseal(mr_nodes *n, const carried *v)
{
    if (!(v->flags & MR_VALUE_STORED))
        return;
    mr_place *s = &n->node[v->node].store;
    mr_status status = s->ops->remove(s->self, v->id);
    if (status)
        mr_log(MR_LOG_ERROR, "engine", "refused bytes of object %llx stay in the store: %s", (unsigned long long)v->id,
               mr_status_text(status));
}

/* Does an action of this step repeat the value of `id` under another id? */
static bool event_repeated(const mr_nodes *n, mr_id id)
{
    for (size_t i = 0; i < n->actions.n; i++)
        if (n->actions.v[i].kind == MR_ACT_ALIAS && n->actions.v[i].id2 == id)
            return true;
    return false;
}

static bool event_has_value(const mr_nodes *n, mr_id id)
{
    mr_object_state state = mr_control_object(n->control, id).state;
    return state == MR_OBJ_SEALED || state == MR_OBJ_ERROR;
}

/* An error that nobody keeps, and that a report of this step is about: the report and the tables will tell it. */
static void event_blame(mr_nodes *n, const mr_record *r, const carried *v)
{
    for (size_t i = 0; i < n->actions.n; i++) {
        const mr_action *a = &n->actions.v[i];
        if (a->kind == MR_ACT_REPORT && a->flags == MR_REPORT_UNHANDLED && a->id2 == v->id)
            mr_blame_keep(n, a->id, v->format, mr_record_bytes(r, v->body), r->n_bytes);
    }
}

/* After an accepted event: control says whether the object now has this value, or others that repeat it do. */
static void event_keep(mr_nodes *n, const mr_record *r, const carried *v)
{
    bool wanted = (event_has_value(n, v->id) || event_repeated(n, v->id)) && !mr_table_at(&n->values, v->id);
    mr_status status = MR_OK;
    if (!wanted && v->flags == MR_VALUE_ERROR)
        event_blame(n, r, v);
    if (!wanted)
        event_unseal(n, v);
    else if (v->flags & MR_VALUE_STORED)
        status = mr_value_stored(n, v->id, v->format, v->flags, v->node);
    else
        status = mr_value_inline(n, v->id, v->format, v->flags, mr_record_bytes(r, v->body), r->n_bytes);
    if (status) {
        mr_log(MR_LOG_ERROR, "engine", "the value of object %llx was lost: %s", (unsigned long long)v->id,
               mr_status_text(status));
        mr_ev_place ev = {.h = {.size = sizeof(ev), .kind = MR_EV_LOST, .version = MR_RECORD_VERSION}};
        ev.id = v->id;
        ev.node = UINT32_MAX;
        mr_drive_inner(n, &ev.h);
    }
}

static mr_status event_keep_args(mr_nodes *n, const mr_record *r)
{
    const mr_ev_submit *s = (const mr_ev_submit *)(const void *)r;
    size_t len = r->n_bytes - s->name_bytes;
    return mr_payload_keep(n, s->id, mr_record_bytes(r, sizeof(*s)), len);
}

void mr_drive_tick(mr_nodes *n)
{
    int64_t now = mr_nodes_clock(n);
    if (now > atomic_load_explicit(&n->now, memory_order_relaxed))
        atomic_store_explicit(&n->now, now, memory_order_relaxed);
    if (n->watch && mr_watch_asleep(n->watch))
        mr_watch_wake(n->watch);
}

mr_status mr_drive_step(mr_nodes *n, const mr_record *r)
{
    mr_drive_tick(n);
    return mr_drive_apply(n, r);
}

mr_status mr_drive_apply(mr_nodes *n, const mr_record *r)
{
    carried value;
    bool has_value = event_value(r, &value);
    mr_status status = n->ended[0] ? MR_E_CLOSED : MR_OK;
    if (status)
        return status;
    if (r->kind == MR_EV_SUBMIT)
        status = event_keep_args(n, r);
    else if (has_value)
        status = event_seal(n, &value);
    if (status)
        return status;
    size_t first = n->actions.n;
    status = mr_control_step(n->control, r, n->now, &n->actions);
    if (n->actions.lost) {
        mr_nodes_end(n, "no memory for what follows from %s", mr_event_name(r->kind));
        return MR_E_CLOSED;
    }
    if (n->recorder && !status)
        mr_recorder_step(n, r, first);
    if (r->kind == MR_EV_SUBMIT)
        n->stepped |= mr_control_eager(n->control);
    else if (r->kind != MR_EV_REFS && r->kind != MR_EV_DEFINE)
        n->stepped = true;
    if (status && r->kind == MR_EV_SUBMIT)
        mr_payload_drop(n, ((const mr_ev_submit *)(const void *)r)->id);
    if (has_value && status)
        event_unseal(n, &value);
    else if (has_value)
        event_keep(n, r, &value);
    if (n->actions.n)
        mr_actions_run(n);
    if (has_value && !status && !event_has_value(n, value.id))
        mr_value_free(n, value.id, false); /* kept for the actions alone, if at all */
    return status;
}

/* ------------------------------------------------------------------------------------------------ from a worker -- */

static bool event_allowed(uint32_t kind)
{
    switch ((mr_event_kind)kind) {
    case MR_EV_DEFINE:
    case MR_EV_SUBMIT:
    case MR_EV_PUT:
    case MR_EV_SEALED:
    case MR_EV_YIELDED:
    case MR_EV_READ:
    case MR_EV_STARTED:
    case MR_EV_BLOCKED:
    case MR_EV_UNBLOCKED:
    case MR_EV_FINISHED:
    case MR_EV_WORKER_UP:
    case MR_EV_WORKER_RETIRED:
    case MR_EV_REFS:
    case MR_EV_FREE:
    case MR_EV_CANCEL:
    case MR_EV_KILL:
    case MR_EV_NAME:
    case MR_EV_GROUP:
        return true;
    default:
        return false;
    }
}

/* The copy out of the carrier has arrived in the store of the peer's node: its record is stepped now. */
static void event_copied(mr_nodes *n, mr_job *job)
{
    mr_record *r = job->arg;
    mr_peer *p = mr_peer_of(n, job->worker); /* a stalled peer is not buried */
    mr_place *c = mr_carrier(n), *s = &n->node[job->node].store;
    MR_BUG_ON(!p);
    p->stalled = false;
    mr_status status = c->ops->abort(c->self, job->carrier);
    if (status)
        mr_log(MR_LOG_ERROR, "engine", "the carrier keeps bytes of object %llx: %s", (unsigned long long)job->carrier,
               mr_status_text(status));
    if (job->status) {
        if (s->ops->abort(s->self, job->carrier))
            mr_log(MR_LOG_ERROR, "engine", "bytes of object %llx stay in the store", (unsigned long long)job->carrier);
        mr_peer_drop(n, p, "sealed an object that could not be copied");
    } else {
        status = mr_drive_step(n, r);
        if (status)
            mr_log(MR_LOG_DEBUG, "engine", "%s of worker %u was refused: %s", mr_event_name(r->kind), p->worker,
                   mr_status_text(status));
    }
    atomic_fetch_or(&n->links->page.dirty[p->link / 64], UINT64_C(1) << (p->link % 64));
    free(r);
}

static void event_unstall(mr_nodes *n, mr_job *job)
{
    mr_peer *p = mr_peer_of(n, job->worker);
    event_copied(n, job);
    if (p->died)
        mr_peer_bury(n, p);
}

/* A stored value of a worker lies in the carrier; where that is no store of its node, it is copied there first: the
 * record waits for the copy, and the ring with it. */
static void event_fetch(mr_nodes *n, mr_peer *p, const mr_record *r, const carried *v)
{
    mr_place *s = &n->node[p->node].store;
    mr_created *c = mr_carry_created(p, v->id);
    mr_region to = c->home;
    mr_job *job = calloc(1, sizeof(*job));
    mr_record *kept = malloc(r->size);
    if (!job || !kept || !c->has_home) {
        free(job);
        free(kept);
        mr_peer_drop(n, p, "sealed an object that could not be copied");
        return;
    }
    memcpy(kept, r, r->size);
    *job = (mr_job){.populate = s, .to = to, .from = c->region.data, .len = c->region.len, .done = event_unstall};
    job->carrier = v->id;
    job->node = p->node;
    job->worker = p->worker;
    job->arg = kept;
    mr_carry_created_end(p, v->id);
    p->stalled = true;
    if (c->region.len <= MR_SMALL_COPY) {
        memcpy(to.data, job->from, job->len);
        event_copied(n, job);
        free(job);
    } else if (mr_job_add(n, job)) {
        mr_job failed = {.status = MR_E_NOMEM, .carrier = v->id, .node = p->node, .worker = p->worker, .arg = kept};
        event_copied(n, &failed);
    }
}

static void event_from(mr_nodes *n, mr_peer *p, mr_record *r)
{
    (void)n;
    r->from = p->worker;
    if (r->kind == MR_EV_PUT)
        ((mr_ev_put *)(void *)r)->node = p->node;
    else if (r->kind == MR_EV_SEALED || r->kind == MR_EV_YIELDED)
        ((mr_ev_sealed *)(void *)r)->node = p->node;
    else if (r->kind == MR_EV_FINISHED) {
        mr_ev_finished *e = (mr_ev_finished *)(void *)r;
        e->node = p->node;
        if (e->task == p->stood)
            e->ran = MR_UNKNOWN;
    } else if (r->kind == MR_EV_STARTED)
        ((mr_ev_task *)(void *)r)->worker = p->worker;
    else if (r->kind == MR_EV_WORKER_UP || r->kind == MR_EV_WORKER_RETIRED) {
        mr_ev_worker *e = (mr_ev_worker *)(void *)r;
        e->worker = p->worker;
        e->pid = p->pid ? p->pid : e->pid;
        p->pid = e->pid;
        e->how = MR_DEATH_NONE;
        e->code = 0;
        if (r->kind == MR_EV_WORKER_UP)
            p->state = MR_PEER_UP;
        else
            p->retired = true;
    }
}

static void event_wait(mr_nodes *n, mr_peer *p, const mr_record *r)
{
    mr_peer_wait *w = malloc(sizeof(*w) + sizeof(mr_id) * r->n_ids);
    if (!w) {
        mr_peer_reply(n, p, MR_ORD_DELIVER, r->token, MR_E_NOMEM, 0, 0, NULL, 0);
        return;
    }
    w->token = r->token;
    w->n = r->n_ids;
    w->values = ((const mr_ev_blocked *)(const void *)r)->flags & MR_WAIT_VALUES;
    memcpy(w->ids, mr_record_ids(r, sizeof(mr_ev_blocked)), sizeof(mr_id) * r->n_ids);
    w->next = p->waits;
    p->waits = w;
}

/* A worker does not wait for the answer to a submit, so a refusal becomes the value of its results. */
static void event_refused(mr_nodes *n, mr_peer *p, const mr_ev_submit *s, mr_status status, const char *why)
{
    uint32_t results = s->n_returns ? s->n_returns : 1;
    mr_fault fault = {.status = status, .worker = p->worker, .pid = p->pid, .task = s->id};
    char text[1024]; /* the steps below end what control says of this one */
    snprintf(text, sizeof(text), "%s", why && *why ? why : mr_status_text(status));
    for (uint32_t i = 0; i < results && !n->ended[0]; i++) {
        mr_ev_put put = {.h = {.size = sizeof(put), .kind = MR_EV_PUT, .version = MR_RECORD_VERSION}};
        put.h.from = p->worker;
        put.id = s->id + i;
        put.node = p->node;
        put.format = MR_FORMAT_FAULT;
        put.flags = MR_VALUE_ERROR;
        mr_status put_as = mr_control_step(n->control, &put.h, n->now, &n->actions);
        if (put_as == MR_E_NOMEM) /* who waits for it could not be told */
            mr_nodes_end(n, "no memory to refuse task %llx", (unsigned long long)s->id);
        if (put_as)
            continue;
        if (mr_value_fault(n, put.id, &fault, text))
            mr_log(MR_LOG_ERROR, "engine", "out of memory: the refusal of task %llx has no text",
                   (unsigned long long)s->id);
        mr_actions_run(n);
    }
}

/* The value's bytes must be where the worker made them; nonsense drops the peer. */
static bool event_bytes(mr_nodes *n, mr_peer *p, mr_record *r)
{
    carried v;
    if (!event_value(r, &v) || !(v.flags & MR_VALUE_STORED))
        return true;
    mr_created *c = mr_carry_created(p, v.id);
    if (!c || v.size > c->region.len) {
        mr_peer_drop(n, p, "sealed an object that it did not create");
        return false;
    }
    if (c->under != v.id) { /* what the earlier attempt sealed stands */
        mr_carry_abort(n, p, v.id);
        if (r->kind == MR_EV_FINISHED)
            ((mr_ev_finished *)(void *)r)->flags &= ~(uint32_t)MR_FINISHED_RESULT;
        return r->kind == MR_EV_FINISHED;
    }
    if (n->carried) {
        event_fetch(n, p, r, &v);
        return false;
    }
    mr_carry_created_end(p, v.id);
    return true;
}

bool mr_event_take(mr_nodes *n, mr_peer *p, mr_record *r)
{
    mr_err err;
    if (r->kind >= MR_ASK_CREATE) {
        mr_ask_take(n, p, r);
        return !p->dropped;
    }
    mr_status status = mr_record_check(r, r->size, &err);
    if (status || !event_allowed(r->kind)) {
        mr_peer_drop(n, p, status ? err.text : "sent an event that only a node may make");
        return false;
    }
    event_from(n, p, r);
    if (!event_bytes(n, p, r))
        return !p->dropped; /* taken: it is stepped when its copy is there */
    if (r->kind == MR_EV_BLOCKED)
        event_wait(n, p, r);
    uint32_t kind = r->kind, token = r->token;
    if (mr_event_place(n, r, p->node) == MR_E_FULL) {
        /* What is in a worker's ring is never refused, but it may wait for what is on its way to the disk; else the
         * worker has to ask before it makes more. */
        mr_spill_ask(n, p->node, p->worker, r->n_bytes);
        p->waits_room = n->spill.writing && !p->died;
        if (p->waits_room)
            return false;
        mr_room_tight(n, true);
    }
    status = mr_drive_apply(n, r);
    if (kind == MR_EV_UNBLOCKED)
        mr_peer_delivered(n, p, token, MR_E_TIMEOUT);
    if (!status)
        return true;
    if (r->kind == MR_EV_SUBMIT && !r->token)
        event_refused(n, p, (const mr_ev_submit *)(const void *)r, status, mr_control_why(n->control));
    else if (r->kind == MR_EV_BLOCKED)
        mr_peer_delivered(n, p, token, status);
    else if (status == MR_E_NOMEM && !token)
        mr_peer_drop(n, p, "said what there is no memory to note"); /* nobody would know of it */
    else
        mr_log(MR_LOG_DEBUG, "engine", "%s of worker %u was refused: %s", mr_event_name(r->kind), p->worker,
               mr_control_why(n->control));
    return true;
}
