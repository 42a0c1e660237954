// SPDX-License-Identifier: Apache-2.0
/* glibc: where an arena's chains of chunks begin and end. */
#include "heap/glibc.h"

#include <errno.h>

enum {
	GUESS_REACH = 256 << 10,    /* bytes from the start of [heap] in which the first chunk is looked for */
	FOREIGN_REACH = 1 << 20,    /* bytes behind a fence in which the next chain is looked for */
	MAX_GUESS_CHUNKS = 1 << 22, /* steps for all guesses of one chain together */
	MAX_SEGMENTS = 64,          /* of one main heap */
	MAX_HEAPS = 1 << 16,        /* of one arena */
};

static bool get(const struct sp_glibc *g, uint64_t addr, uint64_t *ret)
{
	return sp_heap_get_u64(g->reader, addr, ret);
}

/* Where the chunk at top ends, if it is one. */
static bool top_end(const struct sp_glibc *g, uint64_t top, uint64_t *ret)
{
	const struct sp_mapping *m = sp_maps_find(g->src->maps, top);
	uint64_t size;

	if (!m || top % 16 || !get(g, top + 8, &size))
		return false;
	size &= ~(uint64_t)GLIBC_SIZE_FLAGS;
	if (size < GLIBC_HEADER || size > m->end - top)
		return false;
	*ret = top + size;
	return true;
}

/*
 * The first place from `from` on whose chain leads to top: the one with the most chunks, so the earliest of those that
 * join. Bounded by the steps of all attempts together.
 */
static bool guess_first(struct sp_glibc *g, uint64_t from, uint64_t reach, uint64_t top, uint64_t *ret)
{
	uint64_t left = MAX_GUESS_CHUNKS, best = 0, nr, stop;

	for (uint64_t at = (from + 15) & ~(uint64_t)15; at < top && at - from < reach && left; at += 16) {
		uint64_t size;
		if (!get(g, at + 8, &size) || !(size & GLIBC_PREV_INUSE) ||
		    (size & ~(uint64_t)GLIBC_SIZE_FLAGS) < GLIBC_MIN_CHUNK)
			continue;
		bool leads = sp_glibc_leads_to(g, at, top, top + GLIBC_HEADER, left, &nr, &stop);
		left -= nr < left ? nr : left;
		if (leads && nr > best) {
			best = nr;
			*ret = at;
		}
	}
	return best > 0;
}

/* The mapping that the main heap of brk() begins in. */
static const struct sp_mapping *find_brk(const struct sp_glibc *g)
{
	for (size_t i = 0; i < g->src->maps->nr; i++)
		if (!__builtin_strcmp(g->src->maps->list[i].path, "[heap]"))
			return &g->src->maps->list[i];
	return NULL;
}

static bool first_of_main(struct sp_glibc *g, const struct sp_glibc_main *m, uint64_t top, uint64_t *ret)
{
	const struct sp_mapping *brk = find_brk(g);

	if (m->par.is_found && m->par.sbrk_base) {
		*ret = (m->par.sbrk_base + 15) & ~(uint64_t)15;
		return true;
	}
	return brk && guess_first(g, brk->start, GUESS_REACH, top, ret);
}

/* One attempt at the chains from the first chunk to top: 1: told, 0: a chain does not verify. */
static int walk_segments(struct sp_glibc *g, uint64_t first, uint64_t top, uint64_t end)
{
	uint64_t stop, nr;

	for (unsigned i = 0; i < MAX_SEGMENTS; i++) {
		const struct sp_mapping *m = sp_maps_find(g->src->maps, first);
		int rc = m ? sp_glibc_chain(g, first, top, end, &stop) : 0;

		/* Somebody else's sbrk() ends a chain with a fence; the next one begins behind that memory. */
		if (rc || !m || !sp_glibc_leads_to(g, first, 0, m->end, UINT64_MAX, &nr, &stop))
			return rc;
		rc = sp_glibc_chain(g, first, 0, stop + 2 * GLIBC_HEADER, &stop);
		if (rc <= 0 || !guess_first(g, stop + 2 * GLIBC_HEADER, FOREIGN_REACH, top, &first))
			return rc < 0 ? rc : 0;
	}
	return 0;
}

static int try_main(struct sp_glibc *g, const struct sp_glibc_main *m, uint64_t *ret_first, uint64_t *ret_top)
{
	uint64_t end;

	*ret_first = *ret_top = 0;
	if (!get(g, m->bins - GLIBC_TOP, ret_top) || *ret_top == m->bins - GLIBC_TOP)
		return 1; /* nothing was ever allocated from it */
	if (!top_end(g, *ret_top, &end) || !first_of_main(g, m, *ret_top, ret_first))
		return 0;
	return walk_segments(g, *ret_first, *ret_top, end);
}

static unsigned nr_tries(const struct sp_glibc *g)
{
	return g->src->is_live ? GLIBC_TRIES : 1;
}

int sp_glibc_walk_main(struct sp_glibc *g, const struct sp_glibc_main *m)
{
	uint64_t first, top;
	int rc = 0;

	for (unsigned i = 0; i < nr_tries(g) && !rc; i++) {
		if (i)
			sp_heap_reader_forget(g->reader);
		rc = try_main(g, m, &first, &top);
	}
	if (!rc)
		sp_heap_give_up(g->sink, top > first && first ? top - first : 0,
				"the main heap at %#llx is not a row of chunks up to its top at %#llx",
				(unsigned long long)first, (unsigned long long)top);
	return rc < 0 ? rc : 0;
}

int sp_glibc_own_words(struct sp_glibc *g, uint64_t bins)
{
	const struct sp_heap_region r = {
	    .start = bins - GLIBC_TOP, .end = bins + (uint64_t)GLIBC_NR_BINS * 16, .granule = 8};
	int rc = sp_heap_add_region(g->sink, &r);

	if (rc == 0)
		rc = sp_heap_add_free(g->sink, r.start);
	return rc == -EEXIST || rc == -EINVAL ? 0 : rc;
}

/* ---- arenas of threads: heaps at multiples of their maximum size ---- */

/* struct heap_info, whose first three fields have stood since arenas exist. */
struct heap {
	uint64_t arena, prev, size;
};

static bool get_heap(const struct sp_glibc *g, uint64_t addr, uint64_t arena, struct heap *ret)
{
	return sp_heap_get(g->reader, addr, ret, sizeof(*ret)) && ret->arena == arena && ret->size >= 4096 &&
	       !(ret->size % 16);
}

/* 64 MiB; with huge pages (glibc.malloc.hugetlb) another power of two. */
static bool heap_max(const struct sp_glibc *g, uint64_t arena, uint64_t *ret)
{
	struct heap h;

	for (unsigned i = 0; i < 16; i++) {
		unsigned shift = i ? 20 + i : 26;
		uint64_t start = arena & ~(((uint64_t)1 << shift) - 1);

		if (arena - start > 256 || !get_heap(g, start, arena, &h) || h.prev)
			continue;
		*ret = (uint64_t)1 << shift;
		return true;
	}
	return false;
}

/* struct heap_info has grown: 0x20 bytes, 0x30 since 2.35. The chain decides. */
static int walk_heap(struct sp_glibc *g, uint64_t start, uint64_t end, uint64_t first, uint64_t top)
{
	uint64_t stop;
	int rc = 0;

	if (first)
		return sp_glibc_chain(g, first, top, end, &stop);
	for (first = start + 0x20; first <= start + 0x60 && !rc; first += 16)
		rc = sp_glibc_chain(g, first, top, end, &stop);
	return rc;
}

/* The newest heap has the top, which moves while the target runs. 1: told. */
static int walk_newest(struct sp_glibc *g, uint64_t bins, uint64_t start, uint64_t end, uint64_t first)
{
	uint64_t top;
	int rc = 0;

	for (unsigned i = 0; i < nr_tries(g) && !rc; i++) {
		if (i)
			sp_heap_reader_forget(g->reader);
		if (get(g, bins - GLIBC_TOP, &top) && top > start && top < end)
			rc = walk_heap(g, start, end, first, top);
	}
	return rc;
}

int sp_glibc_walk_arena(struct sp_glibc *g, const struct sp_glibc_main *m, uint64_t bins)
{
	uint64_t arena = bins - m->delta, top, max;
	struct heap h;

	if (!get(g, bins - GLIBC_TOP, &top) || !heap_max(g, arena, &max)) {
		sp_heap_give_up(g->sink, 0, "the arena at %#llx is in no heap", (unsigned long long)arena);
		return 0;
	}
	uint64_t start = top & ~(max - 1), oldest = arena & ~(max - 1);
	for (unsigned i = 0; i < MAX_HEAPS && get_heap(g, start, arena, &h); i++) {
		uint64_t first = start == oldest ? (bins + GLIBC_ARENA_END + 15) & ~(uint64_t)15 : 0;
		uint64_t end = start + h.size;
		int rc = 0;

		if (h.size <= max)
			rc = i ? walk_heap(g, start, end, first, 0) : walk_newest(g, bins, start, end, first);
		if (rc < 0)
			return rc;
		if (!rc)
			sp_heap_give_up(g->sink, h.size, "the heap at %#llx is not a row of chunks",
					(unsigned long long)start);
		if (start == oldest)
			return 0;
		start = h.prev;
	}
	sp_heap_give_up(g->sink, 0, "the arena at %#llx: its heaps do not lead back to it", (unsigned long long)arena);
	return 0;
}
