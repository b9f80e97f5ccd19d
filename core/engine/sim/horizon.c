/* horizon.c: whether all of a workload fits into the clock.  Everything that adds times relies on it.  No state. */
#include <string.h>

#include "base/log.h"
#include "engine/sim/json.h"
#include "engine/sim/workload.h"

/* ns that a task takes at most: all its tries, each on the slowest node, its copies one after the other. */
static double longest(const mr_workload *w, const mr_platform *p, const mr_wl_task *me, const mr_wl_slowest *slow)
{
    double most = (double)me->duration / slow->speed, bytes = 0;
    for (uint32_t c = 0; me->first_class != MR_WL_NONE && c < w->platform.n_classes; c++)
        most = (double)w->by_class[me->first_class + c] > most ? (double)w->by_class[me->first_class + c] : most;
    mr_define def;
    memcpy(&def, mr_intern_text(w->defs, me->def), sizeof def);
    for (uint32_t i = 0; i < me->n_inputs; i++)
        bytes += (double)w->objects[w->inputs[me->first_input + i]].bytes;
    return (most + slow->down + (double)p->spawn) * (slow->mortal ? def.max_retries + 1.0 : 1) +
           (bytes / slow->rate + 2 * bytes / (double)p->disk) * 1e9 + me->n_objects * (double)p->latency;
}

void mr_workload_slowest(const mr_platform *p, mr_wl_slowest *out)
{
    *out = (mr_wl_slowest){.speed = 1, .rate = (double)p->bandwidth};
    for (uint32_t n = 0; n < p->n_nodes; n++) {
        out->speed = p->nodes[n].speed < out->speed ? p->nodes[n].speed : out->speed;
        if (p->nodes[n].bandwidth && (double)p->nodes[n].bandwidth < out->rate)
            out->rate = (double)p->nodes[n].bandwidth;
    }
    out->mortal = p->worker_mtbf > 0 || mr_platform_mortal(p);
    out->down = p->node_repair > 0 ? (double)p->node_repair : 0; /* MR_UNKNOWN is below 0 */
    for (uint32_t i = 0; i < p->n_failures; i++) {
        int64_t last = p->failures[i].back > p->failures[i].at ? p->failures[i].back : p->failures[i].at;
        out->arrival = (double)last > out->arrival ? (double)last : out->arrival;
    }
}

mr_status mr_workload_fits_clock(const mr_workload *w, const mr_platform *p, uint32_t task, mr_wl_slowest *so_far,
                                 mr_err *err)
{
    const mr_wl_task *me = &w->tasks[task];
    so_far->arrival = (double)me->arrival > so_far->arrival ? (double)me->arrival : so_far->arrival;
    so_far->sum += longest(w, p, me, so_far);
    if (so_far->sum + so_far->arrival < 4.6e18)
        return MR_OK;
    mr_json_at at = {w->path, me->line, err, NULL};
    return mr_json_fail(
        &at, NULL, "all tasks and copies one after the other, up to this one, take %.3g years; the clock holds 146",
        (so_far->sum + so_far->arrival) / 3.15e16);
}

mr_status mr_workload_horizon(const mr_workload *w, const mr_platform *p, mr_err *err)
{
    mr_wl_slowest slow;
    mr_status status = MR_OK;
    mr_workload_slowest(p, &slow);
    for (uint32_t t = 0; !status && t < w->n_tasks; t++)
        status = mr_workload_fits_clock(w, p, t, &slow, err);
    return status;
}
