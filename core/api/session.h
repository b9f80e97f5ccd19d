/* session.h: the inside of core/api: one session of this process, on any port.
 *
 * Every public call is `enter ... leave`: mr_close refuses new ones, wakes those that wait, and frees when all are out.
 * A closed session's own small block stays for ever, so that a late mr_decref reads "closed" and not freed memory.
 */
#ifndef MR_API_SESSION_H
#define MR_API_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include <miniray/miniray.h>

#include "base/log.h"
#include "client/calls.h"
#include "client/port.h"
#include "client/refs.h"
#include "client/ring_port.h"
#include "client/thread.h"

enum { MR_SESSION_OPEN = 1, MR_SESSION_CLOSED, MR_SESSION_FORKED };
enum { MR_FUNC_PAGE = 256, MR_FUNC_PAGES = 4096 };

/* What a submit must know of a function. */
typedef struct mr_func_note {
    _Atomic bool known;
    uint8_t kind;
    bool handle; /* its one result is a handle: an actor, a stream */
    uint32_t n_returns;
    int32_t max_pending;
} mr_func_note;

/* Memory given by mr_create and not sealed yet. */
typedef struct mr_draft {
    struct mr_draft *next;
    mr_id id;
    void *data;
    uint64_t len;
    uint32_t node;
    bool stored; /* else data is malloc'ed */
} mr_draft;

struct mr_session {
    _Atomic int state;
    _Atomic uint32_t users; /* threads between enter and leave */
    mr_bell out;            /* mr_close waits for users == 0 */
    bool worker;
    uint64_t id;
    mr_port *port;
    mr_ring_port *ring; /* the port of a worker; NULL in a driver */
    mr_refs *refs;
    pthread_mutex_t drafts_lock;
    mr_draft *drafts;
    mr_func_note *_Atomic funcs[MR_FUNC_PAGES];
    struct mr_session *older; /* all sessions of the process, newest first */
};

/* Errors: CLOSED, FORKED, INVAL (no session). */
mr_status mr_session_enter(mr_session *s, mr_err *err) MR_CHECK_RESULT;
/* A worker waits here for room in its ring, where what the call has sent found none. */
void mr_session_leave(mr_session *s);
/* The same without the wait, for what may be called anywhere. */
void mr_session_depart(mr_session *s);
/* `n` consecutive ids; cheap, from a block of the thread's own. */
mr_status mr_session_ids(mr_session *s, uint32_t n, mr_id *first) MR_CHECK_RESULT;
/* Sends a record after the holds that must come first. */
mr_status mr_session_send(mr_session *s, mr_record *r, mr_err *err) MR_CHECK_RESULT;
/* The same and waits; a refusal is the status.  a->text is freed on refusal. */
mr_status mr_session_call(mr_session *s, mr_record *r, mr_answer *a, mr_err *err) MR_CHECK_RESULT;
int64_t mr_session_deadline(int64_t timeout);

/* For mr_open and mr_config_json: file, environment, overrides.  The caller frees it. */
struct mr_config;
mr_status mr_session_config(const mr_open_args *args, struct mr_config **out, mr_err *err) MR_CHECK_RESULT;

/* funcs.c.  Errors: NOTFOUND. */
mr_status mr_session_func(mr_session *s, uint32_t number, const mr_func_note **out, mr_err *err) MR_CHECK_RESULT;

/* A record built on the stack if it is small. */
typedef struct mr_scratch {
    _Alignas(8) char small[1024];
    void *big;
} mr_scratch;
/* Zeroed body and padding; NULL: no memory, or too large (err says). */
void *mr_scratch_record(mr_scratch *b, uint32_t kind, size_t body, uint32_t n_ids, uint64_t n_bytes, mr_err *err);
void mr_scratch_free(mr_scratch *b);

#endif
