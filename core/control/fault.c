/* fault.c: puts a fault into words: the true cause, in one sentence. */
#include <stdarg.h>
#include <stdio.h>

#include "control/room.h"

static const char *signal_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{1, "SIGHUP"},   {2, "SIGINT"},   {3, "SIGQUIT"},  {4, "SIGILL"},   {6, "SIGABRT"},  {7, "SIGBUS"},
                 {8, "SIGFPE"},   {9, "SIGKILL"},  {10, "SIGUSR1"}, {11, "SIGSEGV"}, {12, "SIGUSR2"}, {13, "SIGPIPE"},
                 {14, "SIGALRM"}, {15, "SIGTERM"}, {24, "SIGXCPU"}, {25, "SIGXFSZ"}, {31, "SIGSYS"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number)
            return names[i].name;
    return "an unnamed signal";
}

typedef struct text {
    char *at;
    size_t n, used;
} text;

static void add(text *t, const char *fmt, ...) MR_PRINTF(2, 3);
static void add(text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int k = vsnprintf(t->used < t->n ? t->at + t->used : NULL, t->used < t->n ? t->n - t->used : 0, fmt, args);
    va_end(args);
    if (k > 0)
        t->used += (size_t)k;
}

static void add_worker(text *t, const mr_fault *f)
{
    if (f->pid)
        add(t, "worker %d", f->pid);
    else
        add(t, "worker number %u", f->worker);
    switch ((mr_death)f->how) {
    case MR_DEATH_EXIT:
        add(t, " exited with code %d", f->code);
        break;
    case MR_DEATH_SIGNAL:
        add(t, " was killed by signal %d (%s)", f->code, signal_name(f->code));
        break;
    case MR_DEATH_OOM:
        add(t, " was killed because memory ran out");
        break;
    case MR_DEATH_SPAWN:
        add(t, " could not be started (error %d)", f->code);
        break;
    default:
        add(t, " ended");
    }
}

static void add_subject(const mr_control *c, text *t, const mr_fault *f, const char *verb)
{
    const mr_define *d = mr_control_func(c, f->func);
    if (!d)
        return;
    add(t, "%s%s %s", verb[0] == ':' ? "" : " ", verb, d->name);
    if (f->attempt && f->of)
        add(t, ", attempt %u of %u", f->attempt, f->of);
    else if (f->attempt)
        add(t, ", attempt %u", f->attempt);
}

static void add_actor(const mr_control *c, text *t, const mr_fault *f)
{
    const actor *a = actor_at((mr_control *)(uintptr_t)c, f->cause);
    const mr_define *d = a ? mr_control_func(c, a->func) : NULL;
    const mr_define *call = mr_control_func(c, f->func);
    bool method = call && call->kind == MR_FUNC_METHOD;
    /* The last handle may be gone and the actor with it: its class is in the method's name too, before the last dot. */
    const char *name = d ? d->name : call ? call->name : "", *dot = d || !method ? NULL : strrchr(name, '.');
    add(t, "actor %.*s%s", (int)(dot ? (size_t)(dot - name) : strlen(name)), name,
        f->status == MR_E_ACTOR_UNAVAILABLE ? " is restarting" : " died");
    static const char *const causes[] = {[1] = ": the actor was killed by ray.kill",
                                         [2] = ": its placement group was removed",
                                         [3] = ": its owner has died",
                                         [4] = ": it left by exit_actor() or sys.exit()",
                                         [5] = ": its last handle went, and its calls were done"};
    if (f->status == MR_E_ACTOR_DIED && f->why && f->why < sizeof causes / sizeof *causes) {
        add(t, "%s", causes[f->why]);
    } else if (f->how || f->pid) {
        add(t, ": ");
        add_worker(t, f);
    }
    if (method)
        add(t, "; the call of %s %s", call->name, f->may_have_run ? "may have run" : "did not run");
}

static void add_node(const mr_control *c, text *t, const mr_fault *f)
{
    if (f->node && f->node <= c->n_nodes)
        add(t, "node %s", c->nodes[f->node - 1]->name);
    else
        add(t, "the node");
}

static const char *why_lost(uint32_t why)
{
    static const char *const texts[] = {
        [MR_LOST_NONE] = "",
        [MR_LOST_PUT] = ", and it was put: only what a task returned is made again",
        [MR_LOST_ACTOR] = ", and an actor made it: only what a task returned is made again",
        [MR_LOST_STREAM] = ", and a generator made it: only what a task returned is made again",
        [MR_LOST_TRIES] = ", and the task that made it has no attempt left (max_retries)",
        [MR_LOST_FULL] = ", and what its task needs to make it again was given up for want of room",
        [MR_LOST_GROUP] = ", and the placement group of the task that made it was removed",
    };
    return why <= MR_LOST_GROUP ? texts[why] : "";
}

static void add_lost(const mr_control *c, text *t, const mr_fault *f)
{
    const mr_define *d = mr_control_func(c, f->func);
    add(t, "object %llx", (unsigned long long)f->cause);
    if (d && f->task)
        add(t, ", a result of %s (task %llx),", d->name, (unsigned long long)f->task);
    add(t, " was lost");
    if (f->code == MR_LOSS_DAMAGED || f->code == MR_LOSS_UNREADABLE) {
        add(t, ": what was written to the spill directory %s%s",
            f->code == MR_LOSS_DAMAGED ? "is not what was read back (checksum)" : "could not be read",
            why_lost(f->why));
        return;
    }
    if (f->node) {
        add(t, " with ");
        add_node(c, t, f);
    }
    add(t, ": no node has a copy any more%s", why_lost(f->why));
}

size_t mr_fault_text(const mr_control *c, const mr_fault *f, char *out, size_t n)
{
    text t = {.at = out, .n = n};
    if (n)
        out[0] = 0;
    switch (f->status) {
    case MR_E_CRASHED:
    case MR_E_OOM:
        add_worker(&t, f);
        add_subject(c, &t, f, f->how == MR_DEATH_SPAWN ? "for" : "while running");
        break;
    case MR_E_ACTOR_DIED:
    case MR_E_ACTOR_UNAVAILABLE:
        add_actor(c, &t, f);
        break;
    case MR_E_OWNER_DIED:
        add(&t, "worker %d, which owned this%s, died", f->pid ? f->pid : (int)f->worker, f->task ? " task" : "");
        add_subject(c, &t, f, "before the end of");
        break;
    case MR_E_NODE_DIED:
        add_node(c, &t, f);
        add(&t, " was removed");
        add_subject(c, &t, f, "while it ran");
        break;
    case MR_E_GROUP_REMOVED:
        add(&t, "the placement group corresponding to this task has been removed");
        add_subject(c, &t, f, ":");
        break;
    case MR_E_CANCELLED:
        add(&t, "the task was cancelled");
        add_subject(c, &t, f, ":");
        break;
    case MR_E_TIMEOUT:
        add(&t, "the task ran longer than its limit");
        if (f->func && f->func <= c->n_funcs && c->funcs[f->func - 1]->def->limit >= 0)
            add(&t, " of %.6g s", (double)c->funcs[f->func - 1]->def->limit / 1e9);
        add_subject(c, &t, f, ":");
        break;
    case MR_E_POLICY:
        add(&t, "policy %s failed, and [sched] on_error = stop: %s", c->pol.name, c->pol.error);
        add_subject(c, &t, f, ":");
        break;
    case MR_E_LOST:
        add_lost(c, &t, f);
        break;
    case MR_E_FREED:
        add(&t, "object %llx was freed before it could be read", (unsigned long long)f->cause);
        add_subject(c, &t, f, "by");
        break;
    default:
        add(&t, "%s", mr_status_text((mr_status)f->status));
        add_subject(c, &t, f, ":");
    }
    return t.used;
}
