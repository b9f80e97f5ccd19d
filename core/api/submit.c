/* submit.c: a task, an actor creation or a call, from arguments to the record.  Owns nothing; no lock. */
#include <stdlib.h>
#include <string.h>

#include "api/session.h"
#include "client/cancel.h"

static size_t name_bytes(const mr_actor_name *name)
{
    return name && name->name ? strlen(name->name) + 1 + (name->ns ? strlen(name->ns) : 0) + 1 : 0;
}

static void put_name(char *at, const mr_actor_name *name)
{
    size_t len = name->ns ? strlen(name->ns) : 0;
    if (len)
        memcpy(at, name->ns, len);
    at[len] = '\0';
    memcpy(at + len + 1, name->name, strlen(name->name) + 1);
}

static void fill(const mr_session *s, mr_ev_submit *r, uint32_t func, mr_id actor, const mr_args *a,
                 const mr_actor_name *name, uint32_t n_returns)
{
    r->actor = actor;
    r->parent = mr_thread_self()->task;
    if (r->parent && s->ring && !mr_cancel_heard(s->ring))
        r->flags |= MR_SUBMIT_UNHEARD;
    r->func = func;
    r->n_returns = n_returns;
    r->n_deps = a->n_deps;
    r->n_refs = a->n_refs;
    r->name_bytes = (uint32_t)name_bytes(name);
    r->estimate = a->estimate ? a->estimate : MR_UNKNOWN;
    char *at = (char *)(r + 1);
    if (a->n_deps)
        memcpy(at, a->deps, sizeof(mr_id) * a->n_deps);
    at += sizeof(mr_id) * a->n_deps;
    if (a->n_refs)
        memcpy(at, a->refs, sizeof(mr_id) * a->n_refs);
    at += sizeof(mr_id) * a->n_refs;
    if (a->len)
        memcpy(at, a->data, a->len);
    if (r->name_bytes) {
        r->flags |= MR_SUBMIT_NAMED | (name->get_if_exists ? MR_SUBMIT_GET_IF_EXISTS : 0);
        put_name(at + a->len, name);
    }
}

/* Names and full queues are things that the caller must learn now; for all else nothing is waited for. */
static mr_status send(mr_session *s, mr_ev_submit *r, const mr_func_note *f, bool *other, mr_err *err)
{
    *other = false;
    if (!r->name_bytes && (f->max_pending < 0 || !r->actor || !s->worker))
        return mr_session_send(s, &r->h, err);
    mr_answer a;
    mr_status st = mr_session_call(s, &r->h, &a, err);
    if (st)
        return st;
    free(a.text);
    if (a.value && a.value != r->id) {
        *other = true;
        r->id = a.value;
    }
    return MR_OK;
}

static mr_status submit(mr_session *s, uint32_t func, mr_id actor, const mr_args *a, const mr_actor_name *name,
                        mr_id *out, mr_err *err)
{
    const mr_func_note *f;
    mr_status st = mr_session_func(s, func, &f, err);
    if (st)
        return st;
    uint32_t n_returns = f->handle ? f->n_returns : a->n_returns ? a->n_returns - 1 : f->n_returns;
    uint32_t held = f->handle && !n_returns ? 1 : n_returns;
    mr_scratch b;
    mr_ev_submit *r =
        mr_scratch_record(&b, MR_EV_SUBMIT, sizeof(*r), a->n_deps + a->n_refs, a->len + name_bytes(name), err);
    if (!r)
        return err && err->status ? err->status : MR_E_NOMEM;
    fill(s, r, func, actor, a, name, n_returns);
    bool other = false;
    if (r->name_bytes)
        mr_refs_ask(s->refs);
    st = mr_session_ids(s, held ? held : 1, &r->id);
    mr_id made = r->id;
    if (st)
        mr_err_set(err, st, "%s", mr_status_text(st));
    /* Held from before: nothing that could fail comes after the node has it. */
    if (!st && held && (st = mr_refs_adopt(s->refs, made, held)))
        mr_err_set(err, st, "%s", mr_status_text(st));
    else if (!st && (st = send(s, r, f, &other, err)) && held)
        mr_refs_disown(s->refs, made, held);
    if (!st && other) {
        mr_refs_disown(s->refs, made, held);
        if ((st = mr_refs_adopt(s->refs, r->id, 1)))
            mr_err_set(err, st, "%s", mr_status_text(st));
    }
    if (r->name_bytes)
        mr_refs_asked(s->refs);
    if (!st)
        *out = r->id;
    mr_scratch_free(&b);
    return st;
}

mr_status mr_submit(mr_session *s, uint32_t func, mr_id actor, const mr_args *args, const mr_actor_name *name,
                    mr_id *out, mr_err *err)
{
    static const mr_args none = {0};
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    mr_refs_flush(s->refs, false);
    st = submit(s, func, actor, args ? args : &none, name, out, err);
    mr_session_leave(s);
    return st;
}

static void batch(mr_session *s, bool begin)
{
    if (mr_session_enter(s, NULL))
        return;
    if (!begin)
        mr_refs_flush(s->refs, true);
    s->port->ops->batch(s->port, begin);
    mr_session_leave(s);
}

void mr_batch_begin(mr_session *s)
{
    batch(s, true);
}

void mr_batch_end(mr_session *s)
{
    batch(s, false);
}
