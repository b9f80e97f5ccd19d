/* sim_points.c: what tasks do while they run: submit others, seal a result early, wait for results (their CPU is lent
 * meanwhile, by control), fail; and actors, whose calls are sent by control and have their turn here.
 *
 * A point counts in time that its task runs, so it comes later when the task is stopped or waits.  What an attempt did
 * is not done again by the next: a task is submitted once, a result that is there stays.  The main program of a
 * workload (mr_workload.driver) is a task like others, but nobody schedules it.  No lock: one simulation, one thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/sim_state.h"

static mr_status no_memory(mr_err *err)
{
    return mr_err_set(err, MR_E_NOMEM, "out of memory");
}

mr_status mr_sim_points_begin(mr_sim *s, mr_err *err)
{
    uint32_t driver = s->w->driver;
    s->passed = calloc(s->w->n_points + 1, sizeof *s->passed);
    if (!s->passed)
        return no_memory(err);
    if (driver == MR_WL_NONE)
        return MR_OK;
    mr_sim_life *l = &s->lives[driver];
    *l = (mr_sim_life){.state = MR_LIFE_RUNNING, .since = s->now, .from = s->now};
    l->left = s->w->tasks[driver].duration;
    l->point = s->w->tasks[driver].first_point;
    return mr_sim_run_on(s, driver, err);
}

/* ---- submission ---- */

/* What makes a task's input, or its actor, is submitted later (LATER), or never will be, since who would have submitted
 * it ended before (NEVER). */
typedef enum sense { NOW, LATER, NEVER } sense;

static sense of_maker(const mr_sim *s, uint32_t maker)
{
    if (maker == MR_WL_NONE || s->tasks[maker].submitted != MR_UNKNOWN)
        return NOW;
    return s->lives[maker].state == MR_LIFE_OVER ? NEVER : LATER;
}

static sense makes_sense(const mr_sim *s, uint32_t task)
{
    const mr_wl_task *t = &s->w->tasks[task];
    sense worst = mr_workload_is_call(s->w, task) ? of_maker(s, t->actor) : NOW;
    for (uint32_t i = 0; worst != NEVER && i < t->n_inputs; i++) {
        sense one = of_maker(s, s->w->objects[s->w->inputs[t->first_input + i]].task);
        worst = one > worst ? one : worst;
    }
    return worst;
}

/* Submits it, or ends it as cancelled. */
static mr_status settle(mr_sim *s, uint32_t task, sense how, mr_err *err)
{
    return how == NOW ? mr_sim_submit_now(s, task, err) : mr_sim_end(s, task, err);
}

mr_status mr_sim_submit(mr_sim *s, uint32_t task, mr_err *err)
{
    if (s->w->stream)
        return mr_sim_submit_now(s, task, err);
    sense how = makes_sense(s, task);
    if (how == LATER) {
        if (!mr_workload_grow(&s->deferred, s->n_deferred, &s->cap_deferred, sizeof *s->deferred))
            return no_memory(err);
        s->deferred[s->n_deferred++] = task;
        return MR_OK;
    }
    mr_status status = settle(s, task, how, err);
    return status ? status : mr_sim_submit_deferred(s, err);
}

mr_status mr_sim_submit_deferred(mr_sim *s, mr_err *err)
{
    mr_status status = MR_OK;
    for (uint32_t i = 0; !status && i < s->n_deferred;) {
        uint32_t task = s->deferred[i];
        sense how = makes_sense(s, task);
        if (how == LATER) {
            i++;
            continue;
        }
        memmove(s->deferred + i, s->deferred + i + 1, (--s->n_deferred - i) * sizeof *s->deferred);
        status = settle(s, task, how, err);
        i = 0; /* it may have been what others waited for */
    }
    return status;
}

/* ---- points ---- */

static const mr_platform_node *node_of(const mr_sim *s, uint32_t task)
{
    return task == s->w->driver ? NULL : &s->p->nodes[s->tasks[task].node];
}

int64_t mr_sim_whole(const mr_sim *s, uint32_t task, bool *fails)
{
    const mr_wl_task *t = &s->w->tasks[task];
    *fails = false;
    if (task == s->w->driver)
        return t->duration;
    for (uint32_t i = t->first_point; i < t->first_point + t->n_points; i++)
        if (s->w->points[i].what == MR_WL_FAILS && s->w->points[i].of == s->tasks[task].attempt) {
            *fails = true;
            return mr_workload_point_at(s->w, &s->w->points[i], node_of(s, task));
        }
    return mr_workload_duration(s->w, task, node_of(s, task));
}

mr_status mr_sim_run_on(mr_sim *s, uint32_t task, mr_err *err)
{
    const mr_wl_task *t = &s->w->tasks[task];
    const mr_sim_life *l = &s->lives[task];
    mr_moment m = {.at = l->since + l->left, .kind = MR_AT_FINISH, .a = task, .gen = l->gen};
    if (t->n_points && l->point < t->first_point + t->n_points) {
        bool fails;
        int64_t whole = mr_sim_whole(s, task, &fails), done = whole - l->left;
        int64_t at = mr_workload_point_at(s->w, &s->w->points[l->point], node_of(s, task));
        if (at <= whole || !fails) {
            at = at < whole ? at : whole; /* what should come later comes at the end */
            m.at = l->since + (at > done ? at - done : 0);
            m.kind = MR_AT_POINT;
        }
    }
    return mr_clock_push(&s->clock, m) ? no_memory(err) : MR_OK;
}

static mr_status submits(mr_sim *s, uint32_t task, mr_err *err)
{
    mr_sim_life *l = &s->lives[task];
    if (s->conf.unfold && --l->parents > 0)
        return MR_OK;
    return mr_sim_submit(s, task, err);
}

/* A result that was not there yet, or not any more. */
static bool missing(const mr_sim *s, uint32_t object)
{
    mr_object_state state = mr_control_object(s->control, mr_sim_object_id(s, object)).state;
    return state == MR_OBJ_PENDING || state == MR_OBJ_LOST;
}

/* Whether control has heard of it. */
static bool heard_of(const mr_sim *s, uint32_t object)
{
    uint32_t maker = s->w->objects[object].task;
    return maker == MR_WL_NONE ? s->outside[object] != 0 : s->tasks[maker].submitted != MR_UNKNOWN;
}

/* Its objects are read no more by this wait. */
static mr_status read(mr_sim *s, const mr_wl_point *p, mr_err *err)
{
    mr_status status = MR_OK;
    for (uint32_t i = 0; !status && i < p->n; i++) {
        uint32_t object = s->w->waited[p->of + i];
        if (--s->unread[object] == 0 && heard_of(s, object))
            status = mr_sim_release(s, mr_sim_object_id(s, object), err);
    }
    return status;
}

/* Tells control, unless what it waits for is there: then *there. */
static mr_status waits(mr_sim *s, uint32_t task, const mr_wl_point *p, bool *there, mr_err *err)
{
    mr_sim_life *l = &s->lives[task];
    uint32_t n = 0, settled = 0;
    mr_id *ids = malloc((p->n + 1) * sizeof *ids);
    if (!ids)
        return no_memory(err);
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t object = s->w->waited[p->of + i];
        if (s->w->objects[object].task == MR_WL_NONE || !heard_of(s, object))
            continue; /* there from the beginning, or nobody can wait for it yet */
        ids[n] = mr_sim_object_id(s, object);
        settled += mr_control_settled(s->control, ids[n++]);
    }
    uint32_t need = p->need - (p->n - n < p->need ? p->n - n : p->need);
    *there = settled >= need;
    mr_status status = MR_OK;
    if (!*there) {
        bool driver = task == s->w->driver;
        if (!driver && !mr_workload_is_call(s->w, task))
            status = mr_sim_stretch_end(s, task, err);
        l->state = MR_LIFE_BLOCKED;
        l->gen++;
        mr_ev_blocked *e = BEGIN(mr_ev_blocked, MR_EV_BLOCKED, n, 0, driver ? 0 : l->worker);
        if (e) {
            e->h.token = task + 1;
            e->task = driver ? 0 : l->id;
            e->need = need;
            e->flags = MR_WAIT_LEND | MR_WAIT_EARLY;
            memcpy(e + 1, ids, n * sizeof *ids);
        }
        status = status ? status : mr_sim_tell(s, e, err);
    }
    free(ids);
    return status;
}

mr_status mr_sim_delivered(mr_sim *s, uint32_t token)
{
    uint32_t task = token - 1;
    const mr_sim_life *l = &s->lives[task];
    if (l->state != MR_LIFE_BLOCKED)
        return MR_OK;
    return mr_clock_push(&s->clock, (mr_moment){.at = s->now, .kind = MR_AT_GO_ON, .a = task, .gen = l->gen});
}

static mr_status one_point(mr_sim *s, uint32_t task, const mr_wl_point *p, bool *goes_on, mr_err *err)
{
    bool first = !s->passed[p - s->w->points];
    mr_status status = MR_OK;
    if (p->what == MR_WL_WAITS && (status = waits(s, task, p, goes_on, err)))
        return status;
    if (!*goes_on) /* the wait is not over */
        return MR_OK;
    s->passed[p - s->w->points] = true;
    if (p->what == MR_WL_SUBMITS && first)
        status = submits(s, p->of, err);
    else if (p->what == MR_WL_SEALS && missing(s, p->of))
        status = mr_sim_seal(s, p->of, err);
    else if (p->what == MR_WL_WAITS && first)
        status = read(s, p, err);
    return status;
}

mr_status mr_sim_point(mr_sim *s, uint32_t task, mr_err *err)
{
    const mr_wl_task *t = &s->w->tasks[task];
    mr_sim_life *l = &s->lives[task];
    bool fails, goes_on = true;
    int64_t whole = mr_sim_whole(s, task, &fails), ran = s->now - l->since;
    mr_status status = MR_OK;
    l->left -= ran;
    l->since = s->now;
    s->tasks[task].ran += ran;
    for (; l->point < t->first_point + t->n_points; l->point++) {
        const mr_wl_point *p = &s->w->points[l->point];
        int64_t at = mr_workload_point_at(s->w, p, node_of(s, task));
        if (p->what == MR_WL_FAILS)
            continue;
        if (at > whole - l->left && (fails || l->left > 0))
            break;
        status = one_point(s, task, p, &goes_on, err);
        if (status || !goes_on)
            return status;
    }
    return mr_sim_run_on(s, task, err);
}

mr_status mr_sim_go_on(mr_sim *s, uint32_t task, mr_err *err)
{
    mr_sim_life *l = &s->lives[task];
    const mr_wl_point *p = &s->w->points[l->point++];
    mr_status status = MR_OK;
    l->state = MR_LIFE_RUNNING;
    l->since = l->from = s->now;
    if (task != s->w->driver && !mr_workload_is_call(s->w, task)) {
        l->stretch++;
        status = mr_sim_doom(s, task, err);
    }
    if (!status && !s->passed[p - s->w->points]) {
        s->passed[p - s->w->points] = true;
        status = read(s, p, err);
    }
    return status ? status : mr_sim_point(s, task, err);
}

/* ---- calls ---- */

static bool serial(const mr_sim *s, uint32_t task)
{
    mr_define def;
    memcpy(&def, mr_intern_text(s->w->defs, s->w->tasks[s->w->tasks[task].actor].def), sizeof def);
    return def.max_concurrency <= 1 && !(def.flags & MR_FUNC_ASYNC) && !def.n_lanes;
}

static mr_status begin_call(mr_sim *s, uint32_t task)
{
    int64_t when = s->decider > s->now ? s->decider : s->now;
    mr_moment m = {.at = when + s->conf.dispatch, .kind = MR_AT_START, .a = task, .gen = s->lives[task].gen};
    return mr_clock_push(&s->clock, m);
}

mr_status mr_sim_call(mr_sim *s, uint32_t task, mr_sim_proc *p)
{
    if (!mr_workload_grow(&p->calls, p->n_calls, &p->cap_calls, sizeof *p->calls))
        return MR_E_NOMEM;
    p->calls[p->n_calls++] = task;
    return p->n_calls == 1 || !serial(s, task) ? begin_call(s, task) : MR_OK;
}

mr_status mr_sim_call_left(mr_sim *s, uint32_t task)
{
    mr_sim_proc *p = &s->procs[s->lives[task].worker];
    uint32_t i = 0;
    while (i < p->n_calls && p->calls[i] != task)
        i++;
    if (i == p->n_calls)
        return MR_OK;
    memmove(p->calls + i, p->calls + i + 1, (--p->n_calls - i) * sizeof *p->calls);
    return i == 0 && p->n_calls && serial(s, task) ? begin_call(s, p->calls[0]) : MR_OK;
}
