// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the glibc model share.
 *
 * Offsets are counted from `bins`, the first word of the first bin of an arena, because what comes before it changes
 * from release to release while the rest has stood since 2.10 (malloc/malloc.c: struct malloc_state):
 *
 *   bins - 0x60  fastbinsY[10]           (none from 2.43 on: then these words do not verify as lists)
 *   bins - 0x10  top
 *   bins         bins[254]               127 pairs fd, bk; empty: both point 0x10 before the pair
 *   bins + 0x7f0 binmap[4]
 *   bins + 0x800 next                    ring of arenas, pointers to the arenas' starts
 *   bins + 0x818 system_mem
 *   bins + 0x820 max_system_mem          the last field
 *
 * What makes an arena one: 127 pairs that are empty or lead to a chunk and back, and a ring of `next` that closes at a
 * start which lies a plausible distance before `bins`. Pairs alone are not enough: a shift by 16 looks the same.
 */
#ifndef SEEP_HEAP_GLIBC_H
#define SEEP_HEAP_GLIBC_H

#include "heap/model.h"

enum {
	GLIBC_NR_BINS = 127,
	GLIBC_FASTBINS = 0x60, /* before bins */
	GLIBC_NR_FASTBINS = 10,
	GLIBC_TOP = 0x10, /* before bins */
	GLIBC_NEXT = 0x800,
	GLIBC_SYSTEM_MEM = 0x818,
	GLIBC_ARENA_END = 0x828,

	GLIBC_HEADER = 16, /* from a chunk to the block it holds */
	GLIBC_MIN_CHUNK = 0x20,

	GLIBC_PREV_INUSE = 1,
	GLIBC_IS_MMAPPED = 2,
	GLIBC_SIZE_FLAGS = 7,

	GLIBC_MAX_ARENAS = 8192,
	GLIBC_MAX_MAINS = 16,       /* copies of libc in one process (dlmopen) */
	GLIBC_MAX_CACHES = 1 << 16, /* threads' caches */
	GLIBC_TRIES = 4,            /* of what changes while it is read */
};

/* What struct malloc_par of one libc says. */
struct sp_glibc_par {
	bool is_found;
	uint64_t addr;
	uint64_t nr_mmaps, mmapped_bytes;
	uint64_t sbrk_base; /* where the main heap begins; 0: it has none */
};

struct sp_glibc_main {
	uint64_t bins;
	uint64_t delta; /* from an arena's start to its bins */
	struct sp_glibc_par par;
};

/* A block that looks like a thread's cache. */
struct sp_glibc_cache {
	uint64_t mem;
	unsigned shape;
};

struct sp_glibc {
	const struct sp_heap_source *src;
	struct sp_heap_reader *reader;
	struct sp_heap_sink *sink;
	struct sp_glibc_main mains[GLIBC_MAX_MAINS];
	unsigned nr_mains;
	struct sp_vec caches; /* struct sp_glibc_cache */
};

/* ---- glibc_find.c: arenas and counters in the modules' data ---- */
void sp_glibc_find_mains(struct sp_glibc *g);

/* The counters once more: they change while the target runs. */
void sp_glibc_read_pars(struct sp_glibc *g);

/* The arenas of one libc behind its main one: their bins. Bounded; returns how many were written. */
unsigned sp_glibc_ring(const struct sp_glibc *g, const struct sp_glibc_main *m, uint64_t *ret_bins, unsigned max);

/* ---- glibc_chunks.c: chains of chunks ---- */

/*
 * Tells the chain that begins at `first` as one region up to `end`. top != 0: it must reach exactly there; 0: it must
 * end with a fence (a heap that was left for a newer one). *ret_stop: where it ended. 1: told; 0: does not verify,
 * nothing told; negative: -errno of ours.
 */
sp_must_check int sp_glibc_chain(struct sp_glibc *g, uint64_t first, uint64_t top, uint64_t end, uint64_t *ret_stop);

/* The same question without telling anything, for at most max_chunks: how many chunks, and where it ended. */
bool sp_glibc_leads_to(struct sp_glibc *g, uint64_t first, uint64_t top, uint64_t end, uint64_t max_chunks,
		       uint64_t *ret_nr, uint64_t *ret_stop);

/* ---- glibc_arena.c: which chains there are ---- */
sp_must_check int sp_glibc_walk_main(struct sp_glibc *g, const struct sp_glibc_main *m);

/*
 * Tells the top and the bins of an arena, which lie in libc's data or in front of its chunks, as the allocator's own. A
 * chunk begins 8 bytes before the end of the block in front of it: as roots they would be pointers into the middle of
 * blocks in use.
 */
sp_must_check int sp_glibc_own_words(struct sp_glibc *g, uint64_t bins);
sp_must_check int sp_glibc_walk_arena(struct sp_glibc *g, const struct sp_glibc_main *m, uint64_t bins);

/* ---- glibc_mmap.c: chunks with a mapping of their own ---- */
sp_must_check int sp_glibc_walk_mmapped(struct sp_glibc *g);

/* ---- glibc_cache.c: freed blocks that look used in the chains ---- */

/* Remembers a used block that may be a thread's cache. */
void sp_glibc_note_cache(struct sp_glibc *g, uint64_t mem, uint64_t chunk_size);
void sp_glibc_free_caches(struct sp_glibc *g);
void sp_glibc_free_fastbins(struct sp_glibc *g, uint64_t bins);

#endif
