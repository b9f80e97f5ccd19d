/* load.c: from a file to hooks.  A policy is a Lua file (text, never bytecode) that returns a table of hooks; each is
 * found here once, and one that is absent never enters Lua. */
#include "sched_lua.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const mr_lua_hook_names[N_HOOKS] = {
    [HOOK_RANK] = "rank",       [HOOK_PLACE] = "place",     [HOOK_PLAN] = "plan",           [HOOK_PICK] = "pick",
    [HOOK_SLICE] = "slice",     [HOOK_PREEMPT] = "preempt", [HOOK_SUBMITTED] = "submitted", [HOOK_READY] = "ready",
    [HOOK_STARTED] = "started", [HOOK_STOPPED] = "stopped", [HOOK_DONE] = "done",           [HOOK_DROPPED] = "dropped",
    [HOOK_WOKEN] = "woken",     [HOOK_SAVE] = "save",       [HOOK_RESTORE] = "restore",
};

struct source {
    char *text;
    size_t size;
};

static mr_status say(mr_err *err, mr_status status, const char *path, const char *what)
{
    if (err) {
        err->status = status;
        snprintf(err->text, sizeof err->text, "policy file %s: %s", path, what);
    }
    return status;
}

static mr_status read_source(struct source *src, const char *path, mr_err *err)
{
    char why[128];
    FILE *f = fopen(path, "rb");
    if (!f) {
        snprintf(why, sizeof why, "can not be opened: %s", strerror(errno));
        return say(err, errno == ENOENT ? MR_E_NOTFOUND : MR_E_IO, path, why);
    }
    src->text = malloc(LUA_SOURCE_MAX + 1);
    src->size = src->text ? fread(src->text, 1, LUA_SOURCE_MAX + 1, f) : 0;
    bool bad = ferror(f) != 0;
    fclose(f);
    if (!src->text)
        return say(err, MR_E_NOMEM, path, "no memory to read it");
    if (bad)
        return say(err, MR_E_IO, path, "can not be read (is it a folder?)");
    if (src->size > LUA_SOURCE_MAX)
        return say(err, MR_E_TOOBIG, path, "longer than 1 MB");
    return MR_OK;
}

/* Everything in [sched.lua] but the plugin's own keys. */
static void push_conf(lua_State *L, const mr_host *base)
{
    const char *key, *text;
    lua_newtable(L);
    for (size_t i = 0; (key = base->conf_key(base, i)); i++) {
        if (strcmp(key, "policy") == 0 || strcmp(key, "budget") == 0 || strcmp(key, "total") == 0 ||
            strcmp(key, "memory") == 0)
            continue;
        text = base->conf(base, key);
        if (!text)
            continue;
        mr_lua_push_setting(L, text);
        lua_setfield(L, -2, key);
    }
}

static int open_all(lua_State *L)
{
    mr_lua_open_views(L);
    mr_lua_open_sandbox(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    push_conf(L, mr_lua_of(L)->base);
    lua_setfield(L, -2, "conf");
    return 0;
}

static bool in_word(char c)
{
    return c == '_' || isalnum((unsigned char)c);
}

/* Where `word` stands last in the file, as a field that is set if `set`; the last line with anything on it if nowhere,
 * and for NULL. A table does not know where it was written, so the text is asked; comments are not told from code. */
static int line_of(const struct source *src, const char *word, bool set)
{
    size_t n = word ? strlen(word) : src->size + 1;
    int line = 1, found = 0, last = 1;
    for (size_t i = 0; i < src->size; i++) {
        const char *at = src->text + i, *end = src->text + src->size, *p = at + n;
        line += *at == '\n';
        if (!isspace((unsigned char)*at))
            last = line;
        if (src->size - i < n || memcmp(at, word, n) != 0 || (i && in_word(at[-1])) || (p < end && in_word(*p)))
            continue;
        while (p < end && isspace((unsigned char)*p))
            p++;
        if (!set || (p + 1 < end && p[0] == '=' && p[1] != '='))
            found = line;
    }
    return found ? found : last;
}

/* Of several wrong keys the first by name is told: the order of the table is not fixed. */
static int check_hooks(lua_State *L)
{
    const char *bad = NULL, *file = mr_lua_of(L)->file;
    const struct source *src = lua_touserdata(L, 2);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        bool known = false;
        if (lua_type(L, -2) != LUA_TSTRING)
            return luaL_error(
                L, "%s:%d: the table it returns has a key that is not a name (a %s): write rank = function(t) ... end",
                file, line_of(src, "return", false), luaL_typename(L, -2));
        const char *name = lua_tostring(L, -2);
        for (int i = 0; i < N_HOOKS; i++)
            known = known || strcmp(name, mr_lua_hook_names[i]) == 0;
        if (known && lua_type(L, -1) != LUA_TFUNCTION)
            return luaL_error(L, "%s:%d: '%s' must be a function, got a %s", file, line_of(src, name, true), name,
                              luaL_typename(L, -1));
        if (!known && (!bad || strcmp(name, bad) < 0))
            bad = name;
    }
    if (!bad)
        return 0;
    const char *near = mr_lua_nearest(bad, mr_lua_hook_names, N_HOOKS);
    if (near)
        return luaL_error(L, "%s:%d: '%s' is not a hook: did you mean '%s'?", file, line_of(src, bad, true), bad, near);
    return luaL_error(L,
                      "%s:%d: '%s' is not a hook; the hooks are rank place plan pick slice preempt, and the notices "
                      "submitted ready started stopped done dropped woken, and save restore (what is yours, keep in a "
                      "local)",
                      file, line_of(src, bad, true), bad);
}

static int run_file(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    const struct source *src = lua_touserdata(L, 1);
    char chunk[sizeof s->file + 1];
    snprintf(chunk, sizeof chunk, "=%s", s->file);
    const char *text = src->text;
    size_t size = src->size;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    lua_settop(L, 0);
    if (luaL_loadbufferx(L, text, size, chunk, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, 1))
        return luaL_error(
            L,
            "%s:%d: a policy file must return a table of hooks, such as return { rank = function(t) ... end }; got %s",
            s->file, line_of(src, lua_isnil(L, 1) ? NULL : "return", false), luaL_typename(L, 1));
    lua_pushcfunction(L, check_hooks);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, (void *)src);
    lua_call(L, 2, 0);
    for (int i = 0; i < N_HOOKS; i++) {
        if (lua_getfield(L, 1, mr_lua_hook_names[i]) == LUA_TFUNCTION)
            s->ref[i] = luaL_ref(L, LUA_REGISTRYINDEX);
        else
            lua_pop(L, 1);
    }
    return 0;
}

mr_status mr_lua_load(mr_lua *s, const char *path, mr_err *err)
{
    struct source src = {NULL, 0};
    char text[900];
    const char *slash = strrchr(path, '/');
    snprintf(s->file, sizeof s->file, "%s", strlen(path) < sizeof s->file || !slash ? path : slash + 1);
    mr_status status = read_source(&src, path, err);
    if (status)
        goto out;
    lua_pushcfunction(s->L, open_all);
    int failed = mr_lua_call(s, 0, 0);
    if (!failed) {
        lua_pushcfunction(s->L, run_file);
        lua_pushlightuserdata(s->L, &src);
        failed = mr_lua_call(s, 1, 0);
    }
    if (failed) {
        mr_lua_take_error(s, text, sizeof text);
        status = MR_E_POLICY;
        if (err) {
            err->status = status;
            snprintf(err->text, sizeof err->text, "policy %s", text);
        }
    }
out:
    free(src.text);
    return status;
}
