/* test_process_faults.c: deaths of workers; a full store; nonsense in a ring; many threads; nothing left
 * behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/link.h"
#include "helper_process.h"
#include "run_suite.h"

static mr_fault_value fault_of(mr_session *s, mr_id id, char text[1024])
{
    mr_fault_value f;
    mr_value v = process_value(s, id);
    ck_assert(v.error);
    ck_assert_uint_eq(v.format, MR_FORMAT_FAULT);
    memcpy(&f, v.data, sizeof(f));
    snprintf(text, 1024, "%s", (const char *)v.data + sizeof(f));
    mr_decref(s, v.id);
    mr_decref(s, id);
    return f;
}

static uint32_t no_retries(mr_session *s, const char *name)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.max_retries = 0;
    return process_define(s, &def, name);
}

START_TEST(the_cause_of_death_is_told)
{
    mr_session *s = process_open("store-shm", NULL);
    char text[1024];
    mr_fault_value f = fault_of(s, process_submit(s, no_retries(s, "die"), SIGKILL, 0), text);
    ck_assert_int_eq(f.status, MR_E_CRASHED);
    ck_assert_int_eq(f.how, 2);
    ck_assert_int_eq(f.code, SIGKILL);
    ck_assert_int_gt(f.pid, 0);
    ck_assert_msg(strstr(text, "signal 9") && strstr(text, "die"), "%s", text);
    f = fault_of(s, process_submit(s, no_retries(s, "leave"), 7, 0), text);
    ck_assert_int_eq(f.how, 1);
    ck_assert_int_eq(f.code, 7);
    /* Retried: each attempt dies, the last is told. */
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.max_retries = 2;
    f = fault_of(s, process_submit(s, process_define(s, &def, "leave"), 9, 0), text);
    ck_assert_uint_eq(f.attempt, 3);
    ck_assert_uint_eq(f.of, 3);
    ck_assert_int_eq(process_number(s, process_submit(s, process_func(s, "square"), 5, 0)), 25);
    mr_close(s);
}
END_TEST

START_TEST(a_killed_worker_is_replaced)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t who = process_func(s, "who"), nap = process_func(s, "nap");
    for (int i = 0; i < 10; i++) {
        mr_id napping = process_submit(s, nap, 50000000, 0);
        int64_t pid = process_number(s, process_submit(s, who, 0, 0));
        kill((pid_t)pid, SIGKILL);
        ck_assert_int_gt(process_number(s, napping), 0);
    }
    mr_close(s);
}
END_TEST

START_TEST(an_actor_that_dies)
{
    mr_session *s = process_open("store-shm", NULL);
    mr_func_def class = MR_FUNC_DEF_INIT, method = MR_FUNC_DEF_INIT;
    class.kind = MR_DEF_ACTOR;
    method.kind = MR_DEF_METHOD;
    method.max_retries = 0;
    uint32_t counter = process_define(s, &class, "Counter"), die = process_define(s, &method, "Counter.die");
    mr_err err = {0};
    mr_id actor, call;
    int64_t x = 0;
    char text[1024];
    ck_assert_int_eq(mr_submit(s, counter, 0, &(mr_args){.data = &x, .len = 8}, NULL, &actor, &err), MR_OK);
    ck_assert_int_eq(mr_submit(s, die, actor, &(mr_args){.data = &x, .len = 8}, NULL, &call, &err), MR_OK);
    mr_fault_value f = fault_of(s, call, text);
    ck_assert_int_eq(f.status, MR_E_ACTOR_DIED);
    ck_assert_int_eq(f.code, 3);
    mr_decref(s, actor);
    mr_close(s);
}
END_TEST

START_TEST(descriptors_and_processes_are_given_back)
{
    int before = process_fds();
    for (int i = 0; i < 3; i++) {
        mr_session *s = process_open(i & 1 ? "store-mem" : "store-shm", NULL);
        process_number(s, process_submit(s, process_func(s, "square"), 5, 0));
        ck_assert_int_gt(process_children(getpid()), 0);
        mr_close(s);
        ck_assert_int_eq(process_children(getpid()), 0);
        ck_assert_int_eq(process_fds(), before);
    }
}
END_TEST

START_TEST(close_with_work_pending)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t nap = process_func(s, "nap");
    for (int i = 0; i < 50; i++)
        process_submit(s, nap, SECONDS(100), 0);
    usleep(20000);
    mr_close(s);
    ck_assert_int_eq(process_children(getpid()), 0);
}
END_TEST

typedef struct crowd {
    mr_session *s;
    uint32_t func;
    int64_t base;
    _Atomic int *right;
} crowd;

static void *crowd_main(void *arg)
{
    crowd *c = arg;
    for (int64_t i = 0; i < 200; i++) {
        int64_t x = c->base + i, got = 0;
        mr_err err;
        mr_id id;
        mr_value v;
        if (mr_submit(c->s, c->func, 0, &(mr_args){.data = &x, .len = 8}, NULL, &id, &err) ||
            mr_get(c->s, &id, 1, SECONDS(20), 0, &v, &err))
            return NULL;
        memcpy(&got, v.data, sizeof(got));
        mr_decref(c->s, v.id);
        mr_decref(c->s, id);
        if (got != x * x)
            return NULL;
    }
    atomic_fetch_add(c->right, 1);
    return NULL;
}

START_TEST(ten_threads_in_get)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t square = process_func(s, "square");
    pthread_t threads[10];
    crowd c[10];
    _Atomic int right = 0;
    for (int i = 0; i < 10; i++) {
        c[i] = (crowd){s, square, i * 1000, &right};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_main, &c[i]), 0);
    }
    for (int i = 0; i < 10; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(right, 10);
    mr_close(s);
}
END_TEST

static void *waits_for_ever(void *arg)
{
    crowd *c = arg;
    mr_err err;
    mr_value v;
    mr_id id = (mr_id)c->base;
    if (mr_get(c->s, &id, 1, -1, 0, &v, &err) == MR_E_CLOSED)
        atomic_fetch_add(c->right, 1);
    return NULL;
}

START_TEST(close_ends_the_waits_of_others)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t nap = process_func(s, "nap");
    pthread_t threads[5];
    crowd c[5];
    _Atomic int closed = 0;
    for (int i = 0; i < 5; i++) {
        c[i] = (crowd){s, nap, (int64_t)process_submit(s, nap, SECONDS(100), 0), &closed};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, waits_for_ever, &c[i]), 0);
    }
    usleep(30000);
    mr_close(s);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(closed, 5);
}
END_TEST

static void rang(void *arg, mr_id id)
{
    uint64_t one = id != 0;
    ssize_t n = write(*(int *)arg, &one, sizeof(one));
    (void)n;
}

START_TEST(ready_is_told_while_nobody_waits)
{
    mr_session *s = process_open("store-shm", NULL);
    int ends[2];
    uint64_t word;
    ck_assert_int_eq(pipe(ends), 0);
    mr_id id = process_submit(s, process_func(s, "nap"), 20000000, 0);
    ck_assert_int_eq(mr_on_ready(s, id, rang, &ends[1]), MR_OK);
    ck_assert_int_eq(read(ends[0], &word, sizeof(word)), sizeof(word));
    ck_assert(mr_contains(s, id));
    process_number(s, id);
    mr_close(s);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_timeout_and_a_look)
{
    mr_session *s = process_open("store-shm", NULL);
    mr_err err;
    mr_value v;
    mr_id id = process_submit(s, process_func(s, "nap"), 300000000, 0);
    ck_assert_int_eq(mr_get(s, &id, 1, 0, 0, &v, &err), MR_E_TIMEOUT);
    ck_assert_int_eq(mr_get(s, &id, 1, 10000000, 0, &v, &err), MR_E_TIMEOUT);
    ck_assert_int_gt(process_number(s, id), 0);
    mr_close(s);
}
END_TEST

/* The store of 64 MB holds 50, and nothing leaves it: a result of 30 is an error of the object, not a worker's death.
 */
START_TEST(a_result_that_does_not_fit)
{
    const mr_override one[] = {{"node", "cpus", "1", "test"}, {"store", "spill", "false", "test"}, {0}};
    mr_session *s = process_open(_i ? "store-shm" : "store-mem", one);
    uint32_t who = process_func(s, "who"), make = process_func(s, "make");
    int64_t pid = process_number(s, process_submit(s, who, 0, 0));
    char *bytes = calloc(1, 10 << 20);
    mr_id held[5];
    mr_err err;
    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(mr_put(s, MR_FORMAT_BYTES, bytes, 10 << 20, NULL, 0, &held[i], &err), MR_OK);
    free(bytes);
    mr_id id = process_submit(s, make, 30 << 20, 0);
    mr_value v = process_value(s, id);
    ck_assert(v.error);
    mr_decref(s, v.id);
    mr_decref(s, id);
    /* The same worker goes on, and with room the same task can do it. */
    ck_assert_int_eq(process_number(s, process_submit(s, who, 0, 0)), pid);
    for (int i = 0; i < 5; i++)
        mr_decref(s, held[i]);
    id = process_submit(s, make, 30 << 20, 0);
    v = process_value(s, id);
    ck_assert(!v.error);
    ck_assert_uint_eq(v.len, 30 << 20);
    mr_decref(s, v.id);
    mr_decref(s, id);
    mr_close(s);
}
END_TEST

/* What the first attempt sealed stands; the second writes it again for nothing. */
START_TEST(a_result_is_sealed_by_two_attempts)
{
    mr_session *s = process_open(_i ? "store-shm" : "store-mem", NULL);
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.n_returns = 2;
    uint32_t half = process_define(s, &def, "half"), check = process_func(s, "check");
    mr_id id = process_submit(s, half, 1000000, 0);
    ck_assert_int_eq(process_number(s, id + 1), 2);
    ck_assert_int_eq(process_number(s, process_submit(s, check, 1000000, id)), 1000000);
    mr_decref(s, id);
    /* The second fails: its error is for what is missing, and for that alone. */
    mr_id one = process_submit(s, check, 0, process_submit(s, process_func(s, "make"), 1, 0));
    id = process_submit(s, half, 1000000, one);
    mr_value v = process_value(s, id + 1);
    ck_assert(v.error);
    ck_assert_str_eq(v.data, "the second attempt gave up");
    mr_decref(s, v.id);
    mr_decref(s, id + 1);
    ck_assert_int_eq(process_number(s, process_submit(s, check, 1000000, id)), 1000000);
    mr_close(s);
}
END_TEST

static int voluntary_switches(int pid)
{
    char path[600], line[256];
    int total = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        int n;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
            if (sscanf(line, "voluntary_ctxt_switches: %d", &n) == 1)
                total += n;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return total;
}

START_TEST(an_idle_session_sleeps)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t square = process_func(s, "square"), who = process_func(s, "who");
    for (int64_t i = 0; i < 100; i++)
        process_number(s, process_submit(s, square, i, 0));
    int pids[3] = {getpid(), process_child_of(getpid()), (int)process_number(s, process_submit(s, who, 0, 0))},
        before[3];
    /* What was started may take a while to settle on a busy machine; a session that is idle comes to rest, one that
     * polls never does.  The sleep itself is one switch in this process; a thread sanitizer has a thread there that
     * never rests. */
    bool rests = false;
    for (int tries = 0; tries < 40 && !rests; tries++) {
        for (int i = 0; i < 3; i++)
            before[i] = voluntary_switches(pids[i]);
#if defined(__SANITIZE_THREAD__)
        before[0] = INT32_MAX / 2;
#endif
        usleep(500000);
        rests = true;
        for (int i = 0; i < 3; i++)
            rests = rests && voluntary_switches(pids[i]) - before[i] <= (i == 0);
    }
    ck_assert(rests);
    mr_close(s);
}
END_TEST

/* The shared links, through the descriptor that the driver itself has. */
static mr_links *map_links(void)
{
    DIR *d = opendir("/proc/self/fd");
    mr_links *links = NULL;
    for (struct dirent *e; d && !links && (e = readdir(d)) != NULL;) {
        char path[300], target[300] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
        if (readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "miniray-links"))
            links = mmap(NULL, sizeof(*links), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(e->d_name), 0);
    }
    if (d)
        closedir(d);
    return links;
}

/* What a worker gone mad might write: each kind of nonsense costs that worker, and only that. */
START_TEST(nonsense_in_a_ring)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t who = process_func(s, "who");
    int64_t pid = process_number(s, process_submit(s, who, 0, 0));
    mr_links *links = map_links();
    ck_assert_ptr_nonnull(links);
    mr_link *link = &links->link[0];
    uint64_t tail = atomic_load(&link->out.tail);
    char *at = link->out_data + tail % MR_RING_BYTES;
    memset(at, 0, 64);
    mr_record *r = (mr_record *)(void *)at;
    *r = (mr_record){.size = 64, .kind = MR_EV_REFS, .version = MR_RECORD_VERSION};
    switch (_i) {
    case 0:
        r->size = 12345;
        break;
    case 1:
        r->kind = 77;
        break;
    case 2:
        r->version = 9;
        break;
    case 3:
        r->n_ids = 0xffffffff;
        break;
    case 4:
        r->kind = MR_EV_NODE_REMOVED;
        break;
    case 5:
        r->kind = 650;
        break;
    case 6:
        tail += 1 << 20;
        break;
    case 7:
        r->size = 0;
        break;
    case 8:
        r->size = 0xfffffff8;
        break;
    case 9: {
        mr_big *big = (mr_big *)(void *)r;
        r->kind = MR_ASK_BIG;
        big->id = 0x123456;
        big->len = 1 << 30;
        break;
    }
    case 10:
        r->n_bytes = 0xffffffff;
        break;
    default: {
        mr_ev_put *put = (mr_ev_put *)(void *)r;
        r->kind = MR_EV_PUT;
        put->id = 0x123456;
        put->flags = MR_VALUE_STORED;
        put->size = 1000;
    }
    }
    atomic_store(&link->out.tail, tail + 64);
    atomic_fetch_or(&links->page.dirty[0], 1);
    ck_assert_int_gt(process_number(s, process_submit(s, process_func(s, "nap"), 1000000, 0)), 0);
    ck_assert(process_gone((int)pid));
    ck_assert_int_gt(process_number(s, process_submit(s, who, 0, 0)), 0);
    munmap(links, sizeof(*links));
    mr_close(s);
}
END_TEST

START_TEST(a_forked_child_is_told)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t square = process_func(s, "square");
    process_number(s, process_submit(s, square, 5, 0));
    pid_t child = fork();
    if (child == 0) {
        mr_err err;
        mr_id id;
        int64_t x = 1;
        mr_status status = mr_submit(s, square, 0, &(mr_args){.data = &x, .len = 8}, NULL, &id, &err);
        _exit(mr_current() == NULL && status == MR_E_FORKED ? 0 : 1);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    ck_assert_int_eq(process_number(s, process_submit(s, square, 6, 0)), 36);
    mr_close(s);
}
END_TEST

START_TEST(a_queued_task_is_cancelled)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t nap = process_func(s, "nap");
    mr_err err = {0};
    char text[1024];
    mr_id busy[2], queued;
    for (int i = 0; i < 2; i++)
        busy[i] = process_submit(s, nap, 200000000, 0);
    queued = process_submit(s, nap, 1000, 0);
    ck_assert_int_eq(mr_cancel(s, queued, 0, &err), MR_OK);
    ck_assert_int_eq(fault_of(s, queued, text).status, MR_E_CANCELLED);
    for (int i = 0; i < 2; i++)
        ck_assert_int_gt(process_number(s, busy[i]), 0);
    mr_close(s);
}
END_TEST

START_TEST(a_running_task_is_killed_by_force)
{
    mr_session *s = process_open("store-shm", NULL);
    mr_id id = process_submit(s, process_func(s, "nap"), SECONDS(100), 0);
    mr_err err = {0};
    char text[1024];
    usleep(50000);
    ck_assert_int_eq(mr_cancel(s, id, MR_FORCE, &err), MR_OK);
    mr_fault_value f = fault_of(s, id, text);
    ck_assert_int_eq(f.status, MR_E_CANCELLED);
    ck_assert_int_gt(process_number(s, process_submit(s, process_func(s, "who"), 0, 0)), 0);
    mr_close(s);
}
END_TEST

START_TEST(a_deaf_task_is_killed_after_the_grace)
{
    static const mr_override grace[] = {{"engine", "grace", "200ms", "test"}, {NULL, NULL, NULL, NULL}};
    mr_session *s = process_open(_i ? "store-mem" : "store-shm", grace);
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.max_retries = 3;
    mr_id id = process_submit(s, process_define(s, &def, "deaf"), 0, 0);
    mr_id beside = process_submit(s, process_func(s, "nap"), 400000000, 0);
    mr_err err = {0};
    char text[1024];
    usleep(50000);
    ck_assert_int_eq(mr_cancel(s, id, 0, &err), MR_OK);
    ck_assert_int_eq(fault_of(s, id, text).status, MR_E_CANCELLED);
    ck_assert_int_gt(process_number(s, beside), 0);
    mr_close(s);
}
END_TEST

/* Bytes that this process was shown stay as they were, whatever is put afterwards. */
START_TEST(freed_under_a_view)
{
    mr_session *s = process_open(_i ? "store-mem" : "store-shm", NULL);
    enum { LEN = 1 << 20 };
    static char bytes[LEN];
    mr_err err = {0};
    mr_id id, others[8];
    memset(bytes, 7, LEN);
    ck_assert_int_eq(mr_put(s, 1, bytes, LEN, NULL, 0, &id, &err), MR_OK);
    mr_value v = process_value(s, id);
    ck_assert_int_eq(mr_free(s, &id, 1), MR_OK);
    memset(bytes, 9, LEN);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(mr_put(s, 1, bytes, LEN, NULL, 0, &others[i], &err), MR_OK);
    for (size_t i = 0; i < LEN; i++)
        if (((const char *)v.data)[i] != 7)
            ck_abort_msg("byte %zu was given to somebody else", i);
    mr_value again;
    ck_assert_int_eq(mr_get(s, &id, 1, 0, 0, &again, &err), MR_OK);
    ck_assert_int_eq(again.status, MR_E_FREED);
    mr_close(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process faults");
    TCase *c = tcase_create("faults");
    tcase_add_test(c, the_cause_of_death_is_told);
    tcase_add_test(c, a_killed_worker_is_replaced);
    tcase_add_test(c, an_actor_that_dies);
    tcase_add_test(c, descriptors_and_processes_are_given_back);
    tcase_add_test(c, close_with_work_pending);
    tcase_add_test(c, ten_threads_in_get);
    tcase_add_test(c, close_ends_the_waits_of_others);
    tcase_add_test(c, ready_is_told_while_nobody_waits);
    tcase_add_test(c, a_timeout_and_a_look);
    tcase_add_loop_test(c, a_result_that_does_not_fit, 0, 2);
    tcase_add_loop_test(c, a_result_is_sealed_by_two_attempts, 0, 2);
    tcase_add_test(c, an_idle_session_sleeps);
    tcase_add_loop_test(c, nonsense_in_a_ring, 0, 12);
    tcase_add_test(c, a_forked_child_is_told);
    tcase_add_test(c, a_queued_task_is_cancelled);
    tcase_add_test(c, a_running_task_is_killed_by_force);
    tcase_add_loop_test(c, a_deaf_task_is_killed_after_the_grace, 0, 2);
    tcase_add_loop_test(c, freed_under_a_view, 0, 2);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
