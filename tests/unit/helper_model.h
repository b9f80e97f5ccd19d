/* helper_model.h: visits every interleaving of a few small programs over shared memory.
 *
 * A model is a few threads, each a program of single memory steps, over a few bytes of shared memory.  Plain stores go
 * through a store buffer (as on x86), so that a missing fence shows; fences, exchanges and system calls wait until it
 * is empty.  The explorer visits every state that any order of steps, of draining buffers and of kills can reach, and
 * asks each state without a further step whether it may be the end.
 */
#ifndef MR_TEST_HELPER_MODEL_H
#define MR_TEST_HELPER_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { VARS = 24, THREADS = 4, BUFFER = 3 };

typedef struct thread {
    uint8_t pc, back, a, b, c; /* `back`: where a sub-program returns to */
    uint8_t dead, asleep, n;
    uint8_t var[BUFFER], val[BUFFER];
} thread;

typedef struct state {
    uint8_t mem[VARS];
    thread t[THREADS];
    uint8_t kills, bad, pad[6];
} state;
_Static_assert(sizeof(state) % 8 == 0, "hashed by words");

typedef struct model {
    int threads;
    int kills;        /* so many threads may be killed, anywhere */
    uint32_t may_die; /* bit per thread */
    unsigned broken;  /* rule that is taken away; 0: none */
    bool lazy, reaps; /* bells */
    uint8_t need[2];  /* bells: records that the driver waits for, one after the other; 0: it does not */
    uint8_t records;
    uint8_t revoke, cancel;                               /* claims: number of the dispatch; 0: none */
    uint8_t words;                                        /* claims: how many claim words there are */
    bool (*step)(const struct model *m, state *s, int t); /* false: it cannot go on now (and nothing changed) */
    bool (*end)(const struct model *m, const state *s);
} model;

/* Number of states, or 0 when one was found that must not be. */
size_t explore(const model *m, const state *start);

bool flush_one(state *s, int t); /* the oldest buffered store of thread t reaches memory */

/* ------------------------------------------------------------------------------------------------------- memory -- */

static inline uint8_t rd(const state *s, int t, int var)
{
    const thread *me = &s->t[t];
    for (int i = me->n; i-- > 0;)
        if (me->var[i] == var)
            return me->val[i];
    return s->mem[var];
}

static inline bool wr(state *s, int t, int var, int val)
{
    thread *me = &s->t[t];
    if (me->n == BUFFER)
        return false;
    me->var[me->n] = (uint8_t)var;
    me->val[me->n++] = (uint8_t)val;
    return true;
}

static inline bool drained(const state *s, int t)
{
    return s->t[t].n == 0;
}

/* Needs an empty buffer. */
static inline bool cas(state *s, int var, int from, int to)
{
    if (s->mem[var] != from)
        return false;
    s->mem[var] = (uint8_t)to;
    return true;
}

static inline bool go(state *s, int t, int pc)
{
    s->t[t].pc = (uint8_t)pc;
    return true;
}

#endif
