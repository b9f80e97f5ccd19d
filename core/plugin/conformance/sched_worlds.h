/* sched_worlds.h: random worlds for a scheduler, by seed and kind, and what is judged of every run of one.
 *
 * Private to core/plugin/conformance.
 */
#ifndef MR_PLUGIN_CONFORMANCE_SCHED_WORLDS_H
#define MR_PLUGIN_CONFORMANCE_SCHED_WORLDS_H

#include "base/log.h"
#include "plugin/conformance/bench_host.h"

/* What a world has; a set of bits. */
enum {
    W_GRAPH = 1,
    W_FAULTS = 2,        /* deaths and cancels */
    W_UNKNOWN = 4,       /* nothing is known of durations and bytes */
    W_UNLIKE = 8,        /* nodes of other speeds, one with GPUs */
    W_BARE = 16,         /* no user, function, priority, deadline, limit */
    W_WIDE = 32,         /* some tasks take two CPUs */
    W_REOPEN = 64,       /* the plugin is closed and opened in the middle, and told the present */
    W_BATCH = 128,       /* all at once */
    W_SLOW = 256,        /* starts take a while: what has its slot has not begun */
    W_CAPPED = 512,      /* at most one of a function at a time */
    W_LABELS = 1024,     /* labels, some of them empty */
    W_EXTREME = 2048,    /* priorities, deadlines, limits at the ends of their types */
    W_ZERO = 4096,       /* durations of nothing */
    W_LATE = 8192,       /* the clock does not begin at 0 */
    W_HEAVY = 16384,     /* copies take longer than tasks */
    W_EJECT = 1 << 15,   /* the plugin is ejected in the middle */
    W_STORM = 1 << 16,   /* a death or cancel for every task */
    W_ALIKE = 1 << 17,   /* every task like every other */
    W_FREE = 1 << 18,    /* tasks that need no CPU */
    W_HALVES = 1 << 19,  /* tasks of half a CPU */
    W_ONE = 1 << 20,     /* one slot */
    W_MANY = 1 << 21,    /* eight nodes of one slot */
    W_EARLY = 1 << 22,   /* faults in the very instants of submissions */
    W_LIVING = 1 << 23,  /* actors that live, bundles of placement groups that hold */
    W_SEATS = 1 << 24,   /* nodes get more slots while it runs */
    W_STREAMS = 1 << 25, /* results that are there before their task ends */
    W_BLOCKS = 1 << 26   /* tasks that wait in `get`, and lend their slot and CPU */
};

typedef struct mr_sched_ctx {
    const mr_loaded *loaded;
    const char *option; /* a policy file, or NULL */
    char why[1400];     /* of the case that fails */
} mr_sched_ctx;

/* Says why the case fails; false. */
bool mr_sched_no(mr_sched_ctx *c, const char *fmt, ...) MR_PRINTF(2, 3);

/* A world that has not run yet; NULL: no memory. */
mr_bench *mr_sched_world(mr_sched_ctx *c, uint64_t seed, unsigned kind, int tasks);
/* Everything every run must keep: true, or why it does not. */
bool mr_sched_judge(mr_sched_ctx *c, const mr_bench *b, const char *what);
/* Worlds of seeds 1 to `seeds`, each judged; the first is run twice and must be equal to the last bit. */
bool mr_sched_run_worlds(mr_sched_ctx *c, unsigned kind, uint64_t seeds, int tasks);

#endif
