/* holders.c: which client processes hold which objects: 0 or 1 each.
 *
 * The driver's hold is a bit in the object; a worker's are a set of its own, so that its death releases them at once.
 * All other holders (tasks, containers, streams, actors) only count; who owns them lets them go.
 */
#include "control/room.h"

mr_status mr_holder_room(mr_control *c, uint32_t client, uint32_t n)
{
    proc *p = proc_at(c, client);
    return p ? mr_idset_room(&p->holds, n) : MR_OK;
}

void mr_holder_add_worker(mr_control *c, uint32_t client, object *o)
{
    proc *p = proc_at(c, client);
    if (p && mr_idset_add(&p->holds, o->id))
        o->holders++;
}

bool mr_holder_drop(mr_control *c, uint32_t client, object *o)
{
    if (client == 0) {
        if (!(o->flags & O_DRIVER))
            return false;
        o->flags &= (uint8_t)~O_DRIVER;
    } else {
        proc *p = proc_at(c, client);
        if (!p || !mr_idset_del(&p->holds, o->id))
            return false;
    }
    mr_object_unhold(c, o);
    return true;
}

void mr_holder_gone(mr_control *c, proc *p)
{
    idset holds = p->holds;
    p->holds = (idset){0};
    for (uint32_t i = 0; i < holds.room; i++) {
        object *o = holds.v[i] ? object_at(c, holds.v[i]) : NULL;
        if (o)
            mr_object_unhold(c, o);
    }
    mr_idset_fini(&holds);
}

/* The driver holds it, nobody else, and nothing but its bytes goes with it: then it is freed. */
static inline bool drop_last(mr_control *c, object *o)
{
    if (o->state != MR_OBJ_SEALED || o->holders != 1 || (o->flags & ~O_READ) != O_DRIVER || o->vflags || o->x)
        return false;
    mr_control_act(c, MR_ACT_FREE)->id = o->id;
    mr_table_del(&c->objects, o->id);
    return true;
}

/* Adds first: an id that is in both parts stays held until its drop is applied.  Ids that are not known any more are
 * passed over: a late drop is harmless, and whoever adds a freed one learns it when it asks for the value. */
mr_status mr_holder_refs(mr_control *c, const mr_record *r)
{
    const mr_ev_refs *e = (const void *)r;
    const mr_id *ids = mr_record_ids(r, sizeof *e);
    if (e->n_add > r->n_ids || (r->from && !proc_at(c, r->from)))
        return mr_control_refuse(c, MR_E_INVAL, "references of client %u, which may be gone: %u to add, %u ids",
                                 r->from, e->n_add, r->n_ids);
    if (e->n_add && mr_holder_room(c, r->from, e->n_add))
        return MR_E_NOMEM;
    for (uint32_t i = 0; i < e->n_add; i++) {
        object *o = object_at(c, ids[i]);
        if (o)
            mr_holder_add(c, r->from, o);
    }
    for (uint32_t i = e->n_add; i < r->n_ids; i++) {
        object *o = object_at(c, ids[i]);
        if (o && (r->from || !drop_last(c, o)))
            mr_holder_drop(c, r->from, o);
    }
    return MR_OK;
}

/* The bytes go now; the record stays (FREED) as long as somebody holds it. */
mr_status mr_holder_free(mr_control *c, const mr_record *r)
{
    const mr_id *ids = mr_record_ids(r, sizeof(mr_ev_none));
    for (uint32_t i = 0; i < r->n_ids; i++) {
        object *o = object_at(c, ids[i]);
        if (!o || o->state == MR_OBJ_PENDING || o->state == MR_OBJ_FREED || (o->flags & (O_ACTOR | O_STREAM)))
            continue;
        mr_object_delete(c, o);
    }
    return MR_OK;
}
