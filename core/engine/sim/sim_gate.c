/* sim_gate.c: the gate: the one place where a true duration may become something that control, and so a policy, can
 * see. No lock: one simulation, one thread. */
#include "base/log.h"
#include "engine/sim/durations.h"
#include "engine/sim/sim_state.h"

bool mr_sim_knows_truth(const mr_sim *s)
{
    return s->conf.know == MR_SIM_NOISY || s->conf.know == MR_SIM_EXACT;
}

/* What the task takes on each class of node, as far as the gate lets it through; its error is the task's. */
static mr_status state_classes(mr_sim *s, uint32_t task, double factor, mr_err *err)
{
    const mr_wl_task *t = &s->w->tasks[task];
    for (uint32_t c = 0; c < s->p->n_classes; c++) {
        int64_t ns = (int64_t)((double)s->w->by_class[t->first_class + c] * factor + 0.5);
        mr_status status = mr_control_class_cost(s->control, s->funcs[t->def], c, ns);
        if (status)
            return mr_err_set(err, status, "the costs by class of \"%s\" were refused", mr_workload_name(s->w, task));
    }
    return MR_OK;
}

mr_status mr_sim_stated(mr_sim *s, uint32_t task, int64_t *out, mr_err *err)
{
    const mr_wl_task *t = &s->w->tasks[task];
    double factor = 1;
    int64_t duration = t->duration;
    *out = MR_UNKNOWN;
    if (!mr_sim_knows_truth(s)) {
        if (s->conf.know == MR_SIM_STATED)
            *out = t->estimate;
        return MR_OK;
    }
    if (s->conf.know == MR_SIM_NOISY) {
        factor = 1 + s->conf.sigma * mr_durations_normal(&s->noise);
        factor = factor < 0.05 ? 0.05 : factor;
    }
    if (t->first_class != MR_WL_NONE) {
        mr_status status = state_classes(s, task, factor, err);
        if (status)
            return status;
        duration = 0;
        for (uint32_t c = 0; c < s->p->n_classes; c++)
            duration += s->w->by_class[t->first_class + c] / s->p->n_classes;
    }
    *out = factor == 1 ? duration : (int64_t)((double)duration * factor + 0.5);
    return MR_OK;
}
