// SPDX-License-Identifier: Apache-2.0
/*
 * Where things are in the agent's data region and what its words mean: the one definition for the agent, which writes
 * them, and for our process, which makes the region and reads it. Freestanding, no state.
 */
#ifndef SEEP_PURE_AGENT_H
#define SEEP_PURE_AGENT_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/agent.h"

/* ---- the areas ---- */

/* Tables of node numbers: of 2^b entries for b from SP_AGENT_INDEX_MIN_BITS on, one behind the other (agent/tree.h). */
#define SP_AGENT_INDEX_MIN_BITS 10

/* The largest table: at most half full when there are max_nodes. */
static inline uint32_t sp_agent_index_max_bits(uint32_t max_nodes)
{
	uint32_t bits = SP_AGENT_INDEX_MIN_BITS;

	while (bits < 23 && (1u << bits) < 2 * max_nodes)
		bits++;
	return bits;
}

/* Where the table of 2^bits entries begins, in entries. */
static inline uint32_t sp_agent_index_start(uint32_t bits)
{
	return (1u << bits) - (1u << SP_AGENT_INDEX_MIN_BITS);
}

static inline bool sp_agent_limits_are_good(const struct sp_agent_limits *l)
{
	return l->max_rows && l->max_nodes >= SP_AGENT_NR_ROOTS && l->max_nodes <= SP_AGENT_MAX_NODES &&
	       l->hash_bits >= SP_AGENT_MIN_HASH_BITS && l->hash_bits <= 28 && l->thread_bits >= 4 &&
	       l->thread_bits <= 12 && l->max_shadows <= SP_AGENT_NR_CHUNKS;
}

static inline uint64_t sp_agent_area_bytes(const struct sp_agent_limits *l, enum sp_agent_area area)
{
	switch (area) {
	case SP_AGENT_RANGES:
		return 2 * SP_AGENT_MAX_RANGES * sizeof(struct sp_row_range);
	case SP_AGENT_ROWS:
		return (uint64_t)l->max_rows * sizeof(struct sp_row);
	case SP_AGENT_ROW_CACHE:
		return 8ull << SP_AGENT_ROW_CACHE_BITS;
	case SP_AGENT_STACKS:
		return 2 * SP_AGENT_MAX_STACKS * sizeof(uint64_t);
	case SP_AGENT_UNFINISHED:
		return SP_AGENT_NR_UNFINISHED * sizeof(struct sp_agent_unfinished);
	case SP_AGENT_NODES:
		return (uint64_t)l->max_nodes * sizeof(struct sp_agent_node);
	case SP_AGENT_INDEX:
		return 4ull * sp_agent_index_start(sp_agent_index_max_bits(l->max_nodes) + 1);
	case SP_AGENT_KEYS:
		return 8ull << l->hash_bits;
	case SP_AGENT_VALUES:
		return (uint64_t)sizeof(struct sp_agent_value) << l->hash_bits;
	case SP_AGENT_FILTER:
		return 1ull << SP_AGENT_FILTER_BITS;
	case SP_AGENT_RING:
		return (uint64_t)sizeof(struct sp_agent_event) << SP_AGENT_RING_BITS;
	case SP_AGENT_THREAD_KEYS:
		return 8ull << l->thread_bits;
	case SP_AGENT_THREADS:
		return (uint64_t)SP_AGENT_THREAD_BYTES << l->thread_bits;
	case SP_AGENT_CHUNKS:
		return 4ull * SP_AGENT_NR_CHUNKS;
	case SP_AGENT_SHADOW:
		return l->max_shadows ? ((uint64_t)l->max_shadows + 1) * SP_AGENT_SHADOW_BYTES : 0;
	case SP_AGENT_NR_AREAS:
		break;
	}
	return 0;
}

/* Offsets of the areas in the data region. Returns the region's size. */
static inline uint64_t sp_agent_layout(const struct sp_agent_limits *l, uint64_t ret_offsets[SP_AGENT_NR_AREAS])
{
	uint64_t at = SP_AGENT_PAGE;

	for (int i = 0; i < SP_AGENT_NR_AREAS; i++) {
		ret_offsets[i] = at;
		at += (sp_agent_area_bytes(l, (enum sp_agent_area)i) + SP_AGENT_PAGE - 1) & ~(SP_AGENT_PAGE - 1ull);
	}
	return at;
}

/* Fills in what follows from the limits and from where the data region is mapped in the target. */
static inline void sp_agent_config_place(struct sp_agent_config *c, const struct sp_agent_limits *l, uint64_t data)
{
	uint64_t offsets[SP_AGENT_NR_AREAS];
	uint64_t bytes = sp_agent_layout(l, offsets);

	c->magic = SP_AGENT_MAGIC;
	c->version = SP_AGENT_VERSION;
	c->header = data;
	c->data_end = data + bytes;
	for (int i = 0; i < SP_AGENT_NR_AREAS; i++)
		c->areas[i] = data + offsets[i];
	c->thread_mask = (1u << l->thread_bits) - 1;
	c->hash_mask = (1u << l->hash_bits) / SP_AGENT_GROUP - 1;
	c->max_nodes = l->max_nodes;
	c->max_shadows = l->max_shadows;
	c->max_rows = l->max_rows;
	c->index_max_bits = sp_agent_index_max_bits(l->max_nodes);
	if (!c->size_add) {
		c->size_mask = ~0ull;
		c->size_add = 1;
	}
}

/*
 * A mapping in which there may be a stack, in one word: its first page and how many there are. Sorted by address. 0
 * pages: it has gone.
 */
#define SP_AGENT_STACK_SIZE_BITS 29
#define SP_AGENT_STACK_MAX_PAGES ((1ull << SP_AGENT_STACK_SIZE_BITS) - 1)

static inline uint64_t sp_agent_stack(uint64_t start, uint64_t end)
{
	uint64_t nr = (end - start) / SP_AGENT_PAGE;

	return start / SP_AGENT_PAGE << SP_AGENT_STACK_SIZE_BITS |
	       (nr < SP_AGENT_STACK_MAX_PAGES ? nr : SP_AGENT_STACK_MAX_PAGES);
}

static inline uint64_t sp_agent_stack_start(uint64_t word)
{
	return (word >> SP_AGENT_STACK_SIZE_BITS) * SP_AGENT_PAGE;
}

static inline uint64_t sp_agent_stack_end(uint64_t word)
{
	return sp_agent_stack_start(word) + (word & SP_AGENT_STACK_MAX_PAGES) * SP_AGENT_PAGE;
}

/* A new region's header. */
static inline void sp_agent_header_begin(struct sp_agent_header *h, const struct sp_agent_limits *l)
{
	h->limits = *l;
	h->tick = 1;
	h->nr_nodes = SP_AGENT_NR_ROOTS;
	h->index_bits = SP_AGENT_INDEX_MIN_BITS;
	h->nr_shadows = 1;
	h->version = SP_AGENT_VERSION;
	h->magic = SP_AGENT_MAGIC;
}

/* ---- words of the shadow ---- */

#define SP_AGENT_BIRTH_MASK ((1u << SP_AGENT_BIRTH_BITS) - 1)

/* Of a block with size < SP_AGENT_IN_HASH. Never 0: ticks begin with 1, and what would become 0 becomes 1. */
static inline uint64_t sp_agent_word(uint64_t addr, uint32_t node, uint64_t size, uint32_t tick)
{
	uint64_t birth = tick & SP_AGENT_BIRTH_MASK;

	return (uint64_t)node << 42 | size << 26 | (birth ? birth : 1) << 3 | (addr >> 3 & 3);
}

static inline uint32_t sp_agent_word_node(uint64_t word)
{
	return (uint32_t)(word >> 42);
}

static inline uint32_t sp_agent_word_size(uint64_t word)
{
	return (uint32_t)(word >> 26) & 0xffff;
}

static inline bool sp_agent_word_is_in_hash(uint64_t word)
{
	return sp_agent_word_size(word) == SP_AGENT_IN_HASH;
}

/* Does the block that this word describes begin at addr (in the word's granule)? */
static inline bool sp_agent_word_is_at(uint64_t word, uint64_t addr)
{
	return (word & 3) == (addr >> 3 & 3);
}

/* The word of a granule with nr blocks in the hash. */
static inline uint64_t sp_agent_word_in_hash(uint32_t nr)
{
	return nr ? (uint64_t)nr << 42 | (uint64_t)SP_AGENT_IN_HASH << 26 : 0;
}

/*
 * Birth in ticks, at the time `now`. Words are read while the target goes on: a block may have been born a little later
 * than the reader's now.
 */
#define SP_AGENT_READING_TICKS (1u << 16)

static inline uint32_t sp_agent_word_birth(uint64_t word, uint32_t now)
{
	uint32_t birth = (uint32_t)(word >> 3) & SP_AGENT_BIRTH_MASK, latest = now + SP_AGENT_READING_TICKS;

	if (word & 4)
		return birth << SP_AGENT_OLD_SHIFT;
	return latest - ((latest - birth) & SP_AGENT_BIRTH_MASK);
}

/* Is it time to write this word anew in coarser units? Else its birth would be taken for a later one. */
static inline bool sp_agent_word_is_ageing(uint64_t word, uint32_t now)
{
	return word && !sp_agent_word_is_in_hash(word) && !(word & 4) &&
	       (int32_t)(now - sp_agent_word_birth(word, now)) > (int32_t)(SP_AGENT_BIRTH_MASK / 2);
}

/* The same block, born at this tick, in coarser units. */
static inline uint64_t sp_agent_word_old(uint64_t word, uint32_t birth)
{
	return (word & ~((uint64_t)SP_AGENT_BIRTH_MASK << 3)) | (uint64_t)(birth >> SP_AGENT_OLD_SHIFT) << 3 | 4;
}

/* What shall stand for an ageing word; to be stored by compare-and-swap: the target may be freeing the block. */
static inline uint64_t sp_agent_word_aged(uint64_t word, uint32_t now)
{
	return sp_agent_word_old(word, sp_agent_word_birth(word, now));
}

/* ---- the hash ---- */

static inline uint64_t sp_agent_mix(uint64_t x)
{
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 32;
}

/* The two groups where a block may be. */
static inline uint32_t sp_agent_group(uint64_t addr, bool second, uint32_t mask)
{
	uint64_t x = sp_agent_mix(addr >> 3);

	return (uint32_t)(second ? x >> 40 ^ x << 7 : x >> 8) & mask;
}

static inline uint32_t sp_agent_filter_index(uint64_t addr)
{
	return (uint32_t)(((addr >> 3) * 0x9e3779b1u & 0xffffffffu) >> (32 - SP_AGENT_FILTER_BITS));
}

#endif
