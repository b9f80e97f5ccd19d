/* config_keys.h: the table of all settings that miniray itself has.  Internal to config*.c.
 *
 * Read-only data, safe from any thread.
 */
#ifndef MR_BASE_CONFIG_KEYS_H
#define MR_BASE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <miniray/plugin.h>

typedef enum mr_key_form {
    MR_KEY_PLAIN,   /* what the type says, inside [min, max] */
    MR_KEY_CHOICE,  /* one of choices, a list with '|' */
    MR_KEY_KNOW,    /* a choice, or noisy:S */
    MR_KEY_PAIRS,   /* name=text,name=text */
    MR_KEY_AMOUNTS, /* name=number,name=number */
    MR_KEY_PATHS    /* paths with ':' between, each relative to the file that names it */
} mr_key_form;

typedef struct mr_key {
    const char *section, *name;
    mr_conf_type type;
    mr_key_form form;
    const char *otherwise; /* as it would be written; NULL: none */
    const char *shown;     /* how help shows the default when it is computed; NULL: as `otherwise` */
    const char *choices;
    double min, max; /* of numbers; min > max: unbounded */
    const char *help;
} mr_key;

extern const mr_key mr_config_keys[];
extern const size_t mr_config_n_keys;
extern const char *const mr_config_sections[];
extern const size_t mr_config_n_sections;

/* The key, or NULL.  Section "node.NAME" is looked up as "node". */
const mr_key *mr_key_find(const char *section, const char *name);
bool mr_key_section_known(const char *section);
/* All key names of a section, for messages; returns how many. */
size_t mr_key_names(const char *section, const char **out, size_t room);
/* "whole number", "bytes", ...: for help and messages. */
const char *mr_key_type_text(mr_conf_type type);

/* Checks `text` against the key and gives its numbers.  *out_text, if set, is the text to keep instead (malloced):
 * paths are resolved against folder `base` (NULL: the working folder, left as they are).  Errors: CONFIG, NOMEM. */
mr_status mr_key_parse(const mr_key *key, const char *text, const char *base, char **out_text, int64_t *out_int,
                       double *out_double, mr_err *err) MR_CHECK_RESULT;

#endif
