/* test_process_supervisor.c: the deaths of supervisor and driver, each alone and together; nothing is left behind. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper_process.h"
#include "run_suite.h"

/* The driver as a process of its own: what it tells through `tell`, then how it ends. */
static void drive_and_end(int tell, int how)
{
    mr_session *s = process_open("store-shm", NULL);
    int64_t pids[2] = {process_number(s, process_submit(s, process_func(s, "daemonize"), 0, 0)),
                       process_number(s, process_submit(s, process_func(s, "who"), 0, 0))};
    process_submit(s, process_func(s, "nap"), SECONDS(100), 0);
    usleep(20000);
    if (write(tell, pids, sizeof(pids)) != sizeof(pids))
        _exit(2);
    if (how == 0)
        _exit(0); /* without mr_close */
    for (;;)
        pause();
}

START_TEST(a_driver_that_is_gone_leaves_nothing)
{
    int ends[2];
    int64_t pids[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t driver = fork();
    if (driver == 0)
        drive_and_end(ends[1], _i);
    ck_assert_int_eq(read(ends[0], pids, sizeof(pids)), sizeof(pids));
    if (_i == 1)
        kill(driver, SIGKILL);
    ck_assert_int_eq(waitpid(driver, NULL, 0), driver);
    ck_assert(process_gone((int)pids[0]));
    ck_assert(process_gone((int)pids[1]));
}
END_TEST

START_TEST(a_killed_supervisor)
{
    mr_session *s = process_open("store-shm", NULL);
    uint32_t who = process_func(s, "who"), nap = process_func(s, "nap");
    int64_t pid = process_number(s, process_submit(s, who, 0, 0));
    mr_id napping = process_submit(s, nap, 100000000, 0);
    int supervisor = process_child_of(getpid());
    ck_assert_int_gt(supervisor, 0);
    kill(supervisor, SIGKILL);
    ck_assert(process_gone((int)pid));
    /* Its workers died with it; the task is retried on a new one. */
    ck_assert_int_gt(process_number(s, napping), 0);
    ck_assert_int_gt(process_number(s, process_submit(s, who, 0, 0)), 0);
    mr_close(s);
    ck_assert_int_eq(process_children(getpid()), 0);
}
END_TEST

/* The supervisor alone is killed: what a task started in a session of its own is ended by the driver, at once (0) or
 * when the session is closed (1). */
START_TEST(a_killed_supervisor_leaves_nothing)
{
    mr_session *s = process_open("store-shm", NULL);
    int64_t pid = process_number(s, process_submit(s, process_func(s, "daemonize"), 0, 0));
    int supervisor = process_child_of(getpid());
    ck_assert_int_gt(supervisor, 0);
    ck_assert_int_eq(kill((pid_t)pid, 0), 0);
    kill(supervisor, SIGKILL);
    if (_i == 1)
        mr_close(s);
    ck_assert(process_gone((int)pid));
    if (_i == 0) {
        ck_assert_int_gt(process_number(s, process_submit(s, process_func(s, "who"), 0, 0)), 0);
        mr_close(s);
    }
    ck_assert_int_eq(process_children(getpid()), 0);
}
END_TEST

/* As a driver leaves it that dies between two system calls, where files cannot be made without a name. */
static void spill_file(char *folder, char file[64])
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, 64, "%s/miniray-spill.aBc012", folder);
    fclose(fopen(file, "w"));
}

/* Driver and supervisor killed at once: what a task started in a session of its own escapes, until the next session. */
START_TEST(the_next_session_sweeps)
{
    int ends[2];
    int64_t pids[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t driver = fork();
    if (driver == 0)
        drive_and_end(ends[1], 1);
    ck_assert_int_eq(read(ends[0], pids, sizeof(pids)), sizeof(pids));
    int supervisor = process_child_of(driver);
    ck_assert_int_gt(supervisor, 0);
    kill(supervisor, SIGSTOP); /* so that it can not do its work in between */
    kill(driver, SIGKILL);
    kill(supervisor, SIGKILL);
    ck_assert_int_eq(waitpid(driver, NULL, 0), driver);
    ck_assert(process_gone((int)pids[1]));
    ck_assert_int_eq(kill((pid_t)pids[0], 0), 0);
    char folder[] = "/tmp/mr-super-XXXXXX", spilled[64];
    spill_file(folder, spilled);
    mr_session *s = process_open("store-shm", (mr_override[]){{"store", "spill_dir", folder, "test"}, {0}});
    ck_assert(process_gone((int)pids[0]));
    mr_close(s); /* waits for the thread that sweeps */
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* A supervisor without a session: `driver` is its parent (_i = 0) or is gone before it begins (_i = 1). */
static void supervise(int sock, pid_t driver)
{
    const char *bin = getenv("MRTEST_BIN_DIR");
    char exe[4096], number[3][16];
    FILE *now = tmpfile(); /* what the policy does, for a driver that dies of it: nothing */
    if (!now || ftruncate(fileno(now), 4096))
        _exit(4);
    snprintf(exe, sizeof exe, "%s/miniray-worker", bin ? bin : ".");
    snprintf(number[0], sizeof number[0], "%d", sock);
    snprintf(number[1], sizeof number[1], "%d", (int)driver);
    snprintf(number[2], sizeof number[2], "%d", fileno(now));
    execl(exe, exe, "--supervise", number[0], number[1], "0", "", number[2], (char *)NULL);
    _exit(3);
}

/* The kernel closes what a process has open before others see that it is dead, and a supervisor may begin after that:
 * the folder of the session goes all the same. */
START_TEST(the_folder_of_a_dead_driver_goes)
{
    char folder[] = "/tmp/mr-super-XXXXXX", lock[64], spills[] = "/tmp/mr-super-XXXXXX", spilled[64];
    int ends[2], status;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(lock, sizeof lock, "%s/lock", folder);
    fclose(fopen(lock, "w"));
    ck_assert_int_eq(setenv("MINIRAY_FOLDER", folder, 1), 0);
    spill_file(spills, spilled);
    ck_assert_int_eq(setenv("MINIRAY_SPILLS", spills, 1), 0);
    pid_t driver = fork();
    if (driver == 0) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
            _exit(2);
        pid_t self = getpid();
        if (fork() == 0) {
            close(ends[0]);
            while (_i == 1 && getppid() == self)
                usleep(1000);
            supervise(ends[1], self);
        }
        close(ends[1]);
        close(ends[0]);
        usleep(_i == 1 ? 0 : 300000);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(driver, &status, 0), driver);
    ck_assert_int_eq(status, 0);
    for (int i = 0; i < 2000 && (access(folder, F_OK) == 0 || access(spilled, F_OK) == 0); i++)
        usleep(10000);
    ck_assert_int_ne(access(folder, F_OK), 0);
    ck_assert_int_eq(rmdir(spills), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process supervisor");
    TCase *c = tcase_create("supervisor");
    tcase_add_loop_test(c, a_driver_that_is_gone_leaves_nothing, 0, 2);
    tcase_add_test(c, a_killed_supervisor);
    tcase_add_loop_test(c, a_killed_supervisor_leaves_nothing, 0, 2);
    tcase_add_test(c, the_next_session_sweeps);
    tcase_add_loop_test(c, the_folder_of_a_dead_driver_goes, 0, 2);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
