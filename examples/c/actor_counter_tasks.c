/* actor_counter_tasks.c: the class of actor_counter.c. */
#include <stdlib.h>
#include <string.h>

#include <miniray/miniray.h>

static mr_status counter_new(mr_task_ctx *ctx)
{
    size_t len;
    const void *start = mr_ctx_data(ctx, &len);
    int64_t *count = malloc(sizeof(*count));
    if (!count)
        return MR_E_NOMEM;
    if (len != sizeof(*count)) {
        free(count);
        return mr_ctx_fail(ctx, "a Counter starts from a number of %zu bytes, not %zu", sizeof(int64_t), len);
    }
    memcpy(count, start, len);
    mr_ctx_set_state(ctx, count, free);
    return MR_OK;
}

static mr_status counter_add(mr_task_ctx *ctx)
{
    int64_t *count = mr_ctx_state(ctx), by;
    size_t len;
    const void *data = mr_ctx_data(ctx, &len);
    if (len != sizeof(by))
        return mr_ctx_fail(ctx, "Counter.add needs a number of %zu bytes, not %zu", sizeof(by), len);
    memcpy(&by, data, sizeof(by));
    *count += by;
    return mr_ctx_return(ctx, 0, count, sizeof(*count));
}

static const mr_export exports[] = {{"Counter", counter_new}, {"Counter.add", counter_add}};

MR_EXPORT const mr_exports *mr_exports_entry(void);
const mr_exports *mr_exports_entry(void)
{
    static const mr_exports all = {sizeof(mr_export), sizeof(exports) / sizeof(exports[0]), exports};
    return &all;
}
