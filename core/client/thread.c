/* thread.c: owns the word per thread that says which task it runs, and the process's words for what its threads give up
 * while they wait.  No lock.
 */
#include "client/thread.h"

#include <stdatomic.h>
#include <stddef.h>

static void *(*_Atomic on_leave)(void);
static void (*_Atomic on_back)(void *);

mr_thread *mr_thread_self(void)
{
    static _Thread_local mr_thread self;
    return &self;
}

void mr_thread_on_wait(void *(*leave)(void), void (*back)(void *left))
{
    atomic_store(&on_back, back);
    atomic_store(&on_leave, leave);
}

void *mr_thread_rest(void)
{
    void *(*leave)(void) = atomic_load(&on_leave);
    return leave ? leave() : NULL;
}

void mr_thread_resume(void *rest)
{
    if (rest)
        atomic_load (&on_back)(rest);
}
