/* show.c: what people want to know of the living: where a task is, what it waits for, who holds an object.  Changes
 * nothing, and nothing here is on the way of a task.
 */
#include <stdio.h>
#include <string.h>

#include "control/room.h"

const char *mr_control_phase(mr_phase phase)
{
    static const char *const names[] = {
#define SHOW_NAME(name, text) text,
        MR_PHASE_MAP(SHOW_NAME)
#undef SHOW_NAME
    };
    return (unsigned)phase < MR_PHASE_COUNT ? names[phase] : "";
}

/* Of the calls that were sent to an actor that runs one at a time, the first runs. */
static bool flies_only(mr_control *c, const task *t)
{
    const actor *a = actor_at(c, t->actor);
    return a && a->ordered && !(t->flags & T_SYSTEM) && a->flight.head != t;
}

mr_phase mr_show_phase(mr_control *c, const task *t)
{
    switch ((where)t->where) {
    case W_WAITING:
        return MR_PHASE_ARGS;
    case W_HELD:
        return t->waiting ? MR_PHASE_ARGS : MR_PHASE_ORDER;
    case W_CALL:
        return MR_PHASE_ORDER;
    case W_FRESH:
    case W_READY:
        return t->flags & T_STOPPED ? MR_PHASE_STOPPED : MR_PHASE_QUEUED;
    case W_TRAVEL:
        return MR_PHASE_TRAVEL;
    case W_PROCESS:
        return MR_PHASE_PROCESS;
    case W_AHEAD:
        return MR_PHASE_SENT;
    case W_RUN:
    case W_FLIGHT:
        if (t->flags & T_BLOCKED)
            return MR_PHASE_BLOCKED;
        return t->where == W_FLIGHT && flies_only(c, t) ? MR_PHASE_SENT : MR_PHASE_RUNNING;
    case W_LIVING:
        return MR_PHASE_LIVING;
    case W_FAILING:
    case W_PAST:
    case W_OVER:
        break;
    }
    return MR_PHASE_OVER;
}

/* --------------------------------------------------------------------------------------------- what it waits for -- */

static const char *name_of(const mr_control *c, uint32_t number)
{
    const mr_define *d = mr_control_func(c, number);
    return d ? d->name : "";
}

static void say_object(mr_control *c, mr_id id, uint32_t others, char *out, size_t n)
{
    const object *o = object_at(c, id);
    const task *maker = o && object_task(o) ? task_live(c, object_task(o)) : NULL;
    char more[32] = "";
    if (others)
        snprintf(more, sizeof more, " and %u more", others);
    if (o && (o->flags & O_ACTOR))
        snprintf(out, n, "the creation of its actor%s", more);
    else if (maker)
        snprintf(out, n, "object %016llx%s, which %s makes (%s)", (unsigned long long)id, more, name_of(c, maker->func),
                 mr_control_phase(mr_show_phase(c, maker)));
    else
        snprintf(out, n, "object %016llx%s", (unsigned long long)id, more);
}

static void say_args(mr_control *c, const task *t, char *out, size_t n)
{
    for (uint32_t i = 0; i < t->n_deps; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (o && !settled(o)) {
            say_object(c, t->ids[i], t->waiting > 1 ? t->waiting - 1 : 0, out, n);
            return;
        }
    }
    snprintf(out, n, "an argument");
}

/* The first resource that is short on the node that lacks the fewest. */
static void lack_of_room(mr_control *c, const shape *s, mr_decision *d)
{
    uint32_t least = UINT32_MAX;
    const node *best = NULL;
    const mr_amount *need = NULL;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const node *x = c->nodes[i];
        const mr_amount *first = NULL;
        uint32_t missing = 0;
        if (!x->alive || (s->n_terms && !mr_labels_hard(x, s)) ||
            (s->strategy == MR_STRATEGY_NODE && !s->soft && s->node != x->number))
            continue;
        for (uint32_t k = 0; k < s->n_needs; k++) {
            uint32_t res = s->needs[k].res;
            if (res < x->v.n_res && x->own.free[res].amount >= s->needs[k].amount)
                continue;
            first = first ? first : &s->needs[k];
            missing++;
        }
        if (missing < least) {
            least = missing;
            best = x;
            need = first;
        }
    }
    d->why = best ? MR_PASSED_CHOICE : MR_PASSED_NODE;
    if (!best || !least)
        return;
    d->why = MR_PASSED_ROOM;
    d->res = need->res;
    d->wanted = need->amount;
    d->had = need->res < best->v.n_res && best->own.free[need->res].amount > 0 ? best->own.free[need->res].amount : 0;
    d->slot = best->n_slots ? best->slots[0] + 1 : 0;
}

void mr_show_lack(mr_control *c, const task *t, mr_decision *d)
{
    const shape *s = c->shapes[t->shape];
    const ceiling *k = mr_caps_full(s);
    if (k) {
        int64_t unit = k->cpus ? 1 : MR_RES_UNIT; /* both in 1/10000 */
        d->why = k->cpus ? MR_PASSED_QUOTA : MR_PASSED_LIMIT;
        d->res = k->name;
        d->had = k->used * unit;
        d->wanted = k->limit * unit;
    } else if (s->group) {
        d->why = MR_PASSED_GROUP;
    } else {
        lack_of_room(c, s, d);
    }
}

static void say_seat(mr_control *c, const task *t, char *out, size_t n)
{
    const shape *s = c->shapes[t->shape];
    mr_decision d = {.what = MR_DECIDED_READY};
    char wants[64], has[64];
    mr_show_lack(c, t, &d);
    switch (d.why) {
    case MR_PASSED_QUOTA:
    case MR_PASSED_LIMIT:
        snprintf(out, n,
                 d.why == MR_PASSED_QUOTA ? "the quota of user %s: %g of %g CPUs are used"
                                          : "the limit of %s: %g of %g run",
                 mr_control_wanted(c, &d), (double)d.had / MR_RES_UNIT, (double)d.wanted / MR_RES_UNIT);
        break;
    case MR_PASSED_GROUP:
        snprintf(out, n,
                 s->group->unplaced ? "its placement group %016llx to be placed"
                                    : "room in its placement group %016llx",
                 (unsigned long long)s->group->id);
        break;
    case MR_PASSED_NODE:
        mr_labels_text(s, wants, sizeof wants);
        if (wants[0]) {
            snprintf(out, n, "a node with %s", wants);
            break;
        }
        /* fall through */
    case MR_PASSED_CHOICE:
        snprintf(out, n, c->pol.any ? "the policy \"%s\" to choose it" : "a seat (policy \"%s\")", c->pol.name);
        break;
    default:
        mr_amount_text(c, d.res, d.wanted, wants, sizeof wants);
        mr_amount_text(c, d.res, d.had, has, sizeof has);
        if (d.slot)
            snprintf(out, n, "%s: node %s has %s free", wants, c->nodes[c->slots[d.slot - 1]->node]->name, has);
        else
            snprintf(out, n, "%s: there is %s free", wants, has);
    }
}

static void say_call(mr_control *c, const task *t, char *out, size_t n)
{
    const actor *a = actor_at(c, t->actor);
    if (!a || a->state == MR_ACTOR_DEAD)
        snprintf(out, n, "nothing: its actor is dead");
    else if (a->state == MR_ACTOR_PENDING)
        snprintf(out, n, "its actor %s to be created", name_of(c, a->func));
    else if (a->state == MR_ACTOR_RESTARTING)
        snprintf(out, n, "its actor %s to restart", name_of(c, a->func));
    else
        snprintf(out, n, "earlier calls of its actor %s (%u pending)", name_of(c, a->func), a->pending);
}

static void say_blocked(mr_control *c, const task *t, char *out, size_t n)
{
    const mr_link *waits = mr_wait_list(c, t->worker);
    if (waits)
        MR_LIST_EACH(waits, l)
        {
            const waiter *w = MR_LIST_ENTRY(l, waiter, link);
            for (uint32_t i = 0; w->task == t->v.ref && i < w->n; i++)
                if (w->nodes[i].id) {
                    say_object(c, w->nodes[i].id, w->need > w->done + 1 ? w->need - w->done - 1 : 0, out, n);
                    return;
                }
        }
    snprintf(out, n, "an object");
}

void mr_control_task_waits(const mr_control *control, mr_id id, char *out, size_t n)
{
    mr_control *c = (mr_control *)(uintptr_t)control;
    const task *t = task_live(c, id);
    out[0] = 0;
    if (!t)
        return;
    switch (mr_show_phase(c, t)) {
    case MR_PHASE_ARGS:
        say_args(c, t, out, n);
        break;
    case MR_PHASE_ORDER:
        say_call(c, t, out, n);
        break;
    case MR_PHASE_QUEUED:
        say_seat(c, t, out, n);
        break;
    case MR_PHASE_TRAVEL:
        snprintf(out, n, "its inputs, which travel to its node");
        break;
    case MR_PHASE_PROCESS:
        snprintf(out, n, "a worker process, which is being started");
        break;
    case MR_PHASE_SENT:
        snprintf(out, n, "what its worker runs now");
        break;
    case MR_PHASE_BLOCKED:
        say_blocked(c, t, out, n);
        break;
    case MR_PHASE_STOPPED:
        say_seat(c, t, out, n);
        break;
    case MR_PHASE_RUNNING:
    case MR_PHASE_LIVING:
    case MR_PHASE_OVER:
    case MR_PHASE_COUNT:
        break;
    }
}

/* -------------------------------------------------------------------------------------------------- who holds it -- */

mr_id mr_control_object_next(const mr_control *c, uint64_t *at)
{
    uint64_t id;
    return mr_table_next(&c->objects, at, &id) ? id : 0;
}

void mr_control_holds(const mr_control *c, void (*hold)(void *arg, mr_id object, mr_holder_kind kind, uint64_t id),
                      void *arg)
{
    uint64_t at = 0, id;
    for (const object *o; (o = mr_table_next(&c->objects, &at, &id));) {
        if (o->flags & O_DRIVER)
            hold(arg, id, MR_HOLDS_CLIENT, 0);
        for (uint32_t i = 0; o->x && i < o->x->n_refs; i++)
            hold(arg, o->x->refs[i], MR_HOLDS_OBJECT, id);
    }
    at = 0;
    for (const proc *p; (p = mr_table_next(&c->procs, &at, &id));)
        for (uint32_t i = 0; i < p->holds.room; i++)
            if (p->holds.v[i])
                hold(arg, p->holds.v[i], MR_HOLDS_CLIENT, p->number);
    at = 0;
    for (const task *t; (t = mr_table_next(&c->tasks, &at, &id));) {
        for (uint32_t i = 0; !(t->flags & T_KEPT) && i < t->n_deps + t->n_refs; i++)
            hold(arg, t->ids[i], MR_HOLDS_TASK, id);
        if (t->actor && t->where != W_OVER && t->where != W_PAST)
            hold(arg, t->actor, MR_HOLDS_TASK, id);
    }
    at = 0;
    for (const stream *s; (s = mr_table_next(&c->streams, &at, &id));)
        for (uint32_t i = 0; i < s->n; i++)
            hold(arg, s->items[(s->head + i) % s->room], MR_HOLDS_STREAM, id);
    for (uint32_t i = 0; i < c->n_funcs; i++)
        if (c->funcs[i]->code_held)
            hold(arg, c->funcs[i]->def->code, MR_HOLDS_CODE, i + 1);
    at = 0;
    for (const actor *a; (a = mr_table_next(&c->actors, &at, &id));)
        if (a->detached && a->state != MR_ACTOR_DEAD)
            hold(arg, id, MR_HOLDS_ITSELF, 0);
}
