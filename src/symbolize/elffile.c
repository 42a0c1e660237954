// SPDX-License-Identifier: Apache-2.0
/*
 * Opens ELF files of the target. They are read, not mapped: whoever owns the file can cut it short at any moment, and
 * touching the lost part of a mapping would end us with SIGBUS. What only root can write is mapped: it is cheaper.
 */
#include "symbolize/elffile.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_RATIO 1100 /* deflate cannot do better than 1032:1; zstd can, real debug data does not */

static bool only_root_writes(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static bool is_ours(Elf *elf)
{
	size_t size;
	const char *id = elf_getident(elf, &size);
	GElf_Ehdr eh;

	if (elf_kind(elf) != ELF_K_ELF || !id || size < EI_NIDENT || id[EI_CLASS] != ELFCLASS64 ||
	    id[EI_DATA] != ELFDATA2LSB)
		return false;
	return gelf_getehdr(elf, &eh) && (eh.e_type == ET_EXEC || eh.e_type == ET_DYN || eh.e_type == ET_REL);
}

int sp_elffile_open(int fd, struct sp_elffile *ret)
{
	struct sp_elffile f = {.fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		sp_elffile_close(&f);
		return -ENOEXEC;
	}
	elf_version(EV_CURRENT);
	f.elf = elf_begin(fd, only_root_writes(fd) ? ELF_C_READ_MMAP : ELF_C_READ, NULL);
	if (!f.elf || !is_ours(f.elf)) {
		sp_elffile_close(&f);
		return -ENOEXEC;
	}
	*ret = f;
	return 0;
}

void sp_elffile_close(struct sp_elffile *f)
{
	if (f->elf)
		elf_end(f->elf);
	if (f->fd >= 0)
		close(f->fd);
	free(f->image);
	*f = SP_ELFFILE_NONE;
}

Elf_Scn *sp_elffile_section(Elf *elf, const char *name, GElf_Shdr *ret_sh)
{
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings))
		return NULL;
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;
		const char *s;

		if (!gelf_getshdr(scn, &sh))
			continue;
		s = elf_strptr(elf, strings, sh.sh_name);
		if (!s || strcmp(s, name) != 0)
			continue;
		if (ret_sh)
			*ret_sh = sh;
		return scn;
	}
	return NULL;
}

/* Old style compression: "ZLIB", then the size as 8 bytes, big-endian. */
static uint64_t zdebug_bytes(Elf_Scn *scn)
{
	Elf_Data *raw = elf_rawdata(scn, NULL);
	uint64_t size = 0;

	if (!raw || !raw->d_buf || raw->d_size < 12 || memcmp(raw->d_buf, "ZLIB", 4) != 0)
		return 0;
	memcpy(&size, (char *)raw->d_buf + 4, sizeof(size));
	return __builtin_bswap64(size);
}

static uint64_t section_bytes(Elf_Scn *scn, const GElf_Shdr *sh, const char *name)
{
	uint64_t size = sh->sh_type == SHT_NOBITS ? 0 : sh->sh_size;
	GElf_Chdr ch;

	if ((sh->sh_flags & SHF_COMPRESSED) && gelf_getchdr(scn, &ch))
		size = ch.ch_size;
	else if (!strncmp(name, ".zdebug", 7))
		size = zdebug_bytes(scn);
	return size / MAX_RATIO > sh->sh_size ? UINT64_MAX : size;
}

uint64_t sp_elffile_debug_bytes(Elf *elf)
{
	uint64_t sum = 0;
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings))
		return 0;
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;
		const char *name;

		if (!gelf_getshdr(scn, &sh))
			continue;
		name = elf_strptr(elf, strings, sh.sh_name);
		if (!name || (strncmp(name, ".debug", 6) != 0 && strncmp(name, ".zdebug", 7) != 0))
			continue;
		if (__builtin_add_overflow(sum, section_bytes(scn, &sh, name), &sum))
			return UINT64_MAX;
	}
	return sum;
}

/* .debug_str, .debug_line_str, their compressed and split relatives; dwarf_begin_elf() has unpacked them. */
bool sp_elffile_strings_end(Elf *elf)
{
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings))
		return false;
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;
		const char *name = gelf_getshdr(scn, &sh) ? elf_strptr(elf, strings, sh.sh_name) : NULL;
		Elf_Data *data;

		if (!name || !(strstr(name, "debug_str") || strstr(name, "debug_line_str")) || strstr(name, "_offsets"))
			continue;
		data = elf_getdata(scn, NULL);
		if (data && data->d_buf && data->d_size && ((char *)data->d_buf)[data->d_size - 1])
			return false;
	}
	return true;
}

static uint32_t crc_step(uint32_t crc)
{
	for (int bit = 0; bit < 8; bit++)
		crc = (crc >> 1) ^ (0xedb88320u & -(crc & 1));
	return crc;
}

int sp_elffile_crc32(int fd, uint32_t *ret)
{
	unsigned char buf[32768];
	uint32_t table[256], crc = ~0u;
	off_t at = 0;
	ssize_t n;

	for (uint32_t i = 0; i < 256; i++)
		table[i] = crc_step(i);
	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			crc = table[(crc ^ buf[i]) & 0xff] ^ (crc >> 8);
		at += n;
	}
	if (n < 0)
		return -errno;
	*ret = ~crc;
	return 0;
}
