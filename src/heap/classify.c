// SPDX-License-Identifier: Apache-2.0
/*
 * Which class each block gets, in phases:
 *
 *  1. What roots lead to is REACHED. A pointer into a block's middle only makes it MAYBE, unless it is of a good kind.
 *  2. What is still MAYBE is POSSIBLE, and so is what only leads from there.
 *  3. Of the rest, a block to which another of them points becomes MAYBE: it is not where a leak begins.
 *  4. What nobody points to is LEAKED; what leads from there is INDIRECT.
 *  5. What is left are rings and what hangs on them: the first by address is LEAKED, all it leads to is INDIRECT, also
 *     what was called LEAKED in this step.
 *
 * Pages that are swapped out and threads without registers may hold the one pointer to a block: then nothing is called
 * leaked, but possible.
 */
#include "heap/mark.h"

#include <errno.h>

static void to_possible(struct sp_marker *mk, const struct sp_extent *e)
{
	sp_mark_grey(mk, e, SP_CODE_POSSIBLE);
}

static void to_grey(struct sp_marker *mk, const struct sp_extent *e)
{
	sp_mark_grey(mk, e, e->code & SP_CODE_MASK);
}

static void to_leaked(struct sp_marker *mk, const struct sp_extent *e)
{
	sp_mark_grey(mk, e, SP_CODE_LEAKED);
}

static void to_leader(struct sp_marker *mk, const struct sp_extent *e)
{
	mk->leader = e->start;
	sp_mark_grey(mk, e, SP_CODE_LEAKED);
	sp_mark_drain(mk);
}

static void to_uncertain(struct sp_marker *mk, const struct sp_extent *e)
{
	(void)mk;
	sp_region_set(e->region, e->start, SP_CODE_POSSIBLE);
}

/* A stretch of roots without the regions in it. */
static void mark_root(struct sp_marker *mk, const struct sp_root *root)
{
	const struct sp_index *x = &mk->h->index;
	uint64_t at = root->start;

	for (size_t i = sp_index_from(x, at); i < x->regions.nr && at < root->end; i++) {
		const struct sp_region *r = sp_index_at(x, i);

		if (r->start >= root->end)
			break;
		if (r->start > at)
			sp_mark_range(mk, at, r->start);
		at = r->end;
	}
	if (at < root->end)
		sp_mark_range(mk, at, root->end);
}

static void mark_gap(struct sp_marker *mk, const struct sp_extent *e)
{
	sp_mark_range(mk, e->start, e->end);
}

static void mark_gaps(struct sp_marker *mk)
{
	for (size_t i = 0; i < mk->h->index.regions.nr; i++)
		if (sp_index_at(&mk->h->index, i)->gaps_are_roots)
			sp_mark_each_in(mk, sp_index_at(&mk->h->index, i), SP_CODE_FREE, mark_gap);
}

/*
 * A thread's own places: its stack may be a block, its control block may be in one, and the vector of its dynamic TLS
 * is known by a pointer to its second element (fs + 8).
 */
static void mark_threads(struct sp_marker *mk)
{
	const struct sp_heap_source *src = mk->h->src;
	uint64_t dtv;

	for (size_t i = 0; i < src->nr_threads; i++) {
		sp_mark_good_word(mk, src->threads[i].sp, SP_HEAP_AT_THREADS + i);
		sp_mark_good_word(mk, src->threads[i].fs, SP_HEAP_AT_THREADS + i);
		if (src->threads[i].fs && sp_heap_get_u64(mk->h->reader, src->threads[i].fs + 8, &dtv))
			sp_mark_good_word(mk, dtv, src->threads[i].fs + 8);
	}
}

/* Words outside memory: the threads' come first. */
static void mark_outside(struct sp_marker *mk, enum sp_roots which)
{
	const struct sp_heap_source *src = mk->h->src;
	size_t nr = 0;

	for (size_t i = 0; i < src->nr_threads; i++)
		if (src->threads[i].first + src->threads[i].nr > nr)
			nr = src->threads[i].first + src->threads[i].nr;
	if (nr > src->nr_words)
		nr = src->nr_words;
	if (which & SP_ROOTS_STACKS)
		sp_mark_words(mk, src->words, nr, SP_HEAP_AT_WORDS);
	if ((which & SP_ROOTS_LASTING) && src->nr_words > nr)
		sp_mark_words(mk, src->words + nr, src->nr_words - nr, SP_HEAP_AT_WORDS + nr * sizeof(*src->words));
}

int sp_mark_roots(struct sp_marker *mk, enum sp_roots which)
{
	struct sp_vec roots;
	int rc = sp_roots_find(mk->h, which, &roots);

	if (rc < 0)
		return rc;
	if (which & SP_ROOTS_LASTING)
		mark_threads(mk);
	mark_outside(mk, which);
	for (size_t i = 0; i < roots.nr; i++)
		mark_root(mk, sp_vec_at(&roots, struct sp_root, i));
	if (which & SP_ROOTS_LASTING)
		mark_gaps(mk);
	sp_vec_done(&roots);
	return 0;
}

static void classify(struct sp_marker *mk)
{
	sp_mark_drain(mk);

	mk->phase = SP_PHASE_POSSIBLE;
	sp_mark_each(mk, SP_CODE_MAYBE, to_possible);
	sp_mark_drain(mk);

	mk->phase = SP_PHASE_REFERENCE;
	sp_mark_each(mk, SP_CODE_UNREACHED, to_grey);
	sp_mark_drain(mk);

	mk->phase = SP_PHASE_INDIRECT;
	sp_mark_each(mk, SP_CODE_UNREACHED, to_leaked);
	sp_mark_drain(mk);

	mk->phase = SP_PHASE_RING;
	sp_mark_each(mk, SP_CODE_MAYBE, to_leader);

	if (mk->h->lost.away_bytes || mk->h->lost.threads_unknown) {
		sp_mark_each(mk, SP_CODE_LEAKED, to_uncertain);
		sp_mark_each(mk, SP_CODE_INDIRECT, to_uncertain);
	}
}

int sp_heap_mark(struct sp_heap *h, struct sp_why *why)
{
	struct sp_marker mk;

	if (h->is_marked)
		return 0;
	int rc = sp_marker_init(&mk, h);
	mk.phase = SP_PHASE_REACH;
	if (rc == 0)
		rc = sp_mark_roots(&mk, SP_ROOTS_ALL);
	if (rc == 0) {
		classify(&mk);
		h->is_marked = true;
	}
	sp_marker_done(&mk);
	if (rc == -ENOSPC)
		(void)sp_why_set(why, SP_FAULT_OURS, ENOSPC,
				 "the heap needs more than the %llu MiB that may be used to look at it",
				 (unsigned long long)(h->index.max_bytes >> 20));
	return rc;
}
