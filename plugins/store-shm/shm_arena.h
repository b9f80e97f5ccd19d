/* shm_arena.h: which bytes of the arena are free, and which belong to whom.  Offsets only: it touches no object memory.
 *
 * The arena [0, size) is cut into extents without gaps, each free or used.  Free neighbours are always joined, so there
 * is one canonical free list.  Taking gives the lowest address that fits: a repeated put then lands on pages that are
 * warm and mapped, and the idle memory gathers at the end.
 *
 * Thread: none of its own; the caller holds the node's lock.
 */
#ifndef SHM_ARENA_H
#define SHM_ARENA_H

#include <miniray/host.h>
#include <miniray/types.h>

enum { SHM_GRANULE = 64 };

typedef enum shm_state { SHM_FREE, SHM_OPEN, SHM_SEALED } shm_state;

/* One cache line.  A free extent is a node of the treap by offset; a used one is an object (or a lease). */
typedef struct shm_extent {
    uint64_t off, len;                 /* multiples of SHM_GRANULE; a lease cut to nothing has len 0 */
    struct shm_extent *before, *after; /* neighbours by address */
    union {
        struct {
            struct shm_extent *left, *right;
            uint64_t widest; /* longest extent of this subtree */
        } tree;
        struct {
            mr_id id;
            uint64_t bytes; /* as asked for */
            uint32_t pins;
        } object;
    } u;
    uint32_t weight; /* of the treap: parents are not lighter than children */
    uint8_t state;   /* shm_state */
} shm_extent;

typedef struct shm_arena {
    const mr_host *host;
    shm_extent *root;  /* treap of the free extents */
    shm_extent *spare; /* unused records, linked by `after` */
    void **slabs;      /* what the records live in; freed by fini */
    size_t n_slabs;
    uint64_t size, used;
    uint64_t n_used; /* used extents */
    uint32_t seed;
} shm_arena;

/* Errors: NOMEM. */
mr_status shm_arena_init(shm_arena *a, const mr_host *host, uint64_t size);
void shm_arena_fini(shm_arena *a);

/* A used extent of `len` bytes (a multiple of the granule, not 0) at the lowest address.  Errors: FULL, NOMEM. */
mr_status shm_arena_take(shm_arena *a, uint64_t len, shm_extent **out);
/* Ends a used extent and joins it with its free neighbours.  Never fails. */
void shm_arena_give(shm_arena *a, shm_extent *e);
/* The first `len` bytes of the used extent `e` become a used extent of their own.  Errors: NOMEM. */
mr_status shm_arena_cut(shm_arena *a, shm_extent *e, uint64_t len, shm_extent **out);

/* The longest free extent. */
uint64_t shm_arena_widest(const shm_arena *a);
/* Calls `each` for every free extent of at least `len` bytes, highest address first, while it answers true. */
void shm_arena_free_extents(const shm_arena *a, uint64_t len, bool (*each)(void *arg, uint64_t off, uint64_t len),
                            void *arg);

#endif
