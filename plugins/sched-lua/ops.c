/* ops.c: the op table: each op calls its hook with handles, checks what comes back, and turns an error into a call of
 * host->fail, after which control ejects the policy.  The answer of a call that failed is the neutral one. */
#include "sched_lua.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <miniray/plugin.h>

/* Says once what happened and in which call. */
static void give_up(mr_lua *s)
{
    char text[900], whom[160] = "";
    mr_lua_take_error(s, text, sizeof text);
    if (s->failed)
        return;
    s->failed = true;
    if (s->task) {
        const char *fn = s->host->text(s->host, s->task->fn);
        snprintf(whom, sizeof whom, " (task %llx%s%.80s)", (unsigned long long)s->task->ref, fn && *fn ? ", " : "",
                 fn ? fn : "");
    }
    s->base->fail(s->base, "%s, in %s%s", text, mr_lua_hook_names[s->now_hook], whom);
}

/* Pushes the hook; false: it is absent, or the policy is over. */
static bool enter(mr_lua *s, mr_hook hook, const mr_task *t)
{
    if (s->failed || s->ref[hook] == LUA_NOREF)
        return false;
    s->now_hook = (int)hook;
    s->task = t;
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, s->ref[hook]);
    if (t)
        mr_lua_push_ref(s->L, t->ref);
    return true;
}

/* Calls what enter() pushed.  With `results` 1 the answer is on the stack if true. */
static bool ask(mr_lua *s, int n, int results)
{
    bool ok = mr_lua_call(s, n, results) == LUA_OK;
    if (!ok)
        give_up(s);
    return ok;
}

/* An answer of the wrong type: the message is made inside a protected call, as it needs memory. */
static int raise_bad_answer(lua_State *L)
{
    const char *what = lua_touserdata(L, 1);
    return mr_lua_bad_answer(mr_lua_of(L), what);
}

static void refuse(mr_lua *s, const char *what)
{
    lua_pushcfunction(s->L, raise_bad_answer);
    lua_insert(s->L, -2);
    lua_pushlightuserdata(s->L, (void *)(uintptr_t)what);
    lua_insert(s->L, -2);
    if (mr_lua_call(s, 2, 0) != LUA_OK)
        give_up(s);
}

/* The handle on top, popped; `nothing` for nil, `stop` for false. */
static mr_ref take_ref(mr_lua *s, unsigned kinds, mr_ref stop, const char *what)
{
    mr_ref ref = MR_NONE;
    if (lua_isboolean(s->L, -1) && !lua_toboolean(s->L, -1)) {
        ref = stop;
    } else if (!lua_isnil(s->L, -1)) {
        ref = lua_islightuserdata(s->L, -1) ? (mr_ref)(uintptr_t)lua_touserdata(s->L, -1) : MR_NONE;
        mr_kind kind = mr_lua_kind(ref);
        if (kind == KIND_NONE || !(kinds & (1U << kind))) {
            refuse(s, what);
            return MR_NONE;
        }
    }
    lua_pop(s->L, 1);
    return ref;
}

static double lua_rank(void *self, const mr_task *t)
{
    mr_lua *s = self;
    if (!enter(s, HOOK_RANK, t) || !ask(s, 1, 1))
        return 0;
    int type = lua_type(s->L, -1);
    double rank = type == LUA_TNUMBER ? lua_tonumber(s->L, -1) : INFINITY; /* nil: unknown, last */
    if ((type != LUA_TNUMBER && type != LUA_TNIL) || isnan(rank)) {
        refuse(s, "a number, or nil if it is unknown (those come last)");
        return 0;
    }
    lua_pop(s->L, 1);
    return rank;
}

static mr_ref where(mr_lua *s, mr_hook hook, const mr_task *t)
{
    if (!enter(s, hook, t) || !ask(s, 1, 1))
        return MR_NONE;
    return take_ref(s, SLOTS | NODES, MR_NONE, "a slot, a node, or nil for the shared queue");
}

static mr_ref lua_place(void *self, const mr_task *t)
{
    return where(self, HOOK_PLACE, t);
}

static mr_ref lua_plan(void *self, const mr_task *t)
{
    return where(self, HOOK_PLAN, t);
}

static mr_ref lua_pick(void *self, const mr_worker *w)
{
    mr_lua *s = self;
    if (!enter(s, HOOK_PICK, NULL))
        return MR_NONE;
    mr_lua_push_ref(s->L, w->ref);
    if (!ask(s, 1, 1))
        return MR_NONE;
    return take_ref(s, TASKS, MR_STOP, "a task, nil (nothing for this slot) or false (nothing for any)");
}

static int64_t lua_slice(void *self, const mr_task *t, const mr_worker *w)
{
    mr_lua *s = self;
    if (!enter(s, HOOK_SLICE, t))
        return -1;
    mr_lua_push_ref(s->L, w->ref);
    if (!ask(s, 2, 1))
        return -1;
    int type = lua_type(s->L, -1);
    double ns = type == LUA_TNUMBER ? lua_tonumber(s->L, -1) : -1;
    if ((type != LUA_TNUMBER && type != LUA_TNIL) || isnan(ns)) {
        refuse(s, "a duration in ns (10*ms), or nil for no end");
        return -1;
    }
    lua_pop(s->L, 1);
    return ns < 0 || ns > 9e18 ? -1 : (int64_t)ns;
}

static mr_ref lua_preempt(void *self, const mr_task *t)
{
    mr_lua *s = self;
    if (!enter(s, HOOK_PREEMPT, t) || !ask(s, 1, 1))
        return MR_NONE;
    return take_ref(s, TASKS, MR_NONE, "a running task whose slot it takes, or nil");
}

static const char *outcome_text(int outcome)
{
    static const struct {
        int status;
        const char *text;
    } map[] = {
#define ONE(name, code, text) {code, text},
        MR_STATUS_MAP(ONE)
#undef ONE
    };
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (map[i].status == outcome)
            return map[i].text;
    return "unknown";
}

static const struct {
    mr_what what;
    mr_hook hook;
} notices[] = {
    {MR_SUBMITTED, HOOK_SUBMITTED}, {MR_BECAME_READY, HOOK_READY}, {MR_STARTED, HOOK_STARTED},
    {MR_STOPPED, HOOK_STOPPED},     {MR_DONE, HOOK_DONE},          {MR_DROPPED, HOOK_DROPPED},
    {MR_WOKEN, HOOK_WOKEN},
};

/* The outcome's text may need memory, so it is made inside the protected call: a closure would cost more than this. */
static int call_with_outcome(lua_State *L)
{
    int outcome = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_pushstring(L, outcome_text(outcome));
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static void lua_notice(void *self, const mr_notice *n)
{
    mr_lua *s = self;
    size_t i = 0;
    while (i < sizeof notices / sizeof notices[0] && notices[i].what != n->what)
        i++;
    if (i == sizeof notices / sizeof notices[0])
        return;
    bool outcome = n->what == MR_DONE || n->what == MR_DROPPED;
    if (s->failed || s->ref[notices[i].hook] == LUA_NOREF)
        return;
    if (outcome)
        lua_pushcfunction(s->L, call_with_outcome);
    int base = lua_gettop(s->L);
    enter(s, notices[i].hook, n->task);
    if (n->what == MR_WOKEN)
        lua_pushinteger(s->L, s->host->now(s->host));
    if (n->what == MR_STARTED || n->what == MR_STOPPED || n->what == MR_DONE)
        mr_lua_push_ref(s->L, n->worker ? n->worker->ref : MR_NONE);
    if (n->what == MR_STOPPED || n->what == MR_DONE)
        lua_pushinteger(s->L, n->ran);
    if (outcome)
        lua_pushinteger(s->L, n->outcome);
    ask(s, lua_gettop(s->L) - base - (outcome ? 0 : 1), 0);
}

static void lua_wants(void *self, mr_sched_wants *out)
{
    static const struct {
        uint32_t op;
        mr_hook hook;
    } asked[] = {{MR_OP_RANK, HOOK_RANK}, {MR_OP_PLACE, HOOK_PLACE}, {MR_OP_PLAN, HOOK_PLAN},
                 {MR_OP_PICK, HOOK_PICK}, {MR_OP_SLICE, HOOK_SLICE}, {MR_OP_PREEMPT, HOOK_PREEMPT}};
    const mr_lua *s = self;
    out->ops = out->notices = out->requires = 0;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        if (s->ref[asked[i].hook] != LUA_NOREF)
            out->ops |= asked[i].op;
    for (size_t i = 0; i < sizeof notices / sizeof notices[0]; i++)
        if (s->ref[notices[i].hook] != LUA_NOREF)
            out->notices |= (uint32_t)notices[i].what;
    if (out->ops & (MR_OP_SLICE | MR_OP_PREEMPT))
    out->requires = MR_REQ_PREEMPT;
}

static void lua_close_(void *self)
{
    mr_lua *s = self;
    const mr_host *base = s->base;
    mr_lua_free(s);
    base->free(base, s->saved);
    base->free(base, s);
}

static mr_status lua_open_(void **self, const mr_sched_host *h, mr_err *err)
{
    const mr_host *base = h->base;
    const char *path = base->conf(base, "policy");
    int64_t budget = base->conf_int(base, "budget", LUA_BUDGET), memory = base->conf_int(base, "memory", LUA_MEMORY);
    int64_t total = base->conf_int(base, "total", 0);
    mr_status status = MR_E_CONFIG;
    const char *wrong = NULL;
    if (!strstr(lua_ident, LUA_RELEASE " "))
        wrong = "it was built with " LUA_RELEASE " and finds another Lua library: build miniray anew, since how many "
                "instructions a policy takes, and with it where it is cut off, differs from release to release";
    else if (!path || !*path)
        wrong = "no policy: name a file in [sched.lua] policy, in [sched] policy, or with --policy FILE.lua";
    else if (budget < LUA_STEP)
        wrong = "budget must be at least 1000 instructions";
    else if (total < 0)
        wrong = "total must not be negative";
    else if (memory < LUA_MEMORY_MIN)
        wrong = "memory must be at least 256K: the libraries alone need that";
    if (wrong) {
        if (err) {
            err->status = status;
            snprintf(err->text, sizeof err->text, "%s: %s", base->name, wrong);
        }
        return status;
    }
    mr_lua *s = base->alloc(base, sizeof *s);
    if (!s)
        return MR_E_NOMEM;
    status = mr_lua_new(s, h, budget, memory, err);
    s->total = total;
    if (!status)
        status = mr_lua_load(s, path, err);
    if (status) {
        s->base = base;
        lua_close_(s);
        return status;
    }
    *self = s;
    return MR_OK;
}

static const mr_conf_key keys[] = {
    {"policy", MR_CONF_PATH, NULL, "the policy file; [sched] policy and --policy set it too"},
    {"budget", MR_CONF_INT, "10000000", "Lua instructions one call may take before the policy is ejected"},
    {"total", MR_CONF_INT, "0", "instructions that all calls together may take before the policy is ejected; 0: any"},
    {"memory", MR_CONF_BYTES, "8M", "bytes the policy's state may hold before it is ejected"},
    {"*", MR_CONF_TEXT, NULL,
     "any other key is conf.KEY in the policy: a number, a duration (in ns), true/false, or text"},
};

static const mr_sched_ops ops = {
    .notices = 127, /* all; wants() says which are meant */
    .open = lua_open_,
    .close = lua_close_,
    .rank = lua_rank,
    .place = lua_place,
    .plan = lua_plan,
    .pick = lua_pick,
    .slice = lua_slice,
    .preempt = lua_preempt,
    .notice = lua_notice,
    .wants = lua_wants,
    .line = mr_lua_line,
    .save = mr_lua_save,
    .restore = mr_lua_restore,
};

MR_PLUGIN(MR_KIND_SCHED, "sched-lua", "hosts a policy written in " LUA_RELEASE, ops, keys, 5)
