/* drops.h: references given up, noted without a lock.
 *
 * A reference may die anywhere: in a garbage collection, in any thread, while a miniray call of the same thread is
 * under way.  So each thread has a list of its own that only it appends to, and one reader (who holds a lock of its
 * own) empties all lists.  Memory comes from mmap, never from malloc: a drop may run inside an allocator.
 */
#ifndef MR_CLIENT_DROPS_H
#define MR_CLIENT_DROPS_H

#include <stdbool.h>

#include <miniray/types.h>

/* Notes `id` for `owner`.  If there is no memory at all the note is lost: the object then lives to the session's end.
 */
void mr_drops_push(const void *owner, mr_id id);
/* Has anything been pushed since the last take? */
bool mr_drops_any(void);
/* Calls take(arg, id) for each id of `owner`; those of other owners are forgotten.  One caller at a time. */
void mr_drops_take(const void *owner, void (*take)(void *arg, mr_id id), void *arg);

#endif
