/* workload_points.c: what tasks do while they run: submit others, seal a result early, wait, fail; and whose calls are
 * whose.  Names are numbers here already.  No lock: built by one thread, then only read. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/json.h"
#include "engine/sim/workload.h"

mr_status mr_workload_point(mr_workload *w, mr_wl_what what, int64_t at, uint32_t of)
{
    if (!mr_workload_grow(&w->points, w->n_points, &w->cap_points, sizeof *w->points))
        return MR_E_NOMEM;
    w->points[w->n_points] =
        (mr_wl_point){.at = at, .task = w->last, .what = (uint32_t)what, .of = of, .place = w->n_points};
    w->n_points++;
    return MR_OK;
}

mr_status mr_workload_driver(mr_workload *w, int line, mr_err *err)
{
    mr_json_at at = {w->path, line, err, NULL};
    if (w->stream)
        return mr_json_fail(&at, "driver", "a stream has none: its tasks arrive by themselves");
    if (w->driver != MR_WL_NONE)
        return mr_json_fail(&at, "driver", "there is one already");
    w->driver = --w->n_tasks;
    return MR_OK;
}

mr_status mr_workload_wait_for(mr_workload *w, const mr_wl_raw *r, uint32_t object)
{
    mr_wl_point *p = &w->points[r->bytes];
    if (!mr_workload_grow(&w->waited, w->n_waited, &w->cap_waited, sizeof *w->waited))
        return MR_E_NOMEM;
    if (p->n++ == 0)
        p->of = w->n_waited;
    w->waited[w->n_waited++] = object;
    w->objects[object].consumers++;
    return MR_OK;
}

mr_status mr_workload_relate(mr_workload *w, const mr_wl_raw *r, uint32_t other, mr_err *err)
{
    mr_wl_task *t = &w->tasks[r->task];
    const char *name = mr_intern_text(w->names, r->name);
    mr_json_doc doc = {.text = w->text, .size = w->text_size, .name = name};
    mr_json_at at = {w->path, r->line, err, &doc};
    const char *field = r->kind == MR_WL_ACTOR ? "on" : "parent";
    if (other == MR_WL_NONE)
        return mr_json_fail(&at, field, "there is no task \"%s\"", name);
    if (r->kind == MR_WL_ACTOR) {
        if (w->tasks[other].actor != other || other >= r->task)
            return mr_json_fail(&at, field, "\"%s\" is no actor that was made above", name);
        t->actor = other;
        w->objects[w->tasks[other].first_object].consumers++;
        return MR_OK;
    }
    if (other >= r->task && other != w->driver)
        return mr_json_fail(&at, field, "\"%s\" should stand before what it submits", name);
    uint32_t last = w->last;
    t->starter = w->last = other;
    mr_status status = mr_workload_point(w, MR_WL_SUBMITS, (int64_t)r->bytes, r->task);
    w->last = last;
    return status ? mr_err_set(err, status, "%s: out of memory", w->path) : MR_OK;
}

static int by_time(const void *a, const void *b)
{
    const mr_wl_point *x = a, *y = b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->what != y->what) /* what is submitted and sealed at that time is there when it waits */
        return x->what < y->what ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

mr_status mr_workload_place_points(mr_workload *w, mr_err *err)
{
    if (w->n_points)
        qsort(w->points, w->n_points, sizeof *w->points, by_time);
    for (uint32_t i = w->n_points; i-- > 0;) {
        mr_wl_point *p = &w->points[i];
        w->tasks[p->task].first_point = i;
        w->tasks[p->task].n_points++;
        w->lends |= p->what == MR_WL_WAITS && p->task != w->driver;
        if (p->what == MR_WL_WAITS && (p->n == 0 || p->need > p->n)) {
            mr_json_at at = {w->path, w->tasks[p->task].line, err, NULL};
            return mr_json_fail(&at, "waits", "%u are needed of %u", p->need, p->n);
        }
    }
    return MR_OK;
}

int64_t mr_workload_point_at(const mr_workload *w, const mr_wl_point *p, const mr_platform_node *node)
{
    int64_t whole = w->tasks[p->task].duration, here = node ? mr_workload_duration(w, p->task, node) : whole;
    return whole == here || whole <= 0 ? p->at : (int64_t)((double)p->at / (double)whole * (double)here);
}
