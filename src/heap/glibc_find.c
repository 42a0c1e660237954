// SPDX-License-Identifier: Apache-2.0
/* glibc: the main arena and the counters (struct malloc_par) in the data of a module, found by their shape. */
#include "heap/glibc.h"

#include <stddef.h>

enum {
	PIECE = 4096,
	BINS_WORDS = 2 * GLIBC_NR_BINS,
	MIN_DELTA = 0x10, /* start of an arena to its bins: 0x58 up to 2.26, 0x70 since, 0x18 from 2.43 on; room on both
			     sides */
	MAX_DELTA = 0x90,
};

static const uint64_t MAX_DATA = (uint64_t)256 << 20; /* of one mapping */

static bool get(const struct sp_glibc *g, uint64_t addr, uint64_t *ret)
{
	return sp_heap_get_u64(g->reader, addr, ret);
}

/* All 127 pairs are empty or lead somewhere and back. */
static bool are_bins(const struct sp_glibc *g, uint64_t bins)
{
	uint64_t words[BINS_WORDS], back;

	if (!sp_heap_get(g->reader, bins, words, sizeof(words)))
		return false;
	for (unsigned i = 0; i < GLIBC_NR_BINS; i++) {
		uint64_t self = bins + (uint64_t)i * 16 - 16;

		if (words[2 * i] == self && words[2 * i + 1] == self)
			continue;
		/* fd's bk is the bin; while it runs, an element may have been taken in between */
		if (words[2 * i] % 16 || !get(g, words[2 * i] + 24, &back) || (back != self && !g->src->is_live))
			return false;
	}
	return true;
}

/* Follows the ring from the main arena; true when it closes at a start `delta` before its bins. */
static bool ring_closes(const struct sp_glibc *g, uint64_t bins, uint64_t delta)
{
	uint64_t at = bins - delta;

	for (unsigned i = 0; i < GLIBC_MAX_ARENAS; i++) {
		if (!get(g, at + delta + GLIBC_NEXT, &at) || at % 8)
			return false;
		if (at == bins - delta)
			return true;
	}
	return false;
}

static bool is_main(const struct sp_glibc *g, uint64_t bins, struct sp_glibc_main *ret)
{
	if (!are_bins(g, bins))
		return false;
	for (uint64_t delta = MIN_DELTA; delta <= MAX_DELTA; delta += 8) {
		if (!ring_closes(g, bins, delta))
			continue;
		*ret = (struct sp_glibc_main){.bins = bins, .delta = delta};
		return true;
	}
	return false;
}

unsigned sp_glibc_ring(const struct sp_glibc *g, const struct sp_glibc_main *m, uint64_t *ret_bins, unsigned max)
{
	uint64_t start = m->bins - m->delta, at = start;
	unsigned nr = 0;

	while (nr < max && get(g, at + m->delta + GLIBC_NEXT, &at) && at != start)
		ret_bins[nr++] = at + m->delta;
	return nr;
}

/* An empty pair was seen at `pair`: is it one of an arena? */
static bool main_around(const struct sp_glibc *g, uint64_t pair, struct sp_glibc_main *ret)
{
	for (unsigned i = 0; i < GLIBC_NR_BINS; i++)
		if (is_main(g, pair - (uint64_t)i * 16, ret))
			return true;
	return false;
}

/*
 * struct malloc_par, of which these fields stand together in every release:
 * int n_mmaps, n_mmaps_max, max_n_mmaps, no_dyn_threshold; size_t mmapped_mem, max_mmapped_mem; char *sbrk_base
 * Since 2.35 an int stands before them, so that they begin in the middle of a word and four bytes of padding follow the
 * ints.
 */
struct par {
	uint32_t n_mmaps, n_mmaps_max, max_n_mmaps, no_dyn_threshold;
	uint64_t mmapped_mem, max_mmapped_mem, sbrk_base;
};

static bool get_par(const struct sp_glibc *g, uint64_t addr, struct par *ret)
{
	uint64_t words = (addr + offsetof(struct par, mmapped_mem) + 7) & ~(uint64_t)7;

	return sp_heap_get(g->reader, addr, ret, offsetof(struct par, mmapped_mem)) &&
	       sp_heap_get(g->reader, words, &ret->mmapped_mem, sizeof(*ret) - offsetof(struct par, mmapped_mem));
}

/* The chunk that the main heap begins with: the one before it, which is none, counts as in use. */
static bool is_first_chunk(const struct sp_glibc *g, uint64_t base)
{
	uint64_t size;

	return base && get(g, ((base + 15) & ~(uint64_t)15) + 8, &size) && (size & GLIBC_PREV_INUSE) &&
	       size >= GLIBC_MIN_CHUNK;
}

/*
 * mallopt(M_MMAP_MAX) also ends the dynamic threshold. Then only where the heap begins tells these words from any
 * others that are nearly all zero.
 */
static bool is_par(const struct sp_glibc *g, const struct par *p, uint64_t top)
{
	static const uint64_t MAX_MMAPS_DEFAULT = 65536;
	bool is_base_good = top ? p->sbrk_base < top && is_first_chunk(g, p->sbrk_base) : !p->sbrk_base;
	bool is_max_good = p->n_mmaps_max == MAX_MMAPS_DEFAULT || (p->no_dyn_threshold == 1 && top);

	return is_base_good && is_max_good && p->n_mmaps <= p->max_n_mmaps && p->no_dyn_threshold <= 1 &&
	       p->mmapped_mem <= p->max_mmapped_mem && !(p->mmapped_mem % PIECE) && !(p->max_mmapped_mem % PIECE) &&
	       !p->n_mmaps == !p->mmapped_mem && !p->max_n_mmaps == !p->max_mmapped_mem;
}

/* The main arena's top; 0: nothing was allocated from it. */
static uint64_t main_top(const struct sp_glibc *g, const struct sp_glibc_main *m)
{
	uint64_t top;

	return get(g, m->bins - GLIBC_TOP, &top) && top != m->bins - GLIBC_TOP ? top : 0;
}

static void keep_par(struct sp_glibc_main *m, uint64_t addr, const struct par *p)
{
	m->par = (struct sp_glibc_par){.addr = addr,
				       .is_found = true,
				       .nr_mmaps = p->n_mmaps,
				       .mmapped_bytes = p->mmapped_mem,
				       .sbrk_base = p->sbrk_base};
}

void sp_glibc_read_pars(struct sp_glibc *g)
{
	struct par p;

	for (unsigned i = 0; i < g->nr_mains; i++)
		if (g->mains[i].par.is_found && get_par(g, g->mains[i].par.addr, &p))
			keep_par(&g->mains[i], g->mains[i].par.addr, &p);
}

/* It stands near the arena, in the data of the same file: nearest first, alternately before and behind. */
static void find_par(const struct sp_glibc *g, const struct sp_mapping *data, struct sp_glibc_main *m)
{
	static const uint64_t REACH = 64 << 10;
	uint64_t top = main_top(g, m);
	struct par p;

	for (uint64_t i = 2; i < 2 * REACH / 4; i++) {
		uint64_t at = i % 2 ? m->bins + i / 2 * 4 : m->bins - i / 2 * 4;

		if (at < data->start || at + sizeof(p) > data->end || !get_par(g, at, &p) || !is_par(g, &p, top))
			continue;
		keep_par(m, at, &p);
		return;
	}
}

/* Looks for empty pairs: two words that are equal and point 16 bytes before themselves. */
static void search(struct sp_glibc *g, const struct sp_mapping *data)
{
	uint64_t words[PIECE / 8], end = data->end, next = data->start;

	if (end - data->start > MAX_DATA)
		end = data->start + MAX_DATA;
	for (uint64_t at = data->start; at < end && g->nr_mains < GLIBC_MAX_MAINS; at += PIECE) {
		if (!sp_heap_get(g->reader, at, words, sizeof(words)))
			continue;
		for (unsigned i = 0; i + 1 < SP_ARRAY_SIZE(words); i++) {
			struct sp_glibc_main *m = &g->mains[g->nr_mains];
			uint64_t pair = at + (uint64_t)i * 8;

			if (pair < next || words[i] != pair - 16 || words[i + 1] != pair - 16)
				continue;
			next = pair + 16;
			if (g->nr_mains == GLIBC_MAX_MAINS || !main_around(g, pair, m))
				continue;
			next = m->bins + GLIBC_ARENA_END;
			find_par(g, data, m);
			g->nr_mains++;
		}
	}
}

/* The arena has an initial value, so it is in a file's writable pages. */
static bool is_data(const struct sp_mapping *m)
{
	return m->inode && (m->prot & SP_PROT_W) && !(m->prot & (SP_PROT_SHARED | SP_PROT_X));
}

void sp_glibc_find_mains(struct sp_glibc *g)
{
	for (size_t i = 0; i < g->src->maps->nr; i++)
		if (is_data(&g->src->maps->list[i]))
			search(g, &g->src->maps->list[i]);
}
