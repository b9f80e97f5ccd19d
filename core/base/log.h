/* log.h: one line at a time to the session's log (stderr unless a file is set), and status texts.
 *
 * Thread: any; a line is one write(2).  Never allocates, so it may be called under a lock (but not in control).
 */
#ifndef MR_BASE_LOG_H
#define MR_BASE_LOG_H

#include <stdarg.h>

#include <miniray/host.h>
#include <miniray/status.h>

/* "the object store is full"; "unknown status -99" for a number that is not in the map. */
const char *mr_status_text(mr_status status);
/* "E_FULL"; "?" for a number that is not in the map. */
const char *mr_status_name(mr_status status);

/* Fills *err (may be NULL) and returns status, so that `return mr_err_set(err, MR_E_INVAL, "...")` reads well. */
mr_status mr_err_set(mr_err *err, mr_status status, const char *fmt, ...) MR_PRINTF(3, 4);

/* Lines above `level` are dropped; `fd` is borrowed and stays open (default 2). */
void mr_log_setup(mr_log_level level, int fd);
mr_log_level mr_log_level_now(void);
void mr_log(mr_log_level level, const char *room, const char *fmt, ...) MR_PRINTF(3, 4);
void mr_logv(mr_log_level level, const char *room, const char *fmt, va_list args);

/* A broken invariant: says where, then aborts.  On in release builds too. */
#define MR_BUG_ON(cond)                                                                                                \
    do {                                                                                                               \
        if (cond)                                                                                                      \
            mr_bug(__FILE__, __LINE__, #cond);                                                                         \
    } while (0)
_Noreturn void mr_bug(const char *file, int line, const char *what);

#endif
