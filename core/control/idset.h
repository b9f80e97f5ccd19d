/* idset.h: a set of ids, open addressing with linear probing; for what is too sparse for a table.  0 is never in it. */
#ifndef MR_CONTROL_IDSET_H
#define MR_CONTROL_IDSET_H

#include <stdbool.h>
#include <stddef.h>

#include <miniray/status.h>
#include <miniray/types.h>

typedef struct idset {
    mr_id *v;
    uint32_t n, room; /* room: 0 or a power of two */
} idset;

/* Makes room for `more` further ids, so that adding them can not fail.  Errors: NOMEM. */
mr_status mr_idset_room(idset *s, uint32_t more) MR_CHECK_RESULT;
/* True if it was not in.  Room must have been made. */
bool mr_idset_add(idset *s, mr_id id);
bool mr_idset_del(idset *s, mr_id id);
void mr_idset_fini(idset *s);

#endif
