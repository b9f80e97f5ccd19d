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

static void extent_drop(mr_nodes *n, const mr_extent *e, void (*done)(mr_nodes *n, mr_job *job))
{
    mr_job *job = calloc(1, sizeof(*job));
    if (job) {
        job->extent = *e;
        job->run = run_drop;
        job->done = done;
    }
    bool refused = !job || mr_job_add(n, job);
    if (refused && e->lifted)
        free(e->lifted);
    else if (refused)
        mr_log(MR_LOG_WARN, "engine", "%llu bytes of the spill file are given back only with the session",
               (unsigned long long)e->taken);
}

void mr_spill_drop(mr_nodes *n, mr_id id)
{
    const mr_extent *e = mr_table_at(&n->spill.extents, id);
    if (!e)
        return;
    n->spill.bytes -= e->taken;
    if (n->spill.lifted == id)
        n->spill.lifted = MR_NO_ID;
    extent_drop(n, e, done_drop);
    mr_table_del(&n->spill.extents, id);
}

bool mr_spill_has(mr_nodes *n, mr_id id)
{
    return mr_table_at(&n->spill.extents, id) != NULL;
}

/* ------------------------------------------------------------------------------------------------------ leaving -- */

/* Values that came back, and are looked at, are on the disk for nothing: true if there were any. */
static bool shed(mr_nodes *n)
{
    mr_id found[64], id;
    uint64_t cursor = 0;
    size_t n_found = 0;
    while (n_found < 64 && mr_table_next(&n->spill.extents, &cursor, &id)) {
        const mr_val *v = mr_table_at(&n->values, id);
        if (v && v->kind == MR_VAL_STORED && v->u.stored.nodes && v->views && !v->busy)
            found[n_found++] = id;
    }
    for (size_t i = 0; i < n_found; i++)
        mr_spill_drop(n, found[i]);
    return n_found > 0;
}

static void failed(mr_nodes *n, const mr_job *job)
{
    int64_t now = mr_drive_monotonic();
    n->spill.hole = 0;
    n->spill.no_space = job->status == MR_E_FULL;
    if (n->spill.no_space && shed(n))
        return;
    n->spill.failed_until = now + AFTER_FAILURE_NS;
    snprintf(n->spill.why, sizeof(n->spill.why), "%.300s", job->err.text);
    if (!n->spill.said_at || now - n->spill.said_at >= SAY_EVERY_NS)
        mr_log(MR_LOG_ERROR, "engine", "object %llx stays in memory: %s", (unsigned long long)job->id, job->err.text);
    n->spill.said_at = now;
}

bool mr_spill_failing(const mr_nodes *n)
{
    return n->spill.why[0] && mr_drive_monotonic() < n->spill.failed_until + AFTER_FAILURE_NS;
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
    n->spill.hole -= job->len < n->spill.hole ? job->len : n->spill.hole;
    if (!job->status) {
        mr_extent *e = v && !v->freed && !v->hidden ? mr_table_put(&n->spill.extents, job->id) : NULL;
        if (e) {
            *e = job->extent;
            n->spill.bytes += e->taken;
        } else {
            extent_drop(n, &job->extent, done_drop);
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
    bool refuses = mr_drive_monotonic() < n->spill.failed_until && (!v || v->len > n->spill.hole);
    bool stays = !free_now || v->used || (!mr_spill_has(n, id) && refuses);
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

/* Its bytes on the disk are not what was written, or cannot be read. */
static bool damaged(mr_nodes *n, const struct mr_arrival *a, const mr_job *job)
{
    if (job->status != MR_E_IO && job->status != MR_E_LOST)
        return false;
    mr_log(MR_LOG_ERROR, "engine", "object %llx cannot be read back: %s", (unsigned long long)a->id, job->err.text);
    mr_spill_drop(n, a->id);
    tell(n, MR_EV_LOST, a->id, a->from, job->len, job->status == MR_E_IO ? MR_LOSS_UNREADABLE : MR_LOSS_DAMAGED);
    return true;
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
    if (damaged(n, a, job))
        status = MR_E_LOST;
    if (!status && n->spill.lifted == job->id)
        mr_spill_drop(n, job->id);
    arrival_end(n, a, status);
}

/* ---------------------------------------------------------------------------------- when the disk is full as well --
 */

/* What is to come back is read into memory of its own, so that its place on the disk takes what is in its way: they
 * change places.  One value at a time, since it is more than the capacity. */
static mr_status run_lift(mr_nodes *n, mr_job *job)
{
    mr_extent from = job->extent;
    return mr_disk_lift(n->spill.disk[from.disk], &from, &job->extent, &job->err);
}

/* The bytes are now where the job has put them; true: there they are. */
static bool extent_moved(mr_nodes *n, mr_job *job, void (*dropped)(mr_nodes *n, mr_job *job))
{
    mr_extent *e = job->lost ? NULL : mr_table_at(&n->spill.extents, job->id);
    if (!job->status && e) {
        extent_drop(n, e, dropped);
        n->spill.bytes += job->extent.taken - e->taken;
        *e = job->extent;
    } else if (!job->status) {
        extent_drop(n, &job->extent, done_drop);
    }
    return !job->status && e;
}

/* Its place is free. */
static void done_hole(mr_nodes *n, mr_job *job)
{
    n->spill.hole = n->spill.lifted ? job->extent.len : 0;
    wake(n);
}

static void done_lift(mr_nodes *n, mr_job *job)
{
    struct mr_arrival *a = job->arg;
    n->spill.lifted = extent_moved(n, job, done_hole) ? job->id : MR_NO_ID;
    if (job->status)
        free(job->extent.lifted);
    if (!job->lost)
        mr_value_unbusy(n, job->id);
    if (damaged(n, a, job))
        arrival_end(n, a, MR_E_LOST);
    else
        arrival_queue(n, a);
}

static void done_lower(mr_nodes *n, mr_job *job)
{
    if (extent_moved(n, job, done_drop))
        n->spill.lifted = MR_NO_ID;
    if (!job->lost)
        mr_value_unbusy(n, job->id);
}

/* a: who waits for the bytes, alive until `done`; NULL: nobody. */
static bool move(mr_nodes *n, mr_id id, struct mr_arrival *a, mr_status (*run)(mr_nodes *, mr_job *),
                 void (*done)(mr_nodes *, mr_job *))
{
    mr_val *v = mr_value_find(n, id);
    const mr_extent *e = mr_table_at(&n->spill.extents, id);
    mr_job *job = v && e ? calloc(1, sizeof(*job)) : NULL;
    if (!job)
        return false;
    *job = (mr_job){.run = run, .done = done, .extent = *e, .from = e->lifted, .len = e->len, .id = id, .arg = a};
    v->busy++;
    if (!mr_job_add(n, job))
        return true;
    v->busy--;
    return false;
}

/* True: it is being done, and the arrival is not in the queue so long. */
static bool lift(mr_nodes *n, struct mr_arrival *a)
{
    const mr_extent *e = mr_table_at(&n->spill.extents, a->id);
    if (!e || e->lifted || n->spill.lifted || !n->spill.no_space || !mr_spill_failing(n) || !mr_room_spare(e->len))
        return false;
    if (!move(n, a->id, a, run_lift, done_lift))
        return false;
    n->spill.lifted = a->id;
    return true;
}

/* ----------------------------------------------------------------------------------------------- finding room -- */

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
    mr_status status = mr_room_turn(n, a->node, a->since) ? mr_room_create(n, s, a->id, v->len, &to) : MR_E_FULL;
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
        /* A task in the way may take its time; where others of the queue find room, there is hope for longer. */
        int64_t patience = n->room.full_ns * MR_FETCH_TIMES;
        if (now - hope >= patience || now - a->since >= PATIENCE_MOST * patience) {
            if (n->spill.lifted == a->id)
                (void)move(n, a->id, NULL, run_write, done_lower); /* else it stays where it is until there is room */
            arrival_end(n, a, MR_E_FULL);
            continue;
        }
        if (lift(n, a))
            continue;
        if (now >= a->again && mr_room_turn(n, a->node, a->since)) {
            mr_spill_ask(n, a->node, 0, mr_value_find(n, a->id)->len);
            a->again = now + LOOK_NS;
        }
        arrival_queue(n, a);
    }
    if (n->spill.arrivals)
        mr_progress_poll(n, LOOK_NS);
}

/* ---------------------------------------------------------------------------------------------- what never fits -- */

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
    uint64_t cursor = 0;
    for (const mr_extent *e; (e = mr_table_next(&n->spill.extents, &cursor, NULL)) != NULL;)
        free(e->lifted);
    mr_table_fini(&n->spill.extents);
    for (int i = 0; i < MR_DISKS; i++)
        mr_disk_free(n->spill.disk[i]);
}
