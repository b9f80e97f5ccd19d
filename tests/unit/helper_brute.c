/* helper_brute.c: the model's seats: pools, slots, processes, who may start where.  Owns nothing. */
#include "helper_brute.h"

#include <check.h>
#include <string.h>

#include "helper_brute_ends.h"
#include "helper_brute_stops.h"

/* -------------------------------------------------------------------------------------------------------- looks -- */

bool b_there(brute *b, mr_id id)
{
    return brute_object(b, id)->state != MR_OBJ_PENDING;
}

bool b_bad(brute *b, mr_id id)
{
    return brute_object(b, id)->state > MR_OBJ_SEALED;
}

bool b_waits_for_arguments(brute *b, const b_task *t)
{
    for (uint32_t i = 0; i < t->n_deps; i++)
        if (!b_there(b, t->ids[i]))
            return true;
    return false;
}

bool b_ordered(brute *b, mr_id actor)
{
    return brute_task(b, actor)->f->concurrency <= 1;
}

/* What it takes from its node: an actor that lives only keeps `living`, a stopped task all but its CPU. */
static int64_t cpu_of(const b_task *t)
{
    return t->state == B_LIVING || t->stopped ? 0 : t->f->cpu;
}

static int64_t memory_of(const b_task *t)
{
    return t->state == B_LIVING ? t->f->living : t->f->memory;
}

int64_t brute_free_cpu(brute *b, int node, int64_t *memory, int64_t *lent)
{
    int64_t cpu = b->nodes[node].cpu;
    *memory = b->nodes[node].memory;
    *lent = 0;
    B_EACH_TASK(b, t)
    {
        if (!brute_alive(t) || t->node != node)
            continue;
        *memory -= memory_of(t);
        if (t->lent)
            *lent += t->f->cpu;
        else
            cpu -= cpu_of(t);
    }
    return cpu;
}

uint32_t b_lenders(brute *b, int node)
{
    uint32_t n = 0;
    B_EACH_TASK(b, t)
    n += brute_alive(t) && t->lent && t->node == node;
    return n;
}

void brute_holders(brute *b, uint32_t n[B_MOST])
{
    memset(n, 0, B_MOST * sizeof *n);
    for (uint32_t p = 0; p <= b->n_procs; p++)
        for (uint32_t i = 0; i < b->n_ids; i++)
            n[i] += b->procs[p].holds[i];
    B_EACH_TASK(b, t)
    {
        if (!brute_alive(t))
            continue;
        for (uint32_t i = 0; i < t->n_ids && !t->released; i++)
            n[t->ids[i] - B_BASE]++;
        if (t->actor)
            n[t->actor - B_BASE]++;
    }
    for (uint32_t i = 0; i < b->n_ids; i++)
        for (int k = 0; k < 2 && (b->objects[i].state == MR_OBJ_SEALED || b->objects[i].state == MR_OBJ_ERROR); k++)
            if (b->objects[i].refs[k])
                n[b->objects[i].refs[k] - B_BASE]++;
}

b_told *b_tell(brute *b, mr_action_kind kind)
{
    ck_assert(b->n_told < B_TOLD);
    b->told[b->n_told] = (b_told){.kind = kind};
    return &b->told[b->n_told++];
}

/* ----------------------------------------------------------------------------------------- slots and processes -- */

int b_idle_slot(brute *b, int node)
{
    for (uint32_t i = 0; i < b->n_slots; i++)
        if (b->slot_node[i] == node && !b->slots[i])
            return (int)i;
    ck_assert(b->n_slots < B_SLOTS);
    b->slot_node[b->n_slots] = node;
    return (int)b->n_slots++;
}

static void sit_on(brute *b, b_task *t, int slot)
{
    t->slot = slot;
    b->slots[slot] = t->id;
    b_void_heir(b, slot);
}

void b_sit(brute *b, b_task *t)
{
    sit_on(b, t, b_idle_slot(b, t->node));
}

void b_leave_slot(brute *b, b_task *t)
{
    if (t->slot >= 0)
        b->slots[t->slot] = 0;
    t->slot = -1;
}

void b_dispatch(brute *b, const b_task *t)
{
    b_told *x = b_tell(b, MR_ACT_DISPATCH);
    x->id = t->id;
    x->worker = t->worker;
    x->attempt = t->attempt;
    x->value = t->slot;
}

static void run(brute *b, uint32_t worker, b_task *t)
{
    b->procs[worker].task = t->id;
    b->procs[worker].state = MR_PROC_BUSY;
    t->state = B_RUN;
    t->worker = worker;
    t->ran = 0;
    b_begin_run(b, t);
    b_dispatch(b, t);
}

static b_task *first_in_line(brute *b, int node, uint32_t env)
{
    b_task *best = NULL;
    B_EACH_TASK(b, t)
    if (t->state == B_PROCESS && t->node == node && t->f->env == env && (!best || t->order < best->order))
        best = t;
    return best;
}

/* As many are being born as wait for one. */
void b_births(brute *b, int node, uint32_t env)
{
    int missing = 0;
    B_EACH_TASK(b, t)
    missing += t->state == B_PROCESS && t->node == node && t->f->env == env;
    for (uint32_t i = 1; i <= b->n_procs; i++)
        missing -= b->procs[i].state == MR_PROC_STARTING && b->procs[i].node == node && b->procs[i].env == env;
    for (; missing > 0; missing--) {
        ck_assert(b->n_procs + 1 < B_PROCS);
        b->procs[++b->n_procs] = (b_proc){.state = MR_PROC_STARTING, .node = node, .env = env};
    }
}

void b_idle(brute *b, uint32_t worker)
{
    b_proc *p = &b->procs[worker];
    if (p->state == MR_PROC_RETIRING || p->killing)
        return;
    p->state = MR_PROC_IDLE;
    p->idle_since = ++b->stamp;
    b_task *t = first_in_line(b, p->node, p->env);
    if (t)
        run(b, worker, t);
}

/* To the process that was idle last. */
static void give(brute *b, b_task *t)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i <= b->n_procs; i++) {
        const b_proc *p = &b->procs[i];
        if (p->state == MR_PROC_IDLE && !p->killing && p->node == t->node && p->env == t->f->env &&
            (!best || p->idle_since > b->procs[best].idle_since))
            best = i;
    }
    if (best) {
        run(b, best, t);
        return;
    }
    t->state = B_PROCESS;
    t->order = ++b->stamp;
    b_births(b, t->node, t->f->env);
}

void b_kill_proc(brute *b, uint32_t worker)
{
    if (worker && b->procs[worker].state != MR_PROC_GONE)
        b->procs[worker].killing = true;
}

void b_retire(brute *b, uint32_t worker)
{
    if (worker && b->procs[worker].state != MR_PROC_GONE)
        b->procs[worker].state = MR_PROC_RETIRING;
}

/* -------------------------------------------------------------------------------------------------------- seats -- */

void b_stop_lending(brute *b, b_task *t)
{
    t->lent = false;
    if (!b_lenders(b, t->node))
        b->nodes[t->node].open = false;
}

void b_leave_seat(brute *b, b_task *t)
{
    if (t->node < 0)
        return;
    b_node *n = &b->nodes[t->node];
    if (t->lent)
        b_stop_lending(b, t);
    b_leave_slot(b, t);
    if (b_lenders(b, t->node) && n->lend_at < b->now + n->lend_delay)
        n->lend_at = b->now + n->lend_delay; /* it moves */
    t->node = -1;
}

bool b_has_lender_above(brute *b, const b_task *t)
{
    for (mr_id up = t->parent; up && brute_alive(brute_task(b, up)); up = brute_task(b, up)->parent)
        if (brute_task(b, up)->lent)
            return true;
    return false;
}

/* May it use what blocked tasks lent, or is there enough without? */
static bool lent_allows(brute *b, const b_task *t, int node, int64_t cpu, int64_t lent)
{
    return !lent || !t->f->cpu || cpu - lent >= t->f->cpu || b->nodes[node].open || b_has_lender_above(b, t);
}

bool b_fits(brute *b, const b_task *t, int node)
{
    int64_t memory, lent, cpu = brute_free_cpu(b, node, &memory, &lent);
    if (b->nodes[node].gone)
        return false;
    if (t->stopped)
        return node == t->node && t->f->cpu <= cpu && lent_allows(b, t, node, cpu, lent);
    return t->f->cpu <= b->nodes[node].cpu && t->f->memory <= b->nodes[node].memory &&
           (!t->f->cpu || t->f->cpu <= cpu) && (!t->f->memory || t->f->memory <= memory) &&
           lent_allows(b, t, node, cpu, lent);
}

void b_start(brute *b, b_task *t, int slot)
{
    int node = b->slot_node[slot];
    if (b_fail_by_lost(b, t))
        return;
    int64_t memory, lent, cpu = brute_free_cpu(b, node, &memory, &lent);
    if (b->nodes[node].open && cpu - lent < t->f->cpu && !b_has_lender_above(b, t))
        b->nodes[node].open = false; /* one at a time */
    t->node = node;
    b_void_heir_of(b, t->id);
    sit_on(b, t, slot);
    if (t->stopped)
        b_go_on(b, t, true);
    else
        give(b, t);
}

/* ---------------------------------------------------------------------------------------------------------- new -- */

void brute_new(brute *b, uint32_t window)
{
    memset(b, 0, sizeof *b);
    b->window = window;
}

void brute_node(brute *b, int64_t cpus, int64_t memory)
{
    b->nodes[b->n_nodes] = (b_node){.cpu = cpus * MR_RES_UNIT, .memory = memory, .lend_at = -1};
    for (int64_t i = 0; i < cpus; i++)
        b->slot_node[b->n_slots++] = (int)b->n_nodes;
    b->n_nodes++;
}
