/* save.c: what a policy knows, from one Lua state to the next: `save()` answers a value, `restore(value)` is given it.
 *
 * A value is nil, booleans, numbers, texts, handles, and tables of those (no loops); it is copied into bytes that this
 * instance owns until it is closed.  Both run in a protected call with a budget, like every hook.
 */
#include "sched_lua.h"

#include <stdio.h>
#include <string.h>

enum { DEEP_MAX = 32, ROOM_FIRST = 1024 };

static void put(lua_State *L, const void *bytes, size_t n)
{
    mr_lua *s = mr_lua_of(L);
    if (s->n_saved + n > s->room_saved) {
        size_t room = s->room_saved ? 2 * s->room_saved : ROOM_FIRST;
        while (room < s->n_saved + n)
            room *= 2;
        char *v = room > s->memory ? NULL : s->base->alloc(s->base, room);
        if (!v)
            luaL_error(L, "save: its answer has more than the %I bytes of [sched.lua] memory", (LUAI_UACINT)s->memory);
        if (s->n_saved)
            memcpy(v, s->saved, s->n_saved);
        s->base->free(s->base, s->saved);
        s->saved = v;
        s->room_saved = room;
    }
    memcpy(s->saved + s->n_saved, bytes, n);
    s->n_saved += n;
}

static void put_tagged(lua_State *L, char tag, const void *bytes, size_t n)
{
    put(L, &tag, 1);
    put(L, bytes, n);
}

static void write_value(lua_State *L, int at, int deep);

static void write_table(lua_State *L, int at, int deep)
{
    if (deep == DEEP_MAX)
        luaL_error(L, "save: tables more than %d deep, or one that contains itself", DEEP_MAX);
    luaL_checkstack(L, 4, "save");
    put(L, "{", 1);
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        write_value(L, lua_gettop(L) - 1, deep + 1);
        write_value(L, lua_gettop(L), deep + 1);
        mr_lua_charge(mr_lua_of(L), 4);
    }
    put(L, "}", 1);
}

static void write_value(lua_State *L, int at, int deep)
{
    size_t n;
    lua_Integer i;
    lua_Number d;
    switch (lua_type(L, at)) {
    case LUA_TNIL:
        put(L, "n", 1);
        break;
    case LUA_TBOOLEAN:
        put(L, lua_toboolean(L, at) ? "t" : "f", 1);
        break;
    case LUA_TNUMBER:
        i = lua_tointeger(L, at);
        d = lua_tonumber(L, at);
        if (lua_isinteger(L, at))
            put_tagged(L, 'i', &i, sizeof i);
        else
            put_tagged(L, 'd', &d, sizeof d);
        break;
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, at, &n);
        put_tagged(L, 's', &n, sizeof n);
        put(L, text, n);
        break;
    }
    case LUA_TLIGHTUSERDATA: {
        mr_ref ref = (mr_ref)(uintptr_t)lua_touserdata(L, at);
        put_tagged(L, 'h', &ref, sizeof ref);
        break;
    }
    case LUA_TTABLE:
        write_table(L, at, deep);
        break;
    default:
        luaL_error(L, "save may answer numbers, texts, booleans, handles and tables of those; there is a %s in it",
                   luaL_typename(L, at));
    }
}

typedef struct reader {
    const char *at, *end;
} reader;

static void take(lua_State *L, reader *r, void *out, size_t n)
{
    if ((size_t)(r->end - r->at) < n)
        luaL_error(L, "restore: what was saved is cut short");
    memcpy(out, r->at, n);
    r->at += n;
}

/* Pushes one value. */
static void read_value(lua_State *L, reader *r)
{
    char tag;
    size_t n;
    lua_Integer i;
    lua_Number d;
    mr_ref ref;
    luaL_checkstack(L, 4, "restore");
    take(L, r, &tag, 1);
    switch (tag) {
    case 't':
    case 'f':
        lua_pushboolean(L, tag == 't');
        break;
    case 'i':
        take(L, r, &i, sizeof i);
        lua_pushinteger(L, i);
        break;
    case 'd':
        take(L, r, &d, sizeof d);
        lua_pushnumber(L, d);
        break;
    case 's':
        take(L, r, &n, sizeof n);
        if ((size_t)(r->end - r->at) < n)
            luaL_error(L, "restore: what was saved is cut short");
        lua_pushlstring(L, r->at, n);
        r->at += n;
        break;
    case 'h':
        take(L, r, &ref, sizeof ref);
        mr_lua_push_ref(L, ref);
        break;
    case '{':
        lua_newtable(L);
        while (r->at < r->end && *r->at != '}') {
            read_value(L, r);
            read_value(L, r);
            lua_rawset(L, -3);
        }
        take(L, r, &tag, 1);
        break;
    default:
        lua_pushnil(L);
    }
}

static int call_save(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    s->n_saved = 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->ref[HOOK_SAVE]);
    lua_call(L, 0, 1);
    write_value(L, lua_gettop(L), 0);
    return 0;
}

static int call_restore(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    reader r = *(const reader *)lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->ref[HOOK_RESTORE]);
    read_value(L, &r);
    lua_call(L, 1, 0);
    return 0;
}

static mr_status told(mr_lua *s, int failed, const char *hook, mr_err *err)
{
    char text[400];
    if (!failed)
        return MR_OK;
    mr_lua_take_error(s, text, sizeof text);
    if (err) {
        err->status = MR_E_POLICY;
        snprintf(err->text, sizeof err->text, "policy %s, in %s", text, hook);
    }
    return MR_E_POLICY;
}

mr_status mr_lua_save(void *self, const void **bytes, size_t *n, mr_err *err)
{
    mr_lua *s = self;
    *n = 0;
    if (s->failed || s->ref[HOOK_SAVE] == LUA_NOREF)
        return MR_OK;
    s->now_hook = HOOK_SAVE;
    s->task = NULL;
    lua_pushcfunction(s->L, call_save);
    mr_status status = told(s, mr_lua_call(s, 0, 0), "save", err);
    *bytes = s->saved;
    *n = status ? 0 : s->n_saved;
    return status;
}

mr_status mr_lua_restore(void *self, const void *bytes, size_t n, mr_err *err)
{
    mr_lua *s = self;
    reader r = {bytes, (const char *)bytes + n};
    if (!n || s->ref[HOOK_RESTORE] == LUA_NOREF)
        return MR_OK;
    s->now_hook = HOOK_RESTORE;
    s->task = NULL;
    lua_pushcfunction(s->L, call_restore);
    lua_pushlightuserdata(s->L, &r);
    return told(s, mr_lua_call(s, 1, 0), "restore", err);
}
