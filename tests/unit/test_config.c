/* test_config.c: settings, their precedence and origins, and the exact message of every broken file in tests/badconfig:
 * NAME.ini is read from that folder and must give the one line that NAME.txt holds.
 */
#include <check.h>
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "run_suite.h"

static mr_config *c;
static mr_err err;

static const mr_conf_key demo_keys[] = {
    {"delay", MR_CONF_DURATION, "50ms", "d"},
    {"depth", MR_CONF_INT, NULL, "n"},
    {"file", MR_CONF_PATH, NULL, "p"},
    {"seed", MR_CONF_INT, "5", "s"},
};
static const mr_plugin demo = {.magic = MR_PLUGIN_MAGIC,
                               .kind = MR_KIND_SCHED,
                               .name = "sched-demo",
                               .keys = demo_keys,
                               .n_keys = sizeof demo_keys / sizeof demo_keys[0]};
static const mr_conf_key open_keys[] = {{"policy", MR_CONF_PATH, NULL, "p"}, {"*", MR_CONF_TEXT, NULL, "any"}};
static const mr_plugin open_demo = {
    .magic = MR_PLUGIN_MAGIC, .kind = MR_KIND_SCHED, .name = "sched-lua", .keys = open_keys, .n_keys = 2};

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(mr_config_new(&c), MR_OK);
}

static void teardown(void)
{
    mr_config_free(c);
}

/* Reads `text` as the file my.ini of a folder of its own, whose path is left in `dir`. */
static char dir[64];
static mr_status read_text(const char *text)
{
    char path[96];
    strcpy(dir, "/tmp/mr-config-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/my.ini", dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    mr_status status = mr_config_read(c, path, &err);
    unlink(path);
    rmdir(dir);
    return status;
}

static mr_status apply_env(const char *one)
{
    char copy[200], path[] = "PATH=/bin";
    snprintf(copy, sizeof copy, "%s", one);
    char *env[] = {path, copy, NULL};
    return mr_config_env(c, env, &err);
}

static const mr_setting *setting(const char *section, const char *key)
{
    const mr_setting *s;
    for (size_t i = 0; (s = mr_config_at(c, i)); i++)
        if (strcmp(s->section, section) == 0 && strcmp(s->key, key) == 0)
            return s;
    ck_abort_msg("no setting %s.%s", section, key);
}

START_TEST(defaults_are_there)
{
    ck_assert_str_eq(mr_config_text(c, "engine", "kind"), "process");
    ck_assert_str_eq(mr_config_text(c, "store", "plugin"), "store-shm");
    ck_assert_str_eq(mr_config_text(c, "sched", "plugin"), "sched-fifo");
    ck_assert(mr_config_double(c, "node", "cpus") >= 1);
    ck_assert_ptr_null(mr_config_text(c, "store", "capacity"));
    ck_assert_int_eq(mr_config_int(c, "store", "capacity"), 0);
    ck_assert_int_eq(mr_config_int(c, "engine", "idle_worker_s"), INT64_C(60000000000));
    ck_assert_int_eq(mr_config_int(c, "engine", "prefetch"), 1);
    ck_assert_int_eq(mr_config_int(c, "sim", "bandwidth"), 1 << 30);
    ck_assert_int_eq(setting("engine", "kind")->source, MR_FROM_DEFAULT);
    ck_assert_ptr_null(mr_config_node(c, 0));
}
END_TEST

START_TEST(a_file_is_read)
{
    ck_assert_msg(read_text("\xef\xbb\xbf; comment\n# another\r\n\n[engine]\r\n  kind = sim ; why not\n\thistory:7\n"
                            "[store]\ncapacity = 1.5G\n[sched]\nmax_hold = 250 ms\nknow = noisy:0.3\n"
                            "[node]\ncpus = 2.5\nresources = fpga=2, disk=0.5\n[log]\nfile =") == MR_OK,
                  "%s", err.text);
    ck_assert_str_eq(mr_config_text(c, "engine", "kind"), "sim");
    ck_assert_int_eq(mr_config_int(c, "engine", "history"), 7);
    ck_assert_int_eq(mr_config_int(c, "store", "capacity"), INT64_C(1610612736));
    ck_assert_int_eq(mr_config_int(c, "sched", "max_hold"), 250000000);
    ck_assert_str_eq(mr_config_text(c, "sched", "know"), "noisy:0.3");
    ck_assert(mr_config_double(c, "node", "cpus") == 2.5);
    ck_assert_ptr_null(mr_config_text(c, "log", "file"));
    const mr_setting *s = setting("engine", "history");
    ck_assert_int_eq(s->source, MR_FROM_FILE);
    ck_assert_int_eq(s->line, 6);
    ck_assert_ptr_nonnull(strstr(s->file, "/my.ini"));
}
END_TEST

START_TEST(call_beats_environment_beats_file)
{
    ck_assert_int_eq(mr_config_set(c, "engine", "seed", "1", "init(seed=)", &err), MR_OK);
    ck_assert_int_eq(apply_env("MINIRAY_ENGINE_SEED=2"), MR_OK);
    ck_assert_int_eq(apply_env("MINIRAY_ENGINE_SPIN_US=2"), MR_OK);
    ck_assert_int_eq(read_text("[engine]\nseed = 3\nspin_us = 3\nhistory = 3\n"), MR_OK);
    ck_assert_int_eq(mr_config_int(c, "engine", "seed"), 1);
    ck_assert_int_eq(mr_config_int(c, "engine", "spin_us"), 2);
    ck_assert_int_eq(mr_config_int(c, "engine", "history"), 3);
    ck_assert_int_eq(setting("engine", "seed")->source, MR_FROM_CALL);
    ck_assert_str_eq(setting("engine", "seed")->file, "init(seed=)");
    ck_assert_int_eq(setting("engine", "spin_us")->source, MR_FROM_ENV);
    ck_assert_str_eq(setting("engine", "spin_us")->file, "MINIRAY_ENGINE_SPIN_US");
    /* A second file overrides the first without being a duplicate. */
    ck_assert_int_eq(read_text("[engine]\nhistory = 4\n"), MR_OK);
    ck_assert_int_eq(mr_config_int(c, "engine", "history"), 4);
    /* A bad value is refused even where it would not count. */
    ck_assert_int_eq(read_text("[engine]\nseed = x\n"), MR_E_CONFIG);
}
END_TEST

START_TEST(environment_is_checked)
{
    ck_assert_int_eq(apply_env("MINIRAY_ENGINE_SEDE=2"), MR_E_CONFIG);
    ck_assert_str_eq(err.text, "MINIRAY_ENGINE_SEDE: there is no such setting; did you mean MINIRAY_ENGINE_SEED?");
    ck_assert_int_eq(apply_env("MINIRAY_HELLO_THERE_WORLD=2"), MR_E_CONFIG);
    ck_assert_str_eq(err.text,
                     "MINIRAY_HELLO_THERE_WORLD: there is no such setting (MINIRAY_SECTION_KEY, as `miniray config "
                     "help` lists them)");
    ck_assert_int_eq(apply_env("MINIRAY_ENGINE_SEED=two"), MR_E_CONFIG);
    ck_assert_str_eq(err.text, "MINIRAY_ENGINE_SEED: engine.seed: \"two\" is not a whole number");
    ck_assert_int_eq(apply_env("MINIRAY_PLUGIN_PATH=/x"), MR_OK);
    ck_assert_int_eq(apply_env("MINIRAY_SESSION=1"), MR_OK);
    ck_assert_int_eq(apply_env("MINIRAY_CONFIG=a.ini"), MR_OK);
    ck_assert_int_eq(apply_env("MINIRAYS=1"), MR_OK);
}
END_TEST

START_TEST(calls_are_checked)
{
    ck_assert_int_eq(mr_config_set(c, "node", "cpus", "-1", "init(num_cpus=)", &err), MR_E_CONFIG);
    ck_assert_str_eq(err.text, "init(num_cpus=): node.cpus: \"-1\" is too small: the least is 0");
    ck_assert_int_eq(mr_config_set(c, "nodes", "cpus", "1", "--x", &err), MR_E_CONFIG);
    ck_assert_str_eq(err.text, "--x: [nodes]: there is no such section; did you mean [node]?");
    ck_assert_int_eq(mr_config_set(c, "node", "cpu", "1", NULL, &err), MR_E_CONFIG);
    ck_assert_str_eq(err.text, "call: node.cpu: there is no such key; did you mean \"cpus\"?");
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    ck_assert_int_eq(mr_config_read(c, "/nonexistent/my.ini", &err), MR_E_IO);
    ck_assert_str_eq(err.text, "/nonexistent/my.ini: cannot be read: No such file or directory");
    ck_assert_int_eq(mr_config_read(c, "/tmp", &err), MR_E_IO);
    ck_assert_str_eq(err.text, "/tmp: is a folder; a file is needed");
    char *large = malloc((1 << 20) + 100);
    memset(large, '\n', (1 << 20) + 99);
    large[(1 << 20) + 99] = 0;
    ck_assert_int_eq(read_text(large), MR_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "is larger than 1048576 bytes"));
    free(large);
    ck_assert_int_eq(read_text(""), MR_OK);
    ck_assert_int_eq(read_text("\n\n ; only a comment"), MR_OK);
}
END_TEST

START_TEST(nodes_fall_back_to_node)
{
    ck_assert_int_eq(
        read_text("[node]\ncpus = 3\nlabels = zone=a\n[node.left]\ncpus = 1\n[node.right]\nlabels = zone=b\n"), MR_OK);
    ck_assert_str_eq(mr_config_node(c, 0), "node.left");
    ck_assert_str_eq(mr_config_node(c, 1), "node.right");
    ck_assert_ptr_null(mr_config_node(c, 2));
    ck_assert(mr_config_double(c, "node.left", "cpus") == 1);
    ck_assert(mr_config_double(c, "node.right", "cpus") == 3);
    ck_assert_str_eq(mr_config_text(c, "node.left", "labels"), "zone=a");
    ck_assert_str_eq(mr_config_text(c, "node.right", "labels"), "zone=b");
}
END_TEST

START_TEST(a_policy_implies_lua)
{
    char expected[128];
    ck_assert_int_eq(read_text("[sched]\npolicy = p/short.lua\n"), MR_OK);
    snprintf(expected, sizeof expected, "%s/p/short.lua", dir);
    ck_assert_str_eq(mr_config_text(c, "sched", "plugin"), "sched-lua");
    ck_assert_str_eq(mr_config_text(c, "sched", "policy"), expected);
    ck_assert_int_eq(mr_config_check_plugin(c, &open_demo, &err), MR_OK);
    ck_assert_str_eq(mr_config_text(c, "sched.lua", "policy"), expected);
    /* A call that swaps the scheduler wins over the file's policy. */
    ck_assert_int_eq(mr_config_set(c, "sched", "plugin", "sched-demo", "--sched", &err), MR_OK);
    ck_assert_str_eq(mr_config_text(c, "sched", "plugin"), "sched-demo");
    ck_assert_int_eq(mr_config_check_plugin(c, &demo, &err), MR_OK);
}
END_TEST

START_TEST(a_policy_and_its_plugin_may_both_be_named)
{
    ck_assert_msg(read_text("[sched]\npolicy = /p.lua\nplugin = sched-lua\n") == MR_OK, "%s", err.text);
    ck_assert_str_eq(mr_config_text(c, "sched", "plugin"), "sched-lua");
    ck_assert_str_eq(mr_config_text(c, "sched", "policy"), "/p.lua");
}
END_TEST

START_TEST(a_call_may_give_a_policy)
{
    ck_assert_int_eq(mr_config_set(c, "sched", "policy", "short.lua", "--policy", &err), MR_OK);
    ck_assert_str_eq(mr_config_text(c, "sched", "plugin"), "sched-lua");
    ck_assert_str_eq(mr_config_text(c, "sched", "policy"), "short.lua");
}
END_TEST

START_TEST(a_plugins_section_is_checked)
{
    char expected[128];
    ck_assert_msg(read_text("[sched]\nseed = 9\n[sched.sched-demo]\ndepth = 4\nfile = x/y\n") == MR_OK, "%s", err.text);
    snprintf(expected, sizeof expected, "%s/x/y", dir);
    ck_assert_int_eq(mr_config_check_plugin(c, &demo, &err), MR_OK);
    ck_assert_int_eq(mr_config_int(c, "sched.demo", "depth"), 4);
    ck_assert_int_eq(mr_config_int(c, "sched.sched-demo", "depth"), 4);
    ck_assert_int_eq(mr_config_int(c, "sched.demo", "delay"), 50000000);
    ck_assert_int_eq(mr_config_int(c, "sched.demo", "seed"), 9);
    ck_assert_str_eq(mr_config_text(c, "sched.demo", "file"), expected);
    ck_assert_int_eq(setting("sched.demo", "delay")->source, MR_FROM_DEFAULT);
    /* Checking again changes nothing. */
    ck_assert_int_eq(mr_config_check_plugin(c, &demo, &err), MR_OK);
    ck_assert_str_eq(mr_config_text(c, "sched.demo", "file"), expected);
    ck_assert_ptr_null(mr_config_text(c, "sched.demo", "nothing"));
}
END_TEST

START_TEST(a_star_takes_any_key)
{
    ck_assert_int_eq(read_text("[sched.lua]\nanything = 3 apples\n"), MR_OK);
    ck_assert_int_eq(mr_config_check_plugin(c, &open_demo, &err), MR_OK);
    ck_assert_str_eq(mr_config_text(c, "sched.lua", "anything"), "3 apples");
    ck_assert_ptr_null(mr_config_text(c, "sched.lua", "*"));
}
END_TEST

START_TEST(paths_belong_to_their_file)
{
    char expected[200];
    ck_assert_int_eq(read_text("[plugins]\npath = a:/b:../c\n[store]\nplugin = ./mine.so\n"), MR_OK);
    snprintf(expected, sizeof expected, "%s/a:/b:%s/../c", dir, dir);
    ck_assert_str_eq(mr_config_text(c, "plugins", "path"), expected);
    snprintf(expected, sizeof expected, "%s/./mine.so", dir);
    ck_assert_str_eq(mr_config_text(c, "store", "plugin"), expected);
}
END_TEST

static const struct {
    mr_conf_type type;
    const char *text;
    double value; /* NAN: refused */
} values[] = {
    {MR_CONF_INT, "0", 0},
    {MR_CONF_INT, "-12", -12},
    {MR_CONF_INT, "+12", 12},
    {MR_CONF_INT, "9223372036854775807", 9223372036854775807.0},
    {MR_CONF_INT, "9223372036854775808", NAN},
    {MR_CONF_INT, "1 ", NAN},
    {MR_CONF_INT, "-", NAN},
    {MR_CONF_INT, "", NAN},
    {MR_CONF_INT, "1e3", NAN},
    {MR_CONF_DOUBLE, "1e3", 1000},
    {MR_CONF_DOUBLE, "-.5", -0.5},
    {MR_CONF_DOUBLE, "1.", 1},
    {MR_CONF_DOUBLE, ".", NAN},
    {MR_CONF_DOUBLE, "1e999", NAN},
    {MR_CONF_DOUBLE, "inf", NAN},
    {MR_CONF_DOUBLE, "1e", NAN},
    {MR_CONF_DOUBLE, "0x1p3", NAN},
    {MR_CONF_BOOL, "true", 1},
    {MR_CONF_BOOL, "No", 0},
    {MR_CONF_BOOL, "ON", 1},
    {MR_CONF_BOOL, "0", 0},
    {MR_CONF_BOOL, "2", NAN},
    {MR_CONF_BOOL, "yess", NAN},
    {MR_CONF_BYTES, "4096", 4096},
    {MR_CONF_BYTES, "64K", 65536},
    {MR_CONF_BYTES, "64kB", 65536},
    {MR_CONF_BYTES, "64KiB", 65536},
    {MR_CONF_BYTES, "64 K", 65536},
    {MR_CONF_BYTES, "2M", 2097152},
    {MR_CONF_BYTES, "1.5G", 1610612736},
    {MR_CONF_BYTES, "1T", 1099511627776},
    {MR_CONF_BYTES, "1P", NAN},
    {MR_CONF_BYTES, "K", NAN},
    {MR_CONF_BYTES, "-1", NAN},
    {MR_CONF_BYTES, "1KK", NAN},
    {MR_CONF_DURATION, "10ns", 10},
    {MR_CONF_DURATION, "50us", 50000},
    {MR_CONF_DURATION, "10ms", 1e7},
    {MR_CONF_DURATION, "0.5s", 5e8},
    {MR_CONF_DURATION, "1m", 6e10},
    {MR_CONF_DURATION, "1 h", 3.6e12},
    {MR_CONF_DURATION, "0", 0},
    {MR_CONF_DURATION, "1", NAN},
    {MR_CONF_DURATION, "1S", NAN},
    {MR_CONF_DURATION, "-1s", NAN},
    {MR_CONF_TEXT, "", 0},
    {MR_CONF_PATH, "x", 0},
};

START_TEST(values_parse)
{
    int64_t i = 77;
    double d = 77;
    mr_status status = mr_config_parse(values[_i].type, values[_i].text, &i, &d, &err);
    if (isnan(values[_i].value)) {
        ck_assert_msg(status == MR_E_CONFIG, "\"%s\" was accepted", values[_i].text);
        ck_assert(i == 77 && d == 77 && err.text[0]);
    } else {
        ck_assert_msg(status == MR_OK, "%s", err.text);
        ck_assert_msg(d == values[_i].value, "\"%s\" gave %.17g", values[_i].text, d);
        if (values[_i].type != MR_CONF_DOUBLE && d < 9e18)
            ck_assert_int_eq(i, (int64_t)d);
    }
}
END_TEST

START_TEST(nearest_is_near)
{
    static const char *const names[] = {"place", "rank", "pick", "slice", "preempt"};
    ck_assert_str_eq(mr_nearest("pikc", names, 5), "pick");
    ck_assert_str_eq(mr_nearest("PREMPT", names, 5), "preempt");
    ck_assert_str_eq(mr_nearest("slic", names, 5), "slice");
    ck_assert_ptr_null(mr_nearest("banana", names, 5));
    ck_assert_ptr_null(mr_nearest("", names, 5));
    ck_assert_ptr_null(mr_nearest("x", names, 0));
    char longer[200];
    memset(longer, 'p', 199);
    longer[199] = 0;
    ck_assert_ptr_null(mr_nearest(longer, names, 5));
}
END_TEST

START_TEST(help_names_everything)
{
    mr_config_help h;
    size_t n = 0;
    for (; mr_config_help_at(n, &h); n++) {
        ck_assert(*h.section && *h.key && *h.type && *h.help);
        ck_assert_str_eq(setting(h.section, h.key)->key, h.key);
        mr_config_text(c, h.section, h.key);
    }
    ck_assert_uint_ge(n, 35);
    ck_assert_ptr_null(mr_config_at(c, n));
}
END_TEST

/* config/default.ini says of every key what its default is, commented out or not; a forgotten one is a mistake. */
START_TEST(the_default_file_is_complete)
{
    const char *root = getenv("MRTEST_SOURCE_DIR");
    char path[PATH_MAX], line[400], want[100], section[64] = "";
    mr_config_help h;
    ck_assert_msg(root, "MRTEST_SOURCE_DIR is not set (ctest sets it)");
    snprintf(path, sizeof path, "%s/config/default.ini", root);
    ck_assert_msg(mr_config_read(c, path, &err) == MR_OK, "%s", err.text);
    for (size_t i = 0; mr_config_help_at(i, &h); i++) {
        FILE *f = fopen(path, "r");
        bool found = false;
        ck_assert_ptr_nonnull(f);
        while (!found && fgets(line, sizeof line, f)) {
            const char *p = line + (line[0] == ';');
            sscanf(line, "[%63[^]]]", section);
            snprintf(want, sizeof want, "%s =", h.key);
            found = strcmp(section, h.section) == 0 && strncmp(p, want, strlen(want)) == 0;
        }
        fclose(f);
        ck_assert_msg(found, "config/default.ini does not explain %s.%s", h.section, h.key);
        const mr_setting *s = setting(h.section, h.key);
        mr_config *fresh;
        ck_assert_int_eq(mr_config_new(&fresh), MR_OK);
        const char *otherwise = mr_config_text(fresh, h.section, h.key);
        if (s->source == MR_FROM_FILE)
            ck_assert_msg(s->value && otherwise && strcmp(s->value, otherwise) == 0, "%s.%s = %s is not the default",
                          h.section, h.key, s->value);
        mr_config_free(fresh);
    }
}
END_TEST

/* -- the broken files -------------------------------------------------------------------------------------------- */

static char **broken;
static size_t n_broken;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of tests/badconfig/NAME.ini, and that folder made the working folder. */
static void list_broken(void)
{
    const char *root = getenv("MRTEST_SOURCE_DIR");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tests/badconfig", root ? root : ".");
    DIR *d = opendir(path);
    if (!d || chdir(path)) {
        fprintf(stderr, "%s: cannot be opened; set MRTEST_SOURCE_DIR\n", path);
        exit(EXIT_FAILURE);
    }
    for (struct dirent *e; (e = readdir(d));) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".ini") != 0)
            continue;
        broken = realloc(broken, (n_broken + 1) * sizeof *broken);
        broken[n_broken++] = strndup(e->d_name, (size_t)(dot - e->d_name));
    }
    closedir(d);
    qsort(broken, n_broken, sizeof *broken, by_name);
}

START_TEST(broken_files_say_what_is_wrong)
{
    char ini[300], txt[300], expected[1100] = "";
    snprintf(ini, sizeof ini, "%s.ini", broken[_i]);
    snprintf(txt, sizeof txt, "%s.txt", broken[_i]);
    mr_status status = mr_config_read(c, ini, &err);
    if (!status)
        status = mr_config_check_plugin(c, &demo, &err);
    ck_assert_msg(status != MR_OK, "%s was accepted", ini);
    ck_assert_int_eq(status, err.status);
    FILE *f = fopen(txt, "r");
    ck_assert_msg(f, "%s is missing; %s gives: %s", txt, ini, err.text);
    ck_assert_ptr_nonnull(fgets(expected, sizeof expected, f));
    fclose(f);
    expected[strcspn(expected, "\n")] = 0;
    ck_assert_str_eq(err.text, expected);
}
END_TEST

int main(int argc, char **argv)
{
    list_broken();
    if (argc > 1 && strcmp(argv[1], "--show") == 0) { /* what each broken file says, to be read by a person */
        for (size_t i = 0; i < n_broken; i++) {
            char ini[300];
            if (mr_config_new(&c))
                return EXIT_FAILURE;
            snprintf(ini, sizeof ini, "%s.ini", broken[i]);
            mr_status status = mr_config_read(c, ini, &err);
            if (!status)
                status = mr_config_check_plugin(c, &demo, &err);
            printf("%s\t%s\n", broken[i], status ? err.text : "ACCEPTED");
            teardown();
        }
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, defaults_are_there);
    tcase_add_test(t, a_file_is_read);
    tcase_add_test(t, call_beats_environment_beats_file);
    tcase_add_test(t, environment_is_checked);
    tcase_add_test(t, calls_are_checked);
    tcase_add_test(t, files_that_cannot_be_read);
    tcase_add_test(t, nodes_fall_back_to_node);
    tcase_add_test(t, a_policy_implies_lua);
    tcase_add_test(t, a_policy_and_its_plugin_may_both_be_named);
    tcase_add_test(t, a_call_may_give_a_policy);
    tcase_add_test(t, a_plugins_section_is_checked);
    tcase_add_test(t, a_star_takes_any_key);
    tcase_add_test(t, paths_belong_to_their_file);
    tcase_add_loop_test(t, values_parse, 0, (int)(sizeof values / sizeof values[0]));
    tcase_add_test(t, nearest_is_near);
    tcase_add_test(t, help_names_everything);
    tcase_add_test(t, the_default_file_is_complete);
    tcase_add_loop_test(t, broken_files_say_what_is_wrong, 0, (int)n_broken);
    suite_add_tcase(suite, t);
    int failed = run_suite(suite) || n_broken < 40;
    for (size_t i = 0; i < n_broken; i++)
        free(broken[i]);
    free(broken);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
