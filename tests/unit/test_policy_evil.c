/* test_policy_evil.c: policies that mean harm, by seed: errors at any call of any hook, endless loops, pcall around the
 * end, memory, string and stack bombs, coroutines, answers at random, tasks dropped or answered twice, everything held
 * back.  Each runs a workload through the real control: no task is lost or run twice, and a policy that fails or
 * stands still is out within max_hold (1 s) of virtual time, with a dump.
 *
 * MRTEST_SEEDS=5000 runs more of them; MRTEST_SEED=n runs that one and prints the policy.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "base/rand.h"
#include "run_suite.h"
#include "unit/helper_policy.h"
#include "unit/helper_sim.h"

#define S INT64_C(1000000000)
enum { SHARE = 20, TASKS = 40 };

/* What a hook does when its time has come.  deadly: that ends the policy. */
static const struct {
    const char *name, *lua;
    bool deadly;
} harms[] = {
    {"an error", "error('evil')", true},
    {"an error without a text", "error()", true},
    {"a nil field", "local x = nil return x.y", true},
    {"an endless loop", "while true do end", true},
    {"pcall around the end", "while true do pcall(function() while true do end end) end", true},
    {"pcall in pcall", "local function f() pcall(f) f() end f() while true do end", true},
    {"tables without end", "local x = {} while true do x[#x + 1] = {} end", true},
    {"tables in pcall", "while true do pcall(function() local x = {} while true do x = { x, x } end end) end", true},
    {"a string that doubles", "local x = 'x' while true do x = x .. x end", true},
    {"a string that is too long", "local x = ('x'):rep(1 << 40)", true},
    {"strings in pcall", "while true do pcall(string.rep, 'x', 1 << 40) end", true},
    {"a wide format", "while true do string.format('%99d', 1) end", true},
    {"deep recursion", "local function f(n) return 1 + f(n + 1) end return f(0)", true},
    {"deep recursion in pcall", "local function f(n) return 1 + f(n + 1) end while true do pcall(f, 0) end", true},
    {"tail calls without end", "local function f() return f() end return f()", true},
    {"a coroutine", "coroutine.wrap(function() while true do end end)()", true},
    {"a metatable", "setmetatable({}, { __gc = function() while true do end end })", true},
    {"code", "load('while true do end')()", true},
    {"a file", "io.open('/etc/passwd')", true},
    {"a clock", "os.exit(1)", true},
    {"a sort that lies",
     "local x = {} for i = 1, 2000 do x[i] = i end while true do table.sort(x, function() return true end) end", true},
    {"a list that grows at its head", "local x = {} while true do table.insert(x, 1, 0) end", true},
    {"writing to a handle", "workers()[1].load = 0", true},
    {"a hook's own end", "rank, pick, place = nil, nil, nil error('gone')", true},
    {"handles of nobody", "can(nil, nil)", true},
    {"waking without end", "wake(now()) wake(now() + 1) wake(-5)", false},
    {"ranking without end", "rerank() rerank(seen[1])", false},
    {"printing", "for i = 1, 50 do print(i, {}, nil) end", false},
    {"asking all",
     "for _, w in ipairs(workers()) do for t in ready() do can(t, w) cost(t, w) missing(t, w.node) first(w, w) "
     "last(nil, w) end end",
     false},
};

/* What a hook answers.  Most of it can not be. */
static const struct {
    const char *hook, *lua;
} answers[] = {
    {"rank", "math.random(5)"},
    {"rank", "math.random(2) == 1 and math.huge or -math.huge"},
    {"rank", "nil"},
    {"place", "workers()[math.random(#workers())]"},
    {"place", "nodes()[math.random(#nodes())]"},
    {"plan", "workers()[1]"},
    {"plan", "nodes()[math.random(#nodes())]"},
    {"pick", "any()"},                                          /* over, waiting, running or twice */
    {"pick", "seen[1]"},                                        /* always the same */
    {"pick", "nil"},                                            /* all dropped */
    {"pick", "false"},                                          /* nobody */
    {"pick", "math.random(2) == 1 and any() or first(nil, w)"}, /* now and then one that can */
    {"pick", "math.random(3) > 1 and (first(w, w) or last(w.node, w) or last(nil, w)) or any()"},
    {"pick", "first(nil, w) or first(nil, w)"},
};

static mr_rand dice;

static size_t below(size_t n)
{
    return (size_t)mr_rand_below(&dice, n);
}

static int add(char *text, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int add(char *text, size_t size, const char *fmt, ...)
{
    size_t n = strlen(text);
    va_list args;
    va_start(args, fmt);
    int k = vsnprintf(text + n, size - n, fmt, args);
    va_end(args);
    return k;
}

/* Writes the policy of a seed; gives its harm. */
static size_t make_policy(char *text, size_t size)
{
    static const char *const hooks[] = {"rank", "submitted", "ready", "started", "done", "pick"};
    size_t harm = below(sizeof harms / sizeof harms[0]), at = below(sizeof hooks / sizeof hooks[0]);
    const char *said[4] = {NULL, NULL, NULL, NULL};
    static const char *const asked[] = {"rank", "place", "plan", "pick"};
    text[0] = 0;
    add(text, size,
        "local seen, calls = {}, 0\n"
        "local function any() return seen[math.random(#seen)] end\n"
        "local function harm()\n  calls = calls + 1\n  if calls >= %zu then %s end\nend\nreturn {\n",
        1 + below(15), harms[harm].lua);
    for (int i = 0; i < 3; i++) {
        size_t k = below(sizeof answers / sizeof answers[0]);
        for (int h = 0; h < 4; h++)
            if (!strcmp(asked[h], answers[k].hook) && below(2))
                said[h] = answers[k].lua;
    }
    for (int h = 0; h < 4; h++) {
        const char *what = strcmp(hooks[at], asked[h]) == 0 ? "harm() " : "";
        const char *answer = said[h] ? said[h] : h == 3 ? "first(w, w) or first(w.node, w) or first(nil, w)" : "nil";
        if (said[h] || *what)
            add(text, size, "  %s = function(%s) %sreturn %s end,\n", asked[h], h == 3 ? "w" : "t", what, answer);
    }
    add(text, size, "  submitted = function(t) seen[#seen + 1] = t %s end,\n", at == 1 ? "harm()" : "");
    if (at >= 2 && at <= 4)
        add(text, size, "  %s = function(t) harm() end,\n", hooks[at]);
    add(text, size, "}\n");
    return harm;
}

static mr_workload *make_workload(double *longest)
{
    static helper_lines l;
    double arrival = 0, sum = 0;
    l.n = 0;
    helper_line(
        &l, "{\"platform\": {\"nodes\": [{\"cpus\": 2}, {\"cpus\": 1}], \"bandwidth\": 100000000, \"latency\": 0}}");
    for (int i = 0; i < TASKS; i++) {
        double duration = (1 + (double)below(20)) / 100;
        arrival += (double)below(5) / 100;
        sum += duration + 0.1; /* its copies */
        char deps[60] = "";
        if (i && below(3))
            snprintf(deps, sizeof deps, ", \"inputs\": [\"t%zu\"]", below((size_t)i));
        helper_line(&l,
                    "{\"id\": \"t%d\", \"duration_s\": %.2f, \"arrival_s\": %.2f, \"cpus\": %d, \"outputs\": %zu%s}", i,
                    duration, arrival, below(6) ? 1 : 2, below(1000000), deps);
    }
    *longest = arrival + sum;
    return helper_lines_read(&l);
}

static void run_seed(uint64_t seed, bool loud)
{
    static const char *const small[] = {"budget", "100000", "memory", "600K", NULL};
    char text[4000], path[] = "/tmp/mrevilXXXXXX.lua";
    double longest;
    mr_rand_seed(&dice, seed, 77);
    size_t harm = make_policy(text, sizeof text);
    mr_workload *w = make_workload(&longest);
    mr_sim_conf conf;
    mr_sim_conf_init(&conf);
    conf.seed = seed;
    int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    if (loud)
        fprintf(stderr, "%s", text);
    helper_run r = helper_policy_run(w, path, small, &conf);
    unlink(path);
    if (loud)
        printf("%s\n%s: %s\nends at %.3f of at most %.3f s, %llu answers refused\n%s", text, harms[harm].name,
               r.policy_error, (double)r.end / 1e9, longest + 1, (unsigned long long)r.stats.refused, r.dump);
    ck_assert_msg(r.status == MR_OK, "seed %d: %s\n%s", (int)seed, r.err.text, text);
    for (int i = 0; i < TASKS; i++)
        ck_assert_msg(r.tasks[i].ended >= 0 && r.tasks[i].outcome == MR_OK && r.tasks[i].attempt == 1,
                      "seed %d: task %d ended at %lld with %d in attempt %u\n%s", (int)seed, i,
                      (long long)r.tasks[i].ended, r.tasks[i].outcome, r.tasks[i].attempt, text);
    ck_assert_msg((double)r.end / 1e9 <= longest + 1.001, "seed %d ends at %.3f s\n%s", (int)seed, (double)r.end / 1e9,
                  text);
    ck_assert_msg(!harms[harm].deadly || r.policy_error[0], "seed %d: %s does no harm\n%s", (int)seed, harms[harm].name,
                  text);
    ck_assert_int_eq(r.stats.degraded, r.policy_error[0] != 0);
    if (r.policy_error[0])
        ck_assert_msg(strstr(r.dump, r.policy_error) && strstr(r.dump, " answers:"), "seed %d: no dump\n%s", (int)seed,
                      text);
    free(r.tasks);
    mr_workload_free(w);
}

START_TEST(no_task_is_lost_or_run_twice)
{
    const char *seed = getenv("MRTEST_SEED");
    for (uint64_t i = 0; i < (seed ? 1 : SHARE); i++)
        run_seed(seed ? strtoull(seed, NULL, 10) : (uint64_t)_i * SHARE + i, seed != NULL);
}
END_TEST

int main(void)
{
    const char *seeds = getenv("MRTEST_SEEDS");
    mr_log_setup(MR_LOG_ERROR, 2); /* they print */
    Suite *s = suite_create("policies: evil ones");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, no_task_is_lost_or_run_twice, 0,
                        getenv("MRTEST_SEED") ? 1 : (seeds ? atoi(seeds) : 200) / SHARE);
    suite_add_tcase(s, t);
    return run_suite(s);
}
