// SPDX-License-Identifier: Apache-2.0
/*
 * What a snapshot comes to by (path, sampled, size), so that growth can be told under any filter by size when its
 * blocks are gone. There are few distinct pairs in real programs; a target that makes them all different costs 16 bytes
 * a block.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/impl.h"

#define FIRST_CAP 256

struct table {
	struct sp_size_count *slots;
	size_t cap; /* a power of two; at most three quarters in use */
	size_t nr;
};

static size_t first_index(const struct table *t, uint32_t key, uint64_t size)
{
	uint64_t h = size * 0x9e3779b97f4a7c15ull ^ (uintptr_t)t->slots;

	h = ((h ^ (h >> 32)) + key) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ (h >> 29)) * 0x94d049bb133111ebull;
	return (size_t)(h ^ (h >> 32)) & (t->cap - 1);
}

/* The pair's slot, or the empty one where it belongs. */
static struct sp_size_count *find_slot(const struct table *t, uint32_t key, uint64_t size)
{
	size_t i = first_index(t, key, size);

	while (t->slots[i].blocks && (t->slots[i].size != size || t->slots[i].key != key))
		i = (i + 1) & (t->cap - 1);
	return &t->slots[i];
}

static int set_cap(struct table *t, size_t cap)
{
	struct table bigger = {.slots = calloc(cap, sizeof(*t->slots)), .cap = cap, .nr = t->nr};

	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].blocks)
			*find_slot(&bigger, t->slots[i].key, t->slots[i].size) = t->slots[i];
	free(t->slots);
	*t = bigger;
	return 0;
}

static int count_block(struct table *t, const struct sp_block *b)
{
	struct sp_size_count *s;

	if (t->nr >= t->cap / 4 * 3) {
		int err = set_cap(t, 2 * t->cap);

		if (err)
			return err;
	}
	s = find_slot(t, sp_size_key(b), b->size);
	t->nr += !s->blocks;
	*s = (struct sp_size_count){.size = b->size, .key = sp_size_key(b), .blocks = s->blocks + 1};
	return 0;
}

/* Moves the pairs to the front and gives the rest of the memory back. */
static void compact(const struct table *t, struct sp_sizes *ret)
{
	struct sp_size_count *shrunk;
	size_t nr = 0;

	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].blocks)
			t->slots[nr++] = t->slots[i];
	shrunk = realloc(t->slots, (nr ? nr : 1) * sizeof(*shrunk));
	ret->list = shrunk ? shrunk : t->slots;
	ret->nr = nr;
}

int sp_sizes_make(const struct sp_vec *blocks, struct sp_sizes *ret)
{
	struct table t = {0};
	int err = set_cap(&t, FIRST_CAP);

	for (size_t i = 0; i < blocks->nr && !err; i++)
		err = count_block(&t, sp_vec_at(blocks, struct sp_block, i));
	if (err) {
		free(t.slots);
		return err;
	}
	compact(&t, ret);
	return 0;
}

void sp_sizes_done(struct sp_sizes *s)
{
	free(s->list);
	*s = (struct sp_sizes){0};
}
