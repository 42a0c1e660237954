// SPDX-License-Identifier: Apache-2.0
/*
 * Call paths: from their keys in the kernel's table to the ledger, and room in that table.
 *
 * The programs only add to the table; most paths are of blocks that are long freed. When the table is half full, what
 * no block names is taken out, in three reports:
 *
 *   1. a path that no block names becomes a suspect
 *   2. a suspect that still none names is copied and deleted: a call that is under way may have found it a moment ago
 *   3. what blocks name after all is taken from the copies; the copies go
 *
 * A path that comes again is entered again under the same key, which is a hash of it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "engines/bpf/impl.h"

#define MAX_IDS      (1 << 22)
#define MAX_WALKED   (1 << 20)
#define SHARED       UINT64_MAX    /* in ids: look under key_in_epoch() */
#define MAX_DELETED  (16 << 10)    /* at a time: 17 MB of copies */
#define LOOK_EVERY   1000000000ULL /* at how full the table is: 1 ms for 4000 paths */
#define MAX_SUSPECTS (1 << 20)

void sp_bpf_paths_init(struct sp_bpf_paths *p, struct bpf_map *map, struct sp_symbolizer *names)
{
	*p = (struct sp_bpf_paths){.map = map, .names = names};
	sp_u64map_init(&p->ids, MAX_IDS);
	sp_u64map_init(&p->walked, MAX_WALKED);
	sp_u64map_init(&p->named, MAX_IDS);
	sp_u64map_init(&p->copy_of, MAX_DELETED);
	sp_vec_init(&p->suspects, sizeof(uint64_t), MAX_SUSPECTS);
	sp_vec_init(&p->copies, sizeof(struct sp_bpf_path), MAX_DELETED);
}

void sp_bpf_paths_done(struct sp_bpf_paths *p)
{
	sp_u64map_done(&p->ids);
	sp_u64map_done(&p->walked);
	sp_u64map_done(&p->named);
	sp_u64map_done(&p->copy_of);
	sp_vec_done(&p->suspects);
	sp_vec_done(&p->copies);
}

/* A path from the kernel's table, or one that was taken out a moment ago. */
static bool read_path(const struct sp_bpf_paths *p, uint64_t key, struct sp_bpf_path *ret)
{
	const uint64_t *copy = sp_u64map_find(&p->copy_of, key);

	if (!bpf_map_lookup_elem(bpf_map__fd(p->map), &key, ret))
		return true;
	if (!copy)
		return false;
	*ret = *sp_vec_at(&p->copies, struct sp_bpf_path, *copy);
	return true;
}

/* The place of a path whose key means another path at another time. */
static uint64_t key_in_epoch(const struct sp_bpf_paths *p, uint64_t key, uint64_t when_ns)
{
	return key ^ (sp_symbolizer_epoch(p->names, when_ns) + 1) * 0x9e3779b97f4a7c15ULL;
}

int sp_bpf_paths_add(struct sp_bpf_paths *p, struct sp_ledger *l, uint64_t key, uint64_t when_ns, uint64_t *pcs,
		     unsigned nr)
{
	uint32_t id;

	(void)sp_symbolizer_bind(p->names, pcs, nr, when_ns);
	int err = sp_ledger_path(l, pcs, nr, &id);
	if (!err)
		err = sp_u64map_set(&p->walked, key_in_epoch(p, key, when_ns), id);
	/* And for blocks of a moment that turned out later to be in another epoch. */
	return err ? err : sp_u64map_set(&p->walked, key, id);
}

/* Libraries have come to addresses of others: what was found before is looked up again. */
static void follow_names(struct sp_bpf_paths *p)
{
	uint64_t epoch = sp_symbolizer_epoch(p->names, UINT64_MAX);

	if (epoch == p->epoch)
		return;
	p->epoch = epoch;
	sp_u64map_clear(&p->ids);
}

static uint32_t read_id(struct sp_bpf_paths *p, struct sp_ledger *l, uint64_t key, uint64_t when_ns)
{
	struct sp_bpf_path path;
	uint32_t id;

	if (!read_path(p, key, &path) || path.nr > SP_MAX_FRAMES)
		return SP_NO_PATH;
	bool is_shared = sp_symbolizer_bind(p->names, path.pcs, path.nr, when_ns);
	if (sp_ledger_path(l, path.pcs, path.nr, &id))
		return SP_NO_PATH;
	if (is_shared && sp_u64map_set(&p->ids, key, SHARED))
		return id; /* no room: read again next time */
	(void)!sp_u64map_set(&p->ids, is_shared ? key_in_epoch(p, key, when_ns) : key, id); /* likewise */
	return id;
}

uint32_t sp_bpf_paths_id(struct sp_bpf_paths *p, struct sp_ledger *l, uint64_t key, uint64_t when_ns)
{
	if (!key)
		return SP_NO_PATH;
	if (p->is_tidying && sp_u64map_set(&p->named, key, 0))
		p->is_tidying = false; /* no memory for it: another time */
	follow_names(p);
	const uint64_t *known = sp_u64map_find(&p->ids, key);
	if (known && *known == SHARED)
		known = sp_u64map_find(&p->ids, key_in_epoch(p, key, when_ns));
	if (!known)
		known = sp_u64map_find(&p->walked, key_in_epoch(p, key, when_ns));
	if (known)
		return (uint32_t)*known;
	uint32_t id = read_id(p, l, key, when_ns);
	known = id == SP_NO_PATH ? sp_u64map_find(&p->walked, key) : NULL;
	return known ? (uint32_t)*known : id;
}

/* ---- room ---- */

static bool is_named(const struct sp_bpf_paths *p, uint64_t key)
{
	return sp_u64map_find(&p->named, key) != NULL;
}

/* Every path that no block names becomes a suspect. Returns how many paths there are. */
static size_t find_suspects(struct sp_bpf_paths *p)
{
	uint32_t max = bpf_map__max_entries(p->map);
	uint64_t key, *last = NULL, before;
	size_t nr = 0;

	sp_vec_clear(&p->suspects);
	while (nr < max && !bpf_map_get_next_key(bpf_map__fd(p->map), last, &key)) {
		nr++;
		if (!is_named(p, key) && sp_vec_push(&p->suspects, &key))
			break;
		before = key;
		last = &before;
	}
	return nr;
}

static void delete_one(struct sp_bpf_paths *p, uint64_t key)
{
	struct sp_bpf_path path;

	if (bpf_map_lookup_elem(bpf_map__fd(p->map), &key, &path) || sp_vec_push(&p->copies, &path))
		return;
	if (sp_u64map_set(&p->copy_of, key, p->copies.nr - 1)) {
		p->copies.nr--;
		return;
	}
	bpf_map_delete_elem(bpf_map__fd(p->map), &key);
}

static void delete_suspects(struct sp_bpf_paths *p)
{
	for (size_t i = 0; i < p->suspects.nr && p->copies.nr < MAX_DELETED; i++) {
		uint64_t key = *sp_vec_at(&p->suspects, uint64_t, i);
		if (!is_named(p, key))
			delete_one(p, key);
	}
	sp_vec_clear(&p->suspects);
}

void sp_bpf_paths_begin(struct sp_bpf_paths *p, uint64_t now_ns, uint64_t nr_refused)
{
	p->is_tidying = p->suspects.nr || now_ns - p->looked_ns > LOOK_EVERY || nr_refused != p->nr_refused;
	p->nr_refused = nr_refused;
	if (p->is_tidying)
		p->looked_ns = now_ns;
	sp_u64map_clear(&p->named);
}

void sp_bpf_paths_end(struct sp_bpf_paths *p)
{
	sp_vec_done(&p->copies);
	sp_u64map_done(&p->copy_of);
	if (!p->is_tidying)
		return;
	p->is_tidying = false;
	if (p->suspects.nr)
		delete_suspects(p);
	else if (find_suspects(p) < bpf_map__max_entries(p->map) / 2)
		sp_vec_clear(&p->suspects);
}
