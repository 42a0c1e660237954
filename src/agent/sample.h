// SPDX-License-Identifier: Apache-2.0
/*
 * Which calls are sampled: those at which a thread's countdown passes zero.
 *
 * By chance: intervals between samples are drawn from the exponential distribution with the given mean, in bytes, so
 * samples are the points of a Poisson process and a call of n bytes is chosen with probability 1 - exp(-n / mean),
 * whatever came before it. entry.S counts down; only what is chosen comes here.
 *
 * One call in so many: intervals are of 1 to 2 * mean - 1 calls, all equally likely. All of the same length would
 * choose the same call again and again where a program repeats itself.
 */
#ifndef SEEP_AGENT_SAMPLE_H
#define SEEP_AGENT_SAMPLE_H

#include "blob.h"

/* xorshift64 (Marsaglia 2003). */
static uint64_t next_random(struct sp_agent_thread *t)
{
	uint64_t x = t->random | !t->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	t->random = x;
	return x;
}

#define LN2_32 2977044472ull /* ln 2, in units of 2^-32 */

/*
 * -ln(r / 2^64) in units of 2^-32: the logarithm to base 2 bit by bit, each from a squaring (Knuth 1.2.2 ex. 25). No
 * table and no floating point; some 50 ns for each call that is chosen.
 */
static uint64_t minus_ln(uint64_t r)
{
	uint32_t whole = 63 - (uint32_t)__builtin_clzll(r);
	uint64_t m = r << (63 - whole) >> 32; /* 2^31 <= m < 2^32: the mantissa, in units of 2^-31 */
	uint64_t log2 = (uint64_t)whole << 32;

	for (uint64_t bit = 1u << 31; bit; bit >>= 1) {
		m = m * m >> 31;
		if (m >> 32) {
			m >>= 1;
			log2 |= bit;
		}
	}
	return (uint64_t)((unsigned __int128)((64ull << 32) - log2) * LN2_32 >> 32);
}

static int64_t draw_interval(struct sp_agent_thread *t)
{
	uint64_t mean = LOAD(&header()->mean);

	if (mean > SP_AGENT_MAX_MEAN)
		mean = SP_AGENT_MAX_MEAN;
	if (LOAD(&header()->is_regular))
		return 1 + (int64_t)(next_random(t) % (2 * (mean | !mean) - 1));
	return (int64_t)((unsigned __int128)minus_ln(next_random(t)) * mean >> 32);
}

/* Is a call of this size one to be sampled? entry.S asks only when its own countdown has not already said no. */
static bool is_chosen(struct sp_agent_thread *t, uint64_t size)
{
	uint64_t amount = (size & sp_agent_config.size_mask) + sp_agent_config.size_add;

	if (!t->is_counting) { /* a thread's first */
		t->is_counting = 1;
		t->countdown = draw_interval(t);
	}
	if (amount > INT64_MAX / 2)
		amount = INT64_MAX / 2; /* it will fail */
	t->countdown -= (int64_t)amount;
	if (t->countdown > 0)
		return false;
	t->countdown = draw_interval(t);
	return true;
}

#endif
