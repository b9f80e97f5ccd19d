/* test_policy_end.c: what becomes of a session when its policy fails: the dump, [sched] on_error, and a plugin in C
 * that never answers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "helper_control.h"
#include "helper_process.h"
#include "run_suite.h"

/* ---- what control says and does */

static world w;
static int answers_left;

static double weary_rank(void *self, const mr_task *t)
{
    (void)self;
    if (answers_left-- == 0)
        mr_control_policy_fail(w.c, "tired.lua:7: that is enough");
    return -(double)t->seq;
}

static mr_ref second_node(void *self, const mr_task *t)
{
    (void)self;
    return t->seq % 4 == 0 ? (MR_REF_NODE | 2) : MR_NONE;
}

static const mr_sched_ops weary = {.rank = weary_rank, .place = second_node};

/* Twelve tasks of 2 CPUs on two nodes of 2; the policy fails at the last rank. */
static void tire(bool stop, mr_id t[12])
{
    mr_err err = {0};
    memset(&w, 0, sizeof w);
    mr_control_conf_init(&w.conf);
    w.conf.prefetch = 0;
    w.conf.stop_on_error = stop;
    world_new(&w, "CPU=2");
    world_node(&w, "CPU=2");
    uint32_t f = world_func(&w, "f", "CPU=2");
    answers_left = 11;
    ck_assert_int_eq(mr_control_policy(w.c, "tired", &weary, NULL, &err), MR_OK);
    for (int i = 0; i < 12; i++) {
        t[i] = world_run(&w, f);
        if (i == 5)
            world_time(&w, 1000);
    }
    ck_assert_ptr_null(mr_control_policy_dump(w.c));
    world_time(&w, 1000);
}

START_TEST(the_dump_says_what_it_did_last)
{
    mr_id t[12];
    mr_action a;
    tire(false, t);
    ck_assert(world_took(&w, MR_ACT_REPORT, 0, &a));
    ck_assert_int_eq(a.flags, MR_REPORT_EJECTED);
    const char *dump = mr_control_policy_dump(w.c);
    ck_assert_ptr_nonnull(dump);
    char last[100];
    snprintf(last, sizeof last, "rank of task %llx f: it failed\n", (unsigned long long)t[11]);
    const char *const parts[] = {"policy tired failed at 0.000002",
                                 "tired.lua:7: that is enough\n",
                                 "its last 24 answers:\n",
                                 last,
                                 "place of task",
                                 ": node 1\n",
                                 " tasks ready, 2 running\n",
                                 "ready for anyone:\n",
                                 "ready for node 1:\n",
                                 "rank -11, entry ",
                                 "node 0 (",
                                 "0 of 2 CPU free"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        ck_assert_msg(strstr(dump, parts[i]), "\"%s\" is not in\n%s", parts[i], dump);
    world_free(&w);
}
END_TEST

START_TEST(a_long_queue_makes_no_long_dump)
{
    mr_id t[12];
    tire(false, t);
    mr_err err = {0};
    uint32_t f = world_func(&w, "a_function_with_a_rather_long_name_that_says_a_lot", "CPU=2");
    answers_left = 3000;
    ck_assert_int_eq(mr_control_policy(w.c, "tired", &weary, NULL, &err), MR_OK);
    ck_assert_ptr_null(mr_control_policy_dump(w.c));
    for (int i = 0; i < 5000; i++)
        world_run(&w, f);
    world_time(&w, 1000);
    const char *dump = mr_control_policy_dump(w.c);
    ck_assert_ptr_nonnull(strstr(dump, "its last 32 answers:\n"));
    ck_assert_ptr_nonnull(strstr(dump, " more\n"));
    ck_assert_uint_lt(strlen(dump), 16 * 1024);
    world_free(&w);
}
END_TEST

/* [sched] on_error = fifo: the rest goes on by entry. */
START_TEST(fifo_goes_on)
{
    mr_id t[12];
    tire(false, t);
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 12; k++)
            if (world_worker(&w, t[k]))
                world_finish(&w, t[k]);
        world_time(&w, 1000);
        if (!world_stats(&w).tasks)
            break;
    }
    ck_assert_uint_eq(world_stats(&w).tasks, 0);
    ck_assert_uint_eq(world_stats(&w).finished, 12);
    world_free(&w);
}
END_TEST

/* = stop: what runs may end, all else fails with the policy's error, and nothing more is taken. */
START_TEST(stop_ends_all_work)
{
    mr_id t[12];
    mr_action a;
    tire(true, t);
    int running = 0, failed = 0;
    for (int i = 0; i < 12; i++) {
        bool fail = mr_control_object(w.c, t[i]).state == MR_OBJ_ERROR;
        if (fail)
            ck_assert_msg(world_took(&w, MR_ACT_FAIL, t[i], &a), "task %d", i);
        if (fail) {
            char text[400];
            ck_assert_int_eq(a.fault.status, MR_E_POLICY);
            ck_assert_int_eq(a.fault.may_have_run, 0);
            mr_fault_text(w.c, &a.fault, text, sizeof text);
            ck_assert_ptr_nonnull(
                strstr(text, "policy tired failed, and [sched] on_error = stop: tired.lua:7: that is enough"));
        }
        failed += fail;
        running += world_worker(&w, t[i]) != 0;
    }
    ck_assert_int_eq(running, 2);
    ck_assert_int_eq(failed, 10);
    for (int i = 0; i < 12; i++)
        if (world_worker(&w, t[i]))
            world_finish(&w, t[i]);
    world_time(&w, 1000);
    ck_assert_uint_eq(world_stats(&w).tasks, 0);
    ck_assert_uint_eq(world_stats(&w).finished, 2);
    uint32_t g = world_func(&w, "g", NULL);
    world_run(&w, g);
    ck_assert_int_eq(w.last, MR_E_POLICY);
    ck_assert_str_eq(mr_control_why(w.c),
                     "g: policy tired failed, and [sched] on_error = stop: tired.lua:7: that is enough");
    for (int i = 0; i < 12; i++)
        world_drop(&w, t[i]);
    world_nothing_left(&w);
    world_free(&w);
}
END_TEST

/* ---- a plugin in C that never answers: the clock may only end the run, with plugin and op named */

static char plugin[2200];

static const char *bad_plugin(const char *name)
{
    const char *folder = getenv("MRTEST_BADPLUGINS");
    snprintf(plugin, sizeof plugin, "%s/%s.so", folder ? folder : ".", name);
    return plugin;
}

static const char *loop_plugin(void)
{
    return bad_plugin("sched-loop");
}

/* Runs `child` with its errors in a pipe; gives its exit status (-1: a signal's) and what it, and what it left behind,
 * said. */
static int said_by(void (*child)(int), int arg, char *text, size_t size)
{
    int ends[2], status = -1;
    size_t n = 0;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 2);
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        child(arg);
        _exit(77);
    }
    close(ends[1]);
    for (ssize_t k; n < size - 1 && ((k = read(ends[0], text + n, size - 1 - n)) > 0 || (k < 0 && errno == EINTR));)
        n += k > 0 ? (size_t)k : 0;
    text[n] = 0;
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void drive_into_the_loop(int block)
{
    mr_override more[] = {
        {"sched", "plugin", loop_plugin(), "test"}, {"sched", "max_op", "400ms", "test"}, {NULL, NULL, NULL, NULL}};
    mr_session *s = process_open("store-mem", more);
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.user = block ? "block" : "loop";
    process_number(s, process_submit(s, process_define(s, &def, "who"), 0, 0));
}

START_TEST(a_session_ends_that_can_not_go_on)
{
    char text[4000];
    ck_assert_int_eq(said_by(drive_into_the_loop, _i, text, sizeof text), 3);
    ck_assert_msg(strstr(text, "plugin sched-loop has been in `place` for 0.4 s"), "%s", text);
    ck_assert_int_eq(process_children(getpid()), 0);
}
END_TEST

static void simulate(const char *path)
{
    char sim[2200], workload[2200];
    snprintf(sim, sizeof sim, "%s/miniray-sim", getenv("MRTEST_BIN_DIR"));
    snprintf(workload, sizeof workload, "%s/tests/sim/graham.jsonl", getenv("MRTEST_SOURCE_DIR"));
    execl(sim, sim, "--workload", workload, "--sched", path, "--set", "sched.max_op=400ms", (char *)NULL);
}

static void simulate_the_loop(int arg)
{
    (void)arg;
    simulate(loop_plugin());
}

START_TEST(a_simulation_ends_that_can_not_go_on)
{
    char text[4000];
    int code = said_by(simulate_the_loop, 0, text, sizeof text);
    ck_assert_msg(code == 4, "%d: %s", code, text);
    ck_assert_msg(strstr(text, "miniray-sim: plugin sched-loop does not answer `place`"), "%s", text);
}
END_TEST

/* ---- one that ends the program: it is named by who outlives it */

static const char *const ends[] = {"open segv",   "open loop",   "rank segv",  "rank exit",  "place abort", "plan deep",
                                   "slice abort", "notice segv", "close segv", "close loop", "notice loop"};
enum { ENDS = sizeof ends / sizeof ends[0] };

/* What has to be said: of a loop by the program itself. */
static void names_plugin_and_op(const char *wish, const char *text, const char *loops, const char *dies)
{
    char op[16], want[80];
    snprintf(op, sizeof op, "%.*s", (int)strcspn(wish, " "), wish);
    bool loop = strstr(wish, "loop") != NULL;
    snprintf(want, sizeof want, loop ? loops : dies, op);
    const char *at = strstr(text, want);
    ck_assert_msg(at && !strstr(at + 1, want) && !!strstr(text, "died while") == (!loop && dies[0] == 'p'), "%s: %s",
                  wish, text);
}

static void drive_into_the_end(int i)
{
    setenv("SCHED_CRASH", ends[i], 1);
    setenv("SCHED_CRASH_PLAIN", "1", 1);
    mr_override more[] = {{"sched", "plugin", bad_plugin("sched-crash"), "test"},
                          {"sched", "max_op", "400ms", "test"},
                          {NULL, NULL, NULL, NULL}};
    mr_session *s = process_open("store-mem", more);
    uint32_t square = process_func(s, "square");
    process_number(s, process_submit(s, square, 3, 0));
    process_number(s, process_submit(s, square, 3, 0));
    mr_close(s);
}

START_TEST(a_policy_that_ends_the_program_is_named)
{
    char text[16000];
    ck_assert_int_ne(said_by(drive_into_the_end, _i, text, sizeof text), 77);
    names_plugin_and_op(ends[_i], text, "plugin sched-crash has been in `%s` for 0.4 s",
                        "policy sched-crash was in `%s`");
    ck_assert_int_eq(process_children(getpid()), 0);
}
END_TEST

static void simulate_the_end(int i)
{
    setenv("SCHED_CRASH", ends[i], 1);
    simulate(bad_plugin("sched-crash"));
}

START_TEST(a_policy_that_ends_a_simulation_is_named)
{
    char text[16000];
    if (strstr(ends[_i], "exit")) /* by its own wish, with its own status */
        return;
    ck_assert_int_ne(said_by(simulate_the_end, _i, text, sizeof text), 77);
    names_plugin_and_op(ends[_i], text, "sim: plugin sched-crash does not answer `%s`",
                        "sim: plugin sched-crash crashed in `%s`: ");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policies: the end of one");
    TCase *t = tcase_create("all");
    tcase_add_test(t, the_dump_says_what_it_did_last);
    tcase_add_test(t, a_long_queue_makes_no_long_dump);
    tcase_add_test(t, fifo_goes_on);
    tcase_add_test(t, stop_ends_all_work);
    tcase_add_loop_test(t, a_session_ends_that_can_not_go_on, 0, 2);
    tcase_add_test(t, a_simulation_ends_that_can_not_go_on);
    tcase_add_loop_test(t, a_policy_that_ends_the_program_is_named, 0, ENDS);
    tcase_add_loop_test(t, a_policy_that_ends_a_simulation_is_named, 0, ENDS);
    suite_add_tcase(s, t);
    return run_suite(s);
}
