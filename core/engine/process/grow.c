/* grow.c: nodes that come and go while the session runs.
 *
 * Owns nothing of its own: a node's store is opened here (at the start too) and emptied when the node goes.  The store
 * of a removed node stays open until the session ends when the driver still has views of its bytes or a copy is being
 * made; else it is closed at once.  Numbers of nodes are never used again.
 * Lock: the node list's, taken by the two ops; mr_place_open and mr_place_close: none.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/machine.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

static int64_t place_now(void *arg)
{
    const mr_nodes *n = arg;
    return atomic_load_explicit(&n->now, memory_order_relaxed);
}

mr_status mr_place_open(mr_nodes *n, mr_place *p, mr_loaded *plugin, uint32_t node, uint64_t capacity, mr_err *err)
{
    mr_store_conf conf = {.capacity = capacity, .node = node};
    mr_status status = mr_host_new(&p->host, plugin->plugin, n->config, place_now, n);
    if (status)
        return mr_err_set(err, status, "a host table for %s: %s", plugin->path, mr_status_text(status));
    p->plugin = plugin;
    p->ops = &plugin->ops.store;
    return p->ops->open(&p->self, mr_host_table(p->host), &conf, err);
}

void mr_place_close(mr_place *p)
{
    if (p->self)
        p->ops->close(p->self);
    if (p->host)
        mr_host_free(p->host);
    *p = (mr_place){0};
}

uint32_t mr_nodes_alive(const mr_nodes *n)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < n->n_nodes; i++)
        alive += n->node[i].alive;
    return alive;
}

uint32_t mr_nodes_first(const mr_nodes *n)
{
    uint32_t i = 0;
    while (i + 1 < n->n_nodes && !n->node[i].alive)
        i++;
    return i;
}

/* -------------------------------------------------------------------------------------------------------- coming -- */

static mr_status grow_name(const mr_nodes *n, const mr_node_def *def, char name[64], mr_err *err)
{
    if (!def->name)
        snprintf(name, 64, "node%u", n->n_nodes);
    else if (!def->name[0] || strlen(def->name) > 63)
        return mr_err_set(err, MR_E_INVAL, "the name of a node has 1 to 63 bytes, not %zu", strlen(def->name));
    else
        snprintf(name, 64, "%s", def->name);
    for (uint32_t i = 0; i < n->n_nodes; i++)
        if (n->node[i].alive && !strcmp(n->node[i].name, name))
            return mr_err_set(err, MR_E_EXISTS, "there is a node \"%s\" already: number %u", name, i);
    return MR_OK;
}

static mr_status grow_amounts(const mr_node_def *def, const char *name, mr_named *out, mr_err *err)
{
    for (int32_t i = 0; i < def->n_amounts; i++) {
        const mr_need *a = &def->amounts[i];
        if (!a->name || !a->name[0] || strlen(a->name) >= sizeof(out[i].name))
            return mr_err_set(err, MR_E_INVAL, "node %s: the name of a resource has 1 to %zu bytes", name,
                              sizeof(out[i].name) - 1);
        if (a->amount < 0)
            return mr_err_set(err, MR_E_INVAL, "node %s: resource \"%s\" is negative: an amount is 0 or more", name,
                              a->name);
        for (int32_t k = 0; k < i; k++)
            if (!strcmp(def->amounts[k].name, a->name))
                return mr_err_set(err, MR_E_INVAL, "node %s: resource \"%s\" is given twice", name, a->name);
        snprintf(out[i].name, sizeof(out[i].name), "%s", a->name);
        out[i].amount = a->amount;
    }
    return MR_OK;
}

static mr_status grow_labels(const mr_node_def *def, const char *name, mr_label *out, mr_err *err)
{
    for (int32_t i = 0; i < def->n_labels; i++) {
        const mr_pair *l = &def->labels[i];
        if (!l->key || !l->key[0] || !l->value || strlen(l->key) >= sizeof(out[i].key) ||
            strlen(l->value) >= sizeof(out[i].value))
            return mr_err_set(err, MR_E_INVAL, "node %s: a label has a key and a value of at most %zu bytes", name,
                              sizeof(out[i].key) - 1);
        snprintf(out[i].key, sizeof(out[i].key), "%s", l->key);
        snprintf(out[i].value, sizeof(out[i].value), "%s", l->value);
    }
    return MR_OK;
}

static mr_status grow_event(mr_nodes *n, const mr_node_def *def, const char *name, mr_ev_node **out, mr_err *err)
{
    if (def->n_amounts < 0 || def->n_labels < 0 || def->n_amounts > MR_RES_MAX || def->n_labels > MR_RES_MAX)
        return mr_err_set(err, MR_E_INVAL, "node %s: at most %d resources and labels", name, MR_RES_MAX);
    size_t amounts = (size_t)def->n_amounts * sizeof(mr_named);
    uint32_t bytes = (uint32_t)(amounts + (size_t)def->n_labels * sizeof(mr_label));
    size_t size = mr_record_total(sizeof(mr_ev_node), 0, bytes);
    mr_ev_node *e = calloc(1, size);
    if (!e)
        return mr_err_set(err, MR_E_NOMEM, "out of memory");
    char *at = (char *)(e + 1);
    mr_status status = grow_amounts(def, name, (mr_named *)(void *)at, err);
    if (!status)
        status = grow_labels(def, name, (mr_label *)(void *)(at + amounts), err);
    if (status) {
        free(e);
        return status;
    }
    e->h = (mr_record){.kind = MR_EV_NODE_ADDED, .version = MR_RECORD_VERSION, .n_bytes = bytes};
    e->h.size = (uint32_t)size;
    e->node = n->n_nodes;
    e->n_amounts = (uint32_t)def->n_amounts;
    e->n_labels = (uint32_t)def->n_labels;
    e->speed = 1.0;
    e->fixed = !strcmp(mr_config_text(n->config, "engine", "workers"), "fixed");
    memcpy(e->name, name, sizeof(e->name));
    *out = e;
    return MR_OK;
}

mr_status mr_nodes_grow(mr_nodes *n, const mr_node_def *def, uint32_t *out, mr_err *err)
{
    char name[64] = "";
    mr_ev_node *e = NULL;
    uint32_t number = n->n_nodes;
    if (!n->carried)
        return mr_err_set(err, MR_E_UNSUPPORTED,
                          "this session has one node for good: open it with [engine] add_nodes = true");
    if (number == MR_NODES_MAX)
        return mr_err_set(err, MR_E_FULL, "a session has at most %d nodes, those that went included", MR_NODES_MAX);
    mr_status status = grow_name(n, def, name, err);
    if (!status)
        status = grow_event(n, def, name, &e, err);
    if (status)
        return status;
    uint64_t capacity = def->store_capacity ? def->store_capacity : n->capacity;
    mr_one *one = &n->node[number];
    status = mr_place_open(n, &one->store, n->store_plugin, number, capacity, err);
    if (status)
        goto fail;
    memcpy(one->name, name, sizeof(one->name));
    one->alive = true;
    n->n_nodes++;
    status = mr_drive_step(n, &e->h);
    if (status) {
        mr_err_set(err, status, "node %s: %s", name, mr_control_why(n->control));
        n->n_nodes--;
        one->alive = false;
        goto fail;
    }
    mr_log(MR_LOG_INFO, "engine", "node %s (%u) was added", name, number);
    free(e);
    *out = number;
    return MR_OK;
fail:
    mr_place_close(&one->store);
    free(e);
    return status;
}

/* -------------------------------------------------------------------------------------------------------- going -- */

/* Its workers are killed; what they wrote is not read any more, and control forgets them with the node. */
static void grow_kill(mr_nodes *n, uint32_t node)
{
    for (uint32_t l = 0; l < n->n_links; l++) {
        mr_peer *p = n->peer[l];
        if (!p || p->node != node || p->died)
            continue;
        p->dropped = true;
        mr_sup_msg m = {.kind = MR_SUP_SIGNAL, .worker = p->worker, .code = SIGKILL};
        mr_spawn_order(n, &m);
    }
}

static void grow_empty(mr_nodes *n, uint32_t node)
{
    uint64_t cursor = 0, id = 0;
    bool busy = mr_jobs_any(n);
    while (mr_table_next(&n->values, &cursor, &id))
        busy |= mr_value_left(n, id, node);
    mr_place *s = &n->node[node].store;
    mr_store_stats stats = {.n_objects = 1};
    if (s->ops->stats)
        s->ops->stats(s->self, &stats);
    if (!busy && !stats.n_objects)
        mr_place_close(s);
}

mr_status mr_nodes_shrink(mr_nodes *n, uint32_t node, mr_err *err)
{
    if (node >= n->n_nodes || !n->node[node].alive)
        return mr_err_set(err, MR_E_NOTFOUND, "there is no node %u%s%s", node,
                          node < n->n_nodes ? " any more: it was " : "", node < n->n_nodes ? n->node[node].name : "");
    if (mr_nodes_alive(n) == 1)
        return mr_err_set(err, MR_E_INVAL, "node %s is the last one: a session needs a node (end it with mr_close)",
                          n->node[node].name);
    mr_ev_place ev = {.h = {.size = sizeof(ev), .kind = MR_EV_NODE_REMOVED, .version = MR_RECORD_VERSION}};
    ev.node = node;
    mr_log(MR_LOG_INFO, "engine", "node %s (%u) is removed", n->node[node].name, node);
    n->node[node].alive = false;
    grow_kill(n, node);
    grow_empty(n, node);
    mr_status status = mr_drive_step(n, &ev.h);
    return status ? mr_err_set(err, status, "%s", mr_control_why(n->control)) : MR_OK;
}
