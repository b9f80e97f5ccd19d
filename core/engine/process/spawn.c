/* spawn.c: the driver's side of the supervisor: starting it, its socket, its end.
 *
 * Owns sup_fd, sup_pidfd and the queue of orders that did not fit into the socket.  The supervisor is the driver's only
 * child and is waited for by its pidfd alone: no handler, no waitpid(-1).
 * Lock: the node list's, but for mr_spawn_end.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

extern char **environ;

struct mr_sup_queue {
    struct mr_sup_queue *next;
    mr_sup_msg m;
};

/* --------------------------------------------------------------------------------------------------- starting it -- */

static bool env_ours(const char *entry)
{
    static const char *const names[] = {
        "MINIRAY_ATTACH=",     "MINIRAY_WORKER=",  "MINIRAY_ZYGOTE_FD=",  "MINIRAY_LIBRARIES=",
        "MINIRAY_SUPERVISOR=", "MINIRAY_SESSION=", "MINIRAY_SCRIPT_DIR=", "MINIRAY_ENGINE_SPIN_US=",
        "MINIRAY_FOLDER=",     "MINIRAY_SPILLS="};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* The environment of all workers: the driver's and ours.  Entries from `ours` on are malloc'ed. */
static char **env_make(const mr_nodes *n, size_t *ours)
{
    size_t count = 0, at = 0;
    while (environ && environ[count])
        count++;
    char **env = calloc(count + 10, sizeof(*env));
    if (!env)
        return NULL;
    bool seed = false;
    for (size_t i = 0; i < count; i++) {
        if (env_ours(environ[i]))
            continue;
        seed |= strncmp(environ[i], "PYTHONHASHSEED=", 15) == 0;
        env[at++] = environ[i];
    }
    *ours = at;
    int bad = 0;
    bad |= asprintf(&env[at++], "MINIRAY_ATTACH=%s", n->attach_env) < 0;
    bad |= asprintf(&env[at++], "MINIRAY_SESSION=%016llx:%d", (unsigned long long)n->port.session, (int)getpid()) < 0;
    bad |= asprintf(&env[at++], "MINIRAY_ENGINE_SPIN_US=%u", n->spin_ns / 1000) < 0;
    if (mr_desk_folder(n)[0])
        bad |= asprintf(&env[at++], "MINIRAY_FOLDER=%s", mr_desk_folder(n)) < 0;
    if (n->spill.disk[0])
        bad |= asprintf(&env[at++], "MINIRAY_SPILLS=%s", mr_disk_dir(n->spill.disk[0])) < 0;
    if (n->libraries)
        bad |= asprintf(&env[at++], "MINIRAY_LIBRARIES=%s", n->libraries) < 0;
    if (n->script_dir)
        bad |= asprintf(&env[at++], "MINIRAY_SCRIPT_DIR=%s", n->script_dir) < 0;
    if (!seed)
        bad |= asprintf(&env[at++], "PYTHONHASHSEED=%u", (unsigned)(n->port.session & 0xffffffff)) < 0;
    if (bad) {
        for (size_t i = *ours; i < at; i++)
            free(env[i]);
        free(env);
        return NULL;
    }
    return env;
}

static void env_free(char **env, size_t ours)
{
    for (size_t i = ours; env && env[i]; i++)
        free(env[i]);
    free(env);
}

static int spawn_keep(const mr_nodes *n, int fds[4])
{
    int count = 0;
    fds[count++] = n->links_fd;
    fds[count++] = n->event_fd;
    if (n->share.fd_rw >= 0)
        fds[count++] = n->share.fd_rw;
    if (n->share.fd_ro >= 0)
        fds[count++] = n->share.fd_ro;
    return count;
}

static int spawn_run(mr_nodes *n, const char *exe, int sock, pid_t *pid)
{
    char number[4][16], keep[96] = "";
    char *argv[64] = {(char *)exe, "--supervise"};
    int argc = 2, fds[4], n_fds = spawn_keep(n, fds), failed;
    size_t ours = 0;
    snprintf(number[0], sizeof(number[0]), "%d", sock);
    snprintf(number[1], sizeof(number[1]), "%d", (int)getpid());
    snprintf(number[2], sizeof(number[2]), "%d",
             MR_SUP_FLAG_OUTPUT | (n->zygote && n->prestart ? MR_SUP_FLAG_PRESTART : 0));
    for (int i = 0; i < n_fds; i++)
        snprintf(keep + strlen(keep), sizeof(keep) - strlen(keep), "%s%d", i ? "," : "", fds[i]);
    for (int i = 0; i < 3; i++)
        argv[argc++] = number[i];
    argv[argc++] = keep;
    snprintf(number[3], sizeof(number[3]), "%d", n->now_fd);
    argv[argc++] = number[3];
    if (n->zygote) {
        argv[argc++] = "--";
        for (int i = 0; n->zygote[i] && argc < 62; i++)
            argv[argc++] = n->zygote[i];
    }
    char **env = env_make(n, &ours);
    if (!env)
        return ENOMEM;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    /* Onto itself: that clears close-on-exec in the child alone. */
    posix_spawn_file_actions_adddup2(&files, sock, sock);
    posix_spawn_file_actions_adddup2(&files, n->now_fd, n->now_fd);
    for (int i = 0; i < n_fds; i++)
        posix_spawn_file_actions_adddup2(&files, fds[i], fds[i]);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    failed = posix_spawn(pid, exe, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    env_free(env, ours);
    return failed;
}

mr_status mr_spawn_supervisor(mr_nodes *n, mr_err *err)
{
    char exe[4096];
    int ends[2];
    pid_t pid = 0;
    snprintf(exe, sizeof(exe), "%s/bin/miniray-worker", n->home);
    if (access(exe, X_OK))
        return mr_err_set(err, MR_E_NOTFOUND, "%s: %s; reinstall miniray, or give mr_open_args.home", exe,
                          strerror(errno));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return mr_err_set(err, MR_E_IO, "cannot make a socket for the supervisor: %s", strerror(errno));
    int room = 1 << 20;
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    int failed = spawn_run(n, exe, ends[1], &pid);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        return mr_err_set(err, MR_E_IO, "cannot start %s: %s", exe, strerror(failed));
    }
    n->sup_fd = ends[0];
    n->sup_pid = pid;
    n->sup_heard = false;
    n->sup_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (n->sup_pidfd >= 0)
        fcntl(n->sup_pidfd, F_SETFD, FD_CLOEXEC);
    mr_progress_watch(n);
    return MR_OK;
}

/* -------------------------------------------------------------------------------------------------------- orders -- */

static bool spawn_send(mr_nodes *n, const mr_sup_msg *m)
{
    ssize_t sent;
    do
        sent = send(n->sup_fd, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    /* Any other failure means that it is gone, which its pidfd tells; the order has nobody to carry it out. */
    return sent >= 0 || errno != EAGAIN;
}

bool mr_spawn_waiting(const mr_nodes *n)
{
    return n->sup_queue != NULL;
}

void mr_spawn_drain(mr_nodes *n)
{
    while (n->sup_queue && spawn_send(n, &n->sup_queue->m)) {
        struct mr_sup_queue *q = n->sup_queue;
        n->sup_queue = q->next;
        if (!n->sup_queue)
            n->sup_queue_end = &n->sup_queue;
        free(q);
    }
    mr_progress_watch(n);
}

static void spawn_failed(mr_nodes *n, uint32_t worker, int code)
{
    mr_peer *p = mr_peer_of(n, worker);
    if (!p)
        return;
    p->died = true;
    p->how = MR_DEATH_SPAWN;
    p->code = code;
    mr_peer_bury(n, p);
}

void mr_spawn_order(mr_nodes *n, const mr_sup_msg *m)
{
    if (n->sup_fd < 0) {
        mr_err err = {0};
        if (m->kind != MR_SUP_SPAWN)
            return;
        if (n->closing || mr_spawn_supervisor(n, &err)) {
            if (!n->closing)
                mr_log(MR_LOG_ERROR, "engine", "%s", err.text);
            spawn_failed(n, m->worker, EIO);
            return;
        }
    }
    if (!n->sup_queue && spawn_send(n, m))
        return;
    struct mr_sup_queue *q = malloc(sizeof(*q));
    if (!q) {
        if (m->kind == MR_SUP_SPAWN)
            spawn_failed(n, m->worker, ENOMEM);
        else
            mr_nodes_end(n, "no memory for an order to the supervisor");
        return;
    }
    q->next = NULL;
    q->m = *m;
    *n->sup_queue_end = q;
    n->sup_queue_end = &q->next;
    mr_progress_watch(n);
}

/* ------------------------------------------------------------------------------------------------------- its end -- */

/* A worker of a dead supervisor is being killed by the kernel (PDEATHSIG); this waits for the proof, and helps. */
static void spawn_prove_dead(const mr_nodes *n, int32_t pid)
{
    char path[64], text[8192], want[40];
    if (pid <= 0)
        return;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return;
    /* The number may be somebody else's by now: only a process of this session is touched. */
    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    snprintf(want, sizeof(want), "MINIRAY_SESSION=%016llx", (unsigned long long)n->port.session);
    int env = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = env >= 0 ? read(env, text, sizeof(text)) : -1;
    if (env >= 0)
        close(env);
    if (len > 0 && memmem(text, (size_t)len, want, strlen(want))) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        poll(&p, 1, 200);
    }
    close(fd);
}

/* True: the supervisor was seen to end by itself, with all below it. */
static bool spawn_reap(mr_nodes *n)
{
    siginfo_t info = {0};
    if (n->sup_pidfd >= 0) {
        /* ECHILD: somebody else in this process reaped it, which is fine. */
        while (waitid((idtype_t)P_PIDFD, (id_t)n->sup_pidfd, &info, WEXITED) && errno == EINTR)
            ;
        close(n->sup_pidfd);
    } else {
        while (waitid(P_PID, (id_t)n->sup_pid, &info, WEXITED) && errno == EINTR)
            ;
    }
    n->sup_pidfd = -1;
    n->sup_pid = 0;
    return info.si_code == CLD_EXITED;
}

void mr_spawn_lost(mr_nodes *n)
{
    if (n->sup_fd < 0)
        return;
    close(n->sup_fd);
    n->sup_fd = -1;
    /* Its end closed the socket; should it still run, it has lost its use. */
    if (n->sup_pidfd >= 0)
        syscall(SYS_pidfd_send_signal, n->sup_pidfd, SIGKILL, NULL, 0);
    if (!n->closing)
        mr_log(MR_LOG_ERROR, "engine", "the supervisor (pid %d) died: its workers are killed and will be replaced",
               n->sup_pid);
    while (n->sup_queue) {
        struct mr_sup_queue *q = n->sup_queue;
        n->sup_queue = q->next;
        free(q);
    }
    n->sup_queue_end = &n->sup_queue;
    if (!n->closing) { /* mr_spawn_end does it otherwise */
        spawn_reap(n);
        mr_sweep_own(n->port.session);
    }
    for (uint32_t l = 0; l < n->n_links; l++) {
        mr_peer *p = n->peer[l];
        if (!p)
            continue;
        spawn_prove_dead(n, p->pid);
        p->died = true;
        p->how = n->sup_heard ? MR_DEATH_SIGNAL : MR_DEATH_SPAWN; /* one that can not start will not do better */
        p->code = n->sup_heard ? SIGKILL : ECHILD;
        mr_peer_bury(n, p);
    }
}

static bool spawn_ended(int pidfd, int64_t ns)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int64_t until = mr_drive_monotonic() + ns;
    int ready = pidfd < 0; /* then only waitid can tell */
    while (!ready) {
        int64_t left = (until - mr_drive_monotonic()) / 1000000;
        ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (!ready || (ready < 0 && errno != EINTR))
            return false;
        ready = ready > 0;
    }
    return true;
}

void mr_spawn_end(mr_nodes *n)
{
    pthread_mutex_lock(&n->lock);
    int64_t grace = mr_config_int(n->config, "engine", "grace");
    mr_sup_msg m = {.kind = MR_SUP_END, .arg = grace};
    bool running = n->sup_pid > 0;
    int pidfd = n->sup_pidfd;
    int32_t pid = n->sup_pid;
    if (running && n->sup_fd >= 0)
        mr_spawn_order(n, &m);
    pthread_mutex_unlock(&n->lock);
    if (!running)
        return;
    if (!spawn_ended(pidfd, grace + INT64_C(2000000000))) {
        mr_log(MR_LOG_ERROR, "engine", "the supervisor (pid %d) does not end: it is killed", pid);
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        spawn_ended(pidfd, grace);
    }
    pthread_mutex_lock(&n->lock); /* the progress thread may be looking at it */
    if (!spawn_reap(n))
        mr_sweep_own(n->port.session);
    pthread_mutex_unlock(&n->lock);
}
