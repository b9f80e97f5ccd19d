/* Rings, claims and the cancel slot in every interleaving on small sizes.
 *
 * The programs repeat client/ring.c, calls.c, cancel.c, engine/process/links.c and actions.c step by step.  Each rule
 * is also taken away once: then the explorer must find the harm.
 */
#include <check.h>
#include <stdlib.h>

#include "helper_model.h"
#include "run_suite.h"

enum { OVER = 200 };
/* Dispatch k has number k; its record fills one cell of the ring.  Claim words: k << 2 | state, in k mod `words`. */
enum { CELLS = 2, CLAIMS = 3, MOST = 3 };
enum {
    HEAD,
    TOP,
    CELL,
    CLAIM = CELL + CELLS,
    SLOT = CLAIM + CLAIMS,
    SIG,
    WON,
    RAN,
    CUT = RAN + MOST,
    BACK = CUT + MOST
};
enum { QUEUED = 1, STARTED, REVOKED };
enum { IDLE = 0, RUNNING, CANCEL, FINISHED };
enum { NODE, SERVER, HANDLER };
enum { BREAK_ORDER = 1, BREAK_TAKE, BREAK_ROOM, BREAK_REVOKE, BREAK_START, BREAK_SLOT, BREAK_STOP, BREAK_REUSE };

/* Dispatches all, takes one back, cancels one.  a: last dispatched, b: what it saw. */
static bool node(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    int k = me->a + 1;
    switch (me->pc) {
    case 0: /* claim_free, mr_ring_reserve */
        if (me->a == m->records)
            return go(s, t, 10);
        if (m->broken != BREAK_REUSE && (rd(s, t, CLAIM + k % m->words) & 3) == QUEUED)
            return false;
        if (m->broken != BREAK_ROOM && me->a - rd(s, t, HEAD) >= CELLS)
            return false;
        return go(s, t, m->broken == BREAK_ORDER ? 3 : 1);
    case 1:
        return wr(s, t, CELL + k % CELLS, k) && go(s, t, 2);
    case 2:
        return wr(s, t, CLAIM + k % m->words, k << 2 | QUEUED) && go(s, t, m->broken == BREAK_ORDER ? 4 : 3);
    case 3:
        return wr(s, t, TOP, k) && go(s, t, m->broken == BREAK_ORDER ? 1 : 4);
    case 4:
        me->a++;
        return go(s, t, 0);
    case 10: /* mr_peer_revoke */
        if (!m->revoke)
            return go(s, t, 20);
        if (!drained(s, t))
            return false;
        if (m->broken == BREAK_REVOKE) {
            me->b = s->mem[CLAIM + m->revoke % m->words] == (m->revoke << 2 | QUEUED);
            return go(s, t, me->b ? 11 : 20);
        }
        if (cas(s, CLAIM + m->revoke % m->words, m->revoke << 2 | QUEUED, m->revoke << 2 | REVOKED))
            s->mem[BACK + m->revoke - 1]++;
        return go(s, t, 20);
    case 11:
        s->mem[CLAIM + m->revoke % m->words] = (uint8_t)(m->revoke << 2 | REVOKED);
        s->mem[BACK + m->revoke - 1]++;
        return go(s, t, 20);
    case 20: /* act_interrupt */
        if (!m->cancel)
            return go(s, t, OVER);
        if (rd(s, t, SLOT) >> 2 != m->cancel)
            return go(s, t, OVER); /* not running: another way */
        return go(s, t, 21);
    case 21:
        if (!drained(s, t))
            return false;
        s->mem[WON] = cas(s, SLOT, m->cancel << 2 | RUNNING, m->cancel << 2 | CANCEL);
        return go(s, t, s->mem[WON] ? 22 : OVER);
    case 22:
        s->mem[SIG] = 1;
        return go(s, t, OVER);
    default:
        return false;
    }
}

/* The worker's main thread.  a: head, b: what it runs, c: struck. */
static bool server(const model *m, state *s, int t)
{
    thread *me = &s->t[t];
    uint8_t claim = (uint8_t)(CLAIM + me->b % m->words);
    switch (me->pc) {
    case 0: /* mr_ring_peek */
        if (rd(s, t, TOP) == me->a)
            return false;
        return go(s, t, m->broken == BREAK_TAKE ? 2 : 1);
    case 1: /* the record is copied, then its room is given back */
        me->b = rd(s, t, CELL + (me->a + 1) % CELLS);
        s->bad |= me->b != me->a + (m->broken == BREAK_TAKE ? 0 : 1); /* another record, or half of one */
        return go(s, t, m->broken == BREAK_TAKE ? 3 : 2);
    case 2:
        if (!wr(s, t, HEAD, me->a + 1))
            return false;
        if (m->broken == BREAK_TAKE) { /* room first: the cell may be overwritten */
            me->b = (uint8_t)(me->a + 1);
            me->a++;
            return go(s, t, 9);
        }
        me->a++;
        return go(s, t, 3);
    case 9:
        s->bad |= rd(s, t, CELL + me->a % CELLS) != me->b;
        return go(s, t, 3);
    case 3: /* queue_pop */
        return go(s, t, rd(s, t, claim) == (me->b << 2 | REVOKED) ? 0 : 4);
    case 4: /* mr_calls_start: first the slot, then the claim */
        if (!drained(s, t))
            return false;
        s->mem[SLOT] = (uint8_t)(me->b << 2 | RUNNING);
        return go(s, t, 5);
    case 5:
        if (!drained(s, t))
            return false;
        if (m->broken == BREAK_START) {
            s->mem[claim] = (uint8_t)(me->b << 2 | STARTED);
            return go(s, t, 6);
        }
        return go(s, t, cas(s, claim, me->b << 2 | QUEUED, me->b << 2 | STARTED) ? 6 : 8);
    case 6: /* user code runs */
        s->mem[RAN + me->b - 1]++;
        return go(s, t, 7);
    case 7: /* mr_calls_stop, before the outcome is published */
        if (!drained(s, t))
            return false;
        if (m->broken == BREAK_STOP || !cas(s, SLOT, me->b << 2 | RUNNING, me->b << 2 | FINISHED)) {
            s->mem[CUT + me->b - 1] = m->broken != BREAK_STOP;
            s->mem[SLOT] = (uint8_t)(me->b << 2 | FINISHED);
        }
        me->c = 0;
        return go(s, t, 0);
    case 8:
        s->mem[SLOT] = (uint8_t)(me->b << 2 | IDLE);
        me->c = 0;
        return go(s, t, 0);
    default:
        return false;
    }
}

/* The signal, delivered between any two steps of the worker; it sees the worker's own stores. */
static bool handler(const model *m, state *s, int t)
{
    (void)t;
    if (!s->mem[SIG] || s->t[SERVER].dead)
        return false;
    s->mem[SIG] = 0;
    uint8_t slot = rd(s, SERVER, SLOT);
    if ((slot & 3) != CANCEL && m->broken != BREAK_SLOT)
        return true;
    s->t[SERVER].c = 1;
    /* It strikes what runs now: nothing but the one that is cancelled. */
    s->bad |= s->t[SERVER].b != m->cancel || s->t[SERVER].pc < 4 || s->t[SERVER].pc > 8;
    return true;
}

static bool claim_step(const model *m, state *s, int t)
{
    return t == NODE ? node(m, s, t) : t == SERVER ? server(m, s, t) : handler(m, s, t);
}

/* Each ran once here, or was taken back once; a worker that died may owe some, but none is both. */
static bool claim_end(const model *m, const state *s)
{
    for (int k = 0; k < m->records; k++) {
        int times = s->mem[RAN + k] + s->mem[BACK + k];
        if (times > 1 || (times == 0 && !s->t[SERVER].dead))
            return false;
        /* What the worker tells agrees with what the node did: a cancel that won is the outcome, and only that. */
        bool won = s->mem[WON] && m->cancel == k + 1 && s->mem[RAN + k];
        if (s->mem[CUT + k] ? !won : won && !s->t[SERVER].dead)
            return false;
    }
    return s->t[NODE].pc == OVER || s->t[SERVER].dead;
}

static size_t claims(model m)
{
    state s = {0};
    m.threads = 3;
    m.step = claim_step;
    m.end = claim_end;
    m.may_die = 1u << SERVER;
    m.records = MOST;
    m.words = m.words ? m.words : CELLS;
    return explore(&m, &s);
}

START_TEST(test_claims_and_the_slot)
{
    for (uint8_t revoke = 0; revoke <= 3; revoke++)
        for (uint8_t cancel = 0; cancel <= 3; cancel++)
            for (int kills = 0; kills < 2; kills++)
                for (uint8_t words = CELLS; words <= CLAIMS; words++) {
                    model m = {.revoke = revoke, .cancel = cancel, .kills = kills, .words = words};
                    ck_assert_uint_gt(claims(m), 100);
                }
}
END_TEST

START_TEST(test_claim_rules_are_needed)
{
    ck_assert_uint_eq(claims((model){.broken = BREAK_ORDER}), 0);
    ck_assert_uint_eq(claims((model){.words = CLAIMS, .broken = BREAK_TAKE}), 0);
    ck_assert_uint_eq(claims((model){.words = CLAIMS, .broken = BREAK_ROOM}), 0);
    ck_assert_uint_eq(claims((model){.broken = BREAK_REUSE}), 0);
    ck_assert_uint_eq(claims((model){.revoke = 3, .broken = BREAK_REVOKE}), 0);
    ck_assert_uint_eq(claims((model){.revoke = 3, .broken = BREAK_START}), 0);
    ck_assert_uint_eq(claims((model){.cancel = 2, .broken = BREAK_SLOT}), 0);
    ck_assert_uint_eq(claims((model){.cancel = 2, .broken = BREAK_STOP}), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("claim model");
    TCase *c = tcase_create("interleavings");
    tcase_add_test(c, test_claims_and_the_slot);
    tcase_add_test(c, test_claim_rules_are_needed);
    suite_add_tcase(s, c);
    return run_suite(s);
}
