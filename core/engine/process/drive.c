/* drive.c: who drives control, and how threads wait.
 *
 * Whoever waits drives: the first waiting thread is the leader, it takes records out of the rings, steps control and
 * acts; later ones follow, each asleep on a word of its own, and are woken when their wait ends or when the leader
 * leaves (the baton).  When nobody waits, the progress thread is rung.  The node's bell is only armed and disarmed with
 * the lock held, so it has one sleeper at a time.
 * Does not know what events mean (events.c) or what actions do (actions.c).  Lock: the node list's.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"
#include "engine/process/room.h"

/* BURST: of short tasks, how many a sleeping worker is woken for at once, and after what time (ns) at the latest;
 * a driver that was not seen for BURST_GAP has left its loop. */
enum { SPIN_SKIP_MAX = 10, BURST_MOST = 32, BURST_NS = 200000, BURST_GAP = 80000 };
enum { STARVED_LOOK_NS = 10000000 };
static const int64_t STARVED_NS = INT64_C(3000000000); /* so long without the memory of a few bytes is for good */

int64_t mr_drive_monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t mr_nodes_clock(const mr_nodes *n)
{
    return mr_drive_monotonic() - n->origin;
}

/* ------------------------------------------------------------------------------------------------------ pumping -- */

bool mr_drive_pending(mr_nodes *n)
{
    for (uint32_t w = 0; w * 64 < n->n_links; w++)
        if (atomic_load_explicit(&n->links->page.dirty[w], memory_order_relaxed))
            return true;
    return n->inner && n->starved < 0;
}

static void drive_inner_free(mr_nodes *n, mr_inner *e, size_t size)
{
    if (size > MR_INNER_BYTES || n->n_inner_spare == MR_INNER_SPARE) {
        free(e);
        return;
    }
    e->next = n->inner_spare;
    n->inner_spare = e;
    n->n_inner_spare++;
}

mr_status mr_drive_spare(mr_nodes *n)
{
    while (n->n_inner_spare < MR_INNER_SPARE) {
        mr_inner *e = malloc(sizeof(*e) + MR_INNER_BYTES);
        if (!e)
            return MR_E_NOMEM;
        drive_inner_free(n, e, MR_INNER_BYTES);
    }
    return MR_OK;
}

void mr_drive_inner(mr_nodes *n, const mr_record *r)
{
    bool spare = n->inner_spare && r->size <= MR_INNER_BYTES;
    mr_inner *e = spare                       ? n->inner_spare
                  : r->size <= MR_INNER_BYTES ? malloc(sizeof(*e) + MR_INNER_BYTES)
                                              : malloc(sizeof(*e) + r->size);
    if (spare) {
        n->inner_spare = e->next;
        n->n_inner_spare--;
    }
    if (!e) {
        mr_nodes_end(n, "no memory for the event %s", mr_event_name(r->kind));
        return;
    }
    e->next = NULL;
    memcpy(e->record, r, r->size);
    *n->inner_end = e;
    n->inner_end = &e->next;
}

/* Of what has happened nobody can be told that it did not: an event that finds no memory is first in line until there
 * is some again, for a while. */
static bool drive_starved(mr_nodes *n, const mr_record *r)
{
    int64_t now = mr_nodes_clock(n);
    if (n->starved < 0)
        n->starved = now;
    if (now - n->starved < STARVED_NS)
        mr_progress_poll(n, STARVED_LOOK_NS);
    else
        mr_nodes_end(n, "no memory for %s: %s", mr_event_name(r->kind), mr_control_why(n->control));
    return !n->ended[0];
}

static bool drive_inner_all(mr_nodes *n)
{
    bool any = false;
    if (n->inner)
        mr_drive_tick(n);
    while (n->inner) {
        mr_inner *e = n->inner;
        const mr_record *r = (const mr_record *)(const void *)e->record;
        mr_status status = mr_drive_apply(n, r);
        if (status == MR_E_NOMEM && drive_starved(n, r))
            break;
        n->starved = -1;
        n->inner = e->next;
        if (!n->inner)
            n->inner_end = &n->inner;
        if (status)
            mr_log(MR_LOG_DEBUG, "engine", "%s was refused: %s", mr_event_name(r->kind), mr_status_text(status));
        drive_inner_free(n, e, r->size);
        any = true;
    }
    return any;
}

/* At most PUMP_MAX records of one peer.  True: something was taken. */
static bool drive_peer(mr_nodes *n, mr_peer *p)
{
    mr_drive_tick(n);
    const mr_record *r = NULL;
    int taken = 0;
    while (!p->dropped && !p->stalled && taken < MR_PUMP_MAX) {
        if (mr_ring_peek(&p->out, &r)) {
            mr_peer_drop(n, p, "wrote a malformed record into its ring");
            break;
        }
        if (!r)
            break;
        /* The peer can still write there: from here on only the copy counts, and only the size that was checked. */
        uint32_t size = r->size;
        if (size < sizeof(mr_record) || size > MR_RING_BYTES / 2) {
            mr_peer_drop(n, p, "wrote a malformed record into its ring");
            break;
        }
        memcpy(n->scratch, r, size);
        mr_record *copy = (mr_record *)(void *)n->scratch;
        copy->size = size;
        if (!mr_event_take(n, p, copy))
            break;
        mr_ring_take(&p->out, &(const mr_record){.size = size});
        taken++;
    }
    if (taken)
        mr_bell_ring_always(&p->block->space, -1);
    if (taken == MR_PUMP_MAX)
        atomic_fetch_or(&n->links->page.dirty[p->link / 64], UINT64_C(1) << (p->link % 64));
    return taken > 0;
}

void mr_drive_drain(mr_nodes *n, mr_peer *p)
{
    while (drive_peer(n, p))
        ;
}

static bool drive_rings(mr_nodes *n)
{
    bool any = false;
    for (uint32_t w = 0; w * 64 < n->n_links; w++) {
        if (!atomic_load_explicit(&n->links->page.dirty[w], memory_order_relaxed))
            continue;
        uint64_t bits = atomic_exchange(&n->links->page.dirty[w], 0);
        for (; bits; bits &= bits - 1) {
            mr_peer *p = n->peer[w * 64 + (uint32_t)__builtin_ctzll(bits)];
            if (!p)
                continue;
            any |= drive_peer(n, p);
            mr_peer_flush(n, p);
        }
    }
    return any;
}

void mr_drive_burst(mr_nodes *n, bool submits)
{
    int64_t now = atomic_load_explicit(&n->now, memory_order_relaxed), before = n->sent_at;
    n->burst = submits && before && now - before < BURST_GAP && !n->leader;
    if (submits)
        n->sent_at = now;
}

/* The driver is about to give it more: it may sleep for that long, if it sleeps. */
static bool bell_later(const mr_nodes *n, mr_bell *bell)
{
    return n->burst && !n->hasty && n->untold < BURST_MOST && mr_bell_sleeps(bell) &&
           atomic_load_explicit(&n->now, memory_order_relaxed) - n->sent_at < BURST_GAP;
}

/* What was given to each worker meanwhile is told at once: a worker that is woken for the first record alone may run
 * dry, and take this thread's core, before the second is there.  In a burst of short tasks it is told some at a time;
 * a timer stands for the driver that does not come back. */
void mr_drive_bells(mr_nodes *n)
{
    bool later = false;
    for (uint32_t w = 0; n->any_to_ring && w * 64 < n->n_links; w++)
        for (uint64_t left = n->to_ring[w]; left; left &= left - 1) {
            mr_peer *p = n->peer[w * 64 + (uint32_t)__builtin_ctzll(left)];
            if (p && bell_later(n, &p->block->bell)) {
                later = true;
                continue;
            }
            n->to_ring[w] &= ~(left & -left);
            if (p)
                mr_bell_ring(&p->block->bell, &p->rung, -1);
        }
    n->any_to_ring = later;
    if (!later)
        n->untold = 0;
    else if (n->poll_at < 0 || n->poll_at > atomic_load_explicit(&n->now, memory_order_relaxed) + BURST_NS)
        mr_progress_poll(n, BURST_NS);
    n->hasty = false;
}

void mr_drive_pump(mr_nodes *n)
{
    static const mr_ev_none time_event = {
        .h = {.size = sizeof(mr_ev_none), .kind = MR_EV_TIME, .version = MR_RECORD_VERSION}};
    bool more = true;
    n->unlooked = 0;
    while (more) {
        more = drive_inner_all(n);
        more |= drive_rings(n);
        if (n->hungry)
            mr_room_serve(n);
        if (n->spill.arrivals)
            mr_spill_retry(n);
        if (more || !n->stepped || n->batching)
            continue;
        n->stepped = false;
        mr_drive_tick(n);
        mr_status status = mr_drive_apply(n, &time_event.h);
        if (mr_control_starved(n->control) > STARVED_NS)
            mr_nodes_end(n, "no memory to start what is ready");
        if (status && !n->ended[0])
            mr_log(MR_LOG_ERROR, "engine", "closing an instant failed: %s", mr_status_text(status));
        n->stepped = false;
        more = mr_drive_pending(n);
    }
    mr_drive_bells(n);
}

/* ------------------------------------------------------------------------------------------------------ waiters -- */

void mr_drive_add(mr_nodes *n, mr_waiter *w)
{
    do
        n->next_token++;
    while (!n->next_token || mr_drive_find(n, n->next_token));
    w->token = n->next_token;
    w->done = false;
    w->leads = false;
    w->status = MR_OK;
    w->next = &n->waiters;
    w->prev = n->waiters.prev;
    w->prev->next = w;
    n->waiters.prev = w;
}

void mr_drive_remove(mr_nodes *n, mr_waiter *w)
{
    (void)n;
    if (!w->next)
        return;
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->next = w->prev = NULL;
}

mr_waiter *mr_drive_find(mr_nodes *n, uint32_t token)
{
    /* Newest first: an answer mostly comes at once, to the one that asked last. */
    for (mr_waiter *w = n->waiters.prev; w != &n->waiters; w = w->prev)
        if (w->token == token)
            return w;
    return NULL;
}

void mr_drive_wake(mr_nodes *n, mr_waiter *w, mr_status status)
{
    if (w->done)
        return;
    w->done = true;
    w->status = status;
    if (w->call) {
        mr_drive_remove(n, w);
        w->next = n->called;
        n->called = w;
    } else if (w->leads) {
        mr_bell_ring_always(&n->links->page.bell, n->event_fd);
    } else {
        mr_bell_ring_always(&w->bell, -1);
    }
}

static mr_waiter *drive_follower(mr_nodes *n)
{
    for (mr_waiter *w = n->waiters.next; w != &n->waiters; w = w->next)
        if (!w->call && !w->done && !w->leads)
            return w;
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------ leading -- */

/* Looks without the lock for at most n->spin_ns.  True: there is something to do.  words: of the links that there were
 * under the lock; one that is made meanwhile is found by who sleeps. */
static bool drive_spin(mr_nodes *n, uint32_t words, const mr_waiter *w)
{
    int64_t until = mr_drive_monotonic() + n->spin_ns;
    do {
        for (int i = 0; i < 32; i++) {
            for (uint32_t word = 0; word < words; word++)
                if (atomic_load_explicit(&n->links->page.dirty[word], memory_order_relaxed))
                    return true;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        if (atomic_load_explicit(&w->done, memory_order_relaxed))
            return true;
    } while (mr_drive_monotonic() < until);
    return false;
}

/* A spin that failed k times in a row skips the next 2^k waits. */
static bool drive_try_spin(mr_nodes *n, mr_waiter *w)
{
    if (!n->spin_ns)
        return false;
    if (n->spin_skip) {
        n->spin_skip--;
        return false;
    }
    uint32_t words = (n->n_links + 63) / 64;
    pthread_mutex_unlock(&n->lock);
    bool found = drive_spin(n, words, w);
    pthread_mutex_lock(&n->lock);
    if (found) {
        n->spin_fails = 0;
    } else {
        n->spin_fails += n->spin_fails < SPIN_SKIP_MAX;
        n->spin_skip = 1u << n->spin_fails;
    }
    return found || w->done;
}

static int drive_sleep(mr_nodes *n, mr_bell *bell, uint32_t armed, int64_t deadline)
{
    int64_t ns = -1;
    if (deadline >= 0) {
        ns = deadline - mr_drive_monotonic();
        if (ns <= 0)
            return ETIMEDOUT;
    }
    mr_drive_bells(n);
    pthread_mutex_unlock(&n->lock);
    int why = mr_bell_sleep(bell, armed, ns);
    pthread_mutex_lock(&n->lock);
    return why;
}

static bool drive_asked(const mr_nodes *n, const mr_waiter *w)
{
    return w->told && w->fulls != n->fulls;
}

static mr_status drive_ended(const mr_nodes *n, const mr_waiter *w, int why, int64_t deadline)
{
    if (n->closing)
        return MR_E_CLOSED;
    if (why == EINTR || drive_asked(n, w))
        return MR_E_INTERRUPTED;
    if (deadline >= 0 && mr_drive_monotonic() >= deadline)
        return MR_E_TIMEOUT;
    return MR_OK;
}

static mr_status drive_lead(mr_nodes *n, mr_waiter *w, int64_t deadline)
{
    mr_bell *bell = &n->links->page.bell;
    mr_status status = MR_OK;
    n->leader = w;
    w->leads = true;
    mr_bell_awake(bell);
    while (!w->done && !status) {
        mr_drive_pump(n);
        if (n->called && !w->done) {
            /* Callbacks of others must not wait for this wait. */
            mr_waiter *due = n->called;
            n->called = NULL;
            pthread_mutex_unlock(&n->lock);
            while (due) {
                mr_waiter *next = due->next;
                due->call(due->arg, due->id);
                free(due);
                due = next;
            }
            pthread_mutex_lock(&n->lock);
            continue;
        }
        int why = 0;
        if (!w->done && !n->closing && !drive_asked(n, w) && !drive_try_spin(n, w)) {
            uint32_t armed = mr_bell_arm(bell, w->lazy ? MR_BELL_LAZY : MR_BELL_FUTEX);
            if (!w->done && !n->closing && !mr_drive_pending(n))
                why = drive_sleep(n, bell, armed, deadline);
            mr_bell_awake(bell);
        }
        if (!w->done)
            status = drive_ended(n, w, why, deadline);
    }
    w->leads = false;
    n->leader = NULL;
    mr_waiter *next = drive_follower(n);
    if (next)
        mr_bell_ring_always(&next->bell, -1);
    return status;
}

static mr_status drive_follow(mr_nodes *n, mr_waiter *w, int64_t deadline)
{
    uint32_t armed = mr_bell_arm(&w->bell, MR_BELL_FUTEX);
    int why = drive_sleep(n, &w->bell, armed, deadline);
    mr_bell_awake(&w->bell);
    return w->done ? MR_OK : drive_ended(n, w, why, deadline);
}

/* How many batches the calling thread has open, in which session: its own do not stand in the way of what it waits for,
 * those of others do. */
static _Thread_local struct {
    uint64_t session;
    uint32_t depth;
} drive_mine;

void mr_drive_batch(mr_nodes *n, bool begin)
{
    if (drive_mine.session != n->port.session)
        drive_mine.depth = 0;
    drive_mine.session = n->port.session;
    if (begin) {
        n->batching++;
        drive_mine.depth++;
    } else if (n->batching) {
        n->batching--;
        drive_mine.depth -= drive_mine.depth > 0;
    }
}

uint32_t mr_drive_rest(mr_nodes *n)
{
    uint32_t depth = drive_mine.session == n->port.session ? drive_mine.depth : 0;
    if (depth > n->batching)
        depth = n->batching;
    n->batching -= depth;
    drive_mine.depth -= depth;
    return depth;
}

void mr_drive_go_on(mr_nodes *n, uint32_t depth)
{
    n->batching += depth;
    drive_mine.depth += depth;
}

mr_status mr_drive_wait(mr_nodes *n, mr_waiter *w, int64_t deadline)
{
    mr_status status = MR_OK;
    uint32_t batches = mr_drive_rest(n);
    w->fulls = n->fulls;
    while (!w->done && !status)
        status = n->closing ? MR_E_CLOSED : n->leader ? drive_follow(n, w, deadline) : drive_lead(n, w, deadline);
    mr_drive_go_on(n, batches);
    return status;
}

/* ----------------------------------------------------------------------------------------------------- settling -- */

/* Before unlocking: sets the bell for who is there to hear it. */
static void drive_settle(mr_nodes *n)
{
    mr_bell *bell = &n->links->page.bell;
    if (n->leader || drive_follower(n))
        return; /* a leader arms for itself; a follower was rung and is about to lead */
    for (;;) {
        uint32_t word = atomic_load_explicit(&bell->word, memory_order_relaxed);
        /* Either is a full fence: who published before it and saw the bell as it was is seen by the look below. */
        if ((word & 3) != MR_BELL_EVENT)
            mr_bell_arm(bell, MR_BELL_EVENT);
        else
            (void)mr_bell_sleeps(bell);
        if (!mr_drive_pending(n) || n->closing)
            return;
        mr_drive_pump(n);
        if (n->batching)
            return;
    }
}

void mr_drive_unlock(mr_nodes *n)
{
    drive_settle(n);
    mr_drive_bells(n);
    mr_waiter *due = n->called;
    n->called = NULL;
    pthread_mutex_unlock(&n->lock);
    while (due) {
        mr_waiter *next = due->next;
        due->call(due->arg, due->id);
        free(due);
        due = next;
    }
}

void mr_drive_drops(mr_nodes *n)
{
    void (*tell)(void *arg) = n->drops.tell;
    void *arg = n->drops.arg;
    n->drops.due = false;
    if (!tell)
        return;
    mr_drive_unlock(n);
    tell(arg);
    pthread_mutex_lock(&n->lock);
}
