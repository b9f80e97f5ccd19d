/* spill.c: owns which values have bytes on the disk, and those that are on their way back.
 *
 * Control says what leaves (SPILL) and what comes back (RESTORE, or TRANSFER of what is on disk); this file refuses
 * what somebody looks at.  All reading and writing is the disk threads', each with files of its own.  A value that came
 * back keeps its extent: bytes do not change, so it leaves again for nothing; the extent goes with the value.  A value
 * without a place in memory has `nodes` 0. Lock: the node list's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"
#include "engine/process/room.h"

enum { LOOK_NS = 10000000, TRIES = 64, PATIENCE_MOST = 10 };
static const int64_t AFTER_FAILURE_NS = INT64_C(1000000000), SAY_EVERY_NS = INT64_C(10000000000);
/* A task in the way may take its time; where others of the queue find room, there is hope for longer. */
static const int64_t ROOM_WAIT_NS = INT64_C(30000000000);

struct mr_arrival {
    struct mr_arrival *next;
    mr_id id;
    uint32_t from, node; /* whose disk; into which store */
    bool transfer;
    int64_t since, again;
};

static void tell(mr_nodes *n, uint32_t kind, mr_id id, uint32_t node, uint64_t size, uint32_t cause)
{
    mr_ev_place ev = {.h = {.size = sizeof(ev), .kind = (uint16_t)kind, .version = MR_RECORD_VERSION}};
    ev.id = id;
    ev.node = node;
    ev.size = size;
    ev.cause = cause;
    mr_drive_inner(n, &ev.h);
}

void mr_spill_ask(mr_nodes *n, uint32_t node, uint32_t client, uint64_t len)
{
    mr_ev_place ev = {.h = {.size = sizeof(ev), .kind = MR_EV_STORE_FULL, .version = MR_RECORD_VERSION}};
    ev.h.from = client;
    ev.size = len;
    ev.node = node;
    mr_drive_inner(n, &ev.h);
}

/* Who waits for room, or for bytes, looks again. */
static void wake(mr_nodes *n)
{
    for (mr_waiter *w = n->waiters.next, *next; w != &n->waiters; w = next) {
        next = w->next;
        if (w->room)
            mr_drive_wake(n, w, MR_OK);
    }
    for (uint32_t l = 0; l < n->n_links; l++) {
        mr_peer *p = n->peer[l];
        if (!p || !p->waits_room)
            continue;
        p->waits_room = false;
        atomic_fetch_or(&n->links->page.dirty[l / 64], UINT64_C(1) << (l % 64));
    }
}

/* ------------------------------------------------------------------------------------------------------ extents -- */

static mr_status run_drop(mr_nodes *n, mr_job *job)
{
    mr_disk_drop(n->spill.disk[job->extent.disk], &job->extent);
    return MR_OK;
}

static void done_drop(mr_nodes *n, mr_job *job)
{
    (void)n;
    (void)job;
}

static void extent_drop(mr_nodes *n, const mr_extent *e)
{
    mr_job *job = calloc(1, sizeof(*job));
    if (job) {
        job->extent = *e;
        job->run = run_drop;
        job->done = done_drop;
    }
    if (!job || mr_job_add(n, job))
        mr_log(MR_LOG_WARN, "engine", "%llu bytes of the spill file are given back only with the session",
               (unsigned long long)e->taken);
}

void mr_spill_drop(mr_nodes *n, mr_id id)
{
    const mr_extent *e = mr_table_at(&n->spill.extents, id);
    if (!e)
        return;
    n->spill.bytes -= e->taken;
    extent_drop(n, e);
    mr_table_del(&n->spill.extents, id);
}

bool mr_spill_has(mr_nodes *n, mr_id id)
{
    return mr_table_at(&n->spill.extents, id) != NULL;
}

/* ------------------------------------------------------------------------------------------------------ leaving -- */

static void failed(mr_nodes *n, const mr_job *job)
{
    int64_t now = mr_drive_monotonic();
    n->spill.failed_until = now + AFTER_FAILURE_NS;
    snprintf(n->spill.why, sizeof(n->spill.why), "%.300s", job->err.text);
    if (!n->spill.said_at || now - n->spill.said_at >= SAY_EVERY_NS)
        mr_log(MR_LOG_ERROR, "engine", "object %llx stays in memory: %s", (unsigned long long)job->id, job->err.text);
    n->spill.said_at = now;
}

static mr_status run_write(mr_nodes *n, mr_job *job)
{
    uint32_t disk = job->extent.disk;
    mr_status status = mr_disk_write(n->spill.disk[disk], job->from, job->len, &job->extent, &job->err);
    job->extent.disk = disk;
    return status;
}

static void done_write(mr_nodes *n, mr_job *job)
{
    mr_val *v = job->lost ? NULL : mr_table_at(&n->values, job->id);
    n->spill.writing -= job->len;
    if (!job->status) {
        mr_extent *e = v && !v->freed && !v->hidden ? mr_table_put(&n->spill.extents, job->id) : NULL;
        if (e) {
            *e = job->extent;
            n->spill.bytes += e->taken;
        } else {
            extent_drop(n, &job->extent);
        }
    } else if (job->status != MR_E_LOST) {
        failed(n, job);
    }
    if (v)
        mr_value_unbusy(n, job->id);
    v = mr_table_at(&n->values, job->id);
    bool leaves = v && mr_spill_has(n, job->id) && mr_value_leave(n, job->id, job->node);
    tell(n, leaves ? MR_EV_SPILLED : MR_EV_RESTORED, job->id, job->node, job->to.len, 0);
    wake(n);
}

void mr_spill_leave(mr_nodes *n, mr_id id, uint32_t node, uint64_t size)
{
    mr_val *v = mr_value_find(n, id);
    bool free_now = v && v->kind == MR_VAL_STORED && v->u.stored.nodes == UINT64_C(1) << node && !v->views && !v->busy;
    bool stays = !free_now || v->used || (!mr_spill_has(n, id) && mr_drive_monotonic() < n->spill.failed_until);
    mr_job *job = NULL;
    if (v)
        v->used = false;
    if (!stays && mr_spill_has(n, id) && mr_value_leave(n, id, node)) {
        tell(n, MR_EV_SPILLED, id, node, size, 0);
        wake(n);
        return;
    }
    if (!stays && (job = calloc(1, sizeof(*job)))) {
        *job = (mr_job){.run = run_write, .done = done_write, .from = v->u.stored.region.data, .len = v->len};
        job->id = id;
        job->node = node;
        job->extent.disk = n->spill.turn++ % MR_DISKS;
        job->to.len = size; /* as control counts it */
        v->busy++;
        if (!mr_job_add(n, job)) {
            n->spill.writing += v->len;
            return;
        }
        v->busy--;
    }
    tell(n, MR_EV_RESTORED, id, node, size, 0);
}

/* --------------------------------------------------------------------------------------------------- coming back -- */

void mr_spill_want(mr_nodes *n, mr_id id, mr_val *v)
{
    mr_ev_id ev = {.h = {.size = sizeof(ev), .kind = MR_EV_WANTED, .version = MR_RECORD_VERSION}, .id = id};
    if (v->wanted == MR_WANTED)
        return;
    v->wanted = MR_WANTED;
    mr_drive_inner(n, &ev.h);
}

static void arrival_queue(mr_nodes *n, struct mr_arrival *a)
{
    a->next = NULL;
    if (n->spill.arrivals)
        n->spill.last_arrival->next = a;
    else
        n->spill.arrivals = a;
    n->spill.last_arrival = a;
    n->spill.n_arrivals++;
}

/* Those who wait for the value go on, or learn why not. */
static void arrival_tell(mr_nodes *n, const struct mr_arrival *a, mr_status status)
{
    mr_val *v = mr_value_find(n, a->id);
    uint64_t len = v ? v->len : 0;
    if (v)
        v->wanted = status == MR_E_FULL ? MR_STARVED : 0;
    if (v && !status)
        v->used = true;
    if (a->transfer)
        tell(n, status ? MR_EV_LOST : MR_EV_ARRIVED, a->id, a->node, len, status == MR_E_FULL ? MR_LOSS_FULL : 0);
    else if (v && !status)
        tell(n, MR_EV_RESTORED, a->id, a->node, len, 0);
    else if (v && status == MR_E_FULL)
        tell(n, MR_EV_SPILLED, a->id, a->node, len, 0);
    if (v && !status)
        mr_carry_restored(n, a->id, v);
    else if (status == MR_E_FULL)
        mr_carry_starved(n, a->id, status);
    wake(n);
}

/* It is over for this arrival, which is not in the queue. */
static void arrival_end(mr_nodes *n, struct mr_arrival *a, mr_status status)
{
    arrival_tell(n, a, status);
    free(a);
}

static mr_status run_read(mr_nodes *n, mr_job *job)
{
    return mr_disk_read(n->spill.disk[job->extent.disk], &job->extent, job->to.data, &job->err);
}

static void give_back(mr_nodes *n, mr_id id, uint32_t node)
{
    mr_place *s = &n->node[node].store;
    if (s->ops->abort(s->self, id) && s->ops->remove(s->self, id))
        mr_log(MR_LOG_ERROR, "engine", "a copy of object %llx was left behind", (unsigned long long)id);
}

static void done_read(mr_nodes *n, mr_job *job)
{
    struct mr_arrival *a = job->arg;
    mr_place *s = &n->node[a->node].store;
    mr_val *v = job->lost ? NULL : mr_table_at(&n->values, a->id);
    mr_status status = job->status;
    if (!status && (!v || v->freed || !n->node[a->node].alive))
        status = MR_E_FREED;
    if (!status && !(status = s->ops->seal(s->self, a->id)))
        status = mr_value_stored(n, a->id, v->format, v->flags, a->node);
    if (status)
        give_back(n, a->id, a->node);
    if (v)
        mr_value_unbusy(n, a->id);
    if (status == MR_E_NOMEM) { /* pages, or an entry: as if the store were full */
        arrival_queue(n, a);
        return;
    }
    if (job->status == MR_E_IO || job->status == MR_E_LOST) {
        mr_log(MR_LOG_ERROR, "engine", "object %llx cannot be read back: %s", (unsigned long long)a->id, job->err.text);
        mr_spill_drop(n, a->id);
        tell(n, MR_EV_LOST, a->id, a->from, job->len, job->status == MR_E_IO ? MR_LOSS_UNREADABLE : MR_LOSS_DAMAGED);
        status = MR_E_LOST;
    }
    arrival_end(n, a, status);
}

/* True: it needs the queue no more.  False: there is no room yet. */
static bool arrival_try(mr_nodes *n, struct mr_arrival *a)
{
    mr_val *v = mr_value_find(n, a->id);
    const mr_extent *e = mr_table_at(&n->spill.extents, a->id);
    mr_place *s = &n->node[a->node].store;
    mr_region to;
    if (!v || !n->node[a->node].alive || (!e && !v->u.stored.nodes)) {
        arrival_end(n, a, MR_E_LOST);
        return true;
    }
    if (v->u.stored.nodes && (!a->transfer || v->u.stored.nodes >> a->node & 1)) {
        arrival_end(n, a, MR_OK);
        return true;
    }
    mr_status status = mr_room_create(n, s, a->id, v->len, &to);
    if (status == MR_E_TOOBIG) {
        arrival_end(n, a, MR_E_FULL);
        return true;
    }
    if (!status && v->u.stored.nodes) { /* there is room for a copy from memory: nothing comes between */
        give_back(n, a->id, a->node);
        mr_value_transfer(n, a->id, a->from, a->node);
        free(a);
        return true;
    }
    mr_job *job = status ? NULL : calloc(1, sizeof(*job));
    if (!job) {
        if (!status)
            give_back(n, a->id, a->node);
        return false;
    }
    *job = (mr_job){.populate = s, .to = to, .len = v->len, .run = run_read, .done = done_read, .arg = a};
    job->id = a->id;
    job->extent = *e;
    v->busy++;
    if (!mr_job_add(n, job))
        return true;
    v->busy--;
    give_back(n, a->id, a->node);
    return false;
}

void mr_spill_fetch(mr_nodes *n, mr_id id, uint32_t from, uint32_t node, bool transfer)
{
    struct mr_arrival *a = malloc(sizeof(*a)), made = {.id = id, .from = from, .node = node, .transfer = transfer};
    bool first = !n->spill.arrivals;
    if (!a) {
        arrival_tell(n, &made, MR_E_FULL);
        return;
    }
    *a = made;
    a->since = mr_drive_monotonic();
    arrival_queue(n, a);
    if (first) /* else it has its turn */
        mr_spill_retry(n);
}

/* Of thousands that find no room some are tried at a time, in turn. */
void mr_spill_retry(mr_nodes *n)
{
    int64_t now = mr_drive_monotonic();
    struct mr_arrival *a;
    for (uint32_t tries = n->spill.n_arrivals < TRIES ? n->spill.n_arrivals : TRIES;
         tries && (a = n->spill.arrivals);) {
        n->spill.arrivals = a->next;
        n->spill.n_arrivals--;
        if (arrival_try(n, a)) {
            n->spill.arrived = now;
            continue;
        }
        tries--;
        int64_t hope = n->spill.arrived > a->since ? n->spill.arrived : a->since;
        if (now - hope >= ROOM_WAIT_NS || now - a->since >= PATIENCE_MOST * ROOM_WAIT_NS) {
            arrival_end(n, a, MR_E_FULL);
            continue;
        }
        if (now >= a->again) {
            mr_spill_ask(n, a->node, 0, mr_value_find(n, a->id)->len);
            a->again = now + LOOK_NS;
        }
        arrival_queue(n, a);
    }
    if (n->spill.arrivals)
        mr_progress_poll(n, LOOK_NS);
}

/* ------------------------------------------------------------------------------------------- what is in the way -- */

static int by_id(const void *a, const void *b)
{
    mr_id x = *(const mr_id *)a, y = *(const mr_id *)b;
    return x < y ? -1 : x > y;
}

mr_status mr_spill_fits(mr_nodes *n, const mr_id *ids, size_t count, mr_err *err)
{
    uint64_t bytes = 0;
    mr_id *sorted = n->n_nodes == 1 && count > 1 ? malloc(count * sizeof(*ids)) : NULL;
    if (!sorted)
        return MR_OK; /* then it is found out by waiting */
    memcpy(sorted, ids, count * sizeof(*ids));
    qsort(sorted, count, sizeof(*sorted), by_id);
    for (size_t i = 0; i < count; i++) {
        const mr_val *v = i && sorted[i] == sorted[i - 1] ? NULL : mr_value_find(n, sorted[i]);
        bytes += v && v->kind == MR_VAL_STORED ? v->len : 0;
        if (v && v->flags & MR_VALUE_ERROR) {
            bytes = 0; /* it is what will be told */
            break;
        }
    }
    free(sorted);
    if (bytes <= n->capacity)
        return MR_OK;
    return mr_err_set(err, MR_E_TOOBIG,
                      "%zu objects of %llu bytes can not be looked at together: [store] capacity is %llu; get them in "
                      "parts",
                      count, (unsigned long long)bytes, (unsigned long long)n->capacity);
}

static size_t who_keeps(mr_nodes *n, uint32_t node, char *text, size_t size)
{
    uint64_t cursor = 0, id, looked = 0, moved = 0, all = 0;
    const mr_val *v;
    while ((v = mr_table_next(&n->values, &cursor, &id)) != NULL) {
        if (v->kind != MR_VAL_STORED || !(v->u.stored.nodes >> node & 1))
            continue;
        all += v->len;
        looked += v->views ? v->len : 0;
        moved += !v->views && v->busy ? v->len : 0;
    }
    size_t used = (size_t)snprintf(text, size, "%llu bytes of objects, of which %llu are looked at or are arguments",
                                   (unsigned long long)all, (unsigned long long)looked);
    if (n->room.inlined && used < size)
        used += (size_t)snprintf(text + used, size - used, "; %llu are small and outside the store",
                                 (unsigned long long)n->room.inlined);
    for (uint32_t l = 0; l < n->n_links && used < size; l++) {
        const mr_peer *p = n->peer[l];
        uint64_t lent = 0;
        for (size_t i = 0; p && i < p->n_lent; i++) {
            const mr_val *of = mr_value_find(n, p->lent[i].id);
            lent += of ? of->len : 0;
        }
        lent += p ? p->lease_left : 0;
        for (size_t i = 0; p && i < p->n_created; i++)
            lent += p->created[i].region.len;
        if (lent)
            used += (size_t)snprintf(text + used, size - used, "; worker %u (pid %d) has %llu", p->worker, p->pid,
                                     (unsigned long long)lent);
    }
    if (n->room.short_of && used < size)
        used += (size_t)snprintf(text + used, size - used,
                                 "; the machine, or a memory limit around this process, has only %lld bytes left",
                                 (long long)(n->room.left < 0 ? 0 : n->room.left));
    if (moved && used < size)
        used += (size_t)snprintf(text + used, size - used, "; %llu are on their way", (unsigned long long)moved);
    if (n->spill.why[0] && mr_drive_monotonic() < n->spill.failed_until + AFTER_FAILURE_NS && used < size)
        used += (size_t)snprintf(text + used, size - used, "; spilling failed: %s", n->spill.why);
    else if (!n->spill.disk[0] && used < size)
        used += (size_t)snprintf(text + used, size - used, "; spilling is off");
    return used < size ? used : size - 1;
}

size_t mr_spill_refusal(mr_nodes *n, uint32_t node, mr_status status, uint64_t len, char *text, size_t size)
{
    mr_store_stats stats;
    const char *why = n->node[node].store.why;
    if (status == MR_E_IO) {
        int told = snprintf(text, size, "an object of %llu bytes can not be stored: %s", (unsigned long long)len,
                            *why ? why : mr_status_text(status));
        return (size_t)told < size ? (size_t)told : size - 1;
    }
    mr_room_stats(n, node, &stats);
    int used = status == MR_E_TOOBIG
                   ? snprintf(text, size, "an object of %llu bytes can never fit: [store] capacity is %llu",
                              (unsigned long long)len, (unsigned long long)stats.capacity)
                   : snprintf(text, size,
                              "no room for an object of %llu bytes: %s; capacity %llu, used %llu, largest gap %llu: ",
                              (unsigned long long)len, mr_status_text(status), (unsigned long long)stats.capacity,
                              (unsigned long long)stats.used, (unsigned long long)stats.largest);
    if ((size_t)used >= size)
        return size - 1;
    return (size_t)used + (status == MR_E_TOOBIG ? 0 : who_keeps(n, node, text + used, size - (size_t)used));
}

/* ------------------------------------------------------------------------------------------------- begin and end -- */

mr_status mr_spill_open(mr_nodes *n, mr_err *err)
{
    const char *dir = mr_config_text(n->config, "store", "spill_dir"), *tmp = getenv("TMPDIR");
    mr_table_init(&n->spill.extents, sizeof(mr_extent));
    if (!mr_config_int(n->config, "store", "spill"))
        return MR_OK;
    const char *compress = mr_config_text(n->config, "store", "spill_compress");
    const char *in = dir ? dir : tmp && *tmp ? tmp : "/var/tmp";
    mr_status status = MR_OK;
    for (int i = MR_DISKS; i-- && !status;)
        status = mr_disk_new(in, compress, &n->spill.disk[i], err);
    if (!status || dir)
        return status;
    mr_log(MR_LOG_WARN, "engine", "nothing can be spilled: %s", err->text);
    err->text[0] = 0;
    return MR_OK;
}

void mr_spill_close(mr_nodes *n)
{
    while (n->spill.arrivals) {
        struct mr_arrival *next = n->spill.arrivals->next;
        free(n->spill.arrivals);
        n->spill.arrivals = next;
    }
    mr_table_fini(&n->spill.extents);
    for (int i = 0; i < MR_DISKS; i++)
        mr_disk_free(n->spill.disk[i]);
}
