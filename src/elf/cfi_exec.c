// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the little programs of CFI (DWARF 5, 6.4.2) and gives a row wherever the line they describe changes.
 * A hot path: one call per FDE, about ten instructions each, no allocation.
 */
#include <dwarf.h>
#include <string.h>

#include "elf/cfi.h"

#define REG_RBP        6
#define REG_RA         16
#define MAX_REMEMBERED 32 /* nesting of remember_state; compilers use 1 or 2 */

struct machine {
	struct sp_elf_cursor c;
	const struct sp_elf_cie *cie;
	const struct sp_elf_cfi_section *section;
	struct sp_elf_row_sink *sink; /* NULL: a CIE's own program */
	uint64_t pc;
	uint64_t end;
	bool is_damaged;
	int err;
	unsigned depth;
	struct sp_elf_cfi_state now;
	struct sp_elf_rule ignored; /* every register that rows do not have */
	struct sp_elf_cfi_state remembered[MAX_REMEMBERED];
};

static struct sp_elf_rule *rule_of(struct machine *m, uint64_t reg)
{
	return reg == REG_RBP ? &m->now.rbp : reg == REG_RA ? &m->now.ra : &m->ignored;
}

static int64_t factored(const struct machine *m, uint64_t v)
{
	return (int64_t)(v * (uint64_t)m->cie->data_align);
}

static void set_rule(struct machine *m, uint64_t reg, enum sp_elf_rule_kind kind, int64_t off)
{
	*rule_of(m, reg) = (struct sp_elf_rule){.kind = kind, .off = off};
}

static void restore(struct machine *m, uint64_t reg)
{
	if (!m->sink)
		m->is_damaged = true;
	else if (reg == REG_RBP)
		m->now.rbp = m->cie->initial.rbp;
	else if (reg == REG_RA)
		m->now.ra = m->cie->initial.ra;
}

/* What was said so far holds for [m->pc, pc). */
static void move_to(struct machine *m, uint64_t pc)
{
	if (!m->sink || pc < m->pc) {
		m->is_damaged = true;
		return;
	}
	if (pc > m->pc && m->pc < m->end)
		m->err = sp_elf_row_put(m->sink, m->pc, sp_elf_cfi_row(&m->now));
	m->pc = pc;
}

static void advance(struct machine *m, uint64_t delta)
{
	uint64_t pc;

	if (__builtin_mul_overflow(delta, m->cie->code_align, &pc) || __builtin_add_overflow(pc, m->pc, &pc))
		m->is_damaged = true;
	else
		move_to(m, pc);
}

static void set_cfa_off(struct machine *m, int64_t off)
{
	m->now.cfa.off = off;
	if (m->now.cfa.kind != SP_ELF_CFA_REG)
		m->now.cfa.kind = SP_ELF_CFA_OTHER; /* valid only after reg + offset */
}

static void set_cfa(struct machine *m, uint64_t reg, int64_t off)
{
	m->now.cfa = (struct sp_elf_cfa){.kind = SP_ELF_CFA_REG, .reg = reg, .off = off};
}

static struct sp_elf_cursor take_block(struct machine *m)
{
	uint64_t length = sp_elf_cursor_uleb(&m->c);
	struct sp_elf_cursor block = {.p = m->c.p, .end = m->c.p};

	if (length > (uint64_t)(m->c.end - m->c.p)) {
		m->c.is_bad = true;
		return block;
	}
	m->c.p += length;
	block.end = m->c.p;
	return block;
}

static bool step_cfa(struct machine *m, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case DW_CFA_def_cfa_offset:
		set_cfa_off(m, (int64_t)sp_elf_cursor_uleb(&m->c));
		return true;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa_off(m, factored(m, sp_elf_cursor_leb(&m->c, true)));
		return true;
	case DW_CFA_def_cfa_register:
		m->now.cfa.reg = sp_elf_cursor_uleb(&m->c);
		set_cfa_off(m, m->now.cfa.off);
		return true;
	case DW_CFA_def_cfa:
		reg = sp_elf_cursor_uleb(&m->c);
		set_cfa(m, reg, (int64_t)sp_elf_cursor_uleb(&m->c));
		return true;
	case DW_CFA_def_cfa_sf:
		reg = sp_elf_cursor_uleb(&m->c);
		set_cfa(m, reg, factored(m, sp_elf_cursor_leb(&m->c, true)));
		return true;
	case DW_CFA_def_cfa_expression:
		sp_elf_expr_to_cfa(take_block(m), &m->now.cfa);
		return true;
	default:
		return false;
	}
}

static bool step_location(struct machine *m, uint8_t op)
{
	switch (op) {
	case DW_CFA_nop:
		return true;
	case DW_CFA_set_loc:
		move_to(m,
			sp_elf_cfi_pointer(&m->c, m->cie->pointer_encoding,
					   m->section ? m->section->vaddr + (uint64_t)(m->c.p - m->section->data) : 0));
		return true;
	case DW_CFA_advance_loc1:
		advance(m, sp_elf_cursor_u8(&m->c));
		return true;
	case DW_CFA_advance_loc2:
		advance(m, sp_elf_cursor_fixed(&m->c, 2));
		return true;
	case DW_CFA_advance_loc4:
		advance(m, sp_elf_cursor_fixed(&m->c, 4));
		return true;
	default:
		return false;
	}
}

/* restore_state brings the CFA back too: that is how gcc, clang and libgcc's unwinder understand it. */
static bool step_stack(struct machine *m, uint8_t op)
{
	if (op == DW_CFA_remember_state && m->depth < MAX_REMEMBERED)
		m->remembered[m->depth++] = m->now;
	else if (op == DW_CFA_restore_state && m->depth > 0)
		m->now = m->remembered[--m->depth];
	else
		return false;
	return true;
}

static bool step_offset(struct machine *m, uint8_t op, uint64_t reg)
{
	switch (op) {
	case DW_CFA_offset_extended:
		set_rule(m, reg, SP_ELF_RULE_CFA, factored(m, sp_elf_cursor_uleb(&m->c)));
		return true;
	case DW_CFA_offset_extended_sf:
		set_rule(m, reg, SP_ELF_RULE_CFA, factored(m, sp_elf_cursor_leb(&m->c, true)));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		set_rule(m, reg, SP_ELF_RULE_CFA, factored(m, -sp_elf_cursor_uleb(&m->c)));
		return true;
	case DW_CFA_register:
	case DW_CFA_val_offset:
		sp_elf_cursor_uleb(&m->c);
		break;
	case DW_CFA_val_offset_sf:
		sp_elf_cursor_sleb(&m->c);
		break;
	default:
		return false;
	}
	set_rule(m, reg, SP_ELF_RULE_OTHER, 0);
	return true;
}

static void step_register(struct machine *m, uint8_t op)
{
	uint64_t reg = sp_elf_cursor_uleb(&m->c);

	switch (op) {
	case DW_CFA_GNU_args_size: /* what was read is the size; it matters only to landing pads */
		return;
	case DW_CFA_restore_extended:
		restore(m, reg);
		return;
	case DW_CFA_undefined:
		set_rule(m, reg, SP_ELF_RULE_UNDEFINED, 0);
		return;
	case DW_CFA_same_value:
		set_rule(m, reg, SP_ELF_RULE_SAME, 0);
		return;
	case DW_CFA_expression:
		sp_elf_expr_to_rule(take_block(m), rule_of(m, reg));
		return;
	case DW_CFA_val_expression:
		take_block(m);
		set_rule(m, reg, SP_ELF_RULE_OTHER, 0);
		return;
	default:
		if (!step_offset(m, op, reg))
			m->is_damaged = true;
	}
}

static void run(struct machine *m)
{
	while (m->c.p < m->c.end && m->pc < m->end && !m->c.is_bad && !m->is_damaged && !m->err) {
		uint8_t op = *m->c.p++;

		if ((op & 0xc0) == DW_CFA_advance_loc)
			advance(m, op & 0x3f);
		else if ((op & 0xc0) == DW_CFA_offset)
			set_rule(m, op & 0x3f, SP_ELF_RULE_CFA, factored(m, sp_elf_cursor_uleb(&m->c)));
		else if ((op & 0xc0) == DW_CFA_restore)
			restore(m, op & 0x3f);
		else if (!step_cfa(m, op) && !step_location(m, op) && !step_stack(m, op))
			step_register(m, op);
	}
	m->is_damaged |= m->c.is_bad;
}

bool sp_elf_cfi_exec_initial(struct sp_elf_cie *cie, struct sp_elf_cursor program)
{
	struct machine m;

	/* All but `remembered`, which is written before it is read. */
	memset(&m, 0, offsetof(struct machine, remembered));
	m.c = program;
	m.cie = cie;
	m.end = 1;
	m.now.cfa.kind = SP_ELF_CFA_OTHER;
	m.now.ra.kind = SP_ELF_RULE_OTHER;
	run(&m);
	cie->initial = m.now;
	return !m.is_damaged;
}

int sp_elf_cfi_exec(const struct sp_elf_cfi_section *s, const struct sp_elf_fde *fde, uint64_t end,
		    struct sp_elf_row_sink *sink)
{
	struct machine m;
	struct sp_row row = {.kind = SP_ROW_BAD};

	memset(&m, 0, offsetof(struct machine, remembered));
	m.c = fde->program;
	m.cie = fde->cie;
	m.section = s;
	m.sink = sink;
	m.pc = fde->begin;
	m.end = end;
	m.now = fde->cie->initial;
	run(&m);
	if (!m.is_damaged)
		row = sp_elf_cfi_row(&m.now);
	if (!m.err && m.pc < end)
		m.err = sp_elf_row_put(sink, m.pc, row);
	return m.err ? m.err : m.is_damaged;
}
