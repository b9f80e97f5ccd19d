/* store-file: objects in a memory-mapped file, on a disk: a store may be larger than memory, or stay.
 *
 * Owns the mapped file and the list of its objects by address.  The file has no name, so nothing is left, unless it is
 * to `persist`: then a log tells the next instance of the same dir and node of the objects that last (MR_ID_LASTS).
 * Blocks are taken before they are written: a full disk is FULL, never a SIGBUS.  No lock: all runs under the node's.
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
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

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
    uint64_t off, len;
    uint32_t sealed, check;
} line;
#define CHECK(line_) ((uint32_t)XXH3_64bits(line_, offsetof(line, check)))

typedef struct store {
    mr_book book;             /* first: see mr_book_release */
    uint64_t on_disk, logged; /* bytes of the file that have blocks, and of the log */
    TAILQ_HEAD(by_address, object) all;
    object first, *hand; /* first: before all, empty; hand: where the search for room begins */
    char *map;
    int fd, log; /* log: -1 unless it persists */
    char dir[4000];
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

/* errno as a status; what is no lack of room is told. */
static mr_status failed(const store *s, const char *what)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    if (!full)
        s->book.host->log(s->book.host, MR_LOG_ERROR, "%s in %s: %s", what, s->dir, strerror(errno));
    return full ? MR_E_FULL : MR_E_IO;
}

/* Tells the log about an object that lasts; half a line is written over by the next. */
static mr_status note(store *s, const object *o, bool sealed)
{
    line x = {o->e.id, o->off, o->e.len, sealed, 0};
    if (s->log < 0 || !MR_ID_LASTS(o->e.id))
        return MR_OK;
    x.check = CHECK(&x);
    errno = ENOSPC;
    if (pwrite(s->log, &x, sizeof(x), (off_t)s->logged) != sizeof(x))
        return failed(s, "a line of the log");
    s->logged += sizeof(x);
    return MR_OK;
}

static void file_close(void *self)
{
    store *s = self;
    mr_book_fini(&s->book);
    if (s->map && s->map != MAP_FAILED)
        munmap(s->map, s->book.capacity);
    close(s->fd);
    close(s->log);
    s->book.host->free(s->book.host, s);
}

/* False, with errno. */
static bool replay(store *s)
{
    line x;
    for (; pread(s->log, &x, sizeof(x), (off_t)s->logged) == sizeof(x); s->logged += sizeof(x)) {
        object *o = (object *)mr_book_find(&s->book, x.id), *at = &s->first;
        errno = EBADMSG;
        if (x.check != CHECK(&x) || (o != NULL) == x.sealed || x.off + mr_book_taken(x.len) > s->book.capacity)
            return false;
        if (o)
            mr_book_drop(&s->book, &o->e);
        while (x.sealed && TAILQ_NEXT(at, by) && TAILQ_NEXT(at, by)->off < x.off)
            at = TAILQ_NEXT(at, by);
        if (x.sealed && (!(at = add(s, at, x.off, x.id, x.len)) || mr_book_seal(&s->book, x.id)))
            return false;
    }
    return true;
}

/* False, with errno.  A file that persists may be somebody else's, or have been made with more capacity. */
static bool open_files(store *s, const mr_store_conf *conf, bool persist)
{
    char path[sizeof(s->dir) + 40];
    struct stat st;
    snprintf(path, sizeof(path), "%s/miniray-store-%u.bytes", s->dir, conf->node);
    s->fd = persist ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)
                    : open(s->dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 || flock(s->fd, LOCK_EX | LOCK_NB) || fstat(s->fd, &st))
        return false;
    errno = st.st_uid != geteuid() ? EPERM : EOVERFLOW;
    if (st.st_uid != geteuid() || (uint64_t)st.st_size > s->book.capacity || ftruncate(s->fd, (off_t)s->book.capacity))
        return false;
    snprintf(path, sizeof(path), "%s/miniray-store-%u.log", s->dir, conf->node);
    if (persist && (s->log = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
        return false;
    s->map = mmap(NULL, s->book.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    return s->map != MAP_FAILED && (!persist || replay(s));
}

static mr_status file_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    const char *dir = h->conf(h, "dir"), *tmp = getenv("TMPDIR");
    store *s = h->alloc(h, sizeof(*s));
    if (!s)
        return err->status = MR_E_NOMEM;
    const uint64_t capacity = conf->capacity & ~(uint64_t)(MR_STORE_ALIGN - 1);
    *s = (store){.book = {.host = h, .capacity = capacity, .drop = drop}, .fd = -1, .log = -1, .hand = &s->first};
    snprintf(s->dir, sizeof(s->dir), "%s", dir ? dir : tmp && *tmp ? tmp : "/var/tmp");
    TAILQ_INIT(&s->all);
    TAILQ_INSERT_HEAD(&s->all, &s->first, by);
    errno = EINVAL;
    if (capacity && open_files(s, conf, h->conf_int(h, "persist", 0)))
        return *self = s, MR_OK;
    snprintf(err->text, sizeof(err->text),
             "store-file: a capacity of %llu bytes in [store.store-file] dir = %.700s: %s",
             (unsigned long long)conf->capacity, s->dir,
             errno == EWOULDBLOCK ? "another session has it"
             : errno == EOVERFLOW ? "its file was made with a larger capacity: give that one"
             : errno == EBADMSG   ? "its log is damaged: without both files it begins anew"
                                  : strerror(errno));
    err->status = capacity ? MR_E_IO : MR_E_CONFIG;
    file_close(s);
    return err->status;
}

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
        return failed(s, "blocks for objects");
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
