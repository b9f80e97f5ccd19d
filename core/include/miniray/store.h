/* store.h: where the bytes live.  ABI 1.0, append only.
 *
 * A store holds sealed, immutable objects of one node, and nothing but their bytes.  It never waits, never calls back,
 * never evicts: on MR_E_FULL control asks for garbage first and then chooses victims.  Waiting, reference counting,
 * spilling and lineage are control's and the engine's, so every store gets them all.
 *
 * Life of an object:  create -> (populate) -> the creator writes -> seal -> get/release ... -> remove
 *                     create -> abort
 * Life of a lease (an extent lent to a worker that creates without asking):
 *                     create(lease) -> split(piece 1) -> seal(piece 1) -> split(piece 2) ... -> abort(lease)
 *
 * Where and under what an op runs:
 *   NODE/LOCK   in the node's process, one at a time (the caller holds the node's lock); must take microseconds
 *   NODE/FREE   in the node's process, any thread, concurrent with every op; may take milliseconds
 *   PEER        in another process of the session that attached; any thread, concurrent; no lock of the node is held
 *
 * Every op takes `self`, made by open (or attach) and ended by close (or detach).  No globals: two instances live in
 * one process.  Objects are aligned to MR_STORE_ALIGN bytes.  A zero-length object is legal: its data pointer is
 * non-NULL and must not be read.
 *
 * store_book.h does for a store what all of them do alike.  The shortest complete store is plugins/store-mem; `miniray
 * new-plugin store NAME` writes one to begin with, and `miniray plugins check FILE.so` runs the conformance suite,
 * which is this header as tests.
 */
#ifndef MINIRAY_STORE_H
#define MINIRAY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <miniray/host.h>
#include <miniray/status.h>
#include <miniray/types.h>

enum { MR_STORE_ALIGN = 64 };
#define MR_NOWHERE UINT64_MAX

/* Bytes of an object.  `at` names the place to other processes (see view); MR_NOWHERE when the store is not shared. */
typedef struct mr_region {
    void *data;
    uint64_t len;
    uint64_t at;
} mr_region;

/* What another process needs to attach: descriptors that it inherits, and a size.  The store owns the descriptors and
 * opens them close-on-exec: whoever starts a process passes them on.  The file behind them can not change its size, so
 * no process can make another die of SIGBUS. */
typedef struct mr_share {
    int fd_rw; /* for what it creates */
    int fd_ro; /* reopened O_RDONLY, for views: mprotect to writable is refused by the kernel */
    uint64_t size;
} mr_share;

typedef struct mr_store_conf {
    uint64_t capacity; /* bytes of objects this instance may hold */
    uint32_t node;     /* dense number of the node, for messages */
} mr_store_conf;

typedef struct mr_store_stats {
    uint64_t capacity;
    uint64_t used;      /* bytes in created and sealed objects, rounded up as the store rounds them */
    uint64_t n_objects; /* created and sealed */
    uint64_t largest;   /* largest object that create would accept now */
    uint64_t resident;  /* bytes of memory behind it, if known; else = used */
} mr_store_stats;

typedef struct mr_store_ops {
    /* -- mandatory ------------------------------------------------------------------------------------ NODE/LOCK -- */

    /* Makes an empty instance.  Errors: NOMEM, CONFIG, IO; fills err. */
    mr_status (*open)(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err);
    /* Frees everything, pinned or not.  Views of other processes stay valid until they detach. */
    void (*close)(void *self);

    /* Reserves `len` bytes under `id` and gives them for writing.  Bookkeeping only; the bytes hold anything.
     * Errors, in the order they are looked for: INVAL (id is MR_NO_ID), EXISTS, TOOBIG (can never fit), FULL (could fit
     * later), NOMEM. */
    mr_status (*create)(void *self, mr_id id, uint64_t len, mr_region *out);
    /* From now on immutable and visible to get.  Errors: NOTFOUND, INVAL (sealed already). */
    mr_status (*seal)(void *self, mr_id id);
    /* Gives an unsealed object's bytes back.  Errors: NOTFOUND, INVAL (sealed). */
    mr_status (*abort)(void *self, mr_id id);
    /* Pins a sealed object and gives its bytes, valid until the matching release.  A store that shares memory gives
     * them read-only: writing faults.  Errors: NOTFOUND (also: not sealed). */
    mr_status (*get)(void *self, mr_id id, mr_region *out);
    /* Undoes one get.  Errors: NOTFOUND, INVAL (not pinned). */
    mr_status (*release)(void *self, mr_id id);
    /* Deletes a sealed object.  Errors: NOTFOUND (also: not sealed), BUSY (pinned). */
    mr_status (*remove)(void *self, mr_id id);

    /* -- optional ----------------------------------------------------------------------------------------------- -- */

    /* NODE/FREE or PEER.  Makes the pages of a fresh region ready to write (first touch, huge pages).  On failure the
     * region must not be written.  Never changes a byte that is already there.  Asked again, or on warm memory, it
     * costs about 2 us (0.4 ms for 800 MB), so it is worth a call from some 64 KB up.  Absent: pages come as they are
     * touched. Errors: NOMEM (the machine or its memory group has not enough left), IO, INVAL (outside the store). */
    mr_status (*populate)(void *self, const mr_region *r);
    /* NODE/LOCK.  The first `len` bytes of lease `lease` (rounded up to the alignment) become the unsealed object `id`;
     * the lease shrinks from the front, and `used` stays.  A lease is any unsealed object; one that has shrunk to
     * nothing is still there until abort.  Errors: INVAL (id is MR_NO_ID), NOTFOUND (no such lease, or sealed), EXISTS,
     * TOOBIG (more than is left), NOMEM. */
    mr_status (*split)(void *self, mr_id lease, mr_id id, uint64_t len, mr_region *out);
    /* NODE/LOCK.  How others attach; the same answer every time.  share, attach, view and detach come together or not
     * at all.  Absent: other processes get copies.  Errors: IO. */
    mr_status (*share)(void *self, mr_share *out);
    /* PEER.  Joins from another process; `self` is a view-only instance on which only view, populate and detach are
     * called.  The descriptors are borrowed: they may be closed afterwards.  Errors: NOMEM, IO; fills err. */
    mr_status (*attach)(void **self, const mr_host *h, const mr_share *share, mr_err *err);
    /* PEER.  The address of `len` bytes at place `at`; NULL if outside.  Constant time.  Writable only for regions that
     * the node created for this process. */
    void *(*view)(void *self, uint64_t at, uint64_t len, bool writable);
    /* PEER.  Ends what attach began; views become invalid. */
    void (*detach)(void *self);
    /* NODE/LOCK. */
    void (*stats)(void *self, mr_store_stats *out);
    /* NODE/LOCK.  Gives idle memory back to the system; returns bytes given back, and 0 when there is no more.  One
     * call does a bounded amount (it holds the lock).  Called rarely, by a timer. */
    uint64_t (*trim)(void *self);
} mr_store_ops;

#endif
