/* table.h: a paged array over dense 64-bit ids.
 *
 * Ids come in runs (a node grants blocks of them), so an entry is found by arithmetic inside a page of 256, and only
 * the live pages are found through a small hash.  The last page found is kept: a hit there costs a compare and a bit
 * test.  A page is given back when it is empty and another one has got empty after it, so that ids that come and go one
 * by one cost no more than others.
 *
 * Entries are zeroed when put, have one fixed size, are aligned to 8 bytes (those of 64 bytes to that), and never move
 * while they are in. No lock: even mr_table_at writes (the kept page), so a table belongs to one thread or one lock.
 */
#ifndef MR_BASE_TABLE_H
#define MR_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <miniray/status.h>

#include "base/slab.h"

enum { MR_TABLE_PAGE = 256 };

/* Read-only outside table.c; here only so that the hit path can be inlined.  64 bytes; the entries lie behind it. */
typedef struct mr_table_page {
    void *slab;
    uint64_t key; /* id / 256 */
    uint64_t used[MR_TABLE_PAGE / 64];
    uint64_t count, pad0;
} mr_table_page;

typedef struct mr_table {
    mr_table_page *last; /* never NULL: an empty sentinel of key UINT64_MAX when no page was found yet */
    size_t stride;
    mr_table_page **slots; /* open addressing, linear, a power of two */
    size_t n_slots, n_entries;
    mr_table_page *empty; /* the one in the hash that got empty last, though it may have entries again; NULL: none */
    mr_slab pages;
} mr_table;

/* In place, for entries of `size` bytes.  Allocates nothing before the first put. */
void mr_table_init(mr_table *t, size_t size);
/* Frees all pages; entries are simply forgotten, what they own is the caller's to free first. */
void mr_table_fini(mr_table *t);

static inline void *mr_table_entry(const mr_table *t, const mr_table_page *p, size_t i)
{
    return (unsigned char *)(p + 1) + i * t->stride;
}

/* Any id, any page; used by the three below. */
void *mr_table_find(mr_table *t, uint64_t id);
void *mr_table_make(mr_table *t, uint64_t id);
bool mr_table_drop(mr_table *t, uint64_t id);

/* Makes `id` present and gives its entry: zeroed if it is new, as it was if it is not.  NULL: out of memory. */
static inline void *mr_table_put(mr_table *t, uint64_t id)
{
    mr_table_page *p = t->last;
    size_t i = (size_t)(id % MR_TABLE_PAGE);
    uint64_t *word = &p->used[i / 64], bit = UINT64_C(1) << (i % 64);
    if (p->key != id / MR_TABLE_PAGE || (*word & bit))
        return mr_table_make(t, id);
    *word |= bit;
    p->count++;
    t->n_entries++;
    return memset(mr_table_entry(t, p, i), 0, t->stride);
}

/* The same for an id that is not in, whose whole entry the caller writes: it holds anything. */
static inline void *mr_table_new(mr_table *t, uint64_t id)
{
    mr_table_page *p = t->last;
    size_t i = (size_t)(id % MR_TABLE_PAGE);
    uint64_t *word = &p->used[i / 64], bit = UINT64_C(1) << (i % 64);
    if (__builtin_expect(p->key != id / MR_TABLE_PAGE, 0))
        return mr_table_make(t, id);
    *word |= bit;
    p->count++;
    t->n_entries++;
    return mr_table_entry(t, p, i);
}

/* Removes `id`; false if it was not there. */
static inline bool mr_table_del(mr_table *t, uint64_t id)
{
    mr_table_page *p = t->last;
    size_t i = (size_t)(id % MR_TABLE_PAGE);
    uint64_t *word = &p->used[i / 64], bit = UINT64_C(1) << (i % 64);
    if (p->key != id / MR_TABLE_PAGE || p->count < 2 || !(*word & bit))
        return mr_table_drop(t, id);
    *word &= ~bit;
    p->count--;
    t->n_entries--;
    return true;
}

/* The entry of `id`, or NULL. */
static inline void *mr_table_at(mr_table *t, uint64_t id)
{
    mr_table_page *p = t->last;
    if (__builtin_expect(p->key != id / MR_TABLE_PAGE, 0))
        return mr_table_find(t, id);
    size_t i = (size_t)(id % MR_TABLE_PAGE);
    if (!(p->used[i / 64] >> (i % 64) & 1))
        return NULL;
    return mr_table_entry(t, p, i);
}

static inline size_t mr_table_count(const mr_table *t)
{
    return t->n_entries;
}

/* Walks all entries: start with *cursor = 0; NULL at the end; *id (may be NULL) is the entry's.  The order follows from
 * the ids and the history of the table, never from addresses.  The table must not be changed during a walk. */
void *mr_table_next(const mr_table *t, uint64_t *cursor, uint64_t *id);

/* Bytes held by the table itself, free pages included. */
size_t mr_table_bytes(const mr_table *t);

#endif
