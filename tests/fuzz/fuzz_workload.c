/* fuzz_workload.c: any bytes as a workload, whole and as a stream: read, linked and run, or refused with a message;
 * never a crash, a leak, a hang or a schedule that breaks a bound.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/sim/json.h"
#include "engine/sim/report.h"
#include "engine/sim/sim.h"

enum { RUN_MOST = 200 /* tasks and nodes of what is run */ };

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

/* A run may fail (a task that fits nowhere, results that died with a node), with a reason. */
static void run(mr_workload *w, bool unfold)
{
    mr_sim_conf conf;
    mr_sim *s = NULL;
    mr_err err = {0};
    mr_sim_conf_init(&conf);
    conf.unfold = unfold && !w->stream;
    conf.check = true;
    conf.max_time = INT64_C(1000000000000);
    mr_status status = mr_sim_new(&s, w, &w->platform, &conf, &err);
    for (uint32_t steps = 0; !status && !mr_sim_done(s) && steps < 5000; steps++)
        status = mr_sim_step(s, &err);
    if (status && !err.text[0])
        abort();
    if (status == MR_E_INVAL || status == MR_E_PROTOCOL) { /* control refused what the simulator made of it */
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    if (!status && !w->stream && mr_sim_done(s) && mr_report_verify(w, &w->platform, s, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    mr_sim_free(s);
}

static void stream(const uint8_t *data, size_t size)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    mr_status status = mr_feed_open(&w, path, 1, &err);
    if (status && !err.text[0])
        abort();
    if (!status && w->platform.n_nodes && w->platform.n_nodes <= RUN_MOST)
        run(w, false);
    mr_workload_free(w);
    close(fd);
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
        if (w->n_tasks <= RUN_MOST && w->platform.n_nodes <= RUN_MOST)
            run(w, size % 2);
    }
    mr_workload_free(w);
    free(text);
    stream(data, size);
    return 0;
}
