/* workload_feed.c: a workload that is read as it is needed.  A task takes a number when its line is read and gives it
 * back when it is forgotten, so what is held is what is alive.  Knows lines and numbers, not what becomes of tasks.
 * No lock: one thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/workload.h"

typedef struct mr_feed {
    FILE *file;
    char *line;
    size_t room;
    int number; /* of the line read last */
    uint64_t count, seed;
    int64_t arrival; /* of the task read last */
    char **names;    /* by task; owned */
    uint32_t cap_names;
    uint32_t *free; /* numbers of forgotten tasks */
    uint32_t n_free, cap_free;
    uint32_t dists, samples; /* those above belong to tables, and stay */
    bool got;                /* the line was a task: w->last */
    bool ahead;              /* w->last was read, but not given yet */
} mr_feed;

uint64_t mr_feed_count(const mr_workload *w)
{
    return w->stream->count;
}

const char *mr_feed_name(const mr_workload *w, uint32_t task)
{
    return w->stream->names[task];
}

mr_status mr_feed_task(mr_workload *w, const char *name, const char *fn, int line, mr_err *err)
{
    mr_feed *s = w->stream;
    uint32_t func, task = s->n_free ? s->free[s->n_free - 1] : w->n_tasks, room = MR_WL_NONE;
    char *own = strdup(name);
    if (!own || mr_intern_put(w->names, fn, strlen(fn), &func) ||
        !mr_workload_grow(&w->tasks, task, &w->cap_tasks, sizeof *w->tasks) ||
        !mr_workload_grow(&s->names, task, &s->cap_names, sizeof *s->names)) {
        free(own);
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    }
    if (s->n_free) {
        s->n_free--;
        room = w->tasks[task].class_room;
    } else {
        w->n_tasks++;
    }
    s->names[task] = own;
    w->tasks[task] = mr_wl_task_of(0, func, line);
    w->tasks[task].class_room = room;
    w->tasks[task].place = (uint32_t)s->count;
    w->last = task;
    s->got = true;
    return MR_OK;
}

void mr_feed_forget(mr_workload *w, uint32_t task)
{
    mr_feed *s = w->stream;
    mr_wl_task *t = &w->tasks[task];
    for (uint32_t o = t->first_object, next; o != MR_WL_NONE; o = next) {
        next = w->objects[o].next;
        w->objects[o].next = w->free_object;
        w->free_object = o + 1;
    }
    free(s->names[task]);
    s->names[task] = NULL;
    s->free[s->n_free++] = task; /* room was made when its number was given */
}

/* Lines up to the next task; s->got: there was one. */
static mr_status read_on(mr_workload *w, mr_err *err)
{
    mr_feed *s = w->stream;
    mr_status status = MR_OK;
    s->got = false;
    while (!status && !s->got) {
        ssize_t n = getline(&s->line, &s->room, s->file);
        if (n < 0)
            return ferror(s->file) ? mr_err_set(err, MR_E_IO, "%s: %s", w->path, strerror(errno)) : MR_OK;
        n -= n > 0 && s->line[n - 1] == '\n';
        s->line[n] = '\0';
        w->n_dists = s->dists;
        w->n_samples = s->samples;
        w->text = s->line;
        w->text_size = (size_t)n;
        status = mr_workload_read_line(w, s->line, (size_t)n, ++s->number, err);
        w->text = NULL;
        if (!s->got) {
            s->dists = w->n_dists;
            s->samples = w->n_samples;
        }
    }
    if (status)
        return status;
    mr_wl_task *t = &w->tasks[w->last];
    mr_json_at at = {w->path, s->number, err, NULL};
    if (t->arrival < s->arrival)
        return mr_json_fail(&at, "arrival_s",
                            "%g is before the line above it: the tasks of a stream are in the order of their arrival",
                            (double)t->arrival / 1e9);
    if (!mr_workload_grow(&s->free, w->n_tasks, &s->cap_free, sizeof *s->free) ||
        (t->n_objects == 0 && mr_workload_output(w, NULL, 0, s->number, err)))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    mr_workload_draw_one(w, w->last, s->seed);
    s->arrival = t->arrival;
    return MR_OK;
}

mr_status mr_feed_next(mr_workload *w, uint32_t *task, mr_err *err)
{
    mr_feed *s = w->stream;
    mr_status status = s->ahead ? MR_OK : read_on(w, err);
    s->ahead = false;
    if (status)
        return status;
    *task = s->got ? w->last : MR_WL_NONE;
    s->count += s->got;
    return MR_OK;
}

mr_status mr_feed_open(mr_workload **out, const char *path, uint64_t seed, mr_err *err)
{
    mr_workload *w = NULL;
    if (mr_workload_new(&w, strcmp(path, "-") ? path : "standard input"))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", path);
    mr_feed *s = w->stream = calloc(1, sizeof *s);
    mr_status status = s ? MR_OK : mr_err_set(err, MR_E_NOMEM, "%s: out of memory", path);
    if (!status) {
        s->seed = seed;
        s->file = strcmp(path, "-") ? fopen(path, "r") : stdin;
        if (!s->file)
            status = mr_err_set(err, MR_E_IO, "%s: %s", path, strerror(errno));
    }
    if (!status)
        status = read_on(w, err);
    mr_json_at at = {w->path, 0, err, NULL};
    if (!status && !s->got)
        status = mr_json_fail(&at, NULL, "there is no task in this workload");
    if (status) {
        mr_workload_free(w);
        return status;
    }
    s->ahead = true;
    *out = w;
    return MR_OK;
}

void mr_feed_close(mr_workload *w)
{
    mr_feed *s = w->stream;
    if (!s)
        return;
    for (uint32_t t = 0; t < w->n_tasks && t < s->cap_names; t++)
        free(s->names[t]);
    if (s->file && s->file != stdin)
        fclose(s->file);
    free(s->names);
    free(s->free);
    free(s->line);
    free(s);
    w->stream = NULL;
}
