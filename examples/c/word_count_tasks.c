/* word_count_tasks.c: the tasks of word_count.c. */
#include <miniray/miniray.h>

#include "words.h"

static mr_status give(mr_task_ctx *ctx, words *w, int failed)
{
    uint64_t len;
    char *bytes = failed ? NULL : words_pack(w, &len);
    words_free(w);
    if (!bytes)
        return MR_E_NOMEM;
    mr_status st = mr_ctx_return(ctx, 0, bytes, len);
    free(bytes);
    return st;
}

static mr_status count_words(mr_task_ctx *ctx)
{
    mr_value v;
    words w = {0};
    mr_status st = mr_ctx_dep(ctx, 0, &v);
    return st ? st : give(ctx, &w, words_count(&w, v.data, v.len));
}

static mr_status merge_counts(mr_task_ctx *ctx)
{
    words w = {0};
    int failed = 0;
    for (uint32_t i = 0; i < mr_ctx_deps(ctx) && !failed; i++) {
        mr_value v;
        failed = mr_ctx_dep(ctx, i, &v) || words_unpack(&w, v.data, v.len);
    }
    return give(ctx, &w, failed);
}

static const mr_export exports[] = {{"count_words", count_words}, {"merge_counts", merge_counts}};

MR_EXPORT const mr_exports *mr_exports_entry(void);
const mr_exports *mr_exports_entry(void)
{
    static const mr_exports all = {sizeof(mr_export), sizeof(exports) / sizeof(exports[0]), exports};
    return &all;
}
