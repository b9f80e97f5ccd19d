/* objects.c: what control knows of objects: sealed or not, how large, where copies are, how many hold them.
 *
 * Never sees a byte of them.  A record goes when the last holder goes and it is settled; a result that nobody holds
 * any more is freed when it is sealed.  Freeing is done by the drain of the step, so that containers in containers do
 * not recurse.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* ------------------------------------------------------------------------------------------------------- copies -- */

bool mr_object_on(const object *o, uint32_t n)
{
    if (n < MR_NODE_BITS)
        return o->nodes >> n & 1;
    for (uint32_t i = 0; o->x && i < o->x->n_more; i++)
        if (o->x->more[i] == n)
            return true;
    return false;
}

static extra *extra_new(mr_control *c, uint32_t n_refs)
{
    return mr_control_alloc(c, sizeof(extra) + n_refs * sizeof(mr_id));
}

static void extra_free(mr_control *c, extra *x)
{
    if (!x)
        return;
    mr_control_unalloc(c, x->more, x->room_more * sizeof(uint32_t));
    mr_control_unalloc(c, x, sizeof *x + x->n_refs * sizeof(mr_id));
}

bool mr_object_copy_add(mr_control *c, object *o, uint32_t n)
{
    if (n < MR_NODE_BITS) {
        o->nodes |= UINT32_C(1) << n;
        return true;
    }
    if (mr_object_on(o, n))
        return true;
    if (!o->x && !(o->x = extra_new(c, 0)))
        return false;
    if (!mr_control_grow(c, &o->x->more, &o->x->room_more, o->x->n_more + 1, sizeof *o->x->more))
        return false;
    o->x->more[o->x->n_more++] = n;
    return true;
}

void mr_object_copy_del(object *o, uint32_t n)
{
    if (n < MR_NODE_BITS) {
        o->nodes &= ~(UINT32_C(1) << n);
        return;
    }
    for (uint32_t i = 0; o->x && i < o->x->n_more; i++)
        if (o->x->more[i] == n)
            o->x->more[i] = o->x->more[--o->x->n_more];
}

uint32_t mr_object_source(const mr_control *c, const object *o)
{
    (void)c;
    if (o->nodes)
        return (uint32_t)__builtin_ctz(o->nodes);
    return o->x && o->x->n_more ? o->x->more[0] : UINT32_MAX;
}

/* ------------------------------------------------------------------------------------------------------ settling -- */

void mr_object_settle(mr_control *c, object *o, mr_object_state state)
{
    o->state = (uint8_t)state;
    if (o->deps)
        mr_deps_settle(c, o);
    if (!(o->flags & O_FREEING) && o->waits) /* on the way out when its node goes: the link is another's */
        mr_wait_settle(c, o);
    const actor *a = o->flags & O_ACTOR ? actor_at(c, o->id) : NULL;
    if (!a || a->state == MR_ACTOR_DEAD) /* a living actor's handle stays without holders */
        mr_object_free_later(c, o);
}

mr_status mr_object_seal(mr_control *c, object *o, const sealing *e, const mr_id *refs, uint32_t n_refs)
{
    if (n_refs && !(o->x = extra_new(c, n_refs)))
        return MR_E_NOMEM;
    if ((e->flags & MR_VALUE_STORED) && !mr_object_copy_add(c, o, e->node)) {
        extra_free(c, o->x);
        o->x = NULL;
        return MR_E_NOMEM;
    }
    if (n_refs) {
        o->x->n_refs = n_refs;
        memcpy(o->x->refs, refs, n_refs * sizeof *refs);
        for (uint32_t i = 0; i < n_refs; i++) {
            object *in = object_at(c, refs[i]);
            if (in)
                in->holders++;
            else
                o->x->refs[i] = 0; /* given up before: whoever reads it learns that */
        }
    }
    o->size = e->size;
    o->format = e->format;
    o->vflags = (uint8_t)e->flags;
    if (e->flags & MR_VALUE_STORED) {
        c->object_bytes += e->size;
        mr_spill_enter(c, o, e->node);
    }
    mr_object_settle(c, o, e->flags & MR_VALUE_ERROR ? MR_OBJ_ERROR : MR_OBJ_SEALED);
    return MR_OK;
}

void mr_object_fail(mr_control *c, object *o, const mr_fault *f)
{
    mr_action *x = mr_control_act(c, MR_ACT_FAIL);
    x->id = o->id;
    x->status = f->status;
    x->fault = *f;
    if (!settled(o))
        o->size = 0; /* it may have been stated */
    o->vflags = MR_VALUE_ERROR;
    /* What a constructor raised is read through the errors of the actor's calls, and stays as long as they do. */
    object *made = f->status == MR_E_ACTOR_DIED && f->cause != o->id ? object_at(c, f->cause) : NULL;
    if (made && made->flags & O_ACTOR && made->state == MR_OBJ_ERROR && !o->x && (o->x = extra_new(c, 1))) {
        o->x->n_refs = 1;
        o->x->refs[0] = made->id;
        made->holders++;
    }
    if (f->status == MR_E_CANCELLED || f->status == MR_E_OWNER_DIED || f->status == MR_E_GROUP_REMOVED)
        o->flags |= O_CANCEL;
    mr_object_settle(c, o, f->status == MR_E_LOST ? MR_OBJ_LOST : MR_OBJ_ERROR);
}

void mr_object_alias(mr_control *c, object *o, mr_id cause)
{
    object *from = object_at(c, cause);
    if (from && from->state == MR_OBJ_FREED) { /* there is no value to repeat */
        mr_fault f = {.status = MR_E_FREED, .func = o->func, .task = object_task(o), .cause = cause};
        mr_object_fail(c, o, &f);
        return;
    }
    mr_action *x = mr_control_act(c, MR_ACT_ALIAS);
    x->id = o->id;
    x->id2 = cause;
    o->vflags = MR_VALUE_ERROR;
    if (from) {
        from->flags |= O_READ;
        o->size = from->vflags & MR_VALUE_STORED ? 0 : from->size;
        o->format = from->format;
        o->flags |= from->flags & O_CANCEL;
        /* An error that has references inside stays as long as what repeats it. */
        if (from->x && from->x->n_refs && (o->x = extra_new(c, 1))) {
            o->x->n_refs = 1;
            o->x->refs[0] = cause;
            from->holders++;
        }
    }
    mr_object_settle(c, o, MR_OBJ_ERROR);
}

/* ------------------------------------------------------------------------------------------------------- freeing -- */

void mr_object_unhold(mr_control *c, object *o)
{
    MR_BUG_ON(!o->holders);
    if (--o->holders)
        return;
    if (o->flags & O_STREAM)
        mr_stream_abandon(c, o->id);
    if (o->flags & O_ACTOR)
        mr_actor_unheld(c, o->id);
    else
        mr_object_free_later(c, o);
}

void mr_object_free_later(mr_control *c, object *o)
{
    if (o->holders || !settled(o) || (o->flags & O_FREEING))
        return;
    o->flags |= O_FREEING;
    o->next_free = c->freeing;
    c->freeing = o;
}

/* FREE, and the references inside.  `held`: somebody may still look at the bytes; FREE comes again with the last
 * holder. */
static void give_back(mr_control *c, object *o, uint32_t flags)
{
    mr_action *f = mr_control_act(c, MR_ACT_FREE);
    f->id = o->id;
    f->flags = flags ? flags : o->x && o->x->n_refs && o->flags & O_CODE ? MR_FREE_CODE : 0;
    mr_spill_forget(c, o);
    extra *x = o->x;
    o->x = NULL;
    o->nodes = 0;
    for (uint32_t i = 0; x && i < x->n_refs; i++) {
        object *in = x->refs[i] ? object_at(c, x->refs[i]) : NULL;
        if (in)
            mr_object_unhold(c, in);
    }
    extra_free(c, x);
}

static void bytes_gone(mr_control *c, object *o, bool held)
{
    if (o->vflags & MR_VALUE_STORED) {
        c->object_bytes -= o->size;
        mr_lineage_unkeep(c, o);
    }
    give_back(c, o, held ? MR_FREE_HELD : 0);
}

void mr_object_unseal(mr_control *c, object *o)
{
    give_back(c, o, MR_FREE_AGAIN);
    o->state = MR_OBJ_PENDING; /* its size stays, as a guess */
    o->vflags = 0;
    o->why = 0;
}

void mr_object_free_now(mr_control *c, object *o)
{
    if (o->holders) { /* taken up again by what was settled after it */
        o->flags &= (uint8_t)~O_FREEING;
        o->next_free = NULL;
        return;
    }
    if (o->state == MR_OBJ_ERROR && !(o->flags & (O_READ | O_CANCEL))) {
        mr_action *x = mr_control_act(c, MR_ACT_REPORT);
        x->flags = MR_REPORT_UNHANDLED;
        x->id = object_task(o) ? object_task(o) : o->id;
        x->id2 = o->id;
        x->fault = (mr_fault){.status = MR_E_TASK, .func = o->func, .task = object_task(o)};
    }
    if (o->flags & O_ACTOR)
        mr_actor_gone(c, o->id);
    bytes_gone(c, o, false);
    mr_table_del(&c->objects, o->id);
}

void mr_object_delete(mr_control *c, object *o)
{
    bytes_gone(c, o, o->holders > 0);
    o->state = MR_OBJ_FREED;
    o->vflags = MR_VALUE_ERROR;
    o->size = 0;
}

/* The results of one task repeat one error: whoever read one has read them all. */
void mr_object_read(mr_control *c, object *o)
{
    o->flags |= O_READ;
    object *other;
    for (mr_id id = o->id; object_task(o) && (other = object_at(c, ++id)) && object_task(other) == object_task(o);)
        other->flags |= bad(other) ? O_READ : 0;
    for (mr_id id = o->id; object_task(o) && (other = object_at(c, --id)) && object_task(other) == object_task(o);)
        other->flags |= bad(other) ? O_READ : 0;
}

mr_status mr_control_size_stated(mr_control *c, mr_id id, uint64_t bytes)
{
    object *o = object_at(c, id);
    if (!o || settled(o))
        return MR_E_INVAL;
    o->size = bytes; /* a guess, until it is sealed */
    return MR_OK;
}

/* -------------------------------------------------------------------------------------------------------- events -- */

mr_status mr_object_put(mr_control *c, const mr_record *r)
{
    const mr_ev_put *e = (const void *)r;
    if (!e->id || object_at(c, e->id) || task_at(c, e->id))
        return mr_control_refuse(c, MR_E_INVAL, "put: object %llx exists", (unsigned long long)e->id);
    if ((e->flags & MR_VALUE_STORED) && (e->node >= c->n_nodes || !c->nodes[e->node]->alive))
        return mr_control_refuse(c, MR_E_INVAL, "put: no node %u", e->node);
    if (r->from && !proc_at(c, r->from))
        return mr_control_refuse(c, MR_E_INVAL, "put: client %u is gone", r->from);
    if (mr_holder_room(c, r->from, 1))
        return MR_E_NOMEM;
    object *o = mr_object_new(c, e->id, 0, MR_NOBODYS);
    if (!o)
        return MR_E_NOMEM;
    mr_holder_add(c, r->from, o);
    sealing as = {.id = e->id, .size = e->size, .node = e->node, .format = e->format, .flags = e->flags};
    mr_status status = mr_object_seal(c, o, &as, mr_record_ids(r, sizeof *e), r->n_ids);
    if (status) {
        mr_holder_drop(c, r->from, o);
        mr_table_del(&c->objects, e->id);
    }
    return status;
}

static object *placed_object(mr_control *c, const mr_ev_place *e, node **n)
{
    *n = e->node < c->n_nodes ? c->nodes[e->node] : NULL;
    return object_at(c, e->id);
}

mr_status mr_object_arrived(mr_control *c, const mr_record *r)
{
    const mr_ev_place *e = (const void *)r;
    node *n;
    object *o = placed_object(c, e, &n);
    if (!n)
        return mr_control_refuse(c, MR_E_INVAL, "arrived: no node %u", e->node);
    mr_idset_del(&n->coming, e->id);
    if (o && n->alive)
        mr_spill_moved(c, o);
    if (!o || o->state != MR_OBJ_SEALED || !n->alive || !mr_object_copy_add(c, o, n->number)) {
        mr_action *x = mr_control_act(c, MR_ACT_EVICT);
        x->id = e->id;
        x->node = e->node;
        if (o && bad(o)) /* freed on its way: who travels for it learns that */
            mr_ready_arrived(c, n, e->id, MR_OK);
        return MR_OK;
    }
    mr_spill_enter(c, o, n->number);
    mr_ready_arrived(c, n, e->id, MR_OK);
    return MR_OK;
}

mr_status mr_object_lost(mr_control *c, const mr_record *r)
{
    const mr_ev_place *e = (const void *)r;
    node *n;
    object *o = placed_object(c, e, &n);
    if (n)
        mr_idset_del(&n->coming, e->id);
    if (!o || !settled(o))
        return mr_control_refuse(c, MR_E_INVAL, "lost: object %llx is not there", (unsigned long long)e->id);
    if (n && e->cause != MR_LOSS_FULL)
        mr_object_copy_del(o, n->number);
    else if (!n)
        o->nodes = 0;
    if ((o->vflags & MR_VALUE_STORED) && mr_object_source(c, o) == UINT32_MAX) {
        tlist again = {0};
        mr_lineage_lose(c, o, n ? n->number : UINT32_MAX, e->cause, &again);
        mr_lineage_settle(c, &again);
    }
    if (n)
        mr_ready_arrived(c, n, e->id, e->cause == MR_LOSS_FULL ? MR_E_FULL : MR_E_LOST);
    return MR_OK;
}

/* ---------------------------------------------------------------------------------------------------- looking in -- */

mr_object_info mr_control_object(const mr_control *c, mr_id id)
{
    const object *o = object_at((mr_control *)(uintptr_t)c, id);
    if (!o)
        return (mr_object_info){.state = MR_OBJ_NONE};
    uint64_t nodes = o->nodes;
    for (uint32_t i = 0; o->x && i < o->x->n_more; i++)
        nodes |= o->x->more[i] < 64 ? UINT64_C(1) << o->x->more[i] : 0;
    return (mr_object_info){.state = (mr_object_state)o->state,
                            .size = o->size,
                            .nodes = nodes,
                            .holders = o->holders,
                            .format = o->format,
                            .flags = o->vflags & (MR_VALUE_ERROR | MR_VALUE_STORED),
                            .on_disk = o->vflags & V_DISK,
                            .task = object_task(o),
                            .func = o->func,
                            .n_refs = o->x ? o->x->n_refs : 0,
                            .code = o->flags & O_CODE};
}

bool mr_control_settled(const mr_control *c, mr_id id)
{
    const object *o = object_at((mr_control *)(uintptr_t)c, id);
    return o && settled(o);
}

/* As a wait sees it: also a stream that has an item, or that is gone. */
bool mr_control_there(const mr_control *c, mr_id id)
{
    mr_control *open = (mr_control *)(uintptr_t)c;
    const object *o = object_at(open, id);
    if (!o || settled(o))
        return o != NULL;
    const stream *s = o->flags & O_STREAM ? mr_table_at(&open->streams, id) : NULL;
    return s && s->n;
}

void mr_control_seen(mr_control *c, mr_id id)
{
    object *o = object_at(c, id);
    if (o)
        mr_object_read(c, o);
}
