/* copy.c: mr_copy.  Owns nothing that outlives a call; any thread.
 *
 * One processor does not fill the memory bus, and least of all where memory is in small pages.  So a second thread
 * helps with large copies: both take piece after piece, so one that gets no processor leaves the work to the other.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <miniray/miniray.h>

enum {
    STREAM_FROM =
        256 << 10, /* larger than the caches that matter: stores that bypass them save the read of each line */
    TOGETHER_FROM = 16 << 20, /* worth the start of a thread */
    PIECE = 2 << 20
};

#if defined(__x86_64__)
#include <emmintrin.h>

static void copy_stream(char *to, const char *from, uint64_t len)
{
    uint64_t head = (16 - ((uintptr_t)to & 15)) & 15;
    memcpy(to, from, head);
    to += head;
    from += head;
    len -= head;
    for (; len >= 64; len -= 64, to += 64, from += 64) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)from);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(from + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(from + 32));
        __m128i d = _mm_loadu_si128((const __m128i *)(const void *)(from + 48));
        _mm_prefetch(from + 512, _MM_HINT_NTA);
        _mm_stream_si128((__m128i *)(void *)to, a);
        _mm_stream_si128((__m128i *)(void *)(to + 16), b);
        _mm_stream_si128((__m128i *)(void *)(to + 32), c);
        _mm_stream_si128((__m128i *)(void *)(to + 48), d);
    }
    /* Streaming stores are weakly ordered: they must be seen before the record that says the object is sealed. */
    _mm_sfence();
    memcpy(to, from, len);
}
#else
static void copy_stream(char *to, const char *from, uint64_t len)
{
    memcpy(to, from, len);
}
#endif

typedef struct work {
    char *to;
    const char *from;
    uint64_t len;
    atomic_uint_least64_t next; /* the piece to take */
} work;

static void *copy_pieces(void *arg)
{
    work *w = arg;
    uint64_t at;
    while ((at = atomic_fetch_add(&w->next, PIECE)) < w->len)
        copy_stream(w->to + at, w->from + at, w->len - at < PIECE ? w->len - at : PIECE);
    return NULL;
}

static bool one_processor(void)
{
    cpu_set_t set;
    return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) < 2;
}

/* A thread that can not be had only makes it slower.  It takes no signals: those are for the threads of the program. */
static void copy_together(char *to, const char *from, uint64_t len)
{
    work w = {.to = to, .from = from, .len = len};
    pthread_t helper;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool helped = !one_processor() && !pthread_create(&helper, NULL, copy_pieces, &w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    copy_pieces(&w);
    if (helped)
        pthread_join(helper, NULL);
}

void mr_copy(void *to, const void *from, uint64_t len)
{
    if (len >= TOGETHER_FROM)
        copy_together(to, from, len);
    else if (len >= STREAM_FROM)
        copy_stream(to, from, len);
    else if (len > 0)
        memcpy(to, from, len);
}
