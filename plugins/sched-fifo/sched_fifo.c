/* sched_fifo.c: first in, first out.  A policy without a single op is exactly that: control starts the task that has
 * been ready longest among those that fit somewhere now, so a wide task never blocks small ones behind it. */
#include <miniray/plugin.h>
#include <miniray/sched.h>

static const mr_sched_ops ops = {0};

MR_PLUGIN(MR_KIND_SCHED, "sched-fifo", "first in, first out; steps over what does not fit now", ops, NULL, 0)
