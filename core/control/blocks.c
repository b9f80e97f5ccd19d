/* blocks.c: tasks in the order of (rank, entry), in blocks of up to 128 keys that lie together, and a list of the
 * blocks.
 *
 * A search looks at the list, which stays in the cache, and at one block: a tree of the tasks themselves would miss the
 * cache, and the page tables, once for each of its twenty levels at a million tasks.  Owns the blocks, not the tasks.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

enum { KEYS = 128, FEW = KEYS / 4 };

typedef struct key {
    double rank;
    uint64_t entry;
    task *t;
} key;

typedef struct keyblock {
    uint32_t n;
    key v[KEYS];
} keyblock;

static inline bool before(double rank, uint64_t entry, double rank2, uint64_t entry2)
{
    return rank < rank2 || (rank == rank2 && entry < entry2);
}

/* How many blocks begin at or before the key. */
static uint32_t upto(const blocks *k, double rank, uint64_t entry)
{
    uint32_t low = 0, high = k->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (before(rank, entry, k->v[k->from + mid].rank, k->v[k->from + mid].entry))
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* How many keys of a block come before the key. */
static uint32_t below(const keyblock *b, double rank, uint64_t entry)
{
    uint32_t low = 0, high = b->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (before(b->v[mid].rank, b->v[mid].entry, rank, entry))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void name_first(blocks *k, uint32_t i)
{
    blocks_top *top = &k->v[k->from + i];
    top->rank = top->b->v[0].rank;
    top->entry = top->b->v[0].entry;
}

/* A block for place i of the list; NULL: no memory. */
static keyblock *add_block(blocks *k, uint32_t i, uint64_t *heap)
{
    if (k->from + k->n == k->room) {
        uint32_t room = !k->room ? 8 : k->n > k->room / 2 ? 2 * k->room : k->room;
        blocks_top *v = malloc(room * sizeof *v);
        if (!v)
            return NULL;
        if (k->n)
            memcpy(v, k->v + k->from, k->n * sizeof *v);
        free(k->v);
        *heap += (uint64_t)(room - k->room) * sizeof *v;
        k->v = v;
        k->from = 0;
        k->room = room;
    }
    keyblock *b = malloc(sizeof *b);
    if (!b)
        return NULL;
    *heap += sizeof *b;
    b->n = 0;
    memmove(k->v + k->from + i + 1, k->v + k->from + i, (k->n - i) * sizeof *k->v);
    k->v[k->from + i].b = b;
    k->n++;
    return b;
}

static void drop_block(blocks *k, uint32_t i, uint64_t *heap)
{
    free(k->v[k->from + i].b);
    *heap -= sizeof(keyblock);
    k->n--;
    if (i == 0)
        k->from++;
    else
        memmove(k->v + k->from + i, k->v + k->from + i + 1, (k->n - i) * sizeof *k->v);
    if (!k->n)
        k->from = 0;
}

bool mr_blocks_insert(blocks *k, task *t, uint64_t *heap)
{
    uint32_t i = upto(k, t->v.rank, t->v.entry);
    i -= i > 0;
    keyblock *b = k->n ? k->v[k->from + i].b : add_block(k, 0, heap);
    if (!b)
        return false;
    if (b->n == KEYS) {
        keyblock *more = add_block(k, i + 1, heap);
        if (!more)
            return false;
        more->n = KEYS / 2;
        b->n = KEYS - KEYS / 2;
        memcpy(more->v, b->v + b->n, more->n * sizeof *b->v);
        name_first(k, i + 1);
        if (!before(t->v.rank, t->v.entry, more->v[0].rank, more->v[0].entry)) {
            b = more;
            i++;
        }
    }
    uint32_t at = below(b, t->v.rank, t->v.entry);
    memmove(b->v + at + 1, b->v + at, (b->n - at) * sizeof *b->v);
    b->v[at] = (key){.rank = t->v.rank, .entry = t->v.entry, .t = t};
    b->n++;
    if (at == 0)
        name_first(k, i);
    return true;
}

/* Block i and the one behind it become one if both are small. */
static bool join(blocks *k, uint32_t i, uint64_t *heap)
{
    keyblock *a = k->v[k->from + i].b, *b = k->v[k->from + i + 1].b;
    if (a->n + b->n > KEYS / 2)
        return false;
    memcpy(a->v + a->n, b->v, b->n * sizeof *b->v);
    a->n += b->n;
    drop_block(k, i + 1, heap);
    return true;
}

void mr_blocks_remove(blocks *k, const task *t, uint64_t *heap)
{
    uint32_t i = upto(k, t->v.rank, t->v.entry) - 1;
    keyblock *b = k->v[k->from + i].b;
    uint32_t at = below(b, t->v.rank, t->v.entry);
    b->n--;
    memmove(b->v + at, b->v + at + 1, (b->n - at) * sizeof *b->v);
    if (!b->n) {
        drop_block(k, i, heap);
        return;
    }
    if (at == 0)
        name_first(k, i);
    /* The first block is emptied from its front most of the time: it goes when it is empty. */
    if (b->n < FEW && i && !join(k, i - 1, heap) && i + 1 < k->n)
        join(k, i, heap);
}

task *mr_blocks_first(const blocks *k)
{
    return k->n ? k->v[k->from].b->v[0].t : NULL;
}

task *mr_blocks_last(const blocks *k)
{
    const keyblock *b = k->n ? k->v[k->from + k->n - 1].b : NULL;
    return b ? b->v[b->n - 1].t : NULL;
}

task *mr_blocks_after(const blocks *k, double rank, uint64_t entry)
{
    uint32_t i = upto(k, rank, entry);
    if (i) {
        const keyblock *b = k->v[k->from + i - 1].b;
        uint32_t at = below(b, rank, entry);
        if (at < b->n && b->v[at].entry == entry && b->v[at].rank == rank)
            at++;
        if (at < b->n)
            return b->v[at].t;
    }
    return i < k->n ? k->v[k->from + i].b->v[0].t : NULL;
}

task *mr_blocks_before(const blocks *k, double rank, uint64_t entry)
{
    for (uint32_t i = upto(k, rank, entry); i; i--) {
        const keyblock *b = k->v[k->from + i - 1].b;
        uint32_t at = below(b, rank, entry);
        if (at)
            return b->v[at - 1].t;
    }
    return NULL;
}

void mr_blocks_fini(blocks *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        free(k->v[k->from + i].b);
    free(k->v);
    *k = (blocks){.v = NULL};
}
