/* link.h: what a worker process and its node share, and the orders that travel to a worker.
 *
 * One memfd holds a page of the node and MR_LINKS_MAX link blocks (sparse; pages come as they are used).  This file is
 * the one list of what another process can write, and what a process killed or *stopped* at any instruction leaves
 * behind:
 *
 *   word            written by                 left behind by a killed or stopped writer
 *   page.bell       node (arm), workers (RUNG) an extra or a missing RUNG: the node rings itself on each death and stop
 *   page.dirty      workers set, node clears   a bit without a record (harmless), or a record without its bit: the node
 *                                              looks at a link on every death and stop of its worker
 *   page.tight      node                       (the node's death ends the session)
 *   link.out        worker                     nothing: a record is visible only when whole
 *   link.in         node                       (the node's death ends the session)
 *   link.bell       worker (arm), node (RUNG)  nothing that matters to others
 *   link.slot       both, compare-and-swap     a state that ends with the process
 *   link.claims     both, compare-and-swap     QUEUED or STARTED: control requeues or blames exactly that
 *
 * No lock lives in shared memory.
 *
 * How a process finds it: environment MINIRAY_ATTACH = "version:session(hex):fd of links:event fd:carrier fd rw:carrier
 * fd ro:carrier size:inline max:path of the carrier store's .so" (session-wide) and MINIRAY_WORKER =
 * "number:link:node". C workers also get MINIRAY_LIBRARIES (':'-separated).
 *
 * The carrier is the shared arena through which everything large travels: the node's own store when that is shared,
 * else (store-mem) a store-shm instance that the engine opens beside it only as carrier.
 */
#ifndef MR_CLIENT_LINK_H
#define MR_CLIENT_LINK_H

#include <stdatomic.h>
#include <stdint.h>

#include "client/bell.h"
#include "client/ring.h"
#include "control/record.h"

enum {
    MR_LINK_VERSION = 4,
    MR_LINKS_MAX = 4096,
    MR_RING_BYTES = 65536, /* each way */
    MR_RECORD_MAX =
        MR_RING_BYTES / 4, /* larger records travel in pieces (PART), to the node through the carrier (BIG) */
    MR_CLAIMS = 512,       /* dispatches in a worker's ring at a time: a sleep and a wake-up are shared by that many */
    MR_CARRIER_NODE = 0xFFFE, /* node bits of ids that only carry */
    MR_NAMED_NODE = 0xFFFD    /* and of saved values: MR_ID_LASTS */
};
#define MR_LINK_MAGIC UINT64_C(0x6d696e6972617931)

typedef struct mr_link_page {
    uint64_t magic, session;
    mr_bell bell;                                           /* of the node */
    _Alignas(64) _Atomic uint64_t dirty[MR_LINKS_MAX / 64]; /* link l has records in its `out` */
    _Alignas(64) _Atomic uint32_t closing;                  /* the node is going away: stop waiting */
    _Atomic uint32_t tight;                                 /* small values ask for room too, as large ones do */
} mr_link_page;

/* Claim of dispatch number `seq` (from 1, per link) lives in claims[seq % MR_CLAIMS]: seq << 2 | state. */
enum { MR_CLAIM_FREE = 0, MR_CLAIM_QUEUED = 1, MR_CLAIM_STARTED = 2, MR_CLAIM_REVOKED = 3 };
/* slot: seq << 2 | state, of what the worker's main thread runs.  Node: RUNNING -> CANCEL, then the signal
 * MR_CANCEL_SIGNAL; the handler acts only if it reads CANCEL; the worker: RUNNING -> DONE before it publishes the
 * outcome. */
enum { MR_SLOT_IDLE = 0, MR_SLOT_RUNNING = 1, MR_SLOT_CANCEL = 2, MR_SLOT_DONE = 3 };
#define MR_CANCEL_SIGNAL (SIGRTMIN + 5)

typedef struct mr_link {
    uint64_t magic;
    uint32_t worker, node;       /* number, dense node */
    uint64_t id_first, id_count; /* block of ids this worker may use first; more by MR_ASK_IDS */
    mr_bell bell;                /* worker waits for orders */
    mr_bell space;               /* worker waits for room in `out`; the node rings after a drain */
    _Alignas(64) _Atomic uint64_t slot;
    _Alignas(64) _Atomic uint64_t claims[MR_CLAIMS];
    mr_ring in, out; /* in: node -> worker */
    _Alignas(4096) char in_data[MR_RING_BYTES];
    char out_data[MR_RING_BYTES];
} mr_link;

typedef struct mr_links {
    _Alignas(4096) mr_link_page page;
    _Alignas(4096) mr_link link[MR_LINKS_MAX];
} mr_links;

/* -------------------------------------------------------------------------- node -> worker: orders (kinds 500..) -- */

typedef enum mr_order_kind {
    MR_ORD_DISPATCH = 500, /* mr_ord_dispatch: run this */
    MR_ORD_FUNC,           /* the mr_define itself as payload, token = its number; before the first dispatch of it */
    MR_ORD_VALUE,          /* mr_ord_value: an object's value, for the wait that comes next */
    MR_ORD_DELIVER,        /* mr_ord_reply: wait `token` ended with status; payload: one byte per waited id: is
                              there something to take?; then the text of an error */
    MR_ORD_REPLY,   /* mr_ord_reply: answer to request `token`; payload: text (an error's, or the JSON of STATE) */
    MR_ORD_LEAVE,   /* mr_ev_none: finish what is queued, then send WORKER_RETIRED and exit */
    MR_ORD_COLLECT, /* mr_ev_none */
    MR_ORD_CANCEL,  /* mr_ev_task: stop this async or threaded call */
    MR_ORD_RESUME,  /* mr_ord_resume: a stream's window has room again */
    MR_ORD_FORGET,  /* mr_ev_task, task = the code: nobody can call what was loaded of it any more */
    MR_ORD_PART     /* mr_part: a piece of a record that is too large; one at 0 begins a new one */
} mr_order_kind;

/* A dependency's value.  STORED: `at` in the carrier; else inline, `at` bytes after the start of the record
 * (8-aligned). */
typedef struct mr_dep {
    mr_id id;
    uint64_t at, len;
    uint32_t format, flags; /* MR_VALUE_ | MR_DEP_ */
} mr_dep;
enum {
    MR_DEP_LENT = 16,  /* stays where it is for this worker: give back with MR_ASK_RETURN when done with */
    MR_DEP_FAILED = 32 /* there is no room for it: `at` is the mr_status */
};

/* payload: mr_dep[n_deps], then args_len bytes of encoded arguments, then inline values (each 8-aligned) */
typedef struct mr_ord_dispatch {
    mr_record h;
    mr_id task, actor, parent;
    uint64_t seq;                                                               /* of its claim */
    uint64_t gpus;                                                              /* that it was given, by index */
    uint32_t attempt, func, n_returns, n_deps, n_refs, args_at, args_len, pad0; /* args_at: from the record's start */
} mr_ord_dispatch;

typedef struct mr_ord_value {
    mr_record h;
    mr_dep value;   /* inline: at = offset from the record's start */
    int32_t status; /* MR_OK; FREED, NOTFOUND, LOST; TIMEOUT: it went and is, or is not, made again: wait anew */
    uint32_t pad0;
} mr_ord_value;

typedef struct mr_ord_reply {
    mr_record h; /* h.token */
    int32_t status;
    uint32_t pad0;
    uint64_t value, value2; /* CREATE: id's place `at`; IDS: first, count; NAME: actor id, func; READ: item id */
} mr_ord_reply;

/* Stream `task` may make `allowed` items in all; at first as many as its function's window. */
typedef struct mr_ord_resume {
    mr_record h;
    mr_id task;
    uint64_t allowed;
} mr_ord_resume;

/* Payload: the bytes from `at` on of a record of `len` bytes. */
typedef struct mr_part {
    mr_record h;
    uint64_t at, len;
} mr_part;

/* A whole record of `len` bytes lies at `at` of the carrier under carrier id `id`. */
typedef struct mr_big {
    mr_record h;
    mr_id id;
    uint64_t at, len;
} mr_big;

/* ------------------------------------- worker -> node: events (record.h), and these requests to the engine (kinds
 * 600..) -- */

typedef enum mr_ask_kind {
    MR_ASK_CREATE = 600, /* mr_ask: `len` writable bytes for object `id` (its value), or for carrying (id 0: the node
                            picks a carrier id, in value2).  REPLY value: at */
    MR_ASK_ABORT,        /* mr_ask: object `id` will not be sealed */
    MR_ASK_RETURN,       /* mr_ask: a lent copy or BIG record, by carrier id or `at` (id 0) */
    MR_ASK_IDS,          /* mr_ask: REPLY value, value2: first, count */
    MR_ASK_STATE,        /* mr_ask, payload: what; REPLY payload: JSON */
    MR_ASK_CODE,         /* mr_ask, id = function number; an ORD_FUNC precedes the REPLY */
    MR_ASK_BIG,          /* mr_big: a record that did not fit; the node gives the bytes back itself */
    MR_ASK_LEASE,        /* mr_ask: room to make objects of about `len` bytes in without asking, in the place of what it
                            had; REPLY value, value2: at, bytes (0: none).  len 0: only gives back, no REPLY */
    MR_ASK_SPLIT,        /* mr_ask: object `id` of `len` bytes lies `at` the front of what is left of that; no REPLY */
    MR_ASK_NOTE          /* mr_ask: `len` objects from `id` on; `at`: mr_note_kind; payload: where they were made */
} mr_ask_kind;
typedef struct mr_ask {
    mr_record h;
    mr_id id;
    uint64_t len, at;
} mr_ask;

#endif
