/* test_process_nodes.c: logical nodes that come and go under C workers: where tasks run, what moves, what is made
 * again, what is lost and why, and that nothing is left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helper_process.h"
#include "run_suite.h"

enum { BIG = 200000 };

static mr_session *open_growing(const char *store)
{
    static const mr_override grows[] = {{"engine", "add_nodes", "true", "test"}, {"node", "cpus", "1", "test"}, {0}};
    return process_open(store, grows);
}

static uint32_t add(mr_session *s, double cpus, const char *resource)
{
    mr_err err = {0};
    mr_need amounts[2] = {{"CPU", (int64_t)(cpus * 10000)}, {resource, 10000}};
    mr_node_def def = MR_NODE_DEF_INIT;
    uint32_t number = 0;
    def.amounts = amounts;
    def.n_amounts = resource ? 2 : 1;
    mr_status status = mr_node_add(s, &def, &number, &err);
    ck_assert_msg(!status, "add: %s", err.text);
    return number;
}

static void take_away(mr_session *s, uint32_t node)
{
    mr_err err = {0};
    mr_status status = mr_node_remove(s, node, &err);
    ck_assert_msg(!status, "remove: %s", err.text);
}

/* `name` on a node: a wish, so that it can run elsewhere when that one is gone. */
static uint32_t on(mr_session *s, const char *name, uint32_t node, int32_t retries)
{
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.schedule = MR_SCHEDULE_NODE;
    def.node = node;
    def.flags = MR_DEF_SOFT_NODE;
    def.max_retries = retries;
    return process_define(s, &def, name);
}

static void ready(mr_session *s, mr_id id)
{
    bool is = false;
    mr_err err = {0};
    ck_assert_int_eq(mr_wait(s, &id, 1, 1, SECONDS(20), &is, &err), MR_OK);
    ck_assert(is);
}

static int64_t moved(mr_session *s)
{
    char *json = NULL;
    mr_err err = {0};
    ck_assert_int_eq(mr_state(s, "stats", &json, &err), MR_OK);
    const char *at = strstr(json, "\"moved_bytes\":");
    ck_assert_ptr_nonnull(at);
    int64_t bytes = strtoll(at + 14, NULL, 10);
    free(json);
    return bytes;
}

static const char *const stores[] = {"store-shm", "store-mem"};

START_TEST(values_travel_on_demand)
{
    mr_session *s = open_growing(stores[_i]);
    uint32_t node = add(s, 1, NULL);
    mr_id big = process_submit(s, on(s, "make", node, 3), BIG, 0);
    ready(s, big);
    mr_value v = process_value(s, big); /* the driver reads any node */
    ck_assert(!v.error && v.len >= BIG);
    mr_decref(s, v.id);
    ck_assert_int_eq(moved(s), 0);
    ck_assert_int_eq(process_number(s, process_submit(s, on(s, "check", node, 3), BIG, big)), BIG);
    ck_assert_int_eq(moved(s), 0);
    for (int i = 0; i < 2; i++) { /* copied once */
        ck_assert_int_eq(process_number(s, process_submit(s, on(s, "check", 0, 3), BIG, big)), BIG);
        ck_assert_int_ge(moved(s), BIG);
        ck_assert_int_lt(moved(s), 2 * BIG);
    }
    mr_decref(s, big);
    mr_close(s);
}
END_TEST

START_TEST(a_lost_value_is_made_again)
{
    mr_session *s = open_growing(stores[_i]);
    uint32_t node = add(s, 1, NULL);
    mr_id big = process_submit(s, on(s, "make", node, 3), BIG, 0);
    ready(s, big);
    mr_value v = process_value(s, big);
    char *before = malloc(v.len);
    memcpy(before, v.data, v.len);
    take_away(s, node);
    ck_assert_int_eq(memcmp(before, v.data, v.len), 0); /* the view stays good */
    ck_assert_int_eq(process_number(s, process_submit(s, process_func(s, "check"), BIG, big)), BIG);
    mr_decref(s, v.id);
    v = process_value(s, big);
    ck_assert(!v.error);
    ck_assert_int_eq(memcmp(before, v.data, v.len), 0);
    free(before);
    mr_decref(s, v.id);
    mr_decref(s, big);
    mr_close(s);
}
END_TEST

START_TEST(what_is_lost_says_why)
{
    mr_session *s = open_growing(stores[_i]);
    uint32_t node = add(s, 1, NULL);
    mr_id big = process_submit(s, on(s, "make", node, 0), BIG, 0);
    ready(s, big);
    take_away(s, node);
    mr_value v = process_value(s, big);
    mr_fault_value f;
    ck_assert(v.error && v.format == MR_FORMAT_FAULT);
    memcpy(&f, v.data, sizeof(f));
    const char *text = (const char *)v.data + sizeof(f);
    ck_assert_int_eq(f.status, MR_E_LOST);
    ck_assert_uint_eq(f.cause, big);
    ck_assert_msg(strstr(text, "node node1") && strstr(text, "no attempt left"), "%s", text);
    mr_decref(s, v.id);
    mr_decref(s, big);
    mr_close(s);
}
END_TEST

START_TEST(workers_go_with_their_node)
{
    mr_session *s = open_growing("store-shm");
    uint32_t node = add(s, 1, NULL);
    int pid = (int)process_number(s, process_submit(s, on(s, "who", node, 3), 0, 0));
    ck_assert_int_gt(pid, 0);
    mr_id stays = process_submit(s, on(s, "nap", node, 3), 100, 0);
    take_away(s, node);
    ck_assert(process_gone(pid));
    ready(s, stays); /* queued or running there: it went to the other */
    mr_value v = process_value(s, stays);
    ck_assert(!v.error);
    mr_decref(s, v.id);
    mr_decref(s, stays);
    mr_close(s);
}
END_TEST

START_TEST(what_is_refused)
{
    mr_session *s = open_growing("store-shm");
    mr_err err = {0};
    mr_need wrong[] = {{"CPU", -10000}}, twice[] = {{"a", 1}, {"a", 2}}, none[] = {{"", 1}};
    mr_node_def def = MR_NODE_DEF_INIT;
    uint32_t number = 77;
    def.amounts = wrong;
    def.n_amounts = 1;
    ck_assert_int_eq(mr_node_add(s, &def, &number, &err), MR_E_INVAL);
    ck_assert_str_eq(err.text, "node node1: resource \"CPU\" is negative: an amount is 0 or more");
    def.amounts = twice;
    def.n_amounts = 2;
    ck_assert_int_eq(mr_node_add(s, &def, &number, &err), MR_E_INVAL);
    ck_assert_str_eq(err.text, "node node1: resource \"a\" is given twice");
    def.amounts = none;
    def.n_amounts = 1;
    ck_assert_int_eq(mr_node_add(s, &def, &number, &err), MR_E_INVAL);
    def.n_amounts = 0;
    def.name = "main";
    ck_assert_int_eq(mr_node_add(s, &def, &number, &err), MR_E_EXISTS);
    ck_assert_uint_eq(number, 77);
    ck_assert_int_eq(mr_node_remove(s, 0, &err), MR_E_INVAL);
    ck_assert_msg(strstr(err.text, "main is the last one"), "%s", err.text);
    ck_assert_int_eq(mr_node_remove(s, 9, &err), MR_E_NOTFOUND);
    number = add(s, 0, "disk"); /* no CPU: for work that needs none */
    mr_func_def need = MR_FUNC_DEF_INIT;
    mr_need disk = {"disk", 10000};
    need.needs = &disk;
    need.n_needs = 1;
    ck_assert_int_eq(process_number(s, process_submit(s, process_define(s, &need, "square"), 3, 0)), 9);
    ck_assert_int_eq(process_number(s, process_submit(s, process_func(s, "square"), 4, 0)), 16);
    take_away(s, number);
    ck_assert_int_eq(mr_node_remove(s, number, &err), MR_E_NOTFOUND);
    mr_close(s);
    s = process_open("store-shm", NULL);
    ck_assert_int_eq(mr_node_add(s, &(mr_node_def)MR_NODE_DEF_INIT, &number, &err), MR_E_UNSUPPORTED);
    mr_close(s);
}
END_TEST

/* Nodes come and go under load; every value is right, and no descriptor or process is left. */
START_TEST(nodes_come_and_go)
{
    int fds = process_fds();
    mr_session *s = open_growing(stores[_i]);
    mr_func_def def = MR_FUNC_DEF_INIT;
    def.max_retries = -1;
    uint32_t make = process_define(s, &def, "make"), check = process_define(s, &def, "check");
    for (int round = 0; round < 6; round++) {
        mr_id big[8], checked[8];
        uint32_t node = add(s, 1, NULL), other = add(s, 1, NULL);
        for (int i = 0; i < 8; i++)
            big[i] = process_submit(s, make, BIG + i, 0);
        ready(s, big[2]);
        for (int i = 0; i < 8; i++)
            checked[i] = process_submit(s, check, BIG + i, big[i]);
        take_away(s, node);
        ready(s, checked[0]);
        take_away(s, other);
        for (int i = 0; i < 8; i++) {
            ck_assert_int_eq(process_number(s, checked[i]), BIG + i);
            mr_decref(s, big[i]);
        }
    }
    mr_close(s);
    ck_assert_int_eq(process_children(getpid()), 0);
    ck_assert_int_eq(process_fds(), fds);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process nodes");
    TCase *c = tcase_create("nodes");
    tcase_add_loop_test(c, values_travel_on_demand, 0, 2);
    tcase_add_loop_test(c, a_lost_value_is_made_again, 0, 2);
    tcase_add_loop_test(c, what_is_lost_says_why, 0, 2);
    tcase_add_test(c, workers_go_with_their_node);
    tcase_add_test(c, what_is_refused);
    tcase_add_loop_test(c, nodes_come_and_go, 0, 2);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
