/* clock.c: the event heap of a simulation.  Knows times and an order, not what they mean.  No lock: one simulation. */
#include "engine/sim/clock.h"

#include <stdlib.h>

void mr_clock_init(mr_clock *c)
{
    *c = (mr_clock){0};
}

void mr_clock_fini(mr_clock *c)
{
    free(c->v);
    *c = (mr_clock){0};
}

static bool before(const mr_moment *a, const mr_moment *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

mr_status mr_clock_push(mr_clock *c, mr_moment m)
{
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 64;
        mr_moment *v = realloc(c->v, cap * sizeof *v);
        if (!v)
            return MR_E_NOMEM;
        c->v = v;
        c->cap = cap;
    }
    m.order = c->pushed++;
    uint32_t i = c->n++;
    while (i > 0 && before(&m, &c->v[(i - 1) / 2])) {
        c->v[i] = c->v[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    c->v[i] = m;
    return MR_OK;
}

const mr_moment *mr_clock_top(const mr_clock *c)
{
    return c->n ? &c->v[0] : NULL;
}

mr_moment mr_clock_pop(mr_clock *c)
{
    mr_moment top = c->v[0], last = c->v[--c->n];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= c->n)
            break;
        if (child + 1 < c->n && before(&c->v[child + 1], &c->v[child]))
            child++;
        if (!before(&c->v[child], &last))
            break;
        c->v[i] = c->v[child];
        i = child;
    }
    c->v[i] = last;
    return top;
}
