// SPDX-License-Identifier: Apache-2.0
/*
 * x86-64: where the jump of a hook goes in a function, and how the instructions that it overwrites live on elsewhere.
 *
 *   function:   push r12            stays where it is; the stub takes it back (lea rsp, [rsp + 8])
 *               jmp stub            5 bytes over whole instructions
 *               ...                 the rest
 *   stub:       what takes the first instructions back; lea r11, [descriptor]; jmp entry
 *   trampoline: push r12; the overwritten instructions; jmp to the rest
 *
 * Why not at the first byte: a uprobe of another tool that is planted there later would write its breakpoint into our
 * jump, execute the file's first instruction elsewhere and come back into the middle of the jump. With the first
 * instruction left alone both work. It must be one that can be taken back when the stub begins: a push, a comparison, a
 * value for a register that means nothing at a function's entry. A function that is nothing but a jump keeps being one.
 *
 * Met in practice (glibc 2.36, musl 1.2.3, jemalloc 5.3, tcmalloc 2.10): push; test and a conditional jump (free: its
 * distance grows to 32 bits); cmpb on a variable by rip (memalign: its distance is counted anew; the flags live on);
 * a jump only (musl's malloc); xor ecx, ecx and a jump (rallocx); mov eax and syscall (munmap). Sources for what is
 * dead at entry: the psABI, 3.2.3 (arguments in rdi rsi rdx rcx r8 r9; rax only counts vector registers of a call with
 * variable arguments, an upper bound that none of these functions needs; r10, r11 free).
 *
 * A jump to the function's first byte from its own code is a new call with all that belongs to one. A jump to any other
 * byte of what is moved makes a hook impossible there.
 */
#include <Zydis/Zydis.h>
#include <errno.h>
#include <string.h>

#include "inject/arch/arch.h"

enum { PAGE_BYTES = 4096, MAX_KEPT = 3 /* instructions in front of the jump */, MAX_FUNCTION = 1 << 16 };

struct insn {
	ZydisDecodedInstruction i;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	unsigned at; /* from the function's start */
};

struct plan {
	const struct sp_code *code;
	ZydisDecoder decoder;
	struct insn insns[SP_HOOK_MAX_INSNS];
	unsigned nr;
	const char *reason;
};

/* ---- looking at instructions ---- */

static bool decode(const struct plan *p, size_t at, struct insn *ret)
{
	ret->at = (unsigned)at;
	return at < p->code->nr && ZYAN_SUCCESS(ZydisDecoderDecodeFull(&p->decoder, p->code->bytes + at,
								       p->code->nr - at, &ret->i, ret->ops));
}

static unsigned end_of(const struct insn *n)
{
	return n->at + n->i.length;
}

/* A branch whose distance is in the instruction. *ret_to: from the function's start. */
static bool is_direct_branch(const struct insn *n, int64_t *ret_to)
{
	if (!n->i.operand_count_visible || n->ops[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !n->ops[0].imm.is_relative)
		return false;
	*ret_to = (int64_t)end_of(n) + n->ops[0].imm.value.s;
	return true;
}

/* Nothing runs on behind it. */
static bool is_last(const struct insn *n)
{
	return n->i.meta.category == ZYDIS_CATEGORY_UNCOND_BR || n->i.meta.category == ZYDIS_CATEGORY_RET ||
	       n->i.mnemonic == ZYDIS_MNEMONIC_UD2 || n->i.mnemonic == ZYDIS_MNEMONIC_HLT;
}

static bool is_padding(const struct insn *n)
{
	return n->i.meta.category == ZYDIS_CATEGORY_NOP || n->i.meta.category == ZYDIS_CATEGORY_WIDENOP ||
	       n->i.mnemonic == ZYDIS_MNEMONIC_INT3 || n->i.mnemonic == ZYDIS_MNEMONIC_ENDBR64;
}

static bool is_rip_relative(const struct insn *n)
{
	for (unsigned k = 0; k < n->i.operand_count; k++)
		if (n->ops[k].type == ZYDIS_OPERAND_TYPE_MEMORY && n->ops[k].mem.base == ZYDIS_REGISTER_RIP)
			return true;
	return false;
}

/* Why this instruction cannot run elsewhere; NULL: it can. */
static const char *immovable(const struct insn *n)
{
	int64_t to;

	switch (n->i.mnemonic) {
	case ZYDIS_MNEMONIC_JCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JRCXZ:
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE:
		return "it begins with a jump that has no long form";
	case ZYDIS_MNEMONIC_XBEGIN:
		return "it begins with a transaction";
	case ZYDIS_MNEMONIC_INT3:
		return "it begins with a breakpoint";
	default:
		break;
	}
	if (n->i.meta.category == ZYDIS_CATEGORY_CALL && (!is_direct_branch(n, &to) || n->i.length != 5))
		return "it begins with an indirect call";
	if (n->i.meta.category == ZYDIS_CATEGORY_INTERRUPT)
		return "it begins with an interrupt";
	for (unsigned k = 0; k < n->i.operand_count; k++)
		if (n->ops[k].type == ZYDIS_OPERAND_TYPE_MEMORY && n->ops[k].mem.base == ZYDIS_REGISTER_EIP)
			return "it begins with a 32-bit address";
	return NULL;
}

/* ---- taking an instruction back ---- */

static bool is_dead_register(ZydisRegister reg, unsigned nr_args)
{
	static const ZydisRegister ARGS[] = {ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDX,
					     ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_R8,  ZYDIS_REGISTER_R9};
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	for (unsigned k = nr_args; k < SP_ARRAY_SIZE(ARGS); k++)
		if (whole == ARGS[k])
			return true;
	return whole == ZYDIS_REGISTER_RAX || whole == ZYDIS_REGISTER_R10 || whole == ZYDIS_REGISTER_R11 ||
	       reg == ZYDIS_REGISTER_RFLAGS || reg == ZYDIS_REGISTER_RIP;
}

/* Writes nothing but registers that mean nothing at a function's entry. */
static bool is_without_effect(const struct insn *n, unsigned nr_args)
{
	switch (n->i.meta.category) {
	case ZYDIS_CATEGORY_BINARY:
	case ZYDIS_CATEGORY_LOGICAL:
	case ZYDIS_CATEGORY_DATAXFER:
	case ZYDIS_CATEGORY_MISC: /* lea; pushes are looked at before */
	case ZYDIS_CATEGORY_CMOV:
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_BITBYTE:
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_WIDENOP:
		break;
	default:
		return n->i.mnemonic == ZYDIS_MNEMONIC_ENDBR64;
	}
	if (n->i.mnemonic == ZYDIS_MNEMONIC_CPUID || n->i.mnemonic == ZYDIS_MNEMONIC_PAUSE)
		return false;
	for (unsigned k = 0; k < n->i.operand_count; k++) {
		if (!(n->ops[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		if (n->ops[k].type != ZYDIS_OPERAND_TYPE_REGISTER || !is_dead_register(n->ops[k].reg.value, nr_args))
			return false;
	}
	return true;
}

/* lea rsp, [rsp + by]: leaves the flags. */
static void put_raise_sp(struct sp_relocation *r, int32_t by)
{
	static const uint8_t LEA[] = {0x48, 0x8d, 0xa4, 0x24};

	memcpy(r->undo + r->undo_bytes, LEA, sizeof(LEA));
	memcpy(r->undo + r->undo_bytes + sizeof(LEA), &by, sizeof(by));
	r->undo_bytes += sizeof(LEA) + sizeof(by);
}

/* What the stack pointer must get back for this instruction; -1: it cannot be taken back. */
static int32_t undo_of(const struct insn *n, unsigned nr_args)
{
	if (n->i.mnemonic == ZYDIS_MNEMONIC_PUSH)
		return n->i.operand_width == 64 ? 8 : -1;
	if (n->i.mnemonic == ZYDIS_MNEMONIC_SUB && n->ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    n->ops[0].reg.value == ZYDIS_REGISTER_RSP && n->ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		int64_t by = n->ops[1].imm.value.s;
		return by > 0 && by < PAGE_BYTES ? (int32_t)by : -1;
	}
	return is_without_effect(n, nr_args) ? 0 : -1;
}

/* ---- the place ---- */

static bool crosses_page(const struct plan *p, unsigned place)
{
	uint64_t at = p->code->address + place;

	return at / PAGE_BYTES != (at + SP_HOOK_JUMP_BYTES - 1) / PAGE_BYTES;
}

/*
 * How far whole instructions reach that the jump overwrites, 0: not possible. A function may end before: then what
 * follows must be padding.
 */
static unsigned cover(struct plan *p, unsigned place, unsigned *ret_nr)
{
	bool ended = false;

	for (unsigned k = 0; k < p->nr; k++) {
		const struct insn *n = &p->insns[k];
		if (ended && !is_padding(n)) {
			p->reason = "it is shorter than a jump";
			return 0;
		}
		if (!ended) {
			*ret_nr = k + 1;
			if ((p->reason = immovable(n)))
				return 0;
			ended = is_last(n);
		}
		if (end_of(n) >= place + SP_HOOK_JUMP_BYTES)
			return end_of(n);
	}
	p->reason = "its first instructions cannot be decoded";
	return 0;
}

/* Does the function's own code jump to a byte in (0, covered)? Code behind what cannot be decoded is not looked at. */
static bool is_jumped_into(const struct plan *p, unsigned covered)
{
	size_t end = p->code->size && p->code->size < p->code->nr ? p->code->size : p->code->nr;
	struct insn n;
	int64_t to;

	for (size_t at = 0; at < end && decode(p, at, &n); at += n.i.length)
		if (is_direct_branch(&n, &to) && to > 0 && to < covered)
			return true;
	return false;
}

/* The hook with the first `nr_kept` instructions left where they are. */
static bool try_kept(struct plan *p, unsigned nr_kept, struct sp_relocation *r)
{
	unsigned nr = 0;

	r->undo_bytes = 0;
	r->place = nr_kept ? end_of(&p->insns[nr_kept - 1]) : 0;
	for (unsigned k = nr_kept; k-- > 0;) {
		int32_t by = undo_of(&p->insns[k], p->code->nr_args);
		if (by < 0 || r->undo_bytes + 8 > sizeof(r->undo))
			return false;
		if (by)
			put_raise_sp(r, by);
	}
	if (crosses_page(p, r->place)) {
		p->reason = "the jump would cross a page";
		return false;
	}
	r->covered = cover(p, r->place, &nr);
	if (!r->covered)
		return false;
	if (is_jumped_into(p, r->covered)) {
		p->reason = "it jumps back to its first instructions";
		return false;
	}
	r->nr_insns = nr;
	for (unsigned k = 0; k < nr; k++)
		r->from[k] = (uint8_t)p->insns[k].at;
	return true;
}

static bool is_jump_only(const struct plan *p)
{
	return p->insns[0].i.mnemonic == ZYDIS_MNEMONIC_JMP && p->insns[0].i.length == SP_HOOK_JUMP_BYTES &&
	       p->insns[0].i.raw.imm[0].size == 32;
}

static int start(struct plan *p, const struct sp_code *code)
{
	*p = (struct plan){.code = code};
	if (!ZYAN_SUCCESS(ZydisDecoderInit(&p->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return -ENOTSUP;
	for (unsigned at = 0; p->nr < SP_HOOK_MAX_INSNS && at < SP_HOOK_MAX_MOVED; p->nr++) {
		if (!decode(p, at, &p->insns[p->nr]))
			break;
		at = end_of(&p->insns[p->nr]);
	}
	return 0;
}

int sp_relocate_plan(const struct sp_code *code, struct sp_relocation *ret, const char **ret_reason)
{
	struct plan p;
	struct sp_relocation r = {.function = code->address};

	if (start(&p, code) < 0 || !p.nr) {
		*ret_reason = "its first instruction cannot be decoded";
		return -ENOTSUP;
	}
	r.at = SP_INJECT_AT_SECOND;
	for (unsigned kept = 1; !is_jump_only(&p) && kept <= MAX_KEPT && kept < p.nr; kept++) {
		if (undo_of(&p.insns[kept - 1], code->nr_args) < 0)
			break;
		if (try_kept(&p, kept, &r)) {
			*ret = r;
			return 0;
		}
	}
	r.at = is_jump_only(&p) ? SP_INJECT_AT_JUMP : SP_INJECT_AT_FIRST;
	if (try_kept(&p, 0, &r)) {
		*ret = r;
		return 0;
	}
	*ret_reason = p.reason;
	return -ENOTSUP;
}

/* ---- the code ---- */

static int put(struct sp_relocation *r, const void *bytes, size_t nr)
{
	if (nr > sizeof(r->code) - r->code_bytes)
		return -ENOSPC;
	memcpy(r->code + r->code_bytes, bytes, nr);
	r->code_bytes += (unsigned)nr;
	return 0;
}

static int distance(uint64_t from, uint64_t to, int32_t *ret)
{
	int64_t d = (int64_t)(to - from);

	if (d != (int32_t)d)
		return -ERANGE;
	*ret = (int32_t)d;
	return 0;
}

/* An instruction of `nr` bytes of opcode and a 32-bit distance to `to`. */
static int put_far(struct sp_relocation *r, uint64_t trampoline, const uint8_t *opcode, size_t nr, uint64_t to)
{
	int32_t d;

	int rc = distance(trampoline + r->code_bytes + nr + sizeof(d), to, &d);
	if (rc == 0)
		rc = put(r, opcode, nr);
	return rc ? rc : put(r, &d, sizeof(d));
}

/* Pushes an address as a call would have, 4 bytes at a time, and goes on to the callee: it returns to the function. */
static int put_call(struct sp_relocation *r, uint64_t trampoline, uint64_t back, uint64_t to)
{
	static const uint8_t PUSH = 0x68, MOV[] = {0xc7, 0x44, 0x24, 0x04}, JMP = 0xe9;
	uint32_t low = (uint32_t)back, high = (uint32_t)(back >> 32);

	int rc = put(r, &PUSH, 1); /* sign-extended; the upper half follows */
	if (rc == 0)
		rc = put(r, &low, sizeof(low));
	if (rc == 0)
		rc = put(r, MOV, sizeof(MOV));
	if (rc == 0)
		rc = put(r, &high, sizeof(high));
	return rc ? rc : put_far(r, trampoline, &JMP, 1, to);
}

static int put_branch(struct sp_relocation *r, uint64_t trampoline, const struct insn *n, int64_t to)
{
	uint64_t target = r->function + (uint64_t)to;
	static const uint8_t JMP = 0xe9;

	if (n->i.meta.category == ZYDIS_CATEGORY_CALL)
		return put_call(r, trampoline, r->function + end_of(n), target);
	if (n->i.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
		return put_far(r, trampoline, &JMP, 1, target);
	/* The condition is the low half of the opcode's last byte, in the short form and in the long one. */
	const uint8_t jcc[2] = {0x0f, 0x80 | (n->i.opcode & 0x0f)};
	return put_far(r, trampoline, jcc, sizeof(jcc), target);
}

static int put_insn(struct sp_relocation *r, uint64_t trampoline, const struct insn *n, const uint8_t *bytes)
{
	int64_t to;
	int32_t d;

	if (is_direct_branch(n, &to))
		return put_branch(r, trampoline, n, to);
	unsigned start_of = r->code_bytes;
	int rc = put(r, bytes, n->i.length);
	if (rc < 0 || !is_rip_relative(n))
		return rc;
	/* Counted from the instruction's end, in both places. */
	uint64_t address = r->function + end_of(n) + (uint64_t)n->i.raw.disp.value;
	rc = distance(trampoline + start_of + n->i.length, address, &d);
	if (rc == 0)
		memcpy(r->code + start_of + n->i.raw.disp.offset, &d, sizeof(d));
	return rc;
}

int sp_relocate_encode(const struct sp_code *code, uint64_t trampoline, struct sp_relocation *r)
{
	static const uint8_t JMP = 0xe9;
	struct plan p;
	int rc = start(&p, code);

	r->code_bytes = 0;
	for (unsigned k = 0; rc == 0 && k < r->nr_insns; k++) {
		if (k >= p.nr || p.insns[k].at != r->from[k])
			return -EINVAL;
		r->to[k] = (uint8_t)r->code_bytes;
		rc = put_insn(r, trampoline, &p.insns[k], code->bytes + p.insns[k].at);
	}
	if (rc == 0 && !is_last(&p.insns[r->nr_insns - 1]))
		rc = put_far(r, trampoline, &JMP, 1, r->function + r->covered);
	return rc;
}

int sp_relocate_jump(uint64_t place, uint64_t to, uint8_t ret[SP_HOOK_JUMP_BYTES])
{
	int32_t d;
	int rc = distance(place + SP_HOOK_JUMP_BYTES, to, &d);

	if (rc < 0)
		return rc;
	ret[0] = 0xe9;
	memcpy(ret + 1, &d, sizeof(d));
	return 0;
}

uint64_t sp_relocate_jump_target(uint64_t place, const uint8_t bytes[SP_HOOK_JUMP_BYTES])
{
	int32_t d;

	memcpy(&d, bytes + 1, sizeof(d));
	return bytes[0] == 0xe9 ? place + SP_HOOK_JUMP_BYTES + (uint64_t)(int64_t)d : 0;
}

size_t sp_relocate_stub(const struct sp_relocation *r, uint64_t stub, uint64_t desc, uint64_t entry, uint8_t *buf,
			size_t size)
{
	static const uint8_t LEA_R11[] = {0x4c, 0x8d, 0x1d}, JMP_MEM[] = {0xff, 0x25, 0, 0, 0, 0};
	size_t at = r->undo_bytes;
	int32_t d;

	if (size < at + sizeof(LEA_R11) + sizeof(d) + sizeof(JMP_MEM) + sizeof(entry) ||
	    distance(stub + at + sizeof(LEA_R11) + sizeof(d), desc, &d) < 0)
		return 0;
	memcpy(buf, r->undo, at);
	memcpy(buf + at, LEA_R11, sizeof(LEA_R11));
	memcpy(buf + at + sizeof(LEA_R11), &d, sizeof(d));
	at += sizeof(LEA_R11) + sizeof(d);
	memcpy(buf + at, JMP_MEM, sizeof(JMP_MEM)); /* the address follows */
	memcpy(buf + at + sizeof(JMP_MEM), &entry, sizeof(entry));
	return at + sizeof(JMP_MEM) + sizeof(entry);
}

/* ---- jumps from elsewhere ---- */

/* The byte in front of a 32-bit distance at `p`: of a call, a jump, a conditional jump? */
static bool is_branch_opcode(const uint8_t *text, size_t at)
{
	if (at && (text[at - 1] == 0xe8 || text[at - 1] == 0xe9))
		return true;
	return at > 1 && text[at - 2] == 0x0f && (text[at - 1] & 0xf0) == 0x80;
}

bool sp_relocate_is_reached(const uint8_t *text, size_t nr, uint64_t address, uint64_t lo, uint64_t hi)
{
	for (size_t at = 0; at + sizeof(int32_t) <= nr; at++) {
		int32_t d;
		memcpy(&d, text + at, sizeof(d));
		uint64_t to = address + at + sizeof(d) + (uint64_t)(int64_t)d;
		if (to - lo < hi - lo && is_branch_opcode(text, at))
			return true;
	}
	return false;
}
