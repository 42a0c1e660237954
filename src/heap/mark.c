// SPDX-License-Identifier: Apache-2.0
/*
 * Marking: see mark.h. This file is the hot one: every word of every root and reached block passes visit_words().
 */
#include "heap/mark.h"

#include <errno.h>
#include <string.h>

int sp_marker_init(struct sp_marker *mk, struct sp_heap *h)
{
	size_t nr_windows = 0;

	*mk = (struct sp_marker){.h = h};
	for (size_t i = 0; i < h->index.regions.nr; i++) {
		struct sp_region *r = sp_index_at(&h->index, i);
		size_t nr = sp_region_nr_windows(r);

		nr_windows += nr;
		if (r->windows)
			continue;
		int rc = sp_index_charge(&h->index, nr * (sizeof(*r->windows) + sizeof(*mk->queue)));
		if (rc < 0)
			return rc;
		r->windows = calloc(nr, sizeof(*r->windows));
		if (!r->windows)
			return -ENOMEM;
	}
	mk->queue_cap = nr_windows ? nr_windows : 1;
	mk->queue = calloc(mk->queue_cap, sizeof(*mk->queue));
	mk->window = malloc(SP_WINDOW);
	mk->stream = malloc(SP_WINDOW);
	return mk->queue && mk->window && mk->stream ? 0 : -ENOMEM;
}

void sp_marker_done(struct sp_marker *mk)
{
	if (mk->h)
		sp_page_cache_done(&mk->cache, mk->h);
	free(mk->queue);
	free(mk->window);
	free(mk->stream);
	*mk = (struct sp_marker){};
}

/* ---- from a word to a block ---- */

/* Words of nibbles in a whole window. */
static uint64_t window_words(const struct sp_region *r)
{
	return r->shift ? (SP_WINDOW >> r->shift) / 16 : 1;
}

static void enqueue(struct sp_marker *mk, struct sp_region *r, uint64_t addr)
{
	size_t number = (size_t)((addr - r->base) / SP_WINDOW);
	size_t region = (size_t)(r - sp_index_at(&mk->h->index, 0));
	uint16_t word = r->shift ? (uint16_t)((((addr - r->base) >> r->shift) / 16) % window_words(r)) : 0;
	struct sp_window *w = &r->windows[number];

	if (w == mk->now)
		mk->fresh = addr;
	if (!w->is_queued) {
		w->is_queued = true;
		w->grey_first = w->grey_last = word;
		w->nr_grey = 0;
		mk->queue[(mk->queue_first + mk->queue_nr++) % mk->queue_cap] = (uint64_t)region << 32 | number;
	} else if (word < w->grey_first) {
		w->grey_first = word;
	} else if (word > w->grey_last) {
		w->grey_last = word;
	}
	w->nr_grey += w->nr_grey < UINT8_MAX;
}

void sp_mark_grey(struct sp_marker *mk, const struct sp_extent *e, uint8_t code)
{
	sp_region_set(e->region, e->start, code | SP_CODE_GREY);
	enqueue(mk, e->region, e->start);
}

static struct sp_region *region_of(struct sp_marker *mk, uint64_t addr)
{
	if (!mk->last || addr < mk->last->start || addr >= mk->last->end) {
		struct sp_region *r = sp_index_region(&mk->h->index, addr);
		if (!r)
			return NULL;
		mk->last = r;
	}
	return mk->last;
}

/* The block in use that addr is in; its end is filled in only for a pointer into the middle. */
static bool block_at(struct sp_marker *mk, uint64_t addr, struct sp_extent *ret)
{
	struct sp_region *r = region_of(mk, addr);
	uint8_t code;

	if (!r)
		return false;
	if (!(addr & (((uint64_t)1 << r->shift) - 1)) && (code = sp_region_code(r, addr))) {
		*ret = (struct sp_extent){.region = r, .start = addr, .code = code};
		return sp_code_is_used(code);
	}
	return sp_region_extent(r, addr, ret) && sp_code_is_used(ret->code) &&
	       addr - ret->start < sp_extent_usable(ret);
}

static void reach(struct sp_marker *mk, const struct sp_extent *e, uint64_t ptr, bool is_good)
{
	uint8_t code = e->code & SP_CODE_MASK;

	if (code != SP_CODE_UNREACHED && code != SP_CODE_MAYBE)
		return;
	if (is_good || ptr == e->start || sp_interior_is_good(mk->h, e, ptr))
		sp_mark_grey(mk, e, SP_CODE_REACHED);
	else if (code == SP_CODE_UNREACHED)
		sp_region_set(e->region, e->start, SP_CODE_MAYBE);
}

static void visit(struct sp_marker *mk, uint64_t ptr, uint64_t at)
{
	struct sp_extent e;

	if (!block_at(mk, ptr, &e) || e.start == mk->current)
		return;
	uint8_t code = e.code & SP_CODE_MASK;
	switch (mk->phase) {
	case SP_PHASE_REACH:
		reach(mk, &e, ptr, false);
		return;
	case SP_PHASE_POSSIBLE:
		if (code == SP_CODE_UNREACHED)
			sp_mark_grey(mk, &e, SP_CODE_POSSIBLE);
		return;
	case SP_PHASE_REFERENCE:
		if (code == SP_CODE_UNREACHED)
			sp_region_set(e.region, e.start, SP_CODE_MAYBE | (e.code & SP_CODE_GREY));
		return;
	case SP_PHASE_SPARE:
		if (code == SP_CODE_LEAKED || code == SP_CODE_INDIRECT)
			sp_mark_grey(mk, &e, SP_CODE_REACHED);
		return;
	case SP_PHASE_RING:
		if (code == SP_CODE_LEAKED && e.start != mk->leader)
			sp_region_set(e.region, e.start, SP_CODE_INDIRECT | (e.code & SP_CODE_GREY));
		__attribute__((fallthrough));
	case SP_PHASE_INDIRECT:
		if (code == SP_CODE_MAYBE || code == SP_CODE_UNREACHED)
			sp_mark_grey(mk, &e, SP_CODE_INDIRECT);
		return;
	case SP_PHASE_TRAIL:
		sp_trail_take(mk, &e, ptr, at, false);
		return;
	}
}

void sp_mark_words(struct sp_marker *mk, const uint64_t *words, size_t nr, uint64_t at)
{
	const struct sp_index *x = &mk->h->index;

	for (size_t i = 0; i < nr; i++)
		if (sp_index_may_have(x, words[i]))
			visit(mk, words[i], at + i * sizeof(*words));
}

void sp_mark_good_word(struct sp_marker *mk, uint64_t word, uint64_t at)
{
	struct sp_extent e;

	if (!sp_index_may_have(&mk->h->index, word) || !block_at(mk, word, &e))
		return;
	if (mk->phase == SP_PHASE_TRAIL)
		sp_trail_take(mk, &e, word, at, true);
	else
		reach(mk, &e, word, true);
}

/* ---- memory ---- */

static unsigned nr_bits(uint64_t bits)
{
	return (unsigned)__builtin_popcountll(bits);
}

/* Bits of the pages that [from, to) touches, counted from `base`. */
static uint64_t page_mask(uint64_t base, uint64_t from, uint64_t to)
{
	uint64_t first = (from - base) / SP_PAGE, last = (to - 1 - base) / SP_PAGE;

	return (~(uint64_t)0 >> (63 - (last - first))) << first;
}

/*
 * Reads the resident pages of `mask` into buf, each at its place. Bits that could not be read are taken out of
 * *resident, so that they are counted once.
 */
static void load_pages(struct sp_marker *mk, uint64_t base, uint64_t mask, uint64_t *resident, unsigned char *buf)
{
	uint64_t wanted = mask & *resident;

	while (wanted) {
		unsigned first = (unsigned)__builtin_ctzll(wanted);
		uint64_t rest = ~(wanted >> first);
		unsigned nr = rest ? (unsigned)__builtin_ctzll(rest) : 64;
		size_t at = (size_t)first * SP_PAGE, len = (size_t)nr * SP_PAGE;
		size_t good = sp_heap_read_all(mk->h->src, base + at, buf + at, len) & ~(size_t)(SP_PAGE - 1);

		if (good < len) { /* this page is unreadable; those behind it are tried in the next round */
			nr = (unsigned)(good / SP_PAGE) + 1;
			*resident &= ~((uint64_t)1 << (first + nr - 1));
			mk->h->lost.unreadable_bytes += SP_PAGE;
		}
		wanted &= nr == 64 ? 0 : ~(((((uint64_t)1 << nr) - 1)) << first);
	}
}

static void know_pages(struct sp_marker *mk, struct sp_region *r, size_t number)
{
	struct sp_window *w = &r->windows[number];
	uint64_t start = r->base + (uint64_t)number * SP_WINDOW;

	if (w->is_known)
		return;
	sp_heap_page_bits(mk->h->src, start, (r->end + SP_PAGE - 1) & ~(uint64_t)(SP_PAGE - 1), &w->resident, &w->away);
	w->is_known = true;
}

/* Words of [from, to) out of a window's bytes at buf; pages that are not there are passed over. */
static void visit_loaded(struct sp_marker *mk, const unsigned char *buf, uint64_t base, uint64_t resident,
			 uint64_t from, uint64_t to)
{
	from = (from + 7) & ~(uint64_t)7;
	while (from + 8 <= to) {
		uint64_t page = (from - base) / SP_PAGE, end = base + (page + 1) * SP_PAGE;

		if (end > to)
			end = to;
		if (resident >> page & 1)
			sp_mark_words(mk, (const uint64_t *)(const void *)(buf + (from - base)),
				      (size_t)(end - from) / 8, from);
		from = base + (page + 1) * SP_PAGE;
	}
}

void sp_mark_range(struct sp_marker *mk, uint64_t start, uint64_t end)
{
	uint64_t base = start & ~(uint64_t)(SP_PAGE - 1);

	for (; base < end; base += SP_WINDOW) {
		uint64_t from = base > start ? base : start, to = end < base + SP_WINDOW ? end : base + SP_WINDOW;
		uint64_t resident, away;

		sp_heap_page_bits(mk->h->src, base, (to + SP_PAGE - 1) & ~(uint64_t)(SP_PAGE - 1), &resident, &away);
		mk->h->lost.away_bytes += (uint64_t)nr_bits(away) * SP_PAGE;
		load_pages(mk, base, page_mask(base, from, to), &resident, mk->stream);
		visit_loaded(mk, mk->stream, base, resident, from, to);
	}
}

/* Words of [from, to), which is on one page, by the cache. False: it is not to be had there. */
static bool visit_cached(struct sp_marker *mk, uint64_t from, uint64_t to)
{
	uint64_t page = from & ~(uint64_t)(SP_PAGE - 1);
	const unsigned char *bytes = sp_page_cache_get(&mk->cache, mk->h, page);

	if (bytes)
		visit_loaded(mk, bytes, page, 1, from, to);
	return bytes != NULL;
}

/* The part of a block that lies in one window of its region. `loaded`: that window's bytes, NULL: to be read. */
static void scan_part(struct sp_marker *mk, struct sp_region *r, size_t number, uint64_t from, uint64_t to,
		      const unsigned char *loaded)
{
	struct sp_window *w = &r->windows[number];
	uint64_t base = r->base + (uint64_t)number * SP_WINDOW, mask = page_mask(base, from, to);

	know_pages(mk, r, number);
	mk->h->lost.away_bytes += (uint64_t)nr_bits(w->away & mask) * SP_PAGE;
	w->away &= ~mask;
	if (!loaded && nr_bits(mask) == 1 && (w->resident & mask) && visit_cached(mk, from, to))
		return;
	if (!loaded) {
		load_pages(mk, base, mask, &w->resident, mk->stream);
		loaded = mk->stream;
	}
	visit_loaded(mk, loaded, base, w->resident, from, to);
}

void sp_mark_block(struct sp_marker *mk, const struct sp_extent *e, const unsigned char *loaded, size_t number)
{
	struct sp_region *r = e->region;
	uint64_t from = e->start, end = from + sp_extent_usable(e);

	mk->current = e->start;
	while (from < end) {
		size_t n = (size_t)((from - r->base) / SP_WINDOW);
		uint64_t to = r->base + (uint64_t)(n + 1) * SP_WINDOW;

		if (to > end)
			to = end;
		scan_part(mk, r, n, from, to, n == number ? loaded : NULL);
		from = to;
	}
	mk->current = 0;
}

/* ---- windows ---- */

const unsigned char *sp_mark_load(struct sp_marker *mk, struct sp_region *r, size_t number)
{
	know_pages(mk, r, number);
	load_pages(mk, r->base + (uint64_t)number * SP_WINDOW, ~(uint64_t)0, &r->windows[number].resident, mk->window);
	return mk->window;
}

/* Takes the grey off the block at addr and looks at it. */
static void scan_grey(struct sp_marker *mk, struct sp_region *r, uint64_t addr, const unsigned char *loaded,
		      size_t number)
{
	uint64_t granule = (addr - r->base) >> r->shift;
	struct sp_extent e;

	r->nibbles[granule / 16] &= ~((uint64_t)SP_CODE_GREY << (granule % 16 * 4));
	if (sp_region_extent(r, addr, &e))
		sp_mark_block(mk, &e, loaded, number);
}

/* A grey block of the window that is being worked on: the last one, else the first by address. 0: there is none. */
static uint64_t next_grey(struct sp_marker *mk, const struct sp_region *r, struct sp_window *w, uint64_t first)
{
	uint64_t addr = mk->fresh;

	mk->fresh = 0;
	for (; !addr && w->grey_first <= w->grey_last; w->grey_first++) {
		uint64_t grey = r->nibbles[first + w->grey_first] & SP_GREY_WORD;
		if (!grey)
			continue;
		uint64_t granule = (first + w->grey_first) * 16 + (unsigned)__builtin_ctzll(grey) / 4;
		return r->base + (granule << r->shift);
	}
	return addr;
}

static void process_many(struct sp_marker *mk, struct sp_region *r, size_t number)
{
	struct sp_window *w = &r->windows[number];
	const unsigned char *loaded = NULL;
	uint64_t addr;

	mk->now = w;
	while ((addr = next_grey(mk, r, w, number * window_words(r)))) {
		if (w->nr_grey > SP_WINDOW_FEW && !loaded)
			loaded = sp_mark_load(mk, r, number);
		scan_grey(mk, r, addr, loaded, number);
	}
	mk->now = NULL;
}

static void process(struct sp_marker *mk, struct sp_region *r, size_t number)
{
	struct sp_extent e;

	if (r->shift) {
		process_many(mk, r, number);
	} else {
		r->code &= SP_CODE_MASK;
		if (sp_region_extent(r, r->start, &e))
			sp_mark_block(mk, &e, NULL, 0);
	}
	r->windows[number].is_queued = false;
}

void sp_mark_drain(struct sp_marker *mk)
{
	while (mk->queue_nr) {
		uint64_t next = mk->queue[mk->queue_first];

		mk->queue_first = (mk->queue_first + 1) % mk->queue_cap;
		mk->queue_nr--;
		process(mk, sp_index_at(&mk->h->index, (size_t)(next >> 32)), (size_t)(next & UINT32_MAX));
	}
}
