/* store-file: objects in a memory-mapped file, on a disk: a store may be larger than memory, or stay.
 *
 * Owns the mapped file and the list of its objects by address.  The file has no name, so nothing is ever left, unless
 * `persist` is set: then it stays with a log of the objects that last (MR_ID_LASTS), and the next instance with the
 * same dir and node finds those again.  Blocks are taken from the disk before they are written: a full disk is FULL and
 * never a SIGBUS.  It does not share memory, so the engine copies to other processes.  No lock: every op runs under the
 * node's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#include <miniray/plugin.h>
#include <miniray/store_book.h>

enum { TAKE = 1 << 20 }; /* disk blocks are taken in steps of this */

typedef struct object {
    mr_entry e;             /* first: the book knows only this */
    uint64_t off;           /* its place in the file */
    TAILQ_ENTRY(object) by; /* by address; what lies between two is free */
} object;

typedef struct line { /* of the log */
    mr_id id;
    uint64_t off, len, sealed;
} line;

typedef struct store {
    mr_book book;             /* first: see mr_book_release */
    uint64_t on_disk, logged; /* bytes of the file that have blocks, and of the log */
    TAILQ_HEAD(by_address, object) all;
    object first, *hand; /* first: before all, empty; hand: where the search for room begins */
    char *map;
    int fd, log; /* log: -1 unless it persists */
} store;

static uint64_t end(const object *o)
{
    return o->off + o->e.taken;
}

static uint64_t gap(const store *s, const object *o)
{
    const object *after = TAILQ_NEXT(o, by);
    return (after ? after->off : s->book.capacity) - end(o);
}

/* The first from `hand` on with room behind it: a file that is filled in order is searched in no time. */
static object *roomy(store *s, uint64_t len)
{
    object *o = s->hand;
    do {
        if (gap(s, o) >= len)
            return o;
        o = TAILQ_NEXT(o, by) ? TAILQ_NEXT(o, by) : &s->first;
    } while (o != s->hand);
    return NULL;
}

/* The one with the place [off, off + len) free behind it. */
static object *before(store *s, uint64_t off, uint64_t len)
{
    object *o = TAILQ_FIRST(&s->all);
    while (o && (end(o) > off || gap(s, o) < len || off - end(o) > gap(s, o) - len))
        o = TAILQ_NEXT(o, by);
    return o;
}

/* Object `id` at `off`, in the gap behind `o`.  NULL: no memory. */
static object *add(store *s, object *o, uint64_t off, mr_id id, uint64_t len)
{
    object *new = s->book.host->alloc(s->book.host, sizeof(*new));
    if (!new || mr_book_add(&s->book, &new->e, id, len, s->map + off)) {
        s->book.host->free(s->book.host, new);
        return NULL;
    }
    new->off = off;
    TAILQ_INSERT_AFTER(&s->all, o, new, by);
    return s->hand = new;
}

static void drop(mr_book *book, mr_entry *e)
{
    store *s = (store *)book;
    object *o = (object *)e;
    s->hand = s->hand == o ? TAILQ_PREV(o, by_address, by) : s->hand;
    TAILQ_REMOVE(&s->all, o, by);
    book->host->free(book->host, o);
}

/* Tells the log about an object that lasts; half a line is written over by the next. */
static mr_status note(store *s, const object *o, bool sealed)
{
    const line x = {o->e.id, o->off, o->e.len, sealed};
    if (s->log < 0 || !MR_ID_LASTS(o->e.id))
        return MR_OK;
    if (pwrite(s->log, &x, sizeof(x), (off_t)s->logged) != sizeof(x))
        return MR_E_IO;
    s->logged += sizeof(x);
    return MR_OK;
}

/* -- open and close ----------------------------------------------------------------------------------------------- */

static void file_close(void *self)
{
    store *s = self;
    mr_book_fini(&s->book);
    if (s->map && s->map != MAP_FAILED)
        munmap(s->map, s->book.capacity);
    if (s->fd >= 0)
        close(s->fd);
    if (s->log >= 0)
        close(s->log);
    s->book.host->free(s->book.host, s);
}

/* False: no memory.  Whatever the log says, two objects never share a place. */
static bool replay(store *s)
{
    line x;
    for (; pread(s->log, &x, sizeof(x), (off_t)s->logged) == sizeof(x); s->logged += sizeof(x)) {
        object *o = (object *)mr_book_find(&s->book, x.id);
        if (o && !x.sealed)
            mr_book_drop(&s->book, &o->e);
        if (o || !x.sealed || !MR_ID_LASTS(x.id) || x.off % MR_STORE_ALIGN || x.len > s->book.capacity)
            continue;
        o = before(s, x.off, mr_book_taken(x.len));
        if (o && !(o = add(s, o, x.off, x.id, x.len)))
            return false;
        if (o)
            o->e.sealed = true;
    }
    return true;
}

static bool open_files(store *s, const mr_store_conf *conf, bool persist)
{
    const char *dir = s->book.host->conf(s->book.host, "dir"), *tmp = getenv("TMPDIR");
    char path[4096];
    dir = dir ? dir : tmp && *tmp ? tmp : "/var/tmp";
    snprintf(path, sizeof(path), "%.4000s/miniray-store-%u.bytes", dir, conf->node);
    s->fd = persist ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)
                    : open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 || flock(s->fd, LOCK_EX | LOCK_NB) || ftruncate(s->fd, (off_t)s->book.capacity))
        return false;
    snprintf(path, sizeof(path), "%.4000s/miniray-store-%u.log", dir, conf->node);
    if (persist && (s->log = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        return false;
    s->map = mmap(NULL, s->book.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    return s->map != MAP_FAILED && (!persist || replay(s));
}

static mr_status file_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    store *s = h->alloc(h, sizeof(*s));
    if (!s)
        return err->status = MR_E_NOMEM;
    const uint64_t capacity = conf->capacity & ~(uint64_t)(MR_STORE_ALIGN - 1);
    *s = (store){.book = {.host = h, .capacity = capacity, .drop = drop}, .fd = -1, .log = -1, .hand = &s->first};
    TAILQ_INIT(&s->all);
    TAILQ_INSERT_HEAD(&s->all, &s->first, by);
    errno = EINVAL;
    if (capacity && open_files(s, conf, h->conf_int(h, "persist", 0))) {
        *self = s;
        return MR_OK;
    }
    snprintf(err->text, sizeof(err->text),
             "store-file: a capacity of %llu bytes, in a file in [store.store-file] dir: %s",
             (unsigned long long)conf->capacity, errno == EWOULDBLOCK ? "another session has it" : strerror(errno));
    err->status = capacity ? MR_E_IO : MR_E_CONFIG;
    file_close(s);
    return err->status;
}

/* -- the ops ------------------------------------------------------------------------------------------------------ */

static mr_status file_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    store *s = self;
    mr_status status = mr_book_may_create(&s->book, id, len);
    object *o = status ? NULL : roomy(s, mr_book_taken(len));
    if (!o)
        return status ? status : MR_E_FULL;
    uint64_t high = end(o) + mr_book_taken(len);
    uint64_t step = high > s->on_disk ? (high - s->on_disk + TAKE - 1) & ~(uint64_t)(TAKE - 1) : 0;
    if (step && (errno = posix_fallocate(s->fd, (off_t)s->on_disk, (off_t)step)))
        return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? MR_E_FULL : MR_E_IO;
    s->on_disk += step;
    o = add(s, o, end(o), id, len);
    if (!o)
        return MR_E_NOMEM;
    *out = (mr_region){o->e.data, len, MR_NOWHERE};
    return MR_OK;
}

static mr_status file_seal(void *self, mr_id id)
{
    mr_entry *e = mr_book_find(self, id);
    mr_status status = e && !e->sealed ? note(self, (object *)e, true) : MR_OK;
    return status ? status : mr_book_seal(self, id);
}

static mr_status file_remove(void *self, mr_id id)
{
    mr_entry *e = mr_book_find(self, id);
    mr_status status = e && e->sealed && !e->pins ? note(self, (object *)e, false) : MR_OK;
    return status ? status : mr_book_remove(self, id);
}

static void file_stats(void *self, mr_store_stats *out)
{
    const store *s = self;
    *out = (mr_store_stats){s->book.capacity, s->book.used, s->book.n_entries, 0, s->on_disk};
    for (const object *o = &s->first; o; o = TAILQ_NEXT(o, by))
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
                                 .abort = mr_book_abort,
                                 .get = mr_book_get,
                                 .release = mr_book_release,
                                 .remove = file_remove,
                                 .stats = file_stats};

MR_PLUGIN(MR_KIND_STORE, "store-file", "objects in a mapped file on a disk: larger than memory, or to stay", ops, keys,
          2)
