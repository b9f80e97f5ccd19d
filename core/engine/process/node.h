/* node.h: the inside of the process engine: the node list, its peers (worker processes) and what passes between.
 *
 * Internal to engine/process.  `lock` is the one lock around control and everything here that does not say otherwise;
 * it is never held in a system call that can block, while Python code can run, or while touching large memory.
 * Functions named here are called with it held unless they say "no lock".
 */
#ifndef MR_ENGINE_PROCESS_NODE_H
#define MR_ENGINE_PROCESS_NODE_H

#include <pthread.h>
#include <stdatomic.h>

#include <miniray/store.h>

#include "base/config.h"
#include "base/intern.h"
#include "base/table.h"
#include "client/link.h"
#include "client/port.h"
#include "control/control.h"
#include "engine/process/disk.h"
#include "engine/process/supervisor.h"
#include "engine/process/text.h"
#include "plugin/loader.h"

enum {
    MR_NODES_MAX = 64,              /* places of an object are bits of a word */
    MR_PUMP_MAX = 256,              /* records taken from one ring before the others get their turn */
    MR_SMALL_COPY = 64 * 1024,      /* copied at once under the lock; more is a job of the mover */
    MR_IDS_BLOCK = 65536,           /* ids granted to a worker at a time */
    MR_COLLECT_EVERY_NS = 50000000, /* garbage is asked for again while room is missing; a waiting driver looks up */
    MR_LINES_MAX = 20000,           /* lines of output kept for mr_engine_output */
    MR_SAVE_BYTES = 16 << 20,       /* of [log] output, before it becomes FILE.1 */
    MR_LINES_BYTES = 1 << 20        /* and of those that were read, kept for mr_state */
};

/* One store instance: a node's, or the carrier. */
typedef struct mr_place {
    mr_loaded *plugin; /* shared with others of the same plugin; owned by the node list */
    mr_host_box *host;
    void *self;
    const mr_store_ops *ops;
    char why[512]; /* what it said when it could not create an object: MR_E_IO */
} mr_place;

typedef struct mr_one { /* one logical node */
    char name[64];
    bool alive;
    mr_place store;
} mr_one;

/* ------------------------------------------------------------------------------------------------------ values -- */

enum { MR_WANTED = 1, MR_STARVED = 2 };
typedef enum mr_value_kind { MR_VAL_SMALL = 1, MR_VAL_HEAP, MR_VAL_STORED } mr_value_kind;
enum { MR_VAL_ROOM = 40 };

/* Bytes of one sealed object.  STORED: pinned (get) in the store of each node in `nodes`, or on disk alone when there
 * is none (spill.c); `region` is the first's. */
typedef struct mr_val {
    uint8_t kind, freed; /* freed: FREE came while a job reads it; the job ends it */
    uint8_t flags;       /* MR_VALUE_ERROR */
    bool hidden;         /* given up, and kept for those who look at it */
    bool used;           /* looked at since it was last asked to leave */
    uint8_t wanted;      /* MR_WANTED: asked back from the disk; MR_STARVED: and there was no room */
    uint16_t busy;       /* jobs that read it */
    uint32_t format;
    uint32_t views; /* shown where the bytes are, and not done: the driver by `value`, a worker per entry in `lent` */
    uint64_t len;
    union {
        char small[MR_VAL_ROOM];
        void *heap;
        struct {
            mr_region region;
            uint64_t nodes;
        } stored;
    } u;
} mr_val;

/* ------------------------------------------------------------------------------------------------------- peers -- */

/* A record on its way to a worker.  It is published in order, when `missing` copies have arrived and the ring has room.
 */
typedef struct mr_parcel {
    struct mr_parcel *next;
    uint32_t missing;
    uint32_t failed; /* a copy could not be made: the value is gone */
    uint64_t seq;    /* of a DISPATCH; else 0 */
    uint32_t size, sent;
    _Alignas(8) char record[];
} mr_parcel;

/* Bytes in the carrier that a peer must give back, or tell that it does not look at them any more. */
typedef struct mr_lent {
    uint64_t at;
    mr_id id;
    uint64_t seq; /* of the dispatch it went with; 0: none */
} mr_lent;

/* A wait of a worker: what DELIVER answers. */
typedef struct mr_peer_wait {
    struct mr_peer_wait *next;
    uint32_t token, n;
    bool values; /* it wants them sent along */
    mr_id ids[];
} mr_peer_wait;

/* Bytes in the carrier that a peer is writing: unsealed. */
typedef struct mr_created {
    mr_id id;    /* of the object */
    mr_id under; /* which the carrier has the bytes; another one: the object has its value from an earlier attempt */
    mr_region region;
    mr_region home; /* of a value: its place in the store of the peer's node, where that is not the carrier */
    bool has_home;
} mr_created;

typedef enum mr_peer_state { MR_PEER_STARTING = 1, MR_PEER_UP, MR_PEER_DEAD } mr_peer_state;

typedef struct mr_claimed {
    mr_id task;
    uint64_t seq;
} mr_claimed;

typedef struct mr_peer {
    uint32_t worker, link, node, lang;
    int32_t pid;
    mr_peer_state state;
    bool dropped;             /* wrote nonsense: its ring is not read again */
    bool stalled, waits_room; /* its next record waits for a copy; until something was written to the disk */
    bool retired;             /* it said that it leaves: its end is no death */
    bool died;                /* reaped; buried when its ring is empty and no copy is on its way */
    uint32_t how;
    int32_t code;
    mr_link *block;
    mr_ring_end in, out;
    uint64_t seq;
    uint32_t rung;
    mr_claimed claims[MR_CLAIMS];
    uint32_t last_func; /* of the last dispatch: whose output it is that comes after a task's end */
    mr_parcel *box, **box_end;
    mr_peer_wait *waits;
    mr_lent *lent;
    size_t n_lent, cap_lent;
    mr_id lease; /* leases.c; 0: none */
    uint64_t lease_left;
    mr_created *created;
    size_t n_created, cap_created;
    uint64_t *known; /* bit per function number that it was told */
    size_t cap_known;
    mr_id stopping; /* task whose STOPPED is awaited, by the order `stop_number`; 0: none */
    int64_t stop_number;
    mr_id stood; /* task that stood still before: its own clock is wrong about how long it ran */
} mr_peer;

/* ------------------------------------------------------------------------------------------------------- waits -- */

/* A thread of the driver that waits, or a callback.  On the waiter's stack, or (callback) on the heap. */
typedef struct mr_waiter {
    struct mr_waiter *next, *prev;
    uint32_t token;
    _Atomic bool done; /* set under the lock; a spinning leader looks without it */
    bool leads;
    bool lazy;      /* it waits for many: need not be rung for each */
    uint32_t fulls; /* n->fulls when it began */
    bool told;      /* it ends as INTERRUPTED when the driver is asked to collect garbage */
    bool room;      /* it ends when there may be more room, or bytes are back */
    mr_status status;
    uint64_t value;
    char *text;   /* of a failed request; taken by the waiter */
    mr_bell bell; /* of a follower */
    void (*call)(void *arg, mr_id id);
    void *arg;
    mr_id id;
} mr_waiter;

/* Something that happened inside the engine and is still to be stepped: an event of its own.  Those of up to
 * MR_INNER_BYTES lie in places that are used again, some of which are made at the start: there is one more when there
 * is no memory. */
enum { MR_INNER_BYTES = 128, MR_INNER_SPARE = 64 };
typedef struct mr_inner {
    struct mr_inner *next;
    _Alignas(8) char record[];
} mr_inner;

typedef struct mr_hungry mr_hungry; /* room.h */

/* A copy too large for the lock.  done runs with the lock held. */
typedef struct mr_nodes mr_nodes;
typedef struct mr_job {
    struct mr_job *next;
    const mr_place *populate; /* store of `to`; NULL: none */
    mr_region to;
    const void *from;
    uint64_t len;
    mr_status status;
    mr_status (*run)(mr_nodes *n, struct mr_job *job); /* no lock; NULL: the copy */
    void (*done)(mr_nodes *n, struct mr_job *job);
    mr_extent extent;
    mr_err err;    /* of `run` */
    bool lost;     /* what it reads is gone: what it made is thrown away, and nothing is busy with it */
    mr_id id;      /* object it reads: its value is busy */
    mr_id carrier; /* id of the copy in the carrier */
    uint32_t node, worker;
    void *arg;
} mr_job;

/* A thread with a queue of its own and a lock for it, so that it takes jobs without the node's. */
enum { MR_DISKS = 2, MR_MOVER_COPY = 0, MR_MOVER_DISK, MR_MOVERS = MR_MOVER_DISK + MR_DISKS };
typedef struct mr_mover {
    mr_nodes *nodes;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    mr_job *jobs, **jobs_end, *now;
    pthread_t thread;
    bool started, end_asked;
} mr_mover;

typedef struct mr_line {
    struct mr_line *next;
    uint64_t number; /* from 1 */
    int64_t at;      /* ns since the start of the run */
    uint32_t worker;
    int32_t pid;
    bool is_stderr;
    char name[120]; /* of what the worker ran */
    size_t len;
    char text[];
} mr_line;

/* A session-wide copy in the carrier of an object whose store is not shared. */
typedef struct mr_carry {
    mr_id carrier; /* id in the carrier */
    uint64_t at;
    uint32_t users;     /* peers that have it */
    bool ready, orphan; /* orphan: the object was freed; goes with its last user */
    bool hungry;        /* there was no room, or nothing in memory to copy: tried again */
    int64_t until;      /* when a hungry one is given up; 0: it is not */
    struct mr_missing *missing;
    size_t n_missing, cap_missing;
} mr_carry;

/* ----------------------------------------------------------------------------------------------- the node list -- */

struct mr_nodes {
    mr_port port; /* first: a port is a node list */
    pthread_mutex_t lock;
    mr_config *config;
    mr_control *control;
    struct mr_recorder *recorder; /* NULL: nothing is recorded */
    mr_actions actions;
    int64_t origin;            /* CLOCK_MONOTONIC at the start of the run */
    _Atomic int64_t now;       /* engine time of the present instant */
    int64_t poll_at;           /* the engine's own wish to look again (a full ring, a full store); -1: none */
    int64_t wake_at, timer_at; /* control's wish; what the timer is set to; -1: none */
    bool stepped;              /* an event was applied since TIME that may let something start */
    uint32_t unlooked;         /* records of the driver stepped since it looked at the rings */
    bool any_to_ring;          /* some bit of to_ring is set */
    bool burst, hasty;         /* the driver submits in a loop; something that a worker was given is not a short task */
    uint32_t untold;           /* dispatches whose worker may not have been rung for */
    int64_t sent_at;           /* when the driver submitted last */
    uint64_t to_ring[MR_LINKS_MAX / 64];
    uint32_t batching;
    bool closing;
    char ended[400]; /* why, if by mr_nodes_end: control is not stepped any more */
    int64_t starved; /* since then an inner event finds no memory (engine time); -1 */
    int log_fd;

    mr_one node[MR_NODES_MAX];
    uint32_t n_nodes;  /* numbers given so far; see alive */
    uint64_t capacity; /* of a node's store */
    mr_place carrier;  /* self NULL: node 0's store is the carrier */
    bool carried;      /* the carrier is a store of its own: values are copied to it */
    mr_share share;
    mr_loaded *store_plugin, *carrier_plugin, *sched_plugin;
    mr_host_box *sched_host;
    mr_table values;   /* mr_id -> mr_val */
    mr_table payloads; /* task -> void * (arguments) */
    mr_table copies;   /* mr_id -> mr_carry */
    _Atomic uint64_t next_id;
    uint64_t next_carrier;

    mr_links *links;
    int links_fd, event_fd, epoll_fd, timer_fd, now_fd; /* now_fd: of policy_now */
    mr_peer *peer[MR_LINKS_MAX];
    uint32_t n_links;   /* 1 + highest link ever used */
    mr_table by_worker; /* worker -> uint32_t link */

    mr_waiter waiters; /* list head */
    mr_waiter *leader;
    mr_waiter *called; /* callbacks due; run after unlocking */
    uint32_t next_token;
    uint32_t spin_ns, spin_fails, spin_skip;
    mr_error_reader on_error; /* reads errors of a binding's own; NULL: nobody does */
    struct {
        void (*tell)(void *arg); /* see mr_engine_on_drops; NULL: not yet */
        void *arg;
        bool due;
    } drops;
    void (*on_full)(void); /* asks the driver to collect garbage; NULL: nobody is asked */
    int64_t full_at;       /* when it was last asked */
    uint32_t fulls;        /* how often */
    mr_inner *inner, **inner_end, *inner_spare;
    uint32_t n_inner_spare;
    mr_hungry *hungry;

    mr_mover mover[MR_MOVERS];
    pthread_t progress;
    struct mr_watch *watch;    /* NULL: the policy is never asked */
    mr_policy_now *policy_now; /* what the policy does: a page that the supervisor sees, should we die of it */
    bool has_progress, progress_end;

    struct {                                        /* spill.c */
        mr_disk *disk[MR_DISKS];                    /* each its own thread's, without lock; NULL: nothing is spilled */
        uint32_t turn;                              /* of the disks */
        mr_table extents;                           /* mr_id -> mr_extent */
        struct mr_arrival *arrivals, *last_arrival; /* those that found no room yet, a queue */
        uint32_t n_arrivals;
        int64_t arrived;         /* when one of them last found room */
        uint64_t bytes, writing; /* on disk; on their way there */
        uint64_t left;           /* objects that have left memory, ever */
        mr_id lifted;            /* the value that gave its place on a full disk to others, and has none; or 0 */
        uint64_t hole;           /* what is left of that place */
        bool no_space;           /* that was the last failure */
        int64_t failed_until, said_at;
        char why[320]; /* the last failure */
    } spill;

    struct {                               /* room.c */
        int64_t credit;                    /* bytes that may be taken before the next look at the headroom */
        int64_t left;                      /* at that look */
        bool short_of;                     /* it said no */
        int64_t full_ns;                   /* who needs room waits so long: mr_patience */
        int64_t idle_ns, used_at, trim_at; /* engine time; trim_at -1: no timer */
        bool tight;                        /* see mr_room_tight */
        uint64_t inlined;                  /* bytes of values outside stores; they count in the first node's capacity */
        int64_t slack;                     /* at least this is left of that; -1: not known */
    } room;

    /* supervisor */
    char *home;
    char *const *zygote; /* owned; NULL: no Python */
    bool prestart;
    int sup_fd, sup_pidfd;
    int32_t sup_pid;
    bool sup_heard;                                  /* it has reported something */
    struct mr_sup_queue *sup_queue, **sup_queue_end; /* orders that did not fit into the socket */
    char *attach_env, *libraries, *script_dir;
    bool show_output; /* workers' lines are given to mr_engine_output; they are kept for mr_state anyway */

    pthread_mutex_t line_lock;
    pthread_cond_t line_cond;
    mr_line *lines, **lines_end, *line_out; /* the oldest kept; where the next goes; a copy for the reader */
    mr_line *unread;                        /* of the list: the first that mr_engine_output has not given; NULL: none */
    size_t n_unread, lines_bytes, lines_lost;
    uint64_t n_lines; /* ever */
    int save_fd;      /* of [log] output; -1: none.  These three: the progress thread's, then mr_nodes_free's */
    uint64_t saved;   /* number of the last line in it */
    size_t save_size;
    uint32_t line_readers;
    struct mr_partial *partials;
    struct mr_desk *desk; /* NULL: no folder could be made */
    struct mr_blame **blames;
    uint64_t next_blame;
    struct {
        mr_table table;   /* object -> mr_noted */
        mr_intern *lines; /* NULL until the first */
    } notes;
    mr_table blamed; /* task -> uint64_t: number of its blame */
    bool lines_closed;
    bool keep_views; /* the driver has views of values that outlive the session: their memory is not given back */
    char *scratch;   /* MR_RING_BYTES: a record out of a ring, private */
};

/* watch.c.  start: under the lock or before other threads exist; nothing to do where a policy has no op, or it runs. */
typedef struct mr_watch mr_watch;
mr_status mr_watch_start(mr_nodes *n, mr_err *err);
void mr_watch_stop(mr_nodes *n); /* without the lock */
bool mr_watch_asleep(const mr_watch *w);
void mr_watch_wake(mr_watch *w);

int64_t mr_nodes_clock(const mr_nodes *n); /* no lock: ns since the start of the run */

/* Set in a forked child of a driver: the session there is dead. */
extern _Atomic bool mr_nodes_forked;

/* swap.c.  See mr_set_policy.  told: what the new one was told; NULL if nobody wants to know.  No lock. */
mr_status mr_nodes_policy(mr_nodes *n, const char *policy, mr_policy_past *told, mr_err *err) MR_CHECK_RESULT;
mr_status mr_nodes_policy_host(mr_nodes *n, const mr_plugin *plugin, mr_host_box **out) MR_CHECK_RESULT;
void mr_nodes_policy_end(mr_nodes *n); /* at the end, while somebody still watches it.  No lock. */
mr_status mr_nodes_policy_tell(mr_nodes *n, const char *name) MR_CHECK_RESULT; /* steps the POLICY event */

/* actions.c */
void mr_actions_run(mr_nodes *n);

/* values.c */
mr_val *mr_value_find(mr_nodes *n, mr_id id); /* NULL: none, or given up */
mr_status mr_value_inline(mr_nodes *n, mr_id id, uint32_t format, uint32_t flags, const void *data, uint64_t len);
/* The object was sealed in the store of `node`: pins it. */
mr_status mr_value_stored(mr_nodes *n, mr_id id, uint32_t format, uint32_t flags, uint32_t node);
mr_status mr_value_fault(mr_nodes *n, mr_id id, const mr_fault *f, const char *text);
mr_status mr_value_alias(mr_nodes *n, mr_id id, mr_id other); /* a copy of the other's (an error) */
const void *mr_value_bytes(const mr_val *v);
/* held: on request, though there are references: bytes that somebody was shown stay until the last of those goes. */
void mr_value_free(mr_nodes *n, mr_id id, bool held);
void mr_value_evict(mr_nodes *n, mr_id id, uint32_t node);
void mr_value_unbusy(mr_nodes *n, mr_id id);
void mr_value_unview(mr_nodes *n, mr_id id, uint32_t views); /* so many looks at it have ended */
/* Its bytes leave the store of `node`, where alone they are; false: they are looked at, or it has none there. */
bool mr_value_leave(mr_nodes *n, mr_id id, uint32_t node);
/* Node `node` goes, and its copy with it; true: its bytes are still looked at, so they stay in its store. */
bool mr_value_left(mr_nodes *n, mr_id id, uint32_t node);
void mr_values_fini(mr_nodes *n);
mr_status mr_payload_keep(mr_nodes *n, mr_id task, const void *data, size_t len);
const void *mr_payload_find(mr_nodes *n, mr_id task, size_t *len);
void mr_payload_drop(mr_nodes *n, mr_id task);
/* One object from the store of `from` to that of `to`; ends with ARRIVED or LOST. */
void mr_value_transfer(mr_nodes *n, mr_id id, uint32_t from, uint32_t to);

/* links.c */
mr_peer *mr_peer_of(mr_nodes *n, uint32_t worker);
mr_status mr_peer_new(mr_nodes *n, uint32_t worker, uint32_t node, uint32_t lang, mr_peer **out);
/* Its process is reaped: drains its ring, takes everything back, tells control, frees p; later, if a copy is on its
 * way. */
void mr_peer_bury(mr_nodes *n, mr_peer *p);
mr_parcel *mr_parcel_new(uint32_t kind, size_t size); /* the record's header is filled */
void mr_peer_send(mr_nodes *n, mr_peer *p, mr_parcel *take_parcel);
void mr_peer_flush(mr_nodes *n, mr_peer *p); /* publishes what can be published */
mr_status mr_peer_dispatch(mr_nodes *n, mr_peer *p, mr_id task, uint32_t attempt);
bool mr_peer_revoke(mr_nodes *n, mr_peer *p, mr_id task);
bool mr_peer_runs(mr_peer *p, mr_id task, uint64_t *seq);
void mr_peer_value(mr_nodes *n, mr_peer *p, mr_id id);
void mr_peer_reply(mr_nodes *n, mr_peer *p, uint32_t kind, uint32_t token, mr_status status, uint64_t value,
                   uint64_t value2, const void *bytes, size_t len);
mr_status mr_peer_func(mr_nodes *n, mr_peer *p, uint32_t func);
/* Was it told of a function with this code? */
bool mr_peer_knows(const mr_nodes *n, const mr_peer *p, mr_id code);
void mr_peer_order(mr_nodes *n, mr_peer *p, uint32_t kind, mr_id task, uint32_t attempt);
void mr_peer_drop(mr_nodes *n, mr_peer *p, const char *what);

/* carry.c: bytes in the carrier */
void mr_carry_lend(mr_nodes *n, mr_peer *p, mr_id id, uint64_t at, uint64_t seq);
mr_place *mr_carrier(mr_nodes *n);
struct mr_missing { /* a dependency that waits for a copy */
    mr_parcel *parcel;
    mr_dep *d; /* in it */
    uint32_t worker;
};
/* Fills d for value v of object id as peer p is to see it; inline ones are left to the caller (false).  `parcel` waits
 * for the copy if one must be made; d must lie in it. */
bool mr_carry_dep(mr_nodes *n, mr_peer *p, mr_parcel *parcel, mr_dep *d, mr_id id, mr_val *v, uint64_t seq);
void mr_carry_return(mr_nodes *n, mr_peer *p, mr_id id, uint64_t at);
void mr_carry_return_seq(mr_nodes *n, mr_peer *p, uint64_t seq);
void mr_carry_forget(mr_nodes *n, mr_id id);                 /* the value is freed */
void mr_carry_forsake(mr_nodes *n, const mr_parcel *parcel); /* the parcel goes: no copy may point to it */
void mr_carry_retry(mr_nodes *n);                            /* room may have come back */
void mr_carry_restored(mr_nodes *n, mr_id id, mr_val *v);    /* its bytes are in memory again */
void mr_carry_starved(mr_nodes *n, mr_id id, mr_status why); /* there will be none for those who wait for it */
void mr_carry_fini(mr_nodes *n);
/* Bytes for a peer to write. */
mr_status mr_carry_create(mr_nodes *n, mr_peer *p, mr_id id, uint64_t len, mr_created *out);
mr_created *mr_carry_created(mr_peer *p, mr_id id);
void mr_carry_created_end(mr_peer *p, mr_id id); /* they are somebody else's now */
/* Gives them back unsealed, home too. */
void mr_carry_abort(mr_nodes *n, mr_peer *p, mr_id id);

void mr_peer_delivered(mr_nodes *n, mr_peer *p, uint32_t token, mr_status status); /* ends a wait of the worker */

/* asks.c */
void mr_ask_take(mr_nodes *n, mr_peer *p, const mr_record *r);
/* A creation that waits, once more: OK: it was answered, FULL, EXISTS.  And its end, when it has waited long enough. */
mr_status mr_ask_again(mr_nodes *n, const mr_hungry *h) MR_CHECK_RESULT;
void mr_ask_over(mr_nodes *n, const mr_hungry *h);
/* A record of a peer, private and of checked size: an event or a request.  True: go on with the next. */
bool mr_event_take(mr_nodes *n, mr_peer *p, mr_record *r);
/* Moves a small value from its record to the store of `node`, if too many are outside stores.  FULL: no room now. */
mr_status mr_event_place(mr_nodes *n, mr_record *r, uint32_t node);

/* mover.c */
mr_status mr_job_add(mr_nodes *n, mr_job *take_job);
void mr_jobs_lose(mr_nodes *n, mr_id id); /* those that read object `id` */
bool mr_jobs_any(mr_nodes *n);
void mr_movers_init(mr_nodes *n);
void mr_movers_stop(mr_nodes *n); /* no lock: what is queued is done first */
void mr_movers_fini(mr_nodes *n);

/* spill.c */
mr_status mr_spill_open(mr_nodes *n, mr_err *err); /* no lock, as is close */
void mr_spill_close(mr_nodes *n);
void mr_spill_ask(mr_nodes *n, uint32_t node, uint32_t client, uint64_t len);       /* tells control */
void mr_spill_leave(mr_nodes *n, mr_id id, uint32_t node, uint64_t size);           /* SPILL */
void mr_spill_fetch(mr_nodes *n, mr_id id, uint32_t from, uint32_t to, bool moves); /* RESTORE; moves: TRANSFER */
void mr_spill_want(mr_nodes *n, mr_id id, mr_val *v);
void mr_spill_drop(mr_nodes *n, mr_id id); /* its bytes on disk, if any */
bool mr_spill_has(mr_nodes *n, mr_id id);
void mr_spill_retry(mr_nodes *n); /* room may have come back */
/* What is looked at together lies in memory together: TOOBIG if these values never can. */
mr_status mr_spill_fits(mr_nodes *n, const mr_id *ids, size_t count, mr_err *err);
bool mr_spill_failing(const mr_nodes *n); /* the disk refused lately: spill.why */

/* spawn.c */
mr_status mr_spawn_supervisor(mr_nodes *n, mr_err *err);
void mr_spawn_order(mr_nodes *n, const mr_sup_msg *m); /* never blocks; starts a supervisor if there is none */
void mr_spawn_drain(mr_nodes *n);
bool mr_spawn_waiting(const mr_nodes *n);
void mr_spawn_lost(mr_nodes *n); /* the supervisor is dead: proves its workers dead too */
void mr_spawn_end(mr_nodes *n);  /* no lock: ends the supervisor and all below it, within [engine] grace */

/* progress.c */
mr_status mr_progress_start(mr_nodes *n, mr_err *err);
void mr_progress_stop(mr_nodes *n);  /* no lock */
void mr_progress_timer(mr_nodes *n); /* sets the timer to the earlier of wake_at and poll_at, if it is set later */
void mr_progress_poll(mr_nodes *n, int64_t ns); /* looks again in `ns` */
void mr_progress_watch(mr_nodes *n);            /* a new supervisor socket */

/* sweep.c */
void mr_sweep_escaped(void);         /* no lock */
void mr_sweep_own(uint64_t session); /* any lock; the session's supervisor is dead and no other was started */

/* state.c */
char *mr_state_json(mr_nodes *n, const char *what, mr_status *status, mr_err *err);

/* desk.c: no lock */
enum { MR_DESK_TAG = 16 }; /* in epoll; those above are conversations */
void mr_desk_open(mr_nodes *n);
mr_status mr_desk_watch(mr_nodes *n); /* adds it to epoll_fd.  Errors: IO */
void mr_desk_event(mr_nodes *n, uint64_t tag);
void mr_desk_close(mr_nodes *n);
const char *mr_desk_folder(const mr_nodes *n); /* "" if there is none */
void mr_desk_sweep(const mr_nodes *n); /* folders of sessions that were killed with all that could have removed them */

/* notes.c */
typedef struct mr_noted {
    uint32_t line; /* of notes.lines; 0: not known */
    bool pinned;
} mr_noted;
mr_status mr_notes_add(mr_nodes *n, mr_id first, uint32_t count, mr_note_kind kind, const char *text) MR_CHECK_RESULT;
void mr_notes_fini(mr_nodes *n);

typedef struct mr_blame {
    mr_id id;
    uint32_t format; /* MR_FORMAT_ */
    uint64_t len;
    _Alignas(8) char bytes[]; /* and a NUL */
} mr_blame;
void mr_blame_keep(mr_nodes *n, mr_id id, uint32_t format, const void *bytes, uint64_t len);
const mr_blame *mr_blame_find(mr_nodes *n, mr_id id); /* NULL: not known any more */
void mr_blame_fini(mr_nodes *n);

/* output.c */
void mr_output_take(mr_nodes *n, uint32_t worker, int32_t pid, uint32_t stream, const char *bytes, size_t len);
void mr_output_gone(mr_nodes *n, uint32_t worker, int32_t pid); /* what it left without a newline is a line too */
void mr_output_last(mr_nodes *n);                               /* every line that was not finished is one now */
void mr_output_close(mr_nodes *n);                              /* no lock */
void mr_output_fini(mr_nodes *n);
mr_status mr_output_open(mr_nodes *n, mr_err *err);
void mr_output_save(mr_nodes *n);                              /* no lock: what is new goes to [log] output */
void mr_output_table(mr_nodes *n, mr_text *t, uint64_t after); /* rows of the lines numbered above `after` */

/* grow.c */
mr_status mr_place_open(mr_nodes *n, mr_place *p, mr_loaded *plugin, uint32_t node, uint64_t capacity, mr_err *err);
void mr_place_close(mr_place *p);
uint32_t mr_nodes_alive(const mr_nodes *n);
uint32_t mr_nodes_first(const mr_nodes *n); /* the lowest that is alive: the driver's */
mr_status mr_nodes_grow(mr_nodes *n, const mr_node_def *def, uint32_t *out, mr_err *err);
mr_status mr_nodes_shrink(mr_nodes *n, uint32_t node, mr_err *err);

/* finish.c: a session that can not go on ends: waits end as CLOSED, all processes with it; the error is logged once,
 * and is what every later call says (mr_nodes_closed). */
void mr_nodes_end(mr_nodes *n, const char *fmt, ...) MR_PRINTF(2, 3);
const char *mr_nodes_closed(const mr_nodes *n); /* no lock, once it is closing */

/* node.c */
void mr_nodes_free(mr_nodes *n); /* no lock, no threads left */
extern const mr_port_ops mr_node_port;

#endif
