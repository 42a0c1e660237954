// SPDX-License-Identifier: Apache-2.0
/*
 * Small heaps made by hand, one for each allocator model: what its allocator's structures look like in memory. Right as
 * they are; tests and the fuzz target also spoil them.
 */
#ifndef SEEP_TESTS_HEAP_IMAGES_H
#define SEEP_TESTS_HEAP_IMAGES_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap.h"

enum { IMAGE_PAGE = 4096, IMAGE_MAX_MAPPINGS = 6, IMAGE_MAX_BLOCKS = 64 };

struct image_mapping {
	uint64_t start, size;
	unsigned char *bytes;
};

struct image {
	struct image_mapping mappings[IMAGE_MAX_MAPPINGS];
	unsigned nr_mappings;
	char text[IMAGE_MAX_MAPPINGS * 100];
	struct sp_maps maps;
	struct sp_heap_thread thread;
	struct sp_heap_source src;
	/* what the model is to find */
	const char *model;
	uint64_t used[IMAGE_MAX_BLOCKS], freed[IMAGE_MAX_BLOCKS];
	unsigned nr_used, nr_freed;
};

static ssize_t image_read(void *arg, uint64_t addr, void *buf, size_t len)
{
	const struct image *im = arg;

	for (unsigned i = 0; i < im->nr_mappings; i++) {
		const struct image_mapping *m = &im->mappings[i];
		if (addr < m->start || addr >= m->start + m->size)
			continue;
		if (len > m->start + m->size - addr)
			len = (size_t)(m->start + m->size - addr);
		memcpy(buf, m->bytes + (addr - m->start), len);
		return (ssize_t)len;
	}
	return -EIO;
}

/* Mappings are made in the order of their addresses. */
static void image_map(struct image *im, uint64_t start, uint64_t size, const char *path)
{
	size_t used = strlen(im->text);

	im->mappings[im->nr_mappings++] =
	    (struct image_mapping){.start = start, .size = size, .bytes = calloc(1, (size_t)size)};
	snprintf(im->text + used, sizeof(im->text) - used, "%llx-%llx rw-p 00000000 %s %s\n", (unsigned long long)start,
		 (unsigned long long)(start + size), *path ? "08:01 42" : "00:00 0", path);
}

static void *image_at(struct image *im, uint64_t addr)
{
	for (unsigned i = 0; i < im->nr_mappings; i++)
		if (addr >= im->mappings[i].start && addr < im->mappings[i].start + im->mappings[i].size)
			return im->mappings[i].bytes + (addr - im->mappings[i].start);
	abort(); /* the picture is wrong */
}

static void image_set(struct image *im, uint64_t addr, uint64_t value)
{
	memcpy(image_at(im, addr), &value, sizeof(value));
}

static void image_used(struct image *im, uint64_t addr)
{
	im->used[im->nr_used++] = addr;
}

static void image_freed(struct image *im, uint64_t addr)
{
	im->freed[im->nr_freed++] = addr;
}

/* All mappings are made. */
static void image_done(struct image *im, const char *model)
{
	if (sp_maps_parse(im->text, strlen(im->text), &im->maps) < 0)
		abort();
	im->model = model;
	im->src = (struct sp_heap_source){
	    .read = image_read, .arg = im, .maps = &im->maps, .threads = &im->thread, .nr_threads = 1};
}

static void image_free(struct image *im)
{
	sp_maps_done(&im->maps);
	for (unsigned i = 0; i < im->nr_mappings; i++)
		free(im->mappings[i].bytes);
	free(im);
}

/* ---- jemalloc ---- */

#define JE_DATA UINT64_C(0x555555000000)
#define JE_TLS  UINT64_C(0x7ffd00000000)
#define JE_BASE UINT64_C(0x7ffe00000000)
#define JE_HEAP UINT64_C(0x7fff00000000)

enum {
	JE_LEAF = 0x1000,          /* in JE_BASE */
	JE_EDATA = 0x280000,       /* the same */
	JE_CLASS_48 = 3,           /* its slabs have 3 pages */
	JE_CLASS_16K = 36,         /* large */
	JE_FS = 0x10000,           /* in JE_TLS */
	JE_CACHE = JE_FS - 0x1000, /* the same: 5.3 */
	JE_SLOW = JE_FS - 0x2000,
	JE_NR_BINS = 36,
};

/* How a release packs its words. */
struct je_shape {
	unsigned state, size_class, nr_free;
	bool has_leaf_state, is_whole;
};

static const struct je_shape je_5_3 = {17, 20, 28, true, false};
static const struct je_shape je_5_2 = {16, 18, 26, false, true};

static void je_extent(struct image *im, const struct je_shape *s, unsigned nr, unsigned page, unsigned nr_pages,
		      unsigned offset, unsigned size_class, bool is_slab, unsigned state, unsigned nr_free)
{
	uint64_t edata = JE_BASE + JE_EDATA + nr * 128u, start = JE_HEAP + page * (uint64_t)IMAGE_PAGE;
	uint64_t elem = (uint64_t)size_class << 48 | edata | is_slab | (s->has_leaf_state ? (uint64_t)state << 2 : 0);

	image_set(im, edata,
		  (uint64_t)is_slab << 12 | (uint64_t)state << s->state | (uint64_t)size_class << s->size_class |
		      (uint64_t)nr_free << s->nr_free);
	image_set(im, edata + 8, start + offset);
	image_set(im, edata + 16, nr_pages * (uint64_t)IMAGE_PAGE);
	for (unsigned i = 0; i < nr_pages; i++)
		if (is_slab || i == 0 || i + 1 == nr_pages)
			image_set(im, JE_BASE + JE_LEAF + (page + i) * 8u, elem);
}

/* One bin: nr pointers from `first` on. */
static void je_bin(struct image *im, const struct je_shape *s, uint64_t bin, uint64_t first, unsigned nr)
{
	if (s->is_whole) {
		image_set(im, bin, (uint64_t)nr << 32);
		image_set(im, bin + 16, first + 16); /* they end there */
	} else {
		image_set(im, bin, first);
		image_set(im, bin + 16, ((first + nr * 8u) & 0xffff) << 32);
	}
}

static void je_cache(struct image *im, const struct je_shape *s, uint64_t stack, uint64_t cached)
{
	uint64_t cache = JE_TLS + JE_CACHE, bins = s->is_whole ? cache + 16 : cache + 8;
	uint64_t descriptor = s->is_whole ? bins + JE_NR_BINS * 24 + 16 : JE_TLS + JE_SLOW + 16;

	for (unsigned i = 0; i < JE_NR_BINS; i++)
		je_bin(im, s, bins + i * 24, stack + i * 16, i == JE_CLASS_48);
	image_set(im, stack + JE_CLASS_48 * 16 + (s->is_whole ? 8 : 0), cached);
	image_set(im, descriptor, descriptor);
	image_set(im, descriptor + 8, descriptor);
	image_set(im, descriptor + 16, bins);
	if (s->is_whole) {
		image_set(im, descriptor + 24, descriptor + 64); /* large bins; all that is there is zero */
		image_set(im, descriptor + 32, JE_BASE + 0x300000);
		return;
	}
	image_set(im, descriptor + 24, JE_BASE + 0x300000);
	image_set(im, cache, JE_TLS + JE_SLOW);
	image_set(im, JE_TLS + JE_SLOW + 20 * 8, cache);
}

/* A slab of 48-byte blocks of which one is free and one is cached, a large block, the cache's pointers, and rest. */
static struct image *image_jemalloc(const struct je_shape *s)
{
	struct image *im = calloc(1, sizeof(*im));
	uint64_t slab = JE_HEAP, large = JE_HEAP + 3 * IMAGE_PAGE + 0x40, stack = JE_HEAP + 8 * IMAGE_PAGE;

	image_map(im, JE_DATA, 4 << 20, "/lib/libjemalloc.so.2");
	image_map(im, JE_TLS, 2 * JE_FS, "");
	image_map(im, JE_BASE, 4 << 20, "");
	image_map(im, JE_HEAP, 64 * IMAGE_PAGE, "");
	image_done(im, "jemalloc");
	im->thread = (struct sp_heap_thread){.tid = 7, .fs = JE_TLS + JE_FS};
	image_set(im, JE_DATA + 0x1000 + (JE_HEAP >> 30) * 8, JE_BASE + JE_LEAF);
	image_set(im, JE_BASE, 4 << 20);
	image_set(im, JE_BASE + 24, JE_BASE + 0x380000);
	image_set(im, JE_BASE + 32, 0x80000);
	je_extent(im, s, 0, 0, 3, 0, JE_CLASS_48, true, 0, 253);
	for (unsigned i = 0; i < 4; i++)
		image_set(im, JE_BASE + JE_EDATA + 64 + i * 8, i ? ~UINT64_C(0) : ~UINT64_C(7));
	je_extent(im, s, 1, 3, 5, 0x40, JE_CLASS_16K, false, 0, 0);
	je_extent(im, s, 2, 8, 5, 0, JE_CLASS_16K, false, 0, 0);
	je_extent(im, s, 3, 13, 51, 0, 0, false, 1, 0);
	je_cache(im, s, stack, slab + 48);
	image_used(im, slab);
	image_used(im, slab + 96);
	image_used(im, large);
	image_freed(im, slab + 48);
	image_freed(im, slab + 144);
	image_freed(im, stack);
	return im;
}

static struct image *image_jemalloc_5_3(void)
{
	return image_jemalloc(&je_5_3);
}

static struct image *image_jemalloc_5_2(void)
{
	return image_jemalloc(&je_5_2);
}

/* ---- musl ---- */

#define MU_DATA   UINT64_C(0x555555000000)
#define MU_AREA   UINT64_C(0x555556000000)
#define MU_HEAP   UINT64_C(0x7ffff0000000)
#define MU_SECRET UINT64_C(0x8a5cd789635d2dff)

enum { MU_CONTEXT = 0x100, MU_USAGE = 464, MU_CLASS_496 = 15, MU_CLASS_16 = 0, MU_CLASS_MAPPED = 63 };

static void mu_meta(struct image *im, unsigned nr, uint64_t mem, uint32_t avail, uint32_t freed, unsigned last,
		    unsigned class, unsigned pages)
{
	uint64_t meta = MU_AREA + 24 + nr * 40u;

	image_set(im, meta + 16, mem);
	image_set(im, meta + 24, avail | (uint64_t)freed << 32);
	image_set(im, meta + 32, last | 32 | (uint64_t) class << 6 | (uint64_t)pages << 12);
	image_set(im, mem, meta);
	if (class != MU_CLASS_MAPPED)
		image_set(im, MU_DATA + MU_CONTEXT + MU_USAGE + class * 8u, last + 1);
}

static void mu_header(struct image *im, uint64_t block, unsigned slot, unsigned bits, uint64_t distance)
{
	unsigned char *h = image_at(im, block - 4);

	h[1] = (unsigned char)(slot | bits << 5);
	h[2] = (unsigned char)(distance / 16);
	h[3] = (unsigned char)(distance / 16 >> 8);
}

/*
 * Eight slots of 496 bytes: a block, one that is aligned, a group of 16-byte slots, what was freed, what was never
 * used; and a block with pages of its own.
 */
static struct image *image_musl(void)
{
	struct image *im = calloc(1, sizeof(*im));
	uint64_t slots = MU_HEAP + 16, nested = slots + 2 * 496, mapped = MU_HEAP + 4 * IMAGE_PAGE;
	uint64_t context = MU_DATA + MU_CONTEXT;

	image_map(im, MU_DATA, 2 * IMAGE_PAGE, "/lib/ld-musl-x86_64.so.1");
	image_map(im, MU_AREA, IMAGE_PAGE, "[heap]");
	image_map(im, MU_HEAP, 6 * IMAGE_PAGE, "");
	image_done(im, "musl");
	image_set(im, context, MU_SECRET);
	image_set(im, context + 8, 1);
	image_set(im, context + 24, MU_AREA + 24 + 3 * 40);
	image_set(im, context + 56, MU_AREA);
	image_set(im, context + 64, MU_AREA);
	image_set(im, MU_AREA, MU_SECRET);
	image_set(im, MU_AREA + 16, 101);
	mu_meta(im, 0, MU_HEAP, 0xf0, 8, 7, MU_CLASS_496, 1);
	mu_header(im, slots, 0, 2, 0);
	mu_header(im, slots + 496, 1, 7, 48);
	mu_header(im, slots + 496 + 48, 1, 0, 496 + 48);
	mu_header(im, nested, 2, 6, 2 * 496);
	mu_meta(im, 1, nested, 0x3ffffffc, 2, 29, MU_CLASS_16, 0);
	mu_header(im, nested + 16, 0, 0, 0);
	mu_meta(im, 2, mapped, 0, 0, 0, MU_CLASS_MAPPED, 2);
	mu_header(im, mapped + 16, 0, 5, 0);
	image_set(im, mapped + 2 * IMAGE_PAGE - 8, UINT64_C(100) << 32);
	image_used(im, slots);
	image_used(im, slots + 496 + 48);
	image_used(im, nested + 16);
	image_used(im, mapped + 16);
	image_freed(im, slots + 496);
	image_freed(im, nested);
	image_freed(im, nested + 32);
	image_freed(im, slots + 3 * 496);
	return im;
}

/* ---- tcmalloc ---- */

#define TC_DATA UINT64_C(0x555555000000)
#define TC_META UINT64_C(0x7ffe00000000)
#define TC_HEAP UINT64_C(0x7fff00000000)

enum {
	TC_ROOT = 0x2000, /* in TC_DATA */
	TC_SIZES = 0x180004,
	TC_CENTRAL = 0x190000,
	TC_HEAPS = 0x1a0000, /* a pointer to a thread's cache */
	TC_LEAF = 0x1000,    /* in TC_META */
	TC_SPANS = 0x280000,
	TC_CACHE = 0x290000,
	TC_PAGE_BYTES = 8192,
	TC_NR_SIZES = 10,
	TC_CLASS_48 = 4,
	TC_BATCH = 2,
};

static const uint32_t tc_sizes[TC_NR_SIZES] = {0, 8, 16, 32, 48, 64, 1024, 8192, 65536, 256 << 10};

static void tc_set32(struct image *im, uint64_t addr, uint32_t value)
{
	memcpy(image_at(im, addr), &value, sizeof(value));
}

static void tc_table(struct image *im)
{
	for (unsigned i = 0; i < TC_NR_SIZES; i++) {
		tc_set32(im, TC_DATA + TC_SIZES - 512 + i * 4, TC_BATCH);
		tc_set32(im, TC_DATA + TC_SIZES + i * 4, tc_sizes[i]);
		image_set(im, TC_DATA + TC_SIZES + 512 + 4 + i * 8, i ? tc_sizes[i] / TC_PAGE_BYTES + 1 : 0);
		tc_set32(im, TC_META + TC_CACHE + i * 32 + 24, tc_sizes[i]);
	}
}

/* State: 0 in use, 1 free. */
static uint64_t tc_span(struct image *im, unsigned nr, unsigned page, unsigned nr_pages, unsigned class, unsigned state)
{
	uint64_t span = TC_META + TC_SPANS + nr * 48u, first = TC_HEAP / TC_PAGE_BYTES + page;

	image_set(im, span, first);
	image_set(im, span + 8, nr_pages);
	image_set(im, span + 40, (uint64_t) class << 16 | (uint64_t)state << 24);
	for (unsigned i = 0; i < nr_pages; i++)
		image_set(im, TC_META + TC_LEAF + (((first + i) & 0x3ffff) * 8), span);
	return span;
}

/* The central list of the 48-byte class with its one span, and a slot with a batch of two. */
static void tc_central(struct image *im, uint64_t span, uint64_t nr_free, uint64_t head, uint64_t tail)
{
	uint64_t central = TC_DATA + TC_CENTRAL, ring = central + 64;

	image_set(im, central + 8, TC_CLASS_48);
	image_set(im, central + 16 + 16, central + 16);
	image_set(im, central + 16 + 24, central + 16);
	image_set(im, ring + 16, span);
	image_set(im, ring + 24, span);
	image_set(im, span + 16, ring);
	image_set(im, span + 24, ring);
	image_set(im, central + 112, 1);
	image_set(im, central + 120, nr_free);
	image_set(im, central + 128, head);
	image_set(im, central + 136, tail);
	tc_set32(im, central + 128 + 1024, 1);
	image_set(im, head, tail);
}

/* A span of 48-byte blocks (in use, in its own list, in the central list, in a thread's cache), a large one, a free
 * one. */
static struct image *image_tcmalloc(void)
{
	enum { NR_48 = TC_PAGE_BYTES / 48, NR_OWN = NR_48 - 5 };
	struct image *im = calloc(1, sizeof(*im));

	image_map(im, TC_DATA, 2 << 20, "/lib/libtcmalloc_minimal.so.4");
	image_map(im, TC_META, 3 << 20, "");
	image_map(im, TC_HEAP, UINT64_C(8) * TC_PAGE_BYTES, "");
	image_done(im, "tcmalloc");
	tc_table(im);
	image_set(im, TC_DATA + TC_ROOT + (TC_HEAP / TC_PAGE_BYTES >> 18) * 8, TC_META + TC_LEAF);
	uint64_t span = tc_span(im, 0, 0, 1, TC_CLASS_48, 0);
	tc_span(im, 1, 1, 3, 0, 0);
	tc_span(im, 2, 4, 4, 0, 1);
	image_set(im, span + 40, (uint64_t)TC_CLASS_48 << 16 | (NR_48 - NR_OWN));
	image_set(im, span + 32, TC_HEAP + UINT64_C(5) * 48);
	for (unsigned i = 5; i + 1 < NR_48; i++)
		image_set(im, TC_HEAP + i * UINT64_C(48), TC_HEAP + (i + 1) * UINT64_C(48));
	tc_central(im, span, NR_OWN, TC_HEAP + 48, TC_HEAP + 96);
	image_set(im, TC_DATA + TC_HEAPS, TC_META + TC_CACHE);
	image_set(im, TC_META + TC_CACHE + TC_CLASS_48 * 32, TC_HEAP + UINT64_C(3) * 48);
	tc_set32(im, TC_META + TC_CACHE + TC_CLASS_48 * 32 + 8, 1);
	image_used(im, TC_HEAP);
	image_used(im, TC_HEAP + UINT64_C(4) * 48);
	image_used(im, TC_HEAP + TC_PAGE_BYTES);
	for (unsigned i = 1; i < 4; i++)
		image_freed(im, TC_HEAP + i * UINT64_C(48));
	image_freed(im, TC_HEAP + UINT64_C(7) * 48);
	image_freed(im, TC_HEAP + UINT64_C(4) * TC_PAGE_BYTES);
	return im;
}

/* ---- all of them ---- */

static struct image *(*const image_makers[])(void) = {image_jemalloc_5_3, image_jemalloc_5_2, image_musl,
						      image_tcmalloc};

enum { IMAGE_MAX_HOT = 4096 };

/* Where words are not zero, so that what is spoiled is what a model reads. Returns how many. */
__attribute__((unused)) static size_t image_hot(const struct image *im, uint64_t ret[IMAGE_MAX_HOT])
{
	size_t nr = 0;

	for (unsigned i = 0; i < im->nr_mappings; i++) {
		const uint64_t *words = (const uint64_t *)(const void *)im->mappings[i].bytes;
		for (uint64_t k = 0; k < im->mappings[i].size / 8 && nr < IMAGE_MAX_HOT; k++)
			if (words[k])
				ret[nr++] = im->mappings[i].start + k * 8;
	}
	return nr;
}

#endif
