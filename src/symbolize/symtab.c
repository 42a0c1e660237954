// SPDX-License-Identifier: Apache-2.0
/*
 * Symbol tables as a sorted array: libdwfl's own lookup walks the whole table for each address, 10 ms and more in a
 * big program. A symbol owns [start, start + size) and nothing behind it: in a stripped file the next exported symbol
 * may be far away, and the functions between them are not its. Symbols without a size (written in assembler) own what
 * is left up to the next symbol, at most UNSIZED_MAX_BYTES, in their own section.
 */
#include "symbolize/symtab.h"

#include <errno.h>
#include <string.h>

#define MAX_SYMBOLS       (16u << 20)
#define MAX_RANGES        65536
#define UNSIZED_MAX_BYTES 4096
#define RANK_SIZED        (1u << 4)
#define MAX_STEPS_BACK    4096 /* through symbols that overlap: real files have a handful */

struct range {
	uint64_t start, end;
};

static int add_range(struct sp_symtab *t, uint64_t start, uint64_t size)
{
	struct range r = {.start = start};

	if (!size || __builtin_add_overflow(start, size, &r.end))
		return 0;
	int err = sp_vec_push(&t->ranges, &r);

	return err == -ENOSPC ? 0 : err;
}

static bool is_our_section(const struct sp_symtab *t, uint64_t flags)
{
	if (!(flags & SHF_ALLOC))
		return false;
	if (t->kind == SP_SYMTAB_CODE)
		return flags & SHF_EXECINSTR;
	if (t->kind == SP_SYMTAB_TLS)
		return flags & SHF_TLS;
	return (flags & SHF_WRITE) && !(flags & SHF_TLS);
}

static int add_sections(struct sp_symtab *t, Elf *elf)
{
	int err = 0;

	for (Elf_Scn *scn = NULL; !err && (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;

		if (gelf_getshdr(scn, &sh) && is_our_section(t, sh.sh_flags))
			err = add_range(t, sh.sh_addr, sh.sh_size);
	}
	return err;
}

static bool is_our_segment(const struct sp_symtab *t, const GElf_Phdr *ph)
{
	if (t->kind == SP_SYMTAB_TLS)
		return ph->p_type == PT_TLS;
	return ph->p_type == PT_LOAD && (ph->p_flags & (t->kind == SP_SYMTAB_CODE ? PF_X : PF_W));
}

static int add_segments(struct sp_symtab *t, Elf *elf, bool has_sections)
{
	size_t nr = 0;
	int err = 0;

	if (elf_getphdrnum(elf, &nr))
		return 0;
	for (size_t i = 0; !err && i < nr; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph) || !is_our_segment(t, &ph))
			continue;
		if (t->kind == SP_SYMTAB_TLS)
			t->tls_vaddr = ph.p_vaddr;
		if (!has_sections)
			err = add_range(t, ph.p_vaddr, ph.p_memsz);
	}
	return err;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

int sp_symtab_init(struct sp_symtab *t, enum sp_symtab_kind kind, Elf *main_elf)
{
	int err;

	*t = (struct sp_symtab){.kind = kind};
	sp_vec_init(&t->ranges, sizeof(struct range), MAX_RANGES);
	sp_vec_init(&t->symbols, sizeof(struct sp_symbol), MAX_SYMBOLS);
	err = add_sections(t, main_elf);
	if (!err)
		err = add_segments(t, main_elf, t->ranges.nr);
	if (err) {
		sp_symtab_done(t);
		return err;
	}
	if (t->ranges.nr)
		qsort(t->ranges.data, t->ranges.nr, sizeof(struct range), compare_ranges);
	return 0;
}

void sp_symtab_done(struct sp_symtab *t)
{
	sp_vec_done(&t->ranges);
	sp_vec_done(&t->symbols);
}

/* End of the range that holds vaddr, 0: no such symbol can be there. */
static uint64_t range_end(const struct sp_symtab *t, uint64_t vaddr)
{
	size_t lo = 0, hi = t->ranges.nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct range *r = sp_vec_at(&t->ranges, struct range, mid);

		if (vaddr < r->start)
			hi = mid;
		else if (vaddr >= r->end)
			lo = mid + 1;
		else
			return r->end;
	}
	return 0;
}

/* Functions before labels, sized before unsized, visible before local, malloc before __libc_malloc. */
static uint32_t rank_of(const GElf_Sym *sym, const char *name)
{
	unsigned type = GELF_ST_TYPE(sym->st_info), bind = GELF_ST_BIND(sym->st_info);
	size_t nr_underscores = strspn(name, "_");
	uint32_t rank = 0;

	rank |= (uint32_t)(type != STT_NOTYPE) << 5;
	rank |= sym->st_size ? RANK_SIZED : 0;
	rank |= (uint32_t)(bind != STB_LOCAL) << 3;
	rank |= (nr_underscores > 3 ? 0u : 3u - (uint32_t)nr_underscores) << 1;
	rank |= bind == STB_GLOBAL;
	return rank;
}

static bool is_ours(const struct sp_symtab *t, const GElf_Sym *sym)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS)
		return false;
	if (t->kind == SP_SYMTAB_DATA)
		return type == STT_OBJECT || type == STT_COMMON;
	if (t->kind == SP_SYMTAB_TLS)
		return type == STT_TLS;
	return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

static int add_symbol(struct sp_symtab *t, const GElf_Sym *sym, const char *name)
{
	struct sp_symbol s = {.start = sym->st_value, .name = name, .rank = rank_of(sym, name)};
	uint64_t limit;

	if (t->kind == SP_SYMTAB_TLS)
		s.start += t->tls_vaddr;
	limit = range_end(t, s.start);
	if (!limit || __builtin_add_overflow(s.start, sym->st_size, &s.end))
		return 0;
	if (s.end > limit)
		s.end = limit;
	int err = sp_vec_push(&t->symbols, &s);

	return err == -ENOMEM ? err : 0; /* -ENOSPC: counted by the vector */
}

static int add_section(struct sp_symtab *t, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t nr = data && data->d_buf && sh->sh_entsize ? data->d_size / sh->sh_entsize : 0;
	int err = 0;

	for (size_t i = 1; !err && i < nr && i <= INT32_MAX; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym))
			break;
		if (!is_ours(t, &sym))
			continue;
		name = elf_strptr(elf, sh->sh_link, sym.st_name);
		if (name && *name)
			err = add_symbol(t, &sym, name);
	}
	return err;
}

long sp_symtab_add(struct sp_symtab *t, Elf *elf, uint32_t sh_type)
{
	size_t before = t->symbols.nr;
	int err = 0;

	for (Elf_Scn *scn = NULL; !err && (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;

		if (gelf_getshdr(scn, &sh) && sh.sh_type == sh_type)
			err = add_section(t, elf, scn, &sh);
	}
	return err ? err : (long)(t->symbols.nr - before);
}

static int compare_symbols(const void *a, const void *b)
{
	const struct sp_symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(y->name, x->name);
}

/* Unsized symbols end where the next one starts. */
static void end_unsized(struct sp_symtab *t)
{
	uint64_t next = UINT64_MAX, here = UINT64_MAX;

	for (size_t i = t->symbols.nr; i-- > 0;) {
		struct sp_symbol *s = sp_vec_at(&t->symbols, struct sp_symbol, i);

		if (s->start != here) {
			next = here;
			here = s->start;
		}
		if (s->end != s->start)
			continue;
		s->end = range_end(t, s->start);
		if (s->end > next)
			s->end = next;
		if (s->end - s->start > UNSIZED_MAX_BYTES)
			s->end = s->start + UNSIZED_MAX_BYTES;
	}
}

void sp_symtab_seal(struct sp_symtab *t)
{
	uint64_t max_end = 0;

	if (!t->symbols.nr)
		return;
	qsort(t->symbols.data, t->symbols.nr, sizeof(struct sp_symbol), compare_symbols);
	end_unsized(t);
	for (size_t i = 0; i < t->symbols.nr; i++) {
		struct sp_symbol *s = sp_vec_at(&t->symbols, struct sp_symbol, i);

		if (s->end > max_end)
			max_end = s->end;
		s->max_end = max_end;
	}
}

/* From the last symbol that starts at or before vaddr. A label inside a sized function does not hide the function. */
static const struct sp_symbol *find_back(const struct sp_symtab *t, size_t i, uint64_t vaddr)
{
	const struct sp_symbol *label = NULL;

	for (unsigned step = 0; i > 0 && step < MAX_STEPS_BACK; step++) {
		const struct sp_symbol *s = sp_vec_at(&t->symbols, struct sp_symbol, --i);

		if (s->max_end <= vaddr)
			break;
		if (s->end <= vaddr)
			continue;
		if (s->rank & RANK_SIZED)
			return s;
		if (!label)
			label = s;
	}
	return label;
}

const struct sp_symbol *sp_symtab_find(const struct sp_symtab *t, uint64_t vaddr)
{
	size_t lo = 0, hi = t->symbols.nr;

	while (lo < hi) { /* lo: the first symbol that starts behind vaddr */
		size_t mid = lo + (hi - lo) / 2;

		if (sp_vec_at(&t->symbols, struct sp_symbol, mid)->start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return find_back(t, lo, vaddr);
}
