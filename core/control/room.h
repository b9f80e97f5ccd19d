/* room.h: what the files of core/control ask of each other; private to core/control.
 *
 * Grouped by file.  Unless said otherwise a function can not fail: what it needs was reserved when the task was
 * submitted.  None of them is called with a policy's op running, except those in policy_host.c.
 */
#ifndef MR_CONTROL_ROOM_H
#define MR_CONTROL_ROOM_H

#include "control/hot.h"
#include "control/state.h"

/* ---------------------------------------------------------------------------------------------- control.c, util -- */

void mr_control_reply(mr_control *c, const mr_record *h, mr_status status, int64_t value);
/* Writes the reason of a failed step and returns status. */
mr_status mr_control_refuse(mr_control *c, mr_status status, const char *fmt, ...) MR_PRINTF(3, 4);
void *mr_control_alloc(mr_control *c, size_t size); /* zeroed, counted */
void mr_control_again(mr_control *c);               /* a start found no memory: it is tried again soon, by the clock */
void mr_control_unalloc(mr_control *c, void *p, size_t size);
/* Room for `want` elements of `size` bytes in the array that `array` points at the pointer of: at least doubled,
 * zeroed, counted.  false: no memory, nothing changed. */
bool mr_control_grow(mr_control *c, void *array, uint32_t *room, uint64_t want, size_t size);
/* Settles what the handler started: failing tasks, freed objects. */
void mr_control_drain(mr_control *c);

/* ---------------------------------------------------------------------------------------------------- limits.c -- */

bool mr_limit_room(mr_control *c); /* for one more task with a limit, or one more process */
void mr_limit_start(mr_control *c, const task *t);
void mr_limit_slice(mr_control *c, const task *t, int64_t at); /* mr_stop_expired is called then */
int64_t mr_limit_next(const mr_control *c);                    /* MR_UNKNOWN: none */
void mr_limit_fire(mr_control *c);

/* ----------------------------------------------------------------------------------------------------- stops.c -- */

void mr_stop_begin(mr_control *c, proc *p);               /* its task was started: nothing is known of this start */
int64_t mr_stop_ran(mr_control *c, const task *t);        /* ns of this start, without those it was blocked */
void mr_stop_slice(mr_control *c, task *t);               /* asks the policy how long it may run */
void mr_stop_expired(mr_control *c, task *t);             /* and that is over */
void mr_stop_pause(mr_control *c, proc *p, bool blocked); /* the task in it blocks, or goes on */
mr_status mr_stop_confirmed(mr_control *c, const mr_record *r);
void mr_stop_resume(mr_control *c, task *t, slot *s, pool *p); /* it is ready and fits there */
/* It is stopped no more, whether there is a seat or not: it is to be cancelled (goes_on), or its process ends. */
void mr_stop_end(mr_control *c, task *t, bool goes_on);
void mr_stop_cancelled(mr_control *c, task *t); /* its end came before its stop: its process must not stand still */
bool mr_stop_frees(mr_control *c, const task *t, const task *r); /* could t start if r alone stopped now? */
void mr_stop_enter(mr_control *c, const task *t);                /* it became ready: preempt will be asked */
void mr_stop_ask(mr_control *c);                                 /* after the sweep */
void mr_stop_heirs(mr_control *c);                               /* before the sweep */
void mr_stop_void(mr_control *c, slot *s);                       /* nobody waits for it any more */
void mr_stop_void_of(mr_control *c, const task *t);              /* t waits for no slot any more */
void mr_stop_fini(mr_control *c);

static inline task *task_at(mr_control *c, mr_id id)
{
    return mr_table_at(&c->tasks, id);
}
static inline object *object_at(mr_control *c, mr_id id)
{
    return mr_table_at(&c->objects, id);
}
/* That makes it; 0: put, item of a stream. */
static inline mr_id object_task(const object *o)
{
    return o->index == MR_NOBODYS ? 0 : o->id - o->index;
}
/* An id that is not in.  NULL: no memory. */
static inline object *mr_object_new(mr_control *c, mr_id id, uint32_t fn, uint32_t index)
{
    object *o = mr_table_new(&c->objects, id);
    if (!o)
        return NULL;
    *o = (object){.id = id, .func = fn, .index = index, .state = MR_OBJ_PENDING};
    if (id > c->max_id)
        c->max_id = id;
    return o;
}
static inline proc *proc_at(mr_control *c, uint32_t number)
{
    return number ? mr_table_at(&c->procs, number) : NULL;
}
/* Not one that is over and only waits to be told, or is kept. */
static inline task *task_live(mr_control *c, mr_id id)
{
    task *t = task_at(c, id);
    return t && t->where != W_OVER && t->where != W_PAST ? t : NULL;
}
static inline actor *actor_at(mr_control *c, mr_id id)
{
    return mr_table_at(&c->actors, id);
}
static inline func *func_at(mr_control *c, uint32_t number)
{
    return number >= 1 && number <= c->n_funcs ? c->funcs[number - 1] : NULL;
}
static inline bool settled(const object *o)
{
    return o->state != MR_OBJ_PENDING;
}
static inline bool bad(const object *o)
{
    return o->state > MR_OBJ_SEALED;
}
static inline node *task_node(mr_control *c, const task *t)
{
    if (mr_ref_is_slot(t->v.on))
        return c->nodes[c->slots[(t->v.on & 0xFFFFFFFF) - 1]->node];
    return mr_ref_is_node(t->v.on) ? c->nodes[(t->v.on & 0xFFFFFFFF) - 1] : NULL;
}
static inline slot *task_slot(mr_control *c, const task *t)
{
    return mr_ref_is_slot(t->v.on) ? c->slots[(t->v.on & 0xFFFFFFFF) - 1] : NULL;
}

/* ------------------------------------------------------------------------------------------------------ queue.c -- */

void mr_tlist_push_front(tlist *l, task *t);
void mr_tlist_sort(tlist *l); /* by seq */
void mr_queue_push(queue *q, task *t, mr_slab *keys);
/* blocks.c: false: no memory.  Rank and entry of a task in it stay as they are.  keys: where all blocks come from. */
void mr_blocks_init(mr_slab *keys);
bool mr_blocks_insert(blocks *k, task *t, mr_slab *keys);
void mr_blocks_remove(blocks *k, const task *t, mr_slab *keys);
static inline void mr_queue_remove(queue *q, task *t, mr_slab *keys)
{
    t->q = NULL;
    q->n--;
    if (t->flags & T_BLOCK) {
        mr_blocks_remove(&q->blocks, t, keys);
        t->flags &= ~(uint32_t)T_BLOCK;
        return;
    }
    /* Tasks leave from the front, and with a million of them the next ones are cold.  Those between were asked for
     * before.  Not in a function of its own: compilers drop a call of one that only does this. */
    const task *soon = t;
    for (int i = 0; soon && i < 4; i++)
        soon = soon->qb;
    for (size_t line = 0; soon && line < sizeof *soon + 63; line += 64)
        __builtin_prefetch((const char *)soon + line);
    *(t->qa ? &t->qa->qb : &q->head) = t->qb;
    *(t->qb ? &t->qb->qa : &q->tail) = t->qa;
    t->qa = t->qb = NULL;
}
task *mr_blocks_first(const blocks *k);
task *mr_blocks_last(const blocks *k);
task *mr_blocks_after(const blocks *k, double rank, uint64_t entry);
task *mr_blocks_before(const blocks *k, double rank, uint64_t entry);
task *mr_queue_first_of(const queue *q); /* of both */
static inline task *mr_queue_first(const queue *q)
{
    return q->blocks.n ? mr_queue_first_of(q) : q->head;
}
task *mr_queue_last(const queue *q);
/* The first behind (rank, entry), the last before it. */
task *mr_queue_after(const queue *q, double rank, uint64_t entry);
task *mr_queue_before(const queue *q, double rank, uint64_t entry);
static inline bool ranks_before(const task *a, const task *b)
{
    return a->v.rank < b->v.rank || (a->v.rank == b->v.rank && a->v.entry < b->v.entry);
}
mr_status mr_bits_room(mr_control *c, bits *b, uint32_t n);

/* ------------------------------------------------------------------------------------------------------ funcs.c -- */

mr_status mr_func_define(mr_control *c, const mr_record *r);
void mr_func_use(mr_control *c, func *f); /* of one that has code */
void mr_func_unuse(mr_control *c, func *f);
/* A mean with x, its nth: exact at first, then the last few dozen count. */
static inline double mr_func_mean(double mean, uint64_t n, double x)
{
    return n < 32 ? mean + (x - mean) / (double)n : mean + (x - mean) * (1.0 / 32);
}
/* A call took `ran` ns, an actor's too: about the median is kept, which runs that lost their core do not move. */
static inline void mr_func_ran(func *f, int64_t ran)
{
    double x = ran > 0 ? (double)ran : 1;
    f->usual = f->usual <= 0 ? x : f->usual * (x > f->usual ? 1.05 : 1 / 1.05);
}
static inline void mr_func_learn(mr_control *c, func *f, int64_t ran)
{
    double x = ran > 0 ? (double)ran : 0;
    f->mean = mr_func_mean(f->mean, ++f->runs, x);
    c->mean = mr_func_mean(c->mean, ++c->runs, x);
    if (f->learns) {
        f->like.v.estimate = (int64_t)f->mean;
        f->like.v.n_learned = (uint32_t)f->runs;
    }
    mr_func_ran(f, ran);
}
static inline void mr_func_sealed(func *f, uint64_t size)
{
    f->mean_bytes = mr_func_mean(f->mean_bytes, ++f->sealed, (double)size);
}
void mr_funcs_free(mr_control *c);
mr_status mr_res_number(mr_control *c, const char *name, uint32_t *out);
const char *mr_res_name(const mr_control *c, uint32_t res);
/* `base` in any bundle of `g`, as what a task in it submits; NULL: no memory. */
shape *mr_shape_captured(mr_control *c, const shape *base, group *g);
/* What a stopped task of shape `base` in pool `p` needs to go on; NULL: no memory. */
shape *mr_shape_stopped(mr_control *c, const shape *base, const pool *p);
/* Prints "GPU 2" or "memory 8.0 GiB". */
void mr_amount_text(const mr_control *c, uint32_t res, int64_t amount, char *text, size_t n);

/* ------------------------------------------------------------------------------------------------------ tasks.c -- */

mr_status mr_task_submit(mr_control *c, const mr_record *r);
mr_status mr_task_started(mr_control *c, const mr_record *r);
mr_status mr_task_sealed(mr_control *c, const mr_record *r);
mr_status mr_task_finished(mr_control *c, const mr_record *r);
mr_status mr_task_cancel(mr_control *c, const mr_record *r);
mr_status mr_task_revoked(mr_control *c, const mr_record *r);
/* All arguments are sealed: to the fresh list, or to its actor. */
void mr_task_ready(mr_control *c, task *t);
/* Out of wherever it is; gives back slot, resources, place in the worker's ring.  `where` is then stale. */
void mr_task_detach(mr_control *c, task *t);
/* Seals what is unsealed with a fault, and ends it. */
void mr_task_fail(mr_control *c, task *t, const mr_fault *f);
/* The same with the error of object `cause`; done by the drain, so chains of any length do not recurse. */
void mr_task_fail_by(mr_control *c, task *t, mr_id cause);
void mr_task_fail_later(mr_control *c, task *t); /* a call whose actor is dead: with the actor's fault, by the drain */
void mr_task_failing(mr_control *c, task *t);
/* Its attempt is lost through no fault of its own making: retry if it may, else fail. */
void mr_task_lost(mr_control *c, task *t, const mr_fault *f, bool blame);
void mr_task_over(mr_control *c, task *t, mr_status outcome);
void mr_task_gone(mr_control *c, task *t);
/* A retry: to the ready queue with a new entry. */
void mr_task_again(mr_control *c, task *t);
int32_t mr_task_tries(const mr_control *c, const task *t); /* -1: for ever */
bool mr_task_try_left(const mr_control *c, const task *t);
mr_fault mr_task_fault(const mr_control *c, const task *t, mr_status status);
void mr_task_cancel_children(mr_control *c, mr_id parent, uint32_t flags);
void mr_task_cancel_one(mr_control *c, task *t, uint32_t flags);
void mr_cancel_look(mr_control *c);
void mr_task_release_args(mr_control *c, task *t);

/* ------------------------------------------------------------------------------------------------------- deps.c -- */

/* Links the arguments; counts those that are not sealed; gives the first that is an error, or 0. */
mr_id mr_deps_link(mr_control *c, task *t);
void mr_deps_unlink(mr_control *c, task *t);
bool mr_deps_pending(mr_control *c, const task *t); /* is an argument not sealed that it is not linked to? */
void mr_deps_link_again(mr_control *c, task *t);    /* to those */
/* An object was settled: its dependents get ready, or fail. */
void mr_deps_settle(mr_control *c, object *o);
mr_status mr_wait_blocked(mr_control *c, const mr_record *r);
mr_status mr_wait_unblocked(mr_control *c, const mr_record *r);
void mr_wait_settle(mr_control *c, object *o);
void mr_wait_drop_all(mr_control *c, mr_link *waits);
void mr_wait_end(mr_control *c, waiter *w, mr_status status, bool deliver);
void mr_wait_lend(mr_control *c, task *t);
void mr_wait_take_back(mr_control *c, task *t);
void mr_wait_unlend(mr_control *c, task *t);         /* the CPU alone, not the slot */
bool mr_wait_descends(mr_control *c, const task *t); /* is an ancestor blocked? */
/* deadlock.c */
bool mr_deadlock_stuck(mr_control *c, const waiter *w);
void mr_deadlock_look(mr_control *c);
void mr_deadlock_capped(mr_control *c);
mr_link *mr_wait_list(mr_control *c, uint32_t client);

/* ---------------------------------------------------------------------------------------------------- objects.c -- */

/* Sealed with a value (or an error value); refs are held by it.  Errors: NOMEM (nothing changed). */
mr_status mr_object_seal(mr_control *c, object *o, const sealing *e, const mr_id *refs, uint32_t n_refs);
void mr_object_settle(mr_control *c, object *o, mr_object_state state); /* who waits for it is told */
void mr_object_fail(mr_control *c, object *o, const mr_fault *f);
void mr_object_alias(mr_control *c, object *o, mr_id cause);
void mr_object_read(mr_control *c, object *o); /* its error is known to somebody */
void mr_object_unhold(mr_control *c, object *o);
void mr_object_free_later(mr_control *c, object *o); /* if it is settled and nobody holds it */
void mr_object_free_now(mr_control *c, object *o);
bool mr_object_on(const object *o, uint32_t node);
bool mr_object_copy_add(mr_control *c, object *o, uint32_t node);
void mr_object_copy_del(object *o, uint32_t node);
/* A node that has a copy; UINT32_MAX: none. */
uint32_t mr_object_source(const mr_control *c, const object *o);
mr_status mr_object_put(mr_control *c, const mr_record *r);
mr_status mr_object_arrived(mr_control *c, const mr_record *r);
mr_status mr_object_lost(mr_control *c, const mr_record *r);
void mr_object_delete(mr_control *c, object *o);
void mr_object_unseal(mr_control *c, object *o); /* its bytes are gone, and its task will seal it again */

/* ----------------------------------------------------------------------------------------------------- spill.c -- */

void mr_spill_enter(mr_control *c, const object *o, uint32_t number); /* it lies in the store of that node */
void mr_spill_forget(mr_control *c, object *o);                       /* its bytes go, or are in memory again */
void mr_spill_moved(mr_control *c, object *o);
mr_status mr_spill_full(mr_control *c, const mr_record *r);
mr_status mr_spill_out(mr_control *c, const mr_record *r);
mr_status mr_spill_back(mr_control *c, const mr_record *r);
mr_status mr_spill_wanted(mr_control *c, const mr_record *r);

/* --------------------------------------------------------------------------------------------------- lineage.c -- */

/* At the end of a task: is it kept (T_PAST), with its arguments and its payload? */
bool mr_lineage_keep(mr_control *c, task *t, mr_status outcome);
bool mr_lineage_past(mr_control *c, task *t);           /* false: it is not kept, and goes */
void mr_lineage_unkeep(mr_control *c, const object *o); /* a stored object is given up */
/* Room is wanted: all of it, or what holds objects that nothing else does.  False: there was none. */
bool mr_lineage_give_up(mr_control *c, bool all);
/* The last copy of a stored object is gone, with node `from`; what must run again is put on `again`.  After all of
 * them: settle. */
void mr_lineage_lose(mr_control *c, object *o, uint32_t from, uint32_t cause, tlist *again); /* cause: mr_loss */
void mr_lineage_settle(mr_control *c, tlist *again);
mr_status mr_lineage_unsent(mr_control *c, const mr_record *r);

/* ---------------------------------------------------------------------------------------------------- holders.c -- */

/* Client holds; add may fail for memory unless room was made. */
mr_status mr_holder_room(mr_control *c, uint32_t client, uint32_t n);
void mr_holder_add_worker(mr_control *c, uint32_t client, object *o);
static inline void mr_holder_add(mr_control *c, uint32_t client, object *o)
{
    if (client) {
        mr_holder_add_worker(c, client, o);
    } else if (!(o->flags & O_DRIVER)) {
        o->flags |= O_DRIVER;
        o->holders++;
    }
}
bool mr_holder_drop(mr_control *c, uint32_t client, object *o);
void mr_holder_gone(mr_control *c, proc *p);
mr_status mr_holder_refs(mr_control *c, const mr_record *r);
mr_status mr_holder_free(mr_control *c, const mr_record *r);

/* ---------------------------------------------------------------------------------------------------- streams.c -- */

mr_status mr_stream_new(mr_control *c, mr_id id);
mr_status mr_stream_yielded(mr_control *c, const mr_record *r);
mr_status mr_stream_read(mr_control *c, const mr_record *r);
void mr_stream_end(mr_control *c, mr_id id);
void mr_stream_abandon(mr_control *c, mr_id id);
void mr_stream_client_gone(mr_control *c, uint32_t client);
void mr_streams_free(mr_control *c);

/* ----------------------------------------------------------------------------------------------------- actors.c -- */

/* Checks of a creation or a call before anything is changed; *existing: the actor that GET_IF_EXISTS found. */
mr_status mr_actor_check(mr_control *c, const mr_ev_submit *e, const func *f, mr_id *existing);
mr_status mr_actor_new(mr_control *c, const mr_ev_submit *e, task *t);
mr_status mr_actor_call_room(mr_control *c, actor *a, uint32_t client);
void mr_actor_call(mr_control *c, actor *a, task *t);
void mr_actor_call_ready(mr_control *c, task *t);
void mr_actor_call_back(mr_control *c, actor *a, task *t); /* a retry: before all others */
void mr_actor_call_out(mr_control *c, task *t);            /* out of its actor's lists */
/* Calls of it that may be sent: of the default concurrency group (0), of group 1, 2, ...; NULL: no more. */
tlist *mr_actor_ready_lists(const mr_control *c, actor *a, uint32_t i);
void mr_actor_pump(mr_control *c, actor *a);
void mr_actor_born(mr_control *c, actor *a);
/* Ends it for good: its calls fail with `f`. */
void mr_actor_die(mr_control *c, actor *a, const mr_fault *f);
/* Its process died: restart or die. */
void mr_actor_lost(mr_control *c, actor *a, const mr_fault *f);
void mr_actor_unheld(mr_control *c, mr_id id);
void mr_actor_maybe_leave(mr_control *c, actor *a);
mr_status mr_actor_kill(mr_control *c, const mr_record *r);
mr_status mr_actor_name(mr_control *c, const mr_record *r);
void mr_actor_gone(mr_control *c, mr_id id);
bool mr_name_good(const char *text, size_t n); /* "namespace\0name\0", n bytes */
size_t mr_name_size(const char *text);
struct caller *mr_actor_caller(const actor *a, uint32_t client);  /* NULL: none */
void mr_actor_release(mr_control *c, actor *a, struct caller *k); /* its held calls that can be sent */
void mr_actor_caller_gone(mr_control *c, uint32_t client);
void mr_actor_free(mr_control *c, actor *a);
/* Dies, and its process goes: by itself (gently) or killed. */
void mr_actor_exit(mr_control *c, actor *a, const mr_fault *f, bool gently);
void mr_actor_left(mr_control *c, actor *a,
                   mr_id call); /* that call, which is over, called exit_actor() or sys.exit() */

/* ------------------------------------------------------------------------------------------------------ nodes.c -- */

mr_status mr_node_added(mr_control *c, const mr_record *r);
mr_status mr_node_removed(mr_control *c, const mr_record *r);
void mr_node_free(mr_control *c, node *n);
bool mr_node_allows(const mr_control *c, const node *n, const shape *s); /* constraints and total */
bool mr_pool_init(pool *p, uint32_t n_res);
void mr_pool_fini(pool *p);
bool mr_pool_fits(const pool *p, const mr_amount *needs, uint32_t n_needs);
bool mr_pool_lends(mr_control *c, const pool *p, const shape *s, const task *t);
void mr_pool_take(mr_control *c, pool *p, task *t); /* what t->v.needs says */
void mr_pool_give(mr_control *c, task *t);
/* The node's own, or a bundle there, where it fits now; NULL: none.  lent: also with CPUs lent to others. */
pool *mr_node_pool(mr_control *c, node *n, const shape *s, const task *t, bool lent);
bool mr_node_can(mr_control *c, node *n, const shape *s, const task *t); /* now: pool, lent, process */
bool mr_node_feasible(mr_control *c, shape *s);
mr_status mr_node_unschedulable(mr_control *c, const func *f, const shape *s);
/* gpus.c: which GPUs a task has; made with the node, taken and given by the functions above. */
enum { MR_GPU_MOST = 32 };
mr_status mr_gpu_make(pool *p);
bool mr_gpu_fits(const pool *p, int64_t amount);
void mr_gpu_take(pool *p, task *t, int64_t amount);
void mr_gpu_give(pool *p, task *t, int64_t amount);
void mr_gpu_reserve(pool *from, pool *to, int64_t amount); /* for a bundle; it fits */
void mr_gpu_return(pool *from, pool *to);                  /* all that is free */
/* Gives back what it took for `gpus`, which are free, if it needs as many. */
void mr_gpu_swap(pool *p, task *t, uint32_t gpus, uint8_t part);
slot *mr_node_idle_slot(mr_control *c, node *n, bool grow);
void mr_slot_busy(mr_control *c, slot *s, task *t);
void mr_slot_idle(mr_control *c, slot *s);

/* ---------------------------------------------------------------------------------------------------- workers.c -- */

kind *mr_kind_of(mr_control *c, node *n, const shape *s);
bool mr_kind_possible(mr_control *c, node *n, const shape *s);
/* The task has slot, resources and inputs: gives it to a process, or waits for one. */
void mr_proc_give(mr_control *c, task *t, kind *k);
void mr_proc_idle(mr_control *c, proc *p);
void mr_proc_next(mr_control *c, proc *p);             /* its task ended: the next ahead, or idle */
void mr_proc_run(mr_control *c, proc *p, task *t);     /* it has its record */
void mr_proc_run_new(mr_control *c, proc *p, task *t); /* it is sent it */
mr_status mr_proc_up(mr_control *c, const mr_record *r);
mr_status mr_proc_retired(mr_control *c, const mr_record *r);
mr_status mr_proc_died(mr_control *c, const mr_record *r);
void mr_proc_lose(mr_control *c, proc *p, const mr_fault *f);
void mr_proc_kill(mr_control *c, proc *p);
void mr_proc_retire(mr_control *c, proc *p);
void mr_proc_births(mr_control *c);
void mr_proc_reap(mr_control *c);
bool mr_ahead_rather_so(mr_control *c, const shape *s, const task *t);
static inline bool mr_ahead_rather(mr_control *c, const shape *s, const task *t)
{
    return !mr_list_empty(&c->roomy) && mr_ahead_rather_so(c, s, t);
}
bool mr_ahead_plenty(const mr_control *c, const shape *s, const task *t);
void mr_ahead_fill(mr_control *c);
void mr_ahead_look(mr_control *c);
void mr_ahead_revoke(mr_control *c, proc *p);
void mr_ahead_balance(mr_control *c);
void mr_proc_room(mr_control *c, proc *p);

/* ------------------------------------------------------------------------------------------------------ seats.c -- */

void mr_seat_release(mr_control *c, task *t); /* slot and resources back to the node, if it has them */
/* The running task `t` of `p` is over: true if its seat went to the next task, or rests until the instant is closed. */
bool mr_seat_next(mr_control *c, proc *p, task *t);
void mr_seats_fill(mr_control *c);    /* the instant is closed: those at rest (there are some) are taken, or given up */
void mr_seats_give_up(mr_control *c); /* as if none had rested */

/* ------------------------------------------------------------------------------------------------------ ready.c -- */

void mr_ready_enter(mr_control *c, task *t, bool again); /* again: keeps rank, entry and place */
void mr_ready_leave(mr_control *c, task *t);
void mr_ready_take(mr_control *c, task *t);                      /* to be put back: it stays an heir */
void mr_ready_close(mr_control *c);                              /* the instant is closed: rank, place, sweep */
bool mr_ready_start(mr_control *c, task *t, slot *s);            /* false: it could not (memory, a lost argument) */
queue *mr_ready_queue(mr_control *c, mr_ref of, const shape *s); /* NULL: nothing there */
task *mr_ready_best(mr_control *c, mr_ref of, slot *s, bool from_end);
bool mr_ready_can(mr_control *c, const task *t, const slot *s);
bool mr_ready_somewhere(mr_control *c, const task *t);                  /* could t start now? */
bool mr_ready_any(mr_control *c);                                       /* could anything start now? */
void mr_ready_arrived(mr_control *c, node *n, mr_id id, mr_status how); /* OK; LOST: ask again; FULL: no room */
uint32_t mr_ready_send(mr_control *c, const task *t, node *n);          /* how many arguments are not there yet */
void mr_ready_send_one(mr_control *c, const object *o, node *n);
task *mr_ready_next(mr_control *c, mr_ref of, task *after);
void mr_ready_replace(mr_control *c, mr_ref of);

/* ------------------------------------------------------------------------------------------------------ clock.c -- */

void mr_clock_fire(mr_control *c); /* what is due */
void mr_clock_tell(mr_control *c); /* asks for the next TIME */

/* ------------------------------------------------------------------------------------------------------ eject.c -- */

/* What a policy may be in, in the order of mr_control_op_text. */
typedef enum policy_op {
    IN_NONE,
    IN_OPEN,
    IN_WANTS,
    IN_RANK,
    IN_PLACE,
    IN_PLAN,
    IN_PICK,
    IN_SLICE,
    IN_PREEMPT,
    IN_NOTICE,
    IN_SAVE,
    IN_RESTORE,
    IN_CLOSE,
    IN_ASK
} policy_op;
/* Around each op: a watchdog on another thread, or in another process, looks at both words. */
static inline void policy_enter(policy *p, policy_op op)
{
    __atomic_store_n(&p->now->calls, p->now->calls + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&p->now->op, (uint32_t)op, __ATOMIC_RELAXED);
}
static inline void policy_leave(policy *p)
{
    __atomic_store_n(&p->now->op, (uint32_t)IN_NONE, __ATOMIC_RELAXED);
}
static inline void policy_said(mr_control *c, uint32_t op, mr_ref of, mr_ref answer, double number)
{
    policy *p = &c->pol;
    p->said[p->n_said++ % MR_SAID] =
        (said){.at = c->now, .of = of, .answer = answer, .number = number, .op = op, .failed = p->failed};
}
void mr_eject_dump(mr_control *c);
void mr_eject_stop(mr_control *c);
mr_status mr_eject_refuses(mr_control *c, const char *name); /* a submission, after on_error = stop */
/* The answer to `op` (MR_OP_), asked of a task or a slot, can not be: counted, and told once for each op. */
void mr_eject_answer(mr_control *c, uint32_t op, mr_ref of, mr_ref answer);

/* ----------------------------------------------------------------------------------------------------- policy.c -- */

enum { MR_NOTE_SLICE = 128 }; /* a task that blocked before it was given a slice runs again: told to nobody */
/* Outcome of SUBMITTED: it was told to be done; told in its turn, not before all else.  Of READY, STARTED, STOPPED: of
 * the present, to a policy that came. */
enum { MR_NOTE_AGAIN = -1 };
void mr_policy_note_any(mr_control *c, uint32_t what, task *t, int outcome, int64_t ran);
static inline void mr_policy_note(mr_control *c, uint32_t what, task *t, int outcome, int64_t ran)
{
    if (c->pol.any)
        mr_policy_note_any(c, what, t, outcome, ran);
}
void mr_policy_tell(mr_control *c);
void mr_policy_rank(mr_control *c, task *t);
void mr_policy_place(mr_control *c, task *t);
bool mr_policy_reranks(mr_control *c);
void mr_policy_pick(mr_control *c);
void mr_policy_held(mr_control *c);
void mr_policy_woken(mr_control *c);
void mr_policy_eject_if(mr_control *c);
void mr_policy_fini(mr_control *c);
bool mr_policy_room(mr_control *c);
void mr_policy_host_init(mr_control *c, const mr_host *base);
void mr_policy_close(mr_control *c);
void mr_policy_fifo_order(mr_control *c); /* ranks by entry; no places */
/* explain.c */
bool mr_explain_new(mr_control *c);
void mr_explain_wrap(mr_control *c);  /* puts itself between control and the policy that was just installed */
void mr_explain_waits(mr_control *c); /* at the close of an instant: why what became ready in it has not started */
/* show.c */
/* Why a ready task has no seat (why, res, had, wanted, slot), at least `d` zeroed. */
void mr_show_lack(mr_control *c, const task *t, mr_decision *d);
/* swap.c */
mr_status mr_policy_swapped(mr_control *c, const mr_record *r);
void mr_policy_present(mr_control *c, task *t); /* ready, in no queue: enters for the policy that came */

/* ------------------------------------------------------------------------------------------------------ limits.c -- */

/* The caps of a function's tasks, into its shape-to-be.  Errors: NOMEM. */
mr_status mr_caps_of(mr_control *c, const mr_define *d, uint32_t name, uint32_t user, shape *want);
const ceiling *mr_caps_full(const shape *s); /* that which keeps another of its tasks from starting; NULL: none */
bool mr_caps_allow(const shape *s);
bool mr_caps_ever(const shape *s); /* does one task fit when nothing else runs? */
void mr_caps_count(const shape *s, const task *t, int sign);
void mr_caps_lend(const shape *s, int sign); /* -1: its CPU is lent */
void mr_caps_free(mr_control *c);

/* ------------------------------------------------------------------------------------------------------ labels.c -- */

bool mr_labels_hard(const node *n, const shape *s);                          /* do all that must hold? */
bool mr_labels_terms(const node *n, const mr_term *terms, uint32_t n_terms); /* the same, of terms */
bool mr_labels_soft(const node *n, const shape *s);
/* "region in (us, eu), not gpu" */
void mr_labels_text(const shape *s, char *text, size_t n);
void mr_labels_have(mr_control *c, char *text, size_t n);

/* ----------------------------------------------------------------------------------------------------- history.c -- */

mr_phase mr_show_phase(mr_control *c, const task *t);
void mr_history_add(mr_control *c, const task *t);
void mr_history_leaves(mr_control *c, const proc *p); /* the process: its tasks keep its pid and node */

/* ------------------------------------------------------------------------------------------ groups.c, bundles.c -- */

mr_status mr_group_event(mr_control *c, const mr_record *r);
static inline group *group_at(mr_control *c, mr_id id)
{
    group **g = mr_table_at(&c->groups, id);
    return g ? *g : NULL;
}
/* What the shape of a task in a group may use: a bundle that it names, or any. */
bool mr_group_allows(const node *n, const shape *s); /* ever on this node, as far as is known */
bool mr_group_feasible(const shape *s);              /* is there a bundle that is large enough? */
/* Now; NULL: none.  lent: also with CPUs lent to others. */
pool *mr_group_pool(mr_control *c, const node *n, const shape *s, const task *t, bool lent);
bool mr_group_uses(const shape *s, const pool *p); /* may its tasks run in this pool? */
mr_status mr_group_unschedulable(mr_control *c, const func *f, const shape *s);
void mr_group_given(mr_control *c, pool *p); /* a task gave back what it had of a bundle */
/* The shape of a task given by a task or actor that captures; f's own if none does.  NULL: no memory. */
shape *mr_group_shape(mr_control *c, const mr_ev_submit *e, func *f);
void mr_groups_owner_gone(mr_control *c, mr_id owner);
void mr_groups_node_gone(mr_control *c, const node *n);
void mr_groups_free(mr_control *c);
/* bundles.c: finds a node for each bundle that has none. */
void mr_bundles_place(mr_control *c);              /* of all pending groups, by creation */
void mr_bundles_order(group *g);                   /* once, when it is made */
bool mr_bundles_possible(mr_control *c, group *g); /* on the nodes as they are if they were empty; true if unsure */
bool mr_bundles_soon(mr_control *c);               /* will a pending group be placed, if only on lent CPUs? */
void mr_bundle_drop(mr_control *c, bundle *b);     /* what is free of it goes back to its node */
/* For policies: handles of placed bundles are by age, never used again.  `next`: on a node, after one (none: the
 * first); NULL: none.  `find`: any handle; NULL: it is no bundle's, or of one that is gone. */
#define MR_REF_BUNDLE (UINT64_C(0xEFFF) << 48)
const mr_task *mr_bundle_next(mr_control *c, const node *n, mr_ref after);
const mr_task *mr_bundle_find(mr_control *c, mr_ref ref);

#endif
