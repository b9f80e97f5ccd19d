/* rand.h: seeded 64-bit random numbers (xoshiro256**, seeded through splitmix64).
 *
 * The same seed gives the same numbers on every machine; nothing here is fit for secrets.  A stream is plain data owned
 * by its user; separate purposes (workload, faults, policy) take separate streams, so that one more draw in one of
 * them changes nothing in the others.
 */
#ifndef MR_BASE_RAND_H
#define MR_BASE_RAND_H

#include <stdint.h>

typedef struct mr_rand {
    uint64_t s[4];
} mr_rand;

/* One step of splitmix64: turns a counter into well-mixed bits.  Also good for deriving one seed from another. */
static inline uint64_t mr_rand_mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* `stream` tells the purposes of one run's seed apart. */
static inline void mr_rand_seed(mr_rand *r, uint64_t seed, uint64_t stream)
{
    uint64_t state = seed;
    state = mr_rand_mix(&state) ^ stream;
    for (int i = 0; i < 4; i++)
        r->s[i] = mr_rand_mix(&state);
}

static inline uint64_t mr_rand_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t mr_rand_next(mr_rand *r)
{
    uint64_t *s = r->s, result = mr_rand_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = mr_rand_rotl(s[3], 45);
    return result;
}

/* Uniform in 0 .. n-1, without bias; 0 for n = 0. */
static inline uint64_t mr_rand_below(mr_rand *r, uint64_t n)
{
    if (n < 2)
        return 0;
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
    do
        x = mr_rand_next(r);
    while (x >= limit);
    return x % n;
}

/* Uniform in [0, 1), all 53 bits used. */
static inline double mr_rand_unit(mr_rand *r)
{
    return (double)(mr_rand_next(r) >> 11) * (1.0 / 9007199254740992.0);
}

#endif
