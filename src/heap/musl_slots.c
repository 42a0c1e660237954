// SPDX-License-Identifier: Apache-2.0
/*
 * musl's slots: which block each one holds.
 *
 * The four bytes before a block: whether the distance is elsewhere, the number of its slot with the unused bytes at the
 * slot's end in the upper three bits, its distance from the first slot in units of 16 (16 bits). A distance that does
 * not fit stands in the 32 bits before. Where a block does not begin with its slot, the same bytes of the slot say how
 * far into it.
 */
#include "heap/musl.h"

#include <errno.h>
#include <string.h>

enum {
	UNUSED_ELSEWHERE = 5, /* the number of unused bytes is in the slot's last four */
	HOLDS_GROUP = 6,
	BEGINS_LATER = 7,
	MAX_SLOT_UNITS = 1 << 25, /* a block's distance from its slot: 512 MiB; more than the 16 bits there can say */
};

struct header {
	uint8_t is_far, slot;
	uint16_t distance;
};

static bool get_header(struct sp_musl *mu, uint64_t addr, struct header *ret)
{
	unsigned char raw[SP_MUSL_HEADER];

	if (!sp_heap_get(mu->r, addr - SP_MUSL_HEADER, raw, sizeof(raw)))
		return false;
	ret->is_far = raw[0];
	ret->slot = raw[1];
	memcpy(&ret->distance, raw + 2, sizeof(ret->distance));
	return true;
}

/* Whether the block at addr says that it is in slot i. */
static bool is_block(struct sp_musl *mu, const struct sp_musl_group *g, unsigned i, uint64_t addr, struct header *ret)
{
	uint32_t distance;

	if (!get_header(mu, addr, ret) || (ret->slot & 31) != i)
		return false;
	distance = ret->distance;
	if (ret->is_far &&
	    (distance || !sp_heap_get(mu->r, addr - 8, &distance, sizeof(distance)) || distance <= 0xffff))
		return false;
	return addr == g->mem + SP_MUSL_UNIT + (uint64_t)distance * SP_MUSL_UNIT;
}

/* The block in slot i, which begins at `slot` and whose bytes end at `end`. */
static bool find_block(struct sp_musl *mu, const struct sp_musl_group *g, unsigned i, uint64_t slot, uint64_t end,
		       uint64_t *ret, struct header *ret_header)
{
	struct header first;

	if (!get_header(mu, slot, &first))
		return false;
	if (first.slot >> 5 != BEGINS_LATER) {
		*ret = slot;
		return is_block(mu, g, i, slot, ret_header);
	}
	/* aligned so far that 16 bits cannot say it: then its upper bits are missing */
	for (uint64_t units = first.distance; units < MAX_SLOT_UNITS; units += 1 << 16) {
		*ret = slot + units * SP_MUSL_UNIT;
		if (*ret >= end)
			return false;
		if (is_block(mu, g, i, *ret, ret_header))
			return true;
	}
	return false;
}

/* Where what was asked for ends; false: it cannot be. */
static bool block_end(struct sp_musl *mu, uint64_t block, uint64_t end, const struct header *h, uint64_t *ret)
{
	uint32_t unused = h->slot >> 5;

	if (unused == UNUSED_ELSEWHERE && !sp_heap_get(mu->r, end - 4, &unused, sizeof(unused)))
		return false;
	*ret = end - unused;
	return unused <= end - block;
}

/* What is behind a group's slots is free, unless the slot that it is in ends there as well. */
static int tell_rest(struct sp_musl *mu, const struct sp_musl_group *g, uint64_t addr)
{
	uint64_t size;
	bool is_used;

	if (!sp_musl_is_nested(g))
		return addr < g->mem + g->bytes ? sp_heap_add_free(mu->sink, addr) : 0;
	int rc = sp_heap_told(mu->sink, addr, &is_used, &size) ? 0 : sp_heap_add_free(mu->sink, addr);
	return rc == -EINVAL ? 0 : rc;
}

static int tell_used(struct sp_musl *mu, const struct sp_musl_group *g, unsigned i, uint64_t slot)
{
	uint64_t end = slot + g->stride - SP_MUSL_HEADER, block, used_end;
	struct header h;

	if (!find_block(mu, g, i, slot, end, &block, &h))
		return sp_musl_doubt(mu, "slot %u of 0x%llx is in use and holds no block", i,
				     (unsigned long long)g->mem);
	if (h.slot >> 5 == HOLDS_GROUP) {
		int rc = sp_heap_add_free(mu->sink, slot);
		return rc < 0 ? rc : 1;
	}
	if (h.slot >> 5 == BEGINS_LATER || !block_end(mu, block, end, &h, &used_end))
		return sp_musl_doubt(mu, "the size of the block at 0x%llx cannot be", (unsigned long long)block);
	int rc = block != slot ? sp_heap_add_free(mu->sink, slot) : 0;
	if (rc == 0)
		rc = sp_heap_add_used(mu->sink, block);
	uint64_t behind = (used_end + SP_MUSL_HEADER + SP_MUSL_UNIT - 1) & ~(uint64_t)(SP_MUSL_UNIT - 1);
	if (rc == 0 && behind > block && behind < slot + g->stride)
		rc = sp_heap_add_free(mu->sink, behind);
	return rc < 0 ? rc : 1;
}

static int tell_group(struct sp_musl *mu, const struct sp_musl_group *g)
{
	uint64_t slot = g->mem + SP_MUSL_UNIT;
	int rc = sp_heap_add_free(mu->sink, g->mem);

	for (unsigned i = 0; i <= g->last && rc >= 0; i++, slot += g->stride) {
		if ((g->avail | g->freed) >> i & 1) {
			rc = sp_heap_add_free(mu->sink, slot);
			continue;
		}
		rc = tell_used(mu, g, i, slot);
		if (rc == 0)
			return 0;
	}
	if (rc >= 0)
		rc = tell_rest(mu, g, slot);
	return rc < 0 ? rc : 1;
}

static int tell_region(struct sp_musl *mu, const struct sp_musl_group *g)
{
	struct sp_heap_region r = {
	    .start = g->mem, .end = g->mem + g->bytes, .granule = SP_MUSL_UNIT, .tail = SP_MUSL_HEADER};

	return sp_heap_add_region(mu->sink, &r);
}

int sp_musl_tell(struct sp_musl *mu)
{
	int rc = 1;

	for (size_t i = 0; i < mu->groups.nr && rc >= 0; i++) {
		const struct sp_musl_group *g = sp_vec_at(&mu->groups, struct sp_musl_group, i);

		if (!sp_musl_is_nested(g))
			rc = tell_region(mu, g);
	}
	for (size_t i = 0; i < mu->groups.nr && rc >= 0; i++) {
		rc = tell_group(mu, sp_vec_at(&mu->groups, struct sp_musl_group, i));
		if (rc == 0)
			return 0;
	}
	return rc < 0 ? rc : 1;
}
