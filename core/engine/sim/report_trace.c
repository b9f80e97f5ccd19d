/* report_trace.c: a line of JSON for each task.  Prints; decides nothing.  No state. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/report.h"

/* A JSON text with its quotes. */
static void put_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(f, "\\%c", *c);
        else if (*c < ' ')
            fprintf(f, "\\u%04x", *c);
        else
            fputc(*c, f);
    }
    fputc('"', f);
}

static int by_task(const void *a, const void *b)
{
    const mr_sim_stretch *x = a, *y = b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* Of `left` ones in order those of task t, after which others follow: "stretches": [[from, to, slot], ...] of its last
 * attempt, "lost": [[from, to, slot, node], ...] of those before.  Returns how many were t's. */
static size_t put_stretches(FILE *f, const mr_platform *p, const mr_sim_stretch *v, size_t left, uint32_t t,
                            uint32_t attempt)
{
    size_t n = 0;
    while (n < left && v[n].task == t)
        n++;
    for (int lost = 0; lost < 2; lost++) {
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            if ((v[i].attempt != attempt) != lost)
                continue;
            fprintf(f, "%s[%lld,%lld,%u",
                    any    ? ","
                    : lost ? ",\"lost\":["
                           : ",\"stretches\":[",
                    (long long)v[i].from, (long long)v[i].to, v[i].slot);
            if (lost) {
                fputc(',', f);
                put_text(f, p->nodes[v[i].node].name);
            }
            fputc(']', f);
            any = true;
        }
        if (any)
            fputc(']', f);
    }
    return n;
}

size_t mr_report_trace_one(FILE *f, const mr_workload *w, const mr_platform *p, const mr_sim *s, uint32_t t,
                           const mr_sim_stretch *v, size_t left)
{
    const mr_sim_task *me = &mr_sim_tasks(s)[t];
    fputs("{\"task\":", f);
    put_text(f, mr_workload_name(w, t));
    fputs(",\"fn\":", f);
    put_text(f, mr_intern_text(w->names, w->tasks[t].fn));
    fputs(",\"node\":", f);
    put_text(f, me->started == MR_UNKNOWN ? "" : p->nodes[me->node].name);
    fprintf(f,
            ",\"slot\":%u,\"submitted\":%lld,\"ready\":%lld,\"started\":%lld,\"ended\":%lld,\"outcome\":\"%s\","
            "\"bytes\":%llu",
            me->slot, (long long)me->submitted, (long long)me->ready, (long long)me->started, (long long)me->ended,
            me->outcome == MR_OK ? "ok" : mr_status_name(me->outcome), (unsigned long long)me->bytes);
    size_t n = put_stretches(f, p, v, left, t, me->attempt);
    fputs("}\n", f);
    return n;
}

mr_status mr_report_trace(const mr_workload *w, const mr_platform *p, const mr_sim *s, const char *path, mr_err *err)
{
    size_t n = 0, at = 0;
    const mr_sim_stretch *all = mr_sim_stretches(s, &n);
    mr_sim_stretch *v = malloc((n + 1) * sizeof *v);
    if (!v)
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", path);
    FILE *f = fopen(path, "w");
    if (!f) {
        free(v);
        return mr_err_set(err, MR_E_IO, "%s: %s", path, strerror(errno));
    }
    if (n)
        memcpy(v, all, n * sizeof *v);
    qsort(v, n, sizeof *v, by_task);
    for (uint32_t t = 0; t < w->n_tasks; t++)
        at += mr_report_trace_one(f, w, p, s, t, v + at, n - at);
    free(v);
    return mr_report_trace_close(f, path, err);
}

mr_status mr_report_trace_close(FILE *f, const char *path, mr_err *err)
{
    int failed = ferror(f), why = errno;
    if (fclose(f) != 0)
        failed = 1, why = errno;
    return failed ? mr_err_set(err, MR_E_IO, "%s: %s", path, strerror(why)) : MR_OK;
}
