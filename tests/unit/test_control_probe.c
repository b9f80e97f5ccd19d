/* test_control_probe.c: what a policy may rely on, checked from inside: a policy that trusts nothing, over 1,000 random
 * histories with cancels, deaths, retries, copies, nodes that leave, actors, slices, preemption, swaps and ejections.
 * The promises are numbered as they are listed below; each check names its own, and every one of them must have been
 * put to the test.
 *
 * MRTEST_HISTORIES=50000 runs more; MRTEST_SEED=n runs that one.
 */
#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "helper_control.h"
#include "helper_probe.h"
#include "helper_probe_recount.h"
#include "helper_stops.h"
#include "run_suite.h"

enum { SHARE = 50, STEPS = 130 };

static mr_rand dice;

static uint64_t below(uint64_t n)
{
    return mr_rand_below(&dice, n);
}

/* --------------------------------------------------------------------------------------------------- the history -- */

static void close_instant(int64_t later)
{
    probe_begin_step(later);
    world_time(&probe.w, later);
    probe_end_step();
}

static mr_id pick_task(bool (*is)(const mr_task_info *i))
{
    uint64_t at = 0, n = 0;
    mr_id id = 0;
    for (mr_task_info i; mr_control_task_next(probe.w.c, &at, &i);)
        if (i.state != MR_OVER && is(&i) && below(++n) == 0)
            id = i.task;
    return id;
}

static bool is_running(const mr_task_info *i)
{
    return i->worker && !i->blocked && (i->phase == MR_PHASE_RUNNING || i->phase == MR_PHASE_STOPPED);
}

static bool is_living(const mr_task_info *i)
{
    return i->phase == MR_PHASE_LIVING;
}

static bool is_any(const mr_task_info *i)
{
    return i->state != MR_OVER;
}

static bool is_stream(uint32_t func)
{
    return mr_control_func(probe.w.c, func)->flags & MR_FUNC_STREAMING;
}

static bool yields(const mr_task_info *i)
{
    return is_running(i) && i->phase == MR_PHASE_RUNNING && is_stream(i->func);
}

/* An item, which others may take long before its task ends. */
static void yield(mr_id id)
{
    (void)world_yield(&probe.w, id, (uint32_t)probe_of(id)->items++, probe.w.next_id++);
}

/* Tasks that wait for a value that is not there, and lend their CPU. */
static struct {
    mr_id task;
    uint32_t client, token;
} waits[MOST];
static int n_waits;

static void block(mr_id id)
{
    mr_id ids[2] = {0};
    uint64_t n = 0;
    for (mr_id x = BASE; x < probe.w.next_id; x++)
        if (x != id && world_state(&probe.w, x) == MR_OBJ_PENDING && below(++n) == 0)
            ids[0] = x;
    if (!ids[0] || n_waits == MOST)
        return;
    probe_of(id)->blocked = true;
    waits[n_waits].task = id;
    waits[n_waits].client = world_worker(&probe.w, id);
    waits[n_waits].token = world_block(&probe.w, waits[n_waits].client, id, 1, MR_WAIT_LEND, ids);
    n_waits++;
}

static void unblock(void)
{
    mr_worker_info info;
    int i = (int)below((uint64_t)n_waits);
    uint32_t client = waits[i].client, token = waits[i].token;
    waits[i] = waits[--n_waits];
    if (mr_control_worker(probe.w.c, client, &info))
        world_unblock(&probe.w, client, token);
}

static void finish(mr_id id)
{
    uint64_t at = 0;
    for (mr_task_info i; mr_control_task_next(probe.w.c, &at, &i);)
        if (i.task == id) {
            if (!is_stream(i.func) && below(4))
                world_seal(&probe.w, id, 0, 500, i.node, NULL);
            bool bare = world_state(&probe.w, id) == MR_OBJ_SEALED || is_stream(i.func); /* it says no more */
            world_finish_as(&probe.w, id, MR_OK, bare ? 0 : MR_FINISHED_RESULT, 1 + (int64_t)below(1000));
            return;
        }
}

static void install(void)
{
    mr_err err = {0};
    bool swap = probe.opens > 0;
    probe.n_heirs = 0;
    for (int i = 0; i < MOST; i++)
        if (!probe.tasks[i].over)
            probe.tasks[i] = (seen){.stopping = probe.tasks[i].stopping, .cancelled = probe.tasks[i].cancelled};
    mr_sched_ops ops = probe_ops; /* without `pick` control sweeps itself, and slices of who is alone pass over */
    if (probe.seed_now % 4 == 1)
        ops.pick = NULL;
    if (probe.seed_now % 8 == 5)
        ops.place = NULL;
    if (probe.seed_now % 4 == 2)
        ops.preempt = NULL;
    if (probe.seed_now % 4 == 3)
        ops.slice = NULL;
    ck_assert_int_eq(mr_control_policy(probe.w.c, "probe", &ops, NULL, &err), MR_OK);
    OUGHT(P_SWAP, probe.opens == probe.closes + 1);
    if (!swap)
        return;
    probe.reranked = 3; /* what it is told again it is asked again */
    mr_ev_none e = {.h = {.kind = MR_EV_POLICY}};
    probe_begin_step(0);
    world_step(&probe.w, &e);
    close_instant(1);
    for (mr_ref r = BASE; r < BASE + MOST; r++) {
        const mr_task *t = probe.h->task(probe.h, r);
        if (!t || t->state == MR_OVER ||
            (t->kind == MR_ACTOR && (!probe_of(r)->last || probe_of(r)->over))) /* it lives: done */
            continue;
        OUGHT(P_SWAP, probe_of(r)->last != 0 &&
                          (t->state != MR_RUNNING_NOW || probe_of(r)->last == 'B' || probe_of(r)->last == 'R'));
        OUGHT(P_SWAP, t->state != MR_READY_NOW || probe_of(r)->last == 'R');
    }
}

static void cancel(mr_id id, uint32_t flags)
{
    probe_of(id)->cancelled = true;
    world_cancel(&probe.w, id, flags);
}

/* A process says that it stands still, or its task was through before. */
static void answer_stop(const mr_action *a)
{
    bool runs = probe_of(a->id)->stopping && probe.opens == probe.closes + 1;
    if (world_worker(&probe.w, a->id) != a->worker)
        return; /* it is over, or its process is dead */
    world_stopped(&probe.w, a->id, MR_UNKNOWN);
    probe_of(a->id)->stopped_at = probe.w.now;
    OUGHT(P_SLICE, runs || probe.w.last == MR_E_INVAL || probe.opens == probe.closes);
}

enum { FUNCS = 12, ACTOR = 6, METHOD = 8, HALF = 9, STREAM = 10, GROUPED = 11 };

static mr_id group;

/* Another group in place of the one there is; its function goes with it. */
static void regroup(uint32_t *f)
{
    if (group && below(2)) {
        ck_assert_int_eq(world_ungroup(&probe.w, group), MR_OK);
        group = 0;
    } else if (!group && probe.w.next_id < BASE + MOST - 1) {
        group = world_group(&probe.w, MR_GROUP_PACK, "CPU=1;CPU=0.5", 0, NULL);
        f[GROUPED] = world_define(&probe.w, (spec){.name = "in", .needs = "CPU=0.5", .retries = 1, .group = group});
    }
}

static void act(uint32_t f[FUNCS])
{
    uint64_t d = below(probe.mixed ? 114 : 100);
    mr_id id = 0;
    mr_action a;
    if (d < 30 && probe.w.next_id < BASE + MOST - 1) {
        mr_id deps[3] = {0};
        for (uint64_t k = 0, n = below(3); k < n && probe.w.next_id > BASE; k++) {
            mr_id x = BASE + below(probe.w.next_id - BASE);
            mr_object_state is = world_state(&probe.w, x);
            if (is == MR_OBJ_SEALED || (is == MR_OBJ_PENDING && below(2)))
                deps[deps[0] != 0] = x;
        }
        uint64_t kind = below(probe.mixed ? FUNCS : 10);
        mr_id actor = kind == METHOD ? pick_task(is_living) : 0;
        bool other = probe.mixed && kind > METHOD && (kind != GROUPED || group);
        if (actor)
            world_call(&probe.w, (call){.func = f[METHOD], .actor = actor, .n_returns = 1});
        else
            world_submit(&probe.w, f[kind < METHOD || other ? kind : kind % 5], deps[0] ? deps : NULL);
    } else if (d < 62 && (id = pick_task(is_running))) {
        finish(id);
    } else if (d < 64 && (id = pick_task(is_running))) {
        world_die(&probe.w, world_worker(&probe.w, id), MR_DEATH_SIGNAL, 9);
    } else if (d < 67 && (id = pick_task(is_any))) {
        cancel(id, (uint32_t)below(2) * MR_CANCEL_FORCE);
    } else if (d == 67 && (id = pick_task(is_living))) {
        if (below(2))
            world_kill(&probe.w, id, MR_KILL_NO_RESTART);
        else
            world_die(&probe.w, world_worker(&probe.w, id), MR_DEATH_SIGNAL, 9);
    } else if (d < 73 && world_took(&probe.w, MR_ACT_STOP, 0, &a)) {
        answer_stop(&a);
    } else if (d < 78 && world_took(&probe.w, MR_ACT_TRANSFER, 0, &a)) {
        world_arrived(&probe.w, a.id, a.node);
    } else if (d >= 100 && d < 105) {
        if ((id = pick_task(yields)) && probe.w.next_id < BASE + MOST - 1)
            yield(id);
    } else if (d >= 105 && d < 109) {
        if ((id = pick_task(is_running)) && !probe_of(id)->stopping)
            block(id);
    } else if (d >= 109 && d < 112) {
        if (n_waits)
            unblock();
    } else if (d >= 112) {
        regroup(f);
    } else if (d == 78 && !probe.removed && below(6) == 0) {
        probe.removed = true;
        world_remove_node(&probe.w, 2);
    } else {
        close_instant((int64_t)below(4) * 500);
    }
}

static void drain(void)
{
    mr_action a;
    for (int round = 0; round < 3000 && world_stats(&probe.w).tasks; round++) {
        while (world_took(&probe.w, MR_ACT_TRANSFER, 0, &a))
            world_arrived(&probe.w, a.id, a.node);
        while (world_took(&probe.w, MR_ACT_STOP, 0, &a))
            answer_stop(&a);
        for (mr_id id; (id = pick_task(is_living));)
            world_kill(&probe.w, id, MR_KILL_NO_RESTART);
        while (n_waits)
            unblock();
        if (group && round > 10) { /* it may never find room again */
            ck_assert_int_eq(world_ungroup(&probe.w, group), MR_OK);
            group = 0;
        }
        for (mr_id id; (id = pick_task(is_running)) && below(3);)
            finish(id);
        close_instant(500 * 1000 * 1000); /* it may hold all back, and is out after a second */
    }
    ck_assert_msg(world_stats(&probe.w).tasks == 0, "MRTEST_SEED=%llu: %llu tasks are left",
                  (unsigned long long)probe.seed_now, (unsigned long long)world_stats(&probe.w).tasks);
}

static uint64_t history(uint64_t seed)
{
    probe.seed_now = seed;
    mr_rand_seed(&dice, seed, 1);
    mr_rand_seed(&probe.own, seed, 2);
    memset(&probe.w, 0, sizeof probe.w);
    memset(probe.tasks, 0, sizeof probe.tasks);
    memset(probe.sent, 0, sizeof probe.sent);
    probe.depth = probe.opens = probe.closes = 0;
    probe.removed = probe.failed = false;
    probe.reranked = 0;
    probe.mixed = seed % 3 == 0;
    n_waits = 0;
    group = 0;
    probe.h = NULL;
    probe.digest = seed;
    mr_control_conf_init(&probe.w.conf);
    probe.w.conf.prefetch = 0;
    probe.w.conf.idle_worker = MR_UNKNOWN;
    probe.w.conf.lineage = true;
    probe.min_slice = probe.w.conf.min_slice = below(2) ? 700 : 0;
    probe.n_heirs = 0;
    world_new(&probe.w, "CPU=2");
    world_node(&probe.w, "CPU=1 wheel=1");
    world_node(&probe.w, "CPU=2");
    uint32_t f[FUNCS] = {
        world_define(&probe.w, (spec){.name = "one", .max_running = 1}),
        world_define(&probe.w, (spec){.name = "g", .retries = 2}),
        world_func(&probe.w, "wide", "CPU=2"),
        world_func(&probe.w, "wheel", "wheel=1"),
        world_func(&probe.w, "f", NULL),
        world_func(&probe.w, "both", "CPU=1 wheel=1"),
        world_define(&probe.w, (spec){.name = "A", .kind = MR_FUNC_ACTOR, .restarts = 1}),
        world_define(&probe.w,
                     (spec){.name = "B", .kind = MR_FUNC_ACTOR, .needs = "CPU=1 wheel=1", .living = "wheel=1"}),
        world_define(&probe.w, (spec){.name = "m", .kind = MR_FUNC_METHOD, .needs = ""}),
        world_func(&probe.w, "half", "CPU=0.5"),
        world_define(&probe.w, (spec){.name = "gen", .flags = MR_FUNC_STREAMING, .window = 4})};
    install();
    uint64_t fail_at = below(3) == 0 ? below(STEPS) : STEPS, swap_at = below(3) == 0 ? below(STEPS) : STEPS;
    for (uint64_t i = 0; i < STEPS; i++) {
        if (i == swap_at && probe.opens == probe.closes + 1)
            install();
        if (i == fail_at && probe.opens == probe.closes + 1) {
            mr_control_policy_fail(probe.w.c, "enough");
            probe.failed = true;
            close_instant(1);
            OUGHT(P_EJECT, probe.closes == probe.opens && mr_control_policy_error(probe.w.c));
        }
        act(f);
    }
    drain();
    OUGHT(P_EJECT, probe.closes == probe.opens || !mr_control_policy_error(probe.w.c));
    OUGHT(P_EJECT,
          probe.failed || probe.closes == probe.opens - 1 || strstr(mr_control_policy_error(probe.w.c), " held "));
    world_free(&probe.w);
    OUGHT(P_EJECT, probe.closes == probe.opens);
    return probe.digest;
}

START_TEST(every_promise_is_kept)
{
    const char *one = getenv("MRTEST_SEED");
    memset(probe.checked, 0, sizeof probe.checked);
    for (uint64_t i = 0; i < (one ? 1 : SHARE); i++) {
        uint64_t seed = one ? strtoull(one, NULL, 10) : (uint64_t)_i * SHARE + i, first = history(seed);
        if (i % 10 == 0)
            OUGHT(P_SAME, history(seed) == first);
    }
    if (one)
        for (int p = 1; p < P_COUNT; p++)
            printf("promise %d: %llu checks\n", p, (unsigned long long)probe.checked[p]);
    for (int p = 1; p < P_COUNT && !one && !getenv("MRTEST_HISTORIES"); p++)
        ck_assert_msg(probe.checked[p] || p == 16, "promise %d was never put to the test", p);
}
END_TEST

/* ----------------------------------------------------------------------------------------------------- promise 2 -- */

/* Which tasks start where, after n that ended in one instant in this order. */
static void after_ends(const int *order, char *out, size_t size)
{
    enum { N = 4 };
    mr_id t[2 * N];
    mr_err err = {0};
    memset(&probe.w, 0, sizeof probe.w);
    world_new(&probe.w, "CPU=4");
    uint32_t f = world_func(&probe.w, "f", NULL);
    ck_assert_int_eq(mr_control_policy(probe.w.c, "seq", &(mr_sched_ops){0}, NULL, &err), MR_OK);
    for (int i = 0; i < N; i++)
        t[i] = world_run(&probe.w, f);
    for (int i = 0; i < N; i++)
        t[N + i] = world_submit(&probe.w, f, (mr_id[]){t[i], 0});
    world_time(&probe.w, 1);
    for (int i = 0; i < N; i++)
        world_finish(&probe.w, t[order[i]]);
    world_time(&probe.w, 1);
    out[0] = 0;
    for (int i = N; i < 2 * N; i++) {
        mr_task_info x;
        uint64_t at = 0;
        while (mr_control_task_next(probe.w.c, &at, &x) && x.task != t[i])
            ;
        size_t n = strlen(out);
        snprintf(out + n, size - n, "%d:%d:%u ", i, x.state, x.node);
    }
    world_free(&probe.w);
}

START_TEST(the_order_within_an_instant_is_no_matter)
{
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
    char first[300], other[300];
    after_ends(orders[0], first, sizeof first);
    for (int i = 1; i < 4; i++) {
        after_ends(orders[i], other, sizeof other);
        ck_assert_str_eq(first, other);
    }
}
END_TEST

int main(void)
{
    const char *histories = getenv("MRTEST_HISTORIES");
    Suite *s = suite_create("control: a probe from inside");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, every_promise_is_kept, 0,
                        getenv("MRTEST_SEED") ? 1 : (histories ? atoi(histories) : 1000) / SHARE);
    tcase_add_test(t, the_order_within_an_instant_is_no_matter);
    suite_add_tcase(s, t);
    return run_suite(s);
}
