// SPDX-License-Identifier: Apache-2.0
/*
 * Unwind tables on the kernel's side, and how they follow the target's mappings.
 *
 * Publishing, while programs walk on other CPUs (they look at ctl.gen before and after each search, see
 * bpf/walk.bpf.h):
 *   1. rows are put behind those that are in use; ranges into the half that is not;
 *   2. the row cache is emptied when the new generation's number in it has been used before;
 *   3. one store to ctl.gen switches over.
 * Should the rows not fit, they are made anew from what is mapped now: first nothing is published, then the rows are
 * rewritten from the beginning.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engines/bpf/impl.h"

#define MAX_ROWS    (32 << 20)  /* 256 MB of rows: chromium has 3 M */
#define SPARE_ROWS  (512 << 10) /* room for what the target loads later, beside half of what it has */
#define STACKS      400         /* SP_BEV_STACK between two publications */
#define CACHE_BYTES ((size_t)8 << SP_ROW_CACHE_BITS)
#define RANGE_BYTES (2 * SP_MAX_RANGES * sizeof(struct sp_row_range))

/* ---- publishing ---- */

static void switch_to(struct sp_bpf_tables *t, uint32_t nr_ranges)
{
	uint32_t gen = t->ctl->gen + 1;

	t->ctl->nr_ranges[gen & 1] = nr_ranges;
	if (!(gen % SP_ROW_CACHE_GENS))
		memset(t->row_cache, 0, CACHE_BYTES);
	__atomic_store_n(&t->ctl->gen, gen, __ATOMIC_SEQ_CST);
	if (!(gen % SP_ROW_CACHE_GENS)) /* what was entered meanwhile */
		memset(t->row_cache, 0, CACHE_BYTES);
}

static void publish_rows(struct sp_bpf_tables *t)
{
	size_t nr;
	const struct sp_row *rows = sp_unwind_rows(t->unwind, &nr);

	if (nr <= t->nr_rows_published || nr > t->nr_rows_max)
		return;
	memcpy(t->rows + t->nr_rows_published, rows + t->nr_rows_published,
	       (nr - t->nr_rows_published) * sizeof(*rows));
	t->nr_rows_published = nr;
}

void sp_bpf_tables_publish(struct sp_bpf_tables *t)
{
	size_t nr;
	const struct sp_row_range *ranges = sp_unwind_ranges(t->unwind, &nr);
	struct sp_row_range *to = t->ranges + (size_t)((t->ctl->gen + 1) & 1) * SP_MAX_RANGES;

	publish_rows(t);
	if (nr > SP_MAX_RANGES)
		nr = SP_MAX_RANGES;
	for (size_t i = 0; i < nr; i++) {
		to[i] = ranges[i];
		if (to[i].row0 + (size_t)to[i].nr_rows > t->nr_rows_published)
			to[i].nr_rows = 0; /* no room in the kernel's table: by the frame pointer */
	}
	switch_to(t, (uint32_t)nr);
	t->ctl->stacks_left = STACKS;
}

/* ---- both sides ---- */

int sp_bpf_tables_build(struct sp_bpf_tables *t, struct sp_proc *p, const struct sp_maps *maps, struct sp_why *why)
{
	sp_watch_look_init(&t->look, maps);
	int err = sp_unwind_new(MAX_ROWS, &t->unwind);

	if (!err)
		err = sp_unwind_update(t->unwind, p, maps);
	if (err)
		sp_why_set(why, SP_FAULT_OURS, -err, "cannot build unwind tables: %s", strerror(-err));
	return err;
}

uint32_t sp_bpf_tables_room(struct sp_bpf_tables *t)
{
	size_t nr;

	sp_unwind_rows(t->unwind, &nr);
	t->nr_rows_max = (uint32_t)(nr + nr / 2 + SPARE_ROWS);
	return t->nr_rows_max;
}

static int map_one(int fd, size_t size, void **ret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

int sp_bpf_tables_map(struct sp_bpf_tables *t, const struct sp_bpf_table_fds *fds)
{
	int err = map_one(fds->ctl, sizeof(*t->ctl), (void **)&t->ctl);

	if (!err)
		err = map_one(fds->ranges, RANGE_BYTES, (void **)&t->ranges);
	if (!err)
		err = map_one(fds->row_cache, CACHE_BYTES, (void **)&t->row_cache);
	if (!err)
		err = map_one(fds->rows, t->nr_rows_max * sizeof(*t->rows), (void **)&t->rows);
	return err;
}

void sp_bpf_tables_done(struct sp_bpf_tables *t)
{
	sp_unwind_free(t->unwind);
	if (t->ctl)
		munmap(t->ctl, sizeof(*t->ctl));
	if (t->ranges)
		munmap(t->ranges, RANGE_BYTES);
	if (t->row_cache)
		munmap(t->row_cache, CACHE_BYTES);
	if (t->rows)
		munmap(t->rows, t->nr_rows_max * sizeof(*t->rows));
}

/* ---- following the target's mappings ---- */

/* The pool holds rows of files that are mapped no more. On failure nothing has changed. */
static void make_anew(struct sp_bpf_tables *t, struct sp_proc *p, const struct sp_maps *maps)
{
	struct sp_unwind *anew;
	size_t nr;

	if (sp_unwind_new(MAX_ROWS, &anew))
		return;
	if (sp_unwind_update(anew, p, maps) || (sp_unwind_rows(anew, &nr), nr > t->nr_rows_max)) {
		sp_unwind_free(anew);
		return;
	}
	sp_unwind_free(t->unwind);
	t->unwind = anew;
	t->nr_rows_published = 0;
	switch_to(t, 0);
}

static bool follow(struct sp_proc *p, const struct sp_maps *maps, void *arg)
{
	struct sp_bpf_tables *t = arg;
	size_t before, after;

	sp_unwind_rows(t->unwind, &before);
	if (sp_unwind_update(t->unwind, p, maps))
		return false;
	sp_unwind_rows(t->unwind, &after);
	if (after > before && after > t->nr_rows_max)
		make_anew(t, p, maps);
	sp_bpf_tables_publish(t);
	return true;
}

bool sp_bpf_tables_look(struct sp_bpf_tables *t, struct sp_proc *p)
{
	t->nr_unknown = t->ctl->nr_unknown;
	return sp_watch_look(&t->look, p, follow, t);
}

bool sp_bpf_tables_is_look_due(const struct sp_bpf_tables *t)
{
	return sp_watch_look_is_due(&t->look) ||
	       (t->ctl->nr_unknown != t->nr_unknown && sp_watch_look_is_affordable(&t->look));
}
