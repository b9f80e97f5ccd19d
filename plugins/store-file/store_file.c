/* store-file: objects in a memory-mapped file, on a disk: a store may be larger than memory, or stay.
 *
 * Owns the mapped file, the list of its objects by address and an index (uthash).  The file has no name, so nothing is
 * ever left, unless `persist` is set: then it stays with a log of what was sealed and removed, and the next instance
 * with the same dir and node finds again those that last (MR_ID_LASTS).  Blocks are taken from the disk before they are
 * written: a full disk is FULL and never a SIGBUS.  It does not share memory, so the engine copies to other processes.
 * No lock: every op runs under the node's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <miniray/plugin.h>
#include <miniray/store.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(o) ((o)->lost = true)
#include <uthash.h>

enum { TAKE = 1 << 20 }; /* disk blocks are taken in steps of this */

typedef struct object {
    mr_id id;
    uint64_t off, end; /* its place, multiples of the alignment */
    uint64_t bytes;    /* as asked for */
    uint32_t pins;
    bool sealed, lost;
    struct object *before, *after; /* by address; what lies between two is free */
    UT_hash_handle hh;
} object;

typedef struct entry { /* of the log */
    mr_id id;
    uint64_t off, bytes, sealed;
} entry;

typedef struct store {
    const mr_host *host;
    uint64_t capacity, used, taken, logged; /* taken, logged: bytes of the file and of the log */
    object first, *objects, *hand;          /* first: before all of them, empty */
    char *map;
    int fd, log; /* log: -1 unless it persists */
} store;

static uint64_t rounded(uint64_t len)
{
    return len ? (len + MR_STORE_ALIGN - 1) & ~(uint64_t)(MR_STORE_ALIGN - 1) : MR_STORE_ALIGN;
}

static object *find(store *s, mr_id id)
{
    object *o;
    HASH_FIND(hh, s->objects, &id, sizeof(id), o);
    return o;
}

static uint64_t gap(const store *s, const object *o)
{
    return (o->after ? o->after->off : s->capacity) - o->end;
}

/* The first from `hand` on with room behind it: a file that is filled in order is searched in no time. */
static object *roomy(store *s, uint64_t len)
{
    object *o = s->hand;
    do {
        if (gap(s, o) >= len)
            return o;
        o = o->after ? o->after : &s->first;
    } while (o != s->hand);
    return NULL;
}

static void unlink_object(store *s, object *o)
{
    o->before->after = o->after;
    if (o->after)
        o->after->before = o->before;
    s->hand = s->hand == o ? o->before : s->hand;
    s->used -= o->end - o->off;
    s->host->free(s->host, o);
}

static void drop(store *s, object *o)
{
    HASH_DEL(s->objects, o);
    unlink_object(s, o);
}

/* Object `id` in the gap behind `before`, at `off`.  NULL: no memory. */
static object *add(store *s, object *before, uint64_t off, mr_id id, uint64_t bytes)
{
    object *o = s->host->alloc(s->host, sizeof(*o));
    if (!o)
        return NULL;
    *o = (object){.id = id, .off = off, .end = off + rounded(bytes), .bytes = bytes, .before = before};
    o->after = before->after;
    if (o->after)
        o->after->before = o;
    before->after = s->hand = o;
    s->used += o->end - o->off;
    HASH_ADD(hh, s->objects, id, sizeof(id), o);
    if (!o->lost)
        return o;
    unlink_object(s, o);
    return NULL;
}

/* -- open and close ----------------------------------------------------------------------------------------------- */

static void file_close(void *self)
{
    store *s = self;
    HASH_CLEAR(hh, s->objects);
    while (s->first.after)
        unlink_object(s, s->first.after);
    if (s->map && s->map != MAP_FAILED)
        munmap(s->map, s->capacity);
    if (s->fd >= 0)
        close(s->fd);
    if (s->log >= 0)
        close(s->log);
    s->host->free(s->host, s);
}

static mr_status note(store *s, const object *o, bool sealed)
{
    const entry x = {o->id, o->off, o->bytes, sealed};
    if (s->log >= 0 && pwrite(s->log, &x, sizeof(x), (off_t)s->logged) != sizeof(x))
        return MR_E_IO; /* half an entry is written over by the next */
    s->logged += sizeof(x);
    return MR_OK;
}

/* False: no memory, or no disk.  Whatever the log says, two objects never share a place.  What a session that was
 * killed had not saved goes. */
static bool replay(store *s)
{
    entry x;
    for (; pread(s->log, &x, sizeof(x), (off_t)s->logged) == sizeof(x); s->logged += sizeof(x)) {
        object *o = find(s, x.id);
        if (o && !x.sealed)
            drop(s, o);
        if (o || !x.sealed || !x.id || x.off % MR_STORE_ALIGN || x.bytes > s->capacity ||
            x.off > s->capacity - rounded(x.bytes))
            continue;
        o = s->hand->end <= x.off ? s->hand : &s->first;
        while (o->after && o->after->off < x.off)
            o = o->after;
        if (o->end > x.off || gap(s, o) - (x.off - o->end) < rounded(x.bytes))
            continue;
        if (!(o = add(s, o, x.off, x.id, x.bytes)))
            return false;
        o->sealed = true;
    }
    for (object *o = s->first.after, *after; o; o = after) {
        after = o->after;
        if (MR_ID_LASTS(o->id))
            continue;
        if (note(s, o, false))
            return false;
        drop(s, o);
    }
    return true;
}

static bool open_files(store *s, const mr_store_conf *conf, bool persist)
{
    const char *dir = s->host->conf(s->host, "dir"), *tmp = getenv("TMPDIR");
    char path[4096];
    dir = dir ? dir : tmp && *tmp ? tmp : "/var/tmp";
    snprintf(path, sizeof(path), "%.4000s/miniray-store-%u.bytes", dir, conf->node);
    s->fd = persist ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)
                    : open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 || flock(s->fd, LOCK_EX | LOCK_NB) || ftruncate(s->fd, (off_t)s->capacity))
        return false;
    snprintf(path, sizeof(path), "%.4000s/miniray-store-%u.log", dir, conf->node);
    if (persist && (s->log = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        return false;
    s->map = mmap(NULL, s->capacity, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    return s->map != MAP_FAILED && (!persist || replay(s));
}

static mr_status file_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    store *s = h->alloc(h, sizeof(*s));
    if (!s)
        return err->status = MR_E_NOMEM;
    *s = (store){.host = h, .capacity = conf->capacity & ~(uint64_t)(MR_STORE_ALIGN - 1), .fd = -1, .log = -1};
    s->hand = &s->first;
    errno = EINVAL;
    if (s->capacity && open_files(s, conf, h->conf_int(h, "persist", 0))) {
        *self = s;
        return MR_OK;
    }
    snprintf(err->text, sizeof(err->text),
             "store-file: a capacity of %llu bytes, in a file in [store.store-file] dir: %s",
             (unsigned long long)conf->capacity, errno == EWOULDBLOCK ? "another session has it" : strerror(errno));
    err->status = s->capacity ? MR_E_IO : MR_E_CONFIG;
    file_close(s);
    return err->status;
}

/* -- the ops ------------------------------------------------------------------------------------------------------ */

static mr_status file_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    store *s = self;
    if (id == MR_NO_ID)
        return MR_E_INVAL;
    if (find(s, id))
        return MR_E_EXISTS;
    if (len > s->capacity)
        return MR_E_TOOBIG;
    object *o = roomy(s, rounded(len));
    if (!o)
        return MR_E_FULL;
    uint64_t off = o->end, end = off + rounded(len);
    uint64_t step = end > s->taken ? (end - s->taken + TAKE - 1) & ~(uint64_t)(TAKE - 1) : 0;
    if (step && (errno = posix_fallocate(s->fd, (off_t)s->taken, (off_t)step)))
        return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? MR_E_FULL : MR_E_IO;
    s->taken += step;
    if (!add(s, o, off, id, len))
        return MR_E_NOMEM;
    *out = (mr_region){s->map + off, len, MR_NOWHERE};
    return MR_OK;
}

static mr_status file_seal(void *self, mr_id id)
{
    object *o = find(self, id);
    mr_status status = !o ? MR_E_NOTFOUND : o->sealed ? MR_E_INVAL : note(self, o, true);
    if (!status)
        o->sealed = true;
    return status;
}

static mr_status file_abort(void *self, mr_id id)
{
    object *o = find(self, id);
    if (!o || o->sealed)
        return o ? MR_E_INVAL : MR_E_NOTFOUND;
    drop(self, o);
    return MR_OK;
}

static mr_status file_get(void *self, mr_id id, mr_region *out)
{
    store *s = self;
    object *o = find(s, id);
    if (!o || !o->sealed)
        return MR_E_NOTFOUND;
    o->pins++;
    *out = (mr_region){s->map + o->off, o->bytes, MR_NOWHERE};
    return MR_OK;
}

static mr_status file_release(void *self, mr_id id)
{
    object *o = find(self, id);
    if (!o || !o->pins)
        return o ? MR_E_INVAL : MR_E_NOTFOUND;
    o->pins--;
    return MR_OK;
}

static mr_status file_remove(void *self, mr_id id)
{
    object *o = find(self, id);
    mr_status status = !o || !o->sealed ? MR_E_NOTFOUND : o->pins ? MR_E_BUSY : note(self, o, false);
    if (!status)
        drop(self, o);
    return status;
}

static void file_stats(void *self, mr_store_stats *out)
{
    const store *s = self;
    *out = (mr_store_stats){s->capacity, s->used, HASH_COUNT(s->objects), 0, s->taken};
    for (const object *o = &s->first; o; o = o->after)
        out->largest = gap(s, o) > out->largest ? gap(s, o) : out->largest;
}

static const mr_conf_key keys[] = {
    {"dir", MR_CONF_TEXT, NULL, "the folder of its file; default: TMPDIR, else /var/tmp"},
    {"persist", MR_CONF_BOOL, "false", "values that were saved stay when the session ends"},
};
static const mr_store_ops ops = {.open = file_open,
                                 .close = file_close,
                                 .create = file_create,
                                 .seal = file_seal,
                                 .abort = file_abort,
                                 .get = file_get,
                                 .release = file_release,
                                 .remove = file_remove,
                                 .stats = file_stats};

MR_PLUGIN(MR_KIND_STORE, "store-file", "objects in a mapped file on a disk: larger than memory, or to stay", ops, keys,
          2)
