/* test_failing_calls.c: every allocation and every system call of a scenario fails in turn, once or from then on.
 *
 * A scenario is run with the first call failing, then the second, ..., until it ends untouched.  Each time: the answer
 * is an error that names what it is, or everything is as it should be; nothing is leaked; what comes next works.
 */
#define _GNU_SOURCE
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <miniray/store.h>

#include "base/log.h"
#include "engine/process/disk.h"
#include "helper_control.h"
#include "helper_failing.h"
#include "plugin/loader.h"
#include "run_suite.h"

/* As ck_assert_msg, which allocates also when all is well. */
#define MUST(condition, ...)                                                                                           \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            failing_disarm();                                                                                          \
            ck_abort_msg(#condition ": " __VA_ARGS__);                                                                 \
        }                                                                                                              \
    } while (0)

static int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Runs it with the n-th call failing, for each n, once and for good, until nothing fails. */
static void each_call(void (*scenario)(void))
{
    scenario(); /* what is made once for the whole process is there now */
    for (int stay = 0; stay < 2; stay++) {
        bool hit = true;
        for (long n = 0; hit; n++) {
            long before = failing_live;
            int fds = count_fds();
            ck_assert_msg(n < 100000, "the scenario makes no end");
            failing_arm(FAILING_SELF, FAILING_ALL, n, stay);
            scenario();
            hit = failing_disarm();
            ck_assert_msg(!FAILING_COUNTS || failing_live == before, "call %ld (%s): %ld blocks are left", n,
                          stay ? "and all after it" : "once", failing_live - before);
            ck_assert_msg(count_fds() == fds, "call %ld: %d descriptors are left", n, count_fds() - fds);
        }
    }
}

/* -- a store ------------------------------------------------------------------------------------------------------- */

static const char *const stores[] = {"store-shm", "store-mem", "store-file"};
static mr_loaded *plugin;
static mr_config *config;

static int64_t no_clock(void *arg)
{
    (void)arg;
    return 0;
}

static bool expected(mr_status status)
{
    return !status || (failing_failed() && (status == MR_E_NOMEM || status == MR_E_IO || status == MR_E_FULL));
}

static void one_object(const mr_store_ops *ops, void *self, mr_id id, uint64_t len)
{
    mr_region r, got;
    mr_status status = ops->create(self, id, len, &r);
    MUST(expected(status), "create: %s", mr_status_text(status));
    if (status)
        return;
    status = ops->populate ? ops->populate(self, &r) : MR_OK;
    MUST(expected(status), "populate: %s", mr_status_text(status));
    if (status) {
        MUST((ops->abort(self, id)) == MR_OK, "as it was");
        return;
    }
    memset(r.data, (int)id, len);
    status = ops->seal(self, id);
    MUST(expected(status), "seal: %s", mr_status_text(status));
    if (status) {
        MUST((ops->abort(self, id)) == MR_OK, "as it was");
        return;
    }
    MUST((ops->get(self, id, &got)) == MR_OK, "as it was");
    MUST(!len || ((char *)got.data)[len - 1] == (char)id, "as it was");
    MUST((ops->release(self, id)) == MR_OK, "as it was");
}

static void two_processes(const mr_store_ops *ops, void *self, const mr_host *h)
{
    mr_share share;
    mr_err err = {0};
    void *peer;
    if (!ops->share || ops->share(self, &share))
        return;
    mr_status status = ops->attach(&peer, h, &share, &err);
    MUST(expected(status) && (!status || err.text[0]), "attach: %s", mr_status_text(status));
    if (status)
        return;
    MUST(ops->view(peer, 0, 64, false), "as it was");
    ops->detach(peer);
}

static void store_scenario(void)
{
    const mr_store_ops *ops = &plugin->ops.store;
    const mr_store_conf conf = {.capacity = 8 << 20};
    mr_host_box *box;
    mr_err err = {0};
    void *self;
    mr_store_stats stats;
    mr_status status = mr_host_new(&box, plugin->plugin, config, no_clock, NULL);
    MUST(expected(status), "as it was");
    if (status)
        return;
    status = ops->open(&self, mr_host_table(box), &conf, &err);
    MUST(expected(status) && err.status == status, "open: %s, and it says %s", mr_status_text(status),
         mr_status_text(err.status));
    if (!status) {
        for (mr_id id = 1; id <= 40; id++)
            one_object(ops, self, id, id * id * 37);
        one_object(ops, self, 100, 3 << 20);
        two_processes(ops, self, mr_host_table(box));
        for (mr_id id = 1; id <= 100; id++) {
            status = ops->remove(self, id);
            MUST(status == MR_OK || status == MR_E_NOTFOUND, "as it was");
        }
        if (ops->trim)
            (void)ops->trim(self);
        ops->stats(self, &stats);
        MUST((stats.used) == 0, "as it was");
        ops->close(self);
    }
    MUST((mr_host_bytes(box)) == 0, "as it was");
    mr_host_free(box);
}

START_TEST(a_store)
{
    mr_err err = {0};
    ck_assert_int_eq(mr_config_new(&config), MR_OK);
    ck_assert_msg(!mr_plugin_load(&plugin, stores[_i], MR_KIND_STORE, NULL, NULL, &err), "%s", err.text);
    each_call(store_scenario);
    mr_plugin_unload(plugin);
    mr_config_free(config);
}
END_TEST

/* -- the disk ------------------------------------------------------------------------------------------------------ */

static const char *const packers[] = {"none", "lz4", "zstd"};
static const char *packer;
static char value[(2 << 20) + 5], back[sizeof(value)];

static void disk_scenario(void)
{
    static const uint64_t sizes[] = {1, 5000, sizeof(value)};
    const char *dir = getenv("TMPDIR");
    mr_disk *d = NULL;
    mr_err err = {0};
    mr_extent e[3];
    bool there[3] = {0};
    mr_status status = mr_disk_new(dir ? dir : "/tmp", packer, &d, &err);
    MUST(!status || (failing_failed() && status == MR_E_NOMEM && err.text[0]), "as it was");
    for (int i = 0; !status && i < 3; i++) {
        mr_status wrote = mr_disk_write(d, value, sizes[i], &e[i], &err);
        MUST(!wrote || (failing_failed() && (wrote == MR_E_IO || wrote == MR_E_FULL) && err.text[0]), "write: %s",
             mr_status_text(wrote));
        there[i] = !wrote;
    }
    for (int i = 0; i < 3; i++) {
        if (!there[i])
            continue;
        mr_status got = mr_disk_read(d, &e[i], back, &err);
        MUST(!got || (failing_failed() && (got == MR_E_IO || got == MR_E_LOST)), "read: %s", mr_status_text(got));
        MUST(got || memcmp(back, value, sizes[i]) == 0, "as it was");
        mr_disk_drop(d, &e[i]);
    }
    mr_disk_free(d);
}

START_TEST(a_disk)
{
    packer = packers[_i % 3];
    failing_short_io = _i >= 3;
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)(i * i >> (i >> 18 & 7));
    each_call(disk_scenario);
}
END_TEST

/* -- control ------------------------------------------------------------------------------------------------------- */

static long control_n;
static bool control_stays, control_hit;

static void count_on(bool now)
{
    failing_arm(now && control_n >= 0 ? FAILING_SELF : 0, FAILING_BIT(malloc), control_n, control_stays);
}

static bool count_off(void)
{
    if (failing_armed())
        control_n = failing_left();
    control_hit |= failing_failed();
    return failing_disarm();
}

/* A step that finds no memory changes nothing: what comes again succeeds. */
static mr_status failing_step(mr_control *c, const mr_record *event, int64_t now, mr_actions *out)
{
    mr_err err = {0};
    if (event->kind == MR_EV_TIME || event->kind == MR_EV_WORKER_UP) /* starting work is another scenario */
        return mr_control_step(c, event, now, out);
    count_on(true);
    mr_status status = mr_control_step(c, event, now, out);
    bool failed = count_off(); /* it goes on from step to step */
    if (status != MR_E_NOMEM)
        return status;
    ck_assert_msg(failed, "%s: no memory, though there is", mr_event_name(event->kind));
    ck_assert_msg(mr_control_check(c, &err) == MR_OK, "%s: %s", mr_event_name(event->kind), err.text);
    control_n = -1; /* memory is there again */
    out->n = 0;     /* its reply says that it was refused */
    return mr_control_step(c, event, now, out);
}

static void place(world *w, mr_event_kind kind, mr_id id, uint64_t size, uint32_t cause)
{
    mr_ev_place e = {.h = {.kind = (uint16_t)kind}, .id = id, .size = size, .cause = cause};
    ck_assert_int_eq(world_step(w, &e), MR_OK);
}

static void spill_round(world *w, uint64_t size)
{
    mr_action a;
    place(w, MR_EV_STORE_FULL, 0, size, 0);
    w->now += 2000000000;
    place(w, MR_EV_STORE_FULL, 0, size, 0);
    place(w, MR_EV_STORE_FULL, 0, size, 0);
    while (world_took(w, MR_ACT_SPILL, 0, &a))
        place(w, MR_EV_SPILLED, a.id, (uint64_t)a.value, 0);
}

static void control_scenario(void)
{
    enum { N = 24, MB = 1 << 20, ACTIONS = 4096 };
    world w = {0};
    mr_id x[N], y[N];
    mr_action a;
    mr_control_conf_init(&w.conf);
    w.conf.lineage = w.conf.spill = true;
    world_new(&w, "CPU=2");
    w.step = failing_step;
    /* The one thing without which nothing could be told: see mr_control_more. */
    mr_actions_free(&w.out);
    w.out = (mr_actions){.v = calloc(ACTIONS, sizeof(mr_action)), .cap = ACTIONS};
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 3});
    ck_assert_msg(f, "define: %s", mr_status_text(w.last));
    for (int i = 0; i < N; i++) {
        const mr_id inside[] = {i ? x[i - 1] : 0, 0};
        x[i] = world_put(&w, MB, 0, inside);
        ck_assert_uint_ne(x[i], 0);
    }
    for (int i = 0; i < N; i++) {
        const mr_id deps[] = {x[i], i ? y[i - 1] : x[0], 0};
        y[i] = world_submit(&w, f, deps);
        ck_assert_uint_ne(y[i], 0);
    }
    uint32_t token = world_block(&w, 0, 0, 1, 0, (const mr_id[]){y[N - 1], 0});
    for (int i = 0; i < N; i++) {
        world_time(&w, 1);
        ck_assert_int_eq(world_seal(&w, y[i], 0, MB, 0, (const mr_id[]){x[i], 0}), MR_OK);
        ck_assert_int_eq(world_finish(&w, y[i]), MR_OK);
        if (i % 8 == 7)
            spill_round(&w, 4 * MB);
    }
    (void)token;
    for (int i = 0; i < N; i++) {
        mr_ev_id want = {.h = {.kind = MR_EV_WANTED}, .id = x[i]};
        ck_assert_int_eq(world_step(&w, &want), MR_OK);
        if (world_took(&w, MR_ACT_RESTORE, x[i], &a))
            place(&w, MR_EV_RESTORED, x[i], MB, 0);
    }
    place(&w, MR_EV_LOST, y[N - 1], MB, MR_LOSS_DAMAGED); /* made again */
    world_time(&w, 1);
    ck_assert_int_eq(world_seal(&w, y[N - 1], 0, MB, 0, NULL), MR_OK);
    ck_assert_int_eq(world_finish(&w, y[N - 1]), MR_OK);
    for (int i = 0; i < N; i++) {
        world_drop(&w, x[i]);
        world_drop(&w, y[i]);
    }
    world_forget(&w);
    world_nothing_left(&w);
    world_free(&w);
}

START_TEST(a_control)
{
    for (control_stays = false;; control_stays = true) {
        for (long n = 0;; n++) {
            long before = failing_live;
            control_n = n;
            control_hit = false;
            control_scenario();
            ck_assert_msg(!FAILING_COUNTS || failing_live == before, "allocation %ld: %ld blocks are left", n,
                          failing_live - before);
            if (!control_hit)
                break;
        }
        if (control_stays)
            break;
    }
}
END_TEST

/* Records whose work is starting something find no memory: no answer can refuse that, so it is tried again by the clock
 * alone, however often it was in vain. */
static mr_status failing_start(mr_control *c, const mr_record *event, int64_t now, mr_actions *out)
{
    bool starts = event->kind == MR_EV_TIME || event->kind == MR_EV_WORKER_UP;
    count_on(starts);
    mr_status status = mr_control_step(c, event, now, out);
    count_off();
    return status;
}

/* Only when control has asked for it, as an engine does. */
static bool start_time(world *w)
{
    if (!mr_control_eager(w->c) && w->wake <= w->now)
        return false;
    world_time(w, mr_control_eager(w->c) ? 0 : w->wake - w->now);
    return true;
}

static void start_scenario(void)
{
    enum { N = 6, KB = 1 << 10, ACTIONS = 4096 };
    world w = {0};
    mr_action a;
    mr_control_conf_init(&w.conf);
    world_new(&w, "CPU=1");
    world_node(&w, "CPU=8 GPU=1");
    w.step = failing_start;
    mr_actions_free(&w.out);
    w.out = (mr_actions){.v = calloc(ACTIONS, sizeof(mr_action)), .cap = ACTIONS};
    uint32_t f = world_func(&w, "f", NULL), small = world_define(&w, (spec){.name = "small", .needs = "CPU=0.1"});
    mr_id x = world_put(&w, KB, 0, NULL), t[2 * N];
    for (int i = 0; i < 2 * N; i++)
        t[i] = world_submit(&w, i % 2 ? small : f, (const mr_id[]){x, 0});
    int open = 2 * N;
    for (int tries = 0; open; tries++) {
        MUST(tries < 1000, "tasks are left, and nothing asks to try again");
        while (world_took(&w, MR_ACT_TRANSFER, 0, &a)) {
            mr_ev_place e = {.h = {.kind = MR_EV_ARRIVED}, .id = a.id, .node = a.node, .size = KB};
            MUST(world_step(&w, &e) == MR_OK, "arrived");
        }
        int ended = 0;
        while (world_took(&w, MR_ACT_DISPATCH, 0, &a)) {
            MUST(world_finish(&w, a.id) == MR_OK, "finish");
            ended++;
        }
        open -= ended;
        if (open && !ended && !start_time(&w))
            MUST(false, "%d tasks wait, and nothing asks to try again", open);
        if (control_stays && tries == 5)
            control_n = -1; /* memory is there again */
    }
    world_drop(&w, x);
    for (int i = 0; i < 2 * N; i++)
        world_drop(&w, t[i]);
    world_forget(&w);
    world_nothing_left(&w);
    world_free(&w);
}

START_TEST(a_start)
{
    for (int stays = 0; stays < 2; stays++)
        for (long n = 0;; n++) {
            long before = failing_live;
            control_stays = stays;
            control_n = n;
            control_hit = false;
            start_scenario();
            ck_assert_msg(!FAILING_COUNTS || failing_live == before, "allocation %ld: %ld blocks are left", n,
                          failing_live - before);
            if (!control_hit)
                break;
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("failing calls");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, a_store, 0, 3);
    tcase_add_loop_test(t, a_disk, 0, 6);
    if (FAILING_MALLOC) {
        tcase_add_test(t, a_control);
        tcase_add_test(t, a_start);
    }
    suite_add_tcase(s, t);
    return run_suite(s);
}
