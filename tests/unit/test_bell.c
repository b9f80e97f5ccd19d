/* Bells: no wake-up is lost, none is made twice, and a ringer that dies half-way silences nobody. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/bell.h"
#include "run_suite.h"

static mr_bell bell;

static void setup(void)
{
    memset(&bell, 0, sizeof(bell));
}

START_TEST(test_awake_needs_no_ring)
{
    uint32_t last = 0;
    ck_assert(!mr_bell_ring(&bell, &last, -1));
    ck_assert(!mr_bell_ring_always(&bell, -1));
}
END_TEST

START_TEST(test_once_per_epoch)
{
    uint32_t mine = 0, other = 0;
    uint32_t armed = mr_bell_arm(&bell, MR_BELL_FUTEX);
    ck_assert(mr_bell_ring(&bell, &mine, -1));
    ck_assert(!mr_bell_ring(&bell, &mine, -1));
    /* Not claimed: another one rings for itself. */
    ck_assert(mr_bell_ring(&bell, &other, -1));
    /* Rung before the sleep: there is no sleep. */
    ck_assert_int_eq(mr_bell_sleep(&bell, armed, -1), 0);
    mr_bell_awake(&bell);
    ck_assert(!mr_bell_ring(&bell, &mine, -1));
    mr_bell_arm(&bell, MR_BELL_FUTEX);
    ck_assert(mr_bell_ring(&bell, &mine, -1));
    mr_bell_awake(&bell);
}
END_TEST

/* Killed after it noted the epoch and before the wake: the next ringer wakes all the same. */
START_TEST(test_dead_ringer)
{
    uint32_t dead = 0, living = 0;
    uint32_t armed = mr_bell_arm(&bell, MR_BELL_FUTEX);
    dead = (armed >> 3) + 1;
    ck_assert(!mr_bell_ring(&bell, &dead, -1));
    ck_assert(mr_bell_ring(&bell, &living, -1));
    ck_assert_int_eq(mr_bell_sleep(&bell, armed, -1), 0);
    mr_bell_awake(&bell);
}
END_TEST

START_TEST(test_timeout)
{
    uint32_t armed = mr_bell_arm(&bell, MR_BELL_FUTEX);
    ck_assert_int_eq(mr_bell_sleep(&bell, armed, 1000000), ETIMEDOUT);
    mr_bell_awake(&bell);
}
END_TEST

START_TEST(test_event)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t count = 0;
    uint32_t last = 0;
    mr_bell_arm(&bell, MR_BELL_EVENT);
    ck_assert(mr_bell_ring(&bell, &last, fd));
    ck_assert(!mr_bell_ring(&bell, &last, fd));
    ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
    ck_assert_uint_eq(count, 1);
    close(fd);
}
END_TEST

static void nothing(int sig)
{
    (void)sig;
}

static void *interrupt(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        usleep(1000);
        if (pthread_kill(*(pthread_t *)arg, SIGUSR1) || atomic_load(&bell.word) >> 3 > 0)
            break;
    }
    return NULL;
}

START_TEST(test_signal)
{
    struct sigaction sa = {.sa_handler = nothing};
    sigaction(SIGUSR1, &sa, NULL);
    pthread_t self = pthread_self(), t;
    uint32_t armed = mr_bell_arm(&bell, MR_BELL_FUTEX);
    ck_assert_int_eq(pthread_create(&t, NULL, interrupt, &self), 0);
    ck_assert_int_eq(mr_bell_sleep(&bell, armed, -1), EINTR);
    mr_bell_awake(&bell);
    pthread_join(t, NULL);
}
END_TEST

enum { RINGERS = 3, ROUNDS = 30000 };
static _Atomic uint64_t published[RINGERS];

static void *ringer(void *arg)
{
    uint32_t last = 0;
    _Atomic uint64_t *mine = arg;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add_explicit(mine, 1, memory_order_release);
        mr_bell_ring(&bell, &last, -1);
    }
    return NULL;
}

static uint64_t seen(void)
{
    uint64_t n = 0;
    for (int i = 0; i < RINGERS; i++)
        n += atomic_load_explicit(&published[i], memory_order_acquire);
    return n;
}

/* A lost wake-up hangs here; the time limit of the test finds it. */
START_TEST(test_hammer)
{
    pthread_t t[RINGERS];
    for (int i = 0; i < RINGERS; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, ringer, &published[i]), 0);
    uint64_t have = 0;
    while (have < (uint64_t)RINGERS * ROUNDS) {
        uint32_t armed = mr_bell_arm(&bell, MR_BELL_FUTEX);
        uint64_t now = seen();
        if (now == have)
            ck_assert_int_eq(mr_bell_sleep(&bell, armed, -1), 0);
        mr_bell_awake(&bell);
        have = now;
    }
    for (int i = 0; i < RINGERS; i++)
        pthread_join(t[i], NULL);
    ck_assert_uint_eq(seen(), (uint64_t)RINGERS * ROUNDS);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bell");
    TCase *c = tcase_create("bell");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, test_awake_needs_no_ring);
    tcase_add_test(c, test_once_per_epoch);
    tcase_add_test(c, test_dead_ringer);
    tcase_add_test(c, test_timeout);
    tcase_add_test(c, test_event);
    tcase_add_test(c, test_signal);
    tcase_add_test(c, test_hammer);
    suite_add_tcase(s, c);
    return run_suite(s);
}
