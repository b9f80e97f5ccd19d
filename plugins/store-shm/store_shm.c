/* store-shm: objects in one arena of shared memory, which every process of the session reads without a copy.
 *
 * This file joins three that know nothing of each other: shm_map (the memory), shm_arena (which bytes are free) and
 * shm_index (id -> extent).  create gives addresses in the writable map, get in the read-only one.
 * No lock of its own: see store.h for what runs where; only populate, view, attach and detach run outside the node's.
 */
#include <stdio.h>

#include <miniray/plugin.h>
#include <miniray/store.h>

#include "shm_arena.h"
#include "shm_index.h"
#include "shm_map.h"

/* Trim holds the node's lock, so it gives back a bounded amount; the timer that called it comes again. */
enum { TRIM_MOST = 64 << 20 };

typedef struct store {
    const mr_host *host;
    shm_map map;
    shm_arena arena; /* of the node's instance only, as is the index */
    shm_index index;
} store;

static mr_status no_memory(const mr_host *h, mr_err *err)
{
    snprintf(err->text, sizeof(err->text), "%s: no memory for its tables", h->name);
    return err->status = MR_E_NOMEM;
}

static mr_status shm_open_store(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    uint64_t capacity = conf->capacity & ~(uint64_t)(SHM_GRANULE - 1);
    mr_status status;
    store *s;
    if (!capacity) {
        snprintf(err->text, sizeof(err->text), "%s: capacity is %llu bytes, at least %d are needed", h->name,
                 (unsigned long long)conf->capacity, SHM_GRANULE);
        return err->status = MR_E_CONFIG;
    }
    s = h->alloc(h, sizeof(*s));
    if (!s)
        return no_memory(h, err);
    s->host = h;
    status = shm_map_new(&s->map, capacity, h->name, err);
    if (status)
        goto fail_map;
    if (shm_arena_init(&s->arena, h, capacity)) {
        status = no_memory(h, err);
        goto fail_arena;
    }
    if (shm_index_init(&s->index, h)) {
        status = no_memory(h, err);
        goto fail_index;
    }
    *self = s;
    return MR_OK;
fail_index:
    shm_arena_fini(&s->arena);
fail_arena:
    shm_map_fini(&s->map);
fail_map:
    h->free(h, s);
    return status;
}

static void shm_close(void *self)
{
    store *s = self;
    shm_index_fini(&s->index);
    shm_arena_fini(&s->arena);
    shm_map_fini(&s->map);
    s->host->free(s->host, s);
}

/* -- objects ---------------------------------------------------------------------------------------------------- */

static uint64_t rounded(uint64_t len)
{
    return len ? (len + SHM_GRANULE - 1) & ~(uint64_t)(SHM_GRANULE - 1) : SHM_GRANULE;
}

static mr_region region(const shm_extent *e, char *map)
{
    return (mr_region){map + e->off, e->u.object.bytes, e->off};
}

static void name(store *s, shm_extent *e, mr_id id, uint64_t len)
{
    e->u.object.id = id;
    e->u.object.bytes = len;
    shm_index_put(&s->index, id, e);
}

static mr_status shm_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    store *s = self;
    shm_extent *e;
    mr_status status;
    if (id == MR_NO_ID)
        return MR_E_INVAL;
    if (shm_index_find(&s->index, id))
        return MR_E_EXISTS;
    if (len > s->arena.size)
        return MR_E_TOOBIG;
    status = shm_index_reserve(&s->index);
    if (!status)
        status = shm_arena_take(&s->arena, rounded(len), &e);
    if (status)
        return status;
    name(s, e, id, len);
    *out = region(e, s->map.rw);
    return MR_OK;
}

static mr_status shm_seal(void *self, mr_id id)
{
    store *s = self;
    shm_extent *e = shm_index_find(&s->index, id);
    if (!e)
        return MR_E_NOTFOUND;
    if (e->state == SHM_SEALED)
        return MR_E_INVAL;
    e->state = SHM_SEALED;
    return MR_OK;
}

static void drop(store *s, shm_extent *e)
{
    shm_index_drop(&s->index, e->u.object.id);
    shm_arena_give(&s->arena, e);
}

static mr_status shm_abort(void *self, mr_id id)
{
    store *s = self;
    shm_extent *e = shm_index_find(&s->index, id);
    if (!e)
        return MR_E_NOTFOUND;
    if (e->state == SHM_SEALED)
        return MR_E_INVAL;
    drop(s, e);
    return MR_OK;
}

static mr_status shm_get(void *self, mr_id id, mr_region *out)
{
    store *s = self;
    shm_extent *e = shm_index_find(&s->index, id);
    if (!e || e->state != SHM_SEALED)
        return MR_E_NOTFOUND;
    e->u.object.pins++;
    *out = region(e, s->map.ro);
    return MR_OK;
}

static mr_status shm_release(void *self, mr_id id)
{
    store *s = self;
    shm_extent *e = shm_index_find(&s->index, id);
    if (!e)
        return MR_E_NOTFOUND;
    if (!e->u.object.pins)
        return MR_E_INVAL;
    e->u.object.pins--;
    return MR_OK;
}

static mr_status shm_remove(void *self, mr_id id)
{
    store *s = self;
    shm_extent *e = shm_index_find(&s->index, id);
    if (!e || e->state != SHM_SEALED)
        return MR_E_NOTFOUND;
    if (e->u.object.pins)
        return MR_E_BUSY;
    drop(s, e);
    return MR_OK;
}

static mr_status shm_split(void *self, mr_id lease, mr_id id, uint64_t len, mr_region *out)
{
    store *s = self;
    shm_extent *from = shm_index_find(&s->index, lease), *e;
    mr_status status;
    if (id == MR_NO_ID)
        return MR_E_INVAL;
    if (!from || from->state != SHM_OPEN)
        return MR_E_NOTFOUND;
    if (shm_index_find(&s->index, id))
        return MR_E_EXISTS;
    if (len > from->len || rounded(len) > from->len)
        return MR_E_TOOBIG;
    status = shm_index_reserve(&s->index);
    if (!status)
        status = shm_arena_cut(&s->arena, from, rounded(len), &e);
    if (status)
        return status;
    from->u.object.bytes -= from->u.object.bytes < e->len ? from->u.object.bytes : e->len;
    name(s, e, id, len);
    *out = region(e, s->map.rw);
    return MR_OK;
}

/* -- other processes, and upkeep -------------------------------------------------------------------------------- */

static mr_status shm_populate(void *self, const mr_region *r)
{
    store *s = self;
    return shm_map_populate(&s->map, r->at, r->len);
}

static mr_status shm_share(void *self, mr_share *out)
{
    store *s = self;
    *out = (mr_share){s->map.fd_rw, s->map.fd_ro, s->map.size};
    return MR_OK;
}

static mr_status shm_attach(void **self, const mr_host *h, const mr_share *share, mr_err *err)
{
    mr_status status;
    store *s = h->alloc(h, sizeof(*s));
    if (!s)
        return no_memory(h, err);
    s->host = h;
    status = shm_map_join(&s->map, share, h->name, err);
    if (status) {
        h->free(h, s);
        return status;
    }
    *self = s;
    return MR_OK;
}

static void *shm_view(void *self, uint64_t at, uint64_t len, bool writable)
{
    store *s = self;
    if (at > s->map.size || len > s->map.size - at)
        return NULL;
    return (writable ? s->map.rw : s->map.ro) + at;
}

static void shm_detach(void *self)
{
    store *s = self;
    shm_map_fini(&s->map);
    s->host->free(s->host, s);
}

static void shm_stats(void *self, mr_store_stats *out)
{
    store *s = self;
    *out = (mr_store_stats){.capacity = s->arena.size,
                            .used = s->arena.used,
                            .n_objects = s->arena.n_used,
                            .largest = shm_arena_widest(&s->arena),
                            .resident = shm_map_resident(&s->map)};
}

typedef struct trimming {
    store *s;
    uint64_t given;
} trimming;

static bool trim_extent(void *arg, uint64_t off, uint64_t len)
{
    trimming *t = arg;
    t->given += shm_map_punch(&t->s->map, off, len, TRIM_MOST - t->given);
    return t->given < TRIM_MOST;
}

static uint64_t shm_trim(void *self)
{
    trimming t = {self, 0};
    shm_arena_free_extents(&t.s->arena, SHM_HUGE, trim_extent, &t);
    return t.given;
}

static const mr_store_ops ops = {.open = shm_open_store,
                                 .close = shm_close,
                                 .create = shm_create,
                                 .seal = shm_seal,
                                 .abort = shm_abort,
                                 .get = shm_get,
                                 .release = shm_release,
                                 .remove = shm_remove,
                                 .populate = shm_populate,
                                 .split = shm_split,
                                 .share = shm_share,
                                 .attach = shm_attach,
                                 .view = shm_view,
                                 .detach = shm_detach,
                                 .stats = shm_stats,
                                 .trim = shm_trim};

MR_PLUGIN(MR_KIND_STORE, "store-shm", "objects in sealed shared memory that every process reads without a copy", ops,
          NULL, 0)
