/* c_bench_tasks.c: the tasks of c_bench.c. */
#include <stdlib.h>
#include <string.h>

#include <miniray/miniray.h>

static mr_status nothing(mr_task_ctx *ctx)
{
    return mr_ctx_return(ctx, 0, NULL, 0);
}

static mr_status counter(mr_task_ctx *ctx)
{
    mr_ctx_set_state(ctx, calloc(1, sizeof(uint64_t)), free);
    return mr_ctx_state(ctx) ? MR_OK : MR_E_NOMEM;
}

static mr_status add(mr_task_ctx *ctx)
{
    uint64_t *n = mr_ctx_state(ctx);
    ++*n;
    return mr_ctx_return(ctx, 0, n, sizeof(*n));
}

enum { MOST = 1000 };

/* {function, how many calls, actors...}: calls them in turn and waits for all. */
static mr_status call_all(mr_task_ctx *ctx)
{
    static mr_id ids[MOST];
    static mr_value values[MOST];
    mr_session *s = mr_ctx_session(ctx);
    mr_err err;
    size_t len;
    const uint64_t *job = mr_ctx_data(ctx, &len);
    if (len < 3 * sizeof(*job) || job[1] > MOST)
        return mr_ctx_fail(ctx, "call_all needs a function, at most %d calls, and an actor", MOST);
    size_t n = job[1], actors = len / sizeof(*job) - 2;
    for (size_t i = 0; i < n; i++)
        if (mr_submit(s, (uint32_t)job[0], job[2 + i % actors], NULL, NULL, &ids[i], &err))
            return mr_ctx_fail(ctx, "%s", err.text);
    mr_status st = mr_get(s, ids, n, -1, 0, values, &err);
    for (size_t i = 0; i < n; i++) {
        if (!st)
            mr_decref(s, ids[i]); /* of the value */
        mr_decref(s, ids[i]);
    }
    return st ? st : mr_ctx_return(ctx, 0, NULL, 0);
}

static const mr_export exports[] = {
    {"nothing", nothing}, {"Counter", counter}, {"Counter.add", add}, {"call_all", call_all}};

MR_EXPORT const mr_exports *mr_exports_entry(void);
const mr_exports *mr_exports_entry(void)
{
    static const mr_exports all = {sizeof(mr_export), sizeof(exports) / sizeof(exports[0]), exports};
    return &all;
}
