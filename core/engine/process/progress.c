/* progress.c: the progress thread P.  It sleeps in epoll on the supervisor's socket, the node's eventfd and one timer,
 * and drives when nobody waits.  It never touches Python and never spins.
 *
 * Owns epoll_fd and timer_fd.  Lock: taken after each wake-up; the file's setters are called with it held.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"
#include "engine/process/room.h"

enum { TAG_EVENT = 1, TAG_TIMER, TAG_SUPERVISOR, YIELDS = 3 };

/* -------------------------------------------------------------------------------------------------------- timer -- */

static int64_t progress_due(const mr_nodes *n)
{
    const int64_t wishes[] = {n->poll_at, n->wake_at, n->room.trim_at};
    int64_t due = -1;
    for (int i = 0; i < 3; i++)
        if (wishes[i] >= 0 && (due < 0 || wishes[i] < due))
            due = wishes[i];
    return due;
}

void mr_progress_timer(mr_nodes *n)
{
    int64_t due = progress_due(n);
    /* A timer that fires too early costs one look; setting it at each wish would cost a call each. */
    if (due < 0 || (n->timer_at >= 0 && n->timer_at <= due) || n->timer_fd < 0)
        return;
    int64_t at = n->origin + due;
    if (at <= 0)
        at = 1;
    struct itimerspec t = {.it_value = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000}};
    if (timerfd_settime(n->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == 0)
        n->timer_at = due;
}

void mr_progress_poll(mr_nodes *n, int64_t ns)
{
    int64_t at = mr_nodes_clock(n) + ns;
    if (n->poll_at < 0 || at < n->poll_at)
        n->poll_at = at;
    mr_progress_timer(n);
}

static void progress_fired(mr_nodes *n)
{
    uint64_t times;
    if (read(n->timer_fd, &times, sizeof(times)) < 0)
        return;
    int64_t now = mr_nodes_clock(n);
    n->timer_at = -1;
    if (n->poll_at >= 0 && n->poll_at <= now) {
        n->poll_at = -1;
        n->hasty = true; /* who was left untold in a burst is told now */
        mr_carry_retry(n);
        for (uint32_t l = 0; l < n->n_links; l++)
            if (n->peer[l] && n->peer[l]->box)
                mr_peer_flush(n, n->peer[l]);
    }
    if (n->wake_at >= 0 && n->wake_at <= now) {
        n->wake_at = -1;
        n->stepped = true; /* closes an instant, which is what was wished for */
    }
    mr_room_trim(n);
    mr_drive_pump(n);
    mr_progress_timer(n);
}

/* --------------------------------------------------------------------------------------------------- supervisor -- */

void mr_progress_watch(mr_nodes *n)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = TAG_SUPERVISOR};
    if (n->sup_fd < 0 || n->epoll_fd < 0)
        return;
    if (mr_spawn_waiting(n))
        e.events |= EPOLLOUT;
    if (epoll_ctl(n->epoll_fd, EPOLL_CTL_MOD, n->sup_fd, &e) && errno == ENOENT)
        epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, n->sup_fd, &e);
}

/* What it said before it stood still comes first: if that was the end of its task, nobody waits for this any more. */
static void progress_stopped(mr_nodes *n, mr_peer *p, int64_t by)
{
    mr_drive_drain(n, p);
    if (!by || !p->stopping || by != p->stop_number)
        return;
    mr_spec spec;
    mr_ev_task ev = {.h = {.size = sizeof(ev), .kind = MR_EV_STOPPED, .version = MR_RECORD_VERSION}};
    if (mr_control_spec(n->control, p->stopping, &spec) == MR_OK) {
        ev.task = p->stopping;
        ev.attempt = spec.attempt;
        ev.worker = p->worker;
        ev.ran = MR_UNKNOWN;
        mr_drive_inner(n, &ev.h);
    }
    p->stopping = 0;
}

static void progress_report(mr_nodes *n, const mr_sup_msg *m, const char *bytes)
{
    mr_peer *p = mr_peer_of(n, m->worker);
    switch (m->kind) {
    case MR_SUP_STARTED:
        if (p)
            p->pid = m->pid;
        break;
    case MR_SUP_DIED:
        mr_output_gone(n, m->worker, m->pid);
        if (!p)
            break;
        if (m->pid)
            p->pid = m->pid;
        p->died = true;
        p->how = m->how;
        p->code = m->code;
        mr_peer_bury(n, p);
        break;
    case MR_SUP_STOPPED:
    case MR_SUP_CONTINUED:
        if (p)
            progress_stopped(n, p, m->kind == MR_SUP_STOPPED ? m->arg : 0);
        break;
    case MR_SUP_OUTPUT:
        mr_output_take(n, m->worker, m->pid, m->stream, bytes, m->n_bytes);
        break;
    case MR_SUP_ZYGOTE_DIED:
        if (!n->closing)
            mr_log(MR_LOG_ERROR, "engine", "the zygote (pid %d) %s %d: its workers go with it", m->pid,
                   m->how == MR_DEATH_EXIT ? "exited with code" : "was killed by signal", m->code);
        break;
    default:
        break;
    }
}

/* Reports are read without the lock and applied with it, 32 at a time. */
static void progress_supervisor(mr_nodes *n, uint32_t events)
{
    struct {
        mr_sup_msg m;
        char bytes[MR_SUP_OUTPUT_MAX];
    } report;
    if (events & EPOLLOUT)
        mr_spawn_drain(n);
    for (int i = 0; i < 32; i++) {
        ssize_t len = recv(n->sup_fd, &report, sizeof(report), MSG_DONTWAIT);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (len < (ssize_t)sizeof(mr_sup_msg)) {
            mr_spawn_lost(n);
            break;
        }
        size_t rest = (size_t)len - sizeof(mr_sup_msg);
        n->sup_heard = true;
        if (report.m.n_bytes > rest)
            report.m.n_bytes = (uint32_t)rest;
        progress_report(n, &report.m, report.bytes);
    }
    mr_drive_pump(n);
}

/* --------------------------------------------------------------------------------------------------------- loop -- */

static void progress_rung(mr_nodes *n)
{
    uint64_t count;
    ssize_t got = read(n->event_fd, &count, sizeof(count));
    (void)got; /* empty: another wake-up took it */
    if (!n->leader)
        mr_bell_awake(&n->links->page.bell); /* a new epoch: each may ring again */
    mr_drive_pump(n);
}

/* Whoever has the lock is at work on what this thread was woken for, and in a loop takes it again and again: it goes
 * first, rather than be told of a thread that waits each time it leaves the lock. */
static void progress_lock(mr_nodes *n)
{
    for (int i = 0; i < YIELDS; i++) {
        if (!pthread_mutex_trylock(&n->lock))
            return;
        sched_yield();
    }
    pthread_mutex_lock(&n->lock);
}

static void *progress_main(void *arg)
{
    mr_nodes *n = arg;
    bool go_on = true;
    mr_sweep_escaped();
    mr_desk_sweep(n);
    if (n->spill.disk[0])
        mr_disk_sweep(mr_disk_dir(n->spill.disk[0]));
    while (go_on) {
        struct epoll_event events[8];
        int count = epoll_wait(n->epoll_fd, events, 8, -1);
        int failed = count < 0 && errno != EINTR ? errno : 0;
        for (int i = 0; i < count; i++)
            if (events[i].data.u64 >= MR_DESK_TAG)
                mr_desk_event(n, events[i].data.u64);
        progress_lock(n);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 >= MR_DESK_TAG)
                continue;
            if (events[i].data.u64 == TAG_EVENT)
                progress_rung(n);
            else if (events[i].data.u64 == TAG_TIMER)
                progress_fired(n);
            else if (n->sup_fd >= 0)
                progress_supervisor(n, events[i].events);
        }
        if (failed)
            mr_nodes_end(n, "epoll_wait: %s", strerror(failed));
        go_on = !n->progress_end && !failed;
        if (n->drops.due)
            mr_drive_drops(n);
        mr_drive_unlock(n);
        mr_output_save(n);
    }
    return NULL;
}

mr_status mr_progress_start(mr_nodes *n, mr_err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = TAG_EVENT};
    struct epoll_event timer = {.events = EPOLLIN, .data.u64 = TAG_TIMER};
    n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (n->epoll_fd < 0 || n->timer_fd < 0 || epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, n->event_fd, &event) ||
        epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, n->timer_fd, &timer) || mr_desk_watch(n))
        return mr_err_set(err, MR_E_IO, "cannot set up the progress thread: %s", strerror(errno));
    /* Signals are the user's: they go to the user's threads. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&n->progress, NULL, progress_main, n);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        return mr_err_set(err, MR_E_NOMEM, "cannot start the progress thread: %s", strerror(failed));
    n->has_progress = true;
    return MR_OK;
}

void mr_progress_stop(mr_nodes *n)
{
    if (!n->has_progress)
        return;
    uint64_t one = 1;
    pthread_mutex_lock(&n->lock);
    n->progress_end = true;
    pthread_mutex_unlock(&n->lock);
    ssize_t sent = write(n->event_fd, &one, sizeof(one));
    (void)sent; /* full is readable too */
    pthread_join(n->progress, NULL);
    n->has_progress = false;
}
