/* helper_sim.c: see helper_sim.h. */
#include "unit/helper_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"

const char *helper_sim_folder(void)
{
    static char folder[600];
    const char *root = getenv("MRTEST_SOURCE_DIR");
    snprintf(folder, sizeof folder, "%s/tests/sim", root ? root : ".");
    return folder;
}

mr_status helper_sim_text(mr_workload **out, const char *text, mr_err *err)
{
    /* The name is short so that messages can be compared whole; each test runs in a process of its own. */
    char folder[] = "/tmp/mrsimXXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    FILE *f = fopen("w.jsonl", "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    ck_assert_int_eq(fclose(f), 0);
    mr_status status = mr_workload_read(out, "w.jsonl", MR_WL_AUTO, err);
    unlink("w.jsonl");
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(folder);
    return status;
}

mr_workload *helper_sim_file(const char *name)
{
    char path[800];
    mr_workload *w = NULL;
    mr_err err = {0};
    snprintf(path, sizeof path, "%s/%s", helper_sim_folder(), name);
    mr_status status = mr_workload_read(&w, path, MR_WL_AUTO, &err);
    ck_assert_msg(status == MR_OK, "%s", err.text);
    return w;
}

static int64_t no_clock(const mr_host *h)
{
    (void)h;
    return 0;
}

static void no_log(const mr_host *h, mr_log_level level, const char *fmt, ...)
{
    (void)h, (void)level, (void)fmt;
}

static void no_fail(const mr_host *h, const char *fmt, ...)
{
    (void)h, (void)fmt;
}

static const char *no_conf(const mr_host *h, const char *key)
{
    (void)h, (void)key;
    return NULL;
}

static int64_t no_int(const mr_host *h, const char *key, int64_t otherwise)
{
    (void)h, (void)key;
    return otherwise;
}

static double no_double(const mr_host *h, const char *key, double otherwise)
{
    (void)h, (void)key;
    return otherwise;
}

static const char *no_key(const mr_host *h, size_t i)
{
    (void)h, (void)i;
    return NULL;
}

static void *get(const mr_host *h, size_t size)
{
    (void)h;
    return calloc(1, size);
}

static void put(const mr_host *h, void *p)
{
    (void)h;
    free(p);
}

static const mr_host host = {.size = sizeof(mr_host),
                             .name = "test",
                             .log = no_log,
                             .now = no_clock,
                             .conf = no_conf,
                             .conf_int = no_int,
                             .conf_double = no_double,
                             .conf_key = no_key,
                             .alloc = get,
                             .free = put,
                             .fail = no_fail};

helper_run helper_sim_run(mr_workload *w, const mr_sched_ops *ops, const mr_sim_conf *given)
{
    helper_run r = {0};
    mr_sim_conf conf;
    mr_sim *s = NULL;
    mr_sim_conf_init(&conf);
    if (given)
        conf = *given;
    conf.check = true;
    r.status = mr_sim_new(&s, w, &w->platform, &conf, &r.err);
    if (!r.status)
        r.status = mr_sim_policy(s, "test", ops, &host, &r.err);
    if (!r.status)
        r.status = mr_sim_run(s, &r.err);
    if (!r.status)
        r.status = mr_report_verify(w, &w->platform, s, &r.err);
    if (!r.status) {
        mr_sim_report report;
        r.status = mr_report_make(w, &w->platform, s, &conf, "test", &report, &r.err);
        r.digest = report.digest;
        r.end = report.end;
        mr_sim_stats_get(s, &r.stats);
        r.tasks = malloc(w->n_tasks * sizeof *r.tasks);
        memcpy(r.tasks, mr_sim_tasks(s), w->n_tasks * sizeof *r.tasks);
        const char *why = mr_sim_policy_error(s);
        snprintf(r.policy_error, sizeof r.policy_error, "%s", why ? why : "");
    }
    mr_sim_free(s);
    return r;
}

mr_workload *helper_sim_lines(const char *lines)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    ck_assert_msg(!helper_sim_text(&w, lines, &err), "%s", err.text);
    return w;
}

helper_run helper_sim_sound(mr_workload *w, const mr_sched_ops *ops, const mr_sim_conf *conf)
{
    helper_run r = helper_sim_run(w, ops, conf);
    ck_assert_msg(r.status == MR_OK, "%s", r.err.text);
    ck_assert_str_eq(r.policy_error, "");
    return r;
}
