/* repl.h: a simulation by hand: a line is a command, its answer is text.  Thread: one. */
#ifndef MR_ENGINE_SIM_REPL_H
#define MR_ENGINE_SIM_REPL_H

#include <stdio.h>

#include "engine/sim/sim.h"
#include "plugin/loader.h"

/* Reads `in` to its end or `quit`; `help` lists the commands.  `plugin` hosts the policy that the simulation was made
 * with; `c` has its settings.  Errors: that of the simulation, when it could not go on (said on `out` too). */
mr_status mr_repl(mr_sim *s, const mr_config *c, const mr_loaded *plugin, FILE *in, FILE *out) MR_CHECK_RESULT;

#endif
