// SPDX-License-Identifier: Apache-2.0
/* Unwind tables of a process: which rows hold at which address. */
#include "unwind/unwind.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "elf/elf.h"

#define MAX_FILES  16384
#define MAX_RANGES 65536

/* What tells a file from another one that got its inode number, or from itself rewritten. */
struct file_state {
	int64_t size, changed_s, changed_ns;
};

/* What is known of one file, so that it need not be kept open. */
struct file {
	uint64_t dev, inode; /* 0, 0: the vdso */
	struct file_state state;
	uint64_t offset; /* of the executable mapping that `vaddr` is of; any, when it is no ELF file */
	uint64_t vaddr;  /* of that offset, relative to the file's first page */
	uint32_t row0, nr_rows;
	uint32_t seen; /* the number of the last update that met it */
	bool is_elf;
};

struct sp_unwind {
	struct sp_vec rows;   /* struct sp_row */
	struct sp_vec ranges; /* struct sp_row_range */
	struct sp_vec files;  /* struct file: one per (file, mapped offset) */
	size_t nr_files;      /* with rows */
	uint32_t nr_updates;
};

int sp_unwind_new(size_t max_rows, struct sp_unwind **ret)
{
	struct sp_unwind *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	sp_vec_init(&u->rows, sizeof(struct sp_row), max_rows);
	sp_vec_init(&u->ranges, sizeof(struct sp_row_range), MAX_RANGES);
	sp_vec_init(&u->files, sizeof(struct file), MAX_FILES);
	*ret = u;
	return 0;
}

void sp_unwind_free(struct sp_unwind *u)
{
	if (!u)
		return;
	sp_vec_done(&u->rows);
	sp_vec_done(&u->ranges);
	sp_vec_done(&u->files);
	free(u);
}

static uint64_t dev_of(const struct sp_mapping *m)
{
	return (uint64_t)m->dev_major << 32 | m->dev_minor;
}

static bool is_vdso(const struct sp_mapping *m)
{
	return !strcmp(m->path, "[vdso]");
}

static struct file *file_find(const struct sp_unwind *u, const struct sp_mapping *m)
{
	for (size_t i = 0; i < u->files.nr; i++) {
		struct file *f = sp_vec_at(&u->files, struct file, i);
		if (f->inode == m->inode && f->dev == dev_of(m) && (f->offset == m->offset || !f->is_elf))
			return f;
	}
	return NULL;
}

/* Takes out what `is_gone` says; its rows stay in the pool, somebody may be walking with them. */
static void forget_files(struct sp_unwind *u, bool (*is_gone)(const struct file *f, const void *arg), const void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < u->files.nr; i++) {
		const struct file *f = sp_vec_at(&u->files, struct file, i);
		if (!is_gone(f, arg))
			*sp_vec_at(&u->files, struct file, kept++) = *f;
	}
	u->files.nr = kept;
}

static bool is_same_inode(const struct file *f, const void *arg)
{
	const struct sp_mapping *m = arg;

	return f->inode == m->inode && f->dev == dev_of(m);
}

/* A JIT's memory in a file, mapped somewhere no more: there may be thousands in time. */
static bool is_useless(const struct file *f, const void *arg)
{
	return !f->nr_rows && f->seen != *(const uint32_t *)arg;
}

static bool state_of(int fd, struct file_state *ret)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	*ret =
	    (struct file_state){.size = st.st_size, .changed_s = st.st_ctim.tv_sec, .changed_ns = st.st_ctim.tv_nsec};
	return true;
}

/*
 * Is this still the file that f is about? Compilers and JITs that write library after library get the same inode number
 * again and again.
 */
static bool is_unchanged(struct sp_proc *p, const struct sp_mapping *m, const struct file *f)
{
	struct file_state now;

	sp_autoclose int fd = sp_proc_open_mapping(p, m, NULL);
	if (fd < 0 || !state_of(fd, &now))
		return true; /* nothing better can be known */
	return now.size == f->state.size && now.changed_s == f->state.changed_s &&
	       now.changed_ns == f->state.changed_ns;
}

/* The virtual address (relative to the file's first page) that stands at the beginning of a mapping. */
static int mapping_vaddr(const struct sp_elf *e, const struct sp_mapping *m, uint64_t *ret)
{
	uint64_t vaddr;
	int err = sp_elf_exec_page_to_vaddr(e, m->offset, &vaddr);

	if (!err)
		*ret = vaddr - sp_elf_base_vaddr(e);
	return err;
}

/* The rows of a file that is mapped at another offset too. NULL: none. */
static const struct file *same_file(const struct sp_unwind *u, const struct file *f)
{
	for (size_t i = 0; i < u->files.nr; i++) {
		const struct file *other = sp_vec_at(&u->files, struct file, i);
		if (other->inode == f->inode && other->dev == f->dev && other->nr_rows)
			return other;
	}
	return NULL;
}

static int build_rows(struct sp_unwind *u, struct sp_elf *e, struct file *f)
{
	const struct file *other = same_file(u, f);
	struct sp_vec rows;
	int err;

	if (other) {
		f->row0 = other->row0;
		f->nr_rows = other->nr_rows;
		return 0;
	}
	sp_vec_init(&rows, sizeof(struct sp_row), u->rows.max - u->rows.nr ? u->rows.max - u->rows.nr : 1);
	err = sp_elf_rows(e, &rows, NULL);
	if (!err)
		err = sp_vec_reserve(&u->rows, u->rows.nr + rows.nr);
	if (!err && rows.nr) {
		memcpy(sp_vec_at(&u->rows, struct sp_row, u->rows.nr), rows.data, rows.nr * sizeof(struct sp_row));
		f->row0 = (uint32_t)u->rows.nr;
		f->nr_rows = (uint32_t)rows.nr;
		u->rows.nr += rows.nr;
		u->nr_files++;
	}
	sp_vec_done(&rows);
	return err;
}

/* Fills in what can be read of the file behind fd, which it closes. -ENOMEM; anything else is no error. */
static int file_read(struct sp_unwind *u, int fd, const struct sp_mapping *m, struct file *f)
{
	struct sp_elf *e = NULL;
	int err;

	if (!state_of(fd, &f->state)) {
		close(fd);
		return 0;
	}
	err = sp_elf_open(fd, m->path, &e, NULL);
	if (!err) {
		f->is_elf = true;
		err = mapping_vaddr(e, m, &f->vaddr);
	}
	if (!err)
		err = build_rows(u, e, f);
	sp_elf_close(e);
	return err == -ENOMEM ? err : 0;
}

/* Learns a file; one that cannot be read is remembered as having no rows. */
static int file_add(struct sp_unwind *u, struct sp_proc *p, const struct sp_mapping *m, struct file **ret)
{
	struct file f = {.dev = dev_of(m), .inode = m->inode, .offset = m->offset};
	int fd = sp_proc_open_mapping(p, m, NULL);
	int err = fd < 0 ? 0 : file_read(u, fd, m, &f);

	if (!err)
		err = sp_vec_push(&u->files, &f);
	if (!err)
		*ret = sp_vec_at(&u->files, struct file, u->files.nr - 1);
	return err;
}

/* Forgets what is known of a file that is another one by now, whatever part of it was mapped. */
static void check_file(struct sp_unwind *u, struct sp_proc *p, const struct sp_mapping *m)
{
	for (size_t i = 0; i < u->files.nr; i++) {
		const struct file *f = sp_vec_at(&u->files, struct file, i);
		if (!is_same_inode(f, m))
			continue;
		if (!is_unchanged(p, m, f))
			forget_files(u, is_same_inode, m);
		return;
	}
}

static int file_get(struct sp_unwind *u, struct sp_proc *p, const struct sp_mapping *m, struct file **ret)
{
	int err = 0;

	if (!is_vdso(m))
		check_file(u, p, m);
	struct file *f = file_find(u, m);
	if (!f)
		err = file_add(u, p, m, &f);
	if (err)
		return err;
	f->seen = u->nr_updates;
	*ret = f;
	return 0;
}

static int add_range(struct sp_unwind *u, struct sp_proc *p, const struct sp_mapping *m)
{
	struct sp_row_range r = {.start = m->start, .end = m->end};
	struct file *f = NULL;
	int err;

	if (m->inode || is_vdso(m)) {
		err = file_get(u, p, m, &f);
		if (err && err != -ENOSPC)
			return err;
	}
	if (f && f->nr_rows) {
		r.base = m->start - f->vaddr;
		r.row0 = f->row0;
		r.nr_rows = f->nr_rows;
	}
	return sp_vec_push(&u->ranges, &r);
}

int sp_unwind_update(struct sp_unwind *u, struct sp_proc *p, const struct sp_maps *maps)
{
	u->nr_updates++;
	sp_vec_clear(&u->ranges);
	for (size_t i = 0; i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];
		if (!(m->prot & SP_PROT_X))
			continue;
		int err = add_range(u, p, m);
		if (err && err != -ENOSPC)
			return err;
	}
	forget_files(u, is_useless, &u->nr_updates);
	return 0;
}

const struct sp_row_range *sp_unwind_ranges(const struct sp_unwind *u, size_t *ret_nr)
{
	*ret_nr = u->ranges.nr;
	return u->ranges.data;
}

const struct sp_row *sp_unwind_rows(const struct sp_unwind *u, size_t *ret_nr)
{
	*ret_nr = u->rows.nr;
	return u->rows.data;
}

size_t sp_unwind_nr_files(const struct sp_unwind *u)
{
	return u->nr_files;
}
