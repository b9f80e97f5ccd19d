/* groups.c: placement groups: their records, what a task in one may use, and their end.
 *
 * A group asks for bundles of resources.  When all of them have found a node at once (bundles.c), each bundle is a
 * pool: what it asks has moved out of its node's own pool, and tasks of the group take from it and give back to it.  A
 * group is removed on request, or with the actor that made it: what runs in it is ended, and what its bundles have goes
 * back to the nodes as it falls free.  The small record of a removed group stays, because shapes name it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

enum { MOST_BUNDLES = 4096 };

/* ---------------------------------------------------------------------------------------------------- in a group -- */

static bool large_enough(const bundle *b, const shape *s)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < s->n_needs; i++) {
        while (k < b->n_asks && b->asks[k].res < s->needs[i].res)
            k++;
        if (k == b->n_asks || b->asks[k].res != s->needs[i].res || b->asks[k].amount < s->needs[i].amount)
            return false;
    }
    return true;
}

static bool names(const shape *s, uint32_t i)
{
    return s->bundle < 0 || (uint32_t)s->bundle == i;
}

bool mr_group_allows(const node *n, const shape *s)
{
    const group *g = s->group;
    for (uint32_t i = 0; i < g->n; i++)
        if (names(s, i) && (!g->b[i].placed || g->b[i].p.node == n->number) && large_enough(&g->b[i], s))
            return true;
    return false;
}

bool mr_group_feasible(const shape *s)
{
    const group *g = s->group;
    for (uint32_t i = 0; i < g->n; i++)
        if (names(s, i) && large_enough(&g->b[i], s))
            return true;
    return false;
}

pool *mr_group_pool(mr_control *c, const node *n, const shape *s, const task *t, bool lent)
{
    group *g = s->group;
    if (g->state == MR_GROUP_REMOVED || g->state == MR_GROUP_PENDING)
        return NULL;
    for (uint32_t i = 0; i < g->n; i++) {
        bundle *b = &g->b[i];
        if (names(s, i) && b->placed && b->p.node == n->number && mr_pool_fits(&b->p, s->needs, s->n_needs) &&
            (lent || mr_pool_lends(c, &b->p, s, t)))
            return &b->p;
    }
    return NULL;
}

bool mr_group_uses(const shape *s, const pool *p)
{
    return p->group == s->group && (!s->group || s->bundle < 0 || p == &s->group->b[s->bundle].p);
}

mr_status mr_group_unschedulable(mr_control *c, const func *f, const shape *s)
{
    char want[200] = "", has[256] = "", one[96];
    size_t at = 0;
    const group *g = s->group;
    for (uint32_t i = 0; i < s->n_needs && at < sizeof want - 1; i++) {
        mr_amount_text(c, s->needs[i].res, s->needs[i].amount, one, sizeof one);
        at += (size_t)snprintf(want + at, sizeof want - at, "%s%s", i ? ", " : "", one);
    }
    at = 0;
    for (uint32_t i = 0; i < g->n && at < sizeof has - 1; i++) {
        if (!names(s, i))
            continue;
        at += (size_t)snprintf(has + at, sizeof has - at, "%s{", at ? ", " : "");
        for (uint32_t k = 0; k < g->b[i].n_asks && at < sizeof has - 1; k++) {
            mr_amount_text(c, g->b[i].asks[k].res, g->b[i].asks[k].amount, one, sizeof one);
            at += (size_t)snprintf(has + at, sizeof has - at, "%s%s", k ? ", " : "", one);
        }
        at += at < sizeof has - 1 ? (size_t)snprintf(has + at, sizeof has - at, "}") : 0;
    }
    if (s->bundle >= 0)
        return mr_control_refuse(c, MR_E_UNSCHEDULABLE,
                                 "%s needs %s, which cannot fit into bundle %d of the placement group: %s",
                                 f->def->name, want, s->bundle, has);
    return mr_control_refuse(c, MR_E_UNSCHEDULABLE,
                             "%s needs %s, which cannot fit into any bundles for the placement group: %s", f->def->name,
                             want, has);
}

/* What gives the task: the task whose call this is, the actor on which it runs. */
static const shape *shape_of_giver(mr_control *c, mr_id parent, uint32_t client)
{
    const task *t = parent ? task_live(c, parent) : NULL;
    const proc *p = t ? NULL : proc_at(c, client);
    mr_id id = t ? t->actor : p ? p->actor : 0;
    const actor *a = id ? actor_at(c, id) : NULL;
    if (a)
        t = a->creation;
    return t ? c->shapes[t->shape] : NULL;
}

shape *mr_group_shape(mr_control *c, const mr_ev_submit *e, func *f)
{
    shape *own = f->shape[e->parent != 0];
    if (!mr_table_count(&c->groups) || !e->h.from || e->actor || (f->def->flags & MR_FUNC_OWN_PLACE))
        return own;
    const shape *up = shape_of_giver(c, e->parent, e->h.from);
    if (!up || !up->captures)
        return own;
    if (!f->captured || f->captured->group != up->group)
        f->captured = mr_shape_captured(c, own, up->group);
    return f->captured;
}

/* -------------------------------------------------------------------------------------------------------- making -- */

static void fini(group *g)
{
    for (uint32_t i = 0; g->b && i < g->n; i++) {
        mr_pool_fini(&g->b[i].p);
        free(g->b[i].asks);
        free(g->b[i].terms);
    }
    free(g->b);
    free(g->order);
    g->b = NULL;
    g->order = NULL;
}

/* `v`: the amounts of one bundle, up to its end. */
static mr_status read_bundle(mr_control *c, group *g, bundle *b, const mr_named *v, uint32_t n)
{
    int64_t dense[MR_RES_MAX] = {0};
    uint32_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t res;
        mr_status status = mr_res_number(c, v[i].name, &res);
        if (status)
            return status;
        if (v[i].amount < 0)
            return mr_control_refuse(c, MR_E_INVAL, "placement group: %s of a bundle is negative", v[i].name);
        dense[res] = v[i].amount;
        most = v[i].amount && res > most ? res : most;
        b->n_asks += v[i].amount > 0;
    }
    if (!b->n_asks)
        return mr_control_refuse(c, MR_E_INVAL, "placement group: a bundle asks for nothing");
    b->asks = calloc(b->n_asks, sizeof *b->asks);
    b->p.gpu = dense[MR_RES_GPU] ? calloc(MR_GPU_MOST, sizeof *b->p.gpu) : NULL;
    if (!b->asks || !mr_pool_init(&b->p, most + 1) || (dense[MR_RES_GPU] && !b->p.gpu))
        return MR_E_NOMEM;
    uint32_t k = 0;
    for (uint32_t i = 0; i <= most; i++)
        if (dense[i])
            b->asks[k++] = (mr_amount){i, dense[i]};
    b->p.group = g;
    return MR_OK;
}

static mr_status read_bundles(mr_control *c, group *g, const mr_ev_group *e)
{
    const mr_named *v = mr_record_bytes(e, sizeof *e);
    uint32_t from = 0, n = 0;
    g->b = calloc(e->n_bundles, sizeof *g->b);
    g->order = calloc(e->n_bundles, sizeof *g->order);
    if (!g->b || !g->order)
        return MR_E_NOMEM;
    for (uint32_t i = 0; i < e->n_amounts; i++) {
        if (v[i].name[0])
            continue;
        if (n == e->n_bundles)
            break;
        mr_status status = read_bundle(c, g, &g->b[n++], v + from, i - from);
        g->n = n;
        if (status)
            return status;
        from = i + 1;
    }
    return n == e->n_bundles ? MR_OK
                             : mr_control_refuse(c, MR_E_INVAL, "placement group: %u of %u bundles", n, e->n_bundles);
}

static mr_status read_terms(mr_control *c, group *g, const mr_ev_group *e)
{
    const mr_term *v = (const void *)((const char *)mr_record_bytes(e, sizeof *e) + e->n_amounts * sizeof(mr_named));
    uint32_t from = 0, k = 0;
    for (uint32_t i = 0; i < e->n_terms; i++) {
        if (v[i].key[0] && v[i].op > MR_TERM_ABSENT)
            return mr_control_refuse(c, MR_E_INVAL, "placement group: condition %u on a label is unknown", v[i].op);
        if (v[i].key[0])
            continue;
        if (k == g->n)
            return mr_control_refuse(c, MR_E_INVAL, "placement group: labels for more than %u bundles", g->n);
        bundle *b = &g->b[k++];
        b->n_terms = i - from;
        if (b->n_terms && !(b->terms = malloc(b->n_terms * sizeof *b->terms)))
            return MR_E_NOMEM;
        if (b->n_terms)
            memcpy(b->terms, v + from, b->n_terms * sizeof *b->terms);
        from = i + 1;
    }
    return MR_OK;
}

static group *find_named(mr_control *c, const char *text, size_t n)
{
    MR_LIST_EACH(&c->named_groups, l)
    {
        group *g = MR_LIST_ENTRY(l, group, named);
        if (mr_name_size(g->name) == n && !memcmp(g->name, text, n))
            return g;
    }
    return NULL;
}

static mr_status check_make(mr_control *c, const mr_ev_group *e, const char *name)
{
    if (!e->id || group_at(c, e->id) || e->strategy > MR_GROUP_STRICT_SPREAD || !e->n_bundles ||
        e->n_bundles > MOST_BUNDLES)
        return mr_control_refuse(c, MR_E_INVAL,
                                 "placement group %llx: strategy %u with %u bundles; there must be 1 to %d",
                                 (unsigned long long)e->id, e->strategy, e->n_bundles, MOST_BUNDLES);
    if (!e->name_bytes)
        return MR_OK;
    if (!mr_name_good(name, e->name_bytes))
        return mr_control_refuse(c, MR_E_INVAL, "a name must be namespace and name, each ended by 0");
    if (find_named(c, name, e->name_bytes))
        return mr_control_refuse(c, MR_E_NAME_TAKEN,
                                 "the name \"%s\" is already taken in namespace \"%s\" by a placement group",
                                 name + strlen(name) + 1, name);
    return MR_OK;
}

static mr_status make(mr_control *c, const mr_ev_group *e)
{
    const char *name =
        (const char *)mr_record_bytes(e, sizeof *e) + e->n_amounts * sizeof(mr_named) + e->n_terms * sizeof(mr_term);
    mr_status status = check_make(c, e, name);
    if (status)
        return status;
    status = MR_E_NOMEM;
    group *g = calloc(1, sizeof *g);
    group **at = NULL;
    if (!g || (e->name_bytes && !(g->name = malloc(e->name_bytes))))
        goto fail;
    g->id = e->id;
    g->strategy = (uint8_t)e->strategy;
    g->detached = e->flags & MR_GROUP_DETACHED;
    status = read_bundles(c, g, e);
    if (!status)
        status = read_terms(c, g, e);
    if (status)
        goto fail;
    g->unplaced = g->n;
    mr_bundles_order(g);
    if (!c->conf.infeasible_wait && !mr_bundles_possible(c, g)) {
        status = mr_control_refuse(
            c, MR_E_UNSCHEDULABLE,
            "placement group: its %u bundles cannot be placed as %s on the %u nodes there are%s, "
            "even if they were empty",
            g->n, mr_group_strategy_name(g->strategy), c->n_alive, e->n_terms ? " and their labels" : "");
        goto fail;
    }
    status = MR_E_NOMEM;
    if (!(at = mr_table_put(&c->groups, g->id)))
        goto fail;
    *at = g;
    if (g->name) {
        memcpy(g->name, name, e->name_bytes);
        mr_list_push_back(&c->named_groups, &g->named);
    }
    const proc *p = proc_at(c, e->h.from);
    g->owner = p && !g->detached ? p->actor : 0;
    mr_list_push_back(&c->pending, &g->pending);
    c->dirty = true;
    return MR_OK;
fail:
    if (g) {
        fini(g);
        free(g->name);
        free(g);
    }
    return status;
}

/* -------------------------------------------------------------------------------------------------------- ending -- */

static void evict(mr_control *c, task *t, const group *g)
{
    actor *a = t->v.kind == MR_ACTOR ? actor_at(c, t->v.ref) : NULL;
    if (a) {
        mr_fault f = {.status = MR_E_ACTOR_DIED, .worker = a->worker, .func = a->func, .why = 2, .cause = a->id};
        object_at(c, a->id)->flags |= O_CANCEL;
        mr_actor_exit(c, a, &f, false);
        return;
    }
    if (t->flags & T_STOPPED)
        mr_stop_end(c, t, false);
    if (t->where == W_RUN || t->where == W_AHEAD) { /* what is ahead goes with its process */
        t->flags |= T_CANCEL | T_EVICTED;
        mr_proc_kill(c, proc_at(c, t->worker));
    } else if (t->where != W_FAILING) {
        mr_fault f = mr_task_fault(c, t, MR_E_GROUP_REMOVED);
        f.cause = g->id;
        mr_task_fail(c, t, &f);
    }
}

static bool in_group(mr_control *c, const task *t, const group *g)
{
    return !t->actor && c->shapes[t->shape]->group == g && t->where != W_OVER && t->where != W_PAST;
}

/* Nothing uses it any more: its pools go; what it asked for stays, to be shown. */
static void forget(group *g)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (g->b[i].p.users)
            return;
    for (uint32_t i = 0; i < g->n; i++) {
        mr_pool_fini(&g->b[i].p);
        g->b[i].placed = false;
    }
}

/* Looks at every task that there is: removing a group is rare, and a task in none should not pay for it. */
static mr_status end(mr_control *c, group *g)
{
    uint64_t at = 0, id;
    size_t n = 0;
    for (const task *t; (t = mr_table_next(&c->tasks, &at, &id));)
        n += in_group(c, t, g);
    mr_id *ids = malloc((n + 1) * sizeof *ids);
    if (!ids)
        return mr_control_refuse(c, MR_E_NOMEM, "no memory to remove a placement group");
    n = at = 0;
    for (const task *t; (t = mr_table_next(&c->tasks, &at, &id));)
        if (in_group(c, t, g))
            ids[n++] = id;
    g->state = MR_GROUP_REMOVED;
    mr_list_remove(&g->named);
    mr_list_remove(&g->pending);
    for (uint32_t i = 0; i < g->n; i++) /* what is used follows as it falls free */
        if (g->b[i].placed)
            mr_bundle_drop(c, &g->b[i]);
    for (size_t i = 0; i < n; i++) {
        task *t = task_live(c, ids[i]); /* ending one may end another */
        if (t && in_group(c, t, g))
            evict(c, t, g);
    }
    free(ids);
    forget(g);
    c->dirty = true;
    return MR_OK;
}

void mr_group_given(mr_control *c, pool *p)
{
    group *g = p->group;
    if (g->state != MR_GROUP_REMOVED)
        return;
    mr_bundle_drop(c, (bundle *)(void *)p); /* its first member */
    forget(g);
}

void mr_groups_owner_gone(mr_control *c, mr_id owner)
{
    uint64_t at = 0, id;
    for (group **g; (g = mr_table_next(&c->groups, &at, &id));)
        if ((*g)->owner == owner && (*g)->state != MR_GROUP_REMOVED)
            (void)!end(c, *g); /* without memory it stays until the session ends */
}

void mr_groups_node_gone(mr_control *c, const node *n)
{
    uint64_t at = 0, id;
    for (group **p; (p = mr_table_next(&c->groups, &at, &id));) {
        group *g = *p;
        for (uint32_t i = 0; g->state != MR_GROUP_REMOVED && i < g->n; i++) {
            bundle *b = &g->b[i];
            if (!b->placed || b->p.node != n->number)
                continue;
            MR_BUG_ON(b->p.users);
            mr_bundle_drop(c, b);
            b->placed = false;
            if (!g->unplaced++) {
                g->state = MR_GROUP_RESCHEDULING;
                mr_list_push_back(&c->pending, &g->pending);
            }
        }
    }
}

void mr_groups_free(mr_control *c)
{
    uint64_t at = 0, id;
    for (group **g; (g = mr_table_next(&c->groups, &at, &id));) {
        fini(*g);
        free((*g)->name);
        free(*g);
    }
    mr_table_fini(&c->groups);
}

/* -------------------------------------------------------------------------------------------------------- asking -- */

static mr_status find(mr_control *c, const mr_ev_group *e, mr_id *out)
{
    const char *name = mr_record_bytes(e, sizeof *e);
    group *g = mr_name_good(name, e->h.n_bytes) ? find_named(c, name, e->h.n_bytes) : NULL;
    if (!g)
        return mr_control_refuse(c, MR_E_NOTFOUND, "Failed to look up placement group with name: %s",
                                 mr_name_good(name, e->h.n_bytes) ? name + strlen(name) + 1 : "");
    *out = g->id;
    return MR_OK;
}

mr_status mr_group_event(mr_control *c, const mr_record *r)
{
    const mr_ev_group *e = (const void *)r;
    mr_id answer = e->id;
    mr_status status = MR_OK;
    group *g;
    const shape *s;
    switch ((mr_group_op)e->op) {
    case MR_GROUP_MAKE:
        status = make(c, e);
        break;
    case MR_GROUP_REMOVE:
        g = group_at(c, e->id);
        status = !g ? mr_control_refuse(c, MR_E_NOTFOUND, "there is no placement group %llx", (unsigned long long)e->id)
                 : g->state == MR_GROUP_REMOVED ? MR_OK
                                                : end(c, g);
        break;
    case MR_GROUP_FIND:
        status = find(c, e, &answer);
        break;
    case MR_GROUP_CURRENT:
        s = shape_of_giver(c, e->id, r->from);
        answer = s && s->group ? s->group->id | (s->captures ? MR_GROUP_CAPTURES : 0) : 0;
        break;
    default:
        status = mr_control_refuse(c, MR_E_INVAL, "placement group: no such request %u", e->op);
    }
    if (!status)
        mr_control_reply(c, r, MR_OK, (int64_t)answer);
    return status;
}

/* ------------------------------------------------------------------------------------------------------- looking -- */

const char *mr_group_strategy_name(uint32_t strategy)
{
    static const char *const texts[] = {"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"};
    return strategy < sizeof texts / sizeof *texts ? texts[strategy] : "?";
}

bool mr_control_group(const mr_control *c, mr_id id, mr_group_info *out)
{
    const group *g = group_at((mr_control *)(uintptr_t)c, id);
    if (!g)
        return false;
    *out = (mr_group_info){.id = g->id,
                           .state = (mr_group_state)g->state,
                           .strategy = g->strategy,
                           .n_bundles = g->n,
                           .unplaced = g->unplaced,
                           .name = g->name ? g->name + strlen(g->name) + 1 : "",
                           .ns = g->name ? g->name : ""};
    return true;
}

bool mr_control_bundle(const mr_control *c, mr_id id, uint32_t i, mr_bundle_info *out)
{
    const group *g = group_at((mr_control *)(uintptr_t)c, id);
    if (!g || i >= g->n)
        return false;
    const bundle *b = &g->b[i];
    *out = (mr_bundle_info){.node = b->placed ? b->p.node : UINT32_MAX, .n = b->n_asks, .asks = b->asks};
    return true;
}

const char *mr_control_resource(const mr_control *c, uint32_t res)
{
    return mr_res_name(c, res);
}

mr_id mr_control_group_next(const mr_control *c, mr_id after)
{
    uint64_t at = 0, id;
    mr_id least = 0;
    while (mr_table_next(&c->groups, &at, &id))
        if (id > after && (!least || id < least))
            least = id;
    return least;
}
