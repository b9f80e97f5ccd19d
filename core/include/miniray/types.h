/* types.h: the plain data that plugins, the core and bindings share.  No functions, no ownership. */
#ifndef MINIRAY_TYPES_H
#define MINIRAY_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An object or task of this session: node (16 bits) | sequence (48 bits).  A task's id is the id of its first result;
 * result i has id + i.  0 is no object.  Ids are dense: clients draw them from blocks that the node grants. */
typedef uint64_t mr_id;
#define MR_NO_ID ((mr_id)0)
/* Bytes that were saved to outlive their session (mr_save): a store that persists keeps these, and forgets all others
 * when it is opened again. */
#define MR_ID_LASTS(id) ((id) >> 48 == 0xFFFD)

/* A task, slot ("worker") or node as a policy sees it; never reused within a run; 0 is none. */
typedef uint64_t mr_ref;

/* All times and durations in the core are int64_t nanoseconds; points in time count from the start of the run. */
enum { MR_UNKNOWN = -1 };

/* An amount of one resource.  CPU and GPU in 1/10000, memory in bytes, custom resources in 1/10000. */
enum { MR_RES_CPU = 0, MR_RES_GPU = 1, MR_RES_MEMORY = 2, MR_RES_CUSTOM = 3 /* first custom resource */ };
enum { MR_RES_UNIT = 10000, MR_RES_MAX = 64 };
typedef struct mr_amount {
    uint32_t res;
    int64_t amount;
} mr_amount;

#endif
