/* task.c: owns the context of the C task that runs, and the state of the actor that lives in this process (one at
 * most). One thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/calls.h"
#include "worker/worker.h"

struct mr_task_ctx {
    mr_session *session;
    mr_call *call;
    const mr_call_info *info;
    mr_err why; /* of mr_ctx_fail */
    bool failed;
};

static struct {
    void *state;
    void (*drop)(void *state);
    char class[64];
} actor;

/* --------------------------------------------------------------------------------------------- what a task calls -- */

mr_session *mr_ctx_session(mr_task_ctx *ctx)
{
    return ctx->session;
}

mr_call *mr_ctx_call(mr_task_ctx *ctx)
{
    return ctx->call;
}

const void *mr_ctx_data(mr_task_ctx *ctx, size_t *len)
{
    if (len)
        *len = ctx->info->len;
    return ctx->info->data;
}

uint32_t mr_ctx_deps(mr_task_ctx *ctx)
{
    return ctx->info->n_deps;
}

mr_status mr_ctx_dep(mr_task_ctx *ctx, uint32_t i, mr_value *out)
{
    return mr_call_dep(ctx->call, i, out);
}

/* What went wrong is kept, so that a task may simply return the status. */
static mr_status remember(mr_task_ctx *ctx, mr_status st, const mr_err *err)
{
    if (st && !ctx->failed) {
        ctx->why = *err;
        ctx->failed = true;
    }
    return st;
}

mr_status mr_ctx_return(mr_task_ctx *ctx, uint32_t i, const void *data, uint64_t len)
{
    mr_err err = {0};
    return remember(ctx, mr_call_return(ctx->call, i, MR_FORMAT_BYTES, data, len, NULL, 0, &err), &err);
}

mr_status mr_ctx_yield(mr_task_ctx *ctx, const void *data, uint64_t len)
{
    mr_err err = {0};
    mr_status st = mr_call_yield(ctx->call, MR_FORMAT_BYTES, data, len, NULL, 0, &err);
    if (st)
        return remember(ctx, st, &err);
    do
        st = mr_call_room(ctx->call, -1);
    while (st == MR_E_INTERRUPTED);
    return st;
}

mr_status mr_ctx_fail(mr_task_ctx *ctx, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ctx->why.text, sizeof(ctx->why.text), fmt, args);
    va_end(args);
    ctx->why.status = MR_E_TASK;
    ctx->failed = true;
    return MR_E_TASK;
}

bool mr_ctx_cancelled(mr_task_ctx *ctx)
{
    return mr_calls_cancelled(ctx->call);
}

void mr_ctx_set_state(mr_task_ctx *ctx, void *state, void (*drop)(void *state))
{
    (void)ctx;
    actor.state = state;
    actor.drop = drop;
}

void *mr_ctx_state(mr_task_ctx *ctx)
{
    (void)ctx;
    return actor.state;
}

void mr_task_drop_state(void)
{
    if (actor.drop)
        actor.drop(actor.state);
    actor.state = NULL;
    actor.drop = NULL;
}

/* ------------------------------------------------------------------------------------------------------- running -- */

static mr_status tell_error(mr_task_ctx *ctx, mr_status st)
{
    const mr_call_info *info = ctx->info;
    char text[1200];
    if (ctx->failed)
        snprintf(text, sizeof(text), "%s", ctx->why.text);
    else
        snprintf(text, sizeof(text), "%s ended with %s: %s", info->name, mr_status_name(st), mr_status_text(st));
    mr_err err;
    mr_status told = mr_call_error(ctx->call, MR_FORMAT_TEXT_ERROR, text, strlen(text) + 1, NULL, 0,
                                   info->flags & MR_DEF_RETRY_ERRORS, &err);
    if (told && told != MR_E_CLOSED)
        mr_log(MR_LOG_ERROR, "worker", "%s failed (%s), and the error cannot be told: %s", info->name, text, err.text);
    return MR_E_TASK;
}

/* The GPUs of a task or actor, as CUDA and its like want to be told: "0,2"; within those that the session was given. */
static void give_gpus(uint64_t gpus)
{
    static const char *const name = "CUDA_VISIBLE_DEVICES";
    static char outer[1024];
    static bool known;
    char text[1024] = "";
    const char *had = known ? NULL : getenv(name);
    if (had)
        snprintf(outer, sizeof(outer), "%s", had);
    known = true;
    const char *at = outer;
    for (size_t i = 0, used = 0; i < 64; i++) {
        size_t len = strcspn(at, ",");
        if (gpus >> i & 1)
            used += (size_t)(len ? snprintf(text + used, sizeof(text) - used, "%s%.*s", used ? "," : "", (int)len, at)
                                 : snprintf(text + used, sizeof(text) - used, "%s%zu", used ? "," : "", i));
        if (used >= sizeof(text))
            break;
        at += len + (at[len] == ',');
    }
    if (setenv(name, text, 1))
        mr_log(MR_LOG_ERROR, "worker", "%s=%s could not be set: out of memory", name, text);
}

static mr_status run(mr_task_ctx *ctx)
{
    mr_task_fn fn;
    const mr_call_info *info = ctx->info;
    mr_status st = mr_library_find(info->kind == MR_CALL_METHOD ? actor.class : NULL, info->entry, &fn, &ctx->why);
    if (st) {
        ctx->failed = true;
        return st;
    }
    if (info->gpus)
        give_gpus(info->gpus);
    if (info->kind == MR_CALL_ACTOR)
        snprintf(actor.class, sizeof(actor.class), "%s", info->entry);
    st = fn(ctx);
    uint32_t missing = st ? 0 : mr_calls_missing(ctx->call);
    if (missing)
        return mr_ctx_fail(ctx, "%s returned without %u of its %u results", info->name, missing, info->n_returns);
    return st;
}

void mr_task_run(mr_session *s, mr_call *call, const mr_call_info *info)
{
    mr_task_ctx ctx = {.session = s, .call = call, .info = info};
    mr_status st = mr_call_start(call, true);
    if (!st) {
        st = run(&ctx);
        if (mr_call_stop(call) == MR_E_CANCELLED)
            st = MR_E_CANCELLED;
        if (st && st != MR_E_CANCELLED)
            st = tell_error(&ctx, st);
    }
    st = mr_call_finish(call, st, false);
    if (st && st != MR_E_CLOSED)
        mr_log(MR_LOG_ERROR, "worker", "the end of a task cannot be told: %s", mr_status_text(st));
}
