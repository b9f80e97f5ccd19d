/* pi_tasks.c: the task of pi.c. */
#include <string.h>

#include <miniray/miniray.h>

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* {seed, darts} -> how many fell inside the quarter of a circle */
static mr_status throw_darts(mr_task_ctx *ctx)
{
    size_t len;
    uint64_t job[2], hits = 0;
    const void *data = mr_ctx_data(ctx, &len);
    if (len != sizeof(job))
        return mr_ctx_fail(ctx, "throw_darts needs %zu bytes, not %zu", sizeof(job), len);
    memcpy(job, data, sizeof(job));
    uint64_t state = job[0] * UINT64_C(1000003);
    for (uint64_t i = 0; i < job[1]; i++) {
        double x = (double)(next_random(&state) >> 11) / 9007199254740992.0;
        double y = (double)(next_random(&state) >> 11) / 9007199254740992.0;
        hits += x * x + y * y <= 1.0;
    }
    return mr_ctx_return(ctx, 0, &hits, sizeof(hits));
}

static const mr_export exports[] = {{"throw_darts", throw_darts}};

MR_EXPORT const mr_exports *mr_exports_entry(void);
const mr_exports *mr_exports_entry(void)
{
    static const mr_exports all = {sizeof(mr_export), sizeof(exports) / sizeof(exports[0]), exports};
    return &all;
}
