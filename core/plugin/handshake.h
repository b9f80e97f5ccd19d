/* handshake.h: what must hold of a plugin file, and of the table it answers with, before one of its ops is called.
 *
 * Private to core/plugin.  Thread: start-up only; no state.
 */
#ifndef MR_PLUGIN_HANDSHAKE_H
#define MR_PLUGIN_HANDSHAKE_H

#include "plugin/loader.h"

/* The file is a shared library that nobody but this user (or root) can replace or change.  Errors: NOTFOUND, PLUGIN. */
mr_status mr_handshake_file(const char *path, mr_err *err) MR_CHECK_RESULT;

/* Checks every field of `p`, which `path` answered with, and copies its op table into *ops (zero-filled past the
 * plugin's ops_size).  `kind` 0 accepts either.  Errors: ABI (handshake, ops, name), PLUGIN (a broken key table). */
mr_status mr_handshake_table(const mr_plugin *p, const char *path, uint32_t kind, mr_loaded *out,
                             mr_err *err) MR_CHECK_RESULT;

/* "store" or "sched"; "?" for a number that is no kind. */
const char *mr_plugin_kind_name(uint32_t kind);

#endif
