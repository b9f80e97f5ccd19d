/* case.c: owns the child process of a case, its pipe and its time limit; and what most store cases share.
 *
 * The child is a process group of its own, so that one that hangs is killed with everything it forked.
 */
#define _GNU_SOURCE
#include "plugin/conformance/case.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/log.h"
#include "plugin/conformance/cases.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKED() __lsan_do_recoverable_leak_check()
#else
#define LEAKED() 0
#endif

enum { EXIT_FAILED = 1, EXIT_SKIPPED = 77, EXIT_FAULTED = 78, LIMIT_MS = 60 * 1000 };

static void report(const mr_case *c, const char *fmt, ...) MR_PRINTF(2, 3);
static void report(const mr_case *c, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (write(c->pipe, text, strlen(text)) < 0)
        perror("conformance: the parent is gone");
}

void mr_case_fail(mr_case *c, const char *file, int line, const char *fmt, ...)
{
    char text[500];
    const char *base = strrchr(file, '/');
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    report(c, "%s (%s:%d)", text, base ? base + 1 : file, line);
    _exit(EXIT_FAILED);
}

void mr_case_skip(mr_case *c, const char *why)
{
    report(c, "%s", why);
    _exit(EXIT_SKIPPED);
}

/* -- the child -------------------------------------------------------------------------------------------------- */

void mr_case_die_with_parent(void)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

static _Noreturn void child(const mr_loaded *plugin, const mr_case_def *def, int pipe_end)
{
    mr_case c = {.plugin = plugin, .ops = &plugin->ops.store, .capacity = def->capacity, .pipe = pipe_end};
    const mr_store_conf conf = {.capacity = def->capacity, .node = 0};
    mr_err err = {0};
    setpgid(0, 0);
    mr_case_die_with_parent();
    if (mr_host_new(&c.box, plugin->plugin, NULL, NULL, NULL))
        mr_case_fail(&c, __FILE__, __LINE__, "no memory for a host table");
    c.host = mr_host_table(c.box);
    if (c.ops->open(&c.self, c.host, &conf, &err))
        mr_case_fail(&c, __FILE__, __LINE__, "open with a capacity of %llu gives %s: %s",
                     (unsigned long long)def->capacity, mr_status_name(err.status), err.text);
    CHECK(&c, c.self != NULL);
    def->run(&c);
    if (c.self)
        c.ops->close(c.self);
    if (mr_host_failure(c.box))
        mr_case_fail(&c, __FILE__, __LINE__, "the plugin called fail(): %s", mr_host_failure(c.box));
    if (mr_host_bytes(c.box))
        mr_case_fail(&c, __FILE__, __LINE__, "%llu bytes of host memory were not given back by close",
                     (unsigned long long)mr_host_bytes(c.box));
    mr_host_free(c.box);
    if (LEAKED())
        mr_case_fail(&c, __FILE__, __LINE__, "memory was leaked");
    _exit(0);
}

/* Waits with a limit; -1 when it had to be killed. */
static int reap(pid_t pid)
{
    int status;
    for (int ms = 0; ms < LIMIT_MS; ms++) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            return status;
        if (got < 0 && errno != EINTR)
            return -1;
        poll(NULL, 0, 1);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

static int run_one(const mr_loaded *plugin, const mr_case_def *def, FILE *out)
{
    char text[1024] = "";
    int ends[2], status;
    ssize_t n;
    pid_t pid;
    fflush(NULL);
    if (pipe(ends) || (pid = fork()) < 0) {
        fprintf(out, "FAILED %s: can not start a process for it: %s\n", def->name, strerror(errno));
        return 1;
    }
    if (pid == 0) {
        close(ends[0]);
        child(plugin, def, ends[1]);
    }
    close(ends[1]);
    status = reap(pid);
    kill(-pid, SIGKILL); /* peers that the case left behind */
    n = status == -1 ? 0 : read(ends[0], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    if (status == -1)
        fprintf(out, "FAILED %s: did not end within %d s\n", def->name, LIMIT_MS / 1000);
    else if (WIFSIGNALED(status))
        fprintf(out, "FAILED %s: ended by signal %d (%s)%s%s\n", def->name, WTERMSIG(status),
                strsignal(WTERMSIG(status)), *text ? ": " : "", text);
    else if (WEXITSTATUS(status) == EXIT_SKIPPED)
        fprintf(out, "skipped %s: %s\n", def->name, text);
    else if (WEXITSTATUS(status))
        fprintf(out, "FAILED %s: %s\n", def->name, *text ? text : "exited with an error");
    else
        fprintf(out, "ok %s\n", def->name);
    return !(WIFEXITED(status) && status != -1 && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EXIT_SKIPPED));
}

int mr_case_run(const mr_loaded *plugin, const mr_case_def *cases, size_t n, FILE *out)
{
    int failed = 0;
    for (size_t i = 0; i < n; i++)
        failed += run_one(plugin, &cases[i], out);
    fflush(out);
    return failed;
}

int mr_store_conformance(const mr_loaded *l, FILE *out)
{
    return mr_case_run(l, mr_store_cases, mr_store_n_cases, out) +
           mr_case_run(l, mr_store_use_cases, mr_store_n_use_cases, out) +
           mr_case_run(l, mr_store_option_cases, mr_store_n_option_cases, out);
}

/* -- peers ------------------------------------------------------------------------------------------------------ */

static _Noreturn void peer(mr_case *c, const mr_share *share, void (*run)(mr_case *, void *, void *), void *arg)
{
    void *self = NULL;
    mr_err err = {0};
    mr_case_die_with_parent();
    if (c->ops->attach(&self, c->host, share, &err))
        mr_case_fail(c, __FILE__, __LINE__, "attach gives %s: %s", mr_status_name(err.status), err.text);
    run(c, self, arg);
    c->ops->detach(self);
    _exit(0);
}

void mr_case_in_peer(mr_case *c, void (*run)(mr_case *c, void *peer, void *arg), void *arg, int signal)
{
    mr_share share;
    int status;
    pid_t pid;
    DONE(c, c->ops->share(c->self, &share));
    pid = fork();
    CHECK(c, pid >= 0);
    if (pid == 0)
        peer(c, &share, run, arg);
    status = reap(pid);
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED)
        _exit(EXIT_FAILED); /* the peer has written why */
    CHECK(c, status != -1);
    if (signal) {
        CHECK(c, WIFSIGNALED(status) && WTERMSIG(status) == signal);
    } else {
        CHECK(c, WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void faulted(int signal)
{
    (void)signal;
    _exit(EXIT_FAULTED);
}

bool mr_case_faults(mr_case *c, void *at)
{
    int status;
    pid_t pid = fork();
    CHECK(c, pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, faulted);
        signal(SIGBUS, faulted);
        *(volatile char *)at = 1;
        _exit(0);
    }
    status = reap(pid);
    CHECK(c, status != -1 && WIFEXITED(status));
    return WEXITSTATUS(status) == EXIT_FAULTED;
}

/* -- bytes ------------------------------------------------------------------------------------------------------ */

uint64_t mr_case_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

void mr_case_fill(void *data, uint64_t len, uint64_t seed)
{
    unsigned char *at = data;
    uint64_t state = seed * 2 + 1;
    while (len) {
        uint64_t word = mr_case_random(&state), n = len < sizeof(word) ? len : sizeof(word);
        memcpy(at, &word, n);
        at += n;
        len -= n;
    }
}

bool mr_case_filled(const void *data, uint64_t len, uint64_t seed)
{
    const unsigned char *at = data;
    uint64_t state = seed * 2 + 1;
    while (len) {
        uint64_t word = mr_case_random(&state), n = len < sizeof(word) ? len : sizeof(word);
        if (memcmp(at, &word, n) != 0)
            return false;
        at += n;
        len -= n;
    }
    return true;
}

void mr_case_put(mr_case *c, mr_id id, uint64_t len, uint64_t seed)
{
    mr_region r = {0};
    DONE(c, c->ops->create(c->self, id, len, &r));
    CHECK(c, r.data != NULL);
    SAME(c, r.len, len);
    mr_case_fill(r.data, len, seed);
    DONE(c, c->ops->seal(c->self, id));
}

void mr_case_expect(mr_case *c, mr_id id, uint64_t len, uint64_t seed)
{
    mr_region r = {0};
    DONE(c, c->ops->get(c->self, id, &r));
    CHECK(c, r.data != NULL);
    SAME(c, r.len, len);
    CHECK(c, mr_case_filled(r.data, len, seed));
    DONE(c, c->ops->release(c->self, id));
}

uint64_t mr_case_used(mr_case *c, uint64_t otherwise)
{
    mr_store_stats s = {0};
    if (!c->ops->stats)
        return otherwise;
    c->ops->stats(c->self, &s);
    return s.used;
}

uint64_t mr_case_largest(mr_case *c, uint64_t otherwise)
{
    mr_store_stats s = {0};
    if (!c->ops->stats)
        return otherwise;
    c->ops->stats(c->self, &s);
    return s.largest;
}
