/* sim_feed.c: which task comes next, and, of a stream, what becomes of numbers when tasks are over.  A whole workload
 * is submitted in its order; a stream is read one task ahead, and a task that is over is told of and forgotten at the
 * end of its instant, when nothing that happens in it can mean that task any more.  No lock: one simulation, one
 * thread. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/sim_state.h"

bool mr_sim_done(const mr_sim *s)
{
    return s->w->stream ? s->ahead == MR_WL_NONE && s->over == mr_feed_count(s->w) : s->over == s->w->n_tasks;
}

int64_t mr_sim_next_arrival(const mr_sim *s)
{
    if (s->w->stream)
        return s->ahead == MR_WL_NONE ? INT64_MAX : s->w->tasks[s->ahead].arrival;
    return s->conf.unfold || s->next_arrival == s->w->arriving ? INT64_MAX
                                                               : s->w->tasks[s->w->order[s->next_arrival]].arrival;
}

static bool grow(void *v, uint32_t had, uint32_t has, size_t size)
{
    void **array = v;
    char *more = realloc(*array, (has + 1) * size);
    if (!more)
        return false;
    memset(more + had * size, 0, (has + 1 - had) * size);
    *array = more;
    return true;
}

mr_status mr_sim_room(mr_sim *s)
{
    const mr_workload *w = s->w;
    uint32_t had = s->cap_tasks, has = w->stream ? w->cap_tasks : w->n_tasks;
    if (!s->lives || has > had) {
        if (!grow(&s->lives, had, has, sizeof *s->lives) || !grow(&s->tasks, had, has, sizeof *s->tasks) ||
            !grow(&s->leaving, had, w->stream ? has : had, sizeof *s->leaving))
            return MR_E_NOMEM;
        s->cap_tasks = has;
        for (uint32_t t = had; t < has; t++)
            s->lives[t].state = w->stream ? MR_LIFE_OVER : MR_LIFE_NEW;
    }
    had = s->cap_outputs;
    has = w->stream ? w->cap_objects : w->n_objects;
    if (!s->outside || has > had) {
        if (!grow(&s->outside, had, has, sizeof *s->outside) || !grow(&s->unread, had, has, sizeof *s->unread) ||
            (s->stores && !grow(&s->copies, had, has, sizeof(mr_sim_copy *))))
            return MR_E_NOMEM;
        s->cap_outputs = has;
    }
    return MR_OK;
}

static void fresh(mr_sim *s, uint32_t task)
{
    mr_sim_task *me = &s->tasks[task];
    uint32_t gen = s->lives[task].gen; /* so that what was meant for an earlier one is stale */
    *me = (mr_sim_task){.outcome = MR_E_CANCELLED};
    me->submitted = me->ready = me->started = me->ended = MR_UNKNOWN;
    s->lives[task] = (mr_sim_life){.gen = gen, .parents = s->w->tasks[task].n_parents};
    s->lives[task].parents += s->conf.unfold && s->w->tasks[task].starter != MR_WL_NONE;
}

mr_status mr_sim_read_ahead(mr_sim *s, mr_err *err)
{
    uint32_t task = MR_WL_NONE;
    mr_status status = MR_OK;
    if (s->w->stream) {
        status = mr_feed_next(s->w, &task, err);
        s->ahead = status ? MR_WL_NONE : task;
        if (status || task == MR_WL_NONE)
            return status;
    }
    if (mr_sim_room(s))
        return mr_err_set(err, MR_E_NOMEM, "out of memory for %u tasks", s->w->n_tasks);
    if (!s->w->stream) {
        for (uint32_t t = 0; t < s->w->n_tasks; t++)
            fresh(s, t);
        for (uint32_t i = 0; i < s->w->n_objects; i++)
            s->unread[i] = s->w->objects[i].consumers;
        return MR_OK;
    }
    fresh(s, task);
    status = mr_workload_fits_clock(s->w, s->p, task, &s->slowest, err);
    if (!status && s->w->tasks[task].def >= s->cap_funcs) /* each definition once */
        status = mr_sim_fits(s->w, s->p, task, err);
    bool truth = s->conf.know == MR_SIM_EXACT || s->conf.know == MR_SIM_NOISY;
    if (!status && truth && s->w->tasks[task].first_class != MR_WL_NONE)
        status = mr_err_set(err, MR_E_CONFIG,
                            "%s:%d: durations by class are not known exactly in a stream: --know learned or stated",
                            s->w->path, s->w->tasks[task].line);
    return status ? status : mr_sim_define(s, err);
}

mr_status mr_sim_feed(mr_sim *s, uint32_t *task, mr_err *err)
{
    if (!s->w->stream) {
        *task = s->w->order[s->next_arrival++];
        return MR_OK;
    }
    *task = s->ahead;
    return mr_sim_read_ahead(s, err);
}

mr_status mr_sim_define(mr_sim *s, mr_err *err)
{
    uint32_t n = mr_intern_count(s->w->defs);
    if (n <= s->cap_funcs)
        return MR_OK;
    if (!grow(&s->funcs, s->cap_funcs, n, sizeof *s->funcs))
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    mr_status status = MR_OK;
    for (uint32_t i = s->cap_funcs ? s->cap_funcs : 1; !status && i < n; i++) {
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
    s->cap_funcs = n;
    return status;
}

mr_status mr_sim_leave(mr_sim *s, uint32_t task)
{
    mr_sim_life *l = &s->lives[task];
    if (s->w->stream && l->state == MR_LIFE_OVER && l->dropped == 1) {
        l->dropped = 2; /* it leaves once */
        s->leaving[s->n_leaving++] = task;
    }
    return MR_OK;
}

mr_status mr_sim_forget(mr_sim *s, mr_err *err)
{
    mr_status status = MR_OK;
    for (uint32_t i = 0; !status && i < s->n_leaving; i++) {
        uint32_t task = s->leaving[i];
        const mr_wl_task *t = &s->w->tasks[task];
        if (s->conf.ended)
            status = s->conf.ended(s->conf.user, task, err);
        for (uint32_t o = t->first_object; o != MR_WL_NONE; o = s->w->objects[o].next)
            mr_table_del(&s->owner, s->lives[task].id + s->w->objects[o].index);
        mr_feed_forget(s->w, task);
    }
    s->n_leaving = 0;
    if (s->n_stretches) { /* those of forgotten tasks go */
        size_t kept = 0;
        for (size_t i = 0; i < s->n_stretches; i++)
            if (s->lives[s->stretches[i].task].state != MR_LIFE_OVER)
                s->stretches[kept++] = s->stretches[i];
        s->n_stretches = kept;
    }
    return status;
}
