// SPDX-License-Identifier: Apache-2.0
/* u64 -> u64 hash map, open addressing, bounded at birth. Not for several threads at once. */
#ifndef SEEP_BASE_U64MAP_H
#define SEEP_BASE_U64MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/why.h"

struct sp_u64map {
	struct sp_u64map_slot *slots;
	size_t nr;   /* keys in the map */
	size_t cap;  /* slots, a power of two; 0 before the first set */
	size_t used; /* slots that are not empty (keys and tombstones) */
	size_t max;  /* keys at most */
	uint64_t nr_refused;
};

void sp_u64map_init(struct sp_u64map *m, size_t max);
void sp_u64map_done(struct sp_u64map *m);
void sp_u64map_clear(struct sp_u64map *m);

/* Adds or replaces. -ENOSPC at the maximum (counted), -ENOMEM. */
sp_must_check int sp_u64map_set(struct sp_u64map *m, uint64_t key, uint64_t value);

/* NULL: not there. The pointer is good until the next set or remove. */
uint64_t *sp_u64map_find(const struct sp_u64map *m, uint64_t key);

/* True when the key was there. */
bool sp_u64map_remove(struct sp_u64map *m, uint64_t key);

#endif
