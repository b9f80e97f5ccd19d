/* gpus.c: which of a node's GPUs a task has, so that two tasks never share one that each asked for whole.
 *
 * Owns node->gpu: how much of each GPU is free.  Parts are packed: a part goes to the GPU with the least free that has
 * enough.  A node of more than 32 GPUs only counts them.  Invariant: the sum of node->gpu is the free GPU of its pool.
 */
#include <stdlib.h>

#include "control/room.h"

enum { MOST = 32 };

mr_status mr_gpu_make(node *n)
{
    int64_t total = n->total[MR_RES_GPU].amount;
    int64_t count = (total + MR_RES_UNIT - 1) / MR_RES_UNIT;
    if (!count || count > MOST)
        return MR_OK;
    n->gpu = calloc((size_t)count, sizeof *n->gpu);
    if (!n->gpu)
        return MR_E_NOMEM;
    n->n_gpu = (uint32_t)count;
    for (uint32_t i = 0; i < n->n_gpu; i++, total -= MR_RES_UNIT)
        n->gpu[i] = total < MR_RES_UNIT ? total : MR_RES_UNIT;
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
static uint32_t tightest(const node *n, int64_t part, uint32_t taken)
{
    uint32_t best = n->n_gpu;
    for (uint32_t i = 0; i < n->n_gpu; i++)
        if (n->gpu[i] >= part && !(taken >> i & 1) && (best == n->n_gpu || n->gpu[i] < n->gpu[best]))
            best = i;
    return best;
}

/* The lowest `count` that are wholly free; fewer bits if there are not as many. */
static uint32_t whole(const node *n, int64_t count)
{
    uint32_t got = 0;
    for (uint32_t i = 0; i < n->n_gpu && count; i++)
        if (n->gpu[i] == MR_RES_UNIT) {
            got |= UINT32_C(1) << i;
            count--;
        }
    return got;
}

bool mr_gpu_fits(const node *n, int64_t amount)
{
    int64_t count = amount / MR_RES_UNIT, part = amount % MR_RES_UNIT;
    if (!n->n_gpu)
        return true;
    uint32_t got = whole(n, count);
    return count_of(got) == count && (!part || tightest(n, part, got) < n->n_gpu);
}

static void move(node *n, const task *t, int64_t amount, int64_t sign)
{
    for (uint32_t i = 0; i < n->n_gpu; i++)
        if (t->gpus >> i & 1)
            n->gpu[i] += sign * (t->gpu_part == i + 1 ? amount % MR_RES_UNIT : MR_RES_UNIT);
}

void mr_gpu_take(node *n, task *t, int64_t amount)
{
    if (!n->n_gpu)
        return;
    int64_t part = amount % MR_RES_UNIT;
    t->gpus = whole(n, amount / MR_RES_UNIT);
    uint32_t shared = part ? tightest(n, part, t->gpus) : n->n_gpu;
    if (shared < n->n_gpu) {
        t->gpus |= UINT32_C(1) << shared;
        t->gpu_part = (uint8_t)(shared + 1);
    }
    move(n, t, amount, -1);
}

void mr_gpu_give(node *n, task *t, int64_t amount)
{
    move(n, t, amount, 1);
    t->gpus = 0;
    t->gpu_part = 0;
}

void mr_gpu_swap(node *n, task *t, uint32_t gpus, uint8_t part)
{
    int64_t amount = 0;
    for (uint32_t i = 0; i < t->v.n_needs; i++)
        if (t->v.needs[i].res == MR_RES_GPU)
            amount = t->v.needs[i].amount;
    if (!t->gpus || count_of(gpus) != count_of(t->gpus) || !part != !t->gpu_part)
        return;
    move(n, t, amount, 1);
    t->gpus = gpus;
    t->gpu_part = part;
    move(n, t, amount, -1);
}
