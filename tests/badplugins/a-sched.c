/* Right, but a scheduler: wrong where a store is asked for. */
#include "bad.h"

static const mr_sched_ops ops = {0};
MR_PLUGIN(MR_KIND_SCHED, "a-sched", "first in, first out", ops, NULL, 0)
