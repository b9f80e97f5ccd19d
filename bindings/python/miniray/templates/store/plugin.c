/* @NAME@: a store.  It keeps objects in the heap of the node's process; begin from here.
 *
 * Every op runs under the node's lock, one at a time: no lock is needed.  `self` is the instance; there are no globals.
 */
#include <stdio.h>
#include <stdlib.h>

#include <miniray/plugin.h>
#include <miniray/store.h>

enum { BUCKETS = 4096 };

typedef struct object {
    struct object *next; /* of its bucket */
    mr_id id;
    void *data;
    uint64_t len, taken; /* as asked for; rounded up to the alignment */
    uint64_t pins;
    bool sealed;
} object;

typedef struct @IDENT@_store {
    const mr_host *host;
    mr_store_stats stats;
    object *buckets[BUCKETS];
} @IDENT@_store;

/* Where the pointer to the object is, or where it would go. */
static object **find(void *self, mr_id id)
{
    object **at = &((@IDENT@_store *)self)->buckets[id % BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void drop(@IDENT@_store *s, object **at)
{
    object *o = *at;
    *at = o->next;
    s->stats.used -= o->taken;
    s->stats.n_objects--;
    free(o->data);
    s->host->free(s->host, o);
}

static mr_status @IDENT@_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    @IDENT@_store *s = conf->capacity ? h->alloc(h, sizeof(*s)) : NULL;
    if (!s) {
        snprintf(err->text, sizeof(err->text), "@NAME@: %s", conf->capacity ? "no memory" : "its capacity is 0");
        return err->status = conf->capacity ? MR_E_NOMEM : MR_E_CONFIG;
    }
    s->host = h;
    s->stats.capacity = conf->capacity;
    *self = s;
    return MR_OK;
}

static void @IDENT@_close(void *self)
{
    @IDENT@_store *s = self;
    for (size_t i = 0; i < BUCKETS; i++)
        while (s->buckets[i])
            drop(s, &s->buckets[i]);
    s->host->free(s->host, s);
}

static mr_status @IDENT@_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    @IDENT@_store *s = self;
    object **at = find(self, id), *o;
    uint64_t taken = len ? (len + MR_STORE_ALIGN - 1) / MR_STORE_ALIGN * MR_STORE_ALIGN : MR_STORE_ALIGN;
    if (id == MR_NO_ID)
        return MR_E_INVAL;
    if (*at)
        return MR_E_EXISTS;
    if (len > s->stats.capacity || taken > s->stats.capacity)
        return MR_E_TOOBIG;
    if (taken > s->stats.capacity - s->stats.used)
        return MR_E_FULL;
    o = s->host->alloc(s->host, sizeof(*o));
    if (!o)
        return MR_E_NOMEM;
    o->data = aligned_alloc(MR_STORE_ALIGN, taken);
    if (!o->data) {
        s->host->free(s->host, o);
        return MR_E_NOMEM;
    }
    o->id = id;
    o->len = len;
    o->taken = taken;
    s->stats.used += taken;
    s->stats.n_objects++;
    *at = o;
    *out = (mr_region){o->data, len, MR_NOWHERE};
    return MR_OK;
}

static mr_status @IDENT@_seal(void *self, mr_id id)
{
    object *o = *find(self, id);
    if (!o)
        return MR_E_NOTFOUND;
    if (o->sealed)
        return MR_E_INVAL;
    o->sealed = true;
    return MR_OK;
}

static mr_status @IDENT@_abort(void *self, mr_id id)
{
    object **at = find(self, id);
    if (!*at)
        return MR_E_NOTFOUND;
    if ((*at)->sealed)
        return MR_E_INVAL;
    drop(self, at);
    return MR_OK;
}

static mr_status @IDENT@_get(void *self, mr_id id, mr_region *out)
{
    object *o = *find(self, id);
    if (!o || !o->sealed)
        return MR_E_NOTFOUND;
    o->pins++;
    *out = (mr_region){o->data, o->len, MR_NOWHERE};
    return MR_OK;
}

static mr_status @IDENT@_release(void *self, mr_id id)
{
    object *o = *find(self, id);
    if (!o)
        return MR_E_NOTFOUND;
    if (!o->pins)
        return MR_E_INVAL;
    o->pins--;
    return MR_OK;
}

static mr_status @IDENT@_remove(void *self, mr_id id)
{
    object **at = find(self, id);
    if (!*at || !(*at)->sealed)
        return MR_E_NOTFOUND;
    if ((*at)->pins)
        return MR_E_BUSY;
    drop(self, at);
    return MR_OK;
}

static void @IDENT@_stats(void *self, mr_store_stats *out)
{
    *out = ((@IDENT@_store *)self)->stats;
    out->largest = (out->capacity - out->used) / MR_STORE_ALIGN * MR_STORE_ALIGN;
    out->resident = out->used;
}

static const mr_store_ops ops = {.open = @IDENT@_open,
                                 .close = @IDENT@_close,
                                 .create = @IDENT@_create,
                                 .seal = @IDENT@_seal,
                                 .abort = @IDENT@_abort,
                                 .get = @IDENT@_get,
                                 .release = @IDENT@_release,
                                 .remove = @IDENT@_remove,
                                 .stats = @IDENT@_stats};

MR_PLUGIN(MR_KIND_STORE, "@NAME@", "objects in the heap; say here what yours does", ops, NULL, 0)
