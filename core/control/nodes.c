/* nodes.c: nodes with their pools of resources, and the slots that policies see.
 *
 * Invariant: in each pool, total = free + what its tasks in node->running hold (needs, or `living` of an actor) + what
 * those in node->stopped hold (needs without CPU) + what bundles took, except that a blocked task's CPU counts as free
 * and is in `lent`.  Free is below 0 only by CPUs taken back after blocking, or by stopped tasks that have to end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

enum { MOST_SLOTS = 4096 };

/* -------------------------------------------------------------------------------------------------------- slots -- */

void mr_slot_busy(mr_control *c, slot *s, task *t)
{
    node *n = c->nodes[s->node];
    if (s->heir)
        mr_stop_void(c, s);
    s->t = t;
    s->v.task = t->v.ref;
    s->v.load++;
    t->v.on = s->v.ref;
    mr_bits_clear(&n->idle, s->local);
    mr_bits_clear(&c->idle, s->v.id);
    c->n_idle--;
    if (!--n->n_idle)
        mr_bits_clear(&c->node_idle, n->number);
}

void mr_slot_idle(mr_control *c, slot *s)
{
    node *n = c->nodes[s->node];
    s->t = NULL;
    s->v.task = MR_NONE;
    s->v.load--;
    mr_bits_set(&n->idle, s->local);
    mr_bits_set(&c->idle, s->v.id);
    mr_bits_set(&c->node_idle, n->number);
    n->n_idle++;
    c->n_idle++;
}

static mr_status slot_add(mr_control *c, node *n)
{
    if (!mr_control_grow(c, &c->slots, &c->room_slots, c->n_slots + 1, sizeof(slot *)) ||
        !mr_control_grow(c, &n->slots, &n->room_slots, n->n_slots + 1, sizeof *n->slots) ||
        mr_bits_room(c, &c->node_idle, n->number + 1) || mr_bits_room(c, &c->idle, c->n_slots + 1) ||
        mr_bits_room(c, &n->idle, n->n_slots + 1))
        return MR_E_NOMEM;
    slot *s = mr_control_alloc(c, sizeof *s);
    if (!s)
        return MR_E_NOMEM;
    s->v.id = c->n_slots;
    s->v.ref = MR_REF_SLOT | (c->n_slots + 1);
    s->v.node = n->v.ref;
    s->v.cls = n->cls;
    s->node = n->number;
    s->local = n->n_slots;
    c->slots[c->n_slots++] = s;
    n->slots[n->n_slots++] = s->v.id;
    n->v.n_workers = n->n_slots;
    mr_bits_set(&n->idle, s->local);
    mr_bits_set(&c->idle, s->v.id);
    mr_bits_set(&c->node_idle, n->number);
    n->n_idle++;
    c->n_idle++;
    return MR_OK;
}

slot *mr_node_idle_slot(mr_control *c, node *n, bool grow)
{
    if (!n->n_idle && (!grow || n->n_slots >= (n->base_slots > MOST_SLOTS ? n->base_slots : MOST_SLOTS)))
        return NULL;
    if (!n->n_idle && slot_add(c, n)) {
        mr_control_again(c);
        return NULL;
    }
    return c->slots[n->slots[mr_bits_next(&n->idle, 0)]];
}

/* -------------------------------------------------------------------------------------------------------- pools -- */

bool mr_pool_init(pool *p, uint32_t n_res)
{
    p->n_res = n_res;
    p->lend_at = MR_UNKNOWN;
    p->total = calloc(n_res, sizeof *p->total);
    p->free = calloc(n_res, sizeof *p->free);
    for (uint32_t i = 0; p->total && p->free && i < n_res; i++)
        p->total[i].res = p->free[i].res = i;
    return p->total && p->free;
}

void mr_pool_fini(pool *p)
{
    free(p->total);
    free(p->free);
    free(p->gpu);
    p->total = p->free = NULL;
    p->gpu = NULL;
}

static int64_t amount(const mr_amount *v, uint32_t n, uint32_t res)
{
    return res < n ? v[res].amount : 0;
}

bool mr_pool_fits(const pool *p, const mr_amount *needs, uint32_t n_needs)
{
    for (uint32_t i = 0; i < n_needs; i++)
        if (amount(p->free, p->n_res, needs[i].res) < needs[i].amount ||
            (needs[i].res == MR_RES_GPU && !mr_gpu_fits(p, needs[i].amount)))
            return false;
    return true;
}

void mr_pool_take(mr_control *c, pool *p, task *t)
{
    const shape *s = c->shapes[t->shape];
    t->in = p;
    p->users++;
    if (s->capped)
        mr_caps_count(s, t, 1);
    for (uint32_t i = 0; i < t->v.n_needs; i++) {
        p->free[t->v.needs[i].res].amount -= t->v.needs[i].amount;
        if (t->v.needs[i].res == MR_RES_GPU)
            mr_gpu_take(p, t, t->v.needs[i].amount);
    }
}

void mr_pool_give(mr_control *c, task *t)
{
    pool *p = t->in;
    const shape *s = c->shapes[t->shape];
    p->users--;
    if (s->capped)
        mr_caps_count(s, t, -1);
    for (uint32_t i = 0; i < t->v.n_needs; i++) {
        p->free[t->v.needs[i].res].amount += t->v.needs[i].amount;
        if (t->v.needs[i].res == MR_RES_GPU)
            mr_gpu_give(p, t, t->v.needs[i].amount);
    }
    if (p->group)
        mr_group_given(c, p);
    c->dirty = true;
}

bool mr_node_allows(const mr_control *c, const node *n, const shape *s)
{
    (void)c;
    if (!n->alive)
        return false;
    if (s->bound) {
        if (s->group)
            return mr_group_allows(n, s);
        if (s->strategy == MR_STRATEGY_NODE && !s->soft && s->node != n->number)
            return false;
        if (s->n_terms && !mr_labels_hard(n, s))
            return false;
    }
    for (uint32_t i = 0; i < s->n_needs; i++)
        if (amount(n->own.total, n->v.n_res, s->needs[i].res) < s->needs[i].amount)
            return false;
    return true;
}

/* A lent CPU is for descendants of blocked tasks; now and then for one other, so that those at a barrier get in. */
bool mr_pool_lends(mr_control *c, const pool *p, const shape *s, const task *t)
{
    if (!p->lent || !s->cpu || p->free[MR_RES_CPU].amount - p->lent >= s->cpu || p->open)
        return true;
    return t && s->nested && mr_wait_descends(c, t);
}

pool *mr_node_pool(mr_control *c, node *n, const shape *s, const task *t, bool lent)
{
    if (s->capped && !mr_caps_allow(s))
        return NULL;
    if (s->group)
        return mr_group_pool(c, n, s, t, lent);
    bool fits =
        mr_pool_fits(&n->own, s->needs, s->n_needs) && (lent || !n->own.lent || mr_pool_lends(c, &n->own, s, t));
    return fits ? &n->own : NULL;
}

/* The same, known for all nodes until one comes or goes. */
static bool allows(mr_control *c, const node *n, const shape *asked)
{
    shape *s = c->shapes[asked->number];
    if (s->group || n->number >= 64)
        return mr_node_allows(c, n, s);
    if (s->allowed_gen != c->node_gen + 1) {
        s->allowed_gen = c->node_gen + 1;
        s->allowed = 0;
        for (uint32_t i = 0; i < c->n_nodes && i < 64; i++)
            s->allowed |= (uint64_t)mr_node_allows(c, c->nodes[i], s) << i;
    }
    return s->allowed >> n->number & 1;
}

bool mr_node_can(mr_control *c, node *n, const shape *s, const task *t)
{
    return allows(c, n, s) && mr_node_pool(c, n, s, t, false) && mr_kind_possible(c, n, s);
}

bool mr_node_feasible(mr_control *c, shape *s)
{
    if (s->group)
        return mr_group_feasible(s);
    bool feasible = false;
    for (uint32_t i = 0; i < c->n_nodes && !feasible; i++)
        feasible = mr_node_allows(c, c->nodes[i], s);
    if (!feasible || !mr_caps_ever(s))
        return false;
    s->feasible_gen = c->node_gen + 1;
    return true;
}

static const node *richest(const mr_control *c, uint32_t res)
{
    const node *best = NULL;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const node *n = c->nodes[i];
        if (n->alive && (!best || amount(n->own.total, n->v.n_res, res) > amount(best->own.total, best->v.n_res, res)))
            best = n;
    }
    return best;
}

static void node_text(const mr_control *c, const node *n, char *text, size_t room)
{
    char one[96];
    size_t at = (size_t)snprintf(text, room, "%s:", n->name);
    for (uint32_t i = 0; i < n->v.n_res && at < room - 1; i++) {
        if (!n->own.total[i].amount)
            continue;
        mr_amount_text(c, i, n->own.total[i].amount, one, sizeof one);
        at += (size_t)snprintf(text + at, room - at, "%s %s", text[at - 1] == ':' ? "" : ",", one);
    }
}

static bool labelled(const mr_control *c, const shape *s)
{
    for (uint32_t i = 0; i < c->n_nodes; i++)
        if (c->nodes[i]->alive && mr_labels_hard(c->nodes[i], s))
            return true;
    return false;
}

mr_status mr_node_unschedulable(mr_control *c, const func *f, const shape *s)
{
    char want[96], most[96], all[256];
    if (s->group)
        return mr_group_unschedulable(c, f, s);
    if (!mr_caps_ever(s))
        return mr_control_refuse(c, MR_E_UNSCHEDULABLE, "%s needs CPU %g; the quota of user %s is %g", f->def->name,
                                 (double)s->cpu / MR_RES_UNIT, f->def->user, (double)s->caps[1]->limit / MR_RES_UNIT);
    if (s->strategy == MR_STRATEGY_NODE && !s->soft && (s->node >= c->n_nodes || !c->nodes[s->node]->alive))
        return mr_control_refuse(c, MR_E_UNSCHEDULABLE, "%s must run on node %u, which is not there", f->def->name,
                                 s->node);
    for (uint32_t i = 0; i < s->n_needs; i++) {
        const node *n = richest(c, s->needs[i].res);
        int64_t has = n ? amount(n->own.total, n->v.n_res, s->needs[i].res) : 0;
        if (has >= s->needs[i].amount)
            continue;
        mr_amount_text(c, s->needs[i].res, s->needs[i].amount, want, sizeof want);
        mr_amount_text(c, s->needs[i].res, has, most, sizeof most);
        if (!n)
            return mr_control_refuse(c, MR_E_UNSCHEDULABLE, "%s needs %s; there is no node", f->def->name, want);
        node_text(c, n, all, sizeof all);
        return mr_control_refuse(c, MR_E_UNSCHEDULABLE, "%s needs %s; the most any node has is %s (%s)", f->def->name,
                                 want, most, all);
    }
    mr_labels_text(s, all, sizeof all);
    if (all[0] && !labelled(c, s)) {
        char have[160];
        mr_labels_have(c, have, sizeof have);
        return mr_control_refuse(c, MR_E_UNSCHEDULABLE, "%s must run on a node with %s; no node has that (%s)",
                                 f->def->name, all, have);
    }
    const node *n = richest(c, s->n_needs ? s->needs[s->n_needs - 1].res : 0);
    node_text(c, n, all, sizeof all);
    return mr_control_refuse(c, MR_E_UNSCHEDULABLE, "%s: no single node has all that it needs; the nearest is %s",
                             f->def->name, all);
}

/* -------------------------------------------------------------------------------------------------------- events -- */

static void place_free(place *p)
{
    for (uint32_t k = 0; k < p->room; k++)
        free(p->q[k]);
    free(p->q);
}

void mr_node_free(mr_control *c, node *n)
{
    for (uint32_t i = 0; i < n->n_slots; i++) {
        place_free(&c->slots[n->slots[i]]->at);
        free(c->slots[n->slots[i]]);
    }
    place_free(&n->at);
    for (kind *k = n->kinds, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    free(n->slots);
    free(n->idle.w);
    mr_pool_fini(&n->own);
    free(n->show);
    free(n->show_names);
    free(n->labels);
    free(n->stay.v);
    mr_idset_fini(&n->coming);
    free(n);
}

static mr_status read_amounts(mr_control *c, node *n, const mr_ev_node *e)
{
    const mr_named *v = mr_record_bytes(e, sizeof *e);
    for (uint32_t i = 0; i < e->n_amounts; i++) {
        uint32_t res;
        if (v[i].amount < 0 || !v[i].name[0])
            return mr_control_refuse(c, MR_E_INVAL, "node %s: resource \"%s\": an amount must be 0 or more", e->name,
                                     v[i].name);
        mr_status status = mr_res_number(c, v[i].name, &res);
        if (status)
            return status;
        n->own.total[res].amount = n->own.free[res].amount = v[i].amount;
    }
    n->own.n_res = n->v.n_res = mr_intern_count(c->res) - 1;
    return MR_OK;
}

static mr_status node_make(mr_control *c, const mr_ev_node *e, node **out)
{
    mr_status status = MR_E_NOMEM;
    node *n = calloc(1, sizeof *n);
    if (!n)
        return MR_E_NOMEM;
    n->number = e->node;
    bool made = mr_pool_init(&n->own, MR_RES_MAX);
    n->show = calloc(2 * MR_RES_MAX, sizeof *n->show);
    n->show_names = calloc(MR_RES_MAX, sizeof *n->show_names);
    n->labels = calloc(e->n_labels + 1, sizeof *n->labels);
    if (!made || !n->show || !n->show_names || !n->labels)
        goto fail;
    n->own.node = n->number;
    status = read_amounts(c, n, e);
    if (!status)
        status = mr_gpu_make(&n->own);
    if (status)
        goto fail;
    const mr_named *v = mr_record_bytes(e, sizeof *e);
    memcpy(n->labels, v + e->n_amounts, e->n_labels * sizeof *n->labels);
    n->n_labels = e->n_labels;
    snprintf(n->name, sizeof n->name, "%s", e->name);
    n->v.ref = MR_REF_NODE | (e->node + 1);
    n->v.id = e->node;
    n->v.total = n->own.total;
    n->v.free = n->own.free;
    n->cls = e->cls;
    n->speed = e->speed > 0 ? e->speed : 1;
    n->fixed = e->fixed;
    n->alive = true;
    mr_list_init(&n->running);
    mr_list_init(&n->stopped);
    int64_t cpus = n->own.total[MR_RES_CPU].amount / MR_RES_UNIT;
    n->base_slots = cpus < 1 ? 1 : cpus > 1000000 ? 1000000 : (uint32_t)cpus;
    status = MR_E_NOMEM;
    uint32_t before = c->n_slots;
    for (uint32_t i = 0; i < n->base_slots; i++)
        if (slot_add(c, n)) {
            mr_node_free(c, n); /* its slots too: none was seen by anybody */
            c->n_slots = before;
            return status;
        }
    *out = n;
    return MR_OK;
fail:
    mr_node_free(c, n);
    return status;
}

mr_status mr_node_added(mr_control *c, const mr_record *r)
{
    const mr_ev_node *e = (const void *)r;
    if (e->node != c->n_nodes)
        return mr_control_refuse(c, MR_E_INVAL, "node %s: number %u, the next is %u", e->name, e->node, c->n_nodes);
    if (!mr_control_grow(c, &c->nodes, &c->room_nodes, c->n_nodes + 1, sizeof(node *)))
        return MR_E_NOMEM;
    node *n = NULL;
    mr_status status = node_make(c, e, &n);
    if (status)
        return status;
    c->nodes[c->n_nodes++] = n;
    c->n_alive++;
    c->node_gen++;
    c->heap += sizeof *n + 4 * MR_RES_MAX * sizeof(mr_amount);
    c->dirty = true;
    return MR_OK;
}

static void lose_objects(mr_control *c, node *n)
{
    uint64_t at = 0, id;
    tlist again = {0};
    for (object *o; (o = mr_table_next(&c->objects, &at, &id));) {
        if (!mr_object_on(o, n->number))
            continue;
        mr_object_copy_del(o, n->number);
        if ((o->vflags & MR_VALUE_STORED) && mr_object_source(c, o) == UINT32_MAX)
            mr_lineage_lose(c, o, n->number, MR_LOSS_NODE, &again);
    }
    mr_lineage_settle(c, &again);
}

mr_status mr_node_removed(mr_control *c, const mr_record *r)
{
    const mr_ev_place *e = (const void *)r;
    if (e->node >= c->n_nodes || !c->nodes[e->node]->alive)
        return mr_control_refuse(c, MR_E_INVAL, "remove: no node %u", e->node);
    node *n = c->nodes[e->node];
    n->alive = false;
    c->n_alive--;
    c->node_gen++;
    mr_fault f = {.status = MR_E_NODE_DIED, .node = n->number + 1};
    uint64_t at = 0;
    c->losing = true;
    /* Losing one process can end others' tasks, never another process: each is found anew. */
    for (bool again = true; again;) {
        again = false;
        uint64_t id;
        at = 0;
        for (proc *p; (p = mr_table_next(&c->procs, &at, &id));)
            if (p->node == n->number) {
                f.worker = p->number;
                f.pid = p->pid;
                mr_proc_lose(c, p, &f);
                again = true;
                break;
            }
    }
    for (task *t; (t = n->travel.head);)
        mr_task_lost(c, t, &f, false);
    for (kind *k = n->kinds; k; k = k->next)
        for (task *t; (t = k->waiting.head);)
            mr_task_lost(c, t, &f, false);
    for (uint32_t i = 0; i < n->n_slots; i++) { /* no slot of it is idle any more */
        slot *s = c->slots[n->slots[i]];
        mr_ready_replace(c, s->v.ref);
        mr_bits_clear(&c->idle, s->v.id);
        mr_bits_clear(&n->idle, s->local);
    }
    c->n_idle -= n->n_idle;
    n->n_idle = 0;
    mr_bits_clear(&c->node_idle, n->number);
    mr_ready_replace(c, n->v.ref);
    mr_groups_node_gone(c, n);
    lose_objects(c, n);
    c->losing = false;
    at = 0;
    for (actor *a; (a = mr_table_next(&c->actors, &at, NULL));)
        mr_actor_pump(c, a);
    c->dirty = true;
    return MR_OK;
}
