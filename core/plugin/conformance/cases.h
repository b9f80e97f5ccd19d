/* cases.h: the conformance suites: what every plugin of a kind must keep, run on any .so.
 *
 * Each prints one line per case ("ok NAME", "skipped NAME: why" or "FAILED NAME: what, expected, got") to `out` and
 * returns the number of failed cases.  Each case of the store suite runs in a child of its own with a time limit, so a
 * crash or an endless loop is one failed case.  The scheduler suite calls the policy in this process: run it in a child
 * (miniray-plugin-check does, CTest does).
 */
#ifndef MR_PLUGIN_CONFORMANCE_CASES_H
#define MR_PLUGIN_CONFORMANCE_CASES_H

#include <stdio.h>

#include "plugin/loader.h"

/* A child calls it first: it is killed when its parent dies (where the system can; else its parent's time limit is
 * all). */
void mr_case_die_with_parent(void);

/* `out` is flushed before every case, because the cases fork. */
int mr_store_conformance(const mr_loaded *l, FILE *out);

/* `option`: the policy file for a scheduler that hosts one (sched-lua), or NULL. */
int mr_sched_conformance(const mr_loaded *l, const char *option, FILE *out);

#endif
