/* sched_priority.c: the highest priority first, and one level of it is worth `level` of waiting.
 *
 * All tasks age alike, so their order never changes while they wait: one answer per entry is enough, and there is
 * nothing to keep but one number.
 */
#include <miniray/plugin.h>
#include <miniray/sched.h>

struct priority {
    const mr_host *base;
    double level; /* ns */
};

static mr_status priority_open(void **self, const mr_sched_host *h, mr_err *err)
{
    struct priority *p = h->base->alloc(h->base, sizeof *p);
    (void)err;
    if (!p)
        return MR_E_NOMEM;
    p->base = h->base;
    p->level = (double)h->base->conf_int(h->base, "level", INT64_C(10) * 1000 * 1000 * 1000);
    *self = p;
    return MR_OK;
}

static void priority_close(void *self)
{
    struct priority *p = self;
    p->base->free(p->base, p);
}

static double priority_rank(void *self, const mr_task *t)
{
    const struct priority *p = self;
    return (double)t->ready_at - t->priority * p->level;
}

static const mr_conf_key keys[] = {
    {"level", MR_CONF_DURATION, "10s", "how much waiting one level of priority is worth"},
};
static const mr_sched_ops ops = {.open = priority_open, .close = priority_close, .rank = priority_rank};

MR_PLUGIN(MR_KIND_SCHED, "sched-priority", "the highest priority first, with ageing", ops, keys, 1)
