/* The C API end to end: real workers, both stores, the tasks of examples/c/tour_tasks.c. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <miniray/miniray.h>

#include "run_suite.h"

static mr_session *s;
static mr_err err;
static const char *const stores[] = {"store-shm", "store-mem"};

static const char *build(void)
{
    const char *dir = getenv("MRTEST_BUILD_DIR");
    ck_assert_msg(dir != NULL, "MRTEST_BUILD_DIR is not set: run it by ctest");
    return dir;
}

static mr_status try_open(const char *store, const char *key, const char *value)
{
    static char library[600];
    snprintf(library, sizeof(library), "%s/examples/tour_tasks.so", build());
    mr_override o[] = {{"engine", "libraries", library, "test"},
                       {"store", "plugin", store, "test"},
                       {"node", "cpus", "2", "test"},
                       {"engine", key ? key : "kind", value ? value : "process", "test"}};
    mr_open_args a = MR_OPEN_ARGS_INIT;
    a.overrides = o;
    a.n_overrides = 4;
    a.home = build();
    return mr_open(&a, &s, &err);
}

static void open_store(int i)
{
    if (try_open(stores[i], NULL, NULL))
        ck_abort_msg("mr_open: %s", err.text);
}

static void must(mr_status st)
{
    if (st)
        ck_abort_msg("%s: %s", mr_strerror(st), err.text);
}

static uint32_t define(const char *entry, mr_def_kind kind, int32_t n_returns, uint32_t flags)
{
    mr_func_def d = MR_FUNC_DEF_INIT;
    uint32_t f;
    d.kind = kind;
    d.name = d.entry = entry;
    d.n_returns = n_returns;
    d.flags = flags;
    d.max_retries = 0;
    must(mr_define_func(s, &d, &f, &err));
    return f;
}

static uint32_t task(const char *entry)
{
    return define(entry, MR_DEF_TASK, 1, 0);
}

static mr_id submit(uint32_t func, const void *data, size_t len)
{
    mr_id id;
    must(mr_submit(s, func, MR_NO_ID, &(mr_args){.data = data, .len = len}, NULL, &id, &err));
    return id;
}

static mr_value get(mr_id id)
{
    mr_value v;
    must(mr_get(s, &id, 1, 20000000000, 0, &v, &err));
    ck_assert_uint_eq(v.id, id);
    return v;
}

static void expect(mr_id id, const void *bytes, uint64_t len)
{
    mr_value v = get(id);
    ck_assert_int_eq(v.status, MR_OK);
    if (v.error)
        ck_abort_msg("%s", v.format == MR_FORMAT_FAULT ? (const char *)v.data + sizeof(mr_fault_value)
                                                       : (const char *)v.data);
    ck_assert_uint_eq(v.len, len);
    ck_assert_int_eq(memcmp(v.data, bytes, len), 0);
    mr_decref(s, id);
    mr_decref(s, id);
}

static const mr_fault_value *expect_fault(mr_id id, mr_status status)
{
    mr_value v = get(id);
    ck_assert_int_eq(v.status, MR_OK);
    ck_assert(v.error);
    ck_assert_uint_eq(v.format, MR_FORMAT_FAULT);
    const mr_fault_value *f = v.data;
    ck_assert_int_eq(f->status, status);
    return f;
}

/* ------------------------------------------------------------------------------------------------------- opening -- */

START_TEST(test_open_refuses)
{
    mr_open_args a = MR_OPEN_ARGS_INIT;
    a.config = "/nowhere/at/all.ini";
    ck_assert_int_ne(mr_open(&a, &s, &err), MR_OK);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/at/all.ini"));
    a.size = 8;
    ck_assert_int_eq(mr_open(&a, &s, &err), MR_E_ABI);
    ck_assert_int_eq(try_open("store-nonsense", NULL, NULL), MR_E_NOTFOUND);
    ck_assert_int_eq(try_open("store-shm", "wrokers", "2"), MR_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "workers"));
    ck_assert_ptr_null(mr_current());
    open_store(0);
    ck_assert_ptr_eq(mr_current(), s);
    mr_session *first = s;
    ck_assert_int_eq(try_open("store-shm", NULL, NULL), MR_E_EXISTS);
    mr_close(first);
    ck_assert_ptr_null(mr_current());
}
END_TEST

/* A session after another: references of the first are told apart, late drops are silent. */
START_TEST(test_again)
{
    mr_id ids[3];
    uint64_t session = 0;
    mr_session *old = NULL;
    for (int i = 0; i < 3; i++) {
        open_store(i % 2);
        ck_assert_uint_ne(mr_session_id(s), session);
        session = mr_session_id(s);
        if (old)
            mr_decref(old, ids[i - 1]);
        must(mr_put(s, 0, "x", 1, NULL, 0, &ids[i], &err));
        mr_close(s);
        old = s;
        mr_value v;
        ck_assert_int_eq(mr_get(s, &ids[i], 1, -1, 0, &v, &err), MR_E_CLOSED);
        mr_decref(s, ids[i]);
    }
}
END_TEST

START_TEST(test_fork)
{
    open_store(0);
    mr_id id = submit(task("echo"), "a", 1);
    pid_t child = fork();
    if (child == 0) {
        mr_value v;
        mr_decref(s, id);
        _exit(mr_current() == NULL && mr_get(s, &id, 1, -1, 0, &v, &err) == MR_E_FORKED &&
                      try_open("store-shm", NULL, NULL) == MR_E_FORKED
                  ? 0
                  : 1);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    expect(id, "a", 1);
    mr_close(s);
}
END_TEST

START_TEST(test_config_json)
{
    char *json;
    mr_override o = {"node", "cpus", "3", "--workers"};
    setenv("MINIRAY_PLUGIN_PATH", getenv("MINIRAY_PLUGIN_PATH") ? getenv("MINIRAY_PLUGIN_PATH") : "", 1);
    must(mr_config_json(NULL, &o, 1, &json, &err));
    ck_assert_ptr_nonnull(strstr(json, "\"--workers\""));
    ck_assert_ptr_nonnull(strstr(json, "\"help\""));
    free(json);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- definitions
 * -- */

START_TEST(test_define_refuses)
{
    open_store(0);
    uint32_t f;
    mr_func_def d = MR_FUNC_DEF_INIT;
    ck_assert_int_eq(mr_define_func(s, &d, &f, &err), MR_E_INVAL);
    d.name = d.entry = "echo";
    d.flags = MR_DEF_ASYNC;
    ck_assert_int_eq(mr_define_func(s, &d, &f, &err), MR_E_UNSUPPORTED);
    d.flags = 0;
    mr_need need = {"CPU", -1};
    d.needs = &need;
    d.n_needs = 1;
    ck_assert_int_eq(mr_define_func(s, &d, &f, &err), MR_E_INVAL);
    need.amount = 5 * MR_RES_UNIT;
    must(mr_define_func(s, &d, &f, &err));
    mr_id id;
    ck_assert_int_eq(mr_submit(s, f, MR_NO_ID, NULL, NULL, &id, &err), MR_E_UNSCHEDULABLE);
    ck_assert_ptr_nonnull(strstr(err.text, "echo"));
    ck_assert_int_eq(mr_submit(s, 999, MR_NO_ID, NULL, NULL, &id, &err), MR_E_NOTFOUND);
    mr_close(s);
}
END_TEST

START_TEST(test_no_such_task)
{
    open_store(0);
    mr_value v = get(submit(task("nonsense"), NULL, 0));
    ck_assert(v.error);
    ck_assert_ptr_nonnull(strstr(v.data, "\"nonsense\""));
    ck_assert_ptr_nonnull(strstr(v.data, "tour_tasks.so"));
    mr_close(s);
}
END_TEST

/* -------------------------------------------------------------------------------------------------------- values -- */

START_TEST(test_values)
{
    static const uint64_t sizes[] = {0, 1, 4096, 4097, 1 << 20, (5 << 20) + 3};
    open_store(_i);
    uint32_t echo = task("echo"), big = task("big");
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        char *bytes = malloc(sizes[k] + 1);
        mr_id id;
        memset(bytes, (int)(sizes[k] & 0xFF), sizes[k]);
        must(mr_put(s, 3, bytes, sizes[k], NULL, 0, &id, &err));
        ck_assert(mr_contains(s, id));
        ck_assert_uint_eq(get(id).format, 3);
        mr_decref(s, id);
        expect(submit(echo, bytes, sizes[k]), bytes, sizes[k]);
        expect(submit(big, &sizes[k], sizeof(sizes[k])), bytes, sizes[k]);
        mr_decref(s, id);
        ck_assert(!mr_contains(s, id));
        free(bytes);
    }
    mr_close(s);
}
END_TEST

START_TEST(test_create)
{
    open_store(_i);
    for (uint64_t len = 10; len < 200000; len *= 20) {
        mr_id id;
        void *to;
        must(mr_create(s, len, &id, &to, &err));
        memset(to, 'q', len);
        must(mr_seal(s, id, 0, NULL, 0, &err));
        ck_assert_int_eq(mr_seal(s, id, 0, NULL, 0, &err), MR_E_NOTFOUND);
        mr_value v = get(id);
        ck_assert_uint_eq(v.len, len);
        ck_assert_int_eq(((const char *)v.data)[len - 1], 'q');
        must(mr_create(s, len, &id, &to, &err));
        mr_abort(s, id);
    }
    mr_close(s);
}
END_TEST

START_TEST(test_free)
{
    open_store(_i);
    char *bytes = calloc(1, 100000);
    mr_id id;
    mr_value v;
    must(mr_put(s, 0, bytes, 100000, NULL, 0, &id, &err));
    must(mr_free(s, &id, 1));
    must(mr_get(s, &id, 1, -1, 0, &v, &err));
    ck_assert_int_eq(v.status, MR_E_FREED);
    free(bytes);
    mr_close(s);
}
END_TEST

/* A reference inside a result keeps the object that the worker put and gave up. */
START_TEST(test_reference_inside)
{
    open_store(_i);
    uint32_t put_inside = task("put_inside"), wait_for = task("wait_for");
    for (size_t len = 10; len < 100000; len *= 100) {
        char *bytes = malloc(len);
        memset(bytes, 'i', len);
        mr_id outer = submit(put_inside, bytes, len), inner;
        mr_value v = get(outer);
        ck_assert_uint_eq(v.len, sizeof(inner));
        memcpy(&inner, v.data, sizeof(inner));
        must(mr_incref(s, inner));
        mr_decref(s, outer);
        mr_decref(s, outer);
        /* and as an argument: the task waits for it inside */
        mr_id id;
        must(mr_submit(s, wait_for, MR_NO_ID,
                       &(mr_args){.data = &inner, .len = sizeof(inner), .refs = &inner, .n_refs = 1}, NULL, &id, &err));
        expect(id, bytes, len);
        expect(inner, bytes, len);
        free(bytes);
    }
    mr_close(s);
}
END_TEST

START_TEST(test_results)
{
    open_store(_i);
    mr_id id;
    uint32_t two = define("two", MR_DEF_TASK, 2, 0);
    must(mr_submit(s, two, MR_NO_ID, NULL, NULL, &id, &err));
    expect(id, "first", 5);
    expect(id + 1, "second", 6);
    mr_value v = get(submit(task("forgetful"), NULL, 0));
    ck_assert(v.error);
    ck_assert_str_eq(v.data, "forgetful returned without 1 of its 1 results");
    v = get(submit(task("fail"), NULL, 0));
    ck_assert(v.error);
    ck_assert_uint_eq(v.format, MR_FORMAT_TEXT_ERROR);
    /* A task that was given the error as an argument repeats it. */
    mr_id again;
    must(mr_submit(s, two, MR_NO_ID, &(mr_args){.deps = &v.id, .n_deps = 1}, NULL, &again, &err));
    ck_assert(get(again).error);
    ck_assert_str_eq(get(again + 1).data, "this task fails whenever it is asked");
    mr_close(s);
}
END_TEST

/* --------------------------------------------------------------------------------------------------- waits, ends -- */

static void *getter(void *arg)
{
    mr_value v;
    mr_err why;
    return (void *)(intptr_t)mr_get(s, arg, 1, -1, 0, &v, &why);
}

/* Closing ends the waits of other threads and what runs. */
START_TEST(test_close_under_way)
{
    pthread_t t[3];
    open_store(_i);
    uint64_t hour = 3600000;
    mr_id id = submit(task("nap"), &hour, sizeof(hour));
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, getter, &id);
    usleep(50000);
    mr_close(s);
    for (int i = 0; i < 3; i++) {
        void *st;
        pthread_join(t[i], &st);
        ck_assert_int_eq((int)(intptr_t)st, MR_E_CLOSED);
    }
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, dead or alive */
}
END_TEST

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int n_ready;

static void ready_now(void *arg, mr_id id)
{
    (void)id;
    pthread_mutex_lock(&lock);
    n_ready += arg == &n_ready;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&lock);
}

START_TEST(test_waiting)
{
    open_store(_i);
    uint64_t ms[3] = {1, 60000, 1};
    uint32_t nap = task("nap");
    mr_id ids[3];
    bool ready[3];
    mr_value v[3];
    for (int i = 0; i < 3; i++)
        ids[i] = submit(nap, &ms[i], sizeof(ms[i]));
    must(mr_wait(s, ids, 3, 2, -1, ready, &err));
    ck_assert(ready[0] && !ready[1] && ready[2]);
    ck_assert_int_eq(mr_wait(s, ids, 3, 3, 0, ready, &err), MR_E_TIMEOUT);
    ck_assert(ready[0] && !ready[1] && ready[2]);
    ck_assert_int_eq(mr_get(s, ids, 3, 20000000, 0, v, &err), MR_E_TIMEOUT);
    ck_assert_int_eq(v[0].status, MR_OK);
    ck_assert_int_eq(v[1].status, MR_E_TIMEOUT);
    must(mr_on_ready(s, ids[0], ready_now, &n_ready));
    must(mr_on_ready(s, ids[1], ready_now, &n_ready));
    must(mr_cancel(s, ids[1], 0, &err));
    pthread_mutex_lock(&lock);
    while (n_ready < 2)
        pthread_cond_wait(&cond, &lock);
    pthread_mutex_unlock(&lock);
    expect_fault(ids[1], MR_E_CANCELLED);
    mr_close(s);
}
END_TEST

START_TEST(test_crash)
{
    open_store(_i);
    const mr_fault_value *f = expect_fault(submit(task("crash"), NULL, 0), MR_E_CRASHED);
    ck_assert_int_eq(f->how, 2);
    ck_assert_int_eq(f->code, SIGABRT);
    ck_assert_uint_eq(f->attempt, 1);
    ck_assert_ptr_nonnull(strstr((const char *)(f + 1), "crash"));
    expect(submit(task("echo"), "on", 2), "on", 2);
    mr_close(s);
}
END_TEST

START_TEST(test_actors)
{
    open_store(_i);
    uint32_t cell = define("Cell", MR_DEF_ACTOR, 1, 0), next = define("Cell.next", MR_DEF_METHOD, 1, 0);
    uint32_t crash = define("Cell.crash", MR_DEF_METHOD, 1, 0), func;
    mr_actor_name name = {.name = "bob", .ns = "here"};
    mr_id bob, again, found, id;
    must(mr_submit(s, cell, MR_NO_ID, NULL, &name, &bob, &err));
    ck_assert_int_eq(mr_submit(s, cell, MR_NO_ID, NULL, &name, &again, &err), MR_E_NAME_TAKEN);
    ck_assert_ptr_nonnull(strstr(err.text, "bob"));
    name.get_if_exists = true;
    must(mr_submit(s, cell, MR_NO_ID, NULL, &name, &again, &err));
    ck_assert_uint_eq(again, bob);
    must(mr_find_actor(s, "bob", "here", &found, &func, &err));
    ck_assert_uint_eq(found, bob);
    ck_assert_uint_eq(func, cell);
    ck_assert_int_eq(mr_find_actor(s, "bob", "there", &found, &func, &err), MR_E_NOTFOUND);
    mr_decref(s, again);
    mr_decref(s, found);
    for (uint64_t i = 1; i <= 50; i++) {
        must(mr_submit(s, next, bob, NULL, NULL, &id, &err));
        expect(id, &i, sizeof(i));
    }
    must(mr_submit(s, crash, bob, NULL, NULL, &id, &err));
    const mr_fault_value *f = expect_fault(id, MR_E_ACTOR_DIED);
    ck_assert_uint_eq(f->may_have_run, 1);
    mr_close(s);
}
END_TEST

START_TEST(test_stream)
{
    open_store(_i);
    mr_func_def d = MR_FUNC_DEF_INIT;
    uint32_t f;
    uint64_t n = 300;
    d.name = d.entry = "count_up";
    d.flags = MR_DEF_STREAMING;
    d.window = 5;
    must(mr_define_func(s, &d, &f, &err));
    mr_id stream = submit(f, &n, sizeof(n)), item;
    for (uint64_t i = 0; i < n; i++) {
        must(mr_stream_next(s, stream, -1, &item, &err));
        expect(item, &i, sizeof(i));
    }
    ck_assert_int_eq(mr_stream_next(s, stream, -1, &item, &err), MR_E_END);
    mr_close(s);
}
END_TEST

/* -------------------------------------------------------------------------------------------------------------- many
 * -- */

START_TEST(test_many)
{
    enum { N = 3000 };
    static mr_id ids[N];
    static mr_value v[N];
    open_store(_i);
    uint32_t echo = task("echo");
    for (int round = 0; round < 3; round++) {
        mr_batch_begin(s);
        for (uint32_t i = 0; i < N; i++)
            ids[i] = submit(echo, &i, sizeof(i));
        mr_batch_end(s);
        must(mr_get(s, ids, N, -1, 0, v, &err));
        for (uint32_t i = 0; i < N; i++) {
            ck_assert_uint_eq(v[i].len, sizeof(i));
            ck_assert_mem_eq(v[i].data, &i, sizeof(i));
            mr_decref(s, ids[i]);
            mr_decref(s, ids[i]);
        }
    }
    char *json;
    must(mr_state(s, "stats", &json, &err));
    free(json);
    ck_assert_int_eq(mr_state(s, "nonsense", &json, &err), MR_E_NOTFOUND);
    mr_close(s);
}
END_TEST

/* Notes are shown with their object, and what is not an object takes none. */
START_TEST(test_notes)
{
    open_store(_i);
    char long_line[MR_NOTE_MAX + 2] = "", *json;
    memset(long_line, 'x', sizeof(long_line) - 1);
    mr_id id;
    must(mr_put(s, MR_FORMAT_BYTES, "a", 1, NULL, 0, &id, &err));
    ck_assert(!mr_explains(s));
    ck_assert_int_eq(mr_note(s, id, 1, MR_NOTE_LINE, long_line), MR_E_TOOBIG);
    must(mr_note(s, id, 3, MR_NOTE_LINE, "file.c:17"));
    must(mr_state(s, "objects", &json, &err));
    ck_assert_ptr_nonnull(strstr(json, "\"pinned\":false,\"line\":\"file.c:17\""));
    free(json);
    must(mr_note(s, id, 1, MR_NOTE_PINNED, NULL));
    must(mr_state(s, "objects", &json, &err));
    ck_assert_ptr_nonnull(strstr(json, "\"pinned\":true,\"line\":\"file.c:17\""));
    free(json);
    mr_decref(s, id);
    must(mr_put(s, MR_FORMAT_BYTES, "b", 1, NULL, 0, &id, &err));
    must(mr_state(s, "objects", &json, &err));
    ck_assert_ptr_null(strstr(json, "file.c:17")); /* its neighbour was none yet */
    free(json);
    mr_close(s);
}
END_TEST

static void *user(void *arg)
{
    mr_err why;
    for (uint32_t i = 0; i < 300; i++) {
        mr_id id;
        mr_value v;
        if (mr_submit(s, *(uint32_t *)arg, MR_NO_ID, &(mr_args){.data = &i, .len = sizeof(i)}, NULL, &id, &why) ||
            mr_get(s, &id, 1, -1, 0, &v, &why) || v.status || v.error || memcmp(v.data, &i, sizeof(i)) != 0)
            return arg;
        mr_decref(s, id);
        mr_decref(s, id);
    }
    return NULL;
}

START_TEST(test_threads)
{
    pthread_t t[6];
    open_store(_i);
    uint32_t echo = task("echo");
    for (int i = 0; i < 6; i++)
        pthread_create(&t[i], NULL, user, &echo);
    for (int i = 0; i < 6; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        ck_assert_ptr_null(bad);
    }
    mr_close(s);
}
END_TEST

START_TEST(test_nested)
{
    open_store(_i);
    uint32_t fib = task("fib"), job[2] = {11, fib};
    uint64_t want = 89;
    expect(submit(fib, job, sizeof(job)), &want, sizeof(want));
    mr_close(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *c = tcase_create("api");
    tcase_add_test(c, test_open_refuses);
    tcase_add_test(c, test_again);
    tcase_add_test(c, test_fork);
    tcase_add_test(c, test_config_json);
    tcase_add_test(c, test_define_refuses);
    tcase_add_test(c, test_no_such_task);
    tcase_add_loop_test(c, test_values, 0, 2);
    tcase_add_loop_test(c, test_create, 0, 2);
    tcase_add_loop_test(c, test_free, 0, 2);
    tcase_add_loop_test(c, test_reference_inside, 0, 2);
    tcase_add_loop_test(c, test_results, 0, 2);
    tcase_add_loop_test(c, test_close_under_way, 0, 2);
    tcase_add_loop_test(c, test_waiting, 0, 2);
    tcase_add_loop_test(c, test_crash, 0, 2);
    tcase_add_loop_test(c, test_actors, 0, 2);
    tcase_add_loop_test(c, test_stream, 0, 2);
    tcase_add_loop_test(c, test_many, 0, 2);
    tcase_add_loop_test(c, test_notes, 0, 2);
    tcase_add_loop_test(c, test_threads, 0, 2);
    tcase_add_loop_test(c, test_nested, 0, 2);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
