/* References: what is told to the node, in which order, and nothing twice; drops from many threads; mr_copy. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/drops.h"
#include "client/refs.h"
#include "run_suite.h"

/* A port that writes down the holds and drops it is told. */
enum { TOLD_MAX = 400000 };
static struct {
    mr_id id;
    bool add;
} told[TOLD_MAX];
static size_t n_told, n_records, n_forgotten;

static mr_status take_send(mr_port *p, mr_record *r, mr_err *err)
{
    (void)p;
    (void)err;
    ck_assert_uint_eq(r->kind, MR_EV_REFS);
    const mr_ev_refs *e = (const void *)r;
    const mr_id *ids = mr_record_ids(e, sizeof(*e));
    ck_assert_uint_eq(r->size, mr_record_total(sizeof(*e), r->n_ids, 0));
    ck_assert_uint_le(e->n_add, r->n_ids);
    ck_assert_uint_le(n_told + r->n_ids, TOLD_MAX);
    for (uint32_t i = 0; i < r->n_ids; i++, n_told++) {
        told[n_told].id = ids[i];
        told[n_told].add = i < e->n_add;
    }
    n_records++;
    return MR_OK;
}

static void take_forget(mr_port *p, mr_id id)
{
    (void)p;
    (void)id;
    n_forgotten++;
}

static const mr_port_ops ops = {.send = take_send, .forget = take_forget};
static mr_port port = {.ops = &ops};
static mr_refs *refs;

static void setup(void)
{
    n_told = n_records = n_forgotten = 0;
    ck_assert_int_eq(mr_refs_new(&port, &refs), MR_OK);
}

static void teardown(void)
{
    mr_refs_free(refs);
}

static void add(mr_id id)
{
    ck_assert_int_eq(mr_refs_add(refs, &id, 1), MR_OK);
}

static void expect(size_t n, mr_id id, bool is_add)
{
    ck_assert_uint_eq(n_told, n);
    ck_assert_uint_eq(told[n - 1].id, id);
    ck_assert_int_eq(told[n - 1].add, is_add);
}

START_TEST(test_creator_holds_silently)
{
    ck_assert_int_eq(mr_refs_adopt(refs, 10, 3), MR_OK);
    mr_refs_flush(refs, true);
    ck_assert_uint_eq(n_told, 0);
    mr_refs_drop(refs, 11);
    mr_refs_flush(refs, true);
    expect(1, 11, false);
    ck_assert(mr_refs_held(refs, 10));
    ck_assert(!mr_refs_held(refs, 11));
    ck_assert_uint_eq(n_forgotten, 1);
}
END_TEST

START_TEST(test_only_edges_travel)
{
    add(5);
    add(5);
    ck_assert_uint_eq(n_told, 0);
    mr_refs_settle(refs);
    expect(1, 5, true);
    add(5);
    mr_refs_drop(refs, 5);
    mr_refs_drop(refs, 5);
    mr_refs_flush(refs, true);
    ck_assert_uint_eq(n_told, 1);
    mr_refs_drop(refs, 5);
    mr_refs_flush(refs, true);
    expect(2, 5, false);
}
END_TEST

START_TEST(test_untold_comes_and_goes)
{
    add(5);
    mr_refs_sub(refs, 5);
    add(6);
    mr_refs_sub(refs, 6);
    add(6);
    mr_refs_flush(refs, true);
    expect(1, 6, true);
}
END_TEST

START_TEST(test_new_hold_cancels_drop)
{
    ck_assert_int_eq(mr_refs_adopt(refs, 7, 1), MR_OK);
    mr_refs_drop(refs, 7);
    mr_refs_flush(refs, false); /* applied, not sent */
    ck_assert_uint_eq(n_told, 0);
    add(7);
    mr_refs_flush(refs, true);
    ck_assert_uint_eq(n_told, 0);
    mr_refs_sub(refs, 7);
    add(7);
    mr_refs_sub(refs, 7);
    mr_refs_flush(refs, true);
    expect(1, 7, false);
}
END_TEST

/* Holds before drops in one record: a hold of what lies inside a container goes before the container's drop. */
START_TEST(test_holds_first)
{
    ck_assert_int_eq(mr_refs_adopt(refs, 1, 1), MR_OK);
    add(2);
    mr_refs_drop(refs, 1);
    mr_refs_flush(refs, true);
    ck_assert_uint_eq(n_records, 1);
    expect(2, 1, false);
    ck_assert_uint_eq(told[0].id, 2);
    ck_assert(told[0].add);
}
END_TEST

START_TEST(test_batches)
{
    enum { N = 5000 };
    ck_assert_int_eq(mr_refs_adopt(refs, 1, N), MR_OK);
    for (mr_id id = 1; id <= N; id++)
        mr_refs_drop(refs, id);
    ck_assert_uint_eq(n_told, 0);
    mr_refs_flush(refs, true);
    ck_assert_uint_eq(n_told, N);
    ck_assert_uint_eq(n_records, (N + MR_REFS_BATCH - 1) / MR_REFS_BATCH);
    mr_id ids[N];
    for (mr_id id = 0; id < N; id++)
        ids[id] = 10 + id;
    n_told = 0;
    ck_assert_int_eq(mr_refs_add(refs, ids, N), MR_OK);
    mr_refs_settle(refs);
    ck_assert_uint_eq(n_told, N);
}
END_TEST

START_TEST(test_disown)
{
    ck_assert_int_eq(mr_refs_adopt(refs, 3, 2), MR_OK);
    mr_refs_disown(refs, 3, 2);
    mr_refs_flush(refs, true);
    ck_assert_uint_eq(n_told, 0);
    ck_assert(!mr_refs_held(refs, 3));
}
END_TEST

/* One given back too often is told in the log and changes nothing. */
START_TEST(test_too_many_drops)
{
    ck_assert_int_eq(mr_refs_adopt(refs, 3, 1), MR_OK);
    mr_refs_drop(refs, 3);
    mr_refs_drop(refs, 3);
    mr_refs_flush(refs, true);
    expect(1, 3, false);
    add(3);
    mr_refs_settle(refs);
    expect(2, 3, true);
}
END_TEST

static bool count_kept(void *arg, size_t i, bool looked)
{
    ((int *)arg)[i]++;
    return looked;
}

START_TEST(test_each_held)
{
    int kept[3] = {0};
    ck_assert_int_eq(mr_refs_adopt(refs, 1, 1), MR_OK);
    ck_assert_int_eq(mr_refs_adopt(refs, 3, 1), MR_OK);
    mr_refs_each_held(refs, (const mr_id[]){1, 2, 3}, 3, count_kept, kept);
    ck_assert_int_eq(kept[0], 1);
    ck_assert_int_eq(kept[1], 0);
    ck_assert_int_eq(kept[2], 1);
}
END_TEST

enum { THREADS = 4, EACH = 40000 };

static void *dropper(void *arg)
{
    mr_id first = *(mr_id *)arg;
    for (mr_id i = 0; i < EACH; i++)
        mr_refs_drop(refs, first + i);
    return NULL;
}

/* Drops from several threads while another flushes: each is told exactly once. */
START_TEST(test_drops_of_threads)
{
    pthread_t t[THREADS];
    mr_id first[THREADS];
    static bool seen[THREADS * EACH + 1];
    memset(seen, 0, sizeof(seen));
    ck_assert_int_eq(mr_refs_adopt(refs, 1, THREADS * EACH), MR_OK);
    for (int round = 0; round < 2; round++) { /* the second round uses the lists of threads that ended */
        if (round) {
            ck_assert_int_eq(mr_refs_adopt(refs, 1, THREADS * EACH), MR_OK);
            n_told = 0;
            memset(seen, 0, sizeof(seen));
        }
        for (mr_id i = 0; i < THREADS; i++) {
            first[i] = 1 + i * EACH;
            ck_assert_int_eq(pthread_create(&t[i], NULL, dropper, &first[i]), 0);
        }
        for (int i = 0; i < 200; i++)
            mr_refs_flush(refs, i % 3 == 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(t[i], NULL);
        mr_refs_flush(refs, true);
        ck_assert_uint_eq(n_told, THREADS * EACH);
        for (size_t i = 0; i < n_told; i++) {
            ck_assert(!told[i].add);
            ck_assert(!seen[told[i].id]);
            seen[told[i].id] = true;
        }
    }
}
END_TEST

/* What was dropped in a session that is over touches no other. */
START_TEST(test_drops_of_another)
{
    mr_refs *other;
    ck_assert_int_eq(mr_refs_new(&port, &other), MR_OK);
    ck_assert_int_eq(mr_refs_adopt(refs, 9, 1), MR_OK);
    ck_assert_int_eq(mr_refs_adopt(other, 9, 1), MR_OK);
    mr_refs_drop(other, 9);
    mr_refs_free(other);
    mr_refs_flush(refs, true);
    ck_assert_uint_eq(n_told, 0);
    ck_assert(mr_refs_held(refs, 9));
}
END_TEST

START_TEST(test_copy)
{
    enum { ROOM = 600000 };
    unsigned char *from = malloc(ROOM), *to = malloc(ROOM);
    static const size_t sizes[] = {0, 1, 63, 64, 4096, 262143, 262144, 262145, 300001, 524288};
    for (size_t i = 0; i < ROOM; i++)
        from[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
        for (size_t shift = 0; shift < 20; shift += 3) {
            size_t n = sizes[k];
            memset(to, 0xAA, ROOM);
            mr_copy(to + shift, from + shift / 2, n);
            ck_assert_mem_eq(to + shift, from + shift / 2, n);
            ck_assert_uint_eq(to[shift + n], 0xAA);
            if (shift)
                ck_assert_uint_eq(to[shift - 1], 0xAA);
        }
    free(from);
    free(to);
}
END_TEST

/* What two threads do together: each byte once, and none beside them. */
START_TEST(test_copy_large)
{
    const size_t n = (18u << 20) + 12345;
    unsigned char *from = malloc(n + 64), *to = malloc(n + 64);
    for (size_t i = 0; i < n + 64; i++)
        from[i] = (unsigned char)(i * 7 + i / 256);
    memset(to, 0xAA, n + 64);
    mr_copy(to + 5, from + 3, n);
    ck_assert(memcmp(to + 5, from + 3, n) == 0);
    ck_assert_uint_eq(to[4], 0xAA);
    ck_assert_uint_eq(to[5 + n], 0xAA);
    free(from);
    free(to);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client");
    TCase *c = tcase_create("client");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_creator_holds_silently);
    tcase_add_test(c, test_only_edges_travel);
    tcase_add_test(c, test_untold_comes_and_goes);
    tcase_add_test(c, test_new_hold_cancels_drop);
    tcase_add_test(c, test_holds_first);
    tcase_add_test(c, test_batches);
    tcase_add_test(c, test_disown);
    tcase_add_test(c, test_too_many_drops);
    tcase_add_test(c, test_each_held);
    tcase_add_test(c, test_drops_of_threads);
    tcase_add_test(c, test_drops_of_another);
    tcase_add_test(c, test_copy);
    tcase_add_test(c, test_copy_large);
    suite_add_tcase(s, c);
    return run_suite(s);
}
