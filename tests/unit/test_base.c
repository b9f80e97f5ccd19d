/* test_base.c: tables, interned names, lists, random numbers, statuses and the log. */
#define _GNU_SOURCE
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/intern.h"
#include "base/list.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/rand.h"
#include "base/table.h"
#include "run_suite.h"

/* -- table ------------------------------------------------------------------------------------------------------- */

typedef struct entry {
    uint64_t id;
    char pad[20];
} entry;

START_TEST(table_finds_what_was_put)
{
    mr_table t;
    mr_table_init(&t, sizeof(entry));
    ck_assert_ptr_null(mr_table_at(&t, 0));
    ck_assert_ptr_null(mr_table_at(&t, UINT64_MAX));
    const uint64_t ids[] = {0, 1, 255, 256, 1ull << 48, (1ull << 48) + 5, UINT64_MAX};
    for (size_t i = 0; i < 7; i++) {
        entry *e = mr_table_put(&t, ids[i]);
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->id, 0);
        ck_assert_uint_eq((uintptr_t)e % 8, 0);
        e->id = ids[i];
    }
    for (size_t i = 0; i < 7; i++)
        ck_assert_uint_eq(((entry *)mr_table_at(&t, ids[i]))->id, ids[i]);
    ck_assert_ptr_null(mr_table_at(&t, 2));
    ck_assert_ptr_null(mr_table_at(&t, 257));
    ck_assert_uint_eq(mr_table_count(&t), 7);
    ck_assert_ptr_eq(mr_table_put(&t, 255), mr_table_at(&t, 255));
    ck_assert_uint_eq(((entry *)mr_table_at(&t, 255))->id, 255);
    ck_assert(mr_table_del(&t, 255));
    ck_assert(!mr_table_del(&t, 255));
    ck_assert(!mr_table_del(&t, 999999));
    ck_assert_ptr_null(mr_table_at(&t, 255));
    ck_assert_uint_eq(((entry *)mr_table_put(&t, 255))->id, 0);
    mr_table_fini(&t);
}
END_TEST

/* Against a plain array of what should be there: random puts and deletes over ids that share and collide in pages. */
START_TEST(table_agrees_with_a_model)
{
    enum { IDS = 6000, STEPS = 200000 };
    static unsigned char there[IDS];
    mr_table t;
    mr_rand r;
    size_t count = 0;
    mr_table_init(&t, sizeof(uint64_t));
    mr_rand_seed(&r, 1, (uint64_t)_i);
    for (int step = 0; step < STEPS; step++) {
        uint64_t k = mr_rand_below(&r, IDS), id = (k % 7) << 48 | k * 37;
        bool put = step / 20000 % 2 ? mr_rand_below(&r, 4) == 0 : mr_rand_below(&r, 4) != 0;
        uint64_t *e = mr_table_at(&t, id);
        ck_assert_int_eq(e != NULL, there[k]);
        if (e)
            ck_assert_uint_eq(*e, id + 1);
        if (put) {
            *(uint64_t *)mr_table_put(&t, id) = id + 1;
            count += !there[k];
        } else {
            ck_assert_int_eq(mr_table_del(&t, id), there[k]);
            count -= there[k];
        }
        there[k] = put;
        ck_assert_uint_eq(mr_table_count(&t), count);
    }
    size_t walked = 0;
    uint64_t cursor = 0, id;
    for (uint64_t *e; (e = mr_table_next(&t, &cursor, &id)); walked++)
        ck_assert_uint_eq(*e, id + 1);
    ck_assert_uint_eq(walked, count);
    for (uint64_t k = 0; k < IDS; k++)
        mr_table_del(&t, (k % 7) << 48 | k * 37);
    ck_assert_uint_eq(mr_table_count(&t), 0);
    cursor = 0;
    ck_assert_ptr_null(mr_table_next(&t, &cursor, NULL));
    mr_table_fini(&t);
}
END_TEST

START_TEST(table_gives_pages_back)
{
    mr_table t;
    mr_table_init(&t, 300);
    for (uint64_t id = 0; id < 256 * 100; id++)
        ck_assert_ptr_nonnull(mr_table_put(&t, id));
    size_t full = mr_table_bytes(&t);
    for (uint64_t id = 0; id < 256 * 100; id++)
        ck_assert(mr_table_del(&t, id));
    ck_assert_uint_lt(mr_table_bytes(&t), full / 10);
    mr_table_fini(&t);
    ck_assert_uint_eq(mr_table_bytes(&t), 0);
}
END_TEST

/* Single pieces and blocks of many, taken and put back in turn. */
START_TEST(slab_keeps_its_pieces_apart)
{
    enum { SIZE = 100000, MANY = 500 };
    static uint64_t *v[MANY];
    mr_slab s;
    mr_rand r;
    mr_rand_seed(&r, 1, 0);
    mr_slab_init(&s, SIZE);
    for (int step = 0; step < 20000; step++) {
        /* Mostly full in one half of the time, mostly empty in the other. */
        size_t i = mr_rand_below(&r, MANY);
        bool want = mr_rand_below(&r, 10) < (step / 5000 % 2 ? 1 : 9);
        if (want == (v[i] != NULL))
            continue;
        if (want) {
            v[i] = mr_slab_get(&s);
            ck_assert_ptr_nonnull(v[i]);
            ck_assert_uint_eq((uintptr_t)v[i] % 64, 0);
            v[i][1] = v[i][SIZE / 8 - 1] = i;
        } else {
            ck_assert_uint_eq(v[i][1], i);
            ck_assert_uint_eq(v[i][SIZE / 8 - 1], i);
            mr_slab_put(&s, v[i]);
            v[i] = NULL;
        }
    }
    for (size_t i = 0; i < MANY; i++)
        if (v[i])
            mr_slab_put(&s, v[i]);
    ck_assert_uint_eq(s.n_used, 0);
    ck_assert_uint_lt(s.bytes, 3 << 20);
    mr_slab_fini(&s);
    ck_assert_uint_eq(s.bytes, 0);
}
END_TEST

/* -- intern ------------------------------------------------------------------------------------------------------ */

START_TEST(intern_numbers_are_dense_and_stable)
{
    mr_intern *in;
    uint32_t n, again;
    char text[32];
    ck_assert_int_eq(mr_intern_new(&in), MR_OK);
    ck_assert_int_eq(mr_intern_put(in, "", 0, &n), MR_OK);
    ck_assert_uint_eq(n, 0);
    for (uint32_t i = 1; i <= 1000; i++) {
        int len = snprintf(text, sizeof text, "name-%u", i);
        ck_assert_int_eq(mr_intern_put(in, text, (size_t)len, &n), MR_OK);
        ck_assert_uint_eq(n, i);
    }
    const char *first = mr_intern_text(in, 1);
    ck_assert_int_eq(mr_intern_put(in, "name-1xx", 6, &again), MR_OK);
    ck_assert_uint_eq(again, 1);
    ck_assert_ptr_eq(mr_intern_text(in, 1), first);
    ck_assert_str_eq(mr_intern_text(in, 1000), "name-1000");
    ck_assert_ptr_null(mr_intern_text(in, 1001));
    ck_assert_uint_eq(mr_intern_count(in), 1001);
    again = 77;
    ck_assert_int_eq(mr_intern_find(in, "no", 2, &again), MR_E_NOTFOUND);
    ck_assert_uint_eq(again, 77);
    ck_assert_int_eq(mr_intern_find(in, "name-77", 7, &again), MR_OK);
    ck_assert_uint_eq(again, 77);
    ck_assert_int_eq(mr_intern_put(in, "a\0b", 3, &n), MR_OK);
    ck_assert_int_eq(mr_intern_find(in, "a", 1, &again), MR_E_NOTFOUND);
    mr_intern_free(in);
    mr_intern_free(NULL);
}
END_TEST

/* -- list -------------------------------------------------------------------------------------------------------- */

typedef struct job {
    int n;
    mr_link link;
} job;

static void expect(const mr_link *list, const char *digits)
{
    char got[32];
    size_t n = 0;
    for (mr_link *l = mr_list_first(list); l; l = mr_list_next(list, l))
        got[n++] = (char)('0' + MR_LIST_ENTRY(l, job, link)->n);
    got[n] = 0;
    ck_assert_str_eq(got, digits);
}

START_TEST(list_keeps_order)
{
    mr_link a, b;
    job jobs[6] = {0};
    mr_list_init(&a);
    mr_list_init(&b);
    ck_assert_ptr_null(mr_list_first(&a));
    ck_assert_ptr_null(mr_list_pop_front(&a));
    for (int i = 0; i < 6; i++) {
        jobs[i].n = i;
        ck_assert(!mr_list_linked(&jobs[i].link));
        mr_list_push_back(i < 4 ? &a : &b, &jobs[i].link);
        ck_assert(mr_list_linked(&jobs[i].link));
    }
    expect(&a, "0123");
    mr_list_remove(&jobs[2].link);
    mr_list_remove(&jobs[2].link);
    expect(&a, "013");
    mr_list_push_front(&a, &jobs[2].link);
    expect(&a, "2013");
    for (mr_link *l; (l = mr_list_pop_front(&b));)
        mr_list_push_back(&a, l);
    expect(&a, "201345");
    expect(&b, "");
    mr_list_insert_after(mr_list_last(&a), (mr_list_remove(&jobs[0].link), &jobs[0].link));
    expect(&a, "213450");
    MR_LIST_EACH(&a, link)
    if (MR_LIST_ENTRY(link, job, link)->n % 2)
        mr_list_remove(link);
    expect(&a, "240");
    ck_assert_ptr_eq(mr_list_pop_front(&a), &jobs[2].link);
    ck_assert_ptr_eq(mr_list_last(&a), &jobs[0].link);
    job zero = {0};
    mr_list_remove(&zero.link);
    ck_assert_ptr_null(MR_LIST_ENTRY((mr_link *)NULL, job, link));
}
END_TEST

/* -- random ------------------------------------------------------------------------------------------------------ */

START_TEST(random_is_a_function_of_the_seed)
{
    mr_rand a, b, c;
    mr_rand_seed(&a, 42, 0);
    mr_rand_seed(&b, 42, 0);
    mr_rand_seed(&c, 42, 1);
    int differ = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = mr_rand_next(&a);
        ck_assert_uint_eq(x, mr_rand_next(&b));
        differ += x != mr_rand_next(&c);
    }
    ck_assert_int_eq(differ, 1000);
    /* The published outputs of splitmix64 from 1234567, and of xoshiro256** from 1, 2, 3, 4. */
    uint64_t state = 1234567;
    ck_assert_uint_eq(mr_rand_mix(&state), UINT64_C(6457827717110365317));
    ck_assert_uint_eq(mr_rand_mix(&state), UINT64_C(3203168211198807973));
    mr_rand known = {{1, 2, 3, 4}};
    ck_assert_uint_eq(mr_rand_next(&known), 11520);
    ck_assert_uint_eq(mr_rand_next(&known), 0);
    ck_assert_uint_eq(mr_rand_next(&known), 1509978240);
}
END_TEST

START_TEST(random_is_even)
{
    mr_rand r;
    int hits[10] = {0};
    double sum = 0;
    mr_rand_seed(&r, 7, 7);
    for (int i = 0; i < 100000; i++) {
        hits[mr_rand_below(&r, 10)]++;
        double u = mr_rand_unit(&r);
        ck_assert(u >= 0 && u < 1);
        sum += u;
    }
    for (int i = 0; i < 10; i++)
        ck_assert(hits[i] > 9500 && hits[i] < 10500);
    ck_assert(sum > 49500 && sum < 50500);
    ck_assert_uint_eq(mr_rand_below(&r, 0), 0);
    ck_assert_uint_eq(mr_rand_below(&r, 1), 0);
}
END_TEST

/* -- statuses and log -------------------------------------------------------------------------------------------- */

START_TEST(statuses_have_texts)
{
    ck_assert_str_eq(mr_status_text(MR_OK), "ok");
    ck_assert_str_eq(mr_status_text(MR_E_FULL), "the object store is full");
    ck_assert_str_eq(mr_status_name(MR_E_FULL), "E_FULL");
    ck_assert_str_eq(mr_status_text((mr_status)-99), "unknown status -99");
    ck_assert_str_eq(mr_status_name((mr_status)-99), "?");
    for (int s = 0; s >= -34; s--)
        ck_assert_str_ne(mr_status_name((mr_status)s), "?");
}
END_TEST

START_TEST(an_error_may_quote_itself)
{
    mr_err err;
    ck_assert_int_eq(mr_err_set(&err, MR_E_IO, "%s: %d", "file", 3), MR_E_IO);
    ck_assert_str_eq(err.text, "file: 3");
    ck_assert_int_eq(mr_err_set(&err, MR_E_CONFIG, "while reading: %s", err.text), MR_E_CONFIG);
    ck_assert_str_eq(err.text, "while reading: file: 3");
    ck_assert_int_eq(err.status, MR_E_CONFIG);
    ck_assert_int_eq(mr_err_set(NULL, MR_E_BUSY, "nobody asks"), MR_E_BUSY);
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    ck_assert_int_eq(mr_err_set(&err, MR_E_BUSY, "%s", longer), MR_E_BUSY);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
}
END_TEST

/* What one call writes to the log, as text. */
static size_t logged(char *out, size_t room, mr_log_level at, mr_log_level level, const char *text)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    mr_log_setup(at, ends[1]);
    mr_log(level, "room", "%s", text);
    mr_log_setup(MR_LOG_INFO, STDERR_FILENO);
    ssize_t n = read(ends[0], out, room - 1);
    close(ends[0]);
    close(ends[1]);
    out[n > 0 ? n : 0] = 0;
    return strlen(out);
}

START_TEST(log_writes_whole_lines)
{
    char got[4096], longer[3000];
    logged(got, sizeof got, MR_LOG_WARN, MR_LOG_WARN, "hello");
    ck_assert_str_eq(got, "miniray warning [room] hello\n");
    ck_assert_uint_eq(logged(got, sizeof got, MR_LOG_WARN, MR_LOG_INFO, "hello"), 0);
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    size_t n = logged(got, sizeof got, MR_LOG_DEBUG, MR_LOG_ERROR, longer);
    ck_assert(n > 1000 && n < 1500);
    ck_assert_int_eq(got[n - 1], '\n');
    ck_assert_ptr_eq(strchr(got, '\n'), got + n - 1);
}
END_TEST

START_TEST(a_bug_ends_the_process)
{
    mr_log_setup(MR_LOG_ERROR, -1);
    mr_bug("file.c", 3, "1 == 2");
}
END_TEST

START_TEST(machine_is_plausible)
{
    ck_assert_int_ge(mr_machine_cpus(), 1);
    ck_assert_uint_ge(mr_machine_memory(""), UINT64_C(64) << 20);
    ck_assert_uint_gt(mr_machine_available(""), 0);
    ck_assert_uint_le(mr_machine_available(""), mr_machine_memory(""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *c = tcase_create("base");
    tcase_add_test(c, table_finds_what_was_put);
    tcase_add_loop_test(c, table_agrees_with_a_model, 0, 3);
    tcase_add_test(c, table_gives_pages_back);
    tcase_add_test(c, slab_keeps_its_pieces_apart);
    tcase_add_test(c, intern_numbers_are_dense_and_stable);
    tcase_add_test(c, list_keeps_order);
    tcase_add_test(c, random_is_a_function_of_the_seed);
    tcase_add_test(c, random_is_even);
    tcase_add_test(c, statuses_have_texts);
    tcase_add_test(c, an_error_may_quote_itself);
    tcase_add_test(c, log_writes_whole_lines);
    tcase_add_test_raise_signal(c, a_bug_ends_the_process, 6);
    tcase_add_test(c, machine_is_plausible);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
