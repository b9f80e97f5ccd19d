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

static mr_status define(mr_sim *s, mr_err *err)
{
    uint32_t n = mr_intern_count(s->w->defs);
    s->funcs = calloc(n + 1, sizeof *s->funcs);
    mr_status status = s->funcs ? MR_OK : mr_err_set(err, MR_E_NOMEM, "out of memory");
    for (uint32_t i = 1; !status && i < n; i++) {
        const char *def = mr_intern_text(s->w->defs, i);
        mr_record h;
        memcpy(&h, def, sizeof h);
        void *e = mr_sim_begin(s, MR_EV_DEFINE, sizeof(mr_define), 0, h.n_bytes, 0);
        if (e) {
            memcpy(e, def, h.size);
            ((mr_record *)e)->token = 1;
        }
        status = mr_sim_tell(s, e, err);
        s->funcs[i] = s->answer;
    }
    return status;
}

/* A label that a definition asks for and the node does not have; NULL: it has all. */
static const char *lacks_label(const char *text, const mr_define *def, const mr_platform_node *n)
{
    const char *terms = text + sizeof *def + def->n_needs * sizeof(mr_named) + def->n_labels * sizeof(mr_label);
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

/* A request that no node can ever satisfy is refused here, before anything runs. */
static mr_status check_fits(const mr_workload *w, const mr_platform *p, mr_err *err)
{
    char *fits = calloc(mr_intern_count(w->defs) + 1, 1);
    if (!fits)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    mr_status status = MR_OK;
    for (uint32_t t = 0; !status && t < w->n_tasks; t++) {
        uint32_t d = w->tasks[t].def;
        const char *text = mr_intern_text(w->defs, d), *label = NULL;
        mr_define def;
        mr_named lack = {0};
        int64_t most = 0;
        memcpy(&def, text, sizeof def);
        for (uint32_t n = 0; n < p->n_nodes && !fits[d]; n++)
            if (has_room(text, &def, &p->nodes[n], &lack, &most)) {
                const char *without = lacks_label(text, &def, &p->nodes[n]);
                fits[d] = !without;
                label = without ? without : label;
            }
        double unit = strcmp(lack.name, "memory") == 0 ? 1 : MR_RES_UNIT;
        if (!fits[d] && label)
            status =
                mr_err_set(err, MR_E_UNSCHEDULABLE,
                           "%s:%d: the task \"%s\" requires \"%.31s\" and no node that is large enough has that label",
                           w->path, w->tasks[t].line, mr_workload_name(w, t), label);
        else if (!fits[d])
            status = mr_err_set(err, MR_E_UNSCHEDULABLE,
                                "%s:%d: the task \"%s\" needs %g %s and no node has that much: the largest has %g",
                                w->path, w->tasks[t].line, mr_workload_name(w, t), (double)lack.amount / unit,
                                lack.name, (double)most / unit);
    }
    free(fits);
    return status;
}

static mr_status allocate(mr_sim *s)
{
    size_t n = s->w->n_tasks, objects = s->w->n_objects;
    s->outside = calloc(objects + 1, sizeof *s->outside);
    s->unread = calloc(objects + 1, sizeof *s->unread);
    s->owner = calloc(objects + 2, sizeof *s->owner);
    s->lives = calloc(n + 1, sizeof *s->lives);
    s->tasks = calloc(n + 1, sizeof *s->tasks);
    if (!s->outside || !s->unread || !s->owner || !s->lives || !s->tasks)
        return MR_E_NOMEM;
    for (size_t i = 0; i < objects; i++)
        s->unread[i] = s->w->objects[i].consumers;
    for (size_t t = 0; t < n; t++) {
        mr_sim_task *me = &s->tasks[t];
        me->submitted = me->ready = me->started = me->ended = MR_UNKNOWN;
        me->outcome = MR_E_CANCELLED;
        s->lives[t].parents = s->w->tasks[t].n_parents;
    }
    return MR_OK;
}

mr_status mr_sim_new(mr_sim **out, const mr_workload *w, const mr_platform *p, const mr_sim_conf *conf, mr_err *err)
{
    mr_control_conf cc;
    mr_status status = mr_workload_horizon(w, p, err);
    if (!status)
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
    if (allocate(s) || mr_sim_store_init(s) || mr_control_new(&cc, &s->control)) {
        status = mr_err_set(err, MR_E_NOMEM, "out of memory for %u tasks", w->n_tasks);
        goto fail;
    }
    status = mr_sim_nodes_begin(s, err);
    if (!status)
        status = define(s, err);
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
    mr_table_fini(&s->links);
    free(s->funcs);
    free(s->outside);
    free(s->unread);
    free(s->owner);
    free(s->lives);
    free(s->tasks);
    free(s->stretches);
    free(s->earlier);
    free(s->machines);
    free(s->machine_of);
    free(s->procs);
    free(s->flights);
    free(s->record);
    free(s);
}
