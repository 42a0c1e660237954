// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    the unwind tables of a whole process: one pool of rows, one list of ranges that point into it.
 * Runs in: our process, one thread.
 * May not: know who walks with them.
 * Owns:    pool and list; rows of a file are built once however often and wherever it is mapped.
 * Fails by: -errno; a file that cannot be read has no rows (its code is stepped by the frame pointer).
 */
#ifndef SEEP_UNWIND_UNWIND_H
#define SEEP_UNWIND_UNWIND_H

#include "base/base.h"
#include "proc/proc.h"
#include "pure/step.h"
#include "wire/rows.h"

struct sp_unwind;

/* max_rows: of all files together; a file that does not fit has no rows. */
sp_must_check int sp_unwind_new(size_t max_rows, struct sp_unwind **ret);
void sp_unwind_free(struct sp_unwind *u); /* NULL is fine */

/*
 * Brings ranges and rows up to date with the mappings of p. Rows are only ever added to the pool, so what was
 * published before stays valid.
 */
sp_must_check int sp_unwind_update(struct sp_unwind *u, struct sp_proc *p, const struct sp_maps *maps);

const struct sp_row_range *sp_unwind_ranges(const struct sp_unwind *u, size_t *ret_nr);
const struct sp_row *sp_unwind_rows(const struct sp_unwind *u, size_t *ret_nr);
size_t sp_unwind_nr_files(const struct sp_unwind *u); /* with rows */

/* ---- the walk of bpf/walk.bpf.h in our process, over a copy of a stack (walk.c) ---- */

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
