/* prices.c: a lower bound for unlike nodes: no schedule ends before the best one that may split every task over all
 * kinds of nodes.  That one is a linear program, and what is computed here is its dual: put a price on a CPU-second of
 * each kind, so that all CPUs together cost 1 a second; let every task run where it is cheapest; what all of it costs
 * is a lower bound, whatever the prices were.  So the search for good prices may stop anywhere, and a fault in it can
 * only make the bound weaker.  Uses + - * / only.  No state. */
#include <stdlib.h>
#include <string.h>

#include "engine/sim/bounds.h"

enum { KINDS_MAX = 64, ROUNDS_MAX = 200000, WORK_MAX = 200000000, PATIENCE = 100 };

/* Tasks that take as long as each other on every kind are one good. */
typedef struct market {
    mr_intern *goods; /* its durations -> its number */
    double *amount;   /* CPUs, by good */
    uint32_t cap, kinds;
    double cpus[KINDS_MAX], share[KINDS_MAX]; /* share: price times cpus; they sum to 1 */
} market;

/* Durations on each kind; -1: it fits on no node of it. */
static void durations(const mr_workload *w, uint32_t task, const mr_bound_kinds *k, double *ns)
{
    for (uint32_t i = 0; i < k->n; i++)
        ns[i] = mr_bound_fits(w, task, k, i) ? (double)mr_workload_duration(w, task, k->v[k->first[i]]) : -1;
}

static mr_status add(market *m, double cpus, const double *ns)
{
    uint32_t number;
    if (mr_intern_put(m->goods, (const char *)ns, m->kinds * sizeof *ns, &number))
        return MR_E_NOMEM;
    if (number >= m->cap) {
        uint32_t cap = number * 2 + 16;
        double *amount = realloc(m->amount, cap * sizeof *amount);
        if (!amount)
            return MR_E_NOMEM;
        memset(amount + m->cap, 0, (cap - m->cap) * sizeof *amount);
        m->amount = amount;
        m->cap = cap;
    }
    m->amount[number] += cpus;
    return MR_OK;
}

/* What all goods cost at these prices; `load`: how long each kind would be busy with what is bought from it. */
static double cost(const market *m, double *load)
{
    double sum = 0, ns[KINDS_MAX];
    memset(load, 0, m->kinds * sizeof *load);
    for (uint32_t g = 1; g < mr_intern_count(m->goods); g++) {
        double least = -1;
        uint32_t at = 0;
        memcpy(ns, mr_intern_text(m->goods, g), m->kinds * sizeof *ns);
        for (uint32_t i = 0; i < m->kinds; i++) {
            if (ns[i] < 0 || m->cpus[i] <= 0)
                continue;
            double price = ns[i] * m->share[i] / m->cpus[i];
            if (least < 0 || price < least) {
                least = price;
                at = i;
            }
        }
        if (least < 0)
            continue;
        sum += m->amount[g] * least;
        load[at] += m->amount[g] * ns[at] / m->cpus[at];
    }
    return sum;
}

/* Prices rise where more is bought than elsewhere; by smaller steps when that stops to help. */
static double search(market *m)
{
    double best = 0, step = 0.5, load[KINDS_MAX], good[KINDS_MAX];
    uint32_t since = 0, goods = mr_intern_count(m->goods);
    uint32_t rounds = WORK_MAX / (goods * m->kinds + 1);
    rounds = rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    memcpy(good, m->share, sizeof good);
    for (uint32_t round = 0; round <= rounds && step > 1e-7; round++) {
        double now = cost(m, load), most = 0, sum = 0;
        if (now > best) {
            since = now > best * (1 + step * 1e-3) ? 0 : since + 1;
            best = now;
            memcpy(good, m->share, sizeof good);
        } else {
            since++;
        }
        if (since > PATIENCE) {
            step /= 2;
            since = 0;
            memcpy(m->share, good, sizeof good);
            now = cost(m, load);
        }
        for (uint32_t i = 0; i < m->kinds; i++)
            most = load[i] > most ? load[i] : most;
        if (most <= 0)
            break;
        for (uint32_t i = 0; i < m->kinds; i++) {
            m->share[i] *= 1 + step * (load[i] / most - now / most);
            m->share[i] = m->share[i] < 1e-12 && m->cpus[i] > 0 ? 1e-12 : m->share[i];
            sum += m->share[i];
        }
        for (uint32_t i = 0; i < m->kinds; i++)
            m->share[i] /= sum;
    }
    return best;
}

double mr_bound_prices(const mr_workload *w, const mr_bound_kinds *k)
{
    market m = {.kinds = k->n};
    double ns[KINDS_MAX], total = 0, best = 0;
    if (k->n < 2 || k->n > KINDS_MAX || mr_intern_new(&m.goods))
        return 0;
    mr_status status = MR_OK;
    for (uint32_t i = 0; i < k->n; i++) {
        for (uint32_t n = k->first[i]; n < k->first[i + 1]; n++)
            m.cpus[i] += (double)mr_platform_amount(k->v[n], "CPU") / MR_RES_UNIT;
        total += m.cpus[i];
    }
    for (uint32_t i = 0; i < k->n && total > 0; i++)
        m.share[i] = m.cpus[i] / total;
    for (uint32_t t = 0; !status && t < w->n_tasks; t++) {
        double cpus = (double)mr_bound_need(w, t, "CPU") / MR_RES_UNIT;
        durations(w, t, k, ns);
        if (cpus > 0)
            status = add(&m, cpus, ns);
    }
    if (!status && total > 0)
        best = search(&m);
    mr_intern_free(m.goods);
    free(m.amount);
    return best;
}
