/* check_main.c: miniray-plugin-check, the program that looks at plugins.
 *
 * It owns nothing but its arguments.  Every file is loaded in a forked child, because loading runs the file's own code:
 * one that crashes or hangs is a line of the report, not the end of it.  No lock: one thread.
 */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/conformance/cases.h"
#include "plugin/handshake.h"
#include "plugin/loader.h"

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2, LIMIT_S = 600 };

typedef struct options {
    bool describe, list, json;
    const char *policy, *own;
    mr_config *config;
} options;

static const char usage[] =
    "usage: miniray-plugin-check [options] FILE.so|NAME...   run the conformance suite of its kind\n"
    "       miniray-plugin-check --describe [--json] FILE.so|NAME...\n"
    "       miniray-plugin-check --list [--json]             every plugin on the search path\n"
    "  --policy FILE   the policy to run a scheduler that hosts one with (sched-lua)\n"
    "  --own FOLDER    a folder to search besides MINIRAY_PLUGIN_PATH\n"
    "  --config FILE   a configuration, for [plugins] path\n"
    "exit status: 0 all is well, 1 a plugin does not load or fails a case, 2 wrong usage\n";

/* -- describing ------------------------------------------------------------------------------------------------- */

static const char *type_name(mr_conf_type type)
{
    static const char *const names[] = {"text", "integer", "number", "boolean", "bytes", "duration", "path"};
    return (unsigned)type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

/* The ops that the plugin has, in the order of the table. */
static size_t op_names(const mr_loaded *l, const char *out[32])
{
    size_t n = 0;
#define OP(table, op)                                                                                                  \
    if (l->ops.table.op)                                                                                               \
    out[n++] = #op
    if (l->plugin->kind == MR_KIND_STORE) {
        OP(store, open);
        OP(store, close);
        OP(store, create);
        OP(store, seal);
        OP(store, abort);
        OP(store, get);
        OP(store, release);
        OP(store, remove);
        OP(store, populate);
        OP(store, split);
        OP(store, share);
        OP(store, attach);
        OP(store, view);
        OP(store, detach);
        OP(store, stats);
        OP(store, trim);
    } else {
        OP(sched, open);
        OP(sched, close);
        OP(sched, rank);
        OP(sched, place);
        OP(sched, plan);
        OP(sched, pick);
        OP(sched, slice);
        OP(sched, preempt);
        OP(sched, notice);
        OP(sched, wants);
    }
#undef OP
    return n;
}

static void describe_json(const char *path, const mr_loaded *l, const mr_err *err, bool whole)
{
    cJSON *o = cJSON_CreateObject(), *a;
    char *text;
    cJSON_AddStringToObject(o, "path", path);
    if (!l) {
        cJSON_AddStringToObject(o, "error", err->text);
        cJSON_AddStringToObject(o, "status", mr_status_name(err->status));
    } else {
        const char *ops[32];
        char abi[24];
        snprintf(abi, sizeof(abi), "%u.%u", l->plugin->abi_major, l->plugin->abi_minor);
        cJSON_AddStringToObject(o, "name", l->plugin->name);
        cJSON_AddStringToObject(o, "kind", mr_plugin_kind_name(l->plugin->kind));
        cJSON_AddStringToObject(o, "abi", abi);
        cJSON_AddStringToObject(o, "summary", l->plugin->summary);
        a = cJSON_AddArrayToObject(o, "ops");
        for (size_t i = 0, n = whole ? op_names(l, ops) : 0; i < n; i++)
            cJSON_AddItemToArray(a, cJSON_CreateString(ops[i]));
        a = cJSON_AddArrayToObject(o, "keys");
        for (uint32_t i = 0; i < l->plugin->n_keys; i++) {
            const mr_conf_key *key = &l->plugin->keys[i];
            cJSON *k = cJSON_CreateObject();
            cJSON_AddStringToObject(k, "name", key->name);
            cJSON_AddStringToObject(k, "type", type_name(key->type));
            if (key->otherwise)
                cJSON_AddStringToObject(k, "default", key->otherwise);
            else
                cJSON_AddNullToObject(k, "default");
            cJSON_AddStringToObject(k, "help", key->help);
            cJSON_AddItemToArray(a, k);
        }
    }
    text = cJSON_PrintUnformatted(o);
    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

static void describe_text(const char *path, const mr_loaded *l, const mr_err *err)
{
    const char *ops[32];
    size_t n;
    if (!l) {
        printf("%s\n  does not load: %s\n", path, err->text);
        return;
    }
    printf("%s (%s, ABI %u.%u)\n  %s\n  %s\n  ops:", l->plugin->name, mr_plugin_kind_name(l->plugin->kind),
           l->plugin->abi_major, l->plugin->abi_minor, l->plugin->summary, path);
    n = op_names(l, ops);
    for (size_t i = 0; i < n; i++)
        printf(" %s", ops[i]);
    printf("%s\n", n ? "" : " none (every question has its default answer)");
    for (uint32_t i = 0; i < l->plugin->n_keys; i++) {
        const mr_conf_key *key = &l->plugin->keys[i];
        printf("  %s = %s  (%s) %s\n", key->name, key->otherwise ? key->otherwise : "", type_name(key->type),
               key->help);
    }
}

static void list_text(const char *path, const mr_loaded *l, const mr_err *err)
{
    if (l)
        printf("%-16s %-6s %s\n", l->plugin->name, mr_plugin_kind_name(l->plugin->kind), l->plugin->summary);
    else
        printf("%-16s does not load: %s\n", strrchr(path, '/') ? strrchr(path, '/') + 1 : path, err->text);
}

static void show(const options *o, const char *path, const mr_loaded *l, const mr_err *err)
{
    if (o->json)
        describe_json(path, l, err, true);
    else if (o->list)
        list_text(path, l, err);
    else
        describe_text(path, l, err);
}

/* -- one plugin, in a child ------------------------------------------------------------------------------------- */

static int look_at(const options *o, const char *name)
{
    mr_loaded *l = NULL;
    mr_err err = {0};
    int failed;
    if (mr_plugin_load(&l, name, 0, o->config, o->own, &err)) {
        if (o->list || o->describe)
            show(o, name, NULL, &err);
        else
            fprintf(stderr, "%s\n", err.text);
        return EXIT_BAD;
    }
    if (o->list || o->describe) {
        show(o, l->path, l, &err);
        mr_plugin_unload(l);
        return EXIT_GOOD;
    }
    printf("%s (%s, ABI %u.%u): %s\n", l->plugin->name, mr_plugin_kind_name(l->plugin->kind), l->plugin->abi_major,
           l->plugin->abi_minor, l->path);
    failed =
        l->plugin->kind == MR_KIND_STORE ? mr_store_conformance(l, stdout) : mr_sched_conformance(l, o->policy, stdout);
    if (failed)
        printf("%s: %d cases failed\n", l->plugin->name, failed);
    else
        printf("%s: conforms\n", l->plugin->name);
    mr_plugin_unload(l);
    return failed ? EXIT_BAD : EXIT_GOOD;
}

static void report_crash(const options *o, const char *name, const char *how)
{
    mr_err err;
    mr_err_set(&err, MR_E_PLUGIN, "%s: %s", name, how);
    if (o->list || o->describe)
        show(o, name, NULL, &err);
    else
        fprintf(stderr, "%s\n", err.text);
}

static int in_child(const options *o, const char *name)
{
    char how[128];
    int status = 0;
    pid_t pid, got = 0;
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        fprintf(stderr, "miniray-plugin-check: can not fork: %s\n", strerror(errno));
        return EXIT_BAD;
    }
    if (pid == 0) {
        mr_case_die_with_parent();
        exit(look_at(o, name));
    }
    for (int ms = 0; ms < LIMIT_S * 1000 && !got; ms++) {
        got = waitpid(pid, &status, WNOHANG);
        if (!got)
            poll(NULL, 0, 1);
    }
    if (got == pid && WIFEXITED(status))
        return WEXITSTATUS(status);
    if (got == pid) {
        snprintf(how, sizeof(how), "looking at it ended with signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    } else {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        snprintf(how, sizeof(how), "looking at it did not end within %d s", LIMIT_S);
    }
    report_crash(o, name, how);
    return EXIT_BAD;
}

/* -- arguments -------------------------------------------------------------------------------------------------- */

static int list(const options *o)
{
    char **paths = NULL;
    int bad = EXIT_GOOD;
    size_t n = mr_plugin_paths(o->config, o->own, &paths);
    for (size_t i = 0; i < n; i++) {
        if (in_child(o, paths[i]) != EXIT_GOOD)
            bad = EXIT_BAD;
        free(paths[i]);
    }
    free(paths);
    if (!n && !o->json)
        fprintf(stderr, "no plugin on the search path; set MINIRAY_PLUGIN_PATH or [plugins] path\n");
    return bad;
}

static int parse(int argc, char **argv, options *o)
{
    static const struct option known[] = {
        {"describe", no_argument, NULL, 'd'},  {"list", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},      {"policy", required_argument, NULL, 'p'},
        {"own", required_argument, NULL, 'o'}, {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},      {0}};
    mr_err err;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'd') {
            o->describe = true;
        } else if (c == 'l') {
            o->list = true;
        } else if (c == 'j') {
            o->json = true;
        } else if (c == 'p') {
            o->policy = optarg;
        } else if (c == 'o') {
            o->own = optarg;
        } else if (c == 'c') {
            if (mr_config_new(&o->config) || mr_config_read(o->config, optarg, &err)) {
                fprintf(stderr, "%s\n", o->config ? err.text : "no memory for the configuration");
                return EXIT_USAGE;
            }
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? -1 : EXIT_USAGE;
        }
    }
    if (o->list == (optind < argc) || (o->json && !o->list && !o->describe)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return EXIT_GOOD;
}

int main(int argc, char **argv)
{
    options o = {0};
    int code = parse(argc, argv, &o);
    if (code == EXIT_GOOD && o.list)
        code = list(&o);
    for (int i = optind; code != EXIT_USAGE && code != -1 && !o.list && i < argc; i++)
        if (in_child(&o, argv[i]) != EXIT_GOOD)
            code = EXIT_BAD;
    mr_config_free(o.config);
    return code == -1 ? EXIT_GOOD : code;
}
