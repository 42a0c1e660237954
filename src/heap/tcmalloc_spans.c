// SPDX-License-Identifier: Apache-2.0
/*
 * tcmalloc's spans: every run of pages that it manages, out of its map from pages to spans.
 *
 *   root[2^17] --> leaf[2^18] --> span {first page, pages, next, previous, free blocks, references | class | state}
 *
 * (with pages of 8 KiB, as built by default; other sizes split the bits of a page's number likewise). The root is in
 * the library's (or the program's) data. The map names a span for its first and its last page, so the first page that a
 * span says of itself must lead back to it, and its last one, too. In between there may be stale names.
 */
#include "heap/tcmalloc.h"

#include <stdarg.h>

#define ADDRESS_END ((uint64_t)1 << 47)

enum {
	MAX_SPANS = 16 << 20,
	MAX_LEAVES = 1 << 16,
	STATE_IN_USE = 0,
	STATE_LAST = 2, /* free and returned to the kernel */
};

/* configure --with-tcmalloc-pagesize; the default first. */
static const unsigned PAGE_SHIFTS[] = {13, 12, 14, 15, 16, 18};

struct span {
	uint64_t first, pages, next, previous, objects, bits;
};

int sp_tc_doubt(struct tc *tc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(tc->why, sizeof(tc->why), fmt, args);
	va_end(args);
	return 0;
}

static unsigned leaf_bits(const struct tc *tc)
{
	return (TC_ADDRESS_BITS - tc->page_shift + 1) / 2;
}

static unsigned root_bits(const struct tc *tc)
{
	return TC_ADDRESS_BITS - tc->page_shift - leaf_bits(tc);
}

static uint64_t leaf_mask(const struct tc *tc)
{
	return ((uint64_t)1 << leaf_bits(tc)) - 1;
}

static bool map_at(struct tc *tc, uint64_t page, uint64_t *ret)
{
	uint64_t leaf;

	return sp_heap_get_u64(tc->r, tc->root + (page >> leaf_bits(tc)) * 8, &leaf) && leaf &&
	       sp_heap_get_u64(tc->r, leaf + (page & leaf_mask(tc)) * 8, ret);
}

/* What the map and the span say of each other. */
static bool agree(struct tc *tc, uint64_t at, const struct span *s)
{
	uint64_t first, last, end = ADDRESS_END >> tc->page_shift;

	return s->first && s->first < end && s->pages && s->pages <= end - s->first && map_at(tc, s->first, &first) &&
	       first == at && map_at(tc, s->first + s->pages - 1, &last) && last == at &&
	       (s->bits >> 24 & 3) <= STATE_LAST && sp_maps_find(tc->src->maps, s->first << tc->page_shift) &&
	       sp_maps_find(tc->src->maps, ((s->first + s->pages) << tc->page_shift) - 1);
}

bool sp_tc_is_root(struct tc *tc, uint64_t at, uint64_t leaf)
{
	const struct sp_mapping *m = sp_maps_find(tc->src->maps, leaf);
	uint64_t nr, span;
	struct span s;

	tc->page_shift = PAGE_SHIFTS[0];
	if (leaf % 64 || !m || !(m->prot & SP_PROT_W) || (m->path[0] && m->path[0] != '[') ||
	    !sp_heap_first_word(tc->r, leaf, leaf_mask(tc) + 1, &tc->pages_left, &nr, &span) || span % 8 ||
	    !sp_heap_get(tc->r, span, &s, sizeof(s)))
		return false;
	for (size_t i = 0; i < SP_ARRAY_SIZE(PAGE_SHIFTS); i++) {
		tc->page_shift = PAGE_SHIFTS[i];
		uint64_t above = s.first >> leaf_bits(tc);

		if ((s.first & leaf_mask(tc)) != nr || above >> root_bits(tc) || at - tc->data.start < above * 8 ||
		    at - above * 8 + ((uint64_t)8 << root_bits(tc)) > tc->data.end)
			continue;
		tc->root = at - above * 8;
		if (agree(tc, span, &s))
			return true;
	}
	return false;
}

/* The span that the map names for `page`. 1: appended, *ret_next is the page behind it. */
static int add_span(struct tc *tc, uint64_t at, uint64_t page, uint64_t *ret_next)
{
	struct span s;

	if (at % 8 || !sp_heap_get(tc->r, at, &s, sizeof(s)) || s.first != page || !agree(tc, at, &s))
		return sp_tc_doubt(tc, "the span of page 0x%llx does not agree with the map",
				   (unsigned long long)page << tc->page_shift);
	struct tc_span span = {.base = page << tc->page_shift,
			       .span = at,
			       .bytes = s.pages << tc->page_shift,
			       .size_class = (uint8_t)(s.bits >> 16)};
	if ((s.bits >> 24 & 3) == STATE_IN_USE)
		span.kind = span.size_class ? TC_SMALL : TC_LARGE;
	if (span.kind == TC_SMALL && span.size_class >= tc->nr_classes)
		return sp_tc_doubt(tc, "a span of class %u, and there are %u", span.size_class, tc->nr_classes);
	if (span.kind == TC_SMALL)
		tc->class_spans[span.size_class]++;
	*ret_next = page + s.pages;
	int rc = sp_vec_push(&tc->spans, &span);
	return rc < 0 ? rc : 1;
}

/* The spans that begin in one leaf. *next: the page behind the last one. */
static int collect_leaf(struct tc *tc, uint64_t leaf, uint64_t first, uint64_t *next)
{
	uint64_t words[TC_PAGE / 8];
	int rc = 1;

	for (uint64_t i = 0; i <= leaf_mask(tc) && rc > 0; i++) {
		if (i % SP_ARRAY_SIZE(words) == 0 && !sp_heap_get(tc->r, leaf + i * 8, words, sizeof(words)))
			return sp_tc_doubt(tc, "a leaf of the map cannot be read");
		if (first + i >= *next && words[i % SP_ARRAY_SIZE(words)])
			rc = add_span(tc, words[i % SP_ARRAY_SIZE(words)], first + i, next);
	}
	return rc;
}

int sp_tc_collect(struct tc *tc)
{
	uint64_t leaf, next = 0;
	unsigned nr_leaves = 0;
	int rc = 1;

	if (!tc->spans.elem_size)
		sp_vec_init(&tc->spans, sizeof(struct tc_span), MAX_SPANS);
	tc->spans.nr = 0;
	for (unsigned i = 0; i < TC_NR_CLASSES; i++)
		tc->class_spans[i] = tc->class_free[i] = 0;
	for (uint64_t i = 0; i < (uint64_t)1 << (root_bits(tc) - 1) && rc > 0; i++) {
		if (!sp_heap_get_u64(tc->r, tc->root + i * 8, &leaf))
			return sp_tc_doubt(tc, "the root of the map cannot be read");
		if (leaf && ++nr_leaves > MAX_LEAVES)
			return sp_tc_doubt(tc, "the map has more than %d leaves", MAX_LEAVES);
		if (leaf)
			rc = collect_leaf(tc, leaf, i << leaf_bits(tc), &next);
	}
	return rc > 0 && !tc->spans.nr ? sp_tc_doubt(tc, "the map has no spans") : rc;
}
