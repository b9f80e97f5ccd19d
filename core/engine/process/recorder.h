/* recorder.h: [engine] record: every event that control took and what it did with processes, one JSON object a line,
 * for `miniray replay`.
 *
 * Owned by the node list; every call under its lock.  Lines are gathered and written 256 KB at a time; a disk that
 * fails ends the recording with one line in the log, not the session. */
#ifndef MR_ENGINE_PROCESS_RECORDER_H
#define MR_ENGINE_PROCESS_RECORDER_H

#include "engine/process/node.h"
#include "engine/process/text.h"

typedef struct mr_recorder {
    int fd;
    uint64_t at; /* how far the finished tasks were told */
    mr_text text;
} mr_recorder;

/* Nothing is recorded unless the setting names a file.  Errors: IO (it can not be written), NOMEM. */
mr_status mr_recorder_open(mr_nodes *n, mr_err *err) MR_CHECK_RESULT;
/* After control took `r` (status OK) and added n->actions from `first` on.  TIME itself is left out: it says only that
 * an instant is over. */
void mr_recorder_step(mr_nodes *n, const mr_record *r, size_t first);
void mr_recorder_close(mr_nodes *n);

#endif
