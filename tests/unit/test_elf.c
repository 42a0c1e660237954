// SPDX-License-Identifier: Apache-2.0
/* Headers, build-id, segments and symbols; the oracle for real files is libelf, asked directly. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "elf/elf.h"

#define LIBC      "/lib/x86_64-linux-gnu/libc.so.6"
#define MAX_NAMES 4096

static const char *input(const char *name)
{
	static char path[4096];
	const char *dir = getenv("SEEP_ELF_INPUTS");

	assert_non_null(dir);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct sp_elf *open_file(const char *path)
{
	struct sp_why why = {0};
	struct sp_elf *e = NULL;

	if (sp_elf_open(open(path, O_RDONLY | O_CLOEXEC), path, &e, &why) < 0)
		fail_msg("%s", why.what);
	return e;
}

static Elf *oracle_open(int fd)
{
	Elf *elf;

	assert_int_not_equal(elf_version(EV_CURRENT), EV_NONE);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	assert_non_null(elf);
	return elf;
}

/* Skips the test where this file is not: other distributions keep it elsewhere. */
static const char *need(const char *path)
{
	if (access(path, R_OK) != 0) {
		print_message("%s: not here\n", path);
		skip();
	}
	return path;
}

/* ---- Opening ---- */

static int open_bytes(const void *bytes, size_t size, struct sp_why *why)
{
	struct sp_elf *e = NULL;
	int fd = memfd_create("elf", MFD_CLOEXEC);
	int err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	err = sp_elf_open(fd, "made\x1bup", &e, why);
	sp_elf_close(e);
	return err;
}

static void assert_refused(const Elf64_Ehdr *h, size_t size, const char *reason)
{
	struct sp_why why = {0};

	assert_int_equal(open_bytes(h, size, &why), -ENOEXEC);
	assert_int_equal(why.fault, SP_FAULT_TARGET);
	if (!strstr(why.what, reason))
		fail_msg("\"%s\" does not say \"%s\"", why.what, reason);
	assert_null(strchr(why.what, '\x1b'));
}

static const Elf64_Ehdr good_header = {
    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
    .e_type = ET_DYN,
    .e_machine = EM_X86_64,
    .e_phentsize = sizeof(Elf64_Phdr),
    .e_phnum = 1,
    .e_phoff = 64,
};

static void what_is_not_ours_is_refused_with_the_reason(void **state)
{
	Elf64_Ehdr h = good_header;

	(void)state;
	assert_refused(&h, 0, "not an ELF file");
	assert_refused(&h, 20, "cut short");
	assert_refused(&h, sizeof(h), "cut short"); /* no program headers */
	h.e_ident[EI_CLASS] = ELFCLASS32;
	assert_refused(&h, sizeof(h), "32-bit");
	h = good_header;
	h.e_machine = EM_AARCH64;
	assert_refused(&h, sizeof(h), "another processor");
	h = good_header;
	h.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_refused(&h, sizeof(h), "another processor");
	h = good_header;
	h.e_type = ET_REL;
	assert_refused(&h, sizeof(h), "neither a program nor a shared library");
	h = good_header;
	h.e_phnum = 0xffff;
	assert_refused(&h, sizeof(h), "program headers");
	h.e_ident[0] = '#';
	assert_refused(&h, sizeof(h), "not an ELF file");
}

static void pipes_and_closed_descriptors_are_refused(void **state)
{
	struct sp_elf *e = NULL;
	struct sp_why why = {0};
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sp_elf_open(fds[0], "pipe", &e, &why), -ENOEXEC);
	assert_non_null(strstr(why.what, "not a regular file"));
	assert_int_equal(close(fds[0]), -1); /* it was taken */
	close(fds[1]);
	assert_int_equal(sp_elf_open(-1, "none", &e, NULL), -EBADF);
}

static void static_means_no_interpreter_and_nothing_needed(void **state)
{
	struct sp_elf *e = open_file(input("plain"));

	(void)state;
	assert_false(sp_elf_is_static(e));
	sp_elf_close(e);
	e = open_file(input("plain_static"));
	assert_true(sp_elf_is_static(e));
	sp_elf_close(e);
}

static void build_id_is_that_of_the_note_section(void **state)
{
	static const char *const names[] = {"plain", "plain_static", "libversions.so"};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		struct sp_elf *e = open_file(input(names[i]));
		Elf *elf = oracle_open(sp_elf_fd(e));
		uint8_t id[SP_BUILD_ID_MAX];
		size_t index, len = sp_elf_build_id(e, id);
		Elf_Scn *scn = NULL;
		GElf_Shdr h;

		assert_int_equal(len, 20);
		assert_int_equal(elf_getshdrstrndx(elf, &index), 0);
		while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &h))
			if (strcmp(elf_strptr(elf, index, h.sh_name), ".note.gnu.build-id") == 0)
				break;
		assert_non_null(scn);
		assert_memory_equal((char *)elf_getdata(scn, NULL)->d_buf + 16, id, len);
		elf_end(elf);
		sp_elf_close(e);
	}
}

/* ---- Segments ---- */

static void assert_maps(struct sp_elf *e, uint64_t vaddr, uint64_t offset)
{
	uint64_t got;

	assert_int_equal(sp_elf_vaddr_to_offset(e, vaddr, &got), 0);
	assert_int_equal(got, offset);
	assert_int_equal(sp_elf_offset_to_vaddr(e, offset, &got), 0);
	assert_int_equal(got, vaddr);
}

static void check_segments(const char *path)
{
	struct sp_elf *e = open_file(path);
	Elf *elf = oracle_open(sp_elf_fd(e));
	uint64_t lowest = UINT64_MAX, unused = 42;
	size_t nr;
	GElf_Phdr p;

	assert_int_equal(elf_getphdrnum(elf, &nr), 0);
	for (size_t i = 0; i < nr; i++) {
		assert_non_null(gelf_getphdr(elf, (int)i, &p));
		if (p.p_type != PT_LOAD)
			continue;
		if (p.p_vaddr < lowest)
			lowest = p.p_vaddr;
		assert_maps(e, p.p_vaddr, p.p_offset);
		assert_maps(e, p.p_vaddr + p.p_filesz / 2, p.p_offset + p.p_filesz / 2);
		assert_maps(e, p.p_vaddr + p.p_filesz - 1, p.p_offset + p.p_filesz - 1);
		if (p.p_memsz > p.p_filesz) /* .bss is not in the file */
			assert_int_equal(sp_elf_vaddr_to_offset(e, p.p_vaddr + p.p_filesz, &unused), -ENOENT);
	}
	assert_int_equal(sp_elf_base_vaddr(e), lowest & ~0xfffULL);
	assert_int_equal(sp_elf_vaddr_to_offset(e, UINT64_MAX, &unused), -ENOENT);
	assert_int_equal(sp_elf_offset_to_vaddr(e, UINT64_MAX, &unused), -ENOENT);
	assert_int_equal(unused, 42);
	elf_end(elf);
	sp_elf_close(e);
}

static void addresses_and_offsets_follow_the_segments(void **state)
{
	(void)state;
	check_segments(input("plain"));
	check_segments(input("plain_static"));
	check_segments("/lib64/ld-linux-x86-64.so.2");
}

/* lld puts the ends of several segments into one page, gold and bfd can. Each has its own addresses. */
static void a_page_shared_by_segments_belongs_to_the_executable_one(void **state)
{
	static const struct {
		uint64_t offset, vaddr, size;
		uint32_t flags;
	} loads[] = {{0, 0, 0x58c, PF_R}, {0x590, 0x1590, 0x180, PF_R | PF_X}, {0x710, 0x2710, 0x8f0, PF_R | PF_W}};
	unsigned char image[0x1000] = {0};
	Elf64_Ehdr h = {.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(h),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = SP_ARRAY_SIZE(loads)};
	uint64_t vaddr;
	struct sp_elf *e;
	int fd = memfd_create("shared-page", 0);

	(void)state;
	memcpy(h.e_ident, "\177ELF\2\1\1", 7);
	memcpy(image, &h, sizeof(h));
	for (size_t i = 0; i < SP_ARRAY_SIZE(loads); i++) {
		Elf64_Phdr p = {.p_type = PT_LOAD,
				.p_flags = loads[i].flags,
				.p_offset = loads[i].offset,
				.p_vaddr = loads[i].vaddr,
				.p_filesz = loads[i].size,
				.p_memsz = loads[i].size};
		memcpy(image + sizeof(h) + i * sizeof(p), &p, sizeof(p));
	}
	assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
	assert_int_equal(sp_elf_open(fd, "shared-page", &e, NULL), 0);
	assert_int_equal(sp_elf_exec_page_to_vaddr(e, 0, &vaddr), 0);
	assert_int_equal(vaddr, 0x1000);
	assert_int_equal(sp_elf_exec_page_to_vaddr(e, 0x1000, &vaddr), -ENOENT);
	sp_elf_close(e);
}

static void reading_gives_the_bytes_of_the_file_and_stops_at_its_end(void **state)
{
	struct sp_elf *e = open_file(input("plain"));
	char magic[4];
	off_t size = lseek(sp_elf_fd(e), 0, SEEK_END);

	(void)state;
	assert_int_equal(sp_elf_read(e, 0, magic, 4), 4);
	assert_memory_equal(magic, ELFMAG, 4);
	assert_int_equal(sp_elf_read(e, (uint64_t)size - 1, magic, 4), 1);
	assert_int_equal(sp_elf_read(e, (uint64_t)size, magic, 4), 0);
	assert_int_equal(sp_elf_read(e, UINT64_MAX, magic, 4), -EINVAL);
	sp_elf_close(e);
}

/* ---- Symbols ---- */

static bool is_function(const GElf_Sym *s)
{
	unsigned type = GELF_ST_TYPE(s->st_info);
	unsigned bind = GELF_ST_BIND(s->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && (bind == STB_GLOBAL || bind == STB_WEAK) &&
	       s->st_shndx != SHN_UNDEF;
}

struct truth {
	const char *names[MAX_NAMES];
	GElf_Sym symbols[MAX_NAMES];
	size_t nr;
};

/* The functions of .dynsym; of several versions those that are not hidden. */
static void read_truth(Elf *elf, struct truth *t)
{
	Elf_Data *symbols = NULL, *versions = NULL;
	Elf_Scn *scn = NULL;
	GElf_Versym version;
	GElf_Shdr h;
	GElf_Sym s;
	size_t names = 0;

	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &h)) {
		if (h.sh_type == SHT_DYNSYM) {
			symbols = elf_getdata(scn, NULL);
			names = h.sh_link;
		} else if (h.sh_type == SHT_GNU_versym) {
			versions = elf_getdata(scn, NULL);
		}
	}
	assert_non_null(symbols);
	assert_non_null(versions);
	for (int i = 0; gelf_getsym(symbols, i, &s) && t->nr < MAX_NAMES; i++) {
		assert_non_null(gelf_getversym(versions, i, &version));
		if (!is_function(&s) || version & 0x8000)
			continue;
		t->names[t->nr] = elf_strptr(elf, names, s.st_name);
		t->symbols[t->nr++] = s;
	}
}

static void every_exported_function_of_libc_is_found_as_libelf_sees_it(void **state)
{
	struct sp_elf *e = open_file(need(LIBC));
	Elf *elf = oracle_open(sp_elf_fd(e));
	static struct truth t;
	static struct sp_elf_symbol got[MAX_NAMES];

	(void)state;
	read_truth(elf, &t);
	assert_true(t.nr > 1000);
	assert_int_equal(sp_elf_find_symbols(e, t.names, t.nr, got), t.nr);
	for (size_t i = 0; i < t.nr; i++) {
		uint64_t offset;

		assert_true(got[i].is_found && got[i].is_dynamic);
		assert_int_equal(got[i].vaddr, t.symbols[i].st_value);
		assert_int_equal(got[i].size, t.symbols[i].st_size);
		assert_int_equal(got[i].is_ifunc, GELF_ST_TYPE(t.symbols[i].st_info) == STT_GNU_IFUNC);
		assert_int_equal(sp_elf_vaddr_to_offset(e, got[i].vaddr, &offset), 0);
		assert_int_equal(got[i].offset, offset);
	}
	elf_end(elf);
	sp_elf_close(e);
}

static void the_default_version_is_preferred_and_an_only_old_one_found(void **state)
{
	static const char *const names[] = {"twice",       "gone",         "weak_one", "picked",
					    "data_object", "not_exported", "twice@V1"};
	struct sp_elf *e = open_file(input("libversions.so"));
	struct sp_elf_symbol s[SP_ARRAY_SIZE(names)];
	uint8_t code[2];

	(void)state;
	assert_int_equal(sp_elf_find_symbols(e, names, SP_ARRAY_SIZE(names), s), 5);
	assert_true(s[0].is_found && s[1].is_found && s[2].is_found && s[3].is_found);
	assert_false(s[4].is_found || s[6].is_found);
	assert_true(s[5].is_found && s[5].is_local && !s[5].is_dynamic && !s[0].is_local);
	assert_true(s[3].is_ifunc);
	assert_false(s[0].is_ifunc);
	assert_int_equal(sp_elf_read(e, s[0].offset, code, 2), 2);
	assert_int_not_equal(s[0].size, 5); /* twice@V1 is lea 1(%rdi,%rdi), twice@@V2 is one byte shorter */
	sp_elf_close(e);
}

static void functions_of_a_static_program_come_from_symtab(void **state)
{
	static const char *const names[] = {"malloc", "free", "main", "no_such_function", "malloc"};
	struct sp_elf *e = open_file(input("plain_static"));
	struct sp_elf_symbol s[SP_ARRAY_SIZE(names)];

	(void)state;
	assert_int_equal(sp_elf_find_symbols(e, names, SP_ARRAY_SIZE(names), s), 4);
	assert_true(s[0].is_found && !s[0].is_dynamic && s[0].size > 0);
	assert_int_equal(s[0].vaddr, s[4].vaddr);
	assert_false(s[3].is_found);
	assert_int_equal(sp_elf_find_symbols(e, names, 0, s), 0);
	sp_elf_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_ours_is_refused_with_the_reason),
	    cmocka_unit_test(pipes_and_closed_descriptors_are_refused),
	    cmocka_unit_test(static_means_no_interpreter_and_nothing_needed),
	    cmocka_unit_test(build_id_is_that_of_the_note_section),
	    cmocka_unit_test(addresses_and_offsets_follow_the_segments),
	    cmocka_unit_test(a_page_shared_by_segments_belongs_to_the_executable_one),
	    cmocka_unit_test(reading_gives_the_bytes_of_the_file_and_stops_at_its_end),
	    cmocka_unit_test(every_exported_function_of_libc_is_found_as_libelf_sees_it),
	    cmocka_unit_test(the_default_version_is_preferred_and_an_only_old_one_found),
	    cmocka_unit_test(functions_of_a_static_program_come_from_symtab),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
