/* outbox.c: owns a worker's outbound side: publishing records, and when the node is rung for them.
 *
 * When is the node rung?  It sleeps either in a thread that waits for an answer (FUTEX: rung for each record), or only
 * in its progress thread (EVENT: a driver that submits in a loop must not be woken per task, so a mere completion rings
 * only when this worker runs dry, waits, or has half filled its ring).  Requests ring in both.  Lock: out_lock.
 */
#include "client/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

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

/* out_lock held. */
static void *reserve_or_wait(mr_ring_port *p, uint32_t size)
{
    void *room;
    while (!(room = mr_ring_reserve(&p->out, size))) {
        uint32_t armed = mr_bell_arm(&p->link->space, MR_BELL_FUTEX);
        room = mr_ring_reserve(&p->out, size);
        if (!room && !port_closed(p)) {
            mark_dirty(p);
            mr_bell_ring_always(&p->page->bell, p->event_fd);
            (void)mr_bell_sleep(&p->link->space, armed, -1);
        }
        mr_bell_awake(&p->link->space);
        if (room || port_closed(p))
            break;
    }
    return room;
}

static mr_status publish(mr_ring_port *p, const mr_record *r, bool urgent)
{
    pthread_mutex_lock(&p->out_lock);
    void *room = port_closed(p) ? NULL : reserve_or_wait(p, r->size);
    if (room) {
        memcpy(room, r, r->size);
        mr_ring_publish(&p->out, r->size);
        mark_dirty(p);
        ring_node(p, urgent);
    }
    pthread_mutex_unlock(&p->out_lock);
    return room ? MR_OK : MR_E_CLOSED;
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
