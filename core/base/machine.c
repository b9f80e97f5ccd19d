/* machine.c: reads /proc and /sys/fs/cgroup (version 2, and the flat layout of version 1).  Keeps nothing, locks
 * nothing.
 *
 * A file that is missing or says "max" is no limit: on an ordinary machine none of the group files exist.
 */
#define _GNU_SOURCE
#include "base/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GROUP_MAX = 1024 };

/* The first number in `folder`/`name`, or UINT64_MAX.  `second` (may be NULL) gets the number after it. */
static uint64_t read_number(const char *folder, const char *name, uint64_t *second)
{
    char path[GROUP_MAX + 128], text[128];
    uint64_t value = UINT64_MAX;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return value;
    if (fgets(text, sizeof text, f) && text[0] >= '0' && text[0] <= '9') {
        char *end;
        value = strtoull(text, &end, 10);
        if (second)
            *second = strtoull(end, NULL, 10);
    }
    fclose(f);
    return value;
}

/* Calls each() for this process's group and all above it. */
static void each_group(void (*each)(const char *folder, void *arg), void *arg)
{
    char line[GROUP_MAX], folder[GROUP_MAX + 32];
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", line + 3);
        for (;;) {
            each(folder, arg);
            char *slash = strrchr(folder, '/');
            if (!slash || strcmp(folder, "/sys/fs/cgroup") == 0)
                break;
            *slash = 0;
        }
    }
    fclose(f);
}

static void bound_cpus(const char *folder, void *arg)
{
    uint64_t period = 0, quota = read_number(folder, "cpu.max", &period);
    int *cpus = arg;
    if (quota != UINT64_MAX && period && (quota + period - 1) / period < (uint64_t)*cpus)
        *cpus = (int)((quota + period - 1) / period);
}

int mr_machine_cpus(void)
{
    cpu_set_t set;
    int cpus = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cpus = CPU_COUNT(&set);
    else /* more CPUs than the set can name */
        cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    each_group(bound_cpus, &cpus);
    return cpus < 1 ? 1 : cpus;
}

static uint64_t meminfo(const char *key)
{
    char line[128];
    uint64_t kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f)
        return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) {
            kb = strtoull(line + strlen(key), NULL, 10);
            break;
        }
    fclose(f);
    return kb * 1024;
}

static void bound_limit(const char *folder, void *arg)
{
    uint64_t limit = read_number(folder, "memory.max", NULL);
    uint64_t *bytes = arg;
    if (limit < *bytes)
        *bytes = limit;
}

static void bound_room(const char *folder, void *arg)
{
    uint64_t limit = read_number(folder, "memory.max", NULL), used = read_number(folder, "memory.current", NULL);
    uint64_t *bytes = arg;
    if (limit == UINT64_MAX || used == UINT64_MAX)
        return;
    uint64_t room = used < limit ? limit - used : 0;
    if (room < *bytes)
        *bytes = room;
}

uint64_t mr_machine_memory(void)
{
    uint64_t bytes = meminfo("MemTotal:"), old = read_number("/sys/fs/cgroup/memory", "memory.limit_in_bytes", NULL);
    if (old < bytes)
        bytes = old;
    each_group(bound_limit, &bytes);
    return bytes;
}

uint64_t mr_machine_available(void)
{
    uint64_t bytes = meminfo("MemAvailable:");
    uint64_t limit = read_number("/sys/fs/cgroup/memory", "memory.limit_in_bytes", NULL);
    uint64_t used = read_number("/sys/fs/cgroup/memory", "memory.usage_in_bytes", NULL);
    if (limit != UINT64_MAX && used != UINT64_MAX && (used < limit ? limit - used : 0) < bytes)
        bytes = used < limit ? limit - used : 0;
    each_group(bound_room, &bytes);
    return bytes;
}
