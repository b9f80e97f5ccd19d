/* pi.c: pi by throwing darts: tasks that need nothing but a seed. */
#include "example.h"

enum { TASKS = 40, DARTS = 250000 };

int main(int argc, char **argv)
{
    mr_session *s = example_open("pi", argc, argv);
    uint32_t throw = example_task(s, "throw_darts");
    mr_id ids[TASKS];
    for (uint64_t i = 0; i < TASKS; i++) {
        uint64_t job[2] = {i + 1, DARTS};
        ids[i] = example_submit(s, throw, MR_NO_ID, &(mr_args){.data = job, .len = sizeof(job)});
    }
    uint64_t hits = 0;
    for (int i = 0; i < TASKS; i++) {
        mr_value v = example_get(s, ids[i]);
        uint64_t here;
        memcpy(&here, v.data, sizeof(here));
        hits += here;
        mr_decref(s, v.id);
        mr_decref(s, ids[i]);
    }
    double pi = 4.0 * (double)hits / ((double)TASKS * DARTS);
    printf("pi is about %.4f\n", pi);
    mr_close(s);
    return pi > 3.13 && pi < 3.15 ? 0 : 1;
}
