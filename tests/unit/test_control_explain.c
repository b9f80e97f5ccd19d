/* test_control_explain.c: [sched] explain writes down what was decided, and changes nothing of it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "helper_control.h"
#include "run_suite.h"

enum { TASKS = 60 };

static world w;
static const mr_sched_host *host;

static mr_status p_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    *self = &w;
    host = h;
    return MR_OK;
}

static double p_rank(void *self, const mr_task *t)
{
    (void)self;
    return -(double)t->seq;
}

static mr_ref p_place(void *self, const mr_task *t)
{
    (void)self;
    return t->seq % 3 ? MR_NONE : MR_REF_NODE | (1 + t->seq % 2);
}

static mr_ref p_pick(void *self, const mr_worker *k)
{
    (void)self;
    return k->id % 2 ? host->first(host, MR_NONE, k->ref, true) : host->first(host, MR_NONE, k->ref, false);
}

static uint32_t p_line(void *self)
{
    (void)self;
    return 17;
}

static const mr_sched_ops kinds[] = {{.notices = 0},
                                     {.open = p_open, .rank = p_rank, .line = p_line},
                                     {.open = p_open, .rank = p_rank, .place = p_place, .line = p_line},
                                     {.open = p_open, .rank = p_rank, .pick = p_pick, .line = p_line}};

static void make(const mr_sched_ops *ops, bool explain)
{
    mr_err err = {0};
    world_free(&w);
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.explain = explain;
    w.conf.prefetch = 0;
    world_new(&w, "CPU=2");
    world_node(&w, "CPU=1");
    ck_assert_int_eq(mr_control_policy(w.c, "kind", ops, NULL, &err), MR_OK);
    mr_ev_none e = {.h = {.kind = MR_EV_POLICY}};
    world_step(&w, &e);
}

/* A run of its own; the order of its dispatches. */
static uint64_t run(const mr_sched_ops *ops, bool explain, uint64_t seed)
{
    mr_rand dice;
    mr_id t[TASKS];
    uint64_t digest = 14695981039346656037u;
    make(ops, explain);
    mr_rand_seed(&dice, seed, 1);
    uint32_t f[2] = {world_func(&w, "f", NULL), world_func(&w, "wide", "CPU=2")};
    for (int i = 0; i < TASKS; i++) {
        mr_id dep = i && mr_rand_below(&dice, 3) == 0 ? t[mr_rand_below(&dice, (uint64_t)i)] : 0;
        t[i] = world_submit(&w, f[mr_rand_below(&dice, 4) == 0], dep ? (mr_id[]){dep, 0} : NULL);
        ck_assert_msg(t[i], "%d %s", w.last, mr_control_why(w.c));
        if (mr_rand_below(&dice, 4) == 0)
            world_time(&w, 10);
    }
    for (int r = 0; r < 2000 && world_stats(&w).tasks; r++) {
        mr_action a;
        while (world_took(&w, MR_ACT_DISPATCH, 0, &a))
            digest = (digest ^ (a.id * 31 + a.node)) * 1099511628211u;
        for (int i = 0; i < TASKS; i++)
            if (world_worker(&w, t[i]) && mr_rand_below(&dice, 3) == 0)
                (void)world_finish_as(&w, t[i], MR_OK, MR_FINISHED_RESULT, 5000000);
        world_time(&w, 1000000);
    }
    world_time(&w, 1);
    ck_assert_uint_eq(world_stats(&w).finished, TASKS);
    ck_assert(!mr_control_policy_error(w.c));
    return digest;
}

START_TEST(the_same_is_decided)
{
    for (uint64_t seed = 0; seed < 10; seed++)
        ck_assert_uint_eq(run(&kinds[_i], false, seed), run(&kinds[_i], true, seed));
}
END_TEST

static uint32_t count(mr_decided what, mr_id task)
{
    uint32_t n = 0;
    uint64_t at = 0;
    for (const mr_decision *d; (d = mr_control_decision_next(w.c, &at));)
        n += d->what == what && (!task || d->task == task);
    return n;
}

static const mr_decision *find(mr_decided what, mr_id task)
{
    uint64_t at = 0;
    for (const mr_decision *d; (d = mr_control_decision_next(w.c, &at));)
        if (d->what == what && d->task == task)
            return d;
    ck_abort_msg("nothing of the kind was written down");
    return NULL;
}

START_TEST(each_decision_is_written_down)
{
    run(&kinds[_i], true, 7);
    const mr_sched_ops *o = &kinds[_i];
    ck_assert(mr_control_explains(w.c));
    ck_assert_uint_eq(count(MR_DECIDED_READY, 0), TASKS);
    ck_assert_uint_eq(count(MR_DECIDED_START, 0), TASKS);
    ck_assert_uint_eq(count(MR_DECIDED_END, 0), TASKS);
    ck_assert_uint_eq(count(MR_DECIDED_RANK, 0), o->rank ? TASKS : 0);
    ck_assert_uint_eq(count(MR_DECIDED_PLACE, 0), o->place ? TASKS : 0);
    ck_assert(!o->pick || count(MR_DECIDED_PICK, 0) >= TASKS);
    uint64_t at = 0;
    for (const mr_decision *d; (d = mr_control_decision_next(w.c, &at));)
        if (d->what == MR_DECIDED_RANK || d->what == MR_DECIDED_PICK)
            ck_assert_uint_eq(d->line, 17);
}
END_TEST

START_TEST(who_was_passed_over_and_why)
{
    make(&kinds[0], true);
    uint32_t f = world_func(&w, "f", "CPU=1"), wide = world_func(&w, "wide", "CPU=2");
    mr_id a = world_run(&w, f);
    world_time(&w, 10);
    mr_id b = world_run(&w, wide), c = world_run(&w, f);
    world_time(&w, 10);
    world_time(&w, 10); /* its process was born */
    const mr_decision *d = find(MR_DECIDED_START, c);
    ck_assert_uint_eq(d->n_candidates, 1);
    ck_assert_uint_eq(d->candidates[0].task, b);
    ck_assert_int_eq(d->why, MR_PASSED_ROOM);
    ck_assert_int_eq(d->wanted, 20000);
    ck_assert_int_eq(d->had, 10000);
    (void)a;
}
END_TEST

static const mr_decision *waited(mr_id t)
{
    return find(MR_DECIDED_READY, t);
}

/* What kept a task from starting is still known when it is over. */
START_TEST(what_was_waited_for)
{
    world_free(&w);
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.explain = true;
    w.conf.prefetch = 0;
    w.conf.quotas = (const mr_named[]){{"ann", MR_RES_UNIT}};
    w.conf.n_quotas = 1;
    world_new(&w, "CPU=3");
    ck_assert_int_eq(mr_control_policy(w.c, "fifo", NULL, NULL, NULL), MR_OK);
    uint32_t hers = world_define(&w, (spec){.name = "hers", .user = "ann", .max_running = 5}),
             one = world_define(&w, (spec){.name = "one", .max_running = 1}), f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, hers);
    world_time(&w, 1);
    ck_assert_int_eq(waited(a)->why, MR_PASSED_PROCESS);
    mr_id b = world_run(&w, hers), c = world_run(&w, one);
    world_time(&w, 1);
    mr_id d = world_run(&w, one), e = world_run(&w, f);
    world_time(&w, 1);
    mr_id g = world_run(&w, f);
    world_time(&w, 1);
    char text[200];
    mr_control_task_waits(w.c, b, text, sizeof text);
    ck_assert_str_eq(text, "the quota of user ann: 1 of 1 CPUs are used");
    ck_assert_int_eq(waited(b)->why, MR_PASSED_QUOTA);
    ck_assert_str_eq(mr_control_wanted(w.c, waited(b)), "ann");
    ck_assert_int_eq(waited(d)->why, MR_PASSED_LIMIT);
    ck_assert_str_eq(mr_control_wanted(w.c, waited(d)), "one");
    ck_assert_int_eq(waited(g)->why, MR_PASSED_ROOM);
    ck_assert_str_eq(mr_control_wanted(w.c, waited(g)), "CPU");
    ck_assert_int_eq(waited(g)->wanted, 10000);
    ck_assert_int_eq(waited(g)->had, 0);
    (void)c;
    (void)e;
}
END_TEST

/* A policy that comes is told the present; that is no news. */
START_TEST(the_present_is_not_written_down_again)
{
    mr_err err = {0};
    mr_ev_none swap = {.h = {.kind = MR_EV_POLICY}};
    make(&kinds[1], true);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t[6];
    for (int i = 0; i < 6; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    world_time(&w, 1);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(mr_control_policy(w.c, "next", &kinds[1 + i % 3], NULL, &err), MR_OK);
        world_step(&w, &swap);
        world_time(&w, 1);
    }
    for (int r = 0; r < 6; r++)
        for (int i = 0; i < 6; i++)
            if (world_worker(&w, t[i])) {
                world_finish(&w, t[i]);
                world_time(&w, 1);
            }
    ck_assert_uint_eq(world_stats(&w).finished, 6);
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_eq(count(MR_DECIDED_READY, t[i]), 1);
        ck_assert_uint_eq(count(MR_DECIDED_START, t[i]), 1);
        ck_assert_uint_eq(count(MR_DECIDED_STOP, t[i]), 0);
    }
}
END_TEST

static mr_ref never(void *self, const mr_worker *k)
{
    (void)self;
    (void)k;
    return MR_NONE;
}

START_TEST(it_goes_on_after_an_ejection)
{
    make(&(mr_sched_ops){.open = p_open, .pick = never}, true);
    uint32_t f = world_func(&w, "f", NULL);
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(count(MR_DECIDED_PICK, 0), 3); /* each slot declined: once, however often it is asked */
    world_time(&w, 1);
    ck_assert_uint_le(count(MR_DECIDED_PICK, 0), 6);
    world_time(&w, w.conf.max_hold);
    world_time(&w, 1);
    ck_assert_ptr_nonnull(mr_control_policy_error(w.c));
    ck_assert_uint_eq(count(MR_DECIDED_START, t), 1);
    world_finish(&w, t);
    mr_id u = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_eq(count(MR_DECIDED_START, u), 1);
}
END_TEST

START_TEST(it_is_bounded)
{
    make(&kinds[1], true);
    uint32_t f = world_func(&w, "f", NULL);
    uint64_t before = world_stats(&w).memory, at = 0, n = 0;
    w.unchecked = true;
    for (int i = 0; i < 12000; i++) {
        mr_id t = world_run(&w, f);
        world_time(&w, 1);
        world_finish(&w, t);
        world_drop(&w, t);
        world_time(&w, 1);
        world_forget(&w);
    }
    while (mr_control_decision_next(w.c, &at))
        n++;
    ck_assert_uint_eq(n, 1 << 15);
    ck_assert_uint_lt(world_stats(&w).memory, before + (1 << 20));
}
END_TEST

static void setup(void)
{
    memset(&w, 0, sizeof w);
}

static void teardown(void)
{
    world_free(&w);
}

static Suite *suite(void)
{
    Suite *s = suite_create("control: explain");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, the_same_is_decided, 0, sizeof kinds / sizeof kinds[0]);
    tcase_add_loop_test(t, each_decision_is_written_down, 0, sizeof kinds / sizeof kinds[0]);
    tcase_add_test(t, who_was_passed_over_and_why);
    tcase_add_test(t, what_was_waited_for);
    tcase_add_test(t, the_present_is_not_written_down_again);
    tcase_add_test(t, it_goes_on_after_an_ejection);
    tcase_add_test(t, it_is_bounded);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
