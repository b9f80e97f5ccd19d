/* shm_headroom.c: reads /proc/meminfo and the cgroup files.
 *
 * In a memory cgroup no reservation fails cleanly: the process that passes the limit is killed.  So the store has to
 * look before it takes pages.  Owns nothing, keeps nothing: a call costs some ten small reads.
 */
#define _GNU_SOURCE
#include "shm_headroom.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* The names that the two versions of cgroups give to the same things. */
typedef struct version {
    const char *mounts[2]; /* where the hierarchy is mounted; the second for mixed systems */
    const char *limit, *usage, *inactive;
} version;
static const version v2 = {
    {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}, "memory.max", "memory.current", "inactive_file "};
static const version v1 = {
    {"/sys/fs/cgroup/memory", NULL}, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};

static bool read_text(const char *path, char *text, size_t size)
{
    ssize_t n, used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((n = read(fd, text + used, size - 1 - (size_t)used)) > 0)
        used += n;
    close(fd);
    text[used] = '\0';
    return used > 0;
}

static bool read_number(const char *folder, const char *file, uint64_t *out)
{
    char path[PATH_SIZE], text[64], *end;
    if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path) ||
        !read_text(path, text, sizeof(text)))
        return false;
    *out = strtoull(text, &end, 10);
    return end != text; /* "max": no limit */
}

/* The number after `key` at the start of a line; 0 if it is not there. */
static uint64_t field(const char *text, const char *key)
{
    for (const char *at = text; (at = strstr(at, key)); at++)
        if (at == text || at[-1] == '\n')
            return strtoull(at + strlen(key), NULL, 10);
    return 0;
}

static uint64_t room_in(const char *folder, const version *v)
{
    char path[PATH_SIZE], text[8192];
    uint64_t limit, usage, cache = 0;
    if (!read_number(folder, v->limit, &limit) || !read_number(folder, v->usage, &usage))
        return UINT64_MAX;
    if (snprintf(path, sizeof(path), "%s/memory.stat", folder) < (int)sizeof(path) &&
        read_text(path, text, sizeof(text)))
        cache = field(text, v->inactive);
    usage = usage > cache ? usage - cache : 0;
    return limit > usage ? limit - usage : 0;
}

/* From the group up to the mount.  A path that is not below the mount (a container that sees its own group as the root)
 * counts as the mount itself. */
static uint64_t room_up(const char *root, const version *v, const char *group)
{
    uint64_t least = UINT64_MAX;
    for (size_t m = 0; m < 2 && v->mounts[m]; m++) {
        char folder[PATH_SIZE];
        size_t top = strlen(root) + strlen(v->mounts[m]);
        if (snprintf(folder, sizeof(folder), "%s%s%s", root, v->mounts[m], group) >= (int)sizeof(folder))
            continue;
        for (;;) {
            uint64_t room = room_in(folder, v);
            char *slash = strrchr(folder, '/');
            least = room < least ? room : least;
            if (strlen(folder) <= top)
                break;
            *(slash > folder + top ? slash : folder + top) = '\0';
        }
    }
    return least;
}

uint64_t shm_headroom(const char *root)
{
    char path[PATH_SIZE], text[8192], *rest = NULL;
    uint64_t least = UINT64_MAX, room;
    snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    if (read_text(path, text, sizeof(text)) && (room = field(text, "MemAvailable:")))
        least = room * 1024;
    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    if (!read_text(path, text, sizeof(text)))
        return least;
    /* Lines are "number:controllers:path"; version 2 is "0::path". */
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        if (strcmp(controllers, ":") == 0)
            room = room_up(root, &v2, group);
        else if (strcmp(controllers, ":memory") == 0)
            room = room_up(root, &v1, group);
        else
            continue;
        least = room < least ? room : least;
    }
    return least;
}
