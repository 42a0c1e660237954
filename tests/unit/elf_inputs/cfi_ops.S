// SPDX-License-Identifier: Apache-2.0
/*
 * Functions with every CFI instruction that assemblers can write, and some that they cannot. Never run: test_elf_rows.c
 * compares their rows with libdw's reading. Each function is a row of nops.
 */
	.text

	.macro function name
	.globl \name
	.type \name, @function
\name:
	.endm

	.macro done name
	.size \name, . - \name
	.endm

	/* The ordinary frame pointer frame, with leave and ret. */
	function frame
	.cfi_startproc
	nop
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	nop
	.cfi_def_cfa_register rbp
	nop
	.cfi_remember_state
	.cfi_def_cfa rsp, 8
	nop
	.cfi_restore_state
	nop
	.cfi_restore rbp
	.cfi_def_cfa rsp, 8
	nop
	.cfi_endproc
	done frame

	/* rbp saved by push, given back, with other registers around it that rows do not have. */
	function saved
	.cfi_startproc
	nop
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	nop
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	nop
	.cfi_escape 0x2e, 0x20 /* GNU_args_size 32 */
	.cfi_undefined r12
	.cfi_same_value r13
	.cfi_register r14, r15
	nop
	.cfi_same_value rbp
	nop
	.cfi_escape 0x05, 0x06, 0x04 /* offset_extended rbp, 4 * -8 */
	nop
	.cfi_escape 0x06, 0x06 /* restore_extended rbp */
	nop
	.cfi_escape 0x11, 0x06, 0x03 /* offset_extended_sf rbp, 3 * -8 */
	nop
	.cfi_escape 0x2f, 0x06, 0x7e /* GNU_negative_offset_extended rbp, -(126 * -8) */
	nop
	.cfi_escape 0x13, 0x7c /* def_cfa_offset_sf -4 * -8 */
	.cfi_escape 0xc6       /* restore rbp */
	nop
	.cfi_escape 0x12, 0x07, 0x78 /* def_cfa_sf rsp, -8 * -8 */
	nop
	.cfi_endproc
	done saved

	/* What rows cannot say. */
	function inexpressible
	.cfi_startproc
	nop
	.cfi_def_cfa r10, 0
	nop
	.cfi_def_cfa rsp, 32768
	nop
	.cfi_def_cfa rsp, 32760
	nop
	.cfi_def_cfa rsp, 24
	.cfi_offset rbp, 0
	nop
	.cfi_register rbp, rbx
	nop
	.cfi_undefined rbp
	nop
	.cfi_offset rbp, -1032
	nop
	.cfi_offset rbp, -1024
	nop
	.cfi_escape 0x14, 0x06, 0x02 /* val_offset rbp */
	nop
	.cfi_escape 0x15, 0x06, 0x02 /* val_offset_sf rbp */
	nop
	.cfi_escape 0x16, 0x06, 0x02, 0x77, 0x08 /* val_expression rbp: breg7 8 */
	nop
	.cfi_escape 0x10, 0x06, 0x02, 0x77, 0x08 /* expression rbp: breg7 8 */
	nop
	.cfi_restore rbp
	.cfi_offset rip, -16
	nop
	.cfi_register rip, rcx
	nop
	.cfi_restore rip
	nop
	.cfi_escape 0x0f, 0x02, 0x77, 0x08 /* def_cfa_expression: breg7 8, the same as def_cfa rsp, 8 */
	nop
	.cfi_escape 0x0f, 0x03, 0x77, 0x08, 0x06 /* def_cfa_expression: breg7 8; deref */
	nop
	.cfi_endproc
	done inexpressible

	/* gcc's realigned stack. */
	function realigned
	.cfi_startproc
	nop
	.cfi_def_cfa r10, 0
	nop
	.cfi_escape 0x10, 0x06, 0x02, 0x76, 0x00 /* expression rbp: breg6 0 */
	nop
	.cfi_escape 0x0f, 0x03, 0x76, 0x78, 0x06 /* def_cfa_expression: breg6 -8; deref */
	nop
	.cfi_escape 0x10, 0x06, 0x02, 0x76, 0x08 /* expression rbp: breg6 8 */
	nop
	.cfi_def_cfa rsp, 8
	.cfi_restore rbp
	nop
	.cfi_endproc
	done realigned

	/* PLTs of the linker: the push is done at 11, or at 9 with IBT. */
	function plt
	.cfi_startproc
	nop
	.cfi_escape 0x0f, 0x0b, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22
	nop
	.cfi_escape 0x0f, 0x0b, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x39, 0x2a, 0x33, 0x24, 0x22
	nop
	.cfi_escape 0x0f, 0x0b, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x39, 0x2a, 0x34, 0x24, 0x22 /* lit4: another */
	nop
	.cfi_endproc
	done plt

	/* The return trampoline of signal handlers, as in glibc. */
	function signal_return
	.cfi_startproc
	.cfi_signal_frame
	.cfi_escape 0x0f, 0x04, 0x77, 0xa0, 0x01, 0x06
	.cfi_escape 0x10, 0x06, 0x03, 0x77, 0xf8, 0x00
	.cfi_escape 0x10, 0x10, 0x03, 0x77, 0xa8, 0x01
	nop
	.cfi_escape 0x10, 0x10, 0x03, 0x77, 0xa9, 0x01 /* rip elsewhere */
	nop
	.cfi_endproc
	done signal_return

	/* Outermost frame. */
	function outermost
	.cfi_startproc
	nop
	.cfi_undefined rip
	nop
	.cfi_endproc
	done outermost

	/* Farther than advance_loc, advance_loc1 and advance_loc2 reach; set_loc. */
	function far
	.cfi_startproc
	nop
	.cfi_def_cfa_offset 16
	.skip 70000, 0x90
	.cfi_def_cfa_offset 24
	.skip 300, 0x90
	.cfi_def_cfa_offset 32
	.skip 70, 0x90
	.cfi_def_cfa_offset 40
	nop
	.cfi_endproc
	done far

	/* Without CFI: a hole. */
	function hole
	nop
	nop
	done hole

	/* Described in .debug_frame only, below. */
	function debug_only
	.skip 8, 0x90
	done debug_only

	/* A restore without a remember: the rest of the range is unknown. */
	function damaged
	.cfi_startproc
	nop
	.cfi_def_cfa_offset 16
	nop
	.cfi_escape 0x0b
	nop
	.cfi_endproc
	done damaged

	/* 64-bit format, version 4, saves that are no multiple of 8, set_loc; then the 32-bit format. */
	.section .debug_frame, "", @progbits
	.long 0xffffffff
	.quad 2f - 1f
1:	.quad 0xffffffffffffffff
	.byte 4, 0, 8, 0    /* version, no augmentation, address size, segment size */
	.uleb128 2          /* code alignment */
	.sleb128 -4         /* data alignment */
	.uleb128 16         /* return address column */
	.byte 0x0c, 7, 8    /* def_cfa rsp, 8 */
	.byte 0x90, 2       /* offset rip, 2 * -4 */
	.balign 8, 0
2:	.long 0xffffffff
	.quad 4f - 3f
3:	.quad 0             /* the CIE at 0 */
	.quad debug_only, 7
	.byte 0x41, 0x0e, 16 /* advance_loc 2, def_cfa_offset 16 */
	.byte 0x86, 4        /* offset rbp, -16 */
	.byte 0x01           /* set_loc */
	.quad debug_only + 4
	.byte 0x86, 5        /* offset rbp, -20 */
	.byte 0x41, 0x86, 8  /* advance_loc 2, offset rbp, -32 */
	.balign 8, 0
4:
	/* For nothing that exists, as linkers leave it of dropped functions, and for code that .eh_frame describes. */
	.long 6f - 5f
5:	.long 0
	.quad 0, 100
6:	.long 8f - 7f
7:	.long 0
	.quad frame, 3
	.byte 0x0e, 80
	.balign 8, 0
8:
	.section .note.GNU-stack, "", @progbits
