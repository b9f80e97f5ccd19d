/* output.c: what workers print, cut into lines, for mr_engine_output.
 *
 * Owns the queue of lines (bounded: the oldest go, and a line says how many) and the unfinished line of each stream.
 * Lock: line_lock for the queue; the node list's for unfinished lines (only the progress thread feeds them).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"
#include "engine/process/node.h"

enum { LINE_CUT = 64 * 1024 };

struct mr_partial {
    struct mr_partial *next;
    uint32_t worker, stream;
    int32_t pid;
    size_t len, cap;
    char *text;
};

static uint32_t output_func(mr_nodes *n, uint32_t worker)
{
    mr_worker_info w;
    mr_actor_info actor;
    mr_spec spec;
    const mr_peer *p = mr_peer_of(n, worker);
    uint32_t last = p ? p->last_func : 0;
    if (!mr_control_worker(n->control, worker, &w))
        return last;
    if (w.actor && mr_control_actor(n->control, w.actor, &actor))
        return actor.func;
    if (w.task && mr_control_spec(n->control, w.task, &spec) == MR_OK)
        return spec.func;
    return last;
}

static void output_line(mr_nodes *n, struct mr_partial *p)
{
    mr_line *line = malloc(sizeof(*line) + p->len + 1);
    if (!line)
        return;
    *line = (mr_line){.pid = p->pid, .is_stderr = p->stream == 2, .len = p->len};
    memcpy(line->text, p->text, p->len);
    line->text[p->len] = 0;
    uint32_t func = output_func(n, p->worker);
    const mr_define *def = func ? mr_control_func(n->control, func) : NULL;
    snprintf(line->name, sizeof(line->name), "%s", def ? def->name : "worker");
    p->len = 0;
    pthread_mutex_lock(&n->line_lock);
    *n->lines_end = line;
    n->lines_end = &line->next;
    if (++n->n_lines > MR_LINES_MAX) {
        mr_line *old = n->lines;
        n->lines = old->next;
        n->n_lines--;
        n->lines_lost++;
        free(old);
    }
    pthread_cond_signal(&n->line_cond);
    pthread_mutex_unlock(&n->line_lock);
}

static struct mr_partial *output_partial(mr_nodes *n, uint32_t worker, int32_t pid, uint32_t stream)
{
    struct mr_partial *p = n->partials;
    while (p && (p->worker != worker || p->stream != stream))
        p = p->next;
    if (p)
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->worker = worker;
    p->stream = stream;
    p->pid = pid;
    p->next = n->partials;
    n->partials = p;
    return p;
}

static bool output_add(struct mr_partial *p, const char *bytes, size_t len)
{
    if (p->len + len > p->cap) {
        size_t cap = (p->len + len) * 2;
        char *grown = realloc(p->text, cap);
        if (!grown)
            return false;
        p->text = grown;
        p->cap = cap;
    }
    if (len)
        memcpy(p->text + p->len, bytes, len);
    p->len += len;
    return true;
}

void mr_output_take(mr_nodes *n, uint32_t worker, int32_t pid, uint32_t stream, const char *bytes, size_t len)
{
    struct mr_partial *p = output_partial(n, worker, pid, stream);
    while (p && len) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) : len;
        if (!output_add(p, bytes, part))
            return;
        if (end || p->len > LINE_CUT)
            output_line(n, p);
        part += end != NULL;
        bytes += part;
        len -= part;
    }
}

void mr_output_gone(mr_nodes *n, uint32_t worker, int32_t pid)
{
    (void)pid;
    for (struct mr_partial **at = &n->partials; *at;) {
        struct mr_partial *p = *at;
        if (p->worker != worker) {
            at = &p->next;
            continue;
        }
        if (p->len)
            output_line(n, p);
        *at = p->next;
        free(p->text);
        free(p);
    }
}

void mr_output_last(mr_nodes *n)
{
    while (n->partials)
        mr_output_gone(n, n->partials->worker, n->partials->pid);
}

void mr_output_close(mr_nodes *n)
{
    pthread_mutex_lock(&n->line_lock);
    n->lines_closed = true;
    pthread_cond_broadcast(&n->line_cond);
    while (n->line_readers)
        pthread_cond_wait(&n->line_cond, &n->line_lock);
    pthread_mutex_unlock(&n->line_lock);
}

void mr_output_fini(mr_nodes *n)
{
    while (n->partials) {
        struct mr_partial *p = n->partials;
        n->partials = p->next;
        free(p->text);
        free(p);
    }
    while (n->lines) {
        mr_line *line = n->lines;
        n->lines = line->next;
        free(line);
    }
    free(n->line_out);
}

static mr_status output_wait(mr_nodes *n, int64_t timeout)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t at = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + (timeout > 0 ? timeout : 0);
    t = (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
    while (!n->lines && !n->lines_lost && !n->lines_closed) {
        if (timeout < 0)
            pthread_cond_wait(&n->line_cond, &n->line_lock);
        else if (!timeout || pthread_cond_timedwait(&n->line_cond, &n->line_lock, &t) == ETIMEDOUT)
            return MR_E_TIMEOUT;
    }
    return MR_OK;
}

mr_status mr_engine_output(mr_port *port, int64_t timeout, mr_output *out)
{
    mr_nodes *n = (mr_nodes *)(void *)port;
    pthread_mutex_lock(&n->line_lock);
    n->line_readers++;
    mr_status status = output_wait(n, timeout);
    free(n->line_out);
    n->line_out = NULL;
    if (!status && n->lines_lost) {
        char text[96];
        int len = snprintf(text, sizeof(text), "(%zu lines were dropped: nobody read them)", n->lines_lost);
        mr_line *line = calloc(1, sizeof(*line) + sizeof(text));
        n->lines_lost = 0;
        if (line) {
            line->len = (size_t)len;
            memcpy(line->text, text, (size_t)len + 1);
            snprintf(line->name, sizeof(line->name), "miniray");
        }
        n->line_out = line;
    } else if (!status && n->lines) {
        n->line_out = n->lines;
        n->lines = n->lines->next;
        n->n_lines--;
        if (!n->lines)
            n->lines_end = &n->lines;
    }
    if (!status && n->line_out)
        *out = (mr_output){.pid = n->line_out->pid,
                           .is_stderr = n->line_out->is_stderr,
                           .name = n->line_out->name,
                           .text = n->line_out->text,
                           .len = n->line_out->len};
    else if (!status)
        *out = (mr_output){.pid = -1};
    n->line_readers--;
    if (n->lines_closed)
        pthread_cond_broadcast(&n->line_cond);
    pthread_mutex_unlock(&n->line_lock);
    return status;
}
