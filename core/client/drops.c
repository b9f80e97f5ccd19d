/* drops.c: owns the lists of dropped references, one per thread.  It does not know what a reference is.
 *
 * A list is a chain of rings with one producer (its thread) and one consumer; a full ring gets a successor of twice the
 * size, and the consumer frees the old one when it is empty, which is safe since its producer has left it for good.
 * Lists of threads that ended are used again.  No lock.
 */
#include "client/drops.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

typedef struct drop {
    const void *owner;
    mr_id id;
} drop;

typedef struct ring {
    _Atomic uint32_t head, tail; /* consumer's, producer's; positions only grow */
    uint32_t size;               /* a power of two */
    struct ring *_Atomic next;
    drop v[];
} ring;

typedef struct list {
    struct list *next; /* of all lists; set before it is published */
    ring *write;       /* producer's */
    ring *read;        /* consumer's */
    _Atomic bool used; /* by a living thread */
} list;

enum { RING_FIRST = 512, RING_LAST = 1 << 20 };

static list *_Atomic lists;
static _Atomic bool any;
static _Thread_local list *mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void thread_ends(void *arg)
{
    list *l = arg;
    mine = NULL;
    atomic_store_explicit(&l->used, false, memory_order_release);
}

static void make_key(void)
{
    /* Without a key, lists of ended threads are not used again; nothing else is lost. */
    if (pthread_key_create(&key, thread_ends))
        key = (pthread_key_t)-1;
}

static void *pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static size_t ring_bytes(uint32_t size)
{
    return offsetof(ring, v) + size * sizeof(drop);
}

static ring *ring_new(uint32_t size)
{
    ring *r = pages(ring_bytes(size));
    if (r)
        r->size = size;
    return r;
}

static list *list_reuse(void)
{
    for (list *l = atomic_load_explicit(&lists, memory_order_acquire); l; l = l->next) {
        bool used = false;
        if (atomic_compare_exchange_strong_explicit(&l->used, &used, true, memory_order_acq_rel, memory_order_relaxed))
            return l;
    }
    return NULL;
}

static list *list_new(void)
{
    list *l = pages(sizeof(*l));
    if (!l)
        return NULL;
    l->write = l->read = ring_new(RING_FIRST);
    if (!l->write) {
        munmap(l, sizeof(*l));
        return NULL;
    }
    atomic_init(&l->used, true);
    l->next = atomic_load_explicit(&lists, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&lists, &l->next, l, memory_order_release, memory_order_relaxed))
        ;
    return l;
}

static list *list_mine(void)
{
    pthread_once(&once, make_key);
    list *l = list_reuse();
    if (!l)
        l = list_new();
    if (l && key != (pthread_key_t)-1)
        pthread_setspecific(key, l);
    mine = l;
    return l;
}

void mr_drops_push(const void *owner, mr_id id)
{
    list *l = mine ? mine : list_mine();
    if (!l)
        return;
    ring *r = l->write;
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&r->head, memory_order_acquire) == r->size) {
        ring *bigger = ring_new(r->size < RING_LAST ? r->size * 2 : r->size);
        if (!bigger)
            return;
        atomic_store_explicit(&r->next, bigger, memory_order_release);
        l->write = r = bigger;
        tail = 0;
    }
    r->v[tail & (r->size - 1)] = (drop){owner, id};
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    /* Stored always, not only when it was false: a taker that cleared it between may not have seen this one. */
    atomic_store_explicit(&any, true, memory_order_release);
}

bool mr_drops_any(void)
{
    return atomic_load_explicit(&any, memory_order_relaxed);
}

static void list_take(list *l, const void *owner, void (*take)(void *arg, mr_id id), void *arg)
{
    for (;;) {
        ring *r = l->read;
        /* The successor is looked at first: with one, the ring's tail is final. */
        ring *next = atomic_load_explicit(&r->next, memory_order_acquire);
        uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
        uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        for (; head != tail; head++) {
            drop d = r->v[head & (r->size - 1)];
            if (d.owner == owner)
                take(arg, d.id);
        }
        atomic_store_explicit(&r->head, head, memory_order_release);
        if (!next)
            return;
        l->read = next;
        munmap(r, ring_bytes(r->size));
    }
}

void mr_drops_take(const void *owner, void (*take)(void *arg, mr_id id), void *arg)
{
    if (!atomic_exchange_explicit(&any, false, memory_order_acq_rel))
        return;
    for (list *l = atomic_load_explicit(&lists, memory_order_acquire); l; l = l->next)
        list_take(l, owner, take, arg);
}
