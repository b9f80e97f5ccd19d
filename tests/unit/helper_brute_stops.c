/* helper_brute_stops.c: who is stopped for whom in the brute-force model.  Owns nothing. */
#include "helper_brute_stops.h"

#include <check.h>
#include <stdlib.h>

/* --------------------------------------------------------------------------------------------------- the answers -- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 29;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 32;
}

int64_t brute_says_slice(uint64_t seed, mr_id task, int64_t now)
{
    uint64_t x = mix(seed ^ mix(task ^ mix((uint64_t)now)));
    return x % 5 == 0 ? -1 : x % 5 == 1 ? 0 : (int64_t)(x / 5 % 10) * 500000;
}

static int by_id(const void *a, const void *b)
{
    const mr_id *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

mr_id brute_says_preempt(uint64_t seed, mr_id task, int64_t now, const mr_id *list, uint32_t n)
{
    mr_id sorted[B_MOST];
    uint64_t x = mix(~seed ^ mix(task ^ mix((uint64_t)now)));
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = list[i];
    qsort(sorted, n, sizeof *sorted, by_id);
    return x % 8 == 0 ? task : !n || x % 8 < 3 ? 0 : sorted[x / 8 % n];
}

mr_id brute_digest(const mr_id *list, uint32_t n)
{
    mr_id sum = n;
    for (uint32_t i = 0; i < n; i++)
        sum += mix(list[i]);
    return sum;
}

static b_asked *note(brute *b, char what, mr_id id)
{
    ck_assert(b->n_asked < B_ASKED);
    b->asked[b->n_asked] = (b_asked){.what = what, .id = id};
    return &b->asked[b->n_asked++];
}

/* --------------------------------------------------------------------------------------------------------- looks -- */

static bool may_stop(brute *b, const b_task *t)
{
    return t->state == B_RUN && t->f->kind == MR_FUNC_TASK && !t->blocks && !t->stopping && !t->cancel && t->f->cpu &&
           b->procs[t->worker].state == MR_PROC_BUSY && !b->procs[t->worker].killing;
}

static int64_t ran_of(const brute *b, const b_task *t)
{
    return b->now - t->started_at - t->idle - (t->blocked_at >= 0 ? b->now - t->blocked_at : 0);
}

/* What the heirs of a node will have taken, and those before them given. */
static void promised(brute *b, int node, int64_t *cpu, int64_t *memory)
{
    for (uint32_t i = 0; i < b->n_heirs; i++) {
        mr_id there = b->slots[b->heirs[i].slot];
        const b_task *heir = brute_task(b, b->heirs[i].task);
        if (b->slot_node[b->heirs[i].slot] != node || !there || !brute_alive(heir))
            continue;
        *cpu += brute_task(b, there)->f->cpu - heir->f->cpu;
        *memory -= heir->stopped ? 0 : heir->f->memory;
    }
}

/* Would the stop of r alone let t start? */
static bool frees(brute *b, const b_task *t, const b_task *r)
{
    if (!may_stop(b, r) || b->now - r->started_at < b->min_slice || b->now == r->started_at || r->slot < 0)
        return false;
    int64_t memory, lent, cpu = brute_free_cpu(b, r->node, &memory, &lent);
    if (b->nodes[r->node].gone || (t->stopped && t->node != r->node) || t->f->cpu > b->nodes[r->node].cpu ||
        t->f->memory > b->nodes[r->node].memory)
        return false;
    cpu += r->f->cpu;
    promised(b, r->node, &cpu, &memory);
    if ((t->f->memory && !t->stopped && memory < t->f->memory) || (t->f->cpu && cpu < t->f->cpu))
        return false;
    return !t->f->cpu || !lent || cpu - lent >= t->f->cpu || b->nodes[r->node].open || b_has_lender_above(b, t);
}

static bool is_heir(const brute *b, mr_id id)
{
    for (uint32_t i = 0; i < b->n_heirs; i++)
        if (b->heirs[i].task == id)
            return true;
    return false;
}

/* ------------------------------------------------------------------------------------------------- runs and stops --
 */

void b_signal(brute *b, const b_task *t, mr_action_kind what)
{
    b_told *x = b_tell(b, what);
    x->id = t->id;
    x->worker = t->worker;
    x->attempt = t->attempt;
}

void b_void_heir(brute *b, int slot)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_heirs; i++)
        if (b->heirs[i].slot != slot)
            b->heirs[n++] = b->heirs[i];
    b->n_heirs = n;
}

void b_void_heir_of(brute *b, mr_id task)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_heirs; i++)
        if (b->heirs[i].task != task)
            b->heirs[n++] = b->heirs[i];
    b->n_heirs = n;
}

void b_begin_run(brute *b, b_task *t)
{
    t->started_at = b->now;
    t->idle = 0;
    t->blocked_at = t->slice_at = t->slice_left = -1;
    t->started = b->ask_front = true;
}

void b_pause(brute *b, b_task *t, bool blocked)
{
    if (t->state != B_RUN)
        return;
    if (blocked) {
        t->blocked_at = b->now;
        t->slice_left = t->slice_at >= 0 ? t->slice_at - b->now : -1;
        t->slice_at = -1;
        return;
    }
    t->idle += b->now - t->blocked_at;
    t->blocked_at = -1;
    t->slice_at = t->slice_left >= 0 ? b->now + t->slice_left : -1;
    t->slice_left = -1;
    b->ask_front = true;
}

void b_go_on(brute *b, b_task *t, bool tell)
{
    t->stopped = false;
    t->state = B_RUN;
    b->procs[t->worker].state = MR_PROC_BUSY;
    b_begin_run(b, t);
    t->started = tell;
    if (tell)
        b_signal(b, t, MR_ACT_CONTINUE);
}

void b_unstop(brute *b, b_task *t, bool goes_on)
{
    b_void_heir_of(b, t->id);
    b_sit(b, t);
    b_go_on(b, t, goes_on);
}

static void stop(brute *b, b_task *t)
{
    t->stopping = true;
    b_signal(b, t, MR_ACT_STOP);
}

void brute_stopped(brute *b, mr_id task, int64_t ran)
{
    b_task *t = brute_task(b, task);
    b_proc *p = &b->procs[t->worker];
    b_node *n = &b->nodes[t->node];
    b->n_told = 0;
    t->stopping = false;
    if (t->blocks || t->cancel || p->killing) {
        if (!p->killing)
            b_signal(b, t, MR_ACT_CONTINUE);
        return;
    }
    ran = ran >= 0 ? ran : ran_of(b, t);
    note(b, 'x', t->id)->answer = ran;
    t->ran += ran;
    t->slice_at = -1;
    t->stopped_at = b->now;
    b_leave_slot(b, t);
    if (b_lenders(b, t->node) && n->lend_at < b->now + n->lend_delay)
        n->lend_at = b->now + n->lend_delay; /* it moves */
    p->state = MR_PROC_STOPPED;
    t->stopped = true;
    t->state = B_FRESH;
}

/* ------------------------------------------------------------------------------------------------- of an instant -- */

static void ask_slice(brute *b, b_task *t)
{
    int64_t least = b->min_slice > 1 ? b->min_slice : 1;
    if (t->blocks)
        return; /* it blocked at once: its time begins when it is through with that */
    t->started = false;
    if (!b->slices || !may_stop(b, t) || t->slot < 0)
        return;
    int64_t ns = brute_says_slice(b->seed, t->id, b->now);
    note(b, 's', t->id)->answer = ns;
    t->slice_at = ns < 0 ? -1 : b->now + (ns > least ? ns : least);
}

void b_tell_started(brute *b)
{
    B_EACH_TASK(b, t)
    if (t->started && t->state == B_RUN)
        ask_slice(b, t);
}

/* For whom would it be stopped? */
static bool alone(brute *b)
{
    bool others = b->n_heirs > 0;
    B_EACH_TASK(b, t)
    others |= t->state == B_READY || t->state == B_FRESH;
    return !others;
}

void b_expire(brute *b)
{
    b_tell_started(b);
    B_EACH_TASK(b, t)
    {
        if (t->state != B_RUN || t->slice_at < 0 || t->slice_at > b->now)
            continue;
        t->slice_at = -1;
        if (!may_stop(b, t))
            continue;
        if (!alone(b)) {
            stop(b, t);
            continue;
        }
        int64_t ran = ran_of(b, t);
        note(b, 'x', t->id)->answer = ran;
        t->ran += ran;
        b_begin_run(b, t);
        ask_slice(b, t);
    }
    if (b->ask_at >= 0 && b->ask_at <= b->now) {
        b->ask_front = true;
        b->ask_at = -1;
    }
}

void b_heirs(brute *b)
{
    for (uint32_t i = 0; i < b->n_heirs;) {
        int slot = b->heirs[i].slot;
        b_task *t = brute_task(b, b->heirs[i].task);
        if (b->slots[slot] && brute_task(b, b->slots[slot])->stopping) {
            i++;
            continue;
        }
        bool wants = !b->slots[slot];
        b_void_heir(b, slot);
        if (wants && b_fits(b, t, b->slot_node[slot]))
            b_start(b, t, slot);
    }
}

static bool waits(brute *b, const b_task *t)
{
    if (t->state != B_READY || is_heir(b, t->id) || (t->stopped && t->stopped_at == b->now))
        return false;
    for (uint32_t n = 0; n < b->n_nodes; n++)
        if (b_fits(b, t, (int)n))
            return false;
    return true;
}

/* The next by rank of those that are to be asked for. */
static b_task *next_asked(brute *b, uint64_t after, const bool *due)
{
    b_task *best = NULL;
    B_EACH_TASK(b, t)
    if (due[t - b->tasks] && t->entry > after && (!best || t->entry < best->entry))
        best = t;
    return best;
}

static b_task *ask_for(brute *b, b_task *t)
{
    mr_id list[B_MOST];
    uint32_t n = 0;
    B_EACH_TASK(b, r)
    if (frees(b, t, r))
        list[n++] = r->id;
    mr_id answer = brute_says_preempt(b->seed, t->id, b->now, list, n);
    b_asked *x = note(b, 'p', t->id);
    x->list = brute_digest(list, n);
    x->answer = (int64_t)answer;
    return answer && answer != t->id ? brute_task(b, answer) : NULL;
}

void b_ask_preempt(brute *b)
{
    bool due[B_MOST] = {false}, left = false;
    uint32_t ready = 0, running = 0, n_asks = b->n_asks;
    B_EACH_TASK(b, t)
    {
        ready += t->state == B_READY;
        running += t->state == B_RUN;
    }
    b->n_asks = 0;
    if (!b->preempts || (!n_asks && !(b->ask_front && ready)))
        return;
    for (uint32_t i = 0; i < n_asks; i++)
        due[b->asks[i] - B_BASE] = true;
    B_EACH_TASK(b, t)
    due[t - b->tasks] = (due[t - b->tasks] || b->ask_front) && running && waits(b, t);
    b->ask_front = false;
    uint64_t after = 0;
    for (b_task *t; (t = next_asked(b, after, due)); after = t->entry) {
        b_task *r = ask_for(b, t);
        left |= !r;
        if (!r)
            continue;
        b->heirs[b->n_heirs].slot = r->slot;
        b->heirs[b->n_heirs++].task = t->id;
        stop(b, r);
    }
    if (!left)
        return;
    b->ask_at = -1; /* when the first of those that are too young is old enough */
    B_EACH_TASK(b, r)
    {
        int64_t then = r->started_at + b->min_slice;
        if (r->state == B_RUN && b->min_slice && then > b->now && (b->ask_at < 0 || then < b->ask_at))
            b->ask_at = then;
    }
}
