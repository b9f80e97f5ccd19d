/* clock.c: the times at which something is to be looked at again: what is due when an instant is closed, and when
 * control wants to be woken next.  Reads no clock: `now` is what the caller said.
 */
#include "control/room.h"

static void earliest(int64_t *at, int64_t then)
{
    if ((uint64_t)then < (uint64_t)*at) /* MR_UNKNOWN is the latest */
        *at = then;
}

static bool due(const mr_control *c, int64_t at)
{
    return (uint64_t)at <= (uint64_t)c->now;
}

/* What found no memory: seats, processes, inputs that travel. */
static void start_again(mr_control *c)
{
    c->dirty = true;
    mr_proc_births(c);
    for (uint32_t i = 0; i < c->n_nodes; i++)
        for (const task *t = c->nodes[i]->travel.head; t; t = t->qb)
            mr_ready_send(c, t, c->nodes[i]);
}

void mr_clock_fire(mr_control *c)
{
    if (c->n_timers)
        mr_limit_fire(c);
    if (due(c, c->idle_at))
        mr_proc_reap(c);
    if (due(c, c->kill_at))
        mr_cancel_look(c);
    if (due(c, c->ahead_at))
        mr_ahead_look(c);
    if (due(c, c->stuck_at))
        mr_deadlock_look(c);
    if (due(c, c->again_at)) {
        c->again_at = MR_UNKNOWN;
        c->again_tries++;
        start_again(c);
    }
    if (due(c, c->ask_at)) {
        c->ask_front = true;
        c->ask_at = MR_UNKNOWN;
    }
    MR_LIST_EACH(&c->lenders, l)
    {
        pool *p = MR_LIST_ENTRY(l, pool, lends);
        if (!c->n_ready || p->lend_at > c->now)
            continue;
        p->open = 1;
        p->lend_delay = p->lend_delay * 2 > LEND_MOST ? LEND_MOST : p->lend_delay * 2;
        p->lend_at = c->now + p->lend_delay;
        c->dirty = true;
    }
    mr_policy_woken(c);
}

void mr_clock_tell(mr_control *c)
{
    int64_t at = MR_UNKNOWN;
    if (c->again_at < 0)
        c->again_tries = 0;
    earliest(&at, c->idle_at);
    earliest(&at, c->kill_at);
    earliest(&at, mr_limit_next(c));
    earliest(&at, c->ahead_at);
    earliest(&at, c->stuck_at);
    earliest(&at, c->ask_at);
    earliest(&at, c->again_at);
    if (mr_table_count(&c->tasks) > c->past.n) /* a timer keeps no run alive */
        earliest(&at, c->pol.wake_at);
    if (c->hold_since >= 0)
        earliest(&at, c->hold_since + c->conf.max_hold);
    if (c->n_ready)
        MR_LIST_EACH(&c->lenders, l)
        {
            earliest(&at, MR_LIST_ENTRY(l, pool, lends)->lend_at);
        }
    /* A wish that is early only costs a look; telling each change would cost the engine a timer each. */
    if (at == c->told_wake || (at >= 0 && c->told_wake > c->now && c->told_wake <= at))
        return;
    if (at < 0 && c->told_wake <= c->now) {
        c->told_wake = MR_UNKNOWN;
        return;
    }
    c->told_wake = at;
    mr_control_act(c, MR_ACT_WAKE)->value = at;
}
