/* shm_index.c: owns the table of ids.  It doubles when half full, which moves every entry once: tens of nanoseconds per
 * object that ever lived at the same time, and no more.  Runs under the node's lock.
 */
#include "shm_index.h"

enum { FIRST_BITS = 10 };

/* Fibonacci hashing: ids are dense, so their low bits alone would make long runs. */
static size_t home(const shm_index *x, mr_id id)
{
    return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - x->bits));
}

static size_t next(const shm_index *x, size_t i)
{
    return (i + 1) & (((size_t)1 << x->bits) - 1);
}

/* Where `id` is, or the empty slot where it would go. */
static size_t slot_of(const shm_index *x, mr_id id)
{
    size_t i = home(x, id);
    while (x->slots[i].id != MR_NO_ID && x->slots[i].id != id)
        i = next(x, i);
    return i;
}

mr_status shm_index_init(shm_index *x, const mr_host *host)
{
    *x = (shm_index){.host = host, .bits = FIRST_BITS};
    x->slots = host->alloc(host, sizeof(*x->slots) << x->bits);
    return x->slots ? MR_OK : MR_E_NOMEM;
}

void shm_index_fini(shm_index *x)
{
    x->host->free(x->host, x->slots);
    x->slots = NULL;
}

shm_extent *shm_index_find(const shm_index *x, mr_id id)
{
    return x->slots[slot_of(x, id)].extent;
}

mr_status shm_index_reserve(shm_index *x)
{
    shm_index wide = {.host = x->host, .bits = x->bits + 1, .n = x->n};
    if (x->n < (size_t)1 << (x->bits - 1))
        return MR_OK;
    wide.slots = x->host->alloc(x->host, sizeof(*wide.slots) << wide.bits);
    if (!wide.slots)
        return MR_E_NOMEM;
    for (size_t i = 0; i < (size_t)1 << x->bits; i++)
        if (x->slots[i].id != MR_NO_ID)
            wide.slots[slot_of(&wide, x->slots[i].id)] = x->slots[i];
    shm_index_fini(x);
    *x = wide;
    return MR_OK;
}

void shm_index_put(shm_index *x, mr_id id, shm_extent *e)
{
    x->slots[slot_of(x, id)] = (shm_slot){id, e};
    x->n++;
}

/* Entries after the hole move back into it unless that would put them before their home, so no tombstone is needed. */
void shm_index_drop(shm_index *x, mr_id id)
{
    size_t mask = ((size_t)1 << x->bits) - 1, hole = slot_of(x, id), i = hole;
    if (x->slots[hole].id == MR_NO_ID)
        return;
    for (;;) {
        i = next(x, i);
        if (x->slots[i].id == MR_NO_ID)
            break;
        if (((i - home(x, x->slots[i].id)) & mask) >= ((i - hole) & mask)) {
            x->slots[hole] = x->slots[i];
            hole = i;
        }
    }
    x->slots[hole] = (shm_slot){0};
    x->n--;
}
