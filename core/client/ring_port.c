/* ring_port.c: the port's ops of a worker: requests, waits, ids, memory of large values; opening and closing.
 *
 * Locks: those of port_state.h; ids_lock for the block of ids is its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "client/backlog.h"
#include "client/cancel.h"
#include "client/held.h"
#include "client/inbox.h"
#include "client/lease.h"
#include "client/outbox.h"
#include "client/ring_port.h"
#include "client/thread.h"
#include "client/waiters.h"

enum { SPIN_NS = 40000, POPULATE_FROM = 1 << 20 };

static mr_ring_port *of(mr_port *p)
{
    return (mr_ring_port *)p;
}

/* --------------------------------------------------------------------------------------------------------- ops -- */

static mr_status op_ids(mr_port *port, uint32_t n, mr_id *first)
{
    mr_ring_port *p = of(port);
    mr_status st = MR_OK;
    pthread_mutex_lock(&p->ids_lock);
    while (!st && p->id_left < n) {
        /* The lock is left for the question, so two threads may ask at once; what is over of a block is not used. */
        pthread_mutex_unlock(&p->ids_lock);
        mr_answer a;
        st = mr_outbox_ask(p, MR_ASK_IDS, 0, n, 0, &a, NULL);
        pthread_mutex_lock(&p->ids_lock);
        if (!st && p->id_left < n) {
            p->id_next = a.value;
            p->id_left = a.value2;
        }
    }
    if (!st) {
        *first = p->id_next;
        p->id_next += n;
        p->id_left -= n;
    }
    pthread_mutex_unlock(&p->ids_lock);
    return st;
}

static mr_status op_send(mr_port *port, mr_record *r, mr_err *err)
{
    if (r->kind == MR_EV_PUT) /* here it never waits for room: the ring is always drained */
        ((mr_ev_put *)(void *)r)->flags &= ~(uint32_t)MR_VALUE_NOWAIT;
    /* References given up can wait for the next completion; all else is worth a look of the node at once. */
    mr_status st = mr_outbox_send(of(port), r, r->kind != MR_EV_REFS);
    return st ? mr_err_set(err, st, "record %s: %s", mr_event_name(r->kind) ? mr_event_name(r->kind) : "?",
                           mr_status_text(st))
              : MR_OK;
}

static mr_status op_call(mr_port *port, mr_record *r, mr_answer *out, mr_err *err)
{
    mr_ring_port *p = of(port);
    mr_waiter w;
    mr_waiters_join(p, &w, MR_FOR_TOKEN);
    r->token = w.token;
    mr_status st = mr_outbox_send(p, r, true);
    if (!st)
        st = mr_inbox_wait(p, &w, -1, false);
    mr_waiters_part(p, &w);
    if (st) {
        free(w.answer.text);
        return mr_err_set(err, st, "%s", st == MR_E_CLOSED ? "the session is closing" : mr_status_text(st));
    }
    if (w.answer.status && err)
        mr_err_set(err, w.answer.status, "%s", w.answer.text ? w.answer.text : mr_status_text(w.answer.status));
    *out = w.answer;
    return MR_OK;
}

/* What is known without asking.  True if that is enough. */
static bool wait_local(mr_ring_port *p, const mr_id *ids, size_t n, size_t need, uint32_t flags, bool *settled)
{
    size_t have = 0;
    bool enough = false, error = false;
    pthread_mutex_lock(&p->in_lock);
    for (size_t i = 0; i < n; i++) {
        bool has = mr_held_has(p, ids[i], &error);
        if (settled)
            settled[i] = has;
        have += has;
        if (has && error && (flags & MR_WAIT_EARLY))
            enough = true;
    }
    mr_outbox_unlock(p);
    return enough || have >= need;
}

static mr_status send_unblocked(mr_ring_port *p, uint32_t token)
{
    mr_ev_token ev = {.h = {.size = sizeof(ev), .kind = MR_EV_UNBLOCKED, .version = MR_RECORD_VERSION, .token = token}};
    return mr_outbox_send(p, &ev.h, true);
}

/* `who` waits; NULL: nobody stands still for it. */
static mr_status send_blocked(mr_ring_port *p, const mr_id *ids, size_t n, size_t need, uint32_t flags, uint32_t token,
                              const mr_thread *who)
{
    size_t size = mr_record_total(sizeof(mr_ev_blocked), (uint32_t)n, 0);
    uint64_t small[64];
    mr_ev_blocked *ev = size <= sizeof(small) ? (mr_ev_blocked *)(void *)small : malloc(size);
    if (!ev)
        return MR_E_NOMEM;
    memset(ev, 0, sizeof(*ev));
    ev->h = (mr_record){.size = (uint32_t)size,
                        .kind = MR_EV_BLOCKED,
                        .version = MR_RECORD_VERSION,
                        .n_ids = (uint32_t)n,
                        .token = token};
    ev->task = who ? who->task : 0;
    ev->need = (uint32_t)need;
    ev->flags = flags | (who && who->lends ? MR_WAIT_LEND : 0);
    memcpy(ev + 1, ids, n * sizeof(*ids));
    mr_status st = mr_outbox_send(p, &ev->h, true);
    if (ev != (mr_ev_blocked *)(void *)small)
        free(ev);
    return st;
}

static mr_status op_wait(mr_port *port, const mr_id *ids, size_t n, size_t need, uint32_t flags, int64_t deadline,
                         bool values, bool *settled, mr_err *err)
{
    mr_ring_port *p = of(port);
    if (wait_local(p, ids, n, need, flags, settled))
        return MR_OK;
    mr_waiter w;
    mr_waiters_join(p, &w, MR_FOR_TOKEN);
    w.settled = settled;
    w.n = n;
    flags |= (values ? MR_WAIT_VALUES : 0) | (deadline >= 0 ? MR_WAIT_TIMED : 0);
    mr_status st = send_blocked(p, ids, n, need, flags, w.token, mr_thread_self());
    if (!st && deadline == 0)
        st = MR_E_TIMEOUT;
    else if (!st)
        st = mr_inbox_wait(p, &w, deadline, true);
    bool given_up = st == MR_E_TIMEOUT || st == MR_E_INTERRUPTED || st == MR_E_CANCELLED;
    if (given_up && mr_outbox_unsend(p, w.token)) {
        w.answer.status = st; /* the node has not heard of it */
    } else if (st == MR_E_TIMEOUT) {
        /* The answer tells what is settled; it is on its way in any case. */
        st = send_unblocked(p, w.token);
        if (!st)
            st = mr_inbox_wait(p, &w, -1, false);
    } else if (given_up) {
        mr_status gone = send_unblocked(p, w.token);
        st = gone ? gone : st;
    }
    mr_waiters_part(p, &w);
    if (!st)
        st = w.answer.status;
    if (st && st != MR_E_TIMEOUT)
        mr_err_set(err, st, "%s", w.answer.text ? w.answer.text : mr_status_text(st));
    free(w.answer.text);
    return st;
}

static void op_values(mr_port *port, const mr_id *ids, size_t n, mr_value *out)
{
    for (size_t i = 0; i < n; i++) {
        mr_status st = mr_held_value(of(port), ids[i], &out[i]);
        out[i].id = ids[i];
        out[i].status = st;
    }
}

mr_status mr_ring_create(mr_port *port, mr_id id, uint64_t len, bool fresh, void **data, uint32_t *node, mr_err *err)
{
    mr_ring_port *p = of(port);
    mr_answer a;
    mr_region own;
    if (fresh && mr_lease_take(p, id, len, &own)) {
        *data = own.data;
        *node = p->link->node;
        return MR_OK;
    }
    mr_status st = mr_outbox_ask(p, MR_ASK_CREATE, id, len, 0, &a, err);
    if (st)
        return st;
    const mr_store_ops *ops = &p->loaded->ops.store;
    mr_region r = {.data = p->carrier ? ops->view(p->carrier, a.value, len, true) : NULL, .len = len, .at = a.value};
    if (!r.data)
        return mr_err_set(err, MR_E_PROTOCOL, "the node gave %llu bytes at %llu, which is outside of what it shares",
                          (unsigned long long)len, (unsigned long long)a.value);
    if (len >= POPULATE_FROM && ops->populate && (st = ops->populate(p->carrier, &r))) {
        port->ops->abort(port, id);
        return mr_err_set(err, st, "%llu bytes of memory for object %llx: %s", (unsigned long long)len,
                          (unsigned long long)id, mr_status_text(st));
    }
    *data = r.data;
    *node = p->link->node;
    return MR_OK;
}

static mr_status op_create(mr_port *port, mr_id id, uint64_t len, void **data, uint32_t *node, mr_err *err)
{
    return mr_ring_create(port, id, len, true, data, node, err);
}

static void op_abort(mr_port *port, mr_id id)
{
    mr_ask ask = {.h = {.size = sizeof(ask), .kind = MR_ASK_ABORT, .version = MR_RECORD_VERSION}, .id = id};
    mr_status st = mr_outbox_send(of(port), &ask.h, false);
    (void)st; /* closed: the node takes everything back */
}

static void op_forget(mr_port *port, mr_id id)
{
    mr_held_forget(of(port), id);
}

static void op_unview(mr_port *port, mr_id id, uint32_t n)
{
    mr_held_unview(of(port), id, n);
}

static mr_status op_on_ready(mr_port *port, mr_id id, void (*done)(void *arg, mr_id id), void *arg)
{
    mr_ring_port *p = of(port);
    if (wait_local(p, &id, 1, 1, 0, NULL)) {
        done(arg, id);
        return MR_OK;
    }
    mr_status st = mr_inbox_watch(p);
    mr_ready_cb *cb = st ? NULL : malloc(sizeof(*cb));
    if (!cb)
        return st ? st : MR_E_NOMEM;
    mr_waiter w; /* only for its token */
    mr_waiters_join(p, &w, MR_FOR_TOKEN);
    mr_waiters_part(p, &w);
    *cb = (mr_ready_cb){.token = w.token, .id = id, .done = done, .arg = arg};
    pthread_mutex_lock(&p->in_lock);
    cb->next = p->awaited;
    p->awaited = cb;
    pthread_mutex_unlock(&p->in_lock);
    return send_blocked(p, &id, 1, 1, 0, w.token, NULL);
}

static mr_status op_note(mr_port *port, mr_id first, uint32_t n, mr_note_kind kind, const char *text)
{
    size_t len = text ? strlen(text) : 0, size = mr_record_total(sizeof(mr_ask), 0, (uint32_t)len);
    mr_ask *ask = len <= MR_NOTE_MAX ? calloc(1, size) : NULL;
    if (!ask)
        return len > MR_NOTE_MAX ? MR_E_TOOBIG : MR_E_NOMEM;
    ask->h = (mr_record){
        .size = (uint32_t)size, .kind = MR_ASK_NOTE, .version = MR_RECORD_VERSION, .n_bytes = (uint32_t)len};
    ask->id = first;
    ask->len = n;
    ask->at = kind;
    if (len)
        memcpy(ask + 1, text, len);
    mr_status st = mr_outbox_send(of(port), &ask->h, false);
    free(ask);
    return st;
}

static mr_status op_state(mr_port *port, const char *what, char **json, mr_err *err)
{
    size_t len = strlen(what), size = mr_record_total(sizeof(mr_ask), 0, (uint32_t)len);
    mr_ask *ask = len <= 4096 ? calloc(1, size) : NULL;
    if (!ask)
        return mr_err_set(err, len > 4096 ? MR_E_NOTFOUND : MR_E_NOMEM, "state \"%.60s\"", what);
    ask->h = (mr_record){
        .size = (uint32_t)size, .kind = MR_ASK_STATE, .version = MR_RECORD_VERSION, .n_bytes = (uint32_t)len};
    memcpy(ask + 1, what, len);
    mr_answer a = {0};
    mr_status st = op_call(port, &ask->h, &a, err);
    free(ask);
    if (!st && !a.status && !a.text)
        a.status = MR_E_NOMEM;
    if (!st && a.status)
        st = mr_err_set(err, a.status, "%s", a.text ? a.text : mr_status_text(a.status));
    if (st)
        free(a.text);
    else
        *json = a.text;
    return st;
}

static const mr_define *op_func(mr_port *port, uint32_t number)
{
    mr_ring_port *p = of(port);
    pthread_mutex_lock(&p->in_lock);
    const mr_known_func *f = mr_backlog_func(p, number);
    const mr_define *def = f ? f->def : NULL;
    pthread_mutex_unlock(&p->in_lock);
    return def;
}

static void op_batch(mr_port *port, bool begin)
{
    /* What is one event to the policy is a driver's business; here the end of a batch is when the node is rung. */
    if (!begin)
        mr_outbox_nudge(of(port));
}

static void op_stop(mr_port *port)
{
    mr_inbox_stop(of(port));
}

static void op_close(mr_port *port)
{
    mr_ring_port *p = of(port);
    mr_inbox_stop(p);
    mr_cancel_disarm(p);
    if (p->watching)
        pthread_join(p->watcher, NULL);
    if (p->call_fd >= 0)
        close(p->call_fd);
    for (mr_ready_cb *cb = p->awaited; cb;) {
        mr_ready_cb *next = cb->next;
        free(cb);
        cb = next;
    }
    mr_backlog_fini(p);
    mr_held_fini(p);
    mr_outbox_fini(p);
    mr_blob_drop(p->partial);
    free(p->returns);
    if (p->carrier)
        p->loaded->ops.store.detach(p->carrier);
    if (p->host)
        mr_host_free(p->host);
    if (p->loaded)
        mr_plugin_unload(p->loaded);
    munmap(p->link, sizeof(*p->link));
    munmap(p->page, sizeof(*p->page));
    pthread_mutex_destroy(&p->in_lock);
    pthread_mutex_destroy(&p->out_lock);
    pthread_mutex_destroy(&p->ids_lock);
    pthread_mutex_destroy(&p->lease.lock);
    free(p);
}

/* ------------------------------------------------------------------------------------------------------- opening -- */

static const mr_port_ops ring_port_ops = {
    .ids = op_ids,
    .send = op_send,
    .call = op_call,
    .wait = op_wait,
    .values = op_values,
    .create = op_create,
    .abort = op_abort,
    .forget = op_forget,
    .unview = op_unview,
    .on_ready = op_on_ready,
    .state = op_state,
    .note = op_note,
    .func = op_func,
    .batch = op_batch,
    .stop = op_stop,
    .close = op_close,
};

static int64_t carrier_now(void *arg)
{
    (void)arg;
    return mr_clock_ns();
}

static mr_status open_carrier(mr_ring_port *p, const mr_ring_conf *conf, mr_err *err)
{
    if (!conf->carrier || !conf->carrier[0])
        return MR_OK;
    mr_status st = mr_plugin_load(&p->loaded, conf->carrier, MR_KIND_STORE, NULL, NULL, err);
    if (st)
        return st;
    const mr_store_ops *ops = &p->loaded->ops.store;
    if (!ops->attach || !ops->view || !ops->detach)
        return mr_err_set(err, MR_E_PLUGIN, "%s: this store cannot be shared with a worker (no attach, view or detach)",
                          conf->carrier);
    st = mr_host_new(&p->host, p->loaded->plugin, NULL, carrier_now, NULL);
    if (st)
        return mr_err_set(err, st, "%s: %s", conf->carrier, mr_status_text(st));
    return ops->attach(&p->carrier, mr_host_table(p->host), &conf->share, err);
}

mr_status mr_ring_port_open(const mr_ring_conf *conf, mr_ring_port **out, mr_err *err)
{
    const char *spin = getenv("MINIRAY_ENGINE_SPIN_US");
    mr_ring_port *p = aligned_alloc(64, (sizeof(*p) + 63) & ~(size_t)63);
    if (!p)
        return mr_err_set(err, MR_E_NOMEM, "%s", mr_status_text(MR_E_NOMEM));
    memset(p, 0, sizeof(*p));
    p->port =
        (mr_port){.ops = &ring_port_ops, .session = conf->session, .inline_max = conf->inline_max, .worker = true};
    p->port.explains = conf->explains;
    p->port.tight = &conf->page->tight;
    p->page = conf->page;
    p->link = conf->link;
    p->number = conf->number;
    p->index = conf->index;
    p->event_fd = conf->event_fd;
    p->id_next = conf->link->id_first;
    p->id_left = conf->link->id_count;
    p->spin_ns = spin ? atoll(spin) * 1000 : SPIN_NS;
    p->idle_most = conf->share.size / 64;
    p->call_fd = -1;
    p->dry = true;
    pthread_mutex_init(&p->in_lock, NULL);
    pthread_mutex_init(&p->out_lock, NULL);
    pthread_mutex_init(&p->ids_lock, NULL);
    pthread_mutex_init(&p->lease.lock, NULL);
    p->lease.wait = 1;
    mr_table_init(&p->held, sizeof(mr_held));
    mr_table_init(&p->funcs, sizeof(mr_known_func *));
    mr_ring_end_init(&p->out, &p->link->out, p->link->out_data, MR_RING_BYTES, true);
    mr_ring_end_init(&p->in, &p->link->in, p->link->in_data, MR_RING_BYTES, false);
    mr_status st = open_carrier(p, conf, err);
    if (st) {
        if (p->host)
            mr_host_free(p->host);
        if (p->loaded)
            mr_plugin_unload(p->loaded);
        free(p);
        return st;
    }
    *out = p;
    return MR_OK;
}
