/* limits.c: the longest run that the user allows a task, enforced: its worker is killed, and it is not tried again.
 *
 * A heap by time.  Entries of runs that ended are left in it and thrown out when it is full or they come up; it has
 * room for twice the tasks with a limit, so that a start never allocates.
 */
#include <stdlib.h>

#include "control/room.h"

static bool stale(mr_control *c, const timer *x)
{
    const task *t = task_live(c, x->task);
    return !t || t->where != W_RUN || t->v.started_at + t->v.limit != x->at;
}

static void down(mr_control *c, uint32_t i)
{
    timer x = c->timers[i];
    for (uint32_t k; (k = 2 * i + 1) < c->n_timers; i = k) {
        if (k + 1 < c->n_timers && c->timers[k + 1].at < c->timers[k].at)
            k++;
        if (x.at <= c->timers[k].at)
            break;
        c->timers[i] = c->timers[k];
    }
    c->timers[i] = x;
}

static void purge(mr_control *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_timers; i++)
        if (!stale(c, &c->timers[i]))
            c->timers[n++] = c->timers[i];
    c->n_timers = n;
    for (uint32_t i = n / 2; i--;)
        down(c, i);
}

bool mr_limit_room(mr_control *c)
{
    uint32_t want = 2 * (c->n_limited + 1) + 16;
    if (want > c->room_timers) {
        timer *v = realloc(c->timers, 2 * want * sizeof *v);
        if (!v)
            return false;
        c->heap += (2 * want - c->room_timers) * sizeof *v;
        c->timers = v;
        c->room_timers = 2 * want;
    }
    return true;
}

void mr_limit_start(mr_control *c, const task *t)
{
    if (c->n_timers == c->room_timers)
        purge(c);
    MR_BUG_ON(c->n_timers == c->room_timers);
    uint32_t i = c->n_timers++;
    timer x = {t->v.started_at + t->v.limit, t->v.ref};
    for (; i && c->timers[(i - 1) / 2].at > x.at; i = (i - 1) / 2)
        c->timers[i] = c->timers[(i - 1) / 2];
    c->timers[i] = x;
    c->hungry = true; /* the close has a wake to tell */
}

int64_t mr_limit_next(const mr_control *c)
{
    return c->n_timers ? c->timers[0].at : MR_UNKNOWN;
}

void mr_limit_fire(mr_control *c)
{
    while (c->n_timers && c->timers[0].at <= c->now) {
        timer x = c->timers[0];
        bool gone = stale(c, &x);
        c->timers[0] = c->timers[--c->n_timers];
        if (c->n_timers)
            down(c, 0);
        if (gone)
            continue;
        task *t = task_live(c, x.task);
        t->flags |= T_CANCEL | T_FORCE | T_OVERDUE;
        mr_proc_kill(c, proc_at(c, t->worker));
    }
}
