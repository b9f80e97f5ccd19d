/* named.c: copies of values under names, in a store that keeps them when the session ends.
 *
 * Such a copy lies in the first node's store under an id that is made of its name; a tail behind the bytes says what a
 * later session must know to believe them.  It is no object of the session: control does not know it, nobody holds it,
 * and only mr_unsave takes it away.  Its bytes count as used like all others.  Any store that knows the key `persist`
 * will do.  Lock: the node list's, taken here; bytes are copied without it.
 */
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/named.h"
#include "engine/process/node.h"
#include "engine/process/room.h"

typedef struct tail {
    char magic[8];
    uint64_t len, hash; /* hash: of the bytes and of all else in here */
    uint32_t format, unused;
    char name[MR_SAVED_NAME_MAX + 1];
} tail;

static const char MAGIC[8] = "mrname1";

static mr_id named_id(const char *name)
{
    return (mr_id)MR_NAMED_NODE << 48 | (XXH3_64bits(name, strlen(name)) & ((UINT64_C(1) << 48) - 1));
}

static uint64_t tail_hash(tail t, const void *bytes)
{
    t.hash = 0;
    return XXH3_64bits_withSeed(&t, sizeof(t), XXH3_64bits(bytes, t.len));
}

static uint64_t tail_at(uint64_t len)
{
    return (len + 7) & ~UINT64_C(7);
}

/* With the lock held on OK. */
static mr_status enter(mr_nodes *n, const char *name, mr_place **store, mr_err *err)
{
    size_t len = strlen(name);
    mr_status status = atomic_load_explicit(&mr_nodes_forked, memory_order_relaxed) ? MR_E_FORKED : MR_OK;
    if (!status && (!len || len > MR_SAVED_NAME_MAX))
        return mr_err_set(err, MR_E_INVAL, "the name of a saved value has 1 to %d bytes, not %zu", MR_SAVED_NAME_MAX,
                          len);
    if (!status) {
        pthread_mutex_lock(&n->lock);
        if (n->closing) {
            pthread_mutex_unlock(&n->lock);
            status = MR_E_CLOSED;
        }
    }
    if (status)
        return mr_err_set(err, status, "%s", mr_status_text(status));
    *store = &n->node[mr_nodes_first(n)].store;
    const mr_host *h = mr_host_table((*store)->host);
    if (h->conf_int(h, "persist", 0))
        return MR_OK;
    const char *plugin = (*store)->plugin->plugin->name;
    pthread_mutex_unlock(&n->lock);
    return mr_err_set(
        err, MR_E_UNSUPPORTED,
        "\"%s\": the store %s forgets its objects when the session ends; [store] plugin = store-file with "
        "[store.store-file] persist = true keeps them",
        name, plugin);
}

/* Looks at it; release ends that. */
static mr_status look(mr_place *s, const char *name, mr_region *at, tail *t, mr_err *err)
{
    mr_status status = s->ops->get(s->self, named_id(name), at);
    bool good = false;
    if (!status && at->len >= sizeof(*t)) {
        memcpy(t, (const char *)at->data + at->len - sizeof(*t), sizeof(*t));
        t->name[MR_SAVED_NAME_MAX] = 0;
        good = !memcmp(t->magic, MAGIC, sizeof(MAGIC)) && t->len <= at->len && tail_at(t->len) == at->len - sizeof(*t);
    }
    if (good && !strcmp(t->name, name))
        return MR_OK;
    if (!status && s->ops->release(s->self, named_id(name)))
        mr_log(MR_LOG_ERROR, "engine", "a pin was lost");
    if (!status && !good)
        return mr_err_set(err, MR_E_LOST, "what was saved as \"%s\" is damaged", name);
    if (!status)
        return mr_err_set(err, MR_E_EXISTS, "\"%s\" has the same number as \"%s\": take another name", name, t->name);
    return mr_err_set(err, status, status == MR_E_NOTFOUND ? "nothing was saved as \"%s\"" : "\"%s\" cannot be read",
                      name);
}

static mr_status room(mr_nodes *n, mr_place *s, const char *name, uint64_t len, mr_region *to, mr_err *err)
{
    mr_status status = mr_room_create(n, s, named_id(name), len, to);
    if (!status)
        return MR_OK;
    mr_store_stats stats;
    mr_room_stats(n, mr_nodes_first(n), &stats);
    return mr_err_set(err, status, "\"%s\": no room for %llu bytes (capacity %llu, used %llu): %s", name,
                      (unsigned long long)len, (unsigned long long)stats.capacity, (unsigned long long)stats.used,
                      status == MR_E_IO && *s->why ? s->why : mr_status_text(status));
}

mr_status mr_named_save(mr_port *p, const char *name, const mr_value *v, mr_err *err)
{
    mr_nodes *n = (mr_nodes *)(void *)p;
    tail t = {.len = v->len, .format = v->format};
    mr_region at;
    mr_place *s;
    mr_status status = enter(n, name, &s, err);
    if (status)
        return status;
    if (mr_control_object(n->control, v->id).n_refs) {
        status =
            mr_err_set(err, MR_E_INVAL, "\"%s\": the value has references inside, which end with the session", name);
    } else if (look(s, name, &at, &t, err) == MR_OK) {
        if (s->ops->release(s->self, named_id(name)))
            mr_log(MR_LOG_ERROR, "engine", "a pin was lost");
        status = mr_err_set(err, MR_E_EXISTS, "a value is saved as \"%s\" already: delete it first", name);
    } else if (err->status != MR_E_NOTFOUND) {
        status = err->status;
    } else {
        status = room(n, s, name, tail_at(v->len) + sizeof(t), &at, err);
    }
    pthread_mutex_unlock(&n->lock);
    if (status)
        return status;
    *err = (mr_err){.status = MR_OK};
    t = (tail){.len = v->len, .format = v->format};
    memcpy(t.magic, MAGIC, sizeof(MAGIC));
    snprintf(t.name, sizeof(t.name), "%s", name);
    t.hash = tail_hash(t, v->data);
    memcpy(at.data, v->data, v->len);
    memset((char *)at.data + v->len, 0, tail_at(v->len) - v->len);
    memcpy((char *)at.data + tail_at(v->len), &t, sizeof(t));
    pthread_mutex_lock(&n->lock);
    char why[512] = "";
    status = s->ops->seal(s->self, named_id(name));
    if (status == MR_E_IO)
        mr_host_said(s->host, why, sizeof(why));
    if (status && s->ops->abort(s->self, named_id(name)))
        mr_log(MR_LOG_ERROR, "engine", "bytes of \"%s\" stay in the store", name);
    mr_drive_unlock(n);
    return status ? mr_err_set(err, status, "\"%s\" was not saved: %s", name, *why ? why : mr_status_text(status))
                  : MR_OK;
}

mr_status mr_named_look(mr_port *p, const char *name, mr_value *out, mr_err *err)
{
    mr_nodes *n = (mr_nodes *)(void *)p;
    tail t;
    mr_region at;
    mr_place *s;
    mr_status status = enter(n, name, &s, err);
    if (status)
        return status;
    status = look(s, name, &at, &t, err);
    pthread_mutex_unlock(&n->lock);
    if (status)
        return status;
    if (tail_hash(t, at.data) != t.hash) {
        mr_named_end(p, name, false, NULL);
        return mr_err_set(err, MR_E_LOST, "what was saved as \"%s\" is damaged: its checksum is another", name);
    }
    *out = (mr_value){.format = t.format, .data = at.data, .len = t.len};
    return MR_OK;
}

mr_status mr_named_end(mr_port *p, const char *name, bool remove, mr_err *err)
{
    mr_nodes *n = (mr_nodes *)(void *)p;
    mr_err other;
    mr_place *s;
    mr_status status = enter(n, name, &s, err ? err : &other);
    if (status)
        return status;
    status = remove ? s->ops->remove(s->self, named_id(name)) : s->ops->release(s->self, named_id(name));
    mr_drive_unlock(n);
    if (status && err)
        mr_err_set(err, status, status == MR_E_NOTFOUND ? "nothing was saved as \"%s\"" : "\"%s\" is being read", name);
    return status;
}
