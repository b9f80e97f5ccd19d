/* config.h: INI text (read by inih) -> checked, typed settings, each of which knows where its value came from.
 *
 * Precedence: call argument > environment (MINIRAY_SECTION_KEY) > file > default.
 * Refused, with "FILE:LINE: KEY: what, did you mean ...": an unknown section or key, a duplicate, a number or unit that
 * does not parse or is out of range, a line too long, a key outside any section, a missing file.
 * Known sections: node, node.NAME, engine, store, sched, plugins, log, sim (the table in config_keys.c) and store.NAME,
 * sched.NAME, whose keys the plugin NAME declares: they are kept as text here and checked by mr_config_check_plugin
 * once it is loaded; mr_plugin_check_sections (plugin/loader.h) refuses those of no plugin at all.  NAME is the
 * plugin's name with or without its kind: [sched.lua] is [sched.sched-lua].
 *
 * Thread: none of this is locked; a config is built by one thread, then only read.
 */
#ifndef MR_BASE_CONFIG_H
#define MR_BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include <miniray/plugin.h>

typedef struct mr_config mr_config;

typedef enum mr_config_source { MR_FROM_DEFAULT, MR_FROM_FILE, MR_FROM_ENV, MR_FROM_CALL } mr_config_source;

/* One setting as `miniray config dump` shows it.  Texts are owned by the config. */
typedef struct mr_setting {
    const char *section, *key, *value; /* value NULL: no value and no default */
    mr_config_source source;
    const char *file; /* of FROM_FILE; the variable of FROM_ENV; the `where` of FROM_CALL */
    int line;
} mr_setting;

/* All defaults.  Errors: NOMEM. */
mr_status mr_config_new(mr_config **out) MR_CHECK_RESULT;
void mr_config_free(mr_config *c);

/* Reads `path` over the defaults.  Errors: IO (missing, unreadable), CONFIG. */
mr_status mr_config_read(mr_config *c, const char *path, mr_err *err) MR_CHECK_RESULT;
/* Applies every MINIRAY_SECTION_KEY of `environ`-like `env` (NULL-ended).  An unknown one is an error (did you mean),
 * except the few that are not settings: MINIRAY_PLUGIN_PATH, MINIRAY_SESSION, MINIRAY_CONFIG, MINIRAY_WORKER,
 * MINIRAY_BIN. */
mr_status mr_config_env(mr_config *c, char *const *env, mr_err *err) MR_CHECK_RESULT;
/* A call argument; `where` names it in messages ("init(num_cpus=)", "--workers"). */
mr_status mr_config_set(mr_config *c, const char *section, const char *key, const char *value, const char *where,
                        mr_err *err) MR_CHECK_RESULT;

/* Checks section "store.NAME" or "sched.NAME" against what the plugin declares, and adds its defaults.  A plugin that
 * declares a key of the same name as one of [store] or [sched] (`policy`, `seed`) gets that setting, if its own section
 * is silent.  Errors: CONFIG (also: a `policy` is given to a plugin that takes none), NOMEM. */
mr_status mr_config_check_plugin(mr_config *c, const mr_plugin *p, mr_err *err) MR_CHECK_RESULT;
/* Checks the section alone and adds nothing: for a plugin that comes later. */
mr_status mr_config_check_keys(mr_config *c, const mr_plugin *p, mr_err *err) MR_CHECK_RESULT;

/* Values.  The key must be in the table, or in the section of a checked plugin (a bug otherwise).  Text lives until the
 * setting is changed and may be NULL: no value and no default; the numbers of such a key are 0. */
const char *mr_config_text(const mr_config *c, const char *section, const char *key);
int64_t mr_config_int(const mr_config *c, const char *section, const char *key); /* INT, BOOL, BYTES, DURATION (ns) */
double mr_config_double(const mr_config *c, const char *section, const char *key);

/* The i-th section [node.NAME], whole ("node.left"), in order of first appearance; NULL past the end.  Values asked of
 * it fall back to [node]. */
const char *mr_config_node(const mr_config *c, size_t i);

/* All settings in order of the table, then the plugin sections; the i-th, or NULL past the end. */
const mr_setting *mr_config_at(const mr_config *c, size_t i);
/* Help of the i-th key of the table: type, default, one line; false past the end. */
typedef struct mr_config_help {
    const char *section, *key, *type, *otherwise, *help;
} mr_config_help;
int mr_config_help_at(size_t i, mr_config_help *out);

/* Parses one value as config does; used for plugin keys, and by bindings.  Errors: CONFIG with what was expected. */
mr_status mr_config_parse(mr_conf_type type, const char *text, int64_t *out_int, double *out_double,
                          mr_err *err) MR_CHECK_RESULT;
/* The nearest of n names to `name` by edit distance, or else one that begins the same; NULL if none is near. */
const char *mr_nearest(const char *name, const char *const *names, size_t n);

#endif
