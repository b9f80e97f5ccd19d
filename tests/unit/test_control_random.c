/* test_control_random.c: 1,000 seeded histories of submissions, deaths, cancels, retries, blocks, drops and lost nodes.
 *
 * After every step control recounts itself (mr_control_check); here is checked what only the outside can see: each
 * result ends exactly once, no process stands still that control takes for a running one (or the other way round), each
 * history comes to an end, and then nothing is left.  MRTEST_HISTORIES=10000 runs more of them.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "helper_control.h"
#include "helper_stops.h"
#include "run_suite.h"

enum { STEPS = 120, MOST = 4096, BASE = 1000, FUNCS = 13, PLAIN = 9 };

typedef struct history {
    world w;
    mr_rand r;
    uint32_t f[FUNCS], method, node_count;
    uint8_t ended[MOST], result[MOST]; /* by id - BASE */
    mr_id held[MOST];
    uint32_t n_held;
    struct {
        uint32_t client, token;
        mr_id task;
    } waits[256];
    uint32_t n_waits;
    mr_id actors[64];
    uint32_t n_actors;
    mr_id groups[8];
    uint32_t n_groups;
    stops os;
    bool ending, stopping; /* stopping: policies always preempt */
} history;

static uint64_t stops_ever;

static uint64_t below(history *h, uint64_t n)
{
    return mr_rand_below(&h->r, n);
}

static bool one_in(history *h, uint64_t n)
{
    return below(h, n) == 0;
}

/* No ck_assert where it is often true: each writes to the parent's file. */
static void ends(history *h, mr_id id)
{
    if (id < BASE || id >= BASE + MOST || !h->result[id - BASE])
        ck_abort_msg("%llu ended and is no result", (unsigned long long)id);
    if (h->ended[id - BASE] && !h->w.conf.lineage) /* what a node takes with it may be made again by its task */
        ck_abort_msg("%llu ended twice", (unsigned long long)id);
    h->ended[id - BASE] = 1;
}

/* Who stands still stands still for a reason. */
static void look(history *h)
{
    bool asked[STOPS_WORKERS] = {false};
    for (size_t i = 0; i < h->w.n_seen; i++)
        asked[h->w.seen[i].worker % STOPS_WORKERS] |=
            h->w.seen[i].kind == MR_ACT_STOP || h->w.seen[i].kind == MR_ACT_KILL;
    stops_check(&h->os, &h->w, asked);
}

/* Takes note of what ended; answers what asks for an answer, now or later. */
static void answer(history *h)
{
    world *w = &h->w;
    for (size_t i = 0; i < w->n_seen;) {
        mr_action a = w->seen[i];
        if (a.kind == MR_ACT_STOP && !a.token) {
            w->seen[i].token = 1; /* sent */
            stops_see(&h->os, &a);
        }
        if ((a.kind == MR_ACT_SPAWN || a.kind == MR_ACT_RETIRE || a.kind == MR_ACT_REVOKE ||
             a.kind == MR_ACT_TRANSFER || a.kind == MR_ACT_KILL || a.kind == MR_ACT_STOP) &&
            !h->ending && one_in(h, 2)) {
            i++;
            continue;
        }
        memmove(&w->seen[i], &w->seen[i + 1], (--w->n_seen - i) * sizeof *w->seen);
        mr_worker_info info;
        stops_see(&h->os, a.kind == MR_ACT_CONTINUE ? &a : &(mr_action){0});
        if (a.kind == MR_ACT_FAIL && a.fault.status != MR_E_LOST)
            ends(h, a.id);
        else if (a.kind == MR_ACT_ALIAS)
            ends(h, a.id);
        else if (a.kind == MR_ACT_SPAWN && one_in(h, 12))
            world_die(w, a.worker, MR_DEATH_SPAWN, 2);
        else if (a.kind == MR_ACT_SPAWN)
            world_up(w, a.worker);
        else if (a.kind == MR_ACT_RETIRE && mr_control_worker(w->c, a.worker, &info))
            world_retired(w, a.worker);
        else if (a.kind == MR_ACT_KILL && mr_control_worker(w->c, a.worker, &info))
            world_die(w, a.worker, MR_DEATH_SIGNAL, 9);
        else if (a.kind == MR_ACT_REVOKE)
            world_revoked(w, a.id, !one_in(h, 4));
        else if (a.kind == MR_ACT_STOP && world_worker(w, a.id) == a.worker)
            (void)world_stopped(w, a.id, one_in(h, 2) ? MR_UNKNOWN : (int64_t)below(h, 1000));
        else if (a.kind == MR_ACT_TRANSFER)
            world_arrived(w, a.id, a.node);
        else if (a.kind == MR_ACT_DELIVER)
            for (uint32_t k = 0; k < h->n_waits; k++)
                if (h->waits[k].token == a.token)
                    h->waits[k] = h->waits[--h->n_waits];
    }
    look(h);
}

static bool some_task(history *h, bool running, mr_task_info *out)
{
    uint64_t at = 0;
    uint32_t n = 0;
    mr_task_info t;
    while (mr_control_task_next(h->w.c, &at, &t)) {
        /* What one that stands still did before is sometimes heard of afterwards. */
        bool runs = t.state == MR_RUNNING_NOW || (t.state == MR_STOPPED_NOW && one_in(h, 8));
        bool fits = t.state != MR_OVER && (!running || (runs && t.worker && !t.blocked));
        if (fits && one_in(h, ++n))
            *out = t;
    }
    return n > 0;
}

static void submit(history *h)
{
    world *w = &h->w;
    mr_task_info by;
    mr_id ids[4];
    call k = {.func = h->f[below(h, FUNCS)], .n_returns = (uint32_t)below(h, 3) + 1, .ids = ids};
    const mr_define *d = mr_control_func(w->c, k.func);
    if (w->next_id > BASE + MOST - 100)
        return;
    if (h->n_actors && one_in(h, 3)) {
        k.func = h->method;
        k.actor = h->actors[below(h, h->n_actors)];
    } else if (d->kind == MR_FUNC_ACTOR || (d->flags & MR_FUNC_STREAMING)) {
        k.n_returns = 1;
    }
    if (one_in(h, 3) && some_task(h, true, &by)) {
        w->client = by.worker;
        w->parent = by.task;
    }
    for (uint32_t i = below(h, 4); i && h->n_held; i--) {
        ids[k.n_deps + k.n_refs] = h->held[below(h, h->n_held)];
        if (k.n_refs || one_in(h, 4))
            k.n_refs++;
        else
            k.n_deps++;
    }
    mr_id first = w->next_id;
    for (uint32_t i = 0; i < k.n_returns; i++)
        h->result[first + i - BASE] = 1;
    mr_id id = world_call(w, k);
    if (!id) {
        memset(h->result + (first - BASE), 0, k.n_returns);
        if (k.actor)
            ck_assert(w->last == MR_E_ACTOR_DIED || w->last == MR_E_FREED || w->last == MR_E_NOTFOUND ||
                      w->last == MR_E_PENDING_CALLS);
    }
    for (uint32_t i = 0; id && i < k.n_returns && !w->client; i++)
        h->held[h->n_held++] = id + i;
    if (id && mr_control_func(w->c, k.func)->kind == MR_FUNC_ACTOR && h->n_actors < 64)
        h->actors[h->n_actors++] = id;
    w->client = 0;
    w->parent = 0;
}

static void finish(history *h)
{
    mr_task_info t;
    mr_spec s;
    uint8_t pending[8];
    if (!some_task(h, true, &t) || mr_control_spec(h->w.c, t.task, &s))
        return;
    const mr_define *d = mr_control_func(h->w.c, t.func);
    bool plain = d->kind != MR_FUNC_ACTOR && !(d->flags & MR_FUNC_STREAMING);
    uint32_t flags = MR_FINISHED_RESULT | (one_in(h, 2) ? MR_FINISHED_RETRIABLE : 0);
    mr_status outcome = one_in(h, 5) ? MR_E_TASK : one_in(h, 20) ? MR_E_CANCELLED : MR_OK;
    if (d->kind == MR_FUNC_METHOD && one_in(h, 40))
        flags |= MR_FINISHED_EXIT;
    for (uint32_t i = 0; plain && i < s.n_returns && outcome == MR_OK && i + 1 < s.n_returns; i++)
        if (mr_control_object(h->w.c, t.task + i + 1).state == MR_OBJ_PENDING) {
            ends(h, t.task + i + 1);
            world_seal(&h->w, t.task, i + 1, below(h, 2) * 1000, t.node, NULL);
        }
    for (uint32_t i = 0; i < s.n_returns && i < 8; i++)
        pending[i] = mr_control_object(h->w.c, t.task + i).state == MR_OBJ_PENDING;
    if (!plain && outcome == MR_OK)
        flags &= ~(uint32_t)MR_FINISHED_RESULT;
    world_finish_as(&h->w, t.task, outcome, flags, 1000 + (int64_t)below(h, 3000));
    /* The first is what the message carried, or the end of a stream or constructor; others are told by actions. */
    if (pending[0] && (outcome == MR_OK || outcome == MR_E_TASK || outcome == MR_E_CANCELLED) &&
        mr_control_object(h->w.c, t.task).state != MR_OBJ_PENDING && !world_sees(&h->w, MR_ACT_FAIL, t.task) &&
        !world_sees(&h->w, MR_ACT_ALIAS, t.task))
        ends(h, t.task);
}

static void kill_worker(history *h)
{
    uint32_t n = 0, pick = 0;
    for (uint32_t x = 0; (x = mr_control_worker_next(h->w.c, x));)
        if (one_in(h, ++n))
            pick = x;
    if (pick)
        world_die(&h->w, pick, one_in(h, 3) ? MR_DEATH_OOM : MR_DEATH_SIGNAL, 9);
}

static void block(history *h)
{
    mr_task_info t;
    mr_id ids[3] = {0};
    if (h->n_waits == 256 || !h->n_held || !some_task(h, true, &t))
        return;
    for (uint32_t i = 0; i < 2; i++)
        ids[i] = h->held[below(h, h->n_held)];
    bool is_call = t.actor != 0;
    uint32_t token = world_block(&h->w, t.worker, t.task, 1 + (uint32_t)below(h, 2),
                                 (is_call ? 0 : MR_WAIT_LEND) | (uint32_t)below(h, 2), ids);
    h->waits[h->n_waits].client = t.worker;
    h->waits[h->n_waits].task = t.task;
    h->waits[h->n_waits++].token = token;
}

static void unblock(history *h, uint32_t i)
{
    mr_worker_info info;
    uint32_t client = h->waits[i].client, token = h->waits[i].token;
    h->waits[i] = h->waits[--h->n_waits];
    if (mr_control_worker(h->w.c, client, &info))
        world_unblock(&h->w, client, token);
}

static void drop(history *h)
{
    if (!h->n_held)
        return;
    uint32_t i = (uint32_t)below(h, h->n_held);
    mr_id id = h->held[i];
    h->held[i] = h->held[--h->n_held];
    for (uint32_t k = 0; k < h->n_actors; k++)
        if (h->actors[k] == id)
            h->actors[k] = h->actors[--h->n_actors];
    world_drop(&h->w, id);
}

/* Sometimes a new one, of what fits and what does not; its functions take the last places. */
static void group(history *h)
{
    static const char *const asks[] = {"CPU=1", "CPU=1;CPU=1 memory=20", "GPU=0.5 CPU=0.5;CPU=0.5",
                                       "CPU=1;CPU=1;CPU=1"};
    world *w = &h->w;
    mr_task_info by;
    if (w->next_id > BASE + MOST - 100)
        return;
    if (h->n_groups == 8 || (h->n_groups && one_in(h, 2))) {
        uint32_t i = (uint32_t)below(h, h->n_groups);
        ck_assert_int_eq(world_ungroup(w, h->groups[i]), MR_OK);
        h->groups[i] = h->groups[--h->n_groups];
        return;
    }
    if (one_in(h, 3) && some_task(h, true, &by))
        w->client = by.worker;
    mr_id g = world_group(w, (mr_group_strategy)below(h, 4), asks[below(h, 4)], (uint32_t)below(h, 2), NULL);
    w->client = 0;
    if (!g) {
        ck_assert_int_eq(w->last, MR_E_UNSCHEDULABLE);
        return;
    }
    h->groups[h->n_groups++] = g;
    spec one = {.name = "in", .needs = "CPU=0.5", .retries = 2, .group = g, .flags = MR_FUNC_CAPTURE};
    one.bundle = (int32_t)below(h, 2);
    one.kind = one_in(h, 4) ? MR_FUNC_ACTOR : MR_FUNC_TASK;
    one.restarts = one.kind == MR_FUNC_ACTOR;
    h->f[PLAIN + below(h, FUNCS - PLAIN)] = world_define(w, one);
}

static bool waits(const history *h, mr_id task)
{
    bool any = false;
    for (uint32_t i = 0; i < h->n_waits; i++)
        any |= h->waits[i].task == task;
    return any;
}

static void choose_policy(history *h);

static void act(history *h)
{
    world *w = &h->w;
    mr_task_info t;
    uint64_t dice = below(h, 100);
    if (dice < 35) {
        submit(h);
    } else if (dice < 60) {
        finish(h);
    } else if (dice < 66) {
        kill_worker(h);
    } else if (dice < 71 && some_task(h, false, &t)) {
        world_cancel(w, t.task, (uint32_t)below(h, t.actor ? 2 : 4) & (t.actor ? 2u : 3u));
    } else if (dice < 77) {
        block(h);
    } else if (dice < 80 && h->n_waits) {
        unblock(h, (uint32_t)below(h, h->n_waits));
    } else if (dice < 88) {
        drop(h);
    } else if (dice < 90) {
        mr_id in[2] = {h->n_held ? h->held[0] : 0, 0}, x = world_put(w, below(h, 2) * 5000, 0, in);
        h->held[h->n_held++] = x;
    } else if (dice < 91 && h->n_actors) {
        world_kill(w, h->actors[below(h, h->n_actors)], (uint32_t)below(h, 2) * MR_KILL_NO_RESTART);
    } else if (dice == 91 && h->node_count < 4 && one_in(h, 3)) {
        world_node(w, "CPU=1 memory=100");
        h->node_count++;
    } else if (dice > 97) {
        group(h);
    } else if (dice == 93 && one_in(h, 4)) {
        choose_policy(h);
    } else if (dice == 94 && some_task(h, true, &t) && !waits(h, t.task)) {
        world_unsent(w, (mr_id[]){t.task, 0});
    } else if (dice == 92 && h->node_count > 1 && one_in(h, 3)) {
        mr_node_info n;
        uint32_t i = 1 + (uint32_t)below(h, h->node_count - 1);
        if (mr_control_node(w->c, i, &n) && n.alive)
            world_remove_node(w, i);
    } else {
        world_time(w, (int64_t)below(h, 3000000));
    }
    if (h->stopping && one_in(h, 3))
        world_time(w, (int64_t)below(h, 1000000));
}

/* A policy for every other history: any rank, any place, any task that can. */
static const mr_sched_host *host;
static uint32_t notices_told;

static mr_status p_open(void **self, const mr_sched_host *p, mr_err *err)
{
    (void)err;
    *self = NULL;
    host = p;
    return MR_OK;
}

static double p_rank(void *self, const mr_task *t)
{
    (void)self;
    return t->seq % 7 ? (double)(host->random(host) % 10) : (double)INT32_MAX;
}

static mr_ref p_place(void *self, const mr_task *t)
{
    (void)self;
    mr_list list = host->random(host) % 2 ? MR_NODES : MR_WORKERS;
    mr_ref at = MR_NONE;
    for (uint64_t n = host->random(host) % 5; n; n--)
        at = host->next(host, list, t->ref, at);
    return at;
}

static mr_ref p_pick(void *self, const mr_worker *k)
{
    (void)self;
    mr_ref of[4] = {k->ref, k->node, MR_NONE, MR_REF_NODE | 1};
    for (int i = 0; i < 4; i++) {
        mr_ref t = host->first(host, of[i], k->ref, i & 1);
        if (t)
            return t;
    }
    for (uint32_t i = 1; i < 40; i++) {
        mr_ref t = host->first(host, MR_REF_SLOT | i, k->ref, false);
        if (t)
            return t;
    }
    return MR_NONE;
}

static int64_t p_slice(void *self, const mr_task *t, const mr_worker *k)
{
    (void)self;
    if (t->state != MR_RUNNING_NOW || k->task != t->ref)
        ck_abort_msg("slice of task %llu, which does not run there", (unsigned long long)t->ref);
    return (int64_t)(host->random(host) % 5) * 500000 - 500000;
}

static mr_ref p_preempt(void *self, const mr_task *t)
{
    (void)self;
    mr_ref r = MR_NONE;
    if (t->state != MR_READY_NOW && t->state != MR_STOPPED_NOW)
        ck_abort_msg("preempt for task %llu, which does not wait", (unsigned long long)t->ref);
    for (uint64_t n = host->random(host) % 4; n; n--)
        r = host->next(host, MR_RUNNING, t->ref, r);
    if (host->random(host) % 20 == 0) /* any task: it must be refused unless it happens to be right */
        r = 1000 + host->random(host) % 300;
    return r;
}

static void p_notice(void *self, const mr_notice *n)
{
    (void)self;
    notices_told++;
    if (n->what != MR_WOKEN && !n->task->ref)
        ck_abort_msg("notice %d without a task", (int)n->what);
    if (host->random(host) % 30 == 0)
        host->rerank(host, host->random(host) % 2 && n->task ? n->task->ref : MR_NONE);
}

static void choose_policy(history *h)
{
    mr_sched_ops ops = {.open = p_open, .notices = 127, .notice = p_notice};
    if (!h->stopping && one_in(h, 2))
        return;
    if (one_in(h, 2))
        ops.rank = p_rank;
    if (one_in(h, 2))
        ops.place = p_place;
    if (one_in(h, 3))
        ops.plan = p_place;
    if (one_in(h, 2))
        ops.pick = p_pick;
    if (h->stopping || one_in(h, 3))
        ops.slice = p_slice;
    if (h->stopping || one_in(h, 3))
        ops.preempt = p_preempt;
    ck_assert_int_eq(mr_control_policy(h->w.c, "any", &ops, NULL, NULL), MR_OK);
    mr_ev_none e = {.h = {.kind = MR_EV_POLICY}};
    world_step(&h->w, &e);
}

static void start(history *h, uint64_t seed)
{
    world *w = &h->w;
    memset(h, 0, sizeof *h);
    mr_rand_seed(&h->r, seed, 1);
    mr_control_conf_init(&w->conf);
    h->stopping = seed % 3 == 0;
    w->conf.lineage = seed & 1;
    w->conf.prefetch = below(h, 2) * 20000;
    w->conf.max_hold = INT64_MAX / 4;
    w->conf.min_slice = below(h, 3) * 500000;
    w->conf.max_workers = 2 + (uint32_t)below(h, 8);
    w->conf.idle_worker = one_in(h, 2) ? 5000000 : MR_UNKNOWN;
    w->hold_births = true;
    world_new(w, "CPU=2 memory=200 GPU=1");
    w->hold_births = true;
    h->node_count = 1;
    h->f[0] = world_func(w, "f", NULL);
    h->f[1] = world_define(w, (spec){.name = "g", .retries = 2});
    h->f[2] = world_define(w, (spec){.name = "wide", .needs = "CPU=2 memory=50", .retries = -1});
    h->f[3] = world_define(w, (spec){.name = "none", .needs = "", .max_running = 2});
    h->f[4] = world_define(w, (spec){.name = "gpu", .needs = "CPU=0.5 GPU=0.5", .retries = 1});
    h->f[5] = world_define(w, (spec){.name = "gen", .flags = MR_FUNC_STREAMING, .window = 2});
    h->f[6] = world_define(w, (spec){.name = "A", .kind = MR_FUNC_ACTOR, .restarts = 1});
    h->f[7] = world_define(
        w, (spec){.name = "B", .kind = MR_FUNC_ACTOR, .flags = MR_FUNC_ASYNC, .concurrency = 3, .living = "memory=20"});
    h->f[8] = world_define(w, (spec){.name = "h", .env = 3, .retries = 1, .strategy = MR_STRATEGY_SPREAD});
    for (int i = PLAIN; i < FUNCS; i++)
        h->f[i] = h->f[0];
    h->method = world_define(w, (spec){.name = "m", .kind = MR_FUNC_METHOD, .retries = 1});
    choose_policy(h);
}

/* Nothing is left but actors that a worker holds a handle of, each with nothing to do. */
static bool only_kept(history *h)
{
    uint64_t at = 0;
    mr_task_info t;
    mr_actor_info a;
    while (mr_control_task_next(h->w.c, &at, &t))
        if (t.state != MR_OVER && (!mr_control_actor(h->w.c, t.task, &a) || a.state != MR_ACTOR_ALIVE || a.pending ||
                                   mr_control_object(h->w.c, t.task).holders == 0))
            return false;
    return true;
}

/* Everybody comes to an end: what runs is finished, what waits is released, references go. */
static void end(history *h)
{
    world *w = &h->w;
    h->ending = true;
    for (int round = 0; round < 3000 && !only_kept(h); round++) {
        answer(h);
        while (h->n_waits)
            unblock(h, 0);
        finish(h);
        world_time(w, 2000000);
        if (round > 200 && h->n_held)
            drop(h);
    }
    while (h->n_groups)
        ck_assert_int_eq(world_ungroup(w, h->groups[--h->n_groups]), MR_OK);
    answer(h);
    while (h->n_held)
        drop(h);
    for (int round = 0; round < 3000 && !only_kept(h); round++) {
        finish(h);
        answer(h);
        world_time(w, 2000000);
    }
    ck_assert_msg(only_kept(h), "something is left that nobody ends");
    /* An actor whose process goes before its holder's starts anew, and ends at its next death. */
    for (int round = 0; round < 10 && (mr_control_worker_next(w->c, 0) || world_stats(w).tasks); round++) {
        for (uint32_t x; (x = mr_control_worker_next(w->c, 0));)
            world_die(w, x, MR_DEATH_EXIT, 0);
        answer(h);
        world_time(w, 1);
        answer(h);
    }
    world_nothing_left(w);
    stops_ever += world_stats(w).stops;
    for (uint32_t i = 0; i < MOST; i++)
        if (h->ended[i] != h->result[i])
            ck_abort_msg("result %u never ended", i + BASE);
}

static void run(uint64_t seed)
{
    history *h = malloc(sizeof *h);
    start(h, seed);
    for (int i = 0; i < STEPS; i++) {
        act(h);
        answer(h);
    }
    end(h);
    world_free(&h->w);
    free(h);
}

/* A value that was on its way out when its node went; a process that went idle where another kind starved. */
START_TEST(histories_that_broke_it)
{
    run(2606);
    run(4975);
}
END_TEST

START_TEST(histories)
{
    const char *only = getenv("MINIRAY_TEST_SEED");
    if (only)
        run(strtoull(only, NULL, 10));
    for (uint64_t i = 0; !only && i < 100; i++)
        run((uint64_t)_i * 100 + i);
    ck_assert_msg(only || stops_ever > 40, "%llu stops", (unsigned long long)stops_ever);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control: random histories");
    TCase *t = tcase_create("histories");
    const char *more = getenv("MRTEST_HISTORIES");
    tcase_add_loop_test(t, histories, 0, getenv("MINIRAY_TEST_SEED") ? 1 : more ? atoi(more) / 100 : 10);
    tcase_add_test(t, histories_that_broke_it);
    suite_add_tcase(s, t);
    return run_suite(s);
}
