/* ring.h: a byte ring of records in shared memory, one producer and one consumer, in two processes.
 *
 * A record is contiguous; where it does not fit before the end, a filler (kind 0) takes the rest.  The producer makes a
 * record visible by one release store of `tail`, so a half-written one of a killed producer is never seen.  The
 * consumer believes nothing: `tail` and sizes are checked against the capacity it knows itself.
 * Thread: producers (consumers) of one side are serialised by their own lock.
 */
#ifndef MR_CLIENT_RING_H
#define MR_CLIENT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <miniray/status.h>

#include "control/record.h"

/* In shared memory.  Positions only grow; the place is position mod capacity (a power of two). */
typedef struct mr_ring {
    _Alignas(64) _Atomic uint64_t tail; /* written by the producer */
    _Alignas(64) _Atomic uint64_t head; /* written by the consumer */
} mr_ring;

/* One process's end of a ring: where it is mapped, and what this side knows without asking the other. */
typedef struct mr_ring_end {
    mr_ring *ring;
    char *data;
    uint32_t capacity;
    uint64_t mine;   /* producer: tail; consumer: head */
    uint64_t theirs; /* last seen of the other */
} mr_ring_end;

void mr_ring_end_init(mr_ring_end *e, mr_ring *ring, void *data, uint32_t capacity, bool producer);

/* Room for a record of `size` bytes (a multiple of 8, at most capacity / 2) to be written in place; NULL: full. */
void *mr_ring_reserve(mr_ring_end *e, uint32_t size);
/* Publishes what was reserved last. */
void mr_ring_publish(mr_ring_end *e, uint32_t size);
bool mr_ring_fuller(mr_ring_end *e, uint32_t bytes); /* producer: has the consumer more than `bytes` to take? */

/* The next record, in place, until mr_ring_take; NULL: empty.  Errors: PROTOCOL when the other side wrote nonsense
 * (then the ring must not be read again). */
mr_status mr_ring_peek(mr_ring_end *e, const mr_record **out) MR_CHECK_RESULT;
void mr_ring_take(mr_ring_end *e, const mr_record *r);
/* Is there something?  Any thread; may be late, never wrong for long. */
bool mr_ring_ready(const mr_ring_end *e);

#endif
