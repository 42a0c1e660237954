// SPDX-License-Identifier: Apache-2.0
/*
 * The call path of an event on a stack that is not the thread's own: an alternate signal stack, a coroutine's.
 *
 * Such a stack may lie anywhere and may be gone a moment later, so nothing is kept of a walk (it would be compared with
 * memory that need not be there any more): each is a whole one, 8 ns a frame. What may be read:
 *   - from sp to the end of its mapping, when our side has said where that is (SP_AGENT_STACKS); a mapping that is
 * about to go is taken out first (stacks_forget());
 *   - else the rest of the page that the return address is in.
 * Where a handler's stack leads back to the one that the signal interrupted the walk goes on there.
 *
 * Nothing is locked: where a handler walks while a walk is under way, the interrupted one begins again.
 */
#ifndef SEEP_AGENT_FOREIGN_H
#define SEEP_AGENT_FOREIGN_H

#include "stack.h"

#define MAX_TRIES 3

/* ---- mappings that our side knows of ---- */

/* The index of the first that ends after addr. */
static uint32_t stacks_first_after(const uint64_t *list, uint32_t nr, uint64_t addr)
{
	uint32_t lo = 0, hi = nr;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (sp_agent_stack_end(LOAD(&list[mid])) > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

INLINE uint64_t *stacks_list(uint32_t gen, uint32_t *ret_nr)
{
	uint32_t nr = LOAD(&header()->nr_stacks[gen & 1]);

	*ret_nr = nr < SP_AGENT_MAX_STACKS ? nr : SP_AGENT_MAX_STACKS;
	return (uint64_t *)area(SP_AGENT_STACKS) + (gen & 1) * SP_AGENT_MAX_STACKS;
}

/* Where the mapping ends that addr is in; 0: it is in none. */
static uint64_t stacks_end(uint64_t addr)
{
	for (int i = 0; i < MAX_TRIES; i++) {
		uint32_t gen = __atomic_load_n(&header()->stacks_gen, __ATOMIC_ACQUIRE), nr;
		const uint64_t *list = stacks_list(gen, &nr);
		uint32_t at = stacks_first_after(list, nr, addr);
		uint64_t word = at < nr ? LOAD(&list[at]) : 0;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (gen == LOAD(&header()->stacks_gen))
			return sp_agent_stack_start(word) <= addr && addr < sp_agent_stack_end(word)
				   ? sp_agent_stack_end(word)
				   : 0;
	}
	return 0;
}

/* [addr, addr + size) is about to be unmapped, or mapped over. The count says so to our side, should it look just now.
 */
static COLD void stacks_forget(uint64_t addr, uint64_t size)
{
	struct sp_agent_header *h = header();
	uint32_t nr;

	ADD(&h->nr_unmapped, 1);
	uint64_t *list = stacks_list(LOAD(&h->stacks_gen), &nr);
	for (uint32_t i = stacks_first_after(list, nr, addr); i < nr; i++) {
		uint64_t start = sp_agent_stack_start(LOAD(&list[i]));
		if (start >= addr && start - addr >= size)
			break;
		STORE(&list[i], sp_agent_stack(start, start < addr ? addr : start));
	}
}

/* ---- the walk ---- */

INLINE struct bounds no_bounds(void)
{
	return (struct bounds){.lo = (uint64_t)header()}; /* a word that may be read and that no stack is in */
}

/* What may be read of the stack that addr is in. is_there: that word itself may be, whatever is known. */
static struct bounds foreign_bounds(const struct sp_agent_thread *t, uint64_t fs, uint64_t addr, bool is_there)
{
	uint64_t end = t ? stack_end(t, fs, addr) : 0;

	if (!end)
		end = stacks_end(addr);
	if (!end && is_there) {
		header()->nr_foreign++; /* may lose a race: only its change matters */
		end = (addr | (SP_AGENT_PAGE - 1)) + 1;
	}
	return end >= addr + sizeof(uint64_t) ? bounds_of(addr, end) : no_bounds();
}

/* The pcs to t->foreign, innermost first. Returns how many; *ret_root: what they end in. */
static uint32_t foreign_walk(struct sp_agent_thread *t, uint64_t fs, struct sp_walk w, uint32_t *ret_root)
{
	struct bounds b = foreign_bounds(t, fs, w.sp - 8, true);
	uint32_t number = row_gen_number(LOAD(&header()->gen)), nr = 0;
	enum sp_step_end end = SP_STEP_ON;
	bool is_guessed = false;

	while (end == SP_STEP_ON && nr < SP_MAX_FRAMES) {
		uint64_t row = row_for(number, &w);
		is_guessed |= (row & ROW_GUESSED) != 0;
		if (!is_agent_code(w.pc))
			t->foreign[nr++] = row & ROW_GUESSED ? w.pc | SP_AGENT_PC_GUESSED : w.pc;
		end = step(&w, row, &b);
		if (end == SP_STEP_ON && ROW_KIND(row) == SP_ROW_SIG && w.sp - b.lo > b.size)
			b = foreign_bounds(t, fs, w.sp, false);
	}
	*ret_root = end == SP_STEP_ON                     ? SP_AGENT_ROOT_CUT
		    : end == SP_STEP_WHOLE && !is_guessed ? SP_AGENT_ROOT_WHOLE
							  : SP_AGENT_ROOT_BROKEN;
	return nr;
}

static COLD uint32_t foreign_path(struct sp_agent_thread *t, uint64_t fs, const struct sp_walk *at)
{
	for (int i = 0; i < MAX_TRIES; i++) {
		uint64_t turn = ++t->nr_foreign;
		uint32_t root;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		uint32_t nr = foreign_walk(t, fs, *at, &root), node = root;
		for (uint32_t k = nr < SP_MAX_FRAMES ? nr : SP_MAX_FRAMES; k-- > 0;)
			node = tree_child(node, t->foreign[k]);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (LOAD(&t->nr_foreign) != turn)
			continue;
		count_end(t, root);
		if (!node)
			count_lost(t, SP_LOST_PATHS_FULL);
		return node;
	}
	count_lost(t, SP_LOST_NESTED);
	return SP_AGENT_NODE_NONE;
}

#endif
