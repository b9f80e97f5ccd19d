/* config_store.h: how a config holds its settings.  Internal to config.c and config_read.c.
 *
 * No lock (see config.h).
 */
#ifndef MR_BASE_CONFIG_STORE_H
#define MR_BASE_CONFIG_STORE_H

#include "base/config.h"
#include "base/config_keys.h"

/* One setting.  It owns section, key, value and file of `pub`.  `key` is NULL in a plugin's section. */
typedef struct mr_item {
    mr_setting pub;
    const mr_key *key;
    bool checked; /* of a plugin's section: the plugin has declared it */
    bool implied; /* [sched] plugin = sched-lua because of a policy: naming a plugin later is no duplicate */
    unsigned reading;
    int64_t i;
    double d;
} mr_item;

struct mr_config {
    mr_item *items; /* those of the table first, in its order */
    size_t n, room;
    char **nodes; /* "node.NAME" */
    size_t n_nodes;
    unsigned reading; /* how many files were begun: tells a duplicate from an override */
};

/* Where a value comes from, and how messages call that place ("FILE:LINE", a variable, an argument). */
typedef struct mr_origin {
    mr_config_source source;
    const char *file, *place, *base;
    int line;
} mr_origin;

/* "store.store-shm" -> "store.shm", into out (of the same length at least); other names are copied. */
void mr_config_canonical(const char *section, char *out, size_t room);
/* Errors: CONFIG when there is no such section (did you mean), NOMEM. */
mr_status mr_config_open_section(mr_config *c, const char *section, const char *place, mr_err *err) MR_CHECK_RESULT;
/* Sets one value; a value of a stronger source stays.  Errors: CONFIG, NOMEM. */
mr_status mr_config_apply(mr_config *c, const char *section, const char *key, const char *value, const mr_origin *from,
                          mr_err *err) MR_CHECK_RESULT;
mr_item *mr_config_item(const mr_config *c, const char *section, const char *key);

#endif
