// SPDX-License-Identifier: Apache-2.0
/*
 * musl's allocator since 1.2.1 (mallocng).
 *
 *   context {secret, ..., first area, last area, ...}     in libc's data, or the program's when that is static
 *   area    {secret, next, number, metas[]}               a page; musl's own
 *   meta    {links, group, masks, last slot, class, pages}
 *   group   {meta, ..., slots[]}                          mapped, or in a slot of a larger group, or in a library's gap
 *
 * The context is found by its secret, which the first and the last area repeat. Every meta's group must lead back to
 * the meta, its slots must fit into its pages, each block's header must give its slot and its distance from the group,
 * and the slots of each class must add up to what the context counts. Slots that neither mask names are in use. There
 * are no caches: what is freed is free.
 *
 * A slot in use holds one block, which begins a multiple of 16 bytes into it, or a whole group.
 */
#include "heap/musl.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum {
	PAGE = 4096,
	NR_CLASSES = SP_MUSL_NR_CLASSES,
	CLASS_MAPPED = 63, /* one block with a mapping of its own */
	AREA_HEAD = 24,
	META_BYTES = 40,
	NR_METAS = (PAGE - AREA_HEAD) / META_BYTES,
	MAX_AREAS = 1 << 20,
	MAX_DATA = 256 << 20, /* of one module */
	TRIES = 3,
	/* in struct malloc_context, src/malloc/mallocng/meta.h, with the page size built in as on x86-64 */
	CTX_INIT_DONE = 8,
	CTX_AVAIL_META = 24,
	CTX_AREA_HEAD = 56,
	CTX_AREA_TAIL = 64,
	CTX_USAGE = 464,
};

/* Bytes of a slot in units of 16 (malloc.c: size_classes). */
static const uint16_t CLASS_UNITS[NR_CLASSES] = {
    1,   2,   3,   4,    5,    6,    7,    8,    9,    10,   12,   15,   18,   20,   25,   31,
    36,  42,  50,  63,   72,   84,   102,  127,  146,  170,  204,  255,  292,  340,  409,  511,
    584, 682, 818, 1023, 1169, 1364, 1637, 2047, 2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191,
};

int sp_musl_doubt(struct sp_musl *mu, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(mu->why, sizeof(mu->why), fmt, args);
	va_end(args);
	return 0;
}

/* ---- finding ---- */

static bool get(const struct sp_musl *mu, uint64_t addr, uint64_t *ret)
{
	return sp_heap_get_u64(mu->r, addr, ret);
}

/* Whether a word at `at` that leads to an area is the context's. */
static bool is_context(struct sp_musl *mu, uint64_t at, uint64_t area)
{
	uint64_t context = at - CTX_AREA_HEAD, secret, check, tail, last_check, next, init;

	return area % PAGE == 0 && get(mu, context, &secret) && secret && get(mu, area, &check) && check == secret &&
	       get(mu, context + CTX_AREA_TAIL, &tail) && tail && tail % PAGE == 0 && get(mu, tail, &last_check) &&
	       last_check == secret && get(mu, tail + 8, &next) && !next && get(mu, context + CTX_INIT_DONE, &init) &&
	       (uint32_t)init == 1;
}

static bool find_context(struct sp_musl *mu, const struct sp_heap_data *d)
{
	uint64_t words[PAGE / 8], end = d->end - d->start > MAX_DATA ? d->start + MAX_DATA : d->end;

	for (uint64_t at = d->start; at < end; at += PAGE) {
		if (!sp_heap_get(mu->r, at, words, sizeof(words)))
			continue;
		for (unsigned i = 0; i < SP_ARRAY_SIZE(words); i++) {
			if (!words[i] || !is_context(mu, at + i * 8u, words[i]))
				continue;
			mu->context = at + i * 8u - CTX_AREA_HEAD;
			return true;
		}
	}
	return false;
}

/* ---- metas ---- */

static unsigned nr_slots(const struct sp_musl_group *g)
{
	return g->last + 1u;
}

/* The fields of a meta at `at`. 1; 0: it cannot be. Also 1 with mem 0: not in use. */
static int read_meta(struct sp_musl *mu, uint64_t at, struct sp_musl_group *ret)
{
	uint64_t words[META_BYTES / 8], back;

	if (!sp_heap_get(mu->r, at, words, sizeof(words)))
		return sp_musl_doubt(mu, "a page of its own cannot be read");
	unsigned class = (unsigned)(words[4] >> 6 & 63);
	*ret = (struct sp_musl_group){.mem = words[2],
				      .avail = (uint32_t)words[3],
				      .freed = (uint32_t)(words[3] >> 32),
				      .last = (uint8_t)(words[4] & 31),
				      .is_freeable = words[4] >> 5 & 1,
				      .class = (uint8_t) class,
				      .bytes = (words[4] >> 12) * PAGE};
	if (!ret->mem)
		return 1;
	uint32_t all = (uint32_t)(((uint64_t)2 << ret->last) - 1);
	bool is_class = class < NR_CLASSES || (class == CLASS_MAPPED && !ret->last && ret->bytes);
	if (ret->mem % 16 || !get(mu, ret->mem, &back) || back != at || !is_class || (ret->avail | ret->freed) & ~all ||
	    (ret->avail & ret->freed))
		return sp_musl_doubt(mu, "the group of 0x%llx does not agree with it", (unsigned long long)at);
	ret->is_mapped = ret->bytes != 0;
	ret->stride = !ret->last && ret->is_mapped ? ret->bytes - SP_MUSL_UNIT
						   : (uint64_t)CLASS_UNITS[class % NR_CLASSES] * SP_MUSL_UNIT;
	uint64_t needed = ret->stride * nr_slots(ret) + SP_MUSL_UNIT;
	if (!ret->is_mapped)
		ret->bytes = needed;
	if (needed > ret->bytes || ret->bytes > SP_MUSL_ADDRESS_END - ret->mem)
		return sp_musl_doubt(mu, "the slots of 0x%llx do not fit into its pages", (unsigned long long)at);
	return 1;
}

static int collect_area(struct sp_musl *mu, uint64_t area, uint64_t end)
{
	struct sp_musl_group g = {};
	int rc = 1;

	for (uint64_t at = area + AREA_HEAD; at < end && rc > 0; at += META_BYTES) {
		rc = read_meta(mu, at, &g);
		if (rc <= 0 || !g.mem)
			continue;
		if (g.is_freeable && g.class < NR_CLASSES)
			mu->slots[g.class] += nr_slots(&g);
		rc = sp_vec_push(&mu->groups, &g);
		rc = rc < 0 ? rc : 1;
	}
	return rc;
}

static int count_agrees(struct sp_musl *mu)
{
	uint64_t usage[NR_CLASSES];

	if (!sp_heap_get(mu->r, mu->context + CTX_USAGE, usage, sizeof(usage)))
		return sp_musl_doubt(mu, "its counters cannot be read");
	for (unsigned i = 0; i < NR_CLASSES; i++)
		if (usage[i] != mu->slots[i])
			return sp_musl_doubt(mu, "%llu slots of class %u, and it counts %llu",
					     (unsigned long long)mu->slots[i], i, (unsigned long long)usage[i]);
	return 1;
}

/* All groups, in the order of their metas. */
static int collect(struct sp_musl *mu)
{
	uint64_t area, secret, check, avail, next;
	int rc = 1;

	mu->groups.nr = 0;
	memset(mu->slots, 0, sizeof(mu->slots));
	if (!get(mu, mu->context, &secret) || !get(mu, mu->context + CTX_AVAIL_META, &avail) ||
	    !get(mu, mu->context + CTX_AREA_HEAD, &area))
		return sp_musl_doubt(mu, "its context cannot be read");
	for (unsigned i = 0; area && rc > 0; i++, area = next) {
		if (i == MAX_AREAS || area % PAGE || !get(mu, area, &check) || check != secret ||
		    !get(mu, area + 8, &next))
			return sp_musl_doubt(mu, "the pages of its own are not linked");
		uint64_t end = area + AREA_HEAD + NR_METAS * META_BYTES;
		rc = collect_area(mu, area, next || avail < area || avail > end ? end : avail);
	}
	return rc > 0 ? count_agrees(mu) : rc;
}

/* ---- the walk ---- */

static uint64_t untell(struct sp_musl *mu)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < mu->groups.nr; i++) {
		const struct sp_musl_group *g = sp_vec_at(&mu->groups, struct sp_musl_group, i);

		if (sp_musl_is_nested(g))
			continue;
		sp_heap_drop_region(mu->sink, g->mem);
		bytes += g->bytes;
	}
	return bytes;
}

static int walk_context(struct sp_musl *mu)
{
	uint64_t bytes = 0;
	int rc = 0;

	for (unsigned i = 0; i < (mu->src->is_live ? TRIES : 1) && rc == 0; i++) {
		if (i)
			sp_heap_reader_forget(mu->r);
		rc = collect(mu);
		if (rc > 0)
			rc = sp_musl_tell(mu);
		if (rc == -EEXIST || rc == -EINVAL)
			rc = sp_musl_doubt(mu, "its groups cannot all be memory of its own");
		if (rc == 0)
			bytes = untell(mu);
	}
	if (rc == 0)
		sp_heap_give_up(mu->sink, bytes, "musl's heap does not verify: %s", mu->why);
	return rc;
}

static int walk(const struct sp_heap_source *src, struct sp_heap_reader *r, struct sp_heap_sink *s)
{
	struct sp_musl mu = {.src = src, .r = r, .sink = s};
	struct sp_heap_data data = {};
	int rc = 0;

	sp_vec_init(&mu.groups, sizeof(struct sp_musl_group), (size_t)MAX_AREAS * NR_METAS);
	while (rc >= 0 && sp_heap_next_data(src->maps, &data))
		if (find_context(&mu, &data))
			rc = walk_context(&mu);
	sp_vec_done(&mu.groups);
	return rc < 0 ? rc : 0;
}

const struct sp_heap_model sp_heap_musl = {.name = "musl", .walk = walk};
