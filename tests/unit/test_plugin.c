/* test_plugin.c: the loader, its messages, and the host table.
 *
 * MINIRAY_BADPLUGINS is the folder of tests/badplugins, built.  "@" in an expected message stands for the file's path.
 */
#define _GNU_SOURCE
#include <check.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/loader.h"
#include "run_suite.h"

static char folder[PATH_MAX]; /* tests/badplugins, built; its real path */
static char scratch[64];      /* a folder of this test's own */

/* Formatted text, good until the fourth call after this one. */
static const char *say(const char *fmt, ...) MR_PRINTF(1, 2);
static const char *say(const char *fmt, ...)
{
    static char texts[4][8192];
    static unsigned next;
    char *text = texts[next++ % 4];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(texts[0]), fmt, args);
    va_end(args);
    return text;
}

static const char *at(const char *where, const char *file)
{
    return say("%s/%s", where, file);
}

static void expand(char *out, size_t size, const char *message, const char *path)
{
    size_t n = 0;
    for (; *message && n + 1 < size; message++)
        n += *message == '@' ? (size_t)snprintf(out + n, size - n, "%s", path)
                             : (size_t)snprintf(out + n, size - n, "%c", *message);
}

static void refused(const char *path, mr_plugin_kind kind, mr_status want, const char *message)
{
    char text[16384];
    mr_loaded *l = (mr_loaded *)&text;
    mr_err err = {0};
    mr_status status = mr_plugin_load(&l, path, kind, NULL, NULL, &err);
    expand(text, sizeof(text), message, path);
    ck_assert_msg(l == (mr_loaded *)&text, "%s: the result was touched", path);
    ck_assert_str_eq(err.text, text);
    ck_assert_str_eq(mr_status_name(status), mr_status_name(want));
    ck_assert_int_eq(err.status, want);
}

typedef struct bad {
    const char *file;
    mr_plugin_kind kind;
    mr_status status;
    const char *message;
} bad;

static const bad bads[] = {
    {"no-symbol.so", MR_KIND_STORE, MR_E_ABI,
     "@: has no symbol mr_plugin_entry, so it is no miniray plugin; define one with MR_PLUGIN (miniray/plugin.h)"},
    {"entry-null.so", MR_KIND_STORE, MR_E_ABI, "@: mr_plugin_entry() returned NULL; define the entry with MR_PLUGIN"},
    {"wrong-magic.so", MR_KIND_STORE, MR_E_ABI,
     "@: magic is 0x12345678, a miniray plugin has 0x4d525047; define the entry with MR_PLUGIN"},
    {"other-major.so", MR_KIND_STORE, MR_E_ABI, "@: built for plugin ABI 7.3, this core has 1.1; rebuild the plugin"},
    {"newer-minor.so", MR_KIND_STORE, MR_E_ABI,
     "@: built for plugin ABI 1.2, this core has only 1.1; install a newer miniray, or rebuild the plugin against this "
     "one"},
    {"unknown-kind.so", MR_KIND_STORE, MR_E_ABI, "@: kind is 9, known are 1 (store) and 2 (sched)"},
    {"a-sched.so", MR_KIND_STORE, MR_E_ABI,
     "@: is a sched plugin, a store plugin was asked for; name it under [sched] plugin ="},
    {"short-ops.so", MR_KIND_SCHED, MR_E_ABI,
     "@: is a store plugin, a sched plugin was asked for; name it under [store] plugin ="},
    {"name-mismatch.so", MR_KIND_STORE, MR_E_ABI,
     "@: calls itself \"some-other-name\"; rename the file to some-other-name.so"},
    {"no-name.so", MR_KIND_STORE, MR_E_ABI, "@: its name is NULL; 1 to 63 of a-z 0-9 _ - are needed"},
    {"bad-name.so", MR_KIND_STORE, MR_E_ABI, "@: its name is \"Bad Name!\"; 1 to 63 of a-z 0-9 _ - are needed"},
    {"no-summary.so", MR_KIND_STORE, MR_E_ABI, "@: has no summary; give MR_PLUGIN one line that says what it does"},
    {"ops-null.so", MR_KIND_STORE, MR_E_ABI, "@: has no op table (ops is NULL); give MR_PLUGIN one"},
    {"large-ops.so", MR_KIND_STORE, MR_E_ABI,
     "@: its op table has 192 bytes, the one of ABI 1.1 has 128; rebuild it with this core's headers"},
    {"missing-op.so", MR_KIND_STORE, MR_E_ABI,
     "@: the mandatory op `seal` is missing; a store has open, close, create, seal, abort, get, release and remove"},
    {"half-share.so", MR_KIND_STORE, MR_E_ABI,
     "@: the op `attach` is missing; share, attach, view and detach come together or not at all"},
    {"undefined-symbol.so", MR_KIND_STORE, MR_E_PLUGIN, "@: undefined symbol: miniray_nobody_has_this"},
    {"keys-null.so", MR_KIND_STORE, MR_E_PLUGIN, "@: declares 3 configuration keys and no table of them"},
    {"keys-many.so", MR_KIND_STORE, MR_E_PLUGIN, "@: declares 1000 configuration keys, 64 are allowed"},
    {"keys-duplicate.so", MR_KIND_STORE, MR_E_PLUGIN, "@: configuration key \"size\" is declared twice (as 0 and 2)"},
    {"keys-bad-name.so", MR_KIND_STORE, MR_E_PLUGIN,
     "@: configuration key 0 is named \"two words\"; 1 to 63 of a-z 0-9 _ -, or \"*\""},
    {"keys-no-name.so", MR_KIND_STORE, MR_E_PLUGIN,
     "@: configuration key 0 is named NULL; 1 to 63 of a-z 0-9 _ -, or \"*\""},
    {"keys-bad-type.so", MR_KIND_STORE, MR_E_PLUGIN, "@: configuration key \"size\" has type 99; the last known is 6"},
    {"keys-no-help.so", MR_KIND_STORE, MR_E_PLUGIN, "@: configuration key \"size\" has no help text"},
};

START_TEST(broken_plugins)
{
    const char *path = at(folder, bads[_i].file);
    refused(path, bads[_i].kind, bads[_i].status, bads[_i].message);
}
END_TEST

START_TEST(bad_default_says_why)
{

    mr_loaded *l;
    mr_err err = {0}, why = {0};
    int64_t whole;
    double number;
    const char *path = at(folder, "keys-bad-default.so");
    ck_assert_int_eq(mr_config_parse(MR_CONF_BYTES, "twelve", &whole, &number, &why), MR_E_CONFIG);
    ck_assert_int_eq(mr_plugin_load(&l, path, MR_KIND_STORE, NULL, NULL, &err), MR_E_PLUGIN);
    ck_assert_str_eq(err.text,
                     say("%s: configuration key \"size\": its default \"twelve\" is refused: %s", path, why.text));
}
END_TEST

/* -- files ------------------------------------------------------------------------------------------------------ */

static void scratch_make(void)
{
    snprintf(scratch, sizeof(scratch), "/tmp/miniray-test-plugin-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static void scratch_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
    ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void copy_file(const char *from, const char *to)
{
    char block[65536];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    size_t n;
    ck_assert(in && out);
    while ((n = fread(block, 1, sizeof(block), in)) > 0)
        ck_assert_uint_eq(fwrite(block, 1, n, out), n);
    fclose(in);
    fclose(out);
    ck_assert_int_eq(chmod(to, 0755), 0);
}

#define NOT_ELF "@: is not a shared library (it does not begin with the ELF mark); build it with `cc -shared -fPIC`"

START_TEST(not_a_library)
{
    const char *path = at(scratch, "text.so");
    write_file(path, "int main(void) { return 0; }\n", 0644);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, NOT_ELF);
    write_file(path, "", 0644);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, NOT_ELF);
    write_file(path, "\x7f", 0644);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, NOT_ELF);
    path = at(scratch, "folder.so");
    ck_assert_int_eq(mkdir(path, 0755), 0);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, "@: is not a file");
    path = at(scratch, "pipe.so");
    ck_assert_int_eq(mkfifo(path, 0644), 0);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, "@: is not a file");
    path = at(scratch, "nothing.so");
    refused(path, MR_KIND_STORE, MR_E_NOTFOUND, "@: no such file");
}
END_TEST

START_TEST(damaged_library)
{
    mr_loaded *l;
    mr_err err = {0};
    const char *path = at(scratch, "cut.so");
    write_file(path,
               "\x7f"
               "ELF and then nothing that the dynamic linker could use",
               0644);
    ck_assert_int_eq(mr_plugin_load(&l, path, MR_KIND_STORE, NULL, NULL, &err), MR_E_PLUGIN);
    ck_assert_msg(strncmp(err.text, path, strlen(path)) == 0, "%s", err.text);
}
END_TEST

START_TEST(writable_by_others)
{
    mr_loaded *l = NULL;
    mr_err err = {0};
    const char *path = at(scratch, "short-ops.so");
    copy_file(at(folder, "short-ops.so"), path);
    ck_assert_int_eq(mr_plugin_load(&l, path, MR_KIND_STORE, NULL, NULL, &err), MR_OK);
    mr_plugin_unload(l);
    ck_assert_int_eq(chmod(path, 0666), 0);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, "@: every user can write this file (mode 0666); run `chmod go-w` on it");
    ck_assert_int_eq(chmod(path, 0755), 0);
    ck_assert_int_eq(chmod(scratch, 0777), 0);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN,
            say("@: every user can write the folder it is in (mode 0777), so could replace it; run `chmod go-w %s`",
                scratch));
    ck_assert_int_eq(chmod(scratch, 01777), 0); /* sticky, like /tmp */
    ck_assert_int_eq(mr_plugin_load(&l, path, MR_KIND_STORE, NULL, NULL, &err), MR_OK);
    mr_plugin_unload(l);
}
END_TEST

/* Only root can give files away. */
START_TEST(owned_by_others)
{
    if (geteuid() != 0)
        return;
    const char *path = at(scratch, "short-ops.so");
    copy_file(at(folder, "short-ops.so"), path);
    ck_assert_int_eq(chown(path, 12345, getegid()), 0);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN,
            "@: belongs to user 12345, who could change what miniray runs as user 0; copy it or `chown` it");
    ck_assert_int_eq(chown(path, 0, 12345), 0);
    ck_assert_int_eq(chmod(path, 0775), 0);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, "@: group 12345 can write this file (mode 0775); run `chmod go-w` on it");
}
END_TEST

/* -- the search path -------------------------------------------------------------------------------------------- */

START_TEST(by_name)
{
    mr_loaded *l;
    mr_err err;
    setenv("MINIRAY_PLUGIN_PATH", "/nowhere/at/all::", 1);
    ck_assert_int_eq(mr_plugin_load(&l, "short-ops", MR_KIND_STORE, NULL, folder, &err), MR_OK);
    ck_assert_str_eq(l->path, at(folder, "short-ops.so"));
    ck_assert_str_eq(l->plugin->name, "short-ops");
    mr_plugin_unload(l);

    /* MINIRAY_PLUGIN_PATH comes before the package's own folder, and libNAME.so will do. */
    const char *path = at(scratch, "libshort-ops.so");
    copy_file(at(folder, "short-ops.so"), path);
    setenv("MINIRAY_PLUGIN_PATH", scratch, 1);
    ck_assert_int_eq(mr_plugin_load(&l, "short-ops", MR_KIND_STORE, NULL, folder, &err), MR_OK);
    ck_assert_str_eq(l->path, path);
    mr_plugin_unload(l);

    /* A broken file that comes first is an error, not a reason to take the next. */
    write_file(path, "broken", 0644);
    refused(path, MR_KIND_STORE, MR_E_PLUGIN, NOT_ELF);
    ck_assert_int_eq(mr_plugin_load(&l, "short-ops", MR_KIND_STORE, NULL, folder, &err), MR_E_PLUGIN);
}
END_TEST

START_TEST(by_configuration)
{
    mr_loaded *l;
    mr_config *c;
    mr_err err;
    setenv("MINIRAY_PLUGIN_PATH", "", 1);
    ck_assert_int_eq(mr_config_new(&c), MR_OK);
    ck_assert_int_eq(mr_config_set(c, "plugins", "path", folder, "test", &err), MR_OK);
    ck_assert_int_eq(mr_plugin_load(&l, "short-ops", 0, c, NULL, &err), MR_OK);
    ck_assert_str_eq(l->path, at(folder, "short-ops.so"));
    mr_plugin_unload(l);
    mr_config_free(c);
}
END_TEST

START_TEST(not_found_says_where)
{
    mr_loaded *l;
    mr_err err;
    setenv("MINIRAY_PLUGIN_PATH", "/nowhere/at/all", 1);
    ck_assert_int_eq(mr_plugin_load(&l, "short-opps", MR_KIND_STORE, NULL, folder, &err), MR_E_NOTFOUND);
    const char *want =
        say("no plugin \"short-opps\", did you mean \"short-ops\"; looked for short-opps.so and libshort-opps.so in "
            "/nowhere/at/all (no such folder), %s",
            folder);
    ck_assert_msg(strncmp(err.text, want, strlen(want)) == 0, "%s", err.text);
    ck_assert_ptr_nonnull(strstr(err.text, "; to add a folder, set MINIRAY_PLUGIN_PATH or [plugins] path"));
    ck_assert_int_eq(mr_plugin_load(&l, "", MR_KIND_STORE, NULL, folder, &err), MR_E_INVAL);
    ck_assert_str_eq(err.text, "the name of a store plugin is empty");
}
END_TEST

/* An older op table is copied as far as it goes; the rest is absent. */
START_TEST(older_table)
{
    mr_loaded *l;
    mr_err err;
    ck_assert_int_eq(mr_plugin_load(&l, at(folder, "short-ops.so"), MR_KIND_STORE, NULL, NULL, &err), MR_OK);
    ck_assert(l->ops.store.open && l->ops.store.remove);
    ck_assert(!l->ops.store.populate && !l->ops.store.split && !l->ops.store.share && !l->ops.store.attach);
    ck_assert(!l->ops.store.view && !l->ops.store.detach && !l->ops.store.stats && !l->ops.store.trim);
    mr_plugin_unload(l);
}
END_TEST

START_TEST(loads_twice)
{
    mr_loaded *a, *b;
    mr_err err;
    ck_assert_int_eq(mr_plugin_load(&a, at(folder, "short-ops.so"), MR_KIND_STORE, NULL, NULL, &err), MR_OK);
    ck_assert_int_eq(mr_plugin_load(&b, at(folder, "short-ops.so"), MR_KIND_STORE, NULL, NULL, &err), MR_OK);
    mr_plugin_unload(a);
    ck_assert_str_eq(b->plugin->name, "short-ops");
    mr_plugin_unload(b);
    mr_plugin_unload(NULL);
}
END_TEST

START_TEST(open_fails)
{
    static const mr_store_conf conf = {.capacity = 1 << 20};
    mr_loaded *l;
    mr_host_box *b;
    mr_err err = {0};
    void *self = &err;
    ck_assert_int_eq(mr_plugin_load(&l, at(folder, "open-fails.so"), MR_KIND_STORE, NULL, NULL, &err), MR_OK);
    ck_assert_int_eq(mr_host_new(&b, l->plugin, NULL, NULL, NULL), MR_OK);
    ck_assert_int_eq(l->ops.store.open(&self, mr_host_table(b), &conf, &err), MR_E_IO);
    ck_assert_str_eq(err.text, "open-fails: /dev/tape0 is not there; insert the tape");
    ck_assert_ptr_eq(self, &err);
    mr_host_free(b);
    mr_plugin_unload(l);
}
END_TEST

START_TEST(each_plugin)
{
    char **paths;
    setenv("MINIRAY_PLUGIN_PATH", scratch, 1);
    copy_file(at(folder, "short-ops.so"), at(scratch, "short-ops.so"));
    copy_file(at(folder, "a-sched.so"), at(scratch, "a-sched.so"));
    write_file(at(scratch, "broken.so"), "broken", 0644);
    write_file(at(scratch, "notes.txt"), "not a plugin", 0644);
    size_t n = mr_plugin_paths(NULL, NULL, &paths);
    ck_assert_uint_eq(n, 3);
    while (n)
        free(paths[--n]);
    free(paths);
}
END_TEST

/* -- the host table --------------------------------------------------------------------------------------------- */

static const mr_conf_key keys[] = {
    {"size", MR_CONF_BYTES, "64K", "how large"},  {"wait", MR_CONF_DURATION, "10ms", "how long"},
    {"share", MR_CONF_DOUBLE, "0.5", "how much"}, {"on", MR_CONF_BOOL, "yes", "whether"},
    {"mode", MR_CONF_TEXT, NULL, "which"},        {"*", MR_CONF_TEXT, NULL, "anything else"}};
static const mr_plugin keyed = {.kind = MR_KIND_STORE, .name = "store-keyed", .keys = keys, .n_keys = 6};

START_TEST(host_defaults)
{
    mr_host_box *b;
    ck_assert_int_eq(mr_host_new(&b, &keyed, NULL, NULL, NULL), MR_OK);
    const mr_host *h = mr_host_table(b);
    ck_assert_uint_eq(h->size, sizeof(mr_host));
    ck_assert_str_eq(h->name, "store-keyed");
    ck_assert_int_eq(h->now(h), 0);
    ck_assert_str_eq(h->conf(h, "size"), "64K");
    ck_assert_ptr_null(h->conf(h, "mode"));
    ck_assert_ptr_null(h->conf(h, "unheard-of"));
    ck_assert_int_eq(h->conf_int(h, "size", 1), 65536);
    ck_assert_int_eq(h->conf_int(h, "wait", 1), 10000000);
    ck_assert_int_eq(h->conf_int(h, "on", 0), 1);
    ck_assert_int_eq(h->conf_int(h, "mode", 7), 7);
    ck_assert_int_eq(h->conf_int(h, "unheard-of", 8), 8);
    ck_assert_double_eq(h->conf_double(h, "share", 1), 0.5);
    ck_assert_double_eq(h->conf_double(h, "size", 1), 65536);
    ck_assert_double_eq(h->conf_double(h, "mode", 2.5), 2.5);
    ck_assert_ptr_null(h->conf_key(h, 0));
    mr_host_free(b);
}
END_TEST

static int64_t fixed_now(void *arg)
{
    return *(int64_t *)arg;
}

START_TEST(host_configured)
{
    mr_host_box *b;
    mr_config *c;
    mr_err err;
    int64_t now = 1234;
    ck_assert_int_eq(mr_config_new(&c), MR_OK);
    ck_assert_int_eq(mr_config_set(c, "store.store-keyed", "size", "2M", "test", &err), MR_OK);
    ck_assert_int_eq(mr_config_set(c, "store.keyed", "mode", "fast", "test", &err), MR_OK);
    ck_assert_int_eq(mr_config_set(c, "store.keyed", "alice", "3", "test", &err), MR_OK);
    ck_assert_int_eq(mr_config_set(c, "store.other", "bob", "4", "test", &err), MR_OK);
    ck_assert_int_eq(mr_config_check_plugin(c, &keyed, &err), MR_OK);
    ck_assert_int_eq(mr_host_new(&b, &keyed, c, fixed_now, &now), MR_OK);
    const mr_host *h = mr_host_table(b);
    ck_assert_int_eq(h->now(h), 1234);
    ck_assert_int_eq(h->conf_int(h, "size", 1), 2 << 20);
    ck_assert_int_eq(h->conf_int(h, "wait", 1), 10000000);
    ck_assert_str_eq(h->conf(h, "mode"), "fast");
    ck_assert_str_eq(h->conf(h, "alice"), "3");
    ck_assert_int_eq(h->conf_int(h, "alice", 0), 3);
    ck_assert_double_eq(h->conf_double(h, "alice", 0), 3);
    ck_assert_ptr_null(h->conf(h, "bob"));
    ck_assert_str_eq(h->conf_key(h, 0), "size");
    ck_assert_str_eq(h->conf_key(h, 1), "mode");
    ck_assert_str_eq(h->conf_key(h, 2), "alice");
    ck_assert_ptr_null(h->conf_key(h, 3));
    mr_host_free(b);
    mr_config_free(c);
}
END_TEST

START_TEST(host_memory)
{
    mr_host_box *b;
    void *p[50];
    uint64_t sum = 0;
    ck_assert_int_eq(mr_host_new(&b, &keyed, NULL, NULL, NULL), MR_OK);
    const mr_host *h = mr_host_table(b);
    for (size_t i = 0; i < 50; i++) {
        p[i] = h->alloc(h, i * 13);
        ck_assert_ptr_nonnull(p[i]);
        ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
        for (size_t k = 0; k < i * 13; k++)
            ck_assert_int_eq(((char *)p[i])[k], 0);
        memset(p[i], 0xff, i * 13);
        ck_assert_uint_eq(mr_host_bytes(b), sum += i * 13);
    }
    ck_assert_ptr_null(h->alloc(h, SIZE_MAX));
    ck_assert_ptr_null(h->alloc(h, SIZE_MAX - 8));
    for (size_t i = 0; i < 50; i++)
        h->free(h, p[i]);
    h->free(h, NULL);
    ck_assert_uint_eq(mr_host_bytes(b), 0);
    mr_host_free(b);
    mr_host_free(NULL);
}
END_TEST

/* Check has a macro called fail; the parentheses keep it away. */
START_TEST(host_first_failure)
{
    mr_host_box *b;
    ck_assert_int_eq(mr_host_new(&b, &keyed, NULL, NULL, NULL), MR_OK);
    const mr_host *h = mr_host_table(b);
    ck_assert_ptr_null(mr_host_failure(b));
    (h->fail)(h, "policy.lua:%d: field '%s' is nil", 12, "rank");
    (h->fail)(h, "and then another thing");
    ck_assert_str_eq(mr_host_failure(b), "policy.lua:12: field 'rank' is nil");
    mr_host_free(b);
}
END_TEST

START_TEST(host_log)
{
    mr_host_box *b;
    char text[512] = "";
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(mr_host_new(&b, &keyed, NULL, NULL, NULL), MR_OK);
    const mr_host *h = mr_host_table(b);
    mr_log_setup(MR_LOG_INFO, ends[1]);
    h->log(h, MR_LOG_INFO, "opened with %d bytes", 42);
    h->log(h, MR_LOG_DEBUG, "not shown");
    mr_log_setup(MR_LOG_WARN, 2);
    close(ends[1]);
    ck_assert_int_gt(read(ends[0], text, sizeof(text) - 1), 0);
    ck_assert_ptr_nonnull(strstr(text, "store-keyed"));
    ck_assert_ptr_nonnull(strstr(text, "opened with 42 bytes"));
    ck_assert_ptr_null(strstr(text, "not shown"));
    close(ends[0]);
    mr_host_free(b);
}
END_TEST

/* -- the checking program --------------------------------------------------------------------------------------- */

static int run_check(const char *arguments, char *out, size_t size)
{
    const char *bin = getenv("MINIRAY_BIN_DIR");
    FILE *f;
    size_t n;
    int status;
    ck_assert_msg(bin != NULL, "MINIRAY_BIN_DIR is not set");
    f = popen(say("%s/miniray-plugin-check %s 2>&1", bin, arguments), "r");
    ck_assert_ptr_nonnull(f);
    n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(check_describes)
{
    char out[8192];
    ck_assert_int_eq(run_check(say("--describe --json %s", at(folder, "short-ops.so")), out, sizeof(out)), 0);
    ck_assert_ptr_nonnull(strstr(out, "\"name\":\"short-ops\",\"kind\":\"store\",\"abi\":\"1.1\""));
    ck_assert_ptr_nonnull(strstr(out, "\"ops\":[\"open\",\"close\",\"create\",\"seal\",\"abort\",\"get\",\"release\","
                                      "\"remove\"],\"keys\":[]}"));
    ck_assert_int_eq(run_check(say("--describe --json %s", at(folder, "ops-null.so")), out, sizeof(out)), 1);
    ck_assert_ptr_nonnull(strstr(out, "has no op table (ops is NULL)"));
    ck_assert_ptr_nonnull(strstr(out, "\"status\":\"E_ABI\""));
    ck_assert_int_eq(run_check(say("--describe %s", at(folder, "a-sched.so")), out, sizeof(out)), 0);
    ck_assert_ptr_nonnull(strstr(out, "ops: none (every question has its default answer)"));
}
END_TEST

START_TEST(check_survives_a_crash)
{
    char out[16384];
    ck_assert_int_eq(run_check(at(folder, "crash-on-load.so"), out, sizeof(out)), 1);
    ck_assert_msg(strstr(out, "looking at it ended with signal 6 (Aborted)") != NULL, "%s", out);
    setenv("MINIRAY_PLUGIN_PATH", folder, 1);
    ck_assert_int_eq(run_check("--list", out, sizeof(out)), 1);
    ck_assert_ptr_nonnull(strstr(out, "short-ops"));
    ck_assert_ptr_nonnull(strstr(out, "missing-op.so"));
}
END_TEST

START_TEST(check_usage)
{
    static const char *const wrong[] = {"", "--json short-ops", "--list short-ops", "--colour x",
                                        "--config /nowhere x"};
    char out[8192];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(run_check(wrong[i], out, sizeof(out)) == 2, "\"%s\": %s", wrong[i], out);
    ck_assert_int_eq(run_check("--help", out, sizeof(out)), 0);
}
END_TEST

int main(void)
{
    const char *where = getenv("MINIRAY_BADPLUGINS");
    if (!where || !realpath(where, folder)) {
        fprintf(stderr, "MINIRAY_BADPLUGINS must name the folder of the broken plugins (CTest sets it)\n");
        return 1;
    }
    /* clang-format off */
    const TTest *const tests[] = {
        bad_default_says_why, not_a_library, damaged_library, writable_by_others, owned_by_others, by_name,
        by_configuration, not_found_says_where, older_table, loads_twice, open_fails, each_plugin,
        host_defaults, host_configured, host_memory, host_first_failure, host_log, check_describes,
        check_survives_a_crash, check_usage};
    /* clang-format on */
    Suite *s = suite_create("plugin");
    TCase *t = tcase_create("plugin");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_loop_test(t, broken_plugins, 0, (int)(sizeof(bads) / sizeof(bads[0])));
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    return run_suite(s);
}
