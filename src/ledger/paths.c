// SPDX-License-Identifier: Apache-2.0
/*
 * Interns call paths by content: equal pcs give equal ids, and different pcs never share one, since a hit of the hash
 * is always confirmed by a full compare. The hash is seeded with the ledger's place, so that a hostile target cannot
 * prepare stacks that all fall together. Per path: its pcs, 40 bytes, 8 to 16 bytes of index.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/impl.h"

#define FIRST_INDEX_CAP 1024
#define CHUNK_PCS       8192 /* 64 KiB; at least SP_MAX_FRAMES */

_Static_assert(CHUNK_PCS >= SP_MAX_FRAMES, "a path must fit into a chunk");

static int push_survival(struct sp_intern *in)
{
	static const struct sp_survival none;

	return sp_vec_push(&in->survival, &none);
}

int sp_intern_init(struct sp_intern *in, size_t max_paths)
{
	*in = (struct sp_intern){.seed = (uintptr_t)in};
	sp_vec_init(&in->entries, sizeof(struct sp_path_entry), max_paths);
	sp_vec_init(&in->survival, sizeof(struct sp_survival), max_paths + 1);
	/* A chunk is left when the next path does not fit, so it is filled with more than CHUNK_PCS - SP_MAX_FRAMES. */
	sp_vec_init(&in->chunks, sizeof(uint64_t *), max_paths / ((CHUNK_PCS - SP_MAX_FRAMES) / SP_MAX_FRAMES) + 1);
	return push_survival(in);
}

void sp_intern_done(struct sp_intern *in)
{
	for (size_t i = 0; i < in->chunks.nr; i++)
		free(*sp_vec_at(&in->chunks, uint64_t *, i));
	sp_vec_done(&in->chunks);
	sp_vec_done(&in->entries);
	sp_vec_done(&in->survival);
	free(in->index);
	in->index = NULL;
}

void sp_intern_forget_survival(struct sp_intern *in)
{
	if (in->survival.nr)
		memset(in->survival.data, 0, in->survival.nr * sizeof(struct sp_survival));
}

/* One multiplication a frame; the last steps are the finalizer of MurmurHash3 (Appleby, public domain). */
static uint64_t hash_pcs(const struct sp_intern *in, const uint64_t *pcs, unsigned nr)
{
	uint64_t h = in->seed + nr;

	for (unsigned i = 0; i < nr; i++) {
		h = (h ^ pcs[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdull;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return h ^ (h >> 33);
}

static struct sp_path_entry *entry_at(const struct sp_intern *in, uint32_t id)
{
	return sp_vec_at(&in->entries, struct sp_path_entry, id);
}

/* The place of this path in the index: where its id is, or the empty one where it belongs. */
static uint32_t *find_place(const struct sp_intern *in, uint64_t hash, const uint64_t *pcs, unsigned nr)
{
	for (size_t i = hash & (in->index_cap - 1);; i = (i + 1) & (in->index_cap - 1)) {
		uint32_t *place = &in->index[i];
		const struct sp_path_entry *e;

		if (!*place)
			return place;
		e = entry_at(in, *place - 1);
		if (e->hash == hash && e->nr == nr && (!nr || !memcmp(e->pcs, pcs, nr * sizeof(*pcs))))
			return place;
	}
}

static int grow_index(struct sp_intern *in)
{
	size_t cap = in->index_cap ? 2 * in->index_cap : FIRST_INDEX_CAP;
	uint32_t *index = calloc(cap, sizeof(*index));

	if (!index)
		return -ENOMEM;
	for (size_t id = 0; id < in->entries.nr; id++) {
		size_t i = entry_at(in, (uint32_t)id)->hash & (cap - 1);

		while (index[i])
			i = (i + 1) & (cap - 1);
		index[i] = (uint32_t)id + 1;
	}
	free(in->index);
	in->index = index;
	in->index_cap = cap;
	return 0;
}

/* Room for nr pcs in the last chunk. */
static int reserve_pcs(struct sp_intern *in, unsigned nr)
{
	uint64_t *chunk;
	int err;

	if (in->chunks.nr && in->chunk_used + nr <= CHUNK_PCS)
		return 0;
	chunk = malloc(CHUNK_PCS * sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	err = sp_vec_push(&in->chunks, &chunk);
	if (err) {
		free(chunk);
		return err;
	}
	in->chunk_used = 0;
	return 0;
}

/* A path that is not there yet. What fails leaves at most some room behind, which the next one uses. */
static int add_new(struct sp_intern *in, uint64_t hash, const uint64_t *pcs, unsigned nr, uint32_t *ret_id)
{
	struct sp_path_entry e = {.hash = hash, .nr = nr};
	int err = reserve_pcs(in, nr);
	uint64_t *to;

	if (!err && in->survival.nr < in->entries.nr + 2)
		err = push_survival(in);
	if (err)
		return err;
	to = *sp_vec_at(&in->chunks, uint64_t *, in->chunks.nr - 1) + in->chunk_used;
	if (nr)
		memcpy(to, pcs, nr * sizeof(*pcs));
	e.pcs = to;
	err = sp_vec_push(&in->entries, &e);
	if (err)
		return err;
	in->chunk_used += nr;
	*ret_id = (uint32_t)in->entries.nr - 1;
	return 0;
}

/* The place in the index for a path that is not there yet, with room for it. */
static int make_place(struct sp_intern *in, uint64_t hash, const uint64_t *pcs, unsigned nr, uint32_t **ret)
{
	if (in->entries.nr >= in->entries.max)
		return -ENOSPC;
	if (in->entries.nr >= in->index_cap / 2) {
		int err = grow_index(in);

		if (err)
			return err;
	}
	*ret = find_place(in, hash, pcs, nr);
	return 0;
}

int sp_intern_add(struct sp_intern *in, const uint64_t *pcs, unsigned nr, uint32_t *ret_id)
{
	uint64_t hash = hash_pcs(in, pcs, nr);
	uint32_t *place = in->index_cap ? find_place(in, hash, pcs, nr) : NULL;
	uint32_t id = 0;
	int err;

	if (!place || !*place) {
		err = make_place(in, hash, pcs, nr, &place);
		if (!err)
			err = add_new(in, hash, pcs, nr, &id);
		if (err)
			return err;
		*place = id + 1;
	}
	*ret_id = *place - 1;
	return 0;
}
