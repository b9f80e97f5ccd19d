/* store-mem: objects in the heap of the node's process.
 *
 * Owns one heap block per object, and an index (uthash).  It does not share memory: `at` is MR_NOWHERE and there is no
 * attach, so the engine copies objects to and from other processes.  No lock: every op runs under the node's.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <miniray/plugin.h>
#include <miniray/store.h>

/* uthash ends the process when it has no memory, unless told what to do instead. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(o) ((o)->lost = true)
#include <uthash.h>

/* From here up a block is aligned to a huge page and asks for them: first touch is then several times faster. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

typedef struct object {
    mr_id id;
    void *data;
    uint64_t len;   /* as asked for */
    uint64_t taken; /* len rounded up to the alignment, at least one unit */
    uint32_t pins;
    bool sealed, lost;
    UT_hash_handle hh;
} object;

typedef struct store {
    const mr_host *host;
    uint64_t capacity, used;
    uint64_t dropped; /* since the last trim */
    object *objects;
} store;

static object *find(store *s, mr_id id)
{
    object *o;
    HASH_FIND(hh, s->objects, &id, sizeof(id), o);
    return o;
}

static mr_status mem_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    store *s;
    if (conf->capacity < MR_STORE_ALIGN) {
        snprintf(err->text, sizeof(err->text), "store-mem: capacity is %llu bytes, at least %d are needed",
                 (unsigned long long)conf->capacity, MR_STORE_ALIGN);
        return err->status = MR_E_CONFIG;
    }
    s = h->alloc(h, sizeof(*s));
    if (!s) {
        snprintf(err->text, sizeof(err->text), "store-mem: no memory to open the store of node %u", conf->node);
        return err->status = MR_E_NOMEM;
    }
    s->host = h;
    s->capacity = conf->capacity & ~(uint64_t)(MR_STORE_ALIGN - 1);
    *self = s;
    return MR_OK;
}

static void drop(store *s, object *o)
{
    HASH_DEL(s->objects, o);
    s->used -= o->taken;
    s->dropped += o->taken;
    free(o->data);
    s->host->free(s->host, o);
}

static void mem_close(void *self)
{
    store *s = self;
    object *o, *next;
    HASH_ITER(hh, s->objects, o, next)
    {
        drop(s, o);
    }
    s->host->free(s->host, s);
}

static mr_status mem_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    store *s = self;
    object *o;
    uint64_t taken;
    if (id == MR_NO_ID)
        return MR_E_INVAL;
    if (find(s, id))
        return MR_E_EXISTS;
    if (len > s->capacity)
        return MR_E_TOOBIG;
    taken = len ? (len + MR_STORE_ALIGN - 1) & ~(uint64_t)(MR_STORE_ALIGN - 1) : MR_STORE_ALIGN;
    if (taken > s->capacity - s->used)
        return MR_E_FULL;
    o = s->host->alloc(s->host, sizeof(*o));
    if (!o)
        return MR_E_NOMEM;
    if (posix_memalign(&o->data, taken >= HUGE_FROM ? HUGE_PAGE : MR_STORE_ALIGN, taken)) {
        s->host->free(s->host, o);
        return MR_E_NOMEM;
    }
    if (taken >= HUGE_FROM)
        (void)madvise(o->data, taken, MADV_HUGEPAGE); /* only a hint: without it pages are small */
    o->id = id;
    o->len = len;
    o->taken = taken;
    HASH_ADD(hh, s->objects, id, sizeof(id), o);
    if (o->lost) {
        free(o->data);
        s->host->free(s->host, o);
        return MR_E_NOMEM;
    }
    s->used += taken;
    *out = (mr_region){o->data, len, MR_NOWHERE};
    return MR_OK;
}

static mr_status mem_seal(void *self, mr_id id)
{
    object *o = find(self, id);
    if (!o)
        return MR_E_NOTFOUND;
    if (o->sealed)
        return MR_E_INVAL;
    o->sealed = true;
    return MR_OK;
}

static mr_status mem_abort(void *self, mr_id id)
{
    object *o = find(self, id);
    if (!o)
        return MR_E_NOTFOUND;
    if (o->sealed)
        return MR_E_INVAL;
    drop(self, o);
    return MR_OK;
}

static mr_status mem_get(void *self, mr_id id, mr_region *out)
{
    object *o = find(self, id);
    if (!o || !o->sealed)
        return MR_E_NOTFOUND;
    o->pins++;
    *out = (mr_region){o->data, o->len, MR_NOWHERE};
    return MR_OK;
}

static mr_status mem_release(void *self, mr_id id)
{
    object *o = find(self, id);
    if (!o)
        return MR_E_NOTFOUND;
    if (!o->pins)
        return MR_E_INVAL;
    o->pins--;
    return MR_OK;
}

static mr_status mem_remove(void *self, mr_id id)
{
    object *o = find(self, id);
    if (!o || !o->sealed)
        return MR_E_NOTFOUND;
    if (o->pins)
        return MR_E_BUSY;
    drop(self, o);
    return MR_OK;
}

static void mem_stats(void *self, mr_store_stats *out)
{
    store *s = self;
    *out = (mr_store_stats){.capacity = s->capacity,
                            .used = s->used,
                            .n_objects = HASH_COUNT(s->objects),
                            .largest = s->capacity - s->used,
                            .resident = s->used};
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define mem_trim NULL /* a sanitizer has a heap of its own, which nobody can trim */
#else
/* The heap keeps what was freed until it is told. */
static uint64_t mem_trim(void *self)
{
    store *s = self;
    uint64_t dropped = s->dropped;
    s->dropped = 0;
    return dropped && malloc_trim(0) ? dropped : 0;
}
#endif

static const mr_store_ops ops = {.open = mem_open,
                                 .close = mem_close,
                                 .create = mem_create,
                                 .seal = mem_seal,
                                 .abort = mem_abort,
                                 .get = mem_get,
                                 .release = mem_release,
                                 .remove = mem_remove,
                                 .stats = mem_stats,
                                 .trim = mem_trim};

MR_PLUGIN(MR_KIND_STORE, "store-mem", "objects in the heap of the node's process; other processes get copies", ops,
          NULL, 0)
