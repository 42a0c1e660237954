// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    reads one ELF file: build-id, function symbols, segments, unwind rows from its CFI.
 * Runs in: our process; one struct sp_elf is used by one thread at a time. The file is untrusted.
 * May not: read /proc, open other files, trust any length or offset of the file.
 * Owns:    the descriptor it is given and libelf's view of it.
 * Fails by: -errno with a reason; -ENOEXEC: not an x86-64 little-endian ELF file of kind EXEC or DYN.
 */
#ifndef SEEP_ELF_ELF_H
#define SEEP_ELF_ELF_H

#include "base/base.h"
#include "wire/rows.h"

struct sp_elf;

/* Takes ownership of fd, on failure too. `name` is for messages only and is copied. */
sp_must_check int sp_elf_open(int fd, const char *name, struct sp_elf **ret, struct sp_why *why);
void sp_elf_close(struct sp_elf *e); /* NULL is fine */

int sp_elf_fd(const struct sp_elf *e);

#define SP_BUILD_ID_MAX 64
/* Length in bytes, 0: none. */
size_t sp_elf_build_id(const struct sp_elf *e, uint8_t ret[SP_BUILD_ID_MAX]);

bool sp_elf_is_static(const struct sp_elf *e); /* no PT_INTERP and no DT_NEEDED */

/* Lowest p_vaddr of the PT_LOAD segments, rounded down to its page: rows' pc 0. */
uint64_t sp_elf_base_vaddr(const struct sp_elf *e);

/* Virtual address in the file's own terms <-> offset in the file, by PT_LOAD. -ENOENT: in no segment. */
sp_must_check int sp_elf_vaddr_to_offset(const struct sp_elf *e, uint64_t vaddr, uint64_t *ret);
sp_must_check int sp_elf_offset_to_vaddr(const struct sp_elf *e, uint64_t offset, uint64_t *ret);

/*
 * The virtual address at the beginning of a page (an offset in the file) of the executable segment that has bytes in
 * it. One page of a file may hold the ends of several segments. -ENOENT: of none.
 */
sp_must_check int sp_elf_exec_page_to_vaddr(const struct sp_elf *e, uint64_t page_offset, uint64_t *ret);

/* Offset in the file of the end of the nr-th executable segment's bytes. -ENOENT: it has fewer. */
sp_must_check int sp_elf_exec_end(const struct sp_elf *e, size_t nr, uint64_t *ret);

struct sp_elf_symbol {
	uint64_t vaddr;
	uint64_t offset; /* in the file */
	uint64_t size;   /* may be 0 */
	bool is_ifunc;
	bool is_found;
	bool is_dynamic; /* from .dynsym, so others can bind to it */
	bool is_local;   /* no global symbol has this name: hidden, and made local when the file was linked */
};

/*
 * Looks up defined FUNC/IFUNC symbols (default version first, local ones last) in .dynsym, then .symtab. names[i]'s
 * answer goes to ret[i]. One pass over each table, whatever nr is. Returns how many were found or -errno.
 */
sp_must_check int sp_elf_find_symbols(struct sp_elf *e, const char *const names[], size_t nr,
				      struct sp_elf_symbol *ret);

/* Copies up to len bytes of the file from offset (code bytes for the decoder). Number copied or -errno. */
ssize_t sp_elf_read(const struct sp_elf *e, uint64_t offset, void *buf, size_t len);

/*
 * Unwind rows of the whole file: .eh_frame (by PT_GNU_EH_FRAME, else by section header), and .debug_frame for the code
 * that .eh_frame does not describe. Sorted by pc, no two with the same pc, gaps filled by SP_ROW_NONE rows (the first
 * row is at pc 0, the last is such a one), equal neighbours merged. Elements of *ret are struct sp_row; the caller has
 * initialised it with its maximum; what it held is forgotten. No CFI at all: 0 rows, success. Damaged CFI: what could
 * be read, and *ret_nr_bad (may be NULL) counts FDEs skipped or given up half way (SP_ROW_BAD from there on).
 * -ENOSPC: more rows than the maximum; -EFBIG: a section of more than 1 GiB; -ENOMEM. *ret is then empty.
 */
sp_must_check int sp_elf_rows(struct sp_elf *e, struct sp_vec *ret, size_t *ret_nr_bad);

#endif
