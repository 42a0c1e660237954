// SPDX-License-Identifier: Apache-2.0
/*
 * Who holds the blocks of the call paths that only grow: see check_holders.h. One search from the roots serves all of
 * them: each block gets the root that a shortest chain to it begins at, and blocks are counted by path and root. Roots
 * of one variable, of one function of one thread... become one holder when they have names.
 */
#include "session/check_holders.h"

#include <errno.h>
#include <string.h>

enum {
	MAX_PATHS = 4096,
	MAX_BLOCKS = 1 << 26,
	MAX_TALLIES = 1 << 16, /* roots, by path */
	MAX_HOLDERS = 1 << 16,
	HOLDERS_A_PATH = 32,
};

/* Of a path: the blocks that one root leads to. */
struct tally {
	uint32_t path;
	uint64_t at, blocks, bytes;
};

struct path {
	uint64_t blocks; /* that were looked for */
	size_t first;    /* its holders are holders[first, first + nr_holders) */
	unsigned nr_holders;
};

struct sp_check_holders {
	struct sp_u64map ids;   /* id of a path + 1: number in paths */
	struct sp_vec paths;    /* struct path */
	struct sp_vec blocks;   /* uint64_t: addresses of the paths' blocks */
	struct sp_vec owners;   /* struct sp_block of each of them; its path is the number in paths */
	struct sp_u64map index; /* of a path and a root: number in tallies + 1 */
	struct sp_vec tallies;  /* struct tally, by path at last */
	struct sp_vec holders;  /* struct sp_check_holder */
	struct sp_places *places;
	struct sp_symbolizer *symbolizer;
};

static void init(struct sp_check_holders *h)
{
	sp_u64map_init(&h->ids, MAX_PATHS);
	sp_u64map_init(&h->index, MAX_TALLIES);
	sp_vec_init(&h->paths, sizeof(struct path), MAX_PATHS);
	sp_vec_init(&h->blocks, sizeof(uint64_t), MAX_BLOCKS);
	sp_vec_init(&h->owners, sizeof(struct sp_block), MAX_BLOCKS);
	sp_vec_init(&h->tallies, sizeof(struct tally), MAX_TALLIES);
	sp_vec_init(&h->holders, sizeof(struct sp_check_holder), MAX_HOLDERS);
}

void sp_check_holders_free(struct sp_check_holders *h)
{
	if (!h)
		return;
	sp_places_free(h->places);
	sp_symbolizer_close(h->symbolizer);
	sp_u64map_done(&h->ids);
	sp_u64map_done(&h->index);
	sp_vec_done(&h->paths);
	sp_vec_done(&h->blocks);
	sp_vec_done(&h->owners);
	sp_vec_done(&h->tallies);
	sp_vec_done(&h->holders);
	free(h);
}

/* ---- while the snapshot is there ---- */

static int list_paths(struct sp_check_holders *h, const struct sp_view *v)
{
	const struct path empty = {};
	int rc = 0;

	for (size_t i = 0; i < v->nr_paths && rc == 0; i++) {
		if (v->paths[i].verdict.class != SP_CLASS_GROWING)
			continue;
		rc = sp_u64map_set(&h->ids, (uint64_t)v->paths[i].sum.path + 1, h->paths.nr);
		if (rc == 0)
			rc = sp_vec_push(&h->paths, &empty);
	}
	return rc == -ENOSPC ? 0 : rc; /* those behind the last have no holders told */
}

static int list_blocks(struct sp_check_holders *h, const struct sp_view *v)
{
	int rc = 0;

	for (size_t i = 0; i < v->nr_list && rc == 0; i++) {
		const uint64_t *number = sp_u64map_find(&h->ids, (uint64_t)v->list[i].path + 1);
		struct sp_block b = v->list[i];

		if (!number)
			continue;
		b.path = (uint32_t)*number;
		rc = sp_vec_push(&h->blocks, &b.addr);
		if (rc == 0)
			rc = sp_vec_push(&h->owners, &b);
	}
	return rc;
}

static int count(struct sp_check_holders *h, const struct sp_block *b, uint64_t at)
{
	uint64_t key = (at ^ (uint64_t)b->path << 47) * 0x9e3779b97f4a7c15u;
	const uint64_t *found;

	for (;; key++) {
		found = sp_u64map_find(&h->index, key);
		if (!found)
			break;
		struct tally *t = sp_vec_at(&h->tallies, struct tally, *found - 1);
		if (t->path != b->path || t->at != at)
			continue;
		t->blocks++;
		t->bytes += b->size;
		return 0;
	}
	const struct tally t = {.path = b->path, .at = at, .blocks = 1, .bytes = b->size};
	int rc = sp_vec_push(&h->tallies, &t);
	if (rc == 0)
		rc = sp_u64map_set(&h->index, key, h->tallies.nr);
	if (rc == 0)
		rc = sp_places_note(h->places, at);
	return rc;
}

static int count_all(struct sp_check_holders *h, const uint64_t *roots)
{
	int rc = 0;

	for (size_t i = 0; i < h->owners.nr && rc != -ENOMEM; i++) {
		const struct sp_block *b = sp_vec_at(&h->owners, struct sp_block, i);

		sp_vec_at(&h->paths, struct path, b->path)->blocks++;
		if (roots[i])
			rc = count(h, b, roots[i]);
	}
	return rc == -ENOMEM ? rc : 0; /* without room for more roots: what they hold is not told */
}

static int find(struct sp_check_holders *h, struct sp_scan_store *scan, const struct sp_view *v, struct sp_why *why)
{
	int rc = list_blocks(h, v);

	if (rc < 0)
		return rc;
	sp_autofree uint64_t *roots = calloc(h->blocks.nr + 1, sizeof(*roots));
	rc = roots ? sp_places_new(sp_scan_source(scan), &h->places) : -ENOMEM;
	if (rc == 0)
		rc = sp_heap_roots_of(sp_scan_heap(scan), h->blocks.data, h->blocks.nr, roots, why);
	return rc == 0 ? count_all(h, roots) : rc;
}

int sp_check_holders_find(struct sp_scan_store *scan, const struct sp_view *v, struct sp_check_holders **ret,
			  struct sp_why *why)
{
	struct sp_check_holders *h = calloc(1, sizeof(*h));

	*ret = NULL;
	if (!h)
		return -ENOMEM;
	init(h);
	int rc = list_paths(h, v);
	if (rc == 0 && h->paths.nr)
		rc = find(h, scan, v, why);
	if (rc < 0 || !h->paths.nr) {
		sp_check_holders_free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

/* ---- names ---- */

static int by_path(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int by_blocks(const void *a, const void *b)
{
	const struct sp_check_holder *x = a, *y = b;

	return x->blocks > y->blocks ? -1 : x->blocks < y->blocks;
}

/* One variable, whatever field of it; one function of one thread, whatever word of its frame. */
static bool is_one(const struct sp_place *a, const struct sp_place *b)
{
	return a->kind == b->kind && a->tid == b->tid && a->name == b->name && a->module == b->module &&
	       a->key == b->key && a->frame.function == b->frame.function &&
	       (a->name || a->kind != SP_PLACE_VARIABLE || a->offset == b->offset);
}

static int add(struct sp_check_holders *h, struct path *path, const struct tally *t)
{
	struct sp_check_holder holder = {.blocks = t->blocks, .bytes = t->bytes};

	sp_places_name(h->places, t->at, &holder.place);
	for (unsigned i = 0; i < path->nr_holders; i++) {
		struct sp_check_holder *known = sp_vec_at(&h->holders, struct sp_check_holder, path->first + i);

		if (!is_one(&known->place, &holder.place))
			continue;
		if (known->place.address != holder.place.address)
			known->is_many = true;
		known->blocks += t->blocks;
		known->bytes += t->bytes;
		return 0;
	}
	if (path->nr_holders == HOLDERS_A_PATH)
		return 0;
	int rc = sp_vec_push(&h->holders, &holder);
	path->nr_holders += rc == 0;
	return rc == -ENOSPC ? 0 : rc;
}

static int name_all(struct sp_check_holders *h)
{
	struct path *path = NULL;
	int rc = 0;

	if (h->tallies.nr)
		qsort(h->tallies.data, h->tallies.nr, sizeof(struct tally), by_path);
	for (size_t i = 0; i < h->tallies.nr && rc == 0; i++) {
		const struct tally *t = sp_vec_at(&h->tallies, struct tally, i);

		if (path != sp_vec_at(&h->paths, struct path, t->path)) {
			path = sp_vec_at(&h->paths, struct path, t->path);
			path->first = h->holders.nr;
		}
		rc = add(h, path, t);
	}
	for (size_t i = 0; i < h->paths.nr; i++) {
		path = sp_vec_at(&h->paths, struct path, i);
		if (path->nr_holders)
			qsort(sp_vec_at(&h->holders, struct sp_check_holder, path->first), path->nr_holders,
			      sizeof(struct sp_check_holder), by_blocks);
	}
	return rc;
}

int sp_check_holders_name(struct sp_check_holders *h, struct sp_scan_store *scan, struct sp_why *why)
{
	int rc = sp_symbolizer_open(sp_scan_proc(scan), NULL, &h->symbolizer, why);

	if (rc == 0)
		rc = sp_places_open(h->places, h->symbolizer, why);
	return rc == 0 ? name_all(h) : rc;
}

void sp_check_holders_of(const struct sp_check_holders *h, struct sp_check_path *path)
{
	const uint64_t *number = sp_u64map_find(&h->ids, (uint64_t)path->path->sum.path + 1);

	if (!number)
		return;
	const struct path *p = sp_vec_at(&h->paths, struct path, *number);
	path->holders = sp_vec_at(&h->holders, struct sp_check_holder, p->first);
	path->nr_holders = p->nr_holders;
	path->nr_asked = p->blocks;
}
