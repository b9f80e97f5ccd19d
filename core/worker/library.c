/* library.c: owns the shared libraries of C tasks and the table of what they export.  Filled before the first task,
 * then only read; no lock.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "worker/worker.h"

enum { LIBRARIES_MAX = 64 };

static const mr_exports *loaded[LIBRARIES_MAX];
static size_t n_loaded;
static char looked[2048]; /* "a.so, b.so (cannot open: ...)" for messages */

static void note(const char *path, const char *why)
{
    size_t at = strlen(looked);
    snprintf(looked + at, sizeof(looked) - at, "%s%s%s%s%s", at ? ", " : "", path, why ? " (" : "", why ? why : "",
             why ? ")" : "");
    if (why)
        mr_log(MR_LOG_ERROR, "worker", "library %s: %s", path, why);
}

static const char *load(const char *path)
{
    /* Kept open for the life of the process: tasks are pointers into it. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return dlerror();
    const mr_exports *(*entry)(void);
    *(void **)&entry = dlsym(handle, "mr_exports_entry");
    if (!entry)
        return "it does not export mr_exports_entry()";
    const mr_exports *e = entry();
    if (!e || e->size < sizeof(mr_export))
        return "its mr_exports are of another version";
    if (n_loaded == LIBRARIES_MAX)
        return "too many libraries";
    loaded[n_loaded++] = e;
    return NULL;
}

void mr_library_load_all(const char *paths)
{
    while (paths && *paths) {
        size_t len = strcspn(paths, ":");
        char path[1024];
        if (len > 0 && len < sizeof(path)) {
            memcpy(path, paths, len);
            path[len] = '\0';
            note(path, load(path));
        } else if (len > 0) {
            note(paths, "the path is too long");
        }
        paths += len + (paths[len] == ':');
    }
}

static mr_task_fn find(const char *name)
{
    for (size_t i = 0; i < n_loaded; i++)
        for (uint32_t k = 0; k < loaded[i]->n; k++) {
            const mr_export *e =
                (const mr_export *)(const void *)((const char *)loaded[i]->v + (size_t)k * loaded[i]->size);
            if (strcmp(e->name, name) == 0)
                return e->run;
        }
    return NULL;
}

mr_status mr_library_find(const char *class, const char *entry, mr_task_fn *out, mr_err *err)
{
    char name[160];
    mr_task_fn fn = find(entry);
    if (!fn && class) {
        snprintf(name, sizeof(name), "%s.%s", class, entry);
        fn = find(name);
    }
    if (!fn)
        return mr_err_set(err, MR_E_NOTFOUND, "no C task is called \"%s\"; looked in %s", entry,
                          looked[0] ? looked : "nothing: [engine] libraries is empty");
    *out = fn;
    return MR_OK;
}
