/* test_control.c: the life of tasks and objects in control, with a fake engine. */
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

START_TEST(one_task)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t = world_run(&w, f);
    mr_action a;
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, t));
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, t, &a));
    ck_assert_uint_eq(a.attempt, 1);
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_PENDING);
    ck_assert_int_eq(world_finish(&w, t), MR_OK);
    ck_assert(world_sees(&w, MR_ACT_DROP, t));
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_SEALED);
    ck_assert(mr_control_settled(w.c, t));
    ck_assert_int_eq(world_free_cpu(&w, 0), 2 * MR_RES_UNIT);
    world_drop(&w, t);
    ck_assert(world_sees(&w, MR_ACT_FREE, t));
    world_nothing_left(&w);
}
END_TEST

START_TEST(two_at_a_time_in_order)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t[5];
    for (int i = 0; i < 5; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 2);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, t[0], NULL) && world_took(&w, MR_ACT_DISPATCH, t[1], NULL));
    world_finish(&w, t[1]);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, t[2], NULL));
    world_finish(&w, t[0]);
    world_finish(&w, t[2]);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, t[3], NULL) && world_took(&w, MR_ACT_DISPATCH, t[4], NULL));
    world_finish(&w, t[3]);
    world_finish(&w, t[4]);
    for (int i = 0; i < 5; i++)
        world_drop(&w, t[i]);
    world_nothing_left(&w);
}
END_TEST

START_TEST(a_shape_that_does_not_fit_blocks_nobody)
{
    uint32_t wide = world_func(&w, "wide", "CPU=2"), f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, f), b = world_run(&w, wide), d = world_run(&w, f);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, a) && world_sees(&w, MR_ACT_DISPATCH, d));
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, b));
    world_finish(&w, a);
    world_finish(&w, d);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, b));
}
END_TEST

START_TEST(arguments_are_waited_for)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, f), b = world_submit(&w, f, (mr_id[]){a, a, 0}),
          d = world_submit(&w, f, (mr_id[]){a, b, 0});
    world_time(&w, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 1);
    ck_assert_uint_eq(world_stats(&w).waiting, 2);
    world_drop(&w, a);
    world_finish(&w, a);
    ck_assert(!world_sees(&w, MR_ACT_FREE, a)); /* the tasks hold it */
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, b) && !world_sees(&w, MR_ACT_DISPATCH, d));
    world_finish(&w, b);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, d));
    world_finish(&w, d);
    ck_assert(world_sees(&w, MR_ACT_FREE, a));
    world_drop(&w, b);
    world_drop(&w, d);
    world_nothing_left(&w);
}
END_TEST

START_TEST(an_error_fails_what_depends_on_it)
{
    enum { DEPTH = 20000 };
    uint32_t f = world_func(&w, "f", NULL);
    mr_id first = world_run(&w, f), last = first;
    w.unchecked = true;
    for (int i = 0; i < DEPTH; i++)
        last = world_submit(&w, f, (mr_id[]){last, 0});
    world_time(&w, 1);
    ck_assert_int_eq(world_finish_as(&w, first, MR_E_TASK, MR_FINISHED_RESULT, 1), MR_OK);
    w.unchecked = false;
    world_time(&w, 1);
    ck_assert_int_eq(world_state(&w, last), MR_OBJ_ERROR);
    ck_assert_uint_eq(world_count(&w, MR_ACT_ALIAS), DEPTH);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 1);
    ck_assert_uint_eq(world_stats(&w).tasks, 0);
    mr_id late = world_submit(&w, f, (mr_id[]){last, 0});
    ck_assert_int_eq(world_state(&w, late), MR_OBJ_ERROR);
}
END_TEST

START_TEST(several_results)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t = world_call(&w, (call){.func = f, .n_returns = 3});
    world_time(&w, 1);
    ck_assert_int_eq(world_seal(&w, t, 1, 100, 0, NULL), MR_OK);
    ck_assert_int_eq(world_state(&w, t + 1), MR_OBJ_SEALED);
    ck_assert_uint_eq(world_stats(&w).object_bytes, 100);
    world_finish_as(&w, t, MR_E_TASK, MR_FINISHED_RESULT, 1); /* the error of all that are unsealed */
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_ERROR);
    ck_assert_int_eq(world_state(&w, t + 1), MR_OBJ_SEALED);
    ck_assert_int_eq(world_state(&w, t + 2), MR_OBJ_ERROR);
    ck_assert(world_sees(&w, MR_ACT_ALIAS, t + 2));
    for (mr_id i = 0; i < 3; i++)
        world_drop(&w, t + i);
    mr_action a;
    ck_assert(world_took(&w, MR_ACT_REPORT, t, &a));
    ck_assert_int_eq(a.flags, MR_REPORT_UNHANDLED);
    world_nothing_left(&w);
}
END_TEST

START_TEST(an_error_is_reported_unless_it_was_read)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_action a;
    for (int how = 0; how < 4; how++) {
        mr_id t = world_call(&w, (call){.func = f, .n_returns = 3});
        world_time(&w, 1);
        world_finish_as(&w, t, MR_E_TASK, MR_FINISHED_RESULT, 1);
        if (how == 0) /* waiting is not reading */
            world_block(&w, 0, 0, 1, 0, (mr_id[]){t, 0});
        else if (how == 1) /* a get is; the others carry the same error */
            world_block(&w, 0, 0, 1, MR_WAIT_EARLY, (mr_id[]){t + 1, 0});
        else if (how == 2)
            mr_control_seen(w.c, t);
        else
            mr_control_seen(w.c, t + 2);
        for (mr_id i = 0; i < 3; i++)
            world_drop(&w, t + i);
        ck_assert_int_eq(world_took(&w, MR_ACT_REPORT, t, &a), how == 0);
        if (how == 0) {
            ck_assert_uint_eq(a.fault.func, f);
            ck_assert(!world_sees(&w, MR_ACT_REPORT, t));
        }
    }
    world_nothing_left(&w);
}
END_TEST

START_TEST(dropped_results_still_run)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t = world_run(&w, f);
    world_drop(&w, t);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t));
    world_finish(&w, t);
    ck_assert(world_sees(&w, MR_ACT_FREE, t));
    world_nothing_left(&w);
}
END_TEST

START_TEST(a_freed_argument_is_refused)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id x = world_put(&w, 0, 0, NULL);
    world_drop(&w, x);
    ck_assert_uint_eq(world_submit(&w, f, (mr_id[]){x, 0}), 0);
    ck_assert_int_eq(w.last, MR_E_FREED);
    ck_assert_uint_eq(world_submit(&w, f, (mr_id[]){999999, 0}), 0);
    ck_assert_int_eq(w.last, MR_E_NOTFOUND);
    ck_assert_str_eq(mr_control_why(w.c), "f: argument f423f was never made in this session");
    world_nothing_left(&w);
}
END_TEST

START_TEST(containers_hold_what_is_inside)
{
    mr_id in = world_put(&w, 50, 0, NULL), out = world_put(&w, 0, 0, (mr_id[]){in, 0});
    mr_id around = world_put(&w, 0, 0, (mr_id[]){out, in, 0});
    world_drop(&w, in);
    world_drop(&w, out);
    ck_assert(!world_sees(&w, MR_ACT_FREE, 0));
    world_hold(&w, out);
    world_drop(&w, around);
    ck_assert_uint_eq(world_count(&w, MR_ACT_FREE), 1);
    world_drop(&w, out);
    ck_assert_uint_eq(world_count(&w, MR_ACT_FREE), 3);
    world_nothing_left(&w);
}
END_TEST

START_TEST(impossible_requests)
{
    uint32_t f = world_func(&w, "f", "CPU=1 GPU=2"), g = world_func(&w, "g", "CPU=1 wheel=1");
    ck_assert_uint_eq(world_run(&w, f), 0);
    ck_assert_int_eq(w.last, MR_E_UNSCHEDULABLE);
    ck_assert_str_eq(mr_control_why(w.c),
                     "f needs GPU 2; the most any node has is GPU 0 (node-0: CPU 2, memory 8.0 GiB)");
    ck_assert_uint_eq(world_run(&w, g), 0);
    ck_assert_str_eq(mr_control_why(w.c),
                     "g needs wheel 1; the most any node has is wheel 0 (node-0: CPU 2, memory 8.0 GiB)");
    world_node(&w, "CPU=1 GPU=2");
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t));
}
END_TEST

START_TEST(infeasible_waits_if_asked)
{
    world_free(&w);
    mr_control_conf_init(&w.conf);
    w.conf.infeasible_wait = true;
    world_new(&w, "CPU=2");
    uint32_t f = world_func(&w, "f", "GPU=1");
    mr_id t = world_run(&w, f);
    ck_assert(t);
    world_time(&w, 1);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, t));
    world_node(&w, "GPU=1");
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t));
}
END_TEST

START_TEST(a_death_is_retried_so_many_times)
{
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 2});
    mr_id t = world_run(&w, f);
    mr_action a;
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        world_time(&w, 1);
        ck_assert(world_took(&w, MR_ACT_DISPATCH, t, &a));
        ck_assert_uint_eq(a.attempt, attempt);
        world_die(&w, a.worker, MR_DEATH_SIGNAL, 9);
    }
    ck_assert(world_took(&w, MR_ACT_FAIL, t, &a));
    char text[200];
    mr_fault_text(w.c, &a.fault, text, sizeof text);
    ck_assert_str_eq(text, "worker 4003 was killed by signal 9 (SIGKILL) while running f, attempt 3 of 3");
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_ERROR);
    ck_assert_uint_eq(world_stats(&w).retried, 2);
    world_drop(&w, t);
    world_nothing_left(&w);
}
END_TEST

START_TEST(old_attempts_are_refused)
{
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = -1});
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    uint32_t worker = world_worker(&w, t);
    world_die(&w, worker, MR_DEATH_EXIT, 1);
    world_time(&w, 1);
    mr_ev_finished e = {
        .h = {.kind = MR_EV_FINISHED, .from = worker}, .task = t, .id = t, .attempt = 1, .flags = MR_FINISHED_RESULT};
    ck_assert_int_eq(world_step(&w, &e), MR_E_INVAL);
    ck_assert_uint_eq(world_stats(&w).stale, 1);
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_PENDING);
    ck_assert_int_eq(world_finish(&w, t), MR_OK);
    ck_assert_int_eq(world_finish(&w, t), MR_E_INVAL);
}
END_TEST

START_TEST(errors_are_retried_only_if_wanted)
{
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 1, .flags = MR_FUNC_RETRY_ERRORS});
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    world_finish_as(&w, t, MR_E_TASK, MR_FINISHED_RESULT | MR_FINISHED_RETRIABLE, 1);
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_PENDING);
    world_time(&w, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 2);
    world_finish_as(&w, t, MR_E_TASK, MR_FINISHED_RESULT | MR_FINISHED_RETRIABLE, 1);
    ck_assert_int_eq(world_state(&w, t), MR_OBJ_ERROR);
    mr_id u = world_run(&w, f);
    world_time(&w, 1);
    world_finish_as(&w, u, MR_E_TASK, MR_FINISHED_RESULT, 1);
    ck_assert_int_eq(world_state(&w, u), MR_OBJ_ERROR);
}
END_TEST

START_TEST(a_kind_that_can_not_be_born_fails)
{
    w.hold_births = true;
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t = world_run(&w, f);
    mr_action a;
    world_time(&w, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert(world_took(&w, MR_ACT_SPAWN, 0, &a));
        world_die(&w, a.worker, MR_DEATH_SPAWN, 2);
    }
    ck_assert(!world_sees(&w, MR_ACT_SPAWN, 0));
    ck_assert(world_took(&w, MR_ACT_FAIL, t, &a));
    ck_assert_uint_eq(a.fault.how, MR_DEATH_SPAWN);
    world_drop(&w, t);
    world_nothing_left(&w);
}
END_TEST

START_TEST(cancel_in_the_queue_and_while_running)
{
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 3});
    mr_id a = world_run(&w, f), b = world_run(&w, f), d = world_run(&w, f), e = world_submit(&w, f, (mr_id[]){d, 0});
    mr_action x;
    world_time(&w, 1);
    world_cancel(&w, d, 0);
    ck_assert_int_eq(world_state(&w, d), MR_OBJ_ERROR);
    ck_assert(world_took(&w, MR_ACT_FAIL, d, &x));
    ck_assert_int_eq(x.fault.status, MR_E_CANCELLED);
    ck_assert_int_eq(world_state(&w, e), MR_OBJ_ERROR);
    world_cancel(&w, a, 0);
    ck_assert(world_took(&w, MR_ACT_INTERRUPT, a, &x));
    ck_assert_int_eq(world_state(&w, a), MR_OBJ_PENDING);
    world_finish_as(&w, a, MR_E_CANCELLED, 0, 1);
    ck_assert(world_took(&w, MR_ACT_FAIL, a, &x));
    world_cancel(&w, b, MR_CANCEL_FORCE);
    ck_assert(world_took(&w, MR_ACT_KILL, 0, &x));
    world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
    ck_assert(world_took(&w, MR_ACT_FAIL, b, &x)); /* not retried */
    ck_assert_int_eq(x.fault.status, MR_E_CANCELLED);
    ck_assert_int_eq(world_cancel(&w, b, 0), MR_OK); /* over: nothing */
    for (mr_id i = a; i <= e; i++)
        world_drop(&w, i);
    ck_assert(!world_sees(&w, MR_ACT_REPORT, 0));
    world_nothing_left(&w);
}
END_TEST

START_TEST(cancel_takes_the_children_along)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id p = world_run(&w, f);
    world_time(&w, 1);
    w.client = world_worker(&w, p);
    w.parent = p;
    mr_id kid = world_run(&w, f), queued = world_run(&w, f);
    w.client = 0;
    w.parent = 0;
    world_time(&w, 1);
    world_forget(&w);
    world_cancel(&w, p, MR_CANCEL_RECURSIVE);
    ck_assert(world_sees(&w, MR_ACT_INTERRUPT, p) && world_sees(&w, MR_ACT_INTERRUPT, kid));
    ck_assert(w.seen[0].kind == MR_ACT_INTERRUPT && w.seen[0].id == p); /* before an end of theirs lets it go on */
    ck_assert_int_eq(world_state(&w, queued), MR_OBJ_ERROR);
}
END_TEST

START_TEST(a_dead_owner_ends_its_children)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id p = world_run(&w, f);
    mr_action a;
    world_time(&w, 1);
    uint32_t worker = w.client = world_worker(&w, p);
    w.parent = p;
    mr_id kid = world_run(&w, f), queued = world_run(&w, f), x = world_put(&w, 0, 0, NULL);
    w.client = 0;
    w.parent = 0;
    world_time(&w, 1);
    world_hold(&w, queued);
    world_die(&w, worker, MR_DEATH_SIGNAL, 11);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_NONE);
    ck_assert(world_took(&w, MR_ACT_FAIL, queued, &a));
    ck_assert_int_eq(a.fault.status, MR_E_OWNER_DIED);
    ck_assert(world_took(&w, MR_ACT_KILL, 0, &a));
    ck_assert_uint_eq(a.worker, world_worker(&w, kid));
    world_die(&w, a.worker, MR_DEATH_SIGNAL, 9);
    world_drop(&w, queued);
    world_drop(&w, p);
    world_nothing_left(&w);
}
END_TEST

START_TEST(a_retired_worker_leaves_its_children)
{
    world_free(&w);
    mr_control_conf_init(&w.conf);
    w.conf.idle_worker = 100;
    world_new(&w, "CPU=2");
    uint32_t f = world_func(&w, "f", NULL);
    mr_id p = world_run(&w, f);
    mr_action a;
    world_time(&w, 1);
    uint32_t worker = w.client = world_worker(&w, p);
    w.parent = p;
    mr_id kid = world_run(&w, f);
    world_time(&w, 1);
    world_finish(&w, p);
    w.client = 0;
    w.parent = 0;
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_WAKE, 0, &a));
    world_time(&w, 200);
    ck_assert(world_took(&w, MR_ACT_RETIRE, 0, &a));
    ck_assert_uint_eq(a.worker, worker);
    world_retired(&w, worker);
    ck_assert_int_eq(world_finish(&w, kid), MR_OK);
    world_drop(&w, p);
    world_nothing_left(&w);
}
END_TEST

START_TEST(waits)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, f), b = world_run(&w, f), d = world_run(&w, f);
    mr_action x;
    world_time(&w, 1);
    uint32_t all = world_block(&w, 0, 0, 3, MR_WAIT_EARLY, (mr_id[]){a, b, d, 0});
    uint32_t two = world_block(&w, 0, 0, 2, 0, (mr_id[]){a, b, d, 0});
    uint32_t gone = world_block(&w, 0, 0, 1, 0, (mr_id[]){d, 0});
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0));
    world_finish(&w, a);
    world_unblock(&w, 0, gone);
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0));
    world_finish_as(&w, b, MR_E_TASK, MR_FINISHED_RESULT, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DELIVER), 2);
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &x));
    ck_assert(x.token == all || x.token == two);
    uint32_t now = world_block(&w, 0, 0, 2, 0, (mr_id[]){a, b, d, 0});
    world_took(&w, MR_ACT_DELIVER, 0, NULL);
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &x));
    ck_assert_uint_eq(x.token, now);
    world_time(&w, 1);
    world_finish(&w, d);
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0));
}
END_TEST

START_TEST(memory_of_a_queued_task)
{
    enum { N = 100000 };
    w.unchecked = true;
    uint32_t f = world_func(&w, "f", "CPU=2");
    world_run(&w, f);
    world_time(&w, 1);
    uint64_t before = world_stats(&w).memory;
    for (int i = 0; i < N; i++)
        world_run(&w, f);
    world_time(&w, 1);
    double each = (double)(world_stats(&w).memory - before) / N;
    ck_assert_msg(each <= 400, "%.1f bytes a queued task", each);
}
END_TEST

START_TEST(zero_cpu_tasks_are_not_limited_by_cpus)
{
    uint32_t f = world_func(&w, "f", "");
    for (int i = 0; i < 20; i++)
        world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 20);
    mr_node_info n;
    mr_control_node(w.c, 0, &n);
    ck_assert_uint_ge(n.slots, 20);
}
END_TEST

START_TEST(the_cap_on_processes_retires_another_kind)
{
    world_free(&w);
    mr_control_conf_init(&w.conf);
    w.conf.max_workers = 2;
    world_new(&w, "CPU=4");
    uint32_t f = world_func(&w, "f", NULL), g = world_define(&w, (spec){.name = "g", .env = 7});
    mr_action a;
    mr_id t[4];
    for (int i = 0; i < 4; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), 2);
    for (int i = 0; i < 4; i++) {
        world_finish(&w, t[i]);
        world_time(&w, 1);
    }
    mr_id u = world_run(&w, g);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_RETIRE, 0, &a));
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, u));
    world_retired(&w, a.worker);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, u));
    ck_assert_uint_eq(world_stats(&w).workers, 2);
}
END_TEST

START_TEST(a_limit_is_enforced)
{
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 5, .limit = 1000});
    mr_id a = world_run(&w, f), b = world_run(&w, f);
    mr_action x;
    char text[100];
    world_time(&w, 1);
    world_time(&w, 0);
    ck_assert(world_took(&w, MR_ACT_WAKE, 0, &x));
    ck_assert_int_eq(x.value, w.now + 1000);
    world_finish(&w, b);
    world_time(&w, 999);
    ck_assert(!world_sees(&w, MR_ACT_KILL, 0));
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_KILL, 0, &x));
    world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
    ck_assert(world_took(&w, MR_ACT_FAIL, a, &x));
    mr_fault_text(w.c, &x.fault, text, sizeof text);
    ck_assert_str_eq(text, "the task ran longer than its limit of 1e-06 s: f, attempt 1 of 6");
    ck_assert(!world_sees(&w, MR_ACT_FAIL, b));
}
END_TEST

START_TEST(a_worker_retires_after_max_calls)
{
    uint32_t f = world_define(&w, (spec){.name = "f", .max_calls = 2});
    mr_action x;
    for (int i = 0; i < 2; i++) {
        mr_id t = world_run(&w, f);
        world_time(&w, 1);
        world_finish(&w, t);
    }
    ck_assert(world_took(&w, MR_ACT_RETIRE, 0, &x));
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_ne(world_worker(&w, t), x.worker);
    world_retired(&w, x.worker);
    ck_assert_int_eq(world_finish(&w, t), MR_OK);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control");
    TCase *t = tcase_create("tasks");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, one_task);
    tcase_add_test(t, two_at_a_time_in_order);
    tcase_add_test(t, a_shape_that_does_not_fit_blocks_nobody);
    tcase_add_test(t, arguments_are_waited_for);
    tcase_add_test(t, an_error_fails_what_depends_on_it);
    tcase_add_test(t, several_results);
    tcase_add_test(t, an_error_is_reported_unless_it_was_read);
    tcase_add_test(t, dropped_results_still_run);
    tcase_add_test(t, a_freed_argument_is_refused);
    tcase_add_test(t, containers_hold_what_is_inside);
    tcase_add_test(t, impossible_requests);
    tcase_add_test(t, infeasible_waits_if_asked);
    tcase_add_test(t, a_death_is_retried_so_many_times);
    tcase_add_test(t, old_attempts_are_refused);
    tcase_add_test(t, errors_are_retried_only_if_wanted);
    tcase_add_test(t, a_kind_that_can_not_be_born_fails);
    tcase_add_test(t, cancel_in_the_queue_and_while_running);
    tcase_add_test(t, cancel_takes_the_children_along);
    tcase_add_test(t, a_dead_owner_ends_its_children);
    tcase_add_test(t, a_retired_worker_leaves_its_children);
    tcase_add_test(t, a_limit_is_enforced);
    tcase_add_test(t, a_worker_retires_after_max_calls);
    tcase_add_test(t, waits);
    tcase_add_test(t, memory_of_a_queued_task);
    tcase_add_test(t, zero_cpu_tasks_are_not_limited_by_cpus);
    tcase_add_test(t, the_cap_on_processes_retires_another_kind);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
