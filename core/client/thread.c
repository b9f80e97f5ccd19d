/* thread.c: owns the word per thread that says which task it runs.  No lock. */
#include "client/thread.h"

mr_thread *mr_thread_self(void)
{
    static _Thread_local mr_thread self;
    return &self;
}
