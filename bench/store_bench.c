/* store_bench.c: small objects through a store plugin, in one thread: create, write, seal, get, read, release, remove.
 *
 * "in turn": one object is made and removed before the next.  "1,000 at a time": so many are made, then read, then
 * removed in another order, so that the store has neighbours to join.  Prints a line for each size, in objects a
 * second. CPU time, so that a busy machine disturbs little.  Usage: store_bench [plugin [objects]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "plugin/loader.h"

enum { HELD = 1000, STEP = 617 /* prime to HELD */ };

static const mr_store_ops *ops;
static void *store;
static uint64_t sum;

static double clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int64_t no_time(void *arg)
{
    (void)arg;
    return 0;
}

static void must(mr_status status, const char *what)
{
    if (!status)
        return;
    fprintf(stderr, "store_bench: %s: %s\n", what, mr_status_text(status));
    exit(1);
}

static void make(mr_id id, uint64_t len)
{
    mr_region r;
    must(ops->create(store, id, len, &r), "create");
    memset(r.data, (int)id, len);
    must(ops->seal(store, id), "seal");
}

static void look(mr_id id)
{
    mr_region r;
    must(ops->get(store, id, &r), "get");
    sum += *(const unsigned char *)r.data;
    must(ops->release(store, id), "release");
}

static double in_turn(mr_id *next, uint64_t count, uint64_t len)
{
    double from = clock_ns();
    for (uint64_t i = 0; i < count; i++, ++*next) {
        make(*next, len);
        look(*next);
        must(ops->remove(store, *next), "remove");
    }
    return (double)count / (clock_ns() - from) * 1e9;
}

static double together(mr_id *next, uint64_t count, uint64_t len)
{
    double from = clock_ns();
    for (uint64_t done = 0; done < count; done += HELD, *next += HELD) {
        for (mr_id i = 0; i < HELD; i++)
            make(*next + i, len);
        for (mr_id i = 0; i < HELD; i++)
            look(*next + i);
        for (mr_id i = 0; i < HELD; i++)
            must(ops->remove(store, *next + i * STEP % HELD), "remove");
    }
    return (double)(count - count % HELD) / (clock_ns() - from) * 1e9;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "store-shm";
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    mr_loaded *loaded;
    mr_host_box *host;
    mr_err err = {0};
    if (mr_plugin_load(&loaded, name, MR_KIND_STORE, NULL, NULL, &err)) {
        fprintf(stderr, "store_bench: %s\n", err.text);
        return 1;
    }
    must(mr_host_new(&host, loaded->plugin, NULL, no_time, NULL), "host");
    ops = &loaded->ops.store;
    if (ops->open(&store, mr_host_table(host), &(mr_store_conf){.capacity = 64 << 20}, &err)) {
        fprintf(stderr, "store_bench: %s\n", err.text);
        return 1;
    }
    mr_id next = 1;
    in_turn(&next, count / 10, 1024); /* its tables and its first pages */
    for (uint64_t len = 100; len <= 1024; len = len == 100 ? 1024 : len * 2) {
        double one = in_turn(&next, count, len), many = together(&next, count, len);
        printf("%s, %llu bytes: %.2f M objects/s in turn, %.2f M 1,000 at a time\n", name, (unsigned long long)len,
               one / 1e6, many / 1e6);
    }
    ops->close(store);
    mr_host_free(host);
    mr_plugin_unload(loaded);
    return sum == 0; /* what was read counts */
}
