/* first_touch.c: what a first put can be on this machine, beside what the store makes of it.
 *
 * A line for each way to fill memory that the process has not had before, as a multiple of what a memcpy into fresh
 * pages of 4 KB takes just before it; the median over some turns, and from where to where.  "at once": memory that
 * was given back a moment ago.  "after a pause": the host of a virtual machine may have taken it back meanwhile.
 * The raw ways fill a shared mapping as a store must, with as many threads as are told; the best of them is what any
 * store could do here.  Usage: first_touch [plugin [MB [turns [pause in s]]]]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <miniray/miniray.h>

#include "base/log.h"
#include "plugin/loader.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { WINDOW = 2 << 20, THREADS_MOST = 4, TURNS_MOST = 32, WAYS = 6 };

static char *from, *to;
static uint64_t len;
static bool huge;
static atomic_uint_least64_t next;
static mr_loaded *loaded;

static void must(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "first_touch: %s failed\n", what);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What everything is measured by. */
static double plain(void)
{
    char *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED, "mmap");
    (void)madvise(at, len, MADV_NOHUGEPAGE);
    double start = now_s();
    memcpy(at, from, len);
    double spent = now_s() - start;
    munmap(at, len);
    return spent;
}

static void *fill(void *arg)
{
    uint64_t at;
    while ((at = atomic_fetch_add(&next, WINDOW)) < len) {
        if (huge && !madvise(to + at, 4096, MADV_POPULATE_WRITE))
            (void)madvise(to + at, WINDOW, MADV_COLLAPSE);
        else if (!huge)
            (void)madvise(to + at, WINDOW, MADV_POPULATE_WRITE);
        mr_copy(to + at, from + at, WINDOW);
    }
    return arg;
}

static double raw(int threads, bool in_huge)
{
    pthread_t thread[THREADS_MOST];
    int fd = memfd_create("first_touch", MFD_CLOEXEC);
    must(fd >= 0 && !ftruncate(fd, (off_t)len), "memfd");
    char *room = mmap(NULL, len + WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(room != MAP_FAILED, "mmap");
    to = room + (-(uintptr_t)room & (WINDOW - 1));
    must(mmap(to, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED, "mmap");
    huge = in_huge;
    atomic_store(&next, 0);
    double start = now_s();
    for (int i = 1; i < threads; i++)
        must(!pthread_create(&thread[i], NULL, fill, NULL), "pthread_create");
    fill(NULL);
    for (int i = 1; i < threads; i++)
        pthread_join(thread[i], NULL);
    double spent = now_s() - start;
    munmap(room, len + WINDOW);
    close(fd);
    return spent;
}

static int64_t no_time(void *arg)
{
    (void)arg;
    return 0;
}

/* The first object of a store that has just begun. */
static double stored(int threads, bool in_huge)
{
    const mr_store_ops *ops = &loaded->ops.store;
    mr_host_box *host;
    mr_err err = {0};
    mr_region r;
    void *store;
    (void)threads;
    (void)in_huge;
    must(!mr_host_new(&host, loaded->plugin, NULL, no_time, NULL), "host");
    must(!ops->open(&store, mr_host_table(host), &(mr_store_conf){.capacity = len * 2}, &err), err.text);
    double start = now_s();
    must(!ops->create(store, 1, len, &r), "create");
    must(!ops->populate || !ops->populate(store, &r), "populate");
    mr_copy(r.data, from, len);
    double spent = now_s() - start;
    must(!ops->seal(store, 1), "seal");
    ops->close(store);
    mr_host_free(host);
    return spent;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        double (*run)(int, bool);
        int threads;
        bool huge;
    } way[WAYS] = {{"the store", stored, 0, false},  {"2 MB pages, 1 thread", raw, 1, true},
                   {"2 MB pages, 2", raw, 2, true},  {"2 MB pages, 4", raw, 4, true},
                   {"4 KB pages, 2", raw, 2, false}, {"4 KB pages, 4", raw, 4, false}};
    static double ratio[WAYS][TURNS_MOST];
    int turns = argc > 3 ? atoi(argv[3]) : 5;
    useconds_t pause = (useconds_t)((argc > 4 ? atof(argv[4]) : 0.5) * 1e6);
    mr_err err = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    len = (argc > 2 ? strtoull(argv[2], NULL, 10) : 400) << 20;
    len -= len % WINDOW;
    must(turns > 0 && turns <= TURNS_MOST && len, "reading the arguments");
    must(!mr_plugin_load(&loaded, argc > 1 ? argv[1] : "store-shm", MR_KIND_STORE, NULL, NULL, &err), err.text);
    from = malloc(len);
    must(from != NULL, "malloc");
    memset(from, 1, len);
    for (int later = 0; later < 2; later++) {
        printf("%llu MB, over a memcpy into fresh pages of 4 KB, %s:\n", (unsigned long long)len >> 20,
               later ? "after a pause" : "at once");
        for (int i = 0; i < turns * WAYS; i++) { /* in turns: each finds what another has left */
            double base = plain();
            usleep(later ? pause : 0);
            ratio[i % WAYS][i / WAYS] = base / way[i % WAYS].run(way[i % WAYS].threads, way[i % WAYS].huge);
        }
        for (int w = 0; w < WAYS; w++) {
            qsort(ratio[w], (size_t)turns, sizeof(**ratio), by_size);
            printf("  %-22s %.2f (%.2f to %.2f)\n", way[w].name, ratio[w][turns / 2], ratio[w][0], ratio[w][turns - 1]);
        }
    }
    free(from);
    mr_plugin_unload(loaded);
    return 0;
}
