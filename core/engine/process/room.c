/* room.c: creating bytes in a store, after a look whether the machine has them; who waits for room; and giving idle
 * memory back.
 *
 * Those who wait are served in the order in which they came: while objects leave for the first of them, nobody else
 * takes the room that they leave.  When nothing leaves any more, it waits for pins, and whoever fits goes on: what it
 * makes may be what ends the look that is waited for.
 *
 * In a memory cgroup no reservation fails cleanly: the process that passes the limit is killed.  So before a store
 * takes bytes, the headroom is compared, whatever the store.  What is missing counts as a full store: others leave for
 * the disk, or the creator waits and is told.  Lock: the node list's.
 */
#include "engine/process/room.h"

#include <stdlib.h>

#include "base/machine.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

/* TURN: who has waited so long, and nothing has left for it, waits for pins: others may go first. */
enum {
    AGAIN_NS = 10000000,
    STEP_MOST = 20000000,
    PATIENCE_MOST = 10,
    TURN_NS = 100000000,
    AHEAD_LEAST = 1 << 20,
    AHEAD_SHARE = 3
};
/* MARGIN: left to everybody else.  LOOK_AFTER: bytes between two looks, or a quarter of the headroom: the nearer the
 * limit, the more often. */
static const int64_t MARGIN = 16 << 20, LOOK_AFTER = 64 << 20, WAIT_ENDS_NS = INT64_C(60000000000);
static const int64_t EARLIER_WAIT_NS = INT64_C(30000000000); /* what an earlier attempt copies may be large */

static int64_t headroom(void)
{
    uint64_t room = mr_machine_available("");
    return room > INT64_MAX ? INT64_MAX : (int64_t)room - MARGIN;
}

bool mr_room_spare(uint64_t len)
{
    int64_t room = headroom();
    return room > 0 && len <= (uint64_t)room;
}

/* Has the machine `len` bytes more?  Memory that the store keeps for later is given back before it says no. */
static bool claim(mr_nodes *n, mr_place *s, uint64_t len)
{
    int64_t need = len > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)len;
    if (n->room.credit >= need) {
        n->room.credit -= need;
        return true;
    }
    int64_t room = headroom();
    while (room < need && s->ops->trim && s->ops->trim(s->self))
        room = headroom();
    n->room.left = room;
    n->room.short_of = room < need;
    if (room < need) {
        n->room.credit = 0;
        return false;
    }
    int64_t credit = (room - need) / 4;
    n->room.credit = credit < LOOK_AFTER ? credit : LOOK_AFTER;
    return true;
}

/* ------------------------------------------------------------------------------------------- outside the stores -- */

void mr_room_stats(mr_nodes *n, uint32_t node, mr_store_stats *out)
{
    const mr_place *s = &n->node[node].store;
    *out = (mr_store_stats){.capacity = n->capacity};
    if (s->self && s->ops->stats)
        s->ops->stats(s->self, out);
    if (node == mr_nodes_first(n))
        out->used += n->room.inlined;
}

/* After a creation: does all that counts in the first node's capacity fit?  Looking may be slow, so what is left is
 * counted down and looked at again when that has come to an end. */
static bool fits(mr_nodes *n, const mr_place *s, uint64_t len)
{
    uint32_t first = mr_nodes_first(n);
    mr_store_stats stats;
    if (s != &n->node[first].store || !s->ops->stats)
        return true;
    if (!n->room.inlined) {
        n->room.slack = -1;
        return true;
    }
    n->room.slack -= (int64_t)len;
    if (n->room.slack >= 0)
        return true;
    mr_room_stats(n, first, &stats);
    n->room.slack = (int64_t)stats.capacity - (int64_t)stats.used;
    return n->room.slack >= 0;
}

bool mr_room_inline(const mr_nodes *n, uint64_t len)
{
    return n->room.inlined + len <= n->capacity / 4;
}

void mr_room_inlined(mr_nodes *n, uint64_t len, bool add)
{
    n->room.inlined += add ? len : -len;
    if (add)
        n->room.slack -= (int64_t)len;
    else if (n->room.tight && mr_room_inline(n, n->port.inline_max))
        mr_room_tight(n, false);
}

void mr_room_tight(mr_nodes *n, bool on)
{
    n->room.tight = on;
    atomic_store_explicit(&n->links->page.tight, on, memory_order_relaxed);
}

/* ----------------------------------------------------------------------------------------------------- creating -- */

mr_status mr_room_create(mr_nodes *n, mr_place *s, mr_id id, uint64_t len, mr_region *out)
{
    mr_status status = s->ops->create(s->self, id, len, out);
    if (status == MR_E_IO)
        mr_host_said(s->host, s->why, sizeof(s->why));
    mr_room_used(n);
    if (status || (fits(n, s, len) && claim(n, s, len)))
        return status;
    status = s->ops->abort(s->self, id);
    return status ? status : MR_E_FULL;
}

/* ------------------------------------------------------------------------------------------------------ waiting -- */

bool mr_room_over(mr_nodes *n, mr_patience *p)
{
    int64_t now = mr_drive_monotonic(), step = p->at ? now - p->at : 0;
    step = step < STEP_MOST ? step : STEP_MOST;
    p->all += step;
    p->spent = p->left != n->spill.left && p->all / PATIENCE_MOST < n->room.full_ns ? 0 : p->spent + step;
    p->at = now;
    p->left = n->spill.left;
    return p->spent >= n->room.full_ns && !n->spill.writing;
}

bool mr_room_turn(const mr_nodes *n, uint32_t node, int64_t since)
{
    if (!n->hungry || !n->spill.disk[0] || mr_spill_failing(n))
        return true;
    for (const mr_hungry *h = n->hungry; h && h->since < since; h = h->next)
        if (h->node == node && h->status == MR_E_FULL && h->patience.spent < TURN_NS)
            return false;
    return true;
}

/* Others are to leave, if it is time to ask for it. */
static void hungry_ask(mr_nodes *n, mr_hungry *h)
{
    mr_patience *p = &h->patience;
    int64_t now = mr_drive_monotonic();
    if (now < p->again)
        return;
    p->pause = n->spill.disk[0] ? AGAIN_NS : p->pause ? 2 * p->pause : MR_COLLECT_EVERY_NS;
    p->again = now + p->pause;
    mr_spill_ask(n, h->node, h->worker, h->ask.len);
}

void mr_room_hunger(mr_nodes *n, mr_hungry *h)
{
    mr_hungry **at = &n->hungry;
    int64_t now = mr_drive_monotonic();
    h->since = h->since ? h->since : now;
    h->until = now + EARLIER_WAIT_NS;
    while (*at && (*at)->since <= h->since)
        at = &(*at)->next;
    h->next = *at;
    *at = h;
    if (h->status == MR_E_FULL && mr_room_turn(n, h->node, h->since))
        hungry_ask(n, h);
    mr_progress_poll(n, AGAIN_NS);
}

static mr_status try_once(mr_nodes *n, const mr_hungry *h)
{
    if (!n->node[h->node].alive)
        return MR_E_NODE_DIED; /* its store may be closed */
    return h->small ? mr_event_place(n, h->small, h->node)
                    : mr_room_create(n, &n->node[h->node].store, h->ask.id, h->ask.len, h->region);
}

/* True: it has waited to its end. */
static bool hungry_try(mr_nodes *n, mr_hungry *h)
{
    bool turn = h->status != MR_E_FULL || mr_room_turn(n, h->node, h->since);
    if (turn)
        h->status = h->worker ? mr_ask_again(n, h) : try_once(n, h);
    bool full = h->status == MR_E_FULL;
    if (!full && h->status != MR_E_EXISTS)
        return true;
    if (full ? mr_room_over(n, &h->patience) : mr_drive_monotonic() >= h->until) {
        if (h->worker)
            mr_ask_over(n, h);
        return true;
    }
    if (full && turn)
        hungry_ask(n, h);
    return false;
}

void mr_room_serve(mr_nodes *n)
{
    for (mr_hungry **at = &n->hungry; *at;) {
        mr_hungry *h = *at;
        if (!hungry_try(n, h)) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        if (h->waiter)
            mr_drive_wake(n, h->waiter, MR_OK);
        else
            free(h);
    }
    if (n->hungry)
        mr_progress_poll(n, AGAIN_NS);
}

static void hungry_leave(mr_nodes *n, const mr_hungry *h)
{
    mr_hungry **at = &n->hungry;
    while (*at && *at != h)
        at = &(*at)->next;
    if (*at)
        *at = h->next;
}

/* Who makes a large value while others lie on the disk will make more: room for the next, one for each disk thread, is
 * made while this one's bytes are copied. */
static void make_ahead(mr_nodes *n, uint32_t home, uint64_t len)
{
    mr_store_stats stats;
    if (len < AHEAD_LEAST || len > n->capacity / AHEAD_SHARE / MR_DISKS || !n->spill.bytes)
        return;
    mr_room_stats(n, home, &stats);
    if (stats.largest < len)
        mr_spill_ask(n, home, 0, MR_DISKS * len);
}

mr_status mr_room_wait(mr_nodes *n, uint32_t home, mr_id id, uint64_t len, mr_record *small, mr_region *region,
                       int64_t *waited)
{
    static _Thread_local struct {
        uint64_t session, len;
        int64_t since;
        mr_patience patience;
    } mine;
    mr_waiter w = {.told = true};
    mr_hungry h = {.node = home, .ask = {.id = id, .len = len}, .small = small, .region = region, .waiter = &w};
    h.status = mr_room_turn(n, home, INT64_MAX) ? try_once(n, &h) : MR_E_FULL;
    if (!h.status && region)
        make_ahead(n, home, len);
    if (h.status != MR_E_FULL)
        return h.status;
    if (mine.session == n->port.session && mine.len == len && mr_drive_monotonic() - mine.patience.at < WAIT_ENDS_NS) {
        h.patience = mine.patience; /* it comes again, from looking after its garbage */
        h.since = mine.since;
    }
    mr_drive_add(n, &w);
    mr_room_hunger(n, &h);
    mr_status status;
    while ((status = mr_drive_wait(n, &w, mr_drive_monotonic() + AGAIN_NS)) == MR_E_TIMEOUT && !w.done)
        mr_room_serve(n); /* it does not count on the timer, which may fail */
    mr_drive_remove(n, &w);
    if (!w.done)
        hungry_leave(n, &h);
    mine.session = n->port.session;
    mine.len = len;
    mine.since = h.since;
    mine.patience = h.patience;
    mine.patience.at = w.done ? 0 : mr_drive_monotonic();
    *waited = h.patience.all;
    if (w.done && !h.status && region)
        make_ahead(n, home, len);
    return w.done ? h.status : status;
}

/* --------------------------------------------------------------------------------------------------- idle memory -- */

void mr_room_used(mr_nodes *n)
{
    n->room.used_at = mr_nodes_clock(n);
    if (n->room.idle_ns <= 0 || n->room.trim_at >= 0)
        return;
    n->room.trim_at = n->room.used_at + n->room.idle_ns;
    mr_progress_timer(n);
}

/* A bounded amount at a time, since the lock is held; with nothing left to give there is no timer any more. */
void mr_room_trim(mr_nodes *n)
{
    int64_t now = mr_nodes_clock(n), due = n->room.used_at + n->room.idle_ns;
    uint64_t given = 0;
    if (n->room.trim_at < 0 || now < n->room.trim_at)
        return;
    for (uint32_t i = 0; now >= due && i <= n->n_nodes; i++) {
        mr_place *s = i < n->n_nodes ? &n->node[i].store : &n->carrier;
        if (s->self && s->ops->trim)
            given += s->ops->trim(s->self);
    }
    n->room.trim_at = now < due ? due : given ? now + AGAIN_NS : -1;
    n->room.credit = given ? 0 : n->room.credit;
}
