// SPDX-License-Identifier: Apache-2.0
/*
 * One step of a stack walk by the rows of wire/rows.h: from a frame to its caller's. Shared by our own walks (unwind/)
 * and the agent's; bpf/walk.bpf.h does the same in the form that the kernel's verifier wants. Freestanding, no state.
 */
#ifndef SEEP_PURE_STEP_H
#define SEEP_PURE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/rows.h"

/* Offsets in struct ucontext as the kernel puts it on the stack (uapi/asm/sigcontext.h, ucontext.h). */
#define SP_UCONTEXT_RBP 120
#define SP_UCONTEXT_RSP 160
#define SP_UCONTEXT_RIP 168

#define SP_ROW_RBP_BESIDE_RA (-2) /* push %rbp at entry */

/* Where a walk stands: a frame's pc (a return address unless is_exact), its rsp and rbp. */
struct sp_walk {
	uint64_t pc, sp, bp;
	bool is_exact;
};

enum sp_step_end {
	SP_STEP_ON,     /* at the caller now */
	SP_STEP_WHOLE,  /* this was the outermost frame */
	SP_STEP_BROKEN, /* the caller cannot be known */
};

/* The word of the stack at addr. False: not readable. */
typedef bool sp_step_read_fn(const void *stack, uint64_t addr, uint64_t *ret);

#define SP_STEP_INLINE static inline __attribute__((always_inline))

SP_STEP_INLINE bool sp_step_signal(struct sp_walk *w, sp_step_read_fn *read, const void *stack)
{
	uint64_t uc = w->sp;

	w->is_exact = true;
	return read(stack, uc + SP_UCONTEXT_RBP, &w->bp) && read(stack, uc + SP_UCONTEXT_RIP, &w->pc) &&
	       read(stack, uc + SP_UCONTEXT_RSP, &w->sp);
}

/* The frame's CFA; *rbp_off becomes where the caller's rbp is from there, in 8 bytes. */
SP_STEP_INLINE bool sp_step_cfa(struct sp_walk *w, uint32_t kind, int64_t cfa_off, int64_t *rbp_off, uint64_t *cfa,
				sp_step_read_fn *read, const void *stack)
{
	uint64_t bp;

	switch (kind) {
	case SP_ROW_RSP:
		*cfa = w->sp + (uint64_t)cfa_off;
		return true;
	case SP_ROW_RBP:
		*cfa = w->bp + (uint64_t)cfa_off;
		return true;
	case SP_ROW_NONE:
		*cfa = w->bp + 16;
		*rbp_off = SP_ROW_RBP_BESIDE_RA;
		return w->bp >= w->sp && !(w->bp & 7);
	case SP_ROW_PLT:
		*cfa = w->sp + 8 + ((w->pc & 15) >= (uint64_t)cfa_off ? 8 : 0);
		return true;
	case SP_ROW_RBP_DEREF:
		*rbp_off = SP_ROW_RBP_SAME;
		if (!read(stack, w->bp + (uint64_t)cfa_off, cfa) || !read(stack, w->bp, &bp))
			return false;
		w->bp = bp;
		return true;
	default:
		return false;
	}
}

/* From *w to its caller, by the row that holds at its pc. Where it ends with WHOLE or BROKEN *w is of no meaning. */
SP_STEP_INLINE enum sp_step_end sp_step_out(struct sp_walk *w, uint32_t kind, int64_t cfa_off, int64_t rbp_off,
					    sp_step_read_fn *read, const void *stack)
{
	uint64_t cfa, ra;

	if (kind == SP_ROW_END || (kind == SP_ROW_NONE && !w->bp)) /* the second: the ABI's mark of the outermost
								       frame (3.4.1): musl's _start */
		return SP_STEP_WHOLE;
	if (kind == SP_ROW_SIG)
		return sp_step_signal(w, read, stack) ? SP_STEP_ON : SP_STEP_BROKEN;
	w->is_exact = false;
	if (!sp_step_cfa(w, kind, cfa_off, &rbp_off, &cfa, read, stack))
		return SP_STEP_BROKEN;
	if (cfa <= w->sp || !read(stack, cfa - 8, &ra)) /* stacks grow down: a caller's frame lies above */
		return SP_STEP_BROKEN;
	if (rbp_off != SP_ROW_RBP_SAME && !read(stack, cfa + 8 * (uint64_t)rbp_off, &w->bp))
		return SP_STEP_BROKEN;
	w->sp = cfa;
	w->pc = ra;
	return SP_STEP_ON;
}

/* How a walk that has arrived at pc 0 ends: a bottom of home-made stacks, or nonsense. */
static inline enum sp_step_end sp_step_at_zero(const struct sp_walk *w)
{
	return w->bp ? SP_STEP_BROKEN : SP_STEP_WHOLE;
}

#endif
