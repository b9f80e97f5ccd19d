/* why.c: the table "why TASK" of mr_state: what is known of one task, the decisions about it, and who started while it
 * waited.  Facts; miniray/_why.py puts them into words.  Changes nothing.  Lock: the node list's.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/process/census.h"

enum { SHOWN = 20 };

static bool why_find(mr_nodes *n, mr_id id, mr_task_info *out)
{
    bool found = false;
    mr_task_info i;
    const mr_object_info o = mr_control_object(n->control, id);
    uint64_t at = 0;
    while (mr_control_task_next(n->control, &at, &i))
        if (i.task == id || (o.task && i.task == o.task)) {
            *out = i;
            found = true;
        }
    return found;
}

static void why_name(mr_nodes *n, mr_text *t, const char *key, mr_id id, uint32_t func)
{
    const mr_define *def = mr_control_func(n->control, func);
    mr_text_put(t, "\"%s\":{", key);
    mr_text_id(t, "task", id);
    mr_text_put(t, ",\"name\":");
    mr_text_string(t, def ? def->name : "");
    mr_text_put(t, "}");
}

static void why_slot(mr_nodes *n, mr_text *t, const char *key, uint32_t id)
{
    uint32_t node, local;
    mr_node_info info;
    if (!mr_control_slot(n->control, id, &node, &local) || !mr_control_node(n->control, node, &info))
        return;
    mr_text_put(t, ",\"%s\":{\"slot\":%u,\"node\":", key, local);
    mr_text_string(t, info.name);
    mr_text_put(t, "}");
}

static void why_rank(mr_text *t, double rank)
{
    mr_text_put(t, rank > -1e300 && rank < 1e300 ? "%.17g" : "null", rank);
}

/* The function of a task that decisions tell of; 0: none does. */
static uint32_t why_func(mr_nodes *n, mr_id task)
{
    const mr_decision *d;
    uint64_t at = 0;
    while ((d = mr_control_decision_next(n->control, &at)))
        if (d->task == task)
            return d->func;
    return 0;
}

static void why_answer(mr_nodes *n, mr_text *t, const mr_decision *d)
{
    mr_node_info info;
    uint32_t number = (uint32_t)d->answer - 1;
    if (mr_ref_is_slot(d->answer)) {
        why_slot(n, t, "answer", number);
    } else if (mr_ref_is_node(d->answer) && mr_control_node(n->control, number, &info)) {
        mr_text_put(t, ",\"answer\":{\"node\":");
        mr_text_string(t, info.name);
        mr_text_put(t, "}");
    } else if (mr_ref_is_task(d->answer)) {
        mr_text_put(t, ",");
        why_name(n, t, "answer", d->answer, why_func(n, d->answer));
    } else {
        mr_text_put(t, ",\"answer\":%s", d->answer == MR_STOP ? "false" : "null");
    }
}

static void why_decision(mr_nodes *n, mr_text *t, const mr_decision *d)
{
    static const char *const names[] = {"ready", "rank",  "place", "plan", "pick", "preempt",
                                        "slice", "start", "stop",  "end",  "drop"};
    static const char *const passed[] = {"", "room", "limit", "node", "choice", "quota", "group", "travel", "process"};
    static const char *const bounds[] = {"", "node", "spread", "labels", "group", "args"};
    mr_text_put(t, "{\"at\":%lld,\"what\":\"%s\",\"line\":%u,\"ready\":%u,\"entry\":%llu,\"rank\":", (long long)d->at,
                names[d->what], d->line, d->n_ready, (unsigned long long)d->entry);
    why_rank(t, d->rank);
    if (d->what == MR_DECIDED_STOP || d->what == MR_DECIDED_END)
        mr_text_put(t, ",\"ran\":%lld", (long long)d->had);
    mr_text_put(t, ",");
    why_name(n, t, "of", d->task, d->func);
    if (d->slot)
        why_slot(n, t, "slot", d->slot - 1);
    if (d->what != MR_DECIDED_RANK && d->what != MR_DECIDED_SLICE && d->what != MR_DECIDED_START)
        why_answer(n, t, d);
    if (d->bound)
        mr_text_put(t, ",\"bound\":\"%s\"", bounds[d->bound]);
    mr_text_put(t, ",\"candidates\":[");
    for (uint32_t i = 0; i < d->n_candidates; i++) {
        mr_text_put(t, "%s{", i ? "," : "");
        why_name(n, t, "of", d->candidates[i].task, d->candidates[i].func);
        mr_text_put(t, ",\"rank\":");
        why_rank(t, d->candidates[i].rank);
        mr_text_put(t, "}");
    }
    mr_text_put(t, "]");
    if (d->why) {
        mr_text_put(t, ",\"passed\":\"%s\"", passed[d->why]);
        if (d->wanted) {
            const char *what = mr_control_wanted(n->control, d);
            mr_text_put(t, ",\"wanted\":{");
            mr_state_amount(t, what, d->wanted);
            mr_text_put(t, "},\"had\":{");
            mr_state_amount(t, what, d->had);
            mr_text_put(t, "}");
        }
    }
    mr_text_put(t, "}");
}

/* The last attempt: where it became ready, and where it started (NULL: not yet). */
static void why_ends(mr_nodes *n, mr_id task, const mr_decision **ready, const mr_decision **start)
{
    const mr_decision *d;
    uint64_t at = 0;
    *ready = *start = NULL;
    while ((d = mr_control_decision_next(n->control, &at))) {
        if (d->task != task)
            continue;
        if (d->what == MR_DECIDED_READY) {
            *ready = d;
            *start = NULL;
        } else if (d->what == MR_DECIDED_START) {
            *start = d;
        }
    }
}

/* All about the task, and whose slot it should give up; how many started while it waited; those of them that became
 * ready after it; what ended on its slot just before; the last time that the policy chose nobody while it waited. */
static void why_decisions(mr_nodes *n, mr_text *t, mr_id task)
{
    const mr_decision *d, *ready, *start, *freed = NULL, *nobody = NULL;
    uint64_t at = 0;
    uint32_t before = 0, after = 0;
    bool first = true;
    why_ends(n, task, &ready, &start);
    mr_text_put(t, ",\"decisions\":[");
    while ((d = mr_control_decision_next(n->control, &at)))
        if (d->task == task || (d->what == MR_DECIDED_PREEMPT && d->answer == task)) {
            mr_text_put(t, "%s", first ? "" : ",");
            first = false;
            why_decision(n, t, d);
        }
    mr_text_put(t, "],\"overtakers\":[");
    for (at = 0; ready && (d = mr_control_decision_next(n->control, &at)) && d != start;) {
        if ((d->what == MR_DECIDED_END || d->what == MR_DECIDED_STOP) && start && d->slot == start->slot)
            freed = d;
        if (d->at < ready->at)
            continue;
        if (d->what == MR_DECIDED_PICK && !d->task)
            nobody = d;
        if (d->what != MR_DECIDED_START || d->task == task)
            continue;
        if (d->entry < ready->entry) {
            before++;
            continue;
        }
        if (after < SHOWN) {
            mr_text_put(t, "%s", after ? "," : "");
            why_decision(n, t, d);
        }
        after++;
    }
    mr_text_put(t, "],\"overtook\":%u,\"before\":%u", after, before);
    at = 0;
    d = mr_control_decision_next(n->control, &at);
    mr_text_put(t, ",\"since\":%lld", d ? (long long)d->at : -1);
    if (freed) {
        mr_text_put(t, ",\"freed\":");
        why_decision(n, t, freed);
    }
    if (nobody) {
        mr_text_put(t, ",\"nobody\":");
        why_decision(n, t, nobody);
    }
}

bool mr_census_why(mr_nodes *n, mr_text *t, const char *which)
{
    mr_task_info i;
    mr_id id = strtoull(which, NULL, 16);
    if (!id || !why_find(n, id, &i))
        return false;
    const mr_define *def = mr_control_func(n->control, i.func);
    mr_text_put(t, "{\"task\":{");
    mr_census_task(n, t, &i);
    mr_text_put(t, ",\"user\":");
    mr_text_string(t, def ? def->user : "");
    mr_text_put(t, "},\"explain\":%s,\"policy\":", mr_control_explains(n->control) ? "true" : "false");
    mr_text_string(t, mr_control_policy_name(n->control));
    mr_text_put(t, ",\"policies\":"); /* whose lines are meant */
    mr_census_policies(n, t);
    mr_text_put(t, ",\"now\":%lld", (long long)mr_nodes_clock(n));
    why_decisions(n, t, i.task);
    mr_text_put(t, "}");
    return true;
}
