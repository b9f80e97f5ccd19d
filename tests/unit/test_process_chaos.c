/* test_process_chaos.c: processes of a session are killed and stopped at random while it works; every value must be
 * right and nothing may be left.  The seed is fixed; what it strikes is not, so each run is another one.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "helper_process.h"
#include "run_suite.h"

/* Instrumented processes take this much longer to be born, and one that never gets there is no subject of this test. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLOWER = 25 };
#else
enum { SLOWER = 1 };
#endif
enum { PIDS_MAX = 256, ROUNDS = 30, TASKS = 500 };

static _Atomic bool enough;
static _Atomic int kills;

/* Of all threads of `parent`: whichever started them. */
static int children_of(int parent, int *out, int room)
{
    char path[600];
    int n = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", parent);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/children", parent, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        while (f && n < room && fscanf(f, "%d", &out[n]) == 1)
            n++;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return n;
}

/* Supervisors and workers alike. */
static void *killer(void *arg)
{
    unsigned seed = *(const unsigned *)arg;
    while (!enough) {
        int pids[PIDS_MAX], own = children_of(getpid(), pids, PIDS_MAX), n = own;
        for (int i = 0; i < n && n < PIDS_MAX; i++)
            n += children_of(pids[i], pids + n, PIDS_MAX - n);
        /* A supervisor takes all its workers with it, so it is struck less often: what is killed again and again while
         * it is being born counts as impossible to start. */
        int spare = rand_r(&seed) % 8 ? own : 0;
        usleep(SLOWER * (2000 + (unsigned)rand_r(&seed) % 8000));
        if (n <= spare)
            continue;
        int victim = pids[spare + rand_r(&seed) % (n - spare)];
        if (rand_r(&seed) % 4 == 0) {
            kill(victim, SIGSTOP);
            usleep(3000);
            kill(victim, SIGCONT);
        } else if (kill(victim, SIGKILL) == 0) {
            kills++;
        }
    }
    return NULL;
}

static uint32_t define_stubborn(mr_session *s, const char *name)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.max_retries = -1;
    return process_define(s, &def, name);
}

START_TEST(every_value_is_right)
{
    static const mr_override quiet[] = {{"log", "file", "/dev/null", "test"}, {NULL, NULL, NULL, NULL}};
    mr_session *s = process_open(_i ? "store-mem" : "store-shm", quiet);
    uint32_t square = define_stubborn(s, "square"), make = define_stubborn(s, "make"),
             check = define_stubborn(s, "check");
    pthread_t thread;
    unsigned seed = 11 + (unsigned)_i;
    ck_assert_int_eq(pthread_create(&thread, NULL, killer, &seed), 0);
    for (int64_t round = 0; round < ROUNDS || kills < 20; round++) {
        mr_id ids[TASKS];
        int64_t len = round * 7919 % 300000;
        for (int64_t i = 0; i < TASKS; i++)
            ids[i] = process_submit(s, square, i, 0);
        mr_id made = process_submit(s, make, len, 0), checked = process_submit(s, check, 0, made);
        for (int64_t i = 0; i < TASKS; i++)
            ck_assert_int_eq(process_number(s, ids[i]), i * i);
        ck_assert_int_eq(process_number(s, checked), len);
        mr_decref(s, made);
    }
    enough = true;
    pthread_join(thread, NULL);
    ck_assert_int_eq(process_number(s, process_submit(s, square, 12, 0)), 144);
    mr_close(s);
    ck_assert_int_eq(process_children(getpid()), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process chaos");
    TCase *c = tcase_create("kill and stop");
    tcase_add_loop_test(c, every_value_is_right, 0, 2);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
