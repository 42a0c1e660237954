// SPDX-License-Identifier: Apache-2.0
/*
 * gperftools' tcmalloc: finds its map from pages to spans (tcmalloc_spans.c) and its table of size classes in the data
 * of a module, tells every span, and frees what spans, central lists and threads (tcmalloc_caches.c) keep.
 *
 * The table: sizes ascending from 8 or 16 up to 256 KiB in 128 places, and behind it as many numbers of pages that hold
 * at least one block each. Each span counts its blocks that are not free, each class its spans and its free blocks,
 * each list its length: all of them must agree with what is seen.
 *
 * Not modelled: address spaces of more than 48 bits, the build for small memory, the debugging library (its blocks
 * begin behind a header of its own).
 */
#include "heap/tcmalloc.h"

#include <errno.h>
#include <string.h>

enum {
	TRIES = 3,
	SPAN_OBJECTS = 32, /* in a span: free blocks, then references | class | state */
	MAX_SEARCH_PAGES = 1 << 18,
	LARGEST_CLASS = 256 << 10, /* common.h: kMaxSize */
	MIN_DATA = 128 << 10,      /* the smallest root */
};

/* ---- finding ---- */

/* The class' pages hold at least one block. */
static bool are_pages(struct tc *tc, uint64_t at, const int32_t *sizes, unsigned nr)
{
	uint64_t pages[TC_NR_CLASSES];

	if (!sp_heap_get(tc->r, (at + 7) & ~(uint64_t)7, pages, sizeof(pages)))
		return false;
	for (unsigned i = 1; i < nr; i++)
		if (!pages[i] || pages[i] > 1024 || pages[i] << tc->page_shift < (uint64_t)sizes[i])
			return false;
	return true;
}

/* Whether the table of sizes is at `at`. */
static bool is_table(struct tc *tc, uint64_t at)
{
	int32_t sizes[TC_NR_CLASSES], batches[TC_NR_CLASSES];
	unsigned nr = 1;

	if (!sp_heap_get(tc->r, at, sizes, sizeof(sizes)) || sizes[0])
		return false;
	while (nr < TC_NR_CLASSES && sizes[nr] > sizes[nr - 1] && sizes[nr] % 8 == 0)
		nr++;
	if (nr < 8 || sizes[nr - 1] != LARGEST_CLASS || !are_pages(tc, at + sizeof(sizes), sizes, nr) ||
	    !sp_heap_get(tc->r, at - sizeof(batches), batches, sizeof(batches)))
		return false;
	memcpy(tc->class_bytes, sizes, sizeof(sizes));
	memcpy(tc->class_batch, batches, sizeof(batches));
	tc->nr_classes = nr;
	return true;
}

static bool find_table(struct tc *tc)
{
	uint32_t words[TC_PAGE / 4 + 1];

	for (uint64_t at = tc->data.start; at + sizeof(words) <= tc->data.end; at += TC_PAGE) {
		if (!sp_heap_get(tc->r, at, words, sizeof(words)))
			continue;
		for (unsigned i = 0; i < TC_PAGE / 4; i++)
			if (!words[i] && (words[i + 1] == 8 || words[i + 1] == 16) && is_table(tc, at + i * 4u))
				return true;
	}
	return false;
}

static bool find_root(struct tc *tc)
{
	uint64_t words[TC_PAGE / 8];

	for (uint64_t at = tc->data.start; at < tc->data.end && tc->pages_left; at += TC_PAGE, tc->pages_left--) {
		if (!sp_heap_get(tc->r, at, words, sizeof(words)))
			continue;
		for (uint64_t i = 0; i < SP_ARRAY_SIZE(words); i++)
			if (words[i] && sp_tc_is_root(tc, at + i * 8, words[i]))
				return true;
	}
	return false;
}

/* ---- telling ---- */

int sp_tc_free_chain(struct tc *tc, uint64_t head, uint64_t tail, unsigned size_class, uint64_t max, uint64_t *ret_nr)
{
	uint64_t at = head, nr = 0, bytes;
	bool is_used;

	while (at && nr < max) {
		if (!sp_heap_told(tc->sink, at, &is_used, &bytes) || bytes != (uint32_t)tc->class_bytes[size_class] ||
		    !is_used)
			return sp_tc_doubt(tc, "a list of class %u has something else", size_class);
		int rc = sp_heap_add_free(tc->sink, at);
		if (rc < 0)
			return rc;
		nr++;
		if (at == tail)
			break;
		if (!sp_heap_get_u64(tc->r, at, &at))
			return sp_tc_doubt(tc, "a list of class %u cannot be read", size_class);
	}
	*ret_nr = nr;
	return 1;
}

static int tell_small(struct tc *tc, const struct tc_span *s)
{
	uint64_t nr = sp_tc_nr_blocks(tc, s), bytes = (uint32_t)tc->class_bytes[s->size_class];
	int rc = 0;

	if (!nr)
		return sp_tc_doubt(tc, "a span of class %u is too small", s->size_class);
	for (uint64_t i = 0; i < nr && rc >= 0; i++)
		rc = sp_heap_add_used(tc->sink, s->base + i * bytes);
	if (rc >= 0 && nr * bytes < s->bytes)
		rc = sp_heap_add_free(tc->sink, s->base + nr * bytes);
	return rc < 0 ? rc : 1;
}

/* The span's own list. Only when all spans are told: a block extends to the next one. */
static int free_span(struct tc *tc, const struct tc_span *s)
{
	uint64_t nr = sp_tc_nr_blocks(tc, s), words[2], nr_free = 0;

	if (!sp_heap_get(tc->r, s->span + SPAN_OBJECTS, words, sizeof(words)))
		return sp_tc_doubt(tc, "a span cannot be read");
	int rc = sp_tc_free_chain(tc, words[0], 0, s->size_class, nr, &nr_free);
	if (rc <= 0)
		return rc;
	tc->class_free[s->size_class] += nr_free;
	if (nr_free + (uint16_t)words[1] != nr)
		return sp_tc_doubt(tc, "the span at 0x%llx: %llu blocks, %llu free, %u in use",
				   (unsigned long long)s->base, (unsigned long long)nr, (unsigned long long)nr_free,
				   (uint16_t)words[1]);
	return 1;
}

static int tell_span(struct tc *tc, const struct tc_span *s)
{
	if (s->kind == TC_SMALL)
		return tell_small(tc, s);
	int rc = (s->kind == TC_LARGE ? sp_heap_add_used : sp_heap_add_free)(tc->sink, s->base);
	return rc < 0 ? rc : 1;
}

static unsigned granule_of(const struct tc *tc, const struct tc_span *s)
{
	return s->kind == TC_SMALL && tc->class_bytes[s->size_class] % 16 ? 8 : 16;
}

/* The run of adjacent spans from `i` on that can be one region; *ret_next: the first that is not in it. */
static struct sp_heap_region run_of(const struct tc *tc, size_t i, size_t *ret_next)
{
	const struct tc_span *s = sp_vec_at(&tc->spans, struct tc_span, i);
	struct sp_heap_region r = {.start = s->base, .end = s->base, .granule = granule_of(tc, s)};

	for (; i < tc->spans.nr && s->base == r.end && granule_of(tc, s) == r.granule; i++, s++)
		r.end += s->bytes;
	*ret_next = i;
	return r;
}

static int tell(struct tc *tc)
{
	int rc = 1;

	for (size_t i = 0, next; i < tc->spans.nr && rc > 0; i = next) {
		struct sp_heap_region r = run_of(tc, i, &next);

		rc = sp_heap_add_region(tc->sink, &r);
		if (rc < 0)
			return rc;
		for (rc = 1; i < next && rc > 0; i++)
			rc = tell_span(tc, sp_vec_at(&tc->spans, struct tc_span, i));
	}
	for (size_t i = 0; i < tc->spans.nr && rc > 0; i++)
		if (sp_vec_at(&tc->spans, struct tc_span, i)->kind == TC_SMALL)
			rc = free_span(tc, sp_vec_at(&tc->spans, struct tc_span, i));
	if (rc > 0)
		rc = sp_tc_find_central(tc);
	if (rc > 0)
		rc = sp_tc_free_central(tc);
	return rc > 0 ? sp_tc_free_cached(tc) : rc;
}

static uint64_t untell(struct tc *tc)
{
	uint64_t bytes = 0;

	for (size_t i = 0, next; i < tc->spans.nr; i = next) {
		struct sp_heap_region r = run_of(tc, i, &next);
		sp_heap_drop_region(tc->sink, r.start);
		bytes += r.end - r.start;
	}
	sp_tc_untell_central(tc);
	return bytes;
}

/* ---- the walk ---- */

static int walk_root(struct tc *tc)
{
	uint64_t bytes = 0;
	int rc = 0;

	for (unsigned i = 0; i < (tc->src->is_live ? TRIES : 1) && rc == 0; i++) {
		if (i)
			sp_heap_reader_forget(tc->r);
		memset(tc->central, 0, sizeof(tc->central));
		rc = sp_tc_collect(tc);
		if (rc > 0)
			rc = tell(tc);
		if (rc == -EEXIST || rc == -EINVAL)
			rc = sp_tc_doubt(tc, "its spans cannot all be memory of its own");
		if (rc == 0)
			bytes = untell(tc);
	}
	if (rc == 0)
		sp_heap_give_up(tc->sink, bytes, "tcmalloc's heap does not verify: %s", tc->why);
	return rc;
}

static int walk(const struct sp_heap_source *src, struct sp_heap_reader *r, struct sp_heap_sink *s)
{
	struct tc tc = {.src = src, .r = r, .sink = s, .pages_left = MAX_SEARCH_PAGES};
	int rc = 0;

	while (rc >= 0 && sp_heap_next_data(src->maps, &tc.data))
		if (tc.data.end - tc.data.start > MIN_DATA && find_root(&tc) && find_table(&tc))
			rc = walk_root(&tc);
	sp_vec_done(&tc.spans);
	return rc < 0 ? rc : 0;
}

const struct sp_heap_model sp_heap_tcmalloc = {.name = "tcmalloc", .walk = walk};
