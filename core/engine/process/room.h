/* room.h: creating bytes in stores, within what the capacity and the machine allow.  Lock: the node list's. */
#ifndef MR_ENGINE_PROCESS_ROOM_H
#define MR_ENGINE_PROCESS_ROOM_H

#include "engine/process/node.h"

/* How long somebody has waited in vain: time counts while this process runs, in steps of 20 ms at most, so that one
 * which stood still, or lacked its processor, is not told of a full store that it never tried to empty; and it begins
 * anew with each object that has left for the disk.  room.c */
typedef struct mr_patience {
    int64_t spent, all;   /* ns; all: from the first, at most PATIENCE_MOST times [store] full_wait */
    int64_t at;           /* the last look (monotonic); 0: none yet */
    uint64_t left;        /* spill.left then */
    int64_t again, pause; /* when others are asked to leave again.  Without a disk that is to look for garbage, which
                           * may take long: ever more rarely */
} mr_patience;

/* A creation that found the store full: tried again when something was given back, in the order in which they came. */
struct mr_hungry {
    struct mr_hungry *next;
    uint32_t worker, node;    /* worker 0: a thread of the driver; in whose store */
    int64_t since;            /* monotonic */
    mr_ask ask;               /* of the driver: its id and len alone */
    mr_status status;         /* FULL: there is no room; EXISTS: the id is taken; of the driver also what came of it */
    int64_t until;            /* when an id that is taken is given up */
    mr_patience patience;     /* for room */
    struct mr_waiter *waiter; /* of the driver, as is all below */
    mr_record *small;
    mr_region *region;
};

/* A value that comes back from the disk. */
struct mr_arrival {
    struct mr_arrival *next;
    mr_id id;
    uint32_t from, node; /* whose disk; into which store */
    bool transfer;
    int64_t since, again; /* monotonic; again: as above */
};

enum { MR_FETCH_TIMES = 15 }; /* what comes back waits so many times [store] full_wait */

/* `create` of a store, after a look whether the machine has the bytes.  Errors: those of create; FULL also when it has
 * not. */
mr_status mr_room_create(mr_nodes *n, mr_place *s, mr_id id, uint64_t len, mr_region *out);
/* The same for a thread of the driver, which waits: processes are asked to give back what they no longer use, objects
 * leave for the disk, and tasks end.  `small`: it is for the bytes of that record, by mr_event_place.  INTERRUPTED: it
 * is to look after its own garbage, and to come again.  *waited: ns, where it did.  Errors: CLOSED, NODE_DIED too. */
mr_status mr_room_wait(mr_nodes *n, uint32_t home, mr_id id, uint64_t len, mr_record *small, mr_region *region,
                       int64_t *waited);
/* Is it the turn of who has waited since then (monotonic; INT64_MAX: it has just come)? */
bool mr_room_turn(const mr_nodes *n, uint32_t node, int64_t since);
void mr_room_hunger(mr_nodes *n, mr_hungry *h); /* it joins those who wait; of a worker: taken */
void mr_room_serve(mr_nodes *n);                /* room may have come back */
/* pins.c.  Prints why the store of `node` refused `len` bytes with `status`, after `waited` ns (0: at once): what fills
 * it, who keeps that there, and how much of it each.  Returns the text's length. */
size_t mr_room_refusal(mr_nodes *n, uint32_t node, mr_status status, uint64_t len, int64_t waited, char *text,
                       size_t size);
void mr_room_table(mr_nodes *n, mr_text *t); /* the same of each node, for mr_state */
/* The text of a refusal to bring back object `which` (hexadecimal) from the disk, as a JSON string. */
void mr_room_fetch(mr_nodes *n, mr_text *t, const char *which);
/* May a value of `len` bytes stay outside the stores?  They hold a quarter of a capacity at most. */
bool mr_room_inline(const mr_nodes *n, uint64_t len);
void mr_room_inlined(mr_nodes *n, uint64_t len, bool add); /* it does; or it is gone */
/* A worker's small value found no room: until enough are gone, workers ask before they make one (mr_port_stores). */
void mr_room_tight(mr_nodes *n, bool on);
/* Capacity and use of a node's store, with the values outside it that count there. */
void mr_room_stats(mr_nodes *n, uint32_t node, mr_store_stats *out);
bool mr_room_spare(uint64_t len);               /* has the machine so much, outside the stores? */
bool mr_room_over(mr_nodes *n, mr_patience *p); /* looks at the clock: has it waited long enough, for nothing? */
void mr_room_used(mr_nodes *n); /* something was taken or given back: idle memory is returned a while after the last */
void mr_room_trim(mr_nodes *n); /* by the timer, at room.trim_at */

#endif
