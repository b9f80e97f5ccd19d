/* hot.h: the small functions that every step runs, inline: lists of tasks, sets of small numbers, one more action;
 * private to core/control, part of room.h. */
#ifndef MR_CONTROL_HOT_H
#define MR_CONTROL_HOT_H

#include <string.h>

#include "control/state.h"

static inline void mr_tlist_push(tlist *l, task *t)
{
    t->qa = l->tail;
    t->qb = NULL;
    if (l->tail)
        l->tail->qb = t;
    else
        l->head = t;
    l->tail = t;
    l->n++;
}

static inline void mr_tlist_remove(tlist *l, task *t)
{
    if (t->qa)
        t->qa->qb = t->qb;
    else
        l->head = t->qb;
    if (t->qb)
        t->qb->qa = t->qa;
    else
        l->tail = t->qa;
    t->qa = t->qb = NULL;
    l->n--;
}

static inline task *mr_tlist_pop(tlist *l)
{
    task *t = l->head;
    if (t)
        mr_tlist_remove(l, t);
    return t;
}

static inline void mr_bits_set(bits *b, uint32_t i)
{
    b->w[i / 64] |= UINT64_C(1) << (i % 64);
    if (i / 64 < b->low)
        b->low = i / 64;
}

static inline void mr_bits_clear(bits *b, uint32_t i)
{
    b->w[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

uint32_t mr_bits_far(bits *b, uint32_t from);
/* The least from `from` on; UINT32_MAX: none. */
static inline uint32_t mr_bits_next(bits *b, uint32_t from)
{
    uint64_t word = from / 64 < b->n ? b->w[from / 64] >> (from % 64) : 0;
    return word ? from + (uint32_t)__builtin_ctzll(word) : mr_bits_far(b, from);
}

void mr_control_more(mr_control *c);
static inline mr_action *mr_control_act(mr_control *c, uint32_t what)
{
    mr_actions *a = c->out;
    if (a->n == a->cap)
        mr_control_more(c);
    mr_action *x = &a->v[a->n++];
    memset(x, 0, offsetof(mr_action, fault));
    x->kind = (uint16_t)what;
    return x;
}

#endif
