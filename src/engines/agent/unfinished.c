// SPDX-License-Identifier: Apache-2.0
/* Walks that the agent left to us: with the tables as they are by now they are finished over a copy of the stack. */
#include <errno.h>
#include <string.h>

#include "engines/agent/impl.h"

#define STUCK_NS 1000000000ull /* one that has been begun and does not come: its thread was torn away */

static const struct sp_agent_unfinished *record_at(const struct sp_agent_data *d, uint64_t nr)
{
	const struct sp_agent_unfinished *all = (void *)((char *)d->front + d->offsets[SP_AGENT_UNFINISHED]);

	return &all[nr % SP_AGENT_NR_UNFINISHED];
}

bool sp_agent_unfinished_is_there(const struct sp_agent_unfinished_reader *r, const struct sp_agent_data *d)
{
	return __atomic_load_n(&d->header->unfinished_head, __ATOMIC_RELAXED) != r->tail;
}

/* `u` is our copy of what the target wrote: anything may stand there. */
static void finish(struct sp_agent_unfinished_reader *r, const struct sp_agent_unfinished *u,
		   const struct sp_unwind *tables, struct sp_agent_paths *paths)
{
	uint64_t pcs[SP_MAX_FRAMES];
	unsigned more = 0;

	if (!u->nr || u->nr > SP_MAX_FRAMES || u->len > sizeof(u->stack))
		return;
	unsigned known = u->nr - 1;
	struct sp_walk w = {.pc = u->pcs[known], .sp = u->sp, .bp = u->bp, .is_exact = u->is_exact};
	const struct sp_stack_copy stack = {.addr = u->sp, .bytes = (const uint8_t *)u->stack, .len = u->len};
	memcpy(pcs, u->pcs, known * sizeof(*pcs));
	enum sp_walk_end end = sp_unwind_walk(tables, &w, &stack, pcs + known, SP_MAX_FRAMES - known, &more);
	r->nr_cut += end == SP_WALK_CUT;
	r->nr_broken += end == SP_WALK_BROKEN;
	sp_agent_paths_finish(paths, u->node, pcs, known + more);
}

/* The next one has not come. True: it never will. */
static bool is_stuck(struct sp_agent_unfinished_reader *r, uint64_t now_ns)
{
	if (!r->stuck_ns)
		r->stuck_ns = now_ns;
	return now_ns - r->stuck_ns > STUCK_NS;
}

void sp_agent_unfinished_finish(struct sp_agent_unfinished_reader *r, const struct sp_agent_data *d,
				const struct sp_unwind *tables, struct sp_agent_paths *paths, uint64_t now_ns)
{
	sp_autofree struct sp_agent_unfinished *copy = NULL;

	for (unsigned i = 0; i < SP_AGENT_NR_UNFINISHED && sp_agent_unfinished_is_there(r, d); i++) {
		const struct sp_agent_unfinished *there = record_at(d, r->tail);
		bool has_come = __atomic_load_n(&there->seq, __ATOMIC_ACQUIRE) == r->tail + 1;
		if (!has_come && !is_stuck(r, now_ns))
			break;
		if (!copy)
			copy = malloc(sizeof(*copy));
		if (!copy)
			break;
		if (has_come) {
			memcpy(copy, there, sizeof(*copy));
			finish(r, copy, tables, paths);
		}
		r->stuck_ns = 0;
		r->tail++;
	}
	__atomic_store_n(&d->header->unfinished_tail, r->tail, __ATOMIC_RELEASE);
}
