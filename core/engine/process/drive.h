/* drive.h: driving control and waiting; see drive.c.  The node list's lock is held unless said otherwise. */
#ifndef MR_ENGINE_DRIVE_H
#define MR_ENGINE_DRIVE_H

#include "engine/process/node.h"

/* Steps one event, with what it needs of values, and acts on what follows.  The record must be whole and private. */
mr_status mr_drive_step(mr_nodes *n, const mr_record *r);
/* The two halves of it: what is applied together may share one look at the clock. */
void mr_drive_tick(mr_nodes *n);
mr_status mr_drive_apply(mr_nodes *n, const mr_record *r);
/* Takes from the driver what it has given up and not told: the lock is let go of meanwhile. */
void mr_drive_drops(mr_nodes *n);
/* Takes all records of one peer. */
void mr_drive_drain(mr_nodes *n, mr_peer *p);
/* Takes what lies in rings and queues, steps it, closes the instant if no batch is open. */
void mr_drive_pump(mr_nodes *n);
/* The driver has made a call: does it submit in a loop, so that workers may sleep a little longer? */
void mr_drive_burst(mr_nodes *n, bool submits);
/* Before unlocking: rings for the workers that were given something. */
void mr_drive_bells(mr_nodes *n);
bool mr_drive_pending(mr_nodes *n);
/* Queues an event of the engine's own (copied). */
void mr_drive_inner(mr_nodes *n, const mr_record *r);
mr_status mr_drive_spare(mr_nodes *n) MR_CHECK_RESULT; /* at the start: places for events */
/* Waits for w->done; leads or follows.  deadline: absolute CLOCK_MONOTONIC ns, -1.  OK, TIMEOUT, INTERRUPTED, CLOSED.
 */
mr_status mr_drive_wait(mr_nodes *n, mr_waiter *w, int64_t deadline);
/* A batch keeps the instant open until the thread that began it ends it or waits: out of a wait of its own,
 * `mr_drive_rest` closes it for the moment (how deep it was: for mr_drive_go_on). */
void mr_drive_batch(mr_nodes *n, bool begin);
uint32_t mr_drive_rest(mr_nodes *n);
void mr_drive_go_on(mr_nodes *n, uint32_t depth);
void mr_drive_add(mr_nodes *n, mr_waiter *w); /* gives it a token */
void mr_drive_remove(mr_nodes *n, mr_waiter *w);
mr_waiter *mr_drive_find(mr_nodes *n, uint32_t token);
void mr_drive_wake(mr_nodes *n, mr_waiter *w, mr_status status);
/* Settles, unlocks and runs the callbacks that are due. */
void mr_drive_unlock(mr_nodes *n);
int64_t mr_drive_monotonic(void); /* no lock */

#endif
