/* output.c: what workers print, cut into lines, for mr_engine_output.
 *
 * Owns the queue of lines (bounded: the oldest go, and a line says how many) and the unfinished line of each stream.
 * Lock: line_lock for the queue; the node list's for unfinished lines (only the progress thread feeds them).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

enum { LINE_CUT = 64 * 1024 };

struct mr_partial {
    struct mr_partial *next;
    char name[120]; /* what the worker said it is called; "": by what it runs */
    uint32_t worker, stream;
    int32_t pid;
    size_t len, cap;
    char *text;
};

/* What the worker runs; the class of an actor. */
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

/* A worker that prints has said who it is, though that may lie in its ring still. */
static int32_t output_pid(mr_nodes *n, const struct mr_partial *p)
{
    mr_worker_info w;
    mr_peer *peer = p->pid ? NULL : mr_peer_of(n, p->worker);
    if (!peer)
        return p->pid;
    if (!peer->pid)
        mr_drive_drain(n, peer);
    if (mr_control_worker(n->control, p->worker, &w) && w.pid)
        return w.pid;
    return peer->pid;
}

/* Those that were read are kept as long as there is room, those that were not until there are too many. */
static void output_trim(mr_nodes *n)
{
    while (n->lines && (n->n_unread > MR_LINES_MAX || (n->lines_bytes > MR_LINES_BYTES && n->lines != n->unread))) {
        mr_line *old = n->lines;
        if (old == n->unread) {
            n->unread = old->next;
            n->n_unread--;
            n->lines_lost++;
        }
        n->lines = old->next;
        if (!n->lines)
            n->lines_end = &n->lines;
        n->lines_bytes -= sizeof(*old) + old->len;
        free(old);
    }
}

static void output_line(mr_nodes *n, struct mr_partial *p)
{
    mr_line *line = calloc(1, sizeof(*line) + p->len + 1);
    if (!line)
        return;
    line->worker = p->worker;
    line->pid = p->pid = output_pid(n, p);
    line->is_stderr = p->stream == 2;
    line->len = p->len;
    line->at = mr_nodes_clock(n);
    memcpy(line->text, p->text ? p->text : "", p->len);
    if (*p->name) {
        memcpy(line->name, p->name, sizeof(line->name));
    } else {
        uint32_t func = output_func(n, p->worker);
        const mr_define *def = func ? mr_control_func(n->control, func) : NULL;
        /* Of a call whose actor is gone: the class, as for those before it. */
        const char *dot = def && def->kind == MR_FUNC_METHOD ? strrchr(def->name, '.') : NULL;
        int len = dot ? (int)(dot - def->name) : (int)sizeof(line->name);
        snprintf(line->name, sizeof(line->name), "%.*s", len, def ? def->name : "worker");
    }
    p->len = 0;
    pthread_mutex_lock(&n->line_lock);
    line->number = ++n->n_lines;
    *n->lines_end = line;
    n->lines_end = &line->next;
    n->lines_bytes += sizeof(*line) + line->len;
    if (n->show_output) {
        if (!n->unread)
            n->unread = line;
        n->n_unread++;
    }
    output_trim(n);
    pthread_cond_signal(&n->line_cond);
    pthread_mutex_unlock(&n->line_lock);
}

/* A line that begins with MR_OUTPUT_NAME is the worker library's own: what the worker is called from here on. */
static bool output_order(mr_nodes *n, const struct mr_partial *p)
{
    static const char order[] = MR_OUTPUT_NAME;
    if (p->len < sizeof(order) - 1 || memcmp(p->text, order, sizeof(order) - 1) != 0)
        return false;
    for (struct mr_partial *x = n->partials; x; x = x->next)
        if (x->worker == p->worker)
            snprintf(x->name, sizeof(x->name), "%.*s", (int)(p->len - (sizeof(order) - 1)),
                     p->text + sizeof(order) - 1);
    return true;
}

static struct mr_partial *output_partial(mr_nodes *n, uint32_t worker, int32_t pid, uint32_t stream)
{
    struct mr_partial *p = n->partials, *other = NULL;
    while (p && (p->worker != worker || p->stream != stream)) {
        other = p->worker == worker ? p : other;
        p = p->next;
    }
    if (p)
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    if (other)
        memcpy(p->name, other->name, sizeof(p->name));
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
        if (end && output_order(n, p))
            p->len = 0;
        else if (end || p->len > LINE_CUT)
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
    mr_output_save(n);
    if (n->save_fd >= 0)
        close(n->save_fd);
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
    while (!n->unread && !n->lines_lost && !n->lines_closed) {
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
    } else if (!status && n->unread) {
        const mr_line *line = n->unread;
        size_t size = sizeof(*line) + line->len + 1;
        if ((n->line_out = malloc(size)))
            memcpy(n->line_out, line, size);
        n->unread = line->next;
        n->n_unread--;
        output_trim(n);
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

void mr_output_table(mr_nodes *n, mr_text *t, uint64_t after)
{
    bool first = true;
    mr_text_put(t, "[");
    pthread_mutex_lock(&n->line_lock);
    for (const mr_line *l = n->lines; l; l = l->next) {
        if (l->number <= after)
            continue;
        mr_text_put(
            t, "%s{\"number\":%llu,\"at\":%lld,\"worker\":%u,\"pid\":%d,\"stderr\":%s,\"name\":", first ? "" : ",",
            (unsigned long long)l->number, (long long)l->at, l->worker, l->pid, l->is_stderr ? "true" : "false");
        first = false;
        mr_text_string(t, l->name);
        mr_text_put(t, ",\"text\":");
        mr_text_string(t, l->text);
        mr_text_put(t, "}");
    }
    pthread_mutex_unlock(&n->line_lock);
    mr_text_put(t, "]");
}

/* --------------------------------------------------------------------------------------------------------- file -- */

mr_status mr_output_open(mr_nodes *n, mr_err *err)
{
    const char *file = mr_config_text(n->config, "log", "output");
    if (!file)
        return MR_OK;
    struct stat st;
    n->save_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (n->save_fd < 0)
        return mr_err_set(err, MR_E_IO, "[log] output = %s: %s", file, strerror(errno));
    n->save_size = fstat(n->save_fd, &st) ? 0 : (size_t)st.st_size;
    return MR_OK;
}

static void save_failed(mr_nodes *n)
{
    mr_log(MR_LOG_ERROR, "engine", "[log] output = %s: %s; what workers print is not saved any more",
           mr_config_text(n->config, "log", "output"), strerror(errno));
    close(n->save_fd);
    n->save_fd = -1;
}

static void save_turn(mr_nodes *n)
{
    const char *file = mr_config_text(n->config, "log", "output");
    char older[4096];
    mr_err err = {0};
    if ((size_t)snprintf(older, sizeof(older), "%s.1", file) >= sizeof(older) || rename(file, older)) {
        save_failed(n);
        return;
    }
    close(n->save_fd);
    if (mr_output_open(n, &err))
        mr_log(MR_LOG_ERROR, "engine", "%s; what workers print is not saved any more", err.text);
}

void mr_output_save(mr_nodes *n)
{
    mr_text t = {0};
    if (n->save_fd < 0)
        return;
    pthread_mutex_lock(&n->line_lock);
    uint64_t last = n->n_lines;
    for (const mr_line *l = n->saved < last ? n->lines : NULL; l; l = l->next)
        if (l->number > n->saved) {
            mr_text_put(&t, "(%s pid=%d) ", l->name, l->pid);
            mr_text_raw(&t, l->text, l->len);
            mr_text_raw(&t, "\n", 1);
        }
    pthread_mutex_unlock(&n->line_lock);
    n->saved = last;
    if (!t.n)
        return;
    for (size_t at = 0; at < t.n && n->save_fd >= 0;) {
        ssize_t put = write(n->save_fd, t.s + at, t.n - at);
        if (put < 0 && errno != EINTR)
            save_failed(n);
        at += put > 0 ? (size_t)put : 0;
    }
    n->save_size += t.n;
    if (n->save_fd >= 0 && n->save_size > MR_SAVE_BYTES)
        save_turn(n);
    free(t.s);
}
