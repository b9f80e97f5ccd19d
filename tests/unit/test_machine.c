/* test_machine.c: memory and its limits, on made-up machines. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/machine.h"
#include "run_suite.h"

static char root[64];

static void root_make(void)
{
    snprintf(root, sizeof(root), "/tmp/miniray-test-machine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void root_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

static void file(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    FILE *f = fopen(whole, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

START_TEST(nothing_is_known)
{
    ck_assert_uint_gt(mr_machine_available(root), 0);
    file("/proc/meminfo", "MemTotal:  2000 kB\nMemFree: 5 kB\nMemAvailable:     1000 kB\n");
    ck_assert_uint_eq(mr_machine_available(root), 1000 * 1024);
    file("/proc/self/cgroup", "garbage\n\n0\n:\n1:cpu:/x\n7:memorypressure:/x\n");
    ck_assert_uint_eq(mr_machine_available(root), 1000 * 1024);
    ck_assert_uint_eq(mr_machine_memory(root), 2000 * 1024);
}
END_TEST

START_TEST(version_2)
{
    file("/proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n");
    file("/proc/self/cgroup", "0::/a/b/c\n");
    ck_assert_uint_eq(mr_machine_available(root), 1000000 * UINT64_C(1024));
    file("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    file("/sys/fs/cgroup/a/b/c/memory.current", "500\n");
    ck_assert_uint_eq(mr_machine_available(root), 1000000 * UINT64_C(1024));
    ck_assert_uint_eq(mr_machine_memory(root), 2000000 * UINT64_C(1024));
    file("/sys/fs/cgroup/a/memory.max", "100000\n"); /* an ancestor's limit counts */
    file("/sys/fs/cgroup/a/memory.current", "30000\n");
    ck_assert_uint_eq(mr_machine_available(root), 70000);
    ck_assert_uint_eq(mr_machine_memory(root), 100000);
    file("/sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 9000\nactive_file 1000\nx_inactive_file 7\n");
    ck_assert_uint_eq(mr_machine_available(root), 80000);
    file("/sys/fs/cgroup/a/b/c/memory.max", "600\n"); /* the nearest is the tightest */
    ck_assert_uint_eq(mr_machine_available(root), 100);
    ck_assert_uint_eq(mr_machine_memory(root), 600);
    file("/sys/fs/cgroup/a/b/c/memory.current", "700\n");
    ck_assert_uint_eq(mr_machine_available(root), 0);
}
END_TEST

START_TEST(version_1)
{
    file("/proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n");
    file("/proc/self/cgroup", "4:cpu,memory:/job/part\n0::/\n");
    file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n");
    ck_assert_uint_eq(mr_machine_available(root), 1000000 * UINT64_C(1024));
    file("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "50000\n");
    file("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "20000\n");
    file("/sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 5000\n");
    ck_assert_uint_eq(mr_machine_available(root), 35000);
    ck_assert_uint_eq(mr_machine_memory(root), 50000);
}
END_TEST

/* In a container the path is the host's, and the mount shows the container's own group as its root. */
START_TEST(container)
{
    file("/proc/meminfo", "MemAvailable: 1000000 kB\n");
    file("/proc/self/cgroup", "0::/docker/0123\n");
    file("/sys/fs/cgroup/memory.max", "4000\n");
    file("/sys/fs/cgroup/memory.current", "1000\n");
    ck_assert_uint_eq(mr_machine_available(root), 3000);
    ck_assert_uint_eq(mr_machine_memory(root), 4000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("machine");
    TCase *t = tcase_create("memory");
    tcase_add_checked_fixture(t, root_make, root_remove);
    tcase_add_test(t, nothing_is_known);
    tcase_add_test(t, version_2);
    tcase_add_test(t, version_1);
    tcase_add_test(t, container);
    suite_add_tcase(s, t);
    return run_suite(s);
}
