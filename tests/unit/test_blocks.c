/* test_blocks.c: the ready queue against a sorted array: any order of ranks, ties, walks both ways. */
#include <check.h>
#include <stdlib.h>

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
    uint64_t heap = 0;
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
            mr_queue_push(&q, t, &heap);
        } else if (n_sorted) {
            int at = mr_rand_below(&dice, 3) ? 0 : (int)mr_rand_below(&dice, (uint64_t)n_sorted);
            task *t = sorted[at];
            for (int k = at; k + 1 < n_sorted; k++)
                sorted[k] = sorted[k + 1];
            n_sorted--;
            mr_queue_remove(&q, t, &heap);
        }
        if (step % 499 == 0)
            check_all(&q);
    }
    while (n_sorted)
        mr_queue_remove(&q, sorted[--n_sorted], &heap);
    check_all(&q);
    ck_assert_uint_eq(q.blocks.n, 0);
    ck_assert_uint_eq(heap, q.blocks.room * sizeof(blocks_top)); /* the blocks were given back */
    mr_blocks_fini(&q.blocks);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("control: ready queues");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, as_a_sorted_array_is, 0, 4);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
