/* sched_lua.h: what the files of this plugin share.  One instance = one policy file = one Lua state.
 *
 *   state.c   the state: allocator with a cap, instruction budget, killing; one protected call
 *   load.c    reads the policy file, finds its hooks, reads [sched.lua] into `conf`
 *   error.c   turns a Lua error into "file:line: what (which field was nil), task"
 *   views.c   handles: what t.estimate, w.load give
 *   parts.c   fields that are tables: t.needs, t.labels, t.preds, n.free
 *   host.c    the functions a policy calls: ready, first, can, cost ...
 *   save.c    what a policy knows, handed to the next instance of it
 *   sandbox.c the library functions that a budget can hold
 *   ops.c     the op table, and the entry point
 *   prelude.lua  least, most, sum, pairs, table.sort: written in Lua, so that the budget counts them
 *
 * No globals, no lock: one op at a time, as sched.h promises.
 */
#ifndef SCHED_LUA_H
#define SCHED_LUA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#if LUA_VERSION_NUM != 504
#error "sched-lua needs Lua 5.4: budgets are counted in its instructions"
#endif

#include <miniray/sched.h>

enum {
    LUA_BUDGET = 10 * 1000 * 1000, /* VM instructions of one call, unless [sched.lua] budget says otherwise */
    LUA_MEMORY = 8 << 20,
    LUA_MEMORY_MIN = 256 << 10, /* below this the libraries themselves do not fit */
    LUA_STEP = 1000,            /* instructions between two looks at the budget */
    LUA_STRING_MAX = 4096,      /* longest string: what C code does to one string is not counted by instructions */
    LUA_SOURCE_MAX = 1 << 20,
    LUA_BYTES_PER_UNIT = 32, /* allocating this many bytes costs as much as one instruction */
    LUA_UNPACK_MAX = 255
};

typedef enum mr_hook {
    HOOK_RANK,
    HOOK_PLACE,
    HOOK_PLAN,
    HOOK_PICK,
    HOOK_SLICE,
    HOOK_PREEMPT,
    HOOK_SUBMITTED,
    HOOK_READY,
    HOOK_STARTED,
    HOOK_STOPPED,
    HOOK_DONE,
    HOOK_DROPPED,
    HOOK_WOKEN,
    HOOK_SAVE,
    HOOK_RESTORE,
    N_HOOKS
} mr_hook;

typedef enum mr_kill { ALIVE, KILLED_BUDGET, KILLED_MEMORY, KILLED_STRING } mr_kill;

typedef enum mr_kind { KIND_TASK, KIND_SLOT, KIND_NODE, N_KINDS, KIND_NONE = N_KINDS } mr_kind;

/* A field's name as Lua has it interned -> its number: open addressing, half empty. */
enum { LUA_NAME_SLOTS = 64 };
struct mr_lua_name {
    const char *key;
    int field;
};

typedef struct mr_lua {
    lua_State *L;
    const mr_sched_host *host;
    const mr_host *base;
    int64_t budget, cap, left; /* instructions: of any call, of this one, and what is left of that */
    int64_t total, spent;      /* of all calls together (0: no cap), and so far */
    size_t memory, used;       /* bytes: cap and now */
    mr_kill killed;            /* once set, nothing in the state runs again */
    size_t killed_size;        /* of the allocation that was refused */
    int killed_line;           /* where that was; 0 unknown */
    bool refused;              /* the last growth was refused once: Lua collects and asks again */
    bool failed;               /* host->fail was called: every later answer is the neutral one */
    int ref[N_HOOKS];          /* registry slots of the hooks; LUA_NOREF: absent */
    int now_hook;              /* the hook that runs, -1: the file's own body */
    const mr_task *task;       /* the view the running op was given: saves a look-up */
    int nil_field;             /* last field read that was nil, for the error text; -1 none */
    mr_kind nil_kind;
    bool nil_over; /* and it was nil because the thing itself is over or gone */
    struct mr_lua_name names[N_KINDS][LUA_NAME_SLOTS];
    bool lines; /* the line that ran last is kept */
    int line;
    char *saved; /* what `save` answered */
    size_t n_saved, room_saved;
    char file[60]; /* as messages name it: Lua shortens longer names */
} mr_lua;

/* ---- state.c */
/* Errors: NOMEM.  The state has no library and nothing loaded. */
mr_status mr_lua_new(mr_lua *s, const mr_sched_host *h, int64_t budget, int64_t memory, mr_err *err);
void mr_lua_free(mr_lua *s);
mr_lua *mr_lua_of(lua_State *L);
/* Takes `units` from the budget of the running call; at 0 the next instruction is the last. */
void mr_lua_charge(mr_lua *s, int64_t units);
/* The function and n arguments are on the stack; they get a fresh budget.  On failure there is one value in their
 * place, a message if it is a string.  Returns a LUA_ status. */
int mr_lua_call(mr_lua *s, int n, int results);
/* The text of a failed call, in buf: the message on top of the stack, which is popped, or why the state was killed. */
void mr_lua_take_error(mr_lua *s, char *buf, size_t size);
const char *mr_lua_kill_text(const mr_lua *s, char *buf, size_t size);

uint32_t mr_lua_line(void *self); /* op: the line of the hook that ran last; kept since the first call */

/* ---- load.c */
mr_status mr_lua_load(mr_lua *s, const char *path, mr_err *err);
extern const char *const mr_lua_hook_names[N_HOOKS];

/* ---- error.c */
/* Message handler: adds the place in the policy file and the field that was nil. */
int mr_lua_explain(lua_State *L);
/* The nearest of n names (all of them short) by edit distance, or NULL if none is near. */
const char *mr_lua_nearest(const char *name, const char *const *names, size_t n);
/* Raises "HOOK must return WHAT, got ..." at the hook's first line; the value is on top of the stack. */
int mr_lua_bad_answer(mr_lua *s, const char *what);

/* ---- views.c */
void mr_lua_open_views(lua_State *L);
void mr_lua_push_ref(lua_State *L, mr_ref ref); /* nil for MR_NONE */
mr_kind mr_lua_kind(mr_ref ref);
extern const char *const mr_lua_kind_names[N_KINDS + 1];
/* The handle at `arg`, which must be of a kind in `kinds` (1 << KIND_x); nil gives MR_NONE if `none` allows it. */
enum { TASKS = 1 << KIND_TASK, SLOTS = 1 << KIND_SLOT, NODES = 1 << KIND_NODE };
mr_ref mr_lua_check_ref(lua_State *L, int arg, unsigned kinds, bool none, const char *expected);
const char *mr_lua_field_name(mr_kind kind, int field);
const char *mr_lua_nil_reason(mr_kind kind, int field);

/* ---- parts.c */
void mr_lua_open_parts(lua_State *L);
void mr_lua_push_amounts(lua_State *L, const mr_sched_host *h, const mr_amount *a, uint32_t n);
void mr_lua_push_labels(lua_State *L, mr_ref t);
void mr_lua_push_edges(lua_State *L, const mr_sched_host *h, const mr_task *t, bool succ);

/* ---- save.c: the ops of hot reload */
mr_status mr_lua_save(void *self, const void **bytes, size_t *n, mr_err *err);
mr_status mr_lua_restore(void *self, const void *bytes, size_t n, mr_err *err);

/* ---- host.c, sandbox.c: each sets its globals in the table on top of the stack */
void mr_lua_open_host(lua_State *L);
void mr_lua_open_sandbox(lua_State *L);
void mr_lua_push_number_or_text(lua_State *L, const char *text);
/* The same, and durations ("10ms", in ns), and booleans: for settings. */
void mr_lua_push_setting(lua_State *L, const char *text);

#endif
