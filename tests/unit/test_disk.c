/* test_disk.c: bytes on a disk come back as they were, packed or not, or it is said that they did not.
 *
 * The source is included: a test damages the files that have no name.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

static bool no_tmpfile;

/* A file system without O_TMPFILE says so. */
static int disk_open(const char *path, int flags, mode_t mode)
{
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return open(path, flags, mode);
}

#undef fail /* Check's macro */
#define open disk_open
#include "engine/process/disk.c"
#include <linux/magic.h>
#include <sys/vfs.h>
#undef open
#include "run_suite.h"

static const char *const packers_named[] = {"none", "lz4", "zstd"};
static const uint64_t sizes[] = {0, 1, 4095, 4096, IO_MOST - 1, IO_MOST, IO_MOST + 1, 3 * IO_MOST + 12345};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), MOST = 4 * IO_MOST };

static char *data, *back;

static void bytes_make(void)
{
    uint32_t seed = 7;
    data = malloc(MOST);
    back = malloc(MOST);
    ck_assert(data && back);
    for (size_t i = 0; i < MOST; i++) { /* every other quarter cannot be made smaller */
        seed = seed * 1664525 + 1013904223;
        data[i] = (char)(i >> 18 & 1 ? seed >> 24 : i / 1000);
    }
}

static void bytes_free(void)
{
    free(data);
    free(back);
}

static mr_disk *disk(const char *packer)
{
    const char *dir = getenv("TMPDIR");
    mr_disk *d;
    mr_err err = {0};
    ck_assert_msg(mr_disk_new(dir ? dir : "/tmp", packer, &d, &err) == MR_OK, "%s", err.text);
    return d;
}

static mr_extent written(mr_disk *d, const void *from, uint64_t len)
{
    mr_extent e;
    mr_err err = {0};
    ck_assert_msg(mr_disk_write(d, from, len, &e, &err) == MR_OK, "%s", err.text);
    return e;
}

static mr_status read_back(mr_disk *d, const mr_extent *e)
{
    mr_err err = {0};
    mr_status status = mr_disk_read(d, e, back, &err);
    ck_assert(!status || err.text[0]);
    return status;
}

START_TEST(comes_back)
{
    mr_disk *d = disk(packers_named[_i]);
    mr_extent e[SIZES];
    for (int i = 0; i < SIZES; i++)
        e[i] = written(d, data + i, sizes[i]);
    for (int i = SIZES; i--;) {
        memset(back, 0, sizes[i]);
        ck_assert_int_eq(read_back(d, &e[i]), MR_OK);
        ck_assert_mem_eq(back, data + i, sizes[i]);
        ck_assert_uint_le(e[i].taken, sizes[i] + HEAD * (sizes[i] / IO_MOST + 1));
    }
    ck_assert(!_i || e[SIZES - 1].taken < sizes[SIZES - 1] * 3 / 4);
    for (int i = 0; i < SIZES; i++)
        mr_disk_drop(d, &e[i]);
    mr_disk_free(d);
}
END_TEST

/* Taken into memory: the same bytes, which need no file any more; those that were damaged are not taken. */
START_TEST(can_be_lifted)
{
    mr_disk *d = disk(packers_named[_i]);
    mr_extent e = written(d, data, 2 * IO_MOST + 77), bad = e, up;
    mr_err err = {0};
    bad.hash++;
    ck_assert_int_eq(mr_disk_lift(d, &bad, &up, &err), MR_E_LOST);
    ck_assert(!up.lifted && err.text[0]);
    ck_assert_int_eq(mr_disk_lift(d, &e, &up, &err), MR_OK);
    ck_assert_uint_eq(up.taken, 0);
    mr_disk_drop(d, &e);
    ck_assert_int_eq(read_back(d, &up), MR_OK);
    ck_assert_mem_eq(back, data, up.len);
    mr_extent again = written(d, up.lifted, up.len);
    mr_disk_drop(d, &up);
    ck_assert_int_eq(read_back(d, &again), MR_OK);
    ck_assert_mem_eq(back, data, again.len);
    mr_disk_free(d);
}
END_TEST

/* Any one byte of it changed, or the end cut off: LOST, never something else. */
START_TEST(damage_is_seen)
{
    mr_disk *d = disk(packers_named[_i]);
    mr_extent e = written(d, data, IO_MOST + 5000);
    uint64_t step = e.taken / 97 + 1;
    for (uint64_t at = 0; at < e.taken; at += at < 32 || at > e.taken - 32 ? 1 : step) {
        unsigned char was, now;
        ck_assert_int_eq(pread(d->files->fd, &was, 1, (off_t)(e.off + at)), 1);
        now = was ^ (unsigned char)(1 << at % 8);
        ck_assert_int_eq(pwrite(d->files->fd, &now, 1, (off_t)(e.off + at)), 1);
        mr_status status = read_back(d, &e);
        ck_assert_msg(status == MR_E_LOST || (!status && memcmp(back, data, e.len) == 0), "byte %d: status %d", (int)at,
                      (int)status);
        ck_assert_int_eq(pwrite(d->files->fd, &was, 1, (off_t)(e.off + at)), 1);
    }
    ck_assert_int_eq(read_back(d, &e), MR_OK);
    ck_assert_int_eq(ftruncate(d->files->fd, (off_t)(e.off + e.taken - 1)), 0);
    ck_assert_int_eq(read_back(d, &e), MR_E_LOST);
    e.file++;
    ck_assert_int_eq(read_back(d, &e), MR_E_LOST);
    mr_disk_free(d);
}
END_TEST

static uint64_t blocks(const mr_disk *d)
{
    struct stat st;
    ck_assert_int_eq(fstat(d->files->fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

START_TEST(what_is_dropped_goes)
{
    mr_disk *d = disk(packers_named[_i]);
    mr_extent first = written(d, data, MOST), second = written(d, data, IO_MOST);
    mr_disk_drop(d, &first);
    ck_assert_uint_le(blocks(d), second.taken + 2 * BLOCK);
    ck_assert_int_eq(read_back(d, &second), MR_OK);
    mr_disk_drop(d, &second);
    ck_assert_uint_eq(blocks(d), 0);
    mr_disk_free(d);
}
END_TEST

/* Of the first bytes of a file: are they in the system's cache? */
static bool first_cached(const mr_disk *d)
{
    return is_cached(d->files, IO_MOST, 0);
}

/* Past the cache it is the same bytes, and what was written a while ago is in the cache no more. */
START_TEST(past_the_cache)
{
    mr_disk *d = disk(packers_named[_i]);
    struct statfs fs;
    mr_extent e[4];
    d->writing.now = PAST;
    for (int i = 0; i < 4; i++) {
        e[i] = written(d, data, MOST - (uint64_t)i);
        ck_assert_int_eq(d->writing.now, PAST); /* a phase is longer */
    }
    ck_assert_int_eq(fstatfs(d->files->fd, &fs), 0);
    ck_assert(first_cached(d) == (fs.f_type == TMPFS_MAGIC || e[3].off + e[3].taken < BEHIND + IO_MOST));
    for (int i = 0; i < 4; i++) {
        memset(back, 0, MOST);
        ck_assert_int_eq(read_back(d, &e[i]), MR_OK);
        ck_assert_mem_eq(back, data, e[i].len);
    }
    mr_disk_free(d);
}
END_TEST

static void learn_phase(habit *h, uint64_t ns)
{
    for (int i = 0; i < PHASE; i++) {
        learn(h, IO_MOST - 1, ns * 100); /* says nothing */
        learn(h, IO_MOST, i < PHASE / 2 ? ns * 100 : ns);
    }
}

/* Both ways are tried, the cheaper one is taken, and the other is tried again, the more seldom the dearer it was. */
START_TEST(the_cheaper_way)
{
    static const uint64_t ns[][WAYS] = {{1000, 5000}, {5000, 1000}, {1000, 900}};
    habit h = {0};
    int cached = 0;
    for (int i = 0; i < 1000; i++) {
        cached += h.now == CACHED;
        learn_phase(&h, ns[_i][h.now]);
        ck_assert(i || h.now == PAST);
    }
    ck_assert_int_le(_i == 1 ? cached : 1000 - cached, 1000 / RETRY_SHARE + 1);
    ck_assert_int_ge(_i == 1 ? cached : 1000 - cached, 2);
    for (int i = 0; i < 8 * RETRY_SHARE; i++) /* it changes */
        learn_phase(&h, ns[_i][!h.now]);
    ck_assert(_i == 2 || h.now == (_i ? CACHED : PAST));
}
END_TEST

START_TEST(a_folder_is_looked_at)
{
    mr_disk *d = NULL;
    mr_err err = {0};
    static char longest[PATH_MAX + 10];
    ck_assert_int_eq(mr_disk_new("/nowhere/at/all", "none", &d, &err), MR_E_CONFIG);
    ck_assert_int_eq(mr_disk_new("/etc/passwd", "none", &d, &err), MR_E_CONFIG);
    memset(longest, 'a', sizeof(longest) - 1);
    ck_assert_int_eq(mr_disk_new(longest, "lz4", &d, &err), MR_E_CONFIG);
    ck_assert_ptr_null(d);
}
END_TEST

static int entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (d && readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* Where files must have a name for a moment: none is left, and one that was left by a death in that moment is swept,
 * as nothing else is. */
START_TEST(without_o_tmpfile)
{
    static const char *const others[] = {"miniray-spill.", "miniray-spill.toolong", "miniray-spillXabcdef", "abcdef"};
    const char *tmp = getenv("TMPDIR");
    char dir[200], path[300], was[200];
    mr_err err = {0};
    mr_disk *d;
    snprintf(dir, sizeof(dir), "%.150s/mrdisk-XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    ck_assert_int_eq(mr_disk_new(".", "none", &d, &err), MR_OK);
    ck_assert_ptr_nonnull(realpath(dir, was));
    ck_assert_str_eq(mr_disk_dir(d), was);
    ck_assert_int_eq(chdir("/"), 0);
    no_tmpfile = true;
    mr_extent e = written(d, data, IO_MOST);
    no_tmpfile = false;
    ck_assert_int_eq(entries(dir), 0);
    ck_assert_int_eq(read_back(d, &e), MR_OK);
    mr_disk_free(d);

    snprintf(path, sizeof(path), "%s/miniray-spill.abcdef", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/miniray-spill.folder", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, others[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    ck_assert_int_eq(entries(dir), 6);
    mr_disk_sweep(dir);
    mr_disk_sweep("/nowhere/at/all");
    ck_assert_int_eq(entries(dir), 5);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, others[i]);
        ck_assert_int_eq(unlink(path), 0);
    }
    snprintf(path, sizeof(path), "%s/miniray-spill.folder", dir);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("disk");
    TCase *t = tcase_create("disk");
    tcase_add_checked_fixture(t, bytes_make, bytes_free);
    tcase_add_loop_test(t, comes_back, 0, 3);
    tcase_add_loop_test(t, can_be_lifted, 0, 3);
    tcase_add_loop_test(t, damage_is_seen, 0, 3);
    tcase_add_loop_test(t, what_is_dropped_goes, 0, 3);
    tcase_add_loop_test(t, past_the_cache, 0, 3);
    tcase_add_loop_test(t, the_cheaper_way, 0, 3);
    tcase_add_test(t, a_folder_is_looked_at);
    tcase_add_test(t, without_o_tmpfile);
    suite_add_tcase(s, t);
    return run_suite(s);
}
