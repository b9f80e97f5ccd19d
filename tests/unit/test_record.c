/* test_record.c: the check of records that come from another process. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "control/record.h"
#include "run_suite.h"

static struct {
    mr_ev_refs e;
    mr_id ids[4];
} r;

static void setup(void)
{
    memset(&r, 0, sizeof r);
    r.e.h = (mr_record){.size = sizeof r, .kind = MR_EV_REFS, .version = MR_RECORD_VERSION, .from = 3, .n_ids = 4};
    r.e.n_add = 2;
}

static mr_status check(size_t n, const char *text)
{
    mr_err err = {0};
    mr_status status = mr_record_check(&r.e.h, n, &err);
    if (text)
        ck_assert_str_eq(err.text, text);
    return status;
}

START_TEST(a_good_one)
{
    ck_assert_int_eq(check(sizeof r, NULL), MR_OK);
    ck_assert_uint_eq(mr_record_total(sizeof r.e, 4, 0), sizeof r);
    ck_assert_uint_eq(mr_record_total(sizeof r.e, 4, 1), sizeof r + 8);
    ck_assert_ptr_eq(mr_record_ids(&r, sizeof r.e), r.ids);
    ck_assert_str_eq(mr_event_name(MR_EV_REFS), "REFS");
    ck_assert_str_eq(mr_event_name(999), "?");
    ck_assert_uint_eq(mr_event_size(MR_EV_COUNT), 0);
}
END_TEST

START_TEST(every_lie_is_named)
{
    ck_assert_int_eq(check(8, "a record of 8 bytes is shorter than its header"), MR_E_PROTOCOL);
    ck_assert_int_eq(check(sizeof r - 8, "REFS from client 3: size 64, but 56 bytes are there"), MR_E_PROTOCOL);
    r.e.h.n_ids = 5;
    ck_assert_int_eq(check(sizeof r, "REFS from client 3: 5 ids and 0 bytes do not fit in 64"), MR_E_PROTOCOL);
    r.e.h.n_ids = UINT32_MAX;
    r.e.h.n_bytes = UINT32_MAX;
    ck_assert_int_eq(check(sizeof r, NULL), MR_E_PROTOCOL);
    setup();
    r.e.n_add = 5;
    ck_assert_int_eq(check(sizeof r, "REFS from client 3: 5 to add, but 4 ids"), MR_E_PROTOCOL);
    setup();
    r.e.h.version = 9;
    ck_assert_int_eq(check(sizeof r, "record of version 9 from client 3; this is version 1"), MR_E_PROTOCOL);
    setup();
    r.e.h.kind = 4711;
    ck_assert_int_eq(check(sizeof r, "record of unknown kind 4711 from client 3"), MR_E_PROTOCOL);
}
END_TEST

START_TEST(inner_counts)
{
    struct {
        mr_ev_submit e;
        mr_id ids[2];
    } s = {.e = {.h = {.size = sizeof s, .kind = MR_EV_SUBMIT, .version = MR_RECORD_VERSION, .n_ids = 2}, .n_deps = 2}};
    mr_err err = {0};
    ck_assert_int_eq(mr_record_check(&s.e.h, sizeof s, &err), MR_OK);
    s.e.n_refs = 1;
    ck_assert_int_eq(mr_record_check(&s.e.h, sizeof s, &err), MR_E_PROTOCOL);
    s.e.n_deps = UINT32_MAX; /* the sum wraps in 32 bits */
    s.e.n_refs = 3;
    ck_assert_int_eq(mr_record_check(&s.e.h, sizeof s, &err), MR_E_PROTOCOL);
    s.e.n_deps = 2;
    s.e.n_refs = 0;
    s.e.name_bytes = 1;
    ck_assert_int_eq(mr_record_check(&s.e.h, sizeof s, &err), MR_E_PROTOCOL);

    mr_define d = {.h = {.size = sizeof d, .kind = MR_EV_DEFINE, .version = MR_RECORD_VERSION}};
    ck_assert_int_eq(mr_record_check(&d.h, sizeof d, &err), MR_OK);
    d.n_needs = 1;
    ck_assert_int_eq(mr_record_check(&d.h, sizeof d, &err), MR_E_PROTOCOL);
    d.n_needs = 0;
    memset(d.name, 'x', sizeof d.name);
    ck_assert_int_eq(mr_record_check(&d.h, sizeof d, &err), MR_E_PROTOCOL);
}
END_TEST

START_TEST(noise_is_never_read_past_its_end)
{
    mr_rand dice;
    mr_rand_seed(&dice, 5, 5);
    for (int i = 0; i < 200000; i++) {
        size_t n = 8 * mr_rand_below(&dice, 40);
        unsigned char *bytes = malloc(n + 1); /* exactly: the sanitizer sees a byte too far */
        for (size_t k = 0; k < n; k++)
            bytes[k] = (unsigned char)mr_rand_next(&dice);
        mr_record *h = (mr_record *)(void *)bytes;
        if (n >= sizeof *h) {
            h->version = MR_RECORD_VERSION;
            h->kind = (uint16_t)mr_rand_below(&dice, MR_EV_COUNT + 1);
            h->size = (uint32_t)n;
            h->n_ids %= 8;
            h->n_bytes %= 64;
        }
        mr_err err;
        (void)!mr_record_check(h, n, &err);
        free(bytes);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("record");
    TCase *t = tcase_create("check");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, a_good_one);
    tcase_add_test(t, every_lie_is_named);
    tcase_add_test(t, inner_counts);
    tcase_add_test(t, noise_is_never_read_past_its_end);
    suite_add_tcase(s, t);
    return run_suite(s);
}
