// SPDX-License-Identifier: Apache-2.0
/* A stack walk over a copy of the stack. */
#include "unwind/unwind.h"

#include <string.h>

static const struct sp_row no_rows = {.kind = SP_ROW_NONE};

static const struct sp_row_range *range_find(const struct sp_unwind *u, uint64_t pc)
{
	size_t nr, lo = 0;
	const struct sp_row_range *ranges = sp_unwind_ranges(u, &nr);
	size_t hi = nr;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (ranges[mid].end > pc)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < nr && pc >= ranges[lo].start ? &ranges[lo] : NULL;
}

const struct sp_row *sp_unwind_row(const struct sp_unwind *u, uint64_t pc)
{
	const struct sp_row_range *r = range_find(u, pc);
	size_t nr;
	const struct sp_row *rows = sp_unwind_rows(u, &nr);

	if (!r)
		return NULL;
	if (!r->nr_rows || pc < r->base || pc - r->base > UINT32_MAX)
		return &no_rows;
	size_t lo = r->row0, hi = r->row0 + (size_t)r->nr_rows;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (rows[mid].pc <= pc - r->base)
			lo = mid;
		else
			hi = mid;
	}
	return rows[lo].pc <= pc - r->base ? &rows[lo] : &no_rows;
}

static bool read_word(const void *stack, uint64_t addr, uint64_t *ret)
{
	const struct sp_stack_copy *s = stack;

	if (addr < s->addr || addr - s->addr > s->len || s->len - (addr - s->addr) < sizeof(*ret))
		return false;
	memcpy(ret, s->bytes + (addr - s->addr), sizeof(*ret));
	return true;
}

enum sp_walk_end sp_unwind_walk(const struct sp_unwind *u, struct sp_walk *w, const struct sp_stack_copy *stack,
				uint64_t *ret_pcs, unsigned max, unsigned *ret_nr)
{
	unsigned nr = 0;

	*ret_nr = 0;
	while (w->pc) {
		if (nr == max)
			return SP_WALK_CUT;
		ret_pcs[nr++] = w->pc;
		*ret_nr = nr;
		const struct sp_row *row = sp_unwind_row(u, w->is_exact ? w->pc : w->pc - 1);
		if (!row) /* this is no code */
			return SP_WALK_BROKEN;
		enum sp_step_end end = sp_step_out(w, row->kind, row->cfa_off, row->rbp_off, read_word, stack);
		if (end != SP_STEP_ON)
			return end == SP_STEP_WHOLE ? SP_WALK_WHOLE : SP_WALK_BROKEN;
	}
	return sp_step_at_zero(w) == SP_STEP_WHOLE ? SP_WALK_WHOLE : SP_WALK_BROKEN;
}
