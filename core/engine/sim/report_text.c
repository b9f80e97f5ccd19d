/* report_text.c: a report for people.  Prints; decides nothing.  No state. */
#include <stdio.h>

#include "engine/sim/report.h"

static void print_bounds(const mr_sim_report *r)
{
    printf("lower bounds  critical path %.6f s, area %.6f s", (double)(r->bounds.critical_path - r->begin) / 1e9,
           (double)(r->bounds.area - r->begin) / 1e9);
    if (r->bounds.classes > r->begin)
        printf(", split over unlike nodes %.6f s", (double)(r->bounds.classes - r->begin) / 1e9);
    printf("; gap %.1f%%\n", r->gap * 100);
    if (r->guarantee.why_not)
        printf("upper bound   none: %s\n", r->guarantee.why_not);
    else
        printf("upper bound   %.6f s; at most %.4f times the shortest (Graham%s)\n",
               (double)(r->guarantee.end - r->begin) / 1e9, r->guarantee.ratio,
               r->guarantee.longest_first ? ", longest first" : "");
}

uint64_t mr_report_known(const mr_workload *w)
{
    return w->stream ? mr_feed_count(w) : w->n_tasks;
}

void mr_report_print(const mr_workload *w, const mr_sim *s, const mr_sim_conf *conf, const mr_sim_report *r)
{
    printf("policy        %s%s\n", r->policy, r->ejected ? " (ejected: degraded to FIFO)" : "");
    printf("tasks         %llu on %u nodes, knows %s, graph revealed %s, seed %llu\n", (unsigned long long)r->tasks,
           w->platform.n_nodes, r->know, r->unfold ? "as it unfolds" : "whole", (unsigned long long)r->seed);
    if (r->interrupted)
        printf("INTERRUPTED   at %.6f s: %llu of %llu tasks had ended; what follows is of those\n",
               (double)mr_sim_now(s) / 1e9, (unsigned long long)mr_sim_over(s), (unsigned long long)mr_report_known(w));
    printf("makespan      %.6f s\n", (double)r->makespan / 1e9);
    print_bounds(r);
    printf("flow time     mean %.6f s, p50 %.6f s, p99 %.6f s\n", r->flow_mean, r->flow_p50, r->flow_p99);
    printf("utilisation   %.1f%%\n", r->utilisation * 100);
    printf("moved         %llu bytes in %llu copies\n", (unsigned long long)r->stats.moved_bytes,
           (unsigned long long)r->stats.transfers);
    printf("held          %.6f slot-seconds\n", (double)r->stats.held / 1e9);
    printf("costs         dispatch %lld us, switch %lld us, decision %lld ns per 1,000 instructions, %lld ns per "
           "call\n",
           (long long)conf->dispatch / 1000, (long long)conf->change / 1000, (long long)conf->decision,
           (long long)conf->call);
    printf("policy        %llu instructions in %llu calls for %llu dispatches, %.6f s\n",
           (unsigned long long)r->stats.work, (unsigned long long)r->stats.calls,
           (unsigned long long)r->stats.dispatches, (double)r->stats.decided / 1e9);
    if (r->stats.deaths)
        printf("deaths        %llu workers, %.6f s of work lost\n", (unsigned long long)r->stats.deaths,
               (double)r->stats.lost / 1e9);
    if (r->stats.node_deaths)
        printf("nodes         died %llu times; %llu tasks ran again for results that went with them\n",
               (unsigned long long)r->stats.node_deaths, (unsigned long long)r->stats.remade);
    printf("digest        %016llx\n", (unsigned long long)r->digest);
}
