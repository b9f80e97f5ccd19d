/* test_control_swap.c: one policy takes over from another while tasks wait, travel, lie in rings and run. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rand.h"
#include "helper_control.h"
#include "plugin/loader.h"
#include "run_suite.h"
#include "unit/helper_pack.h"

enum { TASKS = 30, POLICIES = 64 };

static world w;
static mr_rand dice;

/* ------------------------------------------------------------------------------------ what each instance is told -- */

/* By task: the last notice, for S(X|(R(X|B(PRB)*(PRX|E))?)*). */
typedef struct told {
    uint8_t last[1 << 12];
    uint64_t entry[1 << 12];
    int64_t ready_at[1 << 12];
    bool closed;
} told;

static const mr_sched_host *host;

static mr_status watch_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    host = h;
    *self = calloc(1, sizeof(told));
    return *self ? MR_OK : MR_E_NOMEM;
}

static void watch_close(void *self)
{
    free(self);
}

static void watch_notice(void *self, const mr_notice *n)
{
    static const struct {
        uint8_t what;
        int after;
    } legal[] = {{MR_SUBMITTED, 0},
                 {MR_BECAME_READY, MR_SUBMITTED | MR_STOPPED | MR_DROPPED},
                 {MR_STARTED, MR_BECAME_READY},
                 {MR_STOPPED, MR_STARTED},
                 {MR_DONE, MR_STARTED},
                 {MR_DROPPED, MR_SUBMITTED | MR_BECAME_READY | MR_STARTED}};
    told *t = self;
    uint64_t i = n->task->ref;
    ck_assert_uint_lt(i, 1 << 12);
    for (size_t k = 0; k < sizeof legal / sizeof legal[0]; k++)
        if (legal[k].what == n->what)
            ck_assert_msg(legal[k].after ? (t->last[i] & legal[k].after) : !t->last[i], "task %llu: told %d after %d",
                          (unsigned long long)i, n->what, t->last[i]);
    t->last[i] = (uint8_t)n->what;
}

static double watch_rank(void *self, const mr_task *t)
{
    const told *x = self;
    ck_assert_int_eq(x->last[t->ref], MR_BECAME_READY);
    return (double)t->entry;
}

static mr_ref watch_pick(void *self, const mr_worker *k)
{
    (void)self;
    return host->first(host, MR_NONE, k->ref, false);
}

static const mr_sched_ops watch_all = {.notices = 127,
                                       .open = watch_open,
                                       .close = watch_close,
                                       .rank = watch_rank,
                                       .pick = watch_pick,
                                       .notice = watch_notice};
static const mr_sched_ops watch_ranks = {
    .notices = 127, .open = watch_open, .close = watch_close, .rank = watch_rank, .notice = watch_notice};

/* -------------------------------------------------------------------------------------------------- the policies -- */

static struct {
    char name[64], file[512];
    const mr_sched_ops *ops;
    mr_loaded *plugin;
    mr_host_box *host;
} policies[POLICIES];
static int n_policies;
static mr_loaded *plugins[4];
static mr_config *config;

static void setup(void)
{
    static const char *const names[] = {"sched-lua", "sched-fifo", "sched-locality"};
    mr_err err = {0};
    static char files[POLICIES][512];
    ck_assert_int_eq(mr_config_new(&config), MR_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(!mr_plugin_load(&plugins[i], names[i], MR_KIND_SCHED, config, NULL, &err), "%s", err.text);
        ck_assert_msg(!mr_config_check_plugin(config, plugins[i]->plugin, &err), "%s", err.text);
        if (i)
            snprintf(policies[n_policies++].name, 64, "%s", names[i]);
        if (i)
            policies[n_policies - 1].plugin = plugins[i];
    }
    policies[n_policies++].ops = &watch_all;
    policies[n_policies++].ops = &watch_ranks;
    for (int i = 0, n = helper_pack_files(files, POLICIES - n_policies); i < n; i++) {
        snprintf(policies[n_policies].name, 64, "%.60s", strrchr(files[i], '/') + 1);
        memcpy(policies[n_policies].file, files[i], sizeof files[i]);
        policies[n_policies++].plugin = plugins[0];
    }
    ck_assert_int_gt(n_policies, 20);
    memset(&w, 0, sizeof w);
    mr_rand_seed(&dice, 3, 3);
}

static void teardown(void)
{
    world_free(&w);
    for (int i = 0; i < n_policies; i++)
        mr_host_free(policies[i].host);
    for (int i = 0; i < 3; i++)
        mr_plugin_unload(plugins[i]);
    mr_config_free(config);
    memset(policies, 0, sizeof policies);
    n_policies = 0;
}

/* false: this engine does not offer what it requires; then the one before is still there. */
static bool use(int i)
{
    mr_err err = {0};
    char before[64];
    mr_host_box *box = NULL;
    const mr_sched_ops *ops = policies[i].ops ? policies[i].ops : &policies[i].plugin->ops.sched;
    snprintf(before, sizeof before, "%s", mr_control_policy_name(w.c));
    if (policies[i].plugin) {
        ck_assert_int_eq(mr_host_new(&box, policies[i].plugin->plugin, config, NULL, NULL), MR_OK);
        if (policies[i].file[0])
            ck_assert_int_eq(mr_host_say(box, "policy", policies[i].file), MR_OK);
    }
    mr_status status = mr_control_policy(w.c, policies[i].name, ops, box ? mr_host_table(box) : NULL, &err);
    if (status) {
        ck_assert_msg(status == MR_E_UNSUPPORTED, "%s: %s", policies[i].name, err.text);
        ck_assert_str_eq(mr_control_policy_name(w.c), before);
        mr_host_free(box);
        return false;
    }
    mr_host_free(policies[i].host); /* that instance is closed */
    policies[i].host = box;
    mr_ev_none e = {.h = {.kind = MR_EV_POLICY}};
    world_step(&w, &e);
    return true;
}

static mr_id tasks[TASKS];

static void begin(uint64_t seed)
{
    world_free(&w);
    memset(&w, 0, sizeof w);
    mr_rand_seed(&dice, seed, 5);
    world_new(&w, "CPU=2");
    world_node(&w, "CPU=1");
    uint32_t f[2] = {world_func(&w, "f", NULL), world_define(&w, (spec){.name = "g", .needs = "CPU=1", .retries = 1})};
    for (int k = 0; k < TASKS; k++) {
        mr_id dep = k > 2 && mr_rand_below(&dice, 3) == 0 ? tasks[mr_rand_below(&dice, (uint64_t)k)] : 0;
        tasks[k] = world_submit(&w, f[k & 1], dep ? (mr_id[]){dep, 0} : NULL);
    }
}

/* One finish of something that runs, one answer to a revoke, arrivals. */
static void go_on(int rounds)
{
    for (int r = 0; r < rounds && world_stats(&w).tasks; r++) {
        mr_action a;
        while (world_took(&w, MR_ACT_TRANSFER, 0, &a))
            world_arrived(&w, a.id, a.node);
        while (world_took(&w, MR_ACT_REVOKE, 0, &a))
            (void)world_revoked(&w, a.id, mr_rand_below(&dice, 3) > 0);
        int k = (int)mr_rand_below(&dice, TASKS), tries = TASKS;
        while (tries-- && !world_worker(&w, tasks[k]))
            k = (k + 1) % TASKS;
        if (world_worker(&w, tasks[k]) && mr_rand_below(&dice, 15) == 0)
            world_die(&w, world_worker(&w, tasks[k]), MR_DEATH_SIGNAL, 9);
        else if (world_worker(&w, tasks[k]) && mr_rand_below(&dice, 3))
            (void)world_finish_as(&w, tasks[k], MR_OK, MR_FINISHED_RESULT, 5000);
        world_time(&w, 2000000);
    }
}

static void end(const char *what)
{
    for (int r = 0; r < 500 && world_stats(&w).tasks; r++)
        go_on(4);
    ck_assert_msg(world_stats(&w).tasks == 0, "%s: %d tasks are left", what, (int)world_stats(&w).tasks);
    ck_assert_msg(!mr_control_policy_error(w.c), "%s: %s", what, mr_control_policy_error(w.c));
    for (int k = 0; k < TASKS; k++)
        world_drop(&w, tasks[k]);
    world_nothing_left(&w);
}

START_TEST(there_and_back_for_every_pair)
{
    for (int a = 0; a < n_policies; a++)
        for (int b = 0; b < n_policies; b++) {
            char what[200];
            snprintf(what, sizeof what, "%.60s, %.60s, %.60s", policies[a].name, policies[b].name, policies[a].name);
            begin((uint64_t)(a * POLICIES + b));
            use(a);
            go_on(7);
            use(b);
            go_on(7);
            use(a);
            end(what);
        }
}
END_TEST

START_TEST(a_swap_at_every_moment)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        begin(seed);
        for (int r = 0; r < 60; r++) {
            if (mr_rand_below(&dice, 3) == 0)
                use((int)mr_rand_below(&dice, 4));
            go_on(1);
        }
        end("swaps");
    }
}
END_TEST

START_TEST(what_was_ready_keeps_its_time_and_its_turn)
{
    world_new(&w, "CPU=1");
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t[4];
    for (int i = 0; i < 4; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 10);
    int64_t at = w.now;
    world_time(&w, 1000);
    use(2);
    world_time(&w, 1000);
    const mr_task *v = host->task(host, t[2]);
    ck_assert_int_eq(v->ready_at, at);
    uint64_t entry = v->entry;
    use(3);
    world_time(&w, 1000);
    ck_assert_uint_eq(host->task(host, t[2])->entry, entry);
    ck_assert_uint_eq(host->task(host, t[3])->entry, entry + 1);
    mr_policy_past past;
    ck_assert(mr_control_policy_past(w.c, 1, &past));
    ck_assert(!mr_control_policy_past(w.c, 2, &past));
}
END_TEST

/* ---------------------------------------------------------------------------------------------------- hot reload -- */

static int saved, restored;
static mr_status refuses;

static mr_status keeps_save(void *self, const void **bytes, size_t *n, mr_err *err)
{
    static const char text[] = "what it knows";
    (void)self;
    (void)err;
    saved++;
    *bytes = text;
    *n = sizeof text;
    return MR_OK;
}

static mr_status keeps_restore(void *self, const void *bytes, size_t n, mr_err *err)
{
    (void)self;
    ck_assert_uint_eq(n, sizeof "what it knows");
    ck_assert_str_eq(bytes, "what it knows");
    restored++;
    return refuses ? mr_err_set(err, refuses, "it is from another time") : MR_OK;
}

static const mr_sched_ops keeps = {.notices = 127,
                                   .open = watch_open,
                                   .close = watch_close,
                                   .rank = watch_rank,
                                   .notice = watch_notice,
                                   .save = keeps_save,
                                   .restore = keeps_restore};

START_TEST(state_is_handed_to_the_same_policy_alone)
{
    mr_err err = {0};
    world_new(&w, "CPU=1");
    uint32_t f = world_func(&w, "f", NULL);
    for (int i = 0; i < 3; i++)
        world_run(&w, f);
    ck_assert_int_eq(mr_control_policy(w.c, "a", &keeps, NULL, &err), MR_OK);
    ck_assert_int_eq(mr_control_policy(w.c, "b", &keeps, NULL, &err), MR_OK);
    ck_assert_int_eq(saved, 0);
    ck_assert_int_eq(mr_control_policy(w.c, "b", &keeps, NULL, &err), MR_OK);
    ck_assert_int_eq(saved, 1);
    ck_assert_int_eq(restored, 1);
    mr_ev_none e = {.h = {.kind = MR_EV_POLICY}};
    world_step(&w, &e);
    world_time(&w, 10);
    const mr_sched_host *at_work = host;
    refuses = MR_E_POLICY;
    ck_assert_int_eq(mr_control_policy(w.c, "b", &keeps, NULL, &err), MR_E_POLICY);
    ck_assert_str_eq(err.text, "it is from another time");
    refuses = MR_OK;
    ck_assert_str_eq(mr_control_policy_name(w.c), "b");
    ck_assert_ptr_eq(at_work, host);
    world_time(&w, 10);
}
END_TEST

static mr_status never_opens(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)self;
    h->wake(h, 7);
    h->rerank(h, MR_NONE);
    return mr_err_set(err, MR_E_POLICY, "x.lua:3: no");
}

START_TEST(one_that_does_not_open_leaves_the_old_one_at_work)
{
    mr_err err = {0};
    begin(1);
    use(3);
    go_on(5);
    ck_assert_int_eq(mr_control_policy(w.c, "bad", &(mr_sched_ops){.open = never_opens}, NULL, &err), MR_E_POLICY);
    ck_assert_str_eq(err.text, "x.lua:3: no");
    ck_assert(!mr_control_policy_error(w.c));
    end("after one that did not open");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: swaps of policies");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, there_and_back_for_every_pair);
    tcase_add_test(t, a_swap_at_every_moment);
    tcase_add_test(t, what_was_ready_keeps_its_time_and_its_turn);
    tcase_add_test(t, state_is_handed_to_the_same_policy_alone);
    tcase_add_test(t, one_that_does_not_open_leaves_the_old_one_at_work);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
