/* calls.h: tasks given to this worker, from dispatch to outcome.  See miniray.h ("the side of a worker").
 *
 * Thread: mr_calls_next by one thread at a time; a call is used by one thread at a time.
 */
#ifndef MR_CLIENT_CALLS_H
#define MR_CLIENT_CALLS_H

#include <miniray/miniray.h>

#include "client/ring_port.h"

/* Work that takes longer than this (ns) is worth a ring of the bell: before it, for what was published, and after it.
 */
enum { MR_CALL_LONG = 100000 };

/* What a value is, and the references in it. */
typedef struct mr_content {
    uint32_t format;
    const void *data;
    uint64_t len;
    const mr_id *refs;
    uint32_t n_refs;
} mr_content;

mr_status mr_calls_next(mr_ring_port *p, int64_t deadline, mr_call **out) MR_CHECK_RESULT;
int mr_calls_fd(mr_ring_port *p);
void mr_calls_describe(const mr_call *c, mr_call_info *out);
bool mr_calls_long(const mr_call *c); /* not known to be shorter than MR_CALL_LONG */
mr_status mr_calls_dep(mr_call *c, uint32_t i, mr_value *out) MR_CHECK_RESULT;
mr_status mr_calls_start(mr_call *c, bool main_thread) MR_CHECK_RESULT;
mr_status mr_calls_stop(mr_call *c) MR_CHECK_RESULT;
mr_status mr_calls_return(mr_call *c, uint32_t i, const mr_content *v, mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_create(mr_call *c, uint32_t i, uint64_t len, void **data, mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_seal(mr_call *c, uint32_t i, uint32_t format, const mr_id *refs, uint32_t n_refs,
                        mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_yield(mr_call *c, const mr_content *v, mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_room(mr_call *c, int64_t deadline) MR_CHECK_RESULT;
mr_status mr_calls_error(mr_call *c, const mr_content *v, bool retriable, mr_err *err) MR_CHECK_RESULT;
/* References in what will travel with FINISHED. */
const mr_id *mr_calls_kept_refs(const mr_call *c, uint32_t *n);
bool mr_calls_cancelled(const mr_call *c);
/* Results that were neither returned nor replaced by an error. */
uint32_t mr_calls_missing(const mr_call *c);
/* Keeps values of dependencies that the process still holds. */
mr_id mr_calls_dep_id(const mr_call *c, uint32_t i);
bool mr_calls_keep_dep(mr_call *c, uint32_t i, bool looked);
mr_status mr_calls_finish(mr_call *c, mr_status outcome, bool leave) MR_CHECK_RESULT;

/* Between calls.c and results.c: the FINISHED record; and freeing what is left. */
mr_status mr_results_finish(mr_call *c, mr_status outcome, bool leave) MR_CHECK_RESULT;
void mr_results_fini(mr_call *c);

#endif
