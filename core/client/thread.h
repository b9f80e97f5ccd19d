/* thread.h: what the calling thread is doing, for records that say so; and what it gives up while it waits. */
#ifndef MR_CLIENT_THREAD_H
#define MR_CLIENT_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <miniray/types.h>

typedef struct mr_thread {
    mr_id task; /* that it runs; 0: none */
    bool lends; /* it is the main thread of a plain task: when it blocks, its CPU may be lent */
} mr_thread;

mr_thread *mr_thread_self(void);

/* Around a wait, with no lock held (see mr_on_wait); `resume` gets what `rest` gave. */
void *mr_thread_rest(void);
void mr_thread_resume(void *rest);
void mr_thread_on_wait(void *(*leave)(void), void (*back)(void *left));

static inline int64_t mr_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
