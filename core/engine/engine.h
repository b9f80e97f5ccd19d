/* engine.h: what runs the work.  The process engine (real worker processes) gives a port; the sim engine (virtual time)
 * is a library of its own, see sim/sim.h.  Both drive the same control and plugins.
 */
#ifndef MR_ENGINE_ENGINE_H
#define MR_ENGINE_ENGINE_H

#include <miniray/miniray.h>

#include "base/config.h"
#include "client/port.h"

/* Opens the process engine of a driver: plugins, node list, supervisor, threads.  `config` is owned by the engine from
 * here on, also on failure (take).  Errors as mr_open. */
mr_status mr_engine_open(mr_config *take_config, const mr_open_args *args, mr_port **out, mr_err *err) MR_CHECK_RESULT;

/* The next line that a worker printed; see mr_output_next. */
mr_status mr_engine_output(mr_port *p, int64_t timeout, mr_output *out) MR_CHECK_RESULT;

/* Ends all processes, and the queue of lines after the last one; other calls return CLOSED from here on. */
void mr_engine_finish(mr_port *p);
/* Close will leave the memory of all values mapped. */
void mr_engine_keep_views(mr_port *p);
/* Driver: `tell(arg)` tells the node which references were given up.  The progress thread calls it, without a lock,
 * when a store is full or another terminal looks: the driver may not call miniray for long.  `arg` lives until close.
 */
void mr_engine_on_drops(mr_port *p, void (*tell)(void *arg), void *arg);
/* See mr_on_full. */
void mr_engine_on_full(mr_port *p, void (*ask)(void));
/* See mr_on_error. */
void mr_engine_on_error(mr_port *p, mr_error_reader read);

/* Is this a forked child of a driver?  Then its session is dead: every op of its port returns FORKED. */
bool mr_engine_forked(void);

/* The folder that holds bin/ and plugins/: `home` if given, else beside the library or executable this code is in.
 * Writes at most n bytes.  Errors: NOTFOUND. */
mr_status mr_engine_home(const char *home, char *out, size_t n, mr_err *err) MR_CHECK_RESULT;

#endif
