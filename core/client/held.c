/* held.c: owns the values that this worker was sent and still holds references to (see refs.c for the counts): a heap
 * copy of a small one, a view into the carrier of a large one.  Lock: in_lock of the port.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/held.h"
#include "client/outbox.h"

mr_blob *mr_blob_new(size_t len)
{
    mr_blob *b = malloc(sizeof(*b) + len);
    if (b)
        atomic_init(&b->owners, 1);
    return b;
}

void mr_blob_drop(mr_blob *b)
{
    if (b && atomic_fetch_sub_explicit(&b->owners, 1, memory_order_acq_rel) == 1)
        free(b);
}

static void held_end(mr_ring_port *p, mr_id id, const mr_held *v)
{
    for (mr_held *more = v->more; more;) {
        mr_held *next = more->more;
        more->more = NULL;
        held_end(p, id, more);
        free(more);
        more = next;
    }
    mr_blob_drop(v->blob);
    if (v->lent_at != MR_NOWHERE)
        mr_outbox_return(p, id, v->lent_at);
}

mr_status mr_held_read(mr_ring_port *p, const mr_record *r, const mr_dep *d, mr_held *out)
{
    if (d->flags & MR_DEP_FAILED)
        return (mr_status)(int64_t)d->at;
    *out = (mr_held){.len = d->len,
                     .lent_at = d->flags & MR_DEP_LENT ? d->at : MR_NOWHERE,
                     .format = d->format,
                     .error = d->flags & MR_VALUE_ERROR};
    if (d->flags & MR_VALUE_STORED)
        out->data = mr_outbox_view(p, d->at, d->len);
    else if (d->at <= r->size && d->len <= r->size - d->at)
        out->data = (const char *)r + d->at;
    if (out->data)
        return MR_OK;
    mr_log(MR_LOG_ERROR, "client", "the value of object %llx lies outside what the node shares",
           (unsigned long long)d->id);
    return MR_E_PROTOCOL;
}

void mr_held_put(mr_ring_port *p, mr_id id, const mr_held *v, bool seen)
{
    mr_held *e = mr_table_at(&p->held, id);
    /* One that is there may be in use, so it stays; unless it only says that the object could not be had then. */
    if (e && !e->status && !seen) {
        held_end(p, id, v);
        return;
    }
    if (e && !e->status) {
        mr_held *more = malloc(sizeof(*more));
        if (more) {
            *more = *v;
            more->more = e->more;
            e->more = more;
            e->pins += v->pins;
            return;
        }
    } else if ((e = mr_table_put(&p->held, id))) {
        *e = *v;
        return;
    }
    /* Not given back either: it may be in use. */
    mr_log(MR_LOG_ERROR, "client", "out of memory: the value of object %llx cannot be kept", (unsigned long long)id);
}

bool mr_held_has(mr_ring_port *p, mr_id id, bool *error)
{
    const mr_held *e = mr_table_at(&p->held, id);
    if (!e || e->status)
        return false;
    *error = e->error;
    return true;
}

mr_status mr_held_value(mr_ring_port *p, mr_id id, mr_value *out)
{
    mr_status st = MR_E_TIMEOUT;
    pthread_mutex_lock(&p->in_lock);
    mr_held *e = mr_table_at(&p->held, id);
    if (e && e->status) {
        st = (mr_status)e->status;
        mr_table_del(&p->held, id);
    } else if (e) {
        *out = (mr_value){.id = id, .error = e->error, .format = e->format, .data = e->data, .len = e->len};
        out->looked = e->lent_at != MR_NOWHERE;
        if (e->taken && !e->pins && e->lent_at != MR_NOWHERE)
            p->idle_bytes -= e->len;
        e->pins++;
        e->taken = true;
        st = MR_OK;
    }
    pthread_mutex_unlock(&p->in_lock);
    return st;
}

/* Back to the node, though there are references: who wants it asks again. */
static void held_away(mr_ring_port *p, mr_id id, mr_held *e)
{
    p->idle_bytes -= e->len;
    held_end(p, id, e);
    *e = (mr_held){.status = MR_E_BUSY, .lent_at = MR_NOWHERE};
}

void mr_held_unview(mr_ring_port *p, mr_id id, uint32_t n)
{
    pthread_mutex_lock(&p->in_lock);
    mr_held *e = mr_table_at(&p->held, id);
    if (e)
        e->pins -= n < e->pins ? n : e->pins;
    if (e && !e->pins && e->lent_at != MR_NOWHERE) {
        p->idle_bytes += e->len;
        if (p->idle_bytes > p->idle_most)
            held_away(p, id, e);
    }
    mr_outbox_unlock(p);
}

/* Those that nobody has looked at yet are on their way to somebody who waits for them. */
void mr_held_idle(mr_ring_port *p)
{
    uint64_t cursor = 0, id;
    mr_held *e;
    while ((e = mr_table_next(&p->held, &cursor, &id))) {
        if (e->pins || !e->taken || e->lent_at == MR_NOWHERE)
            continue;
        held_away(p, id, e);
    }
}

void mr_held_forget(mr_ring_port *p, mr_id id)
{
    pthread_mutex_lock(&p->in_lock);
    const mr_held *e = mr_table_at(&p->held, id);
    if (e) {
        mr_held v = *e;
        if (v.taken && !v.pins && v.lent_at != MR_NOWHERE)
            p->idle_bytes -= v.len;
        mr_table_del(&p->held, id);
        held_end(p, id, &v);
    }
    mr_outbox_unlock(p);
}

void mr_held_fini(mr_ring_port *p)
{
    uint64_t cursor = 0, id;
    mr_held *e;
    while ((e = mr_table_next(&p->held, &cursor, &id)))
        held_end(p, id, e);
    mr_table_fini(&p->held);
}
