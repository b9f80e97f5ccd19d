/* test_process_tasks.c: tasks in C on real worker processes, on both stores. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "helper_process.h"
#include "run_suite.h"

static const char *const stores[] = {"store-shm", "store-mem"};

START_TEST(one_task)
{
    mr_session *s = process_open(stores[_i], NULL);
    uint32_t square = process_func(s, "square");
    ck_assert_int_eq(process_number(s, process_submit(s, square, 7, 0)), 49);
    mr_close(s);
}
END_TEST

START_TEST(many_tasks)
{
    enum { N = 20000 };
    mr_session *s = process_open(stores[_i], NULL);
    uint32_t square = process_func(s, "square");
    mr_id *ids = calloc(N, sizeof(*ids));
    for (int64_t i = 0; i < N; i++)
        ids[i] = process_submit(s, square, i, 0);
    for (int64_t i = 0; i < N; i++)
        ck_assert_int_eq(process_number(s, ids[i]), i * i);
    free(ids);
    mr_close(s);
}
END_TEST

START_TEST(a_sum_of_dependencies)
{
    enum { N = 100 };
    mr_session *s = process_open(stores[_i], NULL);
    uint32_t square = process_func(s, "square"), sum = process_func(s, "sum");
    mr_id parts[N], total;
    mr_err err = {0};
    int64_t expected = 0, none = 0;
    for (int64_t i = 0; i < N; i++) {
        parts[i] = process_submit(s, square, i, 0);
        expected += i * i;
    }
    mr_args args = {.data = &none, .len = sizeof(none), .deps = parts, .n_deps = N};
    ck_assert_int_eq(mr_submit(s, sum, 0, &args, NULL, &total, &err), MR_OK);
    ck_assert_int_eq(process_number(s, total), expected);
    for (int i = 0; i < N; i++)
        mr_decref(s, parts[i]);
    mr_close(s);
}
END_TEST

/* Inline, a little more, more than a ring, and megabytes; made by a worker, checked by a worker, read by the driver. */
START_TEST(large_values)
{
    static const int64_t sizes[] = {0, 1, 40, 41, 4096, 4097, 9000, 20000, 70000, 300000, 5000000, 20000000};
    mr_session *s = process_open(stores[_i], NULL);
    uint32_t make = process_func(s, "make"), check = process_func(s, "check");
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        mr_id made = process_submit(s, make, sizes[k], 0);
        ck_assert_int_eq(process_number(s, process_submit(s, check, 0, made)), sizes[k]);
        mr_value v = process_value(s, made);
        ck_assert_uint_eq(v.len, (uint64_t)sizes[k]);
        for (uint64_t i = 0; i < v.len; i += 97)
            ck_assert_uint_eq(((const unsigned char *)v.data)[i], (unsigned char)(i * 7));
        mr_decref(s, v.id);
        mr_decref(s, made);
    }
    mr_close(s);
}
END_TEST

/* Far more bytes than the store holds, one after the other: what is dropped comes back. */
START_TEST(bytes_come_back)
{
    mr_session *s = process_open(stores[_i], NULL);
    uint32_t make = process_func(s, "make");
    for (int i = 0; i < 30; i++) {
        mr_id made = process_submit(s, make, 15000000, 0);
        mr_value v = process_value(s, made);
        ck_assert(!v.error);
        mr_decref(s, v.id);
        mr_decref(s, made);
    }
    mr_close(s);
}
END_TEST

START_TEST(put_and_check)
{
    enum { LEN = 3000000 };
    mr_session *s = process_open(stores[_i], NULL);
    mr_err err = {0};
    mr_id id;
    unsigned char *bytes = malloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (unsigned char)(i * 7);
    ck_assert_int_eq(mr_put(s, MR_FORMAT_BYTES, bytes, LEN, NULL, 0, &id, &err), MR_OK);
    uint32_t check = process_func(s, "check");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(process_number(s, process_submit(s, check, 0, id)), LEN);
    mr_decref(s, id);
    free(bytes);
    mr_close(s);
}
END_TEST

START_TEST(an_object_larger_than_the_store)
{
    mr_session *s = process_open(stores[_i], NULL);
    mr_err err = {0};
    mr_id id;
    void *data;
    ck_assert_int_eq(mr_create(s, UINT64_C(1) << 32, &id, &data, &err), MR_E_TOOBIG);
    ck_assert_ptr_nonnull(strstr(err.text, "4294967296"));
    mr_close(s);
}
END_TEST

START_TEST(nested_tasks)
{
    mr_session *s = process_open(stores[_i], NULL);
    ck_assert_int_eq(process_number(s, process_submit(s, process_func(s, "fib"), 8, 0)), 21);
    mr_close(s);
}
END_TEST

START_TEST(waits_within_waits_to_depth_1000)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    const int depth = 100; /* a process of a sanitizer is large and slow to start */
#else
    const int depth = 1000;
#endif
    mr_session *s = process_open(stores[_i], (mr_override[]){{"node", "cpus", "1", "test"}, {0}});
    ck_assert_int_eq(process_number(s, process_submit(s, process_func(s, "down"), depth, 0)), depth);
    mr_close(s);
}
END_TEST

START_TEST(gpus_are_told)
{
    unsetenv("CUDA_VISIBLE_DEVICES");
    mr_session *s = process_open(stores[_i], (mr_override[]){{"node", "gpus", "3", "test"}, {0}});
    mr_need one[] = {{"GPU", 10000}}, two[] = {{"GPU", 20000}};
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.needs = two;
    def.n_needs = 1;
    ck_assert_int_eq(process_number(s, process_submit(s, process_define(s, &def, "gpus"), 0, 0)), 1);
    def.needs = one;
    ck_assert_int_eq(process_number(s, process_submit(s, process_define(s, &def, "gpus"), 0, 0)), 0);
    ck_assert_int_eq(process_number(s, process_submit(s, process_func(s, "gpus"), 0, 0)), -1);
    mr_close(s);
}
END_TEST

START_TEST(an_error_of_the_task)
{
    mr_session *s = process_open(stores[_i], NULL);
    mr_id id = process_submit(s, process_func(s, "fail"), 13, 0);
    mr_value v = process_value(s, id);
    ck_assert(v.error);
    ck_assert_uint_eq(v.format, MR_FORMAT_TEXT_ERROR);
    ck_assert_ptr_nonnull(strstr(v.data, "number 13 is bad"));
    mr_close(s);
}
END_TEST

START_TEST(an_actor_keeps_order)
{
    mr_session *s = process_open(stores[_i], NULL);
    mr_func_def class = MR_FUNC_DEF_INIT, method = MR_FUNC_DEF_INIT;
    class.kind = MR_DEF_ACTOR;
    method.kind = MR_DEF_METHOD;
    uint32_t counter = process_define(s, &class, "Counter"), add = process_define(s, &method, "Counter.add");
    mr_err err = {0};
    mr_id actor, calls[100];
    int64_t x = 1000, one = 1;
    ck_assert_int_eq(mr_submit(s, counter, 0, &(mr_args){.data = &x, .len = 8}, NULL, &actor, &err), MR_OK);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(mr_submit(s, add, actor, &(mr_args){.data = &one, .len = 8}, NULL, &calls[i], &err), MR_OK);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(process_number(s, calls[i]), 1001 + i);
    mr_decref(s, actor);
    mr_close(s);
}
END_TEST

START_TEST(lines_of_workers)
{
    mr_session *s = process_open(stores[_i], NULL);
    process_number(s, process_submit(s, process_func(s, "say"), 42, 0));
    bool out = false, err = false;
    for (int i = 0; i < 2; i++) {
        mr_output line;
        ck_assert_int_eq(mr_output_next(s, SECONDS(10), &line), MR_OK);
        out |= !line.is_stderr && strcmp(line.text, "said 42") == 0;
        err |= line.is_stderr && strcmp(line.text, "warned") == 0;
        ck_assert_int_gt(line.pid, 0);
    }
    ck_assert(out && err);
    mr_close(s);
}
END_TEST

static mr_id submit_mark(mr_session *s, uint32_t func, const char *file, int64_t i)
{
    char data[256];
    mr_err err = {0};
    mr_id id;
    memcpy(data, &i, sizeof(i));
    strcpy(data + sizeof(i), file);
    mr_args args = {.data = data, .len = sizeof(i) + strlen(file) + 1};
    ck_assert_msg(mr_submit(s, func, 0, &args, NULL, &id, &err) == MR_OK, "%s", err.text);
    return id;
}

static int marks(const volatile char *seen, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += seen[i];
    return count;
}

static void spin(int64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t from = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec, now = from;
    while (now - from < ns) {
        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    }
}

/* Workers that sleep are told of short tasks some at a time: of the last ones too, though the driver never comes back.
 * The first of `sizes` tasks is told at once; when the next come, some tens of microseconds later, its worker has done
 * it and may or may not sleep again. */
START_TEST(a_burst_is_told_to_its_end)
{
    enum { PAGE = 4096, ROUNDS = 200 };
    static const int sizes[] = {2, 2, 2, 3, 5, 17, 40};
    char file[] = "/tmp/miniray-burst-XXXXXX";
    mr_id ids[40];
    int fd = mkstemp(file);
    ck_assert(fd >= 0 && ftruncate(fd, PAGE) == 0);
    char *seen = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(seen, MAP_FAILED);
    mr_session *s = process_open(stores[_i], (const mr_override[]){{"engine", "prefetch", "false", "test"}, {0}});
    uint32_t func = process_func(s, "mark");
    for (int i = 0; i < 400; i++) /* until it is known to be short, though the first one was not */
        process_number(s, submit_mark(s, func, file, 0));
    for (int k = 0; k < ROUNDS; k++) {
        int n = sizes[k % (sizeof(sizes) / sizeof(sizes[0]))];
        memset(seen, 0, PAGE);
        ids[0] = submit_mark(s, func, file, 0);
        spin(40000 + k % 50 * 1000);
        for (int i = 1; i < n; i++)
            ids[i] = submit_mark(s, func, file, i);
        for (int looks = 0; marks(seen, n) < n && looks < 100000; looks++)
            usleep(200);
        ck_assert_int_eq(marks(seen, n), n);
        for (int i = 0; i < n; i++)
            process_number(s, ids[i]);
    }
    mr_close(s);
    munmap(seen, PAGE);
    close(fd);
    ck_assert_int_eq(unlink(file), 0);
}
END_TEST

START_TEST(state_is_told)
{
    static const char *const what[] = {"nodes",   "resources", "tasks", "actors",
                                       "objects", "workers",   "stats", "config"};
    mr_session *s = process_open(stores[_i], NULL);
    mr_err err = {0};
    process_number(s, process_submit(s, process_func(s, "square"), 3, 0));
    for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
        char *json = NULL;
        ck_assert_int_eq(mr_state(s, what[i], &json, &err), MR_OK);
        ck_assert(json && (json[0] == '[' || json[0] == '{'));
        free(json);
    }
    char *json = NULL;
    ck_assert_int_eq(mr_state(s, "weather", &json, &err), MR_E_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "weather"));
    mr_close(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process tasks");
    TCase *c = tcase_create("both stores");
    int n = sizeof(stores) / sizeof(stores[0]);
    tcase_add_loop_test(c, one_task, 0, n);
    tcase_add_loop_test(c, many_tasks, 0, n);
    tcase_add_loop_test(c, a_sum_of_dependencies, 0, n);
    tcase_add_loop_test(c, large_values, 0, n);
    tcase_add_loop_test(c, bytes_come_back, 0, n);
    tcase_add_loop_test(c, put_and_check, 0, n);
    tcase_add_loop_test(c, an_object_larger_than_the_store, 0, n);
    tcase_add_loop_test(c, nested_tasks, 0, n);
    tcase_add_loop_test(c, waits_within_waits_to_depth_1000, 0, n);
    tcase_add_loop_test(c, gpus_are_told, 0, n);
    tcase_add_loop_test(c, an_error_of_the_task, 0, n);
    tcase_add_loop_test(c, an_actor_keeps_order, 0, n);
    tcase_add_loop_test(c, lines_of_workers, 0, n);
    tcase_add_loop_test(c, a_burst_is_told_to_its_end, 0, n);
    tcase_add_loop_test(c, state_is_told, 0, n);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
