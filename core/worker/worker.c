/* worker.c: the life of a C worker process.  One thread. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "worker/worker.h"

/* True: go on. */
static bool take(mr_session *s, mr_call *call)
{
    mr_call_info info;
    mr_call_describe(call, &info);
    if (info.kind == MR_CALL_TASK || info.kind == MR_CALL_ACTOR || info.kind == MR_CALL_METHOD) {
        mr_task_run(s, call, &info);
        return true;
    }
    if (info.kind == MR_CALL_LEAVE)
        mr_task_drop_state();
    /* COLLECT: nothing of ours lies around, and giving up references is what every call begins with.
     * CANCEL is for calls of event loops and threads; a C task is cancelled by signal. */
    mr_status st = mr_call_finish(call, MR_OK, false);
    return st == MR_OK && info.kind != MR_CALL_LEAVE;
}

int mr_worker_main(void)
{
    mr_err err;
    mr_session *s;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a line printed is a line seen */
    mr_status st = mr_attach(&s, &err);
    if (st) {
        mr_log(MR_LOG_ERROR, "worker", "%s", err.text);
        return 1;
    }
    mr_library_load_all(getenv("MINIRAY_LIBRARIES"));
    for (;;) {
        mr_call *call;
        st = mr_call_next(s, -1, &call);
        if (st == MR_E_INTERRUPTED)
            continue;
        if (st || !take(s, call))
            break;
    }
    mr_close(s);
    if (st && st != MR_E_CLOSED)
        mr_log(MR_LOG_ERROR, "worker", "%s", mr_status_text(st));
    return st && st != MR_E_CLOSED;
}
