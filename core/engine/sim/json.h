/* json.h: typed reading of JSON objects whose every field is known, with errors that name file, line and field.
 *
 * A table of fields drives it: an unknown field, a field given twice, a wrong type or a number out of range is refused.
 */
#ifndef MR_ENGINE_SIM_JSON_H
#define MR_ENGINE_SIM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <miniray/status.h>

/* The text that is being read, so that a message can name line and column. */
typedef struct mr_json_doc {
    const char *text;
    size_t size;
    int line;          /* number of its first line; 0: 1 */
    const cJSON *root; /* what the whole text was parsed into; NULL: it is there no more, and `name` is looked for */
    const cJSON *here; /* the value being read, inside `root` */
    const char *name;  /* NULL: none */
} mr_json_doc;

/* Where a value stands, for messages. */
typedef struct mr_json_at {
    const char *path;
    int line; /* 0: the file as a whole */
    mr_err *err;
    mr_json_doc *doc; /* NULL: no text to look into */
} mr_json_at;

/* One known field.  `read` puts the value into `into`; it fails through mr_json_fail. */
typedef struct mr_json_field {
    const char *name;
    mr_status (*read)(const mr_json_at *at, const char *field, const cJSON *value, void *into);
} mr_json_field;

/* The value that is looked at from here on. */
static inline void mr_json_here(const mr_json_at *at, const cJSON *value)
{
    if (at->doc)
        at->doc->here = value;
}
/* Line and column of what is being read; false: not known. */
bool mr_json_where(const mr_json_at *at, const char *field, int *line, int *column);
/* "FILE:LINE:COLUMN: FIELD: what", as far as the place is known; FIELD may be NULL.  Always gives MR_E_CONFIG. */
mr_status mr_json_fail(const mr_json_at *at, const char *field, const char *fmt, ...) MR_PRINTF(3, 4);

/* Reads every member of `object` by the table (at most 63 fields). */
mr_status mr_json_read(const mr_json_at *at, const cJSON *object, const mr_json_field *fields, size_t n,
                       void *into) MR_CHECK_RESULT;

/* A finite number in [min, max]. */
mr_status mr_json_number(const mr_json_at *at, const char *field, const cJSON *value, double min, double max,
                         double *out) MR_CHECK_RESULT;
/* A whole number in [0, 2^53]. */
mr_status mr_json_count(const mr_json_at *at, const char *field, const cJSON *value, uint64_t *out) MR_CHECK_RESULT;
/* Seconds >= 0, at most 100 years, to ns. */
mr_status mr_json_seconds(const mr_json_at *at, const char *field, const cJSON *value, int64_t *out) MR_CHECK_RESULT;
/* A text of 1 .. max bytes; *out is borrowed from `value`. */
mr_status mr_json_text(const mr_json_at *at, const char *field, const cJSON *value, size_t max,
                       const char **out) MR_CHECK_RESULT;

/* Parses `size` bytes of `text` (which ends with a NUL).  The caller deletes *out.  Errors: CONFIG with line and
 * column, counted from `at->line` for the first line (1 if 0). */
mr_status mr_json_parse(const mr_json_at *at, const char *text, size_t size, cJSON **out) MR_CHECK_RESULT;

/* The whole file, NUL-ended; the caller frees it.  Errors: IO, NOMEM. */
mr_status mr_json_load(const char *path, char **out, size_t *size, mr_err *err) MR_CHECK_RESULT;

#endif
