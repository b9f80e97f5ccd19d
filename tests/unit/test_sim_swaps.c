/* test_sim_swaps.c: from each policy of the pack to each other one and back, in the middle of a simulated run: all
 * tasks end, the simulator's own checks hold (no task before its parents, no pool overdrawn), and the run is the same
 * twice. Here tasks can be stopped, so the preemptive ones are among them.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/loader.h"
#include "run_suite.h"
#include "unit/helper_pack.h"
#include "unit/helper_policy.h"
#include "unit/helper_sim.h"

enum { POLICIES = 64, TASKS = 40, NATIVE = 3 };

static const char *const native[NATIVE] = {"sched-fifo", "sched-locality", "sched-priority"};
static struct {
    char name[64], file[512];
    mr_loaded *plugin;
} policies[POLICIES];
static int n_policies;
static mr_loaded *loaded[NATIVE + 1];
static mr_config *config;

static void setup(void)
{
    mr_err err = {0};
    static char files[POLICIES][512];
    ck_assert_int_eq(mr_config_new(&config), MR_OK);
    for (int i = 0; i <= NATIVE; i++) {
        const char *name = i < NATIVE ? native[i] : "sched-lua";
        ck_assert_msg(!mr_plugin_load(&loaded[i], name, MR_KIND_SCHED, config, NULL, &err), "%s", err.text);
        ck_assert_msg(!mr_config_check_plugin(config, loaded[i]->plugin, &err), "%s", err.text);
        if (i == NATIVE)
            break;
        snprintf(policies[n_policies].name, 64, "%s", name);
        policies[n_policies++].plugin = loaded[i];
    }
    for (int i = 0, n = helper_pack_files(files, POLICIES - n_policies); i < n; i++) {
        snprintf(policies[n_policies].name, 64, "%.60s", strrchr(files[i], '/') + 1);
        memcpy(policies[n_policies].file, files[i], sizeof files[i]);
        policies[n_policies++].plugin = loaded[NATIVE];
    }
    ck_assert_int_gt(n_policies, 25);
}

static void teardown(void)
{
    for (int i = 0; i <= NATIVE; i++)
        mr_plugin_unload(loaded[i]);
    mr_config_free(config);
    n_policies = 0;
}

/* Graphs, wide tasks, users, limits, deadlines, data on two unlike nodes. */
static mr_workload *made(void)
{
    static helper_lines l;
    l.n = 0;
    helper_line(&l, "{\"platform\": {\"nodes\": [{\"cpus\": 2}, {\"cpus\": 1, \"speed\": 2}], \"bandwidth\": 1e8}}");
    for (int i = 0; i < TASKS; i++) {
        char inputs[40] = "";
        if (i > 3 && i % 3 == 0)
            snprintf(inputs, sizeof inputs, ", \"inputs\": [\"t%d\"]", i / 2);
        helper_line(&l,
                    "{\"id\": \"t%d\", \"fn\": \"f%d\", \"duration_s\": %g, \"arrival_s\": %g, \"cpus\": %d, \"user\": "
                    "\"%c\", \"priority\": %d, \"outputs\": %d, \"limit_s\": 100, \"deadline_s\": %g%s}",
                    i, i % 3, 0.01 * (1 + i * 7 % 13), 0.004 * i, i % 6 == 5 ? 2 : 1, "ab"[i % 2], i % 4,
                    i % 5 * 100000, 1 + 0.01 * i, inputs);
    }
    return helper_lines_read(&l);
}

static int64_t sim_now(void *sim)
{
    return mr_sim_now(sim);
}

static void sim_failed(void *sim, const char *why)
{
    mr_sim_policy_fail(sim, why);
}

static mr_host_box *use(mr_sim *s, int i)
{
    mr_err err = {0};
    mr_host_box *box = NULL;
    ck_assert_int_eq(mr_host_new(&box, policies[i].plugin->plugin, config, sim_now, s), MR_OK);
    if (policies[i].file[0])
        ck_assert_int_eq(mr_host_say(box, "policy", policies[i].file), MR_OK);
    mr_host_on_fail(box, sim_failed, s);
    ck_assert_msg(!mr_sim_policy(s, policies[i].name, &policies[i].plugin->ops.sched, mr_host_table(box), &err),
                  "%s: %s", policies[i].name, err.text);
    return box;
}

static uint64_t there_and_back(mr_workload *w, int a, int b)
{
    mr_sim *s = NULL;
    mr_err err = {0};
    mr_sim_conf conf;
    mr_sim_report report;
    mr_host_box *box[3];
    char what[160];
    snprintf(what, sizeof what, "%s, %s, %s", policies[a].name, policies[b].name, policies[a].name);
    mr_sim_conf_init(&conf);
    conf.check = true;
    ck_assert_msg(!mr_sim_new(&s, w, &w->platform, &conf, &err), "%s", err.text);
    for (int k = 0; k < 3; k++) {
        box[k] = use(s, k == 1 ? b : a);
        for (int i = 0; i < 25 + (a + b) % 7; i++)
            ck_assert_msg(!mr_sim_step(s, &err), "%s: %s", what, err.text);
    }
    ck_assert_msg(!mr_sim_run(s, &err), "%s: %s", what, err.text);
    ck_assert_msg(!mr_sim_policy_error(s), "%s: %s", what, mr_sim_policy_error(s));
    ck_assert_msg(!mr_report_verify(w, &w->platform, s, &err), "%s: %s", what, err.text);
    ck_assert_int_eq(mr_report_make(w, &w->platform, s, &conf, "test", &report, &err), MR_OK);
    ck_assert_msg(report.tasks == TASKS && report.failed == 0 && report.stats.refused == 0, "%s", what);
    mr_policy_past past;
    for (uint32_t k = 0; k < 3; k++) { /* each with when it came and what it was told */
        ck_assert(mr_control_policy_past(mr_sim_control(s), k, &past));
        ck_assert_str_eq(past.name, policies[k == 1 ? b : a].name);
        ck_assert(k == 0 || (past.at > 0 && past.submitted > 0));
    }
    mr_sim_free(s);
    for (int k = 0; k < 3; k++)
        mr_host_free(box[k]);
    return report.digest;
}

START_TEST(every_pair_there_and_back)
{
    mr_workload *w = made();
    for (int a = _i; a < n_policies; a += 4)
        for (int b = 0; b < n_policies; b++) {
            uint64_t first = there_and_back(w, a, b);
            if ((a + b) % 5 == 0)
                ck_assert_msg(there_and_back(w, a, b) == first, "%s and %s: it went otherwise the second time",
                              policies[a].name, policies[b].name);
        }
    mr_workload_free(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("simulator: swaps of policies");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, every_pair_there_and_back, 0, 4);
    suite_add_tcase(s, t);
    return run_suite(s);
}
