// SPDX-License-Identifier: Apache-2.0
/*
 * The calling-context tree: a call path is a node, its caller's path the parent.
 *
 * Children are found by hash tables of node numbers. There is one for each power of two, one behind the other; the
 * largest in use is header.index_bits. One that gets half full is left as it is and the next comes into use; what is
 * looked for in vain there is looked for in the older ones and then put into the new one too. So nothing ever moves, a
 * small program touches a few pages only, and no thread waits for another. Two threads that make the same child at the
 * same time may get two numbers for it: our side compares paths by their pcs, not by numbers.
 */
#ifndef SEEP_AGENT_TREE_H
#define SEEP_AGENT_TREE_H

#include "blob.h"

#define MAX_TREE_PROBES 64

INLINE struct sp_agent_node *node_at(uint32_t id)
{
	return (struct sp_agent_node *)area(SP_AGENT_NODES) + id;
}

INLINE uint64_t tree_hash(uint32_t parent, uint64_t pc)
{
	uint64_t x = (pc ^ (uint64_t)parent << 40 ^ (uint64_t)parent * 0xff51afd7ed558ccdull) * 0x9e3779b97f4a7c15ull;

	return x ^ x >> 29;
}

INLINE bool is_child(uint32_t id, uint32_t parent, uint64_t pc)
{
	const struct sp_agent_node *n = node_at(id);

	return LOAD(&n->pc) == pc && LOAD(&n->parent) == parent;
}

/* In the table of 2^bits. 0: not there. */
INLINE uint32_t index_find(uint32_t bits, uint64_t hash, uint32_t parent, uint64_t pc)
{
	const uint32_t *table = (uint32_t *)area(SP_AGENT_INDEX) + sp_agent_index_start(bits);
	uint32_t mask = (1u << bits) - 1, i = (uint32_t)hash & mask;

	for (int n = 0; n < MAX_TREE_PROBES; n++) {
		uint32_t id = __atomic_load_n(&table[i], __ATOMIC_ACQUIRE);
		if (!id)
			return 0;
		if (is_child(id, parent, pc))
			return id;
		i = (i + 1) & mask;
	}
	return 0;
}

/* Puts id there. Returns the number of an equal node that was there already, else id (also when it found no room). */
static uint32_t index_put(uint32_t bits, uint64_t hash, uint32_t id)
{
	uint32_t *table = (uint32_t *)area(SP_AGENT_INDEX) + sp_agent_index_start(bits);
	uint32_t mask = (1u << bits) - 1, i = (uint32_t)hash & mask;
	const struct sp_agent_node *n = node_at(id);

	for (int k = 0; k < MAX_TREE_PROBES; k++) {
		uint32_t there = 0;
		if (CAS(&table[i], &there, id))
			return id;
		if (is_child(there, n->parent, n->pc))
			return there;
		i = (i + 1) & mask;
	}
	return id;
}

/* A new node; 0: there are as many as may be. */
static uint32_t node_new(uint32_t parent, uint64_t pc)
{
	struct sp_agent_header *h = header();
	uint32_t id = LOAD(&h->nr_nodes);

	do {
		if (id >= sp_agent_config.max_nodes)
			return SP_AGENT_NODE_NONE;
	} while (!CAS(&h->nr_nodes, &id, id + 1));
	struct sp_agent_node *n = node_at(id);
	n->parent = parent;
	n->pc = pc;
	STORE(&n->ready, 1);
	return id;
}

static uint32_t largest_index(void)
{
	uint32_t bits = LOAD(&header()->index_bits);

	return bits < SP_AGENT_INDEX_MIN_BITS || bits > sp_agent_config.index_max_bits ? SP_AGENT_INDEX_MIN_BITS : bits;
}

static COLD uint32_t child_make(uint32_t parent, uint64_t pc, uint64_t hash, uint32_t bits)
{
	uint32_t id = 0;

	for (uint32_t b = bits; b > SP_AGENT_INDEX_MIN_BITS && !id; b--)
		id = index_find(b - 1, hash, parent, pc);
	if (!id)
		id = node_new(parent, pc);
	if (!id)
		return SP_AGENT_NODE_NONE;
	id = index_put(bits, hash, id);
	if (id > 1u << (bits - 1) && bits < sp_agent_config.index_max_bits)
		CAS(&header()->index_bits, &bits, bits + 1);
	return id;
}

/* The path that goes from `parent` to pc. SP_AGENT_NODE_NONE: the tree is full. */
INLINE uint32_t tree_child(uint32_t parent, uint64_t pc)
{
	uint32_t bits = largest_index(), id;
	uint64_t hash = tree_hash(parent, pc);

	if (!parent)
		return SP_AGENT_NODE_NONE;
	id = index_find(bits, hash, parent, pc);
	return LIKELY(id) ? id : child_make(parent, pc, hash, bits);
}

#endif
