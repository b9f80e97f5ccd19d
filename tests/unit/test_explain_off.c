/* test_explain_off.c: what [sched] explain costs while it is off: nothing, since it is not there. */
#include <check.h>

#include "control/room.h"
#include "run_suite.h"

static double own_rank(void *self, const mr_task *t)
{
    (void)self;
    return (double)t->seq;
}

static mr_ref own_pick(void *self, const mr_worker *k)
{
    (void)self, (void)k;
    return MR_NONE;
}

static const mr_sched_ops own = {.rank = own_rank, .pick = own_pick};

static mr_control *control(bool explain, const mr_sched_ops *ops)
{
    mr_control *c = NULL;
    mr_control_conf conf;
    mr_err err = {0};
    mr_control_conf_init(&conf);
    conf.explain = explain;
    ck_assert_int_eq(mr_control_new(&conf, &c), MR_OK);
    ck_assert_int_eq(mr_control_policy(c, "own", ops, NULL, &err), MR_OK);
    return c;
}

static uint64_t memory(const mr_control *c)
{
    mr_control_stats s;
    mr_control_stats_get(c, &s);
    return s.memory;
}

START_TEST(the_policys_own_functions_are_called)
{
    uint64_t at = 0;
    mr_control *without = control(false, &own), *with = control(true, &own);
    ck_assert(without->pol.ops.rank == own_rank && without->pol.ops.pick == own_pick);
    ck_assert(!without->pol.ops.notice && !without->pol.notices);
    ck_assert(with->pol.ops.rank != own_rank && with->pol.ops.pick != own_pick && with->pol.ops.notice);
    ck_assert(!without->explain && !mr_control_explains(without) && mr_control_explains(with));
    ck_assert_ptr_null(mr_control_decision_next(without, &at));
    ck_assert_uint_gt(memory(with), memory(without) + 4000000);
    mr_control_free(without);
    mr_control_free(with);
}
END_TEST

START_TEST(fifo_is_asked_nothing)
{
    mr_control *c = control(false, &(mr_sched_ops){.notices = 0});
    ck_assert(!c->pol.any);
    mr_control_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("explain: off");
    TCase *t = tcase_create("all");
    tcase_add_test(t, the_policys_own_functions_are_called);
    tcase_add_test(t, fifo_is_asked_nothing);
    suite_add_tcase(s, t);
    return run_suite(s);
}
