// SPDX-License-Identifier: Apache-2.0
/*
 * Unwind rows: how to find the caller's frame from a pc. Built by elf/ from .eh_frame, published by unwind/, walked by
 * the BPF programs (and, later, by the agent). A table is sorted by pc; a row holds from its pc to the next row's.
 * The return address is always at CFA-8 (System V AMD64 ABI 3.4.1; rows that say otherwise become SP_ROW_BAD).
 */
#ifndef SEEP_WIRE_ROWS_H
#define SEEP_WIRE_ROWS_H

enum sp_row_kind {
	SP_ROW_NONE,      /* no unwind data from here on: step by the frame pointer */
	SP_ROW_RSP,       /* CFA = rsp + cfa_off */
	SP_ROW_RBP,       /* CFA = rbp + cfa_off */
	SP_ROW_PLT,       /* CFA = rsp + 8 + ((pc & 15) >= cfa_off ? 8 : 0): procedure linkage table */
	SP_ROW_SIG,       /* signal return trampoline: registers are in the ucontext at rsp */
	SP_ROW_END,       /* outermost frame: return address undefined */
	SP_ROW_BAD,       /* a rule that these rows cannot express */
	SP_ROW_RBP_DEREF, /* CFA = *(rbp + cfa_off), caller's rbp = *rbp: gcc's realigned stack (DRAP) */
};

/* rbp_off: the caller's rbp is at CFA + 8 * rbp_off, or unchanged. */
#define SP_ROW_RBP_SAME 0

/* pc is relative to the module's first PT_LOAD page (load bias + lowest p_vaddr, page aligned down). */
struct sp_row {
	unsigned int pc;
	short cfa_off;       /* bytes */
	unsigned char kind;  /* enum sp_row_kind */
	signed char rbp_off; /* in 8 bytes, from the CFA; SP_ROW_RBP_SAME: not saved */
};

/* Where the rows of one executable mapping are. A list of them is sorted by start and does not overlap. */
struct sp_row_range {
	unsigned long long start, end; /* [start, end) in the target */
	unsigned long long base;       /* address of the rows' pc 0 */
	unsigned int row0;             /* first row in the pool */
	unsigned int nr_rows;          /* 0: code without rows */
};

#ifndef __bpf__
_Static_assert(sizeof(struct sp_row_range) == 32, "ranges are read by BPF programs: their layout is fixed");
_Static_assert(sizeof(struct sp_row) == 8, "rows are read by BPF programs: their layout is fixed");
#endif

/* Ranges that a walker knows at a time. */
#define SP_MAX_RANGES 4096

#define SP_MAX_FRAMES 127

/* Stands before the pcs of the call path of a page fault; the next one is where it happened, no return address. */
#define SP_PC_FAULT 1

#endif
