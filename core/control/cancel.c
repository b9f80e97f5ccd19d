/* cancel.c: stopping a task wherever it is, and with it what it started. */
#include "control/room.h"

/* Code that never looks (C, a loop that swallows the interrupt) would keep its seat for ever.  Not for calls of actors:
 * the state of the actor would go with it, which is why they can not be forced either. */
static void grace_start(mr_control *c, proc *p)
{
    if (c->conf.grace < 0 || !p || p->kill_at)
        return;
    p->kill_at = c->now + c->conf.grace;
    if (c->kill_at < 0 || p->kill_at < c->kill_at)
        c->kill_at = p->kill_at;
    c->hungry = true; /* the close has a wake to tell */
}

/* Kills what was cancelled a grace ago and still runs. */
void mr_cancel_look(mr_control *c)
{
    uint64_t at = 0, id;
    c->kill_at = MR_UNKNOWN;
    for (proc *p; (p = mr_table_next(&c->procs, &at, &id));) {
        if (!p->kill_at || !p->task || !(p->task->flags & T_CANCEL))
            continue;
        if (p->kill_at > c->now) {
            if (c->kill_at < 0 || p->kill_at < c->kill_at)
                c->kill_at = p->kill_at;
            continue;
        }
        p->kill_at = 0;
        mr_proc_kill(c, p);
    }
}

void mr_task_cancel_one(mr_control *c, task *t, uint32_t flags)
{
    mr_fault f = mr_task_fault(c, t, MR_E_CANCELLED);
    mr_action *x;
    if (t->where == W_LIVING || t->where == W_FAILING || t->where == W_OVER)
        return;
    if (t->flags & T_STOPPED) /* it has to run to hear of it */
        mr_stop_end(c, t, !(flags & MR_CANCEL_FORCE));
    if (t->where == W_RUN || t->where == W_FLIGHT || t->where == W_AHEAD) {
        bool unclaimed = t->where == W_AHEAD ||
                         (t->where == W_FLIGHT && (t->flags & T_ORDERED) && t != actor_at(c, t->actor)->flight.head);
        t->flags |= T_CANCEL;
        if (t->where == W_RUN)
            mr_ahead_revoke(c, proc_at(c, t->worker));
        if ((flags & MR_CANCEL_FORCE) && t->where == W_RUN) {
            mr_proc_kill(c, proc_at(c, t->worker));
            return;
        }
        if (unclaimed && (t->flags & T_REVOKING))
            return;
        if (unclaimed)
            t->flags |= T_REVOKING;
        x = mr_control_act(c, unclaimed ? MR_ACT_REVOKE : MR_ACT_INTERRUPT);
        x->id = t->v.ref;
        x->attempt = t->attempt;
        x->worker = t->worker;
        if (x->kind == MR_ACT_INTERRUPT && t->where == W_RUN)
            grace_start(c, proc_at(c, t->worker));
        return;
    }
    actor *a = t->actor ? actor_at(c, t->actor) : NULL;
    f.may_have_run = 0;
    mr_task_fail(c, t, &f);
    if (a)
        mr_actor_pump(c, a);
}

/* With all that it started.  What runs is struck before they end: an end of theirs that it waits for would let it go
 * on, and perhaps finish, before it is told.  What is killed goes after them: its death ends them in another way. */
static void cancel_deep(mr_control *c, task *t, uint32_t flags)
{
    bool first = (t->where == W_RUN || t->where == W_FLIGHT) && !(flags & MR_CANCEL_FORCE);
    mr_id id = t->v.ref;
    t->flags |= T_DEEP;
    if (first)
        mr_task_cancel_one(c, t, flags);
    mr_task_cancel_children(c, id, flags & ~(uint32_t)MR_CANCEL_FORCE);
    if (!first)
        mr_task_cancel_one(c, t, flags);
}

/* Children were submitted by the process that runs (or ran) the parent: they are among what it owns.  Ending one may
 * end others there, so the next is found by its id; if it is gone too the search begins anew. */
static void cancel_owned(mr_control *c, proc *p, mr_id parent, uint32_t flags)
{
    for (mr_link *l = mr_list_first(&p->owned), *after; l;) {
        task *t = MR_LIST_ENTRY(l, task, owned);
        after = mr_list_next(&p->owned, l);
        if (t->parent == parent && !(t->flags & T_CANCEL)) {
            mr_id next = after ? MR_LIST_ENTRY(after, task, owned)->v.ref : 0;
            cancel_deep(c, t, flags);
            t = next ? task_live(c, next) : NULL;
            after = !next ? NULL : t && t->owner == p->number ? &t->owned : mr_list_first(&p->owned);
        }
        l = after;
    }
}

void mr_task_cancel_children(mr_control *c, mr_id parent, uint32_t flags)
{
    task *t = task_live(c, parent);
    proc *p = t ? proc_at(c, t->worker) : NULL;
    if (p)
        cancel_owned(c, p, parent, flags);
}

mr_status mr_task_cancel(mr_control *c, const mr_record *r)
{
    const mr_ev_cancel *e = (const void *)r;
    object *o = object_at(c, e->id);
    task *t = task_live(c, o && object_task(o) ? object_task(o) : e->id);
    if (!t)
        return o ? MR_OK : mr_control_refuse(c, MR_E_NOTFOUND, "cancel: no task makes %llx", (unsigned long long)e->id);
    if (t->actor && (e->flags & MR_CANCEL_FORCE))
        return mr_control_refuse(c, MR_E_INVAL,
                                 "force=True is not supported for actor tasks (calls of actors): kill the actor");
    if (e->flags & MR_CANCEL_RECURSIVE)
        cancel_deep(c, t, e->flags);
    else
        mr_task_cancel_one(c, t, e->flags);
    return MR_OK;
}
