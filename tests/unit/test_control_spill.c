/* test_control_spill.c: what leaves a full store, in which order, and what comes back. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "helper_control.h"
#include "run_suite.h"

enum { MB = 1 << 20, SECOND = 1000000000 };

static world w;

static void open_world(void)
{
    memset(&w, 0, sizeof(w));
    mr_control_conf_init(&w.conf);
    w.conf.lineage = w.conf.spill = true;
    world_new(&w, "CPU=1");
}

static void teardown(void)
{
    world_free(&w);
}

static void say(mr_event_kind kind, mr_id id, uint32_t node, uint64_t size, uint32_t cause)
{
    mr_ev_place e = {.h = {.kind = (uint16_t)kind}, .id = id, .size = size, .node = node, .cause = cause};
    world_step(&w, &e);
}

static void want(mr_id id)
{
    mr_ev_id e = {.h = {.kind = MR_EV_WANTED}, .id = id};
    world_step(&w, &e);
}

static void full(uint64_t size, uint32_t node)
{
    say(MR_EV_STORE_FULL, 0, node, size, 0);
}

/* The next object that is to leave; 0: none. */
static mr_id leaves(uint32_t node)
{
    mr_action a;
    if (!world_took(&w, MR_ACT_SPILL, 0, &a))
        return 0;
    ck_assert_uint_eq(a.node, node);
    ck_assert_int_eq(a.value, (int64_t)mr_control_object(w.c, a.id).size);
    return a.id;
}

START_TEST(garbage_first_then_the_oldest)
{
    mr_id x[4];
    open_world();
    for (int i = 0; i < 4; i++)
        x[i] = world_put(&w, 8 * MB, 0, NULL);
    full(8 * MB, 0);
    ck_assert_uint_eq(world_count(&w, MR_ACT_COLLECT), 1);
    ck_assert_uint_eq(world_count(&w, MR_ACT_SPILL), 0);
    full(8 * MB, 0);
    ck_assert_uint_eq(leaves(0), x[0]);
    full(8 * MB, 0); /* as much is on its way */
    ck_assert_uint_eq(leaves(0), 0);
    say(MR_EV_SPILLED, x[0], 0, 8 * MB, 0);
    full(16 * MB, 0);
    ck_assert_uint_eq(leaves(0), x[1]);
    ck_assert_uint_eq(leaves(0), x[2]);
    ck_assert_uint_eq(world_count(&w, MR_ACT_COLLECT), 1);
    ck_assert_uint_eq(world_stats(&w).spilled_bytes, 8 * MB);
    w.now += 2 * SECOND;
    full(8 * MB, 0);
    ck_assert_uint_eq(world_count(&w, MR_ACT_COLLECT), 2);
    for (int i = 0; i < 4; i++)
        world_drop(&w, x[i]);
    say(MR_EV_SPILLED, x[1], 0, 8 * MB, 0); /* gone meanwhile */
    say(MR_EV_RESTORED, x[2], 0, 8 * MB, 0);
    ck_assert_uint_eq(world_stats(&w).spilled_bytes, 0);
    world_nothing_left(&w);
}
END_TEST

START_TEST(what_is_looked_at_gets_another_turn)
{
    mr_id x[3];
    open_world();
    for (int i = 0; i < 3; i++)
        x[i] = world_put(&w, 8 * MB, 0, NULL);
    full(1, 0);
    full(8 * MB, 0);
    ck_assert_uint_eq(leaves(0), x[0]);
    say(MR_EV_RESTORED, x[0], 0, 8 * MB, 0); /* refused: the next is tried at once */
    ck_assert_uint_eq(leaves(0), x[1]);
    say(MR_EV_RESTORED, x[1], 0, 8 * MB, 0);
    ck_assert_uint_eq(leaves(0), x[2]);
    say(MR_EV_SPILLED, x[2], 0, 8 * MB, 0);
    full(8 * MB, 0);
    ck_assert_uint_eq(leaves(0), x[0]);
    say(MR_EV_SPILLED, x[0], 0, 8 * MB, 0);
    want(x[2]);
    want(x[2]); /* asked once */
    mr_action a;
    ck_assert(world_took(&w, MR_ACT_RESTORE, x[2], &a) && !world_sees(&w, MR_ACT_RESTORE, x[2]));
    say(MR_EV_SPILLED, x[2], 0, 8 * MB, 0); /* there was no room */
    want(x[2]);
    ck_assert(world_took(&w, MR_ACT_RESTORE, x[2], &a));
    say(MR_EV_RESTORED, x[2], 0, 8 * MB, 0);
    full(16 * MB, 0);
    ck_assert_uint_eq(leaves(0), x[1]);
    ck_assert_uint_eq(leaves(0), x[2]);
    ck_assert_uint_eq(world_stats(&w).spilled, 2);
    ck_assert_uint_eq(world_stats(&w).restored, 1);
    /* All refuse: it ends, and the next time begins anew. */
    for (int i = 0; i < 20; i++) {
        mr_id id = leaves(0);
        if (id)
            say(MR_EV_RESTORED, id, 0, 8 * MB, 0);
    }
    ck_assert_uint_eq(leaves(0), 0);
    for (int i = 0; i < 3; i++)
        world_drop(&w, x[i]);
    world_nothing_left(&w);
}
END_TEST

START_TEST(a_second_copy_goes_for_nothing)
{
    open_world();
    world_node(&w, "CPU=1 wheel=1");
    mr_id x = world_put(&w, 8 * MB, 0, NULL);
    uint32_t g = world_func(&w, "g", "CPU=1 wheel=1");
    mr_id t = world_submit(&w, g, (mr_id[]){x, 0});
    world_time(&w, 1);
    world_arrived(&w, x, 1);
    full(1, 1);
    full(8 * MB, 1);
    mr_action a;
    ck_assert(world_took(&w, MR_ACT_EVICT, x, &a) && a.node == 1 && !leaves(1));
    ck_assert_uint_eq(mr_control_object(w.c, x).nodes, 1);
    world_arrived(&w, x, 1); /* refused: somebody looks at it */
    ck_assert_uint_eq(mr_control_object(w.c, x).nodes, 3);
    full(8 * MB, 0);
    ck_assert(world_took(&w, MR_ACT_EVICT, x, &a) && a.node == 0);
    full(8 * MB, 1);
    ck_assert_uint_eq(leaves(1), x);
    say(MR_EV_SPILLED, x, 1, 8 * MB, 0);
    /* From the disk of one to the store of another. */
    world_finish(&w, t);
    world_forget(&w);
    uint32_t f = world_define(&w, (spec){.name = "f", .strategy = MR_STRATEGY_NODE, .node = MR_REF_NODE | 1});
    mr_id u = world_submit(&w, f, (mr_id[]){x, 0});
    world_time(&w, 1);
    ck_assert(world_took(&w, MR_ACT_TRANSFER, x, &a) && a.node == 0 && a.value == 1);
    world_arrived(&w, x, 0);
    ck_assert_uint_eq(mr_control_object(w.c, x).nodes, 1);
    ck_assert_uint_eq(world_stats(&w).spilled_bytes, 0);
    world_finish(&w, u);
    world_drop(&w, t);
    world_drop(&w, u);
    world_drop(&w, x);
    world_nothing_left(&w);
}
END_TEST

START_TEST(no_room_where_it_is_needed)
{
    open_world();
    world_node(&w, "CPU=1 wheel=1");
    mr_id x = world_put(&w, 8 * MB, 0, NULL);
    mr_id t = world_submit(&w, world_func(&w, "g", "CPU=1 wheel=1"), (mr_id[]){x, 0});
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_TRANSFER, x));
    say(MR_EV_LOST, x, 1, 8 * MB, MR_LOSS_FULL);
    mr_action a;
    ck_assert(world_took(&w, MR_ACT_FAIL, t, &a) && a.fault.status == MR_E_FULL);
    ck_assert_int_eq(world_state(&w, x), MR_OBJ_SEALED);
    world_drop(&w, t);
    world_drop(&w, x);
    world_nothing_left(&w);
}
END_TEST

START_TEST(damaged_bytes_are_made_again)
{
    open_world();
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 3});
    mr_id a = world_run(&w, f), put = world_put(&w, 8 * MB, 0, NULL);
    world_time(&w, 1);
    ck_assert_int_eq(world_seal(&w, a, 0, 8 * MB, 0, NULL), MR_OK);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 1), MR_OK);
    world_time(&w, 1);
    ck_assert_uint_eq(world_stats(&w).kept, 1);
    full(1, 0);
    full(16 * MB, 0);
    say(MR_EV_SPILLED, leaves(0), 0, 8 * MB, 0);
    say(MR_EV_SPILLED, leaves(0), 0, 8 * MB, 0);
    mr_id b = world_submit(&w, f, (mr_id[]){a, 0});
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, b));
    /* Its argument is lost before it was sent: it waits for the next attempt of the other. */
    say(MR_EV_LOST, a, 0, 8 * MB, MR_LOSS_DAMAGED);
    ck_assert_int_eq(world_state(&w, a), MR_OBJ_PENDING);
    world_forget(&w);
    ck_assert_int_eq(world_unsent(&w, (mr_id[]){b, 0}), MR_OK);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, a) && !world_sees(&w, MR_ACT_DISPATCH, b));
    ck_assert_int_eq(world_seal(&w, a, 0, 8 * MB, 0, NULL), MR_OK);
    ck_assert_int_eq(world_finish_as(&w, a, MR_OK, 0, 1), MR_OK);
    world_time(&w, 1);
    ck_assert(world_sees(&w, MR_ACT_DISPATCH, b));
    ck_assert_int_eq(world_finish(&w, b), MR_OK);
    say(MR_EV_LOST, put, 0, 8 * MB, MR_LOSS_UNREADABLE);
    mr_action x;
    char text[256];
    ck_assert(world_took(&w, MR_ACT_FAIL, put, &x));
    mr_fault_text(w.c, &x.fault, text, sizeof(text));
    ck_assert_msg(strstr(text, "could not be read") && strstr(text, "it was put"), "%s", text);
    world_drop(&w, a);
    world_drop(&w, b);
    world_drop(&w, put);
    world_time(&w, 1);
    world_nothing_left(&w);
}
END_TEST

/* An engine that answers late, refuses and loses at random: control's books are checked at every step. */
enum { MANY = 40 };
START_TEST(kept_records_are_bounded_by_their_bytes)
{
    enum { PAYLOAD = 16 << 20, N = 24 };
    mr_id y[N];
    mr_ev_submit *e = calloc(1, sizeof(*e) + PAYLOAD);
    open_world();
    uint32_t f = world_define(&w, (spec){.name = "f", .retries = 3});
    for (int i = 0; i < N; i++) {
        *e = (mr_ev_submit){.h = {.kind = MR_EV_SUBMIT, .n_bytes = PAYLOAD}, .id = w.next_id, .func = f};
        e->n_returns = 1;
        e->estimate = MR_UNKNOWN;
        y[i] = w.next_id++;
        ck_assert_int_eq(world_step(&w, e), MR_OK);
        world_time(&w, 1);
        ck_assert_int_eq(world_seal(&w, y[i], 0, MB, 0, NULL), MR_OK);
        ck_assert_int_eq(world_finish(&w, y[i]), MR_OK);
        world_time(&w, 1);
        ck_assert_uint_le(world_stats(&w).kept_bytes, 256 * MB);
    }
    ck_assert_uint_eq(world_stats(&w).kept, 15);
    ck_assert_uint_gt(world_stats(&w).kept_bytes, 240 * MB);
    for (int i = 0; i < N; i++)
        world_drop(&w, y[i]);
    ck_assert_uint_eq(world_stats(&w).kept, 0);
    ck_assert_uint_eq(world_stats(&w).kept_bytes, 0);
    world_nothing_left(&w);
    free(e);
}
END_TEST

START_TEST(any_order_of_answers)
{
    mr_rand r;
    mr_rand_seed(&r, (uint64_t)_i + 1, 0);
    mr_id have[MANY];
    size_t n = 0;
    open_world();
    world_node(&w, "CPU=1");
    for (int turn = 0; turn < 400; turn++) {
        mr_action a;
        uint32_t node = (uint32_t)(mr_rand_next(&r) % 2);
        switch (mr_rand_next(&r) % 8) {
        case 0:
        case 1:
            if (n < MANY)
                have[n++] = world_put(&w, (1 + mr_rand_next(&r) % 9) * MB, node, NULL);
            break;
        case 2:
            if (n) {
                size_t i = mr_rand_next(&r) % n;
                world_drop(&w, have[i]);
                have[i] = have[--n];
            }
            break;
        case 3:
            full((1 + mr_rand_next(&r) % 20) * MB, node);
            break;
        case 4:
            if (n)
                want(have[mr_rand_next(&r) % n]);
            break;
        case 5:
            if (world_took(&w, MR_ACT_SPILL, 0, &a))
                say(mr_rand_next(&r) % 3 ? MR_EV_SPILLED : MR_EV_RESTORED, a.id, a.node, (uint64_t)a.value, 0);
            break;
        case 6:
            if (world_took(&w, MR_ACT_RESTORE, 0, &a) && mr_control_object(w.c, a.id).state == MR_OBJ_SEALED) {
                uint32_t how = (uint32_t)(mr_rand_next(&r) % 3);
                say(how == 0   ? MR_EV_SPILLED
                    : how == 1 ? MR_EV_RESTORED
                               : MR_EV_LOST,
                    a.id, a.node, mr_control_object(w.c, a.id).size, MR_LOSS_DAMAGED);
            }
            break;
        default:
            world_time(&w, SECOND / 2);
        }
    }
    while (n)
        world_drop(&w, have[--n]);
    world_time(&w, 1);
    ck_assert_uint_eq(world_stats(&w).spilled_bytes, 0);
    world_nothing_left(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: spilling");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, garbage_first_then_the_oldest);
    tcase_add_test(t, what_is_looked_at_gets_another_turn);
    tcase_add_test(t, a_second_copy_goes_for_nothing);
    tcase_add_test(t, no_room_where_it_is_needed);
    tcase_add_test(t, damaged_bytes_are_made_again);
    tcase_add_test(t, kept_records_are_bounded_by_their_bytes);
    tcase_add_loop_test(t, any_order_of_answers, 0, 100);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
