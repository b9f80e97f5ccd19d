/* calls.c: a task from the moment a thread takes it: its claim, its arguments, its end.
 *
 * It does not know what a result looks like (results.c).  Lock: in_lock for the list of open calls; a call itself is
 * used by one thread.
 */
#include "client/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "client/backlog.h"
#include "client/held.h"
#include "client/inbox.h"
#include "client/lease.h"
#include "client/outbox.h"
#include "client/thread.h"
#include "client/waiters.h"

/* Lent copies go back unless the process keeps them; in_lock held. */
static void return_deps(mr_call *c)
{
    for (uint32_t i = c->order ? c->order->n_deps : 0; i-- > 0;) /* the node looks for the last lent first */
        if (c->deps[i].flags & MR_DEP_LENT)
            mr_outbox_return(c->port, c->deps[i].id, c->deps[i].at);
}

mr_status mr_calls_next(mr_ring_port *p, int64_t deadline, mr_call **out)
{
    mr_waiter w;
    mr_status st = MR_OK;
    pthread_mutex_lock(&p->in_lock);
    if (!p->leader)
        mr_inbox_look(p);
    mr_call *c = mr_backlog_take(p);
    if (!c && p->call_fd_set) {
        uint64_t count;
        p->call_fd_set = read(p->call_fd, &count, sizeof(count)) < 0 && errno != EAGAIN;
    }
    p->dry = !c;
    mr_outbox_unlock(p);
    if (c) {
        *out = c;
        return MR_OK;
    }
    mr_waiters_join(p, &w, MR_FOR_CALL);
    while (!c && !st) {
        st = mr_inbox_wait(p, &w, deadline, true);
        pthread_mutex_lock(&p->in_lock);
        w.done = false;
        c = mr_backlog_take(p); /* also when it is closing: what was given is not lost by a race */
        pthread_mutex_unlock(&p->in_lock);
    }
    mr_waiters_part(p, &w);
    if (!c)
        return st == MR_E_CANCELLED ? MR_E_INTERRUPTED : st;
    *out = c;
    return MR_OK;
}

int mr_calls_fd(mr_ring_port *p)
{
    if (mr_inbox_watch(p))
        return -1;
    pthread_mutex_lock(&p->in_lock);
    if (p->call_fd < 0)
        p->call_fd = eventfd(p->queue.first ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->call_fd_set = p->queue.first != NULL;
    pthread_mutex_unlock(&p->in_lock);
    return p->call_fd;
}

/* --------------------------------------------------------------------------------------------------- start, stop -- */

void mr_calls_describe(const mr_call *c, mr_call_info *out)
{
    *out = (mr_call_info){.kind = c->kind, .task = c->task};
    if (!c->order)
        return;
    const mr_ord_dispatch *o = c->order;
    const mr_define *d = c->func->def;
    out->actor = o->actor;
    out->code = d->code;
    out->func = o->func;
    out->attempt = o->attempt;
    out->gpus = o->gpus;
    out->n_returns = o->n_returns;
    out->n_deps = o->n_deps;
    out->n_refs = o->n_refs;
    out->flags = d->flags;
    out->max_concurrency = (uint32_t)d->max_concurrency;
    out->lane = d->lane;
    out->window = d->window;
    out->name = d->name;
    out->entry = d->entry;
    out->data = (const char *)o + o->args_at;
    out->len = o->args_len;
}

bool mr_calls_long(const mr_call *c)
{
    int64_t usual = c->func ? atomic_load_explicit(&c->func->ran, memory_order_relaxed) : MR_UNKNOWN;
    return usual == MR_UNKNOWN || usual > MR_CALL_LONG;
}

const mr_id *mr_calls_kept_refs(const mr_call *c, uint32_t *n)
{
    *n = c->last ? c->last->h.n_ids : 0;
    return *n ? (const mr_id *)(c->last + 1) : NULL;
}

bool mr_calls_cancelled(const mr_call *c)
{
    mr_ring_port *p = c->port;
    if (!c->order || c->main)
        return c->order && atomic_load(&p->link->slot) == (c->order->seq << 2 | MR_SLOT_CANCEL);
    if (!(c->func->def->flags & MR_FUNC_ASYNC)) /* another thread reads what comes */
        return atomic_load_explicit(&c->cancelled, memory_order_relaxed);
    pthread_mutex_lock(&p->in_lock);
    if (!p->leader)
        mr_inbox_look(p);
    bool cancelled = c->cancelled;
    mr_outbox_unlock(p);
    mr_outbox_settle(p);
    return cancelled;
}

uint32_t mr_calls_missing(const mr_call *c)
{
    return c->order && c->kind != MR_CALL_ACTOR && !(c->func->def->flags & MR_FUNC_STREAMING) ? c->left : 0;
}

mr_id mr_calls_dep_id(const mr_call *c, uint32_t i)
{
    return c->deps[i].id;
}

mr_status mr_calls_dep(mr_call *c, uint32_t i, mr_value *out)
{
    if (!c->order || i >= c->order->n_deps)
        return MR_E_NOTFOUND;
    mr_held v;
    mr_status st = mr_held_read(c->port, &c->order->h, &c->deps[i], &v);
    *out = (mr_value){.id = c->deps[i].id, .status = st};
    if (st)
        return st;
    *out = (mr_value){.id = c->deps[i].id, .error = v.error, .format = v.format, .data = v.data, .len = v.len};
    return MR_OK;
}

bool mr_calls_keep_dep(mr_call *c, uint32_t i, bool looked)
{
    mr_held v;
    if (mr_held_read(c->port, &c->order->h, &c->deps[i], &v))
        return false;
    v.pins = looked;
    v.taken = looked;
    pthread_mutex_lock(&c->port->in_lock);
    if (!(c->deps[i].flags & MR_VALUE_STORED)) {
        v.blob = c->blob;
        atomic_fetch_add_explicit(&v.blob->owners, 1, memory_order_relaxed);
    }
    /* From here on the copy is the table's to give back. */
    c->deps[i].flags &= ~(uint32_t)MR_DEP_LENT;
    mr_held_put(c->port, c->deps[i].id, &v, true);
    mr_outbox_unlock(c->port);
    return looked;
}

static mr_status send_started(mr_call *c)
{
    mr_ev_task ev = {.h = {.size = sizeof(ev), .kind = MR_EV_STARTED, .version = MR_RECORD_VERSION},
                     .task = c->task,
                     .attempt = c->order->attempt,
                     .worker = c->port->number};
    return mr_outbox_send(c->port, &ev.h, false);
}

mr_status mr_calls_start(mr_call *c, bool main_thread)
{
    mr_ring_port *p = c->port;
    if (!c->order || c->started)
        return MR_E_INVAL;
    uint64_t seq = c->order->seq, queued = seq << 2 | MR_CLAIM_QUEUED;
    /* First the slot, then the claim: once the node fails to revoke, the slot tells how far this is. */
    if (main_thread)
        atomic_store(&p->link->slot, seq << 2 | MR_SLOT_RUNNING);
    if (!atomic_compare_exchange_strong(mr_call_claim(c), &queued, seq << 2 | MR_CLAIM_STARTED)) {
        if (main_thread)
            atomic_store(&p->link->slot, seq << 2 | MR_SLOT_IDLE);
        return MR_E_CANCELLED;
    }
    c->started = true;
    c->main = main_thread;
    c->began = mr_clock_ns();
    *mr_thread_self() = (mr_thread){.task = c->task, .lends = main_thread && c->kind == MR_CALL_TASK};
    /* Control takes the next of our queue as started when it hears of the end of the one before; only where that was
     * long ago, or will be, is the exact instant worth a record, and the news before it worth a ring. */
    mr_status st = MR_OK;
    if (mr_calls_long(c)) {
        if (c->waited)
            st = send_started(c);
        mr_outbox_nudge(p);
        mr_outbox_settle(p);
    }
    return st;
}

mr_status mr_calls_stop(mr_call *c)
{
    if (!c->main || c->stopped)
        return MR_OK;
    c->stopped = true;
    _Atomic uint64_t *slot = &c->port->link->slot;
    uint64_t running = c->order->seq << 2 | MR_SLOT_RUNNING, done = c->order->seq << 2 | MR_SLOT_DONE;
    bool kept = atomic_compare_exchange_strong(slot, &running, done);
    if (!kept)
        atomic_store(slot, done);
    atomic_store(&c->port->struck, false);
    return kept ? MR_OK : MR_E_CANCELLED;
}

static mr_status send_retired(mr_ring_port *p)
{
    mr_ev_worker ev = {.h = {.size = sizeof(ev), .kind = MR_EV_WORKER_RETIRED, .version = MR_RECORD_VERSION},
                       .worker = p->number,
                       .pid = (int32_t)getpid()};
    return mr_outbox_send(p, &ev.h, true);
}

mr_status mr_calls_finish(mr_call *c, mr_status outcome, bool leave)
{
    mr_ring_port *p = c->port;
    mr_status st = MR_OK;
    if (c->started) {
        mr_status stopped = mr_calls_stop(c);
        (void)stopped; /* without mr_call_stop the caller has decided: a cancel that came too late is not one */
        st = mr_results_finish(c, outcome, leave);
        *mr_thread_self() = (mr_thread){0};
    }
    if (c->kind == MR_CALL_LEAVE)
        st = send_retired(p);
    if (c->kind == MR_CALL_COLLECT)
        mr_lease_drop(p);
    pthread_mutex_lock(&p->in_lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        p->open = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->started)
        return_deps(c);
    if (c->kind == MR_CALL_COLLECT)
        mr_held_idle(p);
    mr_backlog_free(c);
    mr_outbox_unlock(p);
    return st;
}
