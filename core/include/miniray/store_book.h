/* store_book.h: the books of a store: which objects it has, and what it must refuse (store.h says when).
 *
 * Optional, and no part of the ABI: these functions are compiled into the plugin.  A store's instance begins with an
 * mr_book and its objects with an mr_entry; then seal, abort, get, release and remove are the functions below, as they
 * are or after something of the store's own, and what is left to write is where bytes come from and where they go.
 * plugins/store-mem and plugins/store-file are written so.
 *
 * Lock: every function runs where the ops run, under the node's.  The store allocates its entries and frees them in
 * `drop`; the book owns its table.
 */
#ifndef MINIRAY_STORE_BOOK_H
#define MINIRAY_STORE_BOOK_H

#include <miniray/store.h>

typedef struct mr_entry {
    mr_id id;
    void *data;          /* set by the store */
    uint64_t len, taken; /* bytes as asked for, and rounded up to MR_STORE_ALIGN */
    uint32_t pins;
    bool sealed;
    struct mr_entry *next; /* of its bucket */
} mr_entry;

/* The first three are set by the store, all else is zero: an empty book. */
typedef struct mr_book {
    const mr_host *host;
    uint64_t capacity;                               /* a multiple of MR_STORE_ALIGN */
    void (*drop)(struct mr_book *book, mr_entry *e); /* frees an object that has just left the book, with its bytes */
    uint64_t used, n_entries;
    uint64_t n_buckets; /* 0 or a power of two */
    mr_entry **buckets;
} mr_book;

/* Bytes that an object of `len` bytes takes: at least one unit, so that no two objects have one address. */
static inline uint64_t mr_book_taken(uint64_t len)
{
    return len ? (len + MR_STORE_ALIGN - 1) & ~(uint64_t)(MR_STORE_ALIGN - 1) : MR_STORE_ALIGN;
}

/* Where the pointer to the entry is, or would be; the book has buckets. */
static inline mr_entry **mr_book_slot(const mr_book *b, mr_id id)
{
    mr_entry **at = &b->buckets[(id * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (b->n_buckets - 1)];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

/* NULL: there is none. */
static inline mr_entry *mr_book_find(const mr_book *b, mr_id id)
{
    return b->n_buckets ? *mr_book_slot(b, id) : NULL;
}

/* What create has to refuse before it looks for room: INVAL, EXISTS, TOOBIG. */
static inline mr_status mr_book_may_create(const mr_book *b, mr_id id, uint64_t len)
{
    if (id == MR_NO_ID)
        return MR_E_INVAL;
    if (mr_book_find(b, id))
        return MR_E_EXISTS;
    return len > b->capacity ? MR_E_TOOBIG : MR_OK;
}

/* Twice the buckets.  False: no memory; what was there is as it was. */
static inline bool mr_book_grow(mr_book *b)
{
    mr_book big = *b;
    big.n_buckets = b->n_buckets ? 2 * b->n_buckets : 64;
    big.buckets = (mr_entry **)b->host->alloc(b->host, big.n_buckets * sizeof(mr_entry *));
    if (!big.buckets)
        return false;
    for (uint64_t i = 0; i < b->n_buckets; i++)
        for (mr_entry *e = b->buckets[i], *next; e; e = next) {
            mr_entry **to = mr_book_slot(&big, e->id);
            next = e->next;
            e->next = NULL;
            *to = e;
        }
    if (b->buckets)
        b->host->free(b->host, b->buckets);
    *b = big;
    return true;
}

/* Enters `e` as an unsealed object; mr_book_may_create allowed it.  Error: NOMEM. */
static inline mr_status mr_book_add(mr_book *b, mr_entry *e, mr_id id, uint64_t len, void *data)
{
    if (b->n_entries >= b->n_buckets && !mr_book_grow(b) && !b->n_buckets)
        return MR_E_NOMEM; /* a full table only gets slower */
    *e = (mr_entry){.id = id, .data = data, .len = len, .taken = mr_book_taken(len)};
    *mr_book_slot(b, id) = e;
    b->used += e->taken;
    b->n_entries++;
    return MR_OK;
}

/* Takes `e` out and drops it. */
static inline void mr_book_drop(mr_book *b, mr_entry *e)
{
    *mr_book_slot(b, e->id) = e->next;
    b->used -= e->taken;
    b->n_entries--;
    b->drop(b, e);
}

/* For close: drops all and frees the table. */
static inline void mr_book_fini(mr_book *b)
{
    for (uint64_t i = 0; i < b->n_buckets; i++)
        while (b->buckets[i])
            mr_book_drop(b, b->buckets[i]);
    if (b->buckets)
        b->host->free(b->host, b->buckets);
}

static inline mr_status mr_book_seal(void *book, mr_id id)
{
    mr_entry *e = mr_book_find((const mr_book *)book, id);
    if (!e || e->sealed)
        return e ? MR_E_INVAL : MR_E_NOTFOUND;
    e->sealed = true;
    return MR_OK;
}

static inline mr_status mr_book_abort(void *book, mr_id id)
{
    mr_entry *e = mr_book_find((const mr_book *)book, id);
    if (!e || e->sealed)
        return e ? MR_E_INVAL : MR_E_NOTFOUND;
    mr_book_drop((mr_book *)book, e);
    return MR_OK;
}

static inline mr_status mr_book_get(void *book, mr_id id, mr_region *out)
{
    mr_entry *e = mr_book_find((const mr_book *)book, id);
    if (!e || !e->sealed)
        return MR_E_NOTFOUND;
    e->pins++;
    *out = (mr_region){e->data, e->len, MR_NOWHERE};
    return MR_OK;
}

static inline mr_status mr_book_release(void *book, mr_id id)
{
    mr_entry *e = mr_book_find((const mr_book *)book, id);
    if (!e || !e->pins)
        return e ? MR_E_INVAL : MR_E_NOTFOUND;
    e->pins--;
    return MR_OK;
}

static inline mr_status mr_book_remove(void *book, mr_id id)
{
    mr_entry *e = mr_book_find((const mr_book *)book, id);
    if (!e || !e->sealed || e->pins)
        return e && e->sealed ? MR_E_BUSY : MR_E_NOTFOUND;
    mr_book_drop((mr_book *)book, e);
    return MR_OK;
}

#endif
