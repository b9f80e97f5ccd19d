/* shm_index.h: id -> extent.  Open addressing with linear probing; at most half full; no tombstones.
 *
 * Thread: none of its own; the caller holds the node's lock.
 */
#ifndef SHM_INDEX_H
#define SHM_INDEX_H

#include "shm_arena.h"

typedef struct shm_slot {
    mr_id id; /* MR_NO_ID: empty */
    shm_extent *extent;
} shm_slot;

typedef struct shm_index {
    const mr_host *host;
    shm_slot *slots;
    size_t n;
    unsigned bits; /* 2^bits slots */
} shm_index;

/* Errors: NOMEM. */
mr_status shm_index_init(shm_index *x, const mr_host *host);
void shm_index_fini(shm_index *x);
/* NULL: no such id. */
shm_extent *shm_index_find(const shm_index *x, mr_id id);
/* Room for one more, so that the put that follows can not fail.  Errors: NOMEM. */
mr_status shm_index_reserve(shm_index *x);
/* `id` is not in the index, and room was reserved. */
void shm_index_put(shm_index *x, mr_id id, shm_extent *e);
void shm_index_drop(shm_index *x, mr_id id);

#endif
