// SPDX-License-Identifier: Apache-2.0
/*
 * The unwind row that holds at a pc: ranges, rows, and a cache in front of both that all threads share.
 *
 * An entry of the cache is ONE word, so that nobody ever sees half of one:
 *
 *      63         31 30  27 26  24 23           8 7       0
 *     +-------------+------+------+--------------+---------+
 *     |     tag     | gen  | kind |   cfa_off    | rbp_off |
 *     +-------------+------+------+--------------+---------+
 *
 * pc * ODD modulo 2^47 is a bijection on user addresses: its upper 14 bits are the index, the lower 33 the tag, so a
 * hit can never be another pc's row. gen is never 0, so an empty entry is no row. Our side publishes tables while we
 * search: ranges are in two halves, the lowest bit of header.gen says which is in use, and a search is good only if gen
 * is the same after it.
 */
#ifndef SEEP_AGENT_ROWS_H
#define SEEP_AGENT_ROWS_H

#include "blob.h"

#define PC_ODD      0x9e3779b97f4bull
#define PC_TAG_BITS 33

#define ROW_KIND(row) ((uint32_t)((row) >> 24 & 7))
#define ROW_CFA(row)  ((int64_t)(int16_t)((row) >> 8))
#define ROW_RBP(row)  ((int64_t)(int8_t)(row))

INLINE uint32_t row_gen_number(uint32_t gen)
{
	return gen % SP_AGENT_ROW_CACHE_GENS + 1;
}

INLINE uint64_t row_pack(uint32_t gen, const struct sp_row *r)
{
	return (uint64_t)row_gen_number(gen) << 27 | (uint64_t)(r->kind & 7) << 24 |
	       (uint64_t)(uint16_t)r->cfa_off << 8 | (uint8_t)r->rbp_off;
}

static const struct sp_row_range *range_find(const struct sp_row_range *ranges, uint32_t nr, uint64_t pc)
{
	uint32_t lo = 0, hi = nr;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (ranges[mid].end > pc)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < nr && pc >= ranges[lo].start ? &ranges[lo] : NULL;
}

/* 0: in no range. */
static uint64_t row_search_once(uint32_t gen, uint64_t pc)
{
	static const struct sp_row no_rows = {.kind = SP_ROW_NONE};
	const struct sp_row_range *ranges = area(SP_AGENT_RANGES);
	const struct sp_row *rows = area(SP_AGENT_ROWS);
	uint32_t nr = LOAD(&header()->nr_ranges[gen & 1]);

	if (nr > SP_AGENT_MAX_RANGES)
		return 0;
	const struct sp_row_range *r = range_find(ranges + (gen & 1) * SP_AGENT_MAX_RANGES, nr, pc);
	if (!r)
		return 0;
	uint64_t lo = r->row0, hi = lo + r->nr_rows;
	if (lo == hi || hi > sp_agent_config.max_rows || pc < r->base || pc - r->base > UINT32_MAX)
		return row_pack(gen, &no_rows);
	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (rows[mid].pc <= pc - r->base)
			lo = mid;
		else
			hi = mid;
	}
	return row_pack(gen, rows[lo].pc <= pc - r->base ? &rows[lo] : &no_rows);
}

static COLD uint64_t row_search(uint64_t pc)
{
	for (int i = 0; i < 3; i++) {
		uint32_t gen = LOAD(&header()->gen);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		uint64_t row = row_search_once(gen, pc);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (gen == LOAD(&header()->gen))
			return row;
	}
	return 0;
}

/* The row that holds at pc, packed; 0: pc is in no known mapping. `number` is that of the generation in use. */
INLINE uint64_t row_find(uint32_t number, uint64_t pc)
{
	uint64_t h = pc * PC_ODD & SP_AGENT_PC_MASK;
	uint64_t *entry = (uint64_t *)area(SP_AGENT_ROW_CACHE) + (h >> PC_TAG_BITS);
	uint64_t tag = h << (64 - PC_TAG_BITS), word = LOAD(entry);

	if (LIKELY(!((word ^ tag) >> 31) && (word >> 27 & 15) == number))
		return word & 0x7fffffff;
	if (pc >> SP_AGENT_ADDRESS_BITS)
		return 0;
	uint64_t row = row_search(pc);
	if (row)
		STORE(entry, tag | row);
	return row;
}

#endif
