/* status.h: every way a miniray call can end.
 *
 * A fallible function returns an mr_status: 0 or negative, so `if (status)` is an error.  Results come back through the
 * last out-pointers, which are untouched on failure.  Functions that open, load or parse also fill a caller-owned
 * mr_err with one sentence that says what failed, on which input, and what to do.  Nothing here needs freeing.
 */
#ifndef MINIRAY_STATUS_H
#define MINIRAY_STATUS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Append only: the numbers travel in records and are part of the ABI. */
#define MR_STATUS_MAP(X)                                                                                               \
    X(OK, 0, "ok")                                                                                                     \
    X(E_INVAL, -1, "invalid argument")                                                                                 \
    X(E_NOMEM, -2, "out of memory")                                                                                    \
    X(E_NOTFOUND, -3, "not found")                                                                                     \
    X(E_EXISTS, -4, "already exists")                                                                                  \
    X(E_BUSY, -5, "busy")                                                                                              \
    X(E_FULL, -6, "the object store is full")                                                                          \
    X(E_TOOBIG, -7, "too large")                                                                                       \
    X(E_TIMEOUT, -8, "timed out")                                                                                      \
    X(E_CANCELLED, -9, "cancelled")                                                                                    \
    X(E_CLOSED, -10, "closed")                                                                                         \
    X(E_IO, -11, "input/output error")                                                                                 \
    X(E_ABI, -12, "plugin ABI mismatch")                                                                               \
    X(E_CONFIG, -13, "bad configuration")                                                                              \
    X(E_PLUGIN, -14, "plugin failure")                                                                                 \
    X(E_POLICY, -15, "policy failure")                                                                                 \
    X(E_UNSCHEDULABLE, -16, "no node can ever satisfy this request")                                                   \
    X(E_DEADLOCK, -17, "deadlock")                                                                                     \
    X(E_CRASHED, -18, "the worker process died")                                                                       \
    X(E_ACTOR_DIED, -19, "the actor died")                                                                             \
    X(E_ACTOR_UNAVAILABLE, -20, "the actor is restarting")                                                             \
    X(E_LOST, -21, "the object was lost")                                                                              \
    X(E_FREED, -22, "the object was freed")                                                                            \
    X(E_SESSION, -23, "this reference belongs to another session")                                                     \
    X(E_TASK, -24, "the task raised an error")                                                                         \
    X(E_NAME_TAKEN, -25, "this name is already taken")                                                                 \
    X(E_PENDING_CALLS, -26, "too many pending calls")                                                                  \
    X(E_FORKED, -27, "this process was forked after the session opened")                                               \
    X(E_UNSUPPORTED, -28, "not supported")                                                                             \
    X(E_INTERRUPTED, -29, "interrupted by a signal")                                                                   \
    X(E_OOM, -30, "the worker process ran out of memory")                                                              \
    X(E_OWNER_DIED, -31, "the process that owns this task died")                                                       \
    X(E_NODE_DIED, -32, "the node was removed")                                                                        \
    X(E_PROTOCOL, -33, "malformed record")                                                                             \
    X(E_END, -34, "end of stream")                                                                                     \
    X(E_GROUP_REMOVED, -35, "the placement group was removed")

typedef enum mr_status {
#define MR_STATUS_ENUM(name, code, text) MR_##name = (code),
    MR_STATUS_MAP(MR_STATUS_ENUM)
#undef MR_STATUS_ENUM
} mr_status;

/* A status with its place.  Caller-owned; `text` is always NUL-terminated and is cut rather than overflowed. */
typedef struct mr_err {
    mr_status status;
    char text[1020];
} mr_err;

#if defined(__GNUC__)
#define MR_CHECK_RESULT __attribute__((warn_unused_result))
#define MR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define MR_CHECK_RESULT
#define MR_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
}
#endif
#endif
