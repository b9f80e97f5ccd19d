/* asks.c: what workers ask the engine itself (kinds 600 and up): bytes to write, ids, state, functions.
 *
 * A creation that finds the store full, or its id still taken by an earlier attempt, waits (room.c).  Nothing in a
 * request is believed: an unknown kind, a short record, or an object of somebody else drops the peer or refuses the
 * request. Lock: the node list's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/leases.h"
#include "engine/process/room.h"

static void ask_refuse(mr_nodes *n, mr_peer *p, const mr_ask *a, mr_status status, int64_t waited)
{
    char why[sizeof(((mr_err *)0)->text)] = "";
    bool room = status == MR_E_FULL || status == MR_E_TOOBIG || status == MR_E_IO;
    size_t len = room ? mr_room_refusal(n, p->node, status, a->len, waited, why, sizeof(why)) + 1 : 0;
    mr_peer_reply(n, p, MR_ORD_REPLY, a->h.token, status, 0, 0, why, len);
}

/* OK: it was answered.  FULL: there is no room yet.  EXISTS: what an earlier attempt wrote under this id is still on
 * its way out: its worker is being killed, or a copy is being made. */
static mr_status ask_try(mr_nodes *n, mr_peer *p, const mr_ask *a)
{
    mr_created made;
    mr_status status = mr_carry_create(n, p, a->id, a->len, &made);
    if (status == MR_E_FULL || status == MR_E_EXISTS)
        return status;
    if (status)
        ask_refuse(n, p, a, status, 0);
    else
        mr_peer_reply(n, p, MR_ORD_REPLY, a->h.token, MR_OK, made.region.at, made.id, NULL, 0);
    return MR_OK;
}

static void ask_create(mr_nodes *n, mr_peer *p, const mr_ask *a)
{
    if (a->id >> 48 == MR_CARRIER_NODE) {
        mr_peer_drop(n, p, "asked for an object under an id that is not its own");
        return;
    }
    mr_status status = mr_room_turn(n, p->node, INT64_MAX) ? ask_try(n, p, a) : MR_E_FULL;
    if (!status)
        return;
    mr_hungry *h = calloc(1, sizeof(*h));
    if (!h) {
        mr_peer_reply(n, p, MR_ORD_REPLY, a->h.token, MR_E_NOMEM, 0, 0, NULL, 0);
        return;
    }
    *h = (mr_hungry){.worker = p->worker, .node = p->node, .ask = *a, .status = status};
    mr_room_hunger(n, h);
}

mr_status mr_ask_again(mr_nodes *n, const mr_hungry *h)
{
    mr_peer *p = mr_peer_of(n, h->worker);
    return !p || p->died ? MR_OK : ask_try(n, p, &h->ask);
}

void mr_ask_over(mr_nodes *n, const mr_hungry *h)
{
    mr_peer *p = mr_peer_of(n, h->worker);
    if (p && !p->died)
        ask_refuse(n, p, &h->ask, h->status, h->patience.all);
}

static void ask_abort(mr_nodes *n, mr_peer *p, const mr_ask *a)
{
    mr_carry_abort(n, p, a->id); /* sealed, or never made: nothing to give back */
}

static void ask_state(mr_nodes *n, mr_peer *p, const mr_ask *a)
{
    char what[64] = "";
    mr_err err = {0};
    mr_status status = MR_OK;
    size_t len = a->h.n_bytes < sizeof(what) ? a->h.n_bytes : sizeof(what) - 1;
    memcpy(what, (const char *)a + sizeof(*a), len);
    char *json = mr_state_json(n, what, &status, &err);
    const char *text = json ? json : err.text;
    mr_peer_reply(n, p, MR_ORD_REPLY, a->h.token, status, 0, 0, text, strlen(text) + 1);
    free(json);
}

static void ask_note(mr_nodes *n, mr_peer *p, const mr_ask *a)
{
    char text[MR_NOTE_MAX + 1] = "";
    if (a->h.n_bytes > MR_NOTE_MAX || a->len > MR_IDS_BLOCK) {
        mr_peer_drop(n, p, "sent a note that is too long");
        return;
    }
    memcpy(text, (const char *)a + sizeof(*a), a->h.n_bytes);
    if (mr_notes_add(n, a->id, (uint32_t)a->len, (mr_note_kind)a->at, text))
        mr_log(MR_LOG_WARN, "engine", "out of memory: a note on object %llx is lost", (unsigned long long)a->id);
}

/* A record that did not fit into the ring: taken out of the carrier, then as any other. */
static void ask_big(mr_nodes *n, mr_peer *p, const mr_big *b)
{
    mr_place *c = mr_carrier(n);
    mr_created *made = mr_carry_created(p, b->id);
    mr_record *r = made && b->len >= sizeof(*r) && b->len <= made->region.len ? malloc(b->len) : NULL;
    if (!r) {
        mr_peer_drop(n, p, made ? "sent a large record of a wrong length" : "sent a large record that it did not make");
        return;
    }
    memcpy(r, made->region.data, b->len);
    mr_carry_created_end(p, b->id);
    if (c->ops->abort(c->self, b->id))
        mr_log(MR_LOG_ERROR, "engine", "a large record stays in the carrier");
    if (r->size != b->len || r->size % 8 || r->version != MR_RECORD_VERSION || r->kind == MR_ASK_BIG)
        mr_peer_drop(n, p, "sent a malformed large record");
    else
        mr_event_take(n, p, r);
    free(r);
}

void mr_ask_take(mr_nodes *n, mr_peer *p, const mr_record *r)
{
    const mr_ask *a = (const mr_ask *)(const void *)r;
    size_t least = r->kind == MR_ASK_BIG ? sizeof(mr_big) : sizeof(mr_ask);
    if (r->size < least || r->n_bytes > r->size - least) {
        mr_peer_drop(n, p, "sent a request that is too short");
        return;
    }
    switch (r->kind) {
    case MR_ASK_CREATE:
        ask_create(n, p, a);
        break;
    case MR_ASK_ABORT:
        ask_abort(n, p, a);
        break;
    case MR_ASK_RETURN:
        mr_carry_return(n, p, a->id, a->at);
        break;
    case MR_ASK_IDS:
        mr_peer_reply(n, p, MR_ORD_REPLY, r->token, MR_OK, atomic_fetch_add(&n->next_id, MR_IDS_BLOCK), MR_IDS_BLOCK,
                      NULL, 0);
        break;
    case MR_ASK_STATE:
        ask_state(n, p, a);
        break;
    case MR_ASK_CODE: {
        mr_status status = mr_peer_func(n, p, (uint32_t)a->id);
        mr_peer_reply(n, p, MR_ORD_REPLY, r->token, status, a->id, 0, NULL, 0);
        break;
    }
    case MR_ASK_LEASE:
        mr_lease_grant(n, p, a);
        break;
    case MR_ASK_SPLIT:
        mr_lease_split(n, p, a);
        break;
    case MR_ASK_NOTE:
        ask_note(n, p, a);
        break;
    case MR_ASK_BIG:
        ask_big(n, p, (const mr_big *)(const void *)r);
        break;
    default:
        mr_peer_drop(n, p, "sent a request that does not exist");
    }
}
