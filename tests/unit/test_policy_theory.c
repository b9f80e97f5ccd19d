/* test_policy_theory.c: what theory promises of a policy, measured on schedules that the real control made, in virtual
 * time, against optima found by looking at every schedule.  Times are in seconds; all durations are known.
 *
 * Premises as in the books: equal slots, one slot a task, no copies, no deaths, nothing held back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/rand.h"
#include "run_suite.h"
#include "unit/helper_policy.h"
#include "unit/helper_sim.h"

#define S INT64_C(1000000000)
enum { MOST = 10 };

/* ---- small worlds */

typedef struct instance {
    int n, m;               /* tasks, slots */
    int p[MOST], due[MOST]; /* durations, deadlines; 0: none */
    unsigned preds[MOST];   /* bits; only earlier ones */
} instance;

static mr_rand dice;

static int below(int n)
{
    return (int)mr_rand_below(&dice, (uint64_t)n);
}

static instance draw(int n, int m, bool graph)
{
    instance x = {.n = n, .m = m};
    for (int i = 0; i < n; i++) {
        x.p[i] = 1 + below(9);
        for (int k = 0; graph && k < i; k++)
            if (below(4) == 0)
                x.preds[i] |= 1u << k;
    }
    return x;
}

static helper_run run(const instance *x, const char *policy)
{
    static helper_lines l;
    l.n = 0;
    helper_line(&l, "{\"platform\": {\"nodes\": [{\"cpus\": %d}]}}", x->m);
    for (int i = 0; i < x->n; i++) {
        char deps[200] = "", due[60] = "";
        for (int k = 0; k < i; k++)
            if (x->preds[i] & 1u << k)
                snprintf(deps + strlen(deps), sizeof deps - strlen(deps), "%s\"t%d\"", deps[0] ? ", " : "", k);
        if (x->due[i])
            snprintf(due, sizeof due, ", \"deadline_s\": %d", x->due[i]);
        helper_line(&l, "{\"id\": \"t%d\", \"duration_s\": %d, \"deps\": [%s]%s}", i, x->p[i], deps, due);
    }
    mr_workload *w = helper_lines_read(&l);
    mr_sim_conf conf;
    mr_sim_conf_init(&conf);
    conf.know = MR_SIM_EXACT;
    helper_run r = helper_policy_run(w, policy, NULL, &conf);
    ck_assert_msg(r.status == MR_OK, "%s: %s", policy, r.err.text);
    ck_assert_msg(!r.policy_error[0], "%s", r.policy_error);
    mr_workload_free(w);
    return r;
}

static int makespan(const instance *x, const char *policy)
{
    helper_run r = run(x, policy);
    free(r.tasks);
    return (int)(r.end / S);
}

/* ---- the best makespan: every schedule whose starts are at 0 or where something ends */

typedef struct search {
    const instance *x;
    int best, tail[MOST]; /* tail: longest way to the end, itself included */
} search;

static void try_all(search *s, int now, unsigned done, const int *ends, unsigned running, int from);

static void wait_for_next(search *s, int now, unsigned done, const int *ends, unsigned running)
{
    int next = 0;
    for (int i = 0; i < s->x->n; i++)
        if (running & 1u << i && (!next || ends[i] < next))
            next = ends[i];
    for (int i = 0; i < s->x->n; i++)
        if (running & 1u << i && ends[i] == next) {
            done |= 1u << i;
            running &= ~(1u << i);
        }
    (void)now;
    try_all(s, next, done, ends, running, 0);
}

static void try_all(search *s, int now, unsigned done, const int *ends, unsigned running, int from)
{
    const instance *x = s->x;
    int busy = 0, left = 0, bound = now;
    if (done == (1u << x->n) - 1) {
        s->best = now < s->best ? now : s->best;
        return;
    }
    for (int i = 0; i < x->n; i++) {
        busy += (running >> i) & 1;
        left += running & 1u << i ? ends[i] - now : done & 1u << i ? 0 : x->p[i];
        if (!(done & 1u << i) && !(running & 1u << i) && now + s->tail[i] > bound)
            bound = now + s->tail[i];
    }
    if (bound >= s->best || now + (left + x->m - 1) / x->m >= s->best)
        return;
    for (int i = from; busy < x->m && i < x->n; i++) {
        if ((done | running) & 1u << i || (x->preds[i] & done) != x->preds[i])
            continue;
        int e[MOST];
        memcpy(e, ends, sizeof e);
        e[i] = now + x->p[i];
        try_all(s, now, done, e, running | 1u << i, i + 1);
    }
    if (running)
        wait_for_next(s, now, done, ends, running);
}

static int optimum(const instance *x)
{
    search s = {.x = x};
    int ends[MOST] = {0};
    for (int i = x->n - 1; i >= 0; i--) {
        s.tail[i] += x->p[i];
        s.best += x->p[i];
        for (int k = 0; k < i; k++)
            if (x->preds[i] & 1u << k && s.tail[k] < s.tail[i])
                s.tail[k] = s.tail[i];
    }
    s.best++;
    try_all(&s, 0, 0, ends, 0, 0);
    return s.best;
}

/* ---- Graham */

static const char *const lists[] = {"list",          "fifo", "lifo",   "random",   "shortest-first", "lpt",
                                    "critical-path", "edf",  "ageing", "fair",     "hrrn",           "fcfs",
                                    "sched-fifo",    "easy", "gang",   "locality", "stealing",       "sched-priority",
                                    "sched-locality"};

static int running_at(const helper_run *r, int n, int64_t when)
{
    int running = 0;
    for (int i = 0; i < n; i++)
        running += r->tasks[i].started <= when && when < r->tasks[i].ended;
    return running;
}

/* The premises, from the schedule itself: nothing was copied, stopped, lost or held, and from where a task could start
 * to where it did every slot was busy.  What runs changes only where something starts or ends. */
static void nothing_idles(const instance *x, const helper_run *r, const char *policy)
{
    const mr_sim_task *t = r->tasks;
    ck_assert_uint_eq(r->stats.transfers + r->stats.stops + r->stats.deaths + r->stats.node_deaths, 0);
    ck_assert_int_eq(r->stats.held, 0);
    for (int i = 0; i < x->n; i++) {
        int64_t ready = 0;
        for (int k = 0; k < i; k++)
            if (x->preds[i] & 1u << k && t[k].ended > ready)
                ready = t[k].ended;
        ck_assert_int_ge(t[i].started, ready);
        ck_assert_int_eq(t[i].ended - t[i].started, x->p[i] * S);
        for (int k = -1; k < x->n; k++) {
            int64_t when = k < 0 ? ready : t[k].ended;
            if (when >= ready && when < t[i].started)
                ck_assert_msg(running_at(r, x->n, when) == x->m, "%s: a slot idles at %d s beside task %d", policy,
                              (int)(when / S), i);
        }
    }
}

/* Graham 1966: any policy that leaves no slot idle beside a task that could start is within 2 - 1/m of the best. */
START_TEST(lists_are_within_graham)
{
    mr_rand_seed(&dice, 21, 0);
    for (int k = 0; k < 24; k++) {
        instance x = draw(5 + below(3), 2 + below(3), true);
        helper_run r = run(&x, lists[_i]);
        int best = optimum(&x), got = (int)(r.end / S);
        nothing_idles(&x, &r, lists[_i]);
        ck_assert_int_ge(got, best);
        ck_assert_msg(got * x.m <= best * (2 * x.m - 1), "%s takes %d, the best is %d on %d slots", lists[_i], got,
                      best, x.m);
        free(r.tasks);
    }
}
END_TEST

/* and there are instances that reach it: m(m - 1) tasks of 1, then one of m. */
START_TEST(the_bound_is_tight)
{
    for (int m = 2; m <= 3; m++) {
        instance x = {.n = m * (m - 1) + 1, .m = m};
        for (int i = 0; i < x.n; i++)
            x.p[i] = i < x.n - 1 ? 1 : m;
        ck_assert_int_eq(optimum(&x), m);
        ck_assert_int_eq(makespan(&x, "list"), 2 * m - 1);
        ck_assert_int_eq(makespan(&x, "lpt"), m);
    }
}
END_TEST

START_TEST(the_anomalies)
{
    static const char *const files[] = {"graham.jsonl", "graham-machines.jsonl", "graham-shorter.jsonl",
                                        "graham-fewer.jsonl"};
    static const int takes[] = {12, 15, 13, 16};
    mr_workload *w = helper_sim_file(files[_i]);
    helper_run r = helper_policy_run(w, "list", NULL, NULL);
    ck_assert_msg(r.status == MR_OK, "%s", r.err.text);
    ck_assert_int_eq(r.end, takes[_i] * S);
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

/* Graham 1969: independent tasks, longest first: within 4/3 - 1/(3m). */
START_TEST(lpt_is_within_its_bound)
{
    mr_rand_seed(&dice, 22, 0);
    int worse = 0;
    for (int k = 0; k < 60; k++) {
        instance x = draw(6 + below(4), 2 + below(3), false);
        helper_run r = run(&x, "lpt");
        int best = optimum(&x), got = (int)(r.end / S);
        nothing_idles(&x, &r, "lpt");
        for (int i = 0; i < x.n * x.n; i++) /* the longest were first */
            ck_assert(x.p[i / x.n] <= x.p[i % x.n] || r.tasks[i / x.n].started <= r.tasks[i % x.n].started);
        ck_assert_msg(3 * x.m * got <= best * (4 * x.m - 1), "%d, the best is %d on %d slots", got, best, x.m);
        free(r.tasks);
        worse += got > best;
    }
    ck_assert_int_gt(worse, 0); /* it is no optimum */
}
END_TEST

/* ---- one slot, all ready at 0: every permutation */

/* Sum of the ends and the worst lateness of an order. */
static void judge(const instance *x, const int *order, int *flow, int *late)
{
    int now = 0;
    *flow = 0;
    *late = -1000;
    for (int i = 0; i < x->n; i++) {
        now += x->p[order[i]];
        *flow += now;
        if (now - x->due[order[i]] > *late)
            *late = now - x->due[order[i]];
    }
}

static void permute(const instance *x, int *order, int from, int *flow, int *late)
{
    if (from == x->n) {
        int f, l;
        judge(x, order, &f, &l);
        *flow = f < *flow ? f : *flow;
        *late = l < *late ? l : *late;
        return;
    }
    for (int i = from; i < x->n; i++) {
        int a = order[from], b = order[i];
        order[from] = b;
        order[i] = a;
        permute(x, order, from + 1, flow, late);
        order[from] = a;
        order[i] = b;
    }
}

static void of_run(const instance *x, const char *policy, int *flow, int *late)
{
    helper_run r = run(x, policy);
    *flow = 0;
    *late = -1000;
    for (int i = 0; i < x->n; i++) {
        int end = (int)(r.tasks[i].ended / S);
        *flow += end;
        if (end - x->due[i] > *late)
            *late = end - x->due[i];
    }
    free(r.tasks);
}

/* Smith 1956: the shortest first gives the least sum; Jackson 1955: the nearest deadline first the least lateness. */
START_TEST(one_slot_against_every_order)
{
    mr_rand_seed(&dice, 23, 0);
    int beaten = 0;
    for (int k = 0; k < 40; k++) {
        instance x = draw(6, 1, false);
        int order[MOST] = {0, 1, 2, 3, 4, 5}, flow = 10000, late = 10000, f, l;
        for (int i = 0; i < x.n; i++)
            x.due[i] = 1 + below(30);
        permute(&x, order, 0, &flow, &late);
        of_run(&x, "shortest-first", &f, &l);
        ck_assert_int_eq(f, flow);
        of_run(&x, "edf", &f, &l);
        ck_assert_int_eq(l, late);
        of_run(&x, "fifo", &f, &l);
        beaten += f > flow && l > late;
    }
    ck_assert_int_gt(beaten, 20);
}
END_TEST

/* ---- fair shares */

/* The widest swing of the difference of two users' work, each divided by its weight, over all intervals within
 * (from, until]; a task counts where it starts, or where it ends.  p: durations; the first half are of user 0. */
static double swing(const mr_sim_task *t, const int *p, const int *weight, int n, int64_t from, int64_t until,
                    bool begun)
{
    double low = 0, high = 0;
    for (int i = 0; i < 2 * n; i++) {
        double gap = 0; /* after all that counts up to this one */
        int64_t upto = begun ? t[i].started : t[i].ended;
        if (upto <= from || upto > until)
            continue;
        for (int k = 0; k < 2 * n; k++) {
            int64_t at = begun ? t[k].started : t[k].ended;
            if (at > from && at <= upto)
                gap += (k < n ? 1.0 : -1.0) * p[k] / weight[k / n];
        }
        low = gap < low ? gap : low;
        high = gap > high ? gap : high;
    }
    return high - low;
}

/* Jin, Chase and Kaur 2004: over any interval in which two users have work waiting, their work done, each divided by
 * its weight, differs by at most (D + 1) times the sum of the largest tasks by weight; D slots.  Of the work begun it
 * is that sum alone, as with one slot (Goyal, Vin and Cheng 1996): the other D are what still runs. Bob is there from
 * the beginning, or comes when ann has had all the slots for long: he has nothing to make up. */
START_TEST(fair_is_within_the_bound_of_sfq)
{
    static const int slots[] = {1, 2, 4};
    static const char *const conf[] = {"ann", "3", "bob", "2", NULL};
    static const int weight[] = {3, 2};
    enum { N = 60 };
    static helper_lines l;
    int p[2 * N], largest[2] = {0}, d = slots[_i % 3], late = _i / 3 * 100 / d;
    l.n = 0;
    mr_rand_seed(&dice, 24, (uint64_t)(_i % 3));
    helper_line(&l, "{\"platform\": {\"nodes\": [{\"cpus\": %d}]}}", d);
    for (int i = 0; i < 2 * N; i++) {
        int u = i / N;
        p[i] = 1 + below(u ? 20 : 9);
        largest[u] = p[i] > largest[u] ? p[i] : largest[u];
        helper_line(&l, "{\"id\": \"t%d\", \"arrival_s\": %d, \"duration_s\": %d, \"user\": \"%s\"}", i, u ? late : 0,
                    p[i], u ? "bob" : "ann");
    }
    mr_workload *w = helper_lines_read(&l);
    mr_sim_conf sim;
    mr_sim_conf_init(&sim);
    sim.know = MR_SIM_EXACT;
    helper_run r = helper_policy_run(w, "fair", conf, &sim);
    ck_assert_msg(r.status == MR_OK && !r.policy_error[0], "%s%s", r.err.text, r.policy_error);
    int64_t last[2] = {0};
    for (int i = 0; i < 2 * N; i++)
        last[i / N] = r.tasks[i].started > last[i / N] ? r.tasks[i].started : last[i / N];
    int64_t until = last[0] < last[1] ? last[0] : last[1]; /* up to there both have some that wait */
    double once = (double)largest[0] / weight[0] + (double)largest[1] / weight[1],
           begun = swing(r.tasks, p, weight, N, late * S - 1, until, true),
           done = swing(r.tasks, p, weight, N, late * S - 1, until, false);
    ck_assert_int_gt(until, (late + 20) * S);
    ck_assert_msg(begun <= once, "the shares begun differ by %g, the bound is %g", begun, once);
    ck_assert_msg(done <= (d + 1) * once, "the shares done differ by %g, the bound is %g", done, (d + 1) * once);
    free(r.tasks);
    mr_workload_free(w);
}
END_TEST

/* ---- graphs on unlike nodes */

START_TEST(heft_takes_80_and_cpop_86)
{
    static const char *const conf[] = {"cpop", "true", NULL};
    mr_workload *w = helper_sim_file("heft.jsonl");
    mr_sim_conf sim;
    mr_sim_conf_init(&sim);
    sim.know = MR_SIM_EXACT;
    for (int k = 0; k < 2; k++) {
        helper_run r = helper_policy_run(w, "heft", k ? conf : NULL, &sim);
        ck_assert_msg(r.status == MR_OK, "%s", r.err.text);
        ck_assert_str_eq(r.policy_error, "");
        ck_assert_int_eq(r.end, (k ? 86 : 80) * S);
        free(r.tasks);
    }
    mr_workload_free(w);
}
END_TEST

/* Hu 1961: on a forest that grows together (an in-tree), tasks of 1, the longest way first is the best there is. */
START_TEST(critical_path_is_best_on_in_trees)
{
    mr_rand_seed(&dice, 25, 0);
    for (int k = 0; k < 20; k++) {
        instance x = {.n = 9, .m = 2 + below(2)};
        for (int i = 0; i < x.n; i++) {
            x.p[i] = 1;
            if (i < x.n - 1) /* each but the root has one successor */
                x.preds[i + 1 + below(x.n - 1 - i)] |= 1u << i;
        }
        ck_assert_int_eq(makespan(&x, "critical-path"), optimum(&x));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policies: theory");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, lists_are_within_graham, 0, (int)(sizeof lists / sizeof lists[0]));
    tcase_add_test(t, the_bound_is_tight);
    tcase_add_loop_test(t, the_anomalies, 0, 4);
    tcase_add_test(t, lpt_is_within_its_bound);
    tcase_add_test(t, one_slot_against_every_order);
    tcase_add_loop_test(t, fair_is_within_the_bound_of_sfq, 0, 6);
    tcase_add_test(t, heft_takes_80_and_cpop_86);
    tcase_add_test(t, critical_path_is_best_on_in_trees);
    suite_add_tcase(s, t);
    return run_suite(s);
}
