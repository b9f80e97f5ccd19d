/* config_keys.c: owns the table of settings: type, default, range and one line of help each.  Adding a setting is
 * adding a line here (and to config/default.ini, which a test compares).  Knows nothing of where values come from.
 */
#include "base/config_keys.h"

#include <string.h>

#include "base/config.h"

#define ANY 1, 0
#define COUNT_MAX 1e9
#define VAST 9e18

/* clang-format off */
const mr_key mr_config_keys[] = {
    /* section  name             type              form            default          shown  choices  range     help */
    {"node",    "cpus",          MR_CONF_DOUBLE,   MR_KEY_PLAIN,   NULL, "the usable cores", NULL, 0, COUNT_MAX,
        "CPUs of the node, fractions too; the slots that tasks run in"},
    {"node",    "gpus",          MR_CONF_DOUBLE,   MR_KEY_PLAIN,   "0",             NULL,  NULL,    0, COUNT_MAX,
        "GPUs of the node"},
    {"node",    "memory",        MR_CONF_BYTES,    MR_KEY_PLAIN,   NULL,     "70% of memory", NULL,   0, VAST,
        "memory that tasks may ask for with memory=, which is counted, not measured"},
    {"node",    "resources",     MR_CONF_TEXT,     MR_KEY_AMOUNTS, NULL,          "none",   NULL,    ANY,
        "custom resources: name=amount,name=amount"},
    {"node",    "labels",        MR_CONF_TEXT,     MR_KEY_PAIRS,   NULL,          "none",   NULL,    ANY,
        "labels of the node: name=value,name=value"},

    {"engine",  "kind",          MR_CONF_TEXT,     MR_KEY_CHOICE,  "process",       NULL,  "process|sim", ANY,
        "what runs the work: worker processes, or virtual time"},
    {"engine",  "workers",       MR_CONF_TEXT,     MR_KEY_CHOICE,  "elastic",       NULL,  "elastic|fixed", ANY,
        "elastic: processes come and go as tasks need them; fixed: one per CPU, for labs"},
    {"engine",  "max_workers",   MR_CONF_INT,      MR_KEY_PLAIN,   "2000",          NULL,  NULL,    1, 65535,
        "worker processes at one time, over all nodes; those of actors do not count"},
    {"engine",  "spin_us",       MR_CONF_INT,      MR_KEY_PLAIN,   "50",            NULL,  NULL,    0, 1e6,
        "how long a waiter spins before it sleeps"},
    {"engine",  "idle_worker_s", MR_CONF_DURATION, MR_KEY_PLAIN,   "60s",           NULL,  NULL,    0, VAST,
        "a worker that had nothing to do for this long is retired"},
    {"engine",  "prefetch",      MR_CONF_BOOL,     MR_KEY_PLAIN,   "true",          NULL,  NULL,    ANY,
        "a worker may hold a few tasks ahead, so that it never waits for the node"},
    {"engine",  "seed",          MR_CONF_INT,      MR_KEY_PLAIN,   "0",             NULL,  NULL,    0, VAST,
        "seed of the simulated workload's own random numbers"},
    {"engine",  "libraries",     MR_CONF_TEXT,     MR_KEY_PATHS,   NULL,          "none",   NULL,    ANY,
        "shared libraries with tasks written in C, ':' between them"},
    {"engine",  "infeasible",    MR_CONF_TEXT,     MR_KEY_CHOICE,  "error",         NULL,  "error|wait", ANY,
        "a request that no node can ever satisfy: fails at submit, or waits for a node to be added"},
    {"engine",  "add_nodes",     MR_CONF_BOOL,     MR_KEY_PLAIN,   "false",         NULL,  NULL,    ANY,
        "nodes may be added and removed while it runs: values then travel through an arena of their own"},
    {"engine",  "record",        MR_CONF_PATH,     MR_KEY_PLAIN,   NULL,          "none",   NULL,    ANY,
        "a file that every event of the run is written to, one JSON object a line, for `miniray replay`"},
    {"engine",  "history",       MR_CONF_INT,      MR_KEY_PLAIN,   "10000",         NULL,  NULL,    0, 1e8,
        "finished tasks that are remembered"},
    {"engine",  "grace",         MR_CONF_DURATION, MR_KEY_PLAIN,   "5s",            NULL,  NULL,    0, VAST,
        "how long a process that was asked to stop, or whose task was cancelled, may take before it is killed"},
    {"engine",  "inline_max",    MR_CONF_BYTES,    MR_KEY_PLAIN,   "4096",          NULL,  NULL,    0, 65536,
        "values up to this size travel inside records and not through the store"},
    {"engine",  "log_to_driver", MR_CONF_BOOL,     MR_KEY_PLAIN,   "true",          NULL,  NULL,    ANY,
        "what workers print appears on the driver's screen, with a prefix"},
    {"engine",  "merge_output",  MR_CONF_BOOL,     MR_KEY_PLAIN,   "true",          NULL,  NULL,    ANY,
        "a line that several workers print within a second is shown once and counted"},

    {"store",   "plugin",        MR_CONF_TEXT,     MR_KEY_PLAIN,   "store-shm",     NULL,  NULL,    ANY,
        "where the bytes live: a store plugin's name, or the path of its .so"},
    {"store",   "capacity",      MR_CONF_BYTES,    MR_KEY_PLAIN,   NULL, "30% of memory",  NULL,    0, VAST,
        "bytes of objects that a node's store may hold, those of small values that travel inline included"},
    {"store",   "spill",         MR_CONF_BOOL,     MR_KEY_PLAIN,   "true",          NULL,  NULL,    ANY,
        "what a full store has no room for goes to the disk and comes back when it is wanted"},
    {"store",   "spill_dir",     MR_CONF_PATH,     MR_KEY_PLAIN,   NULL, "TMPDIR, else /var/tmp", NULL, ANY,
        "the folder for that; the files in it have no name, so nothing is ever left there"},
    {"store",   "spill_compress",MR_CONF_TEXT,     MR_KEY_CHOICE,  "none",          NULL,  "none|lz4|zstd", ANY,
        "how those files are made smaller: lz4 costs little, zstd saves more"},
    {"store",   "full_wait",     MR_CONF_DURATION, MR_KEY_PLAIN,   "2s",            NULL,  NULL,    0, VAST,
        "how long a put or a result waits for room in a full store before ObjectStoreFullError; what is being spilled is waited for"},
    {"store",   "idle_return_s", MR_CONF_DURATION, MR_KEY_PLAIN,   "30s",           NULL,  NULL,    0, VAST,
        "memory of a store that was not used for this long goes back to the system; 0: never"},

    {"sched",   "plugin",        MR_CONF_TEXT,     MR_KEY_PLAIN,   "sched-fifo",    NULL,  NULL,    ANY,
        "who runs next, and where: a scheduler plugin's name, or the path of its .so"},
    {"sched",   "policy",        MR_CONF_PATH,     MR_KEY_PLAIN,   NULL,          "none",   NULL,    ANY,
        "a policy written in Lua; makes plugin = sched-lua unless a plugin is given"},
    {"sched",   "strict",        MR_CONF_BOOL,     MR_KEY_PLAIN,   "false",         NULL,  NULL,    ANY,
        "every start is the policy's own decision at that instant: no prefetch"},
    {"sched",   "max_hold",      MR_CONF_DURATION, MR_KEY_PLAIN,   "1s",            NULL,  NULL,    0, VAST,
        "a policy that holds everything back for this long, while nothing runs, is ejected"},
    {"sched",   "max_op",        MR_CONF_DURATION, MR_KEY_PLAIN,   "10s",           NULL,  NULL,    0, VAST,
        "a question that a plugin in C does not answer for this long ends the session, with a line that names both; 0: never"},
    {"sched",   "min_slice",     MR_CONF_DURATION, MR_KEY_PLAIN,   "1ms",           NULL,  NULL,    0, VAST,
        "a task runs at least this long, each time, before a policy may have it stopped"},
    {"sched",   "know",          MR_CONF_TEXT,     MR_KEY_KNOW,    "learned",       NULL,  "nothing|learned|stated|exact", ANY,
        "what a policy may know of durations; noisy:S is exact with an error of deviation S"},
    {"sched",   "reveal",        MR_CONF_TEXT,     MR_KEY_CHOICE,  "whole",         NULL,  "whole|unfold", ANY,
        "whether a simulated graph is submitted at once, or as parents end"},
    {"sched",   "on_error",      MR_CONF_TEXT,     MR_KEY_CHOICE,  "fifo",          NULL,  "fifo|stop", ANY,
        "after a policy's error: go on as FIFO with one loud line, or end the session"},
    {"sched",   "explain",       MR_CONF_BOOL,     MR_KEY_PLAIN,   "false",         NULL,  NULL,    ANY,
        "decisions (the last 32,768) and the lines that ask for objects are recorded: `miniray why TASK`, `miniray memory`"},
    {"sched",   "quotas",        MR_CONF_TEXT,     MR_KEY_AMOUNTS, NULL,          "none",   NULL,    ANY,
        "CPUs that the tasks of a user (option user=) may use at a time: user=cpus,user=cpus"},
    {"sched",   "seed",          MR_CONF_INT,      MR_KEY_PLAIN,   "0",             NULL,  NULL,    0, VAST,
        "seed of the policy's random numbers"},

    {"plugins", "path",          MR_CONF_TEXT,     MR_KEY_PATHS,   NULL,          "none",   NULL,    ANY,
        "folders to look for plugins in, ':' between them; before the package's own"},

    {"log",     "level",         MR_CONF_TEXT,     MR_KEY_CHOICE,  "warn",          NULL,  "error|warn|info|debug", ANY,
        "what is worth a line"},
    {"log",     "file",          MR_CONF_PATH,     MR_KEY_PLAIN,   NULL,        "stderr",   NULL,    ANY,
        "the file that log lines are appended to"},
    {"log",     "output",        MR_CONF_PATH,     MR_KEY_PLAIN,   NULL,          "none",   NULL,    ANY,
        "a file that what workers print is appended to as well; at 16 MiB it becomes FILE.1"},

    {"sim",     "nodes",         MR_CONF_INT,      MR_KEY_PLAIN,   "1",             NULL,  NULL,    1, 65535,
        "simulated nodes, each like [node]; ignored when there are [node.NAME] sections"},
    {"sim",     "bandwidth",     MR_CONF_BYTES,    MR_KEY_PLAIN,   "1G",            NULL,  NULL,    1, VAST,
        "bytes a second between two nodes"},
    {"sim",     "latency",       MR_CONF_DURATION, MR_KEY_PLAIN,   "100us",         NULL,  NULL,    0, VAST,
        "time before the first byte arrives"},
    {"sim",     "dispatch_us",   MR_CONF_INT,      MR_KEY_PLAIN,   "0",             NULL,  NULL,    0, 1e9,
        "cost of handing a task to a worker"},
    {"sim",     "switch_us",     MR_CONF_INT,      MR_KEY_PLAIN,   "0",             NULL,  NULL,    0, 1e9,
        "cost of going on with a task that was stopped"},
    {"sim",     "decision_ns",   MR_CONF_INT,      MR_KEY_PLAIN,   "0",             NULL,  NULL,    0, 1e9,
        "cost of 1,000 instructions of a Lua policy; decisions of one instant leave when they have passed"},
    {"sim",     "call_ns",       MR_CONF_INT,      MR_KEY_PLAIN,   "0",             NULL,  NULL,    0, 1e9,
        "cost of each call of a function of the policy, in C or in Lua, in the same way"},
    {"sim",     "max_time",      MR_CONF_DURATION, MR_KEY_PLAIN,   NULL,      "unlimited",  NULL,    1, VAST,
        "virtual time at which a run is given up"},
};
/* clang-format on */

const size_t mr_config_n_keys = sizeof mr_config_keys / sizeof mr_config_keys[0];
const char *const mr_config_sections[] = {"node", "engine", "store", "sched", "plugins", "log", "sim"};
const size_t mr_config_n_sections = sizeof mr_config_sections / sizeof mr_config_sections[0];

const mr_key *mr_key_find(const char *section, const char *name)
{
    if (strncmp(section, "node.", 5) == 0)
        section = "node";
    for (size_t i = 0; i < mr_config_n_keys; i++)
        if (strcmp(mr_config_keys[i].section, section) == 0 && strcmp(mr_config_keys[i].name, name) == 0)
            return &mr_config_keys[i];
    return NULL;
}

bool mr_key_section_known(const char *section)
{
    for (size_t i = 0; i < mr_config_n_sections; i++)
        if (strcmp(mr_config_sections[i], section) == 0)
            return true;
    return false;
}

size_t mr_key_names(const char *section, const char **out, size_t room)
{
    size_t n = 0;
    if (strncmp(section, "node.", 5) == 0)
        section = "node";
    for (size_t i = 0; i < mr_config_n_keys && n < room; i++)
        if (strcmp(mr_config_keys[i].section, section) == 0)
            out[n++] = mr_config_keys[i].name;
    return n;
}

const char *mr_key_type_text(mr_conf_type type)
{
    static const char *const texts[] = {"text", "whole number", "number", "true or false", "bytes", "duration", "path"};
    return (size_t)type < sizeof texts / sizeof texts[0] ? texts[type] : "text";
}

int mr_config_help_at(size_t i, mr_config_help *out)
{
    if (i >= mr_config_n_keys)
        return 0;
    const mr_key *k = &mr_config_keys[i];
    out->section = k->section;
    out->key = k->name;
    out->type = k->choices ? k->choices : mr_key_type_text(k->type);
    if (k->form == MR_KEY_KNOW)
        out->type = "nothing|learned|stated|noisy:S|exact";
    out->otherwise = k->shown ? k->shown : k->otherwise;
    out->help = k->help;
    return 1;
}
