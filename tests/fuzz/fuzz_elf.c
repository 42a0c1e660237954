// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an ELF file, through the whole of elf/elf.h. */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf/elf.h"

#define MAX_ROWS (1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rows(struct sp_elf *e)
{
	struct sp_vec rows;
	size_t nr_bad;

	sp_vec_init(&rows, sizeof(struct sp_row), MAX_ROWS);
	if (sp_elf_rows(e, &rows, &nr_bad) == 0) {
		for (size_t i = 0; i < rows.nr; i++) {
			const struct sp_row *r = sp_vec_at(&rows, struct sp_row, i);

			assert(r->kind <= SP_ROW_RBP_DEREF);
			assert(i == 0 || r[-1].pc < r->pc);
		}
	}
	sp_vec_done(&rows);
}

static void check_symbols(struct sp_elf *e)
{
	static const char *const names[] = {"malloc", "twice", "frame", "picked"};
	struct sp_elf_symbol s[SP_ARRAY_SIZE(names)];
	uint8_t code[16];
	uint64_t offset;

	if (sp_elf_find_symbols(e, names, SP_ARRAY_SIZE(names), s) < 0)
		return;
	for (size_t i = 0; i < SP_ARRAY_SIZE(names); i++) {
		if (!s[i].is_found)
			continue;
		assert(sp_elf_vaddr_to_offset(e, s[i].vaddr, &offset) == 0 && offset == s[i].offset);
		assert(sp_elf_read(e, s[i].offset, code, sizeof(code)) <= (ssize_t)sizeof(code));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	uint8_t id[SP_BUILD_ID_MAX];
	uint64_t vaddr;
	struct sp_elf *e;

	if (fd < 0)
		return 0;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	if (sp_elf_open(fd, "fuzz", &e, NULL) < 0)
		return 0;
	assert(sp_elf_build_id(e, id) <= sizeof(id));
	(void)!sp_elf_offset_to_vaddr(e, size / 2, &vaddr);
	check_rows(e);
	check_symbols(e);
	sp_elf_close(e);
	return 0;
}
