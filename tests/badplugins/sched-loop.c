/* Never answers: `place` of a task of user "block" waits for ever, of any other it loops. */
#include "bad.h"

#include <string.h>
#include <unistd.h>

static const mr_sched_host *host;

static mr_status loop_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    *self = NULL;
    host = h;
    return MR_OK;
}

static void loop_close(void *self)
{
    (void)self;
}

static mr_ref loop_place(void *self, const mr_task *t)
{
    const char *user = host->text(host, t->user);
    (void)self;
    for (volatile int go_on = 1; go_on;)
        if (user && !strcmp(user, "block"))
            pause();
    return MR_NONE;
}

static const mr_sched_ops ops = {.open = loop_open, .close = loop_close, .place = loop_place};
MR_PLUGIN(MR_KIND_SCHED, "sched-loop", "never answers", ops, NULL, 0)
