// SPDX-License-Identifier: Apache-2.0
/*
 * Unwind tables where walkers in another address space read them, and how they follow the target's mappings.
 *
 * Publishing, while walks go on (walkers look at the generation before and after each search):
 *   1. rows are put behind those that are in use; ranges into the half that is not;
 *   2. the row cache is emptied when the new generation's number in it has been used before;
 *   3. one store to the generation switches over.
 * Should the rows not fit, they are made anew from what is mapped now: first nothing is published, then the rows are
 * rewritten from the beginning.
 */
#include <errno.h>
#include <string.h>

#include "engines/watch/watch.h"

#define MAX_ROWS   (32 << 20)  /* 256 MB of rows: chromium has 3 M */
#define SPARE_ROWS (512 << 10) /* room for what the target loads later, beside half of what it has */

/* ---- publishing ---- */

static void switch_to(struct sp_watch_tables *t, uint32_t nr_ranges)
{
	const struct sp_watch_shared *s = &t->shared;
	uint32_t gen = t->gen + 1;

	s->nr_ranges[gen & 1] = nr_ranges;
	if (!(gen % s->cache_gens))
		memset(s->row_cache, 0, s->cache_bytes);
	t->gen = gen;
	__atomic_store_n(s->gen, gen, __ATOMIC_SEQ_CST);
	if (!(gen % s->cache_gens)) /* what was entered meanwhile */
		memset(s->row_cache, 0, s->cache_bytes);
}

static void publish_rows(struct sp_watch_tables *t)
{
	size_t nr;
	const struct sp_row *rows = sp_unwind_rows(t->unwind, &nr);

	if (nr <= t->nr_rows_published || nr > t->nr_rows_max)
		return;
	memcpy(t->shared.rows + t->nr_rows_published, rows + t->nr_rows_published,
	       (nr - t->nr_rows_published) * sizeof(*rows));
	t->nr_rows_published = nr;
}

/* The code that came with the watcher has rows of its own, behind all others. */
static bool is_own(const struct sp_watch_tables *t, const struct sp_row_range *r)
{
	return t->own.nr_rows && r->start == t->own.start;
}

void sp_watch_tables_publish(struct sp_watch_tables *t)
{
	size_t nr;
	const struct sp_row_range *ranges = sp_unwind_ranges(t->unwind, &nr);
	struct sp_row_range *to = t->shared.ranges + (size_t)((t->gen + 1) & 1) * SP_MAX_RANGES;

	publish_rows(t);
	if (nr > SP_MAX_RANGES)
		nr = SP_MAX_RANGES;
	for (size_t i = 0; i < nr; i++) {
		struct sp_row_range r = is_own(t, &ranges[i]) ? t->own : ranges[i];
		if (!is_own(t, &r) && r.row0 + (size_t)r.nr_rows > t->nr_rows_published)
			r.nr_rows = 0; /* no room in the table: by the frame pointer */
		to[i] = r;
	}
	switch_to(t, (uint32_t)nr);
}

/* ---- both sides ---- */

int sp_watch_tables_build(struct sp_watch_tables *t, struct sp_proc *p, const struct sp_maps *maps, struct sp_why *why)
{
	sp_watch_look_init(&t->look, maps);
	int err = sp_unwind_new(MAX_ROWS, &t->unwind);

	if (!err)
		err = sp_unwind_update(t->unwind, p, maps);
	if (err)
		sp_why_set(why, SP_FAULT_OURS, -err, "cannot build unwind tables: %s", strerror(-err));
	return err;
}

uint32_t sp_watch_tables_room(struct sp_watch_tables *t)
{
	size_t nr;

	sp_unwind_rows(t->unwind, &nr);
	t->nr_rows_max = (uint32_t)(nr + nr / 2 + SPARE_ROWS);
	return t->nr_rows_max;
}

void sp_watch_tables_share(struct sp_watch_tables *t, const struct sp_watch_shared *shared)
{
	t->shared = *shared;
	t->gen = *shared->gen;
	t->nr_rows_published = 0;
}

void sp_watch_tables_own(struct sp_watch_tables *t, uint64_t start, uint64_t end, const struct sp_row *rows,
			 uint32_t nr_rows)
{
	memcpy(t->shared.rows + t->nr_rows_max, rows, nr_rows * sizeof(*rows));
	t->own = (struct sp_row_range){
	    .start = start, .end = end, .base = start, .row0 = t->nr_rows_max, .nr_rows = nr_rows};
}

void sp_watch_tables_done(struct sp_watch_tables *t)
{
	sp_unwind_free(t->unwind);
	t->unwind = NULL;
}

/* ---- following the target's mappings ---- */

/* The pool holds rows of files that are mapped no more. On failure nothing has changed. */
static void make_anew(struct sp_watch_tables *t, struct sp_proc *p, const struct sp_maps *maps)
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
	struct sp_watch_tables *t = arg;
	size_t before, after;

	sp_unwind_rows(t->unwind, &before);
	if (sp_unwind_update(t->unwind, p, maps))
		return false;
	sp_unwind_rows(t->unwind, &after);
	if (after > before && after > t->nr_rows_max)
		make_anew(t, p, maps);
	sp_watch_tables_publish(t);
	return true;
}

bool sp_watch_tables_look(struct sp_watch_tables *t, struct sp_proc *p)
{
	return sp_watch_look(&t->look, p, follow, t);
}

void sp_watch_tables_count(const struct sp_watch_tables *t, struct sp_engine_stats *ret)
{
	size_t nr;

	sp_unwind_rows(t->unwind, &nr);
	ret->nr_rows = nr;
	ret->nr_modules = (unsigned)sp_unwind_nr_files(t->unwind);
}
