// SPDX-License-Identifier: Apache-2.0
/*
 * The heap of glibc's malloc (ptmalloc), from outside and without symbols.
 *
 * The picture: every libc has a main arena in its data. Arenas form a ring. The main arena's chunks stand in a row from
 * the first sbrk() to `top`; another arena's in heaps of 64 MiB at multiples of 64 MiB, linked backwards; large blocks
 * have mappings of their own. A chunk knows its size, and whether the one before it is in use. What is freed into a
 * thread's cache or a fastbin still looks used and is taken off afterwards.
 *
 * Invariants that are checked, each against the memory and none against a version:
 *  1. an arena is what glibc.h says;
 *  2. a chain of chunks ends exactly at its arena's top, or with the fence that closes a heap;
 *  3. behind a free chunk its size is repeated;
 *  4. mappings of single blocks agree in number and bytes with the allocator's own counters;
 *  5. an element of a cache is a chunk of the chain, has the size of its list, and the list has the length that is
 *     counted.
 * A region that fails 2 or 3 is given up: its bytes are roots then. What fails 5 stays in use.
 *
 * Cost: the chunks' headers are read once, in order: about the speed of copying the heap.
 */
#include "heap/glibc.h"

#include <errno.h>

static int walk_others(struct sp_glibc *g, const struct sp_glibc_main *m, uint64_t *arenas)
{
	unsigned nr = sp_glibc_ring(g, m, arenas, GLIBC_MAX_ARENAS);

	for (unsigned i = 0; i < nr; i++) {
		int rc = sp_glibc_walk_arena(g, m, arenas[i]);
		if (rc == 0)
			rc = sp_glibc_own_words(g, arenas[i]);
		if (rc < 0)
			return rc;
	}
	/* Only now: an arena's lists may hold chunks of any of its heaps. */
	sp_glibc_free_fastbins(g, m->bins);
	for (unsigned i = 0; i < nr; i++)
		sp_glibc_free_fastbins(g, arenas[i]);
	return 0;
}

static int walk_all(struct sp_glibc *g)
{
	sp_autofree uint64_t *arenas = calloc(GLIBC_MAX_ARENAS, sizeof(*arenas));
	int rc = arenas ? 0 : -ENOMEM;

	for (unsigned i = 0; i < g->nr_mains && rc == 0; i++) {
		rc = sp_glibc_walk_main(g, &g->mains[i]);
		if (rc == 0)
			rc = sp_glibc_own_words(g, g->mains[i].bins);
		if (rc == 0)
			rc = walk_others(g, &g->mains[i], arenas);
	}
	if (rc == 0 && g->nr_mains)
		rc = sp_glibc_walk_mmapped(g);
	if (rc == 0)
		sp_glibc_free_caches(g);
	return rc;
}

static int walk(const struct sp_heap_source *src, struct sp_heap_reader *r, struct sp_heap_sink *s)
{
	struct sp_glibc g = {.src = src, .reader = r, .sink = s};

	sp_vec_init(&g.caches, sizeof(struct sp_glibc_cache), GLIBC_MAX_CACHES);
	sp_glibc_find_mains(&g);
	int rc = walk_all(&g);
	sp_vec_done(&g.caches);
	return rc;
}

const struct sp_heap_model sp_heap_glibc = {.name = "glibc", .walk = walk};
