// SPDX-License-Identifier: Apache-2.0
/* The auxiliary vector: where the kernel put the executable and the dynamic linker. */
#include "proc/priv.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

void sp_auxv_parse(const void *bytes, size_t len, struct sp_auxv *ret)
{
	struct sp_auxv aux = {};

	for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= len; at += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t e;

		memcpy(&e, (const char *)bytes + at, sizeof(e));
		switch (e.a_type) {
		case AT_NULL:
			at = len - sizeof(e);
			break;
		case AT_PHDR:
			aux.phdr = e.a_un.a_val;
			break;
		case AT_PHNUM:
			aux.phnum = e.a_un.a_val;
			break;
		case AT_PHENT:
			aux.phent = e.a_un.a_val;
			break;
		case AT_BASE:
			aux.base = e.a_un.a_val;
			break;
		case AT_ENTRY:
			aux.entry = e.a_un.a_val;
			break;
		default:
			break;
		}
	}
	*ret = aux;
}

int sp_auxv_read(int dirfd, struct sp_auxv *ret)
{
	char bytes[1024]; /* the kernel's vector has under 30 entries of 16 bytes */

	ssize_t n = sp_proc_read_head(dirfd, "auxv", bytes, sizeof(bytes));
	if (n < 0)
		return (int)n;
	sp_auxv_parse(bytes, (size_t)n, ret);
	return ret->phdr ? 0 : -ENOENT;
}
