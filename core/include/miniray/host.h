/* host.h: the services that miniray gives to every plugin instance.
 *
 * The table is owned by the core and good from the instance's open until its close returns.  Append only.
 * Thread: any thread that runs one of the plugin's ops.  None of these calls an op, blocks, or takes a core lock.
 */
#ifndef MINIRAY_HOST_H
#define MINIRAY_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <miniray/status.h>

typedef enum mr_log_level { MR_LOG_ERROR = 0, MR_LOG_WARN = 1, MR_LOG_INFO = 2, MR_LOG_DEBUG = 3 } mr_log_level;

typedef struct mr_host mr_host;
struct mr_host {
    size_t size;      /* sizeof(mr_host) of the core that filled it */
    const char *name; /* of this instance, e.g. "sched-locality"; for messages */
    void *ctx;        /* the core's own; not for plugins */

    /* One line to the session's log, prefixed with the plugin's name.  Safe with any level; cut at 1 KB. */
    void (*log)(const mr_host *h, mr_log_level level, const char *fmt, ...) MR_PRINTF(3, 4);

    /* Engine time, ns since the run began.  Virtual in the simulator.  Plugins have no other clock. */
    int64_t (*now)(const mr_host *h);

    /* The text of `key` in this plugin's section ([store.NAME] or [sched.NAME]); its declared default when the file
     * says nothing; NULL when there is neither.  The text lives as long as the instance. */
    const char *(*conf)(const mr_host *h, const char *key);

    /* The same, parsed (already checked against the declared type at start): integers, bytes ("64M"), durations
     * ("10ms", in ns), booleans (0 or 1); numbers with a point. */
    int64_t (*conf_int)(const mr_host *h, const char *key, int64_t otherwise);
    double (*conf_double)(const mr_host *h, const char *key, double otherwise);

    /* The i-th key that the section gives, for plugins that accept any key ("*"); NULL past the end. */
    const char *(*conf_key)(const mr_host *h, size_t i);

    /* Memory that is counted as this plugin's.  `alloc` gives zeroed, 16-byte aligned memory or NULL. */
    void *(*alloc)(const mr_host *h, size_t size);
    void (*free)(const mr_host *h, void *p);

    /* The plugin can not go on: a policy is ejected to FIFO after the current op returns, a store ends the session.
     * The first text wins; say what happened and on which input. */
    void (*fail)(const mr_host *h, const char *fmt, ...) MR_PRINTF(2, 3);

    /* 1.1.  What the op that runs took, in units that count the same on every machine (sched-lua: instructions of its
     * virtual machine): the simulator lets time pass for it ([sim] decision_ns) and reports it.  NULL: nobody counts.
     */
    void (*work)(const mr_host *h, uint64_t units);
};

#endif
