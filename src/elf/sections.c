// SPDX-License-Identifier: Apache-2.0
/*
 * Sections, through libelf. ELF_C_READ makes libelf pread what it needs (see elf.c for why nothing is mapped), and it
 * checks every offset against the file's size; what remains is the size of what it would read, limited here.
 */
#include <errno.h>
#include <gelf.h>
#include <string.h>

#include "elf/file.h"

#define MAX_NAME_TABLE_BYTES (16 << 20)

/* Memory that libelf takes for the section table is limited by the file: a header that says more is not believed. */
static bool has_sane_table(const struct sp_elf *e)
{
	Elf64_Ehdr h;
	Elf64_Shdr first;
	uint64_t nr;

	if (sp_elf_read(e, 0, &h, sizeof(h)) != sizeof(h) || h.e_shoff == 0 || h.e_shentsize != sizeof(first))
		return false;
	if (sp_elf_read(e, h.e_shoff, &first, sizeof(first)) != sizeof(first))
		return false;
	nr = h.e_shnum ? h.e_shnum : first.sh_size;
	if (nr == 0 || nr > UINT32_MAX)
		return false;
	return sp_elf_read(e, h.e_shoff + (nr - 1) * sizeof(first), &first, sizeof(first)) == sizeof(first);
}

bool sp_elf_open_sections(struct sp_elf *e)
{
	if (e->elf || e->has_no_sections)
		return e->elf != NULL;
	if (has_sane_table(e) && elf_version(EV_CURRENT) != EV_NONE)
		e->elf = elf_begin(e->fd, ELF_C_READ, NULL);
	if (e->elf && elf_kind(e->elf) != ELF_K_ELF) {
		elf_end(e->elf);
		e->elf = NULL;
	}
	e->has_no_sections = !e->elf;
	return e->elf != NULL;
}

static bool take_section(Elf_Scn *scn, struct sp_elf_section *ret)
{
	GElf_Shdr header;

	if (!gelf_getshdr(scn, &header) || header.sh_type == SHT_NULL)
		return false;
	*ret = (struct sp_elf_section){.scn = scn, .header = header};
	return true;
}

/* Index of the table of section names; 0: none that can be read. */
static size_t find_name_table(struct sp_elf *e)
{
	struct sp_elf_section s;
	size_t index;

	if (elf_getshdrstrndx(e->elf, &index) < 0)
		return 0;
	if (!take_section(elf_getscn(e->elf, index), &s) || s.header.sh_size > MAX_NAME_TABLE_BYTES)
		return 0;
	return index;
}

bool sp_elf_find_section(struct sp_elf *e, const char *name, struct sp_elf_section *ret)
{
	struct sp_elf_section s;
	Elf_Scn *scn = NULL;
	size_t names;

	if (!sp_elf_open_sections(e))
		return false;
	names = find_name_table(e);
	while (names && (scn = elf_nextscn(e->elf, scn))) {
		const char *at;

		if (!take_section(scn, &s) || s.header.sh_type == SHT_NOBITS)
			continue;
		at = elf_strptr(e->elf, names, s.header.sh_name);
		if (at && strcmp(at, name) == 0) {
			*ret = s;
			return true;
		}
	}
	return false;
}

bool sp_elf_find_section_by_type(struct sp_elf *e, uint32_t type, struct sp_elf_section *ret)
{
	struct sp_elf_section s;
	Elf_Scn *scn = NULL;

	if (!sp_elf_open_sections(e))
		return false;
	while ((scn = elf_nextscn(e->elf, scn))) {
		if (take_section(scn, &s) && s.header.sh_type == type) {
			*ret = s;
			return true;
		}
	}
	return false;
}

static void elf_end_p(Elf **elf)
{
	elf_end(*elf);
}

/* elf_compress changes libelf's section for good: done in a view of its own, so that the next reader starts afresh. */
static int read_compressed(const struct sp_elf *e, const struct sp_elf_section *s, struct sp_elf_bytes *ret)
{
	sp_cleanup(elf_end_p) Elf *elf = elf_begin(e->fd, ELF_C_READ, NULL);
	Elf_Scn *scn = elf_getscn(elf, elf_ndxscn(s->scn));
	GElf_Chdr packed;
	Elf_Data *data;

	if (!scn || s->header.sh_size > SP_ELF_MAX_SECTION_BYTES || !gelf_getchdr(scn, &packed))
		return -EBADMSG;
	if (packed.ch_size > SP_ELF_MAX_SECTION_BYTES)
		return -EFBIG;
	if (elf_compress(scn, 0, 0) < 0)
		return -EBADMSG;
	data = elf_getdata(scn, NULL);
	if (!data || !data->d_buf)
		return -EBADMSG;
	ret->data = malloc(data->d_size);
	if (!ret->data)
		return -ENOMEM;
	memcpy(ret->data, data->d_buf, data->d_size);
	ret->size = data->d_size;
	return 0;
}

int sp_elf_section_read(const struct sp_elf *e, const struct sp_elf_section *s, struct sp_elf_bytes *ret)
{
	if (s->header.sh_type == SHT_NOBITS)
		return -EBADMSG;
	if (s->header.sh_flags & SHF_COMPRESSED)
		return read_compressed(e, s, ret);
	return sp_elf_bytes_read(e, s->header.sh_offset, s->header.sh_size, ret);
}

static uint64_t align_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

bool sp_elf_take_build_id(struct sp_elf *e, const struct sp_elf_bytes *notes, uint64_t align)
{
	Elf64_Nhdr h;
	uint64_t at = 0;

	align = align == 8 ? 8 : 4;
	while (at < notes->size && notes->size - at >= sizeof(h)) {
		uint64_t desc, name = at + sizeof(h);

		memcpy(&h, notes->data + at, sizeof(h));
		desc = align_up(name + h.n_namesz, align);
		if (desc > notes->size || h.n_descsz > notes->size - desc)
			return false;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && memcmp(notes->data + name, "GNU", 4) == 0 &&
		    h.n_descsz > 0 && h.n_descsz <= SP_BUILD_ID_MAX) {
			memcpy(e->build_id, notes->data + desc, h.n_descsz);
			e->build_id_len = h.n_descsz;
			return true;
		}
		at = align_up(desc + h.n_descsz, align);
	}
	return false;
}
