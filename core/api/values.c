/* values.c: putting, getting, waiting; the counts of references.  Owns the drafts of mr_create (drafts_lock). */
#include <stdlib.h>
#include <string.h>

#include "api/session.h"

/* -------------------------------------------------------------------------------------------------------- put -- */

/* `data` NULL with stored: the bytes are in place already. */
static mr_status send_put(mr_session *s, mr_id id, uint32_t format, const void *data, uint64_t len, bool stored,
                          uint32_t node, const mr_id *refs, uint32_t n_refs, mr_err *err)
{
    mr_scratch b;
    mr_ev_put *r = mr_scratch_record(&b, MR_EV_PUT, sizeof(*r), n_refs, stored ? 0 : len, err);
    if (!r)
        return MR_E_NOMEM;
    r->id = id;
    r->size = len;
    r->node = node;
    r->format = format & ~(MR_PUT_ERROR | MR_PUT_NOWAIT);
    r->flags = (stored ? MR_VALUE_STORED : 0) | (format & MR_PUT_ERROR ? MR_VALUE_ERROR : 0) |
               (format & MR_PUT_NOWAIT ? MR_VALUE_NOWAIT : 0);
    char *at = (char *)(r + 1);
    if (n_refs)
        memcpy(at, refs, sizeof(*refs) * n_refs);
    if (!stored && len)
        memcpy(at + sizeof(*refs) * n_refs, data, len);
    mr_status st = mr_refs_adopt(s->refs, id, 1);
    if (st)
        mr_err_set(err, st, "%s", mr_status_text(st));
    else if ((st = mr_session_send(s, &r->h, err)))
        mr_refs_disown(s->refs, id, 1);
    mr_scratch_free(&b);
    return st;
}

static mr_status put(mr_session *s, uint32_t format, const void *data, uint64_t len, const mr_id *refs, uint32_t n_refs,
                     mr_id *out, mr_err *err)
{
    mr_port *p = s->port;
    uint32_t node = 0;
    bool stored = format & MR_PUT_ERROR ? len > p->inline_max : mr_port_stores(p, len);
    void *to;
    mr_id id;
    if (stored && format & MR_PUT_NOWAIT)
        return MR_E_BUSY;
    mr_status st = mr_session_ids(s, 1, &id);
    if (st)
        return mr_err_set(err, st, "%s", mr_status_text(st));
    if (stored) {
        /* Room first: what this process gave up may be what is missing. */
        mr_refs_flush(s->refs, true);
        st = p->ops->create(p, id, len, &to, &node, err);
        if (st)
            return st;
        mr_copy(to, data, len);
    }
    st = send_put(s, id, format, data, len, stored, node, refs, n_refs, err);
    if (st && stored)
        p->ops->abort(p, id);
    if (!st)
        *out = id;
    return st;
}

mr_status mr_put(mr_session *s, uint32_t format, const void *data, uint64_t len, const mr_id *refs, uint32_t n_refs,
                 mr_id *out, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    mr_refs_flush(s->refs, false);
    st = put(s, format, data, len, refs, n_refs, out, err);
    mr_session_leave(s);
    return st;
}

static mr_status create(mr_session *s, uint64_t len, mr_draft *d, mr_err *err)
{
    mr_port *p = s->port;
    mr_status st = mr_session_ids(s, 1, &d->id);
    if (st)
        return mr_err_set(err, st, "%s", mr_status_text(st));
    d->len = len;
    d->stored = mr_port_stores(p, len);
    if (!d->stored) {
        d->data = malloc(len + 1);
        return d->data ? MR_OK : mr_err_set(err, MR_E_NOMEM, "out of memory for %llu bytes", (unsigned long long)len);
    }
    mr_refs_flush(s->refs, true);
    return p->ops->create(p, d->id, len, &d->data, &d->node, err);
}

mr_status mr_create(mr_session *s, uint64_t len, mr_id *out, void **data, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    mr_draft *d = calloc(1, sizeof(*d));
    if (!d)
        st = mr_err_set(err, MR_E_NOMEM, "out of memory");
    else
        st = create(s, len, d, err);
    if (st) {
        free(d);
    } else {
        pthread_mutex_lock(&s->drafts_lock);
        d->next = s->drafts;
        s->drafts = d;
        pthread_mutex_unlock(&s->drafts_lock);
        *out = d->id;
        *data = d->data;
    }
    mr_session_leave(s);
    return st;
}

static mr_draft *take_draft(mr_session *s, mr_id id)
{
    pthread_mutex_lock(&s->drafts_lock);
    mr_draft **at = &s->drafts;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    mr_draft *d = *at;
    if (d)
        *at = d->next;
    pthread_mutex_unlock(&s->drafts_lock);
    return d;
}

static void end_draft(mr_session *s, mr_draft *d, bool abort)
{
    if (!d->stored)
        free(d->data);
    else if (abort)
        s->port->ops->abort(s->port, d->id);
    free(d);
}

mr_status mr_seal(mr_session *s, mr_id id, uint32_t format, const mr_id *refs, uint32_t n_refs, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    mr_draft *d = take_draft(s, id);
    if (!d)
        st = mr_err_set(err, MR_E_NOTFOUND, "object %llx was not created, or is sealed", (unsigned long long)id);
    else
        st = send_put(s, id, format, d->data, d->len, d->stored, d->node, refs, n_refs, err);
    if (d)
        end_draft(s, d, st != MR_OK);
    mr_session_leave(s);
    return st;
}

void mr_abort(mr_session *s, mr_id id)
{
    if (mr_session_enter(s, NULL))
        return;
    mr_draft *d = take_draft(s, id);
    if (d)
        end_draft(s, d, true);
    mr_session_leave(s);
}

/* ------------------------------------------------------------------------------------------------- get and wait -- */

enum { GET_LOOKS = 1 << 16 /* BUSY stays BUSY: an object that is on disk is there */ };

/* Drops travel before a sleep, so that what nobody needs is not kept for as long as it lasts. */
static void before_wait(mr_session *s, int64_t timeout)
{
    mr_refs_flush(s->refs, timeout != 0);
    mr_refs_settle(s->refs);
}

/* The wait was satisfied, but not by an error, and one is not there: its bytes were lost and are made again, or are on
 * disk. */
static bool wait_again(const mr_value *v, size_t n)
{
    bool again = false;
    for (size_t i = 0; i < n; i++) {
        bool away = v[i].status == MR_E_BUSY || v[i].status == MR_E_TIMEOUT;
        if (v[i].error || (v[i].status && !away))
            return false;
        again |= away;
    }
    return again;
}

/* Those that are not there yet; what is there stays where it is, since a large value is looked at from now on. */
static void take_values(mr_session *s, const mr_id *ids, size_t n, bool held, mr_value *out)
{
    mr_port *p = s->port;
    bool first = true;
    for (size_t i = 0; first && i < n; i++)
        first = !out[i].data;
    if (first)
        p->ops->values(p, ids, n, out);
    for (size_t i = 0; i < n; i++) {
        if (!first && out[i].data)
            continue;
        if (!first)
            p->ops->values(p, &ids[i], 1, &out[i]);
        if (out[i].looked)
            out[i].looked = mr_refs_pin(s->refs, ids[i], held);
    }
}

static mr_status get(mr_session *s, const mr_id *ids, size_t n, int64_t timeout, uint32_t flags, mr_value *out,
                     mr_err *err)
{
    mr_port *p = s->port;
    bool held = flags & MR_GET_HELD;
    mr_status st = held ? MR_OK : mr_refs_add(s->refs, ids, n);
    if (st)
        return mr_err_set(err, st, "%s", mr_status_text(st));
    before_wait(s, timeout);
    int64_t deadline = mr_session_deadline(timeout);
    bool filled;
    do {
        st = n == 0 ? MR_OK
                    : p->ops->wait(p, ids, n, n, flags & MR_GET_EARLY ? MR_WAIT_EARLY : 0, deadline, true, NULL, err);
        filled = !st || (st == MR_E_TIMEOUT && !held);
        if (filled)
            take_values(s, ids, n, held, out);
    } while (!st && wait_again(out, n));
    bool again = held && (st == MR_E_TIMEOUT || st == MR_E_INTERRUPTED);
    for (size_t i = 0; i < n; i++) {
        if (again && out[i].looked)
            continue;
        if ((!filled || out[i].status) && out[i].looked)
            mr_refs_unlook(s->refs, ids[i]);
        else if ((!filled || out[i].status) && !held)
            mr_refs_sub(s->refs, ids[i]);
        if (!filled)
            out[i] = (mr_value){.id = ids[i], .status = MR_E_TIMEOUT};
        if (out[i].status == MR_E_BUSY && !(flags & GET_LOOKS))
            out[i].status = MR_E_TIMEOUT;
    }
    if (st == MR_E_TIMEOUT)
        mr_err_set(err, st, "timed out: not all of %zu objects are there", n);
    return st;
}

mr_status mr_get(mr_session *s, const mr_id *ids, size_t n, int64_t timeout, uint32_t flags, mr_value *out, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    if (!(flags & MR_GET_MORE))
        memset(out, 0, n * sizeof(*out));
    st = get(s, ids, n, timeout, flags, out, err);
    mr_session_leave(s);
    return st;
}

mr_status mr_wait(mr_session *s, const mr_id *ids, size_t n, size_t need, int64_t timeout, bool *ready, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    before_wait(s, timeout);
    memset(ready, 0, n * sizeof(*ready));
    if (need > n)
        st = mr_err_set(err, MR_E_INVAL, "%zu of %zu objects cannot be waited for", need, n);
    else if (n > 0)
        st = s->port->ops->wait(s->port, ids, n, need, 0, mr_session_deadline(timeout), false, ready, err);
    mr_session_leave(s);
    return st;
}

mr_status mr_on_ready(mr_session *s, mr_id id, void (*done)(void *arg, mr_id id), void *arg)
{
    mr_status st = mr_session_enter(s, NULL);
    if (st)
        return st;
    mr_refs_settle(s->refs);
    st = s->port->ops->on_ready(s->port, id, done, arg);
    mr_session_leave(s);
    return st;
}

bool mr_contains(mr_session *s, mr_id id)
{
    mr_value v;
    if (mr_session_enter(s, NULL))
        return false;
    /* What was given up is gone first: a look must not bring it back. */
    mr_refs_flush(s->refs, true);
    v = (mr_value){.id = id};
    mr_status st = get(s, &id, 1, 0, GET_LOOKS, &v, NULL);
    bool there = !v.status || v.status == MR_E_BUSY;
    /* A wait that ended in vain may have brought it back from the disk all the same. */
    if (!v.status && v.looked)
        mr_refs_unlook(s->refs, id);
    else if (!v.status)
        mr_refs_sub(s->refs, id);
    there &= !st || st == MR_E_TIMEOUT;
    mr_session_leave(s);
    return there;
}

/* ------------------------------------------------------------------------------------------------------- counts -- */

mr_status mr_incref(mr_session *s, mr_id id)
{
    mr_status st = mr_session_enter(s, NULL);
    if (st)
        return st;
    st = mr_refs_add(s->refs, &id, 1);
    mr_session_leave(s);
    return st;
}

/* Sessions are never freed whole (session.h), so a late call reads a state and not freed memory.  The count of users
 * keeps `refs` alive meanwhile. */
void mr_decref(mr_session *s, mr_id id)
{
    if (id == MR_NO_ID || mr_session_enter(s, NULL))
        return;
    mr_refs_drop(s->refs, id);
    mr_session_depart(s);
}

mr_status mr_view(mr_session *s, mr_id id)
{
    mr_status st = mr_session_enter(s, NULL);
    if (st)
        return st;
    st = mr_refs_look(s->refs, &id, 1);
    mr_session_leave(s);
    return st;
}

void mr_release(mr_session *s, mr_id id)
{
    if (id == MR_NO_ID || mr_session_enter(s, NULL))
        return;
    mr_refs_drop_look(s->refs, id);
    mr_session_depart(s);
}

void mr_flush(mr_session *s)
{
    if (mr_session_enter(s, NULL))
        return;
    mr_refs_flush(s->refs, true);
    mr_session_leave(s);
}

mr_status mr_free(mr_session *s, const mr_id *ids, size_t n)
{
    mr_status st = mr_session_enter(s, NULL);
    if (st)
        return st;
    for (size_t i = 0; !st && i < n; i += 256) {
        uint32_t part = (uint32_t)(n - i < 256 ? n - i : 256);
        mr_scratch b;
        mr_ev_none *r = mr_scratch_record(&b, MR_EV_FREE, sizeof(*r), part, 0, NULL);
        if (!r) {
            st = MR_E_NOMEM;
            break;
        }
        memcpy(r + 1, ids + i, part * sizeof(*ids));
        st = mr_session_send(s, &r->h, NULL);
        mr_scratch_free(&b);
    }
    mr_session_leave(s);
    return st;
}
