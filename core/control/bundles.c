/* bundles.c: finds a node for each bundle of a placement group that has none; all of them find one at once, or none
 * does.
 *
 * A depth-first search over the bundles, the largest first.  The strategies differ in two things only: which nodes a
 * bundle may go to, and which it tries first.  The search is bounded; where the bound is reached the answer is "not
 * now", never "never".
 */
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

enum { STEPS = 2000, EMPTY_STEPS = 20000 };

typedef enum outcome { FOUND, NONE, UNSURE } outcome;

typedef struct search {
    mr_control *c;
    group *g;
    uint8_t strategy; /* a strict one, or as the group says */
    bool empty;       /* as if the nodes were empty and nothing of the group were placed */
    bool lent;        /* with CPUs that blocked tasks lend, though they are for others first */
    uint32_t steps;
} search;

static int64_t of(const mr_amount *v, uint32_t n, uint32_t res)
{
    for (uint32_t i = 0; i < n && v[i].res <= res; i++)
        if (v[i].res == res)
            return v[i].amount;
    return 0;
}

static bool fixed(const search *s, const bundle *b)
{
    return b->placed && !s->empty;
}

/* Of the bundles before `k` in the order, and those placed already. */
static uint32_t used(const search *s, uint32_t k, uint32_t number)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->g->n; i++) {
        const bundle *b = &s->g->b[s->g->order[i]];
        n += fixed(s, b) ? b->p.node == number : i < k && b->at == number;
    }
    return n;
}

static bool gpus_fit(const search *s, uint32_t k, const node *n)
{
    int64_t left[MR_GPU_MOST], sink[MR_GPU_MOST];
    pool have = {.gpu = left, .n_gpu = n->own.n_gpu}, none = {.gpu = sink};
    int64_t total = n->own.total[MR_RES_GPU].amount;
    for (uint32_t i = 0; i < n->own.n_gpu; i++, total -= MR_RES_UNIT)
        left[i] = !s->empty ? n->own.gpu[i] : total < MR_RES_UNIT ? total : MR_RES_UNIT;
    for (uint32_t i = 0; i <= k; i++) {
        const bundle *b = &s->g->b[s->g->order[i]];
        int64_t amount = of(b->asks, b->n_asks, MR_RES_GPU);
        if (!amount || fixed(s, b) || (i < k && b->at != n->number))
            continue;
        if (!mr_gpu_fits(&have, amount))
            return false;
        mr_gpu_reserve(&have, &none, amount);
    }
    return true;
}

static bool fits(const search *s, uint32_t k, const node *n)
{
    const bundle *b = &s->g->b[s->g->order[k]];
    if (!mr_labels_terms(n, b->terms, b->n_terms))
        return false;
    for (uint32_t i = 0; i < b->n_asks; i++) {
        uint32_t res = b->asks[i].res;
        if (res >= n->own.n_res)
            return false;
        int64_t have = s->empty ? n->own.total[res].amount : n->own.free[res].amount;
        if (res == MR_RES_CPU && !s->empty && !s->lent && !n->own.open)
            have -= n->own.lent; /* for descendants of blocked tasks, as for any other task */
        for (uint32_t j = 0; j < k; j++) {
            const bundle *o = &s->g->b[s->g->order[j]];
            have -= !fixed(s, o) && o->at == n->number ? of(o->asks, o->n_asks, res) : 0;
        }
        if (have < b->asks[i].amount)
            return false;
        if (res == MR_RES_GPU && n->own.n_gpu && !gpus_fit(s, k, n))
            return false;
    }
    return true;
}

/* Higher is tried first; below 0: it may not go there. */
static int64_t score(const search *s, uint32_t k, const node *n)
{
    const int64_t far = INT64_C(1) << 40;
    uint32_t here = used(s, k, n->number);
    int64_t room = n->own.free[MR_RES_CPU].amount;
    room = room < 0 ? 0 : room > far - 1 ? far - 1 : room;
    bool any = k > 0;
    for (uint32_t i = 0; !any && i < s->g->n; i++)
        any = fixed(s, &s->g->b[i]);
    switch ((mr_group_strategy)s->strategy) {
    case MR_GROUP_STRICT_PACK:
        return any && !here ? -1 : room;
    case MR_GROUP_STRICT_SPREAD:
        return here ? -1 : room;
    case MR_GROUP_SPREAD:
        return room + far * (int64_t)(s->g->n - here);
    default:
        return room + far * here;
    }
}

/* The next node for bundle k, after the one it has in (score, number); false: none. */
static bool next(search *s, uint32_t k)
{
    bundle *b = &s->g->b[s->g->order[k]];
    int64_t best = -1;
    uint32_t at = UINT32_MAX;
    for (uint32_t i = 0; i < s->c->n_nodes; i++) {
        const node *n = s->c->nodes[i];
        int64_t x = n->alive ? score(s, k, n) : -1;
        bool later = b->at == UINT32_MAX || x < b->score || (x == b->score && i > b->at);
        if (x <= best || !later)
            continue;
        s->steps++;
        if (!fits(s, k, n))
            continue;
        best = x;
        at = i;
    }
    b->score = best;
    b->at = at;
    return at != UINT32_MAX;
}

static outcome look(search *s)
{
    group *g = s->g;
    uint32_t k = 0;
    for (uint32_t i = 0; i < g->n; i++)
        g->b[i].at = UINT32_MAX;
    for (;;) {
        while (k < g->n && fixed(s, &g->b[g->order[k]]))
            k++;
        if (k == g->n)
            return FOUND;
        if (next(s, k)) {
            k++;
            continue;
        }
        do { /* back to the last that was tried */
            if (!k)
                return NONE;
            k--;
        } while (fixed(s, &g->b[g->order[k]]));
        if (s->steps > (s->empty ? EMPTY_STEPS : STEPS))
            return UNSURE;
    }
}

/* What must be so in any case, found without a search: the nodes together have all that is asked. */
static bool enough(const search *s)
{
    int64_t short_of[MR_RES_MAX] = {0};
    for (uint32_t i = 0; i < s->g->n; i++)
        for (uint32_t k = 0; k < s->g->b[i].n_asks && !fixed(s, &s->g->b[i]); k++)
            short_of[s->g->b[i].asks[k].res] += s->g->b[i].asks[k].amount;
    for (uint32_t i = 0; i < s->c->n_nodes; i++) {
        const node *n = s->c->nodes[i];
        for (uint32_t k = 0; n->alive && k < n->own.n_res; k++) {
            int64_t have = s->empty ? n->own.total[k].amount : n->own.free[k].amount;
            short_of[k] -= have > 0 ? have : 0;
        }
    }
    for (uint32_t k = 0; k < MR_RES_MAX; k++)
        if (short_of[k] > 0)
            return false;
    return s->g->strategy != MR_GROUP_STRICT_SPREAD || s->g->n <= s->c->n_alive;
}

/* First as strictly as the wish says, then in any way. */
static outcome solve(mr_control *c, group *g, bool empty, bool lent)
{
    search s = {.c = c, .g = g, .strategy = g->strategy, .empty = empty, .lent = lent};
    if (!enough(&s))
        return NONE;
    if (g->strategy == MR_GROUP_PACK || g->strategy == MR_GROUP_SPREAD) {
        s.strategy = g->strategy == MR_GROUP_PACK ? MR_GROUP_STRICT_PACK : MR_GROUP_STRICT_SPREAD;
        if (look(&s) == FOUND)
            return FOUND;
        s.strategy = g->strategy;
        s.steps = 0;
    }
    return look(&s);
}

static bool larger(const bundle *a, const bundle *b)
{
    static const uint32_t by[] = {MR_RES_GPU, MR_RES_CPU, MR_RES_MEMORY};
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        int64_t x = of(a->asks, a->n_asks, by[i]), y = of(b->asks, b->n_asks, by[i]);
        if (x != y)
            return x > y;
    }
    return a->n_asks > b->n_asks;
}

/* By insertion: stable, and most groups are a few equal bundles. */
void mr_bundles_order(group *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t k = i;
        for (; k && larger(&g->b[i], &g->b[g->order[k - 1]]); k--)
            g->order[k] = g->order[k - 1];
        g->order[k] = i;
    }
}

bool mr_bundles_possible(mr_control *c, group *g)
{
    return solve(c, g, true, false) != NONE;
}

bool mr_bundles_soon(mr_control *c)
{
    MR_LIST_EACH(&c->pending, l)
    {
        if (solve(c, MR_LIST_ENTRY(l, group, pending), false, true) != NONE)
            return true;
    }
    return false;
}

static void take(mr_control *c, group *g, bundle *b)
{
    node *n = c->nodes[b->at];
    b->placed = true;
    b->p.node = n->number;
    b->v = (mr_task){.ref = MR_REF_BUNDLE | ++c->next_held,
                     .kind = MR_GROUP,
                     .state = MR_RUNNING_NOW,
                     .attempt = 1,
                     .submitted_at = MR_UNKNOWN,
                     .ready_at = MR_UNKNOWN,
                     .started_at = c->now,
                     .deadline = MR_UNKNOWN,
                     .limit = MR_UNKNOWN,
                     .estimate = MR_UNKNOWN,
                     .ran = MR_UNKNOWN,
                     .on = n->v.ref,
                     .needs = b->p.free,
                     .n_needs = b->p.n_res};
    g->unplaced--;
    for (uint32_t i = 0; i < b->n_asks; i++) {
        uint32_t res = b->asks[i].res;
        n->own.free[res].amount -= b->asks[i].amount;
        b->p.total[res].amount = b->p.free[res].amount = b->asks[i].amount;
        if (res == MR_RES_GPU)
            mr_gpu_reserve(&n->own, &b->p, b->asks[i].amount);
    }
    if (n->own.open && n->own.free[MR_RES_CPU].amount < n->own.lent)
        n->own.open = 0;
}

void mr_bundles_place(mr_control *c)
{
    MR_LIST_EACH(&c->pending, l)
    {
        group *g = MR_LIST_ENTRY(l, group, pending);
        if (solve(c, g, false, false) != FOUND)
            continue;
        for (uint32_t i = 0; i < g->n; i++)
            if (!g->b[g->order[i]].placed)
                take(c, g, &g->b[g->order[i]]);
        g->state = MR_GROUP_PLACED;
        mr_list_remove(&g->pending);
    }
}

void mr_bundle_drop(mr_control *c, bundle *b)
{
    node *n = c->nodes[b->p.node];
    for (uint32_t i = 0; i < b->n_asks; i++) {
        uint32_t res = b->asks[i].res;
        int64_t left = b->p.free[res].amount;
        if (left <= 0)
            continue;
        n->own.free[res].amount += left;
        b->p.total[res].amount -= left;
        b->p.free[res].amount = 0;
        if (res == MR_RES_GPU)
            mr_gpu_return(&b->p, &n->own);
    }
    c->dirty = true;
}

/* ----------------------------------------------------------------------------------------------------- for policies --
 */

/* The oldest placed bundle of a node (NULL: any) behind `after`. */
static const mr_task *held_after(mr_control *c, const node *n, mr_ref after)
{
    const mr_task *best = NULL;
    uint64_t at = 0, id;
    for (group **g; c->next_held && (g = mr_table_next(&c->groups, &at, &id));)
        for (uint32_t i = 0; i < (*g)->n; i++) {
            const bundle *b = &(*g)->b[i];
            if (b->placed && (!n || b->p.node == n->number) && b->v.ref > after && (!best || b->v.ref < best->ref))
                best = &b->v;
        }
    return best;
}

const mr_task *mr_bundle_next(mr_control *c, const node *n, mr_ref after)
{
    return held_after(c, n, after > MR_REF_BUNDLE ? after : MR_REF_BUNDLE);
}

const mr_task *mr_bundle_find(mr_control *c, mr_ref ref)
{
    const mr_task *t = MR_REF_KIND(ref) == MR_REF_BUNDLE && ref > MR_REF_BUNDLE ? held_after(c, NULL, ref - 1) : NULL;
    return t && t->ref == ref ? t : NULL;
}
