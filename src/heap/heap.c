// SPDX-License-Identifier: Apache-2.0
/* A heap from its models' walks, and what one may ask of it. */
#include "heap/sink.h"

#include <errno.h>
#include <string.h>

const struct sp_heap_model *const sp_heap_models[] = {&sp_heap_glibc,    &sp_heap_jemalloc,        &sp_heap_musl,
						      &sp_heap_tcmalloc, &sp_heap_recorded_blocks, NULL};

static const uint64_t MIN_BYTES = (uint64_t)64 << 20;

/* A tenth of the memory that may be heap. */
static uint64_t default_max_bytes(const struct sp_heap_source *src)
{
	uint64_t writable = 0;

	for (size_t i = 0; i < src->maps->nr; i++)
		if (src->maps->list[i].prot & SP_PROT_W)
			writable += src->maps->list[i].end - src->maps->list[i].start;
	return writable / 10 > MIN_BYTES ? writable / 10 : MIN_BYTES;
}

static void sum_extents(struct sp_heap *h, struct sp_region *r)
{
	struct sp_heap_model_info *info = &h->models[r->model];
	struct sp_extent e;

	info->region_bytes += r->end - r->start;
	info->nr_regions++;
	for (uint64_t at = r->start; sp_region_next(r, at, &e); at = e.end) {
		bool used = sp_code_is_used(e.code);

		info->used_blocks += used;
		info->used_bytes += used ? sp_extent_usable(&e) : 0;
		info->free_blocks += !used;
		info->free_bytes += used ? 0 : sp_extent_usable(&e);
	}
}

static void sum_models(struct sp_heap *h)
{
	for (size_t i = 0; i < h->index.regions.nr; i++)
		sum_extents(h, sp_index_at(&h->index, i));
	for (unsigned i = 0; sp_heap_models[i]; i++)
		if (h->models[i].nr_regions || h->models[i].gave_up[0])
			h->shown[h->nr_shown++] = i;
}

static int walk(struct sp_heap *h, struct sp_why *why)
{
	for (unsigned i = 0; sp_heap_models[i]; i++) {
		struct sp_heap_sink sink = {.heap = h, .model = i};

		h->models[i].name = sp_heap_models[i]->name;
		int rc = sp_heap_models[i]->walk(h->src, h->reader, &sink);
		if (rc == -ENOSPC)
			(void)sp_why_set(why, SP_FAULT_OURS, ENOSPC,
					 "the heap needs more than the %llu MiB that may be used to look at it",
					 (unsigned long long)(h->index.max_bytes >> 20));
		if (rc < 0)
			return rc;
	}
	sum_models(h);
	return 0;
}

int sp_heap_open(const struct sp_heap_source *src, const struct sp_heap_limits *limits, struct sp_heap **ret,
		 struct sp_why *why)
{
	struct sp_heap *h = calloc(1, sizeof(*h));

	_Static_assert(SP_ARRAY_SIZE(sp_heap_models) <= SP_MAX_MODELS, "a place for each model");
	if (!h)
		return -ENOMEM;
	h->src = src;
	int rc = sp_index_init(&h->index, limits && limits->max_bytes ? limits->max_bytes : default_max_bytes(src));
	if (rc == 0)
		rc = sp_heap_reader_new(src, &h->reader);
	if (rc == 0)
		rc = walk(h, why);
	if (rc < 0) {
		sp_heap_close(h);
		return rc;
	}
	*ret = h;
	return 0;
}

void sp_heap_close(struct sp_heap *h)
{
	if (!h)
		return;
	sp_heap_reader_free(h->reader);
	sp_index_done(&h->index);
	free(h);
}

unsigned sp_heap_nr_models(const struct sp_heap *h)
{
	return h->nr_shown;
}

const struct sp_heap_model_info *sp_heap_model_info(const struct sp_heap *h, unsigned i)
{
	return &h->models[h->shown[i]];
}

/* As the public functions number the models. */
static unsigned shown_number(const struct sp_heap *h, unsigned model)
{
	unsigned i = 0;

	while (i + 1 < h->nr_shown && h->shown[i] != model)
		i++;
	return i;
}

size_t sp_heap_nr_regions(const struct sp_heap *h)
{
	return h->index.regions.nr;
}

void sp_heap_region_info(const struct sp_heap *h, size_t i, struct sp_heap_region_info *ret)
{
	const struct sp_region *r = sp_index_at(&h->index, i);

	*ret = (struct sp_heap_region_info){.start = r->start, .end = r->end, .model = shown_number(h, r->model)};
}

static enum sp_heap_class class_of(uint8_t code)
{
	static const enum sp_heap_class table[] = {
	    [SP_CODE_NONE] = SP_HEAP_FREE,          [SP_CODE_FREE] = SP_HEAP_FREE,
	    [SP_CODE_UNREACHED] = SP_HEAP_UNJUDGED, [SP_CODE_REACHED] = SP_HEAP_REACHED,
	    [SP_CODE_MAYBE] = SP_HEAP_UNJUDGED,     [SP_CODE_POSSIBLE] = SP_HEAP_POSSIBLE,
	    [SP_CODE_LEAKED] = SP_HEAP_LEAKED,      [SP_CODE_INDIRECT] = SP_HEAP_INDIRECT,
	};
	return table[code & SP_CODE_MASK];
}

static struct sp_heap_block block_of(const struct sp_heap *h, const struct sp_extent *e)
{
	return (struct sp_heap_block){.addr = e->start,
				      .size = sp_extent_usable(e),
				      .class = class_of(e->code),
				      .model = shown_number(h, e->region->model)};
}

int sp_heap_for_each(const struct sp_heap *h, sp_heap_block_fn fn, void *arg)
{
	struct sp_extent e;

	for (size_t i = 0; i < h->index.regions.nr; i++) {
		struct sp_region *r = sp_index_at(&h->index, i);

		for (uint64_t at = r->start; sp_region_next(r, at, &e); at = e.end) {
			if (!sp_code_is_used(e.code))
				continue;
			struct sp_heap_block b = block_of(h, &e);
			int rc = fn(&b, arg);
			if (rc)
				return rc;
		}
	}
	return 0;
}

bool sp_heap_at(const struct sp_heap *h, uint64_t addr, struct sp_heap_block *ret)
{
	struct sp_region *r = sp_index_region(&h->index, addr);
	struct sp_extent e;

	if (!r || !sp_region_extent(r, addr, &e))
		return false;
	if (addr != e.start && addr - e.start >= sp_extent_usable(&e))
		return false;
	*ret = block_of(h, &e);
	return true;
}

bool sp_heap_find(const struct sp_heap *h, uint64_t addr, struct sp_heap_block *ret)
{
	struct sp_heap_block b;

	if (!sp_heap_at(h, addr, &b) || b.class == SP_HEAP_FREE)
		return false;
	*ret = b;
	return true;
}

void sp_heap_lost(const struct sp_heap *h, struct sp_heap_lost *ret)
{
	*ret = h->lost;
}

uint64_t sp_heap_cost(const struct sp_heap *h)
{
	return h->index.bytes;
}
