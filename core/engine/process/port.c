/* port.c: the embedded port: the driver's calls, straight into control under the node's lock.
 *
 * Every op may be called by any thread.  What may wait, waits in drive.c; what touches large memory does it unlocked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/process/drive.h"
#include "engine/process/named.h"
#include "engine/process/node.h"
#include "engine/process/room.h"

enum { LAZY_FROM = 8, LOOK_EVERY = 16, VALUES_AT_ONCE = 1024, DISK_WINDOW = 64 };

static mr_nodes *port_nodes(mr_port *p)
{
    return (mr_nodes *)(void *)p;
}

/* With the lock held on OK. */
static mr_status port_enter(mr_nodes *n)
{
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return MR_E_FORKED;
    pthread_mutex_lock(&n->lock);
    mr_drive_burst(n, false);
    if (!n->closing)
        return MR_OK;
    pthread_mutex_unlock(&n->lock);
    return MR_E_CLOSED;
}

static mr_status port_shut(const mr_nodes *n, mr_status status, mr_err *err)
{
    return mr_err_set(err, status, "%s", status == MR_E_CLOSED ? mr_nodes_closed(n) : mr_status_text(status));
}

/* Of a record that was refused. */
static mr_status port_why(const mr_nodes *n, const mr_record *r, mr_status status, mr_err *err)
{
    const char *why = mr_control_why(n->control);
    if (status == MR_E_CLOSED)
        return port_shut(n, status, err);
    if (status == MR_E_NOMEM) /* mostly control has not seen it */
        return mr_err_set(err, status, "out of memory to take a record of %u bytes (%s)", r->size,
                          mr_event_name(r->kind));
    return mr_err_set(err, status, "%s", why && *why ? why : mr_status_text(status));
}

static mr_status port_ids(mr_port *p, uint32_t count, mr_id *first)
{
    mr_nodes *n = port_nodes(p);
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return MR_E_FORKED;
    *first = atomic_fetch_add_explicit(&n->next_id, count, memory_order_relaxed);
    return MR_OK;
}

/* Nothing can start by what was sent, and the rings were looked at a moment ago.  Whatever lies in them, its worker has
 * rung for it or will before it sleeps: the bell has been armed all the time, or someone leads. */
static bool port_may_go(mr_nodes *n)
{
    uint32_t who = atomic_load_explicit(&n->links->page.bell.word, memory_order_relaxed) & 3;
    return !n->stepped && !n->inner && !n->called && !n->hungry && ++n->unlooked < LOOK_EVERY &&
           (n->leader || who == MR_BELL_EVENT);
}

static mr_status port_place(mr_nodes *n, mr_record *r, mr_err *err);

static mr_status port_send(mr_port *p, mr_record *r, mr_err *err)
{
    mr_nodes *n = port_nodes(p);
    mr_status status = port_enter(n);
    if (status)
        return port_shut(n, status, err);
    r->from = 0;
    if (r->kind == MR_EV_PUT && (status = port_place(n, r, err))) {
        mr_drive_unlock(n);
        return status;
    }
    status = mr_drive_step(n, r);
    if (status)
        port_why(n, r, status, err);
    mr_drive_burst(n, r->kind == MR_EV_SUBMIT || r->kind == MR_EV_REFS);
    if (port_may_go(n)) {
        mr_drive_bells(n);
        pthread_mutex_unlock(&n->lock);
        return status;
    }
    mr_drive_pump(n);
    mr_drive_unlock(n);
    return status;
}

static mr_status port_call(mr_port *p, mr_record *r, mr_answer *out, mr_err *err)
{
    mr_nodes *n = port_nodes(p);
    mr_waiter w = {0};
    mr_status status = port_enter(n);
    if (status)
        return port_shut(n, status, err);
    mr_drive_add(n, &w);
    r->from = 0;
    r->token = w.token;
    mr_status stepped = mr_drive_step(n, r);
    if (stepped && !w.done) { /* before control could answer */
        mr_drive_remove(n, &w);
        port_why(n, r, stepped, err);
        mr_drive_unlock(n);
        return stepped;
    }
    mr_drive_pump(n);
    status = mr_drive_wait(n, &w, -1);
    mr_drive_remove(n, &w);
    mr_drive_unlock(n);
    if (status) {
        free(w.text);
        return port_shut(n, status, err);
    }
    *out = (mr_answer){.status = w.status, .value = w.value, .value2 = w.id, .text = w.text};
    return MR_OK;
}

/* ------------------------------------------------------------------------------------------------------ waiting -- */

static size_t wait_look(mr_nodes *n, const mr_id *ids, size_t count, size_t need, bool *settled)
{
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        bool is = mr_control_there(n->control, ids[i]);
        ready += is;
        if (settled)
            settled[i] = is;
        else if (ready >= need || (!is && need == count))
            break;
    }
    return ready;
}

static bool wait_early(mr_nodes *n, const mr_id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mr_object_state state = mr_control_object(n->control, ids[i]).state;
        if (state == MR_OBJ_ERROR || state == MR_OBJ_LOST || state == MR_OBJ_FREED)
            return true;
    }
    return false;
}

static mr_record *wait_record(const mr_id *ids, size_t count, size_t need, uint32_t flags)
{
    size_t size = mr_record_total(sizeof(mr_ev_blocked), (uint32_t)count, 0);
    mr_ev_blocked *b = malloc(size);
    if (!b)
        return NULL;
    *b = (mr_ev_blocked){.h = {.size = (uint32_t)size, .kind = MR_EV_BLOCKED, .version = MR_RECORD_VERSION}};
    b->h.n_ids = (uint32_t)count;
    b->need = (uint32_t)need;
    b->flags = flags;
    memcpy(b + 1, ids, count * sizeof(*ids));
    return &b->h;
}

/* Registers the wait with control and sleeps. */
static mr_status wait_blocked(mr_nodes *n, mr_record *record, bool lazy, int64_t deadline, mr_err *err)
{
    mr_waiter w = {.lazy = lazy, .told = true};
    mr_drive_add(n, &w);
    record->token = w.token;
    mr_status status = mr_drive_step(n, record);
    if (status) {
        port_why(n, record, status, err);
        mr_drive_remove(n, &w);
        return status;
    }
    status = mr_drive_wait(n, &w, deadline);
    if (!w.done) {
        mr_ev_token gone = {.h = {.size = sizeof(gone), .kind = MR_EV_UNBLOCKED, .version = MR_RECORD_VERSION}};
        gone.h.token = w.token;
        if (mr_drive_step(n, &gone.h))
            mr_log(MR_LOG_DEBUG, "engine", "a wait had ended already");
    } else {
        status = w.status;
    }
    mr_drive_remove(n, &w);
    free(w.text);
    return status ? port_shut(n, status, err) : MR_OK;
}

/* Who is interrupted looks after its garbage and comes again, at last to say this. */
static mr_status port_full(mr_nodes *n, mr_status status, uint32_t node, uint64_t len, int64_t waited, mr_err *err)
{
    if (status == MR_E_CLOSED)
        return port_shut(n, status, err);
    if (status != MR_E_FULL && status != MR_E_TOOBIG && status != MR_E_IO)
        return mr_err_set(err, status, "no room for an object of %llu bytes: %s", (unsigned long long)len,
                          mr_status_text(status));
    char why[sizeof(err->text)];
    mr_room_refusal(n, node, status, len, waited, why, sizeof(why));
    return mr_err_set(err, status, "%s", why);
}

/* Asks back what lies on the disk, some at a time, and waits until those have come or can not.  The caller takes what
 * is there, which keeps it there, and comes again. */
static mr_status wait_disk(mr_nodes *n, const mr_id *ids, size_t count, int64_t deadline, mr_err *err)
{
    mr_id asked[DISK_WINDOW];
    size_t n_asked = 0;
    mr_status status = MR_OK;
    for (size_t i = 0; i < count && n_asked < DISK_WINDOW; i++) {
        mr_val *v = mr_value_find(n, ids[i]);
        if (!v || v->kind != MR_VAL_STORED || v->u.stored.nodes)
            continue;
        mr_spill_want(n, ids[i], v);
        asked[n_asked++] = ids[i];
    }
    if (n_asked && (status = mr_spill_fits(n, ids, count, err)))
        return status;
    if (n_asked && deadline == 0) {
        mr_drive_pump(n);
        return MR_E_TIMEOUT;
    }
    for (size_t i = 0; i < n_asked && !status; i++) {
        mr_val *v;
        while (!status && (v = mr_value_find(n, asked[i])) && v->wanted == MR_WANTED) {
            mr_waiter w = {.told = true, .room = true};
            mr_drive_add(n, &w);
            status = mr_drive_wait(n, &w, deadline);
            mr_drive_remove(n, &w);
        }
        v = mr_value_find(n, asked[i]);
        if (!status && v && v->wanted == MR_STARVED)
            status = port_full(n, MR_E_FULL, mr_nodes_first(n), v->len, n->room.full_ns * MR_FETCH_TIMES, err);
    }
    return status;
}

static mr_status port_wait(mr_port *p, const mr_id *ids, size_t count, size_t need, uint32_t flags, int64_t deadline,
                           bool values, bool *settled, mr_err *err)
{
    mr_nodes *n = port_nodes(p);
    if (count > UINT32_MAX / sizeof(mr_id) / 2)
        return mr_err_set(err, MR_E_INVAL, "a wait for %zu objects", count);
    mr_status status = port_enter(n);
    if (status)
        return port_shut(n, status, err);
    uint32_t batches = mr_drive_rest(n); /* what it has submitted may start, since it waits */
    mr_drive_pump(n);
    size_t ready = wait_look(n, ids, count, need, NULL);
    /* Who waits learns of errors from control. */
    bool enough = ready >= need || (deadline == 0 && (flags & MR_WAIT_EARLY) && wait_early(n, ids, count));
    if (!enough && deadline == 0) {
        status = MR_E_TIMEOUT;
    } else if (!enough) {
        mr_record *record = wait_record(ids, count, need, flags & MR_WAIT_EARLY);
        status = record ? wait_blocked(n, record, need - ready >= LAZY_FROM, deadline, err)
                        : mr_err_set(err, MR_E_NOMEM, "out of memory to wait for %zu objects", count);
        free(record);
    }
    if (!status && values && mr_table_count(&n->spill.extents) && !wait_early(n, ids, count))
        status = wait_disk(n, ids, count, deadline, err);
    if (status == MR_E_CLOSED)
        port_shut(n, status, err);
    if (settled)
        wait_look(n, ids, count, need, settled);
    mr_drive_go_on(n, batches);
    mr_drive_unlock(n);
    return status;
}

/* ------------------------------------------------------------------------------------------------------- values -- */

static mr_status value_missing(mr_nodes *n, mr_id id)
{
    switch (mr_control_object(n->control, id).state) {
    case MR_OBJ_PENDING:
        return MR_E_TIMEOUT;
    case MR_OBJ_FREED:
        return MR_E_FREED;
    case MR_OBJ_NONE:
        return MR_E_NOTFOUND;
    default:
        return MR_E_LOST;
    }
}

static void value_one(mr_nodes *n, mr_id id, mr_value *out)
{
    mr_val *v = mr_value_find(n, id);
    if (!v) {
        *out = (mr_value){.id = id, .status = value_missing(n, id)};
        return;
    }
    if (v->kind == MR_VAL_STORED && !v->u.stored.nodes) {
        *out = (mr_value){.id = id, .status = MR_E_BUSY};
        return;
    }
    v->views += v->kind == MR_VAL_STORED;
    v->used = true;
    *out = (mr_value){.id = id, .error = v->flags & MR_VALUE_ERROR, .format = v->format, .len = v->len};
    out->looked = v->kind == MR_VAL_STORED;
    out->data = mr_value_bytes(v);
    if (out->error)
        mr_control_seen(n->control, id);
}

static void port_values(mr_port *p, const mr_id *ids, size_t count, mr_value *out)
{
    mr_nodes *n = port_nodes(p);
    for (size_t from = 0; from < count; from += VALUES_AT_ONCE) {
        size_t end = count - from < VALUES_AT_ONCE ? count : from + VALUES_AT_ONCE;
        mr_status status = port_enter(n);
        for (size_t i = from; i < end; i++)
            if (status)
                out[i] = (mr_value){.id = ids[i], .status = status};
            else
                value_one(n, ids[i], &out[i]);
        if (!status)
            pthread_mutex_unlock(&n->lock);
    }
}

/* A small value counts in `capacity` too. */
static mr_status port_place(mr_nodes *n, mr_record *r, mr_err *err)
{
    uint32_t home = mr_nodes_first(n);
    mr_ev_put *put = (mr_ev_put *)(void *)r;
    bool waits = !(put->flags & MR_VALUE_NOWAIT);
    put->flags &= ~(uint32_t)MR_VALUE_NOWAIT;
    int64_t waited = 0;
    mr_status status =
        waits ? mr_room_wait(n, home, MR_NO_ID, r->n_bytes, r, NULL, &waited) : mr_event_place(n, r, home);
    if (status == MR_E_FULL && !waits)
        return MR_E_BUSY;
    return status ? port_full(n, status, home, r->n_bytes, waited, err) : MR_OK;
}

static mr_status port_create(mr_port *p, mr_id id, uint64_t len, void **data, uint32_t *node, mr_err *err)
{
    mr_nodes *n = port_nodes(p);
    mr_status status = port_enter(n);
    if (status)
        return port_shut(n, status, err);
    uint32_t home = mr_nodes_first(n);
    mr_place *s = &n->node[home].store;
    mr_region region;
    int64_t waited = 0;
    status = mr_room_wait(n, home, id, len, NULL, &region, &waited);
    if (status)
        port_full(n, status, home, len, waited, err);
    mr_drive_unlock(n);
    if (status)
        return status;
    if (len && s->ops->populate && (status = s->ops->populate(s->self, &region)) != MR_OK) {
        pthread_mutex_lock(&n->lock);
        mr_status aborted = s->ops->abort(s->self, id);
        mr_drive_unlock(n);
        return mr_err_set(err, status, "memory for an object of %llu bytes: %s%s", (unsigned long long)len,
                          mr_status_text(status), aborted ? " (and its place was not given back)" : "");
    }
    *data = region.data;
    *node = home;
    return MR_OK;
}

static void port_abort(mr_port *p, mr_id id)
{
    mr_nodes *n = port_nodes(p);
    if (port_enter(n))
        return;
    bool found = false;
    for (uint32_t i = 0; !found && i < n->n_nodes; i++) {
        mr_place *s = &n->node[i].store;
        found = s->self && s->ops->abort(s->self, id) == MR_OK;
    }
    if (!found)
        mr_log(MR_LOG_DEBUG, "engine", "abort of object %llx: it was not being written", (unsigned long long)id);
    mr_drive_unlock(n);
}

static void port_forget(mr_port *p, mr_id id)
{
    (void)p;
    (void)id; /* values are the node's own */
}

static void port_unview(mr_port *p, mr_id id, uint32_t views)
{
    mr_nodes *n = port_nodes(p);
    if (port_enter(n))
        return;
    mr_value_unview(n, id, views);
    pthread_mutex_unlock(&n->lock);
}

static mr_status port_on_ready(mr_port *p, mr_id id, void (*done)(void *arg, mr_id id), void *arg)
{
    mr_nodes *n = port_nodes(p);
    mr_waiter *w = aligned_alloc(_Alignof(mr_waiter), sizeof(*w));
    mr_record *record = wait_record(&id, 1, 1, 0);
    if (w)
        memset(w, 0, sizeof(*w));
    mr_status status = w && record ? port_enter(n) : MR_E_NOMEM;
    if (status)
        goto out;
    mr_drive_pump(n);
    if (mr_control_settled(n->control, id)) {
        mr_drive_unlock(n);
        done(arg, id);
        goto out;
    }
    mr_drive_add(n, w);
    w->call = done;
    w->arg = arg;
    w->id = id;
    record->token = w->token;
    status = mr_drive_step(n, record);
    if (status)
        mr_drive_remove(n, w);
    else
        w = NULL; /* its own: freed when it was called, or at close */
    mr_drive_unlock(n);
out:
    free(w);
    free(record);
    return status;
}

static mr_status port_state(mr_port *p, const char *what, char **json, mr_err *err)
{
    mr_nodes *n = port_nodes(p);
    mr_status status = port_enter(n);
    if (status)
        return port_shut(n, status, err);
    mr_drive_pump(n);
    char *text = mr_state_json(n, what, &status, err);
    mr_drive_unlock(n);
    if (!status)
        *json = text;
    return status;
}

static mr_status port_note(mr_port *p, mr_id first, uint32_t count, mr_note_kind kind, const char *text)
{
    mr_nodes *n = port_nodes(p);
    mr_status status = port_enter(n);
    if (status)
        return status;
    mr_drive_pump(n);
    status = mr_notes_add(n, first, count, kind, text);
    mr_drive_unlock(n);
    return status;
}

static const mr_define *port_func(mr_port *p, uint32_t func)
{
    mr_nodes *n = port_nodes(p);
    if (port_enter(n))
        return NULL;
    const mr_define *def = mr_control_func(n->control, func);
    pthread_mutex_unlock(&n->lock);
    return def;
}

static mr_status port_node_add(mr_port *p, const mr_node_def *def, uint32_t *out, mr_err *err)
{
    mr_nodes *n = port_nodes(p);
    mr_status status = port_enter(n);
    if (status)
        return port_shut(n, status, err);
    status = mr_nodes_grow(n, def, out, err);
    mr_drive_pump(n);
    mr_drive_unlock(n);
    return status;
}

static mr_status port_node_remove(mr_port *p, uint32_t node, mr_err *err)
{
    mr_nodes *n = port_nodes(p);
    mr_status status = port_enter(n);
    if (status)
        return port_shut(n, status, err);
    status = mr_nodes_shrink(n, node, err);
    mr_drive_pump(n);
    mr_drive_unlock(n);
    return status;
}

static mr_status port_policy(mr_port *p, const char *policy, mr_err *err)
{
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return mr_err_set(err, MR_E_FORKED, "%s", mr_status_text(MR_E_FORKED));
    return mr_nodes_policy(port_nodes(p), policy, NULL, err);
}

static void port_batch(mr_port *p, bool begin)
{
    mr_nodes *n = port_nodes(p);
    if (port_enter(n))
        return;
    mr_drive_batch(n, begin);
    mr_drive_pump(n);
    mr_drive_unlock(n);
}

/* --------------------------------------------------------------------------------------------------------- end -- */

static void port_stop(mr_port *p)
{
    mr_nodes *n = port_nodes(p);
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return;
    pthread_mutex_lock(&n->lock);
    if (!n->closing) {
        n->closing = true;
        atomic_store(&n->links->page.closing, 1);
        for (mr_waiter *w = n->waiters.next, *next; w != &n->waiters; w = next) {
            next = w->next;
            mr_drive_wake(n, w, MR_E_CLOSED);
        }
    }
    mr_drive_unlock(n);
    mr_output_close(n);
}

static void port_close(mr_port *p)
{
    mr_nodes *n = port_nodes(p);
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return; /* a forked child owns nothing of it: no thread, no process, and its memory goes with it */
    port_stop(p);
    mr_nodes_policy_end(n);
    mr_spawn_end(n);
    mr_movers_stop(n);
    mr_progress_stop(n);
    mr_watch_stop(n);
    mr_nodes_free(n);
}

const mr_port_ops mr_node_port = {
    .ids = port_ids,
    .send = port_send,
    .call = port_call,
    .wait = port_wait,
    .values = port_values,
    .create = port_create,
    .abort = port_abort,
    .forget = port_forget,
    .unview = port_unview,
    .on_ready = port_on_ready,
    .state = port_state,
    .note = port_note,
    .func = port_func,
    .batch = port_batch,
    .named_save = mr_named_save,
    .named_look = mr_named_look,
    .named_end = mr_named_end,
    .node_add = port_node_add,
    .node_remove = port_node_remove,
    .policy = port_policy,
    .close = port_close,
    .stop = port_stop,
};
