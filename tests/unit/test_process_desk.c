/* test_process_desk.c: the socket of a session, asked by others while it works. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "helper_process.h"
#include "run_suite.h"

static void folder_of(mr_session *s, char *out, size_t n)
{
    char *json = NULL;
    mr_err err = {0};
    ck_assert_int_eq(mr_state(s, "session", &json, &err), MR_OK);
    const char *at = strstr(json, "\"folder\":\"");
    ck_assert_ptr_nonnull(at);
    at += strlen("\"folder\":\"");
    snprintf(out, n, "%.*s", (int)strcspn(at, "\""), at);
    free(json);
}

static int desk_connect(const char *folder)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", folder);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* The answer to one line, malloc'ed; its length. */
static char *desk_ask(const char *folder, const char *line, size_t *len)
{
    int fd = desk_connect(folder);
    size_t n = 0, cap = 4096;
    char *answer = malloc(cap);
    ck_assert_int_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
    for (ssize_t got; (got = read(fd, answer + n, cap - n - 1)) > 0;) {
        n += (size_t)got;
        if (cap - n < 1024)
            answer = realloc(answer, cap *= 2);
    }
    answer[n] = 0;
    close(fd);
    *len = n;
    return answer;
}

START_TEST(tables_are_told)
{
    static const char *const what[] = {"nodes\n", "tasks\n",   "objects\n", "workers\n",
                                       "stats\n", "session\n", "logs 3\n"};
    char folder[200];
    struct stat st;
    mr_session *s = process_open("store-shm", NULL);
    folder_of(s, folder, sizeof(folder));
    ck_assert_int_eq(stat(folder, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    process_number(s, process_submit(s, process_func(s, "square"), 3, 0));
    for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
        size_t len;
        char *answer = desk_ask(folder, what[i], &len);
        ck_assert_msg(len > 1 && strchr("[{", answer[0]) && strchr("]}", answer[len - 1]), "%s: %s", what[i], answer);
        ck_assert_ptr_null(strstr(answer, "\"error\":\"\\\""));
        free(answer);
    }
    size_t len;
    char *answer = desk_ask(folder, "weather\n", &len);
    ck_assert_ptr_nonnull(strstr(answer, "weather"));
    free(answer);
    mr_close(s);
    ck_assert_int_ne(stat(folder, &st), 0);
}
END_TEST

enum { ASKERS = 3, ASKS = 30 };

static void *ask_often(void *folder)
{
    for (int i = 0; i < ASKS; i++) {
        size_t len;
        free(desk_ask(folder, i % 2 ? "tasks\n" : "objects\n", &len));
        ck_assert_uint_gt(len, 0);
    }
    return NULL;
}

START_TEST(many_ask_while_it_works)
{
    char folder[200];
    pthread_t asker[ASKERS];
    mr_session *s = process_open("store-shm", NULL);
    folder_of(s, folder, sizeof(folder));
    int silent = desk_connect(folder), half = desk_connect(folder);
    ck_assert_int_eq(write(half, "tas", 3), 3);
    for (int i = 0; i < ASKERS; i++)
        ck_assert_int_eq(pthread_create(&asker[i], NULL, ask_often, folder), 0);
    uint32_t square = process_func(s, "square");
    for (int64_t i = 0; i < 300; i++)
        ck_assert_int_eq(process_number(s, process_submit(s, square, i, 0)), i * i);
    for (int i = 0; i < ASKERS; i++)
        pthread_join(asker[i], NULL);
    mr_close(s); /* with two conversations open */
    close(silent);
    close(half);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process desk");
    TCase *c = tcase_create("desk");
    tcase_add_test(c, tables_are_told);
    tcase_add_test(c, many_ask_while_it_works);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
