/* slab.c: owns the blocks of one slab; each piece begins with a pointer to its block. */
#define _DEFAULT_SOURCE
#include "base/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SPARE = 4, LARGE = 2 << 20, MANY = 16 * LARGE, HEAD = 64 };

typedef struct piece {
    struct mr_slab_block *block;
    struct piece *next; /* of those that are free */
} piece;

typedef struct mr_slab_block {
    struct mr_slab_block *prev, *next;
    size_t n, used, bytes;
    piece *free;
} block;

static void out(mr_slab *s, const block *b)
{
    *(b->prev ? &b->prev->next : &s->first) = b->next;
    *(b->next ? &b->next->prev : &s->last) = b->prev;
}

static void to_front(mr_slab *s, block *b)
{
    b->prev = NULL;
    b->next = s->first;
    *(b->next ? &b->next->prev : &s->last) = b;
    s->first = b;
}

static void to_back(mr_slab *s, block *b)
{
    b->next = NULL;
    b->prev = s->last;
    *(b->prev ? &b->prev->next : &s->first) = b;
    s->last = b;
}

static block *block_new(mr_slab *s)
{
    bool large = s->bytes >= MANY && s->size <= LARGE / 8;
    size_t bytes = large ? LARGE : HEAD + s->size;
    block *b = aligned_alloc(large ? LARGE : 64, bytes);
    if (!b)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (large)
        (void)madvise(b, LARGE, MADV_HUGEPAGE); /* only a wish */
#endif
    *b = (block){.n = (bytes - HEAD) / s->size, .bytes = bytes};
    for (size_t i = b->n; i-- > 0;) {
        piece *p = (piece *)(void *)((char *)b + HEAD + i * s->size);
        *p = (piece){.block = b, .next = b->free};
        b->free = p;
    }
    to_front(s, b);
    s->n_free += b->n;
    s->bytes += bytes;
    return b;
}

static void block_free(mr_slab *s, block *b)
{
    out(s, b);
    s->n_free -= b->n - b->used;
    s->bytes -= b->bytes;
    free(b);
}

void mr_slab_init(mr_slab *s, size_t size)
{
    *s = (mr_slab){.size = (size + 63) & ~(size_t)63};
}

void mr_slab_fini(mr_slab *s)
{
    while (s->first)
        block_free(s, s->first);
    s->n_used = 0;
}

void *mr_slab_get(mr_slab *s)
{
    block *b = s->n_free ? s->first : block_new(s);
    if (!b)
        return NULL;
    piece *p = b->free;
    b->free = p->next;
    s->n_free--;
    s->n_used++;
    if (++b->used == b->n) {
        out(s, b);
        to_back(s, b);
    }
    return p;
}

void mr_slab_put(mr_slab *s, void *given)
{
    piece *p = given;
    block *b = p->block;
    if (b->used-- == b->n) {
        out(s, b);
        to_front(s, b);
    }
    p->next = b->free;
    b->free = p;
    s->n_free++;
    s->n_used--;
    if (!b->used && s->n_free - b->n >= SPARE)
        block_free(s, b);
}
