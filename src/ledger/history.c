// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of every path over the watch, in bounded memory: all paths share the times, and when the points are full
 * every second one is dropped and from then on only every second snapshot is kept. The current snapshot is always the
 * last point, whether it will be kept or not.
 */
#include <errno.h>
#include <string.h>

#include "ledger/impl.h"

void sp_history_init(struct sp_history *h, size_t max_paths)
{
	h->nr = h->since = 0;
	h->every = 1;
	sp_vec_init(&h->series, sizeof(struct sp_series), SP_HISTORY_PATHS);
	sp_vec_init(&h->of_path, sizeof(uint32_t), max_paths + 1);
}

void sp_history_done(struct sp_history *h)
{
	sp_vec_done(&h->series);
	sp_vec_done(&h->of_path);
}

void sp_history_forget(struct sp_history *h)
{
	h->nr = h->since = 0;
	h->every = 1;
	sp_vec_clear(&h->series);
	sp_vec_clear(&h->of_path);
}

/* SP_NO_PATH + 1 is 0. */
static uint32_t *index_of(const struct sp_history *h, uint32_t path)
{
	size_t at = (uint32_t)(path + 1);

	return at < h->of_path.nr ? sp_vec_at(&h->of_path, uint32_t, at) : NULL;
}

const struct sp_series *sp_history_find(const struct sp_history *h, uint32_t path)
{
	const uint32_t *index = index_of(h, path);

	return index && *index ? sp_vec_at(&h->series, struct sp_series, *index - 1) : NULL;
}

/* One of two points goes, the newest stays. */
static void thin_out(struct sp_history *h)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < h->nr; i += 2, kept++) {
		h->times_ns[kept] = h->times_ns[i];
		h->total[kept] = h->total[i];
		for (size_t k = 0; k < h->series.nr; k++) {
			struct sp_series *s = sp_vec_at(&h->series, struct sp_series, k);
			s->bytes[kept] = s->bytes[i];
		}
	}
	h->nr = kept;
	h->every *= 2;
}

/* Where the current snapshot goes: beside the last point, or in its place when that was only for the moment. */
static unsigned next_point(struct sp_history *h)
{
	bool is_last_kept = !h->since;

	if (h->nr == SP_HISTORY_POINTS && is_last_kept)
		thin_out(h);
	h->since = (h->since + 1) % h->every;
	if (!h->nr || is_last_kept)
		h->nr++;
	return h->nr - 1;
}

/* A path's first block: before, it held nothing. */
static int series_add(struct sp_history *h, uint32_t *index)
{
	static const struct sp_series empty;
	int err = sp_vec_push(&h->series, &empty);

	if (!err)
		*index = (uint32_t)h->series.nr;
	return err == -ENOSPC ? 0 : err;
}

/* What can fail: a place for each path, and a series for each that has blocks now. */
static int make_room(struct sp_history *h, const struct sp_snapshot *s, size_t nr_paths)
{
	static const uint32_t none;
	int err = 0;

	while (h->of_path.nr < nr_paths + 1 && !err)
		err = sp_vec_push(&h->of_path, &none);
	for (size_t i = 0; i < s->blocks.nr && !err; i++) {
		uint32_t *index = index_of(h, sp_vec_at(&s->blocks, struct sp_block, i)->path);
		if (!*index && h->series.nr < h->series.max)
			err = series_add(h, index);
	}
	return err;
}

int sp_history_add(struct sp_history *h, const struct sp_snapshot *s, size_t nr_paths, uint64_t sample_mean)
{
	int err = make_room(h, s, nr_paths);

	if (err)
		return err;
	unsigned at = next_point(h);
	h->times_ns[at] = s->now_ns;
	h->total[at] = 0;
	for (size_t i = 0; i < h->series.nr; i++)
		sp_vec_at(&h->series, struct sp_series, i)->bytes[at] = 0;
	for (size_t i = 0; i < s->blocks.nr; i++) {
		const struct sp_block *b = sp_vec_at(&s->blocks, struct sp_block, i);
		uint64_t weighted = sp_weighted_bytes(sample_mean, b);
		uint32_t index = *index_of(h, b->path);

		h->total[at] = sp_sat_add(h->total[at], weighted);
		if (!index)
			continue;
		uint64_t *bytes = &sp_vec_at(&h->series, struct sp_series, index - 1)->bytes[at];
		*bytes = sp_sat_add(*bytes, weighted);
	}
	return 0;
}

unsigned sp_ledger_history(const struct sp_ledger *l, uint32_t path, uint64_t *ret_times_ns, uint64_t *ret_bytes)
{
	const struct sp_history *h = &l->history;
	const struct sp_series *s = sp_history_find(h, path);

	if (!s)
		return 0;
	memcpy(ret_times_ns, h->times_ns, h->nr * sizeof(*ret_times_ns));
	memcpy(ret_bytes, s->bytes, h->nr * sizeof(*ret_bytes));
	return h->nr;
}

unsigned sp_ledger_history_of_all(const struct sp_ledger *l, uint64_t *ret_times_ns, uint64_t *ret_bytes)
{
	const struct sp_history *h = &l->history;

	memcpy(ret_times_ns, h->times_ns, h->nr * sizeof(*ret_times_ns));
	memcpy(ret_bytes, h->total, h->nr * sizeof(*ret_bytes));
	return h->nr;
}
