/* helper_policy.c: see helper_policy.h. */
#include "unit/helper_policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "plugin/loader.h"

static int64_t sim_now(void *sim)
{
    return mr_sim_now(sim);
}

static void sim_failed(void *sim, const char *why)
{
    mr_sim_policy_fail(sim, why);
}

static void configure(mr_config *c, const char *section, const char *path, const char *const *settings)
{
    mr_err err = {MR_OK, ""};
    if (path)
        ck_assert_msg(mr_config_set(c, section, "policy", path, "test", &err) == MR_OK, "%s", err.text);
    for (; settings && *settings; settings += 2)
        ck_assert_msg(mr_config_set(c, section, settings[0], settings[1], "test", &err) == MR_OK, "%s", err.text);
}

static void look(mr_workload *w, const mr_sim_conf *conf, mr_sim *s, helper_run *r)
{
    mr_sim_report report;
    r->status = mr_report_make(w, &w->platform, s, conf, "test", &report, &r->err);
    r->digest = report.digest;
    r->end = report.end;
    mr_sim_stats_get(s, &r->stats);
    r->tasks = malloc((w->n_tasks + 1) * sizeof *r->tasks);
    memcpy(r->tasks, mr_sim_tasks(s), w->n_tasks * sizeof *r->tasks);
    const char *why = mr_sim_policy_error(s);
    const char *dump = mr_sim_policy_dump(s);
    snprintf(r->policy_error, sizeof r->policy_error, "%s", why ? why : "");
    snprintf(r->dump, sizeof r->dump, "%s", dump ? dump : "");
}

helper_run helper_policy_run(mr_workload *w, const char *policy, const char *const *settings, const mr_sim_conf *given)
{
    helper_run r = {0};
    char path[1200], section[80];
    const char *root = getenv("MRTEST_SOURCE_DIR"), *dot = strrchr(policy, '.');
    bool native = strncmp(policy, "sched-", 6) == 0;
    mr_config *c = NULL;
    mr_loaded *l = NULL;
    mr_host_box *box = NULL;
    mr_sim *s = NULL;
    mr_sim_conf conf;
    if (dot && strcmp(dot, ".lua") == 0)
        snprintf(path, sizeof path, "%s", policy);
    else
        snprintf(path, sizeof path, "%s/config/policies/%s.lua", root ? root : ".", policy);
    mr_sim_conf_init(&conf);
    if (given)
        conf = *given;
    conf.check = true;
    ck_assert_int_eq(mr_config_new(&c), MR_OK);
    r.status = mr_plugin_load(&l, native ? policy : "sched-lua", MR_KIND_SCHED, c, NULL, &r.err);
    ck_assert_msg(r.status == MR_OK, "%s", r.err.text);
    snprintf(section, sizeof section, "sched.%s", l->plugin->name);
    configure(c, section, native ? NULL : path, settings);
    ck_assert_msg(mr_config_check_plugin(c, l->plugin, &r.err) == MR_OK, "%s", r.err.text);
    r.status = mr_sim_new(&s, w, &w->platform, &conf, &r.err);
    if (!r.status)
        r.status = mr_host_new(&box, l->plugin, c, sim_now, s);
    if (!r.status) {
        mr_host_on_fail(box, sim_failed, s);
        r.status = mr_sim_policy(s, policy, &l->ops.sched, mr_host_table(box), &r.err);
    }
    if (!r.status)
        r.status = mr_sim_run(s, &r.err);
    if (!r.status)
        r.status = mr_report_verify(w, &w->platform, s, &r.err);
    if (!r.status)
        look(w, &conf, s, &r);
    mr_sim_free(s);
    if (box)
        mr_host_free(box);
    mr_plugin_unload(l);
    mr_config_free(c);
    return r;
}

void helper_line(helper_lines *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(l->text + l->n, sizeof l->text - l->n, fmt, args);
    va_end(args);
    ck_assert(n > 0 && l->n + (size_t)n + 2 < sizeof l->text);
    l->n += (size_t)n;
    l->text[l->n++] = '\n';
    l->text[l->n] = '\0';
}

mr_workload *helper_lines_read(const helper_lines *l)
{
    mr_workload *w = NULL;
    mr_err err = {MR_OK, ""};
    mr_status status = helper_sim_text(&w, l->text, &err);
    ck_assert_msg(status == MR_OK, "%s\n%s", err.text, l->text);
    return w;
}
