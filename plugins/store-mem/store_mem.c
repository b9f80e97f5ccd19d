/* store-mem: objects in the heap of the node's process.
 *
 * Owns one heap block per object.  It does not share memory: `at` is MR_NOWHERE and there is no attach, so the engine
 * copies objects to and from other processes.  No lock: every op runs under the node's.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <miniray/plugin.h>
#include <miniray/store_book.h>

/* From here up a block is aligned to a huge page and asks for them: first touch is then several times faster. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

typedef struct store {
    mr_book book;     /* first */
    uint64_t dropped; /* bytes, since the last trim */
} store;

static void drop(mr_book *book, mr_entry *e)
{
    ((store *)book)->dropped += e->taken;
    free(e->data);
    book->host->free(book->host, e);
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
    s->book.host = h;
    s->book.capacity = conf->capacity & ~(uint64_t)(MR_STORE_ALIGN - 1);
    s->book.drop = drop;
    *self = s;
    return MR_OK;
}

static void mem_close(void *self)
{
    store *s = self;
    const mr_host *h = s->book.host;
    mr_book_fini(&s->book);
    h->free(h, s);
}

static mr_status mem_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    mr_book *b = self;
    mr_status status = mr_book_may_create(b, id, len);
    uint64_t taken = mr_book_taken(len);
    void *data = NULL;
    if (status)
        return status;
    if (taken > b->capacity - b->used)
        return MR_E_FULL;
    mr_entry *e = b->host->alloc(b->host, sizeof(*e));
    if (!e || posix_memalign(&data, taken >= HUGE_FROM ? HUGE_PAGE : MR_STORE_ALIGN, taken) ||
        mr_book_add(b, e, id, len, data)) {
        free(data);
        b->host->free(b->host, e);
        return MR_E_NOMEM;
    }
    if (taken >= HUGE_FROM)
        (void)madvise(data, taken, MADV_HUGEPAGE); /* only a hint: without it pages are small */
    *out = (mr_region){data, len, MR_NOWHERE};
    return MR_OK;
}

static void mem_stats(void *self, mr_store_stats *out)
{
    const mr_book *b = self;
    *out = (mr_store_stats){b->capacity, b->used, b->n_entries, b->capacity - b->used, b->used};
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
                                 .seal = mr_book_seal,
                                 .abort = mr_book_abort,
                                 .get = mr_book_get,
                                 .release = mr_book_release,
                                 .remove = mr_book_remove,
                                 .stats = mem_stats,
                                 .trim = mem_trim};

MR_PLUGIN(MR_KIND_STORE, "store-mem", "objects in the heap of the node's process; other processes get copies", ops,
          NULL, 0)
