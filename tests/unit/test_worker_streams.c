/* A stream's window, as the producer's process keeps it, against a node played by hand: it stands still by itself. */
#include <check.h>
#include <string.h>

#include "helper_node.h"
#include "run_suite.h"

enum { ITEMS = 6, WINDOW = 2, TASK = 100 };

static fake_node node;

static void setup(void)
{
    node_open(&node);
}

static void teardown(void)
{
    node_close(&node);
}

/* Every other item in two steps. */
static mr_status give(mr_call *c, uint32_t i)
{
    mr_err err;
    void *data;
    if (i % 2 == 0)
        return mr_call_yield(c, 0, &i, sizeof(i), NULL, 0, &err);
    mr_status st = mr_call_create(c, MR_CALL_ITEM, sizeof(i), &data, &err);
    if (st)
        return st;
    ck_assert_int_eq(mr_call_create(c, MR_CALL_ITEM, sizeof(i), &data, &err), MR_E_EXISTS);
    memcpy(data, &i, sizeof(i));
    return mr_call_seal(c, MR_CALL_ITEM, 0, NULL, 0, &err);
}

static mr_status produce(mr_call *c)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        mr_status st = give(c, i);
        do
            st = st ? st : mr_call_room(c, -1);
        while (st == MR_E_INTERRUPTED);
        if (st)
            return st;
    }
    return MR_OK;
}

/* One call; the exit code is its outcome. */
static int serve(mr_session *s)
{
    mr_call *c;
    if (mr_call_next(s, -1, &c) || mr_call_start(c, true))
        return 100;
    mr_status st = produce(c), stopped = mr_call_stop(c);
    st = stopped ? stopped : st;
    return mr_call_finish(c, st, false) ? 101 : (int)st;
}

static uint64_t begin(void)
{
    node_start(&node, serve);
    node_stream(&node, 1, "items", WINDOW);
    return node_dispatch(&node, TASK, 1, 1, "", 0);
}

static void item(uint32_t index)
{
    const mr_ev_sealed *e = node_take(&node, MR_EV_YIELDED);
    ck_assert_uint_eq(e->index, index);
    ck_assert_mem_eq(mr_record_bytes(&e->h, sizeof(*e)), &index, sizeof(index));
}

/* After its last item the producer next sleeps in wait of room: then nothing more can have come. */
static void stands(void)
{
    while ((atomic_load(&node.link->bell.word) & 3) != MR_BELL_FUTEX)
        ck_assert(node_quiet(&node));
    ck_assert(node_quiet(&node));
}

START_TEST(test_the_window_is_hard)
{
    begin();
    for (uint32_t i = 0; i < ITEMS; i++) {
        item(i);
        if (i + 1 >= WINDOW) {
            stands();
            node_allow(&node, TASK, i + 2); /* one was read */
        }
    }
    node_take(&node, MR_EV_FINISHED);
    ck_assert_int_eq(node_join(&node), MR_OK);
}
END_TEST

/* Read while it was still at work on the window: it never stands. */
START_TEST(test_leave_that_comes_early)
{
    node_start(&node, serve);
    node_stream(&node, 1, "items", WINDOW);
    node_dispatch(&node, TASK, 1, 1, "", 0);
    node_allow(&node, TASK + 1, 1); /* of another stream */
    item(0);
    node_allow(&node, TASK, INT64_MAX); /* nobody will read the rest */
    for (uint32_t i = 1; i < ITEMS; i++)
        item(i);
    node_take(&node, MR_EV_FINISHED);
    ck_assert_int_eq(node_join(&node), MR_OK);
}
END_TEST

START_TEST(test_a_cancel_reaches_who_stands)
{
    uint64_t seq = begin();
    item(0);
    item(1);
    stands();
    ck_assert(node_cancel(&node, seq));
    const mr_ev_finished *f = node_take(&node, MR_EV_FINISHED);
    ck_assert_int_eq(f->outcome, MR_E_CANCELLED);
    ck_assert_int_eq(node_join(&node), MR_E_CANCELLED & 0xFF);
}
END_TEST

START_TEST(test_a_closing_session_reaches_who_stands)
{
    begin();
    item(0);
    item(1);
    stands();
    atomic_store(&node.links->page.closing, 1);
    mr_bell_ring_always(&node.link->bell, -1);
    ck_assert_int_eq(node_join(&node), 101);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("worker: streams");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_the_window_is_hard);
    tcase_add_test(t, test_leave_that_comes_early);
    tcase_add_test(t, test_a_cancel_reaches_who_stands);
    tcase_add_test(t, test_a_closing_session_reaches_who_stands);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
