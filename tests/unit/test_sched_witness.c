/* The bench host's own promises: a witness, written from sched.h alone, goes through every world of the conformance
 * suite as a plugin of its own, trusts nothing, answers by chance, and fails when a promise is broken.  What it says of
 * the bench host, test_control_probe.c says of control.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/conformance/bench_host.h"
#include "plugin/conformance/cases.h"
#include "run_suite.h"

enum { TASKS = BENCH_TASKS + 1, PROMISES = 20 };

typedef struct about {
    char last; /* of S R B P E X; 0: it was not told of */
    int ranks, places, plans;
    bool over, goes_on, planned;
    int64_t slice, ran; /* slice: -1: none */
    mr_ref at;          /* named by plan or place */
} about;

typedef struct witness {
    const mr_sched_host *h;
    about of[TASKS];
    bool inside, anew, reranks;
    int phase;
    int64_t at, wish, presence; /* at: the instant; presence: the last one in which the present was told */
    uint64_t last_seq, last_slot;
    double last_rank;
    bool took, preempts;
    mr_ref given;
    uint64_t n_events;
} witness;

static uint64_t checked[PROMISES]; /* over all worlds */

#define OUGHT(promise, cond)                                                                                           \
    do {                                                                                                               \
        checked[promise]++;                                                                                            \
        if (!(cond))                                                                                                   \
            (x->h->base->fail)(x->h->base, "promise %d: %s (line %d)", promise, #cond, __LINE__);                      \
    } while (0)

static uint64_t any(const witness *x, uint64_t n)
{
    return x->h->random(x->h) % n;
}

static bool waits(const mr_task *t)
{
    return t && (t->state == MR_READY_NOW || t->state == MR_STOPPED_NOW);
}

static mr_ref node_of(const witness *x, mr_ref at)
{
    const mr_worker *w = mr_ref_is_slot(at) ? x->h->worker(x->h, at) : NULL;
    return w ? w->node : at;
}

static int64_t amount(const mr_amount *v, uint32_t n, uint32_t res)
{
    for (uint32_t i = 0; i < n; i++)
        if (v[i].res == res)
            return v[i].amount;
    return 0;
}

/* ---- 8, 13: lists, loads, amounts */

static uint32_t queue(witness *x, mr_ref of)
{
    uint32_t n = 0;
    const mr_task *before = NULL;
    for (mr_ref r = MR_NONE; (r = x->h->next(x->h, MR_READY, of, r)); n++) {
        const mr_task *t = x->h->task(x->h, r);
        OUGHT(8,
              waits(t) && (!before || before->rank < t->rank || (before->rank == t->rank && before->entry < t->entry)));
        before = t;
    }
    return n;
}

static void recount(witness *x)
{
    uint32_t listed = queue(x, MR_NONE), told = 0;
    for (mr_ref n = MR_NONE; (n = x->h->next(x->h, MR_NODES, MR_NONE, n));) {
        const mr_node *k = x->h->node(x->h, n);
        uint32_t slots = 0;
        listed += queue(x, n);
        for (mr_ref w = MR_NONE; (w = x->h->next(x->h, MR_WORKERS, n, w)); slots++) {
            const mr_worker *s = x->h->worker(x->h, w);
            uint32_t own = queue(x, w);
            OUGHT(8, s->ref == w && s->node == n && s->load == own + (s->task != MR_NONE));
            listed += own;
        }
        OUGHT(8, slots == k->n_workers);
        for (uint32_t i = 0; i < k->n_res; i++) {
            int64_t sum = k->free[i].amount;
            for (mr_ref r = MR_NONE; (r = x->h->next(x->h, MR_RUNNING, n, r));) {
                const mr_task *t = x->h->task(x->h, r);
                OUGHT(13, t && node_of(x, t->on) == n);
                bool lends = t->kind == MR_TASK && mr_ref_is_node(t->on) && k->free[i].res == MR_RES_CPU;
                sum += lends ? 0 : amount(t->needs, t->n_needs, k->free[i].res);
            }
            OUGHT(13, sum == k->total[i].amount);
        }
    }
    for (int i = 1; i < TASKS; i++)
        told += x->of[i].last == 'R' && waits(x->h->task(x->h, (mr_ref)i));
    OUGHT(8, listed == told);
}

/* ---- 9: whose stop alone lets t start */

static bool may_ever(const witness *x, const mr_task *t, mr_ref node)
{
    for (mr_ref n = MR_NONE; (n = x->h->next(x->h, MR_NODES, t->ref, n));)
        if (n == node)
            return true;
    return false;
}

static bool room(const witness *x, const mr_task *t, mr_ref node, const mr_task *without)
{
    const mr_node *k = x->h->node(x->h, node);
    for (uint32_t i = 0; i < t->n_needs; i++) {
        uint32_t res = t->needs[i].res;
        if (amount(k->free, k->n_res, res) + (without ? amount(without->needs, without->n_needs, res) : 0) <
            t->needs[i].amount)
            return false;
    }
    return true;
}

static void stops_for(witness *x, const mr_task *t)
{
    bool listed[TASKS] = {false};
    uint32_t others = 0; /* of its function, that have begun: there may be a cap */
    for (mr_ref r = MR_NONE; (r = x->h->next(x->h, MR_RUNNING, t->ref, r));)
        listed[r < TASKS ? r : 0] = true;
    for (int i = 1; i < TASKS; i++) {
        const mr_task *r = x->h->task(x->h, (mr_ref)i);
        others += r && r->ref != t->ref && r->fn == t->fn && r->state >= MR_TRAVELLING;
    }
    for (int i = 1; i < TASKS; i++) {
        const mr_task *r = x->h->task(x->h, (mr_ref)i);
        bool stoppable = r && r->kind == MR_TASK && r->state == MR_RUNNING_NOW && mr_ref_is_slot(r->on) &&
                         amount(r->needs, r->n_needs, MR_RES_CPU) > 0 &&
                         amount(r->needs, r->n_needs, MR_RES_GPU) == 0 && x->at - r->started_at >= BENCH_MIN_SLICE;
        bool helps = stoppable && may_ever(x, t, node_of(x, r->on)) && room(x, t, node_of(x, r->on), r);
        bool there = waits(t) && (t->state != MR_STOPPED_NOW || (r && node_of(x, r->on) == node_of(x, t->on)));
        OUGHT(9, !listed[i] || (helps && there));
        OUGHT(9, listed[i] || !helps || !there || others || x->of[t->ref].at); /* a cap, inputs on their way */
    }
}

/* ---- entering an op: 1, 2, 11, 15 */

static void wild(witness *x)
{
    mr_edge e;
    mr_ref v[] = {MR_NONE, any(x, TASKS), MR_REF_SLOT | any(x, 20), MR_REF_NODE | any(x, 9), x->h->random(x->h)};
    mr_ref a = v[any(x, 5)], b = v[any(x, 5)];
    const mr_task *t = x->h->task(x->h, a);
    OUGHT(15, !t || t->ref == a);
    if (mr_ref_is_task(a) && a < TASKS && x->of[a].over)
        OUGHT(15, !t && !x->h->can(x->h, a, b) && x->h->cost(x->h, a, b) == INT64_MAX &&
                      x->h->next(x->h, MR_RUNNING, a, MR_NONE) == MR_NONE && !x->h->edge(x->h, a, true, 0, &e));
    (void)x->h->worker(x->h, a);
    (void)x->h->node(x->h, a);
    for (int l = MR_READY; l <= MR_NODES; l++)
        (void)x->h->next(x->h, (mr_list)l, a, b);
    (void)x->h->first(x->h, a, b, any(x, 2));
    (void)x->h->copy(x->h, 100, a, b);
    (void)x->h->missing(x->h, a, b);
    (void)x->h->label(x->h, a, "x");
    (void)x->h->text(x->h, (uint32_t)any(x, 50));
}

static void enter(witness *x, int phase)
{
    OUGHT(1, !x->inside);
    x->inside = true;
    int64_t now = x->h->now(x->h);
    if (now != x->at) {
        OUGHT(2, now > x->at);
        x->at = now;
        x->phase = 0;
        x->last_seq = 0;
        x->took = x->preempts = x->anew = x->reranks = false;
        x->last_rank = -INFINITY;
    }
    /* What was given a slot is out of the queue before anything else is said. */
    const mr_task *t = x->given ? x->h->task(x->h, x->given) : NULL;
    OUGHT(7, !x->given || !t || !waits(t) || x->of[x->given].last == 'P');
    x->given = MR_NONE;
    OUGHT(3, phase < 0 || x->preempts || x->anew || phase >= x->phase); /* below 0: at any time */
    x->phase = phase > x->phase ? phase : x->phase;
    OUGHT(11, phase < 6 || x->wish > now || x->anew);
    if (any(x, 4) == 0)
        wild(x);
    if (any(x, 40) == 0) {
        int64_t at = now + 1 + (int64_t)any(x, 5 * BENCH_MS);
        x->wish = at < x->wish ? at : x->wish;
        x->h->wake(x->h, at);
    }
    if (any(x, 100) == 0) {
        x->reranks = true;
        x->h->rerank(x->h, MR_NONE);
    }
}

static void leave(witness *x)
{
    x->inside = false;
}

/* ---- 4, 10, 12: notices */

static void told_started(witness *x, const mr_notice *n, about *a)
{
    const mr_task *t = n->task;
    OUGHT(4, n->worker && (t->state == MR_RUNNING_NOW || x->presence == x->at));
    if (x->presence != x->at) {
        OUGHT(12, t->on == n->worker->ref && x->h->missing(x->h, t->ref, n->worker->node) == 0);
    }
    a->slice = -1;
}

static void told_stopped(witness *x, const mr_notice *n, about *a)
{
    OUGHT(10, n->worker && n->ran >= 0 && n->task->state == MR_STOPPED_NOW);
    OUGHT(10, x->preempts || a->slice < 0 || n->ran == a->slice);
    OUGHT(10, x->preempts || a->slice >= 0 || x->presence >= 0);
    a->goes_on = true;
}

static void told_submitted(witness *x, const mr_notice *n)
{
    OUGHT(3, n->task->seq > x->last_seq || x->phase > 1);
    x->last_seq = n->task->seq;
}

static void notice(void *self, const mr_notice *n)
{
    witness *x = self;
    if (n->what == MR_WOKEN) {
        OUGHT(11, x->wish <= x->h->now(x->h));
        x->wish = INT64_MAX;
        enter(x, 5);
        leave(x);
        return;
    }
    static const char marks[] = "SRBPEX";
    static const char *const after[] = {"\1", "SXP", "R", "B", "B", "SRB"};
    int k = 0;
    while (1 << k != (int)n->what)
        k++;
    about *a = &x->of[n->task->ref];
    bool first = !x->n_events++;
    if (first && x->h->now(x->h) > 0 && n->what == MR_SUBMITTED)
        x->presence = x->h->now(x->h);
    enter(x, n->what == MR_SUBMITTED ? 1 : n->what == MR_BECAME_READY ? 3 : -1);
    OUGHT(4, n->what == MR_SUBMITTED ? !a->last : a->last && strchr(after[k], a->last));
    a->last = marks[k];
    if (n->what == MR_SUBMITTED)
        told_submitted(x, n);
    if (n->what == MR_BECAME_READY) {
        a->ranks = a->places = 0;
        a->goes_on = n->task->state == MR_STOPPED_NOW;
        x->last_seq = 0;
    }
    if (n->what == MR_STARTED)
        told_started(x, n, a);
    if (n->what == MR_STOPPED)
        told_stopped(x, n, a);
    if (n->what == MR_DROPPED)
        a->planned = false;
    a->over = a->over || (n->what == MR_DONE && n->task->kind == MR_TASK);
    leave(x);
}

/* ---- 3, 5, 6, 7, 10, 14: questions */

static double ask_rank(void *self, const mr_task *t)
{
    witness *x = self;
    about *a = &x->of[t->ref];
    bool first = a->ranks++ == 0;
    enter(x, first ? 4 : -1);
    OUGHT(5, a->last == 'R' && waits(t));
    OUGHT(5, first || x->reranks || x->anew || x->n_events > 0);
    if (first && !x->preempts) {
        OUGHT(3, t->seq >= x->last_seq);
        x->last_seq = t->seq;
    }
    leave(x);
    return any(x, 5) ? (double)any(x, 6) : INFINITY;
}

static mr_ref some_place(const witness *x, const mr_task *t)
{
    mr_list list = any(x, 2) ? MR_NODES : MR_WORKERS;
    mr_ref best = MR_NONE;
    uint64_t n = 0;
    for (mr_ref r = MR_NONE; any(x, 3) && (r = x->h->next(x->h, list, t->ref, r));)
        best = any(x, ++n) == 0 ? r : best;
    return best;
}

static mr_ref ask_place(void *self, const mr_task *t)
{
    witness *x = self;
    about *a = &x->of[t->ref];
    enter(x, 4);
    OUGHT(5, a->last == 'R' && a->places++ == 0 && !a->goes_on && !a->planned);
    leave(x);
    return a->at = some_place(x, t);
}

static mr_ref ask_plan(void *self, const mr_task *t)
{
    witness *x = self;
    about *a = &x->of[t->ref];
    enter(x, 2);
    OUGHT(5, a->last == 'S' && a->plans++ == 0);
    leave(x);
    a->at = some_place(x, t);
    a->planned = a->at != MR_NONE;
    return a->at;
}

static mr_ref ask_pick(void *self, const mr_worker *w)
{
    witness *x = self;
    bool anew = x->phase < 6 || x->preempts || x->h->now(x->h) != x->at;
    enter(x, 6);
    OUGHT(6, w->task == MR_NONE && x->h->worker(x->h, w->ref) == w);
    OUGHT(6, anew || w->id > x->last_slot || x->took); /* a round begins when something was taken in the last */
    if (anew || w->id <= x->last_slot)
        x->took = false;
    x->last_slot = w->id;
    if (any(x, 40) == 0)
        recount(x);
    mr_ref t = MR_NONE;
    const mr_ref queues[] = {w->ref, w->node, MR_NONE};
    for (int i = 0; i < 3; i++) {
        mr_ref r = MR_NONE, first = x->h->first(x->h, queues[i], w->ref, false);
        t = t ? t : first;
        if (any(x, 20))
            continue;
        while ((r = x->h->next(x->h, MR_READY, queues[i], r)) && r != first)
            OUGHT(14, !x->h->can(x->h, r, w->ref)); /* who can not start is stepped over */
        OUGHT(8, r == first && (!first || x->h->can(x->h, first, w->ref)));
    }
    for (uint64_t k = any(x, 4); k > 0; k--) {
        mr_ref r = 1 + any(x, TASKS - 1);
        const mr_task *v = x->h->task(x->h, r);
        bool can = x->h->can(x->h, r, w->ref);
        if (waits(v) && any(x, 10) == 0)
            stops_for(x, v);
        OUGHT(7, !can || (waits(v) && may_ever(x, v, w->node) && room(x, v, w->node, NULL)));
        OUGHT(12, !can || !x->of[r].at || node_of(x, x->of[r].at) != w->node ||
                      x->h->missing(x->h, r, w->node) == 0); /* where it was sent it is offered on arrival */
        t = can ? r : t;
    }
    leave(x);
    for (int i = 1; !t && i < TASKS; i++) /* in another's queue */
        t = x->h->can(x->h, (mr_ref)i, w->ref) ? (mr_ref)i : MR_NONE;
    bool busy = false;
    for (mr_ref r = MR_NONE; !busy && (r = x->h->next(x->h, MR_RUNNING, MR_NONE, r));)
        busy = x->h->task(x->h, r)->kind == MR_TASK;
    if (busy && any(x, 30) == 0)
        return MR_STOP;
    x->given = t;
    x->took = x->took || t;
    return t;
}

static int64_t ask_slice(void *self, const mr_task *t, const mr_worker *w)
{
    witness *x = self;
    about *a = &x->of[t->ref];
    enter(x, -1);
    OUGHT(10, a->last == 'B' && t->kind == MR_TASK && w && w->task == t->ref && t->state == MR_RUNNING_NOW);
    leave(x);
    int64_t ns = any(x, 3) ? -1 : (int64_t)any(x, 4 * BENCH_MS);
    a->slice = ns < 0 ? -1 : ns < BENCH_MIN_SLICE ? BENCH_MIN_SLICE : ns;
    return ns;
}

static mr_ref ask_preempt(void *self, const mr_task *t)
{
    witness *x = self;
    enter(x, 7);
    OUGHT(3, waits(t));
    if (any(x, 4) == 0)
        stops_for(x, t);
    leave(x);
    mr_ref best = MR_NONE;
    uint64_t n = 0;
    for (mr_ref r = MR_NONE; any(x, 3) == 0 && (r = x->h->next(x->h, MR_RUNNING, t->ref, r));)
        best = any(x, ++n) == 0 ? r : best;
    x->preempts = x->preempts || best;
    return best;
}

/* ---- 18, 19: opening and closing */

static mr_status open_witness(void **self, const mr_sched_host *h, mr_err *err)
{
    witness *x = h->base->alloc(h->base, sizeof *x);
    if (!x)
        return err->status = MR_E_NOMEM;
    x->h = h;
    x->at = x->presence = -1;
    x->wish = INT64_MAX;
    *self = x;
    return MR_OK;
}

/* Half of the instances stop nobody. */
static void wants(void *self, mr_sched_wants *out)
{
    if (any(self, 2))
        out->ops &= ~(uint32_t)(MR_OP_PREEMPT | MR_OP_SLICE);
}

static void close_witness(void *self)
{
    witness *x = self;
    OUGHT(18, !x->inside);
    x->h->base->free(x->h->base, x);
}

static const mr_sched_ops ops = {.notices = 127,
                                 .requires = MR_REQ_PREEMPT,
                                 .open = open_witness,
                                 .close = close_witness,
                                 .wants = wants,
                                 .rank = ask_rank,
                                 .place = ask_place,
                                 .plan = ask_plan,
                                 .pick = ask_pick,
                                 .slice = ask_slice,
                                 .preempt = ask_preempt,
                                 .notice = notice};
static const mr_plugin plugin = {MR_PLUGIN_MAGIC,
                                 MR_ABI_MAJOR,
                                 MR_ABI_MINOR,
                                 MR_KIND_SCHED,
                                 sizeof ops,
                                 "sched-witness",
                                 "trusts nothing",
                                 NULL,
                                 0,
                                 &ops};

START_TEST(the_bench_host_keeps_its_promises)
{
    mr_loaded l = {.plugin = &plugin, .ops.sched = ops};
    ck_assert_int_eq(mr_sched_conformance(&l, NULL, stdout), 0);
    static const int not_here[] = {16, 17, 19}; /* of worlds, not of questions: cases of their own */
    for (int p = 1; p < PROMISES; p++)
        ck_assert_msg(checked[p] || p == not_here[0] || p == not_here[1] || p == not_here[2],
                      "promise %d was never put to the test", p);
}
END_TEST

/* ---- 18 */

static int ranks, closes;

static mr_status open_brittle(void **self, const mr_sched_host *h, mr_err *err)
{
    (void)err;
    *self = (void *)(uintptr_t)h;
    return MR_OK;
}

static void close_brittle(void *self)
{
    (void)self;
    closes++;
}

static double rank_brittle(void *self, const mr_task *t)
{
    const mr_sched_host *h = self;
    if (++ranks == 10)
        (h->base->fail)(h->base, "enough");
    return -(double)t->seq;
}

START_TEST(one_that_failed_is_closed_and_all_is_done)
{
    mr_loaded l = {.plugin = &plugin,
                   .ops.sched = {.open = open_brittle, .close = close_brittle, .rank = rank_brittle}};
    mr_bench *b = mr_bench_new(&l, NULL, 1);
    ck_assert_ptr_nonnull(b);
    mr_bench_add_node(b, 2, 0, 0);
    for (int i = 0; i < 40; i++)
        mr_bench_add_task(b, &(mr_bench_spec){.arrival = i * BENCH_MS, .duration = 5 * BENCH_MS});
    ck_assert(!mr_bench_run(b));
    ck_assert_str_eq(b->failure, "enough");
    ck_assert_int_eq(ranks, 10);
    ck_assert_int_eq(closes, 1);
    for (int i = 0; i < b->n_tasks; i++) {
        ck_assert_int_eq(b->task[i].ends, 1);
        ck_assert(i < 20 || b->task[i].first_start >= b->task[i - 1].first_start); /* first in, first out again */
    }
    mr_bench_free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("the bench host's promises");
    TCase *t = tcase_create("all");
    tcase_add_test(t, the_bench_host_keeps_its_promises);
    tcase_add_test(t, one_that_failed_is_closed_and_all_is_done);
    suite_add_tcase(s, t);
    return run_suite(s);
}
