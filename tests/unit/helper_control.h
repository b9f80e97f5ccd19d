/* helper_control.h: a control with a fake engine around it, for tests: events are sent by short functions, actions are
 * kept until a test takes them, processes are born at once unless told otherwise, and every step is checked. */
#ifndef HELPER_CONTROL_H
#define HELPER_CONTROL_H

#include "control/control.h"

typedef struct world {
    mr_control *c;
    mr_control_conf conf;
    mr_actions out;
    mr_action *seen; /* actions not yet taken */
    size_t n_seen, room_seen;
    int64_t now, wake; /* wake: what control asked for last */
    mr_id next_id;
    uint32_t client, next_token;
    mr_id parent;
    bool hold_births; /* SPAWN is not answered */
    bool unchecked;
    mr_status last;
    /* Instead of mr_control_step, if it is set. */
    mr_status (*step)(mr_control *c, const mr_record *event, int64_t now, mr_actions *out);
} world;

void world_new(world *w,
               const char *node); /* conf taken if w->conf.max_workers is set; node: "CPU=2 GPU=1 memory=100" */
void world_free(world *w);

mr_status world_step(world *w, void *record);
void world_time(world *w, int64_t later); /* now += later, then TIME */
uint32_t world_node(world *w, const char *amounts);
uint32_t world_labelled(world *w, const char *amounts, const char *labels); /* "key=value other=value" */

typedef struct spec {
    const char *name, *needs, *living, *user, *label; /* needs NULL: one CPU; "" none; label "key=value" */
    mr_func_kind kind;
    uint32_t flags, env, strategy;
    int32_t retries, restarts, concurrency, max_pending, window, max_calls;
    int64_t estimate, limit, deadline;
    mr_ref node;
    mr_id group;
    int32_t bundle; /* + 1; 0: any */
    const mr_term *terms;
    uint32_t n_terms;
    int32_t max_running;
    uint16_t lanes[2];
    uint8_t lane;
} spec;
uint32_t world_define(world *w, spec s);
uint32_t world_func(world *w, const char *name, const char *needs);

/* A task; deps end with 0.  The id, or 0 with w->last set. */
mr_id world_submit(world *w, uint32_t func, const mr_id *deps);
mr_id world_run(world *w, uint32_t func); /* no arguments */
typedef struct call {
    uint32_t func, n_returns, n_deps, n_refs, flags, name_bytes;
    mr_id actor;
    const mr_id *ids;
    const char *name;
    int32_t priority;
    int64_t estimate;
} call;
mr_id world_call(world *w, call k);

/* A placement group: "CPU=1;CPU=2 GPU=1"; name (in namespace "ns") may be NULL.  0, with w->last set, if refused. */
mr_id world_group(world *w, mr_group_strategy strategy, const char *bundles, uint32_t flags, const char *name);
mr_id world_ask_group(world *w, mr_group_op op, mr_id id, uint32_t client, const char *name);
static inline mr_status world_ungroup(world *w, mr_id group)
{
    world_ask_group(w, MR_GROUP_REMOVE, group, 0, NULL);
    return w->last;
}
static inline mr_id world_find_group(world *w, const char *name)
{
    return world_ask_group(w, MR_GROUP_FIND, 0, 0, name);
}
static inline mr_id world_current_group(world *w, uint32_t client, mr_id task)
{
    return world_ask_group(w, MR_GROUP_CURRENT, task, client, NULL);
}

mr_id world_put(world *w, uint64_t size, uint32_t node, const mr_id *refs); /* size 0: inline */
mr_status world_free_object(world *w, mr_id id);                            /* now, whoever holds it */
void world_drop(world *w, mr_id id);
void world_hold(world *w, mr_id id);

/* The first action of that kind (and id, if given) that was not taken; it is gone then.  false: none. */
bool world_took(world *w, mr_action_kind kind, mr_id id, mr_action *out);
bool world_sees(world *w, mr_action_kind kind, mr_id id);
size_t world_count(world *w, mr_action_kind kind);
void world_forget(world *w); /* drops all that was not taken */

/* What a worker says; attempt 0: as dispatched last. */
uint32_t world_worker(world *w, mr_id task); /* where it is, 0: nowhere */
mr_status world_finish(world *w, mr_id task);
mr_status world_finish_as(world *w, mr_id task, mr_status outcome, uint32_t flags, int64_t ran);
mr_status world_seal(world *w, mr_id task, uint32_t index, uint64_t size, uint32_t node, const mr_id *refs);
mr_status world_yield(world *w, mr_id task, uint32_t index, mr_id id);
void world_die(world *w, uint32_t worker, mr_death how, int code);
void world_retired(world *w, uint32_t worker);
void world_up(world *w, uint32_t worker);
mr_status world_cancel(world *w, mr_id id, uint32_t flags);
mr_status world_kill(world *w, mr_id actor, uint32_t flags);
uint32_t world_block(world *w, uint32_t client, mr_id task, uint32_t need, uint32_t flags,
                     const mr_id *ids); /* token */
void world_unblock(world *w, uint32_t client, uint32_t token);
mr_status world_revoked(world *w, mr_id task, bool ok);
/* Tasks (ended by 0) given to the worker of the first, in this order, could not be sent. */
mr_status world_unsent(world *w, const mr_id *tasks);
mr_status world_unbegun(world *w, const mr_id *tasks, mr_death how); /* it is dead; its death is told next */
void world_arrived(world *w, mr_id id, uint32_t node);
void world_remove_node(world *w, uint32_t node);
mr_object_state world_state(world *w, mr_id id);
int64_t world_free_cpu(world *w, uint32_t node);
mr_control_stats world_stats(world *w);
/* All that was made is gone, pools are whole. */
void world_nothing_left(world *w);

#endif
