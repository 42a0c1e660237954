// SPDX-License-Identifier: Apache-2.0
/* The rows of the screen of seep trace. */
#include "cli/live_rows.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_PATHS (1u << 24)

struct sp_baseline_path {
	uint32_t path;
	uint64_t bytes;
};

void sp_baseline_init(struct sp_baseline *b)
{
	b->now_ns = 0;
	sp_vec_init(&b->paths, sizeof(struct sp_baseline_path), MAX_PATHS);
}

void sp_baseline_done(struct sp_baseline *b)
{
	sp_vec_done(&b->paths);
}

static int by_path(const void *pa, const void *pb)
{
	const struct sp_baseline_path *a = pa, *b = pb;

	return (a->path > b->path) - (a->path < b->path);
}

int sp_baseline_set(struct sp_baseline *b, const struct sp_view *v)
{
	int err = sp_vec_reserve(&b->paths, v->total_paths);

	if (err)
		return err;
	sp_vec_clear(&b->paths);
	for (uint64_t i = 0; i < v->total_paths && !err; i++) {
		const struct sp_baseline_path p = {.path = v->sums[i].path, .bytes = v->sums[i].bytes};

		err = sp_vec_push(&b->paths, &p);
	}
	if (b->paths.nr)
		qsort(b->paths.data, b->paths.nr, sizeof(struct sp_baseline_path), by_path);
	b->now_ns = v->now_ns;
	return err;
}

static int64_t since(const struct sp_baseline *b, const struct sp_path_sum *s)
{
	const struct sp_baseline_path key = {.path = s->path}, *found = NULL;

	if (b->paths.nr)
		found = bsearch(&key, b->paths.data, b->paths.nr, sizeof(key), by_path);
	return (int64_t)(s->bytes - (found ? found->bytes : 0));
}

/* Equal ones stay in the view's order, which is that of its array. */
static int by_growth_since(const void *pa, const void *pb)
{
	const struct sp_live_row *a = pa, *b = pb;

	if (a->since_bytes != b->since_bytes)
		return a->since_bytes < b->since_bytes ? 1 : -1;
	return (a->path > b->path) - (a->path < b->path);
}

int sp_live_rows_make(const struct sp_view *v, const char *filter, const struct sp_baseline *b, bool by_growth,
		      struct sp_vec *ret)
{
	int err = 0;

	sp_vec_clear(ret);
	for (size_t i = 0; i < v->nr_paths && !err; i++) {
		const struct sp_live_row row = {.path = &v->paths[i],
						.since_bytes = b ? since(b, &v->paths[i].sum) : 0};

		if (sp_report_live_matches(row.path, filter))
			err = sp_vec_push(ret, &row);
	}
	if (!err && b && by_growth && ret->nr)
		qsort(ret->data, ret->nr, sizeof(struct sp_live_row), by_growth_since);
	return err;
}
