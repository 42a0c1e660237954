// SPDX-License-Identifier: Apache-2.0
/*
 * Which functions of the target to watch: as its own dynamic linker resolves them.
 *
 * The first module in search order that defines a name is the one that everybody in the process calls (executable,
 * preloads, libraries in load order), so that is where the probe goes. C++ operators are watched only in the module
 * that also defines malloc: elsewhere they go through malloc and would be seen twice. The dynamic linker's private
 * malloc (old glibc exports it) is never meant.
 */
#include <errno.h>
#include <string.h>

#include "elf/elf.h"
#include "engines/bpf/impl.h"

#define MAX_OBJECTS 64
#define MAX_SITES   256
#define CODE_BYTES  4096 /* of a function, looked at for branches back into its entry */

struct row {
	const char *symbol;
	enum sp_fn_kind kind;
	unsigned size_arg;
	enum sp_fn_where where;
};

static const struct row rows[SP_NR_FNS] = {
#define ROW(id, symbol, kind, size_arg, where) [SP_FN_##id] = {symbol, kind, size_arg, where},
    SP_FNS(ROW)
#undef ROW
};

/* The names to look for, with the user's prefix. */
struct names {
	char *text; /* owner */
	const char *list[SP_NR_FNS];
};

/* The search as it goes through the modules. */
struct search {
	const struct sp_engine_config *c;
	struct names names;
	bool found[SP_NR_FNS];
	struct sp_bpf_functions *out;
};

static int names_make(struct names *n, const char *prefix)
{
	size_t size = 0;

	for (int i = 0; i < SP_NR_FNS; i++)
		size += strlen(rows[i].symbol) + (prefix ? strlen(prefix) : 0) + 1;
	n->text = malloc(size);
	if (!n->text)
		return -ENOMEM;
	char *at = n->text;
	for (int i = 0; i < SP_NR_FNS; i++) {
		/* Mapping calls are libc's whatever the allocator's names are, unwinding is the compiler's. */
		bool prefixed = prefix && rows[i].where != SP_WHERE_LIBC && rows[i].where != SP_WHERE_ALL;
		n->list[i] = at;
		at += snprintf(at, size - (size_t)(at - n->text), "%s%s", prefixed ? prefix : "", rows[i].symbol) + 1;
	}
	return 0;
}

static struct sp_bpf_object *object_get(struct sp_bpf_functions *f, const struct sp_module *m, const struct sp_elf *e)
{
	struct sp_bpf_object o = {.fd = -1, .dev = m->dev, .inode = m->inode};

	for (size_t i = 0; i < f->objects.nr; i++) {
		struct sp_bpf_object *have = sp_vec_at(&f->objects, struct sp_bpf_object, i);
		if (have->dev == m->dev && have->inode == m->inode)
			return have;
	}
	o.fd = dup(sp_elf_fd(e));
	if (o.fd < 0)
		return NULL;
	sp_vec_init(&o.sites, sizeof(struct sp_bpf_site), MAX_SITES);
	if (sp_vec_push(&f->objects, &o)) {
		close(o.fd);
		return NULL;
	}
	return sp_vec_at(&f->objects, struct sp_bpf_object, f->objects.nr - 1);
}

static bool has_site(const struct sp_bpf_object *o, uint64_t offset)
{
	for (size_t i = 0; i < o->sites.nr; i++)
		if (sp_vec_at(&o->sites, struct sp_bpf_site, i)->offset == offset)
			return true;
	return false;
}

static uint64_t probe_offset(const struct sp_elf *e, const struct sp_elf_symbol *s)
{
	uint8_t code[CODE_BYTES];
	size_t want = s->size && s->size < sizeof(code) ? s->size : sizeof(code);
	ssize_t len = sp_elf_read(e, s->offset, code, want);

	return s->offset + (len > 0 ? sp_bpf_place(code, (size_t)len) : 0);
}

static int site_add(struct search *s, const struct sp_module *m, const struct sp_elf *e, int fn,
		    const struct sp_elf_symbol *sym)
{
	enum sp_fn_kind kind = rows[fn].kind;
	struct sp_bpf_site site = {.offset = probe_offset(e, sym), .cookie = SP_COOKIE(fn, kind, rows[fn].size_arg)};
	struct sp_bpf_object *o = object_get(s->out, m, e);

	if (!o)
		return -ENOMEM;
	s->found[fn] = true;
	if (has_site(o, site.offset)) /* another name of the same code: mmap64, cfree */
		return 0;
	return sp_vec_push(&o->sites, &site);
}

/* -O restricts where the allocator is looked for; the mapping calls stay libc's. */
static bool is_wanted(const struct search *s, int fn, const struct sp_elf_symbol *syms, bool chosen, bool any_table)
{
	const struct sp_elf_symbol *sym = &syms[fn];

	if (rows[fn].where == SP_WHERE_ALL)
		return sym->is_found && !sym->is_ifunc;
	if (!chosen && rows[fn].where != SP_WHERE_LIBC)
		return false;
	if (s->found[fn] || !sym->is_found || sym->is_ifunc || (!sym->is_dynamic && !any_table))
		return false;
	return rows[fn].where != SP_WHERE_CXX || syms[SP_FN_MALLOC].is_found;
}

static int module_search(struct search *s, const struct sp_module *m, struct sp_elf *e, bool chosen)
{
	struct sp_elf_symbol syms[SP_NR_FNS];
	bool had_malloc = s->found[SP_FN_MALLOC];
	int nr = sp_elf_find_symbols(e, s->names.list, SP_NR_FNS, syms);
	/* Nobody else can bind to what stands in .symtab alone; in a static program there is nobody else. */
	bool any_table = sp_elf_is_static(e) || (chosen && (s->c->object || s->c->symbols_prefix));

	if (nr <= 0)
		return nr;
	if (!had_malloc && is_wanted(s, SP_FN_MALLOC, syms, chosen, any_table)) {
		s->out->allocator = strdup(m->path);
		if (!s->out->allocator)
			return -ENOMEM;
	}
	for (int fn = 0; fn < SP_NR_FNS; fn++) {
		if (!is_wanted(s, fn, syms, chosen, any_table) || (rows[fn].where == SP_WHERE_CXX && had_malloc))
			continue;
		int err = site_add(s, m, e, fn, &syms[fn]);
		if (err)
			return err;
	}
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Its file is ld-2.31.so in older releases, ld-linux-x86-64.so.2 from glibc 2.34 on. musl's is its libc. */
static bool is_linker(const struct sp_module *m)
{
	const char *name = base_name(m->path);

	return !strncmp(name, "ld-linux", 8) || !strncmp(name, "ld-2.", 5);
}

/* -O: the path as the target names it, or the file's name. Mapping calls may stand elsewhere. */
static bool is_chosen(const struct sp_engine_config *c, const struct sp_module *m)
{
	return !c->object || !strcmp(c->object, m->path) || !strcmp(c->object, base_name(m->path)) ||
	       (m->is_exe && !strncmp(c->object, "/proc/", 6) && !strcmp(base_name(c->object), "exe"));
}

static int modules_search(struct search *s, const struct sp_maps *maps, const struct sp_modules *mods, bool *ret_seen)
{
	for (size_t i = 0; i < mods->nr; i++) {
		const struct sp_module *m = &mods->list[i];
		struct sp_elf *e = NULL;
		bool chosen = is_chosen(s->c, m);
		if (m->is_vdso || !m->inode || is_linker(m))
			continue;
		*ret_seen |= chosen;
		int fd = sp_proc_open_mapping(s->c->target, &maps->list[m->mapping], NULL);
		if (fd < 0 || sp_elf_open(fd, m->path, &e, NULL))
			continue;
		int err = module_search(s, m, e, chosen);
		sp_elf_close(e);
		if (err < 0)
			return err;
	}
	return 0;
}

static unsigned count_sites(const struct sp_bpf_functions *f, enum sp_fn_kind kind)
{
	unsigned nr = 0;

	for (size_t i = 0; i < f->objects.nr; i++) {
		const struct sp_vec *sites = &sp_vec_at(&f->objects, struct sp_bpf_object, i)->sites;
		for (size_t k = 0; k < sites->nr; k++)
			nr += SP_COOKIE_KIND(sp_vec_at(sites, struct sp_bpf_site, k)->cookie) == (sp_w32)kind;
	}
	return nr;
}

static void drop_sites(struct sp_bpf_functions *f, enum sp_fn_kind kind)
{
	for (size_t i = 0; i < f->objects.nr; i++) {
		struct sp_vec *sites = &sp_vec_at(&f->objects, struct sp_bpf_object, i)->sites;
		size_t kept = 0;
		for (size_t k = 0; k < sites->nr; k++) {
			const struct sp_bpf_site *s = sp_vec_at(sites, struct sp_bpf_site, k);
			if (SP_COOKIE_KIND(s->cookie) != (sp_w32)kind)
				*sp_vec_at(sites, struct sp_bpf_site, kept++) = *s;
		}
		sites->nr = kept;
	}
}

static void pass_by(struct sp_bpf_site *s)
{
	if (SP_COOKIE_KIND(s->cookie) == SP_KIND_NEW)
		s->cookie = SP_COOKIE(SP_COOKIE_FN(s->cookie), SP_KIND_PASSED, SP_COOKIE_SIZE_ARG(s->cookie));
}

void sp_bpf_functions_pass_throwing(struct sp_bpf_functions *f)
{
	for (size_t i = 0; i < f->objects.nr; i++) {
		struct sp_vec *sites = &sp_vec_at(&f->objects, struct sp_bpf_object, i)->sites;
		for (size_t k = 0; k < sites->nr; k++)
			pass_by(sp_vec_at(sites, struct sp_bpf_site, k));
	}
	drop_sites(f, SP_KIND_THROW);
	f->throwing = SP_THROWING_NEVER;
}

static void finish(struct sp_bpf_functions *f, const struct sp_proc *p)
{
	if (count_sites(f, SP_KIND_NEW))
		f->throwing = sp_bpf_throwing_find(p);
	if (f->throwing == SP_THROWING_REPAIR && !count_sites(f, SP_KIND_THROW))
		f->throwing = SP_THROWING_NEVER;
	if (f->throwing == SP_THROWING_NEVER)
		sp_bpf_functions_pass_throwing(f);
	if (f->throwing != SP_THROWING_REPAIR)
		drop_sites(f, SP_KIND_THROW);
	for (size_t i = 0; i < f->objects.nr; i++)
		f->nr_functions += (unsigned)sp_vec_at(&f->objects, struct sp_bpf_object, i)->sites.nr;
	f->nr_functions -= count_sites(f, SP_KIND_THROW) + count_sites(f, SP_KIND_PASSED);
}

static int nothing_found(const struct search *s, bool seen, struct sp_why *why)
{
	pid_t pid = sp_proc_pid(s->c->target);
	const char *prefix = s->c->symbols_prefix ? s->c->symbols_prefix : "";

	if (s->c->object && !seen) {
		sp_why_set(why, SP_FAULT_TARGET, ENOENT, "%s is not mapped in process %d", s->c->object, (int)pid);
		sp_why_hint(why, "-O takes a path or file name as in /proc/%d/maps", (int)pid);
	} else {
		sp_why_set(why, SP_FAULT_TARGET, ENOENT, "no allocator found in process %d: no symbol %smalloc%s%s",
			   (int)pid, prefix, s->c->object ? " in " : "", s->c->object ? s->c->object : "");
		sp_why_hint(why,
			    "a static program must keep its symbol table (not be stripped); name an object with -O "
			    "and a prefix with --symbols-prefix if its allocator has other names");
	}
	return -ENOENT;
}

int sp_bpf_functions_find(const struct sp_engine_config *c, const struct sp_maps *maps, struct sp_bpf_functions *ret,
			  struct sp_why *why)
{
	struct search s = {.c = c, .out = ret};
	struct sp_modules mods = {0};
	bool seen = false;
	int err;

	*ret = (struct sp_bpf_functions){0};
	sp_vec_init(&ret->objects, sizeof(struct sp_bpf_object), MAX_OBJECTS);
	err = names_make(&s.names, c->symbols_prefix);
	if (!err)
		err = sp_proc_modules(c->target, maps, &mods);
	if (!err)
		err = modules_search(&s, maps, &mods, &seen);
	if (err)
		sp_why_set(why, SP_FAULT_OURS, -err, "cannot search process %d for its allocator: %s",
			   (int)sp_proc_pid(c->target), strerror(-err));
	else if (!s.found[SP_FN_MALLOC])
		err = nothing_found(&s, seen, why);
	if (err)
		sp_bpf_functions_done(ret);
	else
		finish(ret, c->target);
	sp_modules_done(&mods);
	free(s.names.text);
	return err;
}

void sp_bpf_functions_done(struct sp_bpf_functions *f)
{
	for (size_t i = 0; i < f->objects.nr; i++) {
		struct sp_bpf_object *o = sp_vec_at(&f->objects, struct sp_bpf_object, i);
		sp_vec_done(&o->sites);
		close(o->fd);
	}
	sp_vec_done(&f->objects);
	free(sp_take_ptr(f->allocator));
}

static bool are_equal_objects(const struct sp_bpf_object *a, const struct sp_bpf_object *b)
{
	return a->dev == b->dev && a->inode == b->inode && a->sites.nr == b->sites.nr &&
	       (!a->sites.nr || !memcmp(a->sites.data, b->sites.data, a->sites.nr * sizeof(struct sp_bpf_site)));
}

bool sp_bpf_functions_are_equal(const struct sp_bpf_functions *a, const struct sp_bpf_functions *b)
{
	if (a->objects.nr != b->objects.nr)
		return false;
	for (size_t i = 0; i < a->objects.nr; i++)
		if (!are_equal_objects(sp_vec_at(&a->objects, struct sp_bpf_object, i),
				       sp_vec_at(&b->objects, struct sp_bpf_object, i)))
			return false;
	return true;
}
