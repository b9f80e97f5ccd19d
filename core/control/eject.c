/* eject.c: a policy's wrong answers in words; the end of one that failed: its last answers and the queues as it left
 * them; and the end of the session's work where [sched] on_error = stop.
 *
 * The answers are kept in a ring as they are given (a few stores each).  Nothing else here is on the way of a task.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

enum { DUMP_BYTES = 16 * 1024, DUMP_QUEUE = 5, DUMP_QUEUES = 40 };

/* -------------------------------------------------------------------------------------------------------- a dump -- */

typedef struct text {
    char *at;
    size_t used, room;
} text;

static void add(text *t, const char *fmt, ...) MR_PRINTF(2, 3);
static void add(text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int k = vsnprintf(t->at + t->used, t->room - t->used, fmt, args);
    va_end(args);
    if (k > 0)
        t->used = t->used + (size_t)k < t->room ? t->used + (size_t)k : t->room - 1;
}

static void add_ref(mr_control *c, text *t, mr_ref ref)
{
    const task *x = mr_ref_is_task(ref) ? task_live(c, ref) : NULL;
    if (ref == MR_NONE || ref == MR_STOP)
        add(t, "%s", ref ? "nobody" : "none");
    else if (mr_ref_is_slot(ref))
        add(t, "slot %u", (uint32_t)ref - 1);
    else if (mr_ref_is_node(ref))
        add(t, "node %u", (uint32_t)ref - 1);
    else
        add(t, "task %llx%s%s", (unsigned long long)ref, x ? " " : "", x ? c->funcs[x->func - 1]->def->name : "");
}

static const char *op_name(uint32_t op)
{
    static const char *const names[] = {"rank", "place", "plan", "pick", "slice", "preempt"};
    int at = __builtin_ctz(op);
    return names[at < 6 ? at : 0];
}

static void add_answers(mr_control *c, text *t)
{
    const policy *p = &c->pol;
    uint64_t from = p->n_said > MR_SAID ? p->n_said - MR_SAID : 0;
    add(t, "its last %llu answers:%s\n", (unsigned long long)(p->n_said - from), p->n_said ? "" : " none");
    for (uint64_t i = from; i < p->n_said; i++) {
        const said *s = &p->said[i % MR_SAID];
        add(t, "  %.9f s  %s of ", (double)s->at / 1e9, op_name(s->op));
        add_ref(c, t, s->of);
        add(t, ": ");
        if (s->failed)
            add(t, "it failed");
        else if (s->op == MR_OP_RANK || s->op == MR_OP_SLICE)
            add(t, "%.17g", s->number);
        else
            add_ref(c, t, s->answer);
        add(t, "\n");
    }
}

static void add_queue(mr_control *c, text *t, mr_ref at)
{
    uint32_t n = 0;
    for (task *x = NULL; (x = mr_ready_next(c, at, x)); n++) {
        if (n == 0) {
            add(t, "ready for ");
            if (at)
                add_ref(c, t, at);
            else
                add(t, "anyone");
            add(t, ":\n");
        }
        if (n >= DUMP_QUEUE)
            continue;
        add(t, "  ");
        add_ref(c, t, x->v.ref);
        add(t, "  rank %.17g, entry %llu, since %.9f s\n", x->v.rank, (unsigned long long)x->v.entry,
            (double)x->v.ready_at / 1e9);
    }
    if (n > DUMP_QUEUE)
        add(t, "  and %u more\n", n - DUMP_QUEUE);
}

static void add_nodes(mr_control *c, text *t)
{
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const node *n = c->nodes[i];
        if (n->alive)
            add(t, "node %u (%s): %.4g of %.4g CPU free, %u slots idle\n", i, n->name,
                (double)n->v.free[MR_RES_CPU].amount / MR_RES_UNIT, (double)n->v.total[MR_RES_CPU].amount / MR_RES_UNIT,
                n->n_idle);
    }
}

/* Before anything changes.  Without memory for it there is none. */
void mr_eject_dump(mr_control *c)
{
    policy *p = &c->pol;
    text t = {.at = malloc(DUMP_BYTES), .room = DUMP_BYTES};
    free(p->dump);
    p->dump = t.at;
    if (!t.at)
        return;
    add(&t, "policy %s failed at %.9f s: %s\n", p->name, (double)c->now / 1e9, p->error);
    add_answers(c, &t);
    add(&t, "%u tasks ready, %u running\n", c->n_ready, c->n_running);
    add_queue(c, &t, MR_NONE);
    for (uint32_t i = 0; c->placed && i < c->n_nodes && i < DUMP_QUEUES; i++)
        add_queue(c, &t, c->nodes[i]->v.ref);
    for (uint32_t i = 0; c->placed && i < c->n_slots && i < DUMP_QUEUES; i++)
        add_queue(c, &t, c->slots[i]->v.ref);
    add_nodes(c, &t);
}

/* ------------------------------------------------------------------------------------------------ wrong answers -- */

static const char *why_not_there(mr_control *c, mr_ref at)
{
    uint32_t i = (uint32_t)at - 1;
    if (!mr_ref_is_slot(at) && !mr_ref_is_node(at))
        return "is neither a slot nor a node";
    if (mr_ref_is_slot(at) ? i >= c->n_slots || !c->nodes[c->slots[i]->node]->alive
                           : i >= c->n_nodes || !c->nodes[i]->alive)
        return "is gone";
    return "is where it may never run";
}

/* `at`: the slot that pick was asked of; NULL: preempt was asked. */
static const char *why_not_it(mr_control *c, const slot *at, mr_ref answer)
{
    const task *t = mr_ref_is_task(answer) ? task_live(c, answer) : NULL;
    if (!mr_ref_is_task(answer))
        return "is not a task";
    if (!t)
        return "is over";
    if (!at)
        return "is none of running(t): its stop alone does not let t start";
    const shape *s = c->shapes[t->shape];
    if (t->where == W_WAITING || t->where == W_FRESH)
        return "waits for its arguments";
    if (t->where == W_RUN)
        return "runs already";
    if (t->where != W_READY)
        return "has its slot already";
    if (!mr_caps_allow(s))
        return "is stopped by the limit of its function or the quota of its user";
    return mr_node_allows(c, c->nodes[at->node], s) ? "does not fit there now" : "may never run there";
}

void mr_eject_answer(mr_control *c, uint32_t op, mr_ref of, mr_ref answer)
{
    policy *p = &c->pol;
    text t = {.at = c->why, .room = sizeof c->why};
    c->refused++;
    if (p->reported & op)
        return;
    p->reported |= op;
    add(&t, "%s of ", op_name(op));
    add_ref(c, &t, of);
    add(&t, " answered ");
    add_ref(c, &t, answer);
    add(&t, ", which %s",
        op & (MR_OP_PLACE | MR_OP_PLAN)
            ? why_not_there(c, answer)
            : why_not_it(c, mr_ref_is_slot(of) ? c->slots[(uint32_t)of - 1] : NULL, answer));
    if (!p->refusal[0])
        snprintf(p->refusal, sizeof p->refusal, "%.199s", c->why);
    mr_action *x = mr_control_act(c, MR_ACT_REPORT);
    x->flags = MR_REPORT_REFUSED;
    x->value = op;
}

const char *mr_control_policy_refusal(const mr_control *c)
{
    return c->pol.refusal[0] ? c->pol.refusal : NULL;
}

const char *mr_control_policy_dump(const mr_control *c)
{
    return c->pol.ejected ? c->pol.dump : NULL;
}

const char *mr_control_policy_op(const mr_control *c, uint64_t *calls)
{
    const mr_policy_now *now = c->pol.now;
    *calls = __atomic_load_n(&now->calls, __ATOMIC_RELAXED);
    return mr_control_op_text(__atomic_load_n(&now->op, __ATOMIC_RELAXED));
}

const char *mr_control_op_text(uint32_t op)
{
    static const char *const names[] = {NULL,    "open",    "wants",  "rank", "place",   "plan",  "pick",
                                        "slice", "preempt", "notice", "save", "restore", "close", "ask"};
    return op < sizeof names / sizeof names[0] ? names[op] : NULL;
}

void mr_control_policy_now(mr_control *c, mr_policy_now *kept)
{
    policy *p = &c->pol;
    mr_policy_now *to = kept ? kept : &p->own_now;
    if (to == p->now)
        return;
    *to = *p->now;
    p->now = to;
}

/* ----------------------------------------------------------------------------------------------- on_error = stop -- */

/* What has begun may end; all else that is not a call of a living actor fails with the policy's error.  Entries of the
 * table stay where they are when others go. */
void mr_eject_stop(mr_control *c)
{
    uint64_t at = 0, id;
    for (task *t; (t = mr_table_next(&c->tasks, &at, &id));) {
        if (t->actor || t->where == W_OVER || t->where == W_PAST || t->where == W_FAILING)
            continue;
        if (t->flags & T_STOPPED) {
            mr_task_cancel_one(c, t, MR_CANCEL_FORCE);
        } else if (t->where == W_WAITING || t->where == W_FRESH || t->where == W_READY || t->where == W_TRAVEL ||
                   t->where == W_PROCESS) {
            mr_fault f = mr_task_fault(c, t, MR_E_POLICY);
            f.may_have_run = 0;
            mr_task_fail(c, t, &f);
        }
    }
    mr_control_drain(c);
}

mr_status mr_eject_refuses(mr_control *c, const char *name)
{
    return mr_control_refuse(c, MR_E_POLICY, "%s: policy %s failed, and [sched] on_error = stop: %s", name, c->pol.name,
                             c->pol.error);
}
