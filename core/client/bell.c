/* bell.c: see bell.h for the protocol.  Owns nothing; no lock. */
#include "client/bell.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long bell_futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

uint32_t mr_bell_arm(mr_bell *b, uint32_t who)
{
    uint32_t old = atomic_load_explicit(&b->word, memory_order_relaxed);
    uint32_t armed = (old & ~UINT32_C(7)) | who;
    /* The exchange is a full fence: work published before a ringer saw the old word is seen by the look that follows.
     */
    atomic_exchange(&b->word, armed);
    return armed;
}

int mr_bell_sleep(mr_bell *b, uint32_t armed, int64_t ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (bell_futex(&b->word, FUTEX_WAIT, armed, ns < 0 ? NULL : &t) == 0 || errno == EAGAIN)
        return 0;
    return errno;
}

void mr_bell_awake(mr_bell *b)
{
    uint32_t old = atomic_load_explicit(&b->word, memory_order_relaxed);
    atomic_store_explicit(&b->word, (old & ~UINT32_C(7)) + 8, memory_order_release);
}

static bool bell_wake(mr_bell *b, uint32_t seen, int eventfd)
{
    atomic_fetch_or(&b->word, MR_BELL_RUNG);
    if ((seen & 3) == MR_BELL_EVENT) {
        uint64_t one = 1;
        /* A full eventfd (EAGAIN) is readable already, which is all that is wanted. */
        ssize_t n = write(eventfd, &one, sizeof(one));
        (void)n;
    } else {
        bell_futex(&b->word, FUTEX_WAKE, 1, NULL);
    }
    return true;
}

void mr_bell_tell(mr_bell *b)
{
    bool any = (atomic_load_explicit(&b->word, memory_order_relaxed) & 3) != MR_BELL_AWAKE;
    mr_bell_awake(b);
    if (any)
        bell_futex(&b->word, FUTEX_WAKE, INT_MAX, NULL);
}

bool mr_bell_sleeps(mr_bell *b)
{
    atomic_thread_fence(memory_order_seq_cst);
    return (atomic_load_explicit(&b->word, memory_order_relaxed) & 3) != MR_BELL_AWAKE;
}

bool mr_bell_ring(mr_bell *b, uint32_t *last, int eventfd)
{
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t seen = atomic_load_explicit(&b->word, memory_order_relaxed);
    if ((seen & 3) == MR_BELL_AWAKE)
        return false;
    uint32_t epoch = (seen >> 3) + 1; /* 0 in `last` means: never rung */
    if (*last == epoch)
        return false;
    *last = epoch;
    return bell_wake(b, seen, eventfd);
}

bool mr_bell_ring_always(mr_bell *b, int eventfd)
{
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t seen = atomic_load_explicit(&b->word, memory_order_relaxed);
    if ((seen & 3) == MR_BELL_AWAKE)
        return false;
    return bell_wake(b, seen, eventfd);
}
