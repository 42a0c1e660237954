// SPDX-License-Identifier: Apache-2.0
/*
 * Sums of blocks of which some stand for others (sampling by bytes), with their standard errors.
 *
 * A block of size s was chosen with p = 1 - exp(-(s + 1)/mean); it counts 1/p times. The variance of such a sum is
 * estimated from the chosen blocks: each adds x^2 (1-p)/p^2, x being its size, or 1 where blocks are counted (Horvitz
 * and Thompson; independent choices).
 */
#include <math.h>

#include "ledger/impl.h"

void sp_estimate_add(struct sp_estimate *e, uint64_t mean, unsigned sampled, uint64_t size, uint64_t nr)
{
	if (!sampled || !mean) {
		e->bytes = sp_sat_add(e->bytes, sp_sat_mul(size, nr));
		e->blocks = sp_sat_add(e->blocks, nr);
		return;
	}
	double s = (double)size, n = (double)nr;
	double p = -expm1(-(s + 1) / ldexp((double)mean, (int)sampled - 1)); /* + 1: empty blocks are chosen, too */
	double var = n * (1 - p) / (p * p);
	e->more_bytes += n * s / p;
	e->more_blocks += n / p;
	e->bytes_var += var * s * s;
	e->blocks_var += var;
}

static uint64_t rounded(double d)
{
	return d < 0x1p64 ? (uint64_t)(d + 0.5) : UINT64_MAX;
}

uint64_t sp_estimate_bytes(const struct sp_estimate *e)
{
	return sp_sat_add(e->bytes, rounded(e->more_bytes));
}

uint64_t sp_weighted_bytes(uint64_t mean, const struct sp_block *b)
{
	struct sp_estimate e = {0};

	if (!b->sampled)
		return b->size;
	sp_estimate_add(&e, mean, b->sampled, b->size, 1);
	return sp_estimate_bytes(&e);
}

uint64_t sp_estimate_blocks(const struct sp_estimate *e)
{
	return sp_sat_add(e->blocks, rounded(e->more_blocks));
}

uint64_t sp_estimate_bytes_error(const struct sp_estimate *e)
{
	return rounded(sqrt(e->bytes_var));
}

uint64_t sp_estimate_blocks_error(const struct sp_estimate *e)
{
	return rounded(sqrt(e->blocks_var));
}
