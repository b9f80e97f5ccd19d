/* test_control_faults.c: births that fail, cancels that are ignored, objects given up under their holders. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;

static void setup(void)
{
    memset(&w, 0, sizeof w);
    world_new(&w, "CPU=2 memory=8589934592");
}

static void teardown(void)
{
    world_free(&w);
}

START_TEST(births_that_end_together_are_one_try)
{
    world_free(&w);
    memset(&w, 0, sizeof w);
    world_new(&w, "CPU=4");
    w.hold_births = true;
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t[4];
    mr_action a;
    for (int i = 0; i < 4; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    for (int round = 0; round < 2; round++) { /* the zygote is killed with four workers in the making, and again */
        uint32_t born[4];
        for (int i = 0; i < 4; i++) {
            ck_assert(world_took(&w, MR_ACT_SPAWN, 0, &a));
            born[i] = a.worker;
        }
        for (int i = 0; i < 4; i++)
            world_die(&w, born[i], MR_DEATH_SIGNAL, 9);
        world_time(&w, 1);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(world_state(&w, t[i]), MR_OBJ_PENDING);
        ck_assert(world_took(&w, MR_ACT_SPAWN, 0, &a));
        world_up(&w, a.worker);
    }
    world_time(&w, 1);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(world_finish(&w, t[i]), MR_OK);
        world_drop(&w, t[i]);
    }
    world_nothing_left(&w);
}
END_TEST

START_TEST(what_ignores_a_cancel_is_killed)
{
    world_free(&w);
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.grace = 1000000;
    world_new(&w, "CPU=2");
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 3});
    mr_id a = world_run(&w, f), b = world_run(&w, f);
    mr_action x, wake;
    world_time(&w, 1);
    world_cancel(&w, a, 0);
    world_cancel(&w, b, 0);
    uint32_t worker = world_worker(&w, a);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_WAKE, 0, &wake));
    ck_assert_int_le(wake.value, w.now + 1000000);
    ck_assert_int_eq(world_finish(&w, b), MR_OK); /* it caught the interrupt: a success, and its process stays */
    mr_id next = world_run(&w, f);
    world_time(&w, 900000);
    ck_assert(!world_sees(&w, MR_ACT_KILL, 0));
    world_cancel(&w, a, 0); /* again: the first one counts */
    world_time(&w, 200000);
    ck_assert(world_took(&w, MR_ACT_KILL, 0, &x));
    ck_assert_uint_eq(x.worker, worker);
    ck_assert(!world_sees(&w, MR_ACT_KILL, 0));
    world_die(&w, worker, MR_DEATH_SIGNAL, 9);
    ck_assert(world_took(&w, MR_ACT_FAIL, a, &x)); /* not retried */
    ck_assert_int_eq(x.fault.status, MR_E_CANCELLED);
    world_time(&w, 2000000);
    ck_assert_int_eq(world_finish(&w, next), MR_OK);
    for (mr_id i = a; i <= next; i++)
        world_drop(&w, i);
    world_nothing_left(&w);
}
END_TEST

START_TEST(freed_bytes_are_told_twice)
{
    mr_id x = world_put(&w, 1000, 0, NULL);
    mr_action a;
    struct {
        mr_ev_none e;
        mr_id id;
    } free_it = {.e = {.h = {.size = sizeof free_it, .kind = MR_EV_FREE, .n_ids = 1}}, .id = x};
    ck_assert_int_eq(world_step(&w, &free_it), MR_OK);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_FREED);
    ck_assert(world_took(&w, MR_ACT_FREE, x, &a));
    ck_assert_int_eq(a.flags, MR_FREE_HELD); /* somebody may look at them still */
    ck_assert_int_eq(world_step(&w, &free_it), MR_OK);
    ck_assert(!world_sees(&w, MR_ACT_FREE, x));
    world_drop(&w, x);
    ck_assert(world_took(&w, MR_ACT_FREE, x, &a));
    ck_assert_int_eq(a.flags, 0);
    world_nothing_left(&w);
}
END_TEST

/* Also when that process is gone; who never ran has none. */
START_TEST(what_ended_keeps_its_process)
{
    uint32_t f = world_func(&w, "f", NULL), g = world_func(&w, "g", NULL);
    mr_id ran = world_run(&w, f);
    world_time(&w, 1);
    uint32_t worker = world_worker(&w, ran);
    mr_worker_info p;
    ck_assert(mr_control_worker(w.c, worker, &p));
    world_finish(&w, ran);
    for (int round = 0; round < 2; round++) {
        uint64_t at = 0;
        mr_task_info i;
        ck_assert(mr_control_task_next(w.c, &at, &i));
        ck_assert_uint_eq(i.task, ran);
        ck_assert_uint_eq(i.worker, worker);
        ck_assert_int_eq(i.pid, p.pid);
        ck_assert_uint_eq(i.node, p.node);
        ck_assert_int_eq(i.phase, MR_PHASE_OVER);
        ck_assert_int_eq(i.state, MR_OVER);
        world_die(&w, worker, MR_DEATH_SIGNAL, 9);
    }
    mr_id never = world_run(&w, g);
    ck_assert_int_eq(world_cancel(&w, never, 0), MR_OK);
    uint64_t at = 1;
    mr_task_info i;
    ck_assert(mr_control_task_next(w.c, &at, &i));
    ck_assert_uint_eq(i.task, never);
    ck_assert_uint_eq(i.worker, 0);
    ck_assert_int_eq(i.pid, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control: faults");
    TCase *t = tcase_create("faults");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, births_that_end_together_are_one_try);
    tcase_add_test(t, what_ignores_a_cancel_is_killed);
    tcase_add_test(t, freed_bytes_are_told_twice);
    tcase_add_test(t, what_ended_keeps_its_process);
    suite_add_tcase(s, t);
    return run_suite(s);
}
