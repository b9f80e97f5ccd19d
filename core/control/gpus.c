/* gpus.c: which of a node's GPUs a task has, so that two tasks never share one that each asked for whole.
 *
 * Owns pool->gpu: how much of each GPU of the node is free in it.  Parts are packed: a part goes to the GPU with the
 * least free that has enough.  A node of more than 32 GPUs only counts them.  Invariant: the sum of pool->gpu is the
 * free GPU of the pool.
 */
#include <stdlib.h>

#include "control/room.h"

enum { MOST = MR_GPU_MOST };

mr_status mr_gpu_make(pool *p)
{
    int64_t total = p->total[MR_RES_GPU].amount;
    int64_t count = (total + MR_RES_UNIT - 1) / MR_RES_UNIT;
    if (!count || count > MOST)
        return MR_OK;
    p->gpu = calloc((size_t)count, sizeof *p->gpu);
    if (!p->gpu)
        return MR_E_NOMEM;
    p->n_gpu = (uint32_t)count;
    for (uint32_t i = 0; i < p->n_gpu; i++, total -= MR_RES_UNIT)
        p->gpu[i] = total < MR_RES_UNIT ? total : MR_RES_UNIT;
    return MR_OK;
}

static uint32_t count_of(uint32_t gpus)
{
    uint32_t n = 0;
    for (; gpus; gpus &= gpus - 1)
        n++;
    return n;
}

/* The GPU that a part should go to, none of `taken`; n_gpu: none has enough. */
static uint32_t tightest(const pool *p, int64_t part, uint32_t taken)
{
    uint32_t best = p->n_gpu;
    for (uint32_t i = 0; i < p->n_gpu; i++)
        if (p->gpu[i] >= part && !(taken >> i & 1) && (best == p->n_gpu || p->gpu[i] < p->gpu[best]))
            best = i;
    return best;
}

/* The lowest `count` that are wholly free; fewer bits if there are not as many. */
static uint32_t whole(const pool *p, int64_t count)
{
    uint32_t got = 0;
    for (uint32_t i = 0; i < p->n_gpu && count; i++)
        if (p->gpu[i] == MR_RES_UNIT) {
            got |= UINT32_C(1) << i;
            count--;
        }
    return got;
}

bool mr_gpu_fits(const pool *p, int64_t amount)
{
    int64_t count = amount / MR_RES_UNIT, part = amount % MR_RES_UNIT;
    if (!p->n_gpu)
        return true;
    uint32_t got = whole(p, count);
    return count_of(got) == count && (!part || tightest(p, part, got) < p->n_gpu);
}

static void move(pool *p, const task *t, int64_t amount, int64_t sign)
{
    for (uint32_t i = 0; i < p->n_gpu; i++)
        if (t->gpus >> i & 1)
            p->gpu[i] += sign * (t->gpu_part == i + 1 ? amount % MR_RES_UNIT : MR_RES_UNIT);
}

/* Those for `amount`; *shared: the one of which it is a part, n_gpu: none. */
static uint32_t choose(const pool *p, int64_t amount, uint32_t *shared)
{
    int64_t part = amount % MR_RES_UNIT;
    uint32_t got = whole(p, amount / MR_RES_UNIT);
    *shared = part ? tightest(p, part, got) : p->n_gpu;
    return *shared < p->n_gpu ? got | UINT32_C(1) << *shared : got;
}

void mr_gpu_take(pool *p, task *t, int64_t amount)
{
    if (!p->n_gpu)
        return;
    uint32_t shared;
    t->gpus = choose(p, amount, &shared);
    t->gpu_part = shared < p->n_gpu ? (uint8_t)(shared + 1) : 0;
    move(p, t, amount, -1);
}

void mr_gpu_reserve(pool *from, pool *to, int64_t amount)
{
    uint32_t shared = 0, got = from->n_gpu ? choose(from, amount, &shared) : 0;
    to->n_gpu = from->n_gpu;
    for (uint32_t i = 0; i < from->n_gpu; i++) {
        int64_t much = !(got >> i & 1) ? 0 : i == shared ? amount % MR_RES_UNIT : MR_RES_UNIT;
        from->gpu[i] -= much;
        to->gpu[i] = much;
    }
}

void mr_gpu_return(pool *from, pool *to)
{
    for (uint32_t i = 0; i < from->n_gpu; i++) {
        to->gpu[i] += from->gpu[i];
        from->gpu[i] = 0;
    }
}

void mr_gpu_give(pool *p, task *t, int64_t amount)
{
    move(p, t, amount, 1);
    t->gpus = 0;
    t->gpu_part = 0;
}

void mr_gpu_swap(pool *p, task *t, uint32_t gpus, uint8_t part)
{
    int64_t amount = 0;
    for (uint32_t i = 0; i < t->v.n_needs; i++)
        if (t->v.needs[i].res == MR_RES_GPU)
            amount = t->v.needs[i].amount;
    if (!t->gpus || count_of(gpus) != count_of(t->gpus) || !part != !t->gpu_part)
        return;
    move(p, t, amount, 1);
    t->gpus = gpus;
    t->gpu_part = part;
    move(p, t, amount, -1);
}
