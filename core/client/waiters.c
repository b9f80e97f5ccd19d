/* waiters.c: owns the list of the threads that wait.  The leader among them sleeps on the link's bell, the others each
 * on one of their own.  Lock: in_lock.
 */
#include "client/waiters.h"

#include <string.h>

void mr_waiters_wake(mr_ring_port *p, mr_waiter *w)
{
    w->done = true;
    if (w != p->leader)
        mr_bell_ring_always(&w->bell, -1);
}

void mr_waiters_done(mr_ring_port *p, int kind, mr_id task)
{
    for (mr_waiter *w = p->waiters; w; w = w->next)
        if (w->kind == kind && (!task || w->task == task))
            mr_waiters_wake(p, w);
}

void mr_waiters_join(mr_ring_port *p, mr_waiter *w, int kind)
{
    memset(w, 0, sizeof(*w));
    w->kind = kind;
    pthread_mutex_lock(&p->in_lock);
    if (kind == MR_FOR_TOKEN) {
        if (++p->last_token == 0)
            ++p->last_token;
        w->token = p->last_token;
    }
    w->next = p->waiters;
    if (w->next)
        w->next->prev = w;
    p->waiters = w;
    pthread_mutex_unlock(&p->in_lock);
}

void mr_waiters_part(mr_ring_port *p, mr_waiter *w)
{
    pthread_mutex_lock(&p->in_lock);
    if (w->next)
        w->next->prev = w->prev;
    if (w->prev)
        w->prev->next = w->next;
    else
        p->waiters = w->next;
    if (!p->leader && p->waiters)
        mr_bell_ring_always(&p->waiters->bell, -1);
    pthread_mutex_unlock(&p->in_lock);
}

mr_waiter *mr_waiters_find(mr_ring_port *p, uint32_t token)
{
    for (mr_waiter *w = p->waiters; w; w = w->next)
        if (w->kind == MR_FOR_TOKEN && w->token == token)
            return w;
    return NULL;
}

void mr_waiters_stir(mr_ring_port *p)
{
    for (mr_waiter *w = p->waiters; w; w = w->next)
        mr_bell_ring_always(&w->bell, -1);
}
