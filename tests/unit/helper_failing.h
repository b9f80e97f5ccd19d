/* helper_failing.h: calls that fail on purpose, in this process or in one below it.
 *
 * A program that has helper_failing.c in it has its own malloc and its own doors to the system; libraries and plugins
 * loaded later use them too.  Processes below it have them by LD_PRELOAD (tasks_failing.so), and share the page that
 * says which call of which process is the one to fail.
 */
#ifndef MR_TESTS_HELPER_FAILING_H
#define MR_TESTS_HELPER_FAILING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum failing_who { FAILING_SELF = 1, FAILING_SUPERVISOR, FAILING_WORKER } failing_who;

/* name, what it fails with */
#define FAILING_DOORS(X)                                                                                               \
    X(malloc, ENOMEM)                                                                                                  \
    X(mmap, ENOMEM)                                                                                                    \
    X(madvise, ENOMEM)                                                                                                 \
    X(memfd_create, EMFILE)                                                                                            \
    X(ftruncate, EIO)                                                                                                  \
    X(open, EMFILE)                                                                                                    \
    X(fallocate, EOPNOTSUPP)                                                                                           \
    X(posix_fallocate, ENOSPC)                                                                                         \
    X(pwrite, ENOSPC)                                                                                                  \
    X(pread, EIO)                                                                                                      \
    X(read, EIO)                                                                                                       \
    X(write, EIO)                                                                                                      \
    X(send, ENOBUFS)                                                                                                   \
    X(sendmsg, ENOBUFS)                                                                                                \
    X(recv, EINTR)                                                                                                     \
    X(socketpair, EMFILE)                                                                                              \
    X(epoll_create1, EMFILE)                                                                                           \
    X(epoll_ctl, ENOMEM)                                                                                               \
    X(epoll_wait, EINTR)                                                                                               \
    X(eventfd, EMFILE)                                                                                                 \
    X(timerfd_create, EMFILE)                                                                                          \
    X(timerfd_settime, EINVAL)                                                                                         \
    X(signalfd, EMFILE)                                                                                                \
    X(pipe2, EMFILE)                                                                                                   \
    X(fork, EAGAIN)                                                                                                    \
    X(posix_spawn, EAGAIN)                                                                                             \
    X(pthread_create, EAGAIN)                                                                                          \
    X(waitid, EINTR)                                                                                                   \
    X(poll, EINTR)                                                                                                     \
    X(pidfd_open, EMFILE)

typedef enum failing_door {
#define FAILING_ENUM(name, why) FAILING_##name,
    FAILING_DOORS(FAILING_ENUM)
#undef FAILING_ENUM
        FAILING_COUNT
} failing_door;
#define FAILING_BIT(name) (1ull << FAILING_##name)
#define FAILING_ALL ((1ull << FAILING_COUNT) - 1)
#define FAILING_SYSTEM (FAILING_ALL & ~FAILING_BIT(malloc))
/* Those that may fail for good: nobody is interrupted, or lacks room in a socket, for ever. */
#define FAILING_STAYS                                                                                                  \
    (FAILING_SYSTEM & ~(FAILING_BIT(recv) | FAILING_BIT(send) | FAILING_BIT(sendmsg) | FAILING_BIT(epoll_wait) |       \
                        FAILING_BIT(waitid) | FAILING_BIT(poll) | FAILING_BIT(read) | FAILING_BIT(write)))

typedef struct failing_page {
    _Atomic int who; /* 0: nothing fails */
    _Atomic unsigned long long doors;
    _Atomic long left;           /* calls until the one that fails */
    _Atomic bool stays, gone_on; /* all after it fail too; they do */
    _Atomic bool failed;
    _Atomic int door; /* that failed last */
} failing_page;

/* Can malloc fail, and are its blocks counted?  A sanitizer that has a malloc of its own finds the leaks itself. */
#if defined(__SANITIZE_THREAD__)
enum { FAILING_MALLOC = 0, FAILING_COUNTS = 0 };
#elif defined(__SANITIZE_ADDRESS__)
enum { FAILING_MALLOC = 1, FAILING_COUNTS = 0 };
#else
enum { FAILING_MALLOC = 1, FAILING_COUNTS = 1 };
#endif

/* The page lies in the file from here on, and processes started later look at it too. */
void failing_share(const char *file, const char *library);
/* The n-th call (from 0) of `doors` in `who` fails, once or from then on. */
void failing_arm(failing_who who, unsigned long long doors, long n, bool stays);
bool failing_disarm(void); /* did one fail? */
bool failing_armed(void);
bool failing_failed(void);
long failing_left(void);          /* calls until the one that fails; 0: they go on failing; -1: none will any more */
const char *failing_what(void);   /* the last that failed */
extern bool failing_short_io;     /* pwrite and pread are interrupted and do half, instead of failing */
extern _Atomic long failing_live; /* blocks of malloc in use */

#endif
