/* store-shm's memory: pages become present whichever way is taken, whoever has had them before, and nothing else
 * changes.
 */
#define _GNU_SOURCE
#include <check.h>
#include <dirent.h>
#include <string.h>

#undef fail /* Check's macro; the plugin has a function of this name */
/* Two of the plugin's files, as one unit. */
#include "../../plugins/store-shm/shm_map.c"
#include "../../plugins/store-shm/shm_populate.c"
#include "run_suite.h"

enum { MB = 1 << 20, CAPACITY = 160 * MB };

static void map_new(shm_map *m)
{
    mr_err err = {0};
    ck_assert_msg(shm_map_new(m, CAPACITY, "test", &err) == MR_OK, "%s", err.text);
}

static void force_way(shm_map *m, int way)
{
    atomic_store(&m->pass, way == SMALL ? 1ull << 62 : 0);
    atomic_store(&m->small_ns, 1ull << 62);
}

static int n_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* An odd range, large enough for threads: it becomes present, its neighbours' bytes stay, no thread is left. */
START_TEST(large_range)
{
    shm_map m;
    uint64_t at = 3 * MB + 100, len = 96 * MB + 12345;
    int before;
    map_new(&m);
    ck_assert_int_eq(shm_map_populate(&m, 110 * MB, 40 * MB),
                     MR_OK); /* a sanitizer's own thread starts with the first */
    ck_assert_uint_ge(shm_map_punch(&m, 110 * MB, 40 * MB, UINT64_MAX / 2), 39 * MB - SHM_HUGE);
    before = n_threads();
    if (_i <= HUGE)
        force_way(&m, _i);
    memset(m.rw + at - 100, 7, 100);
    memset(m.rw + at + len, 8, 100);
    ck_assert_int_eq(shm_map_populate(&m, at, len), MR_OK);
    ck_assert_uint_eq(fresh_bytes(&m, at & ~(m.page - 1), (at + len) & ~(m.page - 1)), 0);
    ck_assert_uint_ge(shm_map_resident(&m), len);
    ck_assert_uint_le(shm_map_resident(&m), len + 4 * SHM_HUGE);
    ck_assert_int_eq(n_threads(), before);
    for (int i = 0; i < 100; i++)
        ck_assert(m.ro[at - 100 + (uint64_t)i] == 7 && m.ro[at + len + (uint64_t)i] == 8);
    if (_i > HUGE) /* nobody said which way: both have been tried */
        ck_assert(atomic_load(&m.small_ns) && atomic_load(&m.n_windows));
    shm_map_fini(&m);
}
END_TEST

/* Bytes that are there stay, in both ways, when the pages around them are filled. */
START_TEST(bytes_stay)
{
    shm_map m;
    map_new(&m);
    force_way(&m, _i);
    for (uint64_t at = 0; at < 64 * MB; at += 300 * 1000)
        m.rw[at] = (char)(at / 1000);
    ck_assert_int_eq(shm_map_populate(&m, 0, 64 * MB), MR_OK);
    for (uint64_t at = 0; at < 64 * MB; at += 300 * 1000)
        ck_assert_int_eq(m.ro[at], (char)(at / 1000));
    shm_map_fini(&m);
}
END_TEST

/* A window that was mapped once and given back is taken again, zeroed, and its claim is made anew. */
START_TEST(given_back_and_taken_again)
{
    shm_map m;
    map_new(&m);
    force_way(&m, _i);
    ck_assert_int_eq(shm_map_populate(&m, 0, 40 * MB), MR_OK);
    memset(m.rw, 1, 40 * MB);
    ck_assert_uint_ge(shm_map_punch(&m, 0, 40 * MB, UINT64_MAX / 2), 40 * MB);
    ck_assert_uint_eq(fresh_bytes(&m, 0, 40 * MB), 40 * MB);
    ck_assert_int_eq(shm_map_populate(&m, 0, 40 * MB), MR_OK);
    ck_assert_uint_eq(fresh_bytes(&m, 0, 40 * MB), 0);
    for (uint64_t at = 0; at < 40 * MB; at += 4096)
        ck_assert_int_eq(m.rw[at], 0);
    shm_map_fini(&m);
}
END_TEST

/* After a dear huge page come small ones, twice as many each time; a cheap one ends that. */
START_TEST(dear_pages_are_tried_seldom)
{
    shm_map m = {0};
    uint64_t tried = 0, small = 0;
    for (int i = 0; i < 64 * 100; i++) {
        int way = choose_way(&m);
        tried += way == HUGE;
        learn_cost(&m, way, way == HUGE ? 5000 : 1000);
    }
    ck_assert_uint_ge(tried, 90);
    ck_assert_uint_le(tried, 120);
    for (int i = 0; i < 64 * 100; i++) {
        int way = choose_way(&m);
        small += way == SMALL;
        learn_cost(&m, way, way == HUGE ? 200 : 1000);
    }
    ck_assert_uint_ge(small, 2 * 99);
    ck_assert_uint_le(small, 2 * 100 + 64);
}
END_TEST

START_TEST(outside)
{
    shm_map m;
    map_new(&m);
    ck_assert_int_eq(shm_map_populate(&m, CAPACITY, 1), MR_E_INVAL);
    ck_assert_int_eq(shm_map_populate(&m, 1, UINT64_MAX), MR_E_INVAL);
    ck_assert_int_eq(shm_map_populate(&m, CAPACITY, 0), MR_OK);
    ck_assert_uint_eq(shm_map_resident(&m), 0);
    shm_map_fini(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store-shm memory");
    TCase *c = tcase_create("populate");
    tcase_add_loop_test(c, large_range, 0, HUGE + 2);
    tcase_add_loop_test(c, bytes_stay, 0, HUGE + 1);
    tcase_add_loop_test(c, given_back_and_taken_again, 0, HUGE + 1);
    tcase_add_test(c, dear_pages_are_tried_seldom);
    tcase_add_test(c, outside);
    suite_add_tcase(s, c);
    return run_suite(s);
}
