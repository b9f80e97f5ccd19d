/* The bell of a worker in a burst of short tasks, in every interleaving on small sizes: the driver leaves some records
 * untold while the worker sleeps, and a timer of the progress thread stands for the driver that does not come back.
 *
 * The programs repeat client/bell.c, client/inbox.c (inbox_lead), and drive_bells and the timer of engine/process step
 * by step.  Each rule is also taken away once: then the explorer must find records that nobody tells of.
 */
#include <check.h>
#include <stdlib.h>

#include "helper_model.h"
#include "run_suite.h"

enum { WORD, TAIL, GOT, LOCK, TO_RING, TIMER, UNTOLD, LAST };
enum { AWAKE, FUTEX, RUNG = 4 };
enum { DRIVER, PROGRESS, WORKER };
enum { RING = 100, OVER = 200, MOST = 2 }; /* MOST: untold records at which a sleeper is woken */
enum { BREAK_TIMER = 1, BREAK_KEEP, BREAK_ARM, BREAK_LOOK };

static bool locked(state *s, int t)
{
    return drained(s, t) && cas(s, LOCK, 0, t + 1);
}

static bool unlocked(state *s, int t)
{
    if (!drained(s, t))
        return false;
    s->mem[LOCK] = 0;
    return true;
}

/* mr_bell_ring, with the lock: what is told leaves TO_RING first.  Ends at `back`. */
static bool ring(state *s, int t)
{
    thread *me = &s->t[t];
    switch (me->pc) {
    case RING:
        s->mem[TO_RING] = s->mem[UNTOLD] = 0;
        return go(s, t, RING + 1);
    case RING + 1: { /* behind the fence */
        if (!drained(s, t))
            return false;
        uint8_t word = s->mem[WORD], epoch = (uint8_t)((word >> 3) + 1);
        if ((word & 3) == AWAKE || s->mem[LAST] == epoch)
            return go(s, t, me->back);
        s->mem[LAST] = epoch;
        return go(s, t, RING + 2);
    }
    case RING + 2:
        s->mem[WORD] |= RUNG;
        return go(s, t, RING + 3);
    default:
        s->t[WORKER].asleep = 0;
        return go(s, t, me->back);
    }
}

/* Submits its records in a burst, one pump each, and never comes back. */
static bool driver(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    switch (me->pc) {
    case 0:
        return locked(s, t) && go(s, t, 1);
    case 1: /* a dispatch */
        s->mem[TO_RING] = 1;
        s->mem[UNTOLD]++;
        me->a++;
        return wr(s, t, TAIL, me->a) && go(s, t, 2);
    case 2: /* bell_later */
        if (!drained(s, t))
            return false;
        me->back = 4;
        return go(s, t, (s->mem[WORD] & 3) != AWAKE && s->mem[UNTOLD] < MOST ? 3 : RING);
    case 3:
        if (m->broken == BREAK_KEEP)
            s->mem[TO_RING] = 0;
        s->mem[TIMER] = m->broken != BREAK_TIMER;
        return go(s, t, 4);
    case 4:
        return unlocked(s, t) && go(s, t, me->a < m->records ? 0 : OVER);
    default:
        return false;
    }
}

/* progress_fired: a pump that is in no burst. */
static bool progress(state *s, int t)
{
    thread *me = &s->t[t];
    switch (me->pc) {
    case 0:
        return s->mem[TIMER] && go(s, t, 1);
    case 1:
        return locked(s, t) && go(s, t, 2);
    case 2:
        s->mem[TIMER] = 0;
        me->back = 3;
        return go(s, t, s->mem[TO_RING] ? RING : 3);
    default:
        return unlocked(s, t) && go(s, t, 0);
    }
}

/* Takes what is there; arms its bell, looks once more, sleeps. */
static bool worker(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    uint8_t tail = rd(s, t, TAIL);
    switch (me->pc) {
    case 0:
        return wr(s, t, GOT, tail) && go(s, t, 1);
    case 1:
        me->b = (uint8_t)((rd(s, t, WORD) & ~7) | FUTEX);
        if (m->broken == BREAK_ARM)
            return wr(s, t, WORD, me->b) && go(s, t, 2);
        if (!drained(s, t))
            return false;
        s->mem[WORD] = me->b;
        return go(s, t, 2);
    case 2:
        return go(s, t, tail != rd(s, t, GOT) && m->broken != BREAK_LOOK ? 5 : 3);
    case 3:
        if (!drained(s, t))
            return false;
        me->asleep = s->mem[WORD] == me->b;
        return go(s, t, 4);
    case 4:
        return !me->asleep && go(s, t, 5);
    default: {
        int next = (rd(s, t, WORD) & ~7) + 8;
        s->bad |= next > 255; /* the model is too small for this many epochs */
        return wr(s, t, WORD, next) && go(s, t, 0);
    }
    }
}

static bool step(const model *m, state *s, int t)
{
    if (s->t[t].pc >= RING && s->t[t].pc < OVER)
        return ring(s, t);
    return t == DRIVER ? driver(m, s, t) : t == PROGRESS ? progress(s, t) : worker(m, s, t);
}

/* Whoever sleeps has taken all there is. */
static bool end(const model *m, const state *s)
{
    return s->mem[TAIL] == m->records && s->mem[GOT] == s->mem[TAIL] && !s->mem[TO_RING];
}

static size_t burst(uint8_t records, unsigned broken)
{
    state s = {0};
    model m = {.threads = 3, .records = records, .broken = broken, .step = step, .end = end};
    return explore(&m, &s);
}

START_TEST(test_a_burst_is_told_to_its_end)
{
    for (uint8_t records = 1; records <= 5; records++)
        ck_assert_uint_gt(burst(records, 0), 50);
}
END_TEST

START_TEST(test_each_rule_is_needed)
{
    static const unsigned rules[] = {BREAK_TIMER, BREAK_KEEP, BREAK_ARM, BREAK_LOOK};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        ck_assert_msg(!burst(3, rules[i]), "rule %u could be left out", rules[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("burst model");
    TCase *c = tcase_create("interleavings");
    tcase_add_test(c, test_a_burst_is_told_to_its_end);
    tcase_add_test(c, test_each_rule_is_needed);
    suite_add_tcase(s, c);
    return run_suite(s);
}
