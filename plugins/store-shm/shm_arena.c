/* shm_arena.c: owns the extent records, the list of neighbours and the treap of free extents.
 *
 * It knows offsets, not memory, ids or maps.  Take, give and cut cost O(log free extents); a cut is O(1).  The only
 * thing that can fail is getting a record, and that comes before any change.  Runs under the node's lock.
 */
#include "shm_arena.h"

#include <stddef.h>
#include <stdint.h>

enum { SLAB_RECORDS = 1023 }; /* and one record's room to align the slab */

_Static_assert(sizeof(shm_extent) == 64, "one cache line");

/* -- records ---------------------------------------------------------------------------------------------------- */

static bool grow(shm_arena *a)
{
    const mr_host *h = a->host;
    void **slabs = a->slabs;
    char *slab;
    /* The slab list doubles at powers of two. */
    if ((a->n_slabs & (a->n_slabs - 1)) == 0) {
        slabs = h->alloc(h, (a->n_slabs ? a->n_slabs * 2 : 1) * sizeof(*slabs));
        if (!slabs)
            return false;
        for (size_t i = 0; i < a->n_slabs; i++)
            slabs[i] = a->slabs[i];
        h->free(h, a->slabs);
        a->slabs = slabs;
    }
    slab = h->alloc(h, (SLAB_RECORDS + 1) * sizeof(shm_extent));
    if (!slab)
        return false;
    slabs[a->n_slabs++] = slab;
    slab += -(uintptr_t)slab % sizeof(shm_extent);
    for (shm_extent *e = (shm_extent *)(void *)slab + SLAB_RECORDS; e-- != (shm_extent *)(void *)slab;) {
        e->after = a->spare;
        a->spare = e;
    }
    return true;
}

static shm_extent *record(shm_arena *a)
{
    shm_extent *e;
    if (!a->spare && !grow(a))
        return NULL;
    e = a->spare;
    a->spare = e->after;
    *e = (shm_extent){0};
    return e;
}

static void recycle(shm_arena *a, shm_extent *e)
{
    e->after = a->spare;
    a->spare = e;
}

static void link_before(shm_extent *e, shm_extent *next)
{
    e->before = next->before;
    e->after = next;
    if (e->before)
        e->before->after = e;
    next->before = e;
}

static void unlink_extent(shm_extent *e)
{
    if (e->before)
        e->before->after = e->after;
    if (e->after)
        e->after->before = e->before;
}

/* -- treap of free extents, by offset --------------------------------------------------------------------------- */

static uint64_t widest(const shm_extent *t)
{
    return t ? t->u.tree.widest : 0;
}

static void pull(shm_extent *t)
{
    uint64_t w = t->len;
    if (widest(t->u.tree.left) > w)
        w = widest(t->u.tree.left);
    if (widest(t->u.tree.right) > w)
        w = widest(t->u.tree.right);
    t->u.tree.widest = w;
}

static void split(shm_extent *t, uint64_t off, shm_extent **low, shm_extent **high)
{
    if (!t) {
        *low = *high = NULL;
    } else if (t->off < off) {
        split(t->u.tree.right, off, &t->u.tree.right, high);
        pull(*low = t);
    } else {
        split(t->u.tree.left, off, low, &t->u.tree.left);
        pull(*high = t);
    }
}

static shm_extent *merge(shm_extent *low, shm_extent *high)
{
    if (!low || !high)
        return low ? low : high;
    if (low->weight >= high->weight) {
        low->u.tree.right = merge(low->u.tree.right, high);
        pull(low);
        return low;
    }
    high->u.tree.left = merge(low, high->u.tree.left);
    pull(high);
    return high;
}

static shm_extent *insert(shm_extent *t, shm_extent *e)
{
    if (!t || e->weight > t->weight) {
        split(t, e->off, &e->u.tree.left, &e->u.tree.right);
        pull(e);
        return e;
    }
    if (e->off < t->off)
        t->u.tree.left = insert(t->u.tree.left, e);
    else
        t->u.tree.right = insert(t->u.tree.right, e);
    pull(t);
    return t;
}

static shm_extent *erase(shm_extent *t, const shm_extent *e)
{
    if (t == e)
        return merge(t->u.tree.left, t->u.tree.right);
    if (e->off < t->off)
        t->u.tree.left = erase(t->u.tree.left, e);
    else
        t->u.tree.right = erase(t->u.tree.right, e);
    pull(t);
    return t;
}

/* After e's length changed.  Its offset may have moved too, but not past a neighbour, so the order still holds. */
static void refresh(shm_extent *t, const shm_extent *e)
{
    if (t != e)
        refresh(e->off < t->off ? t->u.tree.left : t->u.tree.right, e);
    pull(t);
}

static void make_free(shm_arena *a, shm_extent *e)
{
    a->seed = a->seed * 1664525u + 1013904223u;
    e->state = SHM_FREE;
    e->weight = a->seed >> 8;
    a->root = insert(a->root, e);
}

/* -- the arena -------------------------------------------------------------------------------------------------- */

mr_status shm_arena_init(shm_arena *a, const mr_host *host, uint64_t size)
{
    shm_extent *all;
    *a = (shm_arena){.host = host, .size = size, .seed = 1};
    all = record(a);
    if (!all) {
        shm_arena_fini(a);
        return MR_E_NOMEM;
    }
    all->len = size;
    make_free(a, all);
    return MR_OK;
}

void shm_arena_fini(shm_arena *a)
{
    for (size_t i = 0; i < a->n_slabs; i++)
        a->host->free(a->host, a->slabs[i]);
    a->host->free(a->host, a->slabs);
    *a = (shm_arena){0};
}

uint64_t shm_arena_widest(const shm_arena *a)
{
    return widest(a->root);
}

/* The lowest free extent of at least `len` bytes; the caller knows that there is one. */
static shm_extent *lowest(shm_extent *t, uint64_t len)
{
    for (;;) {
        if (widest(t->u.tree.left) >= len)
            t = t->u.tree.left;
        else if (t->len >= len)
            return t;
        else
            t = t->u.tree.right;
    }
}

mr_status shm_arena_take(shm_arena *a, uint64_t len, shm_extent **out)
{
    shm_extent *hit, *e;
    if (widest(a->root) < len)
        return MR_E_FULL;
    hit = lowest(a->root, len);
    if (hit->len == len) {
        a->root = erase(a->root, hit);
        e = hit;
    } else {
        e = record(a);
        if (!e)
            return MR_E_NOMEM;
        e->off = hit->off;
        e->len = len;
        link_before(e, hit);
        hit->off += len;
        hit->len -= len;
        refresh(a->root, hit);
    }
    e->state = SHM_OPEN;
    e->u.object.id = MR_NO_ID;
    e->u.object.bytes = 0;
    e->u.object.pins = 0;
    a->used += len;
    a->n_used++;
    *out = e;
    return MR_OK;
}

void shm_arena_give(shm_arena *a, shm_extent *e)
{
    shm_extent *before = e->before, *after = e->after;
    bool low = before && before->state == SHM_FREE, high = after && after->state == SHM_FREE;
    a->used -= e->len;
    a->n_used--;
    if (!low && !high && e->len) {
        make_free(a, e);
        return;
    }
    unlink_extent(e);
    if (low) {
        before->len += e->len;
        if (high) {
            a->root = erase(a->root, after);
            before->len += after->len;
            unlink_extent(after);
            recycle(a, after);
        }
        refresh(a->root, before);
    } else if (high) {
        after->off = e->off;
        after->len += e->len;
        refresh(a->root, after);
    }
    recycle(a, e);
}

mr_status shm_arena_cut(shm_arena *a, shm_extent *e, uint64_t len, shm_extent **out)
{
    shm_extent *piece = record(a);
    if (!piece)
        return MR_E_NOMEM;
    piece->off = e->off;
    piece->len = len;
    piece->state = SHM_OPEN;
    link_before(piece, e);
    e->off += len;
    e->len -= len;
    a->n_used++;
    *out = piece;
    return MR_OK;
}

static bool walk(const shm_extent *t, uint64_t len, bool (*each)(void *, uint64_t, uint64_t), void *arg)
{
    if (widest(t) < len)
        return true;
    return walk(t->u.tree.right, len, each, arg) && (t->len < len || each(arg, t->off, t->len)) &&
           walk(t->u.tree.left, len, each, arg);
}

void shm_arena_free_extents(const shm_arena *a, uint64_t len, bool (*each)(void *arg, uint64_t off, uint64_t len),
                            void *arg)
{
    if (a->root)
        walk(a->root, len, each, arg);
}
