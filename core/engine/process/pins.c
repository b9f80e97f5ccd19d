/* pins.c: who keeps what in a store: the text of a refusal, and the table "room" of mr_state.
 *
 * Each stored value of a node counts once: looked at (by the driver, by workers, by several), on its way, or looked at
 * by nobody.  What one process alone looks at, summed, and what several do make up what is looked at.  Where values
 * travel through a carrier, workers look at copies there, and only the driver at the values themselves.
 * Made when somebody asks: nothing here is kept.  Reads control and the values; changes nothing.  Lock: the node
 * list's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/census.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"
#include "engine/process/room.h"

enum { KEEPERS_SHOWN = 4 };

/* What `count` objects are, in bytes. */
typedef struct heap {
    uint64_t count, bytes;
} heap;

typedef struct keeper { /* a process */
    uint32_t worker;    /* 0: the driver */
    int32_t pid;
    heap looks, shared; /* shared: those of them that others look at too */
    uint64_t writes;    /* bytes that it writes, or was lent to write in */
    mr_id largest;
    uint64_t largest_len;
} keeper;

typedef struct look { /* a worker was shown an object, once */
    mr_id id;
    uint32_t link;
} look;

typedef struct pins {
    keeper *of; /* the driver, then one for each link */
    look *looks;
    size_t n_of, n_looks;
    heap all, looked, shared, moved, idle;
} pins;

static void heap_add(heap *h, uint64_t bytes)
{
    h->count++;
    h->bytes += bytes;
}

static int by_object(const void *a, const void *b)
{
    const look *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->link < y->link ? -1 : x->link > y->link;
}

static void keep(keeper *k, mr_id id, uint64_t len, bool others)
{
    heap_add(&k->looks, len);
    if (others)
        heap_add(&k->shared, len);
    if (len > k->largest_len) {
        k->largest = id;
        k->largest_len = len;
    }
}

/* `views` looks at an object: those that workers were given, the rest are the driver's. */
static void pins_object(pins *p, mr_id id, uint64_t len, uint64_t views)
{
    size_t low = 0, high = p->n_looks, given = 0, processes = 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (p->looks[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    for (size_t i = low; i < p->n_looks && p->looks[i].id == id; i++, given++)
        processes += i == low || p->looks[i].link != p->looks[i - 1].link;
    bool driver = views > given;
    bool others = processes + driver > 1;
    heap_add(&p->looked, len);
    if (others)
        heap_add(&p->shared, len);
    if (driver)
        keep(&p->of[0], id, len, others);
    for (size_t i = low; i < low + given; i++)
        if (i == low || p->looks[i].link != p->looks[i - 1].link)
            keep(&p->of[1 + p->looks[i].link], id, len, others);
}

static bool pins_new(mr_nodes *n, pins *p)
{
    size_t most = 0;
    for (uint32_t l = 0; l < n->n_links; l++)
        most += n->peer[l] ? n->peer[l]->n_lent : 0;
    *p = (pins){.n_of = n->n_links + 1};
    p->of = calloc(p->n_of, sizeof(*p->of));
    p->looks = malloc((most + 1) * sizeof(*p->looks));
    if (!p->of || !p->looks)
        return false;
    p->of[0].pid = (int32_t)getpid();
    for (uint32_t l = 0; l < n->n_links; l++) {
        const mr_peer *w = n->peer[l];
        if (!w)
            continue;
        p->of[1 + l].worker = w->worker;
        p->of[1 + l].pid = w->pid;
        for (size_t i = 0; i < w->n_lent; i++)
            p->looks[p->n_looks++] = (look){w->lent[i].id, l};
    }
    qsort(p->looks, p->n_looks, sizeof(*p->looks), by_object);
    return true;
}

static void pins_free(pins *p)
{
    free(p->of);
    free(p->looks);
}

/* Of the values in the store of `node`; with `carrier` of the copies in the carrier.  False: no memory to say it. */
static bool pins_take(mr_nodes *n, uint32_t node, bool carrier, pins *p)
{
    uint64_t cursor = 0, id;
    const mr_val *v;
    const mr_carry *copy;
    if (!pins_new(n, p))
        return false;
    if (n->carried && !carrier)
        p->n_looks = 0;
    while (!carrier && (v = mr_table_next(&n->values, &cursor, &id)) != NULL) {
        if (v->kind != MR_VAL_STORED || !(v->u.stored.nodes >> node & 1))
            continue;
        heap_add(&p->all, v->len);
        if (v->views)
            pins_object(p, id, v->len, v->views);
        else
            heap_add(v->busy ? &p->moved : &p->idle, v->len);
    }
    while (carrier && (copy = mr_table_next(&n->copies, &cursor, &id)) != NULL) {
        v = mr_table_at(&n->values, id);
        if (!copy->ready || !v)
            continue;
        heap_add(&p->all, v->len);
        if (copy->users)
            pins_object(p, id, v->len, 0);
        else
            heap_add(&p->idle, v->len);
    }
    for (uint32_t l = 0; l < n->n_links; l++) {
        const mr_peer *w = n->peer[l];
        if (!w || (!carrier && w->node != node))
            continue;
        p->of[1 + l].writes = w->lease_left;
        for (size_t i = 0; i < w->n_created; i++)
            p->of[1 + l].writes += w->created[i].region.len;
    }
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    const keeper *x = a, *y = b;
    uint64_t p = x->looks.bytes + x->writes, q = y->looks.bytes + y->writes;
    return p != q ? (p > q ? -1 : 1) : x->worker < y->worker ? -1 : x->worker > y->worker;
}

/* ----------------------------------------------------------------------------------------------------- as a text -- */

/* "the driver", "task f", `actor Keeper "bob"`, "an idle worker" */
static void who(mr_nodes *n, uint32_t worker, char *text, size_t size)
{
    mr_worker_info w = {0};
    mr_actor_info a = {0};
    mr_spec spec = {0};
    bool known = worker && mr_control_worker(n->control, worker, &w);
    if (!worker)
        snprintf(text, size, "the driver");
    else if (known && w.actor && mr_control_actor(n->control, w.actor, &a))
        snprintf(text, size, *a.name ? "actor %.60s \"%.40s\"" : "actor %.60s", mr_census_name(n, a.func), a.name);
    else if (known && w.task && mr_control_spec(n->control, w.task, &spec) == MR_OK)
        snprintf(text, size, "task %.60s", mr_census_name(n, spec.func));
    else
        snprintf(text, size, "an idle worker");
}

static const char *many(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void text_heap(mr_text *t, const heap *h)
{
    mr_text_put(t, "%llu bytes in %llu object%s", (unsigned long long)h->bytes, (unsigned long long)h->count,
                many(h->count));
}

static void text_keeper(mr_nodes *n, mr_text *t, const keeper *k)
{
    char name[128];
    who(n, k->worker, name, sizeof(name));
    mr_text_put(t, "\n  %s (pid %d): ", name, k->pid);
    text_heap(t, &k->looks);
    if (k->shared.count)
        mr_text_put(t, ", %llu of them with others", (unsigned long long)k->shared.bytes);
    if (k->looks.count)
        mr_text_put(t, k->looks.count == 1 ? ", object %llx" : ", the largest object %llx of %llu",
                    (unsigned long long)k->largest, (unsigned long long)k->largest_len);
    if (k->writes)
        mr_text_put(t, "; %llu are being written", (unsigned long long)k->writes);
}

static void text_keepers(mr_nodes *n, mr_text *t, pins *p)
{
    keeper more = {0};
    size_t others = 0;
    qsort(p->of, p->n_of, sizeof(*p->of), by_bytes);
    for (size_t i = 0; i < p->n_of && (p->of[i].looks.count || p->of[i].writes); i++) {
        if (i < KEEPERS_SHOWN) {
            text_keeper(n, t, &p->of[i]);
            continue;
        }
        others++;
        more.looks.count += p->of[i].looks.count;
        more.looks.bytes += p->of[i].looks.bytes;
        more.writes += p->of[i].writes;
    }
    if (!others)
        return;
    mr_text_put(t, "\n  %zu more process%s: ", others, others == 1 ? "" : "es");
    text_heap(t, &more.looks);
    if (more.writes)
        mr_text_put(t, "; %llu are being written", (unsigned long long)more.writes);
}

/* Why what nobody looks at did not make room either. */
static void text_disk(mr_nodes *n, mr_text *t)
{
    if (!n->spill.disk[0])
        mr_text_put(t, "; spilling is off");
    else if (mr_spill_failing(n))
        mr_text_put(t, "; spilling failed: %s", n->spill.why);
}

static void text_store(mr_nodes *n, mr_text *t, uint32_t node, bool carrier)
{
    pins p;
    if (!pins_take(n, node, carrier, &p)) {
        mr_text_put(t, "; out of memory to say who keeps it full");
        pins_free(&p);
        return;
    }
    if (p.looked.count) {
        mr_text_put(t, "\n ");
        text_heap(t, &p.looked);
        mr_text_put(t, " are looked at, or are arguments, and stay as long:");
    }
    text_keepers(n, t, &p);
    if (p.idle.count) {
        mr_text_put(t, "\n ");
        text_heap(t, &p.idle);
        mr_text_put(t, " are looked at by nobody");
        text_disk(n, t);
    }
    if (p.moved.count) {
        mr_text_put(t, "\n ");
        text_heap(t, &p.moved);
        mr_text_put(t, " are on their way");
    }
    if (n->room.inlined && node == mr_nodes_first(n) && !carrier)
        mr_text_put(t, "\n %llu bytes are small and outside the store", (unsigned long long)n->room.inlined);
    if (p.looked.count)
        mr_text_put(t, "\nLet views go (a copy of what is needed may stay), or give [store] capacity more.");
    pins_free(&p);
}

static void text_stats(mr_text *t, const char *what, const mr_store_stats *s)
{
    mr_text_put(t, "%s capacity %llu, used %llu, largest gap %llu", what, (unsigned long long)s->capacity,
                (unsigned long long)s->used, (unsigned long long)s->largest);
}

static void text_full(mr_nodes *n, mr_text *t, uint32_t node, uint64_t len, const mr_store_stats *stats)
{
    mr_store_stats carrier = {0};
    if (n->carried && n->carrier.ops->stats)
        n->carrier.ops->stats(n->carrier.self, &carrier);
    bool carried = n->carried && carrier.largest < len;
    if (!carried || stats->largest < len) {
        mr_text_put(t, "%s%s:", n->n_nodes > 1 ? " on node " : "", n->n_nodes > 1 ? n->node[node].name : "");
        text_stats(t, "", stats);
        text_store(n, t, node, false);
    }
    if (carried) {
        text_stats(t, "\nin the memory that carries values to workers:", &carrier);
        text_store(n, t, node, true);
    }
    if (n->room.short_of)
        mr_text_put(t, "\n the machine, or a memory limit around this process, has only %lld bytes left",
                    (long long)(n->room.left < 0 ? 0 : n->room.left));
}

size_t mr_room_refusal(mr_nodes *n, uint32_t node, mr_status status, uint64_t len, int64_t waited, char *text,
                       size_t size)
{
    mr_text t = {0};
    mr_store_stats stats;
    const char *why = n->node[node].store.why;
    if (status == MR_E_IO) {
        int told = snprintf(text, size, "an object of %llu bytes can not be stored: %s", (unsigned long long)len,
                            *why ? why : mr_status_text(status));
        return (size_t)told < size ? (size_t)told : size - 1;
    }
    mr_room_stats(n, node, &stats);
    mr_text_put(&t, "no room for an object of %llu bytes", (unsigned long long)len);
    if (waited > 0)
        mr_text_put(&t, " after %.1f s", (double)waited / 1e9);
    if (status != MR_E_TOOBIG)
        text_full(n, &t, node, len, &stats);
    int used = status == MR_E_TOOBIG
                   ? snprintf(text, size, "an object of %llu bytes can never fit: [store] capacity is %llu",
                              (unsigned long long)len, (unsigned long long)stats.capacity)
                   : snprintf(text, size, "%s", t.failed || !t.s ? mr_status_text(status) : t.s);
    free(t.s);
    return (size_t)used < size ? (size_t)used : size - 1;
}

void mr_room_fetch(mr_nodes *n, mr_text *t, const char *which)
{
    mr_id id = strtoull(which, NULL, 16);
    const mr_val *v = mr_value_find(n, id);
    uint64_t nodes = mr_control_object(n->control, id).nodes;
    uint32_t node = nodes ? (uint32_t)__builtin_ctzll(nodes) : mr_nodes_first(n);
    char why[sizeof(((mr_err *)0)->text)];
    mr_room_refusal(n, node < n->n_nodes ? node : 0, MR_E_FULL, v ? v->len : 0, 0, why, sizeof(why));
    mr_text_string(t, why);
}

/* ---------------------------------------------------------------------------------------------------- as a table -- */

static void table_heap(mr_text *t, const char *name, const heap *h)
{
    mr_text_put(t, "\"%s\":{\"objects\":%llu,\"bytes\":%llu},", name, (unsigned long long)h->count,
                (unsigned long long)h->bytes);
}

static void table_keeper(mr_nodes *n, mr_text *t, const keeper *k)
{
    char name[128];
    who(n, k->worker, name, sizeof(name));
    mr_text_put(t, "{\"who\":");
    mr_text_string(t, name);
    mr_text_put(t, ",\"worker\":%u,\"pid\":%d,\"objects\":%llu,\"bytes\":%llu,\"with_others\":%llu,\"writes\":%llu,",
                k->worker, k->pid, (unsigned long long)k->looks.count, (unsigned long long)k->looks.bytes,
                (unsigned long long)k->shared.bytes, (unsigned long long)k->writes);
    mr_text_id(t, "largest", k->largest);
    mr_text_put(t, ",\"largest_bytes\":%llu}", (unsigned long long)k->largest_len);
}

static void table_wait(mr_text *t, bool *any, const char *who, const keeper *k, mr_id id, uint64_t bytes, int64_t since)
{
    mr_text_put(t, "%s{\"who\":", *any ? "," : "");
    *any = true;
    mr_text_string(t, who);
    mr_text_put(t, ",\"worker\":%u,\"pid\":%d,\"bytes\":%llu,\"waited\":%lld,", k->worker, k->pid,
                (unsigned long long)bytes, (long long)(mr_drive_monotonic() - since));
    mr_text_id(t, "object", id);
    mr_text_put(t, "}");
}

/* Who waits for room there. */
static void table_waits(mr_nodes *n, mr_text *t, uint32_t node)
{
    bool any = false;
    mr_text_put(t, "\"waits\":[");
    for (const mr_hungry *h = n->hungry; h; h = h->next) {
        const mr_peer *p = h->worker ? mr_peer_of(n, h->worker) : NULL;
        keeper k = {.worker = h->worker, .pid = p ? p->pid : (int32_t)getpid()};
        char name[128];
        who(n, h->worker, name, sizeof(name));
        if (h->node == node && h->status == MR_E_FULL && (p || !h->worker))
            table_wait(t, &any, name, &k, h->ask.id, h->ask.len, h->since);
    }
    for (const struct mr_arrival *a = n->spill.arrivals; a; a = a->next) {
        const mr_val *v = mr_table_at(&n->values, a->id);
        keeper k = {.worker = 0};
        if (a->node == node && v)
            table_wait(t, &any, "a value that comes back from the disk", &k, a->id, v->len, a->since);
    }
    mr_text_put(t, "],");
}

static void table_node(mr_nodes *n, mr_text *t, uint32_t node, pins *p)
{
    bool any = false;
    mr_text_put(t, "{\"node\":%u,\"name\":", node);
    mr_text_string(t, n->node[node].name);
    mr_text_put(t, ",");
    table_heap(t, "stored", &p->all);
    table_heap(t, "looked_at", &p->looked);
    table_heap(t, "by_several", &p->shared);
    table_heap(t, "on_their_way", &p->moved);
    table_heap(t, "by_nobody", &p->idle);
    table_waits(n, t, node);
    mr_text_put(t, "\"by\":[");
    qsort(p->of, p->n_of, sizeof(*p->of), by_bytes);
    for (size_t i = 0; i < p->n_of && (p->of[i].looks.count || p->of[i].writes); i++) {
        mr_text_put(t, "%s", any ? "," : "");
        any = true;
        table_keeper(n, t, &p->of[i]);
    }
    mr_text_put(t, "]}");
}

void mr_room_table(mr_nodes *n, mr_text *t)
{
    bool any = false;
    mr_text_put(t, "[");
    for (uint32_t i = 0; i < n->n_nodes; i++) {
        pins p;
        bool taken = n->node[i].alive && pins_take(n, i, false, &p);
        if (taken) {
            mr_text_put(t, "%s", any ? "," : "");
            any = true;
            table_node(n, t, i, &p);
        }
        t->failed |= n->node[i].alive && !taken;
        if (n->node[i].alive)
            pins_free(&p);
    }
    mr_text_put(t, "]");
}
