/* test_sim_platform.c: what the simulator makes of machines: ports and links, workers that die, durations that are
 * drawn.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "run_suite.h"
#include "unit/helper_sim.h"

#define S INT64_C(1000000000)

/* ---- copies: one reader on c of a file of 100 bytes on each of a and b; and one on b of one on a ---- */

static const char *const copies =
    "{\"platform\": {\"nodes\": [{\"name\": \"a\", \"cpus\": 0}, {\"name\": \"b\", \"cpus\": 1%s}, "
    "{\"name\": \"c\", \"cpus\": 1, \"resources\": {\"here\": 1}}], \"bandwidth\": 100, \"latency\": 0, \"links\": "
    "\"%s\"}}\n"
    "{\"file\": \"x\", \"bytes\": 100, \"node\": \"a\"}\n{\"file\": \"y\", \"bytes\": 100, \"node\": \"a\"}\n"
    "{\"file\": \"z\", \"bytes\": 200, \"node\": \"b\"}\n"
    "{\"id\": \"t\", \"duration_s\": 1, \"inputs\": [\"x\", \"y\", \"z\"], \"resources\": {\"here\": 1}}\n";

static const struct {
    const char *links, *b;
    int64_t end;
} carried[] = {
    {"serial", "", 3},                     /* a to c: 1 s and then 1 s; b to c: 2 s beside them; then the task */
    {"ports", "", 5},                      /* into c comes one after the other: 4 s */
    {"parallel", "", 3},                   /* nobody waits: 2 s for the longest */
    {"serial", ", \"bandwidth\": 20", 11}, /* b is slow: 10 s for its 200 bytes */
    {"fair", "", 5}, /* a third of c's port each: x and y take 3 s, then z has it alone for its last 100 bytes */
    {"fair", ", \"bandwidth\": 20", 11}, /* z at 20, x and y at 40 each for 2.5 s; z goes on at 20 for 7.5 s */
};

START_TEST(copies_wait_for_what_carries_them)
{
    char lines[2000];
    snprintf(lines, sizeof lines, copies, carried[_i].b, carried[_i].links);
    mr_workload *w = helper_sim_lines(lines);
    helper_run r = helper_sim_sound(w, NULL, NULL);
    ck_assert_int_eq(r.end, carried[_i].end * S);
    ck_assert_uint_eq(r.stats.transfers, 3);
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

/* A copy of 300 bytes from a to b; at 1 s another of 100 from a to c joins it: 50 bytes a second each, until that one
 * has arrived at 3 s; then the first has a's port alone again, and takes 1 s for its last 100. */
START_TEST(copies_share_a_port_while_both_go)
{
    mr_workload *w = helper_sim_lines(
        "{\"platform\": {\"nodes\": [{\"name\": \"a\", \"cpus\": 0}, {\"name\": \"b\", \"cpus\": 1, "
        "\"resources\": {\"b\": 1}}, {\"name\": \"c\", \"cpus\": 1, \"resources\": {\"c\": 1}}], "
        "\"bandwidth\": 100, \"latency\": 0.25, \"links\": \"fair\"}}\n"
        "{\"file\": \"x\", \"bytes\": 300, \"node\": \"a\"}\n{\"file\": \"y\", \"bytes\": 100, \"node\": \"a\"}\n"
        "{\"id\": \"tb\", \"duration_s\": 1, \"inputs\": [\"x\"], \"resources\": {\"b\": 1}}\n"
        "{\"id\": \"tc\", \"duration_s\": 1, \"inputs\": [\"y\"], \"resources\": {\"c\": 1}, \"arrival_s\": 1}\n");
    helper_run r = helper_sim_sound(w, NULL, NULL);
    ck_assert_int_eq(r.tasks[1].started, 3 * S + S / 4);
    ck_assert_int_eq(r.tasks[0].started, 4 * S + S / 4);
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

/* ---- full stores: a makes 6 MB, b 6 MB, c reads a's, d both, one after the other on one CPU ---- */

static const char *const stores = "{\"platform\": {\"nodes\": [{\"cpus\": 1%s}], \"disk\": 1000000}}\n"
                                  "{\"id\": \"a\", \"duration_s\": 1, \"outputs\": 6000000}\n"
                                  "{\"id\": \"b\", \"duration_s\": 1, \"outputs\": 6000000, \"deps\": [\"a\"]}\n"
                                  "{\"id\": \"c\", \"duration_s\": 10, \"inputs\": [\"b\"]}\n"
                                  "{\"id\": \"d\", \"duration_s\": 1, \"inputs\": [\"a\", \"b\"], \"deps\": [\"c\"]}\n";

START_TEST(what_leaves_a_full_store_is_read_from_the_disk)
{
    char lines[2000];
    snprintf(lines, sizeof lines, stores, "");
    mr_workload *w = helper_sim_lines(lines);
    helper_run r = helper_sim_sound(w, NULL, NULL);
    ck_assert_int_eq(r.end, 13 * S);
    ck_assert_uint_eq(r.stats.spills, 0);
    free(r.tasks);
    mr_workload_free(w);
    snprintf(lines, sizeof lines, stores, ", \"store\": 7000000");
    w = helper_sim_lines(lines);
    r = helper_sim_sound(w, NULL, NULL);
    ck_assert_uint_eq(r.stats.spills, 1);
    ck_assert_uint_eq(r.stats.spilled_bytes, 6000000);
    ck_assert_uint_eq(r.stats.store_peak, 12000000); /* both, while the older one is on its way out */
    ck_assert_int_eq(r.end, 19 * S);                 /* 6 s to read it again */
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

/* ---- deaths ---- */

static double backwards(void *self, const mr_task *t)
{
    (void)self;
    return -(double)t->seq;
}

static mr_workload *mortal(const char *more, int n)
{
    char lines[20000];
    size_t used = (size_t)snprintf(
        lines, sizeof lines, "{\"platform\": {\"nodes\": [{\"cpus\": 3}], \"worker_mtbf_s\": 5, \"spawn_s\": 0.5}}\n");
    for (int i = 0; i < n; i++)
        used +=
            (size_t)snprintf(lines + used, sizeof lines - used, "{\"id\": \"t%d\", \"duration_s\": 1%s}\n", i, more);
    return helper_sim_lines(lines);
}

START_TEST(workers_die_by_the_same_luck_under_every_policy)
{
    static const mr_sched_ops last_first = {.rank = backwards};
    mr_workload *w = mortal(", \"max_retries\": 100", 200);
    mr_sim_conf conf;
    mr_sim_conf_init(&conf);
    helper_run a = helper_sim_sound(w, NULL, &conf), b = helper_sim_sound(w, NULL, &conf),
               c = helper_sim_sound(w, &last_first, &conf);
    ck_assert_uint_eq(a.digest, b.digest);
    ck_assert_uint_gt(a.stats.deaths, 20); /* about one start in five */
    ck_assert_uint_lt(a.stats.deaths, 90);
    ck_assert_uint_eq(a.stats.deaths, c.stats.deaths);
    ck_assert_int_eq(a.stats.lost, c.stats.lost);
    ck_assert_uint_ne(a.digest, c.digest);
    uint64_t again = 0;
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        ck_assert_int_eq(a.tasks[t].outcome, MR_OK);
        ck_assert_int_eq(a.tasks[t].ran, S);
        again += a.tasks[t].attempt - 1;
    }
    ck_assert_uint_eq(again, a.stats.deaths);
    conf.seed = 1;
    helper_run d = helper_sim_sound(w, NULL, &conf);
    ck_assert_uint_ne(d.stats.lost, a.stats.lost);
    free(a.tasks);
    free(b.tasks);
    free(c.tasks);
    free(d.tasks);
    mr_workload_free(w);
}
END_TEST

START_TEST(a_task_without_retries_dies_with_its_worker)
{
    mr_workload *w = mortal(", \"max_retries\": 0", 60);
    helper_run r = helper_sim_sound(w, NULL, NULL);
    uint64_t failed = 0;
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        ck_assert_uint_eq(r.tasks[t].attempt, 1);
        failed += r.tasks[t].outcome == MR_E_CRASHED;
    }
    ck_assert_uint_gt(failed, 2);
    ck_assert_uint_eq(failed, r.stats.deaths);
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

/* ---- durations ---- */

static const struct {
    const char *dist;
    double mean, cv, least;
} drawn[] = {
    {"2.5", 2.5, 0, 2.5},
    {"[1, 2, 3, 6]", 3, 0.6236, 1},
    {"{\"dist\": \"uniform\", \"min\": 1, \"max\": 3}", 2, 0.2887, 1},
    {"{\"dist\": \"exponential\", \"mean\": 2}", 2, 1, 0},
    {"{\"dist\": \"normal\", \"mean\": 4, \"cv\": 0.2}", 4, 0.2, 0},
    {"{\"dist\": \"lognormal\", \"mean\": 2, \"cv\": 0.5}", 2, 0.5, 0},
    {"{\"dist\": \"pareto\", \"min\": 1, \"alpha\": 5}", 1.25, 0.2582, 1},
};

START_TEST(distributions_have_their_mean_and_spread)
{
    static char lines[2000000];
    enum { N = 20000 };
    size_t used = (size_t)snprintf(lines, sizeof lines, "{\"table\": \"k\", \"duration_s\": %s}\n", drawn[_i].dist);
    for (int i = 0; i < N; i++)
        used += (size_t)snprintf(lines + used, sizeof lines - used, "{\"id\": \"t%d\", \"duration_s\": \"k\"}\n", i);
    mr_workload *w = helper_sim_lines(lines);
    double sum = 0, squares = 0;
    int64_t first = w->tasks[0].duration, least = INT64_MAX;
    for (int i = 0; i < N; i++) {
        double x = (double)w->tasks[i].duration / 1e9;
        sum += x;
        squares += x * x;
        least = w->tasks[i].duration < least ? w->tasks[i].duration : least;
        ck_assert_int_eq(w->tasks[i].estimate, (int64_t)(drawn[_i].mean * 1e9 + 0.5));
    }
    double mean = sum / N, cv = sqrt(fmax(squares / N - mean * mean, 0)) / mean;
    ck_assert_double_eq_tol(mean, drawn[_i].mean, drawn[_i].mean * 0.03);
    ck_assert_double_eq_tol(cv, drawn[_i].cv, 0.04);
    ck_assert_int_ge(least, (int64_t)(drawn[_i].least * 1e9));
    mr_workload_draw(w, 7);
    int64_t other = 0;
    for (int i = 0; i < N; i++)
        other += w->tasks[i].duration;
    ck_assert(drawn[_i].cv == 0 || llabs(other - (int64_t)(sum * 1e9)) > N);
    mr_workload_draw(w, 0);
    ck_assert_int_eq(w->tasks[0].duration, first);
    mr_workload_free(w);
}
END_TEST

START_TEST(tables_by_class_draw_once_for_all_classes)
{
    mr_workload *w = helper_sim_lines(
        "{\"platform\": {\"nodes\": [{\"class\": \"slow\"}, {\"class\": \"fast\"}]}}\n"
        "{\"table\": \"k\", \"duration_s\": {\"slow\": [10, 20, 30], \"fast\": [1, 2, 3]}}\n"
        "{\"id\": \"a\", \"duration_s\": \"k\"}\n{\"id\": \"b\", \"duration_s\": {\"fast\": 5, \"slow\": "
        "{\"dist\": \"uniform\", \"min\": 6, \"max\": 7}}}\n");
    for (uint64_t seed = 0; seed < 20; seed++) {
        mr_workload_draw(w, seed);
        const int64_t *a = w->by_class + w->tasks[0].first_class, *b = w->by_class + w->tasks[1].first_class;
        ck_assert_int_eq(a[0], 10 * a[1]);
        ck_assert_int_eq(b[1], 5 * S);
        ck_assert(b[0] >= 6 * S && b[0] <= 7 * S);
    }
    helper_run r = helper_sim_sound(w, NULL, NULL);
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim_platform");
    TCase *c = tcase_create("sim_platform");
    tcase_add_loop_test(c, copies_wait_for_what_carries_them, 0, sizeof carried / sizeof *carried);
    tcase_add_test(c, copies_share_a_port_while_both_go);
    tcase_add_test(c, what_leaves_a_full_store_is_read_from_the_disk);
    tcase_add_test(c, workers_die_by_the_same_luck_under_every_policy);
    tcase_add_test(c, a_task_without_retries_dies_with_its_worker);
    tcase_add_loop_test(c, distributions_have_their_mean_and_spread, 0, sizeof drawn / sizeof *drawn);
    tcase_add_test(c, tables_by_class_draw_once_for_all_classes);
    suite_add_tcase(s, c);
    return run_suite(s);
}
