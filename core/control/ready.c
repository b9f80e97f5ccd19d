/* ready.c: which ready task starts where, once an instant is closed.
 *
 * Owns the ready queues: one per shape and place.  With no policy (or one that only ranks) the best task by (rank,
 * entry) over all shapes that fit starts on the lowest idle slot; a shape that does not fit is stepped over until
 * something changes.  Questions are in policy.c.
 */
#include <stdlib.h>

#include "control/room.h"

/* -------------------------------------------------------------------------------------------------------- queues -- */

static place *place_of(mr_control *c, mr_ref of)
{
    uint32_t i = (uint32_t)of - 1;
    if (mr_ref_is_slot(of))
        return i < c->n_slots ? &c->slots[i]->at : NULL;
    return mr_ref_is_node(of) && i < c->n_nodes ? &c->nodes[i]->at : NULL;
}

queue *mr_ready_queue(mr_control *c, mr_ref of, const shape *s)
{
    if (!of)
        return &c->shapes[s->number]->shared;
    place *p = place_of(c, of);
    return p && s->number < p->room ? p->q[s->number] : NULL;
}

static queue *queue_make(mr_control *c, mr_ref of, shape *s)
{
    queue *q = mr_ready_queue(c, of, s);
    place *p = of ? place_of(c, of) : NULL;
    if (q || !p)
        return q ? q : &s->shared;
    if (!mr_control_grow(c, &p->q, &p->room, s->number + 1, sizeof(queue *)) ||
        !(p->q[s->number] = q = mr_control_alloc(c, sizeof *q)))
        return &s->shared; /* a wish, not a duty */
    q->s = s;
    return q;
}

static void insert(mr_control *c, task *t)
{
    shape *s = c->shapes[t->shape];
    bool stopped = t->flags & T_STOPPED; /* it goes on where it is, whatever queue that node has */
    queue *q = t->v.on && !stopped ? queue_make(c, t->v.on, s) : &s->shared;
    if (q == &s->shared) {
        t->v.on = stopped ? t->v.on : MR_NONE;
        if (!q->n)
            mr_list_push_back(&c->active, &s->active);
    } else {
        place_of(c, t->v.on)->n++;
        c->placed++;
        if (mr_ref_is_slot(t->v.on))
            c->slots[(uint32_t)t->v.on - 1]->v.load++;
    }
    mr_queue_push(q, t, &c->keys);
    s->ready++;
    c->n_ready++;
    t->where = W_READY;
    t->v.state = stopped ? MR_STOPPED_NOW : MR_READY_NOW;
    c->dirty = true;
    c->pol.walk.last = MR_NONE;
}

static inline void take(mr_control *c, task *t)
{
    shape *s = c->shapes[t->shape];
    queue *q = t->q;
    mr_queue_remove(q, t, &c->keys);
    s->ready--;
    c->n_ready--;
    if (q == &s->shared) {
        if (!q->n)
            mr_list_remove(&s->active);
    } else {
        place *p = place_of(c, t->v.on);
        p->n--;
        c->placed--;
        if (mr_ref_is_slot(t->v.on))
            c->slots[(uint32_t)t->v.on - 1]->v.load--;
    }
    if (!(t->flags & T_STOPPED))
        t->v.on = MR_NONE;
    c->pol.walk.last = MR_NONE;
}

void mr_ready_take(mr_control *c, task *t)
{
    take(c, t);
}

void mr_ready_leave(mr_control *c, task *t)
{
    take(c, t);
    if (t->flags & T_HEIR)
        mr_stop_void_of(c, t);
}

void mr_ready_enter(mr_control *c, task *t, bool again)
{
    if (!again || !t->v.entry) {
        t->v.entry = ++c->entry;
        t->v.rank = (double)t->v.entry;
    }
    insert(c, t);
}

/* A place is gone: what was queued there goes to the shared queue, with its rank. */
void mr_ready_replace(mr_control *c, mr_ref of)
{
    place *p = place_of(c, of);
    for (uint32_t i = 0; p && i < p->room; i++)
        for (task *t; p->q[i] && (t = mr_queue_first(p->q[i]));) {
            take(c, t);
            t->v.on = MR_NONE;
            insert(c, t);
        }
}

/* -------------------------------------------------------------------------------------------------------- starts -- */

static void transfer(mr_control *c, const object *o, node *n)
{
    mr_action *x = mr_control_act(c, MR_ACT_TRANSFER);
    x->id = o->id;
    x->node = n->number;
    x->value = mr_object_source(c, o);
    x->id2 = o->size;
    c->moved_bytes += o->size;
}

/* A wish: without memory to remember it the object goes when the task is placed. */
void mr_ready_send_one(mr_control *c, const object *o, node *n)
{
    if (!n || !n->alive || !(o->vflags & MR_VALUE_STORED) || mr_object_on(o, n->number) || mr_idset_room(&n->coming, 1))
        return;
    if (mr_idset_add(&n->coming, o->id))
        transfer(c, o, n);
}

uint32_t mr_ready_send(mr_control *c, const task *t, node *n)
{
    uint32_t missing = 0;
    if (mr_idset_room(&n->coming, t->n_deps)) {
        mr_control_again(c);
        return UINT32_MAX;
    }
    for (uint32_t i = 0; i < t->n_deps; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (!o || o->state != MR_OBJ_SEALED || !(o->vflags & MR_VALUE_STORED) || mr_object_on(o, n->number))
            continue;
        missing++;
        if (!mr_idset_add(&n->coming, o->id))
            continue;
        transfer(c, o, n);
    }
    return missing;
}

bool mr_ready_start(mr_control *c, task *t, slot *s)
{
    node *n = c->nodes[s->node];
    bool stopped = t->flags & T_STOPPED; /* it has its arguments and its process */
    for (uint32_t i = 0; i < t->n_deps && !stopped; i++) {
        const object *o = object_at(c, t->ids[i]);
        if (!o || bad(o)) { /* lost since it became ready */
            mr_task_fail_by(c, t, t->ids[i]);
            return false;
        }
    }
    const shape *sh = c->shapes[t->shape];
    kind *k = stopped ? NULL : mr_kind_of(c, n, sh);
    if (!k && !stopped) {
        mr_control_again(c);
        return false;
    }
    pool *p = sh->group ? mr_group_pool(c, n, sh, t, false) : &n->own;
    uint32_t missing = t->n_deps && !stopped ? mr_ready_send(c, t, n) : 0;
    if (missing == UINT32_MAX || !p)
        return false;
    if (p->open && p->free[MR_RES_CPU].amount - p->lent < sh->cpu && !(sh->nested && mr_wait_descends(c, t)))
        p->open = 0;
    if (stopped) {
        mr_stop_resume(c, t, s, p);
        return true;
    }
    mr_ready_leave(c, t);
    mr_slot_busy(c, s, t);
    mr_pool_take(c, p, t);
    mr_list_push_back(&n->running, &t->run);
    t->v.state = MR_TRAVELLING;
    t->missing = missing;
    if (missing) {
        t->where = W_TRAVEL;
        c->n_travel++;
        mr_tlist_push(&n->travel, t);
    } else {
        mr_proc_give(c, t, k);
    }
    return true;
}

void mr_ready_arrived(mr_control *c, node *n, mr_id id, mr_status how)
{
    const object *o = object_at(c, id);
    for (task *t = n->travel.head, *next; t; t = next) {
        uint32_t uses = 0;
        next = t->qb;
        for (uint32_t i = 0; i < t->n_deps; i++)
            uses += t->ids[i] == id;
        if (!uses)
            continue;
        if (!o || bad(o)) {
            mr_task_fail_by(c, t, id);
        } else if (how == MR_E_FULL) {
            mr_fault f = mr_task_fault(c, t, MR_E_FULL);
            mr_task_fail(c, t, &f);
        } else if (how) {
            mr_ready_send(c, t, n);
        } else if ((t->missing -= uses) == 0) {
            mr_tlist_remove(&n->travel, t);
            c->n_travel--;
            mr_proc_give(c, t, mr_kind_of(c, n, c->shapes[t->shape]));
        }
    }
}

/* ---------------------------------------------------------------------------------------------------- the sweep -- */

/* The lowest node (or, for SPREAD, the next one in turn) where it can start now. */
static node *choose(mr_control *c, const shape *s, const task *t)
{
    if (s->strategy == MR_STRATEGY_NODE && s->node < c->n_nodes && mr_node_can(c, c->nodes[s->node], s, t))
        return c->nodes[s->node];
    if (s->strategy == MR_STRATEGY_NODE && !s->soft)
        return NULL;
    for (uint32_t i = 0; s->prefers && i < c->n_nodes; i++)
        if (mr_labels_soft(c->nodes[i], s) && mr_node_can(c, c->nodes[i], s, t))
            return c->nodes[i];
    uint32_t from = s->strategy == MR_STRATEGY_SPREAD ? c->spread_next : 0;
    if (!c->small && !from) { /* without small tasks a node that has a CPU has an idle slot */
        for (uint32_t i = mr_bits_next(&c->node_idle, 0); i != UINT32_MAX; i = mr_bits_next(&c->node_idle, i + 1))
            if (mr_node_can(c, c->nodes[i], s, t))
                return c->nodes[i];
        if (!c->n_blocked)
            return NULL;
    }
    for (uint32_t k = 0; k < c->n_nodes; k++) {
        uint32_t i = from + k < c->n_nodes ? from + k : from + k - c->n_nodes;
        if (mr_node_can(c, c->nodes[i], s, t))
            return c->nodes[i];
    }
    return NULL;
}

bool mr_ready_somewhere(mr_control *c, const task *t)
{
    const shape *s = c->shapes[t->shape];
    return (s->skip != c->sweep || c->n_blocked) && choose(c, s, t);
}

/* When only lent CPUs are free, a descendant further back may start though the head may not. */
static task *descendant(mr_control *c, const shape *s, node **on)
{
    enum { FAR = 256 };
    int left = FAR;
    if (!c->n_blocked || !s->nested)
        return NULL;
    for (task *t = mr_queue_first(&s->shared); t && left--; t = mr_queue_after(&s->shared, t->v.rank, t->v.entry))
        if (mr_wait_descends(c, t) && (*on = choose(c, s, t)))
            return t;
    return NULL;
}

static void sweep_shared(mr_control *c)
{
    while (c->small || c->n_blocked || mr_bits_next(&c->node_idle, 0) != UINT32_MAX) {
        shape *best = NULL;
        task *t = NULL;
        MR_LIST_EACH(&c->active, l)
        {
            shape *s = MR_LIST_ENTRY(l, shape, active);
            task *head = s->skip == c->sweep ? NULL : mr_queue_first(&s->shared);
            if (head && (!t || ranks_before(head, t))) {
                best = s;
                t = head;
            }
        }
        if (!t)
            return;
        node *n = choose(c, best, t);
        if (!n)
            t = descendant(c, best, &n);
        slot *s = n && !mr_ahead_rather(c, best, t) ? mr_node_idle_slot(c, n, true) : NULL;
        if (!s || !mr_ready_start(c, t, s)) {
            if (!s || t->where == W_READY)
                best->skip = c->sweep;
            continue;
        }
        if (best->strategy == MR_STRATEGY_SPREAD)
            c->spread_next = n->number + 1 < c->n_nodes ? n->number + 1 : 0;
    }
}

bool mr_ready_can(mr_control *c, const task *t, const slot *s)
{
    node *n = c->nodes[s->node];
    return t->where == W_READY && !s->t && n->alive && mr_node_can(c, n, c->shapes[t->shape], t);
}

/* The best (or last) of one queue that can start on the slot. */
task *mr_ready_best(mr_control *c, mr_ref of, slot *s, bool from_end)
{
    node *n = c->nodes[s->node];
    task *best = NULL;
    place *p = of ? place_of(c, of) : NULL;
    if (of && (!p || !p->n))
        return NULL;
    for (uint32_t i = 0; i < c->n_shapes; i++) {
        const shape *sh = c->shapes[i];
        const queue *q = mr_ready_queue(c, of, sh);
        task *t = !q || !q->n ? NULL : from_end ? mr_queue_last(q) : mr_queue_first(q);
        /* Tasks of one shape differ only in who may use a lent CPU. */
        int left = n->own.lent || (sh->group && c->n_blocked) ? 256 : 1;
        while (t && !mr_node_can(c, n, sh, t) && --left)
            t = from_end ? mr_queue_before(q, t->v.rank, t->v.entry) : mr_queue_after(q, t->v.rank, t->v.entry);
        if (t && left && (!best || (from_end ? ranks_before(best, t) : ranks_before(t, best))))
            best = t;
    }
    return best;
}

/* With tasks at places: each idle slot, by id, takes the best of its own, its node's and the shared queue. */
static void sweep_slots(mr_control *c)
{
    for (uint32_t i = mr_bits_next(&c->idle, 0); i != UINT32_MAX && c->n_ready; i = mr_bits_next(&c->idle, i + 1)) {
        slot *s = c->slots[i];
        task *t = mr_ready_best(c, s->v.ref, s, false);
        task *at_node = mr_ready_best(c, s->v.node, s, false);
        task *shared = mr_ready_best(c, MR_NONE, s, false);
        if (at_node && (!t || ranks_before(at_node, t)))
            t = at_node;
        if (shared && (!t || ranks_before(shared, t)))
            t = shared;
        if (t && !mr_ready_start(c, t, s) && t->where != W_READY && i)
            i--; /* that one could not start at all: ask again */
    }
}

bool mr_ready_any(mr_control *c)
{
    for (uint32_t k = 0; k < c->n_shapes; k++) {
        const shape *s = c->shapes[k];
        if (!s->ready)
            continue;
        for (uint32_t i = 0; i < c->n_nodes; i++) {
            node *n = c->nodes[i];
            if (mr_node_allows(c, n, s) && mr_node_pool(c, n, s, NULL, true) && mr_kind_possible(c, n, s))
                return true;
        }
    }
    return false;
}

/* Slots beyond the CPUs, where small tasks fit though no slot is idle: a policy that picks is asked for slots. */
static void grow_slots(mr_control *c)
{
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        node *n = c->nodes[i];
        for (uint32_t k = 0; !n->n_idle && n->alive && k < c->n_shapes; k++)
            if (c->shapes[k]->ready && mr_node_can(c, n, c->shapes[k], NULL))
                mr_node_idle_slot(c, n, true);
    }
}

static void sweep(mr_control *c)
{
    c->sweep++;
    c->dirty = c->held_back = false;
    if (c->n_heirs)
        mr_stop_heirs(c);
    if (!mr_list_empty(&c->pending))
        mr_bundles_place(c);
    if (c->n_ready && !c->stopped) {
        if (c->pol.ops.pick) {
            grow_slots(c);
            mr_policy_pick(c);
        } else if (c->placed) {
            grow_slots(c);
            sweep_slots(c);
        } else {
            sweep_shared(c);
        }
    }
    mr_control_drain(c);
}

/* --------------------------------------------------------------------------------------------------- the instant -- */

static void enter_one(mr_control *c, task *t)
{
    bool stopped = t->flags & T_STOPPED; /* still in the same attempt */
    t->v.state = stopped ? MR_STOPPED_NOW : MR_READY_NOW;
    if (!(t->flags & T_PRESENT)) {
        t->v.entry = ++c->entry;
        t->v.ready_at = stopped ? t->v.ready_at : c->now;
    }
    t->flags &= ~(uint32_t)(T_QUIET | T_PRESENT);
    t->v.rank = (double)t->v.entry;
}

/* Those from `t` on that no policy ranks, and that go to the end of one shared queue, linked as they are.  The first
 * that does not; NULL: they all did. */
static task *enter_run(mr_control *c, task *t)
{
    shape *s = c->shapes[t->shape];
    queue *q = &s->shared;
    task *first = t, *last = NULL;
    uint32_t n = 0;
    for (; t && t->shape == first->shape && !t->v.on && !(t->flags & (T_STOPPED | T_PRESENT)); t = t->qb, n++) {
        enter_one(c, t);
        t->flags &= ~(uint32_t)T_BLOCK;
        t->where = W_READY;
        t->q = q;
        last = t;
    }
    if (!n)
        return first;
    if (!q->n)
        mr_list_push_back(&c->active, &s->active);
    first->qa = q->tail;
    *(q->tail ? &q->tail->qb : &q->head) = first;
    last->qb = NULL;
    q->tail = last;
    q->n += n;
    s->ready += n;
    c->n_ready += n;
    return t;
}

static void enter_plain(mr_control *c)
{
    task *t = c->fresh.head;
    c->fresh = (tlist){.n = 0};
    c->dirty = true;
    c->pol.walk.last = MR_NONE;
    for (task *next; t; t = next) {
        next = enter_run(c, t);
        if (next != t)
            continue;
        next = t->qb;
        enter_one(c, t);
        insert(c, t);
    }
}

static void enter_ranked(mr_control *c)
{
    for (task *t = c->fresh.head; t; t = t->qb) {
        int outcome = t->flags & T_PRESENT ? MR_NOTE_AGAIN : MR_OK;
        enter_one(c, t);
        mr_policy_note(c, MR_BECAME_READY, t, outcome, 0);
    }
    mr_policy_tell(c);
    for (task *t; (t = mr_tlist_pop(&c->fresh));) {
        if (!(t->flags & T_STOPPED))
            mr_policy_place(c, t);
        mr_policy_rank(c, t);
        insert(c, t);
        mr_stop_enter(c, t);
    }
}

static void enter_fresh(mr_control *c)
{
    if (c->fresh_unsorted)
        mr_tlist_sort(&c->fresh);
    c->fresh_unsorted = false;
    if (c->pol.any)
        enter_ranked(c);
    else
        enter_plain(c);
}

bool mr_control_eager(const mr_control *c)
{
    return c->dirty || c->n_rest || c->pol.n_notes || c->hungry || c->starved || c->pol.failed || c->pol.n_rerank ||
           c->pol.rerank_all;
}

void mr_ready_close(mr_control *c)
{
    if (!mr_control_eager(c) && !c->fresh.head && (c->told_wake < 0 || c->now < c->told_wake))
        return;
    if (c->n_rest && c->pol.any)
        mr_seats_give_up(c);
    c->pol.n_reranks = 0;
    mr_clock_fire(c);
    mr_policy_eject_if(c);
    if (c->pol.any)
        mr_policy_tell(c);
    if (c->fresh.head)
        enter_fresh(c);
    mr_policy_eject_if(c);
    if (c->pol.any)
        mr_policy_reranks(c);
    if (c->n_rest)
        mr_seats_fill(c);
    while (c->dirty)
        sweep(c);
    if (c->pol.any)
        mr_policy_tell(c);
    if (c->pol.ops.preempt && (c->n_asks || (c->ask_front && c->n_ready)))
        mr_stop_ask(c);
    if (c->pol.open || c->held_now)
        mr_policy_held(c);
    if (c->stopped)
        mr_eject_stop(c);
    if (c->n_ready && !mr_list_empty(&c->roomy))
        mr_ahead_fill(c);
    else if (c->n_ahead && !c->n_ready)
        mr_ahead_balance(c);
    c->hungry = false;
    if (c->n_blocked && c->n_ready)
        mr_deadlock_capped(c);
    mr_clock_tell(c);
}
