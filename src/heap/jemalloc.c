// SPDX-License-Identifier: Apache-2.0
/*
 * jemalloc 5: finds the root of its radix tree, has the extents verified (jemalloc_extents.c), tells them, and frees
 * what threads cache (jemalloc_caches.c).
 *
 * The root is an array of 2 MiB that is nearly all zeros in the data of a module: of libjemalloc, or of the program
 * when that has it built in. A word of it that leads to a leaf, whose first element leads to an extent, whose address
 * says which word of which array led there: that is a root, without any symbol.
 *
 * jemalloc's own memory (structures of extents, leaves, arenas) has the address of each large block and each slab, so
 * it must not be a root: it is told as a region without blocks. The one page with the arena's hooks stays a root.
 *
 * Not modelled: other page sizes than 4 KiB, address spaces of more than 48 bits (trees of three levels),
 * opt.slab_sizes, programs with tcache:false (without a cache there is no telling whether one was missed): given up,
 * with the reason.
 */
#include "heap/jemalloc.h"

#include <errno.h>

#define BASE_ALIGN ((uint64_t)2 << 20) /* base.c: blocks are whole huge pages */

enum {
	TRIES = 3, /* a heap that changes while it is read */
	MAX_BASES = 1 << 16,
	MAX_BASE_STEPS = 4096, /* huge pages from an address back to its block's head */
	BASE_HEAD = 144,
	MAX_SEARCH_PAGES = 1 << 18,
};

/* A block of jemalloc's own memory: {size, next, extent {bits, address of what is left, size of that}}. */
static bool is_base(struct je *je, uint64_t at, uint64_t addr, struct je_base *ret)
{
	uint64_t head[5];

	if (!sp_heap_get(je->r, at, head, sizeof(head)) || !head[0] || head[0] % BASE_ALIGN ||
	    head[0] > UINT64_MAX / 4 || addr >= at + head[0] || head[3] < at + BASE_HEAD || head[3] > at + head[0] ||
	    head[4] != at + head[0] - head[3])
		return false;
	*ret = (struct je_base){.start = at, .end = at + head[0], .is_oldest = !head[1]};
	return true;
}

static bool contains(const struct je_base *b, uint64_t addr)
{
	return b->start <= addr && addr < b->end;
}

int sp_je_note_base(struct je *je, uint64_t addr)
{
	struct je_base b;

	if (!je->bases.elem_size)
		sp_vec_init(&je->bases, sizeof(b), MAX_BASES);
	if (je->last_base < je->bases.nr && contains(sp_vec_at(&je->bases, struct je_base, je->last_base), addr))
		return 1;
	for (je->last_base = 0; je->last_base < je->bases.nr; je->last_base++)
		if (contains(sp_vec_at(&je->bases, struct je_base, je->last_base), addr))
			return 1;
	uint64_t at = addr & ~(BASE_ALIGN - 1);
	for (unsigned i = 0; i < MAX_BASE_STEPS && at && sp_maps_find(je->src->maps, at); i++, at -= BASE_ALIGN) {
		if (!is_base(je, at, addr, &b))
			continue;
		int rc = sp_vec_push(&je->bases, &b);
		return rc < 0 ? rc : 1;
	}
	return sp_je_doubt(je, "0x%llx is not in a block of its own memory", (unsigned long long)addr);
}

static int tell_slab(struct je *je, const struct je_extent *e)
{
	uint64_t bitmap[JE_MAX_SLAB_REGS / 64], bytes = sp_je_class_bytes(je->lg_quantum, e->size_class);
	uint64_t nr = (uint64_t)e->nr_pages * JE_PAGE / bytes;
	int rc = 1;

	if (!sp_je_slab_bitmap(je, e, bitmap))
		return sp_je_doubt(je, "the slab at 0x%llx changed", (unsigned long long)e->base);
	for (uint64_t i = 0; i < nr && rc >= 0; i++)
		rc = (bitmap[i / 64] >> (i % 64) & 1 ? sp_heap_add_free : sp_heap_add_used)(je->sink,
											    e->base + i * bytes);
	return rc < 0 ? rc : 1;
}

static int tell_large(struct je *je, const struct je_extent *e)
{
	uint64_t start, bytes, end = e->base + (uint64_t)e->nr_pages * JE_PAGE;

	if (!sp_je_large_block(je, e, &start, &bytes))
		return sp_je_doubt(je, "the large block at 0x%llx changed", (unsigned long long)e->base);
	int rc = start != e->base ? sp_heap_add_free(je->sink, e->base) : 0;
	if (rc == 0)
		rc = sp_heap_add_used(je->sink, start);
	if (rc == 0 && start + bytes < end)
		rc = sp_heap_add_free(je->sink, start + bytes);
	return rc < 0 ? rc : 1;
}

static int tell_extent(struct je *je, const struct je_extent *e)
{
	if (e->kind == JE_SLAB)
		return tell_slab(je, e);
	if (e->kind == JE_LARGE)
		return tell_large(je, e);
	int rc = sp_heap_add_free(je->sink, e->base);
	return rc < 0 ? rc : 1;
}

static unsigned granule_of(const struct je *je, const struct je_extent *e)
{
	return e->kind == JE_SLAB && sp_je_class_bytes(je->lg_quantum, e->size_class) % 16 ? 8 : 16;
}

/* The run of adjacent extents from `i` on that can be one region; *ret_next: the first that is not in it. */
static struct sp_heap_region run_of(const struct je *je, size_t i, size_t *ret_next)
{
	const struct je_extent *e = sp_vec_at(&je->extents, struct je_extent, i);
	struct sp_heap_region r = {.start = e->base, .end = e->base, .granule = granule_of(je, e)};

	for (; i < je->extents.nr && e->base == r.end && granule_of(je, e) == r.granule; i++, e++)
		r.end += (uint64_t)e->nr_pages * JE_PAGE;
	*ret_next = i;
	return r;
}

static int tell_bases(struct je *je)
{
	int rc = 0;

	for (size_t i = 0; i < je->bases.nr && rc == 0; i++) {
		const struct je_base *b = sp_vec_at(&je->bases, struct je_base, i);
		struct sp_heap_region r = {
		    .start = b->start + (b->is_oldest ? JE_PAGE : 0), .end = b->end, .granule = 16};

		rc = sp_heap_add_region(je->sink, &r);
		if (rc == 0)
			rc = sp_heap_add_free(je->sink, r.start);
	}
	return rc < 0 ? rc : 1;
}

static int tell(struct je *je)
{
	int rc = tell_bases(je);

	for (size_t i = 0, next; i < je->extents.nr && rc > 0; i = next) {
		struct sp_heap_region r = run_of(je, i, &next);

		rc = sp_heap_add_region(je->sink, &r);
		if (rc < 0)
			return rc;
		for (rc = 1; i < next && rc > 0; i++)
			rc = tell_extent(je, sp_vec_at(&je->extents, struct je_extent, i));
	}
	return rc > 0 ? sp_je_free_cached(je) : rc;
}

/* Takes back what was told. Returns its bytes. */
static uint64_t untell(struct je *je)
{
	uint64_t bytes = 0;

	for (size_t i = 0, next; i < je->extents.nr; i = next) {
		struct sp_heap_region r = run_of(je, i, &next);
		sp_heap_drop_region(je->sink, r.start);
		bytes += r.end - r.start;
	}
	for (size_t i = 0; i < je->bases.nr; i++) {
		const struct je_base *b = sp_vec_at(&je->bases, struct je_base, i);
		sp_heap_drop_region(je->sink, b->start + (b->is_oldest ? JE_PAGE : 0));
	}
	return bytes;
}

static int walk_root(struct je *je)
{
	uint64_t bytes = 0;
	int rc = 0;

	for (unsigned i = 0; i < (je->src->is_live ? TRIES : 1) && rc == 0; i++) {
		if (i)
			sp_heap_reader_forget(je->r);
		je->bases.nr = 0;
		rc = sp_je_collect(je);
		if (rc > 0)
			rc = tell(je);
		if (rc == -EEXIST || rc == -EINVAL)
			rc = sp_je_doubt(je, "its extents cannot all be memory of its own");
		if (rc == 0)
			bytes = untell(je);
	}
	if (rc == 0)
		sp_heap_give_up(je->sink, bytes, "jemalloc's heap does not verify: %s", je->why);
	return rc;
}

/* The first root in there; false: none. */
static bool find_root(struct je *je, uint64_t start, uint64_t end)
{
	uint64_t words[JE_PAGE / 8];

	for (uint64_t at = start; at < end && je->pages_left; at += JE_PAGE, je->pages_left--) {
		if (!sp_heap_get(je->r, at, words, sizeof(words)))
			continue;
		for (uint64_t i = 0; i < SP_ARRAY_SIZE(words); i++)
			if (words[i] && sp_je_is_root(je, at + i * 8, words[i]) && je->root >= start &&
			    je->root + JE_NODE_BYTES <= end)
				return true;
	}
	return false;
}

static int walk(const struct sp_heap_source *src, struct sp_heap_reader *r, struct sp_heap_sink *s)
{
	struct je je = {.src = src, .r = r, .sink = s, .pages_left = MAX_SEARCH_PAGES};
	struct sp_heap_data data = {};
	int rc = 0;

	while (rc >= 0 && sp_heap_next_data(src->maps, &data))
		if (data.end - data.start >= JE_NODE_BYTES && find_root(&je, data.start, data.end))
			rc = walk_root(&je);
	sp_vec_done(&je.extents);
	sp_vec_done(&je.bases);
	return rc < 0 ? rc : 0;
}

const struct sp_heap_model sp_heap_jemalloc = {.name = "jemalloc", .walk = walk};
