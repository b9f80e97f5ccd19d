/* workers.c: worker processes: which kinds there are, when one is born, idle, sent away, dead, and what its death
 * means.
 *
 * Resources belong to nodes, so a process is only what a started task needs to run in.  A task that has its slot takes
 * the process of its kind that went idle last, or waits for one that is born; whichever is ready first serves it.
 */
#include <stdlib.h>

#include "control/room.h"

enum { SPAWN_TRIES = 3, SPARES = 8, SPARE_TIME = 1000000000 };

/* -------------------------------------------------------------------------------------------------------- kinds -- */

static bool is_of(const kind *k, const shape *s)
{
    return k->env == s->env && k->lang == s->lang && k->gpu == s->gpu;
}

static kind *find(node *n, const shape *s)
{
    if (n->kind_hit && is_of(n->kind_hit, s))
        return n->kind_hit;
    kind *k = n->kinds;
    while (k && !is_of(k, s))
        k = k->next;
    if (k)
        n->kind_hit = k;
    return k;
}

static kind *kind_new(mr_control *c, node *n, const shape *s)
{
    kind *k = mr_control_alloc(c, sizeof *k);
    if (!k)
        return NULL;
    k->node = n->number;
    k->lang = s->lang;
    k->env = s->env;
    k->gpu = s->gpu;
    mr_list_init(&k->idle);
    k->next = n->kinds;
    n->kinds = k;
    return k;
}

kind *mr_kind_of(mr_control *c, node *n, const shape *s)
{
    kind *k = find(n, s);
    return k ? k : kind_new(c, n, s);
}

static bool may_spawn(const mr_control *c, const node *n)
{
    return c->n_procs < c->conf.max_workers && (!n->fixed || n->procs - n->n_stopped < n->base_slots);
}

/* The longest idle process of another kind that may be sent away; on this node if its own number is the limit. */
static proc *spare(mr_control *c, const node *n, const kind *own)
{
    proc *best = NULL;
    bool here = n->fixed && n->procs - n->n_stopped >= n->base_slots;
    for (uint32_t i = 0; i < c->n_nodes; i++)
        for (kind *k = c->nodes[i]->kinds; k; k = k->next) {
            proc *p = MR_LIST_ENTRY(mr_list_last(&k->idle), proc, idle);
            if (p && k != own && (!here || i == n->number) && (!best || p->idle_since < best->idle_since))
                best = p;
        }
    return best;
}

bool mr_kind_possible(mr_control *c, node *n, const shape *s)
{
    if (s->actor || s->of || may_spawn(c, n))
        return true;
    const kind *k = find(n, s);
    return (k && (k->n_idle || k->starting > k->waiting.n)) || spare(c, n, k);
}

/* ------------------------------------------------------------------------------------------------------- births -- */

/* Processes of actors, from their creation on, do not count for max_workers. */
static void count_in(mr_control *c, proc *p, bool in)
{
    if (p->pooled == in)
        return;
    p->pooled = in;
    c->n_procs += in ? 1 : -1u;
    c->nodes[p->node]->procs += in ? 1 : -1u;
    c->dirty = true;
}

static bool spawn(mr_control *c, node *n, kind *k, bool pooled)
{
    proc *p = mr_limit_room(c) ? mr_table_put(&c->procs, c->next_proc) : NULL;
    if (!p) {
        mr_control_again(c);
        return false;
    }
    p->number = c->next_proc++;
    p->node = n->number;
    p->kind = k;
    p->state = MR_PROC_STARTING;
    p->pooled = pooled;
    p->spawned = c->steps;
    mr_list_init(&p->owned);
    mr_list_init(&p->waits);
    k->procs++;
    k->starting++;
    k->extra += !pooled;
    n->procs += pooled;
    c->n_procs += pooled;
    c->n_starting++;
    mr_action *x = mr_control_act(c, MR_ACT_SPAWN);
    x->worker = p->number;
    x->node = n->number;
    x->flags = k->lang;
    x->value = k->env;
    x->status = k->gpu;
    return true;
}

/* Where the pool is full: one for each actor that waits, whoever of those that wait it will serve. */
static bool actor_needs(const kind *k)
{
    uint32_t actors = 0;
    for (const task *t = k->waiting.head; t && actors <= k->extra; t = t->qb)
        actors += t->v.kind == MR_ACTOR;
    return actors > k->extra;
}

static void births(mr_control *c, node *n, kind *k)
{
    while (k->starting < k->waiting.n) {
        bool room = may_spawn(c, n);
        if (room || actor_needs(k)) {
            if (!spawn(c, n, k, room))
                return;
            continue;
        }
        c->starved = true;
        proc *p = c->n_retiring < k->waiting.n - k->starting ? spare(c, n, k) : NULL;
        if (!p)
            return;
        mr_proc_retire(c, p);
    }
}

/* Tasks that wait for a process while there was no room for one. */
void mr_proc_births(mr_control *c)
{
    c->starved = false;
    for (uint32_t i = 0; i < c->n_nodes; i++)
        for (kind *k = c->nodes[i]->kinds; k; k = k->next)
            if (k->waiting.n > k->starting)
                births(c, c->nodes[i], k);
}

/* ------------------------------------------------------------------------------------------------------- working -- */

static inline void run(mr_control *c, proc *p, task *t)
{
    p->task = t;
    p->kill_at = 0;
    p->state = MR_PROC_BUSY;
    count_in(c, p, t->v.kind != MR_ACTOR);
    t->worker = t->last_worker = p->number;
    p->ran = 0;
    const slot *at = task_slot(c, t);
    t->last_slot = at && at->local <= UINT16_MAX ? (uint16_t)at->local : 0;
    t->where = W_RUN;
    t->v.state = MR_RUNNING_NOW;
    t->v.started_at = c->now;
    mr_stop_begin(c, p);
    c->n_running++;
    mr_policy_note(c, MR_STARTED, t, MR_OK, 0);
    if (t->v.limit >= 0 && t->v.kind == MR_TASK)
        mr_limit_start(c, t);
    mr_proc_room(c, p);
}

void mr_proc_run(mr_control *c, proc *p, task *t)
{
    run(c, p, t);
}

void mr_proc_run_new(mr_control *c, proc *p, task *t)
{
    run(c, p, t);
    mr_action *x = mr_control_act(c, MR_ACT_DISPATCH);
    x->id = t->v.ref;
    x->attempt = t->attempt;
    x->worker = p->number;
    x->node = p->node;
    x->value = mr_ref_is_slot(t->v.on) ? (int64_t)(uint32_t)t->v.on - 1 : -1;
}

static void leave_idle(mr_control *c, proc *p)
{
    if (mr_list_linked(&p->idle)) {
        mr_list_remove(&p->idle);
        p->kind->n_idle--;
        c->nodes[p->node]->spares--;
    }
}

void mr_proc_give(mr_control *c, task *t, kind *k)
{
    proc *p = MR_LIST_ENTRY(mr_list_first(&k->idle), proc, idle);
    if (p) {
        leave_idle(c, p);
        mr_proc_run_new(c, p, t);
        return;
    }
    t->where = W_PROCESS;
    c->n_travel++;
    mr_tlist_push(&k->waiting, t);
    births(c, c->nodes[k->node], k);
}

/* A node keeps a few idle processes for a while, and what goes beyond only for a moment. */
static int64_t idle_time(const mr_control *c, const node *n)
{
    bool many = n->spares > 2 * n->base_slots + SPARES;
    return many && c->conf.idle_worker > SPARE_TIME ? SPARE_TIME : c->conf.idle_worker;
}

void mr_proc_idle(mr_control *c, proc *p)
{
    kind *k = p->kind;
    node *n = c->nodes[p->node];
    task *t = mr_tlist_pop(&k->waiting);
    p->state = MR_PROC_IDLE;
    if (t) {
        c->n_travel--;
        mr_proc_run_new(c, p, t);
        return;
    }
    count_in(c, p, true);
    mr_list_push_front(&k->idle, &p->idle);
    k->n_idle++;
    n->spares++;
    p->idle_since = c->now;
    c->dirty = true;
    if (c->conf.idle_worker >= 0 && !n->fixed) {
        int64_t look = c->now + idle_time(c, n);
        if (c->idle_at < 0 || look < c->idle_at)
            c->idle_at = look;
    }
    if (c->starved) /* it may make room for another kind */
        mr_proc_births(c);
}

void mr_proc_next(mr_control *c, proc *p)
{
    node *n = c->nodes[p->node];
    if (p->state == MR_PROC_RETIRING || p->killing)
        return;
    task *t = mr_tlist_pop(&p->ahead);
    if (!t) {
        mr_proc_room(c, p);
        mr_proc_idle(c, p);
        return;
    }
    c->n_ahead--;
    slot *s = mr_node_idle_slot(c, n, true);
    t->v.on = n->v.ref;
    if (s)
        mr_slot_busy(c, s, t);
    mr_pool_take(c, t->in, t);
    mr_list_push_back(&n->running, &t->run);
    mr_proc_run(c, p, t);
    if ((t->flags & T_CANCEL) && !(t->flags & T_REVOKING))
        mr_task_cancel_one(c, t, 0);
}

/* ------------------------------------------------------------------------------------------------------- leaving -- */

void mr_proc_retire(mr_control *c, proc *p)
{
    if (p->state == MR_PROC_RETIRING)
        return;
    leave_idle(c, p);
    p->state = MR_PROC_RETIRING;
    c->n_retiring++;
    mr_action *x = mr_control_act(c, MR_ACT_RETIRE);
    x->worker = p->number;
    x->node = p->node;
}

void mr_proc_kill(mr_control *c, proc *p)
{
    if (!p || p->killing)
        return;
    leave_idle(c, p);
    p->killing = true;
    mr_list_remove(&p->room); /* it is given nothing more, and its task may end before it does */
    mr_action *x = mr_control_act(c, MR_ACT_KILL);
    x->worker = p->number;
    x->node = p->node;
}

/* Sends away what was idle for too long; the time of the next look follows from the longest idle that stays. */
void mr_proc_reap(mr_control *c)
{
    int64_t next = MR_UNKNOWN;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        if (c->nodes[i]->fixed)
            continue;
        for (kind *k = c->nodes[i]->kinds; k; k = k->next)
            for (proc *p; (p = MR_LIST_ENTRY(mr_list_last(&k->idle), proc, idle));) {
                int64_t due = p->idle_since + idle_time(c, c->nodes[i]);
                if (due > c->now) {
                    if (next < 0 || due < next)
                        next = due;
                    break;
                }
                mr_proc_retire(c, p);
            }
    }
    c->idle_at = next;
}

/* ----------------------------------------------------------------------------------------------- deaths and ends -- */

/* What it submitted: queued tasks vanish, running ones are killed, its actors die with it. */
static void end_owned(mr_control *c, proc *p)
{
    mr_fault f = {.status = MR_E_OWNER_DIED, .worker = p->number, .pid = p->pid};
    for (mr_link *l; (l = mr_list_pop_front(&p->owned));) {
        task *t = MR_LIST_ENTRY(l, task, owned);
        actor *a = t->v.kind == MR_ACTOR ? actor_at(c, t->v.ref) : NULL;
        t->owner = 0;
        if (a && a->detached)
            continue;
        if (t->flags & T_STOPPED)
            mr_stop_end(c, t, false);
        if (a) {
            mr_actor_exit(c, a, &f, false);
        } else if (t->where == W_RUN) {
            t->flags |= T_CANCEL | T_ORPHAN;
            mr_proc_kill(c, proc_at(c, t->worker));
        } else if (t->where == W_AHEAD || t->where == W_FLIGHT) {
            t->flags |= T_ORPHAN;
            mr_task_cancel_one(c, t, 0);
        } else if (t->where != W_FAILING && t->where != W_OVER) {
            mr_fault own = f;
            own.task = t->v.ref;
            own.func = t->func;
            mr_task_fail(c, t, &own);
        }
    }
}

static void forget(mr_control *c, proc *p)
{
    leave_idle(c, p);
    mr_list_remove(&p->room);
    mr_list_remove(&p->holds_ahead);
    mr_holder_gone(c, p);
    mr_stream_client_gone(c, p->number);
    mr_actor_caller_gone(c, p->number);
    if (p->state == MR_PROC_STARTING) {
        p->kind->extra -= !p->pooled;
        p->kind->starting--;
        c->n_starting--;
    }
    if (p->state == MR_PROC_RETIRING)
        c->n_retiring--;
    p->kind->procs--;
    c->nodes[p->node]->procs -= p->pooled;
    c->n_procs -= p->pooled;
    c->dirty = true;
    mr_history_leaves(c, p);
    mr_table_del(&c->procs, p->number);
    if (c->starved)
        mr_proc_births(c);
}

/* Would the next one fare the same?  Not if somebody from outside killed it. */
static bool own_end(const mr_fault *f)
{
    enum { ILL = 4, TRAP, ABRT, BUS, FPE, SEGV = 11, SYS = 31 }; /* what a process does to itself */
    if (f->how != MR_DEATH_SIGNAL)
        return f->how == MR_DEATH_EXIT || f->how == MR_DEATH_SPAWN || f->how == MR_DEATH_OOM;
    return (f->code >= ILL && f->code <= FPE) || f->code == SEGV || f->code == SYS;
}

void mr_proc_lose(mr_control *c, proc *p, const mr_fault *f)
{
    node *n = c->nodes[p->node];
    kind *k = p->kind;
    uint32_t failed = 0;
    /* Births that were under way together are one try: what ended one of them, a zygote's death, ended them all. */
    if (p->state == MR_PROC_STARTING && own_end(f) && p->spawned >= k->failed_at) {
        failed = ++k->failed;
        k->failed_at = c->steps;
    }
    if (p->task && p->task->flags & T_STOPPED)
        mr_stop_end(c, p->task, false);
    mr_wait_drop_all(c, &p->waits);
    mr_list_remove(&p->room);
    while (p->ahead.tail)
        mr_task_lost(c, p->ahead.tail, f, false);
    if (p->task)
        mr_task_lost(c, p->task, f, true);
    actor *a = p->actor ? actor_at(c, p->actor) : NULL;
    if (a && a->worker == p->number)
        mr_actor_lost(c, a, f);
    end_owned(c, p);
    forget(c, p);
    if (failed >= SPAWN_TRIES) {
        k->failed = 0;
        for (task *t; (t = k->waiting.head);)
            mr_task_fail(c, t, f);
    } else if (n->alive) {
        births(c, n, k);
    }
}

static proc *known(mr_control *c, const mr_ev_worker *e)
{
    proc *p = proc_at(c, e->worker);
    if (!p)
        mr_control_refuse(c, MR_E_INVAL, "worker %u is not known", e->worker);
    return p;
}

mr_status mr_proc_up(mr_control *c, const mr_record *r)
{
    const mr_ev_worker *e = (const void *)r;
    proc *p = known(c, e);
    if (!p || p->state != MR_PROC_STARTING)
        return MR_E_INVAL;
    p->pid = e->pid;
    p->kind->extra -= !p->pooled;
    p->kind->starting--;
    p->kind->failed = 0;
    c->n_starting--;
    mr_proc_idle(c, p);
    return MR_OK;
}

mr_status mr_proc_retired(mr_control *c, const mr_record *r)
{
    const mr_ev_worker *e = (const void *)r;
    proc *p = known(c, e);
    if (!p)
        return MR_E_INVAL;
    actor *a = p->actor ? actor_at(c, p->actor) : NULL;
    if (a && a->leaving && a->worker == p->number)
        mr_actor_die(
            c, a, &(mr_fault){.status = MR_E_ACTOR_DIED, .worker = p->number, .pid = p->pid, .why = 5, .cause = a->id});
    else if (p->task || p->ahead.n || (a && a->worker == p->number)) /* not as asked: it left its work behind */
        return mr_proc_died(c, r);
    mr_wait_drop_all(c, &p->waits);
    for (mr_link *l; (l = mr_list_pop_front(&p->owned));) /* what it started goes on */
        MR_LIST_ENTRY(l, task, owned)->owner = 0;
    forget(c, p);
    return MR_OK;
}

mr_status mr_proc_died(mr_control *c, const mr_record *r)
{
    const mr_ev_worker *e = (const void *)r;
    proc *p = known(c, e);
    if (!p)
        return MR_E_INVAL;
    if (e->pid)
        p->pid = e->pid;
    mr_fault f = {.status = e->how == MR_DEATH_OOM ? MR_E_OOM : MR_E_CRASHED,
                  .how = e->how,
                  .code = e->code,
                  .pid = p->pid,
                  .worker = p->number};
    mr_proc_lose(c, p, &f);
    return MR_OK;
}
