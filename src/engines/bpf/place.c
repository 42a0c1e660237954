// SPDX-License-Identifier: Apache-2.0
/*
 * Where in a function's first instructions a breakpoint is cheap.
 *
 * At a uprobe the kernel emulates only nop, push of a register, and relative jumps and calls; any other instruction it
 * copies and single-steps, which takes ten times as long. So the probe goes to the first emulated instruction, as long
 * as what the probe reads (argument registers, rsp at its value on entry) is still there and every call passes it
 * exactly once. Source: arch/x86/kernel/uprobes.c (branch_setup_xol_ops, push_setup_xol_ops).
 */
#include <Zydis/Zydis.h>

#include "engines/bpf/impl.h"

#define MAX_SKIP 32 /* bytes; further in, the entry block is doing real work */

static bool is_emulated(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
		return i->length == 1; /* 0x90: longer nops only on newer kernels */
	case ZYDIS_MNEMONIC_PUSH:
		return op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && i->length <= 2;
	case ZYDIS_MNEMONIC_CALL:
	case ZYDIS_MNEMONIC_JMP:
		return op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	default:
		return i->meta.category == ZYDIS_CATEGORY_COND_BR && op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
		       i->mnemonic != ZYDIS_MNEMONIC_JRCXZ && i->mnemonic != ZYDIS_MNEMONIC_JECXZ &&
		       i->mnemonic != ZYDIS_MNEMONIC_LOOP && i->mnemonic != ZYDIS_MNEMONIC_LOOPE &&
		       i->mnemonic != ZYDIS_MNEMONIC_LOOPNE;
	}
}

/* Registers that a probe reads: the first four arguments and the stack pointer. */
static bool is_needed(ZydisRegister reg)
{
	switch (ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
	case ZYDIS_REGISTER_RDI:
	case ZYDIS_REGISTER_RSI:
	case ZYDIS_REGISTER_RDX:
	case ZYDIS_REGISTER_RCX:
	case ZYDIS_REGISTER_RSP:
		return true;
	default:
		return false;
	}
}

/* May the probe come after this instruction? */
static bool is_harmless(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *ops)
{
	switch (i->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_STRINGOP:
		return false;
	default:
		break;
	}
	for (int n = 0; n < i->operand_count; n++)
		if (ops[n].type == ZYDIS_OPERAND_TYPE_REGISTER && (ops[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		    is_needed(ops[n].reg.value))
			return false;
	return true;
}

/* Does any direct branch in the code lead to (0, to]? Then the place may be passed twice in one call. */
static bool is_jumped_into(const ZydisDecoder *d, const uint8_t *code, size_t len, unsigned to)
{
	ZydisDecodedInstruction i;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

	for (size_t at = 0; at < len; at += i.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, code + at, len - at, &i, ops)))
			return false; /* data, or cut by len */
		if (!i.operand_count_visible || ops[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !ops[0].imm.is_relative)
			continue;
		int64_t target = (int64_t)at + i.length + ops[0].imm.value.s;
		if (target > 0 && target <= to)
			return true;
	}
	return false;
}

unsigned sp_bpf_place(const uint8_t *code, size_t len)
{
	ZydisDecoder d;
	ZydisDecodedInstruction i;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	size_t at = 0;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return 0;
	while (at < MAX_SKIP) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, code + at, len - at, &i, ops)))
			return 0;
		if (is_emulated(&i, ops))
			return is_jumped_into(&d, code, len, (unsigned)at) ? 0 : (unsigned)at;
		if (!is_harmless(&i, ops))
			return 0;
		at += i.length;
	}
	return 0;
}
