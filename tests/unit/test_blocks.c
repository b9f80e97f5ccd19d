/* test_blocks.c: the ready queue against a sorted array: any order of ranks, ties, walks both ways. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "control/room.h"
#include "run_suite.h"

enum { MOST = 3000 };

static task all[MOST];
static task *sorted[MOST];
static int n_sorted;

static int place_of(const task *t)
{
    int i = 0;
    while (i < n_sorted && ranks_before(sorted[i], t))
        i++;
    return i;
}

static void check_all(const queue *q)
{
    ck_assert_uint_eq(q->n, (uint32_t)n_sorted);
    ck_assert_ptr_eq(mr_queue_first(q), n_sorted ? sorted[0] : NULL);
    ck_assert_ptr_eq(mr_queue_last(q), n_sorted ? sorted[n_sorted - 1] : NULL);
    for (int i = 0; i < n_sorted; i++) {
        const task *t = sorted[i];
        ck_assert_ptr_eq(mr_queue_after(q, t->v.rank, t->v.entry), i + 1 < n_sorted ? sorted[i + 1] : NULL);
        ck_assert_ptr_eq(mr_queue_before(q, t->v.rank, t->v.entry), i ? sorted[i - 1] : NULL);
    }
}

/* how 0: random ranks, 1: few ranks, 2: decreasing, 3: a sawtooth. */
static double rank_of(mr_rand *dice, int how, int i)
{
    switch (how) {
    case 1:
        return (double)mr_rand_below(dice, 3);
    case 2:
        return -i;
    case 3:
        return i % 97;
    default:
        return (double)mr_rand_below(dice, 1 << 20) - (1 << 19);
    }
}

START_TEST(as_a_sorted_array_is)
{
    queue q = {.n = 0};
    mr_slab keys;
    mr_blocks_init(&keys);
    mr_rand dice;
    mr_rand_seed(&dice, 11, (uint64_t)_i);
    int next = 0;
    n_sorted = 0;
    for (int step = 0; step < 2 * MOST; step++) {
        bool grows = step < MOST ? mr_rand_below(&dice, 4) > 0 : mr_rand_below(&dice, 4) == 0;
        if (grows && next < MOST) {
            task *t = &all[next];
            *t = (task){.v.rank = rank_of(&dice, _i, next), .v.entry = (uint64_t)next + 1};
            next++;
            int at = place_of(t);
            for (int k = n_sorted++; k > at; k--)
                sorted[k] = sorted[k - 1];
            sorted[at] = t;
            mr_queue_push(&q, t, &keys);
        } else if (n_sorted) {
            int at = mr_rand_below(&dice, 3) ? 0 : (int)mr_rand_below(&dice, (uint64_t)n_sorted);
            task *t = sorted[at];
            for (int k = at; k + 1 < n_sorted; k++)
                sorted[k] = sorted[k + 1];
            n_sorted--;
            mr_queue_remove(&q, t, &keys);
        }
        if (step % 499 == 0)
            check_all(&q);
    }
    while (n_sorted)
        mr_queue_remove(&q, sorted[--n_sorted], &keys);
    check_all(&q);
    ck_assert_uint_eq(q.blocks.n, 0);
    ck_assert_uint_eq(keys.n_used, 0); /* the blocks were given back */
    mr_slab_fini(&keys);
}
END_TEST

/* So many that there are three levels: all in order after each of a few rounds of coming and going. */
enum { MANY = 20000 };

static uint32_t in_order(const blocks *b)
{
    uint32_t n = 0;
    bool good = true;
    const task *last = mr_blocks_last(b);
    for (const task *t = mr_blocks_first(b), *next; t; t = next, n++) {
        next = mr_blocks_after(b, t->v.rank, t->v.entry);
        good &= next ? ranks_before(t, next) && mr_blocks_before(b, next->v.rank, next->v.entry) == t : t == last;
    }
    ck_assert(good);
    return n;
}

START_TEST(many_levels)
{
    static task many[MANY];
    static bool in[MANY];
    blocks b = {.n = 0};
    mr_slab keys;
    uint64_t entry = 0;
    mr_blocks_init(&keys);
    mr_rand dice;
    mr_rand_seed(&dice, 12, (uint64_t)_i);
    memset(in, 0, sizeof in);
    for (int round = 0; round < 6; round++) {
        uint32_t n = 0;
        for (int i = 0; i < MANY; i++) {
            bool wanted = round < 5 && mr_rand_below(&dice, 5) >= (uint64_t)round;
            task *t = &many[i];
            if (in[i] && !wanted)
                mr_blocks_remove(&b, t, &keys);
            if (!in[i] && wanted) {
                *t = (task){.v.rank = rank_of(&dice, _i, i), .v.entry = ++entry};
                if (!mr_blocks_insert(&b, t, &keys))
                    ck_abort_msg("no memory");
            }
            n += in[i] = wanted;
        }
        ck_assert_uint_eq(b.n, n);
        ck_assert_uint_eq(in_order(&b), n);
        ck_assert(round || b.height >= 2);
    }
    ck_assert_uint_eq(keys.n_used, 0);
    mr_slab_fini(&keys);
}
END_TEST

/* A few ranks, each in order of entry, as a policy of priorities has them: what lies in the blocks is dense. */
START_TEST(blocks_are_full)
{
    static task many[MANY];
    blocks b = {.n = 0};
    mr_slab keys;
    mr_blocks_init(&keys);
    for (int i = 0; i < MANY; i++) {
        many[i] = (task){.v.rank = i % 4, .v.entry = (uint64_t)i + 1};
        if (!mr_blocks_insert(&b, &many[i], &keys))
            ck_abort_msg("no memory");
    }
    ck_assert_uint_eq(in_order(&b), MANY);
    ck_assert_uint_lt(keys.n_used * keys.size / MANY, 27); /* 24 is a key */
    int right = 0;
    for (int i = 0; i < MANY; i++) {
        task *first = mr_blocks_first(&b);
        right += first == &many[i % (MANY / 4) * 4 + i / (MANY / 4)];
        mr_blocks_remove(&b, first, &keys);
    }
    ck_assert_int_eq(right, MANY);
    ck_assert_uint_eq(keys.n_used, 0);
    mr_slab_fini(&keys);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: ready queues");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, as_a_sorted_array_is, 0, 4);
    tcase_add_loop_test(t, many_levels, 0, 4);
    tcase_add_test(t, blocks_are_full);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
