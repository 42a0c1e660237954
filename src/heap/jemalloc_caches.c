// SPDX-License-Identifier: Apache-2.0
/*
 * jemalloc's thread caches: blocks that were freed and wait in a thread for the next malloc.
 *
 * Each cache has a descriptor that its arena keeps in a ring: {next, previous, bins}. It is found by what it and the
 * cache say of each other, in a thread's TLS (next to the fs base), and from there its ring leads to the others:
 *
 *   5.3         cache {slow, bins[]}              slow {link, descriptor {next, previous, bins}, ...}
 *   5.1 to 5.2  cache {..., small bins[], ..., descriptor {next, previous, small bins, large bins}, ..., large bins[]}
 *
 *   bin 5.3         {head, requests, 16 bits of where head was at low water | when full | when empty}
 *   bin 5.1 to 5.2  {low water, number, requests, end}: the number of pointers before end
 *
 * Behind a descriptor (behind its large bins in 5.1 to 5.2) is the arena that it belongs to; a thread that ends sets it
 * to zero, and its cache may be found long after.
 *
 * Bin n holds blocks of size class n. The pointers are in a stack that jemalloc allocates for itself out of its heap:
 * that block is its own, and neither in use by the program nor a root (used places of it keep stale pointers).
 * Every pointer must be the start of a block of the bin's class; otherwise nothing of this is believed.
 */
#include "heap/jemalloc.h"

#include <errno.h>

enum {
	TLS_MAX = 256 << 10, /* bytes below a thread's fs base that are looked at */
	MAX_CACHES = 1 << 17,
	MAX_BINS = 128,
	BIN_BYTES = 24,
	CHUNK = 4096,
	SLOW_HEAD_WORDS = 6, /* links, descriptor, arena */
	SLOW_WORDS = 64, /* with the counters of up to 39 small bins (several kinds from 5.3.1 on) and two pointers */
};

#define SCAN_MAX ((uint64_t)1 << 30) /* bytes that are looked at where fs bases are not known */

struct caches {
	struct je *je;
	struct sp_u64map seen; /* descriptors */
	struct sp_vec list;    /* uint64_t: the same, in order */
};

static unsigned nr_small(const struct je *je)
{
	return je->lg_quantum == 4 ? 36 : JE_NR_SMALL_MAX;
}

/* 5.3: `at` is where a cache would begin: its first word leads to its slow part, which leads back. */
static bool is_cache_apart(struct je *je, uint64_t at, uint64_t word, uint64_t *ret_descriptor)
{
	uint64_t bins;

	if (word % 8 || !sp_heap_get_u64(je->r, word + 32, &bins) || bins != at + 8)
		return false;
	*ret_descriptor = word + 16;
	return true;
}

/* 5.1 to 5.2: `at` is where a descriptor would have its pointer to the small bins. */
static bool is_cache_whole(struct je *je, uint64_t at, uint64_t word, uint64_t *ret_descriptor)
{
	uint64_t bytes = (uint64_t)nr_small(je) * BIN_BYTES, large;

	if (word % 8 || word > at || at - word < bytes || at - word > bytes + 128 ||
	    !sp_heap_get_u64(je->r, at + 8, &large) || large <= at || large > at + 256 || large % 8)
		return false;
	*ret_descriptor = at - 16;
	return true;
}

/* 5.3: the slow part ends with a pointer to the cache; stale words of a stack do not look like this. */
static bool slow_knows(struct je *je, uint64_t slow, uint64_t cache)
{
	uint64_t words[SLOW_WORDS];

	if (!sp_heap_get(je->r, slow, words, sizeof(words)))
		return false;
	for (unsigned i = SLOW_HEAD_WORDS; i < SLOW_WORDS; i++)
		if (words[i] == cache)
			return true;
	return false;
}

static bool has_arena(struct je *je, uint64_t at)
{
	uint64_t arena;

	return sp_heap_get_u64(je->r, at, &arena) && arena && sp_maps_find(je->src->maps, arena);
}

/* Where a descriptor's bins are; false: it is none, or that of a thread that has ended. */
static bool bins_of(struct je *je, uint64_t descriptor, uint64_t *ret_small, uint64_t *ret_large)
{
	uint64_t small, back, again;

	if (!sp_heap_get_u64(je->r, descriptor + 16, &small))
		return false;
	*ret_small = small;
	*ret_large = small + (uint64_t)nr_small(je) * BIN_BYTES;
	if (je->layout->cache_apart)
		return has_arena(je, descriptor + 24) && sp_heap_get_u64(je->r, small - 8, &back) &&
		       back == descriptor - 16 && slow_knows(je, descriptor - 16, small - 8);
	return has_arena(je, descriptor + 32) && is_cache_whole(je, descriptor + 16, small, &again) &&
	       sp_heap_get_u64(je->r, descriptor + 24, ret_large);
}

static int add(struct caches *c, uint64_t descriptor)
{
	if (sp_u64map_find(&c->seen, descriptor))
		return 0;
	int rc = sp_u64map_set(&c->seen, descriptor, 1);
	return rc < 0 ? rc : sp_vec_push(&c->list, &descriptor);
}

/* The descriptors that share a ring with this one. 1, 0 (it does not close) or negative. */
static int add_ring(struct caches *c, uint64_t first)
{
	struct je *je = c->je;
	uint64_t at = first, next, previous, small, large;

	for (unsigned i = 0; i < MAX_CACHES; i++) {
		if (!bins_of(je, at, &small, &large) || !sp_heap_get_u64(je->r, at, &next) ||
		    !sp_heap_get_u64(je->r, next + 8, &previous) || previous != at)
			break;
		int rc = add(c, at);
		if (rc < 0)
			return rc;
		if (next == first)
			return 1;
		at = next;
	}
	return sp_je_doubt(je, "the ring of thread caches at 0x%llx does not close", (unsigned long long)first);
}

static int scan(struct caches *c, uint64_t start, uint64_t end)
{
	struct je *je = c->je;
	uint64_t words[CHUNK / 8], descriptor, small, large;
	bool (*is_cache)(struct je *, uint64_t, uint64_t, uint64_t *) =
	    je->layout->cache_apart ? is_cache_apart : is_cache_whole;

	for (uint64_t at = start; at < end; at += CHUNK) {
		if (!sp_heap_get(je->r, at, words, sizeof(words)))
			continue;
		for (uint64_t i = 0; i < CHUNK / 8; i++) {
			if (!words[i] || !is_cache(je, at + i * 8, words[i], &descriptor) ||
			    !bins_of(je, descriptor, &small, &large) || sp_u64map_find(&c->seen, descriptor))
				continue;
			int rc = add_ring(c, descriptor);
			if (rc <= 0)
				return rc;
		}
	}
	return 1;
}

/* Without the threads' fs bases: wherever the program may write, outside of the heap. */
static int scan_everywhere(struct caches *c)
{
	uint64_t budget = SCAN_MAX, start, end;
	int rc = 1;

	for (size_t i = 0; i < c->je->src->maps->nr && rc > 0; i++) {
		const struct sp_mapping *m = &c->je->src->maps->list[i];

		if (!(m->prot & SP_PROT_W) || m->prot & SP_PROT_SHARED || m->end - m->start > budget ||
		    sp_je_block_of(c->je, m->start, &start, &end))
			continue;
		budget -= m->end - m->start;
		rc = scan(c, m->start, m->end);
	}
	return rc;
}

static int find_caches(struct caches *c)
{
	const struct sp_heap_source *src = c->je->src;
	bool is_fs_missing = !src->nr_threads;
	int rc = 1;

	for (size_t i = 0; i < src->nr_threads && rc > 0; i++) {
		uint64_t fs = src->threads[i].fs & ~(uint64_t)7;
		const struct sp_mapping *m = sp_maps_find(src->maps, fs);

		if (!m) {
			is_fs_missing = true;
			continue;
		}
		uint64_t start = fs - m->start > TLS_MAX ? fs - TLS_MAX : m->start;
		rc = scan(c, start & ~(uint64_t)(CHUNK - 1), fs);
	}
	return rc > 0 && is_fs_missing ? scan_everywhere(c) : rc;
}

/* The pointers of one bin: [*ret_first, + *ret_nr words). False: this is no bin with a place in [start, end). */
static bool bin_items(struct je *je, uint64_t bin, uint64_t start, uint64_t end, uint64_t *ret_first, uint64_t *ret_nr)
{
	unsigned char raw[BIN_BYTES];
	uint64_t words[3];
	uint32_t number;

	if (!sp_heap_get(je->r, bin, words, sizeof(words)))
		return false;
	__builtin_memcpy(raw, words, sizeof(raw));
	if (je->layout->cache_apart) {
		*ret_first = words[0];
		*ret_nr = (uint16_t)((words[2] >> 32) - words[0]) / 8;
	} else {
		__builtin_memcpy(&number, raw + 4, sizeof(number));
		*ret_nr = number;
		*ret_first = words[2] - *ret_nr * 8;
	}
	return *ret_nr <= UINT16_MAX && *ret_first >= start && *ret_first <= end && *ret_nr * 8 <= end - *ret_first;
}

/* 1, 0: one of the pointers is no block of this class. */
static int free_items(struct je *je, uint64_t first, uint64_t nr, uint64_t bytes)
{
	uint64_t addr, size;
	bool is_used;

	for (uint64_t i = 0; i < nr; i++) {
		if (!sp_heap_get_u64(je->r, first + i * 8, &addr) || !sp_heap_told(je->sink, addr, &is_used, &size) ||
		    size != bytes)
			return sp_je_doubt(je, "a thread's cache of %llu-byte blocks has something else",
					   (unsigned long long)bytes);
		int rc = is_used ? sp_heap_add_free(je->sink, addr) : 0;
		if (rc < 0)
			return rc;
	}
	return 1;
}

/*
 * Of a thread that has ended: its TLS may be there still, but the stack of pointers was given back, as a block or with
 * the pages around it.
 */
static bool is_dead(const struct je *je, uint64_t stack)
{
	bool is_used;
	uint64_t size, start, end;

	if (sp_je_block_of(je, stack, &start, &end))
		return sp_heap_told(je->sink, start, &is_used, &size) && !is_used;
	return sp_je_is_extent(je, stack);
}

static int free_cache(struct je *je, uint64_t descriptor)
{
	uint64_t small, large, start, end, first, nr, words[3];
	int rc = 1;

	if (!bins_of(je, descriptor, &small, &large) || !sp_heap_get(je->r, small, words, sizeof(words)))
		return sp_je_doubt(je, "a thread's cache changed");
	uint64_t stack = je->layout->cache_apart ? words[0] : words[2] - 8;
	if (is_dead(je, stack))
		return 1;
	if (!sp_je_block_of(je, stack, &start, &end))
		return sp_je_doubt(je, "a thread's cache has no place for its pointers");
	for (unsigned i = 0; i < MAX_BINS && rc > 0; i++) {
		bool is_large = i >= nr_small(je);
		uint64_t bin = is_large ? large + (i - nr_small(je)) * BIN_BYTES : small + i * BIN_BYTES;

		if (!bin_items(je, bin, start, end, &first, &nr)) {
			if (!is_large)
				return sp_je_doubt(je, "a thread's cache has a bin that cannot be");
			break;
		}
		rc = free_items(je, first, nr, sp_je_class_bytes(je->lg_quantum, i));
	}
	if (rc <= 0)
		return rc;
	rc = sp_heap_add_free(je->sink, start);
	return rc < 0 ? rc : 1;
}

int sp_je_free_cached(struct je *je)
{
	struct caches c = {.je = je};

	sp_u64map_init(&c.seen, MAX_CACHES);
	sp_vec_init(&c.list, sizeof(uint64_t), MAX_CACHES);
	int rc = find_caches(&c);
	if (rc > 0 && !c.list.nr)
		rc = sp_je_doubt(je, "no thread's cache of free blocks was found");
	for (size_t i = 0; i < c.list.nr && rc > 0; i++)
		rc = free_cache(je, *sp_vec_at(&c.list, uint64_t, i));
	sp_u64map_done(&c.seen);
	sp_vec_done(&c.list);
	return rc;
}
