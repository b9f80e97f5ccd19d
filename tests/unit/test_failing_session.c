/* test_failing_session.c: a whole session, with the n-th allocation or system call of its driver, its supervisor or its
 * workers failing, for one n after the other.
 *
 * Each time: what fails says so, or the value is right; nothing hangs, crashes or is lost in silence; when it is over
 * no process, descriptor, file or block of memory is left.  As a rule a sample of the calls is tried; MRTEST_CALLS=1
 * tries each of them (MRTEST_CALLS=7: every seventh), MRTEST_PLAN=N one kind of failure, MRTEST_FROM=N from that call
 * on, and MRTEST_LOUD=1 shows where each failed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "helper_failing.h"
#include "helper_process.h"
#include "run_suite.h"

enum { LARGE = 300000, MB = 1 << 20, SPILLED = 7, CALLS = 6 };

static char folder[64]; /* the session's temporary files */
static unsigned char *bytes;

/* As ck_assert_msg, which allocates also when all is well. */
#define MUST(condition, ...)                                                                                           \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            failing_disarm();                                                                                          \
            fprintf(stderr, "after a failing %s: ", failing_what());                                                   \
            ck_abort_msg(#condition ": " __VA_ARGS__);                                                                 \
        }                                                                                                              \
    } while (0)

/* A call may fail when something was made to, and says why. */
static bool went_well(mr_status status, const mr_err *err, const char *what)
{
    if (!status)
        return true;
    MUST(failing_failed(), "%s: %s: %s, and nothing has failed", what, mr_status_text(status), err->text);
    MUST(status != MR_E_TIMEOUT, "%s never ended: %s", what, err->text);
    MUST(err->text[0], "%s: %s, and no word of why", what, mr_status_text(status));
    return false;
}

static mr_id call(mr_session *s, const char *name, int kind, mr_id actor, int64_t x, const mr_id *deps, uint32_t n)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    mr_err err = {0};
    uint32_t func;
    mr_id id;
    def.name = def.entry = name;
    def.kind = (uint32_t)kind;
    mr_args args = {.data = &x, .len = sizeof(x), .deps = deps, .n_deps = n};
    if (!went_well(mr_define_func(s, &def, &func, &err), &err, name) ||
        !went_well(mr_submit(s, func, actor, &args, NULL, &id, &err), &err, name))
        return MR_NO_ID;
    return id;
}

static mr_id put(mr_session *s, size_t from, size_t len)
{
    mr_err err = {0};
    mr_id id;
    return went_well(mr_put(s, MR_FORMAT_BYTES, bytes + from, len, NULL, 0, &id, &err), &err, "put") ? id : MR_NO_ID;
}

/* Its value is `len` bytes of `want`, or an error. */
static void is(mr_session *s, mr_id id, const void *want, size_t len, const char *what)
{
    mr_err err = {0};
    mr_value v = {0};
    if (!id || !went_well(mr_get(s, &id, 1, SECONDS(40), 0, &v, &err), &err, what))
        return;
    MUST(!v.status || failing_failed(), "%s: %s", what, mr_status_text(v.status));
    if (v.error || v.status) {
        size_t head = v.format == MR_FORMAT_FAULT ? sizeof(mr_fault_value) : 0;
        MUST(failing_failed(), "%s: an error: %s", what, v.error ? (const char *)v.data + head : "");
        MUST(v.status || (v.len > head && ((const char *)v.data)[head]), "%s: an error without a text", what);
    } else {
        MUST(v.len == len && !memcmp(v.data, want, len), "%s: wrong bytes", what);
    }
    if (!v.status)
        (v.looked ? mr_release : mr_decref)(s, v.id);
}

static void is_number(mr_session *s, mr_id id, int64_t want, const char *what)
{
    is(s, id, &want, sizeof(want), what);
}

static void tasks(mr_session *s)
{
    mr_id x[CALLS], small = put(s, 3, 100), large = put(s, 5, LARGE);
    int64_t total = 0;
    bool all = true;
    for (int i = 0; i < CALLS; i++) {
        x[i] = call(s, "square", MR_DEF_TASK, 0, i, NULL, 0);
        total += i * i;
        all &= x[i] != 0;
    }
    mr_id sum = all ? call(s, "sum", MR_DEF_TASK, 0, 0, x, CALLS) : MR_NO_ID;
    mr_id fib = call(s, "fib", MR_DEF_TASK, 0, 4, NULL, 0);
    mr_id made = call(s, "make", MR_DEF_TASK, 0, LARGE, NULL, 0);
    mr_id right = made ? call(s, "check", MR_DEF_TASK, 0, 0, &made, 1) : MR_NO_ID;
    is(s, small, bytes + 3, 100, "a small value");
    is(s, large, bytes + 5, LARGE, "a large value");
    is_number(s, sum, total, "sum");
    is_number(s, fib, 3, "fib");
    is_number(s, right, LARGE, "check");
    const mr_id ids[] = {small, large, sum, fib, made, right};
    for (int i = 0; i < CALLS; i++)
        mr_decref(s, x[i]);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        mr_decref(s, ids[i]);
}

static void actor(mr_session *s)
{
    mr_id counter = call(s, "Counter", MR_DEF_ACTOR, 0, 10, NULL, 0), last = MR_NO_ID;
    bool all = true;
    for (int i = 1; i <= 3 && counter; i++) {
        mr_id id = call(s, "Counter.add", MR_DEF_METHOD, counter, i, NULL, 0);
        mr_decref(s, last);
        last = id;
        all &= id != 0;
    }
    /* A call that could not be sent does not count. */
    if (all)
        is_number(s, last, 16, "Counter.add");
    mr_decref(s, last);
    mr_decref(s, counter);
}

/* More than memory holds. */
static void spill(mr_session *s)
{
    mr_id x[SPILLED];
    for (int i = 0; i < SPILLED; i++)
        x[i] = put(s, (size_t)i, MB);
    for (int i = 0; i < SPILLED; i++)
        is(s, x[i], bytes + i, MB, "a spilled value");
    mr_id right = x[0] ? call(s, "check", MR_DEF_TASK, 0, 0, &x[0], 1) : MR_NO_ID;
    is_number(s, right, MB, "a spilled argument");
    mr_decref(s, right);
    for (int i = 0; i < SPILLED; i++)
        mr_decref(s, x[i]);
}

static mr_session *open_it(mr_err *err)
{
    static char library[4096];
    const char *build = getenv("MRTEST_BUILD_DIR");
    mr_open_args args = MR_OPEN_ARGS_INIT;
    mr_session *s = NULL;
    snprintf(library, sizeof(library), "%s/tests/tasks_process.so", build);
    const mr_override all[] = {{"engine", "libraries", library, "test"}, {"store", "plugin", "store-shm", "test"},
                               {"store", "capacity", "4M", "test"},      {"store", "spill_dir", folder, "test"},
                               {"store", "full_wait", "200ms", "test"},  {"node", "cpus", "2", "test"}};
    args.overrides = all;
    args.n_overrides = sizeof(all) / sizeof(all[0]);
    args.home = build;
    went_well(mr_open(&args, &s, err), err, "open");
    return s;
}

static void scenario(void)
{
    mr_err err = {0};
    mr_session *s = open_it(&err);
    if (!s)
        return;
    tasks(s);
    actor(s);
    spill(s);
    mr_close(s);
}

static int count_files(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void setup(void)
{
    char file[96], library[4096];
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%.40s/mrf-XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("TMPDIR", folder, 1);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    snprintf(file, sizeof(file), "%s/failing", folder);
    snprintf(library, sizeof(library), "%s/tests/tasks_failing.so", getenv("MRTEST_BUILD_DIR"));
    failing_share(file, library);
    bytes = malloc(MB + SPILLED);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < MB + SPILLED; i++)
        bytes[i] = (unsigned char)(i * 7);
}

static void teardown(void)
{
    char file[96];
    snprintf(file, sizeof(file), "%s/failing", folder);
    unlink(file);
    rmdir(folder);
    free(bytes);
}

typedef struct plan {
    failing_who who;
    unsigned long long doors;
    bool stays;
    int tries; /* of a sample */
} plan;

static const plan plans[] = {
    {FAILING_SELF, FAILING_BIT(malloc), false, 10},
    {FAILING_SELF, FAILING_BIT(malloc), true, 3},
    {FAILING_SELF, FAILING_SYSTEM, false, 8},
    {FAILING_SELF, FAILING_STAYS, true, 3},
    {FAILING_SUPERVISOR, FAILING_BIT(malloc), false, 2},
    {FAILING_SUPERVISOR, FAILING_BIT(malloc), true, 1},
    {FAILING_SUPERVISOR, FAILING_SYSTEM, false, 4},
    {FAILING_SUPERVISOR, FAILING_STAYS, true, 2},
    {FAILING_WORKER, FAILING_BIT(malloc), false, 5},
    {FAILING_WORKER, FAILING_BIT(malloc), true, 2},
    {FAILING_WORKER, FAILING_SYSTEM, false, 4},
    {FAILING_WORKER, FAILING_STAYS, true, 2},
};
enum { PLANS = sizeof(plans) / sizeof(plans[0]), NEVER = 1 << 30 };

/* One n: what is left afterwards is nothing.  False: no call failed. */
static bool run(const plan *p, long n, long leaves)
{
    static const char *const names[] = {"", "the driver", "the supervisor", "a worker"};
    int fds = process_fds(), files = count_files();
    long live = failing_live;
    if (getenv("MRTEST_LOUD"))
        fprintf(stderr, "-- call %ld of %s%s\n", n, names[p->who], p->stays ? ", and all after it" : "");
    failing_arm(p->who, p->doors, n, p->stays);
    scenario();
    bool hit = failing_disarm();
    char what[128];
    snprintf(what, sizeof(what), "call %ld of %s (%s)", n, names[p->who], failing_what());
    ck_assert_msg(process_children(getpid()) == 0, "%s: processes are left", what);
    ck_assert_msg(process_fds() == fds, "%s: %d descriptors are left", what, process_fds() - fds);
    ck_assert_msg(count_files() == files, "%s: files are left", what);
    dlerror(); /* the C library keeps the last one */
    dlerror();
    live = failing_live - live;
    ck_assert_msg(!FAILING_COUNTS || live == 0 || live == leaves, "%s: %ld blocks are left", what, live);
    return hit;
}

static void some(const plan *p, long live)
{
    const char *every = getenv("MRTEST_CALLS"), *from = getenv("MRTEST_FROM");
    if (every) {
        for (long n = from ? atol(from) : 0; run(p, n, live);)
            n += atol(every);
        return;
    }
    run(p, NEVER, live); /* counts */
    long all = NEVER - failing_left();
    ck_assert_int_gt(all, 0);
    int tries = FAILING_COUNTS ? p->tries : p->tries / 4 + 1; /* below a sanitizer processes end slowly */
    for (int i = 0; i < tries; i++)
        run(p, all * (2 * i + 1) / (2 * tries), live);
}

START_TEST(a_session)
{
    const char *only = getenv("MRTEST_PLAN");
    scenario(); /* what is made once for the whole process is there now */
    long live = failing_live;
    scenario();
    live = failing_live - live; /* a session's word for late callers stays */
    for (int i = only ? atoi(only) : 0; i < (only ? atoi(only) + 1 : PLANS); i++)
        if (only || FAILING_COUNTS || !plans[i].stays)
            some(&plans[i], live);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failing session");
    TCase *c = tcase_create("sessions");
    if (getenv("MRTEST_CALLS"))
        tcase_set_timeout(c, 7200);
    tcase_add_checked_fixture(c, setup, teardown);
    if (FAILING_MALLOC)
        tcase_add_test(c, a_session);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
