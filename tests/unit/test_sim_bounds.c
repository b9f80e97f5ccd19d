/* test_sim_bounds.c: certificates: a schedule that can not be is refused, and by which sentence. */
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "run_suite.h"
#include "unit/helper_sim.h"

#define S INT64_C(1000000000)

/* Four tasks of 1 s on two CPUs: 2 s under any policy. */
static const char *const four =
    "{\"platform\": {\"nodes\": [{\"name\": \"a\", \"cpus\": 2}]}}\n"
    "{\"id\": \"w\", \"duration_s\": 1}\n{\"id\": \"x\", \"duration_s\": 1}\n"
    "{\"id\": \"y\", \"duration_s\": 1}\n{\"id\": \"z\", \"duration_s\": 1, \"deps\": [\"x\"]}\n";

static mr_workload *w;
static mr_sim *s;
static mr_err err;

static void setup(void)
{
    mr_sim_conf conf;
    mr_sim_conf_init(&conf);
    ck_assert_msg(!helper_sim_text(&w, four, &err), "%s", err.text);
    ck_assert(!mr_sim_new(&s, w, &w->platform, &conf, &err));
    ck_assert(!mr_sim_run(s, &err));
    ck_assert_msg(!mr_report_verify(w, &w->platform, s, &err), "%s", err.text);
}

static void teardown(void)
{
    mr_sim_free(s);
    mr_workload_free(w);
}

static void refused(const char *why)
{
    ck_assert_int_eq(mr_report_verify(w, &w->platform, s, &err), MR_E_INVAL);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
}

START_TEST(below_a_lower_bound)
{
    w->platform.nodes[0].amounts[0].amount = 10000; /* as if it had been one CPU */
    refused("below a lower bound");
}
END_TEST

START_TEST(too_short)
{
    w->tasks[0].duration = 2 * S;
    refused("\"w\" ran for less than it takes");
}
END_TEST

START_TEST(before_its_parent)
{
    mr_sim_task *tasks = (mr_sim_task *)(uintptr_t)mr_sim_tasks(s);
    tasks[3].started = S / 2;
    refused("\"z\" started before its parent \"x\" ended");
}
END_TEST

START_TEST(more_than_a_node_has)
{
    mr_sim_task *tasks = (mr_sim_task *)(uintptr_t)mr_sim_tasks(s);
    for (int t = 0; t < 3; t++)
        tasks[t].started = 0, tasks[t].ended = S;
    refused("the schedule uses more CPU than node a has");
}
END_TEST

START_TEST(above_what_is_promised)
{
    mr_sim_conf conf;
    mr_report_guarantee g;
    mr_sim_task *tasks = (mr_sim_task *)(uintptr_t)mr_sim_tasks(s);
    mr_sim_conf_init(&conf);
    ck_assert(!mr_report_guarantee_get(w, &w->platform, s, &conf, &g, &err));
    ck_assert_ptr_null(g.why_not);
    ck_assert_int_ge(g.end, 3 * S); /* 4 / 2 + 2 / 2 */
    ck_assert_int_lt(g.end, 3 * S + 100);
    ck_assert_double_eq(g.ratio, 1.5);
    tasks[3].ended = 4 * S; /* as if all had idled for a while */
    ck_assert_int_eq(mr_report_guarantee_get(w, &w->platform, s, &conf, &g, &err), MR_E_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "nothing was held back"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_bounds");
    TCase *c = tcase_create("sim_bounds");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, below_a_lower_bound);
    tcase_add_test(c, too_short);
    tcase_add_test(c, before_its_parent);
    tcase_add_test(c, more_than_a_node_has);
    tcase_add_test(c, above_what_is_promised);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
