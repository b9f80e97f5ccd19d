/* helper_probe.c: see helper_probe.h. */
#include "helper_probe.h"
#include "helper_probe_recount.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_SEEN = 0x5eed }; /* flags of a STOP that was looked at */

probe_state probe;

static uint64_t any_of(uint64_t n)
{
    return mr_rand_below(&probe.own, n);
}

seen *probe_of(mr_ref ref)
{
    if (ref < BASE || ref >= BASE + MOST) /* a passed ck_assert writes to a file: too slow here */
        ck_abort_msg("%llx is no task", (unsigned long long)ref);
    return &probe.tasks[ref - BASE];
}

/* ----------------------------------------------------------------------------------------------- looking around -- */

static bool may_ever(const mr_task *t, mr_ref node)
{
    for (mr_ref n = MR_NONE; (n = probe.h->next(probe.h, MR_NODES, t->ref, n));)
        if (n == node)
            return true;
    return false;
}

static mr_ref wild(void)
{
    uint64_t k = any_of(6);
    return k == 0   ? MR_NONE
           : k == 1 ? MR_REF_SLOT | any_of(9)
           : k == 2 ? MR_REF_NODE | any_of(5)
           : k == 3 ? mr_rand_next(&probe.own)
                    : BASE + any_of(MOST);
}

static void ask_everything(void)
{
    mr_edge e;
    mr_ref a = wild(), b = wild();
    (void)probe.h->worker(probe.h, a);
    (void)probe.h->node(probe.h, a);
    for (int l = MR_READY; l <= MR_NODES; l++)
        (void)probe.h->next(probe.h, (mr_list)l, a, b);
    (void)probe.h->first(probe.h, a, b, any_of(2));
    (void)probe.h->can(probe.h, a, b);
    (void)probe.h->cost(probe.h, a, b);
    int64_t copy = probe.h->copy(probe.h, 100, a, b);
    if (mr_ref_is_node(a) && probe.h->node(probe.h, a))
        OUGHT(P_RECOUNT, a != b || copy == 0);
    if (mr_ref_is_slot(a) && probe.h->worker(probe.h, a)) {
        const mr_worker *k = probe.h->worker(probe.h, a);
        const mr_task *x = k->task ? probe.h->task(probe.h, k->task) : NULL;
        OUGHT(P_RECOUNT,
              probe.h->next(probe.h, MR_RUNNING, a, MR_NONE) == (x && x->state == MR_RUNNING_NOW ? k->task : MR_NONE));
        const mr_task *t = probe.h->task(probe.h, b);
        if (probe_queued(t))
            OUGHT(P_RECOUNT, (probe.h->cost(probe.h, b, a) == INT64_MAX) == !may_ever(t, k->node));
    }
    (void)probe.h->missing(probe.h, a, b);
    (void)probe.h->edge(probe.h, a, any_of(2), (uint32_t)any_of(3), &e);
    (void)probe.h->label(probe.h, a, "x");
    (void)probe.h->text(probe.h, (uint32_t)any_of(50));
    (void)probe.h->random(probe.h);
    const mr_task *t = mr_ref_is_task(a) ? probe.h->task(probe.h, a) : NULL;
    if (a >= BASE && a < BASE + MOST && probe_of(a)->over)
        OUGHT(P_HANDLES, !t || probe.removed || t->kind == MR_ACTOR); /* made, it lives */
}

/* In a queue: ready, or stopped and told so. */
/* Room on a node, if `without` gave its own back. */
static bool room(const mr_task *t, mr_ref node, const mr_task *without)
{
    const mr_node *k = probe.h->node(probe.h, node);
    for (uint32_t i = 0; i < t->n_needs; i++) {
        int64_t have = 0;
        if (t->state == MR_STOPPED_NOW && t->needs[i].res != MR_RES_CPU)
            continue;
        for (uint32_t r = 0; r < k->n_res; r++)
            have += k->free[r].res == t->needs[i].res ? k->free[r].amount : 0;
        for (uint32_t r = 0; without && r < without->n_needs && t->needs[i].res == MR_RES_CPU; r++)
            have += without->needs[r].res == MR_RES_CPU ? without->needs[r].amount : 0;
        if (have < t->needs[i].amount)
            return false;
    }
    return true;
}

/* Of a function with max_running = 1: does one of it run or travel?  A stopped one counts, and goes on. */
static bool capped(const mr_task *t)
{
    const char *fn = probe.h->text(probe.h, t->fn);
    for (mr_ref r = BASE; fn && !strcmp(fn, "one") && t->state != MR_STOPPED_NOW && r < BASE + MOST; r++) {
        const mr_task *x = probe.h->task(probe.h, r);
        if (x && x->fn == t->fn &&
            (x->state == MR_RUNNING_NOW || x->state == MR_TRAVELLING || x->state == MR_STOPPED_NOW))
            return true;
    }
    return false;
}

static bool could(const mr_task *t, const mr_worker *k)
{
    return probe_queued(t) && !k->task && may_ever(t, k->node) && room(t, k->node, NULL) && !capped(t);
}

static bool in_group(const mr_task *t)
{
    const char *fn = t ? probe.h->text(probe.h, t->fn) : NULL;
    return fn && !strcmp(fn, "in");
}

/* A bundle's room is its own; CPUs that blocked tasks lend are for their children first. */
static bool lent_or_grouped(const mr_task *t, const mr_worker *k)
{
    bool lent = in_group(t);
    for (mr_ref r = MR_NONE; k && !lent && (r = probe.h->next(probe.h, MR_RUNNING, k->node, r));)
        lent = probe.h->task(probe.h, r)->kind == MR_TASK && mr_ref_is_node(probe.h->task(probe.h, r)->on);
    return lent;
}

/* Whom `running(t)` must list, if nobody is on the way out: all that can be stopped and leave room. */
static uint64_t stops_that_help(const mr_task *t)
{
    uint64_t n = 0;
    for (mr_ref r = MR_NONE; !capped(t) && (r = probe.h->next(probe.h, MR_RUNNING, MR_NONE, r));) {
        const mr_task *x = probe.h->task(probe.h, r);
        bool cpu = x->n_needs && x->needs[0].res == MR_RES_CPU;
        n += x->kind == MR_TASK && x->state == MR_RUNNING_NOW && cpu && mr_ref_is_slot(x->on) &&
             x->started_at < probe.step_now && probe.step_now - x->started_at >= probe.min_slice &&
             !probe_of(r)->cancelled && may_ever(t, probe_node_of(x->on)) && room(t, probe_node_of(x->on), x);
    }
    return n;
}

static void running_for(const mr_task *t)
{
    uint64_t listed = 0;
    for (mr_ref r = MR_NONE; (r = probe.h->next(probe.h, MR_RUNNING, t->ref, r));)
        listed++;
    bool leaving = probe.mixed || probe.n_heirs || probe.failed;
    for (mr_ref r = BASE; r < BASE + MOST; r++)
        leaving = leaving || probe_of(r)->stopping || probe_of(r)->asked ||
                  (probe_of(r)->slice_at && probe_of(r)->slice_at <= probe.step_now);
    if (!leaving && t->state == MR_READY_NOW)
        OUGHT(P_RUNNING, listed == stops_that_help(t));
    for (mr_ref r = MR_NONE; (r = probe.h->next(probe.h, MR_RUNNING, t->ref, r));) {
        const mr_task *x = probe.h->task(probe.h, r);
        OUGHT(P_RUNNING,
              x && x->kind == MR_TASK && x->state == MR_RUNNING_NOW && may_ever(t, probe_node_of(x->on)) &&
                  mr_ref_is_slot(x->on) && in_group(t) == in_group(x) &&
                  (probe.n_heirs || in_group(t) || room(t, probe_node_of(x->on), x))); /* what others give up counts */
        OUGHT(P_RUNNING, x->started_at < probe.step_now && probe.step_now - x->started_at >= probe.min_slice &&
                             !probe_of(r)->stopping && !probe_of(r)->cancelled);
    }
}

/* ------------------------------------------------------------------------------------------------------- the ops -- */

static void record(int what, mr_ref ref)
{
    probe.digest =
        (probe.digest ^ ref ^ ((uint64_t)what << 56)) * UINT64_C(0x100000001b3) + (uint64_t)probe.h->now(probe.h);
}

/* What was answered to the last pick is judged when control speaks next. */
static void judge_answer(void)
{
    const mr_task *t = probe.answer.t ? probe.h->task(probe.h, probe.answer.t) : NULL;
    if (probe.answer.t && probe.answer.can)
        OUGHT(P_CAN, !probe_queued(t));
    else if (probe.answer.t && probe.answer.was_ready)
        OUGHT(P_CAN, probe_queued(t));
    probe.answer.t = MR_NONE;
}

static void enter(int what, mr_ref ref)
{
    OUGHT(P_ONE_AT_A_TIME, probe.depth == 0);
    OUGHT(P_EJECT, probe.opens == probe.closes + 1 && !probe.failed);
    OUGHT(P_INSTANT, probe.h->now(probe.h) == probe.step_now);
    probe.depth++;
    judge_answer();
    record(what, ref);
    if (any_of(4) == 0)
        ask_everything();
    if (any_of(10) == 0) {
        probe.wish = probe.wish < 0 ? 0 : probe.wish;
        int64_t at = probe.h->now(probe.h) + 1 + (int64_t)any_of(3000);
        probe.wish = probe.wish > 0 && probe.wish < at ? probe.wish : at;
        probe.h->wake(probe.h, at);
    }
    if (any_of(60) == 0) {
        probe.reranked = 3;
        probe.h->rerank(probe.h, any_of(2) ? MR_NONE : wild());
    }
}

static void in_phase(int p)
{
    OUGHT(P_ORDER, probe.phase <= p);
    probe.phase = p > probe.phase ? p : probe.phase;
}

/* It was stopped: for an heir, or its slice was over.  Whoever was to have the slot has it from here on. */
static void stopped(const mr_notice *n, seen *s)
{
    mr_ref r = n->task->ref;
    bool told_anew = probe.reranked && n->task->state == MR_STOPPED_NOW; /* to the next policy */
    OUGHT(P_SLICE, s->stopping || told_anew || s->blocked || (s->slice_at && s->slice_at <= probe.step_now));
    OUGHT(P_SLICE, n->ran >= 0);
    for (int i = 0; i < probe.n_heirs; i++)
        if (probe.heir[i].of == r)
            probe.heir[i].must = probe.n_heirs == 1 && n->task->state == MR_STOPPED_NOW &&
                                 probe_of(probe.heir[i].t)->last == 'R' &&
                                 probe.h->can(probe.h, probe.heir[i].t, probe.heir[i].slot);
    if (!s->stopping) /* nobody else was there: told, and not done */
        probe.phase = (int)(probe.last_seq = 0);
    s->goes_on = true;
}

static void transition(const mr_notice *n)
{
    seen *s = probe_of(n->task->ref);
    char was = s->last, now = n->what == MR_SUBMITTED      ? 'S'
                              : n->what == MR_BECAME_READY ? 'R'
                              : n->what == MR_STARTED      ? 'B'
                              : n->what == MR_STOPPED      ? 'P'
                              : n->what == MR_DONE         ? 'E'
                                                           : 'X';
    static const char *const after[][2] = {{"S", ""}, {"R", "SXP"}, {"B", "R"}, {"P", "B"}, {"E", "B"}, {"X", "SRB"}};
    bool fits = false;
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++)
        fits = fits || (after[i][0][0] == now &&
                        (now == 'S' ? was == 0 || ((probe.removed || n->task->kind == MR_ACTOR) && s->over)
                                    : was && strchr(after[i][1], was)));
    if (!fits)
        ck_abort_msg("MRTEST_SEED=%llu breaks promise 4: task %llx (kind %d) is told %c after %c",
                     (unsigned long long)probe.seed_now, (unsigned long long)n->task->ref, n->task->kind, now,
                     was ? was : '-');
    OUGHT(P_NOTICES, fits);
    s->last = now;
    if (now == 'P')
        stopped(n, s);
    if (now == 'R' && was != 'P')
        s->goes_on = false;
    if (now != 'R') {
        s->slice_at = 0;
        s->blocked = false;
    }
    if (strchr("PEX", now))
        s->stopping = s->asked = false;
    if (now == 'S') { /* a value that was lost with its node, an actor that died: made again by its own task */
        OUGHT(P_HANDLES, !s->over || probe.removed || n->task->kind == MR_ACTOR);
        s->again = s->over;
        s->over = s->cancelled = false;
        s->plans = 0;
    }
    if (now == 'R')
        s->ranks = s->places = 0;
    if (now == 'E')
        s->over = true;
    if (strchr("BPE", now)) /* it may have ended since: all of an instant is applied before it is told */
        OUGHT(P_NOTICES, n->worker != NULL);
}

static void p_notice(void *self, const mr_notice *n)
{
    (void)self;
    if (n->what == MR_WOKEN) {
        OUGHT(P_WAKE, probe.wish >= 0 && probe.step_now >= probe.wish);
        probe.wish = -1;
        probe.woken = true;
    }
    enter((int)n->what, n->task ? n->task->ref : 0);
    if (n->what == MR_SUBMITTED && !probe_of(n->task->ref)->over) /* what is made again is told in its turn */
        in_phase(1);
    else if (n->what == MR_BECAME_READY)
        in_phase(3);
    if (n->task)
        transition(n);
    probe.depth--;
}

static double p_rank(void *self, const mr_task *t)
{
    (void)self;
    enter(200, t->ref);
    seen *s = probe_of(t->ref);
    OUGHT(P_ONCE, s->last == 'R' && (s->ranks == 0 || probe.reranked));
    if (s->ranks++ == 0) {
        in_phase(4);
        OUGHT(P_ORDER, t->seq >= probe.last_seq);
        probe.last_seq = t->seq;
    }
    if (t->state != MR_STOPPED_NOW || !mr_ref_is_slot(t->on)) /* else it is only told, and never stops */
        running_for(t);
    probe.depth--;
    return any_of(6) ? (double)any_of(8) : INFINITY;
}

/* A place that t may have, or none. */
static mr_ref some_place(const mr_task *t)
{
    mr_ref list = any_of(2) ? MR_NODES : MR_WORKERS, pick = MR_NONE;
    uint64_t n = 0;
    for (mr_ref r = MR_NONE; any_of(3) && (r = probe.h->next(probe.h, (mr_list)list, t->ref, r));)
        if (any_of(++n) == 0)
            pick = r;
    return pick;
}

static void promise_to_send(const mr_task *t, mr_ref at)
{
    mr_ref node = mr_ref_is_slot(at) ? probe_node_of(at) : at;
    if (at && probe.h->missing(probe.h, t->ref, node) && probe.n_due < MOST) {
        probe.due[probe.n_due].t = t->ref;
        probe.due[probe.n_due++].node = (uint32_t)node - 1;
    }
}

static mr_ref p_place(void *self, const mr_task *t)
{
    (void)self;
    enter(201, t->ref);
    seen *s = probe_of(t->ref);
    in_phase(4);
    OUGHT(P_ONCE,
          s->last == 'R' && (s->places == 0 || probe.removed) && (s->at == MR_NONE || probe.removed || t->attempt > 1));
    OUGHT(P_ORDER, t->seq >= probe.last_seq);
    probe.last_seq = t->seq;
    OUGHT(P_ONCE, !s->goes_on); /* it goes on where it is */
    s->places++;
    mr_ref at = some_place(t);
    promise_to_send(t, at);
    probe.depth--;
    return at;
}

static mr_ref p_plan(void *self, const mr_task *t)
{
    (void)self;
    enter(202, t->ref);
    if (!probe_of(t->ref)->again)
        in_phase(2);
    OUGHT(P_ONCE, probe_of(t->ref)->plans++ == 0);
    probe.depth--;
    return probe_of(t->ref)->at = some_place(t);
}

static mr_ref some_ready(void)
{
    mr_ref pick = MR_NONE;
    uint64_t n = 0;
    for (mr_ref r = BASE; r < BASE + MOST; r++)
        if (probe_of(r)->last && any_of(++n) == 0)
            pick = r;
    return pick;
}

static mr_ref p_pick(void *self, const mr_worker *k)
{
    (void)self;
    OUGHT(P_SWEEP, !k->task);
    if (probe.phase == 5 && k->id <= probe.last_slot && !probe.reranked &&
        !probe.actor) /* a pass begins anew: something was taken in the last */
        OUGHT(P_SWEEP, probe.accepted);
    if (probe.phase != 5 || k->id <= probe.last_slot)
        probe.accepted = false;
    probe.last_slot = k->id;
    enter(203, k->ref);
    in_phase(5);
    probe.picks++;
    if (any_of(6) == 0)
        probe_recount();
    if (any_of(6) == 0)
        probe_pools();
    for (mr_ref r = any_of(3) ? probe.w.next_id : BASE; r < probe.w.next_id; r++) {
        const mr_task *x = probe_of(r)->last == 'R' ? probe.h->task(probe.h, r) : NULL;
        if (probe_queued(x) && capped(x))
            OUGHT(P_CAPS, !probe.h->can(probe.h, r, k->ref));
    }
    mr_ref first = probe.h->first(probe.h, MR_NONE, k->ref, any_of(2));
    OUGHT(P_CAN, !first || probe.h->can(probe.h, first, k->ref));
    mr_ref t = any_of(3) ? first : some_ready();
    const mr_task *v = t ? probe.h->task(probe.h, t) : NULL;
    if (probe_queued(v)) {
        running_for(v);
        probe_edges(v);
    }
    bool can = t && probe.h->can(probe.h, t, k->ref);
    OUGHT(P_CAN, lent_or_grouped(v, k) || can == could(v, k));
    OUGHT(P_CAN, !can || in_group(v) || could(v, k));
    if (probe_queued(v) && capped(v))
        OUGHT(P_CAPS, !can && first != t);
    probe.depth--;
    if (any_of(25) == 0) {
        probe.stopped = true;
        return MR_STOP;
    }
    if (any_of(5) == 0)
        return MR_NONE;
    probe.answer.t = t;
    probe.answer.can = can;
    probe.answer.was_ready = probe_queued(v);
    probe.accepted = probe.accepted || can;
    probe.actor = probe.actor || (can && v->kind == MR_ACTOR);
    return t;
}

static int64_t p_slice(void *self, const mr_task *t, const mr_worker *k)
{
    (void)self;
    enter(204, t->ref);
    seen *s = probe_of(t->ref);
    OUGHT(P_SLICE, s->last == 'B' && t->kind == MR_TASK && k && k->task == t->ref && t->started_at <= probe.step_now);
    int64_t ns = any_of(3) ? (int64_t)any_of(4) * 400 : -1, least = probe.min_slice > 1 ? probe.min_slice : 1;
    s->slice_at = ns < 0 ? 0 : probe.step_now + (ns > least ? ns : least);
    probe.depth--;
    return ns;
}

/* Whom would its stop let in?  Anybody, nobody, somebody wrong. */
static mr_ref p_preempt(void *self, const mr_task *t)
{
    (void)self;
    enter(205, t->ref);
    OUGHT(P_ORDER, probe.phase < 6 || t->rank >= probe.last_rank);
    in_phase(6);
    probe.last_rank = t->rank;
    OUGHT(P_ORDER, probe_queued(t) && (!probe_of(t->ref)->goes_on || probe_of(t->ref)->stopped_at != probe.step_now));
    running_for(t);
    mr_ref pick = MR_NONE;
    uint64_t n = 0;
    for (mr_ref r = MR_NONE; (r = probe.h->next(probe.h, MR_RUNNING, t->ref, r));)
        if (any_of(++n) == 0)
            pick = r;
    probe.depth--;
    if (any_of(4) == 0)
        return any_of(2) ? MR_NONE : wild() == pick ? MR_NONE : t->ref;
    if (pick && probe.n_heirs < MOST) {
        probe_of(pick)->asked = true;
        probe.heir[probe.n_heirs].t = t->ref;
        probe.heir[probe.n_heirs].of = pick;
        probe.heir[probe.n_heirs].must = false;
        probe.heir[probe.n_heirs++].slot = probe.h->task(probe.h, pick)->on;
    }
    return pick;
}

static mr_status p_open(void **self, const mr_sched_host *host, mr_err *err)
{
    (void)err;
    *self = &probe.w;
    probe.h = host;
    probe.opens++;
    probe.wish = -1;
    probe.failed = false;
    return MR_OK;
}

static void p_close(void *self)
{
    OUGHT(P_EJECT, self == &probe.w);
    probe.closes++;
    OUGHT(P_EJECT, probe.closes <= probe.opens);
}

const mr_sched_ops probe_ops = {.notices = 127,
                                .open = p_open,
                                .close = p_close,
                                .rank = p_rank,
                                .place = p_place,
                                .plan = p_plan,
                                .pick = p_pick,
                                .slice = p_slice,
                                .preempt = p_preempt,
                                .notice = p_notice};

/* ------------------------------------------------------------------------------------------------------- a step -- */

void probe_see_stops(void)
{
    for (size_t i = 0; i < probe.w.n_seen; i++) {
        const mr_action *a = &probe.w.seen[i];
        if (a->kind != MR_ACT_STOP || a->flags == PROBE_SEEN)
            continue;
        probe.w.seen[i].flags = PROBE_SEEN;
        seen *s = probe_of(a->id);
        OUGHT(P_SLICE, !s->stopping && s->last == 'B' &&
                           (s->asked || s->blocked || (s->slice_at && s->slice_at <= probe.step_now)));
        s->stopping = true;
    }
}

/* Slices that are over were ended, stops are told with what follows, and who was let in is in. */
static void stops_are_done(void)
{
    for (mr_ref r = BASE; r < BASE + MOST; r++) {
        const seen *s = probe_of(r);
        OUGHT(P_SLICE, s->last != 'P');
        if (s->last == 'B' && !s->blocked && s->slice_at && s->slice_at <= probe.step_now)
            OUGHT(P_SLICE, s->stopping || s->cancelled);
    }
    int n = 0;
    for (int i = 0; i < probe.n_heirs; i++) {
        const mr_task *t = probe.h->task(probe.h, probe.heir[i].t);
        if (probe.heir[i].must && t)
            OUGHT(P_ORDER, !probe_queued(t) || probe_of(t->ref)->goes_on);
        if (probe_of(probe.heir[i].of)->stopping && probe_queued(t))
            probe.heir[n++] = probe.heir[i];
    }
    probe.n_heirs = n;
}

void probe_begin_step(int64_t later)
{
    probe.step_now = probe.w.now + later;
    probe.phase = 0;
    probe.last_seq = probe.picks = probe.n_due = 0;
    probe.accepted = probe.stopped = probe.woken = false;
    probe.actor = probe.n_heirs > 0;
    probe.reranked -= probe.reranked > 0;
    probe.answer.t = MR_NONE;
}

/* At least one argument was sent to where it was placed. */
static bool is_sent(mr_ref ref, uint32_t node)
{
    mr_spec s;
    bool any = false;
    if (mr_control_spec(probe.w.c, ref, &s))
        return true; /* it has ended since */
    for (uint32_t d = 0; d < s.n_deps; d++)
        any = any || (s.deps[d] >= BASE && s.deps[d] < BASE + MOST && probe.sent[s.deps[d] - BASE][node]);
    return any;
}

void probe_end_step(void)
{
    for (size_t i = 0; i < probe.w.n_seen; i++) {
        const mr_action *a = &probe.w.seen[i];
        if (a->kind == MR_ACT_TRANSFER && a->id >= BASE && a->id < BASE + MOST && a->node < NODES)
            probe.sent[a->id - BASE][a->node] = true;
    }
    for (int i = 0; i < probe.n_due && !probe.removed; i++)
        if (probe_of(probe.due[i].t)->last == 'R')
            OUGHT(P_SEND, is_sent(probe.due[i].t, probe.due[i].node));
    probe_see_stops();
    if (probe.opens == probe.closes + 1 && probe.h) {
        judge_answer();
        stops_are_done();
        OUGHT(P_WAKE, probe.wish < 0 || probe.wish > probe.step_now || !world_stats(&probe.w).tasks);
        bool idle = false, ready = false;
        for (mr_ref s = MR_NONE; (s = probe.h->next(probe.h, MR_WORKERS, MR_NONE, s));)
            idle = idle || !probe.h->worker(probe.h, s)->task;
        for (mr_ref r = BASE; r < BASE + MOST; r++) {
            const mr_task *t = probe.h->task(probe.h, r);
            ready = ready || probe_queued(t);
            if (probe_queued(t))
                running_for(t);
        }
        if (probe.woken && idle && ready && probe.seed_now % 4 != 1)
            OUGHT(P_WAKE, probe.picks > 0);
        if (probe.picks && idle && ready && !probe.stopped && !probe.reranked && !probe.actor)
            OUGHT(P_SWEEP, !probe.accepted);
    }
}
