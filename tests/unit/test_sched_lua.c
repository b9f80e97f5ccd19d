/* sched-lua from outside: what a policy may do, what stops it, and the words it is stopped with.  Every case is one
 * policy, opened and driven by the bench host. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/conformance/bench_host.h"
#include "run_suite.h"

static mr_loaded *plugin;
static mr_config *config;
static char folder[64];

static void setup(void)
{
    mr_err err = {MR_OK, ""};
    snprintf(folder, sizeof folder, "/tmp/mrlua.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(mr_config_new(&config), MR_OK);
    ck_assert_msg(mr_plugin_load(&plugin, "sched-lua", MR_KIND_SCHED, config, NULL, &err) == MR_OK, "%s", err.text);
}

static void teardown(void)
{
    mr_plugin_unload(plugin);
    mr_config_free(config);
    unlink("p.lua");
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_policy(const char *text, size_t size)
{
    FILE *f = fopen("p.lua", "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

/* A world of one node, two slots, three tasks 30, 20, 10 ms, user "ann", function "load". */
static mr_bench *world(const char *text)
{
    write_policy(text, strlen(text));
    mr_bench *b = mr_bench_new(plugin, "p.lua", 7);
    ck_assert_ptr_nonnull(b);
    mr_bench_add_node(b, 2, 0, 0);
    for (int i = 0; i < 3; i++)
        mr_bench_add_task(b, &(mr_bench_spec){.duration = (3 - i) * 10 * BENCH_MS, .user = "ann", .fn = "load"});
    return b;
}

struct text_case {
    const char *lua, *expected;
};

static void check_text(const char *got, const struct text_case *c)
{
    ck_assert_msg(strcmp(got, c->expected) == 0, "policy: %s\nexpected: %s\ngot:      %s", c->lua, c->expected, got);
}

/* ---- refused at open */

#define NOT_KNOWN(name, why)                                                                                           \
    {                                                                                                                  \
        "local x = " name, "policy p.lua:1: '" name "' is not available: " why                                         \
    }
#define NOT_STRING(name)                                                                                               \
    {                                                                                                                  \
        "local x = ('x'):" name "('x')",                                                                               \
            "policy p.lua:1: 'string." name "' is not available (a budget can not hold all of that library)"           \
    }
#define BUDGET "stopped after 10000000 instructions in one call: an endless loop? (the cap is [sched.lua] budget)"

static const struct text_case open_cases[] = {
    {"",
     "policy p.lua:1: a policy file must return a table of hooks, such as return { rank = function(t) ... end }; got "
     "nil"},
    {"local x = 1\nreturn 5",
     "policy p.lua:2: a policy file must return a table of hooks, such as return { rank = function(t) ... "
     "end }; got number"},
    {"return {\n  rank = function(t) return t.estimate\n}",
     "policy p.lua:3: 'end' expected (to close 'function' at line 2) near '}'"},
    {"x = = 1", "policy p.lua:1: unexpected symbol near '='"},
    {"-- rnak ==\nreturn {\n  rnak = function() end }", "policy p.lua:3: 'rnak' is not a hook: did you mean 'rank'?"},
    {"return { preemt = function() end, aaaaaaa = 1 }",
     "policy p.lua:1: 'aaaaaaa' is not a hook; the hooks are rank place plan pick slice preempt, and the notices "
     "submitted "
     "ready started stopped done dropped woken, and save restore (what is yours, keep in a local)"},
    {"local rank = 1\nreturn {\n  rank = 5 }", "policy p.lua:3: 'rank' must be a function, got a number"},
    {"return { function() end }",
     "policy p.lua:1: the table it returns has a key that is not a name (a number): write rank = function(t) ... end"},
    {"\x1bLua", "policy p.lua: attempt to load a binary chunk (mode is 't')"},
    {"while true do end", "policy p.lua:1: " BUDGET},
    {"while true do pcall(function() while true do end end) end", "policy p.lua:1: " BUDGET},
    {"local function f() pcall(f) f() end f() while true do end", "policy p.lua:1: " BUDGET},
    {"local t = {}\nfor i = 1, 1e9 do t[i] = i end", NULL},
    {"local s = 'xxxxxxxx'\nwhile true do s = s .. s end", NULL},
    {"local x = ('x'):rep(1e15)",
     "policy p.lua:1: string.rep: the result is longer than the 4096 bytes a policy's string may have"},
    {"local x = (''):rep(1e15)",
     "policy p.lua:1: string.rep: the result is longer than the 4096 bytes a policy's string may have"},
    {"local x = table.move",
     "policy p.lua:1: 'table.move' is not available (a budget can not hold all of that library)"},
    {"local x = table.isnert", "policy p.lua:1: 'table.isnert' is not known: did you mean 'table.insert'?"},
    {"local x = math.randomseed",
     "policy p.lua:1: 'math.randomseed' is not available (a budget can not hold all of that library)"},
    {"local x = frist", "policy p.lua:1: 'frist' is not known: did you mean 'first'?"},
    {"local x = nonsense", "policy p.lua:1: 'nonsense' is not known: a variable must be set before it is read"},
    {"string.format('%5p', {})", "policy p.lua:1: string.format: %p shows an address, which differs from run to run"},
    {"error('too bad')", "policy p.lua:1: too bad"},
    {"error('too bad', 0)", "policy p.lua:1: too bad"},
    {"error({})", "policy p.lua:1: error() was given a table, not a text"},
    {"error()", "policy p.lua:1: error() was given a nil, not a text"},
    {"for k in pairs({ [{}] = 1, [2] = 2 }) do end",
     "policy p.lua:1: pairs: a table as key has no order that is the same in each run"},
    {"pairs(nil)", "policy p.lua:1: pairs: expected a table, got nil"},
    {"table.sort({ 3, 1, 'x' })", "policy p.lua:1: attempt to compare string with number"},
    {"least(5)", "policy p.lua:1: least: expected an array or an iterator such as ready(), got number"},
    {"cost(nil, 5)", "policy p.lua:1: argument 1 must be a task, got nil"},
    {"can(nodes()[1], 5)", "policy p.lua:1: argument 1 must be a task, got a node"},
    {"wake('soon')", "policy p.lua:1: bad argument #1 to 'wake' (number expected, got string)"},
    {"math.random(3, 2)", "policy p.lua:1: math.random: nothing to choose from (3 to 2)"},
    NOT_KNOWN("os", "there is no clock but now()"),
    NOT_KNOWN("io", "a policy can not reach files; print goes to the log"),
    NOT_KNOWN("debug", "it is not available to a policy"),
    NOT_KNOWN("require", "a policy is one file"),
    NOT_KNOWN("load", "a policy can not make code"),
    NOT_KNOWN("dofile", "a policy is one file"),
    NOT_KNOWN("coroutine", "a budget can not hold it; use a table"),
    NOT_KNOWN("setmetatable", "a budget can not hold metamethods; use functions"),
    NOT_KNOWN("getmetatable", "a budget can not hold metamethods; use functions"),
    NOT_KNOWN("xpcall", "its handler would run after a kill; use pcall"),
    NOT_KNOWN("collectgarbage", "memory is looked after"),
    NOT_KNOWN("next", "use pairs, or keep a count"),
    NOT_STRING("find"),
    NOT_STRING("match"),
    NOT_STRING("gmatch"),
    NOT_STRING("gsub"),
    NOT_STRING("dump"),
};

START_TEST(refused_at_open)
{
    const struct text_case *c = &open_cases[_i];
    mr_bench *b = world(c->lua);
    ck_assert_int_eq(mr_bench_open(b), MR_E_POLICY);
    if (c->expected)
        check_text(b->open_error, c);
    else /* how many bytes depends on the Lua release */
        ck_assert_msg(strncmp(b->open_error, "policy p.lua:2: ", 16) == 0 &&
                          (strstr(b->open_error, "out of memory: ") || strstr(b->open_error, "a string of ")),
                      "%s", b->open_error);
    ck_assert_uint_eq(b->live_allocs, 0);
    mr_bench_free(b);
}
END_TEST

/* ---- ejected while running */

#define RANK(body) "return { rank = function(t) " body " end }"
static const struct text_case run_cases[] = {
    {"return { rank = function(t)\n return t.deadline < 5 end }",
     "p.lua:2: attempt to compare nil with number (t.deadline is nil: the user gave none), in rank (task 1, load)"},
    {RANK("return t.limit + 1"), "p.lua:1: attempt to perform arithmetic on a nil value (field 'limit') (t.limit is "
                                 "nil: the user gave none), in rank "
                                 "(task 1, load)"},
    {RANK("local d = t.deadline; return t.user.x.y"),
     "p.lua:1: 'string.x' is not available (a budget can not hold all of that library), in rank (task 1, load)"},
    {RANK("return t.estmate"),
     "p.lua:1: a task has no field 'estmate': did you mean 'estimate'?, in rank (task 1, load)"},
    {RANK("return t[1]"), "p.lua:1: a task has no field '1', in rank (task 1, load)"},
    {RANK("t.rank = 3"), "p.lua:1: a handle's fields can not be set: keep a table of your own, with the handle as key, "
                         "in rank (task 1, load)"},
    {RANK("return 'soon'"), "p.lua:1: rank must return a number, or nil if it is unknown (those come last), got soon "
                            "(a string), in rank (task 1, load)"},
    {RANK("return {}"), "p.lua:1: rank must return a number, or nil if it is unknown (those come last), got table (a "
                        "table), in rank (task 1, load)"},
    {RANK("return 0/0"), "p.lua:1: rank must return a number, or nil if it is unknown (those come last), got not a "
                         "number: 0/0 (a number), in rank "
                         "(task 1, load)"},
    {RANK("while true do end"), "p.lua:1: " BUDGET ", in rank (task 1, load)"},
    {"return { place = function(t) return t end }", "p.lua:1: place must return a slot, a node, or nil for the shared "
                                                    "queue, got task 1 (a handle), in place (task 1, load)"},
    {"return { pick = function(w) return w.node end }", "p.lua:1: pick must return a task, nil (nothing for this slot) "
                                                        "or false (nothing for any), got node 0 (a handle), in pick"},
    {"return { slice = function() return true end }", "p.lua:1: slice must return a duration in ns (10*ms), or nil for "
                                                      "no end, got true (a boolean), in slice (task 1, load)"},
    {"local old\nreturn { done = function(t) old = t end, rank = function(t) return 0 end,\n"
     "pick = function(w) if old then return old.seq + 1 end return first(nil, w) end }",
     "p.lua:3: attempt to perform arithmetic on a nil value (field 'seq') (t.seq is nil: it is over), in pick"},
    {"return { started = function(t, w) error(t.fn .. ' on ' .. tostring(w)) end }",
     "p.lua:1: load on slot 0, in started (task 1, load)"},
};

START_TEST(ejected_in_a_run)
{
    const struct text_case *c = &run_cases[_i];
    mr_bench *b = world(c->lua);
    ck_assert(!mr_bench_run(b));
    check_text(b->failure, c);
    ck_assert_uint_eq(b->live_allocs, 0);
    mr_bench_free(b);
}
END_TEST

/* What C code does in loops is paid for: each of these must end, and soon, by the budget. */
static const char *const amplifiers[] = {
    "local t = {} for i = 1, 20000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end",
    "local t = {} for i = 1, 1000 do t[i] = 'x' end while true do table.concat(t) end",
    "local t = {} for i = 1, 20000 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end while true do pairs(t) "
    "end",
    "local s = ('x'):rep(4000) while true do local u = s .. 'a' end",
    "local s = ('x'):rep(4000) while true do s:upper() s:reverse() end",
    "while true do pcall(pcall, error) end",
    "local t = {} while true do t = { t, t } end",
    "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end) end",
    "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
    "local function f(n) return n == 0 and 0 or 1 + f(n - 1) end while true do pcall(f, 1e9) end",
    "while true do print('x') end",
    "while true do string.format('%s%s', {}, print) end",
};

START_TEST(every_loop_ends)
{
    mr_bench *b = world(amplifiers[_i]);
    ck_assert_int_eq(mr_bench_open(b), MR_E_POLICY);
    ck_assert_msg(strstr(b->open_error, "stopped after") || strstr(b->open_error, "out of memory") ||
                      strstr(b->open_error, "a string of"),
                  "%s", b->open_error);
    mr_bench_free(b);
}
END_TEST

/* After the first failure nothing of the policy runs, and every answer is the neutral one. */
START_TEST(neutral_after_a_failure)
{
    mr_bench *b = world("local n = 0\nreturn { rank = function(t) n = n + 1; error('number ' .. n) end,\n"
                        "pick = function() error('pick') end, slice = function() error('slice') end,\n"
                        "place = function() error('place') end, preempt = function() error('preempt') end }");
    const mr_sched_ops *o = &plugin->ops.sched;
    mr_task t = {.ref = 1};
    mr_worker w = {.ref = MR_REF_SLOT | 1};
    ck_assert_int_eq(mr_bench_open(b), MR_OK);
    for (int i = 0; i < 3; i++)
        ck_assert(o->rank(b->self, &t) == 0);
    ck_assert_uint_eq(o->place(b->self, &t), MR_NONE);
    ck_assert_uint_eq(o->pick(b->self, &w), MR_NONE);
    ck_assert_uint_eq(o->preempt(b->self, &t), MR_NONE);
    ck_assert_int_lt(o->slice(b->self, &t, &w), 0);
    ck_assert_str_eq(b->failure, "p.lua:2: number 1, in rank (task 1)");
    mr_bench_free(b);
}
END_TEST

/* ---- what a policy has */

/* Each is a condition that must hold in a fresh policy. */
static const char *const truths[] = {
    "tostring({}) == 'table' and tostring(print) == 'function'",
    "tostring(12) == '12' and tostring(nil) == 'nil' and tostring(true) == 'true'",
    "string.format('%s %s %d %5.1f %%p', {}, print, 3, 0.5) == 'table function 3   0.5 %p'",
    "('ab'):rep(3, '-') == 'ab-ab-ab' and ('abc'):sub(2) == 'bc' and #('x'):rep(4096) == 4096",
    "select('#', table.unpack({ 1, 2, 3 })) == 3 and select(2, table.unpack({ 1, 2, 3 }, 2)) == 3",
    "not pcall(table.unpack, {}, 1, 1e9)",
    "not pcall(error, 'x') and select(2, pcall(error, 'x', 0)) == 'x'",
    "us == 1000 and ms == 1000 * us and s == 1000 * ms",
    "conf.n == 5 and conf.x == 2.5 and conf.d == 10 * ms and conf.yes == true and conf.word == 'abc'",
    "conf.missing == nil and conf.policy == nil and conf.half == 500 * us and conf.neg == -2 * s and conf.odd == '3 "
    "ms'",
    "select('#', pcall(function() return 1, 2, 3 end)) == 4 and select(4, pcall(function() return 1, 2, 3 end)) == 3",
    "#workers() == 2 and #nodes() == 1 and #workers(nodes()[1]) == 2",
    "workers()[1].id == 0 and workers()[2].idle and workers()[1].node == nodes()[1] and workers()[1].load == 0",
    "nodes()[1].total.CPU == 2 and nodes()[1].free.CPU == 2 and nodes()[1].free.GPU == 0 and nodes()[1].free.unicorn "
    "== 0",
    "now() == 0 and ready()() == nil and running()() == nil and copy(5000) == 5 * us",
    "least({ 3, 1, 2, 1 }, function(x) return x end) == 1 and most({ 3, 1 }, function(x) return x end) == 3",
    "select(2, least({ 5, 7 }, function(x) return x == 7 and -x end)) == -7 and least({}) == nil",
    "sum({ 1, 2, 3 }) == 6 and sum({ 1, 2 }, function(x) return x == 2 and x end) == 2",
    "math.random(1) == 1 and math.random() < 1 and math.type(math.random(10)) == 'integer'",
    "(function() local a = {} for i = 1, 100 do a[i] = math.random(6) end return least(a) == 1 and most(a) == 6 end)()",
    /* sorted pairs: numbers, then texts, then booleans */
    "(function() local k = '' for x in pairs({ b = 1, a = 1, [2] = 1, [1] = 1, [true] = 1, [1.5] = 1 }) do "
    "k = k .. tostring(x) .. ' ' end return k == '1 1.5 2 a b true ' end)()",
    "(function() local n, t = 0, { a = 1, b = 2, c = 3 } for k in pairs(t) do t.b = nil n = n + 1 end return n == 2 "
    "end)()",
    /* a stable sort */
    "(function() local a = {} for i = 1, 200 do a[i] = { i % 3, i } end "
    "table.sort(a, function(x, y) return x[1] < y[1] end) "
    "for i = 2, 200 do local p, q = a[i - 1], a[i] if p[1] > q[1] or (p[1] == q[1] and p[2] > q[2]) then return false "
    "end end "
    "return true end)()",
    "(function() local a = { 5, 3, 4, 1, 2 } table.sort(a) return table.concat(a, ',') == '1,2,3,4,5' end)()",
    "(function() local a = { 1 } table.sort(a) table.sort({}) return a[1] == 1 end)()",
    "pcall(table.sort, { 3, 2, 1, 5, 4 }, function() return true end)",
};

START_TEST(truth)
{
    char text[1024];
    snprintf(text, sizeof text, "if not (%s) then error('not so') end return {}", truths[_i]);
    mr_bench *b = world(text);
    mr_bench_conf(b, "n", "5");
    mr_bench_conf(b, "x", "2.5");
    mr_bench_conf(b, "d", "10ms");
    mr_bench_conf(b, "yes", "yes");
    mr_bench_conf(b, "word", "abc");
    mr_bench_conf(b, "half", "0.5ms");
    mr_bench_conf(b, "neg", "-2s");
    mr_bench_conf(b, "odd", "3 ms");
    ck_assert_msg(mr_bench_open(b) == MR_OK, "%s\n%s", truths[_i], b->open_error);
    mr_bench_free(b);
}
END_TEST

/* Fields of a task, as its first `rank` sees them. */
static const char *const fields[] = {
    "t.id == 1 and t.state == 'ready' and t.seq == 1 and t.entry == 1 and t.fn == 'load' and t.user == 'ann'",
    "t.priority == 0 and t.attempt == 1 and t.kind == 'task' and t.rank == t.entry",
    "t.submitted_at == 0 and t.ready_at == 0 and t.started_at == nil and t.deadline == nil and t.limit == nil",
    "t.estimate == 30 * ms and t.ran == 0 and t.remaining == 30 * ms and t.bytes == 0 and t.from == nil and t.on == "
    "nil",
    "t.needs.CPU == 1 and t.needs.GPU == 0 and #t.preds == 0 and t.n_succs == 0 and t.labels.gang == nil",
    "tostring(t) == 'task 1' and t == t and ({ [t] = 5 })[t] == 5 and type(t) == 'userdata'",
    "cost(t, workers()[1]) == 30 * ms and missing(t, nodes()[1]) == 0 and #workers(t) == 2 and #nodes(t) == 1",
    "can(t, workers()[1]) and first(nil, workers()[1]) == t and ready()() == t",
};

START_TEST(field)
{
    char text[1024];
    snprintf(text, sizeof text,
             "return { rank = function(t) if t.seq == 1 and not (%s) then error('not so') end return 0 end }",
             fields[_i]);
    mr_bench *b = world(text);
    ck_assert_msg(mr_bench_run(b), "%s\n%s%s", fields[_i], b->failure, b->open_error);
    mr_bench_free(b);
}
END_TEST

START_TEST(notices_carry_what_they_say)
{
    mr_bench *b =
        world("local log = ''\n"
              "local function add(...) for _, x in ipairs({ ... }) do log = log .. tostring(x) .. ' ' end end\n"
              "return { submitted = function(t) if t.seq == 3 then add('S', t) end end,\n"
              "ready = function(t) if t.seq == 3 then add('R', t) end end,\n"
              "started = function(t, w) if t.seq == 3 then add('B', t, w) end end,\n"
              "woken = function(at) add('W', at == now()) end,\n"
              "rank = function(t) wake(25 * ms) return t.estimate end,\n"
              "dropped = function(t, why) add('X', t, why) print(log) end,\n"
              "done = function(t, w, ran, how) add('E', t, w, ran // ms, how) end }");
    mr_bench_add_event(b, BENCH_CANCEL, 0, 35 * BENCH_MS);
    mr_bench_run(b);
    ck_assert_str_eq(b->failure, "");
    ck_assert_str_eq(b->log, "S task 3 R task 3 B task 3 slot 0 E task 3 slot 0 10 ok E task 2 slot 1 20 ok W true "
                             "X task 1 cancelled ");
    mr_bench_free(b);
}
END_TEST

/* What a task gets when it becomes ready is not known before. */
START_TEST(nothing_is_known_too_early)
{
    mr_bench *b =
        world("local function early(t) return t.entry == nil and t.rank == nil and t.bytes == nil end\n"
              "return { submitted = function(t) if not early(t) or t.ran ~= 0 then error('known') end end,\n"
              "plan = function(t) if not early(t) then error('known') end end,\n"
              "ready = function(t) if not t.entry or not t.rank or t.bytes ~= 0 then error('unknown') end end,\n"
              "rank = function(t) return t.seq end }");
    ck_assert_msg(mr_bench_run(b), "%s", b->failure);
    mr_bench_free(b);
    b = world("return { plan = function(t) if t.bytes > 5 then return end end }");
    ck_assert(!mr_bench_run(b));
    ck_assert_ptr_nonnull(strstr(b->failure, "(t.bytes is nil: it was not ready yet), in plan (task 1, load)"));
    mr_bench_free(b);
}
END_TEST

START_TEST(unknown_ranks_come_last)
{
    mr_bench *b = world("return { rank = function(t) if t.seq > 1 then return 5 end end }");
    ck_assert_msg(mr_bench_run(b), "%s", b->failure);
    ck_assert_int_eq(b->order[0], 1);
    ck_assert_int_eq(b->order[2], 0);
    mr_bench_free(b);
}
END_TEST

START_TEST(only_hooks_that_are_there_are_asked)
{
    mr_bench *b = world("return { pick = function(w) return first(nil, w) end, done = function() end }");
    ck_assert_int_eq(mr_bench_open(b), MR_OK);
    ck_assert_uint_eq(b->wants.ops, MR_OP_PICK);
    ck_assert_uint_eq(b->wants.notices, MR_DONE);
    ck_assert_uint_eq(b->wants.requires, 0);
    mr_bench_free(b);
    b = world("return { slice = function() end }");
    ck_assert_int_eq(mr_bench_open(b), MR_OK);
    ck_assert_uint_eq(b->wants.requires, MR_REQ_PREEMPT);
    mr_bench_free(b);
}
END_TEST

START_TEST(random_follows_the_seed)
{
    int order[3][3];
    for (int k = 0; k < 3; k++) {
        mr_bench *b = world("return { rank = function() return math.random() end }");
        b->seed = k < 2 ? 11 : 5;
        ck_assert(mr_bench_run(b));
        memcpy(order[k], b->order, sizeof order[k]);
        mr_bench_free(b);
    }
    ck_assert_mem_eq(order[0], order[1], sizeof order[0]);
    ck_assert_mem_ne(order[0], order[2], sizeof order[0]);
}
END_TEST

/* Answers of the right kind that can not be: refused one by one, and no task is the worse for it. */
START_TEST(wild_answers_lose_nothing)
{
    mr_bench *b =
        world("local seen, n = {}, 0\n"
              "local function any() return seen[math.random(#seen)] end\n"
              "return { submitted = function(t) seen[#seen + 1] = t end,\n"
              "place = function(t) return math.random(2) == 1 and workers()[math.random(2)] or nil end,\n"
              "pick = function(w) n = n + 1 wake(now() + ms) return n % 3 == 0 and (first(w, w) or first(nil, w) or\n"
              "  first(workers()[1], w) or first(workers()[2], w)) or any() end,\n"
              "rank = function() return math.random(3) end, preempt = function() return any() end }");
    b->seed = (uint64_t)_i;
    for (int i = 0; i < 30; i++)
        mr_bench_add_task(b, &(mr_bench_spec){.arrival = i * BENCH_MS, .duration = 2 * BENCH_MS});
    mr_bench_run(b);
    ck_assert_str_eq(b->failure, "");
    ck_assert_int_gt(b->wrong, 0);
    for (int i = 0; i < b->n_tasks; i++)
        ck_assert_int_eq(b->task[i].ends, 1);
    mr_bench_free(b);
}
END_TEST

/* With the services that the core gives, not those of the bench. */
START_TEST(the_real_host_serves_it)
{
    mr_err err = {MR_OK, ""};
    mr_host_box *box = NULL;
    mr_bench *b = world("return { rank = function(t) if t.seq == 2 then error('boo') end return conf.k end }");
    ck_assert_msg(mr_config_set(config, "sched.lua", "policy", "p.lua", "test", &err) == MR_OK, "%s", err.text);
    ck_assert_msg(mr_config_set(config, "sched.lua", "k", "3ms", "test", &err) == MR_OK, "%s", err.text);
    ck_assert_msg(mr_config_check_plugin(config, plugin->plugin, &err) == MR_OK, "%s", err.text);
    ck_assert_int_eq(mr_host_new(&box, plugin->plugin, config, NULL, NULL), MR_OK);
    b->host.base = mr_host_table(box);
    ck_assert_msg(mr_bench_open(b) == MR_OK, "%s", b->open_error);
    ck_assert(plugin->ops.sched.rank(b->self, &(mr_task){.ref = 1, .seq = 1}) == 3e6);
    ck_assert_ptr_null(mr_host_failure(box));
    plugin->ops.sched.rank(b->self, &(mr_task){.ref = 1, .seq = 2});
    ck_assert_str_eq(mr_host_failure(box), "p.lua:1: boo, in rank (task 1)");
    mr_bench_close(b);
    ck_assert_uint_eq(mr_host_bytes(box), 0);
    mr_host_free(box);
    mr_bench_free(b);
}
END_TEST

/* ---- settings */

START_TEST(budget_and_memory_are_settings)
{
    mr_bench *b = world("for i = 1, 100000 do end return {}");
    mr_bench_conf(b, "budget", "5000");
    ck_assert_int_eq(mr_bench_open(b), MR_E_POLICY);
    ck_assert_ptr_nonnull(strstr(b->open_error, "stopped after 5000 instructions"));
    mr_bench_free(b);

    /* A few instructions at each call: no single one is too many. */
    b = world("return { rank = function(t) local n = 0 for i = 1, 2000 do n = n + i end return n end }");
    mr_bench_conf(b, "total", "9000");
    ck_assert(!mr_bench_run(b));
    ck_assert_msg(strstr(b->failure, "all calls together took 9000 instructions"), "%s", b->failure);
    mr_bench_free(b);

    b = world("local t = {} for i = 1, 100000 do t[i] = i end return {}");
    mr_bench_conf(b, "memory", "300K");
    ck_assert_int_eq(mr_bench_open(b), MR_E_POLICY);
    ck_assert_ptr_nonnull(strstr(b->open_error, "307200"));
    mr_bench_free(b);

    b = world("return {}");
    mr_bench_conf(b, "memory", "1K");
    ck_assert_int_eq(mr_bench_open(b), MR_E_CONFIG);
    ck_assert_str_eq(b->open_error, "sched-lua: memory must be at least 256K: the libraries alone need that");
    mr_bench_free(b);
}
END_TEST

START_TEST(the_least_memory_is_enough_for_a_policy)
{
    mr_bench *b = world("return { rank = function(t) return t.estimate end }");
    mr_bench_conf(b, "memory", "256K");
    ck_assert_msg(mr_bench_run(b), "%s%s", b->open_error, b->failure);
    mr_bench_free(b);
}
END_TEST

START_TEST(no_policy_and_no_file)
{
    mr_bench *b = mr_bench_new(plugin, NULL, 1);
    ck_assert_int_eq(mr_bench_open(b), MR_E_CONFIG);
    ck_assert_str_eq(b->open_error,
                     "sched-lua: no policy: name a file in [sched.lua] policy, in [sched] policy, or with "
                     "--policy FILE.lua");
    mr_bench_free(b);
    b = mr_bench_new(plugin, "nowhere.lua", 1);
    ck_assert_int_eq(mr_bench_open(b), MR_E_NOTFOUND);
    ck_assert_str_eq(b->open_error, "policy file nowhere.lua: can not be opened: No such file or directory");
    mr_bench_free(b);
    b = mr_bench_new(plugin, "/tmp", 1);
    ck_assert_int_ne(mr_bench_open(b), MR_OK);
    mr_bench_free(b);
}
END_TEST

START_TEST(a_long_file_is_refused)
{
    size_t size = (1 << 20) + 10;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    memset(text, '\n', size);
    write_policy(text, size);
    free(text);
    mr_bench *b = mr_bench_new(plugin, "p.lua", 1);
    ck_assert_int_eq(mr_bench_open(b), MR_E_TOOBIG);
    mr_bench_free(b);
}
END_TEST

/* Memory given out in steps from far too little to enough: each time a clean error or a run, never a crash. */
START_TEST(any_amount_of_memory)
{
    mr_bench *b = NULL;
    int opened = 0;
    for (int kb = 256; kb < 400; kb += 3) {
        char text[16];
        snprintf(text, sizeof text, "%dK", kb);
        b = world("local t = {} for i = 1, 1500 do t[i] = { i, tostring(i) } end return {}");
        mr_bench_conf(b, "memory", text);
        opened += mr_bench_open(b) == MR_OK;
        mr_bench_close(b);
        ck_assert_uint_eq(b->live_allocs, 0);
        mr_bench_free(b);
    }
    ck_assert_int_gt(opened, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sched-lua");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, refused_at_open, 0, (int)(sizeof open_cases / sizeof open_cases[0]));
    tcase_add_loop_test(t, ejected_in_a_run, 0, (int)(sizeof run_cases / sizeof run_cases[0]));
    tcase_add_loop_test(t, every_loop_ends, 0, (int)(sizeof amplifiers / sizeof amplifiers[0]));
    tcase_add_test(t, neutral_after_a_failure);
    tcase_add_loop_test(t, truth, 0, (int)(sizeof truths / sizeof truths[0]));
    tcase_add_loop_test(t, field, 0, (int)(sizeof fields / sizeof fields[0]));
    tcase_add_test(t, notices_carry_what_they_say);
    tcase_add_test(t, nothing_is_known_too_early);
    tcase_add_test(t, unknown_ranks_come_last);
    tcase_add_test(t, only_hooks_that_are_there_are_asked);
    tcase_add_test(t, random_follows_the_seed);
    tcase_add_loop_test(t, wild_answers_lose_nothing, 0, 20);
    tcase_add_test(t, the_real_host_serves_it);
    tcase_add_test(t, budget_and_memory_are_settings);
    tcase_add_test(t, the_least_memory_is_enough_for_a_policy);
    tcase_add_test(t, no_policy_and_no_file);
    tcase_add_test(t, a_long_file_is_refused);
    tcase_add_test(t, any_amount_of_memory);
    suite_add_tcase(s, t);
    return run_suite(s);
}
