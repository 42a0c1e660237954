// SPDX-License-Identifier: Apache-2.0
/*
 * Pages that were read for one block and are there for the next: the nodes of a list that is linked in another order
 * than it was made in come from the same pages again and again, and each by itself. Of a million nodes in random order
 * it makes 12,000 reads instead of a million.
 *
 * A page has one line that it may be in. Lines are memory that is only touched when it is needed. A process that runs
 * while it is read has no cache: what it was is not what it is.
 */
#include "heap/mark.h"

#include <string.h>

enum { MAX_LINES = 1 << 14 };

static const uint64_t LINE_BYTES = SP_PAGE + sizeof(uint64_t);

static uint64_t nr_pages(const struct sp_index *x)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < x->regions.nr && nr < MAX_LINES; i++)
		nr += (sp_index_at(x, i)->end - sp_index_at(x, i)->base + SP_PAGE - 1) / SP_PAGE;
	return nr < MAX_LINES ? nr : MAX_LINES;
}

/* As many lines as the heap has pages and there is room for. Without any, pages are read as they come. */
static void make(struct sp_page_cache *c, struct sp_heap *h)
{
	uint64_t nr = nr_pages(&h->index), room = (h->index.max_bytes - h->index.bytes) / LINE_BYTES;

	c->is_asked_for = true;
	if (nr > room)
		nr = room;
	if (h->src->is_live || !nr || sp_index_charge(&h->index, nr * LINE_BYTES) < 0)
		return;
	c->nr = nr;
	c->pages = calloc(nr, sizeof(*c->pages));
	c->lines = malloc(nr * SP_PAGE);
	if (!c->pages || !c->lines)
		sp_page_cache_done(c, h);
}

void sp_page_cache_done(struct sp_page_cache *c, struct sp_heap *h)
{
	free(c->pages);
	free(c->lines);
	h->index.bytes -= c->nr * LINE_BYTES;
	c->pages = NULL;
	c->lines = NULL;
	c->nr = 0;
}

const unsigned char *sp_page_cache_get(struct sp_page_cache *c, struct sp_heap *h, uint64_t page)
{
	if (!c->is_asked_for)
		make(c, h);
	if (!c->nr)
		return NULL;
	size_t line = page / SP_PAGE % c->nr;
	unsigned char *bytes = c->lines + line * SP_PAGE;

	if (c->pages[line] == page)
		return bytes;
	c->pages[line] = 0; /* no block is there */
	if (sp_heap_read_all(h->src, page, bytes, SP_PAGE) < SP_PAGE)
		return NULL;
	c->pages[line] = page;
	return bytes;
}
