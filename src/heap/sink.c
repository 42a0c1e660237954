// SPDX-License-Identifier: Apache-2.0
/* Where the models' findings go: into the index. */
#include "heap/sink.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* The region around addr; models tell a region's blocks one after the other, so mostly the same as before. */
static struct sp_region *region_of(const struct sp_heap_sink *s, uint64_t addr)
{
	const struct sp_index *x = &s->heap->index;

	if (s->last < x->regions.nr) {
		struct sp_region *r = sp_index_at(x, s->last);
		if (r->start <= addr && addr < r->end)
			return r;
	}
	return sp_index_region(x, addr);
}

static bool begins(const struct sp_region *r, uint64_t addr)
{
	return r->shift ? !((addr - r->start) & (((uint64_t)1 << r->shift) - 1)) : addr == r->start;
}

int sp_heap_add_region(struct sp_heap_sink *s, const struct sp_heap_region *r)
{
	int rc = sp_index_add(&s->heap->index, r, s->model);

	if (rc == 0)
		s->last = sp_index_from(&s->heap->index, r->start);
	return rc;
}

static int add(struct sp_heap_sink *s, uint64_t addr, uint8_t code)
{
	struct sp_region *r = region_of(s, addr);

	if (!r || r->model != s->model || !begins(r, addr))
		return -EINVAL;
	s->last = (size_t)(r - sp_index_at(&s->heap->index, 0));
	sp_region_set(r, addr, code);
	return 0;
}

int sp_heap_add_used(struct sp_heap_sink *s, uint64_t addr)
{
	return add(s, addr, SP_CODE_UNREACHED);
}

int sp_heap_add_free(struct sp_heap_sink *s, uint64_t addr)
{
	return add(s, addr, SP_CODE_FREE);
}

void sp_heap_drop_region(struct sp_heap_sink *s, uint64_t start)
{
	struct sp_region *r = sp_index_region(&s->heap->index, start);

	if (r && r->start == start && r->model == s->model)
		sp_index_drop(&s->heap->index, r);
}

bool sp_heap_told(const struct sp_heap_sink *s, uint64_t addr, bool *ret_used, uint64_t *ret_size)
{
	struct sp_region *r = region_of(s, addr);
	struct sp_extent e;

	if (!r || r->model != s->model || !begins(r, addr) || !sp_region_code(r, addr) ||
	    !sp_region_extent(r, addr, &e))
		return false;
	*ret_used = sp_code_is_used(e.code);
	*ret_size = sp_extent_usable(&e);
	return true;
}

void sp_heap_give_up(struct sp_heap_sink *s, uint64_t bytes, const char *fmt, ...)
{
	struct sp_heap_model_info *info = &s->heap->models[s->model];
	char text[sizeof(info->gave_up)];
	va_list args;

	s->heap->lost.unjudged_bytes += bytes;
	if (info->gave_up[0])
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sp_text_printable(info->gave_up, sizeof(info->gave_up), text);
}
