// SPDX-License-Identifier: Apache-2.0
/* Passes over all extents of one code, 16 nibbles at a time: most passes look for few. */
#include "heap/mark.h"

/* Of each nibble of a word the highest bit: is its code this one? */
static uint64_t nibbles_with(uint64_t word, uint64_t code)
{
	static const uint64_t ONES = 0x1111111111111111u, SEVENS = 0x7777777777777777u;

	return ~(((word ^ code * ONES) & SEVENS) + SEVENS) & SP_GREY_WORD;
}

void sp_mark_each_in(struct sp_marker *mk, struct sp_region *r, enum sp_code code, sp_extent_fn fn)
{
	uint64_t nr = (((r->end - r->base) >> r->shift) + 15) / 16;
	struct sp_extent e;

	if (!r->shift) {
		if ((r->code & SP_CODE_MASK) == code && sp_region_extent(r, r->start, &e))
			fn(mk, &e);
		return;
	}
	for (uint64_t i = 0; i < nr; i++) {
		for (uint64_t left = nibbles_with(r->nibbles[i], code); left; left &= left - 1) {
			uint64_t addr = r->base + ((i * 16 + (uint64_t)__builtin_ctzll(left) / 4) << r->shift);
			/* fn may have changed it: what an earlier ring led to */
			if ((sp_region_code(r, addr) & SP_CODE_MASK) == code && sp_region_extent(r, addr, &e))
				fn(mk, &e);
		}
	}
}

void sp_mark_each(struct sp_marker *mk, enum sp_code code, sp_extent_fn fn)
{
	for (size_t i = 0; i < mk->h->index.regions.nr; i++)
		sp_mark_each_in(mk, sp_index_at(&mk->h->index, i), code, fn);
}
