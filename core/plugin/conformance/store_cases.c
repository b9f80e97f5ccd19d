/* store_cases.c: what every store must keep: the mandatory ops, their errors, and their books.
 *
 * Each case gets a fresh instance in a process of its own (case.c) and may leave it in any state: closing a store with
 * open, sealed and pinned objects must free everything, so that is checked after every case.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/conformance/case.h"

enum { KB = 1 << 10, MB = 1 << 20 };

static const mr_region untouched = {(void *)(uintptr_t)0x51, 0x52, 0x53};

static bool is_untouched(const mr_region *r)
{
    return r->data == untouched.data && r->len == untouched.len && r->at == untouched.at;
}

/* -- life ------------------------------------------------------------------------------------------------------- */

static void life(mr_case *c)
{
    mr_region r;
    mr_case_put(c, 1, 1000, 7);
    mr_case_expect(c, 1, 1000, 7);
    DONE(c, c->ops->remove(c->self, 1));
    GIVES(c, c->ops->get(c->self, 1, &r), MR_E_NOTFOUND);
    SAME(c, mr_case_used(c, 0), 0);
}

static void zero_length(mr_case *c)
{
    mr_region r = {0};
    for (mr_id id = 1; id <= 3; id++) {
        DONE(c, c->ops->create(c->self, id, 0, &r));
        CHECK(c, r.data != NULL && r.len == 0);
        DONE(c, c->ops->seal(c->self, id));
        DONE(c, c->ops->get(c->self, id, &r));
        CHECK(c, r.data != NULL && r.len == 0);
        DONE(c, c->ops->release(c->self, id));
    }
    for (mr_id id = 1; id <= 3; id++)
        DONE(c, c->ops->remove(c->self, id));
    SAME(c, mr_case_used(c, 0), 0);
}

static void exact_length(mr_case *c)
{
    for (uint64_t len = 0; len <= 260; len++)
        mr_case_put(c, len + 1, len, len);
    for (uint64_t len = 0; len <= 260; len++)
        mr_case_expect(c, len + 1, len, len);
}

static void alignment(mr_case *c)
{
    mr_region r = {0};
    for (uint64_t i = 0; i < 200; i++) {
        DONE(c, c->ops->create(c->self, i + 1, i * 37 + 1, &r));
        SAME(c, (uintptr_t)r.data % MR_STORE_ALIGN, 0);
        if (r.at != MR_NOWHERE)
            SAME(c, r.at % MR_STORE_ALIGN, 0);
        DONE(c, c->ops->seal(c->self, i + 1));
        DONE(c, c->ops->get(c->self, i + 1, &r));
        SAME(c, (uintptr_t)r.data % MR_STORE_ALIGN, 0);
    }
}

static void all_bytes_writable(mr_case *c)
{
    mr_region r = {0};
    DONE(c, c->ops->create(c->self, 1, 3 * MB + 1, &r));
    memset(r.data, 0xa5, r.len);
    DONE(c, c->ops->seal(c->self, 1));
    DONE(c, c->ops->get(c->self, 1, &r));
    CHECK(c, ((unsigned char *)r.data)[0] == 0xa5 && ((unsigned char *)r.data)[3 * MB] == 0xa5);
}

static void id_is_reusable(mr_case *c)
{
    for (uint64_t i = 1; i <= 50; i++) {
        mr_case_put(c, 9, i * 10, i);
        mr_case_expect(c, 9, i * 10, i);
        DONE(c, c->ops->remove(c->self, 9));
    }
}

static void far_ids(mr_case *c)
{
    static const mr_id ids[] = {1, UINT64_MAX, UINT64_C(1) << 63, (UINT64_C(5) << 48) | 7, UINT32_MAX};
    for (size_t i = 0; i < 5; i++)
        mr_case_put(c, ids[i], 100, i);
    for (size_t i = 0; i < 5; i++)
        mr_case_expect(c, ids[i], 100, i);
    for (size_t i = 0; i < 5; i++)
        DONE(c, c->ops->remove(c->self, ids[i]));
}

/* -- errors, op by op ------------------------------------------------------------------------------------------- */

static void open_no_capacity(mr_case *c)
{
    const mr_store_conf conf = {.capacity = 0, .node = 3};
    mr_err err = {0};
    void *self = c;
    GIVES(c, c->ops->open(&self, c->host, &conf, &err), MR_E_CONFIG);
    CHECK(c, self == c);
    SAME(c, -(int)err.status, -(int)MR_E_CONFIG);
    CHECK(c, strstr(err.text, "capacity") != NULL);
}

static void create_no_id(mr_case *c)
{
    mr_region r = untouched;
    GIVES(c, c->ops->create(c->self, MR_NO_ID, 10, &r), MR_E_INVAL);
    CHECK(c, is_untouched(&r));
}

static void create_exists(mr_case *c)
{
    mr_region r = untouched, first = {0};
    uint64_t used;
    DONE(c, c->ops->create(c->self, 1, 100, &first));
    used = mr_case_used(c, 0);
    GIVES(c, c->ops->create(c->self, 1, 200, &r), MR_E_EXISTS);
    mr_case_fill(first.data, 100, 1);
    DONE(c, c->ops->seal(c->self, 1));
    GIVES(c, c->ops->create(c->self, 1, 100, &r), MR_E_EXISTS);
    GIVES(c, c->ops->create(c->self, 1, UINT64_MAX, &r), MR_E_EXISTS);
    CHECK(c, is_untouched(&r));
    SAME(c, mr_case_used(c, used), used);
    mr_case_expect(c, 1, 100, 1);
}

static void create_too_big(mr_case *c)
{
    static const uint64_t more[] = {1, 64, MB};
    mr_region r = untouched;
    for (size_t i = 0; i < 3; i++)
        GIVES(c, c->ops->create(c->self, 1, c->capacity + more[i], &r), MR_E_TOOBIG);
    for (uint64_t less = 0; less < 130; less++)
        GIVES(c, c->ops->create(c->self, 1, UINT64_MAX - less, &r), MR_E_TOOBIG);
    GIVES(c, c->ops->create(c->self, 1, UINT64_C(1) << 63, &r), MR_E_TOOBIG);
    CHECK(c, is_untouched(&r));
    SAME(c, mr_case_used(c, 0), 0);
    GIVES(c, c->ops->seal(c->self, 1), MR_E_NOTFOUND);
}

static void create_full(mr_case *c)
{
    mr_region r = {0};
    uint64_t half = c->capacity / 2 + 64, used;
    mr_case_put(c, 1, half, 1);
    used = mr_case_used(c, 0);
    r = untouched;
    GIVES(c, c->ops->create(c->self, 2, half, &r), MR_E_FULL);
    CHECK(c, is_untouched(&r));
    SAME(c, mr_case_used(c, used), used);
    GIVES(c, c->ops->create(c->self, 2, c->capacity * 2, &r), MR_E_TOOBIG);
    mr_case_expect(c, 1, half, 1);
    DONE(c, c->ops->remove(c->self, 1));
    mr_case_put(c, 2, half, 2);
    mr_case_expect(c, 2, half, 2);
}

static void seal_errors(mr_case *c)
{
    GIVES(c, c->ops->seal(c->self, 1), MR_E_NOTFOUND);
    GIVES(c, c->ops->seal(c->self, MR_NO_ID), MR_E_NOTFOUND);
    mr_case_put(c, 1, 10, 1);
    GIVES(c, c->ops->seal(c->self, 1), MR_E_INVAL);
    mr_case_expect(c, 1, 10, 1);
}

static void abort_errors(mr_case *c)
{
    GIVES(c, c->ops->abort(c->self, 1), MR_E_NOTFOUND);
    GIVES(c, c->ops->abort(c->self, MR_NO_ID), MR_E_NOTFOUND);
    mr_case_put(c, 1, 10, 1);
    GIVES(c, c->ops->abort(c->self, 1), MR_E_INVAL);
    mr_case_expect(c, 1, 10, 1);
}

static void abort_gives_back(mr_case *c)
{
    mr_region r = {0};
    for (int i = 0; i < 20; i++) {
        DONE(c, c->ops->create(c->self, 1, c->capacity / 2 + 64, &r));
        DONE(c, c->ops->abort(c->self, 1));
        GIVES(c, c->ops->abort(c->self, 1), MR_E_NOTFOUND);
        GIVES(c, c->ops->get(c->self, 1, &r), MR_E_NOTFOUND);
    }
    SAME(c, mr_case_used(c, 0), 0);
}

static void get_before_seal(mr_case *c)
{
    mr_region r = {0};
    DONE(c, c->ops->create(c->self, 1, 100, &r));
    r = untouched;
    GIVES(c, c->ops->get(c->self, 1, &r), MR_E_NOTFOUND);
    CHECK(c, is_untouched(&r));
    GIVES(c, c->ops->remove(c->self, 1), MR_E_NOTFOUND);
    CHECK(c, c->ops->release(c->self, 1) != MR_OK);
    DONE(c, c->ops->seal(c->self, 1));
    DONE(c, c->ops->get(c->self, 1, &r));
}

static void unknown_ids(mr_case *c)
{
    static const mr_id ids[] = {MR_NO_ID, 2, 1025, UINT64_MAX, UINT64_C(1) << 48};
    mr_region r = untouched;
    mr_case_put(c, 1, 10, 1);
    for (size_t i = 0; i < 5; i++) {
        GIVES(c, c->ops->get(c->self, ids[i], &r), MR_E_NOTFOUND);
        GIVES(c, c->ops->release(c->self, ids[i]), MR_E_NOTFOUND);
        GIVES(c, c->ops->remove(c->self, ids[i]), MR_E_NOTFOUND);
        GIVES(c, c->ops->seal(c->self, ids[i]), MR_E_NOTFOUND);
        GIVES(c, c->ops->abort(c->self, ids[i]), MR_E_NOTFOUND);
    }
    CHECK(c, is_untouched(&r));
    mr_case_expect(c, 1, 10, 1);
}

static void pins(mr_case *c)
{
    mr_region r;
    mr_case_put(c, 1, 500, 1);
    GIVES(c, c->ops->release(c->self, 1), MR_E_INVAL);
    for (int i = 0; i < 3; i++)
        DONE(c, c->ops->get(c->self, 1, &r));
    for (int i = 0; i < 3; i++) {
        GIVES(c, c->ops->remove(c->self, 1), MR_E_BUSY);
        CHECK(c, mr_case_filled(r.data, 500, 1));
        DONE(c, c->ops->release(c->self, 1));
    }
    GIVES(c, c->ops->release(c->self, 1), MR_E_INVAL);
    DONE(c, c->ops->remove(c->self, 1));
    GIVES(c, c->ops->release(c->self, 1), MR_E_NOTFOUND);
}

/* -- room ------------------------------------------------------------------------------------------------------- */

static void whole_capacity(mr_case *c)
{
    uint64_t all = mr_case_largest(c, c->capacity);
    CHECK(c, all <= c->capacity && all >= c->capacity / 2);
    for (int i = 1; i <= 3; i++) {
        mr_case_put(c, 1, all, (uint64_t)i);
        mr_case_expect(c, 1, all, (uint64_t)i);
        DONE(c, c->ops->remove(c->self, 1));
    }
}

/* Creates objects of `len` until the store is full; returns how many. */
static uint64_t fill_up(mr_case *c, mr_id first, uint64_t len)
{
    mr_region r;
    mr_status status;
    uint64_t n = 0;
    while (!(status = c->ops->create(c->self, first + n, len, &r))) {
        mr_case_fill(r.data, len, first + n);
        DONE(c, c->ops->seal(c->self, first + n));
        n++;
        CHECK(c, n <= c->capacity / len);
    }
    GIVES(c, status, MR_E_FULL);
    return n;
}

static void exhaustion_then_reuse(mr_case *c)
{
    uint64_t before = mr_case_largest(c, 0), n = fill_up(c, 1, 4 * KB);
    CHECK(c, n >= c->capacity / (4 * KB) / 2);
    for (int round = 0; round < 5; round++) {
        for (uint64_t i = 0; i < n; i++) {
            mr_case_expect(c, 1 + i, 4 * KB, 1 + i);
            DONE(c, c->ops->remove(c->self, 1 + i));
        }
        SAME(c, mr_case_used(c, 0), 0);
        SAME(c, mr_case_largest(c, before), before);
        SAME(c, fill_up(c, 1, 4 * KB), n);
    }
}

/* Free neighbours join whatever the order of removal. */
static void free_space_joins(mr_case *c)
{
    for (int order = 0; order < 4; order++) {
        uint64_t before = mr_case_largest(c, 0), n = fill_up(c, 1, 16 * KB);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t half = (n + 1) / 2, which = i;
            if (order == 1)
                which = n - 1 - i;
            else if (order == 2)
                which = i < half ? 2 * i : 2 * (i - half) + 1;
            else if (order == 3)
                which = i % 2 ? n - 1 - i / 2 : i / 2;
            DONE(c, c->ops->remove(c->self, 1 + which));
        }
        SAME(c, mr_case_used(c, 0), 0);
        SAME(c, mr_case_largest(c, before), before);
        mr_case_put(c, 1, before ? before : c->capacity / 2, 1);
        DONE(c, c->ops->remove(c->self, 1));
    }
}

static void neighbours_keep_their_bytes(mr_case *c)
{
    enum { N = 64, LEN = 1000 };
    for (mr_id id = 1; id <= N; id++)
        mr_case_put(c, id, LEN, id);
    for (uint64_t round = 0; round < 200; round++) {
        mr_id id = 1 + (round * 29) % N;
        DONE(c, c->ops->remove(c->self, id));
        mr_case_put(c, id, LEN, id);
        mr_case_expect(c, 1 + round % N, LEN, 1 + round % N);
    }
    for (mr_id id = 1; id <= N; id++)
        mr_case_expect(c, id, LEN, id);
}

static void pinned_bytes_stay(mr_case *c)
{
    mr_region r;
    mr_case_put(c, 1, 10000, 1);
    DONE(c, c->ops->get(c->self, 1, &r));
    for (mr_id id = 2; id < 500; id++) {
        mr_case_put(c, id, id * 7, id);
        if (id > 20)
            DONE(c, c->ops->remove(c->self, id - 10));
    }
    CHECK(c, mr_case_filled(r.data, 10000, 1));
}

static void many_objects(mr_case *c)
{
    enum { N = 100000, LEN = 100 };
    for (mr_id id = 1; id <= N; id++)
        mr_case_put(c, id, LEN, id);
    for (mr_id id = 1; id <= N; id += 97)
        mr_case_expect(c, id, LEN, id);
    for (mr_id id = 1; id <= N; id += 2)
        DONE(c, c->ops->remove(c->self, id));
    for (mr_id id = 2; id <= N; id += 194)
        mr_case_expect(c, id, LEN, id);
    for (mr_id id = 2; id <= N; id += 2)
        DONE(c, c->ops->remove(c->self, id));
    SAME(c, mr_case_used(c, 0), 0);
}

/* -- books ------------------------------------------------------------------------------------------------------ */

static void empty_stats(mr_case *c)
{
    mr_store_stats s = {0};
    NEEDS(c, stats);
    c->ops->stats(c->self, &s);
    SAME(c, s.used, 0);
    SAME(c, s.n_objects, 0);
    CHECK(c, s.capacity <= c->capacity && s.capacity >= c->capacity / 2);
    CHECK(c, s.largest <= s.capacity && s.largest > 0);
}

static void stats_follow(mr_case *c)
{
    mr_store_stats s = {0};
    mr_region r;
    uint64_t asked = 0;
    NEEDS(c, stats);
    for (mr_id id = 1; id <= 100; id++) {
        DONE(c, c->ops->create(c->self, id, id * 33, &r));
        asked += id * 33;
        c->ops->stats(c->self, &s);
        SAME(c, s.n_objects, id);
        CHECK(c, s.used >= asked && s.used <= s.capacity);
        CHECK(c, s.largest <= s.capacity - s.used);
    }
    for (mr_id id = 1; id <= 100; id++) {
        uint64_t used = s.used;
        if (id % 2) {
            DONE(c, c->ops->abort(c->self, id));
        } else {
            DONE(c, c->ops->seal(c->self, id));
            c->ops->stats(c->self, &s);
            SAME(c, s.used, used);
            DONE(c, c->ops->remove(c->self, id));
        }
        c->ops->stats(c->self, &s);
        CHECK(c, s.used < used);
        SAME(c, s.n_objects, 100 - id);
    }
    SAME(c, s.used, 0);
}

static void largest_is_true(mr_case *c)
{
    mr_region r;
    NEEDS(c, stats);
    for (mr_id id = 1; id <= 40; id++)
        mr_case_put(c, id, 50 * KB + id, id);
    for (mr_id id = 3; id <= 40; id += 3)
        DONE(c, c->ops->remove(c->self, id));
    for (int i = 0; i < 10; i++) {
        uint64_t largest = mr_case_largest(c, 0);
        if (!largest)
            return;
        GIVES(c, c->ops->create(c->self, 100, largest + 1, &r), MR_E_FULL);
        DONE(c, c->ops->create(c->self, (mr_id)(101 + i), largest, &r));
    }
}

static void two_instances(mr_case *c)
{
    const mr_store_conf conf = {.capacity = c->capacity, .node = 1};
    mr_case other = *c;
    mr_err err;
    DONE(c, c->ops->open(&other.self, c->host, &conf, &err));
    for (mr_id id = 1; id <= 20; id++) {
        mr_case_put(c, id, 1000, id);
        mr_case_put(&other, id, 2000, id + 500);
    }
    for (mr_id id = 1; id <= 20; id++) {
        mr_case_expect(c, id, 1000, id);
        mr_case_expect(&other, id, 2000, id + 500);
    }
    c->ops->close(c->self);
    c->self = NULL;
    for (mr_id id = 1; id <= 20; id++)
        mr_case_expect(&other, id, 2000, id + 500);
    other.ops->close(other.self);
}

static void close_with_everything(mr_case *c)
{
    mr_region r;
    mr_case_put(c, 1, 100, 1);
    mr_case_put(c, 2, 2 * MB, 2);
    DONE(c, c->ops->create(c->self, 3, 100, &r));
    DONE(c, c->ops->get(c->self, 1, &r));
    DONE(c, c->ops->get(c->self, 1, &r));
    c->ops->close(c->self);
    c->self = NULL;
    SAME(c, mr_host_bytes(c->box), 0);
}

static uint64_t open_descriptors(mr_case *c)
{
    uint64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(c, dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void opening_leaves_nothing(mr_case *c)
{
    const mr_store_conf conf = {.capacity = c->capacity, .node = 1};
    uint64_t bytes = mr_host_bytes(c->box), descriptors = open_descriptors(c);
    mr_err err;
    for (int i = 0; i < 50; i++) {
        mr_case other = *c;
        DONE(c, c->ops->open(&other.self, c->host, &conf, &err));
        mr_case_put(&other, 1, 1000, 1);
        c->ops->close(other.self);
        SAME(c, mr_host_bytes(c->box), bytes);
        SAME(c, open_descriptors(c), descriptors);
    }
}

/* -- against a model (store_cases_random.c) --------------------------------------------------------------------- */

static void random_1(mr_case *c)
{
    mr_store_random(c, 1);
}

static void random_2(mr_case *c)
{
    mr_store_random(c, 20240229);
}

static void random_3(mr_case *c)
{
    mr_store_random(c, UINT64_C(0xdeadbeefcafe));
}

const mr_case_def mr_store_cases[] = {
    {"life", MB, life},
    {"zero-length", MB, zero_length},
    {"exact-length", MB, exact_length},
    {"alignment", 4 * MB, alignment},
    {"all-bytes-writable", 4 * MB, all_bytes_writable},
    {"id-is-reusable", MB, id_is_reusable},
    {"far-ids", MB, far_ids},
    {"open-no-capacity", MB, open_no_capacity},
    {"create-no-id", MB, create_no_id},
    {"create-exists", MB, create_exists},
    {"create-too-big", MB, create_too_big},
    {"create-full", MB, create_full},
    {"seal-errors", MB, seal_errors},
    {"abort-errors", MB, abort_errors},
    {"abort-gives-back", MB, abort_gives_back},
    {"get-before-seal", MB, get_before_seal},
    {"unknown-ids", MB, unknown_ids},
    {"pins", MB, pins},
    {"whole-capacity", 4 * MB, whole_capacity},
    {"exhaustion-then-reuse", 2 * MB, exhaustion_then_reuse},
    {"free-space-joins", 2 * MB, free_space_joins},
    {"neighbours-keep-their-bytes", MB, neighbours_keep_their_bytes},
    {"pinned-bytes-stay", 4 * MB, pinned_bytes_stay},
    {"many-objects", 32 * MB, many_objects},
    {"empty-stats", MB, empty_stats},
    {"stats-follow", MB, stats_follow},
    {"largest-is-true", 4 * MB, largest_is_true},
    {"two-instances", MB, two_instances},
    {"close-with-everything", 4 * MB, close_with_everything},
    {"opening-leaves-nothing", MB, opening_leaves_nothing},
    {"random-1", 256 * KB, random_1},
    {"random-2", 256 * KB, random_2},
    {"random-3", 256 * KB, random_3},
};
const size_t mr_store_n_cases = sizeof(mr_store_cases) / sizeof(mr_store_cases[0]);
