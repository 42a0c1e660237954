// SPDX-License-Identifier: Apache-2.0
/*
 * The model of last resort: blocks that an engine recorded, in memory that no allocator's model knows. What lies
 * between them may be anything, other blocks too, so it serves as roots.
 */
#include "heap/sink.h"

#include <errno.h>

enum { GRANULE = 8 };

/* The memory around addr that is in no region and in one mapping. False: a model knows it, or it is not mapped. */
static bool span_of(const struct sp_heap_sink *s, uint64_t addr, uint64_t *ret_start, uint64_t *ret_end)
{
	const struct sp_index *x = &s->heap->index;
	const struct sp_mapping *m = sp_maps_find(s->heap->src->maps, addr);
	size_t i = sp_index_from(x, addr);

	if (!m || (i < x->regions.nr && sp_index_at(x, i)->start <= addr))
		return false;
	*ret_start = m->start;
	*ret_end = m->end;
	if (i && sp_index_at(x, i - 1)->end > m->start)
		*ret_start = sp_index_at(x, i - 1)->end;
	if (i < x->regions.nr && sp_index_at(x, i)->start < m->end)
		*ret_end = sp_index_at(x, i)->start;
	*ret_start = (*ret_start + GRANULE - 1) & ~(uint64_t)(GRANULE - 1);
	*ret_end &= ~(uint64_t)(GRANULE - 1);
	return *ret_start <= addr && addr < *ret_end;
}

static bool is_good(const struct sp_heap_recorded *b, uint64_t end)
{
	return b->addr % GRANULE == 0 && b->size && b->addr < end && b->size <= end - b->addr;
}

/* Tells the blocks from number i on that lie before `end`; returns the number behind them, or -errno. */
static ssize_t tell_span(struct sp_heap_sink *s, size_t i, uint64_t start, uint64_t end)
{
	const struct sp_heap_source *src = s->heap->src;
	struct sp_heap_region r = {.start = start, .end = end, .granule = GRANULE, .gaps_are_roots = true};
	int rc = sp_heap_add_region(s, &r);

	if (rc == 0)
		rc = sp_heap_add_free(s, start);
	for (; i < src->nr_recorded && src->recorded[i].addr < end && rc == 0; i++) {
		const struct sp_heap_recorded *b = &src->recorded[i];
		uint64_t behind = (b->addr + b->size + GRANULE - 1) & ~(uint64_t)(GRANULE - 1);

		if (!is_good(b, end))
			continue;
		rc = sp_heap_add_used(s, b->addr);
		if (rc == 0 && behind < end)
			rc = sp_heap_add_free(s, behind);
	}
	return rc < 0 ? rc : (ssize_t)i;
}

static int walk(const struct sp_heap_source *src, struct sp_heap_reader *r, struct sp_heap_sink *s)
{
	uint64_t start, end;

	(void)r;
	for (size_t i = 0; i < src->nr_recorded;) {
		if (!span_of(s, src->recorded[i].addr, &start, &end)) {
			i++;
			continue;
		}
		ssize_t next = tell_span(s, i, start, end);
		if (next < 0)
			return (int)next;
		i = (size_t)next;
	}
	return 0;
}

const struct sp_heap_model sp_heap_recorded_blocks = {.name = "recorded", .walk = walk};
