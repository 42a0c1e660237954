// SPDX-License-Identifier: Apache-2.0
/*
 * glibc: what was freed and still looks used: threads' caches (tcache) and fastbins.
 *
 * A thread's cache is a block of its arena: a row of small numbers, then a row of list heads, one for each size. It is
 * recognised by its size and by agreeing with itself: a list is as long as its number says, and each element is a chunk
 * of the list's size. From 2.42 on the number counts what still fits, from a constant downwards.
 *
 * Since 2.32 a link is stored xor its own address >> 12 (safe-linking). Which it is, each link tells: of the two
 * readings one is a chunk (or the end), or none is.
 */
#include "heap/glibc.h"

#include <string.h>

enum {
	MAX_BINS = 76,
	NR_SMALL = 64, /* bins of one size each */
};

/* Rows of struct tcache_perthread_struct over the releases. */
static const struct shape {
	unsigned nr_bins, count_bytes;
	bool counts_down;
} shapes[] = {
    {64, 1, false}, /* 2.26 */
    {64, 2, false}, /* 2.30 */
    {76, 2, true},  /* 2.42 */
};

static uint64_t shape_bytes(const struct shape *s)
{
	return (uint64_t)s->nr_bins * (s->count_bytes + 8);
}

/* The chunk of a block of so many bytes. */
static uint64_t chunk_of(uint64_t bytes)
{
	return (bytes + 8 + 15) & ~(uint64_t)15;
}

/* What is left of a larger free chunk stays with it when it is too small to be one. */
static bool is_chunk_of(uint64_t bytes, uint64_t chunk_size)
{
	return chunk_size == chunk_of(bytes) || chunk_size == chunk_of(bytes) + 16;
}

/* The size of the chunks in a list. */
static uint64_t list_chunk(unsigned bin)
{
	return GLIBC_MIN_CHUNK + (uint64_t)bin * 16;
}

struct cache {
	uint64_t counts[MAX_BINS], heads[MAX_BINS];
	uint64_t full; /* what an empty list's number is */
};

static bool load(struct sp_glibc *g, uint64_t mem, const struct shape *s, struct cache *ret)
{
	unsigned char raw[MAX_BINS * 2];

	*ret = (struct cache){};
	if (!sp_heap_get(g->reader, mem, raw, (size_t)s->nr_bins * s->count_bytes) ||
	    !sp_heap_get(g->reader, mem + (uint64_t)s->nr_bins * s->count_bytes, ret->heads, s->nr_bins * 8ul))
		return false;
	for (unsigned i = 0; i < s->nr_bins; i++) {
		memcpy(&ret->counts[i], raw + (size_t)i * s->count_bytes, s->count_bytes);
		if (s->counts_down && ret->counts[i] > ret->full)
			ret->full = ret->counts[i];
	}
	return true;
}

/* Numbers and heads agree, and there is a list at all. */
static bool is_consistent(const struct shape *s, struct cache *c)
{
	unsigned nr_lists = 0;

	for (unsigned i = 0; i < s->nr_bins; i++) {
		if (s->counts_down)
			c->counts[i] = c->full - c->counts[i];
		/* A list that fills all there is room for makes `full` too small by itself; others show it. */
		if (c->heads[i] % 16 || !c->heads[i] != !c->counts[i])
			return false;
		nr_lists += c->heads[i] != 0;
	}
	return nr_lists > 0;
}

void sp_glibc_note_cache(struct sp_glibc *g, uint64_t mem, uint64_t chunk_size)
{
	struct cache c;

	for (unsigned i = 0; i < SP_ARRAY_SIZE(shapes); i++) {
		struct sp_glibc_cache found = {.mem = mem, .shape = i};

		if (!is_chunk_of(shape_bytes(&shapes[i]), chunk_size) || !load(g, mem, &shapes[i], &c) ||
		    !is_consistent(&shapes[i], &c))
			continue;
		if (sp_vec_push(&g->caches, &found) < 0)
			return; /* its blocks then look used: they are reached from it */
	}
}

/* A chunk in use, as the chain told, of this size (0: any); loops end because what was taken off is no longer used. */
static bool is_used_chunk(const struct sp_glibc *g, uint64_t mem, uint64_t chunk_size)
{
	uint64_t size;
	bool used;

	return mem % 16 == 0 && sp_heap_told(g->sink, mem, &used, &size) && used &&
	       (!chunk_size || size + 8 == chunk_size);
}

/* What the link at `at` leads to: a block, or 0 at the end. `shift`: links lead to chunks, not to blocks. */
static bool follow(struct sp_glibc *g, uint64_t at, uint64_t shift, uint64_t chunk_size, uint64_t *ret)
{
	uint64_t raw;

	if (!sp_heap_get_u64(g->reader, at, &raw))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t link = i ? raw ^ at >> 12 : raw;

		if (!link || is_used_chunk(g, link + shift, chunk_size)) {
			*ret = link ? link + shift : 0;
			return true;
		}
	}
	return false;
}

/* A cache's list: it must have the length that is counted, else it is left alone. Numbers have 16 bits. */
static void free_counted(struct sp_glibc *g, uint64_t head, uint64_t chunk_size, uint64_t count)
{
	uint64_t at = head, next, nr = 0;

	if (!is_used_chunk(g, at, chunk_size))
		return;
	for (; at && nr <= count; nr++) {
		if (!follow(g, at, 0, chunk_size, &next))
			return;
		at = next;
	}
	if (at || (nr != count && !g->src->is_live))
		return;
	for (at = head; nr--; at = next) {
		if (!follow(g, at, 0, chunk_size, &next) || sp_heap_add_free(g->sink, at) < 0)
			return;
	}
}

/* A fastbin's list, as far as it verifies. What was taken off is no longer in use, so a loop ends. */
static void free_uncounted(struct sp_glibc *g, uint64_t head, uint64_t chunk_size)
{
	uint64_t next;

	if (!is_used_chunk(g, head, chunk_size))
		return;
	for (uint64_t at = head; at; at = next) {
		if (!follow(g, at, GLIBC_HEADER, chunk_size, &next))
			next = 0;
		if (sp_heap_add_free(g->sink, at) < 0)
			return;
	}
}

void sp_glibc_free_caches(struct sp_glibc *g)
{
	struct cache c;

	for (size_t i = 0; i < g->caches.nr; i++) {
		const struct sp_glibc_cache *found = sp_vec_at(&g->caches, struct sp_glibc_cache, i);
		const struct shape *s = &shapes[found->shape];

		if (!load(g, found->mem, s, &c) || !is_consistent(s, &c))
			continue;
		for (unsigned bin = 0; bin < s->nr_bins; bin++)
			if (c.heads[bin])
				free_counted(g, c.heads[bin], bin < NR_SMALL ? list_chunk(bin) : 0, c.counts[bin]);
	}
}

void sp_glibc_free_fastbins(struct sp_glibc *g, uint64_t bins)
{
	uint64_t heads[GLIBC_NR_FASTBINS];

	if (!sp_heap_get(g->reader, bins - GLIBC_FASTBINS, heads, sizeof(heads)))
		return;
	for (unsigned i = 0; i < GLIBC_NR_FASTBINS; i++) {
		if (heads[i])
			free_uncounted(g, heads[i] + GLIBC_HEADER, list_chunk(i));
	}
}
