/* What each shipped policy is for: its defining property, on worlds small enough to work out by hand, and the published
 * figures where there are some.  Times are in ms. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/conformance/bench_host.h"
#include "run_suite.h"

static mr_loaded *lua, *fifo, *locality, *priority;
static mr_config *config;

static void setup(void)
{
    mr_err err = {MR_OK, ""};
    ck_assert_int_eq(mr_config_new(&config), MR_OK);
    ck_assert_msg(mr_plugin_load(&lua, "sched-lua", MR_KIND_SCHED, config, NULL, &err) == MR_OK, "%s", err.text);
    ck_assert_msg(mr_plugin_load(&fifo, "sched-fifo", MR_KIND_SCHED, config, NULL, &err) == MR_OK, "%s", err.text);
    ck_assert_msg(mr_plugin_load(&locality, "sched-locality", MR_KIND_SCHED, config, NULL, &err) == MR_OK, "%s",
                  err.text);
    ck_assert_msg(mr_plugin_load(&priority, "sched-priority", MR_KIND_SCHED, config, NULL, &err) == MR_OK, "%s",
                  err.text);
}

static void teardown(void)
{
    mr_plugin_unload(lua);
    mr_plugin_unload(fifo);
    mr_plugin_unload(locality);
    mr_plugin_unload(priority);
    mr_config_free(config);
}

static mr_bench *world(const char *policy, int slots)
{
    char path[1024];
    const char *root = getenv("MRTEST_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/config/policies/%s.lua", root ? root : ".", policy);
    mr_bench *b = mr_bench_new(lua, path, 1);
    ck_assert_ptr_nonnull(b);
    if (slots)
        mr_bench_add_node(b, slots, 0, 0);
    return b;
}

static int task(mr_bench *b, int arrival, int ms)
{
    return mr_bench_add_task(b, &(mr_bench_spec){.arrival = arrival * BENCH_MS, .duration = ms * BENCH_MS});
}

static void tasks(mr_bench *b, int n, const int *ms)
{
    for (int i = 0; i < n; i++)
        task(b, 0, ms[i]);
}

static void run(mr_bench *b)
{
    ck_assert_msg(mr_bench_run(b), "%s%s%s", b->open_error, b->failure, b->wrong ? b->log : "");
}

static int at(int64_t ns)
{
    return (int)(ns / BENCH_MS);
}

static void order_is(const mr_bench *b, int n, const int *expected)
{
    ck_assert_int_eq(b->n_order, n);
    for (int i = 0; i < n; i++)
        ck_assert_msg(b->order[i] == expected[i], "start %d is task %d, expected %d", i, b->order[i], expected[i]);
}
#define ORDER(b, ...) order_is((b), (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

/* ---- queues */

static void fifo_world(mr_bench *b)
{
    task(b, 0, 30);
    mr_bench_add_task(b, &(mr_bench_spec){.duration = 10 * BENCH_MS, .cpu = 2});
    task(b, 0, 10);
    task(b, 1, 10);
}

START_TEST(fifo_steps_over_what_does_not_fit)
{
    for (int k = 0; k < 2; k++) {
        mr_bench *b = k ? mr_bench_new(fifo, NULL, 1) : world("fifo", 0);
        mr_bench_add_node(b, 2, 0, 0);
        fifo_world(b);
        run(b);
        ORDER(b, 0, 2, 3, 1);
        mr_bench_free(b);
    }
}
END_TEST

START_TEST(fcfs_lets_the_head_block)
{
    mr_bench *b = world("fcfs", 2);
    fifo_world(b);
    run(b);
    ORDER(b, 0, 1, 2, 3);
    mr_bench_free(b);
}
END_TEST

START_TEST(lifo_takes_the_newest)
{
    mr_bench *b = world("lifo", 1);
    tasks(b, 4, (int[]){10, 10, 10, 10});
    task(b, 5, 10);
    run(b);
    ORDER(b, 3, 4, 2, 1, 0);
    mr_bench_free(b);
}
END_TEST

/* Arpaci-Dusseau, chapter 7: mean turnaround 110 by FIFO, 50 by shortest first. */
START_TEST(shortest_first_halves_the_mean)
{
    int expected[] = {330, 150};
    for (int k = 0; k < 2; k++) {
        mr_bench *b = world(k ? "shortest-first" : "fifo", 1);
        tasks(b, 3, (int[]){100, 10, 10});
        run(b);
        ck_assert_int_eq(at(b->flow), expected[k]);
        mr_bench_free(b);
    }
}
END_TEST

/* Graham 1969: the tight instances, m = 2 and 3. */
START_TEST(lpt_is_as_bad_as_its_bound_and_no_worse)
{
    mr_bench *b = world("lpt", 2);
    tasks(b, 5, (int[]){2, 3, 2, 3, 2});
    run(b);
    ck_assert_int_eq(at(b->last), 7);
    mr_bench_free(b);
    b = world("lpt", 3);
    tasks(b, 7, (int[]){3, 5, 4, 3, 4, 5, 3});
    run(b);
    ck_assert_int_eq(at(b->last), 11);
    mr_bench_free(b);
}
END_TEST

/* Graham 1966: nine tasks, three slots: 12; then more slots, shorter tasks, or fewer edges: each takes longer. */
START_TEST(list_shows_the_anomalies)
{
    static const int ms[9] = {3, 2, 2, 2, 4, 4, 4, 4, 9}, expected[4] = {12, 15, 13, 16};
    for (int k = 0; k < 4; k++) {
        mr_bench *b = world("list", k == 1 ? 4 : 3);
        for (int i = 0; i < 9; i++)
            task(b, 0, ms[i] - (k == 2));
        mr_bench_add_edge(b, 0, 8);
        for (int i = k == 3 ? 6 : 4; i < 8; i++)
            mr_bench_add_edge(b, 3, i);
        run(b);
        ck_assert_int_eq(at(b->last), expected[k]);
        mr_bench_free(b);
    }
}
END_TEST

START_TEST(ageing_trades_priority_for_waiting)
{
    for (int i = 0; i < 4; i++) { /* one level is worth 10 ms; in Lua and in C */
        int k = i % 2;
        mr_bench *b = i < 2 ? world("ageing", 0) : mr_bench_new(priority, NULL, 1);
        mr_bench_add_node(b, 1, 0, 0);
        mr_bench_conf(b, "level", "10ms");
        task(b, 0, 50);
        task(b, 1, 10);
        mr_bench_add_task(
            b, &(mr_bench_spec){.arrival = (k ? 20 : 5) * BENCH_MS, .duration = 10 * BENCH_MS, .priority = 1});
        if (k) /* not from its submission, but from when it is ready on */
            mr_bench_add_edge(b, 0, task(b, 0, 10));
        run(b);
        ck_assert_int_eq(b->order[1], k ? 1 : 2);
        ck_assert(!k || b->order[3] == 3);
        mr_bench_free(b);
    }
}
END_TEST

START_TEST(hrrn_weighs_waiting_by_length)
{
    mr_bench *b = world("hrrn", 1);
    task(b, 0, 10);
    task(b, 1, 20);
    task(b, 9, 5);
    run(b);
    ORDER(b, 0, 1, 2);
    mr_bench_free(b);
    b = world("hrrn", 1);
    task(b, 0, 10);
    task(b, 1, 40);
    task(b, 8, 5);
    run(b);
    ORDER(b, 0, 2, 1);
    mr_bench_free(b);
}
END_TEST

START_TEST(random_differs_by_seed_only)
{
    int order[3][20];
    for (int k = 0; k < 3; k++) {
        mr_bench *b = world("random", 1);
        b->seed = k == 2 ? 99 : 5;
        for (int i = 0; i < 20; i++)
            task(b, 0, 1);
        run(b);
        memcpy(order[k], b->order, sizeof order[k]);
        mr_bench_free(b);
    }
    ck_assert_mem_eq(order[0], order[1], sizeof order[0]);
    ck_assert_mem_ne(order[0], order[2], sizeof order[0]);
}
END_TEST

START_TEST(fair_follows_the_weights)
{
    mr_bench *b = world("fair", 1);
    mr_bench_conf(b, "alice", "3");
    for (int i = 0; i < 80; i++) /* bob came first with all of his */
        mr_bench_add_task(b, &(mr_bench_spec){.duration = 10 * BENCH_MS, .user = i < 40 ? "bob" : "alice"});
    run(b);
    int alice = 0;
    for (int i = 0; i < 40; i++)
        alice += b->order[i] >= 40;
    ck_assert_int_ge(alice, 29);
    ck_assert_int_le(alice, 31);
    mr_bench_free(b);
}
END_TEST

/* ---- places */

/* The bytes are on node 1, whose only slot is taken until 30; node 0 is idle. */
static mr_bench *delay_world(bool native, const char *delay)
{
    mr_bench *b = native ? mr_bench_new(locality, NULL, 1) : world("locality", 0);
    mr_bench_conf(b, "delay", delay);
    mr_bench_add_node(b, 1, 0, 0);
    mr_bench_add_node(b, 1, 0, 0);
    int busy = task(b, 0, 5), maker = task(b, 0, 5), next = task(b, 5, 5), user = task(b, 0, 10); /* ready at 5 */
    b->task[maker].out_bytes = 3000 * 1000;                                                       /* 3 ms to copy */
    b->task[next].out_bytes = 1;
    b->task[next].duration = 25 * BENCH_MS;
    (void)busy;
    mr_bench_add_edge(b, maker, next);
    mr_bench_add_edge(b, maker, user);
    return b;
}

START_TEST(locality_waits_for_the_bytes_and_not_for_ever)
{
    for (int native = 0; native < 2; native++) {
        mr_bench *b = delay_world(native, "50ms");
        run(b);
        ck_assert_int_eq(at(b->task[3].first_start), 30);
        ck_assert_int_eq(b->task[3].slot, 1);
        ck_assert_uint_eq(b->moved, 0);
        mr_bench_free(b);
        b = delay_world(native, "10ms");
        run(b);
        ck_assert_int_eq(at(b->task[3].first_start), 5 + 10 + 3);
        ck_assert_int_eq(b->task[3].slot, 0);
        ck_assert_uint_eq(b->moved, 3000 * 1000);
        mr_bench_free(b);
    }
}
END_TEST

/* All children become ready at one slot; the others help themselves. */
START_TEST(stealing_spreads_one_slots_children)
{
    mr_bench *b = world("stealing", 4);
    int root = task(b, 0, 10);
    for (int i = 0; i < 8; i++)
        mr_bench_add_edge(b, root, task(b, 0, 10));
    run(b);
    ck_assert_int_eq(at(b->last), 30);
    mr_bench_free(b);
}
END_TEST

START_TEST(queues_stay_even)
{
    mr_bench *b = world("jsq", 4);
    for (int i = 0; i < 16; i++)
        task(b, 0, 10);
    run(b);
    ck_assert_int_eq(at(b->last), 40);
    mr_bench_free(b);
    b = world("p2c", 4);
    for (int i = 0; i < 200; i++)
        task(b, 0, 1);
    run(b);
    ck_assert_int_ge(at(b->last), 50);
    ck_assert_int_le(at(b->last), 56); /* one random choice would be at 60 or more */
    mr_bench_free(b);
}
END_TEST

START_TEST(reserve_keeps_a_slot_for_one_user)
{
    mr_bench *b = world("reserve", 2);
    mr_bench_conf(b, "vip", "ann");
    tasks(b, 2, (int[]){50, 50});
    mr_bench_add_task(b, &(mr_bench_spec){.arrival = 10 * BENCH_MS, .duration = 10 * BENCH_MS, .user = "ann"});
    run(b);
    ck_assert_int_eq(at(b->task[2].first_start), 10);
    ck_assert_int_eq(at(b->task[1].first_start), 50);
    mr_bench_free(b);
}
END_TEST

START_TEST(gang_starts_in_one_instant)
{
    mr_bench *b = world("gang", 4);
    tasks(b, 2, (int[]){10, 25});
    for (int i = 0; i < 4; i++) {
        int t = task(b, 1, 10);
        b->task[t].label[0][0] = "gang";
        b->task[t].label[0][1] = "g";
        b->task[t].label[1][0] = "size";
        b->task[t].label[1][1] = "4";
    }
    run(b);
    for (int i = 2; i < 6; i++)
        ck_assert_int_eq(at(b->task[i].first_start), 25);
    mr_bench_free(b);
}
END_TEST

static int limited(mr_bench *b, double cpu, int ms, int limit)
{
    return mr_bench_add_task(b, &(mr_bench_spec){.duration = ms * BENCH_MS, .cpu = cpu, .limit = limit * BENCH_MS});
}

START_TEST(easy_overtakes_only_what_is_not_delayed)
{
    mr_bench *b = world("easy", 4);
    limited(b, 2, 100, 100);
    int head = limited(b, 4, 50, 50), small = limited(b, 2, 50, 50), large = limited(b, 2, 200, 200);
    run(b);
    ck_assert_int_eq(at(b->task[small].first_start), 0);
    ck_assert_int_eq(at(b->task[head].first_start), 100);
    ck_assert_int_eq(at(b->task[large].first_start), 150);
    mr_bench_free(b);
}
END_TEST

/* ---- preemption */

/* Arpaci-Dusseau, chapter 7: three jobs of 5: response 0, 1, 2, turnaround 14 in the mean. */
START_TEST(rr_answers_everyone_soon)
{
    mr_bench *b = world("rr", 1);
    mr_bench_conf(b, "quantum", "1ms");
    tasks(b, 3, (int[]){5, 5, 5});
    run(b);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(at(b->task[i].first_start), i);
    ck_assert_int_eq(at(b->flow), 3 * 14);
    mr_bench_free(b);
}
END_TEST

START_TEST(srpt_takes_the_slot_of_the_longer)
{
    mr_bench *b = world("srpt", 1);
    task(b, 0, 100);
    task(b, 10, 10);
    task(b, 10, 10);
    run(b);
    ck_assert_int_eq(at(b->flow), 3 * 50);
    ck_assert_int_eq(b->preempted, 1);
    mr_bench_free(b);
}
END_TEST

static uint64_t draw(uint64_t *x, uint64_t n)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*x >> 33) % n;
}

/* On one slot, with preemption, earliest deadline first meets all deadlines exactly if they can be met: if in every
 * interval the work that must be done inside it fits. */
START_TEST(deadline_meets_what_can_be_met)
{
    int feasible = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        enum { N = 6 };
        uint64_t x = seed;
        int from[N], work[N], until[N];
        bool possible = true, met = true;
        for (int i = 0; i < N; i++) {
            from[i] = (i ? from[i - 1] : 0) + (int)draw(&x, 8);
            work[i] = 1 + (int)draw(&x, 8);
            until[i] = from[i] + work[i] + (int)draw(&x, 22);
        }
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                int demand = 0;
                for (int k = 0; k < N; k++)
                    demand += from[k] >= from[i] && until[k] <= until[j] ? work[k] : 0;
                possible = possible && (until[j] <= from[i] || demand <= until[j] - from[i]);
            }
        }
        mr_bench *b = world("deadline", 1);
        for (int i = 0; i < N; i++)
            mr_bench_add_task(b, &(mr_bench_spec){.arrival = from[i] * BENCH_MS,
                                                  .duration = work[i] * BENCH_MS,
                                                  .deadline = until[i] * BENCH_MS});
        run(b);
        for (int i = 0; i < N; i++)
            met = met && at(b->task[i].finished) <= until[i];
        ck_assert_msg(met == possible, "seed %d: possible %d, met %d", (int)seed, possible, met);
        feasible += possible;
        mr_bench_free(b);
    }
    ck_assert_int_gt(feasible, 20);
    ck_assert_int_lt(feasible, 80);
}
END_TEST

START_TEST(mlfq_finds_the_short_one_and_starves_nobody)
{
    mr_bench *b = world("mlfq", 1);
    mr_bench_conf(b, "boost", "200ms");
    task(b, 0, 300);
    task(b, 100, 8);
    run(b);
    ck_assert_int_eq(at(b->task[1].finished), 108); /* it came on top and never left */
    mr_bench_free(b);

    b = world("mlfq", 1); /* short jobs without a gap: only the boost lets the long one on */
    mr_bench_conf(b, "boost", "200ms");
    int first = task(b, 0, 100);
    for (int i = 0; i < 60; i++)
        task(b, 70 + 10 * i, 10);
    run(b);
    ck_assert_int_lt(at(b->task[first].finished), 70 + 600);
    mr_bench_free(b);
}
END_TEST

/* ---- plans */

/* Topcuoglu, Hariri and Wu 2002, figure 2: ten tasks, three unlike machines. */
static int topcuoglu(const char *cpop)
{
    static const int costs[10][3] = {{14, 16, 9}, {13, 19, 18}, {11, 13, 19}, {13, 8, 17},  {12, 13, 10},
                                     {13, 16, 9}, {7, 15, 11},  {5, 11, 14},  {18, 12, 20}, {21, 7, 16}};
    static const int edges[15][3] = {{1, 2, 18}, {1, 3, 12}, {1, 4, 9},   {1, 5, 11},  {1, 6, 14},
                                     {2, 8, 19}, {2, 9, 16}, {3, 7, 23},  {4, 8, 27},  {4, 9, 23},
                                     {5, 9, 13}, {6, 8, 15}, {7, 10, 17}, {8, 10, 11}, {9, 10, 13}};
    mr_bench *b = world("heft", 0);
    if (cpop)
        mr_bench_conf(b, "cpop", cpop);
    for (int n = 0; n < 3; n++)
        mr_bench_add_node(b, 1, 0, 0);
    for (int i = 0; i < 10; i++) {
        task(b, 0, 10);
        for (int n = 0; n < 3; n++)
            b->task[i].costs[n] = costs[i][n] * BENCH_MS;
    }
    for (int e = 0; e < 15; e++)
        b->bytes[mr_bench_add_edge(b, edges[e][0] - 1, edges[e][1] - 1)] = (uint64_t)edges[e][2] * 1000 * 1000;
    run(b);
    int last = at(b->last);
    mr_bench_free(b);
    return last;
}

START_TEST(heft_takes_80_and_cpop_86)
{
    ck_assert_int_eq(topcuoglu(NULL), 80);
    ck_assert_int_eq(topcuoglu("yes"), 86);
}
END_TEST

/* The same by the plain definition: every task against every slot, each time; max: of the soonest ends the latest. */
static int64_t mapped_by_definition(const mr_bench *b, bool max)
{
    int64_t ready[BENCH_SLOTS] = {0}, last = 0;
    bool mapped[BENCH_TASKS] = {false};
    for (int n = 0; n < b->n_tasks; n++) {
        int64_t best_end = 0;
        int best = -1, where = 0;
        for (int i = 0; i < b->n_tasks; i++) {
            int w = 0;
            for (int k = 1; k < b->n_slots; k++)
                if (ready[k] + b->task[i].costs[k] < ready[w] + b->task[i].costs[w])
                    w = k;
            int64_t end = ready[w] + b->task[i].costs[w];
            if (mapped[i] || (best >= 0 && (max ? end <= best_end : end >= best_end)))
                continue;
            best_end = end;
            best = i;
            where = w;
        }
        mapped[best] = true;
        ready[where] = best_end;
        last = best_end > last ? best_end : last;
    }
    return last;
}

START_TEST(minmin_and_maxmin_are_their_definitions)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t x = seed;
        mr_bench *b = world(seed % 2 ? "minmin" : "maxmin", 3);
        for (int i = 0; i < 20; i++) {
            task(b, 0, 1);
            for (int w = 0; w < 3; w++)
                b->task[i].costs[w] = 1000 + (int64_t)draw(&x, 1000 * 1000 * 1000);
        }
        int64_t expected = mapped_by_definition(b, seed % 2 == 0);
        run(b);
        ck_assert_int_eq(b->last, expected);
        mr_bench_free(b);
    }
}
END_TEST

/* More tasks than are mapped at once: the next window follows when one is used up. */
START_TEST(maxmin_goes_on_after_its_window)
{
    mr_bench *b = world("maxmin", 2);
    mr_bench_conf(b, "window", "4");
    for (int i = 0; i < 10; i++)
        task(b, 0, 10);
    run(b);
    ck_assert_int_eq(at(b->last), 50);
    mr_bench_free(b);
}
END_TEST

/* As many for each, whatever they cost: the first and every third after it on slot 0. */
START_TEST(round_robin_takes_turns)
{
    mr_bench *b = world("round-robin", 3);
    tasks(b, 9, (int[]){50, 1, 1, 1, 1, 1, 1, 1, 1});
    run(b);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(b->task[i].slot, i % 3);
    ck_assert_int_eq(at(b->last), 52);
    mr_bench_free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policies");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, fifo_steps_over_what_does_not_fit);
    tcase_add_test(t, fcfs_lets_the_head_block);
    tcase_add_test(t, lifo_takes_the_newest);
    tcase_add_test(t, shortest_first_halves_the_mean);
    tcase_add_test(t, lpt_is_as_bad_as_its_bound_and_no_worse);
    tcase_add_test(t, list_shows_the_anomalies);
    tcase_add_test(t, ageing_trades_priority_for_waiting);
    tcase_add_test(t, hrrn_weighs_waiting_by_length);
    tcase_add_test(t, random_differs_by_seed_only);
    tcase_add_test(t, fair_follows_the_weights);
    tcase_add_test(t, locality_waits_for_the_bytes_and_not_for_ever);
    tcase_add_test(t, stealing_spreads_one_slots_children);
    tcase_add_test(t, queues_stay_even);
    tcase_add_test(t, reserve_keeps_a_slot_for_one_user);
    tcase_add_test(t, gang_starts_in_one_instant);
    tcase_add_test(t, easy_overtakes_only_what_is_not_delayed);
    tcase_add_test(t, rr_answers_everyone_soon);
    tcase_add_test(t, srpt_takes_the_slot_of_the_longer);
    tcase_add_test(t, deadline_meets_what_can_be_met);
    tcase_add_test(t, mlfq_finds_the_short_one_and_starves_nobody);
    tcase_add_test(t, heft_takes_80_and_cpop_86);
    tcase_add_test(t, minmin_and_maxmin_are_their_definitions);
    tcase_add_test(t, maxmin_goes_on_after_its_window);
    tcase_add_test(t, round_robin_takes_turns);
    suite_add_tcase(s, t);
    return run_suite(s);
}
