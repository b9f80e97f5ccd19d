/* loader.h: finds, opens and checks plugins.  The one place that knows .so files.
 *
 * Thread: start-up only; a loaded plugin is read-only afterwards.
 */
#ifndef MR_PLUGIN_LOADER_H
#define MR_PLUGIN_LOADER_H

#include <miniray/plugin.h>
#include <miniray/sched.h>
#include <miniray/store.h>

#include "base/config.h"

typedef struct mr_loaded {
    const mr_plugin *plugin; /* static data of the .so */
    void *handle;            /* of dlopen */
    char *path;              /* real path of the file */
    union {                  /* the op table: copied, zero-filled past the plugin's ops_size */
        mr_store_ops store;
        mr_sched_ops sched;
    } ops;
} mr_loaded;

/* `name` is a plugin name ("sched-fifo") or a path (has a '/').  A name is looked for as NAME.so and libNAME.so in, in
 * order: MINIRAY_PLUGIN_PATH (':'-separated), [plugins] path, the folder `own` (the package's), MINIRAY_PLUGIN_DIR
 * (compiled in). Errors: NOTFOUND (says where it looked), ABI (no symbol, magic, major, minor, wrong kind, a missing
 * mandatory op; both values and a hint), PLUGIN (dlopen's text; a file or folder that another user can write; a broken
 * key table), INVAL (no name), NOMEM. Never falls back.  `kind` 0 takes either kind; `c` may be NULL (no [plugins]
 * path). */
mr_status mr_plugin_load(mr_loaded **out, const char *name, mr_plugin_kind kind, const mr_config *c, const char *own,
                         mr_err *err) MR_CHECK_RESULT;
/* Closes the .so; no instance of it may be open. */
void mr_plugin_unload(mr_loaded *l);

/* Is every [store.NAME] and [sched.NAME] that is given the section of a plugin?  One of `loaded`, or one that the
 * search path of mr_plugin_load has: a section of a plugin that is not chosen this time may stay.  Errors: CONFIG,
 * NOMEM. */
mr_status mr_plugin_check_sections(const mr_config *c, const char *own, const mr_plugin *const *loaded, size_t n,
                                   mr_err *err) MR_CHECK_RESULT;

/* The paths of the plugin files on the search path, not opened: an array of n texts; the caller frees each and the
 * array.  0: none (NULL).
 */
size_t mr_plugin_paths(const mr_config *c, const char *own, char ***out);

/* A host table for one instance of a plugin: its config section, its counted memory, its log prefix, its first failure.
 * `now` gives engine time (NULL: always 0).  `c` NULL: the declared defaults.  The host owns nothing of the plugin;
 * free it after the instance's close: it then warns of memory that the instance did not give back. */
typedef struct mr_host_box mr_host_box;
mr_status mr_host_new(mr_host_box **out, const mr_plugin *p, const mr_config *c, int64_t (*now)(void *arg),
                      void *arg) MR_CHECK_RESULT;
/* This instance alone is told `value` for `key`, whatever its section says.  Before open.  Errors: NOMEM. */
mr_status mr_host_say(mr_host_box *b, const char *key, const char *value) MR_CHECK_RESULT;
void mr_host_free(mr_host_box *b);
const mr_host *mr_host_table(mr_host_box *b);
/* `fn` is called with the text of the first fail(), from inside it, on the plugin's thread: an engine tells control
 * that the policy has failed (mr_control_policy_fail).  Set before the instance's open. */
void mr_host_on_fail(mr_host_box *b, void (*fn)(void *arg, const char *text), void *arg);
/* `fn` is called with what the plugin says its ops took, from inside them.  Before the instance's open; without it
 * nobody counts. */
void mr_host_on_work(mr_host_box *b, void (*fn)(void *arg, uint64_t units), void *arg);
/* The name that is shown of a policy: of a file (NULL: none) its own, without folder and ending; else the plugin's. */
void mr_policy_name(const mr_plugin *plugin, const char *file, char *out, size_t n);
/* The text of the first fail(), or NULL. */
const char *mr_host_failure(const mr_host_box *b);
/* What it logged as an error in this thread since this was asked last; "" if nothing: why its op has failed. */
void mr_host_said(const mr_host_box *b, char *text, size_t size);
uint64_t mr_host_bytes(const mr_host_box *b); /* allocated and not freed */

#endif
