/* log.c: owns the log level and descriptor of the process, and the texts of the statuses.
 *
 * A line is formatted on the stack and written with one write(2), so lines of several threads and processes do not mix
 * and no lock is needed; level and descriptor are atomics.  Knows nothing of sessions or workers.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic int log_level = MR_LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO;

const char *mr_status_text(mr_status status)
{
    switch (status) {
#define MR_STATUS_CASE(name, code, text)                                                                               \
    case MR_##name:                                                                                                    \
        return text;
        MR_STATUS_MAP(MR_STATUS_CASE)
#undef MR_STATUS_CASE
    }
    /* Numbers from a newer record or a plugin's mistake: keep the number visible.  Thread-local, good until the next.
     */
    static _Thread_local char unknown[40];
    snprintf(unknown, sizeof unknown, "unknown status %d", (int)status);
    return unknown;
}

const char *mr_status_name(mr_status status)
{
    switch (status) {
#define MR_STATUS_CASE(name, code, text)                                                                               \
    case MR_##name:                                                                                                    \
        return #name;
        MR_STATUS_MAP(MR_STATUS_CASE)
#undef MR_STATUS_CASE
    }
    return "?";
}

mr_status mr_err_set(mr_err *err, mr_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    /* The arguments may point into err->text itself (a caller adding a prefix), so format aside. */
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err->status = status;
    memcpy(err->text, text, sizeof text);
    return status;
}

void mr_log_setup(mr_log_level level, int fd)
{
    atomic_store(&log_level, (int)level);
    atomic_store(&log_fd, fd);
}

mr_log_level mr_log_level_now(void)
{
    return (mr_log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

void mr_logv(mr_log_level level, const char *room, const char *fmt, va_list args)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    char line[1400];
    int saved = errno;

    if (level > mr_log_level_now())
        return;
    size_t at = (size_t)snprintf(line, 80, "miniray %.16s [%.40s] ", words[level & 3], room);
    int n = vsnprintf(line + at, sizeof line - at - 1, fmt, args);
    if (n > 0)
        at += (size_t)n < sizeof line - at - 1 ? (size_t)n : sizeof line - at - 2;
    line[at++] = '\n';
    for (size_t done = 0; done < at;) {
        ssize_t wrote = write(atomic_load(&log_fd), line + done, at - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) /* nobody is left to tell */
            break;
        done += (size_t)wrote;
    }
    errno = saved;
}

void mr_log(mr_log_level level, const char *room, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mr_logv(level, room, fmt, args);
    va_end(args);
}

_Noreturn void mr_bug(const char *file, int line, const char *what)
{
    mr_log(MR_LOG_ERROR, "bug", "%s:%d: broken invariant: %s; this is a defect in miniray, please report it", file,
           line, what);
    abort();
}
