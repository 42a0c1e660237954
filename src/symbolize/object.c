// SPDX-License-Identifier: Apache-2.0
/*
 * One ELF file: headers at once, symbols and DWARF when the first address is asked for.
 *
 * Names of physical functions come from the symbol table, because that is what other tools print and what the offset
 * is counted from; DWARF adds the lines and what was inlined, and names functions that no symbol covers.
 *
 * libdw opens files by names that it finds in the DWARF in two cases, always on the host and without a callback:
 * a missing dwz file (dwarf_getalt) and split units (.dwo). The target must not choose what root opens, so DWARF with
 * a dwz link is used only after the link was answered from our own search, and no call is made that resolves a
 * skeleton unit (dwarf_cu_info, dwarf_get_units with a subdie): a split program has symbols and lines, but no
 * inlined frames.
 */
#include "symbolize/object.h"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <string.h>

#include "symbolize/symtab.h"
#include "symbolize/units.h"

#define MAX_LOADS       1024
#define MAX_BUILD_ID    64
#define MAX_DEBUG_BYTES (16ull << 30) /* of one file */

enum { VARIABLES, THREAD_VARIABLES, NR_DATA };

struct load {
	uint64_t offset, vaddr, filesz, memsz;
	bool is_code;
};

struct sp_object {
	struct sp_elffile main, debug, alt, mini;
	struct sp_object_options opt;
	struct sp_vec loads;
	char build_id[2 * MAX_BUILD_ID + 1];
	bool is_ready, searched_debug, is_data_ready[NR_DATA];
	struct sp_symtab symtab, data[NR_DATA];
	struct load tls;
	uint64_t tls_align;
	Dwarf *dw, *alt_dw;
	struct sp_units units;
	char path[]; /* as the target calls it */
};

/* ---- headers ---- */

static int read_loads(struct sp_object *o)
{
	size_t nr = 0;
	int err = 0;

	if (elf_getphdrnum(o->main.elf, &nr))
		return -ENOEXEC;
	for (size_t i = 0; !err && i < nr; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(o->main.elf, (int)i, &ph) || (ph.p_type != PT_LOAD && ph.p_type != PT_TLS))
			continue;
		struct load l = {ph.p_offset, ph.p_vaddr, ph.p_filesz, ph.p_memsz, ph.p_flags & PF_X};
		if (ph.p_type == PT_LOAD) {
			err = sp_vec_push(&o->loads, &l);
		} else {
			o->tls = l;
			o->tls_align = ph.p_align;
		}
	}
	return err == -ENOSPC ? 0 : err;
}

static void read_build_id(struct sp_object *o)
{
	const void *id;
	ssize_t len = dwelf_elf_gnu_build_id(o->main.elf, &id);

	for (ssize_t i = 0; i < len && i < MAX_BUILD_ID; i++)
		snprintf(o->build_id + 2 * i, 3, "%02x", ((const uint8_t *)id)[i]);
}

static bool is_program(Elf *elf)
{
	GElf_Ehdr eh;

	return gelf_getehdr(elf, &eh) && (eh.e_type == ET_EXEC || eh.e_type == ET_DYN);
}

static int init(struct sp_object *o, int fd, const struct sp_object_options *opt)
{
	int err;

	o->debug = o->alt = o->mini = o->main = SP_ELFFILE_NONE;
	o->opt = *opt;
	sp_vec_init(&o->loads, sizeof(struct load), MAX_LOADS);
	err = sp_elffile_open(fd, &o->main);
	if (err)
		return err;
	if (!is_program(o->main.elf))
		return -ENOEXEC;
	read_build_id(o);
	return read_loads(o);
}

int sp_object_open(int fd, const char *path, const struct sp_object_options *opt, struct sp_object **ret)
{
	size_t len = strlen(path);
	struct sp_object *o = calloc(1, sizeof(*o) + len + 1);
	int err;

	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	memcpy(o->path, path, len);
	err = init(o, fd, opt);
	if (err)
		sp_object_close(o);
	else
		*ret = o;
	return err;
}

void sp_object_close(struct sp_object *o)
{
	if (!o)
		return;
	sp_units_done(&o->units);
	if (o->is_ready)
		sp_symtab_done(&o->symtab);
	for (unsigned i = 0; i < NR_DATA; i++)
		if (o->is_data_ready[i])
			sp_symtab_done(&o->data[i]);
	if (o->dw)
		dwarf_end(o->dw);
	if (o->alt_dw)
		dwarf_end(o->alt_dw);
	sp_elffile_close(&o->mini);
	sp_elffile_close(&o->alt);
	sp_elffile_close(&o->debug);
	sp_elffile_close(&o->main);
	sp_vec_done(&o->loads);
	free(o);
}

const char *sp_object_build_id(const struct sp_object *o)
{
	return o->build_id;
}

bool sp_object_vaddr(const struct sp_object *o, uint64_t offset, uint64_t *ret)
{
	const struct load *found = NULL;

	for (size_t i = 0; i < o->loads.nr; i++) {
		const struct load *l = sp_vec_at(&o->loads, struct load, i);

		if (offset < l->offset || offset - l->offset >= l->filesz)
			continue;
		if (!found || (l->is_code && !found->is_code))
			found = l;
	}
	if (found)
		*ret = offset - found->offset + found->vaddr;
	return found != NULL;
}

/* ---- symbols and DWARF, on the first address ---- */

static Elf *find_debug(struct sp_object *o)
{
	if (!o->searched_debug && o->opt.search) {
		o->searched_debug = true;
		if (sp_debugfile_find(o->opt.search, o->main.elf, o->path, &o->debug) < 0)
			o->debug = SP_ELFFILE_NONE;
	}
	return o->debug.elf;
}

static long read_exported_symbols(struct sp_object *o, struct sp_symtab *t)
{
	long nr = sp_symtab_add(t, o->main.elf, SHT_DYNSYM);

	if (nr >= 0 && (o->mini.elf || sp_elffile_open_minidebug(o->main.elf, &o->mini) == 0))
		nr = sp_symtab_add(t, o->mini.elf, SHT_SYMTAB);
	return nr;
}

/* .symtab of the file, else of its debug file, else .dynsym and .gnu_debugdata together. */
static void read_symbols(struct sp_object *o, struct sp_symtab *t, enum sp_symtab_kind kind)
{
	if (sp_symtab_init(t, kind, o->main.elf) < 0)
		return;
	long nr = sp_symtab_add(t, o->main.elf, SHT_SYMTAB);
	if (nr == 0 && find_debug(o))
		nr = sp_symtab_add(t, o->debug.elf, SHT_SYMTAB);
	if (nr == 0)
		nr = read_exported_symbols(o, t);
	if (nr < 0)
		t->symbols.nr_refused++; /* no memory: the names found until then serve */
	sp_symtab_seal(t);
}

static bool has_dwarf(Elf *elf)
{
	return sp_elffile_section(elf, ".debug_info", NULL) || sp_elffile_section(elf, ".zdebug_info", NULL);
}

static Dwarf *begin_dwarf(struct sp_object *o, Elf *elf)
{
	uint64_t bytes = sp_elffile_debug_bytes(elf);
	Dwarf *dw;

	if (bytes > MAX_DEBUG_BYTES || bytes > *o->opt.debug_bytes_left)
		return NULL;
	*o->opt.debug_bytes_left -= bytes;
	dw = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (dw && !sp_elffile_strings_end(elf)) {
		dwarf_end(dw);
		return NULL;
	}
	return dw;
}

/* False: the file needs common DWARF that is not there, so libdw would go and look for it. */
static bool settle_alt(struct sp_object *o)
{
	const char *name;
	const void *id;

	if (dwelf_dwarf_gnu_debugaltlink(o->dw, &name, &id) == 0)
		return true;
	if (!o->opt.search || sp_debugfile_find_alt(o->opt.search, o->dw, &o->alt) < 0)
		return false;
	/* An alternate file with an alternate of its own would be the same trap one floor down. */
	if (!sp_elffile_section(o->alt.elf, ".gnu_debugaltlink", NULL))
		o->alt_dw = begin_dwarf(o, o->alt.elf);
	if (!o->alt_dw)
		return false;
	dwarf_setalt(o->dw, o->alt_dw);
	return true;
}

static void read_dwarf(struct sp_object *o)
{
	Elf *elf = has_dwarf(o->main.elf) ? o->main.elf : find_debug(o);

	if (!elf || o->opt.no_lines)
		return;
	o->dw = begin_dwarf(o, elf);
	if (!o->dw)
		return;
	if (!settle_alt(o) || sp_units_init(&o->units, o->dw) < 0) {
		dwarf_end(o->dw);
		o->dw = NULL;
	}
}

/* ---- variables ---- */

static bool is_loaded(const struct sp_object *o, uint64_t vaddr)
{
	for (size_t i = 0; i < o->loads.nr; i++) {
		const struct load *l = sp_vec_at(&o->loads, struct load, i);

		if (vaddr >= l->vaddr && vaddr - l->vaddr < l->memsz)
			return true;
	}
	return false;
}

uint64_t sp_object_tls_bytes(const struct sp_object *o, uint64_t *ret_align)
{
	*ret_align = o->tls_align ? o->tls_align : 1;
	return o->tls.memsz;
}

bool sp_object_variable(struct sp_object *o, uint64_t vaddr, bool is_tls, struct sp_object_variable *ret)
{
	unsigned i = is_tls ? THREAD_VARIABLES : VARIABLES;
	struct sp_symtab *t = &o->data[i];

	if (is_tls ? vaddr >= o->tls.memsz : !is_loaded(o, vaddr))
		return false;
	if (!o->is_data_ready[i]) {
		o->is_data_ready[i] = true;
		read_symbols(o, t, is_tls ? SP_SYMTAB_TLS : SP_SYMTAB_DATA);
	}
	uint64_t base = is_tls ? o->tls.vaddr : 0;
	const struct sp_symbol *sym = sp_symtab_find(t, vaddr + base);
	*ret = (struct sp_object_variable){.start = vaddr};
	if (sym)
		*ret = (struct sp_object_variable){sym->name, sym->start - base, sym->end - sym->start};
	return true;
}

/* ---- frames ---- */

static const char *string_of(Dwarf_Die *die, unsigned attr)
{
	Dwarf_Attribute a;

	return dwarf_formstring(dwarf_attr_integrate(die, attr, &a));
}

static const char *name_of(Dwarf_Die *die)
{
	const char *name = string_of(die, DW_AT_linkage_name);

	if (!name)
		name = string_of(die, DW_AT_MIPS_linkage_name);
	return name ? name : string_of(die, DW_AT_name);
}

static Dwarf_Word number_of(Dwarf_Die *die, unsigned attr)
{
	Dwarf_Attribute a;
	Dwarf_Word v;

	return dwarf_formudata(dwarf_attr(die, attr, &a), &v) == 0 ? v : 0;
}

/* libdw joins the names of the line table with its directories, but these may be relative, too. */
static void set_dir(Dwarf_Die *unit, struct sp_object_frame *f)
{
	if (f->file && f->file[0] != '/')
		f->dir = string_of(unit, DW_AT_comp_dir);
}

static void set_line(Dwarf_Die *unit, uint64_t pc, struct sp_object_frame *f)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, pc);
	int nr = 0;

	if (!line)
		return;
	f->file = dwarf_linesrc(line, NULL, NULL);
	if (f->file && dwarf_lineno(line, &nr) == 0 && nr > 0)
		f->line = (unsigned)nr;
}

/* Where `callee` was inlined. */
static void set_call_line(Dwarf_Die *unit, Dwarf_Die *callee, struct sp_object_frame *f)
{
	Dwarf_Files *files;
	size_t nr;
	Dwarf_Word index = number_of(callee, DW_AT_call_file), line = number_of(callee, DW_AT_call_line);

	if (dwarf_getsrcfiles(unit, &files, &nr) == 0 && index < nr)
		f->file = dwarf_filesrc(files, index, NULL, NULL);
	if (f->file && line <= INT32_MAX)
		f->line = (unsigned)line;
}

static unsigned add_dwarf_frames(struct sp_chain *c, uint64_t pc, struct sp_object_frame *ret, unsigned max)
{
	unsigned nr = c->nr ? c->nr : 1;

	if (nr > max)
		nr = max;
	for (unsigned i = 0; i < nr; i++) {
		struct sp_object_frame *f = &ret[i];
		unsigned at = c->nr - 1 - i; /* in the chain; the physical function is 0 */

		*f = (struct sp_object_frame){.inlined = c->nr > i + 1};
		if (i == 0)
			set_line(&c->unit, pc, f);
		else
			set_call_line(&c->unit, &c->dies[at + 1], f);
		set_dir(&c->unit, f);
		if (c->nr)
			f->name = name_of(&c->dies[at]);
	}
	return nr;
}

static uint64_t start_of(struct sp_chain *c, uint64_t vaddr)
{
	Dwarf_Addr start;

	return c->nr && dwarf_entrypc(&c->dies[0], &start) == 0 && start <= vaddr ? start : vaddr;
}

unsigned sp_object_frames(struct sp_object *o, uint64_t vaddr, struct sp_object_frame *ret, unsigned max,
			  uint64_t *ret_start)
{
	struct sp_chain chain = {};
	const struct sp_symbol *sym;
	unsigned nr = 1;

	if (!o->is_ready) {
		o->is_ready = true;
		read_symbols(o, &o->symtab, SP_SYMTAB_CODE);
		read_dwarf(o);
	}
	ret[0] = (struct sp_object_frame){};
	if (o->dw && sp_units_find(&o->units, vaddr, &chain))
		nr = add_dwarf_frames(&chain, vaddr, ret, max);
	sym = sp_symtab_find(&o->symtab, vaddr);
	if (sym && !ret[nr - 1].inlined)
		ret[nr - 1].name = sym->name;
	*ret_start = sym ? sym->start : start_of(&chain, vaddr);
	return nr;
}
