/* test_lua_sandbox.c: the walls of sched-lua one by one.  Each case is one policy, opened by the bench host.
 *
 *   what there is by name, and nothing else of its libraries   no_way_out_by_name, the_libraries_are_these
 *   text, never bytecode; nothing shared with another policy   no_binary_code, nothing_is_shared
 *   bytes: a cap, and a state that hit it is over              bytes_are_capped, a_state_without_memory_is_over;
 *                                                              test_sched_lua: any_amount_of_memory
 *   instructions, from the first on, pcall or not              instructions_are_counted_from_the_first;
 *                                                              test_sched_lua: every_loop_ends
 *   loops in C: short strings, no patterns                     strings_are_short, no_way_out_by_name
 *   an op that never comes back                                test_policy_end: a_policy_that_ends_the_program_is_named
 *   depth of calls, of the source, of errors in errors         depth_is_bounded
 *   no __gc, no __close, no metamethods of its own             no_code_of_its_own_runs_late
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/conformance/bench_host.h"
#include "run_suite.h"

static mr_loaded *plugin;
static mr_config *config;
static char path[64];

static void setup(void)
{
    mr_err err = {MR_OK, ""};
    ck_assert_int_eq(mr_config_new(&config), MR_OK);
    ck_assert_msg(mr_plugin_load(&plugin, "sched-lua", MR_KIND_SCHED, config, NULL, &err) == MR_OK, "%s", err.text);
    snprintf(path, sizeof path, "/tmp/mrboxXXXXXX.lua");
    int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
    mr_plugin_unload(plugin);
    mr_config_free(config);
}

static mr_bench *world_of(const char *text, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
    mr_bench *b = mr_bench_new(plugin, path, 7);
    ck_assert_ptr_nonnull(b);
    mr_bench_conf(b, "budget", "1000000"); /* small, for the time that tests take */
    mr_bench_conf(b, "memory", "512K");
    mr_bench_add_node(b, 2, 0, 0);
    for (int i = 0; i < 3; i++)
        mr_bench_add_task(b, &(mr_bench_spec){.duration = 10 * BENCH_MS, .user = "ann", .fn = "load"});
    return b;
}

static void opens(const char *text)
{
    mr_bench *b = world_of(text, strlen(text));
    ck_assert_msg(mr_bench_open(b) == MR_OK, "%s\n%s", text, b->open_error);
    mr_bench_free(b);
}

/* `why`: one of up to three texts that the error must hold. */
static void refused(const char *text, const char *why, const char * or, const char *or_else)
{
    mr_bench *b = world_of(text, strlen(text));
    ck_assert_msg(mr_bench_open(b) == MR_E_POLICY, "%.200s opens", text);
    ck_assert_msg(strstr(b->open_error, why) || (or &&strstr(b->open_error, or)) ||
                      (or_else && strstr(b->open_error, or_else)),
                  "%.200s\n%s", text, b->open_error);
    ck_assert_uint_eq(b->live_allocs, 0);
    mr_bench_free(b);
}

/* ---- what there is: this and nothing else */

START_TEST(no_way_out_by_name)
{
    static const char *const names[] = {
        "io",           "os",          "package",        "debug",           "coroutine",    "load",
        "loadstring",   "loadfile",    "dofile",         "require",         "module",       "setfenv",
        "getfenv",      "newproxy",    "collectgarbage", "setmetatable",    "getmetatable", "rawget",
        "rawset",       "rawequal",    "rawlen",         "xpcall",          "next",         "utf8",
        "warn",         "_G",          "string.dump",    "string.find",     "string.gsub",  "string.gmatch",
        "string.match", "string.pack", "string.unpack",  "string.packsize", "table.move",   "math.randomseed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "local x = %s return {}", names[i]);
        refused(text, "is not available", "is not known", NULL);
        snprintf(text, sizeof text,
                 "local ok, x = pcall(function() return %s end) if ok then error('it is there') end return {}",
                 names[i]);
        opens(text);
    }
}
END_TEST

/* The members of the libraries, all of them. */
START_TEST(the_libraries_are_these)
{
    static const char *const libraries[][2] = {
        {"string", "byte char format len lower rep reverse sub upper "},
        {"table", "concat insert pack remove sort unpack "},
        {"math", "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad "
                 "random sin sqrt tan tointeger type ult "}};
    for (size_t i = 0; i < 3; i++) {
        char text[900];
        snprintf(text, sizeof text,
                 "local all = '' for k in pairs(%s) do all = all .. k .. ' ' end\n"
                 "if all ~= '%s' then error(all) end return {}",
                 libraries[i][0], libraries[i][1]);
        opens(text);
    }
}
END_TEST

/* ---- code: text only */

START_TEST(no_binary_code)
{
    refused("\x1bLua", "attempt to load a binary chunk (mode is 't')", NULL, NULL);
    refused("\x1bLuaT\x01\x19\x93\r\n\x1a\n", "attempt to load a binary chunk (mode is 't')", NULL, NULL);
    const char zero[] = "return {}\0while true do end";
    mr_bench *b = world_of(zero, sizeof zero);
    ck_assert_int_eq(mr_bench_open(b), MR_E_POLICY);
    mr_bench_free(b);
}
END_TEST

/* What one policy does to its libraries and to the strings' own methods ends with it. */
START_TEST(nothing_is_shared)
{
    opens("for k in pairs(string) do string[k] = function() return 'evil' end end\n"
          "for k in pairs(table) do table[k] = nil end math.random, print, tostring, pairs = nil, nil, nil, nil\n"
          "return { rank = function(t) return 1 end }");
    opens("if ('x'):rep(3) ~= 'xxx' or #table.pack(1, 2) ~= 2 or not math.random() or tostring(1) ~= '1' then "
          "error('x') end "
          "return {}");
    /* and its own hooks go on, and its errors have their words */
    const char *self =
        "string.format, tostring, error = nil, nil, nil\nreturn { rank = function(t) return t.nothing end }";
    mr_bench *b = world_of(self, strlen(self));
    ck_assert(!mr_bench_run(b));
    ck_assert_msg(strstr(b->failure, "a task has no field 'nothing'"), "%s", b->failure);
    mr_bench_free(b);
}
END_TEST

/* ---- memory */

START_TEST(bytes_are_capped)
{
    static const char *const bombs[] = {
        "local x = ('x'):rep(1 << 40)",
        "local x = ('x'):rep(1 << 62)",
        "local x = ('x'):rep(1 << 20, ('y'):rep(4096))",
        "local x = {} for i = 1, 1e9 do x[i] = i end",
        "local x = {} for i = 1, 1e9 do x[i] = {} end",
        "local x = {} for i = 1, 1e9 do x['k' .. i] = i end",
        "local x = 'x' while true do x = x .. x end",
        "local x = { 'x' } for i = 2, 4096 do x[i] = x[1] end while true do x[1] = table.concat(x) end",
        "local f f = function() return function() return f end end local x = {} for i = 1, 1e9 do x[i] = f() end",
        "local x = {} while true do x = { x } end",
        "local function f(...) return f(1, ...) end f()",
        "local x = table.pack(table.unpack({}, 1, 1e6))",
        "local x = string.format('%99.99f', 1e300) while true do x = x .. x end"};
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++)
        refused(bombs[i], "out of memory", "a string of", "than");
}
END_TEST

/* A state that ran out is not asked again. */
START_TEST(a_state_without_memory_is_over)
{
    const char *text = "local n = 0 return { rank = function(t) n = n + 1\n"
                       "pcall(function() local x = {} while true do x = { x, x } end end) return n end }";
    mr_bench *b = world_of(text, strlen(text));
    ck_assert_int_eq(mr_bench_open(b), MR_OK);
    mr_task t = {.ref = 1};
    for (int i = 0; i < 3; i++)
        ck_assert(plugin->ops.sched.rank(b->self, &t) == 0);
    ck_assert_msg(strstr(b->failure, "out of memory") || strstr(b->failure, "instructions"), "%s", b->failure);
    mr_bench_free(b);
}
END_TEST

/* ---- instructions */

START_TEST(instructions_are_counted_from_the_first)
{
    static const char *const loops[] = {"while true do end",
                                        "for i = 1, 1e18 do end",
                                        "::again:: goto again",
                                        "repeat until false",
                                        "local function f() return f() end f()",
                                        "while true do pcall(error) end",
                                        "while true do pcall(function() while true do end end) end",
                                        "local function f() pcall(f) return f() end f()",
                                        "for _ in (function() return 1 end) do end",
                                        "while true do (function(...) return select('#', ...) end)(1, 2, 3) end"};
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++)
        refused(loops[i], "stopped after 1000000 instructions", "out of memory", NULL);
}
END_TEST

/* ---- what loops in C */

START_TEST(strings_are_short)
{
    static const char *const makers[] = {"('x'):rep(4097)", "('x'):rep(2, ('y'):rep(4096))",
                                         "table.concat({ ('x'):rep(4096), 'y' })", "('x'):rep(4096) .. 'y'",
                                         "string.format('%s%s', ('x'):rep(4096), 'y')"};
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        char text[300];
        snprintf(text, sizeof text, "local x = %s while true do x = x .. x end", makers[i]);
        refused(text, "a string of", "longer than", "out of memory");
    }
    opens("local x = ('x'):rep(4096) if #x ~= 4096 then error() end return {}");
}
END_TEST

/* ---- depth */

static void nested(const char *before, const char *after, int depth, char *text, size_t size)
{
    size_t n = 0;
    n += (size_t)snprintf(text, size, "local x = ");
    for (int i = 0; i < depth; i++)
        n += (size_t)snprintf(text + n, size - n, "%s", before);
    n += (size_t)snprintf(text + n, size - n, "1");
    for (int i = 0; i < depth; i++)
        n += (size_t)snprintf(text + n, size - n, "%s", after);
    snprintf(text + n, size - n, " return {}");
}

START_TEST(depth_is_bounded)
{
    static const char *const nests[][2] = {
        {"(", ")"}, {"{", "}"}, {"- ", ""}, {"not ", ""}, {"(function() return ", " end)()"}, {"f(", ")"}, {"x[", "]"}};
    static char text[200 * 1000];
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        nested(nests[i][0], nests[i][1], 5000, text, sizeof text);
        refused(text, "C levels", "overflow", "too many");
    }
    refused("local function f(n) return 1 + f(n + 1) end f(0)", "stack overflow", "out of memory", NULL);
    refused("local function f(n) return 1 + f(n + 1) end while true do pcall(f, 0) end", "instructions",
            "out of memory", "stopped");
    refused("local function f() return pcall(f) end while true do f() end", "instructions", "out of memory", "stopped");
    refused("table.sort({ 3, 2, 1 }, function() local function f() return 1 + f() end return f() end)", "overflow",
            "out of memory", NULL);
}
END_TEST

/* ---- nothing runs after the end */

START_TEST(no_code_of_its_own_runs_late)
{
    refused("setmetatable({}, { __gc = function() while true do end end })", "setmetatable", NULL, NULL);
    refused("local x <close> = { __close = function() while true do end end }", "got a non-closable value", NULL, NULL);
    refused("error({ __tostring = function() while true do end end })", "was given a table", NULL, NULL);
    refused("pcall(error, {}) pcall(pcall) pcall(pcall, error) error(nil)", "was given a nil", "bad argument", NULL);
    refused("xpcall(error, function() while true do end end)", "xpcall", NULL, NULL);
    opens("local x <const> = 1 local y <close> = nil return {}");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sched-lua: the sandbox");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, no_way_out_by_name);
    tcase_add_test(t, the_libraries_are_these);
    tcase_add_test(t, no_binary_code);
    tcase_add_test(t, nothing_is_shared);
    tcase_add_test(t, bytes_are_capped);
    tcase_add_test(t, a_state_without_memory_is_over);
    tcase_add_test(t, instructions_are_counted_from_the_first);
    tcase_add_test(t, strings_are_short);
    tcase_add_test(t, depth_is_bounded);
    tcase_add_test(t, no_code_of_its_own_runs_late);
    suite_add_tcase(s, t);
    return run_suite(s);
}
