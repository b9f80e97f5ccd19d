/* test_sim_workload.c: reading workloads: what is taken, and the exact words for what is not. */
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "run_suite.h"
#include "unit/helper_sim.h"

#define OK(id) "{\"id\": \"" id "\", \"duration_s\": 1}\n"

static const struct {
    const char *text, *message;
} bad[] = {
    {"", "w.jsonl: there is no task in this workload"},
    {"# nothing but a comment\n\n", "w.jsonl: there is no task in this workload"},
    {OK("a") "{\"id\": \"b\", \"duration_s\": }\n",
     "w.jsonl:2:27: this is not JSON: unexpected '}', or it ends too early"},
    {"{\"id\": \"a\", \"duration_s\": 1", "w.jsonl:1:27: this is not JSON: unexpected '1', or it ends too early"},
    {OK("a") "[1, 2]\n", "w.jsonl:2:1: expected an object, got a list"},
    {"{\"id\": \"a\"}\n", "w.jsonl:1:1: duration_s: missing"},
    {"{\"duration_s\": 1}\n", "w.jsonl:1:1: id: missing"},
    {"{\"id\": \"a\", \"duration_s\": \"1s\"}\n", "w.jsonl:1:27: duration_s: there is no table \"1s\" above this line"},
    {"{\"id\": \"a\", \"duration_s\": -1}\n", "w.jsonl:1:27: duration_s: -1 is out of range (0 to 3.2e+09)"},
    {"{\"id\": 7, \"duration_s\": 1}\n", "w.jsonl:1:8: id: expected a text, got a number"},
    {"{\"id\": \"\", \"duration_s\": 1}\n", "w.jsonl:1:8: id: the text is empty"},
    {"{\"id\": \"a\", \"duration\": 1}\n", "w.jsonl:1:25: duration: unknown field, did you mean \"duration_s\"?"},
    {"{\"id\": \"a\", \"duration_s\": 1, \"id\": \"b\"}\n", "w.jsonl:1:36: id: given twice"},
    {OK("a") OK("b") OK("a"), "w.jsonl:3:8: id: the task \"a\" is already there (line 1)"},
    {"{\"id\": \"a\", \"duration_s\": 1, \"memory\": 1.5}\n", "w.jsonl:1:40: memory: 1.5 is not a whole number"},
    {"{\"id\": \"a\", \"duration_s\": 1, \"inputs\": [\"x\"]}\n",
     "w.jsonl:1:41: inputs: \"x\" is neither a task nor a file of this workload; a file from outside is {\"file\": "
     "\"x\", "
     "\"bytes\": N}"},
    {"{\"id\": \"a\", \"duration_s\": 1, \"inputs\": [{\"file\": \"x\"}]}\n",
     "w.jsonl:1:50: inputs: \"x\" is not a file of this workload; a file from outside is {\"file\": \"x\", \"bytes\": "
     "N}"},
    {"{\"id\": \"a\", \"duration_s\": 1, \"inputs\": [{\"bytes\": 3}]}\n",
     "w.jsonl:1:41: inputs: an input has either an \"id\" (a task) or a \"file\""},
    {"{\"id\": \"a\", \"duration_s\": 1, \"inputs\": \"x\"}\n", "w.jsonl:1:40: inputs: expected a list"},
    {"{\"id\": \"a\", \"duration_s\": 1, \"deps\": [\"z\"]}\n", "w.jsonl:1:39: deps: there is no task \"z\""},
    {"{\"id\": \"a\", \"duration_s\": 1, \"deps\": [\"a\"]}\n", "w.jsonl:1:39: deps: the task \"a\" waits for itself"},
    {"{\"id\": \"a\", \"duration_s\": 1, \"outputs\": [{\"file\": \"f\"}]}\n"
     "{\"id\": \"b\", \"duration_s\": 1, \"outputs\": [{\"file\": \"f\"}]}\n",
     "w.jsonl:2:51: file: \"f\" already comes from a"},
    {"{\"file\": \"f\", \"bytes\": 1, \"node\": \"n9\"}\n" OK("a"),
     "w.jsonl:1:35: node: the platform has no node \"n9\""},
    {OK("a") "{\"platform\": {\"nodes\": [{}]}}\n", "w.jsonl:2:1: platform: must be on the first line"},
    {"{\"platform\": {\"nodes\": []}}\n" OK("a"), "w.jsonl:1:24: nodes: expected a list of at least one node"},
    {"{\"platform\": {\"nodes\": [{\"cpu\": 4}]}}\n" OK("a"),
     "w.jsonl:1:33: cpu: unknown field, did you mean \"cpus\"?"},
    {"{\"platform\": {\"nodes\": [{\"count\": 0}]}}\n" OK("a"), "w.jsonl:1:35: count: must be from 1 to 65535"},
    {"{\"platform\": {\"nodes\": [{}], \"links\": \"fast\"}}\n" OK("a"),
     "w.jsonl:1:39: links: must be \"serial\", \"ports\", \"parallel\" or \"fair\", got \"fast\""},
    {"{\"platform\": {\"nodes\": [{\"class\": \"a\"}, {\"class\": \"b\"}]}}\n{\"id\": \"t\", \"duration_s\": {\"a\": "
     "1}}\n",
     "w.jsonl:2:27: duration_s: nothing is said for class \"b\" of the platform"},
    {"{\"platform\": {\"nodes\": [{\"class\": \"a\"}]}}\n{\"id\": \"t\", \"duration_s\": {\"a\": 1, \"c\": 2}}\n",
     "w.jsonl:2:41: duration_s: the platform has no class \"c\""},
    {"{\"id\": \"t\", \"duration_s\": {\"a\": 1}}\n",
     "w.jsonl:1:27: duration_s: durations by class need a platform with classes in the first line"},
    {OK("x") "{\"id\": \"a\", \"duration_s\": 1, \"deps\": [\"c\"]}\n{\"id\": \"b\", \"duration_s\": 1, \"deps\": "
             "[\"a\"]}\n"
             "{\"id\": \"c\", \"duration_s\": 1, \"deps\": [\"b\"]}\n",
     "w.jsonl:2:8: inputs: the tasks wait for each other in a cycle: a -> b -> c -> a"},
    {"{\"workflow\": {}}",
     "w.jsonl:1:14: workflow: expected WfFormat 1.4 or newer: specification.tasks and execution.tasks"},
    {"{\"schemaVersion\": \"1.5\", \"workflow\": {\"specification\": {\"tasks\": [{\"id\": \"a\"}]}, \"execution\": "
     "{\"tasks\": []}}}",
     "w.jsonl:1:67: execution.tasks: there is no \"runtimeInSeconds\" for the task \"a\""},
};

START_TEST(says_what_is_wrong)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    mr_status status = helper_sim_text(&w, bad[_i].text, &err);
    ck_assert_int_eq(status, MR_E_CONFIG);
    ck_assert_ptr_null(w);
    ck_assert_str_eq(err.text, bad[_i].message);
}
END_TEST

START_TEST(missing_file)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    ck_assert_int_eq(mr_workload_read(&w, "/nowhere/w.jsonl", MR_WL_AUTO, &err), MR_E_IO);
    ck_assert_str_eq(err.text, "/nowhere/w.jsonl: No such file or directory");
}
END_TEST

START_TEST(parents_come_first)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    /* c is written before its parents and would arrive before one of them */
    mr_status status = helper_sim_text(&w,
                                       "{\"id\": \"c\", \"duration_s\": 1, \"inputs\": [\"a\", \"b\"]}\n"
                                       "{\"id\": \"a\", \"duration_s\": 1, \"outputs\": 10}\n"
                                       "{\"id\": \"b\", \"duration_s\": 1, \"arrival_s\": 5, \"outputs\": 20}\n"
                                       "{\"id\": \"d\", \"duration_s\": 1, \"arrival_s\": 2}\n",
                                       &err);
    ck_assert_msg(status == MR_OK, "%s", err.text);
    ck_assert_uint_eq(w->n_tasks, 4);
    static const char *const order[] = {"a", "d", "b", "c"};
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_str_eq(mr_workload_name(w, w->order[i]), order[i]);
    ck_assert_int_eq(w->tasks[0].arrival, INT64_C(5000000000));
    ck_assert_uint_eq(w->tasks[0].n_parents, 2);
    mr_workload_free(w);
}
END_TEST

START_TEST(outputs_and_inputs)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    mr_status status =
        helper_sim_text(&w,
                        "{\"file\": \"in\", \"bytes\": 7}\n"
                        "{\"id\": \"a\", \"duration_s\": 1, \"inputs\": [\"in\"], \"outputs\": [{\"file\": \"x\", "
                        "\"bytes\": 1}, {\"file\": \"y\", \"bytes\": 2}]}\n"
                        "{\"id\": \"all\", \"duration_s\": 1, \"inputs\": [\"a\"]}\n"
                        "{\"id\": \"one\", \"duration_s\": 1, \"inputs\": [\"y\"], \"deps\": [\"a\"]}\n"
                        "{\"id\": \"edge\", \"duration_s\": 1, \"inputs\": [{\"id\": \"a\", \"bytes\": 50}]}\n"
                        "{\"id\": \"dep\", \"duration_s\": 1, \"deps\": [\"a\"]}\n",
                        &err);
    ck_assert_msg(status == MR_OK, "%s", err.text);
    ck_assert_uint_eq(w->tasks[0].n_inputs, 1);
    ck_assert_uint_eq(w->tasks[0].n_children, 4);
    ck_assert_uint_eq(w->tasks[1].n_inputs, 2);
    ck_assert_uint_eq(w->tasks[2].n_inputs, 1); /* the dependency adds nothing to a file of the same task */
    uint32_t edge = w->inputs[w->tasks[3].first_input], dep = w->inputs[w->tasks[4].first_input];
    ck_assert_uint_eq(w->objects[edge].bytes, 50);
    ck_assert_uint_eq(w->objects[dep].bytes, 0);
    ck_assert_uint_eq(w->objects[dep].task, 0);
    mr_workload_free(w);
}
END_TEST

START_TEST(reads_wfformat)
{
    mr_workload *w = NULL;
    mr_err err = {0};
    mr_status status = helper_sim_text(
        &w,
        "{\"name\": \"w\", \"schemaVersion\": \"1.5\", \"workflow\": {\"specification\": {\"tasks\": [\n"
        "{\"name\": \"p\", \"id\": \"p_1\", \"parents\": [], \"children\": [\"q_2\"], \"inputFiles\": [\"in\"], "
        "\"outputFiles\": [\"mid\"]},\n"
        "{\"name\": \"q\", \"id\": \"q_2\", \"parents\": [\"p_1\"], \"children\": [], \"inputFiles\": [\"mid\"], "
        "\"outputFiles\": []}],\n"
        "\"files\": [{\"id\": \"in\", \"sizeInBytes\": 100}, {\"id\": \"mid\", \"sizeInBytes\": 200}]},\n"
        "\"execution\": {\"tasks\": [{\"id\": \"p_1\", \"runtimeInSeconds\": 1.5, \"command\": {\"program\": "
        "\"/bin/prog\"}},\n"
        "{\"id\": \"q_2\", \"runtimeInSeconds\": 2, \"coreCount\": 2}],\n"
        "\"machines\": [{\"nodeName\": \"m\", \"cpu\": {\"coreCount\": 8}}]}}}\n",
        &err);
    ck_assert_msg(status == MR_OK, "%s", err.text);
    ck_assert_uint_eq(w->n_tasks, 2);
    ck_assert_uint_eq(w->platform.n_nodes, 1);
    ck_assert_int_eq(mr_platform_amount(&w->platform.nodes[0], "CPU"), 80000);
    ck_assert_str_eq(mr_intern_text(w->names, w->tasks[0].fn), "prog");
    ck_assert_str_eq(mr_intern_text(w->names, w->tasks[1].fn), "q");
    ck_assert_int_eq(w->tasks[0].duration, 1500000000);
    ck_assert_uint_eq(w->objects[w->inputs[w->tasks[1].first_input]].bytes, 200);
    ck_assert_uint_eq(w->tasks[1].n_inputs, 1);
    mr_workload_free(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim_workload");
    TCase *c = tcase_create("workload");
    tcase_add_loop_test(c, says_what_is_wrong, 0, sizeof bad / sizeof *bad);
    tcase_add_test(c, missing_file);
    tcase_add_test(c, parents_come_first);
    tcase_add_test(c, outputs_and_inputs);
    tcase_add_test(c, reads_wfformat);
    suite_add_tcase(s, c);
    return run_suite(s);
}
