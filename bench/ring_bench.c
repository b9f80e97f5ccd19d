/* ring_bench.c: the engine's rings and bells between two processes, and nothing else: what no engine on them can beat.
 *
 * One process sends records of 64 bytes, the other answers each with one.  "tasks" are those pairs: 1,000 at a time,
 * and one by one.  Prints one line of JSON: {case: pairs per second}.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/bell.h"
#include "client/ring.h"

enum { BYTES = 65536, BATCH = 1000, SPIN_NS = 40000, LOOKS = 32, FAILED_MAX = 10 };

/* One direction, in shared memory. */
typedef struct way {
    mr_bell bell;
    mr_ring ring;
    _Alignas(64) char data[BYTES];
} way;

/* One process's view of both directions. */
typedef struct side {
    way *to, *from;
    mr_ring_end out, in;
    uint32_t rung, failed, skip; /* its last ring of the other's bell; spins that came to nothing, waits without one */
} side;

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static side side_of(way *to, way *from)
{
    side s = {.to = to, .from = from};
    mr_ring_end_init(&s.out, &to->ring, to->data, BYTES, true);
    mr_ring_end_init(&s.in, &from->ring, from->data, BYTES, false);
    return s;
}

/* As the engine does: k spins in vain, and the next 2^k waits do without. */
static bool spin(side *s)
{
    if (s->skip > 0) {
        s->skip--;
        return false;
    }
    for (int64_t end = clock_ns() + SPIN_NS; clock_ns() < end;)
        for (int i = 0; i < LOOKS; i++)
            if (mr_ring_ready(&s->in)) {
                s->failed = 0;
                return true;
            }
    s->failed += s->failed < FAILED_MAX;
    s->skip = UINT32_C(1) << s->failed;
    return false;
}

/* Takes one record, waiting for it: false if it was the last. */
static bool receive(side *s)
{
    const mr_record *r;
    for (;;) {
        if (mr_ring_peek(&s->in, &r)) {
            fprintf(stderr, "ring_bench: nonsense in the ring\n");
            exit(1);
        }
        if (r)
            break;
        if (spin(s))
            continue;
        uint32_t armed = mr_bell_arm(&s->from->bell, MR_BELL_FUTEX);
        if (!mr_ring_ready(&s->in))
            (void)mr_bell_sleep(&s->from->bell, armed, -1);
        mr_bell_awake(&s->from->bell);
    }
    bool more = r->token == 0;
    mr_ring_take(&s->in, r);
    return more;
}

/* False when the ring is full. */
static bool send(side *s, bool more)
{
    uint64_t bytes[8] = {0};
    mr_record r = {.size = sizeof(bytes), .kind = MR_EV_TIME, .version = MR_RECORD_VERSION, .token = !more};
    void *room = mr_ring_reserve(&s->out, r.size);
    if (!room)
        return false;
    memcpy(room, bytes, sizeof(bytes));
    memcpy(room, &r, sizeof(r));
    mr_ring_publish(&s->out, r.size);
    mr_bell_ring(&s->to->bell, &s->rung, -1);
    return true;
}

/* Answers until told to stop; never more behind than the other's batch, so there is room. */
static void answer(side *s)
{
    while (receive(s))
        if (!send(s, true))
            exit(1);
}

static void pairs(side *s, int n)
{
    int sent = 0, back = 0;
    while (back < n) {
        while (sent < n && send(s, true))
            sent++;
        (void)receive(s);
        back++;
    }
}

static double rate(side *s, int n)
{
    int64_t start = clock_ns(), spent = 0;
    double done = 0;
    for (; spent < 500000000; done += n) {
        pairs(s, n);
        spent = clock_ns() - start;
    }
    return done * 1e9 / (double)spent;
}

int main(void)
{
    way *ways = mmap(NULL, 2 * sizeof(way), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ways == MAP_FAILED) {
        perror("ring_bench: mmap");
        return 1;
    }
    pid_t child = fork();
    if (child < 0) {
        perror("ring_bench: fork");
        return 1;
    }
    side s = side_of(&ways[child == 0], &ways[child != 0]);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        answer(&s);
        _exit(0);
    }
    pairs(&s, BATCH);
    double many = rate(&s, BATCH), one = rate(&s, 1);
    int status;
    if (!send(&s, false) || waitpid(child, &status, 0) != child || status)
        return 1;
    printf("{\"tasks, asynchronous\": %.0f, \"tasks, synchronous\": %.0f}\n", many, one);
    return 0;
}
