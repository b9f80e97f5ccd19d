/* The worker's side of a link against a node played by hand: calls, claims, cancel, waits, references, threads. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helper_node.h"
#include "run_suite.h"

static fake_node node;

static void setup(void)
{
    node_open(&node);
}

static void teardown(void)
{
    node_close(&node);
}

/* ------------------------------------------------------------------------------------------- what the child does -- */

static volatile sig_atomic_t hooked;
static void hook(void)
{
    hooked++;
}

/* What a task called `entry` does; returns its outcome. */
static mr_status act(mr_session *s, mr_call *c, const mr_call_info *info)
{
    mr_err err;
    mr_value v;
    mr_id id = 42;
    if (strcmp(info->entry, "echo") == 0)
        return mr_call_return(c, 0, 5, info->data, info->len, NULL, 0, &err);
    if (strcmp(info->entry, "two") == 0) {
        mr_status st = mr_call_return(c, 1, 0, "b", 1, NULL, 0, &err);
        return st ? st : mr_call_return(c, 0, 0, "a", 1, &id, 1, &err);
    }
    if (strcmp(info->entry, "get") == 0) {
        mr_status st = mr_get(s, &id, 1, -1, 0, &v, &err);
        if (st)
            return st;
        st = mr_call_return(c, 0, 0, v.data, v.len, NULL, 0, &err);
        mr_decref(s, id);
        return st;
    }
    if (strcmp(info->entry, "hold") == 0) {
        mr_status st = mr_incref(s, id);
        return st ? st : mr_call_return(c, 0, 0, NULL, 0, NULL, 0, &err);
    }
    if (strcmp(info->entry, "timeout") == 0) {
        mr_status st = mr_get(s, &id, 1, 2000000, 0, &v, &err);
        return mr_call_return(c, 0, 0, &st, sizeof(st), NULL, 0, &err);
    }
    if (strcmp(info->entry, "error") == 0) {
        mr_status st = mr_call_error(c, MR_FORMAT_TEXT_ERROR, "boo", 4, NULL, 0, true, &err);
        return st ? st : MR_E_TASK;
    }
    if (strcmp(info->entry, "keep") == 0) {
        mr_status st = mr_call_dep(c, 0, &v);
        if (!st)
            st = mr_incref(s, v.id);
        return st ? st : mr_call_return(c, 0, 0, v.data, v.len, NULL, 0, &err);
    }
    return MR_E_NOTFOUND;
}

/* Calls until LEAVE; 3 when the session is closed. */
static int serve(mr_session *s)
{
    for (;;) {
        mr_call *c;
        mr_call_info info;
        mr_status st = mr_call_next(s, -1, &c);
        if (st == MR_E_INTERRUPTED) /* a cancel that came too late */
            continue;
        if (st)
            return st == MR_E_CLOSED ? 3 : 4;
        mr_call_describe(c, &info);
        if (info.kind == MR_CALL_LEAVE)
            return mr_call_finish(c, MR_OK, false) ? 5 : hooked;
        st = mr_call_start(c, true);
        if (!st) {
            st = act(s, c, &info);
            if (mr_call_stop(c) == MR_E_CANCELLED)
                st = MR_E_CANCELLED;
        }
        st = mr_call_finish(c, st, false);
        if (st && st != MR_E_CLOSED)
            return 6;
    }
}

static int serve_hooked(mr_session *s)
{
    mr_on_cancel_signal(hook);
    return serve(s);
}

/* STARTED may come before it, if the task was there before the one ahead of it was looked back at. */
static const mr_ev_finished *finished(mr_id task, mr_status outcome)
{
    const mr_record *r;
    do
        r = node_take_any(&node);
    while (r->kind == MR_EV_STARTED);
    ck_assert_uint_eq(r->kind, MR_EV_FINISHED);
    const mr_ev_finished *f = (const void *)r;
    ck_assert_uint_eq(f->task, task);
    ck_assert_int_eq(f->outcome, outcome);
    return f;
}

static void leave(int status)
{
    node_plain(&node, MR_ORD_LEAVE, 0);
    node_take(&node, MR_EV_WORKER_RETIRED);
    ck_assert_int_eq(node_join(&node), status);
}

/* --------------------------------------------------------------------------------------------------------- calls -- */

START_TEST(test_one_record_per_task)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "echo", 1);
    for (uint32_t i = 0; i < 100; i++) {
        char text[20];
        int len = snprintf(text, sizeof(text), "task %u", i);
        uint64_t seq = node_dispatch(&node, 100 + i, 1, 1, text, (size_t)len);
        /* The first run of a function is announced when it was queued; with one at a time it never is. */
        const mr_ev_finished *f = finished(100 + i, MR_OK);
        ck_assert_uint_eq(f->flags, MR_FINISHED_RESULT);
        ck_assert_uint_eq(f->id, 100 + i);
        ck_assert_uint_eq(f->size, (uint64_t)len);
        ck_assert_uint_eq(f->format, 5);
        ck_assert_int_ge(f->ran, 0);
        ck_assert_mem_eq(mr_record_bytes(f, sizeof(*f)), text, (size_t)len);
        ck_assert_uint_eq(atomic_load(&node.link->claims[seq % MR_CLAIMS]), seq << 2 | MR_CLAIM_STARTED);
        ck_assert_uint_eq(atomic_load(&node.link->slot), seq << 2 | MR_SLOT_DONE);
    }
    ck_assert(node_quiet(&node));
    leave(0);
}
END_TEST

START_TEST(test_two_results)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "two", 2);
    node_dispatch(&node, 100, 1, 2, "", 0);
    const mr_ev_sealed *e = node_take(&node, MR_EV_SEALED);
    ck_assert_uint_eq(e->id, 101);
    ck_assert_uint_eq(e->index, 1);
    ck_assert_uint_eq(e->h.n_ids, 0);
    /* One with references does not wait for FINISHED: this process's own holds on them may end before that. */
    e = node_take(&node, MR_EV_SEALED);
    ck_assert_uint_eq(e->id, 100);
    ck_assert_uint_eq(e->h.n_ids, 1);
    ck_assert_uint_eq(mr_record_ids(e, sizeof(*e))[0], 42);
    ck_assert_mem_eq(mr_record_bytes(e, sizeof(*e)), "a", 1);
    ck_assert_uint_eq(finished(100, MR_OK)->flags, 0);
    leave(0);
}
END_TEST

START_TEST(test_error)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "error", 2);
    node_func(&node, 2, MR_FUNC_TASK, "error", 0);
    node_dispatch(&node, 100, 1, 2, "", 0);
    const mr_ev_finished *f = finished(100, MR_E_TASK);
    ck_assert_uint_eq(f->flags, MR_FINISHED_RESULT | MR_FINISHED_RETRIABLE);
    ck_assert_uint_eq(f->vflags, MR_VALUE_ERROR);
    ck_assert_str_eq(mr_record_bytes(f, sizeof(*f)), "boo");
    node_dispatch(&node, 200, 2, 0, "", 0);
    f = finished(200, MR_E_TASK);
    ck_assert_uint_eq(f->flags, MR_FINISHED_RETRIABLE);
    leave(0);
}
END_TEST

/* The node takes a prefetched task back while the one before it blocks. */
START_TEST(test_revoke)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "get", 1);
    node_func(&node, 2, MR_FUNC_TASK, "echo", 1);
    node_dispatch(&node, 100, 1, 1, "", 0);
    node_take(&node, MR_EV_REFS);
    uint32_t token = ((const mr_record *)node_take(&node, MR_EV_BLOCKED))->token;
    uint64_t second = node_dispatch(&node, 200, 2, 1, "x", 1);
    uint64_t third = node_dispatch(&node, 300, 2, 1, "y", 1);
    ck_assert(node_revoke(&node, second));
    node_value(&node, 42, "v", 1);
    node_reply(&node, MR_ORD_DELIVER, token, MR_OK, 0, "\1", 1);
    node_take(&node, MR_EV_REFS); /* the drop */
    finished(100, MR_OK);
    /* Queued behind another and never run before: worth its own record. */
    const mr_ev_task *started = node_take(&node, MR_EV_STARTED);
    ck_assert_uint_eq(started->task, 300);
    finished(300, MR_OK);
    ck_assert(!node_revoke(&node, third));
    ck_assert(node_quiet(&node));
    leave(0);
}
END_TEST

/* -------------------------------------------------------------------------------------------------------- cancel -- */

static void block_and_cancel(int (*body)(mr_session *s), int status)
{
    node_start(&node, body);
    node_func(&node, 1, MR_FUNC_TASK, "get", 1);
    uint64_t seq = node_dispatch(&node, 100, 1, 1, "", 0);
    node_take(&node, MR_EV_REFS);
    node_take(&node, MR_EV_BLOCKED);
    ck_assert(node_cancel(&node, seq));
    node_take(&node, MR_EV_UNBLOCKED);
    node_take(&node, MR_EV_REFS);
    finished(100, MR_E_CANCELLED);
    /* Too late for the next: nothing strikes. */
    ck_assert(!node_cancel(&node, seq));
    kill(node.child, MR_CANCEL_SIGNAL);
    node_func(&node, 2, MR_FUNC_TASK, "echo", 1);
    node_dispatch(&node, 200, 2, 1, "x", 1);
    finished(200, MR_OK);
    leave(status);
}

START_TEST(test_cancel_blocked)
{
    block_and_cancel(serve, 0);
}
END_TEST

START_TEST(test_cancel_with_hook)
{
    block_and_cancel(serve_hooked, 1);
}
END_TEST

/* Cancels against tasks of a microsecond: each ends as exactly one of done and cancelled, and the hook strikes only
 * those that lost. */
START_TEST(test_cancel_races)
{
    int struck = 0;
    node_start(&node, serve_hooked);
    node_func(&node, 1, MR_FUNC_TASK, "echo", 1);
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t seq = node_dispatch(&node, 100 + i, 1, 1, "x", 1);
        for (uint32_t k = 0; k < i % 97; k++)
            (void)mr_ring_ready(&node.out);
        bool won = false;
        while (!won && node_quiet(&node) && i % 3 == 0)
            won = node_cancel(&node, seq);
        const mr_record *r = node_take_any(&node);
        if (r->kind == MR_EV_STARTED) /* the one before it was held up by another process, so this may be long */
            r = node_take_any(&node);
        ck_assert_uint_eq(r->kind, MR_EV_FINISHED);
        const mr_ev_finished *f = (const void *)r;
        ck_assert_uint_eq(f->task, 100 + i);
        ck_assert_int_eq(f->outcome, won ? MR_E_CANCELLED : MR_OK);
        struck += won;
    }
    node_plain(&node, MR_ORD_LEAVE, 0);
    node_take(&node, MR_EV_WORKER_RETIRED);
    ck_assert_int_le(node_join(&node), struck & 0xFF); /* a signal may come after the task: then it strikes nothing */
}
END_TEST

/* ---------------------------------------------------------------------------------------------- waits and values -- */

START_TEST(test_get_lends_and_remembers)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "get", 1);
    node_dispatch(&node, 100, 1, 1, "", 0);
    const mr_ev_refs *refs = node_take(&node, MR_EV_REFS);
    ck_assert_uint_eq(refs->n_add, 1);
    ck_assert_uint_eq(mr_record_ids(refs, sizeof(*refs))[0], 42);
    const mr_ev_blocked *b = node_take(&node, MR_EV_BLOCKED);
    ck_assert_uint_eq(b->task, 100);
    ck_assert_uint_eq(b->need, 1);
    ck_assert_uint_eq(b->flags, MR_WAIT_LEND | MR_WAIT_VALUES);
    uint32_t token = b->h.token;
    node_value(&node, 42, "hello", 5);
    node_reply(&node, MR_ORD_DELIVER, token, MR_OK, 0, "\1", 1);
    refs = node_take(&node, MR_EV_REFS);
    ck_assert_uint_eq(refs->n_add, 0);
    ck_assert_uint_eq(refs->h.n_ids, 1);
    const mr_ev_finished *f = finished(100, MR_OK);
    ck_assert_mem_eq(mr_record_bytes(f, sizeof(*f)), "hello", 5);
    leave(0);
}
END_TEST

START_TEST(test_hold_goes_first)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "hold", 1);
    node_dispatch(&node, 100, 1, 1, "", 0);
    const mr_ev_refs *refs = node_take(&node, MR_EV_REFS);
    ck_assert_uint_eq(refs->n_add, 1);
    finished(100, MR_OK);
    node_dispatch(&node, 200, 1, 1, "", 0);
    finished(200, MR_OK); /* held already: only a count */
    leave(0);
}
END_TEST

START_TEST(test_timeout)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "timeout", 1);
    node_dispatch(&node, 100, 1, 1, "", 0);
    node_take(&node, MR_EV_REFS);
    uint32_t token = ((const mr_record *)node_take(&node, MR_EV_BLOCKED))->token;
    const mr_record *u = node_take(&node, MR_EV_UNBLOCKED);
    ck_assert_uint_eq(u->token, token);
    node_reply(&node, MR_ORD_DELIVER, token, MR_E_TIMEOUT, 0, "\0", 1);
    node_take(&node, MR_EV_REFS);
    const mr_ev_finished *f = finished(100, MR_OK);
    mr_status st;
    memcpy(&st, mr_record_bytes(f, sizeof(*f)), sizeof(st));
    ck_assert_int_eq(st, MR_E_TIMEOUT);
    leave(0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------- threads -- */

enum { ASKERS = 4, QUESTIONS = 200 };

static void *asker(void *arg)
{
    for (int i = 0; i < QUESTIONS; i++) {
        char *json = NULL, what[32];
        mr_err err;
        snprintf(what, sizeof(what), "%p-%d", (void *)&err, i);
        if (mr_state(arg, what, &json, &err) || strcmp(json, what) != 0)
            return arg;
        free(json);
    }
    return NULL;
}

static int ask(mr_session *s)
{
    pthread_t t[ASKERS];
    int wrong = 0;
    for (int i = 0; i < ASKERS; i++)
        if (pthread_create(&t[i], NULL, asker, s))
            return 50;
    for (int i = 0; i < ASKERS; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        wrong += bad != NULL;
    }
    return wrong;
}

/* Each answer reaches its asker, whoever reads the ring. */
START_TEST(test_followers)
{
    node_start(&node, ask);
    for (int i = 0; i < ASKERS * QUESTIONS; i++) {
        const mr_ask *a = node_take(&node, MR_ASK_STATE);
        char text[64];
        memcpy(text, a + 1, a->h.n_bytes);
        text[a->h.n_bytes] = '\0';
        node_reply(&node, MR_ORD_REPLY, a->h.token, MR_OK, 0, text, strlen(text) + 1);
    }
    ck_assert_int_eq(node_join(&node), 0);
}
END_TEST

static int poll_calls(mr_session *s)
{
    int fd = mr_call_fd(s), done = 0;
    mr_call *c;
    while (done < 20) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, -1) != 1)
            return 1;
        while (mr_call_next(s, 0, &c) == MR_OK) {
            mr_err err;
            if (mr_call_start(c, false) || mr_call_return(c, 0, 0, "z", 1, NULL, 0, &err) ||
                mr_call_finish(c, MR_OK, false))
                return 2;
            done++;
        }
    }
    return 0;
}

START_TEST(test_call_fd)
{
    node_start(&node, poll_calls);
    node_func(&node, 1, MR_FUNC_METHOD, "echo", 1);
    for (uint32_t i = 0; i < 20; i += 4) {
        for (uint32_t k = 0; k < 4; k++)
            node_dispatch(&node, 100 + i + k, 1, 1, "", 0);
        for (uint32_t k = 0; k < 4; k++)
            finished(100 + i + k, MR_OK);
    }
    ck_assert_int_eq(node_join(&node), 0);
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------- ends -- */

START_TEST(test_closing)
{
    node_start(&node, serve);
    usleep(5000);
    atomic_store(&node.links->page.closing, 1);
    mr_bell_ring_always(&node.link->bell, -1);
    ck_assert_int_eq(node_join(&node), 3);
}
END_TEST

START_TEST(test_nonsense)
{
    node_start(&node, serve);
    mr_ev_none bad = {.h = {.size = sizeof(bad), .kind = (uint16_t)(_i ? MR_ORD_DISPATCH : 999)}};
    node_order(&node, &bad);
    ck_assert_int_eq(node_join(&node), 4); /* no clean end */
}
END_TEST

static void send_part(uint64_t at, uint64_t len, const void *bytes, uint32_t n)
{
    struct {
        mr_part p;
        char bytes[64];
    } r = {.p = {.h = {.kind = MR_ORD_PART, .n_bytes = n}, .at = at, .len = len}};
    r.p.h.size = (uint32_t)mr_record_total(sizeof(r.p), 0, n);
    memcpy(r.bytes, bytes, n);
    node_order(&node, &r);
}

/* One that was taken back before its end, and a whole one after it. */
START_TEST(test_a_record_in_pieces)
{
    mr_ev_none leave = {.h = {.size = sizeof(leave), .kind = MR_ORD_LEAVE, .version = MR_RECORD_VERSION}};
    uint32_t half = sizeof(leave) / 2;
    node_start(&node, serve);
    send_part(0, 5000, &leave, 8);
    send_part(8, 5000, &leave, 8);
    send_part(0, sizeof(leave), &leave, half);
    send_part(half, sizeof(leave), (const char *)&leave + half, half);
    node_take(&node, MR_EV_WORKER_RETIRED);
    ck_assert_int_eq(node_join(&node), 0);
}
END_TEST

/* No beginning; too short for a record; too long; a gap; pieces of pieces; shorter than the record says. */
START_TEST(test_nonsense_in_pieces)
{
    mr_part inner = {.h = {.size = sizeof(inner), .kind = MR_ORD_PART, .version = MR_RECORD_VERSION}};
    const struct {
        uint64_t at, len;
        uint32_t n, more, size;
    } parts[] = {{8, 64, 8, 0, 0},  {0, 8, 8, 0, 0},   {0, 32, 40, 0, 0},
                 {0, 64, 8, 16, 0}, {0, 40, 40, 0, 0}, {0, 40, 40, 0, 56}};
    inner.h.size = parts[_i].size ? parts[_i].size : inner.h.size;
    inner.h.kind = parts[_i].size ? MR_ORD_LEAVE : inner.h.kind;
    node_start(&node, serve);
    send_part(parts[_i].at, parts[_i].len, &inner, parts[_i].n);
    if (parts[_i].more)
        send_part(parts[_i].more, parts[_i].len, &inner, 8);
    ck_assert_int_eq(node_join(&node), 4);
}
END_TEST

/* What the task in hand makes of it is not its outcome: only the death of the process is told. */
START_TEST(test_nonsense_while_a_task_waits)
{
    node_start(&node, serve);
    node_func(&node, 1, MR_FUNC_TASK, "get", 1);
    node_dispatch(&node, 100, 1, 1, "", 0);
    node_take(&node, MR_EV_REFS);
    node_take(&node, MR_EV_BLOCKED);
    mr_ev_none bad = {.h = {.size = sizeof(bad), .kind = 999}};
    node_order(&node, &bad);
    ck_assert_int_eq(node_join(&node), 4); /* no clean end */
    ck_assert(node_quiet(&node));
}
END_TEST

START_TEST(test_attach_refuses)
{
    mr_session *s;
    mr_err err;
    unsetenv("MINIRAY_ATTACH");
    ck_assert_int_eq(mr_attach(&s, &err), MR_E_NOTFOUND);
    setenv("MINIRAY_ATTACH", "hello", 1);
    setenv("MINIRAY_WORKER", "1:1:1", 1);
    ck_assert_int_eq(mr_attach(&s, &err), MR_E_PROTOCOL);
    setenv("MINIRAY_ATTACH", "77:1:3:4:5:6:7:8:", 1);
    ck_assert_int_eq(mr_attach(&s, &err), MR_E_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(err.text, "version 77"));
    ck_assert_ptr_null(mr_current());
}
END_TEST

int main(void)
{
    setenv("MINIRAY_ENGINE_SPIN_US", getenv("MRTEST_SPIN_US") ? getenv("MRTEST_SPIN_US") : "20", 1);
    Suite *s = suite_create("worker side");
    TCase *c = tcase_create("worker side");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_one_record_per_task);
    tcase_add_test(c, test_two_results);
    tcase_add_test(c, test_error);
    tcase_add_test(c, test_revoke);
    tcase_add_test(c, test_cancel_blocked);
    tcase_add_test(c, test_cancel_with_hook);
    tcase_add_test(c, test_cancel_races);
    tcase_add_test(c, test_get_lends_and_remembers);
    tcase_add_test(c, test_hold_goes_first);
    tcase_add_test(c, test_timeout);
    tcase_add_test(c, test_followers);
    tcase_add_test(c, test_call_fd);
    tcase_add_test(c, test_closing);
    tcase_add_loop_test(c, test_nonsense, 0, 2);
    tcase_add_test(c, test_a_record_in_pieces);
    tcase_add_loop_test(c, test_nonsense_in_pieces, 0, 6);
    tcase_add_test(c, test_nonsense_while_a_task_waits);
    tcase_add_test(c, test_attach_refuses);
    suite_add_tcase(s, c);
    return run_suite(s);
}
