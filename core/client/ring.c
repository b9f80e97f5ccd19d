/* ring.c: see ring.h.  Owns nothing; serialised by its caller on each side. */
#include "client/ring.h"

void mr_ring_end_init(mr_ring_end *e, mr_ring *ring, void *data, uint32_t capacity, bool producer)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    *e = (mr_ring_end){.ring = ring, .data = data, .capacity = capacity};
    e->mine = producer ? tail : head;
    e->theirs = producer ? head : tail;
}

void *mr_ring_reserve(mr_ring_end *e, uint32_t size)
{
    uint32_t place = (uint32_t)(e->mine & (e->capacity - 1));
    uint32_t rest = e->capacity - place;
    uint32_t wanted = size <= rest ? size : rest + size;
    if (size > e->capacity / 2)
        return NULL;
    if (e->mine + wanted - e->theirs > e->capacity) {
        e->theirs = atomic_load_explicit(&e->ring->head, memory_order_acquire);
        if (e->mine + wanted - e->theirs > e->capacity)
            return NULL;
    }
    if (size <= rest)
        return e->data + place;
    /* The filler needs no body: 8 bytes (size, kind, version) are always there, as all sizes are multiples of 8. */
    mr_record *filler = (mr_record *)(void *)(e->data + place);
    filler->size = rest;
    filler->kind = MR_EV_NONE;
    filler->version = MR_RECORD_VERSION;
    e->mine += rest;
    return e->data;
}

void mr_ring_publish(mr_ring_end *e, uint32_t size)
{
    e->mine += size;
    atomic_store_explicit(&e->ring->tail, e->mine, memory_order_release);
}

bool mr_ring_fuller(mr_ring_end *e, uint32_t bytes)
{
    if (e->mine - e->theirs <= bytes)
        return false; /* without a look at the consumer's line */
    e->theirs = atomic_load_explicit(&e->ring->head, memory_order_acquire);
    return e->mine - e->theirs > bytes;
}

static bool ring_sane(const mr_ring_end *e, const mr_record *r, uint64_t there, uint32_t rest)
{
    if (there < 8 || r->size < 8 || r->size % 8 || r->size > there || r->size > rest)
        return false;
    if (r->version != MR_RECORD_VERSION)
        return false;
    return r->kind == MR_EV_NONE ? r->size == rest : r->size >= sizeof(mr_record) && r->size <= e->capacity / 2;
}

mr_status mr_ring_peek(mr_ring_end *e, const mr_record **out)
{
    for (;;) {
        if (e->mine == e->theirs) {
            e->theirs = atomic_load_explicit(&e->ring->tail, memory_order_acquire);
            if (e->mine == e->theirs) {
                *out = NULL;
                return MR_OK;
            }
        }
        uint64_t there = e->theirs - e->mine;
        uint32_t place = (uint32_t)(e->mine & (e->capacity - 1));
        const mr_record *r = (const mr_record *)(const void *)(e->data + place);
        if (there > e->capacity || there % 8 || !ring_sane(e, r, there, e->capacity - place))
            return MR_E_PROTOCOL;
        if (r->kind != MR_EV_NONE) {
            *out = r;
            return MR_OK;
        }
        mr_ring_take(e, r);
    }
}

void mr_ring_take(mr_ring_end *e, const mr_record *r)
{
    e->mine += r->size;
    atomic_store_explicit(&e->ring->head, e->mine, memory_order_release);
}

bool mr_ring_ready(const mr_ring_end *e)
{
    return atomic_load_explicit(&e->ring->tail, memory_order_acquire) != e->mine;
}
