/* disk.h: bytes on a disk, for objects that do not fit into memory.
 *
 * Files without a name in one folder: made with O_TMPFILE, mode 0600, so whatever kills the session, nothing is left.
 * Where the file system has no O_TMPFILE a file has a name from its making to the next call, which removes it; for one
 * who is killed in between there is mr_disk_sweep.  What is dropped gives its blocks back at once (a hole is punched).
 * A checksum of each extent is kept in memory and compared when it is read. What passes stays in the system's
 * cache or not, as has been faster of late.  Thread: one at a time (its disk thread); no
 * lock.
 */
#ifndef MR_ENGINE_PROCESS_DISK_H
#define MR_ENGINE_PROCESS_DISK_H

#include <stdint.h>

#include <miniray/status.h>

typedef struct mr_disk mr_disk;
typedef struct mr_extent {
    void *lifted;        /* the bytes themselves, malloc'ed: it is in memory, and in no file (mr_disk_lift) */
    uint64_t file;       /* number, from 1 */
    uint64_t off, taken; /* where, and how much of the file */
    uint64_t len, hash;  /* of the bytes themselves */
    uint32_t disk;       /* of several: the owner's to say */
} mr_extent;

/* Looks whether `dir` is a folder that can be written; makes no file yet.  compress: the name of a packer (pack.h), or
 * another for none.  Errors: CONFIG (and why), NOMEM. */
mr_status mr_disk_new(const char *dir, const char *compress, mr_disk **out, mr_err *err) MR_CHECK_RESULT;
void mr_disk_free(mr_disk *d);             /* NULL is fine */
const char *mr_disk_dir(const mr_disk *d); /* any thread */
/* Errors: FULL (no space), IO (a limit, a broken disk): nothing stays behind; err says which. */
mr_status mr_disk_write(mr_disk *d, const void *data, uint64_t len, mr_extent *out, mr_err *err) MR_CHECK_RESULT;
/* Errors: IO (it could not be read), LOST (what is read is not what was written). */
mr_status mr_disk_read(mr_disk *d, const mr_extent *e, void *to, mr_err *err) MR_CHECK_RESULT;
void mr_disk_drop(mr_disk *d, const mr_extent *e);
/* A second extent of the same bytes, in memory: then the one in the file can be dropped to make room there.  Errors:
 * those of read, NOMEM. */
mr_status mr_disk_lift(mr_disk *d, const mr_extent *e, mr_extent *out, mr_err *err) MR_CHECK_RESULT;

/* The name, before six letters, of a file that is about to have none. */
#define MR_DISK_NAME "miniray-spill."
/* Removes this user's files of such names from `dir`.  Who made one needs only its descriptor, so it does not matter
 * whether he is dead or has not come to removing it himself.  Any thread. */
void mr_disk_sweep(const char *dir);

#endif
