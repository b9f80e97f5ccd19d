/* shm_populate.c: owns how pages become present: with how many threads, and by 2 MB or by 4 KB.
 *
 * Memory is taken window by window, SHM_HUGE bytes each.  A huge page costs one fault instead of 512, but on a virtual
 * machine it often is memory that the host has taken back and must find again, which is up to ten times slower than
 * small pages that are still warm.  Nothing tells beforehand, so each process measures: huge pages as long as they are
 * cheap, small ones for a while after a dear one.  Several threads, more than there are processors, pay because much of
 * that time is spent waiting for the host.
 *
 * Making pages present never changes a byte that a page already holds, so it may run beside writers of other objects on
 * the same pages.  No lock; what threads share is atomic.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "shm_map.h"

/* Newer than some headers; the numbers are the kernel's ABI. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum {
    COLLAPSE_FROM = SHM_HUGE / 4, /* a huge page is worth it from here; it takes at most four times what was asked */
    GANG_FROM = 32 << 20,         /* fresh bytes from which threads are worth their start */
    GANG = 4,                     /* threads, the caller's own among them */
    LOOK_EVERY = 64,              /* windows, two of them by small pages in any case */
    WAIT_MOST = 63                /* windows by small pages after a huge one that was dear, and one */
};

enum { SMALL, HUGE };

/* Bytes of [low, high), page-aligned, that have no memory yet; all of them if the kernel does not say. */
static uint64_t fresh_bytes(const shm_map *m, uint64_t low, uint64_t high)
{
    unsigned char present[4096];
    uint64_t fresh = 0;
    while (low < high) {
        uint64_t pages = (high - low) / m->page;
        pages = pages < sizeof(present) ? pages : sizeof(present);
        if (mincore(m->rw + low, pages * m->page, present))
            return fresh + (high - low);
        for (uint64_t i = 0; i < pages; i++)
            fresh += present[i] & 1 ? 0 : m->page;
        low += pages * m->page;
    }
    return fresh;
}

/* What is to be made present, and how far it is. */
typedef struct range {
    shm_map *m;
    uint64_t at, end;           /* the caller's own bytes */
    uint64_t low, high;         /* the pages around them */
    uint64_t fresh;             /* bytes of them without memory */
    atomic_uint_least64_t next; /* the next window to take */
    _Atomic mr_status status;   /* of the first window that failed */
} range;

/* For kernels before 5.14: one byte per page of our own range, which nobody else writes. */
static void touch(const range *r, uint64_t from, uint64_t to)
{
    from = from > r->at ? from : r->at;
    to = to < r->end ? to : r->end;
    for (uint64_t i = from; i < to; i = (i | (r->m->page - 1)) + 1) {
        volatile char *byte = r->m->rw + i;
        *byte = *byte;
    }
}

static mr_status small_pages(const range *r, uint64_t from, uint64_t to)
{
    if (madvise(r->m->rw + from, to - from, MADV_POPULATE_WRITE) == 0)
        return MR_OK;
    if (errno == EINVAL) {
        touch(r, from, to);
        return MR_OK;
    }
    return errno == EIO ? MR_E_IO : MR_E_NOMEM; /* EFAULT: it would have been SIGBUS */
}

/* One huge page under the window, if the kernel gives it: any refusal only means small pages. */
static void huge_page(shm_map *m, uint64_t window)
{
    /* An extent without any page can not be collapsed. */
    if (madvise(m->rw + window, m->page, MADV_POPULATE_WRITE) == 0)
        (void)madvise(m->rw + window, SHM_HUGE, MADV_COLLAPSE);
}

/* Huge pages, unless the last one was dearer than small pages: then those for a while, twice as long each time.  What
 * is dear is mostly a matter of the memory that is free just now: it comes in runs.  Now and then small pages are taken
 * to know their price. */
static int choose_way(shm_map *m)
{
    uint64_t n = atomic_fetch_add(&m->n_windows, 1) + 1, pass = atomic_load(&m->pass);
    if (pass) {
        atomic_store(&m->pass, pass - 1);
        return SMALL;
    }
    return n % LOOK_EVERY == 2 || n % LOOK_EVERY == 3 ? SMALL : HUGE;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Threads that are not running make a window look dear, so of small pages the cheapest of late counts; a huge one that
 * only looks dear is soon tried again.  Two threads may learn at once: then one of the two looks is lost, which does no
 * harm. */
static void learn_cost(shm_map *m, int way, uint64_t ns)
{
    uint64_t small = atomic_load(&m->small_ns), wait = atomic_load(&m->wait);
    if (way == SMALL) {
        small += small / 16;
        atomic_store(&m->small_ns, small && small < ns ? small : ns);
    } else if (small && ns > small) {
        atomic_store(&m->pass, wait + 1);
        atomic_store(&m->wait, wait < WAIT_MOST ? 2 * wait + 1 : wait);
    } else {
        atomic_store(&m->wait, 0);
    }
}

static mr_status fill_window(const range *r, uint64_t window, uint64_t from, uint64_t to)
{
    int way = choose_way(r->m);
    uint64_t start = now_ns();
    mr_status status;
    if (way == HUGE)
        huge_page(r->m, window);
    status = small_pages(r, from, to);
    if (!status && to - from == SHM_HUGE)
        learn_cost(r->m, way, now_ns() - start);
    return status;
}

/* A whole window that is in this process' map already is passed over.  If its memory has been given back and taken
 * again since, the writer meets a fault per page, which is slow but safe: the pages are there. */
static mr_status populate_window(const range *r, uint64_t window)
{
    uint64_t from = window > r->low ? window : r->low, to = window + SHM_HUGE < r->high ? window + SHM_HUGE : r->high;
    atomic_uint_least64_t *word = &r->m->mapped[window / SHM_HUGE / 64];
    uint64_t bit = 1ull << (window / SHM_HUGE % 64);
    mr_status status = MR_OK;
    if (to - from >= COLLAPSE_FROM && r->fresh && fresh_bytes(r->m, from, to))
        status = fill_window(r, window, from, to);
    else if (!(atomic_load(word) & bit) || r->fresh)
        status = small_pages(r, from, to);
    if (!status && to - from == SHM_HUGE)
        atomic_fetch_or(word, bit);
    return status;
}

static void *populate_windows(void *arg)
{
    range *r = arg;
    uint64_t window;
    while (!atomic_load(&r->status) && (window = atomic_fetch_add(&r->next, SHM_HUGE)) < r->high) {
        mr_status status = populate_window(r, window);
        if (status)
            atomic_store(&r->status, status);
    }
    return NULL;
}

/* The caller works too, so a thread that can not be had only makes it slower.  The threads take no signals: those are
 * for the threads of the program. */
static void populate_together(range *r)
{
    pthread_t gang[GANG - 1];
    sigset_t all, before;
    int n = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (n < GANG - 1 && pthread_create(&gang[n], NULL, populate_windows, r) == 0)
        n++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    populate_windows(r);
    while (n > 0)
        pthread_join(gang[--n], NULL);
}

mr_status shm_map_populate(shm_map *m, uint64_t at, uint64_t len)
{
    range r = {.m = m, .at = at, .end = at + len};
    if (at > m->size || len > m->size - at)
        return MR_E_INVAL;
    if (!len)
        return MR_OK;
    r.low = at & ~(m->page - 1);
    r.high = (at + len + m->page - 1) & ~(m->page - 1);
    r.fresh = fresh_bytes(m, r.low, r.high);
    atomic_store(&r.next, r.low & ~(uint64_t)(SHM_HUGE - 1));
    if (r.fresh < GANG_FROM)
        populate_windows(&r);
    else
        populate_together(&r);
    return atomic_load(&r.status);
}
