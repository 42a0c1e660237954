// SPDX-License-Identifier: Apache-2.0
/* Questions about the current snapshot, under a filter. One pass over its blocks; nothing here changes the ledger. */
#include <errno.h>
#include <stdlib.h>

#include "ledger/impl.h"

/* What one path comes to while the blocks pass by. */
struct tally {
	struct sp_estimate now; /* under the whole filter */
	struct sp_estimate all; /* whatever their age */
	uint64_t nr;            /* recorded blocks of `now` */
	uint64_t oldest_birth_ns;
	struct sp_estimate previous, first;
};

static const struct sp_ledger_filter no_filter;

static bool size_fits(const struct sp_ledger_filter *f, uint64_t size)
{
	return size >= f->min_size && (!f->max_size || size <= f->max_size);
}

static bool age_fits(const struct sp_ledger *l, const struct sp_ledger_filter *f, const struct sp_block *b)
{
	uint64_t now = l->current.now_ns;

	return (b->birth_ns < now ? now - b->birth_ns : 0) >= f->min_age_ns;
}

/* SP_NO_PATH + 1 is 0. */
static struct tally *tally_of(struct tally *tallies, uint32_t path)
{
	return &tallies[(uint32_t)(path + 1)];
}

static void tally_blocks(const struct sp_ledger *l, const struct sp_ledger_filter *f, struct tally *tallies)
{
	for (size_t i = 0; i < l->current.blocks.nr; i++) {
		const struct sp_block *b = sp_vec_at(&l->current.blocks, struct sp_block, i);
		struct tally *t = tally_of(tallies, b->path);

		if (!size_fits(f, b->size))
			continue;
		sp_estimate_add(&t->all, l->sample_mean, b->sampled, b->size, 1);
		if (!age_fits(l, f, b))
			continue;
		if (!t->nr || b->birth_ns < t->oldest_birth_ns)
			t->oldest_birth_ns = b->birth_ns;
		sp_estimate_add(&t->now, l->sample_mean, b->sampled, b->size, 1);
		t->nr++;
	}
}

static void tally_history(const struct sp_ledger *l, const struct sp_ledger_filter *f, struct tally *tallies)
{
	const struct sp_sizes *first = l->first_is_previous ? &l->previous : &l->first;

	for (size_t i = 0; i < l->previous.nr; i++) {
		const struct sp_size_count *c = &l->previous.list[i];
		struct tally *t = &tallies[sp_size_place(c)];

		if (size_fits(f, c->size))
			sp_estimate_add(&t->previous, l->sample_mean, c->key >> SP_SIZE_PATH_BITS, c->size, c->blocks);
	}
	for (size_t i = 0; i < first->nr; i++) {
		const struct sp_size_count *c = &first->list[i];
		struct tally *t = &tallies[sp_size_place(c)];

		if (size_fits(f, c->size))
			sp_estimate_add(&t->first, l->sample_mean, c->key >> SP_SIZE_PATH_BITS, c->size, c->blocks);
	}
}

/* now - then, kept within the type. */
static int64_t difference(uint64_t now, uint64_t then)
{
	if (now >= then)
		return now - then > INT64_MAX ? INT64_MAX : (int64_t)(now - then);
	return then - now > INT64_MAX ? INT64_MIN : -(int64_t)(then - now);
}

/* Without a snapshot before there is no growth. */
static struct sp_path_sum sum_of(const struct sp_ledger *l, uint32_t path, const struct tally *t)
{
	const struct sp_survival *s = sp_survival_of(&l->paths, path);
	struct sp_path_sum sum = {
	    .path = path,
	    .bytes = sp_estimate_bytes(&t->now),
	    .blocks = sp_estimate_blocks(&t->now),
	    .error_bytes = sp_estimate_bytes_error(&t->now),
	    .error_blocks = sp_estimate_blocks_error(&t->now),
	    .oldest_birth_ns = t->oldest_birth_ns,
	    .old_seen = s->old_seen,
	    .old_freed = s->old_freed,
	};

	if (l->nr_snapshots > 1) {
		uint64_t bytes = sp_estimate_bytes(&t->all);
		sum.growth_bytes = difference(bytes, sp_estimate_bytes(&t->previous));
		sum.growth_blocks = difference(sp_estimate_blocks(&t->all), sp_estimate_blocks(&t->previous));
		sum.total_growth_bytes = difference(bytes, sp_estimate_bytes(&t->first));
	}
	return sum;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Ties: more bytes first, then the lower id: a total order, so any sort gives the same. */
static int by_bytes(const void *pa, const void *pb)
{
	const struct sp_path_sum *a = pa, *b = pb;
	int order = compare_u64(b->bytes, a->bytes);

	return order ? order : compare_u64(a->path, b->path);
}

static int by_blocks(const void *pa, const void *pb)
{
	const struct sp_path_sum *a = pa, *b = pb;
	int order = compare_u64(b->blocks, a->blocks);

	return order ? order : by_bytes(pa, pb);
}

static int by_growth(const void *pa, const void *pb)
{
	const struct sp_path_sum *a = pa, *b = pb;
	int order = (b->growth_bytes > a->growth_bytes) - (b->growth_bytes < a->growth_bytes);

	return order ? order : by_bytes(pa, pb);
}

static int by_age(const void *pa, const void *pb)
{
	const struct sp_path_sum *a = pa, *b = pb;
	int order = compare_u64(a->oldest_birth_ns, b->oldest_birth_ns);

	return order ? order : by_bytes(pa, pb);
}

static void sort_sums(struct sp_path_sum *sums, size_t nr, enum sp_sort sort)
{
	static int (*const orders[])(const void *, const void *) = {[SP_SORT_BYTES] = by_bytes,
								    [SP_SORT_BLOCKS] = by_blocks,
								    [SP_SORT_GROWTH] = by_growth,
								    [SP_SORT_AGE] = by_age};

	if (nr)
		qsort(sums, nr, sizeof(*sums), orders[sort]);
}

static int push_sums(const struct sp_ledger *l, struct tally *tallies, size_t nr, struct sp_vec *ret)
{
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		struct sp_path_sum sum;

		if (!tallies[i].nr)
			continue;
		sum = sum_of(l, (uint32_t)i - 1, &tallies[i]);
		err = sp_vec_push(ret, &sum);
	}
	return err;
}

int sp_ledger_paths(const struct sp_ledger *l, const struct sp_ledger_filter *f, enum sp_sort sort, struct sp_vec *ret)
{
	size_t nr = l->paths.entries.nr + 1, had = ret->nr;
	struct tally *tallies = calloc(nr, sizeof(*tallies));
	int err;

	if (!tallies)
		return -ENOMEM;
	tally_blocks(l, f ? f : &no_filter, tallies);
	tally_history(l, f ? f : &no_filter, tallies);
	err = push_sums(l, tallies, nr, ret);
	free(tallies);
	if (err) {
		ret->nr = had;
		return err;
	}
	sort_sums((struct sp_path_sum *)ret->data + had, ret->nr - had, sort);
	return 0;
}

int sp_ledger_blocks(const struct sp_ledger *l, bool all, uint32_t path, const struct sp_ledger_filter *f,
		     struct sp_vec *ret)
{
	size_t had = ret->nr;

	if (!f)
		f = &no_filter;
	for (size_t i = 0; i < l->current.blocks.nr; i++) {
		struct sp_block b = *sp_vec_at(&l->current.blocks, struct sp_block, i);
		int err;

		if ((!all && b.path != path) || !size_fits(f, b.size) || !age_fits(l, f, &b))
			continue;
		if (b.fn == SP_FN_FAULT)
			b.addr &= ~UINT64_C(1);
		err = sp_vec_push(ret, &b);
		if (err) {
			ret->nr = had;
			return err;
		}
	}
	return 0;
}
