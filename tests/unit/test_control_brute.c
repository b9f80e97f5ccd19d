/* test_control_brute.c: 1,000 seeded histories, each told to control and to a brute-force model of it, which must agree
 * after every step: on each task (where it is, its node, process, attempt), each object and how many hold it, each
 * pool, each actor and process, and on what was said: what is dispatched where, which waits are over, which errors are
 * made.
 *
 * MRTEST_HISTORIES=100000 runs more of them; MRTEST_SEED=n runs that one and prints each event.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "helper_brute.h"
#include "helper_brute_ends.h"
#include "helper_brute_policy.h"
#include "helper_brute_step.h"
#include "helper_brute_stops.h"
#include "helper_control.h"
#include "helper_stops.h"
#include "run_suite.h"

enum { SHARE = 100, STEPS = 150, FUNCS = 10, METHOD = FUNCS };

/* max_retries + 1 attempts; an actor's are its lives. */
static const b_func funcs[FUNCS + 1] = {
    {.name = "f", .needs = "CPU=1", .cpu = MR_RES_UNIT, .tries = 1, .shape = 0},
    {.name = "g", .needs = "CPU=1", .cpu = MR_RES_UNIT, .tries = 3, .shape = 0},
    {.name = "wide", .needs = "CPU=2 memory=50", .cpu = 2 * MR_RES_UNIT, .memory = 50, .tries = -1, .shape = 1},
    {.name = "none", .needs = "", .tries = 2, .shape = 2},
    {.name = "half", .needs = "CPU=0.5", .cpu = MR_RES_UNIT / 2, .tries = 2, .shape = 3},
    {.name = "memory", .needs = "memory=40", .memory = 40, .tries = 1, .shape = 4},
    {.name = "other", .needs = "CPU=1", .cpu = MR_RES_UNIT, .tries = 2, .env = 3, .shape = 5},
    {.name = "few", .needs = "CPU=1", .cpu = MR_RES_UNIT, .tries = 2, .env = 4, .max_calls = 2, .shape = 6},
    {.name = "A", .kind = MR_FUNC_ACTOR, .cpu = MR_RES_UNIT, .tries = 2, .concurrency = 1, .shape = 7},
    {.name = "B",
     .kind = MR_FUNC_ACTOR,
     .cpu = MR_RES_UNIT,
     .memory = 20,
     .living = 20,
     .tries = 1,
     .concurrency = 3,
     .shape = 8},
    {.name = "m", .kind = MR_FUNC_METHOD, .tries = 2, .shape = 9},
};

static world w;
static brute b;
static mr_rand dice;
static uint32_t number[FUNCS + 1];
static uint64_t seed_now;
static bool loud;
static char last[200];

static uint64_t below(uint64_t n)
{
    return mr_rand_below(&dice, n);
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

#define WRONG(...) wrong(__LINE__, __VA_ARGS__)
static void wrong(int line, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
static void wrong(int line, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ck_abort_msg("MRTEST_SEED=%llu, line %d, after %s: %s", (unsigned long long)seed_now, line, last, text);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(last, sizeof last, fmt, args);
    va_end(args);
    if (loud)
        printf("%s\n", last);
}

/* ----------------------------------------------------------------------------------------------------- comparing -- */

typedef unsigned long long ull;

static int seen_as(const b_task *t)
{
    if (t->stopped)
        return MR_STOPPED_NOW;
    switch (t->state) {
    case B_READY:
    case B_CALL:
        return MR_READY_NOW;
    case B_PROCESS:
        return MR_TRAVELLING;
    case B_RUN:
    case B_FLIGHT:
    case B_LIVING:
        return MR_RUNNING_NOW;
    default:
        return MR_WAITING;
    }
}

static void compare_tasks(void)
{
    uint32_t n = 0;
    uint64_t at = 0;
    B_EACH_TASK(&b, t)
    n += brute_alive(t);
    for (mr_task_info i; mr_control_task_next(w.c, &at, &i);) {
        if (i.state == MR_OVER)
            continue;
        const b_task *t = brute_task(&b, i.task);
        if (!brute_alive(t))
            WRONG("task %llu should be over, is %d", (ull)i.task, i.state);
        n--;
        if (i.state != seen_as(t) || i.attempt != t->attempt || i.worker != t->worker || i.owner != t->owner ||
            i.blocked != (t->blocks > 0) || (t->node >= 0 && i.node != (uint32_t)t->node))
            WRONG("task %llu: state %d attempt %u worker %u owner %u node %u blocked %d, should be %d %u %u %u %d %d",
                  (ull)i.task, i.state, i.attempt, i.worker, i.owner, i.node, i.blocked, seen_as(t), t->attempt,
                  t->worker, t->owner, t->node, t->blocks > 0);
    }
    if (n)
        WRONG("%u living tasks are missing", n);
}

static void compare_objects(void)
{
    uint32_t holders[B_MOST];
    brute_holders(&b, holders);
    for (uint32_t i = 0; i < b.n_ids; i++) {
        mr_object_info o = mr_control_object(w.c, B_BASE + i);
        if (o.state != b.objects[i].state || (o.state && o.holders != holders[i]))
            WRONG("object %u: state %d and %u holders, should be %d and %u", B_BASE + i, o.state, o.holders,
                  b.objects[i].state, holders[i]);
        mr_actor_info a = {0};
        mr_control_actor(w.c, B_BASE + i, &a);
        if (a.state != b.actors[i].state || a.worker != b.actors[i].worker)
            if (a.state != b.actors[i].state || a.state == MR_ACTOR_ALIVE)
                WRONG("actor %u: state %d on %u, should be %d on %u", B_BASE + i, a.state, a.worker, b.actors[i].state,
                      b.actors[i].worker);
    }
}

static void compare_rest(void)
{
    mr_control_stats s = world_stats(&w);
    if (s.finished != b.finished || s.failed != b.failed || s.cancelled != b.cancelled || s.retried != b.retried)
        WRONG("finished, failed, cancelled, retried: %llu %llu %llu %llu, should be %llu %llu %llu %llu",
              (ull)s.finished, (ull)s.failed, (ull)s.cancelled, (ull)s.retried, (ull)b.finished, (ull)b.failed,
              (ull)b.cancelled, (ull)b.retried);
    for (uint32_t i = 0; i < b.n_nodes; i++) {
        mr_node_info n;
        int64_t memory, lent, cpu = brute_free_cpu(&b, (int)i, &memory, &lent);
        mr_control_node(w.c, i, &n);
        if (n.free[MR_RES_CPU] != cpu || n.free[MR_RES_MEMORY] != memory)
            WRONG("node %u has %lld CPU and %lld memory free, should be %lld and %lld", i,
                  (long long)n.free[MR_RES_CPU], (long long)n.free[MR_RES_MEMORY], (long long)cpu, (long long)memory);
    }
    for (uint32_t i = 1; i <= b.n_procs; i++) {
        mr_worker_info k = {0};
        mr_control_worker(w.c, i, &k);
        const b_proc *p = &b.procs[i];
        if ((int)k.state != p->state || (p->state && (k.node != (uint32_t)p->node || k.env != p->env)) ||
            (p->state && p->state != MR_PROC_RETIRING && k.task != p->task))
            WRONG("process %u: state %u, task %llu, should be %d and %llu", i, k.state, (ull)k.task, p->state,
                  (ull)p->task);
    }
}

static bool told(const mr_action *a, const b_told *x)
{
    if (a->kind != x->kind || (a->id != x->id && a->kind != MR_ACT_DELIVER))
        return false;
    if (a->kind == MR_ACT_DISPATCH)
        return a->worker == x->worker && a->attempt == x->attempt && a->value == x->value;
    if (a->kind == MR_ACT_STOP || a->kind == MR_ACT_CONTINUE)
        return a->worker == x->worker && a->attempt == x->attempt;
    if (a->kind == MR_ACT_DELIVER)
        return a->client == x->client && a->token == x->token && a->status == MR_OK;
    return a->kind == MR_ACT_ALIAS || a->fault.status == x->status;
}

/* Each thing said is taken once; dispatches of tasks in their order. */
static void compare_told(void)
{
    uint32_t n = 0;
    int64_t before = -1;
    for (size_t i = 0; i < w.n_seen; i++) {
        const mr_action *a = &w.seen[i];
        static const uint64_t kinds = UINT64_C(1) << MR_ACT_DISPATCH | UINT64_C(1) << MR_ACT_DELIVER |
                                      UINT64_C(1) << MR_ACT_FAIL | UINT64_C(1) << MR_ACT_ALIAS |
                                      UINT64_C(1) << MR_ACT_STOP | UINT64_C(1) << MR_ACT_CONTINUE;
        if (!(kinds >> a->kind & 1))
            continue;
        uint32_t k = 0;
        while (k < b.n_told && !told(a, &b.told[k]))
            k++;
        if (k == b.n_told)
            WRONG("action %d of %llu (worker %u attempt %u value %lld status %d) was not due", a->kind, (ull)a->id,
                  a->worker, a->attempt, (long long)a->value, a->status ? a->status : a->fault.status);
        b.told[k].kind = MR_ACT_NONE;
        if (a->kind == MR_ACT_DISPATCH && a->value >= 0) {
            if (k < before)
                WRONG("task %llu was dispatched out of order", (ull)a->id);
            before = k;
        }
        n++;
    }
    if (n != b.n_told)
        for (uint32_t k = 0; k < b.n_told; k++)
            if (b.told[k].kind)
                WRONG("%u actions, should be %u: %d of %llu is missing", n, b.n_told, b.told[k].kind,
                      (ull)b.told[k].id);
    world_forget(&w);
}

static void compare(void)
{
    compare_told();
    const char *asked = brute_policy_compare(&b);
    if (asked)
        WRONG("%s", asked);
    compare_tasks();
    compare_objects();
    compare_rest();
}

/* -------------------------------------------------------------------------------------------------------- choice -- */

/* One of those that satisfy a condition, each as likely. */
#define CHOOSE(var, from, to, condition)                                                                               \
    uint32_t var = UINT32_MAX;                                                                                         \
    for (uint32_t i = (from), n_found_ = 0; i < (to); i++)                                                             \
        if ((condition) && one_in(++n_found_))                                                                         \
    var = i

static bool may_finish(uint32_t i)
{
    const b_task *t = &b.tasks[i];
    bool sent = t->state == B_FLIGHT && (!b_ordered(&b, t->actor) || !brute_before_in_flight(&b, t));
    return (t->state == B_RUN || t->stopped || sent) && !t->blocks && !t->revoking;
}

static void submit(void)
{
    uint32_t f = (uint32_t)below(FUNCS), n_returns = 1 + (uint32_t)below(3), n_ids = 0, n_deps = 0;
    mr_id ids[B_ARGS], actor = 0;
    CHOOSE(a, 0, b.n_ids,
           b.actors[i].state && b.objects[i].state && (b.actors[i].state == MR_ACTOR_ALIVE || one_in(4)));
    if (a != UINT32_MAX && one_in(2)) {
        f = METHOD;
        actor = B_BASE + a;
    } else if (funcs[f].kind == MR_FUNC_ACTOR) {
        n_returns = 1;
    }
    CHOOSE(by, 0, b.n_ids, (b.tasks[i].state == B_RUN || b.tasks[i].state == B_FLIGHT) && !b.tasks[i].blocks);
    if (by != UINT32_MAX && one_in(2)) {
        w.client = b.tasks[by].worker;
        w.parent = b.tasks[by].id;
    }
    for (uint32_t left = (uint32_t)below(B_ARGS + 1); left; left--) {
        CHOOSE(x, 0, b.n_ids, b.objects[i].state != MR_OBJ_NONE && (i + 30 > b.n_ids || one_in(4)));
        if (x != UINT32_MAX)
            ids[n_ids++] = B_BASE + x;
    }
    n_deps = n_ids ? (uint32_t)below(n_ids + 1) : 0;
    mr_id id = w.next_id;
    say("submit %s %llu (%u results) by %u in %llu to %llu: %u of %u arguments: %llu %llu", funcs[f].name, (ull)id,
        n_returns, w.client, (ull)w.parent, (ull)actor, n_deps, n_ids, n_ids > 0 ? (ull)ids[0] : 0,
        n_ids > 1 ? (ull)ids[1] : 0);
    bool unheard = one_in(2);
    brute_submit(&b, &funcs[f], id, n_returns, ids, n_deps, n_ids, w.client, w.parent, actor, unheard);
    mr_id got = world_call(&w, (call){.func = number[f],
                                      .actor = actor,
                                      .flags = unheard ? MR_SUBMIT_UNHEARD : 0,
                                      .n_returns = n_returns,
                                      .n_deps = n_deps,
                                      .n_refs = n_ids - n_deps,
                                      .ids = ids});
    if (got != id)
        WRONG("it was refused: %d %s", w.last, mr_control_why(w.c));
    w.client = 0;
    w.parent = 0;
}

/* What a value holds: up to two older objects (a circle would hold itself for ever). */
static void inside(mr_id in[3], uint32_t before)
{
    in[0] = in[1] = in[2] = 0;
    for (uint64_t k = 0, n = below(3); k < n; k++) {
        CHOOSE(x, 0, b.n_ids < before ? b.n_ids : before, b.objects[i].state != MR_OBJ_NONE);
        in[k] = x == UINT32_MAX ? 0 : B_BASE + x;
    }
}

static void finish(void)
{
    CHOOSE(i_task, 0, b.n_ids, may_finish(i));
    if (i_task == UINT32_MAX)
        return;
    const b_task *t = &b.tasks[i_task];
    mr_id id = t->id;
    mr_status outcome = !one_in(4) ? MR_OK : one_in(4) ? MR_E_CANCELLED : MR_E_TASK;
    for (uint32_t i = 1; i < t->n_returns; i++) {
        if (b.objects[i_task + i].state != MR_OBJ_PENDING || one_in(6))
            continue;
        mr_id in[3];
        inside(in, i_task);
        say("sealed %llu with %llu %llu inside", (ull)id + i, (ull)in[0], (ull)in[1]);
        brute_sealed(&b, id, i, in);
        world_seal(&w, id, i, 0, 0, in);
        compare();
    }
    if (!may_finish(i_task))
        return;
    bool retriable = one_in(2);
    say("finished %llu: %d%s", (ull)id, outcome, retriable ? ", retriable" : "");
    brute_finished(&b, id, outcome, retriable);
    world_finish_as(&w, id, outcome, MR_FINISHED_RESULT | (retriable ? MR_FINISHED_RETRIABLE : 0), 1000);
}

/* What processes owe: births, deaths of those that are being killed, leaving, answers to a revoke. */
static void answer(void)
{
    CHOOSE(p, 1, b.n_procs + 1,
           b.procs[i].killing || b.procs[i].state == MR_PROC_STARTING || b.procs[i].state == MR_PROC_RETIRING);
    CHOOSE(t, 0, b.n_ids, b.tasks[i].revoking);
    CHOOSE(s, 0, b.n_ids, b.tasks[i].stopping);
    if (s != UINT32_MAX && !one_in(3)) {
        int64_t ran = one_in(2) ? MR_UNKNOWN : (int64_t)below(1000);
        say("stopped %u, ran %lld", B_BASE + s, (long long)ran);
        brute_stopped(&b, B_BASE + s, ran);
        world_stopped(&w, B_BASE + s, ran);
    } else if (t != UINT32_MAX) {
        bool ok = !one_in(3);
        say("revoked %llu: %d", (ull)b.tasks[t].id, ok);
        brute_revoked(&b, b.tasks[t].id, ok);
        world_revoked(&w, B_BASE + t, ok);
    } else if (p != UINT32_MAX && b.procs[p].killing) {
        say("killed %u", p);
        brute_died(&b, p, MR_E_CRASHED);
        world_die(&w, p, MR_DEATH_SIGNAL, 9);
    } else if (p != UINT32_MAX && b.procs[p].state == MR_PROC_STARTING) {
        say("up %u", p);
        brute_up(&b, p);
        world_up(&w, p);
    } else if (p != UINT32_MAX) {
        say("retired %u", p);
        brute_retired(&b, p);
        world_retired(&w, p);
    }
}

static void die(void)
{
    CHOOSE(p, 1, b.n_procs + 1, b.procs[i].state != MR_PROC_GONE);
    if (p == UINT32_MAX)
        return;
    bool oom = one_in(3) && b.procs[p].state != MR_PROC_STARTING;
    say("died %u", p);
    brute_died(&b, p, oom ? MR_E_OOM : MR_E_CRASHED);
    world_die(&w, p, oom ? MR_DEATH_OOM : MR_DEATH_SIGNAL, 9);
}

static void cancel(void)
{
    CHOOSE(t, 0, b.n_ids, brute_alive(&b.tasks[i]));
    if (t == UINT32_MAX)
        return;
    uint32_t flags = (uint32_t)below(4) & (b.tasks[t].actor ? MR_CANCEL_RECURSIVE : 3u);
    say("cancel %u, flags %u", B_BASE + t, flags);
    brute_cancel(&b, B_BASE + t, flags);
    world_cancel(&w, B_BASE + t, flags);
}

static void kill_actor(void)
{
    CHOOSE(a, 0, b.n_ids, b.actors[i].state && b.actors[i].state != MR_ACTOR_DEAD);
    if (a == UINT32_MAX)
        return;
    bool for_good = one_in(2);
    say("kill %u%s", B_BASE + a, for_good ? " for good" : "");
    brute_kill(&b, B_BASE + a, for_good);
    world_kill(&w, B_BASE + a, for_good ? MR_KILL_NO_RESTART : 0);
}

static void block(void)
{
    mr_id ids[3] = {0}, task = 0;
    uint32_t n = 1 + (uint32_t)below(2), client = 0;
    if (!b.n_ids)
        return;
    CHOOSE(t, 0, b.n_ids,
           (b.tasks[i].state == B_RUN || b.tasks[i].stopped || b.tasks[i].state == B_FLIGHT) && !b.tasks[i].revoking);
    if (t != UINT32_MAX && !one_in(4)) {
        task = b.tasks[t].id;
        client = b.tasks[t].worker;
    }
    for (uint32_t k = 0; k < n; k++) {
        CHOOSE(x, 0, b.n_ids, b.objects[i].state == MR_OBJ_PENDING || one_in(10));
        ids[k] = B_BASE + (x == UINT32_MAX ? 0 : x);
    }
    /* With a time limit of its own: who is stuck is another question. */
    uint32_t flags = MR_WAIT_TIMED | (one_in(2) ? MR_WAIT_EARLY : 0) | (task && !b.tasks[t].actor ? MR_WAIT_LEND : 0);
    uint32_t need = 1 + (uint32_t)below(n);
    say("task %llu on %u waits for %u of %llu %llu, flags %u", (ull)task, client, need, (ull)ids[0], (ull)ids[1],
        flags);
    brute_blocked(&b, client, w.next_token + 1, task, need, flags, ids, n);
    world_block(&w, client, task, need, flags, ids);
}

static void unblock(void)
{
    CHOOSE(i_wait, 0, b.n_waits, b.waits[i].open);
    if (i_wait == UINT32_MAX)
        return;
    uint32_t client = b.waits[i_wait].client, token = b.waits[i_wait].token;
    say("client %u waits no more (%u)", client, token);
    brute_unblocked(&b, client, token);
    world_unblock(&w, client, token);
}

static uint32_t some_client(void)
{
    CHOOSE(p, 1, b.n_procs + 1, b.procs[i].state > MR_PROC_STARTING);
    return p == UINT32_MAX || one_in(2) ? 0 : p;
}

static void refs(bool add)
{
    uint32_t client = add ? some_client() : 0;
    if (!add && one_in(2))
        client = some_client();
    CHOOSE(x, 0, b.n_ids, add ? b.objects[i].state != MR_OBJ_NONE : b.procs[client].holds[i]);
    if (x == UINT32_MAX)
        return;
    say("client %u %s %u", client, add ? "holds" : "drops", B_BASE + x);
    brute_refs(&b, client, B_BASE + x, add);
    w.client = client;
    (add ? world_hold : world_drop)(&w, B_BASE + x);
    w.client = 0;
}

static void put(void)
{
    mr_id in[3];
    inside(in, B_MOST);
    w.client = some_client();
    say("client %u puts %llu with %llu %llu inside", w.client, (ull)w.next_id, (ull)in[0], (ull)in[1]);
    brute_put(&b, w.next_id, w.client, in);
    world_put(&w, 0, 0, in);
    w.client = 0;
}

static void give_up(void)
{
    CHOOSE(x, 0, b.n_ids, b.objects[i].state == MR_OBJ_SEALED);
    if (x == UINT32_MAX)
        return;
    struct {
        mr_ev_none e;
        mr_id id;
    } e = {.e = {.h = {.kind = MR_EV_FREE, .n_ids = 1}}, .id = B_BASE + x};
    say("free %u", B_BASE + x);
    brute_free(&b, B_BASE + x);
    world_step(&w, &e);
}

static void pass(int64_t later)
{
    say("time +%lld", (long long)later);
    brute_time(&b, later);
    world_time(&w, later);
}

static void remove_node(void)
{
    if (b.n_nodes < 2 || b.nodes[1].gone)
        return;
    say("node 1 leaves");
    brute_remove_node(&b, 1);
    world_remove_node(&w, 1);
}

static void act(void)
{
    uint64_t d = below(100);
    if (d < 24 && b.n_ids + 4 < B_MOST)
        submit();
    else if (d < 42)
        finish();
    else if (d < 54)
        answer();
    else if (d < 57)
        die();
    else if (d < 62)
        cancel();
    else if (d < 64)
        kill_actor();
    else if (d < 70)
        block();
    else if (d < 73)
        unblock();
    else if (d < 80)
        refs(one_in(2));
    else if (d < 83 && b.n_ids + 4 < B_MOST)
        put();
    else if (d < 84)
        give_up();
    else if (d == 84 && one_in(3))
        remove_node();
    else
        pass((int64_t)below(b.preempts ? 6 : 12) * 500000);
}

/* ----------------------------------------------------------------------------------------------------- histories -- */

static void history(uint64_t seed)
{
    seed_now = seed;
    mr_rand_seed(&dice, seed, 3);
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.prefetch = 0;
    w.conf.idle_worker = MR_UNKNOWN;
    w.conf.actor_window = 1 + (uint32_t)below(4);
    w.conf.min_slice = one_in(2) ? 0 : 1000000;
    w.hold_births = true;
    brute_new(&b, w.conf.actor_window);
    b.min_slice = w.conf.min_slice;
    b.seed = seed;
    b.ask_at = -1;
    if (!one_in(3)) {
        b.slices = !one_in(3);
        b.preempts = !b.slices || one_in(2);
    }
    bool wide = one_in(2);
    world_new(&w, wide ? "CPU=4 memory=100" : "CPU=2 memory=100");
    brute_node(&b, wide ? 4 : 2, 100);
    if (one_in(2)) {
        world_node(&w, "CPU=1 memory=60");
        brute_node(&b, 1, 60);
    }
    for (int i = 0; i <= FUNCS; i++) {
        const b_func *f = &funcs[i];
        number[i] = world_define(&w, (spec){.name = f->name,
                                            .needs = f->needs,
                                            .living = f->living ? "memory=20" : NULL,
                                            .kind = f->kind,
                                            .env = f->env,
                                            .retries = f->tries < 0 ? -1 : f->tries - 1,
                                            .restarts = f->tries < 0 ? -1 : f->tries - 1,
                                            .concurrency = (int32_t)f->concurrency,
                                            .max_calls = (int32_t)f->max_calls});
    }
    brute_policy_install(&w, &b);
    world_forget(&w);
    for (int i = 0; i < STEPS; i++) {
        act();
        compare();
    }
    world_free(&w);
}

START_TEST(agrees)
{
    const char *seed = getenv("MRTEST_SEED");
    loud = seed != NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint64_t i = 0; i < (loud ? 1 : SHARE); i++)
        history(loud ? strtoull(seed, NULL, 10) : (uint64_t)_i * SHARE + i);
}
END_TEST

int main(void)
{
    const char *histories = getenv("MRTEST_HISTORIES");
    int shares = getenv("MRTEST_SEED") ? 1 : histories ? atoi(histories) / SHARE : 10;
    Suite *s = suite_create("control: against a brute-force model");
    TCase *t = tcase_create("all");
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, agrees, 0, shares);
    return run_suite(s);
}
