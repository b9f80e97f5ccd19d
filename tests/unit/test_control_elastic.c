/* test_control_elastic.c: what needs no instant of its own; processes that come and go, the cap on them, failed births,
 * and which GPUs a task gets. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;

static void open_with(const char *node, uint32_t max_workers)
{
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.max_workers = max_workers;
    w.conf.prefetch = 0;
    world_new(&w, node);
}

static void teardown(void)
{
    world_free(&w);
}

/* ------------------------------------------------------------------------------------------------------- slots -- */

START_TEST(what_stands_behind_its_like_needs_no_instant)
{
    open_with("CPU=2", 100);
    uint32_t f = world_func(&w, "f", NULL), wide = world_func(&w, "wide", "CPU=2");
    mr_id t[5];
    for (int i = 0; i < 3; i++) {
        t[i] = world_run(&w, f);
        ck_assert(mr_control_eager(w.c));
        world_time(&w, 1);
    }
    ck_assert(!mr_control_eager(w.c));
    t[3] = world_run(&w, f); /* as t[2], which waits for a CPU */
    ck_assert(!mr_control_eager(w.c));
    t[4] = world_run(&w, wide);
    ck_assert(mr_control_eager(w.c));
    world_time(&w, 1);
    world_finish(&w, t[0]);
    ck_assert(mr_control_eager(w.c));
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t[2]) && !world_sees(&w, MR_ACT_DISPATCH, t[3]));
    for (int i = 1; i < 5; i++) {
        world_finish(&w, t[i]);
        world_time(&w, 1);
    }
    for (int i = 0; i < 5; i++)
        world_drop(&w, t[i]);
    world_nothing_left(&w);
}
END_TEST

/* ----------------------------------------------------------------------------------------------- the cap, births -- */

START_TEST(actors_do_not_count)
{
    enum { ACTORS = 20 };
    open_with("CPU=4", 2);
    uint32_t f = world_func(&w, "f", NULL);
    uint32_t cls = world_define(
        &w, (spec){.name = "A", .needs = "", .living = "", .kind = MR_FUNC_ACTOR, .flags = MR_FUNC_EXPLICIT_CPU});
    mr_id t[4], a[ACTORS];
    for (int i = 0; i < 4; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    ck_assert(world_worker(&w, t[1]) && !world_worker(&w, t[2]));
    for (int i = 0; i < ACTORS; i++)
        a[i] = world_run(&w, cls);
    world_time(&w, 1);
    for (int i = 0; i < ACTORS; i++) /* all are being made at once, though the pool is full */
        ck_assert_msg(world_worker(&w, a[i]) != 0, "actor %d has no process", i);
    ck_assert(!world_worker(&w, t[2]) && !world_worker(&w, t[3]));
    for (int i = 0; i < ACTORS; i++)
        world_finish_as(&w, a[i], MR_OK, 0, 1);
    world_time(&w, 1);
    ck_assert(!world_worker(&w, t[2]));
    world_finish(&w, t[0]);
    world_time(&w, 1);
    ck_assert(world_worker(&w, t[2]) && !world_worker(&w, t[3]));
}
END_TEST

START_TEST(a_failed_constructor_gives_its_process_back)
{
    open_with("CPU=4", 1);
    uint32_t f = world_func(&w, "f", NULL);
    uint32_t cls = world_define(&w, (spec){.name = "A", .kind = MR_FUNC_ACTOR});
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    mr_id a = world_run(&w, cls);
    world_time(&w, 1);
    uint32_t p = world_worker(&w, a);
    ck_assert_uint_ne(p, 0);
    world_finish_as(&w, a, MR_E_TASK, MR_FINISHED_RESULT, 1);
    world_time(&w, 1);
    mr_id u = world_run(&w, f); /* two processes are in the pool of one: no third */
    world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(world_worker(&w, u), p);
    ck_assert_uint_eq(world_stats(&w).workers, 2);
    world_finish(&w, t);
}
END_TEST

static void born_and_killed(int how, int code, int times)
{
    for (int i = 0; i < times; i++) {
        mr_action x;
        ck_assert_msg(world_took(&w, MR_ACT_SPAWN, 0, &x), "birth %d does not follow", i);
        world_die(&w, x.worker, how, code);
        world_time(&w, 1);
    }
}

START_TEST(a_birth_cut_short_from_outside_is_repeated)
{
    open_with("CPU=1", 8);
    w.hold_births = true;
    mr_id t = world_run(&w, world_func(&w, "f", NULL));
    world_time(&w, 1);
    born_and_killed(MR_DEATH_SIGNAL, 9, 20);
    born_and_killed(MR_DEATH_SIGNAL, 15, 20);
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_PENDING);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_SPAWN, 0, &x));
    world_up(&w, x.worker);
    ck_assert_uint_eq(world_worker(&w, t), x.worker);
    world_finish(&w, t);
}
END_TEST

START_TEST(a_birth_that_fails_by_itself_is_not)
{
    static const struct {
        int how, code;
    } ends[] = {
        {MR_DEATH_EXIT, 1}, {MR_DEATH_SIGNAL, 11}, {MR_DEATH_SIGNAL, 6}, {MR_DEATH_SPAWN, 12}, {MR_DEATH_OOM, 9}};
    open_with("CPU=1", 8);
    w.hold_births = true;
    mr_id t = world_run(&w, world_func(&w, "f", NULL));
    world_time(&w, 1);
    born_and_killed(ends[_i].how, ends[_i].code, 1);
    born_and_killed(MR_DEATH_SIGNAL, 9, 5);
    born_and_killed(ends[_i].how, ends[_i].code, 2);
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_ERROR);
    ck_assert(!world_sees(&w, MR_ACT_SPAWN, 0));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- leaving -- */

START_TEST(spares_are_capped)
{
    enum { MANY = 40, KEPT = 2 * 2 + 8 };
    open_with("CPU=2", 100);
    w.conf.idle_worker = INT64_C(60000000000);
    uint32_t f = world_func(&w, "f", "");
    mr_id t[MANY];
    for (int i = 0; i < MANY; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    for (int i = 0; i < MANY; i++)
        world_finish(&w, t[i]);
    world_time(&w, 1);
    world_forget(&w);
    world_time(&w, INT64_C(500000000));
    ck_assert_uint_eq(world_count(&w, MR_ACT_RETIRE), 0); /* not at once: they may be wanted again */
    world_time(&w, INT64_C(600000000));
    ck_assert_uint_eq(world_count(&w, MR_ACT_RETIRE), MANY - KEPT);
    mr_action x;
    while (world_took(&w, MR_ACT_RETIRE, 0, &x))
        world_retired(&w, x.worker);
    world_time(&w, INT64_C(50000000000));
    ck_assert_uint_eq(world_count(&w, MR_ACT_RETIRE), 0);
    world_time(&w, INT64_C(10000000000));
    ck_assert_uint_eq(world_count(&w, MR_ACT_RETIRE), KEPT);
    while (world_took(&w, MR_ACT_RETIRE, 0, &x))
        world_retired(&w, x.worker);
    ck_assert_uint_eq(world_stats(&w).workers, 0);
    world_time(&w, 0);
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------- GPUs -- */

static uint64_t gpus_of(mr_id t)
{
    mr_spec s;
    ck_assert_int_eq(mr_control_spec(w.c, t, &s), MR_OK);
    return s.gpus;
}

START_TEST(gpus_by_index)
{
    open_with("CPU=9 GPU=3", 100);
    uint32_t one = world_func(&w, "one", "GPU=1"), half = world_func(&w, "half", "GPU=0.5"),
             two = world_func(&w, "two", "GPU=2"), most = world_func(&w, "most", "GPU=0.6");
    mr_id a = world_run(&w, one);
    world_time(&w, 1);
    mr_id h1 = world_run(&w, half), h2 = world_run(&w, half);
    world_time(&w, 1);
    ck_assert_uint_eq(gpus_of(a), 1);
    ck_assert_uint_eq(gpus_of(h1), 2); /* parts share one */
    ck_assert_uint_eq(gpus_of(h2), 2);
    mr_id b = world_run(&w, two);
    world_time(&w, 1);
    ck_assert_uint_eq(gpus_of(b), 0); /* two are not free */
    world_finish(&w, a);
    world_time(&w, 1);
    ck_assert_uint_eq(gpus_of(b), 5);
    world_finish(&w, h1);
    world_finish(&w, h2);
    world_finish(&w, b);
    world_time(&w, 1);
    mr_id m[4];
    for (int i = 0; i < 4; i++)
        m[i] = world_run(&w, most);
    world_time(&w, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(gpus_of(m[i]), UINT64_C(1) << i);
    ck_assert_uint_eq(world_worker(&w, m[3]), 0); /* 1.2 are free, of no one enough */
    world_finish(&w, m[1]);
    world_time(&w, 1);
    ck_assert_uint_eq(gpus_of(m[3]), 2);
}
END_TEST

START_TEST(an_actor_keeps_its_gpu)
{
    open_with("CPU=4 GPU=2", 100);
    uint32_t f = world_func(&w, "f", "GPU=1");
    uint32_t cls = world_define(&w, (spec){.name = "A", .living = "GPU=1", .kind = MR_FUNC_ACTOR});
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    mr_id a = world_run(&w, cls);
    world_time(&w, 1);
    ck_assert_uint_eq(gpus_of(a), 2);
    world_finish(&w, t); /* a lower one is free when the constructor ends */
    world_time(&w, 1);
    world_finish_as(&w, a, MR_OK, 0, 1);
    world_time(&w, 1);
    ck_assert_uint_eq(gpus_of(a), 2);
    mr_id u = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(gpus_of(u), 1);
}
END_TEST

START_TEST(gpus_beyond_32_are_counted)
{
    open_with("CPU=100 GPU=33", 100);
    uint32_t f = world_func(&w, "f", "GPU=1");
    mr_id t[34];
    for (int i = 0; i < 34; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    ck_assert(world_worker(&w, t[32]) && !world_worker(&w, t[33]));
    ck_assert_uint_eq(gpus_of(t[0]), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control_elastic");
    TCase *t = tcase_create("processes");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, what_stands_behind_its_like_needs_no_instant);
    tcase_add_test(t, actors_do_not_count);
    tcase_add_test(t, a_failed_constructor_gives_its_process_back);
    tcase_add_test(t, a_birth_cut_short_from_outside_is_repeated);
    tcase_add_loop_test(t, a_birth_that_fails_by_itself_is_not, 0, 5);
    tcase_add_test(t, spares_are_capped);
    suite_add_tcase(s, t);
    t = tcase_create("gpus");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, gpus_by_index);
    tcase_add_test(t, an_actor_keeps_its_gpu);
    tcase_add_test(t, gpus_beyond_32_are_counted);
    suite_add_tcase(s, t);
    return run_suite(s);
}
