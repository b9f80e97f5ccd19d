/* report.c: what a finished simulation says of itself, as JSON.  Prints; decides nothing.  No state. */
#include "engine/sim/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

mr_status mr_report_make(const mr_workload *w, const mr_platform *p, const mr_sim *s, const mr_sim_conf *conf,
                         const char *know, mr_sim_report *out, mr_err *err)
{
    mr_report_totals *t = NULL;
    mr_status status = mr_report_totals_new(&t, w, p, s, NULL, err);
    for (uint32_t i = 0; !status && i < w->n_tasks; i++)
        status = mr_report_totals_add(t, i, err);
    if (!status)
        status = mr_report_finish(t, conf, know, out, err);
    mr_report_totals_free(t);
    return status;
}

char *mr_report_json(const mr_workload *w, const mr_platform *p, const mr_sim_report *r, const mr_sim_conf *conf)
{
    char digest[24];
    cJSON *o = cJSON_CreateObject();
    if (!o)
        return NULL;
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)r->digest);
    cJSON_AddStringToObject(o, "workload", w->path);
    cJSON_AddStringToObject(o, "engine", "sim");
    cJSON_AddStringToObject(o, "policy", r->policy);
    if (r->host)
        cJSON_AddStringToObject(o, "policy_host", r->host);
    cJSON_AddStringToObject(o, "know", r->know);
    cJSON_AddStringToObject(o, "reveal", r->unfold ? "unfold" : "whole");
    cJSON_AddNumberToObject(o, "seed", (double)r->seed);
    cJSON_AddNumberToObject(o, "nodes", p->n_nodes);
    cJSON_AddNumberToObject(o, "tasks", (double)r->tasks);
    cJSON_AddNumberToObject(o, "failed", (double)r->failed);
    if (r->interrupted)
        cJSON_AddBoolToObject(o, "interrupted", true);
    cJSON_AddNumberToObject(o, "makespan_s", seconds(r->makespan));
    cJSON_AddNumberToObject(o, "flow_mean_s", r->flow_mean);
    cJSON_AddNumberToObject(o, "flow_p50_s", r->flow_p50);
    cJSON_AddNumberToObject(o, "flow_p99_s", r->flow_p99);
    cJSON_AddNumberToObject(o, "wait_mean_s", r->wait_mean);
    cJSON_AddNumberToObject(o, "wait_max_s", r->wait_max);
    cJSON_AddNumberToObject(o, "slowdown_mean", r->slowdown_mean);
    cJSON_AddNumberToObject(o, "utilisation", r->utilisation);
    cJSON_AddNumberToObject(o, "bytes_moved", (double)r->stats.moved_bytes);
    cJSON_AddNumberToObject(o, "transfers", (double)r->stats.transfers);
    cJSON_AddNumberToObject(o, "stops", (double)r->stats.stops);
    cJSON_AddNumberToObject(o, "spills", (double)r->stats.spills);
    cJSON_AddNumberToObject(o, "bytes_spilled", (double)r->stats.spilled_bytes);
    cJSON_AddNumberToObject(o, "store_peak", (double)r->stats.store_peak);
    cJSON_AddNumberToObject(o, "deaths", (double)r->stats.deaths);
    cJSON_AddNumberToObject(o, "node_deaths", (double)r->stats.node_deaths);
    cJSON_AddNumberToObject(o, "remade", (double)r->stats.remade);
    cJSON_AddNumberToObject(o, "lost_s", seconds(r->stats.lost));
    cJSON_AddNumberToObject(o, "held_slot_s", seconds(r->stats.held));
    cJSON_AddNumberToObject(o, "refused_answers", (double)r->stats.refused);
    if (r->refusal)
        cJSON_AddStringToObject(o, "refused_first", r->refusal);
    cJSON_AddBoolToObject(o, "degraded", r->ejected != NULL);
    if (r->ejected)
        cJSON_AddStringToObject(o, "ejected", r->ejected);
    else
        cJSON_AddNullToObject(o, "ejected");
    if (r->dump)
        cJSON_AddStringToObject(o, "dump", r->dump);
    cJSON *b = cJSON_AddObjectToObject(o, "bounds");
    cJSON_AddNumberToObject(b, "critical_path_s", seconds(r->bounds.critical_path - r->begin));
    cJSON_AddNumberToObject(b, "area_s", seconds(r->bounds.area - r->begin));
    if (r->bounds.classes > r->begin)
        cJSON_AddNumberToObject(b, "classes_s", seconds(r->bounds.classes - r->begin));
    cJSON_AddNumberToObject(b, "gap", r->gap);
    if (r->guarantee.why_not) {
        cJSON_AddStringToObject(b, "no_upper_bound", r->guarantee.why_not);
    } else {
        cJSON_AddNumberToObject(b, "upper_s", seconds(r->guarantee.end - r->begin));
        cJSON_AddNumberToObject(b, "upper_ratio", r->guarantee.ratio);
        cJSON_AddStringToObject(b, "upper_rule", r->guarantee.longest_first ? "longest first" : "list");
    }
    cJSON *costs = cJSON_AddObjectToObject(o, "costs");
    cJSON_AddNumberToObject(costs, "dispatch_us", (double)conf->dispatch / 1e3);
    cJSON_AddNumberToObject(costs, "switch_us", (double)conf->change / 1e3);
    cJSON_AddNumberToObject(costs, "decision_ns", (double)conf->decision);
    cJSON_AddNumberToObject(costs, "call_ns", (double)conf->call);
    cJSON_AddNumberToObject(o, "policy_work", (double)r->stats.work);
    cJSON_AddNumberToObject(o, "policy_calls", (double)r->stats.calls);
    cJSON_AddNumberToObject(o, "dispatches", (double)r->stats.dispatches);
    cJSON_AddNumberToObject(o, "decided_s", seconds(r->stats.decided));
    cJSON_AddNumberToObject(o, "instants", (double)r->stats.instants);
    cJSON_AddNumberToObject(o, "control_steps", (double)r->stats.steps);
    cJSON_AddStringToObject(o, "digest", digest);
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    return text;
}
