/* test_control_groups.c: placement groups: where bundles go, what runs in them, and what is left when one is removed.
 */
#include <check.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;

static void open_world(const char *node)
{
    memset(&w, 0, sizeof w);
    world_new(&w, node);
}

static void teardown(void)
{
    world_free(&w);
}

static uint32_t where(mr_id g, uint32_t i)
{
    mr_bundle_info b;
    ck_assert(mr_control_bundle(w.c, g, i, &b));
    return b.node;
}

static mr_group_state state(mr_id g)
{
    mr_group_info i;
    ck_assert(mr_control_group(w.c, g, &i));
    return i.state;
}

static uint32_t in(mr_id g, int32_t bundle, const char *needs)
{
    return world_define(&w, (spec){.name = "in", .needs = needs, .group = g, .bundle = bundle + 1});
}

static bool runs(mr_id t)
{
    return world_worker(&w, t) != 0;
}

START_TEST(strategies)
{
    static const struct {
        mr_group_strategy strategy;
        const char *bundles;
        uint32_t at[4]; /* on nodes of 2, 4 and 2 CPUs */
    } table[] = {
        {MR_GROUP_PACK, "CPU=1;CPU=1;CPU=1", {1, 1, 1}},   {MR_GROUP_PACK, "CPU=4;CPU=2", {1, 0}},
        {MR_GROUP_SPREAD, "CPU=1;CPU=1;CPU=1", {1, 0, 2}}, {MR_GROUP_SPREAD, "CPU=1;CPU=1;CPU=1;CPU=1", {1, 0, 2, 1}},
        {MR_GROUP_STRICT_PACK, "CPU=2;CPU=2", {1, 1}},     {MR_GROUP_STRICT_SPREAD, "CPU=2;CPU=4;CPU=2", {0, 1, 2}}};
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        open_world("CPU=2");
        world_node(&w, "CPU=4");
        world_node(&w, "CPU=2");
        mr_id g = world_group(&w, table[k].strategy, table[k].bundles, 0, NULL);
        ck_assert_int_eq(state(g), MR_GROUP_PENDING);
        world_time(&w, 1);
        ck_assert_int_eq(state(g), MR_GROUP_PLACED);
        mr_group_info info;
        mr_control_group(w.c, g, &info);
        for (uint32_t i = 0; i < info.n_bundles; i++)
            ck_assert_msg(where(g, i) == table[k].at[i], "%s of %zu: bundle %u on node %u", table[k].bundles, k, i,
                          where(g, i));
        ck_assert_int_eq(world_ungroup(&w, g), MR_OK);
        ck_assert_int_eq(state(g), MR_GROUP_REMOVED);
        world_nothing_left(&w);
        world_free(&w);
    }
    open_world("CPU=1");
}
END_TEST

/* The largest first finds nothing: the second bundle has to make room for the first by going elsewhere. */
START_TEST(search_goes_back)
{
    open_world("CPU=3 wheel=1");
    world_node(&w, "CPU=3");
    world_node(&w, "CPU=2 wheel=1");
    mr_id g = world_group(&w, MR_GROUP_STRICT_SPREAD, "CPU=2;CPU=3;CPU=2 wheel=1", 0, NULL);
    world_time(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_PLACED);
}
END_TEST

START_TEST(impossible)
{
    static const struct {
        mr_group_strategy strategy;
        const char *bundles;
    } table[] = {{MR_GROUP_PACK, "CPU=3"},
                 {MR_GROUP_PACK, "CPU=1;GPU=1"},
                 {MR_GROUP_STRICT_PACK, "CPU=2;CPU=1"},
                 {MR_GROUP_STRICT_SPREAD, "CPU=1;CPU=1;CPU=1"},
                 {MR_GROUP_SPREAD, "CPU=1;CPU=1;CPU=1;CPU=1;CPU=1"}};
    open_world("CPU=2");
    world_node(&w, "CPU=2");
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        ck_assert_uint_eq(world_group(&w, table[k].strategy, table[k].bundles, 0, NULL), 0);
        ck_assert_int_eq(w.last, MR_E_UNSCHEDULABLE);
        ck_assert_ptr_nonnull(strstr(mr_control_why(w.c), mr_group_strategy_name(table[k].strategy)));
    }
    ck_assert_uint_eq(world_group(&w, MR_GROUP_PACK, "CPU=0", 0, NULL), 0);
    ck_assert_int_eq(w.last, MR_E_INVAL);
    world_free(&w);
    mr_control_conf_init(&w.conf);
    w.conf.infeasible_wait = true;
    world_new(&w, "CPU=2");
    mr_id g = world_group(&w, MR_GROUP_STRICT_SPREAD, "CPU=2;CPU=2", 0, NULL);
    world_time(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_PENDING);
    world_node(&w, "CPU=2");
    world_time(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_PLACED);
}
END_TEST

/* All or nothing: it waits while a part of it does not fit, and takes nothing meanwhile. */
START_TEST(waits_for_all)
{
    open_world("CPU=2");
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=1;CPU=1", 0, NULL), x = world_run(&w, in(g, 1, "CPU=1"));
    world_time(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_PENDING);
    ck_assert(!runs(x));
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
    world_finish(&w, t);
    world_time(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_PLACED);
    ck_assert(runs(x));
    ck_assert_int_eq(world_free_cpu(&w, 0), 0);
    mr_id outside = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_msg(!runs(outside), "a task outside took what a bundle reserved");
    world_finish(&w, x);
    world_time(&w, 1);
    ck_assert_msg(!runs(outside), "a free bundle is still reserved");
    world_ungroup(&w, g);
    world_time(&w, 1);
    ck_assert(runs(outside));
}
END_TEST

START_TEST(bundles_by_index)
{
    open_world("CPU=4");
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=1;CPU=3", 0, NULL);
    uint32_t any = in(g, -1, "CPU=1"), first = in(g, 0, "CPU=1"), wide = in(g, -1, "CPU=3");
    mr_id a = world_run(&w, first), b = world_run(&w, first), c = world_run(&w, any);
    world_time(&w, 1);
    ck_assert(runs(a) && !runs(b) && runs(c));
    mr_id d = world_run(&w, wide);
    world_time(&w, 1);
    ck_assert(!runs(d));
    world_finish(&w, c);
    world_time(&w, 1);
    ck_assert(runs(d));
    ck_assert_uint_eq(world_run(&w, in(g, 0, "CPU=3")), 0);
    ck_assert_int_eq(w.last, MR_E_UNSCHEDULABLE);
    ck_assert_ptr_nonnull(strstr(mr_control_why(w.c), "cannot fit into bundle 0"));
    ck_assert_uint_eq(world_run(&w, in(g, -1, "GPU=1")), 0);
    ck_assert_ptr_nonnull(strstr(mr_control_why(w.c), "cannot fit into any bundles"));
    ck_assert_uint_eq(in(g, 2, "CPU=1"), 0);
    ck_assert_int_eq(w.last, MR_E_INVAL);
    ck_assert_uint_eq(in(77, 0, "CPU=1"), 0);
    ck_assert_int_eq(w.last, MR_E_NOTFOUND);
}
END_TEST

START_TEST(gpus_of_a_bundle)
{
    open_world("CPU=4 GPU=3");
    uint32_t half = world_func(&w, "half", "CPU=0 GPU=0.5"), whole = world_func(&w, "whole", "GPU=1");
    mr_id h = world_run(&w, half);
    world_time(&w, 1);
    mr_id g = world_group(&w, MR_GROUP_PACK, "GPU=1;GPU=1", 0, NULL);
    mr_id a = world_run(&w, in(g, 0, "GPU=1")), b = world_run(&w, in(g, 1, "GPU=0.5"));
    world_time(&w, 1);
    mr_spec sa, sb, sh;
    ck_assert(!mr_control_spec(w.c, a, &sa) && !mr_control_spec(w.c, b, &sb) && !mr_control_spec(w.c, h, &sh));
    ck_assert_uint_eq(sh.gpus, 1);
    ck_assert_uint_eq(sa.gpus | sb.gpus, 6);
    mr_id c = world_run(&w, whole), d = world_run(&w, in(g, 1, "GPU=0.5"));
    world_time(&w, 1);
    ck_assert(!runs(c) && runs(d));
    ck_assert(!mr_control_spec(w.c, d, &sa));
    ck_assert_uint_eq(sa.gpus, sb.gpus);
    world_ungroup(&w, g);
    world_time(&w, 1);
    mr_action x;
    while (world_took(&w, MR_ACT_KILL, 0, &x))
        world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
    world_time(&w, 1);
    ck_assert(runs(c));
}
END_TEST

START_TEST(removal_ends_what_is_inside)
{
    open_world("CPU=3");
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=1;CPU=1", 0, "mine");
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 5, .group = g});
    uint32_t A =
        world_define(&w, (spec){.name = "A", .kind = MR_FUNC_ACTOR, .living = "CPU=1", .restarts = 3, .group = g});
    uint32_t m = world_define(&w, (spec){.name = "m", .kind = MR_FUNC_METHOD});
    mr_id running = world_run(&w, f), queued, actor = world_run(&w, A), asked;
    world_time(&w, 1);
    world_finish_as(&w, actor, MR_OK, 0, 1);
    queued = world_run(&w, f);
    asked = world_call(&w, (call){.func = m, .actor = actor, .n_returns = 1});
    world_time(&w, 1);
    ck_assert(runs(running) && !runs(queued) && runs(asked));
    ck_assert_uint_eq(world_find_group(&w, "mine"), g);
    ck_assert_int_eq(world_ungroup(&w, g), MR_OK);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_FAIL, queued, &x));
    ck_assert_int_eq(x.fault.status, MR_E_GROUP_REMOVED);
    char text[256];
    mr_fault_text(w.c, &x.fault, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "placement group"));
    ck_assert(world_took(&w, MR_ACT_FAIL, asked, &x));
    ck_assert_int_eq(x.fault.status, MR_E_ACTOR_DIED);
    mr_fault_text(w.c, &x.fault, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "placement group was removed"));
    /* What runs keeps its CPU until the end of its process is proved. */
    ck_assert_int_eq(world_free_cpu(&w, 0), 2 * MR_RES_UNIT);
    ck_assert_uint_eq(world_count(&w, MR_ACT_KILL), 2);
    while (world_took(&w, MR_ACT_KILL, 0, &x))
        world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
    ck_assert(world_took(&w, MR_ACT_FAIL, running, &x));
    ck_assert_int_eq(x.fault.status, MR_E_GROUP_REMOVED);
    ck_assert_int_eq(world_free_cpu(&w, 0), 3 * MR_RES_UNIT);
    world_drop(&w, running);
    world_drop(&w, queued);
    world_drop(&w, actor);
    ck_assert_msg(!world_sees(&w, MR_ACT_REPORT, 0), "who removes a group need not be told of its tasks");
    ck_assert_uint_eq(world_run(&w, f), 0);
    ck_assert_int_eq(w.last, MR_E_GROUP_REMOVED);
    ck_assert_int_eq(world_ungroup(&w, g), MR_OK);
    ck_assert_int_eq(world_ungroup(&w, 4242), MR_E_NOTFOUND);
    ck_assert_uint_eq(world_find_group(&w, "mine"), 0);
    ck_assert_int_eq(w.last, MR_E_NOTFOUND);
}
END_TEST

START_TEST(names_are_taken)
{
    open_world("CPU=3");
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=1", 0, "mine");
    ck_assert_uint_eq(world_group(&w, MR_GROUP_PACK, "CPU=1", 0, "mine"), 0);
    ck_assert_int_eq(w.last, MR_E_NAME_TAKEN);
    world_ungroup(&w, g);
    ck_assert_uint_ne(world_group(&w, MR_GROUP_PACK, "CPU=1", 0, "mine"), 0);
}
END_TEST

/* A blocked task lends its CPU inside its bundle, first to what it submitted there. */
START_TEST(lends_inside)
{
    open_world("CPU=2");
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=1", 0, NULL);
    uint32_t f = world_define(&w, (spec){.name = "f", .group = g, .flags = MR_FUNC_CAPTURE}),
             plain = world_func(&w, "p", NULL);
    mr_id parent = world_run(&w, f), other = world_run(&w, f);
    world_time(&w, 1);
    ck_assert(runs(parent) && !runs(other));
    w.client = world_worker(&w, parent);
    w.parent = parent;
    mr_id child = world_run(&w, plain);
    w.client = 0;
    w.parent = 0;
    world_time(&w, 1);
    ck_assert_msg(!runs(child), "it runs outside of the group of its parent");
    ck_assert_uint_eq(world_current_group(&w, world_worker(&w, parent), parent), g | MR_GROUP_CAPTURES);
    world_block(&w, world_worker(&w, parent), parent, 1, MR_WAIT_LEND, (mr_id[]){child, 0});
    world_time(&w, 1);
    ck_assert(runs(child) && !runs(other));
    ck_assert_uint_eq(world_current_group(&w, world_worker(&w, child), child), g | MR_GROUP_CAPTURES);
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
    world_finish(&w, child);
    world_finish(&w, parent);
    world_time(&w, 1);
    ck_assert(runs(other));
    /* One that says where it runs is not captured. */
    uint32_t own = world_define(&w, (spec){.name = "own", .flags = MR_FUNC_OWN_PLACE});
    w.client = world_worker(&w, other);
    w.parent = other;
    mr_id free_one = world_run(&w, own);
    w.client = 0;
    w.parent = 0;
    world_time(&w, 1);
    ck_assert(runs(free_one));
    ck_assert_uint_eq(world_current_group(&w, world_worker(&w, free_one), free_one), 0);
}
END_TEST

START_TEST(others_get_a_lent_cpu_later)
{
    open_world("CPU=1");
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=1", 0, NULL);
    uint32_t f = in(g, 0, "CPU=1");
    mr_id a = world_run(&w, f), b = world_run(&w, f);
    world_time(&w, 1);
    world_block(&w, world_worker(&w, a), a, 1, MR_WAIT_LEND, (mr_id[]){b, 0});
    world_time(&w, 1);
    ck_assert(!runs(b));
    world_time(&w, 10000000);
    ck_assert(runs(b));
    world_ungroup(&w, g); /* with one that lends */
    mr_action x;
    while (world_took(&w, MR_ACT_KILL, 0, &x))
        world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
}
END_TEST

/* A task on the only CPU asks for a group and waits for it: it gets the CPU that the task lends. */
START_TEST(a_group_of_a_lent_cpu)
{
    open_world("CPU=1");
    mr_id outer = world_run(&w, world_func(&w, "outer", NULL));
    world_time(&w, 1);
    w.client = world_worker(&w, outer);
    w.parent = outer;
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=1", 0, NULL), ready = world_run(&w, in(g, -1, ""));
    w.client = 0;
    w.parent = 0;
    world_block(&w, world_worker(&w, outer), outer, 1, MR_WAIT_LEND, (mr_id[]){ready, 0});
    world_time(&w, 1);
    ck_assert(!world_sees(&w, MR_ACT_DELIVER, 0));
    ck_assert_int_eq(state(g), MR_GROUP_PENDING);
    world_time(&w, 10000000);
    ck_assert_int_eq(state(g), MR_GROUP_PLACED);
    ck_assert(runs(ready));
    world_finish(&w, ready);
    world_ungroup(&w, g);
    world_finish(&w, outer);
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
}
END_TEST

START_TEST(a_lost_bundle_is_placed_again)
{
    open_world("CPU=2");
    world_node(&w, "CPU=2");
    mr_id g = world_group(&w, MR_GROUP_STRICT_SPREAD, "CPU=1;CPU=1", 0, NULL);
    world_time(&w, 1);
    uint32_t lost = where(g, 0) == 1 ? 0 : 1, f[2] = {in(g, 0, "CPU=1"), in(g, 1, "CPU=1")};
    uint32_t retried = world_define(&w, (spec){.name = "r", .retries = 1, .group = g, .bundle = (int32_t)lost + 1});
    mr_id stays = world_run(&w, f[!lost]), goes = world_run(&w, retried);
    world_time(&w, 1);
    ck_assert(runs(stays) && runs(goes));
    world_remove_node(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_RESCHEDULING);
    world_time(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_RESCHEDULING); /* node 0 has room, but has the other bundle */
    ck_assert(runs(stays) && !runs(goes));
    uint32_t n = world_node(&w, "CPU=1");
    world_time(&w, 1);
    ck_assert_int_eq(state(g), MR_GROUP_PLACED);
    ck_assert_uint_eq(where(g, lost), n);
    ck_assert(runs(goes));
}
END_TEST

/* A group ends with the actor that made it, unless it is detached. */
START_TEST(owner)
{
    open_world("CPU=4");
    uint32_t A = world_define(&w, (spec){.name = "A", .kind = MR_FUNC_ACTOR});
    mr_id a = world_run(&w, A);
    world_time(&w, 1);
    world_finish_as(&w, a, MR_OK, 0, 1);
    mr_actor_info info;
    ck_assert(mr_control_actor(w.c, a, &info));
    w.client = info.worker;
    mr_id mine = world_group(&w, MR_GROUP_PACK, "CPU=1", 0, NULL);
    mr_id free_one = world_group(&w, MR_GROUP_PACK, "CPU=1", MR_GROUP_DETACHED, NULL);
    w.client = 0;
    mr_id other = world_group(&w, MR_GROUP_PACK, "CPU=1", 0, NULL);
    world_time(&w, 1);
    world_kill(&w, a, MR_KILL_NO_RESTART);
    ck_assert_int_eq(state(mine), MR_GROUP_REMOVED);
    ck_assert_int_eq(state(free_one), MR_GROUP_PLACED);
    ck_assert_int_eq(state(other), MR_GROUP_PLACED);
}
END_TEST

/* An actor in a group, made by an actor in it, that captures. */
START_TEST(actors_capture)
{
    open_world("CPU=4");
    mr_id g = world_group(&w, MR_GROUP_PACK, "CPU=2", 0, NULL);
    uint32_t A = world_define(
        &w, (spec){.name = "A", .kind = MR_FUNC_ACTOR, .living = "CPU=1", .group = g, .flags = MR_FUNC_CAPTURE});
    uint32_t f = world_func(&w, "f", "CPU=2");
    mr_id a = world_run(&w, A);
    world_time(&w, 1);
    world_finish_as(&w, a, MR_OK, 0, 1);
    mr_actor_info info;
    ck_assert(mr_control_actor(w.c, a, &info));
    w.client = info.worker;
    mr_id child = world_run(&w, f);
    ck_assert_uint_ne(child, 0);
    ck_assert_uint_eq(world_run(&w, world_func(&w, "wide", "CPU=3")), 0);
    ck_assert_int_eq(w.last, MR_E_UNSCHEDULABLE);
    w.client = 0;
    world_time(&w, 1);
    ck_assert(!runs(child));
    ck_assert_uint_eq(world_current_group(&w, info.worker, 0), g | MR_GROUP_CAPTURES);
}
END_TEST

START_TEST(bad_records)
{
    open_world("CPU=1");
    union {
        mr_ev_group e;
        char room[512];
    } x = {.e = {.h = {.kind = MR_EV_GROUP, .version = MR_RECORD_VERSION, .size = sizeof x}}};
    mr_err err;
    x.e.op = MR_GROUP_MAKE;
    x.e.n_amounts = 3;
    ck_assert_int_eq(mr_record_check(&x.e.h, sizeof x, &err), MR_E_PROTOCOL);
    x.e.h.n_bytes = 3 * sizeof(mr_named);
    ck_assert_int_eq(mr_record_check(&x.e.h, sizeof x, &err), MR_OK);
    memset((char *)(&x.e + 1), 'x', sizeof(mr_named));
    ck_assert_int_eq(mr_record_check(&x.e.h, sizeof x, &err), MR_E_PROTOCOL);
    memset((char *)(&x.e + 1), 0, sizeof(mr_named));
    x.e.n_bundles = 4;
    ck_assert_int_eq(mr_record_check(&x.e.h, sizeof x, &err), MR_E_PROTOCOL);
    x.e.n_bundles = 2;
    ck_assert_int_eq(world_step(&w, &x.e), MR_E_INVAL);
    x.e.op = 9;
    ck_assert_int_eq(world_step(&w, &x.e), MR_E_INVAL);
    x.e.op = MR_GROUP_FIND;
    ck_assert_int_eq(world_step(&w, &x.e), MR_E_NOTFOUND);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control_groups");
    TCase *t = tcase_create("groups");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, strategies);
    tcase_add_test(t, search_goes_back);
    tcase_add_test(t, impossible);
    tcase_add_test(t, waits_for_all);
    tcase_add_test(t, bundles_by_index);
    tcase_add_test(t, gpus_of_a_bundle);
    tcase_add_test(t, removal_ends_what_is_inside);
    tcase_add_test(t, names_are_taken);
    tcase_add_test(t, lends_inside);
    tcase_add_test(t, others_get_a_lent_cpu_later);
    tcase_add_test(t, a_group_of_a_lent_cpu);
    tcase_add_test(t, a_lost_bundle_is_placed_again);
    tcase_add_test(t, owner);
    tcase_add_test(t, actors_capture);
    tcase_add_test(t, bad_records);
    suite_add_tcase(s, t);
    return run_suite(s);
}
