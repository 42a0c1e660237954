// SPDX-License-Identifier: Apache-2.0
/* Where the probes go: the allocator's functions as sites in files, and what is done about those that may throw. */
#include <errno.h>
#include <string.h>

#include "engines/bpf/impl.h"

#define MAX_OBJECTS 64
#define MAX_SITES   256
#define CODE_BYTES  4096 /* of a function, looked at for branches back into its entry */

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

/* sp_watch_take */
static int site_add(const struct sp_watch_found *found, void *arg)
{
	const struct sp_watch_fn *fn = sp_watch_fn(found->fn);
	struct sp_bpf_site site = {.offset = probe_offset(found->elf, found->symbol),
				   .cookie = SP_COOKIE(found->fn, fn->kind, fn->size_arg),
				   .entry = found->symbol->offset};
	struct sp_bpf_object *o = object_get(arg, found->module, found->elf);

	if (!o)
		return -ENOMEM;
	if (has_site(o, site.offset)) /* another name of the same code: mmap64, cfree */
		return 0;
	return sp_vec_push(&o->sites, &site);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * The place that dynamic linkers pass when they have changed, or are about to change, what is loaded: an empty function
 * for debuggers (glibc's and musl's r_debug.r_brk). Where it is not found, changes are seen a second later.
 */
static int add_loader(struct sp_bpf_functions *f, struct sp_proc *p, const struct sp_maps *maps,
		      const struct sp_module *m)
{
	static const char *const name = "_dl_debug_state";
	struct sp_elf_symbol sym;
	struct sp_elf *e = NULL;
	int fd = sp_proc_open_mapping(p, &maps->list[m->mapping], NULL), err = 0;

	if (fd < 0 || sp_elf_open(fd, m->path, &e, NULL))
		return 0;
	if (sp_elf_find_symbols(e, &name, 1, &sym) == 1) {
		struct sp_bpf_site site = {
		    .offset = probe_offset(e, &sym), .cookie = SP_COOKIE(0, SP_KIND_LOADER, 0), .entry = sym.offset};
		struct sp_bpf_object *o = object_get(f, m, e);
		err = o ? sp_vec_push(&o->sites, &site) : -ENOMEM;
	}
	sp_elf_close(e);
	return err;
}

static int find_loader(struct sp_bpf_functions *f, struct sp_proc *p, const struct sp_maps *maps)
{
	struct sp_modules mods = {0};
	int err = sp_proc_modules(p, maps, &mods);

	for (size_t i = 0; i < mods.nr && !err; i++)
		if (!strncmp(base_name(mods.list[i].path), "ld-", 3) && mods.list[i].inode)
			err = add_loader(f, p, maps, &mods.list[i]);
	sp_modules_done(&mods);
	return err;
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

/* False: there is no place for it where nobody else is. */
static bool find_own_place(struct sp_bpf_site *s)
{
	sp_w32 kind = SP_COOKIE_KIND(s->cookie);

	if (!(s->taken & SP_TAKEN_PLACE) || (kind != SP_KIND_NEW && kind != SP_KIND_PASSED))
		return true;
	s->offset = s->entry;
	return !(s->taken & SP_TAKEN_ENTRY);
}

/* Where the stack cannot be repaired, what may throw must not share its place with other tools. See others.c. */
static void keep_apart(struct sp_bpf_functions *f, const struct sp_proc *target)
{
	sp_bpf_mark_taken(f, sp_proc_pid(target));
	for (size_t i = 0; i < f->objects.nr; i++) {
		struct sp_vec *sites = &sp_vec_at(&f->objects, struct sp_bpf_object, i)->sites;
		size_t kept = 0;
		for (size_t k = 0; k < sites->nr; k++) {
			struct sp_bpf_site *s = sp_vec_at(sites, struct sp_bpf_site, k);
			if (!find_own_place(s)) {
				f->nr_crowded++;
				continue;
			}
			s->taken = 0;
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

void sp_bpf_functions_pass_throwing(struct sp_bpf_functions *f, const struct sp_proc *target)
{
	for (size_t i = 0; i < f->objects.nr; i++) {
		struct sp_vec *sites = &sp_vec_at(&f->objects, struct sp_bpf_object, i)->sites;
		for (size_t k = 0; k < sites->nr; k++)
			pass_by(sp_vec_at(sites, struct sp_bpf_site, k));
	}
	drop_sites(f, SP_KIND_THROW);
	f->throwing = SP_THROWING_NEVER;
	if (count_sites(f, SP_KIND_PASSED))
		keep_apart(f, target);
}

static void finish(struct sp_bpf_functions *f, const struct sp_proc *p)
{
	if (count_sites(f, SP_KIND_NEW))
		f->throwing = sp_bpf_throwing_find(p);
	if (f->throwing == SP_THROWING_REPAIR && !count_sites(f, SP_KIND_THROW))
		f->throwing = SP_THROWING_NEVER;
	if (f->throwing == SP_THROWING_NEVER)
		sp_bpf_functions_pass_throwing(f, p);
	if (f->throwing == SP_THROWING_SMALL) {
		drop_sites(f, SP_KIND_THROW);
		keep_apart(f, p);
	}
	for (size_t i = 0; i < f->objects.nr; i++)
		f->nr_functions += (unsigned)sp_vec_at(&f->objects, struct sp_bpf_object, i)->sites.nr;
	f->nr_functions -=
	    count_sites(f, SP_KIND_THROW) + count_sites(f, SP_KIND_PASSED) + count_sites(f, SP_KIND_LOADER);
}

int sp_bpf_functions_find(const struct sp_engine_config *c, const struct sp_maps *maps, struct sp_bpf_functions *ret,
			  struct sp_why *why)
{
	*ret = (struct sp_bpf_functions){0};
	sp_vec_init(&ret->objects, sizeof(struct sp_bpf_object), MAX_OBJECTS);
	int err = sp_watch_functions(c, maps, site_add, ret, &ret->allocator, why);
	if (!err)
		err = find_loader(ret, c->target, maps);
	if (err)
		sp_bpf_functions_done(ret);
	else
		finish(ret, c->target);
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
