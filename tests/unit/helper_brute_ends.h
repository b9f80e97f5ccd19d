/* helper_brute_ends.h: how things end in the brute-force model: what its events are made of. */
#ifndef HELPER_BRUTE_ENDS_H
#define HELPER_BRUTE_ENDS_H

#include "helper_brute.h"

void b_over(brute *b, b_task *t, mr_status outcome);
void b_seal_rest(brute *b, b_task *t, int status, mr_id cause);
void b_end(brute *b, b_task *t, mr_status status, mr_id cause);
void b_pump(brute *b, mr_id actor);
void b_release_calls(brute *b, mr_id actor, uint32_t caller);
void b_detach(brute *b, b_task *t);
void b_fail_later(brute *b, b_task *t, mr_id cause);
/* Of an argument that is gone since it was ready; a stopped task has them all.  t may be NULL. */
bool b_fail_by_lost(brute *b, b_task *t);
void b_fail_now(brute *b, b_task *t, mr_status status);
void b_again(brute *b, b_task *t);
bool b_may_try_again(const b_task *t);
void b_unblock(brute *b, b_wait *w);
void b_deliver(brute *b, uint32_t client, uint32_t token);
void b_settle(brute *b, mr_id id, mr_object_state state);
void b_actor_die(brute *b, mr_id id, mr_status status);
void b_actor_exit(brute *b, mr_id id, mr_status status);
void b_actor_lost(brute *b, mr_id id);
bool b_drain(brute *b); /* ends those that fail later; true: there were any */
void b_begin(brute *b);
void b_done(brute *b);
/* Is it not the oldest that was sent to its actor? */
bool brute_before_in_flight(brute *b, const b_task *t);

#endif
