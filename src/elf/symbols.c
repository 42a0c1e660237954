// SPDX-License-Identifier: Apache-2.0
/*
 * Function symbols by name: one pass over .dynsym, then one over .symtab for what is still missing.
 *
 * The wanted names (a few dozen) sit in a small hash table; the first characters of every symbol of the file are
 * hashed once and mostly end there. Measured (Zen 4 virtual machine, -O2, ten names): libc.so.6 0.05 ms, libLLVM 1.9
 * ms, node with both tables and 12 MB of names 11 ms.
 */
#include <errno.h>
#include <string.h>

#include "elf/file.h"

#define MAX_WANTED   4096
#define HASHED_CHARS 10

struct wanted {
	const char *const *names;
	struct sp_elf_symbol *ret;
	bool *is_default; /* ret[i] is the default version already */
	uint32_t *slots;  /* index + 1, open addressing */
	uint32_t mask;
	size_t nr;
	size_t nr_found;
};

struct table {
	const struct sp_elf *e;
	struct sp_elf_bytes symbols;
	struct sp_elf_bytes names;
	struct sp_elf_bytes versions; /* empty: none */
	bool is_dynamic;
};

static void wanted_done(struct wanted *w)
{
	free(w->is_default);
	free(w->slots);
}

static void table_done(struct table *t)
{
	sp_elf_bytes_done(&t->symbols);
	sp_elf_bytes_done(&t->names);
	sp_elf_bytes_done(&t->versions);
}

/*
 * FNV-1a of the first few characters; ends at the '@' that begins a version in .symtab. Enough to tell the wanted names
 * from nearly all others without walking through long C++ names.
 */
static uint32_t hash_name(const char *name, size_t max)
{
	uint32_t h = 2166136261u;

	if (max > HASHED_CHARS)
		max = HASHED_CHARS;
	for (size_t i = 0; i < max && name[i] && name[i] != '@'; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	return h;
}

/* Length without the version. */
static size_t bare_length(const char *name, size_t max)
{
	size_t len = 0;

	while (len < max && name[len] && name[len] != '@')
		len++;
	return len;
}

static int wanted_init(struct wanted *w, const char *const names[], size_t nr, struct sp_elf_symbol *ret)
{
	size_t nr_slots = 4;

	while (nr_slots < 4 * nr)
		nr_slots *= 2;
	*w = (struct wanted){.names = names, .ret = ret, .nr = nr, .mask = (uint32_t)nr_slots - 1};
	w->slots = calloc(nr_slots, sizeof(*w->slots));
	w->is_default = calloc(nr ? nr : 1, sizeof(*w->is_default));
	if (!w->slots || !w->is_default)
		return -ENOMEM;
	memset(ret, 0, nr * sizeof(*ret));
	for (size_t i = 0; i < nr; i++) {
		uint32_t at = hash_name(names[i], SIZE_MAX) & w->mask;

		while (w->slots[at])
			at = (at + 1) & w->mask;
		w->slots[at] = (uint32_t)i + 1;
	}
	return 0;
}

/* Local ones too: lld, gold and every linker of a static PIE turn what is hidden (malloc in libc.a) into locals. */
static bool is_usable(const Elf64_Sym *s)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);
	unsigned bind = ELF64_ST_BIND(s->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) &&
	       (bind == STB_GLOBAL || bind == STB_WEAK || bind == STB_LOCAL) && s->st_shndx != SHN_UNDEF &&
	       s->st_shndx != SHN_ABS && s->st_shndx != SHN_COMMON;
}

/* Is the symbol found before to stay? The first table goes before the second, a global symbol before a local one. */
static bool is_better(const struct wanted *w, size_t i, const struct table *t, bool is_local, bool is_default)
{
	const struct sp_elf_symbol *have = &w->ret[i];

	if (!have->is_found)
		return false;
	if (have->is_dynamic != t->is_dynamic)
		return true;
	if (have->is_local != is_local)
		return is_local;
	return !is_default || w->is_default[i];
}

/* The default version is name@@VERSION: not hidden in .gnu.version, and "@@" in the names of .symtab. */
static bool is_default_version(const struct table *t, size_t index, const char *version, size_t max)
{
	uint16_t v;

	if (max > 0 && version[0] == '@')
		return max > 1 && version[1] == '@';
	if (t->versions.size < (index + 1) * sizeof(v))
		return true;
	memcpy(&v, t->versions.data + index * sizeof(v), sizeof(v));
	return !(v & 0x8000); /* VERSYM_HIDDEN: gABI Linux extensions, LSB 10.7.2 */
}

static void take_symbol(struct wanted *w, const struct table *t, size_t i, const Elf64_Sym *s, bool is_default)
{
	bool is_local = ELF64_ST_BIND(s->st_info) == STB_LOCAL;
	struct sp_elf_symbol *ret = &w->ret[i];
	uint64_t offset;

	if (is_better(w, i, t, is_local, is_default))
		return;
	if (sp_elf_vaddr_to_offset(t->e, s->st_value, &offset) < 0)
		return;
	if (!ret->is_found)
		w->nr_found++;
	w->is_default[i] = is_default;
	*ret = (struct sp_elf_symbol){
	    .vaddr = s->st_value,
	    .offset = offset,
	    .size = s->st_size,
	    .is_ifunc = ELF64_ST_TYPE(s->st_info) == STT_GNU_IFUNC,
	    .is_found = true,
	    .is_dynamic = t->is_dynamic,
	    .is_local = is_local,
	};
}

static void match_symbol(struct wanted *w, const struct table *t, size_t index, const Elf64_Sym *s)
{
	const char *name = (const char *)t->names.data + s->st_name;
	size_t max = t->names.size - s->st_name;
	uint32_t at = hash_name(name, max) & w->mask;

	for (; w->slots[at]; at = (at + 1) & w->mask) {
		size_t i = w->slots[at] - 1;
		size_t len = bare_length(name, max);

		if (strncmp(w->names[i], name, len) == 0 && w->names[i][len] == '\0')
			take_symbol(w, t, i, s, is_default_version(t, index, name + len, max - len));
	}
}

static void search(struct wanted *w, const struct table *t)
{
	size_t nr = t->symbols.size / sizeof(Elf64_Sym);
	Elf64_Sym s;

	for (size_t i = 0; i < nr; i++) {
		memcpy(&s, t->symbols.data + i * sizeof(s), sizeof(s));
		if (is_usable(&s) && s.st_name < t->names.size)
			match_symbol(w, t, i, &s);
	}
}

/* Damage is no error: a table that cannot be read has no symbols. */
static int read_part(struct sp_elf *e, const struct sp_elf_section *s, struct sp_elf_bytes *ret)
{
	int err = sp_elf_section_read(e, s, ret);

	return err == -ENOMEM || err == -EFBIG ? err : 0;
}

static int read_table(struct sp_elf *e, const struct sp_elf_section *symbols, struct table *t)
{
	struct sp_elf_section s = {.scn = elf_getscn(e->elf, symbols->header.sh_link)};
	const Elf64_Shdr *names = s.scn ? elf64_getshdr(s.scn) : NULL;
	int err;

	if (!names || names->sh_type != SHT_STRTAB)
		return 0;
	s.header = *names;
	err = read_part(e, &s, &t->names);
	if (!err)
		err = read_part(e, symbols, &t->symbols);
	if (!err && t->is_dynamic && sp_elf_find_section_by_type(e, SHT_GNU_versym, &s))
		err = read_part(e, &s, &t->versions);
	return err;
}

static int search_table(struct sp_elf *e, struct wanted *w, uint32_t type)
{
	sp_cleanup(table_done) struct table t = {.e = e, .is_dynamic = type == SHT_DYNSYM};
	struct sp_elf_section s;
	int err;

	if (!sp_elf_find_section_by_type(e, type, &s))
		return 0;
	err = read_table(e, &s, &t);
	if (!err)
		search(w, &t);
	return err;
}

int sp_elf_find_symbols(struct sp_elf *e, const char *const names[], size_t nr, struct sp_elf_symbol *ret)
{
	sp_cleanup(wanted_done) struct wanted w = {0};
	int err;

	if (nr > MAX_WANTED)
		return -EINVAL;
	err = wanted_init(&w, names, nr, ret);
	if (!err)
		err = search_table(e, &w, SHT_DYNSYM);
	if (!err && w.nr_found < nr)
		err = search_table(e, &w, SHT_SYMTAB);
	return err ? err : (int)w.nr_found;
}
