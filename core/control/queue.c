/* queue.c: the three containers control is made of: a list of tasks, the ordered ready queue, a set of small numbers.
 *
 * A ready queue is a sorted run (doubly linked, grows at either end in O(1), so fifo-like and lifo-like ranks cost
 * nothing) and blocks of keys (blocks.c) for ranks that fall between.  Without memory for a block a task goes into the
 * run by a walk: slow, but never lost.  Knows nothing of what a task is doing.
 */

#include "control/room.h"

/* -------------------------------------------------------------------------------------------------------- lists -- */

void mr_tlist_push_front(tlist *l, task *t)
{
    t->qa = NULL;
    t->qb = l->head;
    if (l->head)
        l->head->qa = t;
    else
        l->tail = t;
    l->head = t;
    l->n++;
}

static task *merge(task *a, task *b)
{
    task *head = NULL, **end = &head;
    while (a && b) {
        task **least = a->v.seq <= b->v.seq ? &a : &b;
        *end = *least;
        end = &(*least)->qb;
        *least = (*least)->qb;
    }
    *end = a ? a : b;
    return head;
}

void mr_tlist_sort(tlist *l)
{
    task *bins[64] = {0}, *all = NULL;
    for (task *t = l->head, *next; t; t = next) {
        next = t->qb;
        t->qb = NULL;
        int i = 0;
        for (; bins[i]; i++) {
            t = merge(bins[i], t);
            bins[i] = NULL;
        }
        bins[i] = t;
    }
    for (int i = 0; i < 64; i++)
        all = merge(bins[i], all);
    uint32_t n = l->n;
    task *before = NULL;
    l->head = all;
    for (task *t = all; t; t = t->qb) {
        t->qa = before;
        before = t;
    }
    l->tail = before;
    l->n = n;
}

/* ------------------------------------------------------------------------------------------------------- queues -- */

/* Into the run, behind the last that ranks before it. */
static void walk_in(queue *q, task *t)
{
    task *at = q->tail;
    while (at && ranks_before(t, at))
        at = at->qa;
    t->qa = at;
    t->qb = at ? at->qb : q->head;
    *(t->qb ? &t->qb->qa : &q->tail) = t;
    *(at ? &at->qb : &q->head) = t;
}

void mr_queue_push(queue *q, task *t, mr_slab *keys)
{
    t->q = q;
    q->n++;
    t->flags &= ~(uint32_t)T_BLOCK;
    if (!q->tail || ranks_before(q->tail, t)) {
        t->qa = q->tail;
        t->qb = NULL;
        if (q->tail)
            q->tail->qb = t;
        else
            q->head = t;
        q->tail = t;
    } else if (ranks_before(t, q->head)) {
        t->qa = NULL;
        t->qb = q->head;
        q->head->qa = t;
        q->head = t;
    } else if (mr_blocks_insert(&q->blocks, t, keys)) {
        t->flags |= T_BLOCK;
        t->qa = t->qb = NULL;
    } else {
        walk_in(q, t);
    }
}

static task *less_of(task *a, task *b)
{
    return !a ? b : !b ? a : ranks_before(a, b) ? a : b;
}

static task *more_of(task *a, task *b)
{
    return !a ? b : !b ? a : ranks_before(a, b) ? b : a;
}

task *mr_queue_first_of(const queue *q)
{
    return less_of(q->head, mr_blocks_first(&q->blocks));
}

task *mr_queue_last(const queue *q)
{
    return q->blocks.n ? more_of(q->tail, mr_blocks_last(&q->blocks)) : q->tail;
}

static bool behind(const task *t, double rank, uint64_t entry)
{
    return t->v.rank > rank || (t->v.rank == rank && t->v.entry > entry);
}

task *mr_queue_after(const queue *q, double rank, uint64_t entry)
{
    task *best = mr_blocks_after(&q->blocks, rank, entry), *r = q->head;
    while (r && !behind(r, rank, entry))
        r = r->qb;
    return less_of(best, r);
}

task *mr_queue_before(const queue *q, double rank, uint64_t entry)
{
    task *best = mr_blocks_before(&q->blocks, rank, entry), *r = q->tail;
    while (r && (behind(r, rank, entry) || (r->v.rank == rank && r->v.entry == entry)))
        r = r->qa;
    return more_of(best, r);
}

/* --------------------------------------------------------------------------------------------------------- bits -- */

mr_status mr_bits_room(mr_control *c, bits *b, uint32_t n)
{
    return mr_control_grow(c, &b->w, &b->n, (n + UINT64_C(63)) / 64, sizeof *b->w) ? MR_OK : MR_E_NOMEM;
}

uint32_t mr_bits_far(bits *b, uint32_t from)
{
    uint32_t i = from / 64;
    uint64_t word;
    if (i <= b->low) {
        while (b->low < b->n && !b->w[b->low])
            b->low++;
        if (i < b->low)
            from = 0;
        i = i < b->low ? b->low : i;
    }
    if (i >= b->n)
        return UINT32_MAX;
    word = b->w[i] & (from / 64 == i ? ~UINT64_C(0) << (from % 64) : ~UINT64_C(0));
    while (!word) {
        if (++i >= b->n)
            return UINT32_MAX;
        word = b->w[i];
    }
    return i * 64 + (uint32_t)__builtin_ctzll(word);
}
