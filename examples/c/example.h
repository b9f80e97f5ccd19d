/* example.h: what the example drivers share: opening a session with the task library that lies beside the program, and
 * ending with a message when something fails. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <miniray/miniray.h>

static inline void must(mr_status status, const mr_err *err, const char *what)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, mr_strerror(status), err ? err->text : "");
    exit(1);
}

/* A session whose C workers know the tasks of NAME_tasks.so; "--config FILE" on the command line is honoured. */
static inline mr_session *example_open(const char *name, int argc, char **argv)
{
    char path[1024];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash + 1 : path, 60, "%s_tasks.so", name);

    mr_override libraries = {"engine", "libraries", path, "example_open()"};
    mr_open_args args = MR_OPEN_ARGS_INIT;
    args.overrides = &libraries;
    args.n_overrides = 1;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--config") == 0)
            args.config = argv[i + 1];
    mr_session *s;
    mr_err err;
    must(mr_open(&args, &s, &err), &err, "mr_open");
    return s;
}

static inline uint32_t example_task(mr_session *s, const char *entry)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err;
    uint32_t func;
    def.name = def.entry = entry;
    must(mr_define_func(s, &def, &func, &err), &err, entry);
    return func;
}

static inline mr_id example_submit(mr_session *s, uint32_t func, mr_id actor, const mr_args *args)
{
    mr_id id;
    mr_err err;
    must(mr_submit(s, func, actor, args, NULL, &id, &err), &err, "mr_submit");
    return id;
}

/* The value of `id`, an error value being the end of the program; the view stays until mr_decref(s, id). */
static inline mr_value example_get(mr_session *s, mr_id id)
{
    mr_value v;
    mr_err err;
    must(mr_get(s, &id, 1, -1, 0, &v, &err), &err, "mr_get");
    must(v.status, NULL, "the value");
    if (v.error) {
        const char *text = v.format == MR_FORMAT_FAULT ? (const char *)v.data + sizeof(mr_fault_value) : v.data;
        fprintf(stderr, "the task failed: %s\n", text);
        exit(1);
    }
    return v;
}

#endif
