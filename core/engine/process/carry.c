/* carry.c: owns what lies in the carrier for others: copies of values, bytes that workers write.
 *
 * When the node's own store is shared, it is the carrier and values need no copy: a worker is lent the value itself.
 * Else every value that a worker is to read is copied once into the carrier and lent to all workers that ask, until the
 * value is freed and the last of them gave it back; copies that nobody uses are given up when room is needed. Lock: the
 * node list's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/leases.h"
#include "engine/process/room.h"

enum { HUNGRY_NS = 5000000 };
static const int64_t CARRIER_WAIT_NS = INT64_C(30000000000);

mr_place *mr_carrier(mr_nodes *n)
{
    return n->carried ? &n->carrier : &n->node[0].store;
}

mr_id mr_carry_id(mr_nodes *n)
{
    return (mr_id)MR_CARRIER_NODE << 48 | ++n->next_carrier;
}

static void carry_remove(mr_nodes *n, mr_id id)
{
    mr_place *c = mr_carrier(n);
    mr_status status = c->ops->remove(c->self, id);
    if (status)
        mr_log(MR_LOG_ERROR, "engine", "the carrier keeps %llx: %s", (unsigned long long)id, mr_status_text(status));
}

static void carry_end(mr_nodes *n, mr_id id, mr_carry *copy)
{
    if (copy->ready)
        carry_remove(n, copy->carrier);
    free(copy->missing);
    mr_table_del(&n->copies, id);
}

/* Gives up copies that no worker has; true if there was one. */
static bool carry_trim(mr_nodes *n)
{
    uint64_t cursor = 0, id = 0;
    mr_carry *copy;
    mr_id found[64];
    size_t n_found = 0;
    while (n_found < 64 && (copy = mr_table_next(&n->copies, &cursor, &id)) != NULL)
        if (copy->ready && !copy->users && !copy->n_missing)
            found[n_found++] = id;
    for (size_t i = 0; i < n_found; i++)
        carry_end(n, found[i], mr_table_at(&n->copies, found[i]));
    return n_found > 0;
}

static mr_status carry_room(mr_nodes *n, mr_id id, uint64_t len, mr_region *out)
{
    mr_place *c = mr_carrier(n);
    mr_status status = mr_room_create(n, c, id, len, out);
    while (status == MR_E_FULL && n->carried && carry_trim(n))
        status = mr_room_create(n, c, id, len, out);
    return status;
}

/* --------------------------------------------------------------------------------------------------------- lent -- */

static void carry_returned(mr_nodes *n, const mr_lent *l)
{
    if (!n->carried) {
        const mr_val *v = mr_table_at(&n->values, l->id);
        if (v && v->kind == MR_VAL_STORED && v->u.stored.region.at == l->at)
            mr_value_unview(n, l->id, 1);
        return;
    }
    mr_carry *copy = mr_table_at(&n->copies, l->id);
    if (copy && copy->users && --copy->users == 0 && copy->orphan)
        carry_end(n, l->id, copy);
}

void mr_carry_lend(mr_nodes *n, mr_peer *p, mr_id id, uint64_t at, uint64_t seq)
{
    mr_lent l = {.at = at, .id = id, .seq = seq};
    if (p->n_lent == p->cap_lent) {
        size_t cap = p->cap_lent ? p->cap_lent * 2 : 16;
        mr_lent *grown = realloc(p->lent, cap * sizeof(*grown));
        if (!grown) { /* it is not to see what it could not be asked to give back */
            mr_peer_drop(n, p, "could not be lent an object: out of memory");
            carry_returned(n, &l);
            return;
        }
        p->lent = grown;
        p->cap_lent = cap;
    }
    p->lent[p->n_lent++] = l;
}

void mr_carry_return(mr_nodes *n, mr_peer *p, mr_id id, uint64_t at)
{
    for (size_t i = p->n_lent; i-- > 0;) {
        if (p->lent[i].id != id || (at && p->lent[i].at != at))
            continue;
        mr_lent l = p->lent[i];
        p->lent[i] = p->lent[--p->n_lent];
        carry_returned(n, &l);
        return;
    }
}

void mr_carry_return_seq(mr_nodes *n, mr_peer *p, uint64_t seq)
{
    for (size_t i = p->n_lent; i-- > 0;) {
        if (p->lent[i].seq != seq)
            continue;
        mr_lent l = p->lent[i];
        p->lent[i] = p->lent[--p->n_lent];
        carry_returned(n, &l);
    }
}

/* ------------------------------------------------------------------------------------------------------- copies -- */

static void carry_give(mr_nodes *n, mr_carry *copy, mr_id id, mr_peer *p, mr_dep *d, uint64_t seq)
{
    d->at = copy->at;
    copy->users++;
    mr_carry_lend(n, p, id, copy->at, seq);
}

/* The value itself, in the store of the node: it stays there until the worker gives it back. */
static void carry_lend_value(mr_nodes *n, mr_peer *p, mr_dep *d, mr_id id, mr_val *v, uint64_t seq)
{
    d->at = v->u.stored.region.at;
    v->views++;
    mr_carry_lend(n, p, id, d->at, seq);
}

/* The copy can be read: those that missed it go on. */
static void carry_ready(mr_nodes *n, mr_id id, mr_carry *copy)
{
    mr_place *c = mr_carrier(n);
    struct mr_missing *missing = copy->missing;
    size_t n_missing = copy->n_missing;
    if (c->ops->seal(c->self, copy->carrier))
        mr_log(MR_LOG_ERROR, "engine", "the carrier does not seal %llx", (unsigned long long)copy->carrier);
    copy->ready = true;
    copy->missing = NULL;
    copy->n_missing = copy->cap_missing = 0;
    for (size_t i = 0; i < n_missing; i++) {
        mr_peer *p = mr_peer_of(n, missing[i].worker);
        carry_give(n, copy, id, p, missing[i].d, missing[i].parcel->seq);
        missing[i].parcel->missing--;
    }
    /* Publishing may drop a peer, never a copy. */
    for (size_t i = 0; i < n_missing; i++) {
        mr_peer *p = mr_peer_of(n, missing[i].worker);
        if (p)
            mr_peer_flush(n, p);
    }
    free(missing);
}

static void carry_done(mr_nodes *n, mr_job *job)
{
    mr_carry *copy = mr_table_at(&n->copies, job->id);
    mr_place *c = mr_carrier(n);
    if (copy && copy->carrier != job->carrier)
        copy = NULL; /* the one it was for is gone, with what it copied */
    if (job->status) {
        /* No memory for it now: it is tried again from the start. */
        if (c->ops->abort(c->self, job->carrier))
            mr_log(MR_LOG_ERROR, "engine", "the carrier keeps %llx", (unsigned long long)job->carrier);
        if (copy)
            copy->hungry = true;
        mr_progress_poll(n, HUNGRY_NS);
    } else if (copy) {
        carry_ready(n, job->id, copy);
    }
    if (!job->lost)
        mr_value_unbusy(n, job->id);
}

static void carry_make(mr_nodes *n, mr_id id, mr_carry *copy, mr_val *v)
{
    mr_region to;
    mr_job *job = NULL;
    copy->carrier = mr_carry_id(n);
    copy->hungry = true;
    if (!v->u.stored.nodes) { /* nothing to copy yet; mr_carry_restored goes on */
        mr_spill_want(n, id, v);
        return;
    }
    if (carry_room(n, copy->carrier, v->len, &to))
        goto later;
    copy->until = 0;
    copy->at = to.at;
    if (v->len <= MR_SMALL_COPY) {
        copy->hungry = false;
        memcpy(to.data, mr_value_bytes(v), v->len);
        carry_ready(n, id, copy);
        return;
    }
    job = calloc(1, sizeof(*job));
    if (!job)
        goto abort;
    *job = (mr_job){.populate = mr_carrier(n), .to = to, .from = mr_value_bytes(v), .len = v->len, .done = carry_done};
    job->id = id;
    job->carrier = copy->carrier;
    v->busy++;
    if (!mr_job_add(n, job)) {
        copy->hungry = false;
        return;
    }
    v->busy--;
abort:
    if (mr_carrier(n)->ops->abort(mr_carrier(n)->self, copy->carrier))
        mr_log(MR_LOG_ERROR, "engine", "the carrier keeps %llx", (unsigned long long)copy->carrier);
later:
    if (!copy->until)
        copy->until = mr_drive_monotonic() + CARRIER_WAIT_NS;
    mr_progress_poll(n, HUNGRY_NS);
}

void mr_carry_retry(mr_nodes *n)
{
    uint64_t cursor = 0, id = 0;
    mr_carry *copy;
    mr_id found[64];
    size_t n_found = 0;
    while (n_found < 64 && (copy = mr_table_next(&n->copies, &cursor, &id)) != NULL)
        if (copy->hungry)
            found[n_found++] = id;
    for (size_t i = 0; i < n_found; i++) {
        mr_val *v = mr_value_find(n, found[i]);
        copy = mr_table_at(&n->copies, found[i]);
        if (copy && copy->hungry && copy->until && mr_drive_monotonic() >= copy->until)
            mr_carry_starved(n, found[i], MR_E_FULL);
        else if (v && copy && copy->hungry)
            carry_make(n, found[i], copy, v);
    }
}

static bool carry_miss(mr_carry *copy, mr_peer *p, mr_parcel *parcel, mr_dep *d)
{
    if (copy->n_missing == copy->cap_missing) {
        size_t cap = copy->cap_missing ? copy->cap_missing * 2 : 4;
        struct mr_missing *grown = realloc(copy->missing, cap * sizeof(*grown));
        if (!grown)
            return false;
        copy->missing = grown;
        copy->cap_missing = cap;
    }
    copy->missing[copy->n_missing++] = (struct mr_missing){parcel, d, p->worker};
    parcel->missing++;
    return true;
}

bool mr_carry_dep(mr_nodes *n, mr_peer *p, mr_parcel *parcel, mr_dep *d, mr_id id, mr_val *v, uint64_t seq)
{
    if (v->kind != MR_VAL_STORED)
        return false;
    d->flags |= MR_VALUE_STORED | MR_DEP_LENT;
    v->used = true;
    if (!n->carried && v->u.stored.nodes) {
        carry_lend_value(n, p, d, id, v, seq);
        return true;
    }
    mr_carry *copy = mr_table_at(&n->copies, id);
    bool fresh = !copy;
    if (!copy)
        copy = mr_table_put(&n->copies, id);
    if (copy && copy->ready) {
        carry_give(n, copy, id, p, d, seq);
        return true;
    }
    if (!copy || !carry_miss(copy, p, parcel, d)) {
        parcel->failed = 1;
        return true;
    }
    if (!n->carried)
        mr_spill_want(n, id, v);
    else if (fresh)
        carry_make(n, id, copy, v);
    return true;
}

static void carry_flush(mr_nodes *n, const struct mr_missing *missing, size_t n_missing)
{
    for (size_t i = 0; i < n_missing; i++) {
        mr_peer *p = mr_peer_of(n, missing[i].worker);
        if (p)
            mr_peer_flush(n, p);
    }
}

void mr_carry_restored(mr_nodes *n, mr_id id, mr_val *v)
{
    mr_carry *copy = mr_table_at(&n->copies, id);
    if (!copy || n->carried) {
        if (copy && copy->hungry)
            carry_make(n, id, copy, v);
        return;
    }
    struct mr_missing *missing = copy->missing;
    size_t n_missing = copy->n_missing;
    mr_table_del(&n->copies, id);
    for (size_t i = 0; i < n_missing; i++) {
        mr_parcel *parcel = missing[i].parcel;
        carry_lend_value(n, mr_peer_of(n, missing[i].worker), missing[i].d, id, v, parcel->seq);
        parcel->missing--;
    }
    carry_flush(n, missing, n_missing);
    free(missing);
}

/* The record travels all the same, and says so where the value would be. */
void mr_carry_starved(mr_nodes *n, mr_id id, mr_status why)
{
    mr_carry *copy = mr_table_at(&n->copies, id);
    if (!copy)
        return;
    struct mr_missing *missing = copy->missing;
    size_t n_missing = copy->n_missing;
    copy->missing = NULL;
    copy->n_missing = copy->cap_missing = 0;
    copy->until = 0;
    for (size_t i = 0; i < n_missing; i++) {
        missing[i].d->flags = MR_DEP_FAILED;
        missing[i].d->at = (uint64_t)(int64_t)why;
        missing[i].parcel->missing--;
    }
    if (!copy->users)
        carry_end(n, id, copy);
    carry_flush(n, missing, n_missing);
    free(missing);
}

void mr_carry_forsake(mr_nodes *n, const mr_parcel *parcel)
{
    uint64_t cursor = 0;
    mr_carry *copy;
    while ((copy = mr_table_next(&n->copies, &cursor, NULL)) != NULL)
        for (size_t i = copy->n_missing; i-- > 0;)
            if (copy->missing[i].parcel == parcel)
                copy->missing[i] = copy->missing[--copy->n_missing];
}

void mr_carry_forget(mr_nodes *n, mr_id id)
{
    mr_carry *copy = mr_table_at(&n->copies, id);
    if (!copy)
        return;
    /* Only a copy that found no room yet can be missed here: a job that reads the value keeps it from being freed. */
    for (size_t i = 0; i < copy->n_missing; i++) {
        copy->missing[i].parcel->missing--;
        copy->missing[i].parcel->failed = 1;
        mr_progress_poll(n, HUNGRY_NS);
    }
    copy->n_missing = 0;
    if (copy->users)
        copy->orphan = true;
    else
        carry_end(n, id, copy);
}

void mr_carry_fini(mr_nodes *n)
{
    uint64_t cursor = 0;
    mr_carry *copy;
    while ((copy = mr_table_next(&n->copies, &cursor, NULL)) != NULL)
        free(copy->missing);
    mr_table_fini(&n->copies);
}

/* ------------------------------------------------------------------------------------------- writing -- */

mr_created *mr_carry_make(mr_peer *p)
{
    if (p->n_created == p->cap_created) {
        size_t cap = p->cap_created ? p->cap_created * 2 : 4;
        mr_created *grown = realloc(p->created, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        p->created = grown;
        p->cap_created = cap;
    }
    return &p->created[p->n_created];
}

mr_status mr_carry_create(mr_nodes *n, mr_peer *p, mr_id id, uint64_t len, mr_created *out)
{
    if (!mr_carry_make(p))
        return MR_E_NOMEM;
    bool spare = id && mr_value_find(n, id);
    out->under = id && !spare ? id : mr_carry_id(n);
    out->id = id ? id : out->under;
    out->has_home = false;
    mr_status status = carry_room(n, out->under, len, &out->region);
    if (status)
        return status;
    p->created[p->n_created++] = *out;
    if (id && n->carried && !spare) {
        /* Room at home now: a value that is made already can not be told to wait. */
        mr_place *s = &n->node[p->node].store;
        status = mr_room_create(n, s, id, len, &out->home);
        out->has_home = !status;
        p->created[p->n_created - 1] = *out;
        if (status)
            mr_carry_abort(n, p, id);
    }
    return status;
}

void mr_carry_abort(mr_nodes *n, mr_peer *p, mr_id id)
{
    const mr_created *made = mr_carry_created(p, id);
    mr_place *c = mr_carrier(n), *s = &n->node[p->node].store;
    if (!made)
        return;
    bool home = made->has_home;
    mr_id under = made->under;
    mr_carry_created_end(p, id);
    if (c->ops->abort(c->self, under) || (home && s->ops->abort(s->self, id)))
        mr_log(MR_LOG_ERROR, "engine", "bytes of object %llx of worker %u stay in the store", (unsigned long long)id,
               p->worker);
}

mr_created *mr_carry_created(mr_peer *p, mr_id id)
{
    for (size_t i = 0; i < p->n_created; i++)
        if (p->created[i].id == id)
            return &p->created[i];
    return NULL;
}

void mr_carry_created_end(mr_peer *p, mr_id id)
{
    mr_created *c = mr_carry_created(p, id);
    if (c)
        *c = p->created[--p->n_created];
}
