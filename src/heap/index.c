// SPDX-License-Identifier: Apache-2.0
/* Regions and their nibbles: see index.h. */
#include "heap/index.h"

#include <errno.h>
#include <string.h>

static const size_t FILTER_WORDS = (size_t)(SP_ADDRESS_END >> SP_FILTER_SHIFT) / 64;

int sp_index_init(struct sp_index *x, uint64_t max_bytes)
{
	*x = (struct sp_index){.max_bytes = max_bytes};
	sp_vec_init(&x->regions, sizeof(struct sp_region), SP_MAX_REGIONS);
	x->filter = calloc(FILTER_WORDS, sizeof(uint64_t));
	if (!x->filter)
		return -ENOMEM;
	x->bytes = FILTER_WORDS * sizeof(uint64_t);
	return 0;
}

static uint64_t region_words(const struct sp_region *r)
{
	return r->shift ? (((r->end - r->base) >> r->shift) + 15) / 16 : 0;
}

static uint64_t words_up(uint64_t words)
{
	return (words + 63) / 64;
}

static uint64_t region_bytes(const struct sp_region *r)
{
	uint64_t words = region_words(r);

	return sizeof(*r) + (words + words_up(words) + words_up(words_up(words))) * sizeof(uint64_t) +
	       (r->windows ? sp_region_nr_windows(r) * sizeof(struct sp_window) : 0);
}

static void region_done(struct sp_region *r)
{
	free(r->nibbles);
	free(r->sum1);
	free(r->sum2);
	free(r->windows);
}

void sp_index_done(struct sp_index *x)
{
	for (size_t i = 0; i < x->regions.nr; i++)
		region_done(sp_index_at(x, i));
	sp_vec_done(&x->regions);
	free(x->filter);
	*x = (struct sp_index){};
}

int sp_index_charge(struct sp_index *x, uint64_t bytes)
{
	if (bytes > x->max_bytes || x->bytes > x->max_bytes - bytes)
		return -ENOSPC;
	x->bytes += bytes;
	return 0;
}

size_t sp_index_from(const struct sp_index *x, uint64_t addr)
{
	size_t low = 0, high = x->regions.nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (sp_index_at(x, mid)->end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct sp_region *sp_index_region(const struct sp_index *x, uint64_t addr)
{
	size_t i = sp_index_from(x, addr);

	return i < x->regions.nr && sp_index_at(x, i)->start <= addr ? sp_index_at(x, i) : NULL;
}

static int region_alloc(struct sp_region *r)
{
	uint64_t words = region_words(r);

	if (!words)
		return 0;
	r->nibbles = calloc(words, sizeof(uint64_t));
	r->sum1 = calloc(words_up(words), sizeof(uint64_t));
	r->sum2 = calloc(words_up(words_up(words)), sizeof(uint64_t));
	return r->nibbles && r->sum1 && r->sum2 ? 0 : -ENOMEM;
}

/* At its place, which is nearly always the end: models tell regions by address. */
static int insert(struct sp_index *x, size_t at, const struct sp_region *r)
{
	int rc = sp_vec_push(&x->regions, r);

	if (rc < 0)
		return rc;
	struct sp_region *slot = sp_index_at(x, at);
	memmove(slot + 1, slot, (x->regions.nr - 1 - at) * sizeof(*slot));
	*slot = *r;
	return 0;
}

static void filter_add(struct sp_index *x, const struct sp_region *r)
{
	for (uint64_t unit = r->start >> SP_FILTER_SHIFT; unit <= (r->end - 1) >> SP_FILTER_SHIFT; unit++)
		x->filter[unit / 64] |= (uint64_t)1 << (unit % 64);
}

int sp_index_add(struct sp_index *x, const struct sp_heap_region *told, unsigned model)
{
	unsigned granule = told->granule ? told->granule : 1;

	if ((granule != 1 && granule != 8 && granule != 16) || told->start >= told->end || told->end > SP_ADDRESS_END ||
	    told->start % granule || told->end % granule || told->tail > 64)
		return -EINVAL;
	struct sp_region r = {.start = told->start,
			      .end = told->end,
			      .base = told->start & ~(uint64_t)(SP_PAGE - 1),
			      .model = model,
			      .tail = told->granule ? (uint8_t)told->tail : 0,
			      .shift = (uint8_t)__builtin_ctz(granule),
			      .code = SP_CODE_UNREACHED,
			      .gaps_are_roots = told->gaps_are_roots};
	size_t at = sp_index_from(x, r.start);
	if (at < x->regions.nr && sp_index_at(x, at)->start < r.end)
		return -EEXIST;

	uint64_t bytes = region_bytes(&r);
	int rc = sp_index_charge(x, bytes);
	if (rc < 0)
		return rc;
	rc = region_alloc(&r);
	if (rc == 0)
		rc = insert(x, at, &r);
	if (rc < 0) {
		region_done(&r);
		x->bytes -= bytes;
		return rc;
	}
	filter_add(x, &r);
	return 0;
}

void sp_index_drop(struct sp_index *x, struct sp_region *r)
{
	size_t at = (size_t)(r - sp_index_at(x, 0));

	x->bytes -= region_bytes(r);
	region_done(r);
	memmove(r, r + 1, (x->regions.nr - 1 - at) * sizeof(*r));
	x->regions.nr--;
}

/* ---- nibbles ---- */

uint8_t sp_region_code(const struct sp_region *r, uint64_t addr)
{
	if (!r->shift)
		return addr == r->start ? r->code : SP_CODE_NONE;
	uint64_t g = (addr - r->base) >> r->shift;
	return (uint8_t)(r->nibbles[g / 16] >> (g % 16 * 4) & 15);
}

void sp_region_set(struct sp_region *r, uint64_t addr, uint8_t code)
{
	if (!r->shift) {
		r->code = code;
		return;
	}
	uint64_t g = (addr - r->base) >> r->shift, word = g / 16;
	unsigned bit = (unsigned)(g % 16 * 4);

	r->nibbles[word] = (r->nibbles[word] & ~((uint64_t)15 << bit)) | (uint64_t)code << bit;
	r->sum1[word / 64] |= (uint64_t)1 << (word % 64);
	r->sum2[word / 4096] |= (uint64_t)1 << (word / 64 % 64);
}

/* Highest set bit at or below `bit`; false: none. */
static bool bit_below(uint64_t word, uint64_t bit, uint64_t *ret)
{
	word &= ~(uint64_t)0 >> (63 - bit);
	if (!word)
		return false;
	*ret = 63 - (uint64_t)__builtin_clzll(word);
	return true;
}

/* Lowest set bit at or above `bit`; false: none. */
static bool bit_above(uint64_t word, uint64_t bit, uint64_t *ret)
{
	word &= ~(uint64_t)0 << bit;
	if (!word)
		return false;
	*ret = (uint64_t)__builtin_ctzll(word);
	return true;
}

/* The last word of nibbles before `word` that has something. */
static bool word_before(const struct sp_region *r, uint64_t word, uint64_t *ret)
{
	uint64_t bit, group;

	if (!word)
		return false;
	word--;
	if (bit_below(r->sum1[word / 64], word % 64, &bit)) {
		*ret = word / 64 * 64 + bit;
		return true;
	}
	group = word / 64;
	if (!group)
		return false;
	group--;
	for (uint64_t i = group / 64 + 1; i-- > 0;) {
		if (!bit_below(r->sum2[i], i == group / 64 ? group % 64 : 63, &bit))
			continue;
		group = i * 64 + bit;
		if (!bit_below(r->sum1[group], 63, &bit))
			return false;
		*ret = group * 64 + bit;
		return true;
	}
	return false;
}

/* The first word of nibbles behind `word` that has something. */
static bool word_after(const struct sp_region *r, uint64_t word, uint64_t *ret)
{
	uint64_t nr = region_words(r), nr_groups = words_up(nr), bit, group;

	if (++word >= nr)
		return false;
	if (bit_above(r->sum1[word / 64], word % 64, &bit)) {
		*ret = word / 64 * 64 + bit;
		return true;
	}
	group = word / 64 + 1;
	for (uint64_t i = group / 64; group < nr_groups && i < words_up(nr_groups); i++) {
		if (!bit_above(r->sum2[i], i == group / 64 ? group % 64 : 0, &bit))
			continue;
		group = i * 64 + bit;
		if (!bit_above(r->sum1[group], 0, &bit))
			return false;
		*ret = group * 64 + bit;
		return true;
	}
	return false;
}

/* The granule at or before g where an extent begins. */
static bool begin_at_or_before(const struct sp_region *r, uint64_t g, uint64_t *ret)
{
	uint64_t word = g / 16, bit;

	if (!bit_below(r->nibbles[word], g % 16 * 4 + 3, &bit)) {
		if (!word_before(r, word, &word) || !bit_below(r->nibbles[word], 63, &bit))
			return false;
	}
	*ret = word * 16 + bit / 4;
	return true;
}

/* The granule at or behind g where an extent begins; the region's end when there is none. */
static uint64_t begin_at_or_after(const struct sp_region *r, uint64_t g)
{
	uint64_t word = g / 16, bit, end = (r->end - r->base) >> r->shift;

	if (g >= end)
		return end;
	if (!bit_above(r->nibbles[word], g % 16 * 4, &bit)) {
		if (!word_after(r, word, &word) || !bit_above(r->nibbles[word], 0, &bit))
			return end;
	}
	return word * 16 + bit / 4;
}

static void fill(struct sp_region *r, uint64_t g, struct sp_extent *ret)
{
	uint64_t start = r->base + (g << r->shift);

	*ret = (struct sp_extent){.region = r,
				  .start = start,
				  .end = r->base + (begin_at_or_after(r, g + 1) << r->shift),
				  .code = sp_region_code(r, start)};
}

bool sp_region_extent(struct sp_region *r, uint64_t addr, struct sp_extent *ret)
{
	uint64_t g;

	if (!r->shift) {
		*ret = (struct sp_extent){.region = r, .start = r->start, .end = r->end, .code = r->code};
		return true;
	}
	if (!begin_at_or_before(r, (addr - r->base) >> r->shift, &g))
		return false;
	fill(r, g, ret);
	return true;
}

bool sp_region_next(struct sp_region *r, uint64_t addr, struct sp_extent *ret)
{
	if (addr < r->start)
		addr = r->start;
	if (!r->shift)
		return addr == r->start && sp_region_extent(r, addr, ret);
	if (addr >= r->end)
		return false;
	uint64_t granule = (uint64_t)1 << r->shift;
	uint64_t g = begin_at_or_after(r, (addr - r->base + granule - 1) >> r->shift);
	if (r->base + (g << r->shift) >= r->end)
		return false;
	fill(r, g, ret);
	return true;
}
