// SPDX-License-Identifier: Apache-2.0
/*
 * A mapped ELF image: its load bias and its dynamic section, from headers in the target's memory. Every number in there
 * is the target's: counts are bounded, addresses are only ever handed to the reader, which fails on what is not mapped.
 */
#include "proc/priv.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

enum {
	MAX_PHDRS = 128, /* linkers write about 14 */
	MAX_DYN = 1024,  /* linkers write about 35, plus one for each library needed */
};

struct phdrs {
	Elf64_Phdr list[MAX_PHDRS];
	uint64_t nr;
};

static int read_phdrs(const struct sp_rmem *mem, uint64_t addr, uint64_t nr, struct phdrs *ret)
{
	if (!nr || nr > MAX_PHDRS)
		return -EINVAL;
	ret->nr = nr;
	return sp_rmem_get(mem, addr, ret->list, nr * sizeof(ret->list[0])) ? 0 : -EIO;
}

static const Elf64_Phdr *find_phdr(const struct phdrs *ph, uint32_t type)
{
	for (uint64_t i = 0; i < ph->nr; i++)
		if (ph->list[i].p_type == type)
			return &ph->list[i];
	return NULL;
}

static void fill_dynamic(const struct phdrs *ph, struct sp_image *img)
{
	const Elf64_Phdr *dyn = find_phdr(ph, PT_DYNAMIC);

	if (!dyn)
		return;
	img->dynamic = img->bias + dyn->p_vaddr;
	img->nr_dyn = dyn->p_memsz / sizeof(Elf64_Dyn);
	if (img->nr_dyn > MAX_DYN)
		img->nr_dyn = MAX_DYN;
}

/* Linkers write one such segment; with several, from the first to the last. */
static void fill_data(const struct phdrs *ph, struct sp_image *img)
{
	for (uint64_t i = 0; i < ph->nr; i++) {
		const Elf64_Phdr *p = &ph->list[i];
		uint64_t start = img->bias + p->p_vaddr, end;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W) || __builtin_add_overflow(start, p->p_memsz, &end))
			continue;
		if (!img->data_end || start < img->data_start)
			img->data_start = start;
		if (end > img->data_end)
			img->data_end = end;
	}
}

int sp_image_from_phdrs(const struct sp_rmem *mem, const struct sp_auxv *aux, struct sp_image *ret)
{
	struct sp_image img = {};
	struct phdrs ph;

	if (aux->phent != sizeof(Elf64_Phdr))
		return -EINVAL;
	int rc = read_phdrs(mem, aux->phdr, aux->phnum, &ph);
	if (rc < 0)
		return rc;

	/* Every dynamically linked program has PT_PHDR; one without is static, and then fixed where it was linked. */
	const Elf64_Phdr *self = find_phdr(&ph, PT_PHDR);
	img.bias = self ? aux->phdr - self->p_vaddr : 0;
	fill_dynamic(&ph, &img);
	*ret = img;
	return 0;
}

int sp_image_from_header(const struct sp_rmem *mem, uint64_t base, struct sp_image *ret)
{
	struct sp_image img = {.base = base};
	Elf64_Ehdr eh;
	struct phdrs ph;

	if (!sp_rmem_get(mem, base, &eh, sizeof(eh)))
		return -EIO;
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_phentsize != sizeof(Elf64_Phdr))
		return -ENOEXEC;
	int rc = read_phdrs(mem, base + eh.e_phoff, eh.e_phnum, &ph);
	if (rc < 0)
		return rc;

	const Elf64_Phdr *load = find_phdr(&ph, PT_LOAD);
	if (!load)
		return -ENOEXEC;
	img.bias = base - (load->p_vaddr - load->p_offset);
	fill_dynamic(&ph, &img);
	fill_data(&ph, &img);
	*ret = img;
	return 0;
}

bool sp_image_dyn(const struct sp_rmem *mem, const struct sp_image *img, int64_t tag, uint64_t *ret)
{
	for (uint64_t i = 0; img->dynamic && i < img->nr_dyn; i++) {
		Elf64_Dyn d;

		if (!sp_rmem_get(mem, img->dynamic + i * sizeof(d), &d, sizeof(d)) || d.d_tag == DT_NULL)
			return false;
		if (d.d_tag == tag) {
			*ret = d.d_un.d_val;
			return true;
		}
	}
	return false;
}
