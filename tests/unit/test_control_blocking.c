/* test_control_blocking.c: blocked tasks and the CPU they lend, deadlocks, prefetched records, streams.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;

static void open_with(const char *node, int64_t prefetch, uint32_t max_workers)
{
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.prefetch = prefetch;
    w.conf.max_workers = max_workers;
    world_new(&w, node);
}

static void open_world(const char *node, int64_t prefetch)
{
    open_with(node, prefetch, 512);
}

static void teardown(void)
{
    world_free(&w);
}

static mr_id child_of(mr_id parent, uint32_t f)
{
    w.client = world_worker(&w, parent);
    w.parent = parent;
    mr_id t = world_run(&w, f);
    w.client = 0;
    w.parent = 0;
    return t;
}

static uint32_t blocks_on(mr_id task, mr_id on)
{
    return world_block(&w, world_worker(&w, task), task, 1, MR_WAIT_LEND, (mr_id[]){on, 0});
}

START_TEST(nested_to_depth_1000_on_one_cpu)
{
    enum { DEPTH = 1000, LOOK = 50 }; /* checked every LOOK levels: a check looks at everything */
    open_with("CPU=1", 0, DEPTH);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t[DEPTH];
    t[0] = world_run(&w, f);
    world_time(&w, 1);
    for (int i = 1; i < DEPTH; i++) {
        w.unchecked = i % LOOK != 0;
        t[i] = child_of(t[i - 1], f);
        blocks_on(t[i - 1], t[i]);
        world_time(&w, 1);
        ck_assert_msg(world_worker(&w, t[i]) != 0, "child %d does not run", i);
    }
    for (int i = DEPTH - 1; i >= 0; i--) {
        w.unchecked = i % LOOK != 0;
        ck_assert_int_eq(world_finish(&w, t[i]), MR_OK);
        world_time(&w, 1);
    }
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
    ck_assert_uint_eq(world_stats(&w).tasks, 0);
}
END_TEST

START_TEST(a_lent_cpu_is_for_descendants_first)
{
    open_world("CPU=1", 0);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id p = world_run(&w, f), other = world_run(&w, f), next = world_run(&w, f);
    world_time(&w, 1);
    mr_id kid = child_of(p, f);
    blocks_on(p, kid);
    world_time(&w, 1000);
    ck_assert(world_worker(&w, kid) && !world_worker(&w, other));
    world_finish(&w, kid);
    world_time(&w, 1000);
    ck_assert(!world_worker(&w, other)); /* p goes on at once */
    ck_assert_int_eq(world_free_cpu(&w, 0), 0);
    mr_id again = child_of(p, world_func(&w, "g", "CPU=1"));
    (void)again;
    blocks_on(p, next);
    world_cancel(&w, again, 0);
    world_time(&w, 1000);
    ck_assert(!world_worker(&w, other));
    world_time(&w, 1000000);
    ck_assert(world_worker(&w, other)); /* the delay is over: one other may */
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_WAKE, 0, &x));
}
END_TEST

START_TEST(twenty_at_a_barrier)
{
    open_world("CPU=1", 0);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id gate = world_run(&w, world_func(&w, "gate", "CPU=1")), t[20];
    world_time(&w, 1);
    mr_id never = child_of(gate, world_func(&w, "never", ""));
    (void)never;
    for (int i = 0; i < 20; i++)
        t[i] = world_run(&w, f);
    blocks_on(gate, t[19]);
    int64_t start = w.now;
    for (int i = 0; i < 20; i++) {
        for (int k = 0; !world_worker(&w, t[i]) && k < 400; k++)
            world_time(&w, 1000000);
        ck_assert_msg(world_worker(&w, t[i]) != 0, "task %d never got in", i);
        if (i < 19)
            blocks_on(t[i], t[19]);
    }
    ck_assert_int_lt(w.now - start, INT64_C(4000000000));
}
END_TEST

START_TEST(free_goes_below_zero_and_comes_back)
{
    open_world("CPU=1 memory=100", 0);
    uint32_t f = world_func(&w, "f", "CPU=1 memory=40");
    mr_id p = world_run(&w, f);
    world_time(&w, 1);
    mr_id kid = child_of(p, f);
    uint32_t token = blocks_on(p, kid);
    world_time(&w, 1);
    ck_assert(world_worker(&w, kid));
    mr_node_info n;
    mr_control_node(w.c, 0, &n);
    ck_assert_int_eq(n.free[MR_RES_MEMORY], 20); /* memory is not lent */
    world_unblock(&w, world_worker(&w, p), token);
    ck_assert_int_eq(world_free_cpu(&w, 0), -MR_RES_UNIT);
    world_finish(&w, p);
    ck_assert_int_eq(world_free_cpu(&w, 0), 0);
    world_finish(&w, kid);
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
}
END_TEST

START_TEST(a_circle_is_told)
{
    open_world("CPU=4", 0);
    uint32_t f = world_func(&w, "f", NULL), g = world_func(&w, "g", NULL);
    mr_id a = world_run(&w, f), b = world_run(&w, g), d = world_submit(&w, g, (mr_id[]){a, 0});
    world_time(&w, 1);
    blocks_on(b, d); /* d waits for a */
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0));
    blocks_on(a, b);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &x));
    ck_assert_int_eq(x.status, MR_E_DEADLOCK);
    ck_assert_uint_eq(x.client, world_worker(&w, a));
    ck_assert(strstr(mr_control_why(w.c), "f (") && strstr(mr_control_why(w.c), "g ("));
    world_finish_as(&w, a, MR_E_TASK, MR_FINISHED_RESULT, 1);
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &x));
    ck_assert_int_eq(x.status, MR_OK);
}
END_TEST

START_TEST(a_wait_with_a_timeout_ends_by_itself)
{
    open_world("CPU=2", 0);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, f), b = world_run(&w, f);
    world_time(&w, 1);
    uint32_t at_a = world_worker(&w, a);
    uint32_t timed = world_block(&w, at_a, a, 1, MR_WAIT_LEND | MR_WAIT_TIMED, (mr_id[]){b, 0});
    blocks_on(b, a);
    world_time(&w, INT64_C(10000000000));
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0)); /* neither: a goes on when its time is over */
    world_unblock(&w, at_a, timed);
    mr_action x;
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0));
    blocks_on(a, b);
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &x));
    ck_assert_int_eq(x.status, MR_E_DEADLOCK);
}
END_TEST

START_TEST(all_blocked_but_one_of_them_for_a_time)
{
    open_with("CPU=2", 0, 2);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, f), b = world_run(&w, f);
    world_time(&w, 1);
    mr_id x = child_of(a, f), y = child_of(b, f);
    uint32_t at_a = world_worker(&w, a);
    uint32_t timed = world_block(&w, at_a, a, 1, MR_WAIT_LEND | MR_WAIT_TIMED, (mr_id[]){x, 0});
    blocks_on(b, y);
    world_time(&w, INT64_C(10000000000));
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0));
    world_unblock(&w, at_a, timed);
    world_finish(&w, a);
    world_time(&w, 1);
    ck_assert(world_worker(&w, x));
}
END_TEST

START_TEST(an_actor_that_waits_for_itself)
{
    open_world("CPU=2", 0);
    mr_id a = world_run(&w, world_define(&w, (spec){.name = "A", .kind = MR_FUNC_ACTOR}));
    uint32_t m = world_define(&w, (spec){.name = "A.m", .kind = MR_FUNC_METHOD});
    world_time(&w, 1);
    world_finish_as(&w, a, MR_OK, 0, 1);
    mr_id c1 = world_call(&w, (call){.func = m, .actor = a, .n_returns = 1});
    w.client = world_worker(&w, c1);
    w.parent = c1;
    mr_id c2 = world_call(&w, (call){.func = m, .actor = a, .n_returns = 1});
    world_block(&w, w.client, c1, 1, 0, (mr_id[]){c2, 0});
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &x));
    ck_assert_int_eq(x.status, MR_E_DEADLOCK);
}
END_TEST

START_TEST(all_blocked_and_no_process_left)
{
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.max_workers = 2;
    world_new(&w, "CPU=2");
    uint32_t f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, f), b = world_run(&w, f);
    world_time(&w, 1);
    mr_id x = child_of(a, f), y = child_of(b, f);
    blocks_on(a, x);
    blocks_on(b, y);
    world_time(&w, 1);
    mr_action act;
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &act));
    ck_assert_int_eq(act.status, MR_E_DEADLOCK);
    char name[40]; /* it names those that are blocked */
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "f (%llx)", (unsigned long long)(i ? b : a));
        ck_assert_msg(strstr(mr_control_why(w.c), name), "%s is not in: %s", name, mr_control_why(w.c));
    }
    world_finish_as(&w, b, MR_E_TASK, MR_FINISHED_RESULT, 1);
    world_time(&w, 1);
    ck_assert(world_worker(&w, x) || world_worker(&w, y));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------ prefetch -- */

START_TEST(records_are_held_ahead)
{
    open_world("CPU=1", 10000);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t[12];
    for (int i = 0; i < 12; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 1); /* nothing is known of it yet */
    world_finish_as(&w, t[0], MR_OK, MR_FINISHED_RESULT, 2000);
    world_time(&w, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 1 + 1 + 5); /* 5 × 2 µs */
    ck_assert_int_eq(world_free_cpu(&w, 0), 0);
    for (int i = 1; i < 12; i++) {
        ck_assert_int_eq(world_finish_as(&w, t[i], MR_OK, MR_FINISHED_RESULT, 2000), MR_OK);
        world_time(&w, 1);
    }
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
    for (int i = 0; i < 12; i++)
        world_drop(&w, t[i]);
    world_nothing_left(&w);
}
END_TEST

START_TEST(records_come_back)
{
    open_world("CPU=1", 10000);
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 1});
    mr_id t[6];
    mr_action x;
    for (int i = 0; i < 6; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    world_finish_as(&w, t[0], MR_OK, MR_FINISHED_RESULT, 2000);
    world_time(&w, 1);
    mr_id kid = child_of(t[1], f);
    blocks_on(t[1], kid);
    ck_assert_uint_eq(world_count(&w, MR_ACT_REVOKE), 4);
    world_time(&w, 1);
    for (int i = 5; i >= 2; i--)
        world_revoked(&w, t[i], true);
    world_time(&w, 1);
    ck_assert(world_worker(&w, kid));
    world_finish_as(&w, kid, MR_OK, MR_FINISHED_RESULT, 2000);
    world_forget(&w);
    world_time(&w, 1);
    world_finish_as(&w, t[1], MR_OK, MR_FINISHED_RESULT, 2000);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, 0, &x));
    ck_assert_uint_eq(x.id, t[2]); /* kept its place */
    ck_assert_uint_eq(x.attempt, 1);
    /* A death blames only what ran. */
    world_forget(&w);
    world_die(&w, world_worker(&w, t[2]), MR_DEATH_SIGNAL, 9);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, t[3], &x));
    ck_assert_uint_eq(x.attempt, 1);
}
END_TEST

START_TEST(a_slow_task_keeps_nobody_waiting)
{
    open_world("CPU=1", 10000);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t[3];
    for (int i = 0; i < 3; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    world_finish_as(&w, t[0], MR_OK, MR_FINISHED_RESULT, 2000);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t[2]));
    world_time(&w, 2000000);
    ck_assert(world_took(&w, MR_ACT_REVOKE, t[2], NULL));
    world_revoked(&w, t[2], false); /* the worker was faster */
    world_finish_as(&w, t[1], MR_OK, MR_FINISHED_RESULT, 2000);
    ck_assert_int_eq(world_finish_as(&w, t[2], MR_OK, MR_FINISHED_RESULT, 2000), MR_OK);
}
END_TEST

/* `n` tasks of a function whose runs of `ran` ns are known, on a fresh world; the first has ended. */
static void learned(const char *node, int64_t prefetch, int64_t ran, mr_id *t, int n)
{
    open_world(node, prefetch);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id first = world_run(&w, f);
    world_time(&w, 1);
    world_finish_as(&w, first, MR_OK, MR_FINISHED_RESULT, ran);
    world_forget(&w);
    for (int i = 0; i < n; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
}

START_TEST(learned_time_bounds_what_is_held)
{
    static const struct {
        int64_t ran;
        size_t held;
    } cases[] = {{1, 7}, {100, 7}, {2000, 5}, {9000, 1}, {10001, 0}, {1000000, 0}};
    mr_id t[8];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        learned("CPU=1", 10000, cases[i].ran, t, 8);
        ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 1 + cases[i].held);
        world_free(&w);
    }
    learned("CPU=1", 0, 1, t, 8); /* [sched] strict */
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 1);
}
END_TEST

START_TEST(a_cancelled_task_gives_back_what_is_behind_it)
{
    mr_id t[4];
    mr_action x;
    learned("CPU=1", 10000, 2000, t, 4);
    ck_assert_int_eq(world_cancel(&w, t[0], 0), MR_OK);
    ck_assert(world_took(&w, MR_ACT_INTERRUPT, t[0], NULL));
    for (int i = 1; i < 4; i++) {
        ck_assert(world_took(&w, MR_ACT_REVOKE, t[i], NULL));
        ck_assert_int_eq(world_revoked(&w, t[i], true), MR_OK);
    }
    world_forget(&w);
    world_time(&w, 1);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, 0)); /* nothing more is put behind it */
    world_finish_as(&w, t[0], MR_E_CANCELLED, 0, 1);
    world_time(&w, 1);
    for (int i = 1; i < 4; i++) { /* in the order in which they came */
        ck_assert(world_took(&w, MR_ACT_DISPATCH, 0, &x));
        ck_assert_uint_eq(x.id, t[i]);
        ck_assert_uint_eq(x.attempt, 1);
    }
}
END_TEST

START_TEST(a_held_record_is_cancelled_alone)
{
    mr_id t[4];
    learned("CPU=1", 10000, 2000, t, 4);
    ck_assert_int_eq(world_cancel(&w, t[2], 0), MR_OK);
    ck_assert_uint_eq(world_count(&w, MR_ACT_REVOKE), 1);
    ck_assert_int_eq(world_revoked(&w, t[2], true), MR_OK);
    ck_assert_int_eq(world_state(&w, t[2]), MR_OBJ_ERROR);
    world_finish(&w, t[0]);
    world_finish(&w, t[1]);
    ck_assert_int_eq(world_finish(&w, t[3]), MR_OK);
    ck_assert_int_eq(world_state(&w, t[3]), MR_OBJ_SEALED);
}
END_TEST

/* The worker had started it, and the end of the one before it was not heard of yet: the cancel must not be lost. */
START_TEST(a_held_record_that_runs_already_is_interrupted)
{
    mr_id t[3];
    learned("CPU=1", 10000, 2000, t, 3);
    ck_assert_int_eq(world_cancel(&w, t[1], 0), MR_OK);
    ck_assert(world_took(&w, MR_ACT_REVOKE, t[1], NULL));
    ck_assert_int_eq(world_revoked(&w, t[1], false), MR_OK);
    ck_assert(world_took(&w, MR_ACT_INTERRUPT, t[1], NULL));
}
END_TEST

START_TEST(a_dry_worker_gets_what_another_holds)
{
    mr_id t[6];
    mr_action x;
    learned("CPU=2", 400000, 60000, t, 6);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 6); /* two run, two and two are held */
    uint32_t a = world_worker(&w, t[0]), b = world_worker(&w, t[1]);
    ck_assert_uint_ne(a, b);
    for (int i = 1; i < 6; i++) /* all of b's are done, a still runs its first */
        if (world_worker(&w, t[i]) == b)
            ck_assert_int_eq(world_finish_as(&w, t[i], MR_OK, MR_FINISHED_RESULT, 60000), MR_OK);
    world_forget(&w);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_REVOKE, 0, &x));
    ck_assert_uint_eq(x.worker, a);
    mr_id moved = x.id;
    ck_assert_int_eq(world_revoked(&w, moved, true), MR_OK);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, moved, &x));
    ck_assert_uint_eq(x.worker, b);
    ck_assert_uint_eq(x.attempt, 1);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- streams -- */

static mr_status reads(mr_id stream, uint32_t token)
{
    mr_ev_id e = {.h = {.kind = MR_EV_READ, .token = token}, .id = stream};
    return world_step(&w, &e);
}

START_TEST(items_come_one_by_one)
{
    open_world("CPU=1", 0);
    uint32_t f = world_define(&w, (spec){.name = "gen", .flags = MR_FUNC_STREAMING, .window = 2, .retries = 1});
    mr_id s = world_run(&w, f);
    mr_action x;
    world_time(&w, 1);
    ck_assert_int_eq(reads(s, 5), MR_OK);
    ck_assert(!world_sees(&w, MR_ACT_REPLY, 0));
    ck_assert_int_eq(world_yield(&w, s, 0, 9000), MR_OK);
    ck_assert(world_took(&w, MR_ACT_REPLY, 0, &x));
    ck_assert_uint_eq(x.token, 5);
    ck_assert_int_eq(x.value, 9000);
    world_yield(&w, s, 1, 9001);
    ck_assert(world_took(&w, MR_ACT_RESUME, s, &x)); /* two were allowed and made, one is read */
    ck_assert_int_eq(x.value, 3);
    world_yield(&w, s, 2, 9002);
    ck_assert(!world_sees(&w, MR_ACT_RESUME, s));
    reads(s, 6);
    ck_assert(world_took(&w, MR_ACT_RESUME, s, &x));
    ck_assert_int_eq(x.value, 4);
    ck_assert(world_took(&w, MR_ACT_REPLY, 0, &x));
    world_die(&w, world_worker(&w, s), MR_DEATH_EXIT, 1);
    world_time(&w, 1);
    ck_assert_int_eq(world_yield(&w, s, 0, 9010), MR_E_EXISTS); /* the first attempt was there first */
    ck_assert(!world_sees(&w, MR_ACT_RESUME, s));               /* a new attempt has leave for two */
    ck_assert_int_eq(world_yield(&w, s, 1, 9011), MR_E_EXISTS);
    ck_assert(world_took(&w, MR_ACT_RESUME, s, &x));
    ck_assert_int_eq(x.value, 4);
    ck_assert_int_eq(world_yield(&w, s, 3, 9013), MR_OK);
    world_finish_as(&w, s, MR_OK, 0, 1);
    ck_assert_int_eq(world_state(&w, s), MR_OBJ_SEALED);
    world_forget(&w);
    reads(s, 7);
    reads(s, 8);
    ck_assert_int_eq(reads(s, 9), MR_E_END);
    ck_assert_uint_eq(world_count(&w, MR_ACT_REPLY), 3);
    for (mr_id i = 9000; i < 9003; i++)
        world_drop(&w, i);
    world_drop(&w, 9013);
    world_drop(&w, s);
    world_nothing_left(&w);
}
END_TEST

START_TEST(a_dropped_stream_frees_its_items)
{
    open_world("CPU=1", 0);
    mr_id s = world_run(&w, world_define(&w, (spec){.name = "gen", .flags = MR_FUNC_STREAMING, .window = 1}));
    world_time(&w, 1);
    world_yield(&w, s, 0, 9000);
    ck_assert(!world_sees(&w, MR_ACT_RESUME, s));
    uint32_t token = world_block(&w, 0, 0, 1, 0, (mr_id[]){s, 0});
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &x));
    ck_assert_uint_eq(x.token, token);
    world_drop(&w, s);
    ck_assert(world_took(&w, MR_ACT_RESUME, s, &x));
    ck_assert_int_eq(x.value, INT64_MAX);
    ck_assert(world_took(&w, MR_ACT_FREE, 9000, NULL));
    world_yield(&w, s, 1, 9001);
    ck_assert(world_took(&w, MR_ACT_FREE, 9001, NULL));
    world_finish_as(&w, s, MR_OK, 0, 1);
    world_nothing_left(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: blocking, prefetch, streams");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, nested_to_depth_1000_on_one_cpu);
    tcase_add_test(t, a_lent_cpu_is_for_descendants_first);
    tcase_add_test(t, twenty_at_a_barrier);
    tcase_add_test(t, free_goes_below_zero_and_comes_back);
    tcase_add_test(t, a_circle_is_told);
    tcase_add_test(t, a_wait_with_a_timeout_ends_by_itself);
    tcase_add_test(t, all_blocked_but_one_of_them_for_a_time);
    tcase_add_test(t, an_actor_that_waits_for_itself);
    tcase_add_test(t, all_blocked_and_no_process_left);
    tcase_add_test(t, records_are_held_ahead);
    tcase_add_test(t, learned_time_bounds_what_is_held);
    tcase_add_test(t, a_cancelled_task_gives_back_what_is_behind_it);
    tcase_add_test(t, a_held_record_is_cancelled_alone);
    tcase_add_test(t, a_held_record_that_runs_already_is_interrupted);
    tcase_add_test(t, a_dry_worker_gets_what_another_holds);
    tcase_add_test(t, records_come_back);
    tcase_add_test(t, a_slow_task_keeps_nobody_waiting);
    tcase_add_test(t, items_come_one_by_one);
    tcase_add_test(t, a_dropped_stream_frees_its_items);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
