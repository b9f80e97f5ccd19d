/* test_sim_feed.c: workloads that are read as time goes on: the same run as a whole one, in the room of what is alive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "run_suite.h"
#include "unit/helper_sim.h"

enum { TASKS = 5000 };

static int64_t no_clock(const mr_host *h)
{
    (void)h;
    return 0;
}

static mr_host host = {.size = sizeof(mr_host), .name = "test", .now = no_clock};

static double backwards(void *self, const mr_task *t)
{
    (void)self;
    return -(double)t->seq;
}

static int64_t briefly(void *self, const mr_task *t, const mr_worker *w)
{
    (void)self, (void)t, (void)w;
    return 300000000;
}

static const mr_sched_ops ranked = {.rank = backwards}, sliced = {.slice = briefly};

static const struct {
    const char *platform;
    const mr_sched_ops *ops;
    mr_sim_know know;
} same[] = {
    {"\"nodes\": [{\"count\": 4, \"cpus\": 4}]", NULL, MR_SIM_LEARNED},
    {"\"nodes\": [{\"count\": 4, \"cpus\": 4}]", &ranked, MR_SIM_NOISY},
    {"\"nodes\": [{\"count\": 4, \"cpus\": 4}], \"worker_mtbf_s\": 20", &sliced, MR_SIM_EXACT},
    {"\"nodes\": [{\"count\": 8, \"cpus\": 2, \"speed\": 2}], \"node_mtbf_s\": 40, \"node_repair_s\": 3", NULL,
     MR_SIM_STATED},
};

/* A path with such a workload, in a folder of this test. */
static const char *written(const char *platform)
{
    static char path[64];
    char folder[] = "/tmp/mrfeedXXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/w.jsonl", folder);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f, "{\"platform\": {%s}}\n{\"table\": \"k\", \"duration_s\": [0.5, 1, 2]}\n", platform);
    for (int i = 0; i < TASKS; i++)
        fprintf(f,
                "{\"id\": \"j%d\", \"fn\": \"job\", \"arrival_s\": %d.%d, \"duration_s\": %s, \"outputs\": 100, "
                "\"max_retries\": 50}\n",
                i, i / 12, i % 12 / 2, i % 3 ? "{\"dist\": \"exponential\", \"mean\": 1}" : "\"k\"");
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

static void forget_file(const char *path)
{
    char folder[64];
    unlink(path);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    rmdir(folder);
}

static mr_sim_report run(mr_workload *w, const mr_sched_ops *ops, mr_sim_conf conf)
{
    mr_sim *s = NULL;
    mr_err err = {0};
    mr_report_totals *totals = NULL;
    mr_sim_report r;
    conf.check = true;
    mr_status status = mr_sim_new(&s, w, &w->platform, &conf, &err);
    if (!status)
        status = mr_sim_policy(s, "test", ops, &host, &err);
    if (!status && w->stream)
        status = mr_report_totals_new(&totals, w, &w->platform, s, NULL, &err);
    if (totals)
        *(mr_report_totals **)conf.user = totals;
    if (!status)
        status = mr_sim_run(s, &err);
    if (!status)
        status = totals ? mr_report_finish(totals, &conf, "test", &r, &err)
                        : mr_report_make(w, &w->platform, s, &conf, "test", &r, &err);
    ck_assert_msg(!status, "%s", err.text);
    ck_assert_ptr_null(r.ejected);
    mr_report_totals_free(totals);
    mr_sim_free(s);
    return r;
}

static mr_status counted(void *totals, uint32_t task, mr_err *err)
{
    return mr_report_totals_add(*(mr_report_totals **)totals, task, err);
}

START_TEST(a_stream_is_the_same_run)
{
    const char *path = written(same[_i].platform);
    mr_workload *whole = NULL, *stream = NULL;
    mr_err err = {0};
    mr_sim_conf conf;
    mr_report_totals *totals = NULL;
    mr_sim_conf_init(&conf);
    conf.know = same[_i].know;
    conf.sigma = 0.2;
    conf.seed = 7;
    ck_assert_msg(!mr_workload_read(&whole, path, MR_WL_JSONL, &err), "%s", err.text);
    mr_workload_draw(whole, conf.seed);
    mr_sim_report a = run(whole, same[_i].ops, conf);
    ck_assert_msg(!mr_feed_open(&stream, path, conf.seed, &err), "%s", err.text);
    conf.ended = counted;
    conf.user = &totals;
    mr_sim_report b = run(stream, same[_i].ops, conf);
    ck_assert_uint_eq(a.digest, b.digest);
    ck_assert_uint_eq(b.tasks, TASKS);
    ck_assert_int_eq(a.end, b.end);
    ck_assert_int_eq(a.bounds.area, b.bounds.area);
    ck_assert_int_eq(a.bounds.critical_path, b.bounds.critical_path);
    ck_assert(b.flow_p99 <= a.flow_p99 && b.flow_p99 >= a.flow_p99 * 0.999);
    ck_assert_double_eq_tol(a.flow_mean, b.flow_mean, 1e-9);
    ck_assert_uint_lt(stream->n_tasks, TASKS / 4); /* numbers are used again */
    mr_workload_free(whole);
    mr_workload_free(stream);
    forget_file(path);
}
END_TEST

static const struct {
    const char *lines, *message;
    mr_status status;
} wrong[] = {
    {"{\"id\": \"a\", \"arrival_s\": 2, \"duration_s\": 1}\n{\"id\": \"b\", \"arrival_s\": 1, \"duration_s\": 1}\n",
     ":2: arrival_s: 1 is before the line above it: the tasks of a stream are in the order of their arrival",
     MR_E_CONFIG},
    {"{\"id\": \"a\", \"duration_s\": 1}\n{\"id\": \"b\", \"duration_s\": 1, \"deps\": [\"a\"]}\n",
     ":2: deps: the tasks of a stream wait for nothing and read nothing: \"a\" needs the whole file", MR_E_CONFIG},
    {"{\"id\": \"a\", \"duration_s\": 1}\n{\"id\": \"b\", \"duration_s\": x}\n",
     ":2:27: this is not JSON: unexpected 'x'", MR_E_CONFIG},
    {"{\"id\": \"a\", \"duration_s\": 1}\n{\"id\": \"b\", \"duration_s\": 1, \"cpus\": 9}\n",
     ":2: the task \"b\" needs 9 CPU and no node has that much: the largest has 4", MR_E_UNSCHEDULABLE},
    {"# nothing\n", ": there is no task in this workload", MR_E_CONFIG},
};

START_TEST(what_a_stream_can_not_be)
{
    char path[] = "/tmp/mrfeedXXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, wrong[_i].lines, strlen(wrong[_i].lines)), (ssize_t)strlen(wrong[_i].lines));
    close(fd);
    mr_workload *w = NULL;
    mr_sim *s = NULL;
    mr_err err = {0};
    mr_sim_conf conf;
    mr_sim_conf_init(&conf);
    mr_status status = mr_feed_open(&w, path, 0, &err);
    if (!status)
        status = mr_platform_uniform(&w->platform, 1, 4, &err);
    if (!status)
        status = mr_sim_new(&s, w, &w->platform, &conf, &err);
    if (!status)
        status = mr_sim_run(s, &err);
    ck_assert_int_eq(status, wrong[_i].status);
    ck_assert_msg(strncmp(err.text + strlen(path), wrong[_i].message, strlen(wrong[_i].message)) == 0, "%s", err.text);
    mr_sim_free(s);
    mr_workload_free(w);
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_feed");
    TCase *all = tcase_create("feed");
    tcase_add_loop_test(all, a_stream_is_the_same_run, 0, (int)(sizeof same / sizeof *same));
    tcase_add_loop_test(all, what_a_stream_can_not_be, 0, (int)(sizeof wrong / sizeof *wrong));
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
