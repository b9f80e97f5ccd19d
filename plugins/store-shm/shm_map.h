/* shm_map.h: the memory behind the arena: a sealed memfd, mapped twice in every process.
 *
 * The read-only map comes from a descriptor reopened O_RDONLY, so the kernel refuses to make it writable.  The file has
 * no name, so nothing is left when the last process ends.
 *
 * Thread: populate and view run concurrently with everything; the rest under the node's lock, or at start and end.
 */
#ifndef SHM_MAP_H
#define SHM_MAP_H

#include <stdatomic.h>
#include <stdbool.h>

#include <miniray/host.h>
#include <miniray/store.h>

enum { SHM_HUGE = 2 << 20 };

typedef struct shm_map {
    int fd_rw, fd_ro; /* -1: not ours to close (a peer's) */
    uint64_t size;    /* multiple of SHM_HUGE */
    uint64_t page;    /* of this system */
    char *rw, *ro;
    /* Of shm_populate.c; in each process its own.  `small_ns`: what making a window of SHM_HUGE bytes present took of
     * late in small pages; 0: not tried yet.  `n_windows`: made present so far.  `pass`: the next so many in small
     * pages.  `wait`: one less than that for the next huge page that is dear.  `mapped`: a bit per window, set once its
     * pages are in this process' writable map. */
    atomic_uint_least64_t small_ns, n_windows, pass, wait, *mapped;
} shm_map;

/* Makes the file and both maps.  Errors: NOMEM, IO, CONFIG; fills err, `name` is for its text. */
mr_status shm_map_new(shm_map *m, uint64_t capacity, const char *name, mr_err *err);
/* Both maps over another process' file. */
mr_status shm_map_join(shm_map *m, const mr_share *share, const char *name, mr_err *err);
void shm_map_fini(shm_map *m);

/* Makes the pages under [at, at + len) present and mapped for writing here (shm_populate.c).  Large ranges are shared
 * out over a few threads, which have ended when it returns.  Errors: INVAL, NOMEM, IO. */
mr_status shm_map_populate(shm_map *m, uint64_t at, uint64_t len);
/* Gives back the whole huge pages inside [at, at + len), about `most` bytes at most.  Answers bytes freed. */
uint64_t shm_map_punch(shm_map *m, uint64_t at, uint64_t len, uint64_t most);
/* Bytes of memory behind the file. */
uint64_t shm_map_resident(const shm_map *m);

#endif
