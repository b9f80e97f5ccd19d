/* watch.c: notices a question to the policy that never ends.
 *
 * A policy in Lua is cut off by its budget.  One in C that loops holds the node list's lock for ever, and nothing can
 * take it out of there: the session can only be ended, with a line that says whose fault it is.
 *
 * One thread, and only when the policy asks to be asked.  It looks every quarter of [sched] max_op while questions are
 * asked, and sleeps without end while none are: mr_watch_busy, on the way of every event, finds it asleep and wakes it.
 * It falls asleep under the node list's lock, so no event can come between its last look and its sleep.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/node.h"

enum { LOOKS = 4, EXIT_STUCK = 3 };

struct mr_watch {
    mr_nodes *n;
    pthread_t thread;
    pthread_mutex_t lock; /* innermost; of `asleep` and `end` */
    pthread_cond_t cond;
    atomic_bool asleep;
    bool end;
    int64_t period; /* ns */
};

static void watch_stuck(const mr_watch *w, const char *op)
{
    mr_log(
        MR_LOG_ERROR, "sched",
        "plugin %s has been in `%s` for %.3g s and holds everything up: it loops or blocks. A plugin in C can not be "
        "interrupted, so the session ends here (the time is [sched] max_op)",
        w->n->policy_now->policy, op, (double)w->period * LOOKS / 1e9);
    w->n->policy_now->op = 0; /* or the supervisor says it again */
    _exit(EXIT_STUCK);
}

/* False: it is to end. */
static bool watch_pause(mr_watch *w)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + w->period;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&w->lock);
    while (!w->end && pthread_cond_timedwait(&w->cond, &w->lock, &at) != ETIMEDOUT)
        ;
    bool go_on = !w->end;
    pthread_mutex_unlock(&w->lock);
    return go_on;
}

/* Nothing was asked since the last look: sleeps until an event comes, unless one is at work now. */
static void watch_sleep(mr_watch *w)
{
    if (pthread_mutex_trylock(&w->n->lock))
        return;
    atomic_store(&w->asleep, true);
    pthread_mutex_unlock(&w->n->lock);
    pthread_mutex_lock(&w->lock);
    while (!w->end && atomic_load(&w->asleep))
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static void *watch_main(void *arg)
{
    mr_watch *w = arg;
    uint64_t before = UINT64_MAX;
    int same = 0;
    while (watch_pause(w)) {
        uint64_t calls = 0;
        const char *op = mr_control_policy_op(w->n->control, &calls);
        bool moved = calls != before;
        before = calls;
        same = op && !moved ? same + 1 : 0;
        if (same == LOOKS)
            watch_stuck(w, op);
        if (!op && !moved)
            watch_sleep(w);
    }
    return NULL;
}

void mr_watch_wake(mr_watch *w)
{
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->asleep, false);
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

bool mr_watch_asleep(const mr_watch *w)
{
    return atomic_load_explicit(&w->asleep, memory_order_relaxed);
}

static bool watch_wanted(const mr_nodes *n, int64_t max_op)
{
    const mr_sched_ops *o = &n->sched_plugin->ops.sched;
    return !n->watch && max_op > 0 &&
           (o->open || o->rank || o->place || o->plan || o->pick || o->slice || o->preempt || o->notice);
}

mr_status mr_watch_start(mr_nodes *n, mr_err *err)
{
    int64_t max_op = mr_config_int(n->config, "sched", "max_op");
    if (!watch_wanted(n, max_op))
        return MR_OK;
    mr_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return mr_err_set(err, MR_E_NOMEM, "%s", mr_status_text(MR_E_NOMEM));
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->cond, &clock);
    pthread_condattr_destroy(&clock);
    w->n = n;
    w->period = max_op / LOOKS > 0 ? max_op / LOOKS : 1;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&w->thread, NULL, watch_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        free(w);
        return mr_err_set(err, MR_E_NOMEM, "cannot start the watchdog of the policy: %s", strerror(failed));
    }
    n->watch = w;
    return MR_OK;
}

void mr_watch_stop(mr_nodes *n)
{
    mr_watch *w = n->watch;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->end = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->lock);
    free(w);
    n->watch = NULL;
}
