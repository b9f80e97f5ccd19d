/* platform.h: the machines of a simulated run: nodes with their pools and speeds, and the links between them.
 *
 * Read from the "platform" object of a workload, or made from --nodes and --cpus.  Plain data, owned by who inits it;
 * read-only once the run starts.
 */
#ifndef MR_ENGINE_SIM_PLATFORM_H
#define MR_ENGINE_SIM_PLATFORM_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "control/record.h"
#include "engine/sim/json.h"

enum { MR_PLATFORM_NODES = 65535, MR_PLATFORM_CLASSES = 64 };

typedef struct mr_platform_node {
    char name[64];
    uint32_t cls; /* index in mr_platform.classes */
    double speed; /* a duration of 1 s takes 1 / speed s here, unless it is given by class */
    uint32_t n_amounts;
    mr_named *amounts; /* owned; nodes made by one "count" have their own copies */
    uint32_t n_labels;
    mr_label *labels;   /* owned, NULL: none */
    uint64_t store;     /* bytes its store holds; 0: any */
    uint64_t bandwidth; /* bytes per second in and out; a copy goes at the lower one of its two ends */
    int64_t mtbf;       /* mean ns until it dies; 0: as the platform says */
} mr_platform_node;

typedef struct mr_platform_failure { /* a node that dies at a given time */
    uint32_t node;
    int64_t at, back; /* ns since the run began; back MR_UNKNOWN: it stays away */
} mr_platform_failure;

typedef enum mr_links {
    MR_LINKS_SERIAL,   /* an ordered pair of nodes carries one copy after the other */
    MR_LINKS_PORTS,    /* a node sends one copy at a time, and receives one at a time */
    MR_LINKS_PARALLEL, /* copies do not wait for each other */
    MR_LINKS_FAIR,     /* a node's ports share their bandwidth among all copies through them, max-min fair */
    MR_LINKS_N
} mr_links;

typedef struct mr_platform {
    mr_platform_node *nodes;
    uint32_t n_nodes, cap_nodes;
    char classes[MR_PLATFORM_CLASSES][32];
    uint32_t n_classes;
    uint64_t bandwidth;            /* bytes per second of nodes that say nothing */
    int64_t latency;               /* ns that the last byte takes to arrive */
    uint64_t disk;                 /* bytes per second, in or out, of what a full store gives to a disk */
    mr_links links;                /* what waits for what */
    int64_t worker_mtbf;           /* mean ns of running after which a worker dies; 0: never */
    int64_t node_mtbf;             /* mean ns until a node dies; 0: never */
    int64_t node_repair;           /* ns until one that died by chance is back, empty; MR_UNKNOWN: it stays away */
    mr_platform_failure *failures; /* owned */
    uint32_t n_failures, cap_failures;
    int64_t spawn; /* ns until a new worker is ready */
    bool fixed;    /* one worker per CPU, no more */
} mr_platform;

/* No nodes yet; 1 GB/s, 100 us, serial links, disks of 500 MB/s. */
void mr_platform_init(mr_platform *p);
void mr_platform_fini(mr_platform *p);

/* `n` nodes "node0".. of class "default" with `cpus` CPUs each.  Errors: NOMEM, INVAL (too many). */
mr_status mr_platform_uniform(mr_platform *p, uint32_t n, double cpus, mr_err *err) MR_CHECK_RESULT;
/* Some node may die. */
bool mr_platform_mortal(const mr_platform *p);
/* From {"nodes": [{"name", "count", "cpus", "gpus", "memory", "resources", "labels", "speed", "class", "bandwidth",
 * "store", "mtbf_s"}], "bandwidth", "latency", "disk", "links", "worker_mtbf_s", "node_mtbf_s", "node_repair_s",
 * "failures": [{"node", "at_s", "back_s"}], "spawn_s", "workers"}.  Errors: CONFIG, NOMEM; *p may be half filled, fini
 * it. */
mr_status mr_platform_read(mr_platform *p, const cJSON *json, const mr_json_at *at) MR_CHECK_RESULT;
/* A file with such an object, alone or under "platform", in place of *p.  With `keep` each class must be one of *p's,
 * and keeps its number.  Errors: IO, CONFIG, NOMEM; *p is as it was. */
mr_status mr_platform_load(mr_platform *p, const char *path, bool keep, mr_err *err) MR_CHECK_RESULT;
/* {"key": "text" or number} into out[*n..most).  Errors: CONFIG. */
mr_status mr_platform_labels(const mr_json_at *at, const char *field, const cJSON *v, mr_label *out, uint32_t most,
                             uint32_t *n) MR_CHECK_RESULT;
/* Amount of a resource on a node, in units of control (CPU and custom in 1/10000); 0 if it has none. */
int64_t mr_platform_amount(const mr_platform_node *n, const char *resource);
/* Index of a class; MR_PLATFORM_CLASSES if the platform has no such class. */
uint32_t mr_platform_class(const mr_platform *p, const char *name);

#endif
