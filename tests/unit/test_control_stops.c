/* test_control_stops.c: how control stops a task, what it keeps meanwhile, and all the ways in which that ends. */
#include <check.h>
#include <string.h>

#include "helper_control.h"
#include "helper_stops.h"
#include "run_suite.h"

#define MS INT64_C(1000000)

static world w;
static const mr_sched_host *host;

static mr_status p_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    *self = NULL;
    host = h;
    return MR_OK;
}

static int64_t p_slice(void *self, const mr_task *t, const mr_worker *k)
{
    (void)self;
    (void)t;
    (void)k;
    return 10 * MS;
}

/* The one with the higher priority takes any slot that it may have. */
static mr_ref p_preempt(void *self, const mr_task *t)
{
    (void)self;
    mr_ref r = host->next(host, MR_RUNNING, t->ref, MR_NONE);
    return r && host->task(host, r)->priority < t->priority ? r : MR_NONE;
}

static double p_rank(void *self, const mr_task *t)
{
    (void)self;
    return -t->priority;
}

static void setup(void)
{
    memset(&w, 0, sizeof w);
    world_new(&w, "CPU=1 memory=100");
}

static void teardown(void)
{
    world_free(&w);
}

static void use(bool slices)
{
    const mr_sched_ops ops = {.open = p_open,
                              .rank = slices ? NULL : p_rank,
                              .slice = slices ? p_slice : NULL,
                              .preempt = slices ? NULL : p_preempt};
    ck_assert_int_eq(mr_control_policy(w.c, "probe", &ops, NULL, NULL), MR_OK);
}

static mr_id urgent(uint32_t f)
{
    return world_call(&w, (call){.func = f, .n_returns = 1, .priority = 5});
}

/* `a` runs, and `b` wants its slot: STOP was asked for. */
static void both(uint32_t f, mr_id *a, mr_id *b)
{
    use(false);
    *a = world_run(&w, f);
    world_time(&w, 0);
    world_time(&w, 5 * MS);
    *b = urgent(f);
    world_time(&w, 0);
    ck_assert(world_took(&w, MR_ACT_STOP, *a, NULL));
    ck_assert_uint_eq(world_worker(&w, *b), 0);
}

START_TEST(the_heir_starts_and_the_other_goes_on)
{
    mr_id a, b;
    both(world_func(&w, "f", NULL), &a, &b);
    uint32_t worker = world_worker(&w, a);
    ck_assert_int_eq(world_stopped(&w, a, 5 * MS), MR_OK);
    world_time(&w, 0);
    ck_assert_uint_ne(world_worker(&w, b), 0);
    ck_assert_uint_ne(world_worker(&w, b), worker);
    ck_assert_uint_eq(world_worker(&w, a), worker);
    ck_assert_uint_eq(world_stats(&w).stopped, 1);
    world_finish(&w, b);
    world_time(&w, 0);
    ck_assert(world_took(&w, MR_ACT_CONTINUE, a, NULL));
    ck_assert_uint_eq(world_stats(&w).stopped, 0);
    world_finish(&w, a);
    world_drop(&w, a);
    world_drop(&w, b);
    world_time(&w, 0);
    world_nothing_left(&w);
}
END_TEST

START_TEST(ranked_anew_it_is_still_the_heir)
{
    mr_id a, b;
    uint32_t f = world_func(&w, "f", NULL);
    both(f, &a, &b);
    mr_id first = world_call(&w, (call){.func = f, .n_returns = 1, .priority = 9});
    host->rerank(host, MR_NONE);
    world_time(&w, 0);
    world_stopped(&w, a, MR_UNKNOWN);
    world_time(&w, 0);
    ck_assert_uint_ne(world_worker(&w, b), 0);
    ck_assert_uint_eq(world_worker(&w, first), 0);
}
END_TEST

START_TEST(an_end_comes_before_the_stop)
{
    mr_id a, b;
    both(world_func(&w, "f", NULL), &a, &b);
    world_finish(&w, a);
    ck_assert(world_took(&w, MR_ACT_CONTINUE, a, NULL)); /* its process must not stand still */
    world_time(&w, 0);
    ck_assert_uint_ne(world_worker(&w, b), 0);
    ck_assert_int_eq(world_stopped(&w, a, 0), MR_E_INVAL);
    ck_assert_uint_eq(world_stats(&w).stops, 0);
}
END_TEST

START_TEST(who_blocks_first_is_not_stopped)
{
    mr_id a, b;
    both(world_func(&w, "f", NULL), &a, &b);
    world_block(&w, world_worker(&w, a), a, 1, MR_WAIT_LEND | MR_WAIT_TIMED, (mr_id[]){b, 0});
    ck_assert_int_eq(world_stopped(&w, a, 0), MR_OK);
    ck_assert(world_took(&w, MR_ACT_CONTINUE, a, NULL));
    ck_assert_uint_eq(world_stats(&w).stops, 0);
}
END_TEST

START_TEST(memory_is_kept)
{
    uint32_t f = world_func(&w, "f", "CPU=1 memory=60");
    use(false);
    mr_id a = world_run(&w, f);
    world_time(&w, 0);
    world_time(&w, 5 * MS);
    mr_id b = urgent(f); /* its stop would not let b in: 60 of 100 stay taken */
    world_time(&w, 0);
    ck_assert(!world_sees(&w, MR_ACT_STOP, a));
    mr_id small = urgent(world_func(&w, "g", "CPU=1 memory=40"));
    world_time(&w, 0);
    ck_assert(world_took(&w, MR_ACT_STOP, a, NULL));
    world_stopped(&w, a, MR_UNKNOWN);
    world_time(&w, 0);
    ck_assert_uint_ne(world_worker(&w, small), 0);
    ck_assert_uint_eq(world_worker(&w, b), 0);
}
END_TEST

/* i = 1: by force. */
START_TEST(a_cancel_wakes_it)
{
    mr_id a, b;
    both(world_func(&w, "f", NULL), &a, &b);
    world_stopped(&w, a, MR_UNKNOWN);
    world_time(&w, 0);
    uint32_t worker = world_worker(&w, a);
    world_cancel(&w, a, _i ? MR_CANCEL_FORCE : 0);
    ck_assert(world_took(&w, _i ? MR_ACT_KILL : MR_ACT_INTERRUPT, 0, NULL));
    ck_assert(world_took(&w, MR_ACT_CONTINUE, a, NULL) == !_i);
    if (_i)
        world_die(&w, worker, MR_DEATH_SIGNAL, 9);
    else
        world_finish_as(&w, a, MR_E_CANCELLED, 0, 1);
    ck_assert_int_eq(world_state(&w, a), MR_OBJ_ERROR);
    ck_assert_uint_eq(world_stats(&w).cancelled, 1);
}
END_TEST

START_TEST(too_young_to_be_stopped)
{
    uint32_t f = world_func(&w, "f", NULL);
    use(false);
    mr_id a = world_run(&w, f);
    world_time(&w, 0);
    world_time(&w, MS / 2);
    urgent(f);
    world_time(&w, 0);
    ck_assert(!world_sees(&w, MR_ACT_STOP, a));
    ck_assert_int_eq(w.wake, w.now + MS / 2); /* and is asked about again */
    world_time(&w, MS / 2);
    ck_assert(world_sees(&w, MR_ACT_STOP, a));
}
END_TEST

START_TEST(a_slice_ends_for_others_only)
{
    uint32_t f = world_func(&w, "f", NULL);
    use(true);
    mr_id a = world_run(&w, f);
    world_time(&w, 0);
    world_time(&w, 10 * MS);
    ck_assert(!world_sees(&w, MR_ACT_STOP, a)); /* alone */
    mr_id b = world_run(&w, f);
    world_time(&w, 0);
    world_time(&w, 10 * MS);
    ck_assert(world_took(&w, MR_ACT_STOP, a, NULL));
    world_stopped(&w, a, MR_UNKNOWN);
    world_time(&w, 0);
    ck_assert_uint_ne(world_worker(&w, b), 0);
    ck_assert_int_eq(mr_control_policy(w.c, "fifo", NULL, NULL, NULL),
                     MR_OK); /* another policy finds it in its queue */
    world_finish(&w, b);
    world_time(&w, 0);
    ck_assert(world_took(&w, MR_ACT_CONTINUE, a, NULL));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("control: stops");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_heir_starts_and_the_other_goes_on);
    tcase_add_test(t, ranked_anew_it_is_still_the_heir);
    tcase_add_test(t, an_end_comes_before_the_stop);
    tcase_add_test(t, who_blocks_first_is_not_stopped);
    tcase_add_test(t, memory_is_kept);
    tcase_add_loop_test(t, a_cancel_wakes_it, 0, 2);
    tcase_add_test(t, too_young_to_be_stopped);
    tcase_add_test(t, a_slice_ends_for_others_only);
    suite_add_tcase(s, t);
    return run_suite(s);
}
