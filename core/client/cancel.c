/* cancel.c: owns the handler of MR_CANCEL_SIGNAL in a worker process.
 *
 * The node stores CANCEL in the slot word before it sends the signal, and the worker takes the word back (DONE) before
 * it publishes an outcome; so a signal that comes late finds no CANCEL and does nothing.  Everything here is safe in a
 * signal handler: atomics and system calls.  No lock.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "client/cancel.h"
#include "client/thread.h"

static mr_ring_port *_Atomic target;
static void (*_Atomic hook_now)(void);

static void cancel_handler(int sig)
{
    int saved = errno;
    mr_ring_port *p = atomic_load(&target);
    if (p && syscall(SYS_gettid) != p->main_tid) {
        /* It struck a thread of the user's: it is meant for the main thread, whose system calls it must end. */
        syscall(SYS_tgkill, getpid(), p->main_tid, sig);
    } else if (p && (atomic_load(&p->link->slot) & 3) == MR_SLOT_CANCEL) {
        atomic_store(&p->heard, atomic_load(&p->link->slot));
        atomic_store(&p->struck, true);
        /* The main thread may be between its last look and its sleep: then these make the sleep return at once. */
        atomic_fetch_or(&p->link->bell.word, MR_BELL_RUNG);
        mr_bell *b = atomic_load(&p->main_bell);
        if (b)
            atomic_fetch_or(&b->word, MR_BELL_RUNG);
        void (*hook)(void) = atomic_load(&hook_now);
        if (hook)
            hook();
    }
    errno = saved;
}

mr_status mr_cancel_arm(mr_ring_port *p, mr_err *err)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = cancel_handler; /* no SA_RESTART: a blocked system call must end */
    sigemptyset(&sa.sa_mask);
    p->main_tid = (pid_t)syscall(SYS_gettid);
    atomic_store(&target, p);
    if (sigaction(MR_CANCEL_SIGNAL, &sa, NULL))
        return mr_err_set(err, MR_E_IO, "cannot handle the cancel signal: %s", strerror(errno));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, MR_CANCEL_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return MR_OK;
}

void mr_cancel_disarm(mr_ring_port *p)
{
    mr_ring_port *expected = p;
    if (atomic_compare_exchange_strong(&target, &expected, NULL))
        signal(MR_CANCEL_SIGNAL, SIG_IGN);
}

bool mr_cancel_is_main(const mr_ring_port *p)
{
    static _Thread_local pid_t tid;
    if (!tid)
        tid = (pid_t)syscall(SYS_gettid);
    return tid == p->main_tid;
}

mr_status mr_cancel_struck(mr_ring_port *p)
{
    bool struck = atomic_load_explicit(&p->struck, memory_order_relaxed) && atomic_exchange(&p->struck, false);
    if (atomic_load(&hook_now))
        return struck ? MR_E_INTERRUPTED : MR_OK;
    /* Code without a hook (C) has no other way to learn it: each wait says so until the call has ended. */
    return (atomic_load(&p->link->slot) & 3) == MR_SLOT_CANCEL ? MR_E_CANCELLED : MR_OK;
}

mr_status mr_cancel_of_thread(const mr_ring_port *p)
{
    mr_id task = mr_thread_self()->task;
    mr_call *c = task ? p->open : NULL;
    while (c && (c->task != task || !c->cancelled || c->told || c->main))
        c = c->next;
    if (!c)
        return MR_OK;
    if (atomic_load(&hook_now))
        c->told = true; /* once, like the signal: what cleans up may wait */
    return MR_E_CANCELLED;
}

bool mr_cancel_heard(const mr_ring_port *p)
{
    uint64_t slot = atomic_load_explicit(&p->link->slot, memory_order_relaxed);
    return !mr_cancel_is_main(p) || ((slot & 3) == MR_SLOT_CANCEL && atomic_load(&p->heard) == slot);
}

void mr_cancel_hook(void (*hook)(void))
{
    atomic_store(&hook_now, hook);
}
