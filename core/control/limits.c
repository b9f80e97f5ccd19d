/* limits.c: the longest run that the user allows a task, enforced: its worker is killed, and it is not tried again;
 * when slices end; and how much of a function, or of a user, may run at a time.
 *
 * The first two are a heap by time.  Entries of runs that ended are left in it and thrown out when it is full or they
 * come up; it has room for twice the tasks with a limit and the processes, so that a start never allocates.
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* What it ran before it was stopped counts. */
static int64_t limit_end(mr_control *c, const task *t)
{
    return t->v.started_at + t->v.limit - proc_at(c, t->worker)->ran;
}

static bool stale(mr_control *c, const timer *x)
{
    const task *t = task_live(c, x->task);
    return !t || t->where != W_RUN || (x->slice ? proc_at(c, t->worker)->slice_at : limit_end(c, t)) != x->at;
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
    c->n_purges++;
    for (uint32_t i = 0; i < c->n_timers; i++) {
        const timer *x = &c->timers[i];
        if (stale(c, x))
            continue;
        /* The same end may have been noted more than once. */
        uint64_t *seen = &proc_at(c, task_live(c, x->task)->worker)->purge[x->slice];
        if (*seen != c->n_purges)
            c->timers[n++] = *x;
        *seen = c->n_purges;
    }
    c->n_timers = n;
    for (uint32_t i = n / 2; i--;)
        down(c, i);
}

bool mr_limit_room(mr_control *c)
{
    uint64_t most = c->n_limited + mr_table_count(&c->procs) + 1;
    return mr_control_grow(c, &c->timers, &c->room_timers, 2 * most + 16, sizeof(timer));
}

static void push(mr_control *c, timer x)
{
    if (c->n_timers == c->room_timers)
        purge(c);
    MR_BUG_ON(c->n_timers == c->room_timers);
    uint32_t i = c->n_timers++;
    for (; i && c->timers[(i - 1) / 2].at > x.at; i = (i - 1) / 2)
        c->timers[i] = c->timers[(i - 1) / 2];
    c->timers[i] = x;
    c->hungry = true; /* the close has a wake to tell */
}

void mr_limit_start(mr_control *c, const task *t)
{
    push(c, (timer){.at = limit_end(c, t), .task = t->v.ref});
}

void mr_limit_slice(mr_control *c, const task *t, int64_t at)
{
    proc_at(c, t->worker)->slice_at = at;
    push(c, (timer){.at = at, .task = t->v.ref, .slice = true});
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
        if (x.slice) {
            mr_stop_expired(c, t);
            continue;
        }
        t->flags |= T_CANCEL | T_OVERDUE;
        mr_proc_kill(c, proc_at(c, t->worker));
    }
}

/* --------------------------------------------------------------------------------------------------------- caps -- */

static ceiling *ceiling_of(mr_control *c, uint32_t name, bool cpus, int64_t limit)
{
    for (ceiling *k = c->caps; k; k = k->next)
        if (k->name == name && k->cpus == cpus && k->limit == limit)
            return k;
    ceiling *k = mr_control_alloc(c, sizeof *k);
    if (!k)
        return NULL;
    *k = (ceiling){.next = c->caps, .limit = limit, .name = name, .cpus = cpus};
    c->caps = k;
    return k;
}

mr_status mr_caps_of(mr_control *c, const mr_define *d, uint32_t name, uint32_t user, shape *want)
{
    if (d->max_running > 0 && !(want->caps[0] = ceiling_of(c, name, false, d->max_running)))
        return MR_E_NOMEM;
    for (uint32_t i = 0; d->user[0] && i < c->conf.n_quotas; i++)
        if (!strcmp(c->conf.quotas[i].name, d->user) &&
            !(want->caps[1] = ceiling_of(c, user, true, c->conf.quotas[i].amount)))
            return MR_E_NOMEM;
    return MR_OK;
}

static int64_t weight(const ceiling *k, const shape *s)
{
    return k->cpus ? s->cpu : 1;
}

const ceiling *mr_caps_full(const shape *s)
{
    for (int i = 0; i < 2; i++)
        if (s->caps[i] && weight(s->caps[i], s) && s->caps[i]->used + weight(s->caps[i], s) > s->caps[i]->limit)
            return s->caps[i];
    return NULL;
}

bool mr_caps_allow(const shape *s)
{
    return !mr_caps_full(s);
}

bool mr_caps_ever(const shape *s)
{
    for (int i = 0; i < 2; i++)
        if (s->caps[i] && weight(s->caps[i], s) > s->caps[i]->limit)
            return false;
    return true;
}

void mr_caps_count(const shape *s, const task *t, int sign)
{
    int64_t cpu = 0;
    for (uint32_t i = 0; i < t->v.n_needs; i++)
        cpu += t->v.needs[i].res == MR_RES_CPU ? t->v.needs[i].amount : 0;
    for (int i = 0; i < 2; i++)
        if (s->caps[i])
            s->caps[i]->used += sign * (s->caps[i]->cpus ? cpu : 1);
}

void mr_caps_lend(const shape *s, int sign)
{
    for (int i = 0; i < 2; i++)
        if (s->caps[i] && s->caps[i]->cpus)
            s->caps[i]->used += sign * s->cpu;
}

void mr_caps_free(mr_control *c)
{
    for (ceiling *k = c->caps, *next; k; k = next) {
        next = k->next;
        mr_control_unalloc(c, k, sizeof *k);
    }
    c->caps = NULL;
}
