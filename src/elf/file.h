// SPDX-License-Identifier: Apache-2.0
/* Inside of elf/: the open file, its segments, its sections. Other rooms use elf/elf.h. */
#ifndef SEEP_ELF_FILE_H
#define SEEP_ELF_FILE_H

#include <elf.h>
#include <libelf.h>

#include "elf/elf.h"

/* Largest section read into memory. Chromium's .symtab with names is about 300 MB, LLVM's .eh_frame 14 MB. */
#define SP_ELF_MAX_SECTION_BYTES (1ULL << 30)

/* One PT_LOAD. vaddr + memsz and offset + filesz do not overflow; filesz <= memsz. */
struct sp_elf_load {
	uint64_t vaddr;
	uint64_t memsz;
	uint64_t offset;
	uint64_t filesz;
	bool is_exec;
};

struct sp_elf {
	int fd;
	Elf *elf; /* for sections only; NULL: not asked for yet */
	bool has_no_sections;
	bool is_static;
	uint64_t base_vaddr;
	struct sp_elf_load *loads;
	size_t nr_loads;
	uint64_t eh_frame_hdr_vaddr; /* of PT_GNU_EH_FRAME; 0: none */
	uint64_t eh_frame_hdr_size;
	uint8_t build_id[SP_BUILD_ID_MAX];
	size_t build_id_len;
};

/* Bytes of the file, owned. */
struct sp_elf_bytes {
	uint8_t *data;
	size_t size;
};

void sp_elf_bytes_done(struct sp_elf_bytes *b);

/*
 * Reads [offset, offset + size) into memory of its own, less when the file ends before. Memory is taken only for what
 * the file has. -EFBIG above SP_ELF_MAX_SECTION_BYTES.
 */
sp_must_check int sp_elf_bytes_read(const struct sp_elf *e, uint64_t offset, uint64_t size, struct sp_elf_bytes *ret);

/* The segment whose file part has vaddr. NULL: none. */
const struct sp_elf_load *sp_elf_find_load(const struct sp_elf *e, uint64_t vaddr);

struct sp_elf_section {
	Elf_Scn *scn;
	Elf64_Shdr header;
};

/* libelf's view of the sections. False: the file has none that can be used. */
bool sp_elf_open_sections(struct sp_elf *e);

/* First section with this name that has bytes in the file. False: none. */
bool sp_elf_find_section(struct sp_elf *e, const char *name, struct sp_elf_section *ret);

/* First section of this type. False: none. */
bool sp_elf_find_section_by_type(struct sp_elf *e, uint32_t type, struct sp_elf_section *ret);

/* Reads the section, unpacked when it is compressed. -EFBIG as above, -EBADMSG: cannot be unpacked. */
sp_must_check int sp_elf_section_read(const struct sp_elf *e, const struct sp_elf_section *s, struct sp_elf_bytes *ret);

/* Looks for NT_GNU_BUILD_ID in notes; fills e's build-id and returns true when it is there. */
bool sp_elf_take_build_id(struct sp_elf *e, const struct sp_elf_bytes *notes, uint64_t align);

#endif
