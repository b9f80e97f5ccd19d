/* fuzz_spill.c: arbitrary bytes in a spill file.  What is read must be what was written, or be told as lost; whatever
 * the file says of lengths, nothing outside the value is touched. */
#define _GNU_SOURCE
#include "engine/process/disk.c"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(const file *f, const uint8_t *data, size_t size)
{
    if (ftruncate(f->fd, 0) || write_all(f, data, size, 0))
        abort();
}

/* A value of exactly `len` bytes, so that a write past its end is told. */
static mr_status read_value(mr_disk *d, const mr_extent *e, const void *expect)
{
    mr_err err;
    char *to = malloc(e->len ? e->len : 1);
    mr_status status = to ? mr_disk_read(d, e, to, &err) : MR_E_LOST;
    if (status && status != MR_E_LOST)
        abort();
    if (!status && expect && memcmp(to, expect, e->len) != 0)
        abort();
    free(to);
    return status;
}

/* The file is the input. */
static void read_wild(mr_disk *d, const uint8_t *data, size_t size)
{
    mr_extent e = {.file = 1};
    if (size < 8)
        return;
    e.off = data[0];
    e.taken = (uint64_t)data[1] << 8 | data[2];
    e.len = ((uint64_t)data[3] << 16 | (uint64_t)data[4] << 8 | data[5]) & ((2 << 20) - 1);
    fill(d->files, data + 6, size - 6);
    (void)read_value(d, &e, NULL);
}

/* The input is written, and some of it is changed on the disk. */
static void read_damaged(mr_disk *d, const uint8_t *data, size_t size)
{
    mr_extent e;
    mr_err err;
    uint8_t was;
    d->files->end = 0;
    if (!size || ftruncate(d->files->fd, 0) || mr_disk_write(d, data, size, &e, &err))
        return;
    if (read_value(d, &e, data))
        abort();
    uint64_t at = (size > 1 ? data[0] * 256u + data[1] : data[0]) % e.taken;
    if (read_all(d->files, &was, 1, at))
        abort();
    uint8_t now = was ^ (uint8_t)(1 << data[size - 1] % 8);
    if (write_all(d->files, &now, 1, at))
        abort();
    (void)read_value(d, &e, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"none", "lz4", "zstd"};
    mr_disk *d;
    mr_err err;
    if (size < 2)
        return 0;
    if (mr_disk_new("/tmp", names[data[0] % 3], &d, &err) || !(d->files = calloc(1, sizeof(file))))
        abort();
    d->files->number = d->last = 1;
    d->files->fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (d->files->fd < 0)
        abort();
    (data[1] & 1 ? read_wild : read_damaged)(d, data + 2, size - 2);
    mr_disk_free(d);
    return 0;
}
