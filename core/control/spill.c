/* spill.c: what leaves a full store, and in which order.
 *
 * Each node has a ring of the stored objects that lie on it, oldest first.  STORE_FULL takes from its front: a copy
 * that another node has too is evicted, others go to disk.  The engine, which alone knows who looks at bytes, may
 * refuse (RESTORED): what is looked at, or was since the last turn, goes to the back and the next is tried, so the
 * order is that of the second-chance algorithm.  A ring may hold what has gone; it is thrown out when it comes up or
 * the ring is full.  Garbage is asked for before all that, at most once a second; what only kept tasks hold is given
 * up first.
 *
 * Control knows no bytes: an object on disk keeps its place (one node, V_DISK), and RESTORE brings it back there when a
 * client wants it.  Every SPILL is answered once, also when the object has gone meanwhile: `leaving` counts on it.
 */
#include <stdlib.h>

#include "control/room.h"

enum { RING_LEAST = 64, LEAVE_LEAST = 4 << 20 };
static const int64_t COLLECT_EVERY = 1000000000;

/* Can it leave the memory of n? */
static bool stays(const object *o, const node *n)
{
    return o && settled(o) && (o->vflags & MR_VALUE_STORED) && !(o->vflags & (V_SPILL | V_DISK)) &&
           !(o->flags & O_FREEING) && mr_object_on(o, n->number);
}

/* ------------------------------------------------------------------------------------------------------ the ring -- */

static mr_id ring_pop(ring *r)
{
    mr_id id = r->v[r->head];
    r->head = r->head + 1 == r->room ? 0 : r->head + 1;
    r->n--;
    return id;
}

static void ring_push(ring *r, mr_id id)
{
    uint32_t at = r->head + r->n++;
    r->v[at >= r->room ? at - r->room : at] = id;
}

static bool ring_room(mr_control *c, node *n)
{
    ring *r = &n->stay;
    for (uint32_t i = r->n == r->room ? r->n : 0; i--;) {
        mr_id id = ring_pop(r);
        if (stays(object_at(c, id), n))
            ring_push(r, id);
    }
    if (r->n < r->room - r->room / 4)
        return true;
    ring grown = {.room = r->room ? r->room * 2 : RING_LEAST};
    grown.v = malloc(grown.room * sizeof *grown.v);
    if (!grown.v)
        return r->n < r->room;
    c->heap += (grown.room - r->room) * sizeof *grown.v;
    while (r->n)
        ring_push(&grown, ring_pop(r));
    free(r->v);
    *r = grown;
    return true;
}

void mr_spill_enter(mr_control *c, const object *o, uint32_t number)
{
    node *n = c->nodes[number];
    /* Without memory for the ring it is never a victim, and nothing else is lost. */
    if (c->conf.spill && n->alive && (n->stay.n < n->stay.room || ring_room(c, n)))
        ring_push(&n->stay, o->id);
}

void mr_spill_forget(mr_control *c, object *o)
{
    if (o->vflags & V_DISK)
        c->spilled_bytes -= o->size;
    o->vflags &= (uint8_t) ~(V_SPILL | V_DISK | V_COMING);
}

/* ------------------------------------------------------------------------------------------------------- leaving -- */

static void leave(mr_control *c, node *n, object *o)
{
    uint32_t bit = n->number < MR_NODE_BITS ? UINT32_C(1) << n->number : 0;
    bool others = (o->nodes & ~bit) || (o->x && o->x->n_more > !bit);
    mr_action *x = mr_control_act(c, others ? MR_ACT_EVICT : MR_ACT_SPILL);
    x->id = o->id;
    x->node = n->number;
    if (others) {
        mr_object_copy_del(o, n->number);
        n->want -= o->size < n->want ? o->size : n->want;
        return;
    }
    x->value = (int64_t)o->size;
    o->vflags |= V_SPILL;
    n->leaving += o->size;
}

static void make_room(mr_control *c, node *n)
{
    for (; n->leaving < n->want && n->looks && n->stay.n; n->looks--) {
        mr_id id = ring_pop(&n->stay);
        object *o = object_at(c, id);
        if (stays(o, n))
            leave(c, n, o);
    }
}

mr_status mr_spill_full(mr_control *c, const mr_record *r)
{
    const mr_ev_place *e = (const void *)r;
    node *n = e->node < c->n_nodes ? c->nodes[e->node] : NULL;
    bool ask = !c->conf.spill || !c->collected || c->now - c->collect_at >= COLLECT_EVERY;
    if (ask) { /* cycles in the clients may hold what can go */
        mr_action *x = mr_control_act(c, MR_ACT_COLLECT);
        x->node = e->node;
        x->value = (int64_t)e->size;
        x->client = r->from;
        c->collected = true;
        c->collect_at = c->now;
    }
    if (!c->conf.spill)
        mr_lineage_give_up(c, true);
    else if (!ask && n && n->alive && !mr_lineage_give_up(c, false)) {
        n->want = e->size > LEAVE_LEAST ? e->size : LEAVE_LEAST;
        n->looks = 2 * n->stay.n;
        make_room(c, n);
    }
    return MR_OK;
}

static node *answered(mr_control *c, const mr_ev_place *e, object **o)
{
    *o = object_at(c, e->id);
    return e->node < c->n_nodes ? c->nodes[e->node] : NULL;
}

mr_status mr_spill_out(mr_control *c, const mr_record *r)
{
    const mr_ev_place *e = (const void *)r;
    object *o;
    node *n = answered(c, e, &o);
    if (!n)
        return mr_control_refuse(c, MR_E_INVAL, "spilled: no node %u", e->node);
    if (o && (o->vflags & V_COMING)) { /* the answer to RESTORE: there was no room for it */
        o->vflags &= (uint8_t)~V_COMING;
        return MR_OK;
    }
    n->leaving -= e->size < n->leaving ? e->size : n->leaving;
    if (!o || !(o->vflags & V_SPILL))
        return MR_OK;
    o->vflags &= (uint8_t)~V_SPILL;
    mr_object_copy_del(o, n->number);
    if (mr_object_source(c, o) != UINT32_MAX)
        return MR_OK; /* another node got a copy meanwhile */
    mr_object_copy_add(c, o, n->number);
    o->vflags |= V_DISK;
    c->spilled_bytes += o->size;
    c->spilled++;
    return MR_OK;
}

mr_status mr_spill_back(mr_control *c, const mr_record *r)
{
    const mr_ev_place *e = (const void *)r;
    object *o;
    node *n = answered(c, e, &o);
    if (!n)
        return mr_control_refuse(c, MR_E_INVAL, "restored: no node %u", e->node);
    bool refused = o && (o->vflags & V_SPILL);
    if (!o || refused || !(o->vflags & V_COMING))
        n->leaving -= e->size < n->leaving ? e->size : n->leaving;
    if (o && settled(o) && (o->vflags & MR_VALUE_STORED) && n->alive) {
        c->restored += !refused;
        mr_spill_forget(c, o);
        mr_object_copy_add(c, o, n->number);
        mr_spill_enter(c, o, n->number);
    }
    if (refused)
        make_room(c, n);
    return MR_OK;
}

mr_status mr_spill_wanted(mr_control *c, const mr_record *r)
{
    object *o = object_at(c, ((const mr_ev_id *)(const void *)r)->id);
    if (!o || !(o->vflags & V_DISK) || (o->vflags & V_COMING))
        return MR_OK;
    o->vflags |= V_COMING;
    mr_action *x = mr_control_act(c, MR_ACT_RESTORE);
    x->id = o->id;
    x->node = mr_object_source(c, o);
    return MR_OK;
}

/* A copy has arrived elsewhere: the one on disk is no place any more. */
void mr_spill_moved(mr_control *c, object *o)
{
    if (!(o->vflags & V_DISK))
        return;
    mr_object_copy_del(o, mr_object_source(c, o));
    mr_spill_forget(c, o);
}
