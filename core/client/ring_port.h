/* ring_port.h: a worker's port to its node, through its link block.  Inside of core/client.
 *
 *   ring_port.c  outbound: publishing, ids, memory, the port's ops    inbox.c  inbound: who reads the ring, who waits
 *   held.c       values that this process holds                      calls.c  tasks given to this worker
 *   cancel.c     the cancel signal                                    attach.c where all of it is found
 *
 * Locks, in this order: (refs) -> in_lock -> out_lock -> ids_lock.  No thread sleeps with in_lock; out_lock is held
 * while its owner waits for room in the ring, which the node makes without waiting for anybody.
 */
#ifndef MR_CLIENT_RING_PORT_H
#define MR_CLIENT_RING_PORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/table.h"
#include "client/link.h"
#include "client/port.h"
#include "plugin/loader.h"

/* Heap bytes with several owners: a dispatched record whose values outlive the call. */
typedef struct mr_blob {
    _Atomic uint32_t owners;
    _Alignas(16) char bytes[];
} mr_blob;

/* A copy that the node lent to this worker. */
struct mr_lent {
    mr_id id; /* of the carrier, or the object's own */
    uint64_t at;
};

/* A value that this process can read without asking. */
typedef struct mr_held {
    const void *data;
    uint64_t len;
    mr_blob *blob;    /* that holds data; NULL: in the carrier */
    uint64_t lent_at; /* place to RETURN; MR_NOWHERE: not lent */
    uint32_t format;
    int32_t status;
    uint32_t pins; /* looks at the bytes that have not ended */
    bool error;
    bool taken;           /* somebody has looked */
    struct mr_held *more; /* other copies of the same value which someone may be looking at */
} mr_held;

typedef struct mr_known_func {
    mr_define *def;      /* malloc'ed; stays until the port is closed */
    _Atomic int64_t ran; /* ns of its last run; MR_UNKNOWN */
} mr_known_func;

enum { MR_FOR_TOKEN, MR_FOR_CALL, MR_FOR_RESUME, MR_FOR_WATCH };
typedef struct mr_waiter {
    mr_bell bell; /* of a follower */
    struct mr_waiter *next, *prev;
    int kind;
    uint32_t token;
    mr_id task;
    bool done;
    mr_answer answer; /* of a REPLY; status of a DELIVER */
    bool *settled;    /* n answers of a DELIVER; may be NULL */
    size_t n;
} mr_waiter;

typedef struct mr_ready_cb {
    struct mr_ready_cb *next;
    uint32_t token;
    mr_id id;
    void (*done)(void *arg, mr_id id);
    void *arg;
} mr_ready_cb;

enum { MR_CALL_SMALL = 20, MR_CALL_RECORD = 24 }; /* words */
struct mr_call {
    struct mr_call *next, *prev;
    struct mr_ring_port *port;
    int kind;
    mr_blob *blob; /* the record, if it is large or has values */
    const mr_ord_dispatch *order;
    mr_dep *deps; /* in the blob */
    mr_known_func *func;
    mr_id task; /* also of CANCEL */
    bool waited, main, started, stopped, cancelled, retriable;
    int64_t began;
    uint32_t left;               /* results not yet sealed */
    uint64_t *sealed;            /* bit per result */
    const void *taker;           /* the thread that took it */
    uint64_t n_yielded, allowed; /* items of a stream: made, and may be made (in_lock) */
    mr_ev_finished *last;        /* the last result or the error, kept to travel with FINISHED; `small` or malloc'ed */
    struct mr_making *making;
    uint64_t few; /* sealed, of up to 64 */
    uint64_t small[MR_CALL_SMALL];
    uint64_t record[MR_CALL_RECORD]; /* of the order, if it is small */
};

typedef struct mr_calls {
    struct mr_call *first, *final;
} mr_calls;

typedef struct mr_ring_port {
    mr_port port;
    mr_link_page *page;
    mr_link *link;
    uint32_t number, index; /* worker number; which link */
    int event_fd;
    /* the carrier */
    mr_loaded *loaded;
    mr_host_box *host;
    void *carrier;

    pthread_mutex_t out_lock; /* out, rung */
    mr_ring_end out;
    uint32_t rung;
    _Atomic bool unrung; /* something was published that the node was not rung for */

    pthread_mutex_t ids_lock;
    mr_id id_next;
    uint64_t id_left;

    pthread_mutex_t in_lock; /* all that follows */
    mr_ring_end in;
    _Atomic bool broken; /* an order could not be followed: nothing more is read or sent, and the process ends */
    _Atomic bool stopped;
    mr_waiter *waiters, *leader;
    uint32_t last_token;
    mr_calls queue; /* given to this worker and not taken by mr_call_next */
    mr_call *open;  /* taken and not finished */
    mr_call *spare; /* for the next ones */
    uint32_t n_spare;
    mr_table held;                  /* id -> mr_held */
    uint64_t idle_bytes, idle_most; /* lent, and nobody looks: kept so that the next get need not ask */
    mr_table funcs;                 /* number -> mr_known_func * */
    mr_ready_cb *awaited, *fired;
    struct mr_lent *returns; /* to RETURN */
    size_t n_returns, returns_cap;
    uint32_t spin_failed, spin_skip; /* of the leader */
    int64_t spin_ns;
    bool dry; /* the last look for a call found none: the next one was not prefetched */
    /* the watcher thread: reads the ring when nobody else does */
    pthread_t watcher;
    bool watching;
    int call_fd;
    bool call_fd_set;

    _Atomic bool struck;        /* the cancel signal came; taken by the next wait of the main thread */
    mr_bell *_Atomic main_bell; /* that the main thread may sleep on */
    pid_t main_tid;
} mr_ring_port;

typedef struct mr_ring_conf {
    uint64_t session, inline_max;
    mr_link_page *page; /* mapped; both unmapped by close */
    mr_link *link;
    uint32_t number, index;
    int event_fd;
    const char *carrier; /* path of the store's .so, "" or NULL: none */
    mr_share share;
} mr_ring_conf;
mr_status mr_ring_port_open(const mr_ring_conf *conf, mr_ring_port **out, mr_err *err) MR_CHECK_RESULT;
/* Reads MINIRAY_ATTACH and MINIRAY_WORKER.  Errors: NOTFOUND (not a worker), PROTOCOL, IO, and those of open. */
mr_status mr_attach_port(mr_ring_port **out, mr_err *err) MR_CHECK_RESULT;

/* Publishes a record.  `urgent`: the node is rung even if it sleeps as a whole (see bell rules in ring_port.c). */
mr_status mr_ring_port_send(mr_ring_port *p, const mr_record *r, bool urgent) MR_CHECK_RESULT;
mr_status mr_ring_port_ask(mr_ring_port *p, uint32_t kind, mr_id id, uint64_t len, uint64_t at, mr_answer *out,
                           mr_err *err) MR_CHECK_RESULT;
/* Rings for what was published without ringing. */
void mr_ring_port_nudge(mr_ring_port *p);
/* Notes a place to RETURN, in_lock held; mr_inbox_unlock sends it. */
void mr_ring_port_return(mr_ring_port *p, mr_id id, uint64_t at);
const void *mr_ring_port_view(mr_ring_port *p, uint64_t at, uint64_t len);

/* join, then send the request, then wait, then part: a reply finds its waiter whenever it comes. */
void mr_inbox_join(mr_ring_port *p, mr_waiter *w, int kind);
void mr_inbox_part(mr_ring_port *p, mr_waiter *w);
/* OK, TIMEOUT, CLOSED; INTERRUPTED and CANCELLED only if `interruptible`. */
mr_status mr_inbox_wait(mr_ring_port *p, mr_waiter *w, int64_t deadline, bool interruptible) MR_CHECK_RESULT;
/* Leaves in_lock, then does what must not be done under it: RETURN records, callbacks. */
void mr_inbox_unlock(mr_ring_port *p);
/* Reads what is there, without waiting; in_lock held. */
void mr_inbox_look(mr_ring_port *p);
void mr_inbox_stop(mr_ring_port *p);
void mr_inbox_stir(mr_ring_port *p); /* all who wait look again; in_lock held */
/* Wakes those who wait for `kind` (and `task`, if not 0); in_lock held. */
void mr_inbox_done(mr_ring_port *p, int kind, mr_id task);
mr_status mr_inbox_watch(mr_ring_port *p) MR_CHECK_RESULT; /* starts the watcher; in_lock not held */

mr_blob *mr_blob_new(size_t len);
void mr_blob_drop(mr_blob *b);
/* in_lock held.  `v` is consumed: kept, or given back when there is one already and nobody can be looking at it
 * (!seen). */
void mr_held_put(mr_ring_port *p, mr_id id, const mr_held *v, bool seen);
void mr_held_fini(mr_ring_port *p);
/* What the record or carrier says of a dependency; the blob is not yet owned. */
mr_status mr_held_read(mr_ring_port *p, const mr_record *r, const mr_dep *d, mr_held *out) MR_CHECK_RESULT;
mr_status mr_held_value(mr_ring_port *p, mr_id id, mr_value *out) MR_CHECK_RESULT;
bool mr_held_has(mr_ring_port *p, mr_id id, bool *error); /* in_lock held */
void mr_held_forget(mr_ring_port *p, mr_id id);
void mr_held_unview(mr_ring_port *p, mr_id id, uint32_t n);
void mr_held_idle(mr_ring_port *p); /* in_lock held: gives back what is lent and not looked at */

/* From the inbox, in_lock held. */
/* A DISPATCH; `whole`: the heap copy that r lies in, which it may come to own too; NULL: r is copied. */
mr_status mr_calls_put(mr_ring_port *p, const mr_record *r, mr_blob *whole) MR_CHECK_RESULT;
mr_status mr_calls_note(mr_ring_port *p, int kind, mr_id task) MR_CHECK_RESULT;
void mr_calls_allow(mr_ring_port *p, mr_id task, uint64_t items);
void mr_calls_fini(mr_ring_port *p);
mr_known_func *mr_calls_func(mr_ring_port *p, uint32_t number);
mr_status mr_calls_define(mr_ring_port *p, uint32_t number, const mr_define *def, size_t len) MR_CHECK_RESULT;

/* Makes this process's main thread (the caller) the target of the cancel signal. */
mr_status mr_cancel_arm(mr_ring_port *p, mr_err *err) MR_CHECK_RESULT;
void mr_cancel_disarm(mr_ring_port *p);
/* The main thread's own look: did the signal come since the last look? */
mr_status mr_cancel_struck(mr_ring_port *p);
/* The look of another thread: was the call that it runs cancelled?  in_lock held. */
mr_status mr_cancel_of_thread(const mr_ring_port *p);
void mr_cancel_hook(void (*hook)(void));
bool mr_cancel_is_main(const mr_ring_port *p);

#endif
