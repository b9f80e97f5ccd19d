/* links.c: owns the peers: a worker process each, with its link block, its outbound box and what it was told.
 *
 * The node never waits on a worker's ring: what does not fit, or still misses a copy, stays in the peer's box, in
 * order. Does not know how bytes travel (carry.c) or what a worker's records mean (events.c).  Lock: the node list's.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/leases.h"

enum { INLINE_CARRIED = 8192, BOX_POLL_NS = 1000000 };

mr_peer *mr_peer_of(mr_nodes *n, uint32_t worker)
{
    uint32_t *link = mr_table_at(&n->by_worker, worker);
    return link ? n->peer[*link] : NULL;
}

mr_status mr_peer_new(mr_nodes *n, uint32_t worker, uint32_t node, uint32_t lang, mr_peer **out)
{
    uint32_t link = 0;
    while (link < MR_LINKS_MAX && n->peer[link])
        link++;
    if (link == MR_LINKS_MAX)
        return MR_E_FULL;
    mr_peer *p = calloc(1, sizeof(*p));
    uint32_t *entry = p ? mr_table_put(&n->by_worker, worker) : NULL;
    if (!entry) {
        free(p);
        return MR_E_NOMEM;
    }
    *entry = link;
    p->worker = worker;
    p->link = link;
    p->node = node;
    p->lang = lang;
    p->state = MR_PEER_STARTING;
    p->box_end = &p->box;
    p->block = &n->links->link[link];
    memset(p->block, 0, offsetof(mr_link, in_data));
    p->block->magic = MR_LINK_MAGIC;
    p->block->worker = worker;
    p->block->node = node;
    p->block->id_first = atomic_fetch_add(&n->next_id, MR_IDS_BLOCK);
    p->block->id_count = MR_IDS_BLOCK;
    mr_ring_end_init(&p->in, &p->block->in, p->block->in_data, MR_RING_BYTES, true);
    mr_ring_end_init(&p->out, &p->block->out, p->block->out_data, MR_RING_BYTES, false);
    n->peer[link] = p;
    if (link >= n->n_links)
        n->n_links = link + 1;
    *out = p;
    return MR_OK;
}

void mr_peer_drop(mr_nodes *n, mr_peer *p, const char *what)
{
    if (p->dropped)
        return;
    mr_log(MR_LOG_ERROR, "engine", "worker %u (pid %d) %s: it is killed, the others go on", p->worker, p->pid, what);
    p->dropped = true;
    mr_sup_msg m = {.kind = MR_SUP_SIGNAL, .worker = p->worker, .code = SIGKILL};
    mr_spawn_order(n, &m);
}

/* --------------------------------------------------------------------------------------------------------- box -- */

mr_parcel *mr_parcel_new(uint32_t kind, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    mr_parcel *parcel = size < UINT32_MAX ? malloc(sizeof(*parcel) + size) : NULL;
    if (!parcel)
        return NULL;
    parcel->next = NULL;
    parcel->missing = 0;
    parcel->failed = 0;
    parcel->seq = 0;
    parcel->sent = 0;
    parcel->size = (uint32_t)size;
    memset(parcel->record, 0, sizeof(mr_record));
    *(mr_record *)(void *)parcel->record =
        (mr_record){.size = (uint32_t)size, .kind = (uint16_t)kind, .version = MR_RECORD_VERSION};
    return parcel;
}

/* Is the claim word of dispatch `seq` no longer needed by the one MR_CLAIMS before it? */
static bool claim_free(const mr_peer *p, uint64_t seq)
{
    uint64_t word = atomic_load_explicit(&p->block->claims[seq % MR_CLAIMS], memory_order_acquire);
    return (word & 3) != MR_CLAIM_QUEUED;
}

static void claim_set(mr_peer *p, mr_id task, uint64_t seq)
{
    p->claims[seq % MR_CLAIMS] = (mr_claimed){task, seq};
    atomic_store_explicit(&p->block->claims[seq % MR_CLAIMS], seq << 2 | MR_CLAIM_QUEUED, memory_order_release);
}

/* Into the ring, whole or, if it is too large, in pieces, which need no room in a store; false: not now, or not all of
 * it.  *any: something was. */
static bool box_publish(mr_nodes *n, mr_peer *p, mr_parcel *parcel, bool *any)
{
    uint32_t head = parcel->size > MR_RECORD_MAX ? sizeof(mr_part) : 0, most = MR_RECORD_MAX - head;
    while (parcel->sent < parcel->size) {
        uint32_t left = parcel->size - parcel->sent, piece = left < most ? left : most;
        bool wait = piece == left && parcel->seq && !claim_free(p, parcel->seq);
        char *room = wait ? NULL : mr_ring_reserve(&p->in, head + piece);
        if (!room) {
            mr_progress_poll(n, BOX_POLL_NS);
            return false;
        }
        if (head)
            *(mr_part *)(void *)room = (mr_part){
                .h = {.size = head + piece, .kind = MR_ORD_PART, .version = MR_RECORD_VERSION, .n_bytes = piece},
                .at = parcel->sent,
                .len = parcel->size};
        memcpy(room + head, parcel->record + parcel->sent, piece);
        if (piece == left && parcel->seq)
            claim_set(p, ((const mr_ord_dispatch *)(const void *)parcel->record)->task, parcel->seq);
        mr_ring_publish(&p->in, head + piece);
        parcel->sent += piece;
        *any = true;
    }
    return true;
}

/* Takes parcel *at out of the box. */
static void box_drop(mr_nodes *n, mr_peer *p, mr_parcel **at)
{
    mr_parcel *parcel = *at;
    uint64_t seq = parcel->seq;
    *at = parcel->next;
    if (p->box_end == &parcel->next)
        p->box_end = at;
    if (parcel->missing)
        mr_carry_forsake(n, parcel);
    free(parcel);
    mr_carry_return_seq(n, p, seq);
}

static const mr_ord_dispatch *box_dispatch(const mr_parcel *parcel)
{
    return parcel->seq ? (const mr_ord_dispatch *)(const void *)parcel->record : NULL;
}

/* What lies in the ring and was not claimed, in order; it is taken back. */
static uint32_t claims_return(mr_peer *p, mr_id *out)
{
    uint32_t count = 0;
    uint64_t seqs[MR_CLAIMS];
    for (size_t i = 0; i < MR_CLAIMS; i++) {
        const mr_claimed *c = &p->claims[i];
        uint64_t queued = c->seq << 2 | MR_CLAIM_QUEUED;
        if (!c->seq || !c->task ||
            !atomic_compare_exchange_strong(&p->block->claims[i], &queued, c->seq << 2 | MR_CLAIM_REVOKED))
            continue;
        uint32_t at = count++;
        for (; at > 0 && seqs[at - 1] > c->seq; at--) {
            seqs[at] = seqs[at - 1];
            out[at] = out[at - 1];
        }
        seqs[at] = c->seq;
        out[at] = c->task;
    }
    return count;
}

/* All that the worker has not begun goes back to control, in its order: it is dead (its lent copies are given back
 * elsewhere), or the first dispatch in its box lacks an argument that went with its node, or was freed. */
static void box_return(mr_nodes *n, mr_peer *p)
{
    uint32_t count = 0;
    for (const mr_parcel *parcel = p->box; parcel; parcel = parcel->next)
        count += box_dispatch(parcel) != NULL;
    size_t size = mr_record_total(sizeof(mr_ev_worker), count + MR_CLAIMS, 0);
    mr_ev_worker *ev = calloc(1, size);
    if (!ev) {
        mr_peer_drop(n, p, "leaves tasks that it has not begun, and there is no memory to say so");
        return;
    }
    ev->worker = p->worker;
    ev->how = p->died ? p->how : 0;
    mr_id *ids = (mr_id *)(ev + 1);
    count = p->died ? claims_return(p, ids) : 0;
    for (mr_parcel **at = &p->box; *at;) {
        const mr_ord_dispatch *d = box_dispatch(*at);
        if (d) {
            ids[count++] = d->task;
            box_drop(n, p, at);
        } else {
            at = &(*at)->next;
        }
    }
    size = mr_record_total(sizeof(mr_ev_worker), count, 0);
    ev->h = (mr_record){.size = (uint32_t)size, .kind = MR_EV_UNSENT, .version = MR_RECORD_VERSION, .n_ids = count};
    if (count)
        mr_drive_inner(n, &ev->h);
    free(ev);
}

/* Rung for before the lock is left, or a little later (mr_drive_bells). */
static void peer_ring(mr_nodes *n, mr_peer *p, bool short_task)
{
    n->untold++;
    n->hasty |= !short_task;
    n->to_ring[p->link / 64] |= UINT64_C(1) << (p->link % 64);
    n->any_to_ring = true;
}

void mr_peer_flush(mr_nodes *n, mr_peer *p)
{
    bool any = false;
    while (p->box && !p->box->missing && !p->died) { /* what is left of the dead goes back with its burial */
        mr_parcel *parcel = p->box;
        if (parcel->failed && box_dispatch(parcel) && !p->dropped) {
            box_return(n, p);
            continue;
        }
        if (parcel->failed && !parcel->seq) /* it is asked for again */
            ((mr_ord_value *)(void *)parcel->record)->status = MR_E_TIMEOUT;
        if (!p->dropped && !box_publish(n, p, parcel, &any))
            break;
        p->box = parcel->next;
        if (!p->box)
            p->box_end = &p->box;
        free(parcel);
    }
    if (any)
        peer_ring(n, p, false);
}

void mr_peer_bury(mr_nodes *n, mr_peer *p)
{
    mr_drive_drain(n, p);
    if (p->stalled)
        return; /* comes back when the copy is made */
    if (!p->retired && p->died)
        box_return(n, p);
    mr_lease_end(n, p);
    while (p->n_created)
        mr_carry_abort(n, p, p->created[p->n_created - 1].id);
    while (p->n_lent)
        mr_carry_return(n, p, p->lent[p->n_lent - 1].id, p->lent[p->n_lent - 1].at);
    while (p->waits) {
        mr_peer_wait *next = p->waits->next;
        free(p->waits);
        p->waits = next;
    }
    while (p->box) {
        mr_parcel *next = p->box->next;
        if (p->box->missing)
            mr_carry_forsake(n, p->box);
        free(p->box);
        p->box = next;
    }
    if (!p->retired) {
        mr_ev_worker ev = {.h = {.size = sizeof(ev), .kind = MR_EV_WORKER_DIED, .version = MR_RECORD_VERSION}};
        ev.worker = p->worker;
        ev.pid = p->pid;
        ev.how = p->how;
        ev.code = p->code;
        mr_drive_inner(n, &ev.h);
    }
    mr_table_del(&n->by_worker, p->worker);
    n->peer[p->link] = NULL;
    free(p->created);
    free(p->lent);
    free(p->known);
    free(p);
}

void mr_peer_send(mr_nodes *n, mr_peer *p, mr_parcel *parcel)
{
    *p->box_end = parcel;
    p->box_end = &parcel->next;
    mr_peer_flush(n, p);
}

/* ----------------------------------------------------------------------------------------------------- dispatch -- */

/* Is the value written into the record itself?  What is on the disk alone has no bytes to write. */
static bool dep_inline(const mr_nodes *n, const mr_val *v)
{
    return v->kind != MR_VAL_STORED || (n->carried && v->u.stored.nodes && v->len <= INLINE_CARRIED);
}

static size_t pad8(size_t len)
{
    return (len + 7) & ~(size_t)7;
}

/* A dispatch in the making. */
typedef struct sending {
    mr_spec spec;
    const void *args;
    size_t args_len, size;
    bool copies; /* a value is to be copied, or read from the disk, first: so its record waits in a parcel */
} sending;

static mr_status dispatch_measure(mr_nodes *n, mr_id task, sending *s)
{
    mr_status status = mr_control_spec(n->control, task, &s->spec);
    if (status)
        return status;
    s->args = mr_payload_find(n, task, &s->args_len);
    s->size = sizeof(mr_ord_dispatch) + s->spec.n_deps * sizeof(mr_dep) + pad8(s->args_len);
    s->copies = false;
    for (uint32_t i = 0; i < s->spec.n_deps; i++) {
        const mr_val *v = mr_value_find(n, s->spec.deps[i]);
        if (!v)
            return mr_control_object(n->control, s->spec.deps[i]).state == MR_OBJ_SEALED ? MR_E_NOMEM : MR_E_FREED;
        if (dep_inline(n, v))
            s->size += pad8(v->len);
        else
            s->copies |= n->carried || !v->u.stored.nodes;
    }
    return s->size < UINT32_MAX ? MR_OK : MR_E_TOOBIG;
}

/* `parcel`: that `d` lies in; NULL: no value needs one. */
static void dispatch_fill(mr_nodes *n, mr_peer *p, const sending *s, mr_parcel *parcel, mr_ord_dispatch *d,
                          uint64_t seq)
{
    const mr_spec *spec = &s->spec;
    char *start = (char *)d;
    *d = (mr_ord_dispatch){.h = {.size = (uint32_t)s->size, .kind = MR_ORD_DISPATCH, .version = MR_RECORD_VERSION},
                           .task = spec->task,
                           .actor = spec->actor,
                           .parent = spec->parent,
                           .seq = seq,
                           .gpus = spec->gpus,
                           .attempt = spec->attempt,
                           .func = spec->func,
                           .n_returns = spec->n_returns,
                           .n_deps = spec->n_deps,
                           .n_refs = spec->n_refs};
    mr_dep *deps = (mr_dep *)(void *)(d + 1);
    size_t at = sizeof(*d) + spec->n_deps * sizeof(mr_dep);
    d->args_at = (uint32_t)at;
    d->args_len = (uint32_t)s->args_len;
    d->h.n_bytes = (uint32_t)(s->size - sizeof(*d));
    if (s->args_len)
        memcpy(start + at, s->args, s->args_len);
    at += pad8(s->args_len);
    for (uint32_t i = 0; i < spec->n_deps; i++) {
        mr_val *v = mr_value_find(n, spec->deps[i]);
        deps[i] = (mr_dep){.id = spec->deps[i], .len = v->len, .format = v->format, .flags = v->flags};
        if (!dep_inline(n, v)) {
            mr_carry_dep(n, p, parcel, &deps[i], spec->deps[i], v, seq);
            continue;
        }
        deps[i].at = at;
        memcpy(start + at, mr_value_bytes(v), v->len);
        at += pad8(v->len);
    }
}

/* Written in the ring itself, where nothing stands before it and it needs no copy. */
static bool dispatch_direct(mr_nodes *n, mr_peer *p, const sending *s)
{
    uint64_t seq = p->seq + 1;
    if (p->box || s->copies || p->dropped || p->died || s->size > MR_RECORD_MAX || !claim_free(p, seq))
        return false;
    mr_ord_dispatch *d = mr_ring_reserve(&p->in, (uint32_t)s->size);
    if (!d)
        return false;
    p->seq = seq;
    dispatch_fill(n, p, s, NULL, d, seq);
    claim_set(p, s->spec.task, seq);
    mr_ring_publish(&p->in, (uint32_t)s->size);
    peer_ring(n, p, mr_control_short(n->control, s->spec.func));
    return true;
}

/* An argument was given up after the task had all: in its turn it goes back to control, which says what becomes of it.
 */
static mr_status dispatch_return(mr_nodes *n, mr_peer *p, mr_id task)
{
    mr_parcel *parcel = mr_parcel_new(MR_ORD_DISPATCH, sizeof(mr_ord_dispatch));
    if (!parcel)
        return MR_E_NOMEM;
    ((mr_ord_dispatch *)(void *)parcel->record)->task = task;
    parcel->seq = ++p->seq;
    parcel->failed = 1;
    mr_peer_send(n, p, parcel);
    return MR_OK;
}

mr_status mr_peer_dispatch(mr_nodes *n, mr_peer *p, mr_id task, uint32_t attempt)
{
    sending s;
    mr_status status = dispatch_measure(n, task, &s);
    if (status == MR_E_FREED)
        return dispatch_return(n, p, task);
    if (!status)
        status = mr_peer_func(n, p, s.spec.func);
    if (status)
        return status;
    s.spec.attempt = attempt;
    p->last_func = s.spec.func;
    if (dispatch_direct(n, p, &s))
        return MR_OK;
    mr_parcel *parcel = mr_parcel_new(MR_ORD_DISPATCH, s.size);
    if (!parcel)
        return MR_E_NOMEM;
    parcel->seq = ++p->seq;
    dispatch_fill(n, p, &s, parcel, (mr_ord_dispatch *)(void *)parcel->record, parcel->seq);
    mr_peer_send(n, p, parcel);
    return MR_OK;
}

/* Not in the ring yet: it need not travel at all. */
static bool box_revoke(mr_nodes *n, mr_peer *p, mr_id task)
{
    for (mr_parcel **at = &p->box; *at; at = &(*at)->next) {
        const mr_ord_dispatch *d = box_dispatch(*at);
        if (!d || d->task != task)
            continue;
        box_drop(n, p, at);
        return true;
    }
    return false;
}

bool mr_peer_revoke(mr_nodes *n, mr_peer *p, mr_id task)
{
    if (box_revoke(n, p, task))
        return true;
    /* The last ones come back first. */
    for (uint64_t seq = p->seq; seq && p->seq - seq < MR_CLAIMS; seq--) {
        size_t i = seq % MR_CLAIMS;
        uint64_t queued = seq << 2 | MR_CLAIM_QUEUED;
        if (p->claims[i].task != task || p->claims[i].seq != seq)
            continue;
        if (!atomic_compare_exchange_strong(&p->block->claims[i], &queued, seq << 2 | MR_CLAIM_REVOKED))
            continue;
        p->claims[i].task = 0;
        mr_carry_return_seq(n, p, seq);
        return true;
    }
    return false;
}

bool mr_peer_runs(mr_peer *p, mr_id task, uint64_t *seq)
{
    uint64_t now = atomic_load(&p->block->slot) >> 2;
    const mr_claimed *c = &p->claims[now % MR_CLAIMS];
    *seq = now;
    return now && c->seq == now && c->task == task;
}

/* ------------------------------------------------------------------------------------------------- other orders -- */

bool mr_peer_knows(const mr_nodes *n, const mr_peer *p, mr_id code)
{
    for (uint32_t i = 0; i < p->cap_known * 64; i++) {
        bool known = p->known[i / 64] >> (i % 64) & 1;
        const mr_define *def = known ? mr_control_func(n->control, i) : NULL;
        if (def && def->code == code)
            return true;
    }
    return false;
}

mr_status mr_peer_func(mr_nodes *n, mr_peer *p, uint32_t func)
{
    if (func / 64 < p->cap_known && p->known[func / 64] >> (func % 64) & 1)
        return MR_OK;
    const mr_define *def = mr_control_func(n->control, func);
    if (!def)
        return MR_E_NOTFOUND;
    if (func / 64 >= p->cap_known) {
        size_t cap = func / 64 + 4;
        uint64_t *grown = realloc(p->known, cap * sizeof(*grown));
        if (!grown)
            return MR_E_NOMEM;
        memset(grown + p->cap_known, 0, (cap - p->cap_known) * sizeof(*grown));
        p->known = grown;
        p->cap_known = cap;
    }
    mr_parcel *parcel = mr_parcel_new(MR_ORD_FUNC, sizeof(mr_record) + def->h.size);
    if (!parcel)
        return MR_E_NOMEM;
    mr_record *r = (mr_record *)(void *)parcel->record;
    r->token = func;
    r->n_bytes = def->h.size;
    memcpy(r + 1, def, def->h.size);
    p->known[func / 64] |= UINT64_C(1) << (func % 64);
    mr_peer_send(n, p, parcel);
    return MR_OK;
}

void mr_peer_value(mr_nodes *n, mr_peer *p, mr_id id)
{
    mr_val *v = mr_value_find(n, id);
    bool in = v && dep_inline(n, v);
    mr_parcel *parcel = mr_parcel_new(MR_ORD_VALUE, sizeof(mr_ord_value) + (in ? v->len : 0));
    if (!parcel) {
        mr_peer_drop(n, p, "could not be sent a value: out of memory");
        return;
    }
    mr_ord_value *o = (mr_ord_value *)(void *)parcel->record;
    mr_record h = o->h;
    *o = (mr_ord_value){.h = h, .value = {.id = id}};
    if (!v) {
        mr_object_state state = mr_control_object(n->control, id).state;
        o->status = state == MR_OBJ_FREED     ? MR_E_FREED
                    : state == MR_OBJ_NONE    ? MR_E_NOTFOUND
                    : state == MR_OBJ_PENDING ? MR_E_BUSY /* its bytes were lost, and it is made again */
                                              : MR_E_LOST;
    } else {
        if (v->flags & MR_VALUE_ERROR)
            mr_control_seen(n->control, id);
        o->value.len = v->len;
        o->value.format = v->format;
        o->value.flags = v->flags;
        if (in) {
            o->value.at = sizeof(*o);
            memcpy(o + 1, mr_value_bytes(v), v->len);
            o->h.n_bytes = (uint32_t)v->len;
        } else {
            mr_carry_dep(n, p, parcel, &o->value, id, v, 0);
        }
    }
    mr_peer_send(n, p, parcel);
}

void mr_peer_reply(mr_nodes *n, mr_peer *p, uint32_t kind, uint32_t token, mr_status status, uint64_t value,
                   uint64_t value2, const void *bytes, size_t len)
{
    mr_parcel *parcel = mr_parcel_new(kind, sizeof(mr_ord_reply) + len);
    if (!parcel) {
        mr_peer_drop(n, p, "could not be sent an answer: out of memory");
        return;
    }
    mr_ord_reply *o = (mr_ord_reply *)(void *)parcel->record;
    mr_record h = o->h;
    *o = (mr_ord_reply){.h = h, .status = status, .value = value, .value2 = value2};
    o->h.token = token;
    o->h.n_bytes = (uint32_t)len;
    if (len)
        memcpy(o + 1, bytes, len);
    mr_peer_send(n, p, parcel);
}

void mr_peer_delivered(mr_nodes *n, mr_peer *p, uint32_t token, mr_status status)
{
    mr_peer_wait **at = &p->waits;
    while (*at && (*at)->token != token)
        at = &(*at)->next;
    mr_peer_wait *wait = *at;
    if (!wait)
        return; /* answered already */
    *at = wait->next;
    /* The text follows the bytes; control's own, as a deadlock is told by the step that finds it. */
    const char *why = status == MR_E_DEADLOCK ? mr_control_why(n->control) : "";
    mr_err never = {0};
    if (!status && wait->values && mr_table_count(&n->spill.extents) &&
        (status = mr_spill_fits(n, wait->ids, wait->n, &never)))
        why = never.text;
    size_t len = wait->n + strlen(why);
    char *settled = calloc(1, len + 1);
    for (uint32_t i = 0; settled && i < wait->n; i++) {
        settled[i] = mr_control_there(n->control, wait->ids[i]);
        if (settled[i] && wait->values && !never.status && mr_control_settled(n->control, wait->ids[i]))
            mr_peer_value(n, p, wait->ids[i]);
    }
    if (settled)
        memcpy(settled + wait->n, why, len - wait->n);
    mr_peer_reply(n, p, MR_ORD_DELIVER, token, settled ? status : MR_E_NOMEM, 0, 0, settled, settled ? len : 0);
    free(settled);
    free(wait);
}

void mr_peer_order(mr_nodes *n, mr_peer *p, uint32_t kind, mr_id task, uint32_t attempt)
{
    mr_parcel *parcel = mr_parcel_new(kind, sizeof(mr_ev_task));
    if (!parcel) {
        mr_peer_drop(n, p, "could not be sent an order: out of memory");
        return;
    }
    mr_ev_task *o = (mr_ev_task *)(void *)parcel->record;
    mr_record h = o->h;
    *o = (mr_ev_task){.h = h, .task = task, .attempt = attempt, .worker = p->worker};
    mr_peer_send(n, p, parcel);
}
