// SPDX-License-Identifier: Apache-2.0
/*
 * Blocks by address, for all that the shadow cannot say: sampled blocks, big ones, several in one granule; or all of
 * them where there is no shadow.
 *
 * A key is in one of two groups of eight slots, each group a cache line. So there are no chains and no tombstones, a
 * search that finds nothing reads two lines, and it works up to some 90 % full. Nobody waits: a slot is claimed by
 * compare-and-swap, then its value is written, then the key loses its BUSY bit. A block belongs to the thread that
 * allocates or frees it, so no two threads ever ask for the same key at the same time. A thread that is torn away in
 * between leaves a slot that the next owner of that address takes over.
 */
#ifndef SEEP_AGENT_HASH_H
#define SEEP_AGENT_HASH_H

#include "blob.h"

#define NO_SLOT UINT32_MAX

INLINE uint64_t *hash_keys(void)
{
	return area(SP_AGENT_KEYS);
}

INLINE struct sp_agent_value *hash_values(void)
{
	return area(SP_AGENT_VALUES);
}

INLINE uint32_t group_find(uint32_t group, uint64_t addr)
{
	const uint64_t *keys = hash_keys() + (uint64_t)group * SP_AGENT_GROUP;

	for (uint32_t i = 0; i < SP_AGENT_GROUP; i++)
		if ((LOAD(&keys[i]) & ~SP_AGENT_KEY_FLAGS) == addr)
			return group * SP_AGENT_GROUP + i;
	return NO_SLOT;
}

INLINE uint32_t hash_find(uint64_t addr)
{
	uint32_t slot = group_find(sp_agent_group(addr, false, sp_agent_config.hash_mask), addr);

	return slot != NO_SLOT ? slot : group_find(sp_agent_group(addr, true, sp_agent_config.hash_mask), addr);
}

INLINE uint32_t group_nr_free(uint32_t group)
{
	const uint64_t *keys = hash_keys() + (uint64_t)group * SP_AGENT_GROUP;
	uint32_t nr = 0;

	for (uint32_t i = 0; i < SP_AGENT_GROUP; i++)
		nr += !LOAD(&keys[i]);
	return nr;
}

INLINE uint32_t group_claim(uint32_t group, uint64_t addr)
{
	uint64_t *keys = hash_keys() + (uint64_t)group * SP_AGENT_GROUP;

	for (uint32_t i = 0; i < SP_AGENT_GROUP; i++) {
		uint64_t none = 0;
		if (!LOAD(&keys[i]) && CAS(&keys[i], &none, addr | SP_AGENT_KEY_BUSY))
			return group * SP_AGENT_GROUP + i;
	}
	return NO_SLOT;
}

INLINE uint32_t hash_claim(uint64_t addr)
{
	uint32_t a = sp_agent_group(addr, false, sp_agent_config.hash_mask);
	uint32_t b = sp_agent_group(addr, true, sp_agent_config.hash_mask);
	bool b_first = group_nr_free(b) > group_nr_free(a);
	uint32_t slot = group_claim(b_first ? b : a, addr);

	return slot != NO_SLOT ? slot : group_claim(b_first ? a : b, addr);
}

enum put { PUT_NEW, PUT_REPLACED, PUT_FULL };

/* An address that is there already (its free was not seen) gets the new value; *ret_flags: the flags it had. */
static enum put hash_put(uint64_t addr, const struct sp_agent_value *v, uint64_t flags, uint64_t *ret_flags)
{
	uint32_t slot = hash_find(addr);
	enum put how = slot == NO_SLOT ? PUT_NEW : PUT_REPLACED;

	if (how == PUT_NEW)
		slot = hash_claim(addr);
	if (slot == NO_SLOT)
		return PUT_FULL;
	uint64_t *key = &hash_keys()[slot];
	struct sp_agent_value *to = &hash_values()[slot];
	*ret_flags = LOAD(key) & SP_AGENT_KEY_FILTERED;
	STORE(key, addr | SP_AGENT_KEY_BUSY | *ret_flags);
	to->size = v->size;
	to->node = v->node;
	to->tick = v->tick;
	to->mean = v->mean;
	STORE(key, addr | flags);
	return how;
}

/* Takes a block out. False: it is not there. */
static bool hash_take(uint64_t addr, struct sp_agent_value *ret, uint64_t *ret_flags)
{
	uint32_t slot = hash_find(addr);

	if (slot == NO_SLOT)
		return false;
	*ret = hash_values()[slot];
	*ret_flags = LOAD(&hash_keys()[slot]) & SP_AGENT_KEY_FLAGS;
	STORE(&hash_keys()[slot], 0);
	return true;
}

/* ---- the filter: has a block whose address hashes to this been put in? ---- */

/* A counter that has reached 255 stays there: then it says yes for ever, which is only slower. */
static void filter_change(uint64_t addr, int by)
{
	uint8_t *f = (uint8_t *)area(SP_AGENT_FILTER) + sp_agent_filter_index(addr);
	uint8_t n = LOAD(f);

	while (n != UINT8_MAX && (by > 0 || n) && !CAS(f, &n, (uint8_t)(n + by)))
		;
	ADD(&header()->nr_filtered, (uint32_t)by);
}

INLINE bool filter_has(uint64_t addr)
{
	const uint8_t *f = area(SP_AGENT_FILTER);

	return LOAD(&header()->nr_filtered) && LOAD(&f[sp_agent_filter_index(addr)]);
}

#endif
