/* Rings: order, wrap-around, a full ring, two threads, and everything that a producer gone mad may have written. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/ring.h"
#include "run_suite.h"

enum { CAP = 1024 };

static mr_ring ring;
static _Alignas(64) char data[CAP];
static mr_ring_end producer, consumer;

static void setup(void)
{
    memset(&ring, 0, sizeof(ring));
    memset(data, 0xEE, sizeof(data));
    mr_ring_end_init(&producer, &ring, data, CAP, true);
    mr_ring_end_init(&consumer, &ring, data, CAP, false);
}

static bool push(uint32_t size, uint32_t token)
{
    mr_record *r = mr_ring_reserve(&producer, size);
    if (!r)
        return false;
    memset(r, (int)(token & 0xFF), size);
    *r = (mr_record){.size = size, .kind = MR_EV_STARTED, .version = MR_RECORD_VERSION, .token = token};
    mr_ring_publish(&producer, size);
    return true;
}

static const mr_record *peek(void)
{
    const mr_record *r;
    ck_assert_int_eq(mr_ring_peek(&consumer, &r), MR_OK);
    return r;
}

static void pop(uint32_t size, uint32_t token)
{
    const mr_record *r = peek();
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->size, size);
    ck_assert_uint_eq(r->token, token);
    for (uint32_t i = sizeof(*r); i < size; i++)
        ck_assert_int_eq(((const unsigned char *)r)[i], token & 0xFF);
    mr_ring_take(&consumer, r);
}

START_TEST(test_order)
{
    ck_assert(!mr_ring_ready(&consumer));
    ck_assert_ptr_null(peek());
    ck_assert(push(64, 1));
    ck_assert(push(32, 2));
    ck_assert(mr_ring_ready(&consumer));
    ck_assert(mr_ring_fuller(&producer, 95) && !mr_ring_fuller(&producer, 96));
    pop(64, 1);
    pop(32, 2);
    ck_assert_ptr_null(peek());
    ck_assert(!mr_ring_fuller(&producer, 0));
}
END_TEST

/* Every offset and every size meet the end of the ring once. */
START_TEST(test_wrap)
{
    uint32_t token = 0;
    for (int round = 0; round < 40; round++)
        for (uint32_t size = 32; size <= CAP / 2; size += 8) {
            ck_assert(push(size, ++token));
            pop(size, token);
        }
}
END_TEST

START_TEST(test_full)
{
    uint32_t n = 0;
    while (push(64, n))
        n++;
    ck_assert_uint_eq(n, CAP / 64);
    ck_assert(!push(32, 99));
    pop(64, 0);
    ck_assert(push(64, n));
    ck_assert(!push(32, 99));
    for (uint32_t i = 1; i <= n; i++)
        pop(64, i);
    ck_assert_ptr_null(peek());
}
END_TEST

START_TEST(test_too_large)
{
    ck_assert_ptr_null(mr_ring_reserve(&producer, CAP / 2 + 8));
    ck_assert(push(CAP / 2, 7));
    pop(CAP / 2, 7);
}
END_TEST

/* Killed between reserving and publishing: nothing is seen, and the ring goes on from the other end's view. */
START_TEST(test_unpublished)
{
    ck_assert(push(64, 1));
    ck_assert_ptr_nonnull(mr_ring_reserve(&producer, 64));
    pop(64, 1);
    ck_assert_ptr_null(peek());
    mr_ring_end_init(&producer, &ring, data, CAP, true);
    ck_assert(push(64, 2));
    pop(64, 2);
}
END_TEST

static void must_refuse(void)
{
    const mr_record *r;
    ck_assert_int_eq(mr_ring_peek(&consumer, &r), MR_E_PROTOCOL);
}

static mr_record *forge(uint64_t tail)
{
    mr_record *r = (mr_record *)(void *)data;
    *r = (mr_record){.size = 64, .kind = MR_EV_STARTED, .version = MR_RECORD_VERSION};
    atomic_store(&ring.tail, tail);
    return r;
}

START_TEST(test_nonsense)
{
    switch (_i) {
    case 0:
        forge(64)->size = 0;
        break;
    case 1:
        forge(64)->size = 60;
        break;
    case 2:
        forge(64)->size = 72; /* more than was published */
        break;
    case 3:
        forge(64)->version = 9;
        break;
    case 4:
        forge(64)->size = 16; /* less than a header */
        break;
    case 5:
        forge(CAP + 64); /* more than fits */
        break;
    case 6:
        forge(61);
        break;
    case 7:
        forge(4);
        break;
    case 8:
        forge(64)->kind = MR_EV_NONE; /* a filler that does not reach the end */
        break;
    case 9:
        forge(CAP)->size = CAP / 2 + 8;
        break;
    case 10:
        forge((uint64_t)-64); /* behind the head */
        break;
    }
    must_refuse();
}
END_TEST

enum { HAMMER = 200000 };

static void *produce(void *arg)
{
    unsigned seed = 1;
    (void)arg;
    for (uint32_t i = 0; i < HAMMER; i++) {
        uint32_t size = 32 + 8 * ((seed = seed * 1103515245 + 12345) >> 16) % 24;
        while (!push((size + 7) & ~7u, i))
            ;
    }
    return NULL;
}

START_TEST(test_two_threads)
{
    pthread_t t;
    ck_assert_int_eq(pthread_create(&t, NULL, produce, NULL), 0);
    for (uint32_t i = 0; i < HAMMER;) {
        const mr_record *r;
        if (mr_ring_peek(&consumer, &r) != MR_OK)
            ck_abort_msg("nonsense at %u", i);
        if (!r)
            continue;
        if (r->token != i)
            ck_abort_msg("record %u came as %u", i, r->token);
        if (r->size > sizeof(*r) && ((const unsigned char *)r)[r->size - 1] != (i & 0xFF))
            ck_abort_msg("record %u is torn", i);
        mr_ring_take(&consumer, r);
        i++;
    }
    pthread_join(t, NULL);
    ck_assert(!mr_ring_ready(&consumer));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ring");
    TCase *c = tcase_create("ring");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, test_order);
    tcase_add_test(c, test_wrap);
    tcase_add_test(c, test_full);
    tcase_add_test(c, test_too_large);
    tcase_add_test(c, test_unpublished);
    tcase_add_loop_test(c, test_nonsense, 0, 11);
    tcase_add_test(c, test_two_threads);
    suite_add_tcase(s, c);
    return run_suite(s);
}
