/* supervisor.c: the supervisor process: the session's init.  Its parts: this loop, and kids.c (processes).
 *
 * Owns every process of the session below the driver.  One thread, one epoll; nothing here ever blocks, so the death of
 * the driver is answered at once.  Knows nothing of tasks, rings or control.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/process/disk.h"
#include "engine/process/kids.h"

static int64_t sup_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------------ reports -- */

/* False: not now. */
static bool sup_send(mr_sup *s, const void *head, size_t head_len, const void *bytes, size_t len)
{
    struct iovec io[] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)bytes, len}};
    struct msghdr h = {.msg_iov = io, .msg_iovlen = 2};
    ssize_t n;
    do
        n = sendmsg(s->sock, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0 || (errno != EAGAIN && errno != ENOBUFS); /* else the driver is gone, which its pidfd tells */
}

/* Reports are never lost: what the socket does not take now is kept. */
void mr_sup_report(mr_sup *s, const mr_sup_msg *m, const char *bytes)
{
    size_t len = sizeof(*m) + m->n_bytes;
    if (!s->kept && sup_send(s, m, sizeof(*m), bytes, m->n_bytes))
        return;
    mr_sup_kept *k = malloc(sizeof(*k) + len);
    if (!k) {
        s->broken = true; /* by our end the driver learns that all below is lost */
        return;
    }
    k->next = NULL;
    k->len = len;
    memcpy(k->bytes, m, sizeof(*m));
    if (m->n_bytes)
        memcpy(k->bytes + sizeof(*m), bytes, m->n_bytes);
    *s->kept_end = k;
    s->kept_end = &k->next;
    mr_sup_flush(s);
}

void mr_sup_flush(mr_sup *s)
{
    while (s->kept) {
        mr_sup_kept *k = s->kept;
        if (!sup_send(s, k->bytes, k->len, NULL, 0))
            break;
        s->kept = k->next;
        if (!s->kept)
            s->kept_end = &s->kept;
        free(k);
    }
    bool wants = s->kept != NULL;
    if (wants != s->wants_out) {
        struct epoll_event e = {.events = EPOLLIN | (wants ? EPOLLOUT : 0u), .data.u64 = MR_SUP_TAG_SOCK};
        if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->sock, &e) == 0)
            s->wants_out = wants;
        else
            s->broken |= wants; /* nobody would tell when to go on */
    }
}

/* ------------------------------------------------------------------------------------------------------- orders -- */

static void sup_order(mr_sup *s, const mr_sup_msg *m)
{
    if (m->kind == MR_SUP_SPAWN) {
        mr_kid_spawn(s, m);
    } else if (m->kind == MR_SUP_SIGNAL) {
        mr_kid *k = mr_kid_by_worker(s, m->worker);
        if (k && m->code == SIGSTOP)
            mr_kid_stop(s, k, m->arg);
        else if (k && m->code == SIGCONT)
            mr_kid_continue(k);
        else if (k)
            mr_kid_signal(k, m->code);
    } else if (m->kind == MR_SUP_END) {
        s->ending = true;
        s->end_at = sup_now() + m->arg;
        for (size_t i = 0; i < s->n_kids; i++) {
            mr_kid_signal(s->kids[i], SIGTERM);
            mr_kid_continue(s->kids[i]);
        }
    }
}

/* False: the driver closed its end. */
static bool sup_orders(mr_sup *s)
{
    for (;;) {
        mr_sup_msg m;
        ssize_t n = recv(s->sock, &m, sizeof(m), MSG_DONTWAIT);
        if (n == (ssize_t)sizeof(m))
            sup_order(s, &m);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0)
            return errno == EAGAIN;
        else
            return false;
    }
}

/* -------------------------------------------------------------------------------------------------------- setup -- */

int mr_sup_watch(mr_sup *s, int fd, uint64_t tag)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
}

/* Everything that is not named goes: what the driver left open by mistake must not live on in its workers. */
static void sup_close_others(mr_sup *s, const char *keep)
{
    int fds[16], n = 0;
    fds[n++] = s->sock;
    for (const char *at = keep; n < 15 && *at >= '0' && *at <= '9';) {
        char *end;
        fds[n++] = (int)strtol(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
    }
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && fds[j] < fds[j - 1]; j--) {
            int swap = fds[j];
            fds[j] = fds[j - 1];
            fds[j - 1] = swap;
        }
    int from = 3;
    for (int i = 0; i < n; i++) {
        if (fds[i] > from)
            syscall(SYS_close_range, from, fds[i] - 1, 0);
        if (fds[i] >= from)
            from = fds[i] + 1;
    }
    syscall(SYS_close_range, from, ~0u, 0);
}

static bool sup_setup(mr_sup *s, int argc, char **argv)
{
    if (argc < 7)
        return false;
    s->sock = atoi(argv[2]);
    pid_t driver = (pid_t)atoi(argv[3]);
    s->flags = (uint32_t)atoi(argv[4]);
    void *now = mmap(NULL, sizeof(*s->now), PROT_READ, MAP_SHARED, atoi(argv[6]), 0);
    if (now == MAP_FAILED)
        return false;
    s->now = now;
    sup_close_others(s, argv[5]);
    fcntl(s->sock, F_SETFD, FD_CLOEXEC);
    if (argc > 8 && strcmp(argv[7], "--") == 0)
        s->zygote_argv = argv + 8;
    s->kept_end = &s->kept;
    s->zygote = s->zygote_sock = -1;

    /* The pid is checked after the descriptor is held: a driver that died before is not our parent any more. */
    s->driver = (int)syscall(SYS_pidfd_open, driver, 0);
    s->late = getppid() != driver;
    if (s->driver < 0 || s->late)
        return false;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "miniray-super");

    getrlimit(RLIMIT_NOFILE, &s->files);
    struct rlimit more = {.rlim_cur = s->files.rlim_max, .rlim_max = s->files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &more);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* The terminal and job control speak to the driver; it ends us. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    s->chld = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->chld < 0 || s->epoll < 0)
        return false;
    s->oom_kills = mr_kid_oom_count();
    if (readlink("/proc/self/exe", s->exe, sizeof(s->exe) - 1) < 0)
        return false;
    return !mr_sup_watch(s, s->sock, MR_SUP_TAG_SOCK) && !mr_sup_watch(s, s->driver, MR_SUP_TAG_DRIVER) &&
           !mr_sup_watch(s, s->chld, MR_SUP_TAG_CHLD);
}

/* False: it is time to end everything. */
static bool sup_event(mr_sup *s, const struct epoll_event *e)
{
    switch (e->data.u64) {
    case MR_SUP_TAG_DRIVER:
        return false;
    case MR_SUP_TAG_SOCK:
        if (e->events & EPOLLOUT)
            mr_sup_flush(s);
        return !(e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || sup_orders(s);
    case MR_SUP_TAG_CHLD: {
        struct signalfd_siginfo info[8];
        while (read(s->chld, info, sizeof(info)) > 0)
            ;
        mr_kid_reap(s);
        return true;
    }
    case MR_SUP_TAG_ZYGOTE:
        mr_kid_zygote_talk(s);
        return true;
    default:
        mr_kid_output(s, e->data.u64);
        return true;
    }
}

/* A driver that died of its policy can not say so itself. */
static void sup_blame(const mr_sup *s, pid_t driver)
{
    struct pollfd died = {.fd = s->driver, .events = POLLIN};
    const char *op = mr_control_op_text(__atomic_load_n(&s->now->op, __ATOMIC_RELAXED));
    if (s->ending || !op)
        return;
    if (!s->late && poll(&died, 1, 1000) != 1) /* its socket closes a moment before it is dead */
        return;
    fprintf(stderr,
            "miniray error [sched] the program (pid %d) died while policy %.63s was in `%s`. A plugin in C runs inside "
            "the program: if it crashes or exits, so does the session (`miniray plugins check` tries one in a process "
            "of its own)\n",
            (int)driver, s->now->policy, op);
}

/* A driver that lives removes its files itself, or needs them still.  One that dies is seen to close its socket before
 * it is seen to be dead. */
static void sup_files(const mr_sup *s)
{
    enum { DIES_WITHIN = 5000 };
    const char *folder = getenv("MINIRAY_FOLDER"), *spills = getenv("MINIRAY_SPILLS");
    struct pollfd driver = {.fd = s->driver, .events = POLLIN};
    if (!s->late && poll(&driver, 1, s->ending ? 0 : DIES_WITHIN) != 1)
        return;
    if (folder)
        mr_desk_remove(folder);
    if (spills)
        mr_disk_sweep(spills);
}

int mr_supervisor_main(int argc, char **argv)
{
    static mr_sup sup;
    mr_sup *s = &sup;
    bool ready = sup_setup(s, argc, argv);
    if (s->late) { /* the driver ended before we began */
        sup_blame(s, (pid_t)atoi(argv[3]));
        sup_files(s);
        return 1;
    }
    if (!ready) {
        fprintf(stderr, "miniray: the supervisor could not start: %s\n", strerror(errno));
        mr_kid_kill_all();
        return 1;
    }
    if (s->flags & MR_SUP_FLAG_PRESTART)
        mr_kid_zygote_start(s);
    bool go_on = true;
    while (go_on && !s->broken) {
        int64_t left = -1;
        if (s->ending) {
            left = (s->end_at - sup_now()) / 1000000;
            if (!s->n_kids || left <= 0)
                break;
        }
        struct epoll_event events[64];
        int n = epoll_wait(s->epoll, events, 64, (int)left);
        if (n < 0 && errno != EINTR)
            break;
        for (int i = 0; i < n && go_on; i++)
            go_on = sup_event(s, &events[i]);
    }
    if (s->broken)
        fprintf(stderr, "miniray error [supervisor] a report can not be sent: %s; it ends, and all workers with it\n",
                strerror(errno));
    mr_kid_kill_all();
    sup_blame(s, (pid_t)atoi(argv[3]));
    mr_sup_flush(s);
    sup_files(s);
    return 0;
}
