/* helper_probe.h: a policy that trusts nothing: it checks control from inside, at every question and notice. */
#ifndef HELPER_PROBE_H
#define HELPER_PROBE_H

#include <check.h>

#include "base/rand.h"
#include "helper_control.h"

enum promise {
    P_ONE_AT_A_TIME = 1, /* ops never nest, and may call every host function with any handle */
    P_INSTANT = 2,       /* `now` stands still; the order of an instant's events is no matter */
    P_ORDER = 3,         /* submitted, plan, the rest, place and rank by seq, pick */
    P_NOTICES = 4,       /* of each task: S (X | (R (X | B (P R B)* (P R X | E))?)*) */
    P_ONCE = 5,          /* rank once per R and per rerank, plan once, place at most once per R */
    P_SWEEP = 6,         /* pick: idle slots by id, again until all declined */
    P_CAN = 7,           /* can() is true exactly if the answer is taken */
    P_RECOUNT = 8,       /* the lists and loads are what a recount gives */
    P_RUNNING = 9,       /* running(t): those whose stop alone lets t start; nobody just started, nobody twice */
    P_SLICE = 10,        /* the end of a slice stops, tells and re-enters; nobody is stopped who was not asked about */
    P_WAKE = 11,         /* one timer, the earliest wish, then a sweep */
    P_SEND = 12,         /* a named place sends the inputs at once */
    P_POOLS = 13,        /* free + what runs = total */
    P_CAPS = 14,         /* what is capped stays ready, and cannot be taken */
    P_HANDLES = 15,      /* never used again; of what is over: NULL */
    P_SAME = 17,         /* the same history gives the same questions */
    P_EJECT = 18,        /* after a failure: close, once, and nothing more */
    P_SWAP = 19,         /* close, open, then the present as one batch */
    P_COUNT = 20
};
/* 16 is of the engine that knows the truth: see docs/guarantees.md. */

enum { BASE = 1000, MOST = 400, NODES = 3 };

typedef struct seen {
    char last; /* the last notice; 0: none */
    int ranks, places, plans;
    bool over, again, goes_on, stopping, asked,
        cancelled;                /* goes_on: was stopped; asked: preempt named it; stopping: STOP */
    bool blocked;                 /* it waited in this start: its slice is longer by that */
    int items;                    /* that it yielded */
    int64_t slice_at, stopped_at; /* slice_at 0: none */
    mr_ref at;                    /* where it was planned or placed */
} seen;

typedef struct probe_state {
    world w;
    const mr_sched_host *h;
    mr_rand own; /* the policy's; the history has its own */
    uint64_t checked[P_COUNT], seed_now, digest;
    seen tasks[MOST];
    int depth, phase, opens, closes, picks, n_due;
    bool accepted, stopped, removed, woken, failed;
    bool mixed;   /* there are groups, streams, tasks that wait, tasks of half a CPU */
    bool actor;   /* one was given a slot in this instant: its process counts no more, and all is asked again */
    int reranked; /* for so many instants ranks may be asked for again */
    int64_t step_now, wish, min_slice;
    double last_rank;
    uint64_t last_seq, last_slot;
    struct {
        mr_ref t;
        bool can, was_ready;
    } answer;
    bool sent[MOST][NODES];
    struct {
        mr_ref t;
        uint32_t node;
    } due[MOST];
    struct {
        mr_ref t, slot, of;
        bool must; /* the slot is free, and nobody else is to have it */
    } heir[MOST];
    int n_heirs;
} probe_state;
extern probe_state probe;
extern const mr_sched_ops probe_ops;

#define OUGHT(promise, cond)                                                                                           \
    do {                                                                                                               \
        probe.checked[promise]++;                                                                                      \
        if (!(cond))                                                                                                   \
            ck_abort_msg("MRTEST_SEED=%llu breaks promise %d: %s (line %d)", (unsigned long long)probe.seed_now,       \
                         promise, #cond, __LINE__);                                                                    \
    } while (0)

seen *probe_of(mr_ref ref);
/* Around each step that closes an instant, `later` ns after the last. */
void probe_begin_step(int64_t later);
void probe_end_step(void);
/* What the engine was asked since the last time: who is to stop. */
void probe_see_stops(void);

#endif
