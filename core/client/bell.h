/* bell.h: how one sleeper is woken without a lost wake-up, and without a lock in shared memory.
 *
 * A bell is one 32-bit word: epoch << 3 | RUNG << 2 | who.  `who` says how to wake the sleeper: AWAKE (need not),
 * FUTEX, EVENT (write the eventfd that belongs to the bell), or LAZY (a futex, but the sleeper waits for much: ring it
 * only when there is nothing else to do, as with EVENT).  Nobody ever claims a bell: a ringer that is killed or stopped
 * between looking and waking silences nobody else, since each ringer rings for itself, at most once per epoch.
 *
 * Sleeper:  v = mr_bell_arm(b, who);  look again for work;  none: mr_bell_sleep(b, v, ns);  mr_bell_awake(b).
 * Ringer:   publish the work;  mr_bell_ring(b, &my_last_epoch, eventfd).
 * Thread: one sleeper; any number of ringers in any process, each with a `last` of its own.
 */
#ifndef MR_CLIENT_BELL_H
#define MR_CLIENT_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MR_BELL_AWAKE = 0, MR_BELL_FUTEX = 1, MR_BELL_EVENT = 2, MR_BELL_LAZY = 3, MR_BELL_RUNG = 4 };

typedef struct mr_bell {
    _Alignas(64) _Atomic uint32_t word;
} mr_bell;

/* Says "I am about to sleep"; gives the value to sleep on.  After this, look for work once more. */
uint32_t mr_bell_arm(mr_bell *b, uint32_t who);
/* Sleeps while the word is `armed`; at most `ns` (negative: for ever).  Returns 0, or EINTR, ETIMEDOUT. */
int mr_bell_sleep(mr_bell *b, uint32_t armed, int64_t ns);
/* Says "I am awake": a new epoch.  Must follow every arm, slept or not (for FUTEX); EVENT stays armed until changed. */
void mr_bell_awake(mr_bell *b);
/* After publishing: would a ring be needed?  Who rings later must be sure to. */
bool mr_bell_sleeps(mr_bell *b);
/* Wakes the sleeper if it sleeps and this ringer has not rung in this epoch.  True if a system call was made. */
bool mr_bell_ring(mr_bell *b, uint32_t *last, int eventfd);
/* For sleepers of one process that share a lock, which the caller holds too: a new epoch, and all of them are woken. */
void mr_bell_tell(mr_bell *b);
/* As mr_bell_ring without looking at `last`: after a death, and by the node itself. */
bool mr_bell_ring_always(mr_bell *b, int eventfd);

#endif
