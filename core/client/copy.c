/* copy.c: mr_copy.  Owns nothing; any thread. */
#include <string.h>

#include <miniray/miniray.h>

#if defined(__x86_64__)
#include <emmintrin.h>

/* Past this size the copy no longer fits the caches that matter, and stores that bypass them save the read of each
 * line. */
enum { COPY_STREAM_FROM = 256 * 1024 };

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
#endif

void mr_copy(void *to, const void *from, uint64_t len)
{
#if defined(__x86_64__)
    if (len >= COPY_STREAM_FROM) {
        copy_stream(to, from, len);
        return;
    }
#endif
    if (len > 0)
        memcpy(to, from, len);
}
