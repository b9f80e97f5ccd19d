/* helper_stops.h: what a worker that is stopped says, and a model of signals: which processes stand still. */
#ifndef HELPER_STOPS_H
#define HELPER_STOPS_H

#include "helper_control.h"

/* Task `id` stands still since it ran `ran` ns of this start; MR_UNKNOWN: not measured. */
mr_status world_stopped(world *w, mr_id id, int64_t ran);

/* Signals reach a process in the order in which they were sent, so the last one counts. */
enum { STOPS_WORKERS = 4096 };
typedef struct stops {
    bool stands[STOPS_WORKERS]; /* by worker number */
} stops;
/* STOP or CONTINUE was asked for. */
void stops_see(stops *s, const mr_action *a);
/* A process stands still exactly if control counts on it, but for those that have not yet done what was asked of them:
 * a STOP that is not answered, a KILL (`asked`: by worker). */
void stops_check(const stops *s, world *w, const bool *asked);

#endif
