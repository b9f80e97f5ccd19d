/* map_reduce_tasks.c: the tasks of map_reduce.c. */
#include <string.h>

#include <miniray/miniray.h>

static mr_status sum_of_squares(mr_task_ctx *ctx)
{
    mr_value v;
    mr_status st = mr_ctx_dep(ctx, 0, &v);
    if (st)
        return st;
    const uint32_t *numbers = v.data; /* where the driver wrote them: nothing was copied */
    uint64_t sum = 0;
    for (uint64_t i = 0; i < v.len / sizeof(*numbers); i++)
        sum += (uint64_t)numbers[i] * numbers[i];
    return mr_ctx_return(ctx, 0, &sum, sizeof(sum));
}

static mr_status add(mr_task_ctx *ctx)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < mr_ctx_deps(ctx); i++) {
        mr_value v;
        uint64_t part;
        mr_status st = mr_ctx_dep(ctx, i, &v);
        if (st)
            return st;
        if (v.len != sizeof(part))
            return mr_ctx_fail(ctx, "argument %u has %llu bytes", i, (unsigned long long)v.len);
        memcpy(&part, v.data, sizeof(part));
        sum += part;
    }
    return mr_ctx_return(ctx, 0, &sum, sizeof(sum));
}

static const mr_export exports[] = {{"sum_of_squares", sum_of_squares}, {"add", add}};

MR_EXPORT const mr_exports *mr_exports_entry(void);
const mr_exports *mr_exports_entry(void)
{
    static const mr_exports all = {sizeof(mr_export), sizeof(exports) / sizeof(exports[0]), exports};
    return &all;
}
