/* helper_failing.c: see helper_failing.h.  Any thread; nothing here allocates. */
#define _GNU_SOURCE
#include "helper_failing.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static failing_page own, *page = &own;
static int me = FAILING_SELF;
static _Thread_local bool finding __attribute__((tls_model("initial-exec")));
static bool loud;
bool failing_short_io;
_Atomic long failing_live;

/* For whoever wants to know which call it was: MRTEST_LOUD=1, and addr2line. */
static void where(void)
{
    void *at[16];
    finding = true;
    loud = false;
    backtrace_symbols_fd(at, backtrace(at, 16), STDERR_FILENO);
    finding = false;
}

/* Memory is asked for before a sanitizer is ready. */
#define EARLY __attribute__((no_sanitize("address", "undefined")))

EARLY static bool refuse(failing_door door, int why)
{
    if (atomic_load_explicit(&page->who, memory_order_relaxed) != me || finding || !(page->doors >> door & 1))
        return false;
    if (!page->gone_on && atomic_fetch_sub(&page->left, 1) != 0)
        return false;
    page->gone_on = page->stays;
    page->door = door;
    page->failed = true;
    if (loud)
        where();
    errno = why;
    return true;
}

void failing_arm(failing_who who, unsigned long long doors, long n, bool stays)
{
    page->who = 0;
    page->doors = doors;
    page->left = n;
    page->stays = stays;
    page->gone_on = page->failed = false;
    loud = getenv("MRTEST_LOUD") != NULL;
    page->who = who;
}

bool failing_disarm(void)
{
    page->who = 0;
    return page->failed;
}

bool failing_armed(void)
{
    return page->who;
}

long failing_left(void)
{
    return !page->failed ? page->left : page->stays ? 0 : -1;
}

bool failing_failed(void)
{
    return page->failed;
}

const char *failing_what(void)
{
    static const char *const names[] = {
#define FAILING_NAME(name, why) #name,
        FAILING_DOORS(FAILING_NAME)
#undef FAILING_NAME
    };
    return page->failed ? names[page->door] : "nothing";
}

static void look_at(const char *file, int flags)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, flags | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof(*page)))
        abort();
    void *at = (void *)syscall(SYS_mmap, NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort();
    page = at;
    close(fd);
}

void failing_share(const char *file, const char *library)
{
    look_at(file, O_CREAT);
    setenv("MRTEST_FAILING", file, 1);
    setenv("LD_PRELOAD", library, 1);
}

/* In a process that was started with the library. */
__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("MRTEST_FAILING");
    loud = getenv("MRTEST_LOUD") != NULL;
    void *first[1];
    backtrace(first, 1); /* it loads a library */
    char line[4096] = "";
    if (!file)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    ssize_t n = fd < 0 ? 0 : syscall(SYS_read, fd, line, sizeof(line) - 1);
    close(fd);
    bool supervises = n > 0 && memmem(line, (size_t)n, "--supervise", 11);
    bool works = getenv("MINIRAY_WORKER") || getenv("MINIRAY_ZYGOTE_FD"); /* whose children are workers */
    me = supervises ? FAILING_SUPERVISOR : works ? FAILING_WORKER : FAILING_SELF;
    look_at(file, 0);
}

/* ------------------------------------------------------------------------------------------------------- memory -- */

#if !defined(__SANITIZE_THREAD__)
#if defined(__SANITIZE_ADDRESS__)
#define BELOW(name) __interceptor_##name
const char *__asan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);

/* A process below has this library before the sanitizer's. */
const char *__asan_default_options(void)
{
    return "verify_asan_link_order=0";
}

/* What the dynamic linker keeps is seen to be its own only without a malloc in between. */
const char *__lsan_default_suppressions(void)
{
    return "leak:ld-linux";
}

const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
#else
#define BELOW(name) __libc_##name
#endif
void *BELOW(malloc)(size_t size);
void *BELOW(calloc)(size_t n, size_t size);
void *BELOW(realloc)(void *p, size_t size);
void *BELOW(memalign)(size_t align, size_t size);
void BELOW(free)(void *p);

EARLY static void *counted(void *p)
{
    if (p)
        atomic_fetch_add_explicit(&failing_live, 1, memory_order_relaxed);
    return p;
}

EARLY void *malloc(size_t size)
{
    return refuse(FAILING_malloc, ENOMEM) ? NULL : counted(BELOW(malloc)(size));
}

EARLY void *calloc(size_t n, size_t size)
{
    return refuse(FAILING_malloc, ENOMEM) ? NULL : counted(BELOW(calloc)(n, size));
}

EARLY void *realloc(void *p, size_t size)
{
    if (refuse(FAILING_malloc, ENOMEM))
        return NULL;
    return p ? BELOW(realloc)(p, size) : counted(BELOW(malloc)(size));
}

EARLY int posix_memalign(void **out, size_t align, size_t size)
{
    if (refuse(FAILING_malloc, ENOMEM))
        return ENOMEM;
    *out = counted(BELOW(memalign)(align, size));
    return *out ? 0 : ENOMEM;
}

EARLY void *aligned_alloc(size_t align, size_t size)
{
    return refuse(FAILING_malloc, ENOMEM) ? NULL : counted(BELOW(memalign)(align, size));
}

EARLY void free(void *p)
{
    if (p)
        atomic_fetch_sub_explicit(&failing_live, 1, memory_order_relaxed);
    BELOW(free)(p);
}
#endif

/* ------------------------------------------------------------------------------------------------------- doors -- */

/* The next library's function of this name; finding it is no call of the scenario. */
#define REAL(name)                                                                                                     \
    static _Atomic(__typeof__(&name)) found;                                                                           \
    __typeof__(&name) real = found;                                                                                    \
    if (!real) {                                                                                                       \
        finding = true;                                                                                                \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                     \
        finding = false;                                                                                               \
        found = real;                                                                                                  \
    }

/* Of those that give a number of their own when they fail, and set errno to what the table says. */
#define WHY(name, why)                                                                                                 \
    case FAILING_##name:                                                                                               \
        return why;
static int why_of(failing_door door)
{
    switch (door) {
        FAILING_DOORS(WHY)
    default:
        return EIO;
    }
}
#undef WHY
#define DOOR(type, bad, name, params, args)                                                                            \
    type name params                                                                                                   \
    {                                                                                                                  \
        REAL(name)                                                                                                     \
        return refuse(FAILING_##name, why_of(FAILING_##name)) ? (bad) : real args;                                     \
    }

DOOR(void *, MAP_FAILED, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t off),
     (at, size, prot, flags, fd, off))
DOOR(int, -1, madvise, (void *at, size_t size, int advice), (at, size, advice))
DOOR(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
DOOR(int, -1, ftruncate, (int fd, off_t size), (fd, size))
DOOR(int, -1, fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))
DOOR(int, ENOSPC, posix_fallocate, (int fd, off_t at, off_t len), (fd, at, len))
DOOR(ssize_t, -1, read, (int fd, void *to, size_t len), (fd, to, len))
DOOR(ssize_t, -1, write, (int fd, const void *from, size_t len), (fd, from, len))
DOOR(ssize_t, -1, send, (int fd, const void *from, size_t len, int flags), (fd, from, len, flags))
DOOR(ssize_t, -1, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
DOOR(ssize_t, -1, recv, (int fd, void *to, size_t len, int flags), (fd, to, len, flags))
DOOR(int, -1, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
DOOR(int, -1, epoll_create1, (int flags), (flags))
DOOR(int, -1, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *e), (epoll, op, fd, e))
DOOR(int, -1, epoll_wait, (int epoll, struct epoll_event *e, int most, int ms), (epoll, e, most, ms))
DOOR(int, -1, eventfd, (unsigned count, int flags), (count, flags))
DOOR(int, -1, timerfd_create, (int clock, int flags), (clock, flags))
DOOR(int, -1, timerfd_settime, (int fd, int flags, const struct itimerspec *t, struct itimerspec *old),
     (fd, flags, t, old))
DOOR(int, -1, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
DOOR(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
DOOR(pid_t, -1, fork, (void), ())
DOOR(int, EAGAIN, posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attr,
      char *const argv[], char *const env[]),
     (pid, path, files, attr, argv, env))
DOOR(int, EAGAIN, pthread_create, (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg),
     (thread, attr, run, arg))
DOOR(int, -1, waitid, (idtype_t what, id_t id, siginfo_t *info, int flags), (what, id, info, flags))
DOOR(int, -1, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))

int open(const char *path, int flags, ...)
{
    REAL(open)
    va_list args;
    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    return refuse(FAILING_open, EMFILE) ? -1 : real(path, flags, mode);
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
    REAL(pwrite)
    if (!refuse(FAILING_pwrite, failing_short_io ? EINTR : ENOSPC))
        return real(fd, from, len, at);
    return failing_short_io && (len > 1 || page->stays) ? real(fd, from, (len + 1) / 2, at) : -1;
}

ssize_t pread(int fd, void *to, size_t len, off_t at)
{
    REAL(pread)
    if (!refuse(FAILING_pread, failing_short_io ? EINTR : EIO))
        return real(fd, to, len, at);
    return failing_short_io && (len > 1 || page->stays) ? real(fd, to, (len + 1) / 2, at) : -1;
}

/* Of the calls without a wrapper of their own. */
long syscall(long number, ...)
{
    REAL(syscall)
    va_list args;
    long a[6];
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_pidfd_open && refuse(FAILING_pidfd_open, EMFILE))
        return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
