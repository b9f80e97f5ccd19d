/* test_control_actors.c: actors and calls: placement, names, order, restart, death. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "helper_control.h"
#include "run_suite.h"

static world w;
static uint32_t cls, method;

static void setup(void)
{
    memset(&w, 0, sizeof w);
    world_new(&w, "CPU=2");
    cls = world_define(&w, (spec){.name = "Counter", .kind = MR_FUNC_ACTOR});
    method = world_define(&w, (spec){.name = "Counter.add", .kind = MR_FUNC_METHOD});
}

static void teardown(void)
{
    world_free(&w);
}

static mr_id born(uint32_t f)
{
    mr_id a = world_run(&w, f);
    ck_assert(a);
    world_time(&w, 1);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 10), MR_OK);
    return a;
}

static mr_id call_of(mr_id a)
{
    return world_call(&w, (call){.func = method, .actor = a, .n_returns = 1});
}

static mr_actor_state state(mr_id a)
{
    mr_actor_info i = {0};
    return mr_control_actor(w.c, a, &i) ? i.state : MR_ACTOR_NONE;
}

START_TEST(placed_with_one_cpu_lives_with_none)
{
    mr_id a = world_run(&w, cls);
    world_time(&w, 1);
    ck_assert_int_eq(world_free_cpu(&w, 0), MR_RES_UNIT);
    ck_assert_int_eq(state(a), MR_ACTOR_PENDING);
    mr_id early = call_of(a);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, early));
    world_finish_as(&w, a, MR_OK, 0, 10);
    ck_assert_int_eq(state(a), MR_ACTOR_ALIVE);
    ck_assert_int_eq(world_free_cpu(&w, 0), 2 * MR_RES_UNIT);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, early));
    world_finish(&w, early);
    world_drop(&w, early);
    world_drop(&w, a);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_RETIRE, 0, &x));
    world_retired(&w, x.worker);
    ck_assert_int_eq(state(a), MR_ACTOR_NONE);
    world_nothing_left(&w);
}
END_TEST

START_TEST(stated_resources_are_kept)
{
    uint32_t f = world_define(
        &w, (spec){.name = "Keeps", .kind = MR_FUNC_ACTOR, .living = "CPU=2", .flags = MR_FUNC_EXPLICIT_CPU});
    mr_id a = born(f), b = world_run(&w, f);
    world_time(&w, 1);
    ck_assert_int_eq(world_free_cpu(&w, 0), 0);
    ck_assert(!world_worker(&w, b));
    world_kill(&w, a, MR_KILL_NO_RESTART);
    world_time(&w, 1);
    ck_assert(world_worker(&w, b));
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_KILL, 0, &x));
    world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
}
END_TEST

START_TEST(calls_of_one_caller_keep_their_order)
{
    mr_id a = born(cls), x = world_run(&w, world_func(&w, "slow", NULL));
    mr_id c1 = call_of(a);
    mr_id c2 = world_call(&w, (call){.func = method, .actor = a, .n_returns = 1, .n_deps = 1, .ids = &x});
    mr_id c3 = call_of(a);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, c1));
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, c2) && !world_sees(&w, MR_ACT_DISPATCH, c3));
    w.client = world_worker(&w, x);
    mr_id other = call_of(a); /* another caller is not held back */
    w.client = 0;
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, other));
    world_forget(&w);
    world_finish(&w, x);
    mr_action first, second;
    ck_assert(world_took(&w, MR_ACT_DISPATCH, 0, &first) && world_took(&w, MR_ACT_DISPATCH, 0, &second));
    ck_assert_uint_eq(first.id, c2);
    ck_assert_uint_eq(second.id, c3);
}
END_TEST

START_TEST(a_call_that_fails_lets_the_next_go)
{
    mr_id a = born(cls), x = world_run(&w, world_func(&w, "fails", NULL));
    mr_id held = world_call(&w, (call){.func = method, .actor = a, .n_returns = 1, .n_deps = 1, .ids = &x});
    mr_id next = call_of(a);
    world_time(&w, 1);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, next));
    world_finish_as(&w, x, MR_E_TASK, MR_FINISHED_RESULT, 1);
    ck_assert_int_eq(world_state(&w, held), MR_OBJ_ERROR);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, held));
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, next));
    world_finish(&w, next);
    ck_assert_int_eq(world_state(&w, next), MR_OBJ_SEALED);
}
END_TEST

/* How many times the user is told of an error. */
static size_t told(void)
{
    size_t n = 0;
    for (mr_action x; world_took(&w, MR_ACT_REPORT, 0, &x);)
        n += x.flags == MR_REPORT_UNHANDLED;
    return n;
}

START_TEST(an_actor_whose_calls_told_of_its_end_is_not_reported)
{
    mr_id a = world_run(&w, cls), x = call_of(a);
    world_time(&w, 1);
    world_finish_as(&w, a, MR_E_TASK, MR_FINISHED_RESULT, 10);
    world_drop(&w, a);
    ck_assert_uint_eq(told(), 0);
    mr_control_seen(w.c, x);
    world_drop(&w, x);
    ck_assert_uint_eq(told(), 0);
    mr_id b = world_run(&w, cls); /* nobody asks it for anything */
    world_time(&w, 1);
    world_finish_as(&w, b, MR_E_TASK, MR_FINISHED_RESULT, 10);
    world_drop(&w, b);
    ck_assert_uint_eq(told(), 1);
    mr_id killed = world_run(&w, cls);
    world_kill(&w, killed, MR_KILL_NO_RESTART);
    world_drop(&w, killed);
    ck_assert_uint_eq(told(), 0);
}
END_TEST

START_TEST(a_window_of_calls_is_sent_ahead)
{
    mr_id a = born(cls), last = 0;
    world_forget(&w);
    for (int i = 0; i < 400; i++)
        last = call_of(a);
    ck_assert_uint_eq(world_count(&w, MR_ACT_DISPATCH), w.conf.actor_window);
    mr_actor_info info;
    mr_control_actor(w.c, a, &info);
    ck_assert_uint_eq(info.pending, 400);
    for (mr_id i = last - 399; i <= last; i++)
        ck_assert_int_eq(world_finish(&w, i), MR_OK);
    mr_control_actor(w.c, a, &info);
    ck_assert_uint_eq(info.pending, 0);
}
END_TEST

START_TEST(names)
{
    const char name[] = "default\0counter";
    call k = {.func = cls, .n_returns = 1, .name = name, .name_bytes = sizeof name};
    mr_id a = world_call(&w, k);
    mr_action x;
    ck_assert(a);
    ck_assert_uint_eq(world_call(&w, k), 0);
    ck_assert_int_eq(w.last, MR_E_NAME_TAKEN);
    ck_assert_str_eq(mr_control_why(w.c),
                     "the name \"counter\" is already taken in namespace \"default\" by a living actor");
    k.flags = MR_SUBMIT_GET_IF_EXISTS;
    world_call(&w, k);
    ck_assert(world_took(&w, MR_ACT_REPLY, 0, &x));
    ck_assert_int_eq(x.value, (int64_t)a);
    struct {
        mr_ev_none e;
        char text[16];
    } r = {.e = {.h = {.kind = MR_EV_NAME, .n_bytes = sizeof name, .token = 77}}};
    memcpy(r.text, name, sizeof name);
    ck_assert_int_eq(world_step(&w, &r), MR_OK);
    ck_assert(world_took(&w, MR_ACT_REPLY, 0, &x));
    ck_assert_uint_eq(x.token, 77);
    ck_assert_int_eq(x.value, (int64_t)a);
    world_kill(&w, a, MR_KILL_NO_RESTART);
    ck_assert_int_eq(world_step(&w, &r), MR_E_NOTFOUND);
    ck_assert(world_took(&w, MR_ACT_REPLY, 0, &x));
    ck_assert_int_eq(x.status, MR_E_NOTFOUND);
    k.flags = 0;
    ck_assert(world_call(&w, k));
}
END_TEST

START_TEST(too_many_pending_calls)
{
    uint32_t f = world_define(&w, (spec){.name = "Few", .kind = MR_FUNC_ACTOR, .max_pending = 2});
    mr_id a = world_run(&w, f);
    ck_assert(call_of(a) && call_of(a));
    ck_assert_uint_eq(call_of(a), 0);
    ck_assert_int_eq(w.last, MR_E_PENDING_CALLS);
}
END_TEST

START_TEST(death_tells_the_truth)
{
    mr_id a = born(cls);
    mr_id calls[30];
    for (int i = 0; i < 30; i++)
        calls[i] = call_of(a);
    mr_actor_info info;
    mr_control_actor(w.c, a, &info);
    world_unbegun(&w, (mr_id[]){calls[29], 0}, MR_DEATH_SIGNAL);
    world_die(&w, info.worker, MR_DEATH_SIGNAL, 11);
    mr_action x;
    char text[200];
    ck_assert(world_took(&w, MR_ACT_FAIL, calls[0], &x));
    ck_assert_int_eq(x.fault.status, MR_E_ACTOR_DIED);
    ck_assert_uint_eq(x.fault.may_have_run, 1);
    ck_assert(world_took(&w, MR_ACT_FAIL, calls[29], &x));
    ck_assert_uint_eq(x.fault.may_have_run, 0);
    mr_fault_text(w.c, &x.fault, text, sizeof text);
    ck_assert_str_eq(text,
                     "actor Counter died: worker 4001 was killed by signal 11 (SIGSEGV); the call of Counter.add did "
                     "not run");
    mr_id late = call_of(a);
    ck_assert(late);
    ck_assert_int_eq(world_state(&w, late), MR_OBJ_ERROR);
    ck_assert(world_sees(&w, MR_ACT_FAIL, late));
    for (int i = 0; i < 30; i++)
        world_drop(&w, calls[i]);
    world_drop(&w, late);
    world_drop(&w, a);
    world_nothing_left(&w);
}
END_TEST

/* What a dead process had not claimed did not run: it goes to the next life, in its order, as the same attempt. */
START_TEST(what_was_not_begun_waits_for_the_next_life)
{
    mr_id a = born(world_define(&w, (spec){.name = "Again", .kind = MR_FUNC_ACTOR, .restarts = 1})), calls[4] = {0};
    mr_actor_info info;
    mr_action x;
    mr_control_actor(w.c, a, &info);
    mr_id first = call_of(a);
    for (int i = 0; i < 3; i++)
        calls[i] = call_of(a);
    ck_assert_int_eq(world_unbegun(&w, calls, MR_DEATH_EXIT), MR_OK);
    ck_assert(!world_worker(&w, calls[0]));
    world_die(&w, info.worker, MR_DEATH_EXIT, 1);
    ck_assert(world_took(&w, MR_ACT_FAIL, first, &x));
    ck_assert_int_eq(x.fault.status, MR_E_ACTOR_UNAVAILABLE);
    ck_assert(!world_sees(&w, MR_ACT_FAIL, 0));
    world_time(&w, 1);
    world_forget(&w);
    world_finish_as(&w, a, MR_OK, 0, 10);
    for (int i = 0; i < 3; i++) {
        ck_assert(world_took(&w, MR_ACT_DISPATCH, 0, &x));
        ck_assert_uint_eq(x.id, calls[i]);
        ck_assert_uint_eq(x.attempt, 1);
        world_finish(&w, calls[i]);
        world_drop(&w, calls[i]);
    }
    world_drop(&w, first);
    world_drop(&w, a);
    ck_assert(world_took(&w, MR_ACT_RETIRE, 0, &x));
    world_retired(&w, x.worker);
    world_nothing_left(&w);
}
END_TEST

START_TEST(killed_by_kill_is_told)
{
    mr_id a = born(cls), first = call_of(a);
    mr_action x;
    char text[200];
    world_kill(&w, a, MR_KILL_NO_RESTART);
    ck_assert(world_took(&w, MR_ACT_FAIL, first, &x));
    mr_fault_text(w.c, &x.fault, text, sizeof text);
    ck_assert_ptr_nonnull(
        strstr(text, "actor Counter died: the actor was killed by ray.kill; the call of Counter.add"));
    mr_id late = call_of(a);
    ck_assert(world_took(&w, MR_ACT_FAIL, late, &x));
    mr_fault_text(w.c, &x.fault, text, sizeof text);
    ck_assert_str_eq(text, "actor Counter died: the actor was killed by ray.kill; the call of Counter.add did not run");
    world_drop(&w, first);
    world_drop(&w, late);
    world_drop(&w, a);
}
END_TEST

START_TEST(restart)
{
    mr_id x = world_put(&w, 0, 0, NULL);
    uint32_t f = world_define(&w, (spec){.name = "Again", .kind = MR_FUNC_ACTOR, .restarts = 1});
    uint32_t twice = world_define(&w, (spec){.name = "Again.m", .kind = MR_FUNC_METHOD, .retries = 1});
    mr_id a = world_submit(&w, f, (mr_id[]){x, 0});
    world_time(&w, 1);
    world_finish_as(&w, a, MR_OK, 0, 1);
    world_drop(&w, x);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_SEALED); /* for the restart */
    mr_id once = call_of(a), again = world_call(&w, (call){.func = twice, .actor = a, .n_returns = 1});
    mr_actor_info info;
    mr_control_actor(w.c, a, &info);
    world_forget(&w);
    world_die(&w, info.worker, MR_DEATH_EXIT, 3);
    ck_assert_int_eq(state(a), MR_ACTOR_RESTARTING);
    ck_assert_int_eq(world_state(&w, once), MR_OBJ_ERROR);
    mr_action act;
    ck_assert(world_took(&w, MR_ACT_FAIL, once, &act));
    ck_assert_int_eq(act.fault.status, MR_E_ACTOR_UNAVAILABLE);
    mr_id queued = call_of(a);
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, a, &act));
    ck_assert_uint_eq(act.attempt, 2);
    world_finish_as(&w, a, MR_OK, 0, 1);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, again, &act));
    ck_assert_uint_eq(act.attempt, 2);
    ck_assert(world_took(&w, MR_ACT_DISPATCH, queued, &act));
    world_die(&w, act.worker, MR_DEATH_EXIT, 3);
    ck_assert_int_eq(state(a), MR_ACTOR_DEAD);
    ck_assert_int_eq(world_state(&w, again), MR_OBJ_ERROR);
    ck_assert_int_eq(world_state(&w, queued), MR_OBJ_ERROR);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_NONE);
}
END_TEST

START_TEST(a_constructor_that_raises)
{
    mr_id a = world_run(&w, cls), c = call_of(a);
    world_time(&w, 1);
    world_finish_as(&w, a, MR_E_TASK, MR_FINISHED_RESULT, 1);
    ck_assert_int_eq(state(a), MR_ACTOR_DEAD);
    ck_assert_int_eq(world_state(&w, a), MR_OBJ_ERROR);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_FAIL, c, &x));
    ck_assert_uint_eq(x.fault.cause, a);
    world_drop(&w, c);
    world_drop(&w, a);
    world_nothing_left(&w);
}
END_TEST

START_TEST(its_owner_dies)
{
    mr_id p = world_run(&w, world_func(&w, "parent", NULL));
    world_time(&w, 1);
    w.client = world_worker(&w, p);
    w.parent = p;
    mr_id a = world_run(&w, cls);
    uint32_t kept = world_define(&w, (spec){.name = "Detached", .kind = MR_FUNC_ACTOR, .flags = MR_FUNC_DETACHED});
    uint32_t owner = w.client;
    world_time(&w, 1);
    world_finish_as(&w, a, MR_OK, 0, 1);
    mr_id d = world_run(&w, kept);
    world_time(&w, 1);
    world_finish_as(&w, d, MR_OK, 0, 1);
    w.client = 0;
    w.parent = 0;
    world_hold(&w, a);
    world_die(&w, owner, MR_DEATH_SIGNAL, 9);
    ck_assert_int_eq(state(a), MR_ACTOR_DEAD);
    ck_assert_int_eq(state(d), MR_ACTOR_ALIVE);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_KILL, 0, &x));
    world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
    world_kill(&w, d, MR_KILL_NO_RESTART);
    ck_assert(world_took(&w, MR_ACT_KILL, 0, &x));
    world_die(&w, x.worker, MR_DEATH_SIGNAL, 9);
    world_drop(&w, a);
    world_drop(&w, p);
    world_nothing_left(&w);
}
END_TEST

START_TEST(groups_of_calls_do_not_wait_for_each_other)
{
    uint32_t f = world_define(&w, (spec){.name = "Grouped", .kind = MR_FUNC_ACTOR, .lanes = {2, 1}});
    uint32_t in[4];
    for (uint32_t i = 0; i < 4; i++)
        in[i] = world_define(
            &w,
            (spec){.name = "Grouped.m", .kind = MR_FUNC_METHOD, .lane = i % 3, .flags = i == 3 ? MR_FUNC_SYSTEM : 0});
    mr_id a = born(f), k[3][3];
    for (uint32_t i = 0; i < 9; i++)
        k[i / 3][i % 3] = world_call(&w, (call){.func = in[i / 3], .actor = a, .n_returns = 1});
    mr_id system = world_call(&w, (call){.func = in[3], .actor = a, .n_returns = 1});
    static const bool sent[3][3] = {{true, false, false}, {true, true, false}, {true, false, false}};
    for (uint32_t i = 0; i < 9; i++)
        ck_assert_int_eq(world_sees(&w, MR_ACT_DISPATCH, k[i / 3][i % 3]), sent[i / 3][i % 3]);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, system));
    world_finish(&w, k[1][1]);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, k[1][2]));
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, k[0][1]) && !world_sees(&w, MR_ACT_DISPATCH, k[2][1]));
    mr_actor_info info;
    mr_control_actor(w.c, a, &info);
    world_die(&w, info.worker, MR_DEATH_EXIT, 3); /* what was sent and what waits in each group ends */
    world_drop(&w, system);
    for (uint32_t i = 0; i < 9; i++)
        world_drop(&w, k[i / 3][i % 3]);
    world_drop(&w, a);
    world_nothing_left(&w);
}
END_TEST

START_TEST(exit_actor)
{
    mr_id a = born(cls), c1 = call_of(a), c2 = call_of(a);
    world_finish_as(&w, c1, MR_OK, MR_FINISHED_RESULT | MR_FINISHED_EXIT, 1);
    ck_assert_int_eq(world_state(&w, c1), MR_OBJ_SEALED);
    ck_assert_int_eq(world_state(&w, c2), MR_OBJ_ERROR);
    ck_assert_int_eq(state(a), MR_ACTOR_DEAD);
    mr_action x;
    ck_assert(world_took(&w, MR_ACT_RETIRE, 0, &x));
    world_retired(&w, x.worker);
    world_drop(&w, a);
    world_drop(&w, c1);
    world_drop(&w, c2);
    world_nothing_left(&w);
}
END_TEST

START_TEST(async_calls_have_no_order)
{
    uint32_t f =
        world_define(&w, (spec){.name = "Async", .kind = MR_FUNC_ACTOR, .flags = MR_FUNC_ASYNC, .concurrency = 3});
    mr_id a = born(f), x = world_run(&w, world_func(&w, "slow", NULL));
    world_time(&w, 1);
    world_forget(&w);
    mr_id c1 = world_call(&w, (call){.func = method, .actor = a, .n_returns = 1, .n_deps = 1, .ids = &x});
    mr_id c2 = call_of(a), c3 = call_of(a), c4 = call_of(a), c5 = call_of(a);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, c1));
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, c2) && world_sees(&w, MR_ACT_DISPATCH, c4));
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, c5));
    world_finish(&w, c4);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, c5));
    world_cancel(&w, c1, 0);
    ck_assert_int_eq(world_state(&w, c1), MR_OBJ_ERROR);
    (void)c3;
}
END_TEST

START_TEST(a_call_that_fails_unsent_lets_the_next_go)
{
    uint32_t f = world_func(&w, "f", NULL);
    mr_id a = born(cls), x = world_run(&w, f);
    mr_id waits = world_call(&w, (call){.func = method, .actor = a, .n_returns = 1, .n_deps = 1, .ids = &x});
    mr_id behind = call_of(a);
    world_time(&w, 1);
    ck_assert(!world_sees(&w, MR_ACT_DISPATCH, behind));
    world_finish_as(&w, x, MR_E_TASK, MR_FINISHED_RESULT, 1);
    ck_assert_int_eq(world_state(&w, waits), MR_OBJ_ERROR);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, behind));
    ck_assert_int_eq(world_finish(&w, behind), MR_OK);
}
END_TEST

START_TEST(cancel_of_calls)
{
    mr_id a = born(cls), c1 = call_of(a), c2 = call_of(a);
    world_cancel(&w, c2, 0);
    ck_assert(world_took(&w, MR_ACT_REVOKE, c2, NULL));
    world_revoked(&w, c2, true);
    ck_assert_int_eq(world_state(&w, c2), MR_OBJ_ERROR);
    world_cancel(&w, c1, 0);
    ck_assert(world_took(&w, MR_ACT_INTERRUPT, c1, NULL));
    ck_assert_int_eq(world_cancel(&w, c1, MR_CANCEL_FORCE), MR_E_INVAL);
}
END_TEST

START_TEST(cancel_of_a_call_that_has_begun_before_the_end_of_the_last_is_known)
{
    mr_id a = born(cls), c1 = call_of(a), c2 = call_of(a);
    world_cancel(&w, c2, 0);
    ck_assert(world_took(&w, MR_ACT_REVOKE, c2, NULL));
    world_revoked(&w, c2, false);
    ck_assert(world_took(&w, MR_ACT_INTERRUPT, c2, NULL) &&
              !world_sees(&w, MR_ACT_REVOKE, c2)); /* not again and again */
    ck_assert_int_eq(world_finish(&w, c1), MR_OK);
}
END_TEST

START_TEST(killed_while_it_is_made_again)
{
    uint32_t f = world_define(&w, (spec){.name = "R", .kind = MR_FUNC_ACTOR, .restarts = 1});
    uint32_t m = world_define(&w, (spec){.name = "R.m", .kind = MR_FUNC_METHOD, .retries = -1});
    mr_id a = born(f), k = world_call(&w, (call){.func = m, .actor = a, .n_returns = 1});
    world_drop(&w, a); /* the call holds it */
    world_die(&w, world_worker(&w, k), MR_DEATH_SIGNAL, 9);
    world_time(&w, 1);
    ck_assert_int_eq(state(a), MR_ACTOR_RESTARTING);
    uint32_t at = world_worker(&w, a);
    world_kill(&w, a, MR_KILL_NO_RESTART);
    ck_assert_int_eq(state(a), MR_ACTOR_NONE);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 10), MR_OK); /* faster than the kill */
    world_die(&w, at, MR_DEATH_SIGNAL, 9);
    world_drop(&w, k);
    world_nothing_left(&w);
}
END_TEST

START_TEST(cancel_of_calls_that_started_others)
{
    mr_id a = born(world_define(&w, (spec){.name = "P", .kind = MR_FUNC_ACTOR, .concurrency = 3})), top = call_of(a);
    w.client = world_worker(&w, top);
    w.parent = top;
    mr_id inner = call_of(a);
    w.parent = inner; /* in the same process */
    mr_id task = world_run(&w, world_func(&w, "f", NULL));
    w.client = 0;
    w.parent = 0;
    ck_assert_int_eq(world_cancel(&w, top, MR_CANCEL_RECURSIVE), MR_OK);
    ck_assert(world_sees(&w, MR_ACT_INTERRUPT, top) && world_sees(&w, MR_ACT_INTERRUPT, inner));
    ck_assert(world_sees(&w, MR_ACT_FAIL, task));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: actors");
    TCase *t = tcase_create("actors");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, placed_with_one_cpu_lives_with_none);
    tcase_add_test(t, stated_resources_are_kept);
    tcase_add_test(t, calls_of_one_caller_keep_their_order);
    tcase_add_test(t, a_call_that_fails_lets_the_next_go);
    tcase_add_test(t, an_actor_whose_calls_told_of_its_end_is_not_reported);
    tcase_add_test(t, a_window_of_calls_is_sent_ahead);
    tcase_add_test(t, names);
    tcase_add_test(t, too_many_pending_calls);
    tcase_add_test(t, death_tells_the_truth);
    tcase_add_test(t, what_was_not_begun_waits_for_the_next_life);
    tcase_add_test(t, killed_by_kill_is_told);
    tcase_add_test(t, restart);
    tcase_add_test(t, a_constructor_that_raises);
    tcase_add_test(t, its_owner_dies);
    tcase_add_test(t, groups_of_calls_do_not_wait_for_each_other);
    tcase_add_test(t, exit_actor);
    tcase_add_test(t, async_calls_have_no_order);
    tcase_add_test(t, a_call_that_fails_unsent_lets_the_next_go);
    tcase_add_test(t, cancel_of_calls);
    tcase_add_test(t, cancel_of_a_call_that_has_begun_before_the_end_of_the_last_is_known);
    tcase_add_test(t, cancel_of_calls_that_started_others);
    tcase_add_test(t, killed_while_it_is_made_again);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
