/* swap.c: another policy for a session that runs.
 *
 * The plugin and its host are made first, without the lock; control then takes the new instance or keeps the old one.
 * Its settings are those of its section ([sched.NAME]), as they were when the session was opened; a policy file is told
 * to the instance alone.  Lock: the node list's while control changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

typedef struct change {
    mr_loaded *plugin;
    mr_host_box *host;
    char name[64];
} change;

/* The instance's own wish to be ejected: from inside an op, so under the lock. */
static void swap_failed(void *nodes, const char *why)
{
    mr_control_policy_fail(((mr_nodes *)nodes)->control, why);
}

static int64_t swap_now(void *nodes)
{
    const mr_nodes *n = nodes;
    return atomic_load_explicit(&n->now, memory_order_relaxed);
}

mr_status mr_nodes_policy_host(mr_nodes *n, const mr_plugin *plugin, mr_host_box **out)
{
    mr_status status = mr_host_new(out, plugin, n->config, swap_now, n);
    if (!status)
        mr_host_on_fail(*out, swap_failed, n);
    return status;
}

/* "fifo" and "sched-fifo" are the same plugin. */
static mr_status swap_load(mr_nodes *n, const char *policy, change *x, mr_err *err)
{
    char own[4096], full[160];
    const char *dot = strrchr(policy, '.'), *file = dot && !strcmp(dot, ".lua") ? policy : NULL;
    snprintf(own, sizeof(own), "%s/plugins", n->home);
    snprintf(full, sizeof(full), "sched-%.150s", policy);
    bool bare = !strchr(policy, '/') && strncmp(policy, "sched-", 6) != 0;
    mr_status status = mr_plugin_load(&x->plugin,
                                      file   ? "sched-lua"
                                      : bare ? full
                                             : policy,
                                      MR_KIND_SCHED, n->config, own, err);
    if (status)
        return status;
    if (mr_nodes_policy_host(n, x->plugin->plugin, &x->host) || (file && mr_host_say(x->host, "policy", file)))
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    mr_policy_name(x->plugin->plugin, file, x->name, sizeof(x->name));
    return MR_OK;
}

mr_status mr_nodes_policy_tell(mr_nodes *n, const char *name)
{
    struct {
        mr_ev_none ev;
        char name[64];
    } r = {.ev.h = {.kind = MR_EV_POLICY, .version = MR_RECORD_VERSION}};
    snprintf(r.name, sizeof(r.name), "%s", name);
    r.ev.h.n_bytes = (uint32_t)strlen(r.name) + 1;
    r.ev.h.size = (uint32_t)mr_record_total(sizeof(mr_ev_none), 0, r.ev.h.n_bytes);
    return mr_drive_step(n, &r.ev.h);
}

void mr_nodes_policy_end(mr_nodes *n)
{
    pthread_mutex_lock(&n->lock);
    mr_drive_tick(n);
    mr_control_policy_end(n->control);
    mr_drive_unlock(n);
}

static void swap_drop(change *x)
{
    mr_host_free(x->host);
    if (x->plugin)
        mr_plugin_unload(x->plugin);
}

mr_status mr_nodes_policy(mr_nodes *n, const char *policy, mr_policy_past *told, mr_err *err)
{
    change x = {.plugin = NULL};
    mr_status status = swap_load(n, policy, &x, err);
    if (status) {
        swap_drop(&x);
        return status;
    }
    pthread_mutex_lock(&n->lock);
    if (n->closing)
        status = mr_err_set(err, MR_E_CLOSED, "%s", mr_status_text(MR_E_CLOSED));
    if (!status)
        status = mr_config_check_keys(n->config, x.plugin->plugin, err);
    mr_drive_tick(n);
    if (!status)
        status = mr_control_policy(n->control, x.name, &x.plugin->ops.sched, mr_host_table(x.host), err);
    if (!status) {
        change old = {.plugin = n->sched_plugin, .host = n->sched_host};
        n->sched_plugin = x.plugin;
        n->sched_host = x.host;
        x = old; /* its instance is closed */
        status = mr_nodes_policy_tell(n, mr_control_policy_given(n->control));
        if (status)
            mr_err_set(err, status, "%s", mr_status_text(status));
        else
            status = mr_watch_start(n, err);
        mr_drive_pump(n);
        for (uint32_t i = 0; told && mr_control_policy_past(n->control, i, told); i++)
            ;
    }
    mr_drive_unlock(n);
    swap_drop(&x);
    return status;
}
