/* values.c: owns the bytes behind ids: inline values, pins in stores, error values, kept arguments.
 *
 * Control knows which object lives; this file knows only where its bytes are, until FREE.  A stored value is pinned in
 * each store that has it, so that a store never moves or gives away what control still counts.
 * Lock: the node list's, everywhere.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"
#include "engine/process/room.h"

typedef struct payload {
    size_t len;
    char data[];
} payload;

mr_val *mr_value_find(mr_nodes *n, mr_id id)
{
    mr_val *v = mr_table_at(&n->values, id);
    return v && !v->hidden && !v->freed ? v : NULL;
}

const void *mr_value_bytes(const mr_val *v)
{
    switch (v->kind) {
    case MR_VAL_SMALL:
        return v->u.small;
    case MR_VAL_HEAP:
        return v->u.heap;
    default:
        return v->u.stored.region.data;
    }
}

static void val_unpin(mr_nodes *n, mr_id id, uint32_t node)
{
    mr_place *s = &n->node[node].store;
    mr_status status = s->ops->release(s->self, id);
    if (!status)
        status = s->ops->remove(s->self, id);
    if (status)
        mr_log(MR_LOG_ERROR, "engine", "the store of node %s did not give back object %llx: %s", n->node[node].name,
               (unsigned long long)id, mr_status_text(status));
}

static void val_drop(mr_nodes *n, mr_id id, mr_val *v)
{
    if (v->kind == MR_VAL_HEAP)
        free(v->u.heap);
    if (v->kind != MR_VAL_STORED)
        mr_room_inlined(n, v->len, false);
    if (v->kind == MR_VAL_STORED) {
        for (uint64_t left = v->u.stored.nodes; left; left &= left - 1)
            val_unpin(n, id, (uint32_t)__builtin_ctzll(left));
        mr_spill_drop(n, id);
        mr_carry_forget(n, id);
        mr_room_used(n);
    }
}

/* A fresh entry for `id`; what was there is dropped.  NULL: no memory. */
static mr_val *val_put(mr_nodes *n, mr_id id)
{
    mr_val *v = mr_table_at(&n->values, id);
    if (v)
        val_drop(n, id, v);
    else
        v = mr_table_put(&n->values, id);
    if (v)
        memset(v, 0, sizeof(*v));
    return v;
}

static void val_blame(mr_nodes *n, mr_id id, const mr_val *v)
{
    if (!(v->flags & MR_VALUE_ERROR))
        return;
    mr_id task = mr_control_object(n->control, id).task;
    mr_blame_keep(n, task ? task : id, v->format, mr_value_bytes(v), v->len);
}

mr_status mr_value_inline(mr_nodes *n, mr_id id, uint32_t format, uint32_t flags, const void *data, uint64_t len)
{
    void *heap = NULL;
    if (len > MR_VAL_ROOM && !(heap = malloc(len)))
        return MR_E_NOMEM;
    mr_val *v = val_put(n, id);
    if (!v) {
        free(heap);
        return MR_E_NOMEM;
    }
    v->kind = heap ? MR_VAL_HEAP : MR_VAL_SMALL;
    v->format = format;
    v->flags = (uint8_t)(flags & MR_VALUE_ERROR);
    v->len = len;
    if (heap)
        v->u.heap = heap;
    if (len)
        memcpy(heap ? heap : v->u.small, data, len);
    mr_room_inlined(n, len, true);
    val_blame(n, id, v);
    return MR_OK;
}

mr_status mr_value_stored(mr_nodes *n, mr_id id, uint32_t format, uint32_t flags, uint32_t node)
{
    mr_place *s = &n->node[node].store;
    mr_region region;
    mr_status status = s->ops->get(s->self, id, &region);
    if (status)
        return status;
    mr_val *v = mr_table_at(&n->values, id);
    if (v && v->kind == MR_VAL_STORED) {
        if (!v->u.stored.nodes)
            v->u.stored.region = region;
        v->u.stored.nodes |= UINT64_C(1) << node;
        return MR_OK;
    }
    v = val_put(n, id);
    if (!v) {
        if (s->ops->release(s->self, id))
            mr_log(MR_LOG_ERROR, "engine", "a pin was lost");
        return MR_E_NOMEM;
    }
    v->kind = MR_VAL_STORED;
    v->format = format;
    v->flags = (uint8_t)(flags & MR_VALUE_ERROR);
    v->len = region.len;
    v->u.stored.region = region;
    v->u.stored.nodes = UINT64_C(1) << node;
    val_blame(n, id, v);
    return MR_OK;
}

mr_status mr_value_fault(mr_nodes *n, mr_id id, const mr_fault *f, const char *text)
{
    struct {
        mr_fault_value head;
        char text[1024];
    } bytes = {0};
    size_t len = 0;
    if (text) {
        len = strlen(text);
        if (len >= sizeof(bytes.text))
            len = sizeof(bytes.text) - 1;
        memcpy(bytes.text, text, len);
    } else {
        len = mr_fault_text(n->control, f, bytes.text, sizeof(bytes.text));
        if (len >= sizeof(bytes.text))
            len = sizeof(bytes.text) - 1;
    }
    bytes.text[len] = 0;
    bytes.head = (mr_fault_value){.status = f->status, .pid = f->pid, .how = (int32_t)f->how, .code = f->code};
    bytes.head.attempt = f->attempt;
    bytes.head.of = f->of;
    bytes.head.may_have_run = f->may_have_run;
    bytes.head.text_len = (uint32_t)len;
    bytes.head.task = f->task;
    bytes.head.cause = f->cause;
    return mr_value_inline(n, id, MR_FORMAT_FAULT, MR_VALUE_ERROR, &bytes, sizeof(bytes.head) + len + 1);
}

mr_status mr_value_alias(mr_nodes *n, mr_id id, mr_id other)
{
    /* A copy, since the other may be freed first; errors are small.  Entries of the table do not move. */
    const mr_val *o = mr_value_find(n, other);
    if (!o)
        return MR_E_NOTFOUND;
    return mr_value_inline(n, id, o->format, o->flags, mr_value_bytes(o), o->len);
}

void mr_value_free(mr_nodes *n, mr_id id, bool held)
{
    mr_val *v = mr_table_at(&n->values, id);
    if (!v)
        return;
    if (held && v->views) {
        v->hidden = true;
        return;
    }
    if (v->busy) {
        v->freed = 1;
        return;
    }
    val_drop(n, id, v);
    mr_table_del(&n->values, id);
}

void mr_value_unbusy(mr_nodes *n, mr_id id)
{
    mr_val *v = mr_table_at(&n->values, id);
    if (v && --v->busy == 0 && v->freed)
        mr_value_free(n, id, false);
}

void mr_value_unview(mr_nodes *n, mr_id id, uint32_t views)
{
    mr_val *v = mr_table_at(&n->values, id);
    if (!v || v->kind != MR_VAL_STORED)
        return;
    v->views -= views < v->views ? views : v->views;
    if (v->hidden && !v->views) {
        v->hidden = false;
        mr_value_free(n, id, false);
    }
}

/* The bytes are those of the lowest node that has them. */
static void val_region(mr_nodes *n, mr_id id, mr_val *v)
{
    mr_place *s = &n->node[__builtin_ctzll(v->u.stored.nodes)].store;
    mr_region region;
    if (s->ops->get(s->self, id, &region) == MR_OK) {
        v->u.stored.region = region;
        if (s->ops->release(s->self, id))
            mr_log(MR_LOG_ERROR, "engine", "a pin was lost");
    }
}

static void transfer_tell(mr_nodes *n, mr_id id, uint64_t len, uint32_t node, mr_status status)
{
    mr_ev_place ev = {.h = {.size = sizeof(ev), .version = MR_RECORD_VERSION}, .id = id, .size = len, .node = node};
    ev.h.kind = status ? MR_EV_LOST : MR_EV_ARRIVED;
    ev.cause = status == MR_E_LOST ? MR_LOSS_NODE : MR_LOSS_FULL;
    mr_drive_inner(n, &ev.h);
}

void mr_value_evict(mr_nodes *n, mr_id id, uint32_t node)
{
    mr_val *v = mr_table_at(&n->values, id);
    uint64_t bit = UINT64_C(1) << node;
    if (!v || v->kind != MR_VAL_STORED || !(v->u.stored.nodes & bit) || v->hidden || v->freed)
        return; /* what was freed goes from everywhere with the last look */
    if (v->busy || v->views || (v->u.stored.nodes == bit && !mr_spill_has(n, id))) {
        transfer_tell(n, id, v->len, node, MR_OK); /* it is still there */
        return;
    }
    v->u.stored.nodes &= ~bit;
    val_unpin(n, id, node);
    if (v->u.stored.nodes)
        val_region(n, id, v);
}

bool mr_value_leave(mr_nodes *n, mr_id id, uint32_t node)
{
    mr_val *v = mr_value_find(n, id);
    if (!v || v->kind != MR_VAL_STORED || v->u.stored.nodes != UINT64_C(1) << node || v->views || v->busy)
        return false;
    val_unpin(n, id, node);
    v->u.stored.nodes = 0;
    v->u.stored.region = (mr_region){0};
    n->spill.left++;
    return true;
}

bool mr_value_left(mr_nodes *n, mr_id id, uint32_t node)
{
    mr_val *v = mr_table_at(&n->values, id);
    uint64_t bit = UINT64_C(1) << node;
    if (!v || v->kind != MR_VAL_STORED || !(v->u.stored.nodes & bit))
        return false;
    bool looked_at = v->views || v->busy;
    if (v->busy)
        mr_jobs_lose(n, id); /* they are made again from what is left */
    v->busy = 0;
    v->u.stored.nodes &= ~bit;
    if (!looked_at)
        val_unpin(n, id, node);
    if (v->u.stored.nodes && !v->freed) {
        val_region(n, id, v);
        return looked_at;
    }
    for (uint64_t left = v->u.stored.nodes; left; left &= left - 1)
        val_unpin(n, id, (uint32_t)__builtin_ctzll(left));
    mr_spill_drop(n, id);
    mr_carry_forget(n, id);
    mr_table_del(&n->values, id);
    return looked_at;
}

/* ------------------------------------------------------------------------------------------- between two nodes -- */

static void transfer_end(mr_nodes *n, mr_id id, uint64_t len, uint32_t node, mr_status status)
{
    mr_place *s = &n->node[node].store;
    mr_val *v = mr_table_at(&n->values, id);
    if (!status && (!v || !n->node[node].alive))
        status = MR_E_LOST;
    if (!status)
        status = s->ops->seal(s->self, id);
    if (!status)
        status = mr_value_stored(n, id, v ? v->format : 0, v ? v->flags : 0, node);
    if (status && s->ops->abort(s->self, id) && s->ops->remove(s->self, id))
        mr_log(MR_LOG_ERROR, "engine", "a copy of object %llx was left behind", (unsigned long long)id);
    transfer_tell(n, id, len, node, status);
}

static void transfer_done(mr_nodes *n, mr_job *job)
{
    transfer_end(n, job->id, job->len, job->node, job->status);
    if (!job->lost)
        mr_value_unbusy(n, job->id);
}

void mr_value_transfer(mr_nodes *n, mr_id id, uint32_t from, uint32_t to)
{
    mr_val *v = mr_value_find(n, id);
    mr_place *s = &n->node[to].store;
    mr_region region;
    if (!v || !n->node[to].alive) {
        transfer_tell(n, id, 0, to, MR_E_LOST);
        return;
    }
    if (v->kind != MR_VAL_STORED || v->u.stored.nodes >> to & 1) {
        transfer_tell(n, id, v->len, to, MR_OK); /* inline values are everywhere */
        return;
    }
    if (!v->u.stored.nodes) {
        mr_spill_fetch(n, id, from, to, true);
        return;
    }
    /* Every store of this engine is in this process: any copy will do. */
    mr_status status = mr_room_create(n, s, id, v->len, &region);
    if (status == MR_E_FULL) {
        mr_spill_fetch(n, id, from, to, true); /* it waits for room there */
        return;
    }
    if (status) {
        mr_log(MR_LOG_WARN, "engine", "object %llx of %llu bytes was not copied to node %s: %s", (unsigned long long)id,
               (unsigned long long)v->len, n->node[to].name, mr_status_text(status));
        transfer_tell(n, id, v->len, to, status);
        return;
    }
    if (v->len <= MR_SMALL_COPY) {
        memcpy(region.data, v->u.stored.region.data, v->len);
        transfer_end(n, id, v->len, to, MR_OK);
        return;
    }
    mr_job *job = calloc(1, sizeof(*job));
    if (!job) {
        transfer_end(n, id, v->len, to, MR_E_NOMEM);
        return;
    }
    *job = (mr_job){.populate = s, .to = region, .from = v->u.stored.region.data, .len = v->len};
    job->done = transfer_done;
    job->id = id;
    job->node = to;
    v->busy++;
    if (mr_job_add(n, job)) {
        v->busy--;
        transfer_end(n, id, v->len, to, MR_E_NOMEM);
    }
}

/* ------------------------------------------------------------------------------------------------------ payload -- */

mr_status mr_payload_keep(mr_nodes *n, mr_id task, const void *data, size_t len)
{
    if (!len)
        return MR_OK;
    payload *kept = malloc(sizeof(*kept) + len);
    payload **entry = kept ? mr_table_put(&n->payloads, task) : NULL;
    if (!entry) {
        free(kept);
        return MR_E_NOMEM;
    }
    free(*entry);
    kept->len = len;
    memcpy(kept->data, data, len);
    *entry = kept;
    return MR_OK;
}

const void *mr_payload_find(mr_nodes *n, mr_id task, size_t *len)
{
    payload **entry = mr_table_at(&n->payloads, task);
    *len = entry ? (*entry)->len : 0;
    return entry ? (*entry)->data : NULL;
}

void mr_payload_drop(mr_nodes *n, mr_id task)
{
    payload **entry = mr_table_at(&n->payloads, task);
    if (!entry)
        return;
    free(*entry);
    mr_table_del(&n->payloads, task);
}

void mr_values_fini(mr_nodes *n)
{
    uint64_t cursor = 0;
    mr_val *v;
    while ((v = mr_table_next(&n->values, &cursor, NULL)) != NULL)
        if (v->kind == MR_VAL_HEAP)
            free(v->u.heap); /* stored ones go with their stores */
    payload **kept;
    for (cursor = 0; (kept = mr_table_next(&n->payloads, &cursor, NULL)) != NULL;)
        free(*kept);
    mr_table_fini(&n->values);
    mr_table_fini(&n->payloads);
}
