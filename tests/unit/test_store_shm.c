/* test_store_shm.c: the two parts of store-shm that touch no memory: allocator and index.
 *
 * They are inside a plugin that exports one symbol, so their sources are included here.
 */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#undef fail /* Check's macro; the host table has a member of this name */
#include "../../plugins/store-shm/shm_arena.c"
#define next index_next /* both have a static of this name */
#include "../../plugins/store-shm/shm_index.c"
#include "run_suite.h"
#undef next

/* -- a host that counts, and can refuse ------------------------------------------------------------------------- */

static int64_t blocks, refuse_after = INT64_MAX;

static void *host_alloc(const mr_host *h, size_t size)
{
    (void)h;
    if (refuse_after-- <= 0)
        return NULL;
    blocks++;
    return calloc(1, size ? size : 1);
}

static void host_free(const mr_host *h, void *p)
{
    (void)h;
    blocks -= p != NULL;
    free(p);
}

static const mr_host host = {.size = sizeof(mr_host), .name = "test", .alloc = host_alloc, .free = host_free};

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

/* -- the allocator against a bitmap ----------------------------------------------------------------------------- */

enum { GRANULES = 512, LIVE = 128 };

/* The lowest run of n free granules; -1: none. */
static int lowest_run(const char *map, int n)
{
    for (int at = 0, run = 0; at < GRANULES; at++) {
        run = map[at] ? 0 : run + 1;
        if (run == n)
            return at - n + 1;
    }
    return -1;
}

static int widest_run(const char *map)
{
    int best = 0;
    for (int at = 0, run = 0; at < GRANULES; at++) {
        run = map[at] ? 0 : run + 1;
        best = run > best ? run : best;
    }
    return best;
}

/* Every invariant of the tree and the list: heap order, search order, widest, no gaps, no two free neighbours. */
static uint64_t check_tree(const shm_extent *t, uint64_t low, uint64_t high)
{
    if (!t)
        return 0;
    ck_assert_int_eq(t->state, SHM_FREE);
    ck_assert(t->off >= low && t->off + t->len <= high && t->len > 0);
    uint64_t w = t->len, l = check_tree(t->u.tree.left, low, t->off),
             r = check_tree(t->u.tree.right, t->off + t->len, high);
    if (t->u.tree.left)
        ck_assert_uint_le(t->u.tree.left->weight, t->weight);
    if (t->u.tree.right)
        ck_assert_uint_le(t->u.tree.right->weight, t->weight);
    w = l > w ? l : w;
    w = r > w ? r : w;
    ck_assert_uint_eq(t->u.tree.widest, w);
    return w;
}

static void check_list(const shm_arena *a, const shm_extent *any)
{
    uint64_t off = 0, used = 0;
    while (any->before)
        any = any->before;
    for (; any; any = any->after) {
        ck_assert_uint_eq(any->off, off);
        ck_assert(!any->after || any->after->before == any);
        ck_assert(any->state != SHM_FREE || !any->after || any->after->state != SHM_FREE);
        off += any->len;
        used += any->state == SHM_FREE ? 0 : any->len;
    }
    ck_assert_uint_eq(off, a->size);
    ck_assert_uint_eq(used, a->used);
}

START_TEST(arena_against_bitmap)
{
    char map[GRANULES] = {0};
    shm_extent *live[LIVE] = {NULL};
    uint64_t state = (uint64_t)_i + 1;
    shm_arena a;
    ck_assert_int_eq(shm_arena_init(&a, &host, GRANULES * SHM_GRANULE), MR_OK);
    for (int step = 0; step < 4000; step++) {
        shm_extent **e = &live[random_next(&state) % LIVE];
        if (*e) {
            memset(map + (*e)->off / SHM_GRANULE, 0, (*e)->len / SHM_GRANULE);
            shm_arena_give(&a, *e);
            *e = NULL;
        } else {
            int n = 1 + (int)(random_next(&state) % (step % 3 ? 6 : 40)), at = lowest_run(map, n);
            mr_status status = shm_arena_take(&a, (uint64_t)n * SHM_GRANULE, e);
            ck_assert_int_eq(status, at < 0 ? MR_E_FULL : MR_OK);
            if (!status) {
                ck_assert_uint_eq((*e)->off, (uint64_t)at * SHM_GRANULE);
                memset(map + at, 1, (size_t)n);
                if (step % 16 == 0) /* each check of Check's is a write to a file */
                    check_list(&a, *e);
            }
        }
        ck_assert_uint_eq(shm_arena_widest(&a), (uint64_t)widest_run(map) * SHM_GRANULE);
        if (step % 16 == 1)
            ck_assert_uint_eq(check_tree(a.root, 0, a.size), shm_arena_widest(&a));
    }
    for (int i = 0; i < LIVE; i++)
        if (live[i])
            shm_arena_give(&a, live[i]);
    ck_assert_uint_eq(a.used, 0);
    ck_assert_uint_eq(a.n_used, 0);
    ck_assert_uint_eq(shm_arena_widest(&a), a.size);
    shm_arena_fini(&a);
    ck_assert_int_eq(blocks, 0);
}
END_TEST

/* A failed allocation changes nothing. */
START_TEST(arena_without_memory)
{
    shm_arena a;
    shm_extent *e, *kept = NULL;
    int n = 0;
    refuse_after = 0;
    ck_assert_int_eq(shm_arena_init(&a, &host, 1 << 20), MR_E_NOMEM);
    refuse_after = 1;
    ck_assert_int_eq(shm_arena_init(&a, &host, 1 << 20), MR_E_NOMEM);
    ck_assert_int_eq(blocks, 0);
    refuse_after = 2;
    ck_assert_int_eq(shm_arena_init(&a, &host, 1 << 20), MR_OK);
    mr_status status;
    while (!(status = shm_arena_take(&a, SHM_GRANULE, &e))) {
        kept = e;
        n++;
    }
    ck_assert_int_eq(status, MR_E_NOMEM);
    ck_assert_int_eq(n, SLAB_RECORDS - 1);
    check_list(&a, kept);
    ck_assert_int_eq(shm_arena_cut(&a, kept, 0, &e), MR_E_NOMEM);
    refuse_after = INT64_MAX;
    ck_assert_int_eq(shm_arena_take(&a, SHM_GRANULE, &e), MR_OK);
    check_list(&a, e);
    shm_arena_fini(&a);
    ck_assert_int_eq(blocks, 0);
}
END_TEST

static bool remember(void *arg, uint64_t off, uint64_t len)
{
    uint64_t *seen = arg;
    seen[++seen[0]] = off;
    return len && seen[0] < 3;
}

START_TEST(arena_free_extents)
{
    uint64_t seen[8] = {0};
    shm_extent *e[20];
    shm_arena a;
    ck_assert_int_eq(shm_arena_init(&a, &host, 20 * SHM_GRANULE), MR_OK);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(shm_arena_take(&a, SHM_GRANULE, &e[i]), MR_OK);
    ck_assert_int_eq(shm_arena_take(&a, SHM_GRANULE, &e[0]), MR_E_FULL);
    shm_arena_free_extents(&a, 1, remember, seen);
    ck_assert_uint_eq(seen[0], 0);
    for (int i = 0; i < 20; i++)
        if (i % 4 != 3)
            shm_arena_give(&a, e[i]);
    shm_arena_free_extents(&a, 4 * SHM_GRANULE, remember, seen);
    ck_assert_uint_eq(seen[0], 0);
    shm_arena_free_extents(&a, 3 * SHM_GRANULE, remember, seen); /* highest first, and it stops when told */
    ck_assert_uint_eq(seen[0], 3);
    ck_assert_uint_eq(seen[1], 16 * SHM_GRANULE);
    ck_assert_uint_eq(seen[2], 12 * SHM_GRANULE);
    ck_assert_uint_eq(seen[3], 8 * SHM_GRANULE);
    shm_arena_fini(&a);
}
END_TEST

/* -- the index -------------------------------------------------------------------------------------------------- */

/* -- fragmentation ---------------------------------------------------------------------------------------------- */

enum { MANY = 4096 };
#define HUGE_PAGE (UINT64_C(2) << 20)

/* Bytes of the huge pages on which something lies: the rest goes back to the system when the store is idle. */
static uint64_t bytes_kept(shm_extent **live, size_t n)
{
    static char kept[UINT64_C(32) << 10]; /* of 64 GB */
    uint64_t sum = 0;
    memset(kept, 0, sizeof(kept));
    for (size_t i = 0; i < n; i++)
        for (uint64_t page = live[i]->off / HUGE_PAGE; page <= (live[i]->off + live[i]->len - 1) / HUGE_PAGE; page++) {
            sum += kept[page] ? 0 : HUGE_PAGE;
            kept[page] = 1;
        }
    return sum;
}

/* 4 GB of objects of 1 B to 256 MB, each size as likely as its double, that come and go 10,000 times: what all of it
 * ever touched, and what at any moment can not go back. */
START_TEST(arena_fragments_little)
{
    static shm_extent *live[MANY];
    uint64_t state = (uint64_t)_i + 1, bytes = 0, most = 0, touched = 0;
    size_t n = 0;
    shm_arena a;
    ck_assert_int_eq(shm_arena_init(&a, &host, UINT64_C(64) << 30), MR_OK);
    for (int step = 0; step < 10000; step++) {
        while (bytes < UINT64_C(4) << 30) {
            uint64_t len = 1 + random_next(&state) % (UINT64_C(1) << random_next(&state) % 29);
            ck_assert_uint_lt(n, MANY);
            ck_assert_int_eq(shm_arena_take(&a, (len + 63) & ~UINT64_C(63), &live[n]), MR_OK);
            live[n]->state = SHM_SEALED;
            bytes += live[n]->len;
            most = bytes > most ? bytes : most;
            touched = live[n]->off + live[n]->len > touched ? live[n]->off + live[n]->len : touched;
            n++;
        }
        if (step % 100 == 99)
            ck_assert_uint_le(bytes_kept(live, n), bytes + bytes / 10);
        size_t i = random_next(&state) % n;
        bytes -= live[i]->len;
        shm_arena_give(&a, live[i]);
        live[i] = live[--n];
    }
    ck_assert_uint_le(touched, most + most / 2);
    while (n)
        shm_arena_give(&a, live[--n]);
    shm_arena_fini(&a);
}
END_TEST

START_TEST(index_against_array)
{
    enum { IDS = 4096 };
    static shm_extent values[IDS];
    static bool there[IDS];
    uint64_t state = 7;
    size_t n = 0;
    shm_index x;
    ck_assert_int_eq(shm_index_init(&x, &host), MR_OK);
    for (int step = 0; step < 30000; step++) {
        size_t i = random_next(&state) % IDS;
        mr_id id = i % 2 ? i + 1 : (UINT64_C(1) << 48) * (i % 16) + i + 1;
        ck_assert_ptr_eq(shm_index_find(&x, id), there[i] ? &values[i] : NULL);
        if (there[i]) {
            shm_index_drop(&x, id);
            n--;
        } else {
            ck_assert_int_eq(shm_index_reserve(&x), MR_OK);
            shm_index_put(&x, id, &values[i]);
            n++;
        }
        there[i] = !there[i];
        ck_assert_uint_eq(x.n, n);
    }
    shm_index_drop(&x, UINT64_MAX); /* absent: nothing happens */
    ck_assert_uint_eq(x.n, n);
    shm_index_fini(&x);
    ck_assert_int_eq(blocks, 0);
}
END_TEST

START_TEST(index_without_memory)
{
    shm_extent e;
    shm_index x;
    refuse_after = 0;
    ck_assert_int_eq(shm_index_init(&x, &host), MR_E_NOMEM);
    refuse_after = 1;
    ck_assert_int_eq(shm_index_init(&x, &host), MR_OK);
    mr_id id = 1;
    while (!shm_index_reserve(&x))
        shm_index_put(&x, id++, &e);
    ck_assert_uint_eq(id - 1, 512);
    for (mr_id i = 1; i < id; i++)
        ck_assert_ptr_eq(shm_index_find(&x, i), &e);
    refuse_after = INT64_MAX;
    ck_assert_int_eq(shm_index_reserve(&x), MR_OK);
    for (mr_id i = 1; i < id; i++)
        ck_assert_ptr_eq(shm_index_find(&x, i), &e);
    shm_index_fini(&x);
    ck_assert_int_eq(blocks, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store-shm");
    TCase *t = tcase_create("arena and index");
    tcase_add_loop_test(t, arena_against_bitmap, 0, 4);
    tcase_add_test(t, arena_without_memory);
    tcase_add_test(t, arena_free_extents);
    tcase_add_loop_test(t, arena_fragments_little, 0, 3);
    tcase_add_test(t, index_against_array);
    tcase_add_test(t, index_without_memory);
    suite_add_tcase(s, t);
    return run_suite(s);
}
