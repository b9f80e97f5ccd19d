/* port_state.h: what a worker's port consists of.  Inside of core/client: the files below share it, and each is told of
 * those above it alone:
 *
 *   outbox.c    publishing, and the bell of the node     waiters.c   who waits for what
 *   held.c      values that this process holds           cancel.c    the cancel signal
 *   backlog.c   tasks given and not taken, functions     inbox.c     reading orders; who reads waits, who waits reads
 *   results.c   what a call has made                     calls.c     taking a call, its start and its end
 *   ring_port.c the port's ops, opening and closing      attach.c    where all of it is found
 *
 * Locks, in this order: (refs) -> in_lock -> lease.lock -> out_lock -> ids_lock.  No thread waits for the node with
 * one: a record that finds no room in the ring is kept, and whoever sent it waits when it has left its locks.
 */
#ifndef MR_CLIENT_PORT_STATE_H
#define MR_CLIENT_PORT_STATE_H

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

/* Memory that was given for a result, or an item of a stream, and not sealed yet. */
typedef struct mr_making {
    struct mr_making *next;
    mr_id id;
    uint32_t index; /* or MR_CALL_ITEM */
    uint64_t len;
    bool stored; /* in the carrier; else `bytes` */
    uint32_t node;
    void *bytes;
} mr_making;

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
    bool waited, main, started, stopped, retriable;
    _Atomic bool cancelled; /* of one that no signal strikes: a cancel came */
    bool told;              /* a wait of it has said so (in_lock) */
    int64_t began;
    uint32_t left;               /* results not yet sealed */
    uint64_t *sealed;            /* bit per result */
    const void *taker;           /* the thread that took it */
    uint64_t n_yielded, allowed; /* items of a stream: made, and may be made (in_lock) */
    mr_ev_finished *last;        /* the last result or the error, kept to travel with FINISHED; `small` or malloc'ed */
    mr_making *making;
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

    pthread_mutex_t out_lock; /* all up to `unrung` */
    mr_ring_end out;
    uint32_t rung;
    struct mr_unsent *unsent, **unsent_end; /* what found no room, in order */
    uint64_t n_kept, n_moved;               /* in there: in all, and that have gone */
    bool pushing;                           /* a thread sleeps for room */
    mr_bell moved;                          /* of the others who do */
    _Atomic bool unrung;                    /* something was published that the node was not rung for */

    struct { /* lease.c */
        pthread_mutex_t lock;
        uint64_t at, left; /* what is free of it */
        uint32_t wait;     /* values that still ask the node, before a lease is asked for */
        bool asking;
    } lease;

    pthread_mutex_t ids_lock;
    mr_id id_next;
    uint64_t id_left;

    pthread_mutex_t in_lock; /* all that follows */
    mr_ring_end in;
    _Atomic int broken; /* why an order could not be followed: nothing more is read or sent, and the process ends */
    _Atomic bool stopped;
    mr_blob *partial; /* of a record that comes in pieces; NULL: none has begun */
    uint64_t partial_at, partial_len;
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
    _Atomic uint64_t heard;     /* the slot word that it found */
    mr_bell *_Atomic main_bell; /* that the main thread may sleep on */
    pid_t main_tid;
} mr_ring_port;

/* ring_port.c: the port's `create`.  fresh: no process has begun to make the value of `id` before. */
mr_status mr_ring_create(mr_port *port, mr_id id, uint64_t len, bool fresh, void **data, uint32_t *node,
                         mr_err *err) MR_CHECK_RESULT;

static inline _Atomic uint64_t *mr_call_claim(const mr_call *c)
{
    return &c->port->link->claims[c->order->seq % MR_CLAIMS];
}

#endif
