// SPDX-License-Identifier: Apache-2.0
/*
 * From CFI's rules to what a row can say.
 *
 * Compilers and linkers write only a few kinds of DWARF expressions on x86-64 outside of hand-written assembly:
 *   PLT         breg7 8; breg16 0; lit15; and; litN; ge; lit3; shl; plus   (binutils elfxx-x86: N = 11, or 5, 9 for
 * IBT) DRAP        CFA: breg6 off; deref, rbp: breg6 0           (gcc: dwarf2cfi.cc, stack realigned through r10)
 *   signal      CFA: breg7 160; deref, rbp: breg7 120, pc: breg7 168       (glibc __restore_rt: struct ucontext at rsp)
 *   plain       CFA: breg7 off                                             (hand-written: the same as def_cfa rsp, off)
 * Everything else is SP_ROW_BAD.
 */
#include <dwarf.h>

#include "elf/cfi.h"

#define REG_RBP 6 /* System V AMD64 ABI, figure 3.36 */
#define REG_RSP 7

/* struct ucontext on the signal frame: uc_flags, uc_link, uc_stack (24), then r8-r15, rdi, rsi, rbp, ... rsp, rip. */
#define UCONTEXT_RBP 120
#define UCONTEXT_RSP 160
#define UCONTEXT_RIP 168

static bool is_plt(struct sp_elf_cursor c, int64_t *ret_push_done)
{
	static const uint8_t before[] = {DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and};
	static const uint8_t behind[] = {DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus};
	uint8_t lit = 0;

	if (c.end - c.p != sizeof(before) + 1 + sizeof(behind))
		return false;
	lit = c.p[sizeof(before)];
	if (__builtin_memcmp(c.p, before, sizeof(before)) != 0 || lit < DW_OP_lit0 || lit > DW_OP_lit15 ||
	    __builtin_memcmp(c.p + sizeof(before) + 1, behind, sizeof(behind)) != 0)
		return false;
	*ret_push_done = lit - DW_OP_lit0;
	return true;
}

/* One register and an offset, and nothing behind it. */
static bool is_breg(struct sp_elf_cursor *c, uint8_t *ret_op, int64_t *ret_off)
{
	*ret_op = sp_elf_cursor_u8(c);
	if (*ret_op != DW_OP_breg6 && *ret_op != DW_OP_breg7)
		return false;
	*ret_off = sp_elf_cursor_sleb(c);
	return !c->is_bad;
}

void sp_elf_expr_to_cfa(struct sp_elf_cursor expr, struct sp_elf_cfa *ret)
{
	int64_t off;
	uint8_t op;

	*ret = (struct sp_elf_cfa){.kind = SP_ELF_CFA_OTHER};
	if (is_plt(expr, &off)) {
		*ret = (struct sp_elf_cfa){.kind = SP_ELF_CFA_PLT, .off = off};
	} else if (is_breg(&expr, &op, &off)) {
		if (expr.p == expr.end)
			*ret = (struct sp_elf_cfa){.kind = SP_ELF_CFA_REG, .reg = op - DW_OP_breg0, .off = off};
		else if (expr.end - expr.p == 1 && *expr.p == DW_OP_deref)
			*ret = (struct sp_elf_cfa){
			    .kind = op == DW_OP_breg6 ? SP_ELF_CFA_RBP_DEREF : SP_ELF_CFA_RSP_DEREF, .off = off};
	}
}

void sp_elf_expr_to_rule(struct sp_elf_cursor expr, struct sp_elf_rule *ret)
{
	int64_t off;
	uint8_t op;

	*ret = (struct sp_elf_rule){.kind = SP_ELF_RULE_OTHER};
	if (is_breg(&expr, &op, &off) && expr.p == expr.end)
		*ret = (struct sp_elf_rule){.kind = op == DW_OP_breg6 ? SP_ELF_RULE_RBP : SP_ELF_RULE_RSP, .off = off};
}

static bool is_rule(const struct sp_elf_rule *r, enum sp_elf_rule_kind kind, int64_t off)
{
	return r->kind == kind && r->off == off;
}

static bool fits_cfa_off(int64_t off)
{
	return off >= INT16_MIN && off <= INT16_MAX;
}

/* The caller's rbp in a row's 8 bits. False: not expressible. */
static bool rbp_of(const struct sp_elf_rule *rbp, signed char *ret)
{
	if (rbp->kind == SP_ELF_RULE_SAME) {
		*ret = SP_ROW_RBP_SAME;
		return true;
	}
	if (rbp->kind != SP_ELF_RULE_CFA || rbp->off % 8 != 0 || rbp->off == 0)
		return false;
	if (rbp->off / 8 < INT8_MIN || rbp->off / 8 > INT8_MAX)
		return false;
	*ret = (signed char)(rbp->off / 8);
	return true;
}

static bool row_of_reg(const struct sp_elf_cfi_state *s, struct sp_row *ret)
{
	struct sp_row row = {.kind = s->cfa.reg == REG_RBP ? SP_ROW_RBP : SP_ROW_RSP};

	if ((s->cfa.reg != REG_RBP && s->cfa.reg != REG_RSP) || !fits_cfa_off(s->cfa.off) ||
	    !rbp_of(&s->rbp, &row.rbp_off))
		return false;
	row.cfa_off = (short)s->cfa.off;
	*ret = row;
	return true;
}

struct sp_row sp_elf_cfi_row(const struct sp_elf_cfi_state *s)
{
	struct sp_row row = {.kind = SP_ROW_BAD};

	if (s->ra.kind == SP_ELF_RULE_UNDEFINED)
		return (struct sp_row){.kind = SP_ROW_END};
	if (s->cfa.kind == SP_ELF_CFA_RSP_DEREF) {
		if (s->cfa.off == UCONTEXT_RSP && is_rule(&s->rbp, SP_ELF_RULE_RSP, UCONTEXT_RBP) &&
		    is_rule(&s->ra, SP_ELF_RULE_RSP, UCONTEXT_RIP))
			row.kind = SP_ROW_SIG;
		return row;
	}
	if (!is_rule(&s->ra, SP_ELF_RULE_CFA, -8))
		return row;
	if (s->cfa.kind == SP_ELF_CFA_REG)
		row_of_reg(s, &row);
	else if (s->cfa.kind == SP_ELF_CFA_PLT && s->rbp.kind == SP_ELF_RULE_SAME)
		row = (struct sp_row){.kind = SP_ROW_PLT, .cfa_off = (short)s->cfa.off};
	else if (s->cfa.kind == SP_ELF_CFA_RBP_DEREF && is_rule(&s->rbp, SP_ELF_RULE_RBP, 0) &&
		 fits_cfa_off(s->cfa.off))
		row = (struct sp_row){.kind = SP_ROW_RBP_DEREF, .cfa_off = (short)s->cfa.off};
	return row;
}
