/* sweep.c: ends what escaped from sessions whose supervisor was killed, alone or together with its driver.
 *
 * Workers die with their zygote or supervisor; what a task had started in a session of its own does not.  Such a
 * process still has MINIRAY_SESSION=session:driver in its environment.  It is ours to end when it belongs to this user,
 * lives in our pid namespace, and either no process `driver` exists or the session is this one and has no supervisor at
 * the moment.  The first kind is looked for once, by the progress thread, without any lock.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/node.h"

enum { ENVIRON_MAX = 256 * 1024 };

static ssize_t sweep_environ(int proc, char *text, size_t room)
{
    int fd = openat(proc, "environ", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && len < room) {
        n = read(fd, text + len, room - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return n < 0 ? -1 : (ssize_t)len;
}

/* The driver that the environment names, and its session; 0: none. */
static pid_t sweep_driver(const char *text, size_t len, unsigned long long *session)
{
    static const char name[] = "MINIRAY_SESSION=";
    for (size_t at = 0; at < len; at += strnlen(text + at, len - at) + 1) {
        int driver;
        if (len - at > sizeof(name) && memcmp(text + at, name, sizeof(name) - 1) == 0 && memchr(text + at, 0, len - at))
            return sscanf(text + at + sizeof(name) - 1, "%llx:%d", session, &driver) == 2 && driver > 1 ? driver : 0;
    }
    return 0;
}

static bool sweep_same_space(int proc)
{
    struct stat theirs, ours;
    return fstatat(proc, "ns/pid", &theirs, 0) == 0 && stat("/proc/self/ns/pid", &ours) == 0 &&
           theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

/* ours: the session that has no supervisor; 0: those whose driver is gone.  True: the process was killed. */
static bool sweep_one(pid_t pid, char *text, unsigned long long ours)
{
    char path[32];
    struct stat st;
    unsigned long long session = 0;
    bool killed = false;
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return false;
    if (fstat(proc, &st) == 0 && st.st_uid == geteuid() && sweep_same_space(proc)) {
        /* The descriptor comes first: what is read after it is of the process that it means. */
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        ssize_t len = fd >= 0 ? sweep_environ(proc, text, ENVIRON_MAX) : -1;
        pid_t driver = len > 0 ? sweep_driver(text, (size_t)len, &session) : 0;
        if (driver && ours && session == ours && driver == getpid()) {
            killed = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
        } else if (driver && !ours && kill(driver, 0) && errno == ESRCH) {
            mr_log(MR_LOG_WARN, "engine", "process %d was left behind by a session of driver %d, which is gone: killed",
                   (int)pid, (int)driver);
            syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        }
        if (fd >= 0)
            close(fd);
    }
    close(proc);
    return killed;
}

static int sweep_all(unsigned long long ours)
{
    int killed = 0;
    char *text = malloc(ENVIRON_MAX);
    DIR *d = text ? opendir("/proc") : NULL;
    if (!d)
        mr_log(MR_LOG_WARN, "engine", "cannot look for processes that were left behind: %s", strerror(errno));
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        pid_t pid = (pid_t)atoi(e->d_name);
        if (pid > 1 && pid != getpid())
            killed += sweep_one(pid, text, ours);
    }
    if (d)
        closedir(d);
    free(text);
    return killed;
}

void mr_sweep_escaped(void)
{
    sweep_all(0);
}

/* Again and again, since one that is about to be killed may start another; what is killed can be seen a while longer,
 * so the number of rounds is bounded. */
void mr_sweep_own(uint64_t session)
{
    for (int round = 0; round < 4 && sweep_all(session); round++)
        ;
}
