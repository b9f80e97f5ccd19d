/* check.c: recounts everything from the tables and compares it with what is kept.  O(n); for tests and the simulator.
 */
#include <stdlib.h>

#include "control/room.h"

typedef struct counts {
    uint32_t waiting, ready, travel, ahead, run, flight, blocked, flight_blocked, fresh, failing, over, past, stopped;
} counts;

#define BROKEN(...) return mr_err_set(err, MR_E_INVAL, __VA_ARGS__)
#define SAME(what, kept, counted)                                                                                      \
    do {                                                                                                               \
        if ((int64_t)(kept) != (int64_t)(counted))                                                                     \
            BROKEN("%s: %lld kept, %lld counted", what, (long long)(kept), (long long)(counted));                      \
    } while (0)

typedef unsigned long long ull;

/* --------------------------------------------------------------------------------------------------------- tasks -- */

static mr_status check_task(mr_control *c, const task *t, mr_err *err)
{
    uint32_t pending = 0, waits = 0;
    proc *p = proc_at(c, t->worker);
    if (t->where == W_OVER || t->where == W_PAST)
        return MR_OK;
    for (uint32_t i = 0; i < t->n_returns; i++) {
        const object *o = object_at(c, t->v.ref + i);
        if (o && object_task(o) == t->v.ref && !settled(o))
            pending++;
    }
    if (pending != t->unsealed)
        BROKEN("task %llx: %u results unsealed, %u counted", (ull)t->v.ref, t->unsealed, pending);
    for (uint32_t i = 0; i < t->n_deps; i++)
        waits += task_deps(t)[i].t == t;
    if (t->where != W_TRAVEL && waits != t->waiting)
        BROKEN("task %llx: waits for %u arguments, %u are linked", (ull)t->v.ref, t->waiting, waits);
    if ((t->where == W_WAITING && !t->actor && !waits) || (waits && t->where != W_WAITING && t->where != W_HELD))
        BROKEN("task %llx is at %d with %u arguments unsealed", (ull)t->v.ref, t->where, waits);
    bool stopped = t->flags & T_STOPPED;
    if ((t->where == W_RUN || t->where == W_AHEAD || t->where == W_FLIGHT || stopped) != (t->worker != 0))
        BROKEN("task %llx is at %d with worker %u", (ull)t->v.ref, t->where, t->worker);
    if (stopped && ((t->where != W_READY && t->where != W_FRESH) || p->state != MR_PROC_STOPPED ||
                    t->flags & (T_STOPPING | T_BLOCKED) || !c->shapes[t->shape]->of))
        BROKEN("task %llx is stopped at %d, its worker is %d", (ull)t->v.ref, t->where, p->state);
    if (!stopped && c->shapes[t->shape]->of)
        BROKEN("task %llx has the shape of a stopped one", (ull)t->v.ref);
    if (t->flags & T_STOPPING && t->where != W_RUN)
        BROKEN("task %llx is being stopped at %d", (ull)t->v.ref, t->where);
    if ((t->where == W_RUN || stopped) && (!p || p->task != t))
        BROKEN("task %llx runs on worker %u, which does not run it", (ull)t->v.ref, t->worker);
    bool seated = t->where == W_TRAVEL || t->where == W_PROCESS || t->where == W_RUN;
    const slot *s = task_slot(c, t);
    if (seated && s && s->t != t)
        BROKEN("task %llx is on slot %u, which has another", (ull)t->v.ref, s->v.id);
    if (seated && !task_node(c, t))
        BROKEN("task %llx is started nowhere", (ull)t->v.ref);
    int32_t tries = mr_task_tries(c, t);
    if (tries >= 0 && t->attempt > (uint32_t)tries)
        BROKEN("task %llx: attempt %u of %d", (ull)t->v.ref, t->attempt, tries);
    return MR_OK;
}

static mr_status check_tasks(mr_control *c, mr_err *err)
{
    counts n = {0};
    uint64_t at = 0, id;
    for (const task *t; (t = mr_table_next(&c->tasks, &at, &id));) {
        mr_status status = check_task(c, t, err);
        if (status)
            return status;
        n.waiting += t->where == W_WAITING;
        n.ready += t->where == W_READY;
        n.travel += t->where == W_TRAVEL || t->where == W_PROCESS;
        n.ahead += t->where == W_AHEAD;
        n.run += t->where == W_RUN;
        n.flight += t->where == W_FLIGHT;
        n.blocked += t->where == W_RUN && (t->flags & T_BLOCKED);
        n.flight_blocked += t->where == W_FLIGHT && (t->flags & T_BLOCKED);
        n.fresh += t->where == W_FRESH;
        n.failing += t->where == W_FAILING;
        n.over += t->where == W_OVER;
        n.past += t->where == W_PAST;
        n.stopped += !!(t->flags & T_STOPPED);
    }
    SAME("waiting tasks", c->n_waiting, n.waiting);
    SAME("ready tasks", c->n_ready, n.ready);
    SAME("travelling tasks", c->n_travel, n.travel);
    SAME("prefetched tasks", c->n_ahead, n.ahead);
    SAME("running tasks", c->n_running, n.run);
    SAME("calls in flight", c->n_flight, n.flight);
    SAME("blocked tasks", c->n_blocked, n.blocked);
    SAME("blocked calls", c->n_flight_blocked, n.flight_blocked);
    SAME("fresh tasks", c->fresh.n, n.fresh);
    SAME("failing tasks", 0, n.failing);
    SAME("tasks that are over", c->over.n, n.over);
    SAME("tasks that are kept", c->past.n, n.past);
    SAME("stopped tasks", c->n_stopped, n.stopped);
    return MR_OK;
}

/* ------------------------------------------------------------------------------------------------- queues, pools -- */

static mr_status check_queue(const queue *q, uint32_t *total, mr_err *err)
{
    uint32_t n = 0;
    const task *last = NULL;
    if (!q)
        return MR_OK;
    for (const task *t = mr_queue_first(q); t; t = mr_queue_after(q, t->v.rank, t->v.entry)) {
        if (t->q != q || t->where != W_READY || (last && !ranks_before(last, t)))
            BROKEN("task %llx is in a queue at the wrong place", (ull)t->v.ref);
        last = t;
        if (++n > q->n)
            break;
    }
    SAME("tasks in a queue", q->n, n);
    *total += n;
    return MR_OK;
}

static mr_status check_queues(mr_control *c, mr_err *err)
{
    uint32_t total = 0, placed = 0;
    /* The walk of the run from its head makes this quadratic; large queues are counted only. */
    bool walk = c->n_ready <= 2000;
    for (uint32_t i = 0; i < c->n_shapes && walk; i++) {
        const shape *s = c->shapes[i];
        if (check_queue(&s->shared, &total, err))
            return err ? err->status : MR_E_INVAL;
        if (mr_list_linked(&s->active) != (s->shared.n > 0))
            BROKEN("shape %u: its queue and the list of active shapes differ", i);
        for (uint32_t k = 0; k < c->n_nodes; k++)
            if (check_queue(mr_ready_queue(c, c->nodes[k]->v.ref, s), &placed, err))
                return err ? err->status : MR_E_INVAL;
        for (uint32_t k = 0; k < c->n_slots; k++)
            if (check_queue(mr_ready_queue(c, c->slots[k]->v.ref, s), &placed, err))
                return err ? err->status : MR_E_INVAL;
    }
    if (walk) {
        SAME("placed tasks", c->placed, placed);
        SAME("queued tasks", c->n_ready, total + placed);
    }
    return MR_OK;
}

/* Total = free + what its tasks hold + what was moved out of it, without what is lent. */
static mr_status check_pool(mr_control *c, const node *n, const pool *p, const int64_t *moved, mr_err *err)
{
    int64_t held[MR_RES_MAX] = {0}, lent = 0, gpus = 0;
    uint32_t blocked = 0, users = 0;
    for (mr_link *l = mr_list_first(&n->running); l; l = mr_list_next(&n->running, l)) {
        const task *t = MR_LIST_ENTRY(l, task, run);
        if (t->in != p)
            continue;
        users++;
        for (uint32_t i = 0; i < t->v.n_needs; i++)
            held[t->v.needs[i].res] += t->v.needs[i].amount;
        if (t->flags & T_LENT) {
            lent += c->shapes[t->shape]->cpu;
            blocked++;
        }
    }
    for (uint32_t k = 0; k < c->n_rest && p == &n->own; k++) {
        const shape *s = c->rest[k].of;
        users += c->rest[k].s->node == n->number;
        for (uint32_t i = 0; c->rest[k].s->node == n->number && i < s->n_needs; i++)
            held[s->needs[i].res] += s->needs[i].amount;
    }
    for (mr_link *l = mr_list_first(&n->stopped); l; l = mr_list_next(&n->stopped, l)) {
        const task *t = MR_LIST_ENTRY(l, task, run);
        if (proc_at(c, t->worker)->in != p)
            continue;
        users++;
        for (uint32_t i = 0; i < t->v.n_needs; i++)
            held[t->v.needs[i].res] += t->v.needs[i].res == MR_RES_CPU ? 0 : t->v.needs[i].amount;
    }
    SAME("tasks that use a pool", p->users, users);
    SAME("lent CPU", p->lent, lent);
    SAME("tasks that lend", p->blocked, blocked);
    if (mr_list_linked(&p->lends) != (blocked > 0))
        BROKEN("node %s: a pool and the list of those that lend differ", n->name);
    for (uint32_t i = 0; i < p->n_res; i++) {
        int64_t lends = i == MR_RES_CPU ? lent : 0;
        if (p->total[i].amount != p->free[i].amount + held[i] + moved[i] - lends)
            BROKEN("node %s, %s: total %lld, free %lld, held %lld, in bundles %lld, lent %lld", n->name,
                   mr_res_name(c, i), (long long)p->total[i].amount, (long long)p->free[i].amount, (long long)held[i],
                   (long long)moved[i], (long long)lends);
        if (p->free[i].amount < 0 && i != MR_RES_CPU)
            BROKEN("node %s, %s: free is %lld", n->name, mr_res_name(c, i), (long long)p->free[i].amount);
    }
    for (uint32_t g = 0; g < p->n_gpu; g++) {
        if (p->gpu[g] < 0 || p->gpu[g] > MR_RES_UNIT)
            BROKEN("node %s: %lld of GPU %u is free", n->name, (long long)p->gpu[g], g);
        gpus += p->gpu[g];
    }
    if (p->n_gpu && gpus != p->free[MR_RES_GPU].amount)
        BROKEN("node %s: %lld of its GPUs is free, the pool says %lld", n->name, (long long)gpus,
               (long long)p->free[MR_RES_GPU].amount);
    return MR_OK;
}

static mr_status check_bundles(mr_control *c, const node *n, int64_t *moved, mr_err *err)
{
    static const int64_t none[MR_RES_MAX];
    uint64_t at = 0, id;
    for (group **g; (g = mr_table_next(&c->groups, &at, &id));)
        for (uint32_t i = 0; i < (*g)->n; i++) {
            const pool *p = &(*g)->b[i].p;
            if (!(*g)->b[i].placed || p->node != n->number)
                continue;
            for (uint32_t k = 0; k < p->n_res; k++)
                moved[k] += p->total[k].amount;
            mr_status status = check_pool(c, n, p, none, err);
            if (status)
                return status;
        }
    return MR_OK;
}

static mr_status check_caps(mr_control *c, mr_err *err)
{
    for (const ceiling *k = c->caps; k; k = k->next) {
        int64_t used = 0;
        for (uint32_t i = 0; i < c->n_nodes; i++)
            MR_LIST_EACH(&c->nodes[i]->running, l)
            {
                const task *t = MR_LIST_ENTRY(l, task, run);
                const shape *s = c->shapes[t->shape];
                if (s->caps[0] != k && s->caps[1] != k)
                    continue;
                for (uint32_t n = 0; k->cpus && n < t->v.n_needs; n++)
                    used += t->v.needs[n].res == MR_RES_CPU && !(t->flags & T_LENT) ? t->v.needs[n].amount : 0;
                used += !k->cpus;
            }
        for (uint32_t i = 0; i < c->n_nodes && !k->cpus; i++)
            MR_LIST_EACH(&c->nodes[i]->stopped, l)
            {
                used += c->shapes[MR_LIST_ENTRY(l, task, run)->shape]->of->caps[0] == k;
            }
        SAME("what runs under a limit", k->used, used);
        if (!k->cpus && used > k->limit)
            BROKEN("%lld tasks of %s run, the limit is %lld", (long long)used, mr_intern_text(c->names, k->name),
                   (long long)k->limit);
    }
    return MR_OK;
}

static mr_status check_groups(mr_control *c, mr_err *err)
{
    uint64_t at = 0, id;
    for (group **p; (p = mr_table_next(&c->groups, &at, &id));) {
        const group *g = *p;
        uint32_t unplaced = 0;
        for (uint32_t i = 0; i < g->n; i++)
            unplaced += !g->b[i].placed;
        if (g->state == MR_GROUP_REMOVED)
            continue;
        SAME("bundles without a node", g->unplaced, unplaced);
        if (mr_list_linked(&g->pending) != (unplaced > 0) || (g->state == MR_GROUP_PLACED) != !unplaced)
            BROKEN("placement group %llx: state %d with %u bundles that have no node", (ull)id, g->state, unplaced);
        for (uint32_t i = 0; g->strategy >= MR_GROUP_STRICT_PACK && i < g->n; i++)
            for (uint32_t k = 0; k < i; k++)
                if (g->b[i].placed && g->b[k].placed &&
                    (g->b[i].p.node == g->b[k].p.node) != (g->strategy == MR_GROUP_STRICT_PACK))
                    BROKEN("placement group %llx: bundles %u and %u break %s", (ull)id, k, i,
                           mr_group_strategy_name(g->strategy));
    }
    return MR_OK;
}

static mr_status check_node(mr_control *c, const node *n, uint32_t *idle_slots, mr_err *err)
{
    uint32_t idle = 0, resting = 0, stopped = 0;
    int64_t moved[MR_RES_MAX] = {0};
    for (mr_link *l = mr_list_first(&n->stopped); l; l = mr_list_next(&n->stopped, l))
        stopped += task_node(c, MR_LIST_ENTRY(l, task, run)) == n;
    SAME("tasks that stand still on a node", n->n_stopped, stopped);
    for (mr_link *l = mr_list_first(&n->running); l; l = mr_list_next(&n->running, l)) {
        const task *t = MR_LIST_ENTRY(l, task, run);
        if (task_node(c, t) != n)
            BROKEN("task %llx is listed on node %u, where it is not", (ull)t->v.ref, n->number);
        if (t->in->node != n->number || !mr_group_uses(c->shapes[t->shape], t->in))
            BROKEN("task %llx has resources of a pool that is not its own", (ull)t->v.ref);
    }
    mr_status status = check_bundles(c, n, moved, err);
    if (!status)
        status = check_pool(c, n, &n->own, moved, err);
    if (status)
        return status;
    for (uint32_t i = 0; i < n->n_slots; i++) {
        const slot *s = c->slots[n->slots[i]];
        idle += !s->t;
        if (s->t && (s->t->v.on != s->v.ref || s->v.task != s->t->v.ref))
            BROKEN("slot %u has task %llx, which is elsewhere", s->v.id, (ull)s->t->v.ref);
    }
    *idle_slots += n->n_idle;
    for (uint32_t i = 0; i < c->n_rest; i++)
        resting += c->rest[i].s->node == n->number;
    if (n->alive)
        SAME("idle slots", n->n_idle + resting, idle);
    for (const kind *k = n->kinds; k; k = k->next) {
        uint32_t listed = 0;
        for (mr_link *l = mr_list_first(&k->idle); l; l = mr_list_next(&k->idle, l))
            listed++;
        SAME("idle processes of a kind", k->n_idle, listed);
    }
    return MR_OK;
}

/* No ready task beside a pool that fits, once the instant is closed and no policy chooses, if there was memory. */
static mr_status check_greedy(mr_control *c, mr_err *err)
{
    if (c->pol.ops.pick || c->pol.failed || c->placed || c->dirty || c->n_rest || c->fresh.n || c->again_at >= 0)
        return MR_OK;
    if (c->held_back) {
        if (!c->n_ahead && c->n_ready)
            BROKEN("%u tasks wait for a busy process, and none holds anything", c->n_ready);
        return MR_OK;
    }
    for (uint32_t i = 0; i < c->n_shapes; i++) {
        const shape *s = c->shapes[i];
        task *t = mr_queue_first(&s->shared);
        for (uint32_t k = 0; t && k < c->n_nodes; k++)
            if (mr_node_can(c, c->nodes[k], s, t) && mr_node_idle_slot(c, c->nodes[k], false))
                BROKEN("task %llx is ready though node %s has room for it", (ull)t->v.ref, c->nodes[k]->name);
    }
    return MR_OK;
}

/* ------------------------------------------------------------------------------------------------------- holders -- */

static void count(void *held, mr_id id, mr_holder_kind how, uint64_t holder)
{
    uint32_t *n = mr_table_put(held, id);
    (void)how;
    (void)holder;
    if (n)
        ++*n;
}

static mr_status check_objects(mr_control *c, mr_err *err)
{
    mr_table held;
    uint64_t at = 0, id, bytes = 0, spilled = 0;
    mr_status status = MR_OK;
    mr_table_init(&held, sizeof(uint32_t));
    mr_control_holds(c, count, &held);
    for (const object *o; !status && (o = mr_table_next(&c->objects, &at, &id));) {
        const uint32_t *n = mr_table_at(&held, id);
        bytes += o->vflags & MR_VALUE_STORED ? o->size : 0;
        spilled += o->vflags & V_DISK ? o->size : 0;
        if (o->holders != (n ? *n : 0))
            status = mr_err_set(err, MR_E_INVAL, "object %llx: %u holders kept, %u counted", (ull)id, o->holders,
                                n ? *n : 0);
        else if (!o->holders && settled(o) && !(o->flags & O_ACTOR))
            status = mr_err_set(err, MR_E_INVAL, "object %llx is settled, nobody holds it, and it is there", (ull)id);
        else if (!settled(o) && !task_live(c, object_task(o)) &&
                 !(task_at(c, object_task(o)) && task_at(c, object_task(o))->flags & T_AGAIN))
            status = mr_err_set(err, MR_E_INVAL, "object %llx is pending and no task makes it", (ull)id);
        else if ((o->vflags & V_DISK) && (!(o->vflags & MR_VALUE_STORED) || (o->nodes & (o->nodes - 1))))
            status = mr_err_set(err, MR_E_INVAL, "object %llx is on disk and elsewhere", (ull)id);
        else if (settled(o) && (o->deps || o->waits))
            status = mr_err_set(err, MR_E_INVAL, "object %llx is settled and waited for", (ull)id);
    }
    mr_table_fini(&held);
    if (!status && bytes != c->object_bytes)
        BROKEN("bytes of objects: %llu kept, %llu counted", (ull)c->object_bytes, (ull)bytes);
    if (!status && spilled != c->spilled_bytes)
        BROKEN("bytes on disk: %llu kept, %llu counted", (ull)c->spilled_bytes, (ull)spilled);
    return status;
}

/* ----------------------------------------------------------------------------------------------------- processes -- */

static mr_status check_spares(mr_control *c, mr_err *err)
{
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const node *n = c->nodes[i];
        uint32_t idle = 0;
        for (const kind *k = n->kinds; k; k = k->next)
            idle += k->n_idle;
        if (n->alive)
            SAME("idle processes of a node", n->spares, idle);
    }
    return MR_OK;
}

static mr_status check_procs(mr_control *c, mr_err *err)
{
    uint32_t pooled = 0, starting = 0, retiring = 0;
    uint64_t at = 0, id;
    for (const proc *p; (p = mr_table_next(&c->procs, &at, &id));) {
        pooled += p->pooled;
        starting += p->state == MR_PROC_STARTING;
        retiring += p->state == MR_PROC_RETIRING;
        bool idle = mr_list_linked(&p->idle);
        for (uint32_t i = 0; i < c->n_rest; i++)
            idle |= c->rest[i].p == p;
        if (idle != (p->state == MR_PROC_IDLE && !p->killing))
            BROKEN("worker %u: state %d, %s", p->number, p->state, idle ? "listed as idle" : "not listed as idle");
        if (p->task && p->task->where != W_RUN && !(p->task->flags & T_STOPPED))
            BROKEN("worker %u runs task %llx, which is at %d", p->number, (ull)p->task->v.ref, p->task->where);
        if ((p->state == MR_PROC_STOPPED) != (p->task && p->task->flags & T_STOPPED))
            BROKEN("worker %u: state %d, and its task is at %d", p->number, p->state, p->task ? p->task->where : -1);
        for (const task *t = p->ahead.head; t; t = t->qb)
            if (t->where != W_AHEAD || t->worker != p->number || (!p->task && !p->killing))
                BROKEN("worker %u holds task %llx, which is at %d", p->number, (ull)t->v.ref, t->where);
        for (mr_link *l = mr_list_first(&p->owned); l; l = mr_list_next(&p->owned, l))
            if (MR_LIST_ENTRY(l, task, owned)->owner != p->number)
                BROKEN("worker %u owns a task of worker %u", p->number, MR_LIST_ENTRY(l, task, owned)->owner);
    }
    SAME("processes of the pool", c->n_procs, pooled);
    SAME("processes being born", c->n_starting, starting);
    SAME("processes sent away", c->n_retiring, retiring);
    return MR_OK;
}

static mr_status check_actors(mr_control *c, mr_err *err)
{
    uint32_t living = 0;
    uint64_t at = 0, id;
    for (actor *a; (a = mr_table_next(&c->actors, &at, &id));) {
        uint32_t pending = a->loose.n + a->flight.n, flight = a->system_flight;
        for (uint32_t i = 0; mr_actor_ready_lists(c, a, i); i++) {
            pending += mr_actor_ready_lists(c, a, i)->n;
            flight += a->lanes[i].in_flight;
        }
        living += a->state != MR_ACTOR_DEAD;
        for (const caller *k = a->callers; k; k = k->next)
            pending += k->held.n;
        if (a->state != MR_ACTOR_DEAD && a->pending != pending)
            BROKEN("actor %llx: %u calls pending, %u counted", (ull)a->id, a->pending, pending);
        if (a->state == MR_ACTOR_DEAD && pending)
            BROKEN("actor %llx is dead and has calls", (ull)a->id);
        if (flight != a->flight.n)
            BROKEN("actor %llx: %u calls in flight, %u counted", (ull)a->id, flight, a->flight.n);
    }
    SAME("living actors", c->n_actors, living);
    return MR_OK;
}

mr_status mr_control_check(const mr_control *shown, mr_err *err)
{
    mr_control *c = (mr_control *)(uintptr_t)shown; /* lookups keep the page they found last */
    mr_err own;
    uint32_t idle_slots = 0;
    err = err ? err : &own;
    mr_status status = check_tasks(c, err);
    if (!status)
        status = check_queues(c, err);
    for (uint32_t i = 0; !status && i < c->n_nodes; i++)
        status = check_node(c, c->nodes[i], &idle_slots, err);
    if (!status && c->n_idle != idle_slots)
        BROKEN("%u slots are idle, %u counted", idle_slots, c->n_idle);
    if (!status)
        status = check_groups(c, err);
    if (!status)
        status = check_caps(c, err);
    if (!status)
        status = check_objects(c, err);
    if (!status)
        status = check_spares(c, err);
    if (!status)
        status = check_procs(c, err);
    if (!status)
        status = check_actors(c, err);
    if (!status)
        status = check_greedy(c, err);
    return status;
}
