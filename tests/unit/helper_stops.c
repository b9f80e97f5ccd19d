/* helper_stops.c: see the header.  Owns nothing. */
#include "helper_stops.h"

#include <check.h>

mr_status world_stopped(world *w, mr_id id, int64_t ran)
{
    mr_ev_task e = {.h = {.kind = MR_EV_STOPPED}, .task = id, .attempt = 1, .ran = ran, .ok = 1};
    mr_spec s;
    if (mr_control_spec(w->c, id, &s) == MR_OK)
        e.attempt = s.attempt;
    e.worker = e.h.from = world_worker(w, id);
    return world_step(w, &e);
}

void stops_see(stops *s, const mr_action *a)
{
    if ((a->kind == MR_ACT_STOP || a->kind == MR_ACT_CONTINUE) && a->worker < STOPS_WORKERS)
        s->stands[a->worker] = a->kind == MR_ACT_STOP;
}

void stops_check(const stops *s, world *w, const bool *asked)
{
    mr_worker_info i;
    for (uint32_t k = 0; (k = mr_control_worker_next(w->c, k));)
        if (k < STOPS_WORKERS && mr_control_worker(w->c, k, &i) && !asked[k] &&
            s->stands[k] != (i.state == MR_PROC_STOPPED))
            ck_abort_msg("worker %u is in state %u and %s", k, i.state, s->stands[k] ? "stands still" : "runs");
}
