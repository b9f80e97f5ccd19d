/* @NAME@: a scheduling policy.  Larger priority first, then the shorter estimate, then the order of entry.
 *
 * A policy only answers questions; control owns the queues and checks every answer.  All ops are optional (none at all
 * is first in, first out); miniray/sched.h says what each is asked, and when.  One op at a time: no lock is needed.
 */
#include <stdio.h>

#include <miniray/plugin.h>
#include <miniray/sched.h>

typedef struct @IDENT@_sched {
    const mr_sched_host *host;
    double unknown; /* the estimate of a task that nobody knows yet, in ns */
} @IDENT@_sched;

static mr_status @IDENT@_open(void **self, const mr_sched_host *h, mr_err *err)
{
    @IDENT@_sched *s = h->base->alloc(h->base, sizeof(*s));
    if (!s) {
        snprintf(err->text, sizeof(err->text), "@NAME@: no memory");
        return err->status = MR_E_NOMEM;
    }
    s->host = h;
    s->unknown = (double)h->base->conf_int(h->base, "unknown", 1000000);
    *self = s;
    return MR_OK;
}

static void @IDENT@_close(void *self)
{
    @IDENT@_sched *s = self;
    s->host->base->free(s->host->base, s);
}

/* Small first.  Asked once for each task that becomes ready. */
static double @IDENT@_rank(void *self, const mr_task *t)
{
    const @IDENT@_sched *s = self;
    double ns = t->estimate == MR_UNKNOWN ? s->unknown : (double)t->estimate;
    return ns - 1e15 * t->priority;
}

static const mr_sched_ops ops = {.open = @IDENT@_open, .close = @IDENT@_close, .rank = @IDENT@_rank};

static const mr_conf_key keys[] = {
    {"unknown", MR_CONF_DURATION, "1ms", "the estimate of a task that nobody knows yet"},
};

MR_PLUGIN(MR_KIND_SCHED, "@NAME@", "priority, then the shortest; say here what yours does", ops, keys, 1)
