/* results.c: owns what a call has made so far: results, items of a stream, its error.
 *
 * A result is kept back when it is the last one missing: it then travels inside FINISHED, so that a task with one small
 * result costs one record.  No lock: a call is used by one thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/cancel.h"
#include "client/inbox.h"
#include "client/outbox.h"
#include "client/results.h"
#include "client/thread.h"
#include "client/waiters.h"

static bool is_sealed(const mr_call *c, uint32_t i)
{
    return c->sealed[i / 64] >> (i % 64) & 1;
}

static void last_free(mr_call *c)
{
    if (c->last != (mr_ev_finished *)(void *)c->small)
        free(c->last);
    c->last = NULL;
}

/* Sends what was kept back for FINISHED, because it turns out not to be the last. */
static mr_status send_last(mr_call *c)
{
    const mr_ev_finished *f = c->last;
    if (!f)
        return MR_OK;
    size_t size = mr_record_total(sizeof(mr_ev_sealed), f->h.n_ids, f->h.n_bytes);
    mr_ev_sealed *ev = malloc(size);
    if (!ev)
        return MR_E_NOMEM;
    *ev = (mr_ev_sealed){.h = f->h,
                         .task = c->task,
                         .id = f->id,
                         .size = f->size,
                         .attempt = f->attempt,
                         .index = (uint32_t)(f->id - c->task),
                         .node = f->node,
                         .format = f->format,
                         .flags = f->vflags};
    ev->h.kind = MR_EV_SEALED;
    ev->h.size = (uint32_t)size;
    memcpy(ev + 1, f + 1, sizeof(mr_id) * f->h.n_ids + f->h.n_bytes);
    mr_status st = mr_outbox_send(c->port, &ev->h, false);
    free(ev);
    last_free(c);
    return st;
}

/* Result `index` (or an error: index = what carries it) as it will travel; data NULL: it is in the carrier. */
static mr_status keep_last(mr_call *c, mr_id id, const mr_content *v, uint32_t vflags, uint32_t node)
{
    uint32_t n_bytes = vflags & MR_VALUE_STORED ? 0 : (uint32_t)v->len;
    size_t size = mr_record_total(sizeof(mr_ev_finished), v->n_refs, n_bytes);
    mr_ev_finished *f = size <= sizeof(c->small) ? (mr_ev_finished *)(void *)c->small : malloc(size);
    if (!f)
        return MR_E_NOMEM;
    memset(f, 0, sizeof(*f));
    f->h = (mr_record){.size = (uint32_t)size,
                       .kind = MR_EV_FINISHED,
                       .version = MR_RECORD_VERSION,
                       .n_ids = v->n_refs,
                       .n_bytes = n_bytes};
    f->task = c->task;
    f->id = id;
    f->size = v->len;
    f->attempt = c->order->attempt;
    f->flags = MR_FINISHED_RESULT;
    f->node = node;
    f->format = v->format;
    f->vflags = vflags;
    char *at = (char *)(f + 1);
    if (v->n_refs)
        memcpy(at, v->refs, sizeof(mr_id) * v->n_refs);
    if (n_bytes)
        memcpy(at + sizeof(mr_id) * v->n_refs, v->data, n_bytes);
    c->last = f;
    return MR_OK;
}

/* Content into the carrier under `id` if it may not travel inline.  A small error always may: it must be told. */
static mr_status place(mr_call *c, mr_id id, const mr_content *v, uint32_t *vflags, uint32_t *node, mr_err *err)
{
    *node = c->port->link->node;
    const mr_port *p = &c->port->port;
    if (*vflags & MR_VALUE_ERROR ? v->len <= p->inline_max : !mr_port_stores(p, v->len))
        return MR_OK;
    void *to;
    mr_status st = mr_ring_create(&c->port->port, id, v->len, c->order->attempt <= 1, &to, node, err);
    if (st)
        return st;
    mr_copy(to, v->data, v->len);
    *vflags |= MR_VALUE_STORED;
    return MR_OK;
}

static mr_status seal_result(mr_call *c, uint32_t i, const mr_content *v, uint32_t vflags, uint32_t node)
{
    mr_status st = keep_last(c, c->task + i, v, vflags, node);
    if (st)
        return st;
    c->sealed[i / 64] |= UINT64_C(1) << (i % 64);
    /* References in it must be known before this process drops its own, which it does before FINISHED. */
    return --c->left > 0 || v->n_refs ? send_last(c) : MR_OK;
}

static mr_status check_index(const mr_call *c, uint32_t i, mr_err *err)
{
    if (!c->order || !c->started)
        return mr_err_set(err, MR_E_INVAL, "a result before mr_call_start");
    if (i >= c->order->n_returns)
        return mr_err_set(err, MR_E_INVAL, "%s: result %u does not exist, the task has %u", c->func->def->name, i,
                          c->order->n_returns);
    if (is_sealed(c, i))
        return mr_err_set(err, MR_E_EXISTS, "%s: result %u was returned before", c->func->def->name, i);
    return MR_OK;
}

mr_status mr_calls_return(mr_call *c, uint32_t i, const mr_content *v, mr_err *err)
{
    uint32_t vflags = 0, node = 0;
    mr_status st = check_index(c, i, err);
    if (!st)
        st = place(c, c->task + i, v, &vflags, &node, err);
    if (!st && (st = seal_result(c, i, v, vflags, node)))
        mr_err_set(err, st, "%s: result %u: %s", c->func->def->name, i, mr_status_text(st));
    return st;
}

/* Tells of an item; one that is refused leaves nothing behind but what lies in the carrier. */
static mr_status send_item(mr_call *c, mr_id id, const mr_content *v, uint32_t vflags, uint32_t node)
{
    uint32_t n_bytes = vflags & MR_VALUE_STORED ? 0 : (uint32_t)v->len;
    size_t size = mr_record_total(sizeof(mr_ev_sealed), v->n_refs, n_bytes);
    mr_ev_sealed *ev = malloc(size);
    if (!ev)
        return MR_E_NOMEM;
    *ev = (mr_ev_sealed){.h = {.size = (uint32_t)size,
                               .kind = MR_EV_YIELDED,
                               .version = MR_RECORD_VERSION,
                               .n_ids = v->n_refs,
                               .n_bytes = n_bytes},
                         .task = c->task,
                         .id = id,
                         .size = v->len,
                         .attempt = c->order->attempt,
                         .index = (uint32_t)c->n_yielded,
                         .node = node,
                         .format = v->format,
                         .flags = vflags};
    if (v->n_refs)
        memcpy(ev + 1, v->refs, sizeof(mr_id) * v->n_refs);
    if (n_bytes)
        memcpy((char *)(ev + 1) + sizeof(mr_id) * v->n_refs, v->data, n_bytes);
    mr_status st = mr_outbox_send(c->port, &ev->h, true);
    free(ev);
    c->n_yielded += !st;
    return st;
}

static mr_status item_id(const mr_call *c, mr_id *id, mr_err *err)
{
    if (!c->order || !c->started || !(c->func->def->flags & MR_FUNC_STREAMING))
        return mr_err_set(err, MR_E_INVAL, "an item from a task that is not a stream");
    mr_status st = c->port->port.ops->ids(&c->port->port, 1, id);
    return st ? mr_err_set(err, st, "%s: an item: %s", c->func->def->name, mr_status_text(st)) : MR_OK;
}

/* Says of which result or item. */
static mr_status made_badly(const mr_call *c, uint32_t i, mr_status st, mr_err *err)
{
    bool item = i == MR_CALL_ITEM;
    return mr_err_set(err, st, "%s: %s %llu: %s", c->func->def->name, item ? "item" : "result",
                      item ? (unsigned long long)c->n_yielded : i, mr_status_text(st));
}

mr_status mr_calls_create(mr_call *c, uint32_t i, uint64_t len, void **data, mr_err *err)
{
    mr_id id = c->task + i;
    mr_status st = i == MR_CALL_ITEM ? item_id(c, &id, err) : check_index(c, i, err);
    if (st)
        return st;
    for (const mr_making *m = c->making; m; m = m->next)
        if (m->index == i)
            return mr_err_set(err, MR_E_EXISTS, "%s: result %u was created before", c->func->def->name, i);
    mr_making *m = calloc(1, sizeof(*m));
    if (!m)
        return made_badly(c, i, MR_E_NOMEM, err);
    m->id = id;
    m->index = i;
    m->len = len;
    m->stored = mr_port_stores(&c->port->port, len);
    m->node = c->port->link->node;
    if (m->stored)
        st = mr_ring_create(&c->port->port, id, len, c->order->attempt <= 1, &m->bytes, &m->node, err);
    else if (!(m->bytes = malloc(len + 1)))
        st = made_badly(c, i, MR_E_NOMEM, err);
    if (st) {
        free(m);
        return st;
    }
    m->next = c->making;
    c->making = m;
    *data = m->bytes;
    return MR_OK;
}

mr_status mr_calls_seal(mr_call *c, uint32_t i, uint32_t format, const mr_id *refs, uint32_t n_refs, mr_err *err)
{
    mr_making **at = &c->making;
    while (*at && (*at)->index != i)
        at = &(*at)->next;
    mr_making *m = *at;
    if (!m)
        return mr_err_set(err, MR_E_NOTFOUND, "result %u was not created", i);
    mr_content v = {.format = format, .data = m->bytes, .len = m->len, .refs = refs, .n_refs = n_refs};
    uint32_t vflags = m->stored ? MR_VALUE_STORED : 0;
    mr_status st =
        i == MR_CALL_ITEM ? send_item(c, m->id, &v, vflags, m->node) : seal_result(c, i, &v, vflags, m->node);
    if (st)
        return made_badly(c, i, st, err);
    *at = m->next;
    if (!m->stored)
        free(m->bytes);
    free(m);
    return MR_OK;
}

mr_status mr_calls_error(mr_call *c, const mr_content *v, bool retriable, mr_err *err)
{
    if (!c->order || !c->started)
        return mr_err_set(err, MR_E_INVAL, "an error before mr_call_start");
    mr_status st = send_last(c);
    mr_id id = c->task;
    uint32_t vflags = MR_VALUE_ERROR, node = 0;
    c->retriable = retriable;
    if (c->left == 0 && !(c->func->def->flags & MR_FUNC_STREAMING)) /* the handle of a stream carries its error */
        return st ? mr_err_set(err, st, "%s: %s", c->func->def->name, mr_status_text(st)) : MR_OK;
    /* Its bytes lie under the last result that is missing: an earlier attempt may have sealed the first ones. */
    for (uint32_t i = c->order->n_returns; i-- > 0 && id == c->task;)
        if (!is_sealed(c, i))
            id = c->task + i;
    if (!st)
        st = place(c, id, v, &vflags, &node, err);
    if (!st)
        st = keep_last(c, id, v, vflags, node);
    if (st)
        return mr_err_set(err, st, "%s: its error: %s", c->func->def->name, mr_status_text(st));
    return MR_OK;
}

/* in_lock held */
static bool has_room(const mr_call *c)
{
    return c->n_yielded < c->allowed;
}

mr_status mr_calls_room(mr_call *c, int64_t deadline)
{
    mr_ring_port *p = c->port;
    pthread_mutex_lock(&p->in_lock);
    if (!has_room(c) && !p->leader)
        mr_inbox_look(p);
    bool room = has_room(c);
    mr_status st = c->main ? MR_OK : mr_cancel_of_thread(p);
    mr_outbox_unlock(p);
    if (room || st)
        return st;
    mr_waiter w;
    mr_waiters_join(p, &w, MR_FOR_RESUME);
    pthread_mutex_lock(&p->in_lock);
    w.task = c->task;
    w.done = has_room(c);
    pthread_mutex_unlock(&p->in_lock);
    st = mr_inbox_wait(p, &w, deadline, true);
    mr_waiters_part(p, &w);
    return st;
}

mr_status mr_calls_yield(mr_call *c, const mr_content *v, mr_err *err)
{
    mr_id id;
    uint32_t vflags = 0, node = 0;
    mr_status st = item_id(c, &id, err);
    if (!st && !(st = place(c, id, v, &vflags, &node, err)) && (st = send_item(c, id, v, vflags, node)))
        made_badly(c, MR_CALL_ITEM, st, err);
    return st;
}

mr_status mr_results_finish(mr_call *c, mr_status outcome, bool leave)
{
    mr_ev_finished bare = {.h = {.size = sizeof(bare), .kind = MR_EV_FINISHED, .version = MR_RECORD_VERSION},
                           .task = c->task,
                           .attempt = c->order->attempt};
    mr_ev_finished *f = outcome == MR_E_CANCELLED || !c->last ? &bare : c->last;
    f->ran = mr_clock_ns() - c->began;
    f->outcome = outcome;
    if (leave)
        f->flags |= MR_FINISHED_EXIT;
    if (outcome == MR_E_TASK && c->retriable)
        f->flags |= MR_FINISHED_RETRIABLE;
    atomic_store_explicit(&c->func->ran, f->ran, memory_order_relaxed);
    if (f == &bare && c->last && (c->last->vflags & MR_VALUE_STORED))
        c->port->port.ops->abort(&c->port->port, c->last->id);
    for (const mr_making *m = c->making; m; m = m->next)
        if (m->stored)
            c->port->port.ops->abort(&c->port->port, m->id);
    /* After a long run its dependents are told at once, also when the node sleeps as a whole.  So they are by a thread
     * that takes no calls itself: it would not look again, and who does may be asleep already. */
    return mr_outbox_send(c->port, &f->h, f->ran > MR_CALL_LONG || c->taker != mr_thread_self());
}
