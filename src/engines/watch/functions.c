// SPDX-License-Identifier: Apache-2.0
/*
 * Which functions of the target to watch: as its own dynamic linker resolves them.
 *
 * The first module in search order that defines a name is the one that everybody in the process calls (executable,
 * preloads, libraries in load order). C++ operators are watched only in the module that also defines malloc: elsewhere
 * they go through malloc and would be seen twice. The dynamic linker's private malloc (old glibc exports it) is never
 * meant.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/watch/watch.h"

#define FIND_TRIES    50
#define FIND_PAUSE_US 1000
#define LOADING_TRIES 2000

static const struct sp_watch_fn rows[SP_NR_FNS] = {
#define ROW(id, symbol, kind, size_arg, where) [SP_FN_##id] = {symbol, kind, size_arg, where},
    SP_FNS(ROW)
#undef ROW
};

const struct sp_watch_fn *sp_watch_fn(enum sp_fn fn)
{
	return &rows[fn];
}

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
	sp_watch_take *take;
	void *arg;
	char *allocator;
	uint64_t object_dev, object_inode; /* of the file that config->object is a path to; 0, 0: of none */
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
		bool prefixed = prefix && (rows[i].where == SP_WHERE_MALLOC || rows[i].where == SP_WHERE_CXX);
		n->list[i] = at;
		at += snprintf(at, size - (size_t)(at - n->text), "%s%s", prefixed ? prefix : "", rows[i].symbol) + 1;
	}
	return 0;
}

/* -O restricts where the allocator is looked for; the mapping calls stay libc's. */
static bool is_wanted(const struct search *s, int fn, const struct sp_elf_symbol *syms, bool chosen, bool any_table)
{
	const struct sp_elf_symbol *sym = &syms[fn];

	if (rows[fn].where == SP_WHERE_KERNEL || rows[fn].where == SP_WHERE_LINKER)
		return false;
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
	const int first =
	    SP_FN_MALLOC; /* without it there is nothing to watch; the module that has it is the allocator */
	bool had_first = s->found[first];
	int nr = sp_elf_find_symbols(e, s->names.list, SP_NR_FNS, syms);
	/* Nobody else can bind to what stands in .symtab alone; in a static program there is nobody else. */
	bool any_table = sp_elf_is_static(e) || (chosen && (s->c->object || s->c->symbols_prefix));

	if (nr <= 0)
		return nr;
	if (!had_first && is_wanted(s, first, syms, chosen, any_table)) {
		s->allocator = strdup(m->path);
		if (!s->allocator)
			return -ENOMEM;
	}
	for (int fn = 0; fn < SP_NR_FNS; fn++) {
		const struct sp_watch_found f = {.fn = (enum sp_fn)fn, .module = m, .elf = e, .symbol = &syms[fn]};
		if (!is_wanted(s, fn, syms, chosen, any_table) || (rows[fn].where == SP_WHERE_CXX && had_first))
			continue;
		int err = s->take(&f, s->arg);
		if (err)
			return err;
		s->found[fn] = true;
	}
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Its file is ld-2.31.so in older releases, ld-linux-x86-64.so.2 from glibc 2.34 on. musl's is its libc. */
bool sp_watch_is_linker(const char *path)
{
	const char *name = base_name(path);

	return !strncmp(name, "ld-linux", 8) || !strncmp(name, "ld-2.", 5);
}

/* "jemalloc" for libjemalloc.so.2, as bcc's users write. */
static bool is_library_name(const char *name, const char *file)
{
	size_t len = strlen(name);

	if (strncmp(file, "lib", 3) != 0 || strncmp(file + 3, name, len) != 0)
		return false;
	return !strncmp(file + 3 + len, ".so", 3) || !strncmp(file + 3 + len, "-2.", 3);
}

/* Which file a path leads to, in the target's root: /lib may be a link to /usr/lib. */
static void identify_object(struct search *s)
{
	struct stat st;

	if (!s->c->object || s->c->object[0] != '/')
		return;
	int fd = sp_proc_open_path(s->c->target, s->c->object, NULL);
	if (fd < 0)
		return;
	if (!fstat(fd, &st)) {
		s->object_dev = st.st_dev;
		s->object_inode = st.st_ino;
	}
	close(fd);
}

/* -O: a path, the file's name, or the library's. Mapping calls may stand elsewhere. */
static bool is_chosen(const struct search *s, const struct sp_module *m)
{
	const char *object = s->c->object;

	return !object || !strcmp(object, m->path) || !strcmp(object, base_name(m->path)) ||
	       is_library_name(object, base_name(m->path)) ||
	       (s->object_inode && s->object_inode == m->inode && s->object_dev == m->dev) ||
	       (m->is_exe && !strncmp(object, "/proc/", 6) && !strcmp(base_name(object), "exe"));
}

static int modules_search(struct search *s, const struct sp_maps *maps, const struct sp_modules *mods, bool *ret_seen)
{
	for (size_t i = 0; i < mods->nr; i++) {
		const struct sp_module *m = &mods->list[i];
		struct sp_elf *e = NULL;
		bool chosen = is_chosen(s, m);
		if (m->is_vdso || !m->inode || sp_watch_is_linker(m->path))
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

static int nothing_found(const struct search *s, bool seen, struct sp_why *why)
{
	pid_t pid = sp_proc_pid(s->c->target);
	const char *prefix = s->c->symbols_prefix ? s->c->symbols_prefix : "";

	if (s->c->object && !seen) {
		sp_why_set(why, SP_FAULT_TARGET, ENOENT, "%s is not mapped in process %d", s->c->object, (int)pid);
		sp_why_hint(why, "-O takes a path or file name as in /proc/%d/maps", (int)pid);
	} else {
		sp_why_set(why, SP_FAULT_TARGET, ENOENT, "no allocator found in process %d: no symbol %s%s%s%s",
			   (int)pid, prefix, rows[SP_FN_MALLOC].symbol, s->c->object ? " in " : "",
			   s->c->object ? s->c->object : "");
		sp_why_hint(why,
			    "a static program must keep its symbol table (not be stripped); name an object with -O "
			    "and a prefix with --symbols-prefix if its allocator has other names");
	}
	return -ENOENT;
}

int sp_watch_functions(const struct sp_engine_config *c, const struct sp_maps *maps, sp_watch_take *take, void *arg,
		       char **ret_allocator, struct sp_why *why)
{
	struct search s = {.c = c, .take = take, .arg = arg};
	struct sp_modules mods = {0};
	bool seen = false;
	int err = names_make(&s.names, c->symbols_prefix);

	identify_object(&s);
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
		free(s.allocator);
	else
		*ret_allocator = s.allocator;
	sp_modules_done(&mods);
	free(s.names.text);
	return err;
}

uint64_t sp_watch_address(const struct sp_maps *maps, const struct sp_module *m, uint64_t file_offset)
{
	for (size_t i = m->mapping; i < maps->nr && maps->list[i].start < m->end; i++) {
		const struct sp_mapping *map = &maps->list[i];
		if (map->inode == m->inode && (map->prot & SP_PROT_X) && file_offset >= map->offset &&
		    file_offset - map->offset < map->end - map->start)
			return map->start + (file_offset - map->offset);
	}
	return 0;
}

/* ---- a program that has just been started ---- */

/* The dynamic linker has been mapped by the kernel, and has not come to libc yet. */
static bool is_loading(const struct sp_maps *maps)
{
	bool has_linker = false;

	for (size_t i = 0; i < maps->nr; i++) {
		const char *name = base_name(maps->list[i].path);
		if (!strncmp(name, "libc.", 5) || !strncmp(name, "libc-", 5))
			return false;
		has_linker |= sp_watch_is_linker(name);
	}
	return has_linker;
}

int sp_watch_find_mapped(const struct sp_engine_config *c, struct sp_maps *maps, sp_watch_find *find, void *ret,
			 struct sp_why *why)
{
	struct sp_why reason;
	uint64_t hash = 0;
	int err = -ENOENT;

	bool is_waiting = true;
	for (int i = 0, same = 0; err == -ENOENT && is_waiting; i++) {
		if (i)
			usleep(FIND_PAUSE_US);
		reason = (struct sp_why){0};
		sp_maps_done(maps);
		err = sp_proc_maps(c->target, maps, &reason);
		if (err)
			break;
		same = maps->hash == hash ? same + 1 : 0;
		hash = maps->hash;
		err = find(c, maps, ret, &reason);
		is_waiting = is_loading(maps) ? i < LOADING_TRIES : i + 1 < FIND_TRIES && same < 3;
	}
	if (err && why && !sp_why_is_set(why))
		*why = reason;
	return err;
}
