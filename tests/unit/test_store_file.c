/* test_store_file.c: store-file with `persist`: what the next instance finds, and what it makes of a damaged log. */
#define _GNU_SOURCE
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <miniray/store.h>

#include "base/config.h"
#include "plugin/loader.h"
#include "run_suite.h"

enum { MB = 1 << 20 };

#define KEPT(id) (UINT64_C(0xFFFD) << 48 | (id))

static char dir[] = "/tmp/miniray-test-store-XXXXXX";
static char log_path[64], bytes_path[64];
static mr_config *config;
static mr_loaded *plugin;
static mr_host_box *box;
static const mr_store_ops *ops;

static int64_t no_clock(void *arg)
{
    (void)arg;
    return 0;
}

static void setup(void)
{
    mr_err err = {0};
    strcpy(dir + sizeof(dir) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(log_path, sizeof(log_path), "%s/miniray-store-0.log", dir);
    snprintf(bytes_path, sizeof(bytes_path), "%s/miniray-store-0.bytes", dir);
    ck_assert_int_eq(mr_config_new(&config), MR_OK);
    ck_assert_int_eq(mr_config_set(config, "store.store-file", "dir", dir, "test", &err), MR_OK);
    ck_assert_int_eq(mr_config_set(config, "store.store-file", "persist", "true", "test", &err), MR_OK);
    ck_assert_msg(mr_plugin_load(&plugin, "store-file", MR_KIND_STORE, NULL, NULL, &err) == MR_OK, "%s", err.text);
    ck_assert_msg(mr_config_check_plugin(config, plugin->plugin, &err) == MR_OK, "%s", err.text);
    ck_assert_int_eq(mr_host_new(&box, plugin->plugin, config, no_clock, NULL), MR_OK);
    ops = &plugin->ops.store;
}

static void teardown(void)
{
    ck_assert_uint_eq(mr_host_bytes(box), 0);
    mr_host_free(box);
    mr_plugin_unload(plugin);
    mr_config_free(config);
    unlink(log_path);
    unlink(bytes_path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static mr_status try_open(void **self, mr_err *err)
{
    const mr_store_conf conf = {.capacity = 8 * MB};
    return ops->open(self, mr_host_table(box), &conf, err);
}

static void *opened(void)
{
    void *self;
    mr_err err = {0};
    ck_assert_msg(try_open(&self, &err) == MR_OK, "%s", err.text);
    return self;
}

static void put(void *self, mr_id id, uint64_t len)
{
    mr_region r;
    ck_assert_int_eq(ops->create(self, KEPT(id), len, &r), MR_OK);
    memset(r.data, (int)(id % 251), len);
    ck_assert_int_eq(ops->seal(self, KEPT(id)), MR_OK);
}

static bool has(void *self, mr_id id, uint64_t len)
{
    mr_region r;
    if (ops->get(self, KEPT(id), &r))
        return false;
    ck_assert_uint_eq(r.len, len);
    bool same = true;
    for (uint64_t i = 0; i < len; i++)
        same &= ((const unsigned char *)r.data)[i] == id % 251;
    ck_assert(same);
    ck_assert_int_eq(ops->release(self, KEPT(id)), MR_OK);
    return true;
}

START_TEST(sealed_objects_are_found_again)
{
    mr_region r;
    void *self = opened(), *other;
    mr_err err = {0};
    for (mr_id id = 1; id <= 20; id++)
        put(self, id, id * 10007);
    for (mr_id id = 3; id <= 20; id += 3)
        ck_assert_int_eq(ops->remove(self, KEPT(id)), MR_OK);
    put(self, 30, 0);
    ck_assert_int_eq(ops->create(self, 32, 1000, &r), MR_OK); /* of the session alone */
    ck_assert_int_eq(ops->seal(self, 32), MR_OK);
    ck_assert_int_eq(ops->create(self, KEPT(31), 1000, &r), MR_OK); /* not sealed */
    ck_assert_int_eq(try_open(&other, &err), MR_E_IO);
    ck_assert_msg(strstr(err.text, "another session"), "%s", err.text);
    for (int turn = 0; turn < 3; turn++) {
        ops->close(self);
        self = opened();
        for (mr_id id = 1; id <= 20; id++)
            ck_assert_int_eq(has(self, id, id * 10007), id % 3 != 0);
        ck_assert(has(self, 30, 0) && !has(self, 31, 1000));
        ck_assert_int_eq(ops->get(self, 32, &r), MR_E_NOTFOUND);
        put(self, 40 + (mr_id)turn, 300000); /* beside the others */
    }
    for (mr_id id = 1; id <= 50; id++) {
        mr_status status = ops->remove(self, KEPT(id));
        ck_assert(status == MR_OK || status == MR_E_NOTFOUND);
    }
    mr_store_stats stats;
    ops->stats(self, &stats);
    ck_assert_uint_eq(stats.used, 0);
    ck_assert_uint_eq(stats.largest, 8 * MB);
    ops->close(self);
}
END_TEST

START_TEST(also_after_a_kill)
{
    pid_t pid = fork();
    if (pid == 0) {
        void *self = opened();
        for (mr_id id = 1; id <= 50; id++)
            put(self, id, 50000);
        raise(SIGKILL);
    }
    int how;
    ck_assert_int_eq(waitpid(pid, &how, 0), pid);
    void *self = opened();
    for (mr_id id = 1; id <= 50; id++)
        ck_assert(has(self, id, 50000));
    ops->close(self);
}
END_TEST

static void flip(const char *path, uint64_t at)
{
    unsigned char byte;
    int fd = open(path, O_RDWR);
    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= (unsigned char)(1 << at % 8);
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static uint64_t size_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void is_refused(uint64_t capacity, const char *why)
{
    const mr_store_conf conf = {.capacity = capacity};
    void *self;
    mr_err err = {0};
    ck_assert_int_eq(ops->open(&self, mr_host_table(box), &conf, &err), MR_E_IO);
    ck_assert_msg(strstr(err.text, why) && strstr(err.text, dir), "%s", err.text);
}

/* Any byte of the log that is another is noticed; half a line at its end is one that was never written. */
START_TEST(a_damaged_log)
{
    void *self = opened();
    for (mr_id id = 1; id <= 6; id++)
        put(self, id, 500 * id);
    for (mr_id id = 1; id <= 6; id += 4)
        ck_assert_int_eq(ops->remove(self, KEPT(id)), MR_OK);
    ops->close(self);
    uint64_t size = size_of(log_path);
    for (uint64_t at = 0; at < size; at++) {
        flip(log_path, at);
        is_refused(8 * MB, "log is damaged");
        flip(log_path, at);
    }
    ck_assert_int_eq(truncate(log_path, (off_t)size - 1), 0); /* of: 5 was removed */
    for (int turn = 0; turn < 2; turn++) {
        self = opened();
        for (mr_id id = 1; id <= 6; id++)
            ck_assert_int_eq(has(self, id, 500 * id), turn ? id != 1 && id != 5 : id != 1);
        if (!turn)
            ck_assert_int_eq(ops->remove(self, KEPT(5)), MR_OK);
        ops->close(self);
    }
    is_refused(8 * MB - 4096, "a larger capacity");
    unlink(bytes_path);
    is_refused(2048, "log is damaged");
    unlink(bytes_path);
    ck_assert_int_eq(symlink("/tmp/nothing", bytes_path), 0);
    is_refused(8 * MB, "symbolic links");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store-file");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, sealed_objects_are_found_again);
    tcase_add_test(t, also_after_a_kill);
    tcase_add_test(t, a_damaged_log);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
