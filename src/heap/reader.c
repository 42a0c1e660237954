// SPDX-License-Identifier: Apache-2.0
/* Reading a source: small reads through a cache, whole windows, and never a page that would have to be brought in. */
#include "heap/index.h"

#include <errno.h>
#include <string.h>

enum {
	LINE = 16 << 10, /* bytes: four pages */
	NR_LINES = 64,
};

struct line {
	uint64_t addr; /* of the line; 1: empty */
	unsigned good; /* a bit for each page that may be used */
};

struct sp_heap_reader {
	const struct sp_heap_source *src;
	struct line lines[NR_LINES];
	unsigned char bytes[NR_LINES][LINE];
};

int sp_heap_reader_new(const struct sp_heap_source *src, struct sp_heap_reader **ret)
{
	struct sp_heap_reader *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->src = src;
	sp_heap_reader_forget(r);
	*ret = r;
	return 0;
}

void sp_heap_reader_free(struct sp_heap_reader *r)
{
	free(r);
}

void sp_heap_reader_forget(struct sp_heap_reader *r)
{
	for (size_t i = 0; i < NR_LINES; i++)
		r->lines[i] = (struct line){.addr = 1};
}

size_t sp_heap_read_all(const struct sp_heap_source *src, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = src->read(src->arg, addr + done, (char *)buf + done, len - done);
		if (n <= 0)
			break;
		done += (size_t)n < len - done ? (size_t)n : len - done;
	}
	return done;
}

static enum sp_heap_pages pages(const struct sp_heap_source *src, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	enum sp_heap_pages kind = SP_HEAP_PAGES_RESIDENT;
	uint64_t run = end;

	if (src->pages)
		kind = src->pages(src->arg, addr, end, &run);
	*ret_end = run > addr && run < end ? run : end;
	return kind;
}

static uint64_t bits(uint64_t from, uint64_t to)
{
	return from >= to ? 0 : (~(uint64_t)0 >> (64 - (to - from))) << from;
}

void sp_heap_page_bits(const struct sp_heap_source *src, uint64_t addr, uint64_t end, uint64_t *ret_resident,
		       uint64_t *ret_away)
{
	uint64_t resident = 0, away = 0, run_end;

	if (end > addr + SP_WINDOW)
		end = addr + SP_WINDOW;
	for (uint64_t at = addr; at < end; at = run_end) {
		enum sp_heap_pages kind = pages(src, at, end, &run_end);
		uint64_t run = bits((at - addr) / SP_PAGE, (run_end - addr + SP_PAGE - 1) / SP_PAGE);

		resident |= kind == SP_HEAP_PAGES_RESIDENT ? run : 0;
		away |= kind == SP_HEAP_PAGES_AWAY ? run : 0;
	}
	*ret_resident = resident;
	*ret_away = away;
}

/* Zeros where nothing was ever written; without what is away, unreadable or not mapped. */
static void load(struct sp_heap_reader *r, struct line *line, unsigned char *bytes, uint64_t addr)
{
	uint64_t run_end, end = addr + LINE;

	*line = (struct line){.addr = addr};
	for (uint64_t at = addr; at < end; at = run_end) {
		const struct sp_mapping *m = sp_maps_find(r->src->maps, at);

		run_end = at + SP_PAGE;
		if (!m)
			continue;
		enum sp_heap_pages kind = pages(r->src, at, m->end < end ? m->end : end, &run_end);
		size_t len = kind == SP_HEAP_PAGES_AWAY ? 0 : (size_t)(run_end - at);

		if (kind == SP_HEAP_PAGES_EMPTY)
			memset(bytes + (at - addr), 0, len);
		else if (len)
			len = sp_heap_read_all(r->src, at, bytes + (at - addr), len);
		for (uint64_t page = at; page + SP_PAGE <= at + len; page += SP_PAGE)
			line->good |= 1u << ((page - addr) / SP_PAGE);
	}
}

static bool get_in_line(struct sp_heap_reader *r, uint64_t addr, void *buf, size_t len)
{
	uint64_t base = addr & ~(uint64_t)(LINE - 1);
	size_t i = (size_t)(base / LINE * 0x9e3779b97f4a7c15u >> 58);

	if (r->lines[i].addr != base)
		load(r, &r->lines[i], r->bytes[i], base);
	for (uint64_t page = (addr - base) / SP_PAGE; page <= (addr - base + len - 1) / SP_PAGE; page++)
		if (!(r->lines[i].good >> page & 1))
			return false;
	memcpy(buf, r->bytes[i] + (addr - base), len);
	return true;
}

bool sp_heap_get(struct sp_heap_reader *r, uint64_t addr, void *buf, size_t len)
{
	if (addr >= SP_ADDRESS_END || len > SP_ADDRESS_END - addr)
		return false;
	while (len) {
		size_t part = LINE - (size_t)(addr & (LINE - 1));
		if (part > len)
			part = len;
		if (!get_in_line(r, addr, buf, part))
			return false;
		addr += part;
		buf = (char *)buf + part;
		len -= part;
	}
	return true;
}

bool sp_heap_get_u64(struct sp_heap_reader *r, uint64_t addr, uint64_t *ret)
{
	return sp_heap_get(r, addr, ret, sizeof(*ret));
}

/* Where the pages end, from the one around addr on, that nobody has ever written; addr: it is not such a page. */
static uint64_t empty_until(const struct sp_heap_reader *r, uint64_t addr, uint64_t end)
{
	const struct sp_mapping *m = sp_maps_find(r->src->maps, addr);
	uint64_t page = addr & ~(uint64_t)(SP_PAGE - 1), run_end;

	if (!m || pages(r->src, page, m->end < end ? m->end : end, &run_end) != SP_HEAP_PAGES_EMPTY)
		return addr;
	return run_end;
}

bool sp_heap_first_word(struct sp_heap_reader *r, uint64_t addr, uint64_t nr, uint64_t *pages_left, uint64_t *ret_nr,
			uint64_t *ret)
{
	uint64_t words[SP_PAGE / 8];

	for (uint64_t at = 0; at < nr && *pages_left; --*pages_left) {
		uint64_t empty = (empty_until(r, addr + at * 8, addr + nr * 8) - addr) / 8;

		if (empty > at) { /* one step, however large: an untouched array is large */
			at = empty;
			continue;
		}
		if (!sp_heap_get(r, addr + at * 8, words, sizeof(words)))
			return false;
		for (size_t i = 0; i < SP_ARRAY_SIZE(words); i++) {
			if (!words[i])
				continue;
			*ret_nr = at + i;
			*ret = words[i];
			return true;
		}
		at += SP_ARRAY_SIZE(words);
	}
	return false;
}
