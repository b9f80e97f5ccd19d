/* backlog.c: owns the tasks given to this worker until a thread takes them, the memory of calls, and what is known of
 * functions.  It does not know how a call runs (calls.c).  Lock: in_lock.
 */
#include "client/backlog.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/held.h"
#include "client/thread.h"
#include "client/waiters.h"

enum { CALLS_SPARE = 64 };

mr_known_func *mr_backlog_func(mr_ring_port *p, uint32_t number)
{
    mr_known_func **f = mr_table_at(&p->funcs, number);
    return f ? *f : NULL;
}

mr_status mr_backlog_define(mr_ring_port *p, uint32_t number, const mr_define *def, size_t len)
{
    if (mr_backlog_func(p, number))
        return MR_OK;
    mr_known_func **at = mr_table_put(&p->funcs, number), *f = malloc(sizeof(*f));
    mr_define *copy = malloc(len);
    if (!at || !f || !copy) {
        if (at)
            mr_table_del(&p->funcs, number);
        free(f);
        free(copy);
        return MR_E_NOMEM;
    }
    memcpy(copy, def, len);
    copy->name[sizeof(copy->name) - 1] = copy->entry[sizeof(copy->entry) - 1] = '\0';
    f->def = copy;
    atomic_init(&f->ran, MR_UNKNOWN);
    *at = f;
    return MR_OK;
}

static void queue_push(mr_ring_port *p, mr_call *c)
{
    c->next = NULL;
    if (p->queue.final)
        p->queue.final->next = c;
    else
        p->queue.first = c;
    p->queue.final = c;
    mr_waiters_done(p, MR_FOR_CALL, 0);
    if (p->call_fd >= 0 && !p->call_fd_set) {
        uint64_t one = 1;
        p->call_fd_set = write(p->call_fd, &one, sizeof(one)) == sizeof(one);
    }
}

/* in_lock held. */
static mr_call *call_new(mr_ring_port *p, size_t more)
{
    mr_call *c = more ? NULL : p->spare;
    if (c) {
        p->spare = c->next;
        p->n_spare--;
    } else if (!(c = malloc(sizeof(*c) + more))) {
        return NULL;
    }
    memset(c, 0, offsetof(mr_call, small));
    memset(c + 1, 0, more);
    c->port = p;
    return c;
}

/* Its own copy of record r: in the call itself where that is small and no value in it can outlive the call. */
static mr_status call_record(mr_call *c, const mr_record *r, mr_blob *whole)
{
    void *to = c->record;
    bool small = !whole && r->size <= sizeof(c->record) && !((const mr_ord_dispatch *)(const void *)r)->n_deps;
    if (whole) {
        atomic_fetch_add_explicit(&whole->owners, 1, memory_order_relaxed);
        c->blob = whole;
    } else if (!small && !(c->blob = mr_blob_new(r->size))) {
        return MR_E_NOMEM;
    }
    if (c->blob)
        to = c->blob->bytes;
    if (!whole)
        memcpy(to, r, r->size);
    c->order = to;
    c->deps = (mr_dep *)(void *)((char *)to + sizeof(*c->order));
    return MR_OK;
}

mr_status mr_backlog_put(mr_ring_port *p, const mr_record *r, mr_blob *whole)
{
    const mr_ord_dispatch *o = (const mr_ord_dispatch *)(const void *)r;
    mr_known_func *f = mr_backlog_func(p, o->func);
    size_t more = o->n_returns > 64 ? (o->n_returns + 63) / 64 * sizeof(uint64_t) : 0;
    if (!f || sizeof(*o) + sizeof(mr_dep) * (size_t)o->n_deps > o->h.size || o->args_at > o->h.size ||
        o->args_len > o->h.size - o->args_at)
        return MR_E_PROTOCOL;
    mr_call *c = call_new(p, more);
    if (!c)
        return MR_E_NOMEM;
    mr_status st = call_record(c, r, whole);
    if (st) {
        free(c);
        return st;
    }
    c->kind = f->def->kind == MR_FUNC_ACTOR    ? MR_CALL_ACTOR
              : f->def->kind == MR_FUNC_METHOD ? MR_CALL_METHOD
                                               : MR_CALL_TASK;
    c->func = f;
    c->task = o->task;
    c->left = o->n_returns - (f->def->flags & MR_FUNC_STREAMING ? 1 : 0); /* the node seals the handle of a stream */
    c->allowed = f->def->window > 0 ? (uint64_t)f->def->window : UINT64_MAX;
    c->sealed = more ? (uint64_t *)(void *)(c + 1) : &c->few;
    queue_push(p, c);
    return MR_OK;
}

/* Threads and event loops of an actor can not be struck by a signal: their waits say it. */
static void cancel_thread(mr_ring_port *p, mr_id task)
{
    for (mr_call *c = p->open; c; c = c->next)
        if (c->task == task && c->order)
            c->cancelled = true;
    mr_waiters_stir(p);
}

mr_status mr_backlog_note(mr_ring_port *p, int kind, mr_id task)
{
    if (kind == MR_CALL_CANCEL)
        cancel_thread(p, task);
    mr_call *c = call_new(p, 0);
    if (!c)
        return MR_E_NOMEM;
    c->kind = kind;
    c->task = task;
    queue_push(p, c);
    return MR_OK;
}

void mr_backlog_allow(mr_ring_port *p, mr_id task, uint64_t items)
{
    for (mr_call *c = p->open; c; c = c->next)
        if (c->task == task)
            c->allowed = items;
    mr_waiters_done(p, MR_FOR_RESUME, task);
}

static void results_free(mr_call *c)
{
    for (mr_making *m = c->making; m;) {
        mr_making *next = m->next;
        if (!m->stored)
            free(m->bytes);
        free(m);
        m = next;
    }
    if (c->last != (mr_ev_finished *)(void *)c->small)
        free(c->last);
}

/* in_lock held. */
void mr_backlog_free(mr_call *c)
{
    mr_ring_port *p = c->port;
    results_free(c);
    mr_blob_drop(c->blob);
    if (c->sealed == (uint64_t *)(void *)(c + 1) || p->n_spare == CALLS_SPARE) {
        free(c);
        return;
    }
    c->next = p->spare;
    p->spare = c;
    p->n_spare++;
}

void mr_backlog_fini(mr_ring_port *p)
{
    for (mr_call *c = p->queue.first, *next; c; c = next) {
        next = c->next;
        mr_backlog_free(c);
    }
    for (mr_call *c = p->open, *next; c; c = next) {
        next = c->next;
        mr_backlog_free(c);
    }
    for (mr_call *c = p->spare, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    uint64_t cursor = 0;
    mr_known_func **f;
    while ((f = mr_table_next(&p->funcs, &cursor, NULL))) {
        free((*f)->def);
        free(*f);
    }
    mr_table_fini(&p->funcs);
}

mr_call *mr_backlog_take(mr_ring_port *p)
{
    mr_call *c;
    while ((c = p->queue.first)) {
        p->queue.first = c->next;
        if (!c->next)
            p->queue.final = NULL;
        if (!c->order || atomic_load(mr_call_claim(c)) != (c->order->seq << 2 | MR_CLAIM_REVOKED))
            break;
        mr_backlog_free(c); /* the node took its lent copies back when it revoked */
    }
    if (!c)
        return NULL;
    c->prev = NULL;
    c->next = p->open;
    if (p->open)
        p->open->prev = c;
    p->open = c;
    c->waited = !p->dry;
    c->taker = mr_thread_self();
    p->dry = false;
    return c;
}
