/* The conformance suite of schedulers finds what it is for: each crooked policy fails the cases that are about its
 * fault.  The suite would be worth nothing if it passed everything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "plugin/conformance/cases.h"
#include "run_suite.h"

static const struct {
    const char *lua;
    const char *failed[4]; /* what must be among the lines */
} crooked[] = {
    {"return { pick = function(w) for t in ready() do return t end end }", {"FAILED wide tasks", "which can not be"}},
    {"return { pick = function(w) end }", {"FAILED one task", "holds what could start while nothing runs"}},
    {"return { ready = function() wake(now()) end, woken = function() wake(now() + 1) end }",
     {"FAILED independent tasks", "wakes itself without end"}},
    {"return { rank = function(t) return t.estimate + 1 end }",
     {"FAILED graphs, nothing known", "t.estimate is nil", "ok graphs\n"}},
    {"return { rank = function(t) return t.deadline + 1 end }", {"FAILED bare tasks", "t.deadline is nil"}},
    {"return { pick = function(w) for r in running(w.node) do if r.started_at + ms < 0 then return end end\n"
     "return first(w, w) or first(nil, w) end }",
     {"FAILED starts that take a while", "t.started_at is nil", "ok independent tasks\n"}},
    {"return { place = function(t) return workers()[1] end }", {"FAILED graphs, unlike nodes", "which can not be"}},
    {"local old = {} return { submitted = function(t) old[#old + 1] = t end,\n"
     "rank = function(t) return old[1].seq + 0 end }",
     {"FAILED", "t.seq is nil: it is over"}},
    {"local n = 0 return { submitted = function() n = n + 1 end, done = function() n = n - 1 end,\n"
     "dropped = function() n = n - 1 end,\n"
     "rank = function() assert(n > 0, 'miscounted') return 0 end }",
     {"FAILED deaths and cancels", "miscounted", "ok independent tasks\n"}},
};

START_TEST(is_found)
{
    char *text = NULL;
    size_t size = 0;
    mr_loaded *l = NULL;
    mr_config *c = NULL;
    mr_err err = {MR_OK, ""};
    char path[] = "/tmp/mrcrookXXXXXX.lua";
    int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, crooked[_i].lua, strlen(crooked[_i].lua)), (ssize_t)strlen(crooked[_i].lua));
    close(fd);
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(mr_config_new(&c), MR_OK);
    ck_assert_msg(mr_plugin_load(&l, "sched-lua", MR_KIND_SCHED, c, NULL, &err) == MR_OK, "%s", err.text);
    int failed = mr_sched_conformance(l, path, out);
    fclose(out);
    unlink(path);
    ck_assert_int_gt(failed, 0);
    for (int k = 0; k < 4 && crooked[_i].failed[k]; k++)
        ck_assert_msg(strstr(text, crooked[_i].failed[k]), "%s\nhas no \"%s\" in\n%s", crooked[_i].lua,
                      crooked[_i].failed[k], text);
    free(text);
    mr_plugin_unload(l);
    mr_config_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conformance: crooked policies");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, is_found, 0, (int)(sizeof crooked / sizeof crooked[0]));
    suite_add_tcase(s, t);
    return run_suite(s);
}
