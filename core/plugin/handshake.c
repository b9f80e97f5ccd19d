/* handshake.c: owns the checks between "a file was found" and "its ops may be called", and their messages.
 *
 * Each check has a message of its own that names the file, gives both values where there are two, and says what to do.
 * It does not know where plugins are looked for (loader.c) nor what an instance is (host.c).  No lock, no state.
 */
#include "plugin/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

const char *mr_plugin_kind_name(uint32_t kind)
{
    return kind == MR_KIND_STORE ? "store" : kind == MR_KIND_SCHED ? "sched" : "?";
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whoever can write the file runs code as this user.  Group-writable is let pass for the process' own group, because a
 * umask of 002 with a group per user is a common default. */
static mr_status check_writers(const struct stat *st, const char *path, mr_err *err)
{
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return mr_err_set(err, MR_E_PLUGIN,
                          "%s: belongs to user %u, who could change what miniray runs as user %u; "
                          "copy it or `chown` it",
                          path, (unsigned)st->st_uid, (unsigned)geteuid());
    if (st->st_mode & S_IWOTH)
        return mr_err_set(err, MR_E_PLUGIN, "%s: every user can write this file (mode %04o); run `chmod go-w` on it",
                          path, (unsigned)(st->st_mode & 07777));
    if ((st->st_mode & S_IWGRP) && st->st_gid != getegid())
        return mr_err_set(err, MR_E_PLUGIN, "%s: group %u can write this file (mode %04o); run `chmod go-w` on it",
                          path, (unsigned)st->st_gid, (unsigned)(st->st_mode & 07777));
    return MR_OK;
}

/* A file in a folder that others can write can be replaced by them, unless the folder is sticky (as /tmp is). */
static mr_status check_folder(const char *path, mr_err *err)
{
    char folder[4096];
    struct stat st;
    const char *slash = strrchr(path, '/');
    int n = slash && slash != path ? (int)(slash - path) : 1;
    if (!slash || snprintf(folder, sizeof(folder), "%.*s", n, path) >= (int)sizeof(folder))
        return mr_err_set(err, MR_E_PLUGIN, "%s: not an absolute path of less than %zu bytes", path, sizeof(folder));
    if (stat(folder, &st))
        return mr_err_set(err, MR_E_PLUGIN, "%s: can not look at its folder: %s", path, strerror(errno));
    if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        return mr_err_set(err, MR_E_PLUGIN,
                          "%s: every user can write the folder it is in (mode %04o), so could replace it; "
                          "run `chmod go-w %s`",
                          path, (unsigned)(st.st_mode & 07777), folder);
    return MR_OK;
}

/* How a file begins that dlopen() takes here. */
#ifdef __APPLE__
#define MARK_NAME "Mach-O"
static const unsigned char marks[][4] = {{0xcf, 0xfa, 0xed, 0xfe}, {0xca, 0xfe, 0xba, 0xbe}}; /* for one CPU, several */
#else
#define MARK_NAME "ELF"
static const unsigned char marks[][4] = {{0x7f, 'E', 'L', 'F'}};
#endif

static bool is_library(int fd)
{
    unsigned char begin[sizeof marks[0]];
    bool found = false;
    if (pread(fd, begin, sizeof begin, 0) != (ssize_t)sizeof begin)
        return false;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        found |= memcmp(begin, marks[i], sizeof begin) == 0;
    return found;
}

mr_status mr_handshake_file(const char *path, mr_err *err)
{
    struct stat st;
    mr_status status = MR_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return mr_err_set(err, errno == ENOENT ? MR_E_NOTFOUND : MR_E_PLUGIN, "%s: can not be opened: %s", path,
                          strerror(errno));
    if (fstat(fd, &st))
        status = mr_err_set(err, MR_E_PLUGIN, "%s: can not be looked at: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        status = mr_err_set(err, MR_E_PLUGIN, "%s: is not a file", path);
    else if (!(status = check_writers(&st, path, err)) && !(status = check_folder(path, err))) {
        size_t len = strlen(path);
        bool lua = len > 4 && strcmp(path + len - 4, ".lua") == 0;
        if (!is_library(fd))
            status = mr_err_set(
                err, MR_E_PLUGIN, "%s: is not a shared library (it does not begin with the " MARK_NAME " mark); %s",
                path, lua ? "a policy in Lua is named by [sched] policy =" : "build it with `cc -shared -fPIC`");
    }
    close(fd);
    return status;
}

/* -- the table -------------------------------------------------------------------------------------------------- */

static mr_status check_header(const mr_plugin *p, const char *path, uint32_t kind, mr_err *err)
{
    if (p->magic != MR_PLUGIN_MAGIC)
        return mr_err_set(err, MR_E_ABI,
                          "%s: magic is 0x%08x, a miniray plugin has 0x%08x; define the entry with MR_PLUGIN", path,
                          p->magic, MR_PLUGIN_MAGIC);
    if (p->abi_major != MR_ABI_MAJOR)
        return mr_err_set(err, MR_E_ABI, "%s: built for plugin ABI %u.%u, this core has %u.%u; rebuild the plugin",
                          path, p->abi_major, p->abi_minor, MR_ABI_MAJOR, MR_ABI_MINOR);
    if (p->abi_minor > MR_ABI_MINOR)
        return mr_err_set(err, MR_E_ABI,
                          "%s: built for plugin ABI %u.%u, this core has only %u.%u; install a newer miniray, or "
                          "rebuild the plugin against this one",
                          path, p->abi_major, p->abi_minor, MR_ABI_MAJOR, MR_ABI_MINOR);
    if (p->kind != MR_KIND_STORE && p->kind != MR_KIND_SCHED)
        return mr_err_set(err, MR_E_ABI, "%s: kind is %u, known are %u (store) and %u (sched)", path, p->kind,
                          MR_KIND_STORE, MR_KIND_SCHED);
    if (kind && p->kind != kind)
        return mr_err_set(err, MR_E_ABI,
                          "%s: is a %s plugin, a %s plugin was asked for; name it under [%s] plugin =", path,
                          mr_plugin_kind_name(p->kind), mr_plugin_kind_name(kind), mr_plugin_kind_name(p->kind));
    return MR_OK;
}

static bool good_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return n > 0 && n <= 63 && name[n] == '\0';
}

/* The name decides the configuration section and what messages say, so it has to be the one that was asked for. */
static mr_status check_name(const mr_plugin *p, const char *path, mr_err *err)
{
    const char *file = base_name(path);
    size_t n;
    if (!p->name || !good_name(p->name))
        return mr_err_set(err, MR_E_ABI, "%s: its name is %s%s%s; 1 to 63 of a-z 0-9 _ - are needed", path,
                          p->name ? "\"" : "", p->name ? p->name : "NULL", p->name ? "\"" : "");
    if (!p->summary || !p->summary[0])
        return mr_err_set(err, MR_E_ABI, "%s: has no summary; give MR_PLUGIN one line that says what it does", path);
    if (strncmp(file, "lib", 3) == 0 && strncmp(p->name, "lib", 3) != 0)
        file += 3;
    n = strlen(p->name);
    if (strncmp(file, p->name, n) != 0 || strcmp(file + n, ".so") != 0)
        return mr_err_set(err, MR_E_ABI, "%s: calls itself \"%s\"; rename the file to %s.so", path, p->name, p->name);
    return MR_OK;
}

static mr_status check_key(const mr_plugin *p, uint32_t i, const char *path, mr_err *err)
{
    const mr_conf_key *key = &p->keys[i];
    int64_t whole;
    double number;
    mr_err why;
    if (!key->name || (strcmp(key->name, "*") != 0 && !good_name(key->name)))
        return mr_err_set(err, MR_E_PLUGIN,
                          "%s: configuration key %u is named %s%s%s; 1 to 63 of a-z 0-9 _ -, or \"*\"", path, i,
                          key->name ? "\"" : "", key->name ? key->name : "NULL", key->name ? "\"" : "");
    if ((unsigned)key->type > MR_CONF_PATH)
        return mr_err_set(err, MR_E_PLUGIN, "%s: configuration key \"%s\" has type %u; the last known is %u", path,
                          key->name, (unsigned)key->type, (unsigned)MR_CONF_PATH);
    for (uint32_t j = 0; j < i; j++)
        if (strcmp(key->name, p->keys[j].name) == 0)
            return mr_err_set(err, MR_E_PLUGIN, "%s: configuration key \"%s\" is declared twice (as %u and %u)", path,
                              key->name, j, i);
    if (!key->help || !key->help[0])
        return mr_err_set(err, MR_E_PLUGIN, "%s: configuration key \"%s\" has no help text", path, key->name);
    if (key->otherwise && key->type != MR_CONF_TEXT && key->type != MR_CONF_PATH &&
        mr_config_parse(key->type, key->otherwise, &whole, &number, &why))
        return mr_err_set(err, MR_E_PLUGIN, "%s: configuration key \"%s\": its default \"%s\" is refused: %s", path,
                          key->name, key->otherwise, why.text);
    return MR_OK;
}

static mr_status check_keys(const mr_plugin *p, const char *path, mr_err *err)
{
    mr_status status = MR_OK;
    if (p->n_keys && !p->keys)
        return mr_err_set(err, MR_E_PLUGIN, "%s: declares %u configuration keys and no table of them", path, p->n_keys);
    if (p->n_keys > 64)
        return mr_err_set(err, MR_E_PLUGIN, "%s: declares %u configuration keys, 64 are allowed", path, p->n_keys);
    for (uint32_t i = 0; i < p->n_keys && !status; i++)
        status = check_key(p, i, path, err);
    return status;
}

#define MUST_HAVE(op)                                                                                                  \
    if (!ops->op)                                                                                                      \
    return #op

/* The mandatory op that is missing, or NULL.  Every op of a scheduler is optional. */
static const char *missing_store_op(const mr_store_ops *ops)
{
    MUST_HAVE(open);
    MUST_HAVE(close);
    MUST_HAVE(create);
    MUST_HAVE(seal);
    MUST_HAVE(abort);
    MUST_HAVE(get);
    MUST_HAVE(release);
    MUST_HAVE(remove);
    return NULL;
}

/* Ops of which one is of no use without the others. */
static const char *half_store_group(const mr_store_ops *ops)
{
    if (!ops->share && !ops->attach && !ops->view && !ops->detach)
        return NULL;
    MUST_HAVE(share);
    MUST_HAVE(attach);
    MUST_HAVE(view);
    MUST_HAVE(detach);
    return NULL;
}

static mr_status copy_ops(const mr_plugin *p, const char *path, mr_loaded *out, mr_err *err)
{
    size_t own = p->kind == MR_KIND_STORE ? sizeof(mr_store_ops) : sizeof(mr_sched_ops);
    const char *missing = NULL;
    if (!p->ops)
        return mr_err_set(err, MR_E_ABI, "%s: has no op table (ops is NULL); give MR_PLUGIN one", path);
    if (p->ops_size > own)
        return mr_err_set(err, MR_E_ABI,
                          "%s: its op table has %u bytes, the one of ABI %u.%u has %zu; rebuild it with this core's "
                          "headers",
                          path, p->ops_size, MR_ABI_MAJOR, MR_ABI_MINOR, own);
    memset(&out->ops, 0, sizeof(out->ops));
    memcpy(&out->ops, p->ops, p->ops_size);
    if (p->kind == MR_KIND_STORE) {
        missing = missing_store_op(&out->ops.store);
        if (missing)
            return mr_err_set(err, MR_E_ABI,
                              "%s: the mandatory op `%s` is missing; a store has open, close, create, seal, abort, "
                              "get, release and remove",
                              path, missing);
        missing = half_store_group(&out->ops.store);
        if (missing)
            return mr_err_set(err, MR_E_ABI,
                              "%s: the op `%s` is missing; share, attach, view and detach come together or not at all",
                              path, missing);
    }
    return MR_OK;
}

mr_status mr_handshake_table(const mr_plugin *p, const char *path, uint32_t kind, mr_loaded *out, mr_err *err)
{
    mr_status status;
    if (!p)
        return mr_err_set(err, MR_E_ABI, "%s: %s() returned NULL; define the entry with MR_PLUGIN", path,
                          MR_PLUGIN_SYMBOL);
    if ((status = check_header(p, path, kind, err)) || (status = check_name(p, path, err)) ||
        (status = check_keys(p, path, err)) || (status = copy_ops(p, path, out, err)))
        return status;
    return MR_OK;
}
