/* loader.c: owns the search path and the dlopen handles.
 *
 * It does not know what the ops do, and gives no instance: whoever asked opens one, with a table from host.c.  A plugin
 * that was asked for and does not load is an error for the caller, never a reason to look further.  Start-up only: no
 * lock.
 */
#define _GNU_SOURCE
#include "plugin/loader.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/handshake.h"

#ifndef MINIRAY_PLUGIN_DIR
#define MINIRAY_PLUGIN_DIR "/usr/local/lib/miniray/plugins"
#endif

enum { MAX_FOLDERS = 32, MAX_FILES = 256 };

/* The folders of the search path, in order; `text` is what they point into. */
typedef struct folders {
    char *text[2];
    const char *at[MAX_FOLDERS];
    size_t n;
} folders;

static void add_folder(folders *f, const char *folder)
{
    if (!folder || !folder[0] || f->n == MAX_FOLDERS)
        return;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->at[i], folder) == 0)
            return;
    f->at[f->n++] = folder;
}

/* An empty element is skipped: in a shell's PATH it would mean the current folder, which nobody asked for. */
static mr_status add_list(folders *f, int which, const char *list)
{
    char *rest;
    if (!list || !list[0])
        return MR_OK;
    f->text[which] = strdup(list);
    if (!f->text[which])
        return MR_E_NOMEM;
    for (char *one = strtok_r(f->text[which], ":", &rest); one; one = strtok_r(NULL, ":", &rest))
        add_folder(f, one);
    return MR_OK;
}

static mr_status folders_init(folders *f, const mr_config *c, const char *own)
{
    *f = (folders){0};
    if (add_list(f, 0, getenv("MINIRAY_PLUGIN_PATH")) || (c && add_list(f, 1, mr_config_text(c, "plugins", "path")))) {
        free(f->text[0]);
        return MR_E_NOMEM;
    }
    add_folder(f, own);
    add_folder(f, MINIRAY_PLUGIN_DIR);
    return MR_OK;
}

static void folders_fini(folders *f)
{
    free(f->text[0]);
    free(f->text[1]);
}

static int is_so(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 3 && strcmp(e->d_name + n - 3, ".so") == 0;
}

/* -- one file --------------------------------------------------------------------------------------------------- */

static mr_status open_file(mr_loaded *l, uint32_t kind, mr_err *err)
{
    mr_plugin_entry_fn entry;
    mr_status status = mr_handshake_file(l->path, err);
    if (status)
        return status;
    dlerror();
    l->handle = dlopen(l->path, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle) {
        const char *why = dlerror();
        bool named = why && strncmp(why, l->path, strlen(l->path)) == 0;
        return mr_err_set(err, MR_E_PLUGIN, "%s%s%s", named ? "" : l->path, named ? "" : ": ",
                          why ? why : "can not be loaded");
    }
    /* POSIX gives functions as object pointers here; copying the bytes avoids a cast that ISO C forbids. */
    void *symbol = dlsym(l->handle, MR_PLUGIN_SYMBOL);
    if (!symbol)
        return mr_err_set(err, MR_E_ABI,
                          "%s: has no symbol %s, so it is no miniray plugin; define one with MR_PLUGIN "
                          "(miniray/plugin.h)",
                          l->path, MR_PLUGIN_SYMBOL);
    memcpy(&entry, &symbol, sizeof(entry));
    l->plugin = entry();
    return mr_handshake_table(l->plugin, l->path, kind, l, err);
}

static mr_status load_file(mr_loaded **out, const char *path, uint32_t kind, mr_err *err)
{
    mr_status status;
    mr_loaded *l = calloc(1, sizeof(*l));
    if (!l)
        return mr_err_set(err, MR_E_NOMEM, "%s: no memory to load it", path);
    l->path = realpath(path, NULL);
    if (!l->path)
        status = mr_err_set(err, errno == ENOENT ? MR_E_NOTFOUND : MR_E_PLUGIN, "%s: %s", path,
                            errno == ENOENT ? "no such file" : strerror(errno));
    else
        status = open_file(l, kind, err);
    if (status) {
        mr_plugin_unload(l);
        return status;
    }
    *out = l;
    return MR_OK;
}

void mr_plugin_unload(mr_loaded *l)
{
    if (!l)
        return;
    if (l->handle)
        dlclose(l->handle);
    free(l->path);
    free(l);
}

/* -- by name ---------------------------------------------------------------------------------------------------- */

static bool find_in(const char *folder, const char *name, char *path, size_t size)
{
    for (int lib = 0; lib < 2; lib++) {
        int n = snprintf(path, size, "%s/%s%s.so", folder, lib ? "lib" : "", name);
        if (n > 0 && (size_t)n < size && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Every name that could have been given, to find the one that was meant. */
static size_t known_names(const folders *f, char *(*out)[MAX_FILES])
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        DIR *dir = opendir(f->at[i]);
        struct dirent *e;
        while (dir && n < MAX_FILES && (e = readdir(dir))) {
            const char *start = strncmp(e->d_name, "lib", 3) == 0 ? e->d_name + 3 : e->d_name;
            if (is_so(e) && ((*out)[n] = strndup(start, strlen(start) - 3)))
                n++;
        }
        if (dir)
            closedir(dir);
    }
    return n;
}

static mr_status not_found(const folders *f, const char *name, mr_err *err)
{
    char *names[MAX_FILES], where[640] = "";
    size_t n = known_names(f, &names), used = 0;
    const char *near = mr_nearest(name, (const char *const *)names, n);
    for (size_t i = 0; i < f->n && used < sizeof(where); i++)
        used += (size_t)snprintf(where + used, sizeof(where) - used, "%s%s%s", i ? ", " : "", f->at[i],
                                 access(f->at[i], F_OK) ? " (no such folder)" : "");
    size_t length = strlen(name);
    mr_status status =
        length > 4 && !strcmp(name + length - 4, ".lua")
            ? mr_err_set(err, MR_E_NOTFOUND,
                         "%s is a policy in Lua, not a plugin: name it in [sched] policy, or with --policy", name)
            : mr_err_set(err, MR_E_NOTFOUND,
                         "no plugin \"%s\"%s%s%s; looked for %s.so and lib%s.so in %s; to add a folder, set "
                         "MINIRAY_PLUGIN_PATH or [plugins] path",
                         name, near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "", name, name, where);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    return status;
}

mr_status mr_plugin_load(mr_loaded **out, const char *name, mr_plugin_kind kind, const mr_config *c, const char *own,
                         mr_err *err)
{
    char path[PATH_MAX];
    folders f;
    mr_status status;
    size_t i = 0;
    if (!name || !name[0])
        return mr_err_set(err, MR_E_INVAL, "the name of a %s plugin is empty", mr_plugin_kind_name(kind));
    if (strchr(name, '/'))
        return load_file(out, name, kind, err);
    if (folders_init(&f, c, own))
        return mr_err_set(err, MR_E_NOMEM, "no memory to look for plugin \"%s\"", name);
    while (i < f.n && !find_in(f.at[i], name, path, sizeof(path)))
        i++;
    status = i < f.n ? load_file(out, path, kind, err) : not_found(&f, name, err);
    folders_fini(&f);
    return status;
}

/* The section that a plugin of the kind would have: "sched-lua" has [sched.lua]. */
static const char *short_name(const char *kind, const char *name)
{
    size_t n = strlen(kind);
    return strncmp(name, kind, n) == 0 && name[n] == '-' ? name + n + 1 : name;
}

static bool section_found(const folders *f, const char *kind, const char *name)
{
    char path[PATH_MAX], full[160];
    snprintf(full, sizeof(full), "%s-%s", kind, name);
    for (size_t i = 0; i < f->n; i++)
        if (find_in(f->at[i], full, path, sizeof(path)) || find_in(f->at[i], name, path, sizeof(path)))
            return true;
    return false;
}

static mr_status section_unknown(const folders *f, const mr_setting *s, const char *kind, mr_err *err)
{
    char *names[MAX_FILES], line[16] = "";
    const char *near[MAX_FILES], *other = strcmp(kind, "sched") == 0 ? "store" : "sched";
    size_t n = known_names(f, &names), n_near = 0;
    for (size_t i = 0; i < n; i++)
        if (short_name(other, names[i]) == names[i])
            near[n_near++] = short_name(kind, names[i]);
    const char *meant = mr_nearest(s->section + 6, near, n_near);
    if (s->source == MR_FROM_FILE)
        snprintf(line, sizeof(line), ":%d", s->line);
    mr_status status =
        mr_err_set(err, MR_E_CONFIG, "%s%s: %s: no such plugin%s%s%s%s%s", s->file ? s->file : "call", line, s->section,
                   meant ? "; did you mean " : "", meant ? kind : "", meant ? "." : "", meant ? meant : "",
                   meant ? "" : "; `miniray plugins list` lists those there are, and where it looks");
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    return status;
}

mr_status mr_plugin_check_sections(const mr_config *c, const char *own, const mr_plugin *const *loaded, size_t n,
                                   mr_err *err)
{
    folders f;
    mr_status status = MR_OK;
    const mr_setting *s;
    if (folders_init(&f, c, own))
        return mr_err_set(err, MR_E_NOMEM, "no memory to look for plugins");
    for (size_t i = 0; !status && (s = mr_config_at(c, i)); i++) {
        const char *kind = strncmp(s->section, "store.", 6) == 0   ? "store"
                           : strncmp(s->section, "sched.", 6) == 0 ? "sched"
                                                                   : NULL;
        bool known = !kind;
        for (size_t k = 0; !known && k < n; k++)
            known = strcmp(mr_plugin_kind_name(loaded[k]->kind), kind) == 0 &&
                    strcmp(short_name(kind, loaded[k]->name), s->section + 6) == 0;
        if (!known && !section_found(&f, kind, s->section + 6))
            status = section_unknown(&f, s, kind, err);
    }
    folders_fini(&f);
    return status;
}

static size_t paths_in(const char *folder, char ***out, size_t n)
{
    struct dirent **files = NULL;
    int found = scandir(folder, &files, is_so, alphasort);
    for (int i = 0; i < found; i++) {
        char **grown = realloc(*out, (n + 1) * sizeof(**out));
        if (grown) {
            *out = grown;
            if (asprintf(&grown[n], "%s/%s", folder, files[i]->d_name) >= 0)
                n++;
        }
        free(files[i]);
    }
    free(files);
    return n;
}

size_t mr_plugin_paths(const mr_config *c, const char *own, char ***out)
{
    folders f;
    size_t n = 0;
    *out = NULL;
    if (folders_init(&f, c, own))
        return 0;
    for (size_t i = 0; i < f.n; i++)
        n = paths_in(f.at[i], out, n);
    folders_fini(&f);
    return n;
}
