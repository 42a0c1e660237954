// SPDX-License-Identifier: Apache-2.0
/*
 * Live blocks: which of shadow and hash says what.
 *
 * A granule of the shadow (wire/agent.h) holds one of:
 *   nothing;
 *   one small block, all in the word;
 *   the number of its blocks that are in the hash: because one is big, or because there are several.
 * With glibc at most one block begins in a granule, and it belongs to the thread that allocates or frees it: plain
 * loads and stores do. Where two may (SP_AGENT_TINY), two threads may be at it: compare-and-swap.
 *
 * Sampled blocks, and those for whose part of the heap there is no more shadow, are in the hash alone and counted in
 * the filter, so that a free of any other block costs no look into the hash.
 *
 * One word of shadow for 32 bytes of heap: 25 % of the heap's pages. Under replacement of a million blocks at random it
 * costs one cache miss, as a hash does, but no atomics.
 */
#ifndef SEEP_AGENT_STORE_H
#define SEEP_AGENT_STORE_H

#include "hash.h"

INLINE uint64_t *shadow_word(uint32_t number, uint64_t addr)
{
	uint64_t at = addr & ((1u << SP_AGENT_CHUNK_SHIFT) - 1);

	return (uint64_t *)(sp_agent_config.areas[SP_AGENT_SHADOW] + (uint64_t)number * SP_AGENT_SHADOW_BYTES) +
	       (at >> SP_AGENT_GRANULE_SHIFT);
}

/* NULL: that part of the heap has none. */
INLINE uint64_t *shadow_find(uint64_t addr)
{
	const uint32_t *chunks = area(SP_AGENT_CHUNKS);
	uint32_t number;

	if (UNLIKELY(addr >> SP_AGENT_ADDRESS_BITS || !sp_agent_config.max_shadows))
		return NULL;
	number = LOAD(&chunks[addr >> SP_AGENT_CHUNK_SHIFT]);
	return number && number <= sp_agent_config.max_shadows ? shadow_word(number, addr) : NULL;
}

static COLD uint64_t *shadow_make(uint64_t addr)
{
	uint32_t *chunks = area(SP_AGENT_CHUNKS);
	struct sp_agent_header *h = header();
	uint32_t number = LOAD(&h->nr_shadows), none = 0;

	if (addr >> SP_AGENT_ADDRESS_BITS || !sp_agent_config.max_shadows)
		return NULL;
	do {
		if (number > sp_agent_config.max_shadows)
			return NULL;
	} while (!CAS(&h->nr_shadows, &number, number + 1));
	/* Another thread may have been faster: then this number is never used. */
	return shadow_word(CAS(&chunks[addr >> SP_AGENT_CHUNK_SHIFT], &none, number) ? number : none, addr);
}

INLINE bool is_tiny(void)
{
	return sp_agent_config.flags & SP_AGENT_TINY;
}

/*
 * From exact to sampled; where it is sampled already, less often. Not where one call in so many is recorded: all
 * blocks stand for the same number of others there.
 */
static COLD void degrade(enum sp_agent_degraded why)
{
	struct sp_agent_header *h = header();
	uint32_t exact = SP_AGENT_EXACT;
	uint64_t mean = LOAD(&h->mean);

	if (!CAS(&h->mode, &exact, SP_AGENT_SAMPLED) && why == SP_AGENT_DEGRADED_HASH && mean < SP_AGENT_MAX_MEAN &&
	    !LOAD(&h->is_regular))
		CAS(&h->mean, &mean, 2 * mean);
	STORE(&h->degraded, why);
}

/* ---- putting in ---- */

static void put_filtered(struct sp_agent_thread *t, uint64_t addr, const struct sp_agent_value *v)
{
	bool is_found_anyway = !sp_agent_config.max_shadows;
	uint64_t had = 0;

	switch (hash_put(addr, v, is_found_anyway ? 0 : SP_AGENT_KEY_FILTERED, &had)) {
	case PUT_NEW:
		break;
	case PUT_REPLACED:
		if (had)
			return;
		break;
	case PUT_FULL:
		count_lost(t, SP_LOST_BLOCKS_FULL);
		degrade(SP_AGENT_DEGRADED_HASH);
		return;
	}
	if (!is_found_anyway)
		filter_change(addr, 1);
}

/* The block that a word describes, as the hash has it. */
INLINE struct sp_agent_value value_of(uint64_t word)
{
	return (struct sp_agent_value){.size = sp_agent_word_size(word),
				       .node = sp_agent_word_node(word),
				       .tick = sp_agent_word_birth(word, LOAD(&header()->tick))};
}

/* Moves the small block of *word's granule into the hash. False: the word has changed meanwhile, or no room. */
static bool move_to_hash(uint64_t *word, uint64_t old, uint64_t addr)
{
	uint64_t other = (addr & ~((1ull << SP_AGENT_GRANULE_SHIFT) - 1)) | (old & 3) << 3, flags = 0;
	struct sp_agent_value v = value_of(old);

	if (hash_put(other, &v, 0, &flags) == PUT_FULL)
		return false;
	if (CAS(word, &old, sp_agent_word_in_hash(1)))
		return true;
	hash_take(other, &v, &flags);
	return false;
}

/* A block goes into the hash and its granule's word says so. */
static COLD void put_in_hash(struct sp_agent_thread *t, uint64_t *word, uint64_t addr, const struct sp_agent_value *v)
{
	uint64_t flags = 0;
	enum put how = hash_put(addr, v, 0, &flags);

	if (how == PUT_FULL) {
		count_lost(t, SP_LOST_BLOCKS_FULL);
		degrade(SP_AGENT_DEGRADED_HASH);
		return;
	}
	if (how == PUT_REPLACED && flags & SP_AGENT_KEY_FILTERED)
		filter_change(addr, -1);
	for (int i = 0; i < 64; i++) { /* each turn that fails is one of another thread that has succeeded */
		uint64_t old = LOAD(word), nr = 1;
		if (old && !sp_agent_word_is_in_hash(old) && !sp_agent_word_is_at(old, addr)) {
			if (!move_to_hash(word, old, addr))
				continue;
			old = LOAD(word);
		}
		if (sp_agent_word_is_in_hash(old)) {
			if (how == PUT_REPLACED && !(flags & SP_AGENT_KEY_FILTERED))
				return; /* counted already */
			nr = sp_agent_word_node(old) + 1;
		}
		if (CAS(word, &old, sp_agent_word_in_hash((uint32_t)nr)))
			return;
	}
	hash_take(addr, &(struct sp_agent_value){0}, &flags);
	count_lost(t, SP_LOST_BLOCKS_FULL);
}

/* Records a block that has just been allocated, whatever was known of this address. */
INLINE void put_block(struct sp_agent_thread *t, uint64_t addr, const struct sp_agent_value *v)
{
	uint64_t *word, old, fresh;

	if (v->mean || !sp_agent_config.max_shadows) {
		put_filtered(t, addr, v);
		return;
	}
	word = shadow_find(addr);
	if (UNLIKELY(!word)) {
		word = shadow_make(addr);
		if (!word) {
			degrade(SP_AGENT_DEGRADED_SHADOW);
			put_filtered(t, addr, v);
			return;
		}
	}
	old = LOAD(word);
	fresh = sp_agent_word(addr, v->node, v->size, v->tick);
	if (UNLIKELY(v->size >= SP_AGENT_IN_HASH || sp_agent_word_is_in_hash(old))) {
		put_in_hash(t, word, addr, v);
		return;
	}
	if (LIKELY(!is_tiny()))
		STORE(word, fresh);
	else if ((old && !sp_agent_word_is_at(old, addr)) || !CAS(word, &old, fresh))
		put_in_hash(t, word, addr, v);
}

/* ---- taking out ---- */

/* One block less of this granule is in the hash. */
static void count_down(uint64_t *word)
{
	uint64_t old = LOAD(word);

	while (sp_agent_word_is_in_hash(old) && !CAS(word, &old, sp_agent_word_in_hash(sp_agent_word_node(old) - 1)))
		;
}

static COLD bool take_from_hash(uint64_t *word, uint64_t addr, struct sp_agent_value *ret)
{
	uint64_t flags = 0;

	if (!hash_take(addr, ret, &flags))
		return false;
	if (flags & SP_AGENT_KEY_FILTERED)
		filter_change(addr, -1);
	else if (word)
		count_down(word);
	return true;
}

/* Forgets a block that is about to be freed: entry.S does the most frequent case itself. False: it was not known. */
INLINE bool take_block(uint64_t addr, struct sp_agent_value *ret)
{
	uint64_t *word = shadow_find(addr);
	uint64_t old = word ? LOAD(word) : 0;

	if (!sp_agent_config.max_shadows)
		return take_from_hash(NULL, addr, ret);
	if (sp_agent_word_is_in_hash(old))
		return take_from_hash(word, addr, ret);
	if (old && sp_agent_word_is_at(old, addr)) {
		*ret = value_of(old);
		if (!is_tiny())
			STORE(word, 0);
		else if (!CAS(word, &old, 0)) /* just moved to the hash, because of a neighbour */
			return take_from_hash(word, addr, ret);
		return true;
	}
	return UNLIKELY(filter_has(addr)) && take_from_hash(NULL, addr, ret);
}

#endif
