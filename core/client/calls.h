/* calls.h: tasks given to this worker, from dispatch to outcome.  See miniray.h ("the side of a worker").
 *
 * Thread: mr_calls_next by one thread at a time; a call is used by one thread at a time.
 */
#ifndef MR_CLIENT_CALLS_H
#define MR_CLIENT_CALLS_H

#include <miniray/miniray.h>

#include "client/results.h"

mr_status mr_calls_next(mr_ring_port *p, int64_t deadline, mr_call **out) MR_CHECK_RESULT;
int mr_calls_fd(mr_ring_port *p);
void mr_calls_describe(const mr_call *c, mr_call_info *out);
bool mr_calls_long(const mr_call *c); /* not known to be shorter than MR_CALL_LONG */
mr_status mr_calls_dep(mr_call *c, uint32_t i, mr_value *out) MR_CHECK_RESULT;
mr_status mr_calls_start(mr_call *c, bool main_thread) MR_CHECK_RESULT;
mr_status mr_calls_stop(mr_call *c) MR_CHECK_RESULT;
/* References in what will travel with FINISHED. */
const mr_id *mr_calls_kept_refs(const mr_call *c, uint32_t *n);
bool mr_calls_cancelled(const mr_call *c);
/* Results that were neither returned nor replaced by an error. */
uint32_t mr_calls_missing(const mr_call *c);
/* Keeps values of dependencies that the process still holds. */
mr_id mr_calls_dep_id(const mr_call *c, uint32_t i);
bool mr_calls_keep_dep(mr_call *c, uint32_t i, bool looked);
mr_status mr_calls_finish(mr_call *c, mr_status outcome, bool leave) MR_CHECK_RESULT;

#endif
