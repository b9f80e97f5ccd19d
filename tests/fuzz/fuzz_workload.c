/* fuzz_workload.c: any bytes as a workload: read, linked, or refused with a message; never a crash, a leak or a hang.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sim/json.h"
#include "engine/sim/report.h"
#include "engine/sim/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mr_status read_any(mr_workload *w, char *text, size_t size, mr_err *err)
{
    cJSON *root = NULL;
    mr_err ignored;
    mr_json_at quiet = {"fuzz", 0, &ignored, NULL};
    if (mr_json_parse(&quiet, text, size, &root) == MR_OK && cJSON_HasObjectItem(root, "workflow")) {
        mr_status status = mr_workload_read_wf(w, root, err);
        cJSON_Delete(root);
        return status;
    }
    cJSON_Delete(root);
    return mr_workload_read_jsonl(w, text, size, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    char *text = malloc(size + 1);
    if (!text || mr_workload_new(&w, "fuzz")) {
        free(text);
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    mr_status status = read_any(w, text, size, &err);
    if (!status)
        status = mr_workload_link(w, &err);
    if (status && !err.text[0])
        abort(); /* refused without a word */
    if (!status && w->platform.n_nodes && mr_workload_horizon(w, &w->platform, &err) == MR_OK) {
        mr_report_bounds b;
        mr_report_bounds_get(w, &w->platform, &b);
        if (b.critical_path < 0)
            abort();
    }
    mr_workload_free(w);
    free(text);
    return 0;
}
