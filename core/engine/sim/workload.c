/* workload.c: builds a workload by name, then links it: names to numbers, outputs to readers, and an order in which
 * parents come first.  Knows no file format and no engine.  No lock: built by one thread, then only read. */
#include "engine/sim/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sim/json.h"

mr_status mr_workload_new(mr_workload **out, const char *path)
{
    mr_workload *w = calloc(1, sizeof *w);
    if (!w)
        return MR_E_NOMEM;
    mr_platform_init(&w->platform);
    w->driver = MR_WL_NONE;
    w->path = strdup(path);
    if (!w->path || mr_intern_new(&w->names) || mr_intern_new(&w->defs)) {
        mr_workload_free(w);
        return MR_E_NOMEM;
    }
    *out = w;
    return MR_OK;
}

void mr_workload_free(mr_workload *w)
{
    if (!w)
        return;
    mr_platform_fini(&w->platform);
    mr_feed_close(w);
    mr_intern_free(w->names);
    mr_intern_free(w->defs);
    free(w->tasks);
    free(w->objects);
    free(w->raws);
    free(w->inputs);
    free(w->children);
    free(w->order);
    free(w->by_class);
    free(w->dists);
    free(w->samples);
    free(w->tables);
    free(w->points);
    free(w->waited);
    free(w->by_name);
    free(w->by_file);
    free(w->path);
    free(w);
}

bool mr_workload_grow(void *v, uint32_t n, uint32_t *cap, size_t size)
{
    void **array = v;
    if (n < *cap)
        return true;
    uint32_t more = *cap ? *cap * 2 : 64;
    if (more <= n)
        more = n + 1;
    void *bigger = realloc(*array, (size_t)more * size);
    if (!bigger)
        return false;
    *array = bigger;
    memset((char *)bigger + (size_t)*cap * size, 0, (size_t)(more - *cap) * size);
    *cap = more;
    return true;
}

/* Where `name` stands in a line (0: in the whole file), for a message. */
static mr_json_doc place_of(const mr_workload *w, const char *name)
{
    return (mr_json_doc){.text = w->text, .size = w->text_size, .name = name};
}

mr_wl_task mr_wl_task_of(uint32_t name, uint32_t fn, int line)
{
    return (mr_wl_task){.name = name,
                        .fn = fn,
                        .line = line,
                        .first_class = MR_WL_NONE,
                        .class_room = MR_WL_NONE,
                        .dist = MR_WL_NONE,
                        .estimate = MR_UNKNOWN,
                        .first_object = MR_WL_NONE,
                        .last_object = MR_WL_NONE,
                        .starter = MR_WL_NONE,
                        .actor = MR_WL_NONE,
                        .marker = MR_WL_NONE};
}

static mr_status put_name(mr_workload *w, const char *text, uint32_t *out)
{
    return mr_intern_put(w->names, text, strlen(text), out);
}

mr_status mr_workload_task(mr_workload *w, const char *name, const char *fn, int line, mr_err *err)
{
    uint32_t number = 0, func;
    if (w->stream)
        return mr_feed_task(w, name, fn, line, err);
    if (put_name(w, name, &number) || put_name(w, fn, &func) ||
        !mr_workload_grow(&w->tasks, w->n_tasks, &w->cap_tasks, sizeof *w->tasks) ||
        !mr_workload_grow(&w->by_name, number, &w->cap_by_name, sizeof *w->by_name))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    mr_json_doc doc = place_of(w, name);
    mr_json_at at = {w->path, line, err, &doc};
    if (w->by_name[number])
        return mr_json_fail(&at, "id", "the task \"%s\" is already there (line %d)", name,
                            w->tasks[w->by_name[number] - 1].line);
    if (w->driver != MR_WL_NONE)
        return mr_json_fail(&at, "id", "\"%s\" stands behind the driver, which comes last", name);
    w->last = w->n_tasks;
    w->tasks[w->last] = mr_wl_task_of(number, func, line);
    w->tasks[w->last].place = w->last;
    w->by_name[number] = ++w->n_tasks;
    return MR_OK;
}

/* A new output of `task` (or one from outside: MR_WL_NONE), last in its list. */
static mr_status add_object(mr_workload *w, uint32_t task, uint32_t file, uint64_t bytes, uint32_t *out)
{
    uint32_t o = w->free_object;
    if (o) {
        w->free_object = w->objects[--o].next;
    } else {
        if (!mr_workload_grow(&w->objects, w->n_objects, &w->cap_objects, sizeof *w->objects))
            return MR_E_NOMEM;
        o = w->n_objects++;
    }
    w->objects[o] = (mr_wl_object){.task = task, .file = file, .next = MR_WL_NONE, .bytes = bytes};
    if (task != MR_WL_NONE) {
        mr_wl_task *t = &w->tasks[task];
        w->objects[o].index = t->n_objects++;
        if (t->first_object == MR_WL_NONE)
            t->first_object = o;
        else
            w->objects[t->last_object].next = o;
        t->last_object = o;
    }
    *out = o;
    return MR_OK;
}

static mr_status add_file(mr_workload *w, uint32_t task, const char *file, uint64_t bytes, int line, mr_err *err,
                          uint32_t *out)
{
    uint32_t name, object;
    mr_json_doc doc = place_of(w, file);
    mr_json_at at = {w->path, line, err, &doc};
    if (put_name(w, file, &name) || !mr_workload_grow(&w->by_file, name, &w->cap_by_file, sizeof *w->by_file))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    if (w->by_file[name])
        return mr_json_fail(&at, "file", "\"%s\" already comes from %s", file,
                            w->objects[w->by_file[name] - 1].task == MR_WL_NONE
                                ? "outside"
                                : mr_workload_name(w, w->objects[w->by_file[name] - 1].task));
    if (add_object(w, task, name, bytes, &object))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    w->by_file[name] = object + 1;
    if (out)
        *out = object;
    return MR_OK;
}

mr_status mr_workload_output(mr_workload *w, const char *file, uint64_t bytes, int line, mr_err *err)
{
    uint32_t object;
    if (file)
        return add_file(w, w->last, file, bytes, line, err, NULL);
    return add_object(w, w->last, 0, bytes, &object) ? mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path)
                                                     : MR_OK;
}

mr_status mr_workload_file(mr_workload *w, const char *file, uint64_t bytes, uint32_t node, int line, mr_err *err)
{
    uint32_t object = 0;
    mr_status status = add_file(w, MR_WL_NONE, file, bytes, line, err, &object);
    if (!status)
        w->objects[object].node = node;
    return status;
}

mr_status mr_workload_input(mr_workload *w, mr_wl_kind kind, const char *name, bool sized, uint64_t bytes, int line,
                            mr_err *err)
{
    uint32_t number;
    mr_json_at at = {w->path, line, err, NULL};
    static const char *const fields[] = {
        [MR_WL_DEP] = "deps", [MR_WL_STARTER] = "parent", [MR_WL_ACTOR] = "on", [MR_WL_WAIT] = "waits"};
    const char *field = fields[kind] ? fields[kind] : "inputs";
    if (w->stream)
        return mr_json_fail(
            &at, field, "the tasks of a stream wait for nothing and read nothing: \"%s\" needs the whole file", name);
    if (put_name(w, name, &number) || !mr_workload_grow(&w->raws, w->n_raws, &w->cap_raws, sizeof *w->raws))
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    w->raws[w->n_raws++] = (mr_wl_raw){w->last, number, line, (uint8_t)kind, sized, bytes};
    return MR_OK;
}

mr_status mr_workload_classes(mr_workload *w, int64_t **out)
{
    uint32_t n = w->platform.n_classes;
    mr_wl_task *t = &w->tasks[w->last];
    if (t->class_room != MR_WL_NONE) { /* of a task that is forgotten */
        t->first_class = t->class_room;
        *out = w->by_class + t->first_class;
        return MR_OK;
    }
    if (!mr_workload_grow(&w->by_class, w->n_by_class + n, &w->cap_by_class, sizeof *w->by_class))
        return MR_E_NOMEM;
    t->first_class = t->class_room = w->n_by_class;
    *out = w->by_class + w->n_by_class;
    w->n_by_class += n;
    return MR_OK;
}

mr_status mr_workload_shape(mr_workload *w, mr_wl_shape *s)
{
    union {
        mr_define def;
        char bytes[sizeof(mr_define) + 2 * sizeof s->needs + sizeof s->labels + sizeof s->terms];
    } u;
    size_t needs = s->n_needs * sizeof *s->needs, labels = s->n_labels * sizeof *s->labels;
    size_t living = s->n_living * sizeof *s->living;
    size_t terms = s->n_terms * sizeof *s->terms, all = needs + living + labels + terms;
    s->def.n_needs = s->n_needs;
    s->def.n_living = s->n_living;
    s->def.n_labels = s->n_labels;
    s->def.n_terms = s->n_terms;
    s->def.h = (mr_record){.kind = MR_EV_DEFINE, .version = MR_RECORD_VERSION, .n_bytes = (uint32_t)all};
    s->def.h.size = (uint32_t)mr_record_total(sizeof s->def, 0, s->def.h.n_bytes);
    memset(&u, 0, s->def.h.size);
    u.def = s->def;
    memcpy(u.bytes + sizeof u.def, s->needs, needs);
    if (living)
        memcpy(u.bytes + sizeof u.def + needs, s->living, living);
    memcpy(u.bytes + sizeof u.def + needs + living, s->labels, labels);
    memcpy(u.bytes + sizeof u.def + needs + living + labels, s->terms, terms);
    return mr_intern_put(w->defs, u.bytes, s->def.h.size, &w->tasks[w->last].def);
}

int64_t mr_workload_duration(const mr_workload *w, uint32_t task, const mr_platform_node *node)
{
    const mr_wl_task *t = &w->tasks[task];
    if (t->first_class != MR_WL_NONE)
        return w->by_class[t->first_class + node->cls];
    return node->speed == 1 ? t->duration : (int64_t)((double)t->duration / node->speed + 0.5);
}

/* ---- link ---- */

static uint32_t task_named(const mr_workload *w, uint32_t name)
{
    return name < w->cap_by_name && w->by_name[name] ? w->by_name[name] - 1 : MR_WL_NONE;
}

static uint32_t file_named(const mr_workload *w, uint32_t name)
{
    return name < w->cap_by_file && w->by_file[name] ? w->by_file[name] - 1 : MR_WL_NONE;
}

/* The objects that one input stands for: *first, and `all` when the task's declared outputs are meant. */
static mr_status resolve(mr_workload *w, mr_wl_raw *r, mr_err *err, uint32_t *first, bool *all)
{
    const char *name = mr_intern_text(w->names, r->name);
    const char *field = r->kind == MR_WL_DEP ? "deps" : r->kind == MR_WL_WAIT ? "waits" : "inputs";
    mr_json_doc doc = place_of(w, name);
    mr_json_at at = {w->path, r->line, err, &doc};
    uint32_t task = r->kind == MR_WL_FILE ? MR_WL_NONE : task_named(w, r->name);
    if (task == w->driver) /* it makes nothing */
        task = MR_WL_NONE;
    bool any = r->kind == MR_WL_ANY || r->kind == MR_WL_WAIT;
    uint32_t file = r->kind == MR_WL_FILE || any ? file_named(w, r->name) : MR_WL_NONE;
    mr_status status = MR_OK;
    *all = false;
    if (task == r->task)
        return mr_json_fail(&at, field, "the task \"%s\" waits for itself", name);
    if (task != MR_WL_NONE && r->kind == MR_WL_DEP) {
        mr_wl_task *t = &w->tasks[task];
        if (t->marker == MR_WL_NONE && w->objects[t->first_object].bytes == 0)
            t->marker = t->first_object;
        if (t->marker == MR_WL_NONE)
            status = add_object(w, task, 0, 0, &t->marker);
        *first = w->tasks[task].marker;
    } else if (task != MR_WL_NONE && r->sized) {
        status = add_object(w, task, 0, r->bytes, first);
    } else if (task != MR_WL_NONE) {
        *first = w->tasks[task].first_object;
        *all = true;
    } else if (file != MR_WL_NONE) {
        *first = file;
    } else if (r->kind == MR_WL_FILE && r->sized) {
        status = add_file(w, MR_WL_NONE, name, r->bytes, r->line, err, first);
    } else if (r->kind == MR_WL_FILE || any) {
        return mr_json_fail(&at, field,
                            "\"%s\" is %s of this workload; a file from outside is {\"file\": \"%s\", \"bytes\": N}",
                            name, any ? "neither a task nor a file" : "not a file", name);
    } else {
        return mr_json_fail(&at, field, "there is no task \"%s\"", name);
    }
    return status == MR_E_NOMEM ? mr_err_set(err, status, "%s: out of memory", w->path) : status;
}

/* Which outputs the reader declared: later ones (markers, edges) are link's own. */
static mr_status resolve_all(mr_workload *w, mr_err *err)
{
    uint32_t *declared = malloc((w->n_tasks + 1) * sizeof *declared), cap = 0, n = 0;
    mr_status status = declared ? MR_OK : MR_E_NOMEM;
    for (uint32_t t = 0; !status && t < w->n_tasks; t++) {
        uint32_t own;
        if (w->tasks[t].n_objects == 0)
            status = add_object(w, t, 0, 0, &own);
        declared[t] = w->tasks[t].n_objects;
    }
    for (uint32_t i = 0; !status && i < w->n_raws; i++) {
        mr_wl_raw *r = &w->raws[i];
        mr_wl_task *t = &w->tasks[r->task];
        uint32_t object = MR_WL_NONE;
        bool all;
        if (r->kind == MR_WL_STARTER || r->kind == MR_WL_ACTOR) {
            status = mr_workload_relate(w, r, task_named(w, r->name), err);
            continue;
        }
        status = resolve(w, r, err, &object, &all);
        if (r->kind == MR_WL_WAIT) {
            if (!status && mr_workload_wait_for(w, r, object)) /* the first of a task's is as good as all */
                status = mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
            continue;
        }
        uint32_t left = all ? declared[w->objects[object].task] : 1;
        if (t->n_inputs == 0)
            t->first_input = n;
        for (; !status && left; left--, object = w->objects[object].next) {
            /* A dependency on a task that already gives an input adds nothing. */
            bool known = false;
            for (uint32_t k = t->first_input; k < n; k++)
                known = known || w->inputs[k] == object ||
                        (r->kind == MR_WL_DEP && w->objects[w->inputs[k]].task == w->objects[object].task);
            if (known)
                continue;
            if (!mr_workload_grow(&w->inputs, n, &cap, sizeof *w->inputs)) {
                status = mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
                break;
            }
            w->inputs[n++] = object;
            w->objects[object].consumers++;
            t->n_inputs++;
        }
    }
    free(declared);
    free(w->raws);
    w->raws = NULL;
    return status;
}

/* Each parent of `t` once, through a mark per task. */
static mr_status index_children(mr_workload *w, mr_err *err)
{
    uint32_t n = w->n_tasks;
    uint32_t *mark = malloc((n + 1) * sizeof *mark);
    size_t total = 0;
    for (int pass = 0; mark && pass < 2; pass++) {
        memset(mark, 0xff, (n + 1) * sizeof *mark);
        for (uint32_t t = 0; t < n; t++) {
            mr_wl_task *me = &w->tasks[t];
            for (uint32_t i = 0; i < me->n_inputs; i++) {
                const mr_wl_object *o = &w->objects[w->inputs[me->first_input + i]];
                uint32_t p = o->task;
                if (p == MR_WL_NONE || mark[p] == t || o->early) /* which is there before its task ends */
                    continue;
                mark[p] = t;
                if (pass == 0) {
                    me->n_parents++;
                    w->tasks[p].n_children++;
                } else {
                    w->children[w->tasks[p].first_child + w->tasks[p].n_children++] = t;
                }
            }
        }
        if (pass == 0) {
            for (uint32_t t = 0; t < n; t++) {
                w->tasks[t].first_child = (uint32_t)total;
                total += w->tasks[t].n_children;
                w->tasks[t].n_children = 0;
            }
            w->children = malloc((total + 1) * sizeof *w->children);
            if (!w->children)
                break;
        }
    }
    free(mark);
    return mark && w->children ? MR_OK : mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
}

/* `left[t]` > 0 for the tasks on or behind a cycle: walks to parents that are left until one comes again. */
static mr_status name_cycle(const mr_workload *w, const uint32_t *left, mr_err *err)
{
    uint32_t *step = calloc(w->n_tasks, sizeof *step), *path = calloc(w->n_tasks + 1, sizeof *path), n = 0, t = 0;
    if (!step || !path) {
        free(step);
        free(path);
        return mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    }
    while (!left[t])
        t++;
    while (!step[t]) {
        const mr_wl_task *me = &w->tasks[t];
        path[n++] = t;
        step[t] = n;
        for (uint32_t i = 0; i < me->n_inputs; i++) {
            uint32_t p = w->objects[w->inputs[me->first_input + i]].task;
            if (p != MR_WL_NONE && left[p]) {
                t = p;
                break;
            }
        }
    }
    /* path[step[t] - 1 .. n - 1] runs against the arrows: print it backwards, at most ten names. */
    char text[600];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", mr_workload_name(w, t));
    uint32_t shown = 0;
    for (uint32_t i = n; i-- > step[t] - 1 && used < sizeof text - 80;) {
        if (++shown == 10 && i > step[t]) {
            used += (size_t)snprintf(text + used, sizeof text - used, " -> ... (%u more)", i - step[t] + 1);
            i = step[t] - 1;
        }
        used += (size_t)snprintf(text + used, sizeof text - used, " -> %.50s", mr_workload_name(w, path[i]));
    }
    int line = w->tasks[t].line;
    free(step);
    free(path);
    mr_json_doc doc = place_of(w, mr_workload_name(w, t));
    mr_json_at at = {w->path, line, err, &doc};
    return mr_json_fail(&at, "inputs", "the tasks wait for each other in a cycle: %s", text);
}

/* Arrivals along the graph (a task arrives no earlier than its parents).  Errors: CONFIG, naming the cycle. */
static mr_status spread_arrivals(mr_workload *w, mr_err *err)
{
    uint32_t n = w->n_tasks, head = 0, tail = 0;
    uint32_t *left = malloc((n + 1) * sizeof *left), *queue = malloc((n + 1) * sizeof *queue);
    mr_status status = left && queue ? MR_OK : mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
    for (uint32_t t = 0; !status && t < n; t++)
        if (!(left[t] = w->tasks[t].n_parents))
            queue[tail++] = t;
    while (!status && head < tail) {
        const mr_wl_task *p = &w->tasks[queue[head++]];
        for (uint32_t i = 0; i < p->n_children; i++) {
            uint32_t t = w->children[p->first_child + i];
            if (w->tasks[t].arrival < p->arrival)
                w->tasks[t].arrival = p->arrival;
            if (--left[t] == 0)
                queue[tail++] = t;
        }
    }
    if (!status && tail < n)
        status = name_cycle(w, left, err);
    free(left);
    free(queue);
    return status;
}

typedef struct turn {
    int64_t arrival;
    uint32_t place, task;
} turn;

static int by_turn(const void *a, const void *b)
{
    const turn *x = a, *y = b;
    if (x->arrival != y->arrival)
        return x->arrival < y->arrival ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Order of submission: by arrival, then as in the file, except that parents come before their children; those that
 * others submit come last.  Walks up from
 * each task in turn; `at` remembers which of its inputs a task on the stack is at. */
static mr_status order_tasks(mr_workload *w, mr_err *err)
{
    uint32_t n = w->n_tasks, place = 0;
    uint32_t *stack = malloc((n + 1) * sizeof *stack), *at = calloc(n + 1, sizeof *at);
    char *seen = calloc(n + 1, 1);
    turn *turns = malloc((n + 1) * sizeof *turns);
    w->order = malloc((n + 1) * sizeof *w->order);
    bool ok = stack && at && seen && turns && w->order;
    for (uint32_t root = 0; ok && root < n; root++) {
        uint32_t depth = 0;
        if (!seen[root]) {
            seen[root] = 1;
            stack[depth++] = root;
        }
        while (depth) {
            uint32_t t = stack[depth - 1];
            const mr_wl_task *me = &w->tasks[t];
            if (at[t] < me->n_inputs) {
                uint32_t p = w->objects[w->inputs[me->first_input + at[t]++]].task;
                if (p != MR_WL_NONE && !seen[p]) {
                    seen[p] = 1;
                    stack[depth++] = p;
                }
            } else {
                bool arrives = me->starter == MR_WL_NONE;
                w->arriving += arrives;
                turns[place] = (turn){arrives ? me->arrival : INT64_MAX, place, t};
                place++;
                depth--;
            }
        }
    }
    if (ok) {
        qsort(turns, n, sizeof *turns, by_turn);
        for (uint32_t i = 0; i < n; i++)
            w->order[i] = turns[i].task;
    }
    free(stack);
    free(at);
    free(seen);
    free(turns);
    return ok ? MR_OK : mr_err_set(err, MR_E_NOMEM, "%s: out of memory", w->path);
}

mr_status mr_workload_link(mr_workload *w, mr_err *err)
{
    mr_json_at at = {w->path, 0, err, NULL};
    if (w->n_tasks == 0)
        return mr_json_fail(&at, NULL, "there is no task in this workload");
    mr_status status = resolve_all(w, err);
    if (!status)
        status = index_children(w, err);
    if (!status)
        status = spread_arrivals(w, err);
    if (!status)
        status = order_tasks(w, err);
    if (!status)
        status = mr_workload_place_points(w, err);
    if (!status)
        mr_workload_draw(w, 0);
    return status;
}

mr_status mr_workload_read(mr_workload **out, const char *path, mr_wl_format format, mr_err *err)
{
    char *text = NULL;
    size_t size = 0;
    cJSON *root = NULL;
    mr_workload *w = NULL;
    mr_status status = mr_json_load(path, &text, &size, err);
    if (status)
        return status;
    if (mr_workload_new(&w, path)) {
        status = mr_err_set(err, MR_E_NOMEM, "%s: out of memory", path);
        goto end;
    }
    w->text = text;
    w->text_size = size;
    if (format != MR_WL_JSONL) {
        mr_json_at at = {path, 0, err, NULL};
        status = mr_json_parse(&at, text, size, &root);
        if (format == MR_WL_AUTO)
            format = !status && cJSON_HasObjectItem(root, "workflow") ? MR_WL_WFFORMAT : MR_WL_JSONL;
        if (format == MR_WL_JSONL)
            status = MR_OK;
    }
    if (!status)
        status = format == MR_WL_JSONL ? mr_workload_read_jsonl(w, text, size, err) : mr_workload_read_wf(w, root, err);
    if (!status)
        status = mr_workload_link(w, err);
end:
    if (w) {
        w->text = NULL;
        w->root = NULL;
    }
    cJSON_Delete(root);
    free(text);
    if (status)
        mr_workload_free(w);
    else
        *out = w;
    return status;
}
