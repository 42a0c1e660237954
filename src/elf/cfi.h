// SPDX-License-Identifier: Apache-2.0
/* Inside of elf/: call frame information (DWARF 5, 6.4; LSB 5.0 core, 10.6) in .eh_frame and .debug_frame. */
#ifndef SEEP_ELF_CFI_H
#define SEEP_ELF_CFI_H

#include "base/base.h"
#include "wire/rows.h"

/* ---- Bytes to read. A read past the end gives 0 and sets is_bad, which stays. ---- */

struct sp_elf_cursor {
	const uint8_t *p;
	const uint8_t *end;
	bool is_bad;
};

static inline uint64_t sp_elf_cursor_fixed(struct sp_elf_cursor *c, unsigned size)
{
	uint64_t v = 0;

	if ((size_t)(c->end - c->p) < size) {
		c->is_bad = true;
		c->p = c->end;
		return 0;
	}
	__builtin_memcpy(&v, c->p, size); /* x86-64 files on x86-64: little-endian both */
	c->p += size;
	return v;
}

static inline uint8_t sp_elf_cursor_u8(struct sp_elf_cursor *c)
{
	if (c->p == c->end) {
		c->is_bad = true;
		return 0;
	}
	return *c->p++;
}

static inline uint64_t sp_elf_cursor_leb(struct sp_elf_cursor *c, bool is_signed)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t b;

	do {
		b = sp_elf_cursor_u8(c);
		if (shift < 64) {
			v |= (uint64_t)(b & 0x7f) << shift;
			shift += 7;
		}
	} while (b & 0x80);
	if (is_signed && shift < 64 && (b & 0x40))
		v |= ~0ULL << shift;
	return v;
}

static inline uint64_t sp_elf_cursor_uleb(struct sp_elf_cursor *c)
{
	return sp_elf_cursor_leb(c, false);
}

static inline int64_t sp_elf_cursor_sleb(struct sp_elf_cursor *c)
{
	return (int64_t)sp_elf_cursor_leb(c, true);
}

/* ---- The sections and their entries. cfi_parse.c ---- */

struct sp_elf_cfi_section {
	const uint8_t *data;
	size_t size;
	uint64_t vaddr;      /* of data[0]; for pc-relative pointers */
	bool is_debug_frame; /* else .eh_frame */
	bool ends_at_zero;   /* size is only a limit: a length of 0 ends the section */
};

/* Where a rule finds a value. Only what rows can say is told apart. */
enum sp_elf_rule_kind {
	SP_ELF_RULE_SAME,      /* register not changed; also where nothing was said about it */
	SP_ELF_RULE_UNDEFINED, /* cannot be recovered */
	SP_ELF_RULE_CFA,       /* saved at CFA + off */
	SP_ELF_RULE_RBP,       /* saved at rbp + off (expression) */
	SP_ELF_RULE_RSP,       /* saved at rsp + off (expression) */
	SP_ELF_RULE_OTHER,
};

struct sp_elf_rule {
	int64_t off;
	enum sp_elf_rule_kind kind;
};

enum sp_elf_cfa_kind {
	SP_ELF_CFA_REG,       /* reg + off */
	SP_ELF_CFA_RBP_DEREF, /* *(rbp + off) */
	SP_ELF_CFA_RSP_DEREF, /* *(rsp + off) */
	SP_ELF_CFA_PLT,       /* the linker's expression for lazy PLTs; off is where in the entry the push is done */
	SP_ELF_CFA_OTHER,
};

struct sp_elf_cfa {
	int64_t off;
	uint64_t reg; /* DWARF number */
	enum sp_elf_cfa_kind kind;
};

/* One line of the table that CFI describes: the three columns that rows have. */
struct sp_elf_cfi_state {
	struct sp_elf_cfa cfa;
	struct sp_elf_rule rbp;
	struct sp_elf_rule ra;
};

struct sp_elf_cie {
	size_t off; /* in the section */
	bool is_set;
	bool is_usable;
	bool has_augmentation; /* 'z': FDEs have augmentation data */
	uint8_t pointer_encoding;
	uint64_t code_align;
	int64_t data_align;
	struct sp_elf_cfi_state initial;
};

#define SP_ELF_NR_CIES 64

/* Parsed CIEs, by offset, one per slot. Zero it before the first use with a section. */
struct sp_elf_cie_cache {
	struct sp_elf_cie cies[SP_ELF_NR_CIES];
};

struct sp_elf_fde {
	const struct sp_elf_cie *cie; /* good until the next parse */
	uint64_t begin;               /* vaddr */
	uint64_t end;                 /* vaddr, exclusive, > begin */
	struct sp_elf_cursor program;
};

enum sp_elf_cfi_entry {
	SP_ELF_CFI_END,     /* no more entries */
	SP_ELF_CFI_DAMAGED, /* no more either: the length of this one is wrong */
	SP_ELF_CFI_CIE,
	SP_ELF_CFI_FDE,
	SP_ELF_CFI_EMPTY, /* padding */
};

/* What is at *at, which moves to the next entry. */
enum sp_elf_cfi_entry sp_elf_cfi_next(const struct sp_elf_cfi_section *s, size_t *at);

/* False: damaged, of an unknown kind, or for no code at all. */
bool sp_elf_fde_parse(const struct sp_elf_cfi_section *s, struct sp_elf_cie_cache *cache, size_t off,
		      struct sp_elf_fde *ret);

/* Pointer in a DW_EH_PE_* encoding; vaddr is the address of its first byte. Sets c->is_bad for what cannot be here. */
uint64_t sp_elf_cfi_pointer(struct sp_elf_cursor *c, uint8_t encoding, uint64_t vaddr);

/* ---- Their programs. cfi_exec.c ---- */

/* Where finished rows go: merges equal neighbours. */
struct sp_elf_row_sink {
	struct sp_vec *rows;
	uint64_t base_vaddr;
};

/* rows.c. vaddr must not be lower than in the call before. -ENOSPC, -ENOMEM. */
sp_must_check int sp_elf_row_put(struct sp_elf_row_sink *sink, uint64_t vaddr, struct sp_row row);

/* Runs a CIE's instructions from an empty state. False: damaged, or moves the location. */
bool sp_elf_cfi_exec_initial(struct sp_elf_cie *cie, struct sp_elf_cursor program);

/*
 * Puts the rows of [fde->begin, end) into the sink; end <= fde->end. 0; 1: damaged, and the rest of the range is
 * SP_ROW_BAD; -ENOSPC, -ENOMEM.
 */
sp_must_check int sp_elf_cfi_exec(const struct sp_elf_cfi_section *s, const struct sp_elf_fde *fde, uint64_t end,
				  struct sp_elf_row_sink *sink);

/* ---- The few expressions that rows know. cfi_expr.c ---- */

void sp_elf_expr_to_cfa(struct sp_elf_cursor expr, struct sp_elf_cfa *ret);
void sp_elf_expr_to_rule(struct sp_elf_cursor expr, struct sp_elf_rule *ret);

/* What a row can say about this state; SP_ROW_BAD when it cannot. pc is not set. */
struct sp_row sp_elf_cfi_row(const struct sp_elf_cfi_state *state);

#endif
