// SPDX-License-Identifier: Apache-2.0
/* The function symbols of one ELF file, sorted by address. Addresses are the file's own. */
#ifndef SEEP_SYMBOLIZE_SYMTAB_H
#define SEEP_SYMBOLIZE_SYMTAB_H

#include <gelf.h>

#include "base/base.h"

struct sp_symbol {
	uint64_t start, end;
	uint64_t max_end; /* highest end of this symbol and all before it */
	const char *name; /* in the ELF file's string table */
	uint32_t rank;    /* higher is preferred among symbols of one address */
};

struct sp_symtab {
	struct sp_vec code;    /* struct code_range: where instructions can be, sorted */
	struct sp_vec symbols; /* struct sp_symbol */
};

/* `main_elf` says which addresses are code. -ENOMEM. */
sp_must_check int sp_symtab_init(struct sp_symtab *t, Elf *main_elf);
void sp_symtab_done(struct sp_symtab *t);

/* Adds the function symbols of .symtab (or .dynsym). `elf` must outlive the table. Number added or -ENOMEM. */
sp_must_check long sp_symtab_add(struct sp_symtab *t, Elf *elf, uint32_t sh_type);

/* Call once after the last add, before the first find. */
void sp_symtab_seal(struct sp_symtab *t);

/* The innermost symbol that contains the address; NULL: none does. */
const struct sp_symbol *sp_symtab_find(const struct sp_symtab *t, uint64_t vaddr);

#endif
