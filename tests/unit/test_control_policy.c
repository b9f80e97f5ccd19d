/* test_control_policy.c: what a policy may rely on, and what control does with answers that make no sense. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "helper_control.h"
#include "run_suite.h"

static world w;
static const mr_sched_host *host;
static char told[65536];
static mr_rand dice;
static int depth;

enum { WARM = 2 }; /* tasks that ran before the test begins: not counted */

static void say(const char *what, const mr_task *t)
{
    size_t n = strlen(told);
    ck_assert_int_eq(depth, 0);
    if (n < sizeof told - 64)
        snprintf(told + n, sizeof told - n, "%s%llu ", what, t ? (unsigned long long)t->seq - WARM : 0);
}

static mr_status p_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    *self = &w;
    host = h;
    told[0] = 0;
    return MR_OK;
}

static void p_notice(void *self, const mr_notice *n)
{
    (void)self;
    const char *name = n->what == MR_SUBMITTED      ? "S"
                       : n->what == MR_BECAME_READY ? "R"
                       : n->what == MR_STARTED      ? "B"
                       : n->what == MR_STOPPED      ? "P"
                       : n->what == MR_DONE         ? "E"
                       : n->what == MR_DROPPED      ? "X"
                                                    : "W";
    say(name, n->task);
    ck_assert(n->what != MR_STARTED || n->worker);
}

static double p_rank(void *self, const mr_task *t)
{
    (void)self;
    say("r", t);
    return -(double)t->seq;
}

static mr_ref p_place(void *self, const mr_task *t)
{
    (void)self;
    say("p", t);
    return MR_NONE;
}

static mr_ref p_plan(void *self, const mr_task *t)
{
    (void)self;
    say("l", t);
    return MR_NONE;
}

static mr_ref p_pick(void *self, const mr_worker *k)
{
    (void)self;
    ck_assert(k && !k->task);
    size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "?%u ", k->id);
    return host->first(host, MR_NONE, k->ref, false);
}

static const mr_sched_ops all = {.notices = 127,
                                 .open = p_open,
                                 .rank = p_rank,
                                 .place = p_place,
                                 .plan = p_plan,
                                 .pick = p_pick,
                                 .notice = p_notice};

static void use(const mr_sched_ops *ops)
{
    mr_err err = {0};
    ck_assert_int_eq(mr_control_policy(w.c, "probe", ops, NULL, &err), MR_OK);
}

static void setup(void)
{
    memset(&w, 0, sizeof w);
    mr_rand_seed(&dice, 7, 7);
    world_new(&w, "CPU=2");
    mr_id warm[WARM];
    for (int i = 0; i < WARM; i++)
        warm[i] = world_run(&w, world_func(&w, "warm", NULL));
    world_time(&w, 0); /* its processes are born */
    for (int i = 0; i < WARM; i++) {
        world_finish(&w, warm[i]);
        world_drop(&w, warm[i]);
    }
    world_forget(&w);
    w.next_id = 1000;
}

static void teardown(void)
{
    world_free(&w);
}

START_TEST(an_instant_in_order)
{
    uint32_t f = world_func(&w, "f", NULL);
    use(&all);
    mr_id a = world_run(&w, f), b = world_run(&w, f);
    world_submit(&w, f, (mr_id[]){a, 0});
    world_time(&w, 1);
    ck_assert_str_eq(told, "S1 S2 S3 l1 l2 l3 R1 R2 p1 r1 p2 r2 ?0 B2 ?1 B1 ");
    told[0] = 0;
    world_finish(&w, a);
    world_finish_as(&w, b, MR_E_TASK, MR_FINISHED_RESULT, 1);
    ck_assert_str_eq(told, "");
    world_time(&w, 1);
    ck_assert_str_eq(told, "E1 E2 R3 p3 r3 ?0 B3 ");
}
END_TEST

START_TEST(drops_and_retries_are_told)
{
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 1});
    use(&all);
    mr_id a = world_run(&w, f), b = world_run(&w, f), d = world_run(&w, f);
    world_time(&w, 1);
    told[0] = 0;
    world_cancel(&w, a, 0);
    world_cancel(&w, b, 0);
    world_cancel(&w, d, 0);
    world_finish_as(&w, b, MR_E_CANCELLED, 0, 1);
    world_time(&w, 1);
    ck_assert_str_eq(told, "X1 E2 ");
    told[0] = 0;
    mr_id e = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_str_eq(told, "S4 l4 R4 p4 r4 ?1 B4 ");
    told[0] = 0;
    world_die(&w, world_worker(&w, e), MR_DEATH_SIGNAL, 9);
    world_time(&w, 1);
    ck_assert_str_eq(told, "X4 R4 p4 r4 ?1 ");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- answers -- */

static mr_ref wild(void)
{
    switch (mr_rand_below(&dice, 8)) {
    case 0:
        return MR_NONE;
    case 1:
        return MR_REF_SLOT | mr_rand_below(&dice, 8);
    case 2:
        return MR_REF_NODE | mr_rand_below(&dice, 5);
    case 3:
        return mr_rand_next(&dice);
    default:
        return 1000 + mr_rand_below(&dice, 60);
    }
}

static void ask_everything(void)
{
    depth++;
    mr_edge e;
    mr_ref a = wild(), b = wild();
    (void)host->now(host);
    (void)host->task(host, a);
    (void)host->worker(host, a);
    (void)host->node(host, a);
    for (int l = MR_READY; l <= MR_NODES; l++) {
        mr_ref x = MR_NONE;
        for (int n = 0; (x = host->next(host, (mr_list)l, l == MR_READY ? MR_NONE : a, x)) && n < 1000; n++)
            ck_assert_int_lt(n, 999);
        (void)host->next(host, (mr_list)l, a, b);
    }
    (void)host->first(host, a, b, mr_rand_below(&dice, 2));
    (void)host->can(host, a, b);
    (void)host->cost(host, a, b);
    (void)host->copy(host, 100, a, b);
    (void)host->missing(host, a, b);
    (void)host->edge(host, a, mr_rand_below(&dice, 2), (uint32_t)mr_rand_below(&dice, 3), &e);
    (void)host->label(host, a, "x");
    (void)host->text(host, (uint32_t)mr_rand_next(&dice));
    (void)host->random(host);
    if (mr_rand_below(&dice, 20) == 0)
        host->rerank(host, mr_rand_below(&dice, 2) ? a : MR_NONE);
    host->wake(host, host->now(host) + (int64_t)mr_rand_below(&dice, 1000));
    depth--;
}

static mr_ref wild_place(void *self, const mr_task *t)
{
    (void)self;
    (void)t;
    ask_everything();
    return wild();
}

static mr_ref wild_pick(void *self, const mr_worker *k)
{
    (void)self;
    ask_everything();
    mr_ref t = wild();
    if (mr_rand_below(&dice, 3))
        t = host->first(host, MR_NONE, k->ref, mr_rand_below(&dice, 2));
    ck_assert(!t || !mr_ref_is_task(t) || !host->can(host, t, k->ref) || host->task(host, t));
    return mr_rand_below(&dice, 10) ? t : MR_STOP;
}

static double wild_rank(void *self, const mr_task *t)
{
    (void)self;
    (void)t;
    ask_everything();
    return mr_rand_below(&dice, 5) ? (double)mr_rand_below(&dice, 10) : INFINITY;
}

static void wild_notice(void *self, const mr_notice *n)
{
    (void)self;
    (void)n;
    ask_everything();
}

START_TEST(wild_answers_lose_nothing)
{
    for (uint32_t i = 0; i < 60; i++) {
        world_free(&w);
        mr_control_conf_init(&w.conf);
        w.conf.max_hold = INT64_MAX / 4;
        world_new(&w, "CPU=2");
        world_node(&w, "CPU=1 wheel=1");
        mr_rand_seed(&dice, 100 + (uint64_t)i, 3);
        mr_sched_ops ops = {.notices = 127, .open = p_open, .rank = wild_rank, .notice = wild_notice};
        if (i % 2)
            ops.pick = wild_pick;
        if (i % 3)
            ops.place = wild_place;
        if (i % 5)
            ops.plan = wild_place;
        use(&ops);
        uint32_t f[3] = {world_func(&w, "f", NULL), world_func(&w, "g", "wheel=1"),
                         world_define(&w, (spec){.name = "h", .needs = "CPU=2", .retries = 2})};
        mr_id t[40] = {0};
        for (int k = 0; k < 40; k++) {
            mr_id dep = k ? t[mr_rand_below(&dice, (uint64_t)k)] : 0;
            t[k] = world_submit(&w, f[mr_rand_below(&dice, 3)], mr_rand_below(&dice, 2) ? (mr_id[]){dep, 0} : NULL);
            if (mr_rand_below(&dice, 3) == 0)
                world_time(&w, 10);
        }
        for (int round = 0; round < 4000 && world_stats(&w).tasks; round++) {
            mr_action a;
            while (world_took(&w, MR_ACT_TRANSFER, 0, &a))
                world_arrived(&w, a.id, a.node);
            for (int k = 0; k < 40; k++)
                if (world_worker(&w, t[k]) && mr_rand_below(&dice, 2))
                    world_finish(&w, t[k]);
            world_time(&w, 1000);
        }
        ck_assert_msg(world_stats(&w).tasks == 0, "policy %u: %llu tasks left", i,
                      (unsigned long long)world_stats(&w).tasks);
        for (int k = 0; k < 40; k++)
            world_drop(&w, t[k]);
        world_nothing_left(&w);
    }
}
END_TEST

static mr_ref answer; /* of any question */

static mr_ref given_place(void *self, const mr_task *t)
{
    (void)self;
    (void)t;
    return answer;
}

static mr_ref given_pick(void *self, const mr_worker *k)
{
    (void)self;
    (void)k;
    return answer;
}

/* What a policy's author needs to know of it: who was asked, what was answered, and why that can not be. */
START_TEST(a_wrong_answer_is_told_with_its_reason)
{
    static const mr_sched_ops picks = {.open = p_open, .pick = given_pick},
                              places = {.open = p_open, .place = given_place};
    uint32_t f = world_func(&w, "f", NULL), one = world_define(&w, (spec){.name = "one", .max_running = 1}),
             wide = world_func(&w, "wide", "CPU=2");
    mr_id running = world_run(&w, one);
    world_time(&w, 1);
    mr_id over = world_run(&w, f);
    world_time(&w, 1);
    world_finish(&w, over);
    world_time(&w, 1);
    mr_id second = world_run(&w, one), large = world_run(&w, wide), waits = world_submit(&w, f, (mr_id[]){running, 0});
    char text[8][120];
    snprintf(text[0], sizeof text[0], "pick of slot 1 answered task %llx, which is over", (unsigned long long)over);
    snprintf(text[1], sizeof text[1], "pick of slot 1 answered task %llx one, which runs already",
             (unsigned long long)running);
    snprintf(text[2], sizeof text[2],
             "pick of slot 1 answered task %llx one, which is stopped by the limit of its function or the quota of its "
             "user",
             (unsigned long long)second);
    snprintf(text[3], sizeof text[3], "pick of slot 1 answered task %llx wide, which does not fit there now",
             (unsigned long long)large);
    snprintf(text[4], sizeof text[4], "pick of slot 1 answered task %llx f, which waits for its arguments",
             (unsigned long long)waits);
    mr_ref wrong[] = {over, running, second, large, waits, MR_REF_NODE | 1, MR_REF_SLOT | 77, large};
    for (int i = 0; i < 8; i++) {
        mr_action a;
        world_forget(&w);
        use(i < 6 ? &picks : &places);
        ck_assert_ptr_null(mr_control_policy_refusal(w.c));
        answer = wrong[i];
        if (i >= 6)
            world_run(&w, f);
        world_time(&w, 1);
        ck_assert(world_took(&w, MR_ACT_REPORT, 0, &a));
        ck_assert_int_eq(a.flags, MR_REPORT_REFUSED);
        const char *said = mr_control_policy_refusal(w.c), *end = i == 5   ? " answered node 0, which is not a task"
                                                                  : i == 6 ? " answered slot 76, which is gone"
                                                                           : ", which is neither a slot nor a node";
        ck_assert_ptr_nonnull(said);
        ck_assert_msg(i < 5 ? !strcmp(said, text[i]) : strstr(said, end) != NULL, "%d: %s", i, said);
    }
}
END_TEST

static mr_ref never(void *self, const mr_worker *k)
{
    (void)self;
    (void)k;
    return MR_NONE;
}

START_TEST(holding_everything_back_is_ejected)
{
    uint32_t f = world_func(&w, "f", NULL);
    use(&(mr_sched_ops){.open = p_open, .pick = never});
    mr_id t = world_run(&w, f);
    mr_action a;
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_WAKE, 0, &a));
    ck_assert_int_eq(a.value, w.now + w.conf.max_hold);
    ck_assert(!mr_control_policy_error(w.c));
    world_time(&w, w.conf.max_hold);
    ck_assert(world_took(&w, MR_ACT_REPORT, 0, &a));
    ck_assert_int_eq(a.flags, MR_REPORT_EJECTED);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t));
    ck_assert_str_eq(mr_control_policy_name(w.c), "fifo");
    ck_assert_str_eq(mr_control_policy_given(w.c), "probe");
    ck_assert_str_eq(mr_control_policy_error(w.c),
                     "policy probe held 1 ready tasks back for 1000 ms while nothing ran");
    ck_assert_int_eq(world_stats(&w).held, 2 * w.conf.max_hold);
}
END_TEST

static double nan_rank(void *self, const mr_task *t)
{
    (void)self;
    (void)t;
    return NAN;
}

START_TEST(nan_is_an_error)
{
    uint32_t f = world_func(&w, "f", NULL);
    use(&(mr_sched_ops){.open = p_open, .rank = nan_rank});
    mr_id t = world_run(&w, f);
    world_time(&w, 1);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, t));
    ck_assert_str_eq(mr_control_policy_error(w.c), "policy probe: rank of f (task 3e8) is not a number");
}
END_TEST

START_TEST(a_failure_told_from_outside)
{
    use(&all);
    mr_control_policy_fail(w.c, "line 3: boom");
    world_time(&w, 1);
    ck_assert_str_eq(mr_control_policy_error(w.c), "line 3: boom");
}
END_TEST

static mr_ref plan_node_1(void *self, const mr_task *t)
{
    (void)self;
    return t->seq > 1 + WARM ? MR_REF_NODE | 2 : MR_NONE;
}

START_TEST(a_plan_sends_the_inputs_as_they_are_sealed)
{
    world_node(&w, "CPU=1");
    uint32_t f = world_func(&w, "f", NULL);
    use(&(mr_sched_ops){.open = p_open, .plan = plan_node_1});
    mr_id x = world_put(&w, 500, 0, NULL), a = world_run(&w, f);
    mr_id b = world_submit(&w, f, (mr_id[]){x, a, 0});
    mr_action act;
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_TRANSFER, x, &act));
    ck_assert_uint_eq(act.node, 1);
    world_seal(&w, a, 0, 700, 0, NULL);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_TRANSFER, a, &act));
    world_finish_as(&w, a, MR_OK, 0, 1);
    world_arrived(&w, x, 1);
    world_arrived(&w, a, 1);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, b, &act));
    ck_assert_uint_eq(act.node, 1);
    ck_assert_uint_eq(world_stats(&w).moved_bytes, 1200);
}
END_TEST

START_TEST(a_swap_tells_the_present)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id a = world_run(&w, f);
    world_run(&w, f);
    world_run(&w, f);
    world_submit(&w, f, (mr_id[]){a, 0});
    world_time(&w, 1);
    use(&all);
    mr_ev_none e = {.h = {.kind = MR_EV_POLICY}};
    world_step(&w, &e);
    world_time(&w, 1);
    ck_assert_str_eq(told, "S1 S2 S3 S4 l3 l4 R1 B1 R2 B2 R3 p3 r3 ");
}
END_TEST

START_TEST(a_lower_rank_first_ties_by_entry)
{
    uint32_t f = world_func(&w, "f", "CPU=2");
    use(&(mr_sched_ops){.open = p_open, .rank = p_rank});
    mr_id t[4];
    for (int i = 0; i < 4; i++)
        t[i] = world_run(&w, f);
    world_time(&w, 1);
    for (int i = 3; i >= 0; i--) {
        ck_assert_msg(world_worker(&w, t[i]) != 0, "task %d is not next", i);
        world_finish(&w, t[i]);
        world_time(&w, 1);
    }
}
END_TEST

static double random_rank(void *self, const mr_task *t)
{
    (void)self;
    return (double)(t->seq * UINT64_C(11400714819323198485) >> 11);
}

static double class_rank(void *self, const mr_task *t)
{
    (void)self;
    return (double)(t->seq % 4);
}

static void silent(void *self, const mr_notice *n)
{
    (void)self;
    (void)n;
}

/* Also with keys for ranks that fall between, and when all is told at once. */
START_TEST(memory_of_a_ranked_task)
{
    enum { N = 100000 };
    const mr_sched_ops kinds[] = {
        {.open = p_open, .rank = random_rank},
        {.open = p_open, .rank = class_rank},
        {.open = p_open, .rank = class_rank, .notice = silent, .notices = 127},
    };
    const uint64_t most[] = {400, 390, 390};
    w.unchecked = true;
    uint32_t f = world_func(&w, "f", "CPU=2");
    use(&kinds[_i]);
    world_run(&w, f);
    world_time(&w, 1);
    uint64_t before = world_stats(&w).memory;
    for (int i = 0; i < N; i++)
        world_run(&w, f);
    world_time(&w, 1);
    ck_assert_uint_le((world_stats(&w).memory - before) / N, most[_i]);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: policies");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, an_instant_in_order);
    tcase_add_test(t, drops_and_retries_are_told);
    tcase_add_test(t, wild_answers_lose_nothing);
    tcase_add_test(t, a_wrong_answer_is_told_with_its_reason);
    tcase_add_test(t, holding_everything_back_is_ejected);
    tcase_add_test(t, nan_is_an_error);
    tcase_add_test(t, a_failure_told_from_outside);
    tcase_add_test(t, a_plan_sends_the_inputs_as_they_are_sealed);
    tcase_add_test(t, a_swap_tells_the_present);
    tcase_add_test(t, a_lower_rank_first_ties_by_entry);
    tcase_add_loop_test(t, memory_of_a_ranked_task, 0, 3);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
