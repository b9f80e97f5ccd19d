/* state.c: owns the Lua state: its memory, its budget, and its end.
 *
 * The budget is counted, never timed, so that the same run is cut at the same place on every machine: VM instructions
 * by Lua's count hook, allocated bytes here, and what C functions do in loops by mr_lua_charge.  A state that went over
 * is dead: the hook then fires at every instruction, so that no pcall in the policy can go on.
 */
#include "sched_lua.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mr_lua *mr_lua_of(lua_State *L)
{
    return *(mr_lua **)lua_getextraspace(L);
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
    mr_lua *s = mr_lua_of(L);
    if (ar->event == LUA_HOOKLINE) {
        lua_Debug at; /* of the hook itself, whatever it called last */
        for (int level = 0; lua_getstack(L, level, &at); level++) {
            lua_getinfo(L, "Sl", &at);
            if (strcmp(at.short_src, s->file) == 0)
                s->line = at.currentline;
        }
        return;
    }
    s->left -= LUA_STEP;
    if (s->left > 0 && !s->killed)
        return;
    if (!s->killed)
        s->killed = KILLED_BUDGET;
    lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
    luaL_error(L, "%s", "the policy was stopped");
}

uint32_t mr_lua_line(void *self)
{
    mr_lua *s = self;
    if (!s->lines && !s->killed)
        lua_sethook(s->L, count_hook, LUA_MASKCOUNT | LUA_MASKLINE, LUA_STEP);
    s->lines = true;
    return (uint32_t)(s->line > 0 ? s->line : 0);
}

static void kill_soon(mr_lua *s, mr_kill why)
{
    if (!s->killed)
        s->killed = why;
    if (s->L)
        lua_sethook(s->L, count_hook, LUA_MASKCOUNT, 1);
}

void mr_lua_charge(mr_lua *s, int64_t units)
{
    s->left -= units;
    if (s->left <= 0)
        kill_soon(s, KILLED_BUDGET);
}

/* Remembers where the policy was: an error for want of memory has no message of its own.  lua_getinfo with these two
 * letters neither allocates nor runs anything. */
static void note_line(mr_lua *s)
{
    lua_Debug ar;
    for (int level = 0; s->L && lua_getstack(s->L, level, &ar); level++) {
        lua_getinfo(s->L, "Sl", &ar);
        if (strcmp(ar.short_src, s->file) == 0) {
            s->killed_line = ar.currentline;
            return;
        }
    }
}

static void *refuse(mr_lua *s, size_t size, mr_kill why)
{
    s->killed_size = size;
    if (!s->killed)
        note_line(s);
    kill_soon(s, why);
    return NULL;
}

/* Lua's contract: size 0 frees; with no old block, `old` is the kind of object to come. */
static void *allocate(void *arg, void *block, size_t old, size_t size)
{
    mr_lua *s = arg;
    size_t had = block ? old : 0;
    if (size == 0) {
        free(block);
        s->used -= had;
        return NULL;
    }
    /* A long string is refused where it is made: comparing, scanning and copying strings is C code, which the count
     * hook does not see. */
    if (!block && old == LUA_TSTRING && size > LUA_STRING_MAX + 64)
        return refuse(s, size, KILLED_STRING);
    if (size > had && s->used + (size - had) > s->memory) {
        /* Lua answers a first refusal with a full collection, which must be paid for, and asks again. */
        if (s->refused)
            return refuse(s, size, KILLED_MEMORY);
        s->refused = true;
        mr_lua_charge(s, (int64_t)(s->used / LUA_BYTES_PER_UNIT));
        return NULL;
    }
    void *p = realloc(block, size);
    if (!p)
        return NULL;
    s->used += size - had;
    if (size > had) {
        s->refused = false;
        mr_lua_charge(s, (int64_t)((size - had) / LUA_BYTES_PER_UNIT));
    }
    return p;
}

/* Only reached by an error outside a protected call, and this plugin makes none. */
static int panic(lua_State *L)
{
    (void)L;
    abort();
}

mr_status mr_lua_new(mr_lua *s, const mr_sched_host *h, int64_t budget, int64_t memory, mr_err *err)
{
    memset(s, 0, sizeof *s);
    s->host = h;
    s->base = h->base;
    s->budget = s->cap = s->left = budget;
    s->memory = (size_t)memory;
    s->now_hook = s->nil_field = -1;
    for (int i = 0; i < N_HOOKS; i++)
        s->ref[i] = LUA_NOREF;
    s->L = lua_newstate(allocate, s);
    if (!s->L) {
        if (err) {
            err->status = MR_E_NOMEM;
            snprintf(err->text, sizeof err->text, "no memory for a Lua state");
        }
        return MR_E_NOMEM;
    }
    *(mr_lua **)lua_getextraspace(s->L) = s;
    lua_atpanic(s->L, panic);
    lua_sethook(s->L, count_hook, LUA_MASKCOUNT, LUA_STEP);
    lua_pushcfunction(s->L, mr_lua_explain); /* stays at the bottom of the stack: see mr_lua_call */
    return MR_OK;
}

void mr_lua_free(mr_lua *s)
{
    if (s->L) {
        lua_State *L = s->L;
        s->L = NULL; /* the allocator must not touch a state that is going away */
        lua_close(L);
    }
}

int mr_lua_call(mr_lua *s, int n, int results)
{
    lua_State *L = s->L;
    s->cap = s->budget;
    if (s->total && s->total - s->spent < s->cap)
        s->cap = s->total - s->spent;
    s->left = s->cap;
    s->nil_field = -1;
    int status = lua_pcall(L, n, results, 1);
    s->spent += s->cap - s->left;
    if (s->left < s->cap && s->base->size > offsetof(mr_host, work) && s->base->work)
        s->base->work(s->base, (uint64_t)(s->cap - s->left));
    if (status == LUA_ERRMEM && !s->killed)
        s->killed = KILLED_MEMORY;
    if (status == LUA_OK && s->killed) { /* went over in its last instructions */
        lua_pop(L, results);
        lua_pushnil(L);
        status = LUA_ERRRUN;
    }
    return status;
}

const char *mr_lua_kill_text(const mr_lua *s, char *buf, size_t size)
{
    switch (s->killed) {
    case KILLED_BUDGET:
        if (s->cap < s->budget)
            snprintf(buf, size, "all calls together took %lld instructions (the cap is [sched.lua] total)",
                     (long long)s->total);
        else
            snprintf(buf, size,
                     "stopped after %lld instructions in one call: an endless loop? (the cap is [sched.lua] budget)",
                     (long long)s->budget);
        break;
    case KILLED_MEMORY:
        snprintf(buf, size, "out of memory: %zu bytes more than its %zu (the cap is [sched.lua] memory)",
                 s->killed_size, s->memory);
        break;
    case KILLED_STRING:
        snprintf(buf, size, "a string of %zu bytes: the longest a policy may make is %d", s->killed_size,
                 LUA_STRING_MAX);
        break;
    default:
        snprintf(buf, size, "out of memory");
    }
    return buf;
}
