/* table.c: owns the hash that finds the pages of one table, and through its slab the pages.  Knows nothing of what the
 * entries are.
 *
 * The hash is open addressing with linear probing and backward-shift deletion, so there are no tombstones and a long
 * life does not slow it.  It is at most half full.  No lock (see table.h).
 */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

/* No id has this page (it would need ids above 2^64), so the sentinel never matches. */
static mr_table_page nowhere = {.key = UINT64_MAX};

static size_t slot_of(const mr_table *t, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (t->n_slots - 1);
}

void mr_table_init(mr_table *t, size_t size)
{
    memset(t, 0, sizeof *t);
    t->stride = (size + 7) & ~(size_t)7;
    t->last = &nowhere;
    mr_slab_init(&t->pages, sizeof(mr_table_page) + MR_TABLE_PAGE * t->stride);
}

void mr_table_fini(mr_table *t)
{
    mr_slab_fini(&t->pages);
    free(t->slots);
    mr_table_init(t, t->stride);
}

static mr_table_page *page_find(const mr_table *t, uint64_t key)
{
    if (!t->n_slots)
        return NULL;
    for (size_t i = slot_of(t, key);; i = (i + 1) & (t->n_slots - 1)) {
        mr_table_page *p = t->slots[i];
        if (!p || p->key == key)
            return p;
    }
}

void *mr_table_find(mr_table *t, uint64_t id)
{
    mr_table_page *p = page_find(t, id / MR_TABLE_PAGE);
    if (!p)
        return NULL;
    t->last = p;
    size_t i = (size_t)(id % MR_TABLE_PAGE);
    return p->used[i / 64] >> (i % 64) & 1 ? mr_table_entry(t, p, i) : NULL;
}

static void hash_insert(mr_table *t, mr_table_page *p)
{
    size_t i = slot_of(t, p->key);
    while (t->slots[i])
        i = (i + 1) & (t->n_slots - 1);
    t->slots[i] = p;
}

static bool hash_grow(mr_table *t)
{
    size_t n = t->n_slots ? t->n_slots * 2 : 8;
    mr_table_page **old = t->slots;
    size_t n_old = t->n_slots;
    mr_table_page **slots = calloc(n, sizeof(mr_table_page *));
    if (!slots)
        return false;
    t->slots = slots;
    t->n_slots = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i])
            hash_insert(t, old[i]);
    free(old);
    return true;
}

static mr_table_page *page_new(mr_table *t, uint64_t key)
{
    mr_table_page *p = mr_slab_get(&t->pages);
    if (!p)
        return NULL;
    *p = (mr_table_page){.slab = p->slab, .key = key};
    return p;
}

void *mr_table_make(mr_table *t, uint64_t id)
{
    uint64_t key = id / MR_TABLE_PAGE;
    mr_table_page *p = t->last->key == key ? t->last : page_find(t, key);
    if (!p) {
        if ((t->pages.n_used + 1) * 2 > t->n_slots && !hash_grow(t))
            return NULL;
        p = page_new(t, key);
        if (!p)
            return NULL;
        hash_insert(t, p);
    }
    t->last = p;
    size_t i = (size_t)(id % MR_TABLE_PAGE);
    void *entry = mr_table_entry(t, p, i);
    if (!(p->used[i / 64] >> (i % 64) & 1)) {
        p->used[i / 64] |= UINT64_C(1) << (i % 64);
        p->count++;
        t->n_entries++;
        memset(entry, 0, t->stride);
    }
    return entry;
}

/* Takes page p out of the hash, pulling back what had been pushed past it. */
static void hash_remove(mr_table *t, const mr_table_page *p)
{
    size_t mask = t->n_slots - 1, hole = slot_of(t, p->key);
    while (t->slots[hole] != p)
        hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
        size_t home = slot_of(t, t->slots[i]->key);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = NULL;
}

bool mr_table_drop(mr_table *t, uint64_t id)
{
    uint64_t key = id / MR_TABLE_PAGE;
    mr_table_page *p = t->last->key == key ? t->last : page_find(t, key), *before = t->empty;
    size_t i = (size_t)(id % MR_TABLE_PAGE);
    if (!p || !(p->used[i / 64] >> (i % 64) & 1))
        return false;
    p->used[i / 64] &= ~(UINT64_C(1) << (i % 64));
    t->n_entries--;
    if (--p->count || p == before)
        return true;
    t->empty = p;
    if (!before || before->count)
        return true;
    hash_remove(t, before);
    if (t->last == before)
        t->last = &nowhere;
    mr_slab_put(&t->pages, before);
    return true;
}

void *mr_table_next(const mr_table *t, uint64_t *cursor, uint64_t *id)
{
    for (uint64_t at = *cursor; at / MR_TABLE_PAGE < t->n_slots; at++) {
        const mr_table_page *p = t->slots[at / MR_TABLE_PAGE];
        size_t i = (size_t)(at % MR_TABLE_PAGE);
        if (!p || !(p->used[i / 64] >> (i % 64))) { /* nothing more in this word (or page) */
            at = p ? at | 63 : at | (MR_TABLE_PAGE - 1);
            continue;
        }
        if (p->used[i / 64] >> (i % 64) & 1) {
            *cursor = at + 1;
            if (id)
                *id = p->key * MR_TABLE_PAGE + i;
            return mr_table_entry(t, p, i);
        }
    }
    *cursor = (uint64_t)t->n_slots * MR_TABLE_PAGE;
    return NULL;
}

size_t mr_table_bytes(const mr_table *t)
{
    return t->pages.bytes + t->n_slots * sizeof(mr_table_page *);
}
