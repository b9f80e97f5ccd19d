/* helper_brute_step.h: the events of the brute-force model: one function for each, which says in b->told what control
 * has to say. */
#ifndef HELPER_BRUTE_STEP_H
#define HELPER_BRUTE_STEP_H

#include "helper_brute.h"

void brute_submit(brute *b, const b_func *f, mr_id id, uint32_t n_returns, const mr_id *ids, uint32_t n_deps,
                  uint32_t n_ids, uint32_t owner, mr_id parent, mr_id actor, bool unheard);
/* in: the two references inside, 0: none. */
void brute_put(brute *b, mr_id id, uint32_t client, const mr_id in[2]);
void brute_time(brute *b, int64_t later);
void brute_up(brute *b, uint32_t worker);
void brute_sealed(brute *b, mr_id task, uint32_t index, const mr_id in[2]);
void brute_finished(brute *b, mr_id task, mr_status outcome, bool retriable);
void brute_died(brute *b, uint32_t worker, mr_status how);
void brute_remove_node(brute *b, int node);
void brute_retired(brute *b, uint32_t worker);
void brute_cancel(brute *b, mr_id task, uint32_t flags);
void brute_kill(brute *b, mr_id actor, bool no_restart);
void brute_revoked(brute *b, mr_id task, bool ok);
void brute_blocked(brute *b, uint32_t client, uint32_t token, mr_id task, uint32_t need, uint32_t flags,
                   const mr_id *ids, uint32_t n);
void brute_unblocked(brute *b, uint32_t client, uint32_t token);
void brute_refs(brute *b, uint32_t client, mr_id id, bool add);
void brute_free(brute *b, mr_id id);

#endif
