/* main.c: the program miniray-sim: one workload, one policy, one run in virtual time.
 *
 * Puts together what the other files own: config, plugin, workload, simulation, report.  Exit: 0 done, 2 something in
 * what it was given is wrong (usage, config, plugin, policy file, workload), 3 the simulator's own fault, 4 the run can
 * not end (stuck, or a plugin in C that does not answer), 5 it was interrupted and the report is of what had ended.  A
 * policy that was ejected is not an error: the report says "degraded". */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "engine/sim/json.h"
#include "engine/sim/repl.h"
#include "engine/sim/report.h"
#include "engine/sim/speed.h"
#include "plugin/loader.h"

extern char **environ;

enum { EXIT_DONE = 0, EXIT_GIVEN = 2, EXIT_OURS = 3, EXIT_STUCK = 4, EXIT_INTERRUPTED = 5 };

typedef struct options {
    const char *workload, *platform, *config, *trace, *json, *format, *bench, *ranks;
    bool repl, stream;
    bool check, nodes, cpus, quiet, bandwidth, latency;
    const char *own; /* folder of the package's plugins */
} options;

static const char usage[] =
    "usage: miniray-sim --workload FILE [options]\n"
    "  --workload FILE        tasks, as JSONL or WfFormat JSON\n"
    "  --format F             auto, jsonl or wfformat (auto)\n"
    "  --stream               reads JSONL as time goes on (FILE -: the input): independent tasks, by arrival\n"
    "  --config FILE          settings (INI)\n"
    "  --sched NAME           scheduler plugin: a name or the path of a .so\n"
    "  --policy FILE.lua      policy written in Lua\n"
    "  --set SECTION.KEY=V    any other setting, for example sched.sched-locality.delay=10ms\n"
    "  --platform FILE.json   the machines, in place of the workload's platform\n"
    "  --nodes N --cpus M     N nodes of M CPUs in place of the workload's platform\n"
    "  --know K               what the policy knows of durations: nothing, learned, stated, noisy:S, exact\n"
    "  --reveal R             whole, or unfold: tasks appear as their parents end\n"
    "  --seed S               seed of the noise and of the policy's random numbers\n"
    "  --trace FILE           writes one JSON line per task\n"
    "  --json FILE            writes the summary ('-': to the output)\n"
    "  --plugins DIR          where the package's own plugins lie\n"
    "  --check                recounts all of control's invariants at every instant\n"
    "  --quiet                prints nothing but errors\n"
    "  --repl                 reads commands: step the workload, look at queues, ask the policy\n"
    "  --bench N,N,...        in place of a workload: what decisions cost with so many tasks queued, in ns\n"
    "  --ranks R              of --bench: increasing or random, in place of the policy: what control's queues cost\n";

static mr_status set(mr_config *c, const char *section, const char *key, const char *value, const char *where,
                     mr_err *err)
{
    return mr_config_set(c, section, key, value, where, err);
}

/* "sched.sched-fifo.key=value": the key is behind the last point before the '='. */
static mr_status set_any(mr_config *c, char *text, mr_err *err)
{
    char *equals = strchr(text, '=');
    if (equals)
        *equals = '\0';
    char *dot = strrchr(text, '.');
    if (!equals || !dot)
        return mr_err_set(err, MR_E_INVAL, "--set %s: expected SECTION.KEY=VALUE", text);
    *dot = '\0';
    return set(c, text, dot + 1, equals + 1, "--set", err);
}

static const struct option long_options[] = {
    {"workload", 1, NULL, 'w'}, {"format", 1, NULL, 'f'},   {"config", 1, NULL, 'c'}, {"sched", 1, NULL, 's'},
    {"policy", 1, NULL, 'p'},   {"set", 1, NULL, 'S'},      {"nodes", 1, NULL, 'n'},  {"cpus", 1, NULL, 'm'},
    {"know", 1, NULL, 'k'},     {"reveal", 1, NULL, 'r'},   {"seed", 1, NULL, 'x'},   {"trace", 1, NULL, 't'},
    {"json", 1, NULL, 'j'},     {"plugins", 1, NULL, 'P'},  {"check", 0, NULL, 'C'},  {"quiet", 0, NULL, 'q'},
    {"help", 0, NULL, 'h'},     {"platform", 1, NULL, 'l'}, {"bench", 1, NULL, 'B'},  {"ranks", 1, NULL, 'R'},
    {"repl", 0, NULL, 'I'},     {"stream", 0, NULL, 'T'},   {NULL, 0, NULL, 0},
};

/* Options that are a text of their own. */
static const char **text_option(options *o, int letter)
{
    switch (letter) {
    case 'w':
        return &o->workload;
    case 'l':
        return &o->platform;
    case 'f':
        return &o->format;
    case 'B':
        return &o->bench;
    case 'R':
        return &o->ranks;
    case 't':
        return &o->trace;
    case 'j':
        return &o->json;
    default:
        return letter == 'P' ? &o->own : NULL;
    }
}

/* Twice over the arguments: the file first (--config), what is said by call on top. */
static mr_status read_options(int argc, char **argv, mr_config *c, options *o, mr_err *err)
{
    int letter;
    mr_status status = MR_OK;
    optind = 1;
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if (letter == 'c')
            o->config = optarg;
        else if (letter == '?')
            return mr_err_set(err, MR_E_INVAL, "%s", usage);
        else if (letter == 'h')
            return fputs(usage, stdout), exit(EXIT_DONE), MR_OK;
    if (optind < argc)
        return mr_err_set(err, MR_E_INVAL, "unexpected argument \"%s\"\n%s", argv[optind], usage);
    if (o->config)
        status = mr_config_read(c, o->config, err);
    if (!status)
        status = mr_config_env(c, environ, err);
    optind = 1;
    while (!status && (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        const char **text = text_option(o, letter);
        if (text) {
            *text = optarg;
            continue;
        }
        switch (letter) {
        case 'I':
            o->repl = true;
            break;
        case 'T':
            o->stream = true;
            break;
        case 'C':
            o->check = true;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 's':
            status = set(c, "sched", "plugin", optarg, "--sched", err);
            break;
        case 'p':
            status = set(c, "sched", "policy", optarg, "--policy", err);
            break;
        case 'k':
            status = set(c, "sched", "know", optarg, "--know", err);
            break;
        case 'r':
            status = set(c, "sched", "reveal", optarg, "--reveal", err);
            break;
        case 'x':
            status = set(c, "sched", "seed", optarg, "--seed", err);
            break;
        case 'S':
            status = set_any(c, optarg, err);
            break;
        case 'n':
            o->nodes = true;
            status = set(c, "sim", "nodes", optarg, "--nodes", err);
            break;
        case 'm':
            o->cpus = true;
            status = set(c, "node", "cpus", optarg, "--cpus", err);
            break;
        default:
            break;
        }
    }
    if (!status && !o->workload && !o->bench)
        return mr_err_set(err, MR_E_INVAL, "--workload is missing\n%s", usage);
    return status;
}

static bool was_set(const mr_config *c, const char *section, const char *key)
{
    const mr_setting *s;
    for (size_t i = 0; (s = mr_config_at(c, i)); i++)
        if (strcmp(s->section, section) == 0 && strcmp(s->key, key) == 0)
            return s->source != MR_FROM_DEFAULT;
    return false;
}

/* What was said by call, environment or file stands above the platform that the workload brings. */
static mr_status choose_platform(const mr_config *c, const char *file, mr_workload *w, mr_err *err)
{
    mr_platform *p = &w->platform;
    mr_status status = file ? mr_platform_load(p, file, w->n_by_class > 0, err) : MR_OK;
    if (status)
        return status;
    bool cpus = was_set(c, "node", "cpus");
    if (was_set(c, "sim", "nodes") || cpus || p->n_nodes == 0) {
        mr_platform own;
        mr_platform_init(&own);
        own.bandwidth = p->bandwidth;
        own.latency = p->latency;
        own.disk = p->disk;
        own.links = p->links;
        own.worker_mtbf = p->worker_mtbf;
        own.spawn = p->spawn;
        own.fixed = p->fixed;
        own.node_mtbf = p->node_mtbf;
        own.node_repair = p->node_repair;
        if (p->n_failures)
            return mr_err_set(err, MR_E_CONFIG,
                              "%s: its \"failures\" name nodes, so --nodes and --cpus can not replace its platform",
                              w->path);
        if (w->n_by_class)
            return mr_err_set(
                err, MR_E_CONFIG,
                "%s: durations are given by class of node, so --nodes and --cpus can not replace its platform",
                w->path);
        status = mr_platform_uniform(&own, (uint32_t)mr_config_int(c, "sim", "nodes"),
                                     cpus ? mr_config_double(c, "node", "cpus") : 4, err);
        mr_platform_fini(p);
        *p = own;
    }
    if (was_set(c, "sim", "bandwidth"))
        p->bandwidth = (uint64_t)mr_config_int(c, "sim", "bandwidth");
    if (was_set(c, "sim", "latency"))
        p->latency = mr_config_int(c, "sim", "latency");
    return status;
}

static void configure(const mr_config *c, const options *o, mr_sim_conf *conf)
{
    const char *know = mr_config_text(c, "sched", "know");
    mr_sim_conf_init(conf);
    conf->know = strcmp(know, "nothing") == 0      ? MR_SIM_NOTHING
                 : strcmp(know, "stated") == 0     ? MR_SIM_STATED
                 : strcmp(know, "exact") == 0      ? MR_SIM_EXACT
                 : strncmp(know, "noisy:", 6) == 0 ? MR_SIM_NOISY
                                                   : MR_SIM_LEARNED;
    if (conf->know == MR_SIM_NOISY)
        conf->sigma = strtod(know + 6, NULL);
    conf->unfold = strcmp(mr_config_text(c, "sched", "reveal"), "unfold") == 0;
    conf->seed = (uint64_t)mr_config_int(c, "sched", "seed");
    conf->max_hold = mr_config_int(c, "sched", "max_hold");
    conf->stop_on_error = strcmp(mr_config_text(c, "sched", "on_error"), "stop") == 0;
    conf->min_slice = mr_config_int(c, "sched", "min_slice");
    conf->dispatch = mr_config_int(c, "sim", "dispatch_us") * 1000;
    conf->decision = mr_config_int(c, "sim", "decision_ns");
    conf->call = mr_config_int(c, "sim", "call_ns");
    conf->change = mr_config_int(c, "sim", "switch_us") * 1000;
    if (was_set(c, "sim", "max_time"))
        conf->max_time = mr_config_int(c, "sim", "max_time");
    conf->check = o->check;
}

static int64_t host_now(void *sim)
{
    return mr_sim_now(sim);
}

static void host_worked(void *sim, uint64_t units)
{
    mr_sim_policy_work(sim, units);
}

static void host_failed(void *sim, const char *why)
{
    mr_sim_policy_fail(sim, why);
}

static volatile sig_atomic_t interrupted;
static bool stopped; /* by it */

/* totals NULL: a whole workload, which is counted now. */
static int write_results(const options *o, const mr_workload *w, const mr_sim *sim, const mr_sim_conf *conf,
                         mr_report_totals *totals, const char *know, const mr_plugin *plugin, mr_err *err)
{
    mr_sim_report r;
    mr_status status = MR_OK;
    if (totals) {
        status = mr_report_finish(totals, conf, know, &r, err);
    } else {
        status = mr_report_verify(w, &w->platform, sim, err);
        if (!status)
            status = mr_report_make(w, &w->platform, sim, conf, know, &r, err);
    }
    if (status)
        return EXIT_OURS;
    r.interrupted = stopped;
    r.host = plugin->summary;
    if (o->trace && !totals && mr_report_trace(w, &w->platform, sim, o->trace, err))
        return EXIT_GIVEN;
    char *json = mr_report_json(w, &w->platform, &r, conf);
    if (!json)
        return mr_err_set(err, MR_E_NOMEM, "out of memory"), EXIT_OURS;
    if (o->json) {
        FILE *f = strcmp(o->json, "-") == 0 ? stdout : fopen(o->json, "w");
        bool ok = f && fprintf(f, "%s\n", json) > 0;
        ok = f && (f == stdout ? fflush(f) : fclose(f)) == 0 && ok;
        if (!ok) {
            free(json);
            return mr_err_set(err, MR_E_IO, "--json %s: can not be written", o->json), EXIT_GIVEN;
        }
    }
    free(json);
    if (r.ejected)
        fprintf(stderr, "miniray-sim: the policy %s was ejected, the run went on as FIFO: %s\n%s", r.policy, r.ejected,
                r.dump ? r.dump : "");
    if (r.refusal && !o->quiet)
        fprintf(stderr, "miniray-sim: %llu answers of the policy %s were refused; the first: %s\n",
                (unsigned long long)r.stats.refused, r.policy, r.refusal);
    if (!o->quiet && !(o->json && strcmp(o->json, "-") == 0)) {
        mr_report_print(w, sim, conf, &r);
    }
    if (stopped)
        return mr_err_set(err, MR_E_CANCELLED,
                          "interrupted at %.6f s: the report is of the %llu of %llu tasks that had ended",
                          (double)mr_sim_now(sim) / 1e9, (unsigned long long)mr_sim_over(sim),
                          (unsigned long long)mr_report_known(w)),
               EXIT_INTERRUPTED;
    return EXIT_DONE;
}

static mr_status load_policy(mr_config *c, const options *o, mr_loaded **out, mr_err *err)
{
    const char *name = mr_config_text(c, "sched", "plugin"), *policy = mr_config_text(c, "sched", "policy");
    if (policy && !was_set(c, "sched", "plugin"))
        name = "sched-lua";
    mr_status status = mr_plugin_load(out, name, MR_KIND_SCHED, c, o->own, err);
    if (!status && policy && strcmp((*out)->plugin->name, "sched-lua") == 0)
        status = mr_config_set(c, "sched.sched-lua", "policy", policy, "[sched] policy", err);
    if (!status)
        status = mr_config_check_plugin(c, (*out)->plugin, err);
    return status;
}

/* A plugin in C that loops can not be interrupted, nor one that crashes caught: the run ends with a line that names it.
 * Lua has its budget. */
enum { LOOKS = 4 };
static const mr_sim *watched;
static const char *watched_plugin;

static void say(const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (write(STDERR_FILENO, texts[i], strlen(texts[i])) < 0)
            break;
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { CRASHES = sizeof crashes / sizeof crashes[0] };
static struct sigaction before_us[CRASHES];

static void fall(int signal)
{
    uint64_t calls;
    const char *op = watched ? mr_sim_policy_op(watched, &calls) : NULL;
    const char *const texts[] = {"miniray-sim: plugin ",
                                 watched_plugin,
                                 op ? " crashed in `" : " crashed",
                                 op ? op : "",
                                 op ? "`: " : ": ",
                                 strsignal(signal),
                                 "\n"};
    for (int i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &before_us[i], NULL);
    if (op || (watched_plugin && !watched)) /* else the crash is ours */
        say(texts, sizeof texts / sizeof texts[0]);
    raise(signal);
}

/* On a stack of its own: a plugin may have used up the other one. */
static void catch_crashes(void)
{
    static char room[64 * 1024];
    struct sigaction by = {.sa_handler = fall, .sa_flags = SA_ONSTACK};
    sigaltstack(&(stack_t){.ss_sp = room, .ss_size = sizeof room}, NULL);
    for (int i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &by, &before_us[i]);
}

static void look(int signal)
{
    static uint64_t before;
    static int same;
    uint64_t calls = 0;
    const char *op = watched ? mr_sim_policy_op(watched, &calls) : NULL;
    (void)signal;
    same = op && calls == before ? same + 1 : 0;
    before = calls;
    if (same < LOOKS)
        return;
    const char *const texts[] = {"miniray-sim: plugin ", watched_plugin, " does not answer `", op,
                                 "`: it loops or blocks (the time is [sched] max_op)\n"};
    say(texts, sizeof texts / sizeof texts[0]);
    _exit(EXIT_STUCK);
}

static void interrupt(int which)
{
    (void)which;
    interrupted = 1;
    signal(SIGINT, SIG_DFL); /* the second one ends the program */
    signal(SIGTERM, SIG_DFL);
}

/* To the end, or to the first SIGINT or SIGTERM: what has ended by then is reported. */
static mr_status run_to_end(mr_sim *s, mr_err *err)
{
    mr_status status = MR_OK;
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    do
        status = mr_sim_step(s, err);
    while (!status && !interrupted && !mr_sim_done(s));
    stopped = !status && !mr_sim_done(s); /* later signals do not matter */
    return status;
}

/* s NULL: no more. */
static void watch(const mr_config *c, const char *plugin, const mr_sim *s)
{
    int64_t us = s ? mr_config_int(c, "sched", "max_op") / 1000 / LOOKS : 0;
    struct timeval every = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    watched = s;
    watched_plugin = plugin;
    signal(SIGALRM, look);
    setitimer(ITIMER_REAL, &(struct itimerval){every, every}, NULL);
}

static void add_speed(cJSON *rows, const char *name, const mr_speed *s)
{
    cJSON *row = cJSON_CreateObject(), *ops = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "policy", name);
    cJSON_AddNumberToObject(row, "queued", (double)s->queued);
    cJSON_AddNumberToObject(row, "submit_ns", s->submit);
    cJSON_AddNumberToObject(row, "bytes", s->bytes);
    cJSON_AddNumberToObject(row, "decision_ns", s->decision);
    for (int i = 0; i < MR_SPEED_OPS; i++)
        if (s->ops[i] >= 0)
            cJSON_AddNumberToObject(ops, mr_speed_op_name((mr_speed_op)i), s->ops[i]);
    cJSON_AddItemToObject(row, "ops_ns", ops);
    if (s->ejected[0])
        cJSON_AddStringToObject(row, "ejected", s->ejected);
    cJSON_AddItemToArray(rows, row);
}

/* One JSON list on the output: a row for each size. */
static int bench(mr_config *c, const options *o, mr_err *err)
{
    mr_loaded *plugin = NULL;
    char name[64];
    int code = EXIT_GIVEN;
    bool increasing = o->ranks && !strcmp(o->ranks, "increasing"), random = o->ranks && !strcmp(o->ranks, "random");
    if (o->ranks && !increasing && !random)
        return mr_err_set(err, MR_E_INVAL, "--ranks %s: must be increasing or random", o->ranks), EXIT_GIVEN;
    if (load_policy(c, o, &plugin, err))
        return EXIT_GIVEN;
    mr_policy_name(plugin->plugin, mr_config_text(c, "sched", "policy"), name, sizeof name);
    catch_crashes();
    watched_plugin = plugin->plugin->name;
    cJSON *rows = cJSON_CreateArray();
    for (const char *at = o->bench; *at;) {
        char *end;
        unsigned long long queued = strtoull(at, &end, 10);
        mr_host_box *host = NULL;
        mr_speed speed;
        if (end == at || !queued || queued > 100000000 || (*end && *end != ',')) {
            mr_err_set(err, MR_E_INVAL, "--bench %s: sizes of the queue with ',' between, 1 to 100000000", o->bench);
            goto end;
        }
        at = *end ? end + 1 : end;
        if (mr_host_new(&host, plugin->plugin, c, NULL, NULL)) {
            mr_err_set(err, MR_E_NOMEM, "out of memory");
            goto end;
        }
        mr_host_on_fail(host, mr_speed_failed, NULL);
        mr_status status = mr_speed_measure(o->ranks ? o->ranks : name,
                                            increasing ? &mr_speed_increasing
                                            : random   ? &mr_speed_random
                                                       : &plugin->ops.sched,
                                            mr_host_table(host), queued, &speed, err);
        mr_host_free(host);
        if (status)
            goto end;
        add_speed(rows, o->ranks ? o->ranks : name, &speed);
    }
    char *text = cJSON_Print(rows);
    printf("%s\n", text ? text : "[]");
    free(text);
    code = text ? EXIT_DONE : EXIT_OURS;
end:
    cJSON_Delete(rows);
    mr_plugin_unload(plugin);
    return code;
}

/* A stream's task has ended: the totals are made when the simulation is. */
static mr_status counted(void *totals, uint32_t task, mr_err *err)
{
    return mr_report_totals_add(*(mr_report_totals **)totals, task, err);
}

static int run(mr_config *c, const options *o, mr_err *err)
{
    int code = EXIT_GIVEN;
    mr_workload *w = NULL;
    mr_loaded *plugin = NULL;
    mr_host_box *host = NULL;
    mr_sim *s = NULL;
    mr_report_totals *totals = NULL;
    mr_sim_conf conf;
    char name[64];
    mr_wl_format format = !o->format || strcmp(o->format, "auto") == 0 ? MR_WL_AUTO
                          : strcmp(o->format, "jsonl") == 0            ? MR_WL_JSONL
                                                                       : MR_WL_WFFORMAT;
    if (format == MR_WL_WFFORMAT && strcmp(o->format, "wfformat") != 0)
        return mr_err_set(err, MR_E_INVAL, "--format %s: must be auto, jsonl or wfformat", o->format), EXIT_GIVEN;
    if (o->stream && (format == MR_WL_WFFORMAT || o->repl))
        return mr_err_set(err, MR_E_INVAL, "--stream: only JSONL, and not with --repl"), EXIT_GIVEN;
    configure(c, o, &conf);
    if (load_policy(c, o, &plugin, err) ||
        (o->stream ? mr_feed_open(&w, o->workload, conf.seed, err) : mr_workload_read(&w, o->workload, format, err)) ||
        choose_platform(c, o->platform, w, err))
        goto end;
    if (!o->stream)
        mr_workload_draw(w, conf.seed);
    conf.ended = o->stream ? counted : NULL;
    conf.user = &totals;
    if (mr_sim_new(&s, w, &w->platform, &conf, err)) {
        code = err->status == MR_E_UNSCHEDULABLE || err->status == MR_E_CONFIG ? EXIT_GIVEN : EXIT_OURS;
        goto end;
    }
    mr_policy_name(plugin->plugin, mr_config_text(c, "sched", "policy"), name, sizeof name);
    if (mr_host_new(&host, plugin->plugin, c, host_now, s)) {
        mr_err_set(err, MR_E_NOMEM, "out of memory");
        goto end;
    }
    mr_host_on_fail(host, host_failed, s);
    mr_host_on_work(host, host_worked, s);
    catch_crashes();
    watch(c, plugin->plugin->name, s);
    if (mr_sim_policy(s, name, &plugin->ops.sched, mr_host_table(host), err))
        goto end; /* the plugin's, or its policy file's, own refusal */
    if (o->repl) {
        code = mr_repl(s, c, plugin, stdin, stdout) ? EXIT_STUCK : EXIT_DONE;
        goto end;
    }
    if (o->stream && mr_report_totals_new(&totals, w, &w->platform, s, o->trace, err))
        goto end;
    mr_status status = run_to_end(s, err);
    if (status) {
        code = status == MR_E_DEADLOCK || status == MR_E_TIMEOUT ? EXIT_STUCK
               : status == MR_E_POLICY || (o->stream && (status == MR_E_CONFIG || status == MR_E_UNSCHEDULABLE))
                   ? EXIT_GIVEN
                   : EXIT_OURS;
        goto end;
    }
    code = write_results(o, w, s, &conf, totals, mr_config_text(c, "sched", "know"), plugin->plugin, err);
end:
    mr_report_totals_free(totals);
    if (s)
        mr_control_policy_end(mr_sim_control(s));
    watch(c, NULL, NULL);
    mr_sim_free(s);
    mr_host_free(host);
    mr_plugin_unload(plugin);
    mr_workload_free(w);
    return code;
}

int main(int argc, char **argv)
{
    options o = {.own = NULL};
    mr_err err = {0};
    mr_config *c = NULL;
    int code = EXIT_GIVEN;
    if (mr_config_new(&c)) {
        fprintf(stderr, "miniray-sim: out of memory\n");
        return EXIT_OURS;
    }
    if (!read_options(argc, argv, c, &o, &err))
        code = o.bench ? bench(c, &o, &err) : run(c, &o, &err);
    if (code != EXIT_DONE)
        fprintf(stderr, "miniray-sim: %s\n", err.text);
    mr_config_free(c);
    return code;
}
