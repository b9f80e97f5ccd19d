/* machine.c: reads /proc and /sys/fs/cgroup (version 2, and 1, and both mixed).  Keeps nothing, locks nothing.
 *
 * A file that is missing or says "max" is no limit: on an ordinary machine none of the group files exist.  Limits count
 * from this process's group up to the mount; a path that is not below the mount (a container that sees its own group as
 * the root) counts as the mount itself.
 */
#define _GNU_SOURCE
#include "base/machine.h"

#include <sched.h>
#include <stdbool.h>
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

/* The sum of the numbers after `keys` at the starts of lines of `folder`/`name`; keys: NULL at the end. */
static uint64_t read_fields(const char *folder, const char *name, const char *const *keys)
{
    char path[GROUP_MAX + 128], line[256];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        for (size_t i = 0; keys[i]; i++)
            if (strncmp(line, keys[i], strlen(keys[i])) == 0)
                sum += strtoull(line + strlen(keys[i]), NULL, 10);
    if (f)
        fclose(f);
    return sum;
}

/* -- control groups ----------------------------------------------------------------------------------------------- */

typedef void group_fn(const char *folder, bool v2, void *arg);

/* Calls each() for `group` below `mount`, and all above it up to the mount. */
static void each_above(const char *root, const char *mount, const char *group, bool v2, group_fn *each, void *arg)
{
    char folder[GROUP_MAX + 32];
    size_t top = strlen(root) + strlen(mount);
    if (snprintf(folder, sizeof folder, "%s%s%s", root, mount, group) >= (int)sizeof folder)
        return;
    for (;;) {
        each(folder, v2, arg);
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= top)
            break;
        *(slash > folder + top ? slash : folder + top) = 0;
    }
}

/* "cpu" is in "cpu,cpuacct". */
static bool controls(const char *list, const char *controller)
{
    size_t n = strlen(controller);
    for (const char *at = list; (at = strstr(at, controller)); at += n)
        if ((at == list || at[-1] == ',') && (at[n] == 0 || at[n] == ','))
            return true;
    return false;
}

/* Lines of /proc/self/cgroup are "number:controllers:path"; version 2 is "0::path". */
static void each_group(const char *root, const char *controller, group_fn *each, void *arg)
{
    char path[GROUP_MAX], line[GROUP_MAX], mount[64];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        if (!list[1]) {
            each_above(root, "/sys/fs/cgroup", group, true, each, arg);
            each_above(root, "/sys/fs/cgroup/unified", group, true, each, arg);
        } else if (controls(list + 1, controller)) {
            snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", controller);
            each_above(root, mount, group, false, each, arg);
        }
    }
    if (f)
        fclose(f);
}

/* -- CPUs --------------------------------------------------------------------------------------------------------- */

static void bound_cpus(const char *folder, bool v2, void *arg)
{
    uint64_t period = 0, quota = v2 ? read_number(folder, "cpu.max", &period) : UINT64_MAX;
    int *cpus = arg;
    if (!v2 && (quota = read_number(folder, "cpu.cfs_quota_us", NULL)) != UINT64_MAX)
        period = read_number(folder, "cpu.cfs_period_us", NULL);
    if (quota != UINT64_MAX && period && (quota + period - 1) / period < (uint64_t)*cpus)
        *cpus = (int)((quota + period - 1) / period);
}

int mr_machine_cpus(void)
{
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) /* else: more CPUs than the set can name */
        cpus = CPU_COUNT(&set);
#endif
    each_group("", "cpu", bound_cpus, &cpus);
    return cpus < 1 ? 1 : cpus;
}

/* -- memory ------------------------------------------------------------------------------------------------------- */

static uint64_t meminfo(const char *root, const char *key)
{
    const char *const keys[] = {key, NULL};
    char folder[GROUP_MAX];
    snprintf(folder, sizeof folder, "%s/proc", root);
    uint64_t kb = read_fields(folder, "meminfo", keys);
    return kb ? kb * 1024 : (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void bound_limit(const char *folder, bool v2, void *arg)
{
    uint64_t limit = read_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes", NULL), *bytes = arg;
    if (limit < *bytes)
        *bytes = limit;
}

/* What only caches files counts as room: the kernel takes it back before it kills. */
static void bound_room(const char *folder, bool v2, void *arg)
{
    static const char *const cache[] = {"inactive_file ", "active_file ", NULL};
    static const char *const cache_v1[] = {"total_inactive_file ", "total_active_file ", NULL};
    uint64_t limit = read_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes", NULL), *bytes = arg;
    uint64_t used = read_number(folder, v2 ? "memory.current" : "memory.usage_in_bytes", NULL);
    if (limit == UINT64_MAX || used == UINT64_MAX)
        return;
    uint64_t files = read_fields(folder, "memory.stat", v2 ? cache : cache_v1);
    used = used > files ? used - files : 0;
    uint64_t room = used < limit ? limit - used : 0;
    if (room < *bytes)
        *bytes = room;
}

uint64_t mr_machine_memory(const char *root)
{
    uint64_t bytes = meminfo(root, "MemTotal:");
    each_group(root, "memory", bound_limit, &bytes);
    return bytes;
}

uint64_t mr_machine_available(const char *root)
{
    uint64_t bytes = meminfo(root, "MemAvailable:");
    each_group(root, "memory", bound_room, &bytes);
    return bytes;
}
