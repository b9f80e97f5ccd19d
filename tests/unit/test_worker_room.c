/* A worker whose ring is full, against a node played by hand that does not read: who waits for room holds nothing that
 * others need, what was sent keeps its order, and a cancel or a deadline ends the wait. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "helper_node.h"
#include "run_suite.h"

enum { THREADS = 3, PUTS = 1200, PUT_LEN = 600, HOLDS = 20000, OTHER = 100000 };

/* What the child tells without its ring. */
typedef struct told {
    _Atomic int left, back, go, done, hooked;
    _Atomic int status;
} told;

static fake_node node;
static told *shared;

static void setup(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    node_open(&node);
}

static void teardown(void)
{
    node_close(&node);
    munmap(shared, sizeof(*shared));
}

static void *leave(void)
{
    atomic_fetch_add(&shared->left, 1);
    return shared;
}

static void back(void *left)
{
    atomic_fetch_add(&shared->back, left == shared);
}

static void hook(void)
{
    atomic_fetch_add(&shared->hooked, 1);
}

static void until_asleep(void)
{
    while ((atomic_load(&node.link->space.word) & 3) != MR_BELL_FUTEX)
        usleep(100);
}

/* --------------------------------------------------------------------------------------------------------- order -- */

typedef struct putter {
    mr_session *s;
    unsigned char number;
    int bad;
} putter;

/* Puts, and gives each second one back: many references go beside the values. */
static void *put_many(void *arg)
{
    putter *p = arg;
    unsigned char bytes[PUT_LEN];
    mr_id id;
    mr_err err;
    for (int i = 0; i < PUTS && !p->bad; i++) {
        memset(bytes, i & 0xFF, sizeof(bytes));
        bytes[0] = p->number;
        p->bad = mr_put(p->s, 0, bytes, sizeof(bytes), NULL, 0, &id, &err) != MR_OK;
        if (i % 2)
            mr_decref(p->s, id);
    }
    return NULL;
}

static int put_in_threads(mr_session *s)
{
    pthread_t t[THREADS];
    putter p[THREADS];
    int bad = 0;
    mr_on_wait(leave, back);
    for (int i = 0; i < THREADS; i++) {
        p[i] = (putter){.s = s, .number = (unsigned char)i};
        if (pthread_create(&t[i], NULL, put_many, &p[i]))
            return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        bad |= p[i].bad;
    }
    return bad;
}

/* Far more than the ring holds: each thread's own records come whole and in its order, a value before its end. */
START_TEST(test_order)
{
    int next[THREADS] = {0}, all = 0;
    mr_id last[THREADS] = {0};
    node_start(&node, put_in_threads);
    until_asleep();
    while (all < THREADS * PUTS) {
        const mr_record *r = node_take_any(&node);
        if (r->kind == MR_EV_REFS) {
            const mr_ev_refs *e = (const void *)r;
            for (uint32_t i = 0; i < r->n_ids; i++) {
                mr_id id = mr_record_ids(e, sizeof(*e))[i];
                ck_assert(id <= last[0] || id <= last[1] || id <= last[2]);
            }
            continue;
        }
        ck_assert_uint_eq(r->kind, MR_EV_PUT);
        const mr_ev_put *p = (const void *)r;
        const unsigned char *bytes = mr_record_bytes(p, sizeof(*p));
        int who = bytes[0];
        ck_assert_int_lt(who, THREADS);
        ck_assert_uint_gt(p->id, last[who]);
        last[who] = p->id;
        ck_assert_uint_eq(p->size, PUT_LEN);
        ck_assert_int_eq(bytes[1], next[who] & 0xFF);
        ck_assert_int_eq(bytes[PUT_LEN - 1], next[who] & 0xFF);
        next[who]++;
        all++;
    }
    ck_assert_int_eq(node_join(&node), 0);
    ck_assert_int_gt(shared->left, 0);
    ck_assert_int_eq(shared->left, shared->back);
}
END_TEST

/* --------------------------------------------------------------------------------------------------------- locks -- */

static void *hold_many(void *arg)
{
    for (mr_id id = 1; id <= HOLDS; id++)
        if (mr_incref(arg, id))
            return arg;
    return NULL;
}

/* Beside a thread that waits for room with what it has counted, another counts. */
static int count_beside(mr_session *s)
{
    pthread_t t;
    void *bad;
    if (pthread_create(&t, NULL, hold_many, s))
        return 1;
    while (!atomic_load(&shared->go))
        usleep(100);
    if (mr_incref(s, OTHER) || mr_incref(s, OTHER + 1))
        return 2;
    mr_decref(s, OTHER);
    atomic_store(&shared->done, 1);
    pthread_join(t, &bad);
    mr_flush(s);
    return bad != NULL;
}

START_TEST(test_locks_are_free)
{
    node_start(&node, count_beside);
    until_asleep();
    atomic_store(&shared->go, 1);
    while (!atomic_load(&shared->done))
        usleep(100);
    for (uint32_t held = 0; held < HOLDS + 1;) {
        const mr_ev_refs *r = node_take(&node, MR_EV_REFS);
        held += r->n_add;
    }
    ck_assert_int_eq(node_join(&node), 0);
}
END_TEST

/* -------------------------------------------------------------------------------------------------------- cancel -- */

/* One task that puts until the cancel strikes; the node reads nothing meanwhile. */
static int put_until_struck(mr_session *s)
{
    mr_call *c;
    mr_id id;
    mr_err err;
    char bytes[PUT_LEN] = {0};
    mr_on_cancel_signal(hook);
    if (mr_call_next(s, -1, &c) || mr_call_start(c, true))
        return 1;
    while (!shared->hooked)
        if (mr_put(s, 0, bytes, sizeof(bytes), NULL, 0, &id, &err))
            return 2;
    atomic_store(&shared->done, 1);
    if (mr_call_stop(c) != MR_E_CANCELLED)
        return 3;
    return mr_call_finish(c, MR_E_CANCELLED, false) ? 4 : 0;
}

START_TEST(test_cancel)
{
    node_start(&node, put_until_struck);
    node_func(&node, 1, MR_FUNC_TASK, "any", 1);
    uint64_t seq = node_dispatch(&node, 100, 1, 1, "", 0);
    until_asleep();
    ck_assert(node_cancel(&node, seq));
    while (!atomic_load(&shared->done))
        usleep(100);
    const mr_record *r;
    while ((r = node_take_any(&node))->kind == MR_EV_PUT)
        ;
    ck_assert_uint_eq(r->kind, MR_EV_FINISHED);
    ck_assert_int_eq(((const mr_ev_finished *)(const void *)r)->outcome, MR_E_CANCELLED);
    ck_assert_int_eq(node_join(&node), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------ deadline -- */

static void *fill(void *arg)
{
    putter p = {.s = arg};
    return put_many(&p);
}

static int get_beside(mr_session *s)
{
    pthread_t t;
    mr_id id = OTHER;
    mr_value v;
    mr_err err;
    if (pthread_create(&t, NULL, fill, s))
        return 1;
    while (!atomic_load(&shared->go))
        usleep(100);
    shared->status = mr_get(s, &id, 1, 1000000, MR_GET_HELD, &v, &err);
    atomic_store(&shared->done, 1);
    pthread_join(t, NULL);
    return 0;
}

/* The question found no room, so the node never hears of it, nor of its end. */
START_TEST(test_deadline)
{
    node_start(&node, get_beside);
    until_asleep();
    atomic_store(&shared->go, 1);
    while (!atomic_load(&shared->done))
        usleep(100);
    ck_assert_int_eq(shared->status, MR_E_TIMEOUT);
    for (int n = 0; n < PUTS;) {
        const mr_record *r = node_take_any(&node);
        ck_assert(r->kind == MR_EV_PUT || r->kind == MR_EV_REFS);
        n += r->kind == MR_EV_PUT;
    }
    ck_assert_int_eq(node_join(&node), 0);
}
END_TEST

int main(void)
{
    setenv("MINIRAY_ENGINE_SPIN_US", "20", 1);
    Suite *s = suite_create("worker room");
    TCase *c = tcase_create("worker room");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_order);
    tcase_add_test(c, test_locks_are_free);
    tcase_add_test(c, test_cancel);
    tcase_add_test(c, test_deadline);
    suite_add_tcase(s, c);
    return run_suite(s);
}
