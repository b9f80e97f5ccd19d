/* @NAME@: a store.  It keeps objects in the heap of the node's process; begin from here.
 *
 * The book (miniray/store_book.h) knows which objects there are and refuses what a store must refuse; what is left is
 * where bytes come from and where they go.  Every op runs under the node's lock, one at a time: no lock is needed.
 * `self` is the instance; there are no globals.
 */
#include <stdio.h>
#include <stdlib.h>

#include <miniray/plugin.h>
#include <miniray/store_book.h>

typedef struct @IDENT@_store {
    mr_book book; /* first: the ops of the book take the instance */
} @IDENT@_store;

/* An object has left the book. */
static void @IDENT@_drop(mr_book *book, mr_entry *e)
{
    free(e->data);
    book->host->free(book->host, e);
}

static mr_status @IDENT@_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    const uint64_t capacity = conf->capacity / MR_STORE_ALIGN * MR_STORE_ALIGN;
    @IDENT@_store *s = capacity ? h->alloc(h, sizeof(*s)) : NULL;
    if (!s) {
        snprintf(err->text, sizeof(err->text), "@NAME@: %s", capacity ? "no memory" : "its capacity is too small");
        return err->status = capacity ? MR_E_NOMEM : MR_E_CONFIG;
    }
    s->book.host = h;
    s->book.capacity = capacity;
    s->book.drop = @IDENT@_drop;
    *self = s;
    return MR_OK;
}

static void @IDENT@_close(void *self)
{
    @IDENT@_store *s = self;
    const mr_host *h = s->book.host;
    mr_book_fini(&s->book);
    h->free(h, s);
}

static mr_status @IDENT@_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    @IDENT@_store *s = self;
    mr_status status = mr_book_may_create(&s->book, id, len);
    uint64_t taken = mr_book_taken(len);
    if (status)
        return status;
    if (taken > s->book.capacity - s->book.used)
        return MR_E_FULL;
    mr_entry *e = s->book.host->alloc(s->book.host, sizeof(*e));
    void *data = e ? aligned_alloc(MR_STORE_ALIGN, taken) : NULL;
    if (!data || mr_book_add(&s->book, e, id, len, data)) {
        free(data);
        s->book.host->free(s->book.host, e);
        return MR_E_NOMEM;
    }
    *out = (mr_region){data, len, MR_NOWHERE};
    return MR_OK;
}

static void @IDENT@_stats(void *self, mr_store_stats *out)
{
    const mr_book *b = &((@IDENT@_store *)self)->book;
    *out = (mr_store_stats){b->capacity, b->used, b->n_entries, b->capacity - b->used, b->used};
}

static const mr_store_ops ops = {.open = @IDENT@_open,
                                 .close = @IDENT@_close,
                                 .create = @IDENT@_create,
                                 .seal = mr_book_seal,
                                 .abort = mr_book_abort,
                                 .get = mr_book_get,
                                 .release = mr_book_release,
                                 .remove = mr_book_remove,
                                 .stats = @IDENT@_stats};

MR_PLUGIN(MR_KIND_STORE, "@NAME@", "objects in the heap; say here what yours does", ops, NULL, 0)
