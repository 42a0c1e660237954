// SPDX-License-Identifier: Apache-2.0
/*
 * Build step: the linked agent -> a header with its bytes, entries and unwind rows. embed-agent AGENT.ELF NAME OUT.
 * Refuses an agent that would not run wherever it is put: with absolute addresses in it, or too big.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "elf/elf.h"
#include "wire/agent.h"

/* Which entry serves which kind of function. */
static const char *const entry_names[SP_AGENT_NR_ENTRIES] = {
    [SP_KIND_MALLOC] = "sp_agent_entry_alloc",    [SP_KIND_NEW] = "sp_agent_entry_new",
    [SP_KIND_PASSED] = "sp_agent_entry_passed",   [SP_KIND_CALLOC] = "sp_agent_entry_alloc",
    [SP_KIND_REALLOC] = "sp_agent_entry_realloc", [SP_KIND_REALLOCA] = "sp_agent_entry_realloc",
    [SP_KIND_POSIX] = "sp_agent_entry_alloc",     [SP_KIND_FREE] = "sp_agent_entry_free",
    [SP_KIND_LOADER] = "sp_agent_entry_loader",   [SP_KIND_MMAP] = "sp_agent_entry_map",
    [SP_KIND_MUNMAP] = "sp_agent_entry_map",      [SP_KIND_MREMAP] = "sp_agent_entry_map",
};

static int fail(const char *what)
{
	fprintf(stderr, "embed-agent: %s\n", what);
	return -1;
}

static bool read_at(const struct sp_elf *e, uint64_t offset, void *buf, size_t len)
{
	return sp_elf_read(e, offset, buf, len) == (ssize_t)len;
}

static bool is_relative(const Elf64_Rela *r)
{
	switch (ELF64_R_TYPE(r->r_info)) {
	case R_X86_64_NONE:
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
		return true;
	default:
		return false;
	}
}

/* The linker has kept what it resolved (--emit-relocs): every one must hold wherever the whole is put. */
static int check_relocations(const struct sp_elf *e, const Elf64_Ehdr *header)
{
	for (unsigned i = 0; i < header->e_shnum; i++) {
		Elf64_Shdr s;
		if (!read_at(e, header->e_shoff + i * sizeof(s), &s, sizeof(s)))
			return fail("its section headers cannot be read");
		for (uint64_t at = 0; s.sh_type == SHT_RELA && at < s.sh_size; at += sizeof(Elf64_Rela)) {
			Elf64_Rela r;
			if (!read_at(e, s.sh_offset + at, &r, sizeof(r)) || !is_relative(&r))
				return fail("it has absolute addresses");
		}
	}
	return 0;
}

/* The one segment with bytes in it. */
static int find_code(const struct sp_elf *e, const Elf64_Ehdr *header, Elf64_Phdr *ret)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr p;
		if (!read_at(e, header->e_phoff + i * sizeof(p), &p, sizeof(p)))
			return fail("its program headers cannot be read");
		if (p.p_type == PT_DYNAMIC || p.p_type == PT_TLS || p.p_type == PT_INTERP)
			return fail("it wants a dynamic linker or TLS");
		if (p.p_type != PT_LOAD || !p.p_filesz)
			continue;
		if (p.p_flags & PF_W || p.p_vaddr)
			return fail("its code is writable or not at 0");
		*ret = p;
		nr++;
	}
	return nr == 1 && ret->p_filesz <= SP_AGENT_MAX_CODE_BYTES ? 0 : fail("not one segment, or too big");
}

static int write_bytes(const struct sp_elf *e, const Elf64_Phdr *code, const char *name, uint32_t nr, FILE *out)
{
	static uint8_t bytes[SP_AGENT_MAX_CODE_BYTES];

	if (!read_at(e, code->p_offset, bytes, code->p_filesz))
		return fail("its code cannot be read");
	fprintf(out, "static const uint8_t %s_bytes[%u] = {", name, nr);
	for (uint32_t i = 0; i < code->p_filesz; i++)
		fprintf(out, "%s%u,", i % 32 ? "" : "\n\t", bytes[i]);
	fprintf(out, "\n};\n");
	return 0;
}

static int write_rows(struct sp_elf *e, const char *name, uint32_t *ret_nr, FILE *out)
{
	struct sp_vec rows;
	size_t nr_bad;

	sp_vec_init(&rows, sizeof(struct sp_row), 4096);
	if (sp_elf_rows(e, &rows, &nr_bad) || nr_bad || !rows.nr) {
		sp_vec_done(&rows);
		return fail("its unwind data cannot be read");
	}
	fprintf(out, "static const struct sp_row %s_rows[%zu] = {\n", name, rows.nr);
	for (size_t i = 0; i < rows.nr; i++) {
		const struct sp_row *r = sp_vec_at(&rows, struct sp_row, i);
		fprintf(out, "\t{%u, %d, %u, %d},\n", r->pc, r->cfa_off, r->kind, r->rbp_off);
	}
	fprintf(out, "};\n");
	*ret_nr = (uint32_t)rows.nr;
	sp_vec_done(&rows);
	return 0;
}

static int write_blob(struct sp_elf *e, const char *name, uint32_t code_bytes, uint32_t nr_rows, FILE *out)
{
	fprintf(out, "static const struct sp_agent_blob %s = {\n\t.bytes = %s_bytes,\n\t.code_bytes = %u,\n", name,
		name, code_bytes);
	fprintf(out, "\t.nr_rows = %u,\n\t.rows = %s_rows,\n\t.entries = {\n", nr_rows, name);
	for (unsigned i = 0; i < SP_AGENT_NR_ENTRIES; i++) {
		struct sp_elf_symbol s = {0};
		if (!entry_names[i])
			continue;
		if (sp_elf_find_symbols(e, &entry_names[i], 1, &s) != 1 || !s.vaddr)
			return fail("an entry is missing");
		fprintf(out, "\t\t[%u] = %u,\n", i, (unsigned)s.vaddr);
	}
	fprintf(out, "\t},\n};\n");
	return 0;
}

static int embed(struct sp_elf *e, const char *name, FILE *out)
{
	Elf64_Ehdr header;
	Elf64_Phdr code = {0};
	uint32_t nr_rows = 0, code_bytes;

	if (!read_at(e, 0, &header, sizeof(header)))
		return fail("its header cannot be read");
	if (check_relocations(e, &header) || find_code(e, &header, &code))
		return -1;
	code_bytes = (uint32_t)(code.p_filesz + SP_AGENT_PAGE - 1) / SP_AGENT_PAGE * SP_AGENT_PAGE;
	fprintf(out, "// SPDX-License-Identifier: Apache-2.0\n/* Written by tools/embed-agent.c. */\n"
		     "#include \"wire/agent.h\"\n");
	if (write_bytes(e, &code, name, code_bytes, out) || write_rows(e, name, &nr_rows, out))
		return -1;
	return write_blob(e, name, code_bytes, nr_rows, out);
}

int main(int argc, char **argv)
{
	struct sp_elf *e;
	FILE *out;
	int err;

	if (argc != 4) {
		fprintf(stderr, "usage: embed-agent AGENT.ELF NAME OUT\n");
		return 2;
	}
	if (sp_elf_open(open(argv[1], O_RDONLY | O_CLOEXEC), argv[1], &e, NULL))
		return fail("not an ELF file") ? 1 : 0;
	out = fopen(argv[3], "we");
	err = out ? embed(e, argv[2], out) : fail("cannot write its output");
	if (out && fclose(out))
		err = fail("cannot write its output");
	sp_elf_close(e);
	if (err)
		remove(argv[3]);
	return err ? 1 : 0;
}
