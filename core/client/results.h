/* results.h: what a call has made so far.  Thread: a call is used by one thread at a time. */
#ifndef MR_CLIENT_RESULTS_H
#define MR_CLIENT_RESULTS_H

#include <miniray/miniray.h>

#include "client/port_state.h"

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

mr_status mr_calls_return(mr_call *c, uint32_t i, const mr_content *v, mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_create(mr_call *c, uint32_t i, uint64_t len, void **data, mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_seal(mr_call *c, uint32_t i, uint32_t format, const mr_id *refs, uint32_t n_refs,
                        mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_yield(mr_call *c, const mr_content *v, mr_err *err) MR_CHECK_RESULT;
mr_status mr_calls_room(mr_call *c, int64_t deadline) MR_CHECK_RESULT;
mr_status mr_calls_error(mr_call *c, const mr_content *v, bool retriable, mr_err *err) MR_CHECK_RESULT;
/* Sends the FINISHED record. */
mr_status mr_results_finish(mr_call *c, mr_status outcome, bool leave) MR_CHECK_RESULT;

#endif
