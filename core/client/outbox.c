/* outbox.c: owns a worker's outbound side: publishing records, and when the node is rung for them.
 *
 * When is the node rung?  It sleeps either in a thread that waits for an answer (FUTEX: rung for each record), or only
 * in its progress thread (EVENT: a driver that submits in a loop must not be woken per task, so a mere completion rings
 * only when this worker runs dry, waits, or has half filled its ring).  Requests ring in both.
 *
 * What finds the ring full is kept in order, so that who sends may hold locks (refs.c counts and tells under one); who
 * sent waits for room when it has left them: at the end of its call, or before it sleeps for an answer.  Lock:
 * out_lock.
 */
#include "client/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/cancel.h"
#include "client/thread.h"

/* One that is broken tells nothing more: what its tasks make of that would be taken for their outcome, where the end of
 * the process has them tried again. */
static bool port_closed(const mr_ring_port *p)
{
    return atomic_load_explicit(&p->page->closing, memory_order_acquire) || atomic_load(&p->broken);
}

/* The fence keeps the look at our bit behind the publishing: else we could see a bit that the node has just taken, and
 * it an empty ring.  out_lock held. */
static void mark_dirty(mr_ring_port *p)
{
    _Atomic uint64_t *word = &p->page->dirty[p->index / 64];
    uint64_t bit = UINT64_C(1) << (p->index % 64);
    atomic_thread_fence(memory_order_seq_cst);
    if (!(atomic_load_explicit(word, memory_order_relaxed) & bit))
        atomic_fetch_or(word, bit);
}

static void ring_node(mr_ring_port *p, bool urgent)
{
    uint32_t who = atomic_load_explicit(&p->page->bell.word, memory_order_relaxed) & 3;
    if (urgent || who == MR_BELL_FUTEX || mr_ring_fuller(&p->out, MR_RING_BYTES / 2)) {
        atomic_store_explicit(&p->unrung, false, memory_order_relaxed);
        mr_bell_ring(&p->page->bell, &p->rung, p->event_fd);
    } else {
        atomic_store_explicit(&p->unrung, true, memory_order_relaxed);
    }
}

void mr_outbox_nudge(mr_ring_port *p)
{
    if (!atomic_load_explicit(&p->unrung, memory_order_relaxed))
        return;
    pthread_mutex_lock(&p->out_lock);
    mark_dirty(p);
    ring_node(p, true);
    pthread_mutex_unlock(&p->out_lock);
}

/* ------------------------------------------------------------------------------------------------- without room -- */

typedef struct mr_unsent {
    struct mr_unsent *next;
    bool urgent, undone; /* undone: it is not sent at all */
    _Alignas(8) char record[];
} mr_unsent;

/* Something was, by this thread, which has not waited for it. */
static _Thread_local bool kept;

/* out_lock held.  Without memory for it nothing can be told any more: its place in the order is lost. */
static mr_status keep(mr_ring_port *p, const mr_record *r, bool urgent)
{
    mr_unsent *u = malloc(sizeof(*u) + r->size);
    if (!u) {
        mr_log(MR_LOG_ERROR, "client", "worker %u cannot go on: no memory for a record of %u bytes", p->number,
               r->size);
        atomic_store(&p->broken, MR_E_NOMEM);
        return MR_E_NOMEM;
    }
    u->next = NULL;
    u->urgent = urgent;
    u->undone = false;
    memcpy(u->record, r, r->size);
    if (!p->unsent)
        p->unsent_end = &p->unsent;
    *p->unsent_end = u;
    p->unsent_end = &u->next;
    p->n_kept++;
    kept = true;
    return MR_OK;
}

/* Into the ring what fits.  out_lock held. */
static void move(mr_ring_port *p)
{
    bool urgent = false;
    uint64_t before = p->n_moved;
    for (mr_unsent *u; (u = p->unsent); p->n_moved++) {
        const mr_record *r = (const mr_record *)(const void *)u->record;
        void *room = u->undone ? NULL : mr_ring_reserve(&p->out, r->size);
        if (!room && !u->undone)
            break;
        if (room) {
            memcpy(room, r, r->size);
            mr_ring_publish(&p->out, r->size);
            urgent |= u->urgent;
        }
        p->unsent = u->next;
        free(u);
    }
    if (p->n_moved == before)
        return;
    mark_dirty(p);
    ring_node(p, urgent);
}

/* out_lock is left and taken again.  `heed`: the main thread, which the cancel signal must wake. */
static int sleep_on(mr_ring_port *p, mr_bell *b, uint32_t armed, int64_t deadline, bool heed)
{
    int why = 0;
    if (heed)
        atomic_store(&p->main_bell, b);
    pthread_mutex_unlock(&p->out_lock);
    if (!heed || !atomic_load(&p->struck)) {
        int64_t ns = deadline < 0 ? -1 : deadline - mr_clock_ns();
        why = deadline >= 0 && ns <= 0 ? ETIMEDOUT : mr_bell_sleep(b, armed, ns);
    }
    if (heed)
        atomic_store(&p->main_bell, NULL);
    pthread_mutex_lock(&p->out_lock);
    return why;
}

/* The first who waits sleeps on the link's bell and moves for all; the others wait for it, and for its place. */
static int push_once(mr_ring_port *p, int64_t deadline, bool heed)
{
    if (p->pushing)
        return sleep_on(p, &p->moved, mr_bell_arm(&p->moved, MR_BELL_FUTEX), deadline, heed);
    int why = 0;
    p->pushing = true;
    uint32_t armed = mr_bell_arm(&p->link->space, MR_BELL_FUTEX);
    move(p);
    if (p->unsent && !port_closed(p) && !atomic_load(&p->stopped)) {
        mark_dirty(p);
        mr_bell_ring_always(&p->page->bell, p->event_fd);
        why = sleep_on(p, &p->link->space, armed, deadline, heed);
    }
    mr_bell_awake(&p->link->space);
    p->pushing = false;
    mr_bell_tell(&p->moved);
    return why;
}

mr_status mr_outbox_push(mr_ring_port *p, int64_t deadline, bool interruptible)
{
    bool heed = interruptible && mr_cancel_is_main(p);
    mr_status st = MR_OK;
    int why = 0;
    if (!kept)
        return MR_OK;
    void *rest = mr_thread_rest();
    pthread_mutex_lock(&p->out_lock);
    uint64_t all = p->n_kept;
    while (!st && p->n_moved < all) {
        if (port_closed(p) || atomic_load(&p->stopped))
            st = MR_E_CLOSED;
        else if (heed && atomic_load(&p->struck))
            st = MR_E_INTERRUPTED;
        else if (why == ETIMEDOUT)
            st = MR_E_TIMEOUT;
        else
            why = push_once(p, deadline, heed);
    }
    pthread_mutex_unlock(&p->out_lock);
    mr_thread_resume(rest);
    kept = false; /* who has given up waits no more: it goes with what is sent next */
    return st;
}

void mr_outbox_settle(mr_ring_port *p)
{
    if (mr_outbox_push(p, -1, true) == MR_E_INTERRUPTED)
        atomic_store(&p->struck, false); /* told; the next wait is one */
}

bool mr_outbox_unsend(mr_ring_port *p, uint32_t token)
{
    bool found = false;
    pthread_mutex_lock(&p->out_lock);
    for (mr_unsent *u = p->unsent; u && !found; u = u->next) {
        const mr_record *r = (const mr_record *)(const void *)u->record;
        found = u->undone = r->kind == MR_EV_BLOCKED && r->token == token;
    }
    pthread_mutex_unlock(&p->out_lock);
    return found;
}

void mr_outbox_stir(mr_ring_port *p)
{
    pthread_mutex_lock(&p->out_lock);
    mr_bell_ring_always(&p->link->space, -1);
    mr_bell_tell(&p->moved);
    pthread_mutex_unlock(&p->out_lock);
}

void mr_outbox_fini(mr_ring_port *p)
{
    for (mr_unsent *u = p->unsent, *next; u; u = next) {
        next = u->next;
        free(u);
    }
}

/* ------------------------------------------------------------------------------------------------------ sending -- */

static mr_status publish(mr_ring_port *p, const mr_record *r, bool urgent)
{
    mr_status st = MR_OK;
    void *room = NULL;
    pthread_mutex_lock(&p->out_lock);
    if (port_closed(p))
        st = MR_E_CLOSED;
    else if (p->unsent || !(room = mr_ring_reserve(&p->out, r->size)))
        st = keep(p, r, urgent);
    if (room) {
        memcpy(room, r, r->size);
        mr_ring_publish(&p->out, r->size);
        mark_dirty(p);
        ring_node(p, urgent);
    }
    pthread_mutex_unlock(&p->out_lock);
    return st;
}

/* A record too large for the ring travels through the carrier; its place in the order is that of the BIG record. */
static mr_status publish_big(mr_ring_port *p, const mr_record *r)
{
    mr_answer a;
    mr_status st = mr_outbox_ask(p, MR_ASK_CREATE, 0, r->size, 0, &a, NULL);
    if (st)
        return st;
    void *to = p->carrier ? p->loaded->ops.store.view(p->carrier, a.value, r->size, true) : NULL;
    if (!to)
        return MR_E_PROTOCOL;
    mr_copy(to, r, r->size);
    mr_big big = {.h = {.size = sizeof(big), .kind = MR_ASK_BIG, .version = MR_RECORD_VERSION},
                  .id = a.value2,
                  .at = a.value,
                  .len = r->size};
    return publish(p, &big.h, true);
}

mr_status mr_outbox_send(mr_ring_port *p, const mr_record *r, bool urgent)
{
    return r->size <= MR_RECORD_MAX ? publish(p, r, urgent) : publish_big(p, r);
}

mr_status mr_outbox_ask(mr_ring_port *p, uint32_t kind, mr_id id, uint64_t len, uint64_t at, mr_answer *out,
                        mr_err *err)
{
    mr_ask ask = {.h = {.size = sizeof(ask), .kind = (uint16_t)kind, .version = MR_RECORD_VERSION},
                  .id = id,
                  .len = len,
                  .at = at};
    mr_answer a = {0};
    mr_status st = p->port.ops->call(&p->port, &ask.h, &a, err);
    if (!st && a.status)
        st = mr_err_set(err, a.status, "%s", a.text ? a.text : mr_status_text(a.status));
    if (!st) {
        *out = a;
        return MR_OK;
    }
    free(a.text);
    return st;
}

void mr_outbox_return(mr_ring_port *p, mr_id id, uint64_t at)
{
    if (p->n_returns == p->returns_cap) {
        size_t cap = p->returns_cap ? p->returns_cap * 2 : 16;
        struct mr_lent *bigger = realloc(p->returns, cap * sizeof(*bigger));
        if (!bigger) {
            mr_log(MR_LOG_ERROR, "client", "out of memory: a copy stays lent to worker %u until it ends", p->number);
            return;
        }
        p->returns = bigger;
        p->returns_cap = cap;
    }
    p->returns[p->n_returns++] = (struct mr_lent){id, at};
}

const void *mr_outbox_view(mr_ring_port *p, uint64_t at, uint64_t len)
{
    return p->carrier ? p->loaded->ops.store.view(p->carrier, at, len, false) : NULL;
}

void mr_outbox_unlock(mr_ring_port *p)
{
    struct mr_lent *returns = p->returns;
    size_t n = p->n_returns;
    mr_ready_cb *fired = p->fired;
    p->fired = NULL;
    p->returns = NULL;
    p->n_returns = p->returns_cap = 0;
    pthread_mutex_unlock(&p->in_lock);
    for (size_t i = 0; i < n; i++) {
        mr_ask ask = {.h = {.size = sizeof(ask), .kind = MR_ASK_RETURN, .version = MR_RECORD_VERSION},
                      .id = returns[i].id,
                      .at = returns[i].at};
        if (mr_outbox_send(p, &ask.h, false))
            break; /* closed: the node takes everything back */
    }
    free(returns);
    while (fired) {
        mr_ready_cb *cb = fired;
        fired = cb->next;
        cb->done(cb->arg, cb->id);
        free(cb);
    }
}
