/* test_abi.c: pins where every field of both op tables lies, so that no minor can move one by accident.
 *
 * When a minor appends ops: add lines below the old ones and a size, and change nothing else.
 */
#include <check.h>
#include <stddef.h>

#include <miniray/plugin.h>
#include <miniray/sched.h>
#include <miniray/store.h>

#include "run_suite.h"

#define AT(type, field, offset) ck_assert_uint_eq(offsetof(type, field), (offset))

START_TEST(versions)
{
    ck_assert_int_eq(MR_ABI_MAJOR, 1);
    ck_assert_int_eq(MR_ABI_MINOR, 1);
    ck_assert_uint_eq(MR_PLUGIN_MAGIC, 0x4d525047u);
    ck_assert_str_eq(MR_PLUGIN_SYMBOL, "mr_plugin_entry");
    ck_assert_int_eq(MR_KIND_STORE, 1);
    ck_assert_int_eq(MR_KIND_SCHED, 2);
}
END_TEST

START_TEST(handshake)
{
    AT(mr_plugin, magic, 0);
    AT(mr_plugin, abi_major, 4);
    AT(mr_plugin, abi_minor, 6);
    AT(mr_plugin, kind, 8);
    AT(mr_plugin, ops_size, 12);
    AT(mr_plugin, name, 16);
    AT(mr_plugin, summary, 24);
    AT(mr_plugin, keys, 32);
    AT(mr_plugin, n_keys, 40);
    AT(mr_plugin, ops, 48);
    ck_assert_uint_eq(sizeof(mr_plugin), 56);
    AT(mr_conf_key, name, 0);
    AT(mr_conf_key, type, 8);
    AT(mr_conf_key, otherwise, 16);
    AT(mr_conf_key, help, 24);
    ck_assert_uint_eq(sizeof(mr_conf_key), 32);
    ck_assert_int_eq(MR_CONF_TEXT, 0);
    ck_assert_int_eq(MR_CONF_PATH, 6);
}
END_TEST

START_TEST(host_minor_0)
{
    AT(mr_host, size, 0);
    AT(mr_host, name, 8);
    AT(mr_host, ctx, 16);
    AT(mr_host, log, 24);
    AT(mr_host, now, 32);
    AT(mr_host, conf, 40);
    AT(mr_host, conf_int, 48);
    AT(mr_host, conf_double, 56);
    AT(mr_host, conf_key, 64);
    AT(mr_host, alloc, 72);
    AT(mr_host, free, 80);
    AT(mr_host, fail, 88);
    AT(mr_host, work, 96); /* minor 1 */
    ck_assert_uint_eq(sizeof(mr_host), 104);
}
END_TEST

START_TEST(store_minor_0)
{
    AT(mr_store_ops, open, 0);
    AT(mr_store_ops, close, 8);
    AT(mr_store_ops, create, 16);
    AT(mr_store_ops, seal, 24);
    AT(mr_store_ops, abort, 32);
    AT(mr_store_ops, get, 40);
    AT(mr_store_ops, release, 48);
    AT(mr_store_ops, remove, 56);
    AT(mr_store_ops, populate, 64);
    AT(mr_store_ops, split, 72);
    AT(mr_store_ops, share, 80);
    AT(mr_store_ops, attach, 88);
    AT(mr_store_ops, view, 96);
    AT(mr_store_ops, detach, 104);
    AT(mr_store_ops, stats, 112);
    AT(mr_store_ops, trim, 120);
    ck_assert_uint_eq(sizeof(mr_store_ops), 128);
    AT(mr_region, data, 0);
    AT(mr_region, len, 8);
    AT(mr_region, at, 16);
    ck_assert_uint_eq(sizeof(mr_region), 24);
    AT(mr_share, fd_rw, 0);
    AT(mr_share, fd_ro, 4);
    AT(mr_share, size, 8);
    ck_assert_uint_eq(sizeof(mr_share), 16);
    AT(mr_store_conf, capacity, 0);
    AT(mr_store_conf, node, 8);
    ck_assert_uint_eq(sizeof(mr_store_conf), 16);
    AT(mr_store_stats, capacity, 0);
    AT(mr_store_stats, used, 8);
    AT(mr_store_stats, n_objects, 16);
    AT(mr_store_stats, largest, 24);
    AT(mr_store_stats, resident, 32);
    ck_assert_uint_eq(sizeof(mr_store_stats), 40);
    ck_assert_int_eq(MR_STORE_ALIGN, 64);
}
END_TEST

START_TEST(sched_minor_0)
{
    AT(mr_sched_ops, notices, 0);
    AT(mr_sched_ops, requires, 4);
    AT(mr_sched_ops, open, 8);
    AT(mr_sched_ops, close, 16);
    AT(mr_sched_ops, rank, 24);
    AT(mr_sched_ops, place, 32);
    AT(mr_sched_ops, plan, 40);
    AT(mr_sched_ops, pick, 48);
    AT(mr_sched_ops, slice, 56);
    AT(mr_sched_ops, preempt, 64);
    AT(mr_sched_ops, notice, 72);
    AT(mr_sched_ops, wants, 80);
    AT(mr_sched_ops, save, 88);
    AT(mr_sched_ops, restore, 96);
    AT(mr_sched_ops, line, 104);
    ck_assert_uint_eq(sizeof(mr_sched_ops), 112);
    AT(mr_sched_wants, ops, 0);
    AT(mr_sched_wants, notices, 4);
    AT(mr_sched_wants, requires, 8);
    ck_assert_uint_eq(sizeof(mr_sched_wants), 12);
}
END_TEST

START_TEST(sched_host_minor_0)
{
    AT(mr_sched_host, size, 0);
    AT(mr_sched_host, base, 8);
    AT(mr_sched_host, now, 16);
    AT(mr_sched_host, task, 24);
    AT(mr_sched_host, worker, 32);
    AT(mr_sched_host, node, 40);
    AT(mr_sched_host, next, 48);
    AT(mr_sched_host, first, 56);
    AT(mr_sched_host, can, 64);
    AT(mr_sched_host, cost, 72);
    AT(mr_sched_host, copy, 80);
    AT(mr_sched_host, missing, 88);
    AT(mr_sched_host, edge, 96);
    AT(mr_sched_host, label, 104);
    AT(mr_sched_host, text, 112);
    AT(mr_sched_host, random, 120);
    AT(mr_sched_host, wake, 128);
    AT(mr_sched_host, rerank, 136);
    ck_assert_uint_eq(sizeof(mr_sched_host), 144);
}
END_TEST

START_TEST(sched_views_minor_0)
{
    AT(mr_task, ref, 0);
    AT(mr_task, seq, 8);
    AT(mr_task, entry, 16);
    AT(mr_task, fn, 24);
    AT(mr_task, user, 28);
    AT(mr_task, priority, 32);
    AT(mr_task, attempt, 36);
    AT(mr_task, kind, 38);
    AT(mr_task, state, 39);
    AT(mr_task, rank, 40);
    AT(mr_task, submitted_at, 48);
    AT(mr_task, ready_at, 56);
    AT(mr_task, started_at, 64);
    AT(mr_task, deadline, 72);
    AT(mr_task, limit, 80);
    AT(mr_task, estimate, 88);
    AT(mr_task, ran, 96);
    AT(mr_task, bytes, 104);
    AT(mr_task, from, 112);
    AT(mr_task, on, 120);
    AT(mr_task, needs, 128);
    AT(mr_task, n_needs, 136);
    AT(mr_task, n_preds, 140);
    AT(mr_task, n_succs, 144);
    AT(mr_task, n_learned, 148);
    AT(mr_worker, ref, 0);
    AT(mr_worker, node, 8);
    AT(mr_worker, task, 16);
    AT(mr_worker, id, 24);
    AT(mr_worker, cls, 28);
    AT(mr_worker, load, 32);
    AT(mr_worker, busy_until, 40);
    AT(mr_node, ref, 0);
    AT(mr_node, id, 8);
    AT(mr_node, n_workers, 12);
    AT(mr_node, n_res, 16);
    AT(mr_node, total, 24);
    AT(mr_node, free, 32);
    AT(mr_notice, what, 0);
    AT(mr_notice, outcome, 4);
    AT(mr_notice, task, 8);
    AT(mr_notice, worker, 16);
    AT(mr_notice, ran, 24);
    AT(mr_edge, task, 0);
    AT(mr_edge, node, 8);
    AT(mr_edge, bytes, 16);
    AT(mr_amount, res, 0);
    AT(mr_amount, amount, 8);
}
END_TEST

/* The numbers travel in records and in plugins: none may change, whatever is appended. */
START_TEST(statuses)
{
    static const int numbers[] = {
#define NUMBER(name, code, text) MR_##name,
        MR_STATUS_MAP(NUMBER)
#undef NUMBER
    };
    const int n = (int)(sizeof(numbers) / sizeof(numbers[0]));
    ck_assert_int_ge(n, 35);
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(numbers[i], -i);
    ck_assert_int_eq(MR_E_NOTFOUND, -3);
    ck_assert_int_eq(MR_E_FULL, -6);
    ck_assert_int_eq(MR_E_TOOBIG, -7);
    ck_assert_int_eq(MR_E_ABI, -12);
    ck_assert_int_eq(MR_E_END, -34);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("abi");
    TCase *t = tcase_create("minor 0");
    tcase_add_test(t, versions);
    tcase_add_test(t, handshake);
    tcase_add_test(t, host_minor_0);
    tcase_add_test(t, store_minor_0);
    tcase_add_test(t, sched_minor_0);
    tcase_add_test(t, sched_host_minor_0);
    tcase_add_test(t, sched_views_minor_0);
    tcase_add_test(t, statuses);
    suite_add_tcase(s, t);
    return run_suite(s);
}
