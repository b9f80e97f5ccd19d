/* test_policy_preempt.c: time slices and preemption in virtual time, on schedules that the real control made: what the
 * textbooks promise of round robin, SRPT, preemptive EDF and the multi-level feedback queue, on one slot; and that any
 * stops at all lose nothing, on several.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "run_suite.h"
#include "unit/helper_policy.h"
#include "unit/helper_sim.h"

#define S INT64_C(1000000000)
#define MS INT64_C(1000000)
enum { MOST = 12 };

typedef struct job {
    int from, takes, due; /* due: absolute, 0: none */
} job;

static mr_rand dice;

static int below(int n)
{
    return (int)mr_rand_below(&dice, (uint64_t)n);
}

/* Times in units of `unit` ns. */
static helper_run run_with(const job *v, int n, int64_t unit, const char *policy, const char *const *settings,
                           int64_t change)
{
    static helper_lines l;
    l.n = 0;
    helper_line(&l, "{\"platform\": {\"nodes\": [{\"cpus\": 1}]}}");
    for (int i = 0; i < n; i++) {
        char due[60] = "";
        double u = (double)unit / 1e9;
        if (v[i].due)
            snprintf(due, sizeof due, ", \"deadline_s\": %.9g", (v[i].due - v[i].from) * u);
        helper_line(&l, "{\"id\": \"t%d\", \"arrival_s\": %.9g, \"duration_s\": %.9g%s}", i, v[i].from * u,
                    v[i].takes * u, due);
    }
    mr_workload *w = helper_lines_read(&l);
    mr_sim_conf conf;
    mr_sim_conf_init(&conf);
    conf.know = MR_SIM_EXACT;
    conf.change = change;
    helper_run r = helper_policy_run(w, policy, settings, &conf);
    ck_assert_msg(r.status == MR_OK, "%s: %s", policy, r.err.text);
    ck_assert_msg(!r.policy_error[0], "%s", r.policy_error);
    ck_assert_uint_eq(r.stats.refused, 0);
    mr_workload_free(w);
    return r;
}

static helper_run run(const job *v, int n, const char *policy)
{
    return run_with(v, n, S, policy, NULL, 0);
}

static int64_t flow(const helper_run *r, int n)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += r->tasks[i].ended - r->tasks[i].submitted;
    return sum;
}

/* ----------------------------------------------------------------------------------------------- round robin -- */

/* Arpaci-Dusseau, chapter 7: three jobs of 5, a slice of 1: responses 0, 1, 2; they end at 13, 14, 15. */
START_TEST(rr_as_in_the_book)
{
    const job v[] = {{0, 5, 0}, {0, 5, 0}, {0, 5, 0}};
    helper_run r = run_with(v, 3, MS, "rr", (const char *[]){"quantum", "1ms", NULL}, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(r.tasks[i].started, i * MS);
        ck_assert_int_eq(r.tasks[i].ended, (13 + i) * MS);
    }
    free(r.tasks);
}
END_TEST

/* Like a queue on paper: the head runs for a quantum and goes to the end, behind whoever came meanwhile. */
START_TEST(rr_is_a_queue_on_paper)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        job v[MOST];
        int left[MOST], ends[MOST], queue[400], head = 0, tail = 0, next = 0, now = 0, done = 0, n, q;
        char quantum[20];
        mr_rand_seed(&dice, seed, 1);
        n = 1 + below(8);
        q = 1 + below(4);
        for (int i = 0; i < n; i++) {
            v[i] = (job){(i ? v[i - 1].from : 0) + below(6), 1 + below(9), 0};
            left[i] = v[i].takes;
        }
        while (done < n) {
            while (next < n && v[next].from <= now)
                queue[tail++] = next++;
            if (head == tail) {
                now = v[next].from;
                continue;
            }
            int i = queue[head++], runs = left[i] < q ? left[i] : q;
            now += runs;
            left[i] -= runs;
            while (next < n && v[next].from <= now)
                queue[tail++] = next++;
            if (left[i]) {
                queue[tail++] = i;
            } else {
                ends[i] = now;
                done++;
            }
        }
        snprintf(quantum, sizeof quantum, "%ds", q);
        helper_run r = run_with(v, n, S, "rr", (const char *[]){"quantum", quantum, NULL}, 0);
        for (int i = 0; i < n; i++)
            ck_assert_msg(r.tasks[i].ended == ends[i] * S && r.tasks[i].ran == v[i].takes * S,
                          "seed %d, task %d: ended at %lld, on paper %d", (int)seed, i, (long long)r.tasks[i].ended,
                          ends[i]);
        free(r.tasks);
    }
}
END_TEST

/* What going on costs is all that is added, once for each time; what runs alone is not stopped at all. */
START_TEST(switches_cost_what_they_cost)
{
    const job v[] = {{0, 10, 0}, {0, 10, 0}};
    const char *const quantum[] = {"quantum", "2ms", NULL};
    helper_run r = run_with(v, 2, MS, "rr", quantum, 300000);
    ck_assert_uint_eq(r.stats.stops, 10); /* each: 2 ms, then 1.7 of every 2, and 1.2 to the end */
    ck_assert_int_eq(r.end, 20 * MS + (int64_t)r.stats.stops * 300000);
    free(r.tasks);
    r = run_with(v, 1, MS, "rr", quantum, 300000);
    ck_assert_uint_eq(r.stats.stops, 0);
    ck_assert_int_eq(r.end, 10 * MS);
    free(r.tasks);
}
END_TEST

/* A slice of nothing is min_slice: the run ends. */
START_TEST(no_slice_is_too_short)
{
    const job v[] = {{0, 5, 0}, {0, 5, 0}};
    helper_run r = run_with(v, 2, MS, "rr", (const char *[]){"quantum", "0ms", NULL}, 500000);
    ck_assert_uint_le(r.stats.stops, 20);
    free(r.tasks);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- SRPT -- */

/* The least sum of times in the system, by trying at each unit of time every job that is there.  Without idling the
 * clock follows from what is left, so that is all there is to remember. */
typedef struct best {
    const job *v;
    int n, base[MOST];
    int64_t *known;
} best;

static int64_t least(best *b, int *left, int now)
{
    int key = 0, soonest = INT32_MAX;
    bool any = false;
    for (int i = 0; i < b->n; i++) {
        key += left[i] * b->base[i];
        any |= left[i] > 0;
        if (left[i] > 0 && b->v[i].from < soonest)
            soonest = b->v[i].from;
    }
    if (!any)
        return 0;
    if (b->known[key])
        return b->known[key] - 1;
    now = now < soonest ? soonest : now;
    int64_t found = INT64_MAX;
    for (int i = 0; i < b->n; i++) {
        if (!left[i] || b->v[i].from > now)
            continue;
        left[i]--;
        int64_t sum = least(b, left, now + 1) + (left[i] ? 0 : now + 1 - b->v[i].from);
        left[i]++;
        found = sum < found ? sum : found;
    }
    b->known[key] = found + 1;
    return found;
}

START_TEST(srpt_is_the_best_there_is)
{
    uint64_t stops = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        job v[MOST];
        int left[MOST], states = 1;
        mr_rand_seed(&dice, seed, 2);
        best b = {.v = v, .n = 2 + below(4)};
        for (int i = 0; i < b.n; i++) {
            v[i] = (job){below(8), 1 + below(6), 0};
            b.base[i] = states;
            states *= v[i].takes + 1;
            left[i] = v[i].takes;
        }
        b.known = calloc((size_t)states, sizeof *b.known);
        helper_run r = run(v, b.n, "srpt");
        ck_assert_msg(flow(&r, b.n) == least(&b, left, 0) * S, "seed %d", (int)seed);
        stops += r.stats.stops;
        free(b.known);
        free(r.tasks);
    }
    ck_assert_uint_gt(stops, 10);
}
END_TEST

/* Arpaci-Dusseau, chapter 7: one of 100 at 0, two of 10 at 10: 50 in the mean. */
START_TEST(stcf_as_in_the_book)
{
    const job v[] = {{0, 100, 0}, {10, 10, 0}, {10, 10, 0}};
    helper_run r = run(v, 3, "srpt");
    ck_assert_int_eq(flow(&r, 3), 3 * 50 * S);
    ck_assert_uint_eq(r.stats.stops, 1);
    free(r.tasks);
}
END_TEST

/* -------------------------------------------------------------------------------------------------------- EDF -- */

/* All deadlines are met exactly if in every interval the work that must be done inside it fits. */
START_TEST(edf_meets_what_can_be_met)
{
    int feasible = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        job v[MOST];
        bool possible = true, met = true;
        mr_rand_seed(&dice, seed, 3);
        int n = 3 + below(5);
        for (int i = 0; i < n; i++) {
            int from = (i ? v[i - 1].from : 0) + below(8), takes = 1 + below(8);
            v[i] = (job){from, takes, from + takes + below(17)};
        }
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n; k++) {
                int demand = 0;
                for (int x = 0; x < n; x++)
                    demand += v[x].from >= v[i].from && v[x].due <= v[k].due ? v[x].takes : 0;
                possible = possible && (v[k].due <= v[i].from || demand <= v[k].due - v[i].from);
            }
        helper_run r = run(v, n, "deadline");
        for (int i = 0; i < n; i++)
            met = met && r.tasks[i].ended <= v[i].due * S;
        ck_assert_msg(met == possible, "seed %d: possible %d, met %d", (int)seed, possible, met);
        feasible += possible;
        free(r.tasks);
    }
    ck_assert_int_gt(feasible, 20);
    ck_assert_int_lt(feasible, 80);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- MLFQ -- */

/* What yields before its allotment is used up stays on top, however often it comes; a long one sinks level by level and
 * is what runs between; nothing is known of either. */
START_TEST(mlfq_demotes_by_use)
{
    job v[MOST] = {{0, 400, 0}};
    for (int i = 1; i < 8; i++)
        v[i] = (job){50 * i, 5, 0};
    helper_run r = run_with(v, 8, MS, "mlfq", NULL, 0);
    for (int i = 1; i < 8; i++)
        ck_assert_int_eq(r.tasks[i].ended, (50 * i + 5) * MS);
    ck_assert_int_eq(r.tasks[0].ended, (400 + 7 * 5) * MS);
    free(r.tasks);
    /* Two alike: 10 ms each on the first level, 20 on the second, then 40 in turns. */
    const job two[] = {{0, 100, 0}, {0, 100, 0}};
    r = run_with(two, 2, MS, "mlfq", NULL, 0);
    ck_assert_int_eq(r.tasks[1].started, 10 * MS);
    ck_assert_int_eq(r.tasks[0].ended, (10 + 10 + 20 + 20 + 40 + 40 + 30) * MS);
    ck_assert_int_eq(r.tasks[1].ended, 200 * MS);
    free(r.tasks);
}
END_TEST

/* Without the boost a stream of short jobs would let the long one never on. */
START_TEST(mlfq_starves_nobody)
{
    job v[MOST * 6] = {{0, 100, 0}};
    for (int i = 1; i <= 60; i++)
        v[i] = (job){70 + 10 * (i - 1), 10, 0};
    helper_run r = run_with(v, 61, MS, "mlfq", (const char *[]){"boost", "200ms", NULL}, 0);
    ck_assert_int_lt(r.tasks[0].ended, (70 + 600) * MS);
    free(r.tasks);
}
END_TEST

/* ------------------------------------------------------------------------------------------------- any stops -- */

static const mr_sched_host *host;

static mr_status any_open(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    *self = NULL;
    host = h;
    return MR_OK;
}

static int64_t any_slice(void *self, const mr_task *t, const mr_worker *w)
{
    (void)self;
    ck_assert(t->on == w->ref && w->task == t->ref);
    return (int64_t)(host->random(host) % 40) * 100 * MS - S;
}

static mr_ref any_preempt(void *self, const mr_task *t)
{
    (void)self;
    mr_ref r = MR_NONE;
    for (uint64_t n = host->random(host) % 3; n; n--)
        r = host->next(host, MR_RUNNING, t->ref, r);
    return r;
}

static double any_rank(void *self, const mr_task *t)
{
    (void)self;
    (void)t;
    return (double)(host->random(host) % 8);
}

static uint32_t order_of[256][8]; /* by task: what was told, as letters */
static void any_notice(void *self, const mr_notice *n)
{
    (void)self;
    static const char *const before[] = {"", "S", "SP", "R", "B", "B"}; /* S R B P E, by what may come before */
    int what = n->what == MR_BECAME_READY ? 2 : n->what == MR_STARTED ? 3 : n->what == MR_STOPPED ? 4 : 5;
    char *last = (char *)order_of[n->task->seq % 256];
    if (n->what == MR_SUBMITTED)
        *last = 'S';
    else if (n->what == MR_BECAME_READY || n->what == MR_STARTED || n->what == MR_STOPPED || n->what == MR_DONE) {
        if (!strchr(before[what], *last))
            ck_abort_msg("task %d was told %d after %c", (int)n->task->seq, (int)n->what, *last);
        *last = "  RBPE"[what];
    }
}

/* Two nodes, memory, tasks of one and two CPUs: every task runs for what it takes, pools are never overdrawn (the
 * report's own check), two runs are the same, and the policy is told each task's life in order. */
START_TEST(any_stops_lose_nothing)
{
    static const mr_sched_ops ops = {.open = any_open,
                                     .rank = any_rank,
                                     .slice = any_slice,
                                     .preempt = any_preempt,
                                     .notice = any_notice,
                                     .notices = 127};
    uint64_t stops = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        static helper_lines l;
        mr_sim_conf conf;
        uint64_t digest[2];
        mr_rand_seed(&dice, seed, 4);
        l.n = 0;
        helper_line(&l,
                    "{\"platform\": {\"nodes\": [{\"cpus\": 2, \"memory\": 1000}, {\"cpus\": 1, \"memory\": 500}]}}");
        for (int i = 0; i < 20; i++)
            helper_line(&l, "{\"id\": \"t%d\", \"arrival_s\": %d, \"duration_s\": %d, \"cpus\": %d, \"memory\": %d}", i,
                        below(20), 1 + below(9), 1 + below(2), below(400));
        mr_workload *w = helper_lines_read(&l);
        for (int k = 0; k < 2; k++) {
            mr_sim_conf_init(&conf);
            conf.seed = seed;
            conf.change = (int64_t)seed % 3 * 10 * MS;
            memset(order_of, 0, sizeof order_of);
            helper_run r = helper_sim_run(w, &ops, &conf);
            ck_assert_msg(r.status == MR_OK && !r.policy_error[0], "seed %d: %s %s", (int)seed, r.err.text,
                          r.policy_error);
            digest[k] = r.digest;
            stops += r.stats.stops;
            free(r.tasks);
        }
        ck_assert_uint_eq(digest[0], digest[1]);
        mr_workload_free(w);
    }
    ck_assert_uint_gt(stops, 500);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policies: preemption");
    TCase *t = tcase_create("all");
    suite_add_tcase(s, t);
    tcase_add_test(t, rr_as_in_the_book);
    tcase_add_test(t, rr_is_a_queue_on_paper);
    tcase_add_test(t, switches_cost_what_they_cost);
    tcase_add_test(t, no_slice_is_too_short);
    tcase_add_test(t, srpt_is_the_best_there_is);
    tcase_add_test(t, stcf_as_in_the_book);
    tcase_add_test(t, edf_meets_what_can_be_met);
    tcase_add_test(t, mlfq_demotes_by_use);
    tcase_add_test(t, mlfq_starves_nobody);
    tcase_add_test(t, any_stops_lose_nothing);
    return run_suite(s);
}
