/* What C workers get through miniray.h beside plain tasks: retries, restarts, cancels that reach those who wait,
 * deadlocks that are told, streams with a window. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helper_process.h"
#include "run_suite.h"

static mr_session *s;
static mr_err err;

static void open_with(const char *cpus)
{
    s = process_open("store-shm", (mr_override[]){{"node", "cpus", cpus, "test"}, {0}});
}

static void teardown(void)
{
    mr_close(s);
    s = NULL;
}

static mr_id call(uint32_t func, mr_id actor, int64_t x)
{
    mr_id id = 0;
    mr_status st = mr_submit(s, func, actor, &(mr_args){.data = &x, .len = sizeof(x)}, NULL, &id, &err);
    ck_assert_msg(!st, "submit: %s", err.text);
    return id;
}

/* The text of the error that it must be; gives it back. */
static mr_status failed(mr_id id, const char *part)
{
    mr_value v = process_value(s, id);
    ck_assert(v.error);
    const mr_fault_value *f = v.format == MR_FORMAT_FAULT ? v.data : NULL;
    mr_status st = f ? (mr_status)f->status : MR_E_TASK;
    const char *text = f ? (const char *)(f + 1) : v.data;
    ck_assert_msg(!part || strstr(text, part), "\"%s\" is not in: %s", part ? part : "", text);
    mr_decref(s, id);
    mr_decref(s, id);
    return st;
}

START_TEST(an_error_is_tried_again_only_if_asked)
{
    open_with("2");
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.max_retries = 3;
    ck_assert_int_eq(failed(process_submit(s, process_define(s, &def, "flaky"), 3, 0), "attempt 1"), MR_E_TASK);
    def.flags = MR_DEF_RETRY_ERRORS;
    ck_assert_int_eq(process_number(s, process_submit(s, process_define(s, &def, "flaky"), 3, 0)), 3);
}
END_TEST

START_TEST(an_actor_restarts)
{
    open_with("2");
    mr_func_def class = MR_FUNC_DEF_INIT, method = MR_FUNC_DEF_INIT;
    class.kind = MR_DEF_ACTOR;
    class.max_restarts = 1;
    method.kind = MR_DEF_METHOD;
    method.max_retries = 0;
    uint32_t counter = process_define(s, &class, "Counter"), add = process_define(s, &method, "Counter.add");
    uint32_t die = process_define(s, &method, "Counter.die");
    mr_id actor = call(counter, 0, 10);
    ck_assert_int_eq(process_number(s, call(add, actor, 1)), 11);
    mr_id last = call(die, actor, 0), after[40];
    for (int i = 0; i < 40; i++)
        after[i] = call(add, actor, 1);
    ck_assert_int_eq(failed(last, "may have run"), MR_E_ACTOR_UNAVAILABLE);
    for (int i = 0; i < 40; i++) /* they had not begun: a new life, from the constructor's number on */
        ck_assert_int_eq(process_number(s, after[i]), 11 + i);
    ck_assert_int_eq(failed(call(die, actor, 0), "code 3"), MR_E_ACTOR_DIED);
    ck_assert_int_eq(failed(call(add, actor, 1), "did not run"), MR_E_ACTOR_DIED);
    mr_decref(s, actor);
}
END_TEST

START_TEST(a_circle_is_told)
{
    open_with("2");
    mr_func_def class = MR_FUNC_DEF_INIT, method = MR_FUNC_DEF_INIT;
    class.kind = MR_DEF_ACTOR;
    method.kind = MR_DEF_METHOD;
    mr_id actor = call(process_define(s, &class, "Counter"), 0, 0);
    ck_assert_int_eq(failed(call(process_define(s, &method, "Counter.itself"), actor, 1), "Counter.add"), MR_E_TASK);
    mr_decref(s, actor);
}
END_TEST

START_TEST(a_cancel_reaches_who_waits_and_its_child)
{
    open_with("1");
    static const char *const names[] = {"waiter", "waiter", "deaf_waiter"};
    mr_id id = process_submit(s, process_func(s, names[_i]), SECONDS(100), 0), beside;
    beside = process_submit(s, process_func(s, "who"), 0, 0);
    usleep((_i < 2 ? 20000 : 100000) * (unsigned)_i);
    ck_assert_int_eq(mr_cancel(s, id, MR_RECURSIVE, &err), MR_OK);
    ck_assert_int_eq(failed(id, NULL), MR_E_CANCELLED);
    /* The one CPU is free only when the nap of 100 s is over too. */
    ck_assert_int_gt(process_number(s, beside), 0);
    ck_assert_int_gt(process_number(s, process_submit(s, process_func(s, "who"), 0, 0)), 0);
}
END_TEST

/* Round robin: C tasks stand still by signal in the middle of their code, and go on. */
START_TEST(slices_stop_and_lose_nothing)
{
    enum { N = 40 };
    char policy[4200];
    mr_id ids[N];
    const char *root = getenv("MRTEST_SOURCE_DIR");
    open_with("2");
    snprintf(policy, sizeof policy, "%s/config/policies/rr.lua", root ? root : ".");
    ck_assert_msg(!mr_set_policy(s, policy, &err), "%s", err.text);
    uint32_t work = process_func(s, "spin"), nap = process_func(s, "nap");
    for (int i = 0; i < N; i++)
        ids[i] = process_submit(s, i % 4 == 3 ? nap : work, 20000000 + i, 0);
    for (int i = 0; i < N; i++)
        if (i % 4 == 3)
            process_number(s, ids[i]);
        else
            ck_assert_int_eq(process_number(s, ids[i]), 20000000 + i + 1);
    char *json = NULL;
    ck_assert_int_eq(mr_state(s, "stats", &json, &err), MR_OK);
    const char *stops = strstr(json, "\"stops\":"), *stopped = strstr(json, "\"stopped\":");
    ck_assert_msg(stops && atoi(stops + 8) > 0, "%s", json);
    ck_assert_msg(stopped && atoi(stopped + 10) == 0, "%s", json);
    free(json);
}
END_TEST

static mr_id stream_of(int64_t n, int32_t window)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.flags = MR_DEF_STREAMING;
    def.window = window;
    return process_submit(s, process_define(s, &def, "count"), n, 0);
}

static void read_one(mr_id stream, int64_t expected)
{
    mr_id item;
    mr_status st = mr_stream_next(s, stream, SECONDS(20), &item, &err);
    ck_assert_msg(!st, "item %lld: %s", (long long)expected, err.text);
    mr_value v = process_value(s, item);
    ck_assert_int_eq(*(const int64_t *)v.data, expected);
    mr_decref(s, item);
    mr_decref(s, item);
}

START_TEST(a_stream_stands_at_its_window)
{
    open_with("1");
    mr_id stream = stream_of(100, 1 + _i);
    for (int64_t i = 0; i < 100; i++)
        read_one(stream, i);
    mr_id item;
    ck_assert_int_eq(mr_stream_next(s, stream, SECONDS(20), &item, &err), MR_E_END);
    mr_decref(s, stream);
}
END_TEST

START_TEST(who_stands_is_let_go)
{
    open_with("1");
    mr_id stream = stream_of(50, 2), item;
    read_one(stream, 0);
    if (_i) {
        ck_assert_int_eq(mr_cancel(s, stream, 0, &err), MR_OK);
        mr_status st;
        while (!(st = mr_stream_next(s, stream, SECONDS(20), &item, &err)))
            mr_decref(s, item);
        ck_assert_int_eq(st, MR_E_END);
        ck_assert_int_eq(failed(stream, NULL), MR_E_CANCELLED);
    } else {
        mr_decref(s, stream);
        mr_flush(s);
    }
    ck_assert_int_gt(process_number(s, process_submit(s, process_func(s, "who"), 0, 0)), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("process: C workers");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, an_error_is_tried_again_only_if_asked);
    tcase_add_test(t, an_actor_restarts);
    tcase_add_test(t, a_circle_is_told);
    tcase_add_test(t, slices_stop_and_lose_nothing);
    tcase_add_loop_test(t, a_cancel_reaches_who_waits_and_its_child, 0, 3);
    tcase_add_loop_test(t, a_stream_stands_at_its_window, 0, 2);
    tcase_add_loop_test(t, who_stands_is_let_go, 0, 2);
    suite_add_tcase(all, t);
    return all;
}

int main(void)
{
    return run_suite(suite());
}
