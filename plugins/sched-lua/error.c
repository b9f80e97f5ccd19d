/* error.c: error texts.  A policy's author gets one line: where, what, which field was nil and why, and what to do. */
#include "sched_lua.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The line of the policy file that runs, the prelude's own functions skipped; 0 if none. */
static int policy_line(lua_State *L, const mr_lua *s)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (strcmp(ar.short_src, s->file) == 0 && ar.currentline > 0)
            return ar.currentline;
    }
    return 0;
}

/* "FILE:12: text" -> "text", for either of the two chunks there are. */
static const char *without_place(const char *text, const char *file)
{
    size_t n = strlen(file);
    if (strncmp(text, file, n) != 0 || text[n] != ':')
        return text;
    const char *p = text + n + 1;
    while (*p >= '0' && *p <= '9')
        p++;
    return strncmp(p, ": ", 2) == 0 ? p + 2 : text;
}

static bool blames_other_field(const char *text, const char *field)
{
    char mine[64];
    if (!strstr(text, "(field '"))
        return false;
    snprintf(mine, sizeof mine, "(field '%s')", field);
    return !strstr(text, mine);
}

int mr_lua_explain(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    char why[256], nil[160] = "", place[96] = "";
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : NULL;
    int line = policy_line(L, s);
    if (line)
        snprintf(place, sizeof place, "%s:%d: ", s->file, line);
    else if (!text || without_place(text, s->file) == text)
        snprintf(place, sizeof place, "%s: ", s->file);
    if (s->killed) {
        lua_pushfstring(L, "%s%s", place, mr_lua_kill_text(s, why, sizeof why));
        return 1;
    }
    if (!text) {
        snprintf(why, sizeof why, "error() was given a %s, not a text", luaL_typename(L, 1));
        text = why;
    }
    const char *bare = place[0] ? without_place(without_place(text, "prelude"), s->file) : text;
    if (s->nil_field >= 0 && (strstr(bare, "a nil value") || strstr(bare, "with nil") || strstr(bare, "nil with"))) {
        const char *field = mr_lua_field_name(s->nil_kind, s->nil_field);
        if (!blames_other_field(bare, field))
            snprintf(nil, sizeof nil, " (%c.%s is nil: %s)", "twn"[s->nil_kind], field,
                     s -> nil_over ? "it is over" : mr_lua_nil_reason(s->nil_kind, s->nil_field));
    }
    lua_pushfstring(L, "%s%s%s", place, bare, nil);
    return 1;
}

void mr_lua_take_error(mr_lua *s, char *buf, size_t size)
{
    char why[256];
    if (lua_type(s->L, -1) == LUA_TSTRING && !(s->killed == KILLED_MEMORY || s->killed == KILLED_STRING))
        snprintf(buf, size, "%s", lua_tostring(s->L, -1));
    else if (s->killed_line)
        snprintf(buf, size, "%s:%d: %s", s->file, s->killed_line, mr_lua_kill_text(s, why, sizeof why));
    else
        snprintf(buf, size, "%s: %s", s->file, mr_lua_kill_text(s, why, sizeof why));
    lua_pop(s->L, 1);
}

int mr_lua_bad_answer(mr_lua *s, const char *what)
{
    lua_State *L = s->L;
    lua_Debug ar;
    const char *name = mr_lua_hook_names[s->now_hook];
    const char *got = luaL_tolstring(L, -1, NULL);
    if (lua_istable(L, -2) || lua_isfunction(L, -2))
        got = luaL_typename(L, -2); /* no addresses */
    if (lua_isnumber(L, -2) && lua_tonumber(L, -2) != lua_tonumber(L, -2))
        got = "not a number: 0/0";
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->ref[s->now_hook]);
    lua_getinfo(L, ">S", &ar);
    const char *type = lua_islightuserdata(L, 2) ? "handle" : luaL_typename(L, 2);
    lua_pushfstring(L, "%s:%d: %s must return %s, got %s (a %s)", s->file, ar.linedefined, name, what, got, type);
    return lua_error(L);
}

/* Edit distance by rows, with a swap of neighbours counted as one. */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 24 };
    size_t n = strlen(a), m = strlen(b), d[MAX + 1][MAX + 1];
    if (n > MAX || m > MAX)
        return MAX;
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *mr_lua_nearest(const char *name, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t least = strlen(name) / 2 < 3 ? strlen(name) / 2 + 1 : 3;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(name, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
