/* The scheduler conformance suite, on every scheduler of this build and every policy of config/policies.
 *
 *   test_sched_conformance                      all of them, each in a child process of its own
 *   test_sched_conformance PLUGIN [POLICY.lua]  one
 *   MRTEST_WORLDS=20 test_sched_conformance     with so many times the worlds
 *   test_sched_conformance --time POLICY.lua    ns of one `rank` (to look at; nothing is judged)
 */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugin/conformance/bench_host.h"
#include "plugin/conformance/cases.h"

static int run_one(const char *plugin, const char *policy)
{
    mr_loaded *l = NULL;
    mr_config *c = NULL;
    mr_err err = {MR_OK, ""};
    int failed = 1;
    if (mr_config_new(&c) || mr_plugin_load(&l, plugin, MR_KIND_SCHED, c, NULL, &err)) {
        printf("FAILED %s can not be loaded: %s\n", plugin, err.text);
    } else {
        failed = mr_sched_conformance(l, policy, stdout);
        mr_plugin_unload(l);
    }
    mr_config_free(c);
    return failed;
}

/* A crash or an endless loop of one must not end the others. */
static int run_child(const char *plugin, const char *policy)
{
    int status = 0;
    printf("== %s %s\n", plugin, policy ? policy : "");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(300);
        int failed = run_one(plugin, policy);
        fflush(stdout);
        exit(failed != 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (WIFSIGNALED(status))
        printf("FAILED it was killed by signal %d\n", WTERMSIG(status));
    return status != 0;
}

static int is_lua(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 4 && strcmp(d->d_name + n - 4, ".lua") == 0;
}

static int run_all(void)
{
    const char *root = getenv("MRTEST_SOURCE_DIR");
    struct dirent **list;
    char dir[2048], path[4096];
    static const char *const native[] = {"sched-fifo", "sched-locality", "sched-priority"};
    int failed = 0, n_native = (int)(sizeof native / sizeof native[0]);
    for (int i = 0; i < n_native; i++)
        failed += run_child(native[i], NULL);
    snprintf(dir, sizeof dir, "%s/config/policies", root ? root : ".");
    int n = scandir(dir, &list, is_lua, alphasort);
    if (n <= 0) {
        printf("FAILED no policy in %s\n", dir);
        return failed + 1;
    }
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
        failed += run_child("sched-lua", path);
        free(list[i]);
    }
    free(list);
    printf("%d plugins and policies, %d failed\n", n + n_native, failed);
    return failed;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int time_rank(const char *policy)
{
    enum { CALLS = 1000 * 1000 };
    mr_loaded *l = NULL;
    mr_config *c = NULL;
    mr_bench *b = NULL;
    mr_err err = {MR_OK, ""};
    int failed = 1;
    double sum = 0;
    if (mr_config_new(&c) || mr_plugin_load(&l, "sched-lua", MR_KIND_SCHED, c, NULL, &err))
        goto out;
    b = mr_bench_new(l, policy, 1);
    if (!b || mr_bench_open(b))
        goto out;
    mr_task t = {.ref = 1, .estimate = 1000, .ready_at = 5, .entry = 7};
    double from = seconds();
    for (int i = 0; i < CALLS; i++) {
        t.estimate = i;
        sum += l->ops.sched.rank(b->self, &t);
    }
    printf("%.0f ns a rank (%g)\n", (seconds() - from) * 1e9 / CALLS, sum);
    failed = 0;
out:
    if (failed)
        printf("FAILED %s %s\n", err.text, b ? b->open_error : "");
    mr_bench_free(b);
    if (l)
        mr_plugin_unload(l);
    mr_config_free(c);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--time") == 0)
        return time_rank(argv[2]);
    if (argc > 1)
        return run_one(argv[1], argc > 2 ? argv[2] : NULL) != 0;
    return run_all() != 0;
}
