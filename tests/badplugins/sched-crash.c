/* Ends the program it runs in, or never answers: SCHED_CRASH is "OP HOW", HOW one of segv, abort, exit, deep, loop.
 * SCHED_CRASH_PLAIN: whoever handles crashes (a sanitizer) does not hear of it. */
#include "bad.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int go_on = 1;

static int deep(volatile char *above)
{
    volatile char here[4096];
    here[0] = *above;
    return go_on ? deep(here) + here[0] : 0;
}

static void perhaps(const char *op)
{
    const char *wish = getenv("SCHED_CRASH");
    size_t n = strlen(op);
    if (!wish || strncmp(wish, op, n) != 0 || wish[n] != ' ')
        return;
    const char *how = wish + n + 1;
    char start = 0;
    if (getenv("SCHED_CRASH_PLAIN")) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
    }
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "exit"))
        exit(5);
    if (!strcmp(how, "deep"))
        exit(deep(&start));
    while (!strcmp(how, "loop") && go_on)
        ;
    raise(SIGSEGV);
}

static mr_status crash_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)h, (void)err;
    *self = NULL;
    perhaps("open");
    return MR_OK;
}

static void crash_close(void *self)
{
    (void)self;
    perhaps("close");
}

static double crash_rank(void *self, const mr_task *t)
{
    (void)self, (void)t;
    perhaps("rank");
    return 0;
}

static mr_ref crash_place(void *self, const mr_task *t)
{
    (void)self, (void)t;
    perhaps("place");
    return MR_NONE;
}

static mr_ref crash_plan(void *self, const mr_task *t)
{
    (void)self, (void)t;
    perhaps("plan");
    return MR_NONE;
}

static int64_t crash_slice(void *self, const mr_task *t, const mr_worker *w)
{
    (void)self, (void)t, (void)w;
    perhaps("slice");
    return -1;
}

static void crash_notice(void *self, const mr_notice *n)
{
    (void)self, (void)n;
    perhaps("notice");
}

static const mr_sched_ops ops = {.notices = MR_DONE,
                                 .open = crash_open,
                                 .close = crash_close,
                                 .rank = crash_rank,
                                 .place = crash_place,
                                 .plan = crash_plan,
                                 .slice = crash_slice,
                                 .notice = crash_notice};
MR_PLUGIN(MR_KIND_SCHED, "sched-crash", "ends the program", ops, NULL, 0)
