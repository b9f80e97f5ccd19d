/* blocks.c: tasks in the order of (rank, entry): a tree of blocks, each of up to 64 keys that lie together.
 *
 * A search touches one block on each level, four of them at a million tasks: a tree of the tasks themselves would miss
 * the cache, and the page tables, once for each of its twenty levels.  The leaf is cold, so all of it is asked for at
 * once.  A key of an inner block is not above what lies below it, and above all that lies before; the first of a block
 * stands for whatever is less.  A full block is split before it is entered, so its parent has room, and a step without
 * memory leaves the tree whole.  Leaves are never empty, and are chained.  The blocks of all trees are pieces of one
 * slab.
 */
#include <string.h>

#include "control/room.h"

enum { KEYS = 64, FEW = KEYS / 4, DEEP = 8, AHEAD = 8 };

typedef struct key {
    double rank;
    uint64_t entry;
    void *at; /* a task in a leaf, else a block */
} key;

typedef struct keyblock {
    void *slab;
    uint32_t from, n;             /* v[from .. from + n) */
    uint32_t put;                 /* where the last key was put */
    struct keyblock *prev, *next; /* of a leaf */
    key v[KEYS];
} keyblock;

typedef struct step {
    keyblock *b;
    uint32_t i;
} step;

static inline bool before(const key *a, const key *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->entry < b->entry);
}

static inline key *at(const keyblock *b, uint32_t i)
{
    return (key *)&b->v[b->from + i];
}

/* How many keys of a block come before x, or (with `same`) are x. */
static uint32_t below(const keyblock *b, const key *x, bool same)
{
    uint32_t low = 0, high = b->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (same ? !before(x, at(b, mid)) : before(at(b, mid), x))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint32_t child_of(const keyblock *b, const key *x)
{
    uint32_t i = below(b, x, true);
    return i - (i > 0);
}

/* The leaf where x is, or would be. */
static keyblock *leaf_of(const blocks *k, const key *x, step path[DEEP])
{
    keyblock *b = k->root;
    for (uint32_t h = k->height; h; h--) {
        uint32_t i = child_of(b, x);
        if (path)
            path[h] = (step){b, i};
        b = at(b, i)->at;
    }
    return b;
}

static keyblock *block_new(mr_slab *keys)
{
    keyblock *b = mr_slab_get(keys);
    if (b) {
        b->from = b->n = b->put = 0;
        b->prev = b->next = NULL;
    }
    return b;
}

/* There is room. */
static void put(keyblock *b, uint32_t i, key x)
{
    if (b->from + b->n == KEYS) {
        memmove(b->v, at(b, 0), b->n * sizeof x);
        b->from = 0;
    }
    memmove(at(b, i + 1), at(b, i), (b->n - i) * sizeof x);
    *at(b, i) = x;
    b->n++;
    b->put = i;
}

static void take(keyblock *b, uint32_t i)
{
    b->n--;
    b->put -= b->put > i;
    if (i == 0)
        b->from++;
    else
        memmove(at(b, i), at(b, i + 1), (b->n - i) * sizeof(key));
}

/* Child i of `b`, which is full, becomes two.  Where keys come in order, the first keeps all that came before x, so
 * that blocks are full of those; else each gets a half. */
static bool split(keyblock *b, uint32_t i, const key *x, bool leaf, mr_slab *keys)
{
    keyblock *left = at(b, i)->at, *right = block_new(keys);
    if (!right)
        return false;
    uint32_t cut = below(left, x, false);
    if (!leaf || cut != left->put + 1)
        cut = KEYS / 2;
    right->n = left->n - cut;
    memcpy(right->v, at(left, cut), right->n * sizeof *x);
    left->n = cut;
    key first = right->n ? *at(right, 0) : *x;
    first.at = right;
    put(b, i + 1, first);
    if (leaf) {
        right->prev = left;
        right->next = left->next;
        left->next = right;
        if (right->next)
            right->next->prev = right;
    }
    return true;
}

static bool grow(blocks *k, mr_slab *keys)
{
    keyblock *b = k->root, *top;
    if (b && b->n < KEYS)
        return true;
    if (k->height == DEEP - 1 || !(top = block_new(keys)))
        return false;
    if (b)
        put(top, 0, (key){.rank = at(b, 0)->rank, .entry = at(b, 0)->entry, .at = b});
    k->height += b != NULL;
    k->first = b ? k->first : top;
    k->root = top;
    return true;
}

bool mr_blocks_insert(blocks *k, task *t, mr_slab *keys)
{
    const key x = {.rank = t->v.rank, .entry = t->v.entry, .at = t};
    if (!grow(k, keys))
        return false;
    keyblock *b = k->root;
    for (uint32_t h = k->height; h; h--) {
        uint32_t i = child_of(b, &x);
        const keyblock *down = at(b, i)->at;
        if (h == 1)
            for (size_t line = 0; line < sizeof *down; line += 64)
                __builtin_prefetch((const char *)down + line);
        if (down->n == KEYS) {
            if (!split(b, i, &x, h == 1, keys))
                return false;
            i = child_of(b, &x);
        }
        b = at(b, i)->at;
    }
    put(b, below(b, &x, false), x);
    k->n++;
    return true;
}

/* What is empty goes, up to the root; a root with one child too. */
static void drop(blocks *k, keyblock *leaf, step path[DEEP], mr_slab *keys)
{
    if (leaf->next)
        leaf->next->prev = leaf->prev;
    *(leaf->prev ? &leaf->prev->next : &k->first) = leaf->next;
    mr_slab_put(keys, leaf);
    uint32_t h = 1;
    for (; h <= k->height; h++) {
        take(path[h].b, path[h].i);
        if (path[h].b->n)
            break;
        mr_slab_put(keys, path[h].b);
    }
    if (h > k->height) {
        k->root = NULL;
        k->height = 0;
    }
    while (k->height && k->root->n == 1) {
        keyblock *top = k->root;
        k->root = at(top, 0)->at;
        k->height--;
        mr_slab_put(keys, top);
    }
}

/* The leaf takes the keys of the one behind it, which has the same parent, if both are small. */
static bool join(blocks *k, keyblock *a, step path[DEEP], mr_slab *keys)
{
    keyblock *b = path[1].i + 1 < path[1].b->n ? a->next : NULL;
    if (!b || a->n + b->n > KEYS / 2)
        return false;
    memmove(a->v, at(a, 0), a->n * sizeof(key));
    memcpy(a->v + a->n, at(b, 0), b->n * sizeof(key));
    a->from = 0;
    a->n += b->n;
    path[1].i++;
    drop(k, b, path, keys);
    return true;
}

void mr_blocks_remove(blocks *k, const task *t, mr_slab *keys)
{
    const key x = {.rank = t->v.rank, .entry = t->v.entry};
    step path[DEEP];
    keyblock *b = leaf_of(k, &x, path);
    uint32_t i = below(b, &x, false);
    MR_BUG_ON(i == b->n || at(b, i)->at != t);
    take(b, i);
    k->n--;
    if (i == 0 && b->n > AHEAD) /* tasks go from the front, and the next ones are cold when there are many */
        for (size_t line = 0; line < sizeof *t + 63; line += 64)
            __builtin_prefetch((const char *)at(b, AHEAD)->at + line);
    if (!b->n) {
        drop(k, b, path, keys);
    } else if (b->n < FEW && k->height && b->prev) { /* the first is emptied from its front: it goes when it is empty */
        if (!join(k, b, path, keys) && path[1].i) {
            path[1].i--;
            join(k, b->prev, path, keys);
        }
    }
}

task *mr_blocks_first(const blocks *k)
{
    return k->n ? at(k->first, 0)->at : NULL;
}

task *mr_blocks_last(const blocks *k)
{
    const keyblock *b = k->root;
    for (uint32_t h = k->height; h; h--)
        b = at(b, b->n - 1)->at;
    return k->n ? at(b, b->n - 1)->at : NULL;
}

task *mr_blocks_after(const blocks *k, double rank, uint64_t entry)
{
    const key x = {.rank = rank, .entry = entry};
    const keyblock *b = leaf_of(k, &x, NULL);
    uint32_t i = b ? below(b, &x, true) : 0;
    if (b && i < b->n)
        return at(b, i)->at;
    return b && b->next ? at(b->next, 0)->at : NULL;
}

task *mr_blocks_before(const blocks *k, double rank, uint64_t entry)
{
    const key x = {.rank = rank, .entry = entry};
    const keyblock *b = leaf_of(k, &x, NULL);
    uint32_t i = b ? below(b, &x, false) : 0;
    if (i)
        return at(b, i - 1)->at;
    return b && b->prev ? at(b->prev, b->prev->n - 1)->at : NULL;
}

void mr_blocks_init(mr_slab *keys)
{
    mr_slab_init(keys, sizeof(keyblock));
}
