/* text.h: a growing text, for JSON.  Owned by whoever made it; no lock. */
#ifndef MR_ENGINE_PROCESS_TEXT_H
#define MR_ENGINE_PROCESS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <miniray/status.h>
#include <miniray/types.h>

/* Starts as all zeros.  `s` is malloc'ed and ends with a NUL; NULL while nothing was put. */
typedef struct mr_text {
    char *s;
    size_t n, cap;
    bool failed; /* out of memory: what was put since is lost */
} mr_text;

void mr_text_put(mr_text *t, const char *fmt, ...) MR_PRINTF(2, 3);
void mr_text_raw(mr_text *t, const char *bytes, size_t len);
void mr_text_string(mr_text *t, const char *s);                /* as a JSON string; NULL is "" */
void mr_text_bytes(mr_text *t, const void *bytes, size_t len); /* as a JSON string of hexadecimal digits */
void mr_text_id(mr_text *t, const char *key, mr_id id);        /* "key":"16 hexadecimal digits" */

#endif
