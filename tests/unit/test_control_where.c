/* test_control_where.c: what cuts the nodes and the moment a task may run at: labels of nodes, how many of a function
 * at a time, quotas of users.
 */
#include <check.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;

static void teardown(void)
{
    world_free(&w);
}

static bool runs(mr_id t)
{
    return world_worker(&w, t) != 0;
}

static uint32_t on(mr_id t)
{
    mr_worker_info i;
    ck_assert(mr_control_worker(w.c, world_worker(&w, t), &i));
    return i.node;
}

/* Three nodes: no label, {zone=a, ssd=}, {zone=b}. */
static void open_labelled(void)
{
    memset(&w, 0, sizeof w);
    world_new(&w, "CPU=2");
    world_labelled(&w, "CPU=2", "zone=a ssd=yes");
    world_labelled(&w, "CPU=2", "zone=b");
}

START_TEST(labels_cut_nodes)
{
    static const struct {
        mr_term terms[3];
        uint32_t n;
        int at; /* -1: nowhere */
    } table[] = {{{{"zone", "b", MR_TERM_IN, 0}}, 1, 2},
                 {{{"zone", "a", MR_TERM_NOT_IN, 0}}, 1, 0},
                 {{{"zone", "a", MR_TERM_NOT_IN, 0}, {"zone", "b", MR_TERM_NOT_IN, 0}}, 2, 0},
                 {{{"zone", "x", MR_TERM_IN, 0}, {"zone", "b", MR_TERM_IN, 0}}, 2, 2},
                 {{{"ssd", "", MR_TERM_EXISTS, 0}}, 1, 1},
                 {{{"zone", "", MR_TERM_ABSENT, 0}}, 1, 0},
                 {{{"zone", "", MR_TERM_EXISTS, 0}, {"ssd", "", MR_TERM_ABSENT, 0}}, 2, 2},
                 {{{"zone", "b", MR_TERM_IN, 1}}, 1, 2},
                 {{{"zone", "x", MR_TERM_IN, 1}}, 1, 0},
                 {{{"zone", "", MR_TERM_EXISTS, 0}, {"zone", "b", MR_TERM_IN, 1}}, 2, 2},
                 {{{"zone", "x", MR_TERM_IN, 0}}, 1, -1},
                 {{{"zone", "b", MR_TERM_IN, 0}, {"ssd", "", MR_TERM_EXISTS, 0}}, 2, -1}};
    open_labelled();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint32_t f = world_define(&w, (spec){.name = "f", .terms = table[i].terms, .n_terms = table[i].n});
        mr_id t = world_run(&w, f);
        if (table[i].at < 0) {
            ck_assert_int_eq(w.last, MR_E_UNSCHEDULABLE);
            ck_assert_ptr_nonnull(strstr(mr_control_why(w.c), "zone in"));
            continue;
        }
        world_time(&w, 1);
        ck_assert_msg((int)on(t) == table[i].at, "row %zu: on node %u", i, on(t));
        world_finish(&w, t);
    }
}
END_TEST

/* Soft ones give way when those nodes are full; hard ones wait. */
START_TEST(soft_and_hard)
{
    static const mr_term soft = {"zone", "b", MR_TERM_IN, 1}, hard = {"zone", "b", MR_TERM_IN, 0};
    open_labelled();
    uint32_t wide = world_define(&w, (spec){.name = "wide", .needs = "CPU=2", .terms = &hard, .n_terms = 1});
    uint32_t s = world_define(&w, (spec){.name = "s", .terms = &soft, .n_terms = 1});
    uint32_t h = world_define(&w, (spec){.name = "h", .terms = &hard, .n_terms = 1});
    mr_id a = world_run(&w, wide);
    world_time(&w, 1);
    mr_id b = world_run(&w, s), c = world_run(&w, h);
    world_time(&w, 1);
    ck_assert(runs(b) && on(b) == 0 && !runs(c));
    world_finish(&w, a);
    world_time(&w, 1);
    ck_assert_uint_eq(on(c), 2);
}
END_TEST

START_TEST(so_many_at_a_time)
{
    memset(&w, 0, sizeof w);
    world_new(&w, "CPU=4");
    uint32_t f = world_define(&w, (spec){.name = "f", .needs = "CPU=0.5", .max_running = 2});
    uint32_t g = world_func(&w, "g", "CPU=0.5");
    mr_id t[4] = {world_run(&w, f), world_run(&w, f), world_run(&w, f), world_run(&w, g)};
    world_time(&w, 1);
    ck_assert(runs(t[0]) && runs(t[1]) && !runs(t[2]) && runs(t[3]));
    /* One that is blocked counts: it is in the middle of what must not be done by more. */
    world_block(&w, world_worker(&w, t[0]), t[0], 1, MR_WAIT_LEND, (mr_id[]){t[3], 0});
    world_time(&w, 500000000);
    ck_assert(!runs(t[2]));
    world_finish(&w, t[1]);
    world_time(&w, 1);
    ck_assert(runs(t[2]));
}
END_TEST

/* All of them blocked for one that may not start: told, not hung. */
START_TEST(a_limit_can_not_hang)
{
    memset(&w, 0, sizeof w);
    world_new(&w, "CPU=4");
    uint32_t f = world_define(&w, (spec){.name = "f", .max_running = 1});
    mr_id parent = world_run(&w, f);
    world_time(&w, 1);
    w.client = world_worker(&w, parent);
    w.parent = parent;
    mr_id child = world_run(&w, f);
    w.client = 0;
    w.parent = 0;
    world_block(&w, world_worker(&w, parent), parent, 1, MR_WAIT_LEND, (mr_id[]){child, 0});
    mr_action a;
    for (int i = 0; i < 5; i++)
        world_time(&w, 500000000);
    ck_assert(world_took(&w, MR_ACT_DELIVER, 0, &a));
    ck_assert_int_eq(a.status, MR_E_DEADLOCK);
}
END_TEST

START_TEST(quota_of_a_user)
{
    static const mr_named quotas[] = {{"alice", 2 * MR_RES_UNIT}};
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.prefetch = 0;
    w.conf.quotas = quotas;
    w.conf.n_quotas = 1;
    world_new(&w, "CPU=4");
    uint32_t f = world_define(&w, (spec){.name = "f", .user = "alice"});
    uint32_t g = world_define(&w, (spec){.name = "g", .user = "alice", .needs = "CPU=0.5"});
    uint32_t h = world_define(&w, (spec){.name = "h", .user = "bob"});
    uint32_t wide = world_define(&w, (spec){.name = "wide", .user = "alice", .needs = "CPU=3"});
    mr_id t[4] = {world_run(&w, f), world_run(&w, f), world_run(&w, g), world_run(&w, h)};
    world_time(&w, 1);
    ck_assert(runs(t[0]) && runs(t[1]) && !runs(t[2]) && runs(t[3]));
    ck_assert_uint_eq(world_run(&w, wide), 0);
    ck_assert_int_eq(w.last, MR_E_UNSCHEDULABLE);
    ck_assert_ptr_nonnull(strstr(mr_control_why(w.c), "quota of user alice"));
    /* CPUs that a blocked task lends do not count. */
    world_block(&w, world_worker(&w, t[0]), t[0], 1, MR_WAIT_LEND, (mr_id[]){t[3], 0});
    world_time(&w, 1);
    ck_assert(runs(t[2]));
    for (int i = 0; i < 4; i++)
        world_finish(&w, t[i]);
    world_time(&w, 1);
    mr_id more[3] = {world_run(&w, f), world_run(&w, f), world_run(&w, f)};
    world_time(&w, 1);
    ck_assert(runs(more[0]) && runs(more[1]) && !runs(more[2]));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control_where");
    TCase *t = tcase_create("where");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, labels_cut_nodes);
    tcase_add_test(t, soft_and_hard);
    tcase_add_test(t, so_many_at_a_time);
    tcase_add_test(t, a_limit_can_not_hang);
    tcase_add_test(t, quota_of_a_user);
    suite_add_tcase(s, t);
    return run_suite(s);
}
