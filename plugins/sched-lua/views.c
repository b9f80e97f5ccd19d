/* views.c: what a policy sees of tasks, slots and nodes.
 *
 * A handle is light userdata that carries the mr_ref itself: no allocation, equal handles are equal values, good as
 * table keys, in the same order each run.  All light userdata share one metatable, whose __index finds the field by the
 * address of its name and switches.  A handle may outlive its task: then all but id and state is nil.
 */
#include "sched_lua.h"

#include <stdio.h>

const char *const mr_lua_kind_names[N_KINDS + 1] = {"task", "slot", "node", "nothing"};

/* How a field is shown. */
enum show {
    AS_U64,
    AS_U32,
    AS_U16,
    AS_INT,
    AS_TIME, /* negative: nil */
    AS_TEXT, /* interned */
    AS_REF,
    AS_ID,
    AS_KIND,
    AS_STATE,
    AS_REMAINING,
    AS_ENTRY, /* these three: nil before it is ready */
    AS_RANK,
    AS_BYTES,
    AS_NEEDS,
    AS_LABELS,
    AS_PREDS,
    AS_SUCCS,
    AS_IDLE,
    AS_TOTAL,
    AS_FREE
};

struct field {
    const char *name;
    enum show show;
    size_t at;           /* offset in the view, where it is one member */
    const char *why_nil; /* in words, for the error text; NULL: never nil while the thing lives */
};

#define T(member) offsetof(mr_task, member)
#define W(member) offsetof(mr_worker, member)
#define N(member) offsetof(mr_node, member)

static const struct field task_fields[] = {
    {"id", AS_ID, 0, NULL},
    {"state", AS_STATE, 0, NULL},
    {"seq", AS_U64, T(seq), NULL},
    {"entry", AS_ENTRY, 0, "it was not ready yet"},
    {"fn", AS_TEXT, T(fn), NULL},
    {"user", AS_TEXT, T(user), NULL},
    {"priority", AS_INT, T(priority), NULL},
    {"attempt", AS_U16, T(attempt), NULL},
    {"kind", AS_KIND, 0, NULL},
    {"rank", AS_RANK, 0, "it was not ready yet"},
    {"submitted_at", AS_TIME, T(submitted_at), "not submitted yet"},
    {"ready_at", AS_TIME, T(ready_at), "it waits for an argument"},
    {"started_at", AS_TIME, T(started_at), "it has not started"},
    {"deadline", AS_TIME, T(deadline), "the user gave none"},
    {"limit", AS_TIME, T(limit), "the user gave none"},
    {"estimate", AS_TIME, T(estimate), "no estimate yet"},
    {"n_learned", AS_U32, T(n_learned), NULL},
    {"ran", AS_TIME, T(ran), NULL},
    {"remaining", AS_REMAINING, 0, "no estimate yet"},
    {"bytes", AS_BYTES, 0, "it was not ready yet"},
    {"from", AS_REF, T(from), "the driver submitted it"},
    {"on", AS_REF, T(on), "it has no place yet"},
    {"needs", AS_NEEDS, 0, NULL},
    {"labels", AS_LABELS, 0, NULL},
    {"preds", AS_PREDS, 0, NULL},
    {"succs", AS_SUCCS, 0, NULL},
    {"n_preds", AS_U32, T(n_preds), NULL},
    {"n_succs", AS_U32, T(n_succs), NULL},
};
static const struct field slot_fields[] = {
    {"id", AS_ID, 0, NULL},
    {"node", AS_REF, W(node), NULL},
    {"task", AS_REF, W(task), "the slot is idle"},
    {"idle", AS_IDLE, 0, NULL},
    {"load", AS_U32, W(load), NULL},
    {"class", AS_U32, W(cls), NULL},
    {"busy_until", AS_TIME, W(busy_until), "nothing is known about what it runs"},
};
static const struct field node_fields[] = {
    {"id", AS_ID, 0, NULL},
    {"workers", AS_U32, N(n_workers), NULL},
    {"total", AS_TOTAL, 0, NULL},
    {"free", AS_FREE, 0, NULL},
};
static const struct field *const fields[N_KINDS] = {task_fields, slot_fields, node_fields};
enum {
    N_TASK_FIELDS = sizeof task_fields / sizeof task_fields[0],
    N_SLOT_FIELDS = sizeof slot_fields / sizeof slot_fields[0],
    N_NODE_FIELDS = sizeof node_fields / sizeof node_fields[0]
};
static const int n_fields[N_KINDS] = {N_TASK_FIELDS, N_SLOT_FIELDS, N_NODE_FIELDS};

const char *mr_lua_field_name(mr_kind kind, int field)
{
    return fields[kind][field].name;
}

const char *mr_lua_nil_reason(mr_kind kind, int field)
{
    const char *why = fields[kind][field].why_nil;
    return why ? why : "it is gone";
}

mr_kind mr_lua_kind(mr_ref ref)
{
    return mr_ref_is_task(ref)   ? KIND_TASK
           : mr_ref_is_slot(ref) ? KIND_SLOT
           : mr_ref_is_node(ref) ? KIND_NODE
                                 : KIND_NONE;
}

void mr_lua_push_ref(lua_State *L, mr_ref ref)
{
    if (ref == MR_NONE)
        lua_pushnil(L);
    else
        lua_pushlightuserdata(L, (void *)(uintptr_t)ref);
}

static lua_Integer id_of(mr_ref ref, mr_kind kind)
{
    return kind == KIND_TASK ? (lua_Integer)ref : (lua_Integer)(ref & ~(UINT64_C(0xFFFF) << 48)) - 1;
}

mr_ref mr_lua_check_ref(lua_State *L, int arg, unsigned kinds, bool none, const char *expected)
{
    if (none && lua_isnoneornil(L, arg))
        return MR_NONE;
    if (lua_islightuserdata(L, arg)) {
        mr_ref ref = (mr_ref)(uintptr_t)lua_touserdata(L, arg);
        mr_kind kind = mr_lua_kind(ref);
        if (kind != KIND_NONE && kinds & (1U << kind))
            return ref;
        luaL_error(L, "argument %d must be %s, got a %s", arg, expected, mr_lua_kind_names[kind]);
    }
    luaL_error(L, "argument %d must be %s, got %s", arg, expected,
               lua_isnone(L, arg) ? "nothing" : luaL_typename(L, arg));
    return MR_NONE;
}

static void push_time(lua_State *L, int64_t t)
{
    if (t < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, t);
}

static void push_text(lua_State *L, const mr_sched_host *h, uint32_t interned)
{
    const char *text = h->text(h, interned);
    lua_pushstring(L, text ? text : "");
}

static const char *state_text(const mr_task *t)
{
    static const char *const states[] = {"waiting", "ready", "travelling", "running", "stopped", "over"};
    return t->state <= MR_OVER ? states[t->state] : "?";
}

static const char *kind_text(const mr_task *t)
{
    static const char *const kinds[] = {"task", "actor", "group"};
    return t->kind <= MR_GROUP ? kinds[t->kind] : "?";
}

/* One that outlives its estimate may end at any moment: 0, not less. */
static int64_t remaining(const mr_task *t)
{
    int64_t ran = t->ran > 0 ? t->ran : 0;
    return t->estimate < 0 ? MR_UNKNOWN : t->estimate > ran ? t->estimate - ran : 0;
}

/* Known from its first entry into the ready queue on. */
static void push_entered(lua_State *L, enum show show, const mr_task *t)
{
    if (!t->entry)
        lua_pushnil(L);
    else if (show == AS_RANK)
        lua_pushnumber(L, t->rank);
    else
        lua_pushinteger(L, (lua_Integer)(show == AS_ENTRY ? t->entry : t->bytes));
}

/* What is not one plain member. */
static void push_derived(lua_State *L, const mr_sched_host *h, enum show show, const void *view)
{
    const mr_task *t = view;
    const mr_worker *w = view;
    const mr_node *n = view;
    switch (show) {
    case AS_KIND:
        lua_pushstring(L, kind_text(t));
        break;
    case AS_STATE:
        lua_pushstring(L, state_text(t));
        break;
    case AS_REMAINING:
        push_time(L, remaining(t));
        break;
    case AS_ENTRY:
    case AS_RANK:
    case AS_BYTES:
        push_entered(L, show, t);
        break;
    case AS_NEEDS:
        mr_lua_push_amounts(L, h, t->needs, t->n_needs);
        break;
    case AS_LABELS:
        mr_lua_push_labels(L, t->ref);
        break;
    case AS_PREDS:
        mr_lua_push_edges(L, h, t, false);
        break;
    case AS_SUCCS:
        mr_lua_push_edges(L, h, t, true);
        break;
    case AS_IDLE:
        lua_pushboolean(L, w->task == MR_NONE);
        break;
    case AS_TOTAL:
        mr_lua_push_amounts(L, h, n->total, n->n_res);
        break;
    default:
        mr_lua_push_amounts(L, h, n->free, n->n_res);
    }
}

static void push_field(lua_State *L, const mr_sched_host *h, const struct field *f, const void *view)
{
    const void *at = (const char *)view + f->at;
    switch (f->show) {
    case AS_U64:
        lua_pushinteger(L, (lua_Integer) * (const uint64_t *)at);
        break;
    case AS_U32:
        lua_pushinteger(L, *(const uint32_t *)at);
        break;
    case AS_U16:
        lua_pushinteger(L, *(const uint16_t *)at);
        break;
    case AS_INT:
        lua_pushinteger(L, *(const int32_t *)at);
        break;
    case AS_TIME:
        push_time(L, *(const int64_t *)at);
        break;
    case AS_TEXT:
        push_text(L, h, *(const uint32_t *)at);
        break;
    case AS_REF:
        mr_lua_push_ref(L, *(const mr_ref *)at);
        break;
    default:
        push_derived(L, h, f->show, view);
    }
}

static int no_such_field(lua_State *L, mr_kind kind, const char *what)
{
    const char *names[N_TASK_FIELDS];
    for (int i = 0; i < n_fields[kind]; i++)
        names[i] = fields[kind][i].name;
    const char *near = mr_lua_nearest(what, names, (size_t)n_fields[kind]);
    if (near)
        return luaL_error(L, "a %s has no field '%s': did you mean '%s'?", mr_lua_kind_names[kind], what, near);
    return luaL_error(L, "a %s has no field '%s'", mr_lua_kind_names[kind], what);
}

static const void *view_of(const mr_lua *s, mr_ref ref, mr_kind kind)
{
    const mr_sched_host *h = s->host;
    if (kind == KIND_TASK)
        return s->task && s->task->ref == ref ? s->task : h->task(h, ref);
    return kind == KIND_SLOT ? (const void *)h->worker(h, ref) : (const void *)h->node(h, ref);
}

static unsigned bucket(const char *key)
{
    return (unsigned)((uintptr_t)key >> 4) % LUA_NAME_SLOTS;
}

/* Short strings are interned, so the name's address says which field it is; -1: none. */
static int field_of(const mr_lua *s, mr_kind kind, const char *key)
{
    const struct mr_lua_name *names = s->names[kind];
    unsigned i = bucket(key);
    while (names[i].key && names[i].key != key)
        i = (i + 1) % LUA_NAME_SLOTS;
    return names[i].key ? names[i].field : -1;
}

static int handle_index(lua_State *L)
{
    mr_lua *s = mr_lua_of(L);
    mr_ref ref = (mr_ref)(uintptr_t)lua_touserdata(L, 1);
    mr_kind kind = mr_lua_kind(ref);
    if (kind == KIND_NONE)
        return luaL_error(L, "not a handle of this run");
    const char *key = lua_tostring(L, 2);
    int i = key ? field_of(s, kind, key) : -1;
    if (i < 0)
        return no_such_field(L, kind, key ? key : luaL_typename(L, 2));
    const struct field *f = &fields[kind][i];
    if (f->show == AS_ID) {
        lua_pushinteger(L, id_of(ref, kind));
        return 1;
    }
    const void *view = view_of(s, ref, kind);
    if (view)
        push_field(L, s->host, f, view);
    else if (f->show == AS_STATE)
        lua_pushliteral(L, "over");
    else
        lua_pushnil(L);
    if (lua_isnil(L, -1)) {
        s->nil_field = i;
        s->nil_kind = kind;
        s->nil_over = !view;
    }
    return 1;
}

static int handle_newindex(lua_State *L)
{
    return luaL_error(L, "a handle's fields can not be set: keep a table of your own, with the handle as key");
}

static int handle_tostring(lua_State *L)
{
    mr_ref ref = (mr_ref)(uintptr_t)lua_touserdata(L, 1);
    mr_kind kind = mr_lua_kind(ref);
    char name[40];
    if (kind == KIND_TASK) /* as everything else that people read shows it */
        snprintf(name, sizeof name, "task %llx", (unsigned long long)ref);
    else
        snprintf(name, sizeof name, "%s %lld", mr_lua_kind_names[kind], (long long)id_of(ref, kind));
    lua_pushstring(L, name);
    return 1;
}

/* Keeps the names alive in the registry, so that their addresses stay theirs. */
static void learn_names(lua_State *L, mr_lua *s, mr_kind kind)
{
    lua_createtable(L, n_fields[kind], 0);
    for (int f = 0; f < n_fields[kind]; f++) {
        const char *key = lua_pushstring(L, fields[kind][f].name);
        unsigned i = bucket(key);
        while (s->names[kind][i].key)
            i = (i + 1) % LUA_NAME_SLOTS;
        s->names[kind][i].key = key;
        s->names[kind][i].field = f;
        lua_rawseti(L, -2, f + 1);
    }
    luaL_ref(L, LUA_REGISTRYINDEX);
}

void mr_lua_open_views(lua_State *L)
{
    mr_lua_open_parts(L);
    for (mr_kind kind = KIND_TASK; kind < N_KINDS; kind++)
        learn_names(L, mr_lua_of(L), kind);
    lua_pushlightuserdata(L, NULL);
    lua_createtable(L, 0, 4);
    lua_pushcfunction(L, handle_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, handle_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, handle_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "handle");
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
