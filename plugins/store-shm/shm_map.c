/* shm_map.c: owns the memfd, its two descriptors and this process' two maps; gives pages back to the system.
 *
 * It does not know which bytes are whose.  shm_populate.c makes the pages present.
 */
#define _GNU_SOURCE
#include "shm_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than some headers; the numbers are the kernel's ABI. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static mr_status fail(mr_err *err, mr_status status, const char *name, const char *what)
{
    snprintf(err->text, sizeof(err->text), "%s: %s: %s", name, what, strerror(errno));
    return err->status = status;
}

/* A map whose address is a multiple of SHM_HUGE, as huge pages need. */
static char *map_aligned(int fd, uint64_t size, int prot)
{
    char *room, *at;
    room = mmap(NULL, size + SHM_HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    at = room + (-(uintptr_t)room & (SHM_HUGE - 1));
    if (mmap(at, size, prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED) {
        int why = errno;
        munmap(room, size + SHM_HUGE);
        errno = why;
        return NULL;
    }
    if (at > room)
        munmap(room, (size_t)(at - room));
    munmap(at + size, SHM_HUGE - (size_t)(at - room));
    return at;
}

static mr_status map_both(shm_map *m, int fd_rw, int fd_ro, const char *name, mr_err *err)
{
    m->rw = map_aligned(fd_rw, m->size, PROT_READ | PROT_WRITE);
    m->ro = m->rw ? map_aligned(fd_ro, m->size, PROT_READ) : NULL;
    m->mapped = m->ro ? calloc(m->size / SHM_HUGE / 64 + 1, sizeof(*m->mapped)) : NULL;
    if (m->mapped)
        return MR_OK;
    snprintf(err->text, sizeof(err->text), "%s: can not map %llu bytes of shared memory: %s", name,
             (unsigned long long)m->size, strerror(errno));
    return err->status = errno == ENOMEM ? MR_E_NOMEM : MR_E_IO;
}

static int make_file(void)
{
    int fd = memfd_create("miniray-store", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create("miniray-store", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

mr_status shm_map_new(shm_map *m, uint64_t capacity, const char *name, mr_err *err)
{
    char path[64];
    struct rlimit most;
    mr_status status;
    *m = (shm_map){.fd_rw = -1, .fd_ro = -1, .page = (uint64_t)sysconf(_SC_PAGESIZE)};
    m->size = (capacity + SHM_HUGE - 1) & ~(uint64_t)(SHM_HUGE - 1);
    if (m->size < capacity || m->size > INT64_MAX / 2) {
        errno = EFBIG;
        return fail(err, MR_E_CONFIG, name, "capacity");
    }
    /* Growing past this limit would not fail: it would kill the process with SIGXFSZ. */
    if (!getrlimit(RLIMIT_FSIZE, &most) && most.rlim_cur != RLIM_INFINITY && most.rlim_cur < m->size) {
        snprintf(err->text, sizeof(err->text),
                 "%s: a capacity of %llu bytes is over this process' file size limit of %llu "
                 "(ulimit -f)",
                 name, (unsigned long long)m->size, (unsigned long long)most.rlim_cur);
        return err->status = MR_E_CONFIG;
    }
    m->fd_rw = make_file();
    if (m->fd_rw < 0)
        return fail(err, MR_E_IO, name, "memfd_create");
    if (ftruncate(m->fd_rw, (off_t)m->size)) {
        status = fail(err, MR_E_IO, name, "can not size the shared memory");
        goto fail;
    }
    /* Not FUTURE_WRITE: under it no memory can be given back, and no new process can create objects. */
    if (fcntl(m->fd_rw, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        status = fail(err, MR_E_IO, name, "can not seal the size of the shared memory");
        goto fail;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd_rw);
    m->fd_ro = open(path, O_RDONLY | O_CLOEXEC);
    if (m->fd_ro < 0) {
        status = fail(err, MR_E_IO, name, "can not reopen the shared memory read-only through /proc (is it mounted?)");
        goto fail;
    }
    status = map_both(m, m->fd_rw, m->fd_ro, name, err);
    if (status)
        goto fail;
    return MR_OK;
fail:
    shm_map_fini(m);
    return status;
}

mr_status shm_map_join(shm_map *m, const mr_share *share, const char *name, mr_err *err)
{
    struct stat st;
    int mode = fcntl(share->fd_ro, F_GETFL);
    mr_status status;
    *m = (shm_map){.fd_rw = -1, .fd_ro = -1, .size = share->size, .page = (uint64_t)sysconf(_SC_PAGESIZE)};
    if (mode < 0 || fstat(share->fd_rw, &st))
        return fail(err, MR_E_IO, name, "the descriptors to attach with are not open here");
    if ((mode & O_ACCMODE) != O_RDONLY || (uint64_t)st.st_size != share->size || share->size % SHM_HUGE) {
        errno = EINVAL;
        return fail(err, MR_E_IO, name, "the descriptors to attach with are not those of a store");
    }
    status = map_both(m, share->fd_rw, share->fd_ro, name, err);
    if (status)
        shm_map_fini(m);
    return status;
}

void shm_map_fini(shm_map *m)
{
    free(m->mapped);
    if (m->ro)
        munmap(m->ro, m->size);
    if (m->rw)
        munmap(m->rw, m->size);
    if (m->fd_ro >= 0)
        close(m->fd_ro);
    if (m->fd_rw >= 0)
        close(m->fd_rw);
    *m = (shm_map){.fd_rw = -1, .fd_ro = -1};
}

/* -- giving them back ------------------------------------------------------------------------------------------- */

uint64_t shm_map_resident(const shm_map *m)
{
    struct stat st;
    return fstat(m->fd_rw, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

uint64_t shm_map_punch(shm_map *m, uint64_t at, uint64_t len, uint64_t most)
{
    uint64_t low = (at + SHM_HUGE - 1) & ~(uint64_t)(SHM_HUGE - 1), high = (at + len) & ~(uint64_t)(SHM_HUGE - 1);
    uint64_t before, after;
    if (low >= high)
        return 0;
    before = after = shm_map_resident(m);
    while (low < high && after + most > before) {
        /* The arena is sparse and may be huge: holes are stepped over in one call. */
        off_t data = lseek(m->fd_rw, (off_t)low, SEEK_DATA);
        if (data < 0 || (uint64_t)data >= high)
            break;
        low = (uint64_t)data & ~(uint64_t)(SHM_HUGE - 1);
        if (fallocate(m->fd_rw, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)low, SHM_HUGE))
            break;
        after = shm_map_resident(m);
        low += SHM_HUGE;
    }
    return before > after ? before - after : 0;
}
