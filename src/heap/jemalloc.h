// SPDX-License-Identifier: Apache-2.0
/* What the files of the jemalloc model share. */
#ifndef SEEP_HEAP_JEMALLOC_H
#define SEEP_HEAP_JEMALLOC_H

#include "heap/model.h"

enum {
	JE_PAGE = 4096,
	JE_ROOT_BITS = 18, /* both levels of the radix tree: 48 - 12 bits of address in two halves */
	JE_NODE_BYTES = 8 << JE_ROOT_BITS,
	JE_MAX_SLAB_REGS = 512, /* one page of 8-byte blocks */
	JE_NR_SMALL_MAX = 39,   /* size classes that may be slabs, with either distance */
};

/* How a version packs its structures; which one it is shows in memory. */
struct je_layout {
	const char *name;
	/* a leaf element: size class << 48 | extent | flags */
	uint64_t leaf_flags; /* bits that are not the extent's address */
	unsigned leaf_state; /* shift of the state; 0: the leaf has none */
	unsigned state_bits; /* width of the state, there and in the extent */
	/* struct edata (extent_t before 5.3): bits, address, size */
	unsigned slab, state, size_class, nr_free; /* shifts in its first word */
	unsigned bitmap_at;                        /* offset of the slab's bitmap */
	bool cache_apart;                          /* a thread's cache: see jemalloc_caches.c */
};

enum je_kind { JE_INACTIVE, JE_SLAB, JE_LARGE };

/* A run of pages, by address. */
struct je_extent {
	uint64_t base;
	uint64_t edata; /* the structure that describes it */
	uint32_t nr_pages;
	uint8_t kind; /* enum je_kind */
	uint8_t size_class;
};

struct je {
	const struct sp_heap_source *src;
	struct sp_heap_reader *r;
	struct sp_heap_sink *sink;
	const struct je_layout *layout;
	unsigned lg_quantum;   /* 4, or 3 when built so (redis brings such a copy) */
	uint64_t root;         /* of the radix tree */
	struct sp_vec extents; /* struct je_extent */
	struct sp_vec bases;   /* struct je_base: jemalloc's own memory */
	size_t last_base;      /* the one that was asked for last */
	uint64_t pages_left;   /* that may be looked at in search of a root */
	char why[160];         /* what did not verify, for give_up; "": nothing */
};

struct je_base {
	uint64_t start, end;
	bool is_oldest; /* of its arena: its first page has the arena's hooks and no structures of extents */
};

/* Bytes of a size class; 0: there is no such class. */
uint64_t sp_je_class_bytes(unsigned lg_quantum, unsigned size_class);
/* Bytes of a slab of that class. */
uint64_t sp_je_slab_bytes(uint64_t class_bytes);

/*
 * Does the word at `at` (of writable memory of a module) look like an element of the tree's root? Then *ret_root and
 * the layout are set.
 */
bool sp_je_is_root(struct je *je, uint64_t at, uint64_t leaf);

/* Every extent of the tree, verified. 1: yes; 0: something does not verify (je->why); negative: ours. */
int sp_je_collect(struct je *je);

/* The slab's bitmap (1: free), verified against the count. */
bool sp_je_slab_bitmap(struct je *je, const struct je_extent *e, uint64_t ret_bitmap[JE_MAX_SLAB_REGS / 64]);

/* The block of a large extent, which begins somewhere in its first page. False: it cannot be. */
bool sp_je_large_block(const struct je *je, const struct je_extent *e, uint64_t *ret_start, uint64_t *ret_bytes);

/* The block of that address: of a slab, or large. False: none there. */
bool sp_je_block_of(const struct je *je, uint64_t addr, uint64_t *ret_start, uint64_t *ret_end);

/* Whether an address is in an extent, be it one at rest. */
bool sp_je_is_extent(const struct je *je, uint64_t addr);

/* The block of jemalloc's own memory around that address becomes known. 1, 0 (there is none), negative. */
int sp_je_note_base(struct je *je, uint64_t addr);

/* Tells what the threads' caches hold: free. 1, 0 and negative as above. */
int sp_je_free_cached(struct je *je);

/* Printf for je->why; returns 0. */
int sp_je_doubt(struct je *je, const char *fmt, ...) sp_printf(2, 3);

#endif
