/* actions.c: does what control decided, one function per kind of action.
 *
 * Decides nothing.  What an action causes inside the engine (a failed spawn, a copy that arrived) is queued as an event
 * of the engine's own, never stepped from here.  Lock: the node list's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

typedef void (*act_fn)(mr_nodes *n, const mr_action *a);

static void act_died(mr_nodes *n, uint32_t worker, uint32_t how, int32_t code)
{
    mr_ev_worker ev = {.h = {.size = sizeof(ev), .kind = MR_EV_WORKER_DIED, .version = MR_RECORD_VERSION}};
    ev.worker = worker;
    ev.how = how;
    ev.code = code;
    mr_drive_inner(n, &ev.h);
}

static void act_dispatch(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = mr_peer_of(n, a->worker);
    mr_status status = p ? mr_peer_dispatch(n, p, a->id, a->attempt) : MR_E_NOTFOUND;
    if (status) {
        /* The worker is told to die rather than that a task waits for ever: its attempt is then retried. */
        mr_log(MR_LOG_ERROR, "engine", "task %llx could not be sent to worker %u: %s", (unsigned long long)a->id,
               a->worker, mr_status_text(status));
        if (p)
            mr_peer_drop(n, p, "could not be sent a task");
        else
            act_died(n, a->worker, MR_DEATH_SPAWN, 0);
    }
}

static void act_revoke(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = mr_peer_of(n, a->worker);
    mr_ev_task ev = {.h = {.size = sizeof(ev), .kind = MR_EV_REVOKED, .version = MR_RECORD_VERSION}};
    ev.task = a->id;
    ev.attempt = a->attempt;
    ev.worker = a->worker;
    ev.ok = p && mr_peer_revoke(n, p, a->id);
    if (p)
        mr_drive_inner(n, &ev.h); /* a dead worker's tasks are told by its death */
}

static void act_signal(mr_nodes *n, uint32_t worker, int sig)
{
    mr_sup_msg m = {.kind = MR_SUP_SIGNAL, .worker = worker, .code = sig};
    mr_spawn_order(n, &m);
}

/* The record was taken back before user code began; the worker will skip it, so its end is told here. */
static void interrupt_unstarted(mr_nodes *n, const mr_action *a)
{
    mr_ev_finished ev = {.h = {.size = sizeof(ev), .kind = MR_EV_FINISHED, .version = MR_RECORD_VERSION}};
    ev.h.from = a->worker;
    ev.task = a->id;
    ev.attempt = a->attempt;
    ev.outcome = MR_E_CANCELLED;
    mr_drive_inner(n, &ev.h);
}

static void act_interrupt(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = mr_peer_of(n, a->worker);
    uint64_t seq = 0;
    if (!p)
        return;
    if (a->flags & MR_CANCEL_FORCE) {
        act_signal(n, a->worker, SIGKILL);
        return;
    }
    /* The worker stores the slot before it claims: when the record can not be taken back, the slot tells how far it is.
     */
    if (!mr_peer_runs(p, a->id, &seq) && mr_peer_revoke(n, p, a->id)) {
        interrupt_unstarted(n, a);
        return;
    }
    uint64_t running = 0;
    if (mr_peer_runs(p, a->id, &seq)) {
        running = seq << 2 | MR_SLOT_RUNNING;
        if (atomic_compare_exchange_strong(&p->block->slot, &running, seq << 2 | MR_SLOT_CANCEL)) {
            act_signal(n, a->worker, MR_CANCEL_SIGNAL);
            return;
        }
        if (running == (seq << 2 | MR_SLOT_DONE))
            return;
    }
    mr_peer_order(n, p, MR_ORD_CANCEL, a->id, a->attempt);
}

static void act_deliver(mr_nodes *n, const mr_action *a)
{
    if (!a->client) {
        mr_waiter *w = mr_drive_find(n, a->token);
        if (w)
            mr_drive_wake(n, w, a->status);
        return;
    }
    mr_peer *p = mr_peer_of(n, a->client);
    if (!p)
        return;
    mr_peer_delivered(n, p, a->token, a->status);
}

static void act_reply(mr_nodes *n, const mr_action *a)
{
    const char *why = a->status ? mr_control_why(n->control) : NULL;
    mr_actor_info actor;
    uint64_t value2 = 0;
    if (!a->status && mr_control_actor(n->control, (mr_id)a->value, &actor))
        value2 = actor.func;
    if (!a->client) {
        mr_waiter *w = mr_drive_find(n, a->token);
        if (!w || w->done)
            return;
        w->value = (uint64_t)a->value;
        w->id = value2;
        w->text = why && *why ? strdup(why) : NULL;
        mr_drive_wake(n, w, a->status);
        return;
    }
    mr_peer *p = mr_peer_of(n, a->client);
    if (p)
        mr_peer_reply(n, p, MR_ORD_REPLY, a->token, a->status, (uint64_t)a->value, value2, why,
                      why && *why ? strlen(why) + 1 : 0);
}

static void act_spawn(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = NULL;
    uint32_t lang = a->flags;
    if (n->closing)
        return; /* nothing is replaced any more */
    mr_status status = lang == MR_LANG_PYTHON && !n->zygote ? MR_E_UNSUPPORTED : MR_OK;
    if (!status)
        status = mr_peer_new(n, a->worker, a->node, lang, &p);
    if (status) {
        mr_log(MR_LOG_ERROR, "engine", "worker %u could not be started: %s", a->worker,
               status == MR_E_UNSUPPORTED ? "this session has no command for Python workers" : mr_status_text(status));
        act_died(n, a->worker, MR_DEATH_SPAWN, status == MR_E_NOMEM ? ENOMEM : ENOSYS);
        return;
    }
    mr_sup_msg m = {.kind = MR_SUP_SPAWN, .worker = a->worker, .link = p->link, .node = a->node, .lang = lang};
    mr_spawn_order(n, &m);
}

static void act_retire(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = mr_peer_of(n, a->worker);
    if (p)
        mr_peer_order(n, p, MR_ORD_LEAVE, 0, 0);
}

static void act_kill(mr_nodes *n, const mr_action *a)
{
    act_signal(n, a->worker, SIGKILL);
}

static void act_resume(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = mr_peer_of(n, a->worker);
    mr_parcel *parcel = p ? mr_parcel_new(MR_ORD_RESUME, sizeof(mr_ord_resume)) : NULL;
    if (!parcel) {
        if (p)
            mr_peer_drop(n, p, "could not be sent an order: out of memory");
        return;
    }
    mr_ord_resume *o = (mr_ord_resume *)(void *)parcel->record;
    o->task = a->id;
    o->allowed = (uint64_t)a->value;
    mr_peer_send(n, p, parcel);
}

static void act_stop(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = mr_peer_of(n, a->worker);
    if (!p)
        return;
    /* No lock lives in shared memory, so a process may stand still at any instruction (client/link.h). */
    p->stopping = a->id;
    p->stood = a->id;
    mr_sup_msg m = {.kind = MR_SUP_SIGNAL, .worker = a->worker, .code = SIGSTOP, .arg = ++p->stop_number};
    mr_spawn_order(n, &m);
}

static void act_continue(mr_nodes *n, const mr_action *a)
{
    mr_peer *p = mr_peer_of(n, a->worker);
    if (!p)
        return;
    p->stopping = 0;
    act_signal(n, a->worker, SIGCONT);
}

static void act_spill(mr_nodes *n, const mr_action *a)
{
    mr_spill_leave(n, a->id, a->node, (uint64_t)a->value);
}

static void act_restore(mr_nodes *n, const mr_action *a)
{
    mr_spill_fetch(n, a->id, a->node, a->node, false);
}

static void act_evict(mr_nodes *n, const mr_action *a)
{
    mr_value_evict(n, a->id, a->node);
}

static void act_free(mr_nodes *n, const mr_action *a)
{
    const mr_val *v = a->flags & MR_FREE_AGAIN ? mr_value_find(n, a->id) : NULL;
    if (v && v->kind != MR_VAL_STORED)
        return; /* the error of this same step: it can not be made again */
    mr_value_free(n, a->id, a->flags & MR_FREE_HELD);
    if (mr_table_count(&n->notes.table) && !(a->flags & MR_FREE_HELD))
        mr_table_del(&n->notes.table, a->id);
    if (a->flags & MR_FREE_CODE)
        for (uint32_t l = 0; l < n->n_links; l++)
            if (n->peer[l] && n->peer[l]->state == MR_PEER_UP && mr_peer_knows(n, n->peer[l], a->id))
                mr_peer_order(n, n->peer[l], MR_ORD_FORGET, a->id, 0);
}

static void act_transfer(mr_nodes *n, const mr_action *a)
{
    mr_value_transfer(n, a->id, (uint32_t)a->value, a->node);
}

static void act_collect(mr_nodes *n, const mr_action *a)
{
    (void)a;
    int64_t now = mr_drive_monotonic();
    n->drops.due = true;
    (void)!eventfd_write(n->event_fd, 1); /* at its most it is set already */
    if (n->on_full && (!n->fulls || now - n->full_at >= MR_COLLECT_EVERY_NS)) {
        n->full_at = now;
        n->fulls++;
        n->on_full();
        for (mr_waiter *w = n->waiters.next; w != &n->waiters; w = w->next)
            if (w->told && w->leads)
                mr_bell_ring_always(&n->links->page.bell, n->event_fd);
            else if (w->told)
                mr_bell_ring_always(&w->bell, -1);
    }
    for (uint32_t l = 0; l < n->n_links; l++)
        if (n->peer[l] && n->peer[l]->state == MR_PEER_UP)
            mr_peer_order(n, n->peer[l], MR_ORD_COLLECT, 0, 0);
}

static void act_fail(mr_nodes *n, const mr_action *a)
{
    if (mr_value_fault(n, a->id, &a->fault, NULL))
        mr_log(MR_LOG_ERROR, "engine", "out of memory: the error of object %llx has no text",
               (unsigned long long)a->id);
}

static void act_alias(mr_nodes *n, const mr_action *a)
{
    if (mr_value_alias(n, a->id, a->id2))
        mr_log(MR_LOG_ERROR, "engine", "out of memory: object %llx has no value", (unsigned long long)a->id);
}

static void act_drop(mr_nodes *n, const mr_action *a)
{
    mr_payload_drop(n, a->id);
}

static void act_wake(mr_nodes *n, const mr_action *a)
{
    n->wake_at = a->value;
    mr_progress_timer(n);
}

/* What error value `format`, `bytes` says, in `told` or itself; its length, 0: nothing that can be read. */
static uint64_t read_error(mr_nodes *n, uint32_t format, const void *bytes, uint64_t len, char told[300],
                           const char **text)
{
    uint64_t wrote = n->on_error ? n->on_error(format, bytes, len, told, 300) : 0;
    *text = told;
    if (wrote)
        return wrote;
    if (format != MR_FORMAT_TEXT_ERROR && (format != MR_FORMAT_FAULT || len <= sizeof(mr_fault_value)))
        return 0;
    uint64_t head = format == MR_FORMAT_FAULT ? sizeof(mr_fault_value) : 0;
    *text = (const char *)bytes + head;
    return strnlen(*text, len - head);
}

/* The value is still there, and is freed after this; or nobody kept it, and what is left is its copy for the tables. */
static void report_unhandled(mr_nodes *n, const mr_action *a)
{
    const mr_define *def = mr_control_func(n->control, a->fault.func);
    const mr_val *v = mr_value_find(n, a->id2);
    const mr_blame *b = v ? NULL : mr_blame_find(n, a->id);
    char told[300];
    const char *text = "";
    uint64_t len = v   ? read_error(n, v->format, mr_value_bytes(v), v->len, told, &text)
                   : b ? read_error(n, b->format, b->bytes, b->len, told, &text)
                       : 0;
    mr_log(MR_LOG_WARN, "engine", "unhandled error of task %s (%llx): its references were dropped before a get%s%.*s",
           def ? def->name : "?", (unsigned long long)a->id, len ? ": " : "", (int)len, text);
}

/* One loud line, then what the policy did last and the queues that it left, line by line. */
static void report_ejected(mr_nodes *n)
{
    bool stop = !strcmp(mr_config_text(n->config, "sched", "on_error"), "stop");
    const char *line = mr_control_policy_dump(n->control);
    mr_log(MR_LOG_ERROR, "sched", "policy %s was ejected, %s: %s", mr_control_policy_given(n->control),
           stop ? "what has not begun fails ([sched] on_error = stop)" : "tasks go first in, first out from here on",
           mr_control_policy_error(n->control));
    for (size_t len; line && *line; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");
        mr_log(MR_LOG_INFO, "sched", "%.*s", (int)len, line);
    }
}

static void act_report(mr_nodes *n, const mr_action *a)
{
    switch ((mr_report)a->flags) {
    case MR_REPORT_EJECTED:
        report_ejected(n);
        break;
    case MR_REPORT_UNHANDLED:
        if (!n->closing) /* else it is an end that the session itself made */
            report_unhandled(n, a);
        break;
    case MR_REPORT_REFUSED:
        mr_log(MR_LOG_WARN, "sched", "an answer of policy %s was refused, and counts as none: %s",
               mr_control_policy_given(n->control), mr_control_why(n->control));
        break;
    case MR_REPORT_STALE:
        mr_log(MR_LOG_DEBUG, "engine", "a message of an old attempt of task %llx was refused",
               (unsigned long long)a->id);
        break;
    }
}

static const act_fn act_table[MR_ACT_COUNT] = {
    [MR_ACT_DISPATCH] = act_dispatch, [MR_ACT_REVOKE] = act_revoke,     [MR_ACT_INTERRUPT] = act_interrupt,
    [MR_ACT_DELIVER] = act_deliver,   [MR_ACT_REPLY] = act_reply,       [MR_ACT_SPAWN] = act_spawn,
    [MR_ACT_RETIRE] = act_retire,     [MR_ACT_KILL] = act_kill,         [MR_ACT_RESUME] = act_resume,
    [MR_ACT_STOP] = act_stop,         [MR_ACT_CONTINUE] = act_continue, [MR_ACT_SPILL] = act_spill,
    [MR_ACT_RESTORE] = act_restore,   [MR_ACT_EVICT] = act_evict,       [MR_ACT_FREE] = act_free,
    [MR_ACT_TRANSFER] = act_transfer, [MR_ACT_COLLECT] = act_collect,   [MR_ACT_FAIL] = act_fail,
    [MR_ACT_ALIAS] = act_alias,       [MR_ACT_DROP] = act_drop,         [MR_ACT_WAKE] = act_wake,
    [MR_ACT_REPORT] = act_report,
};

static bool act_makes_value(const mr_action *a)
{
    return a->kind == MR_ACT_FAIL || a->kind == MR_ACT_ALIAS;
}

/* Values first: an error whose own reference is gone may be freed by the same step that repeats it elsewhere. */
void mr_actions_run(mr_nodes *n)
{
    for (size_t i = 0; i < n->actions.n; i++)
        if (act_makes_value(&n->actions.v[i]))
            act_table[n->actions.v[i].kind](n, &n->actions.v[i]);
    for (size_t i = 0; i < n->actions.n; i++) {
        const mr_action *a = &n->actions.v[i];
        MR_BUG_ON(a->kind >= MR_ACT_COUNT || !act_table[a->kind]);
        if (!act_makes_value(a))
            act_table[a->kind](n, a);
    }
    n->actions.n = 0;
}
