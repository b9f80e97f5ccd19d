/* case.h: how one conformance case runs: in a child process, on a fresh instance, with a time limit.
 *
 * Private to core/plugin/conformance.  A case ends at its first failed check.
 */
#ifndef MR_PLUGIN_CONFORMANCE_CASE_H
#define MR_PLUGIN_CONFORMANCE_CASE_H

#include <stdio.h>

#include "base/log.h"
#include "plugin/loader.h"

typedef struct mr_case {
    const mr_loaded *plugin;
    const mr_store_ops *ops;
    mr_host_box *box;
    const mr_host *host;
    void *self;        /* open when the case begins; a case that closes it sets it to NULL */
    uint64_t capacity; /* what it was opened with */
    int pipe;          /* to the parent: the text of the failure */
} mr_case;

typedef struct mr_case_def {
    const char *name;
    uint64_t capacity;
    void (*run)(mr_case *c);
} mr_case_def;

/* Runs n cases and prints a line for each; returns how many failed. */
int mr_case_run(const mr_loaded *plugin, const mr_case_def *cases, size_t n, FILE *out);

/* End the case.  Never return. */
_Noreturn void mr_case_fail(mr_case *c, const char *file, int line, const char *fmt, ...) MR_PRINTF(4, 5);
_Noreturn void mr_case_skip(mr_case *c, const char *why);

/* Forks a peer of the session, attaches it, runs `run(c, peer, arg)` there and detaches.  Ends the case unless the peer
 * ended well, or, with a `signal`, by that signal. */
void mr_case_in_peer(mr_case *c, void (*run)(mr_case *c, void *peer, void *arg), void *arg, int signal);
/* Whether writing one byte at `at` faults (tried in a child). */
bool mr_case_faults(mr_case *c, void *at);

#define CHECK(c, cond)                                                                                                 \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            mr_case_fail((c), __FILE__, __LINE__, "expected: %s", #cond);                                              \
    } while (0)
/* Two unsigned numbers are equal. */
#define SAME(c, got, want)                                                                                             \
    do {                                                                                                               \
        uint64_t got_ = (uint64_t)(got), want_ = (uint64_t)(want);                                                     \
        if (got_ != want_)                                                                                             \
            mr_case_fail((c), __FILE__, __LINE__, "%s is %llu, expected %llu (%s)", #got, (unsigned long long)got_,    \
                         (unsigned long long)want_, #want);                                                            \
    } while (0)
/* A call ends with this status. */
#define GIVES(c, call, want)                                                                                           \
    do {                                                                                                               \
        mr_status got_ = (call);                                                                                       \
        if (got_ != (want))                                                                                            \
            mr_case_fail((c), __FILE__, __LINE__, "%s gives %s, expected %s", #call, mr_status_name(got_),             \
                         mr_status_name(want));                                                                        \
    } while (0)
#define DONE(c, call) GIVES(c, call, MR_OK)
/* A case about an optional op. */
#define NEEDS(c, op)                                                                                                   \
    do {                                                                                                               \
        if (!(c)->ops->op)                                                                                             \
            mr_case_skip((c), "the plugin has no " #op);                                                               \
    } while (0)

/* The tables of the store suite. */
extern const mr_case_def mr_store_cases[];
extern const size_t mr_store_n_cases;
extern const mr_case_def mr_store_use_cases[];
extern const size_t mr_store_n_use_cases;
extern const mr_case_def mr_store_option_cases[];
extern const size_t mr_store_n_option_cases;

/* Random mandatory ops by seed, against a model; ends with everything removed. */
void mr_store_random(mr_case *c, uint64_t seed);

/* Fills a region with bytes that depend on `seed`, and compares. */
void mr_case_fill(void *data, uint64_t len, uint64_t seed);
bool mr_case_filled(const void *data, uint64_t len, uint64_t seed);
/* create + fill + seal. */
void mr_case_put(mr_case *c, mr_id id, uint64_t len, uint64_t seed);
/* get + compare + release. */
void mr_case_expect(mr_case *c, mr_id id, uint64_t len, uint64_t seed);
/* stats().used if the plugin has stats, else `otherwise`. */
uint64_t mr_case_used(mr_case *c, uint64_t otherwise);
uint64_t mr_case_largest(mr_case *c, uint64_t otherwise);
/* xorshift64*: a stream by seed. */
uint64_t mr_case_random(uint64_t *state);

#endif
