/* actors.c: actors and their calls: names, the queue of each caller, what is sent, restart and death.
 *
 * An actor's creation is a task that the policy sees; it stays (W_LIVING) while the actor lives and holds what it
 * keeps. Its calls never reach a policy.  Order: per calling client, for actors with one thread and no loop; a call
 * whose arguments are not sealed holds back only its own caller.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* --------------------------------------------------------------------------------------------------------- names -- */

/* "namespace\0name\0": both ended inside n bytes. */
bool mr_name_good(const char *text, size_t n)
{
    const char *end = n ? memchr(text, 0, n) : NULL;
    return end && n > (size_t)(end - text) + 1 && text[n - 1] == 0 && memchr(end + 1, 0, n) == text + n - 1;
}

size_t mr_name_size(const char *text)
{
    size_t first = strlen(text) + 1;
    return first + strlen(text + first) + 1;
}

static actor *find_named(mr_control *c, const char *text, size_t n)
{
    MR_LIST_EACH(&c->named, l)
    {
        actor *a = MR_LIST_ENTRY(l, actor, named);
        if (mr_name_size(a->name) == n && !memcmp(a->name, text, n))
            return a;
    }
    return NULL;
}

mr_status mr_actor_name(mr_control *c, const mr_record *r)
{
    const char *text = mr_record_bytes(r, sizeof(mr_ev_none));
    if (!mr_name_good(text, r->n_bytes))
        return mr_control_refuse(c, MR_E_INVAL, "a name must be namespace and name, each ended by 0");
    actor *a = find_named(c, text, r->n_bytes);
    if (!a)
        return mr_control_refuse(c, MR_E_NOTFOUND, "no actor is named \"%s\" in namespace \"%s\"",
                                 text + strlen(text) + 1, text);
    if (mr_holder_room(c, r->from, 1))
        return MR_E_NOMEM;
    mr_holder_add(c, r->from, object_at(c, a->id));
    mr_control_reply(c, r, MR_OK, (int64_t)a->id);
    return MR_OK;
}

/* --------------------------------------------------------------------------------------------------- submissions -- */

static mr_status check_creation(mr_control *c, const mr_ev_submit *e, mr_id *existing)
{
    if (!(e->flags & MR_SUBMIT_NAMED))
        return MR_OK;
    const char *bytes = mr_record_bytes(e, sizeof *e), *text = bytes + e->h.n_bytes - e->name_bytes;
    if (!mr_name_good(text, e->name_bytes))
        return mr_control_refuse(c, MR_E_INVAL, "actor %llx: a name must be namespace and name, each ended by 0",
                                 (unsigned long long)e->id);
    actor *a = find_named(c, text, e->name_bytes);
    if (!a)
        return MR_OK;
    if (e->flags & MR_SUBMIT_GET_IF_EXISTS) {
        *existing = a->id;
        return MR_OK;
    }
    c->fault.cause = a->id;
    return mr_control_refuse(c, MR_E_NAME_TAKEN,
                             "the name \"%s\" is already taken in namespace \"%s\" by a living actor",
                             text + strlen(text) + 1, text);
}

mr_status mr_actor_check(mr_control *c, const mr_ev_submit *e, const func *f, mr_id *existing)
{
    if (f->def->kind == MR_FUNC_ACTOR)
        return check_creation(c, e, existing);
    const actor *a = actor_at(c, e->actor);
    if (!a)
        return mr_control_refuse(c, MR_E_ACTOR_DIED, "%s: there is no actor %llx in this session", f->def->name,
                                 (unsigned long long)e->actor);
    int32_t most = c->funcs[a->func - 1]->def->max_pending;
    if (most >= 0 && a->state != MR_ACTOR_DEAD && a->pending >= (uint32_t)most)
        return mr_control_refuse(c, MR_E_PENDING_CALLS,
                                 "%s: %u calls of this actor are pending, the most allowed is %d", f->def->name,
                                 a->pending, most);
    return MR_OK;
}

mr_status mr_actor_new(mr_control *c, const mr_ev_submit *e, task *t)
{
    const mr_define *d = c->funcs[e->func - 1]->def;
    char *name = NULL;
    if (e->flags & MR_SUBMIT_NAMED) {
        const char *bytes = mr_record_bytes(e, sizeof *e);
        name = mr_control_alloc(c, e->name_bytes);
        if (!name)
            return MR_E_NOMEM;
        memcpy(name, bytes + e->h.n_bytes - e->name_bytes, e->name_bytes);
    }
    lane *lanes = mr_control_alloc(c, (d->n_lanes + 1u) * sizeof *lanes);
    actor *a = lanes ? mr_table_put(&c->actors, e->id) : NULL;
    if (!a) {
        mr_control_unalloc(c, name, e->name_bytes);
        mr_control_unalloc(c, lanes, (d->n_lanes + 1u) * sizeof *lanes);
        return MR_E_NOMEM;
    }
    a->lanes = lanes;
    a->id = e->id;
    a->creation = t;
    a->state = MR_ACTOR_PENDING;
    a->func = e->func;
    a->owner = e->h.from;
    a->detached = d->flags & MR_FUNC_DETACHED;
    a->ordered = d->max_concurrency <= 1 && !(d->flags & MR_FUNC_ASYNC) && !d->n_lanes;
    a->name = name;
    if (name)
        mr_list_push_back(&c->named, &a->named);
    object *o = object_at(c, e->id);
    o->flags |= O_ACTOR;
    if (a->detached)
        o->holders++; /* a pin, until it is killed */
    c->n_actors++;
    return MR_OK;
}

caller *mr_actor_caller(const actor *a, uint32_t client)
{
    caller *k = a->callers;
    while (k && k->client != client)
        k = k->next;
    return k;
}

mr_status mr_actor_call_room(mr_control *c, actor *a, uint32_t client)
{
    if (!a->ordered || mr_actor_caller(a, client))
        return MR_OK;
    caller *k = mr_control_alloc(c, sizeof *k);
    if (!k)
        return MR_E_NOMEM;
    k->client = client;
    k->next = a->callers;
    a->callers = k;
    return MR_OK;
}

/* --------------------------------------------------------------------------------------------------------- calls -- */

static lane *lane_of(const mr_control *c, const actor *a, const task *t)
{
    uint32_t number = c->funcs[t->func - 1]->def->lane;
    return &a->lanes[number > c->funcs[a->func - 1]->def->n_lanes || (t->flags & T_SYSTEM) ? 0 : number];
}

static uint32_t *in_flight(const mr_control *c, actor *a, const task *t)
{
    return t->flags & T_SYSTEM ? &a->system_flight : &lane_of(c, a, t)->in_flight;
}

tlist *mr_actor_ready_lists(const mr_control *c, actor *a, uint32_t i)
{
    return i <= c->funcs[a->func - 1]->def->n_lanes ? &a->lanes[i].ready : NULL;
}

static void to_ready(mr_control *c, actor *a, task *t, bool front)
{
    t->where = W_CALL;
    t->v.ready_at = c->now;
    t->v.state = MR_READY_NOW;
    if (front)
        mr_tlist_push_front(&lane_of(c, a, t)->ready, t);
    else
        mr_tlist_push(&lane_of(c, a, t)->ready, t);
}

void mr_actor_call(mr_control *c, actor *a, task *t)
{
    if (a->state == MR_ACTOR_DEAD) {
        t->actor = a->id;
        mr_task_fail_later(c, t);
        return;
    }
    a->pending++;
    if (c->funcs[t->func - 1]->def->flags & MR_FUNC_SYSTEM)
        t->flags |= T_SYSTEM;
    else if (a->ordered)
        t->flags |= T_ORDERED;
    caller *k = t->flags & T_ORDERED ? mr_actor_caller(a, t->owner) : NULL;
    c->n_waiting--;
    if (t->waiting || (k && k->held.n)) {
        t->where = W_HELD;
        t->caller = k;
        mr_tlist_push(k ? &k->held : &a->loose, t);
    } else {
        to_ready(c, a, t, t->flags & T_SYSTEM);
        mr_actor_pump(c, a);
    }
}

static void release_held(mr_control *c, actor *a, caller *k)
{
    while (k->held.head && !k->held.head->waiting)
        to_ready(c, a, mr_tlist_pop(&k->held), false);
}

void mr_actor_release(mr_control *c, actor *a, caller *k)
{
    release_held(c, a, k);
    mr_actor_pump(c, a);
}

void mr_actor_call_ready(mr_control *c, task *t)
{
    actor *a = actor_at(c, t->actor);
    if (t->flags & T_ORDERED) {
        release_held(c, a, t->caller);
    } else {
        mr_tlist_remove(&a->loose, t);
        to_ready(c, a, t, t->flags & T_SYSTEM);
    }
    mr_actor_pump(c, a);
}

void mr_actor_call_back(mr_control *c, actor *a, task *t)
{
    c->n_waiting--;
    a->pending++;
    to_ready(c, a, t, true);
}

void mr_actor_call_out(mr_control *c, task *t)
{
    actor *a = actor_at(c, t->actor);
    if (!a)
        return;
    if (t->where == W_HELD && (t->flags & T_ORDERED)) {
        caller *k = t->caller;
        mr_tlist_remove(&k->held, t);
        if (a->state != MR_ACTOR_DEAD) {
            release_held(c, a, k);
            mr_actor_pump(c, a); /* nothing else may be due at this actor that would send them */
        }
    } else if (t->where == W_HELD) {
        mr_tlist_remove(&a->loose, t);
    } else if (t->where == W_CALL) {
        mr_tlist_remove(&lane_of(c, a, t)->ready, t);
    } else if (t->where == W_FLIGHT) {
        mr_tlist_remove(&a->flight, t);
        --*in_flight(c, a, t);
        c->n_flight--;
        if (t->flags & T_BLOCKED)
            c->n_flight_blocked--;
        t->flags &= ~(uint32_t)(T_BLOCKED | T_REVOKING);
        t->blocks = 0;
        t->worker = 0;
    }
    if (a->state != MR_ACTOR_DEAD)
        a->pending--;
    mr_actor_maybe_leave(c, a);
}

static void send_call(mr_control *c, actor *a, task *t, const proc *p)
{
    if (t->n_deps)
        mr_ready_send(c, t, c->nodes[p->node]);
    t->where = W_FLIGHT;
    t->worker = t->last_worker = a->worker;
    t->v.state = MR_RUNNING_NOW;
    t->v.started_at = c->now;
    c->n_flight++;
    mr_tlist_push(&a->flight, t);
    mr_action *x = mr_control_act(c, MR_ACT_DISPATCH);
    x->id = t->v.ref;
    x->attempt = t->attempt;
    x->worker = a->worker;
    x->node = p->node;
    x->value = -1;
}

void mr_actor_pump(mr_control *c, actor *a)
{
    const mr_define *d = c->funcs[a->func - 1]->def;
    uint32_t most = a->ordered ? c->conf.actor_window : d->max_concurrency > 1 ? (uint32_t)d->max_concurrency : 1;
    if (d->flags & MR_FUNC_ASYNC && d->max_concurrency < 1)
        most = MR_LOOP_CALLS;
    proc *p = a->state == MR_ACTOR_ALIVE ? proc_at(c, a->worker) : NULL;
    if (!p || p->killing || c->losing)
        return;
    for (uint32_t i = 0; i <= d->n_lanes; i++) {
        lane *l = &a->lanes[i];
        uint32_t room = i ? d->lanes[i - 1] : most;
        for (task *t; (t = l->ready.head) && (l->in_flight < room || (t->flags & T_SYSTEM));) {
            mr_tlist_remove(&l->ready, t);
            ++*in_flight(c, a, t);
            send_call(c, a, t, p);
        }
    }
}

/* --------------------------------------------------------------------------------------------------- life, death -- */

void mr_actor_born(mr_control *c, actor *a)
{
    a->state = MR_ACTOR_ALIVE;
    if (!mr_task_try_left(c, a->creation)) /* it is not made again */
        mr_task_release_args(c, a->creation);
    mr_actor_pump(c, a);
    mr_actor_maybe_leave(c, a);
}

/* No handle and no call is left: it leaves in order.  From here on nobody finds it: a handle would be of one that ends.
 */
void mr_actor_maybe_leave(mr_control *c, actor *a)
{
    const object *o = object_at(c, a->id);
    if (a->state != MR_ACTOR_ALIVE || a->leaving || a->pending || (o && o->holders))
        return;
    proc *p = proc_at(c, a->worker);
    a->leaving = true;
    mr_list_remove(&a->named);
    if (p)
        mr_proc_retire(c, p);
}

void mr_actor_unheld(mr_control *c, mr_id id)
{
    actor *a = actor_at(c, id);
    object *o = object_at(c, id);
    if (a && a->state != MR_ACTOR_DEAD)
        mr_actor_maybe_leave(c, a);
    else
        mr_object_free_later(c, o);
}

static void fail_calls(mr_control *c, tlist *l)
{
    while (l->head)
        mr_task_fail_later(c, l->head);
}

void mr_actor_die(mr_control *c, actor *a, const mr_fault *f)
{
    if (a->state == MR_ACTOR_DEAD)
        return;
    a->state = MR_ACTOR_DEAD;
    a->fault = *f;
    a->fault.status = f->status == MR_E_OWNER_DIED ? MR_E_OWNER_DIED : MR_E_ACTOR_DIED;
    if (f->status == MR_E_OWNER_DIED)
        a->fault.why = 3;
    a->fault.cause = f->cause ? f->cause : a->id;
    c->n_actors--;
    mr_list_remove(&a->named);
    if (mr_table_count(&c->groups))
        mr_groups_owner_gone(c, a->id);
    fail_calls(c, &a->flight);
    for (uint32_t i = 0; mr_actor_ready_lists(c, a, i); i++)
        fail_calls(c, mr_actor_ready_lists(c, a, i));
    fail_calls(c, &a->loose);
    for (caller *k = a->callers; k; k = k->next)
        fail_calls(c, &k->held);
    a->pending = 0;
    task *t = a->creation;
    a->creation = NULL;
    if (t && t->where == W_LIVING) {
        mr_task_detach(c, t);
        mr_task_over(c, t, MR_OK);
    } else if (t && t->where == W_RUN) {
        t->flags |= T_CANCEL;
        mr_proc_kill(c, proc_at(c, t->worker));
    } else if (t && t->where != W_FAILING && t->where != W_OVER) {
        mr_fault own = a->fault;
        mr_task_fail(c, t, &own);
    }
    object *o = object_at(c, a->id);
    if (a->detached && o)
        mr_object_unhold(c, o);
    else if (o && !o->holders)
        mr_object_free_later(c, o);
}

void mr_actor_exit(mr_control *c, actor *a, const mr_fault *f, bool gently)
{
    proc *p = proc_at(c, a->worker);
    mr_actor_die(c, a, f);
    a->worker = 0;
    if (p && gently)
        mr_proc_retire(c, p);
    else if (p)
        mr_proc_kill(c, p);
}

void mr_actor_left(mr_control *c, actor *a, mr_id call)
{
    mr_fault f = {.status = MR_E_ACTOR_DIED, .how = MR_DEATH_EXIT, .worker = a->worker, .why = 4, .cause = a->id};
    object *o = object_at(c, call);
    if (o && object_task(o) == call)
        o->flags |= O_CANCEL; /* it ended the actor on purpose: not an error that somebody has to read */
    mr_actor_exit(c, a, &f, true);
}

/* Calls that were sent: again if they may, in their order; else they learn that they may have run. */
static void return_flight(mr_control *c, actor *a, const mr_fault *f)
{
    while (a->flight.tail) {
        task *t = a->flight.tail;
        if (mr_task_try_left(c, t) && !(t->flags & T_CANCEL)) {
            mr_actor_call_out(c, t);
            mr_task_again(c, t);
            continue;
        }
        mr_fault own = *f;
        own.status = t->flags & T_CANCEL ? MR_E_CANCELLED : MR_E_ACTOR_UNAVAILABLE;
        own.task = t->v.ref;
        own.func = t->func;
        own.cause = a->id;
        own.may_have_run = 1;
        mr_task_fail(c, t, &own);
    }
}

void mr_actor_lost(mr_control *c, actor *a, const mr_fault *f)
{
    task *t = a->creation;
    a->worker = 0;
    if (!t || a->leaving || !mr_task_try_left(c, t)) {
        mr_actor_die(c, a, f);
        return;
    }
    a->state = MR_ACTOR_RESTARTING;
    a->restarts++;
    return_flight(c, a, f);
    mr_task_detach(c, t);
    t->v.needs = c->shapes[t->shape]->needs;
    t->v.n_needs = c->shapes[t->shape]->n_needs;
    mr_policy_note(c, MR_SUBMITTED, t, MR_NOTE_AGAIN, 0); /* it is made once more */
    mr_task_again(c, t);
    t->flags &= ~(uint32_t)T_QUIET;
}

mr_status mr_actor_kill(mr_control *c, const mr_record *r)
{
    const mr_ev_cancel *e = (const void *)r;
    actor *a = actor_at(c, e->id);
    if (!a)
        return mr_control_refuse(c, MR_E_NOTFOUND, "kill: there is no actor %llx", (unsigned long long)e->id);
    if (a->state == MR_ACTOR_DEAD)
        return MR_OK;
    mr_fault f = {.status = MR_E_ACTOR_DIED, .worker = a->worker, .func = a->func, .why = 1, .cause = a->id};
    object_at(c, a->id)->flags |= O_CANCEL;
    if ((e->flags & MR_KILL_NO_RESTART) || a->state != MR_ACTOR_ALIVE)
        mr_actor_exit(c, a, &f, false);
    else
        mr_proc_kill(c, proc_at(c, a->worker));
    return MR_OK;
}

void mr_actor_caller_gone(mr_control *c, uint32_t client)
{
    uint64_t at = 0, id;
    for (actor *a; (a = mr_table_next(&c->actors, &at, &id));)
        for (caller **k = &a->callers; *k; k = &(*k)->next)
            if ((*k)->client == client && !(*k)->held.n) {
                caller *gone = *k;
                *k = gone->next;
                mr_control_unalloc(c, gone, sizeof *gone);
                break;
            }
}

void mr_actor_free(mr_control *c, actor *a)
{
    for (caller *k = a->callers, *next; k; k = next) {
        next = k->next;
        mr_control_unalloc(c, k, sizeof *k);
    }
    if (a->name)
        mr_control_unalloc(c, a->name, mr_name_size(a->name));
    mr_control_unalloc(c, a->lanes, (c->funcs[a->func - 1]->def->n_lanes + 1u) * sizeof *a->lanes);
    a->callers = NULL;
    a->name = NULL;
    a->lanes = NULL;
}

void mr_actor_gone(mr_control *c, mr_id id)
{
    actor *a = actor_at(c, id);
    if (!a)
        return;
    mr_list_remove(&a->named);
    mr_actor_free(c, a);
    mr_table_del(&c->actors, id);
}
