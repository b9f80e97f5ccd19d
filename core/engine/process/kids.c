/* kids.c: the supervisor's processes: C workers (its children), the zygote (its child), Python workers (the zygote's
 * children, signalled through pidfds, reaped by the zygote, or by us when the zygote is dead), and orphans.
 *
 * One thread, the supervisor's.  Every descriptor made here is close-on-exec but those meant for the child.
 */
#define _GNU_SOURCE
#include "engine/process/kids.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/record.h"

mr_kid *mr_kid_by_worker(mr_sup *s, uint32_t worker)
{
    for (size_t i = 0; i < s->n_kids; i++)
        if (s->kids[i]->worker == worker)
            return s->kids[i];
    return NULL;
}

static mr_kid *kid_by_pid(mr_sup *s, pid_t pid)
{
    for (size_t i = 0; i < s->n_kids; i++)
        if (s->kids[i]->pid == pid)
            return s->kids[i];
    return NULL;
}

void mr_kid_signal(mr_kid *k, int sig)
{
    if (!k->pid)
        return;
    if (sig == SIGKILL)
        k->killed = true;
    /* Through the pidfd a reaped worker of the zygote can not be confused with somebody else. */
    if (k->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, k->pidfd, sig, NULL, 0);
    else
        kill(k->pid, sig);
}

/* The third field of stat, behind the name, which may hold anything. */
static bool stands_still(pid_t pid)
{
    char path[40], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' && (name_end[2] == 'T' || name_end[2] == 't');
}

static void tell_stopped(mr_sup *s, const mr_kid *k, int code)
{
    mr_sup_msg m = {.kind = MR_SUP_STOPPED, .worker = k->worker, .pid = k->pid, .code = code};
    /* An earlier report may be of a stop that was taken back; SIGCONT acts at once, so what stands still now does so by
     * the last order. */
    m.arg = k->stop && stands_still(k->pid) ? k->stop : 0;
    mr_sup_report(s, &m, NULL);
}

void mr_kid_stop(mr_sup *s, mr_kid *k, int64_t number)
{
    bool already = k->pid && stands_still(k->pid); /* somebody else stopped it: nothing will change, and be told */
    k->stop = number;
    mr_kid_signal(k, SIGSTOP);
    if (already)
        tell_stopped(s, k, SIGSTOP);
}

void mr_kid_continue(mr_kid *k)
{
    k->stop = 0;
    mr_kid_signal(k, SIGCONT);
}

uint64_t mr_kid_oom_count(void)
{
    char line[512], path[600] = "";
    unsigned long long count = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = 0;
            snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", line + 3);
        }
    if (f)
        fclose(f);
    f = *path ? fopen(path, "re") : NULL;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "oom_kill %llu", &count) == 1)
            break;
    if (f)
        fclose(f);
    return count;
}

/* ------------------------------------------------------------------------------------------------------- output -- */

static void kid_read(mr_sup *s, mr_kid *k, int stream)
{
    char bytes[MR_SUP_OUTPUT_MAX];
    /* While reports pile up, the worker's pipe fills and it waits: nothing is lost and memory is bounded. */
    for (int i = 0; i < 16; i++) {
        ssize_t n = read(k->pipe[stream], bytes, sizeof(bytes));
        if (n > 0) {
            mr_sup_msg m = {.kind = MR_SUP_OUTPUT, .worker = k->worker, .pid = k->pid};
            m.stream = (uint32_t)stream + 1;
            m.n_bytes = (uint32_t)n;
            mr_sup_report(s, &m, bytes);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else {
            if (n == 0) {
                close(k->pipe[stream]);
                k->pipe[stream] = -1;
            }
            return;
        }
    }
}

void mr_kid_output(mr_sup *s, uint64_t tag)
{
    mr_kid *k = mr_kid_by_worker(s, (uint32_t)(tag >> 8));
    int stream = (int)(tag & 0xff);
    if (k && stream < 2 && k->pipe[stream] >= 0)
        kid_read(s, k, stream);
}

/* Two pipes; the write ends for the child in `theirs`.  Without output: /dev/null. */
static int kid_pipes(mr_sup *s, mr_kid *k, int theirs[2])
{
    theirs[0] = theirs[1] = -1;
    for (int i = 0; i < 2; i++) {
        int ends[2] = {-1, -1};
        if (!(s->flags & MR_SUP_FLAG_OUTPUT)) {
            theirs[i] = open("/dev/null", O_WRONLY | O_CLOEXEC);
        } else if (pipe2(ends, O_CLOEXEC) == 0) {
            k->pipe[i] = ends[0];
            theirs[i] = ends[1];
            fcntl(ends[0], F_SETFL, O_NONBLOCK);
            if (mr_sup_watch(s, ends[0], (uint64_t)k->worker << 8 | (uint64_t)i))
                return -1;
        }
        if (theirs[i] < 0)
            return -1;
    }
    return 0;
}

static void kid_close(const int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* --------------------------------------------------------------------------------------------------------- end -- */

static void kid_end(mr_sup *s, mr_kid *k, uint32_t how, int code)
{
    for (int i = 0; i < 2; i++)
        if (k->pipe[i] >= 0)
            kid_read(s, k, i);
    if (how == MR_DEATH_SIGNAL && code == SIGKILL && !k->killed) {
        uint64_t now = mr_kid_oom_count();
        if (now > s->oom_kills)
            how = MR_DEATH_OOM;
        s->oom_kills = now;
    }
    mr_sup_msg m = {.kind = MR_SUP_DIED, .worker = k->worker, .link = k->link, .node = k->node, .lang = k->lang};
    m.pid = k->pid;
    m.how = how;
    m.code = code;
    mr_sup_report(s, &m, NULL);
    kid_close(k->pipe);
    if (k->pidfd >= 0)
        close(k->pidfd);
    for (size_t i = 0; i < s->n_kids; i++)
        if (s->kids[i] == k)
            s->kids[i] = s->kids[--s->n_kids];
    free(k);
}

static void kid_changed(mr_sup *s, mr_kid *k, int code, int status)
{
    mr_sup_msg m = {.worker = k->worker, .pid = k->pid, .code = status};
    switch (code) {
    case CLD_EXITED:
        kid_end(s, k, MR_DEATH_EXIT, status);
        break;
    case CLD_KILLED:
    case CLD_DUMPED:
        kid_end(s, k, MR_DEATH_SIGNAL, status);
        break;
    case CLD_STOPPED:
        tell_stopped(s, k, status);
        break;
    case CLD_CONTINUED:
        if (k->stop && !s->ending) /* not by us, or before our last order: it stays as control has it */
            mr_kid_signal(k, SIGSTOP);
        m.kind = MR_SUP_CONTINUED;
        mr_sup_report(s, &m, NULL);
        break;
    default:
        break;
    }
}

/* -------------------------------------------------------------------------------------------------- own children -- */

/* In the child, between fork and exec: as the supervisor found the world. */
static void kid_child(mr_sup *s, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    setrlimit(RLIMIT_NOFILE, &s->files);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* set too late to hear of it */
    setsid();
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, 0);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The write end closes at exec, so the parent reads either an errno or nothing. */
static int kid_exec_failed(int fd)
{
    int failed = 0;
    ssize_t n;
    do
        n = read(fd, &failed, sizeof(failed));
    while (n < 0 && errno == EINTR);
    close(fd);
    return n == (ssize_t)sizeof(failed) ? failed : 0;
}

static int kid_fork_c(mr_sup *s, mr_kid *k, const int theirs[2])
{
    char text[64];
    char *argv[] = {"miniray-worker", NULL};
    int tell[2];
    pid_t parent = getpid();
    if (pipe2(tell, O_CLOEXEC))
        return errno;
    pid_t pid = fork();
    if (pid == 0) {
        kid_child(s, parent);
        dup2(theirs[0], 1);
        dup2(theirs[1], 2);
        snprintf(text, sizeof(text), "%u:%u:%u", k->worker, k->link, k->node);
        setenv("MINIRAY_WORKER", text, 1);
        execv(s->exe, argv);
        int failed = errno;
        ssize_t n = write(tell[1], &failed, sizeof(failed));
        _exit(n > 0 ? 127 : 126);
    }
    int failed = pid < 0 ? errno : 0;
    close(tell[1]);
    if (pid < 0) {
        close(tell[0]);
        return failed;
    }
    failed = kid_exec_failed(tell[0]);
    if (failed) {
        waitpid(pid, NULL, 0);
        return failed;
    }
    k->pid = pid;
    mr_sup_msg m = {.kind = MR_SUP_STARTED, .worker = k->worker, .pid = pid};
    mr_sup_report(s, &m, NULL);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- zygote -- */

void mr_kid_zygote_start(mr_sup *s)
{
    int ends[2];
    char number[16];
    if (s->zygote > 0 || !s->zygote_argv)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        kid_child(s, parent);
        fcntl(ends[1], F_SETFD, 0);
        snprintf(number, sizeof(number), "%d", ends[1]);
        setenv("MINIRAY_ZYGOTE_FD", number, 1);
        snprintf(number, sizeof(number), "%d", (int)parent);
        setenv("MINIRAY_SUPERVISOR", number, 1);
        execvp(s->zygote_argv[0], s->zygote_argv);
        fprintf(stderr, "miniray: cannot start %s: %s\n", s->zygote_argv[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return;
    }
    s->zygote = pid;
    s->zygote_sock = ends[0];
    s->zygote_ready = false;
    s->forks = 0;
    mr_sup_watch(s, ends[0], MR_SUP_TAG_ZYGOTE);
}

static void zygote_ask(mr_sup *s, mr_kid *k)
{
    int theirs[2];
    if (k->pipe[0] < 0 && kid_pipes(s, k, theirs)) {
        int failed = errno;
        kid_close(theirs);
        kid_end(s, k, MR_DEATH_SPAWN, failed);
        return;
    }
    mr_zygote_msg m = {.kind = MR_ZYGOTE_FORK, .worker = k->worker, .link = k->link, .node = k->node};
    struct iovec io = {&m, sizeof(m)};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    memset(&control, 0, sizeof(control));
    struct msghdr h = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), theirs, 2 * sizeof(int));
    ssize_t n = sendmsg(s->zygote_sock, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
    kid_close(theirs);
    if (n < 0) {
        /* It is about to be reaped, which settles what becomes of the request. */
        kid_close(k->pipe);
        k->pipe[0] = k->pipe[1] = -1;
        return;
    }
    k->asked = true;
    s->forks++;
}

static void zygote_feed(mr_sup *s)
{
    for (size_t i = 0; i < s->n_kids && s->zygote > 0 && s->forks < MR_SUP_FORKS;) {
        mr_kid *k = s->kids[i];
        size_t before = s->n_kids;
        if (k->lang == MR_LANG_PYTHON && !k->pid && !k->asked) {
            zygote_ask(s, k);
            if (s->n_kids == before && !k->asked)
                return;
        }
        if (s->n_kids == before)
            i++;
    }
}

static void zygote_said(mr_sup *s, const mr_zygote_msg *m)
{
    mr_kid *k = mr_kid_by_worker(s, m->worker);
    mr_sup_msg up = {.kind = MR_SUP_ZYGOTE_UP, .pid = m->pid};
    switch (m->kind) {
    case MR_ZYGOTE_READY:
        s->zygote_ready = true;
        mr_sup_report(s, &up, NULL);
        break;
    case MR_ZYGOTE_FORKED:
        if (!k || k->pid)
            break;
        s->forks -= s->forks > 0;
        k->pid = m->pid;
        k->pidfd = (int)syscall(SYS_pidfd_open, m->pid, 0);
        if (s->ending)
            mr_kid_signal(k, SIGTERM);
        up = (mr_sup_msg){.kind = MR_SUP_STARTED, .worker = k->worker, .pid = k->pid};
        mr_sup_report(s, &up, NULL);
        break;
    case MR_ZYGOTE_FAILED:
        s->forks -= s->forks > 0;
        if (k)
            kid_end(s, k, MR_DEATH_SPAWN, m->code);
        break;
    case MR_ZYGOTE_CHANGED:
        if (k && !k->pid && k->asked && m->code != CLD_STOPPED && m->code != CLD_CONTINUED) {
            s->forks -= s->forks > 0; /* it ended before it could tell of itself */
            k->pid = m->pid;
        }
        if (k && k->pid == m->pid)
            kid_changed(s, k, m->code, m->status);
        break;
    default:
        break;
    }
}

void mr_kid_zygote_talk(mr_sup *s)
{
    for (;;) {
        mr_zygote_msg m;
        ssize_t n = s->zygote_sock < 0 ? 0 : recv(s->zygote_sock, &m, sizeof(m), MSG_DONTWAIT);
        if (n == (ssize_t)sizeof(m)) {
            zygote_said(s, &m);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 && s->zygote_sock >= 0) {
            /* The end of file says nothing of the process; its death is told by waitid. */
            epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->zygote_sock, NULL);
        }
        break;
    }
    zygote_feed(s);
}

/* What it said last still counts; its children die with it (PDEATHSIG) and are reaped here as orphans. */
static void zygote_died(mr_sup *s, uint32_t how, int code)
{
    bool was_ready = s->zygote_ready;
    mr_sup_msg m = {.kind = MR_SUP_ZYGOTE_DIED, .pid = s->zygote, .how = how, .code = code};
    mr_kid_zygote_talk(s);
    was_ready = was_ready || s->zygote_ready;
    mr_sup_report(s, &m, NULL);
    close(s->zygote_sock);
    s->zygote = s->zygote_sock = -1;
    s->zygote_ready = false;
    s->forks = 0;
    bool again = false;
    for (size_t i = s->n_kids; i-- > 0;) {
        mr_kid *k = s->kids[i];
        if (k->lang != MR_LANG_PYTHON)
            continue;
        if (!k->pid && was_ready) {
            /* Not started, or killed before it told of itself and so before it joined: ask the next zygote. */
            k->asked = false;
            kid_close(k->pipe);
            k->pipe[0] = k->pipe[1] = -1;
            again = true;
        } else if (!k->pid) {
            kid_end(s, k, MR_DEATH_SPAWN, code); /* a zygote that can not start will not do better */
        } else {
            siginfo_t info = {0};
            int gone = waitid(P_PID, (id_t)k->pid, &info, WEXITED | WNOHANG | WNOWAIT);
            if (gone < 0 && errno == ECHILD && kill(k->pid, 0) < 0)
                kid_end(s, k, MR_DEATH_SIGNAL, SIGKILL); /* reaped by the zygote, which did not live to tell */
        }
    }
    if (again && !s->ending) {
        mr_kid_zygote_start(s);
        zygote_feed(s);
    }
}

/* ------------------------------------------------------------------------------------------------ spawn and reap -- */

void mr_kid_spawn(mr_sup *s, const mr_sup_msg *m)
{
    mr_kid *k = calloc(1, sizeof(*k));
    if (k && s->n_kids == s->cap_kids) {
        size_t cap = s->cap_kids ? s->cap_kids * 2 : 16;
        mr_kid **grown = realloc(s->kids, cap * sizeof(*grown));
        if (grown) {
            s->kids = grown;
            s->cap_kids = cap;
        } else {
            free(k);
            k = NULL;
        }
    }
    if (!k || s->ending || (m->lang == MR_LANG_PYTHON && !s->zygote_argv)) {
        mr_sup_msg no = {.kind = MR_SUP_DIED, .worker = m->worker, .link = m->link, .how = MR_DEATH_SPAWN};
        no.code = k ? ECANCELED : ENOMEM;
        mr_sup_report(s, &no, NULL);
        free(k);
        return;
    }
    *k =
        (mr_kid){.worker = m->worker, .link = m->link, .node = m->node, .lang = m->lang, .pidfd = -1, .pipe = {-1, -1}};
    s->kids[s->n_kids++] = k;
    if (m->lang == MR_LANG_PYTHON) {
        mr_kid_zygote_start(s);
        if (s->zygote < 0)
            kid_end(s, k, MR_DEATH_SPAWN, errno);
        else
            zygote_feed(s);
        return;
    }
    int theirs[2];
    int failed = kid_pipes(s, k, theirs) ? errno : kid_fork_c(s, k, theirs);
    kid_close(theirs);
    if (failed)
        kid_end(s, k, MR_DEATH_SPAWN, failed);
}

void mr_kid_reap(mr_sup *s)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG) || !info.si_pid)
            return;
        if (info.si_pid == s->zygote) {
            if (info.si_code == CLD_STOPPED || info.si_code == CLD_CONTINUED)
                continue;
            zygote_died(s, info.si_code == CLD_EXITED ? MR_DEATH_EXIT : MR_DEATH_SIGNAL, info.si_status);
            continue;
        }
        mr_kid *k = kid_by_pid(s, info.si_pid);
        if (k)
            kid_changed(s, k, info.si_code, info.si_status);
    }
}

/* ----------------------------------------------------------------------------------------------------- the end -- */

static void kids_kill_listed(void)
{
    char path[64], number[16];
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%15s", number) == 1)
        kill((pid_t)atoi(number), SIGKILL);
    if (f)
        fclose(f);
}

void mr_kid_kill_all(void)
{
    /* As each process dies, its children fall to us, the subreaper: so this ends when all are gone. */
    for (;;) {
        siginfo_t info = {0};
        kids_kill_listed();
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 && errno == ECHILD)
            return;
        if (!info.si_pid)
            usleep(200); /* being killed: a process in a system call that can not be interrupted takes its time */
    }
}
