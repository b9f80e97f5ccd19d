/* sim_new.c: builds a simulation: refuses what can never run, tells control its nodes and functions, and takes all of
 * it down again.  No lock: one simulation, one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/sim_state.h"

void mr_sim_conf_init(mr_sim_conf *conf)
{
    *conf = (mr_sim_conf){.know = MR_SIM_LEARNED, .max_hold = 1000000000, .min_slice = 1000000, .max_time = MR_UNKNOWN};
}

/* A label that a definition asks for and the node does not have; NULL: it has all. */
static const char *lacks_label(const char *text, const mr_define *def, const mr_platform_node *n)
{
    const char *terms =
        text + sizeof *def + (def->n_needs + def->n_living) * sizeof(mr_named) + def->n_labels * sizeof(mr_label);
    for (uint32_t i = 0; i < def->n_terms; i++) {
        const char *key = terms + i * sizeof(mr_term); /* the readers know MR_TERM_EXISTS only */
        uint32_t k = 0;
        while (k < n->n_labels && strncmp(n->labels[k].key, key, sizeof n->labels[k].key) != 0)
            k++;
        if (k == n->n_labels)
            return key;
    }
    return NULL;
}

/* The first thing that the node has too little of, whose amount is *lack; NULL: it has enough. */
static bool has_room(const char *text, const mr_define *def, const mr_platform_node *n, mr_named *lack, int64_t *most)
{
    for (uint32_t i = 0; i < def->n_needs; i++) {
        mr_named need;
        memcpy(&need, text + sizeof *def + i * sizeof need, sizeof need);
        int64_t has = mr_platform_amount(n, need.name);
        if (has >= need.amount)
            continue;
        *most = has > *most || !lack->amount ? has : *most;
        *lack = need;
        return false;
    }
    return true;
}

mr_status mr_sim_fits(const mr_workload *w, const mr_platform *p, uint32_t task, mr_err *err)
{
    const char *text = mr_intern_text(w->defs, w->tasks[task].def), *label = NULL;
    mr_define def;
    mr_named lack = {0};
    int64_t most = 0;
    memcpy(&def, text, sizeof def);
    for (uint32_t n = 0; n < p->n_nodes; n++)
        if (has_room(text, &def, &p->nodes[n], &lack, &most)) {
            const char *without = lacks_label(text, &def, &p->nodes[n]);
            if (!without)
                return MR_OK;
            label = without;
        }
    double unit = strcmp(lack.name, "memory") == 0 ? 1 : MR_RES_UNIT;
    if (label)
        return mr_err_set(err, MR_E_UNSCHEDULABLE,
                          "%s:%d: the task \"%s\" requires \"%.31s\" and no node that is large enough has that label",
                          w->path, w->tasks[task].line, mr_workload_name(w, task), label);
    return mr_err_set(err, MR_E_UNSCHEDULABLE,
                      "%s:%d: the task \"%s\" needs %g %s and no node has that much: the largest has %g", w->path,
                      w->tasks[task].line, mr_workload_name(w, task), (double)lack.amount / unit, lack.name,
                      (double)most / unit);
}

/* A request that no node can ever satisfy is refused here, before anything runs. */
static mr_status check_fits(const mr_workload *w, const mr_platform *p, mr_err *err)
{
    char *fits = calloc(mr_intern_count(w->defs) + 1, 1);
    mr_status status = fits ? MR_OK : mr_err_set(err, MR_E_NOMEM, "out of memory");
    for (uint32_t t = 0; !status && t < w->n_tasks; t++)
        if (!fits[w->tasks[t].def]) {
            fits[w->tasks[t].def] = 1;
            status = mr_sim_fits(w, p, t, err);
        }
    free(fits);
    return status;
}

mr_status mr_sim_new(mr_sim **out, mr_workload *w, const mr_platform *p, const mr_sim_conf *conf, mr_err *err)
{
    mr_control_conf cc;
    mr_status status = w->stream ? MR_OK : mr_workload_horizon(w, p, err);
    if (!status && !w->stream)
        status = check_fits(w, p, err);
    if (status)
        return status;
    mr_sim *s = calloc(1, sizeof *s);
    if (!s)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    s->w = w;
    s->p = p;
    s->conf = *conf;
    s->wake = MR_UNKNOWN;
    snprintf(s->policy, sizeof s->policy, "fifo");
    s->next_id = 1;
    mr_clock_init(&s->clock);
    mr_table_init(&s->links, sizeof(int64_t));
    mr_table_init(&s->owner, sizeof(uint32_t));
    mr_workload_slowest(p, &s->slowest);
    s->ahead = MR_WL_NONE;
    mr_rand_seed(&s->noise, conf->seed, 1);
    mr_control_conf_init(&cc);
    cc.seed = conf->seed;
    cc.max_hold = conf->max_hold;
    cc.stop_on_error = conf->stop_on_error;
    /* So that each start gets somewhere, whatever it costs. */
    cc.min_slice = conf->min_slice + (conf->dispatch > conf->change ? conf->dispatch : conf->change);
    cc.prefetch = 0;
    cc.prefetch_max = 0;
    cc.max_workers = UINT32_MAX / 2;
    cc.history = 0;
    cc.idle_worker = MR_UNKNOWN;
    cc.bandwidth = p->bandwidth;
    cc.latency = p->latency;
    cc.know = conf->know == MR_SIM_NOTHING   ? MR_KNOW_NOTHING
              : conf->know == MR_SIM_LEARNED ? MR_KNOW_LEARNED
                                             : MR_KNOW_STATED;
    s->mortal = mr_platform_mortal(p);
    cc.lineage = s->mortal;
    cc.infeasible_wait = s->mortal; /* what needs a node that is down waits for it */
    cc.spill = true;                /* asked for only where a store can be full */
    if (mr_sim_store_init(s) || mr_sim_fair_init(s) || mr_control_new(&cc, &s->control)) {
        status = mr_err_set(err, MR_E_NOMEM, "out of memory for %u nodes", p->n_nodes);
        goto fail;
    }
    status = mr_sim_nodes_begin(s, err);
    if (!status)
        status = mr_sim_read_ahead(s, err);
    if (!status)
        status = mr_sim_define(s, err);
    if (status)
        goto fail;
    *out = s;
    return MR_OK;
fail:
    mr_sim_free(s);
    return status;
}

void mr_sim_free(mr_sim *s)
{
    if (!s)
        return;
    mr_control_free(s->control);
    mr_actions_free(&s->actions);
    mr_clock_fini(&s->clock);
    mr_sim_store_fini(s);
    mr_sim_fair_fini(s);
    mr_table_fini(&s->links);
    free(s->funcs);
    free(s->outside);
    free(s->unread);
    mr_table_fini(&s->owner);
    free(s->leaving);
    free(s->lives);
    free(s->tasks);
    free(s->stretches);
    free(s->earlier);
    free(s->machines);
    free(s->machine_of);
    for (uint32_t i = 0; i < s->cap_procs; i++)
        free(s->procs[i].calls);
    free(s->procs);
    free(s->passed);
    free(s->deferred);
    free(s->flights);
    free(s->record);
    free(s);
}
