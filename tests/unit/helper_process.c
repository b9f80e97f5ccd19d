/* helper_process.c: see helper_process.h. */
#include "helper_process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

mr_session *process_open(const char *store, const mr_override *extra)
{
    static char library[4096];
    mr_err err = {0};
    mr_open_args args = MR_OPEN_ARGS_INIT;
    mr_session *s = NULL;
    const char *build = getenv("MRTEST_BUILD_DIR");
    if (!build) {
        fprintf(stderr, "MRTEST_BUILD_DIR is not set: run this test through ctest\n");
        abort();
    }
    snprintf(library, sizeof(library), "%s/tests/tasks_process.so", build);
    mr_override all[16] = {{"engine", "libraries", library, "test"},
                           {"store", "plugin", store, "test"},
                           {"store", "capacity", "64M", "test"},
                           {"node", "cpus", "2", "test"}};
    size_t n = 4;
    for (; extra && extra->section && n < 16; extra++)
        all[n++] = *extra;
    args.overrides = all;
    args.n_overrides = n;
    args.home = build;
    mr_status status = mr_open(&args, &s, &err);
    ck_assert_msg(!status, "open: %s", err.text);
    return s;
}

uint32_t process_define(mr_session *s, mr_func_def *def, const char *name)
{
    mr_err err = {0};
    uint32_t func = 0;
    def->name = def->entry = name;
    mr_status status = mr_define_func(s, def, &func, &err);
    ck_assert_msg(!status, "define %s: %s", name, err.text);
    return func;
}

uint32_t process_func(mr_session *s, const char *name)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    return process_define(s, &def, name);
}

mr_id process_submit(mr_session *s, uint32_t func, int64_t x, mr_id dep)
{
    mr_err err = {0};
    mr_id id = 0;
    mr_args args = {.data = &x, .len = sizeof(x), .deps = &dep, .n_deps = dep != 0};
    mr_status status = mr_submit(s, func, 0, &args, NULL, &id, &err);
    ck_assert_msg(!status, "submit: %s", err.text);
    return id;
}

mr_value process_value(mr_session *s, mr_id id)
{
    mr_err err = {0};
    mr_value v = {0};
    mr_status status = mr_get(s, &id, 1, SECONDS(60), 0, &v, &err);
    ck_assert_msg(!status, "get: %d %s", status, err.text);
    return v;
}

int64_t process_number(mr_session *s, mr_id id)
{
    mr_value v = process_value(s, id);
    int64_t x = 0;
    ck_assert_msg(!v.error, "an error: %s",
                  (const char *)v.data + (v.format == MR_FORMAT_FAULT ? sizeof(mr_fault_value) : 0));
    ck_assert_uint_ge(v.len, sizeof(x));
    memcpy(&x, v.data, sizeof(x));
    mr_decref(s, v.id);
    mr_decref(s, id);
    return x;
}

static int parent_of(int pid, char *state)
{
    char path[64];
    int parent = -1;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    if (fscanf(f, "%*d (%*[^)]) %c %d", state, &parent) != 2)
        parent = -1;
    fclose(f);
    return parent;
}

int process_children(int root)
{
    int count = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char state = 0;
        int pid = atoi(e->d_name);
        for (int up = pid > 0 ? parent_of(pid, &state) : -1; up > 1; up = parent_of(up, &(char){0})) {
            if (up == root) {
                count += state != 'Z';
                break;
            }
        }
    }
    if (d)
        closedir(d);
    return count;
}

int process_fds(void)
{
    int count = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        count++;
    if (d)
        closedir(d);
    return count;
}

int process_gone(int pid)
{
    for (int i = 0; i < 5000; i++) {
        char state = 0;
        if (parent_of(pid, &state) < 0 || state == 'Z')
            return 1;
        usleep(1000);
    }
    return 0;
}

int process_child_of(int parent)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}
