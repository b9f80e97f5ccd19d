/* test_sim_nodes.c: nodes that die and come back in virtual time: what is lost with them, what is made again, by hand
 * and by chance. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/log.h"
#include "base/rand.h"
#include "run_suite.h"
#include "unit/helper_sim.h"

#define S INT64_C(1000000000)

/* a, b, c make 1 MB each on nodes 0, 1, 2 and end at 1 s; d, e, f read all three, over links of 1 MB/s.  Node 1 dies in
 * the middle of the copies, at 1.5 s, with b's result; it is back at 4 s. */
static const char *const by_hand =
    "{\"platform\": {\"nodes\": [{\"count\": 3, \"cpus\": 1}], \"bandwidth\": 1e6, \"latency\": 0, "
    "\"failures\": [{\"node\": \"node1\", \"at_s\": 1.5%s}]}}\n"
    "{\"id\": \"a\", \"duration_s\": 1, \"outputs\": 1000000}\n{\"id\": \"b\", \"duration_s\": 1, \"outputs\": "
    "1000000}\n"
    "{\"id\": \"c\", \"duration_s\": 1, \"outputs\": 1000000}\n{\"id\": \"d\", \"duration_s\": 1, \"inputs\": [\"a\", "
    "\"b\", "
    "\"c\"]}\n{\"id\": \"e\", \"duration_s\": 10, \"inputs\": [\"a\", \"b\", \"c\"]}\n"
    "{\"id\": \"f\", \"duration_s\": 10, \"inputs\": [\"a\", \"b\", \"c\"]}\n";

START_TEST(what_a_node_had_is_made_again)
{
    char lines[2000];
    snprintf(lines, sizeof lines, by_hand, ", \"back_s\": 4");
    mr_workload *w = helper_sim_lines(lines);
    helper_run r = helper_sim_sound(w, NULL, NULL);
    ck_assert_uint_eq(r.stats.node_deaths, 1);
    ck_assert_uint_eq(r.stats.remade, 1);
    ck_assert_uint_eq(r.stats.deaths, 0);            /* its worker stood idle: e had not begun */
    ck_assert_int_eq(r.tasks[1].started, S + S / 2); /* b again, on node 0 where the copies had been awaited */
    ck_assert_uint_eq(r.tasks[1].node, 0);
    ck_assert_uint_eq(r.tasks[1].attempt, 2);
    ck_assert_int_eq(r.tasks[1].ended, 2 * S + S / 2);
    ck_assert_int_eq(r.tasks[3].started, 2 * S + S / 2); /* d beside it; c came at 2 s */
    ck_assert_int_eq(r.tasks[5].started, 3 * S + S / 2); /* f on node 2, when b has come once more */
    ck_assert_int_eq(r.end, 13 * S + S / 2);
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

static const struct {
    const char *more;
    int64_t end; /* s; -1: it can not end */
    uint64_t deaths;
} single[] = {
    {"\"at_s\": 6", 5, 0},                    /* too late to matter */
    {"\"at_s\": 2.5, \"back_s\": 10", 13, 1}, /* half a second of b is lost: 10 + 2 + 1 */
    {"\"at_s\": 0, \"back_s\": 3", 8, 0},     /* it joins late */
    {"\"at_s\": 2.5", -1, 1},                 /* nothing is left to run on */
};

START_TEST(one_node_alone)
{
    char lines[1000];
    snprintf(lines, sizeof lines,
             "{\"platform\": {\"nodes\": [{\"name\": \"n\", \"cpus\": 1}], \"failures\": [{\"node\": \"n\", %s}]}}\n"
             "{\"id\": \"a\", \"duration_s\": 2}\n{\"id\": \"b\", \"duration_s\": 2, \"deps\": [\"a\"]}\n"
             "{\"id\": \"c\", \"duration_s\": 1, \"deps\": [\"b\"]}\n",
             single[_i].more);
    mr_workload *w = helper_sim_lines(lines);
    helper_run r = helper_sim_run(w, NULL, NULL);
    if (single[_i].end < 0) {
        ck_assert_int_eq(r.status, MR_E_DEADLOCK);
        ck_assert_ptr_nonnull(strstr(r.err.text, "1 of 1 nodes are dead"));
    } else {
        ck_assert_msg(r.status == MR_OK, "%s", r.err.text);
        ck_assert_int_eq(r.end, single[_i].end * S);
        ck_assert_uint_eq(r.stats.deaths, single[_i].deaths);
    }
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

static double backwards(void *self, const mr_task *t)
{
    (void)self;
    return -(double)t->seq;
}

/* Chances are those of the seed and the nodes, whoever decides; nothing is left out of a run, and a task that has tries
 * enough ends well. */
START_TEST(by_chance)
{
    static const mr_sched_ops last_first = {.rank = backwards};
    static char lines[400000];
    mr_rand rand;
    mr_rand_seed(&rand, (uint64_t)_i, 9);
    size_t used = (size_t)snprintf(
        lines, sizeof lines,
        "{\"platform\": {\"nodes\": [{\"count\": %d, \"cpus\": 2%s}], \"bandwidth\": 1e7, \"node_mtbf_s\": 15, "
        "\"node_repair_s\": %d, \"links\": \"%s\"%s}}\n",
        1 + _i % 5, _i % 3 ? "" : ", \"store\": 3000000", _i % 4, _i % 2 ? "fair" : "ports",
        _i % 4 ? "" : ", \"worker_mtbf_s\": 20");
    for (int i = 0; i < 200; i++) {
        used += (size_t)snprintf(lines + used, sizeof lines - used,
                                 "{\"id\": \"t%d\", \"duration_s\": {\"dist\": \"exponential\", \"mean\": 1}, "
                                 "\"max_retries\": 100, \"outputs\": %d",
                                 i, (int)(mr_rand_next(&rand) % 3) * 1000000);
        if (i > 5 && mr_rand_next(&rand) % 4)
            used += (size_t)snprintf(lines + used, sizeof lines - used, ", \"inputs\": [\"t%d\"]",
                                     i - 1 - (int)(mr_rand_next(&rand) % 5));
        used += (size_t)snprintf(lines + used, sizeof lines - used, "}\n");
    }
    mr_workload *w = helper_sim_lines(lines);
    mr_sim_conf conf;
    mr_sim_conf_init(&conf);
    conf.seed = (uint64_t)_i;
    mr_workload_draw(w, conf.seed);
    helper_run a = helper_sim_sound(w, NULL, &conf), b = helper_sim_sound(w, NULL, &conf),
               c = helper_sim_sound(w, &last_first, &conf);
    ck_assert_uint_eq(a.digest, b.digest);
    ck_assert_uint_ne(a.digest, c.digest);
    ck_assert_uint_gt(a.stats.node_deaths, 0);
    for (uint32_t t = 0; t < w->n_tasks; t++)
        for (int k = 0; k < 2; k++) { /* what a full store gave up can not be made again */
            mr_status outcome = (mr_status)(k ? c : a).tasks[t].outcome;
            ck_assert_msg(outcome == MR_OK || (_i % 3 == 0 && (outcome == MR_E_LOST || outcome == MR_E_TASK)),
                          "t%u: %s", t, mr_status_text(outcome));
        }
    free(a.tasks);
    free(b.tasks);
    free(c.tasks);
    mr_workload_free(w);
}
END_TEST

static const struct {
    const char *platform, *message;
} wrong[] = {
    {"\"failures\": [{\"node\": \"m\", \"at_s\": 1}]", "failures: the platform has no node \"m\""},
    {"\"failures\": [{\"node\": \"n\"}]", "failures: a failure has a \"node\" and \"at_s\""},
    {"\"failures\": [{\"node\": \"n\", \"at_s\": 2, \"back_s\": 2}]", "\"n\" can not be back before it has died"},
    {"\"failures\": {}", "failures: expected a list"},
    {"\"node_mtbf_s\": 0", "node_mtbf_s: must be more than 0"},
};

START_TEST(wrong_failures_are_refused)
{
    char lines[600];
    mr_workload *w = NULL;
    mr_err err = {0};
    snprintf(lines, sizeof lines,
             "{\"platform\": {\"nodes\": [{\"name\": \"n\", \"cpus\": 1}], %s}}\n{\"id\": \"a\", \"duration_s\": 1}\n",
             wrong[_i].platform);
    ck_assert_int_eq(helper_sim_text(&w, lines, &err), MR_E_CONFIG);
    ck_assert_msg(strstr(err.text, wrong[_i].message), "%s", err.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_nodes");
    TCase *all = tcase_create("nodes");
    tcase_add_test(all, what_a_node_had_is_made_again);
    tcase_add_loop_test(all, one_node_alone, 0, (int)(sizeof single / sizeof *single));
    tcase_add_loop_test(all, by_chance, 0, 12);
    tcase_add_loop_test(all, wrong_failures_are_refused, 0, (int)(sizeof wrong / sizeof *wrong));
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
