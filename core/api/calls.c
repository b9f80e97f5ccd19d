/* calls.c: the side of a worker: public calls on client/calls.c, and the order of references around them.  Holds that a
 * task took go to the node before its FINISHED; values of its arguments that the process still holds outlive it.
 * Owns nothing; no lock.
 */
#include "client/calls.h"
#include "client/cancel.h"

#include <stdlib.h>
#include <string.h>

#include "api/session.h"

static mr_status enter_worker(mr_session *s)
{
    mr_status st = mr_session_enter(s, NULL);
    if (!st && !s->ring) {
        mr_session_leave(s);
        st = MR_E_UNSUPPORTED;
    }
    return st;
}

mr_status mr_call_next(mr_session *s, int64_t timeout, mr_call **out)
{
    mr_status st = enter_worker(s);
    if (st)
        return st;
    mr_refs_flush(s->refs, timeout != 0);
    st = mr_calls_next(s->ring, mr_session_deadline(timeout), out);
    if (st == MR_E_TIMEOUT) /* the process may sleep now, for long: what it gave up is not to wait for its next call */
        mr_refs_flush(s->refs, true);
    mr_session_leave(s);
    return st;
}

int mr_call_fd(mr_session *s)
{
    if (enter_worker(s))
        return -1;
    int fd = mr_calls_fd(s->ring);
    mr_session_leave(s);
    return fd;
}

void mr_call_describe(const mr_call *call, mr_call_info *out)
{
    mr_calls_describe(call, out);
}

bool mr_call_long(const mr_call *call)
{
    return mr_calls_long(call);
}

mr_status mr_call_dep(mr_call *call, uint32_t i, mr_value *out)
{
    return mr_calls_dep(call, i, out);
}

mr_status mr_call_start(mr_call *call, bool main_thread)
{
    return mr_calls_start(call, main_thread);
}

bool mr_call_cancelled(const mr_call *call)
{
    return mr_calls_cancelled(call);
}

mr_status mr_call_stop(mr_call *call)
{
    return mr_calls_stop(call);
}

/* Before a value of `len` bytes: if room is asked for, what this process gave up may be what is missing.  `then`
 * leaves.
 */
static mr_session *settle(uint64_t len)
{
    mr_session *s = mr_current();
    if (enter_worker(s))
        return NULL;
    if (mr_port_stores(s->port, len))
        mr_refs_flush(s->refs, true);
    else
        mr_refs_settle(s->refs);
    return s;
}

static mr_status then(mr_session *s, mr_status st)
{
    if (s)
        mr_session_leave(s);
    return st;
}

mr_status mr_call_return(mr_call *call, uint32_t i, uint32_t format, const void *data, uint64_t len, const mr_id *refs,
                         uint32_t n_refs, mr_err *err)
{
    mr_content v = {.format = format, .data = data, .len = len, .refs = refs, .n_refs = n_refs};
    mr_session *s = settle(len);
    return then(s, mr_calls_return(call, i, &v, err));
}

mr_status mr_call_create(mr_call *call, uint32_t i, uint64_t len, void **data, mr_err *err)
{
    mr_session *s = settle(len);
    return then(s, mr_calls_create(call, i, len, data, err));
}

mr_status mr_call_seal(mr_call *call, uint32_t i, uint32_t format, const mr_id *refs, uint32_t n_refs, mr_err *err)
{
    mr_session *s = settle(0);
    return then(s, mr_calls_seal(call, i, format, refs, n_refs, err));
}

mr_status mr_call_yield(mr_call *call, uint32_t format, const void *data, uint64_t len, const mr_id *refs,
                        uint32_t n_refs, mr_err *err)
{
    mr_content v = {.format = format, .data = data, .len = len, .refs = refs, .n_refs = n_refs};
    mr_session *s = settle(len);
    return then(s, mr_calls_yield(call, &v, err));
}

mr_status mr_call_room(mr_call *call, int64_t timeout)
{
    return mr_calls_room(call, mr_session_deadline(timeout));
}

static void give_up(mr_session *s, const mr_id *refs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        mr_refs_sub(s->refs, refs[i]);
}

mr_status mr_call_error(mr_call *call, uint32_t format, const void *data, uint64_t len, const mr_id *refs,
                        uint32_t n_refs, bool retriable, mr_err *err)
{
    mr_content v = {.format = format, .data = data, .len = len, .refs = refs, .n_refs = n_refs};
    mr_session *s = mr_current();
    mr_status st = enter_worker(s);
    if (st)
        return mr_err_set(err, st, "%s", mr_status_text(st));
    /* It travels with FINISHED only; until then we hold what it refers to, so that no drop comes before. */
    st = mr_refs_add(s->refs, refs, n_refs);
    mr_refs_settle(s->refs);
    if (!st)
        st = mr_calls_error(call, &v, retriable, err);
    uint32_t kept;
    if (n_refs && !mr_calls_kept_refs(call, &kept))
        give_up(s, refs, n_refs);
    mr_session_leave(s);
    return st;
}

typedef struct kept {
    mr_call *call;
    uint32_t first;
} kept;

static bool keep(void *arg, size_t i, bool looked)
{
    const kept *k = arg;
    return mr_calls_keep_dep(k->call, k->first + (uint32_t)i, looked);
}

static void keep_deps(mr_session *s, mr_call *call)
{
    mr_call_info info;
    mr_calls_describe(call, &info);
    for (uint32_t i = 0; i < info.n_deps; i += 64) {
        mr_id ids[64];
        uint32_t n = info.n_deps - i < 64 ? info.n_deps - i : 64;
        for (uint32_t k = 0; k < n; k++)
            ids[k] = mr_calls_dep_id(call, i + k);
        mr_refs_each_held(s->refs, ids, n, keep, &(kept){call, i});
    }
}

mr_status mr_call_finish(mr_call *call, mr_status outcome, bool leave)
{
    mr_session *s = mr_current();
    mr_status st = enter_worker(s);
    if (st)
        return st; /* closed meanwhile: the port has freed the call */
    mr_refs_flush(s->refs, true);
    keep_deps(s, call);
    uint32_t n;
    const mr_id *refs = mr_calls_kept_refs(call, &n);
    mr_id *copy = n ? malloc(n * sizeof(*copy)) : NULL;
    if (copy)
        memcpy(copy, refs, n * sizeof(*copy));
    st = mr_calls_finish(call, outcome, leave);
    if (copy)
        give_up(s, copy, n);
    free(copy);
    mr_session_leave(s);
    return st;
}

/* First a wait for "there is an item, or the end": it can time out and be interrupted, which the taking must not. */
static mr_status stream_next(mr_session *s, mr_id task, int64_t timeout, mr_id *item, mr_err *err)
{
    mr_ev_id ev = {.h = {.size = sizeof(ev), .kind = MR_EV_READ, .version = MR_RECORD_VERSION}, .id = task};
    mr_answer a;
    mr_refs_flush(s->refs, timeout != 0);
    mr_refs_settle(s->refs);
    mr_status st = s->port->ops->wait(s->port, &task, 1, 1, 0, mr_session_deadline(timeout), false, NULL, err);
    if (!st)
        st = mr_session_call(s, &ev.h, &a, err);
    if (st)
        return st;
    free(a.text);
    /* The hold that the stream had on it is ours with the answer. */
    if ((st = mr_refs_adopt(s->refs, a.value, 1)))
        return mr_err_set(err, st, "%s", mr_status_text(st));
    *item = a.value;
    return MR_OK;
}

mr_status mr_stream_next(mr_session *s, mr_id task, int64_t timeout, mr_id *item, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    st = stream_next(s, task, timeout, item, err);
    mr_session_leave(s);
    return st;
}

void mr_on_cancel_signal(void (*hook)(void))
{
    mr_cancel_hook(hook);
}

void mr_on_wait(void *(*leave)(void), void (*back)(void *left))
{
    mr_thread_on_wait(leave, back);
}
