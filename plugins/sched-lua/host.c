/* host.c: the functions a policy calls: thin wrappers of mr_sched_host that check their arguments. */
#include "sched_lua.h"

#include <math.h>
#include <string.h>

#define A_TASK "a task"
#define A_SLOT "a slot"
#define A_NODE "a node or a slot"
#define A_QUEUE "a slot, a node, or nil for the shared queue"

static int host_now(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    lua_pushinteger(L, h->now(h));
    return 1;
}

/* Upvalues: list, of, after. */
static int list_next(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    mr_list list = (mr_list)lua_tointeger(L, lua_upvalueindex(1));
    mr_ref of = (mr_ref)(uintptr_t)lua_touserdata(L, lua_upvalueindex(2));
    mr_ref after = (mr_ref)(uintptr_t)lua_touserdata(L, lua_upvalueindex(3));
    mr_ref ref = after == MR_STOP ? MR_NONE : h->next(h, list, of, after);
    lua_pushlightuserdata(L, (void *)(uintptr_t)(ref ? ref : MR_STOP)); /* the end stays the end */
    lua_replace(L, lua_upvalueindex(3));
    mr_lua_push_ref(L, ref);
    return 1;
}

static int push_list(lua_State *L, mr_list list, mr_ref of)
{
    lua_pushinteger(L, list);
    lua_pushlightuserdata(L, (void *)(uintptr_t)of);
    lua_pushlightuserdata(L, NULL);
    lua_pushcclosure(L, list_next, 3);
    return 1;
}

static int host_ready(lua_State *L)
{
    return push_list(L, MR_READY, mr_lua_check_ref(L, 1, SLOTS | NODES, true, A_QUEUE));
}

static int host_running(lua_State *L)
{
    return push_list(L, MR_RUNNING,
                     mr_lua_check_ref(L, 1, TASKS | SLOTS | NODES, true, "a task, a slot, a node or nil"));
}

static int push_array(lua_State *L, mr_list list, mr_ref of)
{
    mr_lua *s = mr_lua_of(L);
    const mr_sched_host *h = s->host;
    lua_Integer n = 0;
    lua_newtable(L);
    for (mr_ref r = MR_NONE; (r = h->next(h, list, of, r));) {
        mr_lua_push_ref(L, r);
        lua_rawseti(L, -2, ++n);
    }
    mr_lua_charge(s, n);
    return 1;
}

static int host_workers(lua_State *L)
{
    return push_array(L, MR_WORKERS, mr_lua_check_ref(L, 1, TASKS | NODES, true, "a task, a node or nil"));
}

static int host_nodes(lua_State *L)
{
    return push_array(L, MR_NODES, mr_lua_check_ref(L, 1, TASKS, true, "a task or nil"));
}

static int first_or_last(lua_State *L, bool from_end)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    mr_ref queue = mr_lua_check_ref(L, 1, SLOTS | NODES, true, A_QUEUE);
    mr_ref w = mr_lua_check_ref(L, 2, SLOTS, false, A_SLOT);
    mr_lua_push_ref(L, h->first(h, queue, w, from_end));
    return 1;
}

static int host_first(lua_State *L)
{
    return first_or_last(L, false);
}

static int host_last(lua_State *L)
{
    return first_or_last(L, true);
}

static int host_can(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    mr_ref t = mr_lua_check_ref(L, 1, TASKS, false, A_TASK);
    lua_pushboolean(L, h->can(h, t, mr_lua_check_ref(L, 2, SLOTS, false, A_SLOT)));
    return 1;
}

static void push_cost(lua_State *L, int64_t ns)
{
    if (ns == INT64_MAX)
        lua_pushnumber(L, HUGE_VAL);
    else
        lua_pushinteger(L, ns);
}

static int host_cost(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    mr_ref t = mr_lua_check_ref(L, 1, TASKS, false, A_TASK);
    push_cost(L, h->cost(h, t, mr_lua_check_ref(L, 2, SLOTS, false, A_SLOT)));
    return 1;
}

/* A slot stands for its node where bytes are meant. */
static mr_ref check_node(lua_State *L, int arg, bool none)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    mr_ref ref = mr_lua_check_ref(L, arg, SLOTS | NODES, none, A_NODE);
    if (mr_ref_is_slot(ref)) {
        const mr_worker *w = h->worker(h, ref);
        return w ? w->node : MR_NONE;
    }
    return ref;
}

static int host_copy(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    lua_Number bytes = luaL_checknumber(L, 1);
    if (!(bytes >= 0) || bytes > 9e18)
        return luaL_error(L, "copy: expected a number of bytes, got %f", bytes);
    push_cost(L, h->copy(h, (uint64_t)bytes, check_node(L, 2, true), check_node(L, 3, true)));
    return 1;
}

static int host_missing(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    mr_ref t = mr_lua_check_ref(L, 1, TASKS, false, A_TASK);
    lua_pushinteger(L, (lua_Integer)h->missing(h, t, check_node(L, 2, false)));
    return 1;
}

static int host_wake(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    lua_Number at = luaL_checknumber(L, 1);
    if (at != at)
        return luaL_error(L, "wake: the time is not a number (0/0)");
    if (at < 9e18) /* beyond that is never */
        h->wake(h, lua_isinteger(L, 1) ? (int64_t)lua_tointeger(L, 1) : (int64_t)ceil(at > 0 ? at : 0));
    return 0;
}

static int host_rerank(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    h->rerank(h, mr_lua_check_ref(L, 1, TASKS, true, "a task, or nil for all"));
    return 0;
}

/* The policy's own random numbers come from the run's seed: math.random(), (m), (m, n), and (0) for 64 bits. */
static int host_random(lua_State *L)
{
    const mr_sched_host *h = mr_lua_of(L)->host;
    lua_Integer low = 1, high;
    uint64_t x = h->random(h);
    if (lua_gettop(L) == 0) {
        lua_pushnumber(L, (lua_Number)(x >> 11) * 0x1p-53);
        return 1;
    }
    high = luaL_checkinteger(L, 1);
    if (lua_gettop(L) >= 2) {
        low = high;
        high = luaL_checkinteger(L, 2);
    } else if (high == 0) {
        lua_pushinteger(L, (lua_Integer)x);
        return 1;
    }
    if (low > high)
        return luaL_error(L, "math.random: nothing to choose from (%I to %I)", (LUAI_UACINT)low, (LUAI_UACINT)high);
    uint64_t range = (uint64_t)high - (uint64_t)low + 1, cut = range ? (0 - range) % range : 0;
    while (range && x < cut) /* so that each value is equally likely */
        x = h->random(h);
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + (range ? x % range : x)));
    return 1;
}

void mr_lua_push_number_or_text(lua_State *L, const char *text)
{
    if (lua_stringtonumber(L, text) == 0)
        lua_pushstring(L, text);
}

/* "12.5ms" -> 12500000; false if it is not a duration.  By hand: strtod follows the program's locale. */
static bool parse_duration(const char *text, int64_t *out)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    const char *p = text + (*text == '-'), *digits = p;
    double x = 0, place = 1;
    for (; *p >= '0' && *p <= '9'; p++)
        x = x * 10 + (*p - '0');
    if (p > digits && *p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++)
            x += (*p - '0') * (place /= 10);
    for (size_t i = 0; p > digits && i < sizeof units / sizeof units[0]; i++) {
        double ns = (*text == '-' ? -x : x) * units[i].ns;
        if (strcmp(p, units[i].unit) != 0 || ns < -9e18 || ns > 9e18)
            continue;
        *out = llround(ns);
        return true;
    }
    return false;
}

void mr_lua_push_setting(lua_State *L, const char *text)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    int64_t ns;
    if (parse_duration(text, &ns)) {
        lua_pushinteger(L, ns);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            lua_pushboolean(L, strcmp(text, yes[i]) == 0);
            return;
        }
    }
    mr_lua_push_number_or_text(L, text);
}

void mr_lua_open_host(lua_State *L)
{
    /* The comment of a row is what an editor shows: scripts/lua_types.py makes miniray.d.lua of these rows. */
    static const luaL_Reg functions[] = {
        {"now", host_now},         /* () -> integer | ns since the run began; stands still during an instant */
        {"ready", host_ready},     /* (queue?: Slot|Node) -> fun(): Task | those that wait in a queue, by rank */
        {"running", host_running}, /* (of?: Task|Slot|Node) -> fun(): Task | what runs; of a task: whom it may stop */
        {"workers", host_workers}, /* (of?: Task|Node) -> Slot[] | the slots; of a task: where it may ever run */
        {"nodes", host_nodes},     /* (of?: Task) -> Node[] | the nodes; of a task: where it may ever run */
        {"first", host_first}, /* (queue: Slot|Node|nil, w: Slot) -> Task? | the first of a queue that can start on w */
        {"last", host_last},   /* (queue: Slot|Node|nil, w: Slot) -> Task? | the last of a queue that can start on w */
        {"can", host_can},     /* (t: Task, w: Slot) -> boolean | whether pick(w) may answer t now */
        {"cost", host_cost},   /* (t: Task, w: Slot) -> number | ns of t on w; math.huge: never there */
        {"copy", host_copy},   /* (bytes: number, from?: Node|Slot, to?: Node|Slot) -> number | ns of a copy */
        {"missing", host_missing}, /* (t: Task, n: Node|Slot) -> integer | bytes of its arguments that are not there */
        {"wake", host_wake},       /* (at: number) | asks for woken(now) at a time; the earliest wish counts */
        {"rerank", host_rerank},   /* (t?: Task) | rank is asked again after this hook, of t or of all */
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    lua_pushinteger(L, 1000);
    lua_setfield(L, -2, "us");
    lua_pushinteger(L, 1000 * 1000);
    lua_setfield(L, -2, "ms");
    lua_pushinteger(L, 1000 * 1000 * 1000);
    lua_setfield(L, -2, "s");
    lua_getfield(L, -1, "math");
    lua_pushcfunction(L, host_random);
    lua_setfield(L, -2, "random");
    lua_pop(L, 1);
}
