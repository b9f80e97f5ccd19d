/* disk.c: owns the files that hold spilled bytes.  Extents are only appended; a file that has grown to FILE_MOST gets a
 * successor, and is closed when its last extent is dropped.
 */
#define _GNU_SOURCE
#include "engine/process/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* the state lies on the stack */
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* as wide as this processor can: twice as fast as what every x86-64 can */
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

#include "base/log.h"
#include "engine/process/pack.h"

/* Blocks of a hole are given back whole, so extents begin at a block. */
enum { BLOCK = 4096, IO_MOST = 2 << 20, HEAD = sizeof(uint32_t), NAME_AT = 4000 };
#define FILE_MOST (UINT64_C(64) << 30)
/* PHASE: whole pieces between two choices of a way.  RETRY_SHARE: tries of the dearer one are this part of the time.
 * BEHIND: bytes that are on their way to the disk while the next are written past the cache. */
enum { PHASE = 16, RETRY_SHARE = 32, BEHIND = 8 << 20 };

/* How bytes go between memory and the disk. */
typedef enum way { CACHED, PAST, WAYS } way;

/* Bytes that stay in the system's cache come back at the speed of memory.  But they take ever more pages, and pages may
 * be dear: the host of a virtual machine has to find them first, a memory group is full, or too much is unwritten and
 * the system makes writers wait.  Then it is several times faster to leave nothing in the cache.  Nothing tells
 * beforehand, so both ways are measured. */
typedef struct habit {
    way now;
    uint64_t pieces;     /* whole ones, so far */
    uint64_t cost[WAYS]; /* ns of the later half of its last phase: the first finds what the other left; 0: none yet */
    uint64_t spent;      /* in that half of this phase */
} habit;

typedef struct file {
    struct file *next;
    uint64_t number, end, live; /* live: extents */
    uint64_t behind;            /* bytes before it stay in the cache, or have gone from there */
    int fd;
} file;

struct mr_disk {
    char dir[PATH_MAX];
    file *files; /* the newest first: the one that is written */
    uint64_t last;
    habit writing;
    void *aligned;           /* IO_MOST bytes for reading past the cache; NULL: not needed yet */
    const mr_packer *packer; /* NULL: bytes are written as they are */
    char *scratch;           /* a packed piece: HEAD + room bytes */
    size_t room;
};

static void file_close(mr_disk *d, file *f)
{
    file **at = &d->files;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    close(f->fd);
    free(f);
}

void mr_disk_free(mr_disk *d)
{
    if (!d)
        return;
    while (d->files)
        file_close(d, d->files);
    free(d->aligned);
    free(d->scratch);
    free(d);
}

mr_status mr_disk_new(const char *dir, const char *compress, mr_disk **out, mr_err *err)
{
    struct stat st;
    char path[PATH_MAX]; /* the program may go to another folder later */
    bool found = realpath(dir, path) && stat(path, &st) == 0;
    if (found && strlen(path) > NAME_AT) {
        errno = ENAMETOOLONG;
        found = false;
    }
    if (!found)
        return mr_err_set(err, MR_E_CONFIG, "[store] spill_dir = %s: %s; give a folder on a disk, or spill = false",
                          dir, strerror(errno));
    if (!S_ISDIR(st.st_mode) || access(path, W_OK | X_OK))
        return mr_err_set(err, MR_E_CONFIG, "[store] spill_dir = %s: %s; give a folder on a disk, or spill = false",
                          dir, S_ISDIR(st.st_mode) ? "files cannot be made there" : "it is no folder");
    mr_disk *d = calloc(1, sizeof(*d));
    if (d && (d->packer = mr_packer_find(compress))) {
        d->room = d->packer->bound(IO_MOST);
        d->scratch = malloc(HEAD + d->room);
    }
    if (!d || (d->packer && !d->scratch)) {
        mr_disk_free(d);
        return mr_err_set(err, MR_E_NOMEM, "[store] spill_dir: out of memory");
    }
    strcpy(d->dir, path);
    *out = d;
    return MR_OK;
}

const char *mr_disk_dir(const mr_disk *d)
{
    return d->dir;
}

static int open_unnamed(const mr_disk *d)
{
    char path[PATH_MAX];
    int fd = open(d->dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    snprintf(path, sizeof(path), "%.*s/" MR_DISK_NAME "XXXXXX", NAME_AT, d->dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0 && unlink(path) && errno != ENOENT) { /* it would stay */
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

void mr_disk_sweep(const char *dir)
{
    struct dirent *e;
    struct stat st;
    DIR *all = opendir(dir);
    while (all && (e = readdir(all)))
        if (strncmp(e->d_name, MR_DISK_NAME, sizeof(MR_DISK_NAME) - 1) == 0 &&
            strlen(e->d_name) == sizeof(MR_DISK_NAME "XXXXXX") - 1 &&
            fstatat(dirfd(all), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_uid == geteuid())
            unlinkat(dirfd(all), e->d_name, 0);
    if (all)
        closedir(all);
}

static file *file_new(mr_disk *d)
{
    file *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->number = d->last + 1;
    f->fd = open_unnamed(d);
    if (f->fd < 0) {
        free(f);
        return NULL;
    }
    d->last = f->number;
    f->next = d->files;
    d->files = f;
    return f;
}

static void punch(const file *f, uint64_t off, uint64_t len)
{
    /* Where it is not supported the blocks come back with the file. */
    (void)fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
                    (off_t)((len + BLOCK - 1) & ~(uint64_t)(BLOCK - 1)));
}

/* -- whole reads and writes ------------------------------------------------------------------------------------- */

/* 0, or errno. */
static int write_all(const file *f, const void *from, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(f->fd, (const char *)from + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? errno : ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

/* 0, or errno; ENODATA: the file ends before. */
static int read_all(const file *f, void *to, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(f->fd, (char *)to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? errno : ENODATA;
        done += (size_t)n;
    }
    return 0;
}

/* -- past the system's cache ------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static way choose(const habit *h)
{
    uint64_t cached = h->cost[CACHED], past = h->cost[PAST];
    if (!cached || !past)
        return cached ? PAST : CACHED;
    way best = past < cached - cached / 4 ? PAST : CACHED;
    uint64_t every = RETRY_SHARE * (1 + h->cost[!best] / h->cost[best]);
    return h->pieces / PHASE % every ? best : !best;
}

/* A piece of `len` bytes took `ns`. */
static void learn(habit *h, size_t len, uint64_t ns)
{
    if (len < IO_MOST)
        return;
    if (h->pieces++ % PHASE >= PHASE / 2)
        h->spent += ns;
    if (h->pieces % PHASE)
        return;
    h->cost[h->now] = h->spent + 1;
    h->spent = 0;
    h->now = choose(h);
}

/* Bytes [at, end) have been written, the last of the file.  0, or errno: what became of those before. */
static int send_off(file *f, uint64_t at, uint64_t end)
{
    int wrong = sync_file_range(f->fd, (off_t)at, (off_t)(end - at), SYNC_FILE_RANGE_WRITE);
    uint64_t to = end > BEHIND ? (end - BEHIND) & ~(uint64_t)(BLOCK - 1) : 0;
    if (!wrong && to > f->behind) {
        wrong = sync_file_range(f->fd, (off_t)f->behind, (off_t)(to - f->behind),
                                SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        /* Once more from before: a run of pages that went over the end of the last range is still there. */
        uint64_t from = f->behind > BEHIND ? f->behind - BEHIND : 0;
        (void)posix_fadvise(f->fd, (off_t)from, (off_t)(to - from), POSIX_FADV_DONTNEED);
        f->behind = to;
    }
    return wrong && (errno == EIO || errno == ENOSPC || errno == EDQUOT) ? errno : 0; /* else it can not be told */
}

/* Are most of these bytes in the cache?  Also if that can not be told. */
static bool is_cached(const file *f, size_t len, uint64_t at)
{
    unsigned char present[IO_MOST / BLOCK];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (len + page - 1) / page, found = 0;
    void *map = len < BLOCK ? MAP_FAILED : mmap(NULL, len, PROT_READ, MAP_SHARED, f->fd, (off_t)at);
    if (map == MAP_FAILED)
        return true;
    if (mincore(map, len, present))
        found = pages;
    for (size_t i = 0; i < pages && found < pages; i++)
        found += present[i] & 1;
    munmap(map, len);
    return found > pages / 2;
}

/* False: not here, or something is wrong; reading through the cache will tell. */
static bool read_past(mr_disk *d, const file *f, void *to, size_t len, uint64_t at)
{
    size_t blocks = (len + BLOCK - 1) & ~(size_t)(BLOCK - 1);
    ssize_t n = -1;
    if (!d->aligned && (d->aligned = aligned_alloc(IO_MOST, IO_MOST)))
        (void)madvise(d->aligned, IO_MOST, MADV_HUGEPAGE);
    if (d->aligned && !fcntl(f->fd, F_SETFL, O_DIRECT)) {
        n = pread(f->fd, d->aligned, blocks, (off_t)at);
        (void)fcntl(f->fd, F_SETFL, 0);
    }
    if (n < (ssize_t)len)
        return false;
    memcpy(to, d->aligned, len);
    return true;
}

/* -- pieces: IO_MOST bytes of a value; packed ones have their length in front ----------------------------------- */

/* Bytes taken in the file, 0 if none could be written: *why. */
static uint64_t piece_write(mr_disk *d, const file *f, const void *from, size_t len, uint64_t at, int *why)
{
    if (!d->packer) {
        *why = write_all(f, from, len, at);
        return *why ? 0 : len;
    }
    size_t packed = d->packer->pack(d->scratch + HEAD, d->room, from, len);
    uint32_t head = packed && packed < len ? (uint32_t)packed : (uint32_t)len;
    if (head == len) /* it does not become smaller */
        memcpy(d->scratch + HEAD, from, len);
    memcpy(d->scratch, &head, HEAD);
    *why = write_all(f, d->scratch, HEAD + head, at);
    return *why ? 0 : HEAD + head;
}

static uint64_t piece_read(mr_disk *d, const file *f, void *to, size_t len, uint64_t at, int *why)
{
    uint32_t head;
    if (!d->packer) {
        *why = !is_cached(f, len, at) && read_past(d, f, to, len, at) ? 0 : read_all(f, to, len, at);
        return *why ? 0 : len;
    }
    *why = read_all(f, &head, HEAD, at);
    if (!*why && (!head || head > len))
        *why = ENODATA;
    if (!*why)
        *why = read_all(f, head == len ? to : d->scratch, head, at + HEAD);
    if (!*why && head < len && !d->packer->unpack(to, len, d->scratch, head))
        *why = ENODATA;
    return *why ? 0 : HEAD + head;
}

mr_status mr_disk_write(mr_disk *d, const void *data, uint64_t len, mr_extent *out, mr_err *err)
{
    file *f = d->files;
    if (f && f->end > FILE_MOST)
        f = NULL;
    if (!f && !(f = file_new(d)))
        return mr_err_set(err, MR_E_IO, "a spill file in %s: %s", d->dir, strerror(errno));
    uint64_t at = f->end, n;
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    for (uint64_t done = 0, part; done < len; done += part, at += n) {
        const char *from = (const char *)data + done;
        int why;
        part = len - done < IO_MOST ? len - done : IO_MOST;
        uint64_t start = now_ns();
        n = piece_write(d, f, from, part, at, &why);
        if (d->writing.now == CACHED)
            f->behind = at + n;
        else if (n && (why = send_off(f, at, at + n)))
            n = 0;
        learn(&d->writing, part, now_ns() - start);
        if (!n) {
            punch(f, f->end, at + part - f->end);
            bool full = why == ENOSPC || why == EDQUOT;
            return mr_err_set(err, full ? MR_E_FULL : MR_E_IO, "%llu bytes to a spill file in %s: %s",
                              (unsigned long long)len, d->dir, strerror(why));
        }
        XXH3_64bits_update(&hash, from, part);
    }
    *out = (mr_extent){.file = f->number, .off = f->end, .len = len, .taken = at - f->end};
    out->hash = XXH3_64bits_digest(&hash);
    f->end = (at + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
    f->live++;
    return MR_OK;
}

static file *file_of(const mr_disk *d, uint64_t number)
{
    file *f = d->files;
    while (f && f->number != number)
        f = f->next;
    return f;
}

mr_status mr_disk_read(mr_disk *d, const mr_extent *e, void *to, mr_err *err)
{
    if (e->lifted) {
        memcpy(to, e->lifted, e->len);
        return MR_OK;
    }
    const file *f = file_of(d, e->file);
    uint64_t done = 0, at = e->off, end = e->off + e->taken, n = 1;
    int why = f ? 0 : ENODATA;
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    while (f && done < e->len && at < end && n) {
        size_t part = e->len - done < IO_MOST ? (size_t)(e->len - done) : IO_MOST;
        n = piece_read(d, f, (char *)to + done, part, at, &why);
        XXH3_64bits_update(&hash, (char *)to + done, n ? part : 0);
        done += n ? part : 0;
        at += n;
    }
    if (why && why != ENODATA)
        return mr_err_set(err, MR_E_IO, "%llu bytes of a spill file in %s: %s", (unsigned long long)e->len, d->dir,
                          strerror(why));
    if (done < e->len || XXH3_64bits_digest(&hash) != e->hash)
        return mr_err_set(err, MR_E_LOST, "%llu bytes of a spill file in %s are not what was written",
                          (unsigned long long)e->len, d->dir);
    return MR_OK;
}

mr_status mr_disk_lift(mr_disk *d, const mr_extent *e, mr_extent *out, mr_err *err)
{
    *out = (mr_extent){.lifted = malloc(e->len ? e->len : 1), .len = e->len, .disk = e->disk};
    if (!out->lifted)
        return mr_err_set(err, MR_E_NOMEM, "no memory for %llu bytes of a spill file", (unsigned long long)e->len);
    mr_status status = mr_disk_read(d, e, out->lifted, err);
    if (status) {
        free(out->lifted);
        out->lifted = NULL;
    }
    return status;
}

void mr_disk_drop(mr_disk *d, const mr_extent *e)
{
    file *f = file_of(d, e->file);
    free(e->lifted);
    if (!f)
        return;
    punch(f, e->off, e->taken);
    if (--f->live == 0 && f != d->files)
        file_close(d, f);
}
