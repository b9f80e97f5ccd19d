/* sim_store.c: room for bytes.  Knows which object lies on which node, in memory or on disk, for platforms whose nodes
 * say how much their store holds; for others it does nothing.  What leaves a full store is control's choice.
 *
 * A result is never refused: what does not fit makes the store too full until something has left.  An input on disk is
 * read from there, one after the other, and stays there.  No lock: one simulation, one thread. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/sim_state.h"

static mr_sim_copy **find(mr_sim *s, uint32_t object, uint32_t node)
{
    mr_sim_copy **at = &s->copies[object];
    while (*at && (*at)->node != node)
        at = &(*at)->next;
    return at;
}

mr_status mr_sim_store_init(mr_sim *s)
{
    bool any = false;
    for (uint32_t n = 0; n < s->p->n_nodes; n++)
        any = any || s->p->nodes[n].store > 0;
    if (!any)
        return MR_OK;
    s->stores = calloc(s->p->n_nodes, sizeof *s->stores);
    return s->stores ? MR_OK : MR_E_NOMEM; /* copies: mr_sim_room */
}

void mr_sim_store_fini(mr_sim *s)
{
    for (uint32_t o = 0; s->copies && o < s->w->n_objects; o++)
        while (s->copies[o]) {
            mr_sim_copy *c = s->copies[o];
            s->copies[o] = c->next;
            free(c);
        }
    free(s->copies);
    free(s->stores);
}

static void drop(mr_sim *s, uint32_t object, mr_sim_copy **at)
{
    mr_sim_copy *c = *at;
    s->stores[c->node].used -= c->disk ? 0 : s->w->objects[object].bytes;
    *at = c->next;
    free(c);
}

/* At most one question is on its way. */
static mr_status ask(mr_sim *s, uint32_t node)
{
    mr_sim_store *st = &s->stores[node];
    if (st->asked || !s->p->nodes[node].store || st->used - st->leaving <= s->p->nodes[node].store)
        return MR_OK;
    st->asked = true;
    return mr_clock_push(&s->clock, (mr_moment){.at = s->now, .kind = MR_AT_FULL, .a = node});
}

mr_status mr_sim_store_add(mr_sim *s, uint32_t object, uint32_t node)
{
    uint64_t bytes = s->w->objects[object].bytes;
    if (!s->stores || bytes == 0 || *find(s, object, node))
        return MR_OK;
    mr_sim_copy *c = calloc(1, sizeof *c);
    if (!c)
        return MR_E_NOMEM;
    c->node = node;
    c->next = s->copies[object];
    s->copies[object] = c;
    mr_sim_store *st = &s->stores[node];
    st->used += bytes;
    s->stats.store_peak = st->used > s->stats.store_peak ? st->used : s->stats.store_peak;
    return ask(s, node);
}

void mr_sim_store_drop(mr_sim *s, uint32_t object, uint32_t node)
{
    if (!s->stores)
        return;
    if (node != MR_WL_NONE) {
        mr_sim_copy **at = find(s, object, node);
        if (*at)
            drop(s, object, at);
        return;
    }
    while (s->copies[object])
        drop(s, object, &s->copies[object]);
}

void mr_sim_store_gone(mr_sim *s, uint32_t node)
{
    if (!s->stores)
        return;
    for (uint32_t o = 0; o < s->w->n_objects; o++)
        mr_sim_store_drop(s, o, node);
    s->stores[node] = (mr_sim_store){0};
}

bool mr_sim_store_on_disk(mr_sim *s, uint32_t object, uint32_t node)
{
    const mr_sim_copy *c = s->stores ? *find(s, object, node) : NULL;
    return c && c->disk;
}

int64_t mr_sim_store_disk(mr_sim *s, uint32_t node, uint64_t bytes)
{
    mr_sim_store *st = &s->stores[node];
    st->disk_busy =
        (st->disk_busy > s->now ? st->disk_busy : s->now) + (int64_t)((double)bytes / (double)s->p->disk * 1e9 + 0.5);
    return st->disk_busy;
}

int64_t mr_sim_store_read(mr_sim *s, uint32_t task, uint32_t node)
{
    const mr_wl_task *t = &s->w->tasks[task];
    int64_t ready = s->now;
    for (uint32_t i = 0; s->stores && i < t->n_inputs; i++) {
        uint32_t object = s->w->inputs[t->first_input + i];
        if (mr_sim_store_on_disk(s, object, node))
            ready = mr_sim_store_disk(s, node, s->w->objects[object].bytes);
    }
    return ready;
}

/* Cycles in clients would be collected now; there are none, so the question is simply asked again. */
mr_status mr_sim_store_collect(mr_sim *s, uint32_t node)
{
    return s->stores && node < s->p->n_nodes ? ask(s, node) : MR_OK;
}

mr_status mr_sim_store_spill(mr_sim *s, uint32_t object, uint32_t node)
{
    uint64_t bytes = s->w->objects[object].bytes;
    if (!s->stores)
        return MR_E_PROTOCOL;
    s->stores[node].leaving += bytes;
    s->stats.spills++;
    s->stats.spilled_bytes += bytes;
    return mr_clock_push(&s->clock, (mr_moment){.at = mr_sim_store_disk(s, node, bytes),
                                                .kind = MR_AT_SPILLED,
                                                .a = object,
                                                .b = node,
                                                .gen = s->machines[node].gen});
}

/* ---- moments ---- */

static mr_status tell_place(mr_sim *s, uint16_t kind, mr_id id, uint64_t size, uint32_t node, mr_err *err)
{
    mr_ev_place *e = mr_sim_begin(s, kind, sizeof *e, 0, 0, 0);
    if (e) {
        e->id = id;
        e->size = size;
        e->node = s->machines[node].number;
    }
    return mr_sim_tell(s, e, err);
}

mr_status mr_sim_store_full(mr_sim *s, uint32_t node, mr_err *err)
{
    mr_sim_store *st = &s->stores[node];
    st->asked = false;
    if (s->machines[node].number == MR_WL_NONE || st->used - st->leaving <= s->p->nodes[node].store)
        return MR_OK;
    return tell_place(s, MR_EV_STORE_FULL, 0, st->used - st->leaving - s->p->nodes[node].store, node, err);
}

mr_status mr_sim_store_spilled(mr_sim *s, const mr_moment *m, mr_err *err)
{
    uint32_t object = m->a, node = m->b;
    if (s->machines[node].gen != m->gen)
        return MR_OK;
    uint64_t bytes = s->w->objects[object].bytes;
    mr_sim_copy *c = *find(s, object, node);
    s->stores[node].leaving -= bytes;
    if (c && !c->disk) {
        c->disk = true;
        s->stores[node].used -= bytes;
    }
    return tell_place(s, MR_EV_SPILLED, mr_sim_object_id(s, object), bytes, node, err);
}
