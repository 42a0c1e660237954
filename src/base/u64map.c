// SPDX-License-Identifier: Apache-2.0
/*
 * Open addressing with linear probing and tombstones. At most 3/4 of the slots are ever not empty, so every probe ends.
 * The hash is seeded with the place of the table, which differs from run to run and changes with every rehash: keys
 * come from a hostile target, which must not be able to choose them so that all fall into one run of slots.
 * 24 bytes per slot, 32 to 64 bytes per key.
 */
#include "base/u64map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16

enum { SLOT_EMPTY, SLOT_KEY, SLOT_TOMB };

struct sp_u64map_slot {
	uint64_t key;
	uint64_t value;
	uint8_t state;
};

/* The finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static size_t first_index(const struct sp_u64map *m, uint64_t key)
{
	return (size_t)mix(key ^ mix((uintptr_t)m->slots)) & (m->cap - 1);
}

void sp_u64map_init(struct sp_u64map *m, size_t max)
{
	assert(max);
	*m = (struct sp_u64map){.max = max};
}

void sp_u64map_done(struct sp_u64map *m)
{
	free(m->slots);
	*m = (struct sp_u64map){.max = m->max, .nr_refused = m->nr_refused};
}

void sp_u64map_clear(struct sp_u64map *m)
{
	if (m->used)
		memset(m->slots, 0, m->cap * sizeof(*m->slots));
	m->nr = 0;
	m->used = 0;
}

static struct sp_u64map_slot *find_slot(const struct sp_u64map *m, uint64_t key)
{
	if (!m->nr)
		return NULL;
	for (size_t i = first_index(m, key);; i = (i + 1) & (m->cap - 1)) {
		struct sp_u64map_slot *s = &m->slots[i];

		if (s->state == SLOT_EMPTY)
			return NULL;
		if (s->state == SLOT_KEY && s->key == key)
			return s;
	}
}

/* The key is not in the map and there is at least one empty slot. */
static void put(struct sp_u64map *m, uint64_t key, uint64_t value)
{
	size_t i = first_index(m, key);

	while (m->slots[i].state == SLOT_KEY)
		i = (i + 1) & (m->cap - 1);
	if (m->slots[i].state == SLOT_EMPTY)
		m->used++;
	m->slots[i] = (struct sp_u64map_slot){.key = key, .value = value, .state = SLOT_KEY};
	m->nr++;
}

static int rehash(struct sp_u64map *m, size_t cap)
{
	struct sp_u64map old = *m;

	m->slots = calloc(cap, sizeof(*m->slots));
	if (!m->slots) {
		m->slots = old.slots;
		return -ENOMEM;
	}
	m->cap = cap;
	m->nr = 0;
	m->used = 0;
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].state == SLOT_KEY)
			put(m, old.slots[i].key, old.slots[i].value);
	free(old.slots);
	return 0;
}

/* Room for one more key. Only tombstones to blame: the same number of slots again. */
static int make_room(struct sp_u64map *m)
{
	size_t cap = m->cap;

	if (cap && m->used < cap / 4 * 3)
		return 0;
	if (!cap)
		return rehash(m, FIRST_CAP);
	if (m->nr < cap / 8 * 3)
		return rehash(m, cap);
	if (__builtin_mul_overflow(cap, 2, &cap))
		return -ENOMEM;
	return rehash(m, cap);
}

int sp_u64map_set(struct sp_u64map *m, uint64_t key, uint64_t value)
{
	struct sp_u64map_slot *s = find_slot(m, key);
	int err;

	if (s) {
		s->value = value;
		return 0;
	}
	if (m->nr >= m->max) {
		m->nr_refused++;
		return -ENOSPC;
	}
	err = make_room(m);
	if (err)
		return err;
	put(m, key, value);
	return 0;
}

uint64_t *sp_u64map_find(const struct sp_u64map *m, uint64_t key)
{
	struct sp_u64map_slot *s = find_slot(m, key);

	return s ? &s->value : NULL;
}

bool sp_u64map_remove(struct sp_u64map *m, uint64_t key)
{
	struct sp_u64map_slot *s = find_slot(m, key);

	if (!s)
		return false;
	s->state = SLOT_TOMB;
	m->nr--;
	return true;
}
