// SPDX-License-Identifier: Apache-2.0
/* A stack walk over a copy of the stack. */
#include "unwind/unwind.h"

#include <string.h>

/* Offsets in struct ucontext on the stack (uapi/asm/sigcontext.h, ucontext.h). */
#define UC_RBP 120
#define UC_RSP 160
#define UC_RIP 168

#define RBP_BESIDE_RA (-2) /* push %rbp at entry */

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

static bool read_word(const struct sp_stack_copy *s, uint64_t addr, uint64_t *ret)
{
	if (addr < s->addr || addr - s->addr > s->len || s->len - (addr - s->addr) < sizeof(*ret))
		return false;
	memcpy(ret, s->bytes + (addr - s->addr), sizeof(*ret));
	return true;
}

static bool frame_cfa(struct sp_walk *w, const struct sp_row *row, const struct sp_stack_copy *s, uint64_t *cfa,
		      int *rbp_off)
{
	uint64_t bp;

	*rbp_off = row->rbp_off;
	switch (row->kind) {
	case SP_ROW_RSP:
		*cfa = w->sp + (uint64_t)(int64_t)row->cfa_off;
		return true;
	case SP_ROW_RBP:
		*cfa = w->bp + (uint64_t)(int64_t)row->cfa_off;
		return true;
	case SP_ROW_NONE:
		*cfa = w->bp + 16;
		*rbp_off = RBP_BESIDE_RA;
		return w->bp >= w->sp && !(w->bp & 7);
	case SP_ROW_PLT:
		*cfa = w->sp + 8 + ((w->pc & 15) >= (uint64_t)(int64_t)row->cfa_off ? 8 : 0);
		return true;
	case SP_ROW_RBP_DEREF:
		*rbp_off = SP_ROW_RBP_SAME;
		if (!read_word(s, w->bp + (uint64_t)(int64_t)row->cfa_off, cfa) || !read_word(s, w->bp, &bp))
			return false;
		w->bp = bp;
		return true;
	default:
		return false;
	}
}

static bool step_signal(struct sp_walk *w, const struct sp_stack_copy *s)
{
	uint64_t uc = w->sp;

	w->is_exact = true;
	return read_word(s, uc + UC_RBP, &w->bp) && read_word(s, uc + UC_RIP, &w->pc) &&
	       read_word(s, uc + UC_RSP, &w->sp);
}

/* To the caller. False: it cannot be known. */
static bool step_out(struct sp_walk *w, const struct sp_row *row, const struct sp_stack_copy *s)
{
	uint64_t cfa, ra;
	int rbp_off;

	if (row->kind == SP_ROW_SIG)
		return step_signal(w, s);
	w->is_exact = false;
	if (!frame_cfa(w, row, s, &cfa, &rbp_off) || cfa <= w->sp || !read_word(s, cfa - 8, &ra))
		return false;
	if (rbp_off != SP_ROW_RBP_SAME && !read_word(s, cfa + 8 * (uint64_t)(int64_t)rbp_off, &w->bp))
		return false;
	w->sp = cfa;
	w->pc = ra;
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
		if (row && (row->kind == SP_ROW_END || (row->kind == SP_ROW_NONE && !w->bp)))
			return SP_WALK_WHOLE;         /* the second: the ABI's mark of the outermost frame (3.4.1) */
		if (!row || !step_out(w, row, stack)) /* no row at all: this is no code */
			return SP_WALK_BROKEN;
	}
	return w->bp ? SP_WALK_BROKEN : SP_WALK_WHOLE;
}
