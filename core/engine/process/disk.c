/* disk.c: owns the files that hold spilled bytes.  Extents are only appended; a file that has grown to FILE_MOST gets a
 * successor, and is closed when its last extent is dropped.
 */
#define _GNU_SOURCE
#include "engine/process/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"

/* Blocks of a hole are given back whole, so extents begin at a block.  IO_MOST: hashed while it is in the cache. */
enum { BLOCK = 4096, IO_MOST = 1 << 20 };
#define FILE_MOST (UINT64_C(64) << 30)

typedef struct file {
    struct file *next;
    uint64_t number, end, live; /* live: extents */
    int fd;
} file;

struct mr_disk {
    char dir[PATH_MAX];
    file *files; /* the newest first: the one that is written */
    uint64_t last;
};

mr_status mr_disk_new(const char *dir, mr_disk **out, mr_err *err)
{
    struct stat st;
    if (stat(dir, &st))
        return mr_err_set(err, MR_E_CONFIG, "[store] spill_dir = %s: %s; give a folder on a disk, or spill = false",
                          dir, strerror(errno));
    if (!S_ISDIR(st.st_mode) || access(dir, W_OK | X_OK))
        return mr_err_set(err, MR_E_CONFIG, "[store] spill_dir = %s: %s; give a folder on a disk, or spill = false",
                          dir, S_ISDIR(st.st_mode) ? "files cannot be made there" : "it is no folder");
    mr_disk *d = calloc(1, sizeof(*d));
    if (!d || strlen(dir) >= sizeof(d->dir) - 64) {
        free(d);
        return mr_err_set(err, d ? MR_E_CONFIG : MR_E_NOMEM, "[store] spill_dir: %s",
                          d ? "the path is too long" : "out of memory");
    }
    strcpy(d->dir, dir);
    *out = d;
    return MR_OK;
}

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
    free(d);
}

static int open_unnamed(const mr_disk *d, uint64_t number)
{
    char path[PATH_MAX];
    int fd = open(d->dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    snprintf(path, sizeof(path), "%.4000s/miniray-spill.%ld.%llu", d->dir, (long)getpid(), (unsigned long long)number);
    fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static file *file_new(mr_disk *d)
{
    file *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->number = d->last + 1;
    f->fd = open_unnamed(d, f->number);
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

mr_status mr_disk_write(mr_disk *d, const void *data, uint64_t len, mr_extent *out, mr_err *err)
{
    file *f = d->files;
    if (f && f->end > FILE_MOST)
        f = NULL;
    if (!f && !(f = file_new(d)))
        return mr_err_set(err, MR_E_IO, "a spill file in %s: %s", d->dir, strerror(errno));
    const char *from = data;
    uint64_t done = 0;
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    while (done < len) {
        size_t part = len - done < IO_MOST ? (size_t)(len - done) : IO_MOST;
        ssize_t n = pwrite(f->fd, from + done, part, (off_t)(f->end + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int why = n ? errno : ENOSPC;
            punch(f, f->end, done);
            return mr_err_set(err, MR_E_IO, "%llu bytes to a spill file in %s: %s", (unsigned long long)len, d->dir,
                              strerror(why));
        }
        XXH3_64bits_update(&hash, from + done, (size_t)n);
        done += (uint64_t)n;
    }
    *out = (mr_extent){.file = f->number, .off = f->end, .len = len, .hash = XXH3_64bits_digest(&hash)};
    f->end = (f->end + len + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
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
    const file *f = file_of(d, e->file);
    uint64_t done = 0;
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    while (f && done < e->len) {
        size_t part = e->len - done < IO_MOST ? (size_t)(e->len - done) : IO_MOST;
        ssize_t n = pread(f->fd, (char *)to + done, part, (off_t)(e->off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mr_err_set(err, MR_E_IO, "%llu bytes of a spill file in %s: %s", (unsigned long long)e->len, d->dir,
                              strerror(errno));
        if (n == 0)
            break;
        XXH3_64bits_update(&hash, (char *)to + done, (size_t)n);
        done += (uint64_t)n;
    }
    if (done < e->len || XXH3_64bits_digest(&hash) != e->hash)
        return mr_err_set(err, MR_E_LOST, "%llu bytes of a spill file in %s are not what was written",
                          (unsigned long long)e->len, d->dir);
    return MR_OK;
}

void mr_disk_drop(mr_disk *d, const mr_extent *e)
{
    file *f = file_of(d, e->file);
    if (!f)
        return;
    punch(f, e->off, e->len);
    if (--f->live == 0 && f != d->files)
        file_close(d, f);
}
