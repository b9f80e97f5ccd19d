/* intern.h: texts <-> small dense numbers.
 *
 * Number 0 is always the empty text, so a zeroed record has no name.  Numbers are given in order of first appearance,
 * never reused, and the text of one stays at its address until fini: it may be kept without copying.
 * No lock: one thread, or the owner's lock.
 */
#ifndef MR_BASE_INTERN_H
#define MR_BASE_INTERN_H

#include <stddef.h>
#include <stdint.h>

#include <miniray/status.h>

typedef struct mr_intern mr_intern;

/* Errors: NOMEM. */
mr_status mr_intern_new(mr_intern **out) MR_CHECK_RESULT;
void mr_intern_free(mr_intern *in);

/* The number of `text` (len bytes, may hold any byte but is handed back as a C string), given now if it is new.
 * Errors: NOMEM. */
mr_status mr_intern_put(mr_intern *in, const char *text, size_t len, uint32_t *out) MR_CHECK_RESULT;
/* The same without adding.  Errors: NOTFOUND. */
mr_status mr_intern_find(const mr_intern *in, const char *text, size_t len, uint32_t *out) MR_CHECK_RESULT;

/* The text, NUL-ended; NULL for a number that was never given. */
const char *mr_intern_text(const mr_intern *in, uint32_t number);
/* How many numbers were given, 0 included: the next new one. */
uint32_t mr_intern_count(const mr_intern *in);

#endif
