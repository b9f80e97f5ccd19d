/* map_reduce.c: a tree: blocks of numbers are mapped to sums of squares, sums are added in pairs up to one.  The values
 * of the inner nodes never come to the driver: a task is given the objects that its arguments name. */
#include "example.h"

enum { BLOCKS = 64, BLOCK = 20000 };

int main(int argc, char **argv)
{
    mr_session *s = example_open("map_reduce", argc, argv);
    uint32_t map = example_task(s, "sum_of_squares"), reduce = example_task(s, "add");
    mr_err err;
    mr_id level[BLOCKS];
    uint32_t numbers[BLOCK];
    uint64_t expected = 0;

    for (uint32_t b = 0; b < BLOCKS; b++) {
        for (uint32_t i = 0; i < BLOCK; i++) {
            numbers[i] = (b * BLOCK + i) % 1000;
            expected += (uint64_t)numbers[i] * numbers[i];
        }
        mr_id block;
        must(mr_put(s, MR_FORMAT_BYTES, numbers, sizeof(numbers), NULL, 0, &block, &err), &err, "mr_put");
        level[b] = example_submit(s, map, MR_NO_ID, &(mr_args){.deps = &block, .n_deps = 1});
        mr_decref(s, block); /* the task holds it now */
    }
    for (uint32_t n = BLOCKS; n > 1; n /= 2)
        for (uint32_t i = 0; i < n / 2; i++) {
            mr_id pair[2] = {level[2 * i], level[2 * i + 1]};
            level[i] = example_submit(s, reduce, MR_NO_ID, &(mr_args){.deps = pair, .n_deps = 2});
            mr_decref(s, pair[0]);
            mr_decref(s, pair[1]);
        }
    mr_value v = example_get(s, level[0]);
    uint64_t sum;
    memcpy(&sum, v.data, sizeof(sum));
    printf("sum of squares of %u numbers: %llu\n", (unsigned)(BLOCKS * BLOCK), (unsigned long long)sum);
    mr_decref(s, v.id);
    mr_decref(s, level[0]);
    mr_close(s);
    return sum != expected;
}
