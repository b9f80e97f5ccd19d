/* stops.c: preemption: whose slice is over, who takes whose slot, and what a stopped task keeps.
 *
 * A stop is two steps.  STOP is asked for; until STOPPED comes back the task runs and keeps its seat, and if it ends
 * first it is over, not stopped.  Then its slot and its CPU (of its pool, of its user's quota) are given back and
 * nothing else: it keeps its process, its memory and its place among what of its function may run at a time, stands in
 * the shared ready queue in a shape of its own (a CPU of the pool that it is in), and goes on by CONTINUE.
 *
 * Only what can be helped by it is stopped: tasks with a CPU, but none with a GPU (it would keep that), none that is
 * blocked (it has lent its CPU), no actor, and nothing that ran for less than conf.min_slice.
 *
 * Who is let in by a stop is the slot's heir: it stays in its queue until the slot is free, takes it before the sweep
 * if it still wants it, and loses it to nobody but a task that takes back what it had lent.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* FRONT: how many of those that wait, the first by rank, are asked for again when what runs has changed. */
enum { FRONT = 64 };

/* slice_left of one that blocked before it was given a slice. */
enum { NOT_ASKED = -2 };

static const shape *own_shape(const mr_control *c, const task *t)
{
    const shape *s = c->shapes[t->shape];
    return s->of ? s->of : s;
}

static void signal_task(mr_control *c, const task *t, uint32_t what)
{
    mr_action *x = mr_control_act(c, what);
    x->id = t->v.ref;
    x->attempt = t->attempt;
    x->worker = t->worker;
    x->node = proc_at(c, t->worker)->node;
    x->value = mr_ref_is_slot(t->v.on) ? (int64_t)(uint32_t)t->v.on - 1 : -1;
}

/* -------------------------------------------------------------------------------------------------- what it ran -- */

/* What runs has changed: who waits is asked for again, and the close that does it is due. */
static void ask_again(mr_control *c)
{
    c->ask_front = true;
    c->hungry |= c->pol.ops.preempt != NULL;
}

void mr_stop_begin(mr_control *c, proc *p)
{
    p->idle_ns = 0;
    p->blocked_at = p->slice_at = p->slice_left = MR_UNKNOWN;
    ask_again(c);
}

int64_t mr_stop_ran(mr_control *c, const task *t)
{
    const proc *p = proc_at(c, t->worker);
    int64_t idle = p->idle_ns + (p->blocked_at >= 0 ? c->now - p->blocked_at : 0);
    int64_t ran = c->now - t->v.started_at - idle;
    return ran > 0 ? ran : 0;
}

/* A slice is time on a slot: what blocks has none, and gets the rest of it afterwards. */
void mr_stop_pause(mr_control *c, proc *p, bool blocked)
{
    if (blocked) {
        p->blocked_at = c->now;
        p->slice_left = p->slice_at >= 0 ? p->slice_at - c->now : MR_UNKNOWN;
        p->slice_at = MR_UNKNOWN;
        return;
    }
    p->idle_ns += p->blocked_at >= 0 ? c->now - p->blocked_at : 0;
    p->blocked_at = MR_UNKNOWN;
    if (p->slice_left >= 0)
        mr_limit_slice(c, p->task, c->now + p->slice_left);
    else if (p->slice_left == NOT_ASKED)
        mr_policy_note(c, MR_NOTE_SLICE, p->task, MR_OK, 0);
    p->slice_left = MR_UNKNOWN;
    ask_again(c);
}

/* -------------------------------------------------------------------------------------------------------- stops -- */

static bool may_stop(mr_control *c, const task *t)
{
    const proc *p = proc_at(c, t->worker);
    const shape *s = c->shapes[t->shape];
    return t->where == W_RUN && t->v.kind == MR_TASK && !(t->flags & (T_BLOCKED | T_STOPPING | T_CANCEL)) && s->cpu &&
           !s->gpu && p->state == MR_PROC_BUSY && !p->killing;
}

/* Its shape while it stands still is made here, where there may be no memory for it: then it goes on. */
static bool stop(mr_control *c, task *t)
{
    if (!mr_shape_stopped(c, c->shapes[t->shape], t->in)) {
        mr_control_policy_fail(c, "no memory to stop a task");
        return false;
    }
    t->flags |= T_STOPPING;
    mr_ahead_revoke(c, proc_at(c, t->worker)); /* what it holds would wait with it */
    signal_task(c, t, MR_ACT_STOP);
    return true;
}

void mr_stop_slice(mr_control *c, task *t)
{
    policy *p = &c->pol;
    const slot *s = task_slot(c, t);
    if (!p->ops.slice || p->failed)
        return;
    if (t->where == W_RUN && t->flags & T_BLOCKED)
        proc_at(c, t->worker)->slice_left = NOT_ASKED;
    if (!s || !may_stop(c, t))
        return;
    proc_at(c, t->worker)->slice_at = MR_UNKNOWN;
    policy_enter(p, IN_SLICE);
    int64_t ns = p->ops.slice(p->self, &t->v, p->host.worker(&p->host, s->v.ref));
    policy_leave(p);
    policy_said(c, MR_OP_SLICE, t->v.ref, MR_NONE, (double)ns);
    if (ns < 0 || p->failed)
        return;
    int64_t least = c->conf.min_slice > 1 ? c->conf.min_slice : 1;
    mr_limit_slice(c, t, ns > INT64_MAX / 2 - c->now ? INT64_MAX / 2 : c->now + (ns > least ? ns : least));
}

/* Nothing else could start: it would be stopped to go on in the same instant, so it is only told so. */
static bool alone(const mr_control *c)
{
    return !c->n_ready && !c->fresh.head && mr_list_empty(&c->pending) && !c->pol.ops.pick;
}

static void pass_over(mr_control *c, task *t)
{
    proc *p = proc_at(c, t->worker);
    int64_t ran = mr_stop_ran(c, t);
    mr_policy_tell(c);
    p->ran += ran;
    t->v.ran = p->ran;
    t->v.state = MR_STOPPED_NOW;
    mr_policy_note(c, MR_STOPPED, t, MR_OK, ran);
    t->v.entry = ++c->entry;
    t->v.rank = (double)t->v.entry;
    mr_policy_note(c, MR_BECAME_READY, t, MR_OK, 0);
    mr_policy_tell(c);
    mr_policy_rank(c, t);
    t->v.state = MR_RUNNING_NOW;
    t->v.started_at = c->now;
    mr_stop_begin(c, p);
    if (t->v.limit >= 0)
        mr_limit_start(c, t);
    mr_policy_note(c, MR_STARTED, t, MR_OK, 0);
    mr_policy_tell(c);
}

void mr_stop_expired(mr_control *c, task *t)
{
    proc_at(c, t->worker)->slice_at = MR_UNKNOWN;
    if (!c->pol.ops.slice || c->pol.failed || !may_stop(c, t))
        return;
    if (alone(c))
        pass_over(c, t);
    else
        stop(c, t);
}

static void taken(mr_control *c, task *t, int64_t ran)
{
    proc *p = proc_at(c, t->worker);
    node *n = c->nodes[p->node];
    const shape *s = c->shapes[t->shape];
    pool *in = t->in;
    slot *left = task_slot(c, t);
    t->flags &= ~(uint32_t)T_STOPPING;
    if (t->flags & (T_BLOCKED | T_CANCEL) || p->killing) { /* it blocked first, or has to end */
        if (!p->killing)
            signal_task(c, t, MR_ACT_CONTINUE);
        c->dirty = true;
        return;
    }
    ran = ran >= 0 ? ran : mr_stop_ran(c, t);
    p->ran += ran;
    t->v.ran = p->ran;
    p->slice_at = MR_UNKNOWN;
    p->stopped_at = c->now;
    mr_policy_note(c, MR_STOPPED, t, MR_OK, ran);
    if (left)
        mr_slot_idle(c, left);
    in->free[MR_RES_CPU].amount += s->cpu;
    if (s->capped)
        mr_caps_lend(s, -1);
    if (in->blocked && in->lend_at < c->now + in->lend_delay)
        in->lend_at = c->now + in->lend_delay; /* it moves: the lent CPUs stay with the descendants */
    mr_list_remove(&t->run);
    mr_list_push_back(&n->stopped, &t->run);
    n->n_stopped++;
    c->n_running--;
    c->n_stopped++;
    c->stops++;
    p->in = in;
    p->state = MR_PROC_STOPPED;
    mr_proc_room(c, p);
    t->shape = mr_shape_stopped(c, s, in)->number; /* stop() made it */
    t->flags |= T_STOPPED;
    t->v.on = n->v.ref;
    t->v.state = MR_STOPPED_NOW;
    t->where = W_FRESH;
    if (c->fresh.tail && c->fresh.tail->v.seq > t->v.seq)
        c->fresh_unsorted = true;
    mr_tlist_push(&c->fresh, t);
    c->dirty = true;
}

mr_status mr_stop_confirmed(mr_control *c, const mr_record *r)
{
    const mr_ev_task *e = (const void *)r;
    task *t = task_live(c, e->task);
    if (!t || t->attempt != e->attempt || t->worker != e->worker || !(t->flags & T_STOPPING))
        return mr_control_refuse(c, MR_E_INVAL, "task %llx: nobody waits for it to stop", (unsigned long long)e->task);
    taken(c, t, e->ran);
    return MR_OK;
}

/* Out of the queue by now; on NULL: it has to do without a slot. */
static void sit(mr_control *c, task *t, slot *on)
{
    proc *p = proc_at(c, t->worker);
    node *n = c->nodes[p->node];
    const shape *s = own_shape(c, t);
    t->shape = s->number;
    t->in = p->in;
    t->in->free[MR_RES_CPU].amount -= s->cpu;
    if (s->capped)
        mr_caps_lend(s, 1);
    mr_list_remove(&t->run);
    mr_list_push_back(&n->running, &t->run);
    n->n_stopped--;
    c->n_stopped--;
    c->n_running++;
    t->flags &= ~(uint32_t)T_STOPPED;
    t->v.on = n->v.ref;
    if (on) {
        mr_slot_busy(c, on, t);
        t->last_slot = on->local <= UINT16_MAX ? (uint16_t)on->local : 0;
    }
    t->where = W_RUN;
    t->v.state = MR_RUNNING_NOW;
    t->v.started_at = c->now;
    p->state = MR_PROC_BUSY;
    mr_stop_begin(c, p);
    mr_proc_room(c, p);
    if (t->v.limit >= 0)
        mr_limit_start(c, t);
}

void mr_stop_resume(mr_control *c, task *t, slot *s, pool *p)
{
    MR_BUG_ON(p != proc_at(c, t->worker)->in);
    mr_ready_leave(c, t);
    sit(c, t, s);
    mr_policy_note(c, MR_STARTED, t, MR_OK, 0);
    signal_task(c, t, MR_ACT_CONTINUE);
}

void mr_stop_end(mr_control *c, task *t, bool goes_on)
{
    if (t->where == W_FRESH) {
        mr_tlist_remove(&c->fresh, t);
        mr_policy_note(c, MR_BECAME_READY, t, MR_OK, 0);
    } else {
        mr_ready_leave(c, t);
    }
    sit(c, t, mr_node_idle_slot(c, c->nodes[proc_at(c, t->worker)->node], true));
    mr_policy_note(c, MR_STARTED, t, MR_OK, 0); /* what it said before it stood still may be on its way */
    if (goes_on)
        signal_task(c, t, MR_ACT_CONTINUE);
}

void mr_stop_cancelled(mr_control *c, task *t)
{
    t->flags &= ~(uint32_t)T_STOPPING;
    if (!proc_at(c, t->worker)->killing)
        signal_task(c, t, MR_ACT_CONTINUE);
}

/* -------------------------------------------------------------------------------------------------------- heirs -- */

void mr_stop_void(mr_control *c, slot *s)
{
    task *t = task_live(c, s->heir);
    if (t)
        t->flags &= ~(uint32_t)T_HEIR;
    s->heir = 0;
    for (uint32_t i = 0; i < c->n_heirs; i++)
        if (c->heirs[i] == s->v.id) {
            memmove(&c->heirs[i], &c->heirs[i + 1],
                    (--c->n_heirs - i) * sizeof *c->heirs); /* first come, first served */
            return;
        }
}

void mr_stop_void_of(mr_control *c, const task *t)
{
    for (uint32_t i = 0; i < c->n_heirs; i++)
        if (c->slots[c->heirs[i]]->heir == t->v.ref) {
            mr_stop_void(c, c->slots[c->heirs[i]]);
            return;
        }
}

void mr_stop_heirs(mr_control *c)
{
    for (uint32_t i = 0; i < c->n_heirs;) {
        slot *s = c->slots[c->heirs[i]];
        task *t = task_live(c, s->heir);
        if (s->t && s->t->flags & T_STOPPING) {
            i++;
            continue;
        }
        bool wants = t && !s->t;
        mr_stop_void(c, s);
        if (wants && mr_ready_can(c, t, s))
            mr_ready_start(c, t, s);
    }
}

/* What heirs of this pool will have taken, and those before them given, of one resource. */
static int64_t promised(mr_control *c, const pool *in, uint32_t res)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < c->n_heirs; i++) {
        const slot *s = c->slots[c->heirs[i]];
        const task *t = task_live(c, s->heir);
        if (!s->t || s->t->in != in || !t)
            continue;
        const shape *asks = c->shapes[t->shape];
        for (uint32_t k = 0; k < asks->n_needs; k++)
            n -= asks->needs[k].res == res ? asks->needs[k].amount : 0;
        n += res == MR_RES_CPU ? c->shapes[s->t->shape]->cpu : 0;
    }
    return n;
}

static bool quota_allows(const shape *s, const shape *stops)
{
    const ceiling *k = s->caps[0];
    if (k && k->used + 1 > k->limit)
        return false;
    k = s->caps[1];
    int64_t back = k && stops->caps[1] == k ? stops->cpu : 0;
    return !k || !s->cpu || k->used - back + s->cpu <= k->limit;
}

/* A stopped process does not count where each CPU has a process of its own. */
static bool process_for(mr_control *c, node *n, const shape *s)
{
    return mr_kind_possible(c, n, s) ||
           (n->fixed && c->n_procs < c->conf.max_workers && n->procs - n->n_stopped - 1 < n->base_slots);
}

bool mr_stop_frees(mr_control *c, const task *t, const task *r)
{
    const shape *s = c->shapes[t->shape];
    if (!may_stop(c, r) || c->now - r->v.started_at < c->conf.min_slice || c->now == r->v.started_at)
        return false;
    const shape *stops = c->shapes[r->shape];
    pool *in = r->in;
    node *n = c->nodes[in->node];
    if (!task_slot(c, r) || !mr_node_allows(c, n, s) || !mr_group_uses(s, in) || !quota_allows(s, stops) ||
        !process_for(c, n, s))
        return false;
    for (uint32_t i = 0; i < s->n_needs; i++) {
        uint32_t res = s->needs[i].res;
        int64_t have = in->free[res].amount + (res == MR_RES_CPU ? stops->cpu : 0) + promised(c, in, res);
        if (have < s->needs[i].amount || (res == MR_RES_GPU && !mr_gpu_fits(in, s->needs[i].amount)))
            return false;
        if (res == MR_RES_CPU && in->lent && have - in->lent < s->cpu && !in->open &&
            !(s->nested && mr_wait_descends(c, t)))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------------------------------- questions -- */

static void note_ask(mr_control *c, mr_id id)
{
    if (mr_control_grow(c, &c->asks, &c->room_asks, c->n_asks + 1, sizeof *c->asks))
        c->asks[c->n_asks++] = id;
    else
        mr_control_policy_fail(c, "no memory to ask whom a task may preempt");
}

void mr_stop_enter(mr_control *c, const task *t)
{
    if (c->pol.ops.preempt && !(t->flags & T_STOPPED))
        note_ask(c, t->v.ref);
}

static void add_front(mr_control *c, mr_ref of, uint32_t most)
{
    for (task *t = mr_ready_next(c, of, NULL); t && most--; t = mr_ready_next(c, of, t))
        note_ask(c, t->v.ref);
}

static void collect(mr_control *c)
{
    if (!c->ask_front)
        return;
    add_front(c, MR_NONE, FRONT);
    for (uint32_t i = 0; c->placed && i < c->n_nodes; i++)
        add_front(c, c->nodes[i]->v.ref, 1);
    for (uint32_t i = 0; c->placed && i < c->n_slots; i++)
        add_front(c, c->slots[i]->v.ref, 1);
}

/* Waits for a slot that may be had by a stop: not one that could start, was stopped in this instant, or is an heir. */
static bool waits(mr_control *c, const task *t)
{
    if (t->where != W_READY || t->flags & T_HEIR ||
        (t->flags & T_STOPPED && proc_at(c, t->worker)->stopped_at == c->now))
        return false;
    return !mr_ready_somewhere(c, t);
}

static int by_rank(const void *a, const void *b)
{
    const task *x = *(task *const *)a, *y = *(task *const *)b;
    return ranks_before(x, y) ? -1 : ranks_before(y, x);
}

/* The policy's answer, checked. */
static task *ask(mr_control *c, task *t)
{
    policy *p = &c->pol;
    policy_enter(p, IN_PREEMPT);
    mr_ref ref = p->ops.preempt(p->self, &t->v);
    policy_leave(p);
    policy_said(c, MR_OP_PREEMPT, t->v.ref, ref, 0);
    if (ref == MR_NONE || p->failed)
        return NULL;
    task *r = mr_ref_is_task(ref) ? task_live(c, ref) : NULL;
    if (r && mr_stop_frees(c, t, r))
        return r;
    mr_eject_answer(c, MR_OP_PREEMPT, t->v.ref, ref);
    return NULL;
}

/* When the first of those that were too young to be stopped is old enough. */
static int64_t next_old(mr_control *c)
{
    int64_t at = MR_UNKNOWN;
    for (uint32_t i = 0; i < c->n_nodes && c->conf.min_slice > 0; i++) {
        MR_LIST_EACH(&c->nodes[i]->running, l) /* in the order of their seats; some waited for a process then */
        {
            const task *r = MR_LIST_ENTRY(l, task, run);
            int64_t then = r->v.started_at + c->conf.min_slice;
            if (r->where == W_RUN && then > c->now && (at < 0 || then < at))
                at = then;
        }
    }
    return at;
}

/* By rank: all that entered a queue, and when what runs has changed those in front. */
void mr_stop_ask(mr_control *c)
{
    policy *p = &c->pol;
    collect(c);
    c->ask_front = false;
    uint32_t n = 0, left = 0;
    task **v = c->n_asks && c->n_running ? malloc(c->n_asks * sizeof *v) : NULL;
    if (c->n_asks && c->n_running && !v)
        mr_control_policy_fail(c, "no memory to ask whom a task may preempt");
    for (uint32_t i = 0; v && i < c->n_asks; i++) {
        task *t = task_live(c, c->asks[i]);
        if (t && waits(c, t))
            v[n++] = t;
    }
    c->n_asks = 0;
    if (n)
        qsort(v, n, sizeof *v, by_rank);
    for (uint32_t i = 0; i < n && p->open && !p->failed; i++) {
        if (i && v[i] == v[i - 1])
            continue;
        task *r = ask(c, v[i]);
        slot *s = r ? task_slot(c, r) : NULL;
        left += !r;
        if (!r || !mr_control_grow(c, &c->heirs, &c->room_heirs, c->n_heirs + 1, sizeof *c->heirs) || !stop(c, r))
            continue;
        s->heir = v[i]->v.ref;
        v[i]->flags |= T_HEIR;
        c->heirs[c->n_heirs++] = s->v.id;
    }
    free(v);
    if (left)
        c->ask_at = next_old(c);
    mr_policy_eject_if(c);
}

void mr_stop_fini(mr_control *c)
{
    free(c->heirs);
    free(c->asks);
}
