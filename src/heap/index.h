// SPDX-License-Identifier: Apache-2.0
/*
 * Where blocks begin and what is known of each, in half a byte for each granule of heap. Inside the room only.
 *
 *   nibble of a granule:  0 nothing begins here
 *                         1..7 an extent begins here: its code, which is its class while the classes are being found
 *                         bit 3: grey, it is reached but its content has not been looked at
 *
 * The extent that contains an address is found by going back to the nearest nibble that is not 0. 16 nibbles are a
 * word, and two levels of summary bits (is any nibble of this word set; is any of these 64 words) keep that short
 * inside large blocks: 1 GiB without a beginning is 1,024 words of the upper level.
 *
 * Tried and dropped: a sorted array of addresses (12 bytes for a 32-byte block is more than a third of it), marks in a
 * hash (a cache miss more for each pointer).
 */
#ifndef SEEP_HEAP_INDEX_H
#define SEEP_HEAP_INDEX_H

#include "heap/heap.h"
#include "heap/model.h"

enum sp_code {
	SP_CODE_NONE,
	SP_CODE_FREE,
	SP_CODE_UNREACHED, /* in use, nothing known yet */
	SP_CODE_REACHED,
	SP_CODE_MAYBE, /* first: a pointer into its middle is known; later: another unreached block points to it */
	SP_CODE_POSSIBLE,
	SP_CODE_LEAKED,
	SP_CODE_INDIRECT,
	SP_CODE_MASK = 7,
	SP_CODE_GREY = 8,
};

#define SP_GREY_WORD 0x8888888888888888u

enum {
	SP_WINDOW = 256 << 10, /* bytes that are read and worked on at a time: 64 pages, a bit each */
	SP_PAGE = 4096,
	SP_MAX_REGIONS = 1 << 20,
	SP_FILTER_SHIFT = 24, /* the filter has one bit for each 16 MiB of user address space */
};

#define SP_ADDRESS_END ((uint64_t)1 << 47) /* user addresses end here (four-level page tables) */

/* What is known of the pages of one window, and whether it waits to be worked on. */
struct sp_window {
	uint64_t resident, away;        /* a bit a page, once known */
	uint16_t grey_first, grey_last; /* while queued: no grey block is in other words of its nibbles */
	uint8_t nr_grey;                /* blocks that became grey since it was queued, up to 255 */
	bool is_known, is_queued;
};

struct sp_region {
	uint64_t start, end;
	uint64_t base;             /* start's page: nibbles and windows count from here */
	uint64_t *nibbles;         /* NULL: one block */
	uint64_t *sum1;            /* a bit for each word of nibbles */
	uint64_t *sum2;            /* a bit for each word of sum1 */
	struct sp_window *windows; /* SP_WINDOW bytes each, from base on; made by marking */
	unsigned model;
	uint8_t shift; /* log2 of the granule */
	uint8_t tail;
	uint8_t code; /* of the one block */
	bool gaps_are_roots;
};

struct sp_index {
	struct sp_vec regions; /* struct sp_region, by address, disjoint */
	uint64_t *filter;
	uint64_t bytes, max_bytes; /* of ours */
};

/* An extent: from where it begins to where the next one does. */
struct sp_extent {
	struct sp_region *region;
	uint64_t start, end;
	uint8_t code; /* with the grey bit */
};

sp_must_check int sp_index_init(struct sp_index *x, uint64_t max_bytes);
void sp_index_done(struct sp_index *x);

/* -EEXIST: it overlaps another; -EINVAL; -ENOSPC; -ENOMEM. */
sp_must_check int sp_index_add(struct sp_index *x, const struct sp_heap_region *r, unsigned model);
void sp_index_drop(struct sp_index *x, struct sp_region *r);

/* Counts memory of ours against the maximum. -ENOSPC. */
sp_must_check int sp_index_charge(struct sp_index *x, uint64_t bytes);

static inline struct sp_region *sp_index_at(const struct sp_index *x, size_t i)
{
	return sp_vec_at(&x->regions, struct sp_region, i);
}

/* The first region that ends behind addr: its number, x->regions.nr when there is none. */
size_t sp_index_from(const struct sp_index *x, uint64_t addr);

/* The region around an address; NULL: none. */
struct sp_region *sp_index_region(const struct sp_index *x, uint64_t addr);

/* False for nearly every word that is no pointer into a region. */
static inline bool sp_index_may_have(const struct sp_index *x, uint64_t addr)
{
	uint64_t unit = addr >> SP_FILTER_SHIFT;

	return addr < SP_ADDRESS_END && (x->filter[unit / 64] >> (unit % 64) & 1);
}

/* The extent that contains addr, which is inside the region. False: nothing begins at or before it there. */
bool sp_region_extent(struct sp_region *r, uint64_t addr, struct sp_extent *ret);

/* The first extent that begins at or behind addr. False: none. */
bool sp_region_next(struct sp_region *r, uint64_t addr, struct sp_extent *ret);

/* The code where an extent begins; addr must be a multiple of the granule inside the region. */
uint8_t sp_region_code(const struct sp_region *r, uint64_t addr);
void sp_region_set(struct sp_region *r, uint64_t addr, uint8_t code);

static inline bool sp_code_is_used(uint8_t code)
{
	return (code & SP_CODE_MASK) >= SP_CODE_UNREACHED;
}

/* Bytes of an extent that are the user's. */
static inline uint64_t sp_extent_usable(const struct sp_extent *e)
{
	uint64_t extent = e->end - e->start;

	return extent > e->region->tail ? extent - e->region->tail : 0;
}

static inline size_t sp_region_nr_windows(const struct sp_region *r)
{
	return (size_t)((r->end - r->base + SP_WINDOW - 1) / SP_WINDOW);
}

/* ---- the heap itself ---- */

enum { SP_MAX_MODELS = 16 };

struct sp_heap {
	const struct sp_heap_source *src;
	struct sp_index index;
	struct sp_heap_reader *reader;
	struct sp_heap_model_info models[SP_MAX_MODELS]; /* as sp_heap_models[] */
	unsigned shown[SP_MAX_MODELS];                   /* those that have something to say */
	unsigned nr_shown;
	struct sp_heap_lost lost;
	bool is_marked;
};

sp_must_check int sp_heap_reader_new(const struct sp_heap_source *src, struct sp_heap_reader **ret);
void sp_heap_reader_free(struct sp_heap_reader *r);

/* What stands behind the pages of [addr, addr + 64 pages), addr at a page: a bit a page. Bits behind `end` stay 0. */
void sp_heap_page_bits(const struct sp_heap_source *src, uint64_t addr, uint64_t end, uint64_t *ret_resident,
		       uint64_t *ret_away);

/* Reads all of [addr, addr + len) or what it can; returns the bytes at the front that are good. */
size_t sp_heap_read_all(const struct sp_heap_source *src, uint64_t addr, void *buf, size_t len);

#endif
