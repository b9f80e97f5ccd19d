/* room.h: creating bytes in stores, within what the capacity and the machine allow.  Lock: the node list's. */
#ifndef MR_ENGINE_PROCESS_ROOM_H
#define MR_ENGINE_PROCESS_ROOM_H

#include "engine/process/node.h"

/* `create` of a store, after a look whether the machine has the bytes.  Errors: those of create; FULL also when it has
 * not. */
mr_status mr_room_create(mr_nodes *n, mr_place *s, mr_id id, uint64_t len, mr_region *out);
/* The same for a thread of the driver, which waits: processes are asked to give back what they no longer use, objects
 * leave for the disk, and tasks end.  `small`: it is for the bytes of that record, by mr_event_place.  INTERRUPTED: it
 * is to look after its own garbage, and to come again.  Errors: CLOSED, NODE_DIED too. */
mr_status mr_room_wait(mr_nodes *n, uint32_t home, mr_id id, uint64_t len, mr_record *small, mr_region *region);
/* May a value of `len` bytes stay outside the stores?  They hold a quarter of a capacity at most. */
bool mr_room_inline(const mr_nodes *n, uint64_t len);
void mr_room_inlined(mr_nodes *n, uint64_t len, bool add); /* it does; or it is gone */
/* A worker's small value found no room: until enough are gone, workers ask before they make one (mr_port_stores). */
void mr_room_tight(mr_nodes *n, bool on);
/* Capacity and use of a node's store, with the values outside it that count there. */
void mr_room_stats(mr_nodes *n, uint32_t node, mr_store_stats *out);
bool mr_room_over(mr_nodes *n, mr_patience *p); /* looks at the clock: has he waited long enough, for nothing? */
void mr_room_used(mr_nodes *n); /* something was taken or given back: idle memory is returned a while after the last */
void mr_room_trim(mr_nodes *n); /* by the timer, at room.trim_at */

#endif
