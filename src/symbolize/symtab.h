// SPDX-License-Identifier: Apache-2.0
/* The symbols of one ELF file, of one kind, sorted by address. Addresses are the file's own. */
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

enum sp_symtab_kind {
	SP_SYMTAB_CODE, /* functions */
	SP_SYMTAB_DATA, /* variables */
	SP_SYMTAB_TLS,  /* thread-local variables: where their first values are */
};

struct sp_symtab {
	enum sp_symtab_kind kind;
	uint64_t tls_vaddr;    /* SP_SYMTAB_TLS: symbols count from here */
	struct sp_vec ranges;  /* struct range: where such symbols can be, sorted */
	struct sp_vec symbols; /* struct sp_symbol */
};

/* `main_elf` says which addresses are code, or data. -ENOMEM. */
sp_must_check int sp_symtab_init(struct sp_symtab *t, enum sp_symtab_kind kind, Elf *main_elf);
void sp_symtab_done(struct sp_symtab *t);

/* Adds the symbols of .symtab (or .dynsym). `elf` must outlive the table. Number added or -ENOMEM. */
sp_must_check long sp_symtab_add(struct sp_symtab *t, Elf *elf, uint32_t sh_type);

/* Call once after the last add, before the first find. */
void sp_symtab_seal(struct sp_symtab *t);

/* The innermost symbol that contains the address; NULL: none does. */
const struct sp_symbol *sp_symtab_find(const struct sp_symtab *t, uint64_t vaddr);

#endif
