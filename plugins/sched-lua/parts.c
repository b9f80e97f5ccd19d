/* parts.c: the fields that are not one value: amounts of resources, labels, edges of the graph.  Each reading makes a
 * new table, which is the policy's to keep or to change: nothing in control is behind it. */
#include "sched_lua.h"

/* CPUs and custom resources count in whole units, as the user wrote them; memory in bytes. */
static void push_amount(lua_State *L, const mr_amount *a)
{
    if (a->res == MR_RES_MEMORY)
        lua_pushinteger(L, a->amount);
    else if (a->amount % MR_RES_UNIT == 0)
        lua_pushinteger(L, a->amount / MR_RES_UNIT);
    else
        lua_pushnumber(L, (lua_Number)a->amount / MR_RES_UNIT);
}

void mr_lua_push_amounts(lua_State *L, const mr_sched_host *h, const mr_amount *a, uint32_t n)
{
    lua_createtable(L, 0, (int)n);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = h->text(h, MR_TEXT_RES | a[i].res);
        push_amount(L, &a[i]);
        lua_setfield(L, -2, name ? name : "?");
    }
    luaL_setmetatable(L, "amounts"); /* what is not listed is 0, so that sums need no care */
}

static int amounts_index(lua_State *L)
{
    lua_pushinteger(L, 0);
    return 1;
}

static int labels_index(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    const mr_ref *ref = lua_touserdata(L, 1);
    const char *key = luaL_checkstring(L, 2);
    const char *text = s->host->label(s->host, *ref, key);
    if (text)
        mr_lua_push_number_or_text(L, text);
    else
        lua_pushnil(L);
    return 1;
}

void mr_lua_push_labels(lua_State *L, mr_ref t)
{
    mr_ref *ref = lua_newuserdatauv(L, sizeof *ref, 0);
    *ref = t;
    luaL_setmetatable(L, "labels");
}

void mr_lua_push_edges(lua_State *L, const mr_sched_host *h, const mr_task *t, bool succ)
{
    uint32_t n = succ ? t->n_succs : t->n_preds;
    mr_edge e;
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0, k = 0; i < n && h->edge(h, t->ref, succ, i, &e); i++) {
        lua_createtable(L, 0, 3);
        mr_lua_push_ref(L, e.task);
        lua_setfield(L, -2, "task");
        mr_lua_push_ref(L, e.node);
        lua_setfield(L, -2, "node");
        lua_pushinteger(L, (lua_Integer)e.bytes);
        lua_setfield(L, -2, "bytes");
        lua_rawseti(L, -2, ++k);
    }
}

void mr_lua_open_parts(lua_State *L)
{
    luaL_newmetatable(L, "amounts");
    lua_pushcfunction(L, amounts_index);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newmetatable(L, "labels");
    lua_pushcfunction(L, labels_index);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
