// SPDX-License-Identifier: Apache-2.0
/*
 * The ELF files of a target in the dynamic linker's search order.
 *
 * A module is a run of mappings of one file: its segments in address order, with ascending file offsets, perhaps
 * anonymous memory between (bss, text moved to huge pages) but no other file. A file mapped twice gives two runs. Which
 * place a run has in the order follows from the link map: the entry whose dynamic section lies inside it.
 */
#include "proc/priv.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>

enum {
	MAX_MODULES = 10000,
	RANK_EXE = 0,
	RANK_NONE = INT_MAX,
};

struct ranked {
	struct sp_module m;
	int rank;
};

/* The run of mappings being gathered. */
struct run {
	const struct sp_mapping *first; /* NULL: none */
	const struct sp_mapping *last;
	uint64_t last_offset, file_end; /* what the last segment covers of the file */
	bool has_code;
	bool saw_anon_code; /* since the last mapping of the file */
};

struct builder {
	struct sp_proc *p;
	const struct sp_maps *maps;
	struct sp_vec list; /* struct ranked, by address until the end */
	uint64_t page_size;
	int next_rank;
};

static bool is_file(const struct sp_mapping *m)
{
	return m->inode && m->path[0] == '/';
}

static bool is_same_file(const struct sp_mapping *a, const struct sp_mapping *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/*
 * Segments follow each other in the file, and two may share the page in which one ends and the next begins. A mapping
 * that goes further back than that belongs to another copy of the file.
 */
static bool continues(const struct builder *b, const struct run *run, const struct sp_mapping *m)
{
	return run->first && is_same_file(run->last, m) && m->offset >= run->last_offset &&
	       m->offset + b->page_size >= run->file_end;
}

static void run_extend(struct run *run, const struct sp_mapping *m)
{
	run->last = m;
	run->has_code |= (m->prot & SP_PROT_X) || run->saw_anon_code;
	run->saw_anon_code = false;
	/* Old glibc leaves mappings without any permission in the gaps between segments; they tell nothing. */
	if (m->prot & (SP_PROT_R | SP_PROT_W | SP_PROT_X)) {
		run->last_offset = m->offset;
		run->file_end = m->offset + (m->end - m->start);
	}
}

/*
 * ELF magic at the start of the run in memory; for a run that begins further inside the file, in the file. What can be
 * read in neither place is believed.
 */
static bool is_elf(struct builder *b, const struct sp_mapping *m)
{
	unsigned char magic[SELFMAG] = {};

	ssize_t n = sp_proc_read_mem(b->p, (sp_raddr){m->start}, magic, sizeof(magic));
	if (n == sizeof(magic) && !memcmp(magic, ELFMAG, SELFMAG))
		return true;
	if (n == sizeof(magic) && !m->offset)
		return false;
	sp_autoclose int fd = sp_proc_open_mapping(b->p, m, NULL);
	if (fd < 0)
		return n < 0;
	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && !memcmp(magic, ELFMAG, SELFMAG);
}

static int add(struct builder *b, const struct sp_mapping *first, const struct sp_mapping *last)
{
	struct ranked r = {
	    .rank = RANK_NONE,
	    .m = {.start = first->start,
		  .end = last->end,
		  .file_offset = first->offset,
		  .dev = makedev(first->dev_major, first->dev_minor),
		  .inode = first->inode,
		  .deleted = first->deleted,
		  .mapping = (unsigned)(first - b->maps->list),
		  .path = first->path},
	};

	if (!is_file(first)) {
		r.m.is_vdso = true;
		r.m.dev = 0;
		r.m.inode = 0;
	}
	return sp_vec_push(&b->list, &r);
}

static int run_finish(struct builder *b, struct run *run)
{
	struct run done = *run;

	*run = (struct run){};
	return done.first && done.has_code && is_elf(b, done.first) ? add(b, done.first, done.last) : 0;
}

static int take_mapping(struct builder *b, struct run *run, const struct sp_mapping *m)
{
	if (!is_file(m)) {
		run->saw_anon_code |= (m->prot & SP_PROT_X) != 0;
		return strcmp(m->path, "[vdso]") ? 0 : add(b, m, m);
	}
	if (!continues(b, run, m)) {
		int rc = run_finish(b, run);
		if (rc < 0)
			return rc;
		*run = (struct run){.first = m};
	}
	run_extend(run, m);
	return 0;
}

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->m.start < y->m.start ? -1 : x->m.start > y->m.start;
}

/* All modules in address order. More than MAX_MODULES: the rest is left out. */
static int gather(struct builder *b)
{
	struct run run = {};
	int rc = 0;

	for (size_t i = 0; i < b->maps->nr && rc == 0; i++)
		rc = take_mapping(b, &run, &b->maps->list[i]);
	if (rc == 0)
		rc = run_finish(b, &run);
	if (b->list.nr) /* the vdso came before the run around its place was finished */
		qsort(b->list.data, b->list.nr, sizeof(struct ranked), by_rank);
	return rc == -ENOSPC ? 0 : rc;
}

/* The module around an address. */
static struct ranked *module_at(struct builder *b, uint64_t addr)
{
	size_t low = 0, high = b->list.nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (sp_vec_at(&b->list, struct ranked, mid)->m.start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	struct ranked *r = sp_vec_at(&b->list, struct ranked, low - 1);
	return addr < r->m.end ? r : NULL;
}

/* l_ld is the surest of an entry's fields: the dynamic section always lies in the file's own mappings. */
static void place(uint64_t dynamic, void *arg)
{
	struct builder *b = arg;
	struct ranked *r = module_at(b, dynamic);

	if (!r || r->m.in_link_map)
		return;
	r->m.in_link_map = true;
	if (r->rank == RANK_NONE)
		r->rank = b->next_rank++;
}

/* By where its program headers are; without an auxiliary vector by the name behind /proc/PID/exe. */
static struct ranked *find_exe(struct builder *b, const struct sp_auxv *aux)
{
	char link[PATH_MAX];

	if (aux->phdr)
		return module_at(b, aux->phdr);
	ssize_t len = readlinkat(b->p->dirfd, "exe", link, sizeof(link) - 1);
	if (len < 0)
		return NULL;
	link[len] = '\0';
	for (size_t i = 0; i < b->list.nr; i++) {
		struct ranked *r = sp_vec_at(&b->list, struct ranked, i);
		if (!strcmp(r->m.path, link))
			return r;
	}
	return NULL;
}

static void rank_all(struct builder *b)
{
	struct sp_rmem mem = sp_proc_rmem(b->p);
	struct sp_auxv aux = {};

	if (sp_auxv_read(b->p->dirfd, &aux) < 0)
		aux = (struct sp_auxv){};
	struct ranked *exe = find_exe(b, &aux);
	if (exe) {
		exe->m.is_exe = true;
		exe->rank = RANK_EXE;
	}
	if (aux.phdr)
		sp_link_map_walk(&mem, &aux, place, b);
	if (b->list.nr)
		qsort(b->list.data, b->list.nr, sizeof(struct ranked), by_rank);
}

int sp_proc_r_debug(struct sp_proc *p, sp_raddr *ret)
{
	struct sp_rmem mem = sp_proc_rmem(p);
	struct sp_auxv aux = {};
	uint64_t at;
	int rc = sp_auxv_read(p->dirfd, &aux);

	if (!rc)
		rc = sp_link_map_debug(&mem, &aux, &at);
	if (!rc)
		*ret = (sp_raddr){at};
	return rc;
}

int sp_proc_modules(struct sp_proc *p, const struct sp_maps *maps, struct sp_modules *ret)
{
	struct builder b = {
	    .p = p, .maps = maps, .page_size = (uint64_t)sysconf(_SC_PAGESIZE), .next_rank = RANK_EXE + 1};
	struct sp_module *list = NULL;

	sp_vec_init(&b.list, sizeof(struct ranked), MAX_MODULES);
	int rc = gather(&b);
	if (rc == 0) {
		rank_all(&b);
		list = calloc(b.list.nr + 1, sizeof(*list));
		rc = list ? 0 : -ENOMEM;
	}
	for (size_t i = 0; list && i < b.list.nr; i++)
		list[i] = sp_vec_at(&b.list, struct ranked, i)->m;
	if (rc == 0)
		*ret = (struct sp_modules){.list = list, .nr = b.list.nr};
	sp_vec_done(&b.list);
	return rc;
}

void sp_modules_done(struct sp_modules *m)
{
	free(m->list);
	*m = (struct sp_modules){};
}
