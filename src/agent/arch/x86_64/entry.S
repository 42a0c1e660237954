// SPDX-License-Identifier: Apache-2.0
/*
 * Where hooks enter the agent. r11 points to the hook's descriptor (wire/agent.h); everything else is as at the hooked
 * function's own entry, so `jmp *(%r11)` is as if the hook were not there.
 *
 * Registers: what a function may clobber and none of the hooked ones takes an argument in (rax, rcx, r8-r11; mmap's six
 * arguments are saved). The frame is struct sp_agent_call. No frame of ours may be on the stack when the original throws:
 * see `new`.
 *
 * Cost of a hook that only passes on: 2 ns a call; of an exact malloc without its stack: 4 ns; of a free: 2 ns.
 */
#include "agent/arch/x86_64/offsets.h"

#define CONFIG(what) sp_agent_config + (what)(%rip)
#define AREA(which)  sp_agent_config + CONFIG_AREAS + 8 * (which)(%rip)

	.text

	.macro ENTRY name
	.globl sp_agent_entry_\name
	.hidden sp_agent_entry_\name
	.type sp_agent_entry_\name, @function
	.balign 32
sp_agent_entry_\name:
	.cfi_startproc
	cmpl $0, sp_agent_ctl(%rip)
	je 9f
	.endm

	.macro ENDENTRY name
9:	jmp *(%r11)
	.cfi_endproc
	.size sp_agent_entry_\name, . - sp_agent_entry_\name
	.endm

	.macro FRAME
	sub $CALL_BYTES, %rsp
	.cfi_adjust_cfa_offset CALL_BYTES
	mov %r11, (%rsp)
	mov %rdi, CALL_ARGS(%rsp)
	mov %rsi, CALL_ARGS + 8(%rsp)
	mov %rdx, CALL_ARGS + 16(%rsp)
	.endm

	.macro RESTORE
	mov (%rsp), %r11
	mov CALL_ARGS(%rsp), %rdi
	mov CALL_ARGS + 8(%rsp), %rsi
	mov CALL_ARGS + 16(%rsp), %rdx
	.endm

	/* Leaves `target` on the stack as the frame that called us. */
	.macro UNFRAME_AND_JUMP
	.cfi_remember_state
	add $CALL_BYTES, %rsp
	.cfi_adjust_cfa_offset -CALL_BYTES
	jmp *(%r11)
	.cfi_restore_state
	.endm

	.macro CALL_ORIGINAL target
	mov %rsp, CALL_COOKIE(%rsp)
	call *\target
	mov %rax, CALL_RESULT(%rsp)
	movq $0, CALL_COOKIE(%rsp)
	.endm

	.macro DONE function
	mov %rsp, %rdi
	mov %rbp, %rsi
	call \function
	mov CALL_RESULT(%rsp), %rax
	.cfi_remember_state
	add $CALL_BYTES, %rsp
	.cfi_adjust_cfa_offset -CALL_BYTES
	ret
	.cfi_restore_state
	.endm

	/* Sampled mode, size in rdi or rsi: to `maybe` unless the thread's countdown has long to go. */
	.macro COUNT_DOWN maybe
	cmpb $0, HOOK_SIZE_ARG(%r11)
	mov %rdi, %r10
	cmovne %rsi, %r10
	and CONFIG(CONFIG_SIZE_MASK), %r10
	add CONFIG(CONFIG_SIZE_ADD), %r10
	mov %fs:0, %rax
	mov %rax, %rcx
	shr $6, %rcx
	imul $0x9e3779b1, %ecx, %ecx
	shr $20, %ecx
	and CONFIG(CONFIG_THREAD_MASK), %ecx
	mov AREA(AREA_THREAD_KEYS), %r9
	cmp %rax, (%r9, %rcx, 8)
	jne \maybe
	shl $16, %rcx
	add AREA(AREA_THREADS), %rcx
	cmp %r10, THREAD_COUNTDOWN(%rcx)
	jle \maybe
	sub %r10, THREAD_COUNTDOWN(%rcx)
	.endm

	/* malloc and its like, calloc, posix_memalign */
	ENTRY alloc
	mov CONFIG(CONFIG_HEADER), %r10
	cmpl $0, HEADER_MODE(%r10)
	jne 1f
	FRAME
	movq $0, CALL_MEAN(%rsp)
0:	CALL_ORIGINAL (%r11)
	DONE sp_agent_alloc_done
	.cfi_adjust_cfa_offset -CALL_BYTES
1:	cmpb $KIND_MALLOC, HOOK_KIND(%r11)
	jne 2f
	COUNT_DOWN 2f
	jmp *(%r11)
2:	FRAME
	mov %rsp, %rdi
	call sp_agent_choose
	mov %rax, CALL_MEAN(%rsp)
	RESTORE
	test %rax, %rax
	jne 0b
	UNFRAME_AND_JUMP
	.cfi_adjust_cfa_offset -CALL_BYTES
	ENDENTRY alloc

	/*
	 * operator new. What runs below our frame is its nothrow twin, whose further argument nobody reads; only when
	 * that finds no memory does the original run, and throw, with our frame gone.
	 */
	ENTRY new
	mov CONFIG(CONFIG_HEADER), %r10
	cmpq $0, HOOK_FALLBACK(%r11)
	je 3f
	cmpl $0, HEADER_MODE(%r10)
	jne 1f
	FRAME
	movq $0, CALL_MEAN(%rsp)
0:	CALL_ORIGINAL HOOK_FALLBACK(%r11)
	test %rax, %rax
	je 4f
	DONE sp_agent_alloc_done
	.cfi_adjust_cfa_offset -CALL_BYTES
1:	COUNT_DOWN 2f
	jmp *(%r11)
2:	FRAME
	mov %rsp, %rdi
	call sp_agent_choose
	mov %rax, CALL_MEAN(%rsp)
	RESTORE
	test %rax, %rax
	jne 0b
	UNFRAME_AND_JUMP
	.cfi_adjust_cfa_offset -CALL_BYTES
3:	FRAME
4:	call sp_agent_not_followed
	RESTORE
	UNFRAME_AND_JUMP
	.cfi_adjust_cfa_offset -CALL_BYTES
	ENDENTRY new

	/* Calls that are only counted. */
	ENTRY passed
	FRAME
	call sp_agent_not_followed
	RESTORE
	UNFRAME_AND_JUMP
	.cfi_adjust_cfa_offset -CALL_BYTES
	ENDENTRY passed

	ENTRY realloc
	FRAME
	mov %rsp, %rdi
	call sp_agent_realloc_begin
	RESTORE
	test %al, %al
	jne 0f
	UNFRAME_AND_JUMP
0:	CALL_ORIGINAL (%r11)
	DONE sp_agent_realloc_done
	.cfi_adjust_cfa_offset -CALL_BYTES
	ENDENTRY realloc

	/*
	 * free and its like: store.h's take_block() for a small block in the shadow. All others go the long way; first
	 * those of which nothing is known, which are all in sampled mode.
	 */
	ENTRY free
	mov %rdi, %rax
	shr $25, %rax
	cmp $1 << 22, %rax
	jae 9f
	mov AREA(AREA_CHUNKS), %r10
	mov (%r10, %rax, 4), %eax
	test %eax, %eax
	je 1f
	testb $1, CONFIG(CONFIG_FLAGS)
	jne 2f
	shl $23, %rax
	add AREA(AREA_SHADOW), %rax
	mov %edi, %r10d
	shr $5, %r10d
	and $0xfffff, %r10d
	lea (%rax, %r10, 8), %rax
	mov (%rax), %r10
	test %r10, %r10
	je 1f
	mov %r10, %rcx
	shr $26, %rcx
	cmp $-1, %cx
	je 2f
	mov %edi, %ecx
	shr $3, %ecx
	xor %r10d, %ecx
	test $3, %cl
	jne 1f
	movq $0, (%rax)
	jmp *(%r11)
1:	cmpl $0, CONFIG(CONFIG_MAX_SHADOWS)
	je 2f
	mov CONFIG(CONFIG_HEADER), %r10
	cmpl $0, HEADER_NR_FILTERED(%r10)
	je 9f
	mov %rdi, %rax
	shr $3, %rax
	imul $0x9e3779b1, %eax, %eax
	shr $16, %eax
	mov AREA(AREA_FILTER), %r10
	cmpb $0, (%r10, %rax)
	je 9f
2:	test %rdi, %rdi
	je 9f
	FRAME
	call sp_agent_forget
	RESTORE
	UNFRAME_AND_JUMP
	.cfi_adjust_cfa_offset -CALL_BYTES
	ENDENTRY free

	/* mmap, munmap, mremap: six arguments, and rax, which tells variadic functions of vector registers. */
	ENTRY map
	FRAME
	mov %rcx, CALL_ARGS + 24(%rsp)
	mov %r8, CALL_OLD(%rsp)
	mov %r9, CALL_OLD + 8(%rsp)
	mov %rax, CALL_OLD + 16(%rsp)
	mov %rsp, %rdi
	mov %rbp, %rsi
	call sp_agent_map_begin
	mov %eax, %r10d
	RESTORE
	mov CALL_ARGS + 24(%rsp), %rcx
	mov CALL_OLD(%rsp), %r8
	mov CALL_OLD + 8(%rsp), %r9
	mov CALL_OLD + 16(%rsp), %rax
	test %r10b, %r10b
	jne 0f
	UNFRAME_AND_JUMP
0:	CALL_ORIGINAL (%r11)
	DONE sp_agent_map_done
	.cfi_adjust_cfa_offset -CALL_BYTES
	ENDENTRY map

	/* The dynamic linker's empty function for debuggers. Its callers may know that it changes no register. */
	ENTRY loader
	FRAME
	mov %rcx, CALL_ARGS + 24(%rsp)
	mov %r8, CALL_OLD(%rsp)
	mov %r9, CALL_OLD + 8(%rsp)
	mov %rax, CALL_OLD + 16(%rsp)
	mov %r10, CALL_RESULT(%rsp)
	call sp_agent_loader
	RESTORE
	mov CALL_ARGS + 24(%rsp), %rcx
	mov CALL_OLD(%rsp), %r8
	mov CALL_OLD + 8(%rsp), %r9
	mov CALL_OLD + 16(%rsp), %rax
	mov CALL_RESULT(%rsp), %r10
	UNFRAME_AND_JUMP
	.cfi_adjust_cfa_offset -CALL_BYTES
	ENDENTRY loader

	.section .note.GNU-stack, "", @progbits
