/* worker.h: the inside of a C worker: which tasks its libraries hold, and the context of the one that runs. */
#ifndef MR_WORKER_WORKER_H
#define MR_WORKER_WORKER_H

#include <miniray/miniray.h>

/* Loads every library of MINIRAY_LIBRARIES; one that does not load is told when a task is not found. */
void mr_library_load_all(const char *paths);
/* The task `entry`, or `class.entry` if `class` is given.  Errors: NOTFOUND, err says where it was looked for. */
mr_status mr_library_find(const char *class, const char *entry, mr_task_fn *out, mr_err *err) MR_CHECK_RESULT;

/* Runs one call to its end. */
void mr_task_run(mr_session *s, mr_call *call, const mr_call_info *info);
/* Frees the state of the actor that lived in this process. */
void mr_task_drop_state(void);

/* The worker process: attach, then calls until the node says leave.  Returns the exit status. */
int mr_worker_main(void);

#endif
