/* test_control_nodes.c: several nodes: inputs that travel, SPREAD, affinity, a node that goes, lost results.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;
static void open_world(const char *node, bool lineage)
{
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.prefetch = 0;
    w.conf.lineage = lineage;
    world_new(&w, node);
}

static void teardown(void)
{
    world_free(&w);
}

START_TEST(inputs_travel)
{
    open_world("CPU=1", false);
    world_node(&w, "CPU=1 wheel=1");
    uint32_t g = world_func(&w, "g", "CPU=1 wheel=1");
    mr_id x = world_put(&w, 1000, 0, NULL), inlined = world_put(&w, 0, 0, NULL);
    mr_id t = world_submit(&w, g, (mr_id[]){x, inlined, x, 0});
    mr_action a;
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_TRANSFER, x, &a));
    ck_assert_uint_eq(a.node, 1);
    ck_assert_int_eq(a.value, 0);
    ck_assert(!world_sees(&w, MR_ACT_TRANSFER, 0) && !world_sees(&w, MR_ACT_DISPATCH, t));
    ck_assert_uint_eq(world_stats(&w).moved_bytes, 1000);
    world_arrived(&w, x, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t));
    ck_assert_uint_eq(mr_control_object(w.c, x).nodes, 3);
}
END_TEST

START_TEST(spread_goes_round)
{
    open_world("CPU=4", false);
    world_node(&w, "CPU=4");
    world_node(&w, "CPU=4");
    uint32_t f = world_define(&w, (spec){.name = "f", .strategy = MR_STRATEGY_SPREAD});
    for (int i = 0; i < 6; i++)
        world_run(&w, f);
    world_time(&w, 1);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_int_eq(world_free_cpu(&w, i), 2 * MR_RES_UNIT);
}
END_TEST

START_TEST(affinity)
{
    open_world("CPU=1", false);
    world_node(&w, "CPU=1");
    uint32_t hard = world_define(&w, (spec){.name = "f", .strategy = MR_STRATEGY_NODE, .node = MR_REF_NODE | 2});
    uint32_t soft = world_define(
        &w, (spec){.name = "f", .strategy = MR_STRATEGY_NODE, .node = MR_REF_NODE | 2, .flags = MR_FUNC_SOFT_NODE});
    mr_id a = world_run(&w, hard), b = world_run(&w, hard), d = world_run(&w, soft);
    world_time(&w, 1);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_DISPATCH, a, &x));
    ck_assert_uint_eq(x.node, 1);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, b));
    ck_assert(world_took(&w, MR_ACT_DISPATCH, d, &x));
    ck_assert_uint_eq(x.node, 0);
}
END_TEST

START_TEST(a_node_goes)
{
    open_world("CPU=1", false);
    world_node(&w, "CPU=1");
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 1});
    mr_id a = world_run(&w, f), b = world_run(&w, f), x = world_put(&w, 100, 1, NULL);
    world_time(&w, 1);
    world_remove_node(&w, 1);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_LOST);
    ck_assert(world_sees(&w, MR_ACT_FAIL, x));
    world_finish(&w, a);
    world_time(&w, 1);
    ck_assert_int_eq(world_finish(&w, b), MR_OK);
    world_drop(&w, a);
    world_drop(&w, b);
    world_drop(&w, x);
    world_nothing_left(&w);
}
END_TEST

/* A record that lacks an argument whose node went comes back, and with it those behind it; they go again in their
 * order, as the same attempts. */
START_TEST(what_could_not_be_sent_comes_back)
{
    open_world("CPU=1", true);
    world_node(&w, "CPU=1");
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 2});
    uint32_t cls = world_define(&w, (spec){.name = "A", .needs = "", .living = "", .kind = MR_FUNC_ACTOR});
    uint32_t method = world_define(&w, (spec){.name = "A.m", .kind = MR_FUNC_METHOD});
    mr_id actor = world_run(&w, cls), a = world_run(&w, f), calls[4] = {0};
    world_time(&w, 1);
    uint32_t home = world_worker(&w, actor);
    world_finish_as(&w, actor, MR_OK, 0, 1);
    world_seal(&w, a, 0, 1000, 1, NULL);
    world_finish_as(&w, a, MR_OK, 0, 1);
    for (int i = 0; i < 3; i++)
        calls[i] = world_call(
            &w, (call){.func = method, .actor = actor, .n_returns = 1, .n_deps = i == 1, .ids = (mr_id[]){a, 0}});
    world_finish(&w, calls[0]);
    world_remove_node(&w, 1);
    ck_assert_int_eq(world_unsent(&w, calls + 1), MR_OK);
    ck_assert(!world_worker(&w, calls[1]) && !world_worker(&w, calls[2]));
    world_time(&w, 1);
    world_forget(&w);
    world_seal(&w, a, 0, 1000, 0, NULL);
    world_finish_as(&w, a, MR_OK, 0, 1);
    for (int i = 1; i < 3; i++) {
        mr_action x;
        ck_assert(world_took(&w, MR_ACT_DISPATCH, 0, &x));
        ck_assert_uint_eq(x.id, calls[i]);
        ck_assert_uint_eq(x.worker, home);
        ck_assert_uint_eq(x.attempt, 1);
    }
    for (int i = 0; i < 3; i++) {
        world_finish(&w, calls[i]);
        world_drop(&w, calls[i]);
    }
    world_drop(&w, a);
    world_drop(&w, actor);
    world_retired(&w, home);
    world_nothing_left(&w);
}
END_TEST

START_TEST(a_task_that_could_not_be_sent)
{
    open_world("CPU=1", false);
    world_node(&w, "CPU=1");
    uint32_t f = world_func(&w, "f", NULL);
    mr_id x = world_put(&w, 100, 1, NULL), y = world_put(&w, 100, 0, NULL);
    mr_id lost = world_submit(&w, f, (mr_id[]){y, 0}), stays = world_submit(&w, f, (mr_id[]){x, 0});
    world_time(&w, 1);
    world_arrived(&w, x, 0);
    world_arrived(&w, x, 1);
    world_arrived(&w, y, 1);
    world_time(&w, 1);
    ck_assert(world_worker(&w, lost) && world_worker(&w, stays));
    ck_assert_int_eq(world_unsent(&w, (mr_id[]){stays, 0}), MR_OK); /* nothing is wrong with it: it goes again */
    ck_assert(!world_worker(&w, stays));
    world_time(&w, 1);
    ck_assert(world_worker(&w, stays));
    world_free_object(&w, y);
    ck_assert_int_eq(world_unsent(&w, (mr_id[]){lost, 0}), MR_OK);
    ck_assert_int_ne(world_state(&w, lost), MR_OBJ_PENDING);
    ck_assert_int_eq(world_unsent(&w, (mr_id[]){lost, 0}), MR_OK); /* once more: it is over */
    world_time(&w, 1);
    world_finish(&w, stays);
    world_drop(&w, lost);
    world_drop(&w, stays);
    world_drop(&w, x);
    world_drop(&w, y);
    world_nothing_left(&w);
}
END_TEST

/* A result in a store is made again by its task, with what that needs; then those who need it run. */
START_TEST(a_lost_result_is_made_again)
{
    open_world("CPU=1", true);
    world_node(&w, "CPU=1 wheel=1");
    world_node(&w, "CPU=1");
    uint32_t f = world_define(&w, (spec){.name = "f", .needs = "CPU=1", .retries = 2});
    uint32_t g = world_define(&w, (spec){.name = "g", .needs = "CPU=1", .retries = 2});
    mr_id in = world_put(&w, 100, 0, NULL), a = world_submit(&w, f, (mr_id[]){in, 0});
    world_time(&w, 1);
    world_drop(&w, in); /* the task that may run again holds it */
    ck_assert_int_eq(world_seal(&w, a, 0, 1000, 1, NULL), MR_OK);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 1), MR_OK);
    world_time(&w, 1);
    ck_assert(!world_sees(&w, MR_ACT_DROP, a));
    mr_id busy = world_run(&w, f); /* no seat is free for b: it is ready, and must wait again */
    mr_id more = world_run(&w, f), third = world_run(&w, f);
    world_time(&w, 1);
    mr_id b = world_submit(&w, g, (mr_id[]){a, 0});
    world_time(&w, 1);
    world_forget(&w);
    world_remove_node(&w, 1);
    ck_assert_int_eq(world_state(&w, a), MR_OBJ_PENDING);
    ck_assert(world_sees(&w, MR_ACT_FREE, a) && !world_sees(&w, MR_ACT_FAIL, a));
    world_finish(&w, busy);
    world_time(&w, 1);
    for (int i = 0; i < 8 && !world_worker(&w, a); i++) {
        world_finish(&w, more);
        world_finish(&w, third);
        world_time(&w, 1);
    }
    ck_assert_uint_ne(world_worker(&w, a), 0);
    ck_assert(!world_worker(&w, b));
    ck_assert_int_eq(world_seal(&w, a, 0, 1000, 0, NULL), MR_OK);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 1), MR_OK);
    world_time(&w, 1);
    mr_action x;
    for (int i = 0; i < 8 && !world_worker(&w, b); i++) {
        world_finish(&w, more);
        world_finish(&w, third);
        if (world_took(&w, MR_ACT_TRANSFER, a, &x))
            world_arrived(&w, a, x.node);
        world_time(&w, 1);
    }
    ck_assert_int_eq(world_finish(&w, b), MR_OK);
    for (int i = 0; i < 4; i++) {
        world_finish(&w, more);
        world_finish(&w, third);
        world_time(&w, 1);
    }
    world_drop(&w, a);
    world_drop(&w, b);
    world_drop(&w, busy);
    world_drop(&w, more);
    world_drop(&w, third);
    world_time(&w, 1);
    world_nothing_left(&w);
}
END_TEST

START_TEST(what_cannot_be_made_again_says_why)
{
    char text[256];
    mr_action x;
    open_world("CPU=1", true);
    world_node(&w, "CPU=1 wheel=1");
    uint32_t once = world_define(&w, (spec){.name = "once", .needs = "CPU=1 wheel=1", .retries = 0});
    uint32_t f = world_define(&w, (spec){.name = "f", .needs = "CPU=1 wheel=1", .retries = 3});
    mr_id put = world_put(&w, 100, 1, NULL), a = world_run(&w, once);
    world_time(&w, 1);
    ck_assert_int_eq(world_seal(&w, a, 0, 1000, 1, NULL), MR_OK);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 1), MR_OK);
    mr_id b = world_submit(&w, f, (mr_id[]){put, 0}); /* its own argument cannot be made again */
    world_time(&w, 1);
    ck_assert_int_eq(world_seal(&w, b, 0, 1000, 1, NULL), MR_OK);
    ck_assert_int_eq(world_finish_as(&w, b, MR_OK, 0, 1), MR_OK);
    world_time(&w, 1);
    world_remove_node(&w, 1);
    ck_assert_int_eq(world_state(&w, put), MR_OBJ_LOST);
    ck_assert(world_took(&w, MR_ACT_FAIL, put, &x));
    mr_fault_text(w.c, &x.fault, text, sizeof(text));
    ck_assert_msg(strstr(text, "was lost with node") && strstr(text, "it was put"), "%s", text);
    ck_assert(world_took(&w, MR_ACT_FAIL, a, &x));
    mr_fault_text(w.c, &x.fault, text, sizeof(text));
    ck_assert_msg(strstr(text, "no attempt left"), "%s", text);
    ck_assert_int_eq(world_state(&w, b), MR_OBJ_ERROR); /* as its argument's */
    ck_assert(world_took(&w, MR_ACT_ALIAS, b, &x) && x.id2 == put);
    world_drop(&w, put);
    world_drop(&w, a);
    world_drop(&w, b);
    world_time(&w, 1);
    world_nothing_left(&w);
}
END_TEST

/* A full store takes back what is kept for the making again. */
START_TEST(room_comes_before_lineage)
{
    open_world("CPU=1", true);
    world_node(&w, "CPU=1");
    mr_id x = world_put(&w, 100, 0, NULL);
    mr_id a = world_submit(&w, world_define(&w, (spec){.name = "f", .retries = 3}), (mr_id[]){x, 0});
    world_time(&w, 1);
    ck_assert_int_eq(world_seal(&w, a, 0, 1000, 0, NULL), MR_OK);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 1), MR_OK);
    world_time(&w, 1);
    world_drop(&w, x);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_SEALED);
    mr_ev_place full = {.h = {.kind = MR_EV_STORE_FULL}, .size = 1};
    world_step(&w, &full);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_NONE);
    ck_assert(world_sees(&w, MR_ACT_DROP, a) && world_sees(&w, MR_ACT_COLLECT, 0));
    world_remove_node(&w, 0);
    ck_assert_int_eq(world_state(&w, a), MR_OBJ_LOST);
    world_drop(&w, a);
    world_nothing_left(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: nodes");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, inputs_travel);
    tcase_add_test(t, spread_goes_round);
    tcase_add_test(t, affinity);
    tcase_add_test(t, a_node_goes);
    tcase_add_test(t, what_could_not_be_sent_comes_back);
    tcase_add_test(t, a_task_that_could_not_be_sent);
    tcase_add_test(t, a_lost_result_is_made_again);
    tcase_add_test(t, what_cannot_be_made_again_says_why);
    tcase_add_test(t, room_comes_before_lineage);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
