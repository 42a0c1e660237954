// SPDX-License-Identifier: Apache-2.0
/*
 * The checking build: each path is compared with a whole walk that shares neither the kept frames nor the row cache.
 * What differs is counted.
 */
#ifndef SEEP_AGENT_CHECK_H
#define SEEP_AGENT_CHECK_H

#include "stack.h"

#ifdef SP_AGENT_CHECK

/* The innermost pcs of a node's path, as a walk would give them. Returns how many; *ret_root: what they end in. */
static uint32_t path_of_node(uint32_t id, uint64_t *pcs, uint32_t *ret_root)
{
	uint32_t nr = 0;

	while (id >= SP_AGENT_NR_ROOTS && nr < SP_MAX_FRAMES) {
		pcs[nr++] = node_at(id)->pc;
		id = node_at(id)->parent;
	}
	*ret_root = id < SP_AGENT_NR_ROOTS ? id : SP_AGENT_ROOT_CUT;
	return nr;
}

static uint32_t plain_walk(const struct sp_walk *at, const struct bounds *b, uint64_t *pcs, uint32_t *ret_root)
{
	struct sp_walk w = *at;
	uint32_t nr = 0;
	enum sp_step_end end = SP_STEP_ON;

	while (end == SP_STEP_ON && nr < SP_MAX_FRAMES) {
		uint64_t row = row_search(w.is_exact ? w.pc : w.pc - 1);
		if (!is_agent_code(w.pc))
			pcs[nr++] = row ? w.pc : w.pc | SP_AGENT_PC_GUESSED;
		end = step(&w, row, b);
	}
	*ret_root = end == SP_STEP_WHOLE ? SP_AGENT_ROOT_WHOLE : SP_AGENT_ROOT_BROKEN;
	if (end == SP_STEP_ON)
		*ret_root = SP_AGENT_ROOT_CUT;
	return nr;
}

static COLD void check_path(struct sp_agent_thread *t, uint32_t node, const struct sp_walk *at, uint64_t hi)
{
	struct bounds b = bounds_of(at->sp - 8, hi);
	uint64_t *pcs = (uint64_t *)t->steps, *wanted = pcs + SP_MAX_FRAMES;
	uint32_t root, wanted_root;

	if (LOAD(&header()->gen) != t->gen || !node || node_at(node)->parent == SP_AGENT_ROOT_UNFINISHED)
		return; /* published meanwhile; or the tree is full; or our side has the walk */
	uint32_t nr = path_of_node(node, pcs, &root), nr_wanted = plain_walk(at, &b, wanted, &wanted_root);
	bool is_equal = nr == nr_wanted && root == wanted_root;
	for (uint32_t i = 0; i < nr && is_equal; i++)
		is_equal = pcs[i] == wanted[i];
	if (LOAD(&header()->gen) != t->gen)
		return;
	ADD(&header()->nr_checked, 1);
	if (!is_equal)
		ADD(&header()->nr_differences, 1);
}

#else

INLINE void check_path(struct sp_agent_thread *t, uint32_t node, const struct sp_walk *at, uint64_t hi)
{
	(void)t;
	(void)node;
	(void)at;
	(void)hi;
}

#endif
#endif
