// SPDX-License-Identifier: Apache-2.0
/*
 * Walks that come to code of which nothing is known: a library that has just been loaded. What has been walked and the
 * stack from there on go to our side, which looks at the mappings and finishes the walk. Until then the path is a node
 * of its own.
 */
#ifndef SEEP_AGENT_UNFINISHED_H
#define SEEP_AGENT_UNFINISHED_H

#include "rows.h"
#include "threads.h"
#include "tree.h"

/* Beside a packed row. */
#define ROW_GUESSED (1ull << 32) /* nothing is known of the code */
#define ROW_EXACT   (1ull << 33) /* the frame's pc is no return address */

/* NULL: there is no room. */
static struct sp_agent_unfinished *unfinished_claim(uint64_t *ret_nr)
{
	struct sp_agent_header *h = header();
	uint64_t nr = LOAD(&h->unfinished_head);

	do {
		if (nr - LOAD(&h->unfinished_tail) >= SP_AGENT_NR_UNFINISHED)
			return NULL;
	} while (!CAS(&h->unfinished_head, &nr, nr + 1));
	*ret_nr = nr;
	return (struct sp_agent_unfinished *)area(SP_AGENT_UNFINISHED) + nr % SP_AGENT_NR_UNFINISHED;
}

/* The pcs of the thread's steps up to the first that is guessed. Returns its index. */
static uint32_t copy_pcs(const struct sp_agent_thread *t, uint32_t nr_steps, struct sp_agent_unfinished *u)
{
	for (uint32_t i = 0; i < nr_steps && u->nr < SP_MAX_FRAMES; i++) {
		const struct sp_agent_step *s = &t->steps[i];
		if (!is_agent_code(s->pc))
			u->pcs[u->nr++] = s->pc;
		if (s->row & ROW_GUESSED)
			return i;
	}
	return nr_steps;
}

/* Returns the path's node; SP_AGENT_NODE_NONE: it cannot be left, make the best of it. The stack is readable in [lo,
 * hi).
 */
static COLD uint32_t leave_unfinished(const struct sp_agent_thread *t, uint32_t nr_steps, uint64_t lo, uint64_t hi)
{
	uint64_t nr;
	struct sp_agent_unfinished *u = unfinished_claim(&nr);

	if (!u)
		return SP_AGENT_NODE_NONE;
	u->nr = 0;
	u->node = SP_AGENT_NODE_NONE;
	uint32_t at = copy_pcs(t, nr_steps, u);
	if (at < nr_steps) {
		const struct sp_agent_step *s = &t->steps[at];
		uint64_t len = s->sp >= lo && s->sp < hi ? hi - s->sp : 0; /* a signal may have come on another */
		u->sp = s->sp;
		u->bp = s->bp;
		u->is_exact = (s->row & ROW_EXACT) != 0;
		u->len = (uint32_t)(len < SP_AGENT_STACK_BYTES ? len : SP_AGENT_STACK_BYTES) & ~7u;
		for (uint32_t i = 0; i < u->len / 8; i++)
			u->stack[i] = LOAD((const uint64_t *)s->sp + i);
		u->node = node_new(SP_AGENT_ROOT_UNFINISHED, u->pcs[0]);
	}
	uint32_t node = u->node;
	STORE(&u->seq, nr + 1);
	return node;
}

#endif
