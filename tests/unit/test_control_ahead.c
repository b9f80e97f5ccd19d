/* test_control_ahead.c: which process gets a short task: one that is at work, or one that must be woken for it. */
#include <check.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;
static uint32_t f;

/* Two CPUs with a process each, both idle, and a function that takes a microsecond. */
static void setup(void)
{
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    world_new(&w, "CPU=2");
    f = world_func(&w, "f", NULL);
    mr_id first[2] = {world_run(&w, f), world_run(&w, f)};
    world_time(&w, 1);
    for (int i = 0; i < 2; i++) {
        world_finish_as(&w, first[i], MR_OK, MR_FINISHED_RESULT, 1000);
        world_drop(&w, first[i]);
    }
    world_time(&w, 1);
    ck_assert_int_eq(world_free_cpu(&w, 0), 2 * MR_RES_UNIT);
}

static void teardown(void)
{
    world_free(&w);
}

static mr_id run(void)
{
    mr_id id = world_run(&w, f);
    world_time(&w, 1);
    return id;
}

static void end(const mr_id *id, int n)
{
    for (int i = 0; i < n; i++) {
        world_finish_as(&w, id[i], MR_OK, MR_FINISHED_RESULT, 1000);
        world_time(&w, 1);
        world_drop(&w, id[i]);
    }
    world_nothing_left(&w);
}

START_TEST(a_process_is_woken_for_what_is_worth_it)
{
    mr_id t[44];
    for (int i = 0; i < 41; i++) {
        t[i] = run();
        ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT); /* 20 µs are held behind the first, 20 are ready */
    }
    ck_assert_uint_eq(world_worker(&w, t[0]), world_worker(&w, t[20]));
    ck_assert(!world_worker(&w, t[21]) && !world_worker(&w, t[40]));
    t[41] = run();
    ck_assert_int_eq(world_free_cpu(&w, 0), 0); /* the other is woken, and given all of that at once */
    for (int i = 21; i < 42; i++)
        ck_assert(world_worker(&w, t[i]) && world_worker(&w, t[i]) != world_worker(&w, t[0]));
    t[42] = run();
    t[43] = run();
    ck_assert(world_worker(&w, t[43]));
    end(t, 44);
}
END_TEST

START_TEST(nothing_waits_behind_one_that_is_late)
{
    mr_id t[3] = {run(), run()};
    ck_assert_uint_eq(world_worker(&w, t[0]), world_worker(&w, t[1]));
    ck_assert_int_gt(w.wake, w.now); /* somebody looks again */
    ck_assert_int_le(w.wake, w.now + 1000000);
    world_time(&w, 1000000);
    ck_assert(world_took(&w, MR_ACT_REVOKE, t[1], NULL));
    world_revoked(&w, t[1], true);
    world_time(&w, 1);
    ck_assert(world_worker(&w, t[1]) && world_worker(&w, t[1]) != world_worker(&w, t[0]));
    t[2] = run();
    end(t, 3);
}
END_TEST

/* What was ready behind a process goes to the other once the first is late, not only what it held. */
START_TEST(what_is_held_back_starts_elsewhere)
{
    mr_id t[30];
    for (int i = 0; i < 30; i++)
        t[i] = run();
    ck_assert(!world_worker(&w, t[21]) && !world_worker(&w, t[29]));
    world_finish_as(&w, t[0], MR_OK, MR_FINISHED_RESULT, 1000);
    world_time(&w, 1);
    ck_assert(world_worker(&w, t[21])); /* one more for the one that is done */
    world_time(&w, 1000000);
    ck_assert_int_eq(world_free_cpu(&w, 0), 0);
    ck_assert(world_worker(&w, t[29]) && world_worker(&w, t[29]) != world_worker(&w, t[1]));
    for (int i = 2; i < 22; i++)
        world_revoked(&w, t[i], true);
    world_time(&w, 1);
    world_drop(&w, t[0]);
    end(t + 1, 29);
}
END_TEST

/* One that has plenty to do gets what comes some records at a time. */
START_TEST(plenty_is_not_hurried)
{
    mr_id t[14];
    for (int i = 0; i < 9; i++) {
        t[i] = world_run(&w, f);
        ck_assert(mr_control_eager(w.c));
        world_time(&w, 1);
    }
    for (int i = 9; i < 13; i++) {
        t[i] = world_run(&w, f);
        ck_assert(!mr_control_eager(w.c));
    }
    ck_assert(!world_worker(&w, t[9]));
    world_finish_as(&w, t[0], MR_OK, MR_FINISHED_RESULT, 1000);
    world_time(&w, 1);
    ck_assert(world_worker(&w, t[12]) && world_worker(&w, t[12]) == world_worker(&w, t[1]));
    uint32_t other = world_func(&w, "other", NULL);
    t[13] = world_run(&w, other); /* nothing is known of it */
    ck_assert(mr_control_eager(w.c));
    world_time(&w, 1);
    ck_assert(world_worker(&w, t[13]) && world_worker(&w, t[13]) != world_worker(&w, t[1]));
    world_drop(&w, t[0]);
    end(t + 1, 13);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ under a policy -- */

static int n_ranked;

static double by_priority(void *self, const mr_task *t)
{
    (void)self;
    n_ranked++;
    return -t->priority;
}

static mr_id ranked(int32_t priority)
{
    mr_id id = world_call(&w, (call){.func = f, .n_returns = 1, .priority = priority});
    world_time(&w, 1);
    return id;
}

/* The task that runs; what is held ahead behind it has a worker too, and begins when that ends. */
static void starts_in_order(const mr_id *order, int n)
{
    mr_action a;
    for (int i = 0; i < n; i++) {
        mr_task_info x;
        mr_id runs = 0;
        for (uint64_t at = 0; mr_control_task_next(w.c, &at, &x);)
            runs = x.phase == MR_PHASE_RUNNING ? x.task : runs;
        ck_assert_msg(runs == order[i], "number %d is task %llu, should be %llu", i, (unsigned long long)runs,
                      (unsigned long long)order[i]);
        world_finish_as(&w, runs, MR_OK, MR_FINISHED_RESULT, 1000);
        world_drop(&w, runs);
        world_time(&w, 1);
        while (world_took(&w, MR_ACT_REVOKE, 0, &a))
            world_revoked(&w, a.id, true);
        world_time(&w, 1);
    }
}

/* i = 1: strict, where nothing is held ahead. */
START_TEST(a_revoked_task_keeps_its_rank)
{
    static const mr_sched_ops ops = {.rank = by_priority};
    mr_action a;
    world_free(&w);
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    if (_i)
        w.conf.prefetch = 0;
    world_new(&w, "CPU=1");
    f = world_func(&w, "f", NULL);
    mr_id first = world_run(&w, f);
    world_time(&w, 1);
    world_finish_as(&w, first, MR_OK, MR_FINISHED_RESULT, 1000); /* known to be short */
    world_drop(&w, first);
    world_time(&w, 1);
    ck_assert_int_eq(mr_control_policy(w.c, "priority", &ops, NULL, NULL), MR_OK);
    n_ranked = 0;
    mr_id t[8] = {ranked(1), ranked(5), ranked(2), ranked(3), ranked(2)};
    ck_assert_int_eq(n_ranked, 5);
    ck_assert(!!world_worker(&w, t[2]) == !_i); /* held ahead, in the order of their coming */
    world_time(&w, 1000000);                    /* the first is late: the others are taken back */
    while (world_took(&w, MR_ACT_REVOKE, 0, &a))
        world_revoked(&w, a.id, true);
    t[5] = ranked(4);
    t[6] = ranked(0);
    t[7] = ranked(3);
    ck_assert_int_eq(n_ranked, 8); /* nobody was asked for twice */
    starts_in_order((mr_id[]){t[0], t[1], t[5], t[3], t[7], t[2], t[4], t[6]}, 8);
    ck_assert_int_eq(n_ranked, 8);
    world_nothing_left(&w);
}
END_TEST

/* A call that lost its core for a while says nothing of the others; methods are known as tasks are. */
START_TEST(few_long_calls_make_no_function_long)
{
    uint32_t cls = world_define(&w, (spec){.name = "Counter", .kind = MR_FUNC_ACTOR});
    uint32_t method = world_define(&w, (spec){.name = "Counter.add", .kind = MR_FUNC_METHOD});
    uint32_t g = world_func(&w, "g", NULL);
    mr_id a = world_run(&w, cls);
    ck_assert(!mr_control_short(w.c, method) && !mr_control_short(w.c, g));
    world_time(&w, 1);
    world_finish(&w, a);
    for (int i = 0; i < 40; i++) {
        mr_id pair[2] = {world_call(&w, (call){.func = method, .n_returns = 1, .actor = a}), world_run(&w, g)};
        world_time(&w, 1);
        for (int k = 0; k < 2; k++) {
            world_finish_as(&w, pair[k], MR_OK, MR_FINISHED_RESULT, i % 4 == 3 ? 5000000 : 1000);
            world_drop(&w, pair[k]);
        }
        world_time(&w, 1);
        ck_assert(mr_control_short(w.c, method) && mr_control_short(w.c, g));
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: short tasks");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_process_is_woken_for_what_is_worth_it);
    tcase_add_test(t, nothing_waits_behind_one_that_is_late);
    tcase_add_test(t, what_is_held_back_starts_elsewhere);
    tcase_add_test(t, plenty_is_not_hurried);
    tcase_add_loop_test(t, a_revoked_task_keeps_its_rank, 0, 2);
    tcase_add_test(t, few_long_calls_make_no_function_long);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
