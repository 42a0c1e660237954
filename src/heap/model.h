// SPDX-License-Identifier: Apache-2.0
/*
 * What an allocator model is, and what it may use. Inside the room only.
 *
 * A model turns an allocator's own structures into regions and blocks. It derives its layout from the memory it sees
 * and verifies it (sizes that must chain, lists that must close, counters that must agree); it never trusts a version.
 * What it cannot verify it leaves out, with a reason: bytes in no region serve as roots, so leaving out costs leaks
 * that are not found, while guessing costs blocks called leaked that are not.
 */
#ifndef SEEP_HEAP_MODEL_H
#define SEEP_HEAP_MODEL_H

#include "heap/heap.h"

/* ---- reading ---- */

/*
 * Small reads through a cache, so that a walk costs no system call a word. False: not mapped, unreadable, or swapped
 * out. Pages that were never touched are not touched: they read as zeros.
 */
struct sp_heap_reader;
bool sp_heap_get(struct sp_heap_reader *r, uint64_t addr, void *buf, size_t len);
bool sp_heap_get_u64(struct sp_heap_reader *r, uint64_t addr, uint64_t *ret);

/*
 * The first of `nr` words from `addr` on that is not 0, a page at a time: its number and its value. *pages_left bounds
 * all such searches of a model. False: there is none, or it cannot be read.
 */
bool sp_heap_first_word(struct sp_heap_reader *r, uint64_t addr, uint64_t nr, uint64_t *pages_left, uint64_t *ret_nr,
			uint64_t *ret);

/* Forget what was read: memory that changes is to be read anew. */
void sp_heap_reader_forget(struct sp_heap_reader *r);

/* The writable pages of a module's file, and the .bss behind them: one stretch. Begin with {}; false: there is no more.
 */
struct sp_heap_data {
	uint64_t start, end;
	size_t next;
};
bool sp_heap_next_data(const struct sp_maps *maps, struct sp_heap_data *d);

/* ---- telling ---- */

struct sp_heap_region {
	uint64_t start, end; /* all of it belongs to the allocator; multiples of `granule` */
	unsigned granule; /* blocks begin at multiples of it: 8 or 16; 0: the region is one block [start, end) in use */
	unsigned tail;    /* bytes at the end of each block's extent that are not the user's */
	bool gaps_are_roots; /* what is free may be somebody else's: scanned as a root */
};

/*
 * Where a model's findings go. A region is told first, then its blocks, in any order: each begins at `addr` and
 * extends to the next one told (or to the region's end), so free and internal pieces must be told, too. Told again, an
 * address takes the later state: a walk may tell everything and then free what it finds in caches. Regions of one heap
 * do not overlap; a region that would is refused with -EEXIST. -EINVAL: outside of every region, or misaligned.
 * -ENOSPC, -ENOMEM.
 */
struct sp_heap_sink;
sp_must_check int sp_heap_add_region(struct sp_heap_sink *s, const struct sp_heap_region *r);
sp_must_check int sp_heap_add_used(struct sp_heap_sink *s, uint64_t addr);
sp_must_check int sp_heap_add_free(struct sp_heap_sink *s, uint64_t addr);

/* The region that begins at `start` was a mistake: all of it becomes ordinary memory again, hence a root. */
void sp_heap_drop_region(struct sp_heap_sink *s, uint64_t start);

/*
 * The extent that was told to begin at exactly `addr`: its state and its usable size. False: none begins there.
 * For checking lists against the walk.
 */
bool sp_heap_told(const struct sp_heap_sink *s, uint64_t addr, bool *ret_used, uint64_t *ret_size);

/* What the model gives up, and why. Several reasons: the first is kept. `bytes` are counted as not judged. */
void sp_heap_give_up(struct sp_heap_sink *s, uint64_t bytes, const char *fmt, ...) sp_printf(3, 4);

/* ---- the model ---- */

struct sp_heap_model {
	const char *name;

	/*
	 * Finds its allocator in the process and tells all regions and blocks. 0 also when there is none (it then tells
	 * nothing) or when it gave up. Negative only for failures of ours (-ENOMEM, -ENOSPC): they end the scan.
	 * Bounded work whatever the memory holds: lists and chains may be loops, numbers may be anything. Memory may
	 * change while it reads (src->is_live): what does not verify is tried again a few times, then given up.
	 */
	int (*walk)(const struct sp_heap_source *src, struct sp_heap_reader *r, struct sp_heap_sink *s);
};

/* All models, in the order in which they walk; NULL-terminated. The last one takes what an engine recorded. */
extern const struct sp_heap_model *const sp_heap_models[];

extern const struct sp_heap_model sp_heap_glibc, sp_heap_jemalloc, sp_heap_musl, sp_heap_tcmalloc,
    sp_heap_recorded_blocks;

#endif
