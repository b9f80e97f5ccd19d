/* finish.c: ends that come before the driver closes the session: that of one which can not go on, and the first half of
 * the driver's, for those who show what workers print: all processes end, all they printed becomes lines, and only then
 * is the queue of lines closed.  Owns nothing.  Lock: the node list's, taken
 * inside.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

enum { LAST_WORDS_MS = 2000 };

static void finish_wake_all(mr_nodes *n)
{
    if (n->closing)
        return;
    n->closing = true;
    atomic_store(&n->links->page.closing, 1);
    for (mr_waiter *w = n->waiters.next, *next; w != &n->waiters; w = next) {
        next = w->next;
        mr_drive_wake(n, w, MR_E_CLOSED);
    }
}

void mr_nodes_end(mr_nodes *n, const char *fmt, ...)
{
    va_list args;
    if (n->ended[0])
        return;
    size_t at = (size_t)snprintf(n->ended, sizeof(n->ended), "the session has ended: ");
    va_start(args, fmt);
    vsnprintf(n->ended + at, sizeof(n->ended) - at, fmt, args);
    va_end(args);
    mr_log(MR_LOG_ERROR, "engine", "%s", n->ended);
    finish_wake_all(n);
    if (n->sup_fd >= 0)
        mr_spawn_order(n, &(mr_sup_msg){.kind = MR_SUP_END});
}

const char *mr_nodes_closed(const mr_nodes *n)
{
    return n->ended[0] ? n->ended : mr_status_text(MR_E_CLOSED);
}

/* The progress thread reads the supervisor's socket to its end, and closes it then. */
static void finish_wait_for_last_words(mr_nodes *n)
{
    for (int ms = 0; ms < LAST_WORDS_MS; ms++) {
        pthread_mutex_lock(&n->lock);
        bool over = n->sup_fd < 0 || !n->has_progress;
        pthread_mutex_unlock(&n->lock);
        if (over)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

void mr_engine_finish(mr_port *port)
{
    mr_nodes *n = (mr_nodes *)(void *)port;
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return;
    pthread_mutex_lock(&n->lock);
    finish_wake_all(n);
    mr_drive_unlock(n);
    mr_nodes_policy_end(n);
    mr_spawn_end(n);
    finish_wait_for_last_words(n);
    pthread_mutex_lock(&n->lock);
    mr_output_last(n);
    pthread_mutex_unlock(&n->lock);
    pthread_mutex_lock(&n->line_lock);
    n->lines_closed = true;
    pthread_cond_broadcast(&n->line_cond);
    pthread_mutex_unlock(&n->line_lock);
}

void mr_engine_keep_views(mr_port *port)
{
    ((mr_nodes *)(void *)port)->keep_views = true;
}

void mr_engine_on_drops(mr_port *port, void (*tell)(void *arg), void *arg)
{
    mr_nodes *n = (mr_nodes *)(void *)port;
    pthread_mutex_lock(&n->lock);
    n->drops.tell = tell;
    n->drops.arg = arg;
    pthread_mutex_unlock(&n->lock);
}

void mr_engine_on_full(mr_port *port, void (*ask)(void))
{
    mr_nodes *n = (mr_nodes *)(void *)port;
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return;
    pthread_mutex_lock(&n->lock);
    n->on_full = ask;
    pthread_mutex_unlock(&n->lock);
}

void mr_engine_on_error(mr_port *port, mr_error_reader read)
{
    mr_nodes *n = (mr_nodes *)(void *)port;
    if (atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed))
        return;
    pthread_mutex_lock(&n->lock);
    n->on_error = read;
    pthread_mutex_unlock(&n->lock);
}
