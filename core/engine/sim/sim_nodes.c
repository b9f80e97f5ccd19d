/* sim_nodes.c: nodes that come, die and come back.  Control never sees one again: what comes back is empty and has a
 * new number, so this file keeps which node of the platform has which number now.
 *
 * A death by chance follows from the seed, the node and how often it died before, so it is the same under every policy.
 * What dies with a node: its workers and what they run, what lies in its store and on its disk, and what is on its way
 * from or to it.  What is done about that is control's choice.  No lock: one simulation, one thread. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/durations.h"
#include "engine/sim/sim_state.h"

static const int64_t CLOCK_MOST = INT64_C(4600000000000000000); /* see mr_workload_horizon */

uint32_t mr_sim_machine_of(const mr_sim *s, uint64_t number)
{
    if (number >= s->n_numbers)
        return MR_WL_NONE;
    uint32_t machine = s->machine_of[number];
    return s->machines[machine].number == number ? machine : MR_WL_NONE;
}

static mr_status join(mr_sim *s, uint32_t machine, mr_err *err)
{
    const mr_platform_node *n = &s->p->nodes[machine];
    uint32_t amounts = n->n_amounts * (uint32_t)sizeof *n->amounts, labels = n->n_labels * (uint32_t)sizeof(mr_label);
    if (!mr_workload_grow(&s->machine_of, s->n_numbers, &s->cap_numbers, sizeof *s->machine_of))
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    mr_ev_node *e = BEGIN(mr_ev_node, MR_EV_NODE_ADDED, 0, amounts + labels, 0);
    if (e) {
        e->node = s->n_numbers;
        e->n_amounts = n->n_amounts;
        e->cls = n->cls;
        e->speed = n->speed;
        e->fixed = s->p->fixed;
        memcpy(e->name, n->name, sizeof e->name);
        e->n_labels = n->n_labels;
        memcpy(e + 1, n->amounts, amounts);
        if (labels)
            memcpy((char *)(e + 1) + amounts, n->labels, labels);
    }
    s->machines[machine].number = s->n_numbers;
    s->machine_of[s->n_numbers++] = machine;
    return mr_sim_tell(s, e, err);
}

/* When the node that is up now dies by chance. */
static mr_status doom(mr_sim *s, uint32_t machine, mr_err *err)
{
    int64_t mean = s->p->nodes[machine].mtbf ? s->p->nodes[machine].mtbf : s->p->node_mtbf;
    if (mean == 0)
        return MR_OK;
    mr_rand r;
    uint64_t which = ((uint64_t)machine << 32) ^ s->machines[machine].gen;
    mr_rand_seed(&r, s->conf.seed ^ mr_rand_mix(&which), 4);
    double after = mr_durations_exponential(&r) * (double)mean;
    if (after >= (double)(CLOCK_MOST - s->now))
        return MR_OK;
    mr_moment m = {
        .at = s->now + (int64_t)after, .kind = MR_AT_NODE_DOWN, .a = machine, .gen = s->machines[machine].gen};
    return mr_clock_push(&s->clock, m) ? mr_err_set(err, MR_E_NOMEM, "out of memory") : MR_OK;
}

mr_status mr_sim_nodes_begin(mr_sim *s, mr_err *err)
{
    mr_status status = MR_OK;
    s->machines = calloc(s->p->n_nodes + 1, sizeof *s->machines);
    if (!s->machines)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    for (uint32_t i = 0; !status && i < s->p->n_nodes; i++)
        if (!(status = join(s, i, err)))
            status = doom(s, i, err);
    for (uint32_t i = 0; !status && i < s->p->n_failures; i++) {
        const mr_platform_failure *f = &s->p->failures[i];
        if (mr_clock_push(&s->clock, (mr_moment){.at = f->at, .kind = MR_AT_NODE_DOWN, .a = f->node, .b = i + 1}))
            status = mr_err_set(err, MR_E_NOMEM, "out of memory");
    }
    return status;
}

/* Copies on their way: what goes to the dead node never arrives, and what comes from it is told to be lost. */
static mr_status lose_copies(mr_sim *s, uint32_t machine, mr_err *err)
{
    mr_status status = MR_OK;
    for (uint32_t i = 0; !status && i < s->n_flights; i++) {
        mr_sim_flight *f = &s->flights[i];
        if (!f->id || f->dead || (f->from != machine && f->node != machine))
            continue;
        f->dead = true;
        if (f->node == machine)
            continue;
        mr_ev_place *e = BEGIN(mr_ev_place, MR_EV_LOST, 0, 0, 0);
        if (e) {
            e->id = f->id;
            e->size = f->bytes;
            e->node = s->machines[f->node].number;
            e->cause = MR_LOSS_NODE;
        }
        status = mr_sim_tell(s, e, err);
        if (status == MR_E_INVAL) /* it is being made again already, or nobody wants it any more */
            status = MR_OK;
    }
    return status;
}

static mr_status task_lost(mr_sim *s, uint32_t task, mr_err *err)
{
    mr_sim_life *l = &s->lives[task];
    bool runs = l->state == MR_LIFE_RUNNING;
    mr_status status = runs && !mr_workload_is_call(s->w, task) ? mr_sim_stretch_end(s, task, err) : MR_OK;
    l->gen++;
    s->stats.lost += runs ? s->tasks[task].ran + s->now - l->since : 0;
    l->state = MR_LIFE_QUEUED;
    return status;
}

mr_status mr_sim_proc_lost(mr_sim *s, mr_sim_proc *p, bool died, mr_err *err)
{
    mr_status status = p->task ? task_lost(s, p->task - 1, err) : MR_OK;
    s->stats.deaths += died && (p->task || p->n_calls);
    for (uint32_t i = 0; !status && i < p->n_calls; i++)
        status = task_lost(s, p->calls[i], err);
    p->task = p->n_calls = 0;
    return status;
}

mr_status mr_sim_node_down(mr_sim *s, const mr_moment *m, mr_err *err)
{
    mr_sim_machine *machine = &s->machines[m->a];
    if (machine->number == MR_WL_NONE || (m->b == 0 && machine->gen != m->gen))
        return MR_OK;
    mr_ev_place gone = {.h = {.size = sizeof gone, .kind = MR_EV_NODE_REMOVED, .version = MR_RECORD_VERSION},
                        .node = machine->number};
    mr_status status = MR_OK;
    for (uint32_t i = 0; !status && i < s->cap_procs; i++) {
        mr_sim_proc *p = &s->procs[i];
        if (!p->alive || p->node != m->a)
            continue;
        p->alive = false;
        status = mr_sim_proc_lost(s, p, true, err);
    }
    mr_sim_store_gone(s, m->a);
    machine->number = MR_WL_NONE;
    machine->gen++;
    s->stats.node_deaths++;
    if (!status)
        status = mr_sim_tell(s, &gone, err);
    if (!status)
        status = lose_copies(s, m->a, err);
    if (!status && mr_sim_fair_died(s))
        status = mr_err_set(err, MR_E_NOMEM, "out of memory");
    int64_t back = m->b                              ? s->p->failures[m->b - 1].back
                   : s->p->node_repair == MR_UNKNOWN ? MR_UNKNOWN
                                                     : s->now + s->p->node_repair;
    if (!status && back != MR_UNKNOWN &&
        mr_clock_push(&s->clock, (mr_moment){.at = back, .kind = MR_AT_NODE_UP, .a = m->a}))
        status = mr_err_set(err, MR_E_NOMEM, "out of memory");
    return status;
}

mr_status mr_sim_node_up(mr_sim *s, uint32_t machine, mr_err *err)
{
    if (s->machines[machine].number != MR_WL_NONE)
        return MR_OK;
    mr_status status = join(s, machine, err);
    return status ? status : doom(s, machine, err);
}

mr_status mr_sim_remake(mr_sim *s, uint32_t task)
{
    if (s->n_earlier == s->cap_earlier) {
        size_t cap = s->cap_earlier ? s->cap_earlier * 2 : 64;
        mr_sim_earlier *v = realloc(s->earlier, cap * sizeof *v);
        if (!v)
            return MR_E_NOMEM;
        s->earlier = v;
        s->cap_earlier = cap;
    }
    mr_err ignored;
    mr_sim_life *l = &s->lives[task];
    if (l->stretch == 0) { /* else it is listed already */
        l->from = s->tasks[task].started;
        if (mr_sim_stretch_end(s, task, &ignored))
            return MR_E_NOMEM;
        s->stretches[s->n_stretches - 1].to = s->tasks[task].ended;
    }
    s->earlier[s->n_earlier++] = (mr_sim_earlier){task, s->tasks[task]};
    l->state = MR_LIFE_QUEUED;
    l->again = 1;
    s->stats.remade++;
    s->over--;
    return MR_OK;
}
