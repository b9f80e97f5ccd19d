/* clock.h: what will happen when, in virtual time.  A binary heap by (time, order of pushing): the same pushes give the
 * same pops, whatever the machine.  Owned by one simulation. */
#ifndef MR_ENGINE_SIM_CLOCK_H
#define MR_ENGINE_SIM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <miniray/status.h>

typedef struct mr_moment {
    int64_t at;
    uint64_t order;
    uint32_t kind, a, b, gen; /* the owner's own */
} mr_moment;

typedef struct mr_clock {
    mr_moment *v;
    uint32_t n, cap;
    uint64_t pushed;
} mr_clock;

void mr_clock_init(mr_clock *c);
void mr_clock_fini(mr_clock *c);
/* m.order is set here.  Errors: NOMEM. */
mr_status mr_clock_push(mr_clock *c, mr_moment m) MR_CHECK_RESULT;
/* The next moment without taking it; NULL: nothing will happen. */
const mr_moment *mr_clock_top(const mr_clock *c);
mr_moment mr_clock_pop(mr_clock *c);

#endif
