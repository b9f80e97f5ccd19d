/* helper_model.c: owns the set of visited states of one exploration. */
#include "helper_model.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

bool flush_one(state *s, int t)
{
    thread *me = &s->t[t];
    if (!me->n)
        return false;
    s->mem[me->var[0]] = me->val[0];
    memmove(me->var, me->var + 1, BUFFER - 1);
    memmove(me->val, me->val + 1, BUFFER - 1);
    me->n--;
    me->var[me->n] = me->val[me->n] = 0; /* equal states must be equal bytes */
    return true;
}

typedef struct seen {
    state *v;
    size_t n, cap;
    uint32_t *slots;
    size_t n_slots;
} seen;

static uint64_t hash_of(const state *s)
{
    uint64_t h = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < sizeof(*s); i += 8) {
        uint64_t word;
        memcpy(&word, (const char *)s + i, 8);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    return h;
}

static void seen_grow(seen *all)
{
    all->cap = all->cap ? all->cap * 2 : 1024;
    all->v = realloc(all->v, all->cap * sizeof(state));
    free(all->slots);
    all->n_slots = all->cap * 2;
    all->slots = calloc(all->n_slots, sizeof(uint32_t));
    ck_assert(all->v && all->slots);
    for (size_t i = 0; i < all->n; i++) {
        size_t at = hash_of(&all->v[i]) & (all->n_slots - 1);
        while (all->slots[at])
            at = (at + 1) & (all->n_slots - 1);
        all->slots[at] = (uint32_t)i + 1;
    }
}

static void seen_add(seen *all, const state *s)
{
    if (all->n == all->cap)
        seen_grow(all);
    size_t at = hash_of(s) & (all->n_slots - 1);
    for (; all->slots[at]; at = (at + 1) & (all->n_slots - 1))
        if (!memcmp(&all->v[all->slots[at] - 1], s, sizeof(*s)))
            return;
    all->v[all->n++] = *s;
    all->slots[at] = (uint32_t)all->n;
}

size_t explore(const model *m, const state *start)
{
    seen all = {0};
    bool good = true;
    seen_add(&all, start);
    for (size_t i = 0; good && i < all.n; i++) {
        bool moved = false;
        for (int t = 0; t < m->threads; t++) {
            state next = all.v[i];
            if (!next.t[t].dead && m->step(m, &next, t)) {
                seen_add(&all, &next);
                moved = true;
                good &= !next.bad;
            }
            next = all.v[i];
            if (flush_one(&next, t)) {
                seen_add(&all, &next);
                moved = true;
            }
            next = all.v[i];
            if (next.kills < m->kills && (m->may_die >> t & 1) && !next.t[t].dead) {
                next.kills++;
                next.t[t].dead = 1;
                seen_add(&all, &next);
            }
        }
        if (!moved)
            good &= m->end(m, &all.v[i]);
    }
    size_t n = all.n;
    free(all.v);
    free(all.slots);
    return good ? n : 0;
}
