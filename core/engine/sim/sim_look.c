/* sim_look.c: what others may see of a simulation.  Changes nothing.  No lock: one simulation, one thread. */
#include "engine/sim/sim_state.h"

int64_t mr_sim_now(const mr_sim *s)
{
    return s->now;
}

const mr_sim_task *mr_sim_tasks(const mr_sim *s)
{
    return s->tasks;
}

const mr_sim_stretch *mr_sim_stretches(const mr_sim *s, size_t *n)
{
    *n = s->n_stretches;
    return s->stretches;
}

const mr_sim_earlier *mr_sim_earlier_runs(const mr_sim *s, size_t *n)
{
    *n = s->n_earlier;
    return s->earlier;
}

const char *mr_sim_policy_error(const mr_sim *s)
{
    return mr_control_policy_error(s->control);
}

const char *mr_sim_policy_dump(const mr_sim *s)
{
    return mr_control_policy_dump(s->control);
}

const char *mr_sim_policy_refusal(const mr_sim *s)
{
    return mr_control_policy_refusal(s->control);
}

const char *mr_sim_policy_op(const mr_sim *s, uint64_t *calls)
{
    return mr_control_policy_op(s->control, calls);
}

const char *mr_sim_policy_name(const mr_sim *s)
{
    return s->policy;
}

void mr_sim_policy_fail(mr_sim *s, const char *why)
{
    mr_control_policy_fail(s->control, why);
}

void mr_sim_policy_work(mr_sim *s, uint64_t units)
{
    s->work += units;
}

void mr_sim_stats_get(const mr_sim *s, mr_sim_stats *out)
{
    mr_control_stats c;
    mr_control_stats_get(s->control, &c);
    *out = s->stats;
    (void)mr_control_policy_op(s->control, &out->calls);
    out->calls -= s->opened;
    out->held = c.held;
    out->refused = c.refused;
    out->memory = c.memory;
}

mr_control *mr_sim_control(const mr_sim *s)
{
    return s->control;
}

mr_id mr_sim_id(const mr_sim *s, uint32_t task)
{
    return s->lives[task].id;
}

uint64_t mr_sim_over(const mr_sim *s)
{
    return s->over;
}
