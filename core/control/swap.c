/* swap.c: puts a policy to work, also in place of another one.
 *
 * Control holds the queues, so a swap moves nothing: the new instance is made beside the old one, and only when it
 * stands is the old one closed.  Then the new one is told the present as one batch: all tasks submitted, `plan` of
 * those that wait, what is ready enters again (with the entry and the time it had), what runs has started.  A change
 * that fails leaves no trace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* An instance that is not at work yet. */
typedef struct candidate {
    mr_sched_ops ops;
    void *self;
    mr_sched_wants wants;
    bool restored;
} candidate;

static void ask_wants(candidate *x)
{
    mr_sched_ops *o = &x->ops;
    mr_sched_wants *w = &x->wants;
    *w = (mr_sched_wants){.notices = o->notices, .requires = o->requires};
#define ASKED(X) X(rank, RANK) X(place, PLACE) X(plan, PLAN) X(pick, PICK) X(slice, SLICE) X(preempt, PREEMPT)
#define HAS(op, name) w->ops |= o->op ? MR_OP_##name : 0;
#define UNWANTED(op, name) o->op = w->ops & MR_OP_##name ? o->op : NULL;
    ASKED(HAS)
    if (o->wants)
        o->wants(x->self, w);
    ASKED(UNWANTED)
#undef ASKED
#undef HAS
#undef UNWANTED
    w->notices &= o->notice ? MR_NOTE_SLICE - 1 : 0;
}

/* What the instance at work knows goes to the candidate, if that is the same policy again. */
static mr_status hand_over(mr_control *c, const char *name, candidate *x, const mr_host *base, mr_err *err)
{
    policy *p = &c->pol;
    const void *bytes = NULL;
    size_t n = 0;
    if (!p->open || p->failed || !p->ops.save || !x->ops.restore || strcmp(name, p->name) != 0)
        return MR_OK;
    const mr_host *mine = p->host.base;
    policy_enter(p, IN_SAVE);
    mr_status status = p->ops.save(p->self, &bytes, &n, err);
    p->host.base = base;
    policy_enter(p, IN_RESTORE);
    if (!status)
        status = x->ops.restore(x->self, bytes, n, err);
    x->restored = !status;
    p->host.base = mine;
    policy_leave(p);
    return status;
}

/* Makes the instance: everything that can fail.  The host's table is one for all; its base is the candidate's here. */
static mr_status try_open(mr_control *c, const char *name, candidate *x, const mr_host *base, mr_err *err)
{
    policy *p = &c->pol;
    char failure[sizeof p->error] = "";
    mr_status status = MR_OK;
    const mr_host *mine = p->host.base;
    p->host.base = base;
    p->opening = failure;
    memcpy(p->now->policy, name, sizeof p->now->policy);
    policy_enter(p, IN_OPEN);
    if (x->ops.open)
        status = x->ops.open(&x->self, &p->host, err);
    policy_leave(p);
    bool opened = !status;
    policy_enter(p, IN_WANTS);
    if (opened)
        ask_wants(x);
    policy_leave(p);
    p->host.base = mine;
    if (!status)
        status = hand_over(c, name, x, base, err);
    if (!status && failure[0])
        status = mr_err_set(err, MR_E_POLICY, "policy %s: %s", name, failure);
    p->host.base = base;
    if (status && opened && x->ops.close)
        x->ops.close(x->self);
    p->host.base = mine;
    p->opening = NULL;
    memcpy(p->now->policy, p->name, sizeof p->now->policy);
    return status;
}

mr_status mr_control_policy(mr_control *c, const char *given, const mr_sched_ops *ops, const mr_host *base, mr_err *err)
{
    policy *p = &c->pol;
    candidate x = {.self = NULL};
    char name[sizeof p->name];
    mr_err own = {0};
    int64_t wake = p->wake_at;
    uint32_t n_rerank = p->n_rerank;
    bool all = p->rerank_all;
    mr_rand rand = p->rand;
    snprintf(name, sizeof name, "%s", given ? given : "fifo");
    /* Wishes made in open are the candidate's; those of the one at work come back if it stays. */
    p->wake_at = MR_UNKNOWN;
    p->n_rerank = 0;
    p->rerank_all = false;
    if (ops) {
        x.ops = *ops;
        mr_status status = try_open(c, name, &x, base, err ? err : &own);
        if (status) {
            p->wake_at = wake;
            p->rerank_all = all || n_rerank || p->rerank_all;
            p->rand = rand;
            return status;
        }
    }
    wake = p->wake_at;
    mr_policy_close(c);
    mr_policy_host_init(c, base);
    p->failed = p->ejected = false;
    p->reported = 0;
    p->refusal[0] = 0;
    p->error[0] = 0;
    memcpy(p->name, name, sizeof name);
    memcpy(p->now->policy, name, sizeof name);
    mr_policy_past *entry = &p->past[p->n_past++ % MR_POLICY_PAST];
    *entry = (mr_policy_past){.at = c->now, .restored = x.restored};
    memcpy(entry->name, name, sizeof name);
    c->hold_since = MR_UNKNOWN;
    mr_policy_fifo_order(c);
    c->dirty = true;
    if (ops) {
        p->ops = x.ops;
        p->self = x.self;
        p->wake_at = wake;
        p->notices = x.wants.notices;
        p->requires = x.wants.requires;
        p->open = p->swapped = true;
        p->any = p->notices || x.wants.ops;
    }
    if (c->explain)
        mr_explain_wrap(c);
    return MR_OK;
}

void mr_control_policy_end(mr_control *c)
{
    mr_policy_close(c);
    mr_policy_fifo_order(c);
}

bool mr_control_policy_past(const mr_control *c, uint32_t i, mr_policy_past *out)
{
    const policy *p = &c->pol;
    uint32_t first = p->n_past > MR_POLICY_PAST ? p->n_past - MR_POLICY_PAST : 0;
    if (i >= p->n_past - first)
        return false;
    *out = p->past[(first + i) % MR_POLICY_PAST];
    return true;
}

/* --------------------------------------------------------------------------------------------------- the present -- */

void mr_policy_present(mr_control *c, task *t)
{
    t->flags |= T_PRESENT;
    t->where = W_FRESH;
    mr_tlist_push(&c->fresh, t);
    c->fresh_unsorted = c->dirty = true;
}

static int by_seq(const void *a, const void *b)
{
    const task *x = *(task *const *)a, *y = *(task *const *)b;
    return x->v.seq < y->v.seq ? -1 : x->v.seq > y->v.seq;
}

/* What was ready enters again; what has its seat is told as it is; what lies in a worker's ring is asked back, since
 * the order in which it went there was the old policy's. */
static void tell_where(mr_control *c, task *t, mr_policy_past *told)
{
    if (t->flags & T_STOPPED) {
        told->stopped++;
        mr_policy_note(c, MR_BECAME_READY, t, MR_NOTE_AGAIN, 0);
        mr_policy_note(c, MR_STARTED, t, MR_NOTE_AGAIN, 0);
        mr_policy_note(c, MR_STOPPED, t, MR_NOTE_AGAIN, t->v.ran);
    }
    switch ((where)t->where) {
    case W_READY:
        told->ready += !(t->flags & T_STOPPED);
        mr_ready_leave(c, t);
        mr_policy_present(c, t);
        break;
    case W_TRAVEL:
    case W_PROCESS:
        told->ready++;
        mr_policy_note(c, MR_BECAME_READY, t, MR_NOTE_AGAIN, 0);
        break;
    case W_RUN:
        proc_at(c, t->worker)->slice_at = proc_at(c, t->worker)->slice_left = MR_UNKNOWN; /* the old one's */
        told->running++;
        mr_policy_note(c, MR_BECAME_READY, t, MR_NOTE_AGAIN, 0);
        mr_policy_note(c, MR_STARTED, t, MR_NOTE_AGAIN, 0);
        break;
    case W_AHEAD:
        told->ready++;
        t->flags |= T_PRESENT;
        break;
    default:
        break;
    }
}

mr_status mr_policy_swapped(mr_control *c, const mr_record *r)
{
    policy *p = &c->pol;
    (void)r;
    if (!p->open || !p->swapped)
        return MR_OK;
    p->swapped = false;
    uint64_t at = 0, id;
    uint32_t n = 0;
    task **v = calloc(mr_table_count(&c->tasks) + 1, sizeof(task *));
    if (!v || !mr_policy_room(c)) {
        free(v);
        mr_control_policy_fail(c, "no memory to tell it the present");
        mr_policy_eject_if(c);
        return MR_E_NOMEM;
    }
    for (task *t; (t = mr_table_next(&c->tasks, &at, &id));)
        if (!t->actor && t->where != W_OVER && t->where != W_PAST && t->where != W_FAILING && t->where != W_LIVING)
            v[n++] = t;
    qsort(v, n, sizeof(task *), by_seq);
    for (uint32_t i = 0; i < n; i++)
        mr_policy_note(c, MR_SUBMITTED, v[i], MR_OK, 0);
    mr_policy_past *told = &p->past[(p->n_past - 1) % MR_POLICY_PAST];
    told->submitted = n;
    for (uint32_t i = 0; i < n; i++)
        tell_where(c, v[i], told);
    free(v);
    MR_LIST_EACH(&c->aheads, l)
    {
        mr_ahead_revoke(c, MR_LIST_ENTRY(l, proc, holds_ahead));
    }
    c->dirty = true;
    return MR_OK;
}
