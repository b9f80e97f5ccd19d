/* node.c: owns the node list: opens it from the config, and takes it apart.
 *
 * Plugins, stores, the carrier, the shared links, control and its policy; the supervisor and the threads are started
 * last.  No lock here: nobody else has the list yet, or any more.
 */
#define _GNU_SOURCE
#include "engine/process/node.h"
#include "engine/process/drive.h"
#include "engine/process/recorder.h"
#include "engine/process/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "base/machine.h"
#include "engine/engine.h"

enum { FIRST_ID = 256 };

_Atomic bool mr_nodes_forked;
static _Atomic int nodes_open; /* a fork before or after a session harms nothing */

static void nodes_in_child(void)
{
    if (atomic_load(&nodes_open))
        atomic_store(&mr_nodes_forked, true);
}

static void nodes_once(void)
{
    if (pthread_atfork(NULL, NULL, nodes_in_child))
        mr_log(MR_LOG_ERROR, "engine", "no fork guard: out of memory");
}

bool mr_engine_forked(void)
{
    return atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------------- plugins -- */

static bool nodes_said(const mr_config *c, const char *section, const char *key)
{
    const mr_setting *s;
    for (size_t i = 0; (s = mr_config_at(c, i)) != NULL; i++)
        if (!strcmp(s->section, section) && !strcmp(s->key, key))
            return s->source != MR_FROM_DEFAULT;
    return false;
}

static mr_status nodes_plugins(mr_nodes *n, mr_err *err)
{
    char own[4096];
    mr_config *c = n->config;
    const char *sched = mr_config_text(c, "sched", "plugin");
    if (mr_config_text(c, "sched", "policy") && !nodes_said(c, "sched", "plugin"))
        sched = "sched-lua";
    snprintf(own, sizeof(own), "%s/plugins", n->home);
    mr_status status =
        mr_plugin_load(&n->store_plugin, mr_config_text(c, "store", "plugin"), MR_KIND_STORE, c, own, err);
    if (!status)
        status = mr_config_check_plugin(c, n->store_plugin->plugin, err);
    if (!status)
        status = mr_plugin_load(&n->sched_plugin, sched, MR_KIND_SCHED, c, own, err);
    if (!status)
        status = mr_config_check_plugin(c, n->sched_plugin->plugin, err);
    if (!status)
        status = mr_plugin_check_sections(
            c, own, (const mr_plugin *const[]){n->store_plugin->plugin, n->sched_plugin->plugin}, 2, err);
    if (status)
        return status;
    /* The node's own store carries when others can map it and it is the only one; else a shared arena beside it. */
    n->carried = !n->store_plugin->ops.store.share || n->n_nodes > 1 || mr_config_int(c, "engine", "add_nodes");
    if (n->carried) {
        status = mr_plugin_load(&n->carrier_plugin, "store-shm", MR_KIND_STORE, c, own, err);
        if (!status)
            status = mr_config_check_plugin(c, n->carrier_plugin->plugin, err);
        if (!status && !n->carrier_plugin->ops.store.share)
            status = mr_err_set(err, MR_E_PLUGIN, "%s has no `share`: it cannot carry values to workers",
                                n->carrier_plugin->path);
    }
    return status;
}

/* A store that kept objects of an earlier session: ids begin where none of theirs is, 2^20 for every second that
 * passed.
 */
static void nodes_ids_beyond(mr_nodes *n, const mr_place *s)
{
    mr_store_stats stats = {0};
    struct timespec now;
    if (s->ops->stats)
        s->ops->stats(s->self, &stats);
    clock_gettime(CLOCK_REALTIME, &now);
    if (stats.n_objects)
        atomic_store(&n->next_id, ((uint64_t)now.tv_sec << 20 & ((UINT64_C(1) << 47) - 1)) + FIRST_ID);
}

static mr_status nodes_stores(mr_nodes *n, mr_err *err)
{
    uint64_t capacity = (uint64_t)mr_config_int(n->config, "store", "capacity");
    if (!mr_config_text(n->config, "store", "capacity"))
        capacity = mr_machine_memory("") / 10 * 3 / n->n_nodes;
    n->capacity = capacity;
    n->room.full_ns = mr_config_int(n->config, "store", "full_wait");
    n->room.idle_ns = mr_config_int(n->config, "store", "idle_return_s");
    for (uint32_t i = 0; i < n->n_nodes; i++) {
        mr_status status = mr_place_open(n, &n->node[i].store, n->store_plugin, i, capacity, err);
        if (status)
            return status;
        nodes_ids_beyond(n, &n->node[i].store);
    }
    if (n->carried) {
        mr_status status = mr_place_open(n, &n->carrier, n->carrier_plugin, MR_CARRIER_NODE, capacity, err);
        if (status)
            return status;
    }
    mr_place *c = mr_carrier(n);
    mr_status status = c->ops->share(c->self, &n->share);
    if (status)
        return mr_err_set(err, status, "%s cannot share its memory: %s", c->plugin->path, mr_status_text(status));
    return MR_OK;
}

/* ------------------------------------------------------------------------------------------------- shared memory -- */

static mr_status nodes_links(mr_nodes *n, mr_err *err)
{
    n->links_fd = memfd_create("miniray-links", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    n->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->links_fd < 0 || n->event_fd < 0 || ftruncate(n->links_fd, sizeof(mr_links)) ||
        fcntl(n->links_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return mr_err_set(err, MR_E_IO, "cannot make the memory shared with workers: %s", strerror(errno));
    n->links = mmap(NULL, sizeof(mr_links), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, n->links_fd, 0);
    if (n->links == MAP_FAILED) {
        n->links = NULL;
        return mr_err_set(err, MR_E_NOMEM, "cannot map the memory shared with workers: %s", strerror(errno));
    }
    madvise(n->links, sizeof(mr_links), MADV_DONTFORK);
    n->links->page.magic = MR_LINK_MAGIC;
    n->links->page.session = n->port.session;
    if (asprintf(&n->attach_env, "%d:%016llx:%d:%d:%d:%d:%llu:%llu:%d:%s", MR_LINK_VERSION,
                 (unsigned long long)n->port.session, n->links_fd, n->event_fd, n->share.fd_rw, n->share.fd_ro,
                 (unsigned long long)n->share.size, (unsigned long long)n->port.inline_max, n->port.explains,
                 mr_carrier(n)->plugin->path) < 0) {
        n->attach_env = NULL;
        return MR_E_NOMEM;
    }
    return MR_OK;
}

/* ------------------------------------------------------------------------------------------------- nodes' events -- */

static bool node_amount(mr_named *v, uint32_t *n, const char *name, size_t len, double amount)
{
    if (*n == MR_RES_MAX || len >= sizeof(v->name))
        return false;
    memset(&v[*n], 0, sizeof(*v));
    memcpy(v[*n].name, name, len);
    v[*n].amount = (int64_t)amount;
    ++*n;
    return true;
}

/* "name=1,other=2.5" and "key=value,..." were checked when the config was read. */
static bool node_lists(const char *resources, const char *labels, mr_named *amounts, uint32_t *n_amounts,
                       mr_label *pairs, uint32_t *n_labels)
{
    for (const char *at = resources; at && *at;) {
        size_t len = strcspn(at, "="), all = strcspn(at, ",");
        if (!node_amount(amounts, n_amounts, at, len, strtod(at + len + 1, NULL) * MR_RES_UNIT + 0.5))
            return false;
        at += all + (at[all] == ',');
    }
    for (const char *at = labels; at && *at;) {
        size_t key = strcspn(at, "="), all = strcspn(at, ",");
        if (*n_labels == MR_RES_MAX || key >= sizeof(pairs->key) || all - key - 1 >= sizeof(pairs->value))
            return false;
        mr_label *l = &pairs[(*n_labels)++];
        memset(l, 0, sizeof(*l));
        memcpy(l->key, at, key);
        memcpy(l->value, at + key + 1, all - key - 1);
        at += all + (at[all] == ',');
    }
    return true;
}

static mr_status nodes_add(mr_nodes *n, uint32_t number, const char *section, mr_err *err)
{
    const mr_config *c = n->config;
    struct {
        mr_ev_node ev;
        char bytes[MR_RES_MAX * (sizeof(mr_named) + sizeof(mr_label))];
    } *r = calloc(1, sizeof(*r));
    mr_label *labels = calloc(MR_RES_MAX, sizeof(*labels));
    mr_status status = MR_E_NOMEM;
    if (!r || !labels)
        goto out;
    mr_named *amounts = (mr_named *)(void *)r->bytes;
    double cpus = mr_config_text(c, section, "cpus") ? mr_config_double(c, section, "cpus") : mr_machine_cpus();
    double gpus = mr_config_double(c, section, "gpus");
    uint32_t n_amounts = 0, n_labels = 0;
    node_amount(amounts, &n_amounts, "CPU", 3, cpus * MR_RES_UNIT + 0.5);
    if (gpus > 0)
        node_amount(amounts, &n_amounts, "GPU", 3, gpus * MR_RES_UNIT + 0.5);
    bool told = mr_config_text(c, section, "memory");
    node_amount(amounts, &n_amounts, "memory", 6,
                told ? (double)mr_config_int(c, section, "memory") : (double)(mr_machine_memory("") / 10 * 7));
    if (!node_lists(mr_config_text(c, section, "resources"), mr_config_text(c, section, "labels"), amounts, &n_amounts,
                    labels, &n_labels)) {
        status = mr_err_set(err, MR_E_CONFIG, "[%s]: at most %d resources and labels, names under 32 bytes", section,
                            MR_RES_MAX);
        goto out;
    }
    memcpy(amounts + n_amounts, labels, n_labels * sizeof(*labels));
    snprintf(n->node[number].name, sizeof(n->node[number].name), "%s", strchr(section, '.') ? section + 5 : "main");
    n->node[number].alive = true;
    uint32_t bytes = (uint32_t)(n_amounts * sizeof(mr_named) + n_labels * sizeof(mr_label));
    r->ev = (mr_ev_node){.node = number, .n_amounts = n_amounts, .n_labels = n_labels, .speed = 1.0};
    r->ev.h = (mr_record){.kind = MR_EV_NODE_ADDED, .version = MR_RECORD_VERSION, .n_bytes = bytes};
    r->ev.h.size = (uint32_t)mr_record_total(sizeof(mr_ev_node), 0, bytes);
    r->ev.fixed = !strcmp(mr_config_text(c, "engine", "workers"), "fixed");
    memcpy(r->ev.name, n->node[number].name, sizeof(r->ev.name));
    status = mr_drive_step(n, &r->ev.h);
    if (status)
        mr_err_set(err, status, "[%s]: %s", section, mr_control_why(n->control));
out:
    free(labels);
    free(r);
    return status;
}

/* ------------------------------------------------------------------------------------------------------- control -- */

/* The page in which control keeps what the policy does. */
static mr_status nodes_now(mr_nodes *n, mr_err *err)
{
    n->now_fd = memfd_create("miniray-policy", MFD_CLOEXEC);
    if (n->now_fd < 0 || ftruncate(n->now_fd, sizeof(*n->policy_now)))
        return mr_err_set(err, MR_E_IO, "no memory to share with the supervisor: %s", strerror(errno));
    void *at = mmap(NULL, sizeof(*n->policy_now), PROT_READ | PROT_WRITE, MAP_SHARED, n->now_fd, 0);
    if (at == MAP_FAILED)
        return mr_err_set(err, MR_E_NOMEM, "no memory to share with the supervisor: %s", strerror(errno));
    n->policy_now = at;
    mr_control_policy_now(n->control, n->policy_now);
    return MR_OK;
}

static mr_status nodes_control(mr_nodes *n, mr_err *err)
{
    const mr_config *c = n->config;
    mr_control_conf conf;
    mr_control_conf_init(&conf);
    const char *know = mr_config_text(c, "sched", "know");
    conf.seed = (uint64_t)mr_config_int(c, "sched", "seed");
    conf.max_hold = mr_config_int(c, "sched", "max_hold");
    conf.stop_on_error = !strcmp(mr_config_text(c, "sched", "on_error"), "stop");
    conf.min_slice = mr_config_int(c, "sched", "min_slice");
    conf.max_workers = (uint32_t)mr_config_int(c, "engine", "max_workers");
    if (conf.max_workers > MR_LINKS_MAX - 64)
        conf.max_workers = MR_LINKS_MAX - 64;
    conf.history = (uint32_t)mr_config_int(c, "engine", "history");
    conf.idle_worker = mr_config_int(c, "engine", "idle_worker_s");
    conf.spill = n->spill.disk[0] != NULL;
    conf.lineage = conf.spill || n->n_nodes > 1 || mr_config_int(c, "engine", "add_nodes");
    conf.grace = mr_config_int(c, "engine", "grace");
    conf.infeasible_wait = !strcmp(mr_config_text(c, "engine", "infeasible"), "wait");
    conf.know = !strcmp(know, "nothing")   ? MR_KNOW_NOTHING
                : !strcmp(know, "learned") ? MR_KNOW_LEARNED
                                           : MR_KNOW_STATED;
    conf.explain = n->port.explains;
    if (mr_config_int(c, "sched", "strict") || !mr_config_int(c, "engine", "prefetch"))
        conf.prefetch = 0;
    mr_named quotas[MR_RES_MAX];
    if (!node_lists(mr_config_text(c, "sched", "quotas"), NULL, quotas, &conf.n_quotas, NULL, NULL))
        return mr_err_set(err, MR_E_CONFIG, "[sched] quotas: at most %d users, names under 56 bytes", MR_RES_MAX);
    conf.quotas = quotas;
    mr_status status = mr_control_new(&conf, &n->control);
    if (status)
        return mr_err_set(err, status, "control: %s", mr_status_text(status));
    for (uint32_t i = 0; !status && i < n->n_nodes; i++) {
        const char *section = mr_config_node(c, i);
        status = nodes_add(n, i, section ? section : "node", err);
    }
    return status ? status : nodes_now(n, err);
}

/* The last of all: what watches a policy, also while it is opened, is there by then.  Lock: the node list's. */
static mr_status nodes_policy(mr_nodes *n, mr_err *err)
{
    const mr_plugin *plugin = n->sched_plugin->plugin;
    char name[64];
    mr_policy_name(plugin, mr_config_text(n->config, "sched", "policy"), name, sizeof(name));
    mr_status status = mr_nodes_policy_host(n, plugin, &n->sched_host);
    if (!status)
        status = mr_control_policy(n->control, name, &n->sched_plugin->ops.sched, mr_host_table(n->sched_host), err);
    return status ? status : mr_nodes_policy_tell(n, name);
}

/* ------------------------------------------------------------------------------------------------- open and free -- */

static mr_status nodes_args(mr_nodes *n, const mr_open_args *args, mr_err *err)
{
    static const mr_log_level levels[] = {MR_LOG_ERROR, MR_LOG_WARN, MR_LOG_INFO, MR_LOG_DEBUG};
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char home[4096];
    mr_status status = mr_engine_home(args->home, home, sizeof(home), err);
    if (status)
        return status;
    const char *file = mr_config_text(n->config, "log", "file");
    if (file) {
        n->log_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (n->log_fd < 0)
            return mr_err_set(err, MR_E_IO, "[log] file = %s: %s", file, strerror(errno));
    }
    for (int i = 0; i < 4; i++)
        if (!strcmp(mr_config_text(n->config, "log", "level"), names[i]))
            mr_log_setup(levels[i], file ? n->log_fd : 2);
    if ((status = mr_output_open(n, err)))
        return status;
    n->home = strdup(home);
    const char *libraries = mr_config_text(n->config, "engine", "libraries");
    n->libraries = libraries ? strdup(libraries) : NULL;
    n->script_dir = args->script_dir ? strdup(args->script_dir) : NULL;
    if (!n->home || (libraries && !n->libraries) || (args->script_dir && !n->script_dir))
        return MR_E_NOMEM;
    n->prestart = args->prestart;
    n->show_output = mr_config_int(n->config, "engine", "log_to_driver") != 0;
    n->spin_ns = (uint32_t)mr_config_int(n->config, "engine", "spin_us") * 1000;
    n->port.inline_max = (uint64_t)mr_config_int(n->config, "engine", "inline_max");
    n->port.explains = mr_config_int(n->config, "sched", "explain") != 0;
    size_t count = 0;
    while (args->zygote && args->zygote[count])
        count++;
    char **zygote = count ? calloc(count + 1, sizeof(*zygote)) : NULL;
    n->zygote = zygote;
    for (size_t i = 0; i < count; i++)
        if (!zygote || !(zygote[i] = strdup(args->zygote[i])))
            return MR_E_NOMEM;
    for (n->n_nodes = 0; n->n_nodes < MR_NODES_MAX && mr_config_node(n->config, n->n_nodes);)
        n->n_nodes++;
    if (!n->n_nodes)
        n->n_nodes = 1;
    return MR_OK;
}

static void nodes_init(mr_nodes *n)
{
    n->port.ops = &mr_node_port;
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    /* It is held for less than a microsecond mostly: who wants it looks a little before it sleeps. */
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&n->lock, &kind);
    pthread_mutexattr_destroy(&kind);
    pthread_mutex_init(&n->line_lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&n->line_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    n->links_fd = n->event_fd = n->epoll_fd = n->timer_fd = n->sup_fd = n->sup_pidfd = n->log_fd = n->save_fd = -1;
    n->share.fd_rw = n->share.fd_ro = n->now_fd = -1;
    n->wake_at = n->timer_at = n->poll_at = n->room.trim_at = n->starved = -1;
    n->waiters.next = n->waiters.prev = &n->waiters;
    n->inner_end = &n->inner;
    mr_movers_init(n);
    n->lines_end = &n->lines;
    n->sup_queue_end = &n->sup_queue;
    mr_table_init(&n->values, sizeof(mr_val));
    mr_table_init(&n->payloads, sizeof(void *));
    mr_table_init(&n->copies, sizeof(mr_carry));
    mr_table_init(&n->blamed, sizeof(uint64_t));
    mr_table_init(&n->by_worker, sizeof(uint32_t));
    mr_table_init(&n->notes.table, sizeof(mr_noted));
    atomic_store(&n->next_id, FIRST_ID);
    n->origin = mr_drive_monotonic();
}

mr_status mr_engine_open(mr_config *config, const mr_open_args *args, mr_port **out, mr_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (mr_engine_forked()) {
        mr_config_free(config);
        return mr_err_set(err, MR_E_FORKED, "this process was forked from a driver: start a new one instead");
    }
    mr_nodes *n = aligned_alloc(_Alignof(mr_nodes), sizeof(*n));
    if (!n) {
        mr_config_free(config);
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    }
    memset(n, 0, sizeof(*n));
    nodes_init(n);
    n->config = config;
    pthread_once(&once, nodes_once);
    atomic_fetch_add(&nodes_open, 1);
    mr_status status = MR_E_NOMEM;
    if (!(n->scratch = malloc(MR_RING_BYTES)) || mr_drive_spare(n))
        goto fail;
    if (getrandom(&n->port.session, sizeof(n->port.session), 0) != sizeof(n->port.session)) {
        status = mr_err_set(err, MR_E_IO, "no random number for the session: %s", strerror(errno));
        goto fail;
    }
    status = nodes_args(n, args, err);
    if (!status)
        status = mr_recorder_open(n, err);
    if (!status)
        status = nodes_plugins(n, err);
    if (!status)
        status = nodes_stores(n, err);
    if (!status)
        status = mr_spill_open(n, err);
    if (!status)
        status = nodes_links(n, err);
    if (!status)
        status = nodes_control(n, err);
    if (!status)
        mr_desk_open(n);
    if (!status)
        status = mr_progress_start(n, err);
    if (!status)
        status = mr_watch_start(n, err);
    if (status)
        goto fail;
    pthread_mutex_lock(&n->lock);
    status = mr_spawn_supervisor(n, err);
    if (!status)
        status = nodes_policy(n, err);
    if (!status)
        mr_drive_pump(n);
    mr_drive_unlock(n);
    if (status)
        goto fail;
    *out = &n->port;
    return MR_OK;
fail:
    if (err && !err->text[0])
        mr_err_set(err, status, "%s", mr_status_text(status));
    n->closing = true;
    mr_spawn_end(n);
    mr_progress_stop(n);
    mr_watch_stop(n);
    mr_nodes_free(n);
    return status;
}

static void nodes_close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void mr_nodes_free(mr_nodes *n)
{
    while (n->waiters.next != &n->waiters) {
        mr_waiter *w = n->waiters.next;
        mr_drive_remove(n, w);
        if (w->call)
            free(w);
    }
    for (uint32_t l = 0; l < n->n_links; l++) {
        mr_peer *p = n->peer[l];
        if (!p)
            continue;
        p->died = true;
        p->stalled = false; /* the movers have ended: no copy is on its way */
        mr_peer_bury(n, p);
    }
    *n->inner_end = n->inner_spare;
    while (n->inner) {
        mr_inner *e = n->inner;
        n->inner = e->next;
        free(e);
    }
    while (n->hungry) {
        mr_hungry *h = n->hungry;
        n->hungry = h->next;
        free(h);
    }
    mr_recorder_close(n);
    if (n->control)
        mr_control_free(n->control);
    mr_actions_free(&n->actions);
    if (n->sched_host)
        mr_host_free(n->sched_host);
    mr_carry_fini(n);
    mr_spill_close(n);
    if (!n->keep_views)
        mr_values_fini(n);
    mr_table_fini(&n->by_worker);
    for (uint32_t i = 0; i < MR_NODES_MAX && !n->keep_views; i++)
        mr_place_close(&n->node[i].store);
    if (!n->keep_views)
        mr_place_close(&n->carrier);
    mr_loaded *plugins[] = {n->store_plugin, n->carrier_plugin, n->sched_plugin};
    for (size_t i = n->keep_views ? 2 : 0; i < 3; i++)
        if (plugins[i])
            mr_plugin_unload(plugins[i]);
    mr_output_fini(n);
    mr_desk_close(n);
    mr_blame_fini(n);
    mr_notes_fini(n);
    if (n->links)
        munmap(n->links, sizeof(mr_links));
    if (n->policy_now)
        munmap(n->policy_now, sizeof(*n->policy_now));
    int fds[] = {n->links_fd, n->event_fd, n->epoll_fd, n->timer_fd, n->sup_fd, n->sup_pidfd, n->now_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        nodes_close_fd(fds[i]);
    if (n->log_fd >= 0) {
        mr_log_setup(mr_log_level_now(), 2);
        close(n->log_fd);
    }
    for (size_t i = 0; n->zygote && n->zygote[i]; i++)
        free(n->zygote[i]);
    free((void *)n->zygote);
    free(n->home);
    free(n->libraries);
    free(n->script_dir);
    free(n->attach_env);
    free(n->scratch);
    pthread_mutex_destroy(&n->lock);
    pthread_mutex_destroy(&n->line_lock);
    mr_movers_fini(n);
    pthread_cond_destroy(&n->line_cond);
    mr_config_free(n->config);
    free(n);
    atomic_fetch_sub(&nodes_open, 1);
}
