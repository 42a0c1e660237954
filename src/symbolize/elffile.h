// SPDX-License-Identifier: Apache-2.0
/* One open ELF file: a descriptor and libelf's view of it. */
#ifndef SEEP_SYMBOLIZE_ELFFILE_H
#define SEEP_SYMBOLIZE_ELFFILE_H

#include <gelf.h>

#include "base/base.h"

struct sp_elffile {
	int fd; /* -1: none */
	Elf *elf;
	void *image; /* when it lives in memory */
};

#define SP_ELFFILE_NONE ((struct sp_elffile){.fd = -1})

/* Takes ownership of fd, on failure too. -ENOEXEC: not a 64-bit little-endian ELF file. */
sp_must_check int sp_elffile_open(int fd, struct sp_elffile *ret);
void sp_elffile_close(struct sp_elffile *f);

/* The section of this name; NULL: none. *ret_sh may be NULL. */
Elf_Scn *sp_elffile_section(Elf *elf, const char *name, GElf_Shdr *ret_sh);

/* Bytes of debugging sections once read and decompressed. UINT64_MAX: absurd. */
uint64_t sp_elffile_debug_bytes(Elf *elf);

/* False: DWARF's strings run out of their section, which libdw before 0.189 reads on. Ask after dwarf_begin_elf(). */
bool sp_elffile_strings_end(Elf *elf);

/* The symbols in .gnu_debugdata (an xz-compressed ELF file). -ENOENT: none; -EFBIG, -EBADMSG, -ENOMEM. */
sp_must_check int sp_elffile_open_minidebug(Elf *main_elf, struct sp_elffile *ret);

/* CRC-32 of the whole file as in .gnu_debuglink (ISO 3309, reflected 0xedb88320). */
sp_must_check int sp_elffile_crc32(int fd, uint32_t *ret);

#endif
