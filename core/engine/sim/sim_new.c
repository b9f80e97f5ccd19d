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

static mr_status add_nodes(mr_sim *s, mr_err *err)
{
    mr_status status = MR_OK;
    for (uint32_t i = 0; !status && i < s->p->n_nodes; i++) {
        const mr_platform_node *n = &s->p->nodes[i];
        uint32_t amounts = n->n_amounts * (uint32_t)sizeof *n->amounts,
                 labels = n->n_labels * (uint32_t)sizeof(mr_label);
        mr_ev_node *e = BEGIN(mr_ev_node, MR_EV_NODE_ADDED, 0, amounts + labels, 0);
        if (e) {
            e->node = i;
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
        status = mr_sim_tell(s, e, err);
    }
    return status;
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

/* A request that no node can ever satisfy is refused here, before anything runs. */
static mr_status check_fits(const mr_workload *w, const mr_platform *p, mr_err *err)
{
    uint32_t n_defs = mr_intern_count(w->defs);
    char *fits = calloc(n_defs + 1, 1);
    if (!fits)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    mr_status status = MR_OK;
    for (uint32_t t = 0; !status && t < w->n_tasks; t++) {
        uint32_t d = w->tasks[t].def;
        const char *text = mr_intern_text(w->defs, d);
        mr_define def;
        mr_named need, lack = {0};
        if (fits[d])
            continue;
        memcpy(&def, text, sizeof def);
        int64_t most = 0;
        for (uint32_t n = 0; n < p->n_nodes && !fits[d]; n++) {
            fits[d] = 1;
            for (uint32_t i = 0; i < def.n_needs; i++) {
                memcpy(&need, text + sizeof def + i * sizeof need, sizeof need);
                int64_t has = mr_platform_amount(&p->nodes[n], need.name);
                if (has >= need.amount)
                    continue;
                fits[d] = 0;
                most = has > most || !lack.amount ? has : most;
                lack = need;
            }
        }
        double unit = strcmp(lack.name, "memory") == 0 ? 1 : MR_RES_UNIT;
        if (!fits[d])
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
    cc.spill = true; /* asked for only where a store can be full */
    if (allocate(s) || mr_sim_store_init(s) || mr_control_new(&cc, &s->control)) {
        status = mr_err_set(err, MR_E_NOMEM, "out of memory for %u tasks", w->n_tasks);
        goto fail;
    }
    status = add_nodes(s, err);
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
    free(s->procs);
    free(s->flights);
    free(s->record);
    free(s);
}
