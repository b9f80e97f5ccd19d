/* helper_brute_stops.h: stops in the brute-force model, and the policy that it shares with control: its answers are
 * worked out from what it is asked, so that both sides come to the same ones. */
#ifndef HELPER_BRUTE_STOPS_H
#define HELPER_BRUTE_STOPS_H

#include "helper_brute.h"

/* ns; negative: never. */
int64_t brute_says_slice(uint64_t seed, mr_id task, int64_t now);
/* One of the list (any order), nobody, or somebody who is not in it. */
mr_id brute_says_preempt(uint64_t seed, mr_id task, int64_t now, const mr_id *list, uint32_t n);
/* The same for every order of the list. */
mr_id brute_digest(const mr_id *list, uint32_t n);

/* The event.  ran: ns of this start; -1: not measured. */
void brute_stopped(brute *b, mr_id task, int64_t ran);

void b_signal(brute *b, const b_task *t, mr_action_kind what);
void b_void_heir(brute *b, int slot);
void b_void_heir_of(brute *b, mr_id task);
void b_begin_run(brute *b, b_task *t);
void b_pause(brute *b, b_task *t, bool blocked);
void b_go_on(brute *b, b_task *t, bool tell);     /* has its seat */
void b_unstop(brute *b, b_task *t, bool goes_on); /* with a seat, whether there is room or not */
void b_expire(brute *b);
void b_tell_started(brute *b);
void b_heirs(brute *b);
void b_ask_preempt(brute *b);

#endif
