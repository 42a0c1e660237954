// SPDX-License-Identifier: Apache-2.0
/*
 * glibc: a row of chunks.
 *
 *   chunk      prev_size  the size of the chunk before, if that is free
 *   chunk + 8  size       a multiple of 16, with flags in its low bits; bit 0: the chunk before is in use
 *   chunk + 16 the block; its last 8 bytes are the next chunk's prev_size
 *
 * So the size tells where the next chunk is, and the next chunk tells whether this one is in use. A heap that was left
 * for a newer one ends with a fence: a chunk of 16 bytes, which no allocation can be, and another header behind it.
 */
#include "heap/glibc.h"

#include <errno.h>

struct chunk {
	uint64_t addr, prev_size, size, flags;
};

static const uint64_t FENCE = 0x10; /* the size of a fence's chunk */

static bool get_chunk(const struct sp_glibc *g, uint64_t addr, struct chunk *ret)
{
	uint64_t words[2];

	if (addr % 16 || !sp_heap_get(g->reader, addr, words, sizeof(words)))
		return false;
	*ret = (struct chunk){.addr = addr,
			      .prev_size = words[0],
			      .size = words[1] & ~(uint64_t)GLIBC_SIZE_FLAGS,
			      .flags = words[1] & GLIBC_SIZE_FLAGS};
	return true;
}

/* The chunk behind c, when both can be what they seem. False: they cannot. */
static bool get_next(const struct sp_glibc *g, const struct chunk *c, uint64_t end, struct chunk *ret)
{
	if (c->size < GLIBC_MIN_CHUNK || c->size % 16 || c->size > end - c->addr || (c->flags & GLIBC_IS_MMAPPED) ||
	    end - c->addr - c->size < GLIBC_HEADER || !get_chunk(g, c->addr + c->size, ret))
		return false;
	return (ret->flags & GLIBC_PREV_INUSE) || ret->prev_size == c->size;
}

static bool is_fence(const struct sp_glibc *g, const struct chunk *c, uint64_t end)
{
	struct chunk behind;

	if (c->size != FENCE || end - c->addr < 2 * FENCE || !get_chunk(g, c->addr + FENCE, &behind))
		return false;
	return (behind.size == FENCE || behind.size == 0) && (behind.flags & GLIBC_PREV_INUSE);
}

/* Ends of chains. */
enum end { END_NONE, END_REACHED, END_BROKEN };

static enum end end_of(const struct sp_glibc *g, const struct chunk *c, uint64_t top, uint64_t end)
{
	if (top && c->addr == top)
		return END_REACHED;
	if (is_fence(g, c, end))
		return top ? END_BROKEN : END_REACHED;
	return top && c->addr > top ? END_BROKEN : END_NONE;
}

static int tell(struct sp_glibc *g, const struct chunk *c, const struct chunk *next)
{
	uint64_t mem = c->addr + GLIBC_HEADER;

	if (!(next->flags & GLIBC_PREV_INUSE))
		return sp_heap_add_free(g->sink, mem);
	sp_glibc_note_cache(g, mem, c->size);
	return sp_heap_add_used(g->sink, mem);
}

static int tell_chain(struct sp_glibc *g, uint64_t first, uint64_t top, uint64_t end, uint64_t *ret_stop)
{
	struct chunk c, next;

	if (!get_chunk(g, first, &c))
		return 0;
	for (;; c = next) {
		enum end e = end_of(g, &c, top, end);
		if (e == END_BROKEN || (e == END_NONE && !get_next(g, &c, end, &next)))
			return 0;
		int rc = e == END_REACHED ? sp_heap_add_free(g->sink, c.addr + GLIBC_HEADER) : tell(g, &c, &next);
		if (rc < 0)
			return rc;
		if (e == END_REACHED) {
			*ret_stop = c.addr;
			return 1;
		}
	}
}

int sp_glibc_chain(struct sp_glibc *g, uint64_t first, uint64_t top, uint64_t end, uint64_t *ret_stop)
{
	struct sp_heap_region region = {
	    .start = first + GLIBC_HEADER, .end = end & ~(uint64_t)15, .granule = 16, .tail = 8};
	size_t nr_caches = g->caches.nr;

	if (first >= end || end - first < GLIBC_HEADER + GLIBC_MIN_CHUNK)
		return 0;
	int rc = sp_heap_add_region(g->sink, &region);
	if (rc < 0)
		return rc == -EEXIST || rc == -EINVAL ? 0 : rc;
	rc = tell_chain(g, first, top, end, ret_stop);
	if (rc <= 0) {
		sp_heap_drop_region(g->sink, region.start);
		g->caches.nr = nr_caches;
	}
	return rc;
}

bool sp_glibc_leads_to(struct sp_glibc *g, uint64_t first, uint64_t top, uint64_t end, uint64_t max_chunks,
		       uint64_t *ret_nr, uint64_t *ret_stop)
{
	struct chunk c, next;

	if (!get_chunk(g, first, &c))
		return false;
	for (uint64_t nr = 0; nr < max_chunks; nr++, c = next) {
		enum end e = end_of(g, &c, top, end);

		*ret_nr = nr;
		*ret_stop = c.addr;
		if (e == END_REACHED)
			return true;
		if (e == END_BROKEN || !get_next(g, &c, end, &next))
			return false;
	}
	return false;
}
