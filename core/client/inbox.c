/* inbox.c: owns the inbound side of a worker's link: reading orders, and the threads that wait for them.
 *
 * Whoever waits, reads: the first waiter is the leader and sleeps on the link's bell, the others follow, each asleep on
 * a bell of its own; the leader hands out what it reads, and a leader that leaves wakes a follower.  A record is taken
 * out of the ring at once (calls are copied to a queue), so what nobody wants yet never stands in the way of a reply.
 * It does not know what a call is.  Lock: in_lock.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "client/backlog.h"
#include "client/cancel.h"
#include "client/held.h"
#include "client/inbox.h"
#include "client/outbox.h"
#include "client/thread.h"
#include "client/waiters.h"

enum { SPIN_FAILED_MAX = 10, SPIN_LOOK = 32, UNTOLD_NS = 8000 };

static size_t order_size(uint32_t kind)
{
    switch (kind) {
    case MR_ORD_DISPATCH:
        return sizeof(mr_ord_dispatch);
    case MR_ORD_VALUE:
        return sizeof(mr_ord_value);
    case MR_ORD_DELIVER:
    case MR_ORD_REPLY:
        return sizeof(mr_ord_reply);
    case MR_ORD_FORGET:
    case MR_ORD_CANCEL:
        return sizeof(mr_ev_task);
    case MR_ORD_RESUME:
        return sizeof(mr_ord_resume);
    case MR_ORD_PART:
        return sizeof(mr_part);
    default:
        return sizeof(mr_record);
    }
}

/* ------------------------------------------------------------------------------------------------------- orders -- */

/* An awaited object is settled: its callback runs once the lock is left.  True if `token` was one of those. */
static bool fire(mr_ring_port *p, uint32_t token)
{
    for (mr_ready_cb **at = &p->awaited; *at; at = &(*at)->next) {
        mr_ready_cb *cb = *at;
        if (cb->token != token)
            continue;
        *at = cb->next;
        cb->next = p->fired;
        p->fired = cb;
        return true;
    }
    return false;
}

static void take_answer(mr_ring_port *p, const mr_ord_reply *r)
{
    mr_waiter *w = mr_waiters_find(p, r->h.token);
    const char *bytes = mr_record_bytes(r, sizeof(*r));
    size_t n = r->h.n_bytes;
    if (!w) {
        fire(p, r->h.token); /* else: of a wait that was given up */
        return;
    }
    w->answer = (mr_answer){.status = (mr_status)r->status, .value = r->value, .value2 = r->value2};
    if (r->h.kind == MR_ORD_DELIVER) {
        for (size_t i = 0; w->settled && i < w->n && i < n; i++)
            w->settled[i] = bytes[i];
        if (n > w->n)
            w->answer.text = strndup(bytes + w->n, n - w->n);
    } else if (n > 0) {
        w->answer.text = strndup(bytes, n);
    }
    mr_waiters_wake(p, w);
}

static mr_status take_value(mr_ring_port *p, const mr_ord_value *r)
{
    mr_held v;
    if (r->status) {
        v = (mr_held){.status = r->status, .lent_at = MR_NOWHERE};
        mr_held_put(p, r->value.id, &v, false);
        return MR_OK;
    }
    mr_status st = mr_held_read(p, &r->h, &r->value, &v);
    if (st && r->value.flags & MR_DEP_FAILED) {
        v = (mr_held){.status = st, .lent_at = MR_NOWHERE};
        mr_held_put(p, r->value.id, &v, false);
        return MR_OK;
    }
    if (st)
        return st;
    if (!(r->value.flags & MR_VALUE_STORED)) {
        v.blob = mr_blob_new(v.len);
        if (!v.blob)
            return MR_E_NOMEM;
        memcpy(v.blob->bytes, v.data, v.len);
        v.data = v.blob->bytes;
    }
    mr_held_put(p, r->value.id, &v, false);
    return MR_OK;
}

static mr_status take_order(mr_ring_port *p, const mr_record *r, mr_blob *whole);

static mr_status take_part(mr_ring_port *p, const mr_part *b)
{
    if (!b->at) { /* what came before has no end: the node took it back */
        mr_blob_drop(p->partial);
        p->partial = b->len >= sizeof(mr_record) && b->len <= UINT32_MAX ? mr_blob_new(b->len) : NULL;
        p->partial_at = 0;
        p->partial_len = b->len;
        if (!p->partial)
            return MR_E_NOMEM;
    }
    if (!p->partial || b->at != p->partial_at || b->h.n_bytes > p->partial_len - b->at)
        return MR_E_PROTOCOL;
    memcpy(p->partial->bytes + b->at, mr_record_bytes(b, sizeof(*b)), b->h.n_bytes);
    p->partial_at += b->h.n_bytes;
    if (p->partial_at < p->partial_len)
        return MR_OK;
    mr_blob *whole = p->partial;
    const mr_record *r = (const mr_record *)(const void *)whole->bytes;
    p->partial = NULL;
    mr_status st = r->size <= p->partial_len && r->kind != MR_ORD_PART ? take_order(p, r, whole) : MR_E_PROTOCOL;
    mr_blob_drop(whole);
    return st;
}

/* `whole`: the record's own heap copy, if it has one. */
static mr_status take_order(mr_ring_port *p, const mr_record *r, mr_blob *whole)
{
    if (r->size < order_size(r->kind) || mr_record_total(order_size(r->kind), r->n_ids, r->n_bytes) > r->size)
        return MR_E_PROTOCOL;
    const mr_ev_task *task = (const mr_ev_task *)r;
    switch (r->kind) {
    case MR_ORD_DISPATCH:
        return mr_backlog_put(p, r, whole);
    case MR_ORD_FUNC:
        if (r->n_bytes < sizeof(mr_define))
            return MR_E_PROTOCOL;
        return mr_backlog_define(p, r->token, mr_record_bytes(r, sizeof(mr_record)), r->n_bytes);
    case MR_ORD_VALUE:
        return take_value(p, (const mr_ord_value *)r);
    case MR_ORD_DELIVER:
    case MR_ORD_REPLY:
        take_answer(p, (const mr_ord_reply *)r);
        return MR_OK;
    case MR_ORD_LEAVE:
        return mr_backlog_note(p, MR_CALL_LEAVE, 0);
    case MR_ORD_COLLECT:
        return mr_backlog_note(p, MR_CALL_COLLECT, 0);
    case MR_ORD_FORGET:
        return mr_backlog_note(p, MR_CALL_FORGET, task->task);
    case MR_ORD_CANCEL:
        return mr_backlog_note(p, MR_CALL_CANCEL, task->task);
    case MR_ORD_RESUME:
        mr_backlog_allow(p, ((const mr_ord_resume *)r)->task, ((const mr_ord_resume *)r)->allowed);
        return MR_OK;
    case MR_ORD_PART:
        return take_part(p, (const mr_part *)r);
    default:
        return MR_E_PROTOCOL;
    }
}

void mr_inbox_look(mr_ring_port *p)
{
    uint64_t before = p->in.mine;
    while (!atomic_load(&p->broken)) {
        const mr_record *r;
        mr_status st = mr_ring_peek(&p->in, &r);
        if (!st && !r)
            break;
        uint32_t kind = st ? 0 : r->kind;
        if (!st)
            st = take_order(p, r, NULL);
        if (st) {
            mr_log(MR_LOG_ERROR, "client", "worker %u cannot go on: an order (kind %u) of the node: %s", p->number,
                   kind, mr_status_text(st));
            atomic_store(&p->broken, (int)st);
            break;
        }
        mr_ring_take(&p->in, r);
    }
    /* The node may have found the ring full and keep more for us: let it look. */
    if (p->in.mine - before > MR_RING_BYTES / 2)
        atomic_store(&p->unrung, true);
}

/* ------------------------------------------------------------------------------------------------------ waiting -- */

static bool inbox_closing(const mr_ring_port *p)
{
    return atomic_load_explicit(&p->page->closing, memory_order_acquire) || atomic_load(&p->stopped) ||
           atomic_load(&p->broken);
}

static uint64_t inbox_tail(const mr_ring_port *p)
{
    return atomic_load_explicit(&p->link->in.tail, memory_order_acquire);
}

static void cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Judged by outcome: after k failures in a row the next 2^k waits do not spin.  The leader's own.
 * A driver that submits in a loop looks at the rings itself and hands out more within microseconds: where only the
 * progress thread sleeps (EVENT), it is left asleep that long; waking it costs both sides more than the wait. */
static bool inbox_spin(mr_ring_port *p, uint64_t seen)
{
    if (p->spin_ns <= 0 || p->spin_skip > 0) {
        p->spin_skip -= p->spin_skip > 0;
        mr_outbox_nudge(p);
        return false;
    }
    bool wait = (atomic_load_explicit(&p->page->bell.word, memory_order_relaxed) & 3) == MR_BELL_EVENT;
    int64_t now = mr_clock_ns(), end = now + p->spin_ns, tell = wait ? now + UNTOLD_NS : now;
    do {
        if (now >= tell)
            mr_outbox_nudge(p);
        for (int i = 0; i < SPIN_LOOK; i++) {
            if (inbox_tail(p) != seen) {
                p->spin_failed = 0;
                return true;
            }
            cpu_pause();
        }
        now = mr_clock_ns();
    } while (now < end);
    mr_outbox_nudge(p);
    if (p->spin_failed < SPIN_FAILED_MAX)
        p->spin_failed++;
    p->spin_skip = UINT32_C(1) << p->spin_failed;
    return false;
}

/* Sleeps until there is something to read.  in_lock is left and taken again.  Returns 0, EINTR, ETIMEDOUT. */
static int inbox_lead(mr_ring_port *p, mr_waiter *w, int64_t deadline, bool heed)
{
    uint64_t seen = p->in.mine;
    int why = 0;
    p->leader = w;
    mr_outbox_unlock(p);
    if (!inbox_spin(p, seen)) {
        mr_bell *b = &p->link->bell;
        uint32_t armed = mr_bell_arm(b, MR_BELL_FUTEX);
        bool struck = heed && atomic_load(&p->struck);
        if (inbox_tail(p) == seen && !inbox_closing(p) && !struck) {
            int64_t ns = deadline < 0 ? -1 : deadline - mr_clock_ns();
            why = deadline >= 0 && ns <= 0 ? ETIMEDOUT : mr_bell_sleep(b, armed, ns);
        }
        mr_bell_awake(b);
    }
    pthread_mutex_lock(&p->in_lock);
    p->leader = NULL;
    return why;
}

static int inbox_follow(mr_ring_port *p, mr_waiter *w, int64_t deadline, bool heed)
{
    int why = 0;
    uint32_t armed = mr_bell_arm(&w->bell, MR_BELL_FUTEX);
    if (heed)
        atomic_store(&p->main_bell, &w->bell);
    mr_outbox_unlock(p);
    mr_outbox_nudge(p);
    if (!heed || !atomic_load(&p->struck)) {
        int64_t ns = deadline < 0 ? -1 : deadline - mr_clock_ns();
        why = deadline >= 0 && ns <= 0 ? ETIMEDOUT : mr_bell_sleep(&w->bell, armed, ns);
    }
    if (heed)
        atomic_store(&p->main_bell, NULL);
    pthread_mutex_lock(&p->in_lock);
    mr_bell_awake(&w->bell);
    return why;
}

mr_status mr_inbox_wait(mr_ring_port *p, mr_waiter *w, int64_t deadline, bool interruptible)
{
    bool heed = interruptible && mr_cancel_is_main(p);
    bool resting = false;
    void *rest = NULL;
    mr_status st = MR_OK;
    int why = 0;
    pthread_mutex_lock(&p->in_lock);
    for (;;) {
        if (!p->leader) /* what the leader has not read, it reads itself */
            mr_inbox_look(p);
        if (w->done)
            break;
        if (inbox_closing(p)) {
            int broken = atomic_load(&p->broken);
            st = broken ? (mr_status)broken : MR_E_CLOSED;
            break;
        }
        if (interruptible && ((heed && (st = mr_cancel_struck(p))) || (st = mr_cancel_of_thread(p))))
            break;
        if (interruptible && why == EINTR) {
            st = MR_E_INTERRUPTED;
            break;
        }
        if (why == ETIMEDOUT || deadline == 0) {
            st = MR_E_TIMEOUT;
            break;
        }
        if (!resting) { /* what it waits for may stand in what the ring had no room for */
            mr_outbox_unlock(p);
            rest = mr_thread_rest();
            resting = true;
            why = mr_outbox_push(p, deadline, interruptible) == MR_E_TIMEOUT ? ETIMEDOUT : 0;
            pthread_mutex_lock(&p->in_lock);
            continue;
        }
        why = p->leader ? inbox_follow(p, w, deadline, heed) : inbox_lead(p, w, deadline, heed);
    }
    if (!p->leader)
        for (mr_waiter *other = p->waiters; other; other = other->next)
            if (other != w && mr_bell_ring_always(&other->bell, -1))
                break;
    mr_outbox_unlock(p);
    /* Who only looks goes on to an event loop: what it left untold would stay so while the leader sleeps. */
    if (st == MR_E_TIMEOUT)
        mr_outbox_nudge(p);
    mr_thread_resume(rest);
    return st;
}

void mr_inbox_stop(mr_ring_port *p)
{
    pthread_mutex_lock(&p->in_lock);
    atomic_store(&p->stopped, true);
    mr_waiters_stir(p);
    mr_bell_ring_always(&p->link->bell, -1);
    pthread_mutex_unlock(&p->in_lock);
    mr_outbox_stir(p);
}

static void *inbox_watcher(void *arg)
{
    mr_ring_port *p = arg;
    mr_waiter w;
    mr_waiters_join(p, &w, MR_FOR_WATCH);
    mr_status st = mr_inbox_wait(p, &w, -1, false);
    if (st != MR_E_CLOSED && !atomic_load(&p->broken))
        mr_log(MR_LOG_ERROR, "client", "the watcher ended: %s", mr_status_text(st));
    mr_waiters_part(p, &w);
    return NULL;
}

mr_status mr_inbox_watch(mr_ring_port *p)
{
    mr_status st = MR_OK;
    pthread_mutex_lock(&p->in_lock);
    if (!p->watching && !atomic_load(&p->stopped)) {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old); /* inherited: no signal is ever delivered to it */
        if (pthread_create(&p->watcher, NULL, inbox_watcher, p))
            st = MR_E_NOMEM;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        p->watching = !st;
    }
    pthread_mutex_unlock(&p->in_lock);
    return st;
}
