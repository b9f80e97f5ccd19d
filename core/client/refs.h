/* refs.h: which objects this process holds.
 *
 * The node knows, per process and object, 0 or 1; the counts are here.  Only 0 -> 1 ("hold") and 1 -> 0 ("drop")
 * travel, in REFS records.  The creator of an object holds it without a message (adopt).
 *   - Holds are buffered only until the next record of this process: mr_refs_settle before every other send.
 *   - Drops are buffered (up to MR_REFS_BATCH, or until flush); a new hold cancels a buffered drop.
 *   - Drops may be late, never early: mr_refs_drop only pushes on a list of its thread (drops.h).
 * Thread: any, under the lock inside; lock order: refs, then what the port takes.  mr_refs_drop takes no lock.
 */
#ifndef MR_CLIENT_REFS_H
#define MR_CLIENT_REFS_H

#include <stdbool.h>
#include <stddef.h>

#include <miniray/status.h>
#include <miniray/types.h>

#include "client/port.h"

enum { MR_REFS_BATCH = 256 };

typedef struct mr_refs mr_refs;

mr_status mr_refs_new(mr_port *port, mr_refs **out) MR_CHECK_RESULT;
/* Tells the node nothing: it knows that the process leaves. */
void mr_refs_free(mr_refs *r);

/* One more reference to each of `n` consecutive ids which the node knows that we hold (we made them). */
mr_status mr_refs_adopt(mr_refs *r, mr_id first, uint32_t n) MR_CHECK_RESULT;
/* Around a question whose answer may name an object that we hold already (an actor by its name): a drop of it, sent
 * after the node has answered and before the answer is adopted, would take the answer's hold too.  Between the two,
 * drops stay here, but what does not fit into the buffer. */
void mr_refs_ask(mr_refs *r);
void mr_refs_asked(mr_refs *r);
/* Undoes adopt for objects that never came to be. */
void mr_refs_disown(mr_refs *r, mr_id first, uint32_t n);
/* One more reference to each.  All or nothing.  Errors: NOMEM. */
mr_status mr_refs_add(mr_refs *r, const mr_id *ids, size_t n) MR_CHECK_RESULT;
/* One less, at once. */
void mr_refs_sub(mr_refs *r, mr_id id);
/* One less, later: takes no lock, never blocks, never allocates from the heap. */
void mr_refs_drop(mr_refs *r, mr_id id);

/* The same for references that look at the bytes too.  When the last look ends, the port is told (unview), whether or
 * not there are other references. */
mr_status mr_refs_look(mr_refs *r, const mr_id *ids, size_t n) MR_CHECK_RESULT;
void mr_refs_unlook(mr_refs *r, mr_id id);
void mr_refs_drop_look(mr_refs *r, mr_id id);
/* The port gave the bytes of a large object: a reference that is there looks at them, or (add) a new one.  False: no
 * memory; then they stay where they are. */
bool mr_refs_pin(mr_refs *r, mr_id id, bool add);

/* Applies what was dropped; sends what is buffered if `all`, else only when a batch is full. */
void mr_refs_flush(mr_refs *r, bool all);
/* Holds that were not told yet go first: call before any other record is sent. */
void mr_refs_settle(mr_refs *r);
/* Does the process hold it now (drops not yet applied count as held)? */
bool mr_refs_held(mr_refs *r, mr_id id);
/* For each of ids that is held: keep(arg, i, looked at?), under the lock, so that no drop comes between.  True: the
 * port counts one more look. */
void mr_refs_each_held(mr_refs *r, const mr_id *ids, size_t n, bool (*keep)(void *arg, size_t i, bool looked),
                       void *arg);

#endif
