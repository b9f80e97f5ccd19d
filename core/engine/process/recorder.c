/* recorder.c: the recording of a session.  See recorder.h.
 *
 * Of each event, and of what control wants done with processes, its time, kind and what a replay needs; never a value's
 * bytes.  When a task is over, a line DONE has all of its times and where it ran, from control's own table. */
#include "engine/process/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"

enum { RECORDER_FLUSH = 256 * 1024 };

static void recorder_write(mr_nodes *n)
{
    mr_recorder *rec = n->recorder;
    size_t done = 0;
    while (rec->fd >= 0 && done < rec->text.n) {
        ssize_t part = write(rec->fd, rec->text.s + done, rec->text.n - done);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0) {
            mr_log(MR_LOG_ERROR, "engine", "[engine] record = %s: %s; the recording ends here",
                   mr_config_text(n->config, "engine", "record"), strerror(errno));
            close(rec->fd);
            rec->fd = -1;
        } else {
            done += (size_t)part;
        }
    }
    rec->text.n = 0;
}

mr_status mr_recorder_open(mr_nodes *n, mr_err *err)
{
    const char *path = mr_config_text(n->config, "engine", "record");
    if (!path)
        return MR_OK;
    mr_recorder *rec = calloc(1, sizeof(*rec));
    if (!rec)
        return MR_E_NOMEM;
    rec->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (rec->fd < 0) {
        free(rec);
        return mr_err_set(err, MR_E_IO, "[engine] record = %s: %s", path, strerror(errno));
    }
    n->recorder = rec;
    mr_text_put(&rec->text, "{\"miniray\":\"recording\",\"version\":2}\n");
    return MR_OK;
}

static void recorder_amounts(mr_text *t, const char *key, const mr_named *v, uint32_t count)
{
    mr_text_put(t, ",\"%s\":{", key);
    for (uint32_t i = 0; i < count; i++) {
        mr_named one;
        memcpy(&one, v + i, sizeof(one));
        mr_text_put(t, i ? "," : "");
        mr_text_string(t, one.name);
        bool memory = !strcmp(one.name, "memory");
        mr_text_put(t, ":%.10g", memory ? (double)one.amount : (double)one.amount / MR_RES_UNIT);
    }
    mr_text_put(t, "}");
}

static void recorder_ids(mr_text *t, const char *key, const mr_id *ids, uint32_t count)
{
    mr_text_put(t, ",\"%s\":[", key);
    for (uint32_t i = 0; i < count; i++)
        mr_text_put(t, "%s\"%016" PRIx64 "\"", i ? "," : "", (uint64_t)ids[i]);
    mr_text_put(t, "]");
}

static void recorder_id(mr_text *t, const char *key, mr_id id)
{
    mr_text_put(t, ",");
    mr_text_id(t, key, id);
}

static void recorder_submit(mr_nodes *n, mr_text *t, const mr_record *r)
{
    const mr_ev_submit *s = (const void *)r;
    const mr_define *def = mr_control_func(n->control, s->func);
    recorder_id(t, "task", s->id);
    recorder_id(t, "parent", s->parent);
    recorder_id(t, "actor", s->actor);
    recorder_ids(t, "deps", mr_record_ids(r, sizeof(*s)), s->n_deps);
    mr_text_put(t, ",\"n\":%u,\"priority\":%d", s->n_returns, s->priority + (def ? def->priority : 0));
    if (!def)
        return;
    mr_text_put(t, ",\"kind\":%u,\"fn\":", def->kind);
    mr_text_string(t, def->name);
    mr_text_put(t, ",\"user\":");
    mr_text_string(t, def->user);
    int64_t estimate = s->estimate >= 0 ? s->estimate : def->estimate;
    const struct {
        const char *key;
        int64_t value;
    } times[] = {{"estimate", estimate}, {"limit", def->limit}, {"deadline", def->deadline}};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        if (times[i].value >= 0)
            mr_text_put(t, ",\"%s\":%" PRId64, times[i].key, times[i].value);
    const mr_named *needs = mr_record_bytes(&def->h, sizeof(*def));
    recorder_amounts(t, "needs", needs, def->n_needs);
    if (def->lane)
        mr_text_put(t, ",\"group\":%u", def->lane);
    if (def->kind != MR_FUNC_ACTOR)
        return;
    recorder_amounts(t, "living", needs + def->n_needs, def->n_living);
    bool loop = def->flags & MR_FUNC_ASYNC && def->max_concurrency < 1;
    mr_text_put(t, ",\"loop\":%s,\"concurrency\":%d,\"groups\":[", def->flags & MR_FUNC_ASYNC ? "true" : "false",
                loop ? MR_LOOP_CALLS : def->max_concurrency);
    for (uint32_t i = 0; i < def->n_lanes; i++)
        mr_text_put(t, "%s%u", i ? "," : "", def->lanes[i]);
    mr_text_put(t, "]");
}

static void recorder_blocked(mr_text *t, const mr_record *r)
{
    const mr_ev_blocked *b = (const void *)r;
    recorder_id(t, "task", b->task);
    recorder_ids(t, "ids", mr_record_ids(r, sizeof(*b)), r->n_ids);
    mr_text_put(t, ",\"need\":%u,\"token\":%u", b->need, r->token);
}

static void recorder_body(mr_nodes *n, mr_text *t, const mr_record *r)
{
    const void *any = r;
    switch ((mr_event_kind)r->kind) {
    case MR_EV_SUBMIT:
        recorder_submit(n, t, r);
        break;
    case MR_EV_PUT:
        recorder_id(t, "id", ((const mr_ev_put *)any)->id);
        mr_text_put(t, ",\"size\":%" PRIu64 ",\"node\":%u", ((const mr_ev_put *)any)->size,
                    ((const mr_ev_put *)any)->node);
        break;
    case MR_EV_SEALED:
    case MR_EV_YIELDED:
        recorder_id(t, "task", ((const mr_ev_sealed *)any)->task);
        recorder_id(t, "id", ((const mr_ev_sealed *)any)->id);
        mr_text_put(t, ",\"size\":%" PRIu64, ((const mr_ev_sealed *)any)->size);
        break;
    case MR_EV_STARTED:
    case MR_EV_STOPPED:
        recorder_id(t, "task", ((const mr_ev_task *)any)->task);
        mr_text_put(t, ",\"attempt\":%u", ((const mr_ev_task *)any)->attempt);
        break;
    case MR_EV_BLOCKED:
        recorder_blocked(t, r);
        break;
    case MR_EV_UNBLOCKED:
        mr_text_put(t, ",\"token\":%u", r->token);
        break;
    case MR_EV_FINISHED: {
        const mr_ev_finished *f = any;
        recorder_id(t, "task", f->task);
        mr_text_put(t, ",\"attempt\":%u,\"ran\":%" PRId64 ",\"outcome\":%d", f->attempt, f->ran, f->outcome);
        if (f->flags & MR_FINISHED_RESULT) {
            recorder_id(t, "id", f->id);
            mr_text_put(t, ",\"size\":%" PRIu64, f->size);
        }
        break;
    }
    case MR_EV_WORKER_UP:
    case MR_EV_WORKER_RETIRED:
    case MR_EV_WORKER_DIED:
        mr_text_put(t, ",\"worker\":%u,\"how\":%u", ((const mr_ev_worker *)any)->worker,
                    ((const mr_ev_worker *)any)->how);
        break;
    case MR_EV_NODE_ADDED: {
        const mr_ev_node *e = any;
        mr_text_put(t, ",\"node\":%u,\"name\":", e->node);
        mr_text_string(t, e->name);
        recorder_amounts(t, "total", mr_record_bytes(r, sizeof(*e)), e->n_amounts);
        break;
    }
    case MR_EV_READ:
        recorder_id(t, "id", ((const mr_ev_id *)any)->id);
        break;
    case MR_EV_CANCEL:
    case MR_EV_KILL:
        recorder_id(t, "id", ((const mr_ev_cancel *)any)->id);
        break;
    default:
        break;
    }
}

/* What control remembers of the tasks that are over since the last look. */
static void recorder_over(mr_nodes *n, mr_text *t)
{
    mr_recorder *rec = n->recorder;
    mr_task_info i;
    for (uint64_t at = rec->at; mr_control_task_next(n->control, &at, &i) && i.state == MR_OVER; rec->at = at) {
        mr_text_put(t, "{\"t\":%" PRId64 ",\"ev\":\"DONE\"", (int64_t)n->now);
        recorder_id(t, "task", i.task);
        mr_text_put(t,
                    ",\"node\":%u,\"slot\":%u,\"worker\":%u,\"attempt\":%u,\"outcome\":\"%s\",\"bytes\":%" PRIu64
                    ",\"submitted\":%" PRId64 ",\"ready\":%" PRId64 ",\"started\":%" PRId64 ",\"ended\":%" PRId64 "}\n",
                    i.node, i.slot, i.worker, i.attempt, mr_status_name(i.outcome), i.bytes, i.submitted_at, i.ready_at,
                    i.started_at, i.ended_at);
    }
}

/* What control wants done with processes: who runs where from when on, and which wait is over. */
static void recorder_action(mr_nodes *n, mr_text *t, const mr_action *a)
{
    static const char *const names[MR_ACT_COUNT] = {
        [MR_ACT_DISPATCH] = "DISPATCH", [MR_ACT_CONTINUE] = "CONTINUE", [MR_ACT_SPAWN] = "SPAWN",
        [MR_ACT_RETIRE] = "RETIRE",     [MR_ACT_DELIVER] = "DELIVER",
    };
    if (a->kind >= MR_ACT_COUNT || !names[a->kind])
        return;
    mr_text_put(t, "{\"t\":%" PRId64 ",\"do\":\"%s\"", (int64_t)n->now, names[a->kind]);
    if (a->kind == MR_ACT_DELIVER) {
        mr_text_put(t, ",\"client\":%u,\"token\":%u}\n", a->client, a->token);
        return;
    }
    mr_text_put(t, ",\"worker\":%u,\"node\":%u", a->worker, a->node);
    if (a->id) {
        recorder_id(t, "task", a->id);
        mr_text_put(t, ",\"attempt\":%u,\"slot\":%" PRId64, a->attempt, a->value);
    }
    mr_text_put(t, "}\n");
}

void mr_recorder_step(mr_nodes *n, const mr_record *r, size_t first)
{
    mr_recorder *rec = n->recorder;
    if (rec->fd < 0)
        return;
    mr_text *t = &rec->text;
    if (r->kind != MR_EV_TIME) {
        mr_text_put(t, "{\"t\":%" PRId64 ",\"ev\":\"%s\",\"from\":%u", (int64_t)n->now, mr_event_name(r->kind),
                    r->from);
        recorder_body(n, t, r);
        mr_text_put(t, "}\n");
    }
    for (size_t i = first; i < n->actions.n; i++)
        recorder_action(n, t, &n->actions.v[i]);
    recorder_over(n, t);
    if (t->failed) {
        mr_log(MR_LOG_ERROR, "engine", "out of memory: the recording ends here");
        close(rec->fd);
        rec->fd = -1;
    } else if (t->n >= RECORDER_FLUSH) {
        recorder_write(n);
    }
}

void mr_recorder_close(mr_nodes *n)
{
    mr_recorder *rec = n->recorder;
    if (!rec)
        return;
    if (n->control && rec->fd >= 0)
        recorder_over(n, &rec->text);
    recorder_write(n);
    if (rec->fd >= 0)
        close(rec->fd);
    free(rec->text.s);
    free(rec);
    n->recorder = NULL;
}
