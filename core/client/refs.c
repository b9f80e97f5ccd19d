/* refs.c: owns the counts of this process's references, and the holds and drops that the node has not been told yet.
 * It knows no values; the port forgets a cached value when it is told to.
 *
 * Invariant of an entry: count > 0, or it waits in `adds` or `drops`.  An entry in `adds` was never announced, one in
 * `drops` was; so no id is in both.  Lock: `lock` over everything; held while a REFS record is sent, so that holds and
 * drops of several threads reach the node in the order in which they were counted.
 */
#include "client/refs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/table.h"
#include "client/drops.h"

typedef struct ref {
    uint32_t count;
    uint32_t views, pins; /* of count: that look at the bytes; looks that the port counts */
    bool announced, in_adds, in_drops;
} ref;

/* In a list of drops: the reference looked at the bytes.  Ids of objects do not use the bit (link.h: those that only
 * carry do, and are never counted). */
#define DROP_LOOK (UINT64_C(1) << 63)

struct mr_refs {
    pthread_mutex_t lock;
    mr_port *port;
    mr_table table;
    mr_id adds[MR_REFS_BATCH], drops[MR_REFS_BATCH];
    _Atomic uint32_t n_adds, n_drops; /* changed under the lock, looked at without */
    uint32_t asking;                  /* questions under way; under the lock */
};

mr_status mr_refs_new(mr_port *port, mr_refs **out)
{
    mr_refs *r = calloc(1, sizeof(*r));
    if (!r)
        return MR_E_NOMEM;
    pthread_mutex_init(&r->lock, NULL);
    r->port = port;
    mr_table_init(&r->table, sizeof(ref));
    *out = r;
    return MR_OK;
}

static void forget_one(void *arg, mr_id id)
{
    (void)arg;
    (void)id;
}

void mr_refs_free(mr_refs *r)
{
    if (!r)
        return;
    mr_drops_take(r, forget_one, NULL);
    mr_table_fini(&r->table);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

typedef struct refs_record {
    mr_ev_refs ev;
    mr_id ids[2 * MR_REFS_BATCH];
} refs_record;

static uint32_t collect_adds(mr_refs *r, mr_id *ids)
{
    uint32_t n = 0, n_adds = atomic_load_explicit(&r->n_adds, memory_order_relaxed);
    for (uint32_t i = 0; i < n_adds; i++) {
        ref *e = mr_table_at(&r->table, r->adds[i]);
        e->in_adds = false;
        if (e->announced)
            continue;
        if (e->count == 0) {
            if (e->pins)
                r->port->ops->unview(r->port, r->adds[i], e->pins);
            mr_table_del(&r->table, r->adds[i]);
            continue;
        }
        e->announced = true;
        ids[n++] = r->adds[i];
    }
    return n;
}

static uint32_t collect_drops(mr_refs *r, mr_id *ids)
{
    uint32_t n = 0, n_drops = atomic_load_explicit(&r->n_drops, memory_order_relaxed);
    for (uint32_t i = 0; i < n_drops; i++) {
        ref *e = mr_table_at(&r->table, r->drops[i]);
        e->in_drops = false;
        if (e->count > 0)
            continue;
        if (e->pins)
            r->port->ops->unview(r->port, r->drops[i], e->pins);
        mr_table_del(&r->table, r->drops[i]);
        ids[n++] = r->drops[i];
    }
    return n;
}

static void send_some(mr_refs *r, refs_record *rec, uint32_t n_add, uint32_t n)
{
    memset(&rec->ev, 0, sizeof(rec->ev));
    rec->ev.h.size = (uint32_t)mr_record_total(sizeof(rec->ev), n, 0);
    rec->ev.h.kind = MR_EV_REFS;
    rec->ev.h.version = MR_RECORD_VERSION;
    rec->ev.h.n_ids = n;
    rec->ev.n_add = n_add;
    mr_err err;
    mr_status st = r->port->ops->send(r->port, &rec->ev.h, &err);
    /* A hold that control refuses is of an object that is gone: whoever uses it is told then. */
    if (st && st != MR_E_CLOSED)
        mr_log(MR_LOG_DEBUG, "refs", "%u references were not accepted: %s", n, mr_status_text(st));
    for (uint32_t i = n_add; i < n; i++)
        r->port->ops->forget(r->port, rec->ids[i]);
}

/* Lock held.  The buffers are said to be empty when the node has been told, not before: who sees that they are, sends.
 */
static void send_all(mr_refs *r)
{
    refs_record rec;
    bool later = r->asking && atomic_load_explicit(&r->n_drops, memory_order_relaxed) < MR_REFS_BATCH;
    uint32_t n_add = collect_adds(r, rec.ids);
    uint32_t n = n_add + (later ? 0 : collect_drops(r, rec.ids + n_add));
    if (n)
        send_some(r, &rec, n_add, n);
    atomic_store_explicit(&r->n_adds, 0, memory_order_release);
    if (!later)
        atomic_store_explicit(&r->n_drops, 0, memory_order_release);
}

/* Lock held. */
static mr_status add_one(mr_refs *r, mr_id id, bool look)
{
    ref *e = mr_table_put(&r->table, id);
    if (!e)
        return MR_E_NOMEM;
    e->views += look;
    if (e->count++ > 0 || e->announced || e->in_adds)
        return MR_OK;
    uint32_t n = atomic_load_explicit(&r->n_adds, memory_order_relaxed);
    e->in_adds = true;
    r->adds[n] = id;
    atomic_store_explicit(&r->n_adds, n + 1, memory_order_relaxed);
    if (n + 1 == MR_REFS_BATCH)
        send_all(r);
    return MR_OK;
}

/* Lock held.  `id` may carry DROP_LOOK. */
static void sub_one(void *arg, mr_id id)
{
    mr_refs *r = arg;
    bool look = id & DROP_LOOK;
    ref *e = mr_table_at(&r->table, id &= ~DROP_LOOK);
    if (look && e && e->views && --e->views == 0 && e->pins) {
        r->port->ops->unview(r->port, id, e->pins);
        e->pins = 0;
    }
    if (!e || e->count == 0) {
        mr_log(MR_LOG_WARN, "refs", "a reference to object %llx was given back more often than taken",
               (unsigned long long)id);
        return;
    }
    if (--e->count > 0 || e->in_adds || e->in_drops)
        return;
    if (atomic_load_explicit(&r->n_drops, memory_order_relaxed) == MR_REFS_BATCH)
        send_all(r);
    uint32_t n = atomic_load_explicit(&r->n_drops, memory_order_relaxed);
    e->in_drops = true;
    r->drops[n] = id;
    atomic_store_explicit(&r->n_drops, n + 1, memory_order_relaxed);
}

mr_status mr_refs_adopt(mr_refs *r, mr_id first, uint32_t n)
{
    mr_status st = MR_OK;
    uint32_t i;
    pthread_mutex_lock(&r->lock);
    for (i = 0; i < n; i++) {
        ref *e = mr_table_put(&r->table, first + i);
        if (!e) {
            st = MR_E_NOMEM;
            break;
        }
        e->count++;
        e->announced = true;
    }
    pthread_mutex_unlock(&r->lock);
    if (st)
        mr_refs_disown(r, first, i);
    return st;
}

void mr_refs_disown(mr_refs *r, mr_id first, uint32_t n)
{
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < n; i++)
        mr_table_del(&r->table, first + i);
    pthread_mutex_unlock(&r->lock);
}

static mr_status add_all(mr_refs *r, const mr_id *ids, size_t n, bool look)
{
    mr_status st = MR_OK;
    size_t i;
    pthread_mutex_lock(&r->lock);
    for (i = 0; i < n && !st; i++)
        st = add_one(r, ids[i], look);
    if (st)
        for (i--; i > 0; i--)
            sub_one(r, ids[i - 1] | (look ? DROP_LOOK : 0));
    pthread_mutex_unlock(&r->lock);
    return st;
}

mr_status mr_refs_add(mr_refs *r, const mr_id *ids, size_t n)
{
    return add_all(r, ids, n, false);
}

mr_status mr_refs_look(mr_refs *r, const mr_id *ids, size_t n)
{
    return add_all(r, ids, n, true);
}

void mr_refs_unlook(mr_refs *r, mr_id id)
{
    mr_refs_sub(r, id | DROP_LOOK);
}

void mr_refs_drop_look(mr_refs *r, mr_id id)
{
    mr_drops_push(r, id | DROP_LOOK);
}

bool mr_refs_pin(mr_refs *r, mr_id id, bool add)
{
    pthread_mutex_lock(&r->lock);
    ref *e = add && add_one(r, id, false) ? NULL : mr_table_at(&r->table, id);
    if (e && e->count) {
        e->views++;
        e->pins++;
    }
    pthread_mutex_unlock(&r->lock);
    return e && e->count;
}

void mr_refs_sub(mr_refs *r, mr_id id)
{
    pthread_mutex_lock(&r->lock);
    sub_one(r, id);
    pthread_mutex_unlock(&r->lock);
}

void mr_refs_drop(mr_refs *r, mr_id id)
{
    mr_drops_push(r, id);
}

void mr_refs_flush(mr_refs *r, bool all)
{
    bool untold = all && (atomic_load_explicit(&r->n_adds, memory_order_relaxed) ||
                          atomic_load_explicit(&r->n_drops, memory_order_relaxed));
    if (!mr_drops_any() && !untold)
        return;
    pthread_mutex_lock(&r->lock);
    mr_drops_take(r, sub_one, r);
    if (all)
        send_all(r);
    pthread_mutex_unlock(&r->lock);
}

void mr_refs_ask(mr_refs *r)
{
    pthread_mutex_lock(&r->lock);
    r->asking++;
    pthread_mutex_unlock(&r->lock);
}

void mr_refs_asked(mr_refs *r)
{
    pthread_mutex_lock(&r->lock);
    r->asking--;
    pthread_mutex_unlock(&r->lock);
}

void mr_refs_settle(mr_refs *r)
{
    if (atomic_load_explicit(&r->n_adds, memory_order_acquire) == 0)
        return;
    pthread_mutex_lock(&r->lock);
    send_all(r);
    pthread_mutex_unlock(&r->lock);
}

bool mr_refs_held(mr_refs *r, mr_id id)
{
    pthread_mutex_lock(&r->lock);
    const ref *e = mr_table_at(&r->table, id);
    bool held = e && e->count > 0;
    pthread_mutex_unlock(&r->lock);
    return held;
}

void mr_refs_each_held(mr_refs *r, const mr_id *ids, size_t n, bool (*keep)(void *arg, size_t i, bool looked),
                       void *arg)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < n; i++) {
        ref *e = mr_table_at(&r->table, ids[i]);
        if (e && e->count > 0)
            e->pins += keep(arg, i, e->views > 0);
    }
    pthread_mutex_unlock(&r->lock);
}
