/* sim_fair.c: copies that share bandwidth, for links = "fair".  Each node has a port out and a port in, both of its
 * bandwidth; all copies under way share the ports fairly (max-min: no copy can go faster without slowing one that is no
 * faster than it).  Rates change only when a copy begins or ends, so between two such moments all goes straight, and
 * the result is exact but for the rounding to a ns.  Knows bytes and ports, not what is copied.  No lock: one
 * simulation, one thread. */
#include <stdlib.h>
#include <string.h>

#include "engine/sim/sim_state.h"

typedef struct port {
    double left;   /* bytes per second that nobody has yet */
    uint32_t open; /* copies that have no rate yet */
} port;

struct mr_sim_fair {
    uint32_t *going; /* flights, in the order in which they began */
    uint32_t n, cap;
    port *ports;    /* out of each node, then into each */
    uint32_t *busy; /* ports that some copy goes through */
    int64_t since;  /* up to here all that went has been taken off */
    uint32_t gen;   /* of the moment that is awaited */
    bool asked;
};

mr_status mr_sim_fair_init(mr_sim *s)
{
    if (s->p->links != MR_LINKS_FAIR)
        return MR_OK;
    mr_sim_fair *f = s->fair = calloc(1, sizeof *f);
    if (!f)
        return MR_E_NOMEM;
    f->ports = calloc(2 * (size_t)s->p->n_nodes + 1, sizeof *f->ports);
    f->busy = calloc(2 * (size_t)s->p->n_nodes + 1, sizeof *f->busy);
    return f->ports && f->busy ? MR_OK : MR_E_NOMEM;
}

void mr_sim_fair_fini(mr_sim *s)
{
    if (!s->fair)
        return;
    free(s->fair->going);
    free(s->fair->ports);
    free(s->fair->busy);
    free(s->fair);
}

/* Rates are computed once for all that begins and ends in one instant. */
static mr_status ask(mr_sim *s)
{
    if (s->fair->asked)
        return MR_OK;
    s->fair->asked = true;
    return mr_clock_push(&s->clock, (mr_moment){.at = s->now, .kind = MR_AT_RATES, .gen = ++s->fair->gen});
}

mr_status mr_sim_fair_begin(mr_sim *s, uint32_t flight)
{
    mr_sim_fair *f = s->fair;
    if (s->flights[flight].dead)
        return mr_clock_push(&s->clock, (mr_moment){.at = s->now, .kind = MR_AT_ARRIVED, .a = flight});
    if (!mr_workload_grow(&f->going, f->n, &f->cap, sizeof *f->going))
        return MR_E_NOMEM;
    f->going[f->n++] = flight;
    s->flights[flight].left = (double)s->flights[flight].bytes;
    s->flights[flight].rate = 0;
    return ask(s);
}

mr_status mr_sim_fair_died(mr_sim *s)
{
    return s->fair && s->fair->n ? ask(s) : MR_OK;
}

static uint32_t out_of(const mr_sim_flight *x)
{
    return x->from;
}

static uint32_t into(const mr_sim *s, const mr_sim_flight *x)
{
    return s->p->n_nodes + x->node;
}

static void give(mr_sim *s, mr_sim_flight *x, double rate)
{
    port *a = &s->fair->ports[out_of(x)], *b = &s->fair->ports[into(s, x)];
    x->rate = rate;
    a->left -= rate;
    b->left -= rate;
    a->open--;
    b->open--;
}

/* Fills all ports evenly until one is full: its copies have their rate; then on with the others. */
static void share(mr_sim *s)
{
    mr_sim_fair *f = s->fair;
    uint32_t n_busy = 0, open = f->n;
    for (uint32_t i = 0; i < f->n; i++) {
        mr_sim_flight *x = &s->flights[f->going[i]];
        uint32_t ends[2] = {out_of(x), into(s, x)};
        x->rate = -1;
        for (int e = 0; e < 2; e++) {
            port *p = &f->ports[ends[e]];
            if (p->open++ == 0) {
                p->left = (double)mr_sim_rate_of(s, e ? x->node : x->from);
                f->busy[n_busy++] = ends[e];
            }
        }
    }
    while (open) {
        double least = 0;
        uint32_t full = MR_WL_NONE;
        for (uint32_t i = 0; i < n_busy; i++) {
            const port *p = &f->ports[f->busy[i]];
            double each = p->open ? p->left / p->open : 0;
            if (p->open && (full == MR_WL_NONE || each < least)) {
                least = each;
                full = f->busy[i];
            }
        }
        least = least > 1e-3 ? least : 1e-3; /* what rounding left of a full port */
        for (uint32_t i = 0; i < f->n; i++) {
            mr_sim_flight *x = &s->flights[f->going[i]];
            if (x->rate < 0 && (out_of(x) == full || into(s, x) == full)) {
                give(s, x, least);
                open--;
            }
        }
    }
}

mr_status mr_sim_fair_rates(mr_sim *s, const mr_moment *m)
{
    mr_sim_fair *f = s->fair;
    if (m->gen != f->gen)
        return MR_OK;
    f->asked = false;
    double went = (double)(s->now - f->since) / 1e9;
    f->since = s->now;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        uint32_t flight = f->going[i];
        mr_sim_flight *x = &s->flights[flight];
        x->left -= x->rate * went;
        bool done = x->dead || x->left <= x->rate * 1e-9 || x->left <= 0; /* less than a ns is left */
        if (!done) {
            f->going[kept++] = flight;
        } else if (mr_clock_push(
                       &s->clock,
                       (mr_moment){.at = s->now + (x->dead ? 0 : s->p->latency), .kind = MR_AT_ARRIVED, .a = flight})) {
            return MR_E_NOMEM;
        }
    }
    f->n = kept;
    if (!kept)
        return MR_OK;
    share(s);
    double soonest = 0;
    for (uint32_t i = 0; i < kept; i++) {
        const mr_sim_flight *x = &s->flights[f->going[i]];
        double takes = x->left / x->rate * 1e9;
        soonest = i == 0 || takes < soonest ? takes : soonest;
    }
    int64_t ns = (int64_t)soonest;
    ns += (double)ns < soonest;
    return mr_clock_push(&s->clock, (mr_moment){.at = s->now + ns, .kind = MR_AT_RATES, .gen = ++f->gen});
}
