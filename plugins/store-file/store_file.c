/* store-file: objects in a memory-mapped file, on a disk: a store may be larger than memory, or stay.
 *
 * Owns the mapped file, the list of its extents (free and used, by address, no two free ones side by side) and an index
 * (uthash).  The file has no name, so nothing is ever left, unless `persist` is set: then it stays with a log of what
 * was sealed and removed, and the next instance with the same dir and node finds the objects again by their ids. Blocks
 * are taken from the disk before they are written: a full disk is FULL and never a SIGBUS.  It does not share memory,
 * so the engine copies to other processes.  No lock: every op runs under the node's.
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

typedef struct extent {
    mr_id id;          /* MR_NO_ID (0): free */
    uint64_t off, len; /* multiples of the alignment */
    uint64_t bytes;    /* as asked for */
    uint32_t pins;
    bool sealed, lost;
    struct extent *before, *after; /* by address */
    UT_hash_handle hh;
} extent;

typedef struct entry { /* of the log */
    mr_id id;
    uint64_t off, bytes, sealed;
} entry;

typedef struct store {
    const mr_host *host;
    uint64_t capacity, used, taken;
    extent *all, *objects, *hand;
    char *map;
    int fd, log; /* log: -1 unless it persists */
} store;

static uint64_t rounded(uint64_t len)
{
    return len ? (len + MR_STORE_ALIGN - 1) & ~(uint64_t)(MR_STORE_ALIGN - 1) : MR_STORE_ALIGN;
}

static extent *find(store *s, mr_id id)
{
    extent *e;
    HASH_FIND(hh, s->objects, &id, sizeof(id), e);
    return e;
}

/* -- extents ---------------------------------------------------------------------------------------------------- */

/* e swallows the one behind it, if both are free. */
static void join(store *s, extent *e)
{
    extent *gone = e ? e->after : NULL;
    if (!gone || e->id || gone->id)
        return;
    e->len += gone->len;
    if ((e->after = gone->after))
        e->after->before = e;
    s->hand = s->hand == gone ? e : s->hand;
    s->host->free(s->host, gone);
}

static void give(store *s, extent *e)
{
    HASH_DEL(s->objects, e);
    s->used -= e->len;
    e->id = MR_NO_ID;
    join(s, e);
    join(s, e->before);
}

/* The first free one from `hand` on that has room: a file that is filled in order is searched in no time. */
static extent *roomy(const store *s, uint64_t len)
{
    extent *e = s->hand;
    do {
        if (!e->id && e->len >= len)
            return e;
        e = e->after ? e->after : s->all;
    } while (e != s->hand);
    return NULL;
}

/* What of `e` lies from `at` on becomes an extent of its own; e NULL: the first of all. */
static extent *split(store *s, extent *e, uint64_t at)
{
    extent *o = s->host->alloc(s->host, sizeof(*o));
    if (!o)
        return NULL;
    *o = (extent){.off = at, .len = e ? e->off + e->len - at : s->capacity, .before = e, .after = e ? e->after : NULL};
    if (o->after)
        o->after->before = o;
    *(e ? &e->after : &s->all) = o;
    if (e)
        e->len = at - e->off;
    return o;
}

/* [off, off + bytes) of the free extent `e` becomes object `id`; what is before and behind it stays free. */
static extent *cut(store *s, extent *e, uint64_t off, mr_id id, uint64_t bytes)
{
    extent *o = off == e->off ? e : split(s, e, off);
    if (o && (o->len == rounded(bytes) || split(s, o, off + rounded(bytes)))) {
        *o = (extent){.id = id, .off = off, .len = o->len, .bytes = bytes, .before = o->before, .after = o->after};
        HASH_ADD(hh, s->objects, id, sizeof(id), o);
        s->used += o->lost ? 0 : o->len;
        if (!o->lost)
            return s->hand = o;
        o->id = MR_NO_ID;
        join(s, o);
    }
    join(s, e);
    return NULL;
}

/* -- open and close ----------------------------------------------------------------------------------------------- */

static void file_close(void *self)
{
    store *s = self;
    HASH_CLEAR(hh, s->objects);
    for (extent *e = s->all, *next; e; e = next) {
        next = e->after;
        s->host->free(s->host, e);
    }
    if (s->map && s->map != MAP_FAILED)
        munmap(s->map, s->capacity);
    if (s->fd >= 0)
        close(s->fd);
    if (s->log >= 0)
        close(s->log);
    s->host->free(s->host, s);
}

static bool replay(store *s)
{
    entry x;
    while (read(s->log, &x, sizeof(x)) == sizeof(x)) {
        extent *e = find(s, x.id);
        if (e && !x.sealed)
            give(s, e);
        if (e || !x.sealed || x.bytes > s->capacity || x.off > s->capacity - rounded(x.bytes))
            continue;
        for (e = s->all; e && (e->id || e->off > x.off || e->off + e->len < x.off + rounded(x.bytes));)
            e = e->after;
        if (e && !(e = cut(s, e, x.off, x.id, x.bytes)))
            return false;
        if (e)
            e->sealed = true;
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
    if (persist && (s->log = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
        return false;
    s->map = mmap(NULL, s->capacity, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (s->map == MAP_FAILED || !(s->hand = split(s, NULL, 0)))
        return false;
    return !persist || replay(s);
}

static mr_status file_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    store *s = h->alloc(h, sizeof(*s));
    if (!s)
        return err->status = MR_E_NOMEM;
    *s = (store){.host = h, .capacity = conf->capacity & ~(uint64_t)(MR_STORE_ALIGN - 1), .fd = -1, .log = -1};
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
    extent *e = roomy(s, rounded(len));
    if (!e)
        return MR_E_FULL;
    uint64_t end = e->off + rounded(len),
             step = end > s->taken ? (end - s->taken + TAKE - 1) & ~(uint64_t)(TAKE - 1) : 0;
    if (step && (errno = posix_fallocate(s->fd, (off_t)s->taken, (off_t)step)))
        return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? MR_E_FULL : MR_E_IO;
    s->taken += step;
    if (!(e = cut(s, e, e->off, id, len)))
        return MR_E_NOMEM;
    *out = (mr_region){s->map + e->off, len, MR_NOWHERE};
    return MR_OK;
}

static mr_status note(store *s, const extent *e, bool sealed)
{
    const entry x = {e->id, e->off, e->bytes, sealed};
    return s->log < 0 || write(s->log, &x, sizeof(x)) == sizeof(x) ? MR_OK : MR_E_IO;
}

static mr_status file_seal(void *self, mr_id id)
{
    extent *e = find(self, id);
    mr_status status = !e ? MR_E_NOTFOUND : e->sealed ? MR_E_INVAL : note(self, e, true);
    if (!status)
        e->sealed = true;
    return status;
}

static mr_status file_abort(void *self, mr_id id)
{
    extent *e = find(self, id);
    if (!e || e->sealed)
        return e ? MR_E_INVAL : MR_E_NOTFOUND;
    give(self, e);
    return MR_OK;
}

static mr_status file_get(void *self, mr_id id, mr_region *out)
{
    store *s = self;
    extent *e = find(s, id);
    if (!e || !e->sealed)
        return MR_E_NOTFOUND;
    e->pins++;
    *out = (mr_region){s->map + e->off, e->bytes, MR_NOWHERE};
    return MR_OK;
}

static mr_status file_release(void *self, mr_id id)
{
    extent *e = find(self, id);
    if (!e || !e->pins)
        return e ? MR_E_INVAL : MR_E_NOTFOUND;
    e->pins--;
    return MR_OK;
}

static mr_status file_remove(void *self, mr_id id)
{
    extent *e = find(self, id);
    mr_status status = !e || !e->sealed ? MR_E_NOTFOUND : e->pins ? MR_E_BUSY : note(self, e, false);
    if (!status)
        give(self, e);
    return status;
}

static void file_stats(void *self, mr_store_stats *out)
{
    const store *s = self;
    *out = (mr_store_stats){s->capacity, s->used, HASH_COUNT(s->objects), 0, s->taken};
    for (const extent *e = s->all; e; e = e->after)
        out->largest = !e->id && e->len > out->largest ? e->len : out->largest;
}

static const mr_conf_key keys[] = {
    {"dir", MR_CONF_TEXT, NULL, "the folder of its file; default: TMPDIR, else /var/tmp"},
    {"persist", MR_CONF_BOOL, "false", "objects stay when the session ends; the next one finds them by their ids"},
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
