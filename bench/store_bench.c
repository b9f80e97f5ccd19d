/* store_bench.c: small objects through a store plugin, in one thread: create, write, seal, get, read, release, remove.
 *
 * "in turn": one object is made and removed before the next.  "1,000 at a time": so many are made, then read, then
 * removed in another order, so that the store has neighbours to join.  Prints a line for each size, in objects a
 * second. CPU time, so that a busy machine disturbs little.  Then objects of 1 B to 256 MB come and go, and what they
 * take from the system is compared with what they are.  Usage: store_bench [plugin [objects]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "plugin/loader.h"

enum { HELD = 1000, STEP = 617 /* prime to HELD */, CHURN = 3000 };

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

static uint64_t random_next(void)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return state >> 33;
}

/* 1 GB of them at a time, each size as likely as its double; a store that does not say what is resident says `used`. */
static void churn(const char *name, mr_id next)
{
    static struct {
        mr_id id;
        uint64_t len;
    } live[HELD];
    mr_store_stats now;
    double peak = 0, idle = 0;
    uint64_t n = 0, bytes = 0;
    for (int step = 0; step < CHURN; step++) {
        while (bytes < UINT64_C(1) << 30 && n < HELD) {
            uint64_t len = 1 + random_next() % (UINT64_C(1) << random_next() % 29);
            mr_region r;
            must(ops->create(store, next, len, &r), "create");
            if (ops->populate)
                must(ops->populate(store, &r), "populate");
            must(ops->seal(store, next), "seal");
            live[n].id = next++;
            live[n++].len = len;
            bytes += len;
        }
        ops->stats(store, &now);
        double part = (double)now.resident / (double)bytes;
        peak = step > CHURN / 10 && part > peak ? part : peak;
        uint64_t i = random_next() % n;
        must(ops->remove(store, live[i].id), "remove");
        bytes -= live[i].len;
        live[i] = live[--n];
    }
    while (ops->trim && ops->trim(store) > 0)
        continue;
    ops->stats(store, &now);
    idle = (double)now.resident / (double)bytes;
    printf("%s, 1 B to 256 MB: at most %.2f of what lies in it taken from the system, %.2f once idle\n", name, peak,
           idle);
    while (n-- > 0)
        must(ops->remove(store, live[n].id), "remove");
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
    if (ops->open(&store, mr_host_table(host), &(mr_store_conf){.capacity = UINT64_C(4) << 30}, &err)) {
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
    churn(name, next);
    ops->close(store);
    mr_host_free(host);
    mr_plugin_unload(loaded);
    return sum == 0; /* what was read counts */
}
