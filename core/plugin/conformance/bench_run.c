/* bench_run.c: time in the small world: applies the events of an instant, then asks the plugin in the order that
 * sched.h promises, and checks each answer. */
#include "plugin/conformance/bench_host.h"

#include <string.h>

#define MAX_HOLD (1000 * BENCH_MS) /* how long a policy may hold what could start while nothing runs */

static const mr_sched_ops *ops(const mr_bench *b)
{
    return &b->loaded->ops.sched;
}

/* ---- an instant */

static bool inputs_ready(const mr_bench *b, int i)
{
    for (int e = 0; e < b->n_edges; e++)
        if (b->edge[e][1] == i && b->made_on[e] < 0)
            return false;
    return true;
}

/* When it will have run for so long, if nothing comes between. */
static int64_t early_at(const mr_bench *b, const mr_bench_task *t)
{
    return t->lent || t->out_node >= 0 ? BENCH_NEVER : b->now + t->early - t->view.ran - mr_bench_ran(b, t);
}

static int64_t block_at(const mr_bench *b, const mr_bench_task *t)
{
    return t->lent ? BENCH_NEVER : b->now + t->block_at - t->view.ran - mr_bench_ran(b, t);
}

/* A bundle is placed when there is room for it, and removed in its time. */
static void hold(mr_bench *b, int i)
{
    int64_t *room = &b->free[mr_bench_node_of(b, b->hold[i].view.on)][MR_RES_CPU].amount;
    mr_task *v = &b->hold[i].view;
    if (v->state == MR_WAITING && b->hold[i].from <= b->now && b->now < b->hold[i].to &&
        *room >= b->hold[i].needs.amount) {
        *room -= b->hold[i].needs.amount;
        v->state = MR_RUNNING_NOW;
        v->started_at = b->now;
    } else if (v->state == MR_RUNNING_NOW && b->hold[i].to <= b->now) {
        *room += b->hold[i].needs.amount;
        v->state = MR_OVER;
    }
}

static void apply_events(mr_bench *b)
{
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        t->fresh = false;
        bool runs = t->view.state == MR_RUNNING_NOW && !t->over && !t->lives;
        if (t->lives && t->end <= b->now)
            mr_bench_die(b, t);
        if (runs && t->lent && t->back_at <= b->now)
            mr_bench_take_back(b, t);
        if (runs && t->early && b->now >= early_at(b, t))
            mr_bench_seal(b, t);
        if (runs && t->end <= b->now)
            mr_bench_finish(b, t, MR_OK);
        else if (runs && t->block_at && b->now >= block_at(b, t))
            mr_bench_lend(b, t);
    }
    for (int i = 0; i < b->n_holds; i++)
        hold(b, i);
    for (int i = 0; i < b->n_events; i++) {
        if (b->event[i].done || b->event[i].at > b->now)
            continue;
        b->event[i].done = true;
        if (b->event[i].what == BENCH_CANCEL) {
            mr_bench_task *t = &b->task[b->event[i].which];
            if (t->submitted && !t->over && !t->lives)
                mr_bench_finish(b, t, MR_E_CANCELLED);
        } else if (b->event[i].what == BENCH_SEAT) {
            mr_bench_add_slot(b, b->event[i].which);
        } else if (b->event[i].what == BENCH_CRASH) {
            int victim = mr_bench_task_of(b, b->slot[b->event[i].which].task);
            if (victim >= 0)
                mr_bench_retry_or_fail(b, &b->task[victim]);
        }
    }
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (t->view.state == MR_RUNNING_NOW && !t->lives && t->stop_at <= b->now)
            mr_bench_halt(b, t);
        else if (t->view.state == MR_TRAVELLING && t->travel_end <= b->now)
            mr_bench_begin(b, t);
    }
}

static void submit(mr_bench *b)
{
    bool due[BENCH_TASKS] = {false};
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (t->submitted || t->arrival > b->now)
            continue;
        due[i] = t->submitted = true;
        t->view.submitted_at = b->now;
        t->view.estimate = b->exact ? t->duration : MR_UNKNOWN;
        for (int e = 0; e < b->n_edges; e++) {
            b->task[b->edge[e][0]].view.n_succs += b->edge[e][1] == i;
            t->view.n_preds += b->edge[e][1] == i;
        }
    }
    for (int i = 0; i < b->n_tasks; i++)
        if (due[i])
            mr_bench_tell(b, MR_SUBMITTED, &b->task[i], -1, 0);
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (!due[i] || !mr_bench_wants(b, MR_OP_PLAN))
            continue;
        mr_bench_put_at(b, t, ops(b)->plan(b->self, &t->view), "plan");
        t->planned = t->queue != MR_NONE;
    }
    for (int i = 0; i < b->n_tasks; i++) { /* an argument failed before this task came */
        for (int e = 0; due[i] && e < b->n_edges; e++) {
            const mr_bench_task *pred = &b->task[b->edge[e][0]];
            if (b->edge[e][1] == i && pred->over && b->made_on[e] < 0 && !b->task[i].over)
                mr_bench_finish(b, &b->task[i], MR_E_TASK);
        }
    }
}

/* A planned task's inputs set out as soon as each is sealed. */
static void send_planned(mr_bench *b)
{
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (t->planned && !t->over && t->view.state == MR_WAITING)
            mr_bench_send_inputs(b, t, mr_bench_check_place(b, t, t->queue));
    }
}

static mr_ref slot_that_freed(const mr_bench *b, int i)
{
    mr_ref from = MR_NONE;
    int64_t last = -1;
    for (int e = 0; e < b->n_edges; e++) {
        const mr_bench_task *pred = &b->task[b->edge[e][0]];
        if (b->edge[e][1] == i && pred->finished >= last && pred->slot >= 0) {
            last = pred->finished;
            from = b->slot[pred->slot].ref;
        }
    }
    return from;
}

static void become_ready(mr_bench *b)
{
    bool now_ready[BENCH_TASKS] = {false};
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        bool stopped = t->view.state == MR_STOPPED_NOW && !t->queued;
        if (!t->submitted || t->over || !(stopped || (t->view.state == MR_WAITING && inputs_ready(b, i))))
            continue;
        now_ready[i] = true;
        if (stopped) {
            mr_bench_enter_ready(b, t);
            continue;
        }
        t->view.from = slot_that_freed(b, i);
        t->view.bytes = 0;
        for (int e = 0; e < b->n_edges; e++)
            if (b->edge[e][1] == i)
                t->view.bytes += b->bytes[e];
        mr_bench_enter_ready(b, t);
    }
    for (int i = 0; i < b->n_tasks; i++)
        if (now_ready[i])
            mr_bench_tell(b, MR_BECAME_READY, &b->task[i], -1, 0);
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (!now_ready[i])
            continue;
        t->offered = b->now;
        bool stopped = t->view.state == MR_STOPPED_NOW; /* it goes on where it is */
        if (!t->planned && !stopped && mr_bench_wants(b, MR_OP_PLACE))
            mr_bench_put_at(b, t, ops(b)->place(b->self, &t->view), "place");
        else if (!t->planned && !stopped)
            t->queue = MR_NONE;
        if (t->queue != MR_NONE && !stopped)
            mr_bench_send_inputs(b, t, mr_bench_check_place(b, t, t->queue));
        mr_bench_ask_rank(b, t);
    }
}

static mr_ref best_for(mr_bench *b, int slot)
{
    const mr_sched_host *h = &b->host;
    mr_ref w = b->slot[slot].ref, t = h->first(h, w, w, false);
    if (!t)
        t = h->first(h, b->slot[slot].node, w, false);
    return t ? t : h->first(h, MR_NONE, w, false);
}

static bool any_ready(const mr_bench *b)
{
    for (int i = 0; i < b->n_tasks; i++)
        if (b->task[i].queued)
            return true;
    return false;
}

static void rerank(mr_bench *b)
{
    while (b->rerank_all) {
        b->rerank_all = false;
        for (int i = 0; i < b->n_tasks; i++)
            if (b->task[i].queued)
                mr_bench_ask_rank(b, &b->task[i]);
    }
}

static void sweep(mr_bench *b)
{
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < b->n_slots && any_ready(b); i++) {
            if (b->slot[i].task)
                continue;
            mr_ref answer;
            rerank(b);
            if (mr_bench_wants(b, MR_OP_PICK))
                answer = ops(b)->pick(b->self, &b->slot[i]);
            else
                answer = best_for(b, i);
            if (answer == MR_STOP)
                return;
            int t = mr_bench_task_of(b, answer);
            if (answer == MR_NONE)
                continue;
            if (t < 0 || !mr_bench_can(b, &b->task[t], i)) {
                mr_bench_wrong(b, "pick", NULL, answer);
                continue;
            }
            mr_bench_dispatch(b, &b->task[t], i);
            again = true;
        }
    }
}

static bool startable(const mr_bench *b, const mr_bench_task *t)
{
    for (int i = 0; i < b->n_slots; i++)
        if (mr_bench_can(b, t, i))
            return true;
    return false;
}

/* The best by rank of those that wait, could not be started, and were not asked for yet. */
static mr_bench_task *next_loser(mr_bench *b, const bool *asked)
{
    mr_bench_task *best = NULL;
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (!t->queued || asked[i] || b->now < t->offered || startable(b, t))
            continue;
        if (t->view.state == MR_STOPPED_NOW && t->fresh)
            continue;
        if (!best || t->view.rank < best->view.rank)
            best = t;
    }
    return best;
}

static void ask_preempt(mr_bench *b)
{
    bool asked[BENCH_TASKS] = {false};
    mr_bench_task *t;
    while ((t = next_loser(b, asked)) && mr_bench_wants(b, MR_OP_PREEMPT)) {
        asked[t - b->task] = true;
        mr_ref answer = ops(b)->preempt(b->self, &t->view), r = MR_NONE;
        if (answer == MR_NONE)
            continue;
        while ((r = mr_bench_next(b, MR_RUNNING, t->view.ref, r)) && r != answer)
            ;
        if (!r) {
            mr_bench_wrong(b, "preempt", t, answer);
            continue;
        }
        mr_bench_task *victim = &b->task[mr_bench_task_of(b, r)];
        int slot = victim->slot;
        b->preempted++;
        mr_bench_stop(b, victim);
        mr_bench_dispatch(b, t, slot);
        sweep(b);
    }
}

/* When something happens to what runs. */
static int64_t ends_at(const mr_bench *b, const mr_bench_task *t)
{
    int64_t at = t->end < t->stop_at ? t->end : t->stop_at;
    if (t->lent && t->back_at < at)
        at = t->back_at;
    if (!t->lives && t->early && early_at(b, t) < at)
        at = early_at(b, t);
    if (!t->lives && t->block_at && block_at(b, t) < at)
        at = block_at(b, t);
    return at;
}

static int64_t next_time(const mr_bench *b)
{
    int64_t at = BENCH_NEVER;
#define EARLIER(x) (at = (x) > b->now && (x) < at ? (x) : at)
    bool live = false;
    for (int i = 0; i < b->n_tasks; i++) {
        const mr_bench_task *t = &b->task[i];
        live = live || !t->over;
        if (!t->submitted)
            EARLIER(t->arrival);
        else if (t->over)
            continue;
        else if (t->queued)
            EARLIER(t->offered);
        else if (t->view.state == MR_TRAVELLING)
            EARLIER(t->travel_end);
        else if (t->view.state == MR_RUNNING_NOW)
            EARLIER(ends_at(b, t) > b->now ? ends_at(b, t) : b->now + 1);
    }
    for (int i = 0; live && i < b->n_events; i++)
        if (!b->event[i].done)
            EARLIER(b->event[i].at);
    for (int i = 0; i < b->n_holds; i++) {
        if (b->hold[i].view.state == MR_WAITING)
            EARLIER(b->hold[i].from);
        live = live || b->hold[i].view.state == MR_RUNNING_NOW;
        if (b->hold[i].view.state == MR_RUNNING_NOW)
            EARLIER(b->hold[i].to);
    }
    if (live && b->wake_at != BENCH_NEVER)
        EARLIER(b->wake_at > b->now ? b->wake_at : b->now + 1);
#undef EARLIER
    return live ? at : BENCH_NEVER;
}

/* True while the policy keeps back what could start although nothing runs or travels. */
static bool holds(const mr_bench *b)
{
    bool some = false;
    for (int i = 0; i < b->n_tasks; i++) {
        const mr_bench_task *t = &b->task[i];
        if (!t->over && !t->lives && (t->view.state == MR_RUNNING_NOW || t->view.state == MR_TRAVELLING))
            return false;
        some = some || (t->queued && startable(b, t));
    }
    return some;
}

static void retell(mr_bench *b)
{
    mr_bench_close(b);
    if (mr_bench_open(b)) {
        snprintf(b->failure, sizeof b->failure, "a second open failed: %.900s", b->open_error);
        return;
    }
    b->wake_at = BENCH_NEVER;
    for (int i = 0; i < b->n_tasks; i++)
        if (b->task[i].submitted && !b->task[i].over && !b->task[i].lives)
            mr_bench_tell(b, MR_SUBMITTED, &b->task[i], -1, 0);
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (!t->submitted || t->over || t->view.state == MR_RUNNING_NOW || t->view.state == MR_TRAVELLING ||
            t->view.state == MR_STOPPED_NOW)
            continue;
        t->planned = false;
        t->queue = MR_NONE;
        if (!mr_bench_wants(b, MR_OP_PLAN))
            continue;
        mr_bench_put_at(b, t, ops(b)->plan(b->self, &t->view), "plan");
        t->planned = t->queue != MR_NONE;
    }
    for (int i = 0; i < b->n_tasks; i++) { /* each as far as it has come */
        mr_bench_task *t = &b->task[i];
        bool stopped = t->view.state == MR_STOPPED_NOW;
        if (t->over || t->lives || t->view.state == MR_WAITING)
            continue;
        mr_bench_tell(b, MR_BECAME_READY, t, -1, 0);
        if (stopped || t->view.state == MR_RUNNING_NOW)
            mr_bench_tell(b, MR_STARTED, t, t->slot, 0);
        if (stopped) {
            mr_bench_tell(b, MR_STOPPED, t, t->slot, t->view.ran);
            mr_bench_tell(b, MR_BECAME_READY, t, -1, 0);
        }
    }
    for (int i = 0; i < b->n_tasks; i++) {
        mr_bench_task *t = &b->task[i];
        if (!t->queued)
            continue;
        if (!t->planned && t->view.state != MR_STOPPED_NOW && mr_bench_wants(b, MR_OP_PLACE))
            mr_bench_put_at(b, t, ops(b)->place(b->self, &t->view), "place");
        mr_bench_ask_rank(b, t);
    }
}

static void eject(mr_bench *b)
{
    mr_bench_close(b);
    b->wants = (mr_sched_wants){0};
    b->wake_at = BENCH_NEVER;
    b->rerank_all = false;
    for (int i = 0; i < b->n_tasks; i++) {
        b->task[i].view.rank = (double)b->task[i].view.entry;
        b->task[i].planned = false;
        b->task[i].queue = MR_NONE;
    }
}

bool mr_bench_run(mr_bench *b)
{
    int64_t held_since = -1;
    if (mr_bench_open(b))
        return false;
    for (b->now = b->begin; b->now != BENCH_NEVER && (!b->failure[0] || b->failed); b->now = next_time(b)) {
        bool woken = b->wake_at <= b->now;
        if (++b->instants > 2000 + 200 * b->n_tasks + 20 * b->stops) {
            if (!b->failed)
                snprintf(b->failure, sizeof b->failure, "%d instants for %d tasks: it wakes itself without end",
                         b->instants, b->n_tasks);
            break;
        }
        apply_events(b);
        submit(b);
        send_planned(b);
        become_ready(b);
        for (int i = 0; i < b->n_events; i++) {
            if (b->event[i].what == BENCH_REOPEN && b->event[i].at == b->now && b->opens)
                retell(b);
            else if (b->event[i].what == BENCH_EJECT && b->event[i].at == b->now)
                eject(b);
        }
        if (woken) {
            b->wake_at = BENCH_NEVER;
            mr_bench_tell(b, MR_WOKEN, NULL, -1, 0);
        }
        sweep(b);
        ask_preempt(b);
        rerank(b);
        if (b->failed && b->opens) /* from here on first in, first out, and it is asked no more */
            eject(b);
        if (b->failed || !holds(b)) {
            held_since = -1;
        } else {
            held_since = held_since < 0 ? b->now : held_since;
            int64_t next = next_time(b);
            if (next == BENCH_NEVER || next - held_since > MAX_HOLD) {
                b->stalls++;
                snprintf(b->failure, sizeof b->failure, "holds what could start while nothing runs, at %lld ns",
                         (long long)b->now);
            }
        }
    }
    mr_bench_close(b);
    return !b->failure[0] && b->wrong == 0;
}
