/* store_cases_use.c: what a store must keep in long use: odd sizes, many pins, refusals, wear, readers beside the ops.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/conformance/case.h"

enum { MB = 1 << 20 };

/* Sizes around what stores round to: a unit, a page, a huge page. */
static void odd_sizes(mr_case *c)
{
    static const uint64_t around[] = {64, 128, 4096, 65536, MB, 2 * MB};
    for (mr_id id = 1; id <= 6; id++)
        for (int d = -1; d <= 1; d++) {
            uint64_t len = around[id - 1] + (uint64_t)d;
            mr_case_put(c, id, len, id);
            mr_case_put(c, id + 10, len, id + 10); /* right behind it, perhaps */
            mr_case_expect(c, id, len, id);
            mr_case_expect(c, id + 10, len, id + 10);
            DONE(c, c->ops->remove(c->self, id));
            DONE(c, c->ops->remove(c->self, id + 10));
        }
    SAME(c, mr_case_used(c, 0), 0);
}

/* A pin counts to any number, and get gives the same bytes each time. */
static void many_pins(mr_case *c)
{
    enum { N = 70000 };
    mr_region first, r;
    mr_case_put(c, 1, 5000, 3);
    DONE(c, c->ops->get(c->self, 1, &first));
    for (int i = 1; i < N; i++) {
        DONE(c, c->ops->get(c->self, 1, &r));
        CHECK(c, r.data == first.data && r.len == first.len && r.at == first.at);
    }
    for (int i = 0; i < N; i++) {
        GIVES(c, c->ops->remove(c->self, 1), MR_E_BUSY);
        DONE(c, c->ops->release(c->self, 1));
    }
    GIVES(c, c->ops->release(c->self, 1), MR_E_INVAL);
    DONE(c, c->ops->remove(c->self, 1));
}

/* What an op refuses it leaves as it was. */
static void refusals_change_nothing(mr_case *c)
{
    mr_region r, open;
    uint64_t used;
    mr_case_put(c, 1, 1000, 1);
    DONE(c, c->ops->create(c->self, 2, 1000, &open));
    mr_case_fill(open.data, 1000, 2);
    used = mr_case_used(c, 0);
    for (int i = 0; i < 100; i++) {
        GIVES(c, c->ops->create(c->self, 1, 10, &r), MR_E_EXISTS);
        GIVES(c, c->ops->create(c->self, 2, 10, &r), MR_E_EXISTS);
        GIVES(c, c->ops->create(c->self, 3, c->capacity * 2, &r), MR_E_TOOBIG);
        GIVES(c, c->ops->create(c->self, MR_NO_ID, 10, &r), MR_E_INVAL);
        GIVES(c, c->ops->seal(c->self, 1), MR_E_INVAL);
        GIVES(c, c->ops->abort(c->self, 1), MR_E_INVAL);
        GIVES(c, c->ops->remove(c->self, 2), MR_E_NOTFOUND);
        GIVES(c, c->ops->release(c->self, 1), MR_E_INVAL);
        GIVES(c, c->ops->get(c->self, 3, &r), MR_E_NOTFOUND);
    }
    SAME(c, mr_case_used(c, 0), used);
    CHECK(c, mr_case_filled(open.data, 1000, 2));
    DONE(c, c->ops->seal(c->self, 2));
    mr_case_expect(c, 1, 1000, 1);
    mr_case_expect(c, 2, 1000, 2);
}

/* Random sizes come and go for long: what is left over stays usable, and all of it comes back. */
static void long_use_does_not_wear(mr_case *c)
{
    enum { N = 64 };
    uint64_t len[N] = {0}, seed = 77, whole = mr_case_largest(c, 0);
    uint32_t refused = 0;
    mr_region r;
    for (int turn = 0; turn < 20000; turn++) {
        size_t i = mr_case_random(&seed) % N;
        if (len[i])
            DONE(c, c->ops->remove(c->self, i + 1));
        len[i] = 1 + (mr_case_random(&seed) % (c->capacity / N) >> mr_case_random(&seed) % 12);
        mr_status status = c->ops->create(c->self, i + 1, len[i], &r);
        CHECK(c, status == MR_OK || status == MR_E_FULL);
        if (status) {
            refused++;
            len[i] = 0;
            continue;
        }
        mr_case_fill(r.data, len[i] < 200 ? len[i] : 200, i);
        DONE(c, c->ops->seal(c->self, i + 1));
    }
    CHECK(c, refused < 200);
    for (size_t i = 0; i < N; i++)
        if (len[i])
            DONE(c, c->ops->remove(c->self, i + 1));
    SAME(c, mr_case_used(c, 0), 0);
    SAME(c, mr_case_largest(c, whole), whole);
}

/* The engine reads pinned bytes and writes unsealed ones without the lock, while ops run under it. */
typedef struct reading {
    mr_case *c;
    mr_region r;
    uint64_t seed;
    bool same;
} reading;

static void *read_on(void *arg)
{
    reading *x = arg;
    for (int i = 0; i < 200 && x->same; i++)
        x->same = mr_case_filled(x->r.data, x->r.len, x->seed);
    return NULL;
}

static void readers_beside_other_ops(mr_case *c)
{
    enum { READERS = 3 };
    reading x[READERS];
    pthread_t thread[READERS];
    for (mr_id id = 1; id <= READERS; id++) {
        mr_case_put(c, id, 30000, id);
        x[id - 1] = (reading){.c = c, .seed = id, .same = true};
        DONE(c, c->ops->get(c->self, id, &x[id - 1].r));
    }
    for (int i = 0; i < READERS; i++)
        CHECK(c, pthread_create(&thread[i], NULL, read_on, &x[i]) == 0);
    for (mr_id id = 100; id < 1500; id++) {
        mr_case_put(c, id, id * 13 % 9000, id);
        if (id >= 120)
            DONE(c, c->ops->remove(c->self, id - 20));
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(thread[i], NULL);
        CHECK(c, x[i].same);
        DONE(c, c->ops->release(c->self, (mr_id)i + 1));
    }
}

/* The last pin and the removal meet in every order that one lock allows. */
static void pins_and_removal_meet(mr_case *c)
{
    mr_region r;
    for (int order = 0; order < 8; order++) {
        int pins = 0;
        mr_case_put(c, 1, 100, 9);
        for (int step = 0; step < 3; step++) {
            if (order >> step & 1) {
                DONE(c, c->ops->get(c->self, 1, &r));
                pins++;
            } else if (pins) {
                GIVES(c, c->ops->remove(c->self, 1), MR_E_BUSY);
                DONE(c, c->ops->release(c->self, 1));
                pins--;
            }
        }
        for (; pins; pins--)
            DONE(c, c->ops->release(c->self, 1));
        DONE(c, c->ops->remove(c->self, 1));
        GIVES(c, c->ops->get(c->self, 1, &r), MR_E_NOTFOUND);
    }
}

static uint64_t resident(mr_case *c)
{
    unsigned long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(c, file != NULL);
    int n = fscanf(file, "%lu %lu", &size, &pages);
    fclose(file);
    CHECK(c, n == 2);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What goes through is 64 times what may stay. */
static void bytes_do_not_pile_up(mr_case *c)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    mr_case_skip(c, "a sanitizer keeps what is freed");
#endif
    enum { LEN = MB / 4, ROUNDS = 1024 };
    const uint64_t before = resident(c);
    mr_region r = {0};
    for (uint32_t i = 0; i < ROUNDS; i++) {
        DONE(c, c->ops->create(c->self, 1, LEN, &r));
        memset(r.data, 1, LEN);
        if (i % 2) {
            DONE(c, c->ops->abort(c->self, 1));
            continue;
        }
        DONE(c, c->ops->seal(c->self, 1));
        DONE(c, c->ops->remove(c->self, 1));
    }
    CHECK(c, resident(c) < before + ROUNDS / 64 * (uint64_t)LEN + 2 * c->capacity);
}

const mr_case_def mr_store_use_cases[] = {
    {"odd-sizes", 16 * MB, odd_sizes},
    {"many-pins", MB, many_pins},
    {"refusals-change-nothing", MB, refusals_change_nothing},
    {"long-use-does-not-wear", 8 * MB, long_use_does_not_wear},
    {"readers-beside-other-ops", 4 * MB, readers_beside_other_ops},
    {"pins-and-removal-meet", MB, pins_and_removal_meet},
    {"bytes-do-not-pile-up", MB, bytes_do_not_pile_up},
};
const size_t mr_store_n_use_cases = sizeof(mr_store_use_cases) / sizeof(mr_store_use_cases[0]);
