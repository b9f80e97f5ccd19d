/* room.c: creating bytes in a store, after a look whether the machine has them; and giving idle memory back.
 *
 * In a memory cgroup no reservation fails cleanly: the process that passes the limit is killed.  So before a store
 * takes bytes, the headroom is compared, whatever the store.  What is missing counts as a full store: others leave for
 * the disk, or the creator waits and is told.  Lock: the node list's.
 */
#include "engine/process/room.h"
#include "base/machine.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

enum { AGAIN_NS = 10000000, STEP_MOST = 20000000, PATIENCE_MOST = 10, AHEAD_LEAST = 1 << 20, AHEAD_SHARE = 3 };
/* MARGIN: left to everybody else.  LOOK_AFTER: bytes between two looks, or a quarter of the headroom: the nearer the
 * limit, the more often. */
static const int64_t MARGIN = 16 << 20, LOOK_AFTER = 64 << 20, WAIT_ENDS_NS = INT64_C(1000000000);

static int64_t headroom(void)
{
    uint64_t room = mr_machine_available("");
    return room > INT64_MAX ? INT64_MAX : (int64_t)room - MARGIN;
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

static mr_status try_once(mr_nodes *n, uint32_t home, mr_id id, uint64_t len, mr_record *small, mr_region *region)
{
    return small ? mr_event_place(n, small, home) : mr_room_create(n, &n->node[home].store, id, len, region);
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

mr_status mr_room_wait(mr_nodes *n, uint32_t home, mr_id id, uint64_t len, mr_record *small, mr_region *region)
{
    static _Thread_local struct {
        uint64_t session;
        mr_patience patience;
    } mine;
    int64_t again = 0;
    mr_status status = try_once(n, home, id, len, small, region);
    if (mine.session != n->port.session || status != MR_E_FULL ||
        mr_drive_monotonic() - mine.patience.at > WAIT_ENDS_NS)
        mine.patience = (mr_patience){0}; /* else it comes again, from looking after its garbage */
    mine.session = n->port.session;
    while (status == MR_E_FULL && !mr_room_over(n, &mine.patience)) {
        if (mr_drive_monotonic() >= again) {
            mr_spill_ask(n, home, 0, len);
            again = mr_drive_monotonic() + (n->spill.disk[0] ? AGAIN_NS : MR_COLLECT_EVERY_NS);
        }
        mr_waiter w = {.told = true, .room = true};
        mr_drive_add(n, &w);
        mr_status waited = mr_drive_wait(n, &w, mr_drive_monotonic() + AGAIN_NS);
        mr_drive_remove(n, &w);
        if (waited == MR_E_CLOSED || waited == MR_E_INTERRUPTED)
            return waited;
        if (!n->node[home].alive)
            return MR_E_NODE_DIED; /* its store may be closed */
        status = try_once(n, home, id, len, small, region);
    }
    mine.patience.at = 0;
    if (!status && region)
        make_ahead(n, home, len);
    return status;
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
