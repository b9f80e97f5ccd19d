/* policy.c: asks the scheduling policy, in the order that sched.h promises, and checks every answer.
 *
 * Owns what the policy was told so far (its instance comes and goes in swap.c).  A policy that fails, answers nonsense
 * where no answer can be passed over (NaN), or holds everything back for max_hold is closed; the queues stay as they
 * are and go on in the order of entry.  Nothing of a task is ever in a policy's hands.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* --------------------------------------------------------------------------------------------------------- life -- */

static void fail(policy *p, const char *fmt, ...) MR_PRINTF(2, 3);
static void fail(policy *p, const char *fmt, ...)
{
    va_list args;
    if (p->failed)
        return;
    p->failed = true;
    va_start(args, fmt);
    vsnprintf(p->error, sizeof p->error, fmt, args);
    va_end(args);
}

void mr_control_policy_fail(mr_control *c, const char *why)
{
    if (c->pol.opening)
        snprintf(c->pol.opening, sizeof c->pol.error, "%s", why);
    else if (c->pol.open)
        fail(&c->pol, "%s", why);
}

void mr_policy_close(mr_control *c)
{
    policy *p = &c->pol;
    policy_enter(p, IN_CLOSE);
    if (p->open && p->ops.close)
        p->ops.close(p->self);
    policy_leave(p);
    p->open = p->any = false;
    p->self = NULL;
    memset(&p->ops, 0, sizeof p->ops);
    p->notices = 0;
    p->wake_at = MR_UNKNOWN;
    p->n_rerank = 0;
    p->rerank_all = false;
    p->n_notes = 0;
    c->n_asks = 0;
    c->ask_at = MR_UNKNOWN;
    while (c->n_heirs)
        mr_stop_void(c, c->slots[c->heirs[0]]);
    for (task *t; (t = mr_tlist_pop(&c->over));)
        mr_task_gone(c, t);
}

void mr_policy_fini(mr_control *c)
{
    mr_policy_close(c);
    free(c->pol.notes);
    free(c->pol.dump);
    free(c->pol.rerank);
    free(c->pol.walk.head);
}

/* Ranks by entry, as FIFO has them; what was planned is planned no more. */
void mr_policy_fifo_order(mr_control *c)
{
    uint64_t at = 0, id;
    for (task *t; (t = mr_table_next(&c->tasks, &at, &id));) {
        if ((t->flags & T_PLANNED) && (t->where == W_WAITING || t->where == W_FRESH)) {
            t->flags &= ~(uint32_t)T_PLANNED;
            t->v.on = MR_NONE;
        }
        if (t->where != W_READY || t->v.rank == (double)t->v.entry)
            continue;
        mr_ready_take(c, t);
        t->v.rank = (double)t->v.entry;
        mr_ready_enter(c, t, true);
    }
    for (uint32_t i = 0; c->placed && i < c->n_nodes; i++)
        mr_ready_replace(c, c->nodes[i]->v.ref);
    for (uint32_t i = 0; c->placed && i < c->n_slots; i++)
        mr_ready_replace(c, c->slots[i]->v.ref);
}

void mr_policy_eject_if(mr_control *c)
{
    policy *p = &c->pol;
    if (!p->failed || !p->open)
        return;
    p->ejected = true;
    mr_eject_dump(c);
    c->stopped = c->conf.stop_on_error;
    mr_policy_close(c);
    mr_policy_fifo_order(c);
    c->hold_since = MR_UNKNOWN;
    c->dirty = true;
    if (c->explain) {
        p->failed = false; /* what it wraps now is nobody, and cannot fail */
        mr_explain_wrap(c);
    }
    mr_control_act(c, MR_ACT_REPORT)->flags = MR_REPORT_EJECTED;
}

const char *mr_control_policy_name(const mr_control *c)
{
    return c->pol.ejected ? "fifo" : c->pol.name;
}

const char *mr_control_policy_given(const mr_control *c)
{
    return c->pol.name;
}

const char *mr_control_policy_error(const mr_control *c)
{
    return c->pol.ejected ? c->pol.error : NULL;
}

/* ------------------------------------------------------------------------------------------------------- notices -- */

/* Those of which a policy is told something get a note; `plan` and `slice` are asked by theirs. */
static bool noted(const policy *p, uint32_t what)
{
    return (p->notices & what) || ((what & MR_SUBMITTED) && p->ops.plan) ||
           ((what & (MR_STARTED | MR_NOTE_SLICE)) && p->ops.slice);
}

enum { NOTES_FEW = 64, NOTES_MANY = 4096 };

/* Room for what the next step has to tell, made where failing is allowed.  It grows with what is told at once, and not
 * with the tasks there are. */
bool mr_policy_room(mr_control *c)
{
    policy *p = &c->pol;
    if (!noted(p, ~(uint32_t)MR_WOKEN) || p->n_notes + NOTES_FEW / 4 <= p->room_notes)
        return true;
    size_t room = 2 * p->room_notes + NOTES_FEW;
    note *v = realloc(p->notes, room * sizeof *v);
    if (!v)
        return false;
    c->heap += (room - p->room_notes) * sizeof *v;
    p->notes = v;
    p->room_notes = room;
    return true;
}

/* All was told.  A great many at once are rare, and their room goes back. */
static void forget_notes(mr_control *c)
{
    policy *p = &c->pol;
    p->n_notes = 0;
    if (p->room_notes <= NOTES_MANY)
        return;
    c->heap -= p->room_notes * sizeof *p->notes;
    free(p->notes);
    p->notes = NULL;
    p->room_notes = 0;
}

/* Where it runs, or stood when it was stopped or blocked: id + 1; 0: nowhere. */
static uint32_t note_slot(mr_control *c, const task *t)
{
    bool sat = (t->flags & T_STOPPED) || (t->where == W_RUN && !mr_ref_is_slot(t->v.on));
    const proc *by = sat ? proc_at(c, t->worker) : NULL;
    if (by) {
        const node *n = c->nodes[by->node];
        return t->last_slot < n->n_slots ? n->slots[t->last_slot] + 1 : 0;
    }
    return mr_ref_is_slot(t->v.on) ? (uint32_t)t->v.on : 0;
}

void mr_policy_note_any(mr_control *c, uint32_t what, task *t, int outcome, int64_t ran)
{
    policy *p = &c->pol;
    if (!noted(p, what))
        return;
    if (what == MR_STARTED && (t->flags & T_PRESENT)) { /* it waited in a worker's ring when the policy came */
        t->flags &= ~(uint32_t)T_PRESENT;
        mr_policy_note_any(c, MR_BECAME_READY, t, MR_NOTE_AGAIN, 0);
    }
    if (p->n_notes == p->room_notes && !mr_policy_room(c)) {
        fail(p, "no memory for what policy %s has to be told", p->name);
        return;
    }
    p->notes[p->n_notes++] =
        (note){.what = (uint8_t)what, .outcome = (int16_t)outcome, .t = t, .slot = note_slot(c, t), .ran = ran};
}

static void tell(mr_control *c, const note *n)
{
    policy *p = &c->pol;
    mr_notice told = {.what = (mr_what)n->what,
                      .outcome = n->what & (MR_DONE | MR_DROPPED) ? n->outcome : MR_OK,
                      .task = n->t ? &n->t->v : NULL,
                      .ran = n->ran};
    if (!(p->notices & n->what) || p->failed)
        return;
    if (n->slot && (n->what & (MR_STARTED | MR_STOPPED | MR_DONE)))
        told.worker = p->host.worker(&p->host, MR_REF_SLOT | n->slot);
    if (n->slot && !told.worker && (n->what & (MR_STARTED | MR_STOPPED | MR_DONE))) /* its node has left since */
        told.worker = &c->slots[n->slot - 1]->v;
    p->telling = n->t;
    p->again = told.outcome != n->outcome;
    policy_enter(p, IN_NOTICE);
    p->ops.notice(p->self, &told);
    policy_leave(p);
    p->telling = NULL;
}

static bool target_ok(mr_control *c, const task *t, mr_ref at)
{
    uint32_t i = (uint32_t)at - 1;
    const node *n = mr_ref_is_slot(at) && i < c->n_slots   ? c->nodes[c->slots[i]->node]
                    : mr_ref_is_node(at) && i < c->n_nodes ? c->nodes[i]
                                                           : NULL;
    return n && mr_node_allows(c, n, c->shapes[t->shape]);
}

static void ask_plan(mr_control *c, task *t)
{
    policy *p = &c->pol;
    if (t->where != W_WAITING && t->where != W_FRESH)
        return;
    policy_enter(p, IN_PLAN);
    mr_ref at = p->ops.plan(p->self, &t->v);
    policy_leave(p);
    policy_said(c, MR_OP_PLAN, t->v.ref, at, 0);
    if (at == MR_NONE || p->failed)
        return;
    if (!target_ok(c, t, at)) {
        mr_eject_answer(c, MR_OP_PLAN, t->v.ref, at);
        return;
    }
    t->flags |= T_PLANNED;
    t->v.on = at;
    if (t->n_deps) /* those inputs that are there already */
        mr_ready_send(c, t, task_node(c, t));
}

static bool is_new(const note *n)
{
    return n->what == MR_SUBMITTED && n->outcome != MR_NOTE_AGAIN;
}

static void tell_one(mr_control *c, const note *n)
{
    tell(c, n);
    if (n->what & (MR_STARTED | MR_NOTE_SLICE))
        mr_stop_slice(c, n->t);
    else if (n->what == MR_SUBMITTED && c->pol.ops.plan)
        ask_plan(c, n->t);
}

/* What was submitted, `plan` of it, then the rest, each in the order it happened. */
void mr_policy_tell(mr_control *c)
{
    policy *p = &c->pol;
    size_t n = p->n_notes;
    if (!n)
        return;
    for (size_t i = 0; i < n && p->open; i++)
        if (is_new(&p->notes[i]))
            tell(c, &p->notes[i]);
    for (size_t i = 0; i < n && p->open && p->ops.plan; i++)
        if (is_new(&p->notes[i]))
            ask_plan(c, p->notes[i].t);
    for (size_t i = 0; i < n && p->open; i++)
        if (!is_new(&p->notes[i]))
            tell_one(c, &p->notes[i]);
    forget_notes(c);
    for (task *t; (t = mr_tlist_pop(&c->over));)
        mr_task_gone(c, t);
    mr_policy_eject_if(c);
}

/* Timers that follow each other as fast as they can would keep a simulation at one instant, and a core busy. */
enum { WAKES_MOST = 100 * 1000 };

void mr_policy_woken(mr_control *c)
{
    policy *p = &c->pol;
    if (p->wake_at < 0 || p->wake_at > c->now || mr_table_count(&c->tasks) == c->past.n)
        return;
    p->wake_at = MR_UNKNOWN;
    c->dirty = true; /* a sweep follows */
    if (c->now - p->wakes_from > c->conf.max_hold) {
        p->wakes_from = c->now;
        p->n_wakes = 0;
    }
    if (++p->n_wakes > WAKES_MOST)
        fail(p, "policy %s woke itself %d times within %lld ms", p->name, WAKES_MOST,
             (long long)(c->conf.max_hold / 1000000));
    tell(c, &(note){.what = MR_WOKEN});
}

/* ----------------------------------------------------------------------------------------------------- questions -- */

void mr_policy_rank(mr_control *c, task *t)
{
    policy *p = &c->pol;
    if (!p->ops.rank || p->failed)
        return;
    policy_enter(p, IN_RANK);
    double rank = p->ops.rank(p->self, &t->v);
    policy_leave(p);
    policy_said(c, MR_OP_RANK, t->v.ref, MR_NONE, rank);
    if (isnan(rank))
        fail(p, "policy %s: rank of %s (task %llx) is not a number", p->name, c->funcs[t->func - 1]->def->name,
             (unsigned long long)t->v.ref);
    else
        t->v.rank = rank;
}

void mr_policy_place(mr_control *c, task *t)
{
    policy *p = &c->pol;
    mr_ref at = t->v.on;
    if (t->flags & T_PLANNED) {
        t->flags &= ~(uint32_t)T_PLANNED;
        if (!target_ok(c, t, at))
            at = MR_NONE;
        else
            goto placed;
    }
    t->v.on = MR_NONE;
    if (!p->ops.place || p->failed)
        return;
    policy_enter(p, IN_PLACE);
    at = p->ops.place(p->self, &t->v);
    policy_leave(p);
    policy_said(c, MR_OP_PLACE, t->v.ref, at, 0);
    if (at == MR_NONE || p->failed)
        return;
    if (!target_ok(c, t, at)) {
        mr_eject_answer(c, MR_OP_PLACE, t->v.ref, at);
        return;
    }
    t->v.on = at;
placed:
    if (t->n_deps) /* a named place sends the inputs at once */
        mr_ready_send(c, t, task_node(c, t));
}

static void rank_again(mr_control *c, task *t)
{
    mr_ref at = t->v.on;
    mr_ready_take(c, t);
    t->v.on = at;
    mr_policy_rank(c, t);
    mr_ready_enter(c, t, true);
}

/* A rank that asks for another rank would never end. */
enum { RERANKS_MOST = 1000 };

bool mr_policy_reranks(mr_control *c)
{
    policy *p = &c->pol;
    if (!p->n_rerank && !p->rerank_all)
        return false;
    bool all = p->rerank_all;
    uint32_t n = p->n_rerank;
    p->rerank_all = false;
    p->n_rerank = 0;
    if (!p->ops.rank)
        return false;
    if (++p->n_reranks > RERANKS_MOST)
        fail(p, "policy %s asked to rank again more than %d times in one instant", p->name, RERANKS_MOST);
    if (all) {
        tlist todo = {0};
        uint64_t at = 0, id;
        for (task *t; (t = mr_table_next(&c->tasks, &at, &id));)
            if (t->where == W_READY) {
                mr_ref on = t->v.on;
                mr_ready_take(c, t);
                t->v.on = on;
                mr_tlist_push(&todo, t);
            }
        mr_tlist_sort(&todo);
        for (task *t; (t = mr_tlist_pop(&todo));) {
            mr_policy_rank(c, t);
            mr_ready_enter(c, t, true);
        }
    }
    for (uint32_t i = 0; !all && i < n; i++) {
        task *t = task_live(c, p->rerank[i]);
        if (t && t->where == W_READY)
            rank_again(c, t);
    }
    mr_policy_eject_if(c);
    return true;
}

/* One idle slot: true if it took a task. */
static mr_ref ask_pick(mr_control *c, slot *s)
{
    policy *p = &c->pol;
    policy_enter(p, IN_PICK);
    mr_ref ref = p->ops.pick(p->self, p->host.worker(&p->host, s->v.ref));
    policy_leave(p);
    policy_said(c, MR_OP_PICK, s->v.ref, ref, 0);
    if (ref == MR_NONE || ref == MR_STOP || p->failed)
        return p->failed ? MR_STOP : ref;
    task *t = mr_ref_is_task(ref) ? task_live(c, ref) : NULL;
    if (!t || !mr_ready_can(c, t, s)) {
        mr_eject_answer(c, MR_OP_PICK, s->v.ref, ref);
        return MR_NONE;
    }
    if (!mr_ready_start(c, t, s) && t->where == W_READY)
        return MR_NONE;
    if (p->n_notes)
        mr_policy_tell(c);
    return p->open ? ref : MR_STOP;
}

/* Ascending ids, again and again until every idle slot declined after the last acceptance. */
void mr_policy_pick(mr_control *c)
{
    policy *p = &c->pol;
    for (bool took = true; took && c->n_ready;) {
        took = false;
        for (uint32_t i = mr_bits_next(&c->idle, 0); i != UINT32_MAX && c->n_ready; i = mr_bits_next(&c->idle, i + 1)) {
            mr_ref ref = ask_pick(c, c->slots[i]);
            if (ref == MR_STOP)
                goto out;
            took |= ref != MR_NONE;
        }
        if (p->n_rerank || p->rerank_all)
            mr_policy_reranks(c);
    }
out:
    mr_policy_eject_if(c);
}

/* Where it runs, else the first slot where it may. */
static mr_ref seat_of(const policy *p, const mr_task *t)
{
    return mr_ref_is_slot(t->on) ? t->on : p->host.next(&p->host, MR_WORKERS, t->ref, MR_NONE);
}

mr_status mr_control_ask(mr_control *c, uint32_t op, mr_ref of, double *number, mr_ref *answer, uint32_t *line)
{
    policy *p = &c->pol;
    const mr_sched_ops *o = &p->ops;
    const mr_worker *w = mr_ref_is_slot(of) ? p->host.worker(&p->host, of) : NULL;
    const mr_task *t = mr_ref_is_task(of) ? p->host.task(&p->host, of) : NULL;
    mr_ref (*seek)(void *self, const mr_task *t) = op == MR_OP_PLACE     ? o->place
                                                   : op == MR_OP_PLAN    ? o->plan
                                                   : op == MR_OP_PREEMPT ? o->preempt
                                                                         : NULL;
    *number = 0;
    *answer = MR_NONE;
    *line = 0;
    if (o->line)
        (void)o->line(p->self); /* from here on it keeps the line */
    policy_enter(p, IN_ASK);
    bool asked = true;
    if (op == MR_OP_RANK && o->rank && t)
        *number = o->rank(p->self, t);
    else if (op == MR_OP_PICK && o->pick && w)
        *answer = o->pick(p->self, w);
    else if (seek && t)
        *answer = seek(p->self, t);
    else if (op == MR_OP_SLICE && o->slice && t && (w = p->host.worker(&p->host, seat_of(p, t))))
        *number = (double)o->slice(p->self, t, w);
    else
        asked = false;
    policy_leave(p);
    if (asked && o->line)
        *line = o->line(p->self);
    return !asked ? MR_E_NOTFOUND : p->failed ? MR_E_POLICY : MR_OK;
}

const mr_sched_host *mr_control_host(const mr_control *c)
{
    return &c->pol.host;
}

/* ---------------------------------------------------------------------------------------------------------- held -- */

static uint32_t idle_usable(mr_control *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        node *k = c->nodes[i];
        if (!k->alive || !k->n_idle)
            continue;
        for (uint32_t s = 0; s < c->n_shapes; s++)
            if (c->shapes[s]->ready && mr_node_can(c, k, c->shapes[s], NULL)) {
                n += k->n_idle;
                break;
            }
    }
    return n;
}

/* Counts slot time that a policy leaves idle beside work that fits; ejects one that stands still for max_hold. */
void mr_policy_held(mr_control *c)
{
    policy *p = &c->pol;
    if (c->explain)
        mr_explain_waits(c);
    if (c->held_now)
        c->held += (int64_t)c->held_slots * (c->now - c->held_at);
    c->held_now = false;
    if (!p->open || !(p->ops.pick || p->ops.place || p->ops.plan) || !c->n_ready || !(c->held_slots = idle_usable(c))) {
        c->hold_since = MR_UNKNOWN;
        return;
    }
    c->held_now = true;
    c->held_at = c->now;
    if (c->n_running || c->n_travel || c->n_flight || c->n_ahead) {
        c->hold_since = MR_UNKNOWN;
        return;
    }
    if (c->hold_since < 0)
        c->hold_since = c->now;
    if (c->now - c->hold_since < c->conf.max_hold)
        return;
    fail(p, "policy %s held %u ready tasks back for %lld ms while nothing ran", p->name, c->n_ready,
         (long long)((c->now - c->hold_since) / 1000000));
    mr_policy_eject_if(c);
    while (c->dirty && p->ejected)
        mr_ready_close(c);
}
