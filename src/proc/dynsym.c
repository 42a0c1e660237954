// SPDX-License-Identifier: Apache-2.0
/*
 * Finds one symbol in the dynamic symbol table of an image in memory, by its GNU or System V hash table (the number of
 * symbols is written nowhere else). Tables: "System V ABI, Dynamic Linking" and the GNU hash section as ld writes it.
 */
#include "proc/priv.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

enum {
	MAX_CHAIN = 65536, /* entries looked at in one lookup; the dynamic linker itself exports a few dozen */
	MAX_NAME = 64,
};

struct dynsym {
	const struct sp_rmem *mem;
	const struct sp_image *img;
	const char *name;
	uint64_t symtab, strtab, strsz;
};

/*
 * An address entry of the dynamic section: as linked before the dynamic linker has relocated itself, absolute after
 * that (glibc writes them back, musl does not).
 */
static bool dyn_addr(const struct dynsym *t, int64_t tag, uint64_t *ret)
{
	uint64_t v;

	if (!sp_image_dyn(t->mem, t->img, tag, &v))
		return false;
	*ret = v < t->img->base ? v + t->img->bias : v;
	return true;
}

/* True when symbol `index` is defined and has our name. */
static bool is_ours(const struct dynsym *t, uint32_t index, uint64_t *ret)
{
	char name[MAX_NAME];
	Elf64_Sym sym;
	size_t size = strlen(t->name) + 1;

	if (!sp_rmem_get(t->mem, t->symtab + (uint64_t)index * sizeof(sym), &sym, sizeof(sym)))
		return false;
	if (sym.st_shndx == SHN_UNDEF || sym.st_name > t->strsz || size > t->strsz - sym.st_name)
		return false;
	if (!sp_rmem_get(t->mem, t->strtab + sym.st_name, name, size) || memcmp(name, t->name, size) != 0)
		return false;
	*ret = t->img->bias + sym.st_value;
	return true;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

static bool find_gnu(const struct dynsym *t, uint64_t table, uint64_t *ret)
{
	struct {
		uint32_t nr_buckets, first_symbol, bloom_words, bloom_shift;
	} head;
	uint32_t hash = gnu_hash(t->name), index, entry;

	if (!sp_rmem_get(t->mem, table, &head, sizeof(head)) || !head.nr_buckets)
		return false;
	uint64_t buckets = table + sizeof(head) + (uint64_t)head.bloom_words * 8;
	uint64_t chains = buckets + (uint64_t)head.nr_buckets * 4;
	if (!sp_rmem_get(t->mem, buckets + (uint64_t)(hash % head.nr_buckets) * 4, &index, sizeof(index)) ||
	    index < head.first_symbol)
		return false;

	for (unsigned i = 0; i < MAX_CHAIN; i++, index++) {
		if (!sp_rmem_get(t->mem, chains + (uint64_t)(index - head.first_symbol) * 4, &entry, sizeof(entry)))
			return false;
		if ((entry | 1) == (hash | 1) && is_ours(t, index, ret))
			return true;
		if (entry & 1) /* the last of its bucket */
			return false;
	}
	return false;
}

static uint32_t sysv_hash(const char *name)
{
	uint32_t h = 0;

	for (; *name; name++) {
		h = (h << 4) + (unsigned char)*name;
		h ^= (h & 0xf0000000) >> 24;
		h &= 0x0fffffff;
	}
	return h;
}

static bool find_sysv(const struct dynsym *t, uint64_t table, uint64_t *ret)
{
	struct {
		uint32_t nr_buckets, nr_chains;
	} head;
	uint32_t index;

	if (!sp_rmem_get(t->mem, table, &head, sizeof(head)) || !head.nr_buckets)
		return false;
	uint64_t buckets = table + sizeof(head);
	uint64_t chains = buckets + (uint64_t)head.nr_buckets * 4;
	uint64_t at = buckets + (uint64_t)(sysv_hash(t->name) % head.nr_buckets) * 4;

	for (unsigned i = 0; i < MAX_CHAIN; i++) {
		if (!sp_rmem_get(t->mem, at, &index, sizeof(index)) || !index || index >= head.nr_chains)
			return false;
		if (is_ours(t, index, ret))
			return true;
		at = chains + (uint64_t)index * 4;
	}
	return false;
}

int sp_dynsym_find(const struct sp_rmem *mem, const struct sp_image *img, const char *name, uint64_t *ret)
{
	struct dynsym t = {.mem = mem, .img = img, .name = name};
	uint64_t table;

	if (strlen(name) >= MAX_NAME)
		return -ENAMETOOLONG;
	if (!dyn_addr(&t, DT_SYMTAB, &t.symtab) || !dyn_addr(&t, DT_STRTAB, &t.strtab) ||
	    !sp_image_dyn(mem, img, DT_STRSZ, &t.strsz))
		return -ENOENT;
	if (dyn_addr(&t, DT_GNU_HASH, &table))
		return find_gnu(&t, table, ret) ? 0 : -ENOENT;
	if (dyn_addr(&t, DT_HASH, &table))
		return find_sysv(&t, table, ret) ? 0 : -ENOENT;
	return -ENOENT;
}
