/* slab.h: memory in pieces of one size, for what there may be millions of.
 *
 * The first 32 MB are allocated piece by piece.  More of them come from blocks of 2 MB, which the system may map as one
 * huge page each: most of what a million new records cost was page faults.  A block whose pieces are all back is given
 * back, unless few others are free.
 *
 * Thread: one, or one lock.
 */
#ifndef MR_BASE_SLAB_H
#define MR_BASE_SLAB_H

#include <stddef.h>

typedef struct mr_slab {
    size_t size;                        /* of a piece, a multiple of 64 */
    struct mr_slab_block *first, *last; /* those with a free piece first; owned, with all pieces */
    size_t n_used, n_free, bytes;       /* pieces; bytes of all blocks */
} mr_slab;

/* In place.  Allocates nothing. */
void mr_slab_init(mr_slab *s, size_t size);
/* All pieces go, also those that were not put back. */
void mr_slab_fini(mr_slab *s);
/* Aligned to 64 bytes; its first word is the slab's and is never written, the others hold anything.  NULL: no memory.
 */
void *mr_slab_get(mr_slab *s);
void mr_slab_put(mr_slab *s, void *piece);

#endif
