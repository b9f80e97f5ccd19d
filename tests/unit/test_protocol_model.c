/* The bell protocol in every interleaving on small sizes: the driver and the progress thread sleep, workers ring.
 *
 * The programs repeat client/bell.c, outbox.c, engine/process/drive.c and progress.c step by step.  Each rule is
 * also taken away once: then the explorer must find the harm.
 */
#include <check.h>
#include <stdlib.h>

#include "helper_model.h"
#include "run_suite.h"

enum { WORD, DIRTY, TAIL, TAIL_1, GOT, GOT_1, EVENTFD, LOCK, LEADER, DONE, NEED, BURIED, BELLS_N };
enum { AWAKE, FUTEX, EVENT, LAZY, RUNG };
enum { DRIVER, PROGRESS, WORKER }; /* threads */
enum { PUMP = 100, RING = 120, SETTLE = 140, OVER = 200 };
enum { BREAK_FENCE = 1, BREAK_CLAIM, BREAK_LOOK, BREAK_ARM, BREAK_NUDGE, BREAK_EPOCH, BREAK_WAKE };

static bool lock_taken(state *s, int t)
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

static bool awake(state *s, int t)
{
    int next = (rd(s, t, WORD) & ~7) + 8;
    s->bad |= next > 255; /* the model is too small for this many epochs */
    return wr(s, t, WORD, next);
}

static bool arm(const model *m, state *s, int t, int who)
{
    int armed = (rd(s, t, WORD) & ~7) | who;
    if (m->broken == BREAK_ARM)
        return wr(s, t, WORD, armed);
    if (!drained(s, t))
        return false;
    s->mem[WORD] = (uint8_t)armed;
    return true;
}

static void wake(state *s, int word)
{
    if ((word & 3) == EVENT)
        s->mem[EVENTFD] = 1;
    else
        s->t[DRIVER].asleep = 0;
}

/* mr_drive_pump; with the lock.  a: phase, b: bits.  Ends at `back`. */
static bool pump(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    switch (me->pc) {
    case PUMP:
        return go(s, t, rd(s, t, DIRTY) ? PUMP + 1 : PUMP + 3);
    case PUMP + 1:
        if (!drained(s, t))
            return false;
        me->b = s->mem[DIRTY];
        s->mem[DIRTY] = 0;
        return go(s, t, PUMP + 2);
    case PUMP + 2: {
        int w = me->b & 1 ? 0 : 1;
        s->mem[GOT + w] = rd(s, t, TAIL + w);
        me->b &= (uint8_t) ~(1 << w);
        return go(s, t, me->b ? PUMP + 2 : PUMP);
    }
    default:
        if (!s->mem[DONE] && s->mem[NEED] && s->mem[GOT] + s->mem[GOT_1] >= s->mem[NEED]) {
            s->mem[DONE] = 1;
            if (t == PROGRESS && s->mem[LEADER] && m->broken != BREAK_WAKE) {
                me->a = 1; /* mr_bell_ring_always */
                return go(s, t, RING);
            }
        }
        return go(s, t, me->back);
    }
}

/* mr_bell_ring; a: without looking at c, the last epoch rung (0: never).  Ends at `back`. */
static bool ring(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    switch (me->pc) {
    case RING: /* the fence */
        if (!drained(s, t) && m->broken != BREAK_FENCE)
            return false;
        return go(s, t, RING + 1);
    case RING + 1: {
        uint8_t word = rd(s, t, WORD), epoch = (uint8_t)((word >> 3) + 1);
        me->b = word;
        if ((word & 3) == AWAKE || (!me->a && (m->broken == BREAK_EPOCH ? me->c != 0 : me->c == epoch)))
            return go(s, t, me->back);
        if (!me->a)
            me->c = epoch;
        return go(s, t, RING + 2);
    }
    case RING + 2:
        if (!drained(s, t))
            return false;
        if (m->broken == BREAK_CLAIM) { /* the usual `if (exchange(word, 0)) wake` */
            me->b = s->mem[WORD];
            s->mem[WORD] &= (uint8_t)~7;
            return go(s, t, (me->b & 3) == AWAKE ? me->back : RING + 3);
        }
        s->mem[WORD] |= RUNG;
        return go(s, t, RING + 3);
    default:
        wake(s, me->b);
        return go(s, t, me->back);
    }
}

/* mr_drive_settle; with the lock.  Ends at c. */
static bool settle(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    switch (me->pc) {
    case SETTLE:
        if (s->mem[LEADER])
            return go(s, t, me->c);
        if ((rd(s, t, WORD) & 3) != EVENT)
            return arm(m, s, t, EVENT) && go(s, t, SETTLE + 1);
        return drained(s, t) && go(s, t, SETTLE + 1);
    default:
        if (m->broken == BREAK_LOOK || !rd(s, t, DIRTY))
            return go(s, t, me->c);
        me->back = SETTLE;
        return go(s, t, PUMP);
    }
}

/* Waits for need[0] records as leader, then for need[1]; c: which. */
static bool driver(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    switch (me->pc) {
    case 0:
        if (!lock_taken(s, t))
            return false;
        s->mem[NEED] = m->need[me->b];
        s->mem[DONE] = 0;
        me->a = me->b;
        return go(s, t, s->mem[NEED] ? 1 : 13);
    case 1:
        s->mem[LEADER] = 1;
        return awake(s, t) && go(s, t, 2);
    case 2:
        me->back = 3;
        return go(s, t, PUMP);
    case 3:
        return go(s, t, s->mem[DONE] ? 12 : 4);
    case 4:
        return arm(m, s, t, m->lazy ? LAZY : FUTEX) && go(s, t, 5);
    case 5:
        me->b = rd(s, t, WORD) & (uint8_t)~RUNG; /* what it armed */
        return go(s, t, rd(s, t, DIRTY) && m->broken != BREAK_LOOK ? 10 : 6);
    case 6:
        return unlocked(s, t) && go(s, t, 7);
    case 7: /* futex_wait */
        if (!drained(s, t))
            return false;
        me->asleep = s->mem[WORD] == me->b;
        return go(s, t, 8);
    case 8:
        return !me->asleep && go(s, t, 9);
    case 9:
        return lock_taken(s, t) && go(s, t, 10);
    case 10:
        return awake(s, t) && go(s, t, 2);
    case 12:
        s->mem[LEADER] = 0;
        return go(s, t, 13);
    case 13:
        me->c = 14;
        return go(s, t, SETTLE);
    case 14:
        if (!unlocked(s, t))
            return false;
        me->b = me->a + 1;
        return go(s, t, me->b < 2 && m->need[me->b] ? 0 : OVER);
    default:
        return false;
    }
}

/* The progress thread: rung by the eventfd, or told of a death. */
static bool progress(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    int dead = s->t[WORKER].dead && !(s->mem[BURIED] & 1) ? 1 : s->t[WORKER + 1].dead && !(s->mem[BURIED] & 2) ? 2 : 0;
    switch (me->pc) {
    case 0:
        if (s->mem[EVENTFD]) {
            s->mem[EVENTFD] = 0;
            return go(s, t, 1);
        }
        return m->reaps && dead && go(s, t, 5);
    case 1:
        return lock_taken(s, t) && go(s, t, 2);
    case 2:
        if (!s->mem[LEADER] && !awake(s, t))
            return false;
        me->back = 3;
        return go(s, t, PUMP);
    case 3:
        me->c = 4;
        return go(s, t, SETTLE);
    case 4:
        return unlocked(s, t) && go(s, t, 0);
    case 5:
        return lock_taken(s, t) && go(s, t, 6);
    default: /* its ring is read to the end, whatever the dirty bit says; what it wrote is in memory by then */
        if (s->t[WORKER + dead - 1].n)
            return false;
        s->mem[GOT + dead - 1] = s->mem[TAIL + dead - 1];
        s->mem[BURIED] |= (uint8_t)dead;
        me->back = 3;
        return go(s, t, PUMP);
    }
}

/* Publishes its records; rings for each when somebody sleeps on a futex, and once when it runs dry. */
static bool worker(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    int w = t - WORKER, tail = rd(s, t, TAIL + w);
    switch (me->pc) {
    case 0:
        return wr(s, t, TAIL + w, tail + 1) && go(s, t, 1);
    case 1: /* mark_dirty: the fence */
        return (drained(s, t) || m->broken == BREAK_FENCE) && go(s, t, 2);
    case 2:
        return go(s, t, rd(s, t, DIRTY) >> w & 1 ? 4 : 3);
    case 3:
        if (!drained(s, t))
            return false;
        s->mem[DIRTY] |= (uint8_t)(1 << w);
        return go(s, t, 4);
    case 4: /* ring_node */
        me->back = 5;
        return go(s, t, (rd(s, t, WORD) & 3) == FUTEX ? RING : 5);
    case 5:
        if (tail < m->records)
            return go(s, t, 0);
        return go(s, t, m->broken == BREAK_NUDGE ? OVER : 6);
    case 6: /* mr_ring_port_nudge: rung or not, it costs one look */
        me->back = OVER;
        return go(s, t, RING);
    default:
        return false;
    }
}

static bool bell_step(const model *m, state *s, int t)
{
    uint8_t pc = s->t[t].pc;
    if (pc >= PUMP && pc < RING)
        return pump(m, s, t);
    if (pc >= RING && pc < SETTLE)
        return ring(m, s, t);
    if (pc >= SETTLE && pc < OVER)
        return settle(m, s, t);
    return t == DRIVER ? driver(m, s, t) : t == PROGRESS ? progress(m, s, t) : worker(m, s, t);
}

/* No record of a living worker (with a reaper: of any) lies unseen, and the driver sleeps only for want of records. */
static bool bell_end(const model *m, const state *s)
{
    for (int w = 0; w < m->threads - WORKER; w++)
        if ((!s->t[WORKER + w].dead || m->reaps) && s->mem[GOT + w] != s->mem[TAIL + w])
            return false;
    bool enough = s->mem[GOT] + s->mem[GOT_1] >= s->mem[NEED];
    return !enough || s->t[DRIVER].pc == OVER;
}

static size_t bells(model m)
{
    state s = {0};
    m.step = bell_step;
    m.end = bell_end;
    m.may_die = ~UINT32_C(3);
    s.mem[WORD] = EVENT;
    return explore(&m, &s);
}

START_TEST(test_bells_lose_no_wake_up)
{
    static const uint8_t needs[][2] = {{0, 0}, {1, 0}, {2, 0}, {1, 2}, {1, 1}};
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
        for (int lazy = 0; lazy < 2; lazy++) {
            model one = {.threads = 3, .records = 2, .lazy = lazy, .need = {needs[i][0], needs[i][1]}};
            model two = {.threads = 4, .records = 1, .lazy = lazy, .need = {needs[i][0], needs[i][1]}};
            ck_assert_uint_gt(bells(one), 100);
            ck_assert_uint_gt(bells(two), 1000);
        }
}
END_TEST

START_TEST(test_killed_ringer_silences_nobody)
{
    for (int lazy = 0; lazy < 2; lazy++)
        for (int reaps = 0; reaps < 2; reaps++)
            for (uint8_t need = 0; need <= 2; need++) {
                model m = {.threads = 4, .records = 1, .lazy = lazy, .reaps = reaps, .kills = 1, .need = {need}};
                ck_assert_uint_gt(bells(m), 1000);
            }
}
END_TEST

/* Each rule is needed: without it the explorer finds a sleeper that nobody wakes. */
START_TEST(test_bell_rules_are_needed)
{
    model base = {.threads = 4, .records = 1, .need = {1, 2}};
    static const unsigned rules[] = {BREAK_LOOK, BREAK_ARM};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        model m = base;
        m.broken = rules[i];
        size_t futex = bells(m);
        m.lazy = true;
        ck_assert_msg(!futex || !bells(m), "rule %u could be left out", rules[i]);
    }
    model fence = {.threads = 3, .records = 2, .need = {2}, .broken = BREAK_FENCE};
    ck_assert_uint_eq(bells(fence), 0);
    model dry = {.threads = 3, .records = 2, .lazy = true, .need = {2}, .broken = BREAK_NUDGE};
    ck_assert_uint_eq(bells(dry), 0);
    model epoch = {.threads = 3, .records = 2, .need = {1, 2}, .broken = BREAK_EPOCH};
    ck_assert_uint_eq(bells(epoch), 0);
    model reaped = {.threads = 4, .records = 1, .reaps = true, .kills = 1, .need = {2}, .broken = BREAK_WAKE};
    ck_assert_uint_eq(bells(reaped), 0);
    model claim = {.threads = 4, .records = 1, .need = {1}, .kills = 1, .broken = BREAK_CLAIM};
    ck_assert_uint_eq(bells(claim), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bell model");
    TCase *c = tcase_create("interleavings");
    tcase_add_test(c, test_bells_lose_no_wake_up);
    tcase_add_test(c, test_killed_ringer_silences_nobody);
    tcase_add_test(c, test_bell_rules_are_needed);
    suite_add_tcase(s, c);
    return run_suite(s);
}
