// SPDX-License-Identifier: Apache-2.0
/* What a view says of the watch as a whole: does a path grow, and how its bytes and everybody's went. */
#include <errno.h>
#include <stdlib.h>

#include "session/impl.h"

static uint64_t scaled(uint64_t n, uint64_t scale)
{
	return __builtin_mul_overflow(n, scale, &n) ? UINT64_MAX : n;
}

static void scale_all(uint64_t *list, unsigned nr, uint64_t scale)
{
	for (unsigned i = 0; i < nr; i++)
		list[i] = scaled(list[i], scale);
}

static void scale_verdict(struct sp_verdict *v, uint64_t scale)
{
	v->trend.slope *= (double)scale;
	v->trend.low *= (double)scale;
	v->trend.high *= (double)scale;
	v->first_bytes = scaled(v->first_bytes, scale);
	v->bytes = scaled(v->bytes, scale);
	v->blocks = scaled(v->blocks, scale);
	v->old_seen = scaled(v->old_seen, scale);
	v->old_freed = scaled(v->old_freed, scale);
	scale_all(v->births, SP_BIRTH_SPANS, scale);
}

/* Verdicts come in the order of ids, SP_NO_PATH first: the order of id + 1. */
static int by_path(const void *key, const void *element)
{
	uint32_t a = *(const uint32_t *)key + 1, b = ((const struct sp_verdict *)element)->path + 1;

	return (a > b) - (a < b);
}

static void take_verdicts(struct sp_view_path *paths, size_t nr, const struct sp_vec *verdicts, uint64_t scale)
{
	for (size_t i = 0; i < nr; i++) {
		const struct sp_verdict *found =
		    bsearch(&paths[i].sum.path, verdicts->data, verdicts->nr, sizeof(struct sp_verdict), by_path);

		/* its blocks were read with the same snapshot: it is always there */
		paths[i].verdict = found ? *found : (struct sp_verdict){.class = SP_CLASS_UNKNOWN};
		scale_verdict(&paths[i].verdict, scale);
	}
}

static void take_histories(struct sp_view_path *paths, size_t nr, uint64_t *room, const struct sp_ledger *l,
			   uint64_t scale)
{
	uint64_t times[SP_HISTORY_POINTS];

	for (size_t i = 0; i < nr; i++, room += SP_HISTORY_POINTS) {
		unsigned points = sp_ledger_history(l, paths[i].sum.path, times, room);

		scale_all(room, points, scale);
		paths[i].history = points ? room : NULL;
	}
}

int sp_view_add_verdicts(struct sp_view *v, struct sp_view_store *store, const struct sp_ledger *l)
{
	uint64_t *histories = calloc(v->nr_paths + 1, SP_HISTORY_POINTS * sizeof(*histories));
	struct sp_vec verdicts;
	int err;

	if (!histories)
		return -ENOMEM;
	sp_vec_init(&verdicts, sizeof(struct sp_verdict), (size_t)UINT32_MAX + 1);
	err = sp_ledger_verdicts(l, &verdicts);
	if (!err) {
		take_verdicts(store->paths, v->nr_paths, &verdicts, v->scale);
		take_histories(store->paths, v->nr_paths, histories, l, v->scale);
		v->nr_history = sp_ledger_history_of_all(l, v->history_ns, v->history_bytes);
		scale_all(v->history_bytes, v->nr_history, v->scale);
		v->has_verdicts = true;
	}
	sp_vec_done(&verdicts);
	free(store->histories);
	store->histories = err ? NULL : histories;
	if (err)
		free(histories);
	return err;
}
