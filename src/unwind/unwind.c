// SPDX-License-Identifier: Apache-2.0
/* Unwind tables of a process: which rows hold at which address. */
#include "unwind/unwind.h"

#include <errno.h>
#include <string.h>

#include "elf/elf.h"

#define MAX_FILES  16384
#define MAX_RANGES 65536

/* What is known of one file, so that it need not be kept open. */
struct file {
	uint64_t dev, inode; /* 0, 0: the vdso */
	uint64_t offset;     /* of the executable mapping that `vaddr` is of */
	uint64_t vaddr;      /* of that offset, relative to the file's first page */
	uint32_t row0, nr_rows;
};

struct sp_unwind {
	struct sp_vec rows;   /* struct sp_row */
	struct sp_vec ranges; /* struct sp_row_range */
	struct sp_vec files;  /* struct file: one per (file, mapped offset) */
	size_t nr_files;      /* with rows */
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
		if (f->inode == m->inode && f->dev == dev_of(m) && f->offset == m->offset)
			return f;
	}
	return NULL;
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

/* Learns a file; one that cannot be read is remembered as having no rows. */
static int file_add(struct sp_unwind *u, struct sp_proc *p, const struct sp_mapping *m, struct file **ret)
{
	struct file f = {.dev = dev_of(m), .inode = m->inode, .offset = m->offset};
	struct sp_elf *e = NULL;
	int fd = sp_proc_open_mapping(p, m, NULL);
	int err;

	if (fd >= 0 && sp_elf_open(fd, m->path, &e, NULL) == 0) {
		err = mapping_vaddr(e, m, &f.vaddr);
		if (!err)
			err = build_rows(u, e, &f);
		sp_elf_close(e);
		if (err == -ENOMEM)
			return err;
	}
	err = sp_vec_push(&u->files, &f);
	if (err)
		return err;
	*ret = sp_vec_at(&u->files, struct file, u->files.nr - 1);
	return 0;
}

static int add_range(struct sp_unwind *u, struct sp_proc *p, const struct sp_mapping *m)
{
	struct sp_row_range r = {.start = m->start, .end = m->end};
	struct file *f = NULL;
	int err;

	if (m->inode || is_vdso(m)) {
		f = file_find(u, m);
		if (!f) {
			err = file_add(u, p, m, &f);
			if (err)
				return err;
		}
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
	sp_vec_clear(&u->ranges);
	for (size_t i = 0; i < maps->nr; i++) {
		const struct sp_mapping *m = &maps->list[i];
		if (!(m->prot & SP_PROT_X))
			continue;
		int err = add_range(u, p, m);
		if (err && err != -ENOSPC)
			return err;
	}
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
