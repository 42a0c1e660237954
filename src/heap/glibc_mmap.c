// SPDX-License-Identifier: Apache-2.0
/*
 * glibc: large blocks, each a mapping of its own.
 *
 * Such a chunk has flag 2 alone, and prev_size is what was skipped at the front for an alignment, so that both together
 * are whole pages. The kernel merges neighbouring mappings, so chunks also stand behind one another, and anything of
 * the program may stand between. Its own bytes could look like such a header: therefore the number of chunks and their
 * bytes must agree with what the allocator counts, or none of them is judged.
 */
#include "heap/glibc.h"

#include <errno.h>
#include <string.h>

struct found {
	uint64_t start, mem, end; /* the pages, the block */
};

struct search {
	struct sp_glibc *g;
	struct sp_vec list; /* struct found */
	uint64_t bytes;
	uint64_t nr_wanted, bytes_wanted; /* by the counters */
	uint64_t pages_left;              /* that may be looked at one by one */
};

enum {
	MAX_FOUND = 1 << 20,
	MAX_PAGES = 1 << 24, /* 64 GiB; address space that is only reserved may be terabytes */
	PAGE = 4096,
};

static bool is_chunk(const struct sp_glibc *g, uint64_t start, uint64_t skipped, uint64_t end, struct found *ret)
{
	uint64_t words[2], size;

	if (skipped > end - start || end - start - skipped < GLIBC_HEADER ||
	    !sp_heap_get(g->reader, start + skipped, words, sizeof(words)))
		return false;
	size = words[1] & ~(uint64_t)GLIBC_SIZE_FLAGS;
	if (words[0] != skipped || (words[1] & GLIBC_SIZE_FLAGS) != GLIBC_IS_MMAPPED || size < GLIBC_MIN_CHUNK ||
	    size > end - start - skipped || (size + skipped) % PAGE)
		return false;
	*ret = (struct found){.start = start, .mem = start + skipped + GLIBC_HEADER, .end = start + skipped + size};
	return true;
}

/* A chunk whose pages begin here; its block may have any alignment. */
static bool is_chunk_at(const struct sp_glibc *g, uint64_t start, uint64_t end, struct found *ret)
{
	if (is_chunk(g, start, 0, end, ret))
		return true;
	for (uint64_t align = 32; align <= (uint64_t)1 << 30 && align <= end - start; align *= 2) {
		uint64_t mem = (start + GLIBC_HEADER + align - 1) & ~(align - 1);
		if (is_chunk(g, start, mem - GLIBC_HEADER - start, end, ret))
			return true;
	}
	return false;
}

static bool is_complete(const struct search *s)
{
	return s->list.nr >= s->nr_wanted && s->bytes >= s->bytes_wanted;
}

static int add(struct search *s, const struct found *f)
{
	int rc = sp_vec_push(&s->list, f);

	if (rc == 0)
		s->bytes += f->end - f->start;
	return rc == -ENOSPC ? 0 : rc;
}

/*
 * Chunks from `at` right behind one another: from the start of a mapping, nearly all of them. Returns where the row
 * ends. `keep` false: they are known already.
 */
static int search_row(struct search *s, const struct sp_mapping *m, bool keep, uint64_t *at)
{
	struct found f;
	int rc = 0;

	while (*at < m->end && rc == 0 && is_chunk_at(s->g, *at, m->end, &f)) {
		rc = keep ? add(s, &f) : 0;
		*at = f.end;
	}
	return rc;
}

/* Every page behind that row, for chunks with something of the program before them. */
static int search_pages(struct search *s, const struct sp_mapping *m)
{
	uint64_t at = m->start;
	int rc = search_row(s, m, false, &at);

	for (; at < m->end && rc == 0 && !is_complete(s) && s->pages_left; at += PAGE, s->pages_left--)
		rc = search_row(s, m, true, &at);
	return rc;
}

/* Private anonymous memory that the kernel placed; arenas' heaps begin with a pointer and so match nothing here. */
static bool is_candidate(const struct sp_mapping *m)
{
	return !m->inode && (m->prot & SP_PROT_W) && !(m->prot & SP_PROT_SHARED) &&
	       (!*m->path || !strncmp(m->path, "[anon:", 6));
}

static int search_all(struct search *s)
{
	const struct sp_maps *maps = s->g->src->maps;
	int rc = 0;

	for (size_t i = 0; i < maps->nr && rc == 0; i++) {
		uint64_t at = maps->list[i].start;
		if (is_candidate(&maps->list[i]))
			rc = search_row(s, &maps->list[i], true, &at);
	}
	for (size_t i = 0; i < maps->nr && rc == 0 && !is_complete(s); i++)
		if (is_candidate(&maps->list[i]))
			rc = search_pages(s, &maps->list[i]);
	return rc;
}

static int by_start(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int tell(struct search *s)
{
	if (s->list.nr)
		qsort(s->list.data, s->list.nr, sizeof(struct found), by_start);
	for (size_t i = 0; i < s->list.nr; i++) {
		const struct found *f = sp_vec_at(&s->list, struct found, i);
		struct sp_heap_region r = {.start = f->mem, .end = f->end};

		int rc = sp_heap_add_region(s->g->sink, &r);
		if (rc < 0 && rc != -EEXIST && rc != -EINVAL)
			return rc;
	}
	return 0;
}

static bool agrees(const struct search *s)
{
	return s->list.nr == s->nr_wanted && s->bytes == s->bytes_wanted;
}

/* All libcs of a process together: a chunk does not say whose it is. False: a counter was not found. */
static bool count(struct search *s)
{
	s->nr_wanted = s->bytes_wanted = 0;
	for (unsigned i = 0; i < s->g->nr_mains; i++) {
		const struct sp_glibc_par *par = &s->g->mains[i].par;
		if (!par->is_found)
			return false;
		s->nr_wanted += par->nr_mmaps;
		s->bytes_wanted += par->mmapped_bytes;
	}
	return true;
}

int sp_glibc_walk_mmapped(struct sp_glibc *g)
{
	struct search s = {.g = g};
	int rc = 0;

	if (!count(&s)) {
		sp_heap_give_up(g->sink, 0,
				"its counters are not to be found: blocks with mappings of their own are not judged");
		return 0;
	}
	if (!s.nr_wanted)
		return 0;
	sp_vec_init(&s.list, sizeof(struct found), MAX_FOUND);
	for (unsigned i = 0; i < (g->src->is_live ? GLIBC_TRIES : 1) && rc == 0; i++) {
		if (i) {
			sp_heap_reader_forget(g->reader);
			sp_glibc_read_pars(g);
			(void)count(&s);
		}
		s.bytes = 0;
		s.pages_left = MAX_PAGES;
		sp_vec_clear(&s.list);
		rc = search_all(&s);
		if (agrees(&s))
			break;
	}
	if (rc == 0 && agrees(&s))
		rc = tell(&s);
	else if (rc == 0)
		sp_heap_give_up(g->sink, s.bytes_wanted,
				"%llu blocks with mappings of their own by its counter, %zu found: none of them judged",
				(unsigned long long)s.nr_wanted, s.list.nr);
	sp_vec_done(&s.list);
	return rc;
}
