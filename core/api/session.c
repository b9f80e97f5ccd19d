/* session.c: owns the one session of this process: opening, closing, fork, and what every call of the API begins with.
 * It does not know which port it has.  Lock: open_lock around open, attach and close.
 */
#include "api/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "client/cancel.h"
#include "client/outbox.h"
#include "engine/engine.h"

enum { IDS_BLOCK = 256 };

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static mr_session *_Atomic current;
static mr_session *all; /* open_lock */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static _Atomic bool forked; /* this process is a forked child of one with a session */

extern char **environ;

static void after_fork(void)
{
    mr_session *s = atomic_load(&current);
    if (!s)
        return;
    atomic_store(&s->state, MR_SESSION_FORKED);
    atomic_store(&current, NULL);
    atomic_store(&forked, true);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork);
}

/* ----------------------------------------------------------------------------------------------- enter and leave -- */

static mr_status refuse(const mr_session *s, mr_err *err)
{
    if (!s)
        return mr_err_set(err, MR_E_INVAL, "no session");
    if (atomic_load(&s->state) == MR_SESSION_FORKED)
        return mr_err_set(err, MR_E_FORKED,
                          "this process (%d) was forked after the session opened: a session cannot be shared by fork",
                          (int)getpid());
    return mr_err_set(err, MR_E_CLOSED, "the session is closed");
}

mr_status mr_session_enter(mr_session *s, mr_err *err)
{
    if (!s || atomic_load_explicit(&s->state, memory_order_relaxed) != MR_SESSION_OPEN)
        return refuse(s, err);
    atomic_fetch_add(&s->users, 1);
    if (atomic_load(&s->state) == MR_SESSION_OPEN)
        return MR_OK;
    mr_session_depart(s);
    return refuse(s, err);
}

/* Waits for nothing. */
void mr_session_depart(mr_session *s)
{
    if (atomic_fetch_sub(&s->users, 1) == 1 && atomic_load(&s->state) == MR_SESSION_CLOSED)
        mr_bell_ring_always(&s->out, -1);
}

void mr_session_leave(mr_session *s)
{
    if (s->ring)
        mr_outbox_settle(s->ring);
    mr_session_depart(s);
}

mr_status mr_session_ids(mr_session *s, uint32_t n, mr_id *first)
{
    static _Thread_local struct {
        const mr_session *of;
        mr_id next;
        uint32_t left;
    } block;
    if (n > IDS_BLOCK / 4)
        return s->port->ops->ids(s->port, n, first);
    if (block.of != s || block.left < n) {
        mr_status st = s->port->ops->ids(s->port, IDS_BLOCK, &block.next);
        if (st)
            return st;
        block.of = s;
        block.left = IDS_BLOCK;
    }
    *first = block.next;
    block.next += n;
    block.left -= n;
    return MR_OK;
}

mr_status mr_session_send(mr_session *s, mr_record *r, mr_err *err)
{
    mr_refs_settle(s->refs);
    return s->port->ops->send(s->port, r, err);
}

mr_status mr_session_call(mr_session *s, mr_record *r, mr_answer *a, mr_err *err)
{
    mr_refs_settle(s->refs);
    memset(a, 0, sizeof(*a));
    mr_status st = s->port->ops->call(s->port, r, a, err);
    if (!st && a->status)
        st = mr_err_set(err, a->status, "%s", a->text ? a->text : mr_status_text(a->status));
    if (st) {
        free(a->text);
        a->text = NULL;
    }
    return st;
}

int64_t mr_session_deadline(int64_t timeout)
{
    if (timeout <= 0)
        return timeout < 0 ? -1 : 0;
    int64_t now = mr_clock_ns();
    return timeout > INT64_MAX - now ? -1 : now + timeout;
}

void *mr_scratch_record(mr_scratch *b, uint32_t kind, size_t body, uint32_t n_ids, uint64_t n_bytes, mr_err *err)
{
    b->big = NULL;
    if (n_bytes > UINT32_MAX / 2 || n_ids > UINT32_MAX / 32) {
        mr_err_set(err, MR_E_TOOBIG,
                   "%llu bytes and %u references in one record: put large values into objects of their own",
                   (unsigned long long)n_bytes, n_ids);
        return NULL;
    }
    size_t size = mr_record_total(body, n_ids, (uint32_t)n_bytes);
    mr_record *r = size <= sizeof(b->small) ? (mr_record *)(void *)b->small : (b->big = malloc(size));
    if (!r) {
        mr_err_set(err, MR_E_NOMEM, "out of memory for a record of %zu bytes", size);
        return NULL;
    }
    memset(r, 0, body);
    memset((char *)r + size - 8, 0, 8);
    r->size = (uint32_t)size;
    r->kind = (uint16_t)kind;
    r->version = MR_RECORD_VERSION;
    r->n_ids = n_ids;
    r->n_bytes = (uint32_t)n_bytes;
    return r;
}

void mr_scratch_free(mr_scratch *b)
{
    free(b->big);
}

/* ------------------------------------------------------------------------------------------------ open and close -- */

static mr_status session_new(mr_port *port, mr_session **out)
{
    size_t size = (sizeof(mr_session) + 63) & ~(size_t)63;
    mr_session *s = aligned_alloc(64, size);
    if (!s)
        return MR_E_NOMEM;
    memset(s, 0, size);
    mr_status st = mr_refs_new(port, &s->refs);
    if (st) {
        free(s);
        return st;
    }
    s->port = port;
    s->id = port->session;
    s->worker = port->worker;
    pthread_mutex_init(&s->drafts_lock, NULL);
    s->older = all;
    all = s;
    atomic_store(&s->state, MR_SESSION_OPEN);
    *out = s;
    return MR_OK;
}

static mr_status may_open(mr_err *err)
{
    pthread_once(&fork_once, watch_forks);
    if (atomic_load(&forked))
        return mr_err_set(err, MR_E_FORKED,
                          "this process was forked from one with an open session: start it anew (exec)");
    if (atomic_load(&current))
        return mr_err_set(err, MR_E_EXISTS, "a session is open in this process: close it first");
    return MR_OK;
}

static mr_status open_args(const mr_open_args *args, mr_open_args *out, mr_err *err)
{
    mr_open_args a = MR_OPEN_ARGS_INIT;
    if (args && (args->size < offsetof(mr_open_args, zygote) || args->size > sizeof(a)))
        return mr_err_set(err, MR_E_ABI,
                          "mr_open_args of %zu bytes, this library knows %zu: start from MR_OPEN_ARGS_INIT", args->size,
                          sizeof(a));
    if (args)
        memcpy(&a, args, args->size);
    a.size = sizeof(a);
    *out = a;
    return MR_OK;
}

mr_status mr_session_config(const mr_open_args *args, struct mr_config **out, mr_err *err)
{
    const char *path = args->config ? args->config : getenv("MINIRAY_CONFIG");
    mr_config *c = NULL;
    mr_status st = mr_config_new(&c);
    if (st)
        return mr_err_set(err, st, "%s", mr_status_text(st));
    if (path && path[0])
        st = mr_config_read(c, path, err);
    if (!st)
        st = mr_config_env(c, environ, err);
    for (size_t i = 0; !st && i < args->n_overrides; i++) {
        const mr_override *o = &args->overrides[i];
        st = mr_config_set(c, o->section, o->key, o->value, o->where ? o->where : "mr_open", err);
    }
    if (st) {
        mr_config_free(c);
        return st;
    }
    *out = c;
    return MR_OK;
}

static void tell_drops(void *refs)
{
    mr_refs_flush(refs, true);
}

mr_status mr_open(const mr_open_args *args, mr_session **out, mr_err *err)
{
    mr_open_args a;
    mr_status st = open_args(args, &a, err);
    if (st)
        return st;
    pthread_mutex_lock(&open_lock);
    mr_config *config = NULL;
    mr_port *port = NULL;
    mr_session *s = NULL;
    st = may_open(err);
    if (!st)
        st = mr_session_config(&a, &config, err);
    if (!st)
        st = mr_engine_open(config, &a, &port, err);
    if (!st && (st = session_new(port, &s))) {
        port->ops->close(port);
        mr_err_set(err, st, "%s", mr_status_text(st));
    }
    if (!st) {
        mr_engine_on_drops(port, tell_drops, s->refs);
        atomic_store(&current, s);
        *out = s;
    }
    pthread_mutex_unlock(&open_lock);
    return st;
}

static mr_status say_up(mr_ring_port *p, mr_err *err)
{
    mr_ev_worker ev = {.h = {.size = sizeof(ev), .kind = MR_EV_WORKER_UP, .version = MR_RECORD_VERSION},
                       .worker = p->number,
                       .pid = (int32_t)getpid()};
    return p->port.ops->send(&p->port, &ev.h, err);
}

mr_status mr_attach(mr_session **out, mr_err *err)
{
    pthread_mutex_lock(&open_lock);
    mr_ring_port *p = NULL;
    mr_session *s = NULL;
    mr_status st = may_open(err);
    if (!st)
        st = mr_attach_port(&p, err);
    if (!st)
        st = mr_cancel_arm(p, err);
    if (!st && (st = session_new(&p->port, &s)))
        mr_err_set(err, st, "%s", mr_status_text(st));
    if (!st)
        st = say_up(p, err);
    if (st && s) {
        atomic_store(&s->state, MR_SESSION_CLOSED);
        mr_refs_free(s->refs);
    }
    if (st && p)
        p->port.ops->close(&p->port);
    if (!st) {
        s->ring = p;
        atomic_store(&current, s);
        *out = s;
    }
    pthread_mutex_unlock(&open_lock);
    return st;
}

static void wait_for_users(mr_session *s)
{
    for (;;) {
        uint32_t armed = mr_bell_arm(&s->out, MR_BELL_FUTEX);
        bool empty = atomic_load(&s->users) == 0;
        if (!empty)
            (void)mr_bell_sleep(&s->out, armed, -1);
        mr_bell_awake(&s->out);
        if (empty)
            return;
    }
}

static void drafts_free(mr_session *s)
{
    for (mr_draft *d = s->drafts, *next; d; d = next) {
        next = d->next;
        if (!d->stored)
            free(d->data);
        free(d);
    }
    s->drafts = NULL;
}

static void funcs_free(mr_session *s)
{
    for (size_t i = 0; i < MR_FUNC_PAGES; i++) {
        free(atomic_load(&s->funcs[i]));
        atomic_store(&s->funcs[i], NULL);
    }
}

void mr_close(mr_session *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&open_lock);
    int open = MR_SESSION_OPEN;
    if (atomic_compare_exchange_strong(&s->state, &open, MR_SESSION_CLOSED)) {
        mr_port *p = s->port;
        if (p->ops->stop)
            p->ops->stop(p);
        wait_for_users(s);
        p->ops->close(p);
        mr_refs_free(s->refs);
        drafts_free(s);
        funcs_free(s);
        pthread_mutex_destroy(&s->drafts_lock);
        s->port = NULL;
        s->ring = NULL;
        s->refs = NULL;
        atomic_store(&current, NULL);
    }
    pthread_mutex_unlock(&open_lock);
}

mr_session *mr_current(void)
{
    return atomic_load_explicit(&current, memory_order_relaxed);
}

bool mr_is_worker(const mr_session *s)
{
    return s && s->worker;
}

uint64_t mr_session_id(const mr_session *s)
{
    return s ? s->id : 0;
}

void mr_set_current_task(mr_session *s, mr_id task)
{
    (void)s;
    *mr_thread_self() = (mr_thread){.task = task};
}

mr_id mr_current_task(mr_session *s)
{
    (void)s;
    return mr_thread_self()->task;
}

const char *mr_strerror(mr_status status)
{
    return mr_status_text(status);
}
