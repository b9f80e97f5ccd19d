/* tour_tasks.c: the tasks of tour.c: each shows one thing that a task in C can do. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <miniray/miniray.h>

/* Gives its bytes back. */
static mr_status echo(mr_task_ctx *ctx)
{
    size_t len;
    const void *data = mr_ctx_data(ctx, &len);
    return mr_ctx_return(ctx, 0, data, len);
}

static mr_status fail(mr_task_ctx *ctx)
{
    return mr_ctx_fail(ctx, "this task fails whenever it is asked");
}

static mr_status crash(mr_task_ctx *ctx)
{
    (void)ctx;
    abort();
}

/* Sleeps in small steps for as many ms as the number says, and looks whether it was cancelled. */
static mr_status nap(mr_task_ctx *ctx)
{
    size_t len;
    uint64_t ms;
    const void *data = mr_ctx_data(ctx, &len);
    if (len != sizeof(ms))
        return mr_ctx_fail(ctx, "nap needs a number");
    memcpy(&ms, data, sizeof(ms));
    for (uint64_t i = 0; i < ms; i++) {
        if (mr_ctx_cancelled(ctx))
            return MR_E_CANCELLED;
        usleep(1000);
    }
    return mr_ctx_return(ctx, 0, &ms, sizeof(ms));
}

/* Waits for an object whose reference came inside the arguments. */
static mr_status wait_for(mr_task_ctx *ctx)
{
    mr_session *s = mr_ctx_session(ctx);
    mr_id id;
    mr_err err;
    mr_value v;
    size_t len;
    const void *data = mr_ctx_data(ctx, &len);
    if (len != sizeof(id))
        return mr_ctx_fail(ctx, "wait_for needs a reference");
    memcpy(&id, data, sizeof(id));
    mr_status st = mr_get(s, &id, 1, -1, 0, &v, &err);
    if (st)
        return st;
    if (v.status)
        return v.status;
    st = mr_ctx_return(ctx, 0, v.data, v.len);
    mr_decref(s, id);
    return st;
}

/* {n, number of this function} -> the n-th Fibonacci number: every call submits two more and waits for them. */
static mr_status fib(mr_task_ctx *ctx)
{
    mr_session *s = mr_ctx_session(ctx);
    uint32_t job[2];
    size_t len;
    mr_err err;
    const void *data = mr_ctx_data(ctx, &len);
    if (len != sizeof(job))
        return mr_ctx_fail(ctx, "fib needs two numbers");
    memcpy(job, data, sizeof(job));
    uint64_t sum = job[0], part;
    if (job[0] >= 2) {
        mr_id ids[2];
        mr_value v[2];
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t next[2] = {job[0] - 1 - i, job[1]};
            if (mr_submit(s, job[1], MR_NO_ID, &(mr_args){.data = next, .len = sizeof(next)}, NULL, &ids[i], &err))
                return mr_ctx_fail(ctx, "fib: %s", err.text);
        }
        mr_status st = mr_get(s, ids, 2, -1, 0, v, &err);
        if (st)
            return st;
        sum = 0;
        for (uint32_t i = 0; i < 2; i++) {
            if (v[i].error || v[i].len != sizeof(part))
                return mr_ctx_fail(ctx, "fib(%u) failed", job[0] - 1 - i);
            memcpy(&part, v[i].data, sizeof(part));
            sum += part;
            mr_decref(s, ids[i]); /* of the value */
            mr_decref(s, ids[i]); /* of the submit */
        }
    }
    return mr_ctx_return(ctx, 0, &sum, sizeof(sum));
}

/* A result of so many bytes, written where it will stay. */
static mr_status big(mr_task_ctx *ctx)
{
    uint64_t want;
    size_t len;
    void *to;
    mr_err err;
    const void *data = mr_ctx_data(ctx, &len);
    if (len != sizeof(want))
        return mr_ctx_fail(ctx, "big needs a number");
    memcpy(&want, data, sizeof(want));
    mr_call *call = mr_ctx_call(ctx);
    if (mr_call_create(call, 0, want, &to, &err))
        return mr_ctx_fail(ctx, "%s", err.text);
    memset(to, (int)(want & 0xFF), want);
    return mr_call_seal(call, 0, MR_FORMAT_BYTES, NULL, 0, &err);
}

static mr_status two(mr_task_ctx *ctx)
{
    mr_status st = mr_ctx_return(ctx, 0, "first", 5);
    return st ? st : mr_ctx_return(ctx, 1, "second", 6);
}

/* Returns a reference to an object that it puts: the object outlives this process. */
static mr_status put_inside(mr_task_ctx *ctx)
{
    mr_session *s = mr_ctx_session(ctx);
    mr_id id;
    mr_err err;
    size_t len;
    const void *data = mr_ctx_data(ctx, &len);
    if (mr_put(s, MR_FORMAT_BYTES, data, len, NULL, 0, &id, &err))
        return mr_ctx_fail(ctx, "%s", err.text);
    mr_status st = mr_call_return(mr_ctx_call(ctx), 0, MR_FORMAT_BYTES, &id, sizeof(id), &id, 1, &err);
    mr_decref(s, id);
    return st;
}

/* A stream of the numbers 0 to n - 1. */
static mr_status count_up(mr_task_ctx *ctx)
{
    uint64_t n;
    size_t len;
    const void *data = mr_ctx_data(ctx, &len);
    if (len != sizeof(n))
        return mr_ctx_fail(ctx, "count_up needs a number");
    memcpy(&n, data, sizeof(n));
    for (uint64_t i = 0; i < n; i++) {
        mr_status st = mr_ctx_yield(ctx, &i, sizeof(i));
        if (st)
            return st;
    }
    return MR_OK;
}

/* Forgets its result. */
static mr_status forgetful(mr_task_ctx *ctx)
{
    (void)ctx;
    return MR_OK;
}

static mr_status pid(mr_task_ctx *ctx)
{
    uint64_t mine = (uint64_t)getpid();
    return mr_ctx_return(ctx, 0, &mine, sizeof(mine));
}

static mr_status cell_new(mr_task_ctx *ctx)
{
    mr_ctx_set_state(ctx, calloc(1, sizeof(uint64_t)), free);
    return mr_ctx_state(ctx) ? MR_OK : MR_E_NOMEM;
}

static mr_status cell_next(mr_task_ctx *ctx)
{
    uint64_t *n = mr_ctx_state(ctx);
    ++*n;
    return mr_ctx_return(ctx, 0, n, sizeof(*n));
}

static const mr_export exports[] = {
    {"echo", echo},
    {"fail", fail},
    {"crash", crash},
    {"nap", nap},
    {"wait_for", wait_for},
    {"fib", fib},
    {"big", big},
    {"two", two},
    {"put_inside", put_inside},
    {"count_up", count_up},
    {"forgetful", forgetful},
    {"pid", pid},
    {"Cell", cell_new},
    {"Cell.next", cell_next},
    {"Cell.crash", crash},
    {"Cell.pid", pid},
};

MR_EXPORT const mr_exports *mr_exports_entry(void);
const mr_exports *mr_exports_entry(void)
{
    static const mr_exports all = {sizeof(mr_export), sizeof(exports) / sizeof(exports[0]), exports};
    return &all;
}
