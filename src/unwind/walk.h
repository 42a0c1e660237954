// SPDX-License-Identifier: Apache-2.0
/* The walk of bpf/walk.bpf.h in our own process: over a copy of a stack, with tables that came too late for the kernel.
 */
#ifndef SEEP_UNWIND_WALK_H
#define SEEP_UNWIND_WALK_H

#include "unwind/unwind.h"

/* Where a walk stands: a frame's pc (a return address unless is_exact), its rsp and rbp. */
struct sp_walk {
	uint64_t pc, sp, bp;
	bool is_exact;
};

/* A piece of the target's stack: len bytes that stood at addr. */
struct sp_stack_copy {
	uint64_t addr;
	const uint8_t *bytes;
	size_t len;
};

enum sp_walk_end {
	SP_WALK_WHOLE,  /* reached the outermost frame */
	SP_WALK_CUT,    /* no room for more frames */
	SP_WALK_BROKEN, /* no rule, or outside the copy */
};

/*
 * Writes the pcs from *w (included) outwards to ret_pcs, at most max, and how many to *ret_nr. Leaves *w where it
 * ended. The same rules and the same answers as the BPF programs'.
 */
enum sp_walk_end sp_unwind_walk(const struct sp_unwind *u, struct sp_walk *w, const struct sp_stack_copy *stack,
				uint64_t *ret_pcs, unsigned max, unsigned *ret_nr);

/* The row that holds at pc; NULL: in no mapping. SP_ROW_NONE where the code has no rows. */
const struct sp_row *sp_unwind_row(const struct sp_unwind *u, uint64_t pc);

#endif
