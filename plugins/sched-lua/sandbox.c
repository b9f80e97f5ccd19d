/* sandbox.c: the library functions a policy has.
 *
 * What may be called is listed here, name by name; all else is left out, for one of two reasons.  It reaches outside
 * (io, os, debug, load, require), or a budget cannot hold it: xpcall handlers and __gc run after a kill, patterns,
 * string.rep and table.move loop in C where no hook fires.  What stays and loops in C (insert, remove, concat, unpack)
 * is charged by hand.  Nothing shows an address, a clock, or the order of a hash table.
 */
#include "sched_lua.h"

#include <stdio.h>
#include <string.h>

#include "prelude.h" /* made from prelude.lua: mr_lua_prelude[], its size */

/* A text without addresses for any value, left on the stack. */
static const char *push_text(lua_State *L, int arg)
{
    int type = lua_type(L, arg);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TTHREAD)
        return lua_pushstring(L, lua_typename(L, type));
    return luaL_tolstring(L, arg, NULL);
}

static int box_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    push_text(L, 1);
    return 1;
}

static int box_print(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    char line[900];
    size_t n = 0;
    int top = lua_gettop(L);
    line[0] = 0;
    for (int i = 1; i <= top && n < sizeof line - 1; i++) {
        int len = snprintf(line + n, sizeof line - n, "%s%s", i > 1 ? "\t" : "", push_text(L, i));
        n += len > 0 ? (size_t)len : 0;
        lua_pop(L, 1);
    }
    mr_lua_charge(s, 1000); /* a system call */
    s->base->log(s->base, MR_LOG_INFO, "%s", line);
    return 0;
}

/* pcall for errors, not for the end: what was killed stays killed. */
static int box_pcall(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    luaL_checkany(L, 1);
    lua_pushboolean(L, true);
    lua_insert(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    if (status != LUA_OK) /* Lua walks the whole call stack to clean up after an error */
        mr_lua_charge(s, (int64_t)(s->used / 64));
    if (status == LUA_ERRMEM && !s->killed)
        s->killed = KILLED_MEMORY;
    if (s->killed)
        return luaL_error(L, "the policy was stopped");
    if (status == LUA_OK)
        return lua_gettop(L);
    lua_pushboolean(L, false);
    lua_insert(L, -2);
    return 2;
}

static int box_rep(lua_State *L)
{
    size_t len, sep_len;
    luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &sep_len);
    if (n > LUA_STRING_MAX || (n > 0 && (len + sep_len) * (size_t)n > LUA_STRING_MAX))
        return luaL_error(L, "string.rep: the result is longer than the %d bytes a policy's string may have",
                          LUA_STRING_MAX);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* Tables and functions print as their type; %p is refused. */
static int box_format(lua_State *L)
{
    size_t len;
    const char *p = luaL_checklstring(L, 1, &len), *end = p + len;
    for (; p < end; p++) {
        if (*p != '%')
            continue;
        if (++p < end && *p == '%')
            continue;
        p += strspn(p, "-+ #0123456789.");
        if (p < end && *p == 'p')
            return luaL_error(L, "string.format: %%p shows an address, which differs from run to run");
    }
    int top = lua_gettop(L);
    for (int i = 2; i <= top; i++) {
        int type = lua_type(L, i);
        if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TBOOLEAN && type != LUA_TNIL) {
            push_text(L, i);
            lua_replace(L, i);
        }
    }
    mr_lua_charge(mr_lua_of(L), (int64_t)len / 4);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, top, 1);
    return 1;
}

/* string.byte: at most LUA_UNPACK_MAX results. */
static int box_byte(lua_State *L)
{
    if (lua_gettop(L) >= 3) {
        lua_Integer i = luaL_checkinteger(L, 2), j = luaL_checkinteger(L, 3);
        if (i < 0 || j < 0 || j - i >= LUA_UNPACK_MAX)
            return luaL_error(L, "string.byte: from and to must be positive and at most %d apart", LUA_UNPACK_MAX);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int box_unpack(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer i = luaL_optinteger(L, 2, 1), j = luaL_opt(L, luaL_checkinteger, 3, (lua_Integer)lua_rawlen(L, 1));
    if (i > j)
        return 0;
    if ((uint64_t)j - (uint64_t)i >= LUA_UNPACK_MAX)
        return luaL_error(L, "table.unpack: more than %d values", LUA_UNPACK_MAX);
    luaL_checkstack(L, (int)(j - i + 1), "too many values");
    for (lua_Integer k = i;; k++) {
        lua_rawgeti(L, 1, k);
        if (k == j)
            break;
    }
    mr_lua_charge(mr_lua_of(L), (j - i) / 4);
    return (int)(j - i + 1);
}

/* Upvalue 1: the library's insert, remove or concat, which walk at most the whole table. */
static int box_walk(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int top = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1), from = n;
    if (lua_toboolean(L, lua_upvalueindex(2))) /* concat */
        from = 0;
    else if (top >= lua_tointeger(L, lua_upvalueindex(3)) && lua_isinteger(L, 2))
        from = lua_tointeger(L, 2);
    if (from >= 0 && from < n)
        mr_lua_charge(mr_lua_of(L), (n - from) / 4);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, top, LUA_MULTRET);
    return lua_gettop(L);
}

/* ---- for the prelude */

static int type_order(lua_State *L, int arg)
{
    switch (lua_type(L, arg)) {
    case LUA_TNUMBER:
        return 0;
    case LUA_TSTRING:
        return 1;
    case LUA_TBOOLEAN:
        return 2;
    case LUA_TLIGHTUSERDATA:
        return 3;
    default:
        return luaL_error(L, "pairs: a %s as key has no order that is the same in each run", luaL_typename(L, arg));
    }
}

/* The order of keys: numbers, texts (by bytes), false and true, handles. */
static int before(lua_State *L)
{
    int a = type_order(L, 1), b = type_order(L, 2);
    bool less = a < b;
    if (a == b && a == 0) {
        less = lua_compare(L, 1, 2, LUA_OPLT);
    } else if (a == b && a == 1) {
        size_t n, m;
        const char *x = lua_tolstring(L, 1, &n), *y = lua_tolstring(L, 2, &m);
        int c = memcmp(x, y, n < m ? n : m);
        less = c < 0 || (c == 0 && n < m);
    } else if (a == b && a == 2) {
        less = !lua_toboolean(L, 1) && lua_toboolean(L, 2);
    } else if (a == b) {
        less = (uintptr_t)lua_touserdata(L, 1) < (uintptr_t)lua_touserdata(L, 2);
    }
    lua_pushboolean(L, less);
    return 1;
}

/* Walking a table costs its size in slots, which is not known from outside: what all tables have bounds it. */
static int charge_walk(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    mr_lua_charge(s, (int64_t)(s->used / 512));
    return 0;
}

/* ---- unknown names */

static int unknown_name(lua_State *L)
{
    static const char *const hints[][2] = {
        {"next", "use pairs, or keep a count"},
        {"os", "there is no clock but now()"},
        {"io", "a policy can not reach files; print goes to the log"},
        {"debug", "it is not available to a policy"},
        {"require", "a policy is one file"},
        {"load", "a policy can not make code"},
        {"dofile", "a policy is one file"},
        {"coroutine", "a budget can not hold it; use a table"},
        {"setmetatable", "a budget can not hold metamethods; use functions"},
        {"getmetatable", "a budget can not hold metamethods; use functions"},
        {"xpcall", "its handler would run after a kill; use pcall"},
        {"collectgarbage", "memory is looked after"},
        {"rawget", "there are no metatables: t[k]"},
        {"utf8", "it is not available to a policy"},
    };
    static const char *const left_out[] = {"find", "match",    "gmatch", "gsub", "dump",
                                           "pack", "packsize", "unpack", "move", "randomseed"};
    const char *names[64];
    size_t n = 0;
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    const char *library = lua_tostring(L, lua_upvalueindex(1));
    const char *dot = *library ? "." : "";
    for (size_t i = 0; !*library && i < sizeof hints / sizeof hints[0]; i++)
        if (strcmp(hints[i][0], name) == 0)
            return luaL_error(L, "'%s' is not available: %s", name, hints[i][1]);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && n < 64)
            names[n++] = lua_tostring(L, -2);
    const char *near = mr_lua_nearest(name, names, n);
    for (size_t i = 0; *library && i < sizeof left_out / sizeof left_out[0]; i++)
        if (strcmp(name, left_out[i]) == 0)
            near = NULL;
    if (near)
        return luaL_error(L, "'%s%s%s' is not known: did you mean '%s%s%s'?", library, dot, name, library, dot, near);
    if (*library)
        return luaL_error(L, "'%s.%s' is not available (a budget can not hold all of that library)", library, name);
    return luaL_error(L, "'%s' is not known: a variable must be set before it is read", name);
}

/* The table on top: reading a name it does not have is an error with a hint. */
static void make_strict(lua_State *L, const char *library)
{
    lua_createtable(L, 0, 1);
    lua_pushstring(L, library);
    lua_pushcclosure(L, unknown_name, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

/* ---- putting it together */

/* Pushes a table with the named members of the library that `open` makes. */
static void push_some(lua_State *L, lua_CFunction open, const char *const *names)
{
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    lua_newtable(L);
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
    lua_remove(L, -2);
}

/* Replaces member `name` of the table on top by a function whose first upvalue is the old one. */
static void wrap(lua_State *L, const char *name, lua_CFunction f)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, -2, name);
}

static void wrap_walk(lua_State *L, const char *name, bool whole, int args_with_position)
{
    lua_getfield(L, -1, name);
    lua_pushboolean(L, whole);
    lua_pushinteger(L, args_with_position);
    lua_pushcclosure(L, box_walk, 3);
    lua_setfield(L, -2, name);
}

static void open_string(lua_State *L)
{
    static const char *const names[] = {"byte", "char",    "format", "len",   "lower",
                                        "rep",  "reverse", "sub",    "upper", NULL};
    push_some(L, luaopen_string, names);
    wrap(L, "rep", box_rep);
    wrap(L, "format", box_format);
    wrap(L, "byte", box_byte);
    lua_pushliteral(L, ""); /* what ("x"):rep finds */
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
    lua_setfield(L, -2, "string");
}

static void open_table(lua_State *L)
{
    static const char *const names[] = {"concat", "insert", "pack", "remove", NULL};
    push_some(L, luaopen_table, names);
    wrap_walk(L, "concat", true, 0);
    wrap_walk(L, "insert", false, 3);
    wrap_walk(L, "remove", false, 2);
    lua_pushcfunction(L, box_unpack);
    lua_setfield(L, -2, "unpack");
    lua_setfield(L, -2, "table");
}

static void open_math(lua_State *L)
{
    static const char *const names[] = {"abs", "acos",       "asin", "atan", "ceil", "cos",        "deg",
                                        "exp", "floor",      "fmod", "huge", "log",  "maxinteger", "max",
                                        "min", "mininteger", "modf", "pi",   "rad",  "sin",        "sqrt",
                                        "tan", "tointeger",  "type", "ult",  NULL};
    push_some(L, luaopen_math, names);
    lua_setfield(L, -2, "math");
}

void mr_lua_open_sandbox(lua_State *L)
{
    static const char *const names[] = {"assert", "error", "ipairs", "select", "tonumber", "type", NULL};
    static const luaL_Reg own[] = {
        {"pcall", box_pcall}, {"print", box_print}, {"tostring", box_tostring}, {NULL, NULL}};
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "next");
    lua_remove(L, -2);
    push_some(L, luaopen_base, names); /* next, G */
    luaL_setfuncs(L, own, 0);
    open_string(L);
    open_table(L);
    open_math(L);
    mr_lua_open_host(L);
    int globals = lua_gettop(L), next = globals - 1;
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);

    if (luaL_loadbufferx(L, (const char *)mr_lua_prelude, sizeof mr_lua_prelude, "=prelude", "t") != LUA_OK)
        lua_error(L);
    lua_pushvalue(L, globals);
    lua_pushvalue(L, next);
    lua_pushcfunction(L, before);
    lua_pushcfunction(L, charge_walk);
    lua_getfield(L, globals, "type");
    lua_getfield(L, globals, "error");
    lua_getfield(L, globals, "ipairs");
    lua_call(L, 7, 0);

    lua_getfield(L, -1, "string");
    make_strict(L, "string");
    lua_pop(L, 1);
    lua_getfield(L, -1, "table");
    make_strict(L, "table");
    lua_pop(L, 1);
    lua_getfield(L, -1, "math");
    make_strict(L, "math");
    lua_pop(L, 1);
    make_strict(L, "");
    lua_pop(L, 2);
}
